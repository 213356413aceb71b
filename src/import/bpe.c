/* bpe.c: byte-level BPE of tokenizer.json: tokens in GPT-2's alphabet, merges in order of rank. What the alphabet and
 * the merges mean is the same in GGUF, so they are taken as they are. */
#include <string.h>

#include "import/vocab_int.h"

/* Text is not normalised here: NFC, which many of these files ask for, changes only text that is written in an
 * uncommon way, and no other program that runs GGUF files does it. */
static status check_normaliser(const js *json, error *err)
{
    const js *part = js_get(json, "normalizer"), *step;
    for (size_t i = 0; (step = import_step(part, "normalizers", i)) != NULL; i++)
        if (!import_is_text(step, "type", "NFC", false))
            return fail(err, E_UNSUPPORTED, "tokenizer.json: normaliser '%.40s'; of byte-level BPE only NFC is known",
                        import_step_type(step));
    return OK;
}

static status read_merges(import_vocab *v, const js *merges, error *err)
{
    size_t n;
    status s = import_merge_count(merges, &n, err);
    if (s)
        return s;
    v->merges = arena_alloc(&v->memory, (n + 1) * sizeof *v->merges);
    if (!v->merges)
        return fail(err, E_NOMEM, "no memory for %zu merges", n);
    for (size_t i = 0; !s && i < n; i++) {
        char text[2 * TOKEN_BYTES_MAX + 2], left[TOKEN_BYTES_MAX + 1], right[TOKEN_BYTES_MAX + 1];
        s = import_merge(merges, i, left, right, err);
        if (s)
            break;
        if (strchr(left, ' ') || strchr(right, ' '))
            continue; /* a space is no character of the alphabet: nothing ever merges so */
        size_t a = strlen(left), b = strlen(right);
        memcpy(text, left, a);
        text[a] = ' ';
        memcpy(text + a + 1, right, b);
        span *to = &v->merges[v->n_merges++];
        *to = (span){ arena_strndup(&v->memory, text, a + b + 1), a + b + 1 };
        if (!to->p)
            s = fail(err, E_NOMEM, "no memory for %zu merges", n);
    }
    return s;
}

status import_bpe(import_vocab *v, const js *json, error *err)
{
    v->model = "gpt2";
    status s = check_normaliser(json, err);
    if (!s)
        s = import_pretok(&v->pre, json, err);
    if (!s)
        s = import_json_tokens(v, json, err);
    return s ? s : read_merges(v, js_get(js_get(json, "model"), "merges"), err);
}
