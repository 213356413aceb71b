/* The last line of defence: beyond it an allocation fails, and nothing else is lost. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plat/footprint.h"

enum { MIB = 1 << 20 };

/* In a child: 0 if all went as it must. */
static int within_limit(void)
{
    char *before = malloc(64 * MIB);
    if (!before || !footprint_limit(0, 16 * MIB))
        return 1;
    memset(before, 1, 64 * MIB); /* what was there already stays usable */
    char *small = malloc(8 * MIB), *large = malloc(32 * MIB);
    if (!small || large)
        return 2;
    memset(small, 1, 8 * MIB);
    free(before); /* what is given back can be had again */
    large = malloc(32 * MIB);
    if (!large)
        return 3;
    memset(large, 1, 32 * MIB);
    return footprint_limit(0, 64 * MIB) && malloc(48 * MIB) ? 0 : 4; /* and the line can be drawn anew */
}

static void allocations_fail_beyond_it_and_work_below(void **state)
{
    (void)state;
    int how;
    pid_t child = fork();
    if (child == 0)
        _exit(within_limit());
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

static void another_process_can_be_limited(void **state)
{
    (void)state;
    int go[2], how;
    char c;
    assert_int_equal(pipe(go), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(read(go[0], &c, 1) == 1 && malloc(256 * MIB) == NULL && malloc(1 * MIB) ? 0 : 1);
    assert_true(footprint_limit(child, 64 * MIB));
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    close(go[0]);
    close(go[1]);
}

static void every_kind_has_its_bytes(void **state)
{
    (void)state;
    const footprint_use one = { 2, 1, 512 }, many = { 2, 16, 4096 };
    for (int k = 0; k < FOOTPRINT_KINDS; k++) {
        assert_in_range(footprint_bytes(k, NULL), 4 * MIB, 16 * MIB);
        assert_true(footprint_bytes(k, NULL) < footprint_bytes(k, &one));
        assert_true(footprint_bytes(k, &one) < footprint_bytes(k, &many));
    }
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    printf("a sanitizer has memory of its own\n");
    return 77;
#endif
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_fail_beyond_it_and_work_below),
        cmocka_unit_test(another_process_can_be_limited),
        cmocka_unit_test(every_kind_has_its_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
