/* added.c: tokens that are cut out of a text before anything else: added_tokens of tokenizer.json, else
 * added_tokens_decoder of tokenizer_config.json. */
#include <string.h>

#include "import/vocab_int.h"

/* Many files call a token that is part of no text, such as <unused7>, an ordinary one. */
static bool looks_special(const char *text)
{
    static const char *const names[] = { "<pad>", "<mask>", "<2mass>", "[@BOS@]" };
    static const struct {
        const char *begin, *end;
    } brackets[] = { { "<|", "|>" }, { "<\xef\xbd\x9c", "\xef\xbd\x9c>" }, { "<unused", ">" } };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(brackets); i++)
        if (str_starts(text, brackets[i].begin) && str_ends(text, brackets[i].end))
            return true;
    return false;
}

/* A file's user-defined tokens have spaces where SentencePiece's text has U+2581. */
static size_t with_spaces(char *text)
{
    size_t n = 0;
    for (const char *p = text; *p;) {
        bool mark = strncmp(p, SPACE_MARK, strlen(SPACE_MARK)) == 0;
        text[n++] = mark ? ' ' : *p;
        p += mark ? strlen(SPACE_MARK) : 1;
    }
    return n;
}

static status add(import_vocab *v, int64_t id, const js *token, const char *where, error *err)
{
    char text[TOKEN_BYTES_MAX + 1];
    const char *content = js_text(js_get(token, "content"));
    if (!content || id < 0)
        return fail(err, E_FORMAT, "%s: added token %lld has no content, or no id", where, (long long)id);
    if (id >= v->n)
        return OK; /* the model has no row for it: it can be neither read nor written */
    size_t n = strlen(content);
    if (n > TOKEN_BYTES_MAX)
        return fail(err, E_RANGE, "%s: added token %lld has over %d bytes", where, (long long)id, TOKEN_BYTES_MAX);
    bool control = js_bool(js_get(token, "special"), false) || looks_special(content);
    memcpy(text, content, n + 1);
    if (!control && v->scores)
        n = with_spaces(text);
    if (v->scores)
        v->scores[id] = -1000.0f;
    return import_vocab_replace(v, (uint32_t)id, (span){ text, n }, control ? TOKEN_CONTROL : TOKEN_USER_DEFINED, err);
}

status import_added_tokens(import_vocab *v, const js *json, const js *config, error *err)
{
    const js *list = js_get(json, "added_tokens");
    status s = OK;
    for (size_t i = 0; !s && i < js_len(list); i++) {
        int64_t id = -1;
        (void)js_int(js_get(js_at(list, i), "id"), &id);
        s = add(v, id, js_at(list, i), "tokenizer.json", err);
    }
    if (s || list)
        return s;
    js_member m = { 0 };
    while (!s && js_next(js_get(config, "added_tokens_decoder"), &m)) {
        int64_t id = -1;
        (void)str_i64(m.key, &id);
        s = add(v, id, m.value, "tokenizer_config.json", err);
    }
    return s;
}
