/* kv_q8_int.h: where the parts of a page of KV_Q8 lie (docs/NUMERICS.md, "Attention"), for every level. Private to
 * kernels/. */
#ifndef KERNELS_KV_Q8_INT_H
#define KERNELS_KV_Q8_INT_H

#include "kernels/kernels.h"

enum {
    Q8_TOP = 127,         /* codes of keys and values are -127..127 */
    Q8_WIDE_TOP = 16256,  /* of queries and weights: 127 * 128, two digits that eight-bit products take */
    Q8_GROUP = 32,        /* dimensions of a key that share a scale; the last group may be shorter */
    Q8_MAX_GROUPS = KERNELS_MAX_HEAD_DIM / Q8_GROUP,
};

_Static_assert((int64_t)KERNELS_SPAN * Q8_WIDE_TOP * Q8_TOP <= INT32_MAX, "weights times values of a span are exact");
_Static_assert((int64_t)Q8_GROUP * Q8_WIDE_TOP * (Q8_TOP + 128) <= INT32_MAX, "and query times keys, offset or not");

static inline size_t q8_groups(size_t head_dim)
{
    return (head_dim + Q8_GROUP - 1) / Q8_GROUP;
}

/* Key codes: [position / 16][d / 4][position % 16][d % 4]. */
static inline int8_t *q8_keys(const void *page)
{
    return (int8_t *)(uintptr_t)page;
}

static inline size_t q8_key_at(size_t head_dim, int at, size_t d)
{
    return ((size_t)at / 16 * (head_dim / 4) + d / 4) * 64 + (size_t)at % 16 * 4 + d % 4;
}

/* Key scales: f32 [position / 16][group][position % 16]. */
static inline float *q8_key_scales(const void *page, size_t head_dim)
{
    return (float *)(void *)(q8_keys(page) + KERNELS_PAGE * head_dim);
}

static inline size_t q8_key_scale_at(size_t head_dim, int at, size_t group)
{
    return ((size_t)at / 16 * q8_groups(head_dim) + group) * 16 + (size_t)at % 16;
}

/* Value codes: [position / 4][d][position % 4]. */
static inline int8_t *q8_values(const void *page, size_t head_dim)
{
    return (int8_t *)(q8_key_scales(page, head_dim) + KERNELS_PAGE * q8_groups(head_dim));
}

static inline size_t q8_value_at(size_t head_dim, int at, size_t d)
{
    return ((size_t)at / 4 * head_dim + d) * 4 + (size_t)at % 4;
}

/* Value scales: f32 [position]. */
static inline float *q8_value_scales(const void *page, size_t head_dim)
{
    return (float *)(void *)(q8_values(page, head_dim) + KERNELS_PAGE * head_dim);
}

#endif
