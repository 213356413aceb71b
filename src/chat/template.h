/* template.h: chat templates as programs: jinja2's language as far as model files use it, set up as the models' makers
 * run it (Hugging Face transformers): an immutable sandbox, trim_blocks, lstrip_blocks, break and continue, generation
 * blocks, tojson as json.dumps, raise_exception, strftime_now. Private to chat/.
 *
 * What a text's bytes come from is kept through everything (text.h), so that the caller can let only the template's own
 * bytes become control tokens.
 *
 * A template is constant after template_compile: any thread may render it, each rendering with memory of its own.
 * Hostile templates end: steps, memory, depth and output are bounded (run.h); the bounds grow with the request. */
#ifndef CHAT_TEMPLATE_H
#define CHAT_TEMPLATE_H

#include "base/buf.h"
#include "base/js.h"
#include "base/status.h"
#include "token/vocab.h"

typedef struct template template;

enum { TEMPLATE_MAX_BYTES = 1 << 20 };

/* E_FORMAT: jinja2 would not take it either; E_UNSUPPORTED: hearth does not do what it asks for (named); E_RANGE. The
 * source is copied. */
status template_compile(template **out, const char *source, size_t n, error *err) MUST_CHECK;
void template_free(template **t);

/* Does the template mention a variable of this name? */
bool template_reads(const template *t, const char *name);

/* A variable of the rendering. j is borrowed; NULL with text NULL: None. `from`: 0 when it is the template's own (the
 * text of the begin token), else the origin of its texts; MESSAGES: a list whose member i has origin 1 + i. */
typedef struct template_variable {
    const char *name;
    const js *j;
    const char *text; /* instead of j */
    size_t text_bytes;
    uint32_t from;
} template_variable;
#define TEMPLATE_DATA UINT32_MAX
#define TEMPLATE_MESSAGES (UINT32_MAX - 1)

/* Where the output's pieces came from, in order; neighbours of one origin are one. Free with template_output_clear. */
typedef struct template_output {
    char *bytes;
    size_t n;
    vocab_part *parts; /* point into bytes; special: the template's own */
    uint32_t *from;    /* of each part */
    size_t n_parts;
} template_output;

/* E_FORMAT: the template refuses (its own words) or fails (the sentence says where); E_RANGE: a bound was reached;
 * E_UNSUPPORTED, E_NOMEM. */
status template_render(const template *t, const template_variable *variables, size_t n, int64_t now,
                       template_output *out, error *err) MUST_CHECK;
void template_output_clear(template_output *out);

#endif
