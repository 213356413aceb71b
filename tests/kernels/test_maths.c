/* Our functions against libm (here, in a test, libm may be used), and the kernels that contain them against each other,
 * bit for bit, over millions of floats. */
#include "kernels_test.h"

#include "base/mem.h"
#include "kernels/maths.h"

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* Largest relative error of f against the double function over every 1009th finite float of [low, high]. */
static double worst(float (*f)(float), double (*exact)(double), float low, float high, double floor)
{
    double bad = 0;
    for (uint64_t u = 0; u < 0x100000000u; u += 1009) {
        float x = float_of((uint32_t)u);
        if (!(x >= low && x <= high))
            continue;
        double e = exact(x), d = fabs((double)f(x) - e) / fmax(fabs(e), floor);
        bad = d > bad ? d : bad;
    }
    return bad;
}

static double silu_exact(double x)
{
    return x / (1 + exp(-x));
}

static double gelu_exact(double x)
{
    double z = 2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    return x / (1 + exp(-z));
}

static double gelu_erf_exact(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}

static void floats_are_accurate(void **state)
{
    (void)state;
    double e = worst(kernels_expf, exp, -80, 88, 1e-40), t = worst(kernels_tanhf, tanh, -1000, 1000, 1e-38);
    double s = worst(kernels_siluf, silu_exact, -80, 1e30f, 1e-36);
    double g = worst(kernels_geluf, gelu_exact, -5, 1e12f, 1e-36);
    double h = worst(kernels_gelu_erff, gelu_erf_exact, 0, 1e30f, 1e-36);
    double below = worst(kernels_gelu_erff, gelu_erf_exact, -3, 0, 1e-36);
    double far = worst(kernels_gelu_erff, gelu_erf_exact, -1e30f, -3, 1);
    print_message("relative error: gelu by erf %.2e above 0, %.2e from -3; beyond %.2e, absolute\n", h, below, far);
    print_message("relative error: exp %.2e, tanh %.2e, silu %.2e, gelu %.2e (f32 epsilon/2 is 6e-8)\n", e, t, s, g);
    assert_true(e < 1.0e-7);
    assert_true(t < 2.0e-7);
    assert_true(s < 2.5e-7);
    assert_true(g < 3e-6); /* z is rounded: up to 30 half-units in the exponent at -5 */
    assert_true(h < 1.1e-7);
    assert_true(below < 4e-6); /* of a value that is 0.001 of x there */
    assert_true(far < 1e-7);
    assert_true(kernels_expf(0.0f) == 1.0f && kernels_expf(-0.0f) == 1.0f);
    assert_true(kernels_expf(-80.01f) == 0.0f && kernels_expf(-INFINITY) == 0.0f);
    assert_true(kernels_expf(1000.0f) == kernels_expf(88.0f) && isfinite(kernels_expf(INFINITY)));
    assert_true(kernels_tanhf(INFINITY) == 1.0f && kernels_tanhf(-INFINITY) == -1.0f);
}

static void doubles_are_accurate(void **state)
{
    (void)state;
    double bad_sin = 0, bad_exp = 0, bad_log = 0;
    for (int i = 0; i < 500000; i++) {
        double u = ((double)test_u32() + 0.5) * 0x1p-32, x = i & 1 ? u * 131072 : u * 10, s, c;
        if (i % 16 == 0)
            x = (double)(test_below(1u << 30)) + u;
        if (i % 3 == 0)
            x = -x;
        kernels_sincos(x, &s, &c);
        bad_sin = fmax(bad_sin, fmax(fabs(s - sin(x)), fabs(c - cos(x))));
        double y = u * 1400 - 700, big = exp(u * 1400 - 700);
        bad_exp = fmax(bad_exp, fabs(kernels_exp(y) / exp(y) - 1));
        double l = log(big);
        bad_log = fmax(bad_log, fabs(kernels_log(big) - l) / fmax(fabs(l), 1e-3));
        double near = 1 + (u - 0.5) * 1e-3;
        bad_log = fmax(bad_log, fabs(kernels_log(near) / log(near) - 1));
    }
    print_message("error: sincos %.2e (absolute), exp %.2e, log %.2e (relative)\n", bad_sin, bad_exp, bad_log);
    assert_true(bad_sin < 4e-16);
    assert_true(bad_exp < 1e-15);
    assert_true(bad_log < 1e-15);
    assert_true(kernels_log(1.0) == 0.0 && kernels_exp(0.0) == 1.0);
    /* rope frequencies, as the model computes them */
    for (int i = 0; i < 64; i++)
        assert_true(fabs(kernels_pow(1e6, -2.0 * i / 128) / pow(1e6, -2.0 * i / 128) - 1) < 1e-14);
}

static void check_bits(const kernels *k, const char *name, const float *x, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], 4) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("%s: %s(%a) = %a, not %a", k->level, name, (double)x[i], (double)b[i], (double)a[i]);
}

/* Every 499th of all floats through every function on every level; infinities and NaN among them. */
static void levels_agree_on_functions(void **state)
{
    (void)state;
    enum { N = 8191 };
    kernels portable, level[TEST_LEVELS];
    kernels_init(&portable, 0);
    int n_levels = test_levels(level);
    float *x = mem_alloc(N * 4), *up = mem_alloc(N * 4), *a = mem_alloc(N * 4), *b = mem_alloc(N * 4);
    for (uint64_t u = 0; u < 0x100000000u;) {
        size_t n = 0;
        for (; n < N && u < 0x100000000u; n++, u += 499) {
            x[n] = float_of((uint32_t)u);
            up[n] = test_uniform();
        }
        for (int v = 0; v < n_levels; v++) {
            const kernels *k = &level[v];
            portable.silu(x, n, a), k->silu(x, n, b), check_bits(k, "silu", x, a, b, n);
            portable.gelu(x, n, a), k->gelu(x, n, b), check_bits(k, "gelu", x, a, b, n);
            portable.gelu_erf(x, n, a), k->gelu_erf(x, n, b), check_bits(k, "gelu_erf", x, a, b, n);
            portable.silu_mul(x, up, n, a), k->silu_mul(x, up, n, b), check_bits(k, "silu_mul", x, a, b, n);
            portable.gelu_mul(x, up, n, a), k->gelu_mul(x, up, n, b), check_bits(k, "gelu_mul", x, a, b, n);
            portable.softcap(x, 30, n, a), k->softcap(x, 30, n, b), check_bits(k, "softcap", x, a, b, n);
        }
    }
    mem_free(x), mem_free(up), mem_free(a), mem_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_are_accurate),
        cmocka_unit_test(doubles_are_accurate),
        cmocka_unit_test(levels_agree_on_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
