/* Calibration text: pieces are what a text's tokens are, from all over it; generated ones are what the model says
 * alone, whoever is beside it; loops end; and what cannot be is refused. */
#include "lib/check.h"
#include "lib/random.h"
#include "lib/tiny_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "engine/generate.h"
#include "gguf/gguf.h"
#include "pack/openings.h"
#include "pack/texts_int.h"

enum { PIECE = 64, TOKENS = 1200 };

static const char *cached(const char *name)
{
    static char path[4096];
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(path, sizeof path, "%s/%s", cache ? cache : "build/cache", name);
    return path;
}

static vocab *open_vocab(const char *name)
{
    vocab *v = NULL;
    gguf *g = NULL;
    if (access(cached(name), R_OK))
        skip();
    assert_ok(gguf_open(&g, cached(name), err));
    assert_ok(vocab_open(&v, g, err));
    gguf_close(&g);
    return v;
}

/* Whole, in order, in their limits. */
static void check_pieces(const texts *t, uint32_t piece, uint64_t max_tokens)
{
    assert_true(t->n > 0 && t->n_ids <= max_tokens && t->starts[0] == 0 && t->starts[t->n] == t->n_ids);
    for (size_t i = 0; i < t->n; i++)
        assert_in_range(t->starts[i + 1] - t->starts[i], 1, piece);
}

static bool are_same(const texts *a, const texts *b)
{
    return a->n_ids == b->n_ids && a->n == b->n && memcmp(a->ids, b->ids, a->n_ids * sizeof *a->ids) == 0 &&
           memcmp(a->starts, b->starts, (a->n + 1) * sizeof *a->starts) == 0;
}

static void one_of_five_is_held_out(void **state)
{
    (void)state;
    for (size_t from = 0; from < 50; from++) {
        int held = 0;
        for (size_t i = from; i < from + 5; i++)
            held += texts_is_held_out(i);
        assert_int_equal(held, 1);
    }
    assert_true(texts_is_held_out(0) || texts_is_held_out(1) || texts_is_held_out(2));
    assert_false(texts_is_held_out(0));
}

/* ---- loops ---- */

static size_t watch(const int32_t *ids, size_t n)
{
    loop_watch w = { { 0 } };
    for (size_t i = 1; i <= n; i++) {
        size_t stays = loop_watch_add(&w, ids, i);
        assert_true(stays <= i);
        if (stays < i)
            return stays;
    }
    return n;
}

static void loops_are_found(void **state)
{
    (void)state;
    enum { N = 2000, BEFORE = 50 };
    static int32_t ids[N];
    for (size_t period = 1; period <= LOOP_PERIODS; period += period < 8 ? 1 : 13) {
        for (size_t i = 0; i < N; i++)
            ids[i] = i < BEFORE + period ? (int32_t)(1000 + i) : ids[i - period];
        assert_int_equal(watch(ids, N), BEFORE + 2 * period);
        assert_int_equal(watch(ids, BEFORE + 3 * period), BEFORE + 3 * period); /* thrice is no loop yet */
    }
    for (size_t i = 0; i < N; i++)
        ids[i] = (int32_t)rnd(40);
    assert_int_equal(watch(ids, N), N);
    for (size_t i = 0; i < N; i++) /* a list whose numbers change */
        ids[i] = i % 10 ? (int32_t)(i % 10) : (int32_t)(100 + i);
    assert_int_equal(watch(ids, N), N);
    for (size_t i = 0; i < N; i++) /* few words in any order */
        ids[i] = i < 1000 ? (int32_t)(1000 + i) : (int32_t)rnd(12);
    assert_in_range(watch(ids, N), 1000 + LOOP_WINDOW / 2 - LOOP_VARIETY, 1000 + LOOP_WINDOW / 2 + LOOP_STRIDE);
}

/* ---- a text that is given ---- */

static void strange_bytes_are_text(void **state)
{
    (void)state;
    vocab *v = open_vocab("SmolLM2-135M-Instruct.Q4_1.gguf");
    enum { N = 6000 };
    static char bytes[N];
    for (size_t i = 0; i < N; i++)
        bytes[i] = (char)(i % 3 ? rnd(256) : i < N / 2 ? ' ' : 0);
    memcpy(bytes + 100, "<|im_start|>", 12);
    token_list all = TOKEN_LIST_INIT(1 << 20);
    texts t = { 0 };
    assert_ok(vocab_encode(v, bytes, N, 0, &all, err));
    assert_ok(texts_of(&t, v, (span){ bytes, N }, PIECE, TEXTS_MOST_TOKENS, err));
    check_pieces(&t, PIECE, TEXTS_MOST_TOKENS);
    assert_int_equal(t.n_ids, all.n);
    assert_memory_equal(t.ids, all.ids, all.n * sizeof *all.ids);
    for (size_t i = 0; i < t.n; i++)
        assert_true(t.starts[i + 1] - t.starts[i] >= PIECE - 2);
    texts_clear(&t);
    assert_ok(texts_of(&t, v, (span){ bytes, N }, 4096, TEXTS_MOST_TOKENS, err));
    assert_in_range(t.n, 10, 11);
    texts_clear(&t);
    token_list_clear(&all);
    vocab_close(&v);
}

/* Lines with their number, so that a piece says where it is from. */
static char *numbered(size_t bytes, size_t *n)
{
    buf b = BUF_INIT(bytes + 100);
    for (unsigned i = 0; b.len < bytes; i++)
        buf_printf(&b, "line %u says what line %u would say\n", i, i);
    *n = b.len;
    return buf_take(&b);
}

static void check_spread(const vocab *v, size_t bytes)
{
    size_t n, quarter[4] = { 0 };
    char *text = numbered(bytes, &n);
    texts t = { 0 }, u = { 0 };
    assert_ok(texts_of(&t, v, (span){ text, n }, PIECE, TOKENS, err));
    assert_ok(texts_of(&u, v, (span){ text, n }, PIECE, TOKENS, err));
    check_pieces(&t, PIECE, TOKENS);
    assert_true(are_same(&t, &u));
    assert_true(t.n_ids > TOKENS - 2 * PIECE);
    for (size_t i = 0; i < t.n; i++) {
        char piece[4096] = "";
        size_t length = 0;
        for (size_t j = t.starts[i]; j < t.starts[i + 1]; j++) {
            span p = vocab_piece(v, t.ids[j]);
            assert_true(length + p.n < sizeof piece);
            memcpy(piece + length, p.p, p.n);
            length += p.n;
        }
        piece[length] = 0;
        const char *line = strstr(piece, "\nline ");
        assert_non_null(line);
        size_t at = (size_t)strtoull(line + 6, NULL, 10), last = (size_t)strtoull(strstr(text + n - 60, "line ") + 5,
                                                                                  NULL, 10);
        quarter[at * 4 / (last + 2)]++;
    }
    for (int q = 0; q < 4; q++)
        assert_in_range(quarter[q], t.n / 4 - 2, t.n / 4 + 2);
    mem_free(text);
    texts_clear(&t);
    texts_clear(&u);
}

static void large_texts_are_read_all_over(void **state)
{
    (void)state;
    vocab *v = open_vocab("SmolLM2-135M-Instruct.Q4_1.gguf");
    check_spread(v, 100000);
    check_spread(v, 10 << 20);
    vocab_close(&v);
}

static void pieces_are_framed(void **state)
{
    (void)state;
    vocab *v = open_vocab("vocabs/ggml-vocab-bert-bge.gguf");
    size_t n;
    char *text = numbered(60000, &n);
    token_list empty = TOKEN_LIST_INIT(8);
    texts t[2] = { { 0 }, { 0 } };
    const span task = { text, 3000 };
    const texts_options o = { .tasks = &task, .n_tasks = 1, .piece = PIECE, .max_tokens = 20000 };
    assert_ok(vocab_encode(v, "", 0, VOCAB_BOS, &empty, err));
    assert_int_equal(empty.n, 2);
    assert_ok(texts_of(&t[0], v, (span){ text, n }, PIECE, TOKENS, err));
    assert_ok(texts_built_in(&t[1], v, &o, err));
    for (int k = 0; k < 2; k++) {
        check_pieces(&t[k], PIECE, 20000);
        for (size_t i = 0; i < t[k].n; i++) {
            assert_int_equal(t[k].ids[t[k].starts[i]], empty.ids[0]);
            assert_int_equal(t[k].ids[t[k].starts[i + 1] - 1], empty.ids[1]);
            for (size_t j = t[k].starts[i] + 1; j + 1 < t[k].starts[i + 1]; j++)
                assert_true(t[k].ids[j] != empty.ids[0] && t[k].ids[j] != empty.ids[1]);
        }
        texts_clear(&t[k]);
    }
    token_list_clear(&empty);
    mem_free(text);
    vocab_close(&v);
}

/* In how many pieces of this class the tokens are. */
static int count_in(const texts *t, bool held_out, const token_list *ids)
{
    int n = 0;
    for (size_t i = 0; i < t->n; i++)
        for (size_t at = t->starts[i]; texts_is_held_out(i) == held_out && at + ids->n <= t->starts[i + 1]; at++)
            if (memcmp(t->ids + at, ids->ids, ids->n * sizeof *ids->ids) == 0) {
                n++;
                break;
            }
    return n;
}

/* What is held out is not seen in the other pieces, in any company; each text comes again and again, hardly a
 * piece twice. */
static void built_in_texts_keep_to_their_side(void **state)
{
    (void)state;
    const char *const names[] = { "vocabs/ggml-vocab-bert-bge.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf" };
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        vocab *v = open_vocab(names[k]);
        texts t = { 0 };
        const texts_options o = { .piece = 256, .max_tokens = TEXTS_MOST_TOKENS };
        assert_ok(texts_built_in(&t, v, &o, err));
        check_pieces(&t, 256, TEXTS_MOST_TOKENS);
        assert_true(t.n_ids > 15000);
        int held = 0, other = 0, twice = 0;
        for (size_t i = 0; opening_question_at(i); i++) {
            token_list ids = TOKEN_LIST_INIT(1000);
            assert_ok(vocab_encode(v, opening_question_at(i), strlen(opening_question_at(i)), 0, &ids, err));
            int in_held = count_in(&t, true, &ids), in_other = count_in(&t, false, &ids);
            assert_true((in_held == 0) != (in_other == 0));
            assert_true(in_held + in_other > 8);
            held += in_held > 0;
            other += in_other > 0;
            token_list_clear(&ids);
        }
        assert_in_range(held, other / 6, other / 3);
        for (size_t i = 0; i < t.n; i++)
            for (size_t j = 0; j < i; j++) {
                size_t n = t.starts[i + 1] - t.starts[i];
                twice += n == t.starts[j + 1] - t.starts[j] &&
                         memcmp(t.ids + t.starts[i], t.ids + t.starts[j], n * sizeof *t.ids) == 0;
            }
        assert_in_range(twice, 0, t.n / 100); /* where one round ends and the next begins */
        texts_clear(&t);
        vocab_close(&v);
    }
}

static void limits_are_said(void **state)
{
    (void)state;
    vocab *v = open_vocab("SmolLM2-135M-Instruct.Q4_1.gguf");
    const span few = span_of("A few words, and that is all there is.");
    texts t = { 0 };
    error e;
    assert_int_equal(texts_of(&t, v, few, PIECE, TOKENS, &e), E_RANGE);
    assert_non_null(strstr(e.text, "tokens is too short"));
    assert_int_equal(texts_of(&t, v, (span){ NULL, 0 }, PIECE, TOKENS, &e), E_RANGE);
    assert_int_equal(texts_of(&t, v, few, TEXTS_PIECE_LEAST - 1, TOKENS, &e), E_RANGE);
    assert_int_equal(texts_of(&t, v, few, PIECE, TEXTS_LEAST_TOKENS - 1, &e), E_RANGE);
    assert_int_equal(texts_of(&t, v, few, PIECE, TEXTS_MOST_TOKENS + 1, &e), E_RANGE);
    size_t n;
    char *text = numbered(3000, &n);
    status s = E_NOMEM;
    for (uint64_t at = 1; s && at < 500; at++) {
        mem_fail_at(at);
        s = texts_of(&t, v, (span){ text, n }, PIECE, TOKENS, &e);
        mem_fail_at(0);
        assert_true(s == OK || (t.ids == NULL && t.starts == NULL));
    }
    assert_int_equal(s, OK);
    texts_clear(&t);
    mem_free(text);
    vocab_close(&v);
}

static void openings_differ(void **state)
{
    (void)state;
    const char *(*const tables[])(size_t) = { opening_at, opening_question_at };
    for (size_t k = 0; k < ARRAY_LEN(tables); k++) {
        assert_non_null(tables[k](15));
        for (size_t i = 0; tables[k](i); i++)
            for (size_t j = 0; j < i; j++)
                assert_true(!*tables[k](i) || strcmp(tables[k](i), tables[k](j)) != 0);
    }
}

/* ---- what a model writes ---- */

static engine *open_engine(const char *path, uint32_t n_sessions, int n_threads, uint32_t rows)
{
    gguf *g = NULL;
    engine *e = NULL;
    engine_options o;
    texts_engine_options(&o, PIECE);
    o.n_sessions = n_sessions;
    o.n_threads = n_threads;
    o.batch = o.logit_rows = rows;
    assert_ok(gguf_open(&g, path, err));
    assert_ok(engine_open(&e, g, &o, err));
    return e;
}

static const char long_task[] = "Which of these words is an animal? Say it in one word. Words: table, horse, window, "
                                "summer, paper, stone, garden, letter, bottle, morning, silver, bridge, candle, winter";

/* The document that begins with this prompt, by the plain loop: `n` tokens of the text, prompt included. */
static void compare_alone(engine *e, const texts *t, size_t piece, const char *prompt, uint32_t choice, uint64_t salt)
{
    token_list ids = TOKEN_LIST_INIT(1000);
    session *s = NULL;
    sampling_options o;
    generate_result r;
    size_t n = t->starts[piece + 1] - t->starts[piece];
    sampling_options_init(&o);
    o.temperature = 0.9f;
    o.top_k = 0;
    o.min_p = 0;
    o.seed = salt;
    o.choice = choice;
    assert_ok(vocab_encode(engine_vocab(e), prompt, strlen(prompt), 0, &ids, err));
    o.max_tokens = PIECE - (uint32_t)ids.n;
    assert_ok(session_open(&s, e, err));
    assert_ok(engine_generate(s, ids.ids, (uint32_t)ids.n, &o, NULL, NULL, &r, err));
    assert_in_range(n, ids.n + 1, session_length(s) + 1);
    assert_memory_equal(t->ids + t->starts[piece], session_tokens(s), (n - 1) * sizeof *ids.ids);
    session_close(&s);
    token_list_clear(&ids);
}

static void what_is_generated_does_not_depend_on_company(void **state)
{
    (void)state;
    if (access(cached("SmolLM2-135M-Instruct.Q4_1.gguf"), R_OK))
        skip();
    tiny_model m = tiny_model_like(cached("SmolLM2-135M-Instruct.Q4_1.gguf"));
    m.n_embd = 64;
    tiny_model_write(&m, tiny_model_path());
    const struct {
        uint32_t n_sessions, rows;
        int n_threads;
    } ways[] = { { 24, 64, 2 }, { 1, 8, 1 }, { 5, 32, 2 } };
    const span task = span_of(long_task);
    texts_options o = { .tasks = &task, .n_tasks = 1, .piece = PIECE, .max_tokens = TOKENS, .seed = 7 };
    texts t[ARRAY_LEN(ways)] = { { 0 } }, other = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        engine *e = open_engine(tiny_model_path(), ways[i].n_sessions, ways[i].n_threads, ways[i].rows);
        assert_ok(texts_generate(&t[i], e, &o, err));
        check_pieces(&t[i], PIECE, TOKENS);
        assert_int_equal(t[i].n_ids, TOKENS);
        assert_true(are_same(&t[0], &t[i]));
        if (i == 1) {
            o.seed = 8;
            assert_ok(texts_generate(&other, e, &o, err));
            assert_false(are_same(&t[0], &other));
            o.seed = 7;
        }
        engine_close(&e);
    }
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        texts_clear(&t[i]);
    texts_clear(&other);
}

/* Whichever allocation fails, nothing is left behind and the next attempt is as good as the first. */
static void memory_may_run_out(void **state)
{
    (void)state;
    if (access(cached("SmolLM2-135M-Instruct.Q4_1.gguf"), R_OK))
        skip();
    const tiny_model m = tiny_model_like(cached("SmolLM2-135M-Instruct.Q4_1.gguf"));
    tiny_model_write(&m, tiny_model_path());
    engine *e = open_engine(tiny_model_path(), 8, 1, 32);
    const texts_options o = { .piece = PIECE, .max_tokens = TEXTS_LEAST_TOKENS };
    for (int way = 0; way < 2; way++) {
        texts first = { 0 }, t = { 0 };
        error er;
        uint64_t before = mem_count();
        assert_ok(way ? texts_built_in(&first, engine_vocab(e), &o, err) : texts_generate(&first, e, &o, err));
        uint64_t n = mem_count() - before;
        for (uint64_t at = 1; at <= n; at += at < 10 ? 1 : n / 12 + 1) {
            mem_fail_at(at);
            status s = way ? texts_built_in(&t, engine_vocab(e), &o, &er) : texts_generate(&t, e, &o, &er);
            mem_fail_at(0);
            assert_true(s == OK ? are_same(&first, &t) : (s == E_NOMEM || s == E_RANGE) && !t.ids && !t.starts);
            texts_clear(&t);
        }
        assert_ok(way ? texts_built_in(&t, engine_vocab(e), &o, err) : texts_generate(&t, e, &o, err));
        assert_true(are_same(&first, &t));
        texts_clear(&first);
        texts_clear(&t);
    }
    engine_close(&e);
}

static bool stop_at(void *user, uint64_t done, uint64_t total)
{
    assert_true(done <= total);
    return done > *(uint64_t *)user;
}

static void the_real_model_writes(void **state)
{
    (void)state;
    if (access(cached("SmolLM2-135M-Instruct.Q4_1.gguf"), R_OK))
        skip();
    engine *e = open_engine(cached("SmolLM2-135M-Instruct.Q4_1.gguf"), 6, 0, 32);
    uint64_t patience = 40;
    const texts_options o = { .piece = PIECE, .max_tokens = TEXTS_LEAST_TOKENS, .seed = 3 };
    texts_options stopped = o;
    texts t = { 0 };
    error er;
    stopped.progress = stop_at;
    stopped.user = &patience;
    assert_int_equal(texts_generate(&t, e, &stopped, &er), E_CANCELLED);
    assert_null(t.ids);
    assert_ok(texts_generate(&t, e, &o, err));
    check_pieces(&t, PIECE, TEXTS_LEAST_TOKENS);
    int32_t im_start = vocab_find(engine_vocab(e), "<|im_start|>", 12);
    int turns = 0;
    size_t with_second = SIZE_MAX;
    token_list second = TOKEN_LIST_INIT(100);
    assert_ok(vocab_encode(engine_vocab(e), opening_at(1), strlen(opening_at(1)), 0, &second, err));
    for (size_t i = 0; i < t.n; i++)
        if (memcmp(t.ids + t.starts[i], second.ids, 10 * sizeof *second.ids) == 0)
            with_second = i;
    for (size_t i = 0; i < t.n_ids; i++)
        turns += t.ids[i] == im_start;
    assert_true(turns >= 3); /* a question went through the template */
    assert_true(with_second < t.n);
    compare_alone(e, &t, with_second, opening_at(1), 1, 3);
    token_list_clear(&second);
    texts_clear(&t);
    engine_close(&e);
}

static void who_cannot_write_is_told_so(void **state)
{
    (void)state;
    tiny_model m = tiny_model_default();
    gguf *g = NULL;
    engine *e = NULL;
    texts t = { 0 };
    error er;
    const texts_options o = { .piece = PIECE, .max_tokens = TOKENS };
    m.arch = "bert";
    m.encoder = true;
    m.n_kv_heads = m.n_heads;
    tiny_model_write(&m, tiny_model_path());
    assert_ok(gguf_open(&g, tiny_model_path(), err));
    assert_ok(engine_open(&e, g, NULL, err));
    assert_int_equal(texts_generate(&t, e, &o, &er), E_UNSUPPORTED);
    assert_non_null(strstr(er.text, "--calibrate FILE"));
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_five_is_held_out),
        cmocka_unit_test(loops_are_found),
        cmocka_unit_test(strange_bytes_are_text),
        cmocka_unit_test(large_texts_are_read_all_over),
        cmocka_unit_test(pieces_are_framed),
        cmocka_unit_test(built_in_texts_keep_to_their_side),
        cmocka_unit_test(limits_are_said),
        cmocka_unit_test(openings_differ),
        cmocka_unit_test(what_is_generated_does_not_depend_on_company),
        cmocka_unit_test(memory_may_run_out),
        cmocka_unit_test(the_real_model_writes),
        cmocka_unit_test(who_cannot_write_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
