#include "cli/budget.h"

#include "plat/machine.h"
#include "provider/provider.h"

enum { CONTEXT_GUESS = 8192, REQUESTS = 16, LEAST = 1, EGRESS_PART = 16 };

uint64_t budget_of(uint64_t given)
{
    machine_memory m;
    machine_read_memory(&m);
    uint64_t most = machine_memory_budget(&m, given);
    return most ? most : LEAST; /* 0 would be no budget */
}

void budget_of_command(engine_options *o, uint64_t given)
{
    machine_cpu cpu;
    footprint_use use = { .n_threads = o->n_threads, .n_requests = 1,
                          .context = o->context ? o->context : CONTEXT_GUESS };
    if (!use.n_threads) {
        machine_read_cpu(&cpu);
        use.n_threads = cpu.threads;
    }
    o->process_bytes = footprint_bytes(FOOTPRINT_COMMAND, &use);
    o->mem_bytes = budget_of(given);
}

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : LEAST;
}

/* What the processes of all configured servers take: as many each as a part of the memory has room for, at least
 * one. */
static uint64_t for_egress(const config *c, uint64_t most)
{
    const footprint_use use = { .n_requests = 1 };
    uint64_t each = footprint_bytes(FOOTPRINT_EGRESS, &use), servers = 0;
    for (size_t i = 0; i < c->n_providers; i++)
        servers += config_is_server(&c->providers[i]);
    if (!servers)
        return 0;
    uint64_t calls = most / EGRESS_PART / (servers * each);
    calls = calls < 1 ? 1 : calls < PROVIDER_CALLS_MAX ? calls : PROVIDER_CALLS_MAX;
    provider_limit_calls((unsigned)calls);
    return servers * calls * each;
}

static uint64_t for_models(const config *c, footprint_kind kind, uint64_t given)
{
    const footprint_use use = { .n_requests = c->parallel ? c->parallel : REQUESTS };
    uint64_t most = less(budget_of(given ? given : c->mem_bytes), footprint_bytes(kind, &use));
    return less(most, for_egress(c, most));
}

uint64_t budget_of_parent(const config *c, uint64_t given)
{
    uint64_t most = for_models(c, FOOTPRINT_PARENT, given);
    provider_share_memory(most);
    return most;
}

uint64_t budget_of_server(const config *c, uint64_t given, uint64_t *bodies)
{
    uint64_t most = for_models(c, FOOTPRINT_SERVER, given);
    *bodies = footprint_bodies(most);
    most = less(most, *bodies);
    provider_share_memory(most);
    return most;
}

void budget_guard(uint64_t more, uint64_t mem_bytes)
{
    (void)footprint_limit(0, more + footprint_slack(mem_bytes));
}
