#include "pack/walk.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

struct walk {
    reference *r;
    const matrix_tools *t;
    const reference_text *text[MOMENTS_SETS];
    int n_sets; /* 1: none is held out */
    float *states[MOMENTS_SETS];
    uint32_t layer;
    /* the layer that runs */
    moments *into;
    int set;
};

void walk_close(walk **w)
{
    if (!w || !*w)
        return;
    for (int set = 0; set < MOMENTS_SETS; set++)
        mem_free((*w)->states[set]);
    mem_free(*w);
    *w = NULL;
}

status walk_open(walk **out, reference *r, const matrix_tools *t, const reference_text *seen,
                 const reference_text *held_out, error *err)
{
    walk *w = mem_zero(sizeof *w);
    if (!w)
        return fail(err, E_NOMEM, "no memory");
    w->r = r;
    w->t = t;
    w->text[MOMENTS_SEEN] = seen;
    w->text[MOMENTS_HELD_OUT] = held_out;
    w->n_sets = held_out ? MOMENTS_SETS : MOMENTS_HELD_OUT;
    status s = OK;
    for (int set = 0; !s && set < w->n_sets; set++) {
        size_t n = w->text[set]->starts[w->text[set]->n];
        w->states[set] = mem_array(n + 1, reference_spec(r)->n_embd * sizeof(float));
        s = w->states[set] ? reference_embed(r, w->text[set], w->states[set], err)
                           : fail(err, E_NOMEM, "no memory for the states of %zu tokens", n);
    }
    if (s)
        walk_close(&w);
    else
        *out = w;
    return s;
}

/* Causal attention leans on the first token: its key and value are part of what every later one computes, though it is
 * one input among many. So it counts as often as it is looked at. (Without this, feedback moves its errors to where the
 * first token alone would show them: SmolLM2 with q, k, v at Q4_0 lost 0.168 nats, by search 0.098, and like this
 * 0.030.) */
static void weigh_first(float *rows, size_t n_rows, size_t n)
{
    float factor = sqrtf((float)n_rows);
    for (size_t i = 0; i < n; i++)
        rows[i] *= factor;
}

static status add_inputs(void *user, const model_inputs *in, size_t n_rows, error *err)
{
    walk *w = user;
    const float *inputs[MOMENTS_OF_LAYER] = { [MOMENTS_QKV] = in->qkv, [MOMENTS_O] = in->o, [MOMENTS_FFN] = in->ffn,
                                              [MOMENTS_DOWN] = in->down };
    status s = OK;
    if (!reference_spec(w->r)->is_encoder)
        weigh_first(in->qkv, n_rows, w->into[MOMENTS_QKV].n);
    for (int k = 0; !s && k < MOMENTS_OF_LAYER; k++)
        s = moments_add(&w->into[k], w->set, w->t, inputs[k], n_rows, err);
    return s;
}

status walk_layer(walk *w, moments out[MOMENTS_OF_LAYER], error *err)
{
    const model_spec *m = reference_spec(w->r);
    const size_t widths[MOMENTS_OF_LAYER] = { [MOMENTS_QKV] = m->n_embd, [MOMENTS_O] = (size_t)m->n_heads * m->head_dim,
                                              [MOMENTS_FFN] = m->n_embd, [MOMENTS_DOWN] = m->n_ff };
    status s = OK;
    memset(out, 0, MOMENTS_OF_LAYER * sizeof *out);
    for (int k = 0; !s && k < MOMENTS_OF_LAYER; k++)
        s = moments_open(&out[k], widths[k], w->n_sets, err);
    w->into = out;
    for (w->set = 0; !s && w->set < w->n_sets; w->set++)
        s = reference_layer(w->r, w->layer, w->text[w->set], w->states[w->set], add_inputs, w, err);
    w->layer++;
    for (int k = 0; k < MOMENTS_OF_LAYER; k++) {
        if (s)
            moments_close(&out[k]);
        else
            moments_finish(&out[k]);
    }
    return s;
}

status walk_past(walk *w, error *err)
{
    status s = OK;
    for (int set = 0; !s && set < w->n_sets; set++)
        s = reference_layer(w->r, w->layer, w->text[set], w->states[set], NULL, NULL, err);
    w->layer++;
    return s;
}

status walk_head(walk *w, moments *out, error *err)
{
    size_t n_embd = reference_spec(w->r)->n_embd;
    float *rows = mem_array(REFERENCE_PIECE_MAX, n_embd * sizeof *rows);
    memset(out, 0, sizeof *out);
    status s = rows ? moments_open(out, n_embd, w->n_sets, err)
                    : fail(err, E_NOMEM, "no memory for rows of the last norm");
    for (int set = 0; !s && set < w->n_sets; set++) {
        size_t n = w->text[set]->starts[w->text[set]->n];
        for (size_t at = 0; !s && at < n; at += REFERENCE_PIECE_MAX) {
            size_t now = n - at < REFERENCE_PIECE_MAX ? n - at : REFERENCE_PIECE_MAX;
            s = reference_hidden(w->r, w->states[set] + at * n_embd, now, rows, err);
            if (!s)
                s = moments_add(out, set, w->t, rows, now, err);
        }
    }
    mem_free(rows);
    if (s)
        moments_close(out);
    else
        moments_finish(out);
    return s;
}
