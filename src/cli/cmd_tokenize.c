/* cmd_tokenize.c: `hearth tokenize MODEL [TEXT]`: what a model sees of a text. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/load.h"
#include "gguf/gguf.h"
#include "store/store.h"
#include "token/vocab.h"

static const usage page = {
    "hearth tokenize [OPTION]... MODEL [TEXT]",
    "Prints the token ids of TEXT (of standard input without TEXT), one line; with --pieces each with its bytes.\n"
    "With --decode the input is token ids and the output is text. --lines treats each line as a text of its own.\n\n"
    "example:\n"
    "  hearth tokenize SmolLM2-135M-Instruct.Q4_1 --pieces 'Hello, world'\n",
};

typedef struct tokenize_options {
    bool pieces, special, bos, decode, lines, json, count;
} tokenize_options;

enum { TEXT_MAX = 256 << 20, LIST_MAX = 64 << 20 };

/* A token's bytes in quotes; what is no whole, visible character is shown as \xNN: a token may be half of one. */
static void add_piece(buf *out, span piece)
{
    buf_char(out, '"');
    for (size_t i = 0; i < piece.n;) {
        uint32_t code = 0;
        size_t n = utf8_decode(piece.p + i, piece.n - i, &code);
        bool plain = n && code >= 0x20 && (code < 0x7f || code > 0x9f) && code != '"' && code != '\\';
        if (plain)
            buf_add(out, piece.p + i, n);
        else if (code == '"' || code == '\\')
            buf_printf(out, "\\%c", (int)code);
        else
            buf_printf(out, "\\x%02x", (unsigned char)piece.p[i]);
        i += plain ? n : 1;
    }
    buf_char(out, '"');
}

static void print_ids(const vocab *v, const token_list *t, const tokenize_options *o)
{
    if (o->count) {
        printf("%zu\n", t->n);
        return;
    }
    buf out = BUF_INIT(TEXT_MAX);
    if (o->json)
        buf_char(&out, '[');
    for (size_t i = 0; i < t->n; i++) {
        if (i)
            buf_str(&out, o->json ? "," : o->pieces ? "\n" : " ");
        buf_printf(&out, "%d", t->ids[i]);
        if (o->pieces && !o->json) {
            span piece = vocab_piece(v, t->ids[i]);
            buf_char(&out, '\t');
            add_piece(&out, piece);
        }
    }
    if (o->json)
        buf_char(&out, ']');
    printf("%s\n", buf_text(&out));
    buf_clear(&out);
}

static status encode_one(const vocab *v, const char *text, size_t n, const tokenize_options *o, error *err)
{
    token_list t = TOKEN_LIST_INIT(LIST_MAX);
    unsigned flags = (o->special ? VOCAB_SPECIAL : 0u) | (o->bos ? VOCAB_BOS : 0u);
    status s = vocab_encode(v, text, n, flags, &t, err);
    if (!s)
        print_ids(v, &t, o);
    token_list_clear(&t);
    return s;
}

/* Ids separated by blanks, commas or brackets. */
static status decode_one(const vocab *v, const char *text, size_t n, error *err)
{
    vocab_decoder d;
    buf out = BUF_INIT(TEXT_MAX);
    status s = OK;
    vocab_decoder_init(&d, v, true, true);
    for (size_t i = 0; i < n && !s;) {
        size_t len = strcspn(text + i, " ,[]\t\r\n");
        char word[24];
        int64_t id;
        if (len) {
            snprintf(word, sizeof word, "%.*s", (int)(len < 20 ? len : 20), text + i);
            if (!str_i64(word, &id) || id < 0 || id >= vocab_n_tokens(v))
                s = fail(err, E_FORMAT, "'%s' is not one of the tokens 0 to %d", word, vocab_n_tokens(v) - 1);
            else
                vocab_decode(&d, (int32_t)id, &out);
        }
        i += len + 1;
    }
    vocab_decode_end(&d, &out);
    if (!s)
        s = buf_ok(&out, "text", err);
    if (!s)
        printf("%s\n", buf_text(&out));
    buf_clear(&out);
    return s;
}

static status each(const vocab *v, const char *text, size_t n, const tokenize_options *o, error *err)
{
    status s = OK;
    if (!o->lines)
        return o->decode ? decode_one(v, text, n, err) : encode_one(v, text, n, o, err);
    for (size_t from = 0; from < n && !s;) {
        const char *end = memchr(text + from, '\n', n - from);
        size_t len = end ? (size_t)(end - text) - from : n - from;
        char *line = mem_strndup(text + from, len);
        if (!line)
            return fail(err, E_NOMEM, "no memory");
        s = o->decode ? decode_one(v, line, len, err) : encode_one(v, line, len, o, err);
        mem_free(line);
        from += len + 1;
    }
    return s;
}

static status tokenize(const char *model, const char *text, const tokenize_options *o, error *err)
{
    char *path = NULL;
    gguf *g = NULL;
    vocab *v = NULL;
    buf input = BUF_INIT(TEXT_MAX);
    load_offline();
    status s = store_find(&path, model, err);
    if (!s)
        s = gguf_open(&g, path, err);
    if (!s)
        s = vocab_open(&v, g, err);
    if (!s && text)
        buf_str(&input, text);
    if (!s)
        s = text ? buf_ok(&input, "TEXT", err) : input_read(STDIN_FILENO, "standard input", &input, err);
    if (!s)
        s = each(v, buf_text(&input), input.len, o, err);
    buf_clear(&input);
    vocab_close(&v);
    gguf_close(&g);
    mem_free(path);
    return s;
}

int cmd_tokenize(int argc, char **argv)
{
    tokenize_options o = { 0 };
    const option options[] = {
        { "pieces", 'p', OPTION_FLAG, &o.pieces, NULL, "one token a line, with its bytes" },
        { "special", 0, OPTION_FLAG, &o.special, NULL, "read special tokens' texts as these tokens" },
        { "bos", 0, OPTION_FLAG, &o.bos, NULL, "add the tokens that the model wants around a text" },
        { "decode", 'd', OPTION_FLAG, &o.decode, NULL, "from ids to text" },
        { "lines", 'l', OPTION_FLAG, &o.lines, NULL, "each line is a text of its own" },
        { "count", 0, OPTION_FLAG, &o.count, NULL, "only how many" },
        { "json", 0, OPTION_FLAG, &o.json, NULL, "ids as a JSON list" },
    };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words < 1 || n_words > 2)
        return usage_error("tokenize", "a MODEL is needed, and one TEXT at most");
    error e = { 0 };
    return tokenize(argv[1], n_words == 2 ? argv[2] : NULL, &o, &e) ? report("tokenize", &e) : EXIT_OK;
}
