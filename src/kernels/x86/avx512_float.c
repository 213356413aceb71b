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

enum { TOKENS = 8 }; /* at once; with two panels 16 sums, 2 weights and an input, and every load serves two of them */

INLINE void float_block(int type, const char *panels, size_t panel_bytes, size_t cols, const char *acts, size_t stride,
                        float *out, size_t out_stride, const int np, const int nt)
{
    __m512 acc[4][TOKENS];
    const float *row[TOKENS];
    UNROLL
    for (int t = 0; t < nt; t++) {
        row[t] = (const float *)(const void *)(acts + (size_t)t * stride);
        OPAQUE(row[t]);
        UNROLL
        for (int p = 0; p < np; p++)
            acc[p][t] = _mm512_setzero_ps();
    }
    for (size_t k = 0; k < cols; k++) {
        __m512 w[4];
        UNROLL
        for (int p = 0; p < np; p++)
            w[p] = weights16(type, panels + (size_t)p * panel_bytes, k);
        UNROLL
        for (int t = 0; t < nt; t++) {
            const __m512 x = _mm512_set1_ps(row[t][k]);
            UNROLL
            for (int p = 0; p < np; p++)
                acc[p][t] = _mm512_fmadd_ps(w[p], x, acc[p][t]);
        }
    }
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
        for (int p = 0; p < np; p++)
            _mm512_storeu_ps(out + (size_t)t * out_stride + (size_t)p * ROWS, acc[p][t]);
}

/* `np` panels times all tokens. */
INLINE void float_panels(int type, const char *panels, size_t panel_bytes, size_t cols, const char *acts,
                         size_t stride, size_t n_tokens, float *out, size_t out_stride, const int np)
{
    size_t t = 0;
    for (; n_tokens - t >= TOKENS; t += TOKENS)
        float_block(type, panels, panel_bytes, cols, acts + t * stride, stride, out + t * out_stride, out_stride, np,
                    TOKENS);
    if (n_tokens - t >= TOKENS / 2) {
        float_block(type, panels, panel_bytes, cols, acts + t * stride, stride, out + t * out_stride, out_stride, np,
                    TOKENS / 2);
        t += TOKENS / 2;
    }
    for (; t < n_tokens; t++)
        float_block(type, panels, panel_bytes, cols, acts + t * stride, stride, out + t * out_stride, out_stride, np,
                    1);
}

INLINE void mul_float(int type, const char *panels, size_t n_panels, size_t cols, const char *acts, size_t stride,
                      size_t n_tokens, float *out, size_t out_stride)
{
    const size_t bytes = cols * ROWS * (type == QUANT_F32 ? 4 : 2);
    size_t p = 0;
    for (; n_tokens == 1 && p + 4 <= n_panels; p += 4) /* four chains hide the latency of one */
        float_block(type, panels + p * bytes, bytes, cols, acts, stride, out + p * ROWS, out_stride, 4, 1);
    for (; n_tokens > 1 && p + 2 <= n_panels; p += 2)
        float_panels(type, panels + p * bytes, bytes, cols, acts, stride, n_tokens, out + p * ROWS, out_stride, 2);
    for (; p < n_panels; p++)
        float_panels(type, panels + p * bytes, bytes, cols, acts, stride, n_tokens, out + p * ROWS, out_stride, 1);
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
