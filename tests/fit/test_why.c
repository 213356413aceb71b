/* why: the limit it names is the largest term of the step; every figure in its sentences is fit's own; what was not
 * asked is not told. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "fit/fit.h"
#include "fit/why.h"

static fit_machine machine;
static char model[4096];

static void the_limit_is_the_largest_term(void **state)
{
    (void)state;
    double share;
    assert_int_equal(fit_limit_of(&(fit_step){ .memory_s = 3, .multiply_s = 1 }, &share), FIT_LIMIT_BANDWIDTH);
    assert_true(share == 0.75);
    assert_int_equal(fit_limit_of(&(fit_step){ .memory_s = 1, .multiply_s = 2 }, &share), FIT_LIMIT_MULTIPLIER);
    assert_int_equal(fit_limit_of(&(fit_step){ .attention_s = 1, .rest_s = 0.5 }, &share), FIT_LIMIT_ATTENTION);
    assert_int_equal(fit_limit_of(&(fit_step){ .sync_s = 1 }, &share), FIT_LIMIT_SYNC);
    assert_int_equal(fit_limit_of(&(fit_step){ .rest_s = 1, .sync_s = 0.5 }, &share), FIT_LIMIT_REST);
    assert_int_equal(fit_limit_of(&(fit_step){ 0 }, &share), FIT_LIMIT_NONE);
    assert_true(share == 0);
    assert_string_equal(fit_limit_name(FIT_LIMIT_SYNC), "synchronisation");
}

static fit_model judged(uint32_t context, uint64_t mem, engine_kv kv)
{
    engine_options o;
    fit_model f;
    engine_options_init(&o);
    o.context = context;
    o.mem_bytes = mem;
    o.kv_type = kv;
    o.n_threads = 1;
    assert_ok(fit_model_file(model, &o, &machine, &f, err));
    return f;
}

static void says(const buf *text, const char *format, ...) PRINTF_LIKE(2, 3);
static void says(const buf *text, const char *format, ...)
{
    char wanted[256];
    va_list args;
    va_start(args, format);
    vsnprintf(wanted, sizeof wanted, format, args);
    va_end(args);
    if (!strstr(buf_text(text), wanted))
        fail_msg("'%s' is not in:\n%s", wanted, buf_text(text));
}

static void figures_are_fits_own(void **state)
{
    (void)state;
    char a[24], b[24], c[24];
    fit_model now = judged(1024, 0, ENGINE_KV_F16), q8 = judged(1024, 0, ENGINE_KV_Q8);
    fit_why_facts w = { .machine = &machine, .now = { &now, 4096, "" }, .memory_step = 1 << 30,
                        .more_memory = { &now, 8192, "" }, .q8 = { &q8, 6400, "" },
                        .smaller_type = { &q8, 6400, "+7.0 % perplexity" } };
    buf text = BUF_INIT(1 << 16);
    fit_why(&w, &text);
    says(&text, "%s of %s are needed at a context of 1024 positions, so %s are left",
         str_human_bytes(a, now.need_bytes), str_human_bytes(b, now.have_bytes),
         str_human_bytes(c, now.have_bytes - now.need_bytes));
    says(&text, "The largest context that fits is 4096 of the %u", now.context_train);
    says(&text, "%.1f tokens/s are expected. A token reads %s", now.decode_per_s,
         str_human_bytes(a, now.budget.token_bytes));
    says(&text, "1.00 GiB more memory: the largest context grows from 4096 to 8192.");
    says(&text, "Keys and values in q8 (%s instead of %s): %s at a context of 1024, largest context 6400",
         str_human_bytes(a, q8.budget.kv_bytes), str_human_bytes(b, now.budget.kv_bytes),
         str_human_bytes(c, q8.need_bytes));
    says(&text, "loss +7.0 %% perplexity");
    assert_null(strstr(buf_text(&text), "A larger quantisation")); /* nobody asked */
    assert_null(strstr(buf_text(&text), "next larger model"));
    buf_clear(&text);
    js *o = fit_why_js(&w);
    int64_t n = 0;
    assert_true(js_int(js_get(js_get(o, "q8"), "need_bytes"), &n) && (uint64_t)n == q8.need_bytes);
    assert_true(js_int(js_get(js_get(o, "more_memory"), "largest_context"), &n) && n == 8192);
    assert_true(js_is(js_get(o, "bigger_type"), JS_NULL) && js_get(o, "bigger_type"));
    js_free(o);
}

static void what_does_not_fit_lacks_so_much(void **state)
{
    (void)state;
    char gap[24];
    fit_model now = judged(1024, 16 << 20, ENGINE_KV_F16);
    assert_false(now.fits);
    fit_why_facts w = { .machine = &machine, .now = { &now, 0, "" }, .more_memory = { &now, 0, "" },
                        .memory_step = 1 << 20 };
    buf text = BUF_INIT(1 << 16);
    fit_why(&w, &text);
    says(&text, "Memory is the limit");
    says(&text, "%s are missing", str_human_bytes(gap, now.need_bytes - now.have_bytes));
    says(&text, "No context fits");
    says(&text, "1.00 MiB more memory: it still does not fit");
    buf_clear(&text);
    js *o = fit_why_js(&w);
    assert_string_equal(js_text(js_get(js_get(o, "decode"), "limit")), "memory");
    js_free(o);
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
    if (access(model, R_OK)) {
        printf("%s is not there: skipped for want of the network\n", model);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_is_the_largest_term),
        cmocka_unit_test(figures_are_fits_own),
        cmocka_unit_test(what_does_not_fit_lacks_so_much),
    };
    return cmocka_run_group_tests(tests, measure, NULL);
}
