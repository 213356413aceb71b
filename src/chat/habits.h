/* habits.h: what a template expects of messages, found out by trying, and messages made to fit (private to chat/). */
#ifndef CHAT_HABITS_H
#define CHAT_HABITS_H

#include "chat/template.h"

typedef enum habit_role { HABIT_USER, HABIT_SYSTEM, HABIT_ASSISTANT, HABIT_TOOL, HABIT_ROLES } habit_role;

typedef struct habits {
    bool takes_parts[HABIT_ROLES];
    bool wants_parts;    /* content as a string does not come out */
    bool takes_text;     /* a call's arguments as JSON text come out as they are */
    bool wants_object;   /* they come out only as an object */
    bool takes_null;     /* an assistant's content may be null */
} habits;

/* Only E_NOMEM: what a template says to the little conversations is no error. */
status habits_find(habits *out, const template *t, const template_variable *tokens, size_t n_tokens, error *err)
    MUST_CHECK;

/* Checks that messages are messages, and writes a changed copy to *out (js_free), or NULL when they fit as they are. */
status habits_apply(const habits *h, const js *messages, js **out, error *err) MUST_CHECK;

#endif
