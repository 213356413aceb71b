#include "cli/measuring.h"

#include "cli/candidates.h"

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
