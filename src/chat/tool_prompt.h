/* tool_prompt.h: conversations with tools, in the words that a model's template knows.
 *
 * Clients send OpenAI's form, histories with their own and other models' mistakes in them, and many templates know no
 * tools at all. Everything here is a copy with changes:
 *  - arguments become the text of one JSON object; what is none becomes {"raw": text}: nothing is refused for what an
 *    earlier answer got wrong.
 *  - ids that the family's template would refuse are replaced, the same id always by the same.
 *  - results of calls get the name of the call they belong to.
 *  - where the template does not write calls, they become text in the family's format, and results become messages of
 *    the user.
 *  - where it does not describe tools, a text of ours does, in the system message (or before the first message of the
 *    user, where the template knows no system message).
 *
 * Pure functions: any thread. */
#ifndef CHAT_TOOL_PROMPT_H
#define CHAT_TOOL_PROMPT_H

#include "base/js.h"
#include "base/status.h"
#include "chat/chat.h"
#include "chat/tool_format.h"

/* What this template can do; found out by asking it (chat_tools). */
typedef struct tool_abilities {
    bool tools;   /* describes them */
    bool calls;   /* writes tool_calls of the assistant */
    bool results; /* writes messages of the role tool */
    bool system;  /* knows the role system */
} tool_abilities;

/* Asks the template, with little conversations. The generic format can nothing: what a template of no known family says
 * of tools is not what we read. */
tool_abilities tool_prompt_ask(const chat *c, const tool_format *f);

/* *out: a new list of messages (js_free). tools: NULL without. must: the model must call (said where we describe the
 * tools). E_FORMAT: messages is no list of objects; E_NOMEM. */
status tool_prompt_messages(js **out, const js *messages, const js *tools, bool must, const tool_format *f,
                            const tool_abilities *can, error *err) MUST_CHECK;

/* Are there tools, calls or results in it? */
bool tool_prompt_is_needed(const js *messages, const js *tools);

#endif
