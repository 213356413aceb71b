/* ast.h: a compiled template: what the parser makes and the evaluator walks (private to chat/). Constant after
 * template_compile; lives in the template's arena. */
#ifndef CHAT_AST_H
#define CHAT_AST_H

#include "chat/value.h"

typedef enum node_kind {
    /* statements */
    S_TEXT,   /* value: the text between tags */
    S_PRINT,  /* a: expression */
    S_IF,     /* a: test, body, other; flag: other is the elif, one S_IF */
    S_FOR,    /* a: target, b: sequence, c: condition or NULL, body, other; flag: recursive */
    S_SET,    /* a: target, b: expression */
    S_SET_BLOCK, /* a: target, b: filter chain over the block or NULL, body */
    S_FILTER, /* b: filter chain, body */
    S_WITH,   /* names: targets, list: values, body */
    S_MACRO,  /* value: name text, symbol, list: N_NAME of each parameter, defaults: of the last ones, body */
    S_CALL,   /* a: the call, list and defaults: parameters of caller(), body */
    S_SCOPE,  /* body with variables of its own (generation, autoescape); flag: a block, sees only those outside */
    S_BREAK,
    S_CONTINUE,
    /* expressions */
    E_CONST,  /* value */
    E_NAME,   /* symbol, value: its text */
    E_NAMESPACE, /* target only: symbol . value */
    E_LIST,   /* list */
    E_TUPLE,  /* list */
    E_DICT,   /* list: key, value, key, value */
    E_ATTR,   /* a . value */
    E_ITEM,   /* a [ b ] */
    E_SLICE,  /* a : b : c, each or NULL */
    E_CALL,   /* a ( list, names of the last n_names, star, stars ) */
    E_FILTER, /* a (NULL: the block's text) | row ( ... ) */
    E_TEST,   /* a is row ( ... ) */
    E_NOT,
    E_NEGATIVE,
    E_POSITIVE,
    E_AND,
    E_OR,
    E_IF,      /* b if a else c (NULL: undefined) */
    E_MATH,    /* a op b */
    E_CONCAT,  /* list */
    E_COMPARE, /* a, then list: operands, ops */
} node_kind;

/* Special names that a macro's body reads. */
typedef enum macro_reads { READS_CALLER = 1, READS_KWARGS = 2, READS_VARARGS = 4 } macro_reads;

typedef enum compare_op { C_EQ, C_NE, C_LT, C_LE, C_GT, C_GE, C_IN, C_NOT_IN } compare_op;

typedef struct node {
    uint8_t kind;
    uint8_t op;    /* number_op of E_MATH, macro_reads of S_MACRO and S_CALL */
    bool flag;
    uint32_t line;
    uint32_t symbol;
    value value;
    const struct node *a, *b, *c;
    struct block *body, *other;
    const struct node **list;
    const uint8_t *ops; /* compare_op of each of list */
    size_t n;
    const struct node **defaults; /* the signature's */
    size_t n_defaults;
    const text **names; /* of the last n_names of list: keyword arguments */
    size_t n_names;
    const struct node *star, *stars; /* f(*star, **stars) */
    const void *row;                 /* filter_row or test_row; NULL: of no known name, an error when it is reached */
} node;

typedef struct block {
    const node **items;
    size_t n, size;
} block;

struct template {
    arena mem;
    const block *body;
    const text **symbols; /* every name of a variable once */
    size_t n_symbols, symbols_size;
};

/* The symbol of a name, or SIZE_MAX when the template never mentions it. */
size_t template_symbol(const struct template *t, const char *name);

#endif
