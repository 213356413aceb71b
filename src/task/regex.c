/* regex.c: the only file that knows PCRE2. Patterns come from task files, texts from models: both are hostile, so
 * steps, depth and memory of a match are bounded. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/mem.h"
#include "task/text_int.h"

enum { PATTERN_BYTES_MAX = 64 << 10, STEPS_MAX = 1000000, DEPTH_MAX = 20000, HEAP_KIB_MAX = 20000 };

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_general_context *memory;
};

static void *take(PCRE2_SIZE bytes, void *unused)
{
    (void)unused;
    return mem_alloc(bytes);
}

static void give(void *p, void *unused)
{
    (void)unused;
    mem_free(p);
}

status regex_open(regex **out, const char *pattern, bool ignore_case, bool full, error *err)
{
    size_t n = strlen(pattern);
    if (n > PATTERN_BYTES_MAX)
        return fail(err, E_RANGE, "the pattern has %zu bytes; the limit is %d", n, PATTERN_BYTES_MAX);
    status s = E_NOMEM;
    pcre2_compile_context *compile = NULL;
    regex *r = mem_zero(sizeof *r);
    if (!r)
        goto no_memory;
    r->memory = pcre2_general_context_create(take, give, NULL);
    r->limits = r->memory ? pcre2_match_context_create(r->memory) : NULL;
    compile = r->memory ? pcre2_compile_context_create(r->memory) : NULL;
    if (!r->limits || !compile)
        goto no_memory;
    pcre2_set_match_limit(r->limits, STEPS_MAX);
    pcre2_set_depth_limit(r->limits, DEPTH_MAX);
    pcre2_set_heap_limit(r->limits, HEAP_KIB_MAX);
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | (ignore_case ? PCRE2_CASELESS : 0) |
                       (full ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0);
    int code = 0;
    PCRE2_SIZE at = 0;
    r->code = pcre2_compile((PCRE2_SPTR)pattern, n, options, &code, &at, compile);
    if (!r->code) {
        PCRE2_UCHAR text[200] = { 0 };
        pcre2_get_error_message(code, text, sizeof text);
        s = fail(err, E_FORMAT, "the regular expression is not valid at byte %zu: %s", (size_t)at, (char *)text);
        goto out;
    }
    pcre2_compile_context_free(compile);
    *out = r;
    return OK;
no_memory:
    s = fail(err, E_NOMEM, "no memory for a regular expression");
out:
    if (compile)
        pcre2_compile_context_free(compile);
    regex_close(&r);
    return s;
}

status regex_match(const regex *r, const char *text, size_t n, regex_found *out, error *err)
{
    *out = (regex_found){ .ok = false };
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(r->code, r->memory);
    if (!data)
        return fail(err, E_NOMEM, "no memory for a match");
    int found = pcre2_match(r->code, (PCRE2_SPTR)text, n, 0, 0, data, r->limits);
    out->ok = found > 0;
    out->gave_up = found < 0 && found != PCRE2_ERROR_NOMATCH;
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
    for (int i = 0; i < found && i < REGEX_GROUPS; i++)
        if (at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1])
            out->groups[i] = (span){ text + at[2 * i], at[2 * i + 1] - at[2 * i] };
    pcre2_match_data_free(data);
    return found == PCRE2_ERROR_NOMEMORY ? fail(err, E_NOMEM, "no memory for a match") : OK;
}

void regex_close(regex **r)
{
    if (!*r)
        return;
    if ((*r)->code)
        pcre2_code_free((*r)->code);
    if ((*r)->limits)
        pcre2_match_context_free((*r)->limits);
    if ((*r)->memory)
        pcre2_general_context_free((*r)->memory);
    mem_free(*r);
    *r = NULL;
}
