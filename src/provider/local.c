/* local.c: weights in a worker. The files are opened here once and stay open: a worker that is started again gets the
 * same bytes, so the digest in the evidence stays true. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "gguf/gguf.h"
#include "plat/footprint.h"
#include "plat/machine.h"
#include "plat/witness.h"
#include "provider/provider_int.h"
#include "provider/self_test.h"
#include "provider/snapshots.h"
#include "store/store.h"
#include "worker/snapshot.h"

typedef struct local {
    helper worker;
    unsigned calls;          /* under way; with p->lock */
    pthread_cond_t left;     /* the last of them is over */
    int fds[MSG_FDS_MAX];
    size_t n_fds;
    js *settings; /* of OPEN */
    int64_t changed[MSG_FDS_MAX]; /* mtime in ns when opened */
    uint64_t snapshot_bytes; /* 0: prefixes are not kept */
    snapshot_file snapshot;  /* of the worker that runs */
    char snapshot_name[96];
    self_test sandbox;       /* of the worker that runs; with p->lock */
    char sandbox_why[SELF_TEST_WHY];
    bool servers;            /* the configuration names some */
    uint64_t taken;          /* of the memory that models share */
} local;

static const char *const kept[] = { "HEARTH_ISA", "HEARTH_FAIL_ALLOC", NULL };

static int64_t changed_at(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : -1;
}

static status open_files(local *l, const char *path, error *err)
{
    char part[PROC_PATH_MAX];
    status s = OK;
    for (unsigned i = 0; !s; i++) {
        struct stat st;
        s = gguf_part_path(path, i, part, sizeof part, err);
        if (s == E_RANGE && i > 0)
            return OK;
        if (s)
            return s;
        if (l->n_fds == MSG_FDS_MAX)
            return fail(err, E_UNSUPPORTED, "%s: a model of more than %d files: join them first", path,
                        (int)MSG_FDS_MAX);
        int fd = open(part, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", part, strerror(errno));
        l->fds[l->n_fds++] = fd;
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
            s = fail(err, E_IO, "%s: not a regular file", part);
        l->changed[i] = changed_at(fd);
    }
    return s;
}

/* The worker cannot read /proc or /sys: it is told how many threads there are. */
static js *settings_of(const char *name, const config *cfg)
{
    js *j = js_object();
    machine_cpu cpu;
    machine_read_cpu(&cpu);
    js_set(j, "name", js_new_string(name));
    js_set(j, "context", js_new_int(cfg ? cfg->context : 0));
    js_set(j, "threads", js_new_int(cfg && cfg->n_threads > 0 ? cfg->n_threads : cpu.threads));
    js_set(j, "parallel", js_new_int(cfg && cfg->parallel ? cfg->parallel : 1));
    js_set(j, "look", js_new_bool(cfg && cfg->look));
    js_set(j, "exact", js_new_bool(cfg && cfg->exact));
    if (!js_set(j, "kv", js_new_string(cfg && cfg->kv ? cfg->kv : "f16"))) {
        js_free(j);
        return NULL;
    }
    return j;
}

/* ---- the prefix cache's file ---- */

/* The model, and what changes its KV; what else must be equal the worker checks, so that a file that no longer fits is
 * replaced by the next. */
static void keep_snapshots(local *l, const config *cfg, const char *digest)
{
    l->snapshot_bytes = cfg->snapshot_bytes;
    l->worker.grace_ms = HELPER_GRACE_MS + SNAPSHOT_MS + SNAPSHOT_MS / 2; /* a slow disk's last write */
    snprintf(l->snapshot_name, sizeof l->snapshot_name, "%.32s-%s%s-%u", digest, cfg->kv ? cfg->kv : "f16",
             cfg->exact ? "-exact" : "", cfg->context);
}

/* Opens the files and tells the settings of them. Without them the model answers as well. */
static size_t begin_snapshot(local *l, const char *digest)
{
    error err = { 0 };
    size_t n = l->n_fds;
    (void)js_remove(l->settings, "snapshot");
    if (!l->snapshot_bytes || n + 2 > MSG_FDS_MAX)
        return n;
    if (snapshot_file_begin(&l->snapshot, l->snapshot_name, &err)) {
        log_line(LOG_LEVEL_WARN, "prefixes are not kept: %s", err.text);
        return n;
    }
    js *j = js_object();
    js_set(j, "model", js_new_string(digest));
    js_set(j, "bytes", js_new_int((int64_t)l->snapshot_bytes));
    js_set(j, "to", js_new_int((int64_t)n));
    l->fds[n++] = l->snapshot.to;
    if (l->snapshot.from >= 0) {
        js_set(j, "from", js_new_int((int64_t)n));
        l->fds[n++] = l->snapshot.from;
    }
    if (js_set(l->settings, "snapshot", j))
        return n;
    snapshot_file_end(&l->snapshot, l->snapshot_bytes);
    return l->n_fds;
}

/* The worker ends, by itself if it can, and what it kept takes its place. */
static void stop(local *l)
{
    helper_stop(&l->worker);
    snapshot_file_end(&l->snapshot, l->snapshot_bytes);
}

/* ---- the worker ---- */

/* Its self-test, and what the kernel says of it. */
static void judge_sandbox(local *l)
{
    int seccomp = witness_seccomp(l->worker.process.pid);
    l->sandbox = self_test_judge(js_get(l->worker.hello, "sandbox"), seccomp, l->sandbox_why);
    if (l->sandbox == SELF_TEST_NO_SECCOMP)
        log_line(LOG_LEVEL_WARN, "hearth-worker: %s: private requests are answered only where no remote provider is "
                 "configured", l->sandbox_why);
    else if (l->sandbox == SELF_TEST_LEAKS)
        log_line(LOG_LEVEL_WARN, "hearth-worker: %s: it is given no private request", l->sandbox_why);
}

static status check_sandbox(const local *l, const request *r, call *c, error *err)
{
    bool servers = l->servers || provider_servers_open() > 0;
    if (self_test_allows(l->sandbox, r->privacy, servers))
        return OK;
    return call_fail(c, err, FAULT_DENIED, E_DENIED, "a %s request is not given to this worker%s: %s",
                     privacy_class_name(r->privacy), l->sandbox == SELF_TEST_NO_SECCOMP ? " while remote providers are "
                     "configured" : "", l->sandbox_why);
}

/* What the plan did not foresee is an error of the worker, and no lack of memory for others. */
static void guard(const local *l, const js *opened)
{
    int64_t later = 0, mem = 0;
    (void)js_int(js_get(opened, "later"), &later);
    (void)js_int(js_get(l->settings, "mem"), &mem);
    if (mem > 0 && later >= 0)
        (void)footprint_limit(l->worker.process.pid, (uint64_t)later + footprint_slack((uint64_t)mem));
}

static status start(local *l, const char *digest, js **opened, error *err)
{
    for (size_t i = 0; i < l->n_fds; i++)
        if (changed_at(l->fds[i]) != l->changed[i])
            return fail(err, E_PROVIDER, "the model's file was changed while it was in use: open it again");
    status s = helper_start(&l->worker, err);
    if (s)
        return s;
    judge_sandbox(l);
    size_t n_fds = begin_snapshot(l, digest);
    s = helper_open(&l->worker, l->settings, l->fds, n_fds, opened, err);
    if (s)
        snapshot_file_end(&l->snapshot, l->snapshot_bytes);
    else
        guard(l, *opened);
    return s;
}

/* With p->lock held: a worker runs. One that ended is stopped when its last call has left. */
static status ensure_worker(provider *p, call *c, error *err)
{
    local *l = p->own;
    char how[128];
    js *opened = NULL;
    while (l->worker.running && helper_ended(&l->worker, how, sizeof how)) {
        if (l->calls) {
            pthread_cond_wait(&l->left, &p->lock);
        } else {
            log_line(LOG_LEVEL_WARN, "hearth-worker %s; starting it again", how);
            stop(l);
        }
    }
    if (l->worker.running)
        return OK;
    status s = start(l, p->info.model_digest, &opened, err);
    js_free(opened);
    if (s) {
        c->fault.kind = FAULT_UNREACHABLE;
        c->fault_set = true;
    }
    return s;
}

static status local_complete(provider *p, const request *r, call *c, error *err)
{
    local *l = p->own;
    js *payload = request_to_js(r);
    if (!payload)
        return fail(err, E_NOMEM, "no memory for a request");
    pthread_mutex_lock(&p->lock);
    status s = ensure_worker(p, c, err);
    if (!s)
        s = check_sandbox(l, r, c, err);
    l->calls += !s;
    pthread_mutex_unlock(&p->lock);
    if (!s) {
        s = helper_complete(&l->worker, payload, c, err);
        pthread_mutex_lock(&p->lock);
        if (--l->calls == 0)
            pthread_cond_broadcast(&l->left);
        pthread_mutex_unlock(&p->lock);
    }
    js_free(payload);
    return s;
}

static void local_close(provider *p)
{
    local *l = p->own;
    stop(l);
    helper_clear(&l->worker);
    for (size_t i = 0; i < l->n_fds; i++)
        close(l->fds[i]);
    js_free(l->settings);
    local_memory_give(l->taken);
    pthread_cond_destroy(&l->left);
    mem_free(l);
}

static int local_process(const provider *p)
{
    local *l = p->own;
    return helper_process(&l->worker);
}

static status local_helpers(provider *p, bool starting, helper_fn *fn, void *user, error *err)
{
    local *l = p->own;
    (void)starting; /* it was started when this was opened; one that ended has its reasons */
    (void)err;
    pthread_mutex_lock(&p->lock);
    if (helper_process(&l->worker))
        fn(user, &l->worker, true);
    pthread_mutex_unlock(&p->lock);
    return OK;
}

static const provider_ops ops = { local_complete, local_close, local_process, NULL, local_helpers, true };

/* Copies what OPENED says; false without memory. */
static bool describe(provider *p, const js *opened)
{
    provider_info *i = &p->info;
    const struct {
        const char *key, **to;
    } texts[] = { { "numerics", &i->numerics }, { "kv", &i->kv_type }, { "isa", &i->isa }, { "arch", &i->arch },
                  { "file_type", &i->file_type }, { "chat_template", &i->chat_template } };
    for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
        const char *text = js_text(js_get(opened, texts[k].key));
        *texts[k].to = provider_keep(p, text ? text : "");
        if (!*texts[k].to)
            return false;
    }
    int64_t v;
    i->context = js_int(js_get(opened, "context"), &v) ? (uint32_t)v : 0;
    i->context_train = js_int(js_get(opened, "context_train"), &v) ? (uint32_t)v : 0;
    i->parallel = js_int(js_get(opened, "parallel"), &v) && v > 0 ? (uint32_t)v : 1;
    i->n_threads = js_int(js_get(opened, "threads"), &v) ? (int)v : 0;
    i->n_params = js_int(js_get(opened, "params"), &v) ? (uint64_t)v : 0;
    i->budget_bytes = js_int(js_get(opened, "budget"), &v) ? (uint64_t)v : 0;
    i->has_template = js_bool(js_get(opened, "template"), false);
    i->tags = js_bool(js_get(opened, "tags"), false);
    i->is_encoder = js_bool(js_get(opened, "encoder"), false);
    return true;
}

/* Of the bytes that are open; "" of a model that is only looked at. */
static status read_digest(provider *p, const config *cfg, error *err)
{
    char digest[65] = "";
    local *l = p->own;
    status s = cfg && cfg->look ? OK : store_digest(l->fds, l->n_fds, digest, err);
    if (s)
        return s;
    p->info.model_digest = provider_keep(p, digest);
    return p->info.model_digest ? OK : fail(err, E_NOMEM, "no memory for a provider");
}

/* With snapshots the digest comes first, because it is part of the file's name; else the model is open the sooner. */
static status start_first(provider *p, const config *cfg, js **opened, error *err)
{
    local *l = p->own;
    bool keeps = cfg && cfg->keeps_snapshots && cfg->snapshot_bytes && !cfg->look;
    status s = keeps ? read_digest(p, cfg, err) : OK;
    if (!s && keeps)
        keep_snapshots(l, cfg, p->info.model_digest);
    if (!s)
        s = start(l, p->info.model_digest, opened, err);
    return s || keeps ? s : read_digest(p, cfg, err);
}

/* Within what models share; one that is only looked at takes nothing. */
static status start_within(provider *p, const config *cfg, error *err)
{
    local *l = p->own;
    js *opened = NULL;
    uint64_t mem = local_memory_begin(cfg ? cfg->mem_bytes : 0);
    js_set(l->settings, "mem", js_new_int(mem < INT64_MAX ? (int64_t)mem : 0));
    status s = start_first(p, cfg, &opened, err);
    if (!s && !describe(p, opened))
        s = fail(err, E_NOMEM, "no memory for a provider");
    l->taken = s || (cfg && cfg->look) ? 0 : p->info.budget_bytes;
    local_memory_end(l->taken);
    js_free(opened);
    return s;
}

status local_open(provider *p, const char *model, const config *cfg, error *err)
{
    store_model file = { 0 };
    local *l = mem_zero(sizeof *l);
    if (!l)
        return fail(err, E_NOMEM, "no memory for a provider");
    helper_init(&l->worker, "hearth-worker", kept);
    snapshot_file_init(&l->snapshot);
    pthread_cond_init(&l->left, NULL);
    for (size_t i = 0; cfg && i < cfg->n_providers; i++)
        l->servers = l->servers || config_is_server(&cfg->providers[i]);
    p->own = l;
    p->ops = &ops;
    status s = store_look(&file, model, err);
    if (!s)
        s = open_files(l, file.path, err);
    if (!s) {
        const char *name = store_label(&file);
        p->info.model = provider_keep(p, name);
        l->settings = settings_of(name, cfg);
        if (!p->info.model || !l->settings)
            s = fail(err, E_NOMEM, "no memory for a provider");
    }
    if (!s)
        s = start_within(p, cfg, err);
    store_model_clear(&file);
    return s;
}
