/* The same prompts alone and in company give the same bits: every prompt's logits, at every position, when each is fed
 * by itself one token a step, and when all go through the model together, in chunks that change from step to step, with
 * any number of threads, on every instruction set level that this machine has. */
#include "lib/check.h"
#include "lib/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "gguf/gguf.h"
#include "plat/cpu.h"

enum { PROMPTS = 5, LONGEST = 640, BATCH = 64 };
#ifdef __SANITIZE_THREAD__ /* ten times slower: fewer numbers of threads, and one thread has no races */
enum { EACH_THREADS = 3, ONE_THREAD = false };
#else
enum { EACH_THREADS = 1, ONE_THREAD = true };
#endif

typedef struct prompts {
    uint32_t n[PROMPTS];
    int32_t tokens[PROMPTS][LONGEST];
} prompts;

/* Some begin alike; the lengths are no multiples of anything, and one is beyond a softmax span. */
static void make_prompts(prompts *p, uint32_t n_vocab, uint32_t longest)
{
    uint32_t x = 12345;
    for (uint32_t i = 0; i < PROMPTS; i++) {
        p->n[i] = longest * (i + 1) / PROMPTS + (i & 1);
        p->n[i] = p->n[i] < longest ? p->n[i] : longest;
        for (uint32_t k = 0; k < p->n[i]; k++) {
            x = x * 1664525u + 1013904223u;
            p->tokens[i][k] = i % 2 && k < 9 ? p->tokens[i - 1][k] : (int32_t)((x >> 8) % n_vocab);
        }
    }
}

/* FNV-1a over the bits of logits. */
static uint64_t add_hash(uint64_t h, const float *x, size_t n)
{
    const unsigned char *p = (const unsigned char *)x;
    for (size_t i = 0; i < n * sizeof *x; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static engine_kv kv_type; /* of every engine opened here */

static engine *open_with(const char *path, int threads, const char *isa)
{
    gguf *g = NULL;
    engine *e = NULL;
    engine_options o;
    engine_options_init(&o);
    o.context = LONGEST;
    o.n_threads = threads;
    o.isa = isa;
    o.batch = BATCH;
    o.n_sessions = PROMPTS;
    o.kv_type = kv_type;
    assert_ok(gguf_open(&g, path, err));
    assert_ok(engine_open(&e, g, &o, err));
    return e;
}

static void alone(const char *path, const prompts *p, uint64_t hashes[PROMPTS])
{
    engine *e = open_with(path, 1, NULL);
    size_t n_vocab = engine_get_info(e)->n_vocab;
    for (int i = 0; i < PROMPTS; i++) {
        session *s = NULL;
        const float *logits;
        hashes[i] = 1;
        assert_ok(session_open(&s, e, err));
        for (uint32_t k = 0; k < p->n[i]; k++) {
            assert_ok(session_feed(s, &p->tokens[i][k], 1, &logits, NULL, NULL, err));
            hashes[i] = add_hash(hashes[i], logits, n_vocab);
        }
        session_close(&s);
    }
    engine_close(&e);
}

/* One step with the next rows of every prompt that is not at its end, up to `most` of each. */
static uint32_t fill(engine_row *rows, uint32_t *which, session *const *s, const prompts *p, uint32_t most,
                     uint32_t limit, uint32_t turn)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < PROMPTS; k++) {
        uint32_t i = (k + turn) % PROMPTS, at = session_length(s[i]);
        uint32_t count = 1 + (turn * 7 + i * 3) % most;
        for (uint32_t c = 0; c < count && at + c < p->n[i] && n < limit; c++, n++) {
            rows[n] = (engine_row){ s[i], p->tokens[i][at + c], at + c, true };
            which[n] = i;
        }
    }
    return n;
}

static void together(const char *path, const prompts *p, const uint64_t expected[PROMPTS], int threads,
                     const char *isa, uint32_t most)
{
    engine *e = open_with(path, threads, isa);
    size_t n_vocab = engine_get_info(e)->n_vocab;
    uint32_t limit = engine_logit_rows(e) < BATCH ? engine_logit_rows(e) : BATCH, turn = 0, n;
    session *s[PROMPTS] = { 0 };
    uint64_t found[PROMPTS];
    engine_row rows[BATCH];
    uint32_t which[BATCH];
    const float *logits[BATCH];
    for (int i = 0; i < PROMPTS; i++) {
        found[i] = 1;
        assert_ok(session_open(&s[i], e, err));
    }
    while ((n = fill(rows, which, s, p, most, limit, turn++)) > 0) {
        assert_ok(engine_step(e, rows, n, logits, err));
        for (uint32_t r = 0; r < n; r++)
            found[which[r]] = add_hash(found[which[r]], logits[r], n_vocab);
    }
    for (int i = 0; i < PROMPTS; i++) {
        if (found[i] != expected[i])
            fail_msg("%s: prompt %d in company, %d threads, %s, up to %u rows: other bits", path, i, threads,
                     isa ? isa : "best", most);
        session_close(&s[i]);
    }
    engine_close(&e);
}

/* Levels that this machine has, "portable" first. */
static int levels(const char *out[8])
{
    static const char *const names[] = { "portable", "avx2", "avx512", "amx", "neon", "dotprod", "i8mm" };
    int n = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        unsigned features;
        error why;
        if (cpu_choose(names[i], &features, &why) == OK)
            out[n++] = names[i];
    }
    return n;
}

static void small_models(void **state)
{
    (void)state;
    static prompts p;
    const char *path = tiny_model_path(), *isa[8];
    int n_levels = levels(isa);
    tiny_model models[4] = { tiny_model_default(), tiny_model_default() };
    models[1].arch = "gemma3";
    models[1].window = 70;
    models[1].post_norm = models[1].qk_norm = true;
    models[1].n_layers = 7;
    models[2] = models[0], models[3] = models[1];
    make_prompts(&p, 96, 560);
    for (size_t m = 0; m < ARRAY_LEN(models); m++) {
        uint64_t expected[PROMPTS];
        kv_type = m < 2 ? ENGINE_KV_F16 : ENGINE_KV_Q8;
        tiny_model_write(&models[m], path);
        alone(path, &p, expected);
        for (int threads = 1; threads <= 8; threads += m ? 5 : EACH_THREADS)
            together(path, &p, expected, threads, isa[threads % n_levels], threads % 3 * 5 + 1);
        for (int i = 0; i < n_levels; i++) {
            together(path, &p, expected, 2, isa[i], 1);
            if (ONE_THREAD)
                together(path, &p, expected, 1, isa[i], 13);
        }
    }
}

static void real_model(void **state)
{
    static prompts p;
    const char *isa[8], *path = *state;
    int n_levels = levels(isa);
    uint64_t expected[PROMPTS];
    make_prompts(&p, 49000, 14);
    kv_type = ENGINE_KV_F16;
    alone(path, &p, expected);
    for (int i = 0; i < n_levels; i++)
        together(path, &p, expected, i ? 2 : 3, isa[i], i % 2 ? 4 : 7);
    together(path, &p, expected, 8, NULL, 2);
    kv_type = ENGINE_KV_Q8;
    alone(path, &p, expected);
    together(path, &p, expected, 2, n_levels > 1 ? isa[1] : NULL, 7);
}

int main(void)
{
    static const char *const files[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf" };
    static char path[512];
    const char *cache = getenv("HEARTH_CACHE");
    const struct CMUnitTest small[] = { cmocka_unit_test(small_models) };
    int failures = cmocka_run_group_tests(small, NULL, NULL), missing = 0;
    for (size_t i = 0; i < ARRAY_LEN(files) && !failures; i++) {
        snprintf(path, sizeof path, "%s/%s", cache ? cache : "build/cache", files[i]);
        FILE *f = fopen(path, "rb");
        missing += f == NULL;
        if (!f)
            continue;
        fclose(f);
        const struct CMUnitTest real[] = { cmocka_unit_test_prestate(real_model, path) };
        failures = cmocka_run_group_tests(real, NULL, NULL);
    }
    if (missing)
        printf("%d models are not in the cache (network)\n", missing);
    return failures ? 1 : missing ? 77 : 0;
}
