/* choose.c: types for all tensors within a budget of bytes, by what was measured: the least sum of gain x loss, and of
 * time at a price where the caller gives it one. */
#include "base/mem.h"
#include "pack/allocate.h"
#include "pack/job.h"
#include "pack/prices.h"

/* Items are the matrices that were surveyed; the rest of the file has its size already. */
typedef struct problem {
    allocate_item *items;     /* [n] */
    allocate_choice *choices; /* [n][JOB_CANDIDATES] */
    uint32_t *chosen;         /* [n] */
    size_t n;
    uint64_t fixed; /* bytes of the rest */
} problem;

static double cost(const pack_tensor *t, const candidate *c)
{
    return t->gain * c->loss + t->direct_gain * c->direct;
}

/* Of the products of one decoded token: of an embedding that is no head a row is looked up. */
static double time_of(const pack_tensor *t, const quant_traits *type, const prices *p)
{
    if (t->kind == MOMENTS_KINDS)
        return 0;
    return p->decode[type->id] * (double)t->t->ne[0] * (double)gguf_tensor_rows(t->t);
}

static void add_item(problem *p, const pack_tensor *t, const prices *speed)
{
    allocate_choice *c = p->choices + p->n * JOB_CANDIDATES;
    for (size_t k = 0; k < t->n_candidates; k++) {
        const candidate *from = &t->candidates[k];
        c[k] = (allocate_choice){ from->type->id, cost(t, from), plan_padded(plan_bytes(t, from->type)),
                                  time_of(t, from->type, speed) };
    }
    p->items[p->n++] = (allocate_item){ c, t->n_candidates, 0 };
}

static status pose(problem *p, const job *j, const prices *speed, error *err)
{
    *p = (problem){ .items = mem_array(j->n + 1, sizeof *p->items),
                    .choices = mem_array(j->n + 1, JOB_CANDIDATES * sizeof *p->choices),
                    .chosen = mem_array(j->n + 1, sizeof *p->chosen) };
    if (!p->items || !p->choices || !p->chosen)
        return fail(err, E_NOMEM, "no memory for the types of %zu tensors", j->n);
    for (size_t i = 0; i < j->n; i++)
        if (j->tensors[i].n_candidates)
            add_item(p, &j->tensors[i], speed);
        else
            p->fixed += plan_padded(j->tensors[i].t->bytes);
    return OK;
}

/* A per cent of time is worth `speed` per cent of the divergence: which is known when types were chosen without it. */
static status solve(problem *p, uint64_t bytes, double speed, allocate_sum *sum, error *err)
{
    allocate_limits l = { .bytes = bytes > p->fixed ? bytes - p->fixed : 0 };
    status s = allocate(p->items, p->n, &l, p->chosen, sum, err);
    if (s || !(speed > 0) || !(sum->ns > 0))
        return s;
    l.ns_price = speed * sum->loss / sum->ns;
    return allocate(p->items, p->n, &l, p->chosen, sum, err);
}

static void take(job *j, const problem *p)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n; i++) {
        pack_tensor *t = &j->tensors[i];
        if (!t->n_candidates)
            continue;
        const candidate *c = &t->candidates[p->chosen[n++]];
        t->to = c->type;
        t->way = c->way;
    }
}

status choose_types(job *j, uint64_t bytes, error *err)
{
    problem p;
    prices speed = { 0 };
    allocate_sum sum = { 0 };
    status s = j->o->speed > 0 ? prices_measure(&speed, &j->k, j->tools.p, err) : OK;
    if (s)
        return s;
    s = pose(&p, j, &speed, err);
    if (!s)
        s = solve(&p, bytes, j->o->speed, &sum, err);
    if (!s) {
        take(j, &p);
        j->report.expected = sum.loss;
        j->report.ns_token = sum.ns;
    }
    mem_free(p.items);
    mem_free(p.choices);
    mem_free(p.chosen);
    return s;
}
