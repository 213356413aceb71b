/* chat.h: from a conversation to the tokens a model was trained on, by the model's own chat template.
 *
 * What users write never becomes a control token: text from the template may contain special tokens, text from
 * messages is only ever text (vocab_encode_parts). A chat owns its compiled template and borrows the vocab.
 *
 * Today the common families are recognised by the structure of the template's source (chat_family names them); every
 * other template is E_UNSUPPORTED, never guessed.
 *
 * Threads: after chat_open everything is const and may be called from any thread. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "token/vocab.h"

typedef struct chat chat;

typedef struct chat_message {
    const char *role;    /* "system", "user", "assistant" */
    const char *content; /* UTF-8, zero-terminated */
} chat_message;

/* template_text: the key tokenizer.chat_template, or NULL. v must outlive the chat.
 * E_UNSUPPORTED: there is none ("is a base model: no chat template"), or it is of no known family. */
status chat_open(chat **out, const char *template_text, const vocab *v, error *err) MUST_CHECK;
void chat_close(chat **c);

/* Appends the tokens of the conversation. add_generation_prompt: what makes the assistant speak next comes last.
 * Begin-of-text and other special tokens come from the template alone: do not add VOCAB_BOS.
 * E_FORMAT: the template refuses these messages (an unknown role, roles that do not alternate), in its own words where
 * it has some; E_RANGE: the list's ceiling. On failure out is as it was. */
status chat_render(const chat *c, const chat_message *messages, int n, bool add_generation_prompt, token_list *out,
                   error *err) MUST_CHECK;

/* The same as text, for people to look at: it cannot tell the template's special tokens from users' look-alikes. */
status chat_render_text(const chat *c, const chat_message *messages, int n, bool add_generation_prompt, buf *out,
                        error *err) MUST_CHECK;

const char *chat_family(const chat *c); /* "chatml", "gemma", ... */

#endif
