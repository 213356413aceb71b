#include "chat/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

void run_fail(run *r, status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_v(r->err, code, format, args);
    va_end(args);
    fail_prefix(r->err, code, "chat template, line %u: ", r->line);
    r->code = code;
    longjmp(r->leave, 1);
}

void run_refuse(run *r, const char *words, size_t n)
{
    fail(r->err, E_FORMAT, "the chat template refuses this: %.*s", (int)(n < ERROR_TEXT_BYTES ? n : ERROR_TEXT_BYTES),
         words);
    r->code = E_FORMAT;
    longjmp(r->leave, 1);
}

int run_shown(const char *p, size_t n)
{
    enum { SHOWN_MAX = 60 };
    return (int)(n <= SHOWN_MAX ? n : utf8_complete(p, SHOWN_MAX));
}

void *run_alloc(run *r, size_t bytes)
{
    void *p = arena_alloc(&r->mem, bytes ? bytes : 1);
    if (!p && (bytes > r->mem.max_bytes || r->mem.used_bytes > r->mem.max_bytes - bytes))
        run_fail(r, E_RANGE, "it takes more than %zu bytes of memory", r->mem.max_bytes);
    if (!p)
        run_fail(r, E_NOMEM, "no memory");
    return p;
}

void *run_array(run *r, size_t n, size_t size)
{
    if (n > RUN_TEXT_MAX)
        run_fail(r, E_RANGE, "a list of more than %d members", RUN_TEXT_MAX);
    run_spend_bytes(r, n * size);
    return run_alloc(r, n * size);
}

void *run_grow(run *r, const void *old, size_t n, size_t new_n, size_t size)
{
    void *p = run_array(r, new_n, size);
    if (n)
        memcpy(p, old, n * size);
    return p;
}

void run_spend(run *r, size_t steps)
{
    r->steps += steps;
    if (r->steps > r->steps_max)
        run_fail(r, E_RANGE, "it takes more than %llu steps", (unsigned long long)r->steps_max);
}

void run_spend_bytes(run *r, size_t bytes)
{
    run_spend(r, bytes / RUN_STEP_BYTES);
}

void run_enter(run *r)
{
    if (++r->depth > RUN_DEPTH_MAX)
        run_fail(r, E_RANGE, "nested deeper than %d", RUN_DEPTH_MAX);
}
