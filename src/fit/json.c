/* json.c: the facts of fit.h and speed.h as JSON. Sizes in bytes, rates per second. */
#include "fit/fit.h"
#include "fit/speed.h"

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
    js_set(o, "cores_efficient", js_new_int(m->cpu.efficient));
    js_set(o, "cpu_quota", m->cpu.quota > 0 ? js_new_double(m->cpu.quota) : js_null());
    js_set(o, "threads", js_new_int(m->threads));
    set_bytes(o, "memory_total", m->memory.total_bytes);
    set_bytes(o, "memory_available", m->memory.available_bytes);
    js_set(o, "memory_limit", m->memory.limit_bytes ? js_new_int((int64_t)m->memory.limit_bytes) : js_null());
    set_bytes(o, "memory_usable", m->memory.usable_bytes);
    js_set(o, "read_bytes_per_s", js_new_double(m->read_bytes_per_s));
    js_set(o, "macs_per_s", js_new_double(m->macs_per_s));
    js_set(o, "measured_at", js_new_int(m->measured_at));
    js_set(o, "disk_free", m->disk_free_bytes ? js_new_int((int64_t)m->disk_free_bytes) : js_null());
    js_set(o, "power", js_new_string(machine_power()));
    return o;
}

static js *step_js(const fit_step *s)
{
    js *o = js_object();
    js_set(o, "memory_s", js_new_double(s->memory_s));
    js_set(o, "multiply_s", js_new_double(s->multiply_s));
    js_set(o, "attention_s", js_new_double(s->attention_s));
    js_set(o, "sync_s", js_new_double(s->sync_s));
    js_set(o, "rest_s", js_new_double(s->rest_s));
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
    js_set(o, "kv", js_new_string(f->kv_type));
    set_bytes(o, "weights_bytes", f->budget.weights_bytes);
    set_bytes(o, "kv_bytes", f->budget.kv_bytes);
    set_bytes(o, "scratch_bytes", f->budget.scratch_bytes);
    set_bytes(o, "vocab_bytes", f->budget.vocab_bytes);
    set_bytes(o, "grammar_bytes", f->budget.grammar_bytes);
    set_bytes(o, "load_bytes", f->budget.load_bytes);
    set_bytes(o, "process_bytes", f->process_bytes);
    set_bytes(o, "need_bytes", f->need_bytes);
    set_bytes(o, "have_bytes", f->have_bytes);
    js_set(o, "fits", js_new_bool(f->fits));
    js_set(o, "decode_per_s", js_new_double(f->decode_per_s));
    js_set(o, "decode_full_context_per_s", js_new_double(f->decode_full_per_s));
    js_set(o, "prefill_per_s", js_new_double(f->prefill_per_s));
    js_set(o, "decode_seconds", step_js(&f->decode));
    js_set(o, "prefill_seconds", step_js(&f->prefill));
    return o;
}

static js *rate_js(const speed_rate *r)
{
    js *o = js_object();
    js_set(o, "tokens_per_s", js_new_double(r->median));
    js_set(o, "least", js_new_double(r->least));
    js_set(o, "most", js_new_double(r->most));
    js_set(o, "expected", r->expected > 0 ? js_new_double(r->expected) : js_null());
    js_set(o, "share_of_limit", r->share > 0 ? js_new_double(r->share) : js_null());
    return o;
}

js *speed_js(const speed_result *r)
{
    js *o = js_object(), *depths = js_array(), *batches = js_array();
    js_set(o, "model", js_new_string(r->model.name));
    js_set(o, "arch", js_new_string(r->model.arch));
    js_set(o, "type", js_new_string(r->model.file_type));
    set_bytes(o, "params", r->model.n_params);
    set_bytes(o, "file_bytes", r->model.file_bytes);
    js_set(o, "threads", js_new_int(r->threads));
    js_set(o, "isa", js_new_string(r->isa));
    js_set(o, "kv", js_new_string(r->kv_type));
    js_set(o, "context", js_new_int(r->model.context));
    js_set(o, "read_bytes_per_s", js_new_double(r->read_bytes_per_s));
    js_set(o, "load_s", js_new_double(r->load_s));
    js_set(o, "first_token_s", js_new_double(r->first_token_s));
    set_bytes(o, "weights_bytes", r->model.budget.weights_bytes);
    set_bytes(o, "kv_bytes", r->model.budget.kv_bytes);
    set_bytes(o, "planned_bytes", r->planned_bytes);
    js_set(o, "peak_bytes", r->peak_bytes ? js_new_int((int64_t)r->peak_bytes) : js_null());
    for (uint32_t i = 0; i < r->n_depths; i++) {
        js *d = js_object();
        js_set(d, "depth", js_new_int(r->depths[i].depth));
        js_set(d, "prefill", rate_js(&r->depths[i].prefill));
        js_set(d, "decode", rate_js(&r->depths[i].decode));
        js_push(depths, d);
    }
    js_set(o, "depths", depths);
    for (uint32_t i = 0; i < r->n_batches; i++) {
        js *b = js_object();
        js_set(b, "sequences", js_new_int(r->batches[i].sequences));
        js_set(b, "decode", rate_js(&r->batches[i].decode));
        js_push(batches, b);
    }
    js_set(o, "batches", batches);
    return o;
}
