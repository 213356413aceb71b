#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

char *buf_reserve(buf *b, size_t n)
{
    if (b->failed || n > b->max - b->len) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + n + 1;
    if (need > b->size) {
        size_t size = b->size ? b->size * 2 : 64;
        while (size < need)
            size *= 2;
        char *grown = mem_resize(b->data, size);
        if (!grown) {
            b->failed = true;
            return NULL;
        }
        b->data = grown;
        b->size = size;
    }
    b->data[b->len] = '\0';
    return b->data + b->len;
}

void buf_advance(buf *b, size_t n)
{
    assert(b->len + n < b->size);
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_add(buf *b, const void *bytes, size_t n)
{
    char *to = buf_reserve(b, n);
    if (!to)
        return;
    if (n)
        memcpy(to, bytes, n);
    buf_advance(b, n);
}

void buf_str(buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_char(buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_printf(buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *to = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again);
        buf_advance(b, (size_t)n);
    }
    va_end(again);
}

void buf_drop(buf *b, size_t n)
{
    assert(n <= b->len);
    if (!n)
        return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

status buf_ok(const buf *b, const char *what, error *err)
{
    if (!b->failed)
        return OK;
    return fail(err, E_RANGE, "%s: no room: the limit is %zu bytes, or memory is short", what, b->max);
}

const char *buf_text(const buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(buf *b)
{
    char *data = b->failed ? NULL : b->data;
    if (b->failed)
        mem_free(b->data);
    else if (!data)
        data = mem_strdup("");
    *b = (buf)BUF_INIT(b->max);
    return data;
}

void buf_reset(buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

void buf_clear(buf *b)
{
    mem_free(b->data);
    *b = (buf)BUF_INIT(b->max);
}
