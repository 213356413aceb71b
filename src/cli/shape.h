/* shape.h: --schema, --json and --grammar: what an answer of this process's own engine must look like. */
#ifndef CLI_SHAPE_H
#define CLI_SHAPE_H

#include "engine/generate.h"
#include "grammar/grammar.h"

typedef struct shape_options {
    const char *schema_file, *grammar_file; /* NULL: not given; "-": standard input */
    bool json;
} shape_options;

/* Zero-initialise; empty when nothing was asked for. */
typedef struct shape {
    grammar *language;
    grammar_vocab *vocab;
    grammar_state *state; /* for sampling_options.grammar; reset it before each answer */
} shape;

/* At most one of the options is given. The file's or the schema's error, with its path. */
status shape_open(shape *out, const shape_options *o, const engine *e, error *err) MUST_CHECK;
void shape_close(shape *s);

#endif
