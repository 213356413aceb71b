#include "chat/value.h"

#include <stdlib.h>
#include <string.h>

#include "chat/scope.h"

/* ---- making ------------------------------------------------------------------------------------------------------ */

value value_str(run *r, const char *literal)
{
    return value_text(text_of(r, literal));
}

static value list_new(run *r, value_kind kind, size_t room)
{
    list *l = run_alloc(r, sizeof *l);
    if (room)
        l->items = run_array(r, room, sizeof *l->items);
    l->size = room;
    return (value){ .kind = (uint8_t)kind, .l = l };
}

value value_list(run *r, size_t room)
{
    return list_new(r, V_LIST, room);
}

value value_tuple(run *r, size_t room)
{
    return list_new(r, V_TUPLE, room);
}

value value_dict(run *r)
{
    return (value){ .kind = V_DICT, .m = run_alloc(r, sizeof(dict)) };
}

static value js_number(run *r, const js *j, uint32_t from)
{
    const char *s = js_text(j);
    value v;
    if (strpbrk(s, ".eE"))
        v = value_float(strtod(s, NULL));
    else if (!number_parse_int(r, span_of(s), 10, &v))
        run_fail(r, E_FORMAT, "'%.40s' is no number", s);
    v.from = from;
    return v;
}

/* Names of roles and of kinds of parts, whole: templates make control tokens of them ('<|' + role + '|>'), and they are
 * the protocol's words, not a user's. */
static bool is_known_name(const char *key, const js *j)
{
    static const char *const names[] = { "user", "system", "assistant", "tool", "developer", "function", "model",
                                         "ipython", "observation", "environment", "context", "text", "image",
                                         "image_url", "audio", "video" };
    if (!js_is(j, JS_STRING) || (strcmp(key, "role") != 0 && strcmp(key, "type") != 0))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (js_len(j) == strlen(names[i]) && !strcmp(js_text(j), names[i]))
            return true;
    return false;
}

value value_js(run *r, const js *j, uint32_t from)
{
    value v;
    run_enter(r);
    run_spend(r, 1);
    switch (js_typeof(j)) {
    case JS_BOOL: v = value_bool(js_bool(j, false)); break;
    case JS_NUMBER: v = js_number(r, j, from); break;
    case JS_STRING: v = value_text(text_new(r, js_text(j), js_len(j), from)); break;
    case JS_ARRAY:
        v = value_list(r, js_len(j));
        for (size_t i = 0; i < js_len(j); i++)
            list_add(r, v.l, value_js(r, js_at(j, i), from));
        break;
    case JS_OBJECT:
        v = value_dict(r);
        for (js_member m = { 0 }; js_next(j, &m);)
            dict_set(r, v.m, value_text(text_new(r, m.key, strlen(m.key), from)),
                     value_js(r, m.value, is_known_name(m.key, m.value) ? ORIGIN_TEMPLATE : from));
        break;
    default: v = VALUE_NONE;
    }
    v.from = from;
    run_leave(r);
    return v;
}

static value undefined_new(run *r, undefined u)
{
    undefined *p = run_alloc(r, sizeof *p);
    *p = u;
    return (value){ .kind = V_UNDEFINED, .u = p };
}

value undefined_name(run *r, const text *name)
{
    return undefined_new(r, (undefined){ .name = value_text(name) });
}

value undefined_hint(run *r, const char *message)
{
    return undefined_new(r, (undefined){ .hint = message });
}

value undefined_of(run *r, value owner, value name)
{
    return undefined_new(r, (undefined){ .name = name, .owner = value_owner(r, owner) });
}

value undefined_unsafe(run *r, value owner, const text *name)
{
    return undefined_new(r, (undefined){ .name = value_text(name), .owner = value_type(owner), .unsafe = true });
}

void undefined_fail(run *r, value v)
{
    const undefined *u = v.u;
    if (u->hint)
        run_fail(r, E_FORMAT, "%s", u->hint);
    span name = text_bytes(r, u->name.kind == V_TEXT ? u->name.s : value_repr(r, u->name));
    int n = run_shown(name.p, name.n);
    if (u->unsafe)
        run_fail(r, E_FORMAT, "access to attribute '%.*s' of '%s' object is unsafe.", n, name.p, u->owner);
    if (!u->owner)
        run_fail(r, E_FORMAT, "'%.*s' is undefined", n, name.p);
    if (u->name.kind == V_TEXT)
        run_fail(r, E_FORMAT, "'%s' has no attribute '%.*s'", u->owner, n, name.p);
    run_fail(r, E_FORMAT, "%s has no element %.*s", u->owner, n, name.p);
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

void list_add(run *r, list *l, value v)
{
    if (l->n == l->size) {
        size_t size = l->size ? 2 * l->size : 4;
        if (size > RUN_ITEMS_MAX)
            run_fail(r, E_RANGE, "a list of more than %d items", RUN_ITEMS_MAX);
        l->items = run_grow(r, l->items, l->n, size, sizeof *l->items);
        l->size = size;
    }
    run_spend(r, 1);
    l->items[l->n++] = v;
}

list *list_copy(run *r, const list *l)
{
    list *copy = value_list(r, l->n).l;
    if (l->n)
        memcpy(copy->items, l->items, l->n * sizeof *l->items);
    copy->n = l->n;
    return copy;
}

static uint64_t hash_of(run *r, value v)
{
    uint64_t h = 14695981039346656037u;
    switch (v.kind) {
    case V_TEXT: {
        span s = text_bytes(r, v.s);
        run_spend_bytes(r, s.n);
        for (size_t i = 0; i < s.n; i++)
            h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
        return h ^ h >> 29;
    }
    case V_BOOL:
    case V_INT:
    case V_BIG:
    case V_FLOAT: return number_hash(v);
    case V_TUPLE:
        run_enter(r);
        for (size_t i = 0; i < v.l->n; i++)
            h = (h ^ hash_of(r, v.l->items[i])) * 1099511628211u;
        run_leave(r);
        return h;
    case V_NONE: return 0x9e3779b9;
    case V_LIST:
    case V_DICT:
    case V_SLICE: run_fail(r, E_FORMAT, "unhashable type: '%s'", value_type(v));
    case V_VIEW:
        if (v.view->of != VIEW_VALUES)
            run_fail(r, E_FORMAT, "unhashable type: '%s'", value_type(v));
        return (uintptr_t)v.view;
    case V_UNDEFINED: return 1;
    default: return (uint64_t)(uintptr_t)v.s * 1099511628211u;
    }
}

/* Where key is in the index, or the free place for it. */
static size_t slot_of(run *r, const dict *m, value key)
{
    size_t mask = m->index_size - 1, at = hash_of(r, key) & mask;
    while (m->index[at] && !value_equal(r, m->keys[m->index[at] - 1], key)) {
        run_spend(r, 1);
        at = (at + 1) & mask;
    }
    return at;
}

static void reindex(run *r, dict *m, size_t size)
{
    m->index = run_array(r, size, sizeof *m->index);
    m->index_size = size;
    for (size_t i = 0; i < m->n; i++)
        m->index[slot_of(r, m, m->keys[i])] = (uint32_t)i + 1;
}

static size_t find_key(run *r, const dict *m, value key)
{
    if (m->index) {
        uint32_t at = m->index[slot_of(r, m, key)];
        return at ? at - 1 : SIZE_MAX;
    }
    if (key.kind != V_TEXT)
        (void)hash_of(r, key); /* for its errors */
    for (size_t i = 0; i < m->n; i++)
        if (value_equal(r, m->keys[i], key))
            return i;
    return SIZE_MAX;
}

void dict_set(run *r, dict *m, value key, value v)
{
    size_t at = find_key(r, m, key);
    run_spend(r, 1);
    if (at != SIZE_MAX) {
        m->values[at] = v;
        return;
    }
    if (m->n == m->size) {
        size_t size = m->size ? 2 * m->size : 4;
        if (size > RUN_ITEMS_MAX)
            run_fail(r, E_RANGE, "a dict of more than %d items", RUN_ITEMS_MAX);
        m->keys = run_grow(r, m->keys, m->n, size, sizeof *m->keys);
        m->values = run_grow(r, m->values, m->n, size, sizeof *m->values);
        m->size = size;
    }
    m->keys[m->n] = key;
    m->values[m->n++] = v;
    if (m->index_size && m->n * 2 <= m->index_size)
        m->index[slot_of(r, m, key)] = (uint32_t)m->n;
    else if (m->n > 8)
        reindex(r, m, m->index_size ? 2 * m->index_size : 32);
}

bool dict_get(run *r, const dict *m, value key, value *out)
{
    size_t at = find_key(r, m, key);
    if (at == SIZE_MAX)
        return false;
    *out = m->values[at];
    return true;
}

bool dict_get_str(run *r, const dict *m, const char *key, value *out)
{
    text s = { .p = key, .n = (uint32_t)strlen(key) };
    return dict_get(r, m, value_text(&s), out);
}

value view_at(run *r, const view *v, size_t i)
{
    if (v->of == VIEW_KEYS)
        return v->m->keys[i];
    if (v->of == VIEW_VALUES)
        return v->m->values[i];
    value pair = value_tuple(r, 2);
    list_add(r, pair.l, v->m->keys[i]);
    list_add(r, pair.l, v->m->values[i]);
    return pair;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

const char *value_type(value v)
{
    static const char *const names[] = {
        [V_ABSENT] = "nothing", [V_UNDEFINED] = "Undefined", [V_NONE] = "NoneType",
        [V_BOOL] = "bool", [V_INT] = "int", [V_BIG] = "int", [V_FLOAT] = "float", [V_TEXT] = "str",
        [V_LIST] = "list", [V_TUPLE] = "tuple", [V_DICT] = "dict", [V_VIEW] = "dict_keys",
        [V_RANGE] = "range", [V_GENERATOR] = "generator", [V_NAMESPACE] = "Namespace",
        [V_LOOP] = "LoopContext", [V_MACRO] = "Macro", [V_FUNCTION] = "function",
        [V_METHOD] = "builtin_function_or_method", [V_CYCLER] = "Cycler", [V_JOINER] = "Joiner", [V_SLICE] = "slice",
    };
    static const char *const views[] = { "dict_keys", "dict_values", "dict_items" };
    if (v.kind == V_VIEW)
        return views[v.view->of];
    return v.kind == V_TEXT && v.s->markup ? "Markup" : names[v.kind];
}

const char *value_owner(run *r, value v)
{
    static const char *const others[] = { [V_NAMESPACE] = "jinja2.utils.Namespace object",
                                          [V_LOOP] = "jinja2.runtime.LoopContext object",
                                          [V_MACRO] = "jinja2.runtime.Macro object",
                                          [V_CYCLER] = "jinja2.utils.Cycler object",
                                          [V_JOINER] = "jinja2.utils.Joiner object" };
    if (v.kind == V_NONE)
        return "None";
    if (v.kind < ARRAY_LEN(others) && others[v.kind])
        return others[v.kind];
    const char *type = value_type(v);
    size_t n = strlen(type);
    char *s = run_alloc(r, n + sizeof " object");
    memcpy(s, type, n);
    memcpy(s + n, " object", sizeof " object");
    return s;
}

bool value_is_int(value v)
{
    return v.kind == V_INT || v.kind == V_BIG || v.kind == V_BOOL;
}

bool value_is_number(value v)
{
    return value_is_int(v) || v.kind == V_FLOAT;
}

bool value_true(run *r, value v)
{
    switch (v.kind) {
    case V_ABSENT:
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v.b;
    case V_INT: return v.i != 0;
    case V_BIG: return true;
    case V_FLOAT: return v.d != 0;
    case V_TEXT: return v.s->n > 0;
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_VIEW:
    case V_RANGE: return value_length(r, v) > 0;
    default: return true;
    }
}

size_t value_length(run *r, value v)
{
    switch (v.kind) {
    case V_UNDEFINED: return 0;
    case V_TEXT: return text_chars(r, v.s);
    case V_LIST:
    case V_TUPLE: return v.l->n;
    case V_DICT: return v.m->n;
    case V_VIEW: return v.view->m->n;
    case V_RANGE: return (size_t)v.range->n;
    case V_LOOP: return loop_length(r, v.loop);
    default: run_fail(r, E_FORMAT, "object of type '%s' has no len()", value_type(v));
    }
}

bool value_callable(value v)
{
    return v.kind == V_MACRO || v.kind == V_FUNCTION || v.kind == V_METHOD || v.kind == V_LOOP || v.kind == V_JOINER ||
           v.kind == V_UNDEFINED;
}

bool value_iterable(value v)
{
    switch (v.kind) {
    case V_UNDEFINED:
    case V_TEXT:
    case V_LIST:
    case V_TUPLE:
    case V_DICT:
    case V_VIEW:
    case V_RANGE:
    case V_LOOP:
    case V_GENERATOR: return true;
    default: return false;
    }
}

static bool lists_equal(run *r, const list *a, const list *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!value_equal(r, a->items[i], b->items[i]))
            return false;
    return true;
}

static bool dicts_equal(run *r, const dict *a, const dict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        value other;
        if (!dict_get(r, b, a->keys[i], &other) || !value_equal(r, a->values[i], other))
            return false;
    }
    return true;
}

static bool views_equal(run *r, const view *a, const view *b)
{
    if (a->of == VIEW_VALUES || b->of == VIEW_VALUES)
        return a == b;
    if (a->m->n != b->m->n)
        return false;
    for (size_t i = 0; i < a->m->n; i++)
        if (!value_in(r, view_at(r, a, i), (value){ .kind = V_VIEW, .view = b }))
            return false;
    return true;
}

static bool same_kind_equal(run *r, value a, value b)
{
    switch (a.kind) {
    case V_UNDEFINED:
    case V_NONE: return true;
    case V_TEXT: return text_equal(r, a.s, b.s);
    case V_LIST:
    case V_TUPLE: return lists_equal(r, a.l, b.l);
    case V_DICT: return dicts_equal(r, a.m, b.m);
    case V_VIEW: return views_equal(r, a.view, b.view);
    case V_RANGE:
        return a.range->n == b.range->n &&
               (!a.range->n ||
                (a.range->start == b.range->start && (a.range->n == 1 || a.range->step == b.range->step)));
    case V_METHOD: return a.method->row == b.method->row && a.method->self.s == b.method->self.s;
    default: return a.s == b.s;
    }
}

bool value_equal(run *r, value a, value b)
{
    run_spend(r, 1);
    if (value_is_number(a) && value_is_number(b))
        return number_compare(r, a, b) == 0;
    if (a.kind != b.kind)
        return false;
    run_enter(r);
    bool equal = same_kind_equal(r, a, b);
    run_leave(r);
    return equal;
}

static int compare_lists(run *r, const list *a, const list *b, const char *op)
{
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (!value_equal(r, a->items[i], b->items[i]))
            return value_compare(r, a->items[i], b->items[i], op);
    return (a->n > b->n) - (a->n < b->n);
}

int value_compare(run *r, value a, value b, const char *op)
{
    run_spend(r, 1);
    if (value_is_number(a) && value_is_number(b))
        return number_compare(r, a, b);
    value_defined(r, a);
    value_defined(r, b);
    if (a.kind == b.kind && a.kind == V_TEXT)
        return text_compare(r, a.s, b.s);
    if (a.kind == V_VIEW && b.kind == V_VIEW)
        run_fail(r, E_UNSUPPORTED, "views of dicts as sets");
    if (a.kind != b.kind || (a.kind != V_LIST && a.kind != V_TUPLE))
        run_fail(r, E_FORMAT, "'%s' not supported between instances of '%s' and '%s'", op, value_type(a),
                 value_type(b));
    run_enter(r);
    int c = compare_lists(r, a.l, b.l, op);
    run_leave(r);
    return c;
}

bool value_in(run *r, value item, value container)
{
    switch (container.kind) {
    case V_TEXT:
        if (item.kind != V_TEXT)
            run_fail(r, E_FORMAT, "'in <string>' requires string as left operand, not %s", value_type(item));
        return text_find(r, text_bytes(r, container.s), text_bytes(r, item.s), 0, container.s->n) != SIZE_MAX;
    case V_DICT: {
        value ignored;
        return dict_get(r, container.m, item, &ignored);
    }
    case V_VIEW:
        if (container.view->of == VIEW_KEYS)
            return value_in(r, item, (value){ .kind = V_DICT, .m = (dict *)(uintptr_t)container.view->m });
        break;
    default: break;
    }
    if (!value_iterable(container))
        run_fail(r, E_FORMAT, "argument of type '%s' is not iterable", value_type(container));
    iter it;
    value v;
    iter_open(r, &it, container);
    while (iter_next(r, &it, &v))
        if (value_equal(r, v, item))
            return true;
    return false;
}

/* ---- walking ----------------------------------------------------------------------------------------------------- */

void iter_open(run *r, iter *it, value v)
{
    if (!value_iterable(v))
        run_fail(r, E_FORMAT, "'%s' object is not iterable", value_type(v));
    *it = (iter){ .v = v };
}

static bool next_char(run *r, iter *it, value *out)
{
    span s = text_bytes(r, it->v.s);
    if (it->at >= s.n)
        return false;
    size_t len = text_char_bytes(s.p + it->at, s.n - it->at);
    *out = value_text(text_slice(r, it->v.s, it->at, it->at + len));
    it->at += len;
    return true;
}

/* Within the range no item overflows, but steps on the way to it may: they wrap. */
int64_t range_at(const range *g, int64_t i)
{
    return (int64_t)((uint64_t)g->start + (uint64_t)i * (uint64_t)g->step);
}

static bool next_of_range(iter *it, value *out)
{
    const range *g = it->v.range;
    if (it->at >= (size_t)g->n)
        return false;
    *out = value_int(range_at(g, (int64_t)it->at++));
    return true;
}

bool iter_next(run *r, iter *it, value *out)
{
    run_spend(r, 1);
    value v = it->v;
    switch (v.kind) {
    case V_TEXT: return next_char(r, it, out);
    case V_RANGE: return next_of_range(it, out);
    case V_LIST:
    case V_TUPLE:
        if (it->at >= v.l->n)
            return false;
        *out = v.l->items[it->at++];
        return true;
    case V_DICT:
        if (it->at >= v.m->n)
            return false;
        *out = v.m->keys[it->at++];
        return true;
    case V_VIEW:
        if (it->at >= v.view->m->n)
            return false;
        *out = view_at(r, v.view, it->at++);
        return true;
    case V_LOOP: return loop_next(r, v.loop, out);
    case V_GENERATOR: {
        run_enter(r);
        bool more = v.g->next(r, v.g, out);
        run_leave(r);
        return more;
    }
    default: return false;
    }
}

list *value_items(run *r, value v)
{
    if (v.kind == V_LIST || v.kind == V_TUPLE)
        return v.l;
    iter it;
    value item;
    list *l = value_list(r, 0).l;
    iter_open(r, &it, v);
    while (iter_next(r, &it, &item))
        list_add(r, l, item);
    return l;
}

value value_generator(run *r, bool (*next)(run *, generator *, value *), value source, void *state)
{
    generator *g = run_alloc(r, sizeof *g);
    g->next = next;
    if (source.kind != V_ABSENT)
        iter_open(r, &g->source, source);
    g->state = state;
    return (value){ .kind = V_GENERATOR, .g = g };
}

static bool next_item(run *r, generator *g, value *out)
{
    return iter_next(r, &g->source, out);
}

value value_generator_of(run *r, list *items)
{
    return value_generator(r, next_item, (value){ .kind = V_LIST, .l = items }, NULL);
}
