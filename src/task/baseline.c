/* baseline.c: the two figures that need no model: the best constant answer and the task's own rules. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/task_int.h"

enum { ANSWER_MAX = 1 << 20, CANDIDATES = 16 };

/* ---- rules: reading ---- */

static status read_rule_fields(task_reader *r, const yaml *map, task_rule *rule)
{
    size_t n = yaml_count(map);
    if (map->kind != YAML_MAP || n == 0 || n > 64)
        return yaml_error(r->f, map, r->err, "'fields' is a map of 1 to 64 members");
    const char **names = arena_alloc(r->a, n * sizeof *names), **values = arena_alloc(r->a, n * sizeof *values);
    if (!names || !values)
        return task_no_memory(r->err);
    status s = OK;
    for (const yaml *f = map->child; f && !s; f = f->next) {
        names[rule->n_fields] = f->key;
        s = task_read_text(r, f, &values[rule->n_fields++]);
    }
    rule->names = names;
    rule->values = values;
    return s;
}

static status read_rule(task_reader *r, const yaml *node, task_rule *rule)
{
    static const char *const keys[] = { "regex", "answer", "fields" };
    const yaml *pattern = yaml_get(node, "regex"), *answer = yaml_get(node, "answer");
    const yaml *fields = yaml_get(node, "fields");
    const char *text = NULL;
    error inner;
    if (node->kind != YAML_MAP || !pattern || !answer == !fields)
        return yaml_error(r->f, node, r->err, "a rule has 'regex' and one of 'answer' and 'fields'");
    status s = yaml_known_keys(r->f, node, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = task_read_text(r, pattern, &text);
    if (!s && answer)
        s = task_read_text(r, answer, &rule->answer);
    if (!s && fields)
        s = read_rule_fields(r, fields, rule);
    if (s)
        return s;
    s = regex_open(&rule->pattern, text, false, false, &inner);
    return s == E_NOMEM ? task_no_memory(r->err) : s ? yaml_error(r->f, pattern, r->err, "%s", inner.text) : OK;
}

status baseline_read(task_reader *r, const yaml *node)
{
    static const char *const keys[] = { "rules" };
    task *t = r->t;
    const yaml *rules = yaml_get(node, "rules");
    size_t n = yaml_count(rules);
    if (node->kind != YAML_MAP || !rules || rules->kind != YAML_SEQ || n == 0 || n > TASK_RULES_MAX)
        return yaml_error(r->f, node, r->err, "'baseline' is {rules: […]} with 1 to %d rules", TASK_RULES_MAX);
    status s = yaml_known_keys(r->f, node, keys, ARRAY_LEN(keys), r->err);
    task_rule *list = arena_alloc(r->a, n * sizeof *list);
    if (!list)
        return task_no_memory(r->err);
    t->rules = list;
    for (const yaml *rule = rules->child; rule && !s; rule = rule->next)
        s = read_rule(r, rule, &list[t->n_rules++]);
    return s;
}

void baseline_clear(task *t)
{
    for (size_t i = 0; i < t->n_rules; i++) {
        regex *pattern = t->rules[i].pattern;
        regex_close(&pattern);
    }
}

/* ---- rules: answering ---- */

/* Copies text with $0 … $9 filled in. */
static void expand(buf *out, const char *text, const regex_found *found)
{
    for (const char *p = text; *p; p++) {
        if (*p == '$' && p[1] == '$') {
            buf_char(out, *p++);
        } else if (*p == '$' && p[1] >= '0' && p[1] <= '9') {
            span group = found->groups[*++p - '0'];
            if (group.p)
                buf_add(out, group.p, group.n);
        } else {
            buf_char(out, *p);
        }
    }
}

static status set_fields(js *object, const task_rule *rule, const regex_found *found, error *err)
{
    for (size_t i = 0; i < rule->n_fields; i++) {
        if (js_get(object, rule->names[i]))
            continue;
        buf value = BUF_INIT(ANSWER_MAX);
        expand(&value, rule->values[i], found);
        bool ok = js_set(object, rule->names[i], js_new_stringn(buf_text(&value), value.len));
        buf_clear(&value);
        if (!ok)
            return task_no_memory(err);
    }
    return OK;
}

status task_rules_answer(const task *t, const js *input, char **out, error *err)
{
    if (t->n_rules == 0)
        return fail(err, E_NOTFOUND, "%s: the task has no baseline rules", t->path);
    buf text = BUF_INIT(2 * TASK_LINE_BYTES_MAX), answer = BUF_INIT(ANSWER_MAX);
    js *object = NULL;
    bool done = false;
    task_all_text(input, &text);
    status s = buf_ok(&text, "the input", err);
    for (size_t i = 0; i < t->n_rules && !s && !done; i++) {
        const task_rule *rule = &t->rules[i];
        regex_found found;
        s = regex_match(rule->pattern, buf_text(&text), text.len, &found, err);
        if (s || !found.ok)
            continue;
        if (rule->answer && !object) { /* once fields are being collected, whole answers are out */
            expand(&answer, rule->answer, &found);
            done = true;
        } else if (!rule->answer) {
            if (!object && !(object = js_object()))
                s = task_no_memory(err);
            else
                s = set_fields(object, rule, &found, err);
        }
    }
    if (!s && object)
        js_write(object, JS_COMPACT, &answer);
    if (!s)
        s = buf_ok(&answer, "the rules' answer", err);
    char *taken = s ? NULL : answer.len ? buf_take(&answer) : mem_strdup("");
    if (!s && !taken)
        s = task_no_memory(err);
    if (!s)
        *out = taken;
    js_free(object);
    buf_clear(&answer);
    buf_clear(&text);
    return s;
}

/* ---- the constant ---- */

typedef struct counted {
    char *text;
    size_t n;
} counted;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const counted *)a)->text, ((const counted *)b)->text);
}

/* Most frequent first, ties by text. */
static int by_count(const void *a, const void *b)
{
    const counted *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : by_text(a, b);
}

/* Sorts n texts into distinct ones with their counts (surplus texts are freed); returns how many are left. */
static size_t distinct(counted *c, size_t n)
{
    size_t out = 0;
    if (n)
        qsort(c, n, sizeof *c, by_text);
    for (size_t i = 0; i < n; i++) {
        if (out && !strcmp(c[out - 1].text, c[i].text)) {
            c[out - 1].n += c[i].n;
            mem_free(c[i].text);
        } else {
            c[out++] = c[i];
        }
    }
    if (out)
        qsort(c, out, sizeof *c, by_count);
    return out;
}

static void free_counted(counted *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free(c[i].text);
    mem_free(c);
}

static void score_add(task_score *s, const grade *g)
{
    s->n++;
    s->pass += g->outcome == GRADE_PASS;
    s->wrong += g->outcome == GRADE_WRONG;
    s->malformed += g->outcome == GRADE_MALFORMED;
    s->mean += (g->score - s->mean) / (double)s->n;
}

/* An answer that needs no model comes at once and for nothing. */
static status grade_free(const task *t, const task_case *c, const char *answer, grade *out, error *err)
{
    grade_facts facts = grade_facts_unknown;
    facts.latency_ms = facts.ttft_ms = facts.cost_usd = 0;
    facts.finish = "stop";
    return grade_answer_with(t, c, answer, strlen(answer), &facts, NULL, out, err);
}

/* Grades one constant answer on all cases that have something expected. */
static status score_constant(const task *t, const char *answer, task_score *out, error *err)
{
    task_score sum = { 0 };
    status s = OK;
    for (size_t i = 0; i < t->n_cases && !s; i++) {
        grade g;
        if (!t->cases[i].expected || !task_is_measured(t, &t->cases[i]))
            continue;
        s = grade_free(t, &t->cases[i], answer, &g, err);
        if (!s)
            score_add(&sum, &g);
    }
    if (!s)
        *out = sum;
    return s;
}

/* The most frequent value of every field, one object. */
static status frequent_fields(const task *t, counted *out, error *err)
{
    js *object = js_object();
    status s = object ? OK : task_no_memory(err);
    for (size_t i = 0; i < t->n_cases && !s; i++) {
        js_member m = { 0 };
        while (!s && js_next(t->cases[i].expected, &m)) {
            if (js_get(object, m.key) || js_len(object) > 256)
                continue;
            counted *values = mem_array(t->n_cases, sizeof *values);
            size_t n = 0;
            for (size_t k = i; values && k < t->n_cases; k++) {
                buf b = BUF_INIT(ANSWER_MAX);
                js_write(js_get(t->cases[k].expected, m.key), JS_CANONICAL, &b);
                char *text = buf_take(&b);
                if (text)
                    values[n++] = (counted){ text, 1 };
            }
            n = values ? distinct(values, n) : 0;
            js *best = NULL;
            s = n ? js_parse(&best, values[0].text, strlen(values[0].text), "field", 1, err) : task_no_memory(err);
            if (!s && !js_set(object, m.key, best))
                s = task_no_memory(err);
            free_counted(values, n);
        }
    }
    buf b = BUF_INIT(ANSWER_MAX);
    if (!s)
        js_write(object, JS_COMPACT, &b);
    js_free(object);
    out->text = buf_take(&b);
    out->n = t->n_cases + 1; /* tried first */
    buf_clear(&b);
    return s ? s : out->text ? OK : task_no_memory(err);
}

/* All ideal answers, most frequent first; for JSON the object of the most frequent values before them. */
static status candidates(const task *t, counted **out, size_t *n_out, error *err)
{
    counted *c = mem_array(t->n_cases + 1, sizeof *c);
    size_t n = 0;
    status s = c ? OK : task_no_memory(err);
    for (size_t i = 0; i < t->n_cases && !s; i++) {
        char *text = NULL;
        s = grade_ideal(t, &t->cases[i], &text, err);
        if (!s && text)
            c[n++] = (counted){ text, 1 };
    }
    if (!s && t->output == TASK_JSON && t->n_cases) {
        s = frequent_fields(t, &c[n], err);
        n += !s;
    }
    if (s) {
        free_counted(c, n);
        return s;
    }
    *n_out = distinct(c, n);
    *out = c;
    return OK;
}

static status best_constant(const task *t, task_baselines *out, error *err)
{
    counted *c = NULL;
    size_t n = 0, best = SIZE_MAX;
    task_score best_score = { 0 };
    status s = candidates(t, &c, &n, err);
    for (size_t i = 0; i < n && i < CANDIDATES && !s; i++) {
        task_score score = { 0 };
        s = score_constant(t, c[i].text, &score, err);
        bool better = score.pass > best_score.pass || (score.pass == best_score.pass && score.mean > best_score.mean);
        if (!s && (best == SIZE_MAX || better)) {
            best = i;
            best_score = score;
        }
    }
    if (!s && best != SIZE_MAX) {
        out->constant = c[best].text;
        c[best].text = NULL;
        out->majority = best_score;
    }
    free_counted(c, n);
    return s;
}

static status score_rules(const task *t, task_score *out, error *err)
{
    status s = OK;
    for (size_t i = 0; i < t->n_cases && !s; i++) {
        char *answer = NULL;
        grade g;
        if (!t->cases[i].expected || !task_is_measured(t, &t->cases[i]))
            continue;
        s = task_rules_answer(t, t->cases[i].input, &answer, err);
        if (!s)
            s = grade_free(t, &t->cases[i], answer, &g, err);
        if (!s)
            score_add(out, &g);
        mem_free(answer);
    }
    return s;
}

status task_baseline(const task *t, task_baselines *out, error *err)
{
    task_baselines b = { 0 };
    status s = best_constant(t, &b, err);
    b.has_rules = t->n_rules > 0;
    if (!s && b.has_rules)
        s = score_rules(t, &b.rules, err);
    if (s)
        task_baselines_clear(&b);
    if (s == E_UNSUPPORTED) { /* a grader needs what only a model's answer has: there is no baseline */
        *out = (task_baselines){ 0 };
        return OK;
    }
    if (!s)
        *out = b;
    return s;
}

void task_baselines_clear(task_baselines *b)
{
    mem_free(b->constant);
    *b = (task_baselines){ 0 };
}

static double rate_of(bool there, const task_score *s)
{
    return there && s->n ? (double)s->pass / (double)s->n : NAN;
}

status task_baseline_rates(const task *t, double *constant, double *rules, error *err)
{
    task_baselines b = { 0 };
    status s = task_baseline(t, &b, err);
    if (s)
        return s;
    *constant = rate_of(b.constant != NULL, &b.majority);
    *rules = rate_of(b.has_rules, &b.rules);
    task_baselines_clear(&b);
    return OK;
}
