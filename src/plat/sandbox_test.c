/* sandbox_test.c: the self-test. Each attempt is made so that it does no harm where it succeeds; "denied" is EPERM,
 * which none of them would answer by itself (exec of a file that is not there says ENOENT, ...). */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "plat/sandbox.h"

static long try_socket_inet(void)
{
    return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static long try_socket_inet6(void)
{
    return syscall(SYS_socket, AF_INET6, SOCK_DGRAM, 0);
}

static long try_socket_unix(void)
{
    return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static long try_socket_netlink(void)
{
    return syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0);
}

static long try_connect(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };
    return syscall(SYS_connect, -1, &a, sizeof a);
}

static long try_bind(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    return syscall(SYS_bind, -1, &a, sizeof a);
}

static long try_listen(void)
{
    return syscall(SYS_listen, -1, 1);
}

static long try_open(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC, 0);
}

static long try_open_write(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/dev/null", O_WRONLY | O_CLOEXEC, 0);
}

static long try_make(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/nonexistent/hearth-self-test", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long try_empty(void)
{
    return syscall(SYS_openat, AT_FDCWD, "/nonexistent/hearth-self-test", O_RDONLY | O_TRUNC | O_CLOEXEC, 0);
}

static long try_unlink(void)
{
    return syscall(SYS_unlinkat, AT_FDCWD, "/nonexistent/hearth-self-test", 0);
}

static long try_exec(void)
{
    static char *none[] = { NULL };
    return syscall(SYS_execve, "/nonexistent/hearth-self-test", none, none);
}

/* A fork that succeeded would leave a child: it ends at once. */
static long try_fork(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        syscall(SYS_exit_group, 0);
    return pid;
}

static long try_ptrace(void)
{
    return syscall(SYS_ptrace, PTRACE_ATTACH, -1, 0, 0);
}

static long try_vm_read(void)
{
    struct iovec none = { 0 };
    return syscall(SYS_process_vm_readv, getppid(), &none, 1, &none, 1, 0);
}

static long try_io_uring(void)
{
    return syscall(SYS_io_uring_setup, 0, NULL);
}

static long try_kill(void)
{
    return syscall(SYS_kill, -0x7fffffff, 0);
}

static long try_code(void)
{
    static _Alignas(65536) unsigned char page[65536];
    long r = syscall(SYS_mprotect, page, sizeof page, PROT_READ | PROT_EXEC);
    if (r == 0)
        syscall(SYS_mprotect, page, sizeof page, PROT_READ | PROT_WRITE);
    return r;
}

static long try_memfd(void)
{
    return syscall(SYS_memfd_create, "hearth", 0x80000000u);
}

#define C (1u << SANDBOX_COMPUTE)
#define N (1u << SANDBOX_NETWORK)
#define O (1u << SANDBOX_OFFLINE)
#define F (1u << SANDBOX_FETCH)
#ifdef __SANITIZE_ADDRESS__ /* see offline_denied */
#define O_TRACE 0u
#else
#define O_TRACE O
#endif

static const struct attempt {
    const char *name;
    long (*run)(void);
    unsigned in;     /* forbidden in which sandboxes */
    bool descriptor;       /* what it returns when it succeeds must be closed */
} attempts[] = {
    { "socket(AF_INET)", try_socket_inet, C | O, true },
    { "socket(AF_INET6)", try_socket_inet6, C | O, true },
    { "socket(AF_UNIX)", try_socket_unix, C | O, true },
    { "socket(AF_NETLINK)", try_socket_netlink, C | O, true },
    { "connect", try_connect, C | O, false },
    { "bind", try_bind, C | O, false },
    { "listen", try_listen, C | N | F | O, false },
    { "open for reading", try_open, C, true },
    { "open for writing", try_open_write, C | N, true },
    { "make a file", try_make, C | N, true },
    { "empty a file", try_empty, C | N, true },
    { "unlink", try_unlink, C | N, false },
    { "exec", try_exec, C | N | F | O, false },
    { "fork", try_fork, C | N | F, false },
    { "ptrace", try_ptrace, C | N | F | O_TRACE, false },
    { "process_vm_readv", try_vm_read, C | N | F | O, false },
    { "io_uring_setup", try_io_uring, C | N | F | O, true },
    { "kill", try_kill, C | N | F, false },
    { "mprotect(PROT_EXEC)", try_code, C, false },
    { "memfd_create", try_memfd, C | N | F, true },
};

bool sandbox_test(sandbox_kind kind, sandbox_report *report)
{
    bool all = true;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
        const struct attempt *a = &attempts[i];
        if (!(a->in & 1u << kind) || report->n_checks == SANDBOX_CHECKS_MAX)
            continue;
        errno = 0;
        long r = a->run();
        int e = r >= 0 ? 0 : errno;
        if (r >= 0 && a->descriptor)
            close((int)r);
        report->checks[report->n_checks++] = (sandbox_check){ a->name, e, e == EPERM };
        all = all && e == EPERM;
    }
    return all;
}

size_t sandbox_test_count(sandbox_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
        n += (attempts[i].in & 1u << kind) != 0;
    return n;
}

js *sandbox_test_paths(const js *paths)
{
    js *list = js_array();
    for (size_t i = 0; i < js_len(paths); i++) {
        const char *path = js_text(js_at(paths, i));
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1, e = fd >= 0 ? 0 : errno;
        if (fd >= 0)
            close(fd);
        js *o = js_object();
        js_set(o, "path", js_new_string(path ? path : ""));
        js_set(o, "errno", js_new_int(e));
        js_set(o, "denied", js_new_bool(path && (e == EACCES || e == EPERM)));
        js_push(list, o);
    }
    return list;
}

js *sandbox_to_js(const sandbox_report *r)
{
    js *j = js_object(), *checks = js_array();
    for (size_t i = 0; i < r->n_checks; i++) {
        js *c = js_object();
        js_set(c, "name", js_new_string(r->checks[i].name));
        js_set(c, "errno", js_new_int(r->checks[i].error));
        js_set(c, "denied", js_new_bool(r->checks[i].denied));
        js_push(checks, c);
    }
    js_set(j, "seccomp", js_new_bool(r->seccomp));
    js_set(j, "landlock", js_new_bool(r->landlock));
    js_set(j, "landlock_abi", js_new_int(r->landlock_abi));
    js_set(j, "empty_network", js_new_bool(r->empty_network));
    js_set(j, "no_new_privs", js_new_bool(r->no_new_privs));
    js_set(j, "dumpable", js_new_bool(r->dumpable));
    js_set(j, "dies_with_parent", js_new_bool(r->dies_with_parent));
    js_set(j, "checks", checks);
    return j;
}
