/* witness.h: what the kernel says of a process of ours, from outside of it: no claim of its own counts here. Linux:
 * /proc. Any thread. Nothing fails: what cannot be read is not known (descriptors of a process that is not dumpable are
 * told to root alone). */
#ifndef PLAT_WITNESS_H
#define PLAT_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/js.h"

/* What its open descriptors are. */
typedef struct witness_descriptors {
    bool known;
    unsigned files, devices, pipes, others;
    unsigned unix_sockets;
    unsigned listening, accepted; /* of the internet: waits for others; came from one who called */
    unsigned outbound;            /* of the internet: it called, or may send anywhere */
    unsigned other_sockets;       /* of another family, or of a namespace that cannot be seen from here */
} witness_descriptors;

typedef struct witness {
    bool known;         /* the process is there */
    int seccomp;        /* 2: a filter; 0: none; -1: not told */
    int no_new_privs;   /* -1: not told */
    unsigned threads;
    bool network_known; /* what follows, of its network namespace */
    unsigned interfaces; /* without the loopback */
    uint64_t received_bytes, sent_bytes; /* of all interfaces, since the namespace was made */
    witness_descriptors descriptors;
} witness;

/* pid 0: this process. */
void witness_read(int pid, witness *out);
/* {seccomp, no_new_privs, threads, network: {interfaces, received_bytes, sent_bytes}, descriptors: {...}}, null
 * where it is not known. NULL without memory. */
js *witness_to_js(const witness *w);
/* The descriptors of this process, in the same form. */
js *witness_own_descriptors(void);

#endif
