/* transfer.h: one HTTP exchange through libcurl, watched by deadlines and by the front. Main thread of egress. */
#ifndef EGRESS_TRANSFER_H
#define EGRESS_TRANSFER_H

#include "egress/address.h"
#include "egress/rates.h"
#include "egress/stream.h"

typedef struct transfer transfer; /* keeps the connection between two exchanges */

typedef struct transfer_job {
    const char *url, *key; /* key "" : none */
    const char *proxy;     /* http://host:port; "": none, whatever the environment says */
    const address_rule *rule;
    const char *body;
    size_t body_bytes;
    uint32_t connect_ms, first_ms, idle_ms, timeout_ms;
    int watch_fd;                        /* readable: ask interrupted */
    bool (*interrupted)(void *user);     /* true: stop */
    void *user;
} transfer_job;

/* How it failed, for ERROR. */
typedef struct transfer_fault {
    const char *kind; /* "upstream", "unreachable", "timeout", "rate-limited", "busy", "invalid", "not-found" */
    long http_status; /* 0: none came */
    double retry_after_s;
    bool sent;        /* something of the request left */
    bool again;       /* nothing of an answer came, and the same request may be sent once more */
} transfer_fault;

enum { TRANSFER_ADDRESS = 64 };

status transfer_open(transfer **out, error *err) MUST_CHECK;
void transfer_close(transfer **t);
/* The address that was connected to last, as text; "": none yet. */
const char *transfer_address(const transfer *t);

/* OK: the answer went through s and is complete. E_CANCELLED: interrupted, or s's caller wants no more. Else
 * E_PROVIDER or E_DENIED (address.h) with a sentence, and *fault. *said is what the header lines told, in any case. */
status transfer_run(transfer *t, const transfer_job *job, stream *s, rates *said, transfer_fault *fault,
                    error *err) MUST_CHECK;

#endif
