/* schema_int.h: a schema as its two back ends see it. Everything belongs to the schema's arena and tree. */
#ifndef GRAMMAR_SCHEMA_INT_H
#define GRAMMAR_SCHEMA_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "grammar/decimal.h"
#include "grammar/schema.h"

/* The seven disjoint kinds of values: a number is an integer (1, 1.0, 1e2) or a fraction. */
enum {
    KIND_NULL = 1,
    KIND_BOOL = 2,
    KIND_INTEGER = 4,
    KIND_FRACTION = 8,
    KIND_STRING = 16,
    KIND_ARRAY = 32,
    KIND_OBJECT = 64,
    KIND_NUMBER = KIND_INTEGER | KIND_FRACTION,
    KIND_ALL = 127,
};

typedef uint32_t schema_id; /* index into schema.nodes */
#define SCHEMA_NONE UINT32_MAX
#define SCHEMA_NO_MAX SIZE_MAX /* of lengths and counts */

typedef struct schema_list {
    size_t n;
    schema_id *at;
} schema_list;

typedef struct schema_numbers { /* NULL: not there */
    const decimal *minimum, *maximum, *above, *below, *multiple_of;
} schema_numbers;

typedef struct schema_texts {
    size_t min, max;       /* code points */
    uint32_t pattern;      /* index into schema.patterns + 1, 0 is none */
    uint32_t format;       /* index into the table of formats + 1 */
} schema_texts;

typedef struct schema_arrays {
    size_t min, max, min_contains, max_contains;
    schema_list prefix;
    schema_id items, contains, unevaluated;
    bool unique;
} schema_arrays;

typedef struct schema_property {
    const char *name;
    schema_id node;
} schema_property;

typedef struct schema_pattern_property {
    uint32_t pattern; /* index into schema.patterns + 1 */
    schema_id node;
} schema_pattern_property;

typedef struct schema_dependency { /* where `name` is there, `needs` are, and `node` holds (SCHEMA_NONE: any) */
    const char *name;
    size_t n;
    const char **needs;
    schema_id node;
} schema_dependency;

typedef struct schema_objects {
    size_t min, max;
    size_t n_properties, n_patterns, n_required, n_dependencies;
    schema_property *properties; /* in declared order */
    uint32_t *by_name;           /* indices of properties, sorted by name */
    schema_pattern_property *patterns;
    const char **required;
    schema_dependency *dependencies;
    schema_id additional, names, unevaluated;
} schema_objects;

typedef struct schema_node {
    const char *path; /* JSON pointer into the document, "" is the root */
    bool never;       /* the schema `false` */
    uint8_t kinds;    /* of `type` */
    const js *enumeration, *constant;
    schema_numbers *numbers; /* each NULL when the schema has no keyword of it */
    schema_texts *texts;
    schema_arrays *arrays;
    schema_objects *objects;
    schema_id ref, not_, if_, then_, else_;
    schema_list all_of, any_of, one_of;
    uint16_t chain; /* longest chain of schemas applied to the same value from here */
} schema_node;

struct schema {
    js *tree; /* our copy: names, enums and texts borrow from it */
    arena memory;
    size_t n_nodes, nodes_size;
    schema_node *nodes; /* nodes[0] is the root */
    size_t n_patterns, patterns_size;
    span *patterns; /* regular expressions, each once */
    bool unevaluated; /* some schema asks what others have evaluated */
};

const schema_property *schema_property_named(const schema_objects *o, const char *name);

/* ---- values (schema_value.c) ---- */
unsigned schema_kind(const js *v);
/* Equality of JSON Schema: numbers by their exact value, objects without regard to order. Counts the values it compares
 * in *steps. */
bool schema_equal(const js *a, const js *b, size_t *steps);
uint64_t schema_hash(const js *v, size_t *steps); /* the same for equal values */

/* ---- formats (schema_format.c) ---- */
typedef struct schema_format {
    const char *name;
    const char *pattern; /* the language: a regular expression over the whole text */
    const char *narrow;  /* the part of it that is generated; NULL: all */
    /* What is valid beyond the pattern (leap seconds): true when the text, with what this changes in its copy `as`,
     * would have to match the pattern. */
    bool (*also)(const char *text, size_t n, char *as);
} schema_format;
extern const schema_format schema_format_table[];
size_t schema_format_count(void);
/* Index + 1, or 0 when the name is not in the table. */
uint32_t schema_format_find(const char *name, size_t n);
/* A format that is an annotation only. */
bool schema_format_annotates(const char *name, size_t n);

/* ---- URIs (schema_uri.c) ---- */
/* Writes the reference, resolved against base (RFC 3986 5.2, without dot segments' corner cases), without fragment. */
void schema_uri_resolve(span base, span reference, buf *out);
/* The part behind '#', if there is one. */
bool schema_uri_fragment(span reference, span *fragment);

#endif
