/* filter_list.c: filters over sequences. */
#include <string.h>

#include "chat/filter.h"
#include "chat/text_ops.h"

static bool given(value v)
{
    return v.kind != V_ABSENT && v.kind != V_NONE;
}

/* ---- attributes by path: "a.b.0" --------------------------------------------------------------------------------- */

static list *path_of(run *r, value attribute)
{
    list *path = value_list(r, 0).l;
    if (attribute.kind != V_TEXT) {
        if (given(attribute))
            list_add(r, path, attribute);
        return path;
    }
    list *names = split_text(r, attribute.s, text_of(r, "."), -1);
    for (size_t i = 0; i < names->n; i++) {
        span s = text_bytes(r, names->items[i].s);
        bool digits = s.n > 0;
        for (size_t k = 0; k < s.n; k++)
            digits &= s.p[k] >= '0' && s.p[k] <= '9';
        value v = names->items[i];
        if (digits)
            (void)number_parse_int(r, s, 10, &v);
        list_add(r, path, v);
    }
    return path;
}

static value follow(run *r, value v, const list *path, value otherwise)
{
    for (size_t i = 0; i < path->n; i++) {
        run_spend(r, 1);
        v = get_item(r, v, path->items[i]);
        if (v.kind == V_UNDEFINED && given(otherwise))
            v = otherwise;
    }
    return v;
}

static value fold_case(run *r, value v, bool case_sensitive)
{
    return v.kind == V_TEXT && !case_sensitive ? value_text(case_lower(r, v.s)) : v;
}

/* ---- ends and lengths -------------------------------------------------------------------------------------------- */

static value do_first(run *r, value v, const value *a)
{
    (void)a;
    iter it;
    value first;
    if (v.kind == V_GENERATOR)
        return iter_next(r, &(iter){ .v = v }, &first) ? first
                                                       : undefined_hint(r, "No first item, sequence was empty.");
    iter_open(r, &it, v);
    return iter_next(r, &it, &first) ? first : undefined_hint(r, "No first item, sequence was empty.");
}

static value do_last(run *r, value v, const value *a)
{
    (void)a;
    if (v.kind == V_GENERATOR || !value_iterable(v))
        run_fail(r, E_FORMAT, "'%s' object is not reversible", value_type(v));
    list *items = value_items(r, v);
    return items->n ? items->items[items->n - 1] : undefined_hint(r, "No last item, sequence was empty.");
}

static value do_length(run *r, value v, const value *a)
{
    (void)a;
    return value_int((int64_t)value_length(r, v));
}

static value do_list(run *r, value v, const value *a)
{
    (void)a;
    list *items = value_items(r, v);
    return (value){ .kind = V_LIST, .l = items, .from = v.from };
}

static value do_reverse(run *r, value v, const value *a)
{
    (void)a;
    if (v.kind == V_TEXT) {
        builder b = builder_of(r);
        list *chars = value_items(r, v);
        for (size_t i = chars->n; i-- > 0;)
            build_text(&b, chars->items[i].s);
        return value_text(build_done(&b));
    }
    bool lazy = v.kind != V_GENERATOR; /* what has no reversed() comes back as a list */
    list *items = list_copy(r, value_items(r, v));
    for (size_t i = 0; i < items->n / 2; i++) {
        value swap = items->items[i];
        items->items[i] = items->items[items->n - 1 - i];
        items->items[items->n - 1 - i] = swap;
    }
    return lazy ? value_generator_of(r, items) : (value){ .kind = V_LIST, .l = items };
}

static value do_items(run *r, value v, const value *a)
{
    (void)a;
    if (v.kind == V_UNDEFINED)
        return value_generator_of(r, value_list(r, 0).l);
    if (v.kind != V_DICT)
        run_fail(r, E_FORMAT, "Can only get item pairs from a mapping.");
    view items = { v.m, VIEW_ITEMS };
    return value_generator_of(r, value_items(r, (value){ .kind = V_VIEW, .view = &items }));
}

static value do_join(run *r, value v, const value *a)
{
    const text *sep = a[0].kind == V_ABSENT ? text_of(r, "") : value_print(r, a[0]);
    if (!given(a[1]))
        return value_text(text_join(r, sep, v, false));
    list *path = path_of(r, a[1]), *out = value_list(r, 0).l, *items = value_items(r, v);
    for (size_t i = 0; i < items->n; i++)
        list_add(r, out, follow(r, items->items[i], path, VALUE_ABSENT));
    return value_text(text_join(r, sep, (value){ .kind = V_LIST, .l = out }, false));
}

/* ---- map, select, reject ----------------------------------------------------------------------------------------- */

typedef struct picker {
    const filter_row *filter; /* map */
    const test_row *test;     /* select, reject; NULL: truth */
    list *path;               /* NULL: the item itself */
    value otherwise;
    bool reject;
    arguments a;
} picker;

static bool next_mapped(run *r, generator *g, value *out)
{
    const picker *p = g->state;
    value v;
    if (!iter_next(r, &g->source, &v))
        return false;
    *out = p->filter ? filter_call(r, p->filter, v, &p->a) : follow(r, v, p->path, p->otherwise);
    return true;
}

static bool next_picked(run *r, generator *g, value *out)
{
    const picker *p = g->state;
    value v;
    while (iter_next(r, &g->source, &v)) {
        value of = p->path ? follow(r, v, p->path, VALUE_ABSENT) : v;
        bool passes = p->test ? test_call(r, p->test, of, &p->a) : value_true(r, of);
        if (passes != p->reject) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* Without its first n positional arguments. */
static arguments without(const arguments *a, size_t n)
{
    arguments rest = *a;
    rest.items += n;
    rest.n -= n;
    return rest;
}

static value empty_generator(run *r)
{
    return value_generator_of(r, value_list(r, 0).l);
}

static value do_map(run *r, value v, const arguments *a)
{
    picker *p = run_alloc(r, sizeof *p);
    value name = a->n ? a->items[0] : VALUE_ABSENT, attribute;
    if (!value_true(r, v))
        return empty_generator(r);
    p->otherwise = VALUE_ABSENT;
    if (!a->n && argument_named(r, a, "attribute", &attribute)) {
        p->path = path_of(r, attribute);
        (void)argument_named(r, a, "default", &p->otherwise);
    } else {
        span s = name.kind == V_TEXT ? text_bytes(r, name.s) : (span){ "", 0 };
        p->filter = filter_named(s);
        if (!p->filter)
            run_fail(r, E_FORMAT, name.kind == V_TEXT ? "No filter named '%.*s'." : "map requires a filter argument",
                     run_shown(s.p, s.n), s.p);
        p->a = without(a, 1);
    }
    return value_generator(r, next_mapped, v, p);
}

static value pick(run *r, value v, const arguments *a, bool by_attribute, bool reject)
{
    picker *p = run_alloc(r, sizeof *p);
    size_t at = 0;
    if (!value_true(r, v))
        return empty_generator(r);
    p->reject = reject;
    if (by_attribute && a->n < 1)
        run_fail(r, E_FORMAT, "Missing parameter for attribute name");
    if (by_attribute)
        p->path = path_of(r, a->items[at++]);
    if (a->n > at) {
        span s = a->items[at].kind == V_TEXT ? text_bytes(r, a->items[at].s) : (span){ "", 0 };
        p->test = test_named(s);
        if (!p->test)
            run_fail(r, E_FORMAT, "No test named '%.*s'.", run_shown(s.p, s.n), s.p);
        p->a = without(a, at + 1);
    }
    return value_generator(r, next_picked, v, p);
}

static value do_select(run *r, value v, const arguments *a)
{
    return pick(r, v, a, false, false);
}

static value do_reject(run *r, value v, const arguments *a)
{
    return pick(r, v, a, false, true);
}

static value do_selectattr(run *r, value v, const arguments *a)
{
    return pick(r, v, a, true, false);
}

static value do_rejectattr(run *r, value v, const arguments *a)
{
    return pick(r, v, a, true, true);
}

/* ---- sorting ----------------------------------------------------------------------------------------------------- */

typedef struct sorter {
    run *r;
    const value *keys;
    size_t *order, *spare;
    bool reverse;
} sorter;

/* Does b belong before a? */
static bool before(const sorter *s, size_t b, size_t a)
{
    int c = s->reverse ? value_compare(s->r, s->keys[a], s->keys[b], "<")
                       : value_compare(s->r, s->keys[b], s->keys[a], "<");
    return c < 0;
}

static void merge_sort(const sorter *s, size_t from, size_t to)
{
    size_t mid = from + (to - from) / 2, a = from, b = mid, at = from;
    if (to - from < 2)
        return;
    merge_sort(s, from, mid);
    merge_sort(s, mid, to);
    while (a < mid || b < to)
        s->spare[at++] = a < mid && (b >= to || !before(s, s->order[b], s->order[a])) ? s->order[a++] : s->order[b++];
    memcpy(s->order + from, s->spare + from, (to - from) * sizeof *s->order);
}

/* Stable, also in reverse. */
value sort_values(run *r, list *items, list *keys, bool reverse)
{
    sorter s = { r, keys->items, run_array(r, items->n, sizeof(size_t)), run_array(r, items->n, sizeof(size_t)),
                 reverse };
    value out = value_list(r, items->n);
    for (size_t i = 0; i < items->n; i++)
        s.order[i] = i;
    merge_sort(&s, 0, items->n);
    for (size_t i = 0; i < items->n; i++)
        list_add(r, out.l, items->items[s.order[i]]);
    return out;
}

static value do_sort(run *r, value v, const value *a)
{
    bool reverse = a[0].kind != V_ABSENT && value_index(r, a[0]);
    bool case_sensitive = a[1].kind != V_ABSENT && value_true(r, a[1]);
    list *items = value_items(r, v), *keys = value_list(r, items->n).l, *paths = value_list(r, 0).l;
    list *names = a[2].kind == V_TEXT ? split_text(r, a[2].s, text_of(r, ","), -1) : value_list(r, 0).l;
    if (a[2].kind != V_TEXT)
        list_add(r, names, a[2]);
    for (size_t i = 0; i < names->n; i++)
        list_add(r, paths, (value){ .kind = V_LIST, .l = path_of(r, names->items[i]) });
    for (size_t i = 0; i < items->n; i++) {
        value key = value_list(r, paths->n);
        for (size_t k = 0; k < paths->n; k++) {
            value of = follow(r, items->items[i], paths->items[k].l, VALUE_ABSENT);
            list_add(r, key.l, fold_case(r, of, case_sensitive));
        }
        list_add(r, keys, key);
    }
    return sort_values(r, items, keys, reverse);
}

static value do_dictsort(run *r, value v, const value *a)
{
    bool case_sensitive = a[0].kind != V_ABSENT && value_true(r, a[0]);
    bool reverse = a[2].kind != V_ABSENT && value_index(r, a[2]);
    bool by_value = a[1].kind == V_TEXT && text_is(r, a[1].s, "value");
    if (a[1].kind != V_ABSENT && !by_value && !(a[1].kind == V_TEXT && text_is(r, a[1].s, "key")))
        run_fail(r, E_FORMAT, "You can only sort by either \"key\" or \"value\"");
    value_defined(r, v);
    if (v.kind != V_DICT)
        run_fail(r, E_FORMAT, "'%s' object has no attribute 'items'", value_type(v));
    view items = { v.m, VIEW_ITEMS };
    list *pairs = value_items(r, (value){ .kind = V_VIEW, .view = &items }), *keys = value_list(r, pairs->n).l;
    for (size_t i = 0; i < pairs->n; i++)
        list_add(r, keys, fold_case(r, pairs->items[i].l->items[by_value], case_sensitive));
    return sort_values(r, pairs, keys, reverse);
}

static value do_groupby(run *r, value v, const value *a)
{
    bool case_sensitive = a[2].kind != V_ABSENT && value_true(r, a[2]);
    list *items = value_items(r, v), *path = path_of(r, a[0]), *keys = value_list(r, items->n).l;
    for (size_t i = 0; i < items->n; i++)
        list_add(r, keys, fold_case(r, follow(r, items->items[i], path, a[1]), case_sensitive));
    items = sort_values(r, items, keys, false).l;
    value out = value_list(r, 0);
    value last = VALUE_ABSENT;
    for (size_t i = 0; i < items->n; i++) {
        value plain = follow(r, items->items[i], path, a[1]), key = fold_case(r, plain, case_sensitive);
        if (last.kind == V_ABSENT || !value_equal(r, key, last)) {
            value group = value_tuple(r, 2);
            group.l->is_group = true;
            list_add(r, group.l, plain);
            list_add(r, group.l, value_list(r, 0));
            list_add(r, out.l, group);
            last = key;
        }
        list_add(r, out.l->items[out.l->n - 1].l->items[1].l, items->items[i]);
    }
    return out;
}

static value do_unique(run *r, value v, const value *a)
{
    bool case_sensitive = a[0].kind != V_ABSENT && value_true(r, a[0]);
    list *items = value_items(r, v), *path = path_of(r, a[1]), *out = value_list(r, 0).l;
    value seen = value_dict(r), ignored;
    for (size_t i = 0; i < items->n; i++) {
        value key = fold_case(r, follow(r, items->items[i], path, VALUE_ABSENT), case_sensitive);
        if (dict_get(r, seen.m, key, &ignored))
            continue;
        dict_set(r, seen.m, key, VALUE_NONE);
        list_add(r, out, items->items[i]);
    }
    return value_generator_of(r, out);
}

static value extreme(run *r, value v, const value *a, bool greatest)
{
    bool case_sensitive = a[0].kind != V_ABSENT && value_true(r, a[0]);
    list *items = value_items(r, v), *path = path_of(r, a[1]);
    if (!items->n)
        return undefined_hint(r, "No aggregated item, sequence was empty.");
    value best = items->items[0], best_key = fold_case(r, follow(r, best, path, VALUE_ABSENT), case_sensitive);
    for (size_t i = 1; i < items->n; i++) {
        value key = fold_case(r, follow(r, items->items[i], path, VALUE_ABSENT), case_sensitive);
        int c = value_compare(r, key, best_key, greatest ? ">" : "<");
        if (c == 2 || (greatest ? c <= 0 : c >= 0))
            continue;
        best = items->items[i];
        best_key = key;
    }
    return best;
}

static value do_min(run *r, value v, const value *a)
{
    return extreme(r, v, a, false);
}

static value do_max(run *r, value v, const value *a)
{
    return extreme(r, v, a, true);
}

/* ---- sums and parts ---------------------------------------------------------------------------------------------- */

static value do_sum(run *r, value v, const value *a)
{
    list *items = value_items(r, v), *path = path_of(r, a[0]);
    value sum = a[1].kind == V_ABSENT ? value_int(0) : a[1];
    if (sum.kind == V_TEXT)
        run_fail(r, E_FORMAT, "sum() can't sum strings [use ''.join(seq) instead]");
    for (size_t i = 0; i < items->n; i++) {
        value item = follow(r, items->items[i], path, VALUE_ABSENT);
        value_defined(r, item);
        sum = value_is_number(sum) && value_is_number(item) ? number_op_of(r, N_ADD, sum, item)
                                                            : add_values(r, sum, item);
    }
    return sum;
}

static value do_batch(run *r, value v, const value *a)
{
    int64_t size = value_index(r, a[0]);
    list *items = value_items(r, v);
    value out = value_list(r, 0), row = value_list(r, 0);
    if (!items->n)
        return value_generator_of(r, out.l);
    for (size_t i = 0; i < items->n; i++) {
        if ((int64_t)row.l->n == size) {
            list_add(r, out.l, row);
            row = value_list(r, 0);
        }
        list_add(r, row.l, items->items[i]);
    }
    if (given(a[1]))
        while ((int64_t)row.l->n < size)
            list_add(r, row.l, a[1]);
    list_add(r, out.l, row);
    return value_generator_of(r, out.l);
}

static value do_slice(run *r, value v, const value *a)
{
    int64_t slices = value_index(r, a[0]);
    list *items = value_items(r, v);
    value out = value_list(r, 0);
    if (slices == 0)
        run_fail(r, E_FORMAT, "integer division or modulo by zero");
    int64_t each = slices > 0 ? (int64_t)items->n / slices : 0, extra = slices > 0 ? (int64_t)items->n % slices : 0;
    size_t at = 0;
    for (int64_t i = 0; i < slices; i++) {
        value row = value_list(r, 0);
        for (int64_t k = 0; k < each + (i < extra); k++)
            list_add(r, row.l, items->items[at++]);
        if (given(a[1]) && i >= extra)
            list_add(r, row.l, a[1]);
        list_add(r, out.l, row);
    }
    return value_generator_of(r, out.l);
}

const filter_row list_filters[] = {
    { "first", "", 0, do_first, NULL },
    { "last", "", 0, do_last, NULL },
    { "length", "", 0, do_length, NULL },
    { "count", "", 0, do_length, NULL },
    { "list", "", 0, do_list, NULL },
    { "reverse", "", 0, do_reverse, NULL },
    { "items", "", 0, do_items, NULL },
    { "join", "d attribute", 0, do_join, NULL },
    { "map", NULL, 0, NULL, do_map },
    { "select", NULL, 0, NULL, do_select },
    { "reject", NULL, 0, NULL, do_reject },
    { "selectattr", NULL, 0, NULL, do_selectattr },
    { "rejectattr", NULL, 0, NULL, do_rejectattr },
    { "sort", "reverse case_sensitive attribute", 0, do_sort, NULL },
    { "dictsort", "case_sensitive by reverse", 0, do_dictsort, NULL },
    { "groupby", "attribute default case_sensitive", 1, do_groupby, NULL },
    { "unique", "case_sensitive attribute", 0, do_unique, NULL },
    { "min", "case_sensitive attribute", 0, do_min, NULL },
    { "max", "case_sensitive attribute", 0, do_max, NULL },
    { "sum", "attribute start", 0, do_sum, NULL },
    { "batch", "linecount fill_with", 1, do_batch, NULL },
    { "slice", "slices fill_with", 1, do_slice, NULL },
};
const size_t n_list_filters = ARRAY_LEN(list_filters);
