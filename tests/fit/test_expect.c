/* Expected speeds against arithmetic of this file: sums by hand, sums over a header by another way, and what must not
 * grow when something else does; remembered rates that are damaged, old or of another machine. */
#include "lib/check.h"
#include "lib/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fit/fit.h"
#include "gguf/gguf.h"
#include "plat/clock.h"
#include "quant/quant.h"

static char home[64], model[64];

static void near(double is, double want)
{
    if (fabs(is - want) > 1e-9 * fabs(want))
        fail_msg("%.12g instead of %.12g", is, want);
}

/* A nanosecond a byte of weights whatever the type, 4 bytes a nanosecond from memory; nothing else costs. */
static fit_machine plain(int threads)
{
    fit_machine m = { .threads = threads };
    m.cpu.l2_bytes = 1 << 20;
    m.cpu.l3_bytes = 16 << 20;
    for (int p = 0; p < FIT_PLACES; p++)
        m.rates.read_bytes_per_s[p] = 4e9;
    for (int t = 0; t < KERNELS_TYPES; t++) {
        for (int i = 0; i < FIT_COLS; i++) {
            for (int p = 0; p < FIT_PLACES; p++)
                m.rates.one[t][p][i] = 1e-9;
            for (int n = 0; n < FIT_FEW; n++)
                m.rates.few[t][n][i] = 1e-9 * fit_few[n];
            m.rates.block[t][i] = 1e-9 * FIT_BLOCK;
        }
    }
    return m;
}

static fit_work one_matrix(uint32_t rows)
{
    static const arch row = { .name = "none" };
    fit_work w = { .batch = 128 };
    w.spec = (model_spec){ .arch = &row, .n_layers = 1, .n_heads = 4, .n_kv_heads = 2, .head_dim = 64, .n_embd = 256,
                           .n_ff = 512, .n_of_kind = { 1, 0 } };
    w.sizes.products[0] = (model_product){ QUANT_Q8_0, rows, 1024, 3, false };
    w.sizes.n_products = 1;
    w.sizes.token_bytes = w.sizes.weights_bytes = 3 * (uint64_t)rows * 1024 / 32 * 34;
    return w;
}

/* ---- by hand ---- */

static void products_are_added_up(void **state)
{
    (void)state;
    const double row = 1024 / 32 * 34;
    fit_machine m = plain(1);
    fit_work w = one_matrix(2048);
    fit_step s = fit_expect_decode(&w, &m, 1, 0);
    near(s.memory_s + s.multiply_s, 3 * 2048 * row * 1e-9);
    near(s.memory_s, 3 * 2048 * row / 4e9);
    near(fit_step_seconds(&s), 3 * 2048 * row * 1e-9);
    w.sizes.products[0].of_head = true; /* of a prompt once, for its last token */
    s = fit_expect_prefill(&w, &m, 300, 0);
    near(fit_step_seconds(&s), 3 * 2048 * row * 1e-9);
    w.sizes.products[0].of_head = false;
    s = fit_expect_prefill(&w, &m, 300, 0);
    near(fit_step_seconds(&s), 300 * 3 * 2048 * row * 1e-9);
    s = fit_expect_decode(&w, &m, 10, 0); /* half way between 4 and 16 */
    near(fit_step_seconds(&s), 10 * 3 * 2048 * row * 1e-9);
}

/* Three panels for two threads: one has two. */
static void the_busiest_thread_counts(void **state)
{
    (void)state;
    fit_machine m = plain(2);
    fit_work w = one_matrix(48);
    fit_step s = fit_expect_decode(&w, &m, 1, 0);
    near(s.memory_s + s.multiply_s, 3 * 32 * (1024 / 32 * 34) * 1e-9);
}

/* A panel costs 5 us and a column 10 ns, say: from two widths every other follows. */
static void other_widths_are_inferred(void **state)
{
    (void)state;
    fit_machine m = plain(1);
    fit_work w = one_matrix(16);
    double bytes = 16.0 / 32 * 34; /* of a panel, a column */
    for (int i = 0; i < FIT_COLS; i++)
        for (int p = 0; p < FIT_PLACES; p++)
            m.rates.one[QUANT_Q8_0][p][i] = (5e-6 + fit_cols[i] * 10e-9) / (fit_cols[i] * bytes);
    for (uint32_t cols = 256; cols <= 16384; cols *= 2) {
        w.sizes.products[0].cols = cols;
        fit_step s = fit_expect_decode(&w, &m, 1, 0);
        near(s.memory_s + s.multiply_s, 3 * (5e-6 + cols * 10e-9));
    }
}

/* 4 MiB lie in the last cache of 16, 64 do not. */
static void what_fits_a_cache_is_read_there(void **state)
{
    (void)state;
    fit_machine m = plain(1);
    fit_work w = one_matrix(16);
    for (int i = 0; i < FIT_COLS; i++) {
        m.rates.one[QUANT_Q8_0][FIT_L2][i] = 1e-10;
        m.rates.one[QUANT_Q8_0][FIT_L3][i] = 2e-10;
    }
    static const struct { uint64_t bytes; double rate; } rows[] = {
        { 256 << 10, 1e-10 }, { 4 << 20, 2e-10 }, { 64 << 20, 1e-9 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        w.sizes.token_bytes = rows[i].bytes;
        fit_step s = fit_expect_decode(&w, &m, 1, 0);
        near(s.memory_s + s.multiply_s, 3 * 16 * 1024 / 32 * 34 * rows[i].rate);
    }
}

static void attention_by_hand(void **state)
{
    (void)state;
    fit_machine m = plain(1);
    fit_work w = one_matrix(16);
    w.sizes.token_bytes = 64 << 20;
    for (int i = 0; i < FIT_HEAD_DIMS; i++) {
        m.rates.attend_one[KV_F16][i] = fit_head_dims[i] * 1e-9;
        m.rates.attend_four[KV_F16][i] = fit_head_dims[i] * 4e-9;
        m.rates.attend_near[KV_F16][i] = fit_head_dims[i] * 1e-9;
        m.rates.attend_again[KV_F16][i] = fit_head_dims[i] * 0.5e-9;
    }
    /* 2 KV heads, 2 queries each, 1000 positions */
    near(fit_expect_decode(&w, &m, 1, 999).attention_s, 2 * 2 * 64e-9 * 1000);
    w.spec.head_dim = 96;
    near(fit_expect_decode(&w, &m, 1, 999).attention_s, 2 * 2 * 96e-9 * 1000);
    w.spec.head_dim = 32;
    near(fit_expect_decode(&w, &m, 3, 999).attention_s, 3 * 2 * 2 * 32e-9 * 1000);
    m.threads = 2; /* too few groups for two threads: each takes two heads; of a group the second finds its keys */
    near(fit_expect_decode(&w, &m, 1, 999).attention_s, (32e-9 + 16e-9) * 1000);
    m.threads = 1;
    w.spec.window = 100; /* and all layers see it only */
    w.spec.n_of_kind[MODEL_GLOBAL] = 0;
    w.spec.n_of_kind[MODEL_WINDOW] = 1;
    near(fit_expect_decode(&w, &m, 1, 999).attention_s, 2 * 2 * 32e-9 * 100);
    w.spec.window = 0;
    w.spec.n_of_kind[MODEL_GLOBAL] = 1;
    w.spec.n_of_kind[MODEL_WINDOW] = 0;
    /* 16 rows of 4 heads; they see 101 to 116 positions */
    near(fit_expect_prefill(&w, &m, 16, 100).attention_s, 4 * 32e-9 * (101 + 116) * 8);
}

static void waiting_by_hand(void **state)
{
    (void)state;
    fit_machine m = plain(1);
    fit_work w = one_matrix(16);
    m.rates.run = 1e-6;
    m.rates.barrier = 1e-7;
    near(fit_expect_decode(&w, &m, 4, 0).sync_s, 2e-6 + 6e-7);
    near(fit_expect_decode(&w, &m, 5, 0).sync_s, 2e-6 + 11e-7);
}

/* ---- over a header ---- */

static void a_header_is_added_up_as_its_tensors_are(void **state)
{
    (void)state;
    fit_machine m = plain(1);
    fit_model f;
    gguf *g = NULL;
    engine_options o;
    double bytes = 0, head = 0;
    engine_options_init(&o);
    m.memory.usable_bytes = 1 << 30;
    m.read_bytes_per_s = 4e9;
    assert_ok(fit_model_file(model, &o, &m, &f, err));
    assert_ok(gguf_open(&g, model, err));
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->ne[1] > 1) /* the tied embedding is the head */
            bytes += (double)t->bytes;
        if (span_is(t->name, "token_embd.weight"))
            head = (double)t->bytes;
    }
    gguf_close(&g);
    fit_step s = fit_expect_decode(&f.work, &m, 1, 0);
    near(s.memory_s + s.multiply_s, bytes * 1e-9);
    near(f.decode_per_s, 1 / fit_step_seconds(&s));
    s = fit_expect_prefill(&f.work, &m, 256, 0);
    near(s.memory_s + s.multiply_s, ((bytes - head) * 256 + head) * 1e-9);
    assert_true(head > 0 && f.decode_full_per_s <= f.decode_per_s);
}

static void more_work_takes_longer(void **state)
{
    (void)state;
    fit_machine m = plain(1);
    fit_model f;
    engine_options o;
    engine_options_init(&o);
    m.read_bytes_per_s = 4e9;
    for (int i = 0; i < FIT_HEAD_DIMS; i++) {
        m.rates.attend_one[KV_F16][i] = fit_head_dims[i] * 2e-9;
        m.rates.attend_four[KV_F16][i] = fit_head_dims[i] * 4e-9;
        m.rates.attend_near[KV_F16][i] = m.rates.attend_again[KV_F16][i] = fit_head_dims[i] * 1e-9;
    }
    m.rates.norm = m.rates.silu = m.rates.rope = 1e-9;
    m.rates.barrier = m.rates.run = 1e-9;
    m.rates.few[QUANT_Q8_0][0][0] = 1e-10; /* noise: four tokens for less than one */
    assert_ok(fit_model_file(model, &o, &m, &f, err));
    double last = 0, last_prompt = 0;
    for (uint32_t depth = 1; depth <= 1 << 20; depth *= 2) {
        fit_step deep = fit_expect_decode(&f.work, &m, 1, depth), behind = fit_expect_prefill(&f.work, &m, 128, depth);
        assert_true(fit_step_seconds(&deep) > last && fit_step_seconds(&behind) > last_prompt);
        last = fit_step_seconds(&deep);
        last_prompt = fit_step_seconds(&behind);
    }
    last = last_prompt = 0;
    for (uint32_t n = 1; n <= 128; n++) {
        fit_step together = fit_expect_decode(&f.work, &m, n, 100), prompt = fit_expect_prefill(&f.work, &m, n, 0);
        assert_true(fit_step_seconds(&together) > last && fit_step_seconds(&prompt) > last_prompt);
        last = fit_step_seconds(&together);
        last_prompt = fit_step_seconds(&prompt);
    }
    for (uint32_t i = 0; i < f.work.sizes.n_products; i++) { /* more bytes */
        fit_step before = fit_expect_decode(&f.work, &m, 1, 0);
        f.work.sizes.products[i].rows += KERNELS_PANEL_ROWS;
        fit_step after = fit_expect_decode(&f.work, &m, 1, 0);
        assert_true(fit_step_seconds(&after) > fit_step_seconds(&before));
    }
}

/* ---- what is remembered ---- */

static void write_file(const char *name, const char *text, size_t n)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static void rates_are_remembered_bit_for_bit(void **state)
{
    (void)state;
    static fit_rates r, again;
    int64_t now = clock_utc_us() / 1000000, at = 0;
    double *all = (double *)(void *)&r;
    for (size_t i = 0; i < sizeof r / sizeof *all; i++)
        all[i] = 1.0 / (double)(3 * i + 1);
    assert_false(fit_rates_recall(&again, "rates.test", "this one", 1, &at));
    assert_ok(fit_rates_remember(&r, "rates.test", "this one", now - 3600, err));
    assert_true(fit_rates_recall(&again, "rates.test", "this one", 1, &at));
    assert_memory_equal(&r, &again, sizeof r);
    assert_int_equal(at, now - 3600);
    assert_false(fit_rates_recall(&again, "rates.test", "another", 1, &at));
    assert_ok(fit_rates_remember(&r, "rates.test", "this one", now - 2 * 86400, err));
    assert_false(fit_rates_recall(&again, "rates.test", "this one", 1, &at));
    assert_true(fit_rates_recall(&again, "rates.test", "this one", 3, &at));
    assert_ok(fit_rates_remember(&r, "rates.test", "this one", now + 7200, err)); /* a clock that was put back */
    assert_false(fit_rates_recall(&again, "rates.test", "this one", 3, &at));
    r.barrier = -1;
    assert_ok(fit_rates_remember(&r, "rates.test", "this one", now, err));
    assert_false(fit_rates_recall(&again, "rates.test", "this one", 3, &at));
    r.barrier = NAN;
    assert_ok(fit_rates_remember(&r, "rates.test", "this one", now, err));
    assert_false(fit_rates_recall(&again, "rates.test", "this one", 3, &at));
}

/* The name of the rates of one thread, and what its file holds. */
static size_t read_rates(char *name, size_t room, char *text, size_t most)
{
    static fit_machine m;
    assert_ok(fit_measure_machine(&m, 1, err));
    snprintf(name, room, "rates.%s.1", m.isa);
    char path[160];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, most, f);
    fclose(f);
    assert_true(n > 100 && n < most);
    return n;
}

static void what_is_odd_is_measured_again(void **state)
{
    (void)state;
    static char text[1 << 16];
    static fit_machine m, again;
    char name[64];
    int64_t at;
    assert_ok(fit_measure_machine(&m, 1, err));
    size_t n = read_rates(name, sizeof name, text, sizeof text);
    assert_ok(fit_measure_machine(&again, 1, err));
    assert_true(again.measured_s == 0 && again.measured_at > 0);
    assert_memory_equal(&m.rates, &again.rates, sizeof m.rates);
    near(again.macs_per_s, m.macs_per_s);
    const char *key = strstr(text, "\"key\":\"");
    assert_non_null(key);
    char own[512];
    snprintf(own, sizeof own, "%.*s", (int)strcspn(key + 7, "\""), key + 7);
    assert_true(fit_rates_recall(&m.rates, name, own, 1, &at));
    for (size_t cut = 0; cut < n; cut += 97) { /* torn anywhere */
        write_file(name, text, cut);
        assert_false(fit_rates_recall(&m.rates, name, own, 1, &at));
    }
    text[n - 10] ^= 0x40; /* and bent, it is measured and put right */
    write_file(name, text, n / 2);
    assert_ok(fit_measure_machine(&again, 1, err));
    assert_true(again.measured_s > 0);
    assert_true(fit_rates_recall(&m.rates, name, own, 1, &at));
}

static int clean(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", home);
    unlink(model);
    return system(command) != 0;
}

int main(void)
{
    snprintf(home, sizeof home, "/tmp/hearth-expect-%ld", (long)getpid());
    snprintf(model, sizeof model, "/tmp/hearth-expect-%ld.gguf", (long)getpid());
    if (mkdir(home, 0700) || setenv("HEARTH_HOME", home, 1))
        return 1;
    tiny_model m = tiny_model_default();
    tiny_model_write(&m, model);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_added_up),
        cmocka_unit_test(the_busiest_thread_counts),
        cmocka_unit_test(other_widths_are_inferred),
        cmocka_unit_test(what_fits_a_cache_is_read_there),
        cmocka_unit_test(attention_by_hand),
        cmocka_unit_test(waiting_by_hand),
        cmocka_unit_test(a_header_is_added_up_as_its_tensors_are),
        cmocka_unit_test(more_work_takes_longer),
        cmocka_unit_test(rates_are_remembered_bit_for_bit),
        cmocka_unit_test(what_is_odd_is_measured_again),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
