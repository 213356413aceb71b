#include "engine/nearest.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* total_bytes of these options; 0: they cannot be. */
static uint64_t bytes_of(const struct gguf *file, const engine_options *o)
{
    engine_budget b;
    return engine_plan(file, o, &b, NULL) == OK ? b.total_bytes : 0;
}

static bool within(const struct gguf *file, const engine_options *o, uint64_t mem, uint64_t *bytes)
{
    *bytes = bytes_of(file, o);
    return *bytes && *bytes <= mem;
}

static void keep(nearest *out, nearest_way way, const engine_options *o, uint64_t bytes)
{
    out->fits[way] = true;
    out->kv_type[way] = o->kv_type;
    out->context[way] = o->context;
    out->n_sessions[way] = o->n_sessions;
    out->bytes[way] = bytes;
}

/* The largest context below `most`, a multiple of NEAREST_STEP, that is within mem; 0: none. */
static uint32_t largest(const struct gguf *file, engine_options o, uint32_t most, uint64_t mem, uint64_t *bytes)
{
    uint32_t low = 0, high = most ? (most - 1) / NEAREST_STEP : 0;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        o.context = middle * NEAREST_STEP;
        if (within(file, &o, mem, bytes))
            low = middle;
        else
            high = middle - 1;
    }
    o.context = low * NEAREST_STEP;
    *bytes = low ? bytes_of(file, &o) : 0;
    return o.context;
}

static void try_contexts(const struct gguf *file, engine_options o, uint64_t mem, nearest *out)
{
    const uint32_t asked = o.context;
    uint64_t bytes;
    o.context = largest(file, o, asked, mem, &bytes);
    uint32_t found = o.context;
    if (found >= NEAREST_LEAST)
        keep(out, NEAREST_CONTEXT, &o, bytes);
    if (o.kv_type == ENGINE_KV_Q8 || out->fits[NEAREST_Q8])
        return;
    o.kv_type = ENGINE_KV_Q8;
    o.context = largest(file, o, asked, mem, &bytes);
    if (o.context > found && o.context >= NEAREST_LEAST)
        keep(out, NEAREST_CONTEXT_Q8, &o, bytes);
}

static void try_sessions(const struct gguf *file, engine_options o, uint64_t mem, nearest *out)
{
    uint64_t bytes;
    while (--o.n_sessions > 0)
        if (within(file, &o, mem, &bytes)) {
            keep(out, NEAREST_SESSIONS, &o, bytes);
            return;
        }
}

status engine_nearest(const struct gguf *file, const engine_options *o, nearest *out, error *err)
{
    engine_options at = *o;
    engine_budget b;
    uint64_t bytes;
    memset(out, 0, sizeof *out);
    status s = engine_plan(file, &at, &b, err);
    if (s || !o->mem_bytes)
        return s;
    at.context = b.context;
    uint32_t sessions = b.n_pages / ((b.context + NEAREST_STEP - 1) / NEAREST_STEP);
    at.n_sessions = at.n_sessions ? at.n_sessions : sessions ? sessions : 1;
    at.kv_bytes = 0; /* whole contexts: a pool of some other size is nobody's wish */
    if (!at.exact && at.kv_type != ENGINE_KV_Q8) {
        at.kv_type = ENGINE_KV_Q8;
        if (within(file, &at, o->mem_bytes, &bytes))
            keep(out, NEAREST_Q8, &at, bytes);
        at.kv_type = o->kv_type;
    }
    try_contexts(file, at, o->mem_bytes, out);
    try_sessions(file, at, o->mem_bytes, out);
    at.context = NEAREST_LEAST;
    at.n_sessions = 1;
    at.kv_type = at.exact ? at.kv_type : ENGINE_KV_Q8;
    out->least_bytes = bytes_of(file, &at);
    return OK;
}

static void option_of(const nearest *n, nearest_way way, char *text, size_t bytes)
{
    bool kv = way == NEAREST_Q8 || way == NEAREST_CONTEXT_Q8;
    bool context = way == NEAREST_CONTEXT || way == NEAREST_CONTEXT_Q8;
    char at[32] = "", eight[32] = "";
    if (context)
        snprintf(at, sizeof at, "--ctx %u%s", n->context[way], kv ? " " : "");
    if (kv)
        snprintf(eight, sizeof eight, "--kv %s", engine_kv_name(n->kv_type[way]));
    if (way == NEAREST_SESSIONS)
        snprintf(at, sizeof at, "--parallel %u", n->n_sessions[way]);
    snprintf(text, bytes, "%s%s", at, eight);
}

void nearest_text(const nearest *n, buf *out)
{
    char option[64], size[24];
    size_t count = 0;
    for (int way = 0; way < NEAREST_WAYS; way++) {
        if (!n->fits[way])
            continue;
        option_of(n, (nearest_way)way, option, sizeof option);
        buf_printf(out, "%s%s (%s)", count++ ? ", or " : "it would fit with ", option,
                   str_human_bytes(size, n->bytes[way]));
    }
    if (!count)
        buf_printf(out, "its least, %d positions, takes %s: a smaller model or a stronger quantisation is needed",
                   (int)NEAREST_LEAST, str_human_bytes(size, n->least_bytes));
}
