/* loop.c: {% for %} and the variable `loop`. */
#include <string.h>

#include "chat/filter.h"

/* The next item of the sequence that passes the loop's condition. */
static bool read_source(run *r, loop *l, value *out)
{
    while (iter_next(r, &l->source, out)) {
        if (!l->condition)
            return true;
        assign(r, l->n->a, *out, l->test_scope);
        if (value_true(r, eval(r, l->condition, l->test_scope)))
            return true;
    }
    return false;
}

static bool read_ahead(run *r, loop *l, value *out)
{
    if (l->ahead && l->ahead_at < l->ahead->n) {
        *out = l->ahead->items[l->ahead_at++];
        return true;
    }
    return !l->ahead && read_source(r, l, out);
}

static bool peek(run *r, loop *l)
{
    if (!l->has_following)
        l->has_following = read_ahead(r, l, &l->following);
    return l->has_following;
}

bool loop_next(run *r, loop *l, value *out)
{
    if (!peek(r, l))
        return false;
    l->has_following = false;
    l->has_previous = l->started;
    l->previous = l->current;
    l->current = l->following;
    l->started = true;
    l->index0++;
    *out = l->current;
    return true;
}

size_t loop_length(run *r, loop *l)
{
    if (l->length >= 0)
        return (size_t)l->length;
    value source = l->source.v;
    if (!l->condition && source.kind != V_GENERATOR && source.kind != V_LOOP) {
        l->length = (int64_t)value_length(r, source);
        return (size_t)l->length;
    }
    list *rest = value_list(r, 0).l;
    value v;
    while (read_source(r, l, &v))
        list_add(r, rest, v);
    l->ahead = rest;
    l->length = l->index0 + 1 + l->has_following + (int64_t)rest->n;
    return (size_t)l->length;
}

static bool is_last(run *r, loop *l)
{
    return !peek(r, l);
}

/* What changes while it loops, by name. */
value loop_attribute(run *r, loop *l, const text *name)
{
    enum { INDEX, INDEX0, REVINDEX, REVINDEX0, FIRST, LAST, LENGTH, DEPTH, DEPTH0, PREVITEM, NEXTITEM };
    static const char *const names[] = { "index", "index0", "revindex", "revindex0", "first", "last", "length",
                                         "depth", "depth0", "previtem", "nextitem" };
    size_t i = 0;
    while (i < ARRAY_LEN(names) && !text_is(r, name, names[i]))
        i++;
    switch (i) {
    case INDEX: return value_int(l->index0 + 1);
    case INDEX0: return value_int(l->index0);
    case REVINDEX: return value_int((int64_t)loop_length(r, l) - l->index0);
    case REVINDEX0: return value_int((int64_t)loop_length(r, l) - l->index0 - 1);
    case FIRST: return value_bool(l->index0 == 0);
    case LAST: return value_bool(is_last(r, l));
    case LENGTH: return value_int((int64_t)loop_length(r, l));
    case DEPTH: return value_int(l->depth0 + 1);
    case DEPTH0: return value_int(l->depth0);
    case PREVITEM: return l->has_previous ? l->previous : undefined_hint(r, "there is no previous item");
    case NEXTITEM: return peek(r, l) ? l->following : undefined_hint(r, "there is no next item");
    default: break;
    }
    const method_row *row = method_named(r, (value){ .kind = V_LOOP, .loop = l }, name);
    if (!row)
        return VALUE_ABSENT;
    method *m = run_alloc(r, sizeof *m);
    m->self = (value){ .kind = V_LOOP, .loop = l };
    m->row = row;
    return (value){ .kind = V_METHOD, .method = m };
}

void loop_repr(builder *b, const loop *l)
{
    build_str(b, "<LoopContext ", ORIGIN_TEMPLATE);
    build_repr(b, value_int(l->index0 + 1));
    build_str(b, "/", ORIGIN_TEMPLATE);
    build_repr(b, value_int((int64_t)loop_length(b->r, (loop *)(uintptr_t)l)));
    build_str(b, ">", ORIGIN_TEMPLATE);
}

/* loop(items): the same loop, one deeper, captured. */
value loop_call(run *r, loop *l, const arguments *a)
{
    flow ignored = FLOW_NEXT;
    if (!l->n->flag)
        run_fail(r, E_FORMAT, "The loop must have the 'recursive' marker to be called recursively.");
    if (a->n != 1 || a->n_names)
        run_fail(r, E_FORMAT, "loop() takes one argument");
    sink out = { 0 }, *before = r->out;
    r->out = &out;
    run_enter(r);
    (void)run_loop(r, l->n, a->items[0], l->outer, l->depth0 + 1, &ignored);
    run_leave(r);
    r->out = before;
    return value_text(sink_text(r, &out));
}

value run_loop(run *r, const node *n, value sequence, scope *outer, int depth0, flow *leaves)
{
    loop *l = run_alloc(r, sizeof *l);
    *l = (loop){ .n = n, .outer = outer, .condition = n->c, .index0 = -1, .length = -1, .changed = VALUE_ABSENT,
                 .depth0 = depth0 };
    iter_open(r, &l->source, sequence);
    if (l->condition)
        l->test_scope = scope_new(r, outer);
    size_t loop_symbol = template_symbol(r->t, "loop");
    scope *s = scope_new(r, outer);
    value item;
    bool any = false;
    while (loop_next(r, l, &item)) {
        any = true;
        s->n = 0;
        if (loop_symbol != SIZE_MAX)
            scope_set(r, s, (uint32_t)loop_symbol, (value){ .kind = V_LOOP, .loop = l });
        assign(r, n->a, item, s);
        if (exec(r, n->body, s) == FLOW_BREAK)
            break;
    }
    /* The else part stands outside: a break in it leaves the loop around it. */
    *leaves = !any && n->other ? exec(r, n->other, scope_new(r, outer)) : FLOW_NEXT;
    return VALUE_NONE;
}
