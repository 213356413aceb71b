#include "cli/fit_subject.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static void file_name(const char *path, char *out, size_t bytes)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, bytes, "%s", slash ? slash + 1 : path);
    if (str_ends(out, ".gguf"))
        out[strlen(out) - 5] = '\0';
}

status fit_subject_file(fit_subject *out, const char *path, error *err)
{
    fit_subject s = { .present = true };
    file_name(path, s.name, sizeof s.name);
    s.path = mem_strdup(path);
    status st = s.path ? gguf_open(&s.header, path, err) : fail(err, E_NOMEM, "no memory for a path");
    if (st) {
        mem_free(s.path);
        return st;
    }
    *out = s;
    return OK;
}

status fit_subject_entry(fit_subject *out, const catalogue_model *m, const char *type, error *err)
{
    fit_subject s = { .entry = m };
    snprintf(s.name, sizeof s.name, "%s", m->name);
    snprintf(s.type, sizeof s.type, "%s", type);
    status st = catalogue_header(&s.header, m, type, err);
    if (!st)
        *out = s;
    return st;
}

status fit_subject_parts(fit_subject *out, const char *name, const gguf_prefix *parts, int n, error *err)
{
    fit_subject s = { 0 };
    file_name(name, s.name, sizeof s.name);
    status st = gguf_parse_parts(&s.header, parts, n, name, err);
    if (!st)
        *out = s;
    return st;
}

void fit_subject_close(fit_subject *s)
{
    gguf_close(&s->header);
    mem_free(s->path);
    s->path = NULL;
}

status fit_subject_judge(const fit_subject *s, const engine_options *o, const fit_machine *m, fit_model *out,
                         error *err)
{
    status st = fit_model_gguf(s->header, s->name, o, m, out, err);
    if (st)
        return fail_prefix(err, st, "%s: ", s->path ? s->path : s->name);
    if (s->type[0])
        snprintf(out->file_type, sizeof out->file_type, "%s", s->type);
    return OK;
}

status fit_subject_largest(const fit_subject *s, const engine_options *o, const fit_machine *m, uint32_t *out,
                           error *err)
{
    fit_machine quiet = { .memory = m->memory }; /* bytes only: no rates, no speeds */
    engine_options at = *o;
    fit_model *f = mem_zero(sizeof *f);
    *out = 0;
    if (!f)
        return fail(err, E_NOMEM, "no memory to judge %s", s->name);
    at.context = 0;
    status st = fit_subject_judge(s, &at, &quiet, f, err);
    uint32_t most = st ? 0 : f->context_train;
    at.context = most;
    if (!st)
        st = fit_subject_judge(s, &at, &quiet, f, err);
    if (!st && f->fits)
        *out = most;
    uint32_t low = 0, high = st || f->fits ? 0 : most / 64;
    while (!st && low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        at.context = middle * 64;
        st = fit_subject_judge(s, &at, &quiet, f, err);
        if (!st && f->fits)
            low = middle;
        else
            high = middle - 1;
    }
    if (!st && low)
        *out = low * 64;
    mem_free(f);
    return st;
}
