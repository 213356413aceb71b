#include "pack/feedback.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "quant/lattice.h"
#include "quant/quant.h"

enum { PANEL = 256, SLAB_ROWS = 512 }; /* columns between two products; rows that are worked on together */

struct feedback {
    const matrix_tools *t;
    size_t n;
    float *lower;   /* [n][n]: lower[c][j] = U[j][c] for j < c */
    float *weights; /* [n]: d^2 */
};

typedef struct slab {
    const feedback *f;
    const quant_traits *type;
    const lattice *l;
    const float *values;
    float *errors;   /* [rows][n]: w - q of the columns that are done */
    float *targets;  /* [rows][PANEL]: what the columns of this panel are to be */
    const float *upper; /* [PANEL][PANEL]: U within the panel */
    unsigned char *out;
    size_t n_rows, at, width, row_bytes;
} slab;

void feedback_close(feedback **f)
{
    if (!f || !*f)
        return;
    mem_free((*f)->lower);
    mem_free((*f)->weights);
    mem_free(*f);
    *f = NULL;
}

/* The factor of the matrix read backwards, read backwards: upper triangular. */
static status factor(feedback *f, const float *gram, float damping, error *err)
{
    size_t n = f->n;
    double mean = 0;
    float *h = mem_array(n * n, sizeof *h);
    if (!h)
        return fail(err, E_NOMEM, "no memory for %zu x %zu second moments", n, n);
    for (size_t i = 0; i < n; i++)
        mean += (double)gram[i * n + i] / (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            h[i * n + j] = gram[(n - 1 - i) * n + (n - 1 - j)];
    for (size_t i = 0; i < n; i++)
        h[i * n + i] += (float)(mean > 0 ? mean * (double)damping : 1);
    status s = matrix_cholesky(f->t, h, n, err);
    for (size_t c = 0; !s && c < n; c++) {
        float d = h[(n - 1 - c) * n + (n - 1 - c)];
        f->weights[c] = d * d;
        for (size_t j = 0; j < c; j++)
            f->lower[c * n + j] = h[(n - 1 - j) * n + (n - 1 - c)] / d;
    }
    mem_free(h);
    return s;
}

status feedback_open(feedback **out, const matrix_tools *t, const float *gram, size_t n, float damping, error *err)
{
    feedback *f = mem_zero(sizeof *f);
    if (f) {
        f->t = t;
        f->n = n;
        f->lower = mem_array(n * n, sizeof *f->lower);
        f->weights = mem_array(n, sizeof *f->weights);
    }
    status s = f && f->lower && f->weights ? factor(f, gram, damping, err)
                                           : fail(err, E_NOMEM, "no memory for %zu x %zu second moments", n, n);
    if (s)
        feedback_close(&f);
    else
        *out = f;
    return s;
}

/* Columns that share a step: codes, and what they lose. target: of the panel's columns from here, of which those up to
 * `width` move on. */
static double round_sub(const slab *s, const float *value, float *target, size_t column, size_t width, float step,
                        float offset, uint8_t *codes)
{
    const lattice *l = s->l;
    const kernels *k = s->f->t->k;
    size_t at = column - s->at;
    double loss = 0;
    for (int j = 0; j < l->sub; j++, at++) {
        codes[j] = (uint8_t)lattice_nearest(l, step, offset, target[j]);
        float q = step * lattice_level(l, codes[j]) - offset, e = value[j] - q, miss = target[j] - q;
        loss += (double)(s->f->weights[column + (size_t)j] * miss * miss);
        if (at + 1 < width)
            k->axpy(s->upper + at * PANEL + at + 1, e, width - at - 1, target + j + 1);
    }
    return loss;
}

/* What the sub-block i would lose; target stays as it is. */
static double try_sub(const slab *s, const float *value, const float *target, size_t column, const void *block, int i)
{
    float a[LATTICE_SUB_MAX], b[LATTICE_SUB_MAX], moving[LATTICE_BLOCK_MAX];
    uint8_t codes[LATTICE_BLOCK_MAX];
    size_t n = (size_t)s->l->sub;
    s->l->scales(block, a, b);
    memcpy(moving, target, n * sizeof *moving);
    return round_sub(s, value, moving, column, column - s->at + n, a[i], b[i], codes);
}

enum { LARGEST = 256 }; /* bytes of a block */

/* Which steps suit best is not known before the block's own errors have been fed on: a search finds steps on which the
 * values happen to lie well, and then the values move. So the search's scales and some steps around the plain ones are
 * tried out. Measured on inputs with 0.95 from column to column, held out, against the search alone: 22 to 26 % less
 * loss in types of one step; in the others, by choose_integers, 17 % (IQ4_XS) to 40 % (Q2_K). */
static void choose_step(const slab *s, const float *value, const float *target, size_t column, unsigned char *out)
{
    enum { TRIES = 9 };
    const lattice *l = s->l;
    const float *w = s->f->weights + column;
    unsigned char plain[LARGEST], now[LARGEST];
    double least = INFINITY;
    s->type->encode(target, plain, (size_t)l->block, w);
    for (int i = s->type->encode == s->type->search ? 0 : -1; i < (l->stretch ? TRIES : 1); i++) {
        if (i < 0)
            s->type->search(target, now, (size_t)l->block, w);
        else
            memcpy(now, plain, s->type->bytes);
        if (i > 0)
            l->stretch(now, 1 + 0.32f / (float)l->n_codes * (float)((i + 1) / 2) * (i % 2 ? 1.0f : -1.0f));
        double loss = try_sub(s, value, target, column, now, 0);
        if (!(loss >= least)) {
            least = loss;
            memcpy(out, now, s->type->bytes);
        }
    }
}

/* The same for one of several sub-blocks, when the feedback has arrived there: its integers and some around them. */
static void choose_integers(const slab *s, const float *value, const float *target, size_t column, unsigned char *out,
                            int i)
{
    const lattice *l = s->l;
    unsigned char before[LARGEST], now[LARGEST];
    double least = try_sub(s, value, target, column, out, i);
    int far = l->mins ? 2 : 4, mins = l->mins ? 1 : 0;
    memcpy(before, out, s->type->bytes);
    for (int scale = -far; scale <= far; scale++)
        for (int min = -mins; min <= mins; min++) {
            memcpy(now, before, s->type->bytes);
            if (!l->shift(now, i, scale, min))
                continue;
            double loss = try_sub(s, value, target, column, now, i);
            if (loss < least) {
                least = loss;
                memcpy(out, now, s->type->bytes);
            }
        }
}

/* One block of one row. target: of the rest of the panel from here. */
static void round_block(const slab *s, const float *value, float *target, size_t column, unsigned char *out,
                        float *lost)
{
    const lattice *l = s->l;
    uint8_t codes[LATTICE_BLOCK_MAX];
    float a[LATTICE_SUB_MAX], b[LATTICE_SUB_MAX], decoded[LATTICE_BLOCK_MAX];
    if (l->shift)
        s->type->search(target, out, (size_t)l->block, s->f->weights + column);
    else
        choose_step(s, value, target, column, out);
    for (int i = 0; i < l->block / l->sub; i++) {
        int at = i * l->sub;
        if (l->shift)
            choose_integers(s, value + at, target + at, column + (size_t)at, out, i);
        l->scales(out, a, b);
        round_sub(s, value + at, target + at, column + (size_t)at, s->width, a[i], b[i], codes + at);
    }
    l->put(out, codes);
    s->type->decode(out, decoded, (size_t)l->block);
    for (int j = 0; j < l->block; j++)
        lost[j] = value[j] - decoded[j];
}

static void round_rows(void *arg, int index, int count)
{
    const slab *s = arg;
    size_t from, to, n = s->f->n, block = (size_t)s->l->block;
    pool_part(s->n_rows, index, count, &from, &to);
    for (size_t r = from; r < to; r++)
        for (size_t c = 0; c < s->width; c += block) {
            size_t column = s->at + c;
            round_block(s, s->values + r * n + column, s->targets + r * PANEL + c, column,
                        s->out + r * s->row_bytes + column / block * s->type->bytes, s->errors + r * n + column);
        }
}

/* U of the panel's columns among themselves, by rows. */
static void upper_of(const feedback *f, size_t at, size_t width, float *upper)
{
    for (size_t j = 0; j < width; j++)
        for (size_t c = j + 1; c < width; c++)
            upper[j * PANEL + c] = f->lower[(at + c) * f->n + at + j];
}

static status encode_slab(slab *s, float *upper, error *err)
{
    const feedback *f = s->f;
    status st = OK;
    for (s->at = 0; !st && s->at < f->n; s->at += PANEL) {
        s->width = f->n - s->at < PANEL ? f->n - s->at : PANEL;
        upper_of(f, s->at, s->width, upper);
        for (size_t r = 0; r < s->n_rows; r++)
            memcpy(s->targets + r * PANEL, s->values + r * f->n + s->at, s->width * sizeof(float));
        st = matrix_multiply(f->t, s->errors, f->n, s->n_rows, f->lower + s->at * f->n, f->n, s->width, s->at, 1,
                             s->targets, PANEL, err);
        if (!st)
            pool_run(f->t->p, round_rows, s);
    }
    return st;
}

status feedback_encode(const feedback *f, uint32_t type, const float *values, size_t n_rows, void *out, error *err)
{
    slab s = { .f = f, .type = quant_find(type), .l = lattice_find(type), .row_bytes = quant_row_bytes(type, f->n) };
    size_t most = n_rows < SLAB_ROWS ? n_rows : SLAB_ROWS;
    float *upper = mem_array(PANEL * PANEL, sizeof *upper);
    s.errors = mem_array(most + 1, f->n * sizeof *s.errors);
    s.targets = mem_array(most + 1, PANEL * sizeof *s.targets);
    s.upper = upper;
    status st = upper && s.errors && s.targets ? OK : fail(err, E_NOMEM, "no memory for %zu rows of %zu values", most,
                                                           f->n);
    for (size_t r = 0; !st && r < n_rows; r += s.n_rows) {
        s.n_rows = n_rows - r < most ? n_rows - r : most;
        s.values = values + r * f->n;
        s.out = (unsigned char *)out + r * s.row_bytes;
        st = encode_slab(&s, upper, err);
    }
    mem_free(upper);
    mem_free(s.errors);
    mem_free(s.targets);
    return st;
}

status feedback_loss(const matrix_tools *t, const float *gram, size_t n, const float *a, const float *b, size_t n_rows,
                     double *out, error *err)
{
    size_t most = n_rows < SLAB_ROWS ? n_rows : SLAB_ROWS;
    float *e = mem_array(most + 1, n * sizeof *e), *eh = mem_array(most + 1, n * sizeof *eh);
    status s = e && eh ? OK : fail(err, E_NOMEM, "no memory for %zu rows of %zu values", most, n);
    *out = 0;
    for (size_t r = 0; !s && r < n_rows; r += most) {
        size_t rows = n_rows - r < most ? n_rows - r : most;
        for (size_t i = 0; i < rows * n; i++)
            e[i] = a[r * n + i] - b[r * n + i];
        memset(eh, 0, rows * n * sizeof *eh);
        s = matrix_multiply(t, e, n, rows, gram, n, n, n, 1, eh, n, err);
        for (size_t i = 0; !s && i < rows * n; i++)
            *out += (double)e[i] * (double)eh[i];
    }
    mem_free(e);
    mem_free(eh);
    return s;
}
