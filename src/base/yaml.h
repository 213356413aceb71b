/* yaml.h: task and config files. A small tree in which every node knows its line; libyaml's events only.
 *
 * Scalars are text. What a number or a boolean is, the reader of the file decides (yaml_f64, yaml_bool): a label `no`
 * or a version `1.10` stays what was written. Anchors, aliases, tags, duplicate keys, keys that are not scalars,
 * several documents, texts over 1 MiB and depth over 32 are refused, with file:line. Owner thread. */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"

enum { YAML_BYTES_MAX = 1 << 20, YAML_DEPTH_MAX = 32 };

typedef enum yaml_kind { YAML_SCALAR, YAML_SEQ, YAML_MAP } yaml_kind;

typedef struct yaml yaml;
struct yaml {
    yaml_kind kind;
    int line;         /* 1-based */
    bool plain;       /* a scalar without quotes */
    const char *key;  /* in a map: this member's key */
    const char *text; /* a scalar's text, zero-terminated */
    size_t len;
    yaml *child;      /* first member of a seq or map */
    yaml *next;       /* next member of the same parent */
};

typedef struct yaml_file {
    char *path;
    yaml *root; /* NULL for an empty file */
    struct arena *memory;
} yaml_file;

status yaml_load(yaml_file **out, const char *path, error *err) MUST_CHECK;
/* As yaml_load, from memory; `name` stands for the path in errors. */
status yaml_parse(yaml_file **out, const char *text, size_t n, const char *name, error *err) MUST_CHECK;
void yaml_close(yaml_file **f);

const yaml *yaml_get(const yaml *map, const char *key); /* NULL: not there, or not a map */
size_t yaml_count(const yaml *node);

/* Errors read "tasks/a/task.yaml:7: …". */
status yaml_error(const yaml_file *f, const yaml *at, error *err, const char *format, ...) PRINTF_LIKE(4, 5);
/* Names the first unknown key of map, with the nearest known one. */
status yaml_known_keys(const yaml_file *f, const yaml *map, const char *const *names, size_t n, error *err) MUST_CHECK;

/* Typed scalars; NULL or another shape is an error that names the key. Numbers and booleans follow JSON's rules and
 * must be plain (not quoted). */
status yaml_str(const yaml_file *f, const yaml *node, const char **out, error *err) MUST_CHECK;
status yaml_f64(const yaml_file *f, const yaml *node, double *out, error *err) MUST_CHECK;
status yaml_i64(const yaml_file *f, const yaml *node, int64_t *out, error *err) MUST_CHECK;
status yaml_bool(const yaml_file *f, const yaml *node, bool *out, error *err) MUST_CHECK;

/* The node as JSON (a schema inside a task file): plain scalars that are JSON numbers, true, false or null become
 * those, everything else a string. NULL without memory. */
js *yaml_to_js(const yaml *node);

#endif
