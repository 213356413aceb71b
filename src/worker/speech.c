/* speech.c: see the header. */
#include "worker/speech.h"

#include <string.h>

#include "token/vocab.h"

static void send_text(speech *s, msg_type type, const char *text, size_t n)
{
    worker_send_bytes(s->w, type, s->request, text, n);
}

static void on_output(void *user, const output_event *e)
{
    speech *s = user;
    if (e->kind == OUTPUT_TEXT || e->kind == OUTPUT_REASONING) {
        send_text(s, e->kind == OUTPUT_TEXT ? MSG_TEXT : MSG_REASONING, e->text, e->n);
        return;
    }
    js *j = js_object();
    js_set(j, "index", js_new_int(e->index));
    if (e->kind == OUTPUT_CALL) {
        js_set(j, "id", js_new_string(e->id));
        js_set(j, "name", js_new_string(e->name));
    } else if (e->kind == OUTPUT_ARGUMENTS) {
        js_set(j, "text", js_new_stringn(e->text, e->n));
    } else {
        js_set(j, "complete", js_new_bool(e->complete));
    }
    worker_send(s->w, e->kind == OUTPUT_CALL       ? MSG_CALL
                      : e->kind == OUTPUT_ARGUMENTS ? MSG_ARGUMENTS
                                                    : MSG_CALL_END, s->request, j);
}

void speech_prompt_tail(const vocab *v, const token_list *prompt, buf *out)
{
    for (size_t i = prompt->n > SPEECH_TAIL_TOKENS ? prompt->n - SPEECH_TAIL_TOKENS : 0; i < prompt->n; i++) {
        span piece = vocab_piece(v, prompt->ids[i]);
        buf_add(out, piece.p, piece.n);
    }
}

/* Ids of different answers differ: every request has a name of its own. FNV-1a. */
static uint64_t id_seed(const js *in)
{
    const char *id = js_text(js_get(in, "id"));
    int64_t low = 0;
    uint64_t h = 14695981039346656037u;
    (void)js_int(js_get(js_get(in, "sampling"), "seed_low"), &low);
    for (; id && *id; id++)
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    return h ^ (uint64_t)low;
}

status speech_begin(speech *s, worker *w, uint32_t request, const js *in, const token_list *prompt, error *err)
{
    const char *kind = js_text(js_get(in, "kind"));
    buf tail = BUF_INIT(SPEECH_TAIL_MAX);
    *s = (speech){ .w = w, .request = request };
    output_options o = { .format = w->format, .tools = js_get(in, "tools"), .id_seed = id_seed(in), .fn = on_output,
                         .user = s };
    if (!kind || strcmp(kind, "chat") != 0 || !output_needed(&o))
        return OK;
    speech_prompt_tail(engine_vocab(w->engine), prompt, &tail);
    o.prompt = buf_text(&tail);
    status r = output_open(&s->parser, &o, err);
    buf_clear(&tail);
    return r;
}

void speech_text(speech *s, const char *text, size_t n, bool control)
{
    error err;
    if (!s->parser)
        send_text(s, MSG_TEXT, text, n);
    else if (!s->broken)
        s->broken = output_feed(s->parser, text, n, control, &err);
}

bool speech_over(const speech *s)
{
    return s->broken || (s->parser && output_over(s->parser));
}

status speech_end(speech *s, error *err)
{
    if (s->broken)
        return fail(err, s->broken, "no memory for an answer's text");
    return s->parser ? output_finish(s->parser, err) : OK;
}

const char *speech_finish_name(const speech *s, const char *finish)
{
    bool complete = false;
    bool calls = s->parser && output_calls(s->parser, &complete) > 0 && complete;
    return calls && strcmp(finish, "stop") == 0 ? "tool_calls" : finish;
}

void speech_clear(speech *s)
{
    output_close(&s->parser);
}
