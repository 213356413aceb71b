/* self_test.h: what a worker's self-test means for the requests it may be given. Pure, but for the look at the process;
 * any thread.
 *
 *   sandbox                                   public, internal   private, secret
 *   seccomp, and every attempt was denied     yes                yes
 *   no seccomp                                yes                only where no server is configured or open
 *   an attempt succeeded, or was not made     yes                no
 *
 * Without seccomp the other layers may hold or not: then what keeps a private text here is that this hearth has no
 * process with a network at all. A filter that is there and leaks is not what was built: it gets nothing private. */
#ifndef PROVIDER_SELF_TEST_H
#define PROVIDER_SELF_TEST_H

#include <stdbool.h>

#include "base/js.h"
#include "base/privacy_class.h"
#include "plat/witness.h"

typedef enum self_test {
    SELF_TEST_LEAKS, /* the value of whoever did not ask */
    SELF_TEST_NO_SECCOMP,
    SELF_TEST_HOLDS,
} self_test;

enum { SELF_TEST_WHY = 200 };

/* sandbox: HELLO's member (plat/sandbox.h, sandbox_to_js), of the process that `seen` was read from. Where the kernel
 * says that there is no filter, that counts. why: what fails, as a clause; "" when it holds. */
self_test self_test_judge(const js *sandbox, const witness *seen, char why[SELF_TEST_WHY]);
bool self_test_allows(self_test t, privacy_class c, bool servers);

#endif
