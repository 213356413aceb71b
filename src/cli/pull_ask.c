/* pull_ask.c: see the header. What comes from hearth-pull is checked like what comes from a stranger. */
#include "cli/pull_ask.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/load.h"
#include "cli/pull_draw.h"
#include "gguf/gguf.h"
#include "plat/build_id.h"
#include "plat/file_map.h"
#include "plat/msg.h"
#include "plat/paths.h"
#include "plat/proc.h"

enum { START_MS = 20000, TICK_MS = 200, CANCEL_MS = 5000, GRACE_MS = 2000 };

static const char program[] = "hearth-pull";

/* Proxies, certificates, where pip's index and Hugging Face's token are. */
static const char *const keep[] = {
    "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE",
    "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_*", "HF_*", "UV_*", "VIRTUAL_ENV", "HOME",
    "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_CACHE_HOME", "LANG", "LC_ALL", "RES_OPTIONS", "LOCALDOMAIN", NULL,
};

struct pull_ask {
    proc process;
    msg_link link;
    uint32_t last;  /* request */
    pull_draw draw;
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* ---- messages ---- */

static status lost(pull_ask *a, const error *why, error *err)
{
    char how[128];
    pull_draw_end(&a->draw);
    if (!proc_wait(&a->process, GRACE_MS))
        return fail(err, E_PROVIDER, "%s: %s", program, why->text);
    return fail(err, E_PROVIDER, "%s %s; what came is kept: the same command goes on from there", program,
                proc_how_ended(&a->process, how, sizeof how));
}

static status send_js(pull_ask *a, msg_type type, uint32_t id, js *payload, error *err)
{
    buf text = BUF_INIT(MSG_BYTES_MAX);
    error why = { 0 };
    js_write(payload, JS_COMPACT, &text);
    status s = payload ? buf_ok(&text, "a message", err) : fail(err, E_NOMEM, "no memory for a message");
    if (!s && msg_send(&a->link, type, id, text.data, text.len, NULL, 0, START_MS, &why) != OK)
        s = lost(a, &why, err);
    buf_clear(&text);
    js_free(payload);
    return s;
}

static status error_of(const js *j, error *err)
{
    status s = status_named(js_text(js_get(j, "kind")));
    const char *text = js_text(js_get(j, "text"));
    return fail(err, s ? s : E_PROVIDER, "%s", text ? text : "hearth-pull failed without saying why");
}

/* The next message, as JSON when it is that. *got false: nothing came within a tick. */
static status receive(pull_ask *a, int ms, msg *m, js **j, bool *got, error *err)
{
    error why = { 0 };
    *j = NULL;
    if (msg_receive(&a->link, m, got, ms, &why) != OK)
        return lost(a, &why, err);
    if (!*got || m->type == MSG_BYTES)
        return OK;
    return js_parse(j, m->data, m->length, program, 1, err) ? E_PROVIDER : OK;
}

/* ---- what was fetched ---- */

static status check_gguf(const char *path, const char *name, error *err)
{
    file_map map;
    gguf *g = NULL;
    if (!str_ends(name, ".gguf"))
        return OK;
    status s = file_map_open(&map, path, err);
    if (s)
        return s;
    const char *slash = strrchr(name, '/');
    s = gguf_parse(&g, map.data, map.bytes, map.bytes, slash ? slash + 1 : name, err);
    gguf_close(&g);
    file_map_close(&map);
    return s;
}

static status answer_check(pull_ask *a, uint32_t id, const js *ask, error *err)
{
    const char *path = js_text(js_get(ask, "path")), *name = js_text(js_get(ask, "name"));
    error why = { 0 };
    status s = path && name ? check_gguf(path, name, &why) : fail(&why, E_FORMAT, "hearth-pull named no file");
    js *said = js_object();
    js_set(said, "ok", js_new_bool(s == OK));
    js_set(said, "text", js_new_string(why.text));
    return send_js(a, MSG_CHECKED, id, said, err);
}

/* ---- a job ---- */

typedef struct following {
    uint32_t id;
    buf *out;          /* of MSG_BYTES; NULL: none are expected */
    size_t most;
    js *done;
    bool asked;        /* to cancel */
    int waited_ms;     /* since then */
} following;

static status take(pull_ask *a, following *f, const msg *m, js **j, error *err)
{
    if (m->request != f->id)
        return fail(err, E_PROVIDER, "%s: an answer to nothing", program);
    switch (m->type) {
    case MSG_PROGRESS: pull_draw_progress(&a->draw, *j); return OK;
    case MSG_CHECK: pull_draw_end(&a->draw); return answer_check(a, f->id, *j, err);
    case MSG_ERROR: return error_of(*j, err);
    case MSG_BYTES:
        if (!f->out)
            break;
        size_t room = f->most - f->out->len;
        buf_add(f->out, m->data, m->length < room ? m->length : room);
        return buf_ok(f->out, "a header", err);
    case MSG_DONE:
        f->done = *j;
        *j = NULL;
        return OK;
    default: break;
    }
    return fail(err, E_PROVIDER, "%s: a message that makes no sense here", program);
}

static status follow(pull_ask *a, following *f, error *err)
{
    status s = OK;
    while (!s && !f->done) {
        msg m;
        js *j;
        bool got = false;
        s = receive(a, TICK_MS, &m, &j, &got, err);
        if (!s && got)
            s = take(a, f, &m, &j, err);
        js_free(j);
        if (!s && interrupted && !f->asked) {
            f->asked = true;
            s = send_js(a, MSG_CANCEL, f->id, js_object(), err);
        }
        if (!s && f->asked && !got && (f->waited_ms += TICK_MS) > CANCEL_MS)
            s = E_CANCELLED;
    }
    pull_draw_end(&a->draw);
    if (f->asked && s)
        s = fail(err, E_CANCELLED, "cancelled; what came is kept: the same command goes on from there");
    return s;
}

static status run_job(pull_ask *a, msg_type type, js *payload, following *f, error *err)
{
    struct sigaction old, now = { .sa_handler = on_interrupt };
    interrupted = 0;
    sigaction(SIGINT, &now, &old);
    f->id = ++a->last;
    status s = send_js(a, type, f->id, payload, err);
    if (!s)
        s = follow(a, f, err);
    sigaction(SIGINT, &old, NULL);
    return s;
}

status pull_ask_get(pull_ask *a, const char *source, const char *name, const char *sha256, const char *licence,
                    js **done, error *err)
{
    following f = { 0 };
    js *j = js_object();
    js_set(j, "source", js_new_string(source));
    if (name)
        js_set(j, "name", js_new_string(name));
    if (sha256)
        js_set(j, "sha256", js_new_string(sha256));
    if (licence)
        js_set(j, "licence", js_new_string(licence));
    status s = run_job(a, MSG_GET, j, &f, err);
    if (!s)
        *done = f.done;
    return s;
}

status pull_ask_header(pull_ask *a, const char *source, size_t file, uint64_t first, size_t n, buf *out,
                       uint64_t *file_bytes, js **done, error *err)
{
    following f = { .out = out, .most = out->len + n };
    size_t before = out->len;
    int64_t total = 0, len = 0;
    js *j = js_object();
    js_set(j, "source", js_new_string(source));
    js_set(j, "file", js_new_int((int64_t)file));
    js_set(j, "first", js_new_int((int64_t)first));
    js_set(j, "bytes", js_new_int((int64_t)n));
    status s = run_job(a, MSG_HEADER, j, &f, err);
    if (s)
        return s;
    const js *one = js_at(js_get(f.done, "files"), file);
    if (!js_int(js_get(one, "file_bytes"), &total) || total < 0 || !js_int(js_get(one, "bytes"), &len) ||
        len != (int64_t)(out->len - before)) {
        js_free(f.done);
        return fail(err, E_PROVIDER, "%s: it does not say what it brought", program);
    }
    *file_bytes = (uint64_t)total;
    if (done)
        *done = f.done;
    else
        js_free(f.done);
    return OK;
}

/* ---- opening ---- */

static js *settings_of(const pull_ask_options *o, const char *models)
{
    js *j = js_object(), *read = js_array();
    js_set(j, "models", js_new_string(models));
    for (size_t i = 0; i < PULL_ASK_READ; i++)
        if (o->read[i])
            js_push(read, js_new_string(o->read[i]));
    js_set(j, "read", read);
    js_set(j, "streams", js_new_int(o->streams));
    js_set(j, "tries", js_new_int(o->tries));
    js_set(j, "quiet_s", js_new_int((int64_t)(o->quiet_s + 0.5)));
    js_set(j, "backoff_ms", js_new_int((int64_t)(o->pause_s * 1000)));
    js_set(j, "piece_bytes", js_new_int((int64_t)o->piece_bytes));
    js_set(j, "plain_http", js_new_bool(o->plain_http));
    return j;
}

static status expect(pull_ask *a, msg_type type, js **j, error *err)
{
    msg m;
    bool got = false;
    status s = receive(a, START_MS, &m, j, &got, err);
    if (!s && !got)
        s = fail(err, E_PROVIDER, "%s did not start in time", program);
    else if (!s && m.type == MSG_ERROR)
        s = error_of(*j, err);
    else if (!s && m.type != type)
        s = fail(err, E_PROVIDER, "%s: an answer that is none", program);
    return s;
}

static status greet(pull_ask *a, const pull_ask_options *o, error *err)
{
    char *models = NULL;
    js *hello = NULL, *opened = NULL;
    status s = expect(a, MSG_HELLO, &hello, err);
    const char *build = js_text(js_get(hello, "build"));
    if (!s && (!build || strcmp(build, build_id()) != 0))
        s = fail(err, E_PROVIDER, "%s is of another build (%.40s, this is %s): install both together", program,
                 build ? build : "?", build_id());
    if (!s)
        s = path_of(&models, PATH_DATA, "models", err);
    if (!s)
        s = send_js(a, MSG_OPEN, 0, settings_of(o, models), err);
    if (!s)
        s = expect(a, MSG_OPENED, &opened, err);
    mem_free(models);
    js_free(hello);
    js_free(opened);
    return s;
}

status pull_ask_open(pull_ask **out, const pull_ask_options *o, error *err)
{
    char path[PROC_PATH_MAX];
    int fd;
    pull_ask *a = mem_zero(sizeof *a);
    if (!a)
        return fail(err, E_NOMEM, "no memory for a helper");
    a->link.fd = -1;
    pull_draw_init(&a->draw);
    status s = proc_find(path, program, err);
    if (!s)
        s = proc_spawn(&a->process, &fd, path, keep, err);
    if (!s) {
        msg_link_open(&a->link, fd);
        s = greet(a, o, err);
    }
    if (s)
        pull_ask_close(&a);
    else
        *out = a;
    return s;
}

void pull_ask_close(pull_ask **a)
{
    if (!*a)
        return;
    pull_draw_end(&(*a)->draw);
    msg_link_close(&(*a)->link);
    proc_stop(&(*a)->process, GRACE_MS);
    mem_free(*a);
    *a = NULL;
}
