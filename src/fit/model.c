/* model.c: one file against this machine. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "quant/quant.h"

static status read_header(const gguf *g, const engine_options *o, fit_model *out, error *err)
{
    fit_work *w = &out->work;
    w->kv = o->kv_type;
    w->batch = o->batch ? o->batch : FIT_BATCH;
    status s = model_plan(g, o->exact, &w->spec, &w->sizes, err);
    if (!s)
        s = fit_memory(g, o, out, err);
    if (s)
        return s;
    span architecture = { "", 0 };
    s = gguf_str(g, "general.architecture", &architecture, err);
    snprintf(out->arch, sizeof out->arch, "%.*s", (int)architecture.n, architecture.p);
    snprintf(out->file_type, sizeof out->file_type, "%s", quant_name(w->sizes.main_type));
    out->n_params = w->sizes.n_params;
    out->n_layers = w->spec.n_layers;
    out->n_vocab = w->spec.n_vocab;
    out->context_train = w->spec.context_train;
    out->context = out->budget.context;
    if (w->spec.is_encoder) /* a text is one pass */
        w->batch = out->context > w->batch ? out->context : w->batch;
    return s;
}

static void expect_speed(const fit_machine *m, fit_model *out)
{
    const fit_work *w = &out->work;
    uint32_t prompt = out->context && out->context < FIT_PROMPT ? out->context : FIT_PROMPT;
    out->prefill = fit_expect_prefill(w, m, prompt, 0);
    out->prefill_per_s = prompt / fit_step_seconds(&out->prefill);
    if (w->spec.is_encoder) /* it writes nothing */
        return;
    fit_step full = fit_expect_decode(w, m, 1, out->context);
    out->decode = fit_expect_decode(w, m, 1, 0);
    out->decode_per_s = 1 / fit_step_seconds(&out->decode);
    out->decode_full_per_s = 1 / fit_step_seconds(&full);
}

static void base_name(const char *path, char *out, size_t bytes)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, bytes, "%s", slash ? slash + 1 : path);
    if (str_ends(out, ".gguf"))
        out[strlen(out) - 5] = '\0';
}

status fit_model_gguf(const gguf *g, const char *name, const engine_options *o, const fit_machine *m, fit_model *out,
                      error *err)
{
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    status s = read_header(g, o, out, err);
    if (s)
        return s;
    for (int i = 0; i < gguf_n_files(g); i++)
        out->file_bytes += gguf_file_bytes(g, i);
    snprintf(out->kv_type, sizeof out->kv_type, "%s", engine_kv_name(o->kv_type));
    out->have_bytes = machine_memory_budget(&m->memory, o->mem_bytes);
    out->fits = out->need_bytes <= out->have_bytes;
    if (m->read_bytes_per_s > 0)
        expect_speed(m, out);
    return OK;
}

status fit_model_file(const char *path, const engine_options *o, const fit_machine *m, fit_model *out, error *err)
{
    gguf *g = NULL;
    char name[sizeof out->name];
    status s = gguf_open(&g, path, err);
    if (s)
        return s;
    base_name(path, name, sizeof name);
    s = fit_model_gguf(g, name, o, m, out, err);
    gguf_close(&g);
    return s ? fail_prefix(err, s, "%s: ", path) : OK;
}
