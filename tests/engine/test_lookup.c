/* Speculation never changes an answer: every event of it, the session it leaves and what the session says next are
 * the same bits with and without, whatever was foreseen. And the index: what it proposes, and when it stops to. */
#include "lib/check.h"
#include "lib/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_int.h"
#include "engine/generate.h"
#include "gguf/gguf.h"
#include "token/vocab.h"

enum { SKIP = 77 };

static engine *open_path(const char *path, engine_options *o)
{
    gguf *g = NULL;
    engine *e = NULL;
    assert_ok(gguf_open(&g, path, err));
    assert_ok(engine_open(&e, g, o, err));
    return e;
}

/* ---- the index ---- */

static const int32_t PERIOD[] = { 3, 1, 4, 1, 5, 9, 2, 6 };

static void a_text_is_continued_as_it_was(void **state)
{
    (void)state;
    lookup *l = NULL;
    int32_t draft[LOOKUP_ROWS], text[] = { 7, 8, 1, 2, 3, 9, 1, 2, 4, 8, 1, 2 };
    assert_ok(lookup_open(&l, 64, err));
    lookup_start(l, text, 0);
    assert_int_equal(lookup_draft(l, 15, true, draft), 0);
    lookup_start(l, text, 1);
    assert_int_equal(lookup_draft(l, 15, true, draft), 0);
    lookup_start(l, text, ARRAY_LEN(text)); /* "8 1 2" is longer than the later "1 2" */
    assert_int_equal(lookup_draft(l, 3, true, draft), 3);
    assert_int_equal(draft[0], 3);
    assert_int_equal(draft[1], 9);
    assert_int_equal(draft[2], 1);
    lookup_add(l, 5);
    assert_int_equal(lookup_draft(l, 15, true, draft), 0); /* "2 5" was never before */
    lookup_start(l, PERIOD, 8);
    lookup_add(l, 3);
    lookup_add(l, 1); /* "3 1": the text runs into its end, and goes round */
    assert_int_equal(lookup_draft(l, 15, true, draft), 15);
    for (int i = 0; i < 15; i++)
        assert_int_equal(draft[i], PERIOD[(i + 2) % 8]);
    for (int i = 0; i < 200; i++) /* beyond the context: nothing is written outside */
        lookup_add(l, PERIOD[(i + 2) % 8]);
    lookup_close(&l);
}

/* Rows of the step that the lookup wants at the end of n tokens of a periodic text. */
static uint32_t wanted(lookup *l, uint32_t n)
{
    int32_t draft[LOOKUP_ROWS];
    uint32_t rows = 0;
    lookup_start(l, PERIOD, 8);
    for (uint32_t i = 8; i < n; i++) {
        rows = lookup_draft(l, 15, false, draft);
        lookup_add(l, PERIOD[i % 8]);
    }
    return rows;
}

static void it_is_gated_by_what_it_costs_and_what_holds(void **state)
{
    (void)state;
    lookup *l = NULL;
    int32_t draft[LOOKUP_ROWS];
    assert_ok(lookup_open(&l, 4096, err));
    assert_int_equal(wanted(l, 64), 0); /* the cost of a step is not known */
    lookup_took(l, 1, 1000);
    assert_int_equal(wanted(l, 64), 15);
    for (int i = 0; i < 40; i++)
        for (uint32_t rows = 2; rows <= 16; rows *= 2)
            lookup_took(l, rows, 1250 * rows); /* dearer than one by one */
    assert_int_equal(wanted(l, 64), 0);
    for (int i = 0; i < 40; i++)
        lookup_took(l, 4, 1500); /* four rows are: take four */
    assert_int_equal(wanted(l, 64), 3);
    for (int i = 0; i < 40; i++)
        for (uint32_t rows = 2; rows <= 16; rows *= 2)
            lookup_took(l, rows, 1100);
    uint32_t tried = 0; /* a text in which every pair is followed by something else each time */
    lookup_start(l, PERIOD, 8);
    for (int32_t i = 0; i < 300; i++) {
        lookup_add(l, 3);
        lookup_add(l, 1);
        tried += lookup_draft(l, 15, false, draft) > 0;
        lookup_add(l, 100 + i);
    }
    assert_true(tried > 0 && tried < 20);
    lookup_close(&l);
}

/* ---- answers ---- */

typedef struct heard {
    uint64_t hash; /* of every event with all it says */
    uint32_t n_tokens, cancel_at, events;
    uint64_t allocations;
    bool allocated;
    const session *s;
    char text[8192];
    size_t n;
} heard;

static void mix(uint64_t *h, const void *data, size_t n)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ p[i]) * 1099511628211u;
}

static bool hear(void *user, const generate_event *event)
{
    heard *h = user;
    uint32_t length = session_length(h->s);
    if (event->kind == GENERATE_TOKEN) {
        h->allocations = h->n_tokens ? h->allocations : mem_count();
        h->allocated = h->allocated || mem_count() != h->allocations;
        h->n_tokens++;
        mix(&h->hash, &event->token, sizeof event->token);
        mix(&h->hash, event->top, event->n_top * sizeof *event->top);
        mix(&h->hash, &length, sizeof length);
        mix(&h->hash, session_tokens(h->s), length * sizeof(int32_t));
    }
    if (event->kind == GENERATE_TEXT) {
        mix(&h->hash, event->text, event->text_bytes);
        memcpy(h->text + h->n, event->text, event->text_bytes + 1);
        h->n += event->text_bytes;
    }
    return h->cancel_at && h->n_tokens >= h->cancel_at;
}

typedef struct totals {
    uint32_t drafted, accepted, answers;
} totals;

/* Everything that an answer says and leaves, as one number. */
static uint64_t answer(session *s, const int32_t *prompt, uint32_t n, const sampling_options *o, uint32_t cancel_at,
                       totals *t)
{
    heard h = { .hash = 1469598103934665603u, .cancel_at = cancel_at, .s = s };
    generate_result r;
    const float *logits;
    engine *e = session_engine(s);
    assert_ok(engine_generate(s, prompt, n, o, hear, &h, &r, err));
    assert_false(h.allocated);
    assert_true(r.n_accepted <= r.n_drafted && r.n_accepted < r.n_tokens);
    assert_int_equal(session_length(s), n + r.n_tokens - 1);
    assert_int_equal(s->n_pages, (session_length(s) + KERNELS_PAGE - 1) / KERNELS_PAGE);
    t->drafted += r.n_drafted;
    t->accepted += r.n_accepted;
    t->answers++;
    mix(&h.hash, &r.finish, sizeof r.finish);
    mix(&h.hash, &r.n_tokens, sizeof r.n_tokens);
    mix(&h.hash, &r.last_token, sizeof r.last_token);
    mix(&h.hash, &r.stop, sizeof r.stop);
    mix(&h.hash, &r.sum_logprob, sizeof r.sum_logprob);
    if (session_length(s) < engine_get_info(e)->context) { /* what was foreseen in vain left nothing behind */
        assert_ok(session_feed(s, prompt, 1, &logits, NULL, NULL, err));
        mix(&h.hash, logits, engine_get_info(e)->n_vocab * sizeof *logits);
    }
    return h.hash;
}

static void same(session *s, const int32_t *prompt, uint32_t n, sampling_options *o, uint32_t cancel_at, totals *t)
{
    static const sampling_speculate kinds[] = { SPECULATE_ALWAYS, SPECULATE_AUTO };
    o->speculate = SPECULATE_OFF;
    totals none = { 0 };
    uint64_t expected = answer(s, prompt, n, o, cancel_at, &none);
    assert_int_equal(none.drafted, 0);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        o->speculate = kinds[i];
        if (answer(s, prompt, n, o, cancel_at, t) != expected)
            fail_msg("prompt of %u, seed %llu, temperature %g, kind %d: another answer", n,
                     (unsigned long long)o->seed, (double)o->temperature, (int)kinds[i]);
    }
}

/* The case of this number: each takes another mixture of what sampling knows. */
static sampling_options options_of(uint32_t i)
{
    static const float temperatures[] = { 0.0f, 0.3f, 0.8f, 1.5f };
    sampling_options o;
    sampling_options_init(&o);
    o.temperature = temperatures[i % 4];
    o.seed = 1000 + i;
    o.choice = i % 3;
    o.ignore_eos = true;
    o.n_logprobs = i % 5 == 0 ? 4 : 0;
    o.repeat_penalty = i % 6 == 1 ? 1.2f : 1.0f;
    o.presence_penalty = i % 6 == 2 ? 0.4f : 0.0f;
    o.frequency_penalty = i % 6 == 3 ? 0.1f : 0.0f;
    o.repeat_last_n = i % 2 ? 64 : 7;
    o.top_k = i % 7 == 0 ? 0 : 20;
    o.max_tokens = i % 8 == 4 ? i % 5 + 1 : 60;
    return o;
}

/* Random models, prompts that repeat themselves: much is foreseen, little of it holds. */
static void tiny_answers_are_the_same(void **state)
{
    (void)state;
    tiny_model models[] = { tiny_model_default(), tiny_model_default(), tiny_model_default() };
    models[1].arch = "gemma3";
    models[1].window = 40;
    models[1].post_norm = models[1].qk_norm = true;
    models[1].n_layers = 7;
    for (size_t m = 0; m < ARRAY_LEN(models); m++) {
        totals t = { 0 };
        engine_options eo;
        session *s = NULL;
        engine_options_init(&eo);
        eo.context = 192;
        eo.n_threads = 2;
        eo.kv_type = m == 2 ? ENGINE_KV_Q8 : ENGINE_KV_F16;
        tiny_model_write(&models[m], tiny_model_path());
        engine *e = open_path(tiny_model_path(), &eo);
        assert_ok(session_open(&s, e, err));
        for (uint32_t i = 0; i < 24; i++) {
            int32_t prompt[180];
            uint32_t n = i % 12 == 11 ? 170 : 2 + i * 5; /* some run into the context's end */
            for (uint32_t k = 0; k < n; k++)
                prompt[k] = (int32_t)(k % (i + 3) * 7 % 96);
            sampling_options o = options_of(i);
            if (i % 12 == 11)
                o.max_tokens = 0;
            same(s, prompt, n, &o, i % 9 == 5 ? 11 : 0, &t);
        }
        printf("%s: %u answers, %u of %u held\n", models[m].arch, t.answers, t.accepted, t.drafted);
        assert_true(t.drafted > 100 && t.accepted > 10 && t.accepted < t.drafted);
        session_close(&s);
        engine_close(&e);
    }
}

/* The pool is shared: with another session in it, steps of several rows fail where single ones do not. */
static void a_full_pool_ends_it_at_the_same_token(void **state)
{
    (void)state;
    engine_options eo;
    session *s = NULL, *other = NULL;
    static const uint32_t taken[] = { 64, 65, 128 };
    totals t = { 0 };
    tiny_model m = tiny_model_default();
    engine_options_init(&eo);
    eo.context = 256;
    tiny_model_write(&m, tiny_model_path());
    engine *e = open_path(tiny_model_path(), &eo);
    int32_t prompt[128];
    for (int i = 0; i < 128; i++)
        prompt[i] = PERIOD[i % 8];
    assert_ok(session_open(&s, e, err));
    assert_ok(session_open(&other, e, err));
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        session_truncate(s, 0);
        session_truncate(other, 0);
        assert_ok(session_feed(other, prompt, taken[i] - 64 + 1, NULL, NULL, NULL, err));
        sampling_options o = options_of(0);
        o.max_tokens = 0;
        uint64_t found[3];
        for (int kind = 0; kind < 3; kind++) {
            heard h = { .hash = 1, .s = s };
            generate_result r;
            o.speculate = (sampling_speculate)kind;
            assert_ok(engine_generate(s, prompt, 40, &o, hear, &h, &r, err));
            assert_int_equal(r.finish, FINISH_CONTEXT);
            assert_int_equal(session_length(s) % KERNELS_PAGE, 0);
            assert_int_equal(session_length(s), 40 + r.n_tokens - 1);
            found[kind] = h.hash;
            t.drafted += r.n_drafted;
        }
        assert_true(found[0] == found[1] && found[0] == found[2]);
    }
    assert_true(t.drafted > 0);
    session_close(&s);
    session_close(&other);
    engine_close(&e);
}

/* ---- on SmolLM2 ---- */

#define FACTS "Thomas Ashby, 14 Quay Street, two crates of oranges; Eliza Fenwick, 3 Mill Lane, one barrel of herring; "

static const char *const PROMPTS[] = {
    "Text: " FACTS "Robert Greaves, 27 Castle Row.\nThe same text again: Thomas Ashby, 14 Quay",
    "Text: " FACTS "\nNames and addresses:\n- Thomas Ashby, 14 Quay Street\n- Eliza",
    "for (int i = 0; i < 3; i++)\n    a[i] = 0;\nfor (int i = 0; i < 3; i++)\n    b[i] = 0;\nfor (int",
    "The weather in October is",
};

static void real_answers_are_the_same(void **state)
{
    engine_options eo;
    session *s = NULL;
    engine_options_init(&eo);
    eo.context = 256;
    engine *e = open_path(*state, &eo);
    assert_ok(session_open(&s, e, err));
    for (uint32_t p = 0; p < ARRAY_LEN(PROMPTS); p++) {
        token_list list = TOKEN_LIST_INIT(4096);
        totals t = { 0 };
        assert_ok(vocab_encode(engine_vocab(e), PROMPTS[p], strlen(PROMPTS[p]), VOCAB_BOS, &list, err));
        for (uint32_t i = 0; i < 4; i++) {
            sampling_options o = options_of(p * 5 + i);
            o.temperature = i == 0 ? 0.0f : o.temperature;
            o.repeat_penalty = i == 0 ? 1.0f : o.repeat_penalty;
            o.max_tokens = i == 0 ? 36 : o.max_tokens < 20 ? o.max_tokens : 20;
            o.ignore_eos = i & 1;
            o.stops[0] = i == 2 ? " Lane" : "\n\n";
            o.stops[1] = "herring;";
            o.n_stops = i > 1 ? 2 : 0;
            same(s, list.ids, (uint32_t)list.n, &o, i == 3 ? 9 : 0, &t);
        }
        printf("prompt %u: %u of %u held\n", p, t.accepted, t.drafted);
        if (p == 0)
            assert_true(t.accepted > 30);
        token_list_clear(&list);
    }
    session_close(&s);
    engine_close(&e);
}

int main(void)
{
    static char path[512];
    const char *cache = getenv("HEARTH_CACHE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_continued_as_it_was),
        cmocka_unit_test(it_is_gated_by_what_it_costs_and_what_holds),
        cmocka_unit_test(tiny_answers_are_the_same),
        cmocka_unit_test(a_full_pool_ends_it_at_the_same_token),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (models_are_tiny()) /* the prompts' sense is what is foreseen in the real one; the steps are those of above */
        return failures ? 1 : 0;
    snprintf(path, sizeof path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    FILE *f = fopen(path, "rb");
    if (failures || !f) {
        printf("SmolLM2 is not in the cache (network)\n");
        return failures ? 1 : SKIP;
    }
    fclose(f);
    const struct CMUnitTest real[] = { cmocka_unit_test_prestate(real_answers_are_the_same, path) };
    return cmocka_run_group_tests(real, NULL, NULL);
}
