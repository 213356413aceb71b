/* buf.h: a growing byte buffer with a ceiling. Owner thread.
 *
 * BUF_INIT(max) owns nothing yet. Adding beyond max, or without memory, sets `failed` and adds nothing, then and from
 * then on: write freely and ask buf_ok() once at the end. data is always zero-terminated (NULL only while empty). */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct buf {
    char *data;
    size_t len, size;
    size_t max; /* ceiling of len in bytes */
    bool failed;
} buf;
#define BUF_INIT(max_bytes) { NULL, 0, 0, (max_bytes), false }

void buf_add(buf *b, const void *bytes, size_t n);
void buf_str(buf *b, const char *s);
void buf_char(buf *b, char c);
void buf_printf(buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makes room for n more bytes and returns where they go (NULL: failed); then buf_advance(b, used). */
char *buf_reserve(buf *b, size_t n);
void buf_advance(buf *b, size_t n);

/* Drops the first n bytes (consumed input). Keeps the memory. */
void buf_drop(buf *b, size_t n);

/* OK, or E_RANGE/E_NOMEM with a sentence that names `what` and the ceiling. */
status buf_ok(const buf *b, const char *what, error *err) MUST_CHECK;

/* The text so far: never NULL. Borrowed until the next change. */
const char *buf_text(const buf *b);
/* Hands over the bytes (zero-terminated, free with mem_free; NULL if the buffer failed); b is empty afterwards. */
char *buf_take(buf *b);
/* Empties and keeps memory / empties and frees. Both clear `failed`. */
void buf_reset(buf *b);
void buf_clear(buf *b);

#endif
