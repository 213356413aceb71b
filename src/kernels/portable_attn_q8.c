/* Attention over pages of eight-bit keys and values in portable C: docs/NUMERICS.md, "Eight-bit pages". */
#include <math.h>
#include <string.h>

#include "kernels/kv_q8_int.h"
#include "kernels/levels_int.h"
#include "kernels/maths.h"

/* The codes of n values, -top..top; returns their scale. */
static float quantize(const float *x, size_t n, float top, int16_t *codes)
{
    float amax = 0.0f;
    for (size_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);
        amax = a > amax ? a : amax;
    }
    if (amax < 0x1p-100f) {
        memset(codes, 0, n * sizeof *codes);
        return 0.0f;
    }
    float id = top / amax;
    for (size_t i = 0; i < n; i++) {
        float v = x[i] * id;
        v = v < top ? v : top;
        v = v > -top ? v : -top;
        codes[i] = (int16_t)((v + 0x1.8p23f) - 0x1.8p23f);
    }
    return amax / top;
}

static void store(void *page, size_t head_dim, int at, const float *key, const float *value)
{
    int8_t *keys = q8_keys(page), *values = q8_values(page, head_dim);
    int16_t codes[KERNELS_MAX_HEAD_DIM];
    for (size_t g = 0; g < q8_groups(head_dim); g++) {
        size_t d = g * Q8_GROUP, n = head_dim - d < Q8_GROUP ? head_dim - d : Q8_GROUP;
        q8_key_scales(page, head_dim)[q8_key_scale_at(head_dim, at, g)] = quantize(key + d, n, Q8_TOP, codes + d);
    }
    for (size_t d = 0; d < head_dim; d++)
        keys[q8_key_at(head_dim, at, d)] = (int8_t)codes[d];
    q8_value_scales(page, head_dim)[at] = quantize(value, head_dim, Q8_TOP, codes);
    for (size_t d = 0; d < head_dim; d++)
        values[q8_value_at(head_dim, at, d)] = (int8_t)codes[d];
}

/* q·k for a query's codes, without the query's scale. */
static float product(const int16_t *q, const void *page, size_t head_dim, int at)
{
    const int8_t *keys = q8_keys(page);
    const float *scales = q8_key_scales(page, head_dim);
    float acc = 0.0f;
    for (size_t g = 0, d = 0; g < q8_groups(head_dim); g++) {
        int32_t sum = 0;
        for (; d < head_dim && d < (g + 1) * Q8_GROUP; d++)
            sum += q[d] * keys[q8_key_at(head_dim, at, d)];
        acc = fmaf(scales[q8_key_scale_at(head_dim, at, g)], (float)sum, acc);
    }
    return acc;
}

/* Scores of positions first..last of a span, into p by position in the span; returns the largest. */
static float score(const kernels_attn *a, const void *const *pages, const float *q, int32_t first, int32_t last,
                   float *p)
{
    int16_t codes[KERNELS_MAX_HEAD_DIM];
    float m = -INFINITY, scale = quantize(q, a->head_dim, Q8_WIDE_TOP, codes) * a->scale;
    for (int32_t i = first; i <= last; i++) {
        float s = product(codes, pages[i / KERNELS_PAGE], a->head_dim, i % KERNELS_PAGE) * scale;
        if (a->softcap != 0.0f)
            s = a->softcap * kernels_tanhf(s * (1.0f / a->softcap));
        p[i % KERNELS_SPAN] = s;
        m = s > m ? s : m;
    }
    return m;
}

/* One query over positions first..last, all of one span. */
static void attend_range(const kernels_attn *a, const void *const *pages, const float *q, int32_t first, int32_t last,
                         float *state)
{
    size_t head_dim = a->head_dim;
    float p[KERNELS_SPAN], lane[16] = { 0 }, m = score(a, pages, q, first, last, p), *o = state + KERNELS_STATE_HEADER;
    int16_t weights[KERNELS_SPAN];
    int32_t sums[KERNELS_MAX_HEAD_DIM] = { 0 };
    for (int32_t i = first; i <= last; i++) {
        float e = kernels_expf(p[i % KERNELS_SPAN] - m);
        lane[i % 16] += e;
        p[i % KERNELS_SPAN] = e * q8_value_scales(pages[i / KERNELS_PAGE], head_dim)[i % KERNELS_PAGE];
    }
    int32_t from = first % KERNELS_SPAN;
    float scale = quantize(p + from, (size_t)(last - first + 1), Q8_WIDE_TOP, weights + from);
    for (int32_t i = first; i <= last; i++) {
        const int8_t *values = q8_values(pages[i / KERNELS_PAGE], head_dim);
        for (size_t d = 0; d < head_dim; d++)
            sums[d] += weights[i % KERNELS_SPAN] * values[q8_value_at(head_dim, i % KERNELS_PAGE, d)];
    }
    for (size_t d = 0; d < head_dim; d++)
        o[d] = scale * (float)sums[d];
    state[0] = m;
    state[1] = tree16(lane);
}

static void attend(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                   size_t n_queries)
{
    for (size_t i = 0; i < n_queries; i++) {
        const kernels_query *q = &queries[i];
        int32_t begin = span * KERNELS_SPAN, end = begin + KERNELS_SPAN - 1;
        int32_t first = q->first > begin ? q->first : begin, last = q->last < end ? q->last : end;
        memset(q->state, 0, (KERNELS_STATE_HEADER + a->head_dim) * sizeof *q->state);
        if (first <= last)
            attend_range(a, pages, q->q, first, last, q->state);
    }
}

void kernels_portable_attn_q8(kernels *k)
{
    k->kv_store[KV_Q8] = store;
    k->attend[KV_Q8] = attend;
}
