#include "cli/candidates.h"

#include "plat/machine.h"

static uint64_t memory_limit(const config *c)
{
    machine_memory m;
    machine_read_memory(&m);
    uint64_t most = m.limit_bytes && m.limit_bytes < m.total_bytes ? m.limit_bytes : m.total_bytes;
    return c->mem_bytes && (!most || c->mem_bytes < most) ? c->mem_bytes : most;
}

void candidates_read(const config *c, route_candidate *list, route_settings *out)
{
    *out = (route_settings){ .candidates = list, .n_candidates = candidates_list(c, list),
                              .memory_limit_bytes = memory_limit(c), .weights = candidates_weights,
                              .weights_user = c };
}
