#include "cli/reassess_history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "ledger/watch.h"
#include "plat/clock.h"
#include "stat/stat.h"
#include "task/task.h"

/* One day: the decision, the one before it, and what lies between their local sides. */
typedef struct day {
    const ledger_decision *d;
    const ledger_source *local;     /* NULL: not measured, or not in this ledger */
    char change[LEDGER_DIFFERS_BYTES + 128];
    js *detail;                     /* what record.c kept besides; NULL: nothing */
    stat_interval rate, difference; /* 95 %: Clopper-Pearson; Tango */
    uint64_t pairs;
    double margin;                  /* NAN: not kept */
} day;

static const ledger_source *find_source(const ledger_sources *all, const char *evidence)
{
    for (size_t i = 0; evidence[0] && i < all->n; i++)
        if (strcmp(all->rows[i].evidence_id, evidence) == 0)
            return &all->rows[i];
    return NULL;
}

/* Which change of model, or of how it is run, came with this day. */
static void say_change(const ledger_source *old, day *x)
{
    char text[LEDGER_DIFFERS_BYTES];
    if (!x->local || old == x->local)
        return;
    if (!old)
        snprintf(x->change, sizeof x->change, "first measured: %.96s", x->local->model_name);
    else if (strcmp(old->model_name, x->local->model_name) != 0)
        snprintf(x->change, sizeof x->change, "%.96s -> %.96s", old->model_name, x->local->model_name);
    else
        snprintf(x->change, sizeof x->change, "%.96s: %s", x->local->model_name,
                 ledger_evidence_differs(&old->evidence, &x->local->evidence, text, sizeof text));
}

static void fill_day(const ledger_decision *d, const ledger_sources *all, const ledger_source *old, day *x)
{
    stat_pairs p = { d->win, d->tie, d->loss };
    *x = (day){ .d = d, .local = find_source(all, d->local_evidence), .pairs = p.w + p.t + p.l, .margin = NAN };
    say_change(old, x);
    if (d->detail[0] && js_parse(&x->detail, d->detail, strlen(d->detail), "decision", 1, NULL) == OK) {
        double margin;
        if (js_double(js_get(x->detail, "margin"), &margin))
            x->margin = margin;
    }
    x->rate = stat_clopper_pearson(d->n_pass, d->n, 0.95);
    if (x->pairs)
        x->difference = stat_tango(p, 0.95);
}

/* ---- as data ---- */

static js *interval_js(stat_interval i, bool known)
{
    js *o = js_array();
    if (!known) {
        js_free(o);
        return js_null();
    }
    js_push(o, js_new_double(i.low));
    js_push(o, js_new_double(i.high));
    return o;
}

static js *day_js(const struct task *t, const day *x)
{
    const ledger_decision *d = x->d;
    char at[CLOCK_TEXT];
    js *o = js_object();
    js_set(o, "task", js_new_string(t->id));
    js_set(o, "at", js_new_string(clock_utc_text(d->at_us, at)));
    js_set(o, "state", js_new_string(d->verdict));
    js_set(o, "crossed_over", js_new_bool(strcmp(d->verdict, "local") == 0));
    js_set(o, "pass", js_new_int((int64_t)d->n_pass));
    js_set(o, "cases", js_new_int((int64_t)d->n));
    js_set(o, "rate_interval", interval_js(x->rate, d->n > 0));
    js_set(o, "only_local", js_new_int((int64_t)d->win));
    js_set(o, "same", js_new_int((int64_t)d->tie));
    js_set(o, "only_cloud", js_new_int((int64_t)d->loss));
    js_set(o, "difference_interval", interval_js(x->difference, x->pairs > 0));
    js_set(o, "margin", isnan(x->margin) ? js_null() : js_new_double(x->margin));
    js_set(o, "local_evidence", js_new_string(d->local_evidence));
    js_set(o, "cloud_evidence", js_new_string(d->cloud_evidence));
    js_set(o, "model", x->local ? js_new_string(x->local->model_name) : js_null());
    js_set(o, "change", x->change[0] ? js_new_string(x->change) : js_null());
    js_set(o, "policy", js_get(x->detail, "policy") ? js_copy(js_get(x->detail, "policy")) : js_null());
    js_set(o, "drift", js_get(x->detail, "drift") ? js_copy(js_get(x->detail, "drift")) : js_null());
    return o;
}

/* ---- as text ---- */

static void print_day(const struct task *t, const day *x)
{
    const ledger_decision *d = x->d;
    char at[CLOCK_TEXT];
    printf("%s  %-24s %-10s %llu of %llu right", clock_utc_text(d->at_us, at), t->id, d->verdict,
           (unsigned long long)d->n_pass, (unsigned long long)d->n);
    if (d->n)
        printf(" (%.1f to %.1f %%)", 100 * x->rate.low, 100 * x->rate.high);
    if (x->pairs)
        printf("; pairs %llu/%llu/%llu, difference %+.1f to %+.1f points", (unsigned long long)d->win,
               (unsigned long long)d->tie, (unsigned long long)d->loss, 100 * x->difference.low,
               100 * x->difference.high);
    if (!isnan(x->margin))
        printf("; margin %.0f", 100 * x->margin);
    if (d->local_evidence[0])
        printf("; evidence %.12s", d->local_evidence);
    printf("%s\n", strcmp(d->verdict, "local") == 0 ? "  crossed over" : "");
    if (x->change[0]) {
        printf("%22s", "");
        cli_print_text(x->change, "");
        printf("\n");
    }
    const js *drift = js_get(x->detail, "drift");
    int64_t seen = 0;
    double r = 0;
    if (drift && js_int(js_get(drift, "compared"), &seen) && js_double(js_get(drift, "r"), &r))
        printf("%22sthe drift detector alarmed after %lld compared live answers (R %.0f)\n", "", (long long)seen, r);
}

status reassess_history(ledger *l, const struct task *t, js *out, error *err)
{
    ledger_decisions all = { 0 };
    ledger_sources sources = { 0 };
    const ledger_source *old = NULL;
    const char *last = "";
    status s = ledger_find_decisions(l, t->id, &all, err);
    if (!s)
        s = ledger_find_sources(l, t->id, &sources, err);
    for (size_t i = 0; !s && i < all.n; i++) {
        day x;
        if (strcmp(all.rows[i].verdict, last) == 0)
            continue;
        last = all.rows[i].verdict;
        fill_day(&all.rows[i], &sources, old, &x);
        if (x.local)
            old = x.local;
        if (out)
            js_push(out, day_js(t, &x));
        else
            print_day(t, &x);
        js_free(x.detail);
    }
    ledger_sources_close(&sources);
    ledger_decisions_close(&all);
    return s;
}
