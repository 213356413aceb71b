/* command.c: see the header. The input is a file in memory, so that a program that does not read it blocks nobody. Its
 * process group is killed before the program itself is reaped: until then the group's number cannot be another's. */
#include "plat/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/utf8.h"
#include "plat/clock.h"
#include "plat/sandbox_int.h"

enum { OPEN_FILES = 256, PIECE = 16384 };
/* Descriptors of the child: 0, 1 and 2, and two that are closed by exec. */
enum { CHILD_REPORT = 3, CHILD_BOX = 4, CHILD_FDS = 5 };

/* One run. Descriptors are -1 when closed. */
typedef struct running {
    const command_job *c;
    sandbox_ready box;
    char path[PATH_MAX]; /* absolute: the child changes its folder before exec */
    const char *argv[COMMAND_ARGS_MAX + 2];
    int in, out[2], errors[2], report[2]; /* report: errno when exec fails */
    pid_t pid;
    int pidfd;
    uint64_t deadline_us;
} running;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- the child: system calls only ---- */

static void limit(int what, rlim_t most)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max < most)
        most = now.rlim_max;
    setrlimit((__rlimit_resource_t)what, &(struct rlimit){ most, most });
}

/* After the sandbox's own user namespace was entered, where processes are counted anew. The program itself is one. */
static void set_limits(const command_job *c)
{
    limit(RLIMIT_CPU, (c->wall_ms + 999) / 1000 + 1); /* of each process; wall_ms ends them all */
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, OPEN_FILES);
    limit(RLIMIT_MEMLOCK, 0);
    if (c->memory_bytes)
        limit(RLIMIT_AS, c->memory_bytes);
    if (c->processes)
        limit(RLIMIT_NPROC, c->processes + 1);
}

static void give_up(int report, int e)
{
    ssize_t ignored = write(report, &e, sizeof e);
    (void)ignored;
    _exit(127);
}

static void become(const running *r, pid_t parent)
{
    static const char *const env[] = { "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/",
                                       "PYTHONDONTWRITEBYTECODE=1", NULL };
    sigset_t none;
    sigemptyset(&none);
    for (int s = 1; s < 32; s++)
        signal(s, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* above 10 first, so that nothing that is moved to its place overwrites what still has to move */
    int fds[CHILD_FDS] = { r->in, r->out[1], r->errors[1], r->report[1], r->box.ruleset };
    for (int i = 0; i < CHILD_FDS; i++)
        fds[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD, 10);
    for (int i = 0; i < CHILD_FDS; i++)
        if (fds[i] < 0 ? i != CHILD_BOX : dup2(fds[i], i) < 0)
            give_up(fds[CHILD_REPORT], errno);
    fcntl(CHILD_REPORT, F_SETFD, FD_CLOEXEC);
    fcntl(CHILD_BOX, F_SETFD, FD_CLOEXEC);
    syscall(SYS_close_range, CHILD_FDS, ~0u, 0);
    if (getppid() != parent)
        give_up(CHILD_REPORT, ECHILD);
    sandbox_ready box = { r->box.filter, r->box.n_filter, r->box.ruleset < 0 ? -1 : CHILD_BOX };
    if (chdir(r->c->dir) != 0)
        give_up(CHILD_REPORT, errno);
    if (!sandbox_apply_spaces(&box))
        give_up(CHILD_REPORT, EPERM);
    set_limits(r->c);
    if (!sandbox_apply_filter(&box))
        give_up(CHILD_REPORT, EPERM);
    execve(r->path, (char *const *)(uintptr_t)r->argv, (char *const *)(uintptr_t)env);
    give_up(CHILD_REPORT, errno);
}

/* ---- the parent ---- */

/* What the program reads: a file without a name, at its beginning. */
static status make_input(running *r, error *err)
{
    r->in = memfd_create("input", MFD_CLOEXEC);
    for (size_t at = 0; r->in >= 0 && at < r->c->n_input;) {
        ssize_t n = write(r->in, r->c->input + at, r->c->n_input - at);
        if (n < 0 && errno != EINTR)
            close_fd(&r->in);
        at += n > 0 ? (size_t)n : 0;
    }
    if (r->in < 0 || lseek(r->in, 0, SEEK_SET) != 0)
        return fail(err, E_IO, "%s: no room for its input: %s", r->c->path, strerror(errno));
    return OK;
}

static status make_pipes(running *r, error *err)
{
    if (pipe2(r->out, O_CLOEXEC) != 0 || pipe2(r->errors, O_CLOEXEC) != 0 || pipe2(r->report, O_CLOEXEC) != 0)
        return fail(err, E_IO, "%s: pipe: %s", r->c->path, strerror(errno));
    fcntl(r->out[0], F_SETFL, O_NONBLOCK);
    fcntl(r->errors[0], F_SETFL, O_NONBLOCK);
    return OK;
}

static status find_program(running *r, error *err)
{
    const command_job *c = r->c;
    struct stat st;
    char here[PATH_MAX] = "";
    if (c->path[0] != '/' && !getcwd(here, sizeof here))
        return fail(err, E_IO, "%s: %s", c->path, strerror(errno));
    int n = snprintf(r->path, sizeof r->path, "%s%s%s", here, here[0] ? "/" : "", c->path);
    if (n < 0 || (size_t)n >= sizeof r->path)
        return fail(err, E_RANGE, "%s: the path is too long", c->path);
    if (stat(c->path, &st) != 0 || !S_ISREG(st.st_mode))
        return fail(err, E_NOTFOUND, "%s: no such program", c->path);
    if (access(c->path, X_OK) != 0)
        return fail(err, E_NOTFOUND, "%s: not executable (chmod +x)", c->path);
    if (stat(c->dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return fail(err, E_NOTFOUND, "%s: no such folder", c->dir);
    return c->n_args <= COMMAND_ARGS_MAX ? OK : fail(err, E_RANGE, "%s: too many arguments", c->path);
}

static status start(running *r, error *err)
{
    pid_t self = getpid();
    int e = 0;
    ssize_t n;
    r->argv[0] = r->path;
    for (size_t i = 0; i < r->c->n_args; i++)
        r->argv[i + 1] = r->c->args[i];
    r->deadline_us = clock_mono_us() + (uint64_t)r->c->wall_ms * 1000;
    r->pid = fork();
    if (r->pid == 0)
        become(r, self);
    if (r->pid < 0)
        return fail(err, E_IO, "%s cannot be started: %s", r->c->path, strerror(errno));
    setpgid(r->pid, r->pid); /* whoever is first; after exec it fails, and was done */
    close_fd(&r->out[1]);
    close_fd(&r->errors[1]);
    close_fd(&r->report[1]);
    do
        n = read(r->report[0], &e, sizeof e); /* end of file when exec worked */
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof e)
        return fail(err, e == EPERM ? E_UNSUPPORTED : E_IO, "%s cannot be started%s: %s", r->c->path,
                    e == EPERM ? " in a sandbox" : "", strerror(e));
    r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
    return OK;
}

/* All that is there now. False: no more will come. */
static bool drain(int fd, buf *into, size_t keep_last, bool *flooded)
{
    char piece[PIECE];
    ssize_t n;
    while ((n = read(fd, piece, sizeof piece)) > 0) {
        if (keep_last && into->len + (size_t)n > 2 * keep_last)
            buf_drop(into, into->len);
        if (!keep_last && into->len + (size_t)n > into->max)
            *flooded = true;
        else
            buf_add(into, piece, (size_t)n);
        if (*flooded)
            return false;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

/* Until it has ended, floods, or is late. */
static void watch(running *r, command_result *out, buf *errors)
{
    bool more[2] = { true, true }, flooded = false;
    for (;;) {
        uint64_t now = clock_mono_us();
        bool ended = has_ended(r->pid), late = now >= r->deadline_us;
        more[0] = more[0] && drain(r->out[0], &out->output, 0, &flooded);
        more[1] = more[1] && drain(r->errors[0], errors, COMMAND_ERRORS_BYTES, &(bool){ false });
        if (flooded || (late && !ended))
            out->end = flooded ? COMMAND_FLOODED : COMMAND_TIMED_OUT;
        if (ended || late || flooded)
            return;
        uint64_t left = (r->deadline_us - now + 999) / 1000;
        struct pollfd wait[3] = { { .fd = more[0] ? r->out[0] : -1, .events = POLLIN },
                                  { .fd = more[1] ? r->errors[0] : -1, .events = POLLIN },
                                  { .fd = r->pidfd, .events = POLLIN } };
        poll(wait, 3, r->pidfd < 0 ? 5 : left > 1000 ? 1000 : (int)left);
    }
}

/* The end of the standard error, as text that may stand in a sentence. */
static void tell_errors(const buf *errors, char out[COMMAND_ERRORS_BYTES])
{
    const char *text = buf_text(errors);
    size_t n = errors->len, from = n >= COMMAND_ERRORS_BYTES ? n - COMMAND_ERRORS_BYTES + 1 : 0, at = 0;
    while (from < n && ((unsigned char)text[from] & 0xC0) == 0x80)
        from++;
    for (; from < n; from++)
        out[at++] = (unsigned char)text[from] < ' ' || text[from] == 127 ? ' ' : text[from];
    while (at && out[at - 1] == ' ')
        at--;
    out[at] = 0;
    if (!utf8_valid(out, at))
        for (size_t i = 0; i < at; i++)
            out[i] = (unsigned char)out[i] < 128 ? out[i] : '?';
}

/* Whoever of the group is still there is killed, then the program is reaped. */
static void finish(running *r, command_result *out, buf *errors)
{
    int how = 0;
    bool flooded = false;
    kill(-r->pid, SIGKILL);
    kill(r->pid, SIGKILL);
    while (waitpid(r->pid, &how, 0) < 0 && errno == EINTR)
        ;
    if (out->end == COMMAND_EXITED) {
        (void)drain(r->out[0], &out->output, 0, &flooded);
        (void)drain(r->errors[0], errors, COMMAND_ERRORS_BYTES, &(bool){ false });
        out->end = flooded ? COMMAND_FLOODED : WIFSIGNALED(how) ? COMMAND_KILLED : COMMAND_EXITED;
        out->code = WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how);
    }
}

status command_run(const command_job *c, command_result *out, error *err)
{
    running r = { .c = c, .box = { .ruleset = -1 }, .in = -1, .out = { -1, -1 }, .errors = { -1, -1 },
                  .report = { -1, -1 }, .pidfd = -1 };
    command_result result = { .end = COMMAND_EXITED, .output = BUF_INIT(c->output_max) };
    buf errors = BUF_INIT(2 * COMMAND_ERRORS_BYTES + PIECE);
    status s = find_program(&r, err);
    if (!s)
        s = sandbox_prepare(&r.box, r.path, c->dir, c->processes > 0, err);
    if (!s)
        s = make_input(&r, err);
    if (!s)
        s = make_pipes(&r, err);
    if (!s)
        s = start(&r, err);
    if (!s)
        watch(&r, &result, &errors);
    if (r.pid > 0)
        finish(&r, &result, &errors);
    if (!s && result.output.failed)
        s = fail(err, E_NOMEM, "%s: no memory for its output", c->path);
    int *fds[] = { &r.in, &r.out[0], &r.out[1], &r.errors[0], &r.errors[1], &r.report[0], &r.report[1], &r.pidfd };
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close_fd(fds[i]);
    sandbox_ready_clear(&r.box);
    if (s) {
        buf_clear(&result.output);
    } else {
        tell_errors(&errors, result.errors);
        *out = result;
    }
    buf_clear(&errors);
    return s;
}

void command_result_clear(command_result *r)
{
    buf_clear(&r->output);
}

const char *command_how_ended(const command_job *c, const command_result *r, char *text, size_t bytes)
{
    switch (r->end) {
    case COMMAND_EXITED: snprintf(text, bytes, "exit status %d", r->code); break;
    case COMMAND_KILLED: snprintf(text, bytes, "signal %d (%s)", r->code, strsignal(r->code)); break;
    case COMMAND_TIMED_OUT: snprintf(text, bytes, "no end within %u ms", c->wall_ms); break;
    default: snprintf(text, bytes, "more than %zu bytes of output", c->output_max); break;
    }
    return text;
}
