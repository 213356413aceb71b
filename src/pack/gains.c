/* gains.c: what a loss costs at the end. Noise is added to the weights of a few tensors at a time, those of one kind in
 * neighbouring layers, and the divergence of the model's predictions is measured; divided by the losses that the noise
 * is, it is these tensors' gain. Divergences of small losses add up, so a mix costs the sum of gain x loss. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "pack/job.h"
#include "pack/source.h"
#include "quality/compare.h"

enum { BINS = 6, TOKENS = 2048, JUDGED_MAX = 512, LOGIT_BYTES = 256 << 20 };

/* As large as the rounding to 4 to 5 bits. */
static const double loudness = 0.0625;

typedef enum part_kind { PART_QK, PART_V, PART_O, PART_FFN, PART_DOWN, PART_KINDS } part_kind;

typedef struct judge {
    job *j;
    reference *r;
    reference_text text;
    size_t n_tokens, n_judged, step, n_logits, n_embd;
    float *entries;  /* [BINS + 1][tokens][n_embd]: what enters the first layer of a bin, and what leaves the last */
    float *states;   /* of the run at hand */
    float *expected; /* [judged][n_logits] */
} judge;

static part_kind part_kind_of(const pack_tensor *t)
{
    static const part_kind kinds[QUANT_ROLES] = {
        [QUANT_ATTN_Q] = PART_QK, [QUANT_ATTN_K] = PART_QK, [QUANT_ATTN_V] = PART_V, [QUANT_ATTN_OUTPUT] = PART_O,
        [QUANT_FFN_UP] = PART_FFN, [QUANT_FFN_GATE] = PART_FFN, [QUANT_FFN_DOWN] = PART_DOWN,
    };
    return kinds[t->role];
}

static uint32_t bins_of(const judge *g)
{
    uint32_t n = reference_spec(g->r)->n_layers;
    return n < BINS ? n : BINS;
}

static uint32_t bin_begin(const judge *g, uint32_t bin)
{
    return bin * reference_spec(g->r)->n_layers / bins_of(g);
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
    uint64_t seed;
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
        uint64_t state = j->seed + r * 0x9E3779B97F4A7C15u * 977;
        for (size_t i = 0; i < j->cols; i++)
            sum += (double)row[i] * (double)row[i];
        double width = loudness * sqrt(12 * sum / (double)j->cols);
        for (size_t i = 0; i < j->cols; i++)
            row[i] += (float)(width * ((double)(next_random(&state) >> 11) * 0x1p-53 - 0.5));
    }
}

static status put_noise(judge *g, const pack_tensor *t, uint64_t seed, error *err)
{
    noise_job n = { .n = (size_t)gguf_tensor_rows(t->t), .cols = (size_t)t->t->ne[0], .seed = seed };
    n.rows = mem_array(n.n, n.cols * sizeof(float));
    if (!n.rows)
        return fail(err, E_NOMEM, "no memory for a tensor");
    status s = source_read(g->j->file, t->t, &g->j->tools, 0, 1, n.n, n.rows, err);
    if (!s)
        pool_run(g->j->tools.p, add_noise, &n);
    if (!s)
        s = reference_put(g->r, t->t, n.rows, err);
    mem_free(n.rows);
    return s;
}

/* ---- the end ---- */

static float *entry(const judge *g, uint32_t bin)
{
    return g->entries + (size_t)bin * g->n_tokens * g->n_embd;
}

/* Calls of 32 rows: their logits, or the divergence from those that were kept. */
static status read_logits(judge *g, double *kl, error *err)
{
    float *rows = mem_array(REFERENCE_LOGITS, g->n_embd * sizeof *rows);
    status s = rows ? OK : fail(err, E_NOMEM, "no memory for rows");
    double sum = 0;
    for (size_t at = 0; !s && at < g->n_judged; at += REFERENCE_LOGITS) {
        const float *logits[REFERENCE_LOGITS];
        size_t n = g->n_judged - at < REFERENCE_LOGITS ? g->n_judged - at : REFERENCE_LOGITS;
        for (size_t i = 0; i < n; i++)
            memcpy(rows + i * g->n_embd, g->states + ((at + i) * g->step + g->step - 1) * g->n_embd,
                   g->n_embd * sizeof *rows);
        s = reference_logits(g->r, rows, n, logits, err);
        for (size_t i = 0; !s && i < n; i++) {
            quality_token token;
            float *expected = g->expected + (at + i) * g->n_logits;
            if (!kl)
                memcpy(expected, logits[i], g->n_logits * sizeof *expected);
            else if (quality_judge(g->j->tools.k, expected, logits[i], g->n_logits, 0, &token))
                sum += token.kl;
            else
                s = fail(err, E_FORMAT, "%s: a logit is not finite", gguf_file_name(g->j->file));
        }
    }
    if (kl)
        *kl = sum / (double)g->n_judged;
    mem_free(rows);
    return s;
}

static status run_layers(judge *g, uint32_t from, uint32_t to, error *err)
{
    status s = OK;
    for (uint32_t l = from; !s && l < to; l++)
        s = reference_layer(g->r, l, &g->text, g->states, NULL, NULL, err);
    return s;
}

static status run_unchanged(judge *g, error *err)
{
    uint32_t bins = bins_of(g);
    size_t n = g->n_tokens * g->n_embd;
    status s = reference_embed(g->r, &g->text, g->states, err);
    for (uint32_t b = 0; !s && b <= bins; b++) {
        memcpy(entry(g, b), g->states, n * sizeof *g->states);
        if (b < bins)
            s = run_layers(g, bin_begin(g, b), bin_begin(g, b + 1), err);
    }
    return s ? s : read_logits(g, NULL, err);
}

/* ---- gains ---- */

static bool in_group(const judge *g, const pack_tensor *t, uint32_t bin, part_kind kind)
{
    return t->role != QUANT_KEPT && t->kind < MOMENTS_OF_LAYER && part_kind_of(t) == kind && t->layer >= 0 &&
           (uint32_t)t->layer >= bin_begin(g, bin) && (uint32_t)t->layer < bin_begin(g, bin + 1);
}

static status measure_group(judge *g, uint32_t bin, part_kind kind, error *err)
{
    job *j = g->j;
    double losses = 0, kl = 0;
    status s = OK;
    memcpy(g->states, entry(g, bin), g->n_tokens * g->n_embd * sizeof *g->states);
    for (uint32_t l = bin_begin(g, bin); !s && l < bin_begin(g, bin + 1); l++) {
        for (size_t i = 0; !s && i < j->n; i++)
            if (j->tensors[i].layer == (int32_t)l && in_group(g, &j->tensors[i], bin, kind)) {
                s = put_noise(g, &j->tensors[i], i, err);
                losses += loudness * loudness * j->tensors[i].noise;
            }
        if (!s)
            s = run_layers(g, l, l + 1, err);
        for (size_t i = 0; !s && i < j->n; i++)
            if (j->tensors[i].layer == (int32_t)l && in_group(g, &j->tensors[i], bin, kind))
                s = reference_restore(g->r, j->tensors[i].t, err);
    }
    if (!s && losses > 0)
        s = run_layers(g, bin_begin(g, bin + 1), reference_spec(g->r)->n_layers, err);
    if (!s && losses > 0)
        s = read_logits(g, &kl, err);
    for (size_t i = 0; !s && losses > 0 && i < j->n; i++)
        if (in_group(g, &j->tensors[i], bin, kind))
            j->tensors[i].gain = kl / losses;
    return s;
}

static status measure_head(judge *g, pack_tensor *t, error *err)
{
    double kl;
    memcpy(g->states, entry(g, bins_of(g)), g->n_tokens * g->n_embd * sizeof *g->states);
    status s = put_noise(g, t, 1, err);
    if (!s)
        s = read_logits(g, &kl, err);
    if (!s)
        t->gain = kl / (loudness * loudness * t->noise);
    return s ? s : reference_restore(g->r, t->t, err);
}

static status measure_embedding(judge *g, pack_tensor *t, error *err)
{
    double kl;
    memcpy(g->states, entry(g, 0), g->n_tokens * g->n_embd * sizeof *g->states);
    for (size_t i = 0; i < g->n_tokens; i++) {
        noise_job n = { g->states + i * g->n_embd, 1, g->n_embd, (uint64_t)g->text.ids[i] * 7919 };
        add_noise(&n, 0, 1);
    }
    status s = run_layers(g, 0, reference_spec(g->r)->n_layers, err);
    if (!s)
        s = read_logits(g, &kl, err);
    if (!s)
        t->direct_gain = kl / (loudness * loudness);
    return s;
}

static status judge_open(judge *g, job *j, error *err)
{
    *g = (judge){ .j = j, .text = j->read[MOMENTS_HELD_OUT] };
    status s = reference_open(&g->r, j->file, &j->tools, (uint64_t)4 << 30, err);
    if (s)
        return s;
    const model_spec *m = reference_spec(g->r);
    size_t pieces = TOKENS / REFERENCE_PIECE_MAX;
    g->text.n = g->text.n < pieces ? g->text.n : pieces;
    g->n_tokens = g->text.starts[g->text.n];
    g->n_embd = m->n_embd;
    g->n_logits = m->n_logits;
    size_t most = LOGIT_BYTES / (g->n_logits * sizeof(float));
    most = most < JUDGED_MAX ? most : JUDGED_MAX;
    most = most < g->n_tokens ? most : g->n_tokens;
    g->step = g->n_tokens / most;
    g->n_judged = g->n_tokens / g->step;
    g->entries = mem_array((bins_of(g) + 1) * g->n_tokens, g->n_embd * sizeof(float));
    g->states = mem_array(g->n_tokens, g->n_embd * sizeof(float));
    g->expected = mem_array(g->n_judged, g->n_logits * sizeof(float));
    return g->entries && g->states && g->expected ? OK : fail(err, E_NOMEM, "no memory to judge %zu tokens", g->n_tokens);
}

static void judge_close(judge *g)
{
    mem_free(g->entries);
    mem_free(g->states);
    mem_free(g->expected);
    reference_close(&g->r);
}

status gains_measure(job *j, error *err)
{
    judge g;
    status s = judge_open(&g, j, err);
    if (!s)
        s = run_unchanged(&g, err);
    for (uint32_t b = 0; !s && b < bins_of(&g); b++)
        for (int k = 0; !s && k < PART_KINDS; k++)
            s = measure_group(&g, b, (part_kind)k, err);
    for (size_t i = 0; !s && i < j->n; i++) {
        if (j->tensors[i].kind == MOMENTS_HEAD)
            s = measure_head(&g, &j->tensors[i], err);
        if (!s && j->tensors[i].role == QUANT_EMBED)
            s = measure_embedding(&g, &j->tensors[i], err);
    }
    judge_close(&g);
    return s;
}
