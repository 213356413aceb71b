/* grade_sets.c: graders made of graders. any-of: the best part counts. all-of: all parts count by weight.
 *
 *            without `threshold`                        with `threshold`
 *   any-of   passes when a part passes                  passes when the best score reaches it
 *   all-of   passes when every part passes              passes when the weighted mean reaches it
 *
 * A part that finds the answer malformed scores 0. Without `threshold` one such part makes an all-of malformed, as it
 * does a task; any-of, and all-of with a threshold, are malformed only when every part says so. */
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

static grade_run_with run_any_of, run_all_of;

enum { SETS_DEPTH_MAX = 4, PARTS_MAX = 128 };

static size_t all_parts(const task_grader *g)
{
    size_t n = g->n_parts;
    for (size_t i = 0; i < g->n_parts; i++)
        n += all_parts(&g->parts[i]);
    return n;
}

static status read_part(task_reader *r, const yaml *node, task_grader *g, bool any)
{
    task_grader *part = &g->parts[g->n_parts++]; /* counted before it is read: grade_clear frees half of one too */
    if (any && yaml_get(node, "weight"))
        return yaml_error(r->f, node, r->err, "a part of any-of has no 'weight': the best one counts alone");
    status s = grade_read_one(r, node, g->depth + 1, part);
    if (!s && !part->key)
        part->key = g->key;
    return s;
}

status read_set_of(task_reader *r, const yaml *map, task_grader *g)
{
    const yaml *list = yaml_get(map, "graders");
    size_t n = yaml_count(list);
    bool any = !strcmp(g->type->name, "any-of");
    if (!list || list->kind != YAML_SEQ || n == 0 || n > TASK_GRADERS_MAX)
        return yaml_error(r->f, map, r->err, "the grader '%s' needs 'graders', a list of 1 to %d", g->type->name,
                          TASK_GRADERS_MAX);
    if (g->depth >= SETS_DEPTH_MAX)
        return yaml_error(r->f, map, r->err, "graders within graders go %d deep at most", SETS_DEPTH_MAX);
    g->parts = arena_alloc(r->a, n * sizeof *g->parts);
    if (!g->parts)
        return task_no_memory(r->err);
    g->run_with = any ? run_any_of : run_all_of;
    double weight = 0;
    status s = OK;
    for (const yaml *node = list->child; node && !s; node = node->next) {
        s = read_part(r, node, g, any);
        weight += g->parts[g->n_parts - 1].weight;
    }
    if (!s && weight <= 0)
        s = yaml_error(r->f, list, r->err, "every grader has weight 0");
    if (!s && all_parts(g) > PARTS_MAX)
        s = yaml_error(r->f, list, r->err, "more than %d graders within one", PARTS_MAX);
    return s;
}

/* The worst reason, with the type and number of the part it is from. */
static void blame(const task_grader *g, size_t i, const grade *part, grade *out)
{
    snprintf(out->reason, sizeof out->reason, "%zu (%s): %.120s", i + 1, g->parts[i].type->name, part->reason);
}

static status run_any_of(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                         grade *out, error *err)
{
    grade best = { .score = -1, .outcome = GRADE_MALFORMED };
    for (size_t i = 0; i < g->n_parts; i++) { /* all of them: whether a case is in order must not hang on the answer */
        grade part = { 0 };
        status s = grade_by(t, &g->parts[i], c, answer, with, &part, err);
        if (s)
            return s;
        bool sooner = g->own_threshold ? (part.outcome == GRADE_MALFORMED) != (best.outcome == GRADE_MALFORMED)
                                       : part.outcome != best.outcome;
        if (sooner ? part.outcome < best.outcome : part.score > best.score) {
            best = part;
            blame(g, i, &part, &best);
        }
    }
    *out = best;
    if (g->own_threshold && best.outcome != GRADE_MALFORMED)
        grade_score(g, best.score, out);
    if (out->outcome == GRADE_PASS)
        out->reason[0] = 0;
    return OK;
}

static status run_all_of(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                         grade *out, error *err)
{
    grade worst = { .score = 0, .outcome = GRADE_PASS };
    double sum = 0, weights = 0;
    size_t malformed = 0;
    for (size_t i = 0; i < g->n_parts; i++) {
        grade part = { 0 };
        status s = grade_by(t, &g->parts[i], c, answer, with, &part, err);
        if (s)
            return s;
        sum += g->parts[i].weight * part.score;
        weights += g->parts[i].weight;
        malformed += part.outcome == GRADE_MALFORMED;
        if (part.outcome > worst.outcome) {
            worst.outcome = part.outcome;
            blame(g, i, &part, &worst);
        }
    }
    *out = worst;
    bool useless = g->own_threshold ? malformed == g->n_parts : malformed > 0;
    if (useless)
        return OK;
    grade_score(g, sum / weights, out);
    if (!g->own_threshold)
        out->outcome = worst.outcome;
    if (out->outcome != GRADE_PASS)
        memcpy(out->reason, worst.reason, sizeof out->reason);
    return OK;
}

/* The first part that knows one. */
status ideal_any_of(const task *t, const task_grader *g, const task_case *c, buf *out, error *err)
{
    status s = OK;
    for (size_t i = 0; i < g->n_parts && !out->len && !s; i++)
        if (g->parts[i].type->ideal && !g->parts[i].negate)
            s = g->parts[i].type->ideal(t, &g->parts[i], c, out, err);
    return s;
}
