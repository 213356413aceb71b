#include "quality/figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const double quantiles[QUALITY_QUANTILES] = { .5, .9, .95, .99, .999 };

/* ---- means ---- */

static double error_by_tokens(const double *x, size_t n, double mean)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? sqrt(squares / (double)n / (double)(n - 1)) : 0; /* the peer's: the variance is divided by n */
}

static double mean_of(const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    return n ? sum / (double)n : 0;
}

status quality_mean_of(const double *x, const passages *p, quality_mean *out, error *err)
{
    double *gaps = mem_array(p->n_clusters + 1, sizeof *gaps); /* S_c - m N_c */
    size_t n = p->n_judged, at = 0;
    if (!gaps)
        return fail(err, E_NOMEM, "no memory for %u clusters", p->n_clusters);
    quality_mean m = { .value = mean_of(x, n), .cluster_error = NAN, .low = NAN, .high = NAN };
    m.error = error_by_tokens(x, n, m.value);
    for (size_t i = 0; i < p->n; i++)
        for (uint32_t j = p->items[i].first; j < p->items[i].n; j++)
            gaps[p->items[i].cluster] += x[at++] - m.value;
    double squares = 0;
    for (uint32_t c = 0; c < p->n_clusters; c++)
        squares += gaps[c] * gaps[c];
    if (p->n_clusters > 1) {
        double c = p->n_clusters;
        m.cluster_error = sqrt(c / (c - 1) * squares) / (double)n;
        double t = stat_student_quantile((1 + QUALITY_CONFIDENCE) / 2, c - 1);
        m.low = m.value - t * m.cluster_error;
        m.high = m.value + t * m.cluster_error;
    }
    mem_free(gaps);
    *out = m;
    return OK;
}

quality_mean quality_exp(quality_mean m)
{
    double v = exp(m.value);
    return (quality_mean){ v, v * m.error, v * m.cluster_error, exp(m.low), exp(m.high) };
}

quality_mean quality_sqrt(quality_mean m)
{
    double v = sqrt(m.value), slope = v > 0 ? .5 / v : 0;
    return (quality_mean){ v, slope * m.error, slope * m.cluster_error, sqrt(m.low < 0 ? 0 : m.low), sqrt(m.high) };
}

/* An interval for a share that stays inside [0, 1] and does not shrink to nothing when all agree. */
static void share_interval(quality_mean *m, size_t n)
{
    if (isnan(m->cluster_error))
        return;
    double effect = m->error > 0 ? m->cluster_error / m->error : 1;
    effect = effect > 1 ? effect * effect : 1;
    uint64_t worth = (uint64_t)((double)n / effect), k;
    worth = worth ? worth : 1;
    k = (uint64_t)llround(m->value * (double)worth);
    stat_interval w = stat_wilson(k, worth, QUALITY_CONFIDENCE);
    m->low = w.low;
    m->high = w.high;
}

/* ---- quantiles ---- */

/* The least k with P(X <= k) >= p for X ~ Binomial(n, q). */
static size_t binomial_quantile(double p, size_t n, double q)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t k = low + (high - low) / 2;
        if (stat_binomial_cdf(k, n, q) >= p)
            high = k;
        else
            low = k + 1;
    }
    return low;
}

quality_quantile quality_quantile_of(const double *sorted, size_t n, double q)
{
    quality_quantile out = { q, NAN, NAN, NAN };
    if (!n)
        return out;
    double at = q * (double)(n - 1), tail = (1 - QUALITY_CONFIDENCE) / 2;
    size_t i = (size_t)at;
    out.value = sorted[i] + (at - (double)i) * (sorted[i + 1 < n ? i + 1 : i] - sorted[i]);
    /* #{values below the quantile} ~ Binomial(n, q): ranks r <= s with P(X < r) <= tail, P(X < s) >= 1 - tail */
    size_t r = binomial_quantile(tail, n, q), s = binomial_quantile(1 - tail, n, q) + 1;
    if (r >= 1)
        out.low = sorted[r - 1];
    if (s <= n)
        out.high = sorted[s - 1];
    return out;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void kl_quantiles(const quality_tokens *t, double *work, quality_figures *out)
{
    memcpy(work, t->kl, t->n * sizeof *work);
    qsort(work, t->n, sizeof *work, by_value);
    for (size_t i = 0; i < QUALITY_QUANTILES; i++)
        out->kl_at[i] = quality_quantile_of(work, t->n, quantiles[i]);
    out->kl_max = t->n ? work[t->n - 1] : 0;
}

/* ---- all of it ---- */

typedef double of_token(const quality_tokens *t, size_t i);

static double kl_of(const quality_tokens *t, size_t i)
{
    return t->kl[i];
}

static double same_of(const quality_tokens *t, size_t i)
{
    return t->same[i];
}

static double dp_of(const quality_tokens *t, size_t i)
{
    return exp(t->logp_b[i]) - exp(t->logp[i]);
}

static double dp2_of(const quality_tokens *t, size_t i)
{
    double d = dp_of(t, i);
    return d * d;
}

static double nll_a_of(const quality_tokens *t, size_t i)
{
    return -t->logp[i];
}

static double nll_b_of(const quality_tokens *t, size_t i)
{
    return -t->logp_b[i];
}

static double ratio_of(const quality_tokens *t, size_t i)
{
    return t->logp[i] - t->logp_b[i];
}

status quality_sum_up(const quality_tokens *t, const passages *p, quality_figures *out, error *err)
{
    quality_figures f = { .n_tokens = t->n, .n_passages = p->n, .n_clusters = p->n_clusters };
    const struct {
        of_token *of;
        quality_mean *to;
    } means[] = { { kl_of, &f.kl },       { same_of, &f.same_top },      { dp_of, &f.mean_dp },
                  { dp2_of, &f.rms_dp },  { nll_a_of, &f.perplexity_a }, { nll_b_of, &f.perplexity_b },
                  { ratio_of, &f.log_ratio } };
    double *work = mem_array(t->n ? t->n : 1, sizeof *work);
    status s = work ? OK : fail(err, E_NOMEM, "no memory for the figures of %zu tokens", t->n);
    for (size_t m = 0; !s && m < ARRAY_LEN(means); m++) {
        for (size_t i = 0; i < t->n; i++)
            work[i] = means[m].of(t, i);
        s = quality_mean_of(work, p, means[m].to, err);
    }
    if (!s) {
        kl_quantiles(t, work, &f);
        share_interval(&f.same_top, t->n);
        f.kl.low = f.kl.low < 0 ? 0 : f.kl.low;
        f.rms_dp = quality_sqrt(f.rms_dp);
        f.perplexity_a = quality_exp(f.perplexity_a);
        f.perplexity_b = quality_exp(f.perplexity_b);
        f.ratio = quality_exp(f.log_ratio);
        *out = f;
    }
    mem_free(work);
    return s;
}

/* ---- JSON: what is not known is null ---- */

static js *interval_js(double low, double high)
{
    js *a = js_array();
    js_push(a, js_new_double(low));
    js_push(a, js_new_double(high));
    return a;
}

js *quality_mean_js(const quality_mean *m)
{
    js *o = js_object();
    js_set(o, "value", js_new_double(m->value));
    js_set(o, "error_by_tokens", js_new_double(m->error));
    js_set(o, "error_by_clusters", js_new_double(m->cluster_error));
    js_set(o, "interval_by_clusters", interval_js(m->low, m->high));
    return o;
}

static js *quantiles_js(const quality_figures *f)
{
    static const char *const names[QUALITY_QUANTILES] = { "50", "90", "95", "99", "99.9" };
    js *o = js_object();
    for (size_t i = 0; i < QUALITY_QUANTILES; i++) {
        js *q = js_object();
        js_set(q, "value", js_new_double(f->kl_at[i].value));
        js_set(q, "interval_by_tokens", interval_js(f->kl_at[i].low, f->kl_at[i].high));
        js_set(o, names[i], q);
    }
    return o;
}

js *quality_figures_js(const quality_figures *f)
{
    const struct {
        const char *name;
        const quality_mean *m;
    } means[] = { { "kl", &f->kl },
                  { "same_top", &f->same_top },
                  { "rms_dp", &f->rms_dp },
                  { "mean_dp", &f->mean_dp },
                  { "perplexity_a", &f->perplexity_a },
                  { "perplexity_b", &f->perplexity_b },
                  { "log_ratio", &f->log_ratio },
                  { "ratio", &f->ratio } };
    js *o = js_object();
    js_set(o, "tokens", js_new_int((int64_t)f->n_tokens));
    js_set(o, "passages", js_new_int((int64_t)f->n_passages));
    js_set(o, "clusters", js_new_int((int64_t)f->n_clusters));
    js_set(o, "confidence", js_new_double(QUALITY_CONFIDENCE));
    for (size_t i = 0; i < ARRAY_LEN(means); i++)
        js_set(o, means[i].name, quality_mean_js(means[i].m));
    js_set(o, "kl_percentiles", quantiles_js(f));
    js_set(o, "kl_max", js_new_double(f->kl_max));
    return o;
}
