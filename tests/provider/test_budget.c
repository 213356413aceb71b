/* Reservations: that no limit is passed by however many processes, that a kill never loses what was reserved, and that
 * damage is said instead of guessed at. */
#include "lib/check.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "provider/budget.h"

static const int64_t DOLLAR = 1000000000;
static const int64_t NOV_26 = INT64_C(1795690800) * 1000000; /* 2026-11-26T11:00:00Z */
static const int64_t DAY = INT64_C(86400) * 1000000;
static const budget_of nobody = { "", { NAN, NAN } };
static char dir[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/hearth-budget-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static void file_path(char *out, size_t size, const char *month)
{
    snprintf(out, size, "%s/spend-%s.log", dir, month);
}

static void spent_is(budget *b, int64_t now, double today, double month)
{
    double t, m;
    assert_ok(budget_spent(b, "cloud", now, &t, &m, err));
    if (fabs(t - today) > 1e-9 || fabs(m - month) > 1e-9)
        fail_msg("today %g, this month %g", t, m);
}

static void days_and_months(void **state)
{
    (void)state;
    budget *b;
    budget_hold first, hold;
    const budget_of cloud = { "cloud", { 3, 5 } };
    double wait;
    error e;
    assert_ok(budget_open(&b, dir, err));
    assert_ok(budget_reserve(b, &cloud, &nobody, 2 * DOLLAR, NOV_26, &first, &wait, err));
    assert_int_equal(budget_reserve(b, &cloud, &nobody, 2 * DOLLAR, NOV_26, &hold, &wait, &e), E_DENIED);
    assert_string_equal(e.text, "the budget of provider cloud is $3.0000 today: $2.0000 of it are spent or reserved, "
                                "and this request may cost up to $2.0000");
    assert_true(wait == 13 * 3600 && hold.amount == 0);
    assert_ok(budget_reserve(b, &cloud, &nobody, DOLLAR, NOV_26, &hold, &wait, err)); /* exactly what is left */
    assert_ok(budget_settle(b, &hold, DOLLAR / 4, err));
    assert_int_equal(hold.amount, 0);
    assert_ok(budget_settle(b, &hold, DOLLAR, err)); /* settled once; then nothing */
    spent_is(b, NOV_26, 2.25, 2.25);
    assert_ok(budget_reserve(b, &cloud, &nobody, 2 * DOLLAR, NOV_26 + DAY, &hold, &wait, err)); /* another day */
    assert_int_equal(budget_reserve(b, &cloud, &nobody, DOLLAR, NOV_26 + DAY, &hold, &wait, &e), E_DENIED);
    assert_non_null(strstr(e.text, "$5.0000 this month"));
    assert_true(wait == 13 * 3600 + 3 * 86400); /* November has three days more */
    spent_is(b, NOV_26 + DAY, 2, 4.25);
    assert_ok(budget_reserve(b, &cloud, &nobody, 3 * DOLLAR, NOV_26 + 6 * DAY, &hold, &wait, err)); /* December */
    assert_ok(budget_settle(b, &first, 3 * DOLLAR, err)); /* more than it was thought to be, and in November */
    spent_is(b, NOV_26 + 6 * DAY, 3, 3);
    spent_is(b, NOV_26, 3.25, 5.25);
    budget_close(&b);
    assert_null(b);
    assert_ok(budget_open(&b, dir, err)); /* read again, the same */
    spent_is(b, NOV_26, 3.25, 5.25);
    budget_close(&b);
}

static void keys_apart(void **state)
{
    (void)state;
    budget *b;
    budget_hold hold;
    const budget_of cloud = { "cloud", { 10, NAN } }, same = { "cloud", { 1, NAN } }, other = { "desk", { 1, NAN } };
    double wait;
    error e;
    assert_ok(budget_open(&b, dir, err));
    assert_ok(budget_reserve(b, &cloud, &same, DOLLAR, NOV_26, &hold, &wait, err)); /* a key may be called as that */
    assert_int_equal(budget_reserve(b, &cloud, &same, 1, NOV_26, &hold, &wait, &e), E_DENIED);
    assert_non_null(strstr(e.text, "key cloud"));
    assert_ok(budget_reserve(b, &cloud, &other, DOLLAR, NOV_26, &hold, &wait, err));
    assert_ok(budget_reserve(b, &nobody, &other, 0, NOV_26, &hold, &wait, err)); /* at another provider */
    assert_int_equal(budget_reserve(b, &nobody, &other, 1, NOV_26, &hold, &wait, &e), E_DENIED);
    spent_is(b, NOV_26, 2, 2);
    budget_close(&b);
}

/* Four processes reserve as fast as they can; each is killed in the middle of it. */
static void many_and_killed(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    const budget_of cloud = { "cloud", { 0.5, NAN } };
    pid_t child[PROCESSES];
    int told[2], how[PROCESSES];
    assert_int_equal(pipe(told), 0);
    for (int i = 0; i < PROCESSES; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            budget *b;
            budget_hold hold;
            double wait;
            error e;
            if (budget_open(&b, dir, &e) != OK)
                _exit(1);
            for (int k = 0;; k++) {
                status s = budget_reserve(b, &cloud, &nobody, DOLLAR / 1000, NOV_26, &hold, &wait, &e);
                if (s == OK && k % 2)
                    s = budget_settle(b, &hold, DOLLAR / 2000, &e);
                if ((s != OK && s != E_DENIED) || write(told[1], s ? "-" : k % 2 ? "h" : "1", 1) != 1)
                    _exit(1);
                if (s)
                    usleep(1000);
            }
        }
    }
    close(told[1]);
    usleep(400000);
    for (int i = 0; i < PROCESSES; i++) {
        kill(child[i], SIGKILL);
        waitpid(child[i], &how[i], 0);
    }
    for (int i = 0; i < PROCESSES; i++)
        assert_true(WIFSIGNALED(how[i])); /* none of them failed by itself */
    char c;
    double known = 0, today, month;
    while (read(told[0], &c, 1) == 1)
        known += c == '1' ? 0.001 : c == 'h' ? 0.0005 : 0;
    close(told[0]);
    budget *b;
    assert_ok(budget_open(&b, dir, err));
    assert_ok(budget_spent(b, "cloud", NOV_26, &today, &month, err));
    /* all that was told is there; what was reserved when the kill came may be there besides */
    assert_true(known > 0.01 && today >= known - 1e-9 && today <= known + PROCESSES * 0.001 + 1e-9);
    assert_true(today <= 0.5 + 1e-9);
    budget_close(&b);
}

static void append_bytes(const char *path, const char *bytes)
{
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs(bytes, f);
    fclose(f);
}

static void damage(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "hello\n", "reserve a 26 cloud * 1 2\n", "reserve a 0 cloud * 1\n", "reserve a 32 cloud * 1\n",
        "settle a 26 cloud * 2000000000 0\n" /* more back than was ever reserved */, "reserve a 26 cloud *\n", "\n",
        "reserve a 26 cloud * 9999999999999999999999\n", "reserve a 26 cloud * 1 \n",
    };
    const budget_of cloud = { "cloud", { 3, NAN } };
    char path[100];
    file_path(path, sizeof path, "2026-11");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        budget *b;
        budget_hold hold;
        double wait;
        error e;
        struct stat st;
        unlink(path);
        assert_ok(budget_open(&b, dir, err));
        assert_ok(budget_reserve(b, &cloud, &nobody, DOLLAR, NOV_26, &hold, &wait, err));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        off_t whole = st.st_size;
        append_bytes(path, "reserve 0123 26 cloud"); /* a crash in the middle of a line: it was never sent */
        spent_is(b, NOV_26, 1, 1);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, whole);
        append_bytes(path, bad[i]);
        if (budget_reserve(b, &cloud, &nobody, 1, NOV_26, &hold, &wait, &e) != E_FORMAT)
            fail_msg("row %zu was taken", i);
        assert_non_null(strstr(e.text, "damaged at byte"));
        unlink(path); /* moved away, as the sentence says: everything begins anew */
        assert_ok(budget_reserve(b, &cloud, &nobody, 3 * DOLLAR, NOV_26, &hold, &wait, err));
        budget_close(&b);
    }
}

/* Nothing is sent that could not be written down. */
static void no_disk(void **state)
{
    (void)state;
    const budget_of cloud = { "cloud", { 3, NAN } };
    char path[100], away[120];
    budget *b;
    budget_hold hold;
    double wait;
    error e;
    file_path(path, sizeof path, "2026-11");
    snprintf(away, sizeof away, "%s/elsewhere", dir);
    assert_int_equal(symlink(away, path), 0);
    assert_ok(budget_open(&b, dir, err));
    assert_int_equal(budget_reserve(b, &cloud, &nobody, 1, NOV_26, &hold, &wait, &e), E_IO); /* no link is followed */
    unlink(path);
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(budget_reserve(b, &cloud, &nobody, DOLLAR, NOV_26, &hold, &wait, err));
    budget_close(&b);
    pid_t child = fork();
    if (child == 0) { /* a file may grow no more: as a full disk */
        struct stat st;
        if (stat(path, &st) || budget_open(&b, dir, &e))
            _exit(1);
        rlim_t most = (rlim_t)st.st_size + 10;
        if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){ most, most }))
            _exit(1);
        status s = budget_reserve(b, &cloud, &nobody, 1, NOV_26, &hold, &wait, &e);
        _exit(s == E_IO && strstr(e.text, "written down") && stat(path, &st) == 0 ? 0 : 1);
    }
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    assert_ok(budget_open(&b, dir, err));
    spent_is(b, NOV_26, 1, 1); /* nothing half written stayed */
    budget_close(&b);
}

static void without_memory(void **state)
{
    (void)state;
    const budget_of cloud = { "cloud", { 3, NAN } };
    bool whole = false;
    for (long n = 1; !whole && n < 100; n++) {
        budget *b = NULL;
        budget_hold hold = { .amount = 0 };
        double wait;
        error e;
        mem_fail_at(n);
        status s = budget_open(&b, dir, &e);
        if (!s)
            s = budget_reserve(b, &cloud, &nobody, 1, NOV_26, &hold, &wait, &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM || s == E_RANGE || s == E_FORMAT);
        assert_true(s == OK || hold.amount == 0);
        whole = s == OK;
        budget_close(&b);
    }
    assert_true(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(days_and_months, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_and_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
