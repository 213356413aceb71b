/* encode.c: tensors in the order in which the model computes, so that what is known of their inputs need not be kept:
 * a layer's second moments are gathered, its matrices encoded, and both forgotten. */
#include <inttypes.h>

#include "base/mem.h"
#include "pack/job.h"
#include "pack/source.h"
#include "pack/walk.h"

enum {
    SLAB_FLOATS = 4 << 20, /* between two writes */
    WAY_PIECES = 2,        /* held out, by which a way is chosen */
};

/* ---- the walk ---- */

static bool is_of(const pack_tensor *t, int32_t layer, moments_kind kind, encode_wanted *wanted)
{
    return t->layer == layer && t->kind == kind && wanted(t);
}

enum { ANY_LAYER = INT32_MIN };

/* Does anybody ask for a tensor of this layer whose inputs are known? */
static bool any_of(const job *j, int32_t layer, encode_wanted *wanted)
{
    for (size_t i = 0; i < j->n; i++) {
        const pack_tensor *t = &j->tensors[i];
        if (t->kind != MOMENTS_KINDS && (t->layer == layer || layer == ANY_LAYER) && wanted(t))
            return true;
    }
    return false;
}

static status keep_importances(const job *j, pack_tensor *t, const encoder *e, error *err)
{
    const float *mean = encoder_importances(e);
    size_t n = (size_t)t->t->ne[0];
    if (!j->o->save_imatrix || !mean || t->sum2)
        return OK;
    t->sum2 = mem_array(n, sizeof *t->sum2);
    for (size_t i = 0; t->sum2 && i < n; i++)
        t->sum2[i] = mean[i] * (float)j->set[MOMENTS_SEEN].n_ids;
    return t->sum2 ? OK : fail(err, E_NOMEM, "no memory for %zu importances", n);
}

/* Does a tensor that is wanted need the factors of its inputs' moments? One that has no other type yet may. */
static bool any_fed(const job *j, int32_t layer, moments_kind kind, encode_wanted *wanted)
{
    for (size_t i = 0; i < j->n; i++) {
        const pack_tensor *t = &j->tensors[i];
        bool open = t->to == t->from, fed = t->to != t->grid && encoder_feeds(t->to->id);
        if (is_of(t, layer, kind, wanted) && t->way == ENCODER_FEEDBACK && (open || fed))
            return true;
    }
    return false;
}

static status walk_kind(job *j, int32_t layer, moments_kind kind, const moments *m, encode_wanted *wanted,
                        encode_each *each, error *err)
{
    encoder *e = NULL;
    status s = OK;
    for (size_t i = 0; !s && i < j->n; i++) {
        pack_tensor *t = &j->tensors[i];
        if (!is_of(t, layer, kind, wanted))
            continue;
        if (!e)
            s = encoder_open(&e, &j->tools, m, any_fed(j, layer, kind, wanted), j->o->damping, err);
        if (!s)
            s = keep_importances(j, t, e, err);
        if (!s)
            s = each(j, t, e, err);
    }
    encoder_close(&e);
    return s;
}

static status walk_one(job *j, walk *w, int32_t layer, encode_wanted *wanted, encode_each *each, error *err)
{
    moments m[MOMENTS_OF_LAYER];
    if (!any_of(j, layer, wanted))
        return walk_past(w, err);
    status s = walk_layer(w, m, err);
    for (int k = 0; k < MOMENTS_OF_LAYER; k++) {
        if (!s)
            s = walk_kind(j, layer, (moments_kind)k, &m[k], wanted, each, err);
        moments_close(&m[k]);
    }
    return s;
}

static status walk_model(job *j, encode_wanted *wanted, encode_each *each, size_t n_held_out, error *err)
{
    reference_text held_out = j->read[MOMENTS_HELD_OUT];
    reference *r = NULL;
    walk *w = NULL;
    moments head;
    held_out.n = held_out.n < n_held_out ? held_out.n : n_held_out;
    status s = reference_open(&r, j->file, &j->tools, 0, err);
    if (!s)
        s = walk_open(&w, r, &j->tools, &j->read[MOMENTS_SEEN], held_out.n ? &held_out : NULL, err);
    for (uint32_t l = 0; !s && l < reference_spec(r)->n_layers; l++)
        s = walk_one(j, w, (int32_t)l, wanted, each, err);
    if (!s && !reference_spec(r)->is_encoder && any_of(j, -1, wanted)) {
        s = walk_head(w, &head, err);
        if (!s)
            s = walk_kind(j, -1, MOMENTS_HEAD, &head, wanted, each, err);
        moments_close(&head);
    }
    walk_close(&w);
    reference_close(&r);
    return s;
}

/* Tensors of whose inputs nothing is known, or no more than the importances of channels. */
static status walk_rest(job *j, encode_wanted *wanted, encode_each *each, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < j->n; i++) {
        pack_tensor *t = &j->tensors[i];
        const float *importances = NULL;
        encoder *e = NULL;
        if ((j->text.n && t->kind != MOMENTS_KINDS) || !wanted(t))
            continue;
        if (j->imatrix)
            s = imatrix_find(j->imatrix, t->t->name, t->t->ne[0], &importances, err);
        if (!s)
            s = encoder_open_simple(&e, &j->tools, importances, (size_t)t->t->ne[0], err);
        if (!s)
            s = each(j, t, e, err);
        encoder_close(&e);
    }
    return s;
}

status encode_walk(job *j, encode_wanted *wanted, encode_each *each, size_t n_held_out, error *err)
{
    status s = j->text.n && any_of(j, ANY_LAYER, wanted) ? walk_model(j, wanted, each, n_held_out, err) : OK;
    return s ? s : walk_rest(j, wanted, each, err);
}

/* ---- encoding ---- */

static status tell(job *j, uint64_t bytes, error *err)
{
    j->done += bytes;
    return job_tell(j, "encoding", j->done, j->report.source_bytes, err);
}

static size_t slab_rows(const gguf_tensor *t)
{
    uint64_t most = SLAB_FLOATS / t->ne[0], rows = gguf_tensor_rows(t);
    most = most ? most : 1;
    return (size_t)(most < rows ? most : rows);
}

static status encode_rows(job *j, const pack_tensor *t, const encoder *e, const float *rows, size_t n, void *out,
                          error *err)
{
    if (t->to != t->grid)
        return encoder_rows(e, t->way, t->to->id, rows, n, out, err);
    if (source_on_grid(t->t, &j->tools, t->grid->id, rows, n, out))
        return OK;
    return fail(err, E_FORMAT, "%s: tensor '%.*s' has changed since it was looked at", gguf_file_name(j->file),
                (int)t->t->name.n, t->t->name.p);
}

static bool is_to_encode(const pack_tensor *t)
{
    return t->to != t->from && !t->whole;
}

/* Also those whose inputs only are of interest, for pack_options.save_imatrix. */
static bool is_matrix(const pack_tensor *t)
{
    return is_to_encode(t) || (t->role != QUANT_KEPT && t->kind != MOMENTS_KINDS);
}

/* A given type leaves the way open; a found one has been tried. */
static bool has_two_ways(const job *j, const pack_tensor *t)
{
    return j->o->type && j->read[MOMENTS_HELD_OUT].n && t->kind != MOMENTS_KINDS && t->way == ENCODER_FEEDBACK &&
           t->to != t->grid && encoder_feeds(t->to->id);
}

static status encode_tensor(job *j, pack_tensor *pt, const encoder *e, error *err)
{
    if (!is_to_encode(pt))
        return OK;
    const gguf_tensor *t = pt->t;
    const uint64_t rows = gguf_tensor_rows(t), in_bytes = t->bytes / rows;
    const size_t out_bytes = (size_t)quant_row_bytes(pt->to->id, t->ne[0]), most = slab_rows(t);
    float *values = mem_array(most, (size_t)t->ne[0] * sizeof *values);
    unsigned char *out = mem_array(most, out_bytes);
    status s = out && values ? OK : fail(err, E_NOMEM, "no memory for %zu rows of %" PRIu64 " values", most, t->ne[0]);
    if (!s && has_two_ways(j, pt))
        s = survey_way(j, pt, e, err);
    for (uint64_t r = 0; !s && r < rows; r += most) {
        size_t n = most < rows - r ? most : (size_t)(rows - r);
        s = source_read(j->file, t, &j->tools, r, 1, n, values, err);
        if (!s)
            s = encode_rows(j, pt, e, values, n, out, err);
        if (!s)
            s = source_check(j->file, t, pt->to->id, values, out, r, n, err);
        if (!s)
            gguf_writer_data_at(j->w, pt->index, r * out_bytes, out, n * out_bytes);
        if (!s)
            s = gguf_writer_ok(j->w, err);
        if (!s)
            s = tell(j, n * in_bytes, err);
    }
    mem_free(values);
    mem_free(out);
    return s;
}

static status copy_tensor(job *j, const pack_tensor *pt, error *err)
{
    const gguf_tensor *t = pt->t;
    const unsigned char *data = t->data;
    status s = gguf_check_rows(j->file, t, err);
    for (uint64_t at = 0; !s && at < t->bytes; at += GGUF_RELEASE_STEP) {
        uint64_t n = t->bytes - at < GGUF_RELEASE_STEP ? t->bytes - at : GGUF_RELEASE_STEP;
        gguf_writer_data_at(j->w, pt->index, at, data + at, (size_t)n);
        gguf_release(j->file, data + at, (size_t)n);
        s = tell(j, n, err);
    }
    return s;
}

status encode_all(job *j, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < j->n; i++) {
        const pack_tensor *t = &j->tensors[i];
        if (t->whole)
            j->done += t->t->bytes;
        else if (t->to == t->from)
            s = copy_tensor(j, t, err);
    }
    size_t n_held_out = j->o->type && j->o->way == ENCODER_FEEDBACK ? WAY_PIECES : 0;
    return s ? s : encode_walk(j, j->o->save_imatrix ? is_matrix : is_to_encode, encode_tensor, n_held_out, err);
}
