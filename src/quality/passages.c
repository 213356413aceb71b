#include "quality/passages.h"

#include <string.h>

#include "base/mem.h"

void passages_clear(passages *p)
{
    token_list_clear(&p->tokens);
    mem_free(p->items);
    *p = (passages)PASSAGES_INIT;
}

static status make_room(passages *p, error *err)
{
    size_t room = p->room ? 2 * p->room : 64;
    if (p->n < p->room)
        return OK;
    if (room > PASSAGES_MAX)
        return fail(err, E_RANGE, "more than %d passages", PASSAGES_MAX);
    passage *items = mem_resize(p->items, room * sizeof *items);
    if (!items)
        return fail(err, E_NOMEM, "no memory for %zu passages", room);
    p->items = items;
    p->room = room;
    return OK;
}

status passages_add(passages *p, const int32_t *ids, uint32_t n, uint32_t first, uint32_t cluster, error *err)
{
    if (first == 0 || first >= n)
        return fail(err, E_RANGE, "a passage of %u tokens has none to judge from the %u. on", n, first);
    if (cluster > p->n_clusters)
        return fail(err, E_RANGE, "cluster %u comes before cluster %u", cluster, p->n_clusters);
    status s = make_room(p, err);
    size_t at = p->tokens.n;
    for (uint32_t i = 0; !s && i < n; i++)
        s = token_list_add(&p->tokens, ids[i], err);
    if (s) {
        p->tokens.n = at;
        return s;
    }
    p->items[p->n++] = (passage){ at, n, first, cluster };
    p->n_judged += n - first;
    p->n_clusters = cluster >= p->n_clusters ? cluster + 1 : p->n_clusters;
    p->longest = n > p->longest ? n : p->longest;
    return OK;
}

status passages_windows(passages *p, const vocab *v, const char *text, size_t n, const char *name, uint32_t window,
                        uint32_t most, error *err)
{
    token_list all = TOKEN_LIST_INIT(PASSAGES_TOKENS_MAX);
    status s = vocab_encode(v, text, n, VOCAB_BOS, &all, err);
    if (!s && all.n < window)
        s = fail(err, E_RANGE, "%s: %zu tokens, and one window has %u: give a longer text or a smaller --ctx", name,
                 all.n, window);
    for (size_t from = 0; !s && from + window <= all.n && (!most || p->n < most); from += window) {
        if (vocab_adds_bos(v) && vocab_bos(v) >= 0)
            all.ids[from] = vocab_bos(v);
        s = passages_add(p, all.ids + from, window, window / 2 + 1, (uint32_t)p->n, err);
    }
    token_list_clear(&all);
    return s;
}
