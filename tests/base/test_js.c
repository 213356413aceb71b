/* JSON: what must be refused, that numbers keep their text, and that canonical form is one form a value. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/utf8.h"

static char written[4096];

static const char *rewritten(const char *text, enum js_style style)
{
    js *v = NULL;
    error e = { 0 };
    if (js_parse(&v, text, strlen(text), "t", 1, &e))
        return "ERROR";
    buf b = BUF_INIT(sizeof written - 1);
    js_write(v, style, &b);
    memcpy(written, buf_text(&b), b.len + 1);
    buf_clear(&b);
    js_free(v);
    return written;
}

static void numbers_keep_their_text(void **state)
{
    (void)state;
    static const char *const same[] = {
        "[0.1,18446744073709551616,1e400,-0,-0.0,1.10,1E5,123456789012345678901234567890]",
        "{\"b\":1,\"a\":[true,false,null,\"x\"]}", "\"\"", "0", "\"\\u0001\"", "\"\\u00011\"", "\"\\u0002\\u0001\"",
        "{\"\\u0001\":1,\"\\u0002\\u0001\":\"\\u0001\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(same); i++)
        assert_string_equal(rewritten(same[i], JS_COMPACT), same[i]);
}

static void canonical_form_is_one_form(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "{\"b\": 1.0, \"a\": 1e2}", "{\"a\":100,\"b\":1}" },
        { "[ 0.10, 1E-7 , -0.0, 5e-1 ]", "[0.1,1e-07,0,0.5]" },
        { "\"\\u00e9\\/\"", "\"\xC3\xA9/\"" },
        { "[9007199254740993, 1e400]", "[9007199254740993,1e400]" },
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        assert_string_equal(rewritten(pairs[i][0], JS_CANONICAL), pairs[i][1]);
}

static void strangers_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "[1,]", "{\"a\":1,\"a\":2}", "01", "1.", ".5", "+1", "[1 2]", "{a:1}", "nul", "\"\xFF\"", "\"\\ud800\"",
        "[1]x", "\"a", "{\"a\"", "1.2.3", "[1.2.3]", "-", "[--1]", "\"\n\"", "NaN", "[Infinity]", "'a'", "1e", "{1:2}",
        "[\"\\u0001", "\"\x01\"", "\"\\q\xFF\xFE", "\"\\u00\xE2\x82", "[\xE2\x82\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        js *v = NULL;
        error e;
        if (js_parse(&v, bad[i], strlen(bad[i]), "case", 7, &e) != E_FORMAT)
            fail_msg("'%s' was accepted", bad[i]);
        assert_null(v);
        assert_non_null(strstr(e.text, "case:7"));
        assert_true(utf8_valid(e.text, strlen(e.text)));
    }
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 200);
    js *v = NULL;
    assert_int_equal(js_parse(&v, deep, sizeof deep, "deep", 1, NULL), E_RANGE);
}

static void lines_are_counted_from_the_file(void **state)
{
    (void)state;
    js *v = NULL;
    error e;
    const char *text = "{\n \"a\": 1,\n \"b\": x\n}";
    assert_int_equal(js_parse(&v, text, strlen(text), "f.json", 1, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "f.json:3"));
}

static void getters_are_typed(void **state)
{
    (void)state;
    js *v = NULL;
    const char *text = "{\"i\":1e3,\"f\":1.5,\"s\":\"a\\u0000b\",\"big\":9223372036854775808,\"b\":true,"
                       "\"m\":\"\\u00015\",\"\\u00012\" : 7}";
    assert_ok(js_parse(&v, text, strlen(text), "t", 1, err));
    int64_t i = 0;
    double d = 0;
    assert_true(js_int(js_get(v, "i"), &i) && i == 1000);
    assert_false(js_int(js_get(v, "f"), &i));
    assert_false(js_int(js_get(v, "big"), &i));
    assert_true(js_double(js_get(v, "big"), &d) && d > 9.2e18);
    assert_false(js_double(js_get(v, "s"), &d));
    assert_int_equal(js_len(js_get(v, "s")), 3);
    assert_memory_equal(js_text(js_get(v, "s")), "a\0b", 4);
    assert_true(js_bool(js_get(v, "b"), false));
    assert_null(js_get(js_get(v, "nothing"), "x"));
    assert_true(js_is(js_get(v, "m"), JS_STRING)); /* a string cannot pass for a number */
    assert_int_equal(js_len(js_get(v, "m")), 2);
    assert_true(js_int(js_get(v, "\x01" "2"), &i) && i == 7); /* a name is what it is */
    js_free(v);
}

static void unknown_keys_name_the_nearest(void **state)
{
    (void)state;
    static const char *const names[] = { "input", "expected", "tags" };
    js *v = NULL;
    assert_ok(js_parse(&v, "{\"input\":1,\"expectd\":2}", 23, "t", 1, err));
    error e;
    assert_int_equal(js_known_keys(v, names, 3, "cases.jsonl:4", &e), E_FORMAT);
    assert_string_equal(e.text, "cases.jsonl:4: unknown key 'expectd' (did you mean 'expected'?)");
    js_free(v);
}

static void doubles_read_back_exactly(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 100000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        double d;
        memcpy(&d, &seed, sizeof d);
        if (!(d - d == 0))
            continue;
        js *v = js_new_double(d);
        assert_true(strtod(js_text(v), NULL) == d);
        js_free(v);
    }
    js *tenth = js_new_double(0.1);
    assert_string_equal(js_text(tenth), "0.1");
    js_free(tenth);
    js *whole = js_new_double(5000);
    assert_string_equal(js_text(whole), "5000");
    js_free(whole);
}

static void built_trees_equal_parsed_ones(void **state)
{
    (void)state;
    js *o = js_object(), *list = js_array(), *parsed = NULL;
    assert_true(js_push(list, js_new_int(-5)) && js_push(list, js_new_double(2.5)) && js_push(list, js_null()));
    assert_true(js_set(o, "list", list) && js_set(o, "s", js_new_stringn("a\xFFz", 3)));
    const char *text = "{\"s\":\"a\xEF\xBF\xBDz\",\"list\":[-5.0,2.50,null]}";
    assert_ok(js_parse(&parsed, text, strlen(text), "t", 1, err));
    assert_true(js_equal(o, parsed));
    assert_true(js_set(o, "s", js_new_bool(true)));
    assert_false(js_equal(o, parsed));
    js_free(o);
    js_free(parsed);
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1,2,{\"b\":\"longer than the first piece of memory for a string\"}],\"d\":1.5}";
    js *whole = NULL;
    assert_ok(js_parse(&whole, text, strlen(text), "t", 1, err));
    for (uint64_t n = 1; n < 60; n++) {
        js *v = NULL;
        mem_fail_at(n);
        status s = js_parse(&v, text, strlen(text), "t", 1, NULL);
        mem_fail_at(0);
        assert_true(s == OK ? js_equal(v, whole) : s == E_NOMEM && v == NULL); /* never a part of it */
        js_free(v);
    }
    js_free(whole);
}

/* What this process may write to now, in bytes: VmData of /proc. */
static size_t data_bytes(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "VmData: %lu kB", &kib) != 1)
        ;
    if (f)
        fclose(f);
    return (size_t)kib * 1024;
}

/* How a child ends that reads the text with `more` bytes of memory: 0 read, 1 refused, else wrong or dead. */
static int end_of_reading(size_t more, const char *text, size_t n)
{
    int how = -1;
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = { data_bytes() + more, data_bytes() + more };
        js *o = NULL;
        status s = setrlimit(RLIMIT_DATA, &limit) ? E_IO : js_parse(&o, text, n, "x", 1, NULL);
        bool whole = s == OK && js_len(js_get(o, "text")) == n - 13;
        js_free(o);
        _exit(s == E_NOMEM ? 1 : whole ? 0 : 2);
    }
    assert_true(child > 0 && waitpid(child, &how, 0) == child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : 99;
}

/* Where memory ends in the middle of a string the parser goes on without its end, and writes beyond what it has. */
static void a_long_string_is_read_whole_or_refused(void **state)
{
    (void)state;
    enum { N = 3 << 20, STEP = 256 << 10 };
    char *text = mem_alloc(N);
    int ends[2] = { 0 };
    memcpy(text, "{\"text\":\"", 9);
    memset(text + 9, 'a', N - 9);
    memcpy(text + N - 5, "\"  }", 4);
    for (size_t more = 0; more < 64 << 20 && !ends[0]; more += STEP) {
        int end = end_of_reading(more, text, N - 1);
        if (end > 1)
            fail_msg("with %zu KiB more: %d", more >> 10, end);
        ends[end]++;
    }
    mem_free(text);
    assert_true(ends[0] && ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keep_their_text),      cmocka_unit_test(canonical_form_is_one_form),
        cmocka_unit_test(strangers_are_refused),        cmocka_unit_test(lines_are_counted_from_the_file),
        cmocka_unit_test(getters_are_typed),            cmocka_unit_test(unknown_keys_name_the_nearest),
        cmocka_unit_test(doubles_read_back_exactly),    cmocka_unit_test(built_trees_equal_parsed_ones),
        cmocka_unit_test(every_failed_allocation_is_survived),
        cmocka_unit_test(a_long_string_is_read_whole_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
