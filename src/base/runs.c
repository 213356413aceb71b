/* runs.c: see the header. */
#include "base/runs.h"

#include <string.h>

#include "base/mem.h"

void runs_clear(runs *r)
{
    mem_free(r->at);
    *r = (runs){ 0 };
}

bool runs_add(runs *r, uint64_t from, uint64_t to)
{
    size_t i = 0, k;
    if (from >= to)
        return true;
    while (i < r->n && r->at[i].to < from)
        i++;
    for (k = i; k < r->n && r->at[k].from <= to; k++) { /* i .. k - 1 become one with the new one */
        from = r->at[k].from < from ? r->at[k].from : from;
        to = r->at[k].to > to ? r->at[k].to : to;
    }
    if (i == k && r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 16;
        run *more = mem_resize(r->at, room * sizeof *more);
        if (!more)
            return false;
        r->at = more;
        r->room = room;
    }
    memmove(r->at + i + 1, r->at + k, (r->n - k) * sizeof *r->at);
    r->n = r->n - (k - i) + 1;
    r->at[i] = (run){ from, to };
    return true;
}

uint64_t runs_sum(const runs *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->n; i++)
        sum += r->at[i].to - r->at[i].from;
    return sum;
}

uint64_t runs_prefix(const runs *r)
{
    return r->n && r->at[0].from == 0 ? r->at[0].to : 0;
}

uint64_t runs_end(const runs *r)
{
    return r->n ? r->at[r->n - 1].to : 0;
}

/* The first position from `at` on that no run holds; *next: where the next run after it begins. */
static uint64_t skip(const run *list, size_t n, uint64_t at, uint64_t *next)
{
    bool moved = true;
    while (moved) { /* the taken ones are in no order */
        moved = false;
        for (size_t i = 0; i < n; i++)
            if (list[i].from <= at && at < list[i].to) {
                at = list[i].to;
                moved = true;
            }
    }
    for (size_t i = 0; i < n; i++)
        if (list[i].from > at && list[i].from < *next && list[i].from < list[i].to)
            *next = list[i].from;
    return at;
}

bool runs_gap(const runs *r, const run *taken, size_t n, uint64_t end, uint64_t most, run *out)
{
    uint64_t at = 0, before, next;
    do {
        before = at;
        next = end;
        at = skip(r->at, r->n, at, &next);
        at = skip(taken, n, at, &next);
    } while (at != before);
    if (at >= end)
        return false;
    *out = (run){ at, next - at > most ? at + most : next };
    return true;
}
