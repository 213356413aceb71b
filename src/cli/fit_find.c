#include "cli/fit_find.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "quant/mix.h"
#include "store/store.h"

/* "NAME:TYPE" into name and type; without a colon type is "". */
static void split(const char *word, char name[256], char type[32])
{
    const char *colon = strrchr(word, ':');
    snprintf(name, 256, "%.*s", colon ? (int)(colon - word) : (int)strlen(word), word);
    snprintf(type, 32, "%s", colon ? colon + 1 : "");
}

static status open_entry(fit_subject *out, const catalogue_model *m, const char *type, const fit_rows_options *o,
                         error *err)
{
    char best[16];
    const quant_mix *mix = quant_mix_find(type);
    if (*type && !mix)
        return fail(err, E_FORMAT, "%s:%s: there is no such type of weights; known ones are Q8_0, Q6_K, Q5_K_M, "
                    "Q4_K_M, Q3_K_M, Q2_K and F16", m->name, type);
    status s = *type ? OK : fit_best_type(m, o, best, err);
    return s ? s : fit_subject_entry(out, m, *type ? mix->name : best, err);
}

/* The names of catalogue models, one beside another as str_nearest wants them. */
static const char *near_entry(const catalogue *c, const char *name)
{
    typedef struct one { const char *name; } one;
    one *names = mem_array(catalogue_n(c) + 1, sizeof *names);
    const char *near = NULL;
    for (size_t i = 0; names && i < catalogue_n(c); i++)
        names[i].name = catalogue_at(c, i)->name;
    if (names)
        near = str_nearest(name, names, catalogue_n(c), sizeof *names);
    mem_free(names);
    return near;
}

status fit_find(fit_subject *out, const char *word, const fit_rows_options *o, error *err)
{
    char name[256], type[32], *path = NULL;
    error why = { 0 };
    split(word, name, type);
    const catalogue_model *m = catalogue_find(o->catalogue, name);
    if (m && *type)
        return open_entry(out, m, type, o, err);
    status s = store_find(&path, word, &why);
    if (!s) {
        s = fit_subject_file(out, path, err);
        mem_free(path);
        return s;
    }
    if (s != E_NOTFOUND)
        return fail(err, s, "%s", why.text);
    if (m)
        return open_entry(out, m, type, o, err);
    const char *near = near_entry(o->catalogue, name);
    return near ? fail(err, s, "%s; the catalogue has '%s'", why.text, near) : fail(err, s, "%s", why.text);
}
