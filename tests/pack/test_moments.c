/* Second moments against loops in double: of random rows, and of what flows through small models. */
#include "pack/small.h"

#include <math.h>

#include "pack/walk.h"

enum { N_EMBD = 64, N_FF = 96 };

static small_tools one, three;

static void expect_near(double want, double scale, float got, const char *what, size_t i, size_t k)
{
    if (!(fabs(want - (double)got) <= 2e-5 * scale + 1e-12))
        fail_msg("%s: [%zu][%zu] is %g, not %g", what, i, k, (double)got, want);
}

/* A block against the mean of weight * x x^T over rows of n floats. */
static void check_block(const float *gram, size_t width, const float *rows, size_t n, size_t n_rows,
                        const double *weights, const char *what)
{
    double *squares = mem_array(width, sizeof *squares);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t i = 0; i < width; i++)
            squares[i] += (weights ? weights[r] : 1) * (double)rows[r * n + i] * (double)rows[r * n + i];
    size_t step = 1 + width / 50;
    for (size_t i = 0; i < width; i++)
        for (size_t k = i % step; k <= i; k += step) {
            double sum = 0;
            for (size_t r = 0; r < n_rows; r++)
                sum += (weights ? weights[r] : 1) * (double)rows[r * n + i] * (double)rows[r * n + k];
            expect_near(sum / (double)n_rows, sqrt(squares[i] * squares[k]) / (double)n_rows, gram[i * width + k], what,
                        i, k);
            assert_true(gram[i * width + k] == gram[k * width + i]);
        }
    mem_free(squares);
}

static void add_in_pieces(moments *m, int set, const matrix_tools *t, const float *rows, size_t n_rows, size_t piece)
{
    for (size_t at = 0; at < n_rows; at += piece)
        assert_ok(moments_add(m, set, t, rows + at * m->n, n_rows - at < piece ? n_rows - at : piece, err));
}

static void moments_are_means_of_products(void **state)
{
    (void)state;
    const struct {
        size_t n, rows, piece;
    } cases[] = { { 1, 3, 1 }, { 33, 100, 7 }, { 300, 257, 64 }, { 640, 20, 20 } };
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        size_t n = cases[c].n, n_rows = cases[c].rows, at, width;
        float *seen = small_leaning(n_rows, n), *held_out = small_noise(2 * n_rows * n);
        moments a, b;
        assert_ok(moments_open(&a, n, MOMENTS_SETS, err));
        assert_ok(moments_open(&b, n, MOMENTS_SETS, err));
        add_in_pieces(&a, MOMENTS_SEEN, &three.t, seen, n_rows, cases[c].piece);
        add_in_pieces(&a, MOMENTS_HELD_OUT, &three.t, held_out, 2 * n_rows, cases[c].piece);
        add_in_pieces(&b, MOMENTS_SEEN, &one.t, seen, n_rows, cases[c].piece);
        moments_finish(&a);
        moments_finish(&b);
        const float *gram = moments_block(&a, MOMENTS_SEEN, 0, &at, &width);
        assert_int_equal(at, 0);
        assert_int_equal(width, n);
        assert_null(moments_block(&a, MOMENTS_SEEN, 1, &at, &width));
        check_block(gram, n, seen, n, n_rows, NULL, "seen");
        assert_memory_equal(gram, moments_block(&b, MOMENTS_SEEN, 0, &at, &width), n * n * sizeof *gram);
        check_block(moments_block(&a, MOMENTS_HELD_OUT, 0, &at, &width), n, held_out, n, 2 * n_rows, NULL, "held out");
        gram = moments_block(&b, MOMENTS_HELD_OUT, 0, &at, &width); /* of no rows */
        for (size_t i = 0; i < n * n; i++)
            assert_true(gram[i] == 0);
        moments_close(&a);
        moments_close(&b);
        mem_free(seen);
        mem_free(held_out);
    }
}

/* Blocks are as wide as each other, whole super-blocks, and each holds its own columns. */
static void wide_inputs_have_blocks(void **state)
{
    (void)state;
    enum { N = MOMENTS_BLOCK + 256, ROWS = 3 };
    float *rows = small_noise((size_t)ROWS * N);
    moments m;
    assert_ok(moments_open(&m, N, MOMENTS_SETS, err));
    add_in_pieces(&m, MOMENTS_SEEN, &three.t, rows, ROWS, 2);
    moments_finish(&m);
    size_t at, width, next = 0, n_blocks = 0;
    const float *gram;
    for (; (gram = moments_block(&m, MOMENTS_SEEN, n_blocks, &at, &width)); n_blocks++) {
        assert_int_equal(at, next);
        assert_int_equal(at % 256, 0);
        assert_true(width > 0 && width <= MOMENTS_BLOCK);
        check_block(gram, width, rows + at, N, ROWS, NULL, "block");
        next = at + width;
    }
    assert_int_equal(next, N);
    assert_int_equal(n_blocks, 2);
    moments_close(&m);
    mem_free(rows);
}

static void blocks_cover_any_width(void **state)
{
    (void)state;
    const size_t widths[] = { 1, 256, MOMENTS_BLOCK };
    for (size_t i = 0; i < ARRAY_LEN(widths); i++) {
        moments m;
        size_t at, width;
        assert_ok(moments_open(&m, widths[i], MOMENTS_SETS, err));
        assert_non_null(moments_block(&m, MOMENTS_SEEN, 0, &at, &width));
        assert_int_equal(width, widths[i]);
        assert_null(moments_block(&m, MOMENTS_SEEN, 1, &at, &width));
        moments_close(&m);
    }
}

static void names_have_kinds(void **state)
{
    (void)state;
    const struct {
        const char *name;
        moments_kind untied, tied;
    } cases[] = {
        { "blk.0.attn_q.weight", MOMENTS_QKV, MOMENTS_QKV },
        { "blk.11.attn_k.weight", MOMENTS_QKV, MOMENTS_QKV },
        { "blk.3.attn_v.weight", MOMENTS_QKV, MOMENTS_QKV },
        { "blk.3.attn_qkv.weight", MOMENTS_QKV, MOMENTS_QKV },
        { "blk.3.attn_output.weight", MOMENTS_O, MOMENTS_O },
        { "blk.3.ffn_gate.weight", MOMENTS_FFN, MOMENTS_FFN },
        { "blk.3.ffn_up.weight", MOMENTS_FFN, MOMENTS_FFN },
        { "blk.3.ffn_down.weight", MOMENTS_DOWN, MOMENTS_DOWN },
        { "blk.3.attn_q.bias", MOMENTS_KINDS, MOMENTS_KINDS },
        { "blk.3.attn_q_norm.weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { "blk.3.attn_output_norm.weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { "blk.3.ffn_norm.weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { ".attn_q.weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { "weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { "", MOMENTS_KINDS, MOMENTS_KINDS },
        { "position_embd.weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { "cls.output.weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { "output_norm.weight", MOMENTS_KINDS, MOMENTS_KINDS },
        { "output.weight", MOMENTS_HEAD, MOMENTS_KINDS },
        { "token_embd.weight", MOMENTS_KINDS, MOMENTS_HEAD },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const gguf_tensor t = { .name = span_of(cases[i].name) };
        if (moments_kind_of(&t, false) != cases[i].untied || moments_kind_of(&t, true) != cases[i].tied)
            fail_msg("%s: another kind", cases[i].name);
    }
}

/* ---- of a model ---- */

static const size_t widths[MOMENTS_OF_LAYER] = { N_EMBD, 64, N_EMBD, N_FF };

typedef struct keeper {
    float *rows[MOMENTS_OF_LAYER];
    size_t n;
} keeper;

static status keep(void *user, const model_inputs *in, size_t n_rows, error *err)
{
    keeper *k = user;
    const float *inputs[MOMENTS_OF_LAYER] = { in->qkv, in->o, in->ffn, in->down };
    (void)err;
    for (int i = 0; i < MOMENTS_OF_LAYER; i++)
        memcpy(k->rows[i] + k->n * widths[i], inputs[i], n_rows * widths[i] * sizeof(float));
    k->n += n_rows;
    return OK;
}

/* How often each token counts for queries, keys and values: the first as often as it is looked at. */
static void weigh(const reference_text *x, bool is_encoder, double weights[SMALL_TOKENS])
{
    for (size_t i = 0; i < x->n; i++)
        for (size_t t = x->starts[i]; t < x->starts[i + 1]; t++)
            weights[t] = t == x->starts[i] && !is_encoder ? (double)(x->starts[i + 1] - x->starts[i]) : 1;
}

static void check_layer(walk *w, reference *r, uint32_t layer, const reference_text texts[MOMENTS_SETS],
                        float *states[MOMENTS_SETS])
{
    static const char *const names[MOMENTS_OF_LAYER] = { "qkv", "o", "ffn", "down" };
    moments m[MOMENTS_OF_LAYER];
    double weights[SMALL_TOKENS];
    assert_ok(walk_layer(w, m, err));
    for (int set = 0; set < MOMENTS_SETS; set++) {
        keeper k = { .n = 0 };
        for (int i = 0; i < MOMENTS_OF_LAYER; i++)
            k.rows[i] = mem_array(SMALL_TOKENS, widths[i] * sizeof(float));
        assert_ok(reference_layer(r, layer, &texts[set], states[set], keep, &k, err));
        weigh(&texts[set], reference_spec(r)->is_encoder, weights);
        for (int i = 0; i < MOMENTS_OF_LAYER; i++) {
            size_t at, width;
            const float *gram = moments_block(&m[i], set, 0, &at, &width);
            assert_int_equal(width, widths[i]);
            check_block(gram, width, k.rows[i], width, k.n, i == MOMENTS_QKV ? weights : NULL, names[i]);
            mem_free(k.rows[i]);
        }
    }
    for (int i = 0; i < MOMENTS_OF_LAYER; i++)
        moments_close(&m[i]);
}

static void check_head(walk *w, reference *r, const reference_text texts[MOMENTS_SETS], float *states[MOMENTS_SETS])
{
    moments m;
    size_t at, width;
    assert_ok(walk_head(w, &m, err));
    for (int set = 0; set < MOMENTS_SETS; set++) {
        size_t n = texts[set].starts[texts[set].n];
        assert_ok(reference_hidden(r, states[set], n, states[set], err));
        check_block(moments_block(&m, set, 0, &at, &width), N_EMBD, states[set], N_EMBD, n, NULL, "head");
    }
    moments_close(&m);
}

static void walks_see_what_products_multiply_with(void **state)
{
    (void)state;
    static small_text seen, held_out;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        small_write(kind);
        gguf *g = small_file();
        reference_text texts[MOMENTS_SETS] = { small_pieces(&seen), small_pieces(&held_out) };
        texts[MOMENTS_HELD_OUT].n = 3;
        float *states[MOMENTS_SETS] = { mem_array(SMALL_TOKENS, N_EMBD * sizeof(float)),
                                        mem_array(SMALL_TOKENS, N_EMBD * sizeof(float)) };
        reference *r = NULL, *own = NULL;
        walk *w = NULL;
        assert_ok(reference_open(&r, g, &three.t, 0, err));
        assert_ok(reference_open(&own, g, &one.t, 1 << 30, err));
        assert_ok(walk_open(&w, r, &three.t, &texts[0], &texts[1], err));
        for (int set = 0; set < MOMENTS_SETS; set++)
            assert_ok(reference_embed(own, &texts[set], states[set], err));
        for (uint32_t layer = 0; layer < reference_spec(r)->n_layers; layer++) {
            if (layer != 1) {
                check_layer(w, own, layer, texts, states);
                continue;
            }
            assert_ok(walk_past(w, err));
            for (int set = 0; set < MOMENTS_SETS; set++)
                assert_ok(reference_layer(own, layer, &texts[set], states[set], NULL, NULL, err));
        }
        check_head(w, own, texts, states);
        for (int set = 0; set < MOMENTS_SETS; set++)
            mem_free(states[set]);
        walk_close(&w);
        reference_close(&r);
        reference_close(&own);
        gguf_close(&g);
    }
}

static status walk_all(const gguf *g, const reference_text *x, error *err)
{
    reference *r = NULL;
    walk *w = NULL;
    moments layer[MOMENTS_OF_LAYER], head;
    memset(&head, 0x55, sizeof head); /* as a stack may be */
    status s = reference_open(&r, g, &one.t, 0, err);
    if (!s)
        s = walk_open(&w, r, &one.t, x, x, err);
    if (!s)
        s = walk_past(w, err);
    if (!s)
        s = walk_layer(w, layer, err);
    for (int i = 0; !s && i < MOMENTS_OF_LAYER; i++)
        moments_close(&layer[i]);
    if (!s) {
        s = walk_head(w, &head, err);
        moments_close(&head);
    }
    walk_close(&w);
    reference_close(&r);
    return s;
}

/* Every allocation fails once: the error says so, and nothing is left behind. */
static void memory_runs_out(void **state)
{
    (void)state;
    static small_text text;
    small_write(SMALL_LLAMA);
    gguf *g = small_file();
    reference_text x = small_pieces(&text);
    status s = E_NOMEM;
    uint64_t n;
    for (n = 1; s && n < 1000; n++) {
        error why;
        mem_fail_at(n);
        s = walk_all(g, &x, &why);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM);
    }
    assert_int_equal(s, OK);
    assert_true(n > 20);
    gguf_close(&g);
}

int main(void)
{
    if (!small_tools_open(&one, 1) || !small_tools_open(&three, 3))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_means_of_products),
        cmocka_unit_test(wide_inputs_have_blocks),
        cmocka_unit_test(blocks_cover_any_width),
        cmocka_unit_test(names_have_kinds),
        cmocka_unit_test(walks_see_what_products_multiply_with),
        cmocka_unit_test(memory_runs_out),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_close(&one.pool);
    pool_close(&three.pool);
    return rc;
}
