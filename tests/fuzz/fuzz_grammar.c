/* libFuzzer over expressions, GBNF and token feeding: no input hurts, and what a mask says is what accept takes. The
 * first byte says what the rest is: a regular expression, a GBNF file, or a list of choices (by lines). The last bytes
 * choose tokens.
 * modules: base token gguf plat quant grammar
 * libs: -lyaml -lcrypto */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/grammar.h"
#include "grammar/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static const span pieces[] = {
    { "", 0 },     { "a", 1 },        { "b", 1 },         { "c", 1 },    { "\"", 1 },     { "\\", 1 },
    { "{", 1 },    { "}", 1 },        { "[", 1 },         { "]", 1 },    { ":", 1 },      { ",", 1 },
    { " ", 1 },    { "\n", 1 },       { "0", 1 },         { "12", 2 },   { "the", 3 },    { " the", 4 },
    { "{\"", 2 },  { "\":", 2 },      { "\",\"", 3 },     { "\xC3", 1 }, { "\xA9", 1 },   { "\xC3\xA9", 2 },
    { "日", 3 },   { "aaaaaaaa", 8 }, { "-", 1 },         { "true", 4 }, { "x=1\n", 4 },  { "A", 1 },
    { "Hello", 5 }, { "ab\"c", 4 },
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

static status make(grammar **g, const uint8_t *data, size_t size, error *err)
{
    const char *text = (const char *)data + 1;
    size_t n = size - 1;
    if (data[0] % 3 == 0)
        return grammar_regex(g, text, n, err);
    if (data[0] % 3 == 1)
        return grammar_gbnf(g, text, n, err);
    span lines[64];
    size_t n_lines = 0;
    for (size_t i = 0, from = 0; i <= n && n_lines < 64; i++)
        if (i == n || text[i] == '\n') {
            lines[n_lines++] = (span){ text + from, i - from };
            from = i + 1;
        }
    return grammar_choice(g, lines, n_lines, err);
}

static void feed(grammar *g, const grammar_vocab *v, const uint8_t *data, size_t size)
{
    grammar_state *s = NULL;
    error err = { OK, "" };
    if (grammar_state_open(&s, g, v, &err))
        return;
    for (size_t i = 0; i < 24; i++) {
        const uint64_t *mask = NULL;
        buf forced = BUF_INIT(64);
        if (grammar_state_mask(s, &mask, &err))
            break;
        uint64_t bits = mask[0];
        must((bits & 1) == grammar_state_may_end(s));
        if (!grammar_state_forced(s, 20, &forced, &err) && forced.len) {
            must(!(bits & 1) && !grammar_state_accept_bytes(s, forced.data, forced.len, NULL));
            grammar_state_rewind(s, 1);
        }
        buf_clear(&forced);
        for (int32_t t = 0; t < N_PIECES; t++)
            must(grammar_state_allows(s, t) == (bits >> t & 1));
        if (!(bits & ~(uint64_t)1))
            break;
        int32_t t = data[size - 1 - i % size] % N_PIECES;
        while (!(bits >> t & 1) || t == 0)
            t = (t + 1) % N_PIECES;
        if (grammar_state_accept(s, t, &err))
            break;
    }
    grammar_state_reset(s);
    grammar_state_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static grammar_vocab *v;
    static const int32_t eog[] = { 0 };
    grammar *g = NULL;
    error err = { OK, "" };
    if (size < 2)
        return 0;
    if (!v)
        must(grammar_vocab_from(&v, pieces, N_PIECES, eog, 1, &err) == OK);
    status st = make(&g, data, size, &err);
    must(st ? err.code == st && err.text[0] && !g : g != NULL);
    if (!st)
        feed(g, v, data, size);
    grammar_close(&g);
    return 0;
}
