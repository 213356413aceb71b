/* The energy counters, in folders made like /sys/class/powercap: what is added up, what is not, and what a counter does
 * that turns, vanishes or may not be read. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/energy.h"

static char dir[64];

static void put(const char *zone, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, zone);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/%s", dir, zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void make_zone(const char *zone, const char *name, const char *uj, const char *range)
{
    put(zone, "name", name);
    put(zone, "energy_uj", uj);
    if (range)
        put(zone, "max_energy_range_uj", range);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/hearth-energy-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void packages_add_up_and_nothing_counts_twice(void **state)
{
    (void)state;
    make_zone("intel-rapl:0", "package-0\n", "1000000\n", "262143328850\n");
    make_zone("intel-rapl:0:0", "core\n", "900000\n", "262143328850\n");
    make_zone("intel-rapl:0:1", "dram\n", "100000\n", "262143328850\n");
    make_zone("intel-rapl:1", "package-1\n", "5000000\n", "262143328850\n");
    make_zone("intel-rapl:2", "psys\n", "0\n", "262143328850\n");
    make_zone("intel-rapl-mmio:0", "package-0\n", "77\n", "262143328850\n");
    energy_meter *m = energy_open(dir);
    assert_non_null(m);
    assert_string_equal(energy_why(m), "");
    assert_true(energy_read(m) == 0);
    put("intel-rapl:0", "energy_uj", "3500000\n");
    put("intel-rapl:0:0", "energy_uj", "9900000\n");
    put("intel-rapl:1", "energy_uj", "5250000\n");
    put("intel-rapl:2", "energy_uj", "99000000\n");
    put("intel-rapl-mmio:0", "energy_uj", "88000000\n");
    assert_true(fabs(energy_read(m) - 2.75) < 1e-12);
    assert_true(fabs(energy_read(m) - 2.75) < 1e-12); /* since the beginning, not since the last look */
    energy_close(&m);
    assert_null(m);
}

static void a_counter_turns(void **state)
{
    (void)state;
    make_zone("intel-rapl:0", "package-0\n", "9000000\n", "10000000\n");
    energy_meter *m = energy_open(dir);
    put("intel-rapl:0", "energy_uj", "500000\n");
    assert_true(fabs(energy_read(m) - 1.5) < 1e-12);
    put("intel-rapl:0", "energy_uj", "600000\n");
    assert_true(fabs(energy_read(m) - 1.6) < 1e-12);
    energy_close(&m);
}

/* Whoever says no range cannot be followed through a turn: not known is better than wrong. */
static void a_turn_without_a_range_ends_it(void **state)
{
    (void)state;
    make_zone("intel-rapl:0", "package-0\n", "9000000\n", NULL);
    energy_meter *m = energy_open(dir);
    put("intel-rapl:0", "energy_uj", "9500000\n");
    assert_true(fabs(energy_read(m) - 0.5) < 1e-12);
    put("intel-rapl:0", "energy_uj", "500000\n");
    assert_true(isnan(energy_read(m)));
    put("intel-rapl:0", "energy_uj", "9900000\n");
    assert_true(isnan(energy_read(m)));
    assert_non_null(strstr(energy_why(m), "began anew"));
    energy_close(&m);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    energy_meter *m = energy_open("/nonexistent");
    assert_true(isnan(energy_read(m)));
    assert_non_null(strstr(energy_why(m), "no energy counter"));
    energy_close(&m);
    static const char *const damaged[] = { "", "abc\n", "-5\n", "99999999999999999999999\n", "12 13\n" };
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        make_zone("intel-rapl:0", "package-0\n", damaged[i], "10000000\n");
        m = energy_open(dir);
        assert_true(isnan(energy_read(m)));
        assert_non_null(strstr(energy_why(m), "intel-rapl:0 cannot be read"));
        energy_close(&m);
    }
    make_zone("intel-rapl:0", "package-0\n", "5\n", "10000000\n");
    m = energy_open(dir);
    char path[128];
    snprintf(path, sizeof path, "%s/intel-rapl:0/energy_uj", dir);
    assert_int_equal(unlink(path), 0); /* a module that was unloaded */
    assert_true(isnan(energy_read(m)));
    energy_close(&m);
}

static void permission_is_named(void **state)
{
    (void)state;
    char path[128];
    make_zone("intel-rapl:0", "package-0\n", "5\n", "10000000\n");
    snprintf(path, sizeof path, "%s/intel-rapl:0", dir);
    assert_int_equal(chmod(dir, 0755) + chmod(path, 0755), 0);
    snprintf(path, sizeof path, "%s/intel-rapl:0/energy_uj", dir);
    assert_int_equal(chmod(path, 0), 0);
    bool root = geteuid() == 0; /* who may read everything */
    assert_int_equal(root ? seteuid(65534) : 0, 0);
    energy_meter *m = energy_open(dir);
    assert_int_equal(root ? seteuid(0) : 0, 0);
    assert_true(isnan(energy_read(m)));
    assert_non_null(strstr(energy_why(m), "permission denied"));
    energy_close(&m);
}

static void no_memory_is_no_meter(void **state)
{
    (void)state;
    mem_fail_at(1);
    energy_meter *m = energy_open(dir);
    mem_fail_at(0);
    assert_null(m);
    assert_true(isnan(energy_read(m)));
    assert_non_null(strstr(energy_why(m), "memory"));
    energy_close(&m);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packages_add_up_and_nothing_counts_twice), TEST(a_counter_turns), TEST(a_turn_without_a_range_ends_it),
        TEST(what_cannot_be_read_is_said), TEST(no_memory_is_no_meter), TEST(permission_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
