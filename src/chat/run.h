/* run.h: what one compilation or one rendering of a template works with: memory, budgets, the way out (private to
 * chat/).
 *
 * Everything made on the way lives in one arena and goes with it. A failure anywhere leaves by longjmp to whoever
 * called setjmp(r->leave): nothing in between owns anything but arena memory, so nothing needs to be undone, and no
 * function here can return half a result. run_alloc never returns NULL.
 *
 * Budgets: `steps` counts every node evaluated, every item of every loop and every few bytes touched, so that it bounds
 * time; the arena bounds memory; `depth` bounds the C stack. All three end in E_RANGE. Owner thread. */
#ifndef CHAT_RUN_H
#define CHAT_RUN_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"

enum {
    RUN_DEPTH_MAX = 1000,       /* expressions within expressions, macros within macros, containers within containers */
    RUN_TEXT_MAX = 64 << 20,    /* bytes of one text */
    RUN_STEP_BYTES = 16,        /* bytes a step */
    RUN_ITEMS_MAX = 1 << 22,    /* members of one container */
};

typedef struct run {
    jmp_buf leave;
    status code;                /* why it left */
    error *err;
    arena mem;
    uint64_t steps, steps_max;
    int depth;
    uint32_t line;              /* of the template: where it is now */
    const struct template *t;   /* NULL while compiling */
    struct scope *globals;      /* the request's variables */
    struct scope *top;          /* what the template sets outside of everything */
    struct sink *out;           /* where output goes now */
    const struct text *filtered; /* the text of the filter block that is being evaluated */
    int64_t now;                /* seconds, of the clock that strftime_now shows */
} run;

/* The sentence begins with "chat template, line N: ". */
_Noreturn void run_fail(run *r, status code, const char *format, ...) PRINTF_LIKE(3, 4);
/* Without that: the template's own words. */
_Noreturn void run_refuse(run *r, const char *words, size_t n);

/* How many of n bytes an error shows: 60 at most, and whole characters. */
int run_shown(const char *p, size_t n);

void *run_alloc(run *r, size_t bytes); /* cleared; never NULL */
void *run_array(run *r, size_t n, size_t size);
/* A copy of old with room for more, never NULL. */
void *run_grow(run *r, const void *old, size_t n, size_t new_n, size_t size);

void run_spend(run *r, size_t steps);
void run_spend_bytes(run *r, size_t bytes);
void run_enter(run *r);
static inline void run_leave(run *r)
{
    r->depth--;
}

#endif
