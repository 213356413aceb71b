/* fit against the engine itself: what is predicted is what is taken; what does not fit is said so with a way out. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "kernels/kernels.h"
#include "quant/quant.h"

static fit_machine machine;
static char model[4096], window_model[4096];

static engine_options options_of(uint32_t context)
{
    engine_options o;
    engine_options_init(&o);
    o.context = context;
    return o;
}

static void prediction_is_the_allocation(void **state)
{
    const char *path = *state;
    static const uint32_t contexts[] = { 64, 512, 2048 };
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
        engine_options o = options_of(contexts[i]);
        fit_model f;
        gguf *g = NULL;
        engine *e = NULL;
        assert_ok(fit_model_file(path, &o, &machine, &f, err));
        assert_ok(gguf_open(&g, path, err));
        assert_ok(engine_open(&e, g, &o, err));
        const engine_budget *real = engine_memory(e);
        assert_int_equal(f.budget.weights_bytes, real->weights_bytes);
        assert_int_equal(f.budget.kv_bytes, real->kv_bytes);
        assert_int_equal(f.budget.scratch_bytes, real->scratch_bytes);
        assert_int_equal(f.budget.vocab_bytes, real->vocab_bytes);
        assert_int_equal(f.budget.load_bytes, real->load_bytes);
        assert_int_equal(f.budget.total_bytes - f.budget.process_bytes, real->total_bytes); /* no process: a library */
        assert_int_equal(f.need_bytes, f.budget.total_bytes);
        assert_int_equal(f.context, contexts[i]);
        assert_true(f.decode_per_s > f.decode_full_per_s && f.decode_full_per_s > 0 && f.prefill_per_s > 0);
        engine_close(&e);
    }
}

/* gemma: below some 800 positions a position costs nine times what it costs above. */
static void a_budget_is_obeyed_and_a_way_out_named(void **state)
{
    const char *path = *state;
    engine_options o = options_of(0);
    fit_model tight;
    uint32_t largest = 0;
    static const uint32_t contexts[] = { 128, 640, 832, 8192 };
    for (size_t i = 0; i < ARRAY_LEN(contexts); i++) {
        fit_model f;
        o.context = contexts[i];
        o.mem_bytes = 0;
        assert_ok(fit_model_file(path, &o, &machine, &f, err));
        o.mem_bytes = f.need_bytes - 1;
        assert_ok(fit_model_file(path, &o, &machine, &tight, err));
        assert_false(tight.fits);
        assert_ok(fit_largest_context(path, &o, &machine, &largest, err));
        assert_int_equal(largest, contexts[i] - 64);
        o.context = largest;
        assert_ok(fit_model_file(path, &o, &machine, &tight, err));
        assert_true(tight.fits);
        o.context = largest + 64;
        assert_ok(fit_model_file(path, &o, &machine, &tight, err));
        assert_false(tight.fits);
    }
    o.mem_bytes = 1 << 20;
    assert_ok(fit_largest_context(path, &o, &machine, &largest, err));
    assert_int_equal(largest, 0);
    buf line = BUF_INIT(1000);
    fit_arithmetic(&tight, &line);
    assert_non_null(strstr(buf_text(&line), "weights"));
    assert_non_null(strstr(buf_text(&line), " = "));
    buf_clear(&line);
}

/* Of a window layer a token sees the window, however long the context is. */
static void a_full_context_sees_no_more_than_windows(void **state)
{
    (void)state;
    if (models_are_tiny())
        skip(); /* the numbers below are those of gemma-3-270m */
    engine_options o = options_of(32768);
    fit_model f;
    assert_ok(fit_model_file(window_model, &o, &machine, &f, err));
    const uint64_t layer = 2 * 256 * 2; /* F16 keys and values of one head of 256 */
    assert_int_equal(f.budget.kv_bytes, layer * 64 * (3 * 512 + 15 * 13));
    double near = fit_expect_decode(&f.work, &machine, 1, 16383).attention_s;
    double far = fit_expect_decode(&f.work, &machine, 1, 32767).attention_s;
    double off = far / near - (3.0 * 32768 + 15 * 512) / (3.0 * 16384 + 15 * 512);
    assert_true(off < 1e-9 && off > -1e-9);
}

static void the_machine_is_measured(void **state)
{
    (void)state;
    const fit_rates *r = &machine.rates;
    assert_true(machine.read_bytes_per_s > 1e8); /* no machine that runs this is slower than 0.1 GB/s */
    assert_true(machine.macs_per_s > 1e7 && machine.threads == 1 && machine.disk_free_bytes > 0);
    for (int type = 0; type < KERNELS_TYPES; type++) {
        assert_int_equal(r->one[type][FIT_MEMORY][0] > 0, kernels_supports(type));
        assert_int_equal(r->few[type][FIT_FEW - 1][0] > 0, kernels_supports(type));
        assert_int_equal(r->block[type][FIT_COLS - 1] > 0, kernels_supports(type));
    }
    js *o = fit_machine_js(&machine);
    double d = 0;
    assert_true(js_double(js_get(o, "read_bytes_per_s"), &d) && d > 1e8);
    assert_true(js_double(js_get(o, "macs_per_s"), &d) && d > 1e7);
    js_free(o);
}

static void damaged_files_name_themselves(void **state)
{
    (void)state;
    engine_options o = options_of(0);
    fit_model f;
    error e;
    assert_int_equal(fit_model_file("/nonexistent/x.gguf", &o, &machine, &f, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "/nonexistent/x.gguf"));
}

static int measure(void **state)
{
    (void)state;
    return fit_measure_machine(&machine, 1, NULL) != OK;
}

int main(void)
{
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(model, sizeof model, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    snprintf(window_model, sizeof window_model, "%s/gemma-3-270m-q4_k_m.gguf", cache ? cache : "build/cache");
    if (access(model, R_OK) || access(window_model, R_OK)) {
        printf("%s or %s is not there: skipped for want of the network\n", model, window_model);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(prediction_is_the_allocation, model),
        cmocka_unit_test_prestate(prediction_is_the_allocation, window_model),
        cmocka_unit_test_prestate(a_budget_is_obeyed_and_a_way_out_named, model),
        cmocka_unit_test_prestate(a_budget_is_obeyed_and_a_way_out_named, window_model),
        cmocka_unit_test(a_full_context_sees_no_more_than_windows),
        cmocka_unit_test(the_machine_is_measured),
        cmocka_unit_test(damaged_files_name_themselves),
    };
    return cmocka_run_group_tests(tests, measure, NULL);
}
