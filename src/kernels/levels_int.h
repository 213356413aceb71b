/* levels_int.h: what the files of kernels/ share: each level's fillers, and scales. Private to kernels/. */
#ifndef KERNELS_LEVELS_INT_H
#define KERNELS_LEVELS_INT_H

#include "kernels/kernels.h"
#include "kernels/layout_int.h"

void kernels_portable(kernels *k);
void kernels_portable_mul(kernels *k);
void kernels_portable_attn(kernels *k);
void kernels_portable_attn_q8(kernels *k);
void kernels_portable_feed(kernels *k);
void kernels_avx2(kernels *k);
void kernels_avx2_mul(kernels *k);
void kernels_avx2_float(kernels *k);
void kernels_avx2_attn(kernels *k);
void kernels_avx2_attn_q8(kernels *k);
void kernels_avx2_feed(kernels *k);
void kernels_avxvnni(kernels *k);
void kernels_avx512vl(kernels *k);
void kernels_avx512(kernels *k);
void kernels_avx512_mul(kernels *k);
void kernels_avx512_float(kernels *k);
void kernels_avx512_attn(kernels *k);
void kernels_avx512_attn_q8(kernels *k);
void kernels_amx(kernels *k);
void kernels_amx_mul32(kernels *k);
void kernels_amx_mul_k(kernels *k);
void kernels_neon(kernels *k);
void kernels_neon_mul(kernels *k);
void kernels_neon_float(kernels *k);
void kernels_neon_attn(kernels *k);
void kernels_neon_attn_q8(kernels *k);
void kernels_dotprod(kernels *k);
void kernels_dotprod_mul(kernels *k);
void kernels_dotprod_attn_q8(kernels *k);
void kernels_i8mm(kernels *k);
void kernels_i8mm_mul(kernels *k);

/* Where the parts of a quantised activation row lie. */
static inline const int16_t *act_sums256(const void *act, size_t cols)
{
    return (const int16_t *)((const char *)act + cols);
}
static inline const float *act_scales256(const void *act, size_t cols)
{
    return (const float *)((const char *)act + cols + cols / 8);
}
static inline const int32_t *act_sums32(const void *act, size_t cols)
{
    return (const int32_t *)((const char *)act + cols);
}
static inline const float *act_scales32(const void *act, size_t cols)
{
    return (const float *)((const char *)act + cols + cols / 8);
}

/* tree16 from its 16 lanes. */
static inline float tree16(const float lane[16])
{
    float a[8], b[4];
    for (int i = 0; i < 8; i++)
        a[i] = lane[i] + lane[i + 8];
    for (int i = 0; i < 4; i++)
        b[i] = a[i] + a[i + 4];
    return (b[0] + b[2]) + (b[1] + b[3]);
}

/* The scales of one block of 16 rows, unpacked: what the integer sums are multiplied with. Sub-blocks are of
 * 256 / n_sub values; types of 32 values have one. */
typedef struct block_scales {
    float d[ROWS];       /* scale */
    float m[ROWS];       /* factor of the min term as it enters the fma: m, or -dmin */
    int16_t c[16][ROWS]; /* per sub-block; 1 for types of 32 */
    int16_t s[16][ROWS]; /* min per sub-block */
} block_scales;

/* Unpacks the six-bit scales and mins of Q4_K and Q5_K, [12][16] bytes, for all rows at once. */
static inline void scales_k4(const uint8_t *p, uint8_t scale[8][ROWS], uint8_t min[8][ROWS])
{
    for (int j = 0; j < 4; j++)
        for (int r = 0; r < ROWS; r++) {
            int a = p[j * ROWS + r], b = p[(j + 4) * ROWS + r], c = p[(j + 8) * ROWS + r];
            scale[j][r] = (uint8_t)(a & 63);
            min[j][r] = (uint8_t)(b & 63);
            scale[j + 4][r] = (uint8_t)((c & 15) | (a >> 2 & 48));
            min[j + 4][r] = (uint8_t)(c >> 4 | (b >> 2 & 48));
        }
}

/* The 16 scales of Q3_K, -32..31, from [12][16] bytes. */
static inline void scales_k3(const uint8_t *p, int8_t scale[16][ROWS])
{
    for (int j = 0; j < 8; j++)
        for (int r = 0; r < ROWS; r++) {
            int low = p[j * ROWS + r], high = p[(8 + j % 4) * ROWS + r];
            scale[j][r] = (int8_t)(((low & 15) | (high >> (2 * (j / 4)) & 3) << 4) - 32);
            scale[j + 8][r] = (int8_t)((low >> 4 | (high >> (2 * (j / 4) + 4) & 3) << 4) - 32);
        }
}

/* The 8 scales of IQ4_XS, -32..31, from u16 [16] and [4][16] bytes. */
static inline void scales_iq4_xs(const uint8_t *p, int8_t scale[8][ROWS])
{
    const uint8_t *low = p + 2 * ROWS;
    for (int j = 0; j < 8; j++)
        for (int r = 0; r < ROWS; r++) {
            int l = low[j / 2 * ROWS + r] >> (4 * (j & 1)) & 15, h = p[2 * r + j / 4] >> (2 * (j % 4)) & 3;
            scale[j][r] = (int8_t)((l | h << 4) - 32);
        }
}

#endif
