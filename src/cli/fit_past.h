/* fit_past.h: how far fit's predictions on this machine were from what was measured afterwards, from the ledger. */
#ifndef CLI_FIT_PAST_H
#define CLI_FIT_PAST_H

#include "base/js.h"
#include "base/status.h"

/* Of |predicted / measured - 1|; bias: the median of predicted / measured - 1. n 0: the rest means nothing. */
typedef struct fit_error {
    unsigned n;
    double median, worst, bias;
} fit_error;

enum { PAST_DECODE, PAST_PREFILL, PAST_MEMORY, PAST_KINDS };
typedef struct fit_past {
    fit_error of[PAST_KINDS];
    unsigned n_peaks, n_over; /* peaks of memory that were measured, and those of them above what was planned */
    unsigned n_busy; /* speeds that were measured while others kept more than a quarter of a processor at work */
    unsigned n_other; /* predictions by another version of hearth or of its numerics: they say nothing of this one */
} fit_past;

/* Without a ledger: nothing was predicted. */
status fit_past_read(fit_past *out, error *err) MUST_CHECK;
/* "decode 4 % (n 12), prefill 9 % (n 12), memory 1 % (n 12), 0 of 20 over", or why there is none. Returns text. */
char *fit_past_text(const fit_past *p, char *text, size_t bytes);
js *fit_past_js(const fit_past *p);

#endif
