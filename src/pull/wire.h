/* wire.h: one HTTP answer over libcurl, redirects followed, into a sink. Inside this folder; the getter's thread.
 *
 *   idle --wire_start--> running --wire_turn--> over: a result: OK, or what is wrong and whether to try again
 *
 * Several wires of a getter run at the same time. A sink is asked for each answer (head) and for each piece of it
 * (body); it sees 200 and 206 alone. */
#ifndef PULL_WIRE_H
#define PULL_WIRE_H

#include "base/str.h"
#include "pull/get.h"

typedef struct wire wire;

/* What an answer's header lines say. */
typedef struct wire_head {
    long http;
    uint64_t length;             /* Content-Length */
    uint64_t first, last, total; /* Content-Range */
    bool has_length, has_range, has_total;
    bool framed;                 /* its end is marked: a length, chunks, HTTP/2 */
    char etag[GET_ETAG], modified[64], encoding[32];
} wire_head;

typedef struct wire_sink {
    /* Both: anything but OK ends the exchange with that error. */
    status (*head)(void *user, const wire_head *h, error *err);
    status (*body)(void *user, const char *bytes, size_t n, error *err);
    void *user;
} wire_sink;

typedef struct wire_ask {
    const char *url;      /* borrowed until it is over */
    const char *accept;   /* NULL: anything */
    bool range;
    uint64_t first, last; /* of the range, inclusive */
    const char *if_range; /* NULL: none */
    bool plain_http;      /* to other machines too */
} wire_ask;

typedef struct wire_result {
    error err;             /* code OK: all came */
    bool again;            /* the same may succeed a little later */
    bool unreachable;      /* not even a connection came about */
    bool sink;             /* it was the sink that ended it */
    long http;             /* 0: no answer */
    double retry_after_s;
} wire_result;

/* The first idle wire; NULL: all run. */
wire *wire_take(getter *g);
status wire_start(getter *g, wire *w, const wire_ask *a, const wire_sink *sink, error *err) MUST_CHECK;
/* Drops an exchange; the wire is idle again. Accepts an idle one. */
void wire_stop(getter *g, wire *w);
bool wire_running(const wire *w);
/* Of an exchange that is over; valid until the next start. */
const wire_result *wire_outcome(const wire *w);
/* Where redirects led. */
const char *wire_final_url(const wire *w);
/* Moves all wires on and waits at most ms for more. E_PROVIDER: libcurl itself failed. */
status wire_turn(getter *g, int ms, error *err) MUST_CHECK;

/* One header line of an answer, with or without its line break. A status line begins anew. What cannot be read is as
 * good as not said. */
void wire_read_line(wire_head *h, span line);

/* Whether hearth asks this url at all. E_DENIED, E_FORMAT. before: where the redirect came from; NULL: none. */
status wire_allowed(const char *url, const char *before, bool plain_http, error *err) MUST_CHECK;

#endif
