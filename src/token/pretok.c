/* pretok.c: compiles the patterns of pretok_table.c and runs them. See pretok.h for the language.
 *
 * A program is three flat arrays: sets of characters, items (one repetition each) and alternatives (a run of items).
 * For every ASCII byte a pass knows which of its alternatives can begin there, so that most words cost one attempt. */
#include "token/pretok.h"

#include <assert.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "token/unicode.h"

enum { MAX_SETS = 64, MAX_RANGES = 512, MAX_ITEMS = 256, MAX_ALTS = 128, ALT_ITEMS = 16, PASS_ALTS = 32 };
#define NO_LIMIT UINT32_MAX

typedef enum op { OP_SET, OP_GROUP, OP_NOT_AHEAD, OP_END } op;

typedef struct range {
    uint32_t from, to;
} range;

typedef struct cset {
    uint64_t ascii[2];   /* the answer for codes < 128 */
    uint32_t classes;    /* unicode_class bits */
    uint32_t first_range, n_ranges; /* in order once compiled */
    bool negate;
} cset;

typedef struct item {
    op op;
    uint32_t set;             /* OP_SET, OP_NOT_AHEAD */
    uint32_t first_alt, n_alts; /* OP_GROUP */
    uint32_t min, max;
} item;

typedef struct alt {
    uint32_t first_item, n_items;
} alt;

typedef struct pass {
    uint32_t first_alt, n_alts;
    uint32_t starts[128]; /* bit a: alternative a can begin with this byte */
} pass;

struct pretok {
    unsigned n_sets, n_ranges, n_items, n_alts, n_passes;
    cset sets[MAX_SETS];
    range ranges[MAX_RANGES];
    item items[MAX_ITEMS];
    alt alts[MAX_ALTS];
    pass passes[PRETOK_PASSES];
    uint32_t low[UNICODE_LOW]; /* unicode_class of the first codes */
};

/* ---- finding rows ------------------------------------------------------------------------------------------------ */

static bool next_name(const char **p, span *name)
{
    while (**p == ' ')
        (*p)++;
    name->p = *p;
    name->n = strcspn(*p, " ");
    *p += name->n;
    return name->n > 0;
}

const pretok_row *pretok_find(const char *name, size_t n)
{
    for (size_t i = 0; i < pretok_table_rows; i++) {
        const char *p = pretok_table[i].names;
        span s;
        while (next_name(&p, &s))
            if (s.n == n && !memcmp(s.p, name, n))
                return &pretok_table[i];
    }
    return NULL;
}

const char *pretok_nearest(const char *name, char text[64])
{
    size_t best = 1 + strlen(name) / 3;
    bool found = false;
    for (size_t i = 0; i < pretok_table_rows; i++) {
        const char *p = pretok_table[i].names;
        span s;
        while (next_name(&p, &s)) {
            char one[64];
            if (s.n >= sizeof one)
                continue;
            memcpy(one, s.p, s.n);
            one[s.n] = 0;
            size_t d = str_distance(name, one);
            if (d <= best && (!found || d < best)) {
                best = d;
                found = true;
                memcpy(text, one, s.n + 1);
            }
        }
    }
    return found ? text : NULL;
}

/* ---- compiling: recursive descent ------------------------------------------------------------------------------- */

typedef struct compiler {
    pretok *p;
    const char *s;
    bool bad;
} compiler;

static bool eat(compiler *c, const char *text)
{
    size_t n = strlen(text);
    if (strncmp(c->s, text, n) != 0)
        return false;
    c->s += n;
    return true;
}

static uint32_t parse_hex(compiler *c)
{
    uint32_t v = 0;
    for (; *c->s && *c->s != '}'; c->s++)
        v = v * 16 + (uint32_t)(*c->s <= '9' ? *c->s - '0' : (*c->s | 32) - 'a' + 10);
    c->bad |= !eat(c, "}");
    return v;
}

static uint32_t parse_property(compiler *c)
{
    char name[3] = { 0 };
    for (int i = 0; i < 2 && *c->s && *c->s != '}'; i++)
        name[i] = *c->s++;
    c->bad |= !eat(c, "}");
    uint32_t classes = unicode_class_named(name);
    c->bad |= !classes;
    return classes;
}

/* One character or class at c->s. A class is added to *classes and false returned; a character goes to *code. */
static bool parse_atom(compiler *c, uint32_t *classes, uint32_t *code)
{
    if (eat(c, "\\p{")) {
        *classes |= parse_property(c);
        return false;
    }
    if (eat(c, "\\s")) {
        *classes |= UNICODE_SPACE;
        return false;
    }
    if (eat(c, "\\u{")) {
        *code = parse_hex(c);
        return true;
    }
    if (eat(c, "\\r"))
        *code = '\r';
    else if (eat(c, "\\n"))
        *code = '\n';
    else {
        eat(c, "\\");
        c->bad |= !*c->s;
        *code = (unsigned char)*c->s;
        c->s += *c->s != 0;
    }
    return true;
}

static void add_range(compiler *c, cset *s, uint32_t from, uint32_t to)
{
    pretok *p = c->p;
    if (p->n_ranges == MAX_RANGES || from > to) {
        c->bad = true;
        return;
    }
    unsigned at = p->n_ranges++;
    for (; at > s->first_range && p->ranges[at - 1].from > from; at--)
        p->ranges[at] = p->ranges[at - 1];
    p->ranges[at] = (range){ from, to };
    s->n_ranges++;
}

static bool set_has(const pretok *p, const cset *s, uint32_t code)
{
    uint32_t classes = code < UNICODE_LOW ? p->low[code] : unicode_class(code);
    if (classes & s->classes)
        return !s->negate;
    unsigned lo = s->first_range, hi = lo + s->n_ranges;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (code < p->ranges[mid].from)
            hi = mid;
        else if (code > p->ranges[mid].to)
            lo = mid + 1;
        else
            return !s->negate;
    }
    return s->negate;
}

static uint32_t finish_set(compiler *c, cset s)
{
    pretok *p = c->p;
    if (p->n_sets == MAX_SETS) {
        c->bad = true;
        return 0;
    }
    for (uint32_t code = 0; code < 128; code++)
        if (set_has(p, &s, code))
            s.ascii[code / 64] |= 1ull << (code % 64);
    p->sets[p->n_sets] = s;
    return p->n_sets++;
}

static uint32_t parse_set(compiler *c)
{
    cset s = { .first_range = c->p->n_ranges };
    uint32_t from = 0, to = 0;
    if (eat(c, "\\S")) {
        s.classes = UNICODE_SPACE;
        s.negate = true;
    } else if (!eat(c, "[")) {
        if (parse_atom(c, &s.classes, &from))
            add_range(c, &s, from, from);
    } else {
        s.negate = eat(c, "^");
        while (*c->s && *c->s != ']') {
            if (!parse_atom(c, &s.classes, &from))
                continue;
            bool is_range = c->s[0] == '-' && c->s[1] != ']';
            if (is_range) {
                c->s++;
                c->bad |= !parse_atom(c, &s.classes, &to);
            }
            add_range(c, &s, from, is_range ? to : from);
        }
        c->bad |= !eat(c, "]");
    }
    return finish_set(c, s);
}

static void parse_count(compiler *c, item *it)
{
    it->min = it->max = 1;
    if (eat(c, "?"))
        it->min = 0;
    else if (eat(c, "*")) {
        it->min = 0;
        it->max = NO_LIMIT;
    } else if (eat(c, "+"))
        it->max = NO_LIMIT;
    else if (eat(c, "{")) {
        it->min = it->max = (uint32_t)(*c->s++ - '0');
        if (eat(c, ","))
            it->max = (uint32_t)(*c->s++ - '0');
        c->bad |= !eat(c, "}") || it->min > 9 || it->max > 9 || it->max < it->min;
    }
}

static void parse_alternatives(compiler *c, uint32_t *first, uint32_t *n, int depth);

static item parse_item(compiler *c, int depth)
{
    item it = { .op = OP_SET };
    if (eat(c, "(?!")) {
        it.op = OP_NOT_AHEAD;
        it.set = parse_set(c);
        c->bad |= !eat(c, ")");
    } else if (eat(c, "(?:")) {
        it.op = OP_GROUP;
        c->bad |= depth > 0;
        if (!c->bad)
            parse_alternatives(c, &it.first_alt, &it.n_alts, depth + 1);
        c->bad |= !eat(c, ")");
        parse_count(c, &it);
        c->bad |= it.max != 1;
    } else if (eat(c, "$")) {
        it.op = OP_END;
    } else {
        it.set = parse_set(c);
        parse_count(c, &it);
    }
    return it;
}

/* Items of an alternative, and alternatives of a pattern, lie side by side: they are gathered here first, because a
 * group inside writes its own to the arrays before they are complete. */
static void parse_alternatives(compiler *c, uint32_t *first, uint32_t *n, int depth)
{
    pretok *p = c->p;
    alt alts[PASS_ALTS];
    unsigned n_alts = 0;
    do {
        item items[ALT_ITEMS];
        unsigned k = 0;
        while (!c->bad && *c->s && *c->s != '|' && *c->s != ')' && k < ALT_ITEMS)
            items[k++] = parse_item(c, depth);
        if (c->bad || !k || n_alts == PASS_ALTS || p->n_items + k > MAX_ITEMS) {
            c->bad = true;
            return;
        }
        memcpy(p->items + p->n_items, items, k * sizeof *items);
        alts[n_alts++] = (alt){ p->n_items, k };
        p->n_items += k;
    } while (eat(c, "|"));
    if (p->n_alts + n_alts > MAX_ALTS) {
        c->bad = true;
        return;
    }
    memcpy(p->alts + p->n_alts, alts, n_alts * sizeof *alts);
    *first = p->n_alts;
    *n = n_alts;
    p->n_alts += n_alts;
}

/* Can alternative a begin with this ASCII byte? When in doubt, yes. */
static bool can_start(const pretok *p, uint32_t a, uint32_t byte)
{
    for (uint32_t i = 0; i < p->alts[a].n_items; i++) {
        const item *it = &p->items[p->alts[a].first_item + i];
        if (it->op == OP_SET && (p->sets[it->set].ascii[byte / 64] >> (byte % 64) & 1))
            return true;
        if (it->op == OP_GROUP)
            for (uint32_t g = 0; g < it->n_alts; g++)
                if (can_start(p, it->first_alt + g, byte))
                    return true;
        if ((it->op == OP_SET || it->op == OP_GROUP) && it->min > 0)
            return false;
    }
    return true;
}

status pretok_compile(pretok **out, const pretok_row *row, error *err)
{
    pretok *p = mem_zero(sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "no memory for the pre-tokeniser");
    for (uint32_t code = 0; code < UNICODE_LOW; code++)
        p->low[code] = unicode_class(code);
    for (; p->n_passes < PRETOK_PASSES && row->pass[p->n_passes]; p->n_passes++) {
        compiler c = { p, row->pass[p->n_passes], false };
        pass *to = &p->passes[p->n_passes];
        parse_alternatives(&c, &to->first_alt, &to->n_alts, 0);
        if (c.bad || *c.s) {
            mem_free(p);
            return fail(err, E_FORMAT, "pre-tokeniser '%s': pass %u is wrong at '%.20s'", row->names, p->n_passes, c.s);
        }
        for (uint32_t byte = 0; byte < 128; byte++)
            for (uint32_t a = 0; a < to->n_alts; a++)
                if (can_start(p, to->first_alt + a, byte))
                    to->starts[byte] |= 1u << a;
    }
    *out = p;
    return OK;
}

void pretok_close(pretok **p)
{
    if (p && *p) {
        mem_free(*p);
        *p = NULL;
    }
}

size_t pretok_bytes(const pretok *p)
{
    return p ? sizeof *p : 0;
}

size_t pretok_most_bytes(void)
{
    return sizeof(pretok);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

typedef struct piece {
    const pretok *p;
    const char *end;
    const char *tail; /* where the run of the set before `$` begins that ends the piece; NULL: not looked for yet */
} piece;

/* Length of the character at s (s < end) if it is in the set, else 0. The text is valid UTF-8. */
static inline size_t set_at(const piece *pc, const cset *set, const char *s)
{
    unsigned char c = (unsigned char)*s;
    if (c < 0x80)
        return set->ascii[c >> 6] >> (c & 63) & 1;
    uint32_t code;
    size_t n = unicode_read(s, &code);
    return set_has(pc->p, set, code) ? n : 0;
}

static const char *find_tail(const piece *pc, const cset *set, const char *begin)
{
    const char *s = pc->end;
    while (s > begin) {
        const char *q = unicode_back(s);
        if (!set_at(pc, set, q))
            break;
        s = q;
    }
    return s;
}

static const char *match(piece *pc, const item *it, uint32_t n, const char *s);

static const char *match_set(piece *pc, const item *it, uint32_t n, const char *s)
{
    const cset *set = &pc->p->sets[it->set];
    if (n > 1 && it[1].op == OP_END) {
        if (!pc->tail)
            pc->tail = find_tail(pc, set, s);
        return s >= pc->tail && s < pc->end ? pc->end : NULL;
    }
    const char *begin = s;
    uint32_t count = 0;
    size_t len;
    while (count < it->max && s < pc->end && (len = set_at(pc, set, s)) > 0) {
        s += len;
        count++;
    }
    if (count < it->min)
        return NULL;
    if (n == 1)
        return s;
    for (;;) {
        const char *e = match(pc, it + 1, n - 1, s);
        if (e || count == it->min)
            return e;
        assert(s > begin);
        s = unicode_back(s);
        count--;
    }
}

static const char *match_alts(piece *pc, uint32_t first, uint32_t n, const char *s)
{
    const char *e = NULL;
    for (uint32_t a = first; a < first + n && !e; a++)
        e = match(pc, &pc->p->items[pc->p->alts[a].first_item], pc->p->alts[a].n_items, s);
    return e;
}

/* The end of the match of items it[0..n) at s, or NULL. */
static const char *match(piece *pc, const item *it, uint32_t n, const char *s)
{
    if (!n)
        return s;
    const char *e;
    switch (it->op) {
    case OP_SET:
        return match_set(pc, it, n, s);
    case OP_GROUP:
        e = match_alts(pc, it->first_alt, it->n_alts, s);
        if (e)
            e = match(pc, it + 1, n - 1, e);
        return e || it->min ? e : match(pc, it + 1, n - 1, s);
    case OP_NOT_AHEAD:
        if (s < pc->end && set_at(pc, &pc->p->sets[it->set], s))
            return NULL;
        return match(pc, it + 1, n - 1, s);
    case OP_END:
        return s == pc->end ? match(pc, it + 1, n - 1, s) : NULL;
    }
    return NULL;
}

typedef struct runner {
    const pretok *p;
    pretok_word *word;
    void *user;
} runner;

static status run_pass(const runner *r, unsigned i_pass, const char *s, const char *end)
{
    if (s == end)
        return OK;
    if (i_pass == r->p->n_passes)
        return r->word(r->user, s, (size_t)(end - s));
    const pass *ps = &r->p->passes[i_pass];
    const uint32_t all = ps->n_alts == 32 ? UINT32_MAX : (1u << ps->n_alts) - 1;
    piece pc = { r->p, end, NULL };
    const char *gap = s;
    while (s < end) {
        const char *e = NULL;
        uint32_t todo = (unsigned char)*s < 0x80 ? ps->starts[(unsigned char)*s] : all;
        for (; todo && !e; todo &= todo - 1) {
            const alt *a = &r->p->alts[ps->first_alt + (uint32_t)__builtin_ctz(todo)];
            e = match(&pc, &r->p->items[a->first_item], a->n_items, s);
            if (e == s)
                e = NULL;
        }
        if (!e) {
            s += utf8_length((unsigned char)*s);
            continue;
        }
        status st = gap < s ? run_pass(r, i_pass + 1, gap, s) : OK;
        if (!st)
            st = run_pass(r, i_pass + 1, s, e);
        if (st)
            return st;
        gap = s = e;
    }
    return run_pass(r, i_pass + 1, gap, end);
}

status pretok_split(const pretok *p, const char *text, size_t n, pretok_word *word, void *user)
{
    runner r = { p, word, user };
    return run_pass(&r, 0, text, text + n);
}
