/* The audit log against what befalls a process: kill -9, power that goes in the middle of a write, a full disk, files
 * that cannot be written, clocks that go back, and others who write at the same time. Whatever happens: the chain holds
 * and goes on, and what was given out as durable is in it. */
#include "privacy/audit_test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "plat/clock.h"

enum { KILLS = 250, KILL_THREADS = 3, THREADS = 8, EACH = 60 };

static int fresh(void **state)
{
    return make_home(state);
}

/* ---- kill -9 ---- */

typedef struct told { /* what a child was told, through a pipe: smaller than PIPE_BUF, so whole or not there */
    uint64_t sequence;
    char mac[DIGEST_HEX];
} told;

typedef struct teller {
    audit *a;
    int fd;
} teller;

static void *append_for_ever(void *user)
{
    teller *t = user;
    for (;;) {
        told x = { 0 };
        audit_receipt r;
        audit_entry e = entry("kill", "{\"a\":1}");
        if (audit_append(t->a, &e, &r, NULL) != OK)
            _exit(3);
        x.sequence = r.sequence;
        memcpy(x.mac, r.mac, sizeof x.mac);
        if (write(t->fd, &x, sizeof x) != (ssize_t)sizeof x)
            _exit(4);
    }
}

static void child_that_appends(int fd)
{
    teller t = { .fd = fd };
    pthread_t id;
    if (audit_open(&t.a, NULL) != OK)
        _exit(5);
    for (int i = 1; i < KILL_THREADS; i++)
        if (pthread_create(&id, NULL, append_for_ever, &t) != 0)
            _exit(6);
    append_for_ever(&t);
}

typedef struct seen {
    told *all;
    size_t n, found, last;
} seen;

static bool look_up(void *user, const js *record, span line, const uint8_t *key)
{
    seen *s = user;
    int64_t seq = 0;
    (void)line;
    (void)key;
    assert_true(js_int(js_get(record, "seq"), &seq));
    for (size_t i = 0; i < s->n; i++)
        if (s->all[i].sequence == (uint64_t)seq) {
            assert_string_equal(s->all[i].mac, js_text(js_get(record, "mac")));
            s->found++;
        }
    s->last = (size_t)seq;
    return true;
}

/* What the child was told before it died is in the log, which holds; once each. */
static size_t check_after_kill(int fd)
{
    static told all[65536 / sizeof(told)];
    seen s = { .all = all };
    audit_verdict v;
    audit_question q = { .log = NULL };
    ssize_t n = 0, k;
    while ((k = read(fd, (char *)all + n, sizeof all - (size_t)n)) > 0)
        n += k;
    s.n = (size_t)n / sizeof(told);
    assert_int_equal((size_t)n % sizeof(told), 0);
    assert_ok(audit_verify(&q, look_up, &s, &v, err));
    if (!v.holds)
        fail_msg("at %llu: %s", (unsigned long long)v.fault_at, v.fault);
    assert_int_equal(s.found, s.n);
    return s.n;
}

static void kill_at_any_moment(void **state)
{
    (void)state;
    size_t told_all = 0, rounds_told = 0;
    uint64_t seed = 20261126, torn = 0, ahead = 0;
    for (int round = 0; round < KILLS; round++) {
        int fd[2];
        if (round % 50 == 0) /* also the very first moments of a chain */
            empty_folder(home);
        assert_int_equal(pipe(fd), 0);
        pid_t pid = fork();
        if (pid == 0) {
            close(fd[0]);
            child_that_appends(fd[1]);
        }
        close(fd[1]);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct timespec wait = { 0, (long)((seed >> 33) % 20000000) };
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        int how;
        assert_int_equal(waitpid(pid, &how, 0), pid);
        assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        size_t n = check_after_kill(fd[0]);
        close(fd[0]);
        audit_verdict v = verdict_of(NULL);
        told_all += n;
        rounds_told += n > 0;
        torn += v.tail_bytes > 0;
        ahead += v.ahead > 0;
    }
    print_message("%d kills: %zu records given out in %zu rounds; log ahead of state in %llu, cut off in %llu\n",
                  (int)KILLS, told_all, rounds_told, (unsigned long long)ahead, (unsigned long long)torn);
    assert_true(rounds_told >= 20 && ahead >= 1); /* otherwise the kills came too early to show anything */
    audit *a = NULL; /* and it goes on */
    assert_ok(audit_open(&a, err));
    append_one(a, "x");
    audit_close(&a);
    assert_holds(0);
}

/* ---- power ---- */

/* The state is that before a commit, the log has any part of it: as a disk may look when the power went. */
static void power_at_any_byte(void **state)
{
    (void)state;
    audit *a = NULL;
    for (int records = 0; records <= 2; records++) {
        empty_folder(home);
        assert_ok(audit_open(&a, err));
        char line[AUDIT_KEY_LINE];
        assert_ok(audit_begin(false, false, line, err));
        for (int i = 0; i < records; i++)
            append_one(a, "before");
        bytes before = load("audit.state");
        bytes start = { NULL, 0 };
        if (records)
            start = load("audit.log");
        append_one(a, "then the power went");
        bytes log = load("audit.log");
        for (size_t n = start.n; n <= log.n; n++) {
            store("audit.log", log.p, n);
            store("audit.state", before.p, before.n);
            store("audit.anchors", "", 0);
            audit_verdict v = verdict_of(NULL);
            bool whole_lines = n == 0 || log.p[n - 1] == '\n';
            if (!v.holds)
                fail_msg("%zu of %zu bytes: at %llu: %s", n, log.n, (unsigned long long)v.fault_at, v.fault);
            assert_int_equal(v.tail_bytes > 0, !whole_lines); /* it is said */
            uint64_t tail = v.tail_bytes;
            audit_receipt r = append_one(a, "and came back");
            bytes now = load("audit.log");
            assert_true(now.n > n && memcmp(now.p, log.p, n) == 0); /* nothing is taken away */
            mem_free(now.p);
            v = verdict_of(NULL);
            if (!v.holds || !v.keyed || v.records != r.sequence)
                fail_msg("%zu of %zu bytes, then one more: %llu records, at %llu: %s", n, log.n,
                         (unsigned long long)v.records, (unsigned long long)v.fault_at, v.fault);
            assert_int_equal(v.tail_bytes, 0);
            bool only_break = n < log.n && log.p[n] == '\n'; /* a record that lacks nothing but its end */
            assert_int_equal(v.torn_bytes, tail && !only_break ? tail + 1 : 0); /* and the line break that ends it */
        }
        mem_free(before.p);
        mem_free(start.p);
        mem_free(log.p);
        audit_close(&a);
    }
}

/* Torn bytes that hold line breaks, and a repair that was cut off itself. */
static void torn_twice(void **state)
{
    (void)state;
    audit *a = NULL;
    empty_folder(home);
    assert_ok(audit_open(&a, err));
    append_one(a, "one");
    bytes log = load("audit.log"), at = load("audit.state");
    char *torn = mem_zero(log.n + 100);
    memcpy(torn, log.p, log.n);
    memcpy(torn + log.n, "{\"v\":1,\n\n\0\0{\"seq\":", 19);
    store("audit.log", torn, log.n + 19);
    append_one(a, "two");
    bytes longer = load("audit.log");
    for (size_t n = log.n + 19; n < longer.n; n += 7) {
        store("audit.log", longer.p, n);
        store("audit.state", at.p, at.n);
        audit_verdict v = verdict_of(NULL);
        assert_true(v.holds);
        append_one(a, "three");
        assert_holds(0);
    }
    store("audit.log", longer.p, longer.n);
    store("audit.state", at.p, at.n);
    assert_holds(4); /* the torn record among them */
    longer.p[log.n + 3] ^= 1; /* who changes torn bytes is found as well */
    append_one(a, "three");
    bytes all = load("audit.log");
    all.p[log.n + 3] ^= 1;
    store("audit.log", all.p, all.n);
    assert_false(verdict_of(NULL).holds);
    mem_free(log.p);
    mem_free(at.p);
    mem_free(torn);
    mem_free(longer.p);
    mem_free(all.p);
    audit_close(&a);
}

/* ---- files that do not take it ---- */

/* In a child: the limit stays with it. 0: the append failed with E_IO and words. */
static int append_with_limit(rlim_t most)
{
    pid_t pid = fork();
    if (pid == 0) {
        audit *a = NULL;
        audit_receipt r;
        error e = { 0 };
        audit_entry x = entry("t", "x");
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){ most, most }) != 0 || audit_open(&a, NULL) != OK)
            _exit(9);
        status s = audit_append(a, &x, &r, &e);
        _exit(s == OK ? 1 : s == E_IO && strstr(e.text, "audit") ? 0 : 2);
    }
    int how = 0;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    return WEXITSTATUS(how);
}

static void full_disk(void **state)
{
    (void)state;
    audit *a = NULL;
    empty_folder(home);
    for (rlim_t n = 0; n < 700; n += 30) /* from the first moment of a chain on; slots need 4608 bytes */
        assert_int_equal(append_with_limit(n), 0);
    assert_ok(audit_open(&a, err));
    append_one(a, "there is room again");
    for (int i = 0; i < 12; i++)
        append_one(a, "x");
    bytes log = load("audit.log");
    assert_true(log.n > 5000);
    for (rlim_t n = log.n; n < log.n + 500; n += 10) {
        int code = append_with_limit(n); /* each leaves the part that found room */
        assert_int_equal(code, 0);
    }
    audit_verdict v = verdict_of(NULL);
    assert_true(v.holds && v.tail_bytes > 0);
    append_one(a, "there is room again");
    v = verdict_of(NULL);
    assert_true(v.holds && v.tail_bytes == 0 && v.torn_bytes > 0);
    mem_free(log.p);
    audit_close(&a);
}

static void assert_refused(const char *why, const char *says)
{
    audit *a = NULL;
    audit_receipt r;
    error e = { 0 };
    audit_entry x = entry("t", "x");
    assert_ok(audit_open(&a, err));
    status s = audit_append(a, &x, &r, &e);
    if (s != E_IO || !strstr(e.text, says))
        fail_msg("%s: status %d: %s", why, (int)s, e.text);
    audit_close(&a);
}

static void not_writable(void **state)
{
    (void)state;
    static const char *const files[] = { "audit.log", "audit.state", "audit.key" };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        empty_folder(home);
        assert_int_equal(mkdir(at_home(files[i]), 0700), 0);
        assert_refused("a folder in its place", files[i]);
        empty_folder(home);
        assert_int_equal(symlink("/tmp/hearth-audit-elsewhere", at_home(files[i])), 0);
        assert_refused("a link in its place", files[i]);
        assert_int_not_equal(access("/tmp/hearth-audit-elsewhere", F_OK), 0);
    }
    empty_folder(home);
    setenv("HEARTH_HOME", "/proc/hearth", 1);
    assert_refused("a place where nothing can be made", "/proc/hearth");
    setenv("HEARTH_HOME", home, 1);
    if (geteuid() == 0) { /* root is permitted everything: as nobody */
        pid_t pid = fork();
        if (pid == 0) {
            audit *a = NULL;
            audit_receipt r;
            error e = { 0 };
            audit_entry x = entry("t", "x");
            if (setgid(65534) != 0 || setuid(65534) != 0 || audit_open(&a, NULL) != OK)
                _exit(9);
            _exit(audit_append(a, &x, &r, &e) == E_IO && strstr(e.text, "Permission denied") ? 0 : 1);
        }
        int how = 0;
        assert_int_equal(waitpid(pid, &how, 0), pid);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    /* anchors are a help: without them it goes on */
    audit *a = NULL;
    assert_int_equal(mkdir(at_home("audit.anchors"), 0700), 0);
    assert_ok(audit_open(&a, err));
    append_one(a, "x");
    audit_close(&a);
    rmdir(at_home("audit.anchors"));
    assert_holds(2);
}

static int64_t the_time = 1800000000000000;
static int64_t tell_time(void)
{
    return the_time;
}

static void clock_goes_back(void **state)
{
    (void)state;
    audit *a = NULL;
    audit_receipt r;
    error e;
    audit_entry x = entry("t", "x");
    empty_folder(home);
    assert_ok(audit_open(&a, err));
    a->now = tell_time;
    append_one(a, "x");
    the_time -= 299 * 1000000ll; /* set right */
    append_one(a, "x");
    the_time -= 301 * 1000000ll; /* wrong */
    assert_int_equal(audit_append(a, &x, &r, &e), E_RANGE);
    assert_non_null(strstr(e.text, "the clock says 2027-01-15T"));
    the_time += 3600 * 1000000ll;
    append_one(a, "x");
    audit_close(&a);
    assert_holds(4);
}

static void classes(void **state)
{
    (void)state;
    audit *a = NULL;
    audit_receipt r;
    empty_folder(home);
    assert_ok(audit_open(&a, err));
    for (int c = -1; c <= PRIVACY_CLASSES; c++)
        for (int p = 0; p <= 3; p++) {
            audit_entry x = entry("t", "CANARY-7761");
            error e;
            x.privacy = (privacy_class)c;
            x.place = (privacy_place)p;
            bool goes = (c == PRIVACY_PUBLIC && (p == 1 || p == 2)) || (c == PRIVACY_INTERNAL && p == 1);
            assert_int_equal(audit_append(a, &x, &r, &e), goes ? OK : E_DENIED);
        }
    audit_close(&a);
    bytes log = load("audit.log");
    assert_null(memmem(log.p, log.n, "CANARY", 6));
    mem_free(log.p);
    assert_holds(4); /* its own, public to both places, internal to one */
}

/* Texts that are too long, no UTF-8, or would end a line. */
static void odd_texts(void **state)
{
    (void)state;
    audit *a = NULL;
    audit_receipt r;
    char *text = mem_zero(5000);
    empty_folder(home);
    assert_ok(audit_open(&a, err));
    for (size_t i = 0; i < 4999; i++)
        text[i] = (char)(i % 2 ? 0xa4 : 0xc3);
    const char *const odd[] = { text, text + 1, "a\nb\"c\\\x01", "\xff", "", NULL };
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        audit_entry x = { .privacy = PRIVACY_PUBLIC, .place = PRIVACY_REMOTE, .host = odd[i], .model = odd[i],
                          .task = odd[i], .caller = odd[i], .request = odd[i], .policy = odd[i],
                          .detectors = odd[i], .body = "", .body_bytes = 0 };
        assert_ok(audit_append(a, &x, &r, err));
    }
    audit_close(&a);
    mem_free(text);
    assert_holds(7);
}

/* ---- together ---- */

typedef struct worker {
    audit *a;
    uint64_t last;
    bool ascending;
} worker;

static void *append_some(void *user)
{
    worker *w = user;
    w->ascending = true;
    for (int i = 0; i < EACH; i++) {
        audit_receipt r = { 0 };
        audit_entry e = entry("many", "x");
        if (audit_append(w->a, &e, &r, NULL) != OK || r.sequence <= w->last)
            w->ascending = false;
        w->last = r.sequence;
    }
    return NULL;
}

static bool append_in_threads(int n, audit_counts *counts)
{
    audit *a = NULL;
    pthread_t ids[THREADS];
    worker w[THREADS] = { 0 };
    bool ok = audit_open(&a, NULL) == OK;
    for (int i = 0; i < n && ok; i++) {
        w[i].a = a;
        ok = pthread_create(&ids[i], NULL, append_some, &w[i]) == 0;
    }
    for (int i = 0; i < n && ok; i++) {
        pthread_join(ids[i], NULL);
        ok = ok && w[i].ascending;
    }
    *counts = audit_count(a);
    audit_close(&a);
    return ok;
}

static void group_commit(void **state)
{
    (void)state;
    audit_counts c;
    empty_folder(home);
    assert_true(append_in_threads(THREADS, &c));
    print_message("%llu records in %llu commits\n", (unsigned long long)c.records, (unsigned long long)c.commits);
    assert_int_equal(c.records, THREADS * EACH);
    assert_true(c.commits < c.records / 2);
    assert_holds(THREADS * EACH + 1);
}

static void processes(void **state)
{
    (void)state;
    enum { PROCESSES = 3 };
    pid_t pid[PROCESSES];
    empty_folder(home);
    for (int i = 0; i < PROCESSES; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            audit_counts c;
            _exit(append_in_threads(2, &c) ? 0 : 1);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int how = 0;
        assert_holds(0); /* while they write */
        assert_int_equal(waitpid(pid[i], &how, 0), pid[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    assert_holds(PROCESSES * 2 * EACH + 1);
}

/* Every allocation of an append fails once: it fails as a whole, and the chain holds. */
static void no_memory(void **state)
{
    (void)state;
    audit *a = NULL;
    int failed = 0;
    empty_folder(home);
    assert_ok(audit_open(&a, err));
    append_one(a, "x");
    bytes log = load("audit.log"), st = load("audit.state");
    for (uint64_t n = 1; n < 100; n++) {
        audit_receipt r;
        audit_entry x = entry("t", "x");
        store("audit.log", log.p, log.n - 300); /* with a tail to read again */
        store("audit.state", st.p, st.n);
        store("audit.log", log.p, log.n);
        mem_fail_at(n);
        error e = { 0 };
        status s = audit_append(a, &x, &r, &e);
        mem_fail_at(0);
        failed += s == E_NOMEM;
        if (s != OK && s != E_NOMEM)
            fail_msg("allocation %llu: status %d: %s", (unsigned long long)n, (int)s, e.text);
        assert_true(verdict_of(NULL).holds);
    }
    assert_true(failed >= 2);
    mem_free(log.p);
    mem_free(st.p);
    audit_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_at_any_moment), cmocka_unit_test(power_at_any_byte), cmocka_unit_test(torn_twice),
        cmocka_unit_test(full_disk), cmocka_unit_test(not_writable), cmocka_unit_test(clock_goes_back),
        cmocka_unit_test(classes), cmocka_unit_test(odd_texts), cmocka_unit_test(group_commit),
        cmocka_unit_test(processes), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, fresh, remove_home);
}
