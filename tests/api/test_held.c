/* An answer that is held back: what is told later is what came, event by event; without memory it is no answer. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/cascade.h"
#include "base/mem.h"

/* Everything of an event as text, so that two can be compared. */
static void describe(buf *out, const event *e)
{
    buf_printf(out, "%d", (int)e->kind);
    if (e->text)
        buf_printf(out, " text '%.*s' %d", (int)e->text_bytes, e->text, e->text[e->text_bytes]);
    if (e->call)
        buf_printf(out, " call %u '%s' '%s' %d", e->call->index, e->call->id, e->call->name, e->call->complete);
    if (e->token) {
        const event_token *t = e->token;
        buf_printf(out, " token %d %d %d %.9g '%.*s'", t->prompt, t->first, t->token.id, t->token.logprob,
                   (int)t->token.text_bytes, t->token.text);
        for (size_t i = 0; i < t->n_top; i++)
            buf_printf(out, " %d %.9g '%.*s'", t->top[i].id, t->top[i].logprob, (int)t->top[i].text_bytes,
                       t->top[i].text);
    }
    if (e->relaxed) {
        buf_str(out, " relaxed ");
        js_write(e->relaxed, JS_COMPACT, out);
    }
    if (e->end)
        buf_printf(out, " end %d %lld %lld %lld %.9g '%s' '%s' '%s'", (int)e->end->finish,
                   (long long)e->end->prompt_tokens, (long long)e->end->cached_tokens,
                   (long long)e->end->completion_tokens, e->end->mean_logprob, e->end->model, e->end->model_digest,
                   e->end->numerics);
    buf_char(out, '\n');
}

typedef struct listener {
    buf said;
    int n, stop_at; /* 0: never */
} listener;

static int listen_to(void *user, const event *e)
{
    listener *l = user;
    describe(&l->said, e);
    return ++l->n == l->stop_at;
}

/* All kinds, from texts that are overwritten as soon as each was told. */
static void answer(event_fn *fn, void *user)
{
    char text[32], id[16], name[16], token[8], other[8];
    js *relaxed = js_array();
    js_push(relaxed, js_new_string("/a: pattern"));
    event_call call = { 1, id, name, true };
    event_alternative top[2] = { { 7, -0.25, token, 3 }, { 9, -2.5, other, 2 } };
    event_token drawn = { false, false, { 7, -0.25, token, 3 }, top, 2 };
    event_done end = { .finish = ANSWER_STOP, .stop = -1, .prompt_tokens = 40, .cached_tokens = 4,
                       .completion_tokens = 9, .mean_logprob = -0.125, .model = name, .model_digest = id,
                       .numerics = token };
    static const event_kind kinds[] = { EVENT_WAIT, EVENT_PREFILL, EVENT_RELAXED, EVENT_REASONING, EVENT_TOKEN,
                                        EVENT_TEXT, EVENT_CALL, EVENT_ARGUMENTS, EVENT_CALL_END, EVENT_TEXT,
                                        EVENT_DONE };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        event e = { .kind = kinds[i] };
        snprintf(text, sizeof text, "piece %zu", i);
        snprintf(id, sizeof id, "id-%zu", i);
        snprintf(name, sizeof name, "name-%zu", i);
        snprintf(token, sizeof token, "tok%zu", i % 9);
        snprintf(other, sizeof other, "o%zu", i % 9);
        if (e.kind == EVENT_TEXT || e.kind == EVENT_REASONING || e.kind == EVENT_ARGUMENTS) {
            e.text = text;
            e.text_bytes = strlen(text);
        }
        e.call = e.kind == EVENT_CALL || e.kind == EVENT_ARGUMENTS || e.kind == EVENT_CALL_END ? &call : NULL;
        e.token = e.kind == EVENT_TOKEN ? &drawn : NULL;
        e.relaxed = e.kind == EVENT_RELAXED ? relaxed : NULL;
        e.end = e.kind == EVENT_DONE ? &end : NULL;
        if (fn(user, &e))
            break;
        memset(text, '#', sizeof text - 1);
        memset(id, '#', sizeof id - 1);
        memset(name, '#', sizeof name - 1);
        memset(token, '#', sizeof token - 1);
    }
    js_free(relaxed);
}

static int without_waiting(void *user, const event *e)
{
    return e->kind == EVENT_WAIT || e->kind == EVENT_PREFILL ? 0 : listen_to(user, e);
}

static void what_is_told_is_what_came(void **state)
{
    (void)state;
    listener now = { .said = BUF_INIT(1 << 16) }, later = { .said = BUF_INIT(1 << 16) };
    held h;
    held_init(&h);
    answer(without_waiting, &now);
    answer(held_event_fn, &h);
    assert_true(h.done && !h.failed && h.end.mean_logprob == -0.125);
    held_tell(&h, &h.end, listen_to, &later);
    assert_int_equal(later.n, 9);
    assert_string_equal(buf_text(&now.said), buf_text(&later.said));
    held_clear(&h);
    assert_true(!h.done && !h.first && !h.memory.blocks);
    buf_clear(&now.said);
    buf_clear(&later.said);
}

/* Who stops listening is told that it was cancelled, once, and nothing after it. */
static void who_leaves_hears_the_end(void **state)
{
    (void)state;
    for (int at = 1; at <= 8; at++) {
        listener l = { .said = BUF_INIT(1 << 16), .stop_at = at };
        held h;
        char end[32];
        held_init(&h);
        answer(held_event_fn, &h);
        held_tell(&h, &h.end, listen_to, &l);
        snprintf(end, sizeof end, "\n%d end %d ", EVENT_DONE, ANSWER_CANCELLED);
        assert_int_equal(l.n, at + 1);
        assert_non_null(strstr(buf_text(&l.said), end));
        held_clear(&h);
        buf_clear(&l.said);
    }
}

static void without_memory_it_is_no_answer(void **state)
{
    (void)state;
    listener whole = { .said = BUF_INIT(1 << 16) };
    int failed = 0;
    answer(without_waiting, &whole);
    for (uint64_t n = 1; n < 60; n++) {
        listener l = { .said = BUF_INIT(1 << 16) };
        held h;
        held_init(&h);
        mem_fail_at(n);
        answer(held_event_fn, &h);
        mem_fail_at(0);
        failed += h.failed;
        if (h.done && !h.failed) {
            held_tell(&h, &h.end, listen_to, &l);
            if (!strstr(buf_text(&whole.said), "relaxed") || strcmp(buf_text(&whole.said), buf_text(&l.said)) != 0)
                assert_null(strstr(buf_text(&l.said), "/a: pattern")); /* the test's own list was lost, not the copy */
        }
        held_clear(&h);
        buf_clear(&l.said);
    }
    assert_true(failed > 2);
    held h;
    held_init(&h);
    h.memory.max_bytes = 300; /* the ceiling */
    answer(held_event_fn, &h);
    assert_true(h.failed && !h.done);
    held_clear(&h);
    buf_clear(&whole.said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_is_what_came),
        cmocka_unit_test(who_leaves_hears_the_end),
        cmocka_unit_test(without_memory_it_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
