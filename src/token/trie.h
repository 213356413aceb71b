/* trie.h: strings to ids, walked byte by byte (private to token/). Built once from a sorted list, then const.
 *
 * Nodes are in breadth-first order, so that a node's children lie side by side, in the order of their bytes. Node 0 is
 * the root. */
#ifndef TOKEN_TRIE_H
#define TOKEN_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

typedef struct trie_node {
    uint32_t first_child;
    int32_t id; /* -1: no string ends here */
    uint16_t n_children;
    unsigned char byte;
} trie_node;

typedef struct trie {
    trie_node *nodes;
    uint32_t n_nodes;
    uint32_t root[256]; /* child of the root by byte; 0: none */
} trie;

typedef struct trie_entry {
    span s; /* not empty */
    int32_t id;
} trie_entry;

/* Sorts entries; of equal strings the lowest id counts. The strings are not kept. */
status trie_build(trie **out, trie_entry *entries, size_t n, error *err) MUST_CHECK;
void trie_free(trie **t);
size_t trie_bytes(const trie *t);

/* The child of node by byte, 0 if there is none. */
static inline uint32_t trie_step(const trie *t, uint32_t node, unsigned char byte)
{
    if (!node)
        return t->root[byte];
    uint32_t lo = t->nodes[node].first_child, hi = lo + t->nodes[node].n_children;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (t->nodes[mid].byte < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->nodes[node].first_child + t->nodes[node].n_children && t->nodes[lo].byte == byte ? lo : 0;
}

#endif
