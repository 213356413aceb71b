#include "route/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "ledger/tally.h"
#include "ledger/watch.h"
#include "task/evidence.h"

const char *plan_reason_name(plan_reason r)
{
    static const char *const names[] = { "current", "new", "model", "stale", "incomplete", "alarm", "old" };
    return names[(unsigned)r < PLAN_REASONS ? r : PLAN_STALE];
}

/* What one offer's newest evidence holds of today's cases. */
static status count_kept(ledger *l, const struct task *t, const ledger_source *src, plan_item *item, tally *out,
                         ledger_rows *rows, error *err)
{
    task_case_key *by_task = NULL;
    size_t n = 0;
    tally_key *keys = NULL;
    status s = task_case_keys(t, src->provider, &by_task, &n, err);
    if (!s && !(keys = mem_array(n + 1, sizeof *keys)))
        s = fail(err, E_NOMEM, "no memory for the keys of %zu cases", n);
    for (size_t i = 0; !s && i < n; i++)
        keys[i] = (tally_key){ by_task[i].c->id, by_task[i].prompt, by_task[i].grader };
    if (!s)
        s = ledger_find_answers(l, t->id, src->evidence_id, rows, err);
    if (!s)
        s = tally_make(l, rows, keys, n, (uint32_t)t->sampling.repeats, out, err);
    if (!s) {
        item->n_kept = out->n;
        item->measured_us = src->last_us;
    }
    mem_free(keys);
    mem_free(by_task);
    return s;
}

static void say(plan_item *item, plan_reason reason, const char *why)
{
    item->reason = reason;
    snprintf(item->why, sizeof item->why, "%s", why);
}

/* What is due by the time that passed, or by what happened in it. */
typedef struct plan_clock {
    int64_t now_us, max_age_us;
    int64_t alarm_us; /* the newest alarm; 0: none */
    char alarm[32];   /* of which detector */
} plan_clock;

static void judge(const plan_offer *o, const ledger_source *src, const tally *t, const char *sampling,
                  const plan_clock *when, plan_item *item)
{
    char text[200];
    bool known = o->model_digest[0] && src->evidence.model[0];
    if (known && strcmp(o->model_digest, src->evidence.model) != 0) {
        snprintf(text, sizeof text, "the model file changed (%u answers were of another)", src->n_answers);
        item->n_kept = 0;
        say(item, PLAN_MODEL, text);
    } else if (strcmp(src->evidence.sampling, sampling) != 0) {
        item->n_kept = 0;
        say(item, PLAN_STALE, "the sampling options changed");
    } else if (tally_stale_text(t, text, sizeof text)[0] && item->n_kept < item->n_cases) {
        say(item, PLAN_STALE, text);
    } else if (item->n_kept < item->n_cases) {
        snprintf(text, sizeof text, "%u of %u cases are answered", item->n_kept, item->n_cases);
        say(item, PLAN_INCOMPLETE, text);
    } else if (when->alarm_us > item->measured_us) {
        snprintf(text, sizeof text, "the detector of live answers (%s) alarmed since it was measured", when->alarm);
        say(item, PLAN_ALARM, text);
    } else if (!known && when->max_age_us > 0 && when->now_us - item->measured_us > when->max_age_us) {
        snprintf(text, sizeof text, "measured %lld days ago, and what a server serves may have changed",
                 (long long)((when->now_us - item->measured_us) / 86400000000));
        say(item, PLAN_OLD, text);
    } else {
        say(item, PLAN_CURRENT, "nothing changed since it was measured");
    }
}

/* The same weights under another name are the same. Sources come newest first. */
static const ledger_source *newest_of(const ledger_sources *all, const plan_offer *o)
{
    for (size_t i = 0; o->model_digest[0] && i < all->n; i++)
        if (strcmp(all->rows[i].evidence.model, o->model_digest) == 0)
            return &all->rows[i];
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->rows[i].provider, o->provider) == 0)
            return &all->rows[i];
    return NULL;
}

static status plan_one(ledger *l, const struct task *t, const plan_offer *o, const ledger_source *src,
                       const char *sampling, const plan_clock *when, plan_item *item, error *err)
{
    ledger_rows rows = { 0 };
    tally kept = { 0 };
    if (!src) {
        say(item, PLAN_NEW, "never measured on this task");
        return OK;
    }
    status s = count_kept(l, t, src, item, &kept, &rows, err);
    if (!s)
        judge(o, src, &kept, sampling, when, item);
    tally_clear(&kept);
    ledger_rows_close(&rows);
    return s;
}

static status find_alarm(ledger *l, const struct task *t, plan_clock *when, error *err)
{
    ledger_alarms all = { 0 };
    status s = ledger_find_alarms(l, t->id, &all, err);
    if (!s && all.n) {
        when->alarm_us = all.rows[all.n - 1].at_us;
        snprintf(when->alarm, sizeof when->alarm, "%s", all.rows[all.n - 1].kind);
    }
    ledger_alarms_close(&all);
    return s;
}

status plan_make(ledger *l, const struct task *t, const plan_offer *offers, size_t n, int64_t now_us,
                 int64_t max_age_us, plan_item *items, error *err)
{
    ledger_sources all = { 0 };
    char *sampling = NULL;
    plan_clock when = { .now_us = now_us, .max_age_us = max_age_us };
    status s = task_sampling_key(t, &sampling, err);
    if (!s && l)
        s = find_alarm(l, t, &when, err);
    if (!s && l)
        s = ledger_find_sources(l, t->id, &all, err);
    for (size_t i = 0; !s && i < n; i++) {
        items[i] = (plan_item){ .offer = i, .n_cases = (uint32_t)task_measured(t) };
        s = plan_one(l, t, &offers[i], newest_of(&all, &offers[i]), sampling, &when, &items[i], err);
    }
    ledger_sources_close(&all);
    mem_free(sampling);
    return s;
}
