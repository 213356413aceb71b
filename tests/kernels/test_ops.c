/* Quantisation, norms, rope, attention: portable against plain double-precision formulas, every level against
 * portable. */
#include "kernels_test.h"

#include "base/mem.h"
#include "kernels/maths.h"

static kernels portable, level[TEST_LEVELS];
static int n_levels;

static int begin(void **state)
{
    (void)state;
    kernels_init(&portable, 0);
    n_levels = test_levels(level);
    return 0;
}

static void same(const char *what, const kernels *k, const void *a, const void *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i])
            fail_msg("%s: %s: byte %zu of %zu differs", k->level, what, i, bytes);
}

static void inputs_are_quantised_alike(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (int f = ACT_Q8_32; f < ACT_FORMATS; f++)
            for (size_t cols = 256; cols <= 2048; cols += 256) {
                size_t n = f == ACT_Q8_32 ? cols - 32 * test_below(8) : cols;
                guarded x = guarded_open(n * 4);
                test_inputs((enum test_kind)kind, n, (float *)(void *)x.p);
                if (kind == WILD) { /* halves round to even; NaN and infinity are defined */
                    float odd[] = { 127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 126.5f };
                    memcpy(x.p, odd, sizeof odd);
                    ((float *)(void *)x.p)[64] = NAN;
                    ((float *)(void *)x.p)[100] = -INFINITY;
                }
                size_t bytes = kernels_act_bytes((enum kernels_act)f, n);
                uint8_t *a = mem_zero(bytes), *b = mem_zero(bytes);
                portable.quantize[f]((float *)(void *)x.p, n, a);
                for (size_t i = 0; i < n; i++)
                    assert_true((int8_t)a[i] >= -127);
                for (int v = 0; v < n_levels; v++) {
                    memset(b, 0, bytes);
                    level[v].quantize[f]((float *)(void *)x.p, n, b);
                    same("quantize", &level[v], a, b, bytes);
                }
                mem_free(a), mem_free(b);
                guarded_close(&x);
            }
}

static void the_portable_code_is_near(void **state)
{
    (void)state;
    float x[256], d;
    uint8_t act[512];
    for (int f = ACT_Q8_32; f < ACT_FORMATS; f++) {
        test_inputs(ORDINARY, 256, x);
        portable.quantize[f](x, 256, act);
        for (size_t i = 0; i < 256; i++) {
            memcpy(&d, act + 288 + 4 * (f == ACT_Q8_32 ? i / 32 : 0), 4);
            assert_true(fabs((double)d * (int8_t)act[i] - (double)x[i]) <= 0.50001 * (double)d);
        }
    }
}

static void norms_and_elementwise(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 2100; n += n < 70 ? 1 : 127) {
        float *x = mem_alloc(n * 4), *w = mem_alloc(n * 4), *c = mem_alloc(n * 4);
        float *a = mem_alloc(n * 4), *b = mem_alloc(n * 4);
        test_inputs(ORDINARY, n, x), test_inputs(ORDINARY, n, w), test_inputs(ORDINARY, n, c);
        double q = 0, mean = 0, var = 0;
        for (size_t i = 0; i < n; i++)
            q += (double)x[i] * (double)x[i], mean += (double)x[i] / (double)n;
        for (size_t i = 0; i < n; i++)
            var += pow((double)x[i] - mean, 2);
        portable.rms_norm(x, w, n, 1e-5f, a);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)a[i] - (double)x[i] * (double)w[i] / sqrt(q / (double)n + 1e-5)) < 1e-5);
        portable.layer_norm(x, w, c, n, 1e-5f, b);
        for (size_t i = 0; i < n; i++) {
            double y = ((double)x[i] - mean) / sqrt(var / (double)n + 1e-5) * (double)w[i] + (double)c[i];
            assert_true(fabs((double)b[i] - y) < 1e-4);
        }
        for (int v = 0; v < n_levels; v++) {
            const kernels *k = &level[v];
#define BOTH(what, call_a, call_b)                                                                                     \
    portable.call_a;                                                                                                   \
    k->call_b;                                                                                                         \
    same(what, k, a, b, n * 4)
            BOTH("rms_norm", rms_norm(x, w, n, 1e-6f, a), rms_norm(x, w, n, 1e-6f, b));
            BOTH("rms_norm without weight", rms_norm(x, NULL, n, 1e-6f, a), rms_norm(x, NULL, n, 1e-6f, b));
            BOTH("layer_norm", layer_norm(x, w, c, n, 1e-6f, a), layer_norm(x, w, c, n, 1e-6f, b));
            BOTH("softmax", softmax(x, n, a), softmax(x, n, b));
            BOTH("exp_from", exp_from(x, 0.7f, n, a), exp_from(x, 0.7f, n, b));
            BOTH("add", add(x, w, n, a), add(x, w, n, b));
            BOTH("scale", scale(x, 0.3f, n, a), scale(x, 0.3f, n, b));
            memcpy(a, c, n * 4), memcpy(b, c, n * 4);
            BOTH("axpy", axpy(x, 0.3f, n, a), axpy(x, 0.3f, n, b));
            x[n / 2] = 2.0f, x[n - 1] = 2.0f;
            assert_int_equal(portable.argmax(x, n), n / 2);
            assert_int_equal(k->argmax(x, n), n / 2);
            for (size_t i = 0; i < n; i++)
                a[i] = i < n / 2 ? NAN : -INFINITY;
            assert_int_equal(portable.argmax(a, n), 0);
            assert_int_equal(k->argmax(a, n), 0);
            if (n % 2 == 0) {
                memcpy(a, x, n * 4), memcpy(b, x, n * 4);
                BOTH("rope_norm", rope_norm(a, w, n), rope_norm(b, w, n));
                BOTH("rope_neox", rope_neox(a, w, n), rope_neox(b, w, n));
            }
#undef BOTH
        }
        mem_free(x), mem_free(w), mem_free(c), mem_free(a), mem_free(b);
    }
}

/* ---- rounding with errors fed on ---- */

static const float levels_of_16[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

/* Every grid by itself, in doubles: each point is the nearest but for rounding, and errors are those of the points. */
static void points_are_the_nearest(const kernels_feed *f, const float *step, const float *offset,
                                   const kernels_fed *fed)
{
    for (int g = 0; g < KERNELS_GRIDS; g++)
        for (size_t j = 0; j < f->n; j++) {
            double target = (double)f->targets[j], least = INFINITY;
            for (size_t c = 0; c < j; c++)
                target += (double)fed->errors[c][g] * (double)f->upper[c * f->stride + j];
            double point = (double)f->values[j] - (double)fed->errors[j][g];
            for (int code = 0; code <= (int)f->top; code++) {
                double height = f->levels ? (double)f->levels[code] : (double)code + (double)f->low;
                double at = (double)step[g] * height - (double)offset[g];
                least = fabs(at - target) < least ? fabs(at - target) : least;
                if (code == (int)fed->codes[j][g])
                    assert_true(fabs(at - point) < 1e-4);
            }
            assert_true(fabs(point - target) < least + 1e-4);
        }
}

static void every_level_feeds_alike(void **state)
{
    (void)state;
    for (int round = 0; round < 300; round++) {
        enum { STRIDE = 40 };
        float values[KERNELS_FEED], targets[KERNELS_FEED], weights[KERNELS_FEED], upper[KERNELS_FEED * STRIDE];
        float step[KERNELS_GRIDS], offset[KERNELS_GRIDS];
        kernels_fed a, b;
        kernels_feed f = { round % 4 == 3 ? 4 : round % 2 ? 16 : 32, values, targets, weights, upper, STRIDE,
                           round % 3 == 2 ? levels_of_16 : NULL, round % 3 ? -8 : 0, 15 };
        test_inputs(ORDINARY, f.n, values), test_inputs(ORDINARY, f.n, targets), test_inputs(ORDINARY, f.n, weights);
        test_inputs(ORDINARY, sizeof upper / sizeof *upper, upper);
        for (int g = 0; g < KERNELS_GRIDS; g++) {
            step[g] = test_uniform() * (f.levels ? 0.01f : 0.1f);
            offset[g] = round % 5 ? 0 : test_uniform();
        }
        memset(&a, 0, sizeof a), memset(&b, 0, sizeof b);
        portable.feed(&f, step, offset, &a);
        points_are_the_nearest(&f, step, offset, &a);
        if (round % 7 == 0) { /* what finite weights never make, but nothing may come to grief by */
            step[0] = 0, step[1] = -0.0f, step[2] = 1e-42f, step[3] = NAN;
            targets[1] = round % 2 ? INFINITY : 1e38f;
            portable.feed(&f, step, offset, &a);
        }
        for (int v = 0; v < n_levels; v++) {
            level[v].feed(&f, step, offset, &b);
            same("codes", &level[v], a.codes, b.codes, sizeof a.codes);
            for (int g = 0; g < KERNELS_GRIDS; g++)
                if (!isnan(a.loss[g]) || !isnan(b.loss[g]))
                    same("loss", &level[v], &a.loss[g], &b.loss[g], sizeof(double));
            for (size_t j = 0; j < f.n; j++)
                for (int g = 0; g < KERNELS_GRIDS; g++)
                    if (!isnan(a.errors[j][g]) || !isnan(b.errors[j][g]))
                        same("errors", &level[v], &a.errors[j][g], &b.errors[j][g], sizeof(float));
        }
    }
}

/* ---- attention ---- */

typedef struct cache {
    size_t head_dim, n;
    float *keys, *values; /* n x head_dim, as given to the cache */
    guarded page[40];
    const void *pages[40];
} cache;

static cache cache_make(enum kernels_kv kv, size_t head_dim, size_t n, float magnitude)
{
    cache c = { .head_dim = head_dim, .n = n };
    c.keys = mem_alloc(n * head_dim * 4), c.values = mem_alloc(n * head_dim * 4);
    for (size_t i = 0; i < n * head_dim; i++)
        c.keys[i] = test_uniform() * magnitude, c.values[i] = test_uniform();
    for (size_t p = 0; p * 64 < n; p++) {
        c.page[p] = guarded_open(kernels_page_bytes(kv, head_dim));
        c.pages[p] = c.page[p].p;
    }
    for (size_t i = 0; i < n; i++)
        portable.kv_store[kv](c.page[i / 64].p, head_dim, (int)(i % 64), c.keys + i * head_dim,
                              c.values + i * head_dim);
    return c;
}

static void cache_clear(cache *c)
{
    for (size_t p = 0; p * 64 < c->n; p++)
        guarded_close(&c->page[p]);
    mem_free(c->keys), mem_free(c->values);
}

static void attend_all(const kernels *k, enum kernels_kv kv, const kernels_attn *a, const cache *c, const float *q,
                       int32_t first, int32_t last, float *out)
{
    float total[KERNELS_STATE_HEADER + 512] = { 0 }, part[KERNELS_STATE_HEADER + 512];
    for (int32_t span = 0; span <= last / KERNELS_SPAN; span++) {
        kernels_query query = { q, first, last, part };
        k->attend[kv](a, c->pages, span, &query, 1);
        k->attend_merge(total, part, a->head_dim);
    }
    k->attend_finish(total, a->head_dim, out);
}

static void attention_is_attention(void **state)
{
    (void)state;
    /* q8: values are off by half a code of their largest; scores by the same of keys that reach 4 */
    static const double bound[KV_TYPES] = { [KV_F16] = 6e-4, [KV_F32] = 4e-6, [KV_Q8] = 5e-2 };
    for (int kv = 0; kv < KV_TYPES; kv++)
        for (int round = 0; round < 12; round++) {
            static const size_t dims[] = { 8, 64, 80, 96, 128, 256 };
            size_t dim = dims[round % 6], n = 1 + test_below(1500);
            cache c = cache_make((enum kernels_kv)kv, dim, n, 4.0f);
            kernels_attn a = { dim, 0.125f, round & 1 ? 20.0f : 0.0f };
            float q[256], out[256];
            test_inputs(ORDINARY, dim, q);
            int32_t last = (int32_t)n - 1, first = round % 3 ? 0 : (int32_t)test_below((uint32_t)n);
            attend_all(&portable, (enum kernels_kv)kv, &a, &c, q, first, last, out);
            double sum = 0, o[256] = { 0 };
            for (int32_t i = first; i <= last; i++) {
                double s = 0;
                for (size_t d = 0; d < dim; d++) {
                    float key = c.keys[(size_t)i * dim + d];
                    s += (double)q[d] * (double)(kv == KV_F16 ? half_to_f32(half_from_f32(key)) : key);
                }
                s *= 0.125;
                double p = exp(a.softcap != 0.0f ? 20.0 * tanh(s / 20.0) : s);
                sum += p;
                for (size_t d = 0; d < dim; d++)
                    o[d] += p * (double)c.values[(size_t)i * dim + d];
            }
            for (size_t d = 0; d < dim; d++)
                assert_true(fabs(o[d] / sum - (double)out[d]) < bound[kv]);
            cache_clear(&c);
        }
}

/* Some positions of zeros, of values too small for a scale, and of ones that tower over their neighbours. */
static void make_extreme(enum kernels_kv kv, cache *c)
{
    for (size_t i = 0; i < c->n; i++) {
        float *key = c->keys + i * c->head_dim, *value = c->values + i * c->head_dim;
        float small = test_below(4) ? 1.0f : test_below(2) ? 0.0f : 0x1p-101f;
        for (size_t d = 0; d < c->head_dim; d++)
            key[d] *= small, value[d] *= small;
        if (test_below(3) == 0)
            key[test_below((uint32_t)c->head_dim)] = 3000.0f, value[test_below((uint32_t)c->head_dim)] = -60000.0f;
        portable.kv_store[kv](c->page[i / 64].p, c->head_dim, (int)(i % 64), key, value);
    }
}

static void shift(kernels_query *q, const kernels_query *before, int32_t most)
{
    q->last = before->last + (int32_t)test_below(20);
    q->last = q->last < most ? q->last : most;
    q->first = before->first + (int32_t)test_below(20);
    q->first = q->first < q->last ? q->first : q->last;
}

static void every_level_attends_alike(void **state)
{
    (void)state;
    enum { MOST_QUERIES = 70 };
    static const size_t dims[] = { 8, 24, 40, 64, 80, 96, 112, 128, 200, 256, 512 };
    for (int kv = 0; kv < KV_TYPES; kv++)
        for (size_t round = 0; round < 4 * ARRAY_LEN(dims); round++) {
            size_t dim = dims[round % ARRAY_LEN(dims)], n = 1 + test_below(1100), n_q = 1 + test_below(9);
            bool prompt = round % 3 == 1; /* many rows, each of which sees what the one before it sees, or one more */
            n_q = prompt ? 1 + test_below(MOST_QUERIES) : n_q;
            cache c = cache_make((enum kernels_kv)kv, dim, n, round & 1 ? 100.0f : 2.0f);
            if (round % 5 == 4)
                make_extreme((enum kernels_kv)kv, &c);
            kernels_attn a = { dim, 0.11f, round % 3 ? 0.0f : 30.0f };
            size_t stride = KERNELS_STATE_HEADER + dim;
            float *q = mem_alloc(n_q * dim * 4), *s = mem_alloc(n_q * stride * 4), *t = mem_alloc(n_q * stride * 4);
            test_inputs(ORDINARY, n_q * dim, q);
            if (round % 7 == 6)
                memset(q, 0, dim * 4);
            kernels_query qs[MOST_QUERIES], qt[MOST_QUERIES];
            for (size_t i = 0; i < n_q; i++) {
                int32_t last = (int32_t)test_below((uint32_t)n);
                qs[i] = (kernels_query){ q + i * dim, (int32_t)test_below((uint32_t)last + 1), last, s + i * stride };
                if (i && (prompt || test_below(3))) /* heads of one group see the same positions */
                    qs[i].first = qs[i - 1].first, qs[i].last = qs[i - 1].last;
                if (i && prompt && qs[i].last + 1 < (int32_t)n)
                    qs[i].last += (int32_t)test_below(2);
                else if (i && !prompt && test_below(2)) /* neighbours: one position more, or a window further on */
                    shift(&qs[i], &qs[i - 1], (int32_t)n - 1);
                qt[i] = qs[i];
                qt[i].state = t + i * stride;
            }
            for (int v = 0; v < n_levels; v++)
                for (int32_t span = 0; span * KERNELS_SPAN < (int32_t)n; span++) {
                    memset(s, 0x11, n_q * stride * 4), memset(t, 0x22, n_q * stride * 4);
                    portable.attend[kv](&a, c.pages, span, qs, n_q);
                    level[v].attend[kv](&a, c.pages, span, qt, n_q);
                    same("attend", &level[v], s, t, n_q * stride * 4);
                    for (size_t i = 1; i < n_q; i++) {
                        portable.attend_merge(s, s + i * stride, dim);
                        level[v].attend_merge(t, t + i * stride, dim);
                    }
                    same("attend_merge", &level[v], s, t, stride * 4);
                }
            mem_free(q), mem_free(s), mem_free(t);
            cache_clear(&c);
        }
}

static void every_level_stores_alike(void **state)
{
    (void)state;
    for (int kv = 0; kv < KV_TYPES; kv++)
        for (size_t dim = 8; dim <= 264; dim += 8) {
            size_t bytes = kernels_page_bytes((enum kernels_kv)kv, dim);
            float key[512], value[512];
            uint8_t *a = mem_zero(bytes), *b = mem_zero(bytes);
            for (int v = 0; v < n_levels; v++)
                for (int at = 0; at < 64; at += 1 + (int)test_below(9)) {
                    test_inputs(WILD, dim, key), test_inputs(WILD, dim, value);
                    key[0] = NAN, key[1] = -INFINITY;
                    key[dim / 2] = 1e9f, value[dim / 2] = -65519.9f, value[0] = 65520.0f;
                    portable.kv_store[kv](a, dim, at, key, value);
                    level[v].kv_store[kv](b, dim, at, key, value);
                    same("kv_store", &level[v], a, b, bytes);
                }
            mem_free(a), mem_free(b);
        }
}

static void noise_at(const kernels *k, enum kernels_kv kv, const cache *c, size_t from, size_t to)
{
    float noise[64];
    for (size_t i = from; i < to; i++) {
        test_inputs(WILD, ARRAY_LEN(noise), noise);
        if (kv != KV_F32) /* which keeps what it is given */
            noise[1] = NAN, noise[2] = INFINITY;
        k->kv_store[kv](c->page[i / 64].p, ARRAY_LEN(noise), (int)(i % 64), noise, noise);
    }
}

/* A span in which nothing is seen leaves a state as it is; stale bytes in a page beyond the query do not matter. */
static void masked_keys_do_not_matter_to(const kernels *k, enum kernels_kv kv)
{
    enum { DIM = 64 };
    kernels_attn a = { DIM, 0.125f, 0.0f };
    cache c = cache_make(kv, DIM, 600, 1.0f);
    float q[DIM], s[KERNELS_STATE_HEADER + DIM], t[KERNELS_STATE_HEADER + DIM], empty[KERNELS_STATE_HEADER + DIM];
    test_inputs(ORDINARY, DIM, q);
    kernels_query query = { q, 515, 530, s };
    k->attend[kv](&a, c.pages, 1, &query, 1);
    noise_at(k, kv, &c, 531, 576);
    noise_at(k, kv, &c, 512, 515);
    query.state = t;
    k->attend[kv](&a, c.pages, 1, &query, 1);
    same("stale keys", k, s, t, sizeof s);
    query = (kernels_query){ q, 0, 100, empty };
    k->attend[kv](&a, c.pages, 1, &query, 1);
    assert_true(empty[1] == 0.0f);
    k->attend_merge(t, empty, DIM);
    same("empty span", k, s, t, sizeof s);
    k->attend_merge(empty, t, DIM);
    same("first span", k, s, empty, sizeof s);
    cache_clear(&c);
}

static void masked_keys_do_not_matter(void **state)
{
    (void)state;
    for (int kv = 0; kv < KV_TYPES; kv++)
        for (int v = -1; v < n_levels; v++)
            masked_keys_do_not_matter_to(v < 0 ? &portable : &level[v], (enum kernels_kv)kv);
}

/* Infinities and NaN that are seen give no defined numbers, but nothing traps or reads out of bounds. */
static void infinities_are_safe(void **state)
{
    (void)state;
    for (int kv = 0; kv < KV_TYPES; kv++)
        for (int v = -1; v < n_levels; v++) {
            const kernels *k = v < 0 ? &portable : &level[v];
            cache c = cache_make((enum kernels_kv)kv, 64, 200, 1.0f);
            float q[64], out[KERNELS_STATE_HEADER + 64];
            noise_at(k, (enum kernels_kv)kv, &c, 60, 70);
            test_inputs(WILD, 64, q);
            q[3] = INFINITY, q[4] = NAN;
            kernels_attn a = { 64, 0.125f, v & 1 ? 30.0f : 0.0f };
            kernels_query query = { q, 0, 199, out };
            k->attend[kv](&a, c.pages, 0, &query, 1);
            cache_clear(&c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_are_quantised_alike), cmocka_unit_test(the_portable_code_is_near),
        cmocka_unit_test(norms_and_elementwise),      cmocka_unit_test(attention_is_attention),
        cmocka_unit_test(every_level_attends_alike),  cmocka_unit_test(every_level_stores_alike),
        cmocka_unit_test(masked_keys_do_not_matter),  cmocka_unit_test(infinities_are_safe),
        cmocka_unit_test(every_level_feeds_alike),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
