/* The compute pool: every index runs once per job, barriers hold, thousands of short jobs, oversubscription. And the
 * choice of an instruction set. */
#include "lib/check.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "plat/cpu.h"
#include "plat/pool.h"

typedef struct job {
    pool *p;
    atomic_int runs[POOL_MAX_THREADS];
    int plain[POOL_MAX_THREADS]; /* written without atomics: the pool must order it */
    int rounds;
    atomic_int wrong;
} job;

static void count(void *arg, int index, int n)
{
    job *j = arg;
    if (index < 0 || index >= n)
        atomic_fetch_add(&j->wrong, 1);
    atomic_fetch_add(&j->runs[index], 1);
    j->plain[index]++;
}

static void lockstep(void *arg, int index, int n)
{
    job *j = arg;
    for (int round = 1; round <= j->rounds; round++) {
        j->plain[index] = round;
        pool_barrier(j->p);
        for (int i = 0; i < n; i++)
            if (j->plain[i] != round)
                atomic_fetch_add(&j->wrong, 1);
        pool_barrier(j->p);
    }
}

static void every_thread_runs_every_job(void **state)
{
    (void)state;
    static const int sizes[] = { 1, 2, 3, 8 };
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        job *j = mem_zero(sizeof *j);
        int n = sizes[s], rounds = n > 2 ? 300 : 3000;
        assert_ok(pool_open(&j->p, n, err));
        assert_int_equal(pool_threads(j->p), n);
        for (int r = 1; r <= rounds; r++) {
            pool_run(j->p, count, j);
            for (int i = 0; i < n; i++)
                assert_int_equal(j->plain[i], r);
        }
        for (int i = 0; i < n; i++)
            assert_int_equal(atomic_load(&j->runs[i]), rounds);
        memset(j->plain, 0, sizeof j->plain);
        j->rounds = rounds;
        pool_run(j->p, lockstep, j);
        assert_int_equal(atomic_load(&j->wrong), 0);
        pool_close(&j->p);
        assert_null(j->p);
        pool_close(&j->p);
        mem_free(j);
    }
}

static void parts_cover_everything(void **state)
{
    (void)state;
    for (size_t items = 0; items < 40; items++)
        for (int n = 1; n < 9; n++) {
            size_t at = 0;
            for (int i = 0; i < n; i++) {
                size_t begin, end;
                pool_part(items, i, n, &begin, &end);
                assert_int_equal(begin, at);
                assert_in_range(end - begin, items / (size_t)n, items / (size_t)n + 1);
                at = end;
            }
            assert_int_equal(at, items);
        }
}

static void bad_sizes_are_refused(void **state)
{
    (void)state;
    pool *p = NULL;
    error err;
    assert_int_equal(pool_open(&p, 0, &err), E_RANGE);
    assert_int_equal(pool_open(&p, POOL_MAX_THREADS + 1, &err), E_RANGE);
    mem_fail_at(1);
    assert_int_equal(pool_open(&p, 2, &err), E_NOMEM);
    mem_fail_at(0);
    assert_null(p);
}

static void an_instruction_set_can_be_forced(void **state)
{
    (void)state;
    unsigned f = 77;
    error e;
    unsetenv("HEARTH_ISA");
    assert_ok(cpu_choose(NULL, &f, err));
    assert_int_equal(f, cpu_detect());
    assert_ok(cpu_choose("portable", &f, err));
    assert_int_equal(f, 0);
    setenv("HEARTH_ISA", "portable", 1);
    f = 77;
    assert_ok(cpu_choose("", &f, err));
    assert_int_equal(f, 0);
    setenv("HEARTH_ISA", "mmx", 1);
    f = 77;
    assert_int_equal(cpu_choose(NULL, &f, &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.text, "mmx"));
    assert_int_equal(f, 77);
    unsetenv("HEARTH_ISA");
    if (cpu_detect() & CPU_AVX512) {
        assert_ok(cpu_choose("avx2", &f, err));
        assert_int_equal(f, CPU_AVX2);
    }
    if (!(cpu_detect() & CPU_NEON))
        assert_int_equal(cpu_choose("neon", &f, &e), E_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_runs_every_job),
        cmocka_unit_test(parts_cover_everything),
        cmocka_unit_test(bad_sizes_are_refused),
        cmocka_unit_test(an_instruction_set_can_be_forced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
