/* decide.c: what the cases so far prove, by e-processes (stat.h): valid at whatever moment one looks, so that a run may
 * end as soon as the question is decided. The unit is the cluster: cases of one source document are one observation,
 * the mean of theirs. Where every case is a cluster of its own the closed form over three counts is used. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "measure/measure_int.h"
#include "stat/decide.h"
#include "stat/stat.h"

/* ---- order ---- */

typedef struct place {
    char digest[DIGEST_HEX];
    uint32_t key;
} place;

static int by_digest(const void *a, const void *b)
{
    return strcmp(((const place *)a)->digest, ((const place *)b)->digest);
}

/* A cluster is ordered as one, by its own name, so that its cases follow each other. */
static const char *cluster_of(const task_case *c)
{
    return c->cluster ? c->cluster : c->id;
}

status decide_order(const task *t, uint32_t **out, error *err)
{
    place *places = mem_array(t->n_cases + 1, sizeof *places);
    uint32_t *order = mem_array(t->n_cases + 1, sizeof *order);
    if (!places || !order) {
        mem_free(places);
        mem_free(order);
        return fail(err, E_NOMEM, "no memory for the order of %zu cases", t->n_cases);
    }
    size_t n = 0;
    for (size_t i = 0; i < t->n_cases; i++) {
        const char *name = cluster_of(&t->cases[i]);
        if (!task_is_measured(t, &t->cases[i]))
            continue;
        digest_of(name, strlen(name), places[n].digest);
        places[n].key = (uint32_t)n;
        n++;
    }
    qsort(places, n, sizeof *places, by_digest);
    for (size_t i = 0; i < n; i++)
        order[i] = places[i].key;
    mem_free(places);
    *out = order;
    return OK;
}

/* ---- walking ---- */

typedef enum progress { COUNTS, LEFT_OUT, TO_COME } progress;

static progress progress_of(const arm *s, size_t key)
{
    if (s->tally.outcome[key] != TALLY_OPEN)
        return COUNTS;
    return key >= s->n_wanted || s->over || arm_failed(s, key) ? LEFT_OUT : TO_COME;
}

static bool passed(const arm *s, size_t key)
{
    return s->tally.outcome[key] == LEDGER_PASS;
}

/* What a walk adds up: an observation is +1, 0 or -1 a case, and the mean of its cases a cluster. */
typedef struct evidence {
    stat_pairs counts;           /* of cases */
    bool clustered;              /* some cluster has several cases */
    double sum;                  /* of the cluster being walked */
    uint32_t n_in, n_units;
    const char *cluster;
    stat_wealth better, worse;
} evidence;

static void begin_evidence(evidence *e, double margin)
{
    memset(e, 0, sizeof *e);
    stat_wealth_init(&e->better, margin);
    stat_wealth_init(&e->worse, -margin);
}

static void end_cluster(evidence *e)
{
    if (!e->n_in)
        return;
    stat_wealth_add(&e->better, e->sum / e->n_in);
    stat_wealth_add(&e->worse, -e->sum / e->n_in);
    e->n_units++;
    e->sum = 0;
    e->n_in = 0;
}

static void add(evidence *e, const task_case *c, int d)
{
    const char *cluster = cluster_of(c);
    if (e->n_in && strcmp(cluster, e->cluster) == 0)
        e->clustered = true;
    else
        end_cluster(e);
    e->cluster = cluster;
    e->sum += d;
    e->n_in++;
    *(d > 0 ? &e->counts.w : d < 0 ? &e->counts.l : &e->counts.t) += 1;
}

/* ---- verdicts ---- */

const char *measure_decided_name(measure_decided d)
{
    static const char *const names[] = { "open", "proven", "refuted" };
    return names[d];
}

/* That the rest of the suite cannot decide it any more ends nothing: the whole suite has a test of its own (Tango). */
static measure_decided meaning(stat_verdict v)
{
    return v == STAT_PROMOTED ? MEASURE_PROVEN : v == STAT_REJECTED ? MEASURE_REFUTED : MEASURE_OPEN;
}

void decide_pairs(const arm *local, const arm *reference, const uint32_t *order, double alpha,
                  measure_outcome *out)
{
    evidence e;
    double margin = task_margin(local->t);
    begin_evidence(&e, margin);
    for (size_t i = 0; i < local->n_keys; i++) {
        size_t key = order ? order[i] : i;
        progress a = progress_of(local, key), b = progress_of(reference, key);
        if (a == COUNTS && b == COUNTS)
            add(&e, local->by_task[key].c, passed(local, key) - passed(reference, key));
        else if ((a == TO_COME && b != LEFT_OUT) || (b == TO_COME && a != LEFT_OUT))
            break;
    }
    end_cluster(&e);
    stat_interval v = local->o->until_decided ? stat_eprocess_interval(e.counts, 0.95) : stat_tango(e.counts, 0.95);
    out->margin = margin;
    out->win = e.counts.w;
    out->tie = e.counts.t;
    out->loss = e.counts.l;
    out->n_pairs = (uint32_t)(e.counts.w + e.counts.t + e.counts.l);
    out->difference = out->n_pairs ? ((double)e.counts.w - (double)e.counts.l) / out->n_pairs : NAN;
    out->lower = v.low;
    out->upper = v.high;
    out->log_e = e.clustered ? stat_wealth_log(&e.better) : stat_eprocess(e.counts, margin);
    out->decided = meaning(e.clustered ? stat_decide_wealth(&e.better, &e.worse, 1, alpha, local->n_keys)
                                       : stat_decide_pairs(e.counts, margin, alpha, local->n_keys));
    out->decided_after = out->decided == MEASURE_OPEN ? 0 : out->n_pairs;
}

void decide_bar(const arm *s, const uint32_t *order, double alpha, measure_result *out)
{
    evidence e;
    double bar = s->t->bar;
    out->decided = MEASURE_OPEN;
    out->decided_after = 0;
    if (!(bar > 0 && bar < 1))
        return;
    begin_evidence(&e, -bar); /* of clusters: a mean score of at most the bar is a difference of at most -(-bar) */
    for (size_t i = 0; i < s->n_keys; i++) {
        size_t key = order ? order[i] : i;
        progress p = progress_of(s, key);
        if (p == COUNTS)
            add(&e, s->by_task[key].c, passed(s, key));
        else if (p == TO_COME)
            break;
    }
    end_cluster(&e);
    uint64_t k = e.counts.w, n = k + e.counts.t;
    out->decided = meaning(e.clustered ? stat_decide_wealth(&e.better, &e.worse, 1, alpha, s->n_keys)
                                       : stat_decide_bar(k, n, bar, alpha, s->n_keys));
    out->decided_after = out->decided == MEASURE_OPEN ? 0 : (uint32_t)n;
}
