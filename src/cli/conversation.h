/* conversation.h: the messages of `hearth run`, or the text that a base model continues, over one session. */
#ifndef CLI_CONVERSATION_H
#define CLI_CONVERSATION_H

#include "engine/generate.h"

typedef struct conversation conversation;

/* raw, or a model without a chat template: plain text. system_text (may be NULL) begins a chat; for plain text it is
 * E_UNSUPPORTED. The engine is borrowed. */
status conversation_open(conversation **out, engine *e, bool raw, const char *system_text, error *err) MUST_CHECK;
void conversation_close(conversation **c);

/* Appends what the user says. */
status conversation_say(conversation *c, const char *text, error *err) MUST_CHECK;
/* Undoes the last conversation_say whose answer failed. */
void conversation_take_back(conversation *c);
/* Generates the answer and appends it (a cancelled one as far as it came). */
status conversation_answer(conversation *c, const sampling_options *o, generate_callback *callback, void *user,
                           generate_result *out, error *err) MUST_CHECK;

void conversation_clear(conversation *c, const char *system_text); /* NULL keeps the system message */
bool conversation_drop_oldest(conversation *c); /* the oldest question with its answer */
bool conversation_is_chat(const conversation *c); /* false: a text that is continued */
/* The tokens that the conversation takes of the context; at most all of it. */
status conversation_length(const conversation *c, uint32_t *out, error *err) MUST_CHECK;
uint32_t conversation_context(const conversation *c);

#endif
