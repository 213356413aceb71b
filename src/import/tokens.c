/* tokens.c: WordPiece vocabularies: tokenizer.json, or vocab.txt (one token a line) with tokenizer_config.json.
 *
 * In GGUF a token that begins a word begins with U+2581, one that continues a word stands without its "##", and control
 * tokens are as they are. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "import/import_int.h"

enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_UNUSED = 5, MAX_TOKEN = 1024 };

static status set_token(import_vocab *v, int64_t id, span text, const char *where, error *err)
{
    if (id < 0 || id >= v->n)
        return fail(err, E_FORMAT, "%s: token id %lld, and the model has %u rows", where, (long long)id, v->n);
    if (text.n > MAX_TOKEN || !utf8_valid(text.p, text.n))
        return fail(err, E_FORMAT, "%s: token %lld has over %d bytes, or is not UTF-8", where, (long long)id,
                    MAX_TOKEN);
    if (v->texts[id].p)
        return fail(err, E_FORMAT, "%s: token id %lld is there twice", where, (long long)id);
    char *copy = arena_strndup(&v->memory, text.p, text.n);
    if (!copy)
        return fail(err, E_NOMEM, "%s: no memory for the vocabulary", where);
    v->texts[id] = (span){ copy, text.n };
    v->types[id] = TOKEN_NORMAL;
    return OK;
}

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
    js_member m = { 0 };
    status s = OK;
    while (!s && js_next(js_get(model, "vocab"), &m))
        s = js_int(m.value, &id) ? set_token(v, id, span_of(m.key), "tokenizer.json", err)
                                 : fail(err, E_FORMAT, "tokenizer.json: the id of '%.40s' is no number", m.key);
    for (size_t i = 0; !s && i < js_len(added); i++) {
        const js *a = js_at(added, i);
        const char *text = js_text(js_get(a, "content"));
        if (!text || !js_int(js_get(a, "id"), &id) || id < 0 || id >= v->n)
            s = fail(err, E_FORMAT, "tokenizer.json: added_tokens[%zu] has no content, or no id of a row", i);
        else if (!v->texts[id].p)
            s = set_token(v, id, span_of(text), "tokenizer.json", err);
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
        s = set_token(v, (int64_t)id, text, "vocab.txt", err);
        at += n + 1;
    }
    return s;
}

static int32_t find(const import_vocab *v, const char *text)
{
    for (uint32_t i = 0; i < v->n; i++)
        if (v->texts[i].p && span_is(v->texts[i], text))
            return (int32_t)i;
    return -1;
}

/* Roles, and GGUF's spelling. Rows without a token get one that no text has. */
static status finish(import_vocab *v, error *err)
{
    struct {
        const char *text;
        int32_t *id;
        bool needed;
    } roles[] = { { "[UNK]", &v->unk, true },
                  { "[CLS]", &v->cls, true },
                  { "[SEP]", &v->sep, true },
                  { "[PAD]", &v->pad, false },
                  { "[MASK]", &v->mask, false } };
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        *roles[i].id = find(v, roles[i].text);
        if (*roles[i].id < 0 && roles[i].needed)
            return fail(err, E_FORMAT, "the vocabulary has no token %s", roles[i].text);
        if (*roles[i].id >= 0)
            v->types[*roles[i].id] = TOKEN_CONTROL;
    }
    for (uint32_t i = 0; i < v->n; i++) {
        char text[MAX_TOKEN + 8];
        span t = v->texts[i];
        size_t n = 0;
        if (t.p && v->types[i] == TOKEN_CONTROL)
            continue;
        if (!t.p) {
            n = (size_t)snprintf(text, sizeof text, "[PAD%u]", i);
            v->types[i] = TOKEN_UNUSED;
        } else if (t.n >= 2 && memcmp(t.p, "##", 2) == 0) {
            memcpy(text, t.p + 2, n = t.n - 2);
        } else {
            memcpy(text, "\xe2\x96\x81", 3);
            memcpy(text + 3, t.p, t.n);
            n = t.n + 3;
        }
        v->texts[i] = (span){ arena_strndup(&v->memory, text, n), n };
        if (!v->texts[i].p)
            return fail(err, E_NOMEM, "no memory for the vocabulary");
    }
    return OK;
}

status import_vocab_read(import_vocab *out, const js *json, span lines, const js *config, uint32_t n, error *err)
{
    *out = (import_vocab){ .n = n, .unk = -1, .cls = -1, .sep = -1, .pad = -1, .mask = -1,
                           .memory = ARENA_INIT(IMPORT_ARENA) };
    out->texts = arena_alloc(&out->memory, n * sizeof *out->texts);
    out->types = arena_alloc(&out->memory, n * sizeof *out->types);
    status s = out->texts && out->types ? OK : fail(err, E_NOMEM, "no memory for the vocabulary");
    if (!s && json)
        s = from_json(out, json, err);
    else if (!s && lines.n)
        s = from_lines(out, lines, config, err);
    else if (!s)
        s = fail(err, E_NOTFOUND, "there is neither tokenizer.json nor vocab.txt");
    if (!s)
        s = finish(out, err);
    if (s)
        arena_clear(&out->memory);
    return s;
}
