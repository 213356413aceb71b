/* Types of 32 values on AMX: a product of tiles for each block.
 *
 * Each block's sum is turned into f32 and scaled on its own (docs/NUMERICS.md), so a tile is used for one block, half
 * full, and stored: the arithmetic after it takes longer than the product. Weights are signed bytes; those of Q8_0 are
 * read where they are. */
#include "kernels/x86/amx_int.h"

enum {
    FEW = 16,     /* tokens below which avx512 is faster; with mins, twice as many */
    TOKENS = 512, /* that share one spreading */
    BLOCKS = 16,  /* spread at a time */
    STEP = 4,     /* blocks of a unit */
    BLOCK = 512,  /* bytes of a spread block of 16 rows */
};

typedef struct scratch {
    _Alignas(64) uint8_t weights[PANELS][BLOCKS][BLOCK];
    float d[BLOCKS][PANELS][ROWS], m[BLOCKS][PANELS][ROWS];
    int32_t sums[2][STEP][PANELS][TILE_VALUES]; /* what a unit leaves, two units in turn */
    float acc[TOKENS][PANELS][ROWS];            /* by rows of tiles */
} scratch;

typedef void mul_function(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,
                          size_t n_tokens, float *out, size_t out_stride);

/* One call's view of its tokens. */
typedef struct inputs {
    const char *acts;
    size_t stride, cols;
    token_tiles tiles;
} inputs;

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
        _mm512_store_ps(x->d[b][q], scale16(s, scales));
        if (s.min)
            _mm512_store_ps(x->m[b][q], half16(scales + 32));
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

/* ---- a unit: one tile of tokens times two panels, up to STEP blocks ---- */

typedef struct unit {
    const uint8_t *b[PANELS]; /* of the first block; BLOCK bytes apart */
    const char *a;            /* codes of that block in the first token */
    const char *sums_of_a, *scale;
    size_t stride, rows;
    const float *d, *m; /* [block][PANELS][ROWS] */
    float *acc;
    int32_t (*sums)[PANELS][TILE_VALUES];
    int n; /* blocks */
} unit;

/* Rows [from, to): n sums each go into the totals. */
INLINE void finish(const spec s, const unit *u, const int n, size_t from, size_t to)
{
    __m512 d[STEP][PANELS], m[STEP][PANELS];
    UNROLL
    for (int i = 0; i < n; i++)
        UNROLL
        for (int q = 0; q < PANELS; q++) {
            d[i][q] = _mm512_load_ps(u->d + ROWS * (PANELS * i + q));
            m[i][q] = s.min ? _mm512_load_ps(u->m + ROWS * (PANELS * i + q)) : d[i][q];
        }
    for (size_t r = from; r < to; r++) {
        float *acc = u->acc + r * PANELS * ROWS;
        const float *scale = (const float *)(const void *)(u->scale + r * u->stride);
        __m512 a[PANELS] = { _mm512_load_ps(acc), _mm512_load_ps(acc + ROWS) };
        UNROLL
        for (int i = 0; i < n; i++) {
            const __m512 da = _mm512_set1_ps(scale[i]);
            __m512 total = da;
            if (s.min)
                total = _mm512_cvtepi32_ps(_mm512_set1_epi32(load32(u->sums_of_a + r * u->stride + 4 * (size_t)i)));
            UNROLL
            for (int q = 0; q < PANELS; q++) {
                const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(u->sums[i][q] + ROWS * r));
                a[q] = _mm512_fmadd_ps(_mm512_mul_ps(d[i][q], da), sum, a[q]);
                if (s.min)
                    a[q] = _mm512_fmadd_ps(_mm512_mul_ps(m[i][q], da), total, a[q]);
            }
        }
        _mm512_store_ps(acc, a[0]);
        _mm512_store_ps(acc + ROWS, a[1]);
    }
}

/* A quarter of a unit's rows. */
INLINE void finish_step(const spec s, const unit *u, size_t step)
{
    const size_t from = u->rows * step / 4, to = u->rows * (step + 1) / 4;
    if (u->n == STEP)
        finish(s, u, STEP, from, to);
    else
        for (unit one = *u; one.n > 0; one.n--) {
            finish(s, &one, 1, from, to);
            one.d += PANELS * ROWS;
            one.m += PANELS * ROWS;
            one.scale += 4;
            one.sums_of_a += 4;
            one.sums++;
        }
}

#define PRODUCT(c, a, b, from)                                                                                         \
    TILE_ZERO(c);                                                                                                      \
    TILE_LOAD(b, from, 64);                                                                                            \
    TILE_DPSS(c, a, b)

/* Blocks i and i + 1 of a unit. */
INLINE void two_blocks(const unit *u, int i)
{
    TILE_LOAD(6, u->a + 32 * i, u->stride);
    PRODUCT(0, 6, 7, u->b[0] + BLOCK * i);
    PRODUCT(1, 6, 7, u->b[1] + BLOCK * i);
    TILE_LOAD(6, u->a + 32 * i + 32, u->stride);
    PRODUCT(2, 6, 7, u->b[0] + BLOCK * i + BLOCK);
    PRODUCT(3, 6, 7, u->b[1] + BLOCK * i + BLOCK);
}

/* The products of unit u; the unit before is finished meanwhile. */
INLINE void run_unit(const spec s, const unit *u, const unit *before)
{
    if (u->n == STEP) {
        UNROLL
        for (int i = 0; i < STEP; i += 2) {
            two_blocks(u, i);
            if (before)
                finish_step(s, before, (size_t)i);
            TILE_STORE(0, u->sums[i][0]);
            TILE_STORE(1, u->sums[i][1]);
            if (before)
                finish_step(s, before, (size_t)i + 1);
            TILE_STORE(2, u->sums[i + 1][0]);
            TILE_STORE(3, u->sums[i + 1][1]);
        }
        return;
    }
    for (int i = 0; i < u->n; i++) {
        TILE_LOAD(6, u->a + 32 * i, u->stride);
        PRODUCT(0, 6, 7, u->b[0] + BLOCK * i);
        PRODUCT(1, 6, 7, u->b[1] + BLOCK * i);
        TILE_STORE(0, u->sums[i][0]);
        TILE_STORE(1, u->sums[i][1]);
    }
    for (size_t step = 0; before && step < 4; step++)
        finish_step(s, before, step);
}

/* Blocks [from, to) of two panels, spread already, times all tokens. */
INLINE void run_blocks(const spec s, const inputs *in, scratch *x, const uint8_t *const b[PANELS], size_t from,
                       size_t to)
{
    unit u[2];
    int turn = 0;
    for (size_t i = 0; i < in->tiles.n; i++)
        for (size_t at = from; at < to; at += STEP, turn ^= 1) {
            const size_t start = tile_start(&in->tiles, i), k = at - from;
            const char *act = in->acts + start * in->stride;
            u[turn] = (unit){
                .b = { b[0] + BLOCK * k, b[1] + BLOCK * k },
                .a = act + 32 * at,
                .sums_of_a = act + in->cols + 4 * at,
                .scale = act + in->cols + in->cols / 8 + 4 * at,
                .stride = in->stride,
                .rows = in->tiles.rows,
                .d = x->d[k][0],
                .m = x->m[k][0],
                .acc = x->acc[i * in->tiles.rows][0],
                .sums = x->sums[turn],
                .n = to - at < STEP ? (int)(to - at) : STEP,
            };
            run_unit(s, &u[turn], i || k ? &u[turn ^ 1] : NULL);
        }
    for (size_t step = 0; step < 4; step++)
        finish_step(s, &u[turn ^ 1], step);
}

/* ---- drivers ---- */

/* Two panels, or the last one twice. */
INLINE void mul_panels(const spec s, const uint8_t *panel, size_t panel_bytes, const inputs *in, scratch *x, int np)
{
    const size_t n = in->cols / 32;
    const uint8_t *panels[PANELS] = { panel, np == 2 ? panel + panel_bytes : panel };
    memset(x->acc, 0, in->tiles.n * in->tiles.rows * sizeof x->acc[0]);
    for (size_t from = 0, to; from < n; from = to) {
        to = from + BLOCKS < n ? from + BLOCKS : n;
        const uint8_t *b[PANELS];
        for (int q = 0; q < PANELS; q++) {
            spread(s, panels[q], n, from, to, x, q);
            b[q] = in_place(s) ? panels[q] + BLOCK * from : x->weights[q][0];
        }
        run_blocks(s, in, x, b, from, to);
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
        const inputs in = { acts, stride, cols, tiles_of(nt) };
        if (nt < (s.min ? 2 * FEW : FEW)) {
            few(panels, n_panels, cols, acts, stride, nt, out, out_stride);
            continue;
        }
        tiles_open(&in.tiles, 32);
        for (size_t p = 0; p < n_panels; p += PANELS) {
            const int np = n_panels - p < PANELS ? 1 : PANELS;
            mul_panels(s, panels + p * panel_bytes, panel_bytes, &in, &x, np);
            give_totals(&in.tiles, x.acc, out + p * ROWS, out_stride, np);
        }
        tiles_close();
    }
}

#define MUL(name, ...)                                                                                                 \
    static void mul_##name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,      \
                           size_t n_tokens, float *out, size_t out_stride)                                             \
    {                                                                                                                  \
        const spec s = { __VA_ARGS__ };                                                                                \
        mul(s, kernels_avx512_##name, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);            \
    }
#define FILL(name, type, ...) k->mul[type] = mul_##name;

AVX512_32_TYPES(MUL)

void kernels_amx_mul32(kernels *k)
{
    AVX512_32_TYPES(FILL)
}
