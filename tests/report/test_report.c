/* A report against a ledger whose contents are known: counts, sides, pairs, history, confidence, texts, hostile
 * answers. With HEARTH_REPORT_OUT=FOLDER the documents are left there for test_page.py. */
#include "lib/check.h"
#include "lib/own_ledger.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "report/people.h"
#include "report/report_int.h"

enum { CASES = 60 };
/* What strangers may answer; the first cases get these. */
static const char *const hostile[] = {
    "</script><img src=x onerror=alert(1)>", "<!-- --><![CDATA[ ]]> &amp; \" ' `",
    "\xe2\x80\xaetxet desrever\xe2\x80\xac",
    "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d \xd8\xb3\xd9\x84\xd8\xa7\xd9\x85", "\x1b[31mred\x1b[0m\x07\x01",
    "=HYPERLINK(\"http://x\")", "", "\xef\xbf\xbe\xf3\xa0\x81\x81",
};

static task *make_task(const char *id, const char *privacy, const char *ask)
{
    task *t = NULL;
    char text[1024];
    buf cases = BUF_INIT(1 << 20);
    int n = snprintf(text, sizeof text, "hearth: 1\nid: %s\nprivacy: %s\ndescription: 'Names a <colour> & \"more\".'\n"
                     "cases: synthetic\nprompt: '%s {{input}}'\noutput:\n  kind: label\n  labels: [red, green]\n"
                     "graders:\n  - type: label\nbar: 0.7\nmargin: 0.1\nsampling: {temperature: 0, max_tokens: 8}\n",
                     id, privacy, ask);
    for (int i = 0; i < CASES; i++)
        buf_printf(&cases, "{\"id\": \"c%02d\", \"input\": \"canary-question <b>%d</b>\", \"expected\": \"red\","
                   " \"tags\": [\"t%d\"]}\n", i, i, i % 3);
    assert_ok(task_parse(&t, text, (size_t)n, "demo", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    buf_clear(&cases);
    return t;
}

typedef struct answers {
    const char *provider, *place, *source, *model;
    int first, n;
    bool (*passes)(int i);
    bool hostile, keep_text;
    bool plain; /* right answers are the label and nothing else */
} answers;

static bool most_pass(int i) { return i % 10 != 3; }   /* 54 of 60 */
static bool many_pass(int i) { return i % 5 != 3; }    /* 48 of 60; wrong where most_pass is, and at 8, 18, … */
static bool few_pass(int i) { return i % 10 == 0; }

/* Confidence rises with the case's number, so that ties and order are known. */
static double logprob_of(int i)
{
    return -2.0 + 1.9 * (i / 2) / (CASES / 2);
}

static const char two_graders[] = "[{\"grader\": \"label\", \"score\": 0, \"outcome\": \"wrong\", \"reason\": "
                                  "\"another <label>\"}, {\"grader\": \"judge\", \"score\": 1, \"outcome\": \"pass\", "
                                  "\"reason\": \"\"}]";

static void put(ledger *l, const task *t, answers a)
{
    task_case_key *keys = NULL;
    char *sampling = NULL, run[UUID_TEXT], id[UUID_TEXT];
    assert_ok(task_keys_by_case(t, a.provider, &keys, err));
    assert_ok(task_sampling_key(t, &sampling, err));
    ledger_evidence e = { a.source, a.model, "1", "f16", "", false, sampling };
    ledger_run r = { .machine = *ledger_this_machine(), .task = t->id, .provider = a.provider, .place = a.place,
                     .model = "m-<1>", .version = "0.0.1", .threads = 2, .isa = "avx2", .power = "mains" };
    assert_ok(ledger_begin(l, &r, &e, run, err));
    char canary[64];
    snprintf(canary, sizeof canary, "canary-answer red %s", t->id);
    for (int i = a.first; i < a.first + a.n; i++) {
        bool pass = a.passes(i);
        const char *right = a.plain ? "red" : canary;
        const char *text = a.hostile && i < (int)ARRAY_LEN(hostile) ? hostile[i] : pass ? right : "green";
        ledger_answer x = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .text = text,
                            .keep_text = a.keep_text, .finish = "stop", .n_prompt = 100, .n_output = 10, .n_cached = 0,
                            .prefill_us = 1000, .decode_us = 100000, .ttft_us = 2000, .total_us = 101000 + i,
                            .mean_logprob = logprob_of(i) };
        ledger_grade g = { keys[i].grader, pass, pass ? LEDGER_PASS : LEDGER_WRONG,
                           pass ? NULL : i == 8 ? two_graders
                           : "[{\"name\": \"label\", \"score\": 0, \"outcome\": \"wrong\", \"reason\": "
                                         "\"another <label>\"}]" };
        assert_ok(ledger_append_answer(l, run, &x, &g, id, err));
    }
    assert_ok(ledger_append_fact(l, run, "peak_bytes", 1e8, "bytes", err));
    if (strcmp(a.place, "local") == 0)
        assert_ok(ledger_append_fact(l, run, "energy_j", 3.0 * a.n, "J", err));
    mem_free(keys);
    mem_free(sampling);
}

typedef struct world {
    ledger *l;
    task *tasks[3]; /* public, private, secret */
    report_data *r;
} world;

static const route_candidate candidates[] = { { "cloud", PRIVACY_REMOTE, false, 1.0, 2.0, false } };

static const report_price prices[] = { { "cloud", 1.0, 2.0, NAN, "2026-11-01" } };

static status gather(world *w, bool with_text, error *err)
{
    route_settings s = { .candidates = candidates, .n_candidates = 1 };
    report_options o = { .with_text = with_text, .prices = prices, .n_prices = 1, .usd_per_month = 10,
                         .usd_per_kwh = 0.3, .watts_busy = NAN };
    report_close(&w->r);
    return report_gather(w->l, w->tasks, 3, &s, &o, &w->r, err);
}

static void decide(ledger *l, const char *verdict)
{
    ledger_decision d = { .task = "colours", .verdict = verdict, .local_evidence = "", .cloud_evidence = "",
                          .suite = "s", .win = 1, .tie = 50, .loss = 9, .n = 60, .n_pass = 48, .detail = "{}" };
    assert_ok(ledger_append_decision(l, &d, NULL, err));
}

/* People accept what is right and half of what is not, of the first `n` cases of the newest evidence of a provider. */
static void say(ledger *l, const task *t, const char *provider, const char *than, int n)
{
    ledger_sources sources = { 0 };
    ledger_rows rows = { 0 }, others = { 0 };
    assert_ok(ledger_find_sources(l, t->id, &sources, err));
    for (size_t i = 0; i < sources.n; i++) {
        if (!rows.n && strcmp(sources.rows[i].provider, provider) == 0)
            assert_ok(ledger_find_answers(l, t->id, sources.rows[i].evidence_id, &rows, err));
        if (!others.n && than && strcmp(sources.rows[i].provider, than) == 0)
            assert_ok(ledger_find_answers(l, t->id, sources.rows[i].evidence_id, &others, err));
    }
    for (int i = 0; i < n; i++) {
        bool odd = i % 20 == 3; /* wrong, and accepted all the same */
        ledger_label x = { .task = t->id, .case_id = rows.rows[i].case_id, .answer = rows.rows[i].id, .who = "ann",
                           .verdict = most_pass(i) || odd ? LABEL_ACCEPT : LABEL_REJECT };
        if (than) {
            x.other = others.rows[i].id;
            x.verdict = i < 5 ? LABEL_FIRST : i < 6 ? LABEL_SECOND : LABEL_TIE;
        }
        assert_ok(ledger_append_label(l, &x, true, err));
    }
    ledger_rows_close(&others);
    ledger_rows_close(&rows);
    ledger_sources_close(&sources);
}

static void fill(world *w)
{
    const answers local = { "local:m.gguf", "local", "local", "w2", 0, CASES, most_pass, true, true, false };
    answers old = local, cloud = { "cloud", "remote", "openai:u#m", "", 0, CASES, many_pass, false, true, true };
    task *earlier = make_task("colours", "public", "what colour has");
    old.passes = few_pass;
    old.model = "w1";
    put(w->l, earlier, old);           /* another prompt and another model */
    old.passes = many_pass;
    put(w->l, w->tasks[0], old);       /* today's prompt, another model */
    task_close(&earlier);
    answers half = local;
    half.n = 20;
    put(w->l, w->tasks[0], half);      /* stopped, and taken up again: one point */
    half.first = 20;
    half.n = 40;
    put(w->l, w->tasks[0], half);
    put(w->l, w->tasks[0], cloud);
    say(w->l, w->tasks[0], "local:m.gguf", NULL, 40);
    say(w->l, w->tasks[0], "local:m.gguf", "cloud", 10);
    for (size_t i = 0; i < 3; i++)
        decide(w->l, (const char *const[]){ "local", "cloud", "local" }[i]);
    put(w->l, w->tasks[1], local);
    answers secret = local;
    secret.keep_text = false;
    put(w->l, w->tasks[2], secret);
}

static int setup(void **state)
{
    static world w;
    memset(&w, 0, sizeof w);
    if (own_ledger_make(state))
        return -1;
    w.tasks[0] = make_task("colours", "public", "colour of");
    w.tasks[1] = make_task("letters", "private", "colour of");
    w.tasks[2] = make_task("locks", "secret", "colour of");
    assert_ok(ledger_open(&w.l, path, LEDGER_WRITE, err));
    fill(&w);
    assert_ok(gather(&w, false, err));
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    world *w = *state;
    report_close(&w->r);
    for (size_t i = 0; i < 3; i++)
        task_close(&w->tasks[i]);
    ledger_close(&w->l);
    return own_ledger_remove(state);
}

static void sides_pairs_and_verdict(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    assert_string_equal(t->verdict, "local");
    assert_true(t->local >= 0 && t->cloud >= 0);
    const report_arm *a = &t->arms[t->local], *b = &t->arms[t->cloud];
    assert_string_equal(a->provider, "local:m.gguf");
    assert_int_equal(a->n_pass, 54);
    assert_int_equal(b->n_pass, 48);
    stat_interval i = stat_clopper_pearson(54, 60, 0.95);
    assert_true(a->rate == 0.9 && a->rate_low == i.low && a->rate_high == i.high);
    assert_int_equal(t->only_local, 6); /* 8, 18, … 58 */
    assert_int_equal(t->only_cloud, 0);
    assert_int_equal(t->same, 54);
    assert_true(fabs(t->difference - 0.1) < 1e-12 && t->difference_low < 0.1 && t->difference_high > 0.1);
    assert_true(fabs(t->resolution_margin - stat_resolution(60, 0.1, 0.05, 0.8)) < 1e-12);
    assert_true(fabs(b->cost_usd - (100 * 1.0 + 10 * 2.0) / 1e6) < 1e-12);
        assert_true(fabs(a->answer_p95_ms - 101.056) < 1e-9 && a->peak_bytes == 1e8);
    assert_int_equal(t->n_differ, 6);
    assert_int_equal(t->n_not_pass, 12);
    assert_string_equal(t->since_of, "decision"); /* the last of local, cloud, local */
    assert_int_equal(t->n_changes, 3);
    assert_int_equal(t->since_us, t->changes[2].at_us);
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12 * fmax(1, fabs(b));
}

static void pairs_are_watched(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    stat_pairs p = { 6, 54, 0 };
    stat_interval i = stat_eprocess_interval(p, 0.95);
    assert_true(near(t->e_value, exp(stat_eprocess(p, 0.1))) && t->e_value >= 20);
    assert_string_equal(t->e_verdict, "within");
    assert_true(t->sequence_low == i.low && t->sequence_high == i.high && i.low < t->difference_low);
}

/* Right and wrong counted again by hand: all cases expect `red`. */
static void figures_by_label(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    const report_arm *a = &t->arms[t->cloud];
    double f1 = 2.0 * 48 / (2 * 48 + 12);
    assert_int_equal(a->n_figures, CASES);
    assert_int_equal(a->n_classes, 2);
    assert_string_equal(a->classes[0].name, "red");
    assert_true(a->classes[0].tp == 48 && a->classes[0].fn == 12 && a->classes[0].fp == 0);
    assert_true(near(a->classes[0].f1, f1) && a->classes[1].fp == 12 && a->classes[1].f1 == 0);
    assert_true(near(a->macro_f1, f1 / 2) && near(a->micro_f1, .8));
    assert_int_equal(a->n_confusion, 2);
    assert_string_equal(a->confusion[1].expected, "red");
    assert_string_equal(a->confusion[1].answered, "green");
    assert_true(a->confusion[0].n == 48 && a->confusion[1].n == 12);
}

static void what_an_answer_costs(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    const report_arm *a = &t->arms[t->local], *b = &t->arms[t->cloud];
    assert_true(near(b->cost_usd, (100 * 1.0 + 10 * 2.0) / 1e6) && near(b->cost_low, b->cost_usd));
    assert_string_equal(b->cost_of, "tokens");
    assert_string_equal(b->price_as_of, "2026-11-01");
    assert_true(isnan(b->energy_j));
    assert_string_equal(a->energy_of, "measured");
    assert_true(near(a->energy_j, 3) && a->energy_low <= 3 && a->energy_high >= 3); /* 60 answers share 180 J */
    assert_true(near(a->cost_usd, a->energy_j / 3.6e6 * 0.3));
    assert_string_equal(t->break_even, "from");
    assert_true(near(t->saving_usd, b->cost_usd - a->cost_usd));
    assert_true(near(t->break_even_answers, 10 / t->saving_usd) && t->break_even_low <= t->break_even_answers);
    assert_int_equal(a->concurrency, 1);
}

static void what_people_say(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    const report_arm *a = &t->arms[t->local];
    stat_interval i = stat_clopper_pearson(38, 40, 0.95); /* 36 right, of 3, 13, 23, 33 two accepted */
    assert_int_equal(t->n_labels, 50);
    assert_int_equal(t->n_people, 1);
    assert_int_equal(t->n_labels_stale, 0);
    assert_true(a->n_labelled == 40 && a->n_accepted == 38 && a->accepted_low == i.low && a->accepted_high == i.high);
    assert_true(a->n_agreement == 40 && a->n_agree == 38 && near(a->agreement, .95));
    double chance = (36 * 38 + 4 * 2) / 1600.0;
    assert_true(near(a->kappa, (.95 - chance) / (1 - chance)) && a->kappa_low < a->kappa && a->kappa_high > a->kappa);
    assert_int_equal(t->n_preferences, 1);
    const report_preference *p = t->preferences;
    assert_true((int64_t)p->a == t->local && (int64_t)p->b == t->cloud);
    assert_true(p->win == 5 && p->loss == 1 && p->tie == 4 && near(p->difference, .4));
}

static void graders_are_told_apart(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    for (size_t i = 0; i < t->cases[8].n_answers; i++) {
        const report_answer *a = &t->cases[8].answers[i];
        bool cloud = (int64_t)a->arm == t->cloud; /* it alone is wrong there */
        assert_int_equal(a->n_parts, cloud ? 2 : 0);
        if (!cloud)
            continue;
        assert_string_equal(a->parts[1].grader, "judge");
        assert_string_equal(a->parts[1].outcome, "pass");
        assert_string_equal(a->parts[0].reason, "another <label>");
        assert_true(a->parts[0].score == 0 && a->parts[1].score == 1);
    }
}

/* A judge's own word, found in what was kept of each grade, against people's. */
static void a_judge_against_people(void **state)
{
    world *w = *state;
    task *t = NULL;
    task_case_key *keys = NULL;
    char *sampling = NULL, run[UUID_TEXT], id[UUID_TEXT];
    static const char text[] = "hearth: 1\nid: judged\nprivacy: public\nprompt: 'say {{input}}'\n"
                               "output: {kind: text}\ngraders:\n  - {type: judge, model: j, rubric: 'ok? {{answer}}'}\n"
                               "  - {type: length, unit: words, max: 9}\n";
    buf cases = BUF_INIT(1 << 16);
    for (int i = 0; i < 10; i++)
        buf_printf(&cases, "{\"id\": \"j%d\", \"input\": \"%d\"}\n", i, i);
    assert_ok(task_parse(&t, text, sizeof text - 1, "judged", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    buf_clear(&cases);
    assert_ok(task_keys_by_case(t, "local:x", &keys, err));
    assert_ok(task_sampling_key(t, &sampling, err));
    ledger_evidence e = { "local", "x1", "1", "f16", "", false, sampling };
    ledger_run r = { .machine = *ledger_this_machine(), .task = "judged", .provider = "local:x", .place = "local" };
    assert_ok(ledger_begin(w->l, &r, &e, run, err));
    for (int i = 0; i < 10; i++) {
        ledger_answer x = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .text = "y", .keep_text = true,
                            .finish = "stop", .mean_logprob = NAN };
        bool judge = i < 6, human = i != 0 && i < 7; /* 5 both yes, 1 judge alone, 1 people alone, 3 both no */
        char detail[128];
        snprintf(detail, sizeof detail, "[{\"grader\": \"judge\", \"score\": %d, \"outcome\": \"%s\"}]", judge,
                 judge ? "pass" : "wrong");
        ledger_grade g = { keys[i].grader, 1, LEDGER_PASS, detail }; /* the whole grade says something else */
        assert_ok(ledger_append_answer(w->l, run, &x, &g, id, err));
        ledger_label word = { .task = "judged", .case_id = keys[i].c->id, .answer = id, .who = "bo",
                              .verdict = human ? LABEL_ACCEPT : LABEL_REJECT };
        assert_ok(ledger_append_label(w->l, &word, true, err));
    }
    route_settings s = { 0 };
    report_options o = { .with_text = false };
    report_data *d = NULL;
    assert_ok(report_gather(w->l, &t, 1, &s, &o, &d, err));
    const report_arm *a = &d->tasks[0].arms[0];
    assert_true(d->tasks[0].judged && a->n_judged == 10 && a->n_judge_agree == 8);
    double chance = .6 * .6 + .4 * .4;
    assert_true(near(a->judge_kappa, (.8 - chance) / (1 - chance)));
    assert_true(a->n_agree == 6); /* of the whole grade: always a pass */
    report_close(&d);
    mem_free(keys);
    mem_free(sampling);
    task_close(&t);
}

static void history_names_what_changed(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    assert_int_equal(t->n_points, 4); /* the run that was taken up again is one */
    const report_point *p = t->points;
    assert_string_equal(p[0].marks, "");
    assert_int_equal(p[0].n_pass, 6);
    assert_string_equal(p[1].marks, "prompt");
    assert_string_equal(p[1].changed, "another prompt");
    assert_string_equal(p[2].marks, "model");
    assert_int_equal(p[2].n, 60);
    assert_true(p[2].counts && !p[1].counts && !p[0].counts);
    assert_string_equal(p[3].provider, "cloud");
    assert_string_equal(p[3].marks, "");
}

static void suite_changes_are_counted(void **state)
{
    world *w = *state;
    answers a = { "local:n.gguf", "local", "local", "w3", 0, CASES, most_pass, false, true, false };
    task *few = make_task("colours", "public", "colour of"), *kept = w->tasks[0];
    put(w->l, kept, a);
    a.model = "w4";
    a.n = 50;
    put(w->l, kept, a); /* ten not asked: not gone */
    assert_ok(gather(w, false, err));
    const report_task *t = &w->r->tasks[0];
    assert_string_equal(t->points[t->n_points - 1].marks, "model");
    a.model = "w5";
    put(w->l, kept, a);
    a.first = 50;
    a.n = 10;
    a.model = "w4"; /* back to the older file */
    put(w->l, kept, a);
    assert_ok(gather(w, false, err));
    t = &w->r->tasks[0];
    assert_string_equal(t->points[t->n_points - 1].changed, "another model; 10 cases are new");
    assert_string_equal(t->points[t->n_points - 1].marks, "model, suite");
    task_close(&few);
}

/* ECE and AUROC again, by their definitions over all pairs. */
static void confidence_is_what_its_definition_says(void **state)
{
    const report_task *t = &((world *)*state)->r->tasks[0];
    const report_arm *a = &t->arms[t->cloud];
    double above = 0, pairs = 0, ece = 0;
    uint64_t n = 0;
    for (int i = 0; i < CASES; i++)
        for (int k = 0; k < CASES; k++)
            if (many_pass(i) && !many_pass(k)) {
                pairs++;
                above += logprob_of(i) > logprob_of(k) ? 1 : logprob_of(i) == logprob_of(k) ? 0.5 : 0;
            }
    assert_true(fabs(a->auroc - above / pairs) < 1e-12);
    assert_int_equal(a->n_confident, CASES);
    assert_int_equal(a->n_bins, CASES / 8);
    for (size_t b = 0; b < a->n_bins; b++) {
        const report_bin *x = &a->bins[b];
        assert_true(x->low <= x->confidence && x->confidence <= x->high && x->n >= 8);
        ece += (double)x->n / CASES * fabs(x->confidence - x->rate);
        n += x->n;
    }
    assert_int_equal(n, CASES);
    assert_true(fabs(a->ece - ece) < 1e-12);
}

static void reliability_of_few_or_equal(void **state)
{
    (void)state;
    report_arm a = { 0 };
    report_sure x[16];
    assert_ok(report_reliability(x, 0, &a, err));
    assert_true(a.n_bins == 0 && isnan(a.ece) && isnan(a.auroc));
    for (size_t i = 0; i < 16; i++)
        x[i] = (report_sure){ 0.5, i % 2 };
    assert_ok(report_reliability(x, 16, &a, err));
    assert_true(a.n_bins == 2 && a.auroc == 0.5 && fabs(a.ece) < 1e-12);
    for (size_t i = 0; i < 16; i++)
        x[i].pass = true;
    assert_ok(report_reliability(x, 16, &a, err));
    assert_true(isnan(a.auroc) && fabs(a.ece - 0.5) < 1e-12); /* nothing to tell apart */
}

/* ---- texts ---- */

typedef struct documents {
    buf html, json, csv, text;
} documents;

static void write_all(const report_data *r, documents *d)
{
    *d = (documents){ BUF_INIT(1 << 26), BUF_INIT(1 << 26), BUF_INIT(1 << 26), BUF_INIT(1 << 26) };
    report_html(r, &d->html);
    js *doc = report_to_js(r);
    assert_non_null(doc);
    js_write(doc, JS_PRETTY, &d->json);
    js_free(doc);
    report_csv(r, &d->csv);
    report_terminal how = { 100, true };
    report_text_tasks(r, &how, &d->text);
    assert_false(d->html.failed || d->json.failed || d->csv.failed || d->text.failed);
}

static void clear_all(documents *d)
{
    buf_clear(&d->html);
    buf_clear(&d->json);
    buf_clear(&d->csv);
    buf_clear(&d->text);
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (; (text = strstr(text, word)); text += strlen(word))
        n++;
    return n;
}

/* No document has a private text unless asked, and none ever has a secret one. */
static void private_and_secret_texts_stay(void **state)
{
    world *w = *state;
    for (size_t only = 1; only < 3; only++)
        for (int with_text = 0; with_text < 2; with_text++) {
            route_settings s = { .candidates = candidates, .n_candidates = 1 };
            report_options o = { .with_text = with_text };
            report_data *r = NULL;
            documents d;
            assert_ok(report_gather(w->l, &w->tasks[only], 1, &s, &o, &r, err));
            write_all(r, &d);
            const char *const all[] = { d.html.data, d.json.data, d.csv.data, d.text.data };
            for (size_t i = 0; i < ARRAY_LEN(all); i++) {
                bool has = count(all[i], "canary") > 0;
                assert_true(has == (only == 1 && with_text && i != 3) || i == 3);
                if (only == 2 || !with_text)
                    assert_false(has);
            }
            assert_int_equal(r->tasks[0].arms[0].n_pass, 54); /* figures stay */
            clear_all(&d);
            report_close(&r);
        }
}

static void purged_is_said(void **state)
{
    world *w = *state;
    assert_ok(ledger_purge_text(w->l, "colours", NULL, err));
    assert_ok(gather(w, false, err));
    const report_case *c = &w->r->tasks[0].cases[20];
    assert_string_equal(c->answers[0].text.state, "purged");
    assert_string_equal(c->answers[0].text.text, "");
    assert_string_equal(c->input.state, "kept");
    assert_int_equal(w->r->tasks[0].points[3].n_pass, 48); /* judged by the grade that was kept */
}

static void hostile_text_is_only_text(void **state)
{
    world *w = *state;
    documents d;
    write_all(w->r, &d);
    assert_null(strstr(d.html.data, "<img"));
    assert_null(strstr(d.html.data, "\x1b"));
    assert_null(strstr(d.html.data, "\xe2\x80\xae")); /* right-to-left override */
    assert_non_null(strstr(d.html.data, "[U+202E]"));
    assert_int_equal(count(d.html.data, "</script>"), 1);
    assert_int_equal(count(d.html.data, "<!--"), 0);
    assert_null(strstr(d.text.data, "\x07"));
    assert_null(strstr(d.text.data, "\x1b[31m"));
    assert_non_null(strstr(d.csv.data, "\"'=HYPERLINK(\"\"http://x\"\")\""));
    assert_non_null(strstr(d.json.data, "</script>")); /* JSON says what was said */
    clear_all(&d);
}

static void a_long_text_is_cut_and_said(void **state)
{
    world *w = *state;
    size_t n = REPORT_TEXT_BYTES_MAX + 1000;
    char *text = mem_alloc(n + 1);
    task_case_key *keys = NULL;
    char *sampling = NULL, run[UUID_TEXT], id[UUID_TEXT];
    for (size_t i = 0; i < n; i += 2)
        memcpy(text + i, "\xc3\xa9", 3);
    assert_ok(task_keys_by_case(w->tasks[0], "local:z", &keys, err));
    assert_ok(task_sampling_key(w->tasks[0], &sampling, err));
    ledger_evidence e = { "local", "wz", "1", "f16", "", false, sampling };
    ledger_run r = { .machine = *ledger_this_machine(), .task = "colours", .provider = "local:z", .place = "local" };
    ledger_answer x = { .case_id = "c05", .prompt = keys[5].prompt, .text = text, .keep_text = true, .finish = "length",
                        .mean_logprob = NAN };
    assert_ok(ledger_begin(w->l, &r, &e, run, err));
    assert_ok(ledger_append_answer(w->l, run, &x, NULL, id, err));
    assert_ok(gather(w, false, err));
    const report_case *c = &w->r->tasks[0].cases[5];
    const report_answer *a = NULL;
    for (size_t i = 0; i < c->n_answers; i++)
        if (strcmp(c->answers[i].text.state, "cut") == 0)
            a = &c->answers[i];
    assert_non_null(a);
    assert_int_equal(a->text.bytes, n);
    assert_true(strlen(a->text.text) <= REPORT_TEXT_BYTES_MAX && c->open);
    documents d;
    write_all(w->r, &d);
    assert_non_null(strstr(d.html.data, "Only its beginning is shown."));
    clear_all(&d);
    mem_free(text);
    mem_free(keys);
    mem_free(sampling);
}

/* ---- diff ---- */

typedef struct pieces {
    buf a, b;
} pieces;

static void collect(void *user, diff_kind kind, const char *p, size_t n)
{
    pieces *x = user;
    if (kind != DIFF_NEW)
        buf_add(&x->a, p, n);
    if (kind != DIFF_GONE)
        buf_add(&x->b, p, n);
}

static char *squeeze(const char *s, char out[256])
{
    size_t n = 0;
    for (; *s && n < 255; s++)
        if (*s != ' ' && *s != '\n')
            out[n++] = *s;
    out[n] = 0;
    return out;
}

/* What stays and goes is the one text, what stays and comes the other; the shared part is as long as it can be. */
static void a_diff_holds_both_texts(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "", "" }, { "a", "" }, { "", "b c" }, { "one two three", "one 2 three" }, { " a b", "a  b\n" },
        { "{\"x\": 1.5, \"y\": null}", "{\"x\":1.5,\"z\":null}" },
        { "\xc3\xa9t\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac", "\xc3\xa9t\xc3\xa9" },
    };
    char s[256], t[256];
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        pieces x = { BUF_INIT(1000), BUF_INIT(1000) };
        assert_true(report_diff(pairs[i][0], pairs[i][1], collect, &x));
        assert_string_equal(squeeze(buf_text(&x.a), s), squeeze(pairs[i][0], t));
        assert_string_equal(squeeze(buf_text(&x.b), s), squeeze(pairs[i][1], t));
        assert_string_equal(buf_text(&x.b), pairs[i][1]); /* white space too */
        buf_clear(&x.a);
        buf_clear(&x.b);
    }
    buf longer = BUF_INIT(1 << 20);
    for (int i = 0; i <= DIFF_WORDS_MAX; i++)
        buf_str(&longer, "w ");
    assert_false(report_diff("w", buf_text(&longer), collect, NULL));
    buf_clear(&longer);
}

/* ---- files, memory ---- */

static void a_file_is_whole_and_its_owners(void **state)
{
    (void)state;
    char file[128], missing[160];
    struct stat there;
    snprintf(file, sizeof file, "%s/page.html", dir);
    snprintf(missing, sizeof missing, "%s/no/page.html", dir);
    assert_ok(report_write_file(file, "one", 3, err));
    assert_ok(report_write_file(file, "two!", 4, err));
    assert_int_equal(stat(file, &there), 0);
    assert_int_equal(there.st_mode & 0777, 0600);
    assert_int_equal(there.st_size, 4);
    error err = { 0 };
    assert_int_equal(report_write_file(missing, "x", 1, &err), E_IO);
    assert_non_null(strstr(err.text, missing));
    assert_int_equal(report_write_file(dir, "x", 1, &err), E_IO);
    assert_int_equal(report_write_file("/dev/null", "x", 1, &err), E_IO);
    unlink(file); /* and rmdir at the end fails when a part was left */
}

/* Every allocation of gathering and writing fails once: an error each time, and nothing lost. */
static void no_memory_is_an_error(void **state)
{
    world *w = *state;
    uint64_t step = 1;
    route_settings s = { .candidates = candidates, .n_candidates = 1 };
    report_options o = { .with_text = true };
    for (uint64_t n = 1;; n += step) {
        report_data *r = NULL;
        error err = { 0 };
        mem_fail_at(n);
        status got = report_gather(w->l, w->tasks, 1, &s, &o, &r, &err);
        mem_fail_at(0);
        if (got == OK) {
            report_close(&r);
            if (n > 20000)
                break;
        } else {
            assert_null(r);
            assert_true(got == E_NOMEM || got == E_RANGE || got == E_IO); /* a buffer only says that it failed */
        }
        step = n < 300 ? 1 : n / 7; /* all of the beginning, samples of the many alike */
    }
}

/* A document that wanted memory says so: it is never shorter than it should be and taken for whole. */
static void a_writer_without_memory_says_so(void **state)
{
    world *w = *state;
    documents whole;
    write_all(w->r, &whole);
    for (uint64_t n = 1; n < 400; n += 1 + n / 5) {
        buf text = BUF_INIT(1 << 26), csv = BUF_INIT(1 << 26);
        mem_fail_at(n);
        report_text_tasks(w->r, &(report_terminal){ 100, true }, &text);
        mem_fail_at(n);
        report_csv(w->r, &csv);
        mem_fail_at(n);
        js *doc = report_to_js(w->r);
        mem_fail_at(0);
        assert_true(text.failed || strcmp(text.data, whole.text.data) == 0);
        assert_true(csv.failed || strcmp(csv.data, whole.csv.data) == 0);
        assert_true(doc == NULL);
        buf_clear(&text);
        buf_clear(&csv);
    }
    clear_all(&whole);
}

static void leave(const char *folder, const char *name, const buf *text)
{
    char file[512];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    assert_ok(report_write_file(file, buf_text(text), text->len, err));
}

static void documents_for_the_other_test(void **state)
{
    world *w = *state;
    const char *folder = getenv("HEARTH_REPORT_OUT");
    documents d;
    write_all(w->r, &d);
    assert_true(d.html.len > 10000 && strstr(d.html.data, "Content-Security-Policy"));
    for (size_t i = 0; folder && i < report_n_tables; i++) {
        char name[64];
        buf table = BUF_INIT(1 << 26);
        report_csv_table(w->r, i, &table);
        snprintf(name, sizeof name, "%s.csv", report_table_name(i));
        leave(folder, name, &table);
        buf_clear(&table);
    }
    if (folder) {
        leave(folder, "page.html", &d.html);
        leave(folder, "page.json", &d.json);
        leave(folder, "all.csv", &d.csv);
        leave(folder, "page.txt", &d.text);
    }
    clear_all(&d);
}

static void nothing_at_all(void **state)
{
    world *w = *state;
    route_settings s = { 0 };
    report_options o = { 0 };
    report_data *r = NULL;
    documents d;
    assert_ok(report_gather(NULL, w->tasks, 3, &s, &o, &r, err));
    assert_string_equal(r->tasks[0].verdict, "not proven");
    assert_true(r->tasks[0].since_us == 0 && r->tasks[0].n_arms == 0 && r->tasks[0].local == -1);
    write_all(r, &d);
    assert_non_null(strstr(d.html.data, "never measured"));
    clear_all(&d);
    report_close(&r);
    assert_ok(report_gather(NULL, NULL, 0, &s, &o, &r, err));
    write_all(r, &d);
    assert_non_null(strstr(d.html.data, "No tasks were found"));
    clear_all(&d);
    report_close(&r);
}

/* The textbook's table (20, 5, 10, 15: kappa 0.4), the ends, and what chance alone explains. */
static void agreement_with_people(void **state)
{
    (void)state;
    static const people_table table = { { 20, 10, 5, 15 } }, same = { { 30, 0, 0, 20 } }, yes = { { 20, 0, 0, 0 } },
                              none = { { 0 } };
    assert_true(people_table_n(&table) == 50 && people_table_same(&table) == 35);
    assert_true(fabs(people_kappa(&table, NULL) - 0.4) < 1e-12);
    assert_true(people_table_same(&same) == 50 && people_kappa(&same, NULL) == 1);
    assert_true(people_table_same(&yes) == 20 && isnan(people_kappa(&yes, NULL))); /* it says nothing */
    assert_true(people_table_n(&none) == 0 && isnan(people_kappa(&none, NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = { /* one ledger for all: those that write to it come last */
        cmocka_unit_test(sides_pairs_and_verdict), cmocka_unit_test(history_names_what_changed),
        cmocka_unit_test(confidence_is_what_its_definition_says), cmocka_unit_test(reliability_of_few_or_equal),
        cmocka_unit_test(private_and_secret_texts_stay), cmocka_unit_test(hostile_text_is_only_text),
        cmocka_unit_test(a_diff_holds_both_texts), cmocka_unit_test(a_file_is_whole_and_its_owners),
        cmocka_unit_test(no_memory_is_an_error), cmocka_unit_test(a_writer_without_memory_says_so),
        cmocka_unit_test(documents_for_the_other_test),
        cmocka_unit_test(pairs_are_watched), cmocka_unit_test(figures_by_label), cmocka_unit_test(what_an_answer_costs),
        cmocka_unit_test(what_people_say), cmocka_unit_test(graders_are_told_apart),
        cmocka_unit_test(a_judge_against_people), cmocka_unit_test(agreement_with_people),
        cmocka_unit_test(nothing_at_all), cmocka_unit_test(a_long_text_is_cut_and_said),
        cmocka_unit_test(suite_changes_are_counted), cmocka_unit_test(purged_is_said),
    };
    if (getenv("HEARTH_REPORT_OUT"))
        cmocka_set_test_filter("documents_for_the_other_test");
    return cmocka_run_group_tests(tests, setup, teardown);
}
