/* filter.h: filters, tests and methods as rows of tables (private to chat/). */
#ifndef CHAT_FILTER_H
#define CHAT_FILTER_H

#include "chat/scope.h"

typedef struct filter_row {
    const char *name;
    const char *names; /* parameters behind the value, "width first blank"; NULL: call_any */
    int needed;        /* of them */
    value (*call)(run *r, value v, const value *a);
    value (*call_any)(run *r, value v, const arguments *a);
} filter_row;

typedef struct test_row {
    const char *name;
    int needed; /* arguments behind the value */
    bool (*test)(run *r, value v, const value *a);
} test_row;

/* A method of str, dict, list ...; kind says whose. unsafe: the sandbox refuses it. */
typedef struct method_row {
    value_kind kind;
    const char *name;
    const char *names; /* NULL: call_any */
    int needed;
    value (*call)(run *r, value self, const value *a);
    value (*call_any)(run *r, value self, const arguments *a);
    bool unsafe;
} method_row;

const filter_row *filter_named(span name);
const test_row *test_named(span name);
const method_row *method_named(run *r, value of, const text *name);

value filter_call(run *r, const filter_row *row, value v, const arguments *a);
bool test_call(run *r, const test_row *row, value v, const arguments *a);

/* Tables of the files they are in. */
extern const filter_row text_filters[], list_filters[], other_filters[];
extern const size_t n_text_filters, n_list_filters, n_other_filters;

/* What several of them share. */
const text *text_or_fail(run *r, value v, const char *what);
value tojson(run *r, value v, const value *a);
value format_percent(run *r, const text *format, value with);
value format_braces(run *r, value format, const arguments *a);
value add_values(run *r, value a, value b);
value escape_text(run *r, value v);
value sort_values(run *r, list *items, list *keys, bool reverse);

#endif
