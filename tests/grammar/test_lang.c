/* Regular languages: random expressions with boolean operations against the same operations on sets of short texts;
 * classes against every code point; JSON strings against base/js; hostile expressions; failing allocations.
 * With --serve it matches for test_regex.py: u32 whole, u32 n, pattern, u32 m, text; the answer is u32 0, 1, or
 * 2 + status. */
#include "lib/check.h"
#include "lib/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/lang.h"

/* ---- texts of up to 5 letters a, b, c as numbers: 1 + 3 + 9 + ... + 243 of them, a set is a bitmap ---- */

enum { LONGEST = 5, N_TEXTS = 364 };
static char texts[N_TEXTS][LONGEST + 1];
static int lengths[N_TEXTS];

typedef struct set {
    bool has[N_TEXTS];
} set;

static int index_of(const char *p, int n)
{
    int first = 0, at = 0;
    for (int i = 0, power = 1; i < n; i++, power *= 3)
        first += power;
    for (int i = 0; i < n; i++)
        at = at * 3 + (p[i] - 'a');
    return first + at;
}

static void make_texts(void)
{
    for (int n = 0, at = 0, count = 1; n <= LONGEST; n++, count *= 3)
        for (int i = 0; i < count; i++, at++) {
            lengths[at] = n;
            for (int k = n - 1, x = i; k >= 0; k--, x /= 3)
                texts[at][k] = (char)('a' + x % 3);
        }
}

static void cat_sets(const set *a, const set *b, set *out)
{
    set r = { { false } };
    for (int i = 0; i < N_TEXTS; i++)
        for (int k = 0; k <= lengths[i] && !r.has[i]; k++)
            r.has[i] = a->has[index_of(texts[i], k)] && b->has[index_of(texts[i] + k, lengths[i] - k)];
    *out = r;
}

/* A random expression as lang and as set. */
static lang draw(lang_set *s, int depth, set *out)
{
    set a, b, r = { { false } };
    lang x, y;
    uint32_t what = depth ? rnd(9) : 0;
    switch (what) {
    case 1:
    case 2:
        x = draw(s, depth - 1, &a);
        y = draw(s, depth - 1, &b);
        cat_sets(&a, &b, out);
        return lang_seq(s, x, y);
    case 3:
    case 4:
    case 5:
        x = draw(s, depth - 1, &a);
        y = draw(s, depth - 1, &b);
        for (int i = 0; i < N_TEXTS; i++)
            r.has[i] = what == 5 ? a.has[i] && b.has[i] : a.has[i] || b.has[i];
        *out = r;
        return what == 5 ? lang_and(s, x, y) : lang_alt(s, x, y);
    case 6:
        x = draw(s, depth - 1, &a);
        for (int i = 0; i < N_TEXTS; i++)
            out->has[i] = !a.has[i];
        return lang_not(s, x);
    case 7:
    case 8: {
        uint32_t lo = rnd(3), hi = rnd(2) ? lo + rnd(3) : LANG_UNBOUNDED;
        x = draw(s, depth - 1, &a);
        set power = { { true } }; /* only the empty text */
        for (uint32_t i = 0; i <= hi && i <= lo + LONGEST + 1; i++) {
            for (int k = 0; i >= lo && k < N_TEXTS; k++)
                r.has[k] = r.has[k] || power.has[k];
            cat_sets(&power, &a, &power);
        }
        *out = r;
        return lang_repeat(s, x, lo, hi);
    }
    default:
        if (rnd(8) == 0) {
            *out = (set){ { true } };
            return LANG_EMPTY;
        }
        uint64_t bits[4] = { 0 };
        for (char c = 'a'; c <= 'c'; c++)
            if (rnd(2)) {
                bits[1] |= (uint64_t)1 << (c - 64);
                r.has[index_of(&c, 1)] = true;
            }
        *out = r;
        return lang_bytes(s, bits);
    }
}

static void test_operations(void **unused)
{
    (void)unused;
    make_texts();
    for (int round = 0; round < 500; round++) {
        lang_set *s = NULL;
        set a, b;
        assert_ok(lang_set_open(&s, err));
        lang x = draw(s, 4, &a), y = draw(s, 3, &b);
        bool any = false, both = false, in = true;
        for (int i = 0; i < N_TEXTS; i++) {
            assert_int_equal(lang_matches(s, x, texts[i], (size_t)lengths[i]), a.has[i]);
            any = any || a.has[i];
            both = both || (a.has[i] && b.has[i]);
            in = in && (!b.has[i] || a.has[i]);
        }
        if (any) /* of longer texts the sets know nothing */
            assert_false(lang_is_none(s, x));
        if (both)
            assert_false(lang_disjoint(s, x, y));
        if (!in)
            assert_false(lang_includes(s, x, y));
        lang both_ways = lang_alt(s, lang_and(s, x, lang_not(s, y)), lang_and(s, y, lang_not(s, x)));
        assert_true(lang_is_none(s, both_ways) == (lang_includes(s, x, y) && lang_includes(s, y, x)));
        assert_true(lang_includes(s, lang_alt(s, x, y), x));
        assert_true(lang_disjoint(s, x, lang_not(s, x)));
        assert_true(lang_is_none(s, lang_and(s, lang_not(s, x), lang_and(s, x, y))));
        assert_ok(lang_ok(s, err));
        lang_set_close(&s);
    }
}

static void test_classes(void **unused)
{
    (void)unused;
    for (int round = 0; round < 12; round++) {
        lang_set *s = NULL;
        lang_range r[5];
        bool negated = rnd(2);
        assert_ok(lang_set_open(&s, err));
        for (size_t i = 0; i < 5; i++) {
            static const uint32_t around[] = { 0x20, 0x7F, 0x7FF, 0x800, 0xD7F0, 0xE000, 0xFFFF, 0x10000,
                0x10FF00 };
            uint32_t first = around[rnd(ARRAY_LEN(around))] + rnd(0x100);
            r[i] = (lang_range){ first, first + rnd(round < 6 ? 8 : 0x8000) };
        }
        lang l = lang_class(s, r, 5, negated);
        for (uint32_t c = 0; c <= 0x10FFFF; c++) {
            char p[4];
            bool in = false;
            if (c == 0xD800)
                c = 0xE000;
            for (size_t i = 0; i < 5; i++)
                in = in || (c >= r[i].first && c <= r[i].last);
            if (lang_matches(s, l, p, utf8_encode(c, p)) != (in != negated))
                fail_msg("U+%04X is %d", c, !(in != negated));
        }
        assert_true(lang_includes(s, lang_char(s), l));
        assert_false(lang_includes(s, l, lang_char(s)));
        lang_set_close(&s);
    }
}

/* Of bytes exactly what is valid UTF-8 is text: no overlong forms, no surrogates, in any class. */
static void test_utf8(void **unused)
{
    (void)unused;
    lang_set *s = NULL;
    const lang_range some = { '0', 0x7FF };
    assert_ok(lang_set_open(&s, err));
    lang any = lang_any_text(s), one = lang_class(s, &some, 1, false);
    for (uint32_t i = 0; i < 1u << 21; i++) {
        char p[4] = { (char)(0xC0 | i >> 15), (char)(i >> 7), (char)(i * 2 + i % 2), (char)(0x80 | i % 77) };
        size_t n = i % 16 ? 2 + i % 2 : 4;
        if (lang_matches(s, any, p, n) != utf8_valid(p, n))
            fail_msg("%02x %02x %02x, %zu bytes", p[0] & 255, p[1] & 255, p[2] & 255, n);
        if (i % 16 < 4 && lang_matches(s, one, p, n) != (n == 2 && utf8_valid(p, n)))
            fail_msg("%02x %02x %02x, %zu bytes of a class", p[0] & 255, p[1] & 255, p[2] & 255, n);
    }
    lang_set_close(&s);
}

/* Strings as base/js writes them are in the language exactly if their value is; so are looser spellings, if wanted. */
static void test_json_strings(void **unused)
{
    (void)unused;
    static const char *const patterns[] = { "^[a-z\"\\\\]*$", "\\n|\\t", "^.{2,4}$", "^(?!x)[^a-f]*$", "", "/",
        "é+$" };
    static const char *const values[] = { "", "a", "a\"b\\", "x\ny", "/", "é", "éé/", "x", "\x01", "\x1F?",
        "q\t", "日本" };
    static const struct { const char *json; bool canonical; } spellings[] = {
        { "\"\\/\"", false }, { "\"\\u002f\"", false }, { "\"\\u000A\"", false }, { "\"\\n\"", true },
        { "\"\\u0001\"", true }, { "\"\\u001F\"", false }, { "\"\\u001f\"", true }, { "\"\\u0022\"", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        lang_set *s = NULL;
        lang l = LANG_NONE;
        assert_ok(lang_set_open(&s, err));
        assert_ok(lang_regex(s, patterns[i], strlen(patterns[i]), LANG_SEARCH, &l, err));
        lang strict = lang_json_string(s, l, LANG_JSON_CANONICAL), loose = lang_json_string(s, l, LANG_JSON_LOOSE);
        for (size_t k = 0; k < ARRAY_LEN(values); k++) {
            buf out = BUF_INIT(1000);
            js_write_string(&out, values[k], strlen(values[k]));
            bool want = lang_matches(s, l, values[k], strlen(values[k]));
            assert_int_equal(lang_matches(s, strict, out.data, out.len), want);
            assert_int_equal(lang_matches(s, loose, out.data, out.len), want);
            buf_clear(&out);
        }
        for (size_t k = 0; k < ARRAY_LEN(spellings); k++) {
            js *v = NULL;
            const char *json = spellings[k].json;
            assert_ok(js_parse(&v, json, strlen(json), "a test", 1, err));
            bool want = lang_matches(s, l, js_text(v), js_len(v));
            assert_int_equal(lang_matches(s, loose, json, strlen(json)), want);
            assert_int_equal(lang_matches(s, strict, json, strlen(json)), want && spellings[k].canonical);
            js_free(v);
        }
        assert_true(lang_includes(s, loose, strict));
        assert_true(lang_is_none(s, lang_and(s, strict, lang_json_string(s, lang_not(s, l), LANG_JSON_CANONICAL))));
        assert_ok(lang_ok(s, err));
        lang_set_close(&s);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What is meant to hurt: an answer or a clear error, soon. */
static void test_hostile(void **unused)
{
    (void)unused;
    static char nested[4000], wide[60000];
    memset(nested, '(', 2000);
    memset(nested + 2000, ')', 1999);
    for (size_t i = 0; i + 30 < sizeof wide; i += 20)
        memcpy(wide + i, "(a?|b?|c{0,99}|d*)?  ", 20);
    const char *const patterns[] = {
        "^(a+)+$", "(a|a)*b", "^(a|b)*a(a|b){18}$", "^((a{0,1000}){0,1000}){0,1000}$", "^(.*a){30}", nested, wide,
        "^(((a(?=b)){0,64}){0,64}){0,64}", "^(?!(a|b)*a(a|b){16}$)(a|b)*b(a|b){16}$",
            "\\p{L}{1,1000000}\\p{N}{0,9}",
        "^(?:a?){1000}a{1000}$", "((((((((a*)*)*)*)*)*)*)*)*b", "(x+x+)+y", "^([a-z]+ ?)+[0-9]{999999}$",
    };
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        lang_set *s = NULL;
        lang l = LANG_NONE;
        error e = { OK, "" };
        assert_ok(lang_set_open(&s, err));
        double start = seconds();
        status st = lang_regex(s, patterns[i], strlen(patterns[i]), LANG_SEARCH, &l, &e);
        char text[3000];
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = "ab"[rnd(2)];
        if (!st) {
            (void)lang_matches(s, l, text, sizeof text);
            (void)lang_is_none(s, l);
            st = lang_ok(s, &e);
        }
        if (st && st != E_RANGE && st != E_UNSUPPORTED)
            fail_msg("%s", e.text);
        double took = seconds() - start;
        if (took > 3.0) /* most take a millisecond; sanitizers and a busy machine are slow */
            fail_msg("%.40s took %.2f s", patterns[i], took);
        print_message("%5.1f ms %-40.40s %s\n", took * 1e3, patterns[i], st ? e.text : "");
        lang_set_close(&s);
    }
}

static void test_without_memory(void **unused)
{
    (void)unused;
    static const char pattern[] = "^(?=.*\\p{Lu})([a-zé]|\\d{2,3}|[^x-z]*)+(foo|bar)?$";
    for (uint64_t k = 1;; k++) {
        lang_set *s = NULL;
        lang l = LANG_NONE;
        error e = { OK, "" };
        mem_fail_at(k);
        uint64_t before = mem_count();
        status st = lang_set_open(&s, &e);
        if (!st)
            st = lang_regex(s, pattern, strlen(pattern), LANG_WHOLE, &l, &e);
        if (!st) {
            lang text = lang_json_string(s, lang_not(s, l), LANG_JSON_LOOSE);
            (void)lang_matches(s, text, "\"Abc12\"", 7);
            (void)lang_row(s, text);
            (void)lang_is_none(s, lang_and(s, text, l));
            st = lang_ok(s, &e);
        }
        bool failed = mem_count() - before >= k;
        mem_fail_at(0);
        lang_set_close(&s);
        if (!failed)
            break;
        assert_int_equal(st, E_NOMEM);
    }
}

static int serve(void)
{
    uint32_t head[2], m;
    while (fread(head, 4, 2, stdin) == 2) {
        char *pattern = mem_alloc(head[1] + 1);
        if (fread(pattern, 1, head[1], stdin) != head[1] || fread(&m, 4, 1, stdin) != 1)
            return 1;
        lang_set *s = NULL;
        lang l = LANG_NONE;
        error e;
        char *text = mem_alloc(m + 1);
        if (fread(text, 1, m, stdin) != m || lang_set_open(&s, &e))
            return 1;
        status st = lang_regex(s, pattern, head[1], head[0] ? LANG_WHOLE : LANG_SEARCH, &l, &e);
        uint32_t answer = st ? 2 + (uint32_t)st : lang_matches(s, l, text, m);
        st = lang_ok(s, &e);
        answer = answer < 2 && st ? 2 + (uint32_t)st : answer;
        fwrite(&answer, 4, 1, stdout);
        fflush(stdout);
        lang_set_close(&s);
        mem_free(pattern);
        mem_free(text);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--serve"))
        return serve();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operations),   cmocka_unit_test(test_classes), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_json_strings), cmocka_unit_test(test_hostile), cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
