/* Grammars as their users see them: what GBNF texts accept and refuse, how errors read, ends, copies, what is forced,
 * ceilings and hostile grammars, failing allocations; with real vocabularies, that the mask is exactly what accept
 * takes and how long it takes. */
#include "lib/check.h"
#include "lib/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "grammar/rules.h"
#include "token/vocab.h"

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* Every byte is a token, token 256 ends. */
static grammar_vocab *bytes_vocab(void)
{
    static char bytes[256];
    static span pieces[257];
    grammar_vocab *v = NULL;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        pieces[i] = (span){ bytes + i, 1 };
    }
    assert_ok(grammar_vocab_from(&v, pieces, 257, (const int32_t[]){ 256 }, 1, err));
    return v;
}

/* 'y': a whole text; 'p': the beginning of one; 'n': neither. */
static char judge(grammar *g, const grammar_vocab *v, const char *text, size_t n)
{
    grammar_state *s = NULL;
    assert_ok(grammar_state_open(&s, g, v, err));
    status st = grammar_state_accept_bytes(s, text, n, NULL);
    char out = st ? 'n' : grammar_state_may_end(s) ? 'y' : 'p';
    grammar_state_close(&s);
    return out;
}

/* ---- GBNF ---- */

static const char arithmetic[] = "root  ::= (expr \"=\" ws term \"\\n\")+\n"
                                 "expr  ::= term ([-+*/] term)*\n"
                                 "term  ::= ident | num | \"(\" ws expr \")\" ws\n"
                                 "ident ::= [a-z] [a-z0-9_]* ws # a name\n"
                                 "num   ::= [0-9]+ ws\n"
                                 "ws    ::= [ \\t\\n]*\n";

static const struct gbnf_row {
    const char *grammar, *yes[5], *begins[5], *no[5];
} gbnf_rows[] = {
    { "root ::= \"yes\" | \"no\"", { "yes", "no" }, { "", "y", "n" }, { "yesno", "Yes", " yes" } },
    { arithmetic, { "1+2=3\n", "(a_1 *2 )=7\n1=1\n" }, { "1+", "1+2=3", "((((" }, { "1+=", "=1", "a_=_\n" } },
    { "root ::= \"a\"{2,3} \"b\"{2} \"c\"{1,} \"d\"{0,1}", { "aabbc", "aaabbccd" }, { "aa", "aabb" },
      { "abbc", "aaaab" } },
    { "# first\n\nroot ::= x # second\n\nx ::= \"a\" |\n  \"b\" |\n\n  \"c\"\n", { "a", "b", "c" }, { "" },
      { "d", "ab" } },
    { "root ::= (\n  \"a\"\n  | \"b\"\n)* \"!\"", { "!", "abba!" }, { "ab" }, { "c!", "a!a" } },
    { "root ::= [^a-z\\n\\]]+ \"]\"", { "A]", "\xC3\xA9\xE6\x97\xA5]" }, { "A", "\xC3" },
      { "a", "]", "A\n", "\xC3]" } },
    { "root ::= .{3} \"\\x41\\u00e9\\U0001F600\\\"\\\\\"", { "\xC3\xA9 \nA\xC3\xA9\xF0\x9F\x98\x80\"\\" },
      { "abcA" }, { "abcd" } },
    { "root ::= [a\\-z-]+ | [\\[\\]]", { "a-z", "[", "]" }, { "" }, { "b", "[]" } },
    { "root ::= s s\ns ::= \"(\" s \")\" | \"\"", { "", "()", "(())()" }, { "(", "((" }, { ")", "())" } },
    { "root ::= a-b c_d\na-b ::= \"x\"\nc_d ::= \"y\"", { "xy" }, { "x" }, { "y" } },
    { "root ::= \"\\\"\" ( [^\"\\\\] | \"\\\\\" [\"\\\\/bfnrt] )* \"\\\"\" \" \"?", { "\"\"", "\"a\\n\" " },
      { "\"\\" }, { "\"\\q", "a" } },
    { "root ::= x{0,100000} \"y\"\nx ::= \"(\" x* \")\"", { "y", "()(())y" }, { "((" }, { "x", "())" } },
    { "root ::= a | b\r\na ::= \"1\"\r\nb ::= \"2\"\r\n", { "1", "2" }, { "" }, { "3" } },
};

static void test_gbnf(void **unused)
{
    (void)unused;
    grammar_vocab *v = bytes_vocab();
    for (size_t i = 0; i < ARRAY_LEN(gbnf_rows); i++) {
        const struct gbnf_row *row = &gbnf_rows[i];
        grammar *g = NULL;
        assert_ok(grammar_gbnf(&g, row->grammar, strlen(row->grammar), err));
        const char *const *lists[] = { row->yes, row->begins, row->no };
        for (int k = 0; k < 3; k++)
            for (int t = 0; t < 5 && lists[k][t]; t++)
                if (judge(g, v, lists[k][t], strlen(lists[k][t])) != "ypn"[k])
                    fail_msg("grammar %zu, '%s' should be %c", i, lists[k][t], "ypn"[k]);
        grammar_close(&g);
    }
    grammar_vocab_close(&v);
}

static void test_gbnf_errors(void **unused)
{
    (void)unused;
    static const struct {
        const char *grammar;
        status st;
        const char *says;
    } rows[] = {
        { "", E_FORMAT, "there is no rule 'root'" },
        { "a ::= \"x\"", E_FORMAT, "there is no rule 'root'" },
        { "root ::= a", E_FORMAT, "line 1, column 10: the rule 'a' is not defined" },
        { "root ::= \"a\"\nroot ::= \"b\"", E_FORMAT, "line 2, column 1: this rule is defined already" },
        { "root ::= \"a", E_FORMAT, "ends too early" },
        { "root ::= \"\\q\"", E_FORMAT, "line 1, column 11: this escape is not known" },
        { "root ::= [z-a]", E_FORMAT, "backwards" },
        { "root ::= []", E_FORMAT, "a class without characters" },
        { "root ::= (\"a\"", E_FORMAT, "without its )" },
        { "root ::= \"a\")", E_FORMAT, "the rule should end here" },
        { "root ::= * \"a\"", E_FORMAT, "this begins no item" },
        { "root = \"a\"", E_FORMAT, "::= is missing" },
        { "root ::= \"a\"{3,2}", E_FORMAT, "the wrong way round" },
        { "root ::= \"\\ud800\"", E_FORMAT, "no character's number" },
        { "root ::= root \"a\" | \"a\"", E_UNSUPPORTED, "left recursion: the rule 'root'" },
        { "root ::= a\na ::= b? c\nb ::= \"x\"\nc ::= d | \"z\"\nd ::= \"\" a", E_UNSUPPORTED, "left recursion" },
        { "root ::= \"a\" root", E_FORMAT, "no text at all" },
        { "root ::= <think> \"a\"", E_UNSUPPORTED, "tokens" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        grammar *g = NULL;
        error e = { OK, "" };
        assert_int_equal(grammar_gbnf(&g, rows[i].grammar, strlen(rows[i].grammar), &e), rows[i].st);
        assert_null(g);
        if (!strstr(e.text, rows[i].says))
            fail_msg("'%s' does not say '%s'", e.text, rows[i].says);
    }
}

static void test_json_object(void **unused)
{
    (void)unused;
    static const char *const yes[] = { "{}", "{ }", "{\"a\":1}",
                                       "{\"a\": [1, -2.5e+10,\n\t{\"b\":{}}], \"\\ud83d\\ude00\":null\n}" };
    static const char *const no[] = { "[]", "1", "{\"a\":01}", "{\"a\":1,}", "{a", "{  ", "{\"\n",
                                      "{\"\\ude00", "{}{" };
    static const char *const begins[] = { "", "{", "{\"a\":[[[[", "{\"a\":tru", "{\"\\ud83d" };
    grammar_vocab *v = bytes_vocab();
    grammar *g = NULL;
    assert_ok(grammar_json_object(&g, err));
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        assert_int_equal(judge(g, v, yes[i], strlen(yes[i])), 'y');
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_int_equal(judge(g, v, no[i], strlen(no[i])), 'n');
    for (size_t i = 0; i < ARRAY_LEN(begins); i++)
        assert_int_equal(judge(g, v, begins[i], strlen(begins[i])), 'p');
    grammar_close(&g);
    grammar_vocab_close(&v);
}

/* ---- states ---- */

static void test_ends(void **unused)
{
    (void)unused;
    grammar_vocab *v = bytes_vocab(), *other = bytes_vocab();
    grammar *g = NULL;
    grammar_state *s = NULL, *copy = NULL;
    const span choices[] = { { "red", 3 }, { "redder", 6 }, { "green", 5 } };
    const uint64_t *mask = NULL;
    buf forced = BUF_INIT(100);
    assert_ok(grammar_choice(&g, choices, 3, err));
    assert_ok(grammar_state_open(&s, g, v, err));
    assert_int_equal(grammar_state_open(&copy, g, other, NULL), E_EXISTS);
    assert_int_equal(grammar_state_accept(s, 256, NULL), E_FORMAT);
    assert_int_equal(grammar_state_accept(s, 257, NULL), E_FORMAT);
    assert_int_equal(grammar_state_accept(s, -1, NULL), E_FORMAT);
    assert_ok(grammar_state_accept(s, 'r', err));
    assert_ok(grammar_state_forced(s, 50, &forced, err));
    assert_string_equal(buf_text(&forced), "ed");
    assert_ok(grammar_state_accept_bytes(s, "ed", 2, err));
    assert_true(grammar_state_may_end(s) && !grammar_state_must_end(s));
    assert_ok(grammar_state_copy(&copy, s, err));
    assert_ok(grammar_state_accept(s, 256, err));
    assert_true(grammar_state_must_end(s));
    assert_ok(grammar_state_mask(s, &mask, err));
    for (size_t i = 0; i < grammar_vocab_words(v); i++)
        assert_true(mask[i] == 0);
    assert_int_equal(grammar_state_accept_bytes(copy, "dy", 2, NULL), E_FORMAT);
    assert_ok(grammar_state_accept_bytes(copy, "der", 3, err));
    assert_true(grammar_state_may_end(copy) && grammar_state_must_end(copy));
    grammar_state_rewind(s, grammar_state_steps(s));
    assert_true(grammar_state_allows(s, 'g') && grammar_state_allows(s, 'r') && !grammar_state_allows(s, 'e'));
    buf_reset(&forced);
    assert_ok(grammar_state_accept(s, 'g', err));
    assert_ok(grammar_state_forced(s, 2, &forced, err));
    assert_string_equal(buf_text(&forced), "re");
    buf_clear(&forced);
    grammar_state_close(&s);
    grammar_state_close(&copy);
    grammar_close(&g);
    grammar_vocab_close(&v);
    grammar_vocab_close(&other);
}

/* What a full memory makes a grammar forget comes back: a long text of ever new states, and a second state that was
 * left in its middle. */
static void test_forgetting(void **unused)
{
    (void)unused;
    static const char text[] = "root ::= \"(\" root \")\" | \"[\" root \"]\" | [a-z]{0,300000} \";\"";
    grammar_vocab *v = bytes_vocab();
    grammar *g = NULL;
    grammar_state *s = NULL, *other = NULL;
    assert_ok(grammar_gbnf(&g, text, strlen(text), err));
    assert_ok(grammar_state_open(&s, g, v, err));
    assert_ok(grammar_state_open(&other, g, v, err));
    assert_ok(grammar_state_accept_bytes(other, "([(", 3, err));
    size_t most = 0;
    status st = OK;
    for (int round = 0; round < 40 && !st; round++) {
        grammar_state_reset(s);
        for (int i = 0; i < 30000 && !st; i++) {
            const uint64_t *mask = NULL;
            st = grammar_state_accept(s, round % 2 ? "(["[rnd(2)] : i < 5 ? "(["[rnd(2)] : 'a' + (int)rnd(26), NULL);
            if (!st && i % 100 == 0)
                st = grammar_state_mask(s, &mask, NULL);
            most = grammar_bytes(g) > most ? grammar_bytes(g) : most;
        }
    }
    assert_int_equal(st, OK);
    assert_true(most <= GRAMMAR_MAX_BYTES);
    assert_true(grammar_state_allows(other, '[') && grammar_state_allows(other,
        ';') && !grammar_state_allows(other, ')'));
    assert_ok(grammar_state_accept_bytes(other, "x;)])", 5, err));
    assert_true(grammar_state_must_end(other));
    grammar_state_close(&s);
    grammar_state_close(&other);
    grammar_close(&g);
    grammar_vocab_close(&v);
}

/* Grammars that are meant to hurt: an answer or a clear error, and the grammar is usable afterwards. */
static void test_hostile(void **unused)
{
    (void)unused;
    static char chain[200000], wide[200000], nested[3000];
    size_t n = (size_t)sprintf(chain, "root ::= r0\n");
    for (int i = 0; i < 8000; i++)
        n += (size_t)sprintf(chain + n, "r%d ::= r%d\n", i, i + 1);
    sprintf(chain + n, "r8000 ::= \"a\"");
    n = (size_t)sprintf(wide, "root ::= \"x\"");
    for (int i = 0; i < 8000; i++)
        n += (size_t)sprintf(wide + n, " | \"a%d\" root", i);
    memset(nested, '(', sizeof nested - 1);
    memcpy(nested, "root ::= ", 9);
    const char *const texts[] = {
        chain, wide, nested,
        "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\" root \"d\" root | \"\"",
        "root ::= a* a* a* a* a* a* a* a*\na ::= \"a\" | \"aa\" | \"a\" a",
        "root ::= x x\nx ::= y y y\ny ::= z z z z\nz ::= (\"a\" z \"a\")? \"a\"",
        "root ::= ((((a{0,1000}){0,1000}){0,1000}){0,1000}){0,1000}\na ::= \"a\" | a2\na2 ::= \"aa\" root?",
        "root ::= e\ne ::= \"a\" e \"a\" | \"a\" e e | \"a\"",
    };
    grammar_vocab *v = bytes_vocab();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        grammar *g = NULL;
        grammar_state *s = NULL;
        error e = { OK, "" };
        double start = now_us();
        status st = grammar_gbnf(&g, texts[i], strlen(texts[i]), &e);
        if (!st)
            assert_ok(grammar_state_open(&s, g, v, err));
        int k = 0;
        for (; !st && k < 1000 && now_us() - start < 1e6; k++) {
            const uint64_t *mask = NULL;
            st = grammar_state_accept(s, 'a', &e);
            if (!st)
                st = grammar_state_mask(s, &mask, &e);
        }
        print_message("%7.1f ms, %4d letters: %.44s %s\n", (now_us() - start) / 1e3, k, texts[i], e.text);
        assert_true(st == OK || st == E_RANGE || st == E_FORMAT);
        if (s) {
            grammar_state_reset(s);
            assert_true(grammar_state_allows(s, 'a'));
            grammar_state_close(&s);
        }
        grammar_close(&g);
    }
    grammar_vocab_close(&v);
}

static status whole_life(error *err)
{
    static const char text[] = "root ::= \"{\" (pair (\",\" pair)*)? \"}\"\npair ::= string \":\" (string | root)\n"
                               "string ::= \"\\\"\" [^\"]* \"\\\"\"";
    static const span pieces[] = { { "{", 1 }, { "{\"", 2 }, { "a", 1 }, { "\":", 2 }, { "}", 1 }, { "", 0 } };
    static const int32_t tokens[] = { 1, 2, 3, 0, 4, 4 };
    grammar *g = NULL;
    grammar_vocab *v = NULL;
    grammar_state *s = NULL, *copy = NULL;
    const uint64_t *mask;
    status st = grammar_gbnf(&g, text, sizeof text - 1, err);
    if (!st)
        st = grammar_vocab_from(&v, pieces, 6, (const int32_t[]){ 5 }, 1, err);
    if (!st)
        st = grammar_state_open(&s, g, v, err);
    for (size_t i = 0; i < ARRAY_LEN(tokens) && !st; i++) {
        st = grammar_state_mask(s, &mask, err);
        if (!st)
            st = grammar_state_accept(s, tokens[i], err);
    }
    if (!st)
        st = grammar_state_copy(&copy, s, err);
    if (!st)
        st = grammar_state_accept(copy, 5, err);
    grammar_state_close(&s);
    grammar_state_close(&copy);
    grammar_close(&g);
    grammar_vocab_close(&v);
    return st;
}

static void test_without_memory(void **unused)
{
    (void)unused;
    error e;
    assert_int_equal(whole_life(&e), OK);
    for (uint64_t k = 1;; k++) {
        uint64_t before = mem_count();
        mem_fail_at(k);
        status st = whole_life(&e);
        bool failed = mem_count() - before >= k;
        mem_fail_at(0);
        if (!failed)
            break;
        if (st && st != E_NOMEM && st != E_RANGE) /* of buffers: the ceiling or the memory */
            fail_msg("allocation %llu: %s", (unsigned long long)k, e.text);
    }
}

/* ---- real vocabularies ---- */

static vocab *open_vocab(const char *name)
{
    char path[4096];
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(path, sizeof path, "%s/%s", cache ? cache : "build/cache", name);
    gguf *g = NULL;
    vocab *v = NULL;
    if (gguf_open(&g, path, NULL))
        return NULL;
    assert_ok(vocab_open(&v, g, err));
    gguf_close(&g);
    return v;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Random texts: at some places every token is tried against the mask; a drawn token is always one of the mask. */
static void random_texts(grammar *g, const grammar_vocab *v, int n_texts, const char *what)
{
    grammar_state *s = NULL;
    double *took = mem_array(100000, sizeof *took), first = 0;
    size_t n = 0;
    assert_ok(grammar_state_open(&s, g, v, err));
    for (int text = 0; text < n_texts; text++) {
        grammar_state_reset(s);
        for (int i = 0; i < 60; i++) {
            const uint64_t *mask = NULL;
            double start = now_us();
            assert_ok(grammar_state_mask(s, &mask, err));
            took[n++] = now_us() - start;
            first = n == 1 ? took[0] : first;
            size_t words = grammar_vocab_words(v), from = rnd((uint32_t)words);
            if (i % 20 == text % 20 && text < 3)
                for (int32_t t = 0; t < grammar_vocab_n_tokens(v); t++)
                    if (grammar_state_allows(s, t) != (mask[t / 64] >> t % 64 & 1))
                        fail_msg("%s: token %d: the mask says %d", what, t, (int)(mask[t / 64] >> t % 64 & 1));
            assert_ok(grammar_state_mask(s, &mask, err));
            size_t w = from;
            while (!mask[w] && (w = (w + 1) % words) != from)
                continue;
            if (!mask[w])
                break;
            assert_ok(grammar_state_accept(s, (int32_t)(w * 64) + __builtin_ctzll(mask[w]), err));
        }
    }
    qsort(took, n, sizeof *took, by_value);
    print_message("%-28s first %7.1f us, median %5.2f, p99 %7.1f, most %8.1f; %zu masks, %zu KB\n", what, first,
                  took[n / 2], took[n * 99 / 100], took[n - 1], n, grammar_bytes(g) / 1024);
    mem_free(took);
    grammar_state_close(&s);
}

static void test_real_vocabularies(void **unused)
{
    (void)unused;
    static const char *const names[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "vocabs/ggml-vocab-qwen2.gguf",
                                         "vocabs/ggml-vocab-llama-spm.gguf", "gemma-3-270m-q4_k_m.gguf" };
    static const char date[] = "[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]",
        words[] = "([A-Z][a-z]{1,12} ){2,8}\\p{L}{0,40}\\.";
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        vocab *v = open_vocab(names[i]);
        grammar_vocab *tokens = NULL;
        grammar *g = NULL;
        if (!v) {
            print_message("%s is not there (tools/fetch)\n", names[i]);
            continue;
        }
        double start = now_us();
        assert_ok(grammar_vocab_open(&tokens, v, err));
        print_message("%s: %d tokens sorted in %.0f ms, %zu KB\n", names[i], vocab_n_tokens(v),
            (now_us() - start) / 1e3,
                      grammar_vocab_bytes(tokens) / 1024);
        assert_ok(grammar_json_object(&g, err));
        random_texts(g, tokens, 30, "any object");
        grammar_close(&g);
        assert_ok(grammar_gbnf(&g, arithmetic, strlen(arithmetic), err));
        random_texts(g, tokens, 10, "arithmetic");
        grammar_close(&g);
        assert_ok(grammar_regex(&g, date, strlen(date), err));
        random_texts(g, tokens, 10, date);
        grammar_close(&g);
        assert_ok(grammar_regex(&g, words, strlen(words), err));
        random_texts(g, tokens, 10, words);
        grammar_close(&g);
        grammar_vocab_close(&tokens);
        vocab_close(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gbnf),       cmocka_unit_test(test_gbnf_errors), cmocka_unit_test(test_json_object),
        cmocka_unit_test(test_ends),       cmocka_unit_test(test_forgetting),  cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_without_memory), cmocka_unit_test(test_real_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
