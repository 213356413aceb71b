#include "cli/load.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/budget.h"
#include "cli/progress.h"
#include "fit/fit.h"
#include "gguf/gguf.h"
#include "plat/machine.h"
#include "plat/sandbox.h"
#include "store/store.h"

int load_check(const char *command_name, const load_options *o)
{
    if (o->context < 0 || o->context > (1 << 24))
        return usage_error(command_name, "--ctx must be from 1 to %d", 1 << 24);
    if (o->threads < 0 || o->threads > 256)
        return usage_error(command_name, "--threads must be from 1 to 256");
    engine_kv kv;
    if (o->kv && !engine_kv_named(o->kv, &kv))
        return usage_error(command_name, "--kv %s: must be f16, q8 or f32", o->kv);
    return EXIT_OK;
}

static bool show_progress(void *user, uint64_t done, uint64_t total)
{
    progress_show(user, "loading", done, total);
    return false;
}

void load_engine_options(const load_options *o, engine_options *out)
{
    engine_options_init(out);
    out->context = (uint32_t)o->context;
    out->n_threads = (int)o->threads;
    out->exact = o->exact;
    out->isa = o->isa;
    out->mem_bytes = o->mem;
    out->grammars = o->grammars;
    out->kv_type = o->exact ? ENGINE_KV_F32 : ENGINE_KV_F16;
    if (o->kv)
        engine_kv_named(o->kv, &out->kv_type);
}

void load_offline(void)
{
    static const sandbox_options options = { .kind = SANDBOX_OFFLINE };
    sandbox_report layers;
    error why = { 0 };
    if (sandbox_enter(&options, &layers, &why) != OK)
        log_line(LOG_LEVEL_WARN, "the network is not denied to this command: %s", why.text);
}

status load_file(engine **out, gguf *file, const load_options *o, error *err)
{
    engine_options options;
    progress_line bar;
    load_engine_options(o, &options);
    budget_of_command(&options, o->mem);
    options.mem_bytes = o->beside < options.mem_bytes ? options.mem_bytes - o->beside : 1;
    progress_init(&bar);
    options.progress = show_progress;
    options.user = &bar;
    status s = engine_open(out, file, &options, err);
    progress_end(&bar);
    if (!s)
        budget_guard(engine_memory(*out)->grammar_bytes + o->beside, options.mem_bytes);
    if (!s && engine_get_info(*out)->context > engine_get_info(*out)->context_train)
        fprintf(stderr, "note: the model was trained for %u positions; beyond them it is not itself\n",
                engine_get_info(*out)->context_train);
    return s;
}

/* A refusal names settings that would fit; here also another file of the same model. */
static void name_another_file(const char *path, const load_options *o, error *err)
{
    gguf *g = NULL;
    engine_options options;
    fit_model f = { .have_bytes = 0 };
    fit_machine m = { .read_bytes_per_s = 0 };
    fit_ways ways;
    char size[24];
    load_engine_options(o, &options);
    machine_read_memory(&m.memory);
    if (fit_model_file(path, &options, &m, &f, NULL) != OK || gguf_open(&g, path, NULL) != OK)
        return;
    size_t n = strlen(err->text);
    if (fit_nearest(g, path, &options, &f, &ways, NULL) == OK && ways.file[0])
        snprintf(err->text + n, sizeof err->text - n, "; %s of the same model would fit (%s)", ways.file,
                 str_human_bytes(size, ways.file_need));
    gguf_close(&g);
}

status load_model(engine **out, const char *model, const load_options *o, error *err)
{
    char *path = NULL;
    gguf *file = NULL;
    load_offline();
    status s = store_find(&path, model, err);
    if (!s)
        s = gguf_open(&file, path, err);
    if (!s)
        s = load_file(out, file, o, err);
    if (s == E_NOFIT)
        name_another_file(path, o, err);
    mem_free(path);
    return s;
}
