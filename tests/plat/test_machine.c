/* What the machine has, against what other sources say of the same machine. */
#include "lib/check.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "plat/machine.h"
#include "plat/threads.h"

static void processors_agree_with_the_system(void **state)
{
    (void)state;
    machine_cpu c;
    machine_read_cpu(&c);
    assert_int_equal(c.online, sysconf(_SC_NPROCESSORS_ONLN));
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    assert_int_equal(c.allowed, CPU_COUNT(&set));
    assert_in_range(c.physical, 1, c.allowed);
    assert_in_range(c.threads, 1, c.physical); /* nothing is remembered: main gave this process a home of its own */
    assert_true(c.quota >= 0);
}

/* What was measured best counts, but only for the machine, cores and quota it was measured with. */
static void the_best_number_of_threads_is_remembered(void **state)
{
    (void)state;
    machine_cpu c, other;
    machine_read_cpu(&c);
    assert_int_equal(threads_recall(&c), 0);
    assert_ok(threads_remember(&c, c.allowed, err));
    assert_int_equal(threads_recall(&c), c.allowed);
    machine_read_cpu(&other);
    assert_int_equal(other.threads, c.allowed);
    other = c;
    other.allowed++;
    assert_int_equal(threads_recall(&other), 0);
    other = c;
    other.quota += 1;
    assert_int_equal(threads_recall(&other), 0);
    other = c;
    snprintf(other.name, sizeof other.name, "another");
    assert_int_equal(threads_recall(&other), 0);
    assert_ok(threads_remember(&c, 1, err));
    assert_int_equal(threads_recall(&c), 1);
    assert_ok(threads_remember(&c, c.allowed + 1, err)); /* a file from elsewhere: not believed */
    assert_int_equal(threads_recall(&c), 0);
    char path[4096];
    snprintf(path, sizeof path, "%s/threads", getenv("HEARTH_HOME"));
    static const char *const damaged[] = { "", "\n", "x", "1", "-1 2 3", "99999999999999999999 1 1 a", "1 " };
    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(damaged[i], f);
        fclose(f);
        assert_int_equal(threads_recall(&c), 0);
    }
    assert_int_equal(remove(path), 0);
}

static void affinity_is_obeyed(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &before))
            CPU_SET(i, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    machine_cpu c;
    machine_read_cpu(&c);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(c.allowed, 1);
    assert_int_equal(c.physical, 1);
    assert_int_equal(c.threads, 1);
}

static void memory_agrees_with_sysinfo(void **state)
{
    (void)state;
    machine_memory m;
    machine_read_memory(&m);
    struct sysinfo s;
    assert_int_equal(sysinfo(&s), 0);
    uint64_t total = (uint64_t)s.totalram * s.mem_unit;
    assert_in_range(m.total_bytes, total - total / 50, total + total / 50);
    assert_in_range(m.available_bytes, 1, m.total_bytes);
    assert_in_range(m.usable_bytes, 1, m.available_bytes);
    if (m.limit_bytes)
        assert_true(m.limit_bytes < m.total_bytes);
}

static void program_folder_holds_this_program(void **state)
{
    (void)state;
    char dir[4096], path[4200];
    assert_ok(machine_program_dir(dir, sizeof dir, err));
    snprintf(path, sizeof path, "%s/test_machine", dir);
    assert_int_equal(access(path, X_OK), 0);
    char system[128];
    assert_non_null(strstr(machine_system(system, sizeof system), "Linux"));
    const char *power = machine_power();
    assert_true(!strcmp(power, "mains") || !strcmp(power, "battery") || !strcmp(power, "unknown"));
}

int main(void)
{
    char home[] = "/tmp/hearth-machine-XXXXXX";
    if (!mkdtemp(home) || setenv("HEARTH_HOME", home, 1))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(processors_agree_with_the_system),
        cmocka_unit_test(the_best_number_of_threads_is_remembered),
        cmocka_unit_test(affinity_is_obeyed),
        cmocka_unit_test(memory_agrees_with_sysinfo),
        cmocka_unit_test(program_folder_holds_this_program),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(home);
    return rc;
}
