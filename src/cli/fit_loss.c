#include "cli/fit_loss.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "quant/mix.h"

bool fit_loss_find(const catalogue *c, const char *type, const catalogue_model *m, catalogue_loss_row *out)
{
    static const catalogue_model any = { .name = "" };
    const quant_mix *mix = quant_mix_find(type); /* a file whose matrices are mostly Q4_K is a Q4_K_M, as a rule */
    return catalogue_loss(c, type, m ? m : &any, out) || (mix && catalogue_loss(c, mix->name, m ? m : &any, out));
}

static bool is_perplexity(const catalogue_loss_row *r)
{
    return strcmp(r->measure, "ppl") == 0;
}

static bool same_model(const catalogue_loss_row *r, const catalogue_model *m)
{
    return m && (strcasecmp(r->model, m->name) == 0 || (m->title && strcasecmp(r->model, m->title) == 0));
}

char *fit_loss_short(const catalogue_loss_row *r, const catalogue_model *m, char text[FIT_LOSS_SHORT])
{
    const char *mark = same_model(r, m) ? "" : "?";
    if (is_perplexity(r))
        snprintf(text, FIT_LOSS_SHORT, "%.1f %%%s", 100 * r->loss, mark);
    else
        snprintf(text, FIT_LOSS_SHORT, "%.3f%s", r->loss, mark);
    return text;
}

char *fit_loss_long(const catalogue_loss_row *r, char text[FIT_LOSS_LONG])
{
    if (is_perplexity(r))
        snprintf(text, FIT_LOSS_LONG, "%+.1f %% perplexity (%.40s: %.4g instead of %.4g; %.72s)", 100 * r->loss, r->model,
                 r->value, r->base, r->page);
    else
        snprintf(text, FIT_LOSS_LONG, "%.4f nats a token (%.40s, mean divergence; %.72s)", r->loss, r->model, r->page);
    return text;
}

js *fit_loss_js(const catalogue_loss_row *r)
{
    js *o = js_object();
    js_set(o, "measure", js_new_string(r->measure));
    js_set(o, "loss", js_new_double(r->loss));
    js_set(o, "value", js_new_double(r->value));
    js_set(o, "base", js_new_double(r->base));
    js_set(o, "model", js_new_string(r->model));
    js_set(o, "page", js_new_string(r->page));
    return o;
}
