/* Elementary functions of docs/NUMERICS.md, "Functions". Everything here is scalar IEEE arithmetic in a fixed order;
 * fma is the only function of libm used, because it is exact everywhere. */
#include "kernels/maths.h"

#include <math.h>
#include <string.h>

/* ---- f32 ---- */

static float power_of_two(int n) /* -126 <= n <= 127 */
{
    uint32_t u = (uint32_t)(n + 127) << 23;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

float kernels_expf(float x)
{
    if (x < -80.0f)
        return 0.0f;
    float t = x < 88.0f ? x : 88.0f;
    float n = t * 0x1.715476p+0f;
    n = (n + 0x1.8p23f) - 0x1.8p23f; /* rint: |n| is far below 2^22 */
    float r = fmaf(-n, 0x1.62e43p-1f, t);
    r = fmaf(-n, -0x1.05c61p-29f, r);
    float p = fmaf(0x1.6a2314p-10f, r, 0x1.123a8ep-7f);
    p = fmaf(p, r, 0x1.5558f6p-5f);
    p = fmaf(p, r, 0x1.555490p-3f);
    p = fmaf(p, r, 0x1.fffffcp-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return p * power_of_two((int)n);
}

float kernels_siluf(float x)
{
    return x / (1.0f + kernels_expf(-x));
}

float kernels_geluf(float x)
{
    float z = x * fmaf(x * x, 0x1.2444f2p-4f, 0x1.988454p+0f);
    return x / (1.0f + kernels_expf(-z));
}

/* The upper tail of the normal distribution at a is exp(-a * p(a)) / 2; p is smooth, and a polynomial of degree 9 fits
 * it (minimax over [0, 6.5] of the error of x * tail; its leading coefficient is positive: the tail vanishes). */
float kernels_gelu_erff(float x)
{
    float a = fabsf(x), p = fmaf(0x1.2ce640p-26f, a, -0x1.236312p-21f);
    p = fmaf(p, a, 0x1.df6740p-18f);
    p = fmaf(p, a, -0x1.aa72b6p-15f);
    p = fmaf(p, a, 0x1.89a772p-13f);
    p = fmaf(p, a, 0x1.739212p-17f);
    p = fmaf(p, a, -0x1.3c649ep-8f);
    p = fmaf(p, a, 0x1.29d7cep-5f);
    p = fmaf(p, a, 0x1.45f1bcp-2f);
    p = fmaf(p, a, 0x1.988460p-1f);
    float tail = 0.5f * kernels_expf(-(a * p));
    return fmaf(-a, tail, x > 0.0f ? x : 0.0f);
}

float kernels_tanhf(float x)
{
    float a = fabsf(x);
    if (a < 0.625f) {
        float z = x * x;
        float q = fmaf(-0x1.75e1a8p-8f, z, 0x1.522692p-6f);
        q = fmaf(q, z, -0x1.b83c58p-5f);
        q = fmaf(q, z, 0x1.110726p-3f);
        q = fmaf(q, z, -0x1.555532p-2f);
        return fmaf(x * z, q, x);
    }
    float y = 1.0f - 2.0f / (kernels_expf(2.0f * a) + 1.0f);
    return copysignf(y, x);
}

/* ---- f64 ---- */

#define LN2_HI 0x1.62e42fefa39efp-1
#define LN2_LO 0x1.abc9e3b39803fp-56
#define ROUND 0x1.8p52 /* adding and subtracting it rounds |x| < 2^51 to nearest even */

/* Taylor series to the first term below 2^-54 on |r| <= pi/4; Horner, one fma a term. */
static double sine_part(double r)
{
    double z = r * r;
    double p = -1.0 / 1307674368000.0;
    p = fma(p, z, 1.0 / 6227020800.0);
    p = fma(p, z, -1.0 / 39916800.0);
    p = fma(p, z, 1.0 / 362880.0);
    p = fma(p, z, -1.0 / 5040.0);
    p = fma(p, z, 1.0 / 120.0);
    p = fma(p, z, -1.0 / 6.0);
    return fma(r * z, p, r);
}

static double cosine_part(double r)
{
    double z = r * r;
    double p = 1.0 / 20922789888000.0;
    p = fma(p, z, -1.0 / 87178291200.0);
    p = fma(p, z, 1.0 / 479001600.0);
    p = fma(p, z, -1.0 / 3628800.0);
    p = fma(p, z, 1.0 / 40320.0);
    p = fma(p, z, -1.0 / 720.0);
    p = fma(p, z, 1.0 / 24.0);
    p = fma(p, z, -0.5);
    return fma(p, z, 1.0);
}

void kernels_sincos(double x, double *sine, double *cosine)
{
    /* x - n * pi/2: the first step is exact (both are multiples of 2^-52 and the difference is below 1), the second
     * brings the 53 bits of pi/2 that follow. */
    double n = (x * 0x1.45f306dc9c883p-1 + ROUND) - ROUND;
    double r = fma(-n, 0x1.921fb54442d18p+0, x);
    r = fma(-n, 0x1.1a62633145c07p-54, r);
    double s = sine_part(r), c = cosine_part(r);
    switch ((int64_t)n & 3) {
    case 0: *sine = s, *cosine = c; break;
    case 1: *sine = c, *cosine = -s; break;
    case 2: *sine = -s, *cosine = -c; break;
    default: *sine = -c, *cosine = s; break;
    }
}

double kernels_exp(double x)
{
    if (x < -700.0)
        return 0.0;
    if (!(x <= 709.0))
        return x > 709.0 ? (double)INFINITY : x;
    static const double inverse_factorial[] = {
        1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880,
        1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0,
    };
    double n = (x * 0x1.71547652b82fep+0 + ROUND) - ROUND;
    double r = fma(-n, LN2_HI, x);
    r = fma(-n, LN2_LO, r);
    double p = inverse_factorial[13];
    for (int i = 12; i >= 0; i--)
        p = fma(p, r, inverse_factorial[i]);
    uint64_t u = (uint64_t)((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &u, 8);
    return p * scale;
}

double kernels_log(double x)
{
    uint64_t u;
    memcpy(&u, &x, 8);
    int e = (int)(u >> 52 & 0x7FF) - 1023;
    u = (u & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000;
    double m;
    memcpy(&m, &u, 8);
    if (m > 0x1.6a09e667f3bcdp+0) { /* sqrt(2): m in [1/sqrt(2), sqrt(2)] */
        m *= 0.5;
        e++;
    }
    /* log m = 2 atanh(f) = 2 f (1 + f^2/3 + f^4/5 + ...), |f| < 0.172 */
    double f = (m - 1.0) / (m + 1.0), z = f * f;
    double p = 1.0 / 23;
    for (int i = 21; i >= 3; i -= 2)
        p = fma(p, z, 1.0 / i);
    double log_m = fma(2.0 * f * z, p, 2.0 * f);
    return fma((double)e, LN2_HI, fma((double)e, LN2_LO, log_m));
}

double kernels_pow(double x, double power)
{
    return kernels_exp(power * kernels_log(x));
}
