#include "chat/lex.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "chat/chars.h"

enum { BALANCE_MAX = 256 };

typedef struct lexer {
    run *r;
    span s;
    size_t at;
    tokens out;
    bool line_starting; /* what was read last ended with a line end */
    char balance[BALANCE_MAX];
    size_t n_balance;
} lexer;

static const struct {
    char text[3];
    uint8_t op;
} operators[] = { /* longest first */
    { "//", OP_FLOORDIV }, { "**", OP_POW }, { "==", OP_EQ }, { "!=", OP_NE }, { ">=", OP_GE }, { "<=", OP_LE },
    { "+", OP_ADD }, { "-", OP_SUB }, { "/", OP_DIV }, { "*", OP_MUL }, { "%", OP_MOD }, { "~", OP_TILDE },
    { "[", OP_LBRACKET }, { "]", OP_RBRACKET }, { "(", OP_LPAREN }, { ")", OP_RPAREN }, { "{", OP_LBRACE },
    { "}", OP_RBRACE }, { ">", OP_GT }, { "<", OP_LT }, { "=", OP_ASSIGN }, { ".", OP_DOT }, { ":", OP_COLON },
    { "|", OP_PIPE }, { ",", OP_COMMA }, { ";", OP_SEMICOLON },
};

/* ---- source ------------------------------------------------------------------------------------------------------ */

/* Line ends become \n, and one at the very end goes. */
static span normalise(run *r, span source)
{
    char *p = run_alloc(r, source.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < source.n; i++) {
        bool cr = source.p[i] == '\r';
        if (cr && i + 1 < source.n && source.p[i + 1] == '\n')
            i++;
        p[n++] = cr ? '\n' : source.p[i];
    }
    n -= n && p[n - 1] == '\n';
    return (span){ p, n };
}

static bool at_text(const lexer *x, size_t at, const char *literal)
{
    size_t n = strlen(literal);
    return x->s.n - at >= n && memcmp(x->s.p + at, literal, n) == 0;
}

static size_t skip_space(const lexer *x, size_t at)
{
    size_t len;
    while (at < x->s.n && char_is_space(text_code(x->s, at, &len)))
        at += len;
    return at;
}

static void emit(lexer *x, token_kind kind, uint8_t op, value v)
{
    if (x->out.n == x->out.size) {
        size_t size = x->out.size ? 2 * x->out.size : 256;
        x->out.items = run_grow(x->r, x->out.items, x->out.n, size, sizeof *x->out.items);
        x->out.size = size;
    }
    x->out.items[x->out.n++] = (token){ (uint8_t)kind, op, x->r->line, v };
}

/* Moves to `to` and counts the lines on the way. */
static void advance(lexer *x, size_t to)
{
    for (size_t i = x->at; i < to; i++)
        x->r->line += x->s.p[i] == '\n';
    if (to > x->at)
        x->line_starting = x->s.p[to - 1] == '\n';
    x->at = to;
}

/* ---- between tags ------------------------------------------------------------------------------------------------ */

static void emit_data(lexer *x, size_t from, size_t to)
{
    if (to > from)
        emit(x, T_DATA, 0, value_text(text_new(x->r, x->s.p + from, to - from, ORIGIN_TEMPLATE)));
}

/* The text from x->at to the tag at `tag`, whose sign is '-', '+' or another; print: it is a {{. */
static void data_before(lexer *x, size_t tag, char sign, bool print)
{
    size_t end = tag;
    if (sign == '-') {
        text t = { .p = x->s.p + x->at, .n = (uint32_t)(tag - x->at) };
        end = x->at + text_strip(x->r, &t, NULL, false, true)->n;
    } else if (sign != '+' && !print) {
        size_t line = tag;
        while (line > x->at && x->s.p[line - 1] != '\n')
            line--;
        if ((line > x->at || x->line_starting) && skip_space(x, line) >= tag)
            end = line;
    }
    emit_data(x, x->at, end);
}

/* Behind the end of a block or comment at `at` (which begins with an optional sign): where it goes on; 0: no end. */
static size_t block_end(const lexer *x, size_t at, const char *end)
{
    char sign = at < x->s.n && (x->s.p[at] == '-' || x->s.p[at] == '+') ? x->s.p[at] : 0;
    if (!at_text(x, at + (sign != 0), end))
        return 0;
    at += (sign != 0) + 2;
    if (sign == '-')
        return skip_space(x, at);
    return !sign && at < x->s.n && x->s.p[at] == '\n' ? at + 1 : at;
}

static void comment(lexer *x, size_t from)
{
    for (size_t i = from; i < x->s.n; i++) {
        size_t to = x->s.p[i] == '#' || x->s.p[i] == '-' || x->s.p[i] == '+' ? block_end(x, i, "#}") : 0;
        if (to) {
            advance(x, to);
            return;
        }
    }
    run_fail(x->r, E_FORMAT, "Missing end of comment tag");
}

/* Is there `{%- NAME` at `at`, up to and with the end of its tag? Then where it goes on. */
static size_t whole_tag(const lexer *x, size_t at, const char *name, bool suffix)
{
    if (!at_text(x, at, "{%"))
        return 0;
    at += 2;
    if (at < x->s.n && (x->s.p[at] == '-' || x->s.p[at] == '+'))
        at++;
    at = skip_space(x, at);
    if (!at_text(x, at, name))
        return 0;
    at = skip_space(x, at + strlen(name));
    if (suffix)
        return block_end(x, at, "%}");
    if (at_text(x, at, "-%}"))
        return skip_space(x, at + 3);
    return at_text(x, at, "%}") ? at + 2 : 0;
}

static char sign_at(const lexer *x, size_t at)
{
    return at < x->s.n ? x->s.p[at] : 0;
}

static void raw(lexer *x)
{
    for (size_t i = x->at; i < x->s.n; i++) {
        size_t to = x->s.p[i] == '{' ? whole_tag(x, i, "endraw", true) : 0;
        if (to) {
            data_before(x, i, sign_at(x, i + 2), false);
            advance(x, to);
            return;
        }
    }
    run_fail(x->r, E_FORMAT, "Missing end of raw directive");
}

/* ---- within tags ------------------------------------------------------------------------------------------------- */

static uint32_t hex(lexer *x, span s, size_t at, size_t n)
{
    uint32_t code = 0;
    for (size_t i = 0; i < n; i++) {
        int c = at + i < s.n ? tolower((unsigned char)s.p[at + i]) : 0;
        if (!isxdigit(c))
            run_fail(x->r, E_FORMAT, "a string ends within a \\x, \\u or \\U escape");
        code = code * 16 + (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        run_fail(x->r, E_UNSUPPORTED, "the escape \\u%04x is no character", code);
    return code;
}

/* What follows a backslash at `at`; returns how much was read. */
static size_t escape(lexer *x, builder *b, span s, size_t at)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    char c = s.p[at];
    const char *simple = c ? strchr(from, c) : NULL;
    if (simple) {
        build_bytes(b, to + (simple - from), 1, ORIGIN_TEMPLATE);
        return 1;
    }
    if (c == '\n')
        return 1;
    if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        size_t n = 0;
        for (; n < 3 && at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '7'; n++)
            code = code * 8 + (uint32_t)(s.p[at + n] - '0');
        build_code(b, code, ORIGIN_TEMPLATE);
        return n;
    }
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c == 'N')
        run_fail(x->r, E_UNSUPPORTED, "\\N{...} in a string");
    if (digits)
        build_code(b, hex(x, s, at + 1, digits), ORIGIN_TEMPLATE);
    else
        build_bytes(b, s.p + at - 1, 2, ORIGIN_TEMPLATE); /* unknown: the backslash stays; c may begin a character */
    return 1 + digits;
}

static void string(lexer *x)
{
    char quote = x->s.p[x->at];
    size_t end = x->at + 1;
    bool plain = true;
    while (end < x->s.n && x->s.p[end] != quote) {
        plain &= x->s.p[end] != '\\';
        end += x->s.p[end] == '\\' ? 2 : 1;
    }
    if (end >= x->s.n)
        run_fail(x->r, E_FORMAT, "unexpected char '%c'", quote);
    span s = { x->s.p + x->at + 1, end - x->at - 1 };
    if (plain) {
        emit(x, T_STRING, 0, value_text(text_new(x->r, s.p, s.n, ORIGIN_TEMPLATE)));
    } else {
        builder b = builder_of(x->r);
        for (size_t i = 0; i < s.n;) {
            size_t n = 1;
            if (s.p[i] == '\\')
                n += escape(x, &b, s, i + 1);
            else
                build_bytes(&b, s.p + i, 1, ORIGIN_TEMPLATE);
            i += n;
        }
        emit(x, T_STRING, 0, value_text(build_done(&b)));
    }
    advance(x, end + 1);
}

/* Digits of a base with single underscores between them. */
static size_t digits(const lexer *x, size_t at, int base)
{
    size_t end = at;
    for (;;) {
        size_t i = end + (end > at && end < x->s.n && x->s.p[end] == '_');
        int c = i < x->s.n ? tolower((unsigned char)x->s.p[i]) : 0;
        int d = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (d >= base)
            return end;
        end = i + 1;
    }
}

/* The end of a float at `at`, or `at` itself: digits, then a fraction or an exponent or both. */
static size_t float_end(const lexer *x, size_t at)
{
    if (at && x->s.p[at - 1] == '.')
        return at;
    size_t whole = digits(x, at, 10), end = whole;
    if (whole == at)
        return at;
    if (end < x->s.n && x->s.p[end] == '.' && digits(x, end + 1, 10) > end + 1)
        end = digits(x, end + 1, 10);
    if (end < x->s.n && (x->s.p[end] | 0x20) == 'e') {
        size_t e = end + 1 + (end + 1 < x->s.n && (x->s.p[end + 1] == '+' || x->s.p[end + 1] == '-'));
        if (digits(x, e, 10) > e)
            end = digits(x, e, 10);
    }
    return end > whole ? end : at;
}

static void number(lexer *x)
{
    size_t end = float_end(x, x->at);
    value v;
    if (end > x->at) {
        double d = 0;
        (void)number_parse_float(x->r, (span){ x->s.p + x->at, end - x->at }, &d);
        emit(x, T_FLOAT, 0, value_float(d));
        advance(x, end);
        return;
    }
    char second = x->s.p[x->at] == '0' && x->at + 1 < x->s.n ? (char)(x->s.p[x->at + 1] | 0x20) : 0;
    int base = second == 'x' ? 16 : second == 'o' ? 8 : second == 'b' ? 2 : 10;
    size_t from = x->at + (base != 10 ? 2 : 0);
    if (base != 10 && from < x->s.n && x->s.p[from] == '_')
        from++;
    end = digits(x, from, base);
    if (end == from || base == 10) {
        base = 10;
        from = x->at;
        end = digits(x, from, 10);
        if (x->s.p[from] == '0') /* 012 is 0, then 12 */
            for (end = from + 1; end < x->s.n && (x->s.p[end] == '0' || at_text(x, end, "_0"));)
                end += x->s.p[end] == '0' ? 1 : 2;
    }
    if (!number_parse_int(x->r, (span){ x->s.p + from, end - from }, base, &v))
        run_fail(x->r, E_FORMAT, "'%.*s' is no number", run_shown(x->s.p + x->at, end - x->at),
                 x->s.p + x->at);
    emit(x, T_INT, 0, v);
    advance(x, end);
}

static bool name(lexer *x)
{
    size_t end = x->at, len;
    bool first = true;
    for (; end < x->s.n; end += len) {
        uint32_t code = text_code(x->s, end, &len);
        if (!(code == '_' || char_is_alnum(code) || char_is_mark(code)))
            break;
        if (first && !(code == '_' || char_is_alpha(code)))
            run_fail(x->r, E_FORMAT, "Invalid character in identifier");
        first = false;
    }
    if (end == x->at)
        return false;
    emit(x, T_NAME, 0, value_text(text_new(x->r, x->s.p + x->at, end - x->at, ORIGIN_TEMPLATE)));
    advance(x, end);
    return true;
}

static void balance(lexer *x, uint8_t op)
{
    char c = x->s.p[x->at];
    if (op == OP_LBRACE || op == OP_LPAREN || op == OP_LBRACKET) {
        if (x->n_balance == BALANCE_MAX)
            run_fail(x->r, E_RANGE, "brackets nested deeper than %d", BALANCE_MAX);
        x->balance[x->n_balance++] = c == '{' ? '}' : c == '(' ? ')' : ']';
    } else if (op == OP_RBRACE || op == OP_RPAREN || op == OP_RBRACKET) {
        if (!x->n_balance)
            run_fail(x->r, E_FORMAT, "unexpected '%c'", c);
        char expected = x->balance[--x->n_balance];
        if (expected != c)
            run_fail(x->r, E_FORMAT, "unexpected '%c', expected '%c'", c, expected);
    }
}

static void operator(lexer *x)
{
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (!at_text(x, x->at, operators[i].text))
            continue;
        balance(x, operators[i].op);
        emit(x, T_OPERATOR, operators[i].op, VALUE_NONE);
        advance(x, x->at + strlen(operators[i].text));
        return;
    }
    size_t len = text_char_bytes(x->s.p + x->at, x->s.n - x->at);
    run_fail(x->r, E_FORMAT, "unexpected char '%.*s'", (int)len, x->s.p + x->at);
}

/* The end of the tag at x->at, or 0. */
static size_t tag_end(const lexer *x, bool print)
{
    if (x->n_balance)
        return 0;
    if (!print)
        return block_end(x, x->at, "%}");
    if (at_text(x, x->at, "-}}"))
        return skip_space(x, x->at + 3);
    return at_text(x, x->at, "}}") ? x->at + 2 : 0;
}

static void tag(lexer *x, bool print)
{
    emit(x, print ? T_PRINT_BEGIN : T_BLOCK_BEGIN, 0, VALUE_NONE);
    for (;;) {
        run_spend(x->r, 1);
        size_t end = tag_end(x, print);
        if (end) {
            emit(x, print ? T_PRINT_END : T_BLOCK_END, 0, VALUE_NONE);
            advance(x, end);
            return;
        }
        size_t next = skip_space(x, x->at);
        if (next > x->at)
            advance(x, next);
        else if (x->at >= x->s.n)
            run_fail(x->r, E_FORMAT, "the template ends within a tag");
        else if (isdigit((unsigned char)x->s.p[x->at]))
            number(x);
        else if (x->s.p[x->at] == '\'' || x->s.p[x->at] == '"')
            string(x);
        else if (!name(x))
            operator(x);
    }
}

tokens lex(run *r, span source)
{
    lexer x = { .r = r, .s = normalise(r, source), .line_starting = true };
    r->line = 1;
    while (x.at < x.s.n) {
        size_t i = x.at;
        while (i < x.s.n && !(at_text(&x, i, "{{") || at_text(&x, i, "{%") || at_text(&x, i, "{#")))
            i++;
        if (i >= x.s.n) {
            emit_data(&x, x.at, x.s.n);
            advance(&x, x.s.n);
            break;
        }
        char kind = x.s.p[i + 1], sign = sign_at(&x, i + 2);
        size_t is_raw = kind == '%' ? whole_tag(&x, i, "raw", false) : 0;
        data_before(&x, i, sign, kind == '{');
        advance(&x, is_raw ? is_raw : i + 2 + (sign == '-' || sign == '+'));
        if (is_raw)
            raw(&x);
        else if (kind == '#')
            comment(&x, x.at);
        else
            tag(&x, kind == '{');
    }
    emit(&x, T_END, 0, VALUE_NONE);
    return x.out;
}
