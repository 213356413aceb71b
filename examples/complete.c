/* complete.c: continues a text with a model, streaming.
 *
 *     cc complete.c $(pkg-config --cflags --libs hearth) -o complete
 *     ./complete model.gguf "Once upon a time" [TOKENS]
 *
 * With a chat model, give --chat as a last word: the text is then what the user says. */
#include <hearth.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_MAX = 4096 };

/* Called with whole characters as they come; true would stop the answer. */
static bool print_piece(void *user, const char *text, size_t bytes)
{
    return fwrite(text, 1, bytes, user) != bytes || fflush(user) != 0;
}

static hearth_result tokens_of(const hearth_model *m, const char *text, bool chat, int32_t *tokens, size_t *n,
                               char *why)
{
    hearth_message message = { "user", text };
    hearth_result r = chat ? hearth_chat_tokens(m, &message, 1, tokens, PROMPT_MAX, n, why)
                           : hearth_tokenize(m, text, strlen(text), false, true, tokens, PROMPT_MAX, n, why);
    if (r == HEARTH_OK && (*n == 0 || *n > PROMPT_MAX)) {
        snprintf(why, HEARTH_ERROR_BYTES, "the prompt has %zu tokens, this example takes 1 to %d", *n, PROMPT_MAX);
        return HEARTH_RANGE;
    }
    return r;
}

static hearth_result complete(hearth_model *m, const char *text, uint32_t max_tokens, bool chat, char *why)
{
    static int32_t tokens[PROMPT_MAX];
    size_t n = 0;
    hearth_session *s = NULL;
    hearth_answer answer;
    hearth_sampling sampling;
    hearth_sampling_init(&sampling);
    sampling.temperature = 0;
    sampling.max_tokens = max_tokens;
    hearth_result r = tokens_of(m, text, chat, tokens, &n, why);
    if (r == HEARTH_OK)
        r = hearth_session_open(&s, m, why);
    if (r == HEARTH_OK)
        r = hearth_generate(s, tokens, (uint32_t)n, &sampling, print_piece, stdout, &answer, why);
    if (r == HEARTH_OK)
        fprintf(stderr, "\n%u tokens after a prompt of %u\n", answer.n_tokens, answer.n_prompt);
    hearth_session_close(&s);
    return r;
}

int main(int argc, char **argv)
{
    char why[HEARTH_ERROR_BYTES] = "";
    hearth_model *m = NULL;
    hearth_model_options options;
    bool chat = argc > 3 && strcmp(argv[argc - 1], "--chat") == 0;
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.gguf TEXT [TOKENS] [--chat]\n", argv[0]);
        return 2;
    }
    long max_tokens = argc - chat > 3 ? strtol(argv[3], NULL, 10) : 64;
    hearth_model_options_init(&options);
    options.context = PROMPT_MAX;
    hearth_result r = hearth_model_open(&m, argv[1], &options, why);
    if (r == HEARTH_OK)
        r = complete(m, argv[2], max_tokens > 0 ? (uint32_t)max_tokens : 64, chat, why);
    hearth_model_close(&m);
    if (r != HEARTH_OK)
        fprintf(stderr, "%s\n", why);
    return r == HEARTH_OK ? 0 : 1;
}
