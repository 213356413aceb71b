/* distribution.c: normal and beta distributions, to about 1e-13. Formulas and sources: stat.h. */
#include "stat/stat_int.h"

#include <assert.h>
#include <float.h>
#include <math.h>

static const double half_log_2pi = 0.91893853320467274178;

double stat_normal_cdf(double z)
{
    return 0.5 * erfc(-z * 0.70710678118654752440);
}

/* Lower half only: a start within 5e-4 (Abramowitz and Stegun 26.2.23), then Halley steps, whose error is cubed each
 * time. The density cancels in u = (Phi(z) - p) / phi(z), so the tail keeps its relative accuracy. */
static double lower_quantile(double p)
{
    double t = sqrt(-2 * log(p));
    double z = (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))) - t;
    for (int i = 0; i < 4; i++) {
        double density = exp(-0.5 * z * z - half_log_2pi);
        if (density < DBL_MIN)
            break;
        double u = (stat_normal_cdf(z) - p) / density;
        z -= u / (1 + 0.5 * z * u);
    }
    return z;
}

double stat_normal_quantile(double p)
{
    assert(p > 0 && p < 1);
    if (p > 0.5)
        return -lower_quantile(1 - p);
    return p == 0.5 ? 0 : lower_quantile(p);
}

/* log Gamma(n+1) minus Stirling's formula. The series' first term left out is below 1e-17 from 15 on. */
static double stirling_error(double n)
{
    if (n < 15) {
        int sign; /* lgamma would write a global */
        return lgamma_r(n + 1, &sign) - (n + 0.5) * log(n) + n - half_log_2pi;
    }
    double m = 1 / (n * n);
    return (1.0 / 12 - m * (1.0 / 360 - m * (1.0 / 1260 - m * (1.0 / 1680 - m * (1.0 / 1188))))) / n;
}

/* x log(x / np) + np - x without cancellation near x = np (Loader's bd0). */
static double deviance(double x, double np)
{
    if (fabs(x - np) >= 0.1 * (x + np))
        return x * log(x / np) + np - x;
    double v = (x - np) / (x + np), s = (x - np) * v, term = 2 * x * v;
    for (int j = 1; j < 1000; j++) {
        term *= v * v;
        double next = s + term / (2 * j + 1);
        if (next == s)
            break;
        s = next;
    }
    return s;
}

/* x^a y^b / B(a, b) with y = 1 - x. */
static double beta_front(double x, double y, double a, double b)
{
    double n = a + b;
    double e = stirling_error(n) - stirling_error(a) - stirling_error(b) - deviance(a, n * x) - deviance(b, n * y);
    return exp(e) * sqrt(a * b / n) * 0.39894228040143267794; /* 1 / sqrt(2 pi) */
}

/* The continued fraction of I_x(a, b) by the modified Lentz method; converges in O(sqrt(max(a, b))) steps for
 * x <= (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m < 100000; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        double step = 1;
        for (int part = 0; part < 2; part++) {
            double coefficient = part ? odd : even;
            d = 1 + coefficient * d;
            c = 1 + coefficient / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            step = c * d;
            h *= step;
        }
        if (fabs(step - 1) < 2e-16)
            break;
    }
    return h;
}

double stat_beta(double x, double a, double b)
{
    assert(a > 0 && b > 0 && x >= 0 && x <= 1);
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double y = 1 - x, front = beta_front(x, y, a, b);
    if (x > (a + 1) / (a + b + 2))
        return 1 - front * beta_fraction(y, b, a) / b;
    return front * beta_fraction(x, a, b) / a;
}

double stat_beta_quantile(double p, double a, double b)
{
    assert(p >= 0 && p <= 1);
    if (p <= 0 || p >= 1)
        return p <= 0 ? 0 : 1;
    double low = 0, high = 1;
    for (int i = 0; i < 200; i++) {
        double mid = low + (high - low) / 2;
        if (mid <= low || mid >= high)
            break;
        if (stat_beta(mid, a, b) < p)
            low = mid;
        else
            high = mid;
    }
    return low + (high - low) / 2;
}

double stat_student_quantile(double p, double freedom)
{
    assert(p > 0 && p < 1 && freedom > 0);
    if (p > 0.5)
        return -stat_student_quantile(1 - p, freedom);
    double x = stat_beta_quantile(2 * p, freedom / 2, 0.5);
    return -sqrt(freedom * (1 - x) / x);
}

double stat_binomial_cdf(uint64_t k, uint64_t n, double p)
{
    if (k >= n)
        return 1;
    return stat_beta(1 - p, (double)(n - k), (double)k + 1);
}

stat_interval stat_logit_interval(stat_estimate e, double confidence)
{
    assert(e.value > 0 && e.value < 1);
    double z = -stat_normal_quantile((1 - confidence) / 2), centre = log(e.value / (1 - e.value));
    double half = z * e.error / (e.value * (1 - e.value));
    return (stat_interval){ 1 / (1 + exp(half - centre)), 1 / (1 + exp(-half - centre)) };
}
