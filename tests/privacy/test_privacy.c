/* Every class and place, also those that are none. */
#include "lib/check.h"

#include <string.h>

#include "privacy/privacy.h"

static void the_whole_table(void **state)
{
    (void)state;
    static const struct {
        privacy_class c;
        bool local, on_premises, remote, text;
    } rows[] = {
        { PRIVACY_PUBLIC, true, true, true, true },
        { PRIVACY_INTERNAL, true, true, false, true },
        { PRIVACY_PRIVATE, true, false, false, true },
        { PRIVACY_SECRET, true, false, false, false },
        { (privacy_class)4, true, false, false, false },
        { (privacy_class)250, true, false, false, false },
        { (privacy_class)-1, true, false, false, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(privacy_allows(rows[i].c, PRIVACY_LOCAL), rows[i].local);
        assert_int_equal(privacy_allows(rows[i].c, PRIVACY_ON_PREMISES), rows[i].on_premises);
        assert_int_equal(privacy_allows(rows[i].c, PRIVACY_REMOTE), rows[i].remote);
        assert_int_equal(privacy_keeps_text(rows[i].c), rows[i].text);
    }
    for (int c = PRIVACY_INTERNAL; c <= PRIVACY_SECRET; c++)
        for (int p = 3; p < 300; p++) /* a place that is none is the farthest */
            assert_false(privacy_allows((privacy_class)c, (privacy_place)p));
}

static void unknown_words_are_the_cautious_ones(void **state)
{
    (void)state;
    assert_int_equal(privacy_place_of("local"), PRIVACY_LOCAL);
    assert_int_equal(privacy_place_of("on-premises"), PRIVACY_ON_PREMISES);
    assert_int_equal(privacy_place_of("Local"), PRIVACY_REMOTE);
    assert_int_equal(privacy_place_of(NULL), PRIVACY_REMOTE);
    const char *known[] = { "public", "internal" }, *odd[] = { "public", "publik" }, *none[] = { "public", NULL };
    const char *high[] = { "secret", "nonsense" };
    assert_int_equal(privacy_join(known, 2), PRIVACY_INTERNAL);
    assert_int_equal(privacy_join(odd, 2), PRIVACY_PRIVATE);
    assert_int_equal(privacy_join(none, 2), PRIVACY_PRIVATE);
    assert_int_equal(privacy_join(high, 2), PRIVACY_SECRET);
    assert_int_equal(privacy_join(NULL, 0), PRIVACY_PRIVATE);
}

static void a_refusal_is_a_sentence_that_names_both(void **state)
{
    (void)state;
    error e = { 0 };
    assert_int_equal(privacy_check_measure("task pii", PRIVACY_PRIVATE, false, "cloud", PRIVACY_REMOTE, &e), E_DENIED);
    assert_non_null(strstr(e.text, "task pii is private and cloud is remote"));
    assert_non_null(strstr(e.text, "Nothing was sent"));
    assert_ok(privacy_check_measure("task pii", PRIVACY_SECRET, true, "cloud", PRIVACY_REMOTE, err));
    assert_ok(privacy_check_measure("task pii", PRIVACY_SECRET, false, "small", PRIVACY_LOCAL, err));
    assert_int_equal(privacy_check_measure("t", PRIVACY_INTERNAL, false, "c", PRIVACY_REMOTE, NULL), E_DENIED);
    assert_ok(privacy_check_measure("t", PRIVACY_INTERNAL, false, "c", PRIVACY_ON_PREMISES, err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_table),
        cmocka_unit_test(unknown_words_are_the_cautious_ones),
        cmocka_unit_test(a_refusal_is_a_sentence_that_names_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
