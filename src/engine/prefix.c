/* prefix.c: trees of 64-token blocks in one array; links are indices, a free node is linked by `next`. */
#include "engine/prefix.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine_int.h"

enum { SCOPES = PREFIX_SCOPES, BLOCK = KERNELS_PAGE };

typedef struct node {
    int32_t tokens[BLOCK];
    char *pages[MODEL_KINDS]; /* NULL: the model has no such layers, or a window page that was given back */
    int32_t parent;           /* -1: the scope's root */
    int32_t child, next;      /* the first child, the next sibling; -1: none */
    int32_t scope;
    uint64_t used; /* clock of the last use */
} node;

typedef struct scope {
    char name[ENGINE_SCOPE_BYTES];
    int32_t child;
    uint32_t users; /* sessions */
    uint64_t used;
    bool taken;
} scope;

struct prefix_cache {
    scope scopes[SCOPES];
    uint64_t clock;
    int32_t free; /* list of free nodes */
    uint32_t n_nodes;
    node nodes[];
};

size_t prefix_bytes(uint32_t n_nodes)
{
    return sizeof(prefix_cache) + (size_t)n_nodes * sizeof(node);
}

status prefix_open(prefix_cache **out, uint32_t n_nodes, error *err)
{
    prefix_cache *p = mem_zero(prefix_bytes(n_nodes));
    if (!p)
        return fail(err, E_NOMEM, "no memory for a cache of %u prefix pages", n_nodes);
    p->n_nodes = n_nodes;
    for (uint32_t i = 0; i < n_nodes; i++) {
        p->nodes[i].next = i + 1 < n_nodes ? (int32_t)i + 1 : -1;
        p->nodes[i].scope = PREFIX_NONE;
    }
    p->free = n_nodes ? 0 : -1;
    *out = p;
    return OK;
}

void prefix_close(prefix_cache **p)
{
    mem_free(*p);
    *p = NULL;
}

/* ---- nodes ---- */

static int32_t *children_of(prefix_cache *p, int in_scope, int32_t parent)
{
    return parent < 0 ? &p->scopes[in_scope].child : &p->nodes[parent].child;
}

static int32_t find(prefix_cache *p, int in_scope, int32_t parent, const int32_t *tokens)
{
    int32_t i = *children_of(p, in_scope, parent);
    while (i >= 0 && memcmp(p->nodes[i].tokens, tokens, sizeof p->nodes[i].tokens) != 0)
        i = p->nodes[i].next;
    return i;
}

/* The node must have no children. */
static void remove_node(engine *e, int32_t i)
{
    prefix_cache *p = e->prefix;
    node *n = &p->nodes[i];
    assert(n->child < 0);
    int32_t *link = children_of(p, n->scope, n->parent);
    while (*link != i)
        link = &p->nodes[*link].next;
    *link = n->next;
    for (int k = 0; k < MODEL_KINDS; k++)
        if (n->pages[k])
            kv_uncache(&e->kv[k], n->pages[k]);
    *n = (node){ .next = p->free, .scope = PREFIX_NONE };
    p->free = i;
}

static bool only_here(const engine *e, const node *n, int kind)
{
    return n->pages[kind] && kv_holders(&e->kv[kind], n->pages[kind]) == 1;
}

/* Is the tree the only holder of all that the node keeps? */
static bool idle(const engine *e, const node *n)
{
    for (int k = 0; k < MODEL_KINDS; k++)
        if (n->pages[k] && !only_here(e, n, k))
            return false;
    return true;
}

static int32_t oldest(engine *e, bool (*fits)(const engine *e, const node *n))
{
    prefix_cache *p = e->prefix;
    int32_t best = -1;
    for (uint32_t i = 0; i < p->n_nodes; i++) {
        const node *n = &p->nodes[i];
        if (n->scope != PREFIX_NONE && fits(e, n) && (best < 0 || n->used < p->nodes[best].used))
            best = (int32_t)i;
    }
    return best;
}

static bool idle_leaf(const engine *e, const node *n)
{
    return n->child < 0 && idle(e, n);
}

static bool spare_window(const engine *e, const node *n)
{
    return only_here(e, n, MODEL_WINDOW);
}

/* The tree lets go of the node's page of this kind. A node can do without its window page, not without its global one
 * (which goes with the node), nor is one without children and pages of any use. False: the node has children. */
static bool let_go(engine *e, int32_t i, int kind)
{
    node *n = &e->prefix->nodes[i];
    if (kind == MODEL_WINDOW && (n->child >= 0 || n->pages[MODEL_GLOBAL])) {
        kv_uncache(&e->kv[kind], n->pages[kind]);
        n->pages[kind] = NULL;
        return true;
    }
    if (n->child >= 0)
        return false;
    remove_node(e, i);
    return true;
}

bool prefix_reclaim(engine *e, int kind)
{
    int32_t i = oldest(e, kind == MODEL_WINDOW ? spare_window : idle_leaf);
    return i >= 0 && let_go(e, i, kind);
}

bool prefix_drop_page(engine *e, int kind, const char *page)
{
    prefix_cache *p = e->prefix;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].scope != PREFIX_NONE && p->nodes[i].pages[kind] == page)
            return let_go(e, (int32_t)i, kind);
    return false;
}

/* ---- scopes ---- */

static void empty_scope(engine *e, int s)
{
    prefix_cache *p = e->prefix;
    while (p->scopes[s].child >= 0) {
        int32_t i = p->scopes[s].child;
        while (p->nodes[i].child >= 0)
            i = p->nodes[i].child;
        remove_node(e, i);
    }
}

int prefix_scope_use(engine *e, const char *name)
{
    prefix_cache *p = e->prefix;
    int best = PREFIX_NONE;
    for (int i = 0; i < SCOPES; i++) {
        const scope *s = &p->scopes[i];
        if (s->taken && !strcmp(s->name, name)) {
            best = i;
            break;
        }
        bool better = best == PREFIX_NONE || (p->scopes[best].taken && (!s->taken || s->used < p->scopes[best].used));
        if (!s->users && better)
            best = i;
    }
    if (best == PREFIX_NONE)
        return best;
    scope *s = &p->scopes[best];
    if (!s->taken || strcmp(s->name, name) != 0) {
        if (s->taken)
            empty_scope(e, best);
        *s = (scope){ .child = -1, .taken = true };
        memcpy(s->name, name, strlen(name) + 1);
    }
    s->users++;
    s->used = ++p->clock;
    return best;
}

void prefix_scope_leave(engine *e, int s)
{
    if (s != PREFIX_NONE)
        e->prefix->scopes[s].users--;
}

void prefix_forget(engine *e, const char *name)
{
    for (int i = 0; i < SCOPES; i++)
        if (e->prefix->scopes[i].taken && (!name || !strcmp(e->prefix->scopes[i].name, name)))
            empty_scope(e, i);
}

/* ---- prefixes ---- */

uint32_t prefix_match(engine *e, int in_scope, const int32_t *tokens, uint32_t n, uint32_t *window_from)
{
    prefix_cache *p = e->prefix;
    const uint32_t window = e->budget.window;
    uint32_t best = 0, run_from = 0; /* pages [run_from, i) have their window layers */
    int32_t at = -1;
    for (uint32_t i = 0; (i + 1) * BLOCK <= n; i++) {
        at = find(p, in_scope, at, tokens + i * BLOCK);
        if (at < 0)
            break;
        p->nodes[at].used = ++p->clock;
        if (window && !p->nodes[at].pages[MODEL_WINDOW])
            run_from = i + 1;
        uint32_t length = (i + 1) * BLOCK, sees = window && length >= window ? (length - window + 1) / BLOCK : 0;
        if (run_from <= sees) {
            best = length;
            *window_from = run_from;
        }
    }
    return best;
}

void prefix_take(engine *e, int in_scope, const int32_t *tokens, uint32_t n, uint32_t window_from, model_pages *pages)
{
    prefix_cache *p = e->prefix;
    int32_t at = -1;
    for (uint32_t i = 0; i < n / BLOCK; i++) {
        at = find(p, in_scope, at, tokens + i * BLOCK);
        for (int k = 0; k < MODEL_KINDS; k++) {
            if (!pages->of[k])
                continue;
            bool held = k != MODEL_WINDOW || i >= window_from;
            pages->of[k][i] = held ? p->nodes[at].pages[k] : NULL;
            if (held)
                kv_share(&e->kv[k], p->nodes[at].pages[k]);
        }
    }
}

/* The node and the session hold one page from now on; whichever has none takes the other's. */
static void unite(engine *e, node *n, session *s, uint32_t i)
{
    for (int k = 0; k < MODEL_KINDS; k++) {
        char **own = s->pages.of[k] ? &s->pages.of[k][i] : NULL;
        if (!own || !*own || *own == n->pages[k])
            continue;
        if (n->pages[k]) {
            kv_share(&e->kv[k], n->pages[k]);
            kv_give(&e->kv[k], *own);
            *own = n->pages[k];
        } else {
            kv_cache(&e->kv[k], *own);
            n->pages[k] = *own;
        }
    }
}

/* There must be a free one. */
static int32_t take_node(prefix_cache *p, int in_scope, int32_t parent, const int32_t *tokens)
{
    int32_t i = p->free, *first = children_of(p, in_scope, parent);
    p->free = p->nodes[i].next;
    p->nodes[i] = (node){ .parent = parent, .child = -1, .next = *first, .scope = in_scope };
    memcpy(p->nodes[i].tokens, tokens, sizeof p->nodes[i].tokens);
    *first = i;
    return i;
}

static int32_t new_node(engine *e, int in_scope, int32_t parent, const int32_t *tokens)
{
    prefix_cache *p = e->prefix;
    if (p->free < 0) {
        int32_t old = oldest(e, idle_leaf);
        if (old < 0 || old == parent)
            return -1;
        remove_node(e, old);
    }
    return take_node(p, in_scope, parent, tokens);
}

void prefix_enter(engine *e, int in_scope, session *s)
{
    prefix_cache *p = e->prefix;
    int32_t parent = -1;
    for (uint32_t i = 0; i < s->length / BLOCK; i++) {
        int32_t at = find(p, in_scope, parent, s->tokens + i * BLOCK);
        if (at < 0 && (at = new_node(e, in_scope, parent, s->tokens + i * BLOCK)) < 0)
            return;
        unite(e, &p->nodes[at], s, i);
        p->nodes[at].used = ++p->clock;
        parent = at;
    }
}

/* ---- for snapshots ---- */

uint32_t prefix_nodes(const engine *e)
{
    return e->prefix->n_nodes;
}

bool prefix_look(const engine *e, uint32_t i, prefix_view *out)
{
    const node *n = &e->prefix->nodes[i];
    if (n->scope == PREFIX_NONE)
        return false;
    *out = (prefix_view){ .tokens = n->tokens, .parent = n->parent, .scope = n->scope, .used = n->used };
    memcpy(out->pages, n->pages, sizeof out->pages);
    return true;
}

const char *prefix_scope_name(const engine *e, int s)
{
    return e->prefix->scopes[s].name;
}

int32_t prefix_add(engine *e, const prefix_view *v)
{
    prefix_cache *p = e->prefix;
    if (p->free < 0 || find(p, v->scope, v->parent, v->tokens) >= 0)
        return -1;
    int32_t i = take_node(p, v->scope, v->parent, v->tokens);
    for (int k = 0; k < MODEL_KINDS; k++)
        if (v->pages[k])
            kv_cache(&e->kv[k], v->pages[k]);
    memcpy(p->nodes[i].pages, v->pages, sizeof v->pages);
    p->nodes[i].used = v->used;
    p->clock = v->used > p->clock ? v->used : p->clock;
    return i;
}
