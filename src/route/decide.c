/* decide.c: the rule. Pure: everything it knows is in its argument.
 *
 *   1. class -> the farthest place that is allowed (unknown class: private)
 *   2. the local side against its requirements: the bar, the margin to the cloud where both were measured, the
 *      task's limits, the memory there is
 *   3. what the shadows of its live answers say, and what the policy wants of it
 *   4. met: local. In doubt and local before: local, suspect. Otherwise the cloud where there is an allowed one,
 *      and else a refusal that says what is missing.
 *   4. over this, where the task wants one and its answers allow it: a cascade (cascade.c)
 * Bounds: the bar is compared with the lower end of the two-sided 95 % interval that every table shows; the margin with
 * the one-sided 95 % bound (Tango) of the paired difference. Both hold for a suite that was run to its end. Of a part
 * of one, which may have been ended because of what it showed, only an e-process proves anything, and only where no two
 * cases share a source document. */
#include "route/route.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "stat/decide.h"
#include "stat/stat.h"

#define ALPHA 0.05 /* where no policy says another */

typedef enum verdict { UNKNOWN, FAILED, MET } verdict;

/* What the steps find out about the local side, and the words for it. */
typedef struct finding {
    bool usable, measured, complete;
    verdict bar, margin, limits;
    bool compared;  /* with a measured cloud */
    bool disproved; /* something is known to be below its requirement */
    bool doubted;   /* the drift detector's alarm is not settled */
    buf words;
} finding;

const char *route_choice_name(route_choice c)
{
    static const char *const names[] = { "refuse", "cloud", "local" };
    return (unsigned)c < ARRAY_LEN(names) ? names[c] : names[0];
}

const char *route_state_name(route_state s)
{
    static const char *const names[] = { "unproven", "candidate", "local", "suspect", "cloud" };
    return (unsigned)s < ARRAY_LEN(names) ? names[s] : names[0];
}

route_state route_state_of(const char *name)
{
    for (int i = ROUTE_UNPROVEN; i <= ROUTE_STATE_CLOUD; i++)
        if (name && strcmp(name, route_state_name((route_state)i)) == 0)
            return (route_state)i;
    return ROUTE_UNPROVEN;
}

static privacy_class class_of(const route_input *in)
{
    return in->class_known && (unsigned)in->privacy <= PRIVACY_SECRET ? in->privacy : PRIVACY_PRIVATE;
}

static bool cloud_allowed(const route_input *in)
{
    const route_side *c = &in->cloud;
    return c->present && c->place != PRIVACY_LOCAL && privacy_allows(class_of(in), c->place) &&
           !(c->public_only && class_of(in) != PRIVACY_PUBLIC);
}

static double alpha_of(const route_input *in)
{
    return in->rules.alpha > 0 && in->rules.alpha < 1 ? in->rules.alpha : ALPHA;
}

/* ---- the local side ---- */

static void judge_bar(const route_input *in, finding *f)
{
    const route_side *l = &in->local;
    if (!in->has_bar)
        return;
    double alpha = alpha_of(in);
    stat_interval i = { l->lower, l->upper };
    if (alpha != ALPHA) /* gather.c's is the usual one */
        i = stat_clopper_pearson(l->n_pass, l->n, 1 - alpha);
    stat_verdict v = in->clustered || !(in->bar > 0 && in->bar < 1)
                         ? STAT_OPEN : stat_decide_bar(l->n_pass, l->n, in->bar, alpha, 1);
    f->bar = f->complete ? (i.low >= in->bar ? MET : FAILED) : v == STAT_PROMOTED ? MET : FAILED;
    if (f->complete ? i.high < in->bar : v == STAT_REJECTED)
        f->disproved = true;
    buf_printf(&f->words, " (%.1f to %.1f %%): %s the bar of %.0f %%", 100 * i.low, 100 * i.high,
               f->bar == MET ? "above" : f->disproved ? "below" : "not proven above", 100 * in->bar);
}

static void judge_margin(const route_input *in, finding *f)
{
    if (!cloud_allowed(in) || in->cloud.n == 0)
        return;
    f->compared = true;
    stat_pairs p = { in->paired_w, in->paired_t, in->paired_l };
    uint64_t n = p.w + p.t + p.l;
    f->margin = FAILED;
    if (n == 0 || !(in->margin > 0 && in->margin < 1)) {
        buf_printf(&f->words, "; no case was answered by both sides");
        return;
    }
    bool whole = f->complete && n >= in->local.n_cases;
    double alpha = alpha_of(in), sure = 1 - alpha;
    stat_verdict v = in->clustered ? STAT_OPEN : stat_decide_pairs(p, in->margin, alpha, 1);
    double lower = whole ? stat_tango_lower(p, sure) : stat_eprocess_lower(p, sure);
    if (whole ? lower > -in->margin : v == STAT_PROMOTED)
        f->margin = MET;
    else if (whole ? stat_tango(p, 1 - 2 * alpha).high < -in->margin : v == STAT_REJECTED)
        f->disproved = true;
    buf_printf(&f->words, "; against %s on %llu cases: only local right %u, only cloud right %u, so at most %.1f "
               "points worse, %s the margin of %.0f", in->cloud.provider, (unsigned long long)n, in->paired_w,
               in->paired_l, fmax(0, -100 * lower), f->margin == MET ? "within" : "not within", 100 * in->margin);
}

/* One limit: value and limit, NAN where not known or not set. */
static void judge_limit(finding *f, double value, double limit, const char *over, const char *missing)
{
    if (isnan(limit))
        return;
    if (isnan(value)) {
        f->limits = FAILED;
        buf_str(&f->words, missing);
    } else if (!(value <= limit)) {
        f->limits = FAILED;
        f->disproved = true;
        buf_printf(&f->words, over, value, limit);
    }
}

static void judge_limits(const route_input *in, finding *f)
{
    const route_side *l = &in->local;
    f->limits = MET;
    judge_limit(f, l->latency_p95_ms, in->limit_latency_p95_ms,
                "; 95 %% of its answers take up to %.0f ms, the limit is %.0f ms",
                l->elsewhere ? "; its speed was measured on another machine only, and there is a limit"
                             : "; its speed is not known, and there is a limit");
    judge_limit(f, l->cost_usd, in->limit_cost_usd, "; an answer costs $%.5f, the limit is $%.5f",
                "; its cost is not known, and there is a limit");
    judge_limit(f, l->n ? 100.0 * l->n_malformed / l->n : NAN, 100 * in->limit_malformed,
                "; %.1f %% of its answers are malformed, the limit is %.1f %%", "");
    double gib = 1.0 / (1 << 30);
    judge_limit(f, l->peak_bytes * gib, in->memory_limit_bytes ? (double)in->memory_limit_bytes * gib : NAN,
                "; it took %.2f GiB, and %.2f GiB may be used", "; its memory was not measured");
}

/* By what was measured, whatever its live answers say. */
static bool measured_well(const finding *f)
{
    bool judged = f->bar == MET || f->margin == MET;
    return judged && f->bar != FAILED && f->margin != FAILED && f->limits == MET;
}

static bool proven(const finding *f)
{
    return measured_well(f) && !f->doubted && !f->disproved;
}

/* Shadows compare with a cloud: where none is allowed, they say nothing. */
static void judge_drift(const route_input *in, finding *f)
{
    const drift_state *d = &in->drift;
    if (d->phase == DRIFT_HEALTHY || !cloud_allowed(in))
        return;
    f->doubted = d->phase == DRIFT_SUSPECT;
    f->disproved = f->disproved || d->phase == DRIFT_BACK;
    buf_printf(&f->words, "; the drift detector alarmed after %u compared live answers (R %.0f, level %.0f)",
               d->alarm_n, d->alarm_value, d->rules.level);
    if (f->doubted)
        buf_printf(&f->words, ", and %u since then do not settle it", d->n);
    else
        buf_str(&f->words, ", and those after it showed that this machine has become worse");
}

static void judge_local(const route_input *in, finding *f)
{
    const route_side *l = &in->local;
    f->usable = l->present && l->place == PRIVACY_LOCAL;
    f->measured = f->usable && l->n > 0;
    f->complete = f->measured && l->n_cases > 0 && l->n >= l->n_cases;
    if (!f->usable) {
        buf_str(&f->words, "no local model was measured: `hearth measure ");
        buf_printf(&f->words, "%s --on local:MODEL`", in->task);
        return;
    }
    if (!f->measured) {
        buf_printf(&f->words, l->n_stale ? "what was measured with %s does not count any more" : "%s is not measured",
                   l->provider);
        if (l->stale[0])
            buf_printf(&f->words, ": %s", l->stale);
        return;
    }
    buf_printf(&f->words, "%u of %u right", l->n_pass, l->n);
    judge_bar(in, f);
    judge_margin(in, f);
    judge_limits(in, f);
    judge_drift(in, f);
    if (!f->complete)
        buf_printf(&f->words, "; %s%u of %u cases are answered%s", proven(f) ? "" : "only ", l->n, l->n_cases,
                   proven(f) ? ", enough to decide it however often one looks" : "");
    if (f->bar == UNKNOWN && !f->compared)
        buf_str(&f->words, ", but the task sets no bar and no cloud answered it to compare with");
}

/* ---- the other side ---- */

static bool cloud_affordable(const route_input *in)
{
    return isnan(in->limit_cost_usd) || isnan(in->cloud.cost_usd) || in->cloud.cost_usd <= in->limit_cost_usd;
}

static void why_no_cloud(const route_input *in, buf *words)
{
    privacy_class c = class_of(in);
    if (!in->class_known || (unsigned)in->privacy > PRIVACY_SECRET)
        buf_str(words, "; its class is not known, so it counts as private and stays on this machine");
    else if (c >= PRIVACY_PRIVATE)
        buf_printf(words, "; it is %s, so no other machine may see it", privacy_class_name(c));
    else if (!in->cloud.present)
        buf_str(words, "; no cloud is configured");
    else if (!cloud_allowed(in))
        buf_printf(words, "; it is %s, and %s %s", privacy_class_name(c), in->cloud.provider,
                   privacy_allows(c, in->cloud.place) ? "takes public requests only"
                   : in->cloud.place == PRIVACY_REMOTE ? "is remote" : "is on-premises");
    else
        buf_printf(words, "; %s costs $%.5f an answer, the limit is $%.5f", in->cloud.provider, in->cloud.cost_usd,
                   in->limit_cost_usd);
}

static void take_side(route_decision *out, const route_side *side)
{
    memcpy(out->provider, side->provider, sizeof out->provider);
    memcpy(out->evidence, side->evidence, sizeof out->evidence);
    memcpy(out->run, side->run, sizeof out->run);
    out->place = side->place;
}

static route_state state_without_local(const route_input *in, const finding *f, route_choice choice)
{
    if (choice == ROUTE_CLOUD && (f->disproved || in->previous == ROUTE_STATE_CLOUD))
        return ROUTE_STATE_CLOUD;
    return f->measured ? ROUTE_CANDIDATE : ROUTE_UNPROVEN;
}

static void choose_local(const route_input *in, route_state state, route_decision *out)
{
    out->choice = ROUTE_LOCAL;
    out->state = state;
    take_side(out, &in->local);
}

static void choose_cloud(const route_input *in, finding *f, route_decision *out)
{
    out->choice = ROUTE_CLOUD;
    out->state = state_without_local(in, f, ROUTE_CLOUD);
    take_side(out, &in->cloud);
    buf_printf(&f->words, "; %s (%s) may take it", in->cloud.provider, privacy_place_name(in->cloud.place));
    if (in->cloud.n > 0)
        buf_printf(&f->words, ", %u of %u right there", in->cloud.n_pass, in->cloud.n);
}

static void choose_nobody(const route_input *in, finding *f, route_decision *out)
{
    out->choice = ROUTE_REFUSE;
    out->state = state_without_local(in, f, ROUTE_REFUSE);
    out->place = PRIVACY_LOCAL;
    memcpy(out->evidence, in->local.evidence, sizeof out->evidence);
    memcpy(out->run, in->local.run, sizeof out->run);
}

static bool was_local(const route_input *in)
{
    return in->previous == ROUTE_STATE_LOCAL || in->previous == ROUTE_SUSPECT;
}

/* Only the bar is missing, and the task says that its answers are wanted all the same. */
static bool may_flag(const route_input *in, const finding *f)
{
    return in->flag_below_bar && f->measured && f->bar == FAILED && f->limits == MET;
}

/* What the policy fixes. False: evidence decides. */
static bool choose_pinned(const route_input *in, finding *f, route_decision *out)
{
    bool local = in->rules.pin == PIN_LOCAL, met = proven(f);
    if (in->rules.pin == PIN_NONE || (met && local))
        return false;
    if (in->rules.pin == PIN_CLOUD && !cloud_allowed(in)) {
        buf_printf(&f->words, "; policy %lld pins it to the cloud, where no provider may have it: the pin is ignored",
                   (long long)in->rules.number);
        return false;
    }
    buf_printf(&f->words, "; policy %lld %s", (long long)in->rules.number,
               local ? "keeps it on this machine" : in->rules.pin == PIN_CLOUD ? "pins it to the cloud" : "refuses it");
    if (in->rules.pin == PIN_CLOUD)
        choose_cloud(in, f, out);
    else if (local && f->usable && (class_of(in) < PRIVACY_PRIVATE || may_flag(in, f)))
        choose_local(in, was_local(in) ? ROUTE_SUSPECT : state_without_local(in, f, ROUTE_REFUSE), out);
    else
        choose_nobody(in, f, out);
    if (local && out->choice == ROUTE_REFUSE)
        buf_str(&f->words, f->usable ? ", but its bar is not met" : ", where no model can answer it");
    return true;
}

static void choose(const route_input *in, finding *f, route_decision *out)
{
    bool met = proven(f);
    out->proposed = met && in->rules.propose && !was_local(in) && in->rules.pin != PIN_LOCAL;
    if (choose_pinned(in, f, out)) {
        out->proposed = false;
    } else if (met && !out->proposed) {
        choose_local(in, ROUTE_STATE_LOCAL, out);
        if (!f->compared)
            buf_str(&f->words, in->cloud.present ? "; no allowed cloud was measured, so the bar alone decides"
                                                 : "; no cloud is configured, so the bar alone decides");
    } else if (f->usable && (was_local(in) || (f->doubted && measured_well(f))) && !f->disproved) {
        choose_local(in, ROUTE_SUSPECT, out);
        buf_str(&f->words, "; in doubt it stays local as before: measure it again");
    } else {
        if (out->proposed)
            buf_printf(&f->words, "; it is proposed for this machine: `hearth reassess %s --apply` applies it",
                       in->task);
        if (cloud_allowed(in) && cloud_affordable(in)) {
            choose_cloud(in, f, out);
        } else if (!out->proposed && may_flag(in, f)) {
            choose_local(in, ROUTE_CANDIDATE, out);
            buf_str(&f->words, "; nobody else may answer it, and the task takes such answers, flagged");
        } else {
            choose_nobody(in, f, out);
            why_no_cloud(in, &f->words);
        }
    }
}

void route_decide(const route_input *in, route_decision *out)
{
    finding f = { .words = BUF_INIT(4096) };
    memset(out, 0, sizeof *out);
    judge_local(in, &f);
    choose(in, &f, out);
    const cascade_plain plain = { f.usable, f.complete, proven(&f), f.compared, f.margin == MET, cloud_allowed(in),
                                  in->rules.pin != PIN_NONE, in->rules.propose && !was_local(in) };
    route_decide_cascade(in, &plain, out, &f.words);
    out->complete = f.complete;
    out->met_bar = f.bar == MET;
    out->met_margin = f.margin != FAILED;
    out->met_limits = f.limits == MET;
    out->below_bar = out->choice == ROUTE_LOCAL && f.bar == FAILED;
    if (out->below_bar)
        snprintf(out->below, sizeof out->below, "%u of %u right, lower bound %.1f %%, bar %.0f %%", in->local.n_pass,
                 in->local.n, 100 * in->local.lower, 100 * in->bar);
    out->policy = in->rules.number;
    const char *words = buf_text(&f.words);
    if (f.words.failed || !words[0]) /* the reason is never empty, also without memory */
        words = out->choice == ROUTE_LOCAL ? "its evidence meets the task's requirements"
                                           : "its evidence does not meet the task's requirements";
    size_t n = utf8_complete(words, strnlen(words, sizeof out->reason - 1));
    memcpy(out->reason, words, n);
    buf_clear(&f.words);
}
