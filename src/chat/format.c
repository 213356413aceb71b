/* format.c: '%s' % x and '{}'.format(x). What is put in keeps its origin; the rest has the format's. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/filter.h"
#include "chat/text_ops.h"

enum { WIDTH_MAX = 1 << 20, DIGITS_MAX = 4200 /* of the largest int, in base 2 */ };

/* How one value is to be written: both languages come down to this. */
typedef struct spec {
    const text *fill;
    char align; /* < > ^ =, 0: as the type wants */
    char sign;  /* + - blank, 0 */
    bool alternate, comma, underscore;
    int width, precision; /* -1: none */
    char type;
    uint32_t from; /* the origin of what the format itself adds */
} spec;

typedef struct formatter {
    run *r;
    const text *format;
    span s;
    size_t at;
    builder out;
} formatter;

static void put(formatter *f, const text *s, const spec *p, char default_align)
{
    char align = p->align ? p->align : default_align;
    const text *fill = p->fill ? p->fill : text_new(f->r, " ", 1, p->from);
    if (p->width > 0)
        s = text_pad(f->r, s, p->width, fill, align != '<', align == '^' || align == '<');
    build_text(&f->out, s);
}

/* '^' pads the odd blank on the right in format(), unlike str.center. */
static void put_centred(formatter *f, const text *s, const spec *p)
{
    int64_t missing = p->width - (int64_t)text_chars(f->r, s);
    const text *fill = p->fill ? p->fill : text_new(f->r, " ", 1, p->from);
    build_fill(&f->out, fill, missing > 0 ? (uint64_t)missing / 2 : 0);
    build_text(&f->out, s);
    build_fill(&f->out, fill, missing > 0 ? (uint64_t)(missing - missing / 2) : 0);
}

static void put_text(formatter *f, const text *s, const spec *p)
{
    if (p->precision >= 0)
        s = text_slice(f->r, s, 0, text_byte_at(f->r, s, (size_t)p->precision));
    if (p->align == '^')
        put_centred(f, s, p);
    else
        put(f, s, p, '<');
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* The digits of |v| in a base, without sign. */
static void int_digits(run *r, value v, int base, char out[DIGITS_MAX])
{
    static const char digits[] = "0123456789abcdef";
    char reversed[DIGITS_MAX];
    size_t n = 0;
    if (base == 10) {
        builder b = builder_of(r);
        build_repr(&b, v.kind == V_BOOL ? value_int(v.b) : v);
        span s = text_bytes(r, build_done(&b));
        size_t minus = s.n && s.p[0] == '-';
        snprintf(out, DIGITS_MAX, "%.*s", (int)(s.n - minus), s.p + minus);
        return;
    }
    v = number_absolute(r, v);
    do {
        value digit = number_op_of(r, N_MOD, v, value_int(base));
        reversed[n++] = digits[digit.i];
        v = number_op_of(r, N_FLOORDIV, v, value_int(base));
    } while (value_true(r, v) && n + 1 < sizeof reversed);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    out[n] = 0;
}

static void group(const char *digits, char separator, int size, builder *b, uint32_t from)
{
    size_t n = strspn(digits, "0123456789abcdefABCDEF");
    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % (size_t)size == 0)
            build_bytes(b, &separator, 1, from);
        build_bytes(b, digits + i, 1, from);
    }
    build_str(b, digits + n, from);
}

/* Sign, prefix and digits, with zeros between prefix and digits when align is '='. */
static void put_number(formatter *f, bool negative, const char *prefix, const char *digits, uint32_t from,
                       const spec *p)
{
    char head[8];
    snprintf(head, sizeof head, "%s%s", negative ? "-" : p->sign == '+' ? "+" : p->sign == ' ' ? " " : "", prefix);
    builder body = builder_of(f->r);
    bool decimal = !p->type || strchr("dfFeEgG%", p->type);
    if (p->comma || p->underscore)
        group(digits, p->comma ? ',' : '_', decimal ? 3 : 4, &body, from);
    else
        build_str(&body, digits, from);
    const text *digits_text = build_done(&body);
    if (p->align == '=') {
        spec rest = *p;
        rest.width = p->width - (int)strlen(head);
        rest.align = '>';
        build_str(&f->out, head, from);
        put(f, digits_text, &rest, '>');
        return;
    }
    text *whole = text_join2(f->r, text_copy(f->r, head, strlen(head), from), digits_text);
    if (p->align == '^')
        put_centred(f, whole, p);
    else
        put(f, whole, p, '>');
}

static void put_int(formatter *f, value v, const spec *p)
{
    char digits[DIGITS_MAX];
    char type = p->type ? p->type : 'd';
    int base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
    const char *prefix = !p->alternate || base == 10 ? "" : base == 8 ? "0o" : base == 2 ? "0b" : "0x";
    if (*prefix && type == 'X')
        prefix = "0X";
    int_digits(f->r, v, base, digits);
    for (char *c = digits; type == 'X' && *c; c++)
        *c -= *c >= 'a' && *c <= 'z' ? 32 : 0;
    put_number(f, number_compare(f->r, v, value_int(0)) < 0, prefix, digits, v.from, p);
}

static void put_double(formatter *f, value v, const spec *p)
{
    char digits[512];
    double d = value_double(f->r, v), size = fabs(d);
    char type = p->type, format[16];
    int precision = p->precision < 0 ? 6 : p->precision > 100 ? 100 : p->precision;
    bool negative = signbit(d) && !isnan(d);
    if (isnan(d) || isinf(d)) {
        snprintf(digits, sizeof digits, isnan(d) ? "nan" : "inf");
    } else if (!type && p->precision < 0) {
        double_repr(size, digits);
    } else if (type == '%') {
        snprintf(digits, sizeof digits, "%.*f%%", precision, size * 100);
    } else {
        snprintf(format, sizeof format, "%%%s.*%c", p->alternate ? "#" : "", type ? type : 'g');
        int n = snprintf(digits, sizeof digits, format, precision, size);
        if (!type && !strpbrk(digits, ".en"))
            snprintf(digits + n, sizeof digits - (size_t)n, ".0");
    }
    put_number(f, negative, "", digits, v.from, p);
}

/* ---- '...' % x --------------------------------------------------------------------------------------------------- */

typedef struct supply {
    value with;
    size_t at;
    bool mapped; /* a %(name)s was there */
} supply;

static value take(formatter *f, supply *s)
{
    if (s->with.kind == V_TUPLE) {
        if (s->at >= s->with.l->n)
            run_fail(f->r, E_FORMAT, "not enough arguments for format string");
        return s->with.l->items[s->at++];
    }
    if (s->at++)
        run_fail(f->r, E_FORMAT, "not enough arguments for format string");
    return s->with;
}

static char peek(const formatter *f)
{
    return f->at < f->s.n ? f->s.p[f->at] : 0;
}

static int read_number(formatter *f)
{
    int n = 0;
    while (peek(f) >= '0' && peek(f) <= '9') {
        n = n * 10 + (f->s.p[f->at++] - '0');
        if (n > WIDTH_MAX)
            run_fail(f->r, E_RANGE, "a width over %d in a format", WIDTH_MAX);
    }
    return n;
}

static int star_or_number(formatter *f, supply *s)
{
    if (peek(f) != '*')
        return read_number(f);
    f->at++;
    int64_t n = value_index(f->r, take(f, s));
    if (n > WIDTH_MAX || n < -WIDTH_MAX)
        run_fail(f->r, E_RANGE, "a width over %d in a format", WIDTH_MAX);
    return (int)n;
}

static void read_flags(formatter *f, spec *p)
{
    for (;; f->at++) {
        switch (peek(f)) {
        case '-': p->align = '<'; break;
        case '+': p->sign = '+'; break;
        case ' ': p->sign = p->sign ? p->sign : ' '; break;
        case '#': p->alternate = true; break;
        case '0':
            if (!p->align) {
                p->align = '=';
                p->fill = text_new(f->r, "0", 1, p->from);
            }
            break;
        default: return;
        }
        if (peek(f) == '-')
            p->fill = NULL;
    }
}

static value named_value(formatter *f, supply *s)
{
    size_t close = text_find(f->r, f->s, (span){ ")", 1 }, f->at, f->s.n);
    value v;
    if (close == SIZE_MAX)
        run_fail(f->r, E_FORMAT, "incomplete format key");
    if (s->with.kind != V_DICT)
        run_fail(f->r, E_FORMAT, "format requires a mapping");
    const text *key = text_slice(f->r, f->format, f->at, close);
    if (!dict_get(f->r, s->with.m, value_text(key), &v))
        run_fail(f->r, E_FORMAT, "the format's key is not there");
    f->at = close + 1;
    s->mapped = true;
    return v;
}

static void percent_number(formatter *f, value v, spec *p)
{
    value_defined(f->r, v);
    bool real = strchr("eEfFgG", p->type) != NULL;
    if (!value_is_number(v) || (!real && v.kind == V_FLOAT && strchr("xXo", p->type)))
        run_fail(f->r, E_FORMAT, "%%%c format: a%s number is required, not %s", p->type, real ? " real" : "n integer",
                 value_type(v));
    if (p->align == 0)
        p->align = '>';
    if (real) {
        put_double(f, v, p);
        return;
    }
    value whole = v.kind == V_FLOAT ? number_of_double(f->r, v.d) : v;
    whole.from = v.from;
    if (p->precision > 0) { /* at least so many digits */
        char digits[DIGITS_MAX];
        spec plain = { .width = -1, .precision = -1, .type = p->type, .alternate = p->alternate, .sign = p->sign };
        int_digits(f->r, whole, p->type == 'o' ? 8 : p->type == 'x' || p->type == 'X' ? 16 : 10, digits);
        plain.align = '=';
        plain.fill = text_of(f->r, "0");
        plain.width = p->precision + (number_compare(f->r, whole, value_int(0)) < 0 || p->sign != 0);
        formatter inner = { .r = f->r, .out = builder_of(f->r) };
        put_int(&inner, whole, &plain);
        p->precision = -1;
        if (p->align == '=')
            p->align = '>', p->fill = NULL;
        put(f, build_done(&inner.out), p, '>');
        return;
    }
    if (p->type == 'i' || p->type == 'u')
        p->type = 'd';
    put_int(f, whole, p);
}

static void percent_char(formatter *f, value v, const spec *p)
{
    const text *s;
    if (value_is_int(v)) {
        int64_t code = value_index(f->r, v);
        if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            run_fail(f->r, E_FORMAT, "%%c arg not in range(0x110000)");
        builder b = builder_of(f->r);
        build_code(&b, (uint32_t)code, v.from);
        s = build_done(&b);
    } else {
        s = text_or_fail(f->r, v, "%c's argument");
        if (text_chars(f->r, s) != 1)
            run_fail(f->r, E_FORMAT, "%%c requires int or char");
    }
    spec plain = *p;
    plain.precision = -1;
    put(f, s, &plain, '>');
}

static void percent_item(formatter *f, supply *s)
{
    spec p = { .width = -1, .precision = -1, .from = text_origin(f->r, f->format, f->at - 1) };
    value named = VALUE_ABSENT;
    if (peek(f) == '(') {
        f->at++;
        named = named_value(f, s);
    }
    read_flags(f, &p);
    p.width = star_or_number(f, s);
    if (p.width < 0) {
        p.align = '<';
        p.width = -p.width;
    }
    if (peek(f) == '.') {
        f->at++;
        p.precision = star_or_number(f, s);
        p.precision = p.precision < 0 ? 0 : p.precision;
    }
    while (peek(f) == 'h' || peek(f) == 'l' || peek(f) == 'L')
        f->at++;
    if (f->at >= f->s.n)
        run_fail(f->r, E_FORMAT, "incomplete format");
    p.type = f->s.p[f->at++];
    if (p.type == '%') {
        build_bytes(&f->out, "%", 1, p.from);
        return;
    }
    if (!strchr("sradiuoxXeEfFgGc", p.type))
        run_fail(f->r, E_FORMAT, "unsupported format character '%c'", p.type);
    value v = named.kind == V_ABSENT ? take(f, s) : named;
    if (p.type == 'c')
        percent_char(f, v, &p);
    else if (strchr("diuoxXeEfFgG", p.type))
        percent_number(f, v, &p);
    else {
        if (p.align == '=')
            p.align = '>', p.fill = NULL;
        else if (!p.align)
            p.align = '>';
        put_text(f, p.type == 's' ? value_print(f->r, v) : value_repr(f->r, v), &p);
    }
}

value format_percent(run *r, const text *format, value with)
{
    formatter f = { .r = r, .format = format, .s = text_bytes(r, format), .out = builder_of(r) };
    supply s = { .with = with };
    while (f.at < f.s.n) {
        size_t next = text_find(r, f.s, (span){ "%", 1 }, f.at, f.s.n);
        build_slice(&f.out, format, f.at, next == SIZE_MAX ? f.s.n : next);
        if (next == SIZE_MAX)
            break;
        f.at = next + 1;
        percent_item(&f, &s);
    }
    bool any = s.at || s.mapped || with.kind == V_DICT || with.kind == V_LIST;
    bool all = with.kind == V_TUPLE ? s.at >= with.l->n : any;
    if (!all)
        run_fail(r, E_FORMAT, "not all arguments converted during string formatting");
    return value_text(build_done(&f.out));
}

/* ---- '{}'.format ------------------------------------------------------------------------------------------------- */

typedef struct fields {
    const arguments *a;
    size_t automatic;
    bool numbered;
} fields;

static void braces(formatter *f, fields *fs, int depth);

static value first_field(formatter *f, fields *fs, span name)
{
    value v = VALUE_ABSENT;
    bool digits = true;
    for (size_t i = 0; i < name.n; i++)
        digits &= name.p[i] >= '0' && name.p[i] <= '9';
    if (digits) {
        size_t i = fs->automatic;
        if (name.n) {
            fs->numbered = true;
            i = (size_t)strtoul(name.p, NULL, 10);
        } else if (fs->numbered) {
            run_fail(f->r, E_FORMAT, "cannot switch from manual field specification to automatic field numbering");
        } else {
            fs->automatic++;
        }
        if (i >= fs->a->n)
            run_fail(f->r, E_FORMAT, "Replacement index %zu out of range for positional args tuple", i);
        return fs->a->items[i];
    }
    for (size_t i = 0; i < fs->a->n_names; i++) {
        span given = text_bytes(f->r, fs->a->names[i]);
        if (given.n == name.n && !memcmp(given.p, name.p, name.n))
            v = fs->a->items[fs->a->n + i];
    }
    if (v.kind == V_ABSENT)
        run_fail(f->r, E_FORMAT, "the format's key is not there");
    return v;
}

static value field_value(formatter *f, fields *fs)
{
    size_t begin = f->at;
    while (f->at < f->s.n && !strchr(".[!:}{", f->s.p[f->at]))
        f->at++;
    value v = first_field(f, fs, (span){ f->s.p + begin, f->at - begin });
    while (peek(f) == '.' || peek(f) == '[') {
        bool item = peek(f) == '[';
        size_t from = ++f->at;
        while (f->at < f->s.n && !(item ? f->s.p[f->at] == ']' : strchr(".[!:}", f->s.p[f->at]) != NULL))
            f->at++;
        const text *name = text_slice(f->r, f->format, from, f->at);
        value index;
        span s = text_bytes(f->r, name);
        f->at += item;
        if (!item)
            v = get_attribute(f->r, v, name);
        else
            v = get_item(f->r, v, s.n && s.p[0] >= '0' && s.p[0] <= '9' && number_parse_int(f->r, s, 10, &index)
                                      ? index : value_text(name));
    }
    return v;
}

/* [[fill]align][sign][#][0][width][,][.precision][type] */
static spec read_spec(run *r, const text *t, uint32_t from)
{
    formatter f = { .r = r, .format = t, .s = text_bytes(r, t) };
    spec p = { .width = -1, .precision = -1, .from = from };
    size_t first = f.s.n ? text_char_bytes(f.s.p, f.s.n) : 0;
    if (first && first < f.s.n && strchr("<>=^", f.s.p[first])) {
        p.fill = text_slice(r, t, 0, first);
        p.align = f.s.p[first];
        f.at = first + 1;
    } else if (f.s.n && strchr("<>=^", f.s.p[0])) {
        p.align = f.s.p[f.at++];
    }
    if (peek(&f) && strchr("+- ", peek(&f)))
        p.sign = f.s.p[f.at++];
    if (peek(&f) == '#') {
        p.alternate = true;
        f.at++;
    }
    if (peek(&f) == '0') {
        p.fill = p.fill ? p.fill : text_new(r, "0", 1, from);
        p.align = p.align ? p.align : '=';
        f.at++;
    }
    p.width = read_number(&f);
    if (peek(&f) == ',' || peek(&f) == '_') {
        p.comma = peek(&f) == ',';
        p.underscore = !p.comma;
        f.at++;
    }
    if (peek(&f) == '.') {
        f.at++;
        if (peek(&f) < '0' || peek(&f) > '9')
            run_fail(r, E_FORMAT, "Format specifier missing precision");
        p.precision = read_number(&f);
    }
    if (f.at < f.s.n)
        p.type = f.s.p[f.at++];
    if (f.at < f.s.n)
        run_fail(r, E_FORMAT, "Invalid format specifier");
    return p;
}

/* empty: there is no specifier. */
static void put_formatted(formatter *f, value v, spec *p, bool empty)
{
    bool real = p->type && strchr("eEfFgG%", p->type);
    if (value_is_number(v) && (v.kind == V_FLOAT || real)) {
        if (p->type && !real)
            run_fail(f->r, E_FORMAT, "Unknown format code '%c' for object of type 'float'", p->type);
        put_double(f, v, p);
    } else if (value_is_int(v) && !(v.kind == V_BOOL && empty)) {
        if (p->type == 'c') {
            percent_char(f, v, p);
            return;
        }
        if (p->precision >= 0 || (p->type && !strchr("dxXobn", p->type)))
            run_fail(f->r, E_FORMAT, "Unknown format code for object of type 'int'");
        put_int(f, v, p);
    } else {
        if (v.kind != V_TEXT && !empty)
            run_fail(f->r, E_FORMAT, "unsupported format string passed to %s.__format__", value_type(v));
        if (p->type && p->type != 's')
            run_fail(f->r, E_FORMAT, "Unknown format code '%c' for object of type 'str'", p->type);
        if (p->align == '=' || p->sign || p->comma || p->underscore || p->alternate)
            run_fail(f->r, E_FORMAT, "not allowed in string format specifier");
        put_text(f, value_print(f->r, v), p);
    }
}

static void replacement(formatter *f, fields *fs, int depth)
{
    uint32_t from = text_origin(f->r, f->format, f->at - 1);
    value v = field_value(f, fs);
    if (peek(f) == '!') {
        char how = f->at + 1 < f->s.n ? f->s.p[f->at + 1] : 0;
        if (how != 's' && how != 'r' && how != 'a')
            run_fail(f->r, E_FORMAT, "Unknown conversion specifier");
        v = value_text(how == 's' ? value_print(f->r, v) : value_repr(f->r, v));
        f->at += 2;
    }
    const text *spec_text = text_of(f->r, "");
    if (peek(f) == ':') {
        f->at++;
        formatter inner = { .r = f->r, .format = f->format, .s = f->s, .at = f->at, .out = builder_of(f->r) };
        braces(&inner, fs, depth + 1);
        f->at = inner.at;
        spec_text = build_done(&inner.out);
    }
    if (peek(f) != '}')
        run_fail(f->r, E_FORMAT, "expected '}' before end of string");
    f->at++;
    spec p = read_spec(f->r, spec_text, from);
    put_formatted(f, v, &p, spec_text->n == 0);
}

/* At depth 0 to the end of the format, deeper up to the } that ends the specifier. */
static void braces(formatter *f, fields *fs, int depth)
{
    if (depth > 2)
        run_fail(f->r, E_FORMAT, "Max string recursion exceeded");
    while (f->at < f->s.n) {
        char c = f->s.p[f->at];
        if (c == '}' && depth)
            return;
        if ((c == '{' || c == '}') && !depth && f->at + 1 < f->s.n && f->s.p[f->at + 1] == c) {
            build_slice(&f->out, f->format, f->at, f->at + 1);
            f->at += 2;
        } else if (c == '{') {
            f->at++;
            if (f->at >= f->s.n)
                run_fail(f->r, E_FORMAT, "Single '{' encountered in format string");
            replacement(f, fs, depth);
        } else if (c == '}') {
            run_fail(f->r, E_FORMAT, "Single '}' encountered in format string");
        } else {
            build_slice(&f->out, f->format, f->at, f->at + 1);
            f->at++;
        }
        run_spend(f->r, 1);
    }
}

value format_braces(run *r, value format, const arguments *a)
{
    formatter f = { .r = r, .format = format.s, .s = text_bytes(r, format.s), .out = builder_of(r) };
    fields fs = { .a = a };
    braces(&f, &fs, 0);
    return value_text(build_done(&f.out));
}
