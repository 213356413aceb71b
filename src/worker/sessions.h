/* sessions.h: the sessions that a worker's answers use in turn. The worker's thread.
 *
 * An idle session keeps its tokens for whoever of its scope comes next: the rest of a page that the prefix cache, which
 * knows whole pages, does not have. When the KV pool is full the longest idle gives its pages back. A session without a
 * scope keeps nothing. */
#ifndef WORKER_SESSIONS_H
#define WORKER_SESSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"

typedef struct sessions sessions;

typedef struct session_slot {
    session *session;  /* NULL: not yet opened */
    char scope[ENGINE_SCOPE_BYTES]; /* "": none */
    bool taken;
    uint64_t given_at; /* the turn in which it became idle */
} session_slot;

struct sessions {
    session_slot *slots; /* [n] */
    uint32_t n;
    uint64_t turn;
};

/* E_NOMEM. Sessions are opened when they are first needed. */
status sessions_open(sessions *all, uint32_t n, error *err) MUST_CHECK;
void sessions_close(sessions *all);

/* An idle session in this scope (NULL: none), the one that knows most of these tokens. E_RANGE: all are taken, or the
 * scope's name is too long; E_NOMEM. */
status sessions_take(sessions *all, engine *e, const char *scope, const int32_t *tokens, uint32_t n, session **out,
                     error *err) MUST_CHECK;
/* Back to the idle ones; what it holds is remembered. NULL: nothing happens. */
void sessions_give(sessions *all, session *s);
/* Truncates the longest idle session that holds anything; false: there is none. */
bool sessions_spare(sessions *all);

#endif
