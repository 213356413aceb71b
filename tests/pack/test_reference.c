/* The model layer by layer is the model: the same bits as one pass through all of it, with layers that stay in memory
 * and with layers that do not; what products multiply with; and weights put in and taken out again. */
#include "pack/small.h"

#include <math.h>
#include <unistd.h>

#include "model/model.h"
#include "pack/quantize.h"
#include "quant/quant.h"

enum { N_EMBD = 64, N_FF = 96, LARGE = 1 << 30 };

static small_tools one, three;
static small_text text;
static const char *const kind_names[SMALL_KINDS] = { "llama", "untied", "gemma3", "mistral", "bert" };

/* What a run leaves: of all tokens, and the logits of the last ones of each piece. */
typedef struct outcome {
    float states[SMALL_TOKENS][N_EMBD], hidden[SMALL_TOKENS][N_EMBD];
    float *logits;
    size_t n_logits; /* floats */
} outcome;

static void outcome_clear(outcome *o)
{
    mem_free(o->logits);
    mem_free(o);
}

static void expect_same(const outcome *a, const outcome *b, const char *what)
{
    if (memcmp(a->states, b->states, sizeof a->states))
        fail_msg("%s: states differ", what);
    if (memcmp(a->hidden, b->hidden, sizeof a->hidden))
        fail_msg("%s: hidden states differ", what);
    assert_int_equal(a->n_logits, b->n_logits);
    if (a->n_logits && memcmp(a->logits, b->logits, a->n_logits * sizeof *a->logits))
        fail_msg("%s: logits differ", what);
}

static bool is_same(const outcome *a, const outcome *b)
{
    return !memcmp(a->hidden, b->hidden, sizeof a->hidden) &&
           (!a->n_logits || !memcmp(a->logits, b->logits, a->n_logits * sizeof *a->logits));
}

/* The last of the piece's tokens that logits are asked for, and how many. */
static size_t last_of(const reference_text *x, size_t piece, size_t *from)
{
    size_t n = x->starts[piece + 1] - x->starts[piece];
    n = n < REFERENCE_LOGITS ? n : REFERENCE_LOGITS;
    *from = x->starts[piece + 1] - n;
    return n;
}

static outcome *outcome_new(const reference_text *x, const model_spec *s)
{
    outcome *o = mem_zero(sizeof *o);
    o->logits = mem_array(x->n * REFERENCE_LOGITS, (s->n_logits + 1) * sizeof(float));
    assert_int_equal(s->n_embd, N_EMBD);
    return o;
}

static void add_logits(outcome *o, const float *row, size_t n)
{
    memcpy(o->logits + o->n_logits, row, n * sizeof *row);
    o->n_logits += n;
}

/* ---- all of it in one pass ---- */

static void run_piece(model_run *run, const model_spec *s, const reference_text *x, size_t piece,
                      const model_pages *pages, outcome *o)
{
    static model_row rows[REFERENCE_PIECE_MAX];
    uint32_t which[REFERENCE_LOGITS];
    size_t at = x->starts[piece], n = x->starts[piece + 1] - at, from, n_last = last_of(x, piece, &from);
    for (size_t i = 0; i < n; i++)
        rows[i] = (model_row){ .token = x->ids[at + i], .position = (uint32_t)i, .pages = pages };
    model_forward(run, rows, (uint32_t)n);
    model_states(run, o->states[at]);
    for (size_t i = 0; i < n; i++)
        model_hidden(run, (uint32_t)i, o->hidden[at + i]);
    for (size_t i = 0; i < n_last; i++)
        which[i] = (uint32_t)(from - at + i);
    if (!s->n_logits)
        return;
    model_logits(run, which, (uint32_t)n_last);
    for (size_t i = 0; i < n_last; i++)
        add_logits(o, model_logits_at(run, (uint32_t)i), s->n_logits);
}

static outcome *whole(const gguf *g, const reference_text *x)
{
    enum { PAGES = REFERENCE_PIECE_MAX / KERNELS_PAGE };
    const model_run_options o = { .batch = REFERENCE_PIECE_MAX, .logit_rows = REFERENCE_LOGITS,
                                  .context = REFERENCE_PIECE_MAX, .kv = KV_F32, .n_threads = 3 };
    model *m = NULL;
    model_run *run = NULL;
    char *pages[MODEL_KINDS][PAGES], *kv[MODEL_KINDS];
    const model_pages where = { .of = { pages[MODEL_GLOBAL], pages[MODEL_WINDOW] } };
    assert_ok(model_open(&m, g, true, three.pool, NULL, NULL, err));
    assert_ok(model_run_open(&run, m, &three.k, three.pool, &o, err));
    const model_spec *s = model_get_spec(m);
    for (int kind = 0; kind < MODEL_KINDS; kind++) {
        size_t bytes = (size_t)model_page_bytes(s, KV_F32, kind);
        kv[kind] = mem_array(PAGES, bytes + 1);
        for (size_t i = 0; i < PAGES; i++)
            pages[kind][i] = kv[kind] + i * bytes;
    }
    outcome *out = outcome_new(x, s);
    for (size_t i = 0; i < x->n; i++)
        run_piece(run, s, x, i, &where, out);
    for (int kind = 0; kind < MODEL_KINDS; kind++)
        mem_free(kv[kind]);
    model_run_close(&run);
    model_close(&m);
    return out;
}

/* ---- layer by layer ---- */

static outcome *by_layers(reference *r, const reference_text *x)
{
    const model_spec *s = reference_spec(r);
    outcome *o = outcome_new(x, s);
    assert_ok(reference_embed(r, x, o->states[0], err));
    for (uint32_t l = 0; l < s->n_layers; l++)
        assert_ok(reference_layer(r, l, x, o->states[0], NULL, NULL, err));
    assert_ok(reference_hidden(r, o->states[0], SMALL_TOKENS, o->hidden[0], err));
    for (size_t i = 0; s->n_logits && i < x->n; i++) {
        const float *logits[REFERENCE_LOGITS];
        size_t from, n = last_of(x, i, &from);
        assert_ok(reference_logits(r, o->states[from], n, logits, err));
        for (size_t k = 0; k < n; k++)
            add_logits(o, logits[k], s->n_logits);
    }
    return o;
}

static void layers_are_the_model(void **state)
{
    (void)state;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        small_write(kind);
        gguf *g = small_file();
        reference_text x = small_pieces(&text);
        outcome *want = whole(g, &x);
        for (int way = 0; way < 4; way++) {
            reference *r = NULL;
            assert_ok(reference_open(&r, g, way & 1 ? &one.t : &three.t, way & 2 ? LARGE : 0, err));
            for (int again = 0; again < 2; again++) {
                outcome *got = by_layers(r, &x);
                expect_same(want, got, kind_names[kind]);
                outcome_clear(got);
            }
            reference_close(&r);
        }
        outcome_clear(want);
        gguf_close(&g);
    }
}

/* ---- what products multiply with ---- */

typedef struct watcher {
    float *qkv, *ffn, *down; /* of all tokens */
    size_t rows, pieces;
} watcher;

static status watch(void *user, const model_inputs *in, size_t n_rows, error *err)
{
    watcher *w = user;
    (void)err;
    memcpy(w->qkv + w->rows * N_EMBD, in->qkv, n_rows * N_EMBD * sizeof(float));
    memcpy(w->ffn + w->rows * N_EMBD, in->ffn, n_rows * N_EMBD * sizeof(float));
    memcpy(w->down + w->rows * N_FF, in->down, n_rows * N_FF * sizeof(float));
    w->rows += n_rows;
    w->pieces++;
    return OK;
}

static double *weights_of(const gguf *g, uint32_t layer, const char *name, size_t *rows, size_t *cols)
{
    char full[64];
    snprintf(full, sizeof full, "blk.%u.%s.weight", layer, name);
    const gguf_tensor *t = gguf_tensor_find(g, full);
    assert_non_null(t);
    *cols = (size_t)t->ne[0];
    *rows = (size_t)gguf_tensor_rows(t);
    float *f = mem_array(*rows, *cols * sizeof *f);
    double *d = mem_array(*rows, *cols * sizeof *d);
    quant_find(t->type)->decode(t->data, f, *rows * *cols);
    for (size_t i = 0; i < *rows * *cols; i++)
        d[i] = (double)f[i];
    mem_free(f);
    return d;
}

static void norm(const gguf *g, uint32_t layer, const char *name, const float *x, double *out)
{
    size_t rows, cols;
    double *w = weights_of(g, layer, name, &rows, &cols), sum = 0;
    assert_int_equal(cols, N_EMBD);
    for (size_t i = 0; i < N_EMBD; i++)
        sum += (double)x[i] * (double)x[i];
    for (size_t i = 0; i < N_EMBD; i++)
        out[i] = (double)x[i] / sqrt(sum / N_EMBD + 1e-5) * w[i];
    mem_free(w);
}

static void multiply(const gguf *g, uint32_t layer, const char *name, const float *x, double *out)
{
    size_t rows, cols;
    double *w = weights_of(g, layer, name, &rows, &cols);
    for (size_t r = 0; r < rows; r++) {
        out[r] = 0;
        for (size_t c = 0; c < cols; c++)
            out[r] += w[r * cols + c] * (double)x[c];
    }
    mem_free(w);
}

static void expect_near(double want, float got, const char *what)
{
    if (!(fabs(want - (double)got) < 1e-4 * (1 + fabs(want))))
        fail_msg("%s: %g, not %g", what, (double)got, want);
}

/* Of token t: states before and after the layer, and what was watched between. Llama has no more than norms. */
static void check_token(const gguf *g, uint32_t layer, const watcher *w, size_t t, const float *before,
                        const float *after)
{
    double want[N_FF], gate[N_FF], up[N_FF];
    float middle[N_EMBD];
    norm(g, layer, "attn_norm", before, want);
    for (size_t i = 0; i < N_EMBD; i++)
        expect_near(want[i], w->qkv[t * N_EMBD + i], "input of q, k, v");
    multiply(g, layer, "ffn_down", w->down + t * N_FF, want);
    for (size_t i = 0; i < N_EMBD; i++)
        middle[i] = (float)((double)after[i] - want[i]);
    norm(g, layer, "ffn_norm", middle, want);
    for (size_t i = 0; i < N_EMBD; i++)
        expect_near(want[i], w->ffn[t * N_EMBD + i], "input of gate and up");
    multiply(g, layer, "ffn_gate", w->ffn + t * N_EMBD, gate);
    multiply(g, layer, "ffn_up", w->ffn + t * N_EMBD, up);
    for (size_t i = 0; i < N_FF; i++)
        expect_near(gate[i] / (1 + exp(-gate[i])) * up[i], w->down[t * N_FF + i], "input of down");
}

static void inputs_are_those_of_the_products(void **state)
{
    (void)state;
    small_write(SMALL_LLAMA);
    gguf *g = small_file();
    reference_text x = small_pieces(&text);
    reference *r = NULL;
    assert_ok(reference_open(&r, g, &three.t, 0, err));
    static float before[SMALL_TOKENS][N_EMBD], after[SMALL_TOKENS][N_EMBD];
    watcher w = { mem_array(SMALL_TOKENS, N_EMBD * sizeof(float)), mem_array(SMALL_TOKENS, N_EMBD * sizeof(float)),
                  mem_array(SMALL_TOKENS, N_FF * sizeof(float)), 0, 0 };
    assert_ok(reference_embed(r, &x, after[0], err));
    for (uint32_t layer = 0; layer < 2; layer++) {
        w.rows = w.pieces = 0;
        memcpy(before, after, sizeof before);
        assert_ok(reference_layer(r, layer, &x, after[0], watch, &w, err));
        assert_int_equal(w.rows, SMALL_TOKENS);
        assert_int_equal(w.pieces, SMALL_PIECES);
        for (size_t t = 0; t < SMALL_TOKENS; t += 10)
            check_token(g, layer, &w, t, before[t], after[t]);
    }
    mem_free(w.qkv);
    mem_free(w.ffn);
    mem_free(w.down);
    reference_close(&r);
    gguf_close(&g);
}

static status refuse(void *user, const model_inputs *in, size_t n_rows, error *err)
{
    (void)in;
    (void)n_rows;
    ++*(int *)user;
    return fail(err, E_CANCELLED, "seen enough");
}

static void a_watcher_can_stop_it(void **state)
{
    (void)state;
    small_write(SMALL_LLAMA);
    gguf *g = small_file();
    reference_text x = small_pieces(&text);
    reference *r = NULL;
    error e;
    int calls = 0;
    outcome *o = mem_zero(sizeof *o);
    assert_ok(reference_open(&r, g, &one.t, 0, err));
    assert_ok(reference_embed(r, &x, o->states[0], err));
    assert_int_equal(reference_layer(r, 0, &x, o->states[0], refuse, &calls, &e), E_CANCELLED);
    assert_int_equal(calls, 1);
    outcome_clear(o);
    reference_close(&r);
    gguf_close(&g);
}

/* ---- other weights ---- */

static float *decoded(const gguf_tensor *t)
{
    size_t n = (size_t)(t->ne[0] * gguf_tensor_rows(t));
    float *x = mem_array(n, sizeof *x);
    quant_find(t->type)->decode(t->data, x, n);
    return x;
}

/* Off by a half, each by another amount. */
static float *changed(const gguf_tensor *t)
{
    size_t n = (size_t)(t->ne[0] * gguf_tensor_rows(t));
    float *x = decoded(t);
    for (size_t i = 0; i < n; i++)
        x[i] = 1.5f * x[i] + 0.25f * small_normal();
    return x;
}

/* Every matrix of every kind. */
static void weights_come_and_go(void **state)
{
    (void)state;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        small_write(kind);
        gguf *g = small_file();
        reference_text x = small_pieces(&text);
        reference *r = NULL;
        assert_ok(reference_open(&r, g, &three.t, LARGE, err));
        outcome *want = by_layers(r, &x);
        for (size_t i = 0; i < gguf_n_tensors(g); i += kind == SMALL_GEMMA ? 5 : 1) {
            const gguf_tensor *t = gguf_tensor_at(g, i);
            if (t->n_dims < 2) /* vectors stay as they are */
                continue;
            float *other = changed(t);
            assert_ok(reference_put(r, t, small_give, other, err));
            outcome *got = by_layers(r, &x);
            if (is_same(want, got))
                fail_msg("%s: other weights for %.*s change nothing", kind_names[kind], (int)t->name.n, t->name.p);
            outcome_clear(got);
            assert_ok(reference_restore(r, t, err));
            got = by_layers(r, &x);
            expect_same(want, got, kind_names[kind]);
            outcome_clear(got);
            mem_free(other);
        }
        outcome_clear(want);
        reference_close(&r);
        gguf_close(&g);
    }
}

/* What was put in is what is computed with: with all matrices of another file it is that other model. */
static void with_anothers_weights_it_is_the_other(void **state)
{
    (void)state;
    const pack_options coarse = { .type = "q4_0", .n_threads = 1, .overwrite = true };
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        char path[600];
        pack_report report;
        gguf *other = NULL;
        reference *r = NULL, *of_other = NULL;
        small_write(kind);
        snprintf(path, sizeof path, "%s.other", tiny_model_path());
        assert_ok(pack_quantize(tiny_model_path(), path, &coarse, &report, err));
        gguf *g = small_file();
        assert_ok(gguf_open(&other, path, err));
        reference_text x = small_pieces(&text);
        assert_ok(reference_open(&r, g, &three.t, LARGE, err));
        assert_ok(reference_open(&of_other, other, &one.t, LARGE, err));
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const gguf_tensor *t = gguf_tensor_at(g, i);
            float *rows = decoded(gguf_tensor_at(other, i));
            assert_ok(reference_put(r, t, small_give, rows, err));
            mem_free(rows);
        }
        outcome *want = by_layers(of_other, &x), *got = by_layers(r, &x);
        expect_same(want, got, kind_names[kind]);
        outcome_clear(want);
        outcome_clear(got);
        reference_close(&r);
        reference_close(&of_other);
        gguf_close(&g);
        gguf_close(&other);
        assert_int_equal(unlink(path), 0);
    }
}

/* Without memory for it, a layer is used once with what was put in. */
static void a_layer_forgets_where_none_stays(void **state)
{
    (void)state;
    static float first[SMALL_TOKENS][N_EMBD], changed_first[SMALL_TOKENS][N_EMBD];
    small_write(SMALL_LLAMA);
    gguf *g = small_file();
    reference_text x = small_pieces(&text);
    reference *r = NULL;
    const gguf_tensor *t = gguf_tensor_find(g, "blk.0.ffn_up.weight");
    float *other = changed(t);
    for (uint64_t memory = 0; memory <= LARGE; memory += LARGE) {
        assert_ok(reference_open(&r, g, &three.t, memory, err));
        assert_ok(reference_embed(r, &x, first[0], err));
        assert_ok(reference_layer(r, 0, &x, first[0], NULL, NULL, err));
        for (int time = 0; time < 2; time++) {
            if (time == 0)
                assert_ok(reference_put(r, t, small_give, other, err));
            assert_ok(reference_embed(r, &x, changed_first[0], err));
            assert_ok(reference_layer(r, 0, &x, changed_first[0], NULL, NULL, err));
            assert_int_equal(memcmp(first, changed_first, sizeof first) != 0, time == 0 || memory > 0);
        }
        reference_close(&r);
    }
    mem_free(other);
    gguf_close(&g);
}

int main(void)
{
    if (!small_tools_open(&one, 1) || !small_tools_open(&three, 3))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_the_model),
        cmocka_unit_test(inputs_are_those_of_the_products),
        cmocka_unit_test(a_watcher_can_stop_it),
        cmocka_unit_test(weights_come_and_go),
        cmocka_unit_test(with_anothers_weights_it_is_the_other),
        cmocka_unit_test(a_layer_forgets_where_none_stays),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_close(&one.pool);
    pool_close(&three.pool);
    return rc;
}
