/* Float matrices for AVX-512: 16 rows to a register; otherwise as avx2_float.c. */
#include "kernels/levels_int.h"
#include "kernels/x86/avx2_int.h"

/* ---- float matrices ---- */

INLINE __m512 weights16(int type, const char *p, size_t k)
{
    if (type == QUANT_F32)
        return _mm512_loadu_ps((const void *)(p + 64 * k));
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * k));
    if (type == QUANT_F16)
        return _mm512_cvtph_ps(v);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

INLINE void float_block(int type, const char *panels, size_t panel_bytes, size_t cols, const char *acts, size_t stride,
                        float *out, size_t out_stride, const int np, const int nt)
{
    __m512 acc[8][12];
#pragma GCC unroll 8
    for (int p = 0; p < np; p++)
#pragma GCC unroll 12
        for (int t = 0; t < nt; t++)
            acc[p][t] = _mm512_setzero_ps();
    for (size_t k = 0; k < cols; k++)
#pragma GCC unroll 8
        for (int p = 0; p < np; p++) {
            __m512 w = weights16(type, panels + (size_t)p * panel_bytes, k);
#pragma GCC unroll 12
            for (int t = 0; t < nt; t++) {
                float x = ((const float *)(const void *)(acts + (size_t)t * stride))[k];
                acc[p][t] = _mm512_fmadd_ps(w, _mm512_set1_ps(x), acc[p][t]);
            }
        }
#pragma GCC unroll 8
    for (int p = 0; p < np; p++)
#pragma GCC unroll 12
        for (int t = 0; t < nt; t++)
            _mm512_storeu_ps(out + (size_t)t * out_stride + (size_t)p * ROWS, acc[p][t]);
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
            size_t left = n_tokens - t, nt = left >= 12 ? 12 : left >= 4 ? 4 : 1;
            if (np == 4)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 4, 1);
            else if (nt == 12)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 1, 12);
            else if (nt == 4)
                float_block(type, w, bytes, cols, a, stride, o, out_stride, 1, 4);
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

void kernels_avx512_float(kernels *k)
{
    k->mul[QUANT_F32] = mul_f32;
    k->mul[QUANT_F16] = mul_f16;
    k->mul[QUANT_BF16] = mul_bf16;
}
