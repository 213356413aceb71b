#include "cli/quantize_fit.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/budget.h"
#include "cli/load.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "pack/quantize.h"
#include "quant/mix.h"
#include "quant/quant.h"

/* Beside those that allocation chooses of: the types that tensors have already. */
enum { OWN_TYPES = 8, TYPES = PACK_TYPES + OWN_TYPES };

static size_t candidate_types(const gguf *g, uint32_t types[TYPES])
{
    size_t n = 0;
    for (size_t i = 0; i < PACK_TYPES; i++)
        types[n++] = pack_types[i];
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        bool known = quant_role_of(t->name, gguf_tensor_rows(t)) == QUANT_KEPT;
        for (size_t k = 0; !known && k < n; k++)
            known = types[k] == t->type;
        if (!known && n < TYPES)
            types[n++] = t->type;
    }
    return n;
}

status quantize_fit_bytes(const char *path, uint32_t context, uint64_t mem, uint64_t *out, error *err)
{
    const load_options as_run = { .context = context };
    engine_options o;
    gguf *g = NULL;
    uint32_t types[TYPES];
    char whole[24], have[24];
    load_engine_options(&as_run, &o);
    status s = gguf_open(&g, path, err);
    if (s)
        return s;
    uint64_t most = budget_of(mem), source = gguf_data_bytes(g);
    const fit_types choice = { types, candidate_types(g, types) };
    s = fit_tensor_bytes(g, &o, &choice, most, out, err);
    if (!s && *out >= source) {
        fprintf(stderr, "note: %s fits as it is (weights of %s, within %s in all): nothing must be lost\n",
                gguf_file_name(g), str_human_bytes(whole, source), str_human_bytes(have, most));
        *out = source;
    }
    gguf_close(&g);
    return s;
}
