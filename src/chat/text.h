/* text.h: strings that know where they come from (private to chat/).
 *
 * A text is immutable UTF-8 in an arena. Each of its bytes has an origin: the template, a message, or other data of the
 * request. Every operation keeps them: a slice has its bytes' origins, a replacement that of the new part. Only what is
 * of the template's own may become a control token (chat.c).
 *
 * Long concatenations are ropes until somebody looks at the bytes (text_bytes). Positions in Python's sense are
 * characters; here they are bytes unless a name says chars. */
#ifndef CHAT_TEXT_H
#define CHAT_TEXT_H

#include "base/str.h"
#include "chat/run.h"

/* 0: the template; 1 + i: message i; ORIGIN_DATA: any other data. */
enum { ORIGIN_TEMPLATE = 0 };
#define ORIGIN_DATA UINT32_MAX

/* Bytes up to `end` (from the end of the run before) come from `from`. Neighbours differ. */
typedef struct text_run {
    uint32_t end, from;
} text_run;

typedef struct text {
    const char *p; /* NULL: a rope: left, then right */
    uint32_t n;
    uint32_t from; /* of all bytes, when there are no runs */
    const text_run *runs;
    uint32_t n_runs;
    uint32_t chars_plus_1; /* 0: not counted yet */
    uint32_t depth;        /* of a rope */
    bool markup;           /* jinja's Markup: what is added to it gets escaped */
    const struct text *left, *right;
} text;

/* p is borrowed for the arena's life. */
text *text_new(run *r, const char *p, size_t n, uint32_t from);
text *text_copy(run *r, const char *p, size_t n, uint32_t from);
text *text_of(run *r, const char *literal); /* of the template's own */
text *text_join2(run *r, const text *a, const text *b);
text *text_slice(run *r, const text *s, size_t from, size_t to);
/* The bytes; flattens a rope. Not zero-terminated. */
span text_bytes(run *r, const text *s);
bool text_is(run *r, const text *s, const char *literal);
bool text_equal(run *r, const text *a, const text *b);
int text_compare(run *r, const text *a, const text *b); /* -1, 0, 1, by code points */
uint32_t text_origin(run *r, const text *s, size_t at); /* of the byte there */

/* ---- characters ---- */
size_t text_chars(run *r, const text *s);
size_t text_char_bytes(const char *p, size_t n);             /* of the first character, >= 1 */
size_t text_byte_at(run *r, const text *s, size_t chars);    /* where character number `chars` begins; n past the end */
size_t text_char_at(run *r, const text *s, size_t byte);     /* the other way round */
uint32_t text_code(span s, size_t at, size_t *len);          /* ill-formed bytes are U+FFFD of length 1 */
/* Where needle first (last) begins in [from, to), or SIZE_MAX. */
size_t text_find(run *r, span s, span needle, size_t from, size_t to);
size_t text_find_last(run *r, span s, span needle, size_t from, size_t to);

bool char_is_space(uint32_t code); /* as Python's str.isspace */
/* s without characters of `set` (NULL: white space) at its left and right end. */
text *text_strip(run *r, const text *s, const text *set, bool left, bool right);

/* ---- building ---- */
typedef struct builder {
    run *r;
    char *p;
    size_t n, size;
    text_run *runs;
    size_t n_runs, runs_size;
} builder;
builder builder_of(run *r);
void build_bytes(builder *b, const char *p, size_t n, uint32_t from);
void build_str(builder *b, const char *literal, uint32_t from);
void build_code(builder *b, uint32_t code, uint32_t from);
void build_fill(builder *b, const text *fill, size_t times);
void build_text(builder *b, const text *s);
void build_slice(builder *b, const text *s, size_t from, size_t to);
text *build_done(builder *b);

/* ---- output: a list of texts, joined when somebody wants one ---- */
typedef struct sink {
    const text **items;
    size_t n, size;
    size_t bytes;
} sink;
void sink_add(run *r, sink *out, const text *s);
text *sink_text(run *r, const sink *out);

#endif
