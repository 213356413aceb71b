/* audit_chain.c: see the header. */
#include "privacy/audit_chain.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "hearth.h"

static const char mac_begins[] = ",\"mac\":\"";
static const char key_label[] = "hearth audit key 1", body_label[] = "hearth audit body 1";
enum { MAC_TAIL = sizeof mac_begins - 1 + DIGEST_HEX - 1 + 2 }; /* ,"mac":"…"} */

static void step(audit_chain *c, const char *line, size_t n)
{
    uint8_t room[DIGEST_BYTES + sizeof key_label - 1];
    memcpy(room, c->key, DIGEST_BYTES);
    memcpy(room + DIGEST_BYTES, key_label, sizeof key_label - 1);
    digest_raw(room, sizeof room, c->key);
    explicit_bzero(room, sizeof room);
    digest_raw(line, n, c->head);
    c->next++;
    c->bytes += n + 1;
}

void audit_body_mac(const uint8_t key[DIGEST_BYTES], const uint8_t sum[DIGEST_BYTES], char out[DIGEST_HEX])
{
    uint8_t own[DIGEST_BYTES] = { 0 }, mac[DIGEST_BYTES] = { 0 };
    digest_hmac(key, DIGEST_BYTES, body_label, sizeof body_label - 1, own);
    digest_hmac(own, DIGEST_BYTES, sum, DIGEST_BYTES, mac);
    explicit_bzero(own, sizeof own);
    digest_hex(mac, out);
}

/* ---- writing ---- */

static size_t begin(const audit_chain *c, int64_t at_us, const char *kind, buf *out)
{
    size_t from = out->len;
    buf_printf(out, "{\"v\":%d,\"seq\":%llu,\"at_us\":%lld,\"kind\":\"%s\"", (int)AUDIT_FORMAT,
               (unsigned long long)c->next, (long long)at_us, kind);
    return from;
}

/* Cut at a character; what is no UTF-8 would make a line that is no JSON. */
static void add_text(buf *out, const char *name, const char *text)
{
    const char *t = text ? text : "";
    size_t n = strlen(t);
    buf_printf(out, ",\"%s\":", name);
    if (n > AUDIT_TEXT_MAX)
        n = utf8_complete(t, AUDIT_TEXT_MAX);
    if (!utf8_valid(t, n)) {
        t = "?";
        n = 1;
    }
    js_write_string(out, t, n);
}

static void seal(audit_chain *c, int64_t at_us, size_t from, buf *out, char mac[DIGEST_HEX])
{
    char prev[DIGEST_HEX];
    uint8_t raw[DIGEST_BYTES] = { 0 };
    digest_hex(c->head, prev);
    buf_printf(out, ",\"prev\":\"%s\"", prev);
    if (out->failed)
        return;
    digest_hmac(c->key, DIGEST_BYTES, out->data + from, out->len - from, raw);
    digest_hex(raw, mac);
    buf_printf(out, "%s%s\"}\n", mac_begins, mac);
    if (out->failed)
        return;
    step(c, out->data + from, out->len - from - 1);
    c->last_us = at_us;
}

void audit_write_begin(audit_chain *c, int64_t at_us, buf *out)
{
    char mac[DIGEST_HEX];
    size_t from = begin(c, at_us, "begin", out);
    add_text(out, "chain", c->id);
    add_text(out, "hearth", HEARTH_VERSION);
    seal(c, at_us, from, out, mac);
}

void audit_write_release(audit_chain *c, int64_t at_us, const audit_entry *e, const uint8_t body[DIGEST_BYTES],
                         buf *out, char mac[DIGEST_HEX])
{
    const struct {
        const char *name, *text;
    } texts[] = {
        { "request", e->request }, { "class", privacy_class_name(e->privacy) }, { "task", e->task },
        { "caller", e->caller }, { "place", privacy_place_name(e->place) }, { "host", e->host }, { "model", e->model },
        { "policy", e->policy }, { "detectors", e->detectors },
    };
    char own[DIGEST_HEX];
    size_t from = begin(c, at_us, e->kind ? e->kind : "release", out);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        add_text(out, texts[i].name, texts[i].text);
    audit_body_mac(c->key, body, own);
    buf_printf(out, ",\"bytes\":%llu,\"body\":\"%s\"", (unsigned long long)e->body_bytes, own);
    seal(c, at_us, from, out, mac);
}

void audit_write_torn(audit_chain *c, int64_t at_us, const char *torn, size_t n, buf *out)
{
    char mac[DIGEST_HEX], sum[DIGEST_HEX];
    digest_of(torn, n, sum);
    buf_char(out, '\n');
    size_t from = begin(c, at_us, "torn", out);
    if (c->next == 1) /* it takes the place of `begin`, which was cut off */
        add_text(out, "chain", c->id);
    buf_printf(out, ",\"bytes\":%llu,\"sha256\":\"%s\"", (unsigned long long)n, sum);
    c->bytes += n + 1;
    seal(c, at_us, from, out, mac);
}

/* ---- reading ---- */

static bool is_hex_of(const js *v, const uint8_t digest_bytes[DIGEST_BYTES])
{
    char hex[DIGEST_HEX];
    const char *t = js_text(v);
    digest_hex(digest_bytes, hex);
    return t && strcmp(t, hex) == 0;
}

static bool mac_fits(const audit_chain *c, const char *line, size_t n)
{
    uint8_t raw[DIGEST_BYTES] = { 0 };
    char hex[DIGEST_HEX];
    digest_hmac(c->key, DIGEST_BYTES, line, n - MAC_TAIL, raw);
    digest_hex(raw, hex);
    return memcmp(line + n - MAC_TAIL + sizeof mac_begins - 1, hex, DIGEST_HEX - 1) == 0;
}

/* The line as a record of the number that comes next, or why it is none. */
static js *accept(const audit_chain *c, const char *line, size_t n, bool keyed, audit_next *out)
{
    js *j = NULL;
    int64_t v = 0, seq = 0, at_us;
    const char *what = NULL;
    status parsed = E_FORMAT;
    bool form = n > MAC_TAIL && n < AUDIT_LINE_MAX &&
                memcmp(line + n - MAC_TAIL, mac_begins, sizeof mac_begins - 1) == 0 &&
                memcmp(line + n - 2, "\"}", 2) == 0 && (parsed = js_parse(&j, line, n, "record", 1, NULL)) == OK;
    out->lost = out->lost || parsed == E_NOMEM;
    if (!form)
        what = "the line is no record";
    else if (!js_int(js_get(j, "v"), &v) || v != AUDIT_FORMAT)
        what = "the record has another format than this hearth knows";
    else if (!js_int(js_get(j, "seq"), &seq) || !js_int(js_get(j, "at_us"), &at_us) || !js_text(js_get(j, "kind")))
        what = "the line is no record";
    if (!what && (seq < 1 || (uint64_t)seq != c->next)) {
        snprintf(out->why, sizeof out->why, "a record with the number %lld is in its place", (long long)seq);
        js_free(j);
        return NULL;
    }
    if (!what && !is_hex_of(js_get(j, "prev"), c->head))
        what = c->next == 1 ? "it does not begin a chain"
                            : "the record before it is not the one that it was written after";
    if (!what && keyed && !mac_fits(c, line, n))
        what = "it is not what was written: its MAC does not fit";
    if (!what)
        return j;
    snprintf(out->why, sizeof out->why, "%s", what);
    js_free(j);
    return NULL;
}

static size_t line_end(const char *log, size_t from, size_t n)
{
    const char *end = memchr(log + from, '\n', n - from);
    return end ? (size_t)(end - log) : n;
}

/* A later line that is the next record and vouches for all bytes before it as torn. */
static js *find_torn(const audit_chain *c, const char *log, size_t n, bool keyed, size_t *at, audit_next *out)
{
    static const char word[] = "\"kind\":\"torn\"";
    audit_next x = { 0 };
    for (size_t from = line_end(log, (size_t)c->bytes, n) + 1; from < n;) {
        size_t end = line_end(log, from, n);
        const char *hit = memmem(log + from, end - from, word, sizeof word - 1);
        js *j = hit && end < n ? accept(c, log + from, end - from, keyed, &x) : NULL;
        out->lost = out->lost || x.lost;
        int64_t bytes = -1;
        char sum[DIGEST_HEX];
        if (j && js_int(js_get(j, "bytes"), &bytes) && bytes >= 0 && (uint64_t)bytes == from - 1 - c->bytes) {
            const char *said = js_text(js_get(j, "sha256")), *kind = js_text(js_get(j, "kind"));
            digest_of(log + c->bytes, (size_t)bytes, sum);
            if (said && strcmp(said, sum) == 0 && strcmp(kind, "torn") == 0) {
                *at = from;
                return j;
            }
        }
        js_free(j);
        from = end + 1;
    }
    return NULL;
}

bool audit_find(audit_chain *c, const char *log, size_t n, bool keyed, audit_next *out)
{
    *out = (audit_next){ 0 };
    size_t at = (size_t)c->bytes;
    if (at >= n)
        return false;
    size_t end = line_end(log, at, n);
    out->cut = end == n;
    if (out->cut)
        snprintf(out->why, sizeof out->why, "the last line is cut off");
    else
        out->record = accept(c, log + at, end - at, keyed, out);
    if (out->record && strcmp(js_text(js_get(out->record, "kind")), "torn") == 0) { /* it vouches for nothing */
        js_free(out->record);
        out->record = NULL;
        snprintf(out->why, sizeof out->why, "it speaks of torn bytes that are not there");
    }
    if (!out->record && !out->lost && (out->record = find_torn(c, log, n, keyed, &at, out)) != NULL) {
        out->torn = at - c->bytes;
        c->bytes = at;
        end = line_end(log, at, n);
    }
    if (!out->record)
        return false;
    out->line = (span){ log + at, end - at };
    memcpy(out->key, c->key, DIGEST_BYTES);
    step(c, out->line.p, out->line.n);
    (void)js_int(js_get(out->record, "at_us"), &c->last_us);
    return true;
}
