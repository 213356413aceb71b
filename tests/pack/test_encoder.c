/* Rows encoded by an encoder are those that the type's own functions make; blocks of columns are each what they would
 * be alone; losses against loops in double. */
#include "pack/small.h"

#include <math.h>

#include "pack/encoder.h"
#include "pack/feedback.h"
#include "quant/lattice.h"
#include "quant/quant.h"

enum { ROWS = 24, SEEN = 1500, N = 512 };

static small_tools one, three;

/* Moments of rows that lean on their neighbours, in blocks of any width: the sums of moments.h ask for no more. */
static void moments_of_leaning(moments *m, size_t n, size_t block)
{
    size_t n_blocks = (n + block - 1) / block;
    *m = (moments){ .n = n, .block = block };
    for (int set = 0; set < MOMENTS_SETS; set++) {
        float *rows = small_leaning(SEEN, n);
        m->gram[set] = mem_array(n_blocks * block, block * sizeof(float));
        assert_ok(moments_add(m, set, &three.t, rows, SEEN, err));
        mem_free(rows);
    }
    moments_finish(m);
}

static encoder *encoder_of(const matrix_tools *t, const moments *m, bool feeding)
{
    encoder *e = NULL;
    assert_ok(encoder_open(&e, t, m, feeding, 0.01f, err));
    return e;
}

static unsigned char *encoded(const encoder *e, encoder_way way, const quant_traits *t, const float *w, size_t n)
{
    unsigned char *out = mem_array(ROWS, (size_t)quant_row_bytes(t->id, n));
    assert_ok(encoder_rows(e, way, t->id, w, ROWS, out, err));
    return out;
}

static void expect_bytes(const unsigned char *want, unsigned char *got, const quant_traits *t, size_t n,
                         const char *what)
{
    if (memcmp(want, got, ROWS * (size_t)quant_row_bytes(t->id, n)))
        fail_msg("%s, %s: other bytes", t->name, what);
    mem_free(got);
}

/* By the type's own functions, row by row. */
static unsigned char *by_hand(const quant_traits *t, bool search, const float *importances, const float *w, size_t n)
{
    size_t bytes = (size_t)quant_row_bytes(t->id, n);
    unsigned char *out = mem_array(ROWS, bytes);
    for (size_t r = 0; r < ROWS; r++) {
        if (search && t->search)
            t->search(w + r * n, out + r * bytes, n, importances);
        else
            t->encode(w + r * n, out + r * bytes, n, NULL);
    }
    return out;
}

static bool is_written(const quant_traits *t)
{
    return t->encode && t->decode && N % t->block == 0;
}

static void ways_without_moments(void **state)
{
    (void)state;
    float *w = small_noise((size_t)ROWS * N), *importances = small_noise(N);
    for (size_t i = 0; i < N; i++)
        importances[i] *= importances[i];
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        if (!is_written(t))
            continue;
        for (int weighted = 0; weighted < 2; weighted++) {
            const float *by = weighted ? importances : NULL;
            encoder *a = NULL, *b = NULL;
            assert_ok(encoder_open_simple(&a, &three.t, by, N, err));
            assert_ok(encoder_open_simple(&b, &one.t, by, N, err));
            assert_ptr_equal(encoder_importances(a), by);
            assert_true(encoder_trace(a) == N);
            unsigned char *plain = by_hand(t, false, by, w, N), *search = by_hand(t, true, by, w, N);
            expect_bytes(plain, encoded(a, ENCODER_PLAIN, t, w, N), t, N, "plain");
            expect_bytes(search, encoded(a, ENCODER_SEARCH, t, w, N), t, N, "search");
            expect_bytes(search, encoded(a, ENCODER_FEEDBACK, t, w, N), t, N, "no feedback");
            expect_bytes(search, encoded(b, ENCODER_SEARCH, t, w, N), t, N, "one thread");
            mem_free(plain);
            mem_free(search);
            encoder_close(&a);
            encoder_close(&b);
        }
    }
    mem_free(w);
    mem_free(importances);
}

/* What feedback makes, or what stands in for it. */
static unsigned char *fed_by_hand(const quant_traits *t, const moments *m, const float *importances, const float *w)
{
    size_t at, width;
    feedback *f = NULL;
    if (!lattice_find(t->id) || t->bytes >= t->block)
        return by_hand(t, true, importances, w, m->n);
    unsigned char *out = mem_array(ROWS, (size_t)quant_row_bytes(t->id, m->n));
    assert_ok(feedback_open(&f, &one.t, moments_block(m, MOMENTS_SEEN, 0, &at, &width), m->n, 0.01f, err));
    assert_ok(feedback_encode(f, t->id, w, ROWS, out, err));
    feedback_close(&f);
    return out;
}

static void ways_with_moments(void **state)
{
    (void)state;
    float *w = small_noise((size_t)ROWS * N), diagonal[N];
    moments m;
    size_t at, width;
    moments_of_leaning(&m, N, N);
    const float *gram = moments_block(&m, MOMENTS_SEEN, 0, &at, &width);
    for (size_t i = 0; i < N; i++)
        diagonal[i] = gram[i * N + i];
    encoder *fed = encoder_of(&three.t, &m, true), *not_fed = encoder_of(&three.t, &m, false);
    assert_memory_equal(encoder_importances(fed), diagonal, sizeof diagonal);
    for (size_t i = 0; quant_at(i); i++) {
        const quant_traits *t = quant_at(i);
        if (!is_written(t))
            continue;
        unsigned char *plain = by_hand(t, false, NULL, w, N), *search = by_hand(t, true, diagonal, w, N);
        unsigned char *fed_back = fed_by_hand(t, &m, diagonal, w);
        expect_bytes(plain, encoded(fed, ENCODER_PLAIN, t, w, N), t, N, "plain");
        expect_bytes(search, encoded(fed, ENCODER_SEARCH, t, w, N), t, N, "search");
        expect_bytes(search, encoded(not_fed, ENCODER_FEEDBACK, t, w, N), t, N, "search for feedback");
        expect_bytes(fed_back, encoded(fed, ENCODER_FEEDBACK, t, w, N), t, N, "feedback");
        if (t->id == QUANT_Q8_0)
            assert_memory_equal(search, fed_back, ROWS * (size_t)quant_row_bytes(t->id, N));
        mem_free(plain);
        mem_free(search);
        mem_free(fed_back);
    }
    encoder_close(&fed);
    encoder_close(&not_fed);
    moments_close(&m);
    mem_free(w);
}

/* ---- blocks of columns ---- */

/* Block b of m, as moments of their own. */
static moments alone(const moments *m, size_t b, size_t *at)
{
    moments one_block = { .n = 0 };
    for (int set = 0; set < MOMENTS_SETS; set++) {
        size_t width;
        const float *gram = moments_block(m, set, b, at, &width);
        if (!gram)
            break;
        one_block.n = one_block.block = width;
        one_block.gram[set] = mem_array(width * width, sizeof *gram);
        memcpy(one_block.gram[set], gram, width * width * sizeof *gram);
    }
    return one_block;
}

static void check_block(const moments *block, size_t at, const quant_traits *t, const float *w, size_t n,
                        const unsigned char *whole, encoder_way way)
{
    size_t bytes = (size_t)quant_row_bytes(t->id, n), width_bytes = (size_t)quant_row_bytes(t->id, block->n);
    float *part = mem_array(ROWS, block->n * sizeof *part);
    encoder *e = encoder_of(&one.t, block, true);
    for (size_t r = 0; r < ROWS; r++)
        memcpy(part + r * block->n, w + r * n + at, block->n * sizeof *part);
    unsigned char *out = encoded(e, way, t, part, block->n);
    for (size_t r = 0; r < ROWS; r++)
        if (memcmp(out + r * width_bytes, whole + r * bytes + (size_t)quant_row_bytes(t->id, at), width_bytes))
            fail_msg("%s %s: row %zu of the block from column %zu", t->name, encoder_way_names[way], r, at);
    encoder_close(&e);
    mem_free(part);
    mem_free(out);
}

static void blocks_are_encoded_alone(void **state)
{
    (void)state;
    const struct {
        uint32_t type;
        size_t n, block;
    } cases[] = { { QUANT_Q4_0, 640, 256 }, { QUANT_IQ4_NL, 320, 256 }, { QUANT_Q5_1, 512, 256 },
                  { QUANT_Q4_K, 768, 512 }, { QUANT_Q2_K, 768, 512 },   { QUANT_Q6_K, 512, 256 } };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        const quant_traits *t = quant_find(cases[c].type);
        size_t n = cases[c].n, at;
        float *w = small_noise(ROWS * n);
        moments m, block;
        moments_of_leaning(&m, n, cases[c].block);
        encoder *e = encoder_of(&three.t, &m, true);
        for (encoder_way way = ENCODER_PLAIN; way < ENCODER_WAYS; way++) {
            unsigned char *whole = encoded(e, way, t, w, n);
            for (size_t b = 0; (block = alone(&m, b, &at)).n; b++) {
                check_block(&block, at, t, w, n, whole, way);
                moments_close(&block);
            }
            mem_free(whole);
        }
        encoder_close(&e);
        moments_close(&m);
        mem_free(w);
    }
}

/* ---- losses ---- */

static double loss_by_hand(const moments *m, const float *a, const float *b, size_t n_rows)
{
    size_t at, width;
    const float *h;
    double sum = 0;
    for (size_t i = 0; (h = moments_block(m, MOMENTS_HELD_OUT, i, &at, &width)); i++)
        for (size_t r = 0; r < n_rows; r++) {
            const float *x = a + r * m->n + at, *y = b ? b + r * m->n + at : NULL;
            for (size_t j = 0; j < width; j++)
                for (size_t k = 0; k < width; k++)
                    sum += ((double)x[j] - (y ? (double)y[j] : 0)) * (double)h[j * width + k] *
                           ((double)x[k] - (y ? (double)y[k] : 0));
        }
    return sum;
}

static void losses_are_sums(void **state)
{
    (void)state;
    const size_t sizes[][2] = { { 64, 64 }, { 320, 256 }, { 640, 256 } };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i][0], at, width;
        float *a = small_noise(ROWS * n), *b = small_noise(ROWS * n);
        moments m;
        moments_of_leaning(&m, n, sizes[i][1]);
        encoder *e = encoder_of(&three.t, &m, false), *f = encoder_of(&one.t, &m, true);
        for (int whole = 0; whole < 2; whole++) {
            double want = loss_by_hand(&m, a, whole ? NULL : b, ROWS), got, again;
            assert_ok(encoder_loss(e, a, whole ? NULL : b, ROWS, &got, err));
            assert_ok(encoder_loss(f, a, whole ? NULL : b, ROWS, &again, err));
            assert_true(fabs(got - want) < 1e-5 * want);
            assert_true(got == again);
        }
        double nothing, trace = 0;
        const float *gram;
        assert_ok(encoder_loss(e, a, a, ROWS, &nothing, err));
        assert_true(nothing == 0);
        assert_ok(encoder_loss(e, a, b, 0, &nothing, err));
        assert_true(nothing == 0);
        for (size_t k = 0; (gram = moments_block(&m, MOMENTS_HELD_OUT, k, &at, &width)); k++)
            for (size_t c = 0; c < width; c++)
                trace += (double)gram[c * width + c];
        assert_true(fabs(encoder_trace(e) - trace) < 1e-9 * trace);
        encoder_close(&e);
        encoder_close(&f);
        moments_close(&m);
        mem_free(a);
        mem_free(b);
    }
}

static double loss_of(const encoder *e, encoder_way way, const quant_traits *t, const float *w)
{
    unsigned char *out = encoded(e, way, t, w, N);
    float *q = mem_array(ROWS, N * sizeof *q);
    double loss;
    t->decode(out, q, (size_t)ROWS * N);
    assert_ok(encoder_loss(e, w, q, ROWS, &loss, err));
    mem_free(out);
    mem_free(q);
    return loss;
}

/* By tokens that neither has seen. */
static void ways_get_better(void **state)
{
    (void)state;
    static const uint32_t types[] = { QUANT_Q2_K, QUANT_Q3_K, QUANT_Q4_0, QUANT_Q4_1, QUANT_IQ4_NL, QUANT_Q4_K,
                                      QUANT_Q5_0, QUANT_Q5_1, QUANT_Q5_K, QUANT_Q6_K };
    float *w = small_noise((size_t)ROWS * N);
    moments m;
    moments_of_leaning(&m, N, N);
    encoder *e = encoder_of(&three.t, &m, true);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const quant_traits *t = quant_find(types[i]);
        double plain = loss_of(e, ENCODER_PLAIN, t, w), search = loss_of(e, ENCODER_SEARCH, t, w);
        double fed = loss_of(e, ENCODER_FEEDBACK, t, w);
        if (!(search < 1.02 * plain && fed < 0.4 * search))
            fail_msg("%s: plain %g, search %g, feedback %g", t->name, plain, search, fed);
    }
    encoder_close(&e);
    moments_close(&m);
    mem_free(w);
}

/* ---- what goes wrong ---- */

static void no_moments_are_refused(void **state)
{
    (void)state;
    moments m;
    encoder *e = NULL;
    error why;
    moments_of_leaning(&m, 64, 32);
    m.gram[MOMENTS_SEEN][32 * 32] = -1e6f; /* of the second block */
    assert_int_equal(encoder_open(&e, &three.t, &m, true, 0.01f, &why), E_RANGE);
    assert_null(e);
    assert_ok(encoder_open(&e, &three.t, &m, false, 0.01f, err));
    encoder_close(&e);
    encoder_close(&e);
    moments_close(&m);
}

/* Every allocation fails once: the same error, and nothing is left behind. */
static void memory_runs_out(void **state)
{
    (void)state;
    enum { WIDE = 96 };
    float *w = small_noise((size_t)ROWS * WIDE);
    unsigned char out[ROWS * WIDE];
    moments m;
    moments_of_leaning(&m, WIDE, 64);
    status s = E_NOMEM;
    uint64_t n;
    for (n = 1; s && n < 200; n++) {
        error why;
        double loss;
        encoder *e = NULL;
        mem_fail_at(n);
        s = encoder_open(&e, &three.t, &m, true, 0.01f, &why);
        if (!s)
            s = encoder_rows(e, ENCODER_FEEDBACK, QUANT_Q4_0, w, ROWS, out, &why);
        if (!s)
            s = encoder_loss(e, w, NULL, ROWS, &loss, &why);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM);
        encoder_close(&e);
    }
    assert_int_equal(s, OK);
    assert_true(n > 8);
    moments_close(&m);
    mem_free(w);
}

int main(void)
{
    if (!small_tools_open(&one, 1) || !small_tools_open(&three, 3))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_without_moments), cmocka_unit_test(ways_with_moments),
        cmocka_unit_test(blocks_are_encoded_alone), cmocka_unit_test(losses_are_sums),
        cmocka_unit_test(ways_get_better), cmocka_unit_test(no_moments_are_refused),
        cmocka_unit_test(memory_runs_out),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_close(&one.pool);
    pool_close(&three.pool);
    return rc;
}
