/* parse.h: source to a tree (private to chat/). */
#ifndef CHAT_PARSE_H
#define CHAT_PARSE_H

#include "chat/ast.h"
#include "chat/lex.h"

/* r->mem becomes the template's arena. Fails with E_FORMAT (no valid template) or E_UNSUPPORTED (a tag hearth has
 * not). */
void parse_template(run *r, span source, struct template *out);

/* ---- between parse.c (statements) and parse_expr.c ---- */
typedef struct parser {
    run *r;
    struct template *t;
    tokens in;
    size_t at;
    int soft;     /* within an if: filters of no known name fail when they are reached, not at once */
    int loops;    /* break and continue belong into one */
    const text **blocks; /* names of {% block %} */
    size_t n_blocks;
    const node *unknown[8]; /* filters and tests of no known name elsewhere */
    size_t n_unknown;
} parser;

static inline const token *now(const parser *p)
{
    return &p->in.items[p->at];
}
void next(parser *p);
bool is_op(const parser *p, token_op op);
bool is_name(const parser *p, const char *name);
bool look_name(const parser *p, const char *name); /* the token after this one */
bool skip_op(parser *p, token_op op);
bool skip_name(parser *p, const char *name);
void expect_op(parser *p, token_op op, const char *what);
const text *expect_name(parser *p);
_Noreturn void unexpected(parser *p, const char *wanted);
node *node_new(parser *p, node_kind kind);
uint32_t symbol_of(parser *p, const text *name);
void add_node(parser *p, const node ***items, size_t *n, const node *item);

const node *parse_expression(parser *p, bool with_if);
/* end: the name of a word that ends it ("in", "recursive"), or NULL */
const node *parse_tuple(parser *p, bool with_if, const char *end, bool parentheses);
const node *parse_target(parser *p, const char *end, bool namespaces);
const node *parse_filters(parser *p, const node *over, bool begin_inline);

#endif
