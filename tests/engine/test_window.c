/* Window layers keep only the pages they need, and nobody can tell: after any sequence of feeding, going back and
 * decoding, alone and in company, the logits are those of a fresh session of the same tokens in an engine that gives
 * nothing back. Free pages are poisoned all the time, so that whoever still reads one gives itself away. And the pools:
 * what sessions hold is what the plan says, and all of it comes back. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/walk.h"
#include "engine/generate.h"
#include "gguf/gguf.h"

enum { CONTEXT = 900, SESSIONS = 3, N_VOCAB = 96 };

static engine_options options_of(uint32_t batch, uint32_t rewind, int threads)
{
    engine_options o;
    engine_options_init(&o);
    o.context = CONTEXT;
    o.n_sessions = SESSIONS;
    o.batch = batch;
    o.rewind = rewind;
    o.n_threads = threads;
    return o;
}

static engine *open_with(const engine_options *o)
{
    gguf *g = NULL;
    engine *e = NULL;
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_ok(engine_open(&e, g, o, err));
    return e;
}

/* ---- the pools ---- */

static uint32_t pages_for(uint32_t length)
{
    return (length + KERNELS_PAGE - 1) / KERNELS_PAGE;
}

/* Every page is free or held by one session; nobody holds more than its share. */
static void check_accounts(engine *e, session *const *all, int n)
{
    uint32_t held[MODEL_KINDS] = { 0 };
    for (int i = 0; i < n; i++) {
        const session *s = all[i];
        uint32_t pages = pages_for(s->length);
        assert_int_equal(s->n_pages, pages);
        assert_true(s->window_from <= pages);
        assert_true(!s->pages.of[MODEL_WINDOW] ||
                    pages - s->window_from <= e->budget.pages[MODEL_WINDOW].session_pages);
        for (uint32_t p = 0; p < pages_for(CONTEXT); p++) {
            if (s->pages.of[MODEL_GLOBAL])
                assert_int_equal(s->pages.of[MODEL_GLOBAL][p] != NULL, p < pages);
            if (s->pages.of[MODEL_WINDOW])
                assert_int_equal(s->pages.of[MODEL_WINDOW][p] != NULL, p >= s->window_from && p < pages);
        }
        held[MODEL_GLOBAL] += s->pages.of[MODEL_GLOBAL] ? pages : 0;
        held[MODEL_WINDOW] += s->pages.of[MODEL_WINDOW] ? pages - s->window_from : 0;
    }
    for (int k = 0; k < MODEL_KINDS; k++)
        assert_int_equal(held[k] + e->kv[k].n_free, e->budget.pages[k].n_pages);
}

/* ---- a random walk ---- */

typedef struct walk {
    engine *e, *keeper; /* the keeper gives nothing back */
    session *s[SESSIONS], *fresh;
    uint32_t n[SESSIONS];               /* the tokens that session i should have */
    int32_t tokens[SESSIONS][CONTEXT];
    uint32_t longest[SESSIONS]; /* since it was last empty */
    uint32_t x, refused, reached;
} walk;

static void check_logits(walk *w, int i, const float *logits)
{
    const float *expected;
    session_truncate(w->fresh, 0);
    assert_ok(session_feed(w->fresh, w->tokens[i], w->n[i], &expected, NULL, NULL, err));
    if (memcmp(expected, logits, N_VOCAB * sizeof *logits) != 0)
        fail_msg("session %d, %u tokens (longest %u): other logits", i, w->n[i], w->longest[i]);
}

static void grown(walk *w, int i, uint32_t n)
{
    w->n[i] += n;
    w->longest[i] = w->n[i] > w->longest[i] ? w->n[i] : w->longest[i];
}

static void feed(walk *w, int i, uint32_t n)
{
    const float *logits;
    n = n < CONTEXT - w->n[i] ? n : CONTEXT - w->n[i];
    if (!n)
        return;
    for (uint32_t k = 0; k < n; k++)
        w->tokens[i][w->n[i] + k] = (int32_t)random_below(&w->x, N_VOCAB);
    assert_ok(session_feed(w->s[i], w->tokens[i] + w->n[i], n, &logits, NULL, NULL, err));
    grown(w, i, n);
    check_logits(w, i, logits);
}

/* One step with rows of all sessions, interleaved; the last row of each wants logits. */
static void step_together(walk *w)
{
    engine_row rows[64];
    const float *logits[SESSIONS];
    uint32_t n = 0, count[SESSIONS] = { 0 }, most = engine_batch(w->e), order[SESSIONS], wanted = 0;
    for (uint32_t k = 0; k < most; k++) {
        uint32_t i = random_below(&w->x, SESSIONS);
        if (w->n[i] + count[i] == CONTEXT)
            continue;
        uint32_t at = w->n[i] + count[i]++;
        w->tokens[i][at] = (int32_t)random_below(&w->x, N_VOCAB);
        rows[n++] = (engine_row){ w->s[i], w->tokens[i][at], at, false };
    }
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < SESSIONS; i++)
            if (rows[k].session == w->s[i] && rows[k].position + 1 == w->n[i] + count[i]) {
                rows[k].want_logits = true;
                order[wanted++] = i;
            }
    if (!n)
        return;
    assert_ok(engine_step(w->e, rows, n, logits, err));
    float copy[SESSIONS][N_VOCAB];
    for (uint32_t k = 0; k < wanted; k++)
        memcpy(copy[k], logits[k], sizeof copy[k]);
    for (uint32_t i = 0; i < SESSIONS; i++)
        grown(w, (int)i, count[i]);
    for (uint32_t k = 0; k < wanted; k++)
        check_logits(w, (int)order[k], copy[k]);
}

/* As its callers do: what is not reached is fed again, with the token that follows. */
static void go_back(walk *w, int i, uint32_t n)
{
    uint32_t rewind = engine_batch(w->e), left = session_truncate(w->s[i], n);
    const float *logits;
    assert_true(left == n || left == 0);
    assert_true(left == n || w->longest[i] - n > rewind);
    assert_int_equal(left, session_length(w->s[i]));
    w->refused += left != n;
    w->reached += left == n && n && w->longest[i] > n + rewind;
    w->n[i] = n;
    w->longest[i] = left ? w->longest[i] : n;
    if (n == CONTEXT)
        return;
    w->tokens[i][n] = (int32_t)random_below(&w->x, N_VOCAB);
    assert_int_equal(session_common(w->s[i], w->tokens[i], n + 1), left);
    poison_free_pages(w->e);
    assert_ok(session_feed(w->s[i], w->tokens[i] + left, n + 1 - left, &logits, NULL, NULL, err));
    grown(w, i, 1);
    check_logits(w, i, logits);
}

static void some_action(walk *w)
{
    int i = (int)random_below(&w->x, SESSIONS);
    switch (random_below(&w->x, 10)) {
    case 0: case 1: feed(w, i, 1 + random_below(&w->x, 150)); break;
    case 2: case 3: go_back(w, i, w->n[i] - random_below(&w->x, (w->n[i] < 40 ? w->n[i] : 40) + 1)); break;
    case 4: go_back(w, i, random_below(&w->x, w->n[i] + 1)); break;
    case 5: feed(w, i, 1); break;
    default: step_together(w); break;
    }
    poison_free_pages(w->e);
    check_accounts(w->e, w->s, SESSIONS);
}

static walk take_a_walk(const char *kind, uint32_t window, uint32_t batch, int threads, uint32_t steps)
{
    static walk w;
    engine_options o = options_of(batch, 1, threads), all = options_of(128, CONTEXT, 1);
    write_window_model(kind, window);
    w = (walk){ .e = open_with(&o), .keeper = open_with(&all), .x = window * 7 + batch };
    assert_ok(session_open(&w.fresh, w.keeper, err));
    for (int i = 0; i < SESSIONS; i++)
        assert_ok(session_open(&w.s[i], w.e, err));
    for (uint32_t k = 0; k < steps; k++)
        some_action(&w);
    assert_int_equal(w.keeper->budget.pages[MODEL_WINDOW].session_pages, window ? pages_for(CONTEXT) : 0);
    for (int i = 0; i < SESSIONS; i++)
        session_close(&w.s[i]);
    check_accounts(w.e, NULL, 0);
    session_close(&w.fresh);
    engine_close(&w.e);
    engine_close(&w.keeper);
    return w;
}

static void nobody_can_tell(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        uint32_t window, batch;
        int threads;
    } cases[] = { { "gemma3", 32, 8, 1 },  { "gemma3", 64, 16, 3 },  { "gemma3", 100, 64, 2 }, { "gemma3", 1, 8, 2 },
                  { "gemma3", 65, 1, 1 },  { "mistral", 33, 16, 2 }, { "mistral", 64, 64, 1 } };
    uint32_t reached = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        walk w = take_a_walk(cases[i].arch, cases[i].window, cases[i].batch, cases[i].threads, 120);
        printf("%s, window %u: %u times too far back, %u times far and there\n", cases[i].arch, cases[i].window,
               w.refused, w.reached);
        assert_true(w.refused > 0);
        reached += w.reached;
    }
    assert_true(reached > 0);
    walk wide = take_a_walk("gemma3", 5000, 16, 1, 60), none = take_a_walk("llama", 0, 16, 1, 60);
    assert_int_equal(wide.refused + none.refused, 0);
}

/* ---- answers ---- */

/* Prompts that begin like the one before, some of them far back: reused or not, the answer is that of a new session. */
static void answers_are_those_of_a_new_session(void **state)
{
    (void)state;
    static int32_t prompt[CONTEXT];
    uint32_t x = 5, again = 0, known = 0;
    write_window_model("gemma3", 40);
    engine_options o = options_of(32, 64, 2);
    engine *e = open_with(&o);
    session *s = NULL;
    sampling_options how;
    sampling_options_init(&how);
    how.max_tokens = 30;
    assert_ok(session_open(&s, e, err));
    for (uint32_t i = 0; i < 24; i++) {
        session *fresh = NULL;
        generate_result r, expected;
        uint32_t n = 300 + random_below(&x, 200), from = i % 3 ? n - random_below(&x, 60) : random_below(&x, n);
        for (uint32_t k = from; k < n; k++)
            prompt[k] = (int32_t)(k % 7 < 3 ? k % 5 : random_below(&x, N_VOCAB));
        how.seed = i;
        how.speculate = i % 2 ? SPECULATE_ALWAYS : SPECULATE_OFF;
        uint32_t common = session_common(s, prompt, n);
        assert_ok(engine_generate(s, prompt, n, &how, NULL, NULL, &r, err));
        assert_true(r.n_reused == 0 || r.n_reused == (common < n ? common : n - 1));
        again += r.n_reused < common && common < n;
        known += r.n_reused > 0;
        assert_ok(session_open(&fresh, e, err));
        assert_ok(engine_generate(fresh, prompt, n, &how, NULL, NULL, &expected, err));
        assert_int_equal(expected.n_reused, 0);
        assert_int_equal(session_length(s), session_length(fresh));
        assert_int_equal(session_common(s, session_tokens(fresh), session_length(fresh)), session_length(s));
        assert_memory_equal(&r.sum_logprob, &expected.sum_logprob, sizeof r.sum_logprob);
        session_close(&fresh);
        poison_free_pages(e);
    }
    printf("%u prompts fed again from the start, of %u something was known\n", again, known);
    assert_true(again > 2 && known > 2);
    session_close(&s);
    engine_close(&e);
}

/* ---- plan and admission ---- */

static engine_budget plan_of(const engine_options *o)
{
    gguf *g = NULL;
    engine_budget b;
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_ok(engine_plan(g, o, &b, err));
    gguf_close(&g);
    return b;
}

static void the_plan_is_exact(void **state)
{
    (void)state;
    static const struct {
        const char *arch;
        uint32_t window, global_layers, window_layers;
    } models[] = { { "gemma3", 32, 1, 6 }, { "mistral", 32, 0, 2 }, { "llama", 0, 2, 0 } };
    const uint64_t layer = 2 * kernels_page_bytes(KV_F16, 16); /* 2 KV heads */
    for (size_t m = 0; m < ARRAY_LEN(models); m++) {
        write_window_model(models[m].arch, models[m].window);
        engine_options o = options_of(16, 100, 1);
        engine_budget b = plan_of(&o);
        const engine_pages *global = &b.pages[ENGINE_GLOBAL], *window = &b.pages[ENGINE_WINDOW];
        assert_int_equal(global->page_bytes, models[m].global_layers * layer);
        assert_int_equal(window->page_bytes, models[m].window_layers * layer);
        assert_int_equal(global->n_pages, models[m].global_layers ? SESSIONS * pages_for(CONTEXT) : 0);
        /* 131 positions in a row: 64 + 64 + 3 touch four pages at most */
        assert_int_equal(window->session_pages, models[m].window ? 4 : 0);
        assert_int_equal(window->n_pages, models[m].window ? SESSIONS * 4 : 0);
        assert_int_equal(b.kv_bytes, global->n_pages * global->page_bytes + window->n_pages * window->page_bytes);
        assert_int_equal(b.kv_bytes, engine_kv_bytes(&b, b.n_pages, SESSIONS));
        uint64_t page = global->page_bytes + window->page_bytes;
        assert_int_equal(engine_kv_read_bytes(&b, 20), 20 * page / 64);
        assert_int_equal(engine_kv_read_bytes(&b, 640),
                         10 * global->page_bytes + (b.window ? 31 * window->page_bytes / 64 : 0));
        for (o.kv_bytes = page; o.kv_bytes < 40 * page; o.kv_bytes += page / 3 + 1) { /* the most that fits, no more */
            engine_budget part = plan_of(&o);
            assert_true(part.kv_bytes <= o.kv_bytes);
            bool capped = !global->page_bytes && part.n_pages == SESSIONS * window->session_pages;
            assert_true(capped || engine_kv_bytes(&part, part.n_pages + 1, SESSIONS) > o.kv_bytes);
        }
        engine *e = open_with(&o);
        for (int k = 0; k < MODEL_KINDS; k++)
            assert_int_equal(e->kv[k].block != NULL, b.pages[k].page_bytes > 0);
        engine_close(&e);
    }
}

/* As many sessions as were planned for never want for a page, however long they are; one more is told why. */
static void planned_sessions_fit_and_more_are_told_why(void **state)
{
    (void)state;
    static int32_t tokens[CONTEXT];
    session *s[SESSIONS + 1] = { 0 };
    error why;
    write_window_model("gemma3", 32);
    engine_options o = options_of(64, 1, 2);
    engine *e = open_with(&o);
    for (int i = 0; i <= SESSIONS; i++)
        assert_ok(session_open(&s[i], e, err));
    for (uint32_t at = 0; at < CONTEXT; at += 30)
        for (int i = 0; i < SESSIONS; i++)
            assert_ok(session_feed(s[i], tokens + at, 30, NULL, NULL, NULL, err));
    check_accounts(e, s, SESSIONS + 1);
    assert_int_equal(session_feed(s[SESSIONS], tokens, 1, NULL, NULL, NULL, &why), E_NOFIT);
    assert_int_equal(session_length(s[SESSIONS]), 0);
    for (int i = 0; i < SESSIONS; i++)
        session_truncate(s[i], 0);
    /* shorter, and one more: the global pool has room, the window pool has not */
    for (int i = 0; i < SESSIONS; i++)
        assert_ok(session_feed(s[i], tokens, 500, NULL, NULL, NULL, err));
    uint32_t window_free = e->kv[MODEL_WINDOW].n_free, from = s[0]->window_from;
    assert_int_equal(session_feed(s[SESSIONS], tokens, 60, NULL, NULL, NULL, &why), E_NOFIT);
    assert_non_null(strstr(why.text, "window layers"));
    assert_non_null(strstr(why.text, "0 of 9 are free; 4 sessions are open, each holds up to 3"));
    /* a step that fails for one session has not moved the other's window */
    engine_row rows[61];
    for (uint32_t i = 0; i < 60; i++)
        rows[i] = (engine_row){ s[0], 1, 500 + i, false };
    rows[60] = (engine_row){ s[SESSIONS], 1, 0, false };
    assert_int_equal(engine_step(e, rows, 61, NULL, &why), E_NOFIT);
    assert_int_equal(e->kv[MODEL_WINDOW].n_free, window_free);
    assert_int_equal(s[0]->window_from, from);
    check_accounts(e, s, SESSIONS + 1);
    assert_ok(engine_step(e, rows, 60, NULL, err));
    assert_true(s[0]->window_from > from);
    for (int i = 0; i <= SESSIONS; i++)
        session_close(&s[i]);
    check_accounts(e, NULL, 0);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_can_tell),
        cmocka_unit_test(answers_are_those_of_a_new_session),
        cmocka_unit_test(the_plan_is_exact),
        cmocka_unit_test(planned_sessions_fit_and_more_are_told_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
