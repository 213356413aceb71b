/* Programs of strangers, really run: they try the network, files, other processes, time and memory, and get nothing;
 * what they may do works. /bin/sh and /usr/bin/python3 are the strangers. */
#include "lib/check.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "plat/clock.h"
#include "plat/command.h"

static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/hearth-command-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir); /* which fails when a program left a file there */
}

static command_result run(const char *program, const char *script, command_job c)
{
    const char *args[] = { "-c", script };
    command_result r = { 0 };
    c.path = program;
    c.args = args;
    c.n_args = 2;
    c.dir = dir;
    c.wall_ms = c.wall_ms ? c.wall_ms : 20000;
    c.output_max = c.output_max ? c.output_max : 1 << 20;
    assert_ok(command_run(&c, &r, err));
    return r;
}

/* Runs a Python script that must print "denied" (for what it tried) and end well. */
static void denied(const char *what, const char *attempt)
{
    char script[2000];
    snprintf(script, sizeof script, "import os, socket, ctypes, signal, threading, mmap\n"
             "try:\n  %s\n  print('done')\n"
             "except (OSError, MemoryError, RuntimeError, ValueError):\n  print('denied')\n", attempt);
    command_result r = run("/usr/bin/python3", script, (command_job){ .memory_bytes = 1ull << 30 });
    if (r.end != COMMAND_EXITED || r.code != 0 || strcmp(buf_text(&r.output), "denied\n") != 0)
        fail_msg("%s: end %d, code %d, '%s' '%s'", what, r.end, r.code, buf_text(&r.output), r.errors);
    command_result_clear(&r);
}

static void text_in_text_out(void **state)
{
    (void)state;
    command_result r = run("/usr/bin/python3", "import sys, os, threading\nt = sys.stdin.read()\n"
                           "w = threading.Thread(target=lambda: print(len(t), os.getcwd(), sorted(os.environ)))\n"
                           "w.start(); w.join()\nprint('hm\\x01\\n', file=sys.stderr)\nsys.exit(3)",
                           (command_job){ .input = "Gr\xC3\xBC\xC3\x9F" "e", .n_input = 7 });
    char wanted[200];
    snprintf(wanted, sizeof wanted, "5 %s ['HOME', 'LANG', 'PATH', 'PYTHONDONTWRITEBYTECODE']\n", dir);
    assert_string_equal(buf_text(&r.output), wanted);
    assert_int_equal(r.end, COMMAND_EXITED);
    assert_int_equal(r.code, 3);
    assert_string_equal(r.errors, "hm");
    command_result_clear(&r);
    /* more input than a pipe holds, not read; more output than a pipe holds */
    static char big[3 << 20];
    memset(big, 'x', sizeof big);
    r = run("/bin/sh", "echo fine >/dev/stdout 2>/dev/null", (command_job){ .input = big, .n_input = sizeof big });
    assert_string_equal(buf_text(&r.output), "fine\n");
    command_result_clear(&r);
    r = run("/usr/bin/python3", "import sys\nsys.stdout.write(sys.stdin.read())",
            (command_job){ .input = big, .n_input = sizeof big, .output_max = sizeof big });
    assert_int_equal(r.end, COMMAND_EXITED);
    assert_int_equal(r.output.len, sizeof big);
    command_result_clear(&r);
}

static void network(void **state)
{
    (void)state;
    denied("TCP", "socket.create_connection(('127.0.0.1', 80), 1)");
    denied("UDP", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))");
    denied("a Unix socket", "socket.socket(socket.AF_UNIX)");
    denied("a pair", "socket.socketpair()");
    denied("netlink", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)");
}

static void writing(void **state)
{
    (void)state;
    char attempt[400], kept[96], content[8] = "";
    snprintf(kept, sizeof kept, "%s/kept", dir);
    FILE *f = fopen(kept, "w");
    assert_non_null(f);
    assert_true(fputs("kept", f) >= 0);
    fclose(f);
    chmod(kept, 0666);
    denied("a file in the working folder", "open('x', 'w')");
    denied("a file elsewhere", "open('/tmp/hearth-command-file', 'w')");
    denied("a folder", "os.mkdir('x')");
    denied("an existing file", "open('kept', 'r+').write('gone')");
    denied("truncation", "os.truncate('kept', 0)");
    denied("a mapping", "mmap.mmap(os.open('kept', os.O_RDWR), 4)[0]");
    denied("removal", "os.unlink('kept')");
    denied("renaming", "os.rename('kept', 'x')");
    denied("a link", "os.symlink('/etc', 'x')");
    denied("rights", "os.chmod('kept', 0o777)");
    denied("times", "os.utime('kept', (1, 1))");
    denied("a file in memory", "os.memfd_create('x')");
    command_result r = run("/bin/sh", "echo x >/dev/null && read -r line <kept; echo \"$line\"", (command_job){ 0 });
    assert_string_equal(buf_text(&r.output), "kept\n"); /* reading and /dev/null are let be */
    command_result_clear(&r);
    f = fopen(kept, "r");
    assert_non_null(f);
    assert_non_null(fgets(content, sizeof content, f));
    fclose(f);
    assert_string_equal(content, "kept");
    unlink(kept);
    snprintf(attempt, sizeof attempt, "open('%s')", getenv("HOME") ? "/proc/self/environ" : "/proc/1/environ");
    denied("what others' processes hold", attempt);
}

static void processes(void **state)
{
    (void)state;
    denied("fork", "os.fork()");
    denied("a program of its own", "import subprocess; subprocess.run(['/bin/true'])");
    denied("a signal", "os.kill(os.getppid(), 0)");
    denied("a session", "os.setsid()");
    denied("limits", "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))");
    denied("memory", "bytearray(2 << 30)");
    denied("tracing", "(lambda c: c.ptrace(16, os.getppid(), 0, 0) == 0 or (_ for _ in ()).throw(OSError()))"
                      "(ctypes.CDLL(None))");
    command_result r = run("/bin/sh", "echo a b | sed s/a/c/", (command_job){ 0 });
    assert_true(r.code != 0 || r.output.len == 0);
    command_result_clear(&r);
    r = run("/bin/sh", "echo a b | sed s/a/c/", (command_job){ .processes = 8 });
    assert_string_equal(buf_text(&r.output), "c b\n");
    command_result_clear(&r);
}

/* Everything that a program starts is gone when the run is over, also what it left behind on purpose. */
static size_t sleepers(const char *mark)
{
    size_t n = 0;
    DIR *d = opendir("/proc");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[300], line[400];
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        size_t got = f ? fread(line, 1, sizeof line - 1, f) : 0;
        if (f)
            fclose(f);
        n += got && memmem(line, got, mark, strlen(mark)) != NULL;
    }
    closedir(d);
    return n;
}

static void ends(void **state)
{
    (void)state;
    uint64_t since = clock_mono_us();
    char text[100];
    command_job c = { .wall_ms = 300 };
    command_result r = run("/usr/bin/python3", "import time\ntime.sleep(1000)", c);
    assert_int_equal(r.end, COMMAND_TIMED_OUT);
    assert_string_equal(command_how_ended(&c, &r, text, sizeof text), "no end within 300 ms");
    command_result_clear(&r);
    r = run("/bin/sh", "trap '' TERM INT; while :; do :; done", c);
    assert_int_equal(r.end, COMMAND_TIMED_OUT);
    command_result_clear(&r);
    assert_true(clock_mono_us() - since < 10000000);
    r = run("/bin/sh", "while :; do echo flood; done", (command_job){ .output_max = 100000 });
    assert_int_equal(r.end, COMMAND_FLOODED);
    assert_true(r.output.len <= 100000);
    command_result_clear(&r);
    r = run("/bin/sh", "while :; do echo flood >&2; done", c);
    assert_int_equal(r.end, COMMAND_TIMED_OUT);
    assert_true(strlen(r.errors) < COMMAND_ERRORS_BYTES && strstr(r.errors, "flood"));
    command_result_clear(&r);
    r = run("/usr/bin/python3", "import ctypes\nctypes.string_at(0)", (command_job){ 0 });
    assert_int_equal(r.end, COMMAND_KILLED);
    assert_int_equal(r.code, SIGSEGV);
    command_result_clear(&r);
    since = clock_mono_us(); /* the program ends, what it started holds the pipe open and would go on */
    r = run("/bin/sh", "sleep 98765 & sleep 98765 & echo done", (command_job){ .processes = 8 });
    assert_int_equal(r.end, COMMAND_EXITED);
    assert_string_equal(buf_text(&r.output), "done\n");
    assert_true(clock_mono_us() - since < 5000000);
    command_result_clear(&r);
    r = run("/usr/bin/python3", "import os, time\n"
            "for i in range(30):\n  if os.fork() == 0: time.sleep(98765)\ntime.sleep(98765)",
            (command_job){ .processes = 40, .wall_ms = 1000 });
    assert_int_equal(r.end, COMMAND_TIMED_OUT);
    command_result_clear(&r);
    for (int i = 0; i < 100 && sleepers("98765"); i++)
        usleep(20000);
    assert_int_equal(sleepers("98765"), 0);
}

static void what_can_start(void **state)
{
    (void)state;
    command_result r;
    error why;
    command_job c = { .path = "/nowhere/program", .dir = dir, .wall_ms = 1000, .output_max = 100 };
    assert_int_equal(command_run(&c, &r, &why), E_NOTFOUND);
    c.path = "/etc/passwd";
    assert_int_equal(command_run(&c, &r, &why), E_NOTFOUND);
    c.path = "/bin/sh";
    c.dir = "/nowhere";
    assert_int_equal(command_run(&c, &r, &why), E_NOTFOUND);
    char path[96];
    snprintf(path, sizeof path, "%s/text", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs("neither a program nor a script\n", f) >= 0);
    fclose(f);
    chmod(path, 0755);
    c.path = path;
    c.dir = dir;
    assert_int_equal(command_run(&c, &r, &why), E_IO);
    assert_non_null(strstr(why.text, "Exec format error"));
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs("#!/bin/sh\npwd\n", f) >= 0);
    fclose(f);
    assert_int_equal(chdir("/tmp"), 0);
    c.path = path + strlen("/tmp/"); /* paths are of our folder, not of the program's */
    c.dir = dir + strlen("/tmp/");
    assert_ok(command_run(&c, &r, err));
    assert_true(str_starts(buf_text(&r.output), dir));
    command_result_clear(&r);
    unlink(path);
}

/* Many at once from many threads, with descriptors of this process that none of them may have. */
static void *many(void *bad)
{
    for (int i = 0; i < 10; i++) {
        command_result r = run("/usr/bin/python3", "import os\nn = 0\nfor i in range(3, 256):\n  try:\n"
                               "    os.fstat(i)\n    n += 1\n  except OSError: pass\nprint(n)", (command_job){ 0 });
        if (r.end != COMMAND_EXITED || strcmp(buf_text(&r.output), "0\n") != 0)
            ++*(int *)bad;
        command_result_clear(&r);
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    enum { N = 4 };
    pthread_t t[N];
    int bad[N] = { 0 };
    int leak = dup(1); /* without close-on-exec */
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&t[i], NULL, many, &bad[i]), 0);
    for (int i = 0; i < N; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(bad[i], 0);
    }
    close(leak);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_in_text_out, setup, teardown),
        cmocka_unit_test_setup_teardown(network, setup, teardown),
        cmocka_unit_test_setup_teardown(writing, setup, teardown),
        cmocka_unit_test_setup_teardown(processes, setup, teardown),
        cmocka_unit_test_setup_teardown(ends, setup, teardown),
        cmocka_unit_test_setup_teardown(what_can_start, setup, teardown),
        cmocka_unit_test_setup_teardown(threads, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
