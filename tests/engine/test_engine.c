/* Invariants of the engine on a small model of random weights, made here. And two tools: `test_engine logits FILE
 * MODE`, by which the Python tests ask for logits, and `test_engine like REAL TINY`, by which tools/run-tests makes the
 * tiny model that stands in for a real one (lib/tiny_model.h). */
#include "lib/check.h"
#include "lib/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "kernels/kernels.h"

static engine *open_file(const char *path, const engine_options *o)
{
    error err;
    gguf *g = NULL;
    engine *e = NULL;
    if (gguf_open(&g, path, &err) != OK || engine_open(&e, g, o, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return e;
}

/* ---- the tool: token ids (i32) on stdin, logits (f32) of every position on stdout ---- */

static int dump_logits(int argc, char **argv)
{
    enum { MOST = 1 << 16 };
    engine_options o;
    engine_options_init(&o);
    int32_t *tokens = mem_array(MOST, sizeof *tokens);
    uint32_t n = (uint32_t)fread(tokens, sizeof *tokens, MOST, stdin);
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "exact"))
            o.exact = true;
        else if (!strcmp(argv[i], "f32kv"))
            o.kv_type = ENGINE_KV_F32;
        else if (!strcmp(argv[i], "q8kv"))
            o.kv_type = ENGINE_KV_Q8;
        else if (!strncmp(argv[i], "context=", 8))
            o.context = (uint32_t)strtoul(argv[i] + 8, NULL, 10);
        else if (!strncmp(argv[i], "batch=", 6))
            o.batch = (uint32_t)strtoul(argv[i] + 6, NULL, 10);
        else if (!strncmp(argv[i], "threads=", 8))
            o.n_threads = (int)strtol(argv[i] + 8, NULL, 10);
        else
            o.isa = argv[i];
    }
    engine *e = open_file(argv[2], &o);
    session *s = NULL;
    error err;
    const float *logits;
    size_t n_vocab = engine_get_info(e)->n_vocab;
    engine_row *rows = mem_array(engine_batch(e), sizeof *rows);
    const float **out = mem_array(engine_logit_rows(e), sizeof *out);
    uint32_t most = engine_batch(e) < engine_logit_rows(e) ? engine_batch(e) : engine_logit_rows(e);
    if (session_open(&s, e, &err) != OK)
        return 1;
    for (uint32_t at = 0; at < n;) {
        uint32_t k = 0;
        for (; k < most && at < n; k++, at++)
            rows[k] = (engine_row){ s, tokens[at], at, true };
        if (engine_step(e, rows, k, out, &err) != OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        for (uint32_t i = 0; i < k; i++) {
            logits = out[i];
            fwrite(logits, sizeof *logits, n_vocab, stdout);
        }
    }
    session_close(&s);
    engine_close(&e);
    mem_free(tokens);
    mem_free(rows);
    mem_free(out);
    return 0;
}

/* ---- a small model, and every way to run it ---- */

enum { N = 700 }; /* beyond one softmax span of 512 positions */

static const int32_t *text(void)
{
    static int32_t tokens[N];
    uint32_t x = 1;
    for (int i = 0; i < N; i++) {
        x = x * 1664525u + 1013904223u;
        tokens[i] = (int32_t)((x >> 16) % 96);
    }
    return tokens;
}

/* FNV-1a over the bits of logits: differs if any bit does. */
static uint64_t add_hash(uint64_t h, const float *x, size_t n)
{
    const unsigned char *p = (const unsigned char *)x;
    h = h ? h : 1469598103934665603u;
    for (size_t i = 0; i < n * sizeof *x; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

/* Hash of the logits of every position when fed in steps of `chunk` rows; with company, rows of two other sessions with
 * other text are mixed into each step. */
static uint64_t run_all(engine *e, uint32_t chunk, bool company)
{
    session *s[3] = { 0 };
    const float *out[64];
    uint64_t h = 0;
    for (int i = 0; i < 3; i++)
        assert_ok(session_open(&s[i], e, err));
    for (uint32_t at = 0; at < N;) {
        engine_row rows[64 * 3];
        uint32_t n = 0, taken = 0;
        for (; taken < chunk && at < N; taken++, at++) {
            if (company && at % 3 == 0) {
                uint32_t p = session_length(s[1]);
                for (uint32_t i = 0; i < n; i++)
                    p += rows[i].session == s[1];
                rows[n++] = (engine_row){ s[1], text()[N - 1 - p], p, false };
            }
            rows[n++] = (engine_row){ s[0], text()[at], at, true };
        }
        assert_ok(engine_step(e, rows, n, out, err));
        for (uint32_t i = 0; i < taken; i++)
            h = add_hash(h, out[i], engine_get_info(e)->n_vocab);
    }
    for (int i = 0; i < 3; i++)
        session_close(&s[i]);
    return h;
}

static engine_kv kv_type; /* of every tiny engine */

static engine *open_tiny(int threads, const char *isa, uint32_t batch)
{
    engine_options o;
    engine_options_init(&o);
    o.n_threads = threads;
    o.isa = isa;
    o.batch = batch;
    o.n_sessions = 3;
    o.kv_type = kv_type;
    return open_file(tiny_model_path(), &o);
}

static void expect(uint64_t wanted, int threads, const char *isa, uint32_t chunk, bool company)
{
    engine *e = open_tiny(threads, isa, 128);
    uint64_t found = run_all(e, chunk, company);
    if (found != wanted)
        fail_msg("%d threads, %s, chunks of %u%s: other logits", threads, isa ? isa : "best", chunk,
                 company ? ", company" : "");
    engine_close(&e);
}

static void bits_do_not_depend_on_how(void **state)
{
    (void)state;
    tiny_model variants[] = { tiny_model_default(), tiny_model_default(), tiny_model_default() };
    variants[1].arch = "gemma3";
    variants[1].window = 100;
    variants[1].post_norm = variants[1].qk_norm = true;
    variants[1].n_layers = 7;
    variants[2].arch = "qwen2";
    variants[2].qkv_bias = true;
    variants[2].n_heads = 3;
    variants[2].n_kv_heads = 1;
    variants[2].head_dim = 32;
    variants[2].n_embd = 96;
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        tiny_model_write(&variants[i], tiny_model_path());
        engine *e = open_tiny(1, NULL, 1);
        uint64_t wanted = run_all(e, 1, false);
        engine_close(&e);
        for (int threads = 1; threads <= 5; threads += 2) {
            expect(wanted, threads, NULL, 64, false);
            expect(wanted, threads, NULL, 7, true);
        }
        expect(wanted, 2, NULL, 2, false);
        expect(wanted, 2, NULL, 1, true);
        expect(wanted, 3, "portable", 64, false);
        expect(wanted, 1, "portable", 5, true);
    }
}

/* Four heads share a KV head of 40 dimensions: a group of keys that is short, layers with a window. */
static void nor_do_those_of_eight_bit_keys(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    m.arch = "gemma3";
    m.window = 100;
    m.post_norm = m.qk_norm = true;
    m.n_layers = 7;
    m.n_heads = 4;
    m.n_kv_heads = 1;
    m.head_dim = 40;
    m.n_embd = 96;
    tiny_model_write(&m, tiny_model_path());
    kv_type = ENGINE_KV_Q8;
    engine *e = open_tiny(1, NULL, 1);
    uint64_t wanted = run_all(e, 1, false);
    const engine_budget *b = engine_memory(e);
    /* a position of a layer: codes, and scales of 32 + 8 of K and one of V */
    assert_int_equal(b->pages[0].page_bytes + b->pages[1].page_bytes,
                     7 * KERNELS_PAGE * (2 * 40 + (2 + 1) * sizeof(float)));
    assert_int_equal(b->kv_bytes, b->pages[0].n_pages * b->pages[0].page_bytes +
                                      b->pages[1].n_pages * b->pages[1].page_bytes);
    engine_close(&e);
    for (int threads = 1; threads <= 5; threads += 2) {
        expect(wanted, threads, NULL, 64, false);
        expect(wanted, threads, NULL, 7, true);
    }
    expect(wanted, 2, NULL, 1, true);
    expect(wanted, 3, "portable", 64, false);
    expect(wanted, 1, "portable", 5, true);
    kv_type = ENGINE_KV_F16;
}

static void kv_types_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < ENGINE_KV_TYPES; i++) {
        engine_kv found = ENGINE_KV_TYPES;
        assert_true(engine_kv_named(engine_kv_name((engine_kv)i), &found));
        assert_int_equal(found, i);
        assert_false(engine_kv_named("q9", &found));
        assert_int_equal(found, i);
    }
}

static void truncate_and_feed_again(engine_kv kv)
{
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, tiny_model_path());
    kv_type = kv;
    engine *e = open_tiny(2, NULL, 32);
    kv_type = ENGINE_KV_F16;
    session *s = NULL, *other = NULL;
    const float *logits;
    static float first[96];
    assert_ok(session_open(&s, e, err));
    assert_ok(session_open(&other, e, err));
    assert_ok(session_feed(s, text(), 300, &logits, NULL, NULL, err));
    memcpy(first, logits, sizeof first);
    session_truncate(s, 100);
    assert_int_equal(session_common(s, text(), 300), 100);
    assert_ok(session_feed(s, text() + 300, 150, NULL, NULL, NULL, err));
    assert_ok(session_feed(other, text() + 5, 90, NULL, NULL, NULL, err)); /* takes pages that s gave back */
    session_truncate(s, 100);
    assert_ok(session_feed(s, text() + 100, 200, &logits, NULL, NULL, err));
    assert_memory_equal(first, logits, sizeof first);
    session_close(&s);
    session_close(&other);
    engine_close(&e);
}

static void truncating_and_feeding_again_changes_nothing(void **state)
{
    (void)state;
    for (int kv = 0; kv < ENGINE_KV_TYPES; kv++)
        truncate_and_feed_again((engine_kv)kv);
}

static void stepping_allocates_nothing(void **state)
{
    (void)state;
    engine *e = open_tiny(2, NULL, 64);
    session *s = NULL;
    const float *logits;
    assert_ok(session_open(&s, e, err));
    uint64_t before = mem_count();
    assert_ok(session_feed(s, text(), 200, &logits, NULL, NULL, err));
    for (int i = 200; i < 260; i++)
        assert_ok(session_feed(s, text() + i, 1, &logits, NULL, NULL, err));
    assert_int_equal(mem_count(), before);
    session_close(&s);
    engine_close(&e);
}

static void what_does_not_fit_is_said_and_changes_nothing(void **state)
{
    (void)state;
    engine_options o;
    engine_options_init(&o);
    o.context = 128;
    o.kv_bytes = 1; /* less than a page */
    gguf *g = NULL;
    engine *e = NULL;
    error why;
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_int_equal(engine_open(&e, g, &o, &why), E_NOFIT);
    o.kv_bytes = 0;
    o.mem_bytes = 1000;
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_int_equal(engine_open(&e, g, &o, &why), E_NOFIT);
    assert_non_null(strstr(why.text, "weights"));
    o.mem_bytes = 0;
    e = open_file(tiny_model_path(), &o);
    session *s = NULL, *two = NULL;
    assert_ok(session_open(&s, e, err));
    assert_ok(session_open(&two, e, err));
    assert_int_equal(session_feed(s, text(), 129, NULL, NULL, NULL, &why), E_NOFIT);
    assert_non_null(strstr(why.text, "129"));
    assert_non_null(strstr(why.text, "128"));
    assert_int_equal(session_length(s), 0);
    assert_ok(session_feed(s, text(), 100, NULL, NULL, NULL, err));
    assert_int_equal(session_feed(two, text(), 10, NULL, NULL, NULL, &why), E_NOFIT); /* both pages are taken */
    assert_int_equal(session_length(two), 0);
    engine_row bad[] = { { s, 5, 100, false }, { s, 96, 101, false } };
    assert_int_equal(engine_step(e, bad, 2, NULL, &why), E_RANGE);
    bad[1].token = 5;
    bad[1].position = 100;
    assert_int_equal(engine_step(e, bad, 2, NULL, &why), E_RANGE);
    assert_int_equal(session_length(s), 100);
    bad[1].position = 101;
    assert_ok(engine_step(e, bad, 2, NULL, err));
    assert_int_equal(session_length(s), 102);
    session_close(&s);
    session_close(&two);
    engine_close(&e);
}

static void scores_are_those_of_the_logits(void **state)
{
    (void)state;
    engine *e = open_tiny(2, NULL, 32);
    session *s = NULL;
    static double scores[200];
    const float *logits;
    assert_ok(session_open(&s, e, err));
    assert_ok(session_score(s, text(), 200, scores, NULL, NULL, err));
    session_truncate(s, 0);
    for (int i = 0; i + 1 < 200; i++) {
        assert_ok(session_feed(s, text() + i, 1, &logits, NULL, NULL, err));
        double sum = 0.0, top = (double)logits[0];
        for (int k = 1; k < 96; k++)
            top = (double)logits[k] > top ? (double)logits[k] : top;
        for (int k = 0; k < 96; k++)
            sum += exp((double)logits[k] - top);
        assert_true(fabs((double)logits[text()[i + 1]] - top - log(sum) - scores[i + 1]) < 2e-6);
    }
    session_close(&s);
    engine_close(&e);
}

/* ---- opening ---- */

static status try_open(const tiny_model *m, error *why)
{
    gguf *g = NULL;
    engine *e = NULL;
    tiny_model_write(m, tiny_model_path());
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    status s = engine_open(&e, g, NULL, why);
    engine_close(&e);
    return s;
}

static void wrong_tensors_are_named(void **state)
{
    (void)state;
    error why;
    tiny_model m = tiny_model_default();
    m.missing = "blk.1.ffn_gate.weight";
    assert_int_equal(try_open(&m, &why), E_FORMAT);
    assert_non_null(strstr(why.text, "blk.1.ffn_gate.weight' is missing"));
    m = tiny_model_default();
    m.bent = "blk.0.attn_k.weight";
    assert_int_equal(try_open(&m, &why), E_FORMAT);
    assert_non_null(strstr(why.text, "96 x 32, its keys say 64 x 32"));
    m = tiny_model_default();
    m.extra = "blk.0.attn_sinks.weight";
    assert_int_equal(try_open(&m, &why), E_UNSUPPORTED);
    assert_non_null(strstr(why.text, "blk.0.attn_sinks.weight"));
    m = tiny_model_default();
    m.arch = "mamba";
    assert_int_equal(try_open(&m, &why), E_UNSUPPORTED);
    m = tiny_model_default();
    m.n_kv_heads = 3;
    assert_int_equal(try_open(&m, &why), E_FORMAT);
    m = tiny_model_default();
    m.n_layers = 100000;
    m.missing = NULL;
    m.n_layers = 0;
    assert_int_equal(try_open(&m, &why), E_RANGE);
}

/* Some allocations may fail and nothing is lost but a remembered number: the end is where fewer than n are made. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, tiny_model_path());
    status s = E_NOMEM;
    int failures = 0;
    bool reached = true;
    for (uint64_t n = 1; reached; n++) {
        error why;
        gguf *g = NULL;
        engine *e = NULL;
        session *one = NULL;
        assert_ok(gguf_open(&g, tiny_model_path(), err));
        uint64_t before = mem_count();
        mem_fail_at(n);
        s = engine_open(&e, g, NULL, &why);
        if (!s)
            s = session_open(&one, e, &why);
        mem_fail_at(0);
        reached = mem_count() - before >= n;
        failures += s != OK;
        session_close(&one);
        engine_close(&e);
        assert_true(s == OK || s == E_NOMEM);
        assert_true(n < 1000);
    }
    assert_true(s == OK && failures > 10);
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "logits"))
        return dump_logits(argc, argv);
    if (argc == 4 && !strcmp(argv[1], "like")) {
        tiny_model m = tiny_model_like(argv[2]);
        tiny_model_write(&m, argv[3]);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_do_not_depend_on_how),
        cmocka_unit_test(nor_do_those_of_eight_bit_keys),
        cmocka_unit_test(kv_types_have_names),
        cmocka_unit_test(truncating_and_feeding_again_changes_nothing),
        cmocka_unit_test(stepping_allocates_nothing),
        cmocka_unit_test(what_does_not_fit_is_said_and_changes_nothing),
        cmocka_unit_test(scores_are_those_of_the_logits),
        cmocka_unit_test(wrong_tensors_are_named),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
