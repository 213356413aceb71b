/* stage.c: see the header. */
#include "pull/stage.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include "pull/choose.h"

enum { KEY_DIGITS = 16 };

const char *stage_local_path(const char *source)
{
    const char *p = str_starts(source, "file:") ? source + 5 : source;
    if (p != source && str_starts(p, "//"))
        p += 2;
    if (p == source && (str_starts(source, "hf:") || str_starts(source, "pypi:") || strstr(source, "://")))
        return NULL;
    return p;
}

status stage_path(char **out, const char *models, const char *source, error *err)
{
    char hex[DIGEST_HEX];
    buf path = BUF_INIT(PATH_MAX - 1);
    buf_printf(&path, "%s/.pull", models);
    if (source) {
        digest_of(source, strlen(source), hex);
        buf_printf(&path, "/%.*s", KEY_DIGITS, hex);
    }
    status s = buf_ok(&path, "a path", err);
    if (!s)
        *out = buf_take(&path);
    buf_clear(&path);
    return s;
}

static void link_one(const char *stage, const char *path)
{
    char full[PATH_MAX], to[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int n = snprintf(to, sizeof to, "%s/%s", stage, name);
    if (n > 0 && n < PATH_MAX && realpath(path, full))
        (void)!link(full, to);
}

void stage_link_local(const char *models, const char *path)
{
    char first[PATH_MAX], full[PATH_MAX], *pull = NULL, *stage = NULL;
    unsigned part, parts = 1;
    size_t stem = strlen(path);
    bool split = choose_split(path, &part, &parts, &stem);
    if (stem + 32 >= sizeof first || !(split || str_ends(path, ".gguf")))
        return;
    snprintf(first, sizeof first, "%s", path);
    if (split)
        snprintf(first + stem, sizeof first - stem, "-%05u-of-%05u%s", 1u, parts, path + stem + 15);
    if (!realpath(first, full) || stage_path(&pull, models, NULL, NULL) != OK)
        return;
    if (stage_path(&stage, models, full, NULL) == OK) { /* what cannot be made is found out by the fetch */
        (void)!mkdir(pull, 0700);
        (void)!mkdir(stage, 0700);
        for (unsigned k = 1; k <= parts; k++) {
            if (split)
                snprintf(first + stem, sizeof first - stem, "-%05u-of-%05u%s", k, parts, path + stem + 15);
            link_one(stage, first);
        }
    }
    mem_free(pull);
    mem_free(stage);
}
