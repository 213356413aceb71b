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
    candidates_settings(c, list, out);
    out->memory_limit_bytes = memory_limit(c);
}
