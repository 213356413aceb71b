/* parse_expr.c: expressions, by descent, loosest binding first: if, or, and, not, comparisons, + -, ~, * / // %, **,
 * signs, then what stands behind a value: .name [item] (call) |filter is test. */
#include <string.h>

#include "chat/filter.h"
#include "chat/parse.h"

static const node *parse_unary(parser *p, bool with_filters);

static const node *binary(parser *p, node_kind kind, const node *a, const node *b)
{
    node *n = node_new(p, kind);
    n->a = a;
    n->b = b;
    return n;
}

/* ---- operators --------------------------------------------------------------------------------------------------- */

static const node *math(parser *p, number_op op, const node *a, const node *b)
{
    node *n = (node *)(uintptr_t)binary(p, E_MATH, a, b);
    n->op = (uint8_t)op;
    return n;
}

static const node *parse_power(parser *p)
{
    const node *left = parse_unary(p, true);
    while (skip_op(p, OP_POW))
        left = math(p, N_POW, left, parse_unary(p, true));
    return left;
}

static const node *parse_product(parser *p)
{
    static const uint8_t ops[][2] = { { OP_MUL, N_MUL }, { OP_DIV, N_DIV }, { OP_FLOORDIV, N_FLOORDIV },
                                      { OP_MOD, N_MOD } };
    const node *left = parse_power(p);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (skip_op(p, (token_op)ops[i][0])) {
            left = math(p, (number_op)ops[i][1], left, parse_power(p));
            i = (size_t)-1;
        }
    return left;
}

static const node *parse_concat(parser *p)
{
    const node *first = parse_product(p);
    if (!is_op(p, OP_TILDE))
        return first;
    node *n = node_new(p, E_CONCAT);
    add_node(p, &n->list, &n->n, first);
    while (skip_op(p, OP_TILDE))
        add_node(p, &n->list, &n->n, parse_product(p));
    return n;
}

static const node *parse_sum(parser *p)
{
    const node *left = parse_concat(p);
    while (is_op(p, OP_ADD) || is_op(p, OP_SUB)) {
        number_op op = is_op(p, OP_ADD) ? N_ADD : N_SUB;
        next(p);
        left = math(p, op, left, parse_concat(p));
    }
    return left;
}

static bool comparison(parser *p, uint8_t *op)
{
    static const uint8_t ops[][2] = { { OP_EQ, C_EQ }, { OP_NE, C_NE }, { OP_LT, C_LT }, { OP_LE, C_LE },
                                      { OP_GT, C_GT }, { OP_GE, C_GE } };
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        if (skip_op(p, (token_op)ops[i][0])) {
            *op = ops[i][1];
            return true;
        }
    if (skip_name(p, "in")) {
        *op = C_IN;
        return true;
    }
    if (!is_name(p, "not") || !look_name(p, "in"))
        return false;
    next(p);
    next(p);
    *op = C_NOT_IN;
    return true;
}

static const node *parse_compare(parser *p)
{
    const node *first = parse_sum(p);
    uint8_t op, *ops = NULL;
    size_t size = 0;
    node *n = NULL;
    while (comparison(p, &op)) {
        if (!n) {
            n = node_new(p, E_COMPARE);
            n->a = first;
        }
        if (n->n == size) {
            ops = run_grow(p->r, ops, n->n, size = size ? 2 * size : 2, 1);
            n->ops = ops;
        }
        ops[n->n] = op;
        add_node(p, &n->list, &n->n, parse_sum(p));
    }
    return n ? n : first;
}

static const node *parse_not(parser *p)
{
    if (!skip_name(p, "not"))
        return parse_compare(p);
    run_enter(p->r);
    const node *n = binary(p, E_NOT, parse_not(p), NULL);
    run_leave(p->r);
    return n;
}

static const node *parse_and(parser *p)
{
    const node *left = parse_not(p);
    while (skip_name(p, "and"))
        left = binary(p, E_AND, left, parse_not(p));
    return left;
}

static const node *parse_or(parser *p)
{
    const node *left = parse_and(p);
    while (skip_name(p, "or"))
        left = binary(p, E_OR, left, parse_and(p));
    return left;
}

/* Within an if, a filter of no known name fails only when it is reached: those of this expression are forgotten. */
static const node *parse_condition(parser *p)
{
    size_t before = p->n_unknown;
    const node *e = parse_or(p);
    while (skip_name(p, "if")) {
        node *n = node_new(p, E_IF);
        n->b = e;
        n->a = parse_or(p);
        if (skip_name(p, "else"))
            n->c = parse_condition(p);
        p->n_unknown = before;
        e = n;
    }
    return e;
}

const node *parse_expression(parser *p, bool with_if)
{
    run_enter(p->r);
    const node *n = with_if ? parse_condition(p) : parse_or(p);
    run_leave(p->r);
    return n;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const node *constant(parser *p, value v)
{
    node *n = node_new(p, E_CONST);
    n->value = v;
    return n;
}

static const node *parse_strings(parser *p)
{
    const text *s = now(p)->value.s;
    for (next(p); now(p)->kind == T_STRING; next(p)) {
        builder b = builder_of(p->r);
        build_text(&b, s);
        build_text(&b, now(p)->value.s);
        s = build_done(&b);
    }
    return constant(p, value_text(s));
}

static const node *parse_list(parser *p)
{
    node *n = node_new(p, E_LIST);
    for (next(p); !is_op(p, OP_RBRACKET);) {
        if (n->n)
            expect_op(p, OP_COMMA, "','");
        if (is_op(p, OP_RBRACKET))
            break;
        add_node(p, &n->list, &n->n, parse_expression(p, true));
    }
    next(p);
    return n;
}

static const node *parse_dict(parser *p)
{
    node *n = node_new(p, E_DICT);
    for (next(p); !is_op(p, OP_RBRACE);) {
        if (n->n)
            expect_op(p, OP_COMMA, "','");
        if (is_op(p, OP_RBRACE))
            break;
        add_node(p, &n->list, &n->n, parse_expression(p, true));
        expect_op(p, OP_COLON, "':'");
        add_node(p, &n->list, &n->n, parse_expression(p, true));
    }
    next(p);
    return n;
}

static const node *parse_name(parser *p, bool namespaces)
{
    static const struct {
        const char *name;
        value v;
    } constants[] = {
        { "true", { .kind = V_BOOL, .b = true } }, { "True", { .kind = V_BOOL, .b = true } },
        { "false", { .kind = V_BOOL } }, { "False", { .kind = V_BOOL } },
        { "none", { .kind = V_NONE } }, { "None", { .kind = V_NONE } },
    };
    for (size_t i = 0; i < ARRAY_LEN(constants); i++)
        if (skip_name(p, constants[i].name))
            return constant(p, constants[i].v);
    node *n = node_new(p, E_NAME);
    n->value = now(p)->value;
    n->symbol = symbol_of(p, n->value.s);
    next(p);
    if (namespaces && skip_op(p, OP_DOT)) {
        n->kind = E_NAMESPACE;
        n->value = value_text(expect_name(p));
    }
    return n;
}

static const node *parse_primary(parser *p, bool namespaces)
{
    switch (now(p)->kind) {
    case T_NAME: return parse_name(p, namespaces);
    case T_STRING: return parse_strings(p);
    case T_INT:
    case T_FLOAT: {
        value v = now(p)->value;
        next(p);
        return constant(p, v);
    }
    default: break;
    }
    if (skip_op(p, OP_LPAREN)) {
        const node *n = parse_tuple(p, true, NULL, true);
        expect_op(p, OP_RPAREN, "')'");
        return n;
    }
    if (is_op(p, OP_LBRACKET))
        return parse_list(p);
    if (is_op(p, OP_LBRACE))
        return parse_dict(p);
    unexpected(p, "a value");
}

/* An expression, or several with commas. simple: names and literals only. */
static const node *tuple(parser *p, bool simple, bool with_if, const char *end, bool parentheses, bool namespaces)
{
    const node **items = NULL;
    size_t n = 0;
    bool is_tuple = false;
    run_enter(p->r);
    for (;;) {
        if (n)
            expect_op(p, OP_COMMA, "','");
        if (now(p)->kind == T_PRINT_END || now(p)->kind == T_BLOCK_END || is_op(p, OP_RPAREN) ||
            (end && is_name(p, end)))
            break;
        add_node(p, &items, &n, simple ? parse_primary(p, namespaces) : parse_expression(p, with_if));
        if (!is_op(p, OP_COMMA))
            break;
        is_tuple = true;
    }
    run_leave(p->r);
    if (!is_tuple && n)
        return items[0];
    if (!is_tuple && !parentheses)
        unexpected(p, "an expression");
    node *t = node_new(p, E_TUPLE);
    t->list = items;
    t->n = n;
    return t;
}

const node *parse_tuple(parser *p, bool with_if, const char *end, bool parentheses)
{
    return tuple(p, false, with_if, end, parentheses, false);
}

static void check_target(parser *p, const node *n)
{
    for (size_t i = 0; n->kind == E_TUPLE && i < n->n; i++)
        check_target(p, n->list[i]);
    if (n->kind != E_TUPLE && n->kind != E_NAME && n->kind != E_NAMESPACE)
        run_fail(p->r, E_FORMAT, "can't assign to this");
}

const node *parse_target(parser *p, const char *end, bool namespaces)
{
    const node *n = tuple(p, true, false, end, false, namespaces);
    check_target(p, n);
    return n;
}

/* ---- what stands behind a value ---------------------------------------------------------------------------------- */

static void call_arguments(parser *p, node *n)
{
    bool first = true;
    size_t names_size = 0;
    expect_op(p, OP_LPAREN, "'('");
    while (!is_op(p, OP_RPAREN)) {
        if (!first) {
            expect_op(p, OP_COMMA, "','");
            if (is_op(p, OP_RPAREN))
                break;
        }
        first = false;
        bool keyword = now(p)->kind == T_NAME && now(p)[1].kind == T_OPERATOR && now(p)[1].op == OP_ASSIGN;
        bool star = is_op(p, OP_MUL), positional = !keyword && !star && !is_op(p, OP_POW);
        if (n->stars || (n->star && (positional || star)) || (n->n_names && positional))
            run_fail(p->r, E_FORMAT, "invalid syntax for function call expression");
        if (skip_op(p, OP_MUL)) {
            n->star = parse_expression(p, true);
        } else if (skip_op(p, OP_POW)) {
            n->stars = parse_expression(p, true);
        } else {
            if (keyword) {
                if (n->n_names == names_size) {
                    names_size = names_size ? 2 * names_size : 4;
                    n->names = run_grow(p->r, n->names, n->n_names, names_size, sizeof *n->names);
                }
                n->names[n->n_names++] = now(p)->value.s;
                next(p);
                next(p);
            }
            add_node(p, &n->list, &n->n, parse_expression(p, true));
        }
    }
    next(p);
}

static const node *parse_call(parser *p, const node *callee)
{
    node *n = node_new(p, E_CALL);
    n->a = callee;
    call_arguments(p, n);
    return n;
}

/* Between the brackets: an expression or a slice. */
static const node *parse_subscript_item(parser *p)
{
    const node *parts[3] = { NULL, NULL, NULL };
    if (!is_op(p, OP_COLON)) {
        parts[0] = parse_expression(p, true);
        if (!is_op(p, OP_COLON))
            return parts[0];
    }
    next(p);
    if (!is_op(p, OP_COLON) && !is_op(p, OP_RBRACKET) && !is_op(p, OP_COMMA))
        parts[1] = parse_expression(p, true);
    if (skip_op(p, OP_COLON) && !is_op(p, OP_RBRACKET) && !is_op(p, OP_COMMA))
        parts[2] = parse_expression(p, true);
    node *n = node_new(p, E_SLICE);
    n->a = parts[0];
    n->b = parts[1];
    n->c = parts[2];
    return n;
}

static const node *parse_subscript(parser *p, const node *of)
{
    if (skip_op(p, OP_DOT)) {
        if (now(p)->kind == T_INT) {
            value v = now(p)->value;
            next(p);
            return binary(p, E_ITEM, of, constant(p, v));
        }
        node *n = node_new(p, E_ATTR);
        n->a = of;
        n->value = value_text(expect_name(p));
        return n;
    }
    next(p);
    node *t = node_new(p, E_TUPLE);
    while (!is_op(p, OP_RBRACKET)) {
        if (t->n)
            expect_op(p, OP_COMMA, "','");
        add_node(p, &t->list, &t->n, parse_subscript_item(p));
    }
    next(p);
    return binary(p, E_ITEM, of, t->n == 1 ? t->list[0] : t);
}

static const node *parse_postfix(parser *p, const node *n)
{
    for (;;) {
        if (is_op(p, OP_DOT) || is_op(p, OP_LBRACKET))
            n = parse_subscript(p, n);
        else if (is_op(p, OP_LPAREN))
            n = parse_call(p, n);
        else
            return n;
    }
}

/* A name with dots, as jinja2 allows them for filters and tests. */
static const text *dotted_name(parser *p)
{
    const text *name = expect_name(p);
    if (!is_op(p, OP_DOT))
        return name;
    builder b = builder_of(p->r);
    build_text(&b, name);
    while (skip_op(p, OP_DOT)) {
        build_str(&b, ".", ORIGIN_TEMPLATE);
        build_text(&b, expect_name(p));
    }
    return build_done(&b);
}

static void known(parser *p, const node *n)
{
    if (!n->row && !p->soft && p->n_unknown < ARRAY_LEN(p->unknown))
        p->unknown[p->n_unknown++] = n;
}

const node *parse_filters(parser *p, const node *over, bool begin_inline)
{
    while (begin_inline || skip_op(p, OP_PIPE)) {
        begin_inline = false;
        node *n = node_new(p, E_FILTER);
        n->a = over;
        n->value = value_text(dotted_name(p));
        n->row = filter_named(text_bytes(p->r, n->value.s));
        known(p, n);
        if (is_op(p, OP_LPAREN))
            call_arguments(p, n);
        over = n;
    }
    return over;
}

static const node *parse_test(parser *p, const node *of)
{
    next(p);
    bool negated = skip_name(p, "not");
    node *n = node_new(p, E_TEST);
    n->a = of;
    n->value = value_text(dotted_name(p));
    n->row = test_named(text_bytes(p->r, n->value.s));
    known(p, n);
    const token *t = now(p);
    bool value_follows = t->kind == T_NAME || t->kind == T_STRING || t->kind == T_INT || t->kind == T_FLOAT ||
                         is_op(p, OP_LBRACKET) || is_op(p, OP_LBRACE);
    if (is_op(p, OP_LPAREN)) {
        call_arguments(p, n);
    } else if (value_follows && !is_name(p, "else") && !is_name(p, "or") && !is_name(p, "and")) {
        if (is_name(p, "is"))
            run_fail(p->r, E_FORMAT, "You cannot chain multiple tests with is");
        add_node(p, &n->list, &n->n, parse_postfix(p, parse_primary(p, false)));
    }
    return negated ? binary(p, E_NOT, n, NULL) : n;
}

static const node *parse_unary(parser *p, bool with_filters)
{
    const node *n;
    run_enter(p->r);
    if (skip_op(p, OP_SUB))
        n = binary(p, E_NEGATIVE, parse_unary(p, false), NULL);
    else if (skip_op(p, OP_ADD))
        n = binary(p, E_POSITIVE, parse_unary(p, false), NULL);
    else
        n = parse_primary(p, false);
    n = parse_postfix(p, n);
    while (with_filters) {
        if (is_op(p, OP_PIPE))
            n = parse_filters(p, n, false);
        else if (is_name(p, "is"))
            n = parse_test(p, n);
        else if (is_op(p, OP_LPAREN))
            n = parse_call(p, n);
        else
            break;
    }
    run_leave(p->r);
    return n;
}
