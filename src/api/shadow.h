/* shadow.h: live answers of tasks that are local are looked at again when they are over: some are asked elsewhere
 * too and compared (docs/REASSESSING.md). One thread of its own does all of it, behind the answers and never before
 * them.
 *
 * What is never shadowed: requests of class private or secret; internal ones anywhere but on-premises; whatever the
 * provider or the last gate refuses; anything without a policy that says so, over its rate, or over its budget of a
 * day. What waits is bounded; when more comes, it is let go (the answers themselves are not touched).
 *
 *   shadow_begin (the handler's thread, before the answer) -> shadow_event -> shadow_end, which queues a copy
 *   the thread: tripwires (shadow_trip.c), the draw, then ask, compare and store (shadow_ask.c) */
#ifndef API_SHADOW_H
#define API_SHADOW_H

#include "api/api_int.h"
#include "base/buf.h"

enum { SHADOW_QUEUE_MAX = 64, SHADOW_TEXT_MAX = 64 << 10 };

typedef struct shadow shadow;

status shadow_open(shadow **out, api *a, error *err) MUST_CHECK;
/* What is being asked is given up, what waits is let go. Before the pool is closed. */
void shadow_close(shadow **s);

/* What of one answer is kept until its end; the handler's. */
typedef struct shadow_seen {
    bool on, done;
    privacy_class privacy;
    buf text;
    double mean_logprob;
    int64_t n_output;
} shadow_seen;

void shadow_begin(shadow *s, const target *to, const request *q, shadow_seen *seen);
void shadow_event(shadow_seen *seen, const event *e);
/* failed: the answer ended in a fault that is the model's own (crashed, timed out); "" else. Any begin has its end. */
void shadow_end(shadow *s, const target *to, shadow_seen *seen, const char *failed);

#endif
