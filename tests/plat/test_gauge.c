/* The gauge on simulated machines: calm, shared with busy neighbours, crowded, changing; and the pool under it. */
#include "lib/check.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "plat/gauge.h"
#include "plat/pool.h"

/* Seconds and stalls of a pass with a choice. */
typedef struct machine {
    double spinning, sleeping, one; /* seconds */
    double stall_share;             /* of the threads' time, when there are several */
} machine;

static double pass(const machine *m, gauge *g)
{
    gauge_choice c = gauge_next(g);
    double seconds = c.threads == 1 ? m->one : c.spins > 1000 ? m->spinning : m->sleeping;
    gauge_note(g, 1, seconds, c.threads == 1 ? 0.0 : m->stall_share * seconds * c.threads);
    return seconds;
}

static double passes(const machine *m, gauge *g, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += pass(m, g);
    return sum;
}

static const machine calm = { 0.005, 0.0055, 0.009, 0.02 };
static const machine shared = { 0.030, 0.011, 0.011, 0.4 };
static const machine crowded = { 0.050, 0.040, 0.011, 0.6 };

static void nobody_stalls_nothing_is_tried(void **state)
{
    (void)state;
    gauge g;
    gauge_init(&g, 2, 2);
    double seconds = passes(&calm, &g, 1000);
    assert_true(seconds < 1000 * calm.spinning * 1.0001);
    assert_int_equal(gauge_next(&g).threads, 2);
}

/* After a short search at most 10 % above the best choice, and back at full speed when the neighbours are gone. */
static void neighbours_come_and_go(void **state)
{
    (void)state;
    gauge g;
    gauge_init(&g, 2, 2);
    passes(&shared, &g, 30);
    assert_true(passes(&shared, &g, 1000) < 1000 * 0.011 * 1.1);
    passes(&crowded, &g, 600);
    assert_true(passes(&crowded, &g, 1000) < 1000 * crowded.one * 1.1);
    passes(&calm, &g, 1200);
    assert_true(passes(&calm, &g, 500) < 500 * calm.spinning * 1.01);
}

static void choices_fit_the_machine(void **state)
{
    (void)state;
    static const struct {
        int threads, processors, first_threads, first_spins, n;
    } cases[] = { { 1, 2, 1, 0, 1 }, { 2, 2, 2, 2000, 3 }, { 4, 2, 2, 2000, 3 }, { 4, 1, 1, 0, 1 },
                  { 8, 0, 8, 2000, 3 } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        gauge g;
        gauge_init(&g, cases[i].threads, cases[i].processors);
        assert_int_equal(gauge_next(&g).threads, cases[i].first_threads);
        assert_int_equal(gauge_next(&g).spins, cases[i].first_spins);
        assert_int_equal(g.n_choices, cases[i].n);
        assert_int_equal(g.choices[g.n_choices - 1].threads, 1);
        assert_true(g.n_choices <= GAUGE_CHOICES);
    }
}

typedef struct job {
    pool *p;
    int plain[8];
    atomic_int wrong;
} job;

static void work(void *arg, int index, int n)
{
    job *j = arg;
    for (int round = 1; round <= 5; round++) {
        j->plain[index] = round;
        pool_barrier(j->p);
        for (int i = 0; i < n; i++)
            if (j->plain[i] != round)
                atomic_fetch_add(&j->wrong, 1);
        pool_barrier(j->p);
    }
}

/* Jobs of all sizes in any order: barriers hold, workers that sit out a job do not run it later. */
static void the_number_of_threads_changes_between_jobs(void **state)
{
    (void)state;
    job j = { 0 };
    gauge g[3];
    assert_ok(pool_open(&j.p, 4, err));
    static const int sizes[] = { 4, 2, 1 };
    for (int i = 0; i < 3; i++)
        gauge_init(&g[i], sizes[i], 4);
    srand(7);
    for (int i = 0; i < 2000; i++)
        pool_run_as(j.p, &g[rand() % 3], work, &j);
    gauge live;
    pool_gauge(j.p, &live);
    for (int i = 0; i < 500; i++)
        pool_run_gauged(j.p, &live, 1, work, &j);
    assert_int_equal(atomic_load(&j.wrong), 0);
    pool_close(&j.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_stalls_nothing_is_tried),
        cmocka_unit_test(neighbours_come_and_go),
        cmocka_unit_test(choices_fit_the_machine),
        cmocka_unit_test(the_number_of_threads_changes_between_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
