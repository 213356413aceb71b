/* crowd_attn_int.h: attention over pages of floats, what AVX2 and AVX-512 have in common: a template. The file that
 * includes it defines PAGE_FUNCTIONS and has defined for its registers: page_scores, page_values, weigh, widen. Private
 * to kernels/.
 *
 *   page_scores   scores of positions [from, to), multiples of 16, of a page for n queries; score[i] is where that of
 *                 the page's first position goes. `ahead` as to_next gives it; a constant 0 asks for nothing
 *   page_values   adds weight x value over positions [from, to) of a page to n weighted sums; p[i] is the weight of the
 *                 page's first position
 *   weigh         weigh8 or weigh16
 *   widen         n halves, a multiple of 16, become floats
 *
 * A few queries walk the span together (attend_group). A prompt brings many that see nearly the same keys: for them
 * each page of halves becomes floats once (attend_crowd), where groups would widen it again each. */
#ifndef KERNELS_X86_CROWD_ATTN_INT_H
#define KERNELS_X86_CROWD_ATTN_INT_H

#include "kernels/x86/avx2_attn_int.h"

#ifdef PAGE_FUNCTIONS

/* The part of page number `page` of [from, to). */
INLINE range part_of(int page, int from, int to)
{
    const int base = page * KERNELS_PAGE;
    return (range){ from > base ? from - base : 0, to - base < KERNELS_PAGE ? to - base : KERNELS_PAGE };
}

INLINE void weigh_from_zero(float *p, int from, int to, range own, size_t dim, float *state)
{
    memset(state, 0, (KERNELS_STATE_HEADER + dim) * sizeof *state);
    weigh(p, from, to, own, state);
}

/* A group of n queries over the union of their ranges: where one of them may not look its weight is +0. */
INLINE void attend_group(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, const range *own,
                         const kernels_query *queries, const int n)
{
    _Alignas(64) float p[GROUP][KERNELS_SPAN];
    const range u = union_of(own, n);
    const int begin = u.first & ~15, end = (u.last + 16) & ~15, last = u.last / KERNELS_PAGE;
    const float *q[GROUP], *weights[GROUP];
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        q[i] = queries[i].q;
    for (int page = begin / KERNELS_PAGE; page <= last; page++) {
        const range part = part_of(page, begin, end);
        for (int i = 0; i < n; i++)
            score[i] = p[i] + page * KERNELS_PAGE;
        page_scores(kv, a, pages[page], to_next(pages, page, last), part.first, part.last, n, q, score);
    }
    for (int i = 0; i < n; i++) {
        weigh_from_zero(p[i], begin, end, own[i], a->head_dim, queries[i].state);
        out[i] = queries[i].state + KERNELS_STATE_HEADER;
    }
    for (int page = begin / KERNELS_PAGE; page <= last; page++) {
        const range part = part_of(page, u.first, u.last + 1);
        for (int i = 0; i < n; i++)
            weights[i] = p[i] + page * KERNELS_PAGE;
        page_values(kv, a->head_dim, pages[page], to_next(pages, page, last), part.first, part.last, n, weights, out);
    }
}

/* ---- many queries on F16 ---- */

enum { CROWD_DIM = 256 }; /* most dimensions of a head, so that its page fits the stack and the second-level cache */

typedef struct crowd {
    _Alignas(64) float p[MANY][KERNELS_SPAN];
    _Alignas(64) float page[2 * KERNELS_PAGE * CROWD_DIM]; /* as KV_F32 lays it out */
} crowd;

INLINE void crowd_scores(crowd *c, const kernels_attn *a, int page, range part, const kernels_query *queries,
                         size_t first, const int n)
{
    const float *q[GROUP];
    float *score[GROUP];
    for (int i = 0; i < n; i++) {
        q[i] = queries[first + (size_t)i].q;
        score[i] = c->p[first + (size_t)i] + page * KERNELS_PAGE;
    }
    page_scores(KV_F32, a, c->page, 0, part.first, part.last, n, q, score);
}

INLINE void crowd_values(crowd *c, const kernels_attn *a, int page, range part, const kernels_query *queries,
                         size_t first, const int n)
{
    const float *weights[GROUP];
    float *out[GROUP];
    for (int i = 0; i < n; i++) {
        weights[i] = c->p[first + (size_t)i] + page * KERNELS_PAGE;
        out[i] = queries[first + (size_t)i].state + KERNELS_STATE_HEADER;
    }
    page_values(KV_F32, a->head_dim, c->page, 0, part.first, part.last, n, weights, out);
}

static void attend_crowd(const kernels_attn *a, const void *const *pages, const range *own,
                         const kernels_query *queries, size_t n)
{
    crowd c;
    const size_t dim = a->head_dim, values = KERNELS_PAGE * dim;
    const range u = union_of(own, (int)n);
    const int begin = u.first & ~15, end = (u.last + 16) & ~15, last = u.last / KERNELS_PAGE;
    for (int page = begin / KERNELS_PAGE; page <= last; page++) {
        const range part = part_of(page, begin, end);
        const size_t from = (size_t)part.first * dim;
        size_t i = 0;
        widen((const uint16_t *)pages[page] + from, (size_t)part.last * dim - from, c.page + from);
        for (; i + GROUP <= n; i += GROUP)
            crowd_scores(&c, a, page, part, queries, i, GROUP);
        for (; i < n; i++)
            crowd_scores(&c, a, page, part, queries, i, 1);
    }
    for (size_t i = 0; i < n; i++)
        weigh_from_zero(c.p[i], begin, end, own[i], dim, queries[i].state);
    for (int page = begin / KERNELS_PAGE; page <= last; page++) {
        const range part = part_of(page, u.first, u.last + 1);
        const size_t from = values + (size_t)(part.first & ~1) * dim; /* of two rows the values are a multiple of 16 */
        size_t i = 0;
        const size_t to = values + (size_t)((part.last + 1) & ~1) * dim;
        widen((const uint16_t *)pages[page] + from, to - from, c.page + from);
        for (; i + GROUP <= n; i += GROUP)
            crowd_values(&c, a, page, part, queries, i, GROUP);
        for (; i < n; i++)
            crowd_values(&c, a, page, part, queries, i, 1);
    }
}

/* ---- kernels.attend ---- */

INLINE void group_f16(const kernels_attn *a, const void *const *pages, const range *own, const kernels_query *queries,
                      const int n)
{
    attend_group(KV_F16, a, pages, own, queries, n);
}

static void attend_f16(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend_in_groups(group_f16, a->head_dim <= CROWD_DIM ? attend_crowd : NULL, a, pages, span, queries, n_queries);
}

INLINE void group_f32(const kernels_attn *a, const void *const *pages, const range *own, const kernels_query *queries,
                      const int n)
{
    attend_group(KV_F32, a, pages, own, queries, n);
}

static void attend_f32(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend_in_groups(group_f32, NULL, a, pages, span, queries, n_queries);
}

#endif
#endif
