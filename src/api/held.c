/* held.c: the events of one answer, kept until it is known whether it is the answer. */
#include <string.h>

#include "api/cascade.h"

struct held_event {
    held_event *next;
    event e;
};

void held_init(held *h)
{
    *h = (held){ .memory = ARENA_INIT(HELD_BYTES_MAX) };
}

void held_clear(held *h)
{
    for (held_event *x = h->first; x; x = x->next)
        js_free((js *)(uintptr_t)x->e.relaxed); /* a copy of ours */
    arena_clear(&h->memory);
    held_init(h);
}

/* ---- copies; NULL without memory ---- */

static const char *copy_text(held *h, const char *s, size_t n)
{
    const char *copy = arena_strndup(&h->memory, s ? s : "", s ? n : 0);
    h->failed |= !copy;
    return copy;
}

static const char *copy_string(held *h, const char *s)
{
    return copy_text(h, s, s ? strlen(s) : 0);
}

static void *copy_bytes(held *h, const void *p, size_t n)
{
    void *copy = arena_alloc(&h->memory, n ? n : 1);
    h->failed |= !copy;
    if (copy && n)
        memcpy(copy, p, n);
    return copy;
}

static const event_call *copy_call(held *h, const event_call *call)
{
    event_call *c = copy_bytes(h, call, sizeof *call);
    if (c) {
        c->id = copy_string(h, call->id);
        c->name = copy_string(h, call->name);
    }
    return c;
}

static const event_token *copy_token(held *h, const event_token *token)
{
    event_token *t = copy_bytes(h, token, sizeof *token);
    event_alternative *top = copy_bytes(h, token->top, token->n_top * sizeof *top);
    if (!t || !top)
        return NULL;
    t->token.text = copy_text(h, token->token.text, token->token.text_bytes);
    for (size_t i = 0; i < token->n_top; i++)
        top[i].text = copy_text(h, top[i].text, top[i].text_bytes);
    t->top = top;
    return t;
}

static void copy_end(held *h, const event_done *end)
{
    h->end = *end;
    h->end.model = copy_string(h, end->model);
    h->end.model_digest = copy_string(h, end->model_digest);
    h->end.numerics = copy_string(h, end->numerics);
    h->done = true;
}

static void append(held *h, const event *e)
{
    held_event *x = copy_bytes(h, &(held_event){ .e = *e }, sizeof *x);
    if (!x)
        return;
    x->e.relaxed = NULL;
    *(h->last ? &h->last->next : &h->first) = x;
    h->last = x;
    if (e->text)
        x->e.text = copy_text(h, e->text, e->text_bytes);
    if (e->call)
        x->e.call = copy_call(h, e->call);
    if (e->token)
        x->e.token = copy_token(h, e->token);
    if (e->relaxed) {
        x->e.relaxed = js_copy(e->relaxed);
        h->failed |= !x->e.relaxed;
    }
}

int held_event_fn(void *user, const event *e)
{
    held *h = user;
    switch (e->kind) {
    case EVENT_DONE: copy_end(h, e->end); break;
    case EVENT_RELAXED:
    case EVENT_TEXT:
    case EVENT_REASONING:
    case EVENT_CALL:
    case EVENT_ARGUMENTS:
    case EVENT_CALL_END:
    case EVENT_TOKEN: append(h, e); break;
    case EVENT_WAIT:
    case EVENT_PREFILL:
    case EVENT_PROMPT: /* not of an answer */
    case EVENT_VECTOR:
    case EVENT_SPAN:
    case EVENT_ERROR: break;
    }
    return h->failed;
}

void held_tell(const held *h, const event_done *end, event_fn *fn, void *user)
{
    event_done last = *end;
    for (const held_event *x = h->first; x && last.finish != ANSWER_CANCELLED; x = x->next)
        if (fn(user, &x->e))
            last.finish = ANSWER_CANCELLED;
    (void)fn(user, &(event){ .kind = EVENT_DONE, .end = &last });
}
