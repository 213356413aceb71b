/* get.c: a getter, and what it gets into memory. Files: get_file.c. */
#include "pull/get.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "pull/get_int.h"

enum { TICK_MS = 100, REPORT_US = 100000 };

/* ---- the getter ---- */

const char *get_ca_file(void)
{
    static const char *const names[] = { "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value && value[0])
            return value;
    }
    return NULL;
}

static bool keep(char *out, size_t room, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n >= room)
        return false;
    memcpy(out, text ? text : "", n + 1);
    return true;
}

status getter_token(getter *g, const char *token, const char *host, error *err)
{
    bool clean = !token || !strpbrk(token, "\r\n");
    if (clean && keep(g->token, sizeof g->token, token) && keep(g->token_host, sizeof g->token_host, host))
        return OK;
    g->token[0] = 0;
    return fail(err, E_RANGE, "a token that is too long, or has line breaks in it");
}

status getter_open(getter **out, const getter_options *o, error *err)
{
    const char *ca = o->ca_file ? o->ca_file : get_ca_file();
    if (o->streams > GET_STREAMS_MAX)
        return fail(err, E_RANGE, "at most %d streams", (int)GET_STREAMS_MAX);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return fail(err, E_NOMEM, "libcurl cannot start");
    getter *g = mem_zero(sizeof *g);
    status s = g && (g->multi = curl_multi_init()) ? OK : fail(err, E_NOMEM, "no memory for requests");
    if (!s) {
        g->o = *o;
        s = keep(g->ca_file, sizeof g->ca_file, ca) ? getter_token(g, o->token, o->token_host, err)
                                                    : fail(err, E_RANGE, "the path of the certificates is too long");
    }
    if (s)
        getter_close(&g);
    else
        *out = g;
    return s;
}

void getter_close(getter **out)
{
    getter *g = *out;
    if (!g)
        return;
    for (size_t i = 0; i < ARRAY_LEN(g->wires); i++) {
        wire_stop(g, &g->wires[i]);
        if (g->wires[i].easy)
            curl_easy_cleanup(g->wires[i].easy);
    }
    if (g->multi)
        curl_multi_cleanup(g->multi);
    explicit_bzero(g->token, sizeof g->token);
    mem_free(g);
    *out = NULL;
}

bool get_report(getter *g, const get_progress *p)
{
    uint64_t now = clock_mono_us();
    if (!g->o.progress || (!p->note && now - g->last_report_us < REPORT_US))
        return false;
    g->last_report_us = now;
    return g->o.progress(g->o.user, p);
}

bool get_note(getter *g, const char *path, const char *note)
{
    return get_report(g, &(get_progress){ .path = path, .note = note });
}

status get_check(getter *g, const char *path, const char *name, error *err)
{
    return g->o.check ? g->o.check(g->o.user, path, name, err) : OK;
}

/* ---- into memory ---- */

typedef struct memory_sink {
    buf *out;
    size_t before, most; /* out's length at the beginning; bytes that are wanted */
    bool cut;            /* more than `most` is no error: the rest is not read */
    uint64_t first, skip; /* the range asked for; bytes to pass over, of a server that knows no ranges */
    uint64_t total;
    bool range, full;
} memory_sink;

static status on_head(void *user, const wire_head *h, error *err)
{
    memory_sink *m = user;
    m->out->len = m->before; /* what an earlier try brought */
    m->skip = m->range && h->http == 200 ? m->first : 0;
    m->total = h->http == 206 ? (h->has_total ? h->total : 0) : h->has_length ? h->length : 0;
    if (m->range && h->http == 206 && h->first != m->first)
        return fail(err, E_PROVIDER, "it sent another part of the file than was asked for");
    if (!m->cut && h->has_length && h->length > m->most)
        return fail(err, E_RANGE, "the document has %llu bytes, the limit is %zu", (unsigned long long)h->length,
                    m->most);
    return OK;
}

static status on_body(void *user, const char *bytes, size_t n, error *err)
{
    memory_sink *m = user;
    size_t pass = m->skip < n ? (size_t)m->skip : n, have = m->out->len - m->before, room = m->most - have;
    m->skip -= pass;
    bytes += pass;
    n -= pass;
    if (n > room && !m->cut)
        return fail(err, E_RANGE, "the document has over %zu bytes", m->most);
    buf_add(m->out, bytes, n < room ? n : room);
    m->full = m->cut && n >= room;
    status s = buf_ok(m->out, "a document", err);
    return s ? s : m->full && n > room ? fail(err, E_CANCELLED, "enough") : OK;
}

/* Waits for the exchange or for a pause to end; E_CANCELLED. */
static status wait_for(getter *g, const wire *w, uint64_t until_us, error *err)
{
    status s = OK;
    while (!s && (w ? wire_running(w) : clock_mono_us() < until_us)) {
        s = wire_turn(g, TICK_MS, err);
        if (!s && get_report(g, &(get_progress){ 0 }))
            s = fail(err, E_CANCELLED, "cancelled");
    }
    return s;
}

static status get_into(getter *g, const wire_ask *a, memory_sink *m, char *final_url, size_t room, error *err)
{
    const wire_sink sink = { on_head, on_body, m };
    retry again = { 0 };
    for (;;) {
        char note[ERROR_TEXT_BYTES];
        wire *w = wire_take(g);
        status s = w ? wire_start(g, w, a, &sink, err) : fail(err, E_NOMEM, "no memory for a request");
        if (!s)
            s = wait_for(g, w, 0, err);
        if (s) {
            if (w)
                wire_stop(g, w);
            return s;
        }
        const wire_result *r = wire_outcome(w);
        if (!r->err.code || (r->err.code == E_CANCELLED && m->full)) {
            if (final_url && !keep(final_url, room, wire_final_url(w)))
                return fail(err, E_RANGE, "a redirect led to a url that is too long");
            return OK;
        }
        s = retry_failed(&again, g, r, note, sizeof note, err);
        if (!s && get_note(g, NULL, note))
            s = fail(err, E_CANCELLED, "cancelled");
        if (!s)
            s = wait_for(g, NULL, again.until_us, err);
        if (s)
            return s;
    }
}

status get_text(getter *g, const char *url, const char *accept, size_t most, buf *out, char *final_url,
                size_t final_room, error *err)
{
    const wire_ask a = { .url = url, .accept = accept };
    memory_sink m = { .out = out, .before = out->len, .most = most };
    return get_into(g, &a, &m, final_url, final_room, err);
}

status get_range(getter *g, const char *url, uint64_t first, size_t n, buf *out, uint64_t *total, error *err)
{
    const wire_ask a = { .url = url, .range = true, .first = first, .last = first + n - 1 };
    memory_sink m = { .out = out, .before = out->len, .most = n, .cut = true, .range = true, .first = first };
    status s = n ? get_into(g, &a, &m, NULL, 0, err) : OK;
    if (!s && total)
        *total = m.total;
    return s;
}
