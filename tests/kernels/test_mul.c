/* Matrix kernels: panels give the file's rows back; portable agrees with a plain double-precision product of decoded
 * weights and dequantised inputs; every level agrees with portable in every bit. */
#include "kernels_test.h"

#include "base/mem.h"

/* ---- layout ---- */

static void a_row_comes_back_from_its_panel(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(test_types); i++) {
        int type = test_types[i];
        size_t block = kernels_block(type), cols = block == 1 ? 33 : 3 * block, rows = 37;
        size_t row_bytes = quant_row_bytes((uint32_t)type, cols), panel = kernels_panel_bytes(type, cols);
        assert_int_equal(panel, 16 * row_bytes);
        assert_int_equal(kernels_matrix_bytes(type, rows, cols), 3 * panel);
        uint8_t *file = mem_alloc(rows * row_bytes), *panels = mem_alloc(3 * panel), *back = mem_alloc(row_bytes);
        float *expected = mem_alloc(cols * 4), *got = mem_alloc(cols * 4);
        test_rows(type, ORDINARY, rows, cols, file);
        for (size_t p = 0; p < 3; p++)
            kernels_pack(type, file + p * 16 * row_bytes, row_bytes, p == 2 ? 5 : 16, cols, panels + p * panel);
        for (size_t r = 0; r < rows; r++) {
            kernels_unpack_row(type, panels, cols, r, back);
            assert_memory_equal(back, file + r * row_bytes, row_bytes);
            kernels_gather(type, panels, cols, r, back, got);
            quant_find((uint32_t)type)->decode(file + r * row_bytes, expected, cols);
            assert_memory_equal(got, expected, cols * 4);
        }
        mem_free(file), mem_free(panels), mem_free(back), mem_free(expected), mem_free(got);
    }
}

static void sizes_are_refused(void **state)
{
    (void)state;
    assert_false(kernels_supports(-1));
    assert_false(kernels_supports(16));
    assert_false(kernels_supports(1000));
    assert_int_equal(kernels_panel_bytes(QUANT_Q4_K, 128), 0);
    assert_int_equal(kernels_panel_bytes(QUANT_F32, SIZE_MAX / 4), 0);
    assert_int_equal(kernels_matrix_bytes(QUANT_Q4_0, SIZE_MAX, 1024), 0);
}

/* ---- products ---- */

typedef struct product {
    int type;
    size_t rows, cols, tokens, n_panels, act_stride;
    uint8_t *file;
    guarded panels, acts;
    float *x, *out;
} product;

static product product_make(const kernels *k, int type, enum test_kind kind, size_t rows, size_t cols, size_t tokens)
{
    product p = { .type = type, .rows = rows, .cols = cols, .tokens = tokens, .n_panels = (rows + 15) / 16 };
    size_t row_bytes = quant_row_bytes((uint32_t)type, cols), panel = kernels_panel_bytes(type, cols);
    enum kernels_act format = kernels_act_format(type);
    p.act_stride = kernels_act_bytes(format, cols) + 4 * test_below(3);
    p.file = mem_alloc(rows * row_bytes);
    p.panels = guarded_open(p.n_panels * panel);
    p.acts = guarded_open(p.act_stride * (tokens - 1) + kernels_act_bytes(format, cols));
    p.x = mem_alloc(tokens * cols * 4);
    p.out = mem_alloc(tokens * p.n_panels * 16 * 4);
    test_rows(type, kind, rows, cols, p.file);
    test_inputs(kind, tokens * cols, p.x);
    for (size_t i = 0; i < p.n_panels; i++) {
        size_t left = rows - 16 * i;
        kernels_pack(type, p.file + i * 16 * row_bytes, row_bytes, left < 16 ? (int)left : 16, cols,
                     p.panels.p + i * panel);
    }
    for (size_t t = 0; t < tokens; t++)
        k->quantize[format](p.x + t * cols, cols, p.acts.p + t * p.act_stride);
    return p;
}

static void product_clear(product *p)
{
    guarded_close(&p->panels), guarded_close(&p->acts);
    mem_free(p->file), mem_free(p->x), mem_free(p->out);
}

static void product_run(const kernels *k, const product *p, float *out)
{
    k->mul[p->type](p->panels.p, p->n_panels, p->cols, p->acts.p, p->act_stride, p->tokens, out, p->n_panels * 16);
}

static double dequantised(const product *p, size_t t, size_t i)
{
    enum kernels_act format = kernels_act_format(p->type);
    const uint8_t *act = p->acts.p + t * p->act_stride;
    if (format == ACT_F32)
        return p->x[t * p->cols + i];
    float d;
    memcpy(&d, act + p->cols + p->cols / 8 + 4 * (i / (format == ACT_Q8_32 ? 32 : 256)), 4);
    return (double)d * (int8_t)act[i];
}

static void portable_is_the_product(void **state)
{
    (void)state;
    kernels k;
    kernels_init(&k, 0);
    for (size_t i = 0; i < ARRAY_LEN(test_types); i++)
        for (int kind = 0; kind < WILD; kind++) {
            int type = test_types[i];
            size_t block = kernels_block(type), cols = block == 1 ? 100 : 4 * block, rows = 21;
            product p = product_make(&k, type, kind, rows, cols, 3);
            product_run(&k, &p, p.out);
            float *w = mem_alloc(cols * 4);
            for (size_t r = 0; r < rows; r++) {
                quant_find((uint32_t)type)->decode(p.file + r * quant_row_bytes((uint32_t)type, cols), w, cols);
                for (size_t t = 0; t < 3; t++) {
                    double sum = 0, size = 0;
                    for (size_t c = 0; c < cols; c++) {
                        sum += w[c] * dequantised(&p, t, c);
                        size += fabs(w[c] * dequantised(&p, t, c));
                    }
                    /* the min term cancels: the size of what is summed is up to 8 times the result's */
                    assert_true(fabs(sum - (double)p.out[t * 32 + r]) <= 8e-6 * size + 1e-30);
                }
            }
            for (size_t r = rows; r < 32; r++)
                assert_true(p.out[r] == 0.0f && !signbit(p.out[r]));
            mem_free(w);
            product_clear(&p);
        }
}

static void compare(const kernels *portable, const kernels *level, int type, enum test_kind kind, size_t rows,
                    size_t cols, size_t tokens)
{
    product p = product_make(portable, type, kind, rows, cols, tokens);
    size_t n = tokens * p.n_panels * 16;
    float *got = mem_alloc(n * 4);
    memset(got, 0xA5, n * 4);
    product_run(portable, &p, p.out);
    product_run(level, &p, got);
    for (size_t i = 0; i < n; i++)
        if (memcmp(&p.out[i], &got[i], 4) && !(isnan(p.out[i]) && isnan(got[i])))
            fail_msg("%s: %s, kind %d, %zu x %zu, %zu tokens: token %zu row %zu: %a, not %a", level->level,
                     quant_name((uint32_t)type), kind, rows, cols, tokens, i / (p.n_panels * 16),
                     i % (p.n_panels * 16), (double)got[i], (double)p.out[i]);
    mem_free(got);
    product_clear(&p);
}

typedef void level_check(const kernels *portable, const kernels *level, int type);

static void on_every_level(level_check *check)
{
    kernels portable, level[TEST_LEVELS];
    kernels_init(&portable, 0);
    int n_levels = test_levels(level);
    for (int v = 0; v < n_levels; v++)
        for (size_t i = 0; i < ARRAY_LEN(test_types); i++)
            check(&portable, &level[v], test_types[i]);
}

static void check_shapes(const kernels *portable, const kernels *level, int type)
{
    size_t block = kernels_block(type);
    for (int kind = 0; kind < KINDS; kind++) {
        compare(portable, level, type, kind, 1, block == 1 ? 32 : block, 1);
        compare(portable, level, type, kind, 67, 768, 17);
        for (int round = 0; round < 6; round++) {
            size_t max = block == 256 ? 8 : 64, unit = block == 1 ? 17 : block;
            compare(portable, level, type, kind, 1 + test_below(67), unit * (1 + test_below(max)),
                    1 + test_below(round < 2 ? 1 : 17));
        }
    }
    compare(portable, level, type, ORDINARY, 16, 4096, 37);
    compare(portable, level, type, WILD, 35, block == 1 ? 65 : 768, 33 + test_below(95));
}

static void every_level_gives_the_same_bits(void **state)
{
    (void)state;
    on_every_level(check_shapes);
}

/* More tokens and columns than any level keeps at a time. */
static void check_many(const kernels *portable, const kernels *level, int type)
{
    if (kernels_block(type) == 1) {
        compare(portable, level, type, ORDINARY, 33, 771, 101);
        compare(portable, level, type, WILD, 16, 512, 48);
        return;
    }
    compare(portable, level, type, HIGH, 17, 512, 531);
    compare(portable, level, type, ORDINARY, 48, 37 * 256, 67);
}

static void many_tokens_and_columns(void **state)
{
    (void)state;
    on_every_level(check_many);
}

/* A result must not depend on the company: any split of panels and tokens gives the same bits. */
static void results_do_not_depend_on_the_split(void **state)
{
    (void)state;
    kernels level[TEST_LEVELS + 1], portable;
    int n = test_levels(level);
    kernels_init(&portable, 0);
    level[n] = portable;
    for (int v = 0; v <= n; v++)
        for (size_t i = 0; i < ARRAY_LEN(test_types); i++) {
            product p = product_make(&portable, test_types[i], ORDINARY, 96, 512, 9);
            product_run(&level[v], &p, p.out);
            float one[96], few[3 * 96];
            size_t panel = kernels_panel_bytes(p.type, p.cols);
            for (size_t t = 0; t < 9; t++)
                for (size_t b = 0; b < 6; b++) {
                    level[v].mul[p.type](p.panels.p + b * panel, 1, 512, p.acts.p + t * p.act_stride, p.act_stride, 1,
                                         one + 16 * b, 96);
                    assert_memory_equal(one + 16 * b, p.out + t * 96 + 16 * b, 64);
                }
            for (size_t t = 0; t < 9; t += 3) {
                level[v].mul[p.type](p.panels.p, 6, 512, p.acts.p + t * p.act_stride, p.act_stride, 3, few, 96);
                assert_memory_equal(few, p.out + t * 96, sizeof few);
            }
            product_clear(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_comes_back_from_its_panel),
        cmocka_unit_test(sizes_are_refused),
        cmocka_unit_test(portable_is_the_product),
        cmocka_unit_test(every_level_gives_the_same_bits),
        cmocka_unit_test(many_tokens_and_columns),
        cmocka_unit_test(results_do_not_depend_on_the_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
