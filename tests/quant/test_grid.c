/* Grids: what every encoder gave is found again and encoded to the same floats, whatever it was stored as in between;
 * ordinary values are on no grid. */
#include "lib/check.h"
#include "lib/random.h"

#include <math.h>
#include <string.h>

#include "quant/grid.h"
#include "quant/half.h"
#include "quant/quant.h"

enum { N = 1024, ROUNDS = 12 };

static const uint32_t types[] = { QUANT_MXFP4, QUANT_Q4_0, QUANT_IQ4_NL, QUANT_Q4_1, QUANT_Q5_0,
                                  QUANT_Q5_1,  QUANT_Q8_0, QUANT_Q2_K,   QUANT_Q3_K, QUANT_Q4_K,
                                  QUANT_Q5_K,  QUANT_Q6_K, QUANT_IQ4_XS };
static const uint32_t precisions[] = { QUANT_F32, QUANT_F16, QUANT_BF16 };

/* Roughly normal: twelve uniform ones. */
static float normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (float)rnd(1 << 20) / (float)(1 << 20);
    return sum;
}

static void fill(float *x, int round)
{
    for (int j = 0; j < N; j++)
        x[j] = normal() * (round % 3 == 2 ? 40.0f : 0.02f) * (j / 32 % 7 == 5 ? 0 : 1) + (round % 4 == 3 ? 0.05f : 0);
}

static void store(uint32_t precision, float *x)
{
    const quant_traits *t = quant_find(precision);
    unsigned char row[N * 4];
    t->encode(x, row, N, NULL);
    t->decode(row, x, N);
}

static bool grid_find(uint32_t precision, const float *x, size_t n, uint32_t *type)
{
    grid_search g;
    grid_begin(&g, precision, n);
    return grid_look(&g, x, 1) && grid_found(&g, type);
}

static void what_was_encoded_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        for (size_t p = 0; p < ARRAY_LEN(precisions); p++)
            for (int r = 0; r < ROUNDS; r++) {
                const quant_traits *t = quant_find(types[i]);
                float x[N], y[N];
                unsigned char row[N * 4];
                uint32_t found = 0;
                fill(x, r);
                (r % 2 ? t->search : t->encode)(x, row, N, NULL);
                t->decode(row, x, N);
                store(precisions[p], x);
                if (!grid_find(precisions[p], x, N, &found))
                    fail_msg("%s stored as %s is not found", t->name, quant_name(precisions[p]));
                assert_true(quant_row_bytes(found, N) <= quant_row_bytes(t->id, N));
                const uint32_t both[] = { found, t->id };
                for (int k = 0; k < 2; k++) {
                    memset(row, 0xA5, sizeof row);
                    assert_true(grid_encode(both[k], precisions[p], x, N, row));
                    quant_find(both[k])->decode(row, y, N);
                    store(precisions[p], y);
                    for (int j = 0; j < N; j++)
                        assert_true(x[j] == y[j]);
                }
            }
}

/* One value that is an ulp away is seen. */
static void one_value_off_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const quant_traits *t = quant_find(types[i]);
        float x[N];
        unsigned char row[N * 4];
        fill(x, 0);
        t->encode(x, row, N, NULL);
        t->decode(row, x, N);
        assert_true(grid_encode(t->id, QUANT_F32, x, N, row));
        x[37] = nextafterf(x[37] + (x[37] == 0 ? 1e-4f : 0), 100);
        assert_false(grid_encode(t->id, QUANT_F32, x, N, row));
    }
}

static void ordinary_values_are_on_no_grid(void **state)
{
    (void)state;
    for (size_t p = 0; p < ARRAY_LEN(precisions); p++)
        for (int r = 0; r < 50; r++) {
            float x[N];
            uint32_t found;
            fill(x, r);
            store(precisions[p], x);
            assert_false(grid_find(precisions[p], x, N, &found));
            assert_false(grid_find(precisions[p], x, 256, &found));
            for (size_t i = 0; i < ARRAY_LEN(types); i++) {
                unsigned char row[N * 4];
                assert_false(grid_encode(types[i], precisions[p], x, 256, row));
            }
        }
}

/* They fit everything and say nothing. */
static void zeros_and_constants_decide_nothing(void **state)
{
    (void)state;
    float x[N];
    unsigned char row[N * 4];
    uint32_t found;
    for (int kind = 0; kind < 3; kind++) {
        for (int j = 0; j < N; j++)
            x[j] = kind == 1 ? 0.5f : kind == 2 && j % 3 ? 0.25f : 0;
        assert_false(grid_find(QUANT_F32, x, N, &found));
        assert_true(grid_encode(QUANT_Q8_0, QUANT_F32, x, N, row));
    }
    x[40] = NAN;
    assert_false(grid_find(QUANT_F32, x, N, &found));
    x[40] = INFINITY;
    assert_false(grid_find(QUANT_F32, x, N, &found));
    assert_false(grid_find(QUANT_F32, x, 33, &found));
    assert_false(grid_encode(QUANT_F16, QUANT_F32, x, N, row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_found),
        cmocka_unit_test(one_value_off_is_refused),
        cmocka_unit_test(ordinary_values_are_on_no_grid),
        cmocka_unit_test(zeros_and_constants_decide_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
