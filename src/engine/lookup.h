/* lookup.h: what comes next in a text that repeats itself: the continuation of the last place where its end stood
 * before. Private to src/engine; generate.c verifies what is proposed here, so nothing here can change an answer.
 *
 * One lookup belongs to an engine and serves one answer at a time; it allocates only in lookup_open. It knows the text
 * of the answer under way (prompt and drawn tokens), how often its proposals held in this answer, by how long a match
 * they followed, and what a step of several rows costs on this machine. From these it decides whether to propose.
 *
 * Proposals are judged whether they were tried or not: a token that is drawn by a step of its own tells just as well
 * whether the proposal would have held. So it costs nothing to find out that a text repeats itself. */
#ifndef ENGINE_LOOKUP_H
#define ENGINE_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { LOOKUP_ROWS = 16 }; /* most rows of a step that verifies: the token before and 15 proposed ones */

typedef struct lookup lookup;

/* Bytes that lookup_open allocates. */
uint64_t lookup_bytes(uint32_t context);
/* For texts of up to context tokens. */
status lookup_open(lookup **out, uint32_t context, error *err) MUST_CHECK;
void lookup_close(lookup **l);

/* A new answer to this prompt: forgets the text before and how well it was foreseen. */
void lookup_start(lookup *l, const int32_t *prompt, uint32_t n);
/* A token was drawn. */
void lookup_add(lookup *l, int32_t token);
/* Writes up to `most` (< LOOKUP_ROWS) tokens that may follow and returns how many are worth a step that verifies them;
 * 0: step alone. always: as many as there are, whatever they are worth. */
uint32_t lookup_draft(lookup *l, uint32_t most, bool always, int32_t *draft);
/* A step of so many rows took us microseconds. */
void lookup_took(lookup *l, uint32_t rows, uint64_t us);

#endif
