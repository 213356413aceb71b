/* egress.c: the loop: HELLO, one OPEN (then the sandbox), then exchanges one after another. */
#include "egress/egress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/privacy_class.h"
#include "egress/release.h"
#include "egress/transfer.h"
#include "plat/build_id.h"
#include "plat/msg.h"
#include "plat/sandbox.h"

enum { KEY_MAX = 4096, URL_MAX = 2048, BODY_MAX = 16 << 20 };

typedef struct egress {
    msg_link link;
    transfer *curl;
    char url[URL_MAX];     /* base, without a slash at the end */
    char key[KEY_MAX];
    bool open, on_premises;
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

static void send_error(egress *e, uint32_t id, status code, const transfer_fault *f, const char *text)
{
    js *j = js_object();
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

/* Takes white space off the end; false for what cannot be in a header. */
static bool key_clean(char *key)
{
    size_t n = strlen(key);
    while (n > 0 && (unsigned char)key[n - 1] <= ' ')
        key[--n] = 0;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)key[i] <= ' ' || (unsigned char)key[i] > '~')
            return false;
    return true;
}

static status read_key(egress *e, const char *file, const char *env, error *err)
{
    if (env && env[0]) {
        const char *value = getenv(env);
        if (value && strlen(value) >= KEY_MAX)
            return fail(err, E_RANGE, "the key in %s is too long", env);
        snprintf(e->key, sizeof e->key, "%s", value ? value : "");
        if (!key_clean(e->key))
            return fail(err, E_FORMAT, "the key in %s has blanks or control characters", env);
        return OK;
    }
    if (!file || !file[0])
        return OK;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, E_NOTFOUND, "key file %s: %s", file, strerror(errno));
    ssize_t n = read(fd, e->key, sizeof e->key);
    int why = errno;
    close(fd);
    if (n < 0)
        return fail(err, E_IO, "key file %s: %s", file, strerror(why));
    if (n == (ssize_t)sizeof e->key) {
        memset(e->key, 0, sizeof e->key);
        return fail(err, E_RANGE, "key file %s is too long for a key", file);
    }
    e->key[n] = 0;
    if (n == 0 || strlen(e->key) != (size_t)n || !key_clean(e->key) || !e->key[0])
        return fail(err, E_FORMAT, "key file %s: one line with the key is expected", file);
    return OK;
}

/* The port a URL means. The front has checked its form. */
static uint16_t port_of(const char *url)
{
    const char *host = strstr(url, "://"), *end, *colon = NULL;
    if (!host)
        return 0;
    host += 3;
    end = host + strcspn(host, "/");
    for (const char *p = host; p < end; p++)
        colon = *p == ':' ? p : *p == ']' ? NULL : colon;
    long port = colon ? strtol(colon + 1, NULL, 10) : strncasecmp(url, "https", 5) == 0 ? 443 : 80;
    return port > 0 && port < 65536 ? (uint16_t)port : 0;
}

static js *describe_sandbox(const sandbox_report *r)
{
    js *j = js_object(), *checks = js_array();
    for (size_t i = 0; i < r->n_checks; i++) {
        js *c = js_object();
        js_set(c, "name", js_new_string(r->checks[i].name));
        js_set(c, "errno", js_new_int(r->checks[i].error));
        js_set(c, "denied", js_new_bool(r->checks[i].denied));
        js_push(checks, c);
    }
    js_set(j, "seccomp", js_new_bool(r->seccomp));
    js_set(j, "landlock", js_new_bool(r->landlock));
    js_set(j, "checks", checks);
    return j;
}

static status enter_sandbox(egress *e, sandbox_report *report, error *err)
{
    /* what name resolution and certificates read */
    sandbox_options o = { .kind = SANDBOX_NETWORK,
                          .read_paths = { "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf",
                                          "/dev/null", "/dev/urandom" },
                          .n_read_paths = 8, .ports = { port_of(e->url), 53 }, .n_ports = 2 };
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
    if (!s && (!url || strlen(url) >= URL_MAX ||
               (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)))
        s = fail(err, E_FORMAT, "egress: no url");
    if (!s) {
        memcpy(e->url, url, strlen(url) + 1);
        for (size_t n = strlen(e->url); n > 0 && e->url[n - 1] == '/'; n--)
            e->url[n - 1] = 0;
        e->on_premises = place && strcmp(place, "on-premises") == 0;
        s = read_key(e, js_text(js_get(j, "key_file")), js_text(js_get(j, "key_env")), err);
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
        send_error(e, 0, s, &(transfer_fault){ .kind = "invalid" }, err.text);
        e->over = true;
        return;
    }
    js *j = js_object();
    js_set(j, "key", js_new_bool(e->key[0] != 0));
    js_set(j, "sandbox", describe_sandbox(&report));
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
    if (!privacy_class_parse(js_text(js_get(j, "privacy")), &c))
        return false;
    return c == PRIVACY_PUBLIC || (c == PRIVACY_INTERNAL && e->on_premises);
}

static bool path_ok(const char *path)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789/_-";
    return path && path[0] == '/' && strspn(path, good) == strlen(path) && strlen(path) < 128;
}

static void exchange(egress *e, uint32_t id, const js *j)
{
    buf body = BUF_INIT(BODY_MAX);
    char url[URL_MAX + 128];
    const char *path = js_text(js_get(j, "path"));
    transfer_fault fault = { .kind = "internal" };
    error err = { 0 };
    stream s;
    stream_init(&s, js_bool(js_get(js_get(j, "body"), "logprobs"), false), js_get(js_get(j, "body"), "tools") != NULL);
    s.text = on_text;
    s.reasoning = on_reasoning;
    s.token = on_token;
    s.call = on_call;
    s.user = e;
    js_write(js_get(j, "body"), JS_COMPACT, &body);
    status r = buf_ok(&body, "a request", &err);
    if (!r && !path_ok(path))
        r = fail(&err, E_FORMAT, "egress: a path that is none");
    if (!r && (r = release_check(js_get(j, "release"), body.data, body.len, &e->used, &err)) != OK)
        fault.kind = "denied";
    if (!r) {
        snprintf(url, sizeof url, "%s%s", e->url, path);
        transfer_job job = { .url = url, .key = e->key, .body = body.data, .body_bytes = body.len,
                             .connect_ms = milliseconds(j, "connect_ms", 10000),
                             .first_ms = milliseconds(j, "first_ms", 600000),
                             .idle_ms = milliseconds(j, "idle_ms", 60000),
                             .timeout_ms = milliseconds(j, "timeout_ms", 600000),
                             .watch_fd = e->link.fd, .interrupted = interrupted, .user = e };
        r = transfer_run(e->curl, &job, &s, &fault, &err);
    }
    buf_clear(&body);
    if (e->over || e->broken)
        return;
    if (r == OK || r == E_CANCELLED)
        send_js(e, MSG_DONE, id, stream_done(&s, r == E_CANCELLED));
    else
        send_error(e, id, r, &fault, err.text);
}

static void handle_complete(egress *e, const msg *m)
{
    js *j = NULL;
    error err;
    e->request = m->request;
    e->cancelled = false;
    e->broken = js_parse(&j, m->data, m->length, "complete", 1, &err);
    if (!e->broken && !may_leave(e, j))
        send_error(e, m->request, E_DENIED, &(transfer_fault){ .kind = "denied" },
                   "egress: a request of this class does not leave");
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
    memset(e->key, 0, sizeof e->key);
    mem_free(e);
    return s;
}
