#include "api/facts_watch.h"

#include <string.h>

#include "base/buf.h"
#include "plat/paths.h"
#include "provider/provider.h"
#include "task/grade.h"

enum { WATCH_BYTES_MAX = 4 << 20, PATH_BYTES_MAX = 16 << 10 };

/* ---- the ledger ---- */

status ledger_watch_open(ledger_watch *w, error *err)
{
    buf log = BUF_INIT(PATH_BYTES_MAX);
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    if (path_of(&w->path, PATH_DATA, "ledger.db", NULL) != OK) {
        w->path = NULL; /* reading it will say so */
        return OK;
    }
    buf_printf(&log, "%s-wal", w->path);
    w->log = buf_take(&log);
    buf_clear(&log);
    return w->log ? OK : fail(err, E_NOMEM, "no memory to watch the ledger");
}

void ledger_watch_close(ledger_watch *w)
{
    ledger_close(&w->l);
    mem_free(w->path);
    mem_free(w->log);
    pthread_mutex_destroy(&w->lock);
}

/* Under the lock. Opens the new connection before the old one is closed: the last connection that closes writes the
 * log back, which would be a change again. */
static void open_again(ledger_watch *w)
{
    ledger *l = NULL;
    if (ledger_open(&l, w->path, LEDGER_READ, NULL) != OK)
        l = NULL;
    ledger_close(&w->l);
    w->l = l;
}

ledger_state ledger_watch_state(ledger_watch *w)
{
    ledger_state now = { 0 };
    pthread_mutex_lock(&w->lock);
    file_stamp file = w->path ? file_stamp_of(w->path) : (file_stamp){ 0 };
    file_stamp log = w->path ? file_stamp_of(w->log) : (file_stamp){ 0 };
    log.changed_ns = 0; /* SQLite of root gives the log its owner with every opening */
    bool same_file = file_stamp_same(&file, &w->file);
    if (!same_file || !file_stamp_same(&log, &w->log_stamp))
        w->epoch++;
    if (!same_file || (file.there && !w->l))
        open_again(w);
    w->file = file;
    w->log_stamp = log;
    bool asked = !w->l || ledger_version(w->l, &now.version, NULL) == OK;
    if (!asked)
        ledger_close(&w->l);
    if (!asked || (file.there && !w->l))
        w->epoch++;
    now.epoch = w->epoch;
    pthread_mutex_unlock(&w->lock);
    return now;
}

bool ledger_state_same(const ledger_state *a, const ledger_state *b)
{
    return a->epoch == b->epoch && a->version == b->version;
}

/* ---- files ---- */

status file_watch_add(file_watch *w, const char *path, error *err)
{
    if (!w->memory.max_bytes)
        w->memory = (arena)ARENA_INIT(WATCH_BYTES_MAX);
    for (const watched *f = w->first; f; f = f->next)
        if (strcmp(f->path, path) == 0)
            return OK; /* as it was the first time */
    watched *one = arena_alloc(&w->memory, sizeof *one);
    char *copy = one ? arena_strndup(&w->memory, path, strlen(path)) : NULL;
    if (!copy)
        return fail(err, E_NOMEM, "no memory to watch the files of a task");
    *one = (watched){ w->first, copy, file_stamp_of(copy) };
    w->first = one;
    return OK;
}

static status add(void *user, const char *path, error *err)
{
    return file_watch_add(user, path, err);
}

/* A model's file in all its parts, and the folders in which its name was looked for: a name may mean another file when
 * one comes or goes. Of servers nothing: an address and a name, which the config holds. */
status file_watch_model(file_watch *w, const char *spec, const config *c, error *err)
{
    return provider_watch(spec, c, add, w, err);
}

static status add_models(file_watch *w, const task *t, const config *c, error *err)
{
    const grade_model *list = NULL;
    size_t n = grade_models(t, &list);
    status s = OK;
    for (size_t i = 0; !s && i < n; i++)
        s = file_watch_model(w, list[i].name, c, err);
    return s;
}

status file_watch_files(file_watch *w, const task *t, const char *name, const char *bin_dir, error *err)
{
    return task_files(t, name, bin_dir, add, w, err);
}

status file_watch_task(file_watch *w, const task *t, const char *name, const char *bin_dir, const config *c, error *err)
{
    status s = file_watch_files(w, t, name, bin_dir, err);
    if (!s)
        s = task_labels(t, add, w, err);
    return s ? s : add_models(w, t, c, err);
}

void file_watch_clear(file_watch *w)
{
    arena_clear(&w->memory);
    w->first = NULL;
}

bool file_watch_same(const file_watch *w)
{
    for (const watched *f = w->first; f; f = f->next) {
        file_stamp now = file_stamp_of(f->path);
        if (!file_stamp_same(&now, &f->is))
            return false;
    }
    return true;
}

bool file_watch_young(const file_watch *w, int64_t utc_us)
{
    for (const watched *f = w->first; f; f = f->next)
        if (file_stamp_young(&f->is, utc_us))
            return true;
    return false;
}
