#include "pack/source.h"

#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
#include "quant/grid.h"
#include "quant/quant.h"

#define F16_LARGEST 65504.0f

typedef struct reading {
    const quant_traits *from;
    const unsigned char *in;
    uint64_t row_bytes, step;
    size_t n, cols;
    float *out;
    size_t bad[POOL_MAX_THREADS]; /* the first that is not finite of each thread's; SIZE_MAX: none */
} reading;

static void read_part(void *arg, int index, int count)
{
    reading *j = arg;
    const quant_traits *f32 = quant_find(QUANT_F32);
    size_t from, to;
    pool_part(j->n, index, count, &from, &to);
    j->bad[index] = SIZE_MAX;
    for (size_t i = from; i < to && j->bad[index] == SIZE_MAX; i++) {
        float *row = j->out + i * j->cols;
        j->from->decode(j->in + i * j->step * j->row_bytes, row, j->cols);
        if (f32->check(row, j->cols) != SIZE_MAX)
            j->bad[index] = i;
    }
}

enum { ROWS_APART = 64 }; /* of those that are not neighbours: each brings pages that nobody asked for */

status source_read(const gguf *g, const gguf_tensor *t, const matrix_tools *tools, uint64_t first, uint64_t step,
                   size_t n, float *out, error *err)
{
    reading j = { .from = quant_find(t->type), .step = step, .cols = (size_t)t->ne[0] };
    j.row_bytes = quant_row_bytes(t->type, t->ne[0]);
    if (!j.from->decode)
        return fail(err, E_UNSUPPORTED, "%s: tensor '%.*s': the type %s %s", gguf_file_name(g), (int)t->name.n,
                    t->name.p, j.from->name, quant_advice(t->type));
    for (size_t at = 0; at < n; at += j.n) {
        j.n = step > 1 && n - at > ROWS_APART ? ROWS_APART : n - at;
        j.in = (const unsigned char *)t->data + (first + at * step) * j.row_bytes;
        j.out = out + at * j.cols;
        pool_run(tools->p, read_part, &j);
        gguf_release(g, j.in, (size_t)(((j.n - 1) * step + 1) * j.row_bytes));
        for (int i = 0; i < pool_threads(tools->p); i++)
            if (j.bad[i] != SIZE_MAX)
                return fail(err, E_FORMAT, "%s: tensor '%.*s': row %" PRIu64 " holds a value that is not finite: the "
                            "weights are damaged", gguf_file_name(g), (int)t->name.n, t->name.p,
                            first + (at + j.bad[i]) * step);
    }
    return OK;
}

void source_decode(const matrix_tools *tools, uint32_t type, const void *rows, size_t n, size_t cols, float *out)
{
    reading j = { .from = quant_find(type), .in = rows, .row_bytes = quant_row_bytes(type, cols), .step = 1, .n = n,
                  .cols = cols, .out = out };
    pool_run(tools->p, read_part, &j);
}

static size_t largest(const float *row, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        at = fabsf(row[i]) > fabsf(row[at]) ? i : at;
    return at;
}

/* Searches stay below the largest scale that F16 holds: a value that needs a larger one is lost, and nothing shows it.
 * An F16 source has no such values. */
static bool falls_short(const quant_traits *q, const float *row, const void *encoded, size_t n, float *decoded)
{
    size_t at = largest(row, n);
    if (fabsf(row[at]) <= F16_LARGEST)
        return false;
    q->decode(encoded, decoded, n);
    return fabsf(decoded[at] - row[at]) > fabsf(row[at]) / 2;
}

status source_check(const gguf *g, const gguf_tensor *t, uint32_t type, const float *values, const void *rows,
                    uint64_t first, size_t n, error *err)
{
    const quant_traits *q = quant_find(type);
    size_t cols = (size_t)t->ne[0], bad = n;
    uint64_t row_bytes = quant_row_bytes(type, cols);
    float *decoded = mem_array(cols, sizeof *decoded);
    if (!decoded)
        return fail(err, E_NOMEM, "no memory for rows of %zu values", cols);
    for (size_t i = 0; q->check && bad == n && i < n; i++) {
        const unsigned char *row = (const unsigned char *)rows + i * row_bytes;
        if (q->check(row, cols) != SIZE_MAX ||
            (t->type != QUANT_F16 && falls_short(q, values + i * cols, row, cols, decoded)))
            bad = i;
    }
    mem_free(decoded);
    if (bad == n)
        return OK;
    return fail(err, E_RANGE, "%s: tensor '%.*s': row %" PRIu64 " holds a value that is too large for %s",
                gguf_file_name(g), (int)t->name.n, t->name.p, first + bad, q->name);
}

typedef struct exact_job {
    const float *values;
    unsigned char *out;
    size_t n, cols, row_bytes;
    uint32_t type, precision;
    bool bad[POOL_MAX_THREADS];
} exact_job;

static void exact_rows(void *arg, int index, int count)
{
    exact_job *x = arg;
    size_t from, to;
    pool_part(x->n, index, count, &from, &to);
    x->bad[index] = false;
    for (size_t r = from; r < to && !x->bad[index]; r++)
        x->bad[index] = !grid_encode(x->type, x->precision, x->values + r * x->cols, x->cols,
                                     x->out + r * x->row_bytes);
}

bool source_on_grid(const gguf_tensor *t, const matrix_tools *tools, uint32_t type, const float *values, size_t n,
                    void *out)
{
    exact_job x = { .values = values, .out = out, .n = n, .cols = (size_t)t->ne[0], .type = type,
                    .precision = t->type };
    x.row_bytes = (size_t)quant_row_bytes(type, x.cols);
    pool_run(tools->p, exact_rows, &x);
    for (int i = 0; i < pool_threads(tools->p); i++)
        if (x.bad[i])
            return false;
    return true;
}
