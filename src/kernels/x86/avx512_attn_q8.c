/* Attention over eight-bit pages for AVX-512 VNNI. A vector of a page is 64 bytes: four dimensions of 16 keys, or four
 * positions of 16 dimensions; one instruction multiplies it with four codes of a query or of the weights and adds up.
 * Those have two digits of seven bits: two sums, added at the end. Loaded vectors serve all queries of a group.
 *
 * The instruction multiplies unsigned with signed bytes: weights are not negative, and to keys 128 is added, which the
 * sum of low digits takes back by what it starts from. */
#include "kernels/kv_q8_int.h"
#include "kernels/x86/avx512_attn_int.h"

enum { WIDE = 8 }; /* most blocks of 16 keys or dimensions at once */

typedef struct query_codes {
    int8_t high[KERNELS_MAX_HEAD_DIM], low[KERNELS_MAX_HEAD_DIM]; /* code = 128 * high + low, low in -64..63 */
    int32_t start[Q8_MAX_GROUPS];
    float scale; /* the query's times the attention's */
} query_codes;

typedef struct weight_codes {
    uint8_t high[KERNELS_SPAN], low[KERNELS_SPAN]; /* code = 128 * high + low, low in 0..127 */
    float scale;
} weight_codes;

/* ---- scores ---- */

INLINE void code_query(const kernels_attn *a, const float *q, query_codes *to)
{
    const size_t dim = a->head_dim;
    const float amax = largest(q, dim);
    const bool zero = amax < 0x1p-100f;
    const __m256 id = _mm256_set1_ps(zero ? 0.0f : Q8_WIDE_TOP / amax);
    to->scale = (zero ? 0.0f : amax / Q8_WIDE_TOP) * a->scale;
    for (size_t g = 0; g < q8_groups(dim); g++) {
        __m256i sum = _mm256_setzero_si256();
        for (size_t d = g * Q8_GROUP; d < dim && d < (g + 1) * Q8_GROUP; d += 8) {
            __m256i code = zero ? _mm256_setzero_si256() : codes8(q + d, id, Q8_WIDE_TOP);
            __m256i high = _mm256_srai_epi32(_mm256_add_epi32(code, _mm256_set1_epi32(64)), 7);
            __m256i low = _mm256_sub_epi32(code, _mm256_slli_epi32(high, 7));
            _mm_storel_epi64((__m128i *)(void *)(to->high + d), _mm256_cvtepi32_epi8(high));
            _mm_storel_epi64((__m128i *)(void *)(to->low + d), _mm256_cvtepi32_epi8(low));
            sum = _mm256_add_epi32(sum, code);
        }
        __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
        to->start[g] = -128 * (_mm_cvtsi128_si32(s) + _mm_extract_epi32(s, 1));
    }
}

/* Scores of `blocks` x 16 keys from `at` of a page for n queries. */
INLINE void scores(const kernels_attn *a, const void *page, ptrdiff_t ahead, size_t at, const int n, const int blocks,
                   const query_codes *q, float *const score[GROUP])
{
    const size_t dim = a->head_dim, groups = q8_groups(dim);
    const int8_t *keys = q8_keys(page) + at * dim;
    const float *scales = q8_key_scales(page, dim) + at * groups;
    __m512 acc[GROUP][WIDE];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm512_setzero_ps();
    for (size_t g = 0, d = 0; g < groups; g++) {
        __m512i high[GROUP][WIDE], low[GROUP][WIDE];
#pragma GCC unroll 4
        for (int i = 0; i < n; i++)
#pragma GCC unroll 8
            for (int b = 0; b < blocks; b++) {
                high[i][b] = _mm512_setzero_si512();
                low[i][b] = _mm512_set1_epi32(q[i].start[g]);
            }
        for (; d < dim && d < (g + 1) * Q8_GROUP; d += 4)
#pragma GCC unroll 8
            for (int b = 0; b < blocks; b++) {
                const int8_t *from = keys + 16 * (d + dim * (size_t)b);
                __m512i key = _mm512_loadu_si512(from);
                ask(from, ahead);
                key = _mm512_xor_si512(key, _mm512_set1_epi8(-128));
#pragma GCC unroll 4
                for (int i = 0; i < n; i++) {
                    high[i][b] = _mm512_dpbusd_epi32(high[i][b], key, _mm512_set1_epi32(load32(q[i].high + d)));
                    low[i][b] = _mm512_dpbusd_epi32(low[i][b], key, _mm512_set1_epi32(load32(q[i].low + d)));
                }
            }
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m512 scale = _mm512_loadu_ps(scales + 16 * (g + groups * (size_t)b));
            ask(scales + 16 * (g + groups * (size_t)b), ahead);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++) {
                __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(high[i][b], 7), low[i][b]);
                acc[i][b] = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(sum), acc[i][b]);
            }
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            _mm512_storeu_ps(score[i] + 16 * b, capped16(a, _mm512_mul_ps(acc[i][b], _mm512_set1_ps(q[i].scale))));
}

/* ---- values ---- */

/* Codes of weight times the value's scale for positions [from, to), multiples of 16. A weight of +0 is 0, whatever lies
 * in the page. */
INLINE void code_weights(const void *const *pages, size_t dim, float *p, int from, int to, weight_codes *w)
{
    __m512 top = _mm512_setzero_ps();
    for (int i = from; i < to; i += 16) {
        __m512 e = _mm512_loadu_ps(p + i), scale = _mm512_loadu_ps(
            q8_value_scales(pages[i / KERNELS_PAGE], dim) + i % KERNELS_PAGE);
        e = _mm512_maskz_mul_ps(_mm512_cmp_ps_mask(e, _mm512_setzero_ps(), _CMP_NEQ_UQ), e, scale);
        _mm512_storeu_ps(p + i, e);
        top = _mm512_max_ps(e, top);
    }
    const float amax = _mm512_reduce_max_ps(top);
    const bool zero = amax < 0x1p-100f;
    const __m512 id = _mm512_set1_ps(zero ? 0.0f : Q8_WIDE_TOP / amax), most = _mm512_set1_ps(Q8_WIDE_TOP);
    w->scale = zero ? 0.0f : amax / Q8_WIDE_TOP;
    for (int i = from; i < to; i += 16) {
        __m512 v = _mm512_min_ps(_mm512_mul_ps(_mm512_loadu_ps(p + i), id), most);
        __m512i code = zero ? _mm512_setzero_si512() : _mm512_cvtps_epi32(v);
        _mm_storeu_si128((__m128i *)(void *)(w->high + i), _mm512_cvtepi32_epi8(_mm512_srli_epi32(code, 7)));
        code = _mm512_and_si512(code, _mm512_set1_epi32(127));
        _mm_storeu_si128((__m128i *)(void *)(w->low + i), _mm512_cvtepi32_epi8(code));
    }
}

/* Weighted sums of `blocks` x 16 dimensions from d on over positions [from, to), multiples of 4, for n queries; the
 * last block is masked. */
INLINE void values(size_t dim, const void *const *pages, int from, int to, size_t d, const int n, const int blocks,
                   __mmask16 mask, const weight_codes *w, float *const out[GROUP])
{
    __m512i high[GROUP][WIDE], low[GROUP][WIDE];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++)
            high[i][b] = low[i][b] = _mm512_setzero_si512();
    for (int at = from, end; at < to; at = end) {
        const int8_t *v = q8_values(pages[at / KERNELS_PAGE], dim) + ((size_t)(at % KERNELS_PAGE) * dim + 4 * d);
        const ptrdiff_t ahead = to_next(pages, at / KERNELS_PAGE, (to - 1) / KERNELS_PAGE);
        end = (at | (KERNELS_PAGE - 1)) + 1;
        end = end < to ? end : to;
        for (int k = at; k < end; k += 4, v += 4 * dim)
#pragma GCC unroll 8
            for (int b = 0; b < blocks; b++) {
                __m512i value = _mm512_maskz_loadu_epi32(mask, v + 64 * b);
                ask(v + 64 * b, ahead);
#pragma GCC unroll 4
                for (int i = 0; i < n; i++) {
                    high[i][b] = _mm512_dpbusd_epi32(high[i][b], _mm512_set1_epi32(load32(w[i].high + k)), value);
                    low[i][b] = _mm512_dpbusd_epi32(low[i][b], _mm512_set1_epi32(load32(w[i].low + k)), value);
                }
            }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 8
        for (int b = 0; b < blocks; b++) {
            __m512 sum = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high[i][b], 7), low[i][b]));
            _mm512_mask_storeu_ps(out[i] + d + 16 * (size_t)b, mask, _mm512_mul_ps(_mm512_set1_ps(w[i].scale), sum));
        }
}

INLINE void all_values(size_t dim, const void *const *pages, int from, int to, const int n, const weight_codes *w,
                       float *const out[GROUP])
{
    const int wide = n == 1 ? 8 : n <= 3 ? 4 : 2;
    size_t d = 0;
    for (; d + 16 * (size_t)wide <= dim; d += 16 * (size_t)wide)
        values(dim, pages, from, to, d, n, wide, 0xFFFF, w, out);
    if (n == 1)
        for (; d + 64 <= dim; d += 64)
            values(dim, pages, from, to, d, n, 4, 0xFFFF, w, out);
    for (; d < dim; d += 16)
        values(dim, pages, from, to, d, n, 1, dim - d < 16 ? 0xFF : 0xFFFF, w, out);
}

/* ---- all of it ---- */

INLINE void attend_group(const kernels_attn *a, const void *const *pages, const range *own,
                         const kernels_query *queries, const int n)
{
    _Alignas(64) float p[GROUP][KERNELS_SPAN];
    query_codes q[GROUP];
    weight_codes w[GROUP];
    const int first = union_of(own, n).first, last = union_of(own, n).last;
    const int from = first & ~15, to = (last + 16) & ~15, step = n > 2 ? 32 : 64;
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        code_query(a, queries[i].q, &q[i]);
    for (int at = from, size; at < to; at += size) {
        size = at % step == 0 && at + step <= to ? step : 16;
        for (int i = 0; i < n; i++)
            score[i] = p[i] + at;
        const int page = at / KERNELS_PAGE;
        const ptrdiff_t ahead = to_next(pages, page, last / KERNELS_PAGE);
        if (size == step)
            scores(a, pages[page], ahead, (size_t)at % KERNELS_PAGE, n, step / 16, q, score);
        else
            scores(a, pages[page], ahead, (size_t)at % KERNELS_PAGE, n, 1, q, score);
    }
    for (int i = 0; i < n; i++) {
        memset(queries[i].state, 0, KERNELS_STATE_HEADER * sizeof(float));
        weigh16(p[i], from, to, own[i], queries[i].state);
        code_weights(pages, a->head_dim, p[i], from, to, &w[i]);
        out[i] = queries[i].state + KERNELS_STATE_HEADER;
    }
    all_values(a->head_dim, pages, first & ~3, (last + 4) & ~3, n, w, out);
}

static void attend(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                   size_t n_queries)
{
    attend_in_groups(attend_group, a, pages, span, queries, n_queries);
}

void kernels_avx512_attn_q8(kernels *k)
{
    k->attend[KV_Q8] = attend;
}
