/* explain.c: a decision in words, as data and as a row of the table. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "plat/clock.h"
#include "route/route.h"
#include "stat/stat.h"

/* ---- the argument ---- */

static void explain_speed(const route_side *r, buf *out)
{
    char bytes[24];
    if (r->elsewhere) {
        buf_str(out, "    speed     measured on another machine only\n");
    } else if (!isnan(r->decode_per_s) || !isnan(r->latency_p95_ms)) {
        buf_str(out, "    speed    ");
        if (!isnan(r->prefill_per_s))
            buf_printf(out, " prompt %.0f tokens/s,", r->prefill_per_s);
        if (!isnan(r->decode_per_s))
            buf_printf(out, " answer %.1f tokens/s,", r->decode_per_s);
        if (!isnan(r->ttft_p50_ms))
            buf_printf(out, " first token after %.0f ms (median),", r->ttft_p50_ms);
        buf_printf(out, " 95 %% of answers within %.0f ms\n", r->latency_p95_ms);
    }
    if (!isnan(r->peak_bytes))
        buf_printf(out, "    memory    %s at most\n", str_human_bytes(bytes, (uint64_t)r->peak_bytes));
}

static void explain_side(const char *title, const route_side *r, buf *out)
{
    char at[CLOCK_TEXT];
    if (!r->present) {
        buf_printf(out, "  %s: none\n", title);
        return;
    }
    buf_printf(out, "  %s: %s (%s)\n", title, r->provider, privacy_place_name(r->place));
    if (r->n > 0)
        buf_printf(out,
                   "    quality   %u of %u right, %u wrong, %u malformed: %.1f %%, 95 %% interval %.1f to %.1f %%\n"
                   "    score     %.3f, 95 %% interval %.3f to %.3f\n",
                   r->n_pass, r->n, r->n_wrong, r->n_malformed, 100 * r->pass, 100 * r->lower, 100 * r->upper,
                   r->score, r->score_lower, r->score_upper);
    else
        buf_str(out, "    quality   nothing that counts today\n");
    if (r->n < r->n_cases && r->measured_us)
        buf_printf(out, "    complete  no: %u of %u cases%s\n", r->n, r->n_cases,
                   r->n_failed ? ", the provider failed on others" : "");
    if (r->n_stale)
        buf_printf(out, "    stale     %s\n", r->stale);
    explain_speed(r, out);
    if (r->place != PRIVACY_LOCAL && !isnan(r->cost_usd))
        buf_printf(out, "    cost      $%.6f an answer\n", r->cost_usd);
    if (r->measured_us)
        buf_printf(out, "    evidence  %.16s, run %s, newest answer %s\n", r->evidence, r->run,
                   clock_utc_text(r->measured_us, at));
}

static void explain_pairs(const route_input *in, buf *out)
{
    stat_pairs p = { in->paired_w, in->paired_t, in->paired_l };
    uint64_t n = p.w + p.t + p.l;
    if (n == 0)
        return;
    stat_interval i = stat_tango(p, 0.95);
    buf_printf(out, "  paired: only local right %u, same %u, only the other right %u: difference %+.1f points, "
               "95 %% interval %+.1f to %+.1f (Tango); the margin is %.0f; %llu cases can prove a margin of %.1f\n",
               in->paired_w, in->paired_t, in->paired_l, 100.0 * ((double)p.w - (double)p.l) / (double)n, 100 * i.low,
               100 * i.high, 100 * in->margin, (unsigned long long)n,
               100 * stat_resolution(n, fmax(stat_discordance(p), 0.05), 0.05, 0.8));
}

static void explain_requirements(const route_input *in, buf *out)
{
    buf_printf(out, "  class: %s", in->class_known ? privacy_class_name(in->privacy) : "not known, so private");
    privacy_class c = in->class_known ? in->privacy : PRIVACY_PRIVATE;
    buf_printf(out, ": may go %s\n", privacy_ceiling(c) == PRIVACY_REMOTE        ? "anywhere"
                                      : privacy_ceiling(c) == PRIVACY_ON_PREMISES ? "no farther than on-premises"
                                                                                  : "nowhere: local only");
    buf_str(out, "  requirements:");
    if (in->has_bar)
        buf_printf(out, " right in at least %.0f %% (lower end of the 95 %% interval)", 100 * in->bar);
    else
        buf_str(out, " no bar");
    buf_printf(out, "; not worse than a cloud by %.0f points", 100 * in->margin);
    if (!isnan(in->limit_latency_p95_ms))
        buf_printf(out, "; 95 %% of answers within %.0f ms", in->limit_latency_p95_ms);
    if (!isnan(in->limit_cost_usd))
        buf_printf(out, "; at most $%.5f an answer", in->limit_cost_usd);
    if (!isnan(in->limit_malformed))
        buf_printf(out, "; at most %.1f %% malformed", 100 * in->limit_malformed);
    buf_char(out, '\n');
}

static void explain_policy(const route_input *in, buf *out)
{
    const drift_state *d = &in->drift;
    char at[CLOCK_TEXT];
    if (!in->rules.number)
        return;
    buf_printf(out, "  policy: version %lld; route by %s; a crossing is %s; alpha %g\n", (long long)in->rules.number,
               in->rules.pin == PIN_NONE ? "evidence" : route_pin_name(in->rules.pin),
               in->rules.propose ? "proposed" : "applied at once", in->rules.alpha);
    if (!d->n_all)
        return;
    buf_printf(out, "  live: %s; %u answers compared with the cloud's", drift_phase_name(d->phase), d->n_all);
    if (d->phase == DRIFT_HEALTHY)
        buf_printf(out, ", %u since the detector began: mean difference %+.1f points, R %.3g of %g", d->n,
                   d->n ? 100 * d->sum / d->n : 0.0, stat_drift_value(&d->sr), d->rules.level);
    if (d->n_alarms)
        buf_printf(out, "; newest alarm %s at R %.0f after %u", clock_utc_text(d->alarm_us, at), d->alarm_value,
                   d->alarm_n);
    if (d->phase == DRIFT_SUSPECT)
        buf_printf(out, "; since then %u: log E of worse %.2f (back to the cloud at %.2f), of well %.2f (local at"
                   " %.2f), %u failures", d->n, drift_log_worse(d), -log(d->rules.alpha_back), drift_log_better(d),
                   -log(d->rules.alpha), d->n_failures);
    buf_char(out, '\n');
}

void route_explain(const route_input *in, const route_decision *d, buf *out)
{
    buf_printf(out, "%s: %s%s%s (%s)\n  because %s\n", in->task, route_choice_name(d->choice),
               d->provider[0] ? " -> " : "", d->provider, route_state_name(d->state), d->reason);
    explain_requirements(in, out);
    explain_policy(in, out);
    explain_side("local", &in->local, out);
    explain_side("cloud", &in->cloud, out);
    explain_pairs(in, out);
    route_explain_cascade(in, d, out);
    if (!isnan(in->majority) || !isnan(in->regex)) {
        buf_str(out, "  without any model:");
        if (!isnan(in->majority))
            buf_printf(out, " always the same answer %.1f %%", 100 * in->majority);
        if (!isnan(in->regex))
            buf_printf(out, "%s rules %.1f %%", isnan(in->majority) ? "" : ",", 100 * in->regex);
        buf_char(out, '\n');
    }
    uint32_t n = in->local.n ? in->local.n : in->local.n_cases;
    if (n)
        buf_printf(out, "  resolution: with %u cases the interval is up to ±%.0f points wide\n", n,
                   50 * (stat_clopper_pearson(n / 2, n, 0.95).high - stat_clopper_pearson(n / 2, n, 0.95).low));
}

/* ---- as data ---- */

static bool put_number(js *o, const char *key, double v)
{
    return js_set(o, key, isnan(v) ? js_null() : js_new_double(v));
}

static js *side_js(const route_side *r)
{
    char at[CLOCK_TEXT];
    if (!r->present)
        return js_null();
    js *o = js_object();
    bool ok = o && js_set(o, "provider", js_new_string(r->provider)) && js_set(o, "model", js_new_string(r->model)) &&
              js_set(o, "place", js_new_string(privacy_place_name(r->place))) &&
              js_set(o, "evidence", js_new_string(r->evidence)) && js_set(o, "run", js_new_string(r->run)) &&
              js_set(o, "measured", r->measured_us ? js_new_string(clock_utc_text(r->measured_us, at)) : js_null()) &&
              js_set(o, "cases", js_new_int(r->n_cases)) && js_set(o, "answered", js_new_int(r->n)) &&
              js_set(o, "pass", js_new_int(r->n_pass)) && js_set(o, "wrong", js_new_int(r->n_wrong)) &&
              js_set(o, "malformed", js_new_int(r->n_malformed)) && js_set(o, "failed", js_new_int(r->n_failed)) &&
              js_set(o, "stale", js_new_int(r->n_stale)) && js_set(o, "stale_because", js_new_string(r->stale)) &&
              put_number(o, "rate", r->pass) && put_number(o, "rate_lower", r->lower) &&
              put_number(o, "rate_upper", r->upper) && put_number(o, "score", r->score) &&
              put_number(o, "score_lower", r->score_lower) && put_number(o, "score_upper", r->score_upper) &&
              put_number(o, "prefill_tokens_per_s", r->prefill_per_s) &&
              put_number(o, "decode_tokens_per_s", r->decode_per_s) && put_number(o, "ttft_p50_ms", r->ttft_p50_ms) &&
              put_number(o, "latency_p95_ms", r->latency_p95_ms) && put_number(o, "peak_bytes", r->peak_bytes) &&
              put_number(o, "cost_usd", r->cost_usd) && js_set(o, "speed_elsewhere", js_new_bool(r->elsewhere));
    if (ok)
        return o;
    js_free(o);
    return NULL;
}

static js *drift_js(const drift_state *d)
{
    char at[CLOCK_TEXT];
    if (!d->n_all && !d->n_failures)
        return js_null();
    js *o = js_object();
    js_set(o, "phase", js_new_string(drift_phase_name(d->phase)));
    js_set(o, "compared", js_new_int(d->n_all));
    js_set(o, "since", js_new_int(d->n));
    put_number(o, "mean_difference", d->n ? d->sum / d->n : NAN);
    put_number(o, "r", stat_drift_value(&d->sr));
    put_number(o, "level", d->rules.level);
    js_set(o, "alarms", js_new_int(d->n_alarms));
    js_set(o, "alarm", d->n_alarms ? js_new_string(clock_utc_text(d->alarm_us, at)) : js_null());
    put_number(o, "log_worse", drift_log_worse(d));
    put_number(o, "log_better", drift_log_better(d));
    js_set(o, "failures", js_new_int(d->n_failures));
    return o;
}

js *route_to_js(const route_input *in, const route_decision *d)
{
    js *o = js_object();
    bool ok = o && js_set(o, "task", js_new_string(in->task)) &&
              js_set(o, "choice", js_new_string(route_choice_name(d->choice))) &&
              js_set(o, "provider", js_new_string(d->provider)) &&
              js_set(o, "place", d->provider[0] ? js_new_string(privacy_place_name(d->place)) : js_null()) &&
              js_set(o, "state", js_new_string(route_state_name(d->state))) &&
              js_set(o, "reason", js_new_string(d->reason)) && js_set(o, "evidence", js_new_string(d->evidence)) &&
              js_set(o, "run", js_new_string(d->run)) &&
              js_set(o, "class", js_new_string(in->class_known ? privacy_class_name(in->privacy) : "unknown")) &&
              put_number(o, "bar", in->has_bar ? in->bar : NAN) && put_number(o, "margin", in->margin) &&
              put_number(o, "limit_latency_p95_ms", in->limit_latency_p95_ms) &&
              put_number(o, "limit_cost_usd", in->limit_cost_usd) &&
              put_number(o, "limit_malformed", in->limit_malformed) &&
              put_number(o, "baseline_majority", in->majority) && put_number(o, "baseline_rules", in->regex) &&
              js_set(o, "complete", js_new_bool(d->complete)) && js_set(o, "met_bar", js_new_bool(d->met_bar)) &&
              js_set(o, "met_margin", js_new_bool(d->met_margin)) &&
              js_set(o, "met_limits", js_new_bool(d->met_limits)) &&
              js_set(o, "below_bar", js_new_bool(d->below_bar)) && js_set(o, "proposed", js_new_bool(d->proposed)) &&
              js_set(o, "policy", d->policy ? js_new_int(d->policy) : js_null()) &&
              js_set(o, "drift", drift_js(&in->drift)) &&
              js_set(o, "paired_only_local", js_new_int(in->paired_w)) &&
              js_set(o, "paired_same", js_new_int(in->paired_t)) &&
              js_set(o, "paired_only_cloud", js_new_int(in->paired_l)) && js_set(o, "local", side_js(&in->local)) &&
              js_set(o, "cloud", side_js(&in->cloud)) && js_set(o, "cascade", route_cascade_js(in, d));
    if (ok)
        return o;
    js_free(o);
    return NULL;
}
