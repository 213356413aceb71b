/* worker.c: the loop: HELLO, one OPEN, then requests one after another. */
#include "worker/worker.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "gguf/gguf.h"
#include "plat/build_id.h"
#include "worker/worker_int.h"

bool worker_send(worker *w, msg_type type, uint32_t request, js *payload)
{
    buf text = BUF_INIT(MSG_BYTES_MAX);
    error err;
    js_write(payload, JS_COMPACT, &text);
    bool have = payload != NULL && buf_ok(&text, "a message", &err) == OK;
    status s = E_NOMEM;
    if (have)
        s = msg_send(&w->link, type, request, text.data, text.len, NULL, 0, -1, &err);
    if (s)
        w->over = true; /* without memory for a message there is nobody to tell */
    buf_clear(&text);
    js_free(payload);
    return s == OK;
}

bool worker_send_error(worker *w, uint32_t request, status code, const char *kind, const char *text, int64_t n_prompt,
                       int64_t n_context)
{
    js *j = js_object();
    js_set(j, "status", js_new_string(status_name(code)));
    js_set(j, "kind", js_new_string(kind));
    js_set(j, "text", js_new_string(text));
    if (n_context > 0) {
        js_set(j, "n_prompt", js_new_int(n_prompt));
        js_set(j, "n_context", js_new_int(n_context));
    }
    return worker_send(w, MSG_ERROR, request, j);
}

static js *hello(const sandbox_report *r, bool ok)
{
    js *j = js_object(), *sandbox = js_object(), *checks = js_array();
    for (size_t i = 0; i < r->n_checks; i++) {
        js *c = js_object();
        js_set(c, "name", js_new_string(r->checks[i].name));
        js_set(c, "errno", js_new_int(r->checks[i].error));
        js_set(c, "denied", js_new_bool(r->checks[i].denied));
        js_push(checks, c);
    }
    js_set(sandbox, "ok", js_new_bool(ok));
    js_set(sandbox, "seccomp", js_new_bool(r->seccomp));
    js_set(sandbox, "landlock", js_new_bool(r->landlock));
    js_set(sandbox, "empty_network", js_new_bool(r->empty_network));
    js_set(sandbox, "checks", checks);
    js_set(j, "process", js_new_string("worker"));
    js_set(j, "build", js_new_string(build_id()));
    js_set(j, "sandbox", sandbox);
    return j;
}

/* ---- OPEN ---- */

static bool loading(void *user, uint64_t done, uint64_t total)
{
    worker *w = user;
    js *j = js_object();
    js_set(j, "done", js_new_int((int64_t)done));
    js_set(j, "total", js_new_int((int64_t)total));
    worker_send(w, MSG_LOADING, 0, j);
    return w->over || worker_interrupted(w, 0);
}

static js *opened(const engine *e, bool has_template)
{
    const engine_info *i = engine_get_info(e);
    js *j = js_object();
    js_set(j, "arch", js_new_string(i->arch));
    js_set(j, "name", js_new_string(i->name));
    js_set(j, "file_type", js_new_string(i->file_type));
    js_set(j, "isa", js_new_string(i->isa));
    js_set(j, "numerics", js_new_string(i->numerics));
    js_set(j, "kv", js_new_string(engine_kv_name(i->kv_type)));
    js_set(j, "params", js_new_int((int64_t)i->n_params));
    js_set(j, "context", js_new_int(i->context));
    js_set(j, "context_train", js_new_int(i->context_train));
    js_set(j, "n_vocab", js_new_int(i->n_vocab));
    js_set(j, "threads", js_new_int(i->n_threads));
    js_set(j, "budget", js_new_int((int64_t)engine_memory(e)->total_bytes));
    js_set(j, "template", js_new_bool(has_template));
    return j;
}

static int64_t number(const js *o, const char *key, int64_t low, int64_t high)
{
    int64_t v = low;
    return js_int(js_get(o, key), &v) && v >= low && v <= high ? v : low;
}

static status open_model(worker *w, const msg *m, const js *settings, error *err)
{
    const char *name = js_text(js_get(settings, "name")), *kv = js_text(js_get(settings, "kv"));
    gguf *file = NULL;
    engine_options o;
    engine_options_init(&o);
    o.context = (uint32_t)number(settings, "context", 0, INT32_MAX);
    o.n_threads = (int)number(settings, "threads", 0, 1024);
    o.mem_bytes = (uint64_t)number(settings, "mem", 0, INT64_MAX);
    o.exact = js_bool(js_get(settings, "exact"), false);
    if (kv && !engine_kv_named(kv, &o.kv_type))
        return fail(err, E_RANGE, "open: the KV type '%.20s' is not known", kv);
    o.progress = loading;
    o.user = w;
    status s = gguf_open_fds(&file, m->fds, (int)m->n_fds, name ? name : "model", err);
    if (!s)
        s = engine_open(&w->engine, file, &o, err);
    if (!s)
        s = session_open(&w->session, w->engine, err);
    if (!s && chat_open(&w->chat, engine_chat_template(w->engine), engine_vocab(w->engine), &w->no_chat) != OK)
        w->chat = NULL;
    if (!s)
        w->format = output_format_of(engine_chat_template(w->engine));
    return s;
}

static void handle_open(worker *w, const msg *m)
{
    error err = { 0 };
    js *settings = NULL;
    status s = js_parse(&settings, m->data, m->length, "open", 1, &err);
    if (!s && m->n_fds == 0)
        s = fail(&err, E_FORMAT, "open: no model file came with it");
    if (s) {
        w->broken = s;
    } else if ((s = open_model(w, m, settings, &err)) == OK) {
        worker_send(w, MSG_OPENED, 0, opened(w->engine, w->chat != NULL));
    } else {
        /* a model that cannot be opened is the end of its worker: the front starts another for another */
        const char *kind = s == E_NOFIT ? "does-not-fit" : s == E_NOMEM || s == E_IO ? "internal" : "invalid";
        worker_send_error(w, 0, s, kind, err.text, 0, 0);
        w->over = true;
    }
    js_free(settings);
}

/* ---- the loop ---- */

bool worker_interrupted(worker *w, uint32_t request)
{
    msg m;
    bool got = true;
    while (!w->over && !w->broken && got) {
        error err;
        status s = msg_receive(&w->link, &m, &got, 0, &err);
        if (s == E_NOTFOUND)
            w->over = true;
        else if (s)
            w->broken = s;
        else if (got && m.type == MSG_CLOSE)
            w->over = true;
        else if (got && m.type == MSG_CANCEL && m.request == request)
            return true;
        else if (got && m.type == MSG_COMPLETE)
            worker_send_error(w, m.request, E_EXISTS, "invalid", "the worker is busy with another request", 0, 0);
        else if (got && m.type != MSG_CANCEL)
            w->broken = E_FORMAT;
    }
    return w->over || w->broken;
}

static void handle_complete(worker *w, const msg *m)
{
    js *payload = NULL;
    error err;
    uint32_t request = m->request;
    w->broken = js_parse(&payload, m->data, m->length, "complete", 1, &err);
    if (!w->broken)
        worker_answer(w, request, payload);
    js_free(payload);
}

static status serve(worker *w, error *err)
{
    while (!w->over && !w->broken) {
        msg m;
        bool got = false;
        status s = msg_receive(&w->link, &m, &got, -1, err);
        if (s)
            return s == E_NOTFOUND ? OK : s;
        if (!got)
            continue;
        if (m.type == MSG_CLOSE)
            break;
        if (m.type == MSG_OPEN && !w->engine)
            handle_open(w, &m);
        else if (m.type == MSG_COMPLETE && w->engine)
            handle_complete(w, &m);
        else if (m.type != MSG_CANCEL) /* one that came too late is nothing */
            return fail(err, E_FORMAT, "worker: a message of type %u, which is unknown or out of order", m.type);
    }
    return w->broken ? fail(err, w->broken, "worker: the front broke the protocol") : OK;
}

status worker_serve(int fd, const sandbox_report *sandbox, bool sandbox_ok, error *err)
{
    worker w = { 0 };
    msg_link_open(&w.link, fd);
    status s = OK;
    if (worker_send(&w, MSG_HELLO, 0, hello(sandbox, sandbox_ok)))
        s = serve(&w, err);
    grammar_vocab_close(&w.vocab);
    chat_close(&w.chat);
    session_close(&w.session);
    engine_close(&w.engine);
    msg_link_close(&w.link);
    return s;
}
