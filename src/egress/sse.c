/* sse.c: see the header. Lines end in \n, \r\n or \r; an empty line ends an event; an event that the stream's end cuts
 * off is dropped, as the standard says. */
#include "egress/sse.h"

#include <string.h>

void sse_init(sse *s, sse_fn *fn, void *user)
{
    *s = (sse){ .line = BUF_INIT(SSE_EVENT_MAX), .data = BUF_INIT(SSE_EVENT_MAX), .fn = fn, .user = user };
}

void sse_clear(sse *s)
{
    buf_clear(&s->line);
    buf_clear(&s->data);
}

static status end_of_line(sse *s, error *err)
{
    const char *line = buf_text(&s->line);
    size_t n = s->line.len;
    status r = buf_ok(&s->line, "a line of the answer", err);
    if (!r && n == 0 && s->has_data) {
        r = buf_ok(&s->data, "an event of the answer", err);
        if (!r)
            r = s->fn(s->user, buf_text(&s->data), s->data.len, err);
        buf_reset(&s->data);
        s->has_data = false;
    } else if (!r && n >= 4 && memcmp(line, "data", 4) == 0 && (n == 4 || line[4] == ':')) {
        size_t skip = n == 4 ? 4 : n > 5 && line[5] == ' ' ? 6 : 5;
        if (s->has_data)
            buf_char(&s->data, '\n');
        buf_add(&s->data, line + skip, n - skip);
        s->has_data = true;
    }
    buf_reset(&s->line);
    return r;
}

status sse_feed(sse *s, const char *bytes, size_t n, error *err)
{
    status r = OK;
    for (size_t i = 0; i < n && !r;) {
        if (s->after_cr && bytes[i] == '\n') {
            s->after_cr = false;
            i++;
            continue;
        }
        s->after_cr = false;
        size_t k = i;
        while (k < n && bytes[k] != '\n' && bytes[k] != '\r')
            k++;
        buf_add(&s->line, bytes + i, k - i);
        i = k;
        if (k < n) {
            s->after_cr = bytes[k] == '\r';
            i++;
            r = end_of_line(s, err);
        } else if (s->line.failed) {
            r = buf_ok(&s->line, "a line of the answer", err);
        }
    }
    return r;
}
