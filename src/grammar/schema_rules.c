/* schema_rules.c: a schema's language, as rules. One set of schemas, one rule: choices become alternatives, an enum
 * becomes the values that the validator accepts, everything else a rule for each kind of value. */
#include "grammar/schema_rules.h"

#include <string.h>

#include "grammar/schema_read_int.h"
#include "grammar/schema_rules_int.h"

/* ---- refusing ---- */

status gen_refuse(schema_gen *g, const schema_node *n, const char *keyword, const char *why)
{
    if (!g->relaxed)
        return fail(g->err, E_UNSUPPORTED, "schema: %s/%s: %s", n->path, keyword, why);
    buf path = BUF_INIT(1 << 20);
    buf_printf(&path, "%s/%s", n->path, keyword);
    status s = OK;
    for (size_t i = 0; g->notes && i < g->notes->n; i++)
        if (str_starts(g->notes->line[i], buf_text(&path)) && g->notes->line[i][path.len] == ':')
            goto out; /* said already, for another set with this node */
    s = schema_note(g->notes, buf_text(&path), why, g->err);
out:
    buf_clear(&path);
    return s;
}

/* ---- literals ---- */

static status literal(schema_gen *g, const js *v, lang *out)
{
    buf text = BUF_INIT(1 << 20);
    js_write(v, JS_COMPACT, &text);
    status s = text.failed ? gen_no_memory(g) : OK;
    *out = lang_text(g->langs, buf_text(&text), text.len);
    buf_clear(&text);
    return s;
}

static status gen_enumeration(schema_gen *g, gen_set set, const js *list, const js *single, rule *out)
{
    size_t n = single ? 1 : js_len(list), kept = 0;
    if (n > GEN_LITERALS_MAX)
        return fail(g->err, E_RANGE, "schema: %s: more than %d values", gen_node(g, set.at[0])->path, GEN_LITERALS_MAX);
    lang *parts = gen_take(g, n, sizeof *parts);
    status s = parts ? OK : gen_no_memory(g);
    for (size_t i = 0; i < n && !s; i++) {
        const js *v = single ? single : js_at(list, i);
        bool valid = false;
        g->check.granted = single ? NULL : list;
        s = gen_valid(g, set, v, &valid);
        g->check.granted = NULL;
        if (!s && valid)
            s = literal(g, v, &parts[kept++]);
    }
    if (s)
        return s;
    *out = kept ? rules_token(g->r, lang_alt_n(g->langs, parts, kept)) : RULES_NONE;
    return OK;
}

/* ---- kinds ---- */

static status conditions(schema_gen *g, gen_set set)
{
    for (size_t i = 0; i < set.n; i++) {
        const schema_node *n = gen_node(g, set.at[i]);
        if (n->if_ == SCHEMA_NONE || (n->then_ == SCHEMA_NONE && n->else_ == SCHEMA_NONE))
            continue;
        status s = gen_refuse(g, n, "if", "conditions can be checked but not generated");
        if (s)
            return s;
    }
    return OK;
}

static status gen_kind(schema_gen *g, gen_set set, unsigned kind, rule *out)
{
    lang l = LANG_NONE;
    status s = OK;
    *out = RULES_NONE;
    switch (kind) {
    case KIND_NULL: *out = rules_text(g->r, "null", 4); return OK;
    case KIND_BOOL: l = lang_alt(g->langs, lang_text(g->langs, "true", 4), lang_text(g->langs, "false", 5)); break;
    case KIND_STRING:
        s = gen_text(g, set, &l);
        if (!s)
            l = lang_json_string(g->langs, l, LANG_JSON_CANONICAL);
        break;
    case KIND_ARRAY: return gen_array(g, set, out);
    case KIND_OBJECT: return gen_object(g, set, out);
    default: s = gen_number(g, set, kind, &l); break;
    }
    if (!s && !lang_is_none(g->langs, l))
        *out = rules_token(g->r, l);
    return s;
}

static status gen_leaf(schema_gen *g, gen_set set, rule *out)
{
    unsigned kinds = gen_kinds(g, set);
    static const unsigned order[] = { KIND_OBJECT, KIND_ARRAY, KIND_STRING, KIND_NUMBER, KIND_BOOL, KIND_NULL };
    rule parts[ARRAY_LEN(order)];
    size_t n = 0;
    status s = conditions(g, set);
    if (!s)
        s = gen_negations(g, &set, &kinds);
    for (size_t i = 0; i < ARRAY_LEN(order) && !s; i++) {
        if (!(kinds & order[i]))
            continue;
        s = gen_kind(g, set, kinds & order[i], &parts[n]);
        n += !s && parts[n] != RULES_NONE;
    }
    if (!s)
        *out = rules_alt(g->r, parts, n);
    return s;
}

/* ---- choices ---- */

/* Leaves a member out of *a that b requires and a does not. */
static status take_apart(schema_gen *g, gen_set *a, gen_set b, bool *apart)
{
    for (size_t i = 0; i < b.n; i++) {
        const schema_objects *o = gen_node(g, b.at[i])->objects;
        for (size_t k = 0; o && k < o->n_required; k++) {
            schema_id forbidden;
            bool never;
            if (gen_requires(g, *a, o->required[k]))
                continue;
            status s = gen_forbid(g, o->required[k], &forbidden);
            if (!s)
                s = gen_add(g, *a, &forbidden, 1, a, &never);
            return s ? s : gen_apart(g, *a, b, 0, apart);
        }
    }
    return OK;
}

/* oneOf: no document of a branch may be valid for another branch, which is then still whole: what is left out of sets
 * is only not generated. */
static status must_be_apart(schema_gen *g, const schema_node *n, gen_set *sets, const bool *never, size_t count)
{
    gen_set *whole = gen_take(g, count, sizeof *whole);
    if (!whole)
        return gen_no_memory(g);
    memcpy(whole, sets, count * sizeof *whole);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            bool apart = false;
            if (i == k || never[i] || never[k])
                continue;
            status s = gen_apart(g, sets[i], whole[k], 0, &apart);
            if (!s && !apart)
                s = take_apart(g, &sets[i], whole[k], &apart);
            if (s)
                return s;
            if (!apart)
                return gen_refuse(g, n, "oneOf",
                                  "the schemas are not provably disjoint; anyOf, or a constant in each, would do");
        }
    }
    return OK;
}

static status gen_branches(schema_gen *g, gen_set set, size_t element, schema_list branches, bool one, rule *out)
{
    gen_set *sets = gen_take(g, branches.n, sizeof *sets);
    bool *never = gen_take(g, branches.n, sizeof *never);
    rule *parts = gen_take(g, branches.n, sizeof *parts);
    size_t n = 0;
    status s = sets && never && parts ? OK : gen_no_memory(g);
    for (size_t i = 0; i < branches.n && !s; i++)
        s = gen_choose(g, set, element, one, branches.at[i], &sets[i], &never[i]);
    if (!s && one)
        s = must_be_apart(g, gen_node(g, set.at[element]), sets, never, branches.n);
    for (size_t i = 0; i < branches.n && !s; i++) {
        if (never[i])
            continue;
        s = gen_rule(g, sets[i], &parts[n]);
        n += !s && parts[n] != RULES_NONE;
    }
    if (!s)
        *out = rules_alt(g->r, parts, n);
    return s;
}

/* ---- sets to rules, each once ---- */

static size_t slot_of(const schema_gen *g, gen_set set)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < set.n; i++)
        h = (h ^ set.at[i]) * 0x100000001b3u;
    size_t at = (h ^ h >> 29) & (g->memo_size - 1);
    for (;; at = (at + 1) & (g->memo_size - 1)) {
        const gen_memo *m = &g->memo[at];
        if (!m->set.at || (m->set.n == set.n && (!set.n || !memcmp(m->set.at, set.at, set.n * sizeof *set.at))))
            return at;
    }
}

static bool grow_memo(schema_gen *g)
{
    if (g->memo_size > g->n_memo * 2)
        return true;
    gen_memo *old = g->memo;
    size_t size = g->memo_size;
    gen_memo *more = mem_array(size ? size * 2 : 64, sizeof *more);
    if (!more)
        return false;
    g->memo = more;
    g->memo_size = size ? size * 2 : 64;
    for (size_t i = 0; i < size; i++)
        if (old[i].set.at)
            g->memo[slot_of(g, old[i].set)] = old[i];
    mem_free(old);
    return true;
}

static const char *path_of(const schema_gen *g, gen_set set)
{
    return set.n ? gen_node(g, set.at[0])->path : "";
}

static status lower(schema_gen *g, gen_set set, rule *out)
{
    const js *list, *single;
    size_t element;
    schema_list branches;
    bool one;
    if (gen_literals(g, set, &list, &single))
        return gen_enumeration(g, set, list, single, out);
    return gen_choice(g, set, &element, &branches, &one) ? gen_branches(g, set, element, branches, one, out)
                                                         : gen_leaf(g, set, out);
}

status gen_rule(schema_gen *g, gen_set set, rule *out)
{
    const char *path = path_of(g, set);
    if (!set.at && !(set.at = gen_take(g, 1, sizeof *set.at)))
        return gen_no_memory(g);
    if (!grow_memo(g))
        return gen_no_memory(g);
    size_t slot = slot_of(g, set);
    if (g->memo[slot].set.at) {
        *out = g->memo[slot].made;
        return OK;
    }
    if (g->n_memo == GEN_SETS_MAX || g->depth == GEN_DEPTH_MAX)
        return fail(g->err, E_RANGE, "schema: %s: more than %d combinations of schemas, or %d within each other", path,
                    GEN_SETS_MAX, GEN_DEPTH_MAX);
    status s = gen_count(g, set.n + 1);
    if (s)
        return s;
    rule declared = rules_declare(g->r, path, strlen(path)), body = RULES_NONE;
    g->memo[slot] = (gen_memo){ set, declared, false };
    g->n_memo++;
    g->depth++;
    s = lower(g, set, &body);
    g->depth--;
    if (!s)
        s = rules_ok(g->r, g->err);
    if (s)
        return s;
    rules_define(g->r, declared, body);
    gen_memo *m = &g->memo[slot_of(g, set)]; /* the table may have grown */
    m->done = true;
    if (body == RULES_NONE)
        m->made = RULES_NONE;
    *out = m->made;
    return OK;
}

/* ---- the whole ---- */

static status start(schema_gen *g)
{
    size_t formats = schema_format_count() * 2;
    g->memory = (arena)ARENA_INIT(GEN_BYTES_MAX);
    g->langs = rules_langs(g->r);
    g->check = (schema_checker){ .s = g->s, .quiet = 1 };
    g->patterns = gen_take(g, g->s->n_patterns, sizeof *g->patterns);
    g->formats = gen_take(g, formats, sizeof *g->formats);
    if (!g->patterns || !g->formats)
        return gen_no_memory(g);
    lang comma = lang_text(g->langs, ",", 1), space = lang_text(g->langs, " ", 1);
    g->comma = rules_token(g->r, lang_seq(g->langs, comma, lang_optional(g->langs, space)));
    return OK;
}

status schema_rules(const schema *s, rules *r, const schema_options *options, schema_notes *notes, rule *out,
                    error *err)
{
    schema_gen g = { .s = s, .r = r, .relaxed = options && options->relaxed, .notes = notes, .err = err };
    gen_set set = { 0, NULL };
    bool never = false;
    schema_id root = 0;
    rule made = RULES_NONE;
    status st = start(&g);
    if (!st)
        st = gen_add(&g, set, &root, 1, &set, &never);
    if (!st && !never)
        st = gen_rule(&g, set, &made);
    if (!st)
        st = rules_ok(r, err);
    mem_free(g.memo);
    schema_check_end(&g.check);
    arena_clear(&g.memory);
    if (!st && made == RULES_NONE)
        st = fail(err, E_FORMAT, "schema: there is no document that it allows");
    if (!st)
        *out = made;
    return st;
}

status schema_grammar(const schema *s, const schema_options *options, schema_notes *notes, grammar **out, error *err)
{
    rules *r = NULL;
    rule root = RULES_NONE;
    status st = rules_open(&r, err);
    if (!st)
        st = schema_rules(s, r, options, notes, &root, err);
    if (!st)
        st = rules_compile(&r, root, out, err);
    rules_close(&r);
    return st;
}
