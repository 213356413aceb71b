/* shape.h: --schema, --json and --grammar: what an answer of this process's own engine must look like. */
#ifndef CLI_SHAPE_H
#define CLI_SHAPE_H

#include "base/status.h"
#include "grammar/grammar.h"

typedef struct shape_options {
    const char *schema_file, *grammar_file; /* NULL: not given; "-": standard input */
    bool json;
} shape_options;

/* At most one of the options is given; none: *out is NULL. The file's or the schema's error, with its path. */
status shape_open(grammar **out, const shape_options *o, error *err) MUST_CHECK;
void shape_close(grammar **g);

#endif
