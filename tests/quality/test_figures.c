/* Figures of judged tokens: one position against the plain formula, intervals against tables and a simulation of texts
 * whose tokens hang together, windows of a text, and no memory. Whole models: test_compare.py. */
#include "lib/check.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/kernels.h"
#include "lib/random.h"
#include "plat/cpu.h"
#include "quality/figures.h"

static double uniform(void)
{
    return (rnd(1u << 30) + .5) / (1u << 30);
}

static double normal(void)
{
    return stat_normal_quantile(uniform());
}

/* n_clusters passages of n judged tokens each. */
static void make_passages(passages *p, uint32_t n_clusters, uint32_t n)
{
    int32_t ids[64] = { 0 };
    *p = (passages)PASSAGES_INIT;
    for (uint32_t c = 0; c < n_clusters; c++)
        assert_ok(passages_add(p, ids, n + 1, 1, c, err));
    assert_int_equal(p->n_judged, n_clusters * n);
}

/* ---- one position ---- */

static void plain_formula(const float *a, const float *b, size_t n, int32_t token, quality_token *out)
{
    double sum_a = 0, sum_b = 0, kl = 0;
    for (size_t i = 0; i < n; i++) {
        sum_a += exp((double)a[i]);
        sum_b += exp((double)b[i]);
    }
    for (size_t i = 0; i < n; i++)
        kl += exp((double)a[i]) / sum_a * (((double)a[i] - log(sum_a)) - ((double)b[i] - log(sum_b)));
    *out = (quality_token){ a[token] - log(sum_a), b[token] - log(sum_b), kl, false };
}

static void one_position(void **state)
{
    (void)state;
    enum { MOST = 5000 };
    static float a[MOST], b[MOST];
    kernels k;
    unsigned cpu;
    assert_ok(cpu_choose(NULL, &cpu, err));
    kernels_init(&k, cpu);
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + rnd(round % 4 ? 300 : MOST);
        double spread = round % 3 ? 3 : 12, apart = round % 2 ? .01 : 2;
        for (size_t i = 0; i < n; i++) {
            a[i] = (float)(spread * normal());
            b[i] = (float)(a[i] + apart * normal());
        }
        quality_token got, want;
        int32_t token = (int32_t)rnd((uint32_t)n);
        assert_true(quality_judge(&k, a, b, n, token, &got));
        plain_formula(a, b, n, token, &want);
        assert_true(fabs(got.kl - want.kl) < 3e-7 * (1 + want.kl));
        assert_true(fabs(got.logp - want.logp) < 3e-7 && fabs(got.logp_b - want.logp_b) < 3e-7);
        assert_true(got.same == (k.argmax(a, n) == k.argmax(b, n)));
        assert_true(quality_judge(&k, a, a, n, token, &got));
        assert_true(got.kl == 0 && got.same && got.logp == got.logp_b);
        b[rnd((uint32_t)n)] = NAN;
        assert_false(quality_judge(&k, a, b, n, token, &got));
    }
}

/* ---- means ---- */

static void two_clusters_by_hand(void **state)
{
    (void)state;
    passages p;
    quality_mean m;
    make_passages(&p, 2, 2);
    const double x[] = { 1, 2, 4, 5 }; /* sums 3 and 9 over 2 each, mean 3: gaps -3 and 3 */
    assert_ok(quality_mean_of(x, &p, &m, err));
    double wanted = sqrt(2.0 / 1 * (9 + 9)) / 4;
    assert_true(fabs(m.value - 3) < 1e-12 && fabs(m.error - sqrt(2.5 / 3)) < 1e-12);
    assert_true(fabs(m.cluster_error - wanted) < 1e-12);
    assert_true(fabs(m.high - (3 + 12.70620473617471 * wanted)) < 1e-6 && fabs(m.low + m.high - 6) < 1e-9);
    quality_mean e = quality_exp(m);
    assert_true(fabs(e.value - exp(3)) < 1e-9 && fabs(e.low - exp(m.low)) < 1e-12);
    passages_clear(&p);
    make_passages(&p, 1, 4);
    assert_ok(quality_mean_of(x, &p, &m, err));
    assert_true(m.value == 3 && isnan(m.low) && isnan(m.high) && isnan(m.cluster_error));
    m = quality_sqrt(m);
    assert_true(isnan(m.low) && isnan(m.high));
    passages_clear(&p);
}

static void student_is_the_tables(void **state)
{
    (void)state;
    static const struct {
        uint32_t clusters;
        double t;
    } rows[] = { { 4, 3.182446305 }, { 10, 2.262157163 }, { 31, 2.042272456 }, { 1001, 1.962339081 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        passages p;
        quality_mean m;
        double *x = mem_array(rows[i].clusters, sizeof *x);
        make_passages(&p, rows[i].clusters, 1);
        for (uint32_t c = 0; c < rows[i].clusters; c++)
            x[c] = normal();
        assert_ok(quality_mean_of(x, &p, &m, err));
        assert_true(fabs((m.high - m.value) / m.cluster_error - rows[i].t) < 1e-7);
        passages_clear(&p);
        mem_free(x);
    }
}

/* Windows have something in common: the interval by clusters holds the truth as often as it says, and the one that
 * takes every token for itself does not. */
static void intervals_cover(void **state)
{
    (void)state;
    enum { CLUSTERS = 12, TOKENS = 40, TEXTS = 2000 };
    static double x[CLUSTERS * TOKENS];
    passages p;
    unsigned by_clusters = 0, by_tokens = 0;
    make_passages(&p, CLUSTERS, TOKENS);
    for (int text = 0; text < TEXTS; text++) {
        quality_mean m;
        for (int c = 0; c < CLUSTERS; c++) {
            double common = .5 * normal();
            for (int i = 0; i < TOKENS; i++)
                x[c * TOKENS + i] = 1 + common + normal();
        }
        assert_ok(quality_mean_of(x, &p, &m, err));
        by_clusters += m.low <= 1 && 1 <= m.high;
        by_tokens += fabs(m.value - 1) <= 1.96 * m.error;
    }
    print_message("95 %% intervals held the truth: by clusters %.1f %%, by tokens %.1f %%\n",
                  100.0 * by_clusters / TEXTS, 100.0 * by_tokens / TEXTS);
    assert_true(by_clusters > .935 * TEXTS && by_clusters < .965 * TEXTS);
    assert_true(by_tokens < .75 * TEXTS);
    passages_clear(&p);
}

/* ---- quantiles ---- */

static void quantiles(void **state)
{
    (void)state;
    enum { N = 4000 };
    static double x[N];
    for (size_t i = 0; i < N; i++)
        x[i] = (double)i;
    quality_quantile q = quality_quantile_of(x, N, .999);
    assert_true(fabs(q.value - .999 * (N - 1)) < 1e-9 && q.low < q.value && q.value < q.high);
    assert_false(isnan(quality_quantile_of(x, 3688, .999).high));
    assert_true(isnan(quality_quantile_of(x, 3687, .999).high)); /* .999^n < .025 from 3688 on */
    q = quality_quantile_of(x, 100, .5);
    assert_true(q.value == 49.5 && q.low == 39 && q.high == 60); /* the 40th and the 61st: any table of sign tests */
    q = quality_quantile_of(x, 1, .5);
    assert_true(q.value == 0 && isnan(q.low) && isnan(q.high));
    assert_true(isnan(quality_quantile_of(x, 0, .5).value));
}

static void quantile_intervals_cover(void **state)
{
    (void)state;
    enum { N = 60, SAMPLES = 3000 };
    double x[N];
    unsigned held = 0;
    for (int s = 0; s < SAMPLES; s++) {
        for (int i = 0; i < N; i++) { /* sorted uniform values, made by insertion */
            double v = uniform();
            int at = i;
            for (; at > 0 && x[at - 1] > v; at--)
                x[at] = x[at - 1];
            x[at] = v;
        }
        quality_quantile q = quality_quantile_of(x, N, .9);
        held += (isnan(q.low) || q.low <= .9) && (isnan(q.high) || q.high >= .9);
    }
    print_message("intervals of a quantile held it: %.1f %%\n", 100.0 * held / SAMPLES);
    assert_true(held >= .945 * SAMPLES); /* order statistics never hold it less often than they say */
}

/* ---- all of it, and no memory ---- */

static void sums_up(void **state)
{
    (void)state;
    passages p;
    quality_tokens t;
    quality_figures f;
    make_passages(&p, 6, 10);
    assert_ok(quality_tokens_open(&t, p.n_judged, true, err));
    for (size_t i = 0; i < t.n; i++) {
        t.logp[i] = -1 - uniform();
        t.logp_b[i] = t.logp[i] - .25;
        t.kl[i] = .01;
        t.same[i] = 1;
    }
    assert_ok(quality_sum_up(&t, &p, &f, err));
    assert_true(fabs(f.log_ratio.value - .25) < 1e-12 && fabs(f.ratio.value - exp(.25)) < 1e-12);
    assert_true(fabs(f.ratio.low - f.ratio.high) < 1e-9); /* the same everywhere: nothing is unsure */
    assert_true(fabs(f.perplexity_b.value / f.perplexity_a.value - exp(.25)) < 1e-12);
    assert_true(f.same_top.value == 1 && f.same_top.low > .9 && f.same_top.low < 1 && f.same_top.high > 1 - 1e-12);
    assert_true(f.kl_max == .01 && fabs(f.kl.value - .01) < 1e-12);
    js *o = quality_figures_js(&f);
    double value;
    assert_true(js_double(js_get(js_get(o, "ratio"), "value"), &value) && value == f.ratio.value);
    js_free(o);
    for (uint64_t i = 1; i < 4; i++) {
        error err = { 0 };
        mem_fail_at(i);
        assert_int_equal(quality_sum_up(&t, &p, &f, &err), E_NOMEM);
        assert_true(err.text[0]);
        mem_fail_at(i);
        quality_tokens none;
        assert_int_equal(quality_tokens_open(&none, 10, true, &err), E_NOMEM);
        assert_null(none.logp);
    }
    mem_fail_at(0);
    quality_tokens_clear(&t);
    passages_clear(&p);
}

static void nothing_to_judge(void **state)
{
    (void)state;
    passages p = PASSAGES_INIT;
    error err;
    const int32_t ids[] = { 1, 2, 3 };
    assert_int_equal(passages_add(&p, ids, 3, 0, 0, &err), E_RANGE);
    assert_int_equal(passages_add(&p, ids, 3, 3, 0, &err), E_RANGE);
    for (uint64_t i = 1; i < 3; i++) {
        mem_fail_at(i);
        assert_int_equal(passages_add(&p, ids, 3, 1, 0, &err), E_NOMEM);
        assert_int_equal(p.n_judged + p.n + p.tokens.n, 0);
    }
    mem_fail_at(0);
    assert_int_equal(passages_add(&p, ids, 3, 2, 1, &err), E_RANGE); /* no cluster 0 has come */
    assert_int_equal(passages_add(&p, ids, 3, 2, 0, &err), OK);
    assert_true(p.n_clusters == 1 && p.n_judged == 1 && p.longest == 3);
    passages_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_position),    cmocka_unit_test(two_clusters_by_hand),
        cmocka_unit_test(intervals_cover), cmocka_unit_test(student_is_the_tables),
        cmocka_unit_test(quantiles),       cmocka_unit_test(quantile_intervals_cover),
        cmocka_unit_test(sums_up),         cmocka_unit_test(nothing_to_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
