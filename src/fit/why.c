/* why.c: each paragraph is one function; what it says follows from fit's own figures. */
#include "fit/why.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct {
    const char *name;
    const char *words; /* as the subject of "… takes 81 % of that" */
} limits[FIT_LIMITS] = {
    [FIT_LIMIT_NONE] = { "none", "nothing that is known" },
    [FIT_LIMIT_MEMORY] = { "memory", "memory" },
    [FIT_LIMIT_BANDWIDTH] = { "bandwidth", "reading weights (the memory's bandwidth)" },
    [FIT_LIMIT_MULTIPLIER] = { "multiplier", "multiplying weights (the multipliers)" },
    [FIT_LIMIT_ATTENTION] = { "attention", "attention over earlier positions" },
    [FIT_LIMIT_SYNC] = { "synchronisation", "threads waiting for each other (synchronisation)" },
    [FIT_LIMIT_REST] = { "rest", "what surrounds the products (norms, activations, quantising)" },
};

const char *fit_limit_name(fit_limit l)
{
    return limits[l].name;
}

fit_limit fit_limit_of(const fit_step *s, double *share)
{
    const double seconds[FIT_LIMITS] = {
        [FIT_LIMIT_BANDWIDTH] = s->memory_s,    [FIT_LIMIT_MULTIPLIER] = s->multiply_s,
        [FIT_LIMIT_ATTENTION] = s->attention_s, [FIT_LIMIT_SYNC] = s->sync_s,
        [FIT_LIMIT_REST] = s->rest_s,
    };
    double whole = fit_step_seconds(s);
    fit_limit most = FIT_LIMIT_NONE;
    for (fit_limit l = FIT_LIMIT_BANDWIDTH; l < FIT_LIMITS; l++)
        if (seconds[l] > seconds[most])
            most = l;
    *share = whole > 0 ? seconds[most] / whole : 0;
    return most;
}

static fit_step decode_step(const fit_machine *m, const fit_model *f)
{
    return fit_expect_decode(&f->work, m, 1, 0);
}

/* Of FIT_PROMPT tokens, as fit_model.prefill_per_s is. */
static fit_step prefill_step(const fit_machine *m, const fit_model *f)
{
    return fit_expect_prefill(&f->work, m, f->context < FIT_PROMPT ? f->context : FIT_PROMPT, 0);
}

/* ---- sentences ---- */

static void say_memory(const fit_why_facts *w, buf *out)
{
    const fit_model *f = w->now.model;
    char need[24], have[24], gap[24];
    str_human_bytes(need, f->need_bytes);
    str_human_bytes(have, f->have_bytes);
    if (f->fits) {
        buf_printf(out, "Memory: %s of %s are needed at a context of %u positions, so %s are left.", need, have,
                   f->context, str_human_bytes(gap, f->have_bytes - f->need_bytes));
        if (w->now.largest >= f->context_train)
            buf_printf(out, " The whole context it was trained for, %u, fits.\n", f->context_train);
        else
            buf_printf(out, " The largest context that fits is %u of the %u it was trained for: memory is the limit.\n",
                       w->now.largest, f->context_train);
        return;
    }
    buf_printf(out, "Memory is the limit: %s are needed at a context of %u positions and %s may be taken: %s are "
               "missing.", need, f->context, have, str_human_bytes(gap, f->need_bytes - f->have_bytes));
    if (w->now.largest)
        buf_printf(out, " A context of %u would fit.\n", w->now.largest);
    else
        buf_printf(out, " No context fits: the weights alone are %s.\n",
                   str_human_bytes(need, f->budget.weights_bytes));
}

/* ": reading weights (the memory's bandwidth) takes 81 % of that." */
static void say_limit(const fit_step *step, buf *out)
{
    double share;
    fit_limit l = fit_limit_of(step, &share);
    buf_printf(out, " %s takes %.0f %% of that: it is the limit.", limits[l].words, 100 * share);
}

static void say_decode(const fit_why_facts *w, buf *out)
{
    const fit_machine *m = w->machine;
    const fit_model *f = w->now.model;
    char token[24], kv[24];
    if (f->work.spec.is_encoder || !(f->decode_per_s > 0) || !(m->read_bytes_per_s > 0))
        return;
    fit_step step = decode_step(m, f);
    buf_printf(out, "Decode: %.1f tokens/s are expected. A token reads %s of weights, which alone at %.1f GB/s would "
               "allow %.1f;", f->decode_per_s, str_human_bytes(token, f->budget.token_bytes), m->read_bytes_per_s / 1e9,
               m->read_bytes_per_s / (double)f->budget.token_bytes);
    say_limit(&step, out);
    buf_printf(out, " With a full context of %u positions a token reads %s of keys and values as well: %.1f tokens/s."
               "\n", f->context, str_human_bytes(kv, engine_kv_read_bytes(&f->budget, f->context)),
               f->decode_full_per_s);
}

static void say_prefill(const fit_why_facts *w, buf *out)
{
    const fit_model *f = w->now.model;
    if (!(f->prefill_per_s > 0))
        return;
    fit_step step = prefill_step(w->machine, f);
    buf_printf(out, "Prefill: %.0f tokens/s are expected of a prompt;", f->prefill_per_s);
    say_limit(&step, out);
    buf_char(out, '\n');
}

/* "2.1 GiB, context 8192, decode 9 tokens/s" */
static void say_figures(const fit_other *o, buf *out)
{
    char need[24];
    const fit_model *f = o->model;
    buf_printf(out, "%s at a context of %u", str_human_bytes(need, f->need_bytes), f->context);
    if (o->largest)
        buf_printf(out, ", largest context %u", o->largest);
    else
        buf_printf(out, ", no context fits");
    if (f->decode_per_s > 0 && !f->work.spec.is_encoder)
        buf_printf(out, ", decode %.1f tokens/s", f->decode_per_s);
    if (f->prefill_per_s > 0)
        buf_printf(out, ", prefill %.0f", f->prefill_per_s);
    if (o->loss[0])
        buf_printf(out, ", loss %s", o->loss);
}

static void say_more_memory(const fit_why_facts *w, buf *out)
{
    char step[24];
    const fit_other *more = &w->more_memory;
    if (!more->model)
        return;
    buf_printf(out, "%s more memory: ", str_human_bytes(step, w->memory_step));
    if (more->largest > w->now.largest)
        buf_printf(out, "the largest context grows from %u to %u.", w->now.largest, more->largest);
    else if (more->largest)
        buf_printf(out, "nothing changes for this model, whose context of %u fits already.", more->largest);
    else
        buf_printf(out, "it still does not fit.");
    if (w->bigger_model.model) {
        buf_printf(out, " The next larger model of the catalogue, %s %s, %s: ", w->bigger_model.model->name,
                   w->bigger_model.model->file_type, w->bigger_model.largest ? "would fit" : "would not fit yet");
        say_figures(&w->bigger_model, out);
        buf_char(out, '.');
    }
    buf_char(out, '\n');
}

static void say_other(const fit_other *o, const char *what, buf *out)
{
    if (!o->model)
        return;
    buf_printf(out, "%s: ", what);
    say_figures(o, out);
    buf_str(out, ".\n");
}

static void say_types(const fit_why_facts *w, buf *out)
{
    char what[64];
    const fit_other *const list[] = { &w->smaller_type, &w->bigger_type };
    static const char *const words[] = { "A smaller quantisation", "A larger quantisation" };
    for (size_t i = 0; i < ARRAY_LEN(list); i++) {
        if (!list[i]->model)
            continue;
        snprintf(what, sizeof what, "%s, %s", words[i], list[i]->model->file_type);
        say_other(list[i], what, out);
    }
}

static void say_kv(const fit_why_facts *w, buf *out)
{
    char f16[24], q8[24], what[96];
    if (!w->q8.model)
        return;
    snprintf(what, sizeof what, "Keys and values in q8 (%s instead of %s)",
             str_human_bytes(q8, w->q8.model->budget.kv_bytes), str_human_bytes(f16, w->now.model->budget.kv_bytes));
    say_other(&w->q8, what, out);
}

static void say_threads(const fit_why_facts *w, buf *out)
{
    const fit_model *a = w->now.model, *b = w->threads.model;
    if (b && w->threads_machine)
        buf_printf(out, "%d threads instead of %d: %.1f GB/s are read instead of %.1f, so decode %.1f tokens/s instead "
                   "of %.1f, prefill %.0f instead of %.0f.\n", w->threads_machine->threads, w->machine->threads,
                   w->threads_machine->read_bytes_per_s / 1e9, w->machine->read_bytes_per_s / 1e9, b->decode_per_s,
                   a->decode_per_s, b->prefill_per_s, a->prefill_per_s);
    else
        buf_printf(out, "Threads: %d are used, all that this process may have.\n", w->machine->threads);
}

void fit_why(const fit_why_facts *w, buf *out)
{
    say_memory(w, out);
    say_decode(w, out);
    say_prefill(w, out);
    say_more_memory(w, out);
    say_types(w, out);
    say_kv(w, out);
    say_threads(w, out);
}

/* ---- data ---- */

static js *other_js(const fit_other *o)
{
    if (!o->model)
        return js_null();
    js *j = fit_model_js(o->model);
    js_set(j, "largest_context", js_new_int(o->largest));
    js_set(j, "loss", o->loss[0] ? js_new_string(o->loss) : js_null());
    return j;
}

static js *limit_js(const fit_why_facts *w, fit_step s)
{
    double share;
    fit_limit l = fit_limit_of(&s, &share);
    js *o = js_object();
    js_set(o, "limit", js_new_string(fit_limit_name(w->now.model->fits ? l : FIT_LIMIT_MEMORY)));
    js_set(o, "share", js_new_double(share));
    js_set(o, "memory_s", js_new_double(s.memory_s));
    js_set(o, "multiply_s", js_new_double(s.multiply_s));
    js_set(o, "attention_s", js_new_double(s.attention_s));
    js_set(o, "sync_s", js_new_double(s.sync_s));
    js_set(o, "rest_s", js_new_double(s.rest_s));
    return o;
}

js *fit_why_js(const fit_why_facts *w)
{
    const struct {
        const char *name;
        const fit_other *other;
    } changes[] = {
        { "now", &w->now },                   { "more_memory", &w->more_memory }, { "bigger_type", &w->bigger_type },
        { "bigger_model", &w->bigger_model }, { "smaller_type", &w->smaller_type }, { "q8", &w->q8 },
        { "threads", &w->threads },
    };
    js *o = js_object();
    js_set(o, "decode", limit_js(w, decode_step(w->machine, w->now.model)));
    js_set(o, "prefill", limit_js(w, prefill_step(w->machine, w->now.model)));
    js_set(o, "memory_step", js_new_int((int64_t)w->memory_step));
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        js_set(o, changes[i].name, other_js(changes[i].other));
    return o;
}
