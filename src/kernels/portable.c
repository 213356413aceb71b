/* The elementwise kernels, norms and quantisation in portable C: docs/NUMERICS.md line by line. */
#include <math.h>
#include <string.h>

#include "kernels/levels_int.h"
#include "kernels/maths.h"

/* Codes and scale of one group; the sum of codes is left to the caller. */
static float quantize_group(const float *x, size_t n, int8_t *codes)
{
    float amax = 0.0f;
    for (size_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        amax = a > amax ? a : amax;
    }
    if (amax < 0x1p-100f) {
        memset(codes, 0, n);
        return 0.0f;
    }
    float id = 127.0f / amax;
    for (size_t i = 0; i < n; i++) {
        float v = x[i] * id;
        v = v < 127.0f ? v : 127.0f;
        v = v > -127.0f ? v : -127.0f;
        codes[i] = (int8_t)((v + 0x1.8p23f) - 0x1.8p23f);
    }
    return amax / 127.0f;
}

static void quantize_32(const float *x, size_t cols, void *act)
{
    int8_t *codes = act;
    int32_t *sums = (int32_t *)(codes + cols);
    float *scales = (float *)(codes + cols + cols / 8);
    for (size_t b = 0; b < cols / 32; b++) {
        scales[b] = quantize_group(x + 32 * b, 32, codes + 32 * b);
        sums[b] = 0;
        for (int i = 0; i < 32; i++)
            sums[b] += codes[32 * b + (size_t)i];
    }
}

static void quantize_256(const float *x, size_t cols, void *act)
{
    int8_t *codes = act;
    int16_t *sums = (int16_t *)(void *)(codes + cols);
    float *scales = (float *)(void *)(codes + cols + cols / 8);
    for (size_t b = 0; b < cols / 256; b++)
        scales[b] = quantize_group(x + 256 * b, 256, codes + 256 * b);
    for (size_t j = 0; j < cols / 16; j++) {
        int sum = 0;
        for (int i = 0; i < 16; i++)
            sum += codes[16 * j + (size_t)i];
        sums[j] = (int16_t)sum;
    }
}

static void quantize_f32(const float *x, size_t cols, void *act)
{
    memcpy(act, x, cols * sizeof *x);
}

static float sum_of(const float *x, size_t n)
{
    float lane[16] = { 0 };
    for (size_t i = 0; i < n; i++)
        lane[i % 16] += x[i];
    return tree16(lane);
}

static float sum_of_squares(const float *x, size_t n)
{
    float lane[16] = { 0 };
    for (size_t i = 0; i < n; i++)
        lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    return tree16(lane);
}

static void rms_norm(const float *x, const float *weight, size_t n, float eps, float *out)
{
    float r = 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = weight ? (x[i] * r) * weight[i] : x[i] * r;
}

static void layer_norm(const float *x, const float *weight, const float *bias, size_t n, float eps, float *out)
{
    float mean = sum_of(x, n) / (float)n;
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] - mean;
    float r = 1.0f / sqrtf(sum_of_squares(out, n) / (float)n + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = fmaf(out[i] * r, weight[i], bias[i]);
}

static void softmax(const float *x, size_t n, float *out)
{
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    for (size_t i = 0; i < n; i++)
        out[i] = kernels_expf(x[i] - m);
    float inverse = 1.0f / sum_of(out, n);
    for (size_t i = 0; i < n; i++)
        out[i] = out[i] * inverse;
}

static void exp_from(const float *x, float from, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kernels_expf(x[i] - from);
}

static void silu(const float *x, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kernels_siluf(x[i]);
}

static void gelu(const float *x, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kernels_geluf(x[i]);
}

static void gelu_erf(const float *x, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kernels_gelu_erff(x[i]);
}

static void silu_mul(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kernels_siluf(gate[i]) * up[i];
}

static void gelu_mul(const float *gate, const float *up, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = kernels_geluf(gate[i]) * up[i];
}

static void add(const float *a, const float *b, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

static void scale(const float *x, float factor, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * factor;
}

static void axpy(const float *x, float factor, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = fmaf(factor, x[i], out[i]);
}

static void softcap(const float *x, float cap, size_t n, float *out)
{
    float inverse = 1.0f / cap;
    for (size_t i = 0; i < n; i++)
        out[i] = cap * kernels_tanhf(x[i] * inverse);
}

static size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    float m = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > m) {
            m = x[i];
            best = i;
        }
    return best;
}

static void rotate(float *a, float *b, float c, float s)
{
    float x0 = *a, x1 = *b;
    *a = fmaf(x0, c, -(x1 * s));
    *b = fmaf(x0, s, x1 * c);
}

static void rope_norm(float *x, const float *table, size_t n_rot)
{
    for (size_t i = 0; i < n_rot / 2; i++)
        rotate(x + 2 * i, x + 2 * i + 1, table[i], table[n_rot / 2 + i]);
}

static void rope_neox(float *x, const float *table, size_t n_rot)
{
    for (size_t i = 0; i < n_rot / 2; i++)
        rotate(x + i, x + n_rot / 2 + i, table[i], table[n_rot / 2 + i]);
}

void kernels_portable(kernels *k)
{
    memset(k, 0, sizeof *k);
    k->level = "portable";
    k->quantize[ACT_F32] = quantize_f32;
    k->quantize[ACT_Q8_32] = quantize_32;
    k->quantize[ACT_Q8_256] = quantize_256;
    k->rms_norm = rms_norm;
    k->layer_norm = layer_norm;
    k->softmax = softmax;
    k->exp_from = exp_from;
    k->silu_mul = silu_mul;
    k->gelu_mul = gelu_mul;
    k->silu = silu;
    k->gelu = gelu;
    k->gelu_erf = gelu_erf;
    k->add = add;
    k->scale = scale;
    k->axpy = axpy;
    k->softcap = softcap;
    k->argmax = argmax;
    k->rope_norm = rope_norm;
    k->rope_neox = rope_neox;
    kernels_portable_mul(k);
    kernels_portable_attn(k);
    kernels_portable_attn_q8(k);
    kernels_portable_feed(k);
}
