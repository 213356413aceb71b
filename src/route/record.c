/* record.c: a decision as a fact with a date. */
#include "base/mem.h"
#include "route/route.h"
#include "task/task.h"

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
