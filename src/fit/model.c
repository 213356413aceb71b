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
        s = engine_plan(g, o, &out->budget, err);
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

status fit_model_gguf(const gguf *g, const char *name, const engine_options *o, const fit_machine *m, fit_model *out,
                      error *err)
{
    header h = { 0 };
    engine_options free_of_budget = *o;
    free_of_budget.mem_bytes = 0;
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    status s = read_header(g, &free_of_budget, out, &h, err);
    if (s)
        return s;
    for (int i = 0; i < gguf_n_files(g); i++)
        out->file_bytes += gguf_file_bytes(g, i);
    snprintf(out->kv_type, sizeof out->kv_type, "%s", engine_kv_name(o->kv_type));
    out->process_bytes = PROCESS_BYTES + WINDOW_BYTES;
    out->need_bytes = out->budget.total_bytes + out->process_bytes;
    out->have_bytes = m->memory.usable_bytes;
    if (o->mem_bytes && o->mem_bytes < out->have_bytes)
        out->have_bytes = o->mem_bytes;
    out->fits = out->need_bytes <= out->have_bytes;
    if (m->read_bytes_per_s > 0)
        expect_speed(m, &h, out);
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
