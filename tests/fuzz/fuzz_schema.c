/* libFuzzer over JSON Schema: the bytes before the first zero byte are a schema, the rest is a document. Whatever the
 * schema, reading, checking and making a grammar end; a document that is sampled from the grammar is valid.
 * modules: base plat quant gguf token grammar
 * libs: -lyaml -lcrypto */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "grammar/schema_sample.h"
#include "base/js.h"
#include "grammar/schema_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check(const schema *s, const js *value)
{
    schema_problem p = { .what = "" };
    error err = { 0 };
    status st = schema_check(s, value, &p, &err);
    must(st == OK || st == E_FORMAT || st == E_RANGE);
    must(st != E_FORMAT || (p.what[0] && err.text[0]));
}

/* Names that are not declared may come twice, which js_parse refuses. */
static bool repeats_a_name(const error *err)
{
    return strstr(err->text, "duplicate") != NULL;
}

static void check_sampled(const schema *s, grammar_state *state, uint64_t seed)
{
    buf text = BUF_INIT(1 << 20);
    bool ended = false;
    error err = { 0 };
    js *value = NULL;
    status st = sample_document(state, &seed, &text, &ended, &err);
    must(st == OK || st == E_RANGE);
    if (!st && ended) {
        st = js_parse(&value, buf_text(&text), text.len, "sample", 1, &err);
        must(st == OK || st == E_RANGE || repeats_a_name(&err));
        if (!st)
            st = schema_check(s, value, NULL, &err);
        must(st == OK || st == E_RANGE || repeats_a_name(&err));
    }
    js_free(value);
    buf_clear(&text);
}

static void generate(const schema *s, uint64_t seed)
{
    grammar *g = NULL;
    grammar_vocab *v = NULL;
    grammar_state *state = NULL;
    error err = { 0 };
    status st = schema_grammar(s, NULL, NULL, &g, &err);
    must(!st || err.text[0]);
    if (!st && !sample_vocab(&v, &err) && !grammar_state_open(&state, g, v, &err))
        for (int i = 0; i < 3; i++)
            check_sampled(s, state, seed + (uint64_t)i);
    grammar_state_close(&state);
    grammar_vocab_close(&v);
    grammar_close(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size;
    js *tree = NULL, *value = NULL;
    schema *s = NULL;
    error err = { 0 };
    if (js_parse(&tree, (const char *)data, n, "fuzz", 1, &err))
        return 0;
    if (zero && js_parse(&value, (const char *)zero + 1, size - n - 1, "fuzz", 1, &err))
        value = NULL;
    schema_notes notes = { 0 };
    if (schema_open(&s, tree, &(schema_options){ true }, &notes, &err) == OK) {
        if (value)
            check(s, value);
        grammar *g = NULL;
        if (schema_grammar(s, &(schema_options){ true }, &notes, &g, &err))
            must(err.text[0]);
        grammar_close(&g);
        schema_close(&s);
    }
    schema_notes_clear(&notes);
    if (schema_open(&s, tree, NULL, NULL, &err) == OK)
        generate(s, size);
    schema_close(&s);
    js_free(value);
    js_free(tree);
    return 0;
}
