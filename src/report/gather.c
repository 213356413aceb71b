/* gather.c: one task's facts, drawn together: what was concluded and since when, the two sides, what the suite can
 * show. The conclusion itself is route's; the arms are arms.c's, history history.c's, cases cases.c's. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "hearth.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "report/report_int.h"
#include "stat/decide.h"

const char *report_keep(report_work *w, const char *text)
{
    return text && *text ? arena_strndup(w->texts, text, strlen(text)) : "";
}

void *report_rows(report_work *w, size_t n, size_t size)
{
    n = n ? n : 1;
    return n <= SIZE_MAX / size ? arena_alloc(w->texts, n * size) : NULL;
}

status report_no_memory(error *err)
{
    return fail(err, E_NOMEM, "no memory for the report");
}

bool report_source_counts(const report_work *w, size_t source)
{
    const ledger_source *src = &w->sources.rows[source];
    for (size_t k = 0; k < source; k++) /* newest first */
        if (strcmp(w->sources.rows[k].provider, src->provider) == 0)
            return false;
    return strcmp(src->evidence.sampling, w->sampling) == 0;
}

const char *report_what_differs(const ledger_evidence *old, const ledger_evidence *new)
{
    static const struct {
        evidence_field field;
        const char *says;
    } words[] = { /* of several that differ the first says most */
        { EVIDENCE_SOURCE, "address" }, { EVIDENCE_MODEL, "model" }, { EVIDENCE_NUMERICS, "arithmetic" },
        { EVIDENCE_KV_TYPE, "KV type" }, { EVIDENCE_CONTEXT_RULE, "context limit" }, { EVIDENCE_SAMPLING, "sampling" },
        { EVIDENCE_CONSTRAINED, "output constraint" },
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (ledger_field_differs(old, new, words[i].field))
            return words[i].says;
    return "";
}

/* ---- the task itself ---- */

static double or_nan(double v)
{
    return v >= 0 ? v : NAN;
}

static status set_task(report_work *w, error *err)
{
    const task *t = w->t;
    report_task *o = w->out;
    char suite[DIGEST_HEX];
    status s = task_suite_digest(t, suite, err);
    if (s)
        return s;
    o->id = report_keep(w, t->id);
    o->description = report_keep(w, t->description);
    o->privacy = privacy_class_name(t->privacy);
    o->output = task_output_name(t->output);
    bool open = privacy_class_may_leave(t->privacy) || w->o->with_text;
    o->text_policy = !privacy_keeps_text(t->privacy) ? "secret" : open ? "shown" : "withheld";
    o->synthetic = t->synthetic;
    o->suite = report_keep(w, suite);
    o->n_cases = task_measured(t);
    o->bar = or_nan(t->bar);
    o->margin = task_margin(t);
    o->limit_latency_p95_ms = or_nan(t->limits.latency_p95_ms);
    o->limit_cost_usd = or_nan(t->limits.cost_usd);
    o->limit_malformed = or_nan(t->limits.malformed);
    o->local = o->cloud = -1;
    o->verdict = o->choice = o->state = o->provider = o->reason = o->since_of = o->local_name = o->cloud_name = "";
    return o->id && o->description && o->suite ? OK : report_no_memory(err);
}

/* ---- what follows ---- */

static int64_t find_arm(const report_task *o, const route_side *side)
{
    for (size_t i = 0; side->evidence[0] && i < o->n_arms; i++)
        if (strcmp(o->arms[i].evidence, side->evidence) == 0 && strcmp(o->arms[i].provider, side->provider) == 0)
            return (int64_t)i;
    return -1;
}

static void swap_arms(report_work *w, size_t a, size_t b)
{
    report_arm arm = w->out->arms[a];
    struct arm_work work = w->arms[a];
    w->out->arms[a] = w->out->arms[b];
    w->out->arms[b] = arm;
    w->arms[a] = w->arms[b];
    w->arms[b] = work;
}

/* The sides of the decision come first: local, then cloud. */
static void set_sides(report_work *w, const route_input *in)
{
    report_task *o = w->out;
    size_t at = 0;
    o->local = find_arm(o, &in->local);
    if (o->local >= 0) {
        swap_arms(w, at, (size_t)o->local);
        o->arms[at].role = "local";
        o->local = (int64_t)at++;
    }
    o->cloud = find_arm(o, &in->cloud);
    if (o->cloud >= 0) {
        swap_arms(w, at, (size_t)o->cloud);
        o->arms[at].role = "cloud";
        o->cloud = (int64_t)at;
    }
}

/* What the pairs prove however often one looks: as route's rule has it for a suite that is not run to its end. */
static void set_watched(report_task *o, stat_pairs p, bool clustered)
{
    static const char *const words[STAT_VERDICTS] = { "open", "within", "worse", "open" };
    o->e_value = o->sequence_low = o->sequence_high = NAN;
    o->e_verdict = o->n_pairs && clustered ? "clustered" : "";
    if (o->n_pairs == 0 || clustered || !(o->margin > 0 && o->margin < 1))
        return;
    stat_interval i = stat_eprocess_interval(p, 0.95);
    o->e_value = exp(fmin(stat_eprocess(p, o->margin), 700)); /* e^709 is the largest double */
    o->e_verdict = words[stat_decide_pairs(p, o->margin, 0.05, 1)];
    o->sequence_low = i.low;
    o->sequence_high = i.high;
}

static void set_pairs(report_task *o, const route_input *in)
{
    stat_pairs p = { in->paired_w, in->paired_t, in->paired_l };
    uint64_t n = p.w + p.t + p.l;
    o->n_pairs = n;
    o->only_local = p.w;
    o->same = p.t;
    o->only_cloud = p.l;
    o->difference = o->difference_low = o->difference_high = o->difference_bound = o->discordance = NAN;
    if (n) {
        stat_interval i = stat_tango(p, 0.95);
        o->difference = ((double)p.w - (double)p.l) / (double)n;
        o->difference_low = i.low;
        o->difference_high = i.high;
        o->difference_bound = stat_tango_lower(p, 0.95);
        o->discordance = stat_discordance(p);
    }
    set_watched(o, p, in->clustered);
    /* The discordance that pairs of models show is .19 in the median (reference data of 57 tasks); .2 stands for it. */
    double psi = n ? fmax(o->discordance, 0.05) : 0.2;
    o->resolution_margin = stat_resolution(n ? n : o->n_cases, psi, 0.05, 0.8);
    stat_interval worst = stat_clopper_pearson(o->n_cases / 2, o->n_cases, 0.95);
    o->resolution_rate = (worst.high - worst.low) / 2;
}

static void set_cascade(report_work *w, const route_calibration *c, const route_cascade *d)
{
    report_task *o = w->out;
    o->cascade = !c->asked ? "" : d->on ? "on" : "off";
    o->cascade_because = report_keep(w, d->why);
    o->cascade_tau = o->cascade_risk = NAN;
    o->cascade_coverage = o->cascade_coverage_low = o->cascade_coverage_high = NAN;
    if (!c->found)
        return;
    o->cascade_cases = c->n;
    o->cascade_accepted = c->n_accepted;
    o->cascade_wrong = c->n_wrong;
    o->cascade_tau = c->tau;
    o->cascade_coverage = c->coverage;
    o->cascade_coverage_low = c->coverage_lower;
    o->cascade_coverage_high = c->coverage_upper;
    o->cascade_risk = c->risk_upper;
}

static status set_decision(report_work *w, error *err)
{
    report_task *o = w->out;
    route_input in = { 0 };
    route_decision d = { 0 };
    status s = route_gather(w->l, w->t, w->s, &in, err);
    if (s)
        return s;
    route_decide(&in, &d);
    o->verdict = d.choice == ROUTE_LOCAL ? "local" : d.choice == ROUTE_CLOUD ? "cloud" : "not proven";
    o->choice = route_choice_name(d.choice);
    o->state = route_state_name(d.state);
    o->provider = report_keep(w, d.provider);
    o->reason = report_keep(w, d.reason);
    o->complete = d.complete;
    o->met_bar = d.met_bar;
    o->met_margin = d.met_margin;
    o->met_limits = d.met_limits;
    set_sides(w, &in);
    o->local_name = in.local.present ? report_keep(w, in.local.provider) : "";
    o->cloud_name = in.cloud.present ? report_keep(w, in.cloud.provider) : "";
    o->baseline_majority = in.majority;
    o->baseline_rules = in.regex;
    set_pairs(o, &in);
    set_cascade(w, &in.cascade, &d.cascade);
    bool kept = o->provider && o->reason && o->local_name && o->cloud_name && o->cascade_because;
    return kept ? OK : report_no_memory(err);
}

/* A written-down conclusion that says what is said today: route's word for it, whichever of the two it is. */
static bool same_verdict(const report_task *o, const char *word)
{
    return strcmp(word, o->choice) == 0 || strcmp(word, o->state) == 0 || strcmp(word, o->verdict) == 0;
}

static status set_since(report_work *w, error *err)
{
    report_task *o = w->out;
    ledger_decisions d = { 0 };
    status s = w->l ? ledger_find_decisions(w->l, w->t->id, &d, err) : OK;
    if (s)
        return s;
    o->changes = report_rows(w, d.n, sizeof *o->changes);
    bool ok = o->changes != NULL;
    for (size_t i = 0; ok && i < d.n; i++) {
        const ledger_decision *r = &d.rows[i];
        report_change *c = &o->changes[o->n_changes++];
        *c = (report_change){ .at_us = r->at_us, .verdict = report_keep(w, r->verdict),
                              .local_evidence = report_keep(w, r->local_evidence),
                              .cloud_evidence = report_keep(w, r->cloud_evidence), .win = r->win, .tie = r->tie,
                              .loss = r->loss, .n = r->n, .n_pass = r->n_pass };
        ok = c->verdict && c->local_evidence && c->cloud_evidence;
    }
    ledger_decisions_close(&d);
    if (!ok)
        return report_no_memory(err);
    for (size_t i = o->n_changes; i > 0 && same_verdict(o, o->changes[i - 1].verdict); i--) {
        o->since_us = o->changes[i - 1].at_us;
        o->since_of = "decision";
    }
    for (size_t i = 0; !o->since_of[0] && i < 2; i++) {
        int64_t arm = i == 0 ? o->local : o->cloud;
        if (arm >= 0 && o->arms[arm].measured_us > o->since_us)
            o->since_us = o->arms[arm].measured_us;
    }
    if (!o->since_of[0] && o->since_us)
        o->since_of = "measurement";
    return OK;
}

/* ---- all of it ---- */

static void work_clear(report_work *w)
{
    for (size_t i = 0; i < REPORT_ARMS_MAX; i++) {
        tally_clear(&w->arms[i].tally);
        ledger_rows_close(&w->arms[i].rows);
        mem_free(w->arms[i].by_task);
        mem_free(w->arms[i].keys);
        mem_free(w->arms[i].usd);
    }
    ledger_sources_close(&w->sources);
    mem_free(w->sampling);
    mem_free(w->order);
    mem_free(w->unit);
    mem_free(w);
}

static status gather_task(report_work *w, error *err)
{
    status s = set_task(w, err);
    if (!s)
        s = task_sampling_key(w->t, &w->sampling, err);
    if (!s && w->l)
        s = ledger_find_sources(w->l, w->t->id, &w->sources, err);
    if (!s)
        s = report_order_cases(w, err);
    if (!s)
        s = report_gather_arms(w, err);
    if (!s)
        s = set_decision(w, err);
    if (!s)
        s = report_gather_saving(w, err);
    if (!s)
        s = report_gather_labels(w, err);
    if (!s)
        s = set_since(w, err);
    if (!s)
        s = report_gather_cases(w, err);
    if (!s)
        s = report_gather_history(w, err);
    return s;
}

static status set_head(report_data *r, ledger *l, const report_options *o, error *err)
{
    char system[128];
    const char *path = l ? ledger_path(l) : "", *slash = strrchr(path, '/');
    path = slash ? slash + 1 : path; /* the folder may name a person */
    machine_system(system, sizeof system);
    const char *cpu = ledger_this_machine()->cpu;
    r->at_us = o->at_us ? o->at_us : clock_utc_us();
    r->format = REPORT_FORMAT;
    r->version = HEARTH_VERSION;
    r->with_text = o->with_text;
    r->usd_per_month = o->usd_per_month;
    r->usd_per_kwh = o->usd_per_kwh;
    r->watts_busy = o->watts_busy;
    r->cpu = arena_strndup(&r->texts, cpu, strlen(cpu));
    r->system = arena_strndup(&r->texts, system, strlen(system));
    r->ledger = arena_strndup(&r->texts, path, strlen(path));
    return r->cpu && r->system && r->ledger ? OK : report_no_memory(err);
}

status report_gather(ledger *l, task *const *tasks, size_t n, const route_settings *settings, const report_options *o,
                     report_data **out, error *err)
{
    size_t text_bytes = 0;
    report_data *r = mem_zero(sizeof *r);
    if (!r)
        return report_no_memory(err);
    r->texts = (arena)ARENA_INIT(REPORT_BYTES_MAX);
    status s = set_head(r, l, o, err);
    r->tasks = s ? NULL : arena_alloc(&r->texts, (n ? n : 1) * sizeof *r->tasks);
    if (!s && !r->tasks)
        s = report_no_memory(err);
    for (size_t i = 0; !s && i < n; i++) {
        report_work *w = mem_zero(sizeof *w);
        if (!w) {
            s = report_no_memory(err);
            break;
        }
        *w = (report_work){ .l = l, .t = tasks[i], .s = settings, .o = o, .texts = &r->texts,
                            .text_bytes = &text_bytes, .out = &r->tasks[i] };
        s = gather_task(w, err);
        work_clear(w);
        if (s)
            break;
        r->n_tasks++;
        r->n_local += r->tasks[i].verdict[0] == 'l';
        r->n_cloud += r->tasks[i].verdict[0] == 'c';
        r->n_unproven += r->tasks[i].verdict[0] == 'n';
    }
    if (s)
        report_close(&r);
    else
        *out = r;
    return s;
}

void report_close(report_data **r)
{
    if (!*r)
        return;
    arena_clear(&(*r)->texts);
    mem_free(*r);
    *r = NULL;
}
