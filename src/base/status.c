#include "base/status.h"

#include <stdio.h>
#include <string.h>

/* A text cut at its ceiling must not end in half a UTF-8 character: it goes into JSON and onto terminals. */
static void cut_at_character(char *text, size_t n)
{
    while (n > 0 && ((unsigned char)text[n - 1] & 0xC0) == 0x80)
        n--;
    if (n > 0 && (unsigned char)text[n - 1] >= 0xC0)
        n--;
    text[n] = '\0';
}

status fail_v(error *err, status code, const char *format, va_list args)
{
    if (err) {
        err->code = code;
        int n = vsnprintf(err->text, sizeof err->text, format, args);
        if (n >= (int)sizeof err->text)
            cut_at_character(err->text, sizeof err->text - 1);
    }
    return code;
}

status fail(error *err, status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_v(err, code, format, args);
    va_end(args);
    return code;
}

status fail_prefix(error *err, status code, const char *format, ...)
{
    if (!err)
        return code;
    char old[ERROR_TEXT_BYTES];
    memcpy(old, err->text, sizeof old);
    va_list args;
    va_start(args, format);
    char head[ERROR_TEXT_BYTES / 2];
    vsnprintf(head, sizeof head, format, args);
    va_end(args);
    return fail(err, err->code ? err->code : code, "%s%s", head, old);
}

const char *status_name(status code)
{
    static const char *const names[] = {
        [OK] = "ok",
        [E_NOMEM] = "no-memory",
        [E_IO] = "io",
        [E_FORMAT] = "format",
        [E_UNSUPPORTED] = "unsupported",
        [E_RANGE] = "range",
        [E_NOTFOUND] = "not-found",
        [E_NOFIT] = "does-not-fit",
        [E_CANCELLED] = "cancelled",
        [E_PROVIDER] = "provider",
        [E_DENIED] = "denied",
        [E_EXISTS] = "exists",
    };
    return (size_t)code < ARRAY_LEN(names) ? names[code] : "unknown";
}

status status_named(const char *name)
{
    for (int s = OK; name && s <= E_EXISTS; s++)
        if (strcmp(status_name((status)s), name) == 0)
            return (status)s;
    return E_PROVIDER;
}
