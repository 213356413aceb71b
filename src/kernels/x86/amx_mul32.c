/* Types of 32 values on AMX: a product of tiles for each block.
 *
 * Each block's sum is turned into f32 and scaled on its own (docs/NUMERICS.md), so a tile is used for one block, half
 * full, and stored: the arithmetic after it takes longer than the product. Weights are signed bytes; those of Q8_0 are
 * read where they are. */
#include "kernels/x86/amx_int.h"

enum {
    FEW = 16,     /* tokens below which avx512 is faster */
    TOKENS = 512, /* that share one spreading */
    BLOCKS = 16,  /* spread at a time */
    BLOCK = 512,  /* bytes of a spread block of 16 rows */
    RING = 4,     /* sums under way, one in each register of C */
};

typedef struct scratch {
    _Alignas(64) uint8_t weights[PANELS][BLOCKS][BLOCK];
    float d[PANELS][BLOCKS][ROWS], m[PANELS][BLOCKS][ROWS];
    float scale[TILE_ROWS][BLOCKS], total[TILE_ROWS][BLOCKS]; /* of a tile's activations: their scale, their sum */
    int32_t sums[RING][TILE_VALUES];
    float acc[TOKENS][PANELS][ROWS]; /* by rows of tiles */
} scratch;

/* ---- weights ---- */

INLINE bool in_place(const spec s)
{
    return s.low == 8;
}

INLINE __m512i signed_table(const spec s)
{
    return s.table ? _mm512_broadcast_i32x4(at16((const uint8_t *)s.table)) : _mm512_setzero_si512();
}

/* Blocks [from, to) of panel q. */
INLINE void spread(const spec s, const uint8_t *panel, size_t n, size_t from, size_t to, scratch *x, int q)
{
    const layout *l = layout_of(s.type);
    const size_t code_bytes = l->code_bytes, scale_bytes = l->scale_bytes;
    const uint8_t *codes = panel + from * code_bytes, *scales = panel + n * code_bytes + from * scale_bytes;
    const __m512i table = signed_table(s);
    for (size_t b = 0; b < to - from; b++, codes += code_bytes, scales += scale_bytes) {
        _mm512_store_ps(x->d[q][b], scale16(s, scales));
        if (s.min)
            _mm512_store_ps(x->m[q][b], half16(scales + 32));
        if (in_place(s))
            continue;
        __m512i w[8];
        unpack(s, codes, table, w);
        UNROLL
        for (int g = 0; g < 8; g++) {
            if (!s.table && s.offset)
                w[g] = _mm512_sub_epi8(w[g], _mm512_set1_epi8((char)s.offset));
            _mm512_store_si512((void *)(x->weights[q][b] + 64 * g), w[g]);
        }
    }
}

/* ---- one tile of tokens times one panel ---- */

INLINE void product(const int c, const char *a, size_t stride, const uint8_t *b)
{
    TILE_LOAD(6, a, stride);
    TILE_LOAD(7, b, 64);
    switch (c) {
    case 0: TILE_ZERO(0); TILE_DPSS(0, 6, 7); break;
    case 1: TILE_ZERO(1); TILE_DPSS(1, 6, 7); break;
    case 2: TILE_ZERO(2); TILE_DPSS(2, 6, 7); break;
    case 3: TILE_ZERO(3); TILE_DPSS(3, 6, 7); break;
    }
}

INLINE void store_sum(const int c, int32_t *to)
{
    switch (c) {
    case 0: TILE_STORE(0, to); break;
    case 1: TILE_STORE(1, to); break;
    case 2: TILE_STORE(2, to); break;
    case 3: TILE_STORE(3, to); break;
    }
}

/* The sums of block i of panel q go into the totals. */
INLINE void finish(const spec s, const scratch *x, int q, size_t i, const int32_t *sums, __m512 acc[TILE_ROWS])
{
    const __m512 d = _mm512_load_ps(x->d[q][i]), m = s.min ? _mm512_load_ps(x->m[q][i]) : d;
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++) {
        const __m512 da = _mm512_set1_ps(x->scale[r][i]);
        const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(sums + ROWS * r));
        acc[r] = _mm512_fmadd_ps(_mm512_mul_ps(d, da), sum, acc[r]);
        if (s.min)
            acc[r] = _mm512_fmadd_ps(_mm512_mul_ps(m, da), _mm512_set1_ps(x->total[r][i]), acc[r]);
    }
}

/* Block i of n is finished; the one after the next is stored, and the one after that begun. */
INLINE void step(const spec s, scratch *x, const int c, size_t i, size_t n, const char *a, size_t stride,
                 const uint8_t *b, int q, __m512 acc[TILE_ROWS])
{
    if (i + 3 < n)
        product((c + 3) % RING, a + 32 * (i + 3), stride, b + BLOCK * (i + 3));
    if (i + 2 < n)
        store_sum((c + 2) % RING, x->sums[(c + 2) % RING]);
    if (i < n)
        finish(s, x, q, i, x->sums[c], acc);
}

/* n blocks: a product is stored one step after it was begun, and finished two steps later. */
INLINE void run_panel(const spec s, scratch *x, const char *a, size_t stride, const uint8_t *b, size_t n, int q,
                      float (*total)[PANELS][ROWS])
{
    __m512 acc[TILE_ROWS];
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++)
        acc[r] = _mm512_load_ps(total[r][q]);
    product(0, a, stride, b);
    if (n > 1)
        product(1, a + 32, stride, b + BLOCK);
    store_sum(0, x->sums[0]);
    if (n > 2)
        product(2, a + 64, stride, b + 2 * BLOCK);
    store_sum(1, x->sums[1]);
    for (size_t i = 0; i < n; i += RING) {
        step(s, x, 0, i, n, a, stride, b, q, acc);
        step(s, x, 1, i + 1, n, a, stride, b, q, acc);
        step(s, x, 2, i + 2, n, a, stride, b, q, acc);
        step(s, x, 3, i + 3, n, a, stride, b, q, acc);
    }
#pragma GCC unroll 16
    for (int r = 0; r < TILE_ROWS; r++)
        _mm512_store_ps(total[r][q], acc[r]);
}

/* Blocks [from, to) of `np` panels, spread already (or at b), times all tokens. */
INLINE void run_blocks(const spec s, const inputs *in, scratch *x, const uint8_t *const b[PANELS], int np, size_t from,
                       size_t to)
{
    const size_t stride = in->stride, n = to - from;
    for (size_t i = 0; i < in->tiles.n; i++) {
        const char *act = in->acts + tile_start(&in->tiles, i) * stride;
        for (size_t r = 0; r < TILE_ROWS; r++) {
            const char *row = act + r * stride;
            const __mmask16 these = (__mmask16)((1u << n) - 1);
            const __m512i sums = _mm512_maskz_loadu_epi32(these, act_sums32(row, in->cols) + from);
            _mm512_store_ps(x->scale[r], _mm512_maskz_loadu_ps(these, act_scales32(row, in->cols) + from));
            if (s.min)
                _mm512_store_ps(x->total[r], _mm512_cvtepi32_ps(sums));
        }
        for (int q = 0; q < np; q++)
            run_panel(s, x, act + 32 * from, stride, b[q], n, q, x->acc + i * TILE_ROWS);
    }
}

/* ---- drivers ---- */

INLINE void mul_panels(const spec s, const uint8_t *panels, size_t panel_bytes, const inputs *in, scratch *x, int np)
{
    const size_t n = in->cols / 32;
    memset(x->acc, 0, in->tiles.n * TILE_ROWS * sizeof x->acc[0]);
    for (size_t from = 0, to; from < n; from = to) {
        const uint8_t *b[PANELS];
        to = from + BLOCKS < n ? from + BLOCKS : n;
        for (int q = 0; q < np; q++) {
            const uint8_t *panel = panels + (size_t)q * panel_bytes;
            spread(s, panel, n, from, to, x, q);
            b[q] = in_place(s) ? panel + BLOCK * from : x->weights[q][0];
        }
        run_blocks(s, in, x, b, np, from, to);
    }
}

INLINE void mul(const spec s, mul_function *few, const uint8_t *panels, size_t n_panels, size_t cols, const char *acts,
                size_t stride, size_t n_tokens, float *out, size_t out_stride)
{
    const layout *l = layout_of(s.type);
    const size_t panel_bytes = cols / 32 * ((size_t)l->code_bytes + l->scale_bytes);
    scratch x;
    for (size_t t = 0, nt; t < n_tokens; t += nt, acts += nt * stride, out += nt * out_stride) {
        nt = n_tokens - t < TOKENS ? n_tokens - t : TOKENS;
        if (nt < FEW) {
            few(panels, n_panels, cols, acts, stride, nt, out, out_stride);
            continue;
        }
        const inputs in = { acts, stride, cols, { nt, (nt + TILE_ROWS - 1) / TILE_ROWS, TILE_ROWS } };
        tiles_open(&in.tiles, 32);
        for (size_t p = 0; p < n_panels; p += PANELS) {
            const int np = n_panels - p < PANELS ? 1 : PANELS;
            mul_panels(s, panels + p * panel_bytes, panel_bytes, &in, &x, np);
            give_totals(&in.tiles, x.acc, out + p * ROWS, out_stride, np);
        }
        tiles_close();
    }
}

AVX512_32_TYPES(MUL)

void kernels_amx_mul32(kernels *k)
{
    AVX512_32_TYPES(FILL)
}
