/* constrain_int.h: what the parts of constrain.c share. */
#ifndef WORKER_CONSTRAIN_INT_H
#define WORKER_CONSTRAIN_INT_H

#include "grammar/rules.h"
#include "grammar/schema_rules.h"
#include "worker/constrain.h"

typedef struct building {
    rules *r;
    lang_set *set;
    const output_format *format;
    const js *in, *tools;
    schema_notes *notes;
} building;

/* ---- constrain.c ---- */
rule building_text(building *b, const char *text);
/* Texts without any of these in them. */
lang building_without(building *b, const char *const *marks, size_t n);
/* "where: what" into the notes. */
status building_note(building *b, const char *where, const char *what, error *err) MUST_CHECK;
/* The language of a schema's documents; where: what the schema is called in sentences. */
status building_schema(building *b, const js *tree, bool relaxed, const char *where, rule *out, error *err) MUST_CHECK;

/* ---- constrain_call.c ---- */
/* One call of any tool (or of `only`). */
status building_call(building *b, const char *only, rule *out, error *err) MUST_CHECK;

/* ---- constrain_value.c: arguments in formats that do not write JSON ---- */
status building_parameters(building *b, const js *parameters, const char *where, rule *out, error *err) MUST_CHECK;
status building_map(building *b, const js *parameters, const char *where, rule *out, error *err) MUST_CHECK;

#endif
