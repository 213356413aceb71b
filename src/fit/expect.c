/* expect.c: what a step takes: each piece of its work at the rate that the machine was measured to do it at, added up.
 *
 * A product of a matrix is as slow as the thread with the most panels of 16 rows. What is read lies in some cache or in
 * memory, by how much of it a whole step reads: everything is read once, then all of it again in the next step. */
#include <math.h>
#include <string.h>

#include "fit/fit.h"

enum { BARRIERS = 5, SHARED_BARRIERS = 10, TILE_ROWS = 16, TILE_QUERIES = 64 }; /* forward.c: per layer, per tile */

double fit_step_seconds(const fit_step *s)
{
    return s->memory_s + s->multiply_s + s->attention_s + s->sync_s + s->rest_s;
}

/* Seconds a byte of matrices of so many columns, from those measured at two widths: a column costs something, and a
 * panel something of its own. */
static double by_cols(const uint32_t at[FIT_COLS], const double rates[FIT_COLS], uint32_t cols)
{
    double own = (rates[0] - rates[1]) / (1.0 / at[0] - 1.0 / at[1]);
    double rate = rates[1] + own * (1.0 / cols - 1.0 / at[1]), least = rates[0] < rates[1] ? rates[0] : rates[1];
    return rate > least / 2 ? rate : least / 2; /* far off, noise must not make it nothing */
}

/* ---- where it lies ---- */

/* How much of it comes from each place; the parts add up to 1. */
typedef struct places {
    double of[FIT_PLACES];
} places;

/* Of a ring of `bytes` that is read again and again, a cache keeps what fits; from half of its size on it begins to
 * lose some, at twice its size nothing is left. */
static double kept(double bytes, double cache)
{
    if (cache <= 0 || bytes >= 2 * cache)
        return 0;
    return bytes <= cache / 2 ? 1 : log(2 * cache / bytes) / log(4);
}

static places places_of(const fit_machine *m, double bytes)
{
    places p = { { 0 } };
    p.of[FIT_L2] = kept(bytes, (double)m->cpu.l2_bytes * m->threads);
    p.of[FIT_L3] = (1 - p.of[FIT_L2]) * kept(bytes, (double)m->cpu.l3_bytes);
    p.of[FIT_MEMORY] = 1 - p.of[FIT_L2] - p.of[FIT_L3];
    return p;
}

/* ---- products ---- */

static uint64_t most_of(uint64_t items, int threads)
{
    return (items + (uint64_t)threads - 1) / (uint64_t)threads;
}

/* Seconds a byte of weights for all of `tokens` tokens: measured at one, few and a block of them; straight lines
 * between. */
static double product_rate(const fit_machine *m, int type, const places *p, uint32_t cols, uint32_t tokens)
{
    const fit_rates *r = &m->rates;
    double block = by_cols(fit_block_cols, r->block[type], cols), below = 0;
    if (tokens >= FIT_BLOCK)
        return block * tokens / FIT_BLOCK;
    for (int i = 0; i < FIT_PLACES; i++)
        below += p->of[i] * by_cols(fit_cols, r->one[type][i], cols);
    for (uint32_t i = 0, from = 1; i <= FIT_FEW; i++) {
        uint32_t to = i < FIT_FEW ? fit_few[i] : FIT_BLOCK;
        double rate = i < FIT_FEW ? by_cols(fit_cols, r->few[type][i], cols) : block;
        rate = rate > below ? rate : below; /* more tokens are no less work, whatever the noise */
        if (tokens <= to)
            return below + (rate - below) * (tokens - from) / (to - from);
        below = rate;
        from = to;
    }
    return block;
}

static void add_product(fit_step *s, const fit_machine *m, const model_product *x, const places *p, uint32_t tokens)
{
    double panel = (double)kernels_panel_bytes(x->type, x->cols), all = panel * ((x->rows + 15) / 16), read = 0;
    double share = panel * (double)most_of((x->rows + 15) / 16, m->threads);
    double seconds = share * product_rate(m, x->type, p, x->cols, tokens);
    for (int i = 0; i < FIT_PLACES; i++)
        read += p->of[i] * all / m->rates.read_bytes_per_s[i];
    read = read < seconds ? read : seconds;
    s->memory_s += x->n * read;
    s->multiply_s += x->n * (seconds - read);
}

/* head: rows that want logits. */
static void add_products(fit_step *s, const fit_work *w, const fit_machine *m, const places *p, uint32_t tokens,
                         uint32_t head)
{
    for (uint32_t i = 0; i < w->sizes.n_products; i++) {
        const model_product *x = &w->sizes.products[i];
        uint32_t rows = x->of_head ? head : tokens;
        if (rows)
            add_product(s, m, x, p, rows);
    }
}

/* ---- attention ---- */

/* Straight lines between the measured ones; beyond, a head is a part or a multiple of the last. */
static double by_head_dim(const double *rates, uint32_t head_dim)
{
    const uint32_t *at = fit_head_dims;
    int i = 0;
    if (head_dim <= at[0])
        return rates[0] * head_dim / at[0];
    while (i < FIT_HEAD_DIMS - 1 && head_dim > at[i + 1])
        i++;
    if (i == FIT_HEAD_DIMS - 1)
        return rates[i] * head_dim / at[i];
    return rates[i] + (rates[i + 1] - rates[i]) * (head_dim - at[i]) / (at[i + 1] - at[i]);
}

/* Positions that a row at `position` sees, itself included, over all layers. */
static double seen(const model_spec *s, double position)
{
    double all = position + 1, window = s->window && s->window < all ? s->window : all;
    return s->n_of_kind[MODEL_GLOBAL] * all + s->n_of_kind[MODEL_WINDOW] * window;
}

/* Seconds a position of one KV head and all heads that use it. Taken together, one reading serves four of them; one by
 * one, the first fetches what the others find. */
static double group_rate(const fit_work *w, const fit_machine *m, bool together, double far)
{
    const model_spec *s = &w->spec;
    const fit_rates *r = &m->rates;
    double n = s->n_heads / s->n_kv_heads, first = n < 4 ? n : 4;
    double one = by_head_dim(r->attend_one[w->kv], s->head_dim), four = by_head_dim(r->attend_four[w->kv], s->head_dim);
    double near = by_head_dim(r->attend_near[w->kv], s->head_dim);
    double again = by_head_dim(r->attend_again[w->kv], s->head_dim);
    if (together && n > 1)
        return far * (one + (four - one) * (first - 1) / 3 + near * (n - first)) + (1 - far) * near * n;
    return far * one + (n - far) * again;
}

/* One row each of `sequences`: heads that share keys are taken together where that leaves work for every thread. */
static double attend_steps(const fit_work *w, const fit_machine *m, uint32_t sequences, double depth, const places *p)
{
    const model_spec *s = &w->spec;
    uint64_t groups = (uint64_t)sequences * s->n_kv_heads, heads = (uint64_t)sequences * s->n_heads;
    bool together = groups >= 2 * (uint64_t)m->threads;
    double busiest = together ? (double)most_of(groups, m->threads)
                              : (double)most_of(heads, m->threads) * s->n_kv_heads / s->n_heads;
    return busiest * group_rate(w, m, together, p->of[FIT_MEMORY]) * seen(s, depth);
}

/* n rows of one sequence from `position` on: in tiles, whose keys lie near. */
static double attend_block(const fit_work *w, const fit_machine *m, uint32_t n, double position)
{
    const model_spec *s = &w->spec;
    uint32_t group = s->n_heads / s->n_kv_heads, rows = TILE_QUERIES / group < 1 ? 1 : TILE_QUERIES / group;
    rows = rows < TILE_ROWS ? rows : TILE_ROWS;
    uint64_t units = (uint64_t)((n + rows - 1) / rows) * s->n_kv_heads;
    double even = (double)most_of(units, m->threads) * m->threads / (double)units;
    double rate = by_head_dim(m->rates.attend_near[w->kv], s->head_dim);
    double at = s->is_encoder ? n - 1 : position + (n - 1) / 2.0;
    return even * rate * s->n_heads * n * seen(s, at) / m->threads;
}

/* ---- rows ---- */

/* Norms, quantising, activation, rope and the storing of one row, over all layers, of one thread that does it all:
 * `prepared` is what every thread does for itself when rows are few, `shared` what is always divided. */
static void row_costs(const fit_work *w, const fit_machine *m, double *prepared, double *shared)
{
    const model_spec *s = &w->spec;
    const fit_rates *r = &m->rates;
    double q = (double)s->n_heads * s->head_dim, kv = (double)s->n_kv_heads * s->head_dim, quantise = 0;
    int formats = 0;
    for (int f = 0; f < ACT_FORMATS; f++) {
        if (s->act_formats >> f & 1) {
            quantise += r->quantise[f];
            formats++;
        }
    }
    quantise /= formats ? formats : 1;
    double norms = s->arch->traits & ARCH_POST_NORM ? 4 : 2, of_heads = s->arch->traits & ARCH_QK_NORM ? r->norm : 0;
    double activate = s->arch->act == ARCH_SILU ? r->silu : r->gelu;
    *prepared = s->n_layers * (s->n_embd * (norms * r->norm + 2 * quantise) + (q + s->n_ff) * quantise);
    *shared = s->n_layers * (s->n_ff * activate + (q + kv) * (r->rope + of_heads) + 2 * kv * r->store[w->kv]) +
              (s->window ? 2 : 1) * s->rope_dim / 2.0 * r->angle;
}

/* What others have made and a thread needs of one row, over all layers: q, k, v, the heads' sums, the feed-forward's
 * middle, and two outputs of n_embd, in floats. Alone a thread needs all of it; else its share of the rows. */
static double handed_over(const fit_work *w, const fit_machine *m, bool alone)
{
    const model_spec *s = &w->spec;
    double q = (double)s->n_heads * s->head_dim, kv = (double)s->n_kv_heads * s->head_dim;
    double bytes = 4.0 * s->n_layers * (2 * q + 2 * kv + s->n_ff + 2.0 * s->n_embd);
    double of_others = (double)(m->threads - 1) / m->threads;
    return bytes * of_others * m->rates.handed / (alone ? 1 : m->threads);
}

/* ---- steps ---- */

fit_step fit_expect_decode(const fit_work *w, const fit_machine *m, uint32_t sequences, uint64_t depth)
{
    const model_spec *s = &w->spec;
    fit_step out = { 0 };
    double prepared, shared;
    double kv = seen(s, (double)depth) * 2 * s->n_kv_heads *
                ((double)kernels_page_bytes((enum kernels_kv)w->kv, s->head_dim) / (2 * KERNELS_PAGE));
    places p = places_of(m, (double)w->sizes.token_bytes + sequences * kv);
    bool alone = sequences <= MODEL_ALONE_ROWS;
    add_products(&out, w, m, &p, sequences, sequences);
    row_costs(w, m, &prepared, &shared);
    out.attention_s = attend_steps(w, m, sequences, (double)depth, &p);
    out.rest_s = sequences * (prepared / (alone ? 1 : m->threads) + shared / m->threads);
    out.sync_s = 2 * m->rates.run + (s->n_layers * (alone ? BARRIERS : SHARED_BARRIERS) + 1) * m->rates.barrier +
                 sequences * handed_over(w, m, alone);
    return out;
}

fit_step fit_expect_prefill(const fit_work *w, const fit_machine *m, uint32_t n, uint64_t depth)
{
    const model_spec *s = &w->spec;
    fit_step out = { 0 };
    double prepared, shared;
    places p = places_of(m, (double)w->sizes.weights_bytes);
    row_costs(w, m, &prepared, &shared);
    for (uint32_t done = 0; done < n;) {
        uint32_t rows = n - done < w->batch ? n - done : w->batch;
        bool alone = rows <= MODEL_ALONE_ROWS;
        add_products(&out, w, m, &p, rows, 0);
        out.attention_s += attend_block(w, m, rows, (double)(depth + done));
        out.rest_s += rows * (prepared / (alone ? 1 : m->threads) + shared / m->threads);
        out.sync_s += m->rates.run + (s->n_layers * (alone ? BARRIERS : SHARED_BARRIERS) + 1) * m->rates.barrier +
                      rows * handed_over(w, m, alone);
        done += rows;
    }
    add_products(&out, w, m, &p, 0, 1);
    out.sync_s += m->rates.run;
    return out;
}
