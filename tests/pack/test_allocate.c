/* The choice of types against all choices there are, an exact programme over bytes, and its own bound. */
#include "lib/check.h"
#include "lib/random.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "pack/allocate.h"
#include "plat/clock.h"

enum { CHOICES = 8 };

typedef struct instance {
    allocate_item *items;
    allocate_choice *choices; /* [n][most] */
    size_t n;
} instance;

static double unit(void)
{
    return (double)(rnd(1 << 20) + 1) / (double)(1 << 20);
}

/* Sizes up to `largest`; losses that fall with bytes, more or less, and by very different amounts an item. */
static instance make(size_t n, size_t most, uint32_t largest, uint32_t groups)
{
    instance x = { mem_array(n, sizeof *x.items), mem_array(n * most, sizeof *x.choices), n };
    for (size_t i = 0; i < n; i++) {
        double weight = pow(10, 3 * unit() - 3);
        allocate_choice *c = x.choices + i * most;
        size_t n_choices = groups ? most : 1 + rnd((uint32_t)most);
        for (size_t j = 0; j < n_choices; j++) {
            c[j] = (allocate_choice){ .type = (uint32_t)(j * 7 % 32), .bytes = rnd(largest), .ns = 100 * unit() };
            c[j].loss = weight * pow(2, -12 * (double)c[j].bytes / (double)largest) * (0.5 + unit());
        }
        x.items[i] = (allocate_item){ c, n_choices, groups && rnd(3) ? 1 + rnd(groups) : 0 };
    }
    return x;
}

static void drop(instance *x)
{
    mem_free(x->items);
    mem_free(x->choices);
}

static uint64_t extreme(const instance *x, bool largest)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < x->n; i++) {
        uint64_t best = x->items[i].choices[0].bytes;
        for (size_t j = 1; j < x->items[i].n; j++) {
            uint64_t b = x->items[i].choices[j].bytes;
            best = (b > best) == largest ? b : best;
        }
        sum += best;
    }
    return sum;
}

/* What was answered is what was chosen, within the budget, and not below the bound. */
static double check_answer(const instance *x, const allocate_limits *l, const uint32_t *chosen,
                           const allocate_sum *sum)
{
    double loss = 0, ns = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < x->n; i++) {
        assert_true(chosen[i] < x->items[i].n);
        const allocate_choice *c = &x->items[i].choices[chosen[i]];
        loss += c->loss;
        ns += c->ns;
        bytes += c->bytes;
        for (size_t j = 0; j < i && x->items[i].group; j++)
            if (x->items[j].group == x->items[i].group)
                assert_int_equal(x->items[j].choices[chosen[j]].type, c->type);
    }
    assert_true(bytes <= l->bytes && bytes == sum->bytes);
    assert_true(fabs(loss - sum->loss) <= 1e-9 * loss && fabs(ns - sum->ns) <= 1e-9 * ns);
    double cost = loss + l->ns_price * ns;
    assert_true(sum->bound <= cost * (1 + 1e-9));
    return cost;
}

/* The least cost of all choices, by trying every one. INFINITY: none fits. */
static double try_all(const instance *x, const allocate_limits *l, size_t i, uint32_t *chosen, double cost,
                      uint64_t bytes)
{
    double best = INFINITY;
    if (bytes > l->bytes)
        return best;
    if (i == x->n)
        return cost;
    for (uint32_t j = 0; j < x->items[i].n; j++) {
        const allocate_choice *c = &x->items[i].choices[j];
        bool allowed = true;
        for (size_t k = 0; k < i && x->items[i].group; k++)
            if (x->items[k].group == x->items[i].group)
                allowed = allowed && x->items[k].choices[chosen[k]].type == c->type;
        chosen[i] = j;
        if (allowed)
            best = fmin(best, try_all(x, l, i + 1, chosen, cost + c->loss + l->ns_price * c->ns, bytes + c->bytes));
    }
    return best;
}

static void few_items_as_all_choices_say(void **state)
{
    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t n = 1 + rnd(6);
        instance x = make(n, 1 + rnd(5), 2 + rnd(1000), rnd(2) ? 0 : 1 + rnd(3));
        uint64_t least = extreme(&x, false), most = extreme(&x, true);
        allocate_limits l = { least + rnd((uint32_t)(most - least) + 2), rnd(2) ? 0 : 0.01 * unit() };
        uint32_t chosen[6], tried[6];
        allocate_sum sum;
        double best = try_all(&x, &l, 0, tried, 0, 0);
        error e;
        status s = allocate(x.items, n, &l, chosen, &sum, &e);
        if (isinf(best))
            assert_int_equal(s, E_NOFIT);
        else
            assert_ok(allocate(x.items, n, &l, chosen, &sum, err));
        if (!isinf(best))
            assert_true(check_answer(&x, &l, chosen, &sum) <= best * (1 + 1e-9));
        drop(&x);
    }
}

/* best[b]: the least loss within b bytes, for every b up to `most`; item by item. */
static double *programme(const instance *x, uint64_t most)
{
    double *best = mem_array(most + 1, sizeof *best), *next = mem_array(most + 1, sizeof *next);
    for (size_t i = 0; i < x->n; i++) {
        for (uint64_t b = 0; b <= most; b++) {
            next[b] = INFINITY;
            for (size_t j = 0; j < x->items[i].n; j++) {
                const allocate_choice *c = &x->items[i].choices[j];
                if (c->bytes <= b)
                    next[b] = fmin(next[b], best[b - c->bytes] + c->loss);
            }
        }
        double *other = best;
        best = next;
        next = other;
    }
    mem_free(next);
    return best;
}

/* Exact at every budget, so a larger one never loses more. */
static void many_items_as_the_programme_says(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        size_t n = 20 + rnd(60);
        instance x = make(n, CHOICES, 4 + rnd(60), 0);
        uint64_t least = extreme(&x, false), most = extreme(&x, true);
        double *best = programme(&x, most), before = INFINITY;
        uint32_t *chosen = mem_array(n, sizeof *chosen);
        for (uint64_t b = least; b <= most; b += 1 + rnd(40)) {
            allocate_limits l = { b, 0 };
            allocate_sum sum;
            assert_ok(allocate(x.items, n, &l, chosen, &sum, err));
            double cost = check_answer(&x, &l, chosen, &sum);
            if (cost > best[b] * (1 + 1e-9))
                fail_msg("%zu items, %llu bytes: %.9g, the best is %.9g", n, (unsigned long long)b, cost, best[b]);
            assert_true(cost <= before * (1 + 1e-9));
            before = cost;
        }
        mem_free(best);
        mem_free(chosen);
        drop(&x);
    }
}

/* A model: types of so many bits a weight, tensors of a few shapes, one of them far larger than the others; what a
 * weight of a type loses falls by four a bit. Two of three in groups. */
static instance model(size_t n)
{
    static const double bits[CHOICES] = { 2.625, 3.4375, 4.5, 5, 5.5, 6.5625, 8.5, 16 };
    static const uint64_t shapes[] = { 576 * 576, 576 * 192, 1536 * 576 };
    instance x = { mem_array(n, sizeof *x.items), mem_array(n * CHOICES, sizeof *x.choices), n };
    for (size_t i = 0; i < n; i++) {
        uint64_t weights = i ? shapes[rnd(3)] : 49152 * 576;
        double each = pow(10, 2 * unit() - 1) * (double)weights / 1e8;
        allocate_choice *c = x.choices + i * CHOICES;
        for (size_t j = 0; j < CHOICES; j++)
            c[j] = (allocate_choice){ (uint32_t)j, each * pow(4, 2 - bits[j]) * (0.8 + 0.4 * unit()),
                                      (uint64_t)((double)weights * bits[j] / 8), 0 };
        x.items[i] = (allocate_item){ c, CHOICES, i && i % 3 ? (uint32_t)(1 + i / 3) : 0 };
    }
    return x;
}

/* Where one item is a good part of the whole, prices alone say little: the least of the bounds with each of its
 * choices. */
static double bound_by_first(const instance *x, const allocate_limits *l, uint32_t *chosen)
{
    const allocate_item all = x->items[0];
    double least = INFINITY;
    for (size_t j = 0; j < all.n; j++) {
        allocate_sum sum;
        x->items[0] = (allocate_item){ all.choices + j, 1, 0 };
        if (allocate(x->items, x->n, l, chosen, &sum, NULL) == OK)
            least = fmin(least, sum.bound);
    }
    x->items[0] = all;
    return least;
}

/* Would one item alone lose less in some type for which there are bytes left? */
static bool is_left_lying(const instance *x, const allocate_limits *l, const uint32_t *chosen, const allocate_sum *sum)
{
    bool any = false;
    for (size_t i = 0; i < x->n; i++)
        for (size_t j = 0; !x->items[i].group && j < x->items[i].n; j++) {
            const allocate_choice *c = &x->items[i].choices[j], *now = &x->items[i].choices[chosen[i]];
            any = any || (c->loss < now->loss && c->bytes <= now->bytes + (l->bytes - sum->bytes));
        }
    return any;
}

/* The answer is the best and at its bound, the budget is spent, and it does not take long. */
static void models_come_close_to_budget_and_bound(void **state)
{
    static const struct {
        size_t n;
        double above; /* the bound */
    } cases[] = { { 211, 0.03 }, { 1000, 0.01 }, { 10000, 0.001 } };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        instance x = model(cases[i].n);
        uint64_t least = extreme(&x, false), most = extreme(&x, true), slowest = 0;
        uint32_t *chosen = mem_array(x.n, sizeof *chosen);
        for (uint64_t part = 1; part < 20; part++) {
            allocate_limits l = { least + (most - least) * part / 20, 0 };
            allocate_sum sum;
            uint64_t start = clock_mono_us();
            assert_ok(allocate(x.items, x.n, &l, chosen, &sum, err));
            uint64_t us = clock_mono_us() - start;
            slowest = us > slowest ? us : slowest;
            double cost = x.n <= 1000 ? check_answer(&x, &l, chosen, &sum) : sum.loss;
            double left = 1 - (double)sum.bytes / (double)l.bytes;
            assert_true(sum.exact && !is_left_lying(&x, &l, chosen, &sum));
            double above = cost / bound_by_first(&x, &l, chosen) - 1;
            if (!(above >= -1e-9 && above < cases[i].above && (left < 0.005 || part > 14)))
                fail_msg("%zu items: %.4f %% above the bound, %.4f %% left", x.n, 100 * above, 100 * left);
        }
        print_message("%zu items: %.3f s at most\n", x.n, (double)slowest / 1e6);
        mem_free(chosen);
        drop(&x);
    }
}

/* Costs that are all but a straight line over bytes: nothing can be ruled out, and the lists reach their ceiling. */
static void what_is_hard_ends_too(void **state)
{
    enum { N = 3000 };
    (void)state;
    instance x = make(N, CHOICES, 1 << 30, 0);
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < x.items[i].n; j++) {
            allocate_choice *c = x.choices + i * CHOICES + j;
            c->loss = 2 - (double)c->bytes / (double)(1 << 30) + 1e-4 * unit();
        }
    allocate_limits l = { (extreme(&x, false) + extreme(&x, true)) / 2, 0 };
    allocate_sum sum;
    uint32_t chosen[N];
    uint64_t start = clock_mono_us();
    assert_ok(allocate(x.items, N, &l, chosen, &sum, err));
    print_message("%.3f s\n", (double)(clock_mono_us() - start) / 1e6);
    assert_false(sum.exact);
    assert_true(check_answer(&x, &l, chosen, &sum) < sum.bound * (1 + 1e-6));
    drop(&x);
}

static void ties_go_to_the_smaller_and_the_earlier(void **state)
{
    (void)state;
    const allocate_choice a[] = { { 1, 2, 10, 0 }, { 2, 1, 30, 0 }, { 3, 1, 20, 0 }, { 4, 1, 20, 0 } };
    const allocate_choice b[] = { { 1, 2, 10, 0 }, { 2, 1, 20, 0 } };
    const allocate_item both[] = { { b, 2, 0 }, { b, 2, 0 } }, one = { a, 4, 0 };
    allocate_sum sum;
    uint32_t chosen[2];
    assert_ok(allocate(&one, 1, &(allocate_limits){ UINT64_MAX, 0 }, chosen, &sum, err));
    assert_int_equal(chosen[0], 2);
    assert_true(sum.byte_price <= 0);
    for (int round = 0; round < 3; round++) {
        assert_ok(allocate(both, 2, &(allocate_limits){ 30, 0 }, chosen, &sum, err));
        assert_int_equal(chosen[0], 1);
        assert_int_equal(chosen[1], 0);
        assert_true(fabs(sum.byte_price - 0.1) < 1e-12);
    }
}

static void time_has_a_price(void **state)
{
    (void)state;
    const allocate_choice a[] = { { 1, 0.5, 10, 100 }, { 2, 0.4, 20, 200 } };
    const allocate_item item = { a, 2, 0 };
    allocate_sum sum;
    uint32_t chosen;
    assert_ok(allocate(&item, 1, &(allocate_limits){ 20, 0.0009 }, &chosen, &sum, err));
    assert_int_equal(chosen, 1);
    assert_ok(allocate(&item, 1, &(allocate_limits){ 20, 0.0011 }, &chosen, &sum, err));
    assert_int_equal(chosen, 0);
}

static void nonsense_is_refused_by_name(void **state)
{
    (void)state;
    const allocate_choice good[] = { { 1, 0.5, 10, 1 }, { 2, 0.25, 20, 1 } }, other[] = { { 3, 0.5, 10, 1 } };
    const struct {
        allocate_choice bad;
        allocate_limits limits;
        status want;
        const char *says;
    } cases[] = {
        { { 2, (double)NAN, 20, 1 }, { 100, 0 }, E_RANGE, "item 1: choice 1 has a loss of" },
        { { 2, -0.1, 20, 1 }, { 100, 0 }, E_RANGE, "item 1: choice 1 has a loss of -0.1" },
        { { 2, 0.1, 20, (double)INFINITY }, { 100, 0 }, E_RANGE, "item 1: choice 1 takes inf ns" },
        { { 2, 0.1, UINT64_MAX, 1 }, { 100, 0 }, E_RANGE, "item 1: choice 1 has 18446744073709551615 bytes" },
        { { 1, 0.1, 20, 1 }, { 100, 0 }, E_RANGE, "item 1: choices 0 and 1 are of the same type" },
        { { 2, 0.1, 20, 1 }, { 100, -1 }, E_RANGE, "a price of -1" },
        { { 2, 0.1, 20, 1 }, { 19, 0 }, E_NOFIT, "the smallest is 20 bytes" },
    };
    allocate_sum sum;
    uint32_t chosen[2];
    error e;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const allocate_choice choices[] = { good[0], cases[i].bad };
        const allocate_item items[] = { { good, 2, 0 }, { choices, 2, 0 } };
        assert_int_equal(allocate(items, 2, &cases[i].limits, chosen, &sum, &e), cases[i].want);
        if (!strstr(e.text, cases[i].says))
            fail_msg("%s, not %s", e.text, cases[i].says);
    }
    const allocate_item apart[] = { { good, 2, 9 }, { other, 1, 9 } }, empty = { good, 0, 0 };
    assert_int_equal(allocate(apart, 2, &(allocate_limits){ 100, 0 }, chosen, &sum, &e), E_RANGE);
    assert_string_equal(e.text, "the 2 items of group 9 have no type in common");
    assert_int_equal(allocate(&empty, 1, &(allocate_limits){ 100, 0 }, chosen, &sum, &e), E_RANGE);
}

static void no_memory_is_said(void **state)
{
    (void)state;
    instance x = model(211);
    allocate_limits l = { extreme(&x, false) * 2, 0 };
    allocate_sum sum;
    uint32_t chosen[211];
    uint64_t before = mem_count();
    assert_ok(allocate(x.items, x.n, &l, chosen, &sum, err));
    for (uint64_t i = 1, n = mem_count() - before; i <= n; i++) {
        mem_fail_at(i);
        assert_int_equal(allocate(x.items, x.n, &l, chosen, &sum, NULL), E_NOMEM);
    }
    mem_fail_at(0);
    drop(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_items_as_all_choices_say),
        cmocka_unit_test(many_items_as_the_programme_says),
        cmocka_unit_test(models_come_close_to_budget_and_bound),
        cmocka_unit_test(what_is_hard_ends_too),
        cmocka_unit_test(ties_go_to_the_smaller_and_the_earlier),
        cmocka_unit_test(time_has_a_price),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
