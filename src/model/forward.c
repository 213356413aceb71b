/* forward.c: the forward pass in terms of kernels: what each thread does between two barriers.
 *
 * A layer is five products: q k v | attention | o | gate up act | down. Before each product its input is prepared row
 * by row (residual sum, norm, quantisation). A pass of few rows prepares every row on every thread, in memory of the
 * thread's own: that costs less than a barrier, and leaves five barriers a layer. A pass of many rows shares the
 * preparation out by row, with a barrier after it. Both compute the same numbers: no result depends on who computes it,
 * since each output of a kernel is one fixed chain over one row of input (docs/NUMERICS.md).
 *
 *     x  [n][n_embd] the residual stream          qkv [n][q | k | v]        att [n][heads x head_dim]
 *     proj [n][n_embd] output of o and of down    h   [n][n_ff] gate, up, activation done */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/maths.h"
#include "model/model_int.h"

enum {
    ALIGN = 64,
    ALONE_ROWS = MODEL_ALONE_ROWS,
    TILE_ROWS = 16,  /* most rows of one attention call */
    TILE_QUERIES = 64, /* and most queries, unless one row alone has more */
    FFN_TILE = 64,   /* values of gate and up that a thread computes for all rows before it multiplies them */
};

typedef struct tile {
    uint32_t row, n; /* adjacent rows of one sequence */
    uint32_t last;   /* the last position of that sequence in this pass */
} tile;

typedef struct thread_memory {
    float *x, *row; /* [ALONE_ROWS][x_stride]; one row */
    char *act[ACT_FORMATS];
    float *gate, *up; /* [batch][FFN_TILE] */
    char *file_row;
    kernels_query *queries;
    float *into, *next; /* states of the queries */
    const void **pages;
    uint32_t head_from, head_to; /* heads (then pairs of KV heads) of the fused qkv phase */
} thread_memory;

struct model_run {
    const model *m;
    const kernels *k;
    pool *pool;
    model_run_options o;
    size_t x_stride, qkv_stride, k_at, v_at, att_stride, h_stride, logit_stride; /* in floats */
    size_t act_stride[ACT_FORMATS];
    size_t head_page_bytes, state_floats, max_queries;
    float *x, *qkv, *att, *proj, *h, *logits;
    float *rope[2]; /* [batch][rope_dim]: tables of global and of window layers */
    float *q_factor; /* [batch] */
    char *act[ACT_FORMATS];
    model_rope ropes[2];
    tile *tiles;
    thread_memory *threads;
    void *block;
    gauge alone, shared; /* threads for passes of one row, and of more */
    uint32_t divided_by; /* threads that heads are divided among */
    bool heads_fit; /* whole heads divide well among the threads: norm, rope and KV follow in the phase of qkv */
    /* the pass */
    const model_row *rows;
    const uint32_t *which;
    const float *given; /* [n][n_embd] in place of embeddings; NULL: none */
    model_inputs watched;
    uint32_t n, n_tiles, layer, layer_to; /* layer: the next one; layer_to: where this piece of the pass ends */
};

/* One thread's view of a pass. */
typedef struct view {
    model_run *r;
    thread_memory *t;
    int index, count;
    bool alone;
    uint32_t n, from, to; /* rows of the pass; those that this thread prepares */
    float *x;
    char *act[ACT_FORMATS];
} view;

/* ---- memory ---- */

typedef struct carve {
    char *base; /* NULL: only count */
    size_t used;
} carve;

static void *take(carve *c, size_t n, size_t size)
{
    void *p = c->base ? c->base + c->used : NULL;
    c->used += (n * size + ALIGN - 1) / ALIGN * ALIGN;
    return p;
}

static size_t pad16(size_t n)
{
    return (n + 15) / 16 * 16;
}

static size_t max3(size_t a, size_t b, size_t c)
{
    size_t m = a > b ? a : b;
    return m > c ? m : c;
}

static void strides(model_run *r, const model_spec *s)
{
    size_t q = (size_t)s->n_heads * s->head_dim, kv = (size_t)s->n_kv_heads * s->head_dim;
    r->x_stride = pad16(s->n_embd);
    r->k_at = pad16(q);
    r->v_at = r->k_at + pad16(kv);
    r->qkv_stride = r->v_at + pad16(kv);
    r->att_stride = pad16(q);
    r->h_stride = pad16(s->n_ff);
    r->logit_stride = pad16(s->n_logits);
    size_t cols = max3(s->n_embd, q, s->n_ff);
    for (int f = 0; f < ACT_FORMATS; f++)
        if (s->act_formats >> f & 1)
            r->act_stride[f] = kernels_act_bytes((enum kernels_act)f, (cols + 255) / 256 * 256);
    r->head_page_bytes = kernels_page_bytes(r->o.kv, s->head_dim);
    r->state_floats = KERNELS_STATE_HEADER + s->head_dim;
    size_t group = s->n_heads / s->n_kv_heads;
    r->max_queries = group > TILE_QUERIES ? group : TILE_QUERIES;
}

static void lay_out(model_run *r, const model_spec *s, carve *c)
{
    size_t b = r->o.batch, f = sizeof(float);
    r->x = take(c, b * r->x_stride, f);
    r->qkv = take(c, b * r->qkv_stride, f);
    r->att = take(c, b * r->att_stride, f);
    r->proj = take(c, b * r->x_stride, f);
    r->h = take(c, b * r->h_stride, f);
    r->logits = take(c, r->o.logit_rows * r->logit_stride, f);
    r->q_factor = take(c, b, f);
    r->tiles = take(c, b, sizeof(tile));
    for (int i = 0; i < 2; i++) {
        r->rope[i] = take(c, b * s->rope_dim, f);
        r->ropes[i].freq = take(c, s->rope_dim / 2, sizeof(double));
    }
    for (int i = 0; i < ACT_FORMATS; i++)
        r->act[i] = take(c, b, r->act_stride[i]);
    r->threads = take(c, (size_t)r->o.n_threads, sizeof(thread_memory));
    for (int t = 0; t < r->o.n_threads; t++) {
        thread_memory m = { .x = take(c, ALONE_ROWS * r->x_stride, f), .row = take(c, r->x_stride, f) };
        for (int i = 0; i < ACT_FORMATS; i++)
            m.act[i] = take(c, ALONE_ROWS, r->act_stride[i]);
        m.gate = take(c, b * FFN_TILE, f);
        m.up = take(c, b * FFN_TILE, f);
        m.file_row = take(c, s->n_embd, f);
        m.queries = take(c, r->max_queries, sizeof(kernels_query));
        m.into = take(c, r->max_queries * r->state_floats, f);
        m.next = take(c, r->max_queries * r->state_floats, f);
        m.pages = take(c, r->o.context / KERNELS_PAGE + 1, sizeof(void *));
        if (c->base)
            r->threads[t] = m;
    }
}

uint64_t model_run_bytes(const model_spec *spec, const model_run_options *o)
{
    model_run r = { .o = *o };
    carve c = { 0 };
    strides(&r, spec);
    lay_out(&r, spec, &c);
    return c.used + ALIGN + sizeof(model_run);
}

/* Divides heads (weight 1) and pairs of KV heads (weight 2) among the threads. Worth it when whole heads are whole
 * panels and no thread gets a third more than its share. */
static void divide_heads(model_run *r, uint32_t n)
{
    const model_spec *s = &r->m->spec;
    uint32_t total = s->n_heads + 2 * s->n_kv_heads, units = s->n_heads + s->n_kv_heads;
    uint32_t most = 0, unit = 0, done = 0;
    for (uint32_t t = 0; t < n; t++) {
        uint32_t goal = (uint32_t)((uint64_t)total * (t + 1) / n), load = 0;
        r->threads[t].head_from = unit;
        while (unit < units) {
            uint32_t weight = unit < s->n_heads ? 1 : 2;
            if (t + 1 < n && done + weight > goal + weight / 2)
                break;
            done += weight;
            load += weight;
            unit++;
        }
        r->threads[t].head_to = unit;
        most = load > most ? load : most;
    }
    r->divided_by = n;
    r->heads_fit = s->head_dim % KERNELS_PANEL_ROWS == 0 && (uint64_t)most * n * 3 <= (uint64_t)total * 4;
}

status model_run_open(model_run **out, const model *m, const kernels *k, pool *p, const model_run_options *o,
                      error *err)
{
    model_run *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory for the forward pass");
    r->m = m;
    r->k = k;
    r->pool = p;
    r->o = *o;
    assert(pool_threads(p) == o->n_threads && o->batch > 0 && o->logit_rows > 0);
    carve count = { 0 };
    strides(r, &m->spec);
    lay_out(r, &m->spec, &count);
    r->block = mem_zero(count.used + ALIGN);
    if (!r->block) {
        model_run_close(&r);
        return fail(err, E_NOMEM, "no memory for %zu bytes of activations", count.used);
    }
    carve c = { .base = (char *)(((uintptr_t)r->block + ALIGN - 1) / ALIGN * ALIGN) };
    lay_out(r, &m->spec, &c);
    for (int i = 0; i < 2; i++)
        model_rope_init(&r->ropes[i], m, i == 1, o->context);
    pool_gauge(p, &r->alone);
    pool_gauge(p, &r->shared);
    *out = r;
    return OK;
}

void model_run_close(model_run **r)
{
    if (!r || !*r)
        return;
    mem_free((*r)->block);
    mem_free(*r);
    *r = NULL;
}

/* ---- parts of a phase ---- */


/* After rows were prepared: everybody must see them, unless everybody has made them. */
static void prepared(const view *v)
{
    if (!v->alone)
        pool_barrier(v->r->pool);
}

/* Quantises one row into every format that these matrices take. */
static void quantise(const view *v, uint32_t row, const float *x, const model_matrix *const *ms, int n, float *watched)
{
    if (watched && (!v->alone || v->index == 0))
        memcpy(watched + (size_t)row * ms[0]->cols, x, ms[0]->cols * sizeof *x);
    uint32_t done = 0;
    for (int i = 0; i < n; i++) {
        enum kernels_act f = kernels_act_format(ms[i]->type);
        if (!(done >> f & 1))
            v->r->k->quantize[f](x, ms[i]->cols, v->act[f] + row * v->r->act_stride[f]);
        done |= 1u << f;
    }
}

/* Panels [from, to) of a matrix times all prepared rows. out is where the output `from * 16` of row 0 goes. */
static void multiply(const view *v, const model_matrix *m, size_t from, size_t to, float *out, size_t stride)
{
    enum kernels_act f = kernels_act_format(m->type);
    if (from < to)
        v->r->k->mul[m->type](m->panels + from * m->panel_bytes, to - from, m->cols, v->act[f], v->r->act_stride[f],
                              v->n, out, stride);
}

static size_t panels_of(const model_matrix *m)
{
    return (m->rows + KERNELS_PANEL_ROWS - 1) / KERNELS_PANEL_ROWS;
}

/* This thread's share of a whole matrix. */
static void multiply_share(const view *v, const model_matrix *m, float *out, size_t stride)
{
    size_t from, to;
    pool_part(panels_of(m), v->index, v->count, &from, &to);
    multiply(v, m, from, to, out + from * KERNELS_PANEL_ROWS, stride);
}

static void embed_more(const view *v, const model_matrix *table, size_t at, float *x)
{
    kernels_gather(table->type, table->panels, table->cols, at, v->t->file_row, v->t->row);
    v->r->k->add(x, v->t->row, table->cols, x);
}

static void embed(const view *v, uint32_t row)
{
    const model *m = v->r->m;
    float *x = v->x + row * v->r->x_stride;
    kernels_gather(m->embed.type, m->embed.panels, m->embed.cols, (size_t)v->r->rows[row].token, v->t->file_row, x);
    if (m->spec.embed_scale != 1.0f)
        v->r->k->scale(x, m->spec.embed_scale, m->spec.n_embd, x);
    if (m->types.panels)
        embed_more(v, &m->types, v->r->rows[row].type, x);
    if (m->positions.panels)
        embed_more(v, &m->positions, v->r->rows[row].position, x);
    if (m->embed_norm)
        v->r->k->layer_norm(x, m->embed_norm, m->embed_shift, m->spec.n_embd, m->spec.norm_eps, x);
}

/* x += post-norm(proj + bias), or, with `shift`, x = layer-norm(x + proj + bias) */
static void add_output(const view *v, uint32_t row, const float *bias, const float *post_norm, const float *shift)
{
    const kernels *k = v->r->k;
    const model_spec *s = &v->r->m->spec;
    const float *y = v->r->proj + row * v->r->x_stride;
    float *x = v->x + row * v->r->x_stride;
    if (bias) {
        k->add(y, bias, s->n_embd, v->t->row);
        y = v->t->row;
    }
    if (post_norm && !shift) {
        k->rms_norm(y, post_norm, s->n_embd, s->norm_eps, v->t->row);
        y = v->t->row;
    }
    k->add(x, y, s->n_embd, x);
    if (shift)
        k->layer_norm(x, post_norm, shift, s->n_embd, s->norm_eps, x);
}

/* weight NULL: the row is normed already. */
static void norm_and_quantise(const view *v, uint32_t row, const float *weight, const model_matrix *const *ms, int n,
                              float *watched)
{
    const model_spec *s = &v->r->m->spec;
    const float *x = v->x + row * v->r->x_stride;
    if (weight) {
        v->r->k->rms_norm(x, weight, s->n_embd, s->norm_eps, v->t->row);
        x = v->t->row;
    }
    quantise(v, row, x, ms, n, watched);
}

/* ---- q, k, v ---- */

/* Bias, norm and rope of one head in place. */
static void finish_head(const view *v, float *x, const float *bias, const float *norm, const float *table)
{
    const kernels *k = v->r->k;
    const model_spec *s = &v->r->m->spec;
    if (bias)
        k->add(x, bias, s->head_dim, x);
    if (norm)
        k->rms_norm(x, norm, s->head_dim, s->norm_eps, x);
    if (s->arch->rope == ARCH_ROPE_ADJACENT)
        k->rope_norm(x, table, s->rope_dim);
    else
        k->rope_neox(x, table, s->rope_dim);
}

static char *head_page(const model_run *r, const model_row *row, uint32_t page, uint32_t layer, uint32_t kv_head)
{
    const model_spec *s = &r->m->spec;
    return row->pages->of[s->is_window[layer]][page] +
           ((size_t)s->place[layer] * s->n_kv_heads + kv_head) * r->head_page_bytes;
}

/* Unit u is head u, or pair of KV heads u - n_heads: for all rows of the pass. */
static void finish_unit(const view *v, uint32_t layer, uint32_t unit)
{
    model_run *r = v->r;
    const model_layer *l = &r->m->layers[layer];
    const model_spec *s = &r->m->spec;
    size_t d = s->head_dim;
    const float *tables = r->rope[s->is_window[layer]];
    for (uint32_t i = 0; i < v->n; i++) {
        float *qkv = r->qkv + i * r->qkv_stride;
        const float *table = tables + i * s->rope_dim;
        if (unit < s->n_heads) {
            float *q = qkv + unit * d;
            finish_head(v, q, l->q_bias ? l->q_bias + unit * d : NULL, l->q_norm, table);
            if (r->q_factor[i] != 1.0f)
                r->k->scale(q, r->q_factor[i], d, q);
            continue;
        }
        uint32_t h = unit - s->n_heads, position = r->rows[i].position;
        float *key = qkv + r->k_at + h * d, *value = qkv + r->v_at + h * d;
        finish_head(v, key, l->k_bias ? l->k_bias + h * d : NULL, l->k_norm, table);
        if (l->v_bias)
            r->k->add(value, l->v_bias + h * d, d, value);
        r->k->kv_store[r->o.kv](head_page(r, &r->rows[i], position / KERNELS_PAGE, layer, h), d,
                                (int)(position % KERNELS_PAGE), key, value);
    }
}

/* Whole heads: product, and at once what follows it. Adjacent heads are one call. */
static void qkv_by_heads(const view *v, uint32_t layer)
{
    model_run *r = v->r;
    const model_layer *l = &r->m->layers[layer];
    const model_spec *s = &r->m->spec;
    size_t panels = s->head_dim / KERNELS_PANEL_ROWS, d = s->head_dim;
    uint32_t from = v->t->head_from, to = v->t->head_to, n_q = s->n_heads;
    uint32_t q_to = to < n_q ? to : n_q, kv_from = from > n_q ? from - n_q : 0, kv_to = to > n_q ? to - n_q : 0;
    if (from < q_to)
        multiply(v, &l->q, from * panels, q_to * panels, r->qkv + from * d, r->qkv_stride);
    if (kv_from < kv_to) {
        multiply(v, &l->k, kv_from * panels, kv_to * panels, r->qkv + r->k_at + kv_from * d, r->qkv_stride);
        multiply(v, &l->v, kv_from * panels, kv_to * panels, r->qkv + r->v_at + kv_from * d, r->qkv_stride);
    }
    for (uint32_t u = from; u < to; u++)
        finish_unit(v, layer, u);
}

/* Panels first, heads after a barrier: for heads that are not whole panels, and for many threads. */
static void qkv_by_panels(const view *v, uint32_t layer)
{
    model_run *r = v->r;
    const model_layer *l = &r->m->layers[layer];
    const model_spec *s = &r->m->spec;
    const model_matrix *ms[3] = { &l->q, &l->k, &l->v };
    float *outs[3] = { r->qkv, r->qkv + r->k_at, r->qkv + r->v_at };
    size_t from, to, at = 0;
    pool_part(panels_of(ms[0]) + 2 * panels_of(ms[1]), v->index, v->count, &from, &to);
    for (int i = 0; i < 3; i++) {
        size_t n = panels_of(ms[i]);
        size_t a = from > at ? from - at : 0, b = to > at ? to - at : 0;
        a = a < n ? a : n;
        b = b < n ? b : n;
        multiply(v, ms[i], a, b, outs[i] + a * KERNELS_PANEL_ROWS, r->qkv_stride);
        at += n;
    }
    pool_barrier(r->pool);
    pool_part(s->n_heads + s->n_kv_heads, v->index, v->count, &from, &to);
    for (size_t u = from; u < to; u++)
        finish_unit(v, layer, (uint32_t)u);
}

/* ---- attention ---- */

/* Heads [head, head + n_heads) of one KV head, for the rows of one tile. */
static void attend_tile(const view *v, uint32_t layer, const tile *t, uint32_t head, uint32_t n_heads)
{
    model_run *r = v->r;
    const model_spec *s = &r->m->spec;
    uint32_t kv_head = head / (s->n_heads / s->n_kv_heads), window = s->is_window[layer] ? s->window : 0;
    kernels_attn a = { .head_dim = s->head_dim, .scale = s->q_scale, .softcap = s->attn_cap };
    uint32_t n = 0, first = UINT32_MAX, last = 0;
    for (uint32_t i = t->row; i < t->row + t->n; i++) {
        uint32_t to = s->is_encoder ? t->last : r->rows[i].position;
        uint32_t from = window && to >= window ? to - window + 1 : 0;
        first = from < first ? from : first;
        last = to > last ? to : last;
        for (uint32_t h = head; h < head + n_heads; h++)
            v->t->queries[n++] = (kernels_query){ .q = r->qkv + i * r->qkv_stride + (size_t)h * s->head_dim,
                                                  .first = (int32_t)from,
                                                  .last = (int32_t)to };
    }
    for (uint32_t at = first / KERNELS_SPAN; at <= last / KERNELS_SPAN; at++) {
        uint32_t page = at * (KERNELS_SPAN / KERNELS_PAGE), pages = page + KERNELS_SPAN / KERNELS_PAGE;
        page = page > first / KERNELS_PAGE ? page : first / KERNELS_PAGE; /* those before may be gone */
        for (; page < pages && page <= last / KERNELS_PAGE; page++)
            v->t->pages[page] = head_page(r, &r->rows[t->row], page, layer, kv_head);
        float *states = at == first / KERNELS_SPAN ? v->t->into : v->t->next;
        for (uint32_t i = 0; i < n; i++)
            v->t->queries[i].state = states + i * r->state_floats;
        r->k->attend[r->o.kv](&a, v->t->pages, (int32_t)at, v->t->queries, n);
        for (uint32_t i = 0; states == v->t->next && i < n; i++)
            r->k->attend_merge(v->t->into + i * r->state_floats, states + i * r->state_floats, s->head_dim);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = t->row + i / n_heads, h = head + i % n_heads;
        r->k->attend_finish(v->t->into + i * r->state_floats, s->head_dim,
                            r->att + row * r->att_stride + (size_t)h * s->head_dim);
    }
}

/* Units are tiles x KV heads where there are enough of them, else tiles x heads; dealt in turn, because later tiles see
 * more positions. */
static void attention(const view *v, uint32_t layer)
{
    const model_run *r = v->r;
    const model_spec *s = &r->m->spec;
    bool groups = (uint64_t)r->n_tiles * s->n_kv_heads >= 2 * (uint64_t)v->count;
    uint32_t per_unit = groups ? s->n_heads / s->n_kv_heads : 1, units = s->n_heads / per_unit;
    for (uint32_t u = (uint32_t)v->index; u < r->n_tiles * units; u += (uint32_t)v->count)
        attend_tile(v, layer, &r->tiles[u / units], u % units * per_unit, per_unit);
}

/* Rows of one sequence in runs of at most TILE_ROWS. */
static void make_tiles(model_run *r)
{
    size_t group = r->m->spec.n_heads / r->m->spec.n_kv_heads;
    uint32_t most = (uint32_t)(r->max_queries / group);
    most = most > TILE_ROWS ? TILE_ROWS : most;
    r->n_tiles = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        tile *t = r->n_tiles ? &r->tiles[r->n_tiles - 1] : NULL;
        if (t && t->n < most && r->rows[i].pages == r->rows[i - 1].pages)
            t->n++;
        else
            r->tiles[r->n_tiles++] = (tile){ i, 1, 0 };
    }
    for (uint32_t i = r->n_tiles; i-- > 0;) {
        tile *t = &r->tiles[i];
        uint32_t next = t->row + t->n;
        bool same = next < r->n && r->rows[next].pages == r->rows[next - 1].pages;
        t->last = same ? t[1].last : r->rows[next - 1].position;
    }
}

/* ---- feed-forward ---- */

/* h = act(gate + bias) * (up + bias), or act(up + bias) where there is no gate. */
static void activate(const model_run *r, float *gate, const float *gate_bias, float *up, const float *up_bias, size_t n,
                     float *h)
{
    const kernels *k = r->k;
    arch_act act = r->m->spec.arch->act;
    if (up_bias)
        k->add(up, up_bias, n, up);
    if (!gate) {
        void (*const alone[])(const float *, size_t, float *) = {
            [ARCH_SILU] = k->silu, [ARCH_GELU_TANH] = k->gelu, [ARCH_GELU_ERF] = k->gelu_erf
        };
        alone[act](up, n, h);
        return;
    }
    if (gate_bias)
        k->add(gate, gate_bias, n, gate);
    if (act == ARCH_GELU_TANH)
        k->gelu_mul(gate, up, n, h);
    else
        k->silu_mul(gate, up, n, h);
}

static void gate_up(const view *v, const model_layer *l)
{
    model_run *r = v->r;
    bool gated = l->gate.panels != NULL;
    size_t from, to, step = (size_t)r->o.batch * FFN_TILE / (v->n * (size_t)KERNELS_PANEL_ROWS);
    pool_part(panels_of(&l->up), v->index, v->count, &from, &to);
    for (size_t p = from; p < to; p += step) {
        size_t end = p + step < to ? p + step : to, width = (end - p) * KERNELS_PANEL_ROWS;
        size_t at = p * KERNELS_PANEL_ROWS, real = at + width <= l->up.rows ? width : l->up.rows - at;
        if (gated)
            multiply(v, &l->gate, p, end, v->t->gate, width);
        multiply(v, &l->up, p, end, v->t->up, width);
        for (uint32_t i = 0; i < v->n; i++)
            activate(r, gated ? v->t->gate + i * width : NULL, l->gate_bias ? l->gate_bias + at : NULL,
                     v->t->up + i * width, l->up_bias ? l->up_bias + at : NULL, real, r->h + i * r->h_stride + at);
    }
}

/* ---- a pass ---- */

static view view_of(model_run *r, int index, int count, uint32_t n)
{
    view v = { .r = r, .t = &r->threads[index], .index = index, .count = count, .n = n, .alone = n <= ALONE_ROWS };
    size_t from = 0, to = n;
    if (!v.alone)
        pool_part(n, index, count, &from, &to);
    v.from = (uint32_t)from;
    v.to = (uint32_t)to;
    v.x = v.alone ? v.t->x : r->x;
    for (int f = 0; f < ACT_FORMATS; f++)
        v.act[f] = v.alone ? v.t->act[f] : r->act[f];
    return v;
}

static void layer_pass(const view *v, uint32_t layer)
{
    model_run *r = v->r;
    const model_spec *s = &r->m->spec;
    const model_layer *l = &r->m->layers[layer], *before = layer ? l - 1 : NULL;
    for (uint32_t i = v->from; i < v->to; i++) {
        if (before)
            add_output(v, i, before->down_bias, before->ffn_post_norm, before->ffn_post_shift);
        else if (r->given)
            memcpy(v->x + i * r->x_stride, r->given + (size_t)i * s->n_embd, s->n_embd * sizeof *v->x);
        else
            embed(v, i);
        norm_and_quantise(v, i, l->attn_norm, (const model_matrix *const[]){ &l->q, &l->k, &l->v }, 3,
                          r->watched.qkv);
    }
    prepared(v);
    if (r->heads_fit)
        qkv_by_heads(v, layer);
    else
        qkv_by_panels(v, layer);
    pool_barrier(r->pool);

    attention(v, layer);
    pool_barrier(r->pool);

    for (uint32_t i = v->from; i < v->to; i++)
        quantise(v, i, r->att + i * r->att_stride, (const model_matrix *const[]){ &l->o }, 1,
                 r->watched.o);
    prepared(v);
    multiply_share(v, &l->o, r->proj, r->x_stride);
    pool_barrier(r->pool);

    for (uint32_t i = v->from; i < v->to; i++) {
        add_output(v, i, l->o_bias, l->attn_post_norm, l->attn_post_shift);
        norm_and_quantise(v, i, l->ffn_norm, (const model_matrix *const[]){ &l->up, &l->gate }, l->gate.panels ? 2 : 1,
                          r->watched.ffn);
    }
    prepared(v);
    gate_up(v, l);
    pool_barrier(r->pool);

    for (uint32_t i = v->from; i < v->to; i++)
        quantise(v, i, r->h + i * r->h_stride, (const model_matrix *const[]){ &l->down }, 1,
                 r->watched.down);
    prepared(v);
    multiply_share(v, &l->down, r->proj, r->x_stride);
    pool_barrier(r->pool);
}

/* Tables of the rows that this thread prepares; when every thread prepares all, the first makes them before the first
 * barrier that anybody reads them behind. */
static void rope_tables(const view *v, uint32_t from, uint32_t to)
{
    model_run *r = v->r;
    const model_spec *s = &r->m->spec;
    for (uint32_t i = from; i < to; i++) {
        uint32_t position = r->rows[i].position;
        model_rope_table(&r->ropes[0], s->rope_dim, position, r->rope[0] + i * s->rope_dim);
        if (s->window)
            model_rope_table(&r->ropes[1], s->rope_dim, position, r->rope[1] + i * s->rope_dim);
        r->q_factor[i] = model_query_factor(s, position);
    }
}

static void forward_job(void *arg, int index, int count)
{
    model_run *r = arg;
    view v = view_of(r, index, count, r->n);
    size_t from, to;
    if (r->layer == 0) {
        pool_part(r->n, index, count, &from, &to);
        rope_tables(&v, (uint32_t)from, (uint32_t)to);
        pool_barrier(r->pool);
    }
    for (uint32_t layer = r->layer; layer < r->layer_to; layer++)
        layer_pass(&v, layer);
    if (r->layer_to < r->m->spec.n_layers)
        return;
    const model_layer *last = &r->m->layers[r->m->spec.n_layers - 1];
    for (uint32_t i = v.from; i < v.to; i++)
        add_output(&v, i, last->down_bias, last->ffn_post_norm, last->ffn_post_shift);
    if (v.alone && index == 0)
        memcpy(r->x, v.x, r->n * r->x_stride * sizeof(float));
}

void model_forward_begin(model_run *r, const model_row *rows, uint32_t n)
{
    assert(n > 0 && n <= r->o.batch);
    r->rows = rows;
    r->n = n;
    r->layer = 0;
    r->given = NULL;
    make_tiles(r);
}

bool model_forward_layers(model_run *r, uint32_t n_layers)
{
    const uint32_t n = r->n, all = r->m->spec.n_layers, left = all - r->layer;
    r->layer_to = n <= ALONE_ROWS || n_layers >= left ? all : r->layer + n_layers; /* few: x is the threads' own */
    gauge *g = n == 1 ? &r->alone : &r->shared;
    uint32_t threads = (uint32_t)gauge_next(g).threads;
    if (r->divided_by != threads)
        divide_heads(r, threads);
    uint32_t units = n * (r->layer_to - r->layer) / all;
    pool_run_gauged(r->pool, g, units ? units : 1, forward_job, r);
    r->layer = r->layer_to;
    return r->layer == all;
}

uint32_t model_forward_left(const model_run *r)
{
    return r->m->spec.n_layers - r->layer;
}

void model_forward(model_run *r, const model_row *rows, uint32_t n)
{
    model_forward_begin(r, rows, n);
    (void)model_forward_layers(r, UINT32_MAX);
}

/* What a layer would begin with. */
static void begin_job(void *arg, int index, int count)
{
    model_run *r = arg;
    const size_t n_embd = r->m->spec.n_embd;
    view v = view_of(r, index, count, r->n);
    v.x = r->x;
    for (uint32_t i = v.alone && index ? v.to : v.from; i < v.to; i++)
        if (r->given)
            memcpy(r->x + i * r->x_stride, r->given + i * n_embd, n_embd * sizeof *r->x);
        else
            embed(&v, i);
}

void model_forward_states(model_run *r, const model_row *rows, uint32_t n, const float *states)
{
    model_forward_begin(r, rows, n);
    r->given = states;
    if (r->m->spec.n_layers)
        (void)model_forward_layers(r, UINT32_MAX);
    else
        pool_run(r->pool, begin_job, r);
    r->given = NULL;
}

void model_states(const model_run *r, float *out)
{
    const size_t n_embd = r->m->spec.n_embd;
    for (uint32_t i = 0; i < r->n; i++)
        memcpy(out + i * n_embd, r->x + i * r->x_stride, n_embd * sizeof *out);
}

void model_watch(model_run *r, const model_inputs *inputs)
{
    r->watched = inputs ? *inputs : (model_inputs){ 0 };
}

/* ---- logits ---- */

void model_hidden(const model_run *r, uint32_t row, float *out)
{
    const model *m = r->m;
    const float *x = r->x + row * r->x_stride;
    if (m->output_norm)
        r->k->rms_norm(x, m->output_norm, m->spec.n_embd, m->spec.norm_eps, out);
    else
        memcpy(out, x, m->spec.n_embd * sizeof *out);
}

/* Prepares tanh(dense x + bias) of the rows that want logits. What it multiplies goes where a layer's output went. */
static void prepare_dense(const view *v)
{
    model_run *r = v->r;
    const model *m = r->m;
    float *row = v->t->row;
    for (uint32_t i = v->from; i < v->to; i++) {
        model_hidden(r, r->which[i], row);
        quantise(v, i, row, (const model_matrix *const[]){ &m->dense }, 1, NULL);
    }
    prepared(v);
    multiply_share(v, &m->dense, r->proj, r->x_stride);
    pool_barrier(r->pool);
    for (uint32_t i = v->from; i < v->to; i++) {
        const float *y = r->proj + i * r->x_stride;
        for (uint32_t j = 0; j < m->spec.n_embd; j++)
            row[j] = kernels_tanhf(m->dense_bias ? y[j] + m->dense_bias[j] : y[j]);
        quantise(v, i, row, (const model_matrix *const[]){ &m->head }, 1, NULL);
    }
}

static void logits_job(void *arg, int index, int count)
{
    model_run *r = arg;
    const model *m = r->m;
    const model_spec *s = &m->spec;
    view v = view_of(r, index, count, r->n);
    if (m->dense.panels)
        prepare_dense(&v);
    for (uint32_t i = v.from; i < v.to && !m->dense.panels; i++) {
        model_hidden(r, r->which[i], v.t->row);
        quantise(&v, i, v.t->row, (const model_matrix *const[]){ &m->head }, 1, NULL);
    }
    prepared(&v);
    multiply_share(&v, &m->head, r->logits, r->logit_stride);
    if (!m->head_bias && s->final_cap == 0.0f)
        return;
    size_t from, to;
    pool_part(panels_of(&m->head), index, count, &from, &to);
    from *= KERNELS_PANEL_ROWS;
    to = to * KERNELS_PANEL_ROWS < s->n_logits ? to * KERNELS_PANEL_ROWS : s->n_logits;
    for (uint32_t i = 0; i < v.n && from < to; i++) {
        float *y = r->logits + i * r->logit_stride + from;
        if (m->head_bias)
            r->k->add(y, m->head_bias + from, to - from, y);
        if (s->final_cap != 0.0f)
            r->k->softcap(y, s->final_cap, to - from, y);
    }
}

void model_logits(model_run *r, const uint32_t *which, uint32_t n)
{
    assert(n > 0 && n <= r->o.logit_rows);
    uint32_t rows = r->n;
    r->which = which;
    r->n = n;
    pool_run_as(r->pool, n == 1 ? &r->alone : &r->shared, logits_job, r);
    r->n = rows;
}

const float *model_logits_at(const model_run *r, uint32_t i)
{
    return r->logits + i * r->logit_stride;
}
