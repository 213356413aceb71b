/* wordpiece.c: WordPiece vocabularies: tokenizer.json, or vocab.txt (one token a line) with tokenizer_config.json.
 *
 * In GGUF a token that begins a word begins with U+2581, one that continues a word stands without its "##", and control
 * tokens are as they are. */
#include <string.h>

#include "import/vocab_int.h"

static status from_json(import_vocab *v, const js *json, error *err)
{
    const js *model = js_get(json, "model"), *normaliser = js_get(json, "normalizer");
    const js *added = js_get(json, "added_tokens");
    const char *type = js_text(js_get(model, "type")), *prefix = js_text(js_get(model, "continuing_subword_prefix"));
    const char *kind = js_text(js_get(normaliser, "type"));
    int64_t most = 100, id;
    if ((type && strcmp(type, "WordPiece") != 0) || (prefix && strcmp(prefix, "##") != 0) ||
        (js_get(model, "max_input_chars_per_word") && (!js_int(js_get(model, "max_input_chars_per_word"), &most))) ||
        most != 100 || !kind || strcmp(kind, "BertNormalizer") != 0 ||
        !js_bool(js_get(normaliser, "handle_chinese_chars"), true) || !js_bool(js_get(normaliser, "clean_text"), true))
        return fail(err, E_UNSUPPORTED, "tokenizer.json: only BERT's WordPiece is read ('##', words of up to 100 "
                    "characters, BertNormalizer with clean_text and handle_chinese_chars)");
    v->lowercase = js_bool(js_get(normaliser, "lowercase"), true);
    v->strip_accents = js_bool(js_get(normaliser, "strip_accents"), v->lowercase);
    status s = import_json_tokens(v, json, err);
    for (size_t i = 0; !s && i < js_len(added); i++) {
        const js *a = js_at(added, i);
        const char *text = js_text(js_get(a, "content"));
        if (!text || !js_int(js_get(a, "id"), &id) || id < 0 || id >= v->n)
            s = fail(err, E_FORMAT, "tokenizer.json: added_tokens[%zu] has no content, or no id of a row", i);
        else if (!v->texts[id].p)
            s = import_vocab_set(v, id, span_of(text), TOKEN_NORMAL, "tokenizer.json", err);
        if (!s && js_bool(js_get(a, "special"), false))
            v->types[id] = TOKEN_CONTROL;
    }
    return s;
}

static status from_lines(import_vocab *v, span lines, const js *config, error *err)
{
    v->lowercase = js_bool(js_get(config, "do_lower_case"), true);
    v->strip_accents = js_bool(js_get(config, "strip_accents"), v->lowercase);
    status s = OK;
    for (size_t at = 0, id = 0; !s && at < lines.n; id++) {
        const char *end = memchr(lines.p + at, '\n', lines.n - at);
        size_t n = end ? (size_t)(end - lines.p) - at : lines.n - at;
        span text = { lines.p + at, n && lines.p[at + n - 1] == '\r' ? n - 1 : n };
        s = import_vocab_set(v, (int64_t)id, text, TOKEN_NORMAL, "vocab.txt", err);
        at += n + 1;
    }
    return s;
}

/* In GGUF's spelling. */
static status respell(import_vocab *v, uint32_t i, error *err)
{
    char text[TOKEN_BYTES_MAX + 3];
    span t = v->texts[i];
    bool goes_on = t.n >= 2 && memcmp(t.p, "##", 2) == 0;
    size_t mark = goes_on ? 0 : strlen(SPACE_MARK), skip = goes_on ? 2 : 0;
    memcpy(text, SPACE_MARK, mark);
    memcpy(text + mark, t.p + skip, t.n - skip);
    return import_vocab_replace(v, i, (span){ text, mark + t.n - skip }, v->types[i], err);
}

static status finish(import_vocab *v, error *err)
{
    static const struct {
        const char *text;
        import_role role;
        bool needed;
    } roles[] = { { "[UNK]", ROLE_UNK, true },
                  { "[CLS]", ROLE_CLS, true },
                  { "[SEP]", ROLE_SEP, true },
                  { "[PAD]", ROLE_PAD, false },
                  { "[MASK]", ROLE_MASK, false } };
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        int32_t id = v->role[roles[i].role] = import_vocab_find(v, roles[i].text);
        if (id < 0 && roles[i].needed)
            return fail(err, E_FORMAT, "the vocabulary has no token %s", roles[i].text);
        if (id >= 0)
            v->types[id] = TOKEN_CONTROL;
    }
    v->role[ROLE_BOS] = v->role[ROLE_CLS];
    status s = OK;
    for (uint32_t i = 0; !s && i < v->n; i++)
        if (v->texts[i].p && v->types[i] != TOKEN_CONTROL)
            s = respell(v, i, err);
    return s ? s : import_vocab_fill(v, err);
}

status import_wordpiece(import_vocab *out, const js *json, span lines, const js *config, uint32_t n, error *err)
{
    status s = import_vocab_open(out, n, false, err);
    out->model = "bert";
    out->pre = "default";
    out->normalises = true;
    if (!s && json)
        s = from_json(out, json, err);
    else if (!s && lines.n)
        s = from_lines(out, lines, config, err);
    else if (!s)
        s = fail(err, E_NOTFOUND, "there is neither tokenizer.json nor vocab.txt");
    if (!s)
        s = finish(out, err);
    if (s)
        import_vocab_close(out);
    return s;
}
