/* plan.c: what a vocab will hold, from the header alone: load.c's allocations added up. What depends on how many
 * prefixes texts share is taken at its most: a node for every byte. */
#include "gguf/gguf.h"
#include "token/vocab_int.h"

/* A trie_node each, while it is built an entry of the queue, which is as large, and the sorted list. */
static uint64_t trie_bound(uint64_t n, uint64_t text)
{
    return sizeof(trie) + (text + 1) * 2 * sizeof(trie_node) + n * sizeof(trie_entry);
}

/* The tokens that texts are searched for: few and long, and all others where there is no type. */
static uint64_t specials_bound(const gguf_value *tokens, const gguf_value *types)
{
    gguf_strings it = gguf_strings_of(tokens);
    span s;
    uint64_t n = 0, text = 0;
    bool typed = types && types->is_array && types->n == tokens->n && types->type != GGUF_STR;
    for (uint64_t i = 0; typed && i < tokens->n && gguf_strings_next(&it, &s); i++) {
        int64_t t = gguf_get_i64(types, i);
        bool special = t == VOCAB_CONTROL || t == VOCAB_UNKNOWN || t == VOCAB_USER_DEFINED;
        n += special;
        text += special ? s.n : 0;
    }
    return trie_bound(n, text);
}

static uint64_t kind_bound(const gguf *g, span model, uint64_t n, uint64_t text)
{
    const gguf_value *merges = gguf_find(g, "tokenizer.ggml.merges");
    const gguf_value *map = gguf_find(g, "tokenizer.ggml.precompiled_charsmap");
    uint64_t bytes = 0;
    if (merges && (span_is(model, "gpt2") || span_is(model, "gemma4")))
        bytes += vocab_table_size(merges->n) * sizeof(merge) + pretok_most_bytes() + ADJACENT_BITS / 8;
    if (span_is(model, "llama"))
        bytes += n * sizeof(uint32_t) + ADJACENT_BITS / 8;
    if (span_is(model, "t5") || span_is(model, "bert"))
        bytes += trie_bound(n, text) + (map ? map->bytes : 0);
    return bytes;
}

uint64_t vocab_plan(const gguf *g)
{
    const gguf_value *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    span model;
    if (!tokens || !tokens->is_array || tokens->type != GGUF_STR || tokens->n > VOCAB_MAX_TOKENS ||
        gguf_str_or(g, "tokenizer.ggml.model", "none", &model, NULL) != OK)
        return sizeof(vocab);
    const uint64_t n = tokens->n, text = tokens->bytes > 8 * n ? tokens->bytes - 8 * n : 0; /* each behind its length */
    const uint64_t begins = 2 * (n + 1) * sizeof(uint32_t); /* of texts and pieces */
    const uint64_t lists = begins + 4 * n + n * sizeof(float);
    return sizeof(vocab) + 2 * text + lists + 2 * vocab_table_size(n) * sizeof(uint64_t) +
           specials_bound(tokens, gguf_find(g, "tokenizer.ggml.token_type")) + kind_bound(g, model, n, text);
}
