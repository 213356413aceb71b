/* One row for each type. Adding a type = a row here, its codec, and a row in the tests. */
#include "quant/codec_int.h"
#include "quant/quant.h"

#include <strings.h>

#include "base/status.h"

#define FIXED(type) quant_decode_##type, quant_encode_##type, NULL
#define BOTH(type) quant_decode_##type, quant_encode_##type, quant_search_##type
#define SEARCH(type) quant_decode_##type, quant_encode_##type, quant_encode_##type

static const quant_traits table[] = {
    { QUANT_F32, "F32", 1, 4, FIXED(f32), quant_check_f32 },
    { QUANT_F16, "F16", 1, 2, FIXED(f16), quant_check_f16 },
    { QUANT_BF16, "BF16", 1, 2, FIXED(bf16), quant_check_bf16 },
    { QUANT_Q4_0, "Q4_0", 32, 18, BOTH(q4_0), quant_check_q4_0 },
    { QUANT_Q4_1, "Q4_1", 32, 20, BOTH(q4_1), quant_check_q4_1 },
    { QUANT_Q5_0, "Q5_0", 32, 22, BOTH(q5_0), quant_check_q5_0 },
    { QUANT_Q5_1, "Q5_1", 32, 24, BOTH(q5_1), quant_check_q5_1 },
    { QUANT_Q8_0, "Q8_0", 32, 34, BOTH(q8_0), quant_check_q8_0 },
    { QUANT_Q2_K, "Q2_K", 256, 84, SEARCH(q2_k), quant_check_q2_k },
    { QUANT_Q3_K, "Q3_K", 256, 110, SEARCH(q3_k), quant_check_q3_k },
    { QUANT_Q4_K, "Q4_K", 256, 144, SEARCH(q4_k), quant_check_q4_k },
    { QUANT_Q5_K, "Q5_K", 256, 176, SEARCH(q5_k), quant_check_q5_k },
    { QUANT_Q6_K, "Q6_K", 256, 210, SEARCH(q6_k), quant_check_q6_k },
    { QUANT_IQ4_NL, "IQ4_NL", 32, 18, SEARCH(iq4_nl), quant_check_iq4_nl },
    { QUANT_IQ4_XS, "IQ4_XS", 256, 136, SEARCH(iq4_xs), quant_check_iq4_xs },
    { QUANT_MXFP4, "MXFP4", 32, 17, BOTH(mxfp4), quant_check_mxfp4 },
    /* geometry only */
    { QUANT_IQ2_XXS, "IQ2_XXS", 256, 66, NULL, NULL, NULL, NULL },
    { QUANT_IQ2_XS, "IQ2_XS", 256, 74, NULL, NULL, NULL, NULL },
    { QUANT_IQ2_S, "IQ2_S", 256, 82, NULL, NULL, NULL, NULL },
    { QUANT_IQ3_XXS, "IQ3_XXS", 256, 98, NULL, NULL, NULL, NULL },
    { QUANT_IQ3_S, "IQ3_S", 256, 110, NULL, NULL, NULL, NULL },
    { QUANT_IQ1_S, "IQ1_S", 256, 50, NULL, NULL, NULL, NULL },
    { QUANT_IQ1_M, "IQ1_M", 256, 56, NULL, NULL, NULL, NULL },
    { QUANT_TQ1_0, "TQ1_0", 256, 54, NULL, NULL, NULL, NULL },
    { QUANT_TQ2_0, "TQ2_0", 256, 66, NULL, NULL, NULL, NULL },
    { QUANT_NVFP4, "NVFP4", 64, 36, NULL, NULL, NULL, NULL },
    { QUANT_Q1_0, "Q1_0", 128, 18, NULL, NULL, NULL, NULL },
    { QUANT_Q2_0, "Q2_0", 64, 18, NULL, NULL, NULL, NULL },
    { QUANT_I8, "I8", 1, 1, NULL, NULL, NULL, NULL },
    { QUANT_I16, "I16", 1, 2, NULL, NULL, NULL, NULL },
    { QUANT_I32, "I32", 1, 4, NULL, NULL, NULL, NULL },
    { QUANT_I64, "I64", 1, 8, NULL, NULL, NULL, NULL },
    { QUANT_F64, "F64", 1, 8, NULL, NULL, NULL, NULL },
};

#define REMOVED "was removed from the format: quantise the original model again"
#define REPACKED                                                                                                       \
    "is a layout repacked for one kind of processor, removed from the format: take the plain Q4_0 or IQ4_NL file, "    \
    "engines repack it themselves"
#define ACTIVATION "is an intermediate type for activations and never stored: the file is damaged"
#define IK "exists only in ik_llama.cpp: take a file of an ordinary type (Q4_K_M, Q6_K, IQ4_XS)"
#define IK_ROWS "is a row-interleaved type of ik_llama.cpp: take the file it was repacked from"

/* Ids somebody has written into files, and that hearth refuses by name. A range is named after what it holds. */
static const struct refused {
    uint32_t first, last;
    const char *name, *advice;
} refused[] = {
    { 4, 4, "Q4_2", REMOVED },
    { 5, 5, "Q4_3", REMOVED },
    { 9, 9, "Q8_1", ACTIVATION },
    { 15, 15, "Q8_K", ACTIVATION },
    { 31, 31, "Q4_0_4_4", REPACKED },
    { 32, 32, "Q4_0_4_8", REPACKED },
    { 33, 33, "Q4_0_8_8", REPACKED },
    { 36, 36, "IQ4_NL_4_4 or I2_S", "is a removed repacked layout, or the I2_S of BitNet files made for bitnet.cpp: "
        "take "
      "a TQ1_0, TQ2_0 or Q4_0 file" },
    { 37, 37, "IQ4_NL_4_8", REPACKED },
    { 38, 38, "IQ4_NL_8_8", REPACKED },
    { 97, 97, "Q8_0_X4", IK },
    { 98, 98, "Q8_1_X4", IK },
    { 99, 99, "Q8_2_X4", IK },
    { 133, 133, "Q6_0", IK },
    { 134, 134, "IQ1_BN", IK },
    { 135, 135, "IQ2_BN", IK },
    { 137, 137, "IQ2_K", IK },
    { 138, 138, "IQ3_K", IK },
    { 139, 139, "IQ4_K", IK },
    { 140, 140, "IQ5_K", IK },
    { 141, 141, "IQ6_K", IK },
    { 144, 144, "IQ4_KS", IK },
    { 145, 145, "IQ2_KS", IK },
    { 146, 146, "IQ4_KSS", IK },
    { 152, 152, "IQ5_KS", IK },
    { 153, 153, "IQ2_KT", IK },
    { 154, 154, "IQ3_KT", IK },
    { 155, 155, "IQ4_KT", IK },
    { 156, 156, "IQ3_KS", IK },
    { 157, 157, "IQ2_KL", IK },
    { 158, 158, "IQ1_KT", IK },
    { 137, 158, "an IQ_K type", IK },
    { 202, 230, "a type *_R4 or *_R8", IK_ROWS },
    { 335, 399, "a type *_R4 to *_R16", IK_ROWS },
};

static const struct refused *find_refused(uint32_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (id >= refused[i].first && id <= refused[i].last)
            return &refused[i];
    return NULL;
}

const quant_traits *quant_find(uint32_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].id == id)
            return &table[i];
    return NULL;
}

const quant_traits *quant_find_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcasecmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

const quant_traits *quant_at(size_t i)
{
    return i < ARRAY_LEN(table) ? &table[i] : NULL;
}

const char *quant_name(uint32_t id)
{
    const quant_traits *t = quant_find(id);
    if (t)
        return t->name;
    const struct refused *r = find_refused(id);
    return r ? r->name : "unknown";
}

const char *quant_advice(uint32_t id)
{
    const quant_traits *t = quant_find(id);
    if (t)
        return t->decode ? "is supported"
                         : "can be listed but not computed with: take a file of another type (Q4_K_M, Q6_K, IQ4_XS)";
    const struct refused *r = find_refused(id);
    return r ? r->advice : "is not known: the file is damaged, or made by a newer program; take a file of an ordinary "
                           "type (Q4_K_M, Q6_K, Q8_0)";
}

uint64_t quant_row_bytes(uint32_t type, uint64_t n)
{
    const quant_traits *t = quant_find(type);
    if (!t || n % t->block)
        return 0;
    uint64_t bytes;
    return __builtin_mul_overflow(n / t->block, t->bytes, &bytes) ? 0 : bytes;
}
