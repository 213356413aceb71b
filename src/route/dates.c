#include "route/dates.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "route/route.h"
#include "task/task.h"

static js *decision_js(const ledger_decision *d)
{
    char at[CLOCK_TEXT];
    js *o = js_object();
    js_set(o, "at", js_new_string(clock_utc_text(d->at_us, at)));
    js_set(o, "verdict", js_new_string(d->verdict));
    js_set(o, "cases", js_new_int((int64_t)d->n));
    js_set(o, "right", js_new_int((int64_t)d->n_pass));
    js_set(o, "only_local_right", js_new_int((int64_t)d->win));
    js_set(o, "same", js_new_int((int64_t)d->tie));
    js_set(o, "only_cloud_right", js_new_int((int64_t)d->loss));
    js_set(o, "local_evidence", js_new_string(d->local_evidence ? d->local_evidence : ""));
    js_set(o, "cloud_evidence", js_new_string(d->cloud_evidence ? d->cloud_evidence : ""));
    return o;
}

/* The last decision that became local; -1: it is not local, or never was decided. In doubt it stays as it is. */
static long crossing(const ledger_decisions *all)
{
    long at = -1;
    for (size_t i = 0; i < all->n; i++) {
        route_state s = route_state_of(all->rows[i].verdict);
        bool local = s == ROUTE_STATE_LOCAL || (s == ROUTE_SUSPECT && at >= 0);
        at = !local ? -1 : at >= 0 ? at : (long)i;
    }
    return at;
}

static status add_history(ledger *l, const struct task *t, js *o, error *err)
{
    ledger_decisions all = { 0 };
    js *list = js_array();
    status s = l ? ledger_find_decisions(l, t->id, &all, err) : OK;
    long at = s ? -1 : crossing(&all);
    for (size_t i = all.n > ROUTE_DATES_MAX ? all.n - ROUTE_DATES_MAX : 0; !s && i < all.n; i++)
        js_push(list, decision_js(&all.rows[i]));
    js_set(o, "crossed", at < 0 ? js_null() : decision_js(&all.rows[at]));
    js_set(o, "history", list);
    ledger_decisions_close(&all);
    return s;
}

static status add_next(ledger *l, const struct task *t, const plan_offer *offers, size_t n, int64_t now_us, js *o,
                       error *err)
{
    char at[CLOCK_TEXT];
    js *list = js_array();
    plan_item *items = mem_array(n + 1, sizeof *items);
    status s = items ? plan_make(l, t, offers, n, now_us, 0, items, err) : fail(err, E_NOMEM, "no memory for a plan");
    for (size_t i = 0; !s && i < n; i++) {
        js *one = js_object();
        js_set(one, "provider", js_new_string(offers[items[i].offer].provider));
        js_set(one, "reason", js_new_string(plan_reason_name(items[i].reason)));
        js_set(one, "why", js_new_string(items[i].why));
        js_set(one, "cases", js_new_int(items[i].n_cases));
        js_set(one, "kept", js_new_int(items[i].n_kept));
        js_set(one, "measured", items[i].measured_us ? js_new_string(clock_utc_text(items[i].measured_us, at))
                                                     : js_null());
        js_push(list, one);
    }
    js_set(o, "next", list);
    mem_free(items);
    return s;
}

status route_dates(ledger *l, const struct task *t, const plan_offer *offers, size_t n, int64_t now_us, js **out,
                   error *err)
{
    js *o = js_object();
    status s = add_history(l, t, o, err);
    if (!s)
        s = add_next(l, t, offers, n, now_us, o, err);
    if (!s && !o)
        s = fail(err, E_NOMEM, "no memory for a history");
    if (s)
        js_free(o);
    else
        *out = o;
    return s;
}

static const char *member(const js *o, const char *name)
{
    const char *text = js_text(js_get(o, name));
    return text ? text : "";
}

void route_dates_text(const js *dates, buf *out)
{
    const js *crossed = js_get(dates, "crossed"), *history = js_get(dates, "history"), *next = js_get(dates, "next");
    int64_t right = 0, cases = 0;
    if (js_is(crossed, JS_OBJECT)) {
        (void)js_int(js_get(crossed, "right"), &right);
        (void)js_int(js_get(crossed, "cases"), &cases);
        buf_printf(out, "  crossed over: %s, with %lld of %lld cases right\n", member(crossed, "at"), (long long)right,
                   (long long)cases);
    } else {
        buf_printf(out, "  crossed over: %s\n", js_len(history) ? "no: the newest kept decision is not local"
                                                                 : "no decision was kept yet (hearth reassess)");
    }
    for (size_t i = 0; i < js_len(next); i++)
        buf_printf(out, "  %s %s: %s\n", strcmp(member(js_at(next, i), "reason"), "current") == 0 ? "current:" : "due:",
                   member(js_at(next, i), "provider"), member(js_at(next, i), "why"));
}
