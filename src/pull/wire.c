/* wire.c: see the header. Redirects are followed here and not by libcurl, so that each hop is looked at. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "hearth.h"
#include "pull/get_int.h"

enum { HEADER_MAX = 64 << 10, CONNECT_MS = 20000, SLOW_BYTES_S = 1000, QUIET_S = 30 };

/* ---- urls ---- */

static bool url_part(const char *url, CURLUPart what, char *out, size_t room)
{
    char *text = NULL;
    CURLU *u = curl_url();
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
              curl_url_get(u, what, &text, 0) == CURLUE_OK && strlen(text) < room;
    if (ok)
        memcpy(out, text, strlen(text) + 1);
    curl_free(text);
    curl_url_cleanup(u);
    return ok;
}

char *get_shown(const char *url, char text[GET_SHOWN])
{
    char scheme[16], host[128], path[GET_URL_MAX];
    if (url_part(url, CURLUPART_SCHEME, scheme, sizeof scheme) && url_part(url, CURLUPART_HOST, host, sizeof host) &&
        url_part(url, CURLUPART_PATH, path, sizeof path))
        snprintf(text, GET_SHOWN, "%s://%s%.*s%s", scheme, host, 96, path, strlen(path) > 96 ? "..." : "");
    else
        snprintf(text, GET_SHOWN, "that url");
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127)
            *p = '?';
    return text;
}

static bool is_loopback(const char *host)
{
    unsigned a, b, c, d;
    char end;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (sscanf(host, "%u.%u.%u.%u%c", &a, &b, &c, &d, &end) == 4 && a == 127);
}

status wire_allowed(const char *url, const char *before, bool plain_http, error *err)
{
    char scheme[16], host[256], shown[GET_SHOWN], old[16];
    get_shown(url, shown);
    if (strlen(url) >= GET_URL_MAX || !url_part(url, CURLUPART_SCHEME, scheme, sizeof scheme))
        return fail(err, E_FORMAT, "%s: not a url that hearth can read", shown);
    if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
        return fail(err, E_DENIED, "%s: hearth asks https servers, and this url is of '%s'", shown, scheme);
    if (!url_part(url, CURLUPART_HOST, host, sizeof host))
        return fail(err, E_FORMAT, "%s: a url without a host", shown);
    if (strcmp(scheme, "https") == 0)
        return OK;
    if (before && url_part(before, CURLUPART_SCHEME, old, sizeof old) && strcmp(old, "https") == 0)
        return fail(err, E_DENIED, "%s: a redirect from https to http is not followed", shown);
    if (plain_http || is_loopback(host))
        return OK;
    return fail(err, E_DENIED, "%s: http proves neither who answers nor what arrives; use https, or give the SHA-256 "
                "that the file must have", shown);
}

/* The token is one host's: no other, no port of somebody else, and not without TLS. */
static bool wants_token(const getter *g, const char *url)
{
    char scheme[16], host[256], port[8], both[sizeof host + sizeof port];
    if (!g->token[0] || !url_part(url, CURLUPART_SCHEME, scheme, sizeof scheme) || strcmp(scheme, "https") != 0 ||
        !url_part(url, CURLUPART_HOST, host, sizeof host))
        return false;
    bool usual = !url_part(url, CURLUPART_PORT, port, sizeof port) || strcmp(port, "443") == 0;
    snprintf(both, sizeof both, "%s%s%s", host, usual ? "" : ":", usual ? "" : port);
    return strcasecmp(both, g->token_host) == 0;
}

/* ---- header lines ---- */

/* The value of "name: value\r\n" when the line is of that name. */
static bool line_value(span line, const char *name, char *out, size_t room)
{
    size_t n = strlen(name);
    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return false;
    span v = span_trim((span){ line.p + n + 1, line.n - n - 1 });
    if (v.n >= room)
        v.n = 0; /* too long to be kept is as good as not said */
    memcpy(out, v.p, v.n);
    out[v.n] = 0;
    return true;
}

/* "bytes 0-99/1000", "bytes 0-99/" and a star, "bytes " star "/1000" (of a 416) */
static void read_content_range(wire_head *h, const char *text)
{
    char first[24] = "", last[24] = "", total[24] = "";
    if (sscanf(text, "bytes %23[0-9]-%23[0-9]/%23s", first, last, total) == 3)
        h->has_range = str_u64(first, &h->first) && str_u64(last, &h->last) && h->last >= h->first;
    else if (sscanf(text, "bytes */%23s", total) != 1)
        return;
    h->has_total = str_u64(total, &h->total);
}

void wire_read_line(wire_head *h, span line)
{
    char text[128];
    if (line.n > 5 && strncasecmp(line.p, "HTTP/", 5) == 0) {
        *h = (wire_head){ .framed = line.p[5] >= '2' };
        return;
    }
    if (line_value(line, "Content-Length", text, sizeof text))
        h->has_length = str_u64(text, &h->length);
    else if (line_value(line, "Content-Range", text, sizeof text))
        read_content_range(h, text);
    else if (line_value(line, "Transfer-Encoding", text, sizeof text))
        h->framed = h->framed || strcasecmp(text, "chunked") == 0;
    else if (line_value(line, "ETag", h->etag, sizeof h->etag) ||
             line_value(line, "Last-Modified", h->modified, sizeof h->modified))
        return;
    else if (line_value(line, "Content-Encoding", h->encoding, sizeof h->encoding) && !h->encoding[0])
        snprintf(h->encoding, sizeof h->encoding, "?");
}

static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
    wire *w = user;
    size_t n = size * count;
    w->header_bytes += n;
    if (w->header_bytes > HEADER_MAX) {
        w->refused = true;
        fail(&w->why, E_PROVIDER, "its header is over %d bytes", (int)HEADER_MAX);
        return 0;
    }
    wire_read_line(&w->head, (span){ bytes, n });
    return n;
}

/* ---- the body ---- */

/* The sink sees the header. False: it wants no more. */
static bool show_head(wire *w)
{
    curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &w->head.http);
    w->headed = true;
    w->head.framed = w->head.framed || w->head.has_length;
    status s = OK;
    if (w->head.encoding[0] && strcasecmp(w->head.encoding, "identity") != 0)
        s = fail(&w->why, E_PROVIDER, "it sent the content encoding '%s', which was not asked for", w->head.encoding);
    if (!s && w->head.http == 206 && !w->head.has_range) {
        s = fail(&w->why, E_PROVIDER, "it sent a part of the file and did not say which");
        w->result.again = true; /* so does a header that was cut */
    }
    if (!s && w->sink.head)
        s = w->sink.head(w->sink.user, &w->head, &w->why);
    w->refused = s != OK;
    return !w->refused;
}

static bool wanted(wire *w)
{
    long http = 0;
    curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &http);
    return http == 200 || http == 206;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    wire *w = user;
    size_t n = size * count;
    w->body_bytes += n;
    if (!wanted(w))
        return w->body_bytes > HEADER_MAX ? 0 : n; /* the text of an error or redirect: nobody reads it */
    if (!w->headed && !show_head(w))
        return 0;
    w->refused = w->sink.body(w->sink.user, bytes, n, &w->why) != OK;
    return w->refused ? 0 : n;
}

/* ---- asking ---- */

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more)
        *list = more;
    return more != NULL;
}

static bool make_headers(const getter *g, wire *w)
{
    char line[GET_ETAG + 1024 + 32];
    bool ok = add_header(&w->headers, "Accept-Encoding: identity");
    if (w->ask.accept) {
        snprintf(line, sizeof line, "Accept: %s", w->ask.accept);
        ok = ok && add_header(&w->headers, line);
    }
    if (w->ask.range && w->ask.if_range && w->ask.if_range[0]) {
        snprintf(line, sizeof line, "If-Range: %s", w->ask.if_range);
        ok = ok && add_header(&w->headers, line);
    }
    if (wants_token(g, w->url)) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", g->token);
        ok = ok && add_header(&w->headers, line);
        explicit_bzero(line, sizeof line);
    }
    return ok;
}

static void free_headers(wire *w)
{
    for (struct curl_slist *at = w->headers; at; at = at->next)
        explicit_bzero(at->data, strlen(at->data)); /* one of the lines may hold a token */
    curl_slist_free_all(w->headers);
    w->headers = NULL;
}

static bool set_options(const getter *g, wire *w)
{
    CURL *e = w->easy;
    char range[64];
    const char *ca_dir = getenv("SSL_CERT_DIR");
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)w->ask.first, (unsigned long long)w->ask.last);
    curl_easy_reset(e);
    CURLcode c[] = {
        curl_easy_setopt(e, CURLOPT_URL, w->url),
        curl_easy_setopt(e, CURLOPT_PRIVATE, (void *)w),
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L),
        /* each range has a connection, and so a window, of its own */
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L),
        curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED),
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2),
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L),
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L),
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, w->headers),
        curl_easy_setopt(e, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION),
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS),
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES_S),
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)(g->o.quiet_s ? g->o.quiet_s : QUIET_S)),
        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, w->curl_text),
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header),
        curl_easy_setopt(e, CURLOPT_HEADERDATA, (void *)w),
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body),
        curl_easy_setopt(e, CURLOPT_WRITEDATA, (void *)w),
        w->ask.range ? curl_easy_setopt(e, CURLOPT_RANGE, range) : CURLE_OK,
        g->ca_file[0] ? curl_easy_setopt(e, CURLOPT_CAINFO, g->ca_file) : CURLE_OK,
        g->ca_file[0] ? curl_easy_setopt(e, CURLOPT_PROXY_CAINFO, g->ca_file) : CURLE_OK,
        ca_dir && ca_dir[0] ? curl_easy_setopt(e, CURLOPT_CAPATH, ca_dir) : CURLE_OK,
        ca_dir && ca_dir[0] ? curl_easy_setopt(e, CURLOPT_PROXY_CAPATH, ca_dir) : CURLE_OK,
    };
    bool ok = true;
    (void)curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 256L << 10); /* a wish: refused while a buffer is kept */
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        ok = ok && c[i] == CURLE_OK;
    return ok;
}

/* Asks w->url. */
static status send_ask(getter *g, wire *w, error *err)
{
    w->head = (wire_head){ 0 };
    w->why = (error){ OK, "" };
    w->header_bytes = 0;
    w->body_bytes = 0;
    w->headed = w->refused = false;
    w->curl_text[0] = 0;
    free_headers(w);
    w->running = make_headers(g, w) && set_options(g, w) && curl_multi_add_handle(g->multi, w->easy) == CURLM_OK;
    return w->running ? OK : fail(err, E_NOMEM, "no memory for a request");
}

wire *wire_take(getter *g)
{
    for (size_t i = 0; i < ARRAY_LEN(g->wires); i++) {
        wire *w = &g->wires[i];
        if (w->running)
            continue;
        if (!w->easy)
            w->easy = curl_easy_init();
        return w->easy ? w : NULL;
    }
    return NULL;
}

status wire_start(getter *g, wire *w, const wire_ask *a, const wire_sink *sink, error *err)
{
    status s = wire_allowed(a->url, NULL, a->plain_http || g->o.plain_http, err);
    if (s)
        return s;
    w->ask = *a;
    w->sink = *sink;
    w->redirects = 0;
    w->result = (wire_result){ 0 };
    memcpy(w->url, a->url, strlen(a->url) + 1);
    return send_ask(g, w, err);
}

void wire_stop(getter *g, wire *w)
{
    if (w->running)
        curl_multi_remove_handle(g->multi, w->easy);
    w->running = false;
    free_headers(w);
}

bool wire_running(const wire *w)
{
    return w->running;
}

const wire_result *wire_outcome(const wire *w)
{
    return &w->result;
}

const char *wire_final_url(const wire *w)
{
    return w->url;
}

/* ---- judging ---- */

typedef struct http_meaning {
    long first, last;
    status code;
    bool again;
    const char *text;
} http_meaning;

static const http_meaning *meaning_of(long http)
{
    static const http_meaning all[] = {
        { 401, 401, E_DENIED, false, "it wants to know who asks: a token is needed" },
        { 403, 403, E_DENIED, false, "it does not allow this; a token, or the consent to a licence, may be missing" },
        { 404, 404, E_NOTFOUND, false, "there is no such file" },
        { 407, 407, E_DENIED, false, "the proxy wants a user and a password" },
        { 408, 408, E_PROVIDER, true, "it gave up waiting" },
        { 410, 410, E_NOTFOUND, false, "the file is gone" },
        { 416, 416, E_PROVIDER, false, "it has no such range" },
        { 425, 425, E_PROVIDER, true, "too early" },
        { 429, 429, E_PROVIDER, true, "too many requests" },
        { 501, 501, E_PROVIDER, false, "it cannot do this" },
        { 505, 505, E_PROVIDER, false, "it cannot do this" },
        { 500, 599, E_PROVIDER, true, "it has a fault of its own" },
        { 0, LONG_MAX, E_PROVIDER, false, "that is no answer to a request for a file" },
    };
    size_t i = 0;
    while (http < all[i].first || http > all[i].last)
        i++;
    return &all[i];
}

/* What libcurl says that will be so the next time too. */
static bool is_final(CURLcode c)
{
    static const CURLcode all[] = { CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
                                    CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_OUT_OF_MEMORY,
                                    CURLE_SSL_CERTPROBLEM, CURLE_WEIRD_SERVER_REPLY };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i] == c)
            return true;
    return false;
}

static bool is_unreachable(CURLcode c)
{
    return c == CURLE_COULDNT_RESOLVE_HOST || c == CURLE_COULDNT_RESOLVE_PROXY || c == CURLE_COULDNT_CONNECT;
}

static void conclude(wire *w, status code, bool again, const char *text)
{
    char shown[GET_SHOWN];
    w->result.again = again;
    fail(&w->result.err, code, "%s: %s", get_shown(w->url, shown), text);
}

static void judge_curl(wire *w, CURLcode c)
{
    char text[400];
    long proxy = 0;
    const char *why = w->curl_text[0] ? w->curl_text : curl_easy_strerror(c);
    curl_easy_getinfo(w->easy, CURLINFO_HTTP_CONNECTCODE, &proxy);
    if (w->headed)
        snprintf(text, sizeof text, "broke off after %llu bytes (%s)", (unsigned long long)w->body_bytes, why);
    else
        snprintf(text, sizeof text, "%s", why);
    w->result.unreachable = is_unreachable(c);
    conclude(w, E_PROVIDER, !is_final(c) && (proxy < 400 || proxy >= 500), text);
}

static void judge(wire *w, CURLcode c)
{
    char text[400];
    curl_off_t wait = 0;
    long http = 0;
    curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &http);
    curl_easy_getinfo(w->easy, CURLINFO_RETRY_AFTER, &wait);
    w->result.http = http;
    w->result.retry_after_s = wait > 0 ? (double)wait : 0;
    if (c == CURLE_OK && wanted(w) && !w->headed)
        (void)show_head(w);
    if (w->refused) {
        w->result.sink = true;
        if (w->why.code == E_PROVIDER || w->why.code == E_FORMAT || w->why.code == E_RANGE)
            conclude(w, w->why.code, w->result.again, w->why.text);
        else
            w->result.err = w->why; /* this machine's own: not the server's fault */
    } else if (http && !wanted(w)) {
        const http_meaning *m = meaning_of(http);
        snprintf(text, sizeof text, "HTTP %ld: %s", http, m->text);
        conclude(w, m->code, m->again, text);
    } else if (c != CURLE_OK) {
        judge_curl(w, c);
    }
}

/* True: the answer leads elsewhere, and that is being asked. */
static bool follow(getter *g, wire *w)
{
    char *to = NULL;
    error err = { 0 };
    long http = 0;
    curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &http);
    if (http < 300 || http >= 400 || curl_easy_getinfo(w->easy, CURLINFO_REDIRECT_URL, &to) != CURLE_OK || !to)
        return false;
    if (++w->redirects > GET_REDIRECTS_MAX) {
        conclude(w, E_PROVIDER, false, "redirects without end");
    } else if (wire_allowed(to, w->url, w->ask.plain_http || g->o.plain_http, &err) != OK) {
        w->result.err = err;
    } else {
        memcpy(w->url, to, strlen(to) + 1);
        if (send_ask(g, w, &err) != OK)
            conclude(w, err.code, false, err.text);
        return w->running;
    }
    w->refused = true;
    return false;
}

static void finish(getter *g, wire *w, CURLcode c)
{
    curl_multi_remove_handle(g->multi, w->easy);
    w->running = false;
    long http = 0;
    g->reached = g->reached || (curl_easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &http) == CURLE_OK && http != 0);
    if (follow(g, w))
        return;
    if (!w->result.err.code)
        judge(w, c);
    free_headers(w);
}

status wire_turn(getter *g, int ms, error *err)
{
    int running = 0, left;
    CURLMcode m = curl_multi_perform(g->multi, &running);
    bool any = false;
    for (CURLMsg *said; (said = curl_multi_info_read(g->multi, &left));) {
        char *w = NULL;
        if (said->msg != CURLMSG_DONE)
            continue;
        CURLcode c = said->data.result; /* *said is gone with its handle */
        curl_easy_getinfo(said->easy_handle, CURLINFO_PRIVATE, &w);
        finish(g, (wire *)(void *)w, c);
        any = true;
    }
    if (m == CURLM_OK && !any)
        m = curl_multi_poll(g->multi, NULL, 0, ms, NULL);
    return m == CURLM_OK ? OK : fail(err, E_PROVIDER, "libcurl: %s", curl_multi_strerror(m));
}
