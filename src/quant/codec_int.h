/* codec_int.h: private to src/quant: one decoder, encoder and check for each type; the contract is that of quant.h. */
#ifndef QUANT_CODEC_INT_H
#define QUANT_CODEC_INT_H

#include <stddef.h>

#define QUANT_CODEC(type)                                                                                              \
    void quant_decode_##type(const void *row, float *out, size_t n);                                                   \
    void quant_encode_##type(const float *row, void *out, size_t n, const float *weights);                             \
    size_t quant_check_##type(const void *row, size_t n);

QUANT_CODEC(f32)
QUANT_CODEC(f16)
QUANT_CODEC(bf16)
QUANT_CODEC(q4_0)
QUANT_CODEC(q4_1)
QUANT_CODEC(q5_0)
QUANT_CODEC(q5_1)
QUANT_CODEC(q8_0)
QUANT_CODEC(q2_k)
QUANT_CODEC(q3_k)
QUANT_CODEC(q4_k)
QUANT_CODEC(q5_k)
QUANT_CODEC(q6_k)
QUANT_CODEC(iq4_nl)
QUANT_CODEC(iq4_xs)
QUANT_CODEC(mxfp4)

/* encode as `search` of quant.h wants it; the K and IQ4 types' encode is that. */
#define QUANT_SEARCH(type) void quant_search_##type(const float *row, void *out, size_t n, const float *weights);

QUANT_SEARCH(q4_0)
QUANT_SEARCH(q4_1)
QUANT_SEARCH(q5_0)
QUANT_SEARCH(q5_1)
QUANT_SEARCH(q8_0)
QUANT_SEARCH(mxfp4)

#endif
