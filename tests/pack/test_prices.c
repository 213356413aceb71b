/* What products cost: only what holds on any machine, however busy it is. */
#include "lib/check.h"

#include <math.h>

#include "base/mem.h"
#include "pack/prices.h"
#include "plat/clock.h"
#include "plat/cpu.h"
#include "quant/quant.h"

static kernels k;
static pool *threads;
static uint64_t n_allocations; /* of a measurement: the last three are its buffers */

static void what_is_written_and_multiplied_has_a_price(void **state)
{
    prices p;
    (void)state;
    uint64_t start = clock_mono_us(), before = mem_count();
    assert_ok(prices_measure(&p, &k, threads, err));
    n_allocations = mem_count() - before;
    print_message("%.2f s\n", (double)(clock_mono_us() - start) / 1e6);
    for (uint32_t type = 0; type < KERNELS_TYPES; type++) {
        const quant_traits *t = quant_find(type);
        bool priced = t && t->encode && kernels_supports((int)type);
        assert_true(isfinite(p.decode[type]) && (p.decode[type] > 0) == priced);
        assert_true(isfinite(p.prefill[type]) && (p.prefill[type] > 0) == priced);
        if (!priced)
            continue;
        print_message("%-7s %7.4f ns a weight, %7.4f a weight and token of %d\n", t->name, p.decode[type],
                      p.prefill[type], PRICES_TOKENS);
        /* a thousand times around what the slowest and the fastest machine of today may take */
        assert_true(p.decode[type] > 1e-6 && p.decode[type] < 1e4);
        assert_true(p.prefill[type] < 10 * p.decode[type]);
    }
    assert_true(p.decode[QUANT_Q8_0] < 20 * p.decode[QUANT_F32]);
    assert_true(p.decode[QUANT_Q4_0] < 20 * p.decode[QUANT_F32]);
}

static void no_memory_is_said(void **state)
{
    prices p;
    (void)state;
    for (uint64_t i = n_allocations - 2; i <= n_allocations; i++) {
        mem_fail_at(i);
        assert_int_equal(prices_measure(&p, &k, threads, NULL), E_NOMEM);
    }
    mem_fail_at(0);
}

int main(void)
{
    unsigned features;
    if (cpu_choose(NULL, &features, NULL) || pool_open(&threads, 2, NULL))
        return 1;
    kernels_init(&k, features);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_and_multiplied_has_a_price),
        cmocka_unit_test(no_memory_is_said),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_close(&threads);
    return rc;
}
