/* review.h: `hearth task review`: what people say of a task's answers, and what that adds up to. Owner thread.
 *
 * Only answers that count today are looked at: those to today's prompts, of a provider's newest evidence (tally.h).
 * Every word is appended at once, as a label; nothing is held back, so nothing is lost. */
#ifndef CLI_REVIEW_H
#define CLI_REVIEW_H

#include "ledger/tally.h"
#include "task/task.h"

/* One evidence with its answers. */
typedef struct review_side {
    const char *provider; /* borrowed from the sources */
    const char *evidence;
    ledger_rows rows;
    tally tally;          /* slots[case * repeats + repeat] */
} review_side;
status review_side_open(ledger *l, const task *t, const ledger_source *src, review_side *out, error *err) MUST_CHECK;
void review_side_close(review_side *s);

typedef struct review_options {
    const char *on, *a, *b; /* one provider, or two to compare (a, b); on NULL: the only one there is */
    const char *who;
    int64_t seed;           /* of the order of cases and of the sides of pairs */
    int64_t n;              /* at most so many now; 0: all */
} review_options;

/* Asks the person at standard input. *n_labelled: how many they did. */
status review_answers(ledger *l, const task *t, const review_options *o, error *err) MUST_CHECK;
status review_pairs(ledger *l, const task *t, const review_options *o, error *err) MUST_CHECK;

/* Prints what all labels of the task say; json: one document. */
status review_summary(ledger *l, const task *t, bool json, error *err) MUST_CHECK;
/* Writes the cases whose answers were put right to a new file: lines of cases.jsonl with that as what is expected. */
status review_export_fixed(ledger *l, const task *t, const char *path, size_t *n, error *err) MUST_CHECK;

/* ---- review_keys.c: a person at a terminal (one key, no Enter), or lines from a pipe ---- */
/* One of `keys`; 'q' also at the end of input and for Ctrl-C. Shows `question` first, and again after a wrong key. */
char review_key(const char *question, const char *keys);
/* A text that is typed: one line, or (lines) all until a line that holds only a dot. False: the input ended before. */
bool review_text(bool lines, buf *out);

/* A value of a case as a person reads it: a text as it is, an object name by name. Indented. */
void review_print(const js *v);

#endif
