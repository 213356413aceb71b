/* lex.h: a template's source as tokens (private to chat/): jinja2's rules with trim_blocks and lstrip_blocks, no line
 * statements, no trailing newline. */
#ifndef CHAT_LEX_H
#define CHAT_LEX_H

#include "chat/value.h"

typedef enum token_kind {
    T_DATA, /* value: text */
    T_PRINT_BEGIN,
    T_PRINT_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,   /* value: text */
    T_STRING, /* value: text */
    T_INT,
    T_FLOAT,
    T_OPERATOR, /* op */
    T_END,
} token_kind;

typedef enum token_op {
    OP_ADD, OP_SUB, OP_DIV, OP_FLOORDIV, OP_MUL, OP_MOD, OP_POW, OP_TILDE, OP_LBRACKET, OP_RBRACKET, OP_LPAREN,
    OP_RPAREN, OP_LBRACE, OP_RBRACE, OP_EQ, OP_NE, OP_GT, OP_GE, OP_LT, OP_LE, OP_ASSIGN, OP_DOT, OP_COLON, OP_PIPE,
    OP_COMMA, OP_SEMICOLON,
} token_op;

typedef struct token {
    uint8_t kind, op;
    uint32_t line;
    value value;
} token;

typedef struct tokens {
    token *items;
    size_t n, size;
} tokens;

/* Fails with E_FORMAT. The tokens end with T_END. */
tokens lex(run *r, span source);

#endif
