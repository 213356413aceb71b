/* choose.c: types for all tensors within a budget of bytes, by what was measured. */
#include "base/mem.h"
#include "pack/allocate.h"
#include "pack/job.h"

static double cost(const pack_tensor *t, const candidate *c)
{
    return t->gain * c->loss + t->direct_gain * c->direct;
}

/* Items are the matrices; the rest of the file has its size already. */
status choose_types(job *j, uint64_t bytes, error *err)
{
    allocate_choice *choices = mem_array(j->n * JOB_CANDIDATES, sizeof *choices);
    allocate_item *items = mem_array(j->n, sizeof *items);
    uint32_t *chosen = mem_array(j->n, sizeof *chosen);
    uint64_t fixed = 0;
    size_t n = 0;
    allocate_sum sum;
    for (size_t i = 0; i < j->n; i++) {
        const pack_tensor *t = &j->tensors[i];
        if (!t->n_candidates) {
            fixed += t->t->bytes;
            continue;
        }
        allocate_choice *c = choices + i * JOB_CANDIDATES;
        for (size_t k = 0; k < t->n_candidates; k++)
            c[k] = (allocate_choice){ t->candidates[k].type->id, cost(t, &t->candidates[k]),
                                      plan_bytes(t, t->candidates[k].type), 0 };
        items[n++] = (allocate_item){ c, t->n_candidates, 0 };
    }
    if (bytes < fixed) bytes = fixed;
    status s = allocate(items, n, &(allocate_limits){ .bytes = bytes - fixed }, chosen, &sum, err);
    n = 0;
    for (size_t i = 0; !s && i < j->n; i++) {
        pack_tensor *t = &j->tensors[i];
        if (!t->n_candidates)
            continue;
        const candidate *c = &t->candidates[chosen[n++]];
        t->to = c->type;
        t->way = c->way;
    }
    j->report.expected = s ? 0 : sum.loss;
    mem_free(choices);
    mem_free(items);
    mem_free(chosen);
    return s;
}
