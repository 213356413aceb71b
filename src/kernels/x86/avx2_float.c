/* Float matrices, quantisation of inputs, norms and elementwise kernels for AVX2. */
#include <math.h>

#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"

/* ---- float matrices: a block of np panels x nt tokens, two accumulators (16 rows) each ---- */

INLINE void weights16(int type, const char *p, size_t k, __m256 w[2])
{
    if (type == QUANT_F32) {
        w[0] = _mm256_loadu_ps((const float *)(const void *)(p + 64 * k));
        w[1] = _mm256_loadu_ps((const float *)(const void *)(p + 64 * k + 32));
        return;
    }
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(p + 32 * k));
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(p + 32 * k + 16));
    if (type == QUANT_F16) {
        w[0] = _mm256_cvtph_ps(low);
        w[1] = _mm256_cvtph_ps(high);
        return;
    }
    w[0] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(low), 16));
    w[1] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(high), 16));
}

INLINE void float_block(int type, const char *panels, size_t panel_bytes, size_t cols, const char *acts, size_t stride,
                        float *out, size_t out_stride, const int np, const int nt)
{
    __m256 acc[4][6][2];
#pragma GCC unroll 4
    for (int p = 0; p < np; p++)
#pragma GCC unroll 6
        for (int t = 0; t < nt; t++)
            acc[p][t][0] = acc[p][t][1] = _mm256_setzero_ps();
    for (size_t k = 0; k < cols; k++)
#pragma GCC unroll 4
        for (int p = 0; p < np; p++) {
            __m256 w[2];
            weights16(type, panels + (size_t)p * panel_bytes, k, w);
#pragma GCC unroll 6
            for (int t = 0; t < nt; t++) {
                __m256 x = _mm256_broadcast_ss((const float *)(const void *)(acts + (size_t)t * stride) + k);
                acc[p][t][0] = _mm256_fmadd_ps(w[0], x, acc[p][t][0]);
                acc[p][t][1] = _mm256_fmadd_ps(w[1], x, acc[p][t][1]);
            }
        }
#pragma GCC unroll 4
    for (int p = 0; p < np; p++)
#pragma GCC unroll 6
        for (int t = 0; t < nt; t++) {
            _mm256_storeu_ps(out + (size_t)t * out_stride + (size_t)p * ROWS, acc[p][t][0]);
            _mm256_storeu_ps(out + (size_t)t * out_stride + (size_t)p * ROWS + 8, acc[p][t][1]);
        }
}

INLINE void mul_float(int type, const void *panels, size_t n_panels, size_t cols, const void *acts, size_t stride,
                      size_t n_tokens, float *out, size_t out_stride)
{
    const size_t bytes = cols * ROWS * (type == QUANT_F32 ? 4 : 2);
    for (size_t p = 0; p < n_panels;) {
        const char *w = (const char *)panels + p * bytes;
        size_t np = n_tokens == 1 && n_panels - p >= 4 ? 4 : 1;
        for (size_t t = 0; t < n_tokens;) {
            const char *a = (const char *)acts + t * stride;
            float *o = out + t * out_stride + p * ROWS;
            size_t left = n_tokens - t, nt = left >= 6 ? 6 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            if (np == 4)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 4, 1);
            else if (nt == 6)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 1, 6);
            else if (nt == 4)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 1, 4);
            else if (nt == 2)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 1, 2);
            else
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 1, 1);
            t += nt;
        }
        p += np;
    }
}

#define MUL(name, type)                                                                                                \
    static void name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,            \
                     size_t n_tokens, float *out, size_t out_stride)                                                   \
    {                                                                                                                  \
        mul_float(type, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);                          \
    }
MUL(mul_f32, QUANT_F32)
MUL(mul_f16, QUANT_F16)
MUL(mul_bf16, QUANT_BF16)

/* ---- quantisation ---- */

/* 32 codes; returns their sums in pairs of 16 bits, to be added up by the caller. */
INLINE __m256i codes32(const float *x, __m256 id, int8_t *out)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i a = _mm256_packs_epi32(codes8(x, id, 127.0f), codes8(x + 8, id, 127.0f));
    __m256i b = _mm256_packs_epi32(codes8(x + 16, id, 127.0f), codes8(x + 24, id, 127.0f));
    __m256i c = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
    _mm256_storeu_si256((__m256i *)(void *)out, c);
    return _mm256_maddubs_epi16(_mm256_set1_epi8(1), c);
}

/* Sums of the two halves of eight pairs each. */
INLINE __m128i sums_of_16(__m256i pairs)
{
    __m256i v = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); /* eight sums of four */
    v = _mm256_hadd_epi32(v, v);
    v = _mm256_hadd_epi32(v, v);
    return _mm_unpacklo_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}

static void quantize_32(const float *x, size_t cols, void *act)
{
    int8_t *codes = act;
    int32_t *sums = (int32_t *)(void *)(codes + cols);
    float *scales = (float *)(void *)(codes + cols + cols / 8);
    for (size_t b = 0; b < cols / 32; b++) {
        float amax = largest(x + 32 * b, 32);
        bool zero = amax < 0x1p-100f;
        __m256i pairs = _mm256_setzero_si256();
        if (zero)
            _mm256_storeu_si256((__m256i *)(void *)(codes + 32 * b), pairs);
        else
            pairs = codes32(x + 32 * b, _mm256_set1_ps(127.0f / amax), codes + 32 * b);
        __m128i s = sums_of_16(pairs);
        sums[b] = _mm_cvtsi128_si32(s) + _mm_extract_epi32(s, 1);
        scales[b] = zero ? 0.0f : amax / 127.0f;
    }
}

static void quantize_256(const float *x, size_t cols, void *act)
{
    int8_t *codes = act;
    int16_t *sums = (int16_t *)(void *)(codes + cols);
    float *scales = (float *)(void *)(codes + cols + cols / 8);
    for (size_t b = 0; b < cols / 256; b++) {
        float amax = largest(x + 256 * b, 256);
        bool zero = amax < 0x1p-100f;
        __m256 id = _mm256_set1_ps(zero ? 0.0f : 127.0f / amax);
        for (size_t j = 0; j < 8; j++) {
            __m256i pairs = _mm256_setzero_si256();
            if (zero)
                _mm256_storeu_si256((__m256i *)(void *)(codes + 256 * b + 32 * j), pairs);
            else
                pairs = codes32(x + 256 * b + 32 * j, id, codes + 256 * b + 32 * j);
            __m128i s = sums_of_16(pairs);
            sums[16 * b + 2 * j] = (int16_t)_mm_cvtsi128_si32(s);
            sums[16 * b + 2 * j + 1] = (int16_t)_mm_extract_epi32(s, 1);
        }
        scales[b] = zero ? 0.0f : amax / 127.0f;
    }
}

/* ---- sums ---- */

/* tree16 of x, or of its squares. Lanes past the end get +0, which changes none: a lane is never -0 after the first
 * addition to +0, and before it the sum of +0 and +0 is +0. */
INLINE float sum(const float *x, size_t n, bool squares)
{
    __m256 lane[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };
    for (size_t i = 0; i < n; i += 16)
        for (size_t h = 0; h < 2; h++) {
            size_t left = n - i > 8 * h ? n - i - 8 * h : 0;
            __m256 v = left >= 8 ? _mm256_loadu_ps(x + i + 8 * h)
                       : left ? _mm256_maskload_ps(x + i + 8 * h, first8(left)) : _mm256_setzero_ps();
            lane[h] = squares ? _mm256_fmadd_ps(v, v, lane[h]) : _mm256_add_ps(lane[h], v);
        }
    return sum16(lane[0], lane[1]);
}

/* ---- one value in, one out; y and z may be NULL ---- */

typedef __m256 map8(__m256 x, __m256 y, __m256 z, __m256 c);

INLINE void map(map8 *f, const float *x, const float *y, const float *z, float c, size_t n, float *out)
{
    const __m256 vc = _mm256_set1_ps(c), none = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, f(_mm256_loadu_ps(x + i), y ? _mm256_loadu_ps(y + i) : none,
                                    z ? _mm256_loadu_ps(z + i) : none, vc));
    if (i == n)
        return;
    __m256i m = first8(n - i);
    _mm256_maskstore_ps(out + i, m, f(_mm256_maskload_ps(x + i, m), y ? _mm256_maskload_ps(y + i, m) : none,
                                      z ? _mm256_maskload_ps(z + i, m) : none, vc));
}

#define MAP(name, expression)                                                                                          \
    INLINE __m256 name(__m256 x, __m256 y, __m256 z, __m256 c)                                                         \
    {                                                                                                                  \
        (void)x, (void)y, (void)z, (void)c;                                                                            \
        return expression;                                                                                             \
    }
MAP(map_silu, silu8(x))
MAP(map_gelu, gelu8(x))
MAP(map_gelu_erf, gelu_erf8(x))
MAP(map_silu_mul, _mm256_mul_ps(silu8(x), y))
MAP(map_gelu_mul, _mm256_mul_ps(gelu8(x), y))
MAP(map_add, _mm256_add_ps(x, y))
MAP(map_subtract, _mm256_sub_ps(x, c))
MAP(map_scale, _mm256_mul_ps(x, c))
MAP(map_scale2, _mm256_mul_ps(_mm256_mul_ps(x, c), y))
MAP(map_axpy, _mm256_fmadd_ps(c, x, y))
MAP(map_exp, exp8(_mm256_sub_ps(x, c)))
MAP(map_affine, _mm256_fmadd_ps(_mm256_mul_ps(x, c), y, z))
MAP(map_softcap, _mm256_mul_ps(c, tanh8(_mm256_mul_ps(x, _mm256_div_ps(_mm256_set1_ps(1.0f), c)))))

static void silu(const float *x, size_t n, float *out)
{
    map(map_silu, x, NULL, NULL, 0, n, out);
}

static void gelu(const float *x, size_t n, float *out)
{
    map(map_gelu, x, NULL, NULL, 0, n, out);
}

static void gelu_erf(const float *x, size_t n, float *out)
{
    map(map_gelu_erf, x, NULL, NULL, 0, n, out);
}

static void silu_mul(const float *gate, const float *up, size_t n, float *out)
{
    map(map_silu_mul, gate, up, NULL, 0, n, out);
}

static void gelu_mul(const float *gate, const float *up, size_t n, float *out)
{
    map(map_gelu_mul, gate, up, NULL, 0, n, out);
}

static void add(const float *a, const float *b, size_t n, float *out)
{
    map(map_add, a, b, NULL, 0, n, out);
}

static void scale(const float *x, float factor, size_t n, float *out)
{
    map(map_scale, x, NULL, NULL, factor, n, out);
}

static void axpy(const float *x, float factor, size_t n, float *out)
{
    map(map_axpy, x, out, NULL, factor, n, out);
}

static void softcap(const float *x, float cap, size_t n, float *out)
{
    map(map_softcap, x, NULL, NULL, cap, n, out);
}

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *out)
{
    float r = 1.0f / sqrtf(sum(x, n, true) / (float)n + eps);
    if (weight)
        map(map_scale2, x, weight, NULL, r, n, out);
    else
        map(map_scale, x, NULL, NULL, r, n, out);
}

static void layer_norm(const float *x, const float *weight, const float *bias, size_t n, float eps, float *out)
{
    map(map_subtract, x, NULL, NULL, sum(x, n, false) / (float)n, n, out);
    float r = 1.0f / sqrtf(sum(out, n, true) / (float)n + eps);
    map(map_affine, out, weight, bias, r, n, out);
}

/* The largest value; NaN is passed over. */
INLINE float maximum(const float *x, size_t n)
{
    __m256 v = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        v = _mm256_max_ps(_mm256_loadu_ps(x + i), v);
    float m = largest8(v);
    for (; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

static size_t argmax(const float *x, size_t n)
{
    float m = maximum(x, n);
    for (size_t i = 0; m > -INFINITY && i < n; i++)
        if (x[i] == m)
            return i;
    return 0;
}

static void softmax(const float *x, size_t n, float *out)
{
    float m = maximum(x, n);
    map(map_exp, x, NULL, NULL, m, n, out);
    map(map_scale, out, NULL, NULL, 1.0f / sum(out, n, false), n, out);
}

static void exp_from(const float *x, float from, size_t n, float *out)
{
    map(map_exp, x, NULL, NULL, from, n, out);
}

/* ---- rope ---- */

static void rope_neox(float *x, const float *table, size_t n_rot)
{
    const size_t half = n_rot / 2;
    const float *sines = table + half;
    float *y = x + half;
    size_t i = 0;
    for (; i + 8 <= half; i += 8) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(y + i);
        __m256 c = _mm256_loadu_ps(table + i), s = _mm256_loadu_ps(sines + i);
        _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
    }
    for (; i < half; i++) {
        float a = x[i], b = y[i];
        x[i] = fmaf(a, table[i], -(b * sines[i]));
        y[i] = fmaf(a, sines[i], b * table[i]);
    }
}

/* Four pairs at a time: with swapped pairs v' = (x1, x0), out = v * c + v' * (-s, s) in the order of NUMERICS.md. */
static void rope_norm(float *x, const float *table, size_t n_rot)
{
    const size_t half = n_rot / 2;
    const float *sines = table + half;
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    size_t i = 0;
    for (; i + 4 <= half; i += 4) {
        __m256 v = _mm256_loadu_ps(x + 2 * i);
        __m256 c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(table + i)), twice);
        __m256 s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sines + i)), twice);
        __m256 first = _mm256_moveldup_ps(v), second = _mm256_movehdup_ps(v); /* x0 x0, x1 x1 */
        __m256 cs = _mm256_blend_ps(c, s, 0xAA), sc = _mm256_blend_ps(s, c, 0xAA);
        /* even lanes: x0 * c - x1 * s; odd lanes: x0 * s + x1 * c */
        _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(first, cs, _mm256_mul_ps(second, sc)));
    }
    for (; i < half; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = fmaf(a, table[i], -(b * sines[i]));
        x[2 * i + 1] = fmaf(a, sines[i], b * table[i]);
    }
}

void kernels_avx2_float(kernels *k)
{
    k->mul[QUANT_F32] = mul_f32;
    k->mul[QUANT_F16] = mul_f16;
    k->mul[QUANT_BF16] = mul_bf16;
    k->quantize[ACT_Q8_32] = quantize_32;
    k->quantize[ACT_Q8_256] = quantize_256;
    k->silu = silu;
    k->gelu = gelu;
    k->gelu_erf = gelu_erf;
    k->silu_mul = silu_mul;
    k->gelu_mul = gelu_mul;
    k->add = add;
    k->scale = scale;
    k->axpy = axpy;
    k->softcap = softcap;
    k->rms_norm = rms_norm;
    k->layer_norm = layer_norm;
    k->softmax = softmax;
    k->exp_from = exp_from;
    k->argmax = argmax;
    k->rope_norm = rope_norm;
    k->rope_neox = rope_neox;
}
