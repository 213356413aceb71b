/* sandbox.c: the layers. Order matters: namespace (needs one thread), Landlock (its calls are not in the allow-list),
 * seccomp last. */
#include "plat/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plat/cpu.h"
#include "plat/sandbox_int.h"

/* ---- Landlock ---- */

/* In a folder: make, write, rename and remove files and folders. */
static const uint64_t write_access =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REFER | LL_FS_TRUNCATE;

/* handled: what this kernel's ruleset knows of. */
static void allow_path(int ruleset, const char *path, bool write, uint64_t handled)
{
    struct landlock_path_beneath_attr rule = { 0 };
    struct stat st;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    rule.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE;
    if (fstat(rule.parent_fd, &st) == 0 && S_ISDIR(st.st_mode))
        rule.allowed_access |= write ? write_access & handled : LANDLOCK_ACCESS_FS_READ_DIR;
    syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

int sandbox_landlock_abi(void)
{
    int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? abi : 0;
}

size_t sandbox_ruleset(int abi, bool local, struct ll_ruleset *out)
{
    out->fs = (1ull << 13) - 1; /* ABI 1: execute ... make_sym */
    if (abi >= 2)
        out->fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        out->fs |= LL_FS_TRUNCATE;
    if (abi >= 5)
        out->fs |= LL_FS_IOCTL_DEV;
    if (abi >= 4)
        out->net = LL_NET_BIND | LL_NET_CONNECT;
    if (abi >= 6)
        out->scoped = LL_SCOPE_SIGNAL | (local ? LL_SCOPE_UNIX : 0);
    return abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
}

static void enter_landlock(const sandbox_options *o, sandbox_report *r)
{
    struct ll_ruleset attr = { 0 };
    int abi = r->landlock_abi = sandbox_landlock_abi();
    if (!abi || (abi < 2 && o->kind == SANDBOX_FETCH)) /* ABI 1 lets no file be renamed into another folder */
        return;
    size_t bytes = sandbox_ruleset(abi, o->kind == SANDBOX_COMPUTE, &attr);
    if (o->kind == SANDBOX_FETCH)
        attr.net &= ~LL_NET_CONNECT;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, bytes, 0);
    if (ruleset < 0)
        return;
    for (size_t i = 0; i < o->n_read_paths; i++)
        allow_path(ruleset, o->read_paths[i], false, attr.fs);
    for (size_t i = 0; i < o->n_write_paths; i++)
        allow_path(ruleset, o->write_paths[i], true, attr.fs);
    for (size_t i = 0; abi >= 4 && i < o->n_ports; i++) {
        struct ll_port rule = { LL_NET_CONNECT, o->ports[i] };
        syscall(SYS_landlock_add_rule, ruleset, LL_RULE_NET_PORT, &rule, 0);
    }
    r->landlock = syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    close(ruleset);
}

/* ---- seccomp ---- */

static const int compute_calls[] = {
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mincore),
    SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(msync),
    /* descriptors that are there */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write), SCMP_SYS(writev),
    SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(close),
    SCMP_SYS(fstat), SCMP_SYS(lseek), SCMP_SYS(fadvise64), SCMP_SYS(readahead), SCMP_SYS(dup), SCMP_SYS(fcntl),
    /* threads, signals to itself, time */
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(set_tid_address), SCMP_SYS(gettid),
    SCMP_SYS(getpid), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_setscheduler), SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_getparam), SCMP_SYS(getcpu),
    SCMP_SYS(membarrier), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday),
    /* questions */
    SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(sysinfo), SCMP_SYS(uname),
};

/* What neither of the processes with a network does. */
static const int network_denied[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(open), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(listen),
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(io_uring_setup), SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(mount),
    SCMP_SYS(umount2), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(pivot_root), SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open), SCMP_SYS(keyctl), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(userfaultfd),
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(memfd_create), SCMP_SYS(creat), SCMP_SYS(link),
    SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(truncate), SCMP_SYS(chmod),
    SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchownat), SCMP_SYS(lchown), SCMP_SYS(mknod), SCMP_SYS(mknodat),
    SCMP_SYS(setxattr), SCMP_SYS(lsetxattr), SCMP_SYS(open_by_handle_at), SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo), SCMP_SYS(kexec_load), SCMP_SYS(delete_module),
    SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(fsopen),
    SCMP_SYS(open_tree), SCMP_SYS(move_mount),
};

/* What only the one that fetches files does. */
static const int network_writes[] = {
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
};

/* LeakSanitizer traces the process at its end: a build for tests keeps ptrace. */
static const int offline_denied[] = {
    SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept),
    SCMP_SYS(accept4), SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(bpf), SCMP_SYS(setns),
#ifndef __SANITIZE_ADDRESS__
    SCMP_SYS(ptrace),
#endif
};

/* A rule for a call that this architecture does not have is no loss. */
static int rule(scmp_filter_ctx f, uint32_t action, int call)
{
    int e = seccomp_rule_add(f, action, call, 0);
    return e == -EDOM || e == -EINVAL || e == -EACCES ? 0 : e;
}

static int compute_rules(scmp_filter_ctx f)
{
    int e = 0;
    for (size_t i = 0; i < ARRAY_LEN(compute_calls) && !e; i++)
        e = rule(f, SCMP_ACT_ALLOW, compute_calls[i]);
    /* threads yes, processes no: every clone must ask for a thread */
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    /* memory never becomes code */
    static const int mapping[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
    for (size_t i = 0; i < ARRAY_LEN(mapping) && !e; i++)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, mapping[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* fstat() of the C library is newfstatat(fd, "", …, AT_EMPTY_PATH) */
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                             SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0));
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0));
    return e;
}

static int fetch_rules(scmp_filter_ctx f)
{
    int e = 0;
    for (size_t i = 0; i < ARRAY_LEN(network_denied) && !e; i++)
        e = rule(f, SCMP_ACT_ERRNO(EPERM), network_denied[i]);
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    if (!e)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (!e)
        e = rule(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2));
    return e;
}

static int network_rules(scmp_filter_ctx f)
{
    const uint32_t deny = SCMP_ACT_ERRNO(EPERM);
    int e = fetch_rules(f);
    for (size_t i = 0; i < ARRAY_LEN(network_writes) && !e; i++)
        e = rule(f, deny, network_writes[i]);
    for (int access = O_WRONLY; access <= O_RDWR && !e; access++) {
        e = seccomp_rule_add(f, deny, SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE, (scmp_datum_t)access));
    }
    /* "for reading" makes and empties files too */
    static const scmp_datum_t changing[] = { O_CREAT, O_TRUNC };
    for (size_t i = 0; i < ARRAY_LEN(changing) && !e; i++)
        e = seccomp_rule_add(f, deny, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, changing[i], changing[i]));
    return e;
}

static int offline_rules(scmp_filter_ctx f)
{
    int e = 0;
    for (size_t i = 0; i < ARRAY_LEN(offline_denied) && !e; i++)
        e = rule(f, SCMP_ACT_ERRNO(EPERM), offline_denied[i]);
    return e;
}

static status enter_seccomp(sandbox_kind kind, error *err)
{
    static int (*const rules[])(scmp_filter_ctx f) = {
        [SANDBOX_COMPUTE] = compute_rules, [SANDBOX_NETWORK] = network_rules, [SANDBOX_OFFLINE] = offline_rules,
        [SANDBOX_FETCH] = fetch_rules,
    };
    scmp_filter_ctx f = seccomp_init(kind == SANDBOX_COMPUTE ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
    if (!f)
        return fail(err, E_UNSUPPORTED, "sandbox: libseccomp cannot make a filter here");
    int e = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!e)
        e = rules[kind](f);
    if (!e)
        e = seccomp_load(f);
    seccomp_release(f);
    return e ? fail(err, E_UNSUPPORTED, "sandbox: the kernel does not take the seccomp filter (error %d)", -e) : OK;
}

status sandbox_enter(const sandbox_options *o, sandbox_report *report, error *err)
{
    *report = (sandbox_report){ .dumpable = true };
    if (o->kind == SANDBOX_COMPUTE || o->kind == SANDBOX_OFFLINE)
        cpu_detect(); /* asks for what cannot be asked for later, and remembers */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(err, E_UNSUPPORTED, "sandbox: no_new_privs is refused");
    report->no_new_privs = true;
    if (o->kind == SANDBOX_COMPUTE)
        report->empty_network = unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 || unshare(CLONE_NEWNET) == 0;
    if (o->kind != SANDBOX_OFFLINE) { /* that one is the user's own command: a debugger may look into it */
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        enter_landlock(o, report);
    }
    int signal = 0; /* a change of credentials, such as a user namespace, may have reset it */
    report->dies_with_parent = prctl(PR_GET_PDEATHSIG, &signal) == 0 && signal == SIGKILL;
    report->dumpable = prctl(PR_GET_DUMPABLE) != 0;
    status s = enter_seccomp(o->kind, err);
    report->seccomp = s == OK;
    return s;
}
