/* helpers.h: for tests that start real helper processes, or are one themselves. */
#ifndef TESTS_HELPERS_H
#define TESTS_HELPERS_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/js.h"
#include "plat/msg.h"

/* Helpers lie two folders above the test. */
static inline void find_helpers(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    for (int i = 0; i < 3 && strrchr(path, '/'); i++)
        *strrchr(path, '/') = 0;
    setenv("HEARTH_LIBEXEC", path, 1);
}

/* A helper's own word to the process that started it; without it the process ends. Frees j. */
static inline void helper_say(msg_link *l, msg_type type, uint32_t id, js *j)
{
    buf text = BUF_INIT(1 << 20);
    error err;
    js_write(j, JS_COMPACT, &text);
    if (msg_send(l, type, id, text.data, text.len, NULL, 0, -1, &err))
        _exit(1);
    buf_clear(&text);
    js_free(j);
}

#endif
