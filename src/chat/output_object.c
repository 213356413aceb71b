/* output_object.c: {"name": …, "arguments": {…}}, members in any order. Arguments stream once the name is known. */
#include <stdio.h>
#include <string.h>

#include "chat/output_int.h"

static const struct {
    const char *key;
    value_kind kind;
} keys[] = {
    { "name", V_NAME },           { "function", V_NAME },       { "tool_name", V_NAME },
    { "arguments", V_ARGUMENTS }, { "parameters", V_ARGUMENTS }, { "id", V_OTHER },
    { "type", V_OTHER },          { "index", V_OTHER },          { "call_id", V_OTHER },
    { "tool_call_id", V_OTHER },
};

static step to(output *o, object_state state)
{
    o->object = state;
    o->pos++;
    return STEP_ON;
}

/* The name is known and so are the arguments, as a whole. */
static step give_early(output *o, const char *text, size_t n)
{
    if (!output_begin_call(o))
        return output_mismatch(o);
    output_give(o, OUTPUT_ARGUMENTS, text, n);
    o->whole = true;
    return STEP_ON;
}

static step key_done(output *o)
{
    o->key[o->key_n] = 0;
    o->object = O_COLON;
    o->pos++;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(o->key, keys[i].key) == 0) {
            o->value = keys[i].kind;
            if ((o->value == V_ARGUMENTS && (o->begun || o->has_early)) || (o->value == V_NAME && o->function))
                o->value = V_OTHER;
            return STEP_ON;
        }
    o->value = V_OTHER;
    return o->begun ? STEP_ON : output_mismatch(o);
}

static step step_key(output *o, char c)
{
    if (c == '"')
        return key_done(o);
    if (o->key_n + 1 == sizeof o->key || c == '\\') {
        if (!o->begun)
            return output_mismatch(o);
        o->key_n = 0; /* some other member's name, cut: it is skipped anyway */
    }
    o->key[o->key_n++] = c;
    o->pos++;
    return STEP_ON;
}

static step begin_value(output *o, char c)
{
    o->scan = (json_scan){ 0 };
    if (o->value == V_NAME) {
        o->name_n = 0;
        return c == '"' ? to(o, O_IN_NAME) : output_mismatch(o);
    }
    o->encoded = false;
    o->object = O_IN_VALUE;
    if (o->value != V_ARGUMENTS)
        return STEP_ON;
    if (c == '{' && o->function)
        return output_begin_call(o) ? STEP_ON : output_mismatch(o);
    o->encoded = c == '"';
    if (!o->encoded && c != '{')
        o->value = V_OTHER; /* null and the like: no arguments */
    return STEP_ON;
}

static step step_name(output *o, char c)
{
    if (c != '"') {
        if (c == '\\' || o->name_n == TOOL_NAME_MAX)
            return output_mismatch(o);
        o->name[o->name_n++] = c;
        return to(o, O_IN_NAME);
    }
    o->function = output_find_tool(o, o->name, o->name_n);
    if (!o->function)
        return output_mismatch(o);
    to(o, O_AFTER);
    return o->has_early ? give_early(o, o->early.data, o->early.len) : STEP_ON;
}

/* The early text is a JSON string that holds the arguments: takes them out. */
static bool decode_early(output *o)
{
    js *text = NULL, *object = NULL;
    bool ok = js_parse(&text, buf_text(&o->early), o->early.len, "arguments", 1, NULL) == OK &&
              js_parse(&object, js_text(text), js_len(text), "arguments", 1, NULL) == OK && js_is(object, JS_OBJECT);
    buf_reset(&o->early);
    if (ok)
        js_write(object, JS_COMPACT, &o->early);
    js_free(object);
    js_free(text);
    return ok && !o->early.failed;
}

static step value_done(output *o)
{
    o->object = O_AFTER;
    if (o->value != V_ARGUMENTS || o->begun)
        return STEP_ON;
    if (o->encoded && !decode_early(o))
        return output_mismatch(o);
    o->has_early = true;
    return o->function ? give_early(o, o->early.data, o->early.len) : STEP_ON;
}

static void keep_early(output *o, char c, bool control)
{
    if (o->value != V_ARGUMENTS)
        return;
    if (control)
        buf_printf(&o->early, "\\u%04x", (unsigned char)c);
    else
        buf_char(&o->early, c);
}

static step step_value(output *o, char c)
{
    if (o->value == V_ARGUMENTS && o->begun) {
        step s = output_step_arguments(o);
        return s == STEP_ON && o->whole ? value_done(o) : s;
    }
    scan_result r = json_scan_byte(&o->scan, c);
    if (r == SCAN_BAD)
        return output_mismatch(o);
    if (r == SCAN_AFTER)
        return value_done(o);
    keep_early(o, c, r == SCAN_CONTROL);
    o->pos++;
    return r == SCAN_END ? value_done(o) : STEP_ON;
}

static step close_object(output *o)
{
    if (!o->function)
        return output_mismatch(o);
    o->pos++;
    if (!o->begun) {
        step s = give_early(o, "{}", 2);
        if (!o->begun)
            return s;
    }
    o->whole = true;
    return output_next_item(o);
}

step output_step_object(output *o)
{
    char c = o->in.data[o->pos];
    bool within = o->object == O_IN_KEY || o->object == O_IN_NAME || o->object == O_IN_VALUE;
    if (!within && output_is_space(c)) {
        o->pos++;
        return STEP_ON;
    }
    switch (o->object) {
    case O_OPEN: return c == '{' ? to(o, O_FIRST) : output_mismatch(o);
    case O_FIRST:
        if (c == '}')
            return close_object(o);
        /* fall through */
    case O_KEY:
        o->key_n = 0;
        return c == '"' ? to(o, O_IN_KEY) : output_mismatch(o);
    case O_IN_KEY: return step_key(o, c);
    case O_COLON: return c == ':' ? to(o, O_VALUE) : output_mismatch(o);
    case O_VALUE: return begin_value(o, c);
    case O_IN_NAME: return step_name(o, c);
    case O_IN_VALUE: return step_value(o, c);
    case O_AFTER: return c == ',' ? to(o, O_KEY) : c == '}' ? close_object(o) : output_mismatch(o);
    }
    return output_mismatch(o);
}
