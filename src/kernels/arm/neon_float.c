/* Float matrices, quantisation of inputs, norms and elementwise kernels for AArch64. */
#include <math.h>

#include "kernels/arm/neon_int.h"
#include "kernels/levels_int.h"

/* ---- float matrices: a block of np panels x nt tokens, four accumulators (16 rows) each ---- */

INLINE void weights16(int type, const char *p, size_t k, float32x4_t w[4])
{
#pragma GCC unroll 4
    for (size_t q = 0; q < 4; q++) {
        if (type == QUANT_F32)
            w[q] = vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)p + 64 * k + 16 * q));
        if (type == QUANT_F16)
            w[q] = half4(p + 32 * k + 8 * q);
        if (type == QUANT_BF16) {
            uint16x4_t v = vreinterpret_u16_u8(vld1_u8((const uint8_t *)p + 32 * k + 8 * q));
            w[q] = vreinterpretq_f32_u32(vshll_n_u16(v, 16));
        }
    }
}

INLINE void float_block(int type, const char *panels, size_t panel_bytes, size_t cols, const char *acts, size_t stride,
                        float *out, size_t out_stride, const int np, const int nt)
{
    float32x4_t acc[4][4][4];
#pragma GCC unroll 4
    for (int p = 0; p < np; p++)
#pragma GCC unroll 4
        for (int t = 0; t < nt; t++)
            acc[p][t][0] = acc[p][t][1] = acc[p][t][2] = acc[p][t][3] = set4(0.0f);
    for (size_t k = 0; k < cols; k++)
#pragma GCC unroll 4
        for (int p = 0; p < np; p++) {
            float32x4_t w[4];
            weights16(type, panels + (size_t)p * panel_bytes, k, w);
#pragma GCC unroll 4
            for (int t = 0; t < nt; t++) {
                float32x4_t x = set4(((const float *)(const void *)(acts + (size_t)t * stride))[k]);
#pragma GCC unroll 4
                for (int q = 0; q < 4; q++)
                    acc[p][t][q] = vfmaq_f32(acc[p][t][q], w[q], x);
            }
        }
#pragma GCC unroll 4
    for (int p = 0; p < np; p++)
#pragma GCC unroll 4
        for (int t = 0; t < nt; t++)
#pragma GCC unroll 4
            for (int q = 0; q < 4; q++)
                vst1q_f32(out + (size_t)t * out_stride + p * ROWS + 4 * q, acc[p][t][q]);
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
            size_t left = n_tokens - t, nt = left >= 4 ? 4 : left >= 2 ? 2 : 1;
            if (np == 4)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 4, 1);
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

INLINE float largest4(float32x4_t v) /* no NaN in v */
{
    return vmaxvq_f32(v);
}

INLINE float largest(const float *x, size_t n)
{
    float32x4_t m[4] = { set4(0.0f), set4(0.0f), set4(0.0f), set4(0.0f) };
    for (size_t i = 0; i < n; i += 16)
#pragma GCC unroll 4
        for (size_t q = 0; q < 4; q++)
            m[q] = max4(vabsq_f32(vld1q_f32(x + i + 4 * q)), m[q]);
    return largest4(max4(max4(m[0], m[1]), max4(m[2], m[3])));
}

INLINE int32x4_t codes4(const float *x, float32x4_t id)
{
    float32x4_t v = min4(vmulq_f32(vld1q_f32(x), id), set4(127.0f)); /* NaN gives 127 */
    return vcvtnq_s32_f32(max4(v, set4(-127.0f)));
}

/* 16 codes; returns their sum. */
INLINE int codes16(const float *x, float32x4_t id, int8_t *out)
{
    int16x8_t a = vcombine_s16(vmovn_s32(codes4(x, id)), vmovn_s32(codes4(x + 4, id)));
    int16x8_t b = vcombine_s16(vmovn_s32(codes4(x + 8, id)), vmovn_s32(codes4(x + 12, id)));
    int8x16_t c = vcombine_s8(vmovn_s16(a), vmovn_s16(b));
    vst1q_s8(out, c);
    return vaddlvq_s8(c);
}

/* Codes of one group of n values, a multiple of 16, the sums of each 16, and the scale. */
INLINE float quantize_group(const float *x, size_t n, int8_t *codes, int *sums)
{
    const float amax = largest(x, n);
    if (amax < 0x1p-100f) {
        memset(codes, 0, n);
        memset(sums, 0, n / 16 * sizeof *sums);
        return 0.0f;
    }
    const float32x4_t id = set4(127.0f / amax);
    for (size_t j = 0; j < n / 16; j++)
        sums[j] = codes16(x + 16 * j, id, codes + 16 * j);
    return amax / 127.0f;
}

static void quantize_32(const float *x, size_t cols, void *act)
{
    int8_t *codes = act;
    int32_t *total = (int32_t *)(void *)(codes + cols);
    float *scales = (float *)(void *)(codes + cols + cols / 8);
    for (size_t b = 0; b < cols / 32; b++) {
        int sums[2];
        scales[b] = quantize_group(x + 32 * b, 32, codes + 32 * b, sums);
        total[b] = sums[0] + sums[1];
    }
}

static void quantize_256(const float *x, size_t cols, void *act)
{
    int8_t *codes = act;
    int16_t *total = (int16_t *)(void *)(codes + cols);
    float *scales = (float *)(void *)(codes + cols + cols / 8);
    for (size_t b = 0; b < cols / 256; b++) {
        int sums[16];
        scales[b] = quantize_group(x + 256 * b, 256, codes + 256 * b, sums);
        for (size_t j = 0; j < 16; j++)
            total[16 * b + j] = (int16_t)sums[j];
    }
}

/* ---- sums ---- */

/* tree16 of x, or of its squares. Lanes past the end get +0, which changes none: a lane is never -0. */
INLINE float sum(const float *x, size_t n, bool squares)
{
    float32x4_t lane[4] = { set4(0.0f), set4(0.0f), set4(0.0f), set4(0.0f) };
    for (size_t i = 0; i < n; i += 16)
#pragma GCC unroll 4
        for (size_t q = 0; q < 4; q++) {
            size_t left = n - i > 4 * q ? n - i - 4 * q : 0;
            float32x4_t v = left >= 4 ? vld1q_f32(x + i + 4 * q) : left ? load_part(x + i + 4 * q, left) : set4(0.0f);
            lane[q] = squares ? vfmaq_f32(lane[q], v, v) : vaddq_f32(lane[q], v);
        }
    return sum16(lane);
}

/* ---- one value in, one out; y and z may be NULL ---- */

typedef float32x4_t map4(float32x4_t x, float32x4_t y, float32x4_t z, float32x4_t c);

INLINE void map(map4 *f, const float *x, const float *y, const float *z, float c, size_t n, float *out)
{
    const float32x4_t vc = set4(c), none = set4(0.0f);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        vst1q_f32(out + i, f(vld1q_f32(x + i), y ? vld1q_f32(y + i) : none, z ? vld1q_f32(z + i) : none, vc));
    if (i == n)
        return;
    float part[4];
    vst1q_f32(part, f(load_part(x + i, n - i), y ? load_part(y + i, n - i) : none, z ? load_part(z + i, n - i) : none,
                      vc));
    memcpy(out + i, part, (n - i) * sizeof *part);
}

#define MAP(name, expression)                                                                                          \
    INLINE float32x4_t name(float32x4_t x, float32x4_t y, float32x4_t z, float32x4_t c)                                \
    {                                                                                                                  \
        (void)x, (void)y, (void)z, (void)c;                                                                            \
        return expression;                                                                                             \
    }
MAP(map_silu, silu4(x))
MAP(map_gelu, gelu4(x))
MAP(map_gelu_erf, gelu_erf4(x))
MAP(map_silu_mul, vmulq_f32(silu4(x), y))
MAP(map_gelu_mul, vmulq_f32(gelu4(x), y))
MAP(map_add, vaddq_f32(x, y))
MAP(map_subtract, vsubq_f32(x, c))
MAP(map_scale, vmulq_f32(x, c))
MAP(map_scale2, vmulq_f32(vmulq_f32(x, c), y))
MAP(map_axpy, vfmaq_f32(y, c, x))
MAP(map_exp, exp4(vsubq_f32(x, c)))
MAP(map_affine, vfmaq_f32(z, vmulq_f32(x, c), y))
MAP(map_softcap, vmulq_f32(c, tanh4(vmulq_f32(x, vdivq_f32(set4(1.0f), c)))))

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
    float32x4_t v = set4(-INFINITY);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        v = max4(vld1q_f32(x + i), v);
    float m = largest4(v);
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

INLINE void rotate4(float32x4_t *a, float32x4_t *b, const float *cosines, const float *sines)
{
    const float32x4_t c = vld1q_f32(cosines), s = vld1q_f32(sines), x0 = *a, x1 = *b;
    *a = vfmaq_f32(vnegq_f32(vmulq_f32(x1, s)), x0, c);
    *b = vfmaq_f32(vmulq_f32(x1, c), x0, s);
}

INLINE void rotate(float *a, float *b, float c, float s)
{
    const float x0 = *a, x1 = *b;
    *a = fmaf(x0, c, -(x1 * s));
    *b = fmaf(x0, s, x1 * c);
}

static void rope_neox(float *x, const float *table, size_t n_rot)
{
    const size_t half = n_rot / 2;
    const float *sines = table + half;
    float *y = x + half;
    size_t i = 0;
    for (; i + 4 <= half; i += 4) {
        float32x4_t a = vld1q_f32(x + i), b = vld1q_f32(y + i);
        rotate4(&a, &b, table + i, sines + i);
        vst1q_f32(x + i, a);
        vst1q_f32(y + i, b);
    }
    for (; i < half; i++)
        rotate(x + i, y + i, table[i], sines[i]);
}

static void rope_norm(float *x, const float *table, size_t n_rot)
{
    const size_t half = n_rot / 2;
    const float *sines = table + half;
    size_t i = 0;
    for (; i + 4 <= half; i += 4) {
        float32x4x2_t v = vld2q_f32(x + 2 * i);
        rotate4(&v.val[0], &v.val[1], table + i, sines + i);
        vst2q_f32(x + 2 * i, v);
    }
    for (; i < half; i++)
        rotate(x + 2 * i, x + 2 * i + 1, table[i], sines[i]);
}

void kernels_neon_float(kernels *k)
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
