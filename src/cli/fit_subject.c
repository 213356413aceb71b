#include "cli/fit_subject.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "quant/mix.h"

static void file_name(const char *path, char *out, size_t bytes)
{
    const char *slash = strrchr(path, '/');
    snprintf(out, bytes, "%s", slash ? slash + 1 : path);
    if (str_ends(out, ".gguf"))
        out[strlen(out) - 5] = '\0';
}

/* The mix that the file says it is of: types of single tensors say less ("Q4_K_M" may be mostly Q8_0 by its bytes). */
static void read_type(fit_subject *s)
{
    uint32_t said = UINT32_MAX;
    if (gguf_u32_or(s->header, "general.file_type", UINT32_MAX, &said, NULL))
        return;
    for (size_t i = 0; quant_mix_at(i); i++)
        if (quant_mix_at(i)->file_type == said)
            snprintf(s->type, sizeof s->type, "%s", quant_mix_at(i)->name);
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
    read_type(&s);
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
    if (st)
        return st;
    read_type(&s);
    *out = s;
    return OK;
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

/* What a search knows: need_bytes at two contexts, in steps of 64; it fits at low and not at high. */
typedef struct bounds {
    uint32_t low, high;
    uint64_t need_low, need_high;
} bounds;

/* Bytes grow with the context, mostly in proportion (not where a window fills): the guess is where the line between the
 * bounds meets what there is. Every other step halves, so that a bad line costs little. */
static uint32_t guess(const bounds *b, uint64_t have, bool halve)
{
    double part = b->need_high > b->need_low ? ((double)have - (double)b->need_low) /
                                                   ((double)b->need_high - (double)b->need_low) : 0;
    uint32_t width = b->high - b->low, at = halve ? width / 2 : (uint32_t)(part * width);
    return b->low + (at < 1 ? 1 : at > width - 1 ? width - 1 : at);
}

static status judge_at(const fit_subject *s, engine_options *o, uint32_t context, const fit_machine *m, fit_model *f,
                       error *err)
{
    o->context = context;
    return fit_subject_judge(s, o, m, f, err);
}

static status search(const fit_subject *s, engine_options *o, const fit_machine *m, fit_model *f, uint32_t *out,
                     error *err)
{
    enum { STEP = 64 };
    bounds b = { .low = 1, .high = f->context_train / STEP + 1, .need_high = f->need_bytes };
    status st = judge_at(s, o, STEP, m, f, err);
    if (st || !f->fits)
        return st;
    b.need_low = f->need_bytes;
    for (int i = 0; !st && b.high - b.low > 1; i++) {
        uint32_t at = guess(&b, f->have_bytes, i % 2 == 1);
        st = judge_at(s, o, at * STEP, m, f, err);
        if (f->fits) {
            b.low = at;
            b.need_low = f->need_bytes;
            if (b.high - b.low > 1 && !st && i % 2 == 0) { /* the line is mostly right: one step on it fits no more */
                st = judge_at(s, o, (at + 1) * STEP, m, f, err);
                b.low += f->fits;
                b.high = f->fits ? b.high : at + 1;
                *(f->fits ? &b.need_low : &b.need_high) = f->need_bytes;
            }
        } else {
            b.high = at;
            b.need_high = f->need_bytes;
        }
    }
    *out = b.low * STEP;
    return st;
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
    status st = judge_at(s, &at, 0, &quiet, f, err);
    if (!st)
        st = judge_at(s, &at, f->context_train, &quiet, f, err);
    if (!st && f->fits)
        *out = f->context; /* an encoder's may be less than it was trained for */
    else if (!st)
        st = search(s, &at, &quiet, f, out, err);
    mem_free(f);
    return st;
}
