/* tool_format.h: how the families of models write tool calls and reasoning. Data, and what reads and writes it.
 *
 * A row says how a call stands in the text. Its texts are patterns: white space is written as it stands and read as any
 * white space or none (but a blank between two words is one with them); '~' is any white space that is not written;
 * holes in braces are
 *   {call}        the JSON object {"name": …, ARGUMENTS_KEY: {…}}
 *   {name}        the tool's name (letters, digits, _ - . /)
 *   {id}          an identifier; {index} the call's number in the answer, from 0
 *   {arguments}   the JSON object of the arguments
 *   {parameters}  the arguments one by one, each as `parameter` says, with {key} and {value}
 *   {map}         an object as Gemma writes it: {key:value,…}, strings between `quote` texts, no other escapes
 *
 * The table serves three readers: output.h (text to calls), the writer below (calls to text: histories for templates
 * that have no words for them), and whoever constrains what a model may say.
 *
 * Everything is const: any thread. */
#ifndef CHAT_TOOL_FORMAT_H
#define CHAT_TOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/status.h"

enum {
    TOOL_MARKS = 3,
    TOOL_NAME_MAX = 128,  /* bytes of a tool's name */
    TOOL_ID_MAX = 64,     /* bytes of a call's id, its terminating zero included */
    PATTERN_ITEMS = 16,
};

/* What a call's id looks like. Ids are ours; a model's own is not read back. */
typedef enum tool_id_rule {
    TOOL_ID_CALL,      /* "call_" and 24 letters and digits */
    TOOL_ID_NINE,      /* 9 letters and digits: Mistral's templates refuse others */
    TOOL_ID_FUNCTIONS, /* "functions.NAME:INDEX" */
} tool_id_rule;

typedef struct tool_format {
    const char *name;
    const char *marks[TOOL_MARKS]; /* all of them stand in the template's source */
    const char *without;           /* this does not; NULL: whatever */
    const char *open, *next, *close; /* around and between calls; NULL: nothing */
    const char *call;
    const char *parameter;         /* for {parameters} */
    const char *quote;             /* for {map} */
    const char *arguments_key;     /* for {call} */
    bool bare;                     /* a call may begin without `open`, as the very first of an answer */
    tool_id_rule id;
    /* Formats in which everything is addressed to somebody: START header HEADER_END body, until END or another START.
     * NULL for all others. */
    const char *start, *header_end, *end, *call_end;
    const char *header;            /* a header may begin with this, without START; NULL: a header is just a name */
} tool_format;

typedef struct reasoning_format {
    const char *name;
    const char *mark; /* stands in the template's source */
    const char *open, *close;
} reasoning_format;

extern const tool_format tool_format_table[];
extern const size_t tool_format_rows; /* the last row is the generic one: our own words, for any template */
extern const reasoning_format reasoning_format_table[];
extern const size_t reasoning_format_rows;

typedef struct output_format {
    const tool_format *tools;          /* never NULL */
    const reasoning_format *reasoning; /* NULL: the model does not think aloud, or within `tools` */
} output_format;

/* Do these bytes stand in one of the format's own texts? Control tokens whose text does not are silent. */
bool output_format_has(const output_format *f, const char *text, size_t n);

/* By the template's source; NULL: generic. */
output_format output_format_of(const char *template_text);
const tool_format *tool_format_named(const char *name); /* NULL: there is none */

/* ---- patterns ---- */
typedef enum pattern_kind {
    PATTERN_TEXT, PATTERN_SPACE, PATTERN_CALL, PATTERN_NAME, PATTERN_ID, PATTERN_INDEX, PATTERN_ARGUMENTS,
    PATTERN_PARAMETERS, PATTERN_MAP, PATTERN_KEY, PATTERN_VALUE,
} pattern_kind;
typedef struct pattern_item {
    pattern_kind kind;
    const char *text; /* TEXT, SPACE: n bytes as they are written (SPACE: n may be 0) */
    size_t n;
} pattern_item;
typedef struct pattern {
    pattern_item items[PATTERN_ITEMS];
    size_t n;
} pattern;
/* A NULL text is the empty pattern. Asserts that the table's patterns are well formed. */
void pattern_read(pattern *p, const char *text);

/* ---- writing ---- */

/* Writes the id of the index-th call of an answer; seed makes ids of different answers different. */
void tool_id_write(char out[TOOL_ID_MAX], tool_id_rule rule, const char *name, uint32_t index, uint64_t seed);

/* Appends calls (an array of {id?, function: {name, arguments: object}}) in this format. Malformed ones are skipped. */
void tool_format_write(const tool_format *f, const js *calls, buf *out);

#endif
