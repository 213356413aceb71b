#include "cli/fit_show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/fit_loss.h"
#include "quant/quant.h"

/* ---- long texts ---- */

/* Where the next line of at most `width` ends: at its last blank, at its end, or behind a word that is longer. */
static size_t line_end(const char *text, size_t width)
{
    size_t end = strcspn(text, "\n"), at = end;
    while (at > width) {
        size_t before = at;
        while (at > 0 && text[at - 1] != ' ')
            at--;
        if (at == 0)
            return before;
        at--;
    }
    return at;
}

static void fold(const char *text, const char *indent)
{
    for (bool first = true; *text; first = false) {
        size_t n = line_end(text, 79 - strlen(indent));
        printf("%s%.*s\n", first ? "" : indent, (int)n, text);
        text += n;
        text += *text == ' ' || *text == '\n';
    }
}

void fit_show_text(const char *text)
{
    fold(text, "");
}

/* ---- the machine ---- */

static void show_cores(const fit_machine *m)
{
    const machine_cpu *c = &m->cpu;
    printf("cores       %d physical", c->physical);
    if (c->efficient)
        printf(" (%d fast, %d efficient)", c->physical - c->efficient, c->efficient);
    printf(", %d logical of %d allowed", c->allowed, c->online);
    if (c->quota > 0)
        printf(", cgroup quota %.2f", c->quota);
    printf("; hearth computes on %d\n", m->threads);
}

static void show_memory(const machine_memory *m)
{
    char a[24], b[24], c[24];
    printf("memory      %s, %s available", str_human_bytes(a, m->total_bytes), str_human_bytes(b, m->available_bytes));
    if (m->limit_bytes)
        printf(", cgroup limit %s", str_human_bytes(c, m->limit_bytes));
    printf("; %s may be taken\n", str_human_bytes(c, m->usable_bytes));
}

void fit_show_machine(const fit_machine *m, const fit_past *past)
{
    char l1[24], l2[24], l3[24], disk[24] = "not known", text[256];
    printf("cpu         %s\n", m->cpu.name[0] ? m->cpu.name : "unknown");
    show_cores(m);
    printf("caches      L1d %s, L2 %s, L3 %s\n", str_human_bytes(l1, m->cpu.l1d_bytes),
           str_human_bytes(l2, m->cpu.l2_bytes), str_human_bytes(l3, m->cpu.l3_bytes));
    printf("isa         %s (kernels: %s)\n", m->features, m->isa);
    show_memory(&m->memory);
    printf("bandwidth   %.1f GB/s read, measured with %d threads", m->read_bytes_per_s / 1e9, m->threads);
    if (m->rates.others > FIT_BUSY)
        printf("; low: others took %.1f", m->rates.others);
    putchar('\n');
    printf("multiply    %.0f billion multiply-adds/s of Q8_0 weights, measured likewise\n", m->macs_per_s / 1e9);
    printf("disk        %s free for models\n",
           m->disk_free_bytes ? str_human_bytes(disk, m->disk_free_bytes) : disk);
    printf("power       %s\n", machine_power());
    printf("past error  ");
    fold(fit_past_text(past, text, sizeof text), "            ");
}

/* ---- a model ---- */

static void show_row(const char *name, uint64_t bytes, const char *what)
{
    char human[24];
    printf("  %-10s %14" PRIu64 " %10s%s%s\n", name, bytes, str_human_bytes(human, bytes), *what ? "  " : "", what);
}

static void show_more(const char *what)
{
    printf("  %37s  %s\n", "", what);
}

/* A line for each type that weights are kept in. */
static void show_weights(const fit_model *f)
{
    char text[64], human[24];
    uint64_t rest = f->budget.weights_bytes;
    show_row("weights", f->budget.weights_bytes, "of these:");
    for (uint32_t t = 0; t < KERNELS_TYPES; t++) {
        uint64_t n = f->work.sizes.type_bytes[t];
        rest -= n;
        snprintf(text, sizeof text, "%s %s", quant_name(t), str_human_bytes(human, n));
        if (n)
            show_more(text);
    }
    snprintf(text, sizeof text, "tables %s", str_human_bytes(human, rest));
    show_more(text);
}

static void show_kv(const fit_model *f)
{
    char text[96], page[24];
    snprintf(text, sizeof text, "%u positions, %s, pages of 64:", f->budget.n_pages * 64, f->kv_type);
    show_row("KV", f->budget.kv_bytes, text);
    for (int k = 0; k < ENGINE_KINDS; k++) {
        const engine_pages *p = &f->budget.pages[k];
        int n = snprintf(text, sizeof text, "%u x %s that see ", p->n_pages, str_human_bytes(page, p->page_bytes));
        if (k == ENGINE_WINDOW)
            snprintf(text + n, sizeof text - (size_t)n, "a window of %u", f->budget.window);
        else
            snprintf(text + n, sizeof text - (size_t)n, "everything");
        if (p->page_bytes)
            show_more(text);
    }
    show_row("cache", 0, "prompts' remembered pages are in KV");
}

/* What the budget has beside: a term of no bytes is no line. */
static void show_others(const fit_model *f)
{
    const engine_budget *b = &f->budget;
    const uint64_t rest = b->total_bytes - b->weights_bytes - b->kv_bytes - b->scratch_bytes - b->vocab_bytes -
                          b->load_bytes - b->process_bytes;
    const struct {
        const char *name, *what;
        uint64_t bytes;
    } rows[] = {
        { "scratch", "activations, logits, sampling", b->scratch_bytes },
        { "vocabulary", "tokens and merges", b->vocab_bytes },
        { "grammars", "the vocabulary as grammars need it", rest },
        { "loading", "pages of the file, while it is read", b->load_bytes },
        { "process", "program, stacks, page tables", b->process_bytes },
        { "server", "hearth serve around it", f->server_bytes },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].bytes)
            show_row(rows[i].name, rows[i].bytes, rows[i].what);
}

static void show_sum(const fit_model *f)
{
    char gap[24], text[80];
    uint64_t more = f->fits ? f->have_bytes - f->need_bytes : f->need_bytes - f->have_bytes;
    snprintf(text, sizeof text, "%s %s", str_human_bytes(gap, more), f->fits ? "would be left" : "are missing");
    show_row("sum", f->need_bytes, "");
    show_row("available", f->have_bytes, text);
}

static void show_fits(const fit_page *p)
{
    const fit_model *f = p->model;
    if (p->n_sessions > 1)
        printf("  parallel   %u answers at once share these positions\n", p->n_sessions);
    printf("  fits       %s", f->fits ? "yes" : "no");
    if (f->fits && p->largest >= f->context_train)
        printf(", also at all %u positions that it was trained for\n", f->context_train);
    else if (f->fits)
        printf("; the largest context that fits is %u of %u\n", p->largest, f->context_train);
    else {
        printf("\n  instead    ");
        fold(p->instead, "             ");
    }
}

void fit_show_page(const fit_page *p)
{
    const fit_model *f = p->model;
    char human[24], loss[FIT_LOSS_LONG];
    printf("\n%s%s%s  %s, %s, %.0fM parameters, %s%s\n", cli_style(1, "\033[1m"), f->name, cli_style(1, "\033[0m"),
           f->arch, f->file_type, (double)f->n_params / 1e6, str_human_bytes(human, f->file_bytes),
           p->subject->present ? " on disk" : ", not downloaded");
    show_weights(f);
    show_kv(f);
    show_others(f);
    show_sum(f);
    show_fits(p);
    if (f->work.spec.is_encoder)
        printf("  expected   %.0f tokens/s of texts read\n", f->prefill_per_s);
    else
        printf("  expected   tokens/s: decode %.1f (%.1f with a full context), prefill %.0f\n", f->decode_per_s,
               f->decode_full_per_s, f->prefill_per_s);
    if (p->loss)
        printf("  loss       %s\n             %s\n", fit_loss_long(p->loss, loss), p->loss->page);
}

/* ---- the same as data ---- */

static js *types_js(const fit_model *f)
{
    js *o = js_object();
    uint64_t rest = f->budget.weights_bytes;
    for (uint32_t t = 0; t < KERNELS_TYPES; t++) {
        uint64_t n = f->work.sizes.type_bytes[t];
        rest -= n;
        if (n)
            js_set(o, quant_name(t), js_new_int((int64_t)n));
    }
    js_set(o, "tables", js_new_int((int64_t)rest));
    return o;
}

static js *pages_js(const fit_model *f)
{
    static const char *const kinds[ENGINE_KINDS] = { "global", "window" };
    js *o = js_object();
    for (int k = 0; k < ENGINE_KINDS; k++) {
        const engine_pages *p = &f->budget.pages[k];
        js *one = js_object();
        js_set(one, "pages", js_new_int(p->n_pages));
        js_set(one, "page_bytes", js_new_int((int64_t)p->page_bytes));
        js_set(o, kinds[k], one);
    }
    return o;
}

js *fit_page_js(const fit_page *p)
{
    js *o = fit_model_js(p->model);
    js_set(o, "present", js_new_bool(p->subject->present));
    js_set(o, "weights", types_js(p->model));
    js_set(o, "kv_pages", pages_js(p->model));
    js_set(o, "parallel", js_new_int(p->n_sessions));
    js_set(o, "largest_context", js_new_int(p->largest));
    js_set(o, "instead", *p->instead ? js_new_string(p->instead) : js_null());
    js_set(o, "loss", p->loss ? fit_loss_js(p->loss) : js_null());
    return o;
}
