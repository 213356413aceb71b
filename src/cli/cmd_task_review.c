/* cmd_task_review.c: hearth task review TASK: people judge answers at the terminal. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd_task.h"
#include "cli/review.h"

static const usage page = {
    "hearth task review TASK [--on PROVIDER] [--who NAME] [--n N]\n"
    "       hearth task review TASK --pairs A B\n"
    "       hearth task review TASK --summary | --export-fixed FILE",
    "Shows answers that `hearth measure` kept, and keeps what you say of them. Keys: a accept, r reject, f fix (type\n"
    "the right answer), s skip, q quit. With --pairs two providers' answers to the same case stand side by side,\n"
    "without names and in random order: 1 or 2 is better, t tie. What you labelled is not shown again; cases come in\n"
    "random order, those that nobody labelled first. From a pipe, each line is a key.\n"
    "  --summary       accepted answers, wins and losses, and how far the graders agree with people\n"
    "  --export-fixed  cases with the answers you typed as what is expected, as lines for cases.jsonl\n"
    "examples:\n"
    "  hearth task review ticket-class --on local:SmolLM2-135M-Instruct.Q4_1 --n 20\n"
    "  hearth task review ticket-class --pairs local:SmolLM2-135M-Instruct.Q4_1 cloud\n",
};

typedef struct job {
    review_options o;
    bool summary, json;
    const char *fixed_to;
} job;

/* Looking comes first: a ledger that is not there is not made by asking for answers in it. One of an older schema is
 * brought to this one. */
static status open_ledger(ledger **l, bool write, error *err)
{
    status s = ledger_open(l, NULL, LEDGER_READ, err);
    if (s != E_UNSUPPORTED && (s || !write))
        return s;
    ledger_close(l);
    return ledger_open(l, NULL, LEDGER_WRITE, err);
}

static int run(const job *j, const char *name, const char *bin_dir)
{
    error err = { 0 };
    task *t = NULL;
    ledger *l = NULL;
    size_t n = 0;
    status s = task_open(&t, name, bin_dir, &err);
    if (!s)
        s = task_load_cases(t, &err);
    if (!s)
        s = open_ledger(&l, !j->summary && !j->fixed_to, &err);
    if (!s && j->summary)
        s = review_summary(l, t, j->json, &err);
    else if (!s && j->fixed_to)
        s = review_export_fixed(l, t, j->fixed_to, &n, &err);
    else if (!s)
        s = (j->o.b ? review_pairs : review_answers)(l, t, &j->o, &err);
    if (!s && j->fixed_to)
        printf("%zu case%s put right\n", n, n == 1 ? "" : "s");
    ledger_close(&l);
    task_close(&t);
    return s ? report("task review", &err) : EXIT_OK;
}

int cmd_task_review(int argc, char **argv, const char *bin_dir)
{
    job j = { .o = { .who = getenv("USER"), .seed = 1 } };
    size_t n = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "on", 0, OPTION_TEXT, &j.o.on, "PROVIDER", "whose answers (default: the only provider that has any)" },
        { "pairs", 0, OPTION_TEXT, &j.o.a, "A B", "two providers to compare" },
        { "who", 0, OPTION_TEXT, &j.o.who, "NAME", "whose labels these are (default: the user's name)" },
        { "n", 'n', OPTION_INT, &j.o.n, "N", "at most so many cases now" },
        { "seed", 0, OPTION_INT, &j.o.seed, "N", "of the order of cases and sides (default 1)" },
        { "summary", 0, OPTION_FLAG, &j.summary, NULL, "what the labels add up to" },
        { "export-fixed", 0, OPTION_TEXT, &j.fixed_to, "FILE", "write what was put right to a new file" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "with --summary: one JSON document" },
    };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n != (j.o.a ? 2u : 1u))
        return usage_error("task review", j.o.a ? "--pairs A B: one task and two providers" : "which one task?");
    if ((j.o.a != NULL) + (j.o.on != NULL) + j.summary + (j.fixed_to != NULL) > 1)
        return usage_error("task review", "--on, --pairs, --summary and --export-fixed: one of them");
    if (j.json && !j.summary)
        return usage_error("task review", "--json goes with --summary");
    if (j.o.n < 0)
        return usage_error("task review", "--n %lld: must be a whole number from 0", (long long)j.o.n);
    j.o.b = j.o.a ? argv[2] : NULL;
    if (!j.o.who)
        j.o.who = "";
    return run(&j, argv[1], bin_dir);
}
