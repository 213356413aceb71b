/* sandbox_int.h: between the sandboxes of this folder. Names of our own for what is newer than Debian 12's kernel
 * headers: the bits of later Landlock versions. */
#ifndef PLAT_SANDBOX_INT_H
#define PLAT_SANDBOX_INT_H

#include <stddef.h>
#include <stdint.h>

#include "plat/sandbox.h"

#define LL_FS_TRUNCATE (1ull << 14)   /* ABI 3 */
#define LL_FS_IOCTL_DEV (1ull << 15)  /* ABI 5 */
#define LL_NET_BIND (1ull << 0)       /* ABI 4 */
#define LL_NET_CONNECT (1ull << 1)
#define LL_SCOPE_UNIX (1ull << 0)     /* ABI 6 */
#define LL_SCOPE_SIGNAL (1ull << 1)
#define LL_RULE_NET_PORT 2

struct ll_ruleset {
    uint64_t fs, net, scoped;
};
struct ll_port {
    uint64_t access, port;
};

/* The attributes of a ruleset that denies everything this kernel knows of (with local: sockets of the file system and
 * signals too), and how long the struct is that it knows. */
size_t sandbox_ruleset(int abi, bool local, struct ll_ruleset *out);
/* 0: the kernel has none. */
int sandbox_landlock_abi(void);

/* ---- a sandbox made ready for another program (command.c) ---- */

typedef struct sandbox_ready {
    void *filter; /* a struct sock_filter[] */
    unsigned short n_filter;
    int ruleset;  /* -1: no Landlock */
} sandbox_ready;

/* Everything that needs memory. path and dir: of the program and its working folder. E_UNSUPPORTED: no seccomp. */
status sandbox_prepare(sandbox_ready *out, const char *path, const char *dir, bool may_fork, error *err) MUST_CHECK;
void sandbox_ready_clear(sandbox_ready *s);
/* In the child, between fork and exec, in this order; only system calls. False: what was made ready did not take hold.
 * Between the two is the place for resource limits: the filter denies changing them, and processes are counted anew
 * in a user namespace. */
bool sandbox_apply_spaces(const sandbox_ready *s);
bool sandbox_apply_filter(const sandbox_ready *s);

#endif
