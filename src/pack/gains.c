/* gains.c: what a loss costs at the end. Noise is added to the weights of a few tensors at a time, those of one kind in
 * neighbouring layers, and the divergence of the model's predictions is measured; divided by the losses that the noise
 * is, it is these tensors' gain. Divergences of small losses add up, so a mix costs the sum of gain x loss. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "pack/judge.h"
#include "pack/record.h"
#include "pack/source.h"

/* Of the noise, relative to a row: that of rounding to 4 to 5 bits. */
static const double loudness = 0.0625;

typedef enum part_kind { PART_QK, PART_V, PART_O, PART_FFN, PART_DOWN, PART_KINDS } part_kind;

static part_kind part_kind_of(const pack_tensor *t)
{
    static const part_kind kinds[QUANT_ROLES] = {
        [QUANT_ATTN_Q] = PART_QK,      [QUANT_ATTN_K] = PART_QK,   [QUANT_ATTN_V] = PART_V,
        [QUANT_ATTN_OUTPUT] = PART_O,  [QUANT_FFN_UP] = PART_FFN,  [QUANT_FFN_GATE] = PART_FFN,
        [QUANT_FFN_DOWN] = PART_DOWN,
    };
    return kinds[t->role];
}

/* ---- noise ---- */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

typedef struct noise_job {
    float *rows;
    size_t n, cols;
    uint64_t seed, first; /* of the tensor; its row that the first of `rows` is */
} noise_job;

/* Uniform, of the variance loudness^2 x the row's mean square. */
static void add_noise(void *arg, int index, int count)
{
    const noise_job *j = arg;
    size_t from, to;
    pool_part(j->n, index, count, &from, &to);
    for (size_t r = from; r < to; r++) {
        float *row = j->rows + r * j->cols;
        double sum = 0;
        uint64_t state = (j->seed << 32) + j->first + r;
        state = next_random(&state);
        for (size_t i = 0; i < j->cols; i++)
            sum += (double)row[i] * (double)row[i];
        double width = loudness * sqrt(12 * sum / (double)j->cols);
        for (size_t i = 0; i < j->cols; i++)
            row[i] += (float)(width * ((double)(next_random(&state) >> 11) * 0x1p-53 - 0.5));
    }
}

typedef struct noisy {
    const job *j;
    const pack_tensor *t;
} noisy;

static status give_noisy(void *user, const gguf_tensor *t, uint64_t first, size_t n, float *rows, error *err)
{
    const noisy *x = user;
    noise_job noise = { rows, n, (size_t)t->ne[0], x->t->index, first };
    status s = source_read(x->j->file, t, &x->j->tools, first, 1, n, rows, err);
    if (!s)
        pool_run(x->j->tools.p, add_noise, &noise);
    return s;
}

static status put_noise(judge *g, const pack_tensor *t, error *err)
{
    noisy x = { g->j, t };
    return reference_put(g->r, t->t, give_noisy, &x, err);
}

static double noise_loss(const pack_tensor *t)
{
    return loudness * loudness * t->noise;
}

/* ---- a group ---- */

typedef struct group {
    judge *g;
    uint32_t bin;
    part_kind kind;
} group;

static bool is_in(const group *p, const pack_tensor *t, int32_t layer)
{
    return t->n_candidates && t->kind < MOMENTS_OF_LAYER && part_kind_of(t) == p->kind && t->layer == layer;
}

/* A layer that is noisy for this pass only; layers that do not stay in memory forget it by themselves. */
static status run_noisy(const group *p, int32_t layer, double *losses, error *err)
{
    job *j = p->g->j;
    status s = OK;
    for (size_t i = 0; !s && i < j->n; i++)
        if (is_in(p, &j->tensors[i], layer)) {
            s = put_noise(p->g, &j->tensors[i], err);
            *losses += noise_loss(&j->tensors[i]);
        }
    if (!s)
        s = judge_run(p->g, (uint32_t)layer, (uint32_t)layer + 1, err);
    for (size_t i = 0; !s && i < j->n; i++)
        if (is_in(p, &j->tensors[i], layer))
            s = reference_restore(p->g->r, j->tensors[i].t, err);
    return s;
}

static status measure_group(const group *p, error *err)
{
    judge *g = p->g;
    uint32_t from = judge_bin_begin(g, p->bin), to = judge_bin_begin(g, p->bin + 1);
    double losses = 0, kl = 0;
    status s = OK;
    judge_enter(g, p->bin);
    for (uint32_t l = from; !s && l < to; l++)
        s = run_noisy(p, (int32_t)l, &losses, err);
    if (s || !(losses > 0))
        return s;
    s = judge_run(g, to, reference_spec(g->r)->n_layers, err);
    if (!s)
        s = judge_divergence(g, &kl, err);
    for (uint32_t l = from; !s && l < to; l++)
        for (size_t i = 0; i < g->j->n; i++)
            if (!s && is_in(p, &g->j->tensors[i], (int32_t)l)) {
                g->j->tensors[i].gain = kl / losses;
                s = record_gain(g->j, &g->j->tensors[i], err);
            }
    return s;
}

/* ---- before and after the layers ---- */

static status measure_head(judge *g, pack_tensor *t, error *err)
{
    double kl = 0;
    judge_enter(g, g->bins);
    status s = put_noise(g, t, err);
    if (!s)
        s = judge_divergence(g, &kl, err);
    t->gain = noise_loss(t) > 0 ? kl / noise_loss(t) : 0;
    return s ? s : reference_restore(g->r, t->t, err);
}

/* The same token is off by the same noise wherever it stands. */
static status measure_embedding(judge *g, pack_tensor *t, error *err)
{
    double kl = 0;
    judge_enter(g, 0);
    for (size_t i = 0; i < g->n_tokens; i++) {
        noise_job n = { g->states + i * g->n_embd, 1, g->n_embd, (uint64_t)g->text.ids[i], 0 };
        add_noise(&n, 0, 1);
    }
    status s = judge_run(g, 0, reference_spec(g->r)->n_layers, err);
    if (!s)
        s = judge_divergence(g, &kl, err);
    t->direct_gain = kl / (loudness * loudness);
    return s;
}

static bool lacks_gains(const group *p)
{
    for (uint32_t l = judge_bin_begin(p->g, p->bin); l < judge_bin_begin(p->g, p->bin + 1); l++)
        for (size_t i = 0; i < p->g->j->n; i++)
            if (is_in(p, &p->g->j->tensors[i], (int32_t)l) && !p->g->j->tensors[i].has_gain)
                return true;
    return false;
}

status gains_measure(job *j, judge *g, error *err)
{
    status s = OK;
    for (uint32_t b = 0; !s && b < g->bins; b++)
        for (int k = 0; !s && k < PART_KINDS; k++) {
            s = job_tell(j, "measuring what losses cost", b * PART_KINDS + (uint32_t)k, g->bins * PART_KINDS, err);
            if (!s && lacks_gains(&(group){ g, b, (part_kind)k }))
                s = measure_group(&(group){ g, b, (part_kind)k }, err);
        }
    for (size_t i = 0; !s && i < j->n; i++) {
        pack_tensor *t = &j->tensors[i];
        bool is_head = t->kind == MOMENTS_HEAD, is_embedding = t->role == QUANT_EMBED;
        if (!t->n_candidates || t->has_gain || !(is_head || is_embedding))
            continue;
        if (is_head)
            s = measure_head(g, t, err);
        if (!s && is_embedding)
            s = measure_embedding(g, t, err);
        if (!s)
            s = record_gain(j, t, err);
    }
    return s;
}
