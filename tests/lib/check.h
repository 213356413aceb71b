/* check.h: cmocka with what it needs before it, and without its macro `fail`, which is a function of ours. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#undef fail
#undef fail_msg
#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        print_error(__VA_ARGS__);                                                                                      \
        print_error("\n");                                                                                             \
        _fail(__FILE__, __LINE__);                                                                                     \
    } while (0)

#include "base/status.h"

/* Asserts OK and prints the sentence otherwise. */
#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        error check_err = { 0 };                                                                                       \
        error *err = &check_err;                                                                                       \
        (void)err;                                                                                                     \
        if ((call) != OK)                                                                                              \
            fail_msg("%s: %s", #call, check_err.text);                                                                 \
    } while (0)

/* Tiny models stand in for the real ones (tools/run-tests, lib/tiny_model.h): what a real one says, and how large it
 * is, cannot be asked. */
static inline bool models_are_tiny(void)
{
    return getenv("HEARTH_TEST_TINY") != NULL;
}

#endif
