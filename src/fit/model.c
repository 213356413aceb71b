/* model.c: one file against this machine. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "quant/quant.h"

/* What a prompt's token is multiplied with: all but the embedding, of which it takes a row, and the head, which only
 * the last token of a prompt needs. */
static uint64_t prefill_params(const gguf *g, const fit_model *f, uint32_t n_embd)
{
    uint64_t table = (uint64_t)f->n_vocab * n_embd * (gguf_tensor_find(g, "output.weight") ? 2 : 1);
    return f->n_params > table ? f->n_params - table : f->n_params;
}

typedef struct header {
    uint32_t main_type;
    uint64_t prefill_params;
} header;

static status read_header(const gguf *g, const engine_options *o, fit_model *out, header *h, error *err)
{
    model_spec *spec = mem_zero(sizeof *spec);
    model_sizes sizes;
    if (!spec)
        return fail(err, E_NOMEM, "no memory");
    status s = model_plan(g, o->exact, spec, &sizes, err);
    if (!s)
        s = fit_memory(g, o, out, err);
    if (!s) {
        span architecture = { "", 0 };
        s = gguf_str(g, "general.architecture", &architecture, err);
        snprintf(out->arch, sizeof out->arch, "%.*s", (int)architecture.n, architecture.p);
        snprintf(out->file_type, sizeof out->file_type, "%s", quant_name(sizes.main_type));
        out->n_params = sizes.n_params;
        out->n_layers = spec->n_layers;
        out->n_vocab = spec->n_vocab;
        out->context_train = spec->context_train;
        out->context = out->budget.context;
        h->main_type = sizes.main_type;
        h->prefill_params = prefill_params(g, out, spec->n_embd);
    }
    mem_free(spec);
    return s;
}

static void expect_speed(const fit_machine *m, const header *h, fit_model *out)
{
    const engine_budget *b = &out->budget;
    double read = m->read_bytes_per_s * FIT_DECODE_SHARE, macs = 0;
    if (b->token_bytes) {
        double full = (double)(b->token_bytes + engine_kv_read_bytes(b, b->context));
        out->decode_per_s = read / (double)b->token_bytes;
        out->decode_full_per_s = read / full;
    }
    if (fit_measure_type(m, h->main_type, &macs, NULL) == OK && h->prefill_params)
        out->prefill_per_s = macs * FIT_PREFILL_SHARE / (double)h->prefill_params;
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
    header h = { 0 };
    memset(out, 0, sizeof *out);
    base_name(path, out->name, sizeof out->name);
    status s = gguf_open(&g, path, err);
    if (s)
        return s;
    s = read_header(g, o, out, &h, err);
    for (int i = 0; !s && i < gguf_n_files(g); i++)
        out->file_bytes += gguf_file_bytes(g, i);
    gguf_close(&g);
    if (s)
        return fail_prefix(err, s, "%s: ", path);
    snprintf(out->kv_type, sizeof out->kv_type, "%s", engine_kv_name(o->kv_type));
    out->have_bytes = machine_memory_budget(&m->memory, o->mem_bytes);
    out->fits = out->need_bytes <= out->have_bytes;
    if (m->read_bytes_per_s > 0)
        expect_speed(m, &h, out);
    return OK;
}
