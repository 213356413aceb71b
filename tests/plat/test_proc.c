/* Helpers: found, started with one descriptor and few variables, reaped, killed with their parent. */
#include "lib/check.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/clock.h"
#include "plat/msg.h"
#include "plat/proc.h"

static char dir[256];

/* A helper in shell: answers on descriptor 3. */
static void script(const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "#!/bin/sh\n%s\n", text);
    fclose(f);
    assert_int_equal(chmod(path, 0755), 0);
}

static void spawn(const char *name, proc *p, int *fd, const char *const *keep)
{
    char path[PROC_PATH_MAX];
    assert_ok(proc_find(path, name, err));
    assert_ok(proc_spawn(p, fd, path, keep, err));
}

static void read_all(int fd, char *out, size_t size)
{
    size_t n = 0;
    ssize_t k;
    while (n < size - 1 && (k = read(fd, out + n, size - 1 - n)) > 0)
        n += (size_t)k;
    out[n] = 0;
}

static void little_is_inherited(void **state)
{
    (void)state;
    static const char *const keep[] = { "KEPT_*", NULL };
    char text[4096];
    proc p;
    int fd;
    setenv("KEPT_ONE", "yes", 1);
    setenv("OPENAI_API_KEY", "sk-secret", 1);
    int extra = dup(0); /* a descriptor without close-on-exec */
    /* not through a pipe: the shell holds its ends for a moment, as descriptors 4 and 5 */
    script("spy", "{ /usr/bin/env; ls -l /proc/$$/fd >$0.fds; sed 's/.* \\([0-9]*\\) -> /fd \\1 /' $0.fds; } >&3");
    spawn("spy", &p, &fd, keep);
    read_all(fd, text, sizeof text);
    assert_true(proc_wait(&p, 5000));
    assert_non_null(strstr(text, "KEPT_ONE=yes"));
    assert_null(strstr(text, "sk-secret"));
    assert_null(strstr(text, "HOME="));
    assert_non_null(strstr(text, "fd 3"));
    assert_non_null(strstr(text, "fd 0 /dev/null"));
    assert_null(strstr(text, "fd 4"));
    assert_null(strstr(text, "fd 5"));
    close(extra);
    close(fd);
}

static void ends_are_told(void **state)
{
    (void)state;
    char how[128];
    proc p;
    int fd;
    error e;
    script("three", "exit 3");
    spawn("three", &p, &fd, NULL);
    assert_true(proc_wait(&p, 5000));
    assert_string_equal(proc_how_ended(&p, how, sizeof how), "ended with exit status 3");
    close(fd);
    script("sleeper", "sleep 100");
    spawn("sleeper", &p, &fd, NULL);
    assert_false(proc_wait(&p, 30));
    assert_string_equal(proc_how_ended(&p, how, sizeof how), "still runs");
    kill(p.pid, SIGKILL);
    assert_true(proc_wait(&p, 5000));
    assert_string_equal(proc_how_ended(&p, how, sizeof how), "was killed by signal 9 (Killed)");
    close(fd);
    script("broken", "");
    char path[PROC_PATH_MAX];
    snprintf(path, sizeof path, "%s/broken", dir);
    FILE *f = fopen(path, "w");
    fputs("#!/nonexistent/interpreter\n", f);
    fclose(f);
    assert_int_equal(proc_spawn(&p, &fd, path, NULL, &e), E_IO);
    assert_non_null(strstr(e.text, "No such file"));
    assert_int_equal(proc_find(path, "absent", &e), E_NOTFOUND);
}

static bool alive(int pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool zombie = fgets(line, sizeof line, f) && strstr(line, ") Z");
    fclose(f);
    return !zombie;
}

static void *spawn_in_thread(void *out)
{
    proc *p = out;
    int fd;
    char path[PROC_PATH_MAX];
    error e;
    if (proc_find(path, "deaf", &e) != OK || proc_spawn(p, &fd, path, NULL, &e) != OK)
        p->pid = -1;
    return NULL;
}

/* A helper that ignores its socket lives on when the thread that asked for it ends, and dies with the process. */
static void dies_with_its_parent(void **state)
{
    (void)state;
    int report[2];
    assert_int_equal(pipe(report), 0);
    script("deaf", "while :; do sleep 1; done");
    pid_t parent = fork();
    if (parent == 0) {
        pthread_t t;
        proc p = { 0 };
        int still;
        pthread_create(&t, NULL, spawn_in_thread, &p);
        pthread_join(t, NULL);
        usleep(200000);
        still = alive(p.pid) ? p.pid : -2;
        ssize_t n = write(report[1], &still, sizeof still);
        (void)n;
        pause();
    }
    int pid = 0;
    assert_int_equal(read(report[0], &pid, sizeof pid), (int)sizeof pid);
    assert_true(pid > 0);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    for (int i = 0; i < 100 && alive(pid); i++)
        usleep(20000);
    assert_false(alive(pid));
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/hearth-proc-%d", (int)getpid());
    mkdir(dir, 0700);
    setenv("HEARTH_LIBEXEC", dir, 1);
    const struct CMUnitTest tests[] = { cmocka_unit_test(dies_with_its_parent), /* forks: before there are threads */
                                        cmocka_unit_test(little_is_inherited), cmocka_unit_test(ends_are_told) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const made[] = { "spy", "spy.fds", "three", "sleeper", "broken", "deaf" };
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", dir, made[i]);
        unlink(path);
    }
    rmdir(dir);
    return failed;
}
