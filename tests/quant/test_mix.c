/* Mixes against what llama-quantize chose (tests/golden/mixes.json, recorded by tools/agree/record_mixes.py). */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "quant/mix.h"
#include "quant/quant.h"

static char *read_golden(size_t *n)
{
    FILE *f = fopen("tests/golden/mixes.json", "rb");
    buf text = BUF_INIT(1 << 20);
    char part[4096];
    assert_non_null(f);
    for (size_t got; (got = fread(part, 1, sizeof part, f)) > 0;)
        buf_add(&text, part, got);
    fclose(f);
    *n = text.len;
    return buf_take(&text);
}

static uint32_t number(const js *o, const char *key)
{
    int64_t v = -1;
    assert_true(js_int(js_get(o, key), &v) && v >= 0);
    return (uint32_t)v;
}

static void add_run(buf *out, uint32_t type, uint32_t n)
{
    buf_printf(out, "%s%s*%u", out->len ? " " : "", quant_name(type), n);
}

/* The types of all layers as runs ("Q6_K*2 Q4_K*5"); says whether some are not the main type. */
static bool runs(buf *out, const quant_mix *mix, const quant_mix_model *m, const char *stem, const js *shape)
{
    bool whole = strncmp(stem, "attn", 4) != 0 && strncmp(stem, "ffn", 3) != 0, other = false;
    uint32_t last = UINT32_MAX, n = 0, layers = whole ? 1 : m->n_layers;
    int64_t cols = 0, rows = 0;
    assert_true(js_int(js_at(shape, 0), &cols) && js_int(js_at(shape, 1), &rows));
    buf_reset(out);
    for (uint32_t l = 0; l < layers; l++) {
        char name[64];
        if (whole)
            snprintf(name, sizeof name, "%s.weight", stem);
        else
            snprintf(name, sizeof name, "blk.%u.%s.weight", l, stem);
        quant_role role = quant_role_of(span_of(name), (uint64_t)rows);
        uint32_t type = quant_mix_type(mix, m, role, l, (uint64_t)cols);
        other |= type != mix->main;
        if (n && type != last) {
            add_run(out, last, n);
            n = 0;
        }
        last = type;
        n++;
    }
    add_run(out, last, n);
    return other;
}

static int compare(const char *name, const js *c)
{
    const js *model = js_get(c, "model"), *shapes = js_get(c, "shapes");
    quant_mix_model m = { .n_layers = number(model, "layers"),
                          .n_gqa = number(model, "heads") / number(model, "kv_heads"),
                          .n_experts = number(model, "experts"),
                          .tied = js_bool(js_get(model, "tied"), false),
                          .importances = js_bool(js_get(model, "importances"), false) };
    buf ours = BUF_INIT(1 << 16);
    int wrong = 0;
    for (size_t i = 0; quant_mix_at(i); i++) {
        const quant_mix *mix = quant_mix_at(i);
        const js *want = js_get(js_get(c, "mixes"), mix->name);
        assert_non_null(want);
        for (js_member it = { 0 }; js_next(shapes, &it);) {
            bool other = runs(&ours, mix, &m, it.key, it.value);
            const char *theirs = js_text(js_get(want, it.key));
            if (other == (theirs != NULL) && (!theirs || strcmp(theirs, buf_text(&ours)) == 0))
                continue;
            print_error("%s %s %s: %s, llama-quantize: %s\n", name, mix->name, it.key, buf_text(&ours),
                        theirs ? theirs : "all of the main type");
            wrong++;
        }
    }
    buf_clear(&ours);
    return wrong;
}

static void every_tensor_gets_what_llama_quantize_gives_it(void **state)
{
    (void)state;
    size_t n = 0;
    char *text = read_golden(&n);
    js *golden = NULL;
    int wrong = 0, cases = 0;
    assert_ok(js_parse(&golden, text, n, "mixes.json", 1, err));
    for (js_member c = { 0 }; js_next(js_get(golden, "cases"), &c); cases++)
        wrong += compare(c.key, c.value);
    js_free(golden);
    mem_free(text);
    assert_int_equal(wrong, 0);
    assert_true(cases >= 20);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(quant_mix_find("q4_k_m")->name, "Q4_K_M");
    assert_ptr_equal(quant_mix_find("Q3_K"), quant_mix_find("Q3_K_M"));
    assert_null(quant_mix_find("Q4_K_XL"));
    assert_null(quant_mix_find(""));
    for (size_t i = 0; quant_mix_at(i); i++) {
        assert_ptr_equal(quant_mix_find(quant_mix_at(i)->name), quant_mix_at(i));
        assert_non_null(quant_find(quant_mix_at(i)->main)->encode);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(quant_mix_at(i)->file_type, quant_mix_at(j)->file_type);
    }
}

/* Whatever the row length, what comes out divides it. */
static void every_row_length_has_a_type(void **state)
{
    (void)state;
    const quant_mix_model m = { .n_layers = 7, .n_gqa = 3, .tied = true };
    for (size_t i = 0; quant_mix_at(i); i++)
        for (int role = 0; role < QUANT_ROLES; role++)
            for (uint32_t cols = 1; cols <= 1024; cols++)
                assert_int_equal(
                    cols % quant_find(quant_mix_type(quant_mix_at(i), &m, (quant_role)role, cols % 7, cols))->block, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tensor_gets_what_llama_quantize_gives_it),
        cmocka_unit_test(names),
        cmocka_unit_test(every_row_length_has_a_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
