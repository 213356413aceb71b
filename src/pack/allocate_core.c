/* allocate_core.c: the best choice, starting from the one that prices make.
 *
 * Only units whose slopes are near the price are likely to be chosen otherwise than the base does. They are taken in
 * that order, and after each there is a list of states: what the units so far may have been given, all others being
 * as in the base. A state goes when another costs no more for no more bytes, or when even the slopes of the units that
 * are left could not make it better than the best that is known; those slopes get further from the price, so at last no
 * state is left, and the best is the best there is (Pisinger, "A minimal algorithm for the multiple-choice knapsack
 * problem", 1995). Lists have a ceiling: beyond it they are thinned, and the answer may be a little worse. */
#include "pack/allocate_int.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    STATES = 1 << 14,        /* of a list */
    BUFFERS = 4,             /* lists: of before, two of now, thinned */
    HISTORY_LEAST = 1 << 12,
    HISTORY_MOST = 1 << 22,
    NO_HISTORY = UINT32_MAX,
};
#define ROUNDING 1e-12 /* of the cost: gains below are none */

typedef struct state {
    uint64_t bytes;
    double cost;
    uint32_t history, option; /* option: of this unit; until `record` the history is the one before */
} state;

/* How a state came about: the units that differ from the base, the last first. */
typedef struct event {
    uint32_t before, unit, option;
} event;

/* The slopes around a unit's option in the base. */
typedef struct bend {
    double up, down; /* what a byte more would save, what a byte less would cost; 0 and INFINITY: there is none */
    double distance; /* from the price */
    uint32_t unit;
} bend;

typedef struct core {
    allocate_problem *p;
    bend *bends;     /* [n_units] the nearest first */
    bend rest;       /* of all units not taken yet: the most that is saved, the least that it costs */
    state *lists[BUFFERS];
    event *history;
    uint32_t n_history, max_history;
    uint32_t best;   /* history of the best state; NO_HISTORY: the best is what it was at the beginning */
    bool improved;
} core;

/* ---- the order of units ---- */

static int by_distance(const void *a, const void *b)
{
    const bend *x = a, *y = b;
    if (x->distance < y->distance || x->distance > y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->unit < y->unit ? -1 : x->unit > y->unit;
}

static void make_bends(core *c)
{
    const allocate_problem *p = c->p;
    for (uint32_t i = 0; i < p->n_units; i++)
        c->bends[i] = (bend){ 0, INFINITY, 0, i };
    for (size_t i = 0; i < p->n_steps; i++) {
        const allocate_step *s = &p->steps[i];
        if (s->from == p->base[s->unit])
            c->bends[s->unit].up = s->slope;
        if (s->to == p->base[s->unit])
            c->bends[s->unit].down = s->slope;
    }
    for (size_t i = 0; i < p->n_units; i++)
        c->bends[i].distance = fmin(p->price - c->bends[i].up, c->bends[i].down - p->price);
    qsort(c->bends, p->n_units, sizeof *c->bends, by_distance);
}

/* c->rest after the first n units, from what it must be before: kept in the bends, from the end. */
static void sum_up_bends(core *c)
{
    for (size_t i = c->p->n_units - 1; i-- > 0;) {
        c->bends[i].up = fmax(c->bends[i].up, c->bends[i + 1].up);
        c->bends[i].down = fmin(c->bends[i].down, c->bends[i + 1].down);
    }
}

/* ---- states ---- */

/* The least that can come of it. */
static double bound_of(const core *c, uint64_t bytes, double cost)
{
    uint64_t budget = c->p->budget;
    if (bytes <= budget)
        return cost - (double)(budget - bytes) * c->rest.up;
    return cost + (double)(bytes - budget) * c->rest.down;
}

static bool is_hopeless(const core *c, uint64_t bytes, double cost)
{
    return bound_of(c, bytes, cost) >= c->p->best_cost * (1 - ROUNDING);
}

/* Both lists are by bytes, each state cheaper than the one before, and so is `out`. Those of b get the option first. */
static size_t merge(const core *c, const state *a, size_t n_a, const state *b, size_t n_b, uint32_t unit,
                    uint32_t option, state *out)
{
    const allocate_problem *p = c->p;
    const allocate_option *o = p->options + p->units[unit].first, *base = &o[p->base[unit]];
    size_t n = 0;
    while (n_a || n_b) {
        state s = { 0 };
        if (n_b)
            s = (state){ b->bytes - base->bytes + o[option].bytes, b->cost + (o[option].cost - base->cost), b->history,
                         option };
        if (!n_b || (n_a && (a->bytes < s.bytes || (a->bytes == s.bytes && a->cost <= s.cost)))) {
            s = *a++;
            n_a--;
        } else {
            b++;
            n_b--;
        }
        if ((!n || s.cost < out[n - 1].cost) && !is_hopeless(c, s.bytes, s.cost))
            out[n++] = s;
    }
    return n;
}

/* Leaves the state with the best bound in each of so many stretches of bytes. */
static size_t thin(const core *c, const state *from, size_t n, state *to)
{
    double least = (double)from[0].bytes, width = ((double)from[n - 1].bytes - least) / (STATES - 1);
    size_t kept = 0, last = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t stretch = (size_t)(((double)from[i].bytes - least) / width);
        if (stretch != last)
            to[kept++] = from[i];
        else if (bound_of(c, from[i].bytes, from[i].cost) < bound_of(c, to[kept - 1].bytes, to[kept - 1].cost))
            to[kept - 1] = from[i];
        last = stretch;
    }
    return kept;
}

static void swap_lists(core *c, int i, int j)
{
    state *other = c->lists[i];
    c->lists[i] = c->lists[j];
    c->lists[j] = other;
}

/* lists[0], n states, becomes the list with this unit too. */
static size_t add_unit(core *c, uint32_t unit, size_t n)
{
    size_t n_now = 0;
    for (uint32_t option = 0; option < c->p->units[unit].n; option++) {
        n_now = merge(c, c->lists[1], n_now, c->lists[0], n, unit, option, c->lists[2]);
        if (n_now > STATES) {
            n_now = thin(c, c->lists[2], n_now, c->lists[3]);
            swap_lists(c, 2, 3);
            c->p->exact = false;
        }
        swap_lists(c, 1, 2);
    }
    swap_lists(c, 0, 1);
    return n_now;
}

/* ---- how they came about ---- */

static status reserve_history(core *c, size_t more, bool *full, error *err)
{
    *full = c->n_history + more > HISTORY_MOST;
    if (*full || c->n_history + more <= c->max_history)
        return OK;
    uint32_t max = c->max_history ? c->max_history : HISTORY_LEAST;
    while (max < c->n_history + more)
        max *= 2;
    event *larger = mem_resize(c->history, max * sizeof *larger);
    if (!larger)
        return fail(err, E_NOMEM, "no memory for %u states of an allocation", max);
    c->history = larger;
    c->max_history = max;
    return OK;
}

/* Writes down what is not as in the base, and the best so far. */
static void record(core *c, uint32_t unit, size_t n)
{
    allocate_problem *p = c->p;
    state *list = c->lists[0];
    for (size_t i = 0; i < n; i++) {
        if (list[i].option != p->base[unit]) {
            c->history[c->n_history] = (event){ list[i].history, unit, list[i].option };
            list[i].history = c->n_history++;
        }
        if (list[i].bytes <= p->budget && list[i].cost < p->best_cost) {
            p->best_cost = list[i].cost;
            c->best = list[i].history;
            c->improved = true;
        }
    }
}

static status search(core *c, error *err)
{
    allocate_problem *p = c->p;
    bool full = false;
    size_t n = 1;
    status s = OK;
    p->exact = true;
    c->lists[0][0] = (state){ p->base_bytes, p->base_cost, NO_HISTORY, 0 };
    for (size_t i = 0; !s && n && i < p->n_units; i++) {
        c->rest = i + 1 < p->n_units ? c->bends[i + 1] : (bend){ 0, INFINITY, 0, 0 };
        n = add_unit(c, c->bends[i].unit, n);
        s = reserve_history(c, n, &full, err);
        if (full) {
            p->exact = false;
            break;
        }
        if (!s)
            record(c, c->bends[i].unit, n);
    }
    return s;
}

status allocate_core(allocate_problem *p, error *err)
{
    core c = { .p = p, .best = NO_HISTORY };
    bool there = true;
    p->exact = p->best_cost <= p->bound;
    if (p->exact)
        return OK;
    c.bends = mem_array(p->n_units, sizeof *c.bends);
    for (int i = 0; i < BUFFERS; i++) {
        c.lists[i] = mem_alloc(2 * STATES * sizeof *c.lists[i]);
        there = there && c.lists[i];
    }
    status s = c.bends && there ? OK : fail(err, E_NOMEM, "no memory for the states of an allocation");
    if (!s) {
        make_bends(&c);
        sum_up_bends(&c);
        s = search(&c, err);
    }
    if (!s && c.improved) {
        memcpy(p->best, p->base, p->n_units * sizeof *p->best);
        for (uint32_t h = c.best; h != NO_HISTORY; h = c.history[h].before)
            p->best[c.history[h].unit] = c.history[h].option;
    }
    for (int i = 0; i < BUFFERS; i++)
        mem_free(c.lists[i]);
    mem_free(c.bends);
    mem_free(c.history);
    return s;
}
