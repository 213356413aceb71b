/* Encoding and decoding with real vocabularies: what goes in comes out, whole characters only, special tokens only
 * where asked, ceilings, failed allocations, and time that is linear in the text. */
#include "lib/check.h"
#include "lib/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "gguf/gguf.h"
#include "token/vocab.h"

static char folder[2048];

static vocab *open_vocab(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gguf *g = NULL;
    vocab *v = NULL;
    assert_ok(gguf_open(&g, path, err));
    assert_ok(vocab_open(&v, g, err));
    gguf_close(&g);
    return v;
}

/* Random characters, mostly of a few scripts, with runs. No control characters: some vocabularies lack them. */
static size_t random_text(char *out, size_t max)
{
    static const uint32_t from[] = { 0x20,   0x20,   0x61,    0xa1,  0x400,  0x900,
                                     0x4e00, 0xac00, 0x1f300, 0x300, 0x2000, 0xe000 };
    size_t n = 0;
    while (n + 64 < max) {
        uint32_t base = from[rnd(sizeof from / sizeof *from)], code = base + rnd(0x5f);
        for (uint32_t run = rnd(8) ? 1 : 1 + rnd(12); run && n + 8 < max; run--)
            n += utf8_encode(code, out + n);
    }
    return n;
}

static void decode_whole(const vocab *v, const token_list *t, bool special, buf *out)
{
    vocab_decoder d;
    vocab_decoder_init(&d, v, true, special);
    for (size_t i = 0; i < t->n; i++) {
        size_t before = out->len;
        vocab_decode(&d, t->ids[i], out);
        assert_true(utf8_valid(buf_text(out) + before, out->len - before)); /* never half a character */
    }
    vocab_decode_end(&d, out);
    assert_ok(buf_ok(out, "text", err));
}

static void check_round_trip(const vocab *v, const char *name, const char *text, size_t n)
{
    token_list t = TOKEN_LIST_INIT(1 << 20);
    buf out = BUF_INIT(1 << 20);
    assert_ok(vocab_encode(v, text, n, 0, &t, err));
    decode_whole(v, &t, false, &out);
    if (out.len != n || (n && memcmp(out.data, text, n) != 0))
        fail_msg("%s: '%.*s' came back as '%s'", name, (int)n, text, buf_text(&out));
    token_list_clear(&t);
    buf_clear(&out);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const files[] = {
        "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf",         "vocabs/ggml-vocab-gpt-2.gguf",
        "vocabs/ggml-vocab-llama-bpe.gguf", "vocabs/ggml-vocab-llama-spm.gguf", "vocabs/ggml-vocab-gemma-4.gguf",
        "vocabs/ggml-vocab-deepseek-llm.gguf", "vocabs/ggml-vocab-falcon.gguf", "vocabs/ggml-vocab-mpt.gguf",
        "vocabs/ggml-vocab-qwen2.gguf",
    };
    char text[2000];
    for (size_t f = 0; f < ARRAY_LEN(files); f++) {
        vocab *v = open_vocab(files[f]);
        for (int i = 0; i < 300; i++) {
            size_t n = random_text(text, 20 + rnd(i % 20 ? 200 : 1900));
            check_round_trip(v, files[f], text, n);
        }
        check_round_trip(v, files[f], "", 0);
        check_round_trip(v, files[f], " ", 1);
        vocab_close(&v);
    }
}

/* Bytes that are no character become U+FFFD, one each, and never reach the tokens. */
static void test_bad_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "a\xff" "b", "a\xef\xbf\xbd" "b" },
        { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx" },
        { "\xf0\x9f\xa6", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
    };
    static const char *const files[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf" };
    for (int f = 0; f < 2; f++) {
        vocab *v = open_vocab(files[f]);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            token_list t = TOKEN_LIST_INIT(100);
            buf out = BUF_INIT(1000);
            assert_ok(vocab_encode(v, cases[i].in, strlen(cases[i].in), 0, &t, err));
            decode_whole(v, &t, false, &out);
            assert_string_equal(buf_text(&out), cases[i].out);
            token_list_clear(&t);
            buf_clear(&out);
        }
        vocab_close(&v);
    }
}

/* The decoder on tokens in any order: valid text always, and the same as decoding their bytes at once. */
static void test_decoder(void **state)
{
    (void)state;
    static const char *const files[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf" };
    for (int f = 0; f < 2; f++) {
        vocab *v = open_vocab(files[f]);
        for (int round = 0; round < 200; round++) {
            token_list t = TOKEN_LIST_INIT(200);
            for (int i = 0; i < 100; i++) /* single bytes often, ids that do not exist sometimes */
                assert_ok(token_list_add(&t, (int32_t)rnd(rnd(2) ? 500 : (uint32_t)vocab_n_tokens(v) + 50), err));
            buf out = BUF_INIT(1 << 20);
            decode_whole(v, &t, round % 2, &out);
            assert_true(utf8_valid(buf_text(&out), out.len));
            buf_clear(&out);
            token_list_clear(&t);
        }
        assert_int_equal(vocab_piece(v, -1).n, 0);
        assert_int_equal(vocab_piece(v, INT32_MAX).n, 0);
        assert_false(vocab_is_eog(v, vocab_n_tokens(v)));
        vocab_close(&v);
    }
}

static size_t encode_with(const vocab *v, const char *text, unsigned flags, int32_t *ids)
{
    token_list t = TOKEN_LIST_INIT(1000);
    assert_ok(vocab_encode(v, text, strlen(text), flags, &t, err));
    size_t n = t.n;
    assert_true(n <= 100);
    if (n)
        memcpy(ids, t.ids, n * sizeof *ids);
    token_list_clear(&t);
    return n;
}

static void test_special(void **state)
{
    (void)state;
    int32_t ids[100];
    vocab *v = open_vocab("SmolLM2-135M-Instruct.Q4_1.gguf");
    int32_t end = vocab_find(v, "<|im_end|>", 10);
    assert_true(end >= 0 && vocab_is_control(v, end) && vocab_is_eog(v, end));
    assert_int_equal(vocab_eot(v), end);
    assert_int_equal(encode_with(v, "<|im_end|>", VOCAB_SPECIAL, ids), 1);
    assert_int_equal(ids[0], end);
    size_t n = encode_with(v, "<|im_end|>", 0, ids);
    assert_true(n > 1);
    for (size_t i = 0; i < n; i++)
        assert_false(vocab_is_control(v, ids[i]));
    assert_int_equal(encode_with(v, "", VOCAB_BOS, ids), 0); /* this model adds none */
    /* Parts: read as one text, specials only inside special parts. */
    static const vocab_part parts[] = { { "<|im_", 5, true }, { "end|>", 5, true }, { "<|im_end|>", 10, false },
                                        { "hel", 3, false },  { "lo", 2, true },    { "<|im_end|", 9, true },
                                        { ">", 1, false } };
    token_list t = TOKEN_LIST_INIT(100);
    assert_ok(vocab_encode_parts(v, parts, ARRAY_LEN(parts), 0, &t, err));
    size_t control = 0;
    bool hello = false;
    for (size_t i = 0; i < t.n; i++) {
        control += vocab_is_control(v, t.ids[i]);
        hello = hello || span_is(vocab_piece(v, t.ids[i]), "hello");
    }
    assert_int_equal(control, 1);
    assert_int_equal(t.ids[0], end);
    assert_true(hello);
    token_list_clear(&t);
    vocab_close(&v);

    v = open_vocab("gemma-3-270m-q4_k_m.gguf");
    assert_int_equal(encode_with(v, "", VOCAB_BOS, ids), 1);
    assert_int_equal(ids[0], vocab_bos(v));
    assert_int_equal(encode_with(v, "<bos>", VOCAB_SPECIAL, ids), 1);
    assert_true(encode_with(v, "<bos>", 0, ids) > 1);
    assert_true(vocab_is_eog(v, vocab_eos(v)));
    assert_true(vocab_is_eog(v, vocab_find(v, "<end_of_turn>", 13)));
    vocab_close(&v);
}

static void test_ceilings(void **state)
{
    (void)state;
    vocab *v = open_vocab("SmolLM2-135M-Instruct.Q4_1.gguf");
    error e = { 0 };
    token_list t = TOKEN_LIST_INIT(3);
    assert_ok(token_list_add(&t, 7, err));
    assert_int_equal(vocab_encode(v, "one two three four", 18, 0, &t, &e), E_RANGE);
    assert_int_equal(t.n, 1); /* as it was */
    assert_int_equal(t.ids[0], 7);
    assert_int_equal(vocab_encode(v, "", (size_t)VOCAB_MAX_TEXT + 1, 0, &t, &e), E_RANGE);
    static const char text[] = "Some words, \xff, and "
                               "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.";
    bool done = false;
    for (uint64_t k = 1; !done; k++) {
        token_list out = TOKEN_LIST_INIT(1000);
        mem_fail_at(k);
        status st = vocab_encode(v, text, strlen(text), 0, &out, &e);
        mem_fail_at(0);
        assert_true(st == OK || st == E_NOMEM || st == E_RANGE);
        assert_true(st == OK || out.n == 0);
        done = st == OK;
        assert_true(k < 100);
        token_list_clear(&out);
    }
    token_list_clear(&t);
    vocab_close(&v);
}

static void test_open_without_memory(void **state)
{
    (void)state;
    char path[4096];
    static const char *const files[] = { "ggml-vocab-llama-spm.gguf", "ggml-vocab-bert-bge.gguf",
                                         "ggml-vocab-gpt-2.gguf" };
    for (int f = 0; f < 3; f++) {
        snprintf(path, sizeof path, "%s/vocabs/%s", folder, files[f]);
        gguf *g = NULL;
        assert_ok(gguf_open(&g, path, err));
        bool done = false;
        for (uint64_t k = 1; !done; k++) {
            vocab *v = NULL;
            error e = { 0 };
            mem_fail_at(k);
            status st = vocab_open(&v, g, &e);
            mem_fail_at(0);
            assert_true(st == OK ? v != NULL : st == E_NOMEM && !v);
            done = st == OK;
            assert_true(k < 100);
            vocab_close(&v);
        }
        gguf_close(&g);
    }
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static double seconds_per_byte(const vocab *v, const char *text, size_t n)
{
    double best = 1e9;
    for (int i = 0; i < 3; i++) {
        struct timespec a, b;
        token_list t = TOKEN_LIST_INIT(1 << 24);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
        assert_ok(vocab_encode(v, text, n, 0, &t, err));
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        token_list_clear(&t);
        double s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9;
        best = s < best ? s : best;
    }
    return best / (double)n;
}

static size_t repeat(char *out, size_t max, const char *unit, size_t n_unit)
{
    size_t n = 0;
    for (; n + n_unit <= max; n += n_unit)
        memcpy(out + n, unit, n_unit);
    return n;
}

static void test_linear(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__ /* ten times slower, and one thread has no races */
    enum { SIZE = 1 << 18, LIMIT = 40 };
#else
    enum { SIZE = 1 << 20, LIMIT = 40 }; /* 8 is the goal; 13 where the caches make prose fast */
#endif
    enum { PART = 8, GROWTH = 4 }; /* a byte of a text PART times as long may cost GROWTH; quadratic is PART */
    static const char *const files[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf" };
    static const char *const units[] = { "a", " ", "\xf0\x9f\xa6\x99", "\xe6\xbc\xa2", "\n", "the", "'",
                                         "1", "ab", " x", "\xe2\x80\x8d", "\xff" };
    char *text = mem_alloc(SIZE + 1), *prose = mem_alloc(SIZE + 1);
    assert_non_null(text);
    assert_non_null(prose);
    FILE *f = fopen("/usr/share/common-licenses/GPL-3", "rb");
    size_t n_prose = f ? fread(prose, 1, SIZE, f) : 0;
    if (f)
        fclose(f);
    if (!n_prose)
        n_prose = repeat(prose, SIZE, "The quick brown fox jumps over the lazy dog, and nobody minds much. ", 68);
    for (int m = 0; m < 2; m++) {
        vocab *v = open_vocab(files[m]);
        double base = seconds_per_byte(v, prose, n_prose);
        printf("%s: prose %.1f MB/s;", files[m], 1e-6 / base);
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
            size_t n = repeat(text, SIZE, units[i], strlen(units[i]));
            double s = seconds_per_byte(v, text, n);
            printf(" %.1f", s / base);
            if (s > LIMIT * base)
                fail_msg("%zu bytes of '%s': %.1f times as long as prose", n, units[i], s / base);
            double part = seconds_per_byte(v, text, n / PART / strlen(units[i]) * strlen(units[i]));
            if (s > GROWTH * part)
                fail_msg("%zu bytes of '%s': a byte takes %.1f times as long as in a part", n, units[i], s / part);
        }
        printf(" times as long for adversarial text\n");
        vocab_close(&v);
    }
    mem_free(text);
    mem_free(prose);
}

int main(void)
{
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(folder, sizeof folder, "%s", cache ? cache : "build/cache");
    static const char *const need[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf",
                                        "vocabs/ggml-vocab-gpt-2.gguf" };
    for (size_t i = 0; i < ARRAY_LEN(need); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, need[i]);
        FILE *f = fopen(path, "rb");
        if (!f) {
            printf("%s is not there: it needs the network once (tools/fetch smollm2 gemma vocabs)\n", path);
            return 77;
        }
        fclose(f);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_bad_bytes), cmocka_unit_test(test_decoder),
        cmocka_unit_test(test_special),    cmocka_unit_test(test_ceilings),  cmocka_unit_test(test_open_without_memory),
        cmocka_unit_test(test_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
