/* tag.h: which parts of a text are what, by an encoder that classifies tokens (BertForTokenClassification). For the
 * owner thread of the engine.
 *
 * A text of any length is read in overlapping windows; each token is judged where it has most text around it. Tokens
 * whose classes are of one kind (B-CITY, I-CITY: "CITY") and that follow each other make a span. One answer, as
 * engine_classify: a span is a function of weights, text and kv_type. */
#ifndef ENGINE_TAG_H
#define ENGINE_TAG_H

#include "engine/engine.h"

typedef struct tag_span {
    size_t begin, end;  /* bytes of the text */
    const char *label;  /* without "B-" and "I-"; lives as long as the engine */
    double probability; /* of its likeliest token: 1 less that of the class "O" */
} tag_span;
typedef void tag_each(void *to, const tag_span *span);

/* Can this engine tag: an encoder with a tokenizer whose classes have names, "O" the first of them? */
bool engine_tags(const engine *e);

/* The same window by window, for whoever has other work too. text is borrowed until engine_tag_end. */
typedef struct engine_tagging engine_tagging;
status engine_tag_begin(engine_tagging **out, engine *e, const char *text, size_t n, double least,
                        error *err) MUST_CHECK;
/* Judges the next window, if there is one; each is called for the spans that are known to have ended. *more: there are
 * further ones. An error ends it. */
status engine_tag_step(engine_tagging *t, tag_each *each, void *to, bool *more, error *err) MUST_CHECK;
/* Tokens of the text. */
size_t engine_tag_count(const engine_tagging *t);
void engine_tag_end(engine_tagging **t);

/* Calls each, in order, for every span of tokens that are something (not "O") with a probability of `least` or more.
 * E_UNSUPPORTED: engine_tags says no; E_NOMEM; E_RANGE: the text is longer than VOCAB_MAX_TEXT. */
status engine_tag(engine *e, const char *text, size_t n, double least, tag_each *each, void *to, error *err) MUST_CHECK;

#endif
