/* The prefix cache, and nobody can tell: sessions of several scopes begin, branch, go back and end at random in pools
 * that are too small for all, and every logit is that of a fresh session of the same tokens in an engine without a
 * cache. Free pages are poisoned: whoever still reads one gives itself away. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/walk.h"
#include "engine/generate.h"
#include "gguf/gguf.h"

enum { CONTEXT = 640, SESSIONS = 3, N_VOCAB = 96 };

static engine *open_model(const char *kind, uint32_t window, uint32_t n_sessions, uint64_t kv_pages)
{
    write_window_model(kind, window);
    engine_options o;
    engine_options_init(&o);
    o.context = CONTEXT;
    o.n_sessions = n_sessions;
    o.batch = o.rewind = 32;
    o.n_threads = 1;
    gguf *g = NULL;
    engine *e = NULL;
    if (kv_pages) {
        engine_budget b;
        assert_ok(gguf_open(&g, tiny_model_path(), err));
        assert_ok(engine_plan(g, &o, &b, err));
        gguf_close(&g);
        o.kv_bytes = engine_kv_bytes(&b, kv_pages, n_sessions);
    }
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_ok(engine_open(&e, g, &o, err));
    return e;
}

/* The tokens of one of a few texts; texts 0..3 share their first 150. */
static int32_t token_of(uint32_t text, uint32_t i)
{
    uint32_t x = (i < 150 ? 7u : 100u + text) * 2654435761u + i * 40503u;
    return (int32_t)(x >> 7) % N_VOCAB;
}

static void check_accounts(const engine *e)
{
    for (int k = 0; k < MODEL_KINDS; k++) {
        uint32_t held = 0;
        for (uint32_t i = 0; i < e->kv[k].n_pages; i++)
            held += e->kv[k].holders[i] != 0;
        assert_int_equal(held + e->kv[k].n_free, e->kv[k].n_pages);
    }
}

typedef struct walk {
    engine *e;
    session *s[SESSIONS], *fresh;
    uint32_t text[SESSIONS], x, reused, refused;
    int32_t tokens[SESSIONS][CONTEXT];
    uint32_t n[SESSIONS];
} walk;

static void check_logits(walk *w, int i, const float *logits)
{
    const float *expected;
    engine *e = session_engine(w->fresh);
    session_truncate(w->fresh, 0);
    assert_ok(session_feed(w->fresh, w->tokens[i], w->n[i], &expected, NULL, NULL, err));
    assert_memory_equal(logits, expected, engine_get_info(e)->n_vocab * sizeof *logits);
}

/* A prompt: the scope's tree says how far it is known, the rest is fed. */
static void prompt(walk *w, int i)
{
    static const char *const scopes[] = { "a", "b", NULL };
    if (random_below(&w->x, 3) == 0)
        assert_ok(session_share(w->s[i], scopes[random_below(&w->x, 3)], err));
    w->text[i] = random_below(&w->x, 4);
    w->n[i] = 1 + random_below(&w->x, 400);
    for (uint32_t k = 0; k < w->n[i]; k++)
        w->tokens[i][k] = token_of(w->text[i], k);
    uint32_t from = session_recall(w->s[i], w->tokens[i], w->n[i]);
    assert_true(from < w->n[i] && from == session_length(w->s[i]));
    assert_memory_equal(session_tokens(w->s[i]), w->tokens[i], from * sizeof(int32_t));
    w->reused += from;
    const float *logits;
    error no;
    status st = session_feed(w->s[i], w->tokens[i] + from, w->n[i] - from, &logits, NULL, NULL, &no);
    if (st == E_NOFIT) {
        w->refused++;
        w->n[i] = session_truncate(w->s[i], 0);
        return;
    }
    assert_int_equal(st, OK);
    check_logits(w, i, logits);
    session_remember(w->s[i]);
}

/* Some tokens more, one at a time, not those of the text. */
static void decode(walk *w, int i)
{
    for (uint32_t k = random_below(&w->x, 70); k > 0 && w->n[i] && w->n[i] < CONTEXT; k--) {
        int32_t token = (int32_t)random_below(&w->x, N_VOCAB);
        const float *logits;
        error no;
    status st = session_feed(w->s[i], &token, 1, &logits, NULL, NULL, &no);
        if (st == E_NOFIT) {
            w->refused++;
            return;
        }
        assert_int_equal(st, OK);
        w->tokens[i][w->n[i]++] = token;
        if (k == 1)
            check_logits(w, i, logits);
    }
    session_remember(w->s[i]);
}

static void walk_at_random(const char *kind, uint32_t window, uint64_t kv_pages, uint32_t seed)
{
    walk w = { .x = seed };
    w.e = open_model(kind, window, SESSIONS, kv_pages);
    engine *other = open_model(kind, window, 1, 0);
    assert_ok(session_open(&w.fresh, other, err));
    for (int i = 0; i < SESSIONS; i++)
        assert_ok(session_open(&w.s[i], w.e, err));
    for (int step = 0; step < 150; step++) {
        int i = (int)random_below(&w.x, SESSIONS);
        switch (random_below(&w.x, 8)) {
        case 0: case 1: case 2: case 3: prompt(&w, i); break;
        case 4: case 5: decode(&w, i); break;
        case 6:
            w.n[i] = session_truncate(w.s[i], random_below(&w.x, session_length(w.s[i]) + 1));
            break;
        default:
            if (random_below(&w.x, 4) == 0)
                engine_forget(w.e, random_below(&w.x, 2) ? "a" : NULL);
        }
        poison_free_pages(w.e);
        check_accounts(w.e);
    }
    assert_true(w.reused > 1000); /* the cache was at work */
    assert_true(kv_pages == 0 || w.refused > 0 || kv_pages > 12);
    for (int i = 0; i < SESSIONS; i++)
        session_close(&w.s[i]);
    check_accounts(w.e);
    engine_forget(w.e, NULL);
    for (int k = 0; k < MODEL_KINDS; k++)
        assert_int_equal(w.e->kv[k].n_free, w.e->kv[k].n_pages);
    session_close(&w.fresh);
    engine_close(&w.e);
    engine_close(&other);
}

static void nobody_can_tell(void **state)
{
    (void)state;
    static const uint64_t pools[] = { 0, 16, 9 };
    for (size_t p = 0; p < ARRAY_LEN(pools); p++) {
        walk_at_random("llama", 0, pools[p], 11 + (uint32_t)p);
        walk_at_random("gemma3", 100, pools[p], 21 + (uint32_t)p);
        walk_at_random("mistral", 100, pools[p], 31 + (uint32_t)p);
    }
}

static uint32_t prefilled(session *s, const char *scope, uint32_t text, uint32_t n)
{
    int32_t tokens[CONTEXT];
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = token_of(text, i);
    sampling_options o;
    sampling_options_init(&o);
    o.max_tokens = 2;
    generate_result r;
    assert_ok(session_share(s, scope, err));
    assert_ok(engine_generate(s, tokens, n, &o, NULL, NULL, &r, err));
    return n - r.n_reused;
}

/* A shared beginning costs its prefill once, within a scope and nowhere else; what is nobody's is not remembered. */
static void scopes_are_walls(void **state)
{
    (void)state;
    engine *e = open_model("llama", 0, 3, 0);
    session *a = NULL, *b = NULL;
    assert_ok(session_open(&a, e, err));
    assert_ok(session_open(&b, e, err));
    assert_int_equal(prefilled(a, "alice", 0, 140), 140);
    assert_int_equal(prefilled(b, "bob", 0, 140), 140);
    assert_int_equal(prefilled(b, "alice", 1, 140), 140 - 128);
    assert_int_equal(prefilled(b, NULL, 0, 140), 140);
    assert_int_equal(prefilled(b, NULL, 0, 140), 140);
    engine_forget(e, "alice");
    assert_int_equal(prefilled(b, "alice", 0, 140), 140);
    assert_int_equal(prefilled(b, "bob", 0, 140), 140 - 128);
    char name[200];
    for (int i = 0; i < 100; i++) { /* more scopes than there is room for: the oldest go */
        snprintf(name, sizeof name, "scope %d", i);
        assert_int_equal(prefilled(b, name, 0, 70), 70);
    }
    assert_int_equal(prefilled(b, "scope 99", 0, 70), 70 - 64 - 5);
    assert_int_equal(prefilled(b, "scope 3", 0, 70), 70);
    error no;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    assert_int_equal(session_share(b, name, &no), E_RANGE);
    session_close(&a);
    session_close(&b);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_can_tell),
        cmocka_unit_test(scopes_are_walls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
