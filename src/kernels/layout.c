/* The layout of weights in memory: sizes, repacking from the file and back.
 *
 * A panel holds the same bits as the file, in planes of 8, 4, 2 or 1 bits of 32 values, sixteen rows side by side, and
 * scales transposed over the rows. Each plane of each type says in what order its bits lie in the file; what follows
 * is moving 32-bit words. */
#include "kernels/kv_q8_int.h"
#include "kernels/layout_int.h"

#include <assert.h>
#include <string.h>

#include "quant/blocks.h"

#define D16(at) { at, 2, 1 }
#define NONE { 0, 0, 0 }
static const layout layouts[KERNELS_TYPES] = {
    [QUANT_F32] = { ACT_F32, 1, 4, NONE, NONE, 64, 0, { { 0, 0, 0 } } },
    [QUANT_F16] = { ACT_F32, 1, 2, NONE, NONE, 32, 0, { { 0, 0, 0 } } },
    [QUANT_BF16] = { ACT_F32, 1, 2, NONE, NONE, 32, 0, { { 0, 0, 0 } } },
    [QUANT_Q4_0] = { ACT_Q8_32, 32, 18, { 4, 2, WORDS }, NONE, 256, 32, { D16(0) } },
    [QUANT_Q4_1] = { ACT_Q8_32, 32, 20, { 4, 4, WORDS }, NONE, 256, 64, { D16(0), D16(2) } },
    [QUANT_Q5_0] = { ACT_Q8_32, 32, 22, { 4, 6, WORDS }, { 1, 2, BITS }, 320, 32, { D16(0) } },
    [QUANT_Q5_1] = { ACT_Q8_32, 32, 24, { 4, 8, WORDS }, { 1, 4, BITS }, 320, 64, { D16(0), D16(2) } },
    [QUANT_Q8_0] = { ACT_Q8_32, 32, 34, { 8, 2, WORDS }, NONE, 512, 32, { D16(0) } },
    [QUANT_IQ4_NL] = { ACT_Q8_32, 32, 18, { 4, 2, WORDS }, NONE, 256, 32, { D16(0) } },
    [QUANT_MXFP4] = { ACT_Q8_32, 32, 17, { 4, 1, WORDS }, NONE, 256, 16, { { 0, 1, 1 } } },
    [QUANT_Q2_K] = { ACT_Q8_256, 256, 84, { 2, 16, FOURS }, NONE, 1024, 320, { D16(80), D16(82), { 0, 1, 16 } } },
    [QUANT_Q3_K] = { ACT_Q8_256, 256, 110, { 2, 32, FOURS }, { 1, 0, MASK }, 1536, 224, { D16(108), { 96, 1, 12 } } },
    [QUANT_Q4_K] = { ACT_Q8_256, 256, 144, { 4, 16, PAIRS }, NONE, 2048, 256, { D16(0), D16(2), { 4, 1, 12 } } },
    [QUANT_Q5_K] = { ACT_Q8_256, 256, 176, { 4, 48, PAIRS }, { 1, 16, MASK }, 2560, 256,
                     { D16(0), D16(2), { 4, 1, 12 } } },
    [QUANT_Q6_K] = { ACT_Q8_256, 256, 210, { 4, 0, SIXES }, { 2, 128, FOURS }, 3072, 288,
                     { D16(208), { 192, 1, 16 } } },
    [QUANT_IQ4_XS] = { ACT_Q8_256, 256, 136, { 4, 8, WORDS }, NONE, 2048, 128, { D16(0), D16(2), { 4, 1, 4 } } },
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

/* ---- planes ----
 * Group g of a plane lies in vector g % vectors (nibbles: g and g + 4 share one) or, for one and two bits, in vector
 * g / (8 / bits). Four values of a group are one 32-bit word, whose bytes are shifted and masked together. */

static uint32_t word(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static void set_word(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

/* Where the bits of sub-block i begin: returns the offset, and by how much each byte is shifted. */
static size_t begin_of(enum order order, int i, int *shift)
{
    switch (order) {
    case PAIRS: *shift = 4 * (i % 2); return (size_t)(32 * (i / 2));
    case FOURS: *shift = 2 * (i % 4); return (size_t)(32 * (i / 4));
    case SIXES: *shift = 4 * (i / 2 % 2); return (size_t)(64 * (i / 4) + 32 * (i % 2));
    case MASK: *shift = i; return 0;
    case WORDS: case BITS: break;
    }
    *shift = 0;
    return (size_t)(16 * i);
}

static int group_of(int bits, int vector, int i)
{
    return bits == 4 ? vector + 4 * i : vector * (8 / bits) + i;
}

/* Rows of the file, stride bytes apart, that a panel is made of. */
typedef struct file_rows {
    const uint8_t *at;
    size_t stride;
    int n;
} file_rows;

/* The bits of 32 bytes from bit `shift` on, into the rows of a plane. */
INLINE void put_bits(uint8_t *out, file_rows in, const int bits, int shift)
{
    const uint32_t mask = 0x01010101u * ((1u << bits) - 1);
    for (int r = 0; r < in.n; r++, in.at += in.stride, out += 4) {
        UNROLL
        for (int v = 0; v < bits; v++) {
            uint32_t packed = 0;
            UNROLL
            for (int i = 0; i < 8 / bits; i++)
                packed |= (word(in.at + 4 * group_of(bits, v, i)) >> shift & mask) << (bits * i);
            set_word(out + 64 * v, packed);
        }
    }
}

/* Bits that lie as the panel wants them. */
INLINE void put_words(uint8_t *out, file_rows in, const int vectors)
{
    for (int r = 0; r < in.n; r++, in.at += in.stride, out += 4) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            set_word(out + 64 * v, word(in.at + 4 * v));
    }
}

/* The inverse: ORed into 32 bytes. */
INLINE void get_bits(const uint8_t *in, uint8_t *out, const int bits, int shift)
{
    const uint32_t mask = 0x01010101u * ((1u << bits) - 1);
    for (int v = 0; v < bits; v++)
        for (int i = 0; i < 8 / bits; i++) {
            uint8_t *to = out + 4 * group_of(bits, v, i);
            set_word(to, word(to) | (word(in + 64 * v) >> (bits * i) & mask) << shift);
        }
}

/* Bits 4g + j of a number become bit g of byte j, and back. */
static uint32_t gather_bits(uint32_t x)
{
    uint32_t out = 0;
    for (int j = 0; j < 4; j++) {
        uint32_t t = x >> j & 0x11111111u;
        t = (t | t >> 3) & 0x03030303u;
        t = (t | t >> 6) & 0x000F000Fu;
        out |= ((t | t >> 12) & 0xFFu) << (8 * j);
    }
    return out;
}

static uint32_t scatter_bits(uint32_t x)
{
    uint32_t out = 0;
    for (int j = 0; j < 4; j++)
        for (int g = 0; g < 8; g++)
            out |= (x >> (8 * j + g) & 1) << (4 * g + j);
    return out;
}

/* Sub-block i of the rows of a plane: the block begins at file.at, the plane's first vector at out. */
static void plane_put(const code_plane *p, int i, file_rows file, uint8_t *out)
{
    int shift;
    file.at += p->at + begin_of(p->order, i, &shift);
    if (p->order == BITS)
        for (int r = 0; r < file.n; r++)
            set_word(out + 4 * r, gather_bits(word(file.at + (size_t)r * file.stride)));
    else if (p->order == WORDS && p->bits == 8)
        put_words(out, file, 8);
    else if (p->order == WORDS)
        put_words(out, file, 4);
    else if (p->bits == 4)
        put_bits(out, file, 4, shift);
    else if (p->bits == 2)
        put_bits(out, file, 2, shift);
    else
        put_bits(out, file, 1, shift);
}

INLINE void plane_get(const code_plane *p, int i, const uint8_t *in, uint8_t *file)
{
    int shift;
    uint8_t *out = file + p->at + begin_of(p->order, i, &shift);
    if (p->order == BITS)
        set_word(out, scatter_bits(word(in)));
    else if (p->order == WORDS)
        for (int v = 0; v < p->bits; v++)
            set_word(out + 4 * v, word(in + 64 * v));
    else
        get_bits(in, out, p->bits, shift);
}

/* One element of every row. */
static uint8_t *scale_put(const scale_field *s, int e, file_rows file, uint8_t *scales)
{
    const uint8_t *in = file.at + s->at + e * s->width;
    if (s->width == 1)
        for (int r = 0; r < file.n; r++)
            scales[r] = in[(size_t)r * file.stride];
    else
        for (int r = 0; r < file.n; r++)
            memcpy(scales + 2 * r, in + (size_t)r * file.stride, 2);
    return scales + ROWS * s->width;
}

static void block_put(const layout *l, file_rows file, uint8_t *codes, uint8_t *scales)
{
    for (int i = 0; i < l->block / 32; i++) {
        plane_put(&l->low, i, file, codes);
        codes += 64 * l->low.bits;
        if (l->high.bits)
            plane_put(&l->high, i, file, codes);
        codes += 64 * l->high.bits;
    }
    for (size_t f = 0; f < ARRAY_LEN(l->fields); f++)
        for (int e = 0; e < l->fields[f].count; e++)
            scales = scale_put(&l->fields[f], e, file, scales);
}

/* One block of one row. */
static void block_get(const layout *l, int row, const uint8_t *codes, const uint8_t *scales, uint8_t *file)
{
    memset(file, 0, l->file_bytes);
    codes += 4 * row;
    for (int i = 0; i < l->block / 32; i++) {
        plane_get(&l->low, i, codes, file);
        codes += 64 * l->low.bits;
        if (l->high.bits)
            plane_get(&l->high, i, codes, file);
        codes += 64 * l->high.bits;
    }
    for (size_t f = 0; f < ARRAY_LEN(l->fields); f++) {
        const scale_field *s = &l->fields[f];
        for (int e = 0; e < s->count; e++, scales += ROWS * s->width)
            memcpy(file + s->at + e * s->width, scales + row * s->width, s->width);
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

void kernels_pack(int type, const void *file_rows_at, size_t row_bytes, int n_rows, size_t cols, void *panel)
{
    const layout *l = layout_of(type);
    assert(l && n_rows >= 0 && n_rows <= ROWS && cols % l->block == 0);
    size_t n = cols / l->block;
    uint8_t *out = panel;
    if (n_rows < ROWS)
        memset(out, 0, kernels_panel_bytes(type, cols));
    if (!l->low.bits) {
        for (int r = 0; r < n_rows; r++)
            float_put(l->file_bytes, (const uint8_t *)file_rows_at + (size_t)r * row_bytes, n,
                      out + (size_t)r * l->file_bytes);
        return;
    }
    for (size_t b = 0; b < n; b++) {
        /* Sixteen rows side by side are no stream that the hardware foresees: the next panel is asked for in step. */
        const size_t step = ROWS * (size_t)l->file_bytes;
        for (size_t i = 0; i < step; i += 64)
            __builtin_prefetch((const void *)((uintptr_t)file_rows_at + ROWS * row_bytes + b * step + i));
        block_put(l, (file_rows){ (const uint8_t *)file_rows_at + b * l->file_bytes, row_bytes, n_rows },
                  out + b * l->code_bytes, out + n * l->code_bytes + b * l->scale_bytes);
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
        if (l->low.bits)
            block_get(l, r, in + b * l->code_bytes, in + n * l->code_bytes + b * l->scale_bytes,
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
