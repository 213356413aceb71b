/* gbnf.c: llama.cpp's grammar files into rules.
 *
 * A file is read into trees, one a rule. What is regular in them becomes terminals as large as is good (rules.h says
 * which): "one loop over most characters, with the literals around it". So a string that is written as rules of
 * characters is one terminal in the end, and is shared by all who refer to its rule. Everything else becomes rules.
 *
 *     file:     rule*                      rule:   name "::=" choice, up to the end of the line
 *     choice:   sequence ("|" sequence)*   item:   "literal" | [class] | . | name | ( choice )  with * + ? {m} {m,}
 * {m,n}
 *
 * Line ends end a rule, but not after ::= or |, nor within parentheses. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/grammar.h"
#include "grammar/rules.h"

enum {
    MAX_NESTED = 100, /* parentheses */
    MAX_CHAIN = 100,  /* rules that are put into each other to become one terminal */
    MAX_SIZE = 2000,  /* parts of one terminal */
    MAX_RANGES = 4096,
    N_HEADS = 4096,
};

typedef enum part_kind { PART_LANG, PART_REF, PART_SEQ, PART_ALT, PART_REPEAT } part_kind;

typedef struct part part;
typedef struct definition definition;

/* What is known of a part as a terminal. */
typedef struct shape {
    bool regular;
    unsigned size;  /* saturates above MAX_SIZE */
    unsigned loops; /* over most characters, that are not in each other */
    bool wide;      /* a class of most characters in it */
} shape;

struct part {
    part_kind kind;
    lang l; /* LANG */
    bool wide;
    unsigned size;  /* LANG: what it counts for a terminal */
    definition *to; /* REF */
    uint32_t lo, hi;
    part *child, *next; /* next: the sibling in a SEQ or ALT */
};

struct definition {
    span name;
    part *body; /* NULL: not defined (yet) */
    size_t where; /* first use or definition */
    definition *next_same_hash, *next;
    rule r; /* 0: not used by a rule yet */
    shape s;
    unsigned state; /* of measuring: 0 not yet, 1 under way, 2 done */
    lang l;   /* of a regular one that was folded */
    bool folded;
};

typedef struct reader {
    const char *text;
    size_t n, at;
    unsigned depth;
    arena parts;
    definition *heads[N_HEADS], *first, **end;
    rules *r;
    lang_set *set;
    lang_range *ranges;
    error *err;
    status failed;
} reader;

static part *refuse(reader *r, status code, size_t at, const char *what)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < r->n; i++) {
        column = r->text[i] == '\n' ? 1 : column + 1;
        line += r->text[i] == '\n';
    }
    if (!r->failed)
        r->failed = fail(r->err, code, "grammar, line %zu, column %zu: %s", line, column, what);
    return NULL;
}

static part *new_part(reader *r, part_kind kind)
{
    part *x = arena_alloc(&r->parts, sizeof *x);
    if (!x)
        return refuse(r, E_NOMEM, r->at, "the grammar is too large");
    x->kind = kind;
    return x;
}

/* ---- reading: spaces, names, characters ---- */

static int peek(const reader *r)
{
    return r->at < r->n ? (unsigned char)r->text[r->at] : -1;
}

static bool take(reader *r, const char *text)
{
    size_t n = strlen(text);
    if (r->n - r->at < n || memcmp(r->text + r->at, text, n) != 0)
        return false;
    r->at += n;
    return true;
}

static void skip_space(reader *r, bool lines)
{
    for (int c; (c = peek(r)) == ' ' || c == '\t' || c == '#' || (lines && (c == '\n' || c == '\r'));) {
        if (c != '#')
            r->at++;
        else
            while (peek(r) >= 0 && peek(r) != '\n' && peek(r) != '\r')
                r->at++;
    }
}

static bool is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static span take_name(reader *r)
{
    size_t start = r->at;
    while (is_word(peek(r)))
        r->at++;
    return (span){ r->text + start, r->at - start };
}

static definition *find(reader *r, span name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    definition **head = &r->heads[h % N_HEADS];
    for (definition *d = *head; d; d = d->next_same_hash)
        if (d->name.n == name.n && memcmp(d->name.p, name.p, name.n) == 0)
            return d;
    definition *d = arena_alloc(&r->parts, sizeof *d);
    if (!d) {
        refuse(r, E_NOMEM, r->at, "the grammar is too large");
        return NULL;
    }
    *d = (definition){ .name = name, .where = r->at - name.n, .next_same_hash = *head };
    *head = d;
    *r->end = d;
    r->end = &d->next;
    return d;
}

static bool take_hex(reader *r, unsigned n, uint32_t *out)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < n; i++, r->at++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *d = peek(r) > 0 ? strchr(digits, peek(r)) : NULL;
        if (!d || value >> 28) {
            refuse(r, E_FORMAT, r->at, "a hexadecimal digit is missing");
            return false;
        }
        unsigned v = (unsigned)(d - digits);
        value = value << 4 | (v < 16 ? v : v - 6);
    }
    *out = value;
    return value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF)
               ? true
               : refuse(r, E_FORMAT, r->at, "this is no character's number") != NULL;
}

static bool take_char(reader *r, uint32_t *out)
{
    static const char escapes[] = "t\tr\rn\n\\\\\"\"[[]]--";
    if (!take(r, "\\")) {
        size_t n = r->at < r->n ? utf8_decode(r->text + r->at, r->n - r->at, out) : 0;
        if (!n)
            return refuse(r, E_FORMAT, r->at, r->at < r->n ? "not valid UTF-8" : "the text ends too early") != NULL;
        r->at += n;
        return true;
    }
    if (take(r, "x") || take(r, "u") || take(r, "U"))
        return take_hex(r, r->text[r->at - 1] == 'x' ? 2 : r->text[r->at - 1] == 'u' ? 4 : 8, out);
    for (size_t i = 0; escapes[i]; i += 2)
        if (peek(r) == escapes[i]) {
            *out = (unsigned char)escapes[i + 1];
            r->at++;
            return true;
        }
    return refuse(r, E_FORMAT, r->at - 1, "this escape is not known") != NULL;
}

/* ---- reading: parts ---- */

static part *lang_part(reader *r, lang l, bool wide, size_t size)
{
    part *x = new_part(r, PART_LANG);
    if (x) {
        x->l = l;
        x->wide = wide;
        x->size = size > MAX_SIZE ? MAX_SIZE + 1 : (unsigned)size + 1;
    }
    return x;
}

static part *read_literal(reader *r)
{
    buf text = BUF_INIT(GRAMMAR_MAX_TEXT * 4u);
    uint32_t c;
    while (!r->failed && !take(r, "\"") && take_char(r, &c)) {
        char bytes[4];
        buf_add(&text, bytes, utf8_encode(c, bytes));
    }
    lang l = lang_text(r->set, buf_text(&text), text.len);
    size_t n = text.len;
    if (text.failed)
        refuse(r, E_NOMEM, r->at, "no memory");
    buf_clear(&text);
    return r->failed ? NULL : lang_part(r, l, false, n);
}

static part *read_class(reader *r)
{
    size_t start = r->at, n = 0;
    uint64_t chars = 0;
    bool negated = take(r, "^");
    while (!take(r, "]")) {
        uint32_t first, last;
        if (n == MAX_RANGES)
            return refuse(r, E_RANGE, start, "a class of more than 4096 ranges");
        if (!take_char(r, &first))
            return NULL;
        last = first;
        if (peek(r) == '-' && r->at + 1 < r->n && r->text[r->at + 1] != ']') {
            r->at++;
            if (!take_char(r, &last))
                return NULL;
        }
        if (last < first)
            return refuse(r, E_FORMAT, start, "a range in a class that runs backwards");
        chars += last - first + 1;
        r->ranges[n++] = (lang_range){ first, last };
    }
    if (n == 0 && !negated)
        return refuse(r, E_FORMAT, start, "a class without characters");
    return lang_part(r, lang_class(r->set, r->ranges, n, negated), negated || chars > 64, n / 4);
}

static part *read_choice(reader *r, bool nested);

static part *read_group(reader *r)
{
    size_t start = r->at;
    if (r->depth == MAX_NESTED)
        return refuse(r, E_RANGE, start, "parentheses are nested more than 100 deep");
    r->depth++;
    skip_space(r, true);
    part *x = read_choice(r, true);
    r->depth--;
    return !x || take(r, ")") ? x : refuse(r, E_FORMAT, start, "a parenthesis without its )");
}

static part *read_atom(reader *r)
{
    size_t start = r->at;
    if (take(r, "\""))
        return read_literal(r);
    if (take(r, "["))
        return read_class(r);
    if (take(r, "("))
        return read_group(r);
    if (take(r, "."))
        return lang_part(r, lang_char(r->set), true, 0);
    if (take(r, "<") || take(r, "!"))
        return refuse(r, E_UNSUPPORTED, start, "terminals that are tokens (<...>) are not supported");
    if (!is_word(peek(r)))
        return refuse(r, E_FORMAT, start, "this begins no item of a rule");
    definition *to = find(r, take_name(r));
    part *x = to ? new_part(r, PART_REF) : NULL;
    if (x)
        x->to = to;
    return x;
}

static bool take_number(reader *r, uint32_t *out)
{
    uint64_t value = 0;
    size_t start = r->at;
    for (; peek(r) >= '0' && peek(r) <= '9'; r->at++)
        value = value < UINT32_MAX ? value * 10 + (uint64_t)(peek(r) - '0') : value;
    *out = (uint32_t)value;
    if (r->at == start || value >= RULES_UNBOUNDED)
        return refuse(r, E_FORMAT, start, r->at == start ? "a number is missing" : "the number is too large") != NULL;
    return true;
}

/* After { */
static bool take_bounds(reader *r, bool nested, uint32_t *lo, uint32_t *hi)
{
    skip_space(r, nested);
    if (!take_number(r, lo))
        return false;
    *hi = *lo;
    skip_space(r, nested);
    if (take(r, ",")) {
        skip_space(r, nested);
        *hi = RULES_UNBOUNDED;
        if (peek(r) != '}' && !take_number(r, hi))
            return false;
        skip_space(r, nested);
    }
    if (!take(r, "}"))
        return refuse(r, E_FORMAT, r->at, "a } is missing") != NULL;
    return *lo <= *hi || refuse(r, E_FORMAT, r->at, "a repetition whose bounds are the wrong way round");
}

static bool take_repetition(reader *r, bool nested, uint32_t *lo, uint32_t *hi)
{
    *lo = 0;
    *hi = RULES_UNBOUNDED;
    if (take(r, "+"))
        *lo = 1;
    else if (take(r, "?"))
        *hi = 1;
    else if (take(r, "{"))
        return take_bounds(r, nested, lo, hi);
    else
        return take(r, "*");
    return true;
}

static part *read_item(reader *r, bool nested)
{
    part *x = read_atom(r);
    uint32_t lo, hi;
    if (x)
        skip_space(r, nested);
    while (x && take_repetition(r, nested, &lo, &hi)) {
        part *repeat = new_part(r, PART_REPEAT);
        if (!repeat)
            return NULL;
        repeat->child = x;
        repeat->lo = lo;
        repeat->hi = hi;
        x = repeat;
        skip_space(r, nested);
    }
    return r->failed ? NULL : x;
}

static bool ends_sequence(int c, bool nested)
{
    return c < 0 || c == '|' || c == ')' || (!nested && (c == '\n' || c == '\r'));
}

static part *read_sequence(reader *r, bool nested)
{
    part *seq = new_part(r, PART_SEQ), **end = seq ? &seq->child : NULL;
    while (seq && !ends_sequence(peek(r), nested)) {
        part *x = read_item(r, nested);
        if (!x)
            return NULL;
        *end = x;
        end = &x->next;
    }
    return seq;
}

static part *read_choice(reader *r, bool nested)
{
    part *alt = new_part(r, PART_ALT), **end = alt ? &alt->child : NULL;
    while (alt) {
        part *x = read_sequence(r, nested);
        if (!x)
            return NULL;
        *end = x;
        end = &x->next;
        if (!take(r, "|"))
            break;
        skip_space(r, true);
    }
    return alt;
}

static bool read_rule(reader *r)
{
    size_t start = r->at;
    span name = take_name(r);
    if (!name.n)
        return refuse(r, E_FORMAT, start, "a rule's name is missing") != NULL;
    definition *d = find(r, name);
    if (!d)
        return false;
    if (d->body)
        return refuse(r, E_FORMAT, start, "this rule is defined already") != NULL;
    skip_space(r, false);
    if (!take(r, "::="))
        return refuse(r, E_FORMAT, r->at, "::= is missing") != NULL;
    skip_space(r, true);
    d->body = read_choice(r, false);
    if (!d->body)
        return false;
    if (peek(r) >= 0 && peek(r) != '\n' && peek(r) != '\r')
        return refuse(r, E_FORMAT, r->at, "the rule should end here") != NULL;
    skip_space(r, true);
    return true;
}

/* ---- which parts are terminals ---- */

static shape join(shape a, shape b)
{
    unsigned size = a.size + b.size;
    return (shape){ a.regular && b.regular, size > MAX_SIZE ? MAX_SIZE + 1 : size, a.loops + b.loops,
                    a.wide || b.wide };
}

static shape measure(const part *x, unsigned chain);

static shape measure_definition(definition *d, unsigned chain)
{
    static const shape none = { .regular = false };
    if (d->state == 1 || !d->body || chain >= MAX_CHAIN)
        return none; /* recursion, or none of our business */
    if (d->state == 0) {
        d->state = 1;
        d->s = measure(d->body, chain + 1);
        d->state = 2;
    }
    return d->s;
}

static shape measure(const part *x, unsigned chain)
{
    shape s = { .regular = true, .size = 1 };
    switch (x->kind) {
    case PART_LANG:
        s.wide = x->wide;
        s.size = x->size;
        return s;
    case PART_REF:
        return measure_definition(x->to, chain);
    case PART_REPEAT:
        s = measure(x->child, chain);
        if (s.loops || (s.wide && x->hi > 4))
            s.loops = 1;
        return s;
    default:
        for (const part *c = x->child; c; c = c->next)
            s = join(s, measure(c, chain));
        return s;
    }
}

static bool is_terminal(shape s)
{
    return s.regular && s.size <= MAX_SIZE && s.loops <= 1;
}

static lang fold(reader *r, const part *x)
{
    lang out = x->kind == PART_SEQ ? LANG_EMPTY : LANG_NONE;
    switch (x->kind) {
    case PART_LANG:
        return x->l;
    case PART_REPEAT:
        return lang_repeat(r->set, fold(r, x->child), x->lo, x->hi);
    case PART_REF:
        if (!x->to->folded) {
            x->to->l = fold(r, x->to->body);
            x->to->folded = true;
        }
        return x->to->l;
    case PART_SEQ:
        for (const part *c = x->child; c; c = c->next)
            out = lang_seq(r->set, out, fold(r, c));
        return out;
    default:
        for (const part *c = x->child; c; c = c->next)
            out = lang_alt(r->set, out, fold(r, c));
        return out;
    }
}

/* ---- rules ---- */

static rule lower(reader *r, const part *x);

/* The definition's rule; its body follows when its turn comes (lower_all). */
static rule lower_reference(reader *r, definition *d)
{
    if (!d->r)
        d->r = rules_declare(r->r, d->name.p, d->name.n);
    return d->r;
}

static size_t count_children(const part *x)
{
    size_t n = 0;
    for (const part *c = x->child; c; c = c->next)
        n++;
    return n;
}

/* Neighbours that make a good terminal together are put together. A rule that has a loop of its own stays alone: so it
 * is the same terminal everywhere. */
static rule lower_sequence(reader *r, const part *x, rule *parts)
{
    size_t n = 0;
    lang run = LANG_EMPTY;
    shape have = { .regular = true };
    for (const part *c = x->child; c; c = c->next) {
        shape s = measure(c, 0);
        bool alone = c->kind == PART_REF && s.loops;
        if (!is_terminal(s) || alone || !is_terminal(join(have, s))) {
            parts[n++] = rules_token(r->r, run);
            run = LANG_EMPTY;
            have = (shape){ .regular = true };
        }
        if (!is_terminal(s) || alone) {
            parts[n++] = lower(r, c);
            continue;
        }
        run = lang_seq(r->set, run, fold(r, c));
        have = join(have, s);
    }
    parts[n++] = rules_token(r->r, run);
    return rules_seq(r->r, parts, n);
}

static rule lower(reader *r, const part *x)
{
    if (x->kind == PART_LANG || is_terminal(measure(x, 0)))
        return rules_token(r->r, fold(r, x));
    if (x->kind == PART_REF)
        return lower_reference(r, x->to);
    if (x->kind == PART_REPEAT)
        return rules_repeat(r->r, lower(r, x->child), x->lo, x->hi);
    rule *parts = mem_array(count_children(x) * 2 + 1, sizeof *parts), out = RULES_NONE;
    if (!parts) {
        refuse(r, E_NOMEM, r->at, "no memory");
        return RULES_NONE;
    }
    size_t n = 0;
    if (x->kind == PART_SEQ) {
        out = lower_sequence(r, x, parts);
    } else {
        for (const part *c = x->child; c; c = c->next)
            parts[n++] = lower(r, c);
        out = rules_alt(r->r, parts, n);
    }
    mem_free(parts);
    return out;
}

/* Bodies of all definitions that something refers to, which may refer to more. */
static void lower_all(reader *r)
{
    bool again = true;
    while (again && !r->failed) {
        again = false;
        for (definition *d = r->first; d && !r->failed; d = d->next) {
            if (!d->r || d->state == 3)
                continue;
            if (!d->body) {
                char text[RULES_NAME_BYTES + 64];
                snprintf(text, sizeof text, "the rule '%.*s' is not defined",
                         (int)(d->name.n < RULES_NAME_BYTES ? d->name.n : RULES_NAME_BYTES), d->name.p);
                refuse(r, E_FORMAT, d->where, text);
                return;
            }
            rules_define(r->r, d->r, lower(r, d->body));
            d->state = 3;
            again = true;
        }
    }
}

status grammar_gbnf(grammar **out, const char *text, size_t n, error *err)
{
    if (n > GRAMMAR_MAX_TEXT)
        return fail(err, E_RANGE, "a grammar of %zu bytes, the limit is %d", n, GRAMMAR_MAX_TEXT);
    reader r = { .text = text, .n = n, .parts = ARENA_INIT(256u << 20), .err = err };
    r.end = &r.first;
    r.ranges = mem_array(MAX_RANGES, sizeof *r.ranges);
    status st = r.ranges ? rules_open(&r.r, err) : fail(err, E_NOMEM, "no memory for a grammar");
    if (!st) {
        r.set = rules_langs(r.r);
        skip_space(&r, true);
        while (r.at < n && !r.failed)
            read_rule(&r);
        definition *root = r.failed ? NULL : find(&r, (span){ "root", 4 });
        if (root && !root->body)
            refuse(&r, E_FORMAT, n, "there is no rule 'root'");
        if (root && !r.failed) {
            rule start = lower_reference(&r, root);
            lower_all(&r);
            if (!r.failed)
                st = rules_compile(&r.r, start, out, err);
        }
        st = r.failed ? r.failed : st;
    }
    rules_close(&r.r);
    arena_clear(&r.parts);
    mem_free(r.ranges);
    return st;
}
