/* worker.c: the loop: HELLO, one OPEN, then requests, side by side (jobs.c). */
#include "worker/worker.h"

#include <math.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/share.h"
#include "engine/tag.h"
#include "gguf/gguf.h"
#include "plat/build_id.h"
#include "worker/worker_int.h"

bool worker_send_bytes(worker *w, msg_type type, uint32_t request, const void *data, size_t n)
{
    error err;
    w->over = w->over || msg_send(&w->link, type, request, data, n, NULL, 0, -1, &err) != OK;
    return !w->over;
}

bool worker_send(worker *w, msg_type type, uint32_t request, js *payload)
{
    buf text = BUF_INIT(MSG_BYTES_MAX);
    error err;
    js_write(payload, JS_COMPACT, &text);
    bool have = payload != NULL && buf_ok(&text, "a message", &err) == OK;
    bool sent = have && worker_send_bytes(w, type, request, text.data, text.len);
    if (!have)
        w->over = true; /* without memory for a message there is nobody to tell */
    buf_clear(&text);
    js_free(payload);
    return sent;
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

enum { TEMPLATE_TOLD_MAX = 1 << 18 };

/* The chat template's source, for those who ask what the model is; one that is absurdly long is not told. */
static void set_template(js *j, const char *text)
{
    if (text && strlen(text) <= TEMPLATE_TOLD_MAX)
        js_set(j, "chat_template", js_new_string(text));
}

static js *hello(const sandbox_report *r, js *had)
{
    js *j = js_object();
    js_set(j, "process", js_new_string("worker"));
    js_set(j, "build", js_new_string(build_id()));
    js_set(j, "sandbox", sandbox_to_js(r));
    js_set(j, "descriptors", had);
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
    worker_listen(w, false);
    return w->over || w->broken;
}

static js *opened(const worker *w)
{
    const engine *e = w->engine;
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
    js_set(j, "n_embd", js_new_int(i->n_embd));
    js_set(j, "n_vocab", js_new_int(i->n_vocab));
    set_template(j, engine_chat_template(e));
    js_set(j, "threads", js_new_int(i->n_threads));
    js_set(j, "budget", js_new_int((int64_t)engine_memory(e)->total_bytes));
    js_set(j, "later", js_new_int((int64_t)engine_memory(e)->grammar_bytes)); /* of the budget, not taken yet */
    js_set(j, "parallel", js_new_int(w->n_parallel));
    js_set(j, "template", js_new_bool(w->chat != NULL));
    js_set(j, "encoder", js_new_bool(i->is_encoder));
    js_set(j, "tags", js_new_bool(engine_tags(e)));
    return j;
}

static int64_t number(const js *o, const char *key, int64_t low, int64_t high)
{
    int64_t v = low;
    return js_int(js_get(o, key), &v) && v >= low && v <= high ? v : low;
}

/* Only what the model would take: nothing is loaded, and the process ends. */
static status look(worker *w, gguf *file, const engine_options *o, error *err)
{
    engine_budget b;
    js *j = js_object();
    status s = engine_plan(file, o, &b, err);
    if (!s) {
        js_set(j, "budget", js_new_int((int64_t)b.total_bytes));
        js_set(j, "context", js_new_int(b.context));
        js_set(j, "numerics", js_new_string(engine_numerics()));
        js_set(j, "kv", js_new_string(engine_kv_name(o->kv_type)));
        worker_send(w, MSG_OPENED, 0, j);
        w->over = true;
    } else {
        js_free(j);
    }
    gguf_close(&file);
    return s;
}

static status open_engine(worker *w, const msg *m, const js *settings, error *err)
{
    const char *name = js_text(js_get(settings, "name")), *kv = js_text(js_get(settings, "kv"));
    gguf *file = NULL;
    size_t n_files;
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
    status s = worker_snapshot_take(&w->snapshot, m, settings, &n_files, err);
    if (!s)
        s = gguf_open_fds(&file, m->fds, (int)n_files, name ? name : "model", err);
    if (s)
        return s;
    engine_budget b;
    s = engine_share(file, &o, w->n_parallel, &b, err);
    if (s) {
        gguf_close(&file);
        return s;
    }
    if (js_bool(js_get(settings, "look"), false))
        return look(w, file, &o, err);
    return engine_open(&w->engine, file, &o, err);
}

static bool spare(void *user)
{
    return sessions_spare(user);
}

static status open_batch(worker *w, error *err)
{
    batch_options o;
    batch_options_init(&o);
    o.n_generations = w->n_parallel;
    o.spare = spare;
    o.user = &w->sessions;
    status s = sessions_open(&w->sessions, w->n_parallel, err);
    return s ? s : batch_open(&w->batch, w->engine, &o, err);
}

static status open_model(worker *w, const msg *m, const js *settings, error *err)
{
    w->opening = true;
    w->n_parallel = (uint32_t)number(settings, "parallel", 1, WORKER_JOBS_MAX);
    status s = open_engine(w, m, settings, err);
    if (s || w->over)
        return s;
    if (!s && !engine_get_info(w->engine)->is_encoder)
        s = open_batch(w, err);
    if (!s && w->batch)
        worker_snapshot_restore(&w->snapshot, w->engine);
    w->opening = false;
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
        if (!w->over)
            worker_send(w, MSG_OPENED, 0, opened(w));
    } else {
        /* a model that cannot be opened is the end of its worker: the front starts another for another */
        const char *kind = s == E_NOFIT ? "does-not-fit" : s == E_NOMEM || s == E_IO ? "internal" : "invalid";
        worker_send_error(w, 0, s, kind, err.text, 0, 0);
        w->over = true;
    }
    js_free(settings);
}

/* ---- the loop ---- */

static void handle_complete(worker *w, const msg *m)
{
    js *in = NULL;
    error err;
    status s = js_parse(&in, m->data, m->length, "request", 1, &err);
    if (s == E_NOMEM) { /* of one request; the others go on */
        worker_send_error(w, m->request, s, "internal", err.text, 0, 0);
        return;
    }
    w->broken = s;
    if (s)
        return;
    if (w->n_jobs >= w->n_parallel) {
        worker_send_error(w, m->request, E_EXISTS, "internal", "the worker is busy with other requests", 0, 0);
        js_free(in);
        return;
    }
    job *j = job_begin(w, m->request, in);
    if (j)
        jobs_add(w, j);
}

static void handle(worker *w, const msg *m)
{
    if (m->type == MSG_CLOSE)
        w->over = true;
    else if (m->type == MSG_OPEN && !w->engine && !w->opening)
        handle_open(w, m);
    else if (m->type == MSG_COMPLETE && w->engine && !w->opening)
        handle_complete(w, m);
    else if (m->type == MSG_CANCEL)
        jobs_cancel(w, m->request); /* one that came too late is nothing */
    else
        w->broken = E_FORMAT;
}

void worker_listen(worker *w, bool wait)
{
    msg m;
    bool got = true;
    error err;
    for (; got && !w->over && !w->broken; wait = false) {
        status s = msg_receive(&w->link, &m, &got, wait ? -1 : 0, &err);
        if (s == E_NOTFOUND)
            w->over = true;
        else if (s)
            w->broken = s;
        else if (got)
            handle(w, &m);
    }
}

static status serve(worker *w, error *err)
{
    while (!w->over && !w->broken) {
        worker_listen(w, w->n_jobs == 0);
        if (!w->over && !w->broken)
            jobs_step(w);
    }
    return w->broken ? fail(err, w->broken, "worker: the front broke the protocol") : OK;
}

status worker_serve(int fd, const sandbox_report *sandbox, js *descriptors, error *err)
{
    worker w = { 0 };
    msg_link_open(&w.link, fd);
    worker_snapshot_init(&w.snapshot);
    status s = OK;
    if (worker_send(&w, MSG_HELLO, 0, hello(sandbox, descriptors)))
        s = serve(&w, err);
    jobs_clear(&w);
    if (!s && w.batch)
        worker_snapshot_keep(&w.snapshot, w.engine);
    worker_snapshot_close(&w.snapshot);
    grammar_vocab_close(&w.vocab);
    chat_close(&w.chat);
    batch_close(&w.batch);
    sessions_close(&w.sessions);
    engine_close(&w.engine);
    msg_link_close(&w.link);
    return s;
}
