/* helper_int.h: a helper's message on its way from the link's reader to the call that it belongs to. */
#ifndef PROVIDER_HELPER_INT_H
#define PROVIDER_HELPER_INT_H

#include "provider/provider_int.h"

typedef struct helper_message {
    struct helper_message *next;
    uint16_t type;
    size_t length;
    char data[]; /* length bytes and a zero, aligned as msg_receive's are */
} helper_message;

/* A call's messages that it has not taken yet. On the stack of the call; in the helper's list while that waits. */
typedef struct inbox {
    struct inbox *next;
    uint32_t request;
    helper_message *first, *last;
    size_t bytes;
    bool lost; /* a message found no room: too many were not taken, or no memory */
    pthread_cond_t arrived;
} inbox;

/* ---- inbox.c ---- */

/* The thread that reads the link; E_IO. */
status helper_read(helper *h, error *err) MUST_CHECK;
/* A number for a new request, whose messages go to `in` from now on. E_PROVIDER: the helper has ended. */
status inbox_open(helper *h, inbox *in, error *err) MUST_CHECK;
void inbox_close(helper *h, inbox *in);
/* The next message (mem_free), waiting at most timeout_ms. NULL: there is none yet; or *ended: there will be none. */
helper_message *inbox_take(helper *h, inbox *in, int timeout_ms, bool *ended);

/* ---- helper.c ---- */

/* The error that a helper's ERROR says. */
status helper_error(const js *j, error *err);

/* ---- helper_events.c ---- */

/* One message of a call. *over: it was the last. E_PROVIDER: it made no sense. */
status helper_event(const helper *h, call *c, const helper_message *m, bool *over, error *err) MUST_CHECK;

#endif
