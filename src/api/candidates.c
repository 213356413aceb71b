#include "api/candidates.h"

#include <string.h>

#include "base/numerics.h"
#include "provider/provider.h"

static size_t list_of(const config *c, route_candidate *list)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_providers && n < CANDIDATES_MAX; i++) {
        const config_provider *p = &c->providers[i];
        list[n++] = (route_candidate){ .name = p->name, .place = privacy_place_of(provider_place_name(p->place)),
                                       .recording = strcmp(p->kind, "replay") == 0, .price_input = p->price_input,
                                       .price_output = p->price_output,
                                       .public_only = p->class_max == PRIVACY_PUBLIC };
    }
    return n;
}

static bool weights_of(const void *config_at, const char *spec, char out[DIGEST_HEX])
{
    return provider_weights(spec, config_at, out);
}

void candidates_settings(const config *c, route_candidate *list, route_settings *out)
{
    *out = (route_settings){ .candidates = list, .n_candidates = list_of(c, list), .weights = weights_of,
                             .weights_user = c, .numerics = NUMERICS_VERSION, .kv_type = c->kv ? c->kv : "f16" };
}
