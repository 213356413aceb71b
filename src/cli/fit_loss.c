#include "cli/fit_loss.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool fit_loss_find(const catalogue *c, const char *type, const catalogue_model *m, uint64_t params,
                   catalogue_loss_row *out)
{
    const catalogue_model like = { .name = "", .params = (double)params };
    return catalogue_loss(c, type, m ? m : &like, out);
}

static bool same_model(const catalogue_loss_row *r, const catalogue_model *m)
{
    return m && (strcasecmp(r->model, m->name) == 0 || (m->title && strcasecmp(r->model, m->title) == 0));
}

char *fit_loss_short(const catalogue_loss_row *r, const catalogue_model *m, char text[FIT_LOSS_SHORT])
{
    const char *mark = same_model(r, m) ? "" : "?";
    if (!r->is_divergence)
        snprintf(text, FIT_LOSS_SHORT, "%.1f %%%s", 100 * r->loss, mark);
    else
        snprintf(text, FIT_LOSS_SHORT, "%.3f%s", r->loss, mark);
    return text;
}

char *fit_loss_long(const catalogue_loss_row *r, char text[FIT_LOSS_LONG])
{
    const char *with = r->imatrix ? ", with an importance matrix" : "";
    if (!r->is_divergence)
        snprintf(text, FIT_LOSS_LONG, "%+.1f %% perplexity (measured on %.32s%s)", 100 * r->loss, r->model, with);
    else
        snprintf(text, FIT_LOSS_LONG, "%.4f nats a token (divergence, measured on %.32s%s)", r->loss, r->model, with);
    return text;
}

js *fit_loss_js(const catalogue_loss_row *r)
{
    js *o = js_object();
    js_set(o, "measure", js_new_string(r->is_divergence ? "kld" : "ppl"));
    js_set(o, "loss", js_new_double(r->loss));
    js_set(o, "value", js_new_double(r->value));
    js_set(o, "base", r->is_divergence ? js_null() : js_new_double(r->base));
    js_set(o, "importance_matrix", js_new_bool(r->imatrix));
    js_set(o, "model", js_new_string(r->model));
    js_set(o, "page", js_new_string(r->page));
    return o;
}
