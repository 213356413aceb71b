#include "api/known_tasks.h"

#include <pthread.h>
#include <string.h>

#include "api/facts_watch.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "plat/clock.h"

enum { TEXTS_BYTES_MAX = 1 << 20 };

typedef struct row {
    char *name, *dir;
    file_watch files;
    bool young;
    bool caller, recognised;
    char system[DIGEST_HEX]; /* "": none, or one with variables */
    char content[DIGEST_HEX]; /* of what follows and `recognised`: read again, it may be the same */
    arena memory;            /* texts */
    size_t n;
    const char *texts[KNOWN_EXAMPLES_MAX];
} row;

struct known_tasks {
    pthread_mutex_t lock;
    const char *bin_dir;
    uint64_t version; /* of all rows; from 1 */
    size_t n;
    row *rows[KNOWN_TASKS_MAX]; /* by name */
};

/* ---- one task ---- */

static void close_row(row **at)
{
    row *r = *at;
    if (!r)
        return;
    file_watch_clear(&r->files);
    arena_clear(&r->memory);
    mem_free(r->name);
    mem_free(r->dir);
    mem_free(r);
    *at = NULL;
}

static status read_system(row *r, const task *t, error *err)
{
    bool any = false;
    for (size_t i = 0; i < t->prompt.n_messages; i++) {
        const task_message *m = &t->prompt.messages[i];
        if (strcmp(m->role, "system") != 0)
            continue;
        if (strstr(m->content, "{{"))
            return OK; /* what callers send has something else there */
        any = any || m->content[0];
    }
    return any ? task_system_digest(t->prompt.messages, t->prompt.n_messages, r->system, err) : OK;
}

/* What stands in for the user's text: the input itself, its member `input`, or all its texts. */
static void add_texts(buf *out, const js *input)
{
    const js *own = js_is(input, JS_OBJECT) ? js_get(input, "input") : input;
    if (js_is(own, JS_STRING))
        buf_str(out, js_text(own));
    else
        js_write(input, JS_COMPACT, out);
}

static void add_example(row *r, const task_case *c)
{
    buf text = BUF_INIT(1 << 20);
    add_texts(&text, c->input);
    const char *all = buf_text(&text);
    size_t n = text.len < KNOWN_TEXT_MAX ? text.len : KNOWN_TEXT_MAX;
    n = utf8_complete(all, n);
    char *copy = n && !text.failed ? arena_strndup(&r->memory, all, n) : NULL;
    if (copy)
        r->texts[r->n++] = copy;
    buf_clear(&text);
}

/* The first of the side that may be learnt from; without one, the first there are. */
static void read_examples(row *r, const task *t)
{
    bool split = t->held_back >= 0;
    r->recognised = split && !t->caller_prompt;
    for (size_t i = 0; i < t->n_cases && r->n < KNOWN_EXAMPLES_MAX; i++)
        if (!split || task_case_split(t, &t->cases[i]) == TASK_TRAIN)
            add_example(r, &t->cases[i]);
}

static void set_content(row *r)
{
    digest *d = digest_open();
    uint8_t raw[DIGEST_BYTES] = { 0 };
    r->content[0] = 0; /* without memory: another one each time */
    if (!d)
        return;
    digest_field(d, &r->recognised, sizeof r->recognised);
    for (size_t i = 0; i < r->n; i++)
        digest_field(d, r->texts[i], strlen(r->texts[i]));
    digest_close(&d, raw);
    digest_hex(raw, r->content);
}

static status read_row(row **out, const char *name, const char *dir, const char *bin_dir, error *err)
{
    int64_t began_us = clock_utc_us();
    task *t = NULL;
    char *path = NULL;
    error why = { 0 };
    row *r = mem_zero(sizeof *r);
    if (!r || !(r->name = mem_strdup(name)) || !(r->dir = mem_strdup(dir))) {
        close_row(&r);
        return fail(err, E_NOMEM, "no memory for the list of tasks");
    }
    r->memory = (arena)ARENA_INIT(TEXTS_BYTES_MAX);
    status s = task_open(&t, dir, bin_dir, &why);
    if (!s) {
        r->caller = t->caller_prompt;
        status cases = read_system(r, t, &why);
        if (!cases)
            cases = task_load_cases(t, &why);
        if (!cases)
            read_examples(r, t);
        s = cases == E_NOMEM ? fail(err, cases, "%s", why.text) : file_watch_files(&r->files, t, dir, bin_dir, err);
    } else if (s != E_NOMEM) { /* a broken one is looked at again when it is mended */
        buf full = BUF_INIT(16 << 10);
        buf_printf(&full, "%s/task.yaml", dir);
        path = buf_take(&full);
        buf_clear(&full);
        s = path ? file_watch_add(&r->files, path, err) : fail(err, E_NOMEM, "no memory for the list of tasks");
        mem_free(path);
    } else {
        s = fail(err, s, "%s", why.text);
    }
    task_close(&t);
    set_content(r);
    r->young = file_watch_young(&r->files, began_us);
    if (s)
        close_row(&r);
    else
        *out = r;
    return s;
}

/* ---- all of them, with the lock held ---- */

static row *take_same(known_tasks *c, const char *name, const char *dir)
{
    for (size_t i = 0; i < c->n; i++) {
        row *r = c->rows[i];
        if (r && strcmp(r->name, name) == 0 && strcmp(r->dir, dir) == 0 && !r->young && file_watch_same(&r->files)) {
            c->rows[i] = NULL;
            return r;
        }
    }
    return NULL;
}

/* Whether the old rows have one of this name that says the same. */
static bool has_content(const known_tasks *c, const row *fresh)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->rows[i] && strcmp(c->rows[i]->name, fresh->name) == 0)
            return fresh->content[0] && strcmp(c->rows[i]->content, fresh->content) == 0;
    return false;
}

static status refresh(known_tasks *c, error *err)
{
    task_names names = { 0 };
    row *fresh[KNOWN_TASKS_MAX] = { 0 };
    size_t n = 0;
    bool changed = false;
    status s = task_list(&names, c->bin_dir, err);
    for (; !s && n < names.n && n < KNOWN_TASKS_MAX; n++) {
        fresh[n] = take_same(c, names.names[n], names.dirs[n]);
        if (fresh[n])
            continue;
        s = read_row(&fresh[n], names.names[n], names.dirs[n], c->bin_dir, err);
        changed = changed || s || !has_content(c, fresh[n]);
    }
    changed = changed || n != c->n;
    for (size_t i = 0; i < c->n; i++)
        close_row(&c->rows[i]);
    memcpy(c->rows, fresh, sizeof fresh);
    c->n = n;
    c->version += changed || s || !c->version;
    task_names_clear(&names);
    return s;
}

/* ---- outside ---- */

status known_tasks_open(known_tasks **out, const char *bin_dir, error *err)
{
    known_tasks *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for the list of tasks");
    pthread_mutex_init(&c->lock, NULL);
    c->bin_dir = bin_dir;
    *out = c;
    return OK;
}

void known_tasks_close(known_tasks **at)
{
    known_tasks *c = *at;
    if (!c)
        return;
    for (size_t i = 0; i < c->n; i++)
        close_row(&c->rows[i]);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
    *at = NULL;
}

status known_tasks_find_system(known_tasks *c, const char *system, size_t *n, char name[72], bool *caller, error *err)
{
    *n = 0;
    pthread_mutex_lock(&c->lock);
    status s = refresh(c, err);
    for (size_t i = 0; !s && i < c->n; i++) {
        const row *r = c->rows[i];
        if (!r->system[0] || strcmp(r->system, system) != 0 || strlen(r->name) >= 72)
            continue;
        memcpy(name, r->name, strlen(r->name) + 1);
        *caller = r->caller;
        ++*n;
    }
    pthread_mutex_unlock(&c->lock);
    return s;
}

status known_tasks_examples(known_tasks *c, uint64_t *version, known_tasks_fn *fn, void *user, error *err)
{
    known_task tasks[KNOWN_TASKS_MAX];
    pthread_mutex_lock(&c->lock);
    status s = refresh(c, err);
    for (size_t i = 0; !s && i < c->n; i++)
        tasks[i] = (known_task){ c->rows[i]->name, c->rows[i]->recognised, c->rows[i]->n, c->rows[i]->texts };
    if (!s && *version != c->version)
        s = fn(user, tasks, c->n, err);
    if (!s)
        *version = c->version;
    pthread_mutex_unlock(&c->lock);
    return s;
}
