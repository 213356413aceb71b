/* cmd_perplexity.c: `hearth perplexity MODEL FILE`: how well a model foretells a text, or the answers of a task. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/js.h"
#include "cli/cli.h"
#include "cli/reading.h"
#include "quality/figures.h"

static const usage page = {
    "hearth perplexity [OPTION]... MODEL FILE\n       hearth perplexity [OPTION]... MODEL --task TASK...",
    "Measures how well MODEL foretells the text in FILE ('-': standard input), in windows of --ctx tokens (default\n"
    "512) of which the second half is judged; or the expected answers of tasks, each after its prompt. Lower is\n"
    "better; only figures of the same text and window compare. docs/QUALITY.md says what they mean.\n\n"
    "example:\n"
    "  hearth perplexity SmolLM2-135M-Instruct.Q4_1 LICENSE\n",
};

static void print_text(const reading *r, const reading_source *source, const quality_mean *ppl)
{
    char what[160];
    double rate = (double)r->text.tokens.n / (r->seconds + 1e-9);
    printf("perplexity %.4f +- %.4f over %s, %.0f tokens/s\n", ppl->value, ppl->error,
           reading_describe(r, source, what), rate);
    if (isnan(ppl->cluster_error))
        printf("  no interval: that takes two %s or more\n", source->file ? "windows" : "cases");
    else
        printf("  95 %% interval over %u %s: %.4f to %.4f (the +- takes every token for itself: too narrow)\n",
               r->text.n_clusters, source->file ? "windows" : "clusters of cases", ppl->low, ppl->high);
}

static int print_json(const reading *r, const reading_source *source, const quality_mean *nll, const quality_mean *ppl)
{
    const engine_info *i = engine_get_info(r->models[0]);
    js *o = js_object(), *interval = js_array();
    js_set(o, "model", js_new_string(r->paths[0]));
    js_set(o, "type", js_new_string(i->file_type));
    js_set(o, "perplexity", js_new_double(ppl->value));
    js_set(o, "standard_error", js_new_double(ppl->error));
    js_push(interval, js_new_double(ppl->low));
    js_push(interval, js_new_double(ppl->high));
    js_set(o, "interval_by_clusters", interval);
    js_set(o, "confidence", js_new_double(QUALITY_CONFIDENCE));
    js_set(o, "clusters", js_new_int(r->text.n_clusters));
    js_set(o, "mean_logprob", js_new_double(-nll->value));
    js_set(o, "mean_logprob_error", js_new_double(nll->error));
    js_set(o, "mean_logprob_error_by_clusters", js_new_double(nll->cluster_error));
    js_set(o, "tokens", js_new_int((int64_t)r->text.n_judged));
    js_set(o, "windows", source->file ? js_new_int((int64_t)r->text.n) : js_null());
    js_set(o, "cases", source->file ? js_null() : js_new_int((int64_t)r->text.n));
    reading_put_js(r, source, o);
    return cli_print_json(o, "perplexity");
}

int cmd_perplexity(int argc, char **argv)
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
    if ((code = reading_check("perplexity", &source, 1, n_words, argv + 1)) != EXIT_OK)
        return code;
    if ((code = load_check("perplexity", &load)) != EXIT_OK)
        return code;
    error err = { 0 };
    reading r;
    quality_mean log_p = { 0 };
    status s = reading_run(&r, argv + 1, 1, &source, &load, &err);
    if (!s)
        s = quality_mean_of(r.tokens.logp, &r.text, &log_p, &err);
    if (!s) {
        quality_mean nll = { -log_p.value, log_p.error, log_p.cluster_error, -log_p.high, -log_p.low };
        quality_mean ppl = quality_exp(nll);
        if (json)
            code = print_json(&r, &source, &nll, &ppl);
        else
            print_text(&r, &source, &ppl);
    }
    reading_close(&r);
    return s ? report("perplexity", &err) : code;
}
