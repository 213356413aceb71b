#include "cli/fit_quality.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "ledger/tally.h"
#include "measure/tools.h"
#include "plat/machine.h"
#include "provider/config.h"
#include "stat/stat.h"
#include "store/store.h"
#include "task/evidence.h"

typedef struct reader {
    ledger *l;
    task *t;
    char *sampling;
    fit_rows *rows;
    char (*digests)[DIGEST_HEX]; /* of rows; "": not present, or not readable */
} reader;

/* ---- which rows a measurement is of ---- */

static bool begins_with(const char *text, const char *prefix, size_t *n)
{
    *n = strlen(prefix);
    return strncasecmp(text, prefix, *n) == 0;
}

/* NAME or NAME-TYPE (or with . or _), with or without ".gguf", without regard to case. */
static bool is_named(const char *said, const char *name, const char *type)
{
    char text[256];
    size_t n;
    snprintf(text, sizeof text, "%s", said);
    if (str_ends(text, ".gguf"))
        text[strlen(text) - 5] = '\0';
    if (!begins_with(text, name, &n))
        return false;
    return !text[n] || (strchr("-._", text[n]) && strcasecmp(text + n + 1, type) == 0);
}

static bool is_of(const reader *r, size_t i, const ledger_source *s)
{
    const fit_row *row = &r->rows->rows[i];
    if (row->present && s->evidence.model[0])
        return strcmp(r->digests[i], s->evidence.model) == 0;
    return is_named(s->model_name, row->name, row->type);
}

static status read_digests(reader *r, error *err)
{
    r->digests = mem_array(r->rows->n + 1, sizeof *r->digests);
    if (!r->digests)
        return fail(err, E_NOMEM, "no memory for digests");
    for (size_t i = 0; i < r->rows->n; i++) {
        const fit_row *row = &r->rows->rows[i];
        if (row->path && store_digest_file(row->path, r->digests[i], NULL) != OK)
            r->digests[i][0] = '\0';
    }
    return OK;
}

/* ---- what was measured ---- */

static status tally_of(const reader *r, const ledger_source *s, fit_quality *out, error *err)
{
    task_case_key *by_task = NULL;
    ledger_rows answers = { 0 };
    tally t = { 0 };
    size_t n = 0;
    uint32_t repeats = r->t->sampling.repeats > 0 ? (uint32_t)r->t->sampling.repeats : 1;
    status st = task_case_keys(r->t, s->provider, &by_task, &n, err);
    tally_key *keys = st ? NULL : mem_array(n + 1, sizeof *keys);
    if (!st && !keys)
        st = fail(err, E_NOMEM, "no memory for the keys of %zu cases", n);
    for (size_t i = 0; !st && i < n; i++)
        keys[i] = (tally_key){ by_task[i].c->id, by_task[i].prompt, by_task[i].grader };
    if (!st)
        st = ledger_find_answers(r->l, r->t->id, s->evidence_id, &answers, err);
    if (!st)
        st = tally_make(r->l, &answers, keys, n, repeats, &t, err);
    if (!st && t.n) {
        stat_interval i = stat_clopper_pearson(t.n_pass, t.n, 0.95);
        *out = (fit_quality){ .n = t.n, .n_pass = t.n_pass, .pass = (double)t.n_pass / t.n, .lower = i.low,
                              .upper = i.high };
    }
    tally_clear(&t);
    ledger_rows_close(&answers);
    mem_free(keys);
    mem_free(by_task);
    return st;
}

/* Sources come newest first: what a row has already is newer. */
static status put_source(const reader *r, const ledger_source *s, error *err)
{
    fit_quality q = { .n = 0 };
    bool wanted = false;
    for (size_t i = 0; i < r->rows->n; i++)
        wanted |= !r->rows->rows[i].quality.n && is_of(r, i, s);
    if (!wanted || strcmp(s->evidence.sampling, r->sampling) != 0)
        return OK;
    status st = tally_of(r, s, &q, err);
    for (size_t i = 0; !st && i < r->rows->n; i++)
        if (!r->rows->rows[i].quality.n && is_of(r, i, s))
            r->rows->rows[i].quality = q;
    return st;
}

static status read_all(reader *r, error *err)
{
    ledger_sources sources = { 0 };
    status st = ledger_find_sources(r->l, r->t->id, &sources, err);
    if (!st && sources.n)
        st = read_digests(r, err);
    for (size_t i = 0; !st && i < sources.n; i++)
        st = put_source(r, &sources.rows[i], err);
    ledger_sources_close(&sources);
    mem_free(r->digests);
    return st;
}

status fit_quality_read(fit_rows *rows, const char *task_name, const config *cfg, error *err)
{
    reader r = { .rows = rows };
    char dir[4096];
    error why = { 0 };
    status st = machine_program_dir(dir, sizeof dir, err);
    if (!st)
        st = task_open(&r.t, task_name, dir, err);
    if (!st)
        st = task_load_cases(r.t, err);
    if (!st)
        st = measure_tools_bind(r.t, cfg, err);
    if (!st)
        st = task_sampling_key(r.t, &r.sampling, err);
    if (!st) {
        status opened = ledger_open(&r.l, NULL, LEDGER_READ, &why);
        if (!opened)
            st = read_all(&r, err);
        else if (opened != E_NOTFOUND)
            st = fail(err, opened, "%s", why.text);
    }
    ledger_close(&r.l);
    mem_free(r.sampling);
    task_close(&r.t);
    return st;
}
