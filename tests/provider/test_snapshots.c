/* The files of prefix caches, from the side of the front: which are opened, which take whose place, which go. */
#include "lib/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/snapshot.h"
#include "provider/snapshots.h"
#include "worker/snapshot.h"

enum { PLENTY = 1 << 30 };

static char home[64], dir[80];

static int begin_home(void **state)
{
    (void)state;
    snprintf(home, sizeof home, "/tmp/hearth-snapshots-XXXXXX");
    if (!mkdtemp(home))
        return -1;
    snprintf(dir, sizeof dir, "%s/prefix", home);
    return setenv("HEARTH_HOME", home, 1);
}

static int end_home(void **state)
{
    char command[100];
    (void)state;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
    rmdir(dir);
    snprintf(command, sizeof command, "%s/elsewhere", home);
    unlink(command);
    return rmdir(home);
}

static const char *at(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* How many files there are, and how many of them end so. */
static int count(const char *end)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t l = strlen(e->d_name), k = strlen(end);
        n += e->d_name[0] != '.' && l >= k && strcmp(e->d_name + l - k, end) == 0;
    }
    if (d)
        closedir(d);
    return n;
}

static void put(const char *name, size_t n, mode_t mode)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        fputc('x', f);
    fclose(f);
    assert_int_equal(chmod(at(name), mode), 0);
}

/* What a worker does: n bytes that begin as a whole file does, or do not. */
static void work(const snapshot_file *f, size_t n, bool whole)
{
    char bytes[5000] = { 0 };
    assert_true(n <= sizeof bytes);
    if (whole)
        memcpy(bytes, SNAPSHOT_MAGIC, 8);
    assert_int_equal(write(f->to, bytes, n), (ssize_t)n);
}

static void whole_files_take_the_place(void **state)
{
    (void)state;
    snapshot_file f, g;
    struct stat st;
    char byte;
    assert_ok(snapshot_file_begin(&f, "m-f16-0", err));
    assert_true(f.from == -1 && f.to >= 0);
    assert_int_equal(fstat(f.to, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    work(&f, 100, true);
    snapshot_file_end(&f, PLENTY);
    assert_true(f.to == -1 && count(".prefixes") == 1 && count("") == 1);
    assert_ok(snapshot_file_begin(&f, "m-f16-0", err));
    assert_true(f.from >= 0 && read(f.from, &byte, 1) == 1 && byte == SNAPSHOT_MAGIC[0]);
    work(&f, 200, false); /* the worker died in the middle */
    snapshot_file_end(&f, PLENTY);
    assert_int_equal(stat(at("m-f16-0.prefixes"), &st), 0);
    assert_int_equal(st.st_size, 100);
    assert_int_equal(count(""), 1);
    assert_ok(snapshot_file_begin(&f, "m-f16-0", err));
    work(&f, 500, true); /* more than was allowed */
    snapshot_file_end(&f, 499);
    assert_int_equal(stat(at("m-f16-0.prefixes"), &st), 0);
    assert_int_equal(st.st_size, 100);
    /* two at once: the last to end is what stays, and neither takes the other's for one that was left */
    assert_ok(snapshot_file_begin(&f, "m-f16-0", err));
    assert_ok(snapshot_file_begin(&g, "m-f16-0", err));
    assert_int_equal(count(".new"), 2);
    work(&g, 300, true);
    work(&f, 400, true);
    snapshot_file_end(&f, PLENTY);
    snapshot_file_end(&g, PLENTY);
    assert_int_equal(stat(at("m-f16-0.prefixes"), &st), 0);
    assert_int_equal(st.st_size, 300);
    assert_int_equal(count(""), 1);
    error no;
    assert_int_equal(snapshot_file_begin(&f, "../m", &no), E_RANGE);
    snapshot_file_end(&f, PLENTY);
}

static void only_ours_is_read(void **state)
{
    (void)state;
    snapshot_file f;
    char other[100];
    assert_ok(snapshot_file_begin(&f, "m", err));
    snapshot_file_end(&f, PLENTY);
    static const mode_t modes[] = { 0644, 0620, 0601 };
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        put("m.prefixes", 10, modes[i]);
        assert_ok(snapshot_file_begin(&f, "m", err));
        assert_true(f.from == -1 && f.to >= 0);
        snapshot_file_end(&f, PLENTY);
    }
    put("m.prefixes", 10, 0600);
    assert_ok(snapshot_file_begin(&f, "m", err));
    assert_true(f.from >= 0);
    snapshot_file_end(&f, PLENTY);
    snprintf(other, sizeof other, "%s/elsewhere", home);
    assert_int_equal(link(at("m.prefixes"), other), 0); /* it has another name */
    assert_ok(snapshot_file_begin(&f, "m", err));
    assert_true(f.from == -1);
    snapshot_file_end(&f, PLENTY);
    unlink(at("m.prefixes"));
    assert_int_equal(symlink(other, at("m.prefixes")), 0);
    assert_ok(snapshot_file_begin(&f, "m", err));
    assert_true(f.from == -1);
    work(&f, 50, true);
    snapshot_file_end(&f, PLENTY);
    struct stat st;
    assert_int_equal(lstat(at("m.prefixes"), &st), 0);
    assert_true(S_ISREG(st.st_mode) && st.st_size == 50); /* the link was replaced, not followed */
    assert_int_equal(stat(other, &st), 0);
    assert_int_equal(st.st_size, 10);
    unlink(at("m.prefixes"));
    assert_int_equal(mkfifo(at("m.prefixes"), 0600), 0); /* nobody waits for it */
    assert_ok(snapshot_file_begin(&f, "m", err));
    assert_true(f.from == -1);
    snapshot_file_end(&f, PLENTY);
    assert_int_equal(chmod(dir, 0755), 0);
    assert_ok(snapshot_file_begin(&f, "m", err));
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    snapshot_file_end(&f, PLENTY);
}

/* A front that was killed leaves its new file; the next removes it, and not that of one that lives. */
static void what_was_left_goes(void **state)
{
    (void)state;
    snapshot_file mine, other;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        status s = snapshot_file_begin(&other, "m", NULL);
        kill(getpid(), SIGKILL);
        _exit(s);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(count(".new"), 1);
    assert_ok(snapshot_file_begin(&mine, "m", err));
    assert_int_equal(count(".new"), 1);
    assert_ok(snapshot_file_begin(&other, "n", err));
    assert_int_equal(count(".new"), 2);
    work(&mine, 70, true);
    snapshot_file_end(&mine, PLENTY);
    snapshot_file_end(&other, PLENTY);
    assert_int_equal(count(""), 1);
}

static void the_oldest_go(void **state)
{
    (void)state;
    snapshot_file f;
    static const char *const names[] = { "a.prefixes", "b.prefixes", "c.prefixes" };
    assert_ok(snapshot_file_begin(&f, "d", err));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        put(names[i], 1000, 0600);
        const struct timespec t[2] = { { 1000 - (time_t)i, 0 }, { 1000 - (time_t)i, 0 } }; /* a is the youngest */
        assert_int_equal(utimensat(AT_FDCWD, at(names[i]), t, 0), 0);
    }
    put("notes.txt", 5000, 0600); /* not ours: neither counted nor removed */
    work(&f, 1000, true);
    snapshot_file_end(&f, 2500);
    assert_int_equal(count(".prefixes"), 2);
    assert_true(access(at("a.prefixes"), F_OK) == 0 && access(at("d.prefixes"), F_OK) == 0);
    assert_int_equal(access(at("notes.txt"), F_OK), 0);
}

static void purging(void **state)
{
    (void)state;
    snapshot_file f;
    snapshots_purged p;
    worker_snapshot w;
    assert_ok(snapshots_purge(&p, err)); /* no folder yet */
    assert_true(p.n_files == 0 && p.n_running == 0 && p.bytes == 0);
    assert_ok(snapshot_file_begin(&f, "m", err));
    put("a.prefixes", 1000, 0600);
    put("b.prefixes", 234, 0600);
    put("b.1-0.new", 66, 0600);
    put("notes.txt", 5000, 0600);
    assert_ok(snapshots_purge(&p, err));
    assert_true(p.n_files == 2 && p.n_running == 1 && p.bytes == 1300);
    assert_int_equal(count(""), 1);
    worker_snapshot_init(&w); /* a worker that ends now writes nothing: its file has no name any more */
    w.to = f.to;
    worker_snapshot_keep(&w, NULL);
    work(&f, 100, true); /* and one that was writing is not kept */
    snapshot_file_end(&f, PLENTY);
    assert_int_equal(count(""), 1);
}

/* What OPEN may say of the descriptors that came with it. */
static void descriptors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n_fds, n_files;
        status s;
    } rows[] = {
        { "{}", 3, 3, OK },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":1}}", 2, 1, OK },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":1,\"from\":2}}", 3, 1, OK },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":2,\"from\":3}}", 4, 2, OK },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":0}}", 1, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":2}}", 2, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":-1}}", 2, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":1,\"from\":1}}", 3, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":2,\"from\":1}}", 3, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":9,\"to\":1,\"from\":\"2\"}}", 3, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"d\",\"bytes\":0,\"to\":1}}", 2, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"\",\"bytes\":9,\"to\":1}}", 2, 0, E_FORMAT },
        { "{\"snapshot\":{\"bytes\":9,\"to\":1}}", 2, 0, E_FORMAT },
        { "{\"snapshot\":{\"model\":\"0123456789012345678901234567890123456789012345678901234567890123x\",\"bytes\":9,"
          "\"to\":1}}", 2, 0, E_FORMAT },
        { "{\"snapshot\":7}", 2, 0, E_FORMAT },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int fds[4] = { 100, 101, 102, 103 }; /* nobody's: they are moved, not used */
        msg m = { .fds = fds, .n_fds = rows[i].n_fds };
        worker_snapshot w;
        js *settings = NULL;
        size_t n = 0;
        error e = { 0 };
        worker_snapshot_init(&w);
        assert_ok(js_parse(&settings, rows[i].text, strlen(rows[i].text), "open", 1, err));
        status s = worker_snapshot_take(&w, &m, settings, &n, &e);
        if (s != rows[i].s)
            fail_msg("row %zu: status %d: %s", i, (int)s, e.text);
        if (!s) {
            assert_int_equal(n, rows[i].n_files);
            for (size_t k = 0; k < m.n_fds; k++)
                assert_int_equal(fds[k], k < n ? 100 + (int)k : -1);
            assert_int_equal(w.to, n < m.n_fds ? 100 + (int)n : -1);
            assert_int_equal(w.from, n + 1 < m.n_fds ? 101 + (int)n : -1);
        } else {
            assert_true(w.to == -1 && w.from == -1 && fds[1] == 101);
        }
        js_free(settings);
    }
}

#define IN_A_HOME(test) cmocka_unit_test_setup_teardown(test, begin_home, end_home)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_HOME(whole_files_take_the_place),
        IN_A_HOME(only_ours_is_read),
        IN_A_HOME(what_was_left_goes),
        IN_A_HOME(the_oldest_go),
        IN_A_HOME(purging),
        cmocka_unit_test(descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
