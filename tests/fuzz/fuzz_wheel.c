/* libFuzzer over zip archives: what is opened has only members that stay inside, and what is read of them has the
 * length that the directory says.
 * modules: base
 * files: src/pull/wheel.c src/plat/file.c
 * libs: -lzip */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pull/wheel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static status count(void *user, const void *bytes, size_t n, error *err)
{
    (void)bytes;
    *(uint64_t *)user += n;
    return *(uint64_t *)user > 64 << 20 ? fail(err, E_RANGE, "enough") : OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wheel *w = NULL;
    error err = { 0 };
    if (wheel_open_bytes(&w, data, size, "x.whl", &err) != OK) {
        must(err.text[0]);
        return 0;
    }
    for (size_t i = 0; i < wheel_n(w) && i < 16; i++) {
        const wheel_member *m = wheel_at(w, i);
        uint64_t n = 0;
        must(m->name[0] != '/' && !strstr(m->name, "/../") && strncmp(m->name, "../", 3) != 0);
        if (wheel_read(w, i, count, &n, &err) == OK)
            must(n == m->bytes);
    }
    wheel_close(&w);
    return 0;
}
