/* Attention over eight-bit pages for AVX2. 16 bytes of a page, four dimensions of 4 keys or four positions of 4
 * dimensions, are widened to 16 bits and multiplied with four codes of a query or of the weights; products are added in
 * pairs, so two lanes hold a sum until the end. Loaded bytes serve all queries of a group. */
#include "kernels/kv_q8_int.h"
#include "kernels/x86/avx2_attn_int.h"

enum { WIDE = 4 }; /* most blocks of 8 keys or dimensions at once */

typedef struct query_codes {
    int16_t code[KERNELS_MAX_HEAD_DIM];
    float scale; /* the query's times the attention's */
} query_codes;

typedef struct weight_codes {
    int16_t code[KERNELS_SPAN];
    float scale;
} weight_codes;

/* Codes of n values of magnitude up to amax, n a multiple of 8; returns their scale. */
INLINE float wide_codes(const float *x, size_t n, float amax, int16_t *codes)
{
    const bool zero = amax < 0x1p-100f;
    const __m256 id = _mm256_set1_ps(zero ? 0.0f : Q8_WIDE_TOP / amax);
    for (size_t i = 0; i < n; i += 8) {
        __m256i v = zero ? _mm256_setzero_si256() : codes8(x + i, id, Q8_WIDE_TOP);
        __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        _mm_storeu_si128((__m128i *)(void *)(codes + i), w);
    }
    return zero ? 0.0f : amax / Q8_WIDE_TOP;
}

INLINE __m256i four_codes(const int16_t *p) /* to every lane of 64 bits */
{
    int64_t v;
    memcpy(&v, p, 8);
    return _mm256_set1_epi64x(v);
}

INLINE __m256i widened16(const int8_t *p)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* Eight sums from pairs: those of a, then those of b. */
INLINE __m256 join_pairs(__m256i a, __m256i b)
{
    return _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xD8));
}

/* Adds the products of 32 bytes at p, eight keys or dimensions, to n sums. */
INLINE void add_products(const int8_t *p, ptrdiff_t ahead, const int n, const int16_t *const code[GROUP], size_t at,
                         __m256i sum[GROUP][2 * WIDE], const int b)
{
    if (b % 2 == 0)
        ask(p, ahead);
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        const __m256i v = widened16(p + 16 * h);
#pragma GCC unroll 4
        for (int i = 0; i < n; i++)
            sum[i][2 * b + h] = _mm256_add_epi32(sum[i][2 * b + h], _mm256_madd_epi16(v, four_codes(code[i] + at)));
    }
}

/* Scores of `blocks` x 8 keys (of 16) from `at` of a page for n queries. */
INLINE void scores(const kernels_attn *a, const void *page, ptrdiff_t ahead, size_t at, const int n, const int blocks,
                   const query_codes *q, float *const score[GROUP])
{
    const size_t dim = a->head_dim, groups = q8_groups(dim);
    const int8_t *keys = q8_keys(page) + at / 16 * 16 * dim + at % 16 * 4;
    const float *scales = q8_key_scales(page, dim) + at / 16 * 16 * groups + at % 16;
    const int16_t *code[GROUP];
    __m256 acc[GROUP][WIDE];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        code[i] = q[i].code;
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            acc[i][b] = _mm256_setzero_ps();
    }
    for (size_t g = 0, d = 0; g < groups; g++) {
        __m256i sum[GROUP][2 * WIDE];
#pragma GCC unroll 4
        for (int i = 0; i < n; i++)
#pragma GCC unroll 8
            for (int b = 0; b < 2 * blocks; b++)
                sum[i][b] = _mm256_setzero_si256();
        for (; d < dim && d < (g + 1) * Q8_GROUP; d += 4)
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++)
                add_products(keys + 16 * d + 32 * b, ahead, n, code, d, sum, b);
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++) {
            const __m256 scale = _mm256_loadu_ps(scales + 16 * g + 8 * b);
            ask(scales + 16 * g, ahead);
#pragma GCC unroll 4
            for (int i = 0; i < n; i++)
                acc[i][b] = _mm256_fmadd_ps(scale, join_pairs(sum[i][2 * b], sum[i][2 * b + 1]), acc[i][b]);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            _mm256_storeu_ps(score[i] + 8 * b, capped8(a, _mm256_mul_ps(acc[i][b], _mm256_set1_ps(q[i].scale))));
}

/* Codes of weight times the value's scale for positions [from, to), multiples of 16. A weight of +0 is 0, whatever lies
 * in the page. */
INLINE void code_weights(const void *const *pages, size_t dim, float *p, int from, int to, weight_codes *w)
{
    for (int i = from; i < to; i += 8) {
        __m256 e = _mm256_loadu_ps(p + i);
        __m256 scale = _mm256_loadu_ps(q8_value_scales(pages[i / KERNELS_PAGE], dim) + i % KERNELS_PAGE);
        __m256 some = _mm256_cmp_ps(e, _mm256_setzero_ps(), _CMP_NEQ_UQ);
        _mm256_storeu_ps(p + i, _mm256_and_ps(_mm256_mul_ps(e, scale), some));
    }
    const size_t n = (size_t)(to - from);
    w->scale = wide_codes(p + from, n, largest(p + from, n), w->code + from);
}

/* Weighted sums of `blocks` x 8 dimensions from d on over positions [from, to), multiples of 4, for n queries. */
INLINE void values(size_t dim, const void *const *pages, int from, int to, size_t d, const int n, const int blocks,
                   const weight_codes *w, float *const out[GROUP])
{
    const int16_t *code[GROUP];
    __m256i sum[GROUP][2 * WIDE];
#pragma GCC unroll 4
    for (int i = 0; i < n; i++) {
        code[i] = w[i].code;
#pragma GCC unroll 8
        for (int b = 0; b < 2 * blocks; b++)
            sum[i][b] = _mm256_setzero_si256();
    }
    for (int at = from, end; at < to; at = end) {
        const int8_t *v = q8_values(pages[at / KERNELS_PAGE], dim) + ((size_t)(at % KERNELS_PAGE) * dim + 4 * d);
        const ptrdiff_t ahead = to_next(pages, at / KERNELS_PAGE, (to - 1) / KERNELS_PAGE);
        end = (at | (KERNELS_PAGE - 1)) + 1;
        end = end < to ? end : to;
        for (int k = at; k < end; k += 4, v += 4 * dim)
#pragma GCC unroll 4
            for (int b = 0; b < blocks; b++)
                add_products(v + 32 * b, ahead, n, code, (size_t)k, sum, b);
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; i++)
#pragma GCC unroll 4
        for (int b = 0; b < blocks; b++)
            _mm256_storeu_ps(out[i] + d + 8 * (size_t)b, _mm256_mul_ps(_mm256_set1_ps(w[i].scale),
                                                                      join_pairs(sum[i][2 * b], sum[i][2 * b + 1])));
}

INLINE void attend_group(const kernels_attn *a, const void *const *pages, const range *own,
                         const kernels_query *queries, const int n)
{
    _Alignas(32) float p[GROUP][KERNELS_SPAN];
    query_codes q[GROUP];
    weight_codes w[GROUP];
    const size_t dim = a->head_dim;
    const int first = union_of(own, n).first, last = union_of(own, n).last, from = first & ~15, to = (last + 16) & ~15;
    const int blocks = n > 2 ? 1 : 2; /* of 8 keys */
    float *score[GROUP], *out[GROUP];
    for (int i = 0; i < n; i++)
        q[i].scale = wide_codes(queries[i].q, dim, largest(queries[i].q, dim), q[i].code) * a->scale;
    for (int at = from; at < to; at += 8 * blocks) {
        for (int i = 0; i < n; i++)
            score[i] = p[i] + at;
        const int page = at / KERNELS_PAGE;
        const ptrdiff_t ahead = to_next(pages, page, last / KERNELS_PAGE);
        scores(a, pages[page], ahead, (size_t)at % KERNELS_PAGE, n, blocks, q, score);
    }
    for (int i = 0; i < n; i++) {
        memset(queries[i].state, 0, KERNELS_STATE_HEADER * sizeof(float));
        weigh8(p[i], from, to, own[i], queries[i].state);
        code_weights(pages, dim, p[i], from, to, &w[i]);
        out[i] = queries[i].state + KERNELS_STATE_HEADER;
    }
    const int wide = n == 1 ? 4 : n == 2 ? 2 : 1; /* blocks of 8 dimensions */
    size_t d = 0;
    for (; d + 8 * (size_t)wide <= dim; d += 8 * (size_t)wide)
        values(dim, pages, first & ~3, (last + 4) & ~3, d, n, wide, w, out);
    for (; d < dim; d += 8)
        values(dim, pages, first & ~3, (last + 4) & ~3, d, n, 1, w, out);
}

static void attend(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                   size_t n_queries)
{
    attend_in_groups(attend_group, a, pages, span, queries, n_queries);
}

/* ---- storing ---- */

/* Codes of n values, a multiple of 8; returns their scale. */
INLINE float narrow_codes(const float *x, size_t n, int8_t *codes)
{
    const float amax = largest(x, n);
    const bool zero = amax < 0x1p-100f;
    const __m256 id = _mm256_set1_ps(zero ? 0.0f : Q8_TOP / amax);
    for (size_t i = 0; i < n; i += 8) {
        __m256i v = zero ? _mm256_setzero_si256() : codes8(x + i, id, Q8_TOP);
        __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        _mm_storel_epi64((__m128i *)(void *)(codes + i), _mm_packs_epi16(w, w));
    }
    return zero ? 0.0f : amax / Q8_TOP;
}

static void store(void *page, size_t head_dim, int at, const float *key, const float *value)
{
    int8_t codes[KERNELS_MAX_HEAD_DIM], *keys = q8_keys(page), *values = q8_values(page, head_dim);
    for (size_t g = 0; g < q8_groups(head_dim); g++) {
        size_t d = g * Q8_GROUP, n = head_dim - d < Q8_GROUP ? head_dim - d : Q8_GROUP;
        q8_key_scales(page, head_dim)[q8_key_scale_at(head_dim, at, g)] = narrow_codes(key + d, n, codes + d);
    }
    for (size_t d = 0; d < head_dim; d += 4)
        memcpy(keys + q8_key_at(head_dim, at, d), codes + d, 4);
    q8_value_scales(page, head_dim)[at] = narrow_codes(value, head_dim, codes);
    for (size_t d = 0; d < head_dim; d++)
        values[q8_value_at(head_dim, at, d)] = codes[d];
}

void kernels_avx2_attn_q8(kernels *k)
{
    k->kv_store[KV_Q8] = store;
    k->attend[KV_Q8] = attend;
}
