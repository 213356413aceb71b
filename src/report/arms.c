/* arms.c: every model that was tried on a task, by the answers that count today. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/report_int.h"

static status read_arm(report_work *w, struct arm_work *a, const ledger_source *src, error *err)
{
    size_t n = w->t->n_cases;
    a->keys = mem_array(n + 1, sizeof *a->keys);
    if (!a->keys)
        return report_no_memory(err);
    status s = task_keys_by_case(w->t, src->provider, &a->by_task, err);
    for (size_t i = 0; !s && i < n; i++)
        a->keys[i] = (tally_key){ a->by_task[i].c->id, a->by_task[i].prompt, a->by_task[i].grader };
    if (!s)
        s = ledger_find_answers(w->l, w->t->id, src->evidence_id, &a->rows, err);
    if (!s)
        s = tally_make(w->l, &a->rows, a->keys, n, (uint32_t)w->t->sampling.repeats, &a->tally, err);
    return s;
}

/* ---- quality ---- */

static status set_rates(report_arm *o, const struct arm_work *a, error *err)
{
    const tally *t = &a->tally;
    task_mean m;
    status s = task_mean_score(a->by_task, t->score, t->n_keys, &m, err);
    if (s)
        return s;
    o->n = t->n;
    o->n_pass = t->n_pass;
    o->n_wrong = t->n_wrong;
    o->n_malformed = t->n_malformed;
    o->rate = o->rate_low = o->rate_high = o->score = o->score_low = o->score_high = o->malformed_share = NAN;
    if (t->n) {
        stat_interval i = stat_clopper_pearson(t->n_pass, t->n, 0.95);
        o->rate = (double)t->n_pass / t->n;
        o->rate_low = i.low;
        o->rate_high = i.high;
        o->malformed_share = (double)t->n_malformed / t->n;
        o->score = m.mean;
        o->score_low = m.low;
        o->score_high = m.high;
    }
    return OK;
}

/* ---- speed, memory, cost ---- */

static status set_speed(report_work *w, report_arm *o, const tally *t, const ledger_source *src, error *err)
{
    tally_speed v = { 0 };
    uint32_t n_failed = 0;
    error none;
    status s = tally_measure_speed(t, NULL, &v, err);
    if (s)
        return s;
    o->n_timed = v.n;
    o->concurrency = v.n ? v.concurrency > 1 ? v.concurrency : 1 : 0;
    o->prefill_per_s = v.prefill_per_s;
    o->decode_per_s = v.decode_per_s;
    o->ttft_p50_ms = v.ttft_p50_ms;
    o->ttft_p95_ms = v.ttft_p95_ms;
    o->answer_p50_ms = v.answer_p50_ms;
    o->answer_p95_ms = v.answer_p95_ms;
    o->peak_bytes = NAN;
    s = ledger_find_fact(w->l, w->t->id, src->evidence_id, NULL, "peak_bytes", &o->peak_bytes, NULL, &none);
    if (s && s != E_NOTFOUND)
        return fail(err, s, "%s", none.text);
    tally_mean_tokens(t, &o->tokens_in, &o->tokens_out);
    s = ledger_count_failures(w->l, w->t->id, src->evidence_id, &n_failed, err);
    o->n_failed = n_failed;
    return s;
}

/* ---- confidence ---- */

static status set_confidence(report_arm *o, const tally *t, error *err)
{
    size_t slots = t->n_keys * t->repeats, n = 0;
    report_sure *x = mem_array(slots + 1, sizeof *x);
    if (!x)
        return report_no_memory(err);
    for (size_t i = 0; i < slots; i++) {
        const tally_slot *slot = &t->slots[i];
        if (slot->graded && isfinite(slot->row->mean_logprob) && slot->row->mean_logprob <= 0)
            x[n++] = (report_sure){ exp(slot->row->mean_logprob), slot->grade.outcome == LEDGER_PASS };
    }
    status s = report_reliability(x, n, o, err);
    mem_free(x);
    return s;
}

/* ---- one arm, all arms ---- */

/* The newest answer of those of the least concurrency: its setting is what the times are of (tally.h). */
static const ledger_row *find_setting(const tally *t)
{
    const ledger_row *found = NULL;
    for (size_t i = 0; i < t->n_keys * t->repeats; i++) {
        const ledger_row *r = t->slots[i].row;
        if (!r)
            continue;
        uint32_t now = r->concurrency > 1 ? r->concurrency : 1;
        uint32_t least = !found || found->concurrency <= 1 ? 1 : found->concurrency;
        if (!found || now < least || (now == least && r->at_us > found->at_us))
            found = r;
    }
    return found;
}

static status set_setting(report_work *w, report_arm *o, const ledger_runs *runs, const ledger_row *setting,
                          error *err)
{
    for (size_t i = runs->n; i-- > 0;) {
        const ledger_run_row *r = &runs->rows[i];
        if (setting ? strcmp(r->id, setting->run) != 0 : strcmp(r->evidence_id, o->evidence) != 0)
            continue;
        o->cpu = report_keep(w, r->cpu);
        o->isa = report_keep(w, r->isa);
        o->power = report_keep(w, r->power);
        o->governor = report_keep(w, r->governor);
        o->threads = r->threads > 0 ? (uint64_t)r->threads : 0;
        break;
    }
    return o->cpu && o->isa && o->power && o->governor ? OK : report_no_memory(err);
}

static status set_names(report_work *w, report_arm *o, const ledger_source *src, error *err)
{
    o->role = str_starts(src->evidence.source, "replay:") ? "recording" : "other";
    o->provider = report_keep(w, src->provider);
    o->model = report_keep(w, src->model_name);
    o->place = report_keep(w, src->place);
    o->evidence = report_keep(w, src->evidence_id);
    o->run = report_keep(w, src->run);
    o->cpu = o->isa = o->power = o->governor = o->stale = "";
    o->measured_us = src->last_us;
    o->n_cases = task_measured(w->t);
    return o->provider && o->model && o->place && o->evidence && o->run ? OK : report_no_memory(err);
}

static status add_arm(report_work *w, const ledger_source *src, const ledger_runs *runs, error *err)
{
    struct arm_work *a = &w->arms[w->out->n_arms];
    report_arm *o = &w->out->arms[w->out->n_arms];
    char stale[256];
    const ledger_row *setting = NULL;
    status s = set_names(w, o, src, err);
    if (!s)
        s = read_arm(w, a, src, err);
    if (!s) {
        setting = find_setting(&a->tally);
        s = set_setting(w, o, runs, setting, err);
    }
    if (!s)
        s = set_rates(o, a, err);
    if (!s)
        s = set_speed(w, o, &a->tally, src, err);
    if (!s)
        s = set_confidence(o, &a->tally, err);
    if (!s)
        s = report_gather_cost(w, w->out->n_arms, setting, err);
    if (!s)
        s = report_gather_figures(w, w->out->n_arms, err);
    if (s)
        return s;
    o->n_stale = (uint64_t)a->tally.stale_prompt + a->tally.stale_case + a->tally.ungraded;
    o->stale = report_keep(w, tally_stale_text(&a->tally, stale, sizeof stale));
    w->out->n_arms++;
    return o->stale ? OK : report_no_memory(err);
}

status report_gather_arms(report_work *w, error *err)
{
    ledger_runs runs = { 0 };
    w->out->arms = report_rows(w, REPORT_ARMS_MAX, sizeof *w->out->arms);
    status s = w->out->arms ? OK : report_no_memory(err);
    if (!s && w->l)
        s = ledger_find_runs(w->l, w->t->id, &runs, err);
    for (size_t i = 0; !s && i < w->sources.n && w->out->n_arms < REPORT_ARMS_MAX; i++)
        if (report_source_counts(w, i))
            s = add_arm(w, &w->sources.rows[i], &runs, err);
    ledger_runs_close(&runs);
    return s;
}
