/* vocab_int.h: a vocabulary as it goes into a file, whatever it came from. Private to import/.
 *
 *     tokenizer.json, vocab.txt → wordpiece.c
 *     tokenizer.json  → bpe.c (byte level)                               → added.c (added tokens)
 *     tokenizer.json  → spm.c (characters)                                 → roles.c (ids, chat template)
 *     tokenizer.model → sentencepiece.c                                      → vocab.c (keys) */
#ifndef IMPORT_VOCAB_INT_H
#define IMPORT_VOCAB_INT_H

#include "import/import_int.h"

/* Of tokenizer.ggml.token_type; SentencePiece numbers its pieces in the same way. */
enum {
    TOKEN_NORMAL = 1,
    TOKEN_UNKNOWN = 2,
    TOKEN_CONTROL = 3,
    TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5,
    TOKEN_BYTE = 6,
    TOKEN_BYTES_MAX = 4096,
};

typedef enum import_role {
    ROLE_BOS,
    ROLE_EOS,
    ROLE_EOT,
    ROLE_UNK,
    ROLE_SEP,
    ROLE_PAD,
    ROLE_CLS,
    ROLE_MASK,
    N_ROLES
} import_role;

typedef enum import_said { SAID_NOTHING, SAID_NO, SAID_YES } import_said;

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */

typedef struct import_vocab {
    const char *model, *pre; /* tokenizer.ggml.model and .pre; constants */
    span *texts;             /* [n]; p NULL: a row that no token has */
    int32_t *types;          /* [n] */
    float *scores;           /* [n], or NULL */
    uint32_t n;              /* rows of the model */
    span *merges;            /* "left right" */
    size_t n_merges;
    int32_t role[N_ROLES]; /* -1: none */
    import_said add_bos, add_eos, add_space;
    bool normalises, lowercase, strip_accents; /* WordPiece */
    const char *chat_template;                 /* or NULL */
    arena memory;
} import_vocab;

/* n rows, no tokens. */
status import_vocab_open(import_vocab *out, uint32_t n, bool scores, error *err) MUST_CHECK;
void import_vocab_close(import_vocab *v);
/* A new token; E_FORMAT when the row has one, or is beyond the model. */
status import_vocab_set(import_vocab *v, int64_t id, span text, int32_t type, const char *where, error *err) MUST_CHECK;
/* Another text for a row. */
status import_vocab_replace(import_vocab *v, uint32_t id, span text, int32_t type, error *err) MUST_CHECK;
/* -1: none. */
int32_t import_vocab_find(const import_vocab *v, const char *text);
/* Rows without a token get one that no text has. */
status import_vocab_fill(import_vocab *v, error *err) MUST_CHECK;
void import_vocab_write(gguf_writer *w, const import_vocab *v);

/* ---- readers: `out` is not open yet; n is how many rows the model has ---- */

/* BERT's. From tokenizer.json (json) or vocab.txt (lines) with tokenizer_config.json (config). */
status import_wordpiece(import_vocab *out, const js *json, span lines, const js *config, uint32_t n, error *err)
    MUST_CHECK;
/* A decoder's, with its roles and chat template. */
status import_decoder_vocab(import_vocab *out, const import_files *f, uint32_t n, error *err) MUST_CHECK;

/* The steps of import_decoder_vocab. */
status import_bpe(import_vocab *v, const js *json, error *err) MUST_CHECK;           /* byte level */
status import_spm(import_vocab *v, const js *json, error *err) MUST_CHECK;           /* characters, by merges */
status import_sentencepiece(import_vocab *v, span file, error *err) MUST_CHECK;
status import_added_tokens(import_vocab *v, const js *json, const js *config, error *err) MUST_CHECK;
status import_roles(import_vocab *v, const import_files *f, error *err) MUST_CHECK;
/* The name of a pre-tokeniser by what tokenizer.json says. */
status import_pretok(const char **out, const js *json, error *err) MUST_CHECK;

/* ---- of tokenizer.json ---- */

/* Walks normalizer, pre_tokenizer or post_processor: a single step, or those of a Sequence. NULL: no more. */
const js *import_step(const js *part, const char *list, size_t i);
/* "": it has none. */
const char *import_step_type(const js *step);
/* All of model.vocab, as normal tokens. */
status import_json_tokens(import_vocab *v, const js *json, error *err) MUST_CHECK;
/* E_FORMAT: no list, or over the ceiling. */
status import_merge_count(const js *merges, size_t *n, error *err) MUST_CHECK;
/* The i-th merge, "left right" or ["left", "right"]; E_FORMAT: neither, or over the ceiling of a token. */
status import_merge(const js *merges, size_t i, char left[TOKEN_BYTES_MAX + 1], char right[TOKEN_BYTES_MAX + 1],
                    error *err) MUST_CHECK;

#endif
