#include "cli/reading.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/budget.h"
#include "cli/input.h"
#include "cli/reading_task.h"
#include "gguf/gguf.h"
#include "plat/clock.h"
#include "store/store.h"

enum { TEXT_MAX = 256 << 20 };

int reading_check(const char *command_name, reading_source *s, size_t n_models, size_t n_words, char **words)
{
    const char *models = n_models == 1 ? "a MODEL" : "two models";
    if (n_words < n_models || n_words > n_models + 1)
        return usage_error(command_name, "%s and a FILE are needed, or %s and --task TASK", models, models);
    s->file = n_words > n_models ? words[n_models] : NULL;
    if (s->file && s->tasks.n)
        return usage_error(command_name, "a FILE or --task, not both: their figures do not mix");
    if (!s->file && !s->tasks.n)
        return usage_error(command_name, "what to read? a FILE of a few thousand words like those the model is for, or "
                           "--task TASK");
    if (s->windows < 0 || s->windows > PASSAGES_MAX)
        return usage_error(command_name, "--windows must be from 1 to %d", PASSAGES_MAX);
    if (s->windows && !s->file)
        return usage_error(command_name, "--windows is for a FILE");
    return EXIT_OK;
}

static status make_windows(reading *r, const vocab *v, const reading_source *s, const load_options *load, error *err)
{
    buf text = BUF_INIT(TEXT_MAX);
    status st = input_read_file(s->file, &text, err);
    if (!st)
        st = passages_windows(&r->text, v, buf_text(&text), text.len, s->file,
                              load->context ? (uint32_t)load->context : READING_WINDOW, (uint32_t)s->windows, err);
    buf_clear(&text);
    return st;
}

static status make_text(reading *r, const gguf *file, const vocab *v, const reading_source *s, const load_options *load,
                        error *err)
{
    status st = OK;
    if (s->file)
        st = make_windows(r, v, s, load, err);
    for (size_t i = 0; !st && i < s->tasks.n; i++)
        st = reading_add_task(&r->text, s->tasks.values[i], r->paths[0], file, v, &r->n_skipped, err);
    if (!st && r->text.n == 0)
        st = fail(err, E_FORMAT, "none of the cases has an answer to judge");
    if (!st && load->context && r->text.longest > load->context)
        st = fail(err, E_NOFIT, "the longest case takes %u tokens, and --ctx is %lld", r->text.longest,
                  (long long)load->context);
    return st;
}

/* Both at once, for neither may be closed before the last token is judged. */
static status check_memory(gguf *const *files, size_t n, load_options *load, error *err)
{
    engine_options options;
    uint64_t need[READING_MODELS] = { 0 };
    char texts[4][24];
    load_engine_options(load, &options);
    budget_of_command(&options, load->mem);
    const uint64_t most = options.mem_bytes;
    options.mem_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        engine_budget b;
        status s = engine_plan(files[i], &options, &b, err);
        if (s)
            return s;
        need[i] = b.total_bytes;
    }
    load->mem = most; /* what is free is asked once: the first model takes of it before the second */
    load->beside = n > 1 ? need[1] : 0;
    if (n == 1 || need[0] + need[1] <= most)
        return OK;
    return fail(err, E_NOFIT, "both models are open at once: %s + %s = %s, and %s may be taken",
                str_human_bytes(texts[0], need[0]), str_human_bytes(texts[1], need[1]),
                str_human_bytes(texts[2], need[0] + need[1]), str_human_bytes(texts[3], most));
}

/* What is left of the budget, which is never 0: that would be none. */
static uint64_t left_of(uint64_t mem, const engine *e)
{
    uint64_t taken = e ? engine_memory(e)->total_bytes : 0;
    return taken < mem ? mem - taken : 1;
}

static status open_files(reading *r, char *const *models, gguf **files, vocab **vocabs, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < r->n_models; i++) {
        s = store_find(&r->paths[i], models[i], err);
        if (!s)
            s = gguf_open(&files[i], r->paths[i], err);
        if (!s)
            s = vocab_open(&vocabs[i], files[i], err);
        if (s == E_NOTFOUND && vocabs[i] == NULL && files[i])
            (void)fail_prefix(err, s, "there is nothing to read a text with: ");
    }
    return !s && r->n_models == 2 ? quality_same_vocab(vocabs[0], vocabs[1], err) : s;
}

static bool show_bar(void *user, size_t done, size_t judged)
{
    reading *r = user;
    bool two = r->tokens.kl != NULL;
    for (; r->shown < judged; r->shown++)
        r->shown_sum += two ? r->tokens.kl[r->shown] : -r->tokens.logp[r->shown];
    double mean = r->shown_sum / (double)judged;
    fprintf(stderr, "\r%zu of %zu: %s %.4f ", done, r->text.n, two ? "KL" : "perplexity", two ? mean : exp(mean));
    return false;
}

static status read_text(reading *r, error *err)
{
    bool bar = cli_is_terminal(STDERR_FILENO);
    status s = quality_tokens_open(&r->tokens, r->text.n_judged, r->n_models == 2, err);
    uint64_t start = clock_mono_us();
    if (!s && r->n_models == 2)
        s = quality_compare(r->models[0], r->models[1], &r->text, &r->tokens, bar ? show_bar : NULL, r, err);
    else if (!s)
        s = quality_read(r->models[0], &r->text, &r->tokens, bar ? show_bar : NULL, r, err);
    if (bar)
        fprintf(stderr, "\r                                        \r");
    r->seconds = (double)(clock_mono_us() - start) / 1e6;
    return s;
}

status reading_run(reading *r, char *const *models, size_t n_models, const reading_source *s, load_options *load,
                   error *err)
{
    gguf *files[READING_MODELS] = { NULL };
    vocab *vocabs[READING_MODELS] = { NULL };
    *r = (reading){ .n_models = n_models, .text = PASSAGES_INIT };
    load_offline();
    status st = open_files(r, models, files, vocabs, err);
    if (!st)
        st = make_text(r, files[0], vocabs[0], s, load, err);
    if (!st) {
        load->context = r->context = r->text.longest;
        st = check_memory(files, n_models, load, err);
    }
    for (size_t i = 0; i < n_models; i++)
        vocab_close(&vocabs[i]);
    for (size_t i = 0; !st && i < n_models; i++) {
        gguf *file = files[i];
        files[i] = NULL;
        st = load_file(&r->models[i], file, load, err);
        load->mem = left_of(load->mem, r->models[i]);
        load->beside = 0;
    }
    for (size_t i = 0; i < n_models; i++)
        gguf_close(&files[i]);
    return st ? st : read_text(r, err);
}

void reading_close(reading *r)
{
    for (size_t i = 0; i < r->n_models; i++) {
        engine_close(&r->models[i]);
        mem_free(r->paths[i]);
    }
    passages_clear(&r->text);
    quality_tokens_clear(&r->tokens);
}

char *reading_describe(const reading *r, const reading_source *s, char text[160])
{
    if (s->file)
        snprintf(text, 160, "%zu tokens in %zu window%s of %u", r->text.n_judged, r->text.n, r->text.n == 1 ? "" : "s",
                 r->context);
    else if (r->n_skipped)
        snprintf(text, 160, "%zu tokens of the answers to %zu cases (%zu more have no answer to judge)",
                 r->text.n_judged, r->text.n, r->n_skipped);
    else
        snprintf(text, 160, "%zu tokens of the answers to %zu cases", r->text.n_judged, r->text.n);
    return text;
}

void reading_put_js(const reading *r, const reading_source *source, js *o)
{
    const engine_info *info = engine_get_info(r->models[0]);
    js_set(o, "kv", js_new_string(engine_kv_name(info->kv_type)));
    js_set(o, "exact", js_new_bool(info->exact));
    js_set(o, "numerics", js_new_string(info->numerics));
    js_set(o, "window", source->file ? js_new_int(r->context) : js_null());
    js_set(o, "cases_skipped", js_new_int((int64_t)r->n_skipped));
    js_set(o, "seconds", js_new_double(r->seconds));
    js_set(o, "tokens_per_s", js_new_double((double)r->text.tokens.n / (r->seconds + 1e-9)));
}
