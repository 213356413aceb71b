#include "pack/encoder.h"

#include <string.h>

#include "base/mem.h"
#include "pack/feedback.h"
#include "quant/lattice.h"
#include "quant/quant.h"

enum { BLOCKS_MAX = 64 };

struct encoder {
    const matrix_tools *t;
    const moments *m;
    const float *importances; /* NULL: all alike */
    float *own;
    size_t n;
    feedback *blocks[BLOCKS_MAX];
    size_t n_blocks; /* 0: no feedback */
};

const char *const encoder_way_names[ENCODER_WAYS] = { "plain", "search", "feedback" };

void encoder_close(encoder **e)
{
    if (!e || !*e)
        return;
    for (size_t i = 0; i < (*e)->n_blocks; i++)
        feedback_close(&(*e)->blocks[i]);
    mem_free((*e)->own);
    mem_free(*e);
    *e = NULL;
}

status encoder_open_simple(encoder **out, const matrix_tools *t, const float *importances, size_t n, error *err)
{
    encoder *e = mem_zero(sizeof *e);
    if (!e)
        return fail(err, E_NOMEM, "no memory");
    *e = (encoder){ .t = t, .importances = importances, .n = n };
    *out = e;
    return OK;
}

static status open_blocks(encoder *e, float damping, error *err)
{
    size_t at, width;
    const float *gram;
    status s = OK;
    for (size_t i = 0; !s && (gram = moments_block(e->m, MOMENTS_SEEN, i, &at, &width)); i++) {
        s = i == BLOCKS_MAX ? fail(err, E_RANGE, "rows of %zu values are too long", e->n)
                            : feedback_open(&e->blocks[i], e->t, gram, width, damping, err);
        e->n_blocks += !s;
    }
    return s;
}

status encoder_open(encoder **out, const matrix_tools *t, const moments *m, bool feeding, float damping, error *err)
{
    size_t at, width;
    const float *gram;
    encoder *e = NULL;
    status s = encoder_open_simple(&e, t, NULL, m->n, err);
    if (s)
        return s;
    e->m = m;
    e->own = mem_array(m->n, sizeof *e->own);
    e->importances = e->own;
    if (!e->own)
        s = fail(err, E_NOMEM, "no memory for %zu importances", m->n);
    for (size_t i = 0; !s && (gram = moments_block(m, MOMENTS_SEEN, i, &at, &width)); i++)
        for (size_t j = 0; j < width; j++)
            e->own[at + j] = gram[j * width + j];
    if (!s && feeding)
        s = open_blocks(e, damping, err);
    if (s)
        encoder_close(&e);
    else
        *out = e;
    return s;
}

typedef struct rows_job {
    const encoder *e;
    const quant_traits *type;
    encoder_way way;
    const float *rows;
    unsigned char *out;
    size_t n_rows, row_bytes;
} rows_job;

static void rows_part(void *arg, int index, int count)
{
    const rows_job *j = arg;
    size_t from, to, n = j->e->n;
    pool_part(j->n_rows, index, count, &from, &to);
    for (size_t r = from; r < to; r++)
        if (j->way == ENCODER_SEARCH)
            j->type->search(j->rows + r * n, j->out + r * j->row_bytes, n, j->e->importances);
        else
            j->type->encode(j->rows + r * n, j->out + r * j->row_bytes, n, NULL);
}

/* Block by block of columns, each copied together and its bytes apart again. */
static status feed_blocks(const encoder *e, const rows_job *j, error *err)
{
    size_t at, width, block = e->m->block;
    const size_t out_block = (size_t)quant_row_bytes(j->type->id, block);
    float *values = mem_array(j->n_rows, block * sizeof *values);
    unsigned char *bytes = mem_array(j->n_rows, out_block);
    status s = values && bytes ? OK : fail(err, E_NOMEM, "no memory for %zu rows", j->n_rows);
    for (size_t i = 0; !s && moments_block(e->m, MOMENTS_SEEN, i, &at, &width); i++) {
        size_t n = (size_t)quant_row_bytes(j->type->id, width), to = (size_t)quant_row_bytes(j->type->id, at);
        for (size_t r = 0; r < j->n_rows; r++)
            memcpy(values + r * width, j->rows + r * e->n + at, width * sizeof *values);
        s = feedback_encode(e->blocks[i], j->type->id, values, j->n_rows, bytes, err);
        for (size_t r = 0; !s && r < j->n_rows; r++)
            memcpy(j->out + r * j->row_bytes + to, bytes + r * n, n);
    }
    mem_free(values);
    mem_free(bytes);
    return s;
}

bool encoder_feeds(uint32_t type)
{
    const quant_traits *t = quant_find(type);
    return t->bytes < t->block && lattice_find(type);
}

status encoder_rows(const encoder *e, encoder_way way, uint32_t type, const float *rows, size_t n_rows, void *out,
                    error *err)
{
    rows_job j = { e, quant_find(type), way, rows, out, n_rows, (size_t)quant_row_bytes(type, e->n) };
    if (!n_rows)
        return OK;
    if (j.way == ENCODER_FEEDBACK && e->n_blocks && encoder_feeds(type))
        return e->n_blocks > 1 ? feed_blocks(e, &j, err)
                               : feedback_encode(e->blocks[0], type, rows, n_rows, out, err);
    if (j.way == ENCODER_FEEDBACK)
        j.way = ENCODER_SEARCH;
    if (!j.type->search)
        j.way = ENCODER_PLAIN;
    pool_run(e->t->p, rows_part, &j);
    return OK;
}

status encoder_loss(const encoder *e, const float *a, const float *b, size_t n_rows, double *out, error *err)
{
    size_t at, width;
    const float *gram;
    float *left = mem_array(2 * n_rows + 1, e->m->block * sizeof *left), *right = left + n_rows * e->m->block;
    status s = left ? OK : fail(err, E_NOMEM, "no memory for %zu rows", n_rows);
    *out = 0;
    for (size_t i = 0; !s && (gram = moments_block(e->m, MOMENTS_HELD_OUT, i, &at, &width)); i++) {
        double loss;
        for (size_t r = 0; r < n_rows; r++) {
            memcpy(left + r * width, a + r * e->n + at, width * sizeof *left);
            if (b)
                memcpy(right + r * width, b + r * e->n + at, width * sizeof *left);
            else
                memset(right + r * width, 0, width * sizeof *left);
        }
        s = feedback_loss(e->t, gram, width, left, right, n_rows, &loss, err);
        *out += loss;
    }
    mem_free(left);
    return s;
}

double encoder_trace(const encoder *e)
{
    size_t at, width;
    const float *gram;
    double sum = 0;
    if (!e->m)
        return (double)e->n;
    for (size_t i = 0; (gram = moments_block(e->m, MOMENTS_HELD_OUT, i, &at, &width)); i++)
        for (size_t c = 0; c < width; c++)
            sum += (double)gram[c * width + c];
    return sum;
}

const float *encoder_importances(const encoder *e)
{
    return e->importances;
}
