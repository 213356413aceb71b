/* regex.c: regular expressions of ECMA-262 (flag u) into languages.
 *
 * Two passes. Reading makes a tree of re_nodes; most of it are plain expressions whose language is put together from
 * that of their parts. Assertions (^ $ lookaheads) speak of what is around them, so a tree that holds some is built
 * from its end: follow(node, k, start) is the language of node and then k, where k is all the rest of the text. So $ is
 * "k must be empty", and a lookahead is an intersection with k: exact, without any search. */
#include <string.h>

#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/lang_int.h"

enum { RE_MAX_BYTES = 1 << 16, RE_MAX_DEPTH = 200, RE_MAX_COPIES = 64, RE_MAX_RANGES = 1 << 16,
       RE_MAX_STEPS = 1 << 16 };

typedef enum re_kind { RE_LANG, RE_SEQ, RE_ALT, RE_REPEAT, RE_BEGIN, RE_END, RE_LOOK } re_kind;

typedef struct re_node re_node;
struct re_node {
    re_kind kind;
    bool asserts;    /* assertions in it */
    bool begins;     /* a ^ in it */
    bool zero;       /* never takes a character */
    bool nullable;
    bool negative;   /* LOOK */
    uint32_t lo, hi; /* REPEAT */
    lang l;          /* LANG */
    size_t offset;   /* in the pattern, for messages */
    re_node *child, *next; /* next: the sibling in a SEQ or ALT */
};

typedef struct category_run {
    uint32_t first;
    utf8proc_category_t category;
} category_run;

typedef struct reader {
    lang_set *set;
    const char *pattern;
    size_t n, at;
    unsigned depth;
    arena nodes;
    lang_range *ranges; /* of the class being read */
    size_t n_ranges, ranges_size;
    category_run *runs; /* NULL: no property was asked for yet */
    size_t n_runs;
    unsigned steps; /* of follow: repeated assertions are copied */
    error *err;
    status failed;
} reader;

static re_node *refuse(reader *r, status code, size_t offset, const char *what)
{
    if (!r->failed)
        r->failed = fail(r->err, code, "regular expression, offset %zu: %s", offset, what);
    return NULL;
}

static re_node *out_of_memory(reader *r)
{
    return refuse(r, E_NOMEM, r->at, "no memory");
}

static re_node *new_node(reader *r, re_kind kind, size_t offset)
{
    re_node *x = arena_alloc(&r->nodes, sizeof *x);
    if (!x)
        return out_of_memory(r);
    *x = (re_node){ .kind = kind, .offset = offset };
    return x;
}

static re_node *lang_node_of(reader *r, lang l, size_t offset)
{
    re_node *x = new_node(r, RE_LANG, offset);
    if (x) {
        x->l = l;
        x->zero = l == LANG_EMPTY;
        x->nullable = lang_has_empty(r->set, l);
    }
    return x;
}

/* ---- characters and classes ---- */

static int peek(const reader *r)
{
    return r->at < r->n ? (unsigned char)r->pattern[r->at] : -1;
}

static bool take(reader *r, const char *text)
{
    size_t n = strlen(text);
    if (r->n - r->at < n || memcmp(r->pattern + r->at, text, n) != 0)
        return false;
    r->at += n;
    return true;
}

/* One character as it stands. */
static bool take_code(reader *r, uint32_t *code)
{
    size_t n = r->at < r->n ? utf8_decode(r->pattern + r->at, r->n - r->at, code) : 0;
    if (!n)
        refuse(r, E_FORMAT, r->at, r->at < r->n ? "not valid UTF-8" : "ends too early");
    r->at += n;
    return n != 0;
}

static bool add_range(reader *r, uint32_t first, uint32_t last)
{
    if (r->n_ranges == r->ranges_size) {
        size_t size = r->ranges_size ? r->ranges_size * 2 : 64;
        lang_range *grown = size <= RE_MAX_RANGES ? mem_resize(r->ranges, size * sizeof *grown) : NULL;
        if (!grown) {
            refuse(r, size <= RE_MAX_RANGES ? E_NOMEM : E_RANGE, r->at, "the class is too large");
            return false;
        }
        r->ranges = grown;
        r->ranges_size = size;
    }
    r->ranges[r->n_ranges++] = (lang_range){ first, last };
    return true;
}

/* Adds n ascending ranges, or everything else. */
static bool add_ranges(reader *r, const lang_range *list, size_t n, bool negated)
{
    uint32_t next = 0;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) {
        if (!negated)
            ok = add_range(r, list[i].first, list[i].last);
        else if (list[i].first > next)
            ok = add_range(r, next, list[i].first - 1);
        next = list[i].last + 1;
    }
    return ok && (!negated || next > 0x10FFFF || add_range(r, next, 0x10FFFF));
}

static const struct class_row {
    char letter; /* lower case; the upper case is all else */
    unsigned n;
    lang_range at[10];
} classes[] = {
    { 'd', 1, { { '0', '9' } } },
    { 'w', 4, { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
    { 's', 10, { { 0x09, 0x0D }, { 0x20, 0x20 }, { 0xA0, 0xA0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A },
                 { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 }, { 0xFEFF, 0xFEFF } } },
};

/* \p{Lu} and kin: names of general categories, and which of utf8proc's numbers they are. */
#define CATEGORY(x) (1u << UTF8PROC_CATEGORY_##x)
#define LETTERS (CATEGORY(LU) | CATEGORY(LL) | CATEGORY(LT) | CATEGORY(LM) | CATEGORY(LO))
#define MARKS (CATEGORY(MN) | CATEGORY(MC) | CATEGORY(ME))
#define NUMBERS (CATEGORY(ND) | CATEGORY(NL) | CATEGORY(NO))
#define PUNCTUATION                                                                                                    \
    (CATEGORY(PC) | CATEGORY(PD) | CATEGORY(PS) | CATEGORY(PE) | CATEGORY(PI) | CATEGORY(PF) | CATEGORY(PO))
#define SYMBOLS (CATEGORY(SM) | CATEGORY(SC) | CATEGORY(SK) | CATEGORY(SO))
#define SEPARATORS (CATEGORY(ZS) | CATEGORY(ZL) | CATEGORY(ZP))
#define OTHERS (CATEGORY(CC) | CATEGORY(CF) | CATEGORY(CS) | CATEGORY(CO) | CATEGORY(CN))

static const struct category_row {
    const char *short_name, *name;
    uint32_t mask;
} categories[] = {
    { "L", "Letter", LETTERS },
    { "LC", "Cased_Letter", CATEGORY(LU) | CATEGORY(LL) | CATEGORY(LT) },
    { "Lu", "Uppercase_Letter", CATEGORY(LU) },
    { "Ll", "Lowercase_Letter", CATEGORY(LL) },
    { "Lt", "Titlecase_Letter", CATEGORY(LT) },
    { "Lm", "Modifier_Letter", CATEGORY(LM) },
    { "Lo", "Other_Letter", CATEGORY(LO) },
    { "M", "Mark", MARKS },
    { "Mn", "Nonspacing_Mark", CATEGORY(MN) },
    { "Mc", "Spacing_Mark", CATEGORY(MC) },
    { "Me", "Enclosing_Mark", CATEGORY(ME) },
    { "N", "Number", NUMBERS },
    { "Nd", "Decimal_Number", CATEGORY(ND) },
    { "Nl", "Letter_Number", CATEGORY(NL) },
    { "No", "Other_Number", CATEGORY(NO) },
    { "P", "Punctuation", PUNCTUATION },
    { "Pc", "Connector_Punctuation", CATEGORY(PC) },
    { "Pd", "Dash_Punctuation", CATEGORY(PD) },
    { "Ps", "Open_Punctuation", CATEGORY(PS) },
    { "Pe", "Close_Punctuation", CATEGORY(PE) },
    { "Pi", "Initial_Punctuation", CATEGORY(PI) },
    { "Pf", "Final_Punctuation", CATEGORY(PF) },
    { "Po", "Other_Punctuation", CATEGORY(PO) },
    { "S", "Symbol", SYMBOLS },
    { "Sm", "Math_Symbol", CATEGORY(SM) },
    { "Sc", "Currency_Symbol", CATEGORY(SC) },
    { "Sk", "Modifier_Symbol", CATEGORY(SK) },
    { "So", "Other_Symbol", CATEGORY(SO) },
    { "Z", "Separator", SEPARATORS },
    { "Zs", "Space_Separator", CATEGORY(ZS) },
    { "Zl", "Line_Separator", CATEGORY(ZL) },
    { "Zp", "Paragraph_Separator", CATEGORY(ZP) },
    { "C", "Other", OTHERS },
    { "Cc", "Control", CATEGORY(CC) },
    { "Cf", "Format", CATEGORY(CF) },
    { "Co", "Private_Use", CATEGORY(CO) },
    { "Cn", "Unassigned", CATEGORY(CN) },
    { "Any", "Any", UINT32_MAX },
};

/* The categories of all code points, as runs: a few thousand. Made once a pattern. */
static bool make_runs(reader *r)
{
    enum { MOST = 8192 };
    if (r->runs)
        return true;
    r->runs = mem_array(MOST, sizeof *r->runs);
    if (!r->runs)
        return out_of_memory(r) != NULL;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        utf8proc_category_t now = utf8proc_category((utf8proc_int32_t)c);
        if ((!r->n_runs || r->runs[r->n_runs - 1].category != now) && r->n_runs < MOST)
            r->runs[r->n_runs++] = (category_run){ c, now };
    }
    return true;
}

/* After \p or \P. */
static bool add_property(reader *r, bool negated)
{
    size_t start = r->at, end = r->at;
    while (end < r->n && r->pattern[end] != '}')
        end++;
    const struct category_row *row = NULL;
    if (end < r->n && take(r, "{")) {
        if (!take(r, "General_Category="))
            (void)take(r, "gc=");
        size_t n = end - r->at;
        for (size_t i = 0; i < ARRAY_LEN(categories) && !row; i++)
            if ((strlen(categories[i].short_name) == n && !memcmp(categories[i].short_name, r->pattern + r->at, n)) ||
                (strlen(categories[i].name) == n && !memcmp(categories[i].name, r->pattern + r->at, n)))
                row = &categories[i];
    }
    if (!row)
        return refuse(r, E_UNSUPPORTED, start, "of the properties \\p{...} only general categories are known") != NULL;
    r->at = end + 1;
    if (!make_runs(r))
        return false;
    for (size_t i = 0; i < r->n_runs; i++) {
        uint32_t last = i + 1 < r->n_runs ? r->runs[i + 1].first - 1 : 0x10FFFF;
        if ((row->mask >> r->runs[i].category & 1) != (unsigned)negated && !add_range(r, r->runs[i].first, last))
            return false;
    }
    return true;
}

/* ---- escapes ---- */

/* n hexadecimal digits, or nothing is taken. */
static bool take_hex(reader *r, unsigned n, uint32_t *out)
{
    uint32_t value = 0;
    if (r->n - r->at < n)
        return false;
    for (unsigned i = 0; i < n; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        char c = r->pattern[r->at + i];
        const char *d = c ? strchr(digits, c) : NULL;
        if (!d)
            return false;
        unsigned v = (unsigned)(d - digits);
        value = value << 4 | (v < 16 ? v : v - 6);
    }
    r->at += n;
    *out = value;
    return true;
}

/* After \u. */
static bool take_unicode(reader *r, uint32_t *code)
{
    size_t start = r->at;
    if (take(r, "{")) {
        uint32_t value = 0, digit;
        size_t n = 0;
        for (; take_hex(r, 1, &digit) && value <= 0x10FFFF; n++)
            value = value << 4 | digit;
        *code = value;
        if (n && value <= 0x10FFFF && take(r, "}"))
            return true;
        refuse(r, E_FORMAT, start, "\\u{...} needs a code point up to 10FFFF");
        return false;
    }
    if (!take_hex(r, 4, code)) {
        refuse(r, E_FORMAT, start, "\\u needs four hexadecimal digits");
        return false;
    }
    uint32_t low;
    size_t before = r->at;
    if (*code >= 0xD800 && *code < 0xDC00 && take(r, "\\u") && take_hex(r, 4, &low) && low >= 0xDC00 && low < 0xE000)
        *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    else
        r->at = before;
    return true;
}

/* After the backslash: a class (added to the ranges, *is_class) or one code point. */
static bool take_escape(reader *r, bool in_class, bool *is_class, uint32_t *code)
{
    static const char controls[] = "t\tn\nv\vf\fr\r";
    size_t start = r->at - 1;
    *is_class = false;
    if (!take_code(r, code))
        return false;
    uint32_t c = *code;
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (c == (uint32_t)classes[i].letter || c == (uint32_t)classes[i].letter - 32) {
            *is_class = true;
            return add_ranges(r, classes[i].at, classes[i].n, c < 'a');
        }
    if (c == 'p' || c == 'P') {
        *is_class = true;
        return add_property(r, c == 'P');
    }
    const char *control = c && c < 0x80 ? strchr(controls, (int)c) : NULL;
    if (control && (control - controls) % 2 == 0) {
        *code = (unsigned char)control[1];
        return true;
    }
    if (c == 'b' && in_class) {
        *code = '\b';
        return true;
    }
    if (c == '0' && !(peek(r) >= '0' && peek(r) <= '9')) {
        *code = 0;
        return true;
    }
    if (c == 'u')
        return take_unicode(r, code);
    if (c == 'x')
        return take_hex(r, 2, code) || refuse(r, E_FORMAT, start, "\\x needs two hexadecimal digits");
    if (c == 'c' && peek(r) >= 0 && ((peek(r) | 32) >= 'a' && (peek(r) | 32) <= 'z')) {
        *code = (uint32_t)peek(r) & 31;
        r->at++;
        return true;
    }
    if (c == 'b' || c == 'B')
        return refuse(r, E_UNSUPPORTED, start, "word boundaries (\\b, \\B) are not supported") != NULL;
    if (c == 'k' || (c >= '0' && c <= '9'))
        return refuse(r, E_UNSUPPORTED, start, "back references and octal escapes are not supported") != NULL;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return refuse(r, E_FORMAT, start, "this letter has no meaning behind a backslash") != NULL;
    return true;
}

/* One end of a range or a class. */
static bool take_member(reader *r, bool *is_class, uint32_t *code)
{
    *is_class = false;
    return take(r, "\\") ? take_escape(r, true, is_class, code) : take_code(r, code);
}

/* After [. */
static re_node *read_class(reader *r, size_t offset)
{
    bool negated = take(r, "^");
    r->n_ranges = 0;
    while (!take(r, "]")) {
        bool is_class, last_is_class;
        uint32_t first, last;
        if (r->at >= r->n)
            return refuse(r, E_FORMAT, offset, "a class without its ]");
        if (!take_member(r, &is_class, &first))
            return NULL;
        last = first;
        if (r->n - r->at >= 2 && r->pattern[r->at] == '-' && r->pattern[r->at + 1] != ']') {
            r->at++;
            if (!take_member(r, &last_is_class, &last))
                return NULL;
            if (is_class || last_is_class)
                return refuse(r, E_FORMAT, offset, "a range in a class whose end is a class");
            if (first > last)
                return refuse(r, E_FORMAT, offset, "a range in a class that runs backwards");
        }
        if (!is_class && !add_range(r, first, last))
            return NULL;
    }
    return lang_node_of(r, lang_class(r->set, r->ranges, r->n_ranges, negated), offset);
}

/* ---- the tree ---- */

static re_node *read_alt(reader *r);

static re_node *read_group(reader *r, size_t offset)
{
    bool look = false, negative = false;
    if (take(r, "?")) {
        if (take(r, "=") || take(r, "!")) {
            look = true;
            negative = r->pattern[r->at - 1] == '!';
        } else if (take(r, "<=") || take(r, "<!")) {
            return refuse(r, E_UNSUPPORTED, offset, "lookbehinds are not supported");
        } else if (take(r, "<")) {
            while (peek(r) >= 0 && peek(r) != '>')
                r->at++;
            if (!take(r, ">"))
                return refuse(r, E_FORMAT, offset, "a group's name without its >");
        } else if (!take(r, ":")) {
            return refuse(r, E_FORMAT, offset, "this kind of group is not known");
        }
    }
    if (r->depth == RE_MAX_DEPTH)
        return refuse(r, E_RANGE, offset, "groups are nested more than 200 deep");
    r->depth++;
    re_node *inner = read_alt(r);
    r->depth--;
    if (!inner)
        return NULL;
    if (!take(r, ")"))
        return refuse(r, E_FORMAT, offset, "a group without its )");
    if (!look)
        return inner;
    re_node *x = new_node(r, RE_LOOK, offset);
    if (x) {
        x->child = inner;
        x->negative = negative;
        x->asserts = x->zero = x->nullable = true;
        x->begins = inner->begins;
    }
    return x;
}

static re_node *read_assertion(reader *r, re_kind kind, size_t offset)
{
    re_node *x = new_node(r, kind, offset);
    if (x) {
        x->asserts = x->zero = x->nullable = true;
        x->begins = kind == RE_BEGIN;
    }
    return x;
}

static re_node *read_atom(reader *r)
{
    static const lang_range ends[] = { { '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 } };
    size_t offset = r->at;
    uint32_t code;
    bool is_class = false;
    if (take(r, "("))
        return read_group(r, offset);
    if (take(r, "["))
        return read_class(r, offset);
    if (take(r, "."))
        return lang_node_of(r, lang_class(r->set, ends, ARRAY_LEN(ends), true), offset);
    if (take(r, "^") || take(r, "$"))
        return read_assertion(r, r->pattern[offset] == '^' ? RE_BEGIN : RE_END, offset);
    if (peek(r) == '*' || peek(r) == '+' || peek(r) == '?')
        return refuse(r, E_FORMAT, offset, "nothing to repeat");
    r->n_ranges = 0;
    if (take(r, "\\") ? !take_escape(r, false, &is_class, &code) : !take_code(r, &code))
        return NULL;
    if (!is_class && !add_range(r, code, code))
        return NULL;
    return lang_node_of(r, lang_class(r->set, r->ranges, r->n_ranges, false), offset);
}

static bool take_number(reader *r, uint32_t *out)
{
    uint64_t value = 0;
    size_t start = r->at;
    for (; peek(r) >= '0' && peek(r) <= '9'; r->at++)
        value = value < UINT32_MAX ? value * 10 + (uint64_t)(peek(r) - '0') : value;
    *out = value < LANG_UNBOUNDED - 1 ? (uint32_t)value : LANG_UNBOUNDED - 1;
    return r->at > start;
}

/* {m} {m,} {m,n}; anything else is a character. */
static bool take_braces(reader *r, uint32_t *lo, uint32_t *hi)
{
    size_t start = r->at;
    bool ok = take(r, "{") && take_number(r, lo);
    *hi = *lo;
    if (ok && take(r, ",") && !take_number(r, hi))
        *hi = LANG_UNBOUNDED;
    ok = ok && take(r, "}");
    if (!ok)
        r->at = start;
    return ok;
}

static bool take_quantifier(reader *r, uint32_t *lo, uint32_t *hi)
{
    *lo = 0;
    *hi = LANG_UNBOUNDED;
    bool found = true;
    if (take(r, "+"))
        *lo = 1;
    else if (take(r, "?"))
        *hi = 1;
    else
        found = take(r, "*") || take_braces(r, lo, hi);
    if (found)
        (void)take(r, "?"); /* lazy: the same texts */
    return found;
}

static re_node *read_term(reader *r)
{
    size_t offset = r->at;
    re_node *x = read_atom(r);
    uint32_t lo, hi;
    while (x && take_quantifier(r, &lo, &hi)) {
        if (lo > hi)
            return refuse(r, E_FORMAT, offset, "a repetition whose bounds are the wrong way round");
        re_node *repeat = new_node(r, RE_REPEAT, offset);
        if (!repeat)
            return NULL;
        repeat->child = x;
        repeat->lo = lo;
        repeat->hi = hi;
        repeat->asserts = x->asserts;
        repeat->begins = x->begins;
        repeat->zero = x->zero || hi == 0;
        repeat->nullable = x->nullable || lo == 0;
        if (x->kind == RE_REPEAT) /* a** is a mistake in ECMA-262 */
            return refuse(r, E_FORMAT, offset, "nothing to repeat");
        x = repeat;
    }
    return x;
}

static re_node *read_seq(reader *r)
{
    re_node *seq = new_node(r, RE_SEQ, r->at), **end = seq ? &seq->child : NULL;
    if (!seq)
        return NULL;
    seq->zero = seq->nullable = true;
    while (r->at < r->n && peek(r) != '|' && peek(r) != ')') {
        re_node *x = read_term(r);
        if (!x)
            return NULL;
        *end = x;
        end = &x->next;
        seq->asserts = seq->asserts || x->asserts;
        seq->begins = seq->begins || x->begins;
        seq->zero = seq->zero && x->zero;
        seq->nullable = seq->nullable && x->nullable;
    }
    return seq;
}

static re_node *read_alt(reader *r)
{
    re_node *alt = new_node(r, RE_ALT, r->at), **end = alt ? &alt->child : NULL;
    if (!alt)
        return NULL;
    alt->zero = true;
    do {
        re_node *x = read_seq(r);
        if (!x)
            return NULL;
        *end = x;
        end = &x->next;
        alt->asserts = alt->asserts || x->asserts;
        alt->begins = alt->begins || x->begins;
        alt->zero = alt->zero && x->zero;
        alt->nullable = alt->nullable || x->nullable;
    } while (take(r, "|"));
    return alt;
}

/* ---- languages ---- */

static lang plain(reader *r, re_node *x);

/* The children's languages, in an array that the caller frees. */
static lang *plain_children(reader *r, re_node *x, size_t *n_out)
{
    size_t n = 0;
    for (re_node *c = x->child; c; c = c->next)
        n++;
    lang *parts = mem_array(n, sizeof *parts);
    if (!parts) {
        out_of_memory(r);
        return NULL;
    }
    n = 0;
    for (re_node *c = x->child; c; c = c->next)
        parts[n++] = plain(r, c);
    *n_out = n;
    return parts;
}

/* Of a node without assertions, which becomes a leaf by it. */
static lang plain(reader *r, re_node *x)
{
    if (x->kind == RE_REPEAT) {
        x->l = lang_repeat(r->set, plain(r, x->child), x->lo, x->hi);
        x->kind = RE_LANG;
    }
    if (x->kind == RE_LANG)
        return x->l;
    size_t n = 0;
    lang *parts = plain_children(r, x, &n), out = LANG_EMPTY;
    if (!parts)
        return LANG_NONE;
    if (x->kind == RE_ALT)
        out = lang_alt_n(r->set, parts, n);
    for (size_t i = n; x->kind == RE_SEQ && i-- > 0;)
        out = lang_seq(r->set, parts[i], out);
    mem_free(parts);
    x->kind = RE_LANG;
    return x->l = out;
}

static lang follow(reader *r, re_node *x, lang k, bool start);

/* The children of a SEQ, from x on: the last one is built first. start: nothing of the text was taken before x. */
static lang follow_seq(reader *r, re_node *seq, lang k, bool start)
{
    size_t n = 0;
    for (re_node *c = seq->child; c; c = c->next)
        n++;
    re_node **list = mem_array(n, sizeof *list);
    if (!list) {
        out_of_memory(r);
        return LANG_NONE;
    }
    size_t i = 0, n_zero = 0; /* the first n_zero take nothing */
    for (re_node *c = seq->child; c; c = c->next)
        list[i++] = c;
    while (n_zero < n && list[n_zero]->zero)
        n_zero++;
    bool may_be_empty = n_zero < n && list[n_zero]->nullable;
    for (i = n; i-- > 0 && !r->failed;) {
        if (i > n_zero && list[i]->begins && start && may_be_empty)
            refuse(r, E_UNSUPPORTED, list[i]->offset, "a ^ behind what may be empty is not supported");
        k = follow(r, list[i], k, start && i <= n_zero);
    }
    mem_free(list);
    return k;
}

static lang follow_repeat(reader *r, re_node *x, lang k, bool start)
{
    if (x->hi > RE_MAX_COPIES || (x->begins && start && x->hi > 1)) {
        refuse(r, E_UNSUPPORTED, x->offset, "an assertion inside a repetition is not supported");
        return LANG_NONE;
    }
    lang out = k;
    for (uint32_t i = x->hi; i-- > 0;) { /* copy i stands before what was built */
        lang more = follow(r, x->child, out, start && i == 0);
        out = i < x->lo ? more : lang_alt(r->set, k, more);
    }
    return out;
}

/* x, then k: all the rest of the text. */
static lang follow(reader *r, re_node *x, lang k, bool start)
{
    if (!r->failed && ++r->steps > RE_MAX_STEPS)
        refuse(r, E_RANGE, x->offset, "too many repetitions of assertions");
    if (r->failed)
        return LANG_NONE;
    if (!x->asserts)
        return lang_seq(r->set, plain(r, x), k);
    lang out = LANG_NONE;
    switch (x->kind) {
    case RE_SEQ:
        return follow_seq(r, x, k, start);
    case RE_ALT:
        for (re_node *c = x->child; c; c = c->next)
            out = lang_alt(r->set, out, follow(r, c, k, start));
        return out;
    case RE_REPEAT:
        return follow_repeat(r, x, k, start);
    case RE_BEGIN:
        return start ? k : LANG_NONE;
    case RE_END:
        return lang_has_empty(r->set, k) ? LANG_EMPTY : LANG_NONE;
    default:
        out = follow(r, x->child, lang_any_text(r->set), start);
        return lang_and(r->set, k, x->negative ? lang_not(r->set, out) : out);
    }
}

static lang build(reader *r, re_node *root, lang_anchoring how)
{
    lang any = lang_any_text(r->set);
    if (how == LANG_WHOLE)
        return follow(r, root, LANG_EMPTY, true);
    lang later = lang_seq(r->set, any, follow(r, root, any, false));
    return root->begins ? lang_alt(r->set, follow(r, root, any, true), later) : later;
}

status lang_regex(lang_set *set, const char *pattern, size_t n, lang_anchoring how, lang *out, error *err)
{
    if (n > RE_MAX_BYTES)
        return fail(err, E_RANGE, "a regular expression of %zu bytes, the limit is %d", n, RE_MAX_BYTES);
    reader r = { .set = set, .pattern = pattern, .n = n, .nodes = ARENA_INIT(32u << 20), .err = err };
    re_node *root = read_alt(&r);
    if (root && r.at < n)
        refuse(&r, E_FORMAT, r.at, "a ) without its group");
    lang l = root && !r.failed ? build(&r, root, how) : LANG_NONE;
    status st = r.failed ? r.failed : lang_ok(set, err);
    if (!st)
        *out = l;
    arena_clear(&r.nodes);
    mem_free(r.ranges);
    mem_free(r.runs);
    return st;
}
