#include "route/near.h"

#include <math.h>

#include "base/mem.h"
#include "stat/stat.h"

static double cosine(const float *a, const float *b, size_t dim)
{
    enum { LANES = 8 }; /* independent sums: one chain would wait for each addition */
    float lane[LANES] = { 0 };
    double sum = 0;
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (; i < dim; i++)
        sum += (double)(a[i] * b[i]);
    for (size_t k = 0; k < LANES; k++)
        sum += (double)lane[k];
    return sum;
}

/* but: an example that is not compared with; SIZE_MAX: none. -1 where there are none. */
static double score_of(const near_task *t, size_t dim, const float *v, size_t but)
{
    double best = -1;
    for (size_t i = 0; i < t->n; i++)
        if (i != but)
            best = fmax(best, cosine(t->vectors + i * dim, v, dim));
    return best;
}

/* The scores of all foreign texts. */
static void foreign_scores(const near_task *tasks, size_t n, size_t which, size_t dim, double *out)
{
    size_t count = 0;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; k != which && i < tasks[k].n; i++)
            out[count++] = score_of(&tasks[which], dim, tasks[k].vectors + i * dim, SIZE_MAX);
}

static uint32_t at_least(const double *scores, size_t n, double threshold)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += scores[i] >= threshold;
    return count;
}

/* From strict to lax, until the first value that cannot be shown to keep the level. */
static void set_threshold(near_task *t, const double *foreign, double level)
{
    int steps = (int)lround((NEAR_STRICTEST - NEAR_LAXEST) / 0.01);
    for (int i = 0; i <= steps; i++) {
        double threshold = NEAR_STRICTEST - 0.01 * i;
        uint32_t taken = at_least(foreign, t->n_foreign, threshold);
        double upper = stat_clopper_pearson_upper(taken, t->n_foreign, NEAR_CONFIDENCE);
        if (upper > level)
            return;
        t->threshold = threshold;
        t->n_foreign_taken = taken;
        t->foreign_upper = upper;
    }
}

status near_calibrate(near_task *tasks, size_t n, size_t dim, double level, error *err)
{
    size_t all = 0;
    for (size_t i = 0; i < n; i++)
        all += tasks[i].n;
    double *scores = mem_array(all + 1, sizeof *scores);
    if (!scores)
        return fail(err, E_NOMEM, "no memory to calibrate on %zu examples", all);
    for (size_t k = 0; k < n; k++) {
        near_task *t = &tasks[k];
        t->threshold = t->foreign_upper = NAN;
        t->n_foreign_taken = t->n_own_taken = 0;
        t->n_foreign = (uint32_t)(all - t->n);
        if (!t->recognised || !t->n || !t->n_foreign)
            continue;
        foreign_scores(tasks, n, k, dim, scores);
        set_threshold(t, scores, level);
        for (size_t i = 0; !isnan(t->threshold) && i < t->n; i++)
            t->n_own_taken += score_of(t, dim, t->vectors + i * dim, i) >= t->threshold;
    }
    mem_free(scores);
    return OK;
}

bool near_find(const near_task *tasks, size_t n, size_t dim, const float *vector, size_t *which, double *score)
{
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        if (isnan(tasks[i].threshold))
            continue;
        double s = score_of(&tasks[i], dim, vector, SIZE_MAX);
        if (s < tasks[i].threshold || (found && s <= *score))
            continue;
        *which = i;
        *score = s;
        found = true;
    }
    return found;
}

static js *number(double v)
{
    return isnan(v) ? js_null() : js_new_double(v);
}

js *near_to_js(const near_task *tasks, size_t n)
{
    js *list = js_array();
    for (size_t i = 0; i < n; i++) {
        const near_task *t = &tasks[i];
        js *o = js_object();
        js_set(o, "task", js_new_string(t->name));
        js_set(o, "threshold", number(t->threshold));
        js_set(o, "examples", js_new_int(t->recognised ? (int64_t)t->n : 0));
        js_set(o, "own_taken", js_new_int(t->n_own_taken));
        js_set(o, "foreign", js_new_int(t->n_foreign));
        js_set(o, "foreign_taken", js_new_int(t->n_foreign_taken));
        js_set(o, "foreign_upper", number(t->foreign_upper));
        js_push(list, o);
    }
    return list;
}
