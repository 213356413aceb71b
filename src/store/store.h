/* store.h: the models on this disk: names to files, lists, notes, digests. Any thread.
 *
 * MODEL, wherever a user names one, is
 *   a path                 a word with a slash that begins with none of the prefixes below, or that names a file;
 *   NAME                   in the models directory: a file with or without ".gguf" and "-00001-of-0000N";
 *   ollama:llama3.2:1b     in Ollama's store, by the name that `ollama list` shows (":latest" may be left out);
 *   hf:OWNER/REPO/FILE     in the Hugging Face cache; hf:OWNER/REPO or hf:OWNER/REPO:QUANT where one file matches;
 *   lmstudio:PUBLISHER/REPO/FILE
 * A NAME that the models directory does not have is looked for in the other places, as llama3.2:1b or FILE alone. What
 * other programs put on the disk therefore never changes what a name in the models directory means.
 *
 * Names match exactly, then without regard to case, then as a beginning that only one has. Files of other programs are
 * read, never written or removed. HEARTH_PLACES=hf,ollama,lmstudio says which of the other places count (default: all;
 * "none").
 *
 * No model is opened here but by store_verify: whoever reads one does so in a process without a network. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"

/* ---- places ---- */

typedef enum store_place {
    STORE_MODELS,   /* hearth's own models directory */
    STORE_HF,
    STORE_OLLAMA,
    STORE_LMSTUDIO,
    STORE_PATH,     /* wherever a path leads */
} store_place;

const char *store_place_name(store_place p);  /* "models", "hf", "ollama", "lmstudio", "path" */
const char *store_place_title(store_place p); /* "the Hugging Face cache" */

/* Whether MODEL begins with the prefix of a place: "ollama:...". */
bool store_is_place(const char *model);

typedef struct store_model {
    char *name;         /* as MODEL would be given, without ".gguf" and part number */
    char *path;         /* of the (first) file */
    char *unusable;     /* why hearth cannot run it, as far as its place tells; NULL */
    store_place place;
    uint64_t bytes;     /* of all parts */
    int64_t modified_s; /* UTC seconds */
} store_model;

/* What the model is called in answers and evidence: the file's name; of other programs' models, which may have files
 * without a name, `name`. Borrowed from *m. */
const char *store_label(const store_model *m);

/* ---- finding ---- */

/* Free with store_model_clear. E_NOTFOUND names the near ones, or says where models belong; E_UNSUPPORTED: it is there
 * and cannot be run; E_IO. */
status store_look(store_model *out, const char *model, error *err) MUST_CHECK;
void store_model_clear(store_model *m);
/* Its path alone; free with mem_free. */
status store_find(char **path, const char *model, error *err) MUST_CHECK;

/* Names every file and folder that decides what MODEL means now: as long as none of them changes, it means the same.
 * Whether it means anything is not told. fn's first error ends it. */
typedef status store_seen_fn(void *user, const char *path, error *err);
status store_watch(const char *model, store_seen_fn *fn, void *user, error *err) MUST_CHECK;

/* All models of the models directory, by name; free with store_free. A missing directory is an empty list. */
status store_list(store_model **out, size_t *n, error *err) MUST_CHECK;
/* Those of all places, models directory first. What cannot be looked into is skipped, with a sentence to say (may be
 * NULL). */
typedef void store_say_fn(void *user, const char *sentence);
status store_list_places(store_model **out, size_t *n, store_say_fn *say, void *user, error *err) MUST_CHECK;
void store_free(store_model *list, size_t n);

/* The file of part i (from 0) of the model whose first file is at path. E_RANGE: it has not so many. */
status store_part(const char *path, unsigned i, char *out, size_t room, error *err) MUST_CHECK;

/* ---- removing ---- */

/* What store_delete would remove, and what of it is there: free with store_files_free. */
typedef struct store_files {
    char **paths;
    size_t n;
    uint64_t bytes;
} store_files;
/* All parts, the note, and what an interrupted `hearth pull` left of it. E_DENIED: of another place (the sentence says
 * how its owner removes it); E_EXISTS: it is being pulled now. */
status store_files_of(store_files *out, const store_model *m, error *err) MUST_CHECK;
void store_files_free(store_files *f);
/* The model that a NAME or a file's name would be, although no file of it is there: for what a pull left of it. */
status store_absent(store_model *out, const char *name, error *err) MUST_CHECK;
/* Removes them; of a link, the link. What was removed before an error stays removed. */
status store_delete(const store_model *m, error *err) MUST_CHECK;

/* ---- notes ---- */

/* What `hearth pull` wrote beside a model: FILE.gguf.json. Texts are "" and numbers 0 when it does not say; borrowed
 * from tree. */
typedef struct store_note {
    js *tree;
    const char *source, *url, *revision, *licence, *pulled;
} store_note;
/* *out is all empty (tree NULL) when there is none. E_FORMAT, E_UNSUPPORTED (of a newer hearth), E_IO. */
status store_note_read(store_note *out, const store_model *m, error *err) MUST_CHECK;
void store_note_clear(store_note *n);

/* What is known beforehand of a part: bytes 0 and sha256 "" when it is not. */
typedef struct store_expected {
    uint64_t bytes;
    char sha256[65];
    const char *from; /* who says so: "the note", "its name in Ollama's store", ...; "" */
} store_expected;
/* Of part i (from 0); n may be all empty. E_FORMAT: the note is there and does not make sense. */
status store_expect(store_expected *out, const store_model *m, const store_note *n, unsigned i, error *err) MUST_CHECK;

/* ---- digests ---- */

/* SHA-256 (hex) of the open files of a model: of one file itself; of several, of their hex digests in order. Digests
 * are remembered in the cache directory by (device, inode, size, mtime), so a big file is read once. */
status store_digest(const int *fds, size_t n, char out[65], error *err) MUST_CHECK;
/* The same for the model whose (first) file is at path. */
status store_digest_file(const char *path, char out[65], error *err) MUST_CHECK;

/* ---- verifying ---- */

typedef struct store_check {
    bool rows;                                                  /* every row is decoded: no NaN, no infinity */
    bool (*progress)(void *user, uint64_t done, uint64_t total); /* bytes; true: cancel; may be NULL */
    void *user;
} store_check;

typedef struct store_verdict {
    bool whole;      /* nothing is wrong */
    bool proved;     /* every part has the digest that was known beforehand */
    unsigned n_parts;
    uint64_t bytes;  /* that were read for digests */
    char from[64];   /* who knew the digest: store_expected */
    char wrong[1024]; /* what is wrong, and in which file */
} store_verdict;

/* Reads the model: lengths and digests of all parts where they are known, then the header, and that every tensor ends
 * inside the files. What is wrong with the model is the verdict; E_CANCELLED and E_NOMEM are errors. */
status store_verify(store_verdict *out, const store_model *m, const store_check *c, error *err) MUST_CHECK;

#endif
