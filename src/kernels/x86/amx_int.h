/* amx_int.h: tiles of AMX, and how tokens are divided among them. Private to kernels/x86.
 *
 * A tile register holds 16 rows of 64 bytes. A product C += A x B takes A with a token a row, and B as panels lie: row
 * g is the vector of k-group g, four bytes of each of 16 weight rows. It costs one cycle for each row of A, whatever
 * the columns hold. Integer products are exact in i32; those of bf16 are, because their sums stay under 2^24.
 *
 * Registers:  C  tmm0..5    A  tmm6    B  tmm7
 *
 * Sums are stored, and then comes arithmetic in f32. Both happen in steps between the products of the next sums: a
 * core does the two kinds of work at the same time, if they stand close together.
 *
 * tiles_open() when a function begins, tiles_close() when it ends: a thread that left tiles in use would make every
 * switch of threads save 8 KiB. */
#ifndef KERNELS_X86_AMX_INT_H
#define KERNELS_X86_AMX_INT_H

#include "kernels/x86/avx512_mul_int.h"

enum {
    TILE_ROWS = 16,
    TILE_BYTES = 1024,
    TILE_VALUES = 256, /* i32 or f32 of a C tile */
    PANELS = 2,        /* that go together */
};

/* gcc's intrinsics do not say that they read memory; these do. */
#define TILE_LOAD(t, from, stride)                                                                                     \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t : : "r"((const void *)(from)), "r"((size_t)(stride)) : "memory")
#define TILE_STORE(t, to)                                                                                              \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" : : "r"((void *)(to)), "r"((size_t)64) : "memory")
#define TILE_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
/* C += A x B; A is signed, B unsigned, signed, or both pairs of bf16. */
#define TILE_DPSU(c, a, b) __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)
#define TILE_DPSS(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)
#define TILE_DPBF(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)

/* Tokens in tiles of equally many rows, an even number of tiles; the last ones begin early enough to end with the last
 * token, so that some tokens are computed twice and no row is missing. */
typedef struct token_tiles {
    size_t n_tokens, n, rows;
} token_tiles;

INLINE token_tiles tiles_of(size_t n_tokens)
{
    const size_t n = 2 * ((n_tokens + 2 * TILE_ROWS - 1) / (2 * TILE_ROWS));
    return (token_tiles){ n_tokens, n, (n_tokens + n - 1) / n };
}

/* The first token of tile i. */
INLINE size_t tile_start(const token_tiles *t, size_t i)
{
    const size_t at = i * t->rows, last = t->n_tokens - t->rows;
    return at < last ? at : last;
}

/* One call's view of its tokens. */
typedef struct inputs {
    const char *acts;
    size_t stride, cols;
    token_tiles tiles;
} inputs;

typedef void mul_function(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,
                          size_t n_tokens, float *out, size_t out_stride);

/* For the lists of types in avx512_mul_int.h: a kernel of each by the file's own mul(), which gives few tokens to
 * avx512's; and its place in the table k. */
#define MUL(name, ...)                                                                                                 \
    static void mul_##name(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,      \
                           size_t n_tokens, float *out, size_t out_stride)                                             \
    {                                                                                                                  \
        const spec s = { __VA_ARGS__ };                                                                                \
        mul(s, kernels_avx512_##name, panels, n_panels, cols, acts, act_stride, n_tokens, out, out_stride);            \
    }
#define FILL(name, type, ...) k->mul[type] = mul_##name;

/* a_bytes: of a row of A, 4 for each row of B. */
INLINE void tiles_open(const token_tiles *t, int a_bytes)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = { .palette = 1 };
    _Static_assert(sizeof c == 64, "the operand of ldtilecfg");
    for (int i = 0; i < 8; i++) {
        c.rows[i] = i < 7 ? (uint8_t)t->rows : (uint8_t)(a_bytes / 4);
        c.bytes[i] = i == 6 ? (uint16_t)a_bytes : 64;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(c));
}

INLINE void tiles_close(void)
{
    __asm__ volatile("tilerelease" : :);
}

/* The totals of all tokens, a row of each tile after the other, into the outputs of one panel or two. */
INLINE void give_totals(const token_tiles *t, float (*acc)[PANELS][ROWS], float *out, size_t out_stride, int np)
{
    for (size_t i = 0; i < t->n; i++)
        for (size_t r = 0; r < t->rows; r++, acc++) {
            float *to = out + (tile_start(t, i) + r) * out_stride;
            _mm512_storeu_ps(to, _mm512_load_ps(acc[0][0]));
            if (np == PANELS)
                _mm512_storeu_ps(to + ROWS, _mm512_load_ps(acc[0][1]));
        }
}

#endif
