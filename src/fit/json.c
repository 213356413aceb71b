/* json.c: the facts of fit.h as JSON. Sizes in bytes, rates per second. */
#include "fit/fit.h"

static void set_bytes(js *o, const char *key, uint64_t bytes)
{
    js_set(o, key, js_new_int((int64_t)bytes));
}

js *fit_machine_js(const fit_machine *m)
{
    js *o = js_object();
    js_set(o, "cpu", js_new_string(m->cpu.name));
    js_set(o, "isa", js_new_string(m->isa));
    js_set(o, "cores_online", js_new_int(m->cpu.online));
    js_set(o, "cores_allowed", js_new_int(m->cpu.allowed));
    js_set(o, "cores_physical", js_new_int(m->cpu.physical));
    js_set(o, "cpu_quota", m->cpu.quota > 0 ? js_new_double(m->cpu.quota) : js_null());
    js_set(o, "threads", js_new_int(m->threads));
    set_bytes(o, "memory_total", m->memory.total_bytes);
    set_bytes(o, "memory_available", m->memory.available_bytes);
    js_set(o, "memory_limit", m->memory.limit_bytes ? js_new_int((int64_t)m->memory.limit_bytes) : js_null());
    set_bytes(o, "memory_usable", m->memory.usable_bytes);
    js_set(o, "read_bytes_per_s", js_new_double(m->read_bytes_per_s));
    js_set(o, "power", js_new_string(machine_power()));
    return o;
}

js *fit_model_js(const fit_model *f)
{
    js *o = js_object();
    js_set(o, "model", js_new_string(f->name));
    js_set(o, "arch", js_new_string(f->arch));
    js_set(o, "type", js_new_string(f->file_type));
    set_bytes(o, "params", f->n_params);
    set_bytes(o, "file_bytes", f->file_bytes);
    js_set(o, "context", js_new_int(f->context));
    js_set(o, "context_train", js_new_int(f->context_train));
    set_bytes(o, "weights_bytes", f->budget.weights_bytes);
    set_bytes(o, "kv_bytes", f->budget.kv_bytes);
    set_bytes(o, "scratch_bytes", f->budget.scratch_bytes);
    set_bytes(o, "vocab_bytes", f->budget.vocab_bytes);
    set_bytes(o, "process_bytes", f->process_bytes);
    set_bytes(o, "need_bytes", f->need_bytes);
    set_bytes(o, "have_bytes", f->have_bytes);
    js_set(o, "fits", js_new_bool(f->fits));
    js_set(o, "decode_per_s", js_new_double(f->decode_per_s));
    js_set(o, "decode_full_context_per_s", js_new_double(f->decode_full_per_s));
    js_set(o, "prefill_per_s", js_new_double(f->prefill_per_s));
    return o;
}
