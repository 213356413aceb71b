/* family.h: the known chat templates (private to chat/). */
#ifndef CHAT_FAMILY_H
#define CHAT_FAMILY_H

#include <stdbool.h>
#include <stddef.h>

#define HOLE "\x01"
enum { FAMILY_TURNS = 4 };

/* Texts may contain {bos} {eos} (the special tokens' texts), {default} (what stood in the hole), and in turns {role},
 * {content}, {system} (the system message in front of the first turn's content, where system_to_user says so). What
 * stands outside braces is the template's; {role}, {content} and {system} are the messages' and only ever text. */
typedef struct chat_family_row {
    const char *name;
    const char *skeleton;
    const char *begin;          /* before the first turn, if there is one; NULL: nothing */
    const char *default_system; /* written first when the conversation does not begin with a system message */
    const char *system_refused; /* the template's words when it begins with one; NULL: like any other role */
    bool system_to_user;        /* the system message becomes a prefix of the first turn */
    const char *alternate;      /* the template's words when turns are not user, assistant, user, ... */
    const char *role_refused;   /* its words for a role without a turn; NULL: such a message is silent */
    bool trim;                  /* white space around contents is cut */
    struct {
        const char *role; /* NULL: any */
        const char *text;
    } turns[FAMILY_TURNS];
    const char *go;   /* with add_generation_prompt */
    const char *stay; /* without */
} chat_family_row;

extern const chat_family_row chat_family_table[];
extern const size_t chat_family_rows;

#endif
