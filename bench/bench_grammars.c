/* Masks of grammars: time, and for bench/grammars the masks themselves.
 *
 *   bench_grammars                 figures for a few grammars with the test models' vocabularies
 *   bench_grammars --serve VOCAB   one vocabulary on the standard streams. First n (u32) and for each token its kind
 *                                  (u8: 0 text, 1 ends, 2 neither), length (u32) and bytes. Then requests: kind (u32: 0
 *                                  GBNF, 1 expression, 2 any JSON object), n (u32) and text, m (u32) and a text to
 *                                  read. Answers: status (u32); time to compile (f64, us), number of tokens (u32), and
 *                                  for each its id (i32; -1: the end), mask (whole words) and time of the mask (f64,
 *                                  us); it stops behind a token that does not fit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "gguf/gguf.h"
#include "grammar/grammar.h"
#include "token/vocab.h"

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void must(status st, const error *err)
{
    if (st) {
        fprintf(stderr, "bench_grammars: %s\n", err->text);
        exit(1);
    }
}

static vocab *open_vocab(const char *path)
{
    gguf *g = NULL;
    vocab *v = NULL;
    error err;
    if (gguf_open(&g, path, &err))
        return NULL;
    must(vocab_open(&v, g, &err), &err);
    gguf_close(&g);
    return v;
}

static status make(grammar **g, uint32_t kind, const char *text, size_t n, error *err)
{
    return kind == 0   ? grammar_gbnf(g, text, n, err)
           : kind == 1 ? grammar_regex(g, text, n, err)
                       : grammar_json_object(g, err);
}

/* ---- figures ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(const vocab *v, const grammar_vocab *tokens, const char *name, uint32_t kind, const char *text,
                    const char *document)
{
    static double took[20000];
    grammar *g = NULL;
    grammar_state *s = NULL;
    error err;
    token_list ids = TOKEN_LIST_INIT(20000);
    double start = now_us(), compiled, total = 0;
    must(make(&g, kind, text, strlen(text), &err), &err);
    compiled = now_us() - start;
    must(grammar_state_open(&s, g, tokens, &err), &err);
    must(vocab_encode(v, document, strlen(document), 0, &ids, &err), &err);
    size_t n = 0;
    for (; n < ids.n; n++) {
        const uint64_t *mask;
        start = now_us();
        must(grammar_state_mask(s, &mask, &err), &err);
        took[n] = now_us() - start;
        total += took[n];
        must(grammar_state_accept(s, ids.ids[n], &err), &err);
    }
    double first = took[0];
    qsort(took, n, sizeof *took, by_value);
    printf("  %-12s compile %7.1f us, first mask %7.1f, median %6.2f, p99 %7.1f, most %7.1f, mean %6.2f (%zu tokens)\n",
           name, compiled, first, took[n / 2], took[n * 99 / 100], took[n - 1], total / (double)n, n);
    token_list_clear(&ids);
    grammar_state_close(&s);
    grammar_close(&g);
}

static int figures(void)
{
    static const char *const names[] = { "SmolLM2-135M-Instruct.Q4_1.gguf", "vocabs/ggml-vocab-qwen2.gguf" };
    static char document[16384];
    const char *cache = getenv("HEARTH_CACHE");
    size_t n = (size_t)sprintf(document, "{\"title\": \"Inventory\", \"items\": [");
    for (int i = 0; i < 40; i++)
        n += (size_t)sprintf(document + n, "%s{\"id\": %d, \"name\": \"Thing no. %d, \\\"new\\\"\", \"price\": %d.5}",
                             i ? ", " : "", i, i * 7, i * 3);
    strcpy(document + n, "]}");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", cache ? cache : "build/cache", names[i]);
        vocab *v = open_vocab(path);
        grammar_vocab *tokens = NULL;
        error err;
        if (!v)
            continue;
        double start = now_us();
        must(grammar_vocab_open(&tokens, v, &err), &err);
        printf("%s: %d tokens sorted in %.1f ms, %zu KB\n", names[i], vocab_n_tokens(v), (now_us() - start) * 1e-3,
               grammar_vocab_bytes(tokens) / 1024);
        measure(v, tokens, "any object", 2, "", document);
        measure(v, tokens, "date", 1, "\\d{4}-(0[1-9]|1[0-2])-([0-2]\\d|3[01])", "2024-12-31");
        measure(v, tokens, "200 chars", 1, "\"[^\"\\\\\\x00-\\x1f]{0,200}\"", "\"A text of a few words, no more than that.\"");
        grammar_vocab_close(&tokens);
        vocab_close(&v);
    }
    return 0;
}

/* ---- serving ---- */

static char *read_text(uint32_t *n)
{
    char *text;
    if (fread(n, sizeof *n, 1, stdin) != 1 || !(text = mem_alloc((size_t)*n + 1)) || fread(text, 1, *n, stdin) != *n)
        exit(0);
    return text;
}

static void write_vocab(const vocab *v)
{
    uint32_t n = (uint32_t)vocab_n_tokens(v);
    fwrite(&n, 4, 1, stdout);
    for (int32_t t = 0; t < (int32_t)n; t++) {
        vocab_type type = vocab_type_of(v, t);
        bool text = type == VOCAB_NORMAL || type == VOCAB_BYTE || type == VOCAB_USER_DEFINED;
        span s = vocab_piece(v, t);
        uint32_t length = (uint32_t)s.n;
        putchar(vocab_is_eog(v, t) ? 1 : text && !vocab_is_control(v, t) ? 0 : 2);
        fwrite(&length, 4, 1, stdout);
        fwrite(s.p, 1, s.n, stdout);
    }
    fflush(stdout);
}

static void answer(const grammar_vocab *tokens, grammar *g, double compiled, const token_list *ids)
{
    grammar_state *s = NULL;
    error err;
    uint32_t n = (uint32_t)ids->n + 1;
    must(grammar_state_open(&s, g, tokens, &err), &err);
    fwrite(&compiled, 8, 1, stdout);
    fwrite(&n, 4, 1, stdout);
    bool fits = true;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t *mask;
        int32_t id = fits && i < ids->n ? ids->ids[i] : -1;
        double start = now_us();
        must(grammar_state_mask(s, &mask, &err), &err);
        double took = now_us() - start;
        fwrite(&id, 4, 1, stdout);
        fwrite(mask, 8, grammar_vocab_words(tokens), stdout);
        fwrite(&took, 8, 1, stdout);
        fits = id >= 0 && !grammar_state_accept(s, id, NULL);
    }
    grammar_state_close(&s);
}

static int serve(const char *path)
{
    vocab *v = open_vocab(path);
    grammar_vocab *tokens = NULL;
    error err;
    uint32_t kind, n, m;
    if (!v)
        return 1;
    must(grammar_vocab_open(&tokens, v, &err), &err);
    write_vocab(v);
    while (fread(&kind, 4, 1, stdin) == 1) {
        char *text = read_text(&n), *document = read_text(&m);
        grammar *g = NULL;
        token_list ids = TOKEN_LIST_INIT(1 << 20);
        must(vocab_encode(v, document, m, 0, &ids, &err), &err);
        double start = now_us();
        uint32_t st = make(&g, kind, text, n, &err);
        double compiled = now_us() - start;
        fwrite(&st, 4, 1, stdout);
        if (st)
            fprintf(stderr, "bench_grammars: %s\n", err.text);
        else
            answer(tokens, g, compiled, &ids);
        fflush(stdout);
        grammar_close(&g);
        token_list_clear(&ids);
        mem_free(text);
        mem_free(document);
    }
    grammar_vocab_close(&tokens);
    vocab_close(&v);
    return 0;
}

int main(int argc, char **argv)
{
    return argc == 3 && !strcmp(argv[1], "--serve") ? serve(argv[2]) : figures();
}
