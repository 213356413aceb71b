/* Speculation on a real model: answers with and without, in turns, on texts that copy and texts that do not. Median of
 * the quotients: of the processor's seconds, which a busy machine blurs less, and of decoding by the clock. One thread
 * unless told. usage: bench_lookup [MODEL [TOKENS [ROUNDS [THREADS]]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "engine/generate.h"
#include "gguf/gguf.h"
#include "token/vocab.h"

enum { ROUNDS_MAX = 31 };

#define STORY                                                                                                          \
    "Margaret opened the old ledger on the third of March 1921 and read the names aloud: Thomas Ashby, 14 Quay "      \
    "Street, two crates of oranges; Eliza Fenwick, 3 Mill Lane, one barrel of salted herring; Robert Greaves, 27 "    \
    "Castle Row, six lamps and a length of rope. The harbour master had signed every page, yet the totals did not "   \
    "agree with the receipts kept by the customs house. She copied each line into her own notebook and began again "  \
    "from the first entry, because a single missing crate would have meant a fine of forty shillings."

static const struct {
    const char *name, *prompt;
} texts[] = {
    { "copy", "<|im_start|>user\nRepeat this text word for word:\n" STORY "<|im_end|>\n<|im_start|>assistant\n" STORY
              " Margaret opened" },
    { "extract", "<|im_start|>user\n" STORY "\nList each name and address from the text, exactly as written, one a "
                 "line.<|im_end|>\n<|im_start|>assistant\nThomas Ashby, 14 Quay Street\nEliza Fenwick," },
    { "code", "<|im_start|>user\nWrite a C table of the months with their days.<|im_end|>\n<|im_start|>assistant\n"
              "static const struct month months[] = {\n    { \"January\", 31 },\n    { \"February\", 28 },\n" },
    { "story", "<|im_start|>user\nTell me a story about a lighthouse keeper who finds a letter.<|im_end|>\n"
               "<|im_start|>assistant\n" },
    { "facts", "<|im_start|>user\nExplain how rain forms.<|im_end|>\n<|im_start|>assistant\n" },
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double processor_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static generate_result once(session *s, const token_list *prompt, const sampling_options *o, double *processor)
{
    error err;
    double start = processor_seconds();
    generate_result r;
    if (engine_generate(s, prompt->ids, (uint32_t)prompt->n, o, NULL, NULL, &r, &err) != OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    *processor = processor_seconds() - start;
    return r;
}

static void measure(session *s, size_t text, float temperature, uint32_t tokens, int rounds)
{
    error err;
    double ratios[ROUNDS_MAX], clocks[ROUNDS_MAX], alone, with;
    generate_result off = { 0 }, on = { 0 };
    token_list prompt = TOKEN_LIST_INIT(4096);
    sampling_options o;
    sampling_options_init(&o);
    o.temperature = temperature;
    o.max_tokens = tokens;
    o.ignore_eos = true;
    const char *words = texts[text].prompt;
    if (vocab_encode(engine_vocab(session_engine(s)), words, strlen(words), VOCAB_BOS | VOCAB_SPECIAL, &prompt, &err))
        exit(1);
    o.max_tokens = 1; /* the prompt is read once */
    once(s, &prompt, &o, &alone);
    o.max_tokens = tokens;
    for (int i = 0; i < rounds; i++) {
        o.speculate = SPECULATE_OFF;
        off = once(s, &prompt, &o, &alone);
        o.speculate = SPECULATE_AUTO;
        on = once(s, &prompt, &o, &with);
        ratios[i] = alone / with;
        clocks[i] = off.decode_s / on.decode_s;
    }
    qsort(clocks, (size_t)rounds, sizeof *clocks, by_value);
    qsort(ratios, (size_t)rounds, sizeof *ratios, by_value);
    printf("%-8s T %.1f  %6.1f tokens/s alone  processor %5.2fx (%.2f .. %.2f)  clock %5.2fx  %u of %u held\n",
           texts[text].name, (double)temperature, (off.n_tokens - 1) / off.decode_s, ratios[rounds / 2], ratios[0],
           ratios[rounds - 1], clocks[rounds / 2], on.n_accepted, on.n_drafted);
    fflush(stdout);
    token_list_clear(&prompt);
}

int main(int argc, char **argv)
{
    char path[512];
    const char *cache = getenv("HEARTH_CACHE");
    snprintf(path, sizeof path, "%s/SmolLM2-135M-Instruct.Q4_1.gguf", cache ? cache : "build/cache");
    uint32_t tokens = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 160;
    int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 5;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    error err;
    gguf *g = NULL;
    engine *e = NULL;
    session *s = NULL;
    engine_options o;
    engine_options_init(&o);
    o.context = 2048;
    o.n_threads = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1;
    if (gguf_open(&g, argc > 1 ? argv[1] : path, &err) || engine_open(&e, g, &o, &err) || session_open(&s, e, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int hot = 0; hot < 2; hot++)
            measure(s, i, hot ? 0.8f : 0.0f, tokens, rounds);
    session_close(&s);
    engine_close(&e);
    return 0;
}
