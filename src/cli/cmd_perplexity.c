/* cmd_perplexity.c: `hearth perplexity MODEL FILE`: how well a model foretells a text.
 *
 * The text is cut into windows of the context's length; in each, the second half is judged, given all before it in the
 * window, so that every judged token has at least half a window of history. Perplexity = exp(-mean log p). The standard
 * error is over tokens, as if they were independent: it is a lower bound. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/load.h"
#include "plat/clock.h"
#include "token/vocab.h"

static const usage page = {
    "hearth perplexity [OPTION]... MODEL FILE",
    "Measures how well MODEL foretells the text in FILE ('-': standard input), in windows of --ctx tokens (default\n"
    "512) of which the second half is judged. Lower is better; only figures of the same text and window compare.\n\n"
    "example:\n"
    "  hearth perplexity SmolLM2-135M-Instruct.Q4_1 LICENSE\n",
};

enum { TEXT_MAX = 256 << 20, LIST_MAX = 64 << 20 };

typedef struct tally {
    uint64_t n;
    double sum, squares;
    uint32_t windows, windows_total;
    double seconds;
} tally;

static double perplexity(const tally *t)
{
    return exp(-t->sum / (double)t->n);
}

/* Of the perplexity: that of the mean log-probability, times its derivative. */
static double standard_error(const tally *t)
{
    double mean = t->sum / (double)t->n, variance = t->squares / (double)t->n - mean * mean;
    return t->n > 1 ? perplexity(t) * sqrt(variance / (double)(t->n - 1)) : 0;
}

static status judge(session *s, const token_list *tokens, uint32_t window, double *logprobs, tally *t, error *err)
{
    bool bar = cli_is_terminal(STDERR_FILENO);
    const vocab *v = engine_vocab(session_engine(s));
    int32_t *ids = mem_array(window, sizeof *ids);
    if (!ids)
        return fail(err, E_NOMEM, "no memory");
    status st = OK;
    for (size_t from = 0; !st && from + window <= tokens->n; from += window) {
        memcpy(ids, tokens->ids + from, window * sizeof *ids);
        if (vocab_adds_bos(v) && vocab_bos(v) >= 0)
            ids[0] = vocab_bos(v); /* every window begins as a text does */
        st = session_score(s, ids, window, logprobs, NULL, NULL, err);
        for (uint32_t i = window / 2; !st && i < window; i++) {
            t->sum += logprobs[i];
            t->squares += logprobs[i] * logprobs[i];
            t->n++;
        }
        t->windows++;
        if (!st && bar)
            fprintf(stderr, "\rwindow %u of %u: %.4f ", t->windows, t->windows_total, perplexity(t));
    }
    if (bar)
        fprintf(stderr, "\r                                        \r");
    mem_free(ids);
    return st;
}

static status run(engine *e, const char *path, tally *t, error *err)
{
    buf text = BUF_INIT(TEXT_MAX);
    token_list tokens = TOKEN_LIST_INIT(LIST_MAX);
    session *s = NULL;
    uint32_t window = engine_get_info(e)->context;
    double *logprobs = mem_array(window, sizeof *logprobs);
    status st = logprobs ? OK : fail(err, E_NOMEM, "no memory");
    if (!st)
        st = input_read_file(path, &text, err);
    if (!st)
        st = vocab_encode(engine_vocab(e), buf_text(&text), text.len, VOCAB_BOS, &tokens, err);
    if (!st && tokens.n < window)
        st = fail(err, E_RANGE, "%s: %zu tokens, and one window has %u: give a longer text or a smaller --ctx", path,
                  tokens.n, window);
    if (!st)
        st = session_open(&s, e, err);
    if (!st) {
        uint64_t start = clock_mono_us();
        t->windows_total = (uint32_t)(tokens.n / window);
        st = judge(s, &tokens, window, logprobs, t, err);
        t->seconds = (double)(clock_mono_us() - start) / 1e6;
    }
    session_close(&s);
    mem_free(logprobs);
    token_list_clear(&tokens);
    buf_clear(&text);
    return st;
}

static void print_result(const tally *t, uint32_t window, bool json)
{
    double rate = (double)t->windows * window / (t->seconds + 1e-9);
    if (!json) {
        printf("perplexity %.4f +- %.4f over %llu tokens (%u windows of %u), %.0f tokens/s\n", perplexity(t),
               standard_error(t), (unsigned long long)t->n, t->windows, window, rate);
        return;
    }
    js *o = js_object();
    js_set(o, "perplexity", js_new_double(perplexity(t)));
    js_set(o, "standard_error", js_new_double(standard_error(t)));
    js_set(o, "mean_logprob", js_new_double(t->sum / (double)t->n));
    js_set(o, "tokens", js_new_int((int64_t)t->n));
    js_set(o, "windows", js_new_int(t->windows));
    js_set(o, "window", js_new_int(window));
    js_set(o, "tokens_per_s", js_new_double(rate));
    buf text = BUF_INIT(4096);
    js_write(o, JS_PRETTY, &text);
    printf("%s\n", buf_text(&text));
    buf_clear(&text);
    js_free(o);
}

int cmd_perplexity(int argc, char **argv)
{
    load_options load = { 0 };
    bool json = false;
    const option options[] = { LOAD_OPTIONS(load), { "json", 0, OPTION_FLAG, &json, NULL, "the figures as JSON" } };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words != 2)
        return usage_error("perplexity", "a MODEL and a FILE are needed");
    if ((code = load_check("perplexity", &load)) != EXIT_OK)
        return code;
    if (!load.context)
        load.context = 512;
    engine *e = NULL;
    error err = { 0 };
    tally t = { 0 };
    status s = load_model(&e, argv[1], &load, &err);
    if (!s)
        s = run(e, argv[2], &t, &err);
    if (!s)
        print_result(&t, engine_get_info(e)->context, json);
    engine_close(&e);
    return s ? report("perplexity", &err) : EXIT_OK;
}
