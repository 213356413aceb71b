/* measure_print.c: see the header. */
#include "cli/measure_print.h"

#include <math.h>
#include <stdio.h>

#include "base/str.h"
#include "cli/cli.h"

/* ---- results ---- */

static void print_speed(const measure_result *r)
{
    const tally_speed *v = &r->speed;
    char bytes[24];
    if (v->n && (!isnan(v->decode_per_s) || !isnan(v->answer_p50_ms))) {
        printf("  speed      ");
        if (!isnan(v->prefill_per_s))
            printf("prompt %.0f tokens/s, ", v->prefill_per_s);
        if (!isnan(v->decode_per_s))
            printf("answer %.1f tokens/s, ", v->decode_per_s);
        if (!isnan(v->ttft_p50_ms))
            printf("first token after %.0f ms (median), %.0f ms (95 %%), ", v->ttft_p50_ms, v->ttft_p95_ms);
        printf("answer within %.0f ms (median), %.0f ms (95 %%)\n", v->answer_p50_ms, v->answer_p95_ms);
    } else {
        printf("  speed      not known\n");
    }
    if (!isnan(r->peak_bytes))
        printf("  memory     %s at most\n", str_human_bytes(bytes, (uint64_t)r->peak_bytes));
}

static const char *bar_words(const measure_result *r, char *text, size_t bytes)
{
    if (r->decided == MEASURE_OPEN)
        return "not proven either way";
    snprintf(text, bytes, "%s after %u cases, however often one looks",
             r->decided == MEASURE_PROVEN ? "proven to be reached" : "proven not to be reached", r->decided_after);
    return text;
}

void measure_print_result(const task *t, const provider_info *who, const measure_result *r)
{
    char cost[48], words[96];
    printf("%s%s%s on %s\n", cli_style(1, "\033[1m"), t->id, cli_style(1, "\033[0m"), who->name);
    if (r->n)
        printf("  quality    %u of %u right: %.1f %%, 95 %% interval %.1f to %.1f %%; score %.3f [%.3f, %.3f]\n"
               "  malformed  %u (%.1f %%)\n",
               r->n_pass, r->n, 100 * r->pass, 100 * r->pass_lower, 100 * r->pass_upper, r->score, r->score_lower,
               r->score_upper, r->n_malformed, 100.0 * r->n_malformed / r->n);
    else
        printf("  quality    no answers\n");
    if (!isnan(r->macro_f1))
        printf("  F1         macro %.3f, micro %.3f\n", r->macro_f1, r->micro_f1);
    printf("  baselines ");
    if (!isnan(r->majority))
        printf(" always the same answer %.1f %%", 100 * r->majority);
    if (!isnan(r->regex))
        printf("%s rules %.1f %%", isnan(r->majority) ? "" : ",", 100 * r->regex);
    printf("%s\n", isnan(r->majority) && isnan(r->regex) ? " none" : "");
    print_speed(r);
    printf("  cases      %u: %u asked now, %u kept from before, %u graded again, %u without an answer; %.1f s\n",
           r->n_cases, r->n_asked, r->n_kept, r->n_regraded, r->n_failed, r->seconds);
    if (r->n_timeout)
        printf("  in time    %u of the cases without an answer were given up for want of time\n", r->n_timeout);
    if (!isnan(r->cost_per_answer) && who->place != PLACE_LOCAL)
        printf("  cost       %.6f USD an answer%s\n", r->cost_per_answer,
               isnan(r->cost_usd) ? "" : (snprintf(cost, sizeof cost, ", %.4f USD now", r->cost_usd), cost));
    if (t->bar >= 0)
        printf("  bar        %.0f %%: %s\n", 100 * t->bar, bar_words(r, words, sizeof words));
    if (r->ended[0])
        printf("  ended      %s, before its last case\n", r->ended);
    if (r->stale[0])
        printf("  stale      %s\n", r->stale);
    if (r->n)
        printf("  resolution %u cases tell apart no less than ±%.1f points\n", r->n, 100 * r->resolution);
    printf("  evidence   %.16s%s%s\n", r->evidence, r->run[0] ? ", run " : "", r->run);
}

static bool put(js *o, const char *key, double v)
{
    return js_set(o, key, isnan(v) ? js_null() : js_new_double(v));
}

js *measure_result_js(const task *t, const provider_info *who, const measure_result *r)
{
    js *o = js_object();
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        { "cases", r->n_cases }, { "asked", r->n_asked }, { "kept", r->n_kept }, { "regraded", r->n_regraded },
        { "failed", r->n_failed }, { "answered", r->n }, { "pass", r->n_pass }, { "wrong", r->n_wrong },
        { "malformed", r->n_malformed }, { "rate", r->pass }, { "rate_lower", r->pass_lower },
        { "rate_upper", r->pass_upper }, { "score", r->score }, { "score_lower", r->score_lower },
        { "score_upper", r->score_upper }, { "macro_f1", r->macro_f1 }, { "micro_f1", r->micro_f1 },
        { "baseline_majority", r->majority }, { "baseline_rules", r->regex },
        { "resolution", r->resolution }, { "prefill_tokens_per_s", r->speed.prefill_per_s },
        { "decode_tokens_per_s", r->speed.decode_per_s }, { "ttft_p50_ms", r->speed.ttft_p50_ms },
        { "ttft_p95_ms", r->speed.ttft_p95_ms }, { "answer_p50_ms", r->speed.answer_p50_ms },
        { "answer_p95_ms", r->speed.answer_p95_ms }, { "speed_answers", r->speed.n },
        { "speed_concurrency", r->speed.concurrency }, { "peak_bytes", r->peak_bytes },
        { "timeouts", r->n_timeout }, { "refused", r->n_refused }, { "ungraded", r->n_ungraded },
        { "cost_usd", r->cost_usd },
        { "cost_per_answer_usd", r->cost_per_answer }, { "decided_after", r->decided_after }, { "seconds", r->seconds },
    };
    bool ok = o && js_set(o, "task", js_new_string(t->id)) && js_set(o, "provider", js_new_string(who->name)) &&
              js_set(o, "place", js_new_string(provider_place_name(who->place))) &&
              js_set(o, "model", js_new_string(who->model)) && js_set(o, "evidence", js_new_string(r->evidence)) &&
              js_set(o, "run", js_new_string(r->run)) && js_set(o, "stale_because", js_new_string(r->stale)) &&
              js_set(o, "bar", js_new_string(measure_decided_name(r->decided))) &&
              js_set(o, "ended", js_new_string(r->ended));
    for (size_t i = 0; ok && i < ARRAY_LEN(numbers); i++)
        ok = put(o, numbers[i].key, numbers[i].value);
    if (ok)
        return o;
    js_free(o);
    return NULL;
}


/* ---- what several providers show together ---- */

static js *findings_js(const measure_outcome *o)
{
    js *list = js_array();
    for (size_t i = 0; i < o->n_findings; i++) {
        js *one = js_object();
        js_set(one, "code", js_new_string(o->findings[i].code));
        js_set(one, "grave", js_new_bool(o->findings[i].grave));
        js_set(one, "text", js_new_string(o->findings[i].text));
        js_push(list, one);
    }
    return list;
}

js *measure_outcome_js(const task *t, const measure_arm *arms, const measure_outcome *o)
{
    js *doc = js_object();
    bool pairs = o->reference != SIZE_MAX;
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        { "pairs", o->n_pairs }, { "win", (double)o->win }, { "tie", (double)o->tie }, { "loss", (double)o->loss },
        { "difference", o->difference }, { "difference_lower", o->lower }, { "difference_upper", o->upper },
        { "margin", o->margin }, { "log_e", o->log_e }, { "decided_after", o->decided_after },
    };
    js_set(doc, "task", js_new_string(t->id));
    js_set(doc, "local", pairs ? js_new_string(arms[o->local].who->name) : js_null());
    js_set(doc, "reference", pairs ? js_new_string(arms[o->reference].who->name) : js_null());
    js_set(doc, "decided", pairs ? js_new_string(measure_decided_name(o->decided)) : js_null());
    for (size_t i = 0; pairs && i < ARRAY_LEN(numbers); i++)
        put(doc, numbers[i].key, numbers[i].value);
    js_set(doc, "not_asked", js_new_int(o->n_unasked));
    js_set(doc, "findings", findings_js(o));
    return doc;
}

static void print_findings(const measure_outcome *o)
{
    for (size_t i = 0; i < o->n_findings; i++)
        printf("  %s%s%s %s\n", cli_style(1, o->findings[i].grave ? "\033[31m" : "\033[33m"),
               o->findings[i].grave ? "doubt     " : "note      ", cli_style(1, "\033[0m"), o->findings[i].text);
}

void measure_print_outcome(const task *t, const measure_arm *arms, const measure_outcome *o)
{
    if (o->n_findings || o->reference != SIZE_MAX)
        printf("%s%s%s\n", cli_style(1, "\033[1m"), t->id, cli_style(1, "\033[0m"));
    print_findings(o);
    if (o->reference == SIZE_MAX)
        return;
    printf("  compared   %s with %s on %u cases: alone right %llu and %llu, alike %llu\n", arms[o->local].who->name,
           arms[o->reference].who->name, o->n_pairs, (unsigned long long)o->win, (unsigned long long)o->loss,
           (unsigned long long)o->tie);
    if (o->n_pairs)
        printf("  difference %+.1f points, 95 %% interval %+.1f to %+.1f; margin %.0f: %s\n", 100 * o->difference,
               100 * o->lower, 100 * o->upper, 100 * o->margin,
               o->decided == MEASURE_PROVEN    ? "proven to be within it"
               : o->decided == MEASURE_REFUTED ? "proven to be worse than that"
                                               : "not proven either way");
    if (o->n_unasked)
        printf("  saved      %u cases that need not be asked\n", o->n_unasked);
}
