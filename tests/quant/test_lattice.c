/* Lattices against decode, and searches against the reference writers' roundings. */
#include "lib/check.h"
#include "lib/random.h"

#include <math.h>
#include <string.h>

#include "quant/lattice.h"
#include "quant/quant.h"

enum { N = 256, ROUNDS = 66 };

/* Roughly normal: twelve uniform ones. */
static float normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (float)rnd(1 << 20) / (float)(1 << 20);
    return sum;
}

static const lattice *lattice_at(size_t i)
{
    const quant_traits *t = quant_at(i);
    return t ? lattice_find(t->id) : NULL;
}

enum { KINDS = 11 };

static float value(int kind, int j, float x)
{
    switch (kind) {
    case 1: return 0;
    case 2: return j == 77 ? 1e4f : x * 1e-3f; /* one outlier */
    case 3: return x * 1e-39f;                 /* denormals */
    case 4: return -0.7f;
    case 5: return x + 3;
    case 6: return j % 2 ? -x * x : x * x;     /* alternating signs */
    case 7: return -0.1f - fabsf(x);
    case 8: return x * 3e-7f;                  /* steps of the smallest f16 */
    case 9: return x * 1e5f;                   /* beyond the largest f16 */
    case 10: return j % 32 == 5 ? x : 0;
    default: return x;
    }
}

static void fill(float *x, int kind)
{
    for (int j = 0; j < N; j++)
        x[j] = value(kind, j, normal());
}

/* Every third row's weights are mostly zeros, which count as a trace of the block's mean. */
static void fill_weights(float *w, int row, uint32_t block)
{
    for (int j = 0; j < N; j++)
        w[j] = row % 3 == 2 && j % 3 ? 0 : (float)(rnd(1000) + 1) * (row % 2 ? 1e-30f : 1e3f);
    for (uint32_t from = 0; from < N; from += block) {
        double sum = 0;
        for (uint32_t j = from; j < from + block; j++)
            sum += (double)w[j];
        for (uint32_t j = from; j < from + block; j++)
            w[j] += (float)(sum / block * 1e-5);
    }
}

static double loss_of(const quant_traits *t, const float *x, const float *w, const void *block)
{
    float y[N];
    double loss = 0;
    t->decode(block, y, N);
    for (int j = 0; j < N; j++)
        loss += (double)w[j] * ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    return loss;
}

static void scales(const lattice *l, const void *block, float a[LATTICE_SUB_MAX], float b[LATTICE_SUB_MAX])
{
    for (int i = 0; i < l->block / l->sub; i++) {
        lattice_scale s = l->scale(block, i);
        a[i] = s.a;
        b[i] = s.b;
    }
}

static void values_are_those_that_decode_gives(void **state)
{
    (void)state;
    int n = 0;
    for (size_t i = 0; quant_at(i); i++) {
        const lattice *l = lattice_at(i);
        const quant_traits *t = quant_at(i);
        assert_int_equal(l != NULL, t->search != NULL);
        if (!l)
            continue;
        n++;
        assert_int_equal(l->block, t->block);
        for (int r = 0; r < ROUNDS; r++) {
            float x[N], y[N], a[LATTICE_SUB_MAX], b[LATTICE_SUB_MAX];
            unsigned char row[N * 4], again[N * 4];
            uint8_t codes[LATTICE_BLOCK_MAX], back[LATTICE_BLOCK_MAX];
            fill(x, r % KINDS);
            t->search(x, row, (size_t)l->block, NULL);
            t->decode(row, y, (size_t)l->block);
            l->get(row, codes);
            scales(l, row, a, b);
            for (int j = 0; j < l->block; j++) {
                float v = a[j / l->sub] * lattice_level(l, codes[j]) - b[j / l->sub];
                assert_true(fabsf(v - y[j]) <= 1e-6f * fabsf(y[j]));
            }
            memcpy(again, row, t->bytes);
            l->put(again, codes);
            assert_memory_equal(again, row, t->bytes);
            for (int j = 0; j < l->block; j++)
                codes[j] = (uint8_t)(rnd((uint32_t)l->n_codes));
            l->put(again, codes);
            l->get(again, back);
            assert_memory_equal(back, codes, (size_t)l->block);
        }
    }
    assert_int_equal(n, 13);
}

/* The middle of the range stays, the ends move. */
static void stretched_steps_are_longer(void **state)
{
    (void)state;
    for (size_t i = 0; quant_at(i); i++) {
        const lattice *l = lattice_at(i);
        if (!l || !l->stretch)
            continue;
        float x[N], a[LATTICE_SUB_MAX], b[LATTICE_SUB_MAX], c[LATTICE_SUB_MAX], d[LATTICE_SUB_MAX];
        unsigned char row[N * 4];
        fill(x, 5);
        quant_at(i)->search(x, row, (size_t)l->block, NULL);
        scales(l, row, a, b);
        l->stretch(row, 1.25f);
        scales(l, row, c, d);
        float middle = 0.5f * (float)(l->n_codes - 1);
        assert_true(fabsf(c[0] - 1.25f * a[0]) <= 2e-3f * fabsf(a[0]));
        if (l->low == 0 && !l->levels)
            assert_true(fabsf((c[0] - a[0]) * middle - (d[0] - b[0])) <= 2e-2f * fabsf(a[0]));
        l->stretch(row, 1e9f); /* an f16 cannot follow */
        assert_true(quant_at(i)->check(row, (size_t)l->block) == SIZE_MAX);
    }
}

/* Every integer of every sub-block can be reached, nothing else changes, and the ends are the ends. */
static void shifts_walk_through_all_integers(void **state)
{
    (void)state;
    int n = 0;
    for (size_t i = 0; quant_at(i); i++) {
        const lattice *l = lattice_at(i);
        const quant_traits *t = quant_at(i);
        if (!l || !l->shift)
            continue;
        n++;
        for (int sub = 0; sub < l->block / l->sub; sub++) {
            float x[N], a[LATTICE_SUB_MAX], b[LATTICE_SUB_MAX], c[LATTICE_SUB_MAX], d[LATTICE_SUB_MAX];
            unsigned char row[N * 4];
            fill(x, 7);
            t->search(x, row, N, NULL);
            int steps = 1;
            for (int which = 0; which <= l->mins; which++, steps = 1) {
                while (l->shift(row, sub, which == 0 ? -1 : 0, -which))
                    continue;
                for (;; steps++) {
                    scales(l, row, a, b);
                    if (!l->shift(row, sub, which == 0, which))
                        break;
                    scales(l, row, c, d);
                    for (int k = 0; k < l->block / l->sub; k++) {
                        assert_true(which == 0 && k == sub ? c[k] != a[k] : c[k] == a[k]);
                        assert_true(which == 1 && k == sub ? d[k] > b[k] : d[k] == b[k]);
                    }
                }
                assert_int_equal(steps, t->id == QUANT_Q2_K ? 16 : t->id == QUANT_Q6_K ? 256 : 64);
            }
        }
    }
    assert_int_equal(n, 6);
}

static void the_nearest_code_is_the_nearest(void **state)
{
    (void)state;
    for (size_t i = 0; quant_at(i); i++) {
        const lattice *l = lattice_at(i);
        for (int r = 0; l && r < 2000; r++) {
            float a = normal(), b = r % 3 ? 0 : normal();
            float x = normal() * 20;
            int code = lattice_nearest(l, a, b, x);
            float got = fabsf(a * lattice_level(l, code) - b - x);
            assert_in_range(code, 0, l->n_codes - 1);
            for (int c = 0; c < l->n_codes; c++)
                assert_true(got <= fabsf(a * lattice_level(l, c) - b - x) * (1 + 1e-5f) + 1e-5f);
        }
    }
}

/* Never worse than the plain rounding by weighted error, and better on ordinary rows. */
static void a_search_loses_no_more_than_a_rounding(void **state)
{
    (void)state;
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        double plain = 0, found = 0;
        for (int r = 0; t->search && r < ROUNDS; r++) {
            float x[N], w[N], ones[N];
            unsigned char one[N * 4], other[N * 4];
            fill(x, r % KINDS);
            fill_weights(w, r, t->block);
            for (int j = 0; j < N; j++)
                ones[j] = 1;
            t->encode(x, one, N, w);
            t->search(x, other, N, w);
            assert_true(loss_of(t, x, w, other) <= loss_of(t, x, w, one) * (1 + 1e-5) + 1e-60);
            t->search(x, other, N, NULL);
            t->encode(x, one, N, NULL);
            assert_true(loss_of(t, x, ones, other) <= loss_of(t, x, ones, one) * (1 + 1e-5) + 1e-60);
            if (r % KINDS == 0) {
                plain += loss_of(t, x, ones, one);
                found += loss_of(t, x, ones, other);
            }
        }
        if (t->search && t->search != t->encode)
            assert_true(found < 0.98 * plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_that_decode_gives),
        cmocka_unit_test(stretched_steps_are_longer),
        cmocka_unit_test(shifts_walk_through_all_integers),
        cmocka_unit_test(the_nearest_code_is_the_nearest),
        cmocka_unit_test(a_search_loses_no_more_than_a_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
