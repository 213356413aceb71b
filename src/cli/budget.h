/* budget.h: what a command and the processes that it starts may take together. docs/MEMORY.md has the rules. */
#ifndef CLI_BUDGET_H
#define CLI_BUDGET_H

#include <stdint.h>

#include "engine/engine.h"
#include "plat/footprint.h"
#include "provider/config.h"

/* `given` (--mem, or the config's mem), but no more than is free now; 0: what is free now without the reserve. */
uint64_t budget_of(uint64_t given);

/* For a model in this process: mem_bytes, and what this process takes beside the model. */
void budget_of_command(engine_options *o, uint64_t given);

/* For models in workers of this process: what is left for all of them together, however they are opened
 * (provider_share_memory). given 0: the config's own mem. The server also keeps room for the bodies of requests:
 * *bodies. */
uint64_t budget_of_parent(const config *c, uint64_t given);
uint64_t budget_of_server(const config *c, uint64_t given, uint64_t *bodies);

/* From here on this process fails to allocate rather than go over a budget of mem_bytes (footprint.h). more: what the
 * plan still has to come. */
void budget_guard(uint64_t more, uint64_t mem_bytes);

#endif
