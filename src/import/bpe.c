/* bpe.c: byte-level BPE of tokenizer.json: tokens in GPT-2's alphabet, merges in order of rank. What the alphabet and
 * the merges mean is the same in GGUF, so they are taken as they are. */
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

static bool copy_half(char out[TOKEN_BYTES_MAX + 1], const char *text, size_t n)
{
    if (n > TOKEN_BYTES_MAX)
        return false;
    memcpy(out, text, n);
    out[n] = 0;
    return true;
}

bool import_merge(const js *merges, size_t i, char left[TOKEN_BYTES_MAX + 1], char right[TOKEN_BYTES_MAX + 1])
{
    const js *m = js_at(merges, i);
    const char *a = js_text(js_at(m, 0)), *b = js_text(js_at(m, 1)), *text = js_is(m, JS_STRING) ? js_text(m) : NULL;
    const char *gap = text ? strchr(text, ' ') : NULL;
    if (gap)
        return copy_half(left, text, (size_t)(gap - text)) && copy_half(right, gap + 1, strlen(gap + 1));
    return a && b && copy_half(left, a, strlen(a)) && copy_half(right, b, strlen(b));
}

/* Text is not normalised here: NFC, which many of these files ask for, changes only text that is written in an
 * uncommon way, and no other program that runs GGUF files does it. */
static status check_normaliser(const js *json, error *err)
{
    const js *part = js_get(json, "normalizer"), *step;
    for (size_t i = 0; (step = import_step(part, "normalizers", i)) != NULL; i++)
        if (!import_is_text(step, "type", "NFC", false))
            return fail(err, E_UNSUPPORTED, "tokenizer.json: normaliser '%.40s'; of byte-level BPE only NFC is known",
                        js_text(js_get(step, "type")) ? js_text(js_get(step, "type")) : "");
    return OK;
}

static status read_merges(import_vocab *v, const js *merges, error *err)
{
    size_t n = js_len(merges);
    if (!js_is(merges, JS_ARRAY) || n > MERGES_MAX)
        return fail(err, E_FORMAT, "tokenizer.json: merges are not a list of up to %d", MERGES_MAX);
    v->merges = arena_alloc(&v->memory, (n + 1) * sizeof *v->merges);
    if (!v->merges)
        return fail(err, E_NOMEM, "no memory for %zu merges", n);
    for (size_t i = 0; i < n; i++) {
        char text[2 * TOKEN_BYTES_MAX + 2], left[TOKEN_BYTES_MAX + 1], right[TOKEN_BYTES_MAX + 1];
        if (!import_merge(merges, i, left, right))
            return fail(err, E_FORMAT, "tokenizer.json: merges[%zu] is not two tokens of up to %d bytes", i,
                        TOKEN_BYTES_MAX);
        if (strchr(left, ' ') || strchr(right, ' '))
            continue; /* a space is no character of the alphabet: nothing ever merges so */
        size_t a = strlen(left), b = strlen(right);
        memcpy(text, left, a);
        text[a] = ' ';
        memcpy(text + a + 1, right, b);
        span *to = &v->merges[v->n_merges++];
        *to = (span){ arena_strndup(&v->memory, text, a + b + 1), a + b + 1 };
        if (!to->p)
            return fail(err, E_NOMEM, "no memory for %zu merges", n);
    }
    return OK;
}

status import_bpe(import_vocab *v, const js *json, error *err)
{
    const js *model = js_get(json, "model");
    int64_t id;
    v->model = "gpt2";
    status s = check_normaliser(json, err);
    if (!s)
        s = import_pretok(&v->pre, json, err);
    js_member m = { 0 };
    while (!s && js_next(js_get(model, "vocab"), &m))
        s = js_int(m.value, &id) ? import_vocab_set(v, id, span_of(m.key), TOKEN_NORMAL, "tokenizer.json", err)
                                 : fail(err, E_FORMAT, "tokenizer.json: the id of '%.40s' is no number", m.key);
    return s ? s : read_merges(v, js_get(model, "merges"), err);
}
