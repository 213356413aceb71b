/* The nearest task: thresholds against a count by hand, the bound they promise on texts that were never seen, and what
 * is too few to show anything. */
#include "lib/check.h"
#include "lib/random.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "route/near.h"
#include "stat/stat.h"

enum { DIM = 8, OWN = 40, FOREIGN = 120 };

/* A unit vector around a direction: `spread` 0 is the direction itself. */
static void draw(size_t axis, double spread, float *out)
{
    double v[DIM], sum = 0;
    for (size_t i = 0; i < DIM; i++) {
        v[i] = (i == axis) + spread * (rnd(20001) / 1e4 - 1);
        sum += v[i] * v[i];
    }
    for (size_t i = 0; i < DIM; i++)
        out[i] = (float)(v[i] / sqrt(sum));
}

static double score(const near_task *t, const float *v)
{
    double best = -1;
    for (size_t i = 0; i < t->n; i++) {
        double sum = 0;
        for (size_t k = 0; k < DIM; k++)
            sum += (double)t->vectors[i * DIM + k] * (double)v[k];
        best = fmax(best, sum);
    }
    return best;
}

static float own[OWN * DIM], foreign[FOREIGN * DIM];

static void make(near_task tasks[2], double spread, uint64_t from, size_t n_foreign)
{
    seed = from;
    for (size_t i = 0; i < OWN; i++)
        draw(0, spread, own + i * DIM);
    for (size_t i = 0; i < n_foreign; i++)
        draw(1 + i % (DIM - 1), spread, foreign + i * DIM);
    tasks[0] = (near_task){ .name = "own", .vectors = own, .n = OWN, .recognised = true };
    tasks[1] = (near_task){ .name = "others", .vectors = foreign, .n = n_foreign };
}

static void a_threshold_is_the_last_that_holds(void **state)
{
    (void)state;
    for (uint64_t world = 1; world <= 20; world++) {
        near_task tasks[2];
        make(tasks, 0.9, world * 7919, FOREIGN);
        assert_ok(near_calibrate(tasks, 2, DIM, 0.05, err));
        assert_true(isnan(tasks[1].threshold)); /* nothing may be learnt from it */
        const near_task *t = &tasks[0];
        assert_int_equal(t->n_foreign, FOREIGN);
        uint32_t taken = 0, lower = 0;
        for (size_t i = 0; i < FOREIGN; i++) {
            taken += score(t, foreign + i * DIM) >= t->threshold;
            lower += score(t, foreign + i * DIM) >= t->threshold - 0.01;
        }
        assert_int_equal(t->n_foreign_taken, taken);
        assert_true(t->foreign_upper <= 0.05 &&
                    fabs(t->foreign_upper - stat_clopper_pearson_upper(taken, FOREIGN, 0.95)) < 1e-12);
        if (t->threshold > NEAR_LAXEST + 1e-6)
            assert_true(stat_clopper_pearson_upper(lower, FOREIGN, 0.95) > 0.05);
    }
}

/* The promise itself: of fresh texts of others, at most the level is taken, in all but about one calibration in 20. */
static void fresh_foreign_texts_keep_the_level(void **state)
{
    (void)state;
    enum { WORLDS = 60, FRESH = 2000 };
    int broken = 0;
    for (uint64_t w = 1; w <= WORLDS; w++) {
        near_task tasks[2];
        make(tasks, 0.9, w * 104729, FOREIGN);
        assert_ok(near_calibrate(tasks, 2, DIM, 0.05, err));
        int taken = 0;
        for (int i = 0; i < FRESH; i++) {
            float v[DIM];
            size_t which;
            double s;
            draw(1 + (size_t)i % (DIM - 1), 0.9, v);
            taken += near_find(tasks, 2, DIM, v, &which, &s);
        }
        broken += taken > FRESH * 0.05;
    }
    assert_true(broken <= 7); /* binomial(60, 0.05): more than 7 once in 140 */
}

static void too_little_shows_nothing(void **state)
{
    (void)state;
    near_task tasks[2];
    float v[DIM];
    size_t which;
    double s;
    make(tasks, 0.1, 1, 58); /* 1 - 0.05^(1/58) is above 0.05 */
    assert_ok(near_calibrate(tasks, 2, DIM, 0.05, err));
    draw(0, 0, v);
    assert_true(isnan(tasks[0].threshold) && !near_find(tasks, 2, DIM, v, &which, &s));
    make(tasks, 0.1, 1, 59);
    assert_ok(near_calibrate(tasks, 2, DIM, 0.05, err));
    assert_true(tasks[0].threshold < 0.99 && near_find(tasks, 2, DIM, v, &which, &s) && which == 0 && s > 0.9);
    assert_true(tasks[0].n_own_taken == OWN);
    draw(3, 0, v);
    assert_false(near_find(tasks, 2, DIM, v, &which, &s));
    assert_ok(near_calibrate(tasks, 0, DIM, 0.05, err));
    assert_false(near_find(tasks, 0, DIM, v, &which, &s));
    make(tasks, 0.1, 1, FOREIGN);
    error e;
    mem_fail_at(1);
    assert_int_equal(near_calibrate(tasks, 2, DIM, 0.05, &e), E_NOMEM);
    mem_fail_at(0);
}

/* Of two tasks that would take a text the nearer one has it. */
static void the_nearer_one_has_it(void **state)
{
    (void)state;
    float v[3 * DIM] = { 0 }, text[DIM] = { 0.8f, 0.6f };
    v[0] = 1;            /* cosine 0.8 */
    v[DIM + 1] = 1;      /* 0.6 */
    near_task tasks[2] = { { .name = "a", .vectors = v, .n = 1, .threshold = 0.5 },
                           { .name = "b", .vectors = v + DIM, .n = 1, .threshold = 0.5 } };
    size_t which = 9;
    double s;
    assert_true(near_find(tasks, 2, DIM, text, &which, &s) && which == 0 && fabs(s - 0.8) < 1e-6);
    tasks[0].threshold = 0.9;
    assert_true(near_find(tasks, 2, DIM, text, &which, &s) && which == 1 && fabs(s - 0.6) < 1e-6);
    js *o = near_to_js(tasks, 2);
    assert_int_equal(js_len(o), 2);
    assert_string_equal(js_text(js_get(js_at(o, 1), "task")), "b");
    js_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_threshold_is_the_last_that_holds), cmocka_unit_test(fresh_foreign_texts_keep_the_level),
        cmocka_unit_test(too_little_shows_nothing), cmocka_unit_test(the_nearer_one_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
