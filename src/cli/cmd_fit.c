/* cmd_fit.c: `hearth fit [MODEL...]`: this machine, and what of the models fits it. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "fit/fit.h"
#include "store/store.h"

static const usage page = {
    "hearth fit [OPTION]... [MODEL]...",
    "Shows this machine (bandwidth is measured), and for each MODEL, or for all in the models directory, the bytes\n"
    "of weights, KV and scratch at a context, whether it fits now, and the speed to expect. Only headers are read.\n"
    "Exit 4 when a named MODEL does not fit.\n\n"
    "example:\n"
    "  hearth fit SmolLM2-135M-Instruct.Q4_1 --ctx 2048\n",
};

static void print_machine(const fit_machine *m)
{
    char a[24], b[24], c[24], l1[24], l2[24], l3[24];
    printf("cpu         %s\n", m->cpu.name[0] ? m->cpu.name : "unknown");
    printf("cores       %d physical, %d logical of %d allowed", m->cpu.physical, m->cpu.allowed, m->cpu.online);
    if (m->cpu.quota > 0)
        printf(", cgroup quota %.2f", m->cpu.quota);
    printf("; hearth computes on %d\n", m->threads);
    printf("caches      L1d %s, L2 %s, L3 %s\n", str_human_bytes(l1, m->cpu.l1d_bytes),
           str_human_bytes(l2, m->cpu.l2_bytes), str_human_bytes(l3, m->cpu.l3_bytes));
    printf("isa         %s (kernels: %s)\n", m->features, m->isa);
    printf("memory      %s, %s available", str_human_bytes(a, m->memory.total_bytes),
           str_human_bytes(b, m->memory.available_bytes));
    if (m->memory.limit_bytes)
        printf(", cgroup limit %s", str_human_bytes(c, m->memory.limit_bytes));
    printf("; %s may be taken\n", str_human_bytes(c, m->memory.usable_bytes));
    printf("bandwidth   %.1f GB/s read, measured with %d threads\n", m->read_bytes_per_s / 1e9, m->threads);
    printf("power       %s\n", machine_power());
}

static void print_model(const fit_model *f)
{
    char params[24];
    buf line = BUF_INIT(1024);
    fit_arithmetic(f, &line);
    snprintf(params, sizeof params, "%.0fM", (double)f->n_params / 1e6);
    printf("\n%s%s%s  %s, %s, %s parameters, trained for %u positions\n", cli_style(1, "\033[1m"), f->name,
           cli_style(1, "\033[0m"), f->arch, f->file_type, params, f->context_train);
    printf("  memory    %s\n", buf_text(&line));
    printf("  fits      %s\n", f->fits ? "yes" : "no");
    printf("  expected  decode %.0f tokens/s (%.0f with a full context), prefill %.0f tokens/s\n", f->decode_per_s,
           f->decode_full_per_s, f->prefill_per_s);
    buf_clear(&line);
}

typedef struct fit_call {
    fit_machine machine;
    engine_options options;
    bool json, all_fit;
    js *models;
} fit_call;

static status fit_one(fit_call *c, const char *path, error *err)
{
    fit_model f;
    status s = fit_model_file(path, &c->options, &c->machine, &f, err);
    if (s)
        return s;
    c->all_fit &= f.fits;
    uint32_t largest = 0;
    if (!f.fits)
        s = fit_largest_context(path, &c->options, &c->machine, &largest, err);
    if (s)
        return s;
    if (c->json) {
        js *o = fit_model_js(&f);
        if (!f.fits)
            js_set(o, "largest_context", js_new_int(largest));
        js_push(c->models, o);
        return OK;
    }
    print_model(&f);
    if (!f.fits && largest)
        printf("  instead   --ctx %u would fit\n", largest);
    else if (!f.fits)
        printf("  instead   nothing of it fits: a smaller model or a stronger quantisation is needed\n");
    return OK;
}

static status fit_named(fit_call *c, const char *model, error *err)
{
    char *path = NULL;
    status s = store_find(&path, model, err);
    if (!s)
        s = fit_one(c, path, err);
    mem_free(path);
    return s;
}

/* Without names: what lies in the models directory. One damaged file does not hide the others. */
static status fit_all(fit_call *c, error *err)
{
    store_model *files = NULL;
    size_t n = 0;
    status s = store_list(&files, &n, err);
    for (size_t i = 0; !s && i < n; i++) {
        error one = { 0 };
        if (fit_one(c, files[i].path, &one))
            fprintf(stderr, "hearth fit: %s\n", one.text);
    }
    if (!s && n == 0 && !c->json)
        printf("\nNo models yet: give the path of a GGUF file, or put files into the models directory.\n");
    store_free(files, n);
    c->all_fit = true;
    return s;
}

static int print_json(fit_call *c)
{
    js *o = js_object();
    js_set(o, "machine", fit_machine_js(&c->machine));
    js_set(o, "models", c->models);
    return cli_print_json(o, "fit");
}

int cmd_fit(int argc, char **argv)
{
    load_options load = { 0 };
    fit_call c = { .all_fit = true };
    const option options[] = { LOAD_OPTIONS(load), { "json", 0, OPTION_FLAG, &c.json, NULL, "facts as JSON" } };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if ((code = load_check("fit", &load)) != EXIT_OK)
        return code;
    load_engine_options(&load, &c.options);
    load_offline();
    error e = { 0 };
    if (fit_measure_machine(&c.machine, (int)load.threads, &e))
        return report("fit", &e);
    if (c.json)
        c.models = js_array();
    else
        print_machine(&c.machine);
    status s = OK;
    for (size_t i = 1; !s && i <= n_words; i++)
        s = fit_named(&c, argv[i], &e);
    if (!s && n_words == 0)
        s = fit_all(&c, &e);
    code = c.json ? print_json(&c) : EXIT_OK;
    if (s)
        return report("fit", &e);
    return code ? code : c.all_fit ? EXIT_OK : EXIT_NOFIT;
}
