/* Vectors of texts on small models of random weights: they do not depend on how they were computed. And a tool,
 * `test_embed vectors|classes|rank FILE MODE...`, by which the Python tests ask for vectors. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/embed.h"
#include "gguf/gguf.h"
#include "lib/check.h"
#include "lib/tiny_model.h"
#include "plat/cpu.h"

enum { TEXTS = 23, MOST = 1 << 16, N_EMBD = 96 };

static engine *open_file(const char *path, const engine_options *o)
{
    gguf *g = NULL;
    engine *e = NULL;
    error err = { 0 };
    if (gguf_open(&g, path, &err) != OK || engine_open(&e, g, o, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return e;
}

/* ---- the tool: token ids (i32) of a text on stdin; its mean, first, last vector, or its tokens' logits; rank: the
 * score of the pair whose query is one third of them, alone and then between others ---- */

static status rank(engine *e, const int32_t *tokens, uint32_t n, error *err)
{
    float scores[1 + 40];
    rank_input pairs[40];
    const uint32_t query = (n + 2) / 3;
    status s = engine_rank(e, &(rank_input){ tokens, n, query }, 1, scores, err);
    for (uint32_t i = 0; i < 40; i++)
        pairs[i] = (rank_input){ tokens, i == 29 || n < 40 ? n : n - i, query };
    s = s ? s : engine_rank(e, pairs, 40, scores + 1, err);
    float both[2] = { scores[0], scores[1 + 29] };
    fwrite(both, sizeof *both, s ? 0 : 2, stdout);
    return s;
}

static int tool(int argc, char **argv)
{
    engine_options o;
    embed_options how;
    error err = { 0 };
    engine_options_init(&o);
    embed_options_init(&how);
    how.raw = true;
    int32_t *tokens = mem_array(MOST, sizeof *tokens);
    uint32_t n = (uint32_t)fread(tokens, sizeof *tokens, MOST, stdin);
    for (int i = 3; i < argc; i++) {
        o.exact |= !strcmp(argv[i], "exact");
        o.kv_type = !strcmp(argv[i], "f32kv") ? ENGINE_KV_F32 : o.kv_type;
    }
    engine *e = open_file(argv[2], &o);
    uint32_t width = engine_get_info(e)->n_embd, n_classes = engine_n_classes(e);
    float *out = mem_array(n + 1, (width > n_classes ? width : n_classes) * sizeof *out);
    status s = OK;
    if (!strcmp(argv[1], "classes")) {
        s = engine_classify(e, tokens, n, out, &err);
        fwrite(out, sizeof *out, s ? 0 : n * n_classes, stdout);
    }
    if (!strcmp(argv[1], "rank"))
        s = rank(e, tokens, n, &err);
    for (int p = ENGINE_POOL_MEAN; !s && !strcmp(argv[1], "vectors") && p <= ENGINE_POOL_LAST; p++) {
        how.pooling = (engine_pooling)p;
        s = engine_embed(e, &(embed_input){ tokens, n }, 1, &how, out, &err);
        fwrite(out, sizeof *out, s ? 0 : width, stdout);
    }
    if (s)
        fprintf(stderr, "%s\n", err.text);
    engine_close(&e);
    mem_free(tokens);
    mem_free(out);
    return s;
}

/* ---- the models and the texts ---- */

static tiny_model encoder(void)
{
    tiny_model m = tiny_model_default();
    m.arch = "bert";
    m.encoder = true;
    m.n_embd = N_EMBD;
    m.n_heads = m.n_kv_heads = 3;
    m.head_dim = 32;
    m.context = 600; /* beyond one softmax span of 512 positions */
    m.n_classes = 37;
    return m;
}

static tiny_model writer(void)
{
    tiny_model m = tiny_model_default();
    m.n_embd = N_EMBD;
    return m;
}

/* Lengths about pages, spans and the context. */
static const embed_input *texts(void)
{
    static const uint32_t lengths[TEXTS] = { 1,  2,   3,   4,   5, 6,   15,  16,  17,  30, 63, 64,
                                             65, 100, 128, 200, 7, 511, 512, 513, 600, 9,  1 };
    static int32_t tokens[TEXTS][600];
    static embed_input in[TEXTS];
    uint32_t x = 1;
    for (uint32_t i = 0; i < TEXTS; i++) {
        in[i] = (embed_input){ tokens[i], lengths[i] };
        for (uint32_t t = 0; t < lengths[i]; t++) {
            x = x * 1664525u + 1013904223u;
            tokens[i][t] = (int32_t)((x >> 16) % 96);
        }
    }
    return in;
}

static engine *open_tiny(int threads, const char *isa, uint32_t batch, uint32_t n_sessions, engine_kv kv)
{
    engine_options o;
    engine_options_init(&o);
    o.n_threads = threads;
    o.isa = isa;
    o.batch = batch;
    o.n_sessions = n_sessions;
    o.kv_type = kv;
    return open_file(tiny_model_path(), &o);
}

static uint64_t hash(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static const char *const isas[] = { "portable", "avx2", "avxvnni", "avx512vl", "avx512", "neon", "dotprod", "i8mm" };

static bool has_isa(const char *isa)
{
    unsigned cpu;
    return cpu_choose(isa, &cpu, NULL) == OK;
}

static void expect(const float *wanted, const embed_options *o, int threads, const char *isa, uint32_t batch,
                   uint32_t sessions, engine_kv kv)
{
    static float found[TEXTS * N_EMBD];
    engine *e = open_tiny(threads, isa, batch, sessions, kv);
    assert_ok(engine_embed(e, texts(), TEXTS, o, found, err));
    if (memcmp(found, wanted, sizeof found))
        fail_msg("%d threads, %s, batch %u, %u sessions: other vectors", threads, isa ? isa : "best", batch, sessions);
    engine_close(&e);
}

/* ---- tests ---- */

static void vectors_do_not_depend_on_how(const tiny_model *m, const uint64_t recorded[ENGINE_KV_TYPES])
{
    static float alone[TEXTS * N_EMBD];
    tiny_model_write(m, tiny_model_path());
    for (int kv = 0; kv < ENGINE_KV_TYPES; kv++) {
        embed_options o;
        embed_options_init(&o);
        o.pooling = kv == ENGINE_KV_F32 ? ENGINE_POOL_LAST : ENGINE_POOL_MEAN;
        engine *e = open_tiny(1, "portable", 64, 1, (engine_kv)kv);
        for (uint32_t i = 0; i < TEXTS; i++)
            assert_ok(engine_embed(e, texts() + i, 1, &o, alone + i * N_EMBD, err));
        engine_close(&e);
        if (hash(alone, sizeof alone) != recorded[kv])
            fail_msg("%s, kv %s: digest %016llX, recorded is %016llX", m->arch, engine_kv_name((engine_kv)kv),
                     (unsigned long long)hash(alone, sizeof alone), (unsigned long long)recorded[kv]);
        for (size_t i = 0; i < ARRAY_LEN(isas); i++)
            if (has_isa(isas[i]))
                expect(alone, &o, 1, isas[i], 128, 4, (engine_kv)kv);
        for (int threads = 1; threads <= 4; threads++)
            expect(alone, &o, threads, NULL, threads == 2 ? 1024 : 100, (uint32_t)threads, (engine_kv)kv);
    }
}

static void bits_of_encoders(void **state)
{
    (void)state;
    tiny_model m = encoder();
    const uint64_t recorded[] = { 0xD74C0F3AFB0D9895u, 0xE34FFC3C1EF56FD2u, 0x1915655AF8F8B08Eu };
    vectors_do_not_depend_on_how(&m, recorded);
}

static void bits_of_writers(void **state)
{
    (void)state;
    tiny_model m = writer();
    const uint64_t recorded[] = { 0x8C23A0CC7CD58E41u, 0xCDE2E98B81C03391u, 0xEEB6313DC82B77B8u };
    vectors_do_not_depend_on_how(&m, recorded);
}

static void pooling_and_length(void **state)
{
    (void)state;
    static float v[TEXTS * N_EMBD], raw[TEXTS * N_EMBD], part[TEXTS * 10];
    tiny_model m = encoder();
    tiny_model_write(&m, tiny_model_path());
    engine *e = open_tiny(2, NULL, 0, 0, ENGINE_KV_F16);
    embed_options o;
    embed_options_init(&o);
    assert_ok(engine_embed(e, texts(), TEXTS, NULL, v, err));
    o.raw = true;
    assert_ok(engine_embed(e, texts(), TEXTS, &o, raw, err));
    for (uint32_t i = 0; i < TEXTS; i++) {
        double q = 0;
        for (uint32_t k = 0; k < N_EMBD; k++)
            q += (double)v[i * N_EMBD + k] * (double)v[i * N_EMBD + k];
        assert_true(fabs(q - 1) < 1e-6);
        assert_true(engine_cosine(v + i * N_EMBD, raw + i * N_EMBD, N_EMBD) > 1 - 1e-12);
    }
    o.raw = false;
    o.dimensions = 10;
    assert_int_equal(engine_embed_length(e, &o), 10);
    assert_ok(engine_embed(e, texts(), TEXTS, &o, part, err));
    for (uint32_t i = 0; i < TEXTS; i++)
        assert_true(engine_cosine(part + i * 10, raw + i * N_EMBD, 10) > 1 - 1e-12);
    o.dimensions = 0;
    for (int p = ENGINE_POOL_MEAN; p <= ENGINE_POOL_LAST; p++) { /* of one position all poolings are one */
        o.pooling = (engine_pooling)p;
        assert_ok(engine_embed(e, texts(), TEXTS, &o, raw, err));
        assert_memory_equal(raw, v, N_EMBD * sizeof *v);
        assert_true((memcmp(raw + 5 * N_EMBD, v + 5 * N_EMBD, N_EMBD * sizeof *v) == 0) == (p == ENGINE_POOL_MEAN));
    }
    engine_close(&e);
}

/* What stands behind a position changes its class: an encoder sees the whole text, and nothing of the pass before. */
static void classes(void **state)
{
    (void)state;
    tiny_model m = encoder();
    tiny_model_write(&m, tiny_model_path());
    engine *e = open_tiny(3, NULL, 0, 0, ENGINE_KV_F16);
    const embed_input *in = texts() + 13; /* 100 tokens */
    float *a = mem_array(100, 37 * sizeof *a), *b = mem_array(100, 37 * sizeof *b);
    float *v = mem_array(TEXTS, N_EMBD * sizeof *v);
    assert_int_equal(engine_n_classes(e), 37);
    assert_ok(engine_classify(e, in->tokens, 100, a, err));
    assert_ok(engine_embed(e, texts(), TEXTS, NULL, v, err));
    assert_ok(engine_classify(e, in->tokens, 100, b, err));
    assert_memory_equal(a, b, 100 * 37 * sizeof *a);
    assert_ok(engine_classify(e, in->tokens, 99, b, err));
    for (int i = 0; i < 99; i++)
        assert_memory_not_equal(a + i * 37, b + i * 37, 37 * sizeof *a);
    double sum = 0;
    for (uint32_t k = 0; k < 37; k++)
        sum += engine_class_probability(a, 37, k);
    assert_true(fabs(sum - 1) < 1e-12);
    engine_close(&e);
    m.n_classes = 0;
    tiny_model_write(&m, tiny_model_path());
    e = open_tiny(1, NULL, 0, 0, ENGINE_KV_F16);
    assert_int_equal(engine_classify(e, in->tokens, 100, a, NULL), E_UNSUPPORTED);
    engine_close(&e);
    mem_free(a), mem_free(b), mem_free(v);
}

static bool after_two(void *user)
{
    return ++*(int *)user > 2;
}

static void what_cannot_be(void **state)
{
    (void)state;
    static float v[TEXTS * N_EMBD];
    error why;
    tiny_model m = encoder();
    tiny_model_write(&m, tiny_model_path());
    engine *e = open_tiny(1, NULL, 0, 0, ENGINE_KV_F16);
    session *s = NULL;
    assert_int_equal(session_open(&s, e, &why), E_UNSUPPORTED);
    assert_non_null(strstr(why.text, "bert"));
    int32_t many[601] = { 0 };
    embed_input in[] = { { many, 3 }, { many, 601 } };
    assert_int_equal(engine_embed(e, in, 2, NULL, v, &why), E_RANGE);
    assert_non_null(strstr(why.text, "input 1 has 601 tokens, and the model takes 600"));
    in[1].n = 0;
    assert_int_equal(engine_embed(e, in, 2, NULL, v, &why), E_RANGE);
    in[1].n = 600;
    many[599] = 96;
    assert_int_equal(engine_embed(e, in, 2, NULL, v, &why), E_RANGE);
    assert_non_null(strstr(why.text, "token 96"));
    many[599] = 95;
    assert_ok(engine_embed(e, in, 2, NULL, v, err));
    embed_options o;
    embed_options_init(&o);
    o.dimensions = N_EMBD + 1;
    assert_int_equal(engine_embed(e, in, 1, &o, v, &why), E_RANGE);
    int calls = 0;
    embed_options_init(&o);
    o.cancel = after_two;
    o.user = &calls;
    assert_int_equal(engine_embed(e, texts(), TEXTS, &o, v, &why), E_CANCELLED);
    assert_ok(engine_embed(e, texts(), TEXTS, NULL, v, err)); /* all pages are back */
    engine_close(&e);

    gguf *g = NULL;
    engine_options eo;
    engine_options_init(&eo);
    eo.context = 601;
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_ok(engine_open(&e, g, &eo, err));
    assert_int_equal(engine_get_info(e)->context, 600);
    engine_close(&e);
    eo.context = 0;
    eo.kv_bytes = 1 << 16; /* less than one text of 600 */
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_int_equal(engine_open(&e, g, &eo, &why), E_NOFIT);
}

static void files_that_contradict_themselves(void **state)
{
    (void)state;
    static const char *const missing[] = { "position_embd.weight", "token_embd_norm.bias", "blk.0.attn_q.bias",
                                           "blk.1.attn_output_norm.bias", "blk.1.layer_output_norm.weight" };
    error why;
    for (size_t i = 0; i <= ARRAY_LEN(missing); i++) {
        tiny_model m = encoder();
        m.missing = i < ARRAY_LEN(missing) ? missing[i] : NULL;
        m.extra = i < ARRAY_LEN(missing) ? NULL : "output_norm.weight";
        tiny_model_write(&m, tiny_model_path());
        gguf *g = NULL;
        engine *e = NULL;
        assert_ok(gguf_open(&g, tiny_model_path(), err));
        assert_int_equal(engine_open(&e, g, NULL, &why), m.missing ? E_FORMAT : E_UNSUPPORTED);
        assert_non_null(strstr(why.text, m.missing ? m.missing : m.extra));
    }
}

/* Every allocation fails once: an error, and what was taken is given back. */
static void without_memory(void **state)
{
    (void)state;
    static float v[TEXTS * N_EMBD];
    tiny_model m = encoder();
    tiny_model_write(&m, tiny_model_path());
    engine *e = open_tiny(1, NULL, 0, 0, ENGINE_KV_F16);
    embed_options o;
    embed_options_init(&o);
    o.dimensions = 5;
    status s = E_NOMEM;
    for (uint64_t n = 1; s == E_NOMEM; n++) {
        mem_fail_at(n);
        s = engine_embed(e, texts(), TEXTS, &o, v, NULL);
        mem_fail_at(0);
        assert_true(n < 50);
    }
    assert_int_equal(s, OK);
    engine_close(&e);
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return tool(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_of_encoders),      cmocka_unit_test(bits_of_writers),
        cmocka_unit_test(pooling_and_length),    cmocka_unit_test(classes),
        cmocka_unit_test(what_cannot_be),        cmocka_unit_test(files_that_contradict_themselves),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
