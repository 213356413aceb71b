/* All bytes or an error: through a pipe that takes few at a time, onto a full disk, from a file that is too short; a
 * file that is there stays what it is; a lock is one process's. */
#include "lib/check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/file.h"

enum {
    MANY = 1 << 20, /* more than a pipe holds */
    LOCKS = 3000,
};
static unsigned char out[MANY], in[MANY];
static char path[] = "/tmp/hearth-file-XXXXXX";

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd) ? -1 : unlink(path);
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    strcpy(path + strlen(path) - 6, "XXXXXX");
    return 0;
}

static void *write_much(void *fd)
{
    error e;
    return file_write_all(*(int *)fd, "pipe", out, sizeof out, &e) ? fd : NULL;
}

static void a_pipe_takes_all(void **state)
{
    (void)state;
    int ends[2];
    pthread_t writer;
    void *failed = NULL;
    for (size_t i = 0; i < MANY; i++)
        out[i] = (unsigned char)(i * 2654435761u >> 13);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_much, &ends[1]), 0);
    assert_ok(file_read_all(ends[0], "pipe", in, sizeof in, err));
    pthread_join(writer, &failed);
    assert_null(failed);
    assert_memory_equal(in, out, sizeof in);
    close(ends[1]);
    error e;
    assert_int_equal(file_read_all(ends[0], "pipe", in, 1, &e), E_FORMAT);
    close(ends[0]);
}

static void a_full_disk(void **state)
{
    (void)state;
    error e;
    int fd = open("/dev/full", O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, "the letter", out, 100, &e), E_IO);
    assert_string_equal(e.text, "the letter: No space left on device");
    close(fd);
}

static void what_is_there_stays(void **state)
{
    (void)state;
    error e;
    struct stat st;
    assert_ok(file_create(path, 0640, "first", 5, err));
    assert_int_equal(file_create(path, 0600, "second", 6, &e), E_EXISTS);
    assert_non_null(strstr(e.text, path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(st.st_mode & 0777 & ~0640, 0);
    assert_int_equal(file_create("/nowhere/at/all", 0600, "x", 1, &e), E_IO);
}

/* Half of it fits: none of it stays. */
static void half_a_file_goes(void **state)
{
    (void)state;
    error e;
    struct rlimit before, half = { MANY / 2, MANY / 2 };
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    half.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &half), 0);
    status s = file_create(path, 0600, out, sizeof out, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(s, E_IO);
    assert_int_equal(access(path, F_OK), -1);
}

/* Who has the file is alone with it, though everybody removes it in the end: alone with the marker beside it. */
static bool lock_and_remove(const char *marker)
{
    for (int i = 0; i < LOCKS;) {
        int fd, beside;
        error e;
        status s = file_open_locked(&fd, path, 0600, &e);
        if (s && s != E_EXISTS)
            return false;
        if (!s) {
            if (file_open_new(&beside, marker, 0600, &e))
                return false;
            close(beside);
            unlink(marker);
            unlink(path);
            close(fd);
            i++;
        }
        sched_yield();
    }
    return true;
}

static void a_lock_is_one_process_s(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    char marker[sizeof path + 8];
    int fd, again, how = 0;
    error e;
    assert_ok(file_open_locked(&fd, path, 0600, err));
    assert_ok(file_write_all(fd, path, "content", 7, err));
    assert_int_equal(file_open_locked(&again, path, 0600, &e), E_EXISTS);
    close(fd);
    assert_ok(file_open_locked(&fd, path, 0600, err));
    assert_ok(file_read_all(fd, path, in, 7, err)); /* it is what it was */
    close(fd);
    snprintf(marker, sizeof marker, "%s.marker", path);
    assert_int_equal(symlink(path, marker), 0);
    assert_int_equal(file_open_locked(&fd, marker, 0600, &e), E_IO);
    unlink(marker);
    assert_int_equal(file_open_locked(&fd, "/nowhere/at/all", 0600, &e), E_IO);
    assert_non_null(strstr(e.text, "/nowhere/at/all: cannot be written"));
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            _exit(lock_and_remove(marker) ? 0 : 1);
    for (int i = 0; i < PROCESSES; i++) {
        assert_true(wait(&how) > 0);
        assert_int_equal(how, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_takes_all),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test_setup_teardown(what_is_there_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(half_a_file_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lock_is_one_process_s, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
