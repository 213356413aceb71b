/* vocab.c: the tokens of a model, and the keys tokenizer.* that they become. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "import/vocab_int.h"

static const char *const role_names[N_ROLES] = {
    [ROLE_BOS] = "bos",       [ROLE_EOS] = "eos",     [ROLE_EOT] = "eot", [ROLE_UNK] = "unknown",
    [ROLE_SEP] = "seperator", [ROLE_PAD] = "padding", [ROLE_CLS] = "cls", [ROLE_MASK] = "mask",
};

status import_vocab_open(import_vocab *out, uint32_t n, bool scores, error *err)
{
    *out = (import_vocab){ .n = n, .memory = ARENA_INIT(IMPORT_ARENA) };
    for (size_t i = 0; i < N_ROLES; i++)
        out->role[i] = -1;
    out->texts = arena_alloc(&out->memory, n * sizeof *out->texts);
    out->types = arena_alloc(&out->memory, n * sizeof *out->types);
    out->scores = scores ? arena_alloc(&out->memory, n * sizeof *out->scores) : NULL;
    if (out->texts && out->types && (out->scores || !scores))
        return OK;
    import_vocab_close(out);
    return fail(err, E_NOMEM, "no memory for the vocabulary");
}

void import_vocab_close(import_vocab *v)
{
    arena_clear(&v->memory);
}

status import_vocab_replace(import_vocab *v, uint32_t id, span text, int32_t type, error *err)
{
    v->texts[id] = (span){ arena_strndup(&v->memory, text.p, text.n), text.n };
    v->types[id] = type;
    return v->texts[id].p ? OK : fail(err, E_NOMEM, "no memory for the vocabulary");
}

status import_vocab_set(import_vocab *v, int64_t id, span text, int32_t type, const char *where, error *err)
{
    if (id < 0 || id >= v->n)
        return fail(err, E_FORMAT, "%s: token id %lld, and the model has %u rows", where, (long long)id, v->n);
    if (text.n > TOKEN_BYTES_MAX || !utf8_valid(text.p, text.n))
        return fail(err, E_FORMAT, "%s: token %lld has over %d bytes, or is not UTF-8", where, (long long)id,
                    TOKEN_BYTES_MAX);
    if (v->texts[id].p)
        return fail(err, E_FORMAT, "%s: token id %lld is there twice", where, (long long)id);
    return import_vocab_replace(v, (uint32_t)id, text, type, err);
}

int32_t import_vocab_find(const import_vocab *v, const char *text)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (v->texts[i].p && span_is(v->texts[i], text))
            return (int32_t)i;
    return -1;
}

status import_vocab_fill(import_vocab *v, error *err)
{
    status s = OK;
    for (uint32_t i = 0; !s && i < v->n; i++) {
        char text[32];
        if (v->texts[i].p)
            continue;
        int n = snprintf(text, sizeof text, "[PAD%u]", i);
        s = import_vocab_replace(v, i, (span){ text, (size_t)n }, TOKEN_UNUSED, err);
    }
    return s;
}

void import_vocab_write(gguf_writer *w, const import_vocab *v)
{
    const struct {
        const char *key;
        import_said said;
    } flags[] = { { "tokenizer.ggml.add_bos_token", v->add_bos },
                  { "tokenizer.ggml.add_eos_token", v->add_eos },
                  { "tokenizer.ggml.add_space_prefix", v->add_space } };
    gguf_writer_str(w, "tokenizer.ggml.model", v->model);
    gguf_writer_str(w, "tokenizer.ggml.pre", v->pre);
    gguf_writer_strings(w, "tokenizer.ggml.tokens", v->texts, v->n);
    if (v->scores)
        gguf_writer_array(w, "tokenizer.ggml.scores", GGUF_F32, v->scores, v->n);
    gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_I32, v->types, v->n);
    if (v->merges)
        gguf_writer_strings(w, "tokenizer.ggml.merges", v->merges, v->n_merges);
    for (size_t i = 0; i < N_ROLES; i++) {
        char key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", role_names[i]);
        if (v->role[i] >= 0)
            gguf_writer_u32(w, key, (uint32_t)v->role[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if (flags[i].said != SAID_NOTHING)
            gguf_writer_bool(w, flags[i].key, flags[i].said == SAID_YES);
    if (v->normalises) {
        gguf_writer_bool(w, "tokenizer.ggml.normalizer.lowercase", v->lowercase);
        gguf_writer_bool(w, "tokenizer.ggml.normalizer.strip_accents", v->strip_accents);
    }
    if (v->chat_template)
        gguf_writer_str(w, "tokenizer.chat_template", v->chat_template);
}
