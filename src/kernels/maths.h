/* maths.h: our own elementary functions, so that no result depends on a C library (docs/NUMERICS.md, "Functions").
 *
 * Pure, any thread. The float ones are the definition that every level of the kernels reproduces bit for bit; the
 * double ones serve constants and rope tables, which are computed once, in scalar code, the same on every machine. */
#ifndef KERNELS_MATHS_H
#define KERNELS_MATHS_H

#include <stdint.h>

float kernels_expf(float x);  /* +0 below -80; at most exp(88) */
float kernels_tanhf(float x);
float kernels_siluf(float x);
float kernels_geluf(float x); /* the tanh form */
float kernels_gelu_erff(float x); /* the exact form, x times the normal distribution function */

/* |x| <= 2^30, absolute error below 1e-15 + 1e-16 |x| 2^-20. */
void kernels_sincos(double x, double *sine, double *cosine);
double kernels_exp(double x);              /* relative error below 1e-15; 0 below -700, inf above 709 */
double kernels_log(double x);              /* x > 0 and normal */
double kernels_pow(double x, double power); /* exp(power * log(x)), x > 0 */

#endif
