/* cascade.c: the threshold of a cascade, and whether there is one: see the header. */
#include "route/cascade.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "route/route.h"
#include "stat/confidence.h"

enum { GRID = 97, GRID_PER_DECADE = 16, AUROC_MAX = 2048 }; /* AUROC takes n^2 steps: 10 ms */

_Static_assert((int)CASCADE_NAME_BYTES == (int)ROUTE_NAME_BYTES, "names of providers");

/* ---- the threshold ---- */

void route_calibrate_not(route_calibration *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->why, sizeof c->why, format, args);
    va_end(args);
    c->found = false;
}

static uint32_t accepted_by(const double *x, size_t n, double tau)
{
    uint32_t k = 0;
    for (size_t i = 0; i < n; i++)
        k += x[i] >= tau;
    return k;
}

/* Where the walk begins: how many must be accepted there. */
static uint64_t least_at_start(size_t n, double risk, double alpha)
{
    uint64_t none = stat_threshold_needs(0, risk, alpha), two = stat_threshold_needs(2, risk, alpha);
    uint64_t part = n / 4 < two ? n / 4 : two;
    return part > none ? part : none;
}

static void set_found(const double *x, const bool *malformed, size_t n, const stat_threshold *t, route_calibration *c)
{
    stat_interval coverage = stat_clopper_pearson(t->accepted, n, 0.95);
    c->found = true;
    c->tau = t->threshold;
    c->n_accepted = (uint32_t)t->accepted;
    c->n_wrong = (uint32_t)t->wrong;
    for (size_t i = 0; i < n; i++)
        c->n_malformed += x[i] >= c->tau && malformed[i];
    c->coverage = t->coverage;
    c->coverage_lower = coverage.low;
    c->coverage_upper = coverage.high;
    c->risk_upper = t->error_upper;
}

/* At the first threshold already: how bad it is there. */
static void why_none(const double *x, const bool *right, size_t n, double tau, route_calibration *c)
{
    uint32_t accepted = accepted_by(x, n, tau), wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += x[i] >= tau && !right[i];
    route_calibrate_not(c, "of its %u surest answers %u are wrong, which allows up to %.1f %%, and the risk is %.1f %%",
                        accepted, wrong, 100 * stat_clopper_pearson_upper(wrong, accepted, c->confidence),
                        100 * c->risk);
}

void route_calibrate(const double *x, const bool *right, const bool *malformed, size_t n, route_calibration *c)
{
    double grid[GRID], alpha = 1 - c->confidence;
    size_t first = 0;
    c->n = (uint32_t)n;
    c->n_accepted = c->n_wrong = c->n_malformed = 0;
    c->n_needed = (uint32_t)fmin((double)stat_threshold_needs(0, c->risk, alpha), UINT32_MAX);
    c->tau = c->coverage = c->coverage_lower = c->coverage_upper = c->risk_upper = NAN;
    c->auroc = n && n <= AUROC_MAX ? stat_auroc(x, right, n).value : NAN;
    c->why[0] = 0;
    for (int j = 0; j < GRID; j++)
        grid[j] = -pow(10, -5 + (double)j / GRID_PER_DECADE);
    uint64_t least = least_at_start(n, c->risk, alpha);
    while (first < GRID && accepted_by(x, n, grid[first]) < least)
        first++;
    if (first == GRID) {
        route_calibrate_not(c, "a risk of %.1f %% takes at least %u accepted answers without a mistake, and there are "
                            "%zu cases", 100 * c->risk, c->n_needed, n);
        return;
    }
    stat_threshold t = stat_choose_threshold(x, right, n, grid + first, GRID - first, c->risk, alpha);
    if (t.found)
        set_found(x, malformed, n, &t, c);
    else
        why_none(x, right, n, grid[first], c);
}

/* ---- whether there is one ---- */

static double expected_cost(const route_input *in)
{
    return (1 - in->cascade.coverage) * in->cloud.cost_usd;
}

static double expected_latency(const route_input *in)
{
    return in->local.latency_p95_ms + (1 - in->cascade.coverage) * in->cloud.latency_p95_ms;
}

static bool over(double value, double limit)
{
    return !isnan(limit) && !(value <= limit); /* what is not known is over */
}

static bool why_not_allowed(const route_input *in, const cascade_plain *p, buf *why)
{
    if (!in->class_known || (unsigned)in->privacy > PRIVACY_INTERNAL)
        buf_printf(why, "what is %s is never asked elsewhere",
                   in->class_known && in->privacy == PRIVACY_SECRET ? "secret" : "private");
    else if (!in->cloud.present)
        buf_str(why, "there is no cloud to ask when an answer is not sure");
    else if (!p->cloud_allowed)
        buf_printf(why, "what is %s may not go to %s", privacy_class_name(in->privacy), in->cloud.provider);
    else if (p->pinned)
        buf_str(why, "the policy pins the task");
    else if (p->held)
        buf_str(why, "the policy lets local answers be proposed only");
    else if (!p->usable)
        buf_str(why, "no local model was measured");
    else if (!p->complete && in->cascade.found)
        buf_str(why, "the suite is not wholly answered");
    else if (!in->cascade.found)
        buf_str(why, in->cascade.why[0] ? in->cascade.why : "nothing to calibrate it with was measured");
    return why->len > 0;
}

/* The parts of the requirements that a cascade can fail: what it accepts against bar and margin (an accepted answer is
 * worse than the cloud's only where it is wrong), and the limits. */
static bool why_not_met(const route_input *in, const cascade_plain *p, buf *why)
{
    const route_calibration *c = &in->cascade;
    double malformed = c->n_accepted ? (double)c->n_malformed / c->n_accepted : NAN;
    if (!p->proven && in->has_bar && 1 - c->risk_upper < in->bar)
        buf_printf(why, "of accepted answers %.1f %% are proven right, the bar is %.0f %%", 100 * (1 - c->risk_upper),
                   100 * in->bar);
    else if (!p->proven && p->compared && !p->met_margin && !(c->risk_upper < in->margin))
        buf_printf(why, "up to %.1f %% of accepted answers are wrong, the margin to the cloud is %.0f points",
                   100 * c->risk_upper, 100 * in->margin);
    else if (over(malformed, in->limit_malformed))
        buf_printf(why, "%.1f %% of accepted answers are malformed, the limit is %.1f %%", 100 * malformed,
                   100 * in->limit_malformed);
    else if (over(expected_cost(in), in->limit_cost_usd))
        buf_printf(why, isnan(expected_cost(in)) ? "what the cloud costs is not known, and there is a limit"
                        : "an answer would cost $%.5f on average, the limit is $%.5f", expected_cost(in),
                   in->limit_cost_usd);
    else if (over(expected_latency(in), in->limit_latency_p95_ms))
        buf_printf(why, isnan(expected_latency(in)) ? "the times of both sides are not known, and there is a limit"
                        : "it would take %.0f ms (95 %%, weighted), the limit is %.0f ms", expected_latency(in),
                   in->limit_latency_p95_ms);
    else if (in->memory_limit_bytes && over(in->local.peak_bytes, (double)in->memory_limit_bytes))
        buf_str(why, isnan(in->local.peak_bytes) ? "the local model's memory was not measured"
                                                 : "the local model does not fit in the memory");
    return why->len > 0;
}

static void set_on(const route_input *in, route_decision *out)
{
    const route_calibration *f = &in->cascade;
    route_cascade *c = &out->cascade;
    c->on = true;
    memcpy(c->local, in->local.provider, sizeof c->local);
    memcpy(c->cloud, in->cloud.provider, sizeof c->cloud);
    memcpy(c->local_evidence, in->local.evidence, sizeof c->local_evidence);
    memcpy(c->cloud_evidence, in->cloud.evidence, sizeof c->cloud_evidence);
    c->cloud_place = in->cloud.place;
    c->tau = f->tau;
    c->coverage = f->coverage;
    c->risk_upper = f->risk_upper;
    c->n = f->n;
    c->cost_usd = expected_cost(in);
    c->latency_p95_ms = expected_latency(in);
}

/* The cloud alone was too dear; behind a cascade it is not. */
static void take_cloud(const route_input *in, route_decision *out)
{
    out->choice = ROUTE_CLOUD;
    out->place = in->cloud.place;
    memcpy(out->provider, in->cloud.provider, sizeof out->provider);
    memcpy(out->evidence, in->cloud.evidence, sizeof out->evidence);
    memcpy(out->run, in->cloud.run, sizeof out->run);
}

void route_decide_cascade(const route_input *in, const cascade_plain *plain, route_decision *out, buf *words)
{
    buf why = BUF_INIT(CASCADE_WHY_BYTES - 1);
    if (!in->cascade.asked)
        return;
    if (why_not_allowed(in, plain, &why) || why_not_met(in, plain, &why) || why.failed) {
        const char *text = why.failed || !why.len ? "why cannot be said for want of memory" : buf_text(&why);
        memcpy(out->cascade.why, text, strlen(text));
        buf_printf(words, "; no cascade: %s", text);
        buf_clear(&why);
        return;
    }
    set_on(in, out);
    if (out->choice == ROUTE_REFUSE)
        take_cloud(in, out);
    if (out->state == ROUTE_STATE_CLOUD)
        out->state = ROUTE_CANDIDATE;
    buf_printf(words, "; a cascade: local answers of a mean log-probability from %.4f on are taken (%.0f %% of %u, at "
               "most %.1f %% of them wrong), the others are asked of %s", in->cascade.tau, 100 * in->cascade.coverage,
               in->cascade.n, 100 * in->cascade.risk_upper, in->cloud.provider);
}

/* ---- words ---- */

void route_explain_cascade(const route_input *in, const route_decision *d, buf *out)
{
    const route_calibration *c = &in->cascade;
    if (!c->asked)
        return;
    buf_printf(out, "  cascade: %s; at most %.1f %% of what is accepted may be wrong, with %.1f %% confidence\n",
               d->cascade.on ? "local where it is sure" : "none", 100 * c->risk, 100 * c->confidence);
    if (!d->cascade.on)
        buf_printf(out, "    because   %s\n", d->cascade.why);
    if (!c->found)
        return;
    buf_printf(out, "    accepts   from a mean log-probability of %.4f on: %u of %u cases, %.1f %%, 95 %% interval "
               "%.1f to %.1f %%\n    risk      %u of %u accepted are wrong: at most %.1f %%\n",
               c->tau, c->n_accepted, c->n, 100 * c->coverage, 100 * c->coverage_lower, 100 * c->coverage_upper,
               c->n_wrong, c->n_accepted, 100 * c->risk_upper);
    if (!isnan(c->auroc))
        buf_printf(out, "    tells     right from wrong with an AUROC of %.3f (.5: not at all)\n", c->auroc);
    if (d->cascade.on && !isnan(d->cascade.cost_usd))
        buf_printf(out, "    cost      $%.6f an answer on average\n", d->cascade.cost_usd);
}

static bool put(js *o, const char *key, double v)
{
    return js_set(o, key, isnan(v) ? js_null() : js_new_double(v));
}

js *route_cascade_js(const route_input *in, const route_decision *d)
{
    const route_calibration *c = &in->cascade;
    const route_cascade *on = &d->cascade;
    if (!c->asked)
        return js_null();
    js *o = js_object();
    bool ok = o && js_set(o, "on", js_new_bool(on->on)) && put(o, "risk", c->risk) &&
              put(o, "confidence", c->confidence) &&
              js_set(o, "because", on->on ? js_null() : js_new_string(on->why)) &&
              js_set(o, "cases", js_new_int(c->n)) && js_set(o, "cases_needed", js_new_int(c->n_needed)) &&
              js_set(o, "found", js_new_bool(c->found));
    if (ok && c->found)
        ok = put(o, "tau", c->tau) && js_set(o, "accepted", js_new_int(c->n_accepted)) &&
             js_set(o, "accepted_wrong", js_new_int(c->n_wrong)) && put(o, "coverage", c->coverage) &&
             put(o, "coverage_lower", c->coverage_lower) && put(o, "coverage_upper", c->coverage_upper) &&
             put(o, "risk_upper", c->risk_upper) && put(o, "auroc", c->auroc);
    if (ok && on->on)
        ok = js_set(o, "local", js_new_string(on->local)) && js_set(o, "cloud", js_new_string(on->cloud)) &&
             put(o, "cost_usd", on->cost_usd) && put(o, "latency_p95_ms", on->latency_p95_ms);
    if (ok)
        return o;
    js_free(o);
    return NULL;
}
