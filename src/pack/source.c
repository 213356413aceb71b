#include "pack/source.h"

#include <inttypes.h>
#include <math.h>

#include "base/mem.h"
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

status source_read(const gguf *g, const gguf_tensor *t, const matrix_tools *tools, uint64_t first, uint64_t step,
                   size_t n, float *out, error *err)
{
    reading j = { .from = quant_find(t->type), .step = step, .n = n, .cols = (size_t)t->ne[0], .out = out };
    j.row_bytes = quant_row_bytes(t->type, t->ne[0]);
    j.in = (const unsigned char *)t->data + first * j.row_bytes;
    if (!j.from->decode)
        return fail(err, E_UNSUPPORTED, "%s: tensor '%.*s': the type %s %s", gguf_file_name(g), (int)t->name.n,
                    t->name.p, j.from->name, quant_advice(t->type));
    pool_run(tools->p, read_part, &j);
    for (int i = 0; i < pool_threads(tools->p); i++)
        if (j.bad[i] != SIZE_MAX)
            return fail(err, E_FORMAT, "%s: tensor '%.*s': row %" PRIu64 " holds a value that is not finite: the "
                        "weights are damaged", gguf_file_name(g), (int)t->name.n, t->name.p, first + j.bad[i] * step);
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
 * scratch: two rows. */
static bool falls_short(const gguf_tensor *t, const quant_traits *q, const void *encoded, uint64_t row, float *scratch)
{
    const quant_traits *from = quant_find(t->type);
    size_t n = (size_t)t->ne[0];
    if (from->id == QUANT_F16) /* has no such values */
        return false;
    from->decode((const unsigned char *)t->data + row * quant_row_bytes(t->type, n), scratch, n);
    size_t at = largest(scratch, n);
    if (fabsf(scratch[at]) <= F16_LARGEST)
        return false;
    q->decode(encoded, scratch + n, n);
    return fabsf(scratch[n + at] - scratch[at]) > fabsf(scratch[at]) / 2;
}

status source_check(const gguf *g, const gguf_tensor *t, uint32_t type, const void *rows, uint64_t first, size_t n,
                    error *err)
{
    const quant_traits *q = quant_find(type);
    uint64_t row_bytes = quant_row_bytes(type, t->ne[0]), bad = n;
    float *scratch = mem_array(2 * (size_t)t->ne[0], sizeof *scratch);
    if (!scratch)
        return fail(err, E_NOMEM, "no memory for rows of %" PRIu64 " values", t->ne[0]);
    for (size_t i = 0; q->check && bad == n && i < n; i++) {
        const unsigned char *row = (const unsigned char *)rows + i * row_bytes;
        if (q->check(row, (size_t)t->ne[0]) != SIZE_MAX || falls_short(t, q, row, first + i, scratch))
            bad = i;
    }
    mem_free(scratch);
    if (bad == n)
        return OK;
    return fail(err, E_RANGE, "%s: tensor '%.*s': row %" PRIu64 " holds a value that is too large for %s",
                gguf_file_name(g), (int)t->name.n, t->name.p, first + bad, q->name);
}
