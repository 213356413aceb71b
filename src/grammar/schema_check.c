/* schema_check.c: the tree validator: a value against a node, keyword by keyword.
 *
 * unevaluatedItems and unevaluatedProperties ask what the other keywords of their schema have evaluated, through $ref
 * and allOf too, in branches only where they hold. So a node is given marks to set when someone above will ask, a
 * branch gets marks of its own, and they are added when it holds. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "grammar/schema_check_int.h"

enum { DEPTH_MAX = 2000, STEPS_A_VALUE = 64 };

/* ---- saying why ---- */

static void add_path(const schema_place *at, buf *out)
{
    if (!at || !at->up)
        return;
    add_path(at->up, out);
    buf_char(out, '/');
    if (!at->key)
        buf_printf(out, "%zu", at->index);
    for (const char *p = at->key; p && *p; p++) {
        if (*p == '~' || *p == '/')
            buf_str(out, *p == '~' ? "~0" : "~1");
        else
            buf_char(out, *p);
    }
}

/* Cuts what is too long in the middle, at characters. */
static void shorten(char out[SCHEMA_PATH_BYTES], const char *text)
{
    size_t n = strlen(text), half = SCHEMA_PATH_BYTES / 2 - 4, tail = n - half;
    if (n < SCHEMA_PATH_BYTES) {
        memcpy(out, text, n + 1);
        return;
    }
    half = utf8_complete(text, half);
    while (((unsigned char)text[tail] & 0xC0) == 0x80)
        tail++;
    snprintf(out, SCHEMA_PATH_BYTES, "%.*s...%s", (int)half, text, text + tail);
}

bool schema_stop(schema_checker *c, status s, const char *why)
{
    if (!c->fatal)
        c->fatal = fail(c->err, s, "%s", why);
    return false;
}

bool schema_fails(schema_checker *c, const schema_node *n, const schema_place *at, const char *keyword,
                  const char *what)
{
    if (c->quiet || c->found || c->fatal)
        return false;
    c->found = true;
    buf instance = BUF_INIT(1 << 20), path = BUF_INIT(2 << 20);
    add_path(at, &instance);
    buf_str(&path, n->path);
    if (keyword)
        buf_printf(&path, "/%s", keyword);
    schema_problem p;
    shorten(p.instance, buf_text(&instance));
    shorten(p.schema, buf_text(&path));
    snprintf(p.what, sizeof p.what, "%s", what);
    if (c->problem)
        *c->problem = p;
    fail(c->err, E_FORMAT, "%s%s %s (%s of the schema)", *p.instance ? "" : "the value", p.instance, p.what,
         *p.schema ? p.schema : "the root");
    buf_clear(&instance);
    buf_clear(&path);
    return false;
}

/* ---- patterns ---- */

static bool open_langs(schema_checker *c)
{
    if (c->langs)
        return true;
    size_t formats = schema_format_count();
    c->patterns = mem_array(c->s->n_patterns + 1, sizeof *c->patterns);
    c->formats = mem_array(formats + 1, sizeof *c->formats);
    if (!c->patterns || !c->formats || lang_set_open(&c->langs, NULL))
        return schema_stop(c, E_NOMEM, "no memory for the patterns of a schema");
    return true;
}

/* *known is LANG_NONE until the expression is compiled: no pattern in use is empty of texts by chance alone. */
static bool matches(schema_checker *c, lang *known, span pattern, lang_anchoring how, const char *text, size_t n)
{
    status s = OK;
    if (*known == LANG_NONE)
        s = lang_regex(c->langs, pattern.p, pattern.n, how, known, NULL);
    bool match = !s && lang_matches(c->langs, *known, text, n);
    c->steps += n / 16;
    if (!s)
        s = lang_ok(c->langs, NULL);
    return s ? schema_stop(c, s, "a pattern of the schema is beyond what can be matched") : match;
}

bool schema_matches(schema_checker *c, uint32_t pattern, const char *text, size_t n)
{
    return open_langs(c) &&
           matches(c, &c->patterns[pattern - 1], c->s->patterns[pattern - 1], LANG_SEARCH, text, n);
}

static bool has_format(schema_checker *c, uint32_t format, const char *text, size_t n)
{
    const schema_format *f = &schema_format_table[format - 1];
    if (!open_langs(c))
        return false;
    lang *known = &c->formats[format - 1];
    bool valid = matches(c, known, span_of(f->pattern), LANG_WHOLE, text, n);
    if (valid || c->fatal || !f->also)
        return valid;
    char *as = mem_strndup(text, n);
    if (!as)
        return schema_stop(c, E_NOMEM, "no memory to check a format");
    valid = f->also(text, n, as) && matches(c, known, span_of(f->pattern), LANG_WHOLE, as, n);
    mem_free(as);
    return valid;
}

/* ---- scalars ---- */

static bool valid_number(schema_checker *c, const schema_node *n, const schema_place *at)
{
    const schema_numbers *r = n->numbers;
    decimal d = decimal_read(js_text(at->value));
    if (r->minimum && decimal_compare(&d, r->minimum) < 0)
        return schema_fails(c, n, at, "minimum", "is less than the minimum");
    if (r->maximum && decimal_compare(&d, r->maximum) > 0)
        return schema_fails(c, n, at, "maximum", "is greater than the maximum");
    if (r->above && decimal_compare(&d, r->above) <= 0)
        return schema_fails(c, n, at, "exclusiveMinimum", "is not greater than the exclusive minimum");
    if (r->below && decimal_compare(&d, r->below) >= 0)
        return schema_fails(c, n, at, "exclusiveMaximum", "is not less than the exclusive maximum");
    if (r->multiple_of && !decimal_is_multiple(&d, r->multiple_of))
        return schema_fails(c, n, at, "multipleOf", "is no multiple of the number demanded");
    return true;
}

static bool valid_text(schema_checker *c, const schema_node *n, const schema_place *at)
{
    const schema_texts *t = n->texts;
    const char *text = js_text(at->value);
    size_t bytes = js_len(at->value);
    size_t characters = t->min || t->max != SCHEMA_NO_MAX ? utf8_count(text, bytes) : 0;
    if (characters < t->min)
        return schema_fails(c, n, at, "minLength", "is shorter than the least length");
    if (characters > t->max)
        return schema_fails(c, n, at, "maxLength", "is longer than the greatest length");
    if (t->pattern && !schema_matches(c, t->pattern, text, bytes))
        return schema_fails(c, n, at, "pattern", "does not match the pattern");
    if (t->format && !has_format(c, t->format, text, bytes))
        return schema_fails(c, n, at, "format", "is not of the format");
    return true;
}

static bool in_enumeration(schema_checker *c, const schema_node *n, const js *value)
{
    for (size_t i = 0; i < js_len(n->enumeration); i++)
        if (schema_equal(js_at(n->enumeration, i), value, &c->steps))
            return true;
    return false;
}

/* ---- branches ---- */

schema_marks *schema_marks_for(schema_checker *c, const js *value)
{
    schema_marks *marks = mem_zero(js_len(value) + 1);
    if (!marks)
        schema_stop(c, E_NOMEM, "no memory to check a value");
    return marks;
}

bool schema_valid_branch(schema_checker *c, schema_id id, const schema_place *at, schema_marks *marks)
{
    schema_marks *own = marks ? schema_marks_for(c, at->value) : NULL;
    if (c->fatal)
        return false;
    c->quiet++;
    bool valid = schema_valid(c, id, at, own);
    c->quiet--;
    for (size_t i = 0; own && valid && i < js_len(at->value); i++)
        marks[i] |= own[i];
    mem_free(own);
    return valid;
}

/* How many of the branches hold; at most `enough` are counted when no marks are asked for. */
static size_t count_valid(schema_checker *c, schema_list list, const schema_place *at, schema_marks *marks,
                          size_t enough)
{
    size_t valid = 0;
    for (size_t i = 0; i < list.n && !c->fatal && (marks || valid < enough); i++)
        valid += schema_valid_branch(c, list.at[i], at, marks);
    return valid;
}

/* A branch that is alone says more by its own problem than by that of anyOf. */
static bool valid_any(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    if (n->any_of.n == 1)
        return schema_valid(c, n->any_of.at[0], at, marks);
    return count_valid(c, n->any_of, at, marks, 1) > 0 ||
           schema_fails(c, n, at, "anyOf", "is valid for none of the schemas it may have");
}

static bool valid_one(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    if (n->one_of.n == 1)
        return schema_valid(c, n->one_of.at[0], at, marks);
    size_t valid = count_valid(c, n->one_of, at, marks, 2);
    return valid == 1 || schema_fails(c, n, at, "oneOf", valid ? "is valid for more than one of the schemas"
                                                               : "is valid for none of the schemas it may have");
}

static bool valid_condition(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    bool holds = schema_valid_branch(c, n->if_, at, marks);
    schema_id next = holds ? n->then_ : n->else_;
    return !c->fatal && (next == SCHEMA_NONE || schema_valid(c, next, at, marks));
}

static bool valid_applied(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks)
{
    if (n->ref != SCHEMA_NONE && !schema_valid(c, n->ref, at, marks))
        return false;
    for (size_t i = 0; i < n->all_of.n; i++)
        if (!schema_valid(c, n->all_of.at[i], at, marks))
            return false;
    if (n->any_of.n && !valid_any(c, n, at, marks))
        return false;
    if (n->one_of.n && !valid_one(c, n, at, marks))
        return false;
    if (n->not_ != SCHEMA_NONE && (schema_valid_branch(c, n->not_, at, NULL) || c->fatal))
        return schema_fails(c, n, at, "not", "is valid for the schema it must not have");
    return n->if_ == SCHEMA_NONE || valid_condition(c, n, at, marks);
}

/* ---- a node ---- */

static bool valid_own(schema_checker *c, const schema_node *n, const schema_place *at, unsigned kind,
                      schema_marks *marks)
{
    static const char *const wanted = "is not of the type demanded";
    if (n->never)
        return schema_fails(c, n, at, NULL, "must not be there");
    if (!(n->kinds & kind))
        return schema_fails(c, n, at, "type", wanted);
    if (n->constant && !schema_equal(n->constant, at->value, &c->steps))
        return schema_fails(c, n, at, "const", "is not the value demanded");
    bool granted = n->enumeration == c->granted && !at->up;
    if (n->enumeration && !granted && !in_enumeration(c, n, at->value))
        return schema_fails(c, n, at, "enum", "is none of the values it may have");
    if (n->numbers && (kind & KIND_NUMBER))
        return valid_number(c, n, at);
    if (n->texts && kind == KIND_STRING)
        return valid_text(c, n, at);
    if (n->arrays && kind == KIND_ARRAY)
        return schema_valid_array(c, n, at, marks);
    if (n->objects && kind == KIND_OBJECT)
        return schema_valid_object(c, n, at, marks);
    return true;
}

bool schema_valid_alone(schema_checker *c, schema_id id, const schema_place *at)
{
    return valid_own(c, &c->s->nodes[id], at, schema_kind(at->value), NULL);
}

static bool asks(const schema_node *n, unsigned kind)
{
    return (kind == KIND_ARRAY && n->arrays && n->arrays->unevaluated != SCHEMA_NONE) ||
           (kind == KIND_OBJECT && n->objects && n->objects->unevaluated != SCHEMA_NONE);
}

static bool valid_with_rest(schema_checker *c, const schema_node *n, const schema_place *at, unsigned kind,
                            schema_marks *marks)
{
    schema_marks *own = schema_marks_for(c, at->value);
    bool valid = own && valid_own(c, n, at, kind, own) && valid_applied(c, n, at, own) &&
                 schema_valid_rest(c, n, at, own);
    for (size_t i = 0; marks && valid && i < js_len(at->value); i++)
        marks[i] |= own[i];
    mem_free(own);
    return valid;
}

bool schema_valid(schema_checker *c, schema_id id, const schema_place *at, schema_marks *marks)
{
    if (id == SCHEMA_NONE) /* a reference that was only noted */
        return true;
    const schema_node *n = &c->s->nodes[id];
    if (c->fatal)
        return false;
    if (c->steps++ >= c->limit || c->depth >= DEPTH_MAX)
        return schema_stop(c, E_RANGE, c->depth >= DEPTH_MAX ? "the schema goes too deep to check the value"
                                                             : "the schema takes too many steps to check the value");
    unsigned kind = schema_kind(at->value);
    c->depth++;
    bool valid = asks(n, kind) ? valid_with_rest(c, n, at, kind, marks)
                               : valid_own(c, n, at, kind, marks) && valid_applied(c, n, at, marks);
    c->depth--;
    return valid && !c->fatal;
}

bool schema_valid_child(schema_checker *c, schema_id id, const schema_place *at)
{
    return schema_valid(c, id, at, NULL);
}

static size_t count_values(const js *v)
{
    size_t n = 1;
    js_member m = { 0 };
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < js_len(v); i++)
        n += count_values(js_at(v, i));
    while (js_is(v, JS_OBJECT) && js_next(v, &m))
        n += count_values(m.value);
    return n;
}

void schema_check_end(schema_checker *c)
{
    mem_free(c->patterns);
    mem_free(c->formats);
    lang_set_close(&c->langs);
}

status schema_check(const schema *s, const js *value, schema_problem *problem, error *err)
{
    schema_checker c = { .s = s, .problem = problem, .err = err };
    c.limit = SCHEMA_STEPS_MAX + count_values(value) * STEPS_A_VALUE;
    schema_place root = { .value = value };
    bool valid = schema_valid(&c, 0, &root, NULL);
    schema_check_end(&c);
    return c.fatal ? c.fatal : valid ? OK : E_FORMAT;
}
