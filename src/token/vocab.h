/* vocab.h: a model's vocabulary: text to tokens and back. A vocab owns copies of everything it needs: the gguf it came
 * from may be closed.
 *
 * Kinds: byte-level BPE (with a pre-tokeniser, see pretok.h), SentencePiece BPE, Unigram, WordPiece.
 * Tokens are int32_t ids, 0 <= id < vocab_n_tokens(); -1 stands for "none".
 *
 * Threads: after vocab_open everything takes a const vocab and may be called from any thread at the same time.
 * Text is any bytes: invalid UTF-8 is read as U+FFFD, one per ill-formed byte; it is never an error. */
#ifndef TOKEN_VOCAB_H
#define TOKEN_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct gguf;
typedef struct vocab vocab;

enum {
    VOCAB_MAX_TOKENS = 1 << 22,
    VOCAB_MAX_TOKEN_BYTES = 1 << 16, /* of one token's text */
    VOCAB_MAX_TEXT = 1 << 25,        /* bytes of text in one vocab_encode */
};

/* Reads the keys tokenizer.* of file. Close with vocab_close.
 * E_NOTFOUND: the file has no tokenizer; E_UNSUPPORTED: a kind or a pre-tokeniser hearth does not know (named);
 * E_FORMAT: keys that contradict each other; E_NOMEM. */
status vocab_open(vocab **out, const struct gguf *file, error *err) MUST_CHECK;
void vocab_close(vocab **v);

/* ---- a list of tokens: grows up to max, then E_RANGE. Owner thread. Zero-initialise with TOKEN_LIST_INIT(max) ---- */
typedef struct token_list {
    int32_t *ids;
    size_t n, size;
    size_t max; /* ceiling of n */
} token_list;
#define TOKEN_LIST_INIT(max_tokens) { NULL, 0, 0, (max_tokens) }
status token_list_add(token_list *t, int32_t id, error *err) MUST_CHECK;
void token_list_clear(token_list *t); /* frees; the list can be used again */

/* ---- text to tokens ---------------------------------------------------------------------------------------------- */

enum vocab_flags {
    VOCAB_SPECIAL = 1, /* the texts of control tokens ("<|im_end|>") become these tokens; otherwise they are text */
    VOCAB_BOS = 2,     /* add the begin, end and separator tokens that the model wants around a text */
};

/* Appends the tokens of text[0..n) to out; on failure out is as it was. E_RANGE: the list's ceiling or VOCAB_MAX_TEXT
 * is reached. User-defined tokens are always recognised, as everywhere. */
status vocab_encode(const vocab *v, const char *text, size_t n, unsigned flags, token_list *out, error *err) MUST_CHECK;

/* The same for a text in parts, read as one text (merges go across the seams), where control tokens are recognised
 * only in places that lie wholly in parts with `special`. This is how a chat template keeps what users write from
 * becoming control tokens. Only VOCAB_BOS of flags is looked at. */
typedef struct vocab_part {
    const char *text;
    size_t n;
    bool special;
} vocab_part;
status vocab_encode_parts(const vocab *v, const vocab_part *parts, size_t n_parts, unsigned flags, token_list *out,
                          error *err) MUST_CHECK;

/* ---- tokens to text ---------------------------------------------------------------------------------------------- */

/* The bytes of a token as they appear in text (a control token: its own text). Possibly part of a character. An id
 * that does not exist: an empty span. Borrowed from v. */
span vocab_piece(const vocab *v, int32_t id);

/* Streaming: what comes out is always whole, valid UTF-8. Bytes that wait for the rest of their character are held
 * back; bytes that no character can begin or continue with come out as U+FFFD.
 * It is plain data: copy it to take a snapshot. Allocates nothing but what out needs. */
typedef struct vocab_decoder {
    const vocab *v;
    bool special;    /* write control tokens' texts too; otherwise they are silent */
    bool drop_space; /* the next piece loses one leading space (the one SentencePiece adds before a text) */
    unsigned char held[4];
    unsigned n_held;
} vocab_decoder;
/* at_start: the first token begins a text, so the space that vocab_encode put before it is taken off again; false for
 * tokens that continue a prompt. */
void vocab_decoder_init(vocab_decoder *d, const vocab *v, bool at_start, bool special);
/* Appends the text that is complete now. Ids that do not exist write nothing. Ask buf_ok(out) when done. */
void vocab_decode(vocab_decoder *d, int32_t id, buf *out);
/* The end: an unfinished character comes out as U+FFFD. */
void vocab_decode_end(vocab_decoder *d, buf *out);

/* ---- questions --------------------------------------------------------------------------------------------------- */

typedef enum vocab_kind { VOCAB_BPE, VOCAB_SPM, VOCAB_UNIGRAM, VOCAB_WORDPIECE } vocab_kind;
/* The numbers in the file. */
typedef enum vocab_type {
    VOCAB_UNDEFINED = 0,
    VOCAB_NORMAL = 1,
    VOCAB_UNKNOWN = 2,
    VOCAB_CONTROL = 3,
    VOCAB_USER_DEFINED = 4,
    VOCAB_UNUSED = 5,
    VOCAB_BYTE = 6,
} vocab_type;

vocab_kind vocab_kind_of(const vocab *v);
/* What files call a kind (tokenizer.ggml.model): "gpt2". */
const char *vocab_kind_key(vocab_kind kind);
const char *vocab_kind_name(const vocab *v); /* "byte-level BPE", ... */
span vocab_pretok_name(const vocab *v); /* "smollm"; empty where there is none */
int32_t vocab_n_tokens(const vocab *v);
size_t vocab_bytes(const vocab *v); /* memory it holds */
/* The same before it is opened, from the header: never less, and more only by what tokens' texts have in common. What
 * opening takes for a moment is counted. A file without tokenizer: next to nothing. */
uint64_t vocab_plan(const struct gguf *file);
size_t vocab_max_piece(const vocab *v); /* bytes of the longest piece */

vocab_type vocab_type_of(const vocab *v, int32_t id); /* VOCAB_UNDEFINED for ids that do not exist */
float vocab_score(const vocab *v, int32_t id);
/* The token's text as the file has it ("Ġthe", "▁the", "<0x0A>"). Borrowed. */
span vocab_text(const vocab *v, int32_t id);
/* The token with exactly this text (as in the file), or -1. */
int32_t vocab_find(const vocab *v, const char *text, size_t n);

int32_t vocab_bos(const vocab *v); /* -1: none, as in the next four */
int32_t vocab_eos(const vocab *v);
int32_t vocab_eot(const vocab *v); /* end of turn, by key or by its usual text */
int32_t vocab_unk(const vocab *v);
int32_t vocab_pad(const vocab *v);
bool vocab_is_eog(const vocab *v, int32_t id); /* generation ends here: eos, eot and their kin */
bool vocab_is_control(const vocab *v, int32_t id);
bool vocab_adds_bos(const vocab *v);
bool vocab_adds_eos(const vocab *v);
bool vocab_adds_end(const vocab *v); /* a token follows every text, end or separator */
bool vocab_adds_space(const vocab *v); /* a space is put before a text (SentencePiece's dummy prefix) */

#endif
