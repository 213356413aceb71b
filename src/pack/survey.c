/* survey.c: what each tensor loses in each type that it could take, on a sample of its rows. */
#include "base/mem.h"
#include "pack/record.h"
#include "pack/source.h"

enum { SAMPLE_ROWS = 192, SAMPLE_ROWS_LARGE = 768, LARGE = 32768, WAY_ROWS = 32 };

const uint32_t pack_types[PACK_TYPES] = {
    QUANT_Q2_K, QUANT_Q3_K, QUANT_MXFP4, QUANT_IQ4_XS, QUANT_IQ4_NL, QUANT_Q4_0, QUANT_Q4_K,
    QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_K,  QUANT_Q5_1,   QUANT_Q6_K,   QUANT_Q8_0, QUANT_F16,
};

typedef struct sample {
    float *rows, *decoded;
    unsigned char *out;
    size_t n, cols;
    double whole, direct; /* losses of nothing at all in its place */
} sample;

static void sample_close(sample *s)
{
    mem_free(s->rows);
    mem_free(s->decoded);
    mem_free(s->out);
}

static double squares(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)a[i] - (b ? (double)b[i] : 0);
        sum += e * e;
    }
    return sum;
}

static status loss_of(const pack_tensor *t, const encoder *e, const sample *s, const float *b, double *out, error *err)
{
    if (t->kind != MOMENTS_KINDS)
        return encoder_loss(e, s->rows, b, s->n, out, err);
    *out = squares(s->rows, b, s->n * s->cols);
    return OK;
}

/* What is not finite is named here, before it is in the moments of what comes after; s->decoded is for the reading. */
static status check_rows(const job *j, const pack_tensor *t, const sample *s, error *err)
{
    const uint64_t rows = gguf_tensor_rows(t->t);
    status st = OK;
    for (uint64_t r = 0; !st && r < rows; r += s->n)
        st = source_read(j->file, t->t, &j->tools, r, 1, (size_t)(rows - r < s->n ? rows - r : s->n), s->decoded,
                         err);
    return st;
}

static status sample_take(const job *j, const pack_tensor *t, const encoder *e, size_t most, sample *s, error *err)
{
    size_t rows = (size_t)gguf_tensor_rows(t->t);
    *s = (sample){ .n = rows < most ? rows : most, .cols = (size_t)t->t->ne[0] };
    size_t step = rows / s->n;
    s->rows = mem_array(s->n, s->cols * sizeof(float));
    s->decoded = mem_array(s->n, s->cols * sizeof(float));
    s->out = mem_array(s->n, s->cols * sizeof(float));
    status st = s->rows && s->decoded && s->out ? OK : fail(err, E_NOMEM, "no memory for a sample of rows");
    if (!st)
        st = source_read(j->file, t->t, &j->tools, step / 2, step, s->n, s->rows, err);
    if (!st)
        st = loss_of(t, e, s, NULL, &s->whole, err);
    if (!st)
        s->direct = squares(s->rows, NULL, s->n * s->cols);
    if (!st && !(s->whole > 0))
        s->whole = 1;
    return st;
}

/* The better of the ways from `first` on, for c->type. */
static status survey_type(const job *j, const pack_tensor *t, const encoder *e, const sample *s, encoder_way first,
                          candidate *c, error *err)
{
    bool fed = t->kind != MOMENTS_KINDS && encoder_feeds(c->type->id);
    encoder_way last = fed ? j->o->way : j->o->way < ENCODER_SEARCH ? j->o->way : ENCODER_SEARCH;
    status st = OK;
    c->loss = -1;
    for (encoder_way way = first < last ? first : last; !st && way <= last; way++) {
        double loss;
        st = encoder_rows(e, way, c->type->id, s->rows, s->n, s->out, err);
        if (st)
            break;
        source_decode(&j->tools, c->type->id, s->out, s->n, s->cols, s->decoded);
        st = loss_of(t, e, s, s->decoded, &loss, err);
        if (!st && (c->loss < 0 || loss / s->whole < c->loss)) {
            c->loss = loss / s->whole;
            c->direct = squares(s->rows, s->decoded, s->n * s->cols) / (s->direct > 0 ? s->direct : 1);
            c->way = way;
        }
    }
    return st;
}

/* Feedback where one type is better by it is better in the others too: no matrix was seen where it was not. */
static status survey_types(const job *j, pack_tensor *t, const encoder *e, const sample *s, error *err)
{
    encoder_way first = ENCODER_SEARCH;
    status st = OK;
    for (size_t i = 0; !st && i < PACK_TYPES; i++) {
        candidate *c = &t->candidates[t->n_candidates];
        *c = (candidate){ .type = quant_find(pack_types[i]) };
        if (!plan_may_take(t, c->type))
            continue;
        st = survey_type(j, t, e, s, first, c, err);
        first = c->way > first ? c->way : first;
        t->n_candidates++;
    }
    return st;
}

/* It costs nothing, whatever that type loses elsewhere. */
static void add_grid(pack_tensor *t)
{
    for (size_t i = 0; i < t->n_candidates; i++)
        if (t->candidates[i].type == t->grid)
            t->candidates[i] = (candidate){ .type = t->grid };
}

static status survey_tensor(job *j, pack_tensor *t, const encoder *e, error *err)
{
    sample s;
    size_t most = gguf_tensor_rows(t->t) > LARGE ? SAMPLE_ROWS_LARGE : SAMPLE_ROWS;
    status st = sample_take(j, t, e, most, &s, err);
    t->n_candidates = 0;
    t->noise = encoder_trace(e) * s.direct / (double)s.cols / s.whole;
    if (!st)
        st = check_rows(j, t, &s, err);
    if (!st)
        st = survey_types(j, t, e, &s, err);
    if (!st)
        t->candidates[t->n_candidates++] = (candidate){ .type = t->from };
    if (!st && t->grid)
        add_grid(t);
    sample_close(&s);
    if (!st)
        st = record_losses(j, t, err);
    j->done += t->t->bytes;
    return st ? st : job_tell(j, "measuring losses", j->done, gguf_data_bytes(j->file), err);
}

static bool is_matrix(const pack_tensor *t)
{
    return t->role != QUANT_KEPT && !t->left && !t->n_candidates;
}

status survey_tensors(job *j, error *err)
{
    j->done = 0;
    status s = encode_walk(j, is_matrix, survey_tensor, SIZE_MAX, err);
    j->done = 0;
    return s;
}

status survey_way(const job *j, pack_tensor *t, const encoder *e, error *err)
{
    candidate c = { .type = t->to };
    sample s;
    status st = sample_take(j, t, e, WAY_ROWS, &s, err);
    if (!st)
        st = survey_type(j, t, e, &s, ENCODER_SEARCH, &c, err);
    if (!st)
        t->way = c.way;
    sample_close(&s);
    return st;
}
