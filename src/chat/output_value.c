/* output_value.c: arguments that are not written as JSON: one by one between tags, or in Gemma's way. They become JSON
 * by the tool's schema: what it calls a string is one, whatever it looks like. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "chat/output_int.h"

static void give(output *o, const char *text)
{
    output_give(o, OUTPUT_ARGUMENTS, text, strlen(text));
}

static void give_escaped(output *o, const char *text, size_t n)
{
    buf json = BUF_INIT(6 * (size_t)OUTPUT_VALUE_MAX + 2);
    js_write_string(&json, text, n);
    if (json.failed)
        o->no_memory = true;
    else
        output_give(o, OUTPUT_ARGUMENTS, json.data, json.len);
    buf_clear(&json);
}

/* ---- values by their schema ---- */

static unsigned bit_of(const char *type)
{
    static const char *const names[] = { "null", "boolean", "number", "string", "array", "object" };
    for (unsigned i = 0; type && i < ARRAY_LEN(names); i++)
        if (strcmp(type, names[i]) == 0)
            return 1u << i;
    return type && strcmp(type, "integer") == 0 ? 1u << JS_NUMBER : 0;
}

/* The types that a schema names, as bits 1 << js_type; 0: it names none. */
static unsigned types_of(const js *schema, int depth)
{
    static const char *const choices[] = { "anyOf", "oneOf" };
    const js *type = js_get(schema, "type");
    unsigned bits = js_is(type, JS_STRING) ? bit_of(js_text(type)) : 0;
    for (size_t i = 0; js_is(type, JS_ARRAY) && i < js_len(type); i++)
        bits |= bit_of(js_is(js_at(type, i), JS_STRING) ? js_text(js_at(type, i)) : NULL);
    for (size_t k = 0; k < ARRAY_LEN(choices) && depth > 0; k++) {
        const js *list = js_get(schema, choices[k]);
        for (size_t i = 0; i < js_len(list); i++)
            bits |= types_of(js_at(list, i), depth - 1);
    }
    return bits;
}

/* Python's words for JSON's. */
static span plain_word(span text)
{
    static const char *const words[][2] = { { "True", "true" }, { "False", "false" }, { "None", "null" } };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (span_is(text, words[i][0]))
            return span_of(words[i][1]);
    return text;
}

static void give_value(output *o, span text, unsigned types)
{
    span word = plain_word(span_trim(text));
    js *v = NULL;
    bool json = types != 1u << JS_STRING && js_parse(&v, word.p, word.n, "value", 1, NULL) == OK;
    if (json && types && !(types >> js_typeof(v) & 1) && (types >> JS_STRING & 1))
        json = false;
    if (json)
        output_give(o, OUTPUT_ARGUMENTS, word.p, word.n);
    else
        give_escaped(o, text.p, text.n);
    js_free(v);
}

/* The beginning of a value whose end will not come. */
static step give_part(output *o, const char *text, size_t n, unsigned types)
{
    buf json = BUF_INIT(6 * (size_t)OUTPUT_VALUE_MAX + 2);
    o->pos += n;
    if (types == 1u << JS_STRING) {
        js_write_string(&json, text, n);
        if (!json.failed)
            output_give(o, OUTPUT_ARGUMENTS, json.data, json.len - 1);
    } else {
        json_scan scan = { 0 };
        size_t good = 0;
        while (good < n && json_scan_byte(&scan, text[good]) == SCAN_MORE)
            good++;
        output_give(o, OUTPUT_ARGUMENTS, text, good);
    }
    buf_clear(&json);
    return output_mismatch(o);
}

static void give_key(output *o, const char *key, size_t n)
{
    if (o->any)
        give(o, ",");
    o->any = true;
    give_escaped(o, key, n);
    give(o, ":");
}

/* ---- {parameters} ---- */

static size_t find_item(const pattern *p, pattern_kind kind)
{
    size_t i = 0;
    while (i < p->n && p->items[i].kind != kind)
        i++;
    return i;
}

/* Reads what stands from in[at] up to the value. 1 and *at, 0: more is needed, -1: this is no parameter. */
static int before_value(const output *o, size_t *at, span *key)
{
    const pattern *p = &o->parameter;
    size_t k = find_item(p, PATTERN_KEY), v = find_item(p, PATTERN_VALUE);
    const pattern_item *after = &p->items[k + 1];
    size_t from = *at + p->items[0].n, left = o->in.len - from, room = left < KEY_MAX ? left : KEY_MAX;
    const char *text = o->in.data + from, *end = room ? memmem(text, room, after->text, after->n) : NULL;
    if (!end)
        return left < KEY_MAX && !o->final ? 0 : -1;
    *key = (span){ text, (size_t)(end - text) };
    from += key->n + after->n;
    for (size_t i = k + 2; i < v; i++) {
        const pattern_item *item = &p->items[i];
        if (item->kind == PATTERN_SPACE) {
            bool last = i + 1 == v; /* the value's own white space is its own, but for one line end */
            size_t most = last ? 1 : SPACE_MAX;
            for (size_t n = 0; n < most && output_has(o, from) && output_is_space(o->in.data[from]) &&
                               (!last || o->in.data[from] == '\n'); n++)
                from++;
            if (!output_has(o, from))
                return o->final ? -1 : 0;
            continue;
        }
        int r = output_at(o, from, item->text, item->n);
        if (r < 1)
            return r;
        from += item->n;
    }
    *at = from;
    return 1;
}

static step begin_parameter(output *o)
{
    const pattern_item *first = &o->parameter.items[0];
    size_t at = o->pos;
    span key = { 0 };
    int r = output_at(o, at, first->text, first->n);
    if (r == 1) {
        r = before_value(o, &at, &key);
        if (r < 0)
            return output_mismatch(o);
    } else if (r < 0) {
        give(o, "}");
        o->whole = true;
        return output_next_item(o);
    }
    if (r == 0)
        return STEP_WAIT;
    const js *properties = js_get(js_get(o->function, "parameters"), "properties");
    char name[KEY_MAX + 1];
    memcpy(name, key.p, key.n);
    name[key.n] = 0;
    give_key(o, key.p, key.n);
    o->objects = types_of(js_get(properties, name), 2);
    o->pos = at;
    o->in_value = true;
    o->searched = 0;
    return STEP_ON;
}

static step step_value(output *o)
{
    const pattern *p = &o->parameter;
    size_t v = find_item(p, PATTERN_VALUE), left = o->in.len - o->pos;
    bool line_end = p->items[v + 1].kind == PATTERN_SPACE;
    const pattern_item *last = &p->items[v + 1 + line_end];
    const char *text = o->in.data + o->pos;
    const char *end = memmem(text + o->searched, left - o->searched, last->text, last->n);
    if (!end) {
        o->searched = left >= last->n ? left - last->n + 1 : 0;
        if (o->final)
            return give_part(o, text, left, (unsigned)o->objects);
        return left > OUTPUT_VALUE_MAX ? output_mismatch(o) : STEP_WAIT;
    }
    size_t n = (size_t)(end - text);
    o->pos += n + last->n;
    if (line_end && n && text[n - 1] == '\n')
        n--;
    give_value(o, (span){ text, n }, (unsigned)o->objects);
    o->in_value = false;
    return STEP_ON;
}

step output_step_parameters(output *o)
{
    if (!o->begun) {
        if (!output_begin_call(o))
            return output_mismatch(o);
        give(o, "{");
    }
    if (o->in_value)
        return step_value(o);
    if (output_is_space(o->in.data[o->pos])) {
        o->pos++;
        return STEP_ON;
    }
    return begin_parameter(o);
}

/* ---- {map} ---- */

static bool in_object(const output *o)
{
    return o->objects >> (o->depth - 1) & 1;
}

static step push(output *o, bool object)
{
    if (o->depth == SCAN_DEPTH_MAX)
        return output_mismatch(o);
    uint64_t bit = (uint64_t)1 << o->depth++;
    o->objects = object ? o->objects | bit : o->objects & ~bit;
    give(o, object ? "{" : "[");
    o->map = M_FIRST;
    o->any = false;
    o->pos++;
    return STEP_ON;
}

static step pop(output *o, char c)
{
    if (c != (in_object(o) ? '}' : ']'))
        return output_mismatch(o);
    output_give(o, OUTPUT_ARGUMENTS, &c, 1);
    o->pos++;
    o->map = M_AFTER;
    o->any = true;
    if (--o->depth)
        return STEP_ON;
    o->whole = true;
    return output_next_item(o);
}

/* key: or QUOTEkeyQUOTE: */
static step step_map_key(output *o)
{
    const char *quote = o->format.tools->quote;
    size_t q = strlen(quote), left = o->in.len - o->pos;
    int r = output_at(o, o->pos, quote, q);
    if (r == 0)
        return STEP_WAIT;
    size_t skip = r == 1 ? q : 0, seen = left - skip < KEY_MAX ? left - skip : KEY_MAX;
    const char *text = o->in.data + o->pos + skip;
    const char *end = seen ? memmem(text, seen, r == 1 ? quote : ":", r == 1 ? q : 1) : NULL;
    if (!end)
        return left - skip < KEY_MAX && !o->final ? STEP_WAIT : output_mismatch(o);
    size_t n = (size_t)(end - text), after = o->pos + skip + n + skip;
    if (!output_has(o, after))
        return o->final ? output_mismatch(o) : STEP_WAIT;
    if (o->in.data[after] != ':' || n == 0)
        return output_mismatch(o);
    give_key(o, text, n);
    o->pos = after + 1;
    o->map = M_VALUE;
    return STEP_ON;
}

static step step_map_scalar(output *o)
{
    size_t n = 0, left = o->in.len - o->pos;
    const char *text = o->in.data + o->pos;
    while (n < left && n <= SCALAR_MAX && text[n] != ',' && text[n] != '}' && text[n] != ']')
        n++;
    if (n > SCALAR_MAX || n == 0)
        return output_mismatch(o);
    if (n == left)
        return o->final ? give_part(o, text, n, 0) : STEP_WAIT;
    give_value(o, (span){ text, n }, 0);
    o->pos += n;
    o->map = M_AFTER;
    return STEP_ON;
}

static step step_map_value(output *o, char c)
{
    const char *quote = o->format.tools->quote;
    int r = output_at(o, o->pos, quote, strlen(quote));
    if (r == 0)
        return STEP_WAIT;
    if (!in_object(o)) {
        if (o->any)
            give(o, ",");
        o->any = true;
    }
    if (r == 1) {
        give(o, "\"");
        o->pos += strlen(quote);
        o->map = M_STRING;
        return STEP_ON;
    }
    if (c == '{' || c == '[')
        return push(o, c == '{');
    o->map = M_SCALAR;
    return STEP_ON;
}

static step step_map_string(output *o, char c)
{
    const char *quote = o->format.tools->quote;
    int r = output_at(o, o->pos, quote, strlen(quote));
    char escape[8] = { c, 0 };
    if (r == 0)
        return STEP_WAIT;
    if (r == 1) {
        give(o, "\"");
        o->pos += strlen(quote);
        o->map = M_AFTER;
        return STEP_ON;
    }
    if (c == '"' || c == '\\')
        snprintf(escape, sizeof escape, "\\%c", c);
    else if ((unsigned char)c < 0x20)
        snprintf(escape, sizeof escape, c == '\n' ? "\\n" : "\\u%04x", (unsigned)c);
    output_give(o, OUTPUT_ARGUMENTS, escape, strlen(escape));
    o->pos++;
    return STEP_ON;
}

static step step_map_after(output *o, char c)
{
    if (c != ',')
        return pop(o, c);
    o->pos++;
    o->map = in_object(o) ? M_KEY : M_VALUE;
    return STEP_ON;
}

step output_step_map(output *o)
{
    char c = o->in.data[o->pos];
    if (o->map != M_STRING && o->map != M_SCALAR && output_is_space(c)) {
        o->pos++;
        return STEP_ON;
    }
    switch (o->map) {
    case M_OPEN:
        if (c != '{' || !output_begin_call(o))
            return output_mismatch(o);
        return push(o, true);
    case M_FIRST:
        if (c == '}' || c == ']')
            return pop(o, c);
        return in_object(o) ? step_map_key(o) : step_map_value(o, c);
    case M_KEY: return step_map_key(o);
    case M_VALUE: return step_map_value(o, c);
    case M_STRING: return step_map_string(o, c);
    case M_SCALAR: return step_map_scalar(o);
    case M_AFTER: return step_map_after(o, c);
    }
    return output_mismatch(o);
}
