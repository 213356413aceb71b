/* confusion.c: agreement, kappa and macro-F1 of a confusion matrix. Formulas and sources: confusion.h. */
#include "stat/confusion.h"

#include <assert.h>
#include <math.h>

#include "stat/stat_int.h"

static uint64_t sum_of(const uint64_t *counts, size_t k, uint64_t *diagonal)
{
    uint64_t n = 0;
    *diagonal = 0;
    for (size_t i = 0; i < k * k; i++) {
        n += counts[i];
        *diagonal += i % (k + 1) == 0 ? counts[i] : 0;
    }
    return n;
}

/* How often label c was given by the first, and by the second. */
static double row(const uint64_t *counts, size_t k, size_t c)
{
    double sum = 0;
    for (size_t j = 0; j < k; j++)
        sum += (double)counts[c * k + j];
    return sum;
}

static double column(const uint64_t *counts, size_t k, size_t c)
{
    double sum = 0;
    for (size_t i = 0; i < k; i++)
        sum += (double)counts[i * k + c];
    return sum;
}

stat_interval stat_agreement(const uint64_t *counts, size_t k, double confidence)
{
    uint64_t right, n = sum_of(counts, k, &right);
    return stat_clopper_pearson(right, n, confidence);
}

/* pe; 1 when kappa has no value. */
static double by_chance(const uint64_t *counts, size_t k, double n)
{
    double pe = 0;
    for (size_t c = 0; c < k; c++)
        pe += row(counts, k, c) / n * (column(counts, k, c) / n);
    return n > 0 ? pe : 1;
}

stat_estimate stat_kappa(const uint64_t *counts, size_t k)
{
    uint64_t right, total = sum_of(counts, k, &right);
    double n = (double)total, pe = by_chance(counts, k, n), inner = 0, outer = 0;
    if (!(pe < 1))
        return (stat_estimate){ 0, 0 };
    double kappa = ((double)right / n - pe) / (1 - pe), rest = 1 - kappa;
    for (size_t i = 0; i < k; i++) {
        double r = row(counts, k, i) / n, c = column(counts, k, i) / n;
        double diagonal = 1 - (r + c) * rest;
        inner += (double)counts[i * k + i] / n * diagonal * diagonal;
        for (size_t j = 0; j < k; j++) {
            double both = (c + row(counts, k, j) / n) * rest;
            outer += i == j || counts[i * k + j] == 0 ? 0 : (double)counts[i * k + j] / n * both * both;
        }
    }
    double last = kappa - pe * rest, variance = (inner + outer - last * last) / ((1 - pe) * (1 - pe) * n);
    return (stat_estimate){ kappa, sqrt(fmax(0, variance)) };
}

stat_interval stat_kappa_interval(const uint64_t *counts, size_t k, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    uint64_t right, n = sum_of(counts, k, &right);
    double pe = by_chance(counts, k, (double)n);
    if (!(pe < 1))
        return (stat_interval){ -1, 1 };
    if (right == n)
        return (stat_interval){ fmax(-1, (stat_agreement(counts, k, confidence).low - pe) / (1 - pe)), 1 };
    stat_estimate e = stat_kappa(counts, k);
    double z = -stat_normal_quantile((1 - confidence) / 2);
    return (stat_interval){ fmax(-1, e.value - z * e.error), fmin(1, e.value + z * e.error) };
}

/* dF_c / dp_ij is 2 [i = j = c] / u - 2 p_cc ([i = c] + [j = c]) / u^2 with u = r_c + s_c; in counts, n times that. */
static double f1_gradient(const uint64_t *counts, size_t k, size_t of, bool diagonal, double times)
{
    double used = row(counts, k, of) + column(counts, k, of), right = (double)counts[of * k + of];
    return (diagonal ? 2 / used : 0) - 2 * right * times / (used * used);
}

stat_estimate stat_macro_f1(const uint64_t *counts, size_t k)
{
    double labels = 0, sum = 0, variance = 0;
    for (size_t c = 0; c < k; c++) {
        double used = row(counts, k, c) + column(counts, k, c);
        labels += used > 0;
        sum += used > 0 ? 2 * (double)counts[c * k + c] / used : 0;
    }
    if (labels <= 0)
        return (stat_estimate){ 0, 0 };
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < k; j++) {
            double n = (double)counts[i * k + j];
            if (n <= 0)
                continue;
            double g = i == j ? f1_gradient(counts, k, i, true, 2)
                              : f1_gradient(counts, k, i, false, 1) + f1_gradient(counts, k, j, false, 1);
            variance += n * g * g / (labels * labels);
        }
    return (stat_estimate){ sum / labels, sqrt(variance) };
}

stat_interval stat_macro_f1_interval(const uint64_t *counts, size_t k, double confidence)
{
    assert(confidence > 0 && confidence < 1);
    uint64_t right, n = sum_of(counts, k, &right);
    if (right == 0 || right == n)
        return stat_agreement(counts, k, confidence);
    return stat_logit_interval(stat_macro_f1(counts, k), confidence);
}
