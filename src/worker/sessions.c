/* sessions.c: see the header. */
#include "worker/sessions.h"

#include <string.h>

#include "base/mem.h"

status sessions_open(sessions *all, uint32_t n, error *err)
{
    *all = (sessions){ .slots = mem_zero(n * sizeof(session_slot)), .n = n };
    return all->slots ? OK : fail(err, E_NOMEM, "no memory for %u sessions", n);
}

void sessions_close(sessions *all)
{
    for (uint32_t i = 0; all->slots && i < all->n; i++)
        session_close(&all->slots[i].session);
    mem_free(all->slots);
    *all = (sessions){ 0 };
}

/* How well a free slot serves: the tokens that its session knows already, then no session of another to forget. */
static uint64_t fitness(const session_slot *s, const char *scope, const int32_t *tokens, uint32_t n)
{
    uint32_t held = s->session ? session_length(s->session) : 0;
    if (scope[0] && held && strcmp(s->scope, scope) == 0) {
        uint32_t common = session_common(s->session, tokens, n);
        if (common)
            return 2 + (uint64_t)common;
    }
    return held == 0;
}

static session_slot *best_slot(const sessions *all, const char *scope, const int32_t *tokens, uint32_t n)
{
    session_slot *best = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < all->n; i++) {
        session_slot *s = &all->slots[i];
        if (s->taken)
            continue;
        uint64_t fits = fitness(s, scope, tokens, n);
        bool opened = best && s->session && !best->session;
        if (!best || fits > most || (fits == most && (opened || s->given_at < best->given_at))) {
            best = s;
            most = fits;
        }
    }
    return best;
}

status sessions_take(sessions *all, engine *e, const char *scope, const int32_t *tokens, uint32_t n, session **out,
                     error *err)
{
    const char *name = scope ? scope : "";
    session_slot *slot = best_slot(all, name, tokens, n);
    if (!slot)
        return fail(err, E_RANGE, "all %u answers that this model gives at once are under way", all->n);
    status s = slot->session ? OK : session_open(&slot->session, e, err);
    if (!s)
        s = session_share(slot->session, scope, err);
    if (s)
        return s;
    memcpy(slot->scope, name, strlen(name) + 1); /* session_share has checked its length */
    slot->taken = true;
    *out = slot->session;
    return OK;
}

void sessions_give(sessions *all, session *s)
{
    for (uint32_t i = 0; s && i < all->n; i++) {
        session_slot *slot = &all->slots[i];
        if (slot->session != s)
            continue;
        session_remember(s);
        if (!slot->scope[0])
            session_truncate(s, 0);
        slot->taken = false;
        slot->given_at = ++all->turn;
    }
}

bool sessions_spare(sessions *all)
{
    session_slot *oldest = NULL;
    for (uint32_t i = 0; i < all->n; i++) {
        session_slot *s = &all->slots[i];
        bool holds = !s->taken && s->session && session_length(s->session);
        if (holds && (!oldest || s->given_at < oldest->given_at))
            oldest = s;
    }
    if (oldest)
        session_truncate(oldest->session, 0);
    return oldest != NULL;
}
