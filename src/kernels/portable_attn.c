/* Attention over pages of keys and values in portable C: docs/NUMERICS.md, "Attention". */
#include <math.h>
#include <string.h>

#include "kernels/levels_int.h"
#include "kernels/maths.h"
#include "quant/half.h"

/* The page as values of its type. K: [position / 16][d][position % 16]; V after it: [position][d]. */
static size_t key_at(size_t head_dim, int at, size_t d)
{
    return ((size_t)at / 16 * head_dim + d) * 16 + (size_t)at % 16;
}

static size_t value_at(size_t head_dim, int at, size_t d)
{
    return ((size_t)KERNELS_PAGE + (size_t)at) * head_dim + d;
}

static uint16_t to_f16(float x)
{
    x = x < 65504.0f ? x : 65504.0f;
    x = x > -65504.0f ? x : -65504.0f;
    return half_from_f32(x);
}

static void store_f16(void *page, size_t head_dim, int at, const float *key, const float *value)
{
    uint16_t *p = page;
    for (size_t d = 0; d < head_dim; d++) {
        p[key_at(head_dim, at, d)] = to_f16(key[d]);
        p[value_at(head_dim, at, d)] = to_f16(value[d]);
    }
}

static void store_f32(void *page, size_t head_dim, int at, const float *key, const float *value)
{
    float *p = page;
    for (size_t d = 0; d < head_dim; d++) {
        p[key_at(head_dim, at, d)] = key[d];
        p[value_at(head_dim, at, d)] = fabsf(value[d]) < 0x1p-30f ? 0.0f : value[d];
    }
}

static float load(enum kernels_kv kv, const void *page, size_t i)
{
    return kv == KV_F32 ? ((const float *)page)[i] : half_to_f32(((const uint16_t *)page)[i]);
}

/* One query over positions first..last, all of one span. */
static void attend_range(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, const float *q,
                         int32_t first, int32_t last, float *state)
{
    size_t head_dim = a->head_dim;
    float p[KERNELS_SPAN], lane[16] = { 0 }, m = -INFINITY;
    for (int32_t i = first; i <= last; i++) {
        const void *page = pages[i / KERNELS_PAGE];
        float acc = 0.0f;
        for (size_t d = 0; d < head_dim; d++)
            acc = fmaf(q[d], load(kv, page, key_at(head_dim, i % KERNELS_PAGE, d)), acc);
        float s = acc * a->scale;
        if (a->softcap != 0.0f)
            s = a->softcap * kernels_tanhf(s * (1.0f / a->softcap));
        p[i % KERNELS_SPAN] = s;
        m = s > m ? s : m;
    }
    float *o = state + KERNELS_STATE_HEADER;
    memset(o, 0, head_dim * sizeof *o);
    for (int32_t i = first; i <= last; i++) {
        float e = kernels_expf(p[i % KERNELS_SPAN] - m);
        lane[i % 16] += e;
        for (size_t d = 0; d < head_dim; d++)
            o[d] = fmaf(e, load(kv, pages[i / KERNELS_PAGE], value_at(head_dim, i % KERNELS_PAGE, d)), o[d]);
    }
    state[0] = m;
    state[1] = tree16(lane);
}

static void attend(enum kernels_kv kv, const kernels_attn *a, const void *const *pages, int32_t span,
                   const kernels_query *queries, size_t n_queries)
{
    for (size_t i = 0; i < n_queries; i++) {
        const kernels_query *q = &queries[i];
        int32_t begin = span * KERNELS_SPAN, end = begin + KERNELS_SPAN - 1;
        int32_t first = q->first > begin ? q->first : begin, last = q->last < end ? q->last : end;
        memset(q->state, 0, KERNELS_STATE_HEADER * sizeof *q->state);
        if (first <= last)
            attend_range(kv, a, pages, q->q, first, last, q->state);
        else
            memset(q->state + KERNELS_STATE_HEADER, 0, a->head_dim * sizeof *q->state);
    }
}

static void attend_f16(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend(KV_F16, a, pages, span, queries, n_queries);
}

static void attend_f32(const kernels_attn *a, const void *const *pages, int32_t span, const kernels_query *queries,
                       size_t n_queries)
{
    attend(KV_F32, a, pages, span, queries, n_queries);
}

static void attend_merge(float *into, const float *next, size_t head_dim)
{
    if (next[1] == 0.0f)
        return;
    if (into[1] == 0.0f) {
        memcpy(into, next, (KERNELS_STATE_HEADER + head_dim) * sizeof *into);
        return;
    }
    float m = into[0] > next[0] ? into[0] : next[0];
    float a = kernels_expf(into[0] - m), b = kernels_expf(next[0] - m);
    into[0] = m;
    into[1] = fmaf(next[1], b, into[1] * a);
    for (size_t d = KERNELS_STATE_HEADER; d < KERNELS_STATE_HEADER + head_dim; d++)
        into[d] = fmaf(next[d], b, into[d] * a);
}

static void attend_finish(const float *state, size_t head_dim, float *out)
{
    float inverse = state[1] == 0.0f ? 0.0f : 1.0f / state[1];
    for (size_t d = 0; d < head_dim; d++)
        out[d] = state[KERNELS_STATE_HEADER + d] * inverse;
}

void kernels_portable_attn(kernels *k)
{
    k->kv_store[KV_F16] = store_f16;
    k->kv_store[KV_F32] = store_f32;
    k->attend[KV_F16] = attend_f16;
    k->attend[KV_F32] = attend_f32;
    k->attend_merge = attend_merge;
    k->attend_finish = attend_finish;
}
