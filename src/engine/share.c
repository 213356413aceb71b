#include "engine/share.h"

#include "plat/footprint.h"

enum { ROWS_MOST = 16 };

static bool fits(const engine_options *o, const engine_budget *b)
{
    return !o->mem_bytes || b->total_bytes <= o->mem_bytes;
}

static void count_process(engine_options *o, uint32_t context, uint32_t n_parallel)
{
    const footprint_use use = { .n_threads = o->n_threads, .n_requests = n_parallel, .context = context };
    o->process_bytes = footprint_bytes(FOOTPRINT_WORKER, &use);
}

status engine_share(const struct gguf *file, engine_options *o, uint32_t n_parallel, engine_budget *out, error *err)
{
    uint32_t n = n_parallel < SHARE_CONTEXTS ? n_parallel : SHARE_CONTEXTS;
    o->grammars = true;
    o->slices = n_parallel > 1;
    o->n_sessions = 0;
    o->logit_rows = n_parallel < ROWS_MOST ? n_parallel : ROWS_MOST; /* more decode in two passes */
    status s = engine_plan(file, o, out, err);
    if (s)
        return s;
    count_process(o, out->context, n_parallel);
    for (; !s && n > 1; n--) {
        o->n_sessions = n;
        s = engine_plan(file, o, out, err);
        if (!s && fits(o, out))
            return OK;
    }
    o->n_sessions = n_parallel > 1 ? 1 : 0;
    if (!s)
        s = engine_plan(file, o, out, err);
    if (s || !o->slices || fits(o, out))
        return s;
    o->slices = false;
    return engine_plan(file, o, out, err);
}
