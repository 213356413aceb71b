/* nearest.h: what would fit instead. Any thread.
 *
 * Of a model that does not fit its budget: the settings nearest to those asked for that would, in the order of what is
 * lost. Weights stay what they are: another file is for others to name (fit.h). */
#ifndef ENGINE_NEAREST_H
#define ENGINE_NEAREST_H

#include "engine/engine.h"

typedef enum nearest_way {
    NEAREST_Q8,         /* keys and values in eight bits, all else as asked */
    NEAREST_CONTEXT,    /* the largest context with the keys and values that were asked for */
    NEAREST_CONTEXT_Q8, /* the largest with eight bits, where that is more */
    NEAREST_SESSIONS,   /* fewer full contexts side by side, each as large as asked */
    NEAREST_WAYS
} nearest_way;

typedef struct nearest {
    bool fits[NEAREST_WAYS];
    engine_kv kv_type[NEAREST_WAYS];
    uint32_t context[NEAREST_WAYS], n_sessions[NEAREST_WAYS];
    uint64_t bytes[NEAREST_WAYS]; /* total_bytes of it */
    uint64_t least_bytes;         /* total_bytes of the least context with eight bits, where that is no way either */
} nearest;

/* o->mem_bytes is the budget. Only what keeps at least NEAREST_LEAST positions counts as a way. */
enum { NEAREST_STEP = 64, NEAREST_LEAST = 64 };
status engine_nearest(const struct gguf *file, const engine_options *o, nearest *out, error *err) MUST_CHECK;

/* "--kv q8 (118 MiB); --ctx 1024 (117 MiB)", or what the least would take; the options are those of hearth. */
void nearest_text(const nearest *n, buf *out);

#endif
