/* Runs of bytes against a map with a bit for each. */
#include "lib/check.h"

#include <string.h>

#include "base/runs.h"
#include "lib/random.h"

enum { BYTES = 200, ROUNDS = 300, STEPS = 60 };

static void check(const runs *r, const bool *map)
{
    size_t sum = 0, prefix = 0, end = 0;
    for (size_t i = 0; i < BYTES; i++) {
        sum += map[i];
        prefix += map[i] && prefix == i;
        end = map[i] ? i + 1 : end;
    }
    assert_int_equal(runs_sum(r), sum);
    assert_int_equal(runs_prefix(r), prefix);
    assert_int_equal(runs_end(r), end);
    for (size_t i = 0; i < r->n; i++) {
        assert_true(r->at[i].from < r->at[i].to);
        assert_true(i == 0 || r->at[i].from > r->at[i - 1].to); /* neither touch nor overlap */
        for (uint64_t k = r->at[i].from; k < r->at[i].to; k++)
            assert_true(map[k]);
    }
}

/* The first gap, byte by byte. */
static bool find_gap(const bool *map, const bool *taken, size_t end, size_t most, run *out)
{
    size_t from = 0;
    while (from < end && (map[from] || taken[from]))
        from++;
    size_t to = from;
    while (to < end && !map[to] && !taken[to] && to - from < most)
        to++;
    *out = (run){ from, to };
    return from < end;
}

static void against_a_map(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        runs r = { 0 };
        bool map[BYTES] = { 0 };
        for (int step = 0; step < STEPS; step++) {
            uint64_t from = rnd(BYTES), to = from + rnd(12);
            to = to < BYTES ? to : BYTES;
            assert_true(runs_add(&r, from, to));
            memset(map + from, 1, to - from);
            check(&r, map);
            run taken[4], got = { 0 }, want;
            bool busy[BYTES] = { 0 };
            size_t n = rnd(4), end = 1 + rnd(BYTES), most = 1 + rnd(30);
            for (size_t i = 0; i < n; i++) {
                taken[i].from = rnd(BYTES);
                taken[i].to = taken[i].from + rnd(20);
                for (uint64_t k = taken[i].from; k < taken[i].to && k < BYTES; k++)
                    busy[k] = true;
            }
            bool found = find_gap(map, busy, end, most, &want);
            assert_int_equal(runs_gap(&r, taken, n, end, most, &got), found);
            if (found)
                assert_memory_equal(&got, &want, sizeof got);
        }
        runs_clear(&r);
    }
}

/* To an end that nobody knows. */
static void without_an_end(void **state)
{
    (void)state;
    runs r = { 0 };
    run got;
    assert_true(runs_gap(&r, NULL, 0, UINT64_MAX, 100, &got));
    assert_true(got.from == 0 && got.to == 100);
    assert_true(runs_add(&r, 0, 100));
    assert_true(runs_gap(&r, &(run){ 100, UINT64_MAX }, 1, UINT64_MAX, 100, &got) == false);
    runs_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_a_map),
        cmocka_unit_test(without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
