#include "cli/fit_change.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "cli/fit_loss.h"
#include "quant/mix.h"

#define MEMORY_STEP (UINT64_C(1) << 30)

typedef struct asker {
    fit_changes *c;
    const fit_rows_options *o;
    const fit_subject *s;
    const catalogue_model *entry; /* of the subject, or what a file is probably of; NULL */
} asker;

static void say_loss(const asker *a, const catalogue_model *m, fit_other *out)
{
    catalogue_loss_row row;
    char text[FIT_LOSS_LONG];
    if (fit_loss_find(a->o->catalogue, out->model->file_type, m, out->model->n_params, &row))
        snprintf(out->loss, sizeof out->loss, "%s", fit_loss_long(&row, text));
}

/* Judges s under these options on this machine. */
static status ask(asker *a, const fit_subject *s, const engine_options *o, const fit_machine *m, fit_other *out,
                  error *err)
{
    fit_model *f = &a->c->models[a->c->n];
    status st = fit_subject_judge(s, o, m, f, err);
    if (!st)
        st = fit_subject_largest(s, o, m, &out->largest, err);
    if (st)
        return st;
    a->c->n++;
    out->model = f;
    say_loss(a, s == a->s ? a->entry : s->entry, out);
    return OK;
}

static status ask_entry(asker *a, const catalogue_model *m, const char *type, const engine_options *o,
                        const fit_machine *machine, fit_other *out, error *err)
{
    fit_subject s = { 0 };
    status st = fit_subject_entry(&s, m, type, err);
    if (!st)
        st = ask(a, &s, o, machine, out, err);
    fit_subject_close(&s);
    return st;
}

static engine_options with_more(const engine_options *o)
{
    engine_options more = *o;
    if (more.mem_bytes)
        more.mem_bytes += MEMORY_STEP;
    return more;
}

static status ask_memory(asker *a, error *err)
{
    engine_options o = with_more(a->o->engine);
    a->c->more = *a->o->machine;
    a->c->more.memory.usable_bytes += MEMORY_STEP;
    a->c->facts.memory_step = MEMORY_STEP;
    return ask(a, a->s, &o, &a->c->more, &a->c->facts.more_memory, err);
}

static status ask_q8(asker *a, error *err)
{
    engine_options o = *a->o->engine;
    if (o.kv_type == ENGINE_KV_Q8 || o.exact || a->c->facts.now.model->work.spec.is_encoder)
        return OK;
    o.kv_type = ENGINE_KV_Q8;
    return ask(a, a->s, &o, a->o->machine, &a->c->facts.q8, err);
}

/* The place of a type among those that are looked at, from the largest; their number where it is none of them. */
static size_t place_of(const char *const *types, const char *type)
{
    const quant_mix *mix = quant_mix_find(type);
    size_t i = 0;
    while (types[i] && strcasecmp(types[i], type) != 0 && !(mix && strcasecmp(types[i], mix->name) == 0))
        i++;
    return i;
}

static status ask_types(asker *a, error *err)
{
    const char *const *types = fit_default_types;
    size_t at = place_of(types, a->c->facts.now.model->file_type);
    status st = OK;
    if (!a->entry || !types[at])
        return OK;
    if (at > 0)
        st = ask_entry(a, a->entry, types[at - 1], a->o->engine, a->o->machine, &a->c->facts.bigger_type, err);
    if (!st && types[at + 1])
        st = ask_entry(a, a->entry, types[at + 1], a->o->engine, a->o->machine, &a->c->facts.smaller_type, err);
    return st;
}

static bool talks(const catalogue_model *m)
{
    return m->kind == CATALOGUE_CHAT || m->kind == CATALOGUE_REASONING || m->kind == CATALOGUE_CODE;
}

/* The next larger model, in Q4_K_M, that needs the added memory. */
static const catalogue_model *next_larger(const asker *a, double params)
{
    const catalogue_model *best = NULL;
    for (size_t i = 0; i < catalogue_n(a->o->catalogue); i++) {
        const catalogue_model *m = catalogue_at(a->o->catalogue, i);
        if (talks(m) && m->params > 1.05 * params && (!best || m->params < best->params))
            best = m;
    }
    return best;
}

static status ask_bigger(asker *a, error *err)
{
    const fit_model *now = a->c->facts.now.model;
    double params = (double)now->n_params;
    engine_options o = with_more(a->o->engine);
    if (now->work.spec.is_encoder)
        return OK;
    for (const catalogue_model *m = next_larger(a, params); m; m = next_larger(a, m->params)) {
        fit_subject s = { 0 };
        uint32_t before = 0;
        status st = fit_subject_entry(&s, m, "Q4_K_M", err);
        if (!st)
            st = fit_subject_largest(&s, a->o->engine, a->o->machine, &before, err);
        if (!st && before < FIT_CONTEXT_LEAST)
            st = ask(a, &s, &o, &a->c->more, &a->c->facts.bigger_model, err);
        fit_subject_close(&s);
        if (st || before < FIT_CONTEXT_LEAST)
            return st;
    }
    return OK;
}

static status ask_threads(asker *a, error *err)
{
    const fit_machine *m = a->o->machine;
    engine_options o = *a->o->engine;
    if (m->cpu.allowed <= m->threads || (m->cpu.quota > 0 && m->cpu.quota <= m->threads))
        return OK;
    status st = fit_measure_machine(&a->c->threads, m->cpu.allowed, err);
    a->c->threads.memory = m->memory;
    a->c->facts.threads_machine = &a->c->threads;
    o.n_threads = m->cpu.allowed;
    return st ? st : ask(a, a->s, &o, &a->c->threads, &a->c->facts.threads, err);
}

status fit_changes_read(fit_changes **out, const fit_subject *s, const fit_rows_options *o, error *err)
{
    static status (*const questions[])(asker *, error *) = { ask_memory, ask_q8, ask_types, ask_bigger, ask_threads };
    fit_changes *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory to judge %s", s->name);
    asker a = { c, o, s, s->entry ? s->entry : fit_entry_of(o->catalogue, s->name) };
    c->facts.machine = o->machine;
    status st = ask(&a, s, o->engine, o->machine, &c->facts.now, err);
    for (size_t i = 0; !st && i < ARRAY_LEN(questions); i++)
        st = questions[i](&a, err);
    if (st)
        fit_changes_free(&c);
    else
        *out = c;
    return st;
}

void fit_changes_free(fit_changes **c)
{
    mem_free(*c);
    *c = NULL;
}
