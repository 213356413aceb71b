/* roles.c: what a decoder's tokens are for, and its chat template. tokenizer_config.json names tokens by their texts,
 * config.json and generation_config.json by their ids; tokenizer.json says what comes round a text. */
#include <stdio.h>
#include <string.h>

#include "import/vocab_int.h"

/* ---- ids ---- */

/* A text, or an object with one. */
static const char *token_text(const js *config, const char *key)
{
    const js *v = js_get(config, key);
    return js_text(js_is(v, JS_OBJECT) ? js_get(v, "content") : v);
}

/* The first id of a number or a list of them; -1: none, or beyond the model. */
static int32_t first_id(const import_vocab *v, const js *config, const char *key)
{
    const js *j = js_get(config, key);
    int64_t id;
    return js_int(js_is(j, JS_ARRAY) ? js_at(j, 0) : j, &id) && id >= 0 && id < v->n ? (int32_t)id : -1;
}

static status read_ids(import_vocab *v, const import_files *f, error *err)
{
    static const struct {
        const char *name;
        import_role role;
    } roles[] = { { "bos", ROLE_BOS }, { "eos", ROLE_EOS }, { "unk", ROLE_UNK }, { "sep", ROLE_SEP },
                  { "pad", ROLE_PAD }, { "cls", ROLE_CLS }, { "mask", ROLE_MASK } };
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        char key[16];
        snprintf(key, sizeof key, "%s_token", roles[i].name);
        const char *text = token_text(f->tokenizer_config, key);
        int32_t id = text ? import_vocab_find(v, text) : -1;
        if (text && id < 0)
            return fail(err, E_FORMAT, "tokenizer_config.json: %s '%.60s' is no token", key, text);
        snprintf(key, sizeof key, "%s_token_id", roles[i].name);
        id = id >= 0 ? id : first_id(v, f->config, key);
        id = id >= 0 ? id : first_id(v, f->generation, key);
        if (id >= 0)
            v->role[roles[i].role] = id;
    }
    return OK;
}

/* Readers of GGUF files know these to end an answer without being told. */
static bool is_known_end(const import_vocab *v, int64_t id)
{
    static const char *const known[] = { "<|eot_id|>",     "<|eom_id|>", "<|im_end|>",        "<|end|>",
                                         "<end_of_turn>",  "</s>",       "<|end_of_text|>",   "<eos>",
                                         "<|endoftext|>" };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (span_is(v->texts[id], known[i]))
            return true;
    return false;
}

/* generation_config.json may list several tokens that end an answer. A file has a place for one more. */
static status read_ends(import_vocab *v, const js *generation, error *err)
{
    const js *list = js_get(generation, "eos_token_id");
    for (size_t i = 0; i < js_len(list) && js_is(list, JS_ARRAY); i++) {
        int64_t id;
        if (!js_int(js_at(list, i), &id) || id < 0 || id >= v->n || !v->texts[id].p)
            return fail(err, E_FORMAT, "generation_config.json: eos_token_id[%zu] is no token", i);
        if (id == v->role[ROLE_EOS] || id == v->role[ROLE_EOT] || is_known_end(v, id))
            continue;
        if (v->role[ROLE_EOT] >= 0)
            return fail(err, E_UNSUPPORTED, "generation_config.json: eos_token_id: there is no place for '%.*s', a "
                        "third token that ends an answer", (int)v->texts[id].n, v->texts[id].p);
        v->role[ROLE_EOT] = (int32_t)id;
    }
    return OK;
}

/* ---- what comes round a text ---- */

/* The id of a SpecialToken step, -1: none such (another kind of step, or none at all). */
static int32_t special(const import_vocab *v, const js *step)
{
    const char *text = js_text(js_get(js_get(step, "SpecialToken"), "id"));
    return text ? import_vocab_find(v, text) : -1;
}

static status read_template(import_vocab *v, const js *processor, error *err)
{
    const js *single = js_get(processor, "single");
    size_t n = js_len(single), at = 0;
    v->add_bos = v->add_eos = SAID_NO;
    if (at < n && special(v, js_at(single, at)) >= 0 && special(v, js_at(single, at)) == v->role[ROLE_BOS]) {
        v->add_bos = SAID_YES;
        at++;
    }
    bool text = js_get(js_at(single, at), "Sequence") != NULL;
    at += text;
    if (at < n && special(v, js_at(single, at)) >= 0 && special(v, js_at(single, at)) == v->role[ROLE_EOS]) {
        v->add_eos = SAID_YES;
        at++;
    }
    if (!text || at != n)
        return fail(err, E_UNSUPPORTED, "tokenizer.json: post_processor: a text may have the bos token before it and "
                    "the eos token after it, and no more");
    return OK;
}

static status read_around(import_vocab *v, const import_files *f, error *err)
{
    const js *part = js_get(f->tokenizer, "post_processor"), *step;
    bool bos = js_bool(js_get(f->tokenizer_config, "add_bos_token"), !f->tokenizer);
    v->add_bos = bos && v->role[ROLE_BOS] >= 0 ? SAID_YES : SAID_NO;
    v->add_eos = js_bool(js_get(f->tokenizer_config, "add_eos_token"), false) ? SAID_YES : SAID_NO;
    for (size_t i = 0; (step = import_step(part, "processors", i)) != NULL; i++) {
        status s = OK;
        if (import_is_text(step, "type", "TemplateProcessing", false))
            s = read_template(v, step, err);
        else if (!import_is_text(step, "type", "ByteLevel", false))
            s = fail(err, E_UNSUPPORTED, "tokenizer.json: post_processor '%.40s' is not known",
                     import_step_type(step));
        if (s)
            return s;
    }
    return OK;
}

/* ---- chat template ---- */

static status read_chat_template(import_vocab *v, const import_files *f, error *err)
{
    const js *said = js_get(f->tokenizer_config, "chat_template");
    span text = { (const char *)f->chat_template.data, f->chat_template.bytes };
    for (size_t i = 0; !text.n && i < js_len(said) && js_is(said, JS_ARRAY); i++)
        if (import_is_text(js_at(said, i), "name", "default", false) && js_text(js_get(js_at(said, i), "template")))
            text = span_of(js_text(js_get(js_at(said, i), "template")));
    if (!text.n && js_is(said, JS_STRING))
        text = span_of(js_text(said));
    if (!text.n)
        return OK;
    v->chat_template = arena_strndup(&v->memory, text.p, text.n);
    if (!v->chat_template)
        return fail(err, E_NOMEM, "no memory for the chat template");
    return strlen(v->chat_template) == text.n ? OK : fail(err, E_FORMAT, "the chat template has a zero byte in it");
}

status import_roles(import_vocab *v, const import_files *f, error *err)
{
    status s = read_ids(v, f, err);
    if (!s)
        s = read_ends(v, f->generation, err);
    if (!s)
        s = read_around(v, f, err);
    return s ? s : read_chat_template(v, f, err);
}

/* ---- all of it ---- */

status import_decoder_vocab(import_vocab *out, const import_files *f, uint32_t n, error *err)
{
    const js *model = js_get(f->tokenizer, "model");
    span file = { (const char *)f->sentencepiece.data, f->sentencepiece.bytes };
    bool bpe = f->tokenizer && import_is_text(model, "type", "BPE", js_get(model, "merges") != NULL);
    bool bytes = bpe && !js_bool(js_get(model, "byte_fallback"), false);
    const char *prefix = js_text(js_get(model, "continuing_subword_prefix"));
    const char *suffix = js_text(js_get(model, "end_of_word_suffix"));
    status s = import_vocab_open(out, n, !bytes, err);
    if (s)
        return s;
    if (bpe && ((prefix && *prefix) || (suffix && *suffix)))
        s = fail(err, E_UNSUPPORTED, "tokenizer.json: continuing_subword_prefix and end_of_word_suffix are not known");
    else if (bytes)
        s = import_bpe(out, f->tokenizer, err);
    else if (file.n)
        s = import_sentencepiece(out, file, err);
    else if (bpe)
        s = import_spm(out, f->tokenizer, err);
    else if (f->tokenizer)
        s = fail(err, E_UNSUPPORTED, "tokenizer.json: model '%.40s'; BPE is read for this architecture",
                 js_text(js_get(model, "type")) ? js_text(js_get(model, "type")) : "");
    else
        s = fail(err, E_NOTFOUND, "%s: there is neither tokenizer.json nor tokenizer.model", f->folder);
    if (!s)
        s = import_added_tokens(out, f->tokenizer, f->tokenizer_config, err);
    if (!s)
        s = import_vocab_fill(out, err);
    if (!s)
        s = import_roles(out, f, err);
    if (s)
        import_vocab_close(out);
    return s;
}
