/* pull.c: the loop: HELLO, one OPEN (then the sandbox), then jobs one after another. */
#include "pull/pull.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "plat/build_id.h"
#include "plat/msg.h"
#include "plat/paths.h"
#include "plat/sandbox.h"
#include "pull/job.h"

enum { CHECK_MS = 600000, PIECE = 4 << 20 };

typedef struct pull {
    msg_link link;
    getter *g;
    char models[PATH_MAX];
    pull_settings settings; /* read before the sandbox closes pip's files */
    bool open, over, cancelled;
    uint32_t request; /* the running one */
    status broken;
} pull;

/* ---- sending ---- */

static bool send_js(pull *p, msg_type type, uint32_t id, js *payload)
{
    buf text = BUF_INIT(MSG_BYTES_MAX);
    error err;
    js_write(payload, JS_COMPACT, &text);
    status s = payload ? buf_ok(&text, "a message", &err) : E_NOMEM;
    if (!s)
        s = msg_send(&p->link, type, id, text.data, text.len, NULL, 0, -1, &err);
    if (s)
        p->over = true;
    buf_clear(&text);
    js_free(payload);
    return s == OK;
}

static void send_error(pull *p, uint32_t id, const error *err)
{
    js *j = js_object();
    js_set(j, "kind", js_new_string(status_name(err->code)));
    js_set(j, "text", js_new_string(err->text));
    send_js(p, MSG_ERROR, id, j);
}

static status send_bytes(void *user, const char *bytes, size_t n, error *err)
{
    pull *p = user;
    status s = OK;
    for (size_t at = 0; at < n && !s; at += PIECE)
        s = msg_send(&p->link, MSG_BYTES, p->request, bytes + at, n - at < PIECE ? n - at : PIECE, NULL, 0, -1, err);
    return s;
}

/* ---- while a job runs ---- */

/* Reads what the front says meanwhile; waits at most ms for CHECKED, if there is a place for it. */
static void listen_to_front(pull *p, js **checked, int ms)
{
    bool got = true;
    while (!p->over && !p->broken && !p->cancelled && got && !(checked && *checked)) {
        msg m;
        error err;
        status s = msg_receive(&p->link, &m, &got, ms, &err);
        if (s == E_NOTFOUND || (!s && got && m.type == MSG_CLOSE))
            p->over = true;
        else if (s)
            p->broken = s;
        else if (got && m.type == MSG_CANCEL)
            p->cancelled = p->cancelled || m.request == p->request;
        else if (got && m.type == MSG_CHECKED && checked)
            p->broken = js_parse(checked, m.data, m.length, "checked", 1, &err);
        else if (got)
            p->broken = E_FORMAT;
    }
}

static bool on_progress(void *user, const get_progress *at)
{
    pull *p = user;
    js *j = js_object();
    if (at->path)
        js_set(j, "file", js_new_string(at->path));
    if (at->note)
        js_set(j, "note", js_new_string(at->note));
    js_set(j, "done", js_new_int((int64_t)at->done));
    js_set(j, "total", js_new_int((int64_t)at->total));
    js_set(j, "rate", js_new_double(at->rate));
    js_set(j, "streams", js_new_int(at->streams));
    send_js(p, MSG_PROGRESS, p->request, j);
    listen_to_front(p, NULL, 0);
    return p->cancelled || p->over || p->broken;
}

/* The front looks: it has no network, and this process parses no model. */
static status on_check(void *user, const char *path, const char *name, error *err)
{
    pull *p = user;
    js *ask = js_object(), *said = NULL;
    js_set(ask, "path", js_new_string(path));
    js_set(ask, "name", js_new_string(name));
    if (send_js(p, MSG_CHECK, p->request, ask))
        listen_to_front(p, &said, CHECK_MS);
    const char *text = js_text(js_get(said, "text"));
    status s = OK;
    if (!said)
        s = fail(err, E_CANCELLED, "cancelled before the file was looked at");
    else if (!js_bool(js_get(said, "ok"), false))
        s = fail(err, E_FORMAT, "%s", text ? text : "the file is not what its name says");
    js_free(said);
    return s;
}

/* ---- OPEN ---- */

static void may_read(sandbox_options *o, const char *path)
{
    if (path && path[0] && o->n_read_paths < SANDBOX_PATHS_MAX)
        o->read_paths[o->n_read_paths++] = path;
}

/* Name resolution, certificates, and what the front names (a local source). */
static status enter_sandbox(pull *p, const js *open, sandbox_report *report, error *err)
{
    static const char *const always[] = { "/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf",
                                          "/dev/null", "/dev/urandom" };
    sandbox_options o = { .kind = SANDBOX_FETCH, .write_paths = { p->models }, .n_write_paths = 1 };
    for (size_t i = 0; i < ARRAY_LEN(always); i++)
        may_read(&o, always[i]);
    may_read(&o, getenv("SSL_CERT_DIR"));
    may_read(&o, get_ca_file() ? get_ca_file() : p->settings.cert);
    for (size_t i = 0; i < js_len(js_get(open, "read")); i++)
        may_read(&o, js_text(js_at(js_get(open, "read"), i)));
    status s = sandbox_enter(&o, report, err);
    if (!s && !sandbox_test(SANDBOX_FETCH, report))
        s = fail(err, E_UNSUPPORTED, "pull: the sandbox of this system does not hold");
    return s;
}

static uint32_t number(const js *j, const char *key, int64_t most)
{
    int64_t v;
    return js_int(js_get(j, key), &v) && v > 0 ? (uint32_t)(v < most ? v : most) : 0;
}

static status open_getter(pull *p, const js *j, error *err)
{
    const getter_options o = { .ca_file = get_ca_file() ? NULL : p->settings.cert, .progress = on_progress,
                               .check = on_check, .user = p,
                               .streams = number(j, "streams", GET_STREAMS_MAX),
                               .tries = number(j, "tries", 1000), .quiet_s = number(j, "quiet_s", 3600),
                               .backoff_ms = number(j, "backoff_ms", 60000),
                               .piece_bytes = number(j, "piece_bytes", 1 << 30),
                               .plain_http = js_bool(js_get(j, "plain_http"), false) };
    const char *models = js_text(js_get(j, "models"));
    if (!models || models[0] != '/' || strlen(models) >= sizeof p->models)
        return fail(err, E_FORMAT, "pull: no models directory");
    memcpy(p->models, models, strlen(models) + 1);
    status s = path_make_dirs(p->models, err);
    return s ? s : getter_open(&p->g, &o, err);
}

static void handle_open(pull *p, const msg *m)
{
    sandbox_report report = { 0 };
    error err = { 0 };
    js *j = NULL;
    status s = js_parse(&j, m->data, m->length, "open", 1, &err);
    if (!s)
        s = pull_settings_read(&p->settings, &err);
    if (!s)
        s = open_getter(p, j, &err);
    if (!s)
        s = enter_sandbox(p, j, &report, &err);
    if (s) {
        send_error(p, 0, &err);
        p->over = true;
    } else {
        js *said = js_object();
        js_set(said, "sandbox", sandbox_to_js(&report));
        js_set(said, "closed", sandbox_test_paths(js_get(j, "closed")));
        p->open = true;
        send_js(p, MSG_OPENED, 0, said);
    }
    js_free(j);
}

/* ---- GET, HEADER ---- */

static status is_digest(const char *text, error *err)
{
    return !text || digest_is_hex(text) ? OK
                                        : fail(err, E_FORMAT, "a SHA-256 has 64 hexadecimal digits");
}

/* A number that may be left out. */
static bool count_or_0(const js *j, const char *key, int64_t *out)
{
    return !js_get(j, key) || (js_int(js_get(j, key), out) && *out >= 0);
}

static void handle_job(pull *p, const msg *m)
{
    error err = { 0 };
    js *j = NULL, *done = NULL;
    int64_t first = 0, n = 0, file = 0;
    bool get = m->type == MSG_GET; /* *m is gone with the next message */
    p->request = m->request;
    p->cancelled = false;
    status s = p->broken = js_parse(&j, m->data, m->length, "a job", 1, &err);
    const job what = { .models = p->models, .source = js_text(js_get(j, "source")), .name = js_text(js_get(j, "name")),
                       .licence = js_text(js_get(j, "licence")), .sha256 = js_text(js_get(j, "sha256")),
                       .settings = &p->settings };
    if (!s && !what.source)
        s = fail(&err, E_FORMAT, "pull: no source");
    if (!s)
        s = is_digest(what.sha256, &err);
    if (!s && get)
        s = job_get(&what, p->g, &done, &err);
    else if (!s && js_int(js_get(j, "bytes"), &n) && n > 0 && count_or_0(j, "first", &first) &&
             count_or_0(j, "file", &file))
        s = job_header(&what, p->g, (size_t)file, (uint64_t)first, (size_t)n, send_bytes, p, &done, &err);
    else if (!s)
        s = fail(&err, E_FORMAT, "pull: how many bytes?");
    if (p->over || p->broken)
        js_free(done);
    else if (s)
        send_error(p, p->request, &err);
    else
        send_js(p, MSG_DONE, p->request, done);
    js_free(j);
}

/* ---- the loop ---- */

static status serve(pull *p, error *err)
{
    while (!p->over && !p->broken) {
        msg m;
        bool got = false;
        status s = msg_receive(&p->link, &m, &got, -1, err);
        if (s)
            return s == E_NOTFOUND ? OK : s;
        if (!got)
            continue;
        if (m.type == MSG_CLOSE)
            break;
        if (m.type == MSG_OPEN && !p->open && m.n_fds == 0)
            handle_open(p, &m);
        else if ((m.type == MSG_GET || m.type == MSG_HEADER) && p->open)
            handle_job(p, &m);
        else if (m.type != MSG_CANCEL)
            return fail(err, E_FORMAT, "pull: a message of type %u, which is unknown or out of order", m.type);
    }
    return p->broken ? fail(err, p->broken, "pull: the front broke the protocol") : OK;
}

status pull_serve(int fd, error *err)
{
    pull *p = mem_zero(sizeof *p);
    if (!p)
        return fail(err, E_NOMEM, "pull: no memory");
    msg_link_open(&p->link, fd);
    js *hello = js_object();
    js_set(hello, "process", js_new_string("pull"));
    js_set(hello, "build", js_new_string(build_id()));
    status s = OK;
    if (send_js(p, MSG_HELLO, 0, hello))
        s = serve(p, err);
    getter_close(&p->g);
    pull_settings_clear(&p->settings);
    msg_link_close(&p->link);
    mem_free(p);
    return s;
}
