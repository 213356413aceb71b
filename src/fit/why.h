/* why.h: what holds a model back on this machine, and what one change would do, in sentences with figures. Pure: facts
 * in, text out; nothing is measured, opened or estimated here, so every figure is fit's own for the changed question.
 * Any thread.
 *
 * A change is only told when its facts are given; none is advised. */
#ifndef FIT_WHY_H
#define FIT_WHY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/js.h"
#include "fit/fit.h"

/* What takes most of a step's time (fit_step), or makes that there is none. */
typedef enum fit_limit {
    FIT_LIMIT_NONE,       /* nothing is known of the machine's rates */
    FIT_LIMIT_MEMORY,     /* it does not fit */
    FIT_LIMIT_BANDWIDTH,  /* reading weights */
    FIT_LIMIT_MULTIPLIER, /* multiplying them */
    FIT_LIMIT_ATTENTION,  /* keys and values of earlier positions */
    FIT_LIMIT_SYNC,       /* threads that wait for each other */
    FIT_LIMIT_REST,       /* what surrounds the products: norms, activations, quantising */
    FIT_LIMITS,
} fit_limit;
/* "none", "memory", "bandwidth", "multiplier", "attention", "synchronisation", "rest" */
const char *fit_limit_name(fit_limit l);

/* The largest term of a step, and its share of the whole (0: the step takes no time). */
fit_limit fit_limit_of(const fit_step *s, double *share);

/* What a type of weights costs in quality, as it was measured: "+1.2 % perplexity"; "" where nobody has. */
enum { FIT_LOSS_TEXT = 128 };

/* The same question with one thing changed. */
typedef struct fit_other {
    const fit_model *model; /* NULL: it is not told */
    uint32_t largest;       /* the largest context with which it fits; 0: none */
    char loss[FIT_LOSS_TEXT];
} fit_other;

/* Borrowed. */
typedef struct fit_why_facts {
    const fit_machine *machine;
    fit_other now;
    fit_other more_memory;   /* with `memory_step` bytes more */
    fit_other bigger_type;   /* the next larger type of weights of the same model, with the memory of now */
    fit_other bigger_model;  /* the catalogue's next larger model, with `memory_step` bytes more */
    fit_other smaller_type;  /* the next smaller type of weights */
    fit_other q8;            /* keys and values in eight bits */
    fit_other threads;       /* computed with all processors that may be used; its machine: */
    const fit_machine *threads_machine;
    uint64_t memory_step;
} fit_why_facts;

/* One sentence or two a line. */
void fit_why(const fit_why_facts *f, buf *out);
/* {decode: {limit, share, memory_s, ...}, prefill, now, more_memory, ...}, the changes a model's facts or null. NULL
 * without memory. */
js *fit_why_js(const fit_why_facts *f);

#endif
