/* The codecs: geometry, 16-bit floats, names, hostile bits. Comparisons with other implementations are in the .py files
 * beside this one, which use this program as a filter over standard input and output:
 *     test_codec decode TYPE N          blocks → f32, N values
 *     test_codec encode TYPE N          f32 → blocks, rows of N values
 *     test_codec encode TYPE N weights  rows of N values, each followed by its N weights */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "quant/blocks.h"
#include "quant/half.h"
#include "quant/quant.h"

static uint64_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static void every_half_round_trips(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) {
        float x = half_to_f32((uint16_t)h);
        uint16_t quiet = (h & 0x7C00) == 0x7C00 && (h & 0x3FF) ? 0x200 : 0;
        assert_int_equal(half_from_f32(x), h | quiet);
        int exponent = (int)(h >> 10 & 31);
        float magnitude = exponent ? ldexpf((float)(1024 + (h & 0x3FF)), exponent - 25) : ldexpf((float)(h & 0x3FF),
            -24);
        if (exponent < 31)
            assert_true(x == (h & 0x8000 ? -magnitude : magnitude));
        uint16_t nan_bit = (h & 0x7F80) == 0x7F80 && (h & 0x7F) ? 0x40 : 0;
        assert_int_equal(half_to_bf16(half_from_bf16((uint16_t)h)), h | nan_bit);
    }
}

/* Between two neighbours the nearer one is taken, half way the even one. */
static void rounding_is_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7C00; h++) {
        float low = half_to_f32((uint16_t)h);
        float high = h + 1 == 0x7C00 ? 65536.0f : half_to_f32((uint16_t)(h + 1));
        float middle = (low + high) / 2; /* exact in binary32 */
        assert_int_equal(half_from_f32(middle), h + (h & 1));
        assert_int_equal(half_from_f32(nextafterf(middle, 0)), h);
        assert_int_equal(half_from_f32(nextafterf(middle, INFINITY)), h + 1);
        assert_int_equal(half_from_f32(-middle), 0x8000 | (h + (h & 1)));
    }
    assert_int_equal(half_from_f32(3e38f), 0x7C00);
    assert_int_equal(half_from_f32(-1e-45f), 0x8000);
    assert_int_equal(half_to_bf16(half_float_of(0x3F808000)), 0x3F80);
    assert_int_equal(half_to_bf16(half_float_of(0x3F818000)), 0x3F82);
    assert_int_equal(half_to_bf16(half_float_of(0x7F7FFFFF)), 0x7F80);
}

static void names_and_geometry(void **state)
{
    (void)state;
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        assert_ptr_equal(quant_find(t->id), t);
        assert_ptr_equal(quant_find_name(t->name), t);
        assert_string_equal(quant_name(t->id), t->name);
        assert_int_equal(quant_row_bytes(t->id, 3 * t->block), 3 * t->bytes);
        if (t->block > 1)
            assert_int_equal(quant_row_bytes(t->id, t->block - 1), 0);
        assert_int_equal(quant_row_bytes(t->id, UINT64_MAX / t->block * t->block),
                         t->bytes > t->block ? 0 : UINT64_MAX / t->block * t->bytes);
    }
    static const uint32_t removed[] = { 4, 5, 9, 15, 31, 32, 33, 36, 37, 38, 97, 99, 133, 137, 147, 158, 202, 230,
        335 };
    for (size_t i = 0; i < ARRAY_LEN(removed); i++) {
        assert_null(quant_find(removed[i]));
        assert_string_not_equal(quant_name(removed[i]), "unknown");
    }
    assert_null(quant_find(43));
    assert_null(quant_find(UINT32_MAX));
    assert_string_equal(quant_name(43), "unknown");
    assert_non_null(strstr(quant_advice(43), "newer program"));
    assert_non_null(strstr(quant_advice(133), "ik_llama.cpp"));
    assert_non_null(strstr(quant_advice(QUANT_IQ2_XXS), "not computed with"));
    assert_null(quant_find_name("Q4_K_M"));
    assert_non_null(quant_find_name("q4_k"));
}

/* Blocks of exactly the row's size on the heap, any bits: a sanitizer sees every read and write outside. */
static void any_bits_decode_and_any_floats_encode(void **state)
{
    (void)state;
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        size_t n = 2 * (size_t)t->block, bytes = 2 * (size_t)t->bytes;
        for (int round = 0; round < 200; round++) {
            uint8_t *row = mem_alloc(bytes + 1); /* + 1: odd addresses must do */
            float *x = mem_array(n, sizeof *x);
            for (size_t k = 0; k < bytes; k++)
                row[1 + k] = round == 0 ? 0 : round == 1 ? 0xFF : (uint8_t)next_random();
            if (t->decode)
                t->decode(row + 1, x, n);
            if (t->check)
                (void)t->check(row + 1, n);
            for (size_t k = 0; k < n; k++)
                x[k] = round < 100 ? half_float_of(next_random()) : (float)(int32_t)next_random() * 1e-9f;
            if (t->encode) {
                t->encode(x, row + 1, n, NULL);
                if (round >= 100 && t->check)
                    assert_true(t->check(row + 1, n) == SIZE_MAX);
                t->encode(x, row + 1, n, x); /* weights that are negative, infinite, NaN */
            }
            mem_free(row);
            mem_free(x);
        }
    }
}

static void checks_find_the_block(void **state)
{
    (void)state;
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        if (!t->check)
            continue;
        size_t n = 5 * (size_t)t->block;
        uint8_t *row = mem_zero(5 * (size_t)t->bytes);
        assert_true(t->check(row, n) == SIZE_MAX);
        memset(row + 3 * (size_t)t->bytes, 0xFF, t->bytes);
        assert_int_equal(t->check(row, n), 3);
        mem_free(row);
    }
}

/* A row of zeros comes back as zeros. */
static void zeros_survive(void **state)
{
    (void)state;
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        if (!t->encode)
            continue;
        float x[256] = { 0 }, y[256];
        uint8_t row[256 * 4];
        t->encode(x, row, 256, NULL);
        t->decode(row, y, 256);
        for (int k = 0; k < 256; k++)
            assert_true(y[k] == 0);
    }
}

/* The bits of decode, encode and search (with weights) on fixed pseudo-random rows, the same with every compiler,
 * option and processor. Recorded when test_bits.py agreed; a better search changes the search column and the encode
 * column of the K and IQ4 types, nothing else. */
static const struct digest {
    uint32_t type, decode, encode, search;
} digests[] = {
    { 0, 0xe77fe3a3, 0xf825228b, 0 },
    { 1, 0xb44e6c72, 0xb5910eb8, 0 },
    { 30, 0xd33f633b, 0x4d26927e, 0 },
    { 2, 0x60d85730, 0x031f7586, 0x7cbb947d },
    { 3, 0x488a73db, 0xfee5fb50, 0xca8ebb4a },
    { 6, 0x31cf5f10, 0xac01cc51, 0x090fd30c },
    { 7, 0x884b88d0, 0x75d163bb, 0x7d77bd7b },
    { 8, 0x5aa6fcf2, 0xf63b2eb0, 0xeb0d4bd8 },
    { 10, 0x04a13a02, 0x15bf0003, 0xc28ff856 },
    { 11, 0x6cd36be7, 0xac841993, 0x384d4c76 },
    { 12, 0xd758cc9c, 0xf9eaebb1, 0xcf0c9d1e },
    { 13, 0x316968f6, 0x185a8855, 0xb5552f79 },
    { 14, 0xcc59223b, 0x300267b5, 0x1632429f },
    { 20, 0xdc2fcb1b, 0x53c2eee4, 0x42130521 },
    { 23, 0xe128b56d, 0xa2055c77, 0x7e25a2d7 },
    { 39, 0x6411f7da, 0x5a2f77c3, 0x70b7cbad },
};

static uint32_t digest_of(const void *bytes, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)bytes)[i]) * 16777619u;
    return h;
}

static struct digest make_digest(const quant_traits *t)
{
    enum { N = 2048 };
    static float x[N];
    static uint8_t row[N * 4];
    static float w[N];
    struct digest d = { t->id, 0, 0, 0 };
    size_t bytes = (size_t)quant_row_bytes(t->id, N);
    random_state = t->id + 1;
    for (size_t i = 0; i < N; i++) {
        float u = 0; /* a bell: sums of integers, exact */
        for (int k = 0; k < 4; k++)
            u += (float)((int)(next_random() >> 16) - 32768);
        x[i] = u * 0x1p-20f;
        w[i] = (float)(1 + i % 7);
    }
    if (t->search) {
        t->search(x, row, N, w);
        d.search = digest_of(row, bytes);
    }
    t->encode(x, row, N, NULL);
    d.encode = digest_of(row, bytes);
    for (size_t i = 0; i < bytes; i += t->bytes)
        do { /* any block with finite scales: the sign of a NaN is the processor's own */
            for (size_t k = 0; k < t->bytes; k++)
                row[i + k] = (uint8_t)next_random();
        } while (t->check(row + i, t->block) != SIZE_MAX);
    t->decode(row, x, N);
    d.decode = digest_of(x, sizeof x);
    return d;
}

static void the_same_bits_everywhere(void **state)
{
    (void)state;
    size_t n = 0, differ = 0;
    for (size_t i = 0; quant_at(i); i++) {
        if (!quant_at(i)->encode)
            continue;
        struct digest d = make_digest(quant_at(i));
        if (n >= ARRAY_LEN(digests) || memcmp(&d, &digests[n], sizeof d) != 0) {
            print_message("    { %u, 0x%08x, 0x%08x, 0x%08x }, other bits than recorded\n", d.type, d.decode, d.encode,
                          d.search);
            differ++;
        }
        n++;
    }
    assert_int_equal(differ, 0);
    assert_int_equal(n, ARRAY_LEN(digests));
}

static int filter(int argc, char **argv)
{
    const quant_traits *t = quant_find_name(argv[2]);
    size_t n = argc > 3 ? (size_t)strtoull(argv[3], NULL, 10) : 0;
    bool decode = strcmp(argv[1], "decode") == 0, weighted = argc > 4;
    if (!t || n == 0 || n > 1u << 28 || n % t->block)
        return 2;
    size_t bytes = (size_t)quant_row_bytes(t->id, n);
    float *x = mem_array(2 * n, sizeof *x);
    uint8_t *row = mem_alloc(bytes);
    if (decode) {
        while (fread(row, 1, bytes, stdin) == bytes) {
            t->decode(row, x, n);
            fwrite(x, 4, n, stdout);
        }
    } else {
        while (fread(x, 4, weighted ? 2 * n : n, stdin) == (weighted ? 2 * n : n)) {
            t->encode(x, row, n, weighted ? x + n : NULL);
            fwrite(row, 1, bytes, stdout);
        }
    }
    mem_free(x);
    mem_free(row);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 2)
        return filter(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_round_trips),
        cmocka_unit_test(rounding_is_to_nearest_even),
        cmocka_unit_test(names_and_geometry),
        cmocka_unit_test(any_bits_decode_and_any_floats_encode),
        cmocka_unit_test(checks_find_the_block),
        cmocka_unit_test(zeros_survive),
        cmocka_unit_test(the_same_bits_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
