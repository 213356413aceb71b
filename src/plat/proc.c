/* proc.c: see the header. Between fork and exec only async-signal-safe calls: the parent may have threads. */
#include "plat/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "plat/msg.h"

extern char **environ;

/* ---- finding ---- */

static bool runs(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

status proc_find(char out[PROC_PATH_MAX], const char *helper, error *err)
{
    char dir[PROC_PATH_MAX / 2], path[PROC_PATH_MAX];
    const char *fixed = getenv("HEARTH_LIBEXEC");
    if (fixed && fixed[0]) {
        snprintf(path, sizeof path, "%s/%s", fixed, helper);
        if (!runs(path))
            return fail(err, E_NOTFOUND, "%s: no such program (HEARTH_LIBEXEC names the folder)", path);
        memcpy(out, path, sizeof path);
        return OK;
    }
    ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);
    if (n <= 0)
        return fail(err, E_IO, "/proc/self/exe: %s", strerror(errno));
    dir[n] = 0;
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    static const char *const places[] = { "", "/../libexec/hearth" };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(path, sizeof path, "%s%s/%s", dir, places[i], helper);
        if (runs(path)) {
            memcpy(out, path, sizeof path);
            return OK;
        }
    }
    return fail(err, E_NOTFOUND, "%s is neither in %s nor in %s/../libexec/hearth", helper, dir, dir);
}

/* ---- starting ---- */

enum { ENV_MAX = 64 };
static const char *const always_kept[] = { "HEARTH_LOG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                           "TSAN_OPTIONS" };

static bool env_is(const char *entry, const char *name)
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '*')
        return strncmp(entry, name, n - 1) == 0;
    return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static void env_choose(char *out[ENV_MAX + 1], const char *const *keep)
{
    size_t n = 0;
    for (char **e = environ; e && *e && n < ENV_MAX; e++) {
        bool wanted = false;
        for (size_t i = 0; i < ARRAY_LEN(always_kept) && !wanted; i++)
            wanted = env_is(*e, always_kept[i]);
        for (size_t i = 0; keep && keep[i] && !wanted; i++)
            wanted = env_is(*e, keep[i]);
        if (wanted)
            out[n++] = *e;
    }
    out[n] = NULL;
}

typedef struct birth {
    const char *path;
    char **env;
    int child_fd, report_fd; /* the helper's end; where it writes errno when exec fails */
    int pid, error;          /* the answer */
    bool done;
} birth;

/* The child's side. Never returns. */
static void become(const birth *b, pid_t parent)
{
    static char *no_args[] = { NULL, NULL };
    int null = open("/dev/null", O_RDWR);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    no_args[0] = (char *)(uintptr_t)b->path;
    /* above 10 first, so that nothing that is moved to its place overwrites what still has to move */
    int fd = fcntl(b->child_fd, F_DUPFD, 10), report = fcntl(b->report_fd, F_DUPFD, 10);
    if (null < 0 || fd < 0 || report < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(fd, PROC_HELPER_FD) < 0 ||
        dup2(report, PROC_HELPER_FD + 1) < 0)
        _exit(127);
    fcntl(PROC_HELPER_FD + 1, F_SETFD, FD_CLOEXEC);
    syscall(SYS_close_range, PROC_HELPER_FD + 2, ~0u, 0);
    setpgid(0, 0); /* Ctrl-C in the terminal is the front's to handle */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    execve(b->path, no_args, b->env);
    int e = errno;
    ssize_t ignored = write(PROC_HELPER_FD + 1, &e, sizeof e);
    (void)ignored;
    _exit(127);
}

/* The thread that forks. A fork of this process has no such thread, and a condition variable that remembers a waiter
 * who is not there would hang: so its copy begins anew. */
static struct midwife {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    birth *next;
    bool running;
} midwife = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, false };
static pthread_once_t midwife_once = PTHREAD_ONCE_INIT;

static void forget_midwife(void)
{
    midwife = (struct midwife){ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, false };
}

static void watch_forks(void)
{
    (void)pthread_atfork(NULL, NULL, forget_midwife);
}

static void *midwife_main(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&midwife.lock);
    for (;;) {
        while (!midwife.next || midwife.next->done)
            pthread_cond_wait(&midwife.changed, &midwife.lock);
        birth *b = midwife.next;
        pid_t self = getpid();
        b->pid = fork();
        if (b->pid == 0)
            become(b, self);
        b->error = b->pid < 0 ? errno : 0;
        b->done = true;
        pthread_cond_broadcast(&midwife.changed);
    }
    return NULL;
}

static int give_birth(birth *b)
{
    pthread_once(&midwife_once, watch_forks);
    pthread_mutex_lock(&midwife.lock);
    if (!midwife.running) {
        pthread_t thread;
        sigset_t all, old;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        int e = pthread_create(&thread, NULL, midwife_main, NULL);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (e) {
            pthread_mutex_unlock(&midwife.lock);
            return e;
        }
        pthread_detach(thread);
        midwife.running = true;
    }
    while (midwife.next)
        pthread_cond_wait(&midwife.changed, &midwife.lock);
    midwife.next = b;
    pthread_cond_broadcast(&midwife.changed);
    while (!b->done)
        pthread_cond_wait(&midwife.changed, &midwife.lock);
    midwife.next = NULL;
    pthread_cond_broadcast(&midwife.changed);
    pthread_mutex_unlock(&midwife.lock);
    return b->error;
}

status proc_spawn(proc *out, int *fd, const char *path, const char *const *keep, error *err)
{
    char *env[ENV_MAX + 1];
    int pair[2], report[2];
    status s = msg_pair(pair, err);
    if (s)
        return s;
    if (pipe2(report, O_CLOEXEC) != 0) {
        s = fail(err, E_IO, "pipe: %s", strerror(errno));
        close(pair[0]);
        close(pair[1]);
        return s;
    }
    env_choose(env, keep);
    birth b = { .path = path, .env = env, .child_fd = pair[1], .report_fd = report[1] };
    int e = give_birth(&b);
    close(pair[1]);
    close(report[1]);
    proc p = { .pid = e ? 0 : b.pid };
    if (!e) {
        ssize_t n;
        do
            n = read(report[0], &e, sizeof e); /* end of file when exec worked */
        while (n < 0 && errno == EINTR);
        if (n != (ssize_t)sizeof e)
            e = 0;
    }
    close(report[0]);
    if (e) {
        proc_stop(&p, 0);
        close(pair[0]);
        return fail(err, E_IO, "%s cannot be started: %s", path, strerror(e));
    }
    *out = p;
    *fd = pair[0];
    return OK;
}

/* ---- ending ---- */

static bool reap(proc *p)
{
    int how;
    pid_t n = waitpid(p->pid, &how, WNOHANG);
    if (n == p->pid || (n < 0 && errno == ECHILD)) {
        p->exit_status = n < 0 ? 0 : how;
        p->ended = true;
    }
    return p->ended;
}

bool proc_wait(proc *p, int timeout_ms)
{
    if (p->pid <= 0 || p->ended || reap(p))
        return true;
    uint64_t deadline = timeout_ms < 0 ? UINT64_MAX : clock_mono_us() + (uint64_t)timeout_ms * 1000;
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    while (!reap(p) && clock_mono_us() < deadline) {
        uint64_t now = clock_mono_us();
        uint64_t left = deadline > now ? (deadline - now + 999) / 1000 : 0;
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        poll(fd >= 0 ? &wait : NULL, fd >= 0, fd >= 0 ? (left > 60000 ? 60000 : (int)left) : 5);
    }
    if (fd >= 0)
        close(fd);
    return p->ended;
}

void proc_stop(proc *p, int grace_ms)
{
    if (p->pid <= 0)
        return;
    if (!proc_wait(p, grace_ms)) {
        kill(p->pid, SIGKILL);
        proc_wait(p, -1);
    }
    p->pid = 0;
}

const char *proc_how_ended(const proc *p, char *text, size_t bytes)
{
    if (!p->ended)
        snprintf(text, bytes, "still runs");
    else if (WIFSIGNALED(p->exit_status))
        snprintf(text, bytes, "was killed by signal %d (%s)", WTERMSIG(p->exit_status),
                 strsignal(WTERMSIG(p->exit_status)));
    else
        snprintf(text, bytes, "ended with exit status %d", WEXITSTATUS(p->exit_status));
    return text;
}

/* ---- for helpers ---- */

bool proc_is_helper(int oom_score_adj)
{
    struct stat st;
    if (fstat(PROC_HELPER_FD, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    fcntl(PROC_HELPER_FD, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
    char text[16];
    int n = snprintf(text, sizeof text, "%d", oom_score_adj);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = write(fd, text, (size_t)n);
        (void)ignored;
        close(fd);
    }
    return true;
}

unsigned long long proc_peak_bytes(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (unsigned long long)u.ru_maxrss * 1024 : 0;
}

bool proc_peak_reset(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "we");
    bool ok = f && fputs("5", f) >= 0;
    if (f && fclose(f) != 0)
        ok = false;
    return ok;
}
