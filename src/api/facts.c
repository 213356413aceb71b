/* facts.c: see the header.
 *
 * A sheet is counted: its place in the table is one reference, each holder another. Order of a reading: the ledger's
 * state is taken first, then everything is read, then the files are stamped. A commit after the state was taken shows
 * as another state; a file that changed while it was read has a change time that is too young to be trusted. */
#include "api/facts.h"

#include <string.h>

#include "api/candidates.h"
#include "api/facts_watch.h"
#include "plat/clock.h"
#include "provider/provider.h"
#include "task/grade.h"

enum { NAME_BYTES = 72, JUDGED_US = 30 * 1000000 };

typedef struct sheet {
    facts_sheet shown; /* first: a facts_sheet * is a sheet * */
    task *t;
    unsigned refs;     /* lock */
    ledger_state ledger;
    file_watch files;
    bool young;        /* true for this request only */
    uint64_t until_us; /* monotonic; 0: no end. Of what was bound to a grader's model, a failure may pass */
    uint64_t generation;
    uint64_t began;    /* the table's tick when its reading began: fresh for every call before it */
} sheet;

typedef struct entry {
    char name[NAME_BYTES];
    privacy_place ceiling; /* of at_least: sides depend on it */
    sheet *s;              /* NULL: none yet */
    bool reading;          /* somebody does: wait */
    uint64_t used;
} entry;

struct facts {
    facts_options options;
    pthread_mutex_t lock;
    pthread_cond_t read; /* a reading has ended */
    ledger_watch ledger;
    size_t n;
    entry entries[FACTS_MAX];
    uint64_t tick, generation;
    facts_counts counts;
};

/* ---- one sheet ---- */

static void close_sheet(sheet *s)
{
    if (!s)
        return;
    file_watch_clear(&s->files);
    task_close(&s->t);
    mem_free(s);
}

/* Whose weights count is watched, too: stamps first, then what is in the files. */
typedef struct weighing {
    file_watch *files;
    const config *config;
} weighing;

static bool weigh(const void *user, const char *spec, char out[DIGEST_HEX])
{
    const weighing *w = user;
    out[0] = 0;
    if (file_watch_model(w->files, spec, w->config, NULL))
        return true; /* what cannot be watched counts as not there */
    return provider_weights(spec, w->config, out);
}

static status gather(facts *f, sheet *s, privacy_class at_least, error *err)
{
    const facts_options *o = &f->options;
    weighing w = { &s->files, o->config };
    route_candidate candidates[CANDIDATES_MAX];
    route_settings settings;
    candidates_settings(o->config, candidates, &settings);
    settings.memory_limit_bytes = o->memory_bytes;
    settings.privacy = at_least;
    settings.weights = weigh;
    settings.weights_user = &w;
    ledger *l = NULL;
    status st = ledger_open(&l, NULL, LEDGER_READ, err);
    if (st == E_NOTFOUND)
        st = OK; /* nothing was measured yet: the router says so */
    if (!st)
        st = route_gather(l, s->t, &settings, &s->shown.in, err);
    ledger_close(&l);
    return st;
}

/* The class that stands for all of one ceiling. */
static privacy_class class_of(privacy_place ceiling)
{
    return ceiling == PRIVACY_REMOTE ? PRIVACY_PUBLIC : ceiling == PRIVACY_ON_PREMISES ? PRIVACY_INTERNAL
                                                                                       : PRIVACY_PRIVATE;
}

static status read_sheet(facts *f, const char *name, privacy_place ceiling, uint64_t generation, sheet **out,
                         error *err)
{
    const facts_options *o = &f->options;
    int64_t began_us = clock_utc_us();
    sheet *s = mem_zero(sizeof *s);
    if (!s)
        return fail(err, E_NOMEM, "no memory for the facts of a task");
    s->generation = generation;
    s->ledger = ledger_watch_state(&f->ledger);
    status st = task_open(&s->t, name, o->bin_dir, err);
    if (!st)
        st = task_load_cases(s->t, err);
    if (!st && o->bind_task)
        st = o->bind_task(s->t, o->config, err);
    if (!st)
        st = gather(f, s, class_of(ceiling), err);
    if (!st)
        st = file_watch_task(&s->files, s->t, name, o->bin_dir, o->config, err);
    if (st) {
        close_sheet(s);
        return st;
    }
    const grade_model *models = NULL;
    if (grade_models(s->t, &models))
        s->until_us = clock_mono_us() + JUDGED_US;
    s->young = file_watch_young(&s->files, began_us);
    s->shown.t = s->t;
    *out = s;
    return OK;
}

/* Without the lock: nothing here changes once it is read. */
static bool is_fresh(facts *f, const sheet *s)
{
    if (s->young || (s->until_us && clock_mono_us() > s->until_us) || !file_watch_same(&s->files))
        return false;
    ledger_state now = ledger_watch_state(&f->ledger);
    return ledger_state_same(&now, &s->ledger);
}

/* ---- the table: all with the lock held ---- */

/* True: nobody has it any more, and the caller closes it without the lock. */
static bool let_go(sheet *s)
{
    return s && --s->refs == 0;
}

static entry *find(facts *f, const char *name, privacy_place ceiling)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->entries[i].ceiling == ceiling && strcmp(f->entries[i].name, name) == 0)
            return &f->entries[i];
    return NULL;
}

/* A new entry; *gone: what it took the place of. NULL: all are being read. */
static entry *place_for(facts *f, const char *name, privacy_place ceiling, sheet **gone)
{
    entry *e = f->n < FACTS_MAX ? &f->entries[f->n++] : NULL;
    for (size_t i = 0; !e && i < f->n; i++)
        e = f->entries[i].reading ? NULL : &f->entries[i];
    for (size_t i = 0; e && f->n == FACTS_MAX && i < f->n; i++)
        if (!f->entries[i].reading && f->entries[i].used < e->used)
            e = &f->entries[i];
    if (!e)
        return NULL;
    *gone = let_go(e->s) ? e->s : NULL;
    *e = (entry){ .ceiling = ceiling, .used = ++f->tick };
    memcpy(e->name, name, strlen(name) + 1);
    return e;
}

static void remove_entry(facts *f, entry *e)
{
    *e = f->entries[--f->n];
}

/* ---- holding ---- */

/* With the lock: the entry, which has no sheet, is this caller's to read. */
static status read_entry(facts *f, const char *name, privacy_place ceiling, entry *e, sheet **out, error *err)
{
    sheet *fresh = NULL;
    uint64_t generation = f->generation, began = ++f->tick;
    e->reading = true;
    f->counts.read++;
    pthread_mutex_unlock(&f->lock);
    status s = read_sheet(f, name, ceiling, generation, &fresh, err);
    pthread_mutex_lock(&f->lock);
    e = find(f, name, ceiling); /* entries move; one that is read stays in the table */
    e->reading = false;
    if (s) {
        remove_entry(f, e);
    } else {
        fresh->refs = 2;
        fresh->began = began;
        e->s = *out = fresh;
    }
    pthread_cond_broadcast(&f->read);
    return s;
}

/* With the lock: the entry's sheet if it is as the files and the ledger are now, else NULL, and whoever finds the entry
 * without a sheet reads it. */
static sheet *take_fresh(facts *f, const char *name, privacy_place ceiling, entry *e, uint64_t asked)
{
    sheet *s = e->s;
    bool fresh = s->generation == f->generation;
    e->used = ++f->tick;
    s->refs++;
    if (fresh && s->began > asked)
        return s;
    pthread_mutex_unlock(&f->lock);
    fresh = fresh && is_fresh(f, s);
    pthread_mutex_lock(&f->lock);
    if (fresh)
        return s;
    bool last = let_go(s);
    e = find(f, name, ceiling);
    if (!last && e && e->s == s) { /* nobody replaced it meanwhile */
        e->s = NULL;
        last = let_go(s);
    }
    if (last) {
        pthread_mutex_unlock(&f->lock);
        close_sheet(s);
        pthread_mutex_lock(&f->lock);
    }
    return NULL;
}

static status hold(facts *f, const char *name, privacy_place ceiling, sheet **out, error *err)
{
    uint64_t asked = ++f->tick;
    for (;;) {
        sheet *gone = NULL;
        entry *e = find(f, name, ceiling);
        if (!e)
            e = place_for(f, name, ceiling, &gone);
        if (gone) {
            pthread_mutex_unlock(&f->lock);
            close_sheet(gone);
            pthread_mutex_lock(&f->lock);
        } else if (!e || e->reading) {
            pthread_cond_wait(&f->read, &f->lock);
        } else if (!e->s) {
            return read_entry(f, name, ceiling, e, out, err);
        } else if ((*out = take_fresh(f, name, ceiling, e, asked))) {
            return OK;
        }
    }
}

status facts_hold(facts *f, const char *name, privacy_class at_least, const facts_sheet **out, error *err)
{
    sheet *s = NULL;
    if (strlen(name) >= NAME_BYTES || !*name || strchr(name, '/'))
        return fail(err, E_NOTFOUND, "'%.80s' is not the name of a task", name);
    pthread_mutex_lock(&f->lock);
    f->counts.held++;
    status st = hold(f, name, privacy_ceiling(at_least), &s, err);
    pthread_mutex_unlock(&f->lock);
    if (!st)
        *out = &s->shown;
    return st;
}

void facts_release(facts *f, const facts_sheet *shown)
{
    sheet *s = (sheet *)(uintptr_t)shown;
    if (!s)
        return;
    pthread_mutex_lock(&f->lock);
    bool last = let_go(s);
    pthread_mutex_unlock(&f->lock);
    if (last)
        close_sheet(s);
}

void facts_forget(facts *f)
{
    pthread_mutex_lock(&f->lock);
    f->generation++;
    pthread_mutex_unlock(&f->lock);
}

facts_counts facts_count(facts *f)
{
    pthread_mutex_lock(&f->lock);
    facts_counts c = f->counts;
    pthread_mutex_unlock(&f->lock);
    return c;
}

/* ---- open, close ---- */

status facts_open(facts **out, const facts_options *o, error *err)
{
    facts *f = mem_zero(sizeof *f);
    if (!f)
        return fail(err, E_NOMEM, "no memory for the facts of tasks");
    f->options = *o;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->read, NULL);
    status s = ledger_watch_open(&f->ledger, err);
    if (s)
        facts_close(&f);
    else
        *out = f;
    return s;
}

void facts_close(facts **at)
{
    facts *f = *at;
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        if (let_go(f->entries[i].s))
            close_sheet(f->entries[i].s);
    ledger_watch_close(&f->ledger);
    pthread_cond_destroy(&f->read);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
    *at = NULL;
}
