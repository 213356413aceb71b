/* fit_show.h: the pages of `hearth fit`: the machine in ten lines, a model byte by byte. Facts in, text out. */
#ifndef CLI_FIT_SHOW_H
#define CLI_FIT_SHOW_H

#include "cli/fit_past.h"
#include "cli/fit_subject.h"

void fit_show_machine(const fit_machine *m, const fit_past *past);

/* What a model's page says beside fit's own figures. */
typedef struct fit_page {
    const fit_subject *subject;
    const fit_model *model;
    uint32_t n_sessions;  /* answers at once */
    uint32_t largest;     /* the largest context that fits; 0: none */
    const char *instead;  /* it does not fit: what would, in words */
    const catalogue_loss_row *loss; /* of its type of weights; NULL: not known */
} fit_page;
/* Text in lines of at most 79 characters, broken at blanks; a paragraph ends with a line break. */
void fit_show_text(const char *text);
void fit_show_page(const fit_page *p);
/* The page's facts: fit_model_js's, and the parts of weights and KV. NULL without memory. */
js *fit_page_js(const fit_page *p);

#endif
