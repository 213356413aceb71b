/* status.h: how every function of hearth says that it failed.
 *
 * A function that can fail returns a status and takes an error * as its last argument (NULL is allowed). OK is zero.
 * The sentence in error names what and where ("model.gguf: tensor 'blk.0.attn_q.weight': offset 812 past the end").
 * Out-parameters are written only on success. Bad input returns a status; our own mistakes assert.
 * Nothing outside src/cli/ exits. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

typedef enum status {
    OK = 0,
    E_NOMEM,       /* an allocation failed, or a ceiling that stands for memory was reached */
    E_IO,          /* the operating system said no: open, read, write, fork ... */
    E_FORMAT,      /* bytes from a stranger are not what their format says */
    E_UNSUPPORTED, /* well formed, but hearth does not do it; the text says what to do instead */
    E_RANGE,       /* a value or a size is outside its limits */
    E_NOTFOUND,    /* a name, a file or a key that is not there */
    E_NOFIT,       /* does not fit in memory or context; the text shows the arithmetic */
    E_CANCELLED,   /* the caller asked to stop */
    E_PROVIDER,    /* a provider (worker, cloud) failed, hung or lied */
    E_DENIED,      /* policy: privacy forbids it */
    E_EXISTS,      /* it is there already, or somebody else holds it */
} status;

#define ERROR_TEXT_BYTES 1024

typedef struct error {
    status code;
    char text[ERROR_TEXT_BYTES]; /* always terminated; cut at a character boundary when too long */
} error;

#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Writes the sentence into err (if there is one) and returns code, so that a function can end in `return fail(…)`. */
status fail(error *err, status code, const char *format, ...) PRINTF_LIKE(3, 4);
status fail_v(error *err, status code, const char *format, va_list args);

/* Puts a prefix ("tasks/a/task.yaml: ") before the sentence that is already in err. Returns err's code (or code when
 * err is NULL). */
status fail_prefix(error *err, status code, const char *format, ...) PRINTF_LIKE(3, 4);

/* A short fixed name for logs and JSON: "no-memory", "format", ... */
const char *status_name(status code);
/* Back from it; E_PROVIDER for a word (or NULL) that is no such name. */
status status_named(const char *name);

#endif
