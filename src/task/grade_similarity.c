/* grade_similarity.c: how near an answer's vector is to an expected text's: the cosine of the angle between them,
 * of the nearest of several. Another model gives other numbers: the threshold belongs to the model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/task_int.h"

enum { EXPECTED_MAX = 64 };

static grade_run_with run_similarity;

status read_embedding(task_reader *r, const yaml *map, task_grader *g)
{
    const char *model = NULL;
    status s = read_model(r, map, false, &model);
    g->own = model;
    g->run_with = run_similarity;
    if (!s && !yaml_get(map, "threshold"))
        s = yaml_error(r->f, map, r->err, "the grader 'similarity' needs 'threshold': how near is near enough depends "
                       "on the model");
    return s;
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* The expected texts; E_FORMAT when there are none, or something else. */
static status expected_texts(const task *t, const task_grader *g, const task_case *c, const char *out[EXPECTED_MAX],
                             size_t *n, error *err)
{
    const js *expected = NULL;
    status s = grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    bool list = js_is(expected, JS_ARRAY);
    *n = list ? js_len(expected) : 1;
    for (size_t i = 0; i < *n && i < EXPECTED_MAX; i++) {
        const js *v = list ? js_at(expected, i) : expected;
        if (!js_is(v, JS_STRING) || !js_len(v) || strlen(js_text(v)) != js_len(v))
            return grade_bad_expected(t, g, c, "texts that are not empty", err);
        out[i] = js_text(v);
    }
    return *n && *n <= EXPECTED_MAX ? OK : grade_bad_expected(t, g, c, "a text, or a list of 1 to 64 texts", err);
}

static status run_similarity(const task *t, const task_grader *g, const task_case *c, span answer,
                             const grade_with *with, grade *out, error *err)
{
    const char *texts[EXPECTED_MAX + 1];
    size_t n = 0, size = 0;
    float *vectors = NULL;
    double best = -1;
    status s = expected_texts(t, g, c, texts + 1, &n, err);
    if (s)
        return s;
    if (!with->tools || !with->tools->embed)
        return grade_missing(t, g, "its embedding model, which is not open here", err);
    char *copy = mem_alloc(answer.n + 1);
    if (!copy)
        return task_no_memory(err);
    memcpy(copy, answer.p, answer.n);
    copy[answer.n] = 0;
    texts[0] = copy;
    s = with->tools->embed(with->tools->user, g->own, texts, n + 1, &vectors, &size, err);
    for (size_t i = 1; !s && i <= n; i++) {
        double near = cosine(vectors, vectors + i * size, size);
        best = near > best ? near : best;
    }
    mem_free(vectors);
    mem_free(copy);
    if (s)
        return s;
    grade_score(g, best, out);
    if (out->outcome != GRADE_PASS)
        snprintf(out->reason, sizeof out->reason, "similarity %.3f, needs %.3g", best, g->threshold);
    return OK;
}
