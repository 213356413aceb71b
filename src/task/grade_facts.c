/* grade_facts.c: graders that look at how an answer came about, and what all graders share that need more than a text.
 * What is not known is an error, never a wrong answer. Over a limit the score is limit / actual. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

const grade_facts grade_facts_unknown = { NAN, NAN, NAN, -1, -1, NULL, NAN };

status grade_missing(const task *t, const task_grader *g, const char *what, error *err)
{
    return fail(err, E_UNSUPPORTED, "%s: the grader '%s' needs %s", t->path, g->type->name, what);
}

status run_bare(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                error *err)
{
    const grade_with nothing = { &grade_facts_unknown, NULL };
    return g->run_with(t, g, c, (span){ answer, n }, &nothing, out, err);
}

/* ---- models that graders name ---- */

status read_model(task_reader *r, const yaml *map, bool judge, const char **out)
{
    struct task_memory *m = r->t->memory;
    const yaml *model = yaml_get(map, "model");
    if (!model)
        return yaml_error(r->f, map, r->err, "the grader '%s' needs 'model', a provider",
                          judge ? "judge" : "similarity");
    status s = task_read_text(r, model, out);
    if (!s && !**out)
        s = yaml_error(r->f, model, r->err, "'model' is empty");
    for (size_t i = 0; !s && i < m->n_models; i++)
        if (m->models[i].judge == judge && !strcmp(m->models[i].name, *out))
            return OK;
    if (!s && m->n_models == GRADE_MODELS_MAX)
        s = yaml_error(r->f, model, r->err, "the graders name more than %d models", GRADE_MODELS_MAX);
    if (!s)
        m->models[m->n_models++] = (grade_model){ *out, judge };
    return s;
}

size_t grade_models(const task *t, const grade_model **list)
{
    *list = t->memory->models;
    return t->memory->n_models;
}

status grade_bind_models(task *t, const char *identity, error *err)
{
    const char *kept = arena_strndup(&t->memory->texts, identity, strlen(identity));
    if (!kept)
        return task_no_memory(err);
    t->memory->bound = kept;
    return OK;
}

/* ---- running ---- */

typedef struct bounds {
    double most, least; /* NAN: none */
    bool first;         /* latency: of the first piece */
} bounds;

/* At most b->most: score 1, else the share; the unit is for the reason. */
static status at_most(const task_grader *g, double actual, const char *unit, grade *out)
{
    const bounds *b = g->own;
    grade_score(g, actual > b->most ? b->most / actual : 1, out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "%.4g%s; at most %.4g", actual, unit, b->most);
    return OK;
}

static status run_latency(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                          grade *out, error *err)
{
    (void)c;
    (void)answer;
    bool first = ((const bounds *)g->own)->first;
    double ms = first ? with->facts->ttft_ms : with->facts->latency_ms;
    if (!(ms >= 0))
        return grade_missing(t, g, first ? "the time to the answer's first token, which is not known"
                                         : "the time that the answer took, which is not known", err);
    return at_most(g, ms, " ms", out);
}

static status run_cost(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                       grade *out, error *err)
{
    (void)c;
    (void)answer;
    if (!(with->facts->cost_usd >= 0))
        return grade_missing(t, g, "the answer's cost, which is not known: give the provider a 'price'", err);
    return at_most(g, with->facts->cost_usd, " $", out);
}

static status run_perplexity(const task *t, const task_grader *g, const task_case *c, span answer,
                             const grade_with *with, grade *out, error *err)
{
    (void)c;
    (void)answer;
    if (!(with->facts->mean_logprob <= 0))
        return grade_missing(t, g, "the answer's mean log-probability, which this provider does not say", err);
    return at_most(g, exp(-with->facts->mean_logprob), "", out);
}

static status run_tokens(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                         grade *out, error *err)
{
    (void)c;
    (void)answer;
    const bounds *b = g->own;
    double n = (double)with->facts->n_output;
    if (with->facts->n_output < 0)
        return grade_missing(t, g, "the number of the answer's tokens, which this provider does not say", err);
    grade_score(g, n > b->most ? b->most / n : n < b->least ? n / b->least : 1, out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "%.0f tokens; at %s %.4g", n, n > b->most ? "most" : "least",
                 n > b->most ? b->most : b->least);
    return OK;
}

/* It ended by itself: not where max_tokens or the context did. */
static status run_finish(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                         grade *out, error *err)
{
    (void)c;
    (void)answer;
    const char *how = with->facts->finish;
    if (!how || !*how)
        return grade_missing(t, g, "how the answer ended, which is not known", err);
    grade_score(g, !strcmp(how, "stop") || !strcmp(how, "tool_calls"), out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "the answer did not end by itself");
    return OK;
}

/* ---- reading ---- */

static status read_bound(task_reader *r, const yaml *map, const char *key, bool needed, double *out)
{
    if (!yaml_get(map, key))
        return needed ? yaml_error(r->f, map, r->err, "'%s' is missing", key) : OK;
    return task_read_number(r, map, key, 0, 1e12, out);
}

static bounds *new_bounds(task_reader *r, task_grader *g, grade_run_with *run)
{
    bounds *b = arena_alloc(r->a, sizeof *b);
    if (b)
        *b = (bounds){ NAN, NAN, false };
    g->own = b;
    g->run_with = run;
    return b;
}

static status read_most(task_reader *r, const yaml *map, task_grader *g, grade_run_with *run)
{
    bounds *b = new_bounds(r, g, run);
    return b ? read_bound(r, map, g->type->settings[0], true, &b->most) : task_no_memory(r->err);
}

status read_cost(task_reader *r, const yaml *map, task_grader *g)
{
    return read_most(r, map, g, run_cost);
}

status read_perplexity(task_reader *r, const yaml *map, task_grader *g)
{
    return read_most(r, map, g, run_perplexity);
}

status read_latency(task_reader *r, const yaml *map, task_grader *g)
{
    static const char *const parts[] = { "answer", "first-token" };
    const yaml *of = yaml_get(map, "of");
    size_t part = 0;
    status s = read_most(r, map, g, run_latency);
    if (!s && of)
        s = task_read_word(r, of, parts, ARRAY_LEN(parts), &part);
    if (!s)
        ((bounds *)(uintptr_t)g->own)->first = part == 1;
    return s;
}

status read_tokens(task_reader *r, const yaml *map, task_grader *g)
{
    bounds *b = new_bounds(r, g, run_tokens);
    status s = b ? read_bound(r, map, "max", false, &b->most) : task_no_memory(r->err);
    if (!s)
        s = read_bound(r, map, "min", false, &b->least);
    if (!s && isnan(b->most) && isnan(b->least))
        s = yaml_error(r->f, map, r->err, "the grader 'tokens' needs 'max' or 'min'");
    return s;
}

status read_finish(task_reader *r, const yaml *map, task_grader *g)
{
    (void)r;
    (void)map;
    g->run_with = run_finish;
    return OK;
}
