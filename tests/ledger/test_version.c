/* Whether somebody wrote, asked of a connection that stays open: commits of this process and of others, also after
 * other connections of this process came and went, whose closing must not take away what holds ours. */
#include "lib/check.h"
#include "lib/own_ledger.h"

#include <sys/wait.h>

#include "ledger/ledger.h"

static void write_a_run(void)
{
    ledger *l = NULL;
    char run[UUID_TEXT];
    const ledger_evidence e = { "local", "w", "1", "f16", "", false, "{}" };
    const ledger_run r = { .machine = *ledger_this_machine(), .task = "t", .provider = "p", .place = "local",
                           .model = "m", .version = "x", .isa = "avx2", .power = "mains" };
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_begin(l, &r, &e, run, err));
    ledger_close(&l);
}

static void look_and_go(ledger_mode mode)
{
    ledger *l = NULL;
    uint64_t v;
    assert_ok(ledger_open(&l, path, mode, err));
    assert_ok(ledger_version(l, &v, err));
    ledger_close(&l);
}

/* Opens and closes the ledger in a program of its own: a fork alone would take our connections along. */
static void elsewhere(void)
{
    pid_t p = fork();
    if (p == 0) {
        execl("/proc/self/exe", "test_version", path, (char *)NULL);
        _exit(1);
    }
    int how = 1;
    assert_true(p > 0 && waitpid(p, &how, 0) == p && how == 0);
}

static uint64_t version_of(ledger *l)
{
    uint64_t v = 0;
    assert_ok(ledger_version(l, &v, err));
    return v;
}

static size_t runs_of(ledger *l)
{
    ledger_runs r = { 0 };
    assert_ok(ledger_find_runs(l, NULL, &r, err));
    size_t n = r.n;
    ledger_runs_close(&r);
    return n;
}

static void every_commit_of_others_is_another_number(void **state)
{
    (void)state;
    ledger *watch = NULL;
    write_a_run();
    assert_ok(ledger_open(&watch, path, LEDGER_READ, err));
    size_t n = runs_of(watch);
    for (int i = 0; i < 6; i++) {
        uint64_t before = version_of(watch);
        assert_true(version_of(watch) == before);
        look_and_go(i % 2 ? LEDGER_READ : LEDGER_WRITE); /* writes nothing */
        assert_true(version_of(watch) == before);
        if (i < 3)
            elsewhere();
        else
            write_a_run();
        assert_true(version_of(watch) != before);
        assert_int_equal(runs_of(watch), ++n);
    }
    ledger_close(&watch);
}

/* The watcher reads nothing between two questions: whoever purges is not kept from the log. */
static void a_watcher_keeps_nobody_waiting(void **state)
{
    (void)state;
    ledger *watch = NULL, *l = NULL;
    write_a_run();
    assert_ok(ledger_open(&watch, path, LEDGER_READ, err));
    (void)version_of(watch);
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(ledger_purge_text(l, NULL, NULL, err));
    ledger_close(&l);
    ledger_close(&watch);
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        snprintf(path, sizeof path, "%s", argv[1]);
        write_a_run();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_commit_of_others_is_another_number, own_ledger_make, own_ledger_remove),
        cmocka_unit_test_setup_teardown(a_watcher_keeps_nobody_waiting, own_ledger_make, own_ledger_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
