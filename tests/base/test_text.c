/* Strings, UTF-8, buffers and errors: the small things that everything else leans on. */
#include "lib/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/str.h"
#include "base/utf8.h"

static void every_scalar_value_round_trips(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char b[4];
        uint32_t back = UINT32_MAX;
        size_t n = utf8_encode(c, b);
        assert_int_equal(utf8_decode(b, n, &back), n);
        assert_int_equal(back, c);
        for (size_t cut = 1; cut < n; cut++) {
            assert_int_equal(utf8_decode(b, cut, &back), 0);
            assert_int_equal(utf8_complete(b, cut), 0);
        }
        assert_int_equal(utf8_complete(b, n), n);
        assert_int_equal(utf8_count(b, n), 1);
    }
    assert_int_equal(utf8_count("na\xc3\xafve \xf0\x9f\xa6\x99", 11), 7);
    assert_int_equal(utf8_count("", 0), 0);
}

static void malformed_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "\x80", "\xFF", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                                       "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80",
                                       "\xF5\x80\x80\x80", "\xE2\x28\xA1" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(utf8_valid(bad[i], strlen(bad[i])));
        assert_int_equal(utf8_complete(bad[i], strlen(bad[i])), strlen(bad[i]));
    }
}

static void buffer_keeps_its_ceiling(void **state)
{
    (void)state;
    buf b = BUF_INIT(10);
    buf_str(&b, "12345");
    buf_printf(&b, "%05d", 7);
    error err;
    assert_int_equal(buf_ok(&b, "text", &err), OK);
    assert_string_equal(buf_text(&b), "1234500007");
    buf_char(&b, 'x');
    assert_int_equal(buf_ok(&b, "text", &err), E_RANGE);
    assert_non_null(strstr(err.text, "10 bytes"));
    assert_int_equal(b.len, 10);
    assert_null(buf_take(&b));
    buf_str(&b, "again");
    assert_int_equal(b.len, 5);
    buf_drop(&b, 2);
    char *taken = buf_take(&b);
    assert_string_equal(taken, "ain");
    mem_free(taken);
}

static void buffer_survives_a_failed_allocation(void **state)
{
    (void)state;
    buf b = BUF_INIT(1000);
    mem_fail_at(1);
    buf_str(&b, "lost");
    mem_fail_at(0);
    buf_str(&b, "later");
    assert_int_equal(buf_ok(&b, "text", NULL), E_RANGE);
    assert_string_equal(buf_text(&b), "");
    buf_clear(&b);
}

static void arena_has_a_ceiling(void **state)
{
    (void)state;
    arena a = ARENA_INIT(40000);
    assert_non_null(arena_alloc(&a, 39000));
    assert_null(arena_alloc(&a, 2000));
    assert_string_equal(arena_strndup(&a, "abcdef", 3), "abc");
    arena_clear(&a);
    assert_null(arena_alloc(&a, SIZE_MAX));
}

static void errors_are_cut_at_a_character(void **state)
{
    (void)state;
    char text[3000];
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xE2\x82\xAC", 4);
    for (size_t shift = 0; shift < 3; shift++) {
        error err;
        fail(&err, E_FORMAT, "%.*s%s", (int)shift, "xx", text);
        assert_true(utf8_valid(err.text, strlen(err.text)));
        assert_true(strlen(err.text) > ERROR_TEXT_BYTES - 8);
    }
}

static void nearest_name_is_found_or_not(void **state)
{
    (void)state;
    static const char *const names[] = { "privacy", "prompt", "messages", "graders" };
    assert_string_equal(str_nearest("promt", names, 4, sizeof *names), "prompt");
    assert_string_equal(str_nearest("grader", names, 4, sizeof *names), "graders");
    assert_string_equal(str_nearest("pirvacy", names, 4, sizeof *names), "privacy");
    assert_null(str_nearest("zzz", names, 4, sizeof *names));
    assert_int_equal(str_distance("", "abc"), 3);
    assert_int_equal(str_distance("abcd", "acbd"), 1);
}

static void numbers_are_whole_texts(void **state)
{
    (void)state;
    uint64_t u = 7;
    int64_t i = 7;
    double d = 7;
    assert_true(str_u64("18446744073709551615", &u) && u == UINT64_MAX);
    assert_false(str_u64("18446744073709551616", &u));
    assert_false(str_u64("-1", &u));
    assert_true(str_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_false(str_i64("12x", &i));
    assert_true(str_f64("1e3", &d) && d > 999 && d < 1001);
    assert_false(str_f64("nan", &d));
    assert_true(str_bytes("1.5GiB", &u) && u == 1610612736);
    assert_true(str_bytes("4096", &u) && u == 4096);
    assert_false(str_bytes("12Q", &u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_value_round_trips),
        cmocka_unit_test(malformed_utf8_is_refused),
        cmocka_unit_test(buffer_keeps_its_ceiling),
        cmocka_unit_test(buffer_survives_a_failed_allocation),
        cmocka_unit_test(arena_has_a_ceiling),
        cmocka_unit_test(errors_are_cut_at_a_character),
        cmocka_unit_test(nearest_name_is_found_or_not),
        cmocka_unit_test(numbers_are_whole_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
