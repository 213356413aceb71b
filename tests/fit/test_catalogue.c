/* The catalogue: what is embedded is whole, every damage is named, and the bytes of a header that no file has are those
 * of real files, and of arithmetic that knows nothing of headers. */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fit/catalogue.h"
#include "gguf/gguf_int.h"
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

static uint64_t size_of(const catalogue_model *m, const char *type)
{
    gguf *g = NULL;
    assert_ok(catalogue_header(&g, m, type, err));
    uint64_t bytes = gguf_file_bytes(g, 0);
    gguf_close(&g);
    return bytes;
}

/* Sizes that llama-quantize --help states of Llama 3 8B, in GiB. */
static void sizes_of_a_known_model(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        double gib;
    } known[] = { { "Q2_K", 2.96 },   { "Q3_K_S", 3.41 }, { "Q3_K_M", 3.74 }, { "Q3_K_L", 4.03 }, { "Q4_0", 4.34 },
                  { "Q4_K_S", 4.37 }, { "Q4_K_M", 4.58 }, { "Q4_1", 4.78 },   { "Q5_0", 5.21 },   { "Q5_K_S", 5.21 },
                  { "Q5_K_M", 5.33 }, { "Q5_1", 5.65 },   { "Q6_K", 6.14 },   { "Q8_0", 7.96 } };
    const catalogue_model *m = catalogue_find(all, "llama-3.1-8b-instruct");
    assert_non_null(m);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        double off_by = (double)size_of(m, known[i].type) / (1 << 30) - known[i].gib;
        if (off_by > 0.0101 || off_by < -0.0101)
            fail_msg("%s: off by %.3f GiB", known[i].type, off_by);
    }
    for (size_t i = 1; quant_mix_at(i); i++)
        assert_true(size_of(m, quant_mix_at(i - 1)->name) <= size_of(m, quant_mix_at(i)->name));
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

/* ---- real files ---- */

static const char *cache_path(char path[4096], const char *file)
{
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(path, 4096, "%s/%s", cache ? cache : "build/cache", file);
    return path;
}

static double off(uint64_t ours, uint64_t theirs)
{
    double d = ((double)ours - (double)theirs) / (double)theirs;
    return d < 0 ? -d : d;
}

/* Every tensor of the file under the same name, in the same shape and type; its length and what it takes within 1 %,
 * the vocabulary aside, which is an estimate of up to 5 %. */
static void compare_file(const char *name, const char *type, const char *file)
{
    char path[4096];
    gguf *real = NULL, *ours = NULL;
    const catalogue_model *m = catalogue_find(all, name);
    assert_non_null(m);
    assert_ok(gguf_open(&real, cache_path(path, file), err));
    assert_ok(catalogue_header(&ours, m, type, err));
    assert_int_equal(gguf_n_tensors(ours), gguf_n_tensors(real));
    for (size_t i = 0; i < gguf_n_tensors(ours); i++) {
        const gguf_tensor *t = gguf_tensor_at(ours, i);
        char text[GGUF_MAX_NAME + 1];
        snprintf(text, sizeof text, "%.*s", (int)t->name.n, t->name.p);
        const gguf_tensor *r = gguf_tensor_find(real, text);
        assert_non_null(r);
        if (r->type != t->type || memcmp(r->ne, t->ne, sizeof r->ne) != 0)
            fail_msg("%s: %s, in the file %s", text, quant_name(t->type), quant_name(r->type));
    }
    assert_int_equal(gguf_data_bytes(ours), gguf_data_bytes(real));
    assert_true(off(gguf_file_bytes(ours, 0), gguf_file_bytes(real, 0)) < 0.01);
    for (uint32_t context = 512; context <= 8192; context *= 4) {
        engine_options o = options_of(context);
        engine_budget a, b;
        assert_ok(engine_plan(ours, &o, &a, err));
        assert_ok(engine_plan(real, &o, &b, err));
        assert_int_equal(a.weights_bytes, b.weights_bytes);
        assert_int_equal(a.token_bytes, b.token_bytes);
        assert_int_equal(a.kv_bytes, b.kv_bytes);
        assert_int_equal(a.scratch_bytes, b.scratch_bytes);
        assert_true(off(a.vocab_bytes, b.vocab_bytes) < 0.10); /* special tokens have no stand-ins */
        assert_true(off(a.total_bytes, b.total_bytes) < 0.01);
    }
    gguf_close(&ours);
    gguf_close(&real);
}

static void headers_are_those_of_real_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *type, *file;
    } files[] = {
        { "gemma-3-270m", "Q4_K_M", "gemma-3-270m-q4_k_m.gguf" },
        { "smollm2-135m-instruct", "q4_1", "SmolLM2-135M-Instruct.Q4_1.gguf" },
    };
    char path[4096];
    int n = 0;
    for (size_t i = 0; i < ARRAY_LEN(files) && !models_are_tiny(); i++) {
        if (access(cache_path(path, files[i].file), R_OK))
            continue; /* fetched by make setup */
        compare_file(files[i].name, files[i].type, files[i].file);
        n++;
    }
    if (!n)
        skip();
}

/* What fit says of a file, it says of the entry. */
static void an_entry_fits_as_its_file_does(void **state)
{
    (void)state;
    fit_machine machine = { .memory = { .usable_bytes = 1ull << 30 } };
    engine_options o = options_of(2048);
    fit_model f, g;
    char path[4096];
    error e;
    const catalogue_model *m = catalogue_find(all, "smollm2-135m-instruct");
    assert_ok(fit_catalogue(m, "Q4_1", &o, &machine, &f, err));
    assert_string_equal(f.name, "smollm2-135m-instruct:Q4_1");
    assert_true(f.fits && f.context == 2048 && f.context_train == 8192);
    assert_int_equal(f.have_bytes, 1ull << 30);
    o.mem_bytes = f.need_bytes - 1;
    assert_ok(fit_catalogue(m, "Q4_1", &o, &machine, &g, err));
    assert_false(g.fits);
    assert_int_equal(g.need_bytes, f.need_bytes);
    o.mem_bytes = 0;
    assert_int_equal(fit_catalogue(m, "Q4_Z", &o, &machine, &g, &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.text, "'Q4_Z'"));
    assert_non_null(strstr(e.text, "Q4_K_M"));
    if (models_are_tiny() || access(cache_path(path, "SmolLM2-135M-Instruct.Q4_1.gguf"), R_OK))
        skip();
    assert_ok(fit_model_file(path, &o, &machine, &g, err));
    assert_string_equal(g.arch, f.arch);
    assert_string_equal(g.file_type, f.file_type);
    assert_int_equal(g.n_params, f.n_params);
    assert_int_equal(g.budget.weights_bytes, f.budget.weights_bytes);
    assert_true(off(f.need_bytes, g.need_bytes) < 0.01);
}

/* The first bytes of a file, as they come over a network, say what the file says. */
static void the_beginning_of_a_file_is_enough(void **state)
{
    (void)state;
    fit_machine machine = { .memory = { .usable_bytes = 1ull << 30 } };
    engine_options o = options_of(1024);
    char path[4096];
    gguf *whole = NULL, *begun = NULL;
    fit_model f, g;
    if (access(cache_path(path, "SmolLM2-135M-Instruct.Q4_1.gguf"), R_OK))
        skip();
    assert_ok(gguf_open(&whole, path, err));
    size_t n = (size_t)gguf_header_bytes(whole, 0);
    char *bytes = mem_alloc(n);
    FILE *file = fopen(path, "rb");
    assert_true(bytes && file && fread(bytes, 1, n, file) == n);
    fclose(file);
    assert_ok(gguf_parse(&begun, bytes, n, gguf_file_bytes(whole, 0), "https://x/y.gguf", err));
    assert_ok(fit_model_gguf(begun, "y", &o, &machine, &f, err));
    assert_ok(fit_model_file(path, &o, &machine, &g, err));
    assert_string_equal(f.name, "y");
    assert_int_equal(f.file_bytes, g.file_bytes);
    assert_int_equal(f.n_params, g.n_params);
    assert_int_equal(f.need_bytes, g.need_bytes);
    gguf_close(&begun);
    gguf_close(&whole);
    mem_free(bytes);
}

/* ---- losses ---- */

#define PAGE "https://x/a}\n"

static void losses_are_those_of_the_nearest_model(void **state)
{
    (void)state;
    static const char losses[] =
        "hearth: 1\nlosses:\n"
        "  - {type: Q4_K_M, model: Big, params: 32B, imatrix: false, measure: ppl, value: 5.05, base: 5, page: " PAGE
        "  - {type: Q4_K_M, model: Small, params: 494M, imatrix: true, measure: ppl, value: 11, base: 10, page: " PAGE
        "  - {type: Q4_K_M, model: Same, params: 135M, imatrix: false, measure: kld, value: 0.5, page: " PAGE
        "  - {type: IQ3_M, model: Same, params: 135M, imatrix: false, measure: kld, value: 0.5, page: " PAGE;
    static const char models[] = "hearth: 1\nmodels: []\n";
    catalogue *c = NULL;
    catalogue_loss_row row;
    const catalogue_model *small = catalogue_find(all, "smollm2-135m-instruct"),
                          *big = catalogue_find(all, "qwen2.5-14b-instruct");
    assert_ok(catalogue_parse(&c, models, strlen(models), losses, strlen(losses), err));
    assert_true(catalogue_loss(c, "Q4_K_M", small, &row)); /* a perplexity goes before a nearer divergence */
    assert_string_equal(row.model, "Small");
    assert_true(row.imatrix && row.loss > 0.0999 && row.loss < 0.1001);
    assert_true(catalogue_loss(c, "q4_k", big, &row));
    assert_string_equal(row.model, "Big");
    assert_true(catalogue_loss(c, "IQ3_M", big, &row));
    assert_true(row.is_divergence && row.loss == 0.5);
    assert_false(catalogue_loss(c, "Q8_0", big, &row));
    catalogue_close(&c);
    for (size_t k = 0; quant_mix_at(k); k++) { /* of the real ones: no type gains or loses what cannot be */
        if (!catalogue_loss(all, quant_mix_at(k)->name, small, &row))
            continue;
        assert_true(row.loss > -0.01 && row.loss < 1);
        assert_non_null(row.page);
    }
}

/* ---- damage ---- */

#define GOOD                                                                                                           \
    "hearth: 1\nmodels:\n  - name: a-1\n    title: A\n    maker: B\n    arch: qwen3\n    kind: chat\n"                 \
    "    licence: MIT\n"                                                                                               \
    "    released: 2025-04\n    context: 4096\n    params: 1.5M\n"                                                     \
    "    shape: {layers: 2, embd: 64, ff: 128, heads: 4, kv_heads: 2, head_dim: 16, vocab: 500, tied: true}\n"         \
    "    source: https://x/y\n    files: hf:a/b\n    quants: [Q8_0, IQ3_M]\n"                                          \
    "    pages: {shape: https://x/s, context: https://x/c, licence: https://x/l, files: https://x/f, "                 \
    "params: https://x/p}\n    unproved: [released]\n"

static const struct damage {
    const char *from, *to; /* the first text becomes the second */
    const char *said;
} damages[] = {
    { "name: a-1", "name: A-1", "'name: A-1' is not a-z" },
    { "name: a-1", "nam: a-1", "entry 1: catalogue.yaml:3: unknown key 'nam' (did you mean 'name'?)" },
    { "title: A", "title: ''", "a-1: catalogue.yaml:4: 'title' must have 1 to" },
    { "    maker: B\n", "", "'maker' is missing" },
    { "kind: chat", "kind: chatty", "'kind: chatty' is not chat, base" },
    { "2025-04", "2025-13", "'released: 2025-13' is not a month" },
    { "2025-04", "April", "'released: April' is not a month" },
    { "context: 4096", "context: 0", "'context' is 0; it must be from 1" },
    { "context: 4096", "context: many", "'context'" },
    { "1.5M", "1.5T", "'params: 1.5T' is not a number of parameters" },
    { "1.5M", "M", "'params: M' is not" },
    { "layers: 2", "layer: 2", "unknown key 'layer'" },
    { "layers: 2, ", "", "'layers' is missing" },
    { "vocab: 500", "vocab: 99999999", "'vocab' is 99999999" },
    { "kv_heads: 2", "kv_heads: 3", "4 'heads' are no multiple of 3" },
    { "tied: true", "tied: yes", "'tied'" },
    { ", tied: true", "", "'tied' is missing" },
    { "tied: true", "tied: true, window_period: 3", "'window_period' without 'window'" },
    { "https://x/y", "http://x/y", "'source: http://x/y' is not an address" },
    { "hf:a/b", "hf:ab", "'files: hf:ab' is not hf:OWNER/REPO" },
    { "[Q8_0, IQ3_M]", "[Q8 0]", "'quants: Q8 0' is not the name of a type" },
    { "[Q8_0, IQ3_M]", "Q8_0", "'quants' must be a list" },
    { "unproved: [released]", "unproved: []", "'released' has no page in 'pages' and is not named in 'unproved'" },
    { "unproved: [released]", "unproved: [released, shape]", "'shape' has a page and is said to be unproved" },
    { "unproved: [released]", "unproved: [released, maker]", "'unproved: maker' is no fact" },
    { "    files: hf:a/b\n", "", "'files' has a page or is unproved, but is not there" },
    { "[Q8_0, IQ3_M]", "[Q8_0]\n    packages: [numpy]", "'packages: numpy' is not hf:OWNER/REPO, pypi:PACKAGE" },
    { "{shape: https://x/s", "{shape: x", "'shape: x' is not an address" },
    { "{shape: https://x/s", "{size: https://x/s", "unknown key 'size'" },
    { "hearth: 1", "hearth: 2", "'hearth: 2'" },
    { "hearth: 1\n", "hearth: 1\nnote: x\n", "unknown key 'note'" },
    { "models:", "model:", "a list 'models'" },
    { GOOD, "", "catalogue.yaml:1: it must begin with 'hearth: 1'" },
    { GOOD, "- a", "it must begin with 'hearth: 1'" },
    { "  - name", "  -\n  - name", "entry 1: catalogue.yaml:3: a model must be a map" },
};

static void every_damage_is_named(void **state)
{
    (void)state;
    catalogue *c = NULL;
    error e;
    assert_ok(catalogue_parse(&c, GOOD, strlen(GOOD), NULL, 0, err));
    const catalogue_model *m = catalogue_at(c, 0);
    assert_true(catalogue_n(c) == 1 && m->unproved[CATALOGUE_RELEASED] && !m->pages[CATALOGUE_RELEASED]);
    assert_true(m->params == 1.5e6 && m->n_quants == 2 && m->kind == CATALOGUE_CHAT);
    assert_string_equal(m->pages[CATALOGUE_FILES], "https://x/f");
    assert_null(catalogue_find(c, "a-2"));
    catalogue_close(&c);
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        const struct damage *d = &damages[i];
        char text[4096];
        const char *at = strstr(GOOD, d->from);
        assert_non_null(at);
        int n = snprintf(text, sizeof text, "%.*s%s%s", (int)(at - GOOD), GOOD, d->to, at + strlen(d->from));
        status s = catalogue_parse(&c, text, (size_t)n, NULL, 0, &e);
        if (!s || !strstr(e.text, d->said))
            fail_msg("'%s' for '%s': %s", d->to, d->from, s ? e.text : "no error");
        assert_null(c);
    }
    char twice[4096];
    int n = snprintf(twice, sizeof twice, "%s%s", GOOD, strstr(GOOD, "  - name"));
    assert_int_equal(catalogue_parse(&c, twice, (size_t)n, NULL, 0, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "this 'name' is in the list already"));
}

static void every_size_of_vocabulary_has_a_stand_in(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 1, 33000, 33001, 60000, 64500, 127999, 131073, 262144, 263001, 400000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char text[4096];
        catalogue *c = NULL;
        gguf *g = NULL;
        const gguf_value *tokens = NULL;
        const char *at = strstr(GOOD, "500");
        int n = snprintf(text, sizeof text, "%.*s%u%s", (int)(at - GOOD), GOOD, sizes[i], at + 3);
        assert_ok(catalogue_parse(&c, text, (size_t)n, NULL, 0, err));
        assert_ok(catalogue_header(&g, catalogue_at(c, 0), "Q4_K_M", err));
        assert_ok(gguf_array(g, "tokenizer.ggml.tokens", GGUF_STR, sizes[i], &tokens, err));
        assert_true(tokens->bytes >= 12ull * sizes[i] && tokens->bytes <= 20ull * sizes[i]);
        gguf_close(&g);
        catalogue_close(&c);
    }
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    status s = E_NOMEM;
    error e;
    for (uint64_t n = 1; s; n++) {
        catalogue *c = NULL;
        gguf *g = NULL;
        mem_fail_at(n);
        s = catalogue_parse(&c, GOOD, strlen(GOOD), NULL, 0, &e);
        if (!s)
            s = catalogue_header(&g, catalogue_at(c, 0), "Q4_K_M", &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM || s == E_RANGE || s == E_FORMAT);
        gguf_close(&g);
        catalogue_close(&c);
    }
}

/* For tools/agree/catalogue_types.py: a file of this entry in F32 without weights (its header, and a hole), or the
 * types of all tensors in a mix, or the names of all entries. */
static int tool(int argc, char **argv)
{
    catalogue *c = NULL;
    gguf *g = NULL;
    error e;
    bool sparse = argc == 4 && strcmp(argv[1], "sparse") == 0;
    status s = catalogue_open(&c, &e);
    if (!s && argc == 2) {
        for (size_t i = 0; i < catalogue_n(c); i++)
            puts(catalogue_at(c, i)->name);
    } else if (!s) {
        const catalogue_model *m = argc == 4 ? catalogue_find(c, argv[2]) : NULL;
        s = m ? catalogue_header(&g, m, sparse ? "F32" : argv[3], &e) : fail(&e, E_NOTFOUND, "usage: see its source");
    }
    FILE *out = !s && sparse ? fopen(argv[3], "wb") : NULL;
    if (out) {
        fwrite(g->parts[0].bytes, 1, (size_t)g->parts[0].n_bytes, out);
        if (fclose(out) || truncate(argv[3], (off_t)gguf_file_bytes(g, 0)))
            s = fail(&e, E_IO, "%s cannot be written", argv[3]);
    } else if (g) {
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const gguf_tensor *t = gguf_tensor_at(g, i);
            printf("%.*s %s\n", (int)t->name.n, t->name.p, quant_name(t->type));
        }
    }
    if (s)
        fprintf(stderr, "%s\n", e.text);
    gguf_close(&g);
    catalogue_close(&c);
    return s != OK;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return tool(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_in_every_mix_has_a_plan),
        cmocka_unit_test(sizes_of_a_known_model),
        cmocka_unit_test(headers_are_those_of_real_files),
        cmocka_unit_test(an_entry_fits_as_its_file_does),
        cmocka_unit_test(the_beginning_of_a_file_is_enough),
        cmocka_unit_test(losses_are_those_of_the_nearest_model),
        cmocka_unit_test(every_damage_is_named),
        cmocka_unit_test(every_size_of_vocabulary_has_a_stand_in),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
