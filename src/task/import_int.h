/* import_int.h: what the readers of foreign files share: drafts of tasks, conversations, problems. */
#ifndef TASK_IMPORT_INT_H
#define TASK_IMPORT_INT_H

#include "task/import.h"
#include "task/task_int.h"

typedef struct importer {
    const import_options *o;
    const char *name;
    import_result *out;
    error *err;
} importer;

/* Adds a problem; `dropped` cases or tests are lost by it. Fails only for want of memory. */
status import_note(importer *im, int line, size_t dropped, const char *format, ...) PRINTF_LIKE(4, 5);
status import_no_memory(importer *im);
/* Calls visit for every line that holds a JSON object; others are problems. line_text lives until it returns. */
typedef status import_visit(importer *im, void *at, const js *object, int line);
status import_lines(importer *im, const char *text, size_t n, import_visit *visit, void *at);

/* ---- a task in the making ---- */
typedef struct draft_case {
    js *input, *expected, *tags; /* owned; expected and tags may be NULL */
    int line;
    bool same; /* as one before it */
    size_t cluster; /* index of the first case of its cluster (its own when it has none) */
    char key[DIGEST_HEX]; /* of its input but for white space */
} draft_case;

typedef struct draft {
    js *head; /* the keys of task.yaml from the prompt on, in order; owned */
    bool unreviewed; /* what is expected is what some model said: differences are no problem */
    size_t n, size;
    draft_case *cases;
} draft;

/* Takes input, expected and tags, also on failure. A case that is too large is a problem. */
status draft_add(importer *im, draft *d, js *input, js *expected, js *tags, int line);
/* Puts a value into the head; takes it, also on failure. */
status draft_set(importer *im, draft *d, const char *key, js *value);
/* output and graders by what is expected: few different short answers are labels (also when labels, an array, is
 * given), else `exact`. */
status draft_grade(importer *im, draft *d, const js *labels);
/* Drops duplicates, clusters near-duplicates, writes both files, reads them back. Empty drafts are left out. */
status draft_finish(importer *im, draft *d);
void draft_clear(draft *d);

/* ---- conversations: logs, evals ---- */
typedef struct talk {
    js *messages; /* [{role, content: text}]; owned */
    js *answer;   /* what is expected, or NULL; owned */
    bool plain;   /* one text, not a chat */
    bool unreviewed;
    int line;
    size_t group;
    char key[DIGEST_HEX]; /* of its roles and its system text but for white space and digits */
} talk;

typedef struct talks {
    size_t n, size;
    talk *items;
    js *labels;   /* what is answered with, when the file says so; owned */
    js *sampling; /* the same for all, or NULL; owned */
} talks;

/* Messages of a request in the one form above. *out = NULL with OK: a problem was noted and the line is to be left. */
status talk_messages(importer *im, const js *list, int line, js **out);
/* A text or a list of text parts; *out NULL with OK: a problem. `where` names it. */
status talk_content(importer *im, const js *content, const char *where, int line, js **out);
/* Takes messages and answer, also on failure. */
status talks_add(importer *im, talks *all, js *messages, js *answer, bool plain, bool unreviewed, int line);
/* One task for each kind of system prompt and roles; their constant parts become the prompt. */
status talks_finish(importer *im, talks *all);
void talks_clear(talks *all);
/* {role, content}; takes content, also on failure. NULL without memory. */
js *talk_message(const char *role, js *content);
/* [{role: user, content: text}]; talk_user: NULL without memory; talk_text: *out NULL with OK is a problem. */
js *talk_user(const char *text, size_t n);
status talk_text(importer *im, const js *text, const char *where, int line, js **out);
/* The same for a text that may be a JSON list of messages; *plain: it is not. */
status talk_guess(importer *im, const js *text, const char *where, int line, js **out, bool *plain);

/* ---- readers ---- */
status import_openai_evals(importer *im, const char *text, size_t n);
status import_openai_log(importer *im, const char *text, size_t n);
status import_lm_eval(importer *im, const char *text, size_t n);
status import_promptfoo(importer *im, const char *text, size_t n);
status import_promptfoo_csv(importer *im, const char *text, size_t n);

/* promptfoo's tests, however they were written. vars is an object, assertions a list of {type, value, …}. */
typedef struct pf_test {
    js *vars, *assertions; /* owned */
    int line;
} pf_test;
typedef struct pf_tests {
    size_t n, size;
    pf_test *items;
} pf_tests;
/* Takes vars and assertions, also on failure. */
status pf_add(importer *im, pf_tests *tests, js *vars, js *assertions, int line);
void pf_clear(pf_tests *tests);
/* Tasks of all prompts (a list of texts and of lists of messages) and tests; a task for each set of graders. */
status pf_finish(importer *im, const js *prompts, pf_tests *tests);
/* Assertions to graders, what they compare with and the schema that is wanted (all owned). *graders = NULL
 * with OK: problems were noted. */
status pf_map(importer *im, const js *assertions, const js *vars, int line, js **graders, js **expected, js **wanted);

#endif
