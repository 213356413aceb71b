/* grammar_int.h: what a compiled grammar is made of. Private to src/grammar.
 *
 * A text under way is a *config*: a set of items (lang state, stack). A stack is what follows when the terminal ends;
 * it is a set too: of frames (where to go on in a rule, the stack below). All stacks that were pushed by calls of one
 * rule at one place of the text are one stack with several frames, as in generalised LR parsing (Tomita 1987; for
 * top-down use Scott, Johnstone, "GLL parsing", 2010): that keeps ambiguity polynomial. Stacks and configs are interned
 * by content, not by place: an array's hundredth element meets the configs of its first, with all they learnt.
 *
 * Invariants:
 * 1. An item's lang is not LANG_NONE, and every frame's rule can be completed: each config but 0 can reach an end.
 * 2. A config has at most one item of a lang. Its items are in ascending order of langs.
 * 3. Frames of a stack are in ascending order, none twice. A frame with nothing left to do is never pushed: what is
 *    below is used instead (so right recursion does not grow).
 * 4. Rules that may be empty are passed by whoever would call them; a rule that was called takes at least a byte. So
 *    nothing that is entered ends at the same place, and entering in the order of `rank` sees every caller first. */
#ifndef GRAMMAR_GRAMMAR_INT_H
#define GRAMMAR_GRAMMAR_INT_H

#include "grammar/grammar.h"
#include "grammar/lang_int.h"
#include "grammar/rules.h"

/* ---- a map from 32-bit keys to 32-bit values, neither UINT32_MAX ---- */
typedef struct map32 {
    uint32_t *at; /* key, value, key, value ...; free: key UINT32_MAX */
    uint32_t n, size; /* places, a power of two or 0 */
} map32;
/* UINT32_MAX: not there. */
static inline uint32_t map32_get(const map32 *m, uint32_t key)
{
    if (!m->size)
        return UINT32_MAX;
    for (uint32_t i = key * 0x9E3779B1u >> 7;; i++) {
        const uint32_t *p = m->at + (size_t)(i & (m->size - 1)) * 2;
        if (p[0] == key || p[0] == UINT32_MAX)
            return p[0] == key ? p[1] : UINT32_MAX;
    }
}

/* ---- rules, compiled ---- */

typedef enum rule_kind { R_NONE, R_EMPTY, R_TOKEN, R_SEQ, R_ALT, R_REPEAT, R_NAME } rule_kind;

typedef struct rule_node {
    uint8_t kind;
    bool nullable, productive;
    uint32_t a;      /* TOKEN: lang; SEQ, ALT: begin in lists; REPEAT, NAME: the body */
    uint32_t n;      /* SEQ, ALT: children; NAME: 1 + offset of the name */
    uint32_t lo, hi; /* REPEAT */
    uint32_t rank;   /* a node has a smaller one than all it can begin with; UINT32_MAX: not in use */
} rule_node;

#define LIST_END (UINT32_MAX - 1)
#define FRAME_ACCEPT 0x7FFFFFFFu /* pos: the text may end */
#define FRAME_REPEAT 0x80000000u /* pos: this bit and the node; else an index into lists: the next part of a SEQ */

/* ---- stacks and configs ---- */

typedef struct frame {
    uint32_t pos, lo, hi; /* lo, hi: what is left of a REPEAT */
    uint32_t below;       /* a stack */
} frame;

typedef struct stack {
    uint32_t first, n; /* frames */
    uint32_t config;   /* the config after this stack is popped, 1 + id; 0: not made yet */
    uint32_t epoch;    /* of the closing that popped it last */
} stack;

typedef struct item {
    lang l;
    uint32_t below; /* a stack */
} item;

typedef struct config {
    uint32_t first, n; /* items */
    uint32_t mask;     /* 1 + slot of its mask; 0: none */
    bool may_end, has_alive;
    uint64_t alive[4]; /* bytes that may come, if has_alive */
} config;

enum { CONFIG_DEAD = 0 }; /* no items, no end */

/* A frame, or all frames of a stack, for the node of this rank. */
typedef struct pending {
    uint32_t rank;
    bool whole; /* f.below is meant itself */
    frame f;
} pending;

/* ---- what is known of a terminal's state: see mask.c ---- */
enum { SLICES = 6, SLICE_REST = 4, SLICE_LONG = 5, SLICE_CHARS = 24, REST_BYTES = 32 };

typedef struct inside {
    uint8_t level[SLICES]; /* tokens of this slice with up to so many characters are inside */
    uint8_t joint;         /* bit per slice: tokens may leave in too many places to list them */
    uint32_t *tokens;      /* further ones: ids, or with n_tokens == UINT32_MAX a mask */
    uint32_t n_tokens;
    uint32_t *exits;       /* nodes of the vocabulary where the terminal may end inside a token */
    uint32_t n_exits;
    uint32_t rest;         /* what is inside of SLICE_REST, in `known` too: of the state with its counts cut down */
} inside;

typedef struct mask_slot {
    uint32_t config;
    uint64_t *words;
} mask_slot;

struct grammar {
    /* the rules: const after rules_compile */
    lang_set *langs;
    lang_mark langs_mark;
    rule_node *nodes;
    uint32_t n_nodes;
    uint32_t *lists;
    uint32_t *by_rank; /* nodes */
    uint32_t n_ranks;
    rule root;
    size_t fixed_bytes;

    /* learnt; grammar_forget empties it */
    frame *frames;
    uint32_t n_frames, frames_size;
    stack *stacks;
    uint32_t n_stacks, stacks_size;
    item *items;
    uint32_t n_items, items_size;
    config *configs;
    uint32_t n_configs, configs_size;
    uint32_t *stack_table, *config_table; /* ids + 1 by hash */
    uint32_t stack_table_size, config_table_size;
    map32 steps;     /* config * 256 + byte -> config */
    map32 insides;   /* lang -> index in known */
    map32 rests;     /* the same of SLICE_REST alone */
    map32 followers; /* lang * 4 + slice -> lang: see mask.c */
    inside *known;
    uint32_t n_known, known_size;
    uint32_t start; /* the config at the beginning */
    uint32_t generation; /* grows when everything is forgotten */
    size_t bytes;
    error failed; /* sticky until grammar_forget */
    bool full;    /* it failed for want of room: forgetting may help */

    /* masks of configs: a ring of slots, the oldest is given away */
    mask_slot *slots;
    uint32_t n_slots, next_slot;
    const grammar_vocab *vocab; /* that insides and slots are about; NULL: no state is open */
    uint32_t n_states;

    /* scratch of one closing */
    item *raw;
    uint32_t n_raw, raw_size;
    pending *heap;
    uint32_t n_heap, heap_size;
    uint32_t *to_pop;
    uint32_t n_to_pop, to_pop_size;
    frame *gathered;
    uint32_t n_gathered, gathered_size;
    uint32_t epoch;
    bool accepts;
    uint64_t *scratch_mask;
    uint32_t *walk; /* states by depth */
    uint32_t *listed;
    uint32_t n_listed, listed_size;
};

/* A grammar with nothing learnt; takes the rules' arrays. */
status grammar_begin(grammar *g, error *err) MUST_CHECK;
/* Forgets everything learnt but the rules. */
status grammar_forget(grammar *g, error *err) MUST_CHECK;
/* The sticky error, if there is one. */
status grammar_ok(const grammar *g, error *err) MUST_CHECK;
/* Notes the first failure; always false. */
bool grammar_fails(grammar *g, status code, const char *text);
/* Room for one more element; false: failure. */
bool grammar_grow(grammar *g, void **array, uint32_t n, uint32_t *size, size_t element);
bool grammar_map_put(grammar *g, map32 *m, uint32_t key, uint32_t value);

/* The config after one more byte; CONFIG_DEAD: it does not fit, or failure (grammar_ok tells). */
uint32_t config_step(grammar *g, uint32_t from, unsigned char b);
/* The config after the stack is popped. */
uint32_t config_after(grammar *g, uint32_t stack_id);
/* Bytes that may come next: borrowed until the next call. */
const uint64_t *config_alive(grammar *g, uint32_t c);

/* ---- the vocabulary ---- */

/* Nodes in preorder: a node's children follow it, its subtree ends before `end`. Each slice is a forest of its own. */
typedef struct vocab_node {
    uint32_t end;
    int32_t token; /* -1: none ends here; more with the same bytes: grammar_vocab.same */
    uint16_t depth; /* 0: a root */
    unsigned char byte;
} vocab_node;

struct grammar_vocab {
    vocab_node *nodes;
    uint32_t n_nodes;
    uint32_t slice_first[SLICES + 1]; /* slice s: nodes slice_first[s] .. slice_first[s + 1] */
    int32_t *same;                    /* the next token with the same bytes, -1: none */
    uint64_t *upto[SLICE_REST][SLICE_CHARS + 1]; /* masks: tokens of the slice with up to so many characters */
    uint64_t *eog;                    /* mask */
    uint8_t most_chars[SLICE_REST];
    uint32_t max_depth;
    uint32_t rest_bytes; /* of the longest token of SLICE_REST */
    int32_t n_tokens;
    size_t n_words;
    char *text;        /* all pieces */
    uint32_t *offsets; /* n_tokens + 1 */
    bool *left_out;    /* tokens that are no text, or end it */
    size_t bytes;
};
/* Is c a character of the slice's alphabet? (c < 128, slices before SLICE_REST) */
bool slice_has(unsigned slice, unsigned c);

/* ---- masks ---- */
/* The mask of a config, in a slot; NULL: failure. */
const uint64_t *grammar_mask(grammar *g, uint32_t c);
void grammar_forget_masks(grammar *g);

#endif
