/* neon_attn_int.h: what attention for AArch64 shares, whatever the type of the cache: which queries go through the
 * pages together, and how scores become weights. Private to kernels/arm. */
#ifndef KERNELS_ARM_NEON_ATTN_INT_H
#define KERNELS_ARM_NEON_ATTN_INT_H

#include <math.h>

#include "kernels/arm/neon_int.h"
#include "kernels/levels_int.h"

enum { GROUP = 4 }; /* queries at once */

/* n queries with a common [first, last] within the span (positions relative to it). pages are the span's. */
typedef void group_attention(const kernels_attn *a, const void *const *pages, int first, int last,
                             const kernels_query *queries, const int n);

INLINE void attend_in_groups(group_attention *group, const kernels_attn *a, const void *const *pages, int32_t span,
                             const kernels_query *queries, size_t n_queries)
{
    const int32_t begin = span * KERNELS_SPAN;
    pages += begin / KERNELS_PAGE;
    for (size_t i = 0, n; i < n_queries; i += n) {
        const kernels_query *q = &queries[i];
        n = 1;
        int32_t first = q->first > begin ? q->first - begin : 0, last = q->last - begin;
        last = last < KERNELS_SPAN ? last : KERNELS_SPAN - 1;
        if (first > last) {
            memset(q->state, 0, (KERNELS_STATE_HEADER + a->head_dim) * sizeof *q->state);
            continue;
        }
        while (n < GROUP && i + n < n_queries && q[n].first == q->first && q[n].last == q->last)
            n++;
        if (n == 4)
            group(a, pages, first, last, q, 4);
        else if (n == 3)
            group(a, pages, first, last, q, 3);
        else if (n == 2)
            group(a, pages, first, last, q, 2);
        else
            group(a, pages, first, last, q, 1);
    }
}

/* The soft-cap, where there is one. */
INLINE float32x4_t capped4(const kernels_attn *a, float32x4_t s)
{
    const float32x4_t cap = set4(a->softcap);
    if (a->softcap != 0.0f)
        s = vmulq_f32(cap, tanh4(vmulq_f32(s, vdivq_f32(set4(1.0f), cap))));
    return s;
}

/* Scores of the span become weights: outside [first, last] they are +0. Maximum and sum go into the state. */
INLINE void weigh(float *p, int first, int last, float *state)
{
    for (int i = first & ~15; i < first; i++)
        p[i] = -INFINITY; /* exp gives +0, and they are no maximum */
    for (int i = last + 1; i < ((last + 16) & ~15); i++)
        p[i] = -INFINITY;
    float32x4_t m = set4(-INFINITY);
    for (int i = first & ~15; i <= last; i += 4)
        m = max4(vld1q_f32(p + i), m);
    state[0] = vmaxvq_f32(m);
    const float32x4_t top = set4(state[0]);
    float32x4_t lane[4] = { set4(0.0f), set4(0.0f), set4(0.0f), set4(0.0f) };
    for (int i = first & ~15; i <= last; i += 16)
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) {
            float32x4_t e = exp4(vsubq_f32(vld1q_f32(p + i + 4 * q), top));
            vst1q_f32(p + i + 4 * q, e);
            lane[q] = vaddq_f32(lane[q], e);
        }
    state[1] = sum16(lane);
}

#endif
