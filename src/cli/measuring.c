#include "cli/measuring.h"

#include <assert.h>
#include <math.h>

#include "base/mem.h"
#include "cli/aside.h"
#include "cli/candidates.h"
#include "fit/fit.h"

enum { LOCAL_PARALLEL = 4 };

status measuring_open(provider **out, const char *spec, config *cfg, int64_t parallel, error *err)
{
    uint32_t configured = cfg->parallel;
    cfg->parallel = parallel ? (uint32_t)parallel : configured ? configured : LOCAL_PARALLEL;
    status s = provider_open(out, spec, cfg, err);
    if (s == E_NOFIT && !parallel && !configured) { /* fewer at once need less memory */
        cfg->parallel = 1;
        s = provider_open(out, spec, cfg, err);
    }
    cfg->parallel = configured;
    return s;
}

typedef struct foretelling {
    const char *path;
    engine_options options;
} foretelling;

static status foretell(void *user, void *out, size_t bytes, error *err)
{
    const foretelling *f = user;
    fit_machine *m = mem_zero(sizeof *m);
    fit_model *model = mem_zero(sizeof *model);
    double *rates = out;
    assert(bytes == 2 * sizeof *rates);
    (void)bytes;
    status s = m && model ? fit_measure_machine(m, f->options.n_threads, err) : fail(err, E_NOMEM, "no memory");
    if (!s)
        s = fit_model_file(f->path, &f->options, m, model, err);
    if (!s) {
        rates[0] = model->decode_per_s;
        rates[1] = model->prefill_per_s;
    }
    mem_free(m);
    mem_free(model);
    return s;
}

void measuring_foretell(const char *spec, const config *cfg, measure_foretold *out)
{
    provider_kind kind;
    char *path = NULL;
    double rates[2];
    foretelling f;
    *out = (measure_foretold){ NAN, NAN, NAN };
    if (provider_kind_of(spec, cfg, &kind, NULL) || kind != PROVIDER_LOCAL || provider_key(spec, cfg, &path, NULL))
        return;
    f.path = path;
    engine_options_init(&f.options);
    f.options.context = cfg->context;
    f.options.n_threads = cfg->n_threads;
    f.options.exact = cfg->exact;
    if (cfg->kv)
        engine_kv_named(cfg->kv, &f.options.kv_type);
    if (aside_run(foretell, &f, rates, sizeof rates, NULL) == OK) {
        out->decode_per_s = rates[0] > 0 ? rates[0] : NAN;
        out->prefill_per_s = rates[1] > 0 ? rates[1] : NAN;
    }
    mem_free(path);
}

status measuring_decide(ledger *l, const config *cfg, const struct task *t, route_input *in, route_decision *out,
                        error *err)
{
    route_candidate list[CANDIDATES_MAX];
    route_settings settings;
    candidates_read(cfg, list, &settings);
    status s = route_gather(l, t, &settings, in, err);
    if (!s)
        route_decide(in, out);
    return s;
}
