/* The sandboxes deny what they say, really attempted, and still let the work be done. Each in a child of its own. */
#include "lib/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/kernels.h"
#include "plat/cpu.h"
#include "plat/msg.h"
#include "quant/quant.h"
#include "plat/sandbox.h"

static void *add_one(void *p)
{
    ++*(int *)p;
    return NULL;
}

/* What a worker needs after it is locked up: memory, threads, messages. Returns what failed, 0 for nothing. */
static int can_work(int fd)
{
    int n = 0, pair_end = fd;
    pthread_t t;
    if (pthread_create(&t, NULL, add_one, &n) != 0 || pthread_join(t, NULL) != 0 || n != 1)
        return 1;
    char *big = malloc(64 << 20);
    if (!big)
        return 2;
    memset(big, 1, 64 << 20);
    free(big);
    msg_link l;
    msg m;
    bool got = false;
    error err;
    msg_link_open(&l, pair_end);
    if (msg_send_text(&l, MSG_TEXT, 1, "alive", 100, &err) != OK)
        return 3;
    if (msg_receive(&l, &m, &got, 1000, &err) != OK || !got || m.n_fds != 1)
        return 4;
    /* a descriptor that came with a message can be mapped and read */
    void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, m.fds[0], 0);
    return p == MAP_FAILED ? 5 : 0;
}

static void *multiply(void *seen)
{
    enum { COLS = 256, TOKENS = 40 };
    static uint8_t panel[16 * 144], acts[TOKENS * 512];
    static float out[TOKENS * 16];
    kernels k;
    kernels_init(&k, *(unsigned *)seen);
    k.mul[QUANT_Q4_K](panel, 1, COLS, acts, 512, TOKENS, out, 16);
    return NULL;
}

/* Inside a sandbox a process has every instruction set that it has outside, in threads too, though what some of them
 * have to be asked for can no longer be asked. Runs first: what was found before the fork would be remembered. */
static void instruction_sets(void **state)
{
    (void)state;
    static const sandbox_kind kinds[] = { SANDBOX_COMPUTE, SANDBOX_OFFLINE };
    int seen[ARRAY_LEN(kinds)];
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            sandbox_options o = { .kind = kinds[i] };
            sandbox_report r;
            error err;
            pthread_t t;
            if (sandbox_enter(&o, &r, &err) != OK)
                _exit(255);
            unsigned found = cpu_detect();
            if (pthread_create(&t, NULL, multiply, &found) != 0 || pthread_join(t, NULL) != 0)
                _exit(255);
            _exit((int)found);
        }
        assert_int_equal(waitpid(pid, &seen[i], 0), pid);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        assert_true(WIFEXITED(seen[i]));
        assert_int_equal(WEXITSTATUS(seen[i]), cpu_detect());
    }
}

static void compute(void **state)
{
    (void)state;
    int fds[2];
    assert_ok(msg_pair(fds, err));
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_options o = { .kind = SANDBOX_COMPUTE };
        sandbox_report r;
        error err;
        close(fds[0]);
        if (sandbox_enter(&o, &r, &err) != OK)
            _exit(100);
        if (!sandbox_test(SANDBOX_COMPUTE, &r)) {
            for (size_t i = 0; i < r.n_checks; i++)
                if (!r.checks[i].denied)
                    fprintf(stderr, "not denied: %s (errno %d)\n", r.checks[i].name, r.checks[i].error);
            _exit(101);
        }
        if (r.n_checks < 16 || !r.seccomp)
            _exit(102);
        fprintf(stderr, "landlock %d (ABI %d), empty network %d\n", r.landlock, r.landlock_abi, r.empty_network);
        _exit(can_work(fds[1]));
    }
    close(fds[1]);
    msg_link l;
    msg m;
    bool got = false;
    msg_link_open(&l, fds[0]);
    assert_ok(msg_receive(&l, &m, &got, 5000, err));
    assert_true(got);
    FILE *f = tmpfile();
    assert_non_null(f);
    int fd = fileno(f);
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_ok(msg_send(&l, MSG_OPEN, 0, "{}", 2, &fd, 1, 1000, err));
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    fclose(f);
    msg_link_close(&l);
}

static void network(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_options o = { .kind = SANDBOX_NETWORK, .read_paths = { "/etc" }, .n_read_paths = 1, .ports = { 443 },
                              .n_ports = 1 };
        sandbox_report r;
        error err;
        if (sandbox_enter(&o, &r, &err) != OK)
            _exit(100);
        if (!sandbox_test(SANDBOX_NETWORK, &r))
            _exit(101);
        int s = socket(AF_INET, SOCK_STREAM, 0);
        FILE *f = fopen("/etc/hosts", "r");
        FILE *no = r.landlock ? fopen("/proc/self/maps", "r") : NULL;
        pthread_t t;
        int n = 0;
        _exit(s < 0 ? 1 : !f ? 2 : no ? 3 : pthread_create(&t, NULL, add_one, &n) || pthread_join(t, NULL) ? 4 : 0);
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

/* A command that computes: no network, no other program; files, threads and children as before. */
static void offline(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_options o = { .kind = SANDBOX_OFFLINE };
        sandbox_report r;
        error err;
        int n = 0, how, fds[2];
        pthread_t t;
        if (sandbox_enter(&o, &r, &err) != OK)
            _exit(100);
        if (!sandbox_test(SANDBOX_OFFLINE, &r) || r.n_checks < 9)
            _exit(101);
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0)
            _exit(1);
        FILE *f = tmpfile();
        if (!f || fputs("kept", f) < 0 || fclose(f) != 0)
            _exit(2);
        if (pthread_create(&t, NULL, add_one, &n) != 0 || pthread_join(t, NULL) != 0 || n != 1)
            _exit(3);
        pid_t child = fork();
        if (child == 0)
            _exit(socket(AF_INET, SOCK_STREAM, 0) < 0 ? 0 : 1);
        _exit(child > 0 && waitpid(child, &how, 0) == child && how == 0 ? 0 : 4);
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

/* The self-test is worth something: outside of a sandbox it says so. */
static void outside(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_report r = { 0 };
        _exit(sandbox_test(SANDBOX_COMPUTE, &r) ? 1 : 0);
    }
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(how, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(instruction_sets), cmocka_unit_test(compute),
                                        cmocka_unit_test(network), cmocka_unit_test(offline),
                                        cmocka_unit_test(outside) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
