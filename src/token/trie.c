#include "token/trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int compare(const void *a, const void *b)
{
    const trie_entry *x = a, *y = b;
    size_t n = x->s.n < y->s.n ? x->s.n : y->s.n;
    int c = memcmp(x->s.p, y->s.p, n);
    if (c)
        return c;
    if (x->s.n != y->s.n)
        return x->s.n < y->s.n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static uint64_t count_nodes(const trie_entry *e, size_t n)
{
    uint64_t total = 1;
    for (size_t i = 0; i < n; i++) {
        size_t common = 0;
        if (i)
            while (common < e[i].s.n && common < e[i - 1].s.n && e[i].s.p[common] == e[i - 1].s.p[common])
                common++;
        total += e[i].s.n - common;
    }
    return total;
}

/* A node still to be filled: the entries [from, to) share its first `depth` bytes. */
typedef struct task {
    uint32_t from, to, depth;
} task;

static void fill(trie *t, const trie_entry *e, task *queue)
{
    uint32_t n = 1;
    for (uint32_t at = 0; at < n; at++) {
        task k = queue[at];
        trie_node *node = &t->nodes[at];
        node->id = -1;
        uint32_t i = k.from;
        for (; i < k.to && e[i].s.n == k.depth; i++)
            if (node->id < 0)
                node->id = e[i].id;
        node->first_child = n;
        while (i < k.to) {
            uint32_t j = i + 1;
            while (j < k.to && e[j].s.p[k.depth] == e[i].s.p[k.depth])
                j++;
            t->nodes[n].byte = (unsigned char)e[i].s.p[k.depth];
            queue[n++] = (task){ i, j, k.depth + 1 };
            node->n_children++;
            i = j;
        }
    }
}

status trie_build(trie **out, trie_entry *entries, size_t n, error *err)
{
    qsort(entries, n, sizeof *entries, compare);
    uint64_t total = count_nodes(entries, n);
    if (total > 1u << 28)
        return fail(err, E_RANGE, "tokens: over 2^28 different prefixes");
    trie *t = mem_zero(sizeof *t);
    task *queue = mem_array(total, sizeof *queue);
    if (t)
        t->nodes = mem_array(total, sizeof *t->nodes);
    if (!t || !queue || !t->nodes) {
        mem_free(queue);
        trie_free(&t);
        return fail(err, E_NOMEM, "no memory for %zu tokens", n);
    }
    t->n_nodes = (uint32_t)total;
    queue[0] = (task){ 0, (uint32_t)n, 0 };
    fill(t, entries, queue);
    for (uint32_t i = 0; i < t->nodes[0].n_children; i++)
        t->root[t->nodes[t->nodes[0].first_child + i].byte] = t->nodes[0].first_child + i;
    mem_free(queue);
    *out = t;
    return OK;
}

void trie_free(trie **t)
{
    if (t && *t) {
        mem_free((*t)->nodes);
        mem_free(*t);
        *t = NULL;
    }
}

size_t trie_bytes(const trie *t)
{
    return t ? sizeof *t + t->n_nodes * sizeof *t->nodes : 0;
}
