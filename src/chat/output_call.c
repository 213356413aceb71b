/* output_call.c: within the format's texts: literals, names, arguments. */
#include <stdio.h>
#include <string.h>

#include "chat/output_int.h"

void output_reset_call(output *o)
{
    o->begun = o->whole = o->encoded = o->has_early = o->any = o->in_value = false;
    o->name_n = o->key_n = o->searched = 0;
    o->function = NULL;
    o->scan = (json_scan){ 0 };
    o->object = O_OPEN;
    o->map = M_OPEN;
    o->depth = 0;
    buf_reset(&o->early);
}

step output_next_item(output *o)
{
    o->item++;
    o->at = o->space = 0;
    return STEP_ON;
}

/* ---- items ---- */

static step step_literal(output *o, const pattern_item *item)
{
    if (o->in.data[o->pos] != item->text[o->at])
        return output_mismatch(o);
    o->pos++;
    return ++o->at == item->n ? output_next_item(o) : STEP_ON;
}

static step step_space(output *o)
{
    if (!output_is_space(o->in.data[o->pos]))
        return output_next_item(o);
    o->pos++;
    return ++o->space > SPACE_MAX ? output_mismatch(o) : STEP_ON;
}

static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == '/' || c >= 0x80;
}

/* The first byte of what follows ends a word, whatever it is. */
static bool ends_word(const output *o, char c)
{
    const pattern_item *next = o->item + 1 < o->walk->n ? &o->walk->items[o->item + 1] : NULL;
    return !is_word((unsigned char)c) || (next && next->kind == PATTERN_TEXT && next->text[0] == c);
}

static step step_name(output *o)
{
    char c = o->in.data[o->pos];
    if (!ends_word(o, c)) {
        if (o->name_n == TOOL_NAME_MAX)
            return output_mismatch(o);
        o->name[o->name_n++] = c;
        o->pos++;
        return STEP_ON;
    }
    o->function = output_find_tool(o, o->name, o->name_n);
    return o->function ? output_next_item(o) : output_mismatch(o);
}

/* A model's id or index: read over. */
static step step_word(output *o)
{
    if (ends_word(o, o->in.data[o->pos]))
        return o->at ? output_next_item(o) : output_mismatch(o);
    o->pos++;
    return ++o->at > TOOL_ID_MAX ? output_mismatch(o) : STEP_ON;
}

/* ---- arguments ---- */

step output_step_arguments(output *o)
{
    while (output_has(o, o->pos)) {
        const char *c = o->in.data + o->pos;
        char escape[8];
        scan_result r = json_scan_byte(&o->scan, *c);
        if (r == SCAN_BAD || r == SCAN_AFTER)
            return output_mismatch(o);
        o->pos++;
        if (r == SCAN_CONTROL) {
            snprintf(escape, sizeof escape, *c == '\n' ? "\\n" : *c == '\t' ? "\\t" : "\\u%04x", (unsigned)*c);
            output_give(o, OUTPUT_ARGUMENTS, escape, strlen(escape));
        } else {
            output_give(o, OUTPUT_ARGUMENTS, c, 1);
        }
        if (r == SCAN_END) {
            o->whole = true;
            return STEP_ON;
        }
    }
    return STEP_WAIT;
}

/* {arguments}: white space, then one object. */
static step step_json(output *o)
{
    if (!o->begun) {
        char c = o->in.data[o->pos];
        if (output_is_space(c)) {
            o->pos++;
            return STEP_ON;
        }
        if (c != '{' || !output_begin_call(o))
            return output_mismatch(o);
    }
    step s = output_step_arguments(o);
    return s == STEP_ON && o->whole ? output_next_item(o) : s;
}

step output_step_body(output *o)
{
    if (o->whole)
        return output_after_body(o);
    if (o->scan.depth == 0 && o->in.data[o->pos] != '{') {
        if (!output_is_space(o->in.data[o->pos]))
            return output_mismatch(o);
        o->pos++;
        return STEP_ON;
    }
    return output_step_arguments(o);
}

/* ---- the walk ---- */

static step walk_done(output *o)
{
    if (o->walk == &o->call) {
        output_end_call(o, o->whole);
        o->mode = MODE_BETWEEN;
    } else if (o->walk == &o->close) {
        o->mode = MODE_TEXT;
        o->skip_space = true;
    } else {
        o->walk = &o->call;
        o->item = o->at = o->space = 0;
    }
    return STEP_ON;
}

step output_step_pattern(output *o)
{
    if (!o->begun && o->pos - o->start > OUTPUT_HOLD_MAX)
        return output_mismatch(o);
    if (o->item == o->walk->n)
        return walk_done(o);
    const pattern_item *item = &o->walk->items[o->item];
    if (o->walk == &o->call && o->item == 0 && o->at == 0 && o->object == O_OPEN &&
        output_is_space(o->in.data[o->pos])) {
        o->pos++;
        return STEP_ON;
    }
    switch (item->kind) {
    case PATTERN_TEXT: return step_literal(o, item);
    case PATTERN_SPACE: return step_space(o);
    case PATTERN_NAME: return step_name(o);
    case PATTERN_CALL: return output_step_object(o);
    case PATTERN_ARGUMENTS: return step_json(o);
    case PATTERN_PARAMETERS: return output_step_parameters(o);
    case PATTERN_MAP: return output_step_map(o);
    default: return step_word(o);
    }
}
