/* kernels.h: the hot loops of hearth, as a struct of function pointers filled once by a ladder of instruction sets.
 *
 * docs/NUMERICS.md fixes every operation; each level gives the same bits as the portable one. Kernels know no model:
 * they see panels of weights, rows of activations and pages of keys and values. Everything here may be called from any
 * thread at the same time; nothing allocates; all memory is the caller's. Buffers need no alignment unless it is said;
 * 64 bytes is fastest.
 *
 * `type` is always a quant_type of quant/quant.h, that is, a ggml type id.
 *
 * Weights. A matrix of `rows` x `cols` (cols = the input, contiguous in the file) is repacked once into
 * ceil(rows / 16) panels of 16 rows; kernels_pack() writes one. A panel is exactly as long as 16 rows of the file; rows
 * missing in the last panel have zero scales and their outputs are +0. Layouts: docs/NUMERICS.md, "Panels".
 *
 * Activations. Each weight type takes its input in one format (kernels_act_format); an input is quantised once per
 * format and then used by every matrix of that format. A row of an input of `cols` values takes kernels_act_bytes(). */
#ifndef KERNELS_KERNELS_H
#define KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNELS_PANEL_ROWS 16
#define KERNELS_TYPES 64         /* every type id is below */
#define KERNELS_PAGE 64          /* positions of a KV page */
#define KERNELS_SPAN 512         /* positions over which one softmax runs before spans are merged */
#define KERNELS_MAX_HEAD_DIM 512 /* head_dim is a multiple of 8 up to this */

enum kernels_act { ACT_F32, ACT_Q8_32, ACT_Q8_256, ACT_FORMATS };
enum kernels_kv { KV_F16, KV_F32, KV_Q8, KV_TYPES };

/* ---- load time and layout: portable, the same on every level ---- */

/* Is there a panel layout and a kernel for this type? */
bool kernels_supports(int type);
/* The format in which weights of this type take their input. */
enum kernels_act kernels_act_format(int type);
/* Values of one scale group: 1 (F32, F16, BF16), 32 or 256. cols must be a multiple of it. */
size_t kernels_block(int type);

/* Bytes of one panel of 16 rows, = 16 x the bytes of a row in the file. 0 when cols is not a multiple of the block,
 * the type is not supported, or the size overflows. */
size_t kernels_panel_bytes(int type, size_t cols);
/* Bytes of all panels of a matrix; 0 as above. */
size_t kernels_matrix_bytes(int type, size_t rows, size_t cols);

/* Repacks n_rows (1..16) rows of the file, row_bytes apart, into one panel. Rows from n_rows on are zero. */
void kernels_pack(int type, const void *file_rows, size_t row_bytes, int n_rows, size_t cols, void *panel);
/* Undoes it for one row: row `row` of the matrix whose panels begin at `panels`, as the bytes of the file. */
void kernels_unpack_row(int type, const void *panels, size_t cols, size_t row, void *file_row);
/* The same row, dequantised exactly as quant/ does (embeddings, the exact path). `file_row` is scratch of one file row
 * (kernels_panel_bytes / 16 bytes). */
void kernels_gather(int type, const void *panels, size_t cols, size_t row, void *file_row, float *out);

/* Bytes of one input row in a format, a multiple of 64. */
size_t kernels_act_bytes(enum kernels_act format, size_t cols);

/* Bytes of one KV page of one KV head: K block, then V block, each 64 x head_dim values, with their scales if any. */
size_t kernels_page_bytes(enum kernels_kv kv, size_t head_dim);

/* ---- attention ----------------------------------------------------------------------------------------------------
 * One page of one KV head:  K [4 groups of 16 positions][head_dim][16 positions], then V [64 positions][head_dim]; the
 * eight-bit page (KV_Q8) lies as kv_q8_int.h says.
 * A query attends to positions first..last (both included) of its KV head. The state of a query over one or more spans
 * is head_dim + 16 floats: [0] maximum score, [1] sum of exp(score - maximum), [16..] the weighted sum of V. */
#define KERNELS_STATE_HEADER 16
typedef struct kernels_query {
    const float *q; /* head_dim values, rope applied */
    int32_t first, last;
    float *state; /* where the result of this span goes: KERNELS_STATE_HEADER + head_dim floats */
} kernels_query;

typedef struct kernels_attn {
    size_t head_dim;
    float scale;
    float softcap; /* 0: none */
} kernels_attn;

/* ---- rounding with errors fed on (pack/feedback.h) ----------------------------------------------------------------
 * KERNELS_GRIDS grids of points tried on the same values, side by side. Column by column a grid takes its point nearest
 * to the target, step * level(code) - offset, and of the columns that follow each target becomes
 * fma(error, upper[this][that], target): in ascending order, so that all levels give the same bits. */
#define KERNELS_GRIDS 16
#define KERNELS_FEED 32 /* columns at most */
typedef struct kernels_feed {
    size_t n; /* columns, a multiple of 4 */
    const float *values, *targets, *weights; /* [n] */
    const float *upper; /* rows `stride` floats apart */
    size_t stride;
    const float *levels; /* 16, ascending; NULL: level(code) = code + low */
    float low, top;      /* top: the highest code */
} kernels_feed;

typedef struct kernels_fed {
    double loss[KERNELS_GRIDS]; /* sum of weight * miss * miss in f32, miss = target - point, added up in f64 */
    float codes[KERNELS_FEED][KERNELS_GRIDS], errors[KERNELS_FEED][KERNELS_GRIDS]; /* errors: value - point */
} kernels_fed;

/* ---- the table ---- */
typedef struct kernels {
    const char *level; /* "portable", "avx2", "avx512", "amx", "neon", "dotprod", "i8mm" */

    /* One input row of cols values into a format. For ACT_Q8_256 cols is a multiple of 256, for ACT_Q8_32 of 32. */
    void (*quantize[ACT_FORMATS])(const float *x, size_t cols, void *act);

    /* out[t * out_stride + p * 16 + r] = row p * 16 + r of the panels times input row t, for every row of n_panels
     * panels (rows that pad the last panel included) and n_tokens inputs, act_stride bytes apart (a multiple of 4).
     * out_stride is in floats. NULL for types that kernels_supports() refuses. A result does not depend on n_panels or
     * n_tokens: callers split as they like. */
    void (*mul[KERNELS_TYPES])(const void *panels, size_t n_panels, size_t cols, const void *acts, size_t act_stride,
                               size_t n_tokens, float *out, size_t out_stride);

    /* out may be x in all of these. */
    void (*rms_norm)(const float *x, const float *weight, size_t n, float eps, float *out); /* weight NULL: ones */
    void (*layer_norm)(const float *x, const float *weight, const float *bias, size_t n, float eps, float *out);
    void (*softmax)(const float *x, size_t n, float *out);
    void (*exp_from)(const float *x, float from, size_t n, float *out); /* exp(x - from) */
    void (*silu_mul)(const float *gate, const float *up, size_t n, float *out); /* silu(gate) * up */
    void (*gelu_mul)(const float *gate, const float *up, size_t n, float *out); /* gelu_tanh(gate) * up */
    void (*silu)(const float *x, size_t n, float *out);
    void (*gelu)(const float *x, size_t n, float *out);     /* the tanh form */
    void (*gelu_erf)(const float *x, size_t n, float *out); /* the exact form */
    void (*add)(const float *a, const float *b, size_t n, float *out);
    void (*scale)(const float *x, float factor, size_t n, float *out);
    void (*axpy)(const float *x, float factor, size_t n, float *out); /* out = fma(factor, x, out) */
    void (*softcap)(const float *x, float cap, size_t n, float *out);
    size_t (*argmax)(const float *x, size_t n); /* lowest index of the largest; 0 when nothing compares */

    /* A step of 0 or a NaN on the way takes the code of the level nearest to 0. */
    void (*feed)(const kernels_feed *f, const float step[KERNELS_GRIDS], const float offset[KERNELS_GRIDS],
                 kernels_fed *out);

    /* Rotates the first n_rot values (even) of one head in place. table: n_rot/2 cosines, then n_rot/2 sines. */
    void (*rope_norm)(float *x, const float *table, size_t n_rot); /* pairs (2i, 2i + 1) */
    void (*rope_neox)(float *x, const float *table, size_t n_rot); /* pairs (i, i + n_rot/2) */

    /* Writes key and value of one position (0..63 within the page) of one KV head, in the cache's type. */
    void (*kv_store[KV_TYPES])(void *page, size_t head_dim, int at, const float *key, const float *value);

    /* Attention of n queries of one KV head over one span of 512 positions, span = position / 512. pages[i] is page i
     * of the sequence (i from 0, absolute: page = position / 64); only pages that hold a position which some query may
     * see are read, others may be NULL. Returns nothing: a query that sees no position of this span gets [1] = 0. */
    void (*attend[KV_TYPES])(const kernels_attn *a, const void *const *pages, int32_t span,
                             const kernels_query *queries, size_t n_queries);
    /* Merges the state of the next span into `into` (left to right). [1] = 0 means empty: an empty `next` leaves `into`
     * as it is bit for bit, an empty `into` becomes `next`. */
    void (*attend_merge)(float *into, const float *next, size_t head_dim);
    /* out[i] = state[16 + i] * (1 / state[1]); zeros for an empty state. */
    void (*attend_finish)(const float *state, size_t head_dim, float *out);
} kernels;

/* Fills the table: portable first, then each level of `cpu` (CPU_* of plat/cpu.h) overrides what it does better.
 * Tests pass 0, one level, or what cpu_choose() gave. */
void kernels_init(kernels *k, unsigned cpu);

#endif
