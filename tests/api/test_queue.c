/* Whose turn it is, without a clock: turns of askers, priorities, limits, and that one who asks again does not starve
 * one who has many waiting. */
#include "lib/check.h"

#include <string.h>

#include "api/queue.h"

/* Serves everybody; the askers' first letters in order. */
static void order(queue *q, char *out)
{
    while (queue_next(q)) {
        queue_ticket *t = (queue_ticket *)(uintptr_t)queue_next(q);
        *out++ = t->asker[0];
        queue_serve(q, t);
    }
    *out = 0;
    assert_int_equal(q->n, 0);
}

static void askers_take_turns(void **state)
{
    (void)state;
    queue q = { .max = 16, .share = 16 };
    queue_ticket t[7] = { { .asker = "a" }, { .asker = "a" }, { .asker = "a" }, { .asker = "a" },
                          { .asker = "b" }, { .asker = "b" }, { .asker = "c" } };
    char said[16];
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(queue_push(&q, &t[i]), QUEUE_WAITS);
    assert_ptr_equal(queue_next(&q), &t[0]);
    assert_true(queue_leave(&q, &t[0])); /* a's second is its first now, and late: its turn is the second */
    assert_false(queue_leave(&q, &t[0]));
    order(&q, said);
    assert_string_equal(said, "bcabaa");
}

static void asking_again_is_no_way_past(void **state)
{
    (void)state;
    queue q = { .max = 16, .share = 16 };
    queue_ticket many[4] = { { .asker = "a" }, { .asker = "a" }, { .asker = "a" }, { .asker = "a" } };
    queue_ticket b = { .asker = "b" };
    for (size_t i = 0; i < 4; i++)
        queue_push(&q, &many[i]);
    size_t served = 0;
    queue_push(&q, &b);
    for (size_t i = 0; i < 8; i++) {
        queue_ticket *t = (queue_ticket *)(uintptr_t)queue_next(&q);
        served += t != &b;
        queue_serve(&q, t);
        if (t == &b)
            queue_push(&q, &b); /* at once */
    }
    assert_int_equal(served, 4);
}

static void priorities_go_first(void **state)
{
    (void)state;
    queue q = { .max = 16, .share = 16 };
    queue_ticket t[4] = { { .asker = "x", .priority = 9 }, { .asker = "y", .priority = 1 },
                          { .asker = "y", .priority = 1 }, { .asker = "z", .priority = 0 } };
    char said[8];
    for (size_t i = 0; i < 4; i++)
        queue_push(&q, &t[i]);
    order(&q, said);
    assert_string_equal(said, "zyyx");
}

static void limits(void **state)
{
    (void)state;
    queue q = { .max = 3, .share = 2 };
    queue_ticket t[5] = { { .asker = "a" }, { .asker = "a" }, { .asker = "a" }, { .asker = "b" }, { .asker = "c" } };
    static const queue_answer said[] = { QUEUE_WAITS, QUEUE_WAITS, QUEUE_OVER_SHARE, QUEUE_WAITS, QUEUE_FULL };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(queue_push(&q, &t[i]), said[i]);
    assert_int_equal(q.n, 3);
    assert_true(queue_mean(0, 4) == 4 && queue_mean(4, 12) == 5);
    assert_true(queue_retry_after(8, 4, 3) == 6 && queue_retry_after(0, 0, 3) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(askers_take_turns), cmocka_unit_test(asking_again_is_no_way_past),
        cmocka_unit_test(priorities_go_first), cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
