/* slice.c: see engine_int.h. The chunk has activations of its own, so that the passes of others do not disturb it; its
 * keys and values go into the session's pages layer by layer, where nobody looks before the length says so. */
#include <assert.h>

#include "base/mem.h"
#include "engine/engine_int.h"

static model_run_options with_one_logit(const model_run_options *o)
{
    model_run_options own = *o;
    own.logit_rows = 1;
    return own;
}

uint64_t slice_bytes(const model_spec *spec, const model_run_options *o)
{
    model_run_options own = with_one_logit(o);
    return model_run_bytes(spec, &own) + o->batch * sizeof(model_row);
}

status slice_open(engine *e, const model_run_options *o, error *err)
{
    model_run_options own = with_one_logit(o);
    e->slice_rows = mem_array(o->batch, sizeof *e->slice_rows);
    if (!e->slice_rows)
        return fail(err, E_NOMEM, "no memory for the rows of a prompt");
    return model_run_open(&e->slices, e->model, &e->k, e->pool, &own, err);
}

void slice_close(engine *e)
{
    model_run_close(&e->slices);
    mem_free(e->slice_rows);
    e->slice_rows = NULL;
}

status slice_begin(engine *e, const engine_row *rows, uint32_t n, error *err)
{
    assert(!e->sliced && n > 0 && n <= e->batch);
    status s = session_reserve(e, rows, n, err);
    if (s)
        return s;
    e->sliced = rows[0].session;
    e->slice_wants = rows[n - 1].want_logits;
    for (uint32_t i = 0; i < n; i++) {
        e->sliced->tokens[rows[i].position] = rows[i].token;
        e->slice_rows[i] = (model_row){ rows[i].token, rows[i].position, &e->sliced->pages, 0 };
    }
    model_forward_begin(e->slices, e->slice_rows, n);
    return OK;
}

bool slice_run(engine *e, uint32_t n_layers, const float **logits)
{
    session *s = e->sliced;
    *logits = NULL;
    if (!model_forward_layers(e->slices, n_layers))
        return false;
    uint32_t last = s->pending - 1;
    s->length += s->pending;
    s->pending = 0;
    e->sliced = NULL;
    if (e->slice_wants) {
        model_logits(e->slices, &last, 1);
        *logits = model_logits_at(e->slices, 0);
    }
    return true;
}

void slice_drop(engine *e)
{
    session *s = e->sliced;
    if (!s)
        return;
    e->sliced = NULL;
    s->pending = 0;
    session_truncate(s, s->length);
}
