/* output.h: from what a model says to content, reasoning and tool calls, while it speaks.
 *
 * Text is fed in pieces; how it is cut makes no difference to what comes out, only to how the events are cut. Text that
 * may still become a marker waits (at most OUTPUT_HOLD_MAX bytes, usually a few), everything else comes at once, in
 * whole UTF-8 characters when whole characters were fed.
 *
 * What is what
 *  - Reasoning is what stands between the format's markers at the very beginning of an answer (or, when the prompt ends
 *    in an open marker, from the first byte). White space around it belongs to nobody.
 *  - A call is what the format says, of a tool that was offered. Its events are CALL (with a new id), ARGUMENTS (pieces
 *    of one JSON object: always the beginning of valid JSON) and CALL_END.
 *  - Text that began like a call and is none (another tool's name, broken JSON before the arguments) is content, every
 *    byte of it. Arguments that break off are a CALL_END that is not `complete`; text after the place is content.
 *  - White space around calls, and the format's own separators, belong to nobody. All other text is content.
 *
 * Owner thread. Memory: what waits, one parameter's value, the names of the tools. */
#ifndef CHAT_OUTPUT_H
#define CHAT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/js.h"
#include "base/status.h"
#include "chat/tool_format.h"

enum {
    OUTPUT_HOLD_MAX = 16 << 10,  /* most bytes that wait to be told apart */
    OUTPUT_VALUE_MAX = 1 << 20,  /* one parameter's value in formats without JSON; arguments given as a JSON string */
    OUTPUT_CALLS_MAX = 128,      /* text after so many calls is content */
};

typedef struct output output;

typedef enum output_kind {
    OUTPUT_TEXT,
    OUTPUT_REASONING,
    OUTPUT_CALL,      /* index, id, name */
    OUTPUT_ARGUMENTS, /* index, text */
    OUTPUT_CALL_END,  /* index, complete */
} output_kind;

/* Everything is borrowed during the call; text is not zero-terminated and never empty where it is meant. */
typedef struct output_event {
    output_kind kind;
    const char *text;
    size_t n;
    uint32_t index;
    const char *id, *name;
    bool complete; /* the arguments are one whole JSON object */
} output_event;
typedef void output_fn(void *user, const output_event *e);

typedef struct output_options {
    output_format format;
    const js *tools;    /* OpenAI's form, borrowed until the close; NULL: no calls are looked for */
    const char *prompt; /* the end of the prompt's text (256 bytes will do); NULL: nothing */
    uint64_t id_seed;
    output_fn *fn;
    void *user;
} output_options;

/* E_NOMEM; E_FORMAT: tools is no list of named functions. */
status output_open(output **out, const output_options *options, error *err) MUST_CHECK;
void output_close(output **o);

/* Text that came next. control: it is the text of one control token; such text counts only where the format knows it,
 * and is dropped otherwise. E_NOMEM: the answer cannot go on. */
status output_feed(output *o, const char *text, size_t n, bool control, error *err) MUST_CHECK;
/* No text will come any more: what waits is decided. Feed nothing after it. */
status output_finish(output *o, error *err) MUST_CHECK;

/* The format says that the turn has ended, whatever the model goes on to say. */
bool output_over(const output *o);
/* Calls so far, and whether all of them were complete. */
uint32_t output_calls(const output *o, bool *complete);
/* What the end of a prompt has begun. */
typedef enum output_begun { OUTPUT_NOTHING, OUTPUT_IN_REASONING, OUTPUT_IN_HEADER } output_begun;
output_begun output_begun_by(const output_format *f, const char *prompt);

/* False: with this format and these tools text passes through as it is; an output is not needed. */
bool output_needed(const output_options *options);

#endif
