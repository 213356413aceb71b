/* sandbox_command.c: the sandbox of a program that somebody else wrote (command.h). The filter is compiled and the
 * ruleset made before the fork, because after it this process's locks may be held by threads that are not there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/sandbox_int.h"

enum { FILTER_BYTES_MAX = 1 << 18, CAPABILITIES_MAX = 64 };

/* ---- Landlock ---- */

#define LL_READ (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static void allow(int ruleset, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access };
    struct stat st;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= ~(uint64_t)LANDLOCK_ACCESS_FS_READ_DIR;
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

/* An interpreter's libraries lie beside its folder: of …/venv/bin/python, those in …/venv/lib. */
static void allow_program(int ruleset, const char *path)
{
    static const char *const beside[] = { "bin", "lib", "lib64", "libexec", "share", "pyvenv.cfg" };
    const char *name = strrchr(path, '/');
    char other[4096];
    allow(ruleset, path, LL_READ);
    if (!name || name - path < 5 || strncmp(name - 4, "/bin", 4) != 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(beside); i++) {
        int n = snprintf(other, sizeof other, "%.*s/%s", (int)(name - 4 - path), path, beside[i]);
        if (n > 0 && (size_t)n < sizeof other)
            allow(ruleset, other, LL_READ);
    }
}

static int make_ruleset(int abi, const char *path, const char *dir)
{
    static const char *const system[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix",
                                          "/gnu", "/dev/zero", "/dev/urandom", "/dev/random" };
    struct ll_ruleset attr = { 0 };
    size_t bytes = sandbox_ruleset(abi, true, &attr);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, bytes, 0);
    if (ruleset < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(system); i++)
        allow(ruleset, system[i], LL_READ);
    allow(ruleset, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                    (abi >= 3 ? LL_FS_TRUNCATE : 0));
    allow_program(ruleset, path);
    allow(ruleset, dir, LL_READ);
    return ruleset;
}

/* ---- seccomp ---- */

static const int denied[] = {
    /* network, and ways to a socket of others */
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept),
    SCMP_SYS(accept4), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter),
    /* other processes, and its own group */
    SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(kill), SCMP_SYS(tkill),
    SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(setsid), SCMP_SYS(setpgid), SCMP_SYS(setrlimit), SCMP_SYS(setpriority), SCMP_SYS(ioprio_set),
    /* the system */
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(pivot_root),
    SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key),
    SCMP_SYS(userfaultfd), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime),
    SCMP_SYS(fsopen), SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(open_by_handle_at), SCMP_SYS(shmget),
    SCMP_SYS(msgget), SCMP_SYS(semget), SCMP_SYS(mq_open), SCMP_SYS(memfd_create),
    /* files */
    SCMP_SYS(creat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
    SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink),
    SCMP_SYS(symlinkat), SCMP_SYS(truncate), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(chmod),
    SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(lchown), SCMP_SYS(fchownat),
    SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(fsetxattr),
    SCMP_SYS(removexattr), SCMP_SYS(lremovexattr), SCMP_SYS(fremovexattr), SCMP_SYS(utime), SCMP_SYS(utimes),
    SCMP_SYS(utimensat), SCMP_SYS(futimesat),
};

static const uint32_t deny = SCMP_ACT_ERRNO(EPERM);

/* A rule for a call that this architecture does not have is no loss. */
static int add(scmp_filter_ctx f, uint32_t action, int call)
{
    int e = seccomp_rule_add(f, action, call, 0);
    return e == -EDOM || e == -EINVAL || e == -EACCES ? 0 : e;
}

/* Where no Landlock of version 3 says which files may be written, none may be opened for it. */
static int no_writing(scmp_filter_ctx f)
{
    static const struct {
        scmp_datum_t mask, value;
    } flags[] = { { O_ACCMODE, O_WRONLY }, { O_ACCMODE, O_RDWR }, { O_CREAT, O_CREAT }, { O_TRUNC, O_TRUNC } };
    int e = add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2));
    for (size_t i = 0; i < ARRAY_LEN(flags) && !e; i++) {
        e = seccomp_rule_add(f, deny, SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, flags[i].mask, flags[i].value));
        if (!e)
            e = seccomp_rule_add(f, deny, SCMP_SYS(open), 1,
                                 SCMP_A1(SCMP_CMP_MASKED_EQ, flags[i].mask, flags[i].value));
        e = e == -EDOM || e == -EINVAL ? 0 : e; /* no open() on newer architectures */
    }
    return e;
}

static int rules(scmp_filter_ctx f, bool may_fork, bool strict)
{
    int e = 0;
    for (size_t i = 0; i < ARRAY_LEN(denied) && !e; i++)
        e = add(f, deny, denied[i]);
    if (!e) /* falls back to clone, whose flags can be seen */
        e = add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3));
    if (!e)
        e = seccomp_rule_add(f, deny, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER));
    if (!e) /* asking for limits is let be */
        e = seccomp_rule_add(f, deny, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_NE, 0));
    if (!e && !may_fork) {
        e = seccomp_rule_add(f, deny, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
        if (!e)
            e = add(f, deny, SCMP_SYS(fork));
        if (!e)
            e = add(f, deny, SCMP_SYS(vfork));
    }
    return e || !strict ? e : no_writing(f);
}

static status read_filter(sandbox_ready *out, scmp_filter_ctx f, error *err)
{
    int fd = memfd_create("filter", MFD_CLOEXEC), e = fd < 0 ? -errno : seccomp_export_bpf(f, fd);
    off_t n = e ? -1 : lseek(fd, 0, SEEK_END);
    status s = OK;
    if (n <= 0 || n > FILTER_BYTES_MAX || n % (off_t)sizeof(struct sock_filter))
        s = fail(err, E_UNSUPPORTED, "sandbox: libseccomp cannot make a filter here (error %d)", -e);
    void *filter = s ? NULL : mem_alloc((size_t)n);
    if (!s && !filter)
        s = fail(err, E_NOMEM, "no memory for a sandbox");
    if (!s && pread(fd, filter, (size_t)n, 0) != (ssize_t)n)
        s = fail(err, E_IO, "sandbox: the filter cannot be read back: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    if (s) {
        mem_free(filter);
        return s;
    }
    out->filter = filter;
    out->n_filter = (unsigned short)((size_t)n / sizeof(struct sock_filter));
    return OK;
}

status sandbox_prepare(sandbox_ready *out, const char *path, const char *dir, bool may_fork, error *err)
{
    sandbox_ready r = { .ruleset = -1 };
    int abi = sandbox_landlock_abi();
    if (abi)
        r.ruleset = make_ruleset(abi, path, dir);
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int e = f ? rules(f, may_fork, r.ruleset < 0 || abi < 3) : -ENOMEM;
    status s = e ? fail(err, E_UNSUPPORTED, "sandbox: libseccomp cannot make a filter here (error %d)", -e)
                 : read_filter(&r, f, err);
    if (f)
        seccomp_release(f);
    if (s)
        sandbox_ready_clear(&r);
    else
        *out = r;
    return s;
}

void sandbox_ready_clear(sandbox_ready *s)
{
    if (s->ruleset >= 0)
        close(s->ruleset);
    mem_free(s->filter);
    *s = (sandbox_ready){ .ruleset = -1 };
}

bool sandbox_apply_spaces(const sandbox_ready *s)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false;
    (void)(unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) == 0 || unshare(CLONE_NEWNET) == 0);
    for (int cap = 0; cap < CAPABILITIES_MAX; cap++) /* what root may do, exec would give back */
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    return s->ruleset < 0 || syscall(SYS_landlock_restrict_self, s->ruleset, 0) == 0;
}

bool sandbox_apply_filter(const sandbox_ready *s)
{
    struct sock_fprog program = { s->n_filter, s->filter };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
