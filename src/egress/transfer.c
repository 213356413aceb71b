/* transfer.c: see the header. */
#include "egress/transfer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "base/mem.h"
#include "egress/sse.h"
#include "hearth.h"
#include "plat/clock.h"

enum { ERROR_BODY_MAX = 64 << 10, TOTAL_MAX = 64 << 20, HEADER_MAX = 64 << 10, TICK_MS = 200 };

struct transfer {
    CURL *easy;
    CURLM *multi;
    char curl_text[CURL_ERROR_SIZE];
    char address[TRANSFER_ADDRESS]; /* of the last connection */
};

/* What the body turned out to be. */
typedef enum body_kind { BODY_NOT_YET, BODY_EVENTS, BODY_WHOLE, BODY_ERROR } body_kind;

typedef struct exchange {
    transfer *t;
    stream *s;
    sse events;
    body_kind kind;
    buf body;        /* WHOLE, ERROR */
    size_t total, header_bytes;
    rates *said;
    const transfer_job *job;
    const char *refused; /* why an address was not connected to */
    uint64_t last_us;
    bool any;
    status failed;   /* in the write callback */
    error why;
} exchange;

status transfer_open(transfer **out, error *err)
{
    transfer *t = mem_zero(sizeof *t);
    if (t && curl_global_init(CURL_GLOBAL_DEFAULT) == 0) {
        t->easy = curl_easy_init();
        t->multi = curl_multi_init();
        if (t->easy && t->multi) {
            *out = t;
            return OK;
        }
    }
    transfer_close(&t);
    return fail(err, E_NOMEM, "egress: libcurl cannot start");
}

void transfer_close(transfer **t)
{
    if (!*t)
        return;
    if ((*t)->easy)
        curl_easy_cleanup((*t)->easy);
    if ((*t)->multi)
        curl_multi_cleanup((*t)->multi);
    mem_free(*t);
    *t = NULL;
}

const char *transfer_address(const transfer *t)
{
    return t->address;
}

/* ---- what comes back ---- */

static status on_event(void *user, const char *data, size_t n, error *err)
{
    exchange *x = user;
    return stream_event(x->s, data, n, err);
}

static bool is_type(const char *given, const char *type)
{
    size_t n = strlen(type);
    return given && strncasecmp(given, type, n) == 0 && (given[n] == 0 || given[n] == ';' || given[n] == ' ');
}

static status choose_kind(exchange *x)
{
    long code = 0;
    char *type = NULL;
    char shown[64] = "none";
    curl_easy_getinfo(x->t->easy, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_getinfo(x->t->easy, CURLINFO_CONTENT_TYPE, &type);
    if (code != 200)
        x->kind = BODY_ERROR;
    else if (is_type(type, "text/event-stream"))
        x->kind = BODY_EVENTS;
    else if (is_type(type, "application/json"))
        x->kind = BODY_WHOLE;
    if (x->kind != BODY_NOT_YET)
        return OK;
    for (size_t i = 0; type && type[i] && i < sizeof shown - 1; i++) {
        shown[i] = type[i] >= ' ' && type[i] <= '~' ? type[i] : '?';
        shown[i + 1] = 0;
    }
    return fail(&x->why, E_PROVIDER,
                "the provider answered with content type '%s' where an event stream or JSON belongs", shown);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    exchange *x = user;
    size_t n = size * count;
    x->last_us = clock_mono_us();
    x->any = true;
    x->total += n;
    if (x->kind == BODY_NOT_YET)
        x->failed = choose_kind(x);
    if (!x->failed && x->total > TOTAL_MAX)
        x->failed = fail(&x->why, E_PROVIDER, "the provider's answer is over %d bytes", (int)TOTAL_MAX);
    if (!x->failed && x->kind == BODY_EVENTS) {
        x->failed = sse_feed(&x->events, bytes, n, &x->why);
    } else if (!x->failed) {
        buf_add(&x->body, bytes, x->kind == BODY_ERROR && x->body.len + n > ERROR_BODY_MAX ? 0 : n);
        x->failed = buf_ok(&x->body, "the provider's answer", &x->why);
    }
    if (x->failed && x->failed != E_CANCELLED)
        x->failed = E_PROVIDER;
    return x->failed ? 0 : n;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *user)
{
    exchange *x = user;
    size_t n = size * count;
    x->header_bytes += n;
    if (x->header_bytes > HEADER_MAX) {
        x->failed = fail(&x->why, E_PROVIDER, "the provider's header is over %d bytes", (int)HEADER_MAX);
        return 0;
    }
    rates_header(x->said, bytes, n, clock_utc_us());
    return n;
}

/* ---- asking ---- */

/* Without TLS nothing says who answers at an address: a name stays with the one that it meant first, while this process
 * lives. */
static const char *pinned_elsewhere(const exchange *x, const struct sockaddr *to)
{
    char text[TRANSFER_ADDRESS];
    if (x->job->rule->tls || x->job->rule->named || !x->t->address[0])
        return NULL;
    return address_text(to, text, sizeof text) && strcmp(text, x->t->address) == 0
               ? NULL
               : "is a name that means another address than before, and without https nobody says who is there: start "
                 "hearth again if it has moved";
}

/* curl resolved a name just now, and would connect to what came out. */
static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
    exchange *x = user;
    (void)purpose;
    x->refused = address_refusal(x->job->rule, &a->addr);
    if (!x->refused)
        x->refused = pinned_elsewhere(x, &a->addr);
    return x->refused ? CURL_SOCKET_BAD : socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (more)
        *list = more;
    return more != NULL;
}

static bool make_headers(struct curl_slist **list, const char *key, stream_dialect dialect)
{
    buf line = BUF_INIT(8192);
    bool ok = add_header(list, "Content-Type: application/json") &&
              add_header(list, "Accept: text/event-stream, application/json") && add_header(list, "Expect:");
    if (dialect == STREAM_ANTHROPIC)
        ok = ok && add_header(list, "anthropic-version: 2023-06-01");
    if (key[0]) {
        buf_printf(&line, dialect == STREAM_ANTHROPIC ? "x-api-key: %s" : "Authorization: Bearer %s", key);
        ok = ok && !line.failed && add_header(list, line.data);
    }
    if (line.data)
        explicit_bzero(line.data, line.len);
    buf_clear(&line);
    return ok;
}

/* One of the lines holds the key. */
static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *at = list; at; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(list);
}

static bool prepare(exchange *x, const transfer_job *job, struct curl_slist *headers)
{
    CURL *e = x->t->easy;
    const char *ca = getenv("SSL_CERT_FILE");
    curl_easy_reset(e);
    CURLcode c[] = {
        curl_easy_setopt(e, CURLOPT_URL, job->url),
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L),
        curl_easy_setopt(e, CURLOPT_PROXY, job->proxy),
        curl_easy_setopt(e, CURLOPT_NOPROXY, ""),
        curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L),
        curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED),
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket),
        curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, (void *)x),
        curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2),
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L),
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L),
        curl_easy_setopt(e, CURLOPT_POST, 1L),
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, job->body),
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)job->body_bytes),
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers),
        curl_easy_setopt(e, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION),
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)job->connect_ms),
        curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->t->curl_text),
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header),
        curl_easy_setopt(e, CURLOPT_HEADERDATA, (void *)x),
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body),
        curl_easy_setopt(e, CURLOPT_WRITEDATA, (void *)x),
        curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)TOTAL_MAX),
    };
    bool ok = !ca || !ca[0] || curl_easy_setopt(e, CURLOPT_CAINFO, ca) == CURLE_OK;
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        ok = ok && c[i] == CURLE_OK;
    return ok;
}

static const char *overdue(const exchange *x, const transfer_job *job, uint64_t start_us)
{
    uint64_t now = clock_mono_us(), ms = (now - start_us) / 1000, quiet = (now - x->last_us) / 1000;
    if (ms >= job->timeout_ms)
        return "the provider's answer was not complete in time";
    if (!x->any && ms >= job->first_ms)
        return "the provider did not begin to answer in time";
    if (x->any && quiet >= job->idle_ms)
        return "the provider stopped in the middle of its answer";
    return NULL;
}

/* Drives the transfer until it ends; *code is curl's verdict. */
static status drive(exchange *x, const transfer_job *job, CURLcode *code, transfer_fault *fault, error *err)
{
    uint64_t start = clock_mono_us();
    int running = 1;
    x->last_us = start;
    while (running) {
        struct curl_waitfd watch = { .fd = job->watch_fd, .events = CURL_WAIT_POLLIN };
        CURLMcode m = curl_multi_perform(x->t->multi, &running);
        if (m != CURLM_OK)
            return fail(err, E_PROVIDER, "egress: %s", curl_multi_strerror(m));
        const char *late = running && !x->failed ? overdue(x, job, start) : NULL;
        if (late) {
            fault->kind = "timeout";
            return fail(err, E_PROVIDER, "%s (%.1f s)", late, (double)(clock_mono_us() - start) * 1e-6);
        }
        if (running)
            curl_multi_poll(x->t->multi, &watch, 1, TICK_MS, NULL);
        if (running && watch.revents && job->interrupted(job->user))
            return fail(err, E_CANCELLED, "cancelled");
    }
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(x->t->multi, &left));)
        if (m->msg == CURLMSG_DONE)
            *code = m->data.result;
    return OK;
}

/* ---- judging ---- */

typedef struct http_meaning {
    long first, last;
    const char *kind;
    bool again;
} http_meaning;

/* What of HTTP's errors is whose, and whether the same request may succeed a little later. */
static const http_meaning *meaning_of(long http)
{
    static const http_meaning all[] = {
        { 400, 400, "invalid", false },   { 404, 404, "not-found", false },  { 408, 408, "upstream", true },
        { 409, 409, "upstream", true },   { 413, 413, "invalid", false },    { 422, 422, "invalid", false },
        { 429, 429, "rate-limited", true }, { 503, 503, "busy", true },      { 529, 529, "busy", true },
        { 500, 599, "upstream", true },   { 0, LONG_MAX, "upstream", false },
    };
    size_t i = 0;
    while (http < all[i].first || http > all[i].last)
        i++;
    return &all[i];
}

static status judge_status(exchange *x, long http, transfer_fault *fault, error *err)
{
    char text[300];
    curl_off_t wait = 0;
    const http_meaning *m = meaning_of(http);
    stream_error_text(buf_text(&x->body), x->body.len, text, sizeof text);
    curl_easy_getinfo(x->t->easy, CURLINFO_RETRY_AFTER, &wait);
    fault->retry_after_s = x->said->retry_after_s > 0 ? x->said->retry_after_s : wait > 0 ? (double)wait : 0;
    fault->kind = m->kind;
    fault->again = x->said->should_retry < 0 ? m->again : x->said->should_retry;
    if (http >= 300 && http < 400)
        return fail(err, E_PROVIDER, "the provider redirects (HTTP %ld): hearth does not follow; check the url", http);
    return fail(err, E_PROVIDER, "the provider answered HTTP %ld%s%s", http, text[0] ? ": " : "", text);
}

/* No answer came at all. */
static status judge_silence(exchange *x, CURLcode code, const char *why, transfer_fault *fault, error *err)
{
    if (x->refused) {
        fault->kind = "denied";
        return fail(err, E_DENIED, "the provider's host %s", x->refused);
    }
    fault->kind = code == CURLE_OPERATION_TIMEDOUT ? "timeout" : "unreachable";
    /* what failed before anything was sent; a certificate is as wrong the next time */
    fault->again = !fault->sent && (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                                    code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_OPERATION_TIMEDOUT ||
                                    code == CURLE_SSL_CONNECT_ERROR);
    return fail(err, E_PROVIDER, "the provider cannot be reached: %s", why);
}

static status judge(exchange *x, CURLcode code, transfer_fault *fault, error *err)
{
    long http = 0;
    curl_easy_getinfo(x->t->easy, CURLINFO_RESPONSE_CODE, &http);
    fault->http_status = http;
    if (x->failed) {
        fault->kind = x->s->fault ? x->s->fault : fault->kind;
        return fail(err, x->failed, "%s", x->why.text);
    }
    if (http != 0 && http != 200)
        return judge_status(x, http, fault, err);
    if (code == CURLE_OK && x->kind == BODY_NOT_YET)
        return fail(err, E_PROVIDER, "the provider sent an empty answer");
    if (code == CURLE_OK && x->kind == BODY_WHOLE) {
        status s = stream_whole(x->s, buf_text(&x->body), x->body.len, err);
        if (s)
            return s;
    }
    /* a complete answer counts even when the connection ended badly after it */
    if (code == CURLE_OK || (x->kind == BODY_EVENTS && x->s->ended))
        return stream_end(x->s, err);
    const char *why = x->t->curl_text[0] ? x->t->curl_text : curl_easy_strerror(code);
    if (x->any)
        return fail(err, E_PROVIDER, "the provider's answer broke off: %s", why);
    return judge_silence(x, code, why, fault, err);
}

static void note_address(transfer *t)
{
    char *ip = NULL;
    bool known = curl_easy_getinfo(t->easy, CURLINFO_PRIMARY_IP, &ip) == CURLE_OK && ip && ip[0];
    if (known && strlen(ip) < sizeof t->address)
        memcpy(t->address, ip, strlen(ip) + 1);
}

status transfer_run(transfer *t, const transfer_job *job, stream *s, rates *said, transfer_fault *fault, error *err)
{
    exchange x = { .t = t, .s = s, .said = said, .job = job, .body = BUF_INIT(2 * (size_t)STREAM_ANSWER_MAX) };
    struct curl_slist *headers = NULL;
    CURLcode code = CURLE_OK;
    *fault = (transfer_fault){ .kind = "upstream" };
    t->curl_text[0] = 0;
    rates_init(said);
    sse_init(&x.events, on_event, &x);
    status r = make_headers(&headers, job->key, s->dialect) && prepare(&x, job, headers) &&
                       curl_multi_add_handle(t->multi, t->easy) == CURLM_OK
                   ? OK
                   : fail(err, E_NOMEM, "egress: no memory for an exchange");
    if (!r) {
        long left = 0;
        r = drive(&x, job, &code, fault, err);
        curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &left);
        fault->sent = left > 0;
        if (fault->sent)
            note_address(t);
        if (!r)
            r = judge(&x, code, fault, err);
        curl_multi_remove_handle(t->multi, t->easy);
    }
    free_headers(headers);
    sse_clear(&x.events);
    buf_clear(&x.body);
    return r;
}
