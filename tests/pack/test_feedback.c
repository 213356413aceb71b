/* Products, factors and error feedback against plain loops in double. */
#include "lib/check.h"
#include "lib/random.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "pack/feedback.h"
#include "pack/matrix.h"
#include "plat/cpu.h"
#include "quant/lattice.h"
#include "quant/quant.h"

static kernels k;
static matrix_tools one, three;

static float normal(void)
{
    float sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (float)rnd(1 << 20) / (float)(1 << 20);
    return sum;
}

static float *noise(size_t n)
{
    float *x = mem_array(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = normal();
    return x;
}

/* Rows whose values lean on their neighbours', as activations do. */
static float *leaning(size_t rows, size_t n)
{
    float *x = noise(rows * n);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 1; j < n; j++)
            x[r * n + j] = 0.9f * x[r * n + j - 1] + 0.4f * x[r * n + j] * (j % 7 ? 1 : 4);
    return x;
}

static void products_are_sums(void **state)
{
    (void)state;
    const size_t sizes[][3] = { { 1, 1, 1 }, { 3, 17, 5 }, { 40, 300, 129 }, { 70, 256, 31 } };
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t m = sizes[s][0], n = sizes[s][1], depth = sizes[s][2];
        float *a = noise(m * depth), *b = noise(n * depth), *c = noise(m * n), *d = mem_array(m * n, sizeof *d);
        memcpy(d, c, m * n * sizeof *d);
        double *want = mem_array(m * n, sizeof *want);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                want[i * n + j] = (double)c[i * n + j];
                for (size_t x = 0; x < depth; x++)
                    want[i * n + j] -= 0.5 * (double)a[i * depth + x] * (double)b[j * depth + x];
            }
        assert_ok(matrix_multiply(&three, a, depth, m, b, depth, n, depth, -0.5f, c, n, err));
        assert_ok(matrix_multiply(&one, a, depth, m, b, depth, n, depth, -0.5f, d, n, err));
        for (size_t i = 0; i < m * n; i++)
            assert_true(fabs((double)c[i] - want[i]) < 1e-4 * (1 + sqrt((double)depth)));
        assert_memory_equal(c, d, m * n * sizeof *c);
        mem_free(a);
        mem_free(b);
        mem_free(c);
        mem_free(d);
        mem_free(want);
    }
}

static void a_factor_gives_its_matrix_back(void **state)
{
    (void)state;
    const size_t sizes[] = { 1, 7, 128, 129, 300, 640 };
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s], rows = 2 * n + 10;
        float *x = leaning(rows, n), *h = mem_array(n * n, sizeof *h), *l = mem_array(n * n, sizeof *l);
        assert_ok(matrix_gram(&three, x, n, rows, n, h, err));
        matrix_mirror(h, n);
        for (size_t i = 0; i < n; i++)
            h[i * n + i] += 1;
        memcpy(l, h, n * n * sizeof *l);
        assert_ok(matrix_cholesky(&three, l, n, err));
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j <= i; j += 1 + n / 40) {
                double sum = 0;
                for (size_t t = 0; t <= j; t++)
                    sum += (double)l[i * n + t] * (double)l[j * n + t];
                double scale = sqrt((double)h[i * n + i] * (double)h[j * n + j]);
                assert_true(fabs(sum - (double)h[i * n + j]) < 1e-4 * scale);
            }
        h[0] = -1;
        error e;
        assert_int_equal(matrix_cholesky(&three, h, n, &e), E_RANGE);
        mem_free(x);
        mem_free(h);
        mem_free(l);
    }
}

/* On inputs that it has not seen, too. */
static void feedback_loses_less_than_rounding(void **state)
{
    (void)state;
    enum { N = 512, ROWS = 96, SEEN = 4000 };
    const struct {
        uint32_t type;
        double at_most; /* of the search's loss */
    } cases[] = { { QUANT_Q4_0, 0.125 }, { QUANT_Q4_1, 0.24 },  { QUANT_Q8_0, 0.145 }, { QUANT_IQ4_NL, 0.135 },
                  { QUANT_Q2_K, 0.23 },  { QUANT_Q3_K, 0.125 }, { QUANT_Q4_K, 0.205 }, { QUANT_Q6_K, 0.14 } };
    float *seen = leaning(SEEN, N), *other = leaning(SEEN, N), *w = noise((size_t)ROWS * N);
    float *h = mem_array((size_t)N * N, sizeof *h), *held = mem_array((size_t)N * N, sizeof *held);
    float *q = mem_array((size_t)ROWS * N, sizeof *q);
    char *plain = mem_alloc((size_t)ROWS * N * 4), *fed = mem_alloc((size_t)ROWS * N * 4);
    char *alone = mem_alloc((size_t)ROWS * N * 4);
    assert_ok(matrix_gram(&three, seen, N, SEEN, N, h, err));
    matrix_mirror(h, N);
    assert_ok(matrix_gram(&three, other, N, SEEN, N, held, err));
    matrix_mirror(held, N);
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        const quant_traits *t = quant_find(cases[c].type);
        size_t bytes = (size_t)quant_row_bytes(t->id, N) * ROWS;
        feedback *f = NULL, *g = NULL;
        double search = 0, fedback = 0;
        for (size_t r = 0; r < ROWS; r++) {
            float diagonal[N];
            for (size_t j = 0; j < N; j++)
                diagonal[j] = h[j * N + j];
            t->search(w + r * N, plain + r * quant_row_bytes(t->id, N), N, diagonal);
        }
        t->decode(plain, q, (size_t)ROWS * N);
        assert_ok(feedback_loss(&three, held, N, w, q, ROWS, &search, err));
        assert_ok(feedback_open(&f, &three, h, N, 0.01f, err));
        assert_ok(feedback_encode(f, t->id, w, ROWS, fed, err));
        t->decode(fed, q, (size_t)ROWS * N);
        assert_ok(feedback_loss(&three, held, N, w, q, ROWS, &fedback, err));
        if (!(fedback < cases[c].at_most * search))
            fail_msg("%s: %g, without feedback %g", t->name, fedback, search);
        assert_ok(feedback_open(&g, &one, h, N, 0.01f, err));
        assert_ok(feedback_encode(g, t->id, w, ROWS, alone, err));
        assert_memory_equal(alone, fed, bytes);
        feedback_close(&f);
        feedback_close(&g);
    }
    mem_free(seen);
    mem_free(other);
    mem_free(w);
    mem_free(h);
    mem_free(held);
    mem_free(q);
    mem_free(plain);
    mem_free(fed);
    mem_free(alone);
}

/* Where inputs have nothing to do with each other there is nothing to make up for. */
static void without_correlation_it_is_the_search(void **state)
{
    (void)state;
    enum { N = 256 };
    float *h = mem_array((size_t)N * N, sizeof *h), *w = noise(N), ones[N];
    unsigned char a[N * 4], b[N * 4];
    for (size_t i = 0; i < N; i++) {
        h[i * N + i] = 1;
        ones[i] = 1;
    }
    feedback *f = NULL;
    assert_ok(feedback_open(&f, &one, h, N, 0, err));
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        if (!lattice_find(t->id))
            continue;
        t->search(w, a, N, ones);
        assert_ok(feedback_encode(f, t->id, w, 1, b, err));
        float x[N], y[N];
        double loss_a = 0, loss_b = 0;
        t->decode(a, x, N);
        t->decode(b, y, N);
        for (int j = 0; j < N; j++) {
            loss_a += ((double)w[j] - (double)x[j]) * ((double)w[j] - (double)x[j]);
            loss_b += ((double)w[j] - (double)y[j]) * ((double)w[j] - (double)y[j]);
        }
        assert_true(loss_b <= loss_a * (1 + 1e-5));
    }
    feedback_close(&f);
    mem_free(h);
    mem_free(w);
}

int main(void)
{
    unsigned features;
    pool *alone = NULL, *pool3 = NULL;
    error e;
    if (cpu_choose(NULL, &features, &e) || pool_open(&alone, 1, &e) || pool_open(&pool3, 3, &e))
        return 1;
    kernels_init(&k, features);
    one = (matrix_tools){ &k, alone };
    three = (matrix_tools){ &k, pool3 };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_sums),
        cmocka_unit_test(a_factor_gives_its_matrix_back),
        cmocka_unit_test(feedback_loses_less_than_rounding),
        cmocka_unit_test(without_correlation_it_is_the_search),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_close(&alone);
    pool_close(&pool3);
    return rc;
}
