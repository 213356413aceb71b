/* sandbox.h: what a process gives up for good. Called once, while it has one thread.
 *
 * SANDBOX_COMPUTE (the worker): an allow-list of system calls. Memory, threads, clocks, and reading, writing and
 * message-passing on descriptors that are already there; everything else answers EPERM (clone3 answers ENOSYS, so that
 * the C library falls back to clone, whose flags can be checked). Opening a file, any socket, exec, fork, signalling
 * another process are among what is denied. Around it, where the kernel allows: a Landlock domain without rights and an
 * empty network namespace.
 * SANDBOX_NETWORK (egress): may connect and read a few files, may not exec, listen, trace, or write files; Landlock
 * limits it to the given folders and ports.
 * SANDBOX_FETCH (pull): as NETWORK, but it may write files; Landlock limits that to the given folders, and reading to
 * those and the readable ones. Any port: a person said whose url it is.
 * SANDBOX_OFFLINE (commands that compute in the user's own process: run, perplexity, fit, show, tokenize): files and
 * the terminal stay, the network does not: no socket of any family, no way to one through another program or process
 * (exec, ptrace, io_uring, a descriptor taken from elsewhere). A fork is let be: a child has the same filter.
 *
 * seccomp is the layer that must be there; the others are reported. */
#ifndef PLAT_SANDBOX_H
#define PLAT_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"

typedef enum sandbox_kind { SANDBOX_COMPUTE, SANDBOX_NETWORK, SANDBOX_OFFLINE, SANDBOX_FETCH } sandbox_kind;

enum { SANDBOX_PATHS_MAX = 32, SANDBOX_WRITE_MAX = 4, SANDBOX_CHECKS_MAX = 32 };

typedef struct sandbox_options {
    sandbox_kind kind;
    const char *read_paths[SANDBOX_PATHS_MAX]; /* NETWORK, FETCH: files and folders that stay readable; missing ones */
    size_t n_read_paths;                       /* are skipped */
    const char *write_paths[SANDBOX_WRITE_MAX]; /* FETCH: folders in which it makes, writes and removes files */
    size_t n_write_paths;
    uint16_t ports[4];                         /* NETWORK: TCP ports it may connect to */
    size_t n_ports;
} sandbox_options;

typedef struct sandbox_check {
    const char *name; /* "socket(AF_INET)" */
    int error;        /* errno of the attempt; 0: it succeeded */
    bool denied;
} sandbox_check;

typedef struct sandbox_report {
    bool seccomp, landlock, empty_network;
    int landlock_abi; /* 0: the kernel has none */
    bool no_new_privs;
    bool dumpable;          /* others of this user may look into its memory */
    bool dies_with_parent;  /* asked of the kernel after everything that resets it */
    sandbox_check checks[SANDBOX_CHECKS_MAX];
    size_t n_checks;
} sandbox_report;

/* Enters; fills the layers of *report, also when it fails. E_UNSUPPORTED: no seccomp here. */
status sandbox_enter(const sandbox_options *o, sandbox_report *report, error *err) MUST_CHECK;

/* Really attempts each forbidden call (harmlessly) and adds the results to *report. True when all were denied. */
bool sandbox_test(sandbox_kind kind, sandbox_report *report);
/* How many attempts that are. */
size_t sandbox_test_count(sandbox_kind kind);

/* NETWORK: whether files that must be closed to it are: each is really opened for reading. {path, errno, denied}; what
 * is not there is not denied. NULL without memory. */
js *sandbox_test_paths(const js *paths);

/* {seccomp, landlock, landlock_abi, empty_network, no_new_privs, dumpable, dies_with_parent, checks: [{name, errno,
 * denied}]}. NULL without memory. */
js *sandbox_to_js(const sandbox_report *r);

#endif
