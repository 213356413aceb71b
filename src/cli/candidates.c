#include "cli/candidates.h"

#include <string.h>

#include "plat/machine.h"
#include "provider/provider.h"

static uint64_t memory_limit(const config *c)
{
    machine_memory m;
    machine_read_memory(&m);
    uint64_t most = m.limit_bytes && m.limit_bytes < m.total_bytes ? m.limit_bytes : m.total_bytes;
    return c->mem_bytes && (!most || c->mem_bytes < most) ? c->mem_bytes : most;
}

void candidates_read(const config *c, route_candidate *list, route_settings *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_providers && n < CANDIDATES_MAX; i++) {
        const config_provider *p = &c->providers[i];
        provider_place place;
        error none;
        if (provider_place_of(p->name, c, &place, &none))
            place = PLACE_REMOTE;
        list[n++] = (route_candidate){ p->name, privacy_place_of(provider_place_name(place)),
                                       strcmp(p->kind, "replay") == 0, p->price_input, p->price_output };
    }
    *out = (route_settings){ list, n, NULL, memory_limit(c) };
}
