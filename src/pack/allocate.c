/* allocate.c: items to units, units to options that are worth it, options to slopes; the answer back to items. */
#include "pack/allocate_int.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

#define BYTES_MOST ((uint64_t)1 << 44)

/* ---- what was given ---- */

static status check_item(const allocate_item *item, size_t i, error *err)
{
    if (item->n < 1 || item->n > ALLOCATE_CHOICES)
        return fail(err, E_RANGE, "item %zu has %zu choices: it must be 1 to %d", i, item->n, ALLOCATE_CHOICES);
    for (size_t c = 0; c < item->n; c++) {
        const allocate_choice *choice = &item->choices[c];
        if (!isfinite(choice->loss) || choice->loss < 0)
            return fail(err, E_RANGE, "item %zu: choice %zu has a loss of %g", i, c, choice->loss);
        if (!isfinite(choice->ns) || choice->ns < 0)
            return fail(err, E_RANGE, "item %zu: choice %zu takes %g ns", i, c, choice->ns);
        if (choice->bytes > BYTES_MOST)
            return fail(err, E_RANGE, "item %zu: choice %zu has %" PRIu64 " bytes", i, c, choice->bytes);
        for (size_t before = 0; before < c; before++)
            if (item->choices[before].type == choice->type)
                return fail(err, E_RANGE, "item %zu: choices %zu and %zu are of the same type", i, before, c);
    }
    return OK;
}

static status check_all(const allocate_item *items, size_t n, const allocate_limits *l, error *err)
{
    status s = OK;
    if (n < 1 || n > ALLOCATE_ITEMS)
        return fail(err, E_RANGE, "%zu items: it must be 1 to %d", n, ALLOCATE_ITEMS);
    if (!isfinite(l->ns_price) || l->ns_price < 0)
        return fail(err, E_RANGE, "a price of %g for a nanosecond", l->ns_price);
    for (size_t i = 0; !s && i < n; i++)
        s = check_item(&items[i], i, err);
    return s;
}

static const allocate_choice *find_type(const allocate_item *item, uint32_t type)
{
    for (size_t c = 0; c < item->n; c++)
        if (item->choices[c].type == type)
            return &item->choices[c];
    return NULL;
}

/* ---- units ---- */

static int by_group(const void *a, const void *b)
{
    const allocate_member *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return x->item < y->item ? -1 : x->item > y->item;
}

static void make_units(allocate_problem *p, const allocate_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p->members[i] = (allocate_member){ items[i].group, (uint32_t)i };
    qsort(p->members, n, sizeof *p->members, by_group);
    for (size_t i = 0, next; i < n; i = next) {
        uint32_t group = p->members[i].group;
        next = i + 1;
        while (group && next < n && p->members[next].group == group)
            next++;
        p->units[p->n_units++] = (allocate_unit){ .member = (uint32_t)i, .n_members = (uint32_t)(next - i) };
    }
}

static bool option_of(const allocate_problem *p, const allocate_item *items, const allocate_unit *u, uint32_t choice,
                      double ns_price, allocate_option *out)
{
    const allocate_item *first = &items[p->members[u->member].item];
    *out = (allocate_option){ .choice = choice };
    for (uint32_t m = 0; m < u->n_members; m++) {
        const allocate_choice *c = find_type(&items[p->members[u->member + m].item], first->choices[choice].type);
        if (!c)
            return false;
        out->bytes += c->bytes;
        out->cost += c->loss + ns_price * c->ns;
    }
    return true;
}

static bool comes_before(const allocate_option *a, const allocate_option *b)
{
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes;
    return a->cost < b->cost; /* of the same cost the earlier one stays where it is */
}

/* Sorts, and drops what costs no less than something smaller. */
static uint32_t keep_useful(allocate_option *o, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < n; i++) {
        allocate_option moved = o[i];
        uint32_t at = i;
        for (; at > 0 && comes_before(&moved, &o[at - 1]); at--)
            o[at] = o[at - 1];
        o[at] = moved;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!kept || o[i].cost < o[kept - 1].cost)
            o[kept++] = o[i];
    return kept;
}

static status make_options(allocate_problem *p, const allocate_item *items, const allocate_limits *l, error *err)
{
    for (size_t i = 0; i < p->n_units; i++) {
        allocate_unit *u = &p->units[i];
        const allocate_item *first = &items[p->members[u->member].item];
        u->first = (uint32_t)p->n_options;
        for (uint32_t c = 0; c < first->n; c++)
            u->n += option_of(p, items, u, c, l->ns_price, &p->options[u->first + u->n]);
        if (!u->n)
            return fail(err, E_RANGE, "the %u items of group %u have no type in common", u->n_members, first->group);
        u->n = keep_useful(p->options + u->first, u->n);
        p->n_options += u->n;
        p->least_bytes += p->options[u->first].bytes;
    }
    return OK;
}

/* ---- slopes ---- */

static double slope_between(const allocate_option *a, const allocate_option *b)
{
    return (a->cost - b->cost) / (double)(b->bytes - a->bytes);
}

/* The corners of the lower convex hull; what lies on an edge is a corner too. */
static void add_steps(allocate_problem *p, uint32_t unit)
{
    const allocate_option *o = p->options + p->units[unit].first;
    size_t bottom = p->n_steps;
    for (uint32_t to = 1; to < p->units[unit].n; to++) {
        allocate_step s = { slope_between(&o[to - 1], &o[to]), unit, to - 1, to };
        while (p->n_steps > bottom && p->steps[p->n_steps - 1].slope < s.slope) {
            s.from = p->steps[--p->n_steps].from;
            s.slope = slope_between(&o[s.from], &o[to]);
        }
        p->steps[p->n_steps++] = s;
    }
}

static int by_slope(const void *a, const void *b)
{
    const allocate_step *x = a, *y = b;
    if (x->slope < y->slope || x->slope > y->slope)
        return x->slope > y->slope ? -1 : 1;
    if (x->unit != y->unit)
        return x->unit < y->unit ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

static uint64_t step_bytes(const allocate_problem *p, const allocate_step *s)
{
    const allocate_option *o = p->options + p->units[s->unit].first;
    return o[s->to].bytes - o[s->from].bytes;
}

static double cost_of(const allocate_problem *p, const uint32_t *at)
{
    double sum = 0;
    for (size_t i = 0; i < p->n_units; i++)
        sum += p->options[p->units[i].first + at[i]].cost;
    return sum;
}

/* The steepest steps as long as they fit: the base, the price and the bound. Then those behind that still do. */
static void climb(allocate_problem *p)
{
    size_t i = 0;
    p->base_bytes = p->least_bytes;
    for (; i < p->n_steps && step_bytes(p, &p->steps[i]) <= p->budget - p->base_bytes; i++) {
        p->base[p->steps[i].unit] = p->steps[i].to;
        p->base_bytes += step_bytes(p, &p->steps[i]);
    }
    p->price = i < p->n_steps ? p->steps[i].slope : 0;
    p->base_cost = cost_of(p, p->base);
    p->bound = p->base_cost - p->price * (double)(p->budget - p->base_bytes);
    memcpy(p->best, p->base, p->n_units * sizeof *p->best);
    for (uint64_t bytes = p->base_bytes; i < p->n_steps; i++) {
        const allocate_step *s = &p->steps[i];
        if (p->best[s->unit] != s->from || step_bytes(p, s) > p->budget - bytes)
            continue;
        p->best[s->unit] = s->to;
        bytes += step_bytes(p, s);
    }
    p->best_cost = cost_of(p, p->best);
}

/* ---- the whole ---- */

static void problem_clear(allocate_problem *p)
{
    mem_free(p->options);
    mem_free(p->units);
    mem_free(p->steps);
    mem_free(p->members);
    mem_free(p->base);
    mem_free(p->best);
}

static status problem_alloc(allocate_problem *p, const allocate_item *items, size_t n, error *err)
{
    size_t n_choices = 0;
    for (size_t i = 0; i < n; i++)
        n_choices += items[i].n;
    p->options = mem_array(n_choices, sizeof *p->options);
    p->steps = mem_array(n_choices, sizeof *p->steps);
    p->units = mem_array(n, sizeof *p->units);
    p->members = mem_array(n, sizeof *p->members);
    p->base = mem_array(n, sizeof *p->base);
    p->best = mem_array(n, sizeof *p->best);
    if (p->options && p->steps && p->units && p->members && p->base && p->best)
        return OK;
    return fail(err, E_NOMEM, "no memory for %zu choices of %zu items", n_choices, n);
}

static status solve(allocate_problem *p, const allocate_item *items, size_t n, const allocate_limits *l, error *err)
{
    make_units(p, items, n);
    status s = make_options(p, items, l, err);
    if (s)
        return s;
    p->budget = l->bytes;
    if (p->least_bytes > p->budget) {
        char allowed[24], least[24];
        return fail(err, E_NOFIT, "%" PRIu64 " bytes (%s) are allowed, and the smallest is %" PRIu64 " bytes (%s)",
                    p->budget, str_human_bytes(allowed, p->budget), p->least_bytes,
                    str_human_bytes(least, p->least_bytes));
    }
    for (uint32_t i = 0; i < p->n_units; i++)
        add_steps(p, i);
    qsort(p->steps, p->n_steps, sizeof *p->steps, by_slope);
    climb(p);
    return allocate_core(p, err);
}

static void answer(const allocate_problem *p, const allocate_item *items, uint32_t *chosen, allocate_sum *out)
{
    *out = (allocate_sum){ .byte_price = p->price, .bound = p->bound, .exact = p->exact,
                           .least_bytes = p->least_bytes };
    for (size_t i = 0; i < p->n_units; i++) {
        const allocate_unit *u = &p->units[i];
        const allocate_item *first = &items[p->members[u->member].item];
        uint32_t type = first->choices[p->options[u->first + p->best[i]].choice].type;
        for (uint32_t m = 0; m < u->n_members; m++) {
            uint32_t item = p->members[u->member + m].item;
            const allocate_choice *c = find_type(&items[item], type);
            chosen[item] = (uint32_t)(c - items[item].choices);
            out->loss += c->loss;
            out->ns += c->ns;
            out->bytes += c->bytes;
        }
    }
}

status allocate(const allocate_item *items, size_t n, const allocate_limits *l, uint32_t *chosen, allocate_sum *out,
                error *err)
{
    allocate_problem p = { 0 };
    status s = check_all(items, n, l, err);
    if (!s)
        s = problem_alloc(&p, items, n, err);
    if (!s)
        s = solve(&p, items, n, l, err);
    if (!s)
        answer(&p, items, chosen, out);
    problem_clear(&p);
    return s;
}
