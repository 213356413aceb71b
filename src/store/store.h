/* store.h: the models on this disk. MODEL on the command line: a path, or the name of a file in the models directory.
 * Any thread. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The path of MODEL's (first) file; free with mem_free. A word with a slash, or one that names an existing file, is a
 * path. Anything else is looked for in the models directory: exactly, without regard to case, with or without ".gguf"
 * or the "-00001-of-0000N" of a split model, and at last as a beginning that only one model has.
 * E_NOTFOUND names the near ones, or says where models belong; E_IO. */
status store_find(char **path, const char *model, error *err) MUST_CHECK;

typedef struct store_model {
    char *name;     /* without ".gguf" and part number */
    char *path;     /* of the (first) file */
    uint64_t bytes; /* of all parts */
    int64_t modified_s; /* UTC seconds */
} store_model;

/* All models of the models directory, by name; free with store_free. A missing directory is an empty list. */
status store_list(store_model **out, size_t *n, error *err) MUST_CHECK;
void store_free(store_model *list, size_t n);
/* Removes a model of the list: all its files; of a link, the link. What was removed before an error stays removed. */
status store_delete(const store_model *m, error *err) MUST_CHECK;

/* The file of part i (from 0) of the model whose first file is at path. E_RANGE: it has not so many. */
status store_part(const char *path, unsigned i, char *out, size_t room, error *err) MUST_CHECK;

/* SHA-256 (hex) of the open files of a model: of one file itself; of several, of their hex digests in order. Digests
 * are remembered in the cache directory by (device, inode, size, mtime), so a big file is read once. */
status store_digest(const int *fds, size_t n, char out[65], error *err) MUST_CHECK;
/* The same for the model whose (first) file is at path. */
status store_digest_file(const char *path, char out[65], error *err) MUST_CHECK;

#endif
