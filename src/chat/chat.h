/* chat.h: from a conversation to the tokens a model was trained on, by the model's own chat template.
 *
 * A template is a program in jinja2's language; template.h runs it as the models' makers do, and its output is theirs,
 * byte for byte. What users write never becomes a control token: every byte of the output knows whether it is the
 * template's or the conversation's, and only the template's may be special (vocab_encode_parts). Names of roles and
 * kinds of parts out of a closed list ("user", "tool", "text") count as the template's: some templates write
 * '<|' + role + '|>'.
 *
 * Between the OpenAI form and what a template reads lie habits, which chat_open finds out by rendering small
 * conversations:
 *   - content in parts, where the template takes only strings (for messages of that role): texts joined by a line end;
 *     another kind of part is E_UNSUPPORTED. Where it takes only parts, a string becomes one text part.
 *   - tool_calls[].function.arguments is a JSON string in the OpenAI form. It stays one where the template writes it as
 *     it is; where it comes out right only as an object (`arguments | tojson`, `.items()`), it is parsed; text that is
 *     no JSON object stays text, and what the template then says is the error. An object where a string is wanted
 *     is written as json.dumps writes it.
 *   - an assistant's content that is null or missing becomes "" where the template would write None or fail.
 * Begin-of-text and other special tokens come from the template alone: do not add VOCAB_BOS.
 *
 * A chat owns its compiled template and borrows the vocab. Threads: after chat_open everything is const and may be
 * called from any thread; rendering needs about 1 MiB of stack. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/status.h"
#include "token/vocab.h"

typedef struct chat chat;

enum { CHAT_MESSAGES_MAX = 1 << 16 };

/* Everything is borrowed. */
typedef struct chat_request {
    const js *messages;         /* array of objects: role, content (string, null or parts), tool_calls, tool_call_id,
                                   name, reasoning_content; what else a template knows may be there */
    const js *tools;            /* array of {type: "function", function: {...}}, or NULL */
    const js *documents;        /* array, or NULL */
    const js *kwargs;           /* object of further variables (enable_thinking, ...), or NULL */
    bool add_generation_prompt; /* what makes the assistant speak next comes last */
    int64_t now;                /* seconds since 1970 on the wall's clock, for strftime_now: chat_now() */
} chat_request;

/* template_text: the key tokenizer.chat_template, or NULL. v must outlive the chat.
 * E_UNSUPPORTED: there is none ("is a base model: no chat template"), or it does what hearth cannot (named);
 * E_FORMAT: it is no template; E_RANGE: too long or too deep. */
status chat_open(chat **out, const char *template_text, const vocab *v, error *err) MUST_CHECK;
void chat_close(chat **c);

/* Appends the tokens of the conversation. On failure out is as it was.
 * E_FORMAT: a message is none, the template refuses the conversation (in its own words) or fails on it, or it would
 * drop a message (but an assistant's) without a word; E_UNSUPPORTED: tools for a template that has no place for them;
 * E_RANGE: it takes too long or too much memory, or the list's ceiling. */
status chat_render(const chat *c, const chat_request *q, token_list *out, error *err) MUST_CHECK;

/* The same as text, for people to look at: it cannot tell the template's special tokens from users' look-alikes. */
status chat_render_text(const chat *c, const chat_request *q, buf *out, error *err) MUST_CHECK;

/* Does the template mention this variable ("tools", "enable_thinking")? */
bool chat_reads(const chat *c, const char *variable);

/* Appends {role, content} to an array of messages; false without memory. */
bool chat_add(js *messages, const char *role, const char *content);
int64_t chat_now(void);

#endif
