/* The layout of weights in memory: sizes, repacking from the file and back.
 *
 * Repacking a block splits it into codes in natural value order (one function a type) and scale bytes. The codes of
 * four consecutive values are one 32-bit word; a plane is built from such words by shifts, sixteen rows side by
 * side. */
#include "kernels/kv_q8_int.h"
#include "kernels/layout_int.h"

#include <assert.h>
#include <string.h>

#include "quant/blocks.h"

#define D16(at) { at, 2, 1 }
static const layout layouts[KERNELS_TYPES] = {
    [QUANT_F32] = { ACT_F32, 1, 4, 0, 0, 64, 0, { { 0, 0, 0 } } },
    [QUANT_F16] = { ACT_F32, 1, 2, 0, 0, 32, 0, { { 0, 0, 0 } } },
    [QUANT_BF16] = { ACT_F32, 1, 2, 0, 0, 32, 0, { { 0, 0, 0 } } },
    [QUANT_Q4_0] = { ACT_Q8_32, 32, 18, 4, 0, 256, 32, { D16(0) } },
    [QUANT_Q4_1] = { ACT_Q8_32, 32, 20, 4, 0, 256, 64, { D16(0), D16(2) } },
    [QUANT_Q5_0] = { ACT_Q8_32, 32, 22, 4, 1, 320, 32, { D16(0) } },
    [QUANT_Q5_1] = { ACT_Q8_32, 32, 24, 4, 1, 320, 64, { D16(0), D16(2) } },
    [QUANT_Q8_0] = { ACT_Q8_32, 32, 34, 8, 0, 512, 32, { D16(0) } },
    [QUANT_IQ4_NL] = { ACT_Q8_32, 32, 18, 4, 0, 256, 32, { D16(0) } },
    [QUANT_MXFP4] = { ACT_Q8_32, 32, 17, 4, 0, 256, 16, { { 0, 1, 1 } } },
    [QUANT_Q2_K] = { ACT_Q8_256, 256, 84, 2, 0, 1024, 320, { D16(80), D16(82), { 0, 1, 16 } } },
    [QUANT_Q3_K] = { ACT_Q8_256, 256, 110, 2, 1, 1536, 224, { D16(108), { 96, 1, 12 } } },
    [QUANT_Q4_K] = { ACT_Q8_256, 256, 144, 4, 0, 2048, 256, { D16(0), D16(2), { 4, 1, 12 } } },
    [QUANT_Q5_K] = { ACT_Q8_256, 256, 176, 4, 1, 2560, 256, { D16(0), D16(2), { 4, 1, 12 } } },
    [QUANT_Q6_K] = { ACT_Q8_256, 256, 210, 4, 2, 3072, 288, { D16(208), { 192, 1, 16 } } },
    [QUANT_IQ4_XS] = { ACT_Q8_256, 256, 136, 4, 0, 2048, 128, { D16(0), D16(2), { 4, 1, 4 } } },
};

const layout *layout_of(int type)
{
    if (type < 0 || type >= KERNELS_TYPES || !layouts[type].block)
        return NULL;
    return &layouts[type];
}

bool kernels_supports(int type)
{
    return layout_of(type) != NULL;
}

enum kernels_act kernels_act_format(int type)
{
    const layout *l = layout_of(type);
    return l ? l->act : ACT_F32;
}

size_t kernels_block(int type)
{
    const layout *l = layout_of(type);
    return l ? l->block : 0;
}

size_t kernels_panel_bytes(int type, size_t cols)
{
    const layout *l = layout_of(type);
    if (!l || cols % l->block)
        return 0;
    size_t per_block = (size_t)ROWS * l->file_bytes;
    assert(per_block == (size_t)l->code_bytes + l->scale_bytes);
    size_t n = cols / l->block;
    return n > SIZE_MAX / per_block ? 0 : n * per_block;
}

size_t kernels_matrix_bytes(int type, size_t rows, size_t cols)
{
    size_t panel = kernels_panel_bytes(type, cols), n = rows / ROWS + (rows % ROWS != 0);
    return panel && n <= SIZE_MAX / panel ? n * panel : 0;
}

size_t kernels_act_bytes(enum kernels_act format, size_t cols)
{
    size_t bytes = cols * 4;
    if (bytes % 2048 == 0) /* rows a multiple of 4 KiB apart would share the sets of the first-level cache */
        bytes += 64;
    if (format == ACT_Q8_32)
        bytes = cols + cols / 32 * 4 + cols / 32 * 4;
    if (format == ACT_Q8_256)
        bytes = cols + cols / 16 * 2 + cols / 256 * 4;
    return (bytes + 63) & ~(size_t)63;
}

size_t kernels_page_bytes(enum kernels_kv kv, size_t head_dim)
{
    if (kv == KV_Q8) /* codes, a scale for each group of a key, and one for each value */
        return KERNELS_PAGE * (2 * head_dim + (q8_groups(head_dim) + 1) * sizeof(float));
    return 2 * KERNELS_PAGE * head_dim * (kv == KV_F32 ? 4 : 2);
}

/* ---- codes of one block in natural order, and back ---- */

static void split_nibbles16(const uint8_t *qs, uint8_t *codes) /* the order of the 32-value types */
{
    for (int j = 0; j < 16; j++) {
        codes[j] = qs[j] & 15;
        codes[j + 16] = qs[j] >> 4;
    }
}

static void join_nibbles16(const uint8_t *codes, uint8_t *qs)
{
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)((codes[j] & 15) | codes[j + 16] << 4);
}

static uint32_t word(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* Bit j of b into bit 4 of byte j. */
static uint64_t spread_fifth_bits(uint8_t b)
{
    uint64_t t = (b * 0x0101010101010101u) & 0x8040201008040201u; /* byte j keeps bit j */
    return ((t + 0x7F7F7F7F7F7F7F7Fu) >> 7 & 0x0101010101010101u) << 4;
}

/* qh of the Q5 types as bits: bit j belongs to value j. */
static void split_q5(const uint8_t *qs, const uint8_t qh[4], uint8_t *codes)
{
    split_nibbles16(qs, codes);
    for (int i = 0; i < 4; i++) {
        uint64_t eight;
        memcpy(&eight, codes + 8 * i, 8);
        eight |= spread_fifth_bits(qh[i]);
        memcpy(codes + 8 * i, &eight, 8);
    }
}

static void join_q5(const uint8_t *codes, uint8_t *qs, uint8_t qh[4])
{
    join_nibbles16(codes, qs);
    memset(qh, 0, 4);
    for (int j = 0; j < 32; j++)
        qh[j / 8] |= (uint8_t)((codes[j] >> 4 & 1) << (j % 8));
}

static void split_k4(const uint8_t *qs, uint8_t *codes) /* Q4_K, Q5_K */
{
    for (int h = 0; h < 4; h++)
        for (int l = 0; l < 32; l++) {
            codes[64 * h + l] = qs[32 * h + l] & 15;
            codes[64 * h + 32 + l] = qs[32 * h + l] >> 4;
        }
}

static void join_k4(const uint8_t *codes, uint8_t *qs)
{
    for (int h = 0; h < 4; h++)
        for (int l = 0; l < 32; l++)
            qs[32 * h + l] = (uint8_t)((codes[64 * h + l] & 15) | codes[64 * h + 32 + l] << 4);
}

static void split_k2(const uint8_t *qs, uint8_t *codes) /* Q2_K, Q3_K */
{
    for (int i = 0; i < 8; i++)
        for (int l = 0; l < 32; l++)
            codes[32 * i + l] = qs[32 * (i / 4) + l] >> (2 * (i % 4)) & 3;
}

static void join_k2(const uint8_t *codes, uint8_t *qs)
{
    memset(qs, 0, 64);
    for (int i = 0; i < 8; i++)
        for (int l = 0; l < 32; l++)
            qs[32 * (i / 4) + l] |= (uint8_t)((codes[32 * i + l] & 3) << (2 * (i % 4)));
}

/* One bit a value, bit g of mask[l] for value 32g + l: ORed into the codes as `bit`. */
static void split_mask(const uint8_t mask[32], int bit, uint8_t *codes)
{
    for (int g = 0; g < 8; g++)
        for (int l = 0; l < 32; l++)
            codes[32 * g + l] |= (uint8_t)((mask[l] >> g & 1) << bit);
}

static void join_mask(const uint8_t *codes, int bit, uint8_t mask[32])
{
    memset(mask, 0, 32);
    for (int g = 0; g < 8; g++)
        for (int l = 0; l < 32; l++)
            mask[l] |= (uint8_t)((codes[32 * g + l] >> bit & 1) << g);
}

static void split_q6(const block_q6_k *b, uint8_t *codes)
{
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 4; i++)
            for (int l = 0; l < 32; l++) {
                int low = b->ql[64 * h + 32 * (i & 1) + l] >> (4 * (i >> 1)) & 15;
                codes[128 * h + 32 * i + l] = (uint8_t)(low | (b->qh[32 * h + l] >> (2 * i) & 3) << 4);
            }
}

static void join_q6(const uint8_t *codes, block_q6_k *b)
{
    memset(b->ql, 0, sizeof b->ql + sizeof b->qh);
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 4; i++)
            for (int l = 0; l < 32; l++) {
                int u = codes[128 * h + 32 * i + l];
                b->ql[64 * h + 32 * (i & 1) + l] |= (uint8_t)((u & 15) << (4 * (i >> 1)));
                b->qh[32 * h + l] |= (uint8_t)((u >> 4 & 3) << (2 * i));
            }
}

static void split_block(int type, const void *block, uint8_t *codes)
{
    const uint8_t *p = block;
    switch (type) {
    case QUANT_Q4_0:
    case QUANT_IQ4_NL: split_nibbles16(p + 2, codes); break;
    case QUANT_Q4_1: split_nibbles16(p + 4, codes); break;
    case QUANT_MXFP4: split_nibbles16(p + 1, codes); break;
    case QUANT_Q5_0: split_q5(p + 6, p + 2, codes); break;
    case QUANT_Q5_1: split_q5(p + 8, p + 4, codes); break;
    case QUANT_Q8_0: memcpy(codes, p + 2, 32); break;
    case QUANT_Q2_K: split_k2(p + 16, codes); break;
    case QUANT_Q3_K: split_k2(p + 32, codes), split_mask(p, 2, codes); break;
    case QUANT_Q4_K: split_k4(p + 16, codes); break;
    case QUANT_Q5_K: split_k4(p + 48, codes), split_mask(p + 16, 4, codes); break;
    case QUANT_Q6_K: split_q6(block, codes); break;
    case QUANT_IQ4_XS:
        for (int i = 0; i < 8; i++)
            split_nibbles16(p + 8 + 16 * i, codes + 32 * i);
        break;
    default: assert(!"a type without codes");
    }
}

static void join_block(int type, const uint8_t *codes, void *block)
{
    uint8_t *p = block;
    switch (type) {
    case QUANT_Q4_0:
    case QUANT_IQ4_NL: join_nibbles16(codes, p + 2); break;
    case QUANT_Q4_1: join_nibbles16(codes, p + 4); break;
    case QUANT_MXFP4: join_nibbles16(codes, p + 1); break;
    case QUANT_Q5_0: join_q5(codes, p + 6, p + 2); break;
    case QUANT_Q5_1: join_q5(codes, p + 8, p + 4); break;
    case QUANT_Q8_0: memcpy(p + 2, codes, 32); break;
    case QUANT_Q2_K: join_k2(codes, p + 16); break;
    case QUANT_Q3_K: join_k2(codes, p + 32), join_mask(codes, 2, p); break;
    case QUANT_Q4_K: join_k4(codes, p + 16); break;
    case QUANT_Q5_K: join_k4(codes, p + 48), join_mask(codes, 4, p + 16); break;
    case QUANT_Q6_K: join_q6(codes, block); break;
    case QUANT_IQ4_XS:
        for (int i = 0; i < 8; i++)
            join_nibbles16(codes + 32 * i, p + 8 + 16 * i);
        break;
    default: assert(!"a type without codes");
    }
}

/* ---- planes ---- */

/* One plane of 32 values of one row: `bits` bits of every code from bit `shift` on. Group g lies in vector
 * g % vectors (nibbles: g and g + 4 share one) or, for bit planes, in vector g / (8 / bits). */
static size_t plane_put(uint8_t *out, int row, const uint8_t *codes, int bits, int shift)
{
    const uint32_t mask = 0x01010101u * ((1u << bits) - 1);
    int per = 8 / bits, vectors = bits;
    for (int v = 0; v < vectors; v++) {
        uint32_t packed = 0;
        for (int i = 0; i < per; i++) {
            int g = bits == 4 ? v + 4 * i : v * per + i;
            packed |= (word(codes + 4 * g) >> shift & mask) << (bits * i);
        }
        memcpy(out + 64 * v + 4 * row, &packed, 4);
    }
    return (size_t)vectors * 64;
}

static size_t plane_get(const uint8_t *in, int row, uint8_t *codes, int bits, int shift)
{
    const uint32_t mask = 0x01010101u * ((1u << bits) - 1);
    int per = 8 / bits, vectors = bits;
    for (int v = 0; v < vectors; v++) {
        uint32_t packed = word(in + 64 * v + 4 * row);
        for (int i = 0; i < per; i++) {
            int g = bits == 4 ? v + 4 * i : v * per + i;
            uint32_t code = word(codes + 4 * g) | (packed >> (bits * i) & mask) << shift;
            memcpy(codes + 4 * g, &code, 4);
        }
    }
    return (size_t)vectors * 64;
}

static void block_put(const layout *l, int type, int row, const uint8_t *file, uint8_t *codes_out, uint8_t *scales_out)
{
    uint8_t codes[256];
    split_block(type, file, codes);
    for (int k = 0; k < l->block; k += 32) {
        codes_out += plane_put(codes_out, row, codes + k, l->low, 0);
        if (l->high)
            codes_out += plane_put(codes_out, row, codes + k, l->high, l->low);
    }
    for (size_t f = 0; f < ARRAY_LEN(l->fields); f++) {
        const scale_field *s = &l->fields[f];
        for (int e = 0; e < s->count; e++, scales_out += ROWS * s->width)
            memcpy(scales_out + row * s->width, file + s->at + e * s->width, s->width);
    }
}

static void block_get(const layout *l, int type, int row, const uint8_t *codes_in, const uint8_t *scales_in,
                      uint8_t *file)
{
    uint8_t codes[256] = { 0 };
    for (int k = 0; k < l->block; k += 32) {
        codes_in += plane_get(codes_in, row, codes + k, l->low, 0);
        if (l->high)
            codes_in += plane_get(codes_in, row, codes + k, l->high, l->low);
    }
    join_block(type, codes, file);
    for (size_t f = 0; f < ARRAY_LEN(l->fields); f++) {
        const scale_field *s = &l->fields[f];
        for (int e = 0; e < s->count; e++, scales_in += ROWS * s->width)
            memcpy(file + s->at + e * s->width, scales_in + row * s->width, s->width);
    }
}

/* Values of one row, every sixteenth of the panel. */
static void float_put(size_t width, const uint8_t *row, size_t n, uint8_t *out)
{
    if (width == 2)
        for (size_t k = 0; k < n; k++)
            memcpy(out + k * ROWS * 2, row + k * 2, 2);
    else
        for (size_t k = 0; k < n; k++)
            memcpy(out + k * ROWS * 4, row + k * 4, 4);
}

void kernels_pack(int type, const void *file_rows, size_t row_bytes, int n_rows, size_t cols, void *panel)
{
    const layout *l = layout_of(type);
    assert(l && n_rows >= 0 && n_rows <= ROWS && cols % l->block == 0);
    size_t n = cols / l->block;
    uint8_t *out = panel;
    if (n_rows < ROWS)
        memset(out, 0, kernels_panel_bytes(type, cols));
    for (int r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)file_rows + (size_t)r * row_bytes;
        if (!l->low) {
            float_put(l->file_bytes, row, n, out + (size_t)r * l->file_bytes);
            continue;
        }
        for (size_t b = 0; b < n; b++)
            block_put(l, type, r, row + b * l->file_bytes, out + b * l->code_bytes,
                      out + n * l->code_bytes + b * l->scale_bytes);
    }
}

void kernels_unpack_row(int type, const void *panels, size_t cols, size_t row, void *file_row)
{
    const layout *l = layout_of(type);
    assert(l && cols % l->block == 0);
    size_t n = cols / l->block;
    const uint8_t *in = (const uint8_t *)panels + row / ROWS * kernels_panel_bytes(type, cols);
    uint8_t *out = file_row;
    int r = (int)(row % ROWS);
    for (size_t b = 0; b < n; b++) {
        if (l->low)
            block_get(l, type, r, in + b * l->code_bytes, in + n * l->code_bytes + b * l->scale_bytes,
                      out + b * l->file_bytes);
        else
            memcpy(out + b * l->file_bytes, in + (b * ROWS + (size_t)r) * l->file_bytes, l->file_bytes);
    }
}

void kernels_gather(int type, const void *panels, size_t cols, size_t row, void *file_row, float *out)
{
    const quant_traits *t = quant_find((uint32_t)type);
    assert(t && t->decode);
    kernels_unpack_row(type, panels, cols, row, file_row);
    t->decode(file_row, out, cols);
}
