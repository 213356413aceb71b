/* A report against a ledger whose contents are known: counts, sides, pairs, history, confidence, texts, hostile
 * answers. With HEARTH_REPORT_OUT=FOLDER the documents are left there for test_page.py. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "report/report_int.h"

enum { CASES = 60 };
static char dir[64], path[96];

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
} answers;

static bool most_pass(int i) { return i % 10 != 3; }   /* 54 of 60 */
static bool many_pass(int i) { return i % 5 != 3; }    /* 48 of 60; wrong where most_pass is, and at 8, 18, … */
static bool few_pass(int i) { return i % 10 == 0; }

/* Confidence rises with the case's number, so that ties and order are known. */
static double logprob_of(int i)
{
    return -2.0 + 1.9 * (i / 2) / (CASES / 2);
}

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
        const char *text = a.hostile && i < (int)ARRAY_LEN(hostile) ? hostile[i] : pass ? canary : "green";
        ledger_answer x = { .case_id = keys[i].c->id, .prompt = keys[i].prompt, .text = text,
                            .keep_text = a.keep_text, .finish = "stop", .n_prompt = 100, .n_output = 10, .n_cached = 0,
                            .prefill_us = 1000, .decode_us = 100000, .ttft_us = 2000, .total_us = 101000 + i,
                            .mean_logprob = logprob_of(i) };
        ledger_grade g = { keys[i].grader, pass, pass ? LEDGER_PASS : LEDGER_WRONG,
                           pass ? NULL : "[{\"name\": \"label\", \"score\": 0, \"outcome\": \"wrong\", \"reason\": "
                                         "\"another <label>\"}]" };
        assert_ok(ledger_append_answer(l, run, &x, &g, id, err));
    }
    assert_ok(ledger_append_fact(l, run, "peak_bytes", 1e8, "bytes", err));
    mem_free(keys);
    mem_free(sampling);
}

typedef struct world {
    ledger *l;
    task *tasks[3]; /* public, private, secret */
    report_data *r;
} world;

static const route_candidate candidates[] = { { "cloud", PRIVACY_REMOTE, false, 1.0, 2.0 } };

static status gather(world *w, bool with_text, error *err)
{
    route_settings s = { .candidates = candidates, .n_candidates = 1 };
    report_options o = { .with_text = with_text };
    report_close(&w->r);
    return report_gather(w->l, w->tasks, 3, &s, &o, &w->r, err);
}

static void decide(ledger *l, const char *verdict)
{
    ledger_decision d = { .task = "colours", .verdict = verdict, .local_evidence = "", .cloud_evidence = "",
                          .suite = "s", .win = 1, .tie = 50, .loss = 9, .n = 60, .n_pass = 48, .detail = "{}" };
    assert_ok(ledger_append_decision(l, &d, NULL, err));
}

static void fill(world *w)
{
    const answers local = { "local:m.gguf", "local", "local", "w2", 0, CASES, most_pass, true, true };
    answers old = local, cloud = { "cloud", "remote", "openai:u#m", "", 0, CASES, many_pass, false, true };
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
    strcpy(dir, "/tmp/hearth-report-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/ledger.db", dir);
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
    static const char *const ends[] = { "", "-wal", "-shm" };
    report_close(&w->r);
    for (size_t i = 0; i < 3; i++)
        task_close(&w->tasks[i]);
    ledger_close(&w->l);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char file[128];
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        unlink(file);
    }
    return rmdir(dir);
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
    assert_true(isnan(a->cost_usd)); /* local: not measured */
    assert_true(fabs(a->answer_p95_ms - 101.056) < 1e-9 && a->peak_bytes == 1e8);
    assert_int_equal(t->n_differ, 6);
    assert_int_equal(t->n_not_pass, 12);
    assert_string_equal(t->since_of, "decision"); /* the last of local, cloud, local */
    assert_int_equal(t->n_changes, 3);
    assert_int_equal(t->since_us, t->changes[2].at_us);
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
    answers a = { "local:n.gguf", "local", "local", "w3", 0, CASES, most_pass, false, true };
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
    report_reliability(x, 0, &a);
    assert_true(a.n_bins == 0 && isnan(a.ece) && isnan(a.auroc));
    for (size_t i = 0; i < 16; i++)
        x[i] = (report_sure){ 0.5, i % 2 };
    report_reliability(x, 16, &a);
    assert_true(a.n_bins == 2 && a.auroc == 0.5 && fabs(a.ece) < 1e-12);
    for (size_t i = 0; i < 16; i++)
        x[i].pass = true;
    report_reliability(x, 16, &a);
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

int main(void)
{
    const struct CMUnitTest tests[] = { /* one ledger for all: those that write to it come last */
        cmocka_unit_test(sides_pairs_and_verdict), cmocka_unit_test(history_names_what_changed),
        cmocka_unit_test(confidence_is_what_its_definition_says), cmocka_unit_test(reliability_of_few_or_equal),
        cmocka_unit_test(private_and_secret_texts_stay), cmocka_unit_test(hostile_text_is_only_text),
        cmocka_unit_test(a_diff_holds_both_texts), cmocka_unit_test(a_file_is_whole_and_its_owners),
        cmocka_unit_test(no_memory_is_an_error), cmocka_unit_test(a_writer_without_memory_says_so),
        cmocka_unit_test(documents_for_the_other_test),
        cmocka_unit_test(nothing_at_all), cmocka_unit_test(a_long_text_is_cut_and_said),
        cmocka_unit_test(suite_changes_are_counted), cmocka_unit_test(purged_is_said),
    };
    if (getenv("HEARTH_REPORT_OUT"))
        cmocka_set_test_filter("documents_for_the_other_test");
    return cmocka_run_group_tests(tests, setup, teardown);
}
