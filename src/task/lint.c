/* lint.c: what is wrong with a task before it is measured. One function a question; each adds findings. */
#include "task/lint.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stat/confidence.h"
#include "stat/stat.h"
#include "task/lint_int.h"
#include "task/task_int.h"

typedef struct linter {
    const task *t;
    lint_report *r;
    error *err;
    bool no_shots[TASK_VARIANTS_MAX + 1]; /* the prompt's few_shot cannot be had */
    size_t told; /* the case whose near-duplicate was told last, + 1 */
} linter;

static status add(linter *l, lint_level level, const char *code, const char *format, ...) PRINTF_LIKE(4, 5);
static status add(linter *l, lint_level level, const char *code, const char *format, ...)
{
    lint_report *r = l->r;
    *(level == LINT_ERROR ? &r->n_errors : &r->n_warnings) += 1;
    if (r->n == LINT_FINDINGS_MAX)
        return OK;
    if (r->n == r->size) {
        size_t size = r->size ? 2 * r->size : 16;
        lint_finding *more = mem_resize(r->findings, size * sizeof *more);
        if (!more)
            return task_no_memory(l->err);
        r->findings = more;
        r->size = size;
    }
    error text; /* its cut at a character boundary is what is wanted here */
    va_list args;
    va_start(args, format);
    (void)fail_v(&text, E_FORMAT, format, args);
    va_end(args);
    char *copy = mem_strdup(text.text);
    if (!copy)
        return task_no_memory(l->err);
    r->findings[r->n++] = (lint_finding){ level, code, copy };
    return OK;
}

/* A failure of another function becomes a finding, except for want of memory. */
static status add_failure(linter *l, const char *code, const char *prefix, status s, const error *why)
{
    if (s == E_NOMEM)
        return task_no_memory(l->err);
    return add(l, LINT_ERROR, code, "%s%s", prefix, why->text);
}

/* "tasks/a/cases.jsonl:12: case 'x': " */
static void where(const linter *l, const task_case *c, char *out, size_t size)
{
    snprintf(out, size, "%.2000s/cases.jsonl:%d: case '%.128s': ", l->t->dir, c->line, c->id);
}

/* ---- one case ---- */

static status lint_grader(linter *l, const task_case *c, size_t i, const char *at)
{
    const task *t = l->t;
    error why;
    grade g;
    buf ideal = BUF_INIT(16 << 20);
    const task_grader *g_at = &t->graders[i];
    status s = g_at->type->ideal && !g_at->negate ? g_at->type->ideal(t, g_at, c, &ideal, &why) : OK;
    bool known = !s && ideal.len > 0;
    if (!s)
        s = buf_ok(&ideal, "the ideal answer", &why);
    /* without an ideal answer any will do to see whether `expected` can be used at all */
    if (!s)
        s = grade_one(t, i, c, known ? ideal.data : "x", known ? ideal.len : 1, &g, &why);
    buf_clear(&ideal);
    if (s == E_UNSUPPORTED && t->graders[i].run_with)
        return OK; /* it needs more than a text, which only a measurement has; `expected` was looked at before that */
    if (s)
        return add_failure(l, c->expected ? "bad-expected" : "no-expected", "", s, &why);
    if (known && g.score < 1 - 1e-9)
        return add(l, LINT_ERROR, "expected-fails", "%sits own expected answer fails '%s' (%s)", at, grade_name(t, i),
                   g.reason);
    return OK;
}

/* The prompt of this case can be made. */
static status lint_prompt(linter *l, const task_prompt *p, const task_case *c, const char *at, bool *failed)
{
    task_messages m = { false, 0, NULL };
    error why;
    char name[160];
    status s = task_render(l->t, p, c->input, c->id, &m, &why);
    task_messages_clear(&m);
    *failed = s != OK;
    if (!s)
        return OK;
    snprintf(name, sizeof name, "case '%.128s': ", c->id);
    bool named = str_starts(why.text, name); /* so does `at`, with the line */
    if (s == E_NOMEM)
        return task_no_memory(l->err);
    return add(l, LINT_ERROR, "missing-variable", "%s%s", at, why.text + (named ? strlen(name) : 0));
}

/* few_shot finds as many train cases as it wants: told once, not for every case. */
static status lint_shots(linter *l)
{
    status s = OK;
    for (size_t v = 0; v <= l->t->n_variants && !s; v++) {
        const task_prompt *p = v ? &l->t->variants[v - 1] : &l->t->prompt;
        shots_chosen chosen;
        error why;
        status chose = p->shots.n ? shots_choose(l->t, p, NULL, NULL, &chosen, &why) : OK;
        l->no_shots[v] = chose != OK;
        if (chose)
            s = add_failure(l, "few-shot", "", chose, &why);
    }
    return s;
}

static status lint_case(linter *l, const task_case *c)
{
    char at[2400];
    error why;
    status s = OK;
    where(l, c, at, sizeof at);
    const js *reference = js_get(c->expected, "reference");
    for (size_t i = 0; i < l->t->n_graders && !s; i++)
        s = lint_grader(l, c, i, at);
    if (!s && js_is(reference, JS_STRING)) {
        grade g;
        if (!grade_answer(l->t, c, js_text(reference), js_len(reference), &g, &why) && g.outcome != GRADE_PASS)
            s = add(l, LINT_ERROR, "reference-fails", "%sthe reference answer does not pass (%s)", at, g.reason);
    }
    for (size_t v = 0; v <= l->t->n_variants && !s; v++) {
        bool failed = false;
        if (l->no_shots[v])
            continue;
        s = lint_prompt(l, v ? &l->t->variants[v - 1] : &l->t->prompt, c, at, &failed);
        if (failed)
            break;
    }
    l->r->n_hard += task_case_has_tag(c, "hard");
    return s;
}

/* ---- input members that no prompt uses ---- */

typedef struct wanted {
    const char *name;
    bool used;
} wanted;

static bool is_wanted(void *at, const char *name, size_t n)
{
    wanted *w = at;
    w->used = w->used || (strlen(w->name) == n && !memcmp(w->name, name, n));
    return !w->used;
}

static status lint_unused(linter *l)
{
    const char *told[32];
    size_t n_told = 0;
    for (size_t i = 0; i < l->t->n_cases; i++) {
        js_member m = { 0 };
        while (n_told < ARRAY_LEN(told) && js_next(l->t->cases[i].input, &m)) {
            wanted w = { m.key, false };
            for (size_t k = 0; k < n_told && !w.used; k++)
                w.used = !strcmp(told[k], m.key);
            if (!w.used)
                prompt_variables(&l->t->prompt, is_wanted, &w);
            for (size_t v = 0; v < l->t->n_variants && !w.used; v++)
                prompt_variables(&l->t->variants[v], is_wanted, &w);
            if (w.used)
                continue;
            told[n_told++] = m.key;
            status s = add(l, LINT_WARNING, "unused-input", "%s/cases.jsonl:%d: no prompt uses input.%.60s", l->t->dir,
                           l->t->cases[i].line, m.key);
            if (s)
                return s;
        }
    }
    return OK;
}

/* ---- near-duplicates and leaks ---- */

/* Cases of one cluster are known to be alike; and one finding a case is enough. */
static bool alike(void *at, size_t earlier, size_t later)
{
    const linter *l = at;
    const char *a = l->t->cases[earlier].cluster, *b = l->t->cases[later].cluster;
    return l->told == later + 1 || (a && b && !strcmp(a, b));
}

static status near(void *at, size_t earlier, size_t later, double similarity)
{
    linter *l = at;
    char here[2400];
    l->told = later + 1;
    where(l, &l->t->cases[later], here, sizeof here);
    return add(l, LINT_ERROR, "near-duplicate", "%sthe input is nearly that of '%s' in line %d (Jaccard %.2f)", here,
               l->t->cases[earlier].id, l->t->cases[earlier].line, similarity);
}

/* The texts of one example in a prompt: a message without variables. */
static status lint_example(linter *l, const task_message *m, const gram_set *sets, char *const *folded)
{
    gram_set grams = { 0, NULL };
    size_t n = 0;
    char *text = text_fold(m->content, strlen(m->content), FOLD_CASE | FOLD_SPACE | FOLD_PUNCTUATION, &n);
    status s = text ? grams_of(&grams, m->content, strlen(m->content), l->err) : task_no_memory(l->err);
    for (size_t i = 0; i < l->t->n_cases && !s; i++) {
        size_t words = text_count_words(span_of(folded[i]));
        bool inside = words >= 3 && strstr(text, folded[i]);
        if (!task_is_measured(l->t, &l->t->cases[i]))
            continue; /* what is never measured may be shown */
        if (!inside && (words < 3 || grams_similarity(&grams, &sets[i]) <= 0.5))
            continue;
        char here[2400];
        where(l, &l->t->cases[i], here, sizeof here);
        s = add(l, LINT_ERROR, "leak", "%sthe input is also an example in the prompt", here);
    }
    mem_free(grams.grams);
    mem_free(text);
    return s;
}

static status lint_texts(linter *l)
{
    const task *t = l->t;
    gram_set *sets = mem_array(t->n_cases + 1, sizeof *sets);
    char **folded = mem_array(t->n_cases + 1, sizeof *folded);
    status s = sets && folded ? OK : task_no_memory(l->err);
    for (size_t i = 0; i < t->n_cases && !s; i++) {
        buf text = BUF_INIT(2 * TASK_LINE_BYTES_MAX);
        size_t n = 0;
        task_all_text(t->cases[i].input, &text);
        s = buf_ok(&text, "the input", l->err);
        if (!s)
            s = grams_of(&sets[i], buf_text(&text), text.len, l->err);
        if (!s && !(folded[i] = text_fold(buf_text(&text), text.len, FOLD_CASE | FOLD_SPACE | FOLD_PUNCTUATION, &n)))
            s = task_no_memory(l->err);
        buf_clear(&text);
    }
    for (size_t v = 0; v <= t->n_variants && !s; v++) {
        const task_prompt *p = v ? &t->variants[v - 1] : &t->prompt;
        for (size_t i = 0; i < p->n_messages && !s; i++)
            s = lint_example(l, &p->messages[i], sets, folded);
    }
    if (!s) /* last: it sorts the sets anew */
        s = grams_pairs(sets, t->n_cases, alike, near, l, l->err);
    for (size_t i = 0; i < t->n_cases; i++) {
        if (sets)
            mem_free(sets[i].grams);
        if (folded)
            mem_free(folded[i]);
    }
    mem_free(sets);
    mem_free(folded);
    return s;
}

/* ---- the suite as a whole ---- */

static status lint_labels(linter *l)
{
    const task *t = l->t;
    size_t *counts = mem_array(t->n_labels + 1, sizeof *counts), most = 0;
    status s = counts ? OK : task_no_memory(l->err);
    for (size_t i = 0; i < t->n_cases && !s; i++)
        for (size_t k = 0; k < t->n_labels; k++)
            if (task_is_measured(t, &t->cases[i]) && js_is(t->cases[i].expected, JS_STRING) &&
                !strcmp(js_text(t->cases[i].expected), t->labels[k]))
                counts[k]++;
    for (size_t k = 0; k < t->n_labels && !s; k++)
        most = counts[k] > most ? counts[k] : most;
    for (size_t k = 0; k < t->n_labels && most && !s; k++) {
        l->r->n_labels_used += counts[k] > 0;
        if (counts[k] == 0)
            s = add(l, LINT_WARNING, "unused-label", "%s: no case expects the label '%s'", t->path, t->labels[k]);
        else if (counts[k] * 10 < most)
            s = add(l, LINT_WARNING, "label-balance", "%s: '%s' is expected %zu times, another label %zu times",
                    t->path, t->labels[k], counts[k], most);
    }
    mem_free(counts);
    return s;
}

/* With a split only the test cases count. */
static status lint_size(linter *l)
{
    const task *t = l->t;
    size_t n = task_measured(t);
    const char *kind = n < t->n_cases ? " test" : "";
    status s = OK;
    if (n == 0)
        return add(l, LINT_ERROR, "no-test-cases", "%s: the split leaves no case to measure", t->path);
    if (n < 60)
        s = add(l, LINT_WARNING, "few-cases", "%s: %zu%s cases; 60 or more are recommended (%zu can prove +-%.0f "
                "points)", t->path, n, kind, n, 100 * stat_resolution(n, .19, .05, .8));
    if (!s && (double)l->r->n_hard < .15 * (double)t->n_cases)
        s = add(l, LINT_WARNING, "few-hard", "%s: %zu of %zu cases are tagged 'hard'; 15 %% or more are recommended",
                t->path, l->r->n_hard, t->n_cases);
    if (!s && t->sampling.temperature > 0 && t->sampling.repeats < 2)
        s = add(l, LINT_WARNING, "no-repeats", "%s: temperature %g with one repeat measures chance", t->path,
                t->sampling.temperature);
    double most = stat_clopper_pearson_lower(n, n, .95);
    if (!s && t->bar > most)
        s = add(l, LINT_WARNING, "bar-unprovable", "%s: bar %g: even %zu of %zu right prove only %.3f", t->path, t->bar,
                n, n, most);
    return s;
}

/* What a run would only find out at its first answer, or never. */
static status lint_tools(linter *l)
{
    const task *t = l->t;
    const grade_model *models = NULL;
    size_t n = grade_models(t, &models);
    bool calls = false, guarded = t->privacy >= PRIVACY_PRIVATE && !t->synthetic;
    status s = OK;
    for (size_t i = 0; i < t->n_graders; i++)
        calls = calls || t->graders[i].type->run == run_tool_call;
    if (t->tools && !calls)
        s = add(l, LINT_WARNING, "ungraded-calls", "%s: there are tools, and no grader 'tool-call'", t->path);
    for (size_t i = 0; i < n && !s; i++)
        if (guarded && str_starts(models[i].name, "openai:"))
            s = add(l, LINT_ERROR, "judge-not-local", "%s: %s may not see a %s task's cases as a grader: name a local "
                    "model", t->path, models[i].name, privacy_class_name(t->privacy));
    for (size_t i = 0; i < t->n_graders && !s; i++) {
        const char *program = command_program(&t->graders[i]);
        if (program && access(program, X_OK) != 0)
            s = add(l, LINT_ERROR, "no-program", "%s: the grader 'command': %s is not there, or not executable",
                    t->path, program);
    }
    return s;
}

static status lint_cascade(linter *l)
{
    const task *t = l->t;
    size_t n = task_measured(t), least = stat_threshold_needs(0, t->cascade.risk, 1 - t->cascade.confidence);
    if (!t->cascade.asked)
        return OK;
    if (t->privacy >= PRIVACY_PRIVATE)
        return add(l, LINT_ERROR, "cascade-private", "%s: a %s task has no cascade: what a local model is not sure of "
                   "would go to a cloud", t->path, privacy_class_name(t->privacy));
    status s = OK;
    if (n < least)
        s = add(l, LINT_WARNING, "cascade-few-cases", "%s: 'cascade': %zu cases; a risk of %g takes %zu or more, all "
                "of them accepted and right", t->path, n, t->cascade.risk, least);
    if (!s && task_is_clustered(t))
        s = add(l, LINT_WARNING, "cascade-clusters", "%s: 'cascade': cases share clusters, so that no threshold can be "
                "had from them", t->path);
    if (!s && t->bar > 1 - t->cascade.risk)
        s = add(l, LINT_WARNING, "cascade-below-bar", "%s: 'cascade': with a risk of %g accepted answers need not "
                "reach the bar of %g", t->path, t->cascade.risk, t->bar);
    return s;
}

static double rate(const task_score *s)
{
    return s->n ? (double)s->pass / (double)s->n : 0;
}

static status lint_baselines(linter *l)
{
    const task *t = l->t;
    task_baselines b = { 0 };
    status s = OK;
    if (t->bar < 0 || task_baseline(t, &b, NULL) != OK) /* what failed was reported case by case */
        return OK;
    if (b.constant && rate(&b.majority) >= t->bar)
        s = add(l, LINT_WARNING, "bar-too-low", "%s: one constant answer passes %.0f %% of the cases; the bar is %g",
                t->path, 100 * rate(&b.majority), t->bar);
    if (!s && b.has_rules && rate(&b.rules) >= t->bar)
        s = add(l, LINT_WARNING, "bar-too-low", "%s: the rules pass %.0f %% of the cases; the bar is %g", t->path,
                100 * rate(&b.rules), t->bar);
    task_baselines_clear(&b);
    return s;
}

status lint_loaded(const task *t, lint_report *out, error *err)
{
    lint_report r = { .n_cases = t->n_cases };
    linter l = { .t = t, .r = &r, .err = err };
    status s = OK;
    if (t->bar < 0 && t->margin < 0)
        s = add(&l, LINT_ERROR, "no-bar", "%s: neither 'bar' nor 'margin' is set: nothing could be decided", t->path);
    if (!s)
        s = lint_shots(&l);
    for (size_t i = 0; i < t->n_cases && !s; i++)
        s = lint_case(&l, &t->cases[i]);
    if (!s)
        s = lint_unused(&l);
    if (!s)
        s = lint_texts(&l);
    if (!s)
        s = lint_labels(&l);
    if (!s)
        s = lint_size(&l);
    if (!s)
        s = lint_tools(&l);
    if (!s)
        s = lint_cascade(&l);
    if (!s && r.n_errors == 0)
        s = lint_baselines(&l);
    if (s)
        lint_report_clear(&r);
    else
        *out = r;
    return s;
}

status lint_inputs(const task *t, lint_report *out, error *err)
{
    lint_report r = { .n_cases = t->n_cases };
    linter l = { .t = t, .r = &r, .err = err };
    status s = lint_texts(&l);
    if (s)
        lint_report_clear(&r);
    else
        *out = r;
    return s;
}

status lint_task(const char *path_or_name, const char *bin_dir, lint_report *out, task **loaded, error *err)
{
    task *t = NULL;
    error why;
    status s = task_open(&t, path_or_name, bin_dir, &why);
    if (!s)
        s = task_load_cases(t, &why);
    if (s) {
        lint_report r = { 0 };
        linter l = { .t = t, .r = &r, .err = err };
        s = add_failure(&l, "unreadable", "", s, &why);
        if (!s)
            *out = r;
    } else {
        s = lint_loaded(t, out, err);
    }
    if (!s && loaded)
        *loaded = t;
    else
        task_close(&t);
    return s;
}

void lint_report_clear(lint_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        mem_free(r->findings[i].text);
    mem_free(r->findings);
    *r = (lint_report){ 0 };
}
