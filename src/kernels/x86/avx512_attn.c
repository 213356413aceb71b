/* Attention for AVX-512: avx2_attn.c with 16 keys or 16 dimensions to a register. Head dimensions that are no multiple
 * of 16 end in a masked block. */
#include <math.h>

#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"

enum { GROUP = 4, CHAINS = 8 }; /* queries at once; registers that accumulate for each */

/* tanh is rare here (soft-caps): two halves of avx2_int.h's. */
INLINE __m512 join16(__m256 low, __m256 high)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
}

INLINE __m512 tanh16(__m512 x)
{
    return join16(tanh8(_mm512_castps512_ps256(x)), tanh8(_mm512_extractf32x8_ps(x, 1)));
}

INLINE __m512 page16(enum kernels_kv kv, const void *page, size_t i, __mmask16 mask)
{
    if (kv == KV_F32)
        return _mm512_maskz_loadu_ps(mask, (const float *)page + i);
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)page + i));
}

/* Scores of `blocks` x 16 keys from `at` of a page for n queries. */
INLINE void scores(enum kernels_kv kv, const kernels_attn *a, const void *page, size_t at, const int n,
                   const int blocks, const float *const q[GROUP], float *const score[GROUP])
{
    const size_t dim = a->head_dim, base = at * dim;
    __m512 acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm512_setzero_ps();
    for (size_t d = 0; d < dim; d++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            __m512 key = page16(kv, page, base + 16 * (d + dim * (size_t)b), 0xFFFF);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm512_fmadd_ps(_mm512_set1_ps(q[i][d]), key, acc[i][b]);
        }
    const __m512 scale = _mm512_set1_ps(a->scale), cap = _mm512_set1_ps(a->softcap);
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            __m512 s = _mm512_mul_ps(acc[i][b], scale);
            if (a->softcap != 0.0f)
                s = _mm512_mul_ps(cap, tanh16(_mm512_mul_ps(s, _mm512_div_ps(_mm512_set1_ps(1.0f), cap))));
            _mm512_storeu_ps(score[i] + 16 * b, s);
        }
}

/* Adds p * value over positions [from, to) of a page to n weighted sums, `blocks` x 16 dimensions from d on; the last
 * block is masked. */
INLINE void values(enum kernels_kv kv, size_t dim, const void *page, int from, int to, size_t d, const int n,
                   const int blocks, __mmask16 mask, const float *const p[GROUP], float *const out[GROUP])
{
    __m512 acc[GROUP][CHAINS];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm512_maskz_loadu_ps(mask, out[i] + d + 16 * (size_t)b);
    for (int at = from; at < to; at++) {
        size_t index = ((size_t)KERNELS_PAGE + (size_t)at) * dim + d;
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m512 v = page16(kv, page, index + 16 * (size_t)b, mask);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm512_fmadd_ps(_mm512_set1_ps(p[i][at]), v, acc[i][b]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            _mm512_mask_storeu_ps(out[i] + d + 16 * (size_t)b, mask, acc[i][b]);
}

/* exp8 of avx2_int.h, sixteen at once. */
INLINE __m512 exp16(__m512 x)
{
    const __m512 round = _mm512_set1_ps(0x1.8p23f);
    __mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-80.0f), _CMP_NLT_UQ);
    __m512 t = _mm512_min_ps(x, _mm512_set1_ps(88.0f));
    __m512 n = _mm512_mul_ps(t, _mm512_set1_ps(0x1.715476p+0f));
    n = _mm512_sub_ps(_mm512_add_ps(n, round), round);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e43p-1f), t);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-0x1.05c61p-29f), r);
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(0x1.6a2314p-10f), r, _mm512_set1_ps(0x1.123a8ep-7f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.5558f6p-5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.555490p-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0x1.fffffcp-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    __m512i scale = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
    return _mm512_maskz_mul_ps(keep, p, _mm512_castsi512_ps(scale));
}

/* Scores of positions [from, to) become weights: outside of the query's own range they are +0. Maximum and sum go into
 * the state. */
INLINE void weigh(float *p, int from, int to, range own, float *state)
{
    for (int i = from; i < own.first; i++)
        p[i] = -INFINITY; /* exp gives +0, and they are no maximum */
    for (int i = own.last + 1; i < to; i++)
        p[i] = -INFINITY;
    __m512 m = _mm512_set1_ps(-INFINITY);
    for (int i = from; i < to; i += 16)
        m = _mm512_max_ps(_mm512_loadu_ps(p + i), m);
    state[0] = _mm512_reduce_max_ps(m);
    const __m512 top = _mm512_set1_ps(state[0]);
    __m512 lane = _mm512_setzero_ps();
    for (int i = from; i < to; i += 16) {
        __m512 e = exp16(_mm512_sub_ps(_mm512_loadu_ps(p + i), top));
        _mm512_storeu_ps(p + i, e);
        lane = _mm512_add_ps(lane, e);
    }
    state[1] = sum16(_mm512_castps512_ps256(lane), _mm512_extractf32x8_ps(lane, 1));
}

INLINE void all_values(enum kernels_kv kv, size_t dim, const void *page, int from, int to, const int n,
                       const float *const p[GROUP], float *const out[GROUP])
{
    const int wide = n == 1 ? 8 : 4; /* blocks of 16 dimensions */
    size_t d = 0;
    for (; d + 16 * (size_t)wide <= dim; d += 16 * (size_t)wide)
        values(kv, dim, page, from, to, d, n, wide, 0xFFFF, p, out);
    if (n == 1)
        for (; d + 64 <= dim; d += 64)
            values(kv, dim, page, from, to, d, n, 4, 0xFFFF, p, out);
    for (; d < dim; d += 16)
        values(kv, dim, page, from, to, d, n, 1, dim - d < 16 ? 0xFF : 0xFFFF, p, out);
}

/* A group of n queries over the union of their ranges: where one of them may not look its weight is +0. */
INLINE void attend_group(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, const range *own,
                         const kernels_query *queries, const int n)
{
    _Alignas(64) float p[GROUP][KERNELS_SPAN];
    int first = own[0].first, last = own[0].last;
    for (int i = 1; i < n; i++) {
        first = own[i].first < first ? own[i].first : first;
        last = own[i].last > last ? own[i].last : last;
    }
    const size_t dim = a->head_dim;
    const float *q[GROUP], *weights[GROUP];
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        q[i] = queries[i].q;
    for (int at = first & ~15, step; at <= last; at += step) {
        step = at % 64 == 0 && at + 64 <= ((last + 16) & ~15) ? 64 : 16;
        for (int i = 0; i < n; i++)
            score[i] = p[i] + at;
        if (step == 64)
            scores(kv, a, pages[at / KERNELS_PAGE], (size_t)at % KERNELS_PAGE, n, 4, q, score);
        else
            scores(kv, a, pages[at / KERNELS_PAGE], (size_t)at % KERNELS_PAGE, n, 1, q, score);
    }
    for (int i = 0; i < n; i++) {
        float *state = queries[i].state;
        memset(state, 0, (KERNELS_STATE_HEADER + dim) * sizeof *state);
        weigh(p[i], first & ~15, (last + 16) & ~15, own[i], state);
        out[i] = state + KERNELS_STATE_HEADER;
    }
    for (int page = first / KERNELS_PAGE; page <= last / KERNELS_PAGE; page++) {
        int base = page * KERNELS_PAGE;
        int from = first > base ? first - base : 0, to = last - base < KERNELS_PAGE ? last - base + 1 : KERNELS_PAGE;
        for (int i = 0; i < n; i++)
            weights[i] = p[i] + base;
        all_values(kv, dim, pages[page], from, to, n, weights, out);
    }
}

/* Adjacent queries whose ranges differ by little go together: heads of one row, and rows of a prompt. */
INLINE void attend(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, int32_t span,
                   const kernels_query *queries, size_t n_queries)
{
    pages += span * (KERNELS_SPAN / KERNELS_PAGE);
    for (size_t i = 0, n; i < n_queries; i += n) {
        const kernels_query *q = &queries[i];
        range own[GROUP];
        for (n = 0; n < GROUP && i + n < n_queries; n++) {
            own[n] = range_in_span(&q[n], span);
            if (own[n].first > own[n].last || !near(own[0], own[n]))
                break;
        }
        if (n == 0) {
            memset(q->state, 0, (KERNELS_STATE_HEADER + a->head_dim) * sizeof *q->state);
            n = 1;
        } else if (n == 4) {
            attend_group(kv, a, pages, own, q, 4);
        } else if (n == 3) {
            attend_group(kv, a, pages, own, q, 3);
        } else if (n == 2) {
            attend_group(kv, a, pages, own, q, 2);
        } else {
            attend_group(kv, a, pages, own, q, 1);
        }
    }
}

static void attend_f16(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend(KV_F16, a, pages, span, queries, n_queries);
}

static void attend_f32(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend(KV_F32, a, pages, span, queries, n_queries);
}

void kernels_avx512_attn(kernels *k)
{
    k->attend[KV_F16] = attend_f16;
    k->attend[KV_F32] = attend_f32;
}
