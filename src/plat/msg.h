/* msg.h: how hearth's processes talk: framed messages over a stream socketpair. At each end one
 * thread sends and one, the same or another, receives.
 *
 *   offset size
 *   0      2    version   MSG_VERSION; anything else ends the link
 *   2      2    type      enum msg_type
 *   4      4    request   which request this belongs to; 0: the process itself
 *   8      4    length    of the payload, <= MSG_BYTES_MAX
 *   12     4    flags     bits 0..7: how many descriptors travel with the header; the others are 0
 *   16     ...  payload
 * All integers little endian. Descriptors (SCM_RIGHTS) are accepted with MSG_OPEN only; with anything else, or in
 * another number than the header says, they are closed and the link is broken.
 *
 * A link that failed once stays broken: every later call fails. The payloads are described by src/worker/README.md,
 * src/egress/README.md and src/pull/README.md. */
#ifndef PLAT_MSG_H
#define PLAT_MSG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    MSG_VERSION = 1,
    MSG_HEADER_BYTES = 16,
    MSG_BYTES_MAX = 16 << 20,
    MSG_FDS_MAX = 64,
};

/* One numbering for all processes, so that a message that strays is unknown instead of misunderstood. */
typedef enum msg_type {
    /* from the front */
    MSG_OPEN = 1,     /* settings and descriptors, once */
    MSG_COMPLETE = 2, /* a request */
    MSG_CANCEL = 3,   /* stop the request of this number */
    MSG_CLOSE = 4,    /* finish and exit */
    MSG_GET = 5,      /* fetch a model */
    MSG_HEADER = 6,   /* the first bytes of a model's files, into memory */
    MSG_CHECKED = 7,  /* the answer to MSG_CHECK */
    /* to the front */
    MSG_HELLO = 16,   /* the first message of a helper: build id, self-test */
    MSG_OPENED = 17,  /* what was opened */
    MSG_LOADING = 18, /* progress of MSG_OPEN */
    MSG_PREFILL = 19, /* progress of a prompt */
    MSG_TEXT = 20,    /* a piece of the answer */
    MSG_TOKEN = 21,   /* a token with its log-probability */
    MSG_DONE = 22,
    MSG_ERROR = 23,   /* of MSG_OPEN (request 0) or of a request */
    MSG_REASONING = 24, /* a piece of what the model thought */
    MSG_CALL = 25,      /* a tool call begins */
    MSG_ARGUMENTS = 26, /* a piece of its arguments */
    MSG_CALL_END = 27,
    MSG_RELAXED = 28,   /* what of a constraint is not enforced, before anything else */
    MSG_VECTOR = 32,  /* the vector of one input */
    MSG_SPANS = 34,   /* labelled parts of a text */
    MSG_PROMPT = 33,  /* a prompt's tokens */
    MSG_PROGRESS = 35, /* of a transfer */
    MSG_CHECK = 36,   /* a file to look at before it gets its name */
    MSG_BYTES = 37,   /* a piece of a file, as it is */
} msg_type;

typedef struct msg {
    uint16_t type;
    uint32_t request;
    const char *data; /* length bytes and a zero; borrowed until the next msg_receive on this link */
    size_t length;
    int *fds;         /* likewise: closed by the next msg_receive unless replaced by -1 */
    size_t n_fds;
} msg;

typedef struct msg_link {
    int fd;
    atomic_bool broken;
    unsigned char header[MSG_HEADER_BYTES];
    size_t header_have, body_have, body_length;
    char *body;
    size_t body_size;
    int fds[MSG_FDS_MAX];
    size_t n_fds;
    bool delivered; /* the buffers hold a message that was handed out */
} msg_link;

/* Takes over fd (made non-blocking). */
void msg_link_open(msg_link *l, int fd);
/* Closes fd and what was not taken; l is as before msg_link_open, with fd -1. */
void msg_link_close(msg_link *l);

/* A connected pair, close-on-exec. */
status msg_pair(int out[2], error *err) MUST_CHECK;

/* Sends a whole message, waiting at most timeout_ms (-1: for ever) for the other side to read. E_RANGE: too long (the
 * link stays usable). E_PROVIDER: the other side is gone or does not read: the link is broken. */
status msg_send(msg_link *l, msg_type type, uint32_t request, const void *data, size_t n, const int *fds, size_t n_fds,
                int timeout_ms, error *err) MUST_CHECK;
status msg_send_text(msg_link *l, msg_type type, uint32_t request, const char *text, int timeout_ms,
                     error *err) MUST_CHECK;

/* Waits at most timeout_ms (-1: for ever, 0: only looks) for a whole message. *got says whether *out was written; a
 * half-received message is continued by the next call. E_NOTFOUND: the other side closed between two messages;
 * E_FORMAT: it sent what is no message, or closed within one; E_NOMEM, E_IO. */
status msg_receive(msg_link *l, msg *out, bool *got, int timeout_ms, error *err) MUST_CHECK;

#endif
