/* share.h: the plan of a process that answers several requests side by side: what hearth-worker opens a model with, and
 * what is foretold of it. Any thread. */
#ifndef ENGINE_SHARE_H
#define ENGINE_SHARE_H

#include "engine/engine.h"

enum { SHARE_CONTEXTS = 4 };

/* Sets slices, grammars, process_bytes and n_sessions of o for n_parallel answers at once, and *out to what that takes.
 * They share full contexts of KV: as many as there are answers, at most SHARE_CONTEXTS, but no more than o->mem_bytes
 * has room for. In the least a prompt is read between the answers of others rather than beside them. That even the
 * least does not fit is no error: total_bytes says it. */
status engine_share(const struct gguf *file, engine_options *o, uint32_t n_parallel, engine_budget *out,
                    error *err) MUST_CHECK;

#endif
