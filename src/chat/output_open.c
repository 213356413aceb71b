/* output_open.c: from a format and tools to the markers that are looked for. */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chat/output_int.h"

enum { IN_MAX = OUTPUT_HOLD_MAX + OUTPUT_VALUE_MAX + (512 << 10) };

static status check_tools(const js *tools, error *err)
{
    if (!js_is(tools, JS_ARRAY))
        return fail(err, E_FORMAT, "tools is not a list");
    for (size_t i = 0; i < js_len(tools); i++) {
        const js *name = js_get(js_get(js_at(tools, i), "function"), "name");
        if (!js_is(name, JS_STRING) || !js_len(name) || js_len(name) > TOOL_NAME_MAX ||
            strlen(js_text(name)) != js_len(name))
            return fail(err, E_FORMAT, "tools[%zu].function.name is not a name of 1 to %d bytes", i, TOOL_NAME_MAX);
    }
    return OK;
}

static void add(marker *list, size_t *n, marker_kind kind, const char *text)
{
    if (text && *text)
        list[(*n)++] = (marker){ kind, text, strlen(text) };
}

/* A pattern is looked for by its first literal. */
static void add_pattern(marker *list, size_t *n, marker_kind kind, const pattern *p)
{
    if (p->n && p->items[0].kind == PATTERN_TEXT)
        list[(*n)++] = (marker){ kind, p->items[0].text, p->items[0].n };
}

static void set_markers(output *o)
{
    const tool_format *f = o->format.tools;
    marker *text = o->text_markers, *between = o->between_markers;
    size_t *n = &o->n_text_markers, *m = &o->n_between_markers;
    if (o->format.reasoning)
        add(text, n, MARK_THINK, o->format.reasoning->open);
    if (f->start) {
        add(text, n, MARK_START, f->start);
        add(text, n, MARK_START, f->header);
        add(text, n, MARK_END, f->end);
        add(text, n, MARK_OVER, f->call_end);
    } else if (o->tools) {
        add_pattern(text, n, MARK_OPEN, &o->open);
        add_pattern(text, n, MARK_CALL, &o->call);
        add_pattern(between, m, MARK_NEXT, &o->next);
        if (o->call.items[0].kind == PATTERN_CALL && (!o->next.n || o->next.items[0].kind == PATTERN_SPACE))
            add(between, m, MARK_CALL, "{"); /* objects with nothing but white space between them */
        add_pattern(between, m, MARK_OPEN, &o->open);
        add_pattern(between, m, MARK_CALL, &o->call);
        add_pattern(between, m, MARK_CLOSE, &o->close);
    }
}

static bool ends_with(span text, const char *end)
{
    size_t n = end ? strlen(end) : 0;
    return n && text.n >= n && memcmp(text.p + text.n - n, end, n) == 0;
}

output_begun output_begun_by(const output_format *f, const char *prompt)
{
    span tail = span_trim(span_of(prompt ? prompt : ""));
    if (f->reasoning && ends_with(tail, f->reasoning->open))
        return OUTPUT_IN_REASONING;
    return ends_with(tail, f->tools->start) ? OUTPUT_IN_HEADER : OUTPUT_NOTHING;
}

bool output_needed(const output_options *options)
{
    return js_len(options->tools) > 0 || options->format.reasoning || options->format.tools->start;
}

status output_open(output **out, const output_options *options, error *err)
{
    const js *tools = js_len(options->tools) ? options->tools : NULL;
    status s = options->tools ? check_tools(options->tools, err) : OK;
    if (s)
        return s;
    output *o = mem_zero(sizeof *o);
    if (!o)
        return fail(err, E_NOMEM, "no memory to read an answer");
    const tool_format *f = options->format.tools;
    o->format = options->format;
    o->tools = tools;
    o->fn = options->fn;
    o->user = options->user;
    o->id_seed = options->id_seed;
    o->in = (buf)BUF_INIT(IN_MAX);
    o->out = (buf)BUF_INIT(8 * (size_t)IN_MAX); /* an escape has at most six bytes */
    o->early = (buf)BUF_INIT(8 * (size_t)OUTPUT_HOLD_MAX);
    o->fresh = o->all_complete = true;
    pattern_read(&o->open, f->open);
    pattern_read(&o->call, f->call);
    pattern_read(&o->next, f->next);
    pattern_read(&o->close, f->close);
    pattern_read(&o->parameter, f->parameter);
    set_markers(o);
    output_begun begun = output_begun_by(&o->format, options->prompt);
    o->mode = begun == OUTPUT_IN_REASONING ? MODE_REASONING : begun == OUTPUT_IN_HEADER ? MODE_HEADER : MODE_TEXT;
    o->skip_space = begun == OUTPUT_IN_REASONING;
    *out = o;
    return OK;
}

void output_close(output **o)
{
    if (!*o)
        return;
    buf_clear(&(*o)->in);
    buf_clear(&(*o)->out);
    buf_clear(&(*o)->early);
    mem_free(*o);
    *o = NULL;
}
