/* libFuzzer over what a provider answers: event stream, whole document, error document. The first byte says in which
 * pieces the bytes arrive; in pieces or at once, the events are the same.
 * modules: base
 * files: src/egress/sse.c src/egress/stream.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "egress/sse.h"
#include "egress/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct heard {
    stream s;
    uint64_t sum;
    size_t events;
} heard;

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void mix(heard *h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h->sum = (h->sum ^ (unsigned char)p[i]) * 0x100000001b3u;
}

static bool on_text(void *user, const char *text, size_t n)
{
    must(n > 0 && utf8_valid(text, n));
    mix(user, text, n);
    return true;
}

static bool on_token(void *user, js *token)
{
    buf text = BUF_INIT(64 << 20);
    js_write(token, JS_COMPACT, &text);
    mix(user, buf_text(&text), text.len);
    buf_clear(&text);
    js_free(token);
    return true;
}

static status on_event(void *user, const char *data, size_t n, error *err)
{
    heard *h = user;
    must(data[n] == 0);
    h->events++;
    return stream_event(&h->s, data, n, err);
}

static void begin(heard *h)
{
    *h = (heard){ .sum = 1 };
    stream_init(&h->s, true, true);
    h->s.text = on_text;
    h->s.token = on_token;
    h->s.user = h;
}

static void end(heard *h, status r, const error *why)
{
    error err = { 0 };
    must(r == OK || why->text[0]);
    status e = r ? r : stream_end(&h->s, &err);
    js *done = stream_done(&h->s, e != OK);
    must(done && (e || h->s.finish));
    js_free(done);
}

static status feed(heard *h, const char *p, size_t n, size_t step)
{
    sse in;
    error err = { 0 };
    status r = OK;
    begin(h);
    sse_init(&in, on_event, h);
    for (size_t at = 0; at < n && !r; at += step)
        r = sse_feed(&in, p + at, n - at < step ? n - at : step, &err);
    end(h, r, &err);
    sse_clear(&in);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *p = (const char *)data + 1;
    heard whole, pieces;
    status a = feed(&whole, p, size - 1, size), b = feed(&pieces, p, size - 1, 1 + data[0] % 31);
    must(a == b && whole.sum == pieces.sum && whole.events == pieces.events);

    char text[300];
    error err = { 0 };
    begin(&whole);
    a = stream_whole(&whole.s, p, size - 1, &err);
    end(&whole, a, &err);
    stream_error_text(p, size - 1, text, sizeof text);
    must(utf8_valid(text, strlen(text)));
    return 0;
}
