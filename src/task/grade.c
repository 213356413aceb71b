/* grade.c: the table of graders, reading `graders`, and the task's grade from theirs. What the rows do is
 * in the other files grade_*.c. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "task/task_int.h"

enum { ANSWER_BYTES_MAX = 16 << 20 };

const grade_type grade_table[] = {
    { "equals", { "ignore_case", "ignore_space", "ignore_punctuation" }, read_exact, run_exact, ideal_text },
    { "exact", { "ignore_case", "ignore_space", "ignore_punctuation" }, read_exact, run_exact, ideal_text },
    { "label", { "ignore_case" }, read_label, run_label, ideal_text },
    { "contains", { "values", "ignore_case" }, read_contains, run_contains, ideal_list },
    { "contains-all", { "values", "ignore_case" }, read_contains, run_contains, ideal_list },
    { "contains-any", { "values", "ignore_case" }, read_contains, run_contains, ideal_list },
    { "not-contains", { "values", "ignore_case" }, read_contains, run_not_contains, NULL },
    { "starts-with", { "values", "ignore_case" }, read_contains, run_ends, ideal_ends },
    { "ends-with", { "values", "ignore_case" }, read_contains, run_ends, ideal_ends },
    { "regex", { "pattern", "ignore_case", "full" }, read_regex, run_regex, ideal_regex },
    { "number", { "abs", "rel", "take", "decimal", "units" }, read_number, run_number, ideal_number },
    { "date", { "order" }, read_date, run_date, ideal_text },
    { "is-json", { "kind" }, read_is_json, run_is_json, NULL },
    { "json-schema", { "schema" }, read_json_schema, run_json_schema, NULL },
    { "json-fields", { "fields", "extra" }, read_fields, run_json_fields, ideal_json },
    { "list", { "separator", "ordered", "measure", "ignore_case", "ignore_punctuation" }, read_list, run_list,
      ideal_items },
    { "set", { "separator", "measure", "ignore_case", "ignore_punctuation" }, read_list, run_list, ideal_items },
    { "rouge-1", { "measure", "tokens" }, read_rouge, run_rouge, ideal_text },
    { "rouge-2", { "measure", "tokens" }, read_rouge, run_rouge, ideal_text },
    { "rouge-l", { "measure", "tokens" }, read_rouge, run_rouge, ideal_text },
    { "chrf", { "char_order", "word_order", "beta", "ignore_case", "ignore_punctuation" }, read_chrf, run_chrf,
      ideal_text },
    { "levenshtein", { "ignore_case", "ignore_space", "ignore_punctuation" }, read_levenshtein, run_levenshtein,
      ideal_text },
    { "refusal", { "expect", "values" }, read_refusal, run_refusal, NULL },
    { "length", { "unit", "min", "max" }, read_length, run_length, NULL },
    { "any-of", { "graders" }, read_set_of, run_bare, ideal_any_of },
    { "all-of", { "graders" }, read_set_of, run_bare, NULL },
    { "key-facts", { "values", "ignore_case" }, read_contains, run_key_facts, ideal_list },
    { "max-words", { "max" }, read_limit, run_max_words, NULL },
    { "min-words", { "min" }, read_limit, run_min_words, NULL },
    { "numbers-in-input", { "decimal" }, read_number, run_numbers_in_input, NULL },
    { "latency", { "max_ms", "of" }, read_latency, run_bare, NULL },
    { "cost", { "max_usd" }, read_cost, run_bare, NULL },
    { "tokens", { "max", "min" }, read_tokens, run_bare, NULL },
    { "perplexity", { "max" }, read_perplexity, run_bare, NULL },
    { "finish", { NULL }, read_finish, run_bare, NULL },
    { "similarity", { "model" }, read_embedding, run_bare, ideal_text },
    { "tool-call",
      { "order", "alternatives", "fields", "extra", "abs", "rel", "ignore_case", "ignore_space", "ignore_punctuation" },
      read_calls, run_tool_call, ideal_calls },
    { "command", { "run", "args", "files", "timeout_ms", "memory", "processes" }, read_command, run_bare,
      NULL },
    { "judge", { "model", "rubric", "scale", "mode", "explain" }, read_judge, run_bare, NULL },
};
const size_t grade_table_rows = ARRAY_LEN(grade_table);

static const char *const outcomes[] = { "pass", "wrong", "malformed" };

const char *grade_outcome_name(grade_outcome o)
{
    return outcomes[(unsigned)o < ARRAY_LEN(outcomes) ? o : GRADE_MALFORMED];
}

bool grade_outcome_parse(const char *name, grade_outcome *out)
{
    for (size_t i = 0; name && i < ARRAY_LEN(outcomes); i++)
        if (!strcmp(name, outcomes[i])) {
            *out = (grade_outcome)i;
            return true;
        }
    return false;
}

size_t grade_types(const char *const **names)
{
    static const char *list[ARRAY_LEN(grade_table)] = {
        "equals", "exact", "label", "contains", "contains-all", "contains-any", "not-contains", "starts-with",
        "ends-with", "regex", "number", "date", "is-json", "json-schema", "json-fields", "list", "set", "rouge-1",
        "rouge-2", "rouge-l", "chrf", "levenshtein", "refusal", "length", "any-of", "all-of",
        "key-facts", "max-words", "min-words", "numbers-in-input", "latency", "cost", "tokens", "perplexity",
        "finish", "similarity", "tool-call", "command", "judge",
    };
    *names = list;
    return ARRAY_LEN(list);
}

const char *grade_name(const task *t, size_t grader)
{
    return t->graders[grader].type->name;
}

/* ---- reading ---- */

static status known_settings(task_reader *r, const yaml *node, const grade_type *type)
{
    const char *keys[5 + TASK_SETTINGS_MAX] = { "type", "weight", "threshold", "key", "not" };
    size_t n = 5;
    for (size_t i = 0; i < TASK_SETTINGS_MAX && type->settings[i]; i++)
        keys[n++] = type->settings[i];
    return yaml_known_keys(r->f, node, keys, n, r->err);
}

status grade_read_one(task_reader *r, const yaml *node, int depth, task_grader *g)
{
    const char *const *names = NULL;
    size_t n = grade_types(&names), row = 0;
    if (node->kind != YAML_MAP || !yaml_get(node, "type"))
        return yaml_error(r->f, node, r->err, "a grader is a map with 'type'");
    const yaml *type = yaml_get(node, "type"), *key = yaml_get(node, "key");
    status s = task_read_word(r, type, names, n, &row);
    if (s)
        return s;
    *g = (task_grader){ .type = &grade_table[row], .weight = 1, .threshold = 1, .depth = depth };
    g->own_threshold = yaml_get(node, "threshold") != NULL;
    s = known_settings(r, node, g->type);
    if (!s)
        s = task_read_number(r, node, "weight", 0, 1e6, &g->weight);
    if (!s)
        s = task_read_number(r, node, "threshold", 0, 1, &g->threshold);
    if (!s)
        s = task_read_bool(r, node, "not", &g->negate);
    if (!s && key)
        s = task_read_text(r, key, &g->key);
    return s ? s : g->type->read(r, node, g);
}

status grade_read(task_reader *r, const yaml *list)
{
    task *t = r->t;
    size_t n = yaml_count(list);
    if (list->kind != YAML_SEQ || n == 0 || n > TASK_GRADERS_MAX)
        return yaml_error(r->f, list, r->err, "'graders' is a list of 1 to %d graders", TASK_GRADERS_MAX);
    task_grader *g = arena_alloc(r->a, n * sizeof *g);
    t->memory->graders = g ? yaml_to_js(list) : NULL;
    if (!t->memory->graders)
        return task_no_memory(r->err);
    t->graders = g;
    status s = OK;
    double weight = 0;
    for (const yaml *node = list->child; node && !s; node = node->next) {
        task_grader *one = &g[t->n_graders++]; /* counted before it is read: grade_clear frees half of one too */
        s = grade_read_one(r, node, 0, one);
        weight += one->weight;
    }
    if (!s && weight <= 0)
        s = yaml_error(r->f, list, r->err, "every grader has weight 0");
    return s;
}

static void clear_graders(const task_grader *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        regex *pattern = list[i].pattern;
        schema *demanded = list[i].schema;
        regex_close(&pattern);
        schema_close(&demanded);
        clear_graders(list[i].parts, list[i].n_parts);
    }
}

void grade_clear(task *t)
{
    clear_graders(t->graders, t->n_graders);
}

/* ---- grading ---- */

void grade_score(const task_grader *g, double score, grade *out)
{
    out->score = score > 1 ? 1 : score > 0 ? score : 0;
    out->outcome = out->score >= g->threshold - 1e-12 ? GRADE_PASS : GRADE_WRONG;
    out->reason[0] = 0;
}

status grade_malformed(grade *out, const char *reason)
{
    *out = (grade){ .score = 0, .outcome = GRADE_MALFORMED };
    snprintf(out->reason, sizeof out->reason, "%s", reason);
    return OK;
}

status grade_bad_expected(const task *t, const task_grader *g, const task_case *c, const char *wanted, error *err)
{
    (void)fail(err, E_FORMAT, "the grader '%s' needs %s in 'expected%s%s'", g->type->name, wanted, g->key ? "." : "",
               g->key ? g->key : "");
    if (!*c->id) /* no case of the task: the caller knows where it is from */
        return E_FORMAT;
    return fail_prefix(err, E_FORMAT, "%s/cases.jsonl:%d: case '%s': ", t->dir, c->line, c->id);
}

status grade_expected(const task *t, const task_grader *g, const task_case *c, const js **out, error *err)
{
    const js *v = g->key ? js_get(c->expected, g->key) : c->expected;
    if (!v)
        return grade_bad_expected(t, g, c, "a value", err);
    *out = v;
    return OK;
}

static bool blank(const char *answer, size_t n)
{
    return span_trim((span){ answer, n }).n == 0;
}

const char *grade_unusable(const char *answer, size_t n)
{
    return n > ANSWER_BYTES_MAX         ? "the answer is too long"
           : blank(answer, n)           ? "the answer is empty"
           : !utf8_valid(answer, n)     ? "the answer is not UTF-8"
           : memchr(answer, 0, n)       ? "the answer holds a zero character"
                                        : NULL;
}

/* Also what is not as the task's schema demands. */
static status look(const task *t, const char *answer, size_t n, grade *out, error *err)
{
    const char *why = grade_unusable(answer, n);
    return why ? grade_malformed(out, why) : t->schema ? grade_by_schema(t, answer, n, out, err) : OK;
}

static const grade_with nothing_else = { &grade_facts_unknown, NULL };

status grade_by(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                grade *out, error *err)
{
    grade one = { 0 };
    status s = g->run_with ? g->run_with(t, g, c, answer, with, &one, err)
                           : g->type->run(t, g, c, answer.p, answer.n, &one, err);
    if (s)
        return s;
    if (g->negate && one.outcome != GRADE_MALFORMED) {
        bool wrong = one.outcome == GRADE_WRONG;
        one = (grade){ .score = wrong, .outcome = wrong ? GRADE_PASS : GRADE_WRONG };
        if (!wrong)
            snprintf(one.reason, sizeof one.reason, "not %s: but it is", g->type->name);
    }
    if (one.outcome == GRADE_WRONG && !one.reason[0])
        snprintf(one.reason, sizeof one.reason, "%s: %.3g, needs %.3g", g->type->name, one.score, g->threshold);
    *out = one;
    return OK;
}

status grade_one(const task *t, size_t grader, const task_case *c, const char *answer, size_t n, grade *out, error *err)
{
    grade looked = { 0 };
    status s = look(t, answer, n, &looked, err);
    if (s)
        return s;
    if (looked.outcome != GRADE_MALFORMED)
        return grade_by(t, &t->graders[grader], c, (span){ answer, n }, &nothing_else, out, err);
    *out = looked;
    return OK;
}

status grade_all(const task *t, const task_case *c, const char *answer, size_t n, const grade_with *with, grade *whole,
                 grade *parts, error *err)
{
    if (!with)
        with = &nothing_else;
    grade total = { .score = 0, .outcome = GRADE_PASS }, looked = { 0 };
    double sum = 0, weights = 0;
    status s = look(t, answer, n, &looked, err);
    if (s)
        return s;
    for (size_t i = 0; i < t->n_graders; i++) {
        grade one = looked;
        if (looked.outcome != GRADE_MALFORMED)
            s = grade_by(t, &t->graders[i], c, (span){ answer, n }, with, &one, err);
        if (s)
            return s;
        if (parts)
            parts[i] = one;
        sum += t->graders[i].weight * one.score;
        weights += t->graders[i].weight;
        if (one.outcome > total.outcome) { /* pass < wrong < malformed: the worst, with its reason */
            total.outcome = one.outcome;
            memcpy(total.reason, one.reason, sizeof total.reason);
        }
    }
    total.score = total.outcome == GRADE_MALFORMED ? 0 : sum / weights;
    *whole = total;
    return OK;
}

status grade_answer(const task *t, const task_case *c, const char *answer, size_t n, grade *out, error *err)
{
    return grade_all(t, c, answer, n, NULL, out, NULL, err);
}

status grade_answer_with(const task *t, const task_case *c, const char *answer, size_t n, const grade_facts *facts,
                         const grade_tools *tools, grade *out, error *err)
{
    return grade_all(t, c, answer, n, &(grade_with){ facts, tools }, out, NULL, err);
}

status grade_ideal(const task *t, const task_case *c, char **out, error *err)
{
    const js *reference = js_get(c->expected, "reference");
    buf b = BUF_INIT(ANSWER_BYTES_MAX);
    bool known = js_is(reference, JS_STRING);
    status s = OK;
    if (known)
        buf_str(&b, js_text(reference));
    for (size_t i = 0; i < t->n_graders && !known && !s; i++)
        if (t->graders[i].type->ideal && !t->graders[i].negate) {
            s = t->graders[i].type->ideal(t, &t->graders[i], c, &b, err);
            known = b.len > 0;
        }
    if (!s)
        s = buf_ok(&b, "the ideal answer", err);
    if (!s)
        *out = known ? buf_take(&b) : NULL;
    if (!s && known && !*out)
        s = task_no_memory(err);
    buf_clear(&b);
    return s;
}
