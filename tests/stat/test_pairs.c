/* Real pairs: 58 tasks answered by a small and a large model (the file stays outside the project; HEARTH_DATA names its
 * folder). Suites of n items are drawn from every task on which the small model is really more than 8 points worse, and
 * each rule is asked whether to switch. "Passes at least .95 of the cloud's" errs often; the others do not. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stat/stat.h"

enum { TASKS_MAX = 100, ITEMS_MAX = 20000, DRAWS = 1000 };

typedef struct suite {
    char name[64];
    size_t first, n;
} suite;

static suite suites[TASKS_MAX];
static unsigned char local_ok[ITEMS_MAX], cloud_ok[ITEMS_MAX];
static size_t n_suites, n_items;
static uint64_t seed = 1;

static size_t below(size_t n)
{
    uint64_t z = seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % n;
}

static bool read_pairs(void)
{
    char path[4096], line[256], name[64];
    const char *dir = getenv("HEARTH_DATA");
    unsigned l = 0, c = 0;
    snprintf(path, sizeof path, "%s/paired_outcomes.csv", dir && *dir ? dir : "../shared/data");
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    while (n_items < ITEMS_MAX && n_suites < TASKS_MAX && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%63[^,],%*[^,],%u,%u", name, &l, &c) != 3)
            continue;
        if (!n_suites || strcmp(suites[n_suites - 1].name, name)) {
            suites[n_suites].first = n_items;
            memcpy(suites[n_suites++].name, name, sizeof name);
        }
        suites[n_suites - 1].n++;
        local_ok[n_items] = l != 0;
        cloud_ok[n_items++] = c != 0;
    }
    fclose(f);
    return true;
}

static stat_pairs pairs_of(const suite *s, size_t draws)
{
    stat_pairs p = { 0, 0, 0 };
    for (size_t i = 0; i < (draws ? draws : s->n); i++) {
        size_t at = s->first + (draws ? below(s->n) : i);
        *(local_ok[at] == cloud_ok[at] ? &p.t : local_ok[at] ? &p.w : &p.l) += 1;
    }
    return p;
}

/* The rule of the peers needs the pass rates themselves. */
static bool naive_switches(const suite *s, size_t n)
{
    size_t local = 0, cloud = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = s->first + below(s->n);
        local += local_ok[at];
        cloud += cloud_ok[at];
    }
    return (double)local >= .95 * (double)cloud;
}

static void wrong_switches_on_real_pairs(void **state)
{
    (void)state;
    static const size_t sizes[] = { 10, 20, 50, 100 };
    double naive_at[4];
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        size_t n = sizes[k], worse = 0, total = 0, naive = 0, tango = 0, process = 0;
        for (size_t i = 0; i < n_suites; i++) {
            stat_pairs all = pairs_of(&suites[i], 0);
            if (((double)all.w - (double)all.l) / (double)suites[i].n >= -.08)
                continue;
            worse++;
            for (int d = 0; d < DRAWS; d++, total++) {
                stat_pairs p = pairs_of(&suites[i], n);
                naive += naive_switches(&suites[i], n);
                tango += stat_tango_p(p, .05) < .05;
                process += stat_eprocess(p, .05) >= log(20);
            }
        }
        naive_at[k] = (double)naive / (double)total;
        printf("n = %3zu, %zu worse tasks: wrong switches: rate rule %.1f %%, Tango %.2f %%, e-process %.2f %%\n", n,
               worse, 100 * naive_at[k], 100.0 * (double)tango / (double)total,
               100.0 * (double)process / (double)total);
        assert_true(worse >= 30);
        assert_true((double)tango <= .01 * (double)total);
        assert_true((double)process <= .01 * (double)total);
    }
    assert_true(naive_at[0] > .15 && naive_at[1] > .10);
}

int main(void)
{
    if (!read_pairs()) {
        printf("no paired_outcomes.csv (HEARTH_DATA names its folder)\n");
        return 77;
    }
    const struct CMUnitTest tests[] = { cmocka_unit_test(wrong_switches_on_real_pairs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
