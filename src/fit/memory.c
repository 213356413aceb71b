/* memory.c: the bytes of a model in the process that would run it, and the settings that fit when it does not. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/share.h"
#include "fit/memory.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "plat/footprint.h"
#include "plat/machine.h"
#include "quant/quant.h"

/* The options that the process would open the model with: those of `hearth run`, which answers one at a time. */
static void as_command(engine_options *o, const engine_budget *b)
{
    machine_cpu cpu;
    footprint_use use = { .n_threads = o->n_threads, .n_requests = 1, .context = b->context };
    if (!use.n_threads) {
        machine_read_cpu(&cpu);
        use.n_threads = cpu.threads;
    }
    if (!o->process_bytes)
        o->process_bytes = footprint_bytes(FOOTPRINT_COMMAND, &use);
}

/* A command that knows its own size is asked about itself. */
static bool is_served(const engine_options *o)
{
    return !o->process_bytes && (o->slices || o->n_sessions > 1);
}

/* A budget to plan for: KV that is shared is as large as the budget has room for, so the plan of what does not fit
 * must not know it. */
static status plan(const gguf *g, engine_options *o, engine_budget *b, uint64_t *server, error *err)
{
    *server = 0;
    o->mem_bytes = 0;
    if (is_served(o)) {
        footprint_use use = { .n_requests = o->n_sessions };
        *server = footprint_bytes(FOOTPRINT_SERVER, &use);
        return engine_share(g, o, o->n_sessions, b, err);
    }
    status s = engine_plan(g, o, b, err);
    if (s || o->process_bytes)
        return s;
    as_command(o, b);
    return engine_plan(g, o, b, err);
}

status fit_memory(const gguf *g, const engine_options *o, fit_model *out, error *err)
{
    engine_options at = *o;
    uint64_t server;
    status s = plan(g, &at, &out->budget, &server, err);
    if (s)
        return s;
    out->server_bytes = server;
    out->process_bytes = out->budget.process_bytes + server;
    out->need_bytes = out->budget.total_bytes + server;
    return OK;
}

void fit_arithmetic(const fit_model *f, buf *out)
{
    engine_budget b = f->budget;
    char have[24];
    bool grammars = b.total_bytes > b.weights_bytes + b.kv_bytes + b.scratch_bytes + b.vocab_bytes + b.load_bytes +
                                        b.process_bytes;
    b.process_bytes = f->process_bytes;
    b.total_bytes = f->need_bytes;
    engine_arithmetic(&b, grammars, out);
    buf_printf(out, " of %s", str_human_bytes(have, f->have_bytes));
}

/* ---- what would fit ---- */

/* The options as the process has them, within `have`. */
static status options_within(const gguf *g, const engine_options *o, uint64_t have, engine_options *out, error *err)
{
    engine_budget b;
    uint64_t server;
    *out = *o;
    status s = plan(g, out, &b, &server, err);
    if (!is_served(o))
        out->n_sessions = 1;
    out->mem_bytes = have > server ? have - server : 1;
    return s;
}

static const char *const stronger[] = { "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q3_K", "Q2_K" };

static void find_type(const fit_model *f, fit_ways *out)
{
    uint64_t others = f->need_bytes - f->budget.weights_bytes, weights = f->budget.weights_bytes;
    if (others >= f->have_bytes || !weights || !f->n_params)
        return;
    out->weights_share = (double)(f->have_bytes - others) / (double)weights;
    for (size_t i = 0; i < ARRAY_LEN(stronger) && !out->type[0]; i++) {
        const quant_traits *q = quant_find_name(stronger[i]);
        double bytes = (double)f->n_params * q->bytes / q->block;
        if (bytes <= (double)(f->have_bytes - others) && bytes < (double)weights)
            snprintf(out->type, sizeof out->type, "%s", stronger[i]);
    }
}

status fit_nearest(const gguf *g, const char *path, const engine_options *o, const fit_model *f, fit_ways *out,
                   error *err)
{
    engine_options at;
    memset(out, 0, sizeof *out);
    status s = options_within(g, o, f->have_bytes, &at, err);
    if (!s)
        s = engine_nearest(g, &at, &out->ways, err);
    if (s)
        return s;
    if (path)
        fit_neighbour(path, o, f, out);
    find_type(f, out);
    return OK;
}

void fit_nearest_text(const fit_ways *n, buf *out)
{
    char size[24];
    bool any = false;
    for (int i = 0; i < NEAREST_WAYS; i++)
        any = any || n->ways.fits[i];
    if (any || (!n->file[0] && !n->type[0]))
        nearest_text(&n->ways, out);
    if (n->file[0])
        buf_printf(out, "%s%s (%s)", any ? ", or as " : "it would fit as ", n->file,
                   str_human_bytes(size, n->file_need));
    else if (n->type[0])
        buf_printf(out, "%s%s", any ? ", or in a type as small as " : "it would fit in a type as small as ", n->type);
}

/* ---- the largest context ---- */

typedef struct search {
    const gguf *g;
    engine_options o;
    uint64_t have;
} search;

static status fits_with(const search *x, uint32_t context, bool *fits, error *err)
{
    fit_model f;
    engine_options at = x->o;
    at.context = context;
    status s = fit_memory(x->g, &at, &f, err);
    *fits = !s && f.need_bytes <= x->have;
    return s;
}

static status trained_for(const gguf *g, uint32_t *out, error *err)
{
    model_spec *spec = mem_zero(sizeof *spec);
    status s = spec ? model_spec_read(spec, g, err) : fail(err, E_NOMEM, "no memory");
    *out = s ? 0 : spec->context_train;
    mem_free(spec);
    return s;
}

status fit_largest_context(const char *path, const engine_options *o, const fit_machine *m, uint32_t *out, error *err)
{
    gguf *g = NULL;
    bool fits = false;
    uint32_t trained = 0;
    *out = 0;
    status s = gguf_open(&g, path, err);
    if (s)
        return s;
    const search x = { g, *o, machine_memory_budget(&m->memory, o->mem_bytes) };
    s = trained_for(g, &trained, err);
    uint32_t low = 0, high = s ? 0 : trained / NEAREST_STEP;
    while (!s && low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        s = fits_with(&x, middle * NEAREST_STEP, &fits, err);
        if (!s && fits)
            low = middle;
        else
            high = middle - 1;
    }
    gguf_close(&g);
    *out = s ? 0 : low * NEAREST_STEP;
    return s;
}
