/* model.c: one file against this machine. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "quant/quant.h"

/* Program text, the C library, stacks of the compute threads, the mapped header: measured with an idle worker. */
enum { PROCESS_BYTES = 6 << 20 };

/* Pages of the file that are mapped while repacking goes. */
enum { WINDOW_BYTES = GGUF_RELEASE_STEP };

static status read_header(const gguf *g, const engine_options *o, fit_model *out, error *err)
{
    fit_work *w = &out->work;
    w->kv = o->kv_type;
    w->batch = o->batch ? o->batch : FIT_BATCH;
    status s = model_plan(g, o->exact, &w->spec, &w->sizes, err);
    if (!s)
        s = engine_plan(g, o, &out->budget, err);
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

status fit_model_file(const char *path, const engine_options *o, const fit_machine *m, fit_model *out, error *err)
{
    gguf *g = NULL;
    memset(out, 0, sizeof *out);
    base_name(path, out->name, sizeof out->name);
    status s = gguf_open(&g, path, err);
    if (s)
        return s;
    engine_options free_of_budget = *o;
    free_of_budget.mem_bytes = 0;
    s = read_header(g, &free_of_budget, out, err);
    for (int i = 0; !s && i < gguf_n_files(g); i++)
        out->file_bytes += gguf_file_bytes(g, i);
    gguf_close(&g);
    if (s)
        return fail_prefix(err, s, "%s: ", path);
    snprintf(out->kv_type, sizeof out->kv_type, "%s", engine_kv_name(o->kv_type));
    out->process_bytes = PROCESS_BYTES + WINDOW_BYTES;
    out->need_bytes = out->budget.total_bytes + out->process_bytes;
    out->have_bytes = m->memory.usable_bytes;
    if (o->mem_bytes && o->mem_bytes < out->have_bytes)
        out->have_bytes = o->mem_bytes;
    out->fits = out->need_bytes <= out->have_bytes;
    if (m->read_bytes_per_s > 0)
        expect_speed(m, out);
    return OK;
}

void fit_arithmetic(const fit_model *f, buf *out)
{
    char a[24], b[24], c[24], d[24], e[24], need[24], have[24];
    buf_printf(out, "weights %s + KV %s (%u positions, %s) + scratch %s + vocabulary %s + program %s = %s of %s",
               str_human_bytes(a, f->budget.weights_bytes), str_human_bytes(b, f->budget.kv_bytes), f->context,
               f->kv_type, str_human_bytes(c, f->budget.scratch_bytes), str_human_bytes(d, f->budget.vocab_bytes),
               str_human_bytes(e, f->process_bytes), str_human_bytes(need, f->need_bytes),
               str_human_bytes(have, f->have_bytes));
}

status fit_largest_context(const char *path, const engine_options *o, const fit_machine *m, uint32_t *out, error *err)
{
    fit_machine quiet = *m;
    quiet.read_bytes_per_s = 0; /* bytes only: nothing to measure */
    engine_options at = *o;
    fit_model f;
    *out = 0;
    at.context = 0;
    status s = fit_model_file(path, &at, &quiet, &f, err);
    uint32_t low = 0, high = s ? 0 : f.context_train / 64;
    while (!s && low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        at.context = middle * 64;
        s = fit_model_file(path, &at, &quiet, &f, err);
        if (!s && f.fits)
            low = middle;
        else
            high = middle - 1;
    }
    if (!s)
        *out = low * 64;
    return s;
}
