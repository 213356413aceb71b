/* record.c: a decision as a fact with a date. */
#include "base/mem.h"
#include "route/route.h"
#include "task/task.h"

/* Of the alarm, and not of what came after it: or each shadow would be a new conclusion. */
static js *drift_numbers(const drift_state *d)
{
    js *o = js_object();
    js_set(o, "phase", js_new_string(drift_phase_name(d->phase)));
    js_set(o, "alarm_us", js_new_int(d->alarm_us));
    js_set(o, "r", js_new_double(d->alarm_value));
    js_set(o, "level", js_new_double(d->rules.level));
    js_set(o, "compared", js_new_int(d->alarm_n));
    js_set(o, "changed_us", js_new_int(d->changed_us));
    return o;
}

/* What the columns of a decision do not hold. */
static bool write_detail(const route_input *in, const route_decision *d, buf *out)
{
    js_begin();
    js *o = js_object();
    js_set(o, "choice", js_new_string(route_choice_name(d->choice)));
    js_set(o, "provider", js_new_string(d->provider));
    js_set(o, "local", js_new_string(in->local.provider));
    js_set(o, "cloud", js_new_string(in->cloud.provider));
    js_set(o, "bar", in->has_bar ? js_new_double(in->bar) : js_null());
    js_set(o, "margin", js_new_double(in->margin));
    if (in->cascade.asked)
        js_set(o, "cascade", route_cascade_js(in, d));
    if (d->policy)
        js_set(o, "policy", js_new_int(d->policy));
    if (d->proposed)
        js_set(o, "proposed", js_new_bool(true));
    if (in->drift.phase != DRIFT_HEALTHY)
        js_set(o, "drift", drift_numbers(&in->drift));
    if (!js_lost())
        js_write(o, JS_CANONICAL, out);
    js_free(o);
    return !js_lost() && !out->failed;
}

status route_record(ledger *l, const struct task *t, const route_input *in, const route_decision *d, bool *written,
                    error *err)
{
    char suite[DIGEST_HEX];
    buf detail = BUF_INIT(65536);
    status s = task_suite_digest(t, suite, err);
    if (!s && !write_detail(in, d, &detail))
        s = fail(err, E_NOMEM, "no memory for a decision");
    if (!s) {
        ledger_decision row = { .task = in->task, .verdict = route_state_name(d->state),
                                .local_evidence = in->local.evidence, .cloud_evidence = in->cloud.evidence,
                                .suite = suite, .win = in->paired_w, .tie = in->paired_t, .loss = in->paired_l,
                                .n = in->local.n, .n_pass = in->local.n_pass, .detail = buf_text(&detail) };
        s = ledger_append_decision(l, &row, written, err);
    }
    buf_clear(&detail);
    return s;
}
