/* cmd_embed.c: `hearth embed MODEL TEXT...`: one JSON line a text. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/load.h"
#include "engine/embed.h"
#include "token/vocab.h"

static const usage page = {
    "hearth embed [OPTION]... MODEL TEXT...",
    "Prints a JSON line for each TEXT (for each line of standard input where TEXT is '-'): its place, how many\n"
    "tokens it has, and its vector, of length 1 unless --raw. --classes prints the likeliest class of each token\n"
    "instead, of models that have a classifier. A text that is too long is an error, unless --truncate lets its end\n"
    "go.\n\n"
    "example:\n"
    "  hearth embed minilm.gguf 'How do I bake bread?' 'Baking a loaf'\n",
};

enum { TEXT_MAX = 256 << 20, LINE_MAX_BYTES = 64 << 20, LIST_MAX = 64 << 20, GROUP = 256 };

typedef struct command_options {
    load_options load;
    const char *pooling;
    bool raw, truncate, classes;
    int64_t dimensions;
} command_options;

/* Texts whose vectors are computed together: as many as bring something, and no more memory than that. */
typedef struct group {
    engine *e;
    const command_options *o;
    embed_options embed;
    token_list tokens;
    uint32_t ends[GROUP];
    bool cut[GROUP];
    uint32_t n;
    uint64_t first; /* place of its first text */
    float *vectors; /* [GROUP][length] */
} group;

static void print_vector(const group *g, uint32_t i, uint32_t n_tokens, uint32_t length)
{
    buf line = BUF_INIT(LINE_MAX_BYTES);
    buf_printf(&line, "{\"index\":%llu,\"tokens\":%u,", (unsigned long long)(g->first + i), n_tokens);
    if (g->cut[i])
        buf_str(&line, "\"truncated\":true,");
    buf_str(&line, "\"embedding\":[");
    for (uint32_t k = 0; k < length; k++)
        buf_printf(&line, "%s%.9g", k ? "," : "", (double)g->vectors[(size_t)i * length + k]);
    printf("%s]}\n", buf_text(&line));
    buf_clear(&line);
}

/* The likeliest class of a token and its probability among all. */
static void add_class(const group *g, int32_t token, const float *logits, buf *line)
{
    uint32_t n = engine_n_classes(g->e), best = 0;
    for (uint32_t k = 1; k < n; k++)
        best = logits[k] > logits[best] ? k : best;
    span piece = vocab_piece(engine_vocab(g->e), token);
    buf_str(line, "{\"token\":");
    js_write_string(line, piece.p, piece.n);
    buf_str(line, ",\"class\":");
    js_write_string(line, engine_class_name(g->e, best), strlen(engine_class_name(g->e, best)));
    buf_printf(line, ",\"probability\":%.6f}", engine_class_probability(logits, n, best));
}

static status print_classes(const group *g, uint32_t i, const int32_t *tokens, uint32_t n, error *err)
{
    uint32_t classes = engine_n_classes(g->e);
    float *logits = mem_array(n, classes ? classes * sizeof *logits : 1);
    if (!logits)
        return fail(err, E_NOMEM, "no memory for the classes of %u tokens", n);
    status s = engine_classify(g->e, tokens, n, logits, err);
    buf line = BUF_INIT(LINE_MAX_BYTES);
    buf_printf(&line, "{\"index\":%llu,\"classes\":[", (unsigned long long)(g->first + i));
    for (uint32_t t = 0; !s && t < n; t++) {
        buf_str(&line, t ? "," : "");
        add_class(g, tokens[t], logits + (size_t)t * classes, &line);
    }
    if (!s)
        printf("%s]}\n", buf_text(&line));
    buf_clear(&line);
    mem_free(logits);
    return s;
}

static status run_group(group *g, error *err)
{
    embed_input in[GROUP];
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t from = i ? g->ends[i - 1] : 0;
        in[i] = (embed_input){ g->tokens.ids + from, g->ends[i] - from };
    }
    status s = OK;
    if (!g->o->classes)
        s = engine_embed(g->e, in, g->n, &g->embed, g->vectors, err);
    for (uint32_t i = 0; !s && i < g->n; i++)
        if (g->o->classes)
            s = print_classes(g, i, in[i].tokens, in[i].n, err);
        else
            print_vector(g, i, in[i].n, engine_embed_length(g->e, &g->embed));
    g->first += g->n;
    g->n = 0;
    g->tokens.n = 0;
    return s;
}

static status add_text(group *g, const char *text, size_t n, error *err)
{
    status s = engine_embed_tokens(g->e, text, n, g->o->truncate, &g->tokens, &g->cut[g->n], err);
    if (s)
        return fail_prefix(err, s, "text %llu: ", (unsigned long long)(g->first + g->n));
    g->ends[g->n++] = (uint32_t)g->tokens.n;
    return g->n == GROUP ? run_group(g, err) : OK;
}

static status add_lines(group *g, error *err)
{
    buf text = BUF_INIT(TEXT_MAX);
    status s = input_read_file("-", &text, err);
    for (size_t from = 0; !s && from < text.len;) {
        const char *end = memchr(text.data + from, '\n', text.len - from);
        size_t n = end ? (size_t)(end - text.data) - from : text.len - from;
        s = add_text(g, text.data + from, n, err);
        from += n + 1;
    }
    buf_clear(&text);
    return s;
}

static status embed_all(engine *e, const command_options *o, char **texts, size_t n, error *err)
{
    group g = { .e = e, .o = o, .tokens = TOKEN_LIST_INIT(LIST_MAX) };
    embed_options_init(&g.embed);
    g.embed.raw = o->raw;
    g.embed.dimensions = (uint32_t)o->dimensions;
    if (o->pooling)
        engine_pooling_named(o->pooling, &g.embed.pooling);
    g.vectors = mem_array(GROUP, engine_embed_length(e, &g.embed) * sizeof *g.vectors);
    status s = g.vectors ? OK : fail(err, E_NOMEM, "no memory for vectors");
    for (size_t i = 0; !s && i < n; i++)
        s = strcmp(texts[i], "-") == 0 ? add_lines(&g, err) : add_text(&g, texts[i], strlen(texts[i]), err);
    if (!s && g.n)
        s = run_group(&g, err);
    token_list_clear(&g.tokens);
    mem_free(g.vectors);
    return s;
}

int cmd_embed(int argc, char **argv)
{
    command_options o = { 0 };
    const option options[] = {
        { "pooling", 0, OPTION_TEXT, &o.pooling, "KIND", "mean, cls or last (default: as the file wishes)" },
        { "dimensions", 0, OPTION_INT, &o.dimensions, "N", "only the first N values of each vector" },
        { "raw", 0, OPTION_FLAG, &o.raw, NULL, "vectors as pooled, not of length 1" },
        { "truncate", 0, OPTION_FLAG, &o.truncate, NULL, "cut texts that are too long" },
        { "classes", 0, OPTION_FLAG, &o.classes, NULL, "the class of each token" },
        LOAD_OPTIONS(o.load),
    };
    size_t n_words;
    int code;
    engine_pooling pooling;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words < 2)
        return usage_error("embed", "a MODEL and a TEXT are needed");
    if (o.pooling && !engine_pooling_named(o.pooling, &pooling))
        return usage_error("embed", "--pooling %s: must be mean, cls or last", o.pooling);
    if (o.dimensions < 0 || o.dimensions > 1 << 24)
        return usage_error("embed", "--dimensions must be from 1 to the model's");
    if ((code = load_check("embed", &o.load)) != EXIT_OK)
        return code;
    engine *e = NULL;
    error err = { 0 };
    status s = load_model(&e, argv[1], &o.load, &err);
    if (!s)
        s = embed_all(e, &o, argv + 2, n_words - 1, &err);
    engine_close(&e);
    return s ? report("embed", &err) : EXIT_OK;
}
