#include "pack/reference.h"

#include "base/mem.h"
#include "pack/source.h"
#include "quant/mix.h"
#include "quant/quant.h"

typedef struct part {
    model *m;
    model_run *run;
} part;

/* After the layers: what is before the first, the last norm, and that with the head. One that stays is PART_ALL. */
enum { PART_EMBEDDING, PART_NORM, PART_HEAD, PART_ALL, PARTS };
static const unsigned part_ends[PARTS] = { MODEL_EMBEDDING, MODEL_NORM, MODEL_NORM | MODEL_HEAD, MODEL_ENDS };

struct reference {
    const gguf *g;
    const matrix_tools *t;
    model_spec spec;
    bool exact, quantised, stay;
    part *parts; /* [n_layers + PARTS] */
    char *kv;    /* pages of one layer */
    char *pages[REFERENCE_PIECE_MAX / KERNELS_PAGE];
    model_row rows[REFERENCE_PIECE_MAX];
    model_inputs inputs;
    float *watched;
};

static void part_close(part *p)
{
    model_run_close(&p->run);
    model_close(&p->m);
}

void reference_forget(reference *r)
{
    for (uint32_t i = 0; r->parts && i < r->spec.n_layers + PARTS; i++)
        part_close(&r->parts[i]);
}

void reference_close(reference **r)
{
    if (!r || !*r)
        return;
    reference_forget(*r);
    mem_free((*r)->parts);
    mem_free((*r)->kv);
    mem_free((*r)->watched);
    mem_free(*r);
    *r = NULL;
}

static bool only_floats(const gguf *g)
{
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        if (quant_find(gguf_tensor_at(g, i)->type)->block > 1)
            return false;
    return true;
}

static status take_memory(reference *r, error *err)
{
    const model_spec *s = &r->spec;
    size_t n_pages = REFERENCE_PIECE_MAX / KERNELS_PAGE, q = (size_t)s->n_heads * s->head_dim;
    size_t page = s->n_kv_heads * kernels_page_bytes(KV_F32, s->head_dim), rows = REFERENCE_PIECE_MAX;
    r->parts = mem_array(s->n_layers + PARTS, sizeof *r->parts);
    r->kv = mem_array(n_pages, page);
    r->watched = mem_array(rows, (2 * (size_t)s->n_embd + q + s->n_ff) * sizeof(float));
    if (!r->parts || !r->kv || !r->watched)
        return fail(err, E_NOMEM, "no memory for pieces of text");
    for (size_t i = 0; i < n_pages; i++)
        r->pages[i] = r->kv + i * page;
    r->inputs.qkv = r->watched;
    r->inputs.o = r->inputs.qkv + rows * s->n_embd;
    r->inputs.ffn = r->inputs.o + rows * q;
    r->inputs.down = r->inputs.ffn + rows * s->n_embd;
    return OK;
}

status reference_open(reference **out, const gguf *g, const matrix_tools *t, uint64_t memory, error *err)
{
    model_sizes exact, as_is;
    reference *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory");
    r->g = g;
    r->t = t;
    status s = model_plan(g, true, &r->spec, &exact, err);
    r->quantised = !only_floats(g);
    if (!s && (exact.weights_bytes <= memory || r->quantised)) {
        r->stay = r->exact = exact.weights_bytes <= memory;
    } else if (!s) {
        s = model_plan(g, false, &r->spec, &as_is, err);
        r->stay = !s && as_is.weights_bytes <= memory;
    }
    if (!s)
        s = take_memory(r, err);
    if (s)
        reference_close(&r);
    else
        *out = r;
    return s;
}

const model_spec *reference_spec(const reference *r)
{
    return &r->spec;
}

static uint32_t end_at(const reference *r, uint32_t which)
{
    return r->spec.n_layers + (r->stay ? (uint32_t)PART_ALL : which);
}

/* Where a matrix is; see reference_put. */
static uint32_t part_of(const reference *r, const gguf_tensor *t)
{
    int32_t layer = quant_layer_of(t->name);
    if (layer >= 0 && (uint32_t)layer < r->spec.n_layers)
        return (uint32_t)layer;
    bool tied = !r->spec.is_encoder && !gguf_tensor_find(r->g, "output.weight");
    bool is_head = span_starts(t->name, "output.") || span_starts(t->name, "cls.");
    return end_at(r, is_head || (tied && span_is(t->name, "token_embd.weight")) ? PART_HEAD : PART_EMBEDDING);
}

static model_keeps keeps(const reference *r, uint32_t which)
{
    uint64_t bytes = 0;
    if (!r->quantised || r->exact)
        return r->exact ? MODEL_F32 : MODEL_AS_IS;
    for (size_t i = 0; i < gguf_n_tensors(r->g); i++) {
        const gguf_tensor *t = gguf_tensor_at(r->g, i);
        if (part_of(r, t) == which)
            bytes += t->ne[0] * gguf_tensor_rows(t) * sizeof(float);
    }
    return bytes <= REFERENCE_EXACT_MOST ? MODEL_F32 : MODEL_F16;
}

static status part_load(reference *r, uint32_t i, error *err)
{
    const uint32_t n = r->spec.n_layers;
    const model_part which = i < n ? (model_part){ i, i + 1, 0 } : (model_part){ 0, 0, part_ends[i - n] };
    return r->parts[i].m ? OK : model_open_part(&r->parts[i].m, r->g, &which, keeps(r, i), r->t->p, err);
}

/* Loaded, and ready to run. */
static status part_open(reference *r, uint32_t i, part **out, error *err)
{
    part *p = *out = &r->parts[i];
    const model_run_options o = { .batch = REFERENCE_PIECE_MAX, .context = REFERENCE_PIECE_MAX, .kv = KV_F32,
                                  .logit_rows = i < r->spec.n_layers ? 1 : REFERENCE_LOGITS,
                                  .n_threads = pool_threads(r->t->p) };
    status s = part_load(r, i, err);
    if (!s && !p->run)
        s = model_run_open(&p->run, p->m, r->t->k, r->t->p, &o, err);
    return s;
}

/* The scratch of a pass is larger than a small layer: it never stays. */
static void part_done(reference *r, part *p)
{
    model_run_close(&p->run);
    if (!r->stay)
        part_close(p);
}

static size_t set_rows(reference *r, const reference_text *x, size_t piece, const model_pages *pages)
{
    size_t from = x->starts[piece], n = x->starts[piece + 1] - from;
    for (size_t i = 0; i < n; i++)
        r->rows[i] = (model_row){ .token = x->ids[from + i], .position = (uint32_t)i, .pages = pages };
    return n;
}

status reference_embed(reference *r, const reference_text *x, float *states, error *err)
{
    part *p;
    status s = part_open(r, end_at(r, PART_EMBEDDING), &p, err);
    for (size_t i = 0; !s && i < x->n; i++) {
        size_t n = set_rows(r, x, i, NULL);
        model_forward_states(p->run, r->rows, (uint32_t)n, NULL);
        model_states(p->run, states + x->starts[i] * r->spec.n_embd);
    }
    part_done(r, p);
    return s;
}

status reference_layer(reference *r, uint32_t layer, const reference_text *x, float *states, reference_watch *watch,
                       void *user, error *err)
{
    part *p;
    model_pages pages = { .of = { r->pages, r->pages } };
    status s = part_open(r, layer, &p, err);
    if (!s && watch)
        model_watch(p->run, &r->inputs);
    for (size_t i = 0; !s && i < x->n; i++) {
        float *at = states + x->starts[i] * r->spec.n_embd;
        size_t n = set_rows(r, x, i, &pages);
        model_forward_states(p->run, r->rows, (uint32_t)n, at);
        model_states(p->run, at);
        if (watch)
            s = watch(user, &r->inputs, n, err);
    }
    part_done(r, p);
    return s;
}

status reference_hidden(reference *r, const float *states, size_t n, float *out, error *err)
{
    part *p;
    const size_t n_embd = r->spec.n_embd;
    status s = part_open(r, end_at(r, PART_NORM), &p, err);
    for (size_t at = 0; !s && at < n; at += REFERENCE_PIECE_MAX) {
        size_t rows = n - at < REFERENCE_PIECE_MAX ? n - at : REFERENCE_PIECE_MAX;
        model_forward_states(p->run, r->rows, (uint32_t)rows, states + at * n_embd);
        for (size_t i = 0; i < rows; i++)
            model_hidden(p->run, (uint32_t)i, out + (at + i) * n_embd);
    }
    part_done(r, p);
    return s;
}

status reference_logits(reference *r, const float *states, size_t n, const float *out[REFERENCE_LOGITS], error *err)
{
    part *p;
    uint32_t which[REFERENCE_LOGITS];
    status s = part_open(r, end_at(r, PART_HEAD), &p, err);
    if (s)
        return s;
    model_forward_states(p->run, r->rows, (uint32_t)n, states);
    for (uint32_t i = 0; i < n; i++)
        which[i] = i;
    model_logits(p->run, which, (uint32_t)n);
    for (uint32_t i = 0; i < n; i++)
        out[i] = model_logits_at(p->run, i);
    return OK;
}

void reference_logits_done(reference *r)
{
    part_done(r, &r->parts[end_at(r, PART_HEAD)]);
}

status reference_put(reference *r, const gguf_tensor *t, model_rows *give, void *user, error *err)
{
    uint32_t i = part_of(r, t);
    status s = part_load(r, i, err);
    return s ? s : model_put(r->parts[i].m, r->g, t, give, user, r->t->p, err);
}

static status give_own(void *user, const gguf_tensor *t, uint64_t first, size_t n, float *rows, error *err)
{
    const reference *r = user;
    return source_read(r->g, t, r->t, first, 1, n, rows, err);
}

status reference_restore(reference *r, const gguf_tensor *t, error *err)
{
    return r->parts[part_of(r, t)].m ? reference_put(r, t, give_own, r, err) : OK;
}
