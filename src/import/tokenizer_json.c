/* tokenizer_json.c: what the readers of tokenizer.json have in common: its tokens, its merges, its steps. */
#include <string.h>

#include "import/vocab_int.h"

enum { MERGES_MAX = 1 << 22 };

const js *import_step(const js *part, const char *list, size_t i)
{
    if (!js_is(part, JS_OBJECT))
        return NULL;
    if (import_is_text(part, "type", "Sequence", false))
        return js_at(js_get(part, list), i);
    return i == 0 ? part : NULL;
}

const char *import_step_type(const js *step)
{
    const char *type = js_text(js_get(step, "type"));
    return type ? type : "";
}

status import_json_tokens(import_vocab *v, const js *json, error *err)
{
    const js *vocab = js_get(js_get(json, "model"), "vocab");
    int64_t id;
    js_member m = { 0 };
    status s = OK;
    while (!s && js_next(vocab, &m))
        s = js_int(m.value, &id) ? import_vocab_set(v, id, span_of(m.key), TOKEN_NORMAL, "tokenizer.json", err)
                                 : fail(err, E_FORMAT, "tokenizer.json: the id of '%.40s' is no number", m.key);
    return s;
}

status import_merge_count(const js *merges, size_t *n, error *err)
{
    *n = js_len(merges);
    if (!js_is(merges, JS_ARRAY) || *n > MERGES_MAX)
        return fail(err, E_FORMAT, "tokenizer.json: merges are not a list of up to %d", MERGES_MAX);
    return OK;
}

static bool copy_half(char out[TOKEN_BYTES_MAX + 1], const char *text, size_t n)
{
    if (n > TOKEN_BYTES_MAX)
        return false;
    memcpy(out, text, n);
    out[n] = 0;
    return true;
}

status import_merge(const js *merges, size_t i, char left[TOKEN_BYTES_MAX + 1], char right[TOKEN_BYTES_MAX + 1],
                    error *err)
{
    const js *m = js_at(merges, i);
    const char *a = js_text(js_at(m, 0)), *b = js_text(js_at(m, 1)), *text = js_is(m, JS_STRING) ? js_text(m) : NULL;
    const char *gap = text ? strchr(text, ' ') : NULL;
    bool ok = gap ? copy_half(left, text, (size_t)(gap - text)) && copy_half(right, gap + 1, strlen(gap + 1))
                  : a && b && copy_half(left, a, strlen(a)) && copy_half(right, b, strlen(b));
    return ok ? OK : fail(err, E_FORMAT, "tokenizer.json: merges[%zu] is not two tokens of up to %d bytes", i,
                          TOKEN_BYTES_MAX);
}
