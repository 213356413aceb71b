#include "pack/matrix.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "quant/quant.h"

enum {
    PANEL_ROWS = KERNELS_PANEL_ROWS,
    STRIPE = 256, /* rows of b that are packed at a time */
    NARROW = 64,  /* the same where only a triangle is wanted */
    TOKENS = 48,  /* rows of a that a kernel call takes: a multiple of what kernels take at once */
    BLOCK = 128,  /* columns of a step of the factorisation */
    TILE = 16,    /* columns that are turned together, of */
    DEEP = 32,    /* so many rows */
    CHAINS = 4,   /* rows that are solved side by side: a sum waits for each of its steps */
};

typedef struct product {
    const matrix_tools *t;
    const float *a, *b;
    float *c;
    size_t lda, ldb, ldc, m, n, depth;
    float factor;
    char *panels;      /* of this stripe of b */
    size_t panel_bytes;
    float *out;        /* TOKENS x STRIPE for each thread */
} product;

static void pack_stripe(void *arg, int index, int count)
{
    product *p = arg;
    size_t panels = (p->n + PANEL_ROWS - 1) / PANEL_ROWS, from, to;
    pool_part(panels, index, count, &from, &to);
    for (size_t i = from; i < to; i++) {
        size_t row = i * PANEL_ROWS, rows = p->n - row < PANEL_ROWS ? p->n - row : PANEL_ROWS;
        kernels_pack(QUANT_F32, p->b + row * p->ldb, p->ldb * sizeof(float), (int)rows, p->depth,
                     p->panels + i * p->panel_bytes);
    }
}

static void multiply_rows(void *arg, int index, int count)
{
    product *p = arg;
    size_t panels = (p->n + PANEL_ROWS - 1) / PANEL_ROWS, stride = panels * PANEL_ROWS, from, to;
    float *out = p->out + (size_t)index * TOKENS * STRIPE;
    pool_part(p->m, index, count, &from, &to);
    for (size_t i = from; i < to; i += TOKENS) {
        size_t n = to - i < TOKENS ? to - i : TOKENS;
        p->t->k->mul[QUANT_F32](p->panels, panels, p->depth, p->a + i * p->lda, p->lda * sizeof(float), n, out, stride);
        for (size_t r = 0; r < n; r++)
            p->t->k->axpy(out + r * stride, p->factor, p->n, p->c + (i + r) * p->ldc);
    }
}

status matrix_multiply(const matrix_tools *t, const float *a, size_t lda, size_t m, const float *b, size_t ldb,
                       size_t n, size_t depth, float factor, float *c, size_t ldc, error *err)
{
    product p = { .t = t, .a = a, .lda = lda, .ldb = ldb, .ldc = ldc, .m = m, .depth = depth, .factor = factor };
    if (!m || !n || !depth)
        return OK;
    p.panel_bytes = kernels_panel_bytes(QUANT_F32, depth);
    p.panels = mem_aligned(64, p.panel_bytes * (((n < STRIPE ? n : STRIPE) + PANEL_ROWS - 1) / PANEL_ROWS));
    p.out = mem_aligned(64, (size_t)pool_threads(t->p) * TOKENS * STRIPE * sizeof(float));
    status s = p.panels && p.out ? OK : fail(err, E_NOMEM, "no memory for a product of %zu x %zu values", n, depth);
    for (size_t j = 0; !s && j < n; j += STRIPE) {
        p.n = n - j < STRIPE ? n - j : STRIPE;
        p.b = b + j * ldb;
        p.c = c + j;
        pool_run(t->p, pack_stripe, &p);
        pool_run(t->p, multiply_rows, &p);
    }
    mem_free_aligned(p.panels);
    mem_free_aligned(p.out);
    return s;
}

/* ---- second moments ---- */

typedef struct flip {
    const float *rows;
    float *columns; /* [n][depth] */
    size_t ld, depth, n;
} flip;

static void flip_tile(const flip *f, size_t x, size_t deep, size_t i, size_t n)
{
    const float *from = f->rows + x * f->ld + i;
    float *to = f->columns + i * f->depth + x;
    for (size_t c = 0; c < n; c++)
        for (size_t r = 0; r < deep; r++)
            to[c * f->depth + r] = from[r * f->ld + c];
}

static void flip_part(void *arg, int index, int count)
{
    const flip *f = arg;
    size_t from, to;
    pool_part(f->n, index, count, &from, &to);
    for (size_t x = 0; x < f->depth; x += DEEP)
        for (size_t i = from; i < to; i += TILE)
            flip_tile(f, x, f->depth - x < DEEP ? f->depth - x : DEEP, i, to - i < TILE ? to - i : TILE);
}

status matrix_gram(const matrix_tools *t, const float *rows, size_t ld, size_t depth, size_t n, float *c, error *err)
{
    flip f = { rows, mem_array(depth + 1, n * sizeof(float)), ld, depth, n };
    if (!f.columns)
        return fail(err, E_NOMEM, "no memory for %zu x %zu values", n, depth);
    status s = OK;
    pool_run(t->p, flip_part, &f);
    for (size_t j = 0; !s && j < n; j += NARROW) { /* so that little above the diagonal is computed */
        size_t width = n - j < NARROW ? n - j : NARROW;
        s = matrix_multiply(t, f.columns + j * depth, depth, n - j, f.columns + j * depth, depth, width, depth, 1,
                            c + j * n + j, n, err);
    }
    mem_free(f.columns);
    return s;
}

void matrix_mirror(float *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            c[j * n + i] = c[i * n + j];
}

/* ---- the factor ---- */

/* The block on the diagonal, in doubles. */
static status factor_block(float *h, size_t n, size_t at, size_t width, error *err)
{
    for (size_t j = at; j < at + width; j++) {
        double pivot = (double)h[j * n + j];
        for (size_t x = at; x < j; x++)
            pivot -= (double)h[j * n + x] * (double)h[j * n + x];
        if (!(pivot > 0) || !isfinite(pivot))
            return fail(err, E_RANGE, "the matrix is not positive definite (at %zu of %zu)", j, n);
        double root = sqrt(pivot);
        h[j * n + j] = (float)root;
        for (size_t i = j + 1; i < at + width; i++) {
            double v = (double)h[i * n + j];
            for (size_t x = at; x < j; x++)
                v -= (double)h[i * n + x] * (double)h[j * n + x];
            h[i * n + j] = (float)(v / root);
        }
    }
    return OK;
}

typedef struct below {
    float *h;
    size_t n, at, width;
} below;

/* `rows` rows under the block, from row i on. */
static inline void solve_rows(const below *b, size_t i, int rows)
{
    float *first = b->h + i * b->n;
    for (size_t j = b->at; j < b->at + b->width; j++) {
        const float *by = b->h + j * b->n;
        double v[CHAINS];
        for (int r = 0; r < rows; r++)
            v[r] = (double)first[(size_t)r * b->n + j];
        for (size_t x = b->at; x < j; x++)
            for (int r = 0; r < rows; r++)
                v[r] -= (double)first[(size_t)r * b->n + x] * (double)by[x];
        for (int r = 0; r < rows; r++)
            first[(size_t)r * b->n + j] = (float)(v[r] / (double)by[j]);
    }
}

/* The rows under the block: solved against it. */
static void solve_below(void *arg, int index, int count)
{
    const below *b = arg;
    size_t first = b->at + b->width, i, to;
    pool_part(b->n - first, index, count, &i, &to);
    for (i += first, to += first; i + CHAINS <= to; i += CHAINS)
        solve_rows(b, i, CHAINS);
    for (; i < to; i++)
        solve_rows(b, i, 1);
}

status matrix_cholesky(const matrix_tools *t, float *h, size_t n, error *err)
{
    status s = OK;
    for (size_t at = 0; !s && at < n; at += BLOCK) {
        below b = { h, n, at, n - at < BLOCK ? n - at : BLOCK };
        size_t next = at + b.width;
        s = factor_block(h, n, at, b.width, err);
        if (s || next == n)
            break;
        pool_run(t->p, solve_below, &b);
        /* what is left, in stripes, so that little above the diagonal is computed */
        for (size_t j = next; !s && j < n; j += STRIPE) {
            size_t width = n - j < STRIPE ? n - j : STRIPE;
            s = matrix_multiply(t, h + j * n + at, n, n - j, h + j * n + at, n, width, b.width, -1, h + j * n + j, n,
                                err);
        }
    }
    return s;
}
