/* The real models against the record of llama.cpp on the same weights in F32 (tests/golden/NAME.agree, `make agree`):
 * the exact path must say the same, the fast path must be no further away than llama.cpp's own quantised path. And the
 * fast path's bits, which are a constant of the numerics version (tests/golden/digests.txt). HEARTH_AGREE=digest: the
 * bits only, which is what an emulated processor has time for.
 *
 * The KL here is over the record's partition (48 likeliest tokens, 16 buckets of the rest): at most the full one, which
 * tests/golden/agree.json states. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/gguf.h"

enum { EXACT_POSITIONS = 512, DIGEST_POSITIONS = 200, SKIP = 77 };

typedef struct agree_header {
    char magic[8];
    uint32_t n, top, buckets, vocab;
    double peer_kl;
} agree_header;

typedef struct agreement {
    agree_header h;
    char *data;
    const char *rows;
    int32_t *tokens;
    double *scores;
    double kl, worst;
    uint32_t n, same;
    digest *d; /* of the first positions' logits */
} agreement;

static bool cached(const char *file, char path[512])
{
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(path, 512, "%s/%s", cache ? cache : "build/cache", file);
    FILE *f = fopen(path, "rb");
    if (f)
        fclose(f);
    return f != NULL;
}

static void read_record(agreement *a, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "tests/golden/%s.agree", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(&a->h, sizeof a->h, 1, f), 1);
    assert_memory_equal(a->h.magic, "HAGREE01", 8);
    size_t row = a->h.top * 8u + a->h.buckets * 4u;
    a->tokens = mem_array(a->h.n, sizeof *a->tokens);
    a->scores = mem_array(a->h.n, sizeof *a->scores);
    a->data = mem_array(a->h.n, row);
    assert_int_equal(fread(a->tokens, sizeof *a->tokens, a->h.n, f), a->h.n);
    assert_int_equal(fread(a->data, row, a->h.n, f), a->h.n);
    a->rows = a->data;
    fclose(f);
}

/* KL of ours from theirs at the position before token i. */
static void compare(void *user, uint32_t i, const float *logits, double log_sum)
{
    agreement *a = user;
    const agree_header *h = &a->h;
    const char *row = a->rows + (size_t)(i - 1) * (h->top * 8u + h->buckets * 4u);
    const int32_t *ids = (const int32_t *)row;
    const float *logp = (const float *)(row + h->top * 4u), *rest = logp + h->top;
    double ours[64] = { 0 }, kl = 0.0;
    size_t best = 0;
    for (uint32_t t = 0; t < h->vocab; t++) {
        ours[t % h->buckets] += exp((double)logits[t] - log_sum);
        best = logits[t] > logits[best] ? t : best;
    }
    for (uint32_t k = 0; k < h->top; k++) {
        double p = exp((double)logp[k]), mine = (double)logits[ids[k]] - log_sum;
        ours[(uint32_t)ids[k] % h->buckets] -= exp(mine);
        kl += p * ((double)logp[k] - mine);
    }
    for (uint32_t b = 0; b < h->buckets; b++)
        if (rest[b] > -80.0f && ours[b] > 1e-15)
            kl += exp((double)rest[b]) * ((double)rest[b] - log(ours[b]));
    a->kl += kl;
    a->worst = kl > a->worst ? kl : a->worst;
    a->same += best == (size_t)ids[0];
    a->n++;
    if (a->n <= DIGEST_POSITIONS)
        digest_add(a->d, logits, h->vocab * sizeof *logits);
}

static void measure(agreement *a, const char *path, bool exact, uint32_t positions)
{
    engine_options o;
    gguf *g = NULL;
    engine *e = NULL;
    session *s = NULL;
    engine_options_init(&o);
    o.exact = exact;
    o.kv_type = exact ? ENGINE_KV_F32 : ENGINE_KV_F16;
    o.context = 4096;
    assert_ok(gguf_open(&g, path, err));
    assert_ok(engine_open(&e, g, &o, err));
    assert_ok(session_open(&s, e, err));
    assert_int_equal(engine_get_info(e)->n_vocab, a->h.vocab);
    a->kl = a->worst = 0.0;
    a->n = a->same = 0;
    a->d = digest_open();
    assert_non_null(a->d);
    assert_ok(session_score(s, a->tokens, positions < a->h.n ? positions : a->h.n, a->scores, compare, a, err));
    a->kl /= a->n;
    printf("%s, %u positions: mean KL %.2e (largest %.1e), top-1 %.2f %%\n", exact ? "exact" : "fast", a->n, a->kl,
           a->worst, 100.0 * a->same / a->n);
    session_close(&s);
    engine_close(&e);
}

/* The digest of the logits that measure() saw, against the line of this name. */
static void check_digest(agreement *a, const char *name)
{
    uint8_t bytes[DIGEST_BYTES];
    char hex[DIGEST_HEX], line[256];
    bool found = false;
    digest_close(&a->d, bytes);
    digest_hex(bytes, hex);
    FILE *f = fopen("tests/golden/digests.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        found = found || (!strncmp(line, name, strlen(name)) && strstr(line, hex));
    fclose(f);
    if (!found)
        fail_msg("%s %s is not in tests/golden/digests.txt: a kernel changed its bits, or the numerics version changed",
                 name, hex);
}

static void agrees(const char *name, const char *file)
{
    char path[512];
    agreement a = { 0 };
    if (!cached(file, path)) {
        printf("%s is not in the cache (network)\n", file);
        exit(SKIP);
    }
    read_record(&a, name);
    const char *mode = getenv("HEARTH_AGREE");
    if (mode && !strcmp(mode, "digest")) {
        measure(&a, path, false, DIGEST_POSITIONS + 1);
        check_digest(&a, name);
        return;
    }
    measure(&a, path, true, EXACT_POSITIONS);
    digest_close(&a.d, NULL);
    assert_true(a.kl < 1e-5);
    assert_true(a.same >= a.n - a.n / 1000);
    measure(&a, path, false, UINT32_MAX);
    check_digest(&a, name);
    printf("llama.cpp's own quantised path: mean KL %.2e\n", a.h.peer_kl);
    assert_true(a.n >= 2000);
    assert_true(a.kl <= a.h.peer_kl);
    mem_free(a.data);
    mem_free(a.tokens);
    mem_free(a.scores);
}

static void smollm2_agrees(void **state)
{
    (void)state;
    agrees("smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

static void gemma3_agrees(void **state)
{
    (void)state;
    agrees("gemma3", "gemma-3-270m-q4_k_m.gguf");
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    printf("agreement is about numbers, and takes half an hour watched: engine/engine watches the threads\n");
    return 77;
#endif
    if (models_are_tiny()) {
        printf("agreement is about real models\n");
        return SKIP;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(smollm2_agrees), cmocka_unit_test(gemma3_agrees) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
