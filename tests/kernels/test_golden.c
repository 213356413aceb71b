/* The bits of numerics version 1, recorded: 64-bit FNV-1a digests of what the kernels of every level give on fixed
 * inputs. The same with any compiler, on any machine. When this fails, docs/NUMERICS.md has changed or is broken; a
 * change there is a new NUMERICS_VERSION and new digests here (run with HEARTH_GOLDEN=print). */
#include "kernels_test.h"

#include "base/mem.h"
#include "kernels/maths.h"

static bool printing;
static const char *level_name;

static uint64_t digest(uint64_t h, const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001B3u;
    return h;
}

#define FNV 0xCBF29CE484222325u

static void expect(const char *what, uint64_t got, uint64_t recorded)
{
    if (printing)
        print_message("    %-8s 0x%016llXu\n", what, (unsigned long long)got);
    else if (got != recorded)
        fail_msg("%s: %s: digest %016llX, recorded is %016llX", level_name, what, (unsigned long long)got,
                 (unsigned long long)recorded);
}

static void matrices(const kernels *k)
{
    static const uint64_t recorded[] = {
        0x870E78441DA98C8Bu, /* F32 */
        0x9159071C375FB1B2u, /* F16 */
        0x2F70BCABBAC955B0u, /* BF16 */
        0xE8CDA09E17FC23AFu, /* Q4_0 */
        0x0FFC61BDAA725D8Fu, /* Q4_1 */
        0xE0A6C88A7EC1A417u, /* Q5_0 */
        0xFE1ED1D338CE675Bu, /* Q5_1 */
        0x0E4BF8782E9D390Bu, /* Q8_0 */
        0x7AAE925A8599967Fu, /* Q2_K */
        0x0579B35819DDC312u, /* Q3_K */
        0xD2E8EF8B9820B905u, /* Q4_K */
        0xFBDA4DD994744B52u, /* Q5_K */
        0xBF2540CC43AEE9C3u, /* Q6_K */
        0x2342AD763055F708u, /* IQ4_NL */
        0xAB21694E0A992522u, /* IQ4_XS */
        0xB10A2856598E7601u, /* MXFP4 */
    };
    enum { N_ROWS = 21, COLS = 768, TOKENS = 3 };
    for (size_t i = 0; i < ARRAY_LEN(test_types); i++) {
        int type = test_types[i];
        enum kernels_act format = kernels_act_format(type);
        size_t row_bytes = quant_row_bytes((uint32_t)type, COLS), panel = kernels_panel_bytes(type, COLS);
        size_t act = kernels_act_bytes(format, COLS);
        uint8_t *file = mem_alloc(N_ROWS * row_bytes), *panels = mem_alloc(2 * panel), *acts = mem_zero(TOKENS * act);
        float x[COLS], out[TOKENS * 32];
        test_state = 0x1234567 + (uint64_t)type;
        test_rows(type, ORDINARY, N_ROWS, COLS, file);
        kernels_pack(type, file, row_bytes, 16, COLS, panels);
        kernels_pack(type, file + 16 * row_bytes, row_bytes, N_ROWS - 16, COLS, panels + panel);
        for (size_t t = 0; t < TOKENS; t++) {
            test_inputs(t == 2 ? LOW : ORDINARY, COLS, x);
            k->quantize[format](x, COLS, acts + t * act);
        }
        k->mul[type](panels, 2, COLS, acts, act, TOKENS, out, 32);
        uint64_t h = digest(digest(FNV, panels, 2 * panel), out, sizeof out);
        expect(quant_name((uint32_t)type), h, recorded[i]);
        mem_free(file), mem_free(panels), mem_free(acts);
    }
}

/* Of one query over two spans. */
static void attention(const kernels *k, enum kernels_kv kv, const float *query, float *out)
{
    float state_of[KERNELS_STATE_HEADER + 64], total[KERNELS_STATE_HEADER + 64] = { 0 };
    size_t bytes = kernels_page_bytes(kv, 64);
    uint8_t *pages = mem_zero(9 * bytes);
    const void *page[9];
    for (size_t p = 0; p < 9; p++)
        page[p] = pages + p * bytes;
    for (int i = 0; i < 550; i++) {
        float key[64], value[64];
        test_inputs(ORDINARY, 64, key), test_inputs(ORDINARY, 64, value);
        k->kv_store[kv](pages + (size_t)(i / 64) * bytes, 64, i % 64, key, value);
    }
    kernels_attn a = { 64, 0.5f, 0.0f };
    for (int32_t span = 0; span < 2; span++) {
        kernels_query q = { query, 3, 549, state_of };
        k->attend[kv](&a, page, span, &q, 1);
        k->attend_merge(total, state_of, 64);
    }
    k->attend_finish(total, 64, out);
    mem_free(pages);
}

static void functions(const kernels *k)
{
    enum { N = 1000 };
    float x[N], w[N], y[N];
    test_state = 77;
    test_inputs(ORDINARY, N, w);
    for (size_t i = 0; i < N; i++)
        x[i] = test_uniform() * 12.0f;
    uint64_t h = FNV;
    k->silu_mul(x, w, N, y), h = digest(h, y, sizeof y);
    k->gelu_mul(x, w, N, y), h = digest(h, y, sizeof y);
    k->softcap(x, 5.0f, N, y), h = digest(h, y, sizeof y);
    k->softmax(x, N, y), h = digest(h, y, sizeof y);
    k->rms_norm(x, w, N, 1e-6f, y), h = digest(h, y, sizeof y);
    k->layer_norm(x, w, w, N, 1e-6f, y), h = digest(h, y, sizeof y);
    k->rope_norm(y, x, 64), k->rope_neox(y + 100, x, 96), h = digest(h, y, sizeof y);
    expect("functions", h, 0x270170A094B290DFu);

    k->gelu_erf(x, N, y);
    expect("gelu_erf", digest(FNV, y, sizeof y), 0x76BFD5963ED832CEu);

    attention(k, KV_F16, w, y);
    expect("attention", digest(FNV, y, 64 * 4), 0x4BB41AFFB5C575C8u);
    attention(k, KV_Q8, w, y);
    expect("attention q8", digest(FNV, y, 64 * 4), 0x9B08D2828BA0D2F7u);

    double s[4];
    h = FNV;
    for (int i = 0; i < 2000; i++) {
        double f = kernels_pow(10000.0, -2.0 * (i % 64) / 128);
        kernels_sincos((double)(i * 61) * f, &s[0], &s[1]);
        s[2] = kernels_log(1.0 + i * 0.37), s[3] = kernels_exp(-0.1 * i);
        h = digest(h, s, sizeof s);
    }
    expect("tables", h, 0xF7879E8FFB89DEDBu);
}

static void of_every_level(void (*check)(const kernels *))
{
    kernels level[TEST_LEVELS + 1];
    kernels_init(&level[0], 0);
    int n = 1 + test_levels(level + 1);
    for (int v = 0; v < (printing ? 1 : n); v++) {
        level_name = level[v].level;
        check(&level[v]);
    }
}

static void matrices_of_every_level(void **state)
{
    (void)state;
    of_every_level(matrices);
}

static void functions_of_every_level(void **state)
{
    (void)state;
    of_every_level(functions);
}

int main(void)
{
    const char *mode = getenv("HEARTH_GOLDEN");
    printing = mode && !strcmp(mode, "print");
    const struct CMUnitTest tests[] = { cmocka_unit_test(matrices_of_every_level),
                                        cmocka_unit_test(functions_of_every_level) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
