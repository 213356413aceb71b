/* score.c: the mean of a suite's scores. The interval (stat.h) bets on each observation from those before it, so it
 * must meet them in an order that says nothing: by the digest of their names, not as the file groups them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "stat/stat.h"
#include "task/evidence.h"

typedef struct observation {
    char order[DIGEST_HEX]; /* of the cluster's name, or the case's own */
    double sum;
    size_t n;
} observation;

static int by_order(const void *a, const void *b)
{
    return strcmp(((const observation *)a)->order, ((const observation *)b)->order);
}

/* Cases of a cluster become one. */
static size_t join(observation *o, size_t n)
{
    size_t out = 0;
    if (n)
        qsort(o, n, sizeof *o, by_order);
    for (size_t i = 0; i < n; i++) {
        if (out && !strcmp(o[out - 1].order, o[i].order)) {
            o[out - 1].sum += o[i].sum;
            o[out - 1].n++;
        } else {
            o[out++] = o[i];
        }
    }
    return out;
}

status task_mean_score(const task_case_key *keys, const double *score, size_t n, task_mean *out, error *err)
{
    observation *o = mem_array(n + 1, sizeof *o);
    double *x = mem_array(n + 1, sizeof *x), sum = 0;
    size_t found = 0;
    status s = o && x ? OK : fail(err, E_NOMEM, "no memory for %zu scores", n);
    for (size_t i = 0; !s && i < n; i++) {
        const char *name = keys[i].c->cluster ? keys[i].c->cluster : keys[i].c->id;
        if (isnan(score[i]))
            continue;
        digest_of(name, strlen(name), o[found].order);
        o[found].sum = score[i];
        o[found++].n = 1;
    }
    if (!s) {
        size_t units = join(o, found);
        for (size_t i = 0; i < units; i++)
            sum += x[i] = o[i].sum / (double)o[i].n;
        stat_interval v = stat_mean_interval(x, units, 0.95);
        double mean = units ? sum / (double)units : NAN;
        *out = (task_mean){ units, mean, fmin(v.low, mean), fmax(v.high, mean) }; /* fmin and fmax pass a NAN over */
    }
    mem_free(o);
    mem_free(x);
    return s;
}
