/* print.c: str() and repr() as Python writes them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/chars.h"
#include "chat/scope.h"
#include "chat/value.h"

/* The shortest digits that read back as d; exponents below -4 and from 16 on are written as such. */
void double_repr(double d, char out[40])
{
    char digits[40];
    if (isnan(d) || isinf(d)) {
        snprintf(out, 40, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
        return;
    }
    int precision = 0;
    do
        snprintf(digits, sizeof digits, "%.*e", precision, d);
    while (strtod(digits, NULL) != d && ++precision < 17);
    char *e = strchr(digits, 'e');
    int exponent = (int)strtol(e + 1, NULL, 10);
    if (exponent < -4 || exponent >= 16) {
        snprintf(out, 40, "%.*se%c%02d", (int)(e - digits), digits, exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = precision - exponent;
    snprintf(out, 40, "%.*f", decimals > 0 ? decimals : 1, d);
}

static void repr_char(builder *b, span s, size_t at, size_t len, uint32_t code, char quote, uint32_t from)
{
    char escaped[12];
    if (code == (uint32_t)quote || code == '\\') {
        snprintf(escaped, sizeof escaped, "\\%c", (char)code);
    } else if (code == '\n' || code == '\r' || code == '\t') {
        snprintf(escaped, sizeof escaped, "\\%c", code == '\n' ? 'n' : code == '\r' ? 'r' : 't');
    } else if (char_is_printable(code)) {
        build_bytes(b, s.p + at, len, from);
        return;
    } else {
        snprintf(escaped, sizeof escaped, code < 0x100 ? "\\x%02x" : code < 0x10000 ? "\\u%04x" : "\\U%08x", code);
    }
    build_str(b, escaped, from);
}

static void repr_text(builder *b, const text *t)
{
    span s = text_bytes(b->r, t);
    uint32_t from = t->n ? text_origin(b->r, t, 0) : t->from;
    char quote = memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';
    if (t->markup)
        build_str(b, "Markup(", ORIGIN_TEMPLATE);
    build_bytes(b, &quote, 1, from);
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t code = text_code(s, i, &len);
        run_spend(b->r, 1);
        repr_char(b, s, i, len, code, quote, text_origin(b->r, t, i));
    }
    build_bytes(b, &quote, 1, from);
    if (t->markup)
        build_str(b, ")", ORIGIN_TEMPLATE);
}

static void repr_items(builder *b, const list *l, const char *open, const char *close, uint32_t from)
{
    build_str(b, open, from);
    for (size_t i = 0; i < l->n; i++) {
        build_str(b, i ? ", " : "", from);
        build_repr(b, l->items[i]);
    }
    build_str(b, close, from);
}

static void repr_dict(builder *b, const dict *m, uint32_t from)
{
    build_str(b, "{", from);
    for (size_t i = 0; i < m->n; i++) {
        build_str(b, i ? ", " : "", from);
        build_repr(b, m->keys[i]);
        build_str(b, ": ", from);
        build_repr(b, m->values[i]);
    }
    build_str(b, "}", from);
}

static void repr_view(builder *b, const view *v, uint32_t from)
{
    static const char *const names[] = { "dict_keys([", "dict_values([", "dict_items([" };
    build_str(b, names[v->of], from);
    for (size_t i = 0; i < v->m->n; i++) {
        build_str(b, i ? ", " : "", from);
        build_repr(b, view_at(b->r, v, i));
    }
    build_str(b, "])", from);
}

static void repr_number(builder *b, value v)
{
    char s[48];
    if (v.kind == V_INT)
        snprintf(s, sizeof s, "%lld", (long long)v.i);
    else if (v.kind == V_FLOAT)
        double_repr(v.d, s);
    else
        snprintf(s, sizeof s, v.b ? "True" : "False");
    build_str(b, s, v.from);
}

static void repr_other(builder *b, value v)
{
    char s[96];
    if (v.kind == V_RANGE) {
        const range *g = v.range;
        if (g->step == 1)
            snprintf(s, sizeof s, "range(%lld, %lld)", (long long)g->start, (long long)g->stop);
        else
            snprintf(s, sizeof s, "range(%lld, %lld, %lld)", (long long)g->start, (long long)g->stop,
                     (long long)g->step);
    } else {
        snprintf(s, sizeof s, "<%s object>", value_type(v));
    }
    build_str(b, s, v.from);
}

void build_repr(builder *b, value v)
{
    run_enter(b->r);
    run_spend(b->r, 1);
    switch (v.kind) {
    case V_UNDEFINED: build_str(b, "Undefined", ORIGIN_TEMPLATE); break;
    case V_NONE: build_str(b, "None", v.from); break;
    case V_BOOL:
    case V_INT:
    case V_FLOAT: repr_number(b, v); break;
    case V_BIG: big_print(b->r, v, b); break;
    case V_TEXT: repr_text(b, v.s); break;
    case V_LIST: repr_items(b, v.l, "[", "]", v.from); break;
    case V_TUPLE: repr_items(b, v.l, "(", v.l->n == 1 ? ",)" : ")", v.from); break;
    case V_DICT: repr_dict(b, v.m, v.from); break;
    case V_VIEW: repr_view(b, v.view, v.from); break;
    case V_NAMESPACE:
        build_str(b, "<Namespace ", v.from);
        repr_dict(b, &v.ns->m, v.from);
        build_str(b, ">", v.from);
        break;
    case V_LOOP: loop_repr(b, v.loop); break;
    case V_MACRO: macro_repr(b, v.macro); break;
    default: repr_other(b, v);
    }
    run_leave(b->r);
}

const text *value_repr(run *r, value v)
{
    builder b = builder_of(r);
    build_repr(&b, v);
    return build_done(&b);
}

const text *value_print(run *r, value v)
{
    if (v.kind == V_TEXT) {
        if (!v.s->markup)
            return v.s;
        text *plain = run_alloc(r, sizeof *plain);
        (void)text_bytes(r, v.s);
        *plain = *v.s;
        plain->markup = false;
        return plain;
    }
    if (v.kind == V_UNDEFINED)
        return text_of(r, "");
    return value_repr(r, v);
}
