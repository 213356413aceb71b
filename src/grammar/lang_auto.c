/* lang_auto.c: the automaton of a set: derivatives by rows, and what can be asked of it.
 *
 * A row holds the derivatives of an expression by all 256 bytes as ranges, so an expression costs what its classes
 * are, not 256 derivatives:
 *
 *     d(set)      = "" for its bytes              d(a b)    = d(a) b, or if a may be empty d(a) b | d(b)
 *     d(a | b)    = d(a) | d(b), & alike          d(a{m,n}) = d(a) a{m-1,n-1}
 *     d(not a)    = not d(a)
 *
 * The recursion goes down one operator at a time and is bounded by lang_node.depth. Expressions with AND or NOT in them
 * may be empty without looking so: `live` searches for an accepting state, and remembers for all it met on the way. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/lang_int.h"

/* ---- rows ---- */

typedef struct row {
    lang_range_to at[256];
    uint32_t n;
} row;

static void row_add(row *r, uint32_t upto, lang target)
{
    if (r->n && r->at[r->n - 1].target == target)
        r->at[r->n - 1].upto = upto;
    else
        r->at[r->n++] = (lang_range_to){ target, upto };
}

static uint32_t store_row(lang_set *s, lang l, const row *r)
{
    if (s->n_ranges == 0)
        s->n_ranges = 1; /* place 0 stands for "none" */
    if (s->failed.code || !lang_grow(s, (void **)&s->ranges, s->n_ranges + 256, &s->ranges_size, sizeof *s->ranges,
                                     "its derivatives"))
        return 0;
    memcpy(s->ranges + s->n_ranges, r->at, r->n * sizeof *r->at);
    s->nodes[l].row = s->n_ranges;
    s->n_ranges += r->n;
    return s->nodes[l].row;
}

static void row_of_set(const lang_set *s, lang l, row *r)
{
    const byte_set *b = &s->sets[lang_at(s, l)->a];
    for (uint32_t c = 0; c < 256; c++)
        row_add(r, c, b->w[c / 64] >> c % 64 & 1 ? LANG_EMPTY : LANG_NONE);
}

/* The operator's answer for one derivative of its first child. */
static lang apply(lang_set *s, const lang_node *x, lang derivative)
{
    switch (x->kind) {
    case L_SEQ:
        return lang_seq(s, derivative, x->b);
    case L_NOT:
        return lang_complement(s, derivative);
    default: { /* REPEAT */
        if (derivative == LANG_NONE)
            return LANG_NONE;
        uint32_t lo = x->lo ? x->lo - 1 : 0, hi = x->hi == LANG_UNBOUNDED ? x->hi : x->hi - 1;
        return lang_seq(s, derivative, lang_repeat(s, x->a, lo, hi));
    }
    }
}

static void row_of_operator(lang_set *s, const lang_node *x, row *r)
{
    uint32_t at = lang_at(s, x->a)->row;
    for (;; at++) { /* by index: applying grows nodes, never ranges */
        lang_range_to from = s->ranges[at];
        row_add(r, from.upto, apply(s, x, from.target));
        if (from.upto == 255)
            return;
    }
}

/* One row out of n others: at every byte the ALT or AND of theirs. */
static bool row_of_list(lang_set *s, lang_kind kind, const lang *list, uint32_t n, row *r)
{
    uint32_t *at = mem_array(n, sizeof *at);
    lang *targets = mem_array(n, sizeof *targets);
    if (!at || !targets) {
        lang_fail(s, E_NOMEM, "no memory for a regular expression");
    } else {
        for (uint32_t i = 0; i < n; i++)
            at[i] = lang_at(s, list[i])->row;
        for (uint32_t c = 0; c < 256;) {
            uint32_t upto = 255, n_targets = 0;
            for (uint32_t i = 0; i < n; i++) {
                while (s->ranges[at[i]].upto < c)
                    at[i]++;
                lang_range_to x = s->ranges[at[i]];
                upto = x.upto < upto ? x.upto : upto;
                if (kind == L_AND || x.target != LANG_NONE)
                    targets[n_targets++] = x.target;
            }
            row_add(r, upto, kind == L_ALT ? lang_alt_n(s, targets, n_targets) : lang_and_n(s, targets, n_targets));
            c = upto + 1;
        }
    }
    mem_free(at);
    mem_free(targets);
    return !s->failed.code;
}

/* d(a) b | d(b): the first is put down as a row of no node, then both are joined. */
static bool row_of_nullable_seq(lang_set *s, const lang_node *x, row *r)
{
    row first = { .n = 0 };
    row_of_operator(s, x, &first);
    const lang_range_to *second = s->ranges + lang_at(s, x->b)->row;
    uint32_t n_second = 0;
    while (second[n_second++].upto != 255)
        continue;
    lang_range_to copy[256];
    memcpy(copy, second, n_second * sizeof *copy);
    for (uint32_t i = 0, k = 0, c = 0; c < 256;) {
        while (first.at[i].upto < c)
            i++;
        while (copy[k].upto < c)
            k++;
        uint32_t upto = first.at[i].upto < copy[k].upto ? first.at[i].upto : copy[k].upto;
        row_add(r, upto, lang_alt(s, first.at[i].target, copy[k].target));
        c = upto + 1;
    }
    return !s->failed.code;
}

/* The children's rows are there. Not inlined: the rows on its stack must not be on that of the recursion. */
static __attribute__((noinline)) uint32_t row_from_children(lang_set *s, lang l, const lang *list)
{
    row r = { .n = 0 };
    lang_node x = *lang_at(s, l);
    bool ok = true;
    switch (x.kind) {
    case L_SET:
        row_of_set(s, l, &r);
        break;
    case L_ALT:
    case L_AND:
        ok = row_of_list(s, x.kind, list, x.b, &r);
        break;
    case L_SEQ:
        if (lang_flag(s, x.a, L_NULLABLE)) {
            ok = row_of_nullable_seq(s, &x, &r);
            break;
        } /* fall through */
    case L_NOT:
    case L_REPEAT:
        row_of_operator(s, &x, &r);
        break;
    default:
        row_add(&r, 255, LANG_NONE);
    }
    return ok ? store_row(s, l, &r) : 0;
}

static uint32_t make_list_row(lang_set *s, lang l)
{
    uint32_t n = lang_at(s, l)->b, out = 0;
    lang *list = mem_array(n, sizeof *list);
    if (!list) {
        lang_fail(s, E_NOMEM, "no memory for a regular expression");
        return 0;
    }
    memcpy(list, s->lists + lang_at(s, l)->a, n * sizeof *list);
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++)
        ok = lang_make_row(s, list[i]) != 0;
    if (ok)
        out = row_from_children(s, l, list);
    mem_free(list);
    return out;
}

uint32_t lang_make_row(lang_set *s, lang l)
{
    if (s->failed.code || lang_at(s, l)->row)
        return s->failed.code ? 0 : lang_at(s, l)->row;
    lang_node x = *lang_at(s, l);
    if (x.kind == L_ALT || x.kind == L_AND)
        return make_list_row(s, l);
    if ((x.kind == L_SEQ || x.kind == L_NOT || x.kind == L_REPEAT) && !lang_make_row(s, x.a))
        return 0;
    if (x.kind == L_SEQ && lang_flag(s, x.a, L_NULLABLE) && !lang_make_row(s, x.b))
        return 0;
    return row_from_children(s, l, NULL);
}

/* ---- has it a text? ---- */

typedef struct search {
    lang *states;
    uint32_t *from; /* index of the state that led here */
    uint32_t n, size;
} search;

static bool search_add(lang_set *s, search *x, lang l, uint32_t from)
{
    if (lang_flag(s, l, L_SEEN | L_DEAD) || l == LANG_NONE)
        return true;
    if (x->n == LANG_MAX_SEARCH) {
        lang_fail(s, E_RANGE, "the expression is too hard: it combines more than 16384 states");
        return false;
    }
    if (x->n == x->size) {
        uint32_t size = x->size ? x->size * 2 : 64;
        lang *states = mem_resize(x->states, size * sizeof *states);
        x->states = states ? states : x->states;
        uint32_t *origins = states ? mem_resize(x->from, size * sizeof *origins) : NULL;
        x->from = origins ? origins : x->from;
        if (!origins) {
            lang_fail(s, E_NOMEM, "no memory for a regular expression");
            return false;
        }
        x->size = size;
    }
    s->nodes[l].flags |= L_SEEN;
    x->states[x->n] = l;
    x->from[x->n++] = from;
    return true;
}

static bool surely_live(const lang_set *s, lang l)
{
    const lang_node *x = lang_at(s, l);
    return x->flags & (L_NULLABLE | L_LIVE) || (l != LANG_NONE && !(x->flags & L_BOOLEAN));
}

/* Breadth first; *found: index of a live state. False: failure. */
static bool search_live(lang_set *s, search *x, uint32_t *found)
{
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t at = lang_make_row(s, x->states[i]);
        if (!at)
            return false;
        for (bool last = false; !last; at++) {
            lang_range_to to = s->ranges[at];
            last = to.upto == 255;
            if (surely_live(s, to.target)) {
                *found = i;
                return true;
            }
            if (!search_add(s, x, to.target, i))
                return false;
        }
    }
    return true;
}

static bool live(lang_set *s, lang l)
{
    if (surely_live(s, l) || l == LANG_NONE || lang_flag(s, l, L_DEAD))
        return l != LANG_NONE && !lang_flag(s, l, L_DEAD);
    search x = { 0 };
    uint32_t found = UINT32_MAX;
    bool ok = !s->failed.code && search_add(s, &x, l, UINT32_MAX) && search_live(s, &x, &found);
    for (uint32_t i = 0; i < x.n; i++)
        s->nodes[x.states[i]].flags &= (uint8_t)~L_SEEN;
    for (uint32_t i = 0; ok && found == UINT32_MAX && i < x.n; i++)
        s->nodes[x.states[i]].flags |= L_DEAD;
    for (uint32_t i = found; ok && i != UINT32_MAX; i = x.from[i])
        s->nodes[x.states[i]].flags |= L_LIVE;
    mem_free(x.states);
    mem_free(x.from);
    return ok && found != UINT32_MAX;
}

/* ---- steps ---- */

lang lang_step(lang_set *set, lang l, unsigned char b)
{
    if (lang_at(set, l)->dense)
        return set->dense[lang_at(set, l)->dense - 1][b];
    uint32_t at = lang_make_row(set, l);
    if (!at)
        return LANG_NONE;
    while (set->ranges[at].upto < b)
        at++;
    lang to = set->ranges[at].target;
    return live(set, to) ? to : LANG_NONE;
}

const lang *lang_row(lang_set *set, lang l)
{
    if (lang_at(set, l)->dense)
        return set->dense[lang_at(set, l)->dense - 1];
    uint32_t at = lang_make_row(set, l);
    if (!at || !lang_grow(set, (void **)&set->dense, set->n_dense, &set->dense_size, sizeof *set->dense, "its states"))
        return NULL;
    if (set->bytes + 256 * sizeof(lang) > LANG_MAX_BYTES) {
        lang_fail(set, E_RANGE, "the expression is too large: its states need too much memory");
        return NULL;
    }
    lang *dense = mem_array(256, sizeof *dense);
    if (!dense) {
        lang_fail(set, E_NOMEM, "no memory for a regular expression");
        return NULL;
    }
    for (uint32_t c = 0; c < 256; at++) {
        lang_range_to to = set->ranges[at];
        lang target = live(set, to.target) ? to.target : LANG_NONE;
        for (; c <= to.upto; c++)
            dense[c] = target;
    }
    if (set->failed.code) {
        mem_free(dense);
        return NULL;
    }
    set->bytes += 256 * sizeof *dense;
    set->dense[set->n_dense++] = dense;
    set->nodes[l].dense = set->n_dense;
    return dense;
}

/* ---- questions ---- */

bool lang_matches(lang_set *set, lang l, const char *text, size_t n)
{
    for (size_t i = 0; i < n && l != LANG_NONE; i++)
        l = lang_step(set, l, (unsigned char)text[i]);
    return !set->failed.code && lang_has_empty(set, l);
}

bool lang_is_none(lang_set *set, lang l)
{
    return !live(set, l);
}

bool lang_disjoint(lang_set *set, lang a, lang b)
{
    return lang_is_none(set, lang_and(set, a, b));
}

bool lang_includes(lang_set *set, lang whole, lang l)
{
    return lang_is_none(set, lang_and(set, l, lang_complement(set, whole)));
}
