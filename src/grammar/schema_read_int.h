/* schema_read_int.h: what reading a schema needs and nothing else does. Owner thread. */
#ifndef GRAMMAR_SCHEMA_READ_INT_H
#define GRAMMAR_SCHEMA_READ_INT_H

#include "grammar/lang.h"
#include "grammar/schema_int.h"

/* Where subschemas stand in a keyword's value. */
typedef enum schema_children {
    CHILDREN_NONE,
    CHILDREN_ONE,  /* the value */
    CHILDREN_LIST, /* the members of an array */
    CHILDREN_MAP,  /* the members of an object */
    CHILDREN_ONE_OR_LIST,
} schema_children;

typedef struct schema_resource { /* a schema with an $id, and the document itself (the first) */
    const js *at;
    const char *path, *uri;
} schema_resource;

typedef struct schema_anchor {
    const js *at;
    const char *path, *name;
    size_t resource;
} schema_anchor;

enum { SCHEMA_RESOURCES_MAX = 1000 };

typedef struct schema_source { /* of a node: what it is read from */
    const js *at;
    size_t resource; /* whose URI is its base */
} schema_source;

typedef struct schema_reader {
    schema *s;
    schema_notes *notes;
    bool relaxed;
    error *err;
    buf path;
    lang_set *langs; /* patterns are tried in it */
    schema_source *sources; /* one for each of s->nodes; nodes are read in this order, so nothing recurses */
    size_t sources_size;
    schema_id *known; /* open addressing from source.at to the node */
    size_t known_size;
    size_t n_resources, n_anchors;
    schema_resource resources[SCHEMA_RESOURCES_MAX];
    schema_anchor anchors[SCHEMA_RESOURCES_MAX];
    /* of the node that is being read */
    const js *object;
    const char *at, *key;
    size_t resource;
} schema_reader;

/* The row of a keyword, or CHILDREN_NONE. */
schema_children schema_keyword_children(const char *key);

/* E_FORMAT or E_UNSUPPORTED at the keyword that is being read. */
status schema_bad(schema_reader *r, const char *what);
status schema_refuse(schema_reader *r, const char *why); /* OK and a note when relaxed */
status schema_no_memory(error *err);
/* Adds "path: why" to the notes (NULL: nowhere). */
status schema_note(schema_notes *notes, const char *path, const char *why, error *err);

/* The node for the schema v at `path`, which is queued to be read when it is new. */
status schema_node_for(schema_reader *r, const js *v, const char *path, size_t resource, schema_id *out);

/* The child at /key, /key/name or /key/index of the node that is being read; lists are not empty. */
status schema_child(schema_reader *r, const js *v, const char *name, schema_id *out);
status schema_child_list(schema_reader *r, const js *v, schema_list *out);
/* Reads all keywords of a node (schema_keywords.c). */
status schema_read_keywords(schema_reader *r, schema_id id);
void *schema_take(schema_reader *r, size_t n, size_t size); /* from the schema's arena */
bool schema_grow(void **list, size_t *room, size_t n, size_t size);

/* Finds every $id and anchor of the document (schema_refs.c). */
status schema_index(schema_reader *r);
/* The resource whose base a schema's children have. */
size_t schema_resource_of(const schema_reader *r, const js *v, size_t resource);
/* Follows the reference of the schema that is being read. */
status schema_follow(schema_reader *r, span reference, schema_id *out);

#endif
