/* tool_format.c: which row, and from calls to text. output.c is the other direction. */
#include "chat/tool_format.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- recognising ---- */

static bool has(const char *text, const char *part)
{
    return !part || strstr(text, part) != NULL;
}

static bool matches(const tool_format *f, const char *text)
{
    for (size_t i = 0; i < TOOL_MARKS; i++)
        if (!has(text, f->marks[i]))
            return false;
    return !f->without || !strstr(text, f->without);
}

output_format output_format_of(const char *template_text)
{
    const char *text = template_text ? template_text : "";
    output_format out = { .tools = &tool_format_table[tool_format_rows - 1] };
    for (size_t i = 0; i + 1 < tool_format_rows; i++)
        if (matches(&tool_format_table[i], text)) {
            out.tools = &tool_format_table[i];
            break;
        }
    for (size_t i = 0; i < reasoning_format_rows && !out.reasoning; i++)
        if (strstr(text, reasoning_format_table[i].mark))
            out.reasoning = &reasoning_format_table[i];
    if (out.tools->start)
        out.reasoning = NULL; /* addressed formats have a channel for it */
    return out;
}

bool output_format_has(const output_format *of, const char *text, size_t n)
{
    const tool_format *f = of->tools;
    const reasoning_format *r = of->reasoning;
    const char *const texts[] = { f->open, f->next, f->close, f->call, f->parameter, f->quote, f->start, f->header,
                                  f->header_end, f->end, f->call_end, r ? r->open : NULL, r ? r->close : NULL };
    for (size_t i = 0; i < ARRAY_LEN(texts) && n; i++)
        if (texts[i] && memmem(texts[i], strlen(texts[i]), text, n))
            return true;
    return false;
}

const tool_format *tool_format_named(const char *name)
{
    for (size_t i = 0; i < tool_format_rows; i++)
        if (strcmp(tool_format_table[i].name, name) == 0)
            return &tool_format_table[i];
    return NULL;
}

/* ---- patterns ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static const struct {
    const char *hole;
    pattern_kind kind;
} holes[] = {
    { "{call}", PATTERN_CALL },           { "{name}", PATTERN_NAME },           { "{id}", PATTERN_ID },
    { "{index}", PATTERN_INDEX },         { "{arguments}", PATTERN_ARGUMENTS }, { "{parameters}", PATTERN_PARAMETERS },
    { "{map}", PATTERN_MAP },             { "{key}", PATTERN_KEY },             { "{value}", PATTERN_VALUE },
};

/* A blank between two words is one with them ("<parameter name="). */
static bool is_joint(const char *p)
{
    return *p == ' ' && p[1] && p[1] != '{' && p[1] != '~' && !is_space(p[1]);
}

/* One item at *text, which moves on. Braces that are no hole are text. */
static pattern_item next_item(const char **text)
{
    const char *p = *text;
    pattern_item item = { PATTERN_TEXT, p, 0 };
    for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
        size_t n = strlen(holes[i].hole);
        if (strncmp(p, holes[i].hole, n) == 0) {
            *text = p + n;
            return (pattern_item){ holes[i].kind, p, 0 };
        }
    }
    if (*p == '~') {
        *text = p + 1;
        return (pattern_item){ PATTERN_SPACE, p, 0 };
    }
    item.kind = is_space(*p) ? PATTERN_SPACE : PATTERN_TEXT;
    for (; *p && *p != '{' && *p != '~'; p++)
        if (item.kind == PATTERN_SPACE ? !is_space(*p) : is_space(*p) && !is_joint(p))
            break;
    p += p == *text;
    item.n = (size_t)(p - *text);
    *text = p;
    return item;
}

void pattern_read(pattern *p, const char *text)
{
    p->n = 0;
    while (text && *text) {
        assert(p->n < PATTERN_ITEMS);
        p->items[p->n++] = next_item(&text);
    }
}

/* ---- ids ---- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void write_letters(char *out, size_t n, uint64_t seed, uint32_t index)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t state = mix(seed ^ mix(index + 1u));
    for (size_t i = 0; i < n; i++) {
        state = mix(state + i);
        out[i] = letters[(state >> 32) % (sizeof letters - 1)];
    }
    out[n] = 0;
}

void tool_id_write(char out[TOOL_ID_MAX], tool_id_rule rule, const char *name, uint32_t index, uint64_t seed)
{
    if (rule == TOOL_ID_FUNCTIONS && strlen(name) + 24 < TOOL_ID_MAX) {
        snprintf(out, TOOL_ID_MAX, "functions.%s:%u", name, index);
    } else if (rule == TOOL_ID_NINE) {
        write_letters(out, 9, seed, index);
    } else {
        memcpy(out, "call_", 5);
        write_letters(out + 5, 24, seed, index);
    }
}

/* ---- writing ---- */

static void write_pattern(const tool_format *f, const char *text, const js *call, uint32_t index, buf *out);

/* A value as Gemma writes it; see tool_format.h. */
static void write_map(const tool_format *f, const js *v, buf *out)
{
    js_member m = { 0 };
    const char *comma = "";
    switch (js_typeof(v)) {
    case JS_STRING:
        buf_str(out, f->quote);
        buf_add(out, js_text(v), js_len(v));
        buf_str(out, f->quote);
        break;
    case JS_OBJECT:
        buf_char(out, '{');
        for (; js_next(v, &m); comma = ",") {
            buf_printf(out, "%s%s:", comma, m.key);
            write_map(f, m.value, out);
        }
        buf_char(out, '}');
        break;
    case JS_ARRAY:
        buf_char(out, '[');
        for (size_t i = 0; i < js_len(v); i++, comma = ",") {
            buf_str(out, comma);
            write_map(f, js_at(v, i), out);
        }
        buf_char(out, ']');
        break;
    default: js_write(v, JS_COMPACT, out);
    }
}

static void write_parameters(const tool_format *f, const js *arguments, buf *out)
{
    js_member m = { 0 };
    pattern p;
    pattern_read(&p, f->parameter);
    while (js_next(arguments, &m)) {
        for (size_t i = 0; i < p.n; i++) {
            const pattern_item *item = &p.items[i];
            if (item->kind == PATTERN_KEY)
                buf_str(out, m.key);
            else if (item->kind == PATTERN_VALUE && js_is(m.value, JS_STRING))
                buf_add(out, js_text(m.value), js_len(m.value));
            else if (item->kind == PATTERN_VALUE)
                js_write(m.value, JS_COMPACT, out);
            else
                buf_add(out, item->text, item->n);
        }
    }
}

static void write_call(const tool_format *f, const char *name, const js *arguments, buf *out)
{
    buf_str(out, "{\"name\": ");
    js_write_string(out, name, strlen(name));
    buf_printf(out, ", \"%s\": ", f->arguments_key);
    js_write(arguments, JS_COMPACT, out);
    buf_char(out, '}');
}

static void write_pattern(const tool_format *f, const char *text, const js *call, uint32_t index, buf *out)
{
    const js *function = js_get(call, "function"), *arguments = js_get(function, "arguments");
    const char *name = js_text(js_get(function, "name")), *id = js_text(js_get(call, "id"));
    pattern p;
    pattern_read(&p, text);
    for (size_t i = 0; i < p.n; i++) {
        const pattern_item *item = &p.items[i];
        switch (item->kind) {
        case PATTERN_NAME: buf_str(out, name); break;
        case PATTERN_ID: buf_str(out, id ? id : "000000000"); break;
        case PATTERN_INDEX: buf_printf(out, "%u", index); break;
        case PATTERN_CALL: write_call(f, name, arguments, out); break;
        case PATTERN_ARGUMENTS: js_write(arguments, JS_COMPACT, out); break;
        case PATTERN_PARAMETERS: write_parameters(f, arguments, out); break;
        case PATTERN_MAP: write_map(f, arguments, out); break;
        default: buf_add(out, item->text, item->n);
        }
    }
}

void tool_format_write(const tool_format *f, const js *calls, buf *out)
{
    uint32_t n = 0;
    for (size_t i = 0; i < js_len(calls); i++) {
        const js *call = js_at(calls, i), *function = js_get(call, "function");
        if (!js_is(js_get(function, "name"), JS_STRING) || !js_is(js_get(function, "arguments"), JS_OBJECT))
            continue;
        if (f->start && n)
            buf_str(out, f->call_end ? f->start : "");
        write_pattern(f, n == 0 ? f->open : f->next, NULL, 0, out);
        write_pattern(f, f->call, call, n++, out);
    }
    if (n)
        write_pattern(f, f->close, NULL, 0, out);
}
