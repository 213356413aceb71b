/* The catalogue: what is embedded is whole, every damage is named, and the bytes of a header that no file has are those of
 * real files, and of arithmetic that knows nothing of headers. */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "fit/catalogue.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "quant/mix.h"
#include "quant/quant.h"

static catalogue *all;
static bool v_is_fused;

static int open_all(void **state)
{
    (void)state;
    assert_ok(catalogue_open(&all, err));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    catalogue_close(&all);
    assert_null(all);
    return 0;
}

static engine_options options_of(uint32_t context)
{
    engine_options o;
    engine_options_init(&o);
    o.context = context;
    o.n_threads = 2; /* 0 would read the machine each time */
    return o;
}

/* ---- every entry in every mix ---- */

typedef struct amounts {
    double layer_quick, layer_fine, embed, dense; /* values of matrices: a layer's, those that mixes make finer, ... */
} amounts;

/* From the shape alone, and not from any list of tensors. */
static amounts amounts_of(const catalogue_model *m, bool has_gate, bool has_dense)
{
    const catalogue_shape *s = &m->shape;
    double e = s->embd, q = (double)s->heads * s->head_dim, kv = (double)s->kv_heads * s->head_dim;
    return (amounts){ .layer_quick = 2 * e * q + e * kv + (has_gate ? 2 : 1) * e * s->ff, /* q, output, k, gate, up */
                      .layer_fine = e * kv + e * s->ff,                                   /* v, down */
                      .embed = e * s->vocab,
                      .dense = has_dense ? e * e : 0 };
}

static double sum_of(const catalogue_model *m, const amounts *a)
{
    return m->shape.layers * (a->layer_quick + a->layer_fine) + (m->shape.tied ? 1 : 2) * a->embed + a->dense;
}

static bool has_gate(const gguf *g)
{
    const gguf_tensor *up = gguf_tensor_find(g, "blk.0.ffn_up.weight");
    const gguf_tensor *down = gguf_tensor_find(g, "blk.0.ffn_down.weight");
    return gguf_tensor_find(g, "blk.0.ffn_gate.weight") || up->ne[1] == 2 * down->ne[0];
}

static bool rows_are_whole_blocks(const catalogue_shape *s, uint32_t block)
{
    return s->embd % block == 0 && s->ff % block == 0 && s->heads * s->head_dim % block == 0;
}

/* Layers that Q4_K_M makes finer: the first and last eighth, and every third of the others. */
static uint32_t finer_layers(uint32_t n)
{
    uint32_t first = n / 8, last = 7 * n / 8, count = first + n - last;
    for (uint32_t i = first + 2; i < last; i += 3)
        count++;
    return count;
}

/* What the data should take, or 0: this mix has no formula for these rows. kept: values that stay F32. */
static double expected_bytes(const catalogue_model *m, const quant_mix *mix, const amounts *a, double kept)
{
    const quant_traits *t = quant_find(mix->main);
    const catalogue_shape *s = &m->shape;
    double bits = 8.0 * t->bytes / t->block, matrices = sum_of(m, a);
    if (t->block == 1 || (mix->main == QUANT_Q8_0 && rows_are_whole_blocks(s, 32)))
        return matrices * bits / 8 + 4 * kept;
    if (!rows_are_whole_blocks(s, 256))
        return 0;
    if (strcmp(mix->name, "Q6_K") == 0)
        return matrices * bits / 8 + 4 * kept;
    double rest = a->embed * 6.5625 + (s->tied ? 0 : a->embed * bits); /* the head is Q6_K */
    if (strcmp(mix->name, "Q4_K_M") == 0 && !v_is_fused) {
        double fine = finer_layers(s->layers);
        return (s->layers * a->layer_quick * bits + a->layer_fine * (fine * 6.5625 + (s->layers - fine) * bits) + rest +
                a->dense * bits) / 8 + 4 * kept;
    }
    if (strcmp(mix->name, "Q4_0") == 0 || strcmp(mix->name, "Q5_K_S") == 0)
        return (s->layers * (a->layer_quick + a->layer_fine) * bits + rest + a->dense * bits) / 8 + 4 * kept;
    return 0;
}

static int n_exact;

static void check_header(const catalogue_model *m, const quant_mix *mix)
{
    gguf *g = NULL;
    engine_options o = options_of(512);
    engine_budget b;
    model_sizes sizes;
    static model_spec spec;
    assert_ok(catalogue_header(&g, m, mix->name, err));
    assert_ok(model_plan(g, false, &spec, &sizes, err));
    assert_ok(engine_plan(g, &o, &b, err));
    assert_int_equal(spec.n_layers, m->shape.layers);
    assert_int_equal(spec.n_vocab, m->shape.vocab);
    assert_int_equal(spec.context_train, m->context);
    amounts a = amounts_of(m, has_gate(g), gguf_tensor_find(g, "cls.weight") != NULL);
    v_is_fused = gguf_tensor_find(g, "blk.0.attn_qkv.weight") != NULL;
    double params = (double)sizes.n_params, kept = params - sum_of(m, &a), bytes = (double)gguf_data_bytes(g);
    if (!(kept > 0 && kept < params * 0.02 + 1e6)) /* norms, biases, positions */
        fail_msg("%s: %.0f parameters, %.0f of them in no matrix", m->name, params, kept);
    double want = expected_bytes(m, mix, &a, kept);
    if (want > 0 && bytes != want)
        fail_msg("%s %s: %.0f bytes, %.0f by arithmetic", m->name, mix->name, bytes, want);
    n_exact += want > 0;
    const quant_traits *t = quant_find(mix->main);
    double least = params * t->bytes / t->block, most = params * (rows_are_whole_blocks(&m->shape, 32) ? 34. / 32 : 2);
    assert_true(bytes >= least && bytes <= (most > least ? most : least) + 4 * kept);
    assert_true(gguf_file_bytes(g, 0) >= gguf_header_bytes(g, 0) + gguf_data_bytes(g));
    assert_true((double)b.weights_bytes * 1.01 >= bytes);
    gguf_close(&g);
}

static void every_entry_in_every_mix_has_a_plan(void **state)
{
    (void)state;
    assert_true(catalogue_n(all) >= 40);
    for (size_t i = 0; i < catalogue_n(all); i++)
        for (size_t k = 0; quant_mix_at(k); k++)
            check_header(catalogue_at(all, i), quant_mix_at(k));
    assert_true(n_exact >= 6 * (int)catalogue_n(all)); /* most of the sizes above are known exactly */
    assert_null(catalogue_at(all, catalogue_n(all)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_in_every_mix_has_a_plan),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
