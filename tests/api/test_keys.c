/* The ring of keys: who is found, what survives a reload, sets that are held while others replace them, and that no
 * failed allocation loses or changes anything. The headers' side and files: test_keys.py. */
#include "lib/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "api/keys.h"
#include "base/mem.h"

static config_key rows[] = {
    { .name = "a", .key_file = "", .key_env = "HEARTH_TEST_A", .default_class = PRIVACY_INTERNAL,
      .rate_per_second = 0.001, .burst = 2 },
    { .name = "b", .key_file = "", .key_env = "HEARTH_TEST_B", .default_class = PRIVACY_PUBLIC, .concurrency = 1 },
};

static const config both = { .keys = rows, .n_keys = 2 }, only_b = { .keys = rows + 1, .n_keys = 1 };
static const config none = { .n_keys = 0 };

static void who_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *authorization, *x_api_key, *name;
        key_answer answer;
    } cases[] = {
        { "Bearer alpha", NULL, "a", KEY_GOOD },      { NULL, "beta", "b", KEY_GOOD },
        { "BEARER  beta", NULL, "b", KEY_GOOD },      { "Bearer x", "beta", "b", KEY_GOOD },
        { "Bearer alpha", "alpha", "a", KEY_GOOD },   { "Bearer alpha", "beta", NULL, KEY_TWO },
        { NULL, NULL, NULL, KEY_MISSING },            { "Bearer ", "", NULL, KEY_MISSING },
        { "Basic alpha", NULL, NULL, KEY_MISSING },   { "Bearer alph", NULL, NULL, KEY_WRONG },
        { "Bearer alphaa", NULL, NULL, KEY_WRONG },   { NULL, "Bearer alpha", NULL, KEY_WRONG },
        { "Bearer alpha ", NULL, NULL, KEY_WRONG },
    };
    key_ring *r = NULL;
    const key *k;
    assert_ok(key_ring_open(&r, &both, err));
    keys *held = key_ring_hold(r);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (keys_find(held, cases[i].authorization, cases[i].x_api_key, &k) != cases[i].answer)
            fail_msg("case %zu", i);
        if (cases[i].answer == KEY_GOOD)
            assert_string_equal(key_name(k), cases[i].name);
    }
    key_ring_release(r, held);
    assert_ok(key_ring_reload(r, &none, err));
    held = key_ring_hold(r);
    assert_int_equal(keys_find(held, NULL, NULL, &k), KEY_GOOD); /* without keys, everybody */
    assert_string_equal(key_name(k), "loopback");
    key_ring_release(r, held);
    key_ring_close(&r);
    assert_null(r);
}

static limit_answer enter(key_ring *r, keys *held, const char *text, const key **k)
{
    double wait;
    assert_int_equal(keys_find(held, NULL, text, k), KEY_GOOD);
    return key_enter(r, *k, 1000000, &wait);
}

/* What a name has used goes on; a name that is gone and comes back begins anew. */
static void use_goes_on_across_reloads(void **state)
{
    (void)state;
    key_ring *r = NULL;
    const key *a, *b, *other;
    assert_ok(key_ring_open(&r, &both, err));
    keys *first = key_ring_hold(r);
    assert_int_equal(enter(r, first, "alpha", &a), LIMIT_GO);
    assert_int_equal(enter(r, first, "beta", &b), LIMIT_GO);
    assert_ok(key_ring_reload(r, &both, err));
    keys *second = key_ring_hold(r);
    assert_ptr_not_equal(first, second);
    assert_int_equal(enter(r, second, "beta", &other), LIMIT_TOO_MANY);
    key_leave(r, b); /* of the first set */
    assert_int_equal(enter(r, second, "beta", &other), LIMIT_GO);
    assert_int_equal(enter(r, second, "alpha", &other), LIMIT_GO);
    assert_int_equal(enter(r, second, "alpha", &other), LIMIT_TOO_OFTEN);
    key_ring_release(r, first);
    key_ring_release(r, second);
    assert_ok(key_ring_reload(r, &only_b, err));
    assert_ok(key_ring_reload(r, &both, err));
    second = key_ring_hold(r);
    assert_int_equal(enter(r, second, "alpha", &other), LIMIT_GO);
    assert_int_equal(enter(r, second, "beta", &other), LIMIT_TOO_MANY);
    key_ring_release(r, second);
    key_ring_close(&r);
}

static void a_set_that_cannot_be_read_changes_nothing(void **state)
{
    (void)state;
    config_key missing[] = { rows[1], { .name = "c", .key_file = "", .key_env = "HEARTH_TEST_NOT_THERE" } };
    const config bad = { .keys = missing, .n_keys = 2 };
    key_ring *r = NULL;
    const key *k;
    error e;
    assert_ok(key_ring_open(&r, &both, err));
    assert_int_equal(key_ring_reload(r, &bad, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "'c'"));
    for (uint64_t n = 1; n < 6; n++) {
        mem_fail_at(n);
        status s = key_ring_reload(r, &both, &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM);
        keys *held = key_ring_hold(r);
        assert_int_equal(keys_find(held, NULL, "alpha", &k), KEY_GOOD);
        key_ring_release(r, held);
    }
    key_ring_close(&r);
    for (uint64_t n = 1; n < 6; n++) {
        mem_fail_at(n);
        status s = key_ring_open(&r, &both, &e);
        mem_fail_at(0);
        assert_true(s ? s == E_NOMEM && !r : r != NULL);
        key_ring_close(&r);
    }
}

static key_ring *shared;
static atomic_bool over;
static atomic_int asked;

static void *ask(void *arg)
{
    const char *text = arg;
    while (!over) {
        const key *k;
        double wait;
        keys *held = key_ring_hold(shared);
        if (keys_find(held, NULL, text, &k) == KEY_GOOD && key_enter(shared, k, 1, &wait) == LIMIT_GO)
            key_leave(shared, k);
        asked++;
        key_ring_release(shared, held);
    }
    return NULL;
}

static void sets_change_under_those_who_ask(void **state)
{
    (void)state;
    pthread_t threads[3];
    static char texts[3][8] = { "alpha", "beta", "wrong" };
    const config *const turns[] = { &both, &only_b, &none };
    assert_ok(key_ring_open(&shared, &both, err));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, texts[i]), 0);
    for (int i = 0; i < 3000 || asked < 3000; i++)
        assert_ok(key_ring_reload(shared, turns[i % 3], err));
    over = true;
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    key_ring_close(&shared);
}

int main(void)
{
    setenv("HEARTH_TEST_A", "alpha", 1);
    setenv("HEARTH_TEST_B", " beta\n", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_found),
        cmocka_unit_test(use_goes_on_across_reloads),
        cmocka_unit_test(a_set_that_cannot_be_read_changes_nothing),
        cmocka_unit_test(sets_change_under_those_who_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
