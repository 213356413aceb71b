/* sse.h: server-sent events out of a byte stream (WHATWG HTML, "Server-sent events"): only the data of each event is
 * kept. Owner thread. */
#ifndef EGRESS_SSE_H
#define EGRESS_SSE_H

#include "base/buf.h"
#include "base/status.h"

enum { SSE_EVENT_MAX = 1 << 20 }; /* bytes of one line and of one event's data */

/* One event's data, lines joined by \n, zero-terminated. Another status than OK ends the feeding. */
typedef status sse_fn(void *user, const char *data, size_t n, error *err);

typedef struct sse {
    buf line, data;
    bool has_data, after_cr;
    sse_fn *fn;
    void *user;
} sse;

void sse_init(sse *s, sse_fn *fn, void *user);
void sse_clear(sse *s);
/* E_RANGE: a line or an event over SSE_EVENT_MAX; or what fn said. */
status sse_feed(sse *s, const char *bytes, size_t n, error *err) MUST_CHECK;

#endif
