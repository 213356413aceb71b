/* conversations.h: classes stick. A table of what was asked in requests of class internal and above: a later request
 * with the same beginning, or with one of the same longer texts, is raised to that class, whatever its own label.
 *
 * What is kept are keyed digests of 16 bytes (HMAC-SHA-256 under a key of this installation, secret.h): nobody without
 * privacy.key can ask the table for a text. Any thread; several processes may share the file.
 *
 * `conversations` in the data folder, mode 0600: a header of 64 bytes, "HEARTHCV", version u32 = 1, record bytes u32,
 * capacity u64, 16 bytes that depend on the key, zeros; then a ring of records of 32 bytes: digest, sequence u64 from
 * 1, class u8, three zeros, FNV-1a u32 of the 28 bytes before it; little endian. A record's place is (sequence - 1)
 * modulo capacity, so that the oldest is written over. A record that was cut off is none, and is written over by the
 * next. It survives a kill at any moment; power that goes may take the last seconds with it. */
#ifndef PRIVACY_CONVERSATIONS_H
#define PRIVACY_CONVERSATIONS_H

#include "base/digest.h"
#include "base/js.h"
#include "base/privacy_class.h"
#include "base/status.h"

enum {
    CONVERSATION_BYTES = 16,
    CONVERSATIONS_MAX = 1 << 19,    /* records: 16 MiB */
    CONVERSATION_TEXT_MIN = 64,     /* a text of fewer bytes is too common to be known again by itself */
    CONVERSATIONS_UNWRITTEN_MAX = 4096,
};

typedef struct conversation_digest {
    uint8_t bytes[CONVERSATION_BYTES];
} conversation_digest;

/* ---- the table ---- */

typedef struct conversations conversations;

/* path NULL: the usual one; capacity 0: CONVERSATIONS_MAX, else a power of two. The file is made with the first record.
 * E_FORMAT: it is none of ours, or was made under another privacy.key; E_IO; secret_key's errors. */
status conversations_open(conversations **out, const char *path, uint32_t capacity, error *err) MUST_CHECK;
void conversations_close(conversations **c);
const uint8_t *conversations_key(const conversations *c);

/* The highest class of those that are there; PRIVACY_PUBLIC: none is. E_IO: something could not be written down since
 * the last success of conversations_add, or the file cannot be read: the class is then unknown. */
status conversations_find(conversations *c, const conversation_digest *list, size_t n, privacy_class *out, error *err)
    MUST_CHECK;
/* In the file when it returns OK. What fails is kept in memory and tried again with the next. */
status conversations_add(conversations *c, const conversation_digest *list, size_t n, privacy_class class, error *err)
    MUST_CHECK;

/* ---- a request's texts as digests ---- */

/* Messages and inputs of any dialect, without system prompts (which all conversations share) and without ids and roles:
 *
 *   c_0 = 0; c_i = HMAC(key, "chain" c_(i-1) text_i)      the conversation up to its i-th text
 *   while all texts together are under CONVERSATION_TEXT_MIN: HMAC(key, "short" c_i scope), of one asker alone
 *   t_i = HMAC(key, "text" text_i)                        a longer text, wherever it is met again
 *
 * `look` holds all of them, `keep` the last c_i and the t_i since the last answer: those before it are of requests that
 * were asked before, or are examples that all requests share. */
typedef struct conversation_texts {
    conversation_digest *look, *keep;
    size_t n_look, n_keep;
} conversation_texts;
status conversation_read(const js *body, const uint8_t key[DIGEST_BYTES], const char *scope, conversation_texts *out,
                         error *err) MUST_CHECK;
void conversation_clear(conversation_texts *t);
/* t of an answer. False: it is too short. */
bool conversation_of_text(const char *text, size_t n, const uint8_t key[DIGEST_BYTES], conversation_digest *out);

#endif
