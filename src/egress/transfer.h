/* transfer.h: one HTTP exchange through libcurl, watched by deadlines and by the front. Main thread of egress. */
#ifndef EGRESS_TRANSFER_H
#define EGRESS_TRANSFER_H

#include "egress/stream.h"

typedef struct transfer transfer; /* keeps the connection between two exchanges */

typedef struct transfer_job {
    const char *url, *key; /* key "" : none */
    const char *body;
    size_t body_bytes;
    uint32_t connect_ms, first_ms, idle_ms, timeout_ms;
    int watch_fd;                        /* readable: ask interrupted */
    bool (*interrupted)(void *user);     /* true: stop */
    void *user;
} transfer_job;

/* How it failed, for ERROR. */
typedef struct transfer_fault {
    const char *kind; /* "upstream", "unreachable", "timeout", "rate-limited" */
    long http_status; /* 0: none came */
    double retry_after_s;
} transfer_fault;

status transfer_open(transfer **out, error *err) MUST_CHECK;
void transfer_close(transfer **t);

/* OK: the answer went through s and is complete. E_CANCELLED: interrupted, or s's caller wants no more. Else
 * E_PROVIDER with a sentence, and *fault. */
status transfer_run(transfer *t, const transfer_job *job, stream *s, transfer_fault *fault, error *err) MUST_CHECK;

#endif
