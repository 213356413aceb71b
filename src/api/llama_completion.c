/* llama_completion.c: POST /completion: a prompt is continued as it is; the texts of control tokens in it become these
 * tokens, because llama-server's clients render templates themselves.
 *
 * A prompt that is one text is asked as it stands. Of any other the parts are made tokens first, within the same walk
 * (api_ask.next): what is told of a prompt is a text, and what is asked are its tokens. */
#include <string.h>

#include "api/llama_completion.h"

enum { IDS_BYTES_MAX = 4 * REQUEST_TOKENS_MAX };

static const llama_prompt *prompt_of(const llama_answer *a)
{
    return &a->call->prompts[a->prompt];
}

static bool is_one_text(const llama_prompt *p)
{
    return p->n == 1 && p->parts[0].text;
}

static void ask_for_tokens(llama_answer *a, request *q)
{
    llama_set_part(prompt_of(a), a->part, q);
    q->prompt_only = q->decoded = q->control = true;
    q->bare = a->part > 0;
}

static void ask_for_answer(llama_answer *a, request *q)
{
    const llama_prompt *p = prompt_of(a);
    q->prompt_only = q->decoded = q->bare = false;
    q->control = true;
    if (is_one_text(p)) {
        llama_set_part(p, 0, q);
        return;
    }
    q->kind = REQUEST_TOKENS;
    q->tokens = (const int32_t *)(const void *)a->ids.data;
    q->n_tokens = a->ids.len / sizeof *q->tokens;
}

static void begin_prompt(llama_answer *a, request *q)
{
    buf_reset(&a->ids);
    buf_reset(&a->written);
    a->part = 0;
    a->reading = !is_one_text(prompt_of(a));
    llama_answer_begin(a);
    if (a->reading)
        ask_for_tokens(a, q);
    else
        ask_for_answer(a, q);
}

static int on_tokens(llama_answer *a, const event *e)
{
    if (e->kind == EVENT_DONE)
        a->complete = e->end->finish != ANSWER_CANCELLED;
    for (size_t i = 0; e->kind == EVENT_PROMPT && i < e->prompt->n; i++) {
        const event_alternative *t = &e->prompt->tokens[i];
        buf_add(&a->ids, &t->id, sizeof t->id);
        buf_add(&a->written, t->text, t->text_bytes);
    }
    a->full |= a->ids.failed || a->written.failed;
    return a->full;
}

static int on_event(void *user, const event *e)
{
    llama_answer *a = user;
    return a->reading ? on_tokens(a, e) : llama_answer_event(a, e);
}

static bool next(void *user, request *q)
{
    llama_answer *a = user;
    if (!a->complete || a->broken || a->full)
        return false;
    if (a->reading && ++a->part < prompt_of(a)->n) {
        ask_for_tokens(a, q);
    } else if (a->reading) {
        a->reading = false;
        ask_for_answer(a, q);
    } else {
        if (++a->prompt == a->call->n_prompts)
            return false;
        begin_prompt(a, q);
    }
    a->complete = false;
    return true;
}

static void answer_call(api *ap, http_request *r, const llama_call *c)
{
    llama_answer a;
    request neutral = c->neutral;
    llama_answer_init(&a, r, c);
    a.ids = (buf)BUF_INIT(IDS_BYTES_MAX);
    begin_prompt(&a, &neutral);
    api_ask ask = { .r = r, .model = c->model, .neutral = &neutral, .param = "prompt", .fn = on_event, .user = &a,
                    .next = next };
    bool ok = api_new_id("cmpl-", a.id, &a.fault) && api_ask_provider(ap, &ask, a.id, &a.fault);
    if (!ok || !llama_answer_end(&a))
        llama_answer_fault(&a);
    llama_answer_clear(&a);
}

void api_llama_completion(api *ap, http_request *r)
{
    llama_call c;
    api_fault f;
    if (llama_read_call(http_body(r), &c, &f))
        answer_call(ap, r, &c);
    else
        llama_reply_fault(r, &f);
    llama_call_clear(&c);
}
