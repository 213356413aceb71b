/* spm.c: SentencePiece's BPE as tokenizer.json has it: a list of merges in place of scores.
 *
 * A GGUF file has a score for each token, and whatever two neighbours make a token may merge, the highest score first.
 * A tokenizer.json has pairs that may merge, the first in the list first. The two are the same when
 *     every way to cut a token into two tokens is a merge, and so is no more,
 *     every character of a token is a token itself, so that no unknown character takes part, and
 *     no other token's merges lie between the merges of one token,
 * and then the score is minus the rank of the token among the merges. All three are checked here. Tokens that are cut
 * out of the text before (added ones) are exempt: no text that is merged contains them.
 *
 * One exception to the last: runs of one character. Llama's runs of spaces have all the same score, and their merges
 * are mixed, the one of two characters last. When there are runs of 2, 3 ... m characters, and a run and one more
 * character merge before two characters do, then from the left runs of m are made, one after the other. The same comes
 * of equal scores, of which the leftmost merges first. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "import/vocab_int.h"

typedef struct pair {
    uint64_t ids; /* left << 32 | right */
    uint32_t rank;
} pair;

typedef struct made { /* a token that merges make */
    uint32_t id, first, last; /* ranks */
} made;

typedef struct merging {
    import_vocab *v;
    const js *vocab; /* of the model: text -> id */
    bool *added;     /* [v->n] */
    uint32_t *at;    /* [v->n] place in made + 1; 0: none */
    pair *pairs;     /* sorted by ids */
    made *made;      /* by first rank */
    size_t n_pairs, n_made;
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
    status s = import_merge(merges, i, text, right, err);
    if (s)
        return s;
    bool known = id_of(m, text, &a) && id_of(m, right, &b);
    memcpy(text + strlen(text), right, strlen(right) + 1);
    if (!known || !id_of(m, text, &whole))
        return fail(err, E_FORMAT, "tokenizer.json: merges[%zu] is not of two tokens into a third", i);
    m->pairs[m->n_pairs++] = (pair){ (uint64_t)a << 32 | b, (uint32_t)i };
    if (!merges_into(m, whole))
        return OK;
    if (!m->at[whole]) {
        m->made[m->n_made++] = (made){ whole, (uint32_t)i, (uint32_t)i };
        m->at[whole] = (uint32_t)m->n_made;
    }
    m->made[m->at[whole] - 1].last = (uint32_t)i;
    return OK;
}

static int by_ids(const void *a, const void *b)
{
    uint64_t x = ((const pair *)a)->ids, y = ((const pair *)b)->ids;
    return x < y ? -1 : x > y;
}

static const pair *find_pair(const merging *m, uint32_t a, uint32_t b)
{
    pair key = { .ids = (uint64_t)a << 32 | b };
    return m->n_pairs ? bsearch(&key, m->pairs, m->n_pairs, sizeof key, by_ids) : NULL;
}

/* How often the text repeats its first character; 0: it has others. */
static size_t run_of(span text)
{
    uint32_t code;
    size_t len = text.n ? utf8_decode(text.p, text.n, &code) : 0;
    for (size_t i = 0; len && i < text.n; i += len)
        if (text.n - i < len || memcmp(text.p, text.p + i, len) != 0)
            return 0;
    return len ? text.n / len : 0;
}

/* n tokens whose merges are mixed: the runs of one character as said above. The merge of two characters is the last and
 * may already lie behind the mixed ones. */
static bool are_runs(const merging *m, const made *tokens, size_t n)
{
    span longest = { NULL, 0 };
    uint32_t one, run;
    char text[TOKEN_BYTES_MAX + 1];
    for (size_t i = 0; i < n; i++)
        longest = m->v->texts[tokens[i].id].n > longest.n ? m->v->texts[tokens[i].id] : longest;
    size_t most = run_of(longest), shortest = most - n + 1; /* in the mix */
    if (most < 3 || (shortest != 2 && shortest != 3))
        return false;
    size_t len = longest.n / most;
    memcpy(text, longest.p, len);
    text[len] = 0;
    const pair *two = id_of(m, text, &one) ? find_pair(m, one, one) : NULL;
    for (size_t k = 2; two && k <= most; k++) {
        memcpy(text, longest.p, k * len);
        text[k * len] = 0;
        const pair *more = id_of(m, text, &run) ? find_pair(m, run, one) : NULL;
        bool mixed = id_of(m, text, &run) && m->at[run] && m->made[m->at[run] - 1].first >= tokens[0].first;
        if (!mixed || (k < most && (!more || more->rank > two->rank)))
            return false;
    }
    return two != NULL;
}

static status score(merging *m, error *err)
{
    for (size_t i = 0, n; i < m->n_made; i += n) {
        uint32_t last = m->made[i].last;
        for (n = 1; i + n < m->n_made && m->made[i + n].first < last; n++)
            last = m->made[i + n].last > last ? m->made[i + n].last : last;
        if (n > 1 && !are_runs(m, m->made + i, n))
            return fail(err, E_UNSUPPORTED, "tokenizer.json: the merges into token %u do not follow each other: "
                        "scores, which a GGUF file needs, cannot say that; with tokenizer.model beside it, it can be "
                        "read", m->made[i].id);
        for (size_t k = 0; k < n; k++)
            m->v->scores[m->made[i + k].id] = -(float)i;
    }
    /* Characters are there before anything merges: their scores are never looked at. */
    for (uint32_t i = 0; i < m->v->n; i++)
        if (!m->at[i] && m->v->types[i] == TOKEN_NORMAL)
            m->v->scores[i] = -(float)m->n_made;
    return OK;
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
        if (!find_pair(m, a, b))
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

static status read_merges(import_vocab *v, const js *json, error *err)
{
    const js *model = js_get(json, "model"), *merges = js_get(model, "merges"), *added = js_get(json, "added_tokens");
    size_t n;
    int64_t id;
    status s = import_merge_count(merges, &n, err);
    if (s)
        return s;
    merging m = { .v = v, .vocab = js_get(model, "vocab") };
    m.added = mem_array(v->n, sizeof *m.added);
    m.at = mem_array(v->n, sizeof *m.at);
    m.pairs = mem_array(n + 1, sizeof *m.pairs);
    m.made = mem_array(n + 1, sizeof *m.made);
    s = m.added && m.at && m.pairs && m.made ? OK : fail(err, E_NOMEM, "no memory for %zu merges", n);
    for (size_t i = 0; !s && i < js_len(added); i++)
        if (js_int(js_get(js_at(added, i), "id"), &id) && id >= 0 && id < v->n)
            m.added[id] = true;
    for (size_t i = 0; !s && i < n; i++)
        s = rank_merge(&m, merges, i, err);
    if (!s) {
        qsort(m.pairs, m.n_pairs, sizeof *m.pairs, by_ids);
        s = score(&m, err);
    }
    if (!s)
        s = check_all(&m, err);
    mem_free(m.added);
    mem_free(m.at);
    mem_free(m.pairs);
    mem_free(m.made);
    return s;
}

/* ---- tokens ---- */

static bool is_byte(const char *text)
{
    return strlen(text) == 6 && str_starts(text, "<0x") && text[5] == '>';
}

static status read_tokens(import_vocab *v, const js *json, error *err)
{
    const char *unk = js_text(js_get(js_get(json, "model"), "unk_token"));
    status s = import_json_tokens(v, json, err);
    for (uint32_t i = 0; !s && i < v->n; i++)
        if (v->texts[i].p && is_byte(v->texts[i].p))
            v->types[i] = TOKEN_BYTE;
    int32_t id = !s && unk ? import_vocab_find(v, unk) : -1;
    if (id >= 0 && v->types[id] == TOKEN_NORMAL) {
        v->types[id] = TOKEN_UNKNOWN;
        v->role[ROLE_UNK] = id;
    }
    return s;
}

/* ---- what comes before ---- */

/* A space becomes U+2581; one may come before the text. */
static bool read_step(import_vocab *v, const js *step)
{
    const char *type = import_step_type(step), *space = js_text(js_get(js_get(step, "pattern"), "String"));
    if (strcmp(type, "Prepend") == 0 && import_is_text(step, "prepend", SPACE_MARK, false)) {
        v->add_space = SAID_YES;
        return true;
    }
    if (strcmp(type, "Metaspace") == 0 && import_is_text(step, "replacement", SPACE_MARK, false)) {
        bool never = import_is_text(step, "prepend_scheme", "never", false);
        v->add_space = !never && js_bool(js_get(step, "add_prefix_space"), true) ? SAID_YES : v->add_space;
        return !js_bool(js_get(step, "split"), true);
    }
    if (!space || strcmp(space, " ") != 0)
        return false;
    /* By the time that Split looks for spaces there are none. */
    return strcmp(type, "Split") == 0 ||
           (strcmp(type, "Replace") == 0 && import_is_text(step, "content", SPACE_MARK, false));
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
                            import_step_type(step));
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
        s = read_tokens(v, json, err);
    return s ? s : read_merges(v, json, err);
}
