/* exec.c: statements. */
#include <string.h>

#include "chat/filter.h"

static void assign_tuple(run *r, const node *target, value v, scope *s)
{
    list *items = value_items(r, v);
    if (items->n != target->n)
        run_fail(r, E_FORMAT, items->n < target->n ? "not enough values to unpack (expected %zu, got %zu)" :
                 "too many values to unpack (expected %zu, got %zu)", target->n, items->n);
    for (size_t i = 0; i < target->n; i++)
        assign(r, target->list[i], items->items[i], s);
}

void assign(run *r, const node *target, value v, scope *s)
{
    value ns;
    switch (target->kind) {
    case E_NAME: scope_set(r, s, target->symbol, v); return;
    case E_TUPLE: assign_tuple(r, target, v, s); return;
    default: break;
    }
    if (!scope_get(r, s, target->symbol, &ns) || ns.kind != V_NAMESPACE)
        run_fail(r, E_FORMAT, "cannot assign attribute on non-namespace object");
    dict_set(r, &ns.ns->m, target->value, v);
}

const text *exec_captured(run *r, const block *b, scope *s, flow *leaves)
{
    sink out = { 0 }, *before = r->out;
    r->out = &out;
    *leaves = exec(r, b, s);
    r->out = before;
    return sink_text(r, &out);
}

static value filtered(run *r, const node *filters, const text *s, scope *at)
{
    if (!filters)
        return value_text(s);
    r->filtered = s;
    return eval(r, filters, at);
}

static value new_macro(run *r, const node *n, scope *s, const text *name, bool is_caller)
{
    macro *m = run_alloc(r, sizeof *m);
    *m = (macro){ n, name, s, is_caller };
    return (value){ .kind = V_MACRO, .macro = m };
}

/* {% call %}: its body is the macro `caller`, given to the call as an argument of that name. */
static void exec_call(run *r, const node *n, scope *s)
{
    const node *call = n->a;
    node with = *call;
    const text *name = text_of(r, "caller");
    const text **names = run_grow(r, call->names, call->n_names, call->n_names + 1, sizeof *names);
    const node **items = run_grow(r, call->list, call->n, call->n + 1, sizeof *items);
    node *caller = run_alloc(r, sizeof *caller);
    caller->kind = E_CONST;
    caller->line = n->line;
    caller->value = new_macro(r, n, s, name, true);
    names[call->n_names] = name;
    items[call->n] = caller;
    with.names = names;
    with.n_names = call->n_names + 1;
    with.list = items;
    with.n = call->n + 1;
    sink_add(r, r->out, value_print(r, eval(r, &with, s)));
}

static flow exec_with(run *r, const node *n, scope *s)
{
    scope *inner = scope_new(r, s);
    value *values = run_array(r, n->n, sizeof *values);
    for (size_t i = 0; i < n->n; i++)
        values[i] = eval(r, n->list[i], s);
    for (size_t i = 0; i < n->n; i++)
        assign(r, n->defaults[i], values[i], inner);
    return exec(r, n->body, inner);
}

static flow exec_scoped(run *r, const node *n, scope *s)
{
    flow leaves = FLOW_NEXT;
    switch (n->kind) {
    case S_SET: assign(r, n->a, eval(r, n->b, s), s); break;
    case S_SET_BLOCK:
    case S_FILTER: {
        const text *out = exec_captured(r, n->body, scope_new(r, s), &leaves);
        if (leaves != FLOW_NEXT)
            return leaves; /* nothing comes of a block that was left in the middle */
        value v = filtered(r, n->b, out, s);
        if (n->kind == S_FILTER)
            sink_add(r, r->out, value_print(r, v));
        else
            assign(r, n->a, v, s);
        break;
    }
    case S_WITH: return exec_with(r, n, s);
    case S_MACRO: scope_set(r, s, n->symbol, new_macro(r, n, s, n->value.s, false)); break;
    case S_CALL: exec_call(r, n, s); break;
    case S_SCOPE: return exec(r, n->body, scope_new(r, n->flag ? r->top : s));
    default: run_fail(r, E_FORMAT, "this is no statement");
    }
    return FLOW_NEXT;
}

static flow exec_if(run *r, const node *n, scope *s)
{
    while (!value_true(r, eval(r, n->a, s))) {
        if (!n->flag)
            return n->other ? exec(r, n->other, s) : FLOW_NEXT;
        n = n->other->items[0];
    }
    return exec(r, n->body, s);
}

static flow exec_node(run *r, const node *n, scope *s)
{
    flow leaves = FLOW_NEXT;
    switch (n->kind) {
    case S_TEXT: sink_add(r, r->out, n->value.s); return FLOW_NEXT;
    case S_PRINT: sink_add(r, r->out, value_print(r, eval(r, n->a, s))); return FLOW_NEXT;
    case S_IF: return exec_if(r, n, s);
    case S_FOR: (void)run_loop(r, n, eval(r, n->b, s), s, 0, &leaves); return leaves;
    case S_BREAK: return FLOW_BREAK;
    case S_CONTINUE: return FLOW_CONTINUE;
    default: return exec_scoped(r, n, s);
    }
}

flow exec(run *r, const block *b, scope *s)
{
    flow f = FLOW_NEXT;
    run_enter(r);
    for (size_t i = 0; i < b->n && f == FLOW_NEXT; i++) {
        run_spend(r, 1);
        r->line = b->items[i]->line;
        f = exec_node(r, b->items[i], s);
    }
    run_leave(r);
    return f;
}
