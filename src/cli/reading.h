/* reading.h: one or two models, and what they read to be judged by it: for `perplexity` and `compare`.
 *
 * The text's tokens are made with the first model's vocabulary before any weights are loaded, so that vocabularies are
 * compared, and the context and the memory are known, before that takes time. */
#ifndef CLI_READING_H
#define CLI_READING_H

#include "base/js.h"
#include "cli/load.h"
#include "quality/compare.h"
#include "quality/passages.h"

enum { READING_MODELS = 2, READING_WINDOW = 512 };

typedef struct reading_source {
    const char *file;   /* a text ('-': standard input), or NULL: tasks */
    option_list tasks;
    int64_t windows;    /* at most so many of the text; 0: all */
} reading_source;

/* Rows of a command's option table. */
#define READING_OPTIONS(s)                                                                                             \
    { "task", 0, OPTION_LIST, &(s).tasks, "TASK", "read a task's prompts, and judge its expected answers (repeats)" }, \
    { "windows", 0, OPTION_INT, &(s).windows, "N", "at most so many windows of the text" }

/* EXIT_OK, or the usage error that was printed. n_words: models, and perhaps a file. */
int reading_check(const char *command_name, reading_source *s, size_t n_models, size_t n_words, char **words);

typedef struct reading {
    size_t n_models;
    char *paths[READING_MODELS];
    engine *models[READING_MODELS];
    passages text;
    uint32_t context;
    size_t n_skipped;  /* cases without an answer to judge */
    double seconds;    /* of reading */
    quality_tokens tokens;
    size_t shown;      /* tokens that the bar has summed up, and their sum */
    double shown_sum;
} reading;

/* Finds, opens and reads; zero-initialise. load->context: the window of a text (0: READING_WINDOW), or the most that a
 * task's case may take (0: what the longest takes). Denies this process the network. */
status reading_run(reading *r, char *const *models, size_t n_models, const reading_source *s, load_options *load,
                   error *err) MUST_CHECK;
void reading_close(reading *r);

/* "2550 tokens in 10 windows of 512", "112 tokens in 40 cases (2 have no answer to judge)". */
char *reading_describe(const reading *r, const reading_source *s, char text[160]);

/* Adds to o what stands in both commands' JSON: how the models computed, the window, cases passed over, speed. */
void reading_put_js(const reading *r, const reading_source *s, js *o);

#endif
