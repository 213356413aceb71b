/* calibrate.c: the text by which a model is looked at, and its division in what is seen and what is held out. */
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "pack/job.h"
#include "token/vocab.h"

static bool can_calibrate(const job *j)
{
    model_spec spec;
    model_sizes sizes;
    error ignored = { 0 };
    return model_plan(j->file, true, &spec, &sizes, &ignored) == OK;
}

static status divide(job *j, error *err)
{
    const texts *all = &j->text;
    for (int set = 0; set < MOMENTS_SETS; set++) {
        texts *t = &j->set[set];
        t->ids = mem_array(all->n_ids + 1, sizeof *t->ids);
        t->starts = mem_array(all->n + 1, sizeof *t->starts);
        if (!t->ids || !t->starts)
            return fail(err, E_NOMEM, "no memory for %zu tokens", all->n_ids);
        for (size_t i = 0; i < all->n; i++) {
            size_t n = all->starts[i + 1] - all->starts[i];
            if (texts_is_held_out(i) != (set == MOMENTS_HELD_OUT))
                continue;
            memcpy(t->ids + t->n_ids, all->ids + all->starts[i], n * sizeof *t->ids);
            t->n_ids += n;
            t->starts[++t->n] = t->n_ids;
        }
        j->read[set] = (reference_text){ t->ids, t->starts, t->n };
    }
    return OK;
}

static status read_given(job *j, uint32_t piece, error *err)
{
    vocab *v;
    status s = vocab_open(&v, j->file, err);
    if (s)
        return s;
    s = texts_of(&j->text, v, (span){ j->o->text, j->o->text_bytes }, piece, j->o->tokens, err);
    vocab_close(&v);
    return s;
}

status calibrate_open(job *j, error *err)
{
    model_spec spec;
    model_sizes sizes;
    if (j->o->way == ENCODER_PLAIN || !j->o->text || !can_calibrate(j))
        return OK;
    status s = model_plan(j->file, true, &spec, &sizes, err);
    uint32_t piece = !s && spec.context_train && spec.context_train < REFERENCE_PIECE_MAX ? spec.context_train
                                                                                          : REFERENCE_PIECE_MAX;
    if (!s)
        s = read_given(j, piece, err);
    return s ? s : divide(j, err);
}

void calibrate_close(job *j)
{
    texts_clear(&j->text);
    for (int set = 0; set < MOMENTS_SETS; set++)
        texts_clear(&j->set[set]);
}
