/* What a model would need in other types: against the files themselves, and for any types at all. */
#include "lib/check.h"
#include "lib/random.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "lib/tiny_model.h"
#include "pack/quantize.h"
#include "quant/mix.h"
#include "quant/quant.h"

static char model[4096];
static const char *const types[] = { "f32", "f16", "q8_0", "q4_0", "q4_k", "q2_k" };

static engine_options with_context(uint32_t context)
{
    engine_options o;
    engine_options_init(&o);
    o.context = context;
    o.n_threads = 2;
    return o;
}

static uint64_t need_of(const gguf *g, const engine_options *o)
{
    fit_model f = { .have_bytes = 0 };
    assert_ok(fit_memory(g, o, &f, err));
    return f.need_bytes;
}

static uint64_t allowed(const gguf *g, const engine_options *o, const fit_types *those, uint64_t have)
{
    uint64_t bytes = 0;
    error e;
    status s = fit_tensor_bytes(g, o, those, have, &bytes, &e);
    if (s && s != E_NOFIT)
        fail_msg("%s", e.text);
    return bytes;
}

static void quantised(const char *type, char path[4200])
{
    pack_options o = { .type = type, .n_threads = 2, .overwrite = true };
    pack_report r;
    snprintf(path, 4200, "%s.%s", tiny_model_path(), type);
    assert_ok(pack_quantize(tiny_model_path(), path, &o, &r, err));
}

/* Header and real file agree to the byte, in every part of the sum. */
static void a_file_takes_what_its_header_said(void **state)
{
    (void)state;
    const engine_options o = with_context(256);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        char path[4200];
        gguf *source = NULL, *real = NULL, *foretold = NULL;
        quantised(types[i], path);
        assert_ok(gguf_open(&source, tiny_model_path(), err));
        assert_ok(gguf_open(&real, path, err));
        uint32_t *of = mem_array(gguf_n_tensors(real), sizeof *of);
        for (size_t t = 0; t < gguf_n_tensors(real); t++)
            of[t] = gguf_tensor_at(real, t)->type;
        assert_ok(fit_retyped(&foretold, source, of, err));
        engine_budget a, b;
        assert_ok(engine_plan(real, &o, &a, err));
        assert_ok(engine_plan(foretold, &o, &b, err));
        assert_int_equal(gguf_data_bytes(real), gguf_data_bytes(foretold));
        assert_int_equal(a.weights_bytes, b.weights_bytes);
        assert_int_equal(a.kv_bytes, b.kv_bytes);
        assert_int_equal(a.scratch_bytes, b.scratch_bytes);
        assert_int_equal(a.vocab_bytes, b.vocab_bytes);
        mem_free(of);
        gguf_close(&foretold);
        gguf_close(&real);
        gguf_close(&source);
        assert_int_equal(unlink(path), 0);
    }
}

/* The types of its matrices. */
static size_t types_of(const gguf *g, uint32_t out[KERNELS_TYPES])
{
    size_t n = 0;
    for (size_t t = 0; t < gguf_n_tensors(g); t++) {
        const gguf_tensor *tensor = gguf_tensor_at(g, t);
        size_t i = 0;
        while (i < n && out[i] != tensor->type)
            i++;
        if (i == n && quant_role_of(tensor->name, gguf_tensor_rows(tensor)) != QUANT_KEPT)
            out[n++] = tensor->type;
    }
    return n;
}

/* The files that are here: with just enough memory for one, the budget is its size, to a few bytes. */
static void the_budget_for_a_file_is_its_size(void **state)
{
    static const char *const names[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf" };
    const char *cache = getenv("HEARTH_CACHE");
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        for (uint32_t context = 512; context <= 4096; context *= 8) {
            char path[4200];
            gguf *g = NULL;
            const engine_options o = with_context(context);
            snprintf(path, sizeof path, "%s/%s", cache ? cache : "build/cache", names[i]);
            if (access(path, R_OK))
                continue;
            assert_ok(gguf_open(&g, path, err));
            uint32_t of[KERNELS_TYPES];
            fit_types those = { of, types_of(g, of) };
            uint64_t bytes = allowed(g, &o, &those, need_of(g, &o));
            print_message("%s, context %u: %llu bytes, budget %llu\n", names[i], context,
                          (unsigned long long)gguf_data_bytes(g), (unsigned long long)bytes);
            assert_true(bytes <= gguf_data_bytes(g));
            assert_true(bytes + 64 >= gguf_data_bytes(g));
            gguf_close(&g);
        }
}

/* With a byte less than they need, no types are within the budget. */
static void no_types_within_the_budget_need_more(void **state)
{
    static const uint32_t all[] = { QUANT_F32, QUANT_F16, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0, QUANT_Q5_1, QUANT_IQ4_NL,
                                    QUANT_Q6_K, QUANT_Q4_K, QUANT_Q2_K };
    (void)state;
    gguf *g = NULL;
    assert_ok(gguf_open(&g, model[0] ? model : tiny_model_path(), err));
    uint32_t *of = mem_array(gguf_n_tensors(g), sizeof *of);
    for (int round = 0; round < 200; round++) {
        uint32_t n = round < 10 ? 1 : 1 + rnd(9), from = round < 10 ? (uint32_t)round : rnd((uint32_t)(10 - n + 1));
        const fit_types those = { all + from, n };
        gguf *other = NULL;
        for (size_t t = 0; t < gguf_n_tensors(g); t++) {
            const gguf_tensor *now = gguf_tensor_at(g, t);
            bool kept = quant_role_of(now->name, gguf_tensor_rows(now)) == QUANT_KEPT;
            of[t] = kept ? now->type : quant_type_fitting(all[from + rnd(n)], now->ne[0]);
        }
        const engine_options o = with_context(64 << rnd(5));
        uint64_t bytes;
        assert_ok(fit_retyped(&other, g, of, err));
        uint64_t need = need_of(other, &o), data = gguf_data_bytes(other);
        bytes = allowed(g, &o, &those, need - 1);
        if (bytes >= data)
            fail_msg("%llu bytes need %llu, but %llu were thought to need less", (unsigned long long)data,
                     (unsigned long long)need, (unsigned long long)bytes);
        bytes = allowed(g, &o, &those, need);
        if (bytes + data / 500 + (round < 10 ? 0 : 2 << 20) < data)
            fail_msg("of %llu bytes only %llu were allowed", (unsigned long long)data, (unsigned long long)bytes);
        gguf_close(&other);
    }
    mem_free(of);
    gguf_close(&g);
}

static void what_never_fits_is_refused_with_the_sum(void **state)
{
    (void)state;
    gguf *g = NULL;
    uint64_t bytes;
    error e;
    const fit_types those = { (const uint32_t[]){ QUANT_Q2_K }, 1 };
    const engine_options o = with_context(512);
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_int_equal(fit_tensor_bytes(g, &o, &those, 1 << 16, &bytes, &e), E_NOFIT);
    assert_non_null(strstr(e.text, "without its weights it needs"));
    assert_non_null(strstr(e.text, "of 64.0 KiB allowed"));
    gguf_close(&g);
}

int main(void)
{
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(model, sizeof model, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    if (access(model, R_OK))
        model[0] = '\0';
    tiny_model m = tiny_model_default();
    m.n_vocab = 101; /* no whole panels */
    tiny_model_write(&m, tiny_model_path());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_takes_what_its_header_said),
        cmocka_unit_test(the_budget_for_a_file_is_its_size),
        cmocka_unit_test(no_types_within_the_budget_need_more),
        cmocka_unit_test(what_never_fits_is_refused_with_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
