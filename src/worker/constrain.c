/* constrain.c: see the header. Calls: constrain_call.c; arguments that are no JSON: constrain_value.c. */
#include "worker/constrain.h"

#include <string.h>

#include "base/mem.h"
#include "token/vocab.h"
#include "worker/constrain_int.h"

enum { MARKS_MAX = 8, ANALYSES_MAX = 8 };

/* ---- tools of the trade ---- */

rule building_text(building *b, const char *text)
{
    return text && *text ? rules_text(b->r, text, strlen(text)) : RULES_EMPTY;
}

lang building_without(building *b, const char *const *marks, size_t n)
{
    lang any = lang_any_text(b->set), bad = LANG_NONE;
    for (size_t i = 0; i < n; i++)
        bad = lang_alt(b->set, bad, lang_text(b->set, marks[i], strlen(marks[i])));
    return bad == LANG_NONE ? any : lang_not(b->set, lang_seq(b->set, any, lang_seq(b->set, bad, any)));
}

status building_note(building *b, const char *where, const char *what, error *err)
{
    buf line = BUF_INIT(2 * SCHEMA_PATH_BYTES);
    if (b->notes->n >= SCHEMA_NOTES_MAX)
        return OK;
    buf_printf(&line, "%s: %s", where, what);
    char **list = mem_resize(b->notes->line, (b->notes->n + 1) * sizeof *list), *text = buf_take(&line);
    if (list)
        b->notes->line = list;
    if (list && text)
        b->notes->line[b->notes->n++] = text;
    else
        mem_free(text);
    buf_clear(&line);
    return list && text ? OK : fail(err, E_NOMEM, "no memory for a grammar");
}

/* The notes that were added since `from` get a prefix that says whose they are. */
static status name_notes(building *b, size_t from, const char *where, error *err)
{
    for (size_t i = from; i < b->notes->n && where[0]; i++) {
        buf line = BUF_INIT(4 * SCHEMA_PATH_BYTES);
        buf_printf(&line, "%s%s", where, b->notes->line[i]);
        char *text = buf_take(&line);
        if (!text)
            return fail(err, E_NOMEM, "no memory for a grammar");
        mem_free(b->notes->line[i]);
        b->notes->line[i] = text;
    }
    return OK;
}

status building_schema(building *b, const js *tree, bool relaxed, const char *where, rule *out, error *err)
{
    schema *s = NULL;
    const schema_options options = { .relaxed = relaxed };
    size_t from = b->notes->n;
    status st = schema_open(&s, tree, &options, b->notes, err);
    if (!st)
        st = schema_rules(s, b->r, &options, b->notes, out, err);
    schema_close(&s);
    return st ? fail_prefix(err, st, "%s%s", where, where[0] ? ": " : "") : name_notes(b, from, where, err);
}

/* ---- vocabulary ---- */

status constrain_vocab(grammar_vocab **out, const struct vocab *v, const output_format *format, error *err)
{
    const size_t n = (size_t)vocab_n_tokens(v);
    span *pieces = mem_array(n, sizeof *pieces);
    int32_t *eog = mem_array(n, sizeof *eog);
    size_t n_eog = 0, marks = 0;
    status s = pieces && eog ? OK : fail(err, E_NOMEM, "no memory for a grammar");
    for (size_t i = 0; i < n && !s; i++) {
        const int32_t id = (int32_t)i;
        const vocab_type type = vocab_type_of(v, id);
        span piece = vocab_piece(v, id);
        bool mark = type == VOCAB_CONTROL && output_format_has(format, piece.p, piece.n);
        if (vocab_is_eog(v, id))
            eog[n_eog++] = id;
        else if (mark || (type != VOCAB_CONTROL && type != VOCAB_UNKNOWN && type != VOCAB_UNUSED))
            pieces[i] = piece;
        marks += mark;
    }
    *out = NULL;
    if (!s && marks)
        s = grammar_vocab_from(out, pieces, n, eog, n_eog, err);
    mem_free(pieces);
    mem_free(eog);
    return s;
}

/* ---- reasoning ---- */

static rule space(building *b)
{
    static const lang_range blanks[] = { { ' ', ' ' }, { '\n', '\n' } };
    return rules_token(b->r, lang_repeat(b->set, lang_class(b->set, blanks, 2, false), 0, 4));
}

/* What may stand before the answer itself. */
static rule reasoning(building *b, bool thinking)
{
    const reasoning_format *f = b->format->reasoning;
    if (!f)
        return RULES_EMPTY;
    const rule body[] = { rules_token(b->r, building_without(b, &f->close, 1)), building_text(b, f->close), space(b) };
    rule block = rules_seq(b->r, body, ARRAY_LEN(body));
    if (thinking)
        return block;
    const rule whole[] = { space(b), building_text(b, f->open), block };
    return rules_optional(b->r, rules_seq(b->r, whole, ARRAY_LEN(whole)));
}

/* ---- calls ---- */

/* The text in front of the first hole or white space: what a pattern is known by. */
static const char *first_literal(const char *text, char *room, size_t size)
{
    pattern p;
    pattern_read(&p, text);
    if (!p.n || p.items[0].kind != PATTERN_TEXT || p.items[0].n >= size)
        return NULL;
    memcpy(room, p.items[0].text, p.items[0].n);
    room[p.items[0].n] = 0;
    return room;
}

/* Patterns around calls hold no holes; '~' is nothing here. */
static rule plain(building *b, const char *text)
{
    pattern p;
    buf written = BUF_INIT(1024);
    pattern_read(&p, text);
    for (size_t i = 0; i < p.n; i++)
        buf_add(&written, p.items[i].text, p.items[i].n);
    rule r = building_text(b, buf_text(&written));
    buf_clear(&written);
    return r;
}

static bool wants_one(const building *b)
{
    return js_bool(js_get(b->in, "one_call"), false);
}

/* open call next call … close */
static rule call_group(building *b, rule call)
{
    const tool_format *f = b->format->tools;
    rule open = plain(b, f->open);
    const rule more[] = { plain(b, f->next), call };
    rule rest = rules_repeat(b->r, rules_seq(b->r, more, 2), 0, wants_one(b) ? 0 : CALLS_TOGETHER_MAX - 1);
    const rule all[] = { f->bare ? rules_optional(b->r, open) : open, call, rest, plain(b, f->close) };
    return rules_seq(b->r, all, ARRAY_LEN(all));
}

/* What the reader of answers would take for the beginning of a bare call: '{' and one of the members that it knows. */
static lang bare_begin(building *b)
{
    static const char *const keys[] = { "name", "function", "tool_name", "arguments", "parameters", "id", "type",
                                        "index", "call_id", "tool_call_id" };
    static const lang_range blanks[] = { { ' ', ' ' }, { '\n', '\n' }, { '\t', '\t' }, { '\r', '\r' } };
    lang ws = lang_repeat(b->set, lang_class(b->set, blanks, 4, false), 0, LANG_UNBOUNDED), names = LANG_NONE;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        names = lang_alt(b->set, names, lang_text(b->set, keys[i], strlen(keys[i])));
    const lang parts[] = { ws, lang_text(b->set, "{", 1), ws, lang_text(b->set, "\"", 1), names,
                           lang_text(b->set, "\"", 1), lang_any_text(b->set) };
    lang all = LANG_EMPTY;
    for (size_t i = ARRAY_LEN(parts); i > 0; i--)
        all = lang_seq(b->set, parts[i - 1], all);
    return all;
}

/* Text in which no call begins. */
static lang free_text(building *b)
{
    const tool_format *f = b->format->tools;
    char open[128], call[128];
    const char *marks[2];
    size_t n = 0;
    if (first_literal(f->open, open, sizeof open))
        marks[n++] = open;
    if (first_literal(f->call, call, sizeof call))
        marks[n++] = call;
    lang text = building_without(b, marks, n);
    return f->bare ? lang_and(b->set, text, lang_not(b->set, bare_begin(b))) : text;
}

static rule with_calls(building *b, rule call, bool must, bool thinking)
{
    rule group = call_group(b, call), before = reasoning(b, thinking);
    if (must)
        return rules_seq(b->r, (const rule[]){ before, group }, 2);
    rule text = rules_token(b->r, free_text(b));
    rule answer = b->format->tools->bare
                      ? rules_alt(b->r, (const rule[]){ text, group }, 2)
                      : rules_seq(b->r, (const rule[]){ text, rules_optional(b->r, group) }, 2);
    return rules_seq(b->r, (const rule[]){ before, answer }, 2);
}

/* ---- addressed formats ---- */

/* Messages to nobody (channels), then the answer or a call; text holds none of the format's marks. */
static rule in_channels(building *b, rule call, rule shape, bool must, bool addressed)
{
    const tool_format *f = b->format->tools;
    const char *const marks[] = { "<|" };
    rule text = rules_token(b->r, building_without(b, marks, 1));
    const rule thought[] = { building_text(b, "<|channel|>analysis<|message|>"), text, building_text(b, f->end),
                             building_text(b, f->start) };
    const rule final[] = { building_text(b, "<|channel|>final<|message|>"), shape == RULES_NONE ? text : shape };
    const rule first[] = { addressed ? RULES_EMPTY : building_text(b, f->start),
                           rules_repeat(b->r, rules_seq(b->r, thought, ARRAY_LEN(thought)), 0, ANALYSES_MAX),
                           call == RULES_NONE ? rules_seq(b->r, final, 2)
                           : must             ? call
                                  : rules_alt(b->r, (const rule[]){ call, rules_seq(b->r, final, 2) }, 2) };
    return rules_seq(b->r, first, ARRAY_LEN(first));
}

/* >>>all, text, and >>>NAME, arguments. The prompt has written the first mark. */
static rule by_recipient(building *b, rule call, rule shape, bool must, bool addressed)
{
    const tool_format *f = b->format->tools;
    rule text = shape == RULES_NONE ? rules_token(b->r, building_without(b, &f->start, 1)) : shape;
    const rule all[] = { building_text(b, "all\n"), text }, next[] = { building_text(b, f->start), call };
    rule to_all = rules_seq(b->r, all, 2), start = addressed ? RULES_EMPTY : building_text(b, f->start);
    if (call == RULES_NONE)
        return rules_seq(b->r, (const rule[]){ start, to_all }, 2);
    rule more = rules_repeat(b->r, rules_seq(b->r, next, 2), 0, wants_one(b) ? 0 : CALLS_TOGETHER_MAX - 1);
    rule calls = rules_seq(b->r, (const rule[]){ call, more }, 2);
    rule text_first = rules_seq(b->r, (const rule[]){ to_all, rules_repeat(b->r, rules_seq(b->r, next, 2), 0,
                                                      wants_one(b) ? 1 : CALLS_TOGETHER_MAX) }, 2);
    rule answer = must ? calls : rules_alt(b->r, (const rule[]){ calls, text_first }, 2);
    return rules_seq(b->r, (const rule[]){ start, answer }, 2);
}

/* ---- shapes ---- */

static status json_shape(building *b, rule *out, error *err)
{
    js *any = js_object();
    status s = js_set(any, "type", js_new_string("object")) ? building_schema(b, any, false, "", out, err)
                                                            : fail(err, E_NOMEM, "no memory for a grammar");
    js_free(any);
    return s;
}

static status choice_shape(building *b, const js *choices, rule *out, error *err)
{
    const size_t n = js_len(choices);
    lang *parts = mem_array(n ? n : 1, sizeof *parts);
    if (!parts)
        return fail(err, E_NOMEM, "no memory for a grammar");
    for (size_t i = 0; i < n; i++)
        parts[i] = lang_text(b->set, js_text(js_at(choices, i)), js_len(js_at(choices, i)));
    *out = rules_token(b->r, lang_alt_n(b->set, parts, n));
    mem_free(parts);
    return lang_ok(b->set, err);
}

static status regex_shape(building *b, const char *text, rule *out, error *err)
{
    lang l;
    status s = text ? lang_regex(b->set, text, strlen(text), LANG_WHOLE, &l, err)
                    : fail(err, E_FORMAT, "the expression is missing");
    if (s)
        return fail_prefix(err, s, "regex: ");
    *out = rules_token(b->r, l);
    return OK;
}

static status shape_rule(building *b, const char *shape, rule *out, error *err)
{
    if (strcmp(shape, "json") == 0)
        return json_shape(b, out, err);
    if (strcmp(shape, "schema") == 0)
        return building_schema(b, js_get(b->in, "schema"), js_bool(js_get(b->in, "relaxed"), false), "", out, err);
    if (strcmp(shape, "choice") == 0)
        return choice_shape(b, js_get(b->in, "choices"), out, err);
    if (strcmp(shape, "regex") == 0)
        return regex_shape(b, js_text(js_get(b->in, "shape_text")), out, err);
    return fail(err, E_FORMAT, "request: the shape '%.20s' is not known", shape);
}

/* ---- the whole answer ---- */

typedef struct wish {
    const char *shape; /* NULL: none */
    const char *tool;  /* the named one */
    bool must;
    bool thinking, addressed;
} wish;

static status build(building *b, const wish *w, rule *root, error *err)
{
    const tool_format *f = b->format->tools;
    rule call = RULES_NONE, shape = RULES_NONE;
    status s = b->tools ? building_call(b, w->tool, &call, err) : OK;
    if (!s && w->shape)
        s = shape_rule(b, w->shape, &shape, err);
    if (s)
        return s;
    if (f->start)
        *root = (f->header ? in_channels : by_recipient)(b, call, shape, w->must, w->addressed);
    else if (call == RULES_NONE)
        *root = rules_seq(b->r, (const rule[]){ reasoning(b, w->thinking), shape }, 2);
    else if (shape == RULES_NONE)
        *root = with_calls(b, call, w->must, w->thinking);
    else /* the answer is calls, or text of that shape */
        *root = rules_seq(b->r, (const rule[]){ reasoning(b, w->thinking), rules_alt(b->r, (const rule[]){
                          call_group(b, call), shape }, 2) }, 2);
    return OK;
}

status constrain(grammar **out, const output_format *format, const js *in, bool thinking, bool addressed,
                 schema_notes *notes, error *err)
{
    const js *choice = js_get(in, "tool_choice");
    const char *word = js_is(choice, JS_STRING) ? js_text(choice) : "";
    building b = { .format = format, .in = in, .tools = js_get(in, "tools"), .notes = notes };
    wish w = { .shape = js_text(js_get(in, "shape")), .tool = js_text(js_get(choice, "name")),
               .thinking = thinking, .addressed = addressed };
    rule root = RULES_NONE;
    w.must = w.tool || strcmp(word, "required") == 0;
    *out = NULL;
    if (!w.shape && !b.tools)
        return OK;
    const js *text = js_get(in, "shape_text");
    if (w.shape && strcmp(w.shape, "grammar") == 0) { /* a grammar is the whole answer, reasoning and all */
        if (b.tools)
            return fail(err, E_UNSUPPORTED, "grammar: a grammar and tools do not go together");
        return grammar_gbnf(out, js_text(text) ? js_text(text) : "", js_len(text), err);
    }
    status s = rules_open(&b.r, err);
    if (s)
        return s;
    b.set = rules_langs(b.r);
    s = build(&b, &w, &root, err);
    if (!s)
        s = lang_ok(b.set, err);
    if (!s)
        return rules_compile(&b.r, root, out, err);
    /* what went wrong in the builder comes out only here, and is the reason of all that followed */
    grammar *none = NULL;
    error first = { 0 };
    status why = rules_compile(&b.r, RULES_EMPTY, &none, &first);
    grammar_close(&none);
    return why && s == E_FORMAT ? fail(err, why, "%s", first.text) : s;
}
