/* One token times integer weights on AVX2 without VNNI: panels stream by, one after the other, the next one asked for
 * ahead. Codes and scales: avx2_mul_int.h.
 *
 * Measured on one Zen 3 thread: the same scheme with the scale multiplied group by group runs at half the speed. */
#include "kernels/x86/avx2_mul_int.h"

/* Sum over `n` groups from g on, in 16 bits. */
INLINE __m256i fold16(const __m256i w[8], const int8_t *a, int g, int n)
{
    __m256i sum = _mm256_maddubs_epi16(w[g], bytes4(a + 4 * g));
    UNROLL
    for (int i = g + 1; i < g + n; i++)
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w[i], bytes4(a + 4 * i)));
    return sum;
}

/* ca * (groups 0..3) + cb * (groups 4..7) in 32 bits; ca and cb are the same for sub-blocks of 32. */
INLINE __m256i dot32(const spec s, const __m256i w[8], const int8_t *a, __m256i ca, __m256i cb)
{
    if (s.fold == 8 && !s.sub16)
        return _mm256_madd_epi16(fold16(w, a, 0, 8), ca);
    __m256i sum = _mm256_setzero_si256();
    if (s.fold) {
        const int n = s.fold > 4 ? 4 : s.fold;
    UNROLL
        for (int g = 0; g < 8; g += n)
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(fold16(w, a, g, n), g < 4 ? ca : cb));
        return sum;
    }
    UNROLL
    for (int g = 0; g < 8; g++) {
        __m256i signed_a = _mm256_sign_epi8(bytes4(a + 4 * g), w[g]);
        __m256i product = _mm256_maddubs_epi16(_mm256_abs_epi8(w[g]), signed_a);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(product, g < 4 ? ca : cb));
    }
    return sum;
}

INLINE void panel_32(const spec s, const uint8_t *codes, size_t panel_bytes, size_t n, const char *act, float *out)
{
    const size_t code_bytes = 64u * (size_t)(s.low + s.high);
    const size_t scale_bytes = s.type == QUANT_MXFP4 ? 16 : s.min ? 64 : 32;
    const size_t cols = n * 32;
    const int32_t *totals = act_sums32(act, cols);
    const float *da = act_scales32(act, cols);
    const __m256i ones = _mm256_set1_epi16(1), table = table_of(s);
    const uint8_t *next = codes + panel_bytes, *scales = codes + n * code_bytes;
    __m256 acc[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (size_t b = 0; b < n; b++, codes += code_bytes, scales += scale_bytes) {
        prefetch(next + b * (code_bytes + scale_bytes), code_bytes + scale_bytes);
        const __m256 a = _mm256_broadcast_ss(da + b);
        UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i w[8];
            unpack(s, codes + 32 * h, table, w);
            __m256i sum = dot32(s, w, (const int8_t *)act + 32 * b, ones, ones);
            if (s.offset)
                sum = _mm256_sub_epi32(sum, _mm256_set1_epi32(s.offset * totals[b]));
            acc[h] = _mm256_fmadd_ps(_mm256_mul_ps(scale8(s, scales, h), a), _mm256_cvtepi32_ps(sum), acc[h]);
            if (s.min)
                acc[h] = _mm256_fmadd_ps(_mm256_mul_ps(half8(scales + 32 + 16 * h), a),
                                         _mm256_set1_ps((float)totals[b]), acc[h]);
        }
    }
    _mm256_storeu_ps(out, acc[0]);
    _mm256_storeu_ps(out + 8, acc[1]);
}

/* Sum over j of pair j times the sums of activations 2j and 2j + 1. */
INLINE __m256i sum_pairs(const k_scales *k, int h, const int8_t *sums)
{
    __m256i total = _mm256_madd_epi16(k->pair[0][h], bytes4(sums));
    UNROLL
    for (int j = 1; j < 8; j++)
        total = _mm256_add_epi32(total, _mm256_madd_epi16(k->pair[j][h], bytes4(sums + 4 * j)));
    return total;
}

INLINE void panel_256(const spec s, const uint8_t *codes, size_t panel_bytes, size_t scale_bytes, size_t n,
                      const char *act, float *out)
{
    const size_t per32 = 64u * (size_t)(s.low + s.high), cols = n * 256;
    const float *da = act_scales256(act, cols);
    const __m256i table = table_of(s);
    const uint8_t *scales = codes + n * 8 * per32;
    __m256 acc[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    k_scales k;
    for (size_t b = 0; b < n; b++, scales += scale_bytes) {
        prefetch(scales + panel_bytes, scale_bytes);
        unpack_scales(s, scales, &k);
        __m256i sum[2] = { _mm256_setzero_si256(), _mm256_setzero_si256() };
        for (int j = 0; j < 8; j++, codes += per32) {
            prefetch(codes + AHEAD, per32);
            UNROLL
            for (int h = 0; h < 2; h++) {
                __m256i w[8];
                unpack(s, codes + 32 * h, table, w);
                const __m256i ca = k.c[s.sub16 ? 2 * j : j][h], cb = k.c[s.sub16 ? 2 * j + 1 : j][h];
                sum[h] = _mm256_add_epi32(sum[h], dot32(s, w, (const int8_t *)act + 256 * b + 32 * j, ca, cb));
            }
        }
        const __m256 a = _mm256_broadcast_ss(da + b);
        UNROLL
        for (int h = 0; h < 2; h++) {
            __m256i pairs = _mm256_setzero_si256();
            if (s.min || s.offset)
                pairs = sum_pairs(&k, h, (const int8_t *)act + cols + 32 * b);
            if (s.offset)
                sum[h] = _mm256_sub_epi32(sum[h], _mm256_mullo_epi32(pairs, _mm256_set1_epi32(s.offset)));
            acc[h] = _mm256_fmadd_ps(_mm256_mul_ps(k.d[h], a), _mm256_cvtepi32_ps(sum[h]), acc[h]);
            if (s.min)
                acc[h] = _mm256_fmadd_ps(_mm256_mul_ps(k.m[h], a), _mm256_cvtepi32_ps(pairs), acc[h]);
        }
    }
    _mm256_storeu_ps(out, acc[0]);
    _mm256_storeu_ps(out + 8, acc[1]);
}

INLINE void one_token(const spec s, const uint8_t *codes, size_t n_panels, size_t cols, const char *act, float *out)
{
    const layout *l = layout_of(s.type);
    const size_t n = cols / l->block, panel_bytes = n * ((size_t)l->code_bytes + l->scale_bytes);
    for (size_t p = 0; p < n_panels; p++, codes += panel_bytes, out += ROWS) {
        if (is_k(s))
            panel_256(s, codes, panel_bytes, l->scale_bytes, n, act, out);
        else
            panel_32(s, codes, panel_bytes, n, act, out);
    }
}

#define MUL(name, ...)                                                                                                 \
    static void mul_##name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,      \
                           size_t n_tokens, float *out, size_t out_stride)                                             \
    {                                                                                                                  \
        const spec s = { __VA_ARGS__ };                                                                                \
        if (n_tokens == 1)                                                                                             \
            one_token(s, panels, n_panels, cols, acts, out);                                                           \
        else                                                                                                           \
            kernels_avx2_tile_##name(panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);             \
    }
AVX2_TYPES(MUL)

#define FILL(name, type, ...) k->mul[type] = mul_##name;
void kernels_avx2_mul(kernels *k)
{
    AVX2_TYPES(FILL)
}
