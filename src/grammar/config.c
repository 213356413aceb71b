/* config.c: stacks and configs (see grammar_int.h): interning, and the step by one byte.
 *
 *     step: each item's lang by the byte -> items that go on, stacks of those that may end
 *       pop: frames of these stacks, and of what is below where a rule is done -> pending nodes
 *       enter: pending nodes by rank; all frames for one node become one stack -> items, pending nodes of higher rank
 *     -> items sorted, equal langs joined -> interned */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/grammar_int.h"

/* ---- memory ---- */

bool grammar_fails(grammar *g, status code, const char *text)
{
    if (!g->failed.code)
        (void)fail(&g->failed, code, "%s", text);
    return false;
}

bool grammar_grow(grammar *g, void **array, uint32_t n, uint32_t *size, size_t element)
{
    if (n < *size)
        return true;
    uint32_t bigger = *size ? *size * 2 : 64;
    size_t more = (size_t)(bigger - *size) * element;
    if (g->bytes + more > GRAMMAR_MAX_BYTES / 2 || bigger > 1u << 28) {
        g->full = true;
        return grammar_fails(g, E_RANGE, "the grammar needs too much memory for this text");
    }
    void *grown = mem_resize(*array, bigger * element);
    if (!grown)
        return grammar_fails(g, E_NOMEM, "no memory for a grammar's states");
    *array = grown;
    *size = bigger;
    g->bytes += more;
    return true;
}

static bool map_grow(grammar *g, map32 *m)
{
    uint32_t size = m->size ? m->size * 2 : 256;
    if (g->bytes + (size_t)size * 8 > GRAMMAR_MAX_BYTES / 2) {
        g->full = true;
        return grammar_fails(g, E_RANGE, "the grammar needs too much memory for this text");
    }
    uint32_t *at = mem_alloc((size_t)size * 2 * sizeof *at);
    if (!at)
        return grammar_fails(g, E_NOMEM, "no memory for a grammar's states");
    memset(at, 0xFF, (size_t)size * 2 * sizeof *at);
    map32 bigger = { at, m->n, size };
    for (uint32_t i = 0; i < m->size; i++) {
        uint32_t key = m->at[(size_t)i * 2], k = key * 0x9E3779B1u >> 7;
        if (key == UINT32_MAX)
            continue;
        while (at[(size_t)(k & (size - 1)) * 2] != UINT32_MAX)
            k++;
        at[(size_t)(k & (size - 1)) * 2] = key;
        at[(size_t)(k & (size - 1)) * 2 + 1] = m->at[(size_t)i * 2 + 1];
    }
    g->bytes += (size_t)(size - m->size) * 8;
    mem_free(m->at);
    *m = bigger;
    return true;
}

bool grammar_map_put(grammar *g, map32 *m, uint32_t key, uint32_t value)
{
    if ((uint64_t)m->n * 2 >= m->size && !map_grow(g, m))
        return false;
    uint32_t k = key * 0x9E3779B1u >> 7;
    while (m->at[(size_t)(k & (m->size - 1)) * 2] != UINT32_MAX)
        k++;
    m->at[(size_t)(k & (m->size - 1)) * 2] = key;
    m->at[(size_t)(k & (m->size - 1)) * 2 + 1] = value;
    m->n++;
    return true;
}

/* ---- interning ---- */

static uint32_t hash_words(const void *p, size_t n_words)
{
    const uint32_t *w = p;
    uint64_t h = 0x51ED270B;
    for (size_t i = 0; i < n_words; i++) {
        h = (h ^ w[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    return (uint32_t)(h >> 32);
}

static uint32_t hash_stack(const grammar *g, uint32_t id)
{
    return hash_words(g->frames + g->stacks[id].first, (size_t)g->stacks[id].n * 4);
}

static uint32_t hash_config(const grammar *g, uint32_t id)
{
    return hash_words(g->items + g->configs[id].first, (size_t)g->configs[id].n * 2) + g->configs[id].may_end;
}

/* Room for one more than the n that are in a table of ids + 1: it is never more than half full. */
static bool table_room(grammar *g, uint32_t **table, uint32_t *size, uint32_t n,
                       uint32_t (*hash)(const grammar *, uint32_t))
{
    if ((uint64_t)(n + 1) * 2 < *size)
        return true;
    uint32_t bigger = *size ? *size * 2 : 256;
    if (g->bytes + (size_t)(bigger - *size) * sizeof **table > GRAMMAR_MAX_BYTES / 2) {
        g->full = true;
        return grammar_fails(g, E_RANGE, "the grammar needs too much memory for this text");
    }
    uint32_t *grown = mem_array(bigger, sizeof *grown);
    if (!grown)
        return grammar_fails(g, E_NOMEM, "no memory for a grammar's states");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = hash(g, i) & (bigger - 1);
        while (grown[k])
            k = (k + 1) & (bigger - 1);
        grown[k] = i + 1;
    }
    mem_free(*table);
    g->bytes += (size_t)(bigger - *size) * sizeof *grown;
    *table = grown;
    *size = bigger;
    return true;
}

static int by_frame(const void *a, const void *b)
{
    const frame *x = a, *y = b;
    if (x->pos != y->pos)
        return x->pos < y->pos ? -1 : 1;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    if (x->hi != y->hi)
        return x->hi < y->hi ? -1 : 1;
    return x->below < y->below ? -1 : x->below > y->below;
}

/* The stack of the n frames at f (which are put in order). UINT32_MAX: failure. */
static uint32_t intern_stack(grammar *g, frame *f, uint32_t n)
{
    uint32_t kept = 0;
    if (n > 1)
        qsort(f, n, sizeof *f, by_frame);
    for (uint32_t i = 0; i < n; i++)
        if (!kept || by_frame(&f[kept - 1], &f[i]) != 0)
            f[kept++] = f[i];
    if (kept > GRAMMAR_MAX_ITEMS) {
        grammar_fails(g, E_RANGE, "the grammar is too ambiguous for this text");
        return UINT32_MAX;
    }
    if (g->stack_table_size) {
        uint32_t mask = g->stack_table_size - 1;
        for (uint32_t k = hash_words(f, (size_t)kept * 4) & mask; g->stack_table[k]; k = (k + 1) & mask) {
            const stack *s = &g->stacks[g->stack_table[k] - 1];
            if (s->n == kept && memcmp(g->frames + s->first, f, kept * sizeof *f) == 0)
                return g->stack_table[k] - 1;
        }
    }
    if (!grammar_grow(g, (void **)&g->stacks, g->n_stacks, &g->stacks_size, sizeof *g->stacks) ||
        !table_room(g, &g->stack_table, &g->stack_table_size, g->n_stacks, hash_stack))
        return UINT32_MAX;
    uint32_t first = g->n_frames;
    for (uint32_t i = 0; i < kept; i++) {
        if (!grammar_grow(g, (void **)&g->frames, g->n_frames, &g->frames_size, sizeof *g->frames))
            return UINT32_MAX;
        g->frames[g->n_frames++] = f[i];
    }
    uint32_t mask = g->stack_table_size - 1, k = hash_words(f, (size_t)kept * 4) & mask;
    while (g->stack_table[k])
        k = (k + 1) & mask;
    g->stack_table[k] = g->n_stacks + 1;
    g->stacks[g->n_stacks] = (stack){ .first = first, .n = kept };
    return g->n_stacks++;
}

static uint32_t intern_config(grammar *g, const item *list, uint32_t n, bool may_end)
{
    uint32_t hash = hash_words(list, (size_t)n * 2) + may_end;
    if (g->config_table_size) {
        uint32_t mask = g->config_table_size - 1;
        for (uint32_t k = hash & mask; g->config_table[k]; k = (k + 1) & mask) {
            const config *c = &g->configs[g->config_table[k] - 1];
            if (c->n == n && c->may_end == may_end &&
                (!n || memcmp(g->items + c->first, list, n * sizeof *list) == 0))
                return g->config_table[k] - 1;
        }
    }
    if (g->n_configs >= 1u << 23 ||
        !grammar_grow(g, (void **)&g->configs, g->n_configs, &g->configs_size, sizeof *g->configs) ||
        !table_room(g, &g->config_table, &g->config_table_size, g->n_configs, hash_config)) {
        g->full = true;
        grammar_fails(g, E_RANGE, "the grammar needs too much memory for this text");
        return CONFIG_DEAD;
    }
    uint32_t first = g->n_items;
    for (uint32_t i = 0; i < n; i++) {
        if (!grammar_grow(g, (void **)&g->items, g->n_items, &g->items_size, sizeof *g->items))
            return CONFIG_DEAD;
        g->items[g->n_items++] = list[i];
    }
    uint32_t mask = g->config_table_size - 1, k = hash & mask;
    while (g->config_table[k])
        k = (k + 1) & mask;
    g->config_table[k] = g->n_configs + 1;
    g->configs[g->n_configs] = (config){ .first = first, .n = n, .may_end = may_end };
    return g->n_configs++;
}

/* ---- one closing ---- */

static bool closing_begin(grammar *g)
{
    g->n_raw = g->n_heap = g->n_to_pop = 0;
    g->epoch++;
    g->accepts = false;
    return !g->failed.code;
}

static bool add_item(grammar *g, lang l, uint32_t below)
{
    if (g->n_raw >= 4 * GRAMMAR_MAX_ITEMS)
        return grammar_fails(g, E_RANGE, "the grammar is too ambiguous for this text");
    if (!grammar_grow(g, (void **)&g->raw, g->n_raw, &g->raw_size, sizeof *g->raw))
        return false;
    g->raw[g->n_raw++] = (item){ l, below };
    return true;
}

/* A binary heap, the smallest rank first. */
static bool add_pending(grammar *g, uint32_t node, bool whole, frame f)
{
    if (g->n_heap >= 4 * GRAMMAR_MAX_ITEMS)
        return grammar_fails(g, E_RANGE, "the grammar is too ambiguous for this text");
    if (!grammar_grow(g, (void **)&g->heap, g->n_heap, &g->heap_size, sizeof *g->heap))
        return false;
    uint32_t rank = g->nodes[node].rank, i = g->n_heap++;
    for (; i > 0 && g->heap[(i - 1) / 2].rank > rank; i = (i - 1) / 2)
        g->heap[i] = g->heap[(i - 1) / 2];
    g->heap[i] = (pending){ rank, whole, f };
    return true;
}

static pending take_pending(grammar *g)
{
    pending first = g->heap[0], last = g->heap[--g->n_heap];
    uint32_t i = 0, n = g->n_heap;
    for (uint32_t c = 1; c < n; c = 2 * i + 1) {
        if (c + 1 < n && g->heap[c + 1].rank < g->heap[c].rank)
            c++;
        if (g->heap[c].rank >= last.rank)
            break;
        g->heap[i] = g->heap[c];
        i = c;
    }
    g->heap[i] = last;
    return first;
}

static bool add_pop(grammar *g, uint32_t id)
{
    if (g->stacks[id].epoch == g->epoch)
        return true;
    if (!grammar_grow(g, (void **)&g->to_pop, g->n_to_pop, &g->to_pop_size, sizeof *g->to_pop))
        return false;
    g->stacks[id].epoch = g->epoch;
    g->to_pop[g->n_to_pop++] = id;
    return true;
}

/* The parts of a SEQ from pos on, up to the first that is not empty. *to_end: all of them may be empty. */
static bool enter_seq(grammar *g, uint32_t pos, uint32_t below, bool *to_end)
{
    for (*to_end = false; !*to_end; pos++) {
        uint32_t node = g->lists[pos];
        bool last = g->lists[pos + 1] == LIST_END;
        if (!add_pending(g, node, last, (frame){ last ? 0 : pos + 1, 0, 0, below }))
            return false;
        if (!g->nodes[node].nullable)
            return true;
        *to_end = last;
    }
    return true;
}

/* One more time the body of a REPEAT of which lo..hi are left (hi > 0). */
static bool enter_repeat(grammar *g, uint32_t node, uint32_t lo, uint32_t hi, uint32_t below)
{
    lo = lo ? lo - 1 : 0;
    hi = hi == RULES_UNBOUNDED ? hi : hi - 1;
    return add_pending(g, g->nodes[node].a, hi == 0, (frame){ hi ? FRAME_REPEAT | node : 0, lo, hi, below });
}

static bool pop_all(grammar *g)
{
    for (uint32_t i = 0; i < g->n_to_pop; i++) {
        stack s = g->stacks[g->to_pop[i]];
        for (uint32_t k = 0; k < s.n; k++) {
            frame f = g->frames[s.first + k];
            bool done = false, ok = true;
            if (f.pos == FRAME_ACCEPT) {
                g->accepts = true;
            } else if (f.pos & FRAME_REPEAT) {
                ok = enter_repeat(g, f.pos & ~FRAME_REPEAT, f.lo, f.hi, f.below);
                done = f.lo == 0;
            } else {
                ok = enter_seq(g, f.pos, f.below, &done);
            }
            if (!ok || (done && !add_pop(g, f.below)))
                return false;
        }
    }
    return true;
}

/* The frames of all pending for the node of this rank, as one stack. */
static uint32_t gather(grammar *g, uint32_t rank)
{
    pending first = take_pending(g);
    if (first.whole && (!g->n_heap || g->heap[0].rank != rank))
        return first.f.below;
    g->n_gathered = 0;
    for (pending p = first;; p = take_pending(g)) {
        stack s = p.whole ? g->stacks[p.f.below] : (stack){ .n = 1 };
        for (uint32_t i = 0; i < s.n; i++) {
            if (!grammar_grow(g, (void **)&g->gathered, g->n_gathered, &g->gathered_size, sizeof *g->gathered))
                return UINT32_MAX;
            g->gathered[g->n_gathered++] = p.whole ? g->frames[s.first + i] : p.f;
        }
        if (g->n_gathered > 4 * GRAMMAR_MAX_ITEMS) {
            grammar_fails(g, E_RANGE, "the grammar is too ambiguous for this text");
            return UINT32_MAX;
        }
        if (!g->n_heap || g->heap[0].rank != rank)
            break;
    }
    return intern_stack(g, g->gathered, g->n_gathered);
}

static bool enter_node(grammar *g, uint32_t node, uint32_t below)
{
    const rule_node *x = &g->nodes[node];
    bool to_end, ok = true;
    switch (x->kind) {
    case R_TOKEN:
        return add_item(g, x->a, below);
    case R_SEQ:
        return enter_seq(g, x->a, below, &to_end);
    case R_ALT:
        for (uint32_t i = 0; i < x->n && ok; i++)
            ok = add_pending(g, g->lists[x->a + i], true, (frame){ .below = below });
        return ok;
    case R_REPEAT:
        return x->hi == 0 || enter_repeat(g, node, x->lo, x->hi, below);
    default:
        return true;
    }
}

static int by_item(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->l != y->l)
        return x->l < y->l ? -1 : 1;
    return x->below < y->below ? -1 : x->below > y->below;
}

/* Items n at `list`, all of one lang, become one. */
static bool join_items(grammar *g, const item *list, uint32_t n, item *out)
{
    *out = list[0];
    if (n == 1)
        return true;
    g->n_gathered = 0;
    for (uint32_t i = 0; i < n; i++) {
        stack s = g->stacks[list[i].below];
        for (uint32_t k = 0; k < s.n; k++) {
            if (!grammar_grow(g, (void **)&g->gathered, g->n_gathered, &g->gathered_size, sizeof *g->gathered))
                return false;
            g->gathered[g->n_gathered++] = g->frames[s.first + k];
        }
    }
    out->below = intern_stack(g, g->gathered, g->n_gathered);
    return out->below != UINT32_MAX;
}

static uint32_t closing_end(grammar *g)
{
    bool ok = pop_all(g);
    while (ok && g->n_heap) {
        uint32_t rank = g->heap[0].rank, below = gather(g, rank);
        ok = below != UINT32_MAX && enter_node(g, g->by_rank[rank], below);
    }
    if (!ok)
        return CONFIG_DEAD;
    if (g->n_raw > 1)
        qsort(g->raw, g->n_raw, sizeof *g->raw, by_item);
    uint32_t kept = 0;
    for (uint32_t i = 0, k; i < g->n_raw; i = k) {
        for (k = i + 1; k < g->n_raw && g->raw[k].l == g->raw[i].l; k++)
            continue;
        uint32_t n = 1; /* without repetitions */
        for (uint32_t j = i + 1; j < k; j++)
            if (g->raw[j].below != g->raw[i + n - 1].below)
                g->raw[i + n++] = g->raw[j];
        item joined;
        if (!join_items(g, g->raw + i, n, &joined))
            return CONFIG_DEAD;
        g->raw[kept++] = joined;
    }
    if (kept > GRAMMAR_MAX_ITEMS) {
        grammar_fails(g, E_RANGE, "the grammar is too ambiguous for this text");
        return CONFIG_DEAD;
    }
    return intern_config(g, g->raw, kept, g->accepts);
}

/* ---- steps ---- */

static uint32_t make_step(grammar *g, uint32_t from, unsigned char b)
{
    if (!closing_begin(g))
        return CONFIG_DEAD;
    for (uint32_t i = 0; i < g->configs[from].n; i++) {
        item x = g->items[g->configs[from].first + i];
        lang next = lang_step(g->langs, x.l, b);
        if (next == LANG_NONE)
            continue;
        if (next != LANG_EMPTY && !add_item(g, next, x.below))
            return CONFIG_DEAD;
        if (lang_has_empty(g->langs, next) && !add_pop(g, x.below))
            return CONFIG_DEAD;
    }
    if (lang_ok(g->langs, NULL)) {
        error err = { OK, "" };
        g->full = lang_ok(g->langs, &err) == E_RANGE;
        grammar_fails(g, err.code, err.text);
        return CONFIG_DEAD;
    }
    return g->n_raw || g->n_to_pop ? closing_end(g) : CONFIG_DEAD;
}

uint32_t config_step(grammar *g, uint32_t from, unsigned char b)
{
    uint32_t to = map32_get(&g->steps, from << 8 | b);
    if (to != UINT32_MAX)
        return to;
    to = make_step(g, from, b);
    return !g->failed.code && grammar_map_put(g, &g->steps, from << 8 | b, to) ? to : CONFIG_DEAD;
}

uint32_t config_after(grammar *g, uint32_t stack_id)
{
    if (g->stacks[stack_id].config)
        return g->stacks[stack_id].config - 1;
    if (!closing_begin(g) || !add_pop(g, stack_id))
        return CONFIG_DEAD;
    uint32_t c = closing_end(g);
    if (!g->failed.code)
        g->stacks[stack_id].config = c + 1;
    return c;
}

const uint64_t *config_alive(grammar *g, uint32_t c)
{
    if (g->configs[c].has_alive)
        return g->configs[c].alive;
    uint64_t alive[4] = { 0 };
    for (uint32_t i = 0; i < g->configs[c].n; i++) {
        lang l = g->items[g->configs[c].first + i].l;
        for (unsigned b = 0; b < 256; b++)
            if (!(alive[b / 64] >> b % 64 & 1) && lang_step(g->langs, l, (unsigned char)b) != LANG_NONE)
                alive[b / 64] |= (uint64_t)1 << b % 64;
    }
    memcpy(g->configs[c].alive, alive, sizeof alive);
    g->configs[c].has_alive = true;
    return g->configs[c].alive;
}

/* ---- beginning and forgetting ---- */

static status begin(grammar *g, error *err)
{
    g->bytes = g->fixed_bytes;
    (void)intern_config(g, NULL, 0, false);
    frame accept = { FRAME_ACCEPT, 0, 0, 0 };
    uint32_t bottom = g->failed.code ? UINT32_MAX : intern_stack(g, &accept, 1);
    if (bottom != UINT32_MAX && closing_begin(g) && add_pending(g, g->root, true, (frame){ .below = bottom })) {
        g->accepts = g->nodes[g->root].nullable;
        g->start = closing_end(g);
    }
    return grammar_ok(g, err);
}

status grammar_begin(grammar *g, error *err)
{
    g->langs_mark = lang_set_mark(g->langs);
    return begin(g, err);
}

status grammar_ok(const grammar *g, error *err)
{
    return g->failed.code ? fail(err, g->failed.code, "%s", g->failed.text) : OK;
}

static void free_learnt(grammar *g)
{
    void *const all[] = { g->frames, g->stacks, g->items, g->configs, g->stack_table, g->config_table, g->steps.at,
                          g->raw, g->heap, g->to_pop, g->gathered };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mem_free(all[i]);
    grammar_forget_masks(g);
    memset(&g->frames, 0, sizeof *g - offsetof(grammar, frames));
}

status grammar_forget(grammar *g, error *err)
{
    uint32_t generation = g->generation + 1, n_states = g->n_states;
    const grammar_vocab *vocab = g->vocab;
    free_learnt(g);
    g->generation = generation;
    g->n_states = n_states;
    g->vocab = vocab;
    status st = lang_set_trim(g->langs, g->langs_mark, err);
    return st ? st : begin(g, err);
}

void grammar_close(grammar **gp)
{
    grammar *g = *gp;
    if (!g)
        return;
    assert(!g->n_states);
    free_learnt(g);
    lang_set_close(&g->langs);
    mem_free(g->nodes);
    mem_free(g->lists);
    mem_free(g->by_rank);
    mem_free(g);
    *gp = NULL;
}

size_t grammar_bytes(const grammar *g)
{
    return g->bytes + lang_set_bytes(g->langs);
}
