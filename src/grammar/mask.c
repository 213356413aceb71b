/* mask.c: which tokens may come next, without trying them one by one.
 *
 * Of a terminal's state, whatever follows the terminal, it is known once and for all (`inside`)
 *   - which tokens lie wholly inside it: by slices (vocab_trie.c) as far as the characters of a slice make no
 *     difference here, by walking the slice's forest where they do;
 *   - at which nodes of the forest the terminal may end with bytes of the token left: its exits; or, if these are too
 *     many, that the slice must be walked with what follows (`joint`).
 * The mask of a config is the union of what is inside its items' states, and of what the subtrees at their exits allow
 * after the item's stack is popped. A string of JSON has one exit a token that holds a quote: some hundreds. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/grammar_int.h"

enum {
    MOST_EXITS = 4096,
    DENSE_FROM = 64,       /* nodes below one at which a row of 256 pays */
    SLOT_BYTES = 20 << 20, /* of kept masks */
};
#define DIFFERENT (UINT32_MAX - 1) /* of followers: the characters of a slice lead to different states */

static void set_bit(uint64_t *mask, int32_t token)
{
    mask[token / 64] |= (uint64_t)1 << token % 64;
}

static void set_tokens(const grammar_vocab *v, uint64_t *mask, int32_t token)
{
    for (; token >= 0; token = v->same[token])
        set_bit(mask, token);
}

static void unite(uint64_t *to, const uint64_t *from, size_t n_words)
{
    for (size_t i = 0; i < n_words; i++)
        to[i] |= from[i];
}

/* ---- where a slice's characters lead ---- */

/* Do all byte strings first..last, then `more` continuation bytes, lead from l to `to`, and end nowhere on the way? */
static bool all_lead(lang_set *set, lang l, unsigned first, unsigned last, unsigned more, lang to)
{
    lang seen = UINT32_MAX;
    if (lang_has_empty(set, l))
        return false;
    for (unsigned b = first; b <= last; b++) {
        lang next = lang_step(set, l, (unsigned char)b);
        if (next == seen)
            continue;
        bool good = more == 0           ? next == to
                    : next == LANG_NONE ? to == LANG_NONE
                                        : all_lead(set, next, 0x80, 0xBF, more - 1, to);
        if (!good)
            return false;
        seen = next;
    }
    return true;
}

static lang find_follower(grammar *g, lang l, unsigned slice)
{
    static const struct { /* leads, the byte after them, further ones */
        unsigned char lead_first, lead_last, first, last, more;
    } utf8[] = { { 0xC2, 0xDF, 0x80, 0xBF, 0 }, { 0xE0, 0xE0, 0xA0, 0xBF, 1 }, { 0xE1, 0xEC, 0x80, 0xBF, 1 },
                 { 0xED, 0xED, 0x80, 0x9F, 1 }, { 0xEE, 0xEF, 0x80, 0xBF, 1 }, { 0xF0, 0xF0, 0x90, 0xBF, 2 },
                 { 0xF1, 0xF3, 0x80, 0xBF, 2 }, { 0xF4, 0xF4, 0x80, 0x8F, 2 } };
    const lang *row = lang_row(g->langs, l);
    if (!row)
        return LANG_NONE;
    lang to = row['a']; /* every slice has it */
    for (unsigned c = 0x20; c < 0x7F; c++)
        if (slice_has(slice, c) && row[c] != to)
            return DIFFERENT;
    for (size_t i = 0; slice == 3 && i < ARRAY_LEN(utf8); i++)
        for (unsigned b = utf8[i].lead_first; b <= utf8[i].lead_last; b++) {
            lang next = lang_step(g->langs, l, (unsigned char)b);
            if (b > utf8[i].lead_first && next == lang_step(g->langs, l, (unsigned char)(b - 1)))
                continue;
            if (next == LANG_NONE ? to != LANG_NONE : !all_lead(g->langs, next, utf8[i].first, utf8[i].last,
                                                                utf8[i].more, to))
                return DIFFERENT;
        }
    return to;
}

/* The state after any one character of the slice, or DIFFERENT. */
static lang follower(grammar *g, lang l, unsigned slice)
{
    uint32_t key = l << 2 | slice, to = map32_get(&g->followers, key);
    if (to != UINT32_MAX)
        return to;
    to = find_follower(g, l, slice);
    (void)grammar_map_put(g, &g->followers, key, to);
    return to;
}

/* ---- what is inside a terminal's state ---- */

typedef struct builder {
    grammar *g;
    uint64_t *mask; /* scratch, of tokens that were found by walking */
    uint32_t n_tokens, n_exits;
    inside *out;
} builder;

static bool add_exit(builder *b, uint32_t node, unsigned slice)
{
    grammar *g = b->g;
    if (b->n_exits == MOST_EXITS)
        b->out->joint |= (uint8_t)(1u << slice);
    if (b->out->joint >> slice & 1)
        return true;
    if (!grammar_grow(g, (void **)&g->listed, b->n_exits, &g->listed_size, sizeof *g->listed))
        return false;
    g->listed[b->n_exits++] = node;
    return true;
}

/* Walks a slice's forest from state l. */
static bool walk_slice(builder *b, lang l, unsigned slice)
{
    grammar *g = b->g;
    const grammar_vocab *v = g->vocab;
    lang *states = g->walk;
    uint32_t end = v->slice_first[slice + 1];
    states[0] = l;
    for (uint32_t i = v->slice_first[slice]; i < end;) {
        const vocab_node *n = &v->nodes[i];
        lang from = states[n->depth];
        lang to = lang_step(g->langs, from, n->byte);
        if (to == LANG_NONE) {
            i = n->end;
            continue;
        }
        if (n->end - i > DENSE_FROM && !lang_row(g->langs, to))
            return false;
        states[n->depth + 1] = to;
        if (n->token >= 0) {
            set_tokens(v, b->mask, n->token);
            b->n_tokens++;
        }
        if (n->end > i + 1 && lang_has_empty(g->langs, to) && !add_exit(b, i, slice))
            return false;
        i = to == LANG_EMPTY ? n->end : i + 1;
    }
    return !lang_ok(g->langs, NULL);
}

/* As far as all characters of the slice lead to one state, its tokens need no walk. */
static bool look_at_slice(builder *b, lang l, unsigned slice)
{
    grammar *g = b->g;
    unsigned level = 0, most = g->vocab->most_chars[slice];
    if (g->vocab->slice_first[slice] == g->vocab->slice_first[slice + 1])
        return true;
    bool exits = false;
    while (level < most) {
        lang next = follower(g, l, slice);
        if (g->failed.code)
            return false;
        if (next == LANG_NONE || next == DIFFERENT)
            break;
        exits = exits || (lang_has_empty(g->langs, next) && level + 1 < most);
        level = next == l ? most : level + 1;
        l = next;
    }
    b->out->level[slice] = (uint8_t)level;
    if (exits)
        b->out->joint |= (uint8_t)(1u << slice);
    return true;
}

static bool slice_needs_walk(grammar *g, lang l, unsigned slice, unsigned level)
{
    for (unsigned k = 0; k < level; k++)
        l = follower(g, l, slice);
    return level < g->vocab->most_chars[slice] && follower(g, l, slice) == DIFFERENT;
}

/* Copies what the walks found: a list of ids if they are few. */
static bool keep_found(builder *b)
{
    grammar *g = b->g;
    const grammar_vocab *v = g->vocab;
    inside *out = b->out;
    size_t n_set = 0, n_exits = b->n_exits;
    for (size_t i = 0; b->n_tokens && i < v->n_words; i++)
        n_set += (size_t)__builtin_popcountll(b->mask[i]);
    bool as_mask = n_set > v->n_words * 2;
    size_t bytes = as_mask ? v->n_words * 8 : n_set * sizeof *out->tokens;
    out->tokens = mem_alloc(bytes);
    out->exits = mem_alloc(n_exits * sizeof *out->exits);
    if (!out->tokens || !out->exits)
        return grammar_fails(g, E_NOMEM, "no memory for a grammar's masks");
    if (n_exits)
        memcpy(out->exits, g->listed, n_exits * sizeof *out->exits);
    out->n_exits = (uint32_t)n_exits;
    out->n_tokens = as_mask ? UINT32_MAX : (uint32_t)n_set;
    if (as_mask)
        memcpy(out->tokens, b->mask, bytes);
    for (size_t i = 0, at = 0; !as_mask && n_set && i < v->n_words; i++)
        for (uint64_t w = b->mask[i]; w; w &= w - 1)
            out->tokens[at++] = (uint32_t)(i * 64 + (size_t)__builtin_ctzll(w));
    g->bytes += bytes + n_exits * sizeof *out->exits;
    return true;
}

/* Of the last slice, or of all others. */
static bool make_inside(grammar *g, lang l, bool rest, inside *out)
{
    builder b = { .g = g, .mask = g->scratch_mask, .out = out };
    memset(b.mask, 0, g->vocab->n_words * sizeof *b.mask);
    for (unsigned s = 0; s < SLICE_REST && !rest; s++) {
        if (!look_at_slice(&b, l, s))
            return false;
        if (slice_needs_walk(g, l, s, out->level[s]) && !walk_slice(&b, l, s))
            return false;
    }
    if (!walk_slice(&b, l, rest ? SLICE_REST : SLICE_LONG))
        return false;
    if (g->bytes > GRAMMAR_MAX_BYTES / 2) {
        g->full = true;
        return grammar_fails(g, E_RANGE, "the grammar needs too much memory for this text");
    }
    return keep_found(&b);
}

/* Its index in known; UINT32_MAX: failure. */
static uint32_t inside_of(grammar *g, lang l, bool rest)
{
    map32 *where = rest ? &g->rests : &g->insides;
    uint32_t at = map32_get(where, l);
    if (at != UINT32_MAX)
        return at;
    inside made = { .rest = UINT32_MAX };
    bool ok = true;
    if (!rest) {
        lang clipped = lang_clip(g->langs, l, g->vocab->rest_bytes);
        made.rest = lang_ok(g->langs, NULL) ? UINT32_MAX : inside_of(g, clipped, true);
        ok = made.rest != UINT32_MAX;
    }
    ok = ok && grammar_grow(g, (void **)&g->known, g->n_known, &g->known_size, sizeof *g->known) &&
         make_inside(g, l, rest, &made);
    error err = { OK, "" };
    if (lang_ok(g->langs, &err)) {
        g->full = err.code == E_RANGE;
        ok = grammar_fails(g, err.code, err.text);
    }
    if (!ok || !grammar_map_put(g, where, l, g->n_known)) {
        mem_free(made.tokens);
        mem_free(made.exits);
        return UINT32_MAX;
    }
    g->known[g->n_known] = made;
    return g->n_known++;
}

/* ---- the mask of a config ---- */

/* Nodes first..end, a forest below a node of `depth` - 1 (or a whole slice), from config c. */
static void walk_config(grammar *g, uint32_t c, uint32_t first, uint32_t end, unsigned depth, uint64_t *mask)
{
    const grammar_vocab *v = g->vocab;
    uint32_t *configs = g->walk;
    uint64_t alive[4];
    memcpy(alive, config_alive(g, c), sizeof alive);
    configs[depth] = c;
    for (uint32_t i = first; i < end;) {
        const vocab_node *n = &v->nodes[i];
        uint32_t to = CONFIG_DEAD;
        if (n->depth > depth || alive[n->byte / 64] >> n->byte % 64 & 1)
            to = config_step(g, configs[n->depth], n->byte);
        if (to == CONFIG_DEAD) {
            i = n->end;
            continue;
        }
        configs[n->depth + 1] = to;
        if (n->token >= 0)
            set_tokens(v, mask, n->token);
        i++;
    }
}

static bool add_inside(grammar *g, inside in, uint32_t below, uint64_t *mask, unsigned *joint)
{
    const grammar_vocab *v = g->vocab;
    for (unsigned s = 0; s < SLICE_REST; s++)
        if (in.level[s])
            unite(mask, v->upto[s][in.level[s]], v->n_words);
    if (in.n_tokens == UINT32_MAX)
        unite(mask, (const uint64_t *)(const void *)in.tokens, v->n_words);
    for (uint32_t i = 0; in.n_tokens != UINT32_MAX && i < in.n_tokens; i++)
        set_bit(mask, (int32_t)in.tokens[i]);
    if (!in.n_exits && !in.joint)
        return true;
    uint32_t after = config_after(g, below);
    if (g->failed.code || !g->configs[after].n)
        return !g->failed.code;
    *joint |= in.joint;
    for (uint32_t i = 0; i < in.n_exits && !g->failed.code; i++) {
        const vocab_node *n = &v->nodes[in.exits[i]];
        walk_config(g, after, in.exits[i] + 1, n->end, n->depth + 1u, mask);
    }
    return !g->failed.code;
}

static bool add_item_tokens(grammar *g, item x, uint64_t *mask, unsigned *joint)
{
    uint32_t at = inside_of(g, x.l, false);
    return at != UINT32_MAX && add_inside(g, g->known[at], x.below, mask, joint) &&
           add_inside(g, g->known[g->known[at].rest], x.below, mask, joint);
}

static bool fill(grammar *g, uint32_t c, uint64_t *mask)
{
    const grammar_vocab *v = g->vocab;
    unsigned joint = 0;
    memset(mask, 0, v->n_words * sizeof *mask);
    for (uint32_t i = 0; i < g->configs[c].n; i++)
        if (!add_item_tokens(g, g->items[g->configs[c].first + i], mask, &joint))
            return false;
    for (unsigned s = 0; s < SLICES && !g->failed.code; s++)
        if (joint >> s & 1)
            walk_config(g, c, v->slice_first[s], v->slice_first[s + 1], 0, mask);
    if (g->configs[c].may_end)
        unite(mask, v->eog, v->n_words);
    return !g->failed.code;
}

/* A slot to write to: a new one while they are few, then the oldest. */
static mask_slot *take_slot(grammar *g)
{
    size_t bytes = g->vocab->n_words * sizeof(uint64_t);
    uint32_t most = (uint32_t)(bytes ? SLOT_BYTES / bytes : 64);
    most = most < 8 ? 8 : most > 1024 ? 1024 : most;
    if (!g->slots) {
        g->slots = mem_array(1024, sizeof *g->slots);
        if (!g->slots) {
            grammar_fails(g, E_NOMEM, "no memory for a grammar's masks");
            return NULL;
        }
    }
    if (g->n_slots < most) {
        uint64_t *words = mem_alloc(bytes);
        if (words) {
            g->slots[g->n_slots] = (mask_slot){ CONFIG_DEAD, words };
            g->bytes += bytes;
            return &g->slots[g->n_slots++];
        }
        if (!g->n_slots) {
            grammar_fails(g, E_NOMEM, "no memory for a grammar's masks");
            return NULL;
        }
    }
    mask_slot *oldest = &g->slots[g->next_slot];
    g->next_slot = (g->next_slot + 1) % g->n_slots;
    if (oldest->config != CONFIG_DEAD)
        g->configs[oldest->config].mask = 0;
    oldest->config = CONFIG_DEAD;
    return oldest;
}

static bool have_scratch(grammar *g)
{
    if (!g->scratch_mask)
        g->scratch_mask = mem_array(g->vocab->n_words, sizeof *g->scratch_mask);
    if (!g->walk)
        g->walk = mem_array((size_t)g->vocab->max_depth + 2, sizeof *g->walk);
    return (g->scratch_mask && g->walk) || grammar_fails(g, E_NOMEM, "no memory for a grammar's masks");
}

const uint64_t *grammar_mask(grammar *g, uint32_t c)
{
    if (g->configs[c].mask)
        return g->slots[g->configs[c].mask - 1].words;
    mask_slot *slot = have_scratch(g) ? take_slot(g) : NULL;
    if (!slot || !fill(g, c, slot->words))
        return NULL;
    if (c != CONFIG_DEAD) {
        slot->config = c;
        g->configs[c].mask = (uint32_t)(slot - g->slots) + 1;
    }
    return slot->words;
}

void grammar_forget_masks(grammar *g)
{
    for (uint32_t i = 0; i < g->n_slots; i++)
        mem_free(g->slots[i].words);
    for (uint32_t i = 0; i < g->n_known; i++) {
        mem_free(g->known[i].tokens);
        mem_free(g->known[i].exits);
    }
    mem_free(g->slots);
    mem_free(g->known);
    mem_free(g->insides.at);
    mem_free(g->rests.at);
    mem_free(g->followers.at);
    mem_free(g->scratch_mask);
    mem_free(g->walk);
    mem_free(g->listed);
}
