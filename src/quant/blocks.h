/* blocks.h: the block layouts of weight files, byte by byte. Little endian, no padding, no alignment: every field is an
 * array of bytes, so a block may lie anywhere. f16 fields are read with half_load (half.h).
 *
 * Notation: x[j] = value j of the block; lo/hi = low/high nibble of a byte; u = unsigned code. */
#ifndef QUANT_BLOCKS_H
#define QUANT_BLOCKS_H

#include <stdint.h>

/* ---- legacy types: 32 values --------------------------------------------------------------------------------------
 * In all of them byte j of qs holds value j in its low and value j + 16 in its high nibble. */

/* offset  0  f16 d
 *         2  qs[16]         x[j] = d * (u - 8) */
typedef struct block_q4_0 {
    uint8_t d[2], qs[16];
} block_q4_0;
_Static_assert(sizeof(block_q4_0) == 18, "Q4_0 is 18 bytes");

/* offset  0  f16 d
 *         2  f16 m
 *         4  qs[16]         x[j] = d * u + m */
typedef struct block_q4_1 {
    uint8_t d[2], m[2], qs[16];
} block_q4_1;
_Static_assert(sizeof(block_q4_1) == 20, "Q4_1 is 20 bytes");

/* offset  0  f16 d
 *         2  u32 qh         bit j = fifth bit of value j, 0 <= j < 32
 *         6  qs[16]         x[j] = d * (u - 16) */
typedef struct block_q5_0 {
    uint8_t d[2], qh[4], qs[16];
} block_q5_0;
_Static_assert(sizeof(block_q5_0) == 22, "Q5_0 is 22 bytes");

/* offset  0  f16 d
 *         2  f16 m
 *         4  u32 qh         as in Q5_0
 *         8  qs[16]         x[j] = d * u + m */
typedef struct block_q5_1 {
    uint8_t d[2], m[2], qh[4], qs[16];
} block_q5_1;
_Static_assert(sizeof(block_q5_1) == 24, "Q5_1 is 24 bytes");

/* offset  0  f16 d
 *         2  i8 qs[32]      x[j] = d * qs[j] */
typedef struct block_q8_0 {
    uint8_t d[2];
    int8_t qs[32];
} block_q8_0;
_Static_assert(sizeof(block_q8_0) == 34, "Q8_0 is 34 bytes");

/* ---- K types: super-blocks of 256 values ------------------------------------------------------------------------- */

/* 16 sub-blocks of 16 values. Sub-block i has the 4-bit scale lo(scales[i]) and the 4-bit min hi(scales[i]).
 * offset  0  scales[16]
 *        16  qs[64]         values 128h + 32s + l (h < 2, s < 4, l < 32): bits 2s..2s+1 of qs[32h + l]
 *        80  f16 d
 *        82  f16 dmin       x = d * scale * u - dmin * min */
typedef struct block_q2_k {
    uint8_t scales[16], qs[64], d[2], dmin[2];
} block_q2_k;
_Static_assert(sizeof(block_q2_k) == 84, "Q2_K is 84 bytes");

/* 16 sub-blocks of 16 values with 6-bit scales, stored plus 32.
 * offset  0  hmask[32]      value 32g + l: bit g of hmask[l] is the third bit
 *        32  qs[64]         low two bits, order as in Q2_K
 *        96  scales[12]     scale i: low 4 bits = nibble (i < 8 ? lo : hi) of byte i % 8,
 *                           high 2 bits = bits 2(i/4).. of byte 8 + i % 4
 *       108  f16 d          x = d * (scale - 32) * (u - 4) */
typedef struct block_q3_k {
    uint8_t hmask[32], qs[64], scales[12], d[2];
} block_q3_k;
_Static_assert(sizeof(block_q3_k) == 110, "Q3_K is 110 bytes");

/* 8 sub-blocks of 32 values with 6-bit scales and mins, packed in 12 bytes s[]:
 *   j < 4:  scale j = s[j] & 63                            min j = s[j + 4] & 63
 *   j >= 4: scale j = lo(s[j + 4]) | (s[j - 4] >> 6) << 4  min j = hi(s[j + 4]) | (s[j] >> 6) << 4
 * offset  0  f16 d
 *         2  f16 dmin
 *         4  scales[12]
 *        16  qs[128]        values 64h + l: lo(qs[32h + l]), 64h + 32 + l: hi (h < 4, l < 32)
 *                           x = d * scale * u - dmin * min */
typedef struct block_q4_k {
    uint8_t d[2], dmin[2], scales[12], qs[128];
} block_q4_k;
_Static_assert(sizeof(block_q4_k) == 144, "Q4_K is 144 bytes");

/* offset  0..15             as Q4_K
 *        16  qh[32]         fifth bit of value 32g + l: bit g of qh[l]
 *        48  qs[128]        as Q4_K */
typedef struct block_q5_k {
    uint8_t d[2], dmin[2], scales[12], qh[32], qs[128];
} block_q5_k;
_Static_assert(sizeof(block_q5_k) == 176, "Q5_K is 176 bytes");

/* 16 sub-blocks of 16 values with 8-bit scales. For each half h and l < 32:
 *   value 128h +      l = lo(ql[64h + l])      | bits 0..1 of qh[32h + l] << 4
 *   value 128h + 32 + l = lo(ql[64h + 32 + l]) | bits 2..3 << 4
 *   value 128h + 64 + l = hi(ql[64h + l])      | bits 4..5 << 4
 *   value 128h + 96 + l = hi(ql[64h + 32 + l]) | bits 6..7 << 4
 * offset  0  ql[128]
 *       128  qh[64]
 *       192  i8 scales[16]
 *       208  f16 d          x = d * scale * (u - 32) */
typedef struct block_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint8_t d[2];
} block_q6_k;
_Static_assert(sizeof(block_q6_k) == 210, "Q6_K is 210 bytes");

/* ---- non-linear 4 bit --------------------------------------------------------------------------------------------
 * The code is an index into quant_iq4_values. */
extern const int8_t quant_iq4_values[16];

/* offset  0  f16 d
 *         2  qs[16]         nibbles as Q4_0; x[j] = d * values[u] */
typedef struct block_iq4_nl {
    uint8_t d[2], qs[16];
} block_iq4_nl;
_Static_assert(sizeof(block_iq4_nl) == 18, "IQ4_NL is 18 bytes");

/* 8 sub-blocks of 32 values with 6-bit scales, stored plus 32.
 * offset  0  f16 d
 *         2  u16 scales_h   bits 2i..2i+1 = high bits of scale i
 *         4  scales_l[4]    nibble i (low first) = low bits of scale i
 *         8  qs[128]        sub-block i: 16 bytes from 16i, nibbles as Q4_0
 *                           x = d * (scale - 32) * values[u] */
typedef struct block_iq4_xs {
    uint8_t d[2], scales_h[2], scales_l[4], qs[128];
} block_iq4_xs;
_Static_assert(sizeof(block_iq4_xs) == 136, "IQ4_XS is 136 bytes");

/* ---- MXFP4: 32 values, E2M1 codes with one E8M0 scale ------------------------------------------------------------
 * offset  0  u8 e
 *         1  qs[16]         nibbles as Q4_0; x = 2^(e - 128) * quant_e2m1_doubled[u] */
extern const int8_t quant_e2m1_doubled[16];
typedef struct block_mxfp4 {
    uint8_t e, qs[16];
} block_mxfp4;
_Static_assert(sizeof(block_mxfp4) == 17, "MXFP4 is 17 bytes");

/* The 6-bit scale j < 8 and min j of Q4_K and Q5_K. */
static inline void block_k4_scale(const uint8_t s[12], int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *min = s[j + 4] >> 4 | (s[j] >> 6) << 4;
    }
}

/* The 6-bit scale j < 16 of Q3_K: -32..31. */
static inline int block_q3_scale(const uint8_t s[12], int j)
{
    int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
    int high = s[8 + j % 4] >> (2 * (j / 4)) & 3;
    return (low | high << 4) - 32;
}

/* The 6-bit scale j < 8 of IQ4_XS: -32..31. */
static inline int block_iq4_xs_scale(const block_iq4_xs *b, int j)
{
    int low = b->scales_l[j / 2] >> (4 * (j % 2)) & 15;
    int high = (b->scales_h[0] | b->scales_h[1] << 8) >> (2 * j) & 3;
    return (low | high << 4) - 32;
}

#endif
