/* eval.c: expressions. */
#include <string.h>

#include "chat/filter.h"

/* ---- variables --------------------------------------------------------------------------------------------------- */

scope *scope_new(run *r, scope *up)
{
    scope *s = run_alloc(r, sizeof *s);
    s->up = up;
    return s;
}

void scope_set(run *r, scope *s, uint32_t symbol, value v)
{
    for (size_t i = s->n; i-- > 0;)
        if (s->items[i].symbol == symbol) {
            s->items[i].value = v;
            return;
        }
    run_spend(r, 1 + s->n / 8);
    if (s->n == s->size) {
        size_t size = s->size ? 2 * s->size : 4;
        s->items = run_grow(r, s->items, s->n, size, sizeof *s->items);
        s->size = size;
    }
    s->items[s->n++] = (binding){ symbol, v };
}

bool scope_get(run *r, const scope *s, uint32_t symbol, value *out)
{
    for (; s; s = s->up) {
        run_spend(r, s->n / 8);
        for (size_t i = s->n; i-- > 0;)
            if (s->items[i].symbol == symbol) {
                *out = s->items[i].value;
                return true;
            }
    }
    return false;
}

static value eval_name(run *r, const node *n, scope *s)
{
    value v;
    if (scope_get(r, s, n->symbol, &v) || global_named(r, text_bytes(r, n->value.s), &v))
        return v;
    return undefined_name(r, n->value.s);
}

/* ---- attributes and items ---------------------------------------------------------------------------------------- */

static value method_of(run *r, value of, const method_row *row)
{
    method *m = run_alloc(r, sizeof *m);
    m->self = of;
    m->row = row;
    return (value){ .kind = V_METHOD, .method = m };
}

/* A real attribute of the object, in Python's sense. */
static bool own_attribute(run *r, value of, const text *name, value *out)
{
    if (of.kind == V_NAMESPACE)
        return dict_get(r, &of.ns->m, value_text(name), out);
    if (of.kind == V_LOOP) {
        *out = loop_attribute(r, of.loop, name);
        return out->kind != V_ABSENT;
    }
    if (of.kind == V_MACRO && text_is(r, name, "name")) {
        *out = value_text(of.macro->name);
        return true;
    }
    if (of.kind == V_CYCLER && text_is(r, name, "current")) {
        *out = of.cycler->items.items[of.cycler->at];
        return true;
    }
    if (of.kind == V_TUPLE && of.l->is_group && (text_is(r, name, "grouper") || text_is(r, name, "list"))) {
        *out = of.l->items[text_is(r, name, "list")];
        return true;
    }
    const method_row *row = method_named(r, of, name);
    if (!row)
        return false;
    *out = row->unsafe ? undefined_unsafe(r, of, name) : method_of(r, of, row);
    return true;
}

static bool slice_bounds(run *r, const slice *s, int64_t n, int64_t *start, int64_t *stop, int64_t *step)
{
    *step = s->step.kind == V_NONE ? 1 : value_bound(r, s->step);
    if (*step == 0)
        run_fail(r, E_FORMAT, "slice step cannot be zero");
    if (*step < -INT64_MAX)
        *step = -INT64_MAX;
    bool back = *step < 0;
    int64_t low = back ? -1 : 0, high = back ? n - 1 : n;
    int64_t *ends[] = { start, stop };
    const value given[] = { s->start, s->stop };
    for (int i = 0; i < 2; i++) {
        int64_t at = given[i].kind == V_NONE ? ((i == 0) != back ? low : high) : value_bound(r, given[i]);
        if (given[i].kind != V_NONE && at < 0)
            at = at < -n ? low : at + n;
        *ends[i] = at < low ? low : at > high ? high : at;
    }
    return back ? *start > *stop : *start < *stop;
}

static value slice_text(run *r, const text *s, const slice *by)
{
    int64_t start, stop, step;
    if (!slice_bounds(r, by, (int64_t)text_chars(r, s), &start, &stop, &step))
        return value_text(text_slice(r, s, 0, 0));
    if (step == 1)
        return value_text(text_slice(r, s, text_byte_at(r, s, (size_t)start), text_byte_at(r, s, (size_t)stop)));
    builder b = builder_of(r);
    list *chars = value_items(r, value_text(s));
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
        build_text(&b, chars->items[i].s);
        if (step > 0 ? step > stop - i : step < stop - i)
            break;
    }
    return value_text(build_done(&b));
}

static value slice_list(run *r, value of, const slice *by)
{
    int64_t start, stop, step;
    value out = of.kind == V_LIST ? value_list(r, 0) : value_tuple(r, 0);
    out.from = of.from;
    if (slice_bounds(r, by, (int64_t)of.l->n, &start, &stop, &step))
        for (int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
            list_add(r, out.l, of.l->items[i]);
            if (step > 0 ? step > stop - i : step < stop - i)
                break;
        }
    return out;
}

static value slice_range(run *r, const range *of, const slice *by)
{
    int64_t start, stop, step;
    range *out = run_alloc(r, sizeof *out);
    bool any = slice_bounds(r, by, of->n, &start, &stop, &step);
    out->start = range_at(of, start);
    out->stop = range_at(of, stop);
    if (__builtin_mul_overflow(of->step, step, &out->step))
        out->step = step < 0 ? INT64_MIN : INT64_MAX; /* one item at most is left of it */
    out->n = !any ? 0 : step > 0 ? (stop - start - 1) / step + 1 : (start - stop - 1) / -step + 1;
    return (value){ .kind = V_RANGE, .range = out };
}

static bool item_at(run *r, value of, value key, value *out)
{
    bool index = key.kind == V_INT || key.kind == V_BOOL;
    int64_t n, i = index ? value_index(r, key) : 0;
    if (of.kind == V_DICT)
        return dict_get(r, of.m, key, out);
    if (!index || (of.kind != V_TEXT && of.kind != V_LIST && of.kind != V_TUPLE && of.kind != V_RANGE))
        return false;
    n = (int64_t)value_length(r, of);
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return false;
    if (of.kind == V_TEXT) {
        size_t at = text_byte_at(r, of.s, (size_t)i);
        span s = text_bytes(r, of.s);
        *out = value_text(text_slice(r, of.s, at, at + text_char_bytes(s.p + at, s.n - at)));
    } else {
        *out = of.kind == V_RANGE ? value_int(range_at(of.range, i)) : of.l->items[i];
    }
    return true;
}

value get_attribute(run *r, value of, const text *name)
{
    value v;
    value_defined(r, of);
    if (own_attribute(r, of, name, &v) || item_at(r, of, value_text(name), &v))
        return v;
    return undefined_of(r, of, value_text(name));
}

value get_item(run *r, value of, value key)
{
    value v;
    value_defined(r, of);
    if (key.kind == V_SLICE) {
        switch (of.kind) {
        case V_TEXT: return slice_text(r, of.s, key.slice);
        case V_LIST:
        case V_TUPLE: return slice_list(r, of, key.slice);
        case V_RANGE: return slice_range(r, of.range, key.slice);
        case V_DICT: run_fail(r, E_FORMAT, "unhashable type: 'slice'");
        default: run_fail(r, E_FORMAT, "'%s' object is not subscriptable", value_type(of));
        }
    }
    bool hashable = key.kind != V_LIST && key.kind != V_DICT;
    if (hashable && item_at(r, of, key, &v))
        return v;
    if (key.kind == V_TEXT && own_attribute(r, of, key.s, &v))
        return v;
    return undefined_of(r, of, key);
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static const char *const math_signs[] = { "+", "-", "*", "/", "//", "%", "** or pow()" };

static _Noreturn void bad_operands(run *r, const char *sign, value a, value b)
{
    run_fail(r, E_FORMAT, "unsupported operand type(s) for %s: '%s' and '%s'", sign, value_type(a), value_type(b));
}

value add_values(run *r, value a, value b)
{
    if (a.kind == V_TEXT && b.kind == V_TEXT) {
        bool markup = a.s->markup || b.s->markup;
        if (!markup)
            return value_text(text_join2(r, a.s, b.s));
        builder out = builder_of(r);
        build_text(&out, escape_text(r, a).s);
        build_text(&out, escape_text(r, b).s);
        text *s = build_done(&out);
        s->markup = true;
        return value_text(s);
    }
    if (a.kind == b.kind && (a.kind == V_LIST || a.kind == V_TUPLE)) {
        value v = a.kind == V_LIST ? value_list(r, a.l->n + b.l->n) : value_tuple(r, a.l->n + b.l->n);
        for (size_t i = 0; i < a.l->n; i++)
            list_add(r, v.l, a.l->items[i]);
        for (size_t i = 0; i < b.l->n; i++)
            list_add(r, v.l, b.l->items[i]);
        v.from = a.from ? a.from : b.from;
        return v;
    }
    if (a.kind == V_TEXT)
        run_fail(r, E_FORMAT, "can only concatenate str (not \"%s\") to str", value_type(b));
    bad_operands(r, "+", a, b);
}

static value repeat(run *r, value what, value times)
{
    int64_t n = value_index(r, times);
    n = n < 0 ? 0 : n;
    if (what.kind == V_TEXT) {
        builder b = builder_of(r);
        build_fill(&b, what.s, (uint64_t)n);
        text *s = build_done(&b);
        s->markup = what.s->markup;
        return value_text(s);
    }
    if (what.l->n && n > RUN_ITEMS_MAX / (int64_t)what.l->n)
        run_fail(r, E_RANGE, "a list of more than %d items", RUN_ITEMS_MAX);
    value v = what.kind == V_LIST ? value_list(r, 0) : value_tuple(r, 0);
    for (int64_t i = 0; what.l->n && i < n; i++)
        for (size_t k = 0; k < what.l->n; k++)
            list_add(r, v.l, what.l->items[k]);
    return v;
}

static bool repeats(value v)
{
    return v.kind == V_TEXT || v.kind == V_LIST || v.kind == V_TUPLE;
}

static value math_op(run *r, number_op op, value a, value b)
{
    if (value_is_number(a) && value_is_number(b))
        return number_op_of(r, op, a, b);
    value_defined(r, a);
    if (op == N_MOD && a.kind == V_TEXT)
        return format_percent(r, a.s, b);
    value_defined(r, b);
    if (op == N_ADD)
        return add_values(r, a, b);
    if (op == N_MUL && repeats(a) && value_is_int(b))
        return repeat(r, a, b);
    if (op == N_MUL && repeats(b) && value_is_int(a))
        return repeat(r, b, a);
    if (op == N_SUB && a.kind == V_VIEW)
        run_fail(r, E_UNSUPPORTED, "views of dicts as sets");
    bad_operands(r, math_signs[op], a, b);
}

static bool compare_op_of(run *r, compare_op op, value a, value b)
{
    static const char *const signs[] = { "==", "!=", "<", "<=", ">", ">=" };
    switch (op) {
    case C_EQ: return value_equal(r, a, b);
    case C_NE: return !value_equal(r, a, b);
    case C_IN: return value_in(r, a, b);
    case C_NOT_IN: return !value_in(r, a, b);
    default: break;
    }
    int c = value_compare(r, a, b, signs[op]);
    if (c == 2)
        return false;
    return op == C_LT ? c < 0 : op == C_LE ? c <= 0 : op == C_GT ? c > 0 : c >= 0;
}

static value eval_compare(run *r, const node *n, scope *s)
{
    value left = eval(r, n->a, s);
    for (size_t i = 0; i < n->n; i++) {
        value right = eval(r, n->list[i], s);
        if (!compare_op_of(r, (compare_op)n->ops[i], left, right))
            return value_bool(false);
        left = right;
    }
    return value_bool(true);
}

static value eval_concat(run *r, const node *n, scope *s)
{
    const text *all = n->n ? value_print(r, eval(r, n->list[0], s)) : text_of(r, "");
    for (size_t i = 1; i < n->n; i++)
        all = text_join2(r, all, value_print(r, eval(r, n->list[i], s)));
    return value_text(all);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static size_t room_for(run *r, value star, value stars)
{
    if (stars.kind != V_ABSENT && stars.kind != V_DICT)
        run_fail(r, E_FORMAT, "argument after ** must be a mapping, not %s", value_type(stars));
    return (star.kind == V_ABSENT ? 0 : star.l->n) + (stars.kind == V_ABSENT ? 0 : stars.m->n);
}

/* The arguments as written: positional, *star, named, **stars. */
static arguments eval_arguments(run *r, const node *n, scope *s)
{
    size_t positional = n->n - n->n_names;
    value star = VALUE_ABSENT, stars = VALUE_ABSENT, *items;
    if (n->star) {
        star.l = value_items(r, eval(r, n->star, s));
        star.kind = V_LIST;
    }
    if (n->stars)
        stars = eval(r, n->stars, s);
    size_t more = room_for(r, star, stars), at = 0;
    items = run_array(r, n->n + more, sizeof *items);
    arguments a = { .items = items };
    for (size_t i = 0; i < positional; i++)
        items[at++] = eval(r, n->list[i], s);
    for (size_t i = 0; star.kind != V_ABSENT && i < star.l->n; i++)
        items[at++] = star.l->items[i];
    a.n = at;
    a.n_names = n->n_names + (stars.kind == V_ABSENT ? 0 : stars.m->n);
    a.names = a.n_names ? run_array(r, a.n_names, sizeof *a.names) : NULL;
    for (size_t i = 0; i < n->n_names; i++) {
        a.names[i] = n->names[i];
        items[at++] = eval(r, n->list[positional + i], s);
    }
    for (size_t i = 0; stars.kind != V_ABSENT && i < stars.m->n; i++) {
        if (stars.m->keys[i].kind != V_TEXT)
            run_fail(r, E_FORMAT, "keywords must be strings");
        a.names[n->n_names + i] = stars.m->keys[i].s;
        items[at++] = stars.m->values[i];
    }
    return a;
}

static value eval_call(run *r, const node *n, scope *s)
{
    const node *f = n->a;
    if (f->kind == E_ATTR) { /* a method, called at once: no object for it is made */
        value self = eval(r, f->a, s);
        value_defined(r, self);
        const method_row *row = method_named(r, self, f->value.s);
        if (row && !row->unsafe) {
            arguments a = eval_arguments(r, n, s);
            r->line = n->line;
            return call_method(r, self, row, &a);
        }
        value callee = get_attribute(r, self, f->value.s);
        value_defined(r, callee);
        arguments a = eval_arguments(r, n, s);
        return call_value(r, callee, &a);
    }
    value callee = eval(r, f, s);
    value_defined(r, callee);
    arguments a = eval_arguments(r, n, s);
    r->line = n->line;
    return call_value(r, callee, &a);
}

static value eval_filter(run *r, const node *n, scope *s)
{
    value v = n->a ? eval(r, n->a, s) : value_text(r->filtered);
    if (!n->row)
        run_fail(r, E_FORMAT, "No filter named '%.*s' found.", run_shown(n->value.s->p, n->value.s->n),
                 text_bytes(r, n->value.s).p);
    arguments a = eval_arguments(r, n, s);
    r->line = n->line;
    return filter_call(r, n->row, v, &a);
}

static value eval_test(run *r, const node *n, scope *s)
{
    value v = eval(r, n->a, s);
    if (!n->row)
        run_fail(r, E_FORMAT, "No test named '%.*s' found.", run_shown(n->value.s->p, n->value.s->n),
                 text_bytes(r, n->value.s).p);
    arguments a = eval_arguments(r, n, s);
    r->line = n->line;
    return value_bool(test_call(r, n->row, v, &a));
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static value eval_items(run *r, const node *n, scope *s)
{
    value v = n->kind == E_LIST ? value_list(r, n->n) : value_tuple(r, n->n);
    for (size_t i = 0; i < n->n; i++)
        list_add(r, v.l, eval(r, n->list[i], s));
    return v;
}

static value eval_dict(run *r, const node *n, scope *s)
{
    value v = value_dict(r);
    for (size_t i = 0; i + 1 < n->n; i += 2) {
        value key = eval(r, n->list[i], s);
        dict_set(r, v.m, key, eval(r, n->list[i + 1], s));
    }
    return v;
}

static value eval_slice(run *r, const node *n, scope *s)
{
    slice *out = run_alloc(r, sizeof *out);
    out->start = n->a ? eval(r, n->a, s) : VALUE_NONE;
    out->stop = n->b ? eval(r, n->b, s) : VALUE_NONE;
    out->step = n->c ? eval(r, n->c, s) : VALUE_NONE;
    return (value){ .kind = V_SLICE, .slice = out };
}

static value eval_sign(run *r, const node *n, scope *s)
{
    value v = eval(r, n->a, s);
    value_defined(r, v);
    if (!value_is_number(v))
        run_fail(r, E_FORMAT, "bad operand type for unary %s: '%s'", n->kind == E_NEGATIVE ? "-" : "+", value_type(v));
    if (n->kind == E_NEGATIVE)
        return number_negate(r, v);
    return v.kind == V_BOOL ? number_op_of(r, N_ADD, v, value_int(0)) : v;
}

static value eval_if(run *r, const node *n, scope *s)
{
    if (value_true(r, eval(r, n->a, s)))
        return eval(r, n->b, s);
    return n->c ? eval(r, n->c, s)
                : undefined_hint(r, "the inline if-expression evaluated to false and no else section was defined.");
}

static value eval_node(run *r, const node *n, scope *s)
{
    value v;
    switch (n->kind) {
    case E_CONST: return n->value;
    case E_NAME: return eval_name(r, n, s);
    case E_LIST:
    case E_TUPLE: return eval_items(r, n, s);
    case E_DICT: return eval_dict(r, n, s);
    case E_ATTR: return get_attribute(r, eval(r, n->a, s), n->value.s);
    case E_ITEM:
        v = eval(r, n->a, s);
        return get_item(r, v, eval(r, n->b, s));
    case E_SLICE: return eval_slice(r, n, s);
    case E_CALL: return eval_call(r, n, s);
    case E_FILTER: return eval_filter(r, n, s);
    case E_TEST: return eval_test(r, n, s);
    case E_NOT: return value_bool(!value_true(r, eval(r, n->a, s)));
    case E_NEGATIVE:
    case E_POSITIVE: return eval_sign(r, n, s);
    case E_AND:
        v = eval(r, n->a, s);
        return value_true(r, v) ? eval(r, n->b, s) : v;
    case E_OR:
        v = eval(r, n->a, s);
        return value_true(r, v) ? v : eval(r, n->b, s);
    case E_IF: return eval_if(r, n, s);
    case E_MATH:
        v = eval(r, n->a, s);
        return math_op(r, (number_op)n->op, v, eval(r, n->b, s));
    case E_CONCAT: return eval_concat(r, n, s);
    case E_COMPARE: return eval_compare(r, n, s);
    default: run_fail(r, E_FORMAT, "this is no expression");
    }
}

value eval(run *r, const node *n, scope *s)
{
    run_enter(r);
    run_spend(r, 1);
    r->line = n->line;
    value v = eval_node(r, n, s);
    run_leave(r);
    return v;
}
