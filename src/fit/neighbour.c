/* neighbour.c: the same model in another quantisation, in the same folder. Files are called NAME-TYPE.gguf or
 * NAME.TYPE.gguf by habit, not by rule: the header decides. What cannot be read is none. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "fit/memory.h"
#include "gguf/gguf.h"

enum { FILES_MAX = 4096, PATH_BYTES = 4096 };

static bool begins_type(const char *p)
{
    static const char *const begin[] = { "IQ", "TQ", "BF16", "F16", "F32", "MXFP4" };
    if (toupper((unsigned char)p[0]) == 'Q' && isdigit((unsigned char)p[1]))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(begin); i++)
        if (strncasecmp(p, begin[i], strlen(begin[i])) == 0)
            return true;
    return false;
}

/* Bytes of the name before its type; the whole without ".gguf" where it names none. */
static size_t stem_of(const char *name)
{
    size_t n = strlen(name);
    n -= str_ends(name, ".gguf") ? 5 : 0;
    for (size_t i = n; i-- > 1;)
        if ((name[i - 1] == '-' || name[i - 1] == '.' || name[i - 1] == '_') && begins_type(name + i))
            return i - 1;
    return n;
}

static bool may_be(const char *name, const char *other)
{
    size_t n = stem_of(name);
    return str_ends(other, ".gguf") && strcmp(name, other) != 0 && stem_of(other) == n &&
           strncasecmp(name, other, n) == 0;
}

static void try_file(const char *path, const char *name, const engine_options *o, const fit_model *f, fit_ways *out)
{
    fit_model other;
    gguf *g = NULL;
    if (gguf_open(&g, path, NULL) != OK)
        return;
    span kind = { "", 0 };
    memset(&other, 0, sizeof other);
    bool same = fit_memory(g, o, &other, NULL) == OK && gguf_str(g, "general.architecture", &kind, NULL) == OK &&
                span_is(kind, f->arch) && other.budget.context == f->budget.context &&
                other.budget.kv_bytes == f->budget.kv_bytes;
    gguf_close(&g);
    if (!same || other.need_bytes > f->have_bytes || other.need_bytes <= out->file_need)
        return;
    snprintf(out->file, sizeof out->file, "%.*s", (int)(strlen(name) - 5), name);
    out->file_need = other.need_bytes;
}

void fit_neighbour(const char *path, const engine_options *o, const fit_model *f, fit_ways *out)
{
    char folder[PATH_BYTES], other[PATH_BYTES + 256];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (strlen(path) >= sizeof folder)
        return;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    DIR *d = opendir(slash == path ? "/" : folder);
    int n = 0;
    for (struct dirent *e; d && n++ < FILES_MAX && (e = readdir(d));) {
        if (strlen(e->d_name) > 255 || !may_be(name, e->d_name))
            continue;
        snprintf(other, sizeof other, "%s/%s", folder, e->d_name);
        try_file(other, e->d_name, o, f, out);
    }
    if (d)
        closedir(d);
}
