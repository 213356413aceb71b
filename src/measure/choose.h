/* choose.h: which candidate (a model in its quantisation, asked with one prompt) does a task best here, within the
 * task's limits. Owner thread, as measure.h, which it measures with: answers go to the ledger as ordinary answers, and
 * what is answered is not asked again.
 *
 * Procedure (successive elimination). Cases are taken in the order of their ids' digests, in rounds that grow by half;
 * whole clusters only. After each round, of m candidates that could be asked at all, with the cases so far:
 *   1. proven to reach the bar, or proven below it and dropped        (e-process at alpha / m, each direction)
 *   2. too slow: over 5 % of the answers take longer than the limit   (e-process at alpha / m; times of answers given
 *      too malformed: more than the limit                              alone, in one setting of the machine)
 *   3. worse than another that is left by more than the margin        (paired e-process at alpha / 2m)
 * are dropped. It ends when one is left whose bar is decided, with the suite, or with a budget. The choice is made
 * among those that are then not shown to be worse than the best one at all (paired e-process at alpha / 2m): they are
 * tied, and what the user prefers decides among them.
 *
 * What holds, however often one looks, for any number of candidates (Ville, and a union over m):
 *   - that any candidate is called proven though it is not above the bar: at most alpha;
 *   - that the truly best one is dropped, or left out of the tied ones, as worse: at most alpha; and as below the bar,
 *     as too slow, as too malformed: at most alpha / m each;
 *   - all intervals of pass rates hold at once with 1 - alpha: Clopper-Pearson where the whole suite was asked, else
 *     the confidence sequence, each at alpha / 2m.
 * One candidate is loaded at a time: its speed, memory and energy are its own. */
#ifndef MEASURE_CHOOSE_H
#define MEASURE_CHOOSE_H

#include "measure/measure.h"
#include "measure/money.h"
#include "task/task.h"

enum { CHOOSE_MAX = 64 };

typedef struct choose_candidate {
    const char *name;          /* of its provider */
    const task_prompt *prompt; /* of the task; NULL: the one by which the task asks this provider */
} choose_candidate;

/* How the candidates are reached. i is a candidate's index. */
typedef struct choose_door {
    /* What it would be, without loading it: *who is borrowed for the whole of measure_choose. E_NOFIT, E_DENIED and
     * whatever else drop the candidate with the sentence. */
    status (*look)(void *user, size_t i, const provider_info **who, error *err);
    /* To be asked: what was opened before may be closed. `arm` is set but for its prompt. */
    status (*open)(void *user, size_t i, measure_arm *arm, error *err);
    void *user;
} choose_door;

typedef enum choose_prefer { CHOOSE_FAST, CHOOSE_SMALL, CHOOSE_CHEAP, CHOOSE_ENERGY, CHOOSE_PREFERS } choose_prefer;
const char *choose_prefer_name(choose_prefer p); /* "fast", "small", "cheap", "energy" */

typedef enum choose_end {
    CHOOSE_LEFT,      /* not dropped */
    CHOOSE_NO_FIT,    /* not enough memory */
    CHOOSE_UNSUITED,  /* cannot be asked like this */
    CHOOSE_FAILED,    /* gave no answers */
    CHOOSE_BELOW_BAR, CHOOSE_MALFORMED, CHOOSE_SLOW, CHOOSE_WORSE,
    CHOOSE_DEAR,      /* an answer costs more than the limit, with certainty */
    CHOOSE_ENDS,
} choose_end;
const char *choose_end_text(choose_end e); /* "left", "does not fit", "cannot be asked so", … */

/* One candidate, as far as it came. Strings live as long as the door's and the task. */
typedef struct choose_row {
    const char *name, *prompt; /* prompt: "default" or the variant's key */
    const provider_info *who;  /* NULL: it could not even be looked at */
    choose_end end;
    char why[300];             /* of what was dropped: a sentence */
    size_t better;             /* WORSE: than this candidate; else SIZE_MAX */
    measure_decided bar;       /* above it: PROVEN, below: REFUTED; OPEN also where the task has none */
    char evidence[DIGEST_HEX];
    uint32_t n, n_pass, n_malformed, n_failed; /* of the cases that counted */
    uint32_t n_seen;           /* cases of the suite it was asked, or had been */
    bool whole;                /* all of them */
    double rate, low, high;    /* of passing; simultaneous interval */
    tally_speed speed;         /* of answers given alone */
    uint32_t n_timed, n_slow;  /* of those: how many, and how many over the latency limit */
    char power[16], governor[32]; /* when these were given: "mains", "battery", "unknown"; "" without answers */
    uint64_t throttled;        /* how often the processor was slowed down for its heat meanwhile */
    double memory_bytes;       /* at most, measured; else what it will take; NAN: not known */
    bool memory_measured;
    money_figure cost;         /* US dollars an answer: at its price, or of its energy */
    money_figure energy;       /* joules an answer, gross */
    bool energy_measured;      /* false: by machine.watts_busy */
    double asked_usd;          /* what asking it now cost; NAN: not known */
    uint32_t n_asked;          /* now */
    bool tied, chosen;
    money_figure saving;       /* a local one's, against `reference`: its answer's price less the local one's */
    money_break_even break_even;
} choose_row;

typedef struct choose_options {
    const measure_options *measure; /* timeouts, parallel, progress, stop, budgets (of all together), alpha */
    choose_prefer prefer;
    bool until_decided;        /* ends also when the preferred one is proven to be at most the margin worse than each
                                  other that is left */
    double usd_per_month, usd_per_kwh, watts_busy; /* of this machine; NAN: not given */
    void (*tell)(void *user, const char *sentence); /* what happens; may be NULL */
    void *tell_user;
} choose_options;

typedef struct choose_outcome {
    size_t chosen;             /* SIZE_MAX: none is left, or nothing was answered */
    size_t reference;          /* the first that is not local and has a price; SIZE_MAX: none */
    size_t m;                  /* candidates for which the multiplicity was paid */
    size_t n_left, n_tied;
    uint32_t n_cases;          /* of the suite */
    uint32_t n_seen;           /* cases that the last ones left were asked */
    uint32_t rounds;
    uint32_t n_asked, n_saved; /* answers: asked now; not asked since their candidate was dropped or all was decided */
    double alpha, margin, bar; /* bar NAN: none */
    choose_prefer prefer;
    double cost_usd, seconds;  /* of this run */
    const char *power;         /* now */
    char governor[32];
    uint64_t throttled;
    char ended[32];            /* "one-left", "none-left", "decided", "suite", "max-cost", "max-time", "stopped" */
    char why[700];             /* the choice and its reason, in a sentence */
} choose_outcome;

/* rows has n. What was found is in rows and *out also when E_CANCELLED ends it. The task's cases are loaded. No
 * candidate left is no error. */
status measure_choose(ledger *l, const task *t, const choose_candidate *candidates, size_t n, const choose_door *door,
                      const choose_options *o, choose_row *rows, choose_outcome *out, error *err) MUST_CHECK;

/* The order in which rows are shown: the choice, the tied, the others by their rate, then what was dropped. */
void choose_sort(const choose_row *rows, size_t n, size_t *order);

#endif
