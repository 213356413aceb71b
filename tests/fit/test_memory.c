/* What a model takes before it is loaded, and what would fit instead: pure functions of header and budget. That the
 * bytes are those of the real processes is tests/cli/test_memory.py's to prove; for it this program also writes models
 * of random weights in the shapes of real ones (shape NAME VOCABULARY PATH) and says what is planned (plan PATH CONTEXT
 * KV PARALLEL THREADS). */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "engine/share.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "lib/tiny_model.h"
#include "plat/footprint.h"
#include "token/vocab.h"

/* Layers, widths and heads; the vocabulary is that of a file. */
static const struct shape {
    const char *name;
    tiny_model m;
} shapes[] = {
    /* those of published models: configuration files of Qwen3-0.6B and Llama-3.2-1B */
    { "qwen3-0.6b", { .arch = "qwen3", .n_embd = 1024, .n_layers = 28, .n_ff = 3072, .n_heads = 16, .n_kv_heads = 8,
                      .head_dim = 128, .context = 40960, .qk_norm = true } },
    { "llama-1b", { .arch = "llama", .n_embd = 2048, .n_layers = 16, .n_ff = 8192, .n_heads = 32, .n_kv_heads = 8,
                    .head_dim = 64, .context = 131072 } },
    /* small ones that differ in what they spend: on KV, on the vocabulary, on a window, on layers */
    { "keys", { .arch = "qwen3", .n_embd = 128, .n_layers = 8, .n_ff = 256, .n_heads = 8, .n_kv_heads = 8,
                .head_dim = 128, .context = 8192, .qk_norm = true } },
    { "words", { .arch = "llama", .n_embd = 256, .n_layers = 2, .n_ff = 512, .n_heads = 4, .n_kv_heads = 2,
                 .head_dim = 64, .context = 8192 } },
    { "window", { .arch = "gemma3", .n_embd = 256, .n_layers = 12, .n_ff = 512, .n_heads = 4, .n_kv_heads = 4,
                  .head_dim = 128, .context = 8192, .window = 512, .post_norm = true, .qk_norm = true } },
    { "deep", { .arch = "llama", .n_embd = 320, .n_layers = 24, .n_ff = 896, .n_heads = 5, .n_kv_heads = 5,
                .head_dim = 64, .context = 8192 } },
};

static int write_shape(const char *name, const char *vocabulary, const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        if (strcmp(shapes[i].name, name) != 0)
            continue;
        tiny_model m = shapes[i].m;
        gguf *g = NULL;
        const gguf_value *tokens;
        assert_ok(gguf_open(&g, vocabulary, err));
        assert_ok(gguf_array(g, "tokenizer.ggml.tokens", GGUF_STR, 0, &tokens, err));
        m.n_vocab = (uint32_t)tokens->n;
        m.like = vocabulary;
        gguf_close(&g);
        tiny_model_write(&m, path);
        return 0;
    }
    fprintf(stderr, "no shape is called %s\n", name);
    return 2;
}

static int print_plan(char **argv)
{
    gguf *g = NULL;
    engine_options o;
    fit_model f = { .have_bytes = 0 };
    engine_options_init(&o);
    o.context = (uint32_t)strtoul(argv[1], NULL, 10);
    o.n_sessions = (uint32_t)strtoul(argv[3], NULL, 10);
    o.n_threads = (int)strtol(argv[4], NULL, 10);
    assert_true(engine_kv_named(argv[2], &o.kv_type));
    assert_ok(gguf_open(&g, argv[0], err));
    assert_ok(fit_memory(g, &o, &f, err));
    gguf_close(&g);
    const footprint_use call = { .n_requests = 1 };
    printf("{\"need\": %llu, \"server\": %llu, \"grammars\": %llu, \"weights\": %llu, \"kv\": %llu, \"scratch\": %llu, "
           "\"vocab\": %llu, \"process\": %llu, \"load\": %llu, \"egress\": %llu}\n",
           (unsigned long long)f.need_bytes, (unsigned long long)f.server_bytes,
           (unsigned long long)f.budget.grammar_bytes, (unsigned long long)f.budget.weights_bytes,
           (unsigned long long)f.budget.kv_bytes, (unsigned long long)f.budget.scratch_bytes,
           (unsigned long long)f.budget.vocab_bytes, (unsigned long long)f.process_bytes,
           (unsigned long long)f.budget.load_bytes,
           (unsigned long long)footprint_bytes(FOOTPRINT_EGRESS, &call));
    return 0;
}

/* ---- tests ---- */

static fit_machine with_free(uint64_t bytes)
{
    return (fit_machine){ .memory = { .total_bytes = 64ull << 30, .usable_bytes = bytes } };
}

static void the_vocabulary_is_planned_to_a_fifth(void **state)
{
    gguf *g = NULL;
    vocab *v = NULL;
    assert_ok(gguf_open(&g, *state, err));
    assert_ok(vocab_open(&v, g, err));
    assert_in_range(vocab_plan(g), vocab_bytes(v), vocab_bytes(v) + vocab_bytes(v) / 5 + (64 << 10));
    vocab_close(&v);
    gguf_close(&g);
}

/* All of llama.cpp's vocabulary files that are there. */
static void grammars_take_no_more_than_is_planned(void **state)
{
    static const char *const names[] = { "llama-bpe", "qwen2", "gemma-4", "phi-3", "command-r", "gpt-2", "baichuan",
                                         "deepseek-llm", "falcon", "llama-spm", "refact", "starcoder" };
    char path[4200];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *cache = getenv("HEARTH_CACHE");
        snprintf(path, sizeof path, "%s/vocabs/ggml-vocab-%s.gguf", cache ? cache : "build/cache", names[i]);
        if (access(path, R_OK))
            continue;
        gguf *g = NULL;
        vocab *v = NULL;
        grammar_vocab *gv = NULL;
        engine_budget b = { 0 };
        const gguf_value *t;
        assert_ok(gguf_open(&g, path, err));
        assert_ok(vocab_open(&v, g, err));
        assert_ok(gguf_array(g, "tokenizer.ggml.tokens", GGUF_STR, 0, &t, err));
        b.grammar_bytes = grammar_vocab_bound((size_t)t->n, (size_t)(t->bytes - 8 * t->n));
        assert_ok(grammar_vocab_open(&gv, v, err));
        assert_in_range(b.grammar_bytes, grammar_vocab_bytes(gv), 3 * grammar_vocab_bytes(gv));
        assert_in_range(vocab_plan(g), vocab_bytes(v), vocab_bytes(v) + vocab_bytes(v) / 5 + (64 << 10));
        grammar_vocab_close(&gv);
        vocab_close(&v);
        gguf_close(&g);
    }
}

/* Each way is within the budget, the next larger context is not, and the order is that of what is lost. */
static void every_way_out_is_one(void **state)
{
    gguf *g = NULL;
    engine_options o;
    engine_options_init(&o);
    o.context = 4096;
    o.n_threads = 1;
    assert_ok(gguf_open(&g, *state, err));
    fit_model f;
    fit_machine m = with_free(1);
    assert_ok(fit_model_file(*state, &o, &m, &f, err));
    const uint64_t floor = f.need_bytes - f.budget.kv_bytes;
    for (int part = 1; part < 10; part++) {
        fit_ways w;
        f.have_bytes = floor + f.budget.kv_bytes * (uint64_t)part / 10;
        assert_ok(fit_nearest(g, NULL, &o, &f, &w, err));
        for (int i = 0; i < NEAREST_WAYS; i++) {
            if (!w.ways.fits[i])
                continue;
            fit_model at;
            engine_options changed = o;
            changed.context = w.ways.context[i];
            changed.kv_type = w.ways.kv_type[i];
            assert_ok(fit_model_file(*state, &changed, &m, &at, err));
            assert_in_range(at.need_bytes, 1, f.have_bytes + (1 << 17)); /* the process counts a context's tokens too */
            changed.context += 64;
            assert_ok(fit_model_file(*state, &changed, &m, &at, err));
            if (i == NEAREST_CONTEXT || i == NEAREST_CONTEXT_Q8)
                assert_true(at.need_bytes + (1 << 17) > f.have_bytes);
        }
        assert_int_equal(w.ways.fits[NEAREST_Q8], w.ways.fits[NEAREST_Q8] && w.ways.context[NEAREST_Q8] == 4096);
        assert_true(w.ways.fits[NEAREST_Q8] || w.ways.fits[NEAREST_CONTEXT] || w.ways.fits[NEAREST_CONTEXT_Q8]);
        assert_false(w.ways.fits[NEAREST_Q8] && w.ways.fits[NEAREST_CONTEXT_Q8]);
    }
    gguf_close(&g);
}

static void a_refusal_shows_options_to_type(void **state)
{
    gguf *g = NULL;
    engine *e = NULL;
    engine_options o;
    engine_budget b;
    error why;
    engine_options_init(&o);
    o.context = 4096;
    assert_ok(gguf_open(&g, *state, err));
    assert_ok(engine_plan(g, &o, &b, err));
    o.mem_bytes = b.total_bytes - b.kv_bytes / 4;
    assert_int_equal(engine_open(&e, g, &o, &why), E_NOFIT);
    assert_non_null(strstr(why.text, "weights "));
    assert_non_null(strstr(why.text, " = "));
    assert_non_null(strstr(why.text, "--kv q8 ("));
    assert_non_null(strstr(why.text, "--ctx "));
    assert_ok(gguf_open(&g, *state, err));
    o.mem_bytes = 1 << 16;
    assert_int_equal(engine_open(&e, g, &o, &why), E_NOFIT);
    assert_non_null(strstr(why.text, "a smaller model"));
}

static void what_is_shared_is_what_fits(void **state)
{
    gguf *g = NULL;
    engine_options o;
    engine_budget all, some;
    assert_ok(gguf_open(&g, *state, err));
    engine_options_init(&o);
    o.context = 1024;
    o.n_threads = 1;
    assert_ok(engine_share(g, &o, 16, &all, err));
    assert_int_equal(o.n_sessions, SHARE_CONTEXTS);
    assert_true(o.slices && o.grammars && o.process_bytes);
    assert_int_equal(all.total_bytes, all.weights_bytes + all.kv_bytes + all.scratch_bytes + all.vocab_bytes +
                                          all.grammar_bytes + all.load_bytes + all.process_bytes);
    for (uint64_t mem = all.total_bytes; mem > all.weights_bytes; mem -= all.kv_bytes / 8) {
        engine_options within;
        engine_options_init(&within);
        within.context = 1024;
        within.n_threads = 1;
        within.mem_bytes = mem;
        assert_ok(engine_share(g, &within, 16, &some, err));
        assert_true(some.total_bytes <= mem || (within.n_sessions == 1 && !within.slices));
    }
    gguf_close(&g);
}

static void another_file_of_the_same_model_is_named(void **state)
{
    (void)state;
    char folder[] = "/tmp/hearth-fit-XXXXXX", large[64], small[64], other[64];
    assert_non_null(mkdtemp(folder));
    snprintf(large, sizeof large, "%s/it-F16.gguf", folder);
    snprintf(small, sizeof small, "%s/it-q4_0.gguf", folder);
    snprintf(other, sizeof other, "%s/other-q4_0.gguf", folder);
    tiny_model m = tiny_model_default();
    m.n_embd = 256; /* rows of the embedding are most of it */
    m.n_vocab = 8192;
    m.n_ff = 512;
    tiny_model_write(&m, large);
    m.n_ff = 64;
    tiny_model_write(&m, small);
    tiny_model_write(&m, other);
    gguf *g = NULL;
    engine_options o;
    fit_model f;
    fit_ways w;
    fit_machine machine = with_free(1ull << 30);
    engine_options_init(&o);
    o.context = 64;
    assert_ok(fit_model_file(small, &o, &machine, &f, err));
    const uint64_t need = f.need_bytes;
    machine = with_free(need + (64 << 10));
    assert_ok(fit_model_file(large, &o, &machine, &f, err));
    f.have_bytes = need + 1;
    assert_true(f.need_bytes > f.have_bytes);
    assert_ok(gguf_open(&g, large, err));
    assert_ok(fit_nearest(g, large, &o, &f, &w, err));
    gguf_close(&g);
    assert_string_equal(w.file, "it-q4_0");
    assert_int_equal(w.file_need, need);
    assert_int_equal(unlink(large) | unlink(small) | unlink(other) | rmdir(folder), 0);
}

static void reserve_and_slack_follow_the_rules(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20, gib = 1 << 30;
    machine_memory m = { .usable_bytes = 8 * gib, .reserve_bytes = 8 * gib / 20 };
    assert_int_equal(machine_memory_budget(&m, 0), 8 * gib - 8 * gib / 20);
    assert_int_equal(machine_memory_budget(&m, gib), gib); /* what is asked for is not reduced */
    assert_int_equal(machine_memory_budget(&m, 9 * gib), 8 * gib);
    machine_read_memory(&m);
    uint64_t u = m.usable_bytes, rule = u / 20 > 256 * mib ? u / 20 : 256 * mib;
    assert_int_equal(m.reserve_bytes, rule < u / 16 ? rule : u / 16);
    assert_int_equal(footprint_slack(64 * mib), 8 * mib);
    assert_int_equal(footprint_slack(gib), 64 * mib);
    assert_int_equal(footprint_slack(64 * gib), 256 * mib);
    assert_true(footprint_bodies(gib) == 64 * mib && footprint_bodies(mib) == mib);
}

int main(int argc, char **argv)
{
    static char model[4096];
    const char *cache = getenv("HEARTH_CACHE");
    if (argc == 5 && strcmp(argv[1], "shape") == 0)
        return write_shape(argv[2], argv[3], argv[4]);
    if (argc == 7 && strcmp(argv[1], "plan") == 0)
        return print_plan(argv + 2);
    snprintf(model, sizeof model, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    if (access(model, R_OK)) {
        printf("%s is not there: skipped for want of the network\n", model);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_vocabulary_is_planned_to_a_fifth, model),
        cmocka_unit_test(grammars_take_no_more_than_is_planned),
        cmocka_unit_test_prestate(every_way_out_is_one, model),
        cmocka_unit_test_prestate(a_refusal_shows_options_to_type, model),
        cmocka_unit_test_prestate(what_is_shared_is_what_fits, model),
        cmocka_unit_test(another_file_of_the_same_model_is_named),
        cmocka_unit_test(reserve_and_slack_follow_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
