/* tile256.h: many tokens times integer weights with 256-bit registers: a template for avx2_tile.c, avxvnni_mul.c and
 * avx512vl_mul.c. The last two say before they include it: TILE_NAME(name), the function of one type, TILE_STORAGE,
 * static or nothing, TILE_VNNI, 0 or 1, and with 1 also DPBUSD and DPWSSD. Codes and scales: avx2_mul_int.h.
 *
 * A sub-block of 32 values of 16 rows is spread into bytes once, in the first-level cache, and stays while the tokens
 * pass, COLS at a time: per group of four values two registers of weights meet COLS broadcast words, and 2 x COLS sums
 * stay in registers.
 *
 * Without VNNI sums are of 16 bits, and codes of 8 bits (signed ones are offset by 128) are two planes of 4 bits, so
 * that eight groups of them fit too: products of whole bytes would leave no room for a second one. */
#ifndef TILE_NAME /* avx2_tile.c */
#define TILE_NAME(name) kernels_avx2_tile_##name
#define TILE_STORAGE
#define TILE_VNNI 0
#endif

#include "kernels/x86/avx2_mul_int.h"

enum {
    TILE = 32, /* tokens that share one spreading; their totals stay in the first-level cache */
    COLS = 3,  /* tokens at once: 6 sums, 2 weights, an input and a product fill 10 of 16 registers */
};

typedef struct tile_codes {
    __m256i v[2][8][2]; /* [plane][group][half of the rows] */
} tile_codes;

typedef struct tile_factors {
    __m256i v[2][2][2]; /* what a sum is multiplied with: [plane][half of the 32 values][half of the rows] */
} tile_factors;

INLINE int planes(const spec s)
{
    return s.fold || TILE_VNNI ? 1 : 2;
}

INLINE int offset(const spec s)
{
    return s.fold ? s.offset : 128;
}

INLINE void spread(const spec s, const uint8_t *p, __m256i table, tile_codes *c)
{
    const __m256i low = _mm256_set1_epi8(15), flip = _mm256_set1_epi8((char)0x80);
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i w[8];
        unpack(s, p + 32 * h, table, w);
        UNROLL
        for (int g = 0; g < 8; g++) {
            if (!s.fold)
                w[g] = _mm256_xor_si256(w[g], flip);
            c->v[0][g][h] = planes(s) == 1 ? w[g] : _mm256_and_si256(w[g], low);
            if (planes(s) == 2)
                c->v[1][g][h] = _mm256_and_si256(_mm256_srli_epi16(w[g], 4), low);
        }
    }
}

#if TILE_VNNI
/* Scales as 16-bit pairs (c, 256 c), for a sum split into its lowest byte and the rest: DPWSSD is then the product and
 * its addition. Sums stay below 2^23. */
INLINE __m256i factor(__m256i doubled, int plane)
{
    (void)plane;
    return _mm256_blend_epi16(doubled, _mm256_slli_epi32(doubled, 24), 0xAA);
}

INLINE __m256i split(__m256i sum)
{
    const __m128i bytes = _mm_setr_epi8(0, -1, 1, 2, 4, -1, 5, 6, 8, -1, 9, 10, 12, -1, 13, 14);
    return _mm256_shuffle_epi8(sum, _mm256_broadcastsi128_si256(bytes));
}
_Static_assert(32 * 255 * 127 < 1 << 23 && 128 * 256 <= 1 << 15, "sums and scales split into 16 bits");

INLINE __m256i add_scaled(__m256i total, __m256i sum, __m256i by)
{
    return DPWSSD(total, split(sum), by);
}

INLINE void add_products(__m256i sum[2], const __m256i w[2], const int8_t *x)
{
    const __m256i input = bytes4(x);
    sum[0] = DPBUSD(sum[0], w[0], input);
    sum[1] = DPBUSD(sum[1], w[1], input);
}

INLINE void set_products(__m256i sum[2], const __m256i w[2], const int8_t *x)
{
    sum[0] = sum[1] = _mm256_setzero_si256();
    add_products(sum, w, x);
}
#else
INLINE __m256i factor(__m256i doubled, int plane)
{
    return _mm256_slli_epi16(doubled, 4 * plane);
}

INLINE __m256i add_scaled(__m256i total, __m256i sum, __m256i by)
{
    return _mm256_add_epi32(total, _mm256_madd_epi16(sum, by));
}

/* sum[h] += w[h] . the broadcast word x, in 16 bits. In assembly because the compiler would make trees of these sums,
 * with more leaves than there are registers. */
INLINE void add_products(__m256i sum[2], const __m256i w[2], const int8_t *x)
{
    __m256i input, product;
    __asm__("vpbroadcastd %4, %2\n\t"
            "vpmaddubsw %2, %5, %3\n\t"
            "vpmaddubsw %2, %6, %2\n\t"
            "vpaddw %3, %0, %0\n\t"
            "vpaddw %2, %1, %1"
            : "+x"(sum[0]), "+x"(sum[1]), "=&x"(input), "=&x"(product)
            : "m"(*(const int8_t(*)[4])x), "x"(w[0]), "x"(w[1]));
}

INLINE void set_products(__m256i sum[2], const __m256i w[2], const int8_t *x)
{
    const __m256i input = bytes4(x);
    sum[0] = _mm256_maddubs_epi16(w[0], input);
    sum[1] = _mm256_maddubs_epi16(w[1], input);
}
#endif

/* first, second: [half of the rows] */
INLINE void set_factors(const spec s, const __m256i *first, const __m256i *second, tile_factors *f)
{
    UNROLL
    for (int h = 0; h < 2; h++)
        UNROLL
        for (int plane = 0; plane < planes(s); plane++) {
            f->v[plane][0][h] = factor(first[h], plane);
            f->v[plane][1][h] = factor(second[h], plane);
        }
}

/* Groups g..g+n of one plane, times the factor, into the totals of nt tokens. */
INLINE void add_groups(const __m256i w[8][2], const __m256i by[2], const int8_t *const row[COLS], const int nt,
                       const int g, const int n, __m256i total[][2])
{
    __m256i sum[COLS][2];
    UNROLL
    for (int i = g; i < g + n; i++) {
        UNROLL
        for (int t = 0; t < nt; t++) {
            if (i == g)
                set_products(sum[t], w[i], row[t] + 4 * i);
            else
                add_products(sum[t], w[i], row[t] + 4 * i);
        }
    }
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
        for (int h = 0; h < 2; h++)
            total[t][h] = add_scaled(total[t][h], sum[t][h], by[h]);
}

INLINE void add_sub_block(const spec s, const tile_codes *w, const tile_factors *f, const int8_t *a, size_t stride,
                          const int nt, __m256i total[][2])
{
    const int fold = s.fold && !TILE_VNNI ? s.fold : 8, n = s.sub16 && fold > 4 ? 4 : fold;
    const int8_t *row[COLS];
    UNROLL
    for (int t = 0; t < nt; t++) {
        row[t] = a + (size_t)t * stride;
        OPAQUE(row[t]);
    }
    UNROLL
    for (int plane = 0; plane < planes(s); plane++)
        UNROLL
        for (int g = 0; g < 8; g += n)
            add_groups(w->v[plane], f->v[plane][g / 4], row, nt, g, n, total);
}

/* ---- types of 32 values ---- */

/* Block b times nt tokens. */
INLINE void add_block(const spec s, const tile_codes *w, const tile_factors *ones, const __m256 d[2], const __m256 m[2],
                      size_t b, size_t cols, const char *act, size_t stride, const int nt, __m256 acc[][2])
{
    __m256i total[COLS][2];
    UNROLL
    for (int t = 0; t < nt; t++)
        total[t][0] = total[t][1] = _mm256_set1_epi32(-offset(s) * load32(act + (size_t)t * stride + cols + 4 * b));
    add_sub_block(s, w, ones, (const int8_t *)act + 32 * b, stride, nt, total);
    UNROLL
    for (int t = 0; t < nt; t++, act += stride) {
        const __m256 da = _mm256_broadcast_ss(act_scales32(act, cols) + b);
        UNROLL
        for (int h = 0; h < 2; h++) {
            acc[t][h] = _mm256_fmadd_ps(_mm256_mul_ps(d[h], da), _mm256_cvtepi32_ps(total[t][h]), acc[t][h]);
            if (s.min)
                acc[t][h] = _mm256_fmadd_ps(_mm256_mul_ps(m[h], da),
                                            _mm256_set1_ps((float)load32(act + cols + 4 * b)), acc[t][h]);
        }
    }
}

INLINE void panel_32(const spec s, const uint8_t *codes, size_t n, size_t ahead, const char *acts, size_t stride,
                     size_t nt, __m256 acc[TILE][2])
{
    const size_t code_bytes = 64u * (size_t)(s.low + s.high);
    const size_t scale_bytes = s.type == QUANT_MXFP4 ? 16 : s.min ? 64 : 32;
    const __m256i one[2] = { _mm256_set1_epi16(1), _mm256_set1_epi16(1) }, table = table_of(s);
    const uint8_t *next = codes + ahead, *scales = codes + n * code_bytes;
    tile_codes w;
    tile_factors ones;
    set_factors(s, one, one, &ones);
    for (size_t b = 0; b < n; b++, codes += code_bytes, scales += scale_bytes) {
        if (ahead)
            prefetch(next + b * (code_bytes + scale_bytes), code_bytes + scale_bytes);
        spread(s, codes, table, &w);
        const __m256 d[2] = { scale8(s, scales, 0), scale8(s, scales, 1) };
        const __m256 m[2] = { s.min ? half8(scales + 32) : d[0], s.min ? half8(scales + 48) : d[1] };
        size_t t = 0;
        for (; t + COLS <= nt; t += COLS)
            add_block(s, &w, &ones, d, m, b, n * 32, acts + t * stride, stride, COLS, acc + t);
        for (; t < nt; t++)
            add_block(s, &w, &ones, d, m, b, n * 32, acts + t * stride, stride, 1, acc + t);
    }
}

/* ---- K types ---- */

/* The end of a block of 256: offsets, mins, and the step in f32. */
INLINE void end_256(const spec s, const k_scales *k, const __m256i total[2], const int8_t *sums, const float *scale,
                    __m256 acc[2])
{
    const __m256 da = _mm256_broadcast_ss(scale);
    __m256i pairs[2] = { _mm256_setzero_si256(), _mm256_setzero_si256() };
    if (s.min || offset(s)) {
        UNROLL
        for (int j = 0; j < 8; j++) {
            const __m256i x = bytes4(sums + 4 * j);
            pairs[0] = _mm256_add_epi32(pairs[0], _mm256_madd_epi16(k->pair[j][0], x));
            pairs[1] = _mm256_add_epi32(pairs[1], _mm256_madd_epi16(k->pair[j][1], x));
        }
    }
    UNROLL
    for (int h = 0; h < 2; h++) {
        __m256i sum = total[h];
        if (offset(s))
            sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(pairs[h], _mm256_set1_epi32(offset(s))));
        acc[h] = _mm256_fmadd_ps(_mm256_mul_ps(k->d[h], da), _mm256_cvtepi32_ps(sum), acc[h]);
        if (s.min)
            acc[h] = _mm256_fmadd_ps(_mm256_mul_ps(k->m[h], da), _mm256_cvtepi32_ps(pairs[h]), acc[h]);
    }
}

INLINE void panel_256(const spec s, const uint8_t *codes, size_t scale_bytes, size_t n, size_t ahead, const char *acts,
                      size_t stride, size_t nt, __m256 acc[TILE][2])
{
    const size_t per32 = 64u * (size_t)(s.low + s.high), cols = n * 256;
    const __m256i table = table_of(s);
    const uint8_t *scales = codes + n * 8 * per32;
    __m256i total[TILE][2];
    tile_codes w;
    tile_factors f;
    k_scales k;
    for (size_t b = 0; b < n; b++, scales += scale_bytes) {
        if (ahead)
            prefetch(scales + ahead, scale_bytes);
        unpack_scales(s, scales, &k);
        for (size_t t = 0; t < nt; t++)
            total[t][0] = total[t][1] = _mm256_setzero_si256();
        for (int j = 0; j < 8; j++, codes += per32) {
            if (ahead)
                prefetch(codes + AHEAD, per32);
            spread(s, codes, table, &w);
            set_factors(s, k.c[s.sub16 ? 2 * j : j], k.c[s.sub16 ? 2 * j + 1 : j], &f);
            const int8_t *a = (const int8_t *)acts + 256 * b + 32 * j;
            size_t t = 0;
            for (; t + COLS <= nt; t += COLS)
                add_sub_block(s, &w, &f, a + t * stride, stride, COLS, total + t);
            for (; t < nt; t++)
                add_sub_block(s, &w, &f, a + t * stride, stride, 1, total + t);
        }
        const char *act = acts;
        for (size_t t = 0; t < nt; t++, act += stride)
            end_256(s, &k, total[t], (const int8_t *)act + cols + 32 * b, act_scales256(act, cols) + b, acc[t]);
    }
}

/* ---- drivers ---- */

INLINE void mul(const spec s, const uint8_t *codes, size_t n_panels, size_t cols, const char *acts, size_t stride,
                size_t n_tokens, float *out, size_t out_stride)
{
    const layout *l = layout_of(s.type);
    const size_t n = cols / l->block, panel_bytes = n * ((size_t)l->code_bytes + l->scale_bytes);
    __m256 acc[TILE][2];
    for (size_t p = 0; p < n_panels; p++, codes += panel_bytes, out += ROWS)
        for (size_t at = 0, nt; at < n_tokens; at += nt) {
            const char *a = acts + at * stride;
            nt = n_tokens - at < TILE ? n_tokens - at : TILE;
            for (size_t t = 0; t < nt; t++)
                acc[t][0] = acc[t][1] = _mm256_setzero_ps();
            if (is_k(s))
                panel_256(s, codes, l->scale_bytes, n, at ? 0 : panel_bytes, a, stride, nt, acc);
            else
                panel_32(s, codes, n, at ? 0 : panel_bytes, a, stride, nt, acc);
            for (size_t t = 0; t < nt; t++) {
                _mm256_storeu_ps(out + (at + t) * out_stride, acc[t][0]);
                _mm256_storeu_ps(out + (at + t) * out_stride + 8, acc[t][1]);
            }
        }
}

#define TILE_OF(name, ...)                                                                                             \
    TILE_STORAGE void TILE_NAME(name)(const void *panels, size_t n_panels, size_t cols, const void *acts,              \
                                      size_t act_stride, size_t n_tokens, float *out, size_t out_stride)               \
    {                                                                                                                  \
        const spec s = { __VA_ARGS__ };                                                                                \
        mul(s, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);                                   \
    }
AVX2_TYPES(TILE_OF)
