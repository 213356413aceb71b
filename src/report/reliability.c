/* reliability.c: does a model know when it is right? Answers sorted by confidence, cut into bins of equal counts, each
 * with the rate at which they passed.
 *
 * ECE   sum over bins of n_b / n * |mean confidence - pass rate| (Naeini et al. 2015, with bins of equal counts)
 * Bins of equal counts, not of equal width (stat/confidence.h): models are sure of most answers, and equal widths would
 * leave most bins empty and one that holds all.
 * AUROC P(confidence of a right answer > of a wrong one) + half of the ties: Mann and Whitney's U by mid-ranks */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/report_int.h"
#include "stat/confidence.h"

enum { BIN_LEAST = 8 }; /* answers in a bin: fewer say nothing */

static int by_confidence(const void *a, const void *b)
{
    double x = ((const report_sure *)a)->confidence, y = ((const report_sure *)b)->confidence;
    return (x > y) - (x < y);
}

/* x is sorted. */
static double auroc(const report_sure *x, size_t n)
{
    double ranks = 0, n_pass = 0;
    for (size_t i = 0, end; i < n; i = end) {
        double passed = 0;
        for (end = i; end < n && x[end].confidence == x[i].confidence; end++)
            passed += x[end].pass;
        ranks += passed * ((double)(i + end + 1) / 2); /* the mid-rank of i+1 … end */
        n_pass += passed;
    }
    double n_other = (double)n - n_pass;
    return n_pass > 0 && n_other > 0 ? (ranks - n_pass * (n_pass + 1) / 2) / (n_pass * n_other) : NAN;
}

static void fill_bin(const report_sure *x, size_t n, report_bin *b)
{
    double sum = 0;
    *b = (report_bin){ .low = x[0].confidence, .high = x[n - 1].confidence, .n = n };
    for (size_t i = 0; i < n; i++) {
        sum += x[i].confidence;
        b->n_pass += x[i].pass;
    }
    stat_interval i = stat_clopper_pearson(b->n_pass, n, 0.95);
    b->confidence = sum / (double)n;
    b->rate = (double)b->n_pass / (double)n;
    b->rate_low = i.low;
    b->rate_high = i.high;
}

/* x is sorted, which no order of equal confidences can be told from. */
static status set_auroc_interval(const report_sure *x, size_t n, report_arm *out, error *err)
{
    if (!isfinite(out->auroc) || n > REPORT_AUROC_MAX)
        return OK;
    double *confidence = mem_array(n, sizeof *confidence);
    bool *correct = mem_array(n, sizeof *correct);
    bool ok = confidence && correct;
    for (size_t i = 0; ok && i < n; i++) {
        confidence[i] = x[i].confidence;
        correct[i] = x[i].pass;
    }
    if (ok) {
        stat_interval i = stat_auroc_interval(confidence, correct, n, 0.95);
        out->auroc_low = i.low;
        out->auroc_high = i.high;
    }
    mem_free(confidence);
    mem_free(correct);
    return ok ? OK : report_no_memory(err);
}

status report_reliability(report_sure *x, size_t n, report_arm *out, error *err)
{
    size_t bins = n / BIN_LEAST;
    out->n_confident = n;
    out->ece = out->auroc = out->auroc_low = out->auroc_high = NAN;
    out->n_bins = 0;
    if (bins == 0)
        return OK;
    bins = bins > REPORT_BINS_MAX ? REPORT_BINS_MAX : bins;
    qsort(x, n, sizeof *x, by_confidence);
    out->auroc = auroc(x, n);
    out->ece = 0;
    for (size_t i = 0; i < bins; i++) {
        size_t from = i * n / bins, to = (i + 1) * n / bins;
        report_bin *b = &out->bins[out->n_bins++];
        fill_bin(x + from, to - from, b);
        out->ece += (double)b->n / (double)n * fabs(b->confidence - b->rate);
    }
    return set_auroc_interval(x, n, out, err);
}
