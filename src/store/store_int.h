/* store_int.h: lists while they grow, and the folders that are looked into. */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include "base/buf.h"
#include "store/store.h"

/* Ceilings: what lies in other programs' folders is a stranger. */
enum {
    STORE_PATH_MAX = 4096,
    STORE_MODELS_MAX = 10000,   /* in a list */
    STORE_ENTRIES_MAX = 100000, /* looked at in one place */
    STORE_FOLDERS_MAX = 4096,   /* opened in one place */
    STORE_DEPTH_MAX = 5,        /* of folders below a repository */
    STORE_TEXT_MAX = 1 << 20,   /* of a note, a manifest, settings */
};

/* Who hears of what is read; all may be NULL. */
typedef struct store_ear {
    store_say_fn *say;
    void *say_user;
    store_seen_fn *seen;
    void *seen_user;
} store_ear;

typedef struct store_scan {
    const store_ear *ear;
    store_model *list;
    size_t n;
    store_place place;
    const char *root;
    size_t first;              /* where this place's models begin */
    unsigned entries, folders; /* so far, in this place */
    error *err;
} store_scan;

/* ---- list.c ---- */

/* Length of the name without ".gguf" and part number; *part is 0 for a single file. */
size_t store_stem(const char *file, unsigned long *part);
/* Whether a file of this name may be a model's (first) file: ends in .gguf, is no projector, no later part, and can be
 * written in a sentence. */
bool store_is_model(const char *file);
/* Adds the file at path, unless it is no regular file. Takes neither text. why: it cannot be run (NULL: it can). */
status store_add(store_scan *s, const char *name, const char *path, const char *why);
/* Whether this place has one of that name already: of two folders the first counts. */
bool store_has(const store_scan *s, const char *name);
/* Sorts what was added since `first` by name. */
void store_sort(store_scan *s, size_t first);
/* The models directory. A missing one is empty. E_IO. */
status store_scan_models(store_scan *s);
bool store_same_file(const char *a, const char *b);

/* ---- places.c ---- */

/* All places but the models directory. Only E_NOMEM and an error of `seen` are errors. */
status store_scan_places(store_scan *s);
/* The place whose prefix ("hf:") model begins with; STORE_PATH: none. */
store_place store_prefix(const char *model);

/* ---- walk.c ---- */

/* One entry of a folder; user is the caller's. Errors end the walk. */
typedef status store_entry_fn(store_scan *s, const char *dir, const char *name, void *user);
/* Every entry of dir but those that begin with a dot, in no order. A folder that is not there has none, one that cannot
 * be read is said and has none. */
status store_walk(store_scan *s, const char *dir, store_entry_fn *fn, void *user);
/* The same for all files (what is no folder) below dir, STORE_DEPTH_MAX deep: fn's name is the path from dir on. A
 * folder that leads back to one it lies in is passed over. */
status store_walk_tree(store_scan *s, const char *dir, store_entry_fn *fn, void *user);
/* A small text file of strangers. False: not there, larger than the buffer may be, no file, not to be read. */
bool store_read_small(const char *path, buf *out);
/* "A/B" into out[STORE_PATH_MAX]; false: too long. */
bool store_join(char *out, const char *a, const char *b);
status store_see(store_scan *s, const char *path);
void store_say(store_scan *s, const char *format, ...) PRINTF_LIKE(2, 3);

/* ---- the places, a file each: adds what lies under root ---- */
status store_scan_hf(store_scan *s);
status store_scan_ollama(store_scan *s);
status store_scan_lmstudio(store_scan *s);

/* ---- note.c ---- */

/* ---- digest.c ---- */
/* Of one open file, read from the disk. progress may be NULL; *done grows as it goes. */
status store_digest_fd(int fd, const char *name, const store_check *c, uint64_t *done, uint64_t total, char out[65],
                       error *err) MUST_CHECK;

#endif
