/* spm.c: SentencePiece's BPE as tokenizer.json has it: a list of merges in place of scores.
 *
 * A GGUF file has a score for each token, and whatever two neighbours make a token may merge, the highest score first.
 * A tokenizer.json has pairs that may merge, the first in the list first. The two are the same when
 *     every way to cut a token into two tokens is a merge, and so is no more,
 *     every character of a token is a token itself, so that no unknown character takes part, and
 *     no other token's merges lie between the merges of one token,
 * and then the score is minus the rank of the token among the merges. All three are checked here. Tokens that are cut
 * out of the text before (added ones) are exempt: no text that is merged contains them. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "import/vocab_int.h"

enum { MERGES_MAX = 1 << 22 };

typedef struct merging {
    import_vocab *v;
    const js *vocab; /* of the model: text -> id */
    bool *added;     /* [v->n] */
    uint64_t *pairs; /* left << 32 | right, sorted */
    size_t n_pairs;
    uint32_t last; /* token of the last merge, UINT32_MAX: none */
    uint32_t n_ranked;
} merging;

static bool id_of(const merging *m, const char *text, uint32_t *id)
{
    int64_t i;
    if (!js_int(js_get(m->vocab, text), &i) || i < 0 || i >= m->v->n)
        return false;
    *id = (uint32_t)i;
    return true;
}

static bool merges_into(const merging *m, uint32_t id)
{
    return m->v->types[id] == TOKEN_NORMAL && !m->added[id];
}

/* ---- merges -> scores ---- */

static status rank_merge(merging *m, const js *merges, size_t i, error *err)
{
    char text[2 * TOKEN_BYTES_MAX + 1], right[TOKEN_BYTES_MAX + 1];
    uint32_t a, b, whole;
    if (!import_merge(merges, i, text, right))
        return fail(err, E_FORMAT, "tokenizer.json: merges[%zu] is not two tokens of up to %d bytes", i,
                    TOKEN_BYTES_MAX);
    bool known = id_of(m, text, &a) && id_of(m, right, &b);
    memcpy(text + strlen(text), right, strlen(right) + 1);
    if (!known || !id_of(m, text, &whole))
        return fail(err, E_FORMAT, "tokenizer.json: merges[%zu] is not of two tokens into a third", i);
    m->pairs[m->n_pairs++] = (uint64_t)a << 32 | b;
    if (!merges_into(m, whole) || whole == m->last)
        return OK;
    if (m->v->scores[whole] < 0)
        return fail(err, E_UNSUPPORTED, "tokenizer.json: the merges into '%.40s' do not follow each other: scores, "
                    "which a GGUF file needs, cannot say that; with tokenizer.model beside it, it can be read", text);
    m->last = whole;
    m->v->scores[whole] = -(float)++m->n_ranked;
    return OK;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* ---- are scores the same? ---- */

static status check_cuts(const merging *m, const char *text, uint32_t id, error *err)
{
    char half[TOKEN_BYTES_MAX + 1];
    size_t n = strlen(text), len;
    uint32_t code, a, b;
    for (size_t at = 0; at < n; at += len) {
        len = utf8_decode(text + at, n - at, &code);
        if (!len || len == n)
            break;
        memcpy(half, text + at, len);
        half[len] = 0;
        if (!id_of(m, half, &a))
            return fail(err, E_UNSUPPORTED, "tokenizer.json: token %u has a character that is no token: its merges are "
                        "not those of SentencePiece", id);
        if (!at)
            continue;
        memcpy(half, text, at);
        half[at] = 0;
        if (!id_of(m, half, &a) || !id_of(m, text + at, &b) || m->v->types[a] != TOKEN_NORMAL ||
            m->v->types[b] != TOKEN_NORMAL || m->added[a] || m->added[b])
            continue;
        uint64_t pair = (uint64_t)a << 32 | b;
        if (!bsearch(&pair, m->pairs, m->n_pairs, sizeof pair, by_value))
            return fail(err, E_UNSUPPORTED, "tokenizer.json: '%.40s' is a token, but '%.40s' and what follows do not "
                        "merge: the merges are not those of SentencePiece", text, half);
    }
    return OK;
}

static status check_all(const merging *m, error *err)
{
    status s = OK;
    for (js_member it = { 0 }; !s && js_next(m->vocab, &it);) {
        uint32_t id;
        if (id_of(m, it.key, &id) && merges_into(m, id))
            s = check_cuts(m, it.key, id, err);
    }
    return s;
}

/* The first merge has rank 0. Tokens that no merge makes are characters, which are there before anything merges: their
 * scores are never looked at. */
static void finish_scores(merging *m)
{
    for (uint32_t i = 0; i < m->v->n; i++)
        if (m->v->scores[i] < 0)
            m->v->scores[i] += 1;
        else if (m->v->types[i] == TOKEN_NORMAL)
            m->v->scores[i] = -(float)m->n_ranked;
}

static status read_merges(import_vocab *v, const js *json, error *err)
{
    const js *model = js_get(json, "model"), *merges = js_get(model, "merges"), *added = js_get(json, "added_tokens");
    size_t n = js_len(merges);
    int64_t id;
    if (!js_is(merges, JS_ARRAY) || n > MERGES_MAX)
        return fail(err, E_FORMAT, "tokenizer.json: merges are not a list of up to %d", MERGES_MAX);
    merging m = { .v = v, .vocab = js_get(model, "vocab"), .last = UINT32_MAX };
    m.added = mem_array(v->n, sizeof *m.added);
    m.pairs = mem_array(n + 1, sizeof *m.pairs);
    status s = m.added && m.pairs ? OK : fail(err, E_NOMEM, "no memory for %zu merges", n);
    for (size_t i = 0; !s && i < js_len(added); i++)
        if (js_int(js_get(js_at(added, i), "id"), &id) && id >= 0 && id < v->n)
            m.added[id] = true;
    for (size_t i = 0; !s && i < n; i++)
        s = rank_merge(&m, merges, i, err);
    if (!s) {
        qsort(m.pairs, m.n_pairs, sizeof *m.pairs, by_value);
        s = check_all(&m, err);
    }
    if (!s)
        finish_scores(&m);
    mem_free(m.added);
    mem_free(m.pairs);
    return s;
}

/* ---- tokens ---- */

static bool is_byte(const char *text)
{
    return strlen(text) == 6 && str_starts(text, "<0x") && text[5] == '>';
}

static status read_tokens(import_vocab *v, const js *model, error *err)
{
    const char *unk = js_text(js_get(model, "unk_token"));
    int64_t id;
    js_member m = { 0 };
    status s = OK;
    while (!s && js_next(js_get(model, "vocab"), &m)) {
        int32_t type = is_byte(m.key) ? TOKEN_BYTE : unk && strcmp(unk, m.key) == 0 ? TOKEN_UNKNOWN : TOKEN_NORMAL;
        s = js_int(m.value, &id) ? import_vocab_set(v, id, span_of(m.key), type, "tokenizer.json", err)
                                 : fail(err, E_FORMAT, "tokenizer.json: the id of '%.40s' is no number", m.key);
        if (!s && type == TOKEN_UNKNOWN)
            v->role[ROLE_UNK] = (int32_t)id;
    }
    return s;
}

/* ---- what comes before ---- */

/* A space becomes U+2581; one may come before the text. */
static bool read_step(import_vocab *v, const js *step)
{
    const char *type = js_text(js_get(step, "type")), *space = js_text(js_get(js_get(step, "pattern"), "String"));
    if (type && strcmp(type, "Prepend") == 0 && import_is_text(step, "prepend", SPACE_MARK, false)) {
        v->add_space = SAID_YES;
        return true;
    }
    if (type && strcmp(type, "Metaspace") == 0 && import_is_text(step, "replacement", SPACE_MARK, false)) {
        bool never = import_is_text(step, "prepend_scheme", "never", false);
        v->add_space = !never && js_bool(js_get(step, "add_prefix_space"), true) ? SAID_YES : v->add_space;
        return !js_bool(js_get(step, "split"), true);
    }
    if (!space || strcmp(space, " ") != 0)
        return false;
    /* By the time that Split looks for spaces there are none. */
    return strcmp(type ? type : "", "Split") == 0 ||
           (strcmp(type ? type : "", "Replace") == 0 && import_is_text(step, "content", SPACE_MARK, false));
}

static status read_steps(import_vocab *v, const js *json, error *err)
{
    static const struct {
        const char *part, *list;
    } parts[] = { { "normalizer", "normalizers" }, { "pre_tokenizer", "pretokenizers" } };
    const js *step;
    v->add_space = SAID_NO;
    for (size_t p = 0; p < ARRAY_LEN(parts); p++)
        for (size_t i = 0; (step = import_step(js_get(json, parts[p].part), parts[p].list, i)) != NULL; i++)
            if (!read_step(v, step))
                return fail(err, E_UNSUPPORTED, "tokenizer.json: %s '%.40s' is not one of SentencePiece", parts[p].part,
                            js_text(js_get(step, "type")) ? js_text(js_get(step, "type")) : "");
    return OK;
}

status import_spm(import_vocab *v, const js *json, error *err)
{
    v->model = "llama";
    v->pre = "default";
    status s = read_steps(v, json, err);
    if (!s && js_bool(js_get(js_get(json, "model"), "ignore_merges"), false))
        s = fail(err, E_UNSUPPORTED, "tokenizer.json: ignore_merges with byte_fallback");
    if (!s)
        s = read_tokens(v, js_get(json, "model"), err);
    return s ? s : read_merges(v, json, err);
}
