/* call.c: calling what can be called: macros, methods, functions of the environment; and those functions. */
#include <string.h>
#include <time.h>

#include "chat/filter.h"

/* ---- binding ----------------------------------------------------------------------------------------------------- */

/* The place of a name among "a b c", or -1. */
static int place_of(const char *names, span name)
{
    int at = 0;
    while (*names) {
        size_t n = strcspn(names, " ");
        if (n == name.n && !memcmp(names, name.p, n))
            return at;
        names += n + (names[n] == ' ');
        at++;
    }
    return -1;
}

static int count_of(const char *names)
{
    int n = *names != 0;
    for (; *names; names++)
        n += *names == ' ';
    return n;
}

void call_bind(run *r, const char *function_name, const char *names, int needed, const arguments *a,
               value out[PARAMETERS_MAX])
{
    int n = count_of(names);
    for (int i = 0; i < PARAMETERS_MAX; i++)
        out[i] = VALUE_ABSENT;
    if (a->n > (size_t)n)
        run_fail(r, E_FORMAT, "%s() takes %d arguments but %zu were given", function_name, n, a->n);
    for (size_t i = 0; i < a->n; i++)
        out[i] = a->items[i];
    for (size_t i = 0; i < a->n_names; i++) {
        span name = text_bytes(r, a->names[i]);
        int at = place_of(names, name);
        if (at < 0)
            run_fail(r, E_FORMAT, "%s() got an unexpected keyword argument '%.*s'", function_name,
                     run_shown(name.p, name.n), name.p);
        if (out[at].kind != V_ABSENT)
            run_fail(r, E_FORMAT, "%s() got multiple values for argument '%.*s'", function_name,
                     run_shown(name.p, name.n), name.p);
        out[at] = a->items[a->n + i];
    }
    for (int i = 0; i < needed; i++)
        if (out[i].kind == V_ABSENT)
            run_fail(r, E_FORMAT, "%s() misses a required argument", function_name);
}

bool argument_named(run *r, const arguments *a, const char *name, value *out)
{
    for (size_t i = 0; i < a->n_names; i++)
        if (text_is(r, a->names[i], name)) {
            *out = a->items[a->n + i];
            return true;
        }
    return false;
}

value filter_call(run *r, const filter_row *row, value v, const arguments *a)
{
    value bound[PARAMETERS_MAX];
    run_spend(r, 1);
    if (row->call_any)
        return row->call_any(r, v, a);
    call_bind(r, row->name, row->names, row->needed, a, bound);
    return row->call(r, v, bound);
}

bool test_call(run *r, const test_row *row, value v, const arguments *a)
{
    if (a->n != (size_t)row->needed || a->n_names)
        run_fail(r, E_FORMAT, "the test %s takes %d arguments", row->name, row->needed);
    return row->test(r, v, a->items);
}

value call_method(run *r, value self, const method_row *row, const arguments *a)
{
    value bound[PARAMETERS_MAX], out;
    run_enter(r);
    run_spend(r, 1);
    if (row->call_any) {
        out = row->call_any(r, self, a);
    } else {
        call_bind(r, row->name, row->names, row->needed, a, bound);
        out = row->call(r, self, bound);
    }
    run_leave(r);
    return out;
}

/* ---- macros ------------------------------------------------------------------------------------------------------ */

void macro_repr(builder *b, const macro *m)
{
    build_str(b, "<Macro ", ORIGIN_TEMPLATE);
    build_repr(b, m->is_caller ? VALUE_NONE : value_text(m->name));
    build_str(b, ">", ORIGIN_TEMPLATE);
}

/* Does the body read this special name? Only then does the macro take what has no parameter. */
static bool reads(run *r, const macro *m, macro_reads what, const char *name, size_t *symbol)
{
    *symbol = m->n->op & what ? template_symbol(r->t, name) : SIZE_MAX;
    return *symbol != SIZE_MAX;
}

static value given(run *r, const arguments *a, const macro *m, size_t i, bool *used)
{
    if (i < a->n)
        return a->items[i];
    const text *name = m->n->list[i]->value.s;
    for (size_t k = 0; k < a->n_names; k++)
        if (text_equal(r, a->names[k], name)) {
            used[k] = true;
            return a->items[a->n + k];
        }
    return VALUE_ABSENT;
}

static void bind_rest(run *r, const macro *m, const arguments *a, const bool *used, scope *s)
{
    const node *n = m->n;
    size_t symbol;
    bool takes_caller = reads(r, m, READS_CALLER, "caller", &symbol);
    value caller = undefined_hint(r, "No caller defined");
    value kwargs = value_dict(r), varargs = value_tuple(r, 0);
    for (size_t i = 0; i < a->n_names; i++) {
        if (used[i])
            continue;
        if (takes_caller && text_is(r, a->names[i], "caller"))
            caller = a->items[a->n + i];
        else
            dict_set(r, kwargs.m, value_text(a->names[i]), a->items[a->n + i]);
    }
    for (size_t i = n->n; i < a->n; i++)
        list_add(r, varargs.l, a->items[i]);
    if (takes_caller)
        scope_set(r, s, (uint32_t)symbol, caller);
    span name = text_bytes(r, m->name);
    if (reads(r, m, READS_KWARGS, "kwargs", &symbol)) {
        scope_set(r, s, (uint32_t)symbol, kwargs);
    } else if (kwargs.m->n) {
        if (text_is(r, kwargs.m->keys[0].s, "caller"))
            run_fail(r, E_FORMAT, "macro '%.*s' was invoked with two values for the special caller argument. This is "
                     "most likely a bug.", run_shown(name.p, name.n), name.p);
        span key = text_bytes(r, kwargs.m->keys[0].s);
        run_fail(r, E_FORMAT, "macro '%.*s' takes no keyword argument '%.*s'", run_shown(name.p, name.n),
                 name.p, run_shown(key.p, key.n), key.p);
    }
    if (reads(r, m, READS_VARARGS, "varargs", &symbol))
        scope_set(r, s, (uint32_t)symbol, varargs);
    else if (a->n > n->n)
        run_fail(r, E_FORMAT, "macro '%.*s' takes not more than %zu argument(s)", run_shown(name.p, name.n),
                 name.p, n->n);
}

static value call_macro(run *r, const macro *m, const arguments *a)
{
    const node *n = m->n;
    scope *s = scope_new(r, m->at);
    bool *used = run_array(r, a->n_names, sizeof *used);
    value *parameters = run_array(r, n->n, sizeof *parameters);
    for (size_t i = 0; i < n->n; i++)
        parameters[i] = given(r, a, m, i, used);
    bind_rest(r, m, a, used, s);
    size_t first_default = n->n - n->n_defaults;
    for (size_t i = 0; i < n->n; i++) {
        value v = parameters[i];
        if (v.kind == V_ABSENT && i >= first_default)
            v = eval(r, n->defaults[i - first_default], s);
        else if (v.kind == V_ABSENT)
            v = undefined_hint(r, "a parameter was not provided");
        scope_set(r, s, n->list[i]->symbol, v);
    }
    flow ignored;
    return value_text(exec_captured(r, n->body, s, &ignored));
}

/* ---- anything ---------------------------------------------------------------------------------------------------- */

static value call_function(run *r, const function *f, const arguments *a)
{
    value bound[PARAMETERS_MAX];
    if (f->call_any)
        return f->call_any(r, a);
    call_bind(r, f->name, f->names, f->needed, a, bound);
    return f->call(r, bound);
}

value call_value(run *r, value callee, const arguments *a)
{
    value out;
    run_enter(r);
    run_spend(r, 1);
    switch (callee.kind) {
    case V_MACRO: out = call_macro(r, callee.macro, a); break;
    case V_FUNCTION: out = call_function(r, callee.function, a); break;
    case V_METHOD: out = call_method(r, callee.method->self, callee.method->row, a); break;
    case V_LOOP: out = loop_call(r, callee.loop, a); break;
    case V_JOINER:
        out = callee.joiner->used ? value_text(callee.joiner->sep) : value_str(r, "");
        callee.joiner->used = true;
        break;
    case V_UNDEFINED: undefined_fail(r, callee);
    default: run_fail(r, E_FORMAT, "'%s' object is not callable", value_type(callee));
    }
    run_leave(r);
    return out;
}

/* ---- functions of the environment -------------------------------------------------------------------------------- */

static value call_range(run *r, const arguments *a)
{
    enum { RANGE_MAX = 100000 }; /* jinja2's sandbox has the same */
    if (a->n < 1 || a->n > 3 || a->n_names)
        run_fail(r, E_FORMAT, "range expected 1 to 3 arguments, got %zu", a->n);
    int64_t v[3] = { 0, 0, 1 };
    for (size_t i = 0; i < a->n; i++)
        v[a->n == 1 ? 1 : i] = value_bound(r, a->items[i]);
    range g = { v[0], v[1], v[2], 0 };
    if (!g.step)
        run_fail(r, E_FORMAT, "range() arg 3 must not be zero");
    if (g.step > 0 ? g.start < g.stop : g.start > g.stop) {
        uint64_t distance = g.step > 0 ? (uint64_t)g.stop - (uint64_t)g.start : (uint64_t)g.start - (uint64_t)g.stop;
        uint64_t step = g.step > 0 ? (uint64_t)g.step : 0 - (uint64_t)g.step;
        uint64_t n = (distance - 1) / step + 1;
        if (n > RANGE_MAX)
            run_fail(r, E_RANGE, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", RANGE_MAX);
        g.n = (int64_t)n;
    }
    range *out = run_alloc(r, sizeof *out);
    *out = g;
    return (value){ .kind = V_RANGE, .range = out };
}

/* What dict(...) takes: a dict, or pairs; then names. */
static void fill_dict(run *r, dict *m, const arguments *a, const char *who)
{
    if (a->n > 1)
        run_fail(r, E_FORMAT, "%s expected at most 1 argument, got %zu", who, a->n);
    if (a->n && a->items[0].kind == V_DICT) {
        const dict *from = a->items[0].m;
        for (size_t i = 0; i < from->n; i++)
            dict_set(r, m, from->keys[i], from->values[i]);
    } else if (a->n) {
        value_defined(r, a->items[0]);
        list *items = value_items(r, a->items[0]);
        for (size_t i = 0; i < items->n; i++) {
            list *pair = value_items(r, items->items[i]);
            if (pair->n != 2)
                run_fail(r, E_FORMAT, "dictionary update sequence element #%zu has length %zu; 2 is required", i,
                         pair->n);
            dict_set(r, m, pair->items[0], pair->items[1]);
        }
    }
    for (size_t i = 0; i < a->n_names; i++)
        dict_set(r, m, value_text(a->names[i]), a->items[a->n + i]);
}

static value call_dict(run *r, const arguments *a)
{
    value v = value_dict(r);
    fill_dict(r, v.m, a, "dict");
    return v;
}

static value call_namespace(run *r, const arguments *a)
{
    namespace *ns = run_alloc(r, sizeof *ns);
    fill_dict(r, &ns->m, a, "namespace");
    return (value){ .kind = V_NAMESPACE, .ns = ns };
}

static value call_cycler(run *r, const arguments *a)
{
    cycler *c = run_alloc(r, sizeof *c);
    if (!a->n)
        run_fail(r, E_FORMAT, "at least one item has to be provided");
    for (size_t i = 0; i < a->n; i++)
        list_add(r, &c->items, a->items[i]);
    return (value){ .kind = V_CYCLER, .cycler = c };
}

static value call_joiner(run *r, const value *a)
{
    joiner *j = run_alloc(r, sizeof *j);
    j->sep = a[0].kind == V_TEXT ? a[0].s : text_of(r, ", ");
    return (value){ .kind = V_JOINER, .joiner = j };
}

static value raise_exception(run *r, const value *a)
{
    span s = text_bytes(r, value_print(r, a[0]));
    run_refuse(r, s.p, s.n);
}

static const function functions[] = {
    { "range", NULL, NULL, 0, call_range },
    { "dict", NULL, NULL, 0, call_dict },
    { "namespace", NULL, NULL, 0, call_namespace },
    { "cycler", NULL, NULL, 0, call_cycler },
    { "joiner", call_joiner, "sep", 0, NULL },
    { "raise_exception", raise_exception, "message", 1, NULL },
    { "strftime_now", strftime_now, "format", 1, NULL },
};

bool global_named(run *r, span name, value *out)
{
    (void)r;
    for (size_t i = 0; i < ARRAY_LEN(functions); i++)
        if (span_is(name, functions[i].name)) {
            *out = (value){ .kind = V_FUNCTION, .function = &functions[i] };
            return true;
        }
    return false;
}
