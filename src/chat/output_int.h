/* output_int.h: the parser's state, shared by its parts (private to chat/).
 *
 *   REASONING -> TEXT <-> PATTERN (open, call, next, close) <-> BETWEEN
 *   HEADER -> TEXT | REASONING | CALL body, for formats in which everything is addressed
 *
 * `in` holds what was fed and is not decided; everything before `pos` is done but for what `start` still holds. A step
 * decides something (and moves pos or mode), or waits for more. Nothing depends on where a piece ended but the wait. */
#ifndef CHAT_OUTPUT_INT_H
#define CHAT_OUTPUT_INT_H

#include "base/buf.h"
#include "base/str.h"
#include "chat/json_scan.h"
#include "chat/output.h"

enum { MARKERS_MAX = 6, SPACE_MAX = 64, HEADER_MAX = 512, KEY_MAX = 256, SCALAR_MAX = 256 };

typedef enum output_mode {
    MODE_TEXT,
    MODE_REASONING,
    MODE_PATTERN, /* within open, call, next or close */
    MODE_BETWEEN, /* after a call: next, close, another call, or text */
    MODE_HEADER,  /* to whom: harmony, functionary */
    MODE_BODY,    /* arguments of an addressed call */
} output_mode;

typedef enum step {
    STEP_ON,
    STEP_WAIT, /* more text decides */
} step;

typedef enum marker_kind { MARK_OPEN, MARK_NEXT, MARK_CALL, MARK_CLOSE, MARK_THINK, MARK_START, MARK_END, MARK_OVER }
    marker_kind;
typedef struct marker {
    marker_kind kind;
    const char *text;
    size_t n;
} marker;

typedef enum object_state { O_OPEN, O_FIRST, O_KEY, O_IN_KEY, O_COLON, O_VALUE, O_IN_NAME, O_IN_VALUE, O_AFTER }
    object_state;
typedef enum value_kind { V_NAME, V_ARGUMENTS, V_OTHER } value_kind;
typedef enum map_state { M_OPEN, M_FIRST, M_KEY, M_VALUE, M_STRING, M_SCALAR, M_AFTER } map_state;

struct output {
    output_format format;
    const js *tools;
    output_fn *fn;
    void *user;
    uint64_t id_seed;
    pattern open, call, next, close, parameter;
    marker text_markers[MARKERS_MAX], between_markers[MARKERS_MAX];
    size_t n_text_markers, n_between_markers;

    output_mode mode;
    buf in;
    size_t pos, start, retry; /* start: where held text begins; retry: where to look again if it is no call */
    bool final;               /* nothing comes any more */
    bool fresh;               /* no content yet: reasoning and bare calls may begin */
    bool skip_space;          /* white space here belongs to nobody */
    bool over, no_memory;

    /* pending events of one kind */
    buf out;
    output_kind out_kind;

    /* PATTERN */
    const pattern *walk;
    size_t item, at; /* in the walk; bytes of the item that matched */
    size_t space;

    /* the call under way */
    bool begun;      /* CALL was said */
    bool whole;      /* its arguments are complete */
    bool all_complete;
    uint32_t calls;
    char name[TOOL_NAME_MAX + 1];
    size_t name_n;
    const js *function; /* the tool's declaration */
    json_scan scan;

    /* {call} */
    object_state object;
    value_kind value;
    char key[32];
    size_t key_n;
    bool encoded;    /* arguments as a JSON string */
    buf early;       /* arguments before the name, or encoded */
    bool has_early;

    /* {parameters}, {map} */
    size_t searched; /* bytes of a value already looked through */
    bool any;        /* a member was written */
    bool in_value;
    map_state map;
    uint8_t depth;
    uint64_t objects;
};

/* ---- output.c ---- */
/* Gives text out; adjacent pieces of a kind are one event where possible. */
void output_give(output *o, output_kind kind, const char *text, size_t n);
void output_flush(output *o, bool all);
/* How in[at..) relates to the text: 1 begins with it, 0 could still, -1 does not. At the end of all text never 0. */
int output_at(const output *o, size_t at, const char *text, size_t n);
/* in[at] is there. */
bool output_has(const output *o, size_t at);
/* CALL: the name is known. False: it cannot begin (too many). */
bool output_begin_call(output *o);
void output_end_call(output *o, bool complete);
/* The pattern under way does not match: held text is content, or the call that began ends here. */
step output_mismatch(output *o);
/* The pattern's item is done. */
step output_next_item(output *o);
const js *output_find_tool(const output *o, const char *name, size_t n);
bool output_is_space(char c);
/* An addressed call's arguments are complete: what comes next ends it. */
step output_after_body(output *o);

/* ---- output_call.c ---- */
step output_step_pattern(output *o);
step output_step_body(output *o);
/* All of an object, one byte after the other, through the scan; for both kinds of arguments. */
step output_step_arguments(output *o);
void output_reset_call(output *o);

/* ---- output_object.c: {call} ---- */
step output_step_object(output *o);

/* ---- output_value.c: {parameters} and {map} ---- */
step output_step_parameters(output *o);
step output_step_map(output *o);

#endif
