/* rules.c: the builder of rules.h, and what is proved about rules before they become a grammar: every name in use is
 * defined, which may be empty, which derive a text, none begins with itself. */
#include "grammar/rules.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/grammar_int.h"

struct rules {
    lang_set *langs;
    rule_node *nodes;
    uint32_t n_nodes, nodes_size;
    uint32_t *lists; /* each list ends with LIST_END */
    uint32_t n_lists, lists_size;
    buf names;       /* zero-terminated, one after the other */
    uint32_t *depth; /* of each node, between names */
    uint32_t depth_size;
    error failed;
};

static rule refuse(rules *r, status code, const char *text)
{
    if (!r->failed.code)
        (void)fail(&r->failed, code, "%s", text);
    return RULES_NONE;
}

static bool grow(rules *r, void **array, uint32_t n, uint32_t *size, size_t element)
{
    if (n < *size)
        return true;
    if (n >= RULES_MAX) {
        refuse(r, E_RANGE, "the grammar has more than 1048576 parts");
        return false;
    }
    uint32_t bigger = *size ? *size * 2 : 256;
    void *grown = mem_resize(*array, bigger * element);
    if (!grown) {
        refuse(r, E_NOMEM, "no memory for the rules of a grammar");
        return false;
    }
    *array = grown;
    *size = bigger;
    return true;
}

static rule add_node(rules *r, rule_node x, uint32_t depth)
{
    if (r->failed.code || !grow(r, (void **)&r->nodes, r->n_nodes, &r->nodes_size, sizeof *r->nodes) ||
        !grow(r, (void **)&r->depth, r->n_nodes, &r->depth_size, sizeof *r->depth))
        return RULES_NONE;
    if (depth > RULES_MAX_DEPTH)
        return refuse(r, E_RANGE, "the grammar's expressions are nested more than 2000 deep");
    r->depth[r->n_nodes] = depth;
    r->nodes[r->n_nodes] = x;
    return r->n_nodes++;
}

static bool add_to_list(rules *r, uint32_t x)
{
    if (!grow(r, (void **)&r->lists, r->n_lists, &r->lists_size, sizeof *r->lists))
        return false;
    r->lists[r->n_lists++] = x;
    return true;
}

status rules_open(rules **out, error *err)
{
    rules *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory for the rules of a grammar");
    r->names = (buf)BUF_INIT((size_t)RULES_MAX * 16);
    status st = lang_set_open(&r->langs, err);
    if (!st) {
        add_node(r, (rule_node){ .kind = R_NONE }, 0);
        add_node(r, (rule_node){ .kind = R_EMPTY }, 0);
        st = r->failed.code ? fail(err, r->failed.code, "%s", r->failed.text) : OK;
    }
    if (st)
        rules_close(&r);
    else
        *out = r;
    return st;
}

void rules_close(rules **rp)
{
    rules *r = *rp;
    if (!r)
        return;
    lang_set_close(&r->langs);
    mem_free(r->nodes);
    mem_free(r->lists);
    mem_free(r->depth);
    buf_clear(&r->names);
    mem_free(r);
    *rp = NULL;
}

lang_set *rules_langs(rules *r)
{
    return r->langs;
}

/* ---- expressions ---- */

rule rules_token(rules *r, lang terminal)
{
    if (terminal == LANG_NONE || terminal == LANG_EMPTY)
        return terminal == LANG_NONE ? RULES_NONE : RULES_EMPTY;
    return add_node(r, (rule_node){ .kind = R_TOKEN, .a = terminal }, 0);
}

rule rules_text(rules *r, const char *bytes, size_t n)
{
    return rules_token(r, lang_text(r->langs, bytes, n));
}

/* SEQ or ALT of n parts, without those that are `left_out`. */
static rule list_of(rules *r, rule_kind kind, const rule *parts, size_t n, rule left_out)
{
    uint32_t first = r->n_lists, kept = 0, depth = 0;
    rule last = left_out;
    for (size_t i = 0; i < n; i++) {
        assert(parts[i] < r->n_nodes);
        if (parts[i] == left_out)
            continue;
        if (!add_to_list(r, parts[i]))
            return RULES_NONE;
        depth = r->depth[parts[i]] + 1 > depth ? r->depth[parts[i]] + 1 : depth;
        last = parts[i];
        kept++;
    }
    if (kept <= 1) {
        r->n_lists = first;
        return last;
    }
    if (!add_to_list(r, LIST_END))
        return RULES_NONE;
    return add_node(r, (rule_node){ .kind = (uint8_t)kind, .a = first, .n = kept }, depth);
}

rule rules_seq(rules *r, const rule *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (parts[i] == RULES_NONE)
            return RULES_NONE;
    return r->failed.code ? RULES_NONE : list_of(r, R_SEQ, parts, n, RULES_EMPTY);
}

rule rules_alt(rules *r, const rule *parts, size_t n)
{
    return r->failed.code ? RULES_NONE : list_of(r, R_ALT, parts, n, RULES_NONE);
}

rule rules_repeat(rules *r, rule body, uint32_t min, uint32_t max)
{
    if (r->failed.code || min > max)
        return RULES_NONE;
    if (max == 0 || body == RULES_EMPTY)
        return RULES_EMPTY;
    if (body == RULES_NONE)
        return min ? RULES_NONE : RULES_EMPTY;
    if (min == 1 && max == 1)
        return body;
    return add_node(r, (rule_node){ .kind = R_REPEAT, .a = body, .lo = min, .hi = max }, r->depth[body] + 1);
}

rule rules_declare(rules *r, const char *name, size_t n)
{
    uint32_t at = (uint32_t)r->names.len;
    n = n < RULES_NAME_BYTES ? n : RULES_NAME_BYTES;
    buf_add(&r->names, name, n);
    buf_char(&r->names, '\0');
    if (r->names.failed)
        return refuse(r, E_NOMEM, "no memory for the names of a grammar's rules");
    return add_node(r, (rule_node){ .kind = R_NAME, .n = at + 1, .a = UINT32_MAX }, 0);
}

static const char *name_of(const rules *r, const rule_node *x)
{
    return r->names.data + x->n - 1;
}

void rules_define(rules *r, rule declared, rule body)
{
    if (r->failed.code)
        return;
    rule_node *x = &r->nodes[declared];
    assert(x->kind == R_NAME);
    if (x->a != UINT32_MAX)
        (void)fail(&r->failed, E_FORMAT, "the rule '%s' is defined twice", name_of(r, x));
    else
        x->a = body;
}

/* ---- proofs ---- */

typedef struct proof {
    rules *r;
    uint32_t *need;    /* children that must still be proved */
    uint32_t *parents; /* of node i: parents[first[i]] .. parents[first[i + 1]] */
    uint32_t *first;
    uint32_t *list;
} proof;

/* Calls with each child of x in turn: i counts from 0; LIST_END after the last. */
static uint32_t child(const rules *r, const rule_node *x, uint32_t i)
{
    switch (x->kind) {
    case R_SEQ:
    case R_ALT:
        return r->lists[x->a + i];
    case R_REPEAT:
    case R_NAME:
        return i == 0 ? x->a : LIST_END;
    default:
        return LIST_END;
    }
}

/* Which nodes have which parents, with multiplicity: counted, then filled in. */
static void find_parents(proof *p)
{
    rules *r = p->r;
    memset(p->first, 0, (r->n_nodes + 2) * sizeof *p->first);
    for (uint32_t i = 0; i < r->n_nodes; i++)
        for (uint32_t k = 0, c; (c = child(r, &r->nodes[i], k)) != LIST_END; k++)
            p->first[c + 2]++;
    for (uint32_t i = 2; i < r->n_nodes + 2; i++)
        p->first[i] += p->first[i - 1];
    for (uint32_t i = 0; i < r->n_nodes; i++)
        for (uint32_t k = 0, c; (c = child(r, &r->nodes[i], k)) != LIST_END; k++)
            p->parents[p->first[c + 1]++] = i;
}

static bool base_case(const rules *r, const rule_node *x, bool nullable)
{
    if (x->kind == R_TOKEN)
        return nullable ? lang_has_empty(r->langs, x->a) : !lang_is_none(r->langs, x->a);
    return x->kind == R_EMPTY || (x->kind == R_REPEAT && x->lo == 0);
}

/* Proves nullable or productive of all nodes it holds for. */
static void prove(proof *p, bool nullable)
{
    rules *r = p->r;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        rule_node *x = &r->nodes[i];
        p->need[i] = x->kind == R_SEQ ? x->n : 1;
        if (base_case(r, x, nullable)) {
            p->need[i] = 0;
            p->list[n++] = i;
        }
    }
    while (n > 0) {
        uint32_t i = p->list[--n];
        *(nullable ? &r->nodes[i].nullable : &r->nodes[i].productive) = true;
        for (uint32_t k = p->first[i]; k < p->first[i + 1]; k++)
            if (p->need[p->parents[k]] && --p->need[p->parents[k]] == 0)
                p->list[n++] = p->parents[k];
    }
}

static status prove_all(rules *r, error *err)
{
    proof p = { .r = r, .need = mem_array(r->n_nodes, sizeof *p.need), .list = mem_array(r->n_nodes, sizeof *p.list),
                .first = mem_array((size_t)r->n_nodes + 2, sizeof *p.first),
                .parents = mem_array((size_t)r->n_lists + r->n_nodes, sizeof *p.parents) };
    status st = OK;
    if (!p.need || !p.list || !p.first || !p.parents) {
        st = fail(err, E_NOMEM, "no memory for the rules of a grammar");
    } else {
        find_parents(&p);
        prove(&p, true);
        prove(&p, false);
        st = lang_ok(r->langs, err);
    }
    mem_free(p.need);
    mem_free(p.list);
    mem_free(p.first);
    mem_free(p.parents);
    return st;
}

/* ---- order: what begins with what ---- */

typedef struct visit {
    uint32_t node, next; /* next child to look at */
} visit;

enum { NEW = UINT32_MAX, OPEN = UINT32_MAX - 1 };

/* The i-th node that x can begin with, LIST_END after the last; *skip: it is no candidate, ask on. */
static uint32_t beginning(const rules *r, const rule_node *x, uint32_t i, bool *skip)
{
    uint32_t c = child(r, x, i);
    *skip = false;
    if (c == LIST_END)
        return c;
    if (x->kind == R_SEQ && i > 0 && !r->nodes[r->lists[x->a + i - 1]].nullable)
        return LIST_END;
    *skip = !r->nodes[c].productive;
    return c;
}

static status left_recursion(const rules *r, const visit *path, uint32_t n, uint32_t again, error *err)
{
    char names[600] = "";
    size_t at = 0;
    uint32_t from = n;
    while (from > 0 && path[from - 1].node != again)
        from--;
    for (uint32_t i = from ? from - 1 : 0; i < n && at + RULES_NAME_BYTES + 8 < sizeof names; i++)
        if (r->nodes[path[i].node].kind == R_NAME)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s'%s'", at ? " -> " : "",
                                   name_of(r, &r->nodes[path[i].node]));
    return fail(err, E_UNSUPPORTED, "left recursion: the rule %s can begin with itself; write it with a repetition",
                at ? names : "of an expression");
}

/* Depth first from root along `beginning`, then from whatever else is used; ranks are given when a node is left, from
 * the largest down. */
static status rank_from(rules *r, rule from, visit *path, uint32_t *next_rank, error *err)
{
    uint32_t n = 0;
    if (r->nodes[from].rank != NEW)
        return OK;
    r->nodes[from].rank = OPEN;
    path[n++] = (visit){ from, 0 };
    while (n > 0) {
        visit *top = &path[n - 1];
        bool skip;
        uint32_t c = beginning(r, &r->nodes[top->node], top->next++, &skip);
        if (c == LIST_END) {
            r->nodes[top->node].rank = --*next_rank;
            n--;
        } else if (!skip && r->nodes[c].rank == OPEN) {
            return left_recursion(r, path, n, c, err);
        } else if (!skip && r->nodes[c].rank == NEW) {
            r->nodes[c].rank = OPEN;
            path[n++] = (visit){ c, 0 };
        }
    }
    return OK;
}

/* Marks what root uses; an undefined name in use is an error. */
static status find_used(const rules *r, rule root, bool *used, uint32_t *todo, error *err)
{
    uint32_t n = 0;
    used[root] = true;
    todo[n++] = root;
    while (n > 0) {
        const rule_node *x = &r->nodes[todo[--n]];
        for (uint32_t k = 0, c; (c = child(r, x, k)) != LIST_END; k++) {
            if (r->nodes[c].kind == R_NAME && r->nodes[c].a == UINT32_MAX)
                return fail(err, E_FORMAT, "the rule '%s' is used and not defined", name_of(r, &r->nodes[c]));
            if (!used[c]) {
                used[c] = true;
                todo[n++] = c;
            }
        }
    }
    return OK;
}

static status rank_all(rules *r, const bool *used, error *err)
{
    visit *path = mem_array(r->n_nodes, sizeof *path);
    if (!path)
        return fail(err, E_NOMEM, "no memory for the rules of a grammar");
    status st = OK;
    uint32_t next_rank = r->n_nodes;
    for (uint32_t i = 0; i < r->n_nodes; i++)
        r->nodes[i].rank = NEW;
    for (uint32_t i = 0; i < r->n_nodes && !st; i++)
        if (used[i] && r->nodes[i].productive)
            st = rank_from(r, i, path, &next_rank, err);
    mem_free(path);
    return st;
}

/* ---- into a grammar ---- */

/* What a name stands for in the end. Chains of names are shortened on the way; they end, as they derive a text. */
static uint32_t resolve(rules *r, uint32_t i)
{
    rule_node *x = &r->nodes[i];
    while (x->kind == R_NAME && x->productive) {
        const rule_node *next = &r->nodes[x->a];
        if (next->kind == R_NAME && next->productive)
            x->a = next->a;
        i = x->a;
        x = &r->nodes[i];
    }
    return i;
}

/* Names give way to what they stand for, alternatives without a text are dropped. */
static void simplify(rules *r, rule *root)
{
    for (uint32_t i = 0; i < r->n_lists; i++)
        if (r->lists[i] != LIST_END)
            r->lists[i] = resolve(r, r->lists[i]);
    *root = resolve(r, *root);
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        rule_node *x = &r->nodes[i];
        if (x->kind == R_REPEAT) {
            x->a = resolve(r, x->a);
            if (r->nodes[x->a].nullable)
                x->lo = 0;
            if (!r->nodes[x->a].productive)
                x->hi = 0;
        }
        if (x->kind != R_ALT)
            continue;
        uint32_t kept = 0;
        for (uint32_t k = 0; k < x->n; k++)
            if (r->nodes[r->lists[x->a + k]].productive)
                r->lists[x->a + kept++] = r->lists[x->a + k];
        r->lists[x->a + kept] = LIST_END;
        x->n = kept;
    }
}

static status make_grammar(rules *r, rule root, grammar **out, error *err)
{
    grammar *g = mem_zero(sizeof *g);
    uint32_t *by_rank = mem_array(r->n_nodes, sizeof *by_rank);
    if (!g || !by_rank) {
        mem_free(g);
        mem_free(by_rank);
        return fail(err, E_NOMEM, "no memory for a grammar");
    }
    for (uint32_t i = 0; i < r->n_nodes; i++)
        if (r->nodes[i].rank != NEW)
            by_rank[r->nodes[i].rank] = i;
    g->langs = r->langs;
    g->nodes = r->nodes;
    g->n_nodes = r->n_nodes;
    g->lists = r->lists;
    g->by_rank = by_rank;
    g->n_ranks = r->n_nodes;
    g->root = root;
    g->fixed_bytes = sizeof *g + r->n_nodes * (sizeof *r->nodes + sizeof *by_rank) + r->n_lists * sizeof *r->lists;
    r->langs = NULL;
    r->nodes = NULL;
    r->lists = NULL;
    status st = grammar_begin(g, err);
    if (st)
        grammar_close(&g);
    else
        *out = g;
    return st;
}

status rules_ok(const rules *r, error *err)
{
    return r->failed.code ? fail(err, r->failed.code, "%s", r->failed.text) : lang_ok(r->langs, err);
}

status rules_compile(rules **rp, rule root, grammar **out, error *err)
{
    rules *r = *rp;
    status st = rules_ok(r, err);
    bool *used = NULL;
    uint32_t *todo = NULL;
    /* an undefined name that nobody uses, too, must not lead anywhere */
    if (!st && r->nodes[root].kind == R_NAME && r->nodes[root].a == UINT32_MAX)
        st = fail(err, E_FORMAT, "the rule '%s' is used and not defined", name_of(r, &r->nodes[root]));
    if (!st) {
        used = mem_array(r->n_nodes, sizeof *used);
        todo = mem_array(r->n_nodes, sizeof *todo);
        st = used && todo ? find_used(r, root, used, todo, err) : fail(err, E_NOMEM, "no memory for a grammar");
    }
    for (uint32_t i = 0; !st && i < r->n_nodes; i++)
        if (r->nodes[i].kind == R_NAME && r->nodes[i].a == UINT32_MAX)
            r->nodes[i].a = RULES_NONE;
    if (!st)
        st = prove_all(r, err);
    if (!st && !r->nodes[root].productive)
        st = fail(err, E_FORMAT, "the grammar has no text at all: every rule needs another one to end");
    if (!st)
        st = rank_all(r, used, err);
    if (!st) {
        simplify(r, &root);
        st = make_grammar(r, root, out, err);
    }
    mem_free(used);
    mem_free(todo);
    rules_close(rp);
    return st;
}
