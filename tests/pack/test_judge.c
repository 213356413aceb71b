/* The judge: a model is no way from itself, and from another as far as loops in double say. What gains foretell: other
 * noise than theirs, of another loudness, and a file's rounding cost what they say. */
#include "pack/small.h"

#include <math.h>
#include <unistd.h>

#include "pack/judge.h"
#include "quant/quant.h"

enum { N_EMBD = 64, LARGE = 1 << 30, PIECES_MOST = 6, TOKENS_MOST = 2400 };

static small_tools one, three;
static const pack_options options = { .way = ENCODER_SEARCH };
static const char *const kind_names[SMALL_KINDS] = { "llama", "untied", "gemma3", "mistral", "bert" };

static int32_t ids[TOKENS_MOST];
static size_t starts[PIECES_MOST + 1];

/* The text of a job: pieces of so many tokens, seen and held out alike. */
static void job_make(job *j, const matrix_tools *t, size_t n_pieces, size_t piece, bool is_encoder)
{
    *j = (job){ .o = &options, .file = small_file(), .tools = *t, .is_encoder = is_encoder };
    for (size_t i = 0; i < n_pieces * piece; i++)
        ids[i] = (int32_t)rnd(SMALL_VOCAB);
    for (size_t i = 0; i <= n_pieces; i++)
        starts[i] = i * piece;
    for (int set = 0; set < MOMENTS_SETS; set++)
        j->read[set] = (reference_text){ ids, starts, n_pieces };
    j->text.n = n_pieces;
    assert_ok(plan_tensors(j, err));
}

static void job_clear(job *j)
{
    gguf_close(&j->file);
    mem_free(j->tensors);
}

static const char *other_file(const char *type)
{
    static char path[600];
    const pack_options o = { .type = type, .n_threads = 1, .overwrite = true };
    pack_report report;
    snprintf(path, sizeof path, "%s.other", tiny_model_path());
    assert_ok(pack_quantize(tiny_model_path(), path, &o, &report, err));
    return path;
}

/* ---- as far as it is ---- */

static void a_model_is_no_way_from_itself(void **state)
{
    (void)state;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        job j;
        judge *g = NULL;
        double d;
        small_write(kind);
        job_make(&j, &three.t, 3, 70, kind == SMALL_ENCODER);
        assert_ok(judge_open(&g, &j, kind % 2 ? LARGE : 0, err));
        const uint32_t n_layers = reference_spec(g->r)->n_layers;
        assert_int_equal(judge_bin_begin(g, 0), 0);
        assert_int_equal(judge_bin_begin(g, g->bins), n_layers);
        for (uint32_t b = 0; b <= g->bins; b++) {
            judge_enter(g, b);
            assert_ok(judge_run(g, judge_bin_begin(g, b), n_layers, err));
            assert_ok(judge_divergence(g, &d, err));
            if (!(d >= 0 && d < 1e-9))
                fail_msg("%s from bin %u: %g", kind_names[kind], b, d);
        }
        assert_ok(judge_file(g, tiny_model_path(), &d, err));
        assert_true(d >= 0 && d < 1e-9);
        judge_close(&g);
        job_clear(&j);
    }
}

static double kl_by_hand(const float *a, const float *b, size_t n)
{
    double sum_a = 0, sum_b = 0, kl = 0;
    for (size_t i = 0; i < n; i++) {
        sum_a += exp((double)a[i]);
        sum_b += exp((double)b[i]);
    }
    for (size_t i = 0; i < n; i++)
        kl += exp((double)a[i]) / sum_a * ((double)a[i] - log(sum_a) - (double)b[i] + log(sum_b));
    return kl;
}

/* Logits of every step-th token, or the means of pieces; free it. */
static float *ends_of(const gguf *g, const reference_text *x, size_t step, size_t *n)
{
    reference *r = NULL;
    assert_ok(reference_open(&r, g, &one.t, LARGE, err));
    const model_spec *s = reference_spec(r);
    size_t n_tokens = x->starts[x->n];
    float *states = mem_array(n_tokens, N_EMBD * sizeof *states), *out;
    assert_ok(reference_embed(r, x, states, err));
    for (uint32_t l = 0; l < s->n_layers; l++)
        assert_ok(reference_layer(r, l, x, states, NULL, NULL, err));
    if (s->is_encoder) {
        *n = x->n;
        out = mem_array(*n, N_EMBD * sizeof *out);
        for (size_t i = 0; i < x->n; i++)
            for (size_t t = x->starts[i]; t < x->starts[i + 1]; t++)
                for (size_t c = 0; c < N_EMBD; c++)
                    out[i * N_EMBD + c] += states[t * N_EMBD + c];
    } else {
        *n = n_tokens / step;
        out = mem_array(*n, s->n_logits * sizeof *out);
        for (size_t i = 0; i < *n; i++) {
            const float *row[REFERENCE_LOGITS];
            assert_ok(reference_logits(r, states + (i * step + step - 1) * N_EMBD, 1, row, err));
            memcpy(out + i * s->n_logits, row[0], s->n_logits * sizeof *out);
        }
    }
    reference_close(&r);
    mem_free(states);
    return out;
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < N_EMBD; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static double distance_by_hand(const gguf *a, const gguf *b, const reference_text *x, size_t step, bool is_encoder)
{
    size_t n;
    float *ends_a = ends_of(a, x, step, &n), *ends_b = ends_of(b, x, step, &n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        if (is_encoder)
            sum += 1 - cosine(ends_a + i * N_EMBD, ends_b + i * N_EMBD);
        else
            sum += kl_by_hand(ends_a + i * SMALL_VOCAB, ends_b + i * SMALL_VOCAB, SMALL_VOCAB);
    mem_free(ends_a);
    mem_free(ends_b);
    return sum / (double)n;
}

static void check_other(const char *type, int kind, size_t n_pieces, size_t piece, size_t step, double *out)
{
    job j;
    judge *g = NULL;
    gguf *other = NULL;
    const char *path = other_file(type);
    job_make(&j, &three.t, n_pieces, piece, kind == SMALL_ENCODER);
    assert_ok(gguf_open(&other, path, err));
    assert_ok(judge_open(&g, &j, 0, err));
    assert_int_equal(g->n_tokens, n_pieces * piece);
    if (kind != SMALL_ENCODER)
        assert_int_equal(g->step, step);
    assert_ok(judge_file(g, path, out, err));
    double want = distance_by_hand(j.file, other, &j.read[MOMENTS_HELD_OUT], step, kind == SMALL_ENCODER);
    if (!(fabs(*out - want) < 1e-6 + 1e-4 * want))
        fail_msg("%s %s: %g, by hand %g", kind_names[kind], type, *out, want);
    judge_close(&g);
    gguf_close(&other);
    job_clear(&j);
    assert_int_equal(unlink(path), 0);
}

static void another_file_is_as_far_as_it_is(void **state)
{
    (void)state;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        double coarse, fine;
        small_write(kind);
        check_other("q4_0", kind, 3, 70, 1, &coarse);
        check_other("q8_0", kind, 3, 70, 1, &fine);
        if (!(fine > 0 && 8 * fine < coarse))
            fail_msg("%s: q8_0 %g, q4_0 %g", kind_names[kind], fine, coarse);
    }
    double some;
    small_write(SMALL_LLAMA);
    check_other("q4_0", SMALL_LLAMA, 6, 400, 5, &some); /* too many to judge all of them */
}

static void files_that_cannot_be_judged(void **state)
{
    (void)state;
    job j;
    judge *g = NULL;
    double d;
    error e;
    small_write(SMALL_LLAMA);
    job_make(&j, &three.t, 3, 70, false);
    assert_ok(judge_open(&g, &j, 0, err));
    assert_int_not_equal(judge_file(g, "no such file", &d, &e), OK);
    assert_int_not_equal(judge_file(g, "/dev/null", &d, &e), OK);
    judge_close(&g);
    judge_close(&g);
    job_clear(&j);
}

/* ---- what gains foretell ---- */

/* Of a tensor with other noise than gains.c's: its rows so, and what that loses. */
typedef struct noisy {
    float *rows;
    double loss, direct;
} noisy;
enum { TENSORS_MOST = 96 };
static noisy with_noise[TENSORS_MOST];

static double squares(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (b ? (double)b[i] : 0)) * ((double)a[i] - (b ? (double)b[i] : 0));
    return sum;
}

/* Half as loud. Checks the losses that the survey found on the way: all rows are its sample. */
static status make_noise(job *j, pack_tensor *t, const encoder *e, error *err)
{
    size_t cols = (size_t)t->t->ne[0], n_rows = (size_t)gguf_tensor_rows(t->t), n = n_rows * cols;
    float *rows = mem_array(n, sizeof *rows);
    noisy *x = &with_noise[t->index];
    double whole = 1, loss = 0;
    (void)j;
    x->rows = mem_array(n, sizeof *rows);
    quant_find(t->t->type)->decode(t->t->data, rows, n);
    for (size_t r = 0; r < n_rows; r++) {
        float size = (float)sqrt(squares(rows + r * cols, NULL, cols) / (double)cols) / 32;
        for (size_t i = 0; i < cols; i++)
            x->rows[r * cols + i] = rows[r * cols + i] + size * small_normal();
    }
    x->direct = squares(rows, x->rows, n) / squares(rows, NULL, n);
    status s = OK;
    if (t->kind != MOMENTS_KINDS) {
        s = encoder_loss(e, rows, NULL, n_rows, &whole, err);
        if (!s)
            s = encoder_loss(e, rows, x->rows, n_rows, &loss, err);
        double noise = encoder_trace(e) * squares(rows, NULL, n) / (double)cols / whole;
        assert_true(fabs(t->noise - noise) < 1e-6 * noise);
    }
    x->loss = loss / whole;
    mem_free(rows);
    return s;
}

static bool is_measured(const pack_tensor *t)
{
    return t->n_candidates > 0;
}

static void check_candidates(const pack_tensor *t)
{
    assert_true(t->n_candidates > 0 && t->n_candidates <= JOB_CANDIDATES);
    for (size_t i = 0; i < t->n_candidates; i++) {
        const candidate *c = &t->candidates[i];
        assert_true(isfinite(c->loss) && c->loss >= 0 && c->loss < 1);
        assert_true(isfinite(c->direct) && c->direct >= 0 && c->direct < 1);
        assert_true(t->t->ne[0] % c->type->block == 0);
    }
    assert_true(isfinite(t->gain) && t->gain >= 0 && isfinite(t->direct_gain) && t->direct_gain >= 0);
    assert_true((t->kind == MOMENTS_KINDS) == !(t->gain > 0));
}

/* One layer, so a group is a few tensors: the divergence with all of them noisy, and what was foretold. */
static void check_group(judge *g, uint32_t bin, const char *const *names, size_t n, double *worst)
{
    job *j = g->j;
    double foretold = 0, d;
    judge_enter(g, bin);
    for (size_t k = 0; k < n; k++) {
        const gguf_tensor *t = gguf_tensor_find(j->file, names[k]);
        for (size_t i = 0; i < j->n; i++)
            if (j->tensors[i].t == t) {
                assert_ok(reference_put(g->r, t, small_give, with_noise[i].rows, err));
                foretold += j->tensors[i].gain * with_noise[i].loss;
            }
    }
    assert_ok(judge_run(g, bin, 1, err));
    assert_ok(judge_divergence(g, &d, err));
    for (size_t k = 0; k < n; k++)
        assert_ok(reference_restore(g->r, gguf_tensor_find(j->file, names[k]), err));
    assert_true(foretold > 0);
    double off = fabs(log(d / foretold));
    *worst = off > *worst ? off : *worst;
    if (!(off < log(1.5)))
        fail_msg("%s with noise: %g, foretold %g", names[0], d, foretold);
}

static void check_embedding(judge *g, double *worst)
{
    job *j = g->j;
    double d;
    for (size_t i = 0; i < j->n; i++) {
        const pack_tensor *t = &j->tensors[i];
        if (t->role != QUANT_EMBED)
            continue;
        assert_ok(reference_put(g->r, t->t, small_give, with_noise[i].rows, err));
        assert_ok(reference_embed(g->r, &g->text, g->states, err));
        assert_ok(reference_restore(g->r, t->t, err));
        assert_ok(judge_run(g, 0, 1, err));
        assert_ok(judge_divergence(g, &d, err));
        double foretold = t->direct_gain * with_noise[i].direct, off = fabs(log(d / foretold));
        *worst = off > *worst ? off : *worst;
        if (!(off < log(1.5)))
            fail_msg("the embedding with noise: %g, foretold %g", d, foretold);
    }
}

static void write_one_layer(bool tied)
{
    tiny_model m = tiny_model_default();
    m.n_layers = 1;
    m.n_vocab = SMALL_VOCAB;
    m.extra = tied ? NULL : "output.weight";
    tiny_model_write(&m, tiny_model_path());
}

static void gains_foretell(void **state)
{
    (void)state;
    static const char *const groups[][2] = { { "blk.0.attn_q.weight", "blk.0.attn_k.weight" },
                                             { "blk.0.attn_v.weight" },
                                             { "blk.0.attn_output.weight" },
                                             { "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight" },
                                             { "blk.0.ffn_down.weight" } };
    static const char *const heads[] = { "output.weight", "token_embd.weight" };
    for (int tied = 0; tied < 2; tied++) {
        job j;
        judge *g = NULL;
        double worst = 0;
        write_one_layer(tied);
        job_make(&j, &three.t, 5, 100, false);
        assert_ok(survey_tensors(&j, err));
        assert_ok(judge_open(&g, &j, LARGE, err));
        assert_ok(gains_measure(&j, g, err));
        assert_true(j.n < TENSORS_MOST);
        assert_ok(encode_walk(&j, is_measured, make_noise, SIZE_MAX, err));
        for (size_t i = 0; i < j.n; i++)
            if (j.tensors[i].role != QUANT_KEPT)
                check_candidates(&j.tensors[i]);
        for (size_t i = 0; i < ARRAY_LEN(groups); i++)
            check_group(g, 0, groups[i], groups[i][1] ? 2 : 1, &worst);
        check_group(g, 1, &heads[tied], 1, &worst);
        check_embedding(g, &worst);
        print_message("foretold to %.0f %%\n", 100 * (exp(worst) - 1));
        for (size_t i = 0; i < j.n; i++) {
            mem_free(with_noise[i].rows);
            with_noise[i].rows = NULL;
        }
        judge_close(&g);
        job_clear(&j);
    }
}

/* Measured on one thread with layers that come and go, and on three with layers that stay: the same bits. */
static void gains_are_the_same_everywhere(void **state)
{
    (void)state;
    for (int kind = 0; kind < SMALL_KINDS; kind++) {
        job a, b;
        judge *g = NULL;
        uint64_t was = seed;
        small_write(kind);
        job_make(&a, &one.t, 2, 60, kind == SMALL_ENCODER);
        seed = was;
        job_make(&b, &three.t, 2, 60, kind == SMALL_ENCODER);
        job *both[] = { &a, &b };
        for (int i = 0; i < 2; i++) {
            assert_ok(survey_tensors(both[i], err));
            assert_ok(judge_open(&g, both[i], i ? LARGE : 0, err));
            assert_ok(gains_measure(both[i], g, err));
            judge_close(&g);
        }
        for (size_t i = 0; i < a.n; i++) {
            const pack_tensor *x = &a.tensors[i], *y = &b.tensors[i];
            assert_true(x->gain == y->gain && x->direct_gain == y->direct_gain && x->noise == y->noise);
            assert_int_equal(x->n_candidates, y->n_candidates);
            for (size_t c = 0; c < x->n_candidates; c++)
                assert_true(x->candidates[c].loss == y->candidates[c].loss);
            if (x->role != QUANT_KEPT)
                check_candidates(x);
        }
        job_clear(&a);
        job_clear(&b);
    }
}

static void make_zero(const char *name)
{
    gguf *g = small_file();
    const gguf_tensor *t = gguf_tensor_find(g, name);
    static char text[1 << 20];
    FILE *f = fopen(tiny_model_path(), "r+");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f);
    char *at = memmem(text, n, t->data, (size_t)t->bytes);
    assert_non_null(at);
    memset(at, 0, (size_t)t->bytes);
    rewind(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    gguf_close(&g);
}

/* Neither what is lost of them nor what that costs is anything but a number. */
static void zeros_have_numbers(void **state)
{
    (void)state;
    static const struct {
        int kind;
        const char *name;
    } cases[] = { { SMALL_LLAMA, "blk.0.attn_v.weight" },   { SMALL_LLAMA, "blk.1.ffn_down.weight" },
                  { SMALL_UNTIED, "output.weight" },        { SMALL_LLAMA, "token_embd.weight" },
                  { SMALL_ENCODER, "blk.0.ffn_up.weight" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        job j;
        judge *g = NULL;
        small_write(cases[i].kind);
        make_zero(cases[i].name);
        job_make(&j, &three.t, 2, 60, cases[i].kind == SMALL_ENCODER);
        assert_ok(survey_tensors(&j, err));
        assert_ok(judge_open(&g, &j, LARGE, err));
        assert_ok(gains_measure(&j, g, err));
        for (size_t t = 0; t < j.n; t++) {
            const pack_tensor *x = &j.tensors[t];
            bool ok = isfinite(x->noise) && isfinite(x->gain) && x->gain >= 0 && isfinite(x->direct_gain);
            for (size_t c = 0; c < x->n_candidates; c++)
                ok = ok && isfinite(x->candidates[c].loss) && isfinite(x->candidates[c].direct);
            if (!ok)
                fail_msg("%s of zeros: %.*s: noise %g, gain %g, direct %g", cases[i].name, (int)x->t->name.n,
                         x->t->name.p, x->noise, x->gain, x->direct_gain);
        }
        judge_close(&g);
        job_clear(&j);
    }
}

int main(void)
{
    if (!small_tools_open(&one, 1) || !small_tools_open(&three, 3))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_no_way_from_itself), cmocka_unit_test(another_file_is_as_far_as_it_is),
        cmocka_unit_test(files_that_cannot_be_judged),   cmocka_unit_test(gains_foretell),
        cmocka_unit_test(gains_are_the_same_everywhere), cmocka_unit_test(zeros_have_numbers),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_close(&one.pool);
    pool_close(&three.pool);
    return rc;
}
