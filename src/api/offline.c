#include "api/offline.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "store/store.h"

enum { MODELS_TOLD = 6 };

static void add_evidence(const route_side *r, const char *name, buf *out)
{
    buf_printf(out, ". On this machine %s ", r->provider);
    if (r->n)
        buf_printf(out, "was right in %u of %u cases of this task (%.1f %%, 95 %% interval %.1f to %.1f %%)", r->n_pass,
                   r->n, 100 * r->pass, 100 * r->lower, 100 * r->upper);
    else
        buf_printf(out, "could try it, but nothing that counts was measured: hearth measure %s --on %s", name,
                   r->provider);
    buf_printf(out, "; to ask it without that proof, name it as the model");
}

static void add_name(buf *out, const char *name, size_t *n)
{
    if (++*n <= MODELS_TOLD)
        buf_printf(out, "%s%s", *n == 1 ? ". On this machine can be asked: " : ", ", name);
}

static void add_models(const api *a, buf *out)
{
    const config *c = a->options.config;
    store_model *files = NULL;
    size_t n_files = 0, n = 0;
    if (a->options.model)
        add_name(out, a->options.model, &n);
    for (size_t i = 0; i < c->n_providers; i++)
        if (c->providers[i].place == PLACE_LOCAL && strcmp(c->providers[i].kind, "local") == 0)
            add_name(out, c->providers[i].name, &n);
    if (store_list(&files, &n_files, NULL) != OK)
        n_files = 0;
    for (size_t i = 0; i < n_files; i++)
        add_name(out, files[i].name, &n);
    store_free(files, n_files);
    if (n > MODELS_TOLD)
        buf_printf(out, " and %zu more", n - MODELS_TOLD);
    if (!n)
        buf_str(out, ". There is no model on this machine that could be asked instead");
}

void api_offline_advice(const api *a, const target *t, api_fault *f)
{
    buf text = BUF_INIT(sizeof f->text - 1);
    if ((f->kind != FAULT_UNREACHABLE && f->kind != FAULT_TIMEOUT) || !t->placed || t->place == PLACE_LOCAL)
        return;
    size_t n = strlen(f->text);
    while (n && (f->text[n - 1] == '.' || f->text[n - 1] == ' '))
        n--;
    buf_printf(&text, "'%s' cannot be reached: %.*s", t->spec, (int)n, f->text);
    if (t->sheet && t->sheet->in.local.present)
        add_evidence(&t->sheet->in.local, t->task, &text);
    else
        add_models(a, &text);
    if (!text.failed)
        memcpy(f->text, buf_text(&text), text.len + 1);
    buf_clear(&text);
}
