/* filter_other.c: the other filters; all tests; where names are looked up. */
#include <math.h>
#include <string.h>

#include "chat/chars.h"
#include "chat/filter.h"

static bool given_true(run *r, value v)
{
    return v.kind != V_ABSENT && value_true(r, v);
}

/* ---- filters ----------------------------------------------------------------------------------------------------- */

static value do_default(run *r, value v, const value *a)
{
    if (v.kind == V_UNDEFINED || (given_true(r, a[1]) && !value_true(r, v)))
        return a[0].kind == V_ABSENT ? value_str(r, "") : a[0];
    return v;
}

static value with_origin(value v, value of)
{
    v.from = of.from;
    return v;
}

static bool to_double(run *r, value v, double *out)
{
    if (value_is_number(v)) {
        *out = value_double(r, v);
        return true;
    }
    return v.kind == V_TEXT && number_parse_float(r, text_bytes(r, v.s), out);
}

static value do_int(run *r, value v, const value *a)
{
    value otherwise = a[0].kind == V_ABSENT ? value_int(0) : a[0], out;
    int64_t base = a[1].kind == V_ABSENT ? 10 : value_index(r, a[1]);
    double d;
    value_defined(r, v);
    if (v.kind == V_TEXT && (base == 0 || (base >= 2 && base <= 36)) &&
        number_parse_int(r, text_bytes(r, v.s), (int)base, &out))
        return out;
    if (v.kind == V_INT || v.kind == V_BIG)
        return v;
    if (v.kind == V_BOOL)
        return with_origin(value_int(v.b), v);
    if (v.kind == V_FLOAT && isinf(v.d))
        run_fail(r, E_FORMAT, "cannot convert float infinity to integer");
    if (to_double(r, v, &d) && isfinite(d))
        return with_origin(number_of_double(r, d), v);
    return otherwise;
}

static value do_float(run *r, value v, const value *a)
{
    double d;
    value_defined(r, v);
    if (to_double(r, v, &d))
        return with_origin(value_float(d), v);
    return a[0].kind == V_ABSENT ? value_float(0) : a[0];
}

static value do_abs(run *r, value v, const value *a)
{
    (void)a;
    value_defined(r, v);
    if (!value_is_number(v))
        run_fail(r, E_FORMAT, "bad operand type for abs(): '%s'", value_type(v));
    return number_absolute(r, v);
}

static value do_round(run *r, value v, const value *a)
{
    value digits = a[0].kind == V_ABSENT ? value_int(0) : a[0];
    const text *how = a[1].kind == V_ABSENT ? text_of(r, "common") : text_or_fail(r, a[1], "method");
    bool up = text_is(r, how, "ceil");
    if (!up && !text_is(r, how, "floor") && !text_is(r, how, "common"))
        run_fail(r, E_FORMAT, "method must be common, ceil or floor");
    value_defined(r, v);
    if (!value_is_number(v))
        run_fail(r, E_FORMAT, "type %s doesn't define __round__ method", value_type(v));
    if (text_is(r, how, "common"))
        return with_origin(number_round(r, v, digits), v);
    value unit = number_op_of(r, N_POW, value_int(10), digits), scaled = number_op_of(r, N_MUL, v, unit);
    if (scaled.kind == V_FLOAT && !isfinite(scaled.d))
        run_fail(r, E_FORMAT, "cannot convert float infinity or NaN to integer");
    if (scaled.kind == V_FLOAT)
        scaled = number_of_double(r, up ? ceil(scaled.d) : floor(scaled.d));
    return with_origin(number_op_of(r, N_DIV, scaled, unit), v);
}

static value do_attr(run *r, value v, const value *a)
{
    const text *name = text_or_fail(r, a[0], "an attribute's name");
    value_defined(r, v);
    value found = v.kind == V_DICT && !method_named(r, v, name) ? VALUE_ABSENT : get_attribute(r, v, name);
    return found.kind == V_ABSENT ? undefined_of(r, v, a[0]) : found;
}

const filter_row other_filters[] = {
    { "default", "default_value boolean", 0, do_default, NULL },
    { "d", "default_value boolean", 0, do_default, NULL },
    { "int", "default base", 0, do_int, NULL },
    { "float", "default", 0, do_float, NULL },
    { "abs", "", 0, do_abs, NULL },
    { "round", "precision method", 0, do_round, NULL },
    { "attr", "name", 1, do_attr, NULL },
    { "tojson", "ensure_ascii indent separators sort_keys", 0, tojson, NULL },
};
const size_t n_other_filters = ARRAY_LEN(other_filters);

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static bool is_defined(run *r, value v, const value *a) { (void)r, (void)a; return v.kind != V_UNDEFINED; }
static bool is_undefined(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_UNDEFINED; }
static bool is_none(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_NONE; }
static bool is_boolean(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_BOOL; }
static bool is_true(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_BOOL && v.b; }
static bool is_false(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_BOOL && !v.b; }
static bool is_string(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_TEXT; }
static bool is_number(run *r, value v, const value *a) { (void)r, (void)a; return value_is_number(v); }
static bool is_float(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_FLOAT; }
static bool is_mapping(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_DICT; }
static bool is_iterable(run *r, value v, const value *a) { (void)r, (void)a; return value_iterable(v); }
static bool is_callable(run *r, value v, const value *a) { (void)r, (void)a; return value_callable(v); }
static bool is_escaped(run *r, value v, const value *a) { (void)r, (void)a; return v.kind == V_TEXT && v.s->markup; }
static bool is_in(run *r, value v, const value *a) { return value_in(r, v, a[0]); }
static bool is_eq(run *r, value v, const value *a) { return value_equal(r, v, a[0]); }
static bool is_ne(run *r, value v, const value *a) { return !value_equal(r, v, a[0]); }

static bool is_integer(run *r, value v, const value *a)
{
    (void)r, (void)a;
    return v.kind == V_INT || v.kind == V_BIG;
}

static bool is_sequence(run *r, value v, const value *a)
{
    (void)r, (void)a;
    return value_iterable(v) && v.kind != V_VIEW && v.kind != V_GENERATOR && v.kind != V_LOOP;
}

static int order(run *r, value v, value other, const char *op)
{
    int c = value_compare(r, v, other, op);
    return c == 2 ? 3 : c < 0 ? -1 : c > 0;
}

static bool is_lt(run *r, value v, const value *a) { return order(r, v, a[0], "<") == -1; }
static bool is_gt(run *r, value v, const value *a) { return order(r, v, a[0], ">") == 1; }
static bool is_le(run *r, value v, const value *a) { return order(r, v, a[0], "<=") <= 0; }

static bool is_ge(run *r, value v, const value *a)
{
    int c = order(r, v, a[0], ">=");
    return c == 0 || c == 1;
}

static value remainder_of(run *r, value v, value by)
{
    value_defined(r, v);
    value_defined(r, by);
    if (v.kind == V_TEXT)
        return format_percent(r, v.s, by);
    if (!value_is_number(v) || !value_is_number(by))
        run_fail(r, E_FORMAT, "unsupported operand type(s) for %%: '%s' and '%s'", value_type(v), value_type(by));
    return number_op_of(r, N_MOD, v, by);
}

static bool is_even(run *r, value v, const value *a)
{
    (void)a;
    return value_equal(r, remainder_of(r, v, value_int(2)), value_int(0));
}

static bool is_odd(run *r, value v, const value *a)
{
    (void)a;
    return value_equal(r, remainder_of(r, v, value_int(2)), value_int(1));
}

static bool is_divisible(run *r, value v, const value *a)
{
    return value_equal(r, remainder_of(r, v, a[0]), value_int(0));
}

static bool is_same(run *r, value v, const value *a)
{
    value other = a[0];
    if (v.kind != other.kind)
        return false;
    if (v.kind == V_NONE || value_is_number(v))
        return v.kind == V_NONE || value_equal(r, v, other);
    return v.s == other.s;
}

/* All cased characters are of one case, and there is one. */
static bool all_case(run *r, value v, bool upper)
{
    span s = text_bytes(r, value_print(r, v));
    bool any = false;
    for (size_t i = 0, len; i < s.n; i += len) {
        uint32_t c = text_code(s, i, &len);
        run_spend(r, 1);
        if (char_is_title(c) || (upper ? char_is_lower(c) : char_is_upper(c)))
            return false;
        any |= upper ? char_is_upper(c) : char_is_lower(c);
    }
    return any;
}

static bool is_lower(run *r, value v, const value *a)
{
    (void)a;
    return all_case(r, v, false);
}

static bool is_upper(run *r, value v, const value *a)
{
    (void)a;
    return all_case(r, v, true);
}

static void hashable(run *r, value v)
{
    dict none = { 0 };
    value ignored;
    (void)dict_get(r, &none, v, &ignored); /* fails for what cannot be a key */
}

static bool is_filter(run *r, value v, const value *a)
{
    (void)a;
    hashable(r, v);
    return v.kind == V_TEXT && filter_named(text_bytes(r, v.s));
}

static bool is_test(run *r, value v, const value *a)
{
    (void)a;
    hashable(r, v);
    return v.kind == V_TEXT && test_named(text_bytes(r, v.s));
}

static const test_row tests[] = {
    { "defined", 0, is_defined }, { "undefined", 0, is_undefined }, { "none", 0, is_none },
    { "boolean", 0, is_boolean }, { "true", 0, is_true }, { "false", 0, is_false }, { "string", 0, is_string },
    { "number", 0, is_number }, { "integer", 0, is_integer }, { "float", 0, is_float },
    { "mapping", 0, is_mapping }, { "iterable", 0, is_iterable }, { "sequence", 0, is_sequence },
    { "callable", 0, is_callable }, { "escaped", 0, is_escaped }, { "lower", 0, is_lower }, { "upper", 0, is_upper },
    { "even", 0, is_even }, { "odd", 0, is_odd }, { "divisibleby", 1, is_divisible }, { "in", 1, is_in },
    { "sameas", 1, is_same }, { "filter", 0, is_filter }, { "test", 0, is_test },
    { "eq", 1, is_eq }, { "equalto", 1, is_eq }, { "==", 1, is_eq }, { "ne", 1, is_ne }, { "!=", 1, is_ne },
    { "lt", 1, is_lt }, { "lessthan", 1, is_lt }, { "<", 1, is_lt }, { "le", 1, is_le }, { "<=", 1, is_le },
    { "gt", 1, is_gt }, { "greaterthan", 1, is_gt }, { ">", 1, is_gt }, { "ge", 1, is_ge }, { ">=", 1, is_ge },
};

/* ---- looking up -------------------------------------------------------------------------------------------------- */

const filter_row *filter_named(span name)
{
    const struct {
        const filter_row *rows;
        size_t n;
    } tables[] = { { text_filters, n_text_filters }, { list_filters, n_list_filters },
                   { other_filters, n_other_filters } };
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t].n; i++)
            if (span_is(name, tables[t].rows[i].name))
                return &tables[t].rows[i];
    return NULL;
}

const test_row *test_named(span name)
{
    for (size_t i = 0; i < ARRAY_LEN(tests); i++)
        if (span_is(name, tests[i].name))
            return &tests[i];
    return NULL;
}
