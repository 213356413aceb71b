/* lattice.c: one row for each type: where its codes lie, and what its scales mean. Layouts: blocks.h. */
#include "quant/lattice.h"

#include <string.h>

#include "base/status.h"
#include "quant/blocks.h"
#include "quant/half.h"
#include "quant/quant.h"

/* ---- codes ---- */

static void get_nibbles(const uint8_t qs[16], uint8_t codes[32])
{
    for (int j = 0; j < 16; j++) {
        codes[j] = qs[j] & 15;
        codes[j + 16] = qs[j] >> 4;
    }
}

static void put_nibbles(uint8_t qs[16], const uint8_t codes[32])
{
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

static void get_fifth(const uint8_t qh[4], uint8_t codes[32])
{
    for (int j = 0; j < 32; j++)
        codes[j] |= (uint8_t)((qh[j / 8] >> (j % 8) & 1) << 4);
}

static void put_fifth(uint8_t qh[4], const uint8_t codes[32])
{
    memset(qh, 0, 4);
    for (int j = 0; j < 32; j++)
        qh[j / 8] |= (uint8_t)((codes[j] >> 4) << (j % 8));
}

#define NIBBLES(type)                                                                                                  \
    static void get_##type(const void *p, uint8_t *codes)                                                              \
    {                                                                                                                  \
        get_nibbles(((const block_##type *)p)->qs, codes);                                                             \
    }                                                                                                                  \
    static void put_##type(void *p, const uint8_t *codes)                                                              \
    {                                                                                                                  \
        put_nibbles(((block_##type *)p)->qs, codes);                                                                   \
    }
#define FIVE_BITS(type)                                                                                                \
    static void get_##type(const void *p, uint8_t *codes)                                                              \
    {                                                                                                                  \
        get_nibbles(((const block_##type *)p)->qs, codes);                                                             \
        get_fifth(((const block_##type *)p)->qh, codes);                                                               \
    }                                                                                                                  \
    static void put_##type(void *p, const uint8_t *codes)                                                              \
    {                                                                                                                  \
        put_nibbles(((block_##type *)p)->qs, codes);                                                                   \
        put_fifth(((block_##type *)p)->qh, codes);                                                                     \
    }
NIBBLES(q4_0)
NIBBLES(q4_1)
NIBBLES(iq4_nl)
FIVE_BITS(q5_0)
FIVE_BITS(q5_1)

static void get_q8_0(const void *p, uint8_t *codes)
{
    const block_q8_0 *b = p;
    for (int j = 0; j < 32; j++)
        codes[j] = (uint8_t)(b->qs[j] + 128);
}

static void put_q8_0(void *p, const uint8_t *codes)
{
    block_q8_0 *b = p;
    for (int j = 0; j < 32; j++)
        b->qs[j] = (int8_t)(codes[j] - 128);
}

/* The two low bits of Q2_K and Q3_K. */
static void get_pairs(const uint8_t qs[64], uint8_t codes[256])
{
    for (int j = 0; j < 256; j++)
        codes[j] = qs[j / 128 * 32 + j % 32] >> (2 * (j / 32 % 4)) & 3;
}

static void put_pairs(uint8_t qs[64], const uint8_t codes[256])
{
    memset(qs, 0, 64);
    for (int j = 0; j < 256; j++)
        qs[j / 128 * 32 + j % 32] |= (uint8_t)((codes[j] & 3) << (2 * (j / 32 % 4)));
}

static void get_q2_k(const void *p, uint8_t *codes)
{
    get_pairs(((const block_q2_k *)p)->qs, codes);
}

static void put_q2_k(void *p, const uint8_t *codes)
{
    put_pairs(((block_q2_k *)p)->qs, codes);
}

static void get_q3_k(const void *p, uint8_t *codes)
{
    const block_q3_k *b = p;
    get_pairs(b->qs, codes);
    for (int j = 0; j < 256; j++)
        codes[j] |= (uint8_t)((b->hmask[j % 32] >> (j / 32) & 1) << 2);
}

static void put_q3_k(void *p, const uint8_t *codes)
{
    block_q3_k *b = p;
    put_pairs(b->qs, codes);
    memset(b->hmask, 0, sizeof b->hmask);
    for (int j = 0; j < 256; j++)
        b->hmask[j % 32] |= (uint8_t)((codes[j] >> 2) << (j / 32));
}

/* The four low bits of Q4_K and Q5_K. */
static void get_halves(const uint8_t qs[128], uint8_t codes[256])
{
    for (int j = 0; j < 256; j++)
        codes[j] = qs[j / 64 * 32 + j % 32] >> (4 * (j / 32 % 2)) & 15;
}

static void put_halves(uint8_t qs[128], const uint8_t codes[256])
{
    memset(qs, 0, 128);
    for (int j = 0; j < 256; j++)
        qs[j / 64 * 32 + j % 32] |= (uint8_t)((codes[j] & 15) << (4 * (j / 32 % 2)));
}

static void get_q4_k(const void *p, uint8_t *codes)
{
    get_halves(((const block_q4_k *)p)->qs, codes);
}

static void put_q4_k(void *p, const uint8_t *codes)
{
    put_halves(((block_q4_k *)p)->qs, codes);
}

static void get_q5_k(const void *p, uint8_t *codes)
{
    const block_q5_k *b = p;
    get_halves(b->qs, codes);
    for (int j = 0; j < 256; j++)
        codes[j] |= (uint8_t)((b->qh[j % 32] >> (j / 32) & 1) << 4);
}

static void put_q5_k(void *p, const uint8_t *codes)
{
    block_q5_k *b = p;
    put_halves(b->qs, codes);
    memset(b->qh, 0, sizeof b->qh);
    for (int j = 0; j < 256; j++)
        b->qh[j % 32] |= (uint8_t)((codes[j] >> 4) << (j / 32));
}

static void get_q6_k(const void *p, uint8_t *codes)
{
    const block_q6_k *b = p;
    for (int j = 0; j < 256; j++) {
        int half = j / 128, quarter = j / 32 % 4, l = j % 32;
        int low = b->ql[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
        codes[j] = (uint8_t)(low | (b->qh[32 * half + l] >> (2 * quarter) & 3) << 4);
    }
}

static void put_q6_k(void *p, const uint8_t *codes)
{
    block_q6_k *b = p;
    memset(b->ql, 0, sizeof b->ql);
    memset(b->qh, 0, sizeof b->qh);
    for (int j = 0; j < 256; j++) {
        int half = j / 128, quarter = j / 32 % 4, l = j % 32;
        b->ql[64 * half + 32 * (quarter % 2) + l] |= (uint8_t)((codes[j] & 15) << (4 * (quarter / 2)));
        b->qh[32 * half + l] |= (uint8_t)((codes[j] >> 4) << (2 * quarter));
    }
}

static void get_iq4_xs(const void *p, uint8_t *codes)
{
    for (int g = 0; g < 8; g++)
        get_nibbles(((const block_iq4_xs *)p)->qs + 16 * g, codes + 32 * g);
}

static void put_iq4_xs(void *p, const uint8_t *codes)
{
    for (int g = 0; g < 8; g++)
        put_nibbles(((block_iq4_xs *)p)->qs + 16 * g, codes + 32 * g);
}

/* MXFP4's codes are signs and magnitudes; here they are in the order of their values: -12 .. -0, 0 .. 12. */
static const int8_t e2m1_ascending[16] = { -12, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 6, 8, 12 };

static void get_mxfp4(const void *p, uint8_t *codes)
{
    get_nibbles(((const block_mxfp4 *)p)->qs, codes);
    for (int j = 0; j < 32; j++)
        codes[j] = (uint8_t)(codes[j] < 8 ? codes[j] + 8 : 15 - codes[j]);
}

static void put_mxfp4(void *p, const uint8_t *codes)
{
    uint8_t theirs[32];
    for (int j = 0; j < 32; j++)
        theirs[j] = (uint8_t)(codes[j] < 8 ? 15 - codes[j] : codes[j] - 8);
    put_nibbles(((block_mxfp4 *)p)->qs, theirs);
}

/* ---- scales ---- */

/* Types of 32 values: the step is the first field, an offset the second. */
static lattice_scale scale_one(const void *p, int sub)
{
    (void)sub;
    return (lattice_scale){ half_load(p), 0 };
}

static lattice_scale scale_two(const void *p, int sub)
{
    (void)sub;
    return (lattice_scale){ half_load(p), -half_load((const uint8_t *)p + 2) };
}

static lattice_scale scale_mxfp4(const void *p, int sub)
{
    (void)sub;
    return (lattice_scale){ half_from_e8m0(((const block_mxfp4 *)p)->e), 0 };
}

static lattice_scale scale_q2_k(const void *p, int sub)
{
    const block_q2_k *k = p;
    return (lattice_scale){ half_load(k->d) * (float)(k->scales[sub] & 15),
                            half_load(k->dmin) * (float)(k->scales[sub] >> 4) };
}

static lattice_scale scale_q3_k(const void *p, int sub)
{
    const block_q3_k *k = p;
    return (lattice_scale){ half_load(k->d) * (float)block_q3_scale(k->scales, sub), 0 };
}

/* Q4_K and Q5_K begin alike. */
static lattice_scale scale_q45_k(const void *p, int sub)
{
    const block_q4_k *k = p;
    int scale, min;
    block_k4_scale(k->scales, sub, &scale, &min);
    return (lattice_scale){ half_load(k->d) * (float)scale, half_load(k->dmin) * (float)min };
}

static lattice_scale scale_q6_k(const void *p, int sub)
{
    const block_q6_k *k = p;
    return (lattice_scale){ half_load(k->d) * (float)k->scales[sub], 0 };
}

static lattice_scale scale_iq4_xs(const void *p, int sub)
{
    const block_iq4_xs *k = p;
    return (lattice_scale){ half_load(k->d) * (float)block_iq4_xs_scale(k, sub), 0 };
}

/* ---- stretching ---- */

static void times(uint8_t d[2], float factor)
{
    uint16_t stretched = half_from_f32(half_load(d) * factor);
    if ((stretched & 0x7C00) != 0x7C00)
        half_store_u16(d, stretched);
}

static void stretch_first(void *p, float factor)
{
    times(p, factor);
}

static void stretch_line(uint8_t d[2], uint8_t m[2], float factor, float top)
{
    float before = half_load(d);
    times(d, factor);
    uint16_t offset = half_from_f32(half_load(m) + (before - half_load(d)) * 0.5f * top);
    if ((offset & 0x7C00) != 0x7C00)
        half_store_u16(m, offset);
}

static void stretch_q4_1(void *p, float factor)
{
    stretch_line(((block_q4_1 *)p)->d, ((block_q4_1 *)p)->m, factor, 15);
}

static void stretch_q5_1(void *p, float factor)
{
    stretch_line(((block_q5_1 *)p)->d, ((block_q5_1 *)p)->m, factor, 31);
}

/* ---- shifting ---- */

static bool shift_q2_k(void *p, int sub, int scale_by, int min_by)
{
    uint8_t *s = ((block_q2_k *)p)->scales + sub;
    int scale = (*s & 15) + scale_by, min = (*s >> 4) + min_by;
    if (scale < 0 || scale > 15 || min < 0 || min > 15)
        return false;
    *s = (uint8_t)(scale | min << 4);
    return true;
}

static bool shift_q3_k(void *p, int sub, int scale_by, int min_by)
{
    uint8_t *s = ((block_q3_k *)p)->scales, *low = s + sub % 8, *high = s + 8 + sub % 4;
    int scale = block_q3_scale(s, sub) + 32 + scale_by, nibble = sub < 8 ? 0 : 4, pair = 2 * (sub / 4);
    if (scale < 0 || scale > 63 || min_by != 0)
        return false;
    *low = (uint8_t)((*low & ~(15 << nibble)) | (scale & 15) << nibble);
    *high = (uint8_t)((*high & ~(3 << pair)) | (scale >> 4) << pair);
    return true;
}

/* Q4_K and Q5_K. */
static bool shift_q45_k(void *p, int sub, int scale_by, int min_by)
{
    uint8_t *s = ((block_q4_k *)p)->scales;
    int scale, min;
    block_k4_scale(s, sub, &scale, &min);
    scale += scale_by;
    min += min_by;
    if (scale < 0 || scale > 63 || min < 0 || min > 63)
        return false;
    if (sub < 4) {
        s[sub] = (uint8_t)((s[sub] & 0xC0) | scale);
        s[sub + 4] = (uint8_t)((s[sub + 4] & 0xC0) | min);
    } else {
        s[sub - 4] = (uint8_t)((s[sub - 4] & 63) | (scale >> 4) << 6);
        s[sub] = (uint8_t)((s[sub] & 63) | (min >> 4) << 6);
        s[sub + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
    }
    return true;
}

static bool shift_q6_k(void *p, int sub, int scale_by, int min_by)
{
    int8_t *s = ((block_q6_k *)p)->scales + sub;
    int scale = *s + scale_by;
    if (scale < -128 || scale > 127 || min_by != 0)
        return false;
    *s = (int8_t)scale;
    return true;
}

static bool shift_iq4_xs(void *p, int sub, int scale_by, int min_by)
{
    block_iq4_xs *b = p;
    uint8_t *low = b->scales_l + sub / 2, *high = b->scales_h + sub / 4;
    int scale = block_iq4_xs_scale(b, sub) + 32 + scale_by, nibble = 4 * (sub % 2), pair = 2 * (sub % 4);
    if (scale < 0 || scale > 63 || min_by != 0)
        return false;
    *low = (uint8_t)((*low & ~(15 << nibble)) | (scale & 15) << nibble);
    *high = (uint8_t)((*high & ~(3 << pair)) | (scale >> 4) << pair);
    return true;
}

/* ---- the table ---- */

#define CODES(type) get_##type, put_##type

static const lattice rows[] = {
    { QUANT_Q4_0, 32, 32, 16, -8, NULL, CODES(q4_0), scale_one, stretch_first, NULL, false },
    { QUANT_Q4_1, 32, 32, 16, 0, NULL, CODES(q4_1), scale_two, stretch_q4_1, NULL, false },
    { QUANT_Q5_0, 32, 32, 32, -16, NULL, CODES(q5_0), scale_one, stretch_first, NULL, false },
    { QUANT_Q5_1, 32, 32, 32, 0, NULL, CODES(q5_1), scale_two, stretch_q5_1, NULL, false },
    { QUANT_Q8_0, 32, 32, 256, -128, NULL, CODES(q8_0), scale_one, stretch_first, NULL, false },
    { QUANT_Q2_K, 256, 16, 4, 0, NULL, CODES(q2_k), scale_q2_k, NULL, shift_q2_k, true },
    { QUANT_Q3_K, 256, 16, 8, -4, NULL, CODES(q3_k), scale_q3_k, NULL, shift_q3_k, false },
    { QUANT_Q4_K, 256, 32, 16, 0, NULL, CODES(q4_k), scale_q45_k, NULL, shift_q45_k, true },
    { QUANT_Q5_K, 256, 32, 32, 0, NULL, CODES(q5_k), scale_q45_k, NULL, shift_q45_k, true },
    { QUANT_Q6_K, 256, 16, 64, -32, NULL, CODES(q6_k), scale_q6_k, NULL, shift_q6_k, false },
    { QUANT_IQ4_NL, 32, 32, 16, 0, quant_iq4_values, CODES(iq4_nl), scale_one, stretch_first, NULL, false },
    { QUANT_IQ4_XS, 256, 32, 16, 0, quant_iq4_values, CODES(iq4_xs), scale_iq4_xs, NULL, shift_iq4_xs, false },
    { QUANT_MXFP4, 32, 32, 16, 0, e2m1_ascending, CODES(mxfp4), scale_mxfp4, NULL, NULL, false },
};

const lattice *lattice_find(uint32_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type == type)
            return &rows[i];
    return NULL;
}

/* A NaN gives the lowest code. */
static int nearest_uniform(const lattice *l, float level)
{
    float c = level - (float)l->low, top = (float)(l->n_codes - 1);
    c = c > 0 ? c : 0;
    return (int)((c < top ? c : top) + 0.5f);
}

/* Of 16 levels: halves the middles that are left. */
static int nearest_in_table(const lattice *l, float level)
{
    int code = 0;
    for (int step = 8; step > 0; step /= 2) {
        float middle = 0.5f * (float)(l->levels[code + step - 1] + l->levels[code + step]);
        code += level > middle ? step : 0;
    }
    return code;
}

int lattice_nearest(const lattice *l, float a, float b, float x)
{
    float level = a != 0 ? (x + b) / a : 0;
    return l->levels ? nearest_in_table(l, level) : nearest_uniform(l, level);
}
