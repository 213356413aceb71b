/* parse.c: statements. Names and sentences follow jinja2's where people may know them. */
#include "chat/parse.h"

#include <string.h>

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

void next(parser *p)
{
    run_spend(p->r, 1);
    if (now(p)->kind != T_END)
        p->at++;
    p->r->line = now(p)->line;
}

bool is_op(const parser *p, token_op op)
{
    return now(p)->kind == T_OPERATOR && now(p)->op == op;
}

static bool token_is(const token *t, const char *name)
{
    return t->kind == T_NAME && t->value.s->n == strlen(name) && !memcmp(t->value.s->p, name, t->value.s->n);
}

bool is_name(const parser *p, const char *name)
{
    return token_is(now(p), name);
}

bool look_name(const parser *p, const char *name)
{
    return now(p)->kind != T_END && token_is(now(p) + 1, name);
}

bool skip_op(parser *p, token_op op)
{
    bool is = is_op(p, op);
    if (is)
        next(p);
    return is;
}

bool skip_name(parser *p, const char *name)
{
    bool is = is_name(p, name);
    if (is)
        next(p);
    return is;
}

void unexpected(parser *p, const char *wanted)
{
    static const char *const kinds[] = { "text", "{{", "}}", "{%", "%}", "a name", "a string", "an integer", "a float",
                                         "an operator", "the end of the template" };
    const token *t = now(p);
    if (t->kind == T_NAME)
        run_fail(p->r, E_FORMAT, "expected %s, got '%.*s'", wanted, run_shown(t->value.s->p, t->value.s->n),
                 t->value.s->p);
    run_fail(p->r, E_FORMAT, "expected %s, got %s", wanted, kinds[t->kind]);
}

void expect_op(parser *p, token_op op, const char *what)
{
    if (!skip_op(p, op))
        unexpected(p, what);
}

const text *expect_name(parser *p)
{
    if (now(p)->kind != T_NAME)
        unexpected(p, "a name");
    const text *name = now(p)->value.s;
    next(p);
    return name;
}

static void expect_kind(parser *p, token_kind kind, const char *what)
{
    if (now(p)->kind != kind)
        unexpected(p, what);
    next(p);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

node *node_new(parser *p, node_kind kind)
{
    node *n = run_alloc(p->r, sizeof *n);
    n->kind = (uint8_t)kind;
    n->line = p->r->line;
    return n;
}

uint32_t symbol_of(parser *p, const text *name)
{
    struct template *t = p->t;
    for (size_t i = 0; i < t->n_symbols; i++)
        if (text_equal(p->r, t->symbols[i], name))
            return (uint32_t)i;
    if (t->n_symbols == t->symbols_size) {
        size_t size = t->symbols_size ? 2 * t->symbols_size : 64;
        t->symbols = run_grow(p->r, t->symbols, t->n_symbols, size, sizeof *t->symbols);
        t->symbols_size = size;
    }
    t->symbols[t->n_symbols] = name;
    return (uint32_t)t->n_symbols++;
}

/* Lists grow at powers of two, so that their size needs no place of its own. */
void add_node(parser *p, const node ***items, size_t *n, const node *item)
{
    if ((*n & (*n - 1)) == 0)
        *items = run_grow(p->r, *items, *n, *n ? 2 * *n : 1, sizeof **items);
    (*items)[(*n)++] = item;
}

static void add_statement(parser *p, block *b, const node *item)
{
    if (b->n == b->size) {
        b->size = b->size ? 2 * b->size : 8;
        b->items = run_grow(p->r, b->items, b->n, b->size, sizeof *b->items);
    }
    b->items[b->n++] = item;
}

static block *parse_block(parser *p, const char *const *ends);
static const node *parse_statement(parser *p);

/* From behind a tag's last expression to its end tag, which it reads but for its name. */
static block *parse_body(parser *p, const char *const *ends)
{
    (void)skip_op(p, OP_COLON);
    expect_kind(p, T_BLOCK_END, "the end of the tag");
    block *b = parse_block(p, ends);
    if (now(p)->kind == T_END)
        run_fail(p->r, E_FORMAT, "Unexpected end of template. Jinja was looking for the tag '%s'.", ends[0]);
    return b;
}

static block *body_to(parser *p, const char *end)
{
    const char *const ends[] = { end, NULL };
    block *b = parse_body(p, ends);
    next(p);
    return b;
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

static const node *parse_set(parser *p)
{
    node *n = node_new(p, S_SET);
    n->a = parse_target(p, NULL, true);
    if (skip_op(p, OP_ASSIGN)) {
        n->b = parse_tuple(p, true, NULL, false);
        return n;
    }
    n->kind = S_SET_BLOCK;
    n->b = parse_filters(p, NULL, false);
    n->body = body_to(p, "endset");
    return n;
}

static const node *parse_for(parser *p)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    node *n = node_new(p, S_FOR);
    n->a = parse_target(p, "in", false);
    if (!skip_name(p, "in"))
        unexpected(p, "'in'");
    n->b = parse_tuple(p, false, "recursive", false);
    if (skip_name(p, "if"))
        n->c = parse_expression(p, true);
    n->flag = skip_name(p, "recursive");
    p->loops++;
    n->body = parse_body(p, ends);
    p->loops--;
    if (is_name(p, "else")) {
        next(p);
        n->other = body_to(p, "endfor");
    } else {
        next(p);
    }
    return n;
}

static const node *parse_if(parser *p)
{
    static const char *const ends[] = { "elif", "else", "endif", NULL };
    node *first = node_new(p, S_IF), *n = first;
    p->soft++;
    for (;;) {
        n->a = parse_tuple(p, false, NULL, false);
        n->body = parse_body(p, ends);
        if (skip_name(p, "elif")) {
            node *elif = node_new(p, S_IF);
            n->other = run_alloc(p->r, sizeof *n->other);
            add_statement(p, n->other, elif);
            n->flag = true;
            n = elif;
            continue;
        }
        if (skip_name(p, "else"))
            n->other = body_to(p, "endif");
        else
            next(p);
        break;
    }
    p->soft--;
    return first;
}

static const node *parse_with(parser *p)
{
    node *n = node_new(p, S_WITH);
    const node **targets = NULL;
    size_t n_targets = 0;
    while (now(p)->kind != T_BLOCK_END) {
        if (n_targets)
            expect_op(p, OP_COMMA, "','");
        add_node(p, &targets, &n_targets, parse_target(p, NULL, false));
        expect_op(p, OP_ASSIGN, "'='");
        add_node(p, &n->list, &n->n, parse_expression(p, true));
    }
    n->defaults = targets;
    n->n_defaults = n_targets;
    n->body = body_to(p, "endwith");
    return n;
}

static void parse_signature(parser *p, node *n)
{
    expect_op(p, OP_LPAREN, "'('");
    while (!is_op(p, OP_RPAREN)) {
        if (n->n)
            expect_op(p, OP_COMMA, "','");
        node *name = node_new(p, E_NAME);
        name->value = value_text(expect_name(p));
        name->symbol = symbol_of(p, name->value.s);
        if (skip_op(p, OP_ASSIGN))
            add_node(p, &n->defaults, &n->n_defaults, parse_expression(p, true));
        else if (n->n_defaults)
            run_fail(p->r, E_FORMAT, "non-default argument follows default argument");
        add_node(p, &n->list, &n->n, name);
    }
    next(p);
}

static bool block_reads(parser *p, const block *b, uint32_t symbol);

static bool node_reads(parser *p, const node *n, uint32_t symbol)
{
    if (!n)
        return false;
    if ((n->kind == E_NAME || n->kind == E_NAMESPACE) && n->symbol == symbol)
        return true;
    run_enter(p->r);
    run_spend(p->r, 1);
    bool found = node_reads(p, n->a, symbol) || node_reads(p, n->b, symbol) || node_reads(p, n->c, symbol) ||
                 node_reads(p, n->star, symbol) || node_reads(p, n->stars, symbol);
    for (size_t i = 0; !found && i < n->n; i++)
        found = node_reads(p, n->list[i], symbol);
    for (size_t i = 0; !found && i < n->n_defaults; i++)
        found = node_reads(p, n->defaults[i], symbol);
    found = found || block_reads(p, n->body, symbol) || block_reads(p, n->other, symbol);
    run_leave(p->r);
    return found;
}

static bool block_reads(parser *p, const block *b, uint32_t symbol)
{
    for (size_t i = 0; b && i < b->n; i++)
        if (node_reads(p, b->items[i], symbol))
            return true;
    return false;
}

static void note_reads(parser *p, node *n)
{
    static const char *const names[] = { "caller", "kwargs", "varargs" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t symbol = template_symbol(p->t, names[i]);
        if (symbol != SIZE_MAX && block_reads(p, n->body, (uint32_t)symbol))
            n->op |= (uint8_t)(1u << i);
    }
}

/* The body of a function: no loop of outside reaches into it. */
static block *function_body(parser *p, const char *end)
{
    int loops = p->loops;
    p->loops = 0;
    block *b = body_to(p, end);
    p->loops = loops;
    return b;
}

static const node *parse_macro(parser *p)
{
    node *n = node_new(p, S_MACRO);
    n->value = value_text(expect_name(p));
    n->symbol = symbol_of(p, n->value.s);
    parse_signature(p, n);
    n->body = function_body(p, "endmacro");
    note_reads(p, n);
    return n;
}

static const node *parse_call_block(parser *p)
{
    node *n = node_new(p, S_CALL);
    if (is_op(p, OP_LPAREN))
        parse_signature(p, n);
    n->a = parse_expression(p, true);
    if (n->a->kind != E_CALL)
        run_fail(p->r, E_FORMAT, "expected call");
    n->body = function_body(p, "endcall");
    note_reads(p, n);
    return n;
}

static const node *parse_filter_block(parser *p)
{
    node *n = node_new(p, S_FILTER);
    n->b = parse_filters(p, NULL, true);
    n->body = body_to(p, "endfilter");
    return n;
}

static const node *parse_generation(parser *p)
{
    node *n = node_new(p, S_SCOPE);
    n->body = function_body(p, "endgeneration");
    return n;
}

static const node *parse_named_block(parser *p)
{
    node *n = node_new(p, S_SCOPE);
    const text *name = expect_name(p);
    for (size_t i = 0; i < p->n_blocks; i++)
        if (text_equal(p->r, p->blocks[i], name))
            run_fail(p->r, E_FORMAT, "block '%.*s' defined twice", run_shown(name->p, name->n), name->p);
    p->blocks = run_grow(p->r, p->blocks, p->n_blocks, p->n_blocks + 1, sizeof *p->blocks);
    p->blocks[p->n_blocks++] = name;
    n->flag = !skip_name(p, "scoped");
    (void)skip_name(p, "required");
    n->body = function_body(p, "endblock");
    if (now(p)->kind == T_NAME && text_equal(p->r, now(p)->value.s, name))
        next(p);
    return n;
}

static const node *parse_autoescape(parser *p)
{
    node *n = node_new(p, S_SCOPE);
    const node *e = parse_expression(p, true);
    if (e->kind != E_CONST || e->value.kind != V_BOOL || e->value.b)
        run_fail(p->r, E_UNSUPPORTED, "autoescape other than false");
    n->body = body_to(p, "endautoescape");
    return n;
}

static const node *parse_print(parser *p)
{
    node *n = node_new(p, S_PRINT), *parts = node_new(p, E_CONCAT);
    while (now(p)->kind != T_BLOCK_END) {
        if (parts->n)
            expect_op(p, OP_COMMA, "','");
        add_node(p, &parts->list, &parts->n, parse_expression(p, true));
    }
    n->a = parts;
    return n;
}

static const node *parse_leave(parser *p, node_kind kind)
{
    if (!p->loops)
        run_fail(p->r, E_FORMAT, "'%s' outside loop", kind == S_BREAK ? "break" : "continue");
    return node_new(p, kind);
}

static const node *parse_break(parser *p)
{
    return parse_leave(p, S_BREAK);
}

static const node *parse_continue(parser *p)
{
    return parse_leave(p, S_CONTINUE);
}

static const node *other_templates(parser *p)
{
    run_fail(p->r, E_UNSUPPORTED, "there are no other templates to extend, include or import");
}

static const struct {
    const char *name;
    const node *(*parse)(parser *);
} statements[] = {
    { "if", parse_if }, { "for", parse_for }, { "set", parse_set }, { "macro", parse_macro },
    { "generation", parse_generation }, { "call", parse_call_block }, { "filter", parse_filter_block },
    { "with", parse_with }, { "break", parse_break }, { "continue", parse_continue }, { "print", parse_print },
    { "block", parse_named_block }, { "autoescape", parse_autoescape }, { "extends", other_templates },
    { "include", other_templates }, { "import", other_templates }, { "from", other_templates },
};

static const node *parse_statement(parser *p)
{
    if (now(p)->kind != T_NAME)
        run_fail(p->r, E_FORMAT, "tag name expected");
    run_enter(p->r);
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        if (is_name(p, statements[i].name)) {
            next(p);
            const node *n = statements[i].parse(p);
            run_leave(p->r);
            return n;
        }
    }
    span name = { now(p)->value.s->p, now(p)->value.s->n };
    run_fail(p->r, E_FORMAT, "Encountered unknown tag '%.*s'.", run_shown(name.p, name.n), name.p);
}

static bool at_end_tag(const parser *p, const char *const *ends)
{
    for (; ends && *ends; ends++)
        if (is_name(p, *ends))
            return true;
    return false;
}

/* Up to (not including) the name of an end tag, or the end of the template. */
static block *parse_block(parser *p, const char *const *ends)
{
    block *b = run_alloc(p->r, sizeof *b);
    while (now(p)->kind != T_END) {
        node *n;
        if (now(p)->kind == T_DATA) {
            n = node_new(p, S_TEXT);
            n->value = now(p)->value;
            next(p);
        } else if (now(p)->kind == T_PRINT_BEGIN) {
            next(p);
            n = node_new(p, S_PRINT);
            n->a = parse_tuple(p, true, NULL, false);
            expect_kind(p, T_PRINT_END, "'}}'");
        } else {
            next(p);
            if (at_end_tag(p, ends))
                return b;
            const node *s = parse_statement(p);
            expect_kind(p, T_BLOCK_END, "the end of the tag");
            add_statement(p, b, s);
            continue;
        }
        add_statement(p, b, n);
    }
    return b;
}

void parse_template(run *r, span source, struct template *out)
{
    parser p = { .r = r, .t = out, .in = lex(r, source) };
    r->line = 1;
    out->body = parse_block(&p, NULL);
    if (p.n_unknown) {
        const node *n = p.unknown[0];
        r->line = n->line;
        run_fail(r, E_FORMAT, "No %s named '%.*s'.", n->kind == E_FILTER ? "filter" : "test",
                 run_shown(n->value.s->p, n->value.s->n), n->value.s->p);
    }
}

size_t template_symbol(const struct template *t, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < t->n_symbols; i++)
        if (t->symbols[i]->n == n && !memcmp(t->symbols[i]->p, name, n))
            return i;
    return SIZE_MAX;
}
