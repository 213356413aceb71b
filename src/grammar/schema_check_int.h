/* schema_check_int.h: one check under way. It belongs to one thread and lives for one call of schema_check. */
#ifndef GRAMMAR_SCHEMA_CHECK_INT_H
#define GRAMMAR_SCHEMA_CHECK_INT_H

#include "grammar/lang.h"
#include "grammar/schema_int.h"

/* A value and the way to it. */
typedef struct schema_place {
    const struct schema_place *up; /* NULL: the value that is checked */
    const char *key;               /* in an object */
    size_t index;                  /* in an array, where key is NULL */
    const js *value;
} schema_place;

/* Which members or items of a value some schema has evaluated: one byte each. NULL where nobody will ask. */
typedef unsigned char schema_marks;

typedef struct schema_checker {
    const schema *s;
    schema_problem *problem;
    error *err;
    status fatal;       /* E_NOMEM or E_RANGE: the answer is worth nothing */
    size_t steps, limit;
    unsigned depth, quiet; /* quiet: within a branch that may fail */
    bool found;         /* the problem is written */
    const js *granted;  /* an enum that the value is known to come from */
    lang_set *langs;    /* opened for the first pattern */
    lang *patterns, *formats;
} schema_checker;

void schema_check_end(schema_checker *c); /* frees what it holds */

bool schema_valid(schema_checker *c, schema_id id, const schema_place *at, schema_marks *marks);
/* The same for a value that nobody else evaluates in this way: a member, an item. */
bool schema_valid_child(schema_checker *c, schema_id id, const schema_place *at);
/* By the node's own keywords, without those that apply other schemas to the same value. */
bool schema_valid_alone(schema_checker *c, schema_id id, const schema_place *at);
/* For a branch that may fail: no problem is written, and marks are set only when it does not. */
bool schema_valid_branch(schema_checker *c, schema_id id, const schema_place *at, schema_marks *marks);
/* false: not valid, for this reason; false without one after c->fatal. */
bool schema_fails(schema_checker *c, const schema_node *n, const schema_place *at, const char *keyword,
                  const char *what);
bool schema_matches(schema_checker *c, uint32_t pattern, const char *text, size_t n);
bool schema_stop(schema_checker *c, status s, const char *why);
schema_marks *schema_marks_for(schema_checker *c, const js *value);

bool schema_valid_array(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks);
bool schema_valid_object(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks);
bool schema_valid_rest(schema_checker *c, const schema_node *n, const schema_place *at, schema_marks *marks);

#endif
