/* fit_loss.h: what a type of weights is known to cost in quality, and how that is said. Pure. */
#ifndef CLI_FIT_LOSS_H
#define CLI_FIT_LOSS_H

#include "base/js.h"
#include "fit/catalogue.h"

/* The catalogue's row for a type of a model (NULL: a file that no entry describes, with so many parameters). */
bool fit_loss_find(const catalogue *c, const char *type, const catalogue_model *m, uint64_t params,
                   catalogue_loss_row *out);
enum { FIT_LOSS_SHORT = 16, FIT_LOSS_LONG = 128 };
/* "1.2 %" of perplexity, "0.012" nats; with a ? unless it was measured on this very model. */
char *fit_loss_short(const catalogue_loss_row *r, const catalogue_model *m, char text[FIT_LOSS_SHORT]);
/* "+1.2 % perplexity (measured on Llama 3 8B)". */
char *fit_loss_long(const catalogue_loss_row *r, char text[FIT_LOSS_LONG]);
js *fit_loss_js(const catalogue_loss_row *r);

#endif
