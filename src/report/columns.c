/* columns.c: every figure of a report, by name. JSON, CSV, page and terminal are made from these tables. */
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "report/report_int.h"

#define TEXT(type, field) { #field, COLUMN_TEXT, offsetof(type, field) }
#define COUNT(type, field) { #field, COLUMN_COUNT, offsetof(type, field) }
#define WHOLE(type, field) { #field, COLUMN_WHOLE, offsetof(type, field) }
#define REAL(type, field) { #field, COLUMN_REAL, offsetof(type, field) }
#define TIME(name, type, field) { name, COLUMN_TIME, offsetof(type, field) }
#define FLAG(type, field) { #field, COLUMN_FLAG, offsetof(type, field) }
#define NAMED(name, kind, type, field) { name, kind, offsetof(type, field) }
#define TABLE(variable, title, rows) const report_columns variable = { title, ARRAY_LEN(rows), rows }

static const report_column doc[] = {
    COUNT(report_data, format), TIME("made", report_data, at_us), TEXT(report_data, version), TEXT(report_data, cpu),
    TEXT(report_data, system),
    TEXT(report_data, ledger), FLAG(report_data, with_text), COUNT(report_data, n_local), COUNT(report_data, n_cloud),
    COUNT(report_data, n_unproven), REAL(report_data, usd_per_month), REAL(report_data, usd_per_kwh),
    REAL(report_data, watts_busy),
};
TABLE(report_columns_doc, "report", doc);

static const report_column tasks[] = {
    NAMED("task", COLUMN_TEXT, report_task, id), TEXT(report_task, description), TEXT(report_task, privacy),
    TEXT(report_task, output), TEXT(report_task, text_policy), FLAG(report_task, synthetic), TEXT(report_task, suite),
    COUNT(report_task, n_cases), REAL(report_task, bar), REAL(report_task, margin),
    REAL(report_task, limit_latency_p95_ms), REAL(report_task, limit_cost_usd), REAL(report_task, limit_malformed),
    TEXT(report_task, verdict), TEXT(report_task, choice), TEXT(report_task, state), TEXT(report_task, provider),
    TEXT(report_task, reason), FLAG(report_task, complete), FLAG(report_task, met_bar), FLAG(report_task, met_margin),
    FLAG(report_task, met_limits), TIME("since", report_task, since_us), TEXT(report_task, since_of),
    WHOLE(report_task, local), WHOLE(report_task, cloud), TEXT(report_task, local_name), TEXT(report_task, cloud_name),
    COUNT(report_task, n_pairs), COUNT(report_task, only_local), COUNT(report_task, same),
    COUNT(report_task, only_cloud), REAL(report_task, difference), REAL(report_task, difference_low),
    REAL(report_task, difference_high), REAL(report_task, difference_bound), REAL(report_task, discordance),
    REAL(report_task, e_value), TEXT(report_task, e_verdict), REAL(report_task, sequence_low),
    REAL(report_task, sequence_high), TEXT(report_task, cascade), TEXT(report_task, cascade_because),
    COUNT(report_task, cascade_cases), COUNT(report_task, cascade_accepted), COUNT(report_task, cascade_wrong),
    REAL(report_task, cascade_tau), REAL(report_task, cascade_coverage), REAL(report_task, cascade_coverage_low),
    REAL(report_task, cascade_coverage_high), REAL(report_task, cascade_risk),
    FLAG(report_task, judged), COUNT(report_task, n_labels),
    COUNT(report_task, n_people), COUNT(report_task, n_labels_stale), REAL(report_task, saving_usd),
    REAL(report_task, saving_low), REAL(report_task, saving_high), TEXT(report_task, break_even),
    REAL(report_task, break_even_answers), REAL(report_task, break_even_low), REAL(report_task, break_even_high),
    REAL(report_task, resolution_margin), REAL(report_task, resolution_rate), REAL(report_task, baseline_majority),
    REAL(report_task, baseline_rules), COUNT(report_task, n_differ), COUNT(report_task, n_not_pass),
};
TABLE(report_columns_task, "tasks", tasks);

static const report_column arms[] = {
    TEXT(report_arm, role), TEXT(report_arm, provider), TEXT(report_arm, model), TEXT(report_arm, place),
    TEXT(report_arm, evidence), TEXT(report_arm, run), TEXT(report_arm, cpu), TEXT(report_arm, isa),
    TEXT(report_arm, power), TEXT(report_arm, governor), COUNT(report_arm, threads),
    TIME("measured", report_arm, measured_us), COUNT(report_arm, n_cases), COUNT(report_arm, n),
    COUNT(report_arm, n_pass), COUNT(report_arm, n_wrong), COUNT(report_arm, n_malformed), COUNT(report_arm, n_failed),
    COUNT(report_arm, n_stale), TEXT(report_arm, stale),
    REAL(report_arm, rate), REAL(report_arm, rate_low), REAL(report_arm, rate_high), REAL(report_arm, score),
    REAL(report_arm, score_low), REAL(report_arm, score_high), REAL(report_arm, malformed_share),
    REAL(report_arm, prefill_per_s), REAL(report_arm, decode_per_s), REAL(report_arm, ttft_p50_ms),
    REAL(report_arm, ttft_p95_ms), REAL(report_arm, answer_p50_ms), REAL(report_arm, answer_p95_ms),
    COUNT(report_arm, n_timed), COUNT(report_arm, concurrency), REAL(report_arm, peak_bytes),
    REAL(report_arm, cost_usd), REAL(report_arm, cost_low), REAL(report_arm, cost_high), TEXT(report_arm, cost_of),
    REAL(report_arm, price_input), REAL(report_arm, price_output), TEXT(report_arm, price_as_of),
    REAL(report_arm, energy_j), REAL(report_arm, energy_low), REAL(report_arm, energy_high),
    TEXT(report_arm, energy_of), COUNT(report_arm, n_figures), REAL(report_arm, macro_f1), REAL(report_arm, micro_f1),
    COUNT(report_arm, n_labelled), COUNT(report_arm, n_accepted), REAL(report_arm, accepted),
    REAL(report_arm, accepted_low), REAL(report_arm, accepted_high), COUNT(report_arm, n_agreement),
    COUNT(report_arm, n_agree), REAL(report_arm, agreement), REAL(report_arm, agreement_low),
    REAL(report_arm, agreement_high), REAL(report_arm, kappa), REAL(report_arm, kappa_low),
    REAL(report_arm, kappa_high), COUNT(report_arm, n_judged), COUNT(report_arm, n_judge_agree),
    REAL(report_arm, judge_agreement), REAL(report_arm, judge_agreement_low), REAL(report_arm, judge_agreement_high),
    REAL(report_arm, judge_kappa), REAL(report_arm, judge_kappa_low), REAL(report_arm, judge_kappa_high),
    REAL(report_arm, tokens_in),
    REAL(report_arm, tokens_out), COUNT(report_arm, n_confident), REAL(report_arm, ece), REAL(report_arm, auroc),
    REAL(report_arm, auroc_low), REAL(report_arm, auroc_high),
};
TABLE(report_columns_arm, "arms", arms);

static const report_column bins[] = {
    REAL(report_bin, low), REAL(report_bin, high), REAL(report_bin, confidence), COUNT(report_bin, n),
    COUNT(report_bin, n_pass), REAL(report_bin, rate), REAL(report_bin, rate_low), REAL(report_bin, rate_high),
};
TABLE(report_columns_bin, "reliability", bins);

static const report_column classes[] = {
    TEXT(report_class, grader), TEXT(report_class, kind), TEXT(report_class, name), COUNT(report_class, tp),
    COUNT(report_class, fp), COUNT(report_class, fn), REAL(report_class, precision), REAL(report_class, recall),
    REAL(report_class, f1),
};
TABLE(report_columns_class, "classes", classes);

static const report_column confusion[] = {
    TEXT(report_confusion, grader), NAMED("expected_label", COLUMN_TEXT, report_confusion, expected),
    NAMED("answered_label", COLUMN_TEXT, report_confusion, answered), COUNT(report_confusion, n),
};
TABLE(report_columns_confusion, "confusion", confusion);

static const report_column preferences[] = {
    COUNT(report_preference, a), COUNT(report_preference, b), COUNT(report_preference, win),
    COUNT(report_preference, tie), COUNT(report_preference, loss), COUNT(report_preference, n),
    REAL(report_preference, difference), NAMED("difference_low", COLUMN_REAL, report_preference, low),
    NAMED("difference_high", COLUMN_REAL, report_preference, high),
};
TABLE(report_columns_preference, "preferences", preferences);

static const report_column parts[] = {
    TEXT(report_part, grader), REAL(report_part, score), TEXT(report_part, outcome), TEXT(report_part, reason),
};
TABLE(report_columns_part, "graders", parts);

static const report_column points[] = {
    TIME("begun", report_point, at_us), TIME("last", report_point, last_us), TEXT(report_point, provider),
    TEXT(report_point, model), TEXT(report_point, place), TEXT(report_point, evidence), TEXT(report_point, run),
    TEXT(report_point, version), COUNT(report_point, n), COUNT(report_point, n_pass), COUNT(report_point, n_wrong),
    COUNT(report_point, n_malformed), COUNT(report_point, n_ungraded), REAL(report_point, rate),
    REAL(report_point, rate_low), REAL(report_point, rate_high), FLAG(report_point, counts),
    TEXT(report_point, changed), TEXT(report_point, marks),
};
TABLE(report_columns_point, "history", points);

static const report_column changes[] = {
    TIME("at", report_change, at_us), TEXT(report_change, verdict), TEXT(report_change, local_evidence),
    TEXT(report_change, cloud_evidence), COUNT(report_change, win), COUNT(report_change, tie),
    COUNT(report_change, loss), COUNT(report_change, n), COUNT(report_change, n_pass),
};
TABLE(report_columns_change, "decisions", changes);

static const report_column cases[] = {
    NAMED("case", COLUMN_TEXT, report_case, id), TEXT(report_case, tags), TEXT(report_case, cluster),
    NAMED("input", COLUMN_TEXT, report_case, input.text), NAMED("input_bytes", COLUMN_COUNT, report_case, input.bytes),
    NAMED("input_state", COLUMN_TEXT, report_case, input.state),
    NAMED("expected", COLUMN_TEXT, report_case, expected.text),
    NAMED("expected_bytes", COLUMN_COUNT, report_case, expected.bytes),
    NAMED("expected_state", COLUMN_TEXT, report_case, expected.state), FLAG(report_case, differs),
    FLAG(report_case, wrong), FLAG(report_case, malformed), FLAG(report_case, open),
};
TABLE(report_columns_case, "cases", cases);

static const report_column answers[] = {
    COUNT(report_answer, arm), TEXT(report_answer, outcome), REAL(report_answer, score), COUNT(report_answer, repeats),
    NAMED("text", COLUMN_TEXT, report_answer, text.text), NAMED("text_bytes", COLUMN_COUNT, report_answer, text.bytes),
    NAMED("text_state", COLUMN_TEXT, report_answer, text.state), TEXT(report_answer, reason),
    REAL(report_answer, mean_logprob), WHOLE(report_answer, n_output), WHOLE(report_answer, total_us),
    TEXT(report_answer, finish),
};
TABLE(report_columns_answer, "answers", answers);

const report_column *report_find_column(const report_columns *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->c[i].name, name) == 0)
            return &t->c[i];
    assert(!"no such column");
    return &t->c[0];
}

double report_figure(const report_columns *t, const void *row, const char *name)
{
    const report_column *c = report_find_column(t, name);
    const char *at = (const char *)row + c->offset;
    int64_t whole = 0;
    uint64_t count = 0;
    double real = NAN;
    switch (c->kind) {
    case COLUMN_COUNT:
        memcpy(&count, at, sizeof count);
        return (double)count;
    case COLUMN_WHOLE:
        memcpy(&whole, at, sizeof whole);
        return whole < 0 ? NAN : (double)whole;
    case COLUMN_TIME:
        memcpy(&whole, at, sizeof whole);
        return whole == 0 ? NAN : (double)whole;
    case COLUMN_REAL:
        memcpy(&real, at, sizeof real);
        return real;
    case COLUMN_TEXT:
    case COLUMN_FLAG:
        break;
    }
    return NAN;
}
