/* cmd_compare.c: `hearth compare A B FILE`: how far model B is from the reference A, token by token. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/js.h"
#include "cli/cli.h"
#include "cli/reading.h"
#include "quality/figures.h"

static const usage page = {
    "hearth compare [OPTION]... A B FILE\n       hearth compare [OPTION]... A B --task TASK...",
    "Lets two models of one vocabulary read the same text and says how far B is from the reference A: the divergence\n"
    "of its predictions, how often both hold the same token for the likeliest, and what that makes of the perplexity.\n"
    "The text is FILE ('-': standard input) in windows of --ctx tokens (default 512) of which the second half is\n"
    "judged; or the expected answers of tasks, each after its prompt. docs/QUALITY.md says what the figures mean.\n\n"
    "example:\n"
    "  hearth compare model-f16.gguf model-q4_k.gguf LICENSE\n",
};

/* value, interval and error are multiplied with `scale` and written with so many digits. */
static void print_mean(const char *name, const quality_mean *m, double scale, int digits, const char *unit)
{
    char interval[64] = "-";
    if (!isnan(m->low))
        snprintf(interval, sizeof interval, "%.*f to %.*f", digits, scale * m->low, digits, scale * m->high);
    printf("  %-26s %12.*f%-2s %-26s +- %.*f\n", name, digits, scale * m->value, unit, interval, digits,
           scale * m->error);
}

static void print_quantiles(const quality_figures *f)
{
    for (size_t i = 0; i < QUALITY_QUANTILES; i++) {
        const quality_quantile *q = &f->kl_at[i];
        char name[32], interval[64];
        snprintf(name, sizeof name, q->q == .5 ? "  median" : "  %g %%", 100 * q->q);
        if (isnan(q->high))
            snprintf(interval, sizeof interval, "too few tokens for one");
        else
            snprintf(interval, sizeof interval, "%.6f to %.6f", q->low, q->high);
        printf("  %-26s %12.6f   %s\n", name, q->value, interval);
    }
    printf("  %-26s %12.6f\n", "  largest", f->kl_max);
}

static void print_text(const reading *r, const reading_source *source, const quality_figures *f)
{
    char what[160];
    for (size_t i = 0; i < r->n_models; i++)
        printf("%c  %s (%s)%s\n", (char)('A' + i), r->paths[i], engine_get_info(r->models[i])->file_type,
               i ? "" : ", the reference");
    printf("%s, %.0f tokens/s\n\n", reading_describe(r, source, what), (double)r->text.tokens.n / (r->seconds + 1e-9));
    printf("  %-26s %14s %-26s %s\n", "", "", source->file ? "95 % over windows" : "95 % over clusters of cases",
           "as if tokens were alone");
    print_mean("KL divergence, nats: mean", &f->kl, 1, 6, "");
    print_quantiles(f);
    print_mean("same likeliest token", &f->same_top, 100, 3, " %");
    print_mean("p of the token, B - A: RMS", &f->rms_dp, 100, 3, " %");
    print_mean("  mean", &f->mean_dp, 100, 3, " %");
    print_mean("perplexity of A", &f->perplexity_a, 1, 4, "");
    print_mean("perplexity of B", &f->perplexity_b, 1, 4, "");
    print_mean("  B / A", &f->ratio, 1, 5, "");
    print_mean("  ln(B / A)", &f->log_ratio, 1, 6, "");
    if (f->n_clusters < 10)
        printf("\nonly %zu %s: the intervals are wide and themselves unsure; a longer text helps\n", f->n_clusters,
               source->file ? "windows" : "clusters");
}

static int print_json(const reading *r, const reading_source *source, const quality_figures *f)
{
    js *o = quality_figures_js(f), *models = js_array();
    for (size_t i = 0; i < r->n_models; i++) {
        const engine_info *info = engine_get_info(r->models[i]);
        js *m = js_object();
        js_set(m, "model", js_new_string(r->paths[i]));
        js_set(m, "type", js_new_string(info->file_type));
        js_set(m, "weights_bytes", js_new_int((int64_t)engine_memory(r->models[i])->weights_bytes));
        js_push(models, m);
    }
    js_set(o, "models", models);
    reading_put_js(r, source, o);
    return cli_print_json(o, "compare");
}

int cmd_compare(int argc, char **argv)
{
    load_options load = { 0 };
    reading_source source = { 0 };
    bool json = false;
    const option options[] = { READING_OPTIONS(source), LOAD_OPTIONS(load),
                               { "json", 0, OPTION_FLAG, &json, NULL, "the figures as JSON" } };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if ((code = reading_check("compare", &source, 2, n_words, argv + 1)) != EXIT_OK)
        return code;
    if ((code = load_check("compare", &load)) != EXIT_OK)
        return code;
    error err = { 0 };
    reading r;
    quality_figures f;
    status s = reading_run(&r, argv + 1, 2, &source, &load, &err);
    if (!s)
        s = quality_sum_up(&r.tokens, &r.text, &f, &err);
    if (!s && json)
        code = print_json(&r, &source, &f);
    else if (!s)
        print_text(&r, &source, &f);
    reading_close(&r);
    return s ? report("compare", &err) : code;
}
