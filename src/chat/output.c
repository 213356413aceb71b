/* output.c: what is fed, what is given out, and text between calls. Calls themselves: output_call.c. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "chat/output_int.h"

enum { PIECE = 64 << 10 };

bool output_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

bool output_has(const output *o, size_t at)
{
    return at < o->in.len;
}

int output_at(const output *o, size_t at, const char *text, size_t n)
{
    size_t left = o->in.len - at;
    if (left == 0)
        return o->final ? -1 : 0;
    if (memcmp(o->in.data + at, text, n < left ? n : left) != 0)
        return -1;
    return left >= n ? 1 : o->final ? -1 : 0;
}

/* ---- giving out ---- */

void output_flush(output *o, bool all)
{
    size_t n = all ? o->out.len : utf8_complete(buf_text(&o->out), o->out.len);
    if (n)
        o->fn(o->user, &(output_event){ .kind = o->out_kind, .text = o->out.data, .n = n,
                                        .index = o->calls ? o->calls - 1 : 0 });
    buf_drop(&o->out, n);
}

void output_give(output *o, output_kind kind, const char *text, size_t n)
{
    if (n == 0)
        return;
    if (kind != o->out_kind)
        output_flush(o, true);
    o->out_kind = kind;
    buf_add(&o->out, text, n);
    if (kind == OUTPUT_ARGUMENTS)
        return;
    o->skip_space = false;
    for (size_t i = 0; i < n && kind == OUTPUT_TEXT && o->fresh; i++)
        o->fresh = output_is_space(text[i]);
}

const js *output_find_tool(const output *o, const char *name, size_t n)
{
    for (size_t i = 0; i < js_len(o->tools); i++) {
        const js *function = js_get(js_at(o->tools, i), "function"), *known = js_get(function, "name");
        if (js_len(known) == n && memcmp(js_text(known), name, n) == 0)
            return function;
    }
    return NULL;
}

bool output_begin_call(output *o)
{
    char id[TOOL_ID_MAX];
    if (o->calls == OUTPUT_CALLS_MAX)
        return false;
    output_flush(o, true);
    o->name[o->name_n] = 0;
    tool_id_write(id, o->format.tools->id, o->name, o->calls, o->id_seed);
    o->begun = true;
    o->fresh = false;
    o->fn(o->user, &(output_event){ .kind = OUTPUT_CALL, .index = o->calls++, .id = id, .name = o->name });
    return true;
}

void output_end_call(output *o, bool complete)
{
    output_flush(o, true);
    o->all_complete = o->all_complete && complete;
    o->fn(o->user, &(output_event){ .kind = OUTPUT_CALL_END, .index = o->calls - 1, .complete = complete });
    output_reset_call(o);
}

/* ---- markers ---- */

static bool is_active(const output *o, marker_kind kind)
{
    if (kind == MARK_THINK)
        return o->fresh && o->calls == 0;
    return kind > MARK_CLOSE || o->calls < OUTPUT_CALLS_MAX;
}

/* The marker that begins at `at`: 1 and *out, 0: one still could, -1: none. */
static int find_marker(const output *o, const marker *list, size_t n, size_t at, const marker **out)
{
    int best = -1;
    for (size_t i = 0; i < n && best < 1; i++) {
        int r = is_active(o, list[i].kind) ? output_at(o, at, list[i].text, list[i].n) : -1;
        if (r > best)
            best = r;
        if (r == 1)
            *out = &list[i];
    }
    return best;
}

static step walk(output *o, const pattern *p, size_t at, size_t retry)
{
    o->start = o->pos;
    o->retry = retry;
    o->pos = at;
    o->walk = p;
    o->item = o->at = o->space = 0;
    o->mode = MODE_PATTERN;
    return STEP_ON;
}

static step to_text(output *o, size_t pos)
{
    o->pos = pos;
    o->mode = MODE_TEXT;
    o->skip_space = true;
    return STEP_ON;
}

static step begin_marker(output *o, const marker *m, size_t at)
{
    size_t after = at + m->n;
    switch (m->kind) {
    case MARK_OPEN: return walk(o, &o->open, at, after);
    case MARK_NEXT: return walk(o, &o->next, at, after);
    case MARK_CALL: return walk(o, &o->call, at, after);
    case MARK_CLOSE: return walk(o, &o->close, at, after);
    case MARK_THINK:
        o->pos = after;
        o->mode = MODE_REASONING;
        o->skip_space = true;
        return STEP_ON;
    case MARK_START:
        o->start = o->pos;
        o->retry = after;
        o->pos = o->format.tools->header == m->text ? at : after;
        o->mode = MODE_HEADER;
        return STEP_ON;
    case MARK_OVER: o->over = true; return to_text(o, after);
    case MARK_END: break;
    }
    return to_text(o, after);
}

/* ---- steps outside of calls ---- */

static size_t space_end(const output *o)
{
    size_t at = o->pos;
    while (output_has(o, at) && at - o->pos < SPACE_MAX && output_is_space(o->in.data[at]))
        at++;
    return at;
}

static bool starts_marker(const output *o, char c)
{
    for (size_t i = 0; i < o->n_text_markers; i++)
        if (o->text_markers[i].text[0] == c)
            return true;
    return o->format.reasoning && o->mode == MODE_REASONING && o->format.reasoning->close[0] == c;
}

/* Gives the white space before `at` and text after it up to where something else could begin. */
static step give_text(output *o, output_kind kind, size_t at)
{
    if (!o->skip_space)
        output_give(o, kind, o->in.data + o->pos, at - o->pos);
    o->pos = at;
    if (!output_has(o, at) || output_is_space(o->in.data[at]))
        return STEP_ON;
    do
        at++;
    while (output_has(o, at) && !output_is_space(o->in.data[at]) && !starts_marker(o, o->in.data[at]));
    output_give(o, kind, o->in.data + o->pos, at - o->pos);
    o->pos = at;
    return STEP_ON;
}

static step step_text(output *o)
{
    size_t at = space_end(o);
    const marker *m = NULL;
    if (!output_has(o, at) && !o->final && at - o->pos < SPACE_MAX)
        return STEP_WAIT;
    int r = find_marker(o, o->text_markers, o->n_text_markers, at, &m);
    if (r == 0)
        return STEP_WAIT;
    if (r == 1)
        return begin_marker(o, m, at);
    if (o->format.tools->bare && o->tools && o->fresh && o->calls == 0 && output_has(o, at) && o->in.data[at] == '{')
        return walk(o, &o->call, at, at + 1);
    return give_text(o, OUTPUT_TEXT, at);
}

static step step_reasoning(output *o)
{
    const reasoning_format *f = o->format.reasoning;
    size_t at = space_end(o);
    const marker *m = NULL;
    marker close = { MARK_END, f ? f->close : "", f ? strlen(f->close) : 0 };
    if (!output_has(o, at) && !o->final && at - o->pos < SPACE_MAX)
        return STEP_WAIT;
    int r = f ? find_marker(o, &close, 1, at, &m) : find_marker(o, o->text_markers, o->n_text_markers, at, &m);
    if (r == 0)
        return STEP_WAIT;
    return r == 1 ? begin_marker(o, m, at) : give_text(o, OUTPUT_REASONING, at);
}

static step step_between(output *o)
{
    size_t at = space_end(o);
    const marker *m = NULL;
    int r = at - o->pos < SPACE_MAX ? find_marker(o, o->between_markers, o->n_between_markers, at, &m) : -1;
    if (r == 0)
        return STEP_WAIT;
    return r == 1 ? begin_marker(o, m, at) : to_text(o, o->pos);
}

step output_mismatch(output *o)
{
    bool call = o->begun, whole = o->whole, closing = o->mode == MODE_PATTERN && o->walk == &o->close;
    if (call) {
        output_end_call(o, whole);
        return to_text(o, o->pos);
    }
    output_reset_call(o);
    if (closing)
        return to_text(o, o->pos);
    o->mode = MODE_TEXT;
    output_give(o, OUTPUT_TEXT, o->in.data + o->start, o->retry - o->start);
    o->pos = o->retry;
    return STEP_ON;
}

/* ---- headers ---- */

static const char *find(const char *text, size_t n, const char *what)
{
    return n ? memmem(text, n, what, strlen(what)) : NULL;
}

/* Where the recipient's name stands in the header. */
static span recipient(const output *o, span header)
{
    const char *to = find(header.p, header.n, "to="), *end = header.p + header.n;
    if (!o->format.tools->header)
        return header;
    if (!to)
        return (span){ header.p, 0 };
    to += 3;
    if ((size_t)(end - to) > 10 && memcmp(to, "functions.", 10) == 0)
        to += 10;
    size_t n = 0;
    while (to + n < end && to[n] != ' ' && to[n] != '<' && to[n] != '\n')
        n++;
    return (span){ to, n };
}

static step step_header(output *o)
{
    const tool_format *f = o->format.tools;
    const size_t left = o->in.len - o->pos, seen = left < HEADER_MAX ? left : HEADER_MAX;
    const char *end = seen ? find(o->in.data + o->pos, seen, f->header_end) : NULL;
    if (!end)
        return left < HEADER_MAX && !o->final ? STEP_WAIT : output_mismatch(o);
    span header = { o->in.data + o->pos, (size_t)(end - (o->in.data + o->pos)) }, who = recipient(o, header);
    const js *function = who.n && who.n <= TOOL_NAME_MAX ? output_find_tool(o, who.p, who.n) : NULL;
    size_t after = o->pos + header.n + strlen(f->header_end);
    if (!function && !f->header && !span_is(who, "all"))
        return output_mismatch(o);
    o->skip_space = false;
    if (function) {
        o->function = function;
        memcpy(o->name, who.p, who.n);
        o->name_n = who.n;
        if (!output_begin_call(o))
            return output_mismatch(o);
        o->mode = MODE_BODY;
    } else {
        o->mode = find(header.p, header.n, "<|channel|>analysis") ? MODE_REASONING : MODE_TEXT;
    }
    o->pos = after;
    return STEP_ON;
}

step output_after_body(output *o)
{
    size_t at = space_end(o);
    const marker *m = NULL;
    int r = find_marker(o, o->text_markers, o->n_text_markers, at, &m);
    if (r == 0 && !o->final)
        return STEP_WAIT;
    output_end_call(o, true);
    return r == 1 ? begin_marker(o, m, at) : to_text(o, o->pos);
}

/* ---- the loop ---- */

static step one_step(output *o)
{
    switch (o->mode) {
    case MODE_TEXT: return step_text(o);
    case MODE_REASONING: return step_reasoning(o);
    case MODE_PATTERN: return output_step_pattern(o);
    case MODE_BETWEEN: return step_between(o);
    case MODE_HEADER: return step_header(o);
    case MODE_BODY: return output_step_body(o);
    }
    return STEP_WAIT;
}

static status run(output *o, error *err)
{
    while (o->pos < o->in.len && one_step(o) == STEP_ON)
        ;
    bool holding = (o->mode == MODE_PATTERN && !o->begun) || o->mode == MODE_HEADER;
    size_t done = holding ? o->start : o->pos;
    buf_drop(&o->in, done);
    o->pos -= done;
    o->start = holding ? 0 : o->start;
    o->retry -= holding ? done : 0;
    output_flush(o, false);
    return o->in.failed || o->out.failed || o->early.failed || o->no_memory
               ? fail(err, E_NOMEM, "no memory for an answer's text") : OK;
}

status output_feed(output *o, const char *text, size_t n, bool control, error *err)
{
    if (control && !output_format_has(&o->format, text, n))
        return OK;
    status s = OK;
    for (size_t at = 0; at < n && !s; at += PIECE) {
        buf_add(&o->in, text + at, n - at < PIECE ? n - at : PIECE);
        s = run(o, err);
    }
    return s;
}

/* Something still waits for what will not come. */
static bool is_open(const output *o)
{
    return o->pos < o->in.len || o->mode == MODE_HEADER || o->mode == MODE_BODY || o->mode == MODE_PATTERN;
}

static void settle(output *o)
{
    bool closing = o->mode == MODE_PATTERN && o->walk == &o->close;
    if (!o->begun && !closing) {
        output_mismatch(o); /* held text is content */
        return;
    }
    if (o->begun)
        output_end_call(o, o->whole);
    to_text(o, o->pos);
}

status output_finish(output *o, error *err)
{
    o->final = true;
    status s = run(o, err);
    while (!s && is_open(o)) {
        settle(o);
        s = run(o, err);
    }
    output_flush(o, true);
    return s;
}

bool output_over(const output *o)
{
    return o->over;
}

uint32_t output_calls(const output *o, bool *complete)
{
    if (complete)
        *complete = o->all_complete;
    return o->calls;
}
