/* schema.h: a compiled JSON Schema (2020-12): one reading, two back ends.
 *
 * A schema is read once. schema_check judges a tree, whatever the order of its members and the form of its numbers;
 * schema_rules writes the language of the documents that a model may generate: members in declared order, compact with
 * at most one space after ':' and ','. Every document of that language is accepted by schema_check. docs/STRUCTURED.md
 * lists the keywords: enforced by both, validated only, refused.
 *
 * Every keyword is enforced, or is an annotation that is known to say nothing about validity (title, default, x-...),
 * or is refused: E_UNSUPPORTED whose sentence names its JSON pointer ("/properties/x/not"). With `relaxed` what is not
 * enforced is listed instead. A schema that says nonsense ({"minimum": "1"}) is E_FORMAT, likewise with the pointer.
 *
 * `format` is enforced for the names in the table of formats. Decimals are compared exactly, by their source text. $ref
 * reaches $defs, pointers, $id and $anchor within the one document, recursion included. What older drafts wrote is
 * read where 2020-12 has no other meaning for it: items as a list, additionalItems, dependencies, definitions, boolean
 * exclusiveMinimum, and OpenAPI's nullable beside a type.
 *
 * A schema is const after schema_open: any thread may check and generate with it at the same time.
 * Ceilings bound hostile schemas and hostile documents; beyond them the answer is E_RANGE. */
#ifndef GRAMMAR_SCHEMA_H
#define GRAMMAR_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/js.h"
#include "base/status.h"

enum {
    SCHEMA_NODES_MAX = 50000,       /* schemas within one */
    SCHEMA_BYTES_MAX = 16 << 20,    /* memory for them, beside the tree itself */
    SCHEMA_CHAIN_MAX = 200,         /* applied to one value: $ref to $ref, allOf in anyOf */
    SCHEMA_STEPS_MAX = 1000000,     /* schemas applied and values compared in one check; a long value has more */
    SCHEMA_PATH_BYTES = 256,        /* of a path in a message; longer ones are cut in the middle */
    SCHEMA_NOTES_MAX = 256,
    SCHEMA_PATTERNS_MAX = 2000,
};

typedef struct schema schema;

/* What was not enforced, in words: "/properties/x/not: ..." one a line, at most SCHEMA_NOTES_MAX. Zero-initialise. */
typedef struct schema_notes {
    size_t n;
    char **line;
} schema_notes;
void schema_notes_clear(schema_notes *notes);

typedef struct schema_options {
    bool relaxed; /* what cannot be enforced is noted, not refused */
} schema_options;

/* Reads a schema from its tree, which it copies. options and notes may be NULL; notes are added to. */
status schema_open(schema **out, const js *tree, const schema_options *options, schema_notes *notes,
                   error *err) MUST_CHECK;
void schema_close(schema **s);

/* Where and why a value is not what the schema demands. The first failure found; within anyOf and oneOf that keyword.
 * No text of the value itself is in it but the names of members in `instance`. */
typedef struct schema_problem {
    char instance[SCHEMA_PATH_BYTES]; /* JSON pointer into the value: "/items/3/price", "" is the value itself */
    char schema[SCHEMA_PATH_BYTES];   /* JSON pointer to the keyword: "/properties/items/items/required" */
    char what[SCHEMA_PATH_BYTES];     /* "is greater than the maximum" */
} schema_problem;

/* OK: value is valid. E_FORMAT: it is not, and problem (may be NULL) says why, as err does in one sentence.
 * E_RANGE: more steps than the ceiling allows; E_NOMEM. */
status schema_check(const schema *s, const js *value, schema_problem *problem, error *err) MUST_CHECK;

#endif
