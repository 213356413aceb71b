/* K types (and IQ4_XS) on AMX: whole blocks of 256 values in the tiles.
 *
 * The scale c of each sub-block is multiplied into the codes, so that one sum over the 256 values is S of
 * docs/NUMERICS.md. The products take more than a byte: they are spread as one or two planes of bytes, whose sums are
 * put together afterwards:
 *
 *   Q2_K          one plane   c u                  0..45
 *   Q3_K          one plane   c (u - 4) + 124      0..252; 124 x the sum of all activations is taken back
 *   Q4_K Q5_K     two planes  (c % 8) u, (c / 8) u  0..217; S = first + 8 second
 *   Q6_K IQ4_XS   two planes  the low byte (unsigned) and the high byte of c (u - 32), c v[u]; S = first + 256 second
 *
 * In the first three a multiplication of 16-bit lanes is one of bytes, since none carries into its neighbour.
 *
 * M, the sum of mins times sums of activations, is a product of bf16: a sum of 16 activations is 16 h + l, |16 h| below
 * 2^11 and l below 16, both bf16 exactly, as are mins, and |M| < 2^24. */
#include "kernels/x86/amx_int.h"

_Static_assert(16 * 16 * 15 * 127 < 1 << 24 && 16 * 16 * 63 * 127 < 1 << 24, "M is exact in f32");
_Static_assert(31 * 7 <= 255 && 3 * 15 <= 255 && 4 * 32 + 124 <= 255 && 31 * 4 <= 124, "planes are bytes");

enum {
    FEW = 12,             /* tokens below which avx512 is faster; of one plane, 8 */
    TOKENS = 512,         /* that share one spreading */
    PREPARED = 128 << 10, /* bytes of prepared sums */
    PLANE = 16 * 256,     /* bytes of a plane of a block */
};

typedef struct scratch {
    _Alignas(64) uint8_t plane[PANELS][2][PLANE]; /* of one block */
    uint8_t min[PANELS][TILE_BYTES];              /* B of M */
    float d[2][PANELS][ROWS], m[2][PANELS][ROWS]; /* of two blocks in turn */
    int32_t sums[2][4][TILE_VALUES]; /* what a phase leaves, in turn */
    float acc[TOKENS][PANELS][ROWS]; /* by rows of tiles */
    char prepared[PREPARED];         /* [block][token][prepared_bytes] */
} scratch;

INLINE int planes(const spec s)
{
    return s.type == QUANT_Q2_K || s.type == QUANT_Q3_K ? 1 : 2;
}

INLINE bool whole_bytes(const spec s) /* two planes that are the bytes of 16-bit products */
{
    return s.type == QUANT_Q6_K || s.type == QUANT_IQ4_XS;
}

/* ---- activations ---- */

INLINE size_t prepared_bytes(const spec s) /* of one block of one token */
{
    return s.min ? 64 : s.type == QUANT_Q3_K ? 4 : 0;
}

/* Sums as row of A of M, or -124 times their total. */
INLINE void prepare(const spec s, const inputs *in, size_t block, size_t n, char *out)
{
    const __m512i low = _mm512_set1_epi32(15);
    for (size_t b = block; prepared_bytes(s) && b < block + n; b++)
        for (size_t t = 0; t < in->tiles.n_tokens; t++, out += prepared_bytes(s)) {
            const int16_t *sums = act_sums256(in->acts + t * in->stride, in->cols) + 16 * b;
            const __m512i x = _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)sums));
            if (s.type == QUANT_Q3_K) {
                const int32_t total = -124 * _mm512_reduce_add_epi32(x);
                memcpy(out, &total, 4);
                continue;
            }
            const __m512i l = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_and_si512(x, low)));
            const __m512i h = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_andnot_si512(low, x)));
            _mm512_store_si512((void *)out, _mm512_or_si512(l, _mm512_srli_epi32(h, 16)));
        }
}

/* ---- weights ---- */

/* Scales (and mins, where the type has them) of the sub-blocks, a byte a row. */
INLINE void rows_of(const spec s, const uint8_t *p, __m128i c[16], __m128i m[16])
{
    if (s.type == QUANT_Q4_K || s.type == QUANT_Q5_K)
        rows_q4_q5(p, c, m);
    if (s.type == QUANT_Q3_K)
        rows_q3_k(p, c);
    if (s.type == QUANT_IQ4_XS)
        rows_iq4_xs(p, c);
    if (s.type == QUANT_Q2_K || s.type == QUANT_Q6_K)
        UNROLL
        for (int j = 0; j < 16; j++) {
            c[j] = at16(p + 16 * j);
            if (s.type == QUANT_Q2_K) {
                m[j] = bits16(c[j], 4, 0, 15);
                c[j] = bits16(c[j], 0, 0, 15);
            }
        }
}

/* Signed bytes, one a row, in both 16-bit halves of the row's lane. */
INLINE __m512i twice(__m128i c)
{
    const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
    return _mm512_shuffle_epi8(_mm512_cvtepi8_epi32(c), order);
}

/* What the codes of a sub-block are multiplied with, and what is added. */
typedef struct factors {
    __m512i by[2], plus;
} factors;

INLINE factors factors_of(const spec s, __m128i c)
{
    const __m512i both = twice(c);
    factors f = { { both, both }, _mm512_setzero_si512() };
    if (s.type == QUANT_Q4_K || s.type == QUANT_Q5_K) {
        f.by[0] = _mm512_and_si512(both, _mm512_set1_epi16(7));
        f.by[1] = _mm512_srli_epi16(both, 3);
    }
    if (s.type == QUANT_Q3_K) {
        const __m512i k = _mm512_sub_epi16(_mm512_set1_epi16(124), _mm512_slli_epi16(both, 2));
        f.plus = _mm512_or_si512(k, _mm512_slli_epi16(k, 8));
    }
    if (whole_bytes(s))
        f.by[0] = _mm512_slli_epi16(both, 8);
    return f;
}

/* The four values of one k-group of 16 rows into the planes. */
INLINE void put_group(const spec s, __m512i w, const factors *f, uint8_t *first, uint8_t *second)
{
    if (!whole_bytes(s)) {
        __m512i p = _mm512_mullo_epi16(w, f->by[0]);
        if (s.type == QUANT_Q3_K)
            p = _mm512_add_epi16(p, f->plus);
        _mm512_store_si512((void *)first, p);
        if (planes(s) == 2)
            _mm512_store_si512((void *)second, _mm512_mullo_epi16(w, f->by[1]));
        return;
    }
    /* (256 c x 256 w) / 2^16 for the signed bytes at even and at odd places */
    const __m512i even = _mm512_mulhi_epi16(_mm512_slli_epi16(w, 8), f->by[0]);
    const __m512i odd = _mm512_mulhi_epi16(_mm512_and_si512(w, _mm512_set1_epi16((short)0xFF00)), f->by[0]);
    const __m512i up = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 2, 0, 4, 0, 6, 0, 8, 0, 10, 0, 12, 0, 14));
    const __m512i down = _mm512_broadcast_i32x4(_mm_setr_epi8(1, 0, 3, 0, 5, 0, 7, 0, 9, 0, 11, 0, 13, 0, 15, 0));
    _mm512_store_si512((void *)first, _mm512_mask_shuffle_epi8(even, 0xAAAAAAAAAAAAAAAAu, odd, up));
    _mm512_store_si512((void *)second, _mm512_mask_shuffle_epi8(odd, 0x5555555555555555u, even, down));
}

/* One block of one panel: planes, scales, and B of M. */
INLINE void spread(const spec s, const uint8_t *codes, const uint8_t *scales, scratch *x, int turn, int q)
{
    const __m512i table = s.table ? _mm512_broadcast_i32x4(at16((const uint8_t *)s.table)) : _mm512_setzero_si512();
    __m128i c[16], m[16];
    _mm512_store_ps(x->d[turn][q], half16(scales));
    if (s.min)
        _mm512_store_ps(x->m[turn][q], _mm512_xor_ps(half16(scales + 32), _mm512_set1_ps(-0.0f)));
    rows_of(s, scales + (s.min ? 64 : 32), c, m);
    UNROLL
    for (int j = 0; j < 8; j++, codes += 64 * (s.low + s.high)) {
        __m512i w[8];
        unpack(s, codes, table, w);
        const factors f[2] = { factors_of(s, c[s.sub16 ? 2 * j : j]), factors_of(s, c[s.sub16 ? 2 * j + 1 : j]) };
        UNROLL
        for (int g = 0; g < 8; g++) {
            if (s.type == QUANT_Q6_K)
                w[g] = _mm512_sub_epi8(w[g], _mm512_set1_epi8(32));
            const int to = 64 * (8 * j + g);
            put_group(s, w[g], &f[g / 4], x->plane[q][0] + to, x->plane[q][1] + to);
        }
    }
    for (int j = 0; s.min && j < 16; j++) { /* bf16 in both halves: for 16 h and for l */
        const __m512 v = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(m[s.sub16 ? j : j / 2]));
        const __m512i bits = _mm512_castps_si512(v);
        _mm512_store_si512((void *)(x->min[q] + 64 * j), _mm512_or_si512(bits, _mm512_srli_epi32(bits, 16)));
    }
}

/* ---- a phase: a tile of tokens times one block, of two planes and their M ----
 * The planes are those of one panel, or one each of two panels. Phases take pairs of registers in turn, so that the
 * sums of one are stored and finished while the next one multiplies. */

typedef struct phase {
    const char *a;        /* codes of the block in the first token */
    const char *prepared; /* of that token */
    const float *scale;   /* and its scale of the block */
    const float *d, *m;   /* of the first panel */
    float *acc;           /* [rows][PANELS][ROWS], from the first panel on */
    int32_t (*sums)[TILE_VALUES]; /* two planes, then M as f32 of one panel or two */
    size_t stride, rows;
} phase;

INLINE int panels_of(const spec s) /* of a phase */
{
    return planes(s) == 2 ? 1 : 2;
}

/* Rows [from, to): what the stored sums mean goes into the totals. */
INLINE void finish(const spec s, const phase *f, size_t from, size_t to)
{
    __m512 d[PANELS], m[PANELS];
    UNROLL
    for (int q = 0; q < panels_of(s); q++) {
        d[q] = _mm512_load_ps(f->d + ROWS * q);
        m[q] = s.min ? _mm512_load_ps(f->m + ROWS * q) : d[q];
    }
    const char *scale = (const char *)f->scale, *prepared = f->prepared;
    int32_t (*sums)[TILE_VALUES] = f->sums;
    float *acc = f->acc + from * PANELS * ROWS;
    const size_t stride = f->stride;
    for (size_t r = from; r < to; r++, acc += PANELS * ROWS) {
        const __m512 da = _mm512_set1_ps(*(const float *)(const void *)(scale + r * stride));
        UNROLL
        for (int q = 0; q < panels_of(s); q++) {
            __m512i sum = _mm512_load_si512(sums[q] + ROWS * r);
            if (planes(s) == 2) {
                const __m512i second = _mm512_load_si512(sums[1] + ROWS * r);
                sum = _mm512_add_epi32(sum, _mm512_slli_epi32(second, whole_bytes(s) ? 8 : 3));
            }
            if (s.type == QUANT_Q3_K)
                sum = _mm512_add_epi32(sum, _mm512_set1_epi32(load32(prepared + 4 * r)));
            __m512 a = _mm512_load_ps(acc + ROWS * q);
            a = _mm512_fmadd_ps(_mm512_mul_ps(d[q], da), _mm512_cvtepi32_ps(sum), a);
            if (s.min) {
                const __m512 mins = _mm512_load_ps((const float *)(const void *)(sums[2 + q] + ROWS * r));
                a = _mm512_fmadd_ps(_mm512_mul_ps(m[q], da), mins, a);
            }
            _mm512_store_ps(acc + ROWS * q, a);
        }
    }
}

INLINE void zero_pair(const int pair)
{
    if (pair == 0) {
        TILE_ZERO(0);
        TILE_ZERO(1);
    } else {
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
}

/* What a phase has left in registers. */
INLINE void store_sums(const spec s, const int pair, int32_t (*to)[TILE_VALUES])
{
    if (pair == 0) {
        TILE_STORE(0, to[0]);
        TILE_STORE(1, to[1]);
    } else {
        TILE_STORE(2, to[0]);
        TILE_STORE(3, to[1]);
    }
    if (s.min)
        TILE_STORE(4, to[2]);
    if (s.min && panels_of(s) == 2)
        TILE_STORE(5, to[3]);
}

/* 64 values of the two planes at b0 and b1. */
INLINE void products(const spec s, const int pair, const char *a, size_t stride, const uint8_t *b0, const uint8_t *b1)
{
    TILE_LOAD(6, a, stride);
    TILE_LOAD(7, b0, 64);
    if (pair == 0)
        TILE_DPSU(0, 6, 7);
    else
        TILE_DPSU(2, 6, 7);
    TILE_LOAD(7, b1, 64);
    if (whole_bytes(s)) {
        if (pair == 0)
            TILE_DPSS(1, 6, 7);
        else
            TILE_DPSS(3, 6, 7);
    } else {
        if (pair == 0)
            TILE_DPSU(1, 6, 7);
        else
            TILE_DPSU(3, 6, 7);
    }
}

/* Runs f on the panels from q on; f's sums stay in registers. Those of the phase before are stored, and it is finished,
 * if there is one. */
INLINE void run_phase(const spec s, const scratch *x, const phase *f, const int pair, const int q, const phase *before,
                      bool is_first)
{
    const uint8_t *b0 = x->plane[q][0], *b1 = panels_of(s) == 2 ? x->plane[1][0] : x->plane[q][1];
    zero_pair(pair);
    UNROLL
    for (int k = 0; k < 4; k++) {
        products(s, pair, f->a + 64 * k, f->stride, b0 + TILE_BYTES * k, b1 + TILE_BYTES * k);
        if (k == 0)
            store_sums(s, 1 - pair, before->sums);
        else if (!is_first)
            finish(s, before, before->rows * (size_t)(k - 1) / 3, before->rows * (size_t)k / 3);
    }
    if (!s.min)
        return;
    TILE_ZERO(4);
    TILE_LOAD(6, f->prepared, 64);
    TILE_LOAD(7, x->min[q], 64);
    TILE_DPBF(4, 6, 7);
    if (panels_of(s) == 2) {
        TILE_ZERO(5);
        TILE_LOAD(7, x->min[1], 64);
        TILE_DPBF(5, 6, 7);
    }
}

INLINE phase phase_of(const spec s, const inputs *in, scratch *x, size_t b, size_t from_block, size_t tile, int q,
                      int turn)
{
    const size_t start = tile_start(&in->tiles, tile);
    const char *act = in->acts + start * in->stride;
    return (phase){
        .a = act + 256 * b,
        .prepared = x->prepared + ((b - from_block) * in->tiles.n_tokens + start) * prepared_bytes(s),
        .scale = act_scales256(act, in->cols) + b,
        .d = x->d[b % 2][q],
        .m = x->m[b % 2][q],
        .acc = x->acc[tile * in->tiles.rows][q],
        .sums = x->sums[turn],
        .stride = in->stride,
        .rows = in->tiles.rows,
    };
}

/* Blocks [from, to) of `np` panels times all tokens. */
INLINE void run_blocks(const spec s, const inputs *in, scratch *x, const uint8_t *panel, size_t panel_bytes, int np,
                       size_t from, size_t to)
{
    const layout *l = layout_of(s.type);
    const size_t codes = l->code_bytes, scales = in->cols / 256 * codes;
    phase f[2] = { { .sums = x->sums[0] }, { .sums = x->sums[1] } };
    for (size_t b = from; b < to; b++) {
        for (int q = 0; q < np; q++) {
            const uint8_t *w = panel + (size_t)q * panel_bytes;
            spread(s, w + b * codes, w + scales + b * l->scale_bytes, x, (int)(b % 2), q);
        }
        for (size_t i = 0; i < in->tiles.n; i += (size_t)panels_of(s)) {
            UNROLL
            for (int pair = 0; pair < 2; pair++) {
                const int q = panels_of(s) == 1 ? pair : 0;
                f[pair] = phase_of(s, in, x, b, from, panels_of(s) == 1 ? i : i + (size_t)pair, q, pair);
                run_phase(s, x, &f[pair], pair, q, &f[1 - pair], b == from && i == 0 && pair == 0);
            }
        }
    }
    store_sums(s, 1, f[1].sums);
    finish(s, &f[1], 0, f[1].rows);
}

/* ---- drivers ---- */

/* For the last of an odd number of panels: zeros beside it. */
INLINE void no_second_panel(scratch *x)
{
    memset(x->plane[1], 0, sizeof x->plane[1]);
    memset(x->min[1], 0, sizeof x->min[1]);
    for (int turn = 0; turn < 2; turn++) {
        memset(x->d[turn][1], 0, sizeof x->d[turn][1]);
        memset(x->m[turn][1], 0, sizeof x->m[turn][1]);
    }
    for (size_t row = 0; row < TOKENS; row++)
        memset(x->acc[row][1], 0, sizeof x->acc[row][1]);
}

/* The totals of the tokens in and out: earlier blocks left them in `out`. */
INLINE void take_totals(const inputs *in, scratch *x, bool first, const float *out, size_t out_stride, int np)
{
    for (size_t i = 0, row = 0; i < in->tiles.n; i++)
        for (size_t r = 0; r < in->tiles.rows; r++, row++) {
            const float *from = out + (tile_start(&in->tiles, i) + r) * out_stride;
            _mm512_store_ps(x->acc[row][0], first ? _mm512_setzero_ps() : _mm512_loadu_ps(from));
            if (np == PANELS)
                _mm512_store_ps(x->acc[row][1], first ? _mm512_setzero_ps() : _mm512_loadu_ps(from + ROWS));
        }
}

INLINE void mul_tokens(const spec s, const uint8_t *panels, size_t n_panels, const inputs *in, float *out,
                       size_t out_stride)
{
    const layout *l = layout_of(s.type);
    const size_t n = in->cols / 256, panel_bytes = n * ((size_t)l->code_bytes + l->scale_bytes);
    const size_t per_block = prepared_bytes(s) * in->tiles.n_tokens;
    const size_t step = per_block && PREPARED / per_block < n ? PREPARED / per_block : n;
    scratch x;
    tiles_open(&in->tiles, 64);
    for (size_t from = 0, to; from < n; from = to) {
        to = from + step < n ? from + step : n;
        prepare(s, in, from, to - from, x.prepared);
        for (size_t p = 0; p < n_panels; p += PANELS) {
            const int np = n_panels - p < PANELS ? 1 : PANELS;
            const uint8_t *panel = panels + p * panel_bytes;
            if (np < PANELS)
                no_second_panel(&x);
            take_totals(in, &x, from == 0, out + p * ROWS, out_stride, np);
            run_blocks(s, in, &x, panel, panel_bytes, np, from, to);
            give_totals(&in->tiles, x.acc, out + p * ROWS, out_stride, np);
        }
    }
    tiles_close();
}

INLINE void mul(const spec s, mul_function *few, const uint8_t *panels, size_t n_panels, size_t cols, const char *acts,
                size_t stride, size_t n_tokens, float *out, size_t out_stride)
{
    for (size_t t = 0, nt; t < n_tokens; t += nt, acts += nt * stride, out += nt * out_stride) {
        nt = n_tokens - t < TOKENS ? n_tokens - t : TOKENS;
        const inputs in = { acts, stride, cols, tiles_of(nt) };
        if (nt < (planes(s) == 1 ? 8 : FEW))
            few(panels, n_panels, cols, acts, stride, nt, out, out_stride);
        else
            mul_tokens(s, panels, n_panels, &in, out, out_stride);
    }
}

AVX512_K_TYPES(MUL)

void kernels_amx_mul_k(kernels *k)
{
    AVX512_K_TYPES(FILL)
}
