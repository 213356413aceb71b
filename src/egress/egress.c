/* egress.c: the loop: HELLO, one OPEN (then the sandbox), then exchanges one after another. */
#include "egress/egress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/privacy_class.h"
#include "egress/key.h"
#include "egress/release.h"
#include "egress/transfer.h"
#include "plat/build_id.h"
#include "plat/msg.h"
#include "plat/sandbox.h"

enum { URL_MAX = 2048, BODY_MAX = 16 << 20 };

typedef struct egress {
    msg_link link;
    transfer *curl;
    char url[URL_MAX];     /* base, without a slash at the end */
    char proxy[URL_MAX];   /* "": none */
    char key[KEY_MAX];
    js *closed;            /* files of the front's that must be closed to this process; NULL: none are named */
    bool open, on_premises;
    stream_dialect dialect;
    privacy_class class_max;
    address_rule rule;
    uint32_t request;      /* the running one */
    bool cancelled, over;
    release_used used;     /* the last record of the audit log that let something leave */
    status broken;
} egress;

/* ---- sending ---- */

static bool send_js(egress *e, msg_type type, uint32_t id, js *payload)
{
    buf text = BUF_INIT(MSG_BYTES_MAX);
    error err;
    js_write(payload, JS_COMPACT, &text);
    status s = payload ? buf_ok(&text, "a message", &err) : E_NOMEM;
    if (!s)
        s = msg_send(&e->link, type, id, text.data, text.len, NULL, 0, -1, &err);
    if (s)
        e->over = true;
    buf_clear(&text);
    js_free(payload);
    return s == OK;
}

static void send_error(egress *e, uint32_t id, status code, const transfer_fault *f, const rates *said, char *text)
{
    js *j = js_object(), *limits = said ? rates_to_js(said) : NULL;
    key_hide(text, e->key);
    if (limits)
        js_set(j, "limits", limits);
    if (e->curl)
        js_set(j, "address", js_new_string(transfer_address(e->curl)));
    js_set(j, "again", js_new_bool(f->again));
    js_set(j, "sent", js_new_bool(f->sent));
    js_set(j, "status", js_new_string(status_name(code)));
    js_set(j, "kind", js_new_string(f->kind));
    js_set(j, "text", js_new_string(text));
    js_set(j, "upstream_status", js_new_int(f->http_status));
    js_set(j, "retry_after", js_new_double(f->retry_after_s));
    send_js(e, MSG_ERROR, id, j);
}

static bool on_text(void *user, const char *text, size_t n)
{
    egress *e = user;
    error err;
    if (msg_send(&e->link, MSG_TEXT, e->request, text, n, NULL, 0, -1, &err) != OK)
        e->over = true;
    return !e->over && !e->cancelled;
}

static bool on_reasoning(void *user, const char *text, size_t n)
{
    egress *e = user;
    error err;
    if (msg_send(&e->link, MSG_REASONING, e->request, text, n, NULL, 0, -1, &err) != OK)
        e->over = true;
    return !e->over && !e->cancelled;
}

static bool on_call(void *user, stream_call what, js *call)
{
    static const msg_type types[] = { [STREAM_CALL] = MSG_CALL, [STREAM_ARGUMENTS] = MSG_ARGUMENTS,
                                      [STREAM_CALL_END] = MSG_CALL_END };
    egress *e = user;
    return send_js(e, types[what], e->request, call) && !e->cancelled;
}

static bool on_token(void *user, js *token)
{
    egress *e = user;
    return send_js(e, MSG_TOKEN, e->request, token) && !e->cancelled;
}

/* ---- OPEN ---- */

static status enter_sandbox(egress *e, sandbox_report *report, error *err)
{
    /* what name resolution and certificates read */
    sandbox_options o = { .kind = SANDBOX_NETWORK,
                          .read_paths = { "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf",
                                          "/dev/null", "/dev/urandom" },
                          .n_read_paths = 8, .ports = { e->rule.port, 53 }, .n_ports = 2 };
    static const char *const more[] = { "SSL_CERT_FILE", "SSL_CERT_DIR" };
    for (size_t i = 0; i < ARRAY_LEN(more); i++)
        if (getenv(more[i]) && getenv(more[i])[0])
            o.read_paths[o.n_read_paths++] = getenv(more[i]);
    status s = sandbox_enter(&o, report, err);
    if (!s && !sandbox_test(SANDBOX_NETWORK, report))
        s = fail(err, E_UNSUPPORTED, "egress: the sandbox of this system does not hold");
    return s;
}

static status open_settings(egress *e, const msg *m, error *err)
{
    js *j = NULL;
    status s = js_parse(&j, m->data, m->length, "open", 1, err);
    const char *url = js_text(js_get(j, "url")), *place = js_text(js_get(j, "place"));
    const char *proxy = js_text(js_get(j, "proxy")), *dialect = js_text(js_get(j, "dialect"));
    const key_source from = { js_text(js_get(j, "key_file")), js_text(js_get(j, "key_env")),
                              js_text(js_get(j, "key_credential")) };
    if (!s && (!url || strlen(url) >= URL_MAX ||
               (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)))
        s = fail(err, E_FORMAT, "egress: no url");
    if (!s && proxy && strlen(proxy) >= URL_MAX)
        s = fail(err, E_FORMAT, "egress: the proxy's url is too long");
    if (!s && !privacy_class_parse(js_text(js_get(j, "class_max")), &e->class_max))
        e->class_max = PRIVACY_INTERNAL;
    if (!s) {
        memcpy(e->url, url, strlen(url) + 1);
        for (size_t n = strlen(e->url); n > 0 && e->url[n - 1] == '/'; n--)
            e->url[n - 1] = 0;
        e->on_premises = place && strcmp(place, "on-premises") == 0;
        e->dialect = dialect && strcmp(dialect, "anthropic") == 0 ? STREAM_ANTHROPIC : STREAM_OPENAI;
        if (proxy)
            memcpy(e->proxy, proxy, strlen(proxy) + 1);
        e->rule = address_rule_of(e->proxy[0] ? e->proxy : e->url, e->on_premises);
        e->rule.named = e->rule.named || e->proxy[0]; /* what the host's name means is the proxy's to say */
        s = key_read(e->key, &from, err);
        e->closed = js_copy(js_get(j, "closed"));
    }
    js_free(j);
    return s;
}

static void handle_open(egress *e, const msg *m)
{
    sandbox_report report = { 0 };
    error err = { 0 };
    status s = open_settings(e, m, &err);
    if (!s)
        s = transfer_open(&e->curl, &err);
    if (!s)
        s = enter_sandbox(e, &report, &err);
    if (s) {
        send_error(e, 0, s, &(transfer_fault){ .kind = "invalid" }, NULL, err.text);
        e->over = true;
        return;
    }
    js *j = js_object();
    js_set(j, "key", js_new_bool(e->key[0] != 0));
    js_set(j, "sandbox", sandbox_to_js(&report));
    js_set(j, "closed", sandbox_test_paths(e->closed));
    e->open = true;
    send_js(e, MSG_OPENED, 0, j);
}

/* ---- COMPLETE ---- */

/* While an exchange runs: true when it should stop. */
static bool interrupted(void *user)
{
    egress *e = user;
    bool got = true;
    while (!e->over && !e->broken && got) {
        msg m;
        error err;
        status s = msg_receive(&e->link, &m, &got, 0, &err);
        if (s == E_NOTFOUND || (!s && got && m.type == MSG_CLOSE))
            e->over = true;
        else if (s)
            e->broken = s;
        else if (got && m.type == MSG_CANCEL)
            e->cancelled = e->cancelled || m.request == e->request;
        else if (got)
            e->broken = E_FORMAT;
    }
    return e->cancelled || e->over || e->broken;
}

static uint32_t milliseconds(const js *j, const char *key, uint32_t otherwise)
{
    int64_t v;
    return js_int(js_get(j, key), &v) && v > 0 && v <= INT32_MAX ? (uint32_t)v : otherwise;
}

/* The rule that must hold in this process too: what may leave at all. */
static bool may_leave(const egress *e, const js *j)
{
    privacy_class c;
    if (!privacy_class_parse(js_text(js_get(j, "privacy")), &c) || c > e->class_max)
        return false;
    return c == PRIVACY_PUBLIC || (c == PRIVACY_INTERNAL && e->on_premises);
}

static bool path_ok(const char *path)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789/_-";
    return path && path[0] == '/' && strspn(path, good) == strlen(path) && strlen(path) < 128;
}

static void stream_begin(egress *e, stream *s, const js *body)
{
    stream_init(s, js_bool(js_get(body, "logprobs"), false), js_get(body, "tools") != NULL);
    s->dialect = e->dialect;
    s->stops = e->dialect == STREAM_ANTHROPIC ? js_get(body, "stop_sequences") : NULL;
    s->text = on_text;
    s->reasoning = on_reasoning;
    s->token = on_token;
    s->call = on_call;
    s->user = e;
}

static void send_done(egress *e, uint32_t id, const stream *s, bool cancelled, const rates *said)
{
    js *j = stream_done(s, cancelled), *limits = rates_to_js(said);
    js_set(j, "address", js_new_string(transfer_address(e->curl)));
    if (limits)
        js_set(j, "limits", limits);
    send_js(e, MSG_DONE, id, j);
}

static void exchange(egress *e, uint32_t id, const js *j)
{
    buf body = BUF_INIT(BODY_MAX);
    char url[URL_MAX + 128];
    const char *path = js_text(js_get(j, "path"));
    transfer_fault fault = { .kind = "internal" };
    error err = { 0 };
    stream s;
    rates said;
    rates_init(&said);
    stream_begin(e, &s, js_get(j, "body"));
    js_write(js_get(j, "body"), JS_COMPACT, &body);
    status r = buf_ok(&body, "a request", &err);
    if (!r && !path_ok(path))
        r = fail(&err, E_FORMAT, "egress: a path that is none");
    if (!r && (r = release_check(js_get(j, "release"), body.data, body.len, &e->used, &err)) != OK)
        fault.kind = "denied";
    if (!r) {
        snprintf(url, sizeof url, "%s%s", e->url, path);
        transfer_job job = { .url = url, .key = e->key, .proxy = e->proxy, .rule = &e->rule, .body = body.data,
                             .body_bytes = body.len,
                             .connect_ms = milliseconds(j, "connect_ms", 10000),
                             .first_ms = milliseconds(j, "first_ms", 600000),
                             .idle_ms = milliseconds(j, "idle_ms", 60000),
                             .timeout_ms = milliseconds(j, "timeout_ms", 600000),
                             .watch_fd = e->link.fd, .interrupted = interrupted, .user = e };
        r = transfer_run(e->curl, &job, &s, &said, &fault, &err);
    }
    buf_clear(&body);
    if (e->over || e->broken)
        return;
    if (r == OK || r == E_CANCELLED)
        send_done(e, id, &s, r == E_CANCELLED, &said);
    else
        send_error(e, id, r, &fault, &said, err.text);
}

static void handle_complete(egress *e, const msg *m)
{
    js *j = NULL;
    error err;
    e->request = m->request;
    e->cancelled = false;
    e->broken = js_parse(&j, m->data, m->length, "complete", 1, &err);
    if (!e->broken && !may_leave(e, j))
        send_error(e, m->request, E_DENIED, &(transfer_fault){ .kind = "denied" }, NULL,
                   (char[]){ "egress: a request of this class does not leave" });
    else if (!e->broken)
        exchange(e, e->request, j);
    js_free(j);
}

/* ---- the loop ---- */

static status serve(egress *e, error *err)
{
    while (!e->over && !e->broken) {
        msg m;
        bool got = false;
        status s = msg_receive(&e->link, &m, &got, -1, err);
        if (s)
            return s == E_NOTFOUND ? OK : s;
        if (!got)
            continue;
        if (m.type == MSG_CLOSE)
            break;
        if (m.type == MSG_OPEN && !e->open && m.n_fds == 0)
            handle_open(e, &m);
        else if (m.type == MSG_COMPLETE && e->open)
            handle_complete(e, &m);
        else if (m.type != MSG_CANCEL)
            return fail(err, E_FORMAT, "egress: a message of type %u, which is unknown or out of order", m.type);
    }
    return e->broken ? fail(err, e->broken, "egress: the front broke the protocol") : OK;
}

status egress_serve(int fd, error *err)
{
    egress *e = mem_zero(sizeof *e);
    if (!e)
        return fail(err, E_NOMEM, "egress: no memory");
    msg_link_open(&e->link, fd);
    js *hello = js_object();
    js_set(hello, "process", js_new_string("egress"));
    js_set(hello, "build", js_new_string(build_id()));
    status s = OK;
    if (send_js(e, MSG_HELLO, 0, hello))
        s = serve(e, err);
    transfer_close(&e->curl);
    msg_link_close(&e->link);
    explicit_bzero(e->key, sizeof e->key);
    js_free(e->closed);
    mem_free(e);
    return s;
}
