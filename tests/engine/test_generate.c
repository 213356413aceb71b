/* Sampling against a naive sort, and the generate loop on a real model: determinism, stop strings, whole characters,
 * reuse of the prefix, cancelling, limits. */
#include "lib/check.h"
#include "lib/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "engine/engine_int.h"
#include "engine/generate.h"
#include "gguf/gguf.h"
#include "hearth.h"
#include "token/vocab.h"

static engine *open_path(const char *path)
{
    gguf *g = NULL;
    engine *e = NULL;
    engine_options o;
    engine_options_init(&o);
    o.context = 256;
    assert_ok(gguf_open(&g, path, err));
    assert_ok(engine_open(&e, g, &o, err));
    return e;
}

/* ---- the sampler ---- */

enum { V = 96, DRAWS = 20000 };

static engine *tiny(void)
{
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, tiny_model_path());
    return open_path(tiny_model_path());
}

static void random_numbers_are_philox(void **state)
{
    (void)state;
    assert_int_equal(sample_random(0, 0, 0), 0x6627e8d5); /* the authors' known answer */
    assert_int_not_equal(sample_random(1, 0, 0), sample_random(0, 1, 0));
    assert_int_not_equal(sample_random(0, 1, 0), sample_random(0, 0, 1));
}

static int by_logit(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->token - y->token;
}

/* The distribution that the options ask for, the naive way. */
static void naive(const float *logits, const sampling_options *o, double p[V])
{
    candidate c[V];
    double total = 0.0, before = 0.0, kept = 0.0;
    size_t n = o->top_k && o->top_k < V ? o->top_k : V;
    for (int i = 0; i < V; i++) {
        c[i] = (candidate){ logits[i] / o->temperature, i };
        p[i] = 0.0;
    }
    qsort(c, V, sizeof *c, by_logit);
    for (size_t i = 0; i < n; i++)
        total += exp((double)(c[i].logit - c[0].logit));
    for (size_t i = 0; i < n; i++) {
        double w = exp((double)(c[i].logit - c[0].logit));
        if (i && (w < (double)o->min_p || (o->top_p < 1.0f && before >= (double)o->top_p * total)))
            break;
        p[c[i].token] = w;
        before += w;
        kept += w;
    }
    for (int i = 0; i < V; i++)
        p[i] /= kept;
}

static void draws_follow_the_filters(void **state)
{
    (void)state;
    static const struct {
        float temperature, top_p, min_p;
        uint32_t top_k;
    } cases[] = {
        { 1.0f, 1.0f, 0.0f, 0 }, { 0.7f, 1.0f, 0.0f, 0 },   { 1.0f, 1.0f, 0.0f, 5 },   { 1.0f, 0.8f, 0.0f, 0 },
        { 1.3f, 1.0f, 0.1f, 0 }, { 0.8f, 0.9f, 0.05f, 40 }, { 2.0f, 0.5f, 0.02f, 10 }, { 1.0f, 0.0f, 0.0f, 0 },
    };
    engine *e = tiny();
    session *s = NULL;
    float logits[V];
    assert_ok(session_open(&s, e, err));
    for (int i = 0; i < V; i++)
        logits[i] = (float)((i * 37) % 29) * 0.25f; /* with ties */
    for (size_t k = 0; k < ARRAY_LEN(cases); k++) {
        sampling_options o;
        sampling_options_init(&o);
        o.temperature = cases[k].temperature;
        o.top_p = cases[k].top_p;
        o.min_p = cases[k].min_p;
        o.top_k = cases[k].top_k;
        o.seed = k;
        double p[V];
        int count[V] = { 0 };
        naive(logits, &o, p);
        for (uint32_t i = 0; i < DRAWS; i++) {
            sampled out = { 0 };
            o.choice = i;
            engine_sample(e, &e->samplers[0], s, logits, NULL, &o, &out);
            count[out.token]++;
        }
        for (int i = 0; i < V; i++) {
            double sigma = sqrt(DRAWS * p[i] * (1.0 - p[i]));
            if (fabs(count[i] - DRAWS * p[i]) > 5.0 * sigma + 1e-9)
                fail_msg("case %zu: token %d drawn %d times, expected %.1f", k, i, count[i], DRAWS * p[i]);
        }
    }
    session_close(&s);
    engine_close(&e);
}

static void penalties_and_reports(void **state)
{
    (void)state;
    engine *e = tiny();
    session *s = NULL;
    float logits[V] = { 0 };
    token_logprob top[SAMPLING_LOGPROBS];
    sampled out = { .top = top };
    sampling_options o;
    const int32_t seen[] = { 7, 7, 8 };
    sampling_options_init(&o);
    o.temperature = 0.0f;
    o.n_logprobs = 3;
    assert_ok(session_open(&s, e, err));
    assert_ok(session_feed(s, seen, 3, NULL, NULL, NULL, err));
    logits[7] = 5.0f;
    logits[8] = 4.5f;
    logits[20] = logits[21] = 4.0f;
    engine_sample(e, &e->samplers[0], s, logits, NULL, &o, &out);
    assert_int_equal(out.token, 7);
    assert_int_equal(out.n_top, 3);
    assert_int_equal(top[0].token, 7);
    assert_int_equal(top[1].token, 8);
    assert_int_equal(top[2].token, 20); /* ties: the lowest id */
    double sum = 92.0 + exp(5.0) + exp(4.5) + 2.0 * exp(4.0);
    assert_true(fabs((double)out.logprob - (5.0 - log(sum))) < 1e-5);
    o.frequency_penalty = 0.4f; /* 5 - 0.8, 4.5 - 0.4 */
    engine_sample(e, &e->samplers[0], s, logits, NULL, &o, &out);
    assert_int_equal(out.token, 7);
    o.presence_penalty = 0.15f; /* 4.05, 3.95 */
    engine_sample(e, &e->samplers[0], s, logits, NULL, &o, &out);
    assert_int_equal(out.token, 7);
    o.repeat_penalty = 1.3f; /* 5 / 1.3 - 0.95, ... */
    engine_sample(e, &e->samplers[0], s, logits, NULL, &o, &out);
    assert_int_equal(out.token, 20);
    o.repeat_last_n = 1; /* only 8 is seen now */
    engine_sample(e, &e->samplers[0], s, logits, NULL, &o, &out);
    assert_int_equal(out.token, 7);
    o.min_p = 2.0f;
    error why;
    assert_int_equal(sampling_options_check(&o, &why), E_RANGE);
    assert_non_null(strstr(why.text, "min_p"));
    session_close(&s);
    engine_close(&e);
}

/* ---- the loop, on SmolLM2 ---- */

typedef struct heard {
    char text[8192];
    size_t n;
    int32_t tokens[512];
    uint32_t n_tokens, cancel_at;
    uint64_t allocations; /* at the first token and at the last */
    bool allocated;
} heard;

static bool hear(void *user, const generate_event *event)
{
    heard *h = user;
    if (event->kind == GENERATE_TEXT) {
        assert_true(utf8_valid(event->text, event->text_bytes));
        assert_int_equal(strlen(event->text), event->text_bytes);
        memcpy(h->text + h->n, event->text, event->text_bytes + 1);
        h->n += event->text_bytes;
    }
    if (event->kind == GENERATE_TOKEN) {
        if (!h->n_tokens)
            h->allocations = mem_count();
        h->allocated = h->allocated || mem_count() != h->allocations;
        h->tokens[h->n_tokens++] = event->token.token;
    }
    return h->cancel_at && h->n_tokens >= h->cancel_at;
}

static engine *loaded;
static char model_path[512];

static generate_result answer(session *s, const char *prompt, const sampling_options *o, heard *h)
{
    token_list list = TOKEN_LIST_INIT(4096);
    generate_result r = { 0 };
    memset(h->text, 0, sizeof h->text);
    h->n = h->n_tokens = 0;
    assert_ok(vocab_encode(engine_vocab(loaded), prompt, strlen(prompt), VOCAB_BOS, &list, err));
    assert_ok(engine_generate(s, list.ids, (uint32_t)list.n, o, hear, h, &r, err));
    token_list_clear(&list);
    return r;
}

static const char PROMPT[] = "The three largest cities of France are";

static void answers_are_reproducible_and_reuse_the_prefix(void **state)
{
    (void)state;
    session *s = NULL, *fresh = NULL;
    sampling_options o;
    sampling_options_init(&o);
    o.max_tokens = 60;
    o.seed = 11;
    heard a = { 0 }, b = { 0 };
    assert_ok(session_open(&s, loaded, err));
    generate_result r = answer(s, PROMPT, &o, &a);
    assert_int_equal(r.n_reused, 0);
    assert_false(a.allocated);
    generate_result again = answer(s, PROMPT, &o, &b);
    assert_int_equal(again.n_reused, again.n_prompt - 1);
    assert_string_equal(a.text, b.text);
    assert_true(r.sum_logprob == again.sum_logprob);
    session_close(&s);
    assert_ok(session_open(&fresh, loaded, err));
    answer(fresh, PROMPT, &o, &b);
    assert_string_equal(a.text, b.text);
    o.seed = 12;
    answer(fresh, PROMPT, &o, &b);
    assert_string_not_equal(a.text, b.text);
    session_close(&fresh);
}

static void stop_strings_are_never_shown(void **state)
{
    (void)state;
    session *s = NULL;
    sampling_options o;
    sampling_options_init(&o);
    o.temperature = 0.0f;
    o.max_tokens = 40;
    heard all = { 0 }, h = { 0 };
    assert_ok(session_open(&s, loaded, err));
    generate_result r = answer(s, PROMPT, &o, &all);
    assert_int_equal(r.finish, FINISH_LENGTH);
    assert_int_equal(r.n_tokens, 40);
    assert_true(all.n > 30);
    for (size_t at = 1; at < 24; at += 4) { /* any piece of the answer as a stop: text ends where it first begins */
        char stop[8] = { 0 };
        memcpy(stop, all.text + at, 6);
        const char *first = strstr(all.text, stop);
        o.stops[0] = "never in the text";
        o.stops[1] = stop;
        o.n_stops = 2;
        r = answer(s, PROMPT, &o, &h);
        assert_int_equal(r.finish, FINISH_STOP);
        assert_ptr_equal(r.stop, o.stops[1]);
        assert_int_equal(h.n, first - all.text);
        assert_memory_equal(h.text, all.text, h.n);
    }
    char half[16] = { 0 }; /* the answer's end begins this stop string, but it never comes: the text must be whole */
    memcpy(half, all.text + all.n - 4, 4);
    strncat(half, "\x01", sizeof half - 6);
    o.stops[0] = half;
    o.n_stops = 1;
    r = answer(s, PROMPT, &o, &h);
    assert_int_equal(r.finish, FINISH_LENGTH);
    assert_string_equal(h.text, all.text);
    session_close(&s);
}

static void cancelling_and_limits(void **state)
{
    (void)state;
    session *s = NULL;
    sampling_options o;
    sampling_options_init(&o);
    o.temperature = 0.0f;
    heard h = { .cancel_at = 5 };
    assert_ok(session_open(&s, loaded, err));
    generate_result r = answer(s, PROMPT, &o, &h);
    assert_int_equal(r.finish, FINISH_CANCELLED);
    assert_int_equal(r.n_tokens, 5);
    assert_int_equal(session_length(s), r.n_prompt + 4);
    h.cancel_at = 0;
    o.ignore_eos = true;
    r = answer(s, PROMPT, &o, &h);
    assert_int_equal(r.finish, FINISH_CONTEXT);
    assert_int_equal(r.n_prompt + r.n_tokens, 256 + 1);
    static int32_t tokens[600];
    error why;
    assert_int_equal(engine_generate(s, tokens, 600, &o, NULL, NULL, &r, &why), E_NOFIT);
    assert_non_null(strstr(why.text, "600"));
    assert_non_null(strstr(why.text, "256"));
    session_close(&s);
}

static bool join(void *user, const char *piece, size_t bytes)
{
    heard *h = user;
    memcpy(h->text + h->n, piece, bytes + 1);
    h->n += bytes;
    return false;
}

static void the_public_library_says_the_same(void **state)
{
    (void)state;
    char why[HEARTH_ERROR_BYTES];
    hearth_model *m = NULL;
    hearth_session *s = NULL;
    hearth_sampling o;
    hearth_answer a;
    hearth_model_info info;
    heard public = { 0 }, own = { 0 };
    hearth_sampling_init(&o);
    o.temperature = 0.0f;
    o.max_tokens = 20;
    assert_int_equal(hearth_model_open(&m, "/nowhere/at/all.gguf", NULL, why), HEARTH_NOT_FOUND);
    assert_int_equal(hearth_model_open(&m, model_path, NULL, why), HEARTH_OK);
    hearth_model_get_info(m, &info);
    assert_int_equal(info.n_vocab, 49152);
    assert_int_equal(hearth_session_open(&s, m, why), HEARTH_OK);
    assert_int_equal(hearth_generate_text(s, PROMPT, &o, join, &public, &a, why), HEARTH_OK);
    assert_int_equal(a.n_tokens, 20);
    sampling_options same;
    sampling_options_init(&same);
    same.temperature = 0.0f;
    same.max_tokens = 20;
    session *t = NULL;
    assert_ok(session_open(&t, loaded, err));
    answer(t, PROMPT, &same, &own);
    assert_string_equal(public.text, own.text);
    session_close(&t);
    hearth_session_close(&s);
    hearth_model_close(&m);
}

int main(void)
{
    const char *cache = getenv("HEARTH_CACHE");
    const struct CMUnitTest sampling[] = { cmocka_unit_test(random_numbers_are_philox),
                                          cmocka_unit_test(draws_follow_the_filters),
                                          cmocka_unit_test(penalties_and_reports) };
    int failures = cmocka_run_group_tests(sampling, NULL, NULL);
    snprintf(model_path, sizeof model_path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    FILE *f = fopen(model_path, "rb");
    if (failures || !f) {
        printf("SmolLM2 is not in the cache (network)\n");
        return failures ? 1 : 77;
    }
    fclose(f);
    loaded = open_path(model_path);
    const struct CMUnitTest loop[] = { cmocka_unit_test(answers_are_reproducible_and_reuse_the_prefix),
                                       cmocka_unit_test(stop_strings_are_never_shown),
                                       cmocka_unit_test(cancelling_and_limits),
                                       cmocka_unit_test(the_public_library_says_the_same) };
    failures = cmocka_run_group_tests(loop, NULL, NULL);
    engine_close(&loaded);
    return failures ? 1 : 0;
}
