#include "pack/judge.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "quality/compare.h"

enum { TOKENS = 2048, JUDGED_MAX = 512, LOGIT_BYTES = 256 << 20 };

static float *entry(const judge *g, uint32_t bin)
{
    return g->entries + (size_t)bin * g->n_tokens * g->n_embd;
}

uint32_t judge_bin_begin(const judge *g, uint32_t bin)
{
    return bin * reference_spec(g->r)->n_layers / g->bins;
}

void judge_enter(judge *g, uint32_t bin)
{
    memcpy(g->states, entry(g, bin), g->n_tokens * g->n_embd * sizeof *g->states);
}

static status run_layers(judge *g, reference *r, uint32_t from, uint32_t to, error *err)
{
    status s = OK;
    for (uint32_t l = from; !s && l < to; l++)
        s = reference_layer(r, l, &g->text, g->states, NULL, NULL, err);
    return s;
}

status judge_run(judge *g, uint32_t from, uint32_t to, error *err)
{
    return run_layers(g, g->r, from, to, err);
}

/* ---- the end ---- */

/* The mean of the states of piece i. */
static void pool_piece(const judge *g, size_t i, float *out)
{
    size_t from = g->text.starts[i], to = g->text.starts[i + 1];
    memset(out, 0, g->n_embd * sizeof *out);
    for (size_t t = from; t < to; t++)
        for (size_t c = 0; c < g->n_embd; c++)
            out[c] += g->states[t * g->n_embd + c] / (float)(to - from);
}

static double one_minus_cos(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    double cos = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
    return cos < 1 ? 1 - cos : 0;
}

/* sum NULL: what the states make is what is expected. */
static status read_pools(judge *g, double *sum, error *err)
{
    float *mean = mem_array(g->n_embd, sizeof *mean);
    if (!mean)
        return fail(err, E_NOMEM, "no memory for a vector");
    for (size_t i = 0; i < g->text.n; i++) {
        pool_piece(g, i, sum ? mean : g->expected + i * g->n_embd);
        if (sum)
            *sum += one_minus_cos(g->expected + i * g->n_embd, mean, g->n_embd);
    }
    mem_free(mean);
    return OK;
}

static status read_row(judge *g, const float *logits, size_t i, double *sum, error *err)
{
    quality_token token;
    float *expected = g->expected + i * g->n_logits;
    if (!sum) {
        memcpy(expected, logits, g->n_logits * sizeof *expected);
        return OK;
    }
    if (!quality_judge(g->j->tools.k, expected, logits, g->n_logits, 0, &token))
        return fail(err, E_FORMAT, "%s: a logit is not finite", gguf_file_name(g->j->file));
    *sum += token.kl;
    return OK;
}

static status read_logits(judge *g, reference *r, double *sum, error *err)
{
    float *rows = mem_array(REFERENCE_LOGITS, g->n_embd * sizeof *rows);
    status s = rows ? OK : fail(err, E_NOMEM, "no memory for rows");
    for (size_t at = 0; !s && at < g->n_judged; at += REFERENCE_LOGITS) {
        const float *logits[REFERENCE_LOGITS];
        size_t n = g->n_judged - at < REFERENCE_LOGITS ? g->n_judged - at : REFERENCE_LOGITS;
        for (size_t i = 0; i < n; i++)
            memcpy(rows + i * g->n_embd, g->states + ((at + i) * g->step + g->step - 1) * g->n_embd,
                   g->n_embd * sizeof *rows);
        s = reference_logits(r, rows, n, logits, err);
        for (size_t i = 0; !s && i < n; i++)
            s = read_row(g, logits[i], at + i, sum, err);
    }
    reference_logits_done(r);
    mem_free(rows);
    return s;
}

static status divergence(judge *g, reference *r, double *out, error *err)
{
    double sum = 0;
    status s = g->n_logits ? read_logits(g, r, &sum, err) : read_pools(g, &sum, err);
    *out = sum / (double)(g->n_logits ? g->n_judged : g->text.n);
    return s;
}

status judge_divergence(judge *g, double *out, error *err)
{
    return divergence(g, g->r, out, err);
}

/* ---- the model as it is ---- */

/* What the states that left the last layer make of themselves. */
static status expect(judge *g, error *err)
{
    size_t n = g->n_logits ? g->n_judged * g->n_logits : g->text.n * g->n_embd;
    mem_free(g->expected);
    g->expected = mem_array(n, sizeof *g->expected);
    if (!g->expected)
        return fail(err, E_NOMEM, "no memory to judge %zu tokens", g->n_tokens);
    return g->n_logits ? read_logits(g, g->r, NULL, err) : read_pools(g, NULL, err);
}

static status run_unchanged(judge *g, error *err)
{
    size_t n = g->n_tokens * g->n_embd;
    status s = reference_embed(g->r, &g->text, g->states, err);
    for (uint32_t b = 0; !s && b <= g->bins; b++) {
        memcpy(entry(g, b), g->states, n * sizeof *g->states);
        if (b < g->bins)
            s = judge_run(g, judge_bin_begin(g, b), judge_bin_begin(g, b + 1), err);
    }
    return s ? s : expect(g, err);
}

/* As many pieces as make TOKENS, and every step-th token of them. */
static void take_text(judge *g)
{
    const reference_text *all = &g->j->read[MOMENTS_HELD_OUT];
    g->text = *all;
    for (g->text.n = 0; g->text.n < all->n && all->starts[g->text.n] < TOKENS;)
        g->text.n++;
    g->n_tokens = all->starts[g->text.n];
    size_t most = g->n_logits ? LOGIT_BYTES / (g->n_logits * sizeof(float)) : JUDGED_MAX;
    most = most < JUDGED_MAX ? most : JUDGED_MAX;
    most = most < g->n_tokens ? most : g->n_tokens;
    g->step = (g->n_tokens + most - 1) / most;
    g->n_judged = g->n_tokens / g->step;
}

status judge_open(judge **out, job *j, uint64_t memory, error *err)
{
    judge *g = mem_zero(sizeof *g);
    if (!g)
        return fail(err, E_NOMEM, "no memory");
    g->j = j;
    status s = reference_open(&g->r, j->file, &j->tools, memory, err);
    if (s) {
        judge_close(&g);
        return s;
    }
    const model_spec *m = reference_spec(g->r);
    g->n_embd = m->n_embd;
    g->n_logits = m->is_encoder ? 0 : m->n_logits;
    g->bins = m->n_layers < JUDGE_BINS ? m->n_layers : JUDGE_BINS;
    take_text(g);
    g->entries = mem_array((g->bins + 1) * g->n_tokens, g->n_embd * sizeof(float));
    g->states = mem_array(g->n_tokens, g->n_embd * sizeof(float));
    if (!g->entries || !g->states)
        s = fail(err, E_NOMEM, "no memory to judge %zu tokens", g->n_tokens);
    if (!s)
        s = run_unchanged(g, err);
    if (s)
        judge_close(&g);
    else
        *out = g;
    return s;
}

void judge_close(judge **g)
{
    if (!g || !*g)
        return;
    mem_free((*g)->entries);
    mem_free((*g)->states);
    mem_free((*g)->expected);
    reference_close(&(*g)->r);
    mem_free(*g);
    *g = NULL;
}

void judge_rest(judge *g)
{
    if (g->entries)
        judge_enter(g, g->bins);
    mem_free(g->entries);
    mem_free(g->expected);
    g->entries = g->expected = NULL;
    reference_forget(g->r);
}

/* The states of the model as it is have been used when the file's take their place. */
status judge_file(judge *g, const char *path, double *out, error *err)
{
    gguf *file = NULL;
    reference *r = NULL;
    judge_rest(g);
    status s = expect(g, err);
    reference_forget(g->r);
    if (!s)
        s = gguf_open(&file, path, err);
    if (!s)
        s = reference_open(&r, file, &g->j->tools, 0, err);
    if (!s)
        s = reference_embed(r, &g->text, g->states, err);
    if (!s)
        s = run_layers(g, r, 0, reference_spec(r)->n_layers, err);
    if (!s)
        s = divergence(g, r, out, err);
    reference_close(&r);
    gguf_close(&file);
    return s;
}
