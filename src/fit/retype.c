/* retype.c: the bytes that a model would need if its matrices were of other types. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "gguf/write.h"
#include "kernels/kernels.h"
#include "quant/mix.h"
#include "quant/quant.h"

enum { PAGE_TABLE_PART = 512 }; /* engine.c: an entry of 8 bytes for each page of 4 KiB */

static bool is_of_file(span key)
{
    static const char alignment[] = "general.alignment", split[] = "split.";
    return span_is(key, alignment) || (key.n > strlen(split) && memcmp(key.p, split, strlen(split)) == 0);
}

status fit_retyped(gguf **out, const gguf *g, const uint32_t *types, error *err)
{
    gguf_writer *w = NULL;
    status s = gguf_writer_open_header(&w, gguf_file_name(g), err);
    if (s)
        return s;
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        if (!is_of_file(gguf_key_at(g, i)->key))
            gguf_writer_copy(w, gguf_key_at(g, i));
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        char name[GGUF_MAX_NAME + 1];
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        gguf_writer_tensor(w, name, types[i], t->n_dims, t->ne);
    }
    return gguf_writer_header(&w, out, err);
}

/* The first type whose format of activations is not in use yet; where rows pad a panel, the largest. */
static uint32_t worst_type(const fit_types *types, const gguf_tensor *t, bool in_use[ACT_FORMATS])
{
    bool padded = gguf_tensor_rows(t) % KERNELS_PANEL_ROWS != 0;
    uint32_t worst = quant_type_fitting(types->types[0], t->ne[0]);
    for (size_t i = 1; i < types->n; i++) {
        uint32_t type = quant_type_fitting(types->types[i], t->ne[0]);
        bool larger = quant_row_bytes(type, t->ne[0]) > quant_row_bytes(worst, t->ne[0]);
        bool news = in_use[kernels_act_format((int)worst)] && !in_use[kernels_act_format((int)type)];
        if (padded ? larger : news)
            worst = type;
    }
    in_use[kernels_act_format((int)worst)] = true;
    return worst;
}

/* Types that take as much beside the tensors' own bytes as any choice. */
static void stand_in(const gguf *g, const fit_types *types, uint32_t *out)
{
    bool in_use[ACT_FORMATS] = { false };
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        bool kept = quant_role_of(t->name, gguf_tensor_rows(t)) == QUANT_KEPT;
        out[i] = kept ? t->type : worst_type(types, t, in_use);
    }
}

static status plan_stand_in(const gguf *g, const engine_options *o, const fit_types *types, fit_model *f,
                            uint64_t *data, error *err)
{
    gguf *other = NULL;
    uint32_t *of = mem_array(gguf_n_tensors(g) + 1, sizeof *of);
    if (!of)
        return fail(err, E_NOMEM, "no memory for %zu tensors", gguf_n_tensors(g));
    stand_in(g, types, of);
    status s = fit_retyped(&other, g, of, err);
    if (!s)
        s = fit_memory(other, o, f, err);
    if (!s)
        *data = gguf_data_bytes(other);
    gguf_close(&other);
    mem_free(of);
    return s;
}

status fit_tensor_bytes(const gguf *g, const engine_options *o, const fit_types *types, uint64_t have_bytes,
                        uint64_t *out, error *err)
{
    fit_model f;
    uint64_t data = 0;
    char need[24], have[24];
    memset(&f, 0, sizeof f);
    status s = plan_stand_in(g, o, types, &f, &data, err);
    if (s)
        return s;
    /* what is more or less of weights is so of their page tables too */
    uint64_t apart = have_bytes > f.need_bytes ? have_bytes - f.need_bytes : f.need_bytes - have_bytes;
    uint64_t bytes = apart - apart / (PAGE_TABLE_PART + 1);
    if (have_bytes > f.need_bytes) {
        *out = data + bytes - 1;
        return OK;
    }
    if (bytes >= data)
        return fail(err, E_NOFIT, "%s: without its weights it needs %s already, of %s allowed", gguf_file_name(g),
                    str_human_bytes(need, f.need_bytes - data), str_human_bytes(have, have_bytes));
    *out = data - bytes - (apart > 0);
    return OK;
}
