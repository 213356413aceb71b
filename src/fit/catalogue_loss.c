/* catalogue_loss.c: losses.yaml: what quantising was measured to cost. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "fit/catalogue_int.h"
#include "quant/mix.h"

enum { LOSSES_MAX = 4000 };

static status read_measure(const catalogue_reader *r, const yaml *entry, catalogue_loss_row *out)
{
    const char *measure = NULL;
    const yaml *node = yaml_get(entry, "measure"), *value = yaml_get(entry, "value"), *base = yaml_get(entry, "base");
    if (!node || !value)
        return yaml_error(r->f, entry, r->err, "'%s' is missing", node ? "value" : "measure");
    status s = yaml_str(r->f, node, &measure, r->err);
    if (!s && strcmp(measure, "ppl") != 0 && strcmp(measure, "kld") != 0)
        return yaml_error(r->f, node, r->err, "'measure: %.20s' is neither ppl nor kld", measure);
    if (!s)
        s = yaml_f64(r->f, value, &out->value, r->err);
    if (!s && base)
        s = yaml_f64(r->f, base, &out->base, r->err);
    if (s)
        return s;
    out->is_divergence = measure[0] == 'k';
    if (out->is_divergence ? base != NULL : !base)
        return yaml_error(r->f, entry, r->err, "'base' %s", base ? "is nothing that a divergence has" : "is missing");
    if (out->is_divergence ? !(out->value >= 0 && out->value <= 100)
                           : !(out->base >= 1 && out->base <= 1e6 && out->value >= 0.9 && out->value <= 1e9))
        return yaml_error(r->f, value, r->err, "'value' %g and 'base' %g: a perplexity is at least 1, a divergence "
                          "from 0 to 100", out->value, out->base);
    out->loss = out->is_divergence ? out->value : out->value / out->base - 1;
    return OK;
}

static status read_loss(const catalogue_reader *r, const yaml *entry, catalogue_loss_row *out)
{
    static const char *const known[] = { "type", "model", "params", "imatrix", "measure", "value", "base", "page" };
    static const catalogue_field texts[] = {
        { "type", offsetof(catalogue_loss_row, type), FORM_TYPE, true },
        { "model", offsetof(catalogue_loss_row, model), FORM_TEXT, true },
        { "page", offsetof(catalogue_loss_row, page), FORM_PAGE, true },
    };
    if (entry->kind != YAML_MAP)
        return yaml_error(r->f, entry, r->err, "a loss must be a map");
    status s = yaml_known_keys(r->f, entry, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = catalogue_texts(r, entry, texts, ARRAY_LEN(texts), out);
    const char *missing = !yaml_get(entry, "params") ? "params" : !yaml_get(entry, "imatrix") ? "imatrix" : NULL;
    if (!s && missing)
        return yaml_error(r->f, entry, r->err, "'%s' is missing", missing);
    if (!s)
        s = catalogue_params(r, yaml_get(entry, "params"), &out->params);
    if (!s)
        s = yaml_bool(r->f, yaml_get(entry, "imatrix"), &out->imatrix, r->err);
    return s ? s : read_measure(r, entry, out);
}

status catalogue_read_losses(catalogue *c, error *err)
{
    const catalogue_reader r = { c->losses_file, &c->memory, err };
    const yaml *list = NULL;
    status s = catalogue_list(&r, "losses", LOSSES_MAX, &list, &c->n_losses);
    if (s)
        return s;
    c->losses = mem_array(c->n_losses ? c->n_losses : 1, sizeof *c->losses);
    if (!c->losses)
        return fail(err, E_NOMEM, "no memory for the catalogue");
    size_t i = 0;
    for (const yaml *entry = list->child; entry; entry = entry->next, i++) {
        s = read_loss(&r, entry, &c->losses[i]);
        if (s)
            return catalogue_entry_failed(entry, i, s, err);
    }
    return OK;
}

/* By the shape where the page of a model says nothing. */
static double params_of(const catalogue_model *m)
{
    const catalogue_shape *s = &m->shape;
    double attention = 2.0 * s->embd * s->head_dim * (s->heads + s->kv_heads), forward = 3.0 * s->embd * s->ff;
    if (m->params > 0)
        return m->params;
    return s->layers * (attention + forward) + (s->tied ? 1.0 : 2.0) * s->vocab * s->embd;
}

bool catalogue_loss(const catalogue *c, const char *type, const catalogue_model *m, catalogue_loss_row *out)
{
    const quant_mix *mix = quant_mix_find(type); /* Q4_K means Q4_K_M */
    const char *name = mix ? mix->name : type;
    const catalogue_loss_row *best = NULL;
    double best_distance = 0;
    for (size_t i = 0; i < c->n_losses; i++) {
        const catalogue_loss_row *row = &c->losses[i];
        if (strcasecmp(row->type, name) != 0)
            continue;
        double distance = fabs(log(row->params / params_of(m)));
        bool nearer = !best || (best->is_divergence && !row->is_divergence) ||
                      (best->is_divergence == row->is_divergence && distance < best_distance);
        if (!nearer)
            continue;
        best = row;
        best_distance = distance;
    }
    if (best)
        *out = *best;
    return best != NULL;
}
