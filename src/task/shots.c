/* shots.c: few_shot: which train cases are shown as examples in a prompt.
 *
 * The pool is every train case whose ideal answer is known, in the order of a hash of its id. For one input each
 * example gets a key (a mix of that hash, the seed and, for `random`, the input) and a score (for `similar`: the
 * Jaccard similarity of the words of both inputs); the greatest score, then the least key, is taken. For label tasks
 * `fixed` and `random` take of the label that has had fewest so far. All of it depends on texts, settings and seed
 * alone. Never taken: the case itself, one of its cluster, one with the same input. */
#include <stdlib.h>
#include <string.h>

#include "task/lint_int.h"
#include "task/task_int.h"

typedef struct shot {
    const task_case *c;
    const char *answer;
    uint64_t id_hash, input_hash;
    size_t label; /* n_labels: none */
    gram_set words; /* only where a prompt asks for similar ones */
} shot;

typedef struct shot_pool {
    size_t n;
    shot *shots;
} shot_pool;

/* ---- reading ---- */

static bool has_place(const task_prompt *p)
{
    for (size_t i = 0; i < p->n_messages; i++)
        if (strstr(p->messages[i].content, "{{examples}}"))
            return true;
    return false;
}

static bool has_question(const task_prompt *p)
{
    for (size_t i = 0; i < p->n_messages; i++)
        if (!strcmp(p->messages[i].role, "user"))
            return true;
    return false;
}

/* Where the examples go must be there, and only one such place. */
static status check_place(task_reader *r, const yaml *node, const task_prompt *p)
{
    bool place = has_place(p);
    if (r->t->caller_prompt)
        return yaml_error(r->f, node, r->err, "with 'prompt: caller' the prompts are the callers': no few_shot");
    if (place != (p->shots.example != NULL))
        return yaml_error(r->f, node, r->err, place ? "the prompt holds {{examples}}: 'few_shot' needs 'example', the "
                          "text of one, with {{expected}}" : "'example' needs the place {{examples}} in the prompt");
    if (!place && p->plain)
        return yaml_error(r->f, node, r->err, "a prompt that is one text needs the place {{examples}}, and 'example' "
                          "in 'few_shot'");
    if (!place && !has_question(p))
        return yaml_error(r->f, node, r->err, "'few_shot' needs a user message to put examples before");
    return OK;
}

status shots_read(task_reader *r, const yaml *node, task_prompt *out)
{
    static const char *const keys[] = { "n", "by", "seed", "example" };
    static const char *const words[] = { "fixed", "random", "similar" };
    task_shots shots = { .seed = 1 };
    int64_t n = 0;
    size_t by = 0;
    error why;
    if (!node)
        return OK;
    if (node->kind != YAML_MAP || !yaml_get(node, "n"))
        return yaml_error(r->f, node, r->err, "'few_shot' is a map with 'n' (and 'by', 'seed', 'example')");
    if (r->t->held_back < 0)
        return yaml_error(r->f, node, r->err, "'few_shot' draws from the train split: set 'split: {held_back: 0.5}'");
    status s = yaml_known_keys(r->f, node, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = task_read_int(r, node, "n", 1, TASK_SHOTS_MAX, &n);
    if (!s && yaml_get(node, "by"))
        s = task_read_word(r, yaml_get(node, "by"), words, ARRAY_LEN(words), &by);
    if (!s)
        s = task_read_int(r, node, "seed", 0, INT64_MAX, &shots.seed);
    if (!s && yaml_get(node, "example"))
        s = task_read_text(r, yaml_get(node, "example"), &shots.example);
    if (!s && shots.example && prompt_check(shots.example, &why))
        s = yaml_error(r->f, yaml_get(node, "example"), r->err, "%s", why.text);
    shots.n = (size_t)n;
    shots.by = (task_shots_by)by;
    out->shots = shots;
    return s ? s : check_place(r, node, out);
}

/* ---- the pool ---- */

static uint64_t hash_text(const char *p, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 1099511628211u;
    return h;
}

/* The finaliser of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

/* A text is the variable `input`: {"input": text} is the same. */
static const js *bare(const js *input)
{
    const js *only = js_is(input, JS_OBJECT) && js_len(input) == 1 ? js_get(input, "input") : NULL;
    return js_is(only, JS_STRING) ? only : input;
}

static status hash_input(const js *input, uint64_t *out, error *err)
{
    buf b = BUF_INIT(2 * TASK_PROMPT_BYTES_MAX);
    js_write(bare(input), JS_CANONICAL, &b);
    status s = buf_ok(&b, "the input", err);
    if (!s)
        *out = hash_text(b.data, b.len);
    buf_clear(&b);
    return s;
}

static status words_in(const js *input, gram_set *out, error *err)
{
    buf b = BUF_INIT(2 * TASK_PROMPT_BYTES_MAX);
    task_all_text(input, &b);
    status s = buf_ok(&b, "the input", err);
    if (!s)
        s = grams_of_words(out, buf_text(&b), b.len, 1, err);
    buf_clear(&b);
    return s;
}

static size_t label_of(const task *t, const char *answer)
{
    for (size_t i = 0; i < t->n_labels; i++)
        if (!strcmp(t->labels[i], answer))
            return i;
    return t->n_labels;
}

static bool wanted(const task *t, bool similar)
{
    bool any = t->prompt.shots.n && (!similar || t->prompt.shots.by == SHOTS_SIMILAR);
    for (size_t i = 0; i < t->n_variants; i++)
        any = any || (t->variants[i].shots.n && (!similar || t->variants[i].shots.by == SHOTS_SIMILAR));
    return any;
}

/* Adds the case, unless no grader can say what its answer would be, or that would not pass all graders. */
static status add_shot(task *t, const task_case *c, bool similar, error *err)
{
    shot_pool *pool = t->memory->pool;
    char *ideal = NULL;
    grade g = { .outcome = GRADE_WRONG };
    error why;
    status s = grade_ideal(t, c, &ideal, &why);
    if (!s && ideal)
        s = grade_answer(t, c, ideal, strlen(ideal), &g, &why);
    if (s || g.outcome != GRADE_PASS) {
        mem_free(ideal);
        return s == E_NOMEM ? task_no_memory(err) : OK;
    }
    shot one = { .c = c, .answer = arena_strndup(&t->memory->case_memory, ideal, strlen(ideal)),
                 .id_hash = hash_text(c->id, strlen(c->id)), .label = label_of(t, ideal) };
    mem_free(ideal);
    if (!one.answer)
        return task_no_memory(err);
    s = hash_input(c->input, &one.input_hash, err);
    if (!s && similar)
        s = words_in(c->input, &one.words, err);
    if (!s)
        pool->shots[pool->n++] = one;
    return s;
}

static int by_hash(const void *a, const void *b)
{
    const shot *x = a, *y = b;
    if (x->id_hash != y->id_hash)
        return x->id_hash < y->id_hash ? -1 : 1;
    return strcmp(x->c->id, y->c->id);
}

static status field_of(digest *d, const task_case *c, const char *answer, error *err)
{
    buf b = BUF_INIT(2 * TASK_PROMPT_BYTES_MAX);
    js_write(c->input, JS_CANONICAL, &b);
    status s = buf_ok(&b, "the input", err);
    if (!s) {
        digest_field(d, b.data, b.len);
        digest_field(d, answer, strlen(answer));
    }
    buf_clear(&b);
    return s;
}

/* What the examples are taken from: for `fixed` those that are shown, else the whole pool. */
static status set_digest(const task *t, task_prompt *p, error *err)
{
    const shot_pool *pool = t->memory->pool;
    shots_chosen chosen = { 0 };
    uint8_t raw[DIGEST_BYTES] = { 0 };
    error why;
    if (!p->shots.n)
        return OK;
    if (p->shots.by == SHOTS_FIXED && shots_choose(t, p, NULL, NULL, &chosen, &why))
        chosen.n = 0; /* too few: rendering says so */
    digest *d = digest_open();
    if (!d)
        return task_no_memory(err);
    status s = OK;
    for (size_t i = 0; i < chosen.n && !s; i++)
        s = field_of(d, chosen.cases[i], chosen.answers[i], err);
    for (size_t i = 0; p->shots.by != SHOTS_FIXED && i < pool->n && !s; i++)
        s = field_of(d, pool->shots[i].c, pool->shots[i].answer, err);
    digest_close(&d, raw);
    digest_hex(raw, p->shots.examples);
    return s;
}

status shots_prepare(task *t, error *err)
{
    if (!wanted(t, false))
        return OK;
    shot_pool *pool = t->memory->pool = mem_zero(sizeof *pool);
    if (pool)
        pool->shots = mem_array(t->n_cases + 1, sizeof *pool->shots);
    status s = pool && pool->shots ? OK : task_no_memory(err);
    for (size_t i = 0; i < t->n_cases && !s; i++)
        if (task_case_split(t, &t->cases[i]) == TASK_TRAIN)
            s = add_shot(t, &t->cases[i], wanted(t, true), err);
    if (!s && pool->n)
        qsort(pool->shots, pool->n, sizeof *pool->shots, by_hash);
    if (!s)
        s = set_digest(t, &t->prompt, err);
    for (size_t i = 0; i < t->n_variants && !s; i++)
        s = set_digest(t, &t->memory->variants[i], err);
    return s;
}

void shots_clear(task *t)
{
    shot_pool *pool = t->memory->pool;
    for (size_t i = 0; pool && pool->shots && i < pool->n; i++)
        mem_free(pool->shots[i].words.grams);
    if (pool)
        mem_free(pool->shots);
    mem_free(pool);
    t->memory->pool = NULL;
}

/* ---- choosing ---- */

typedef struct rank {
    double score; /* negative: not to be taken */
    uint64_t key;
} rank;

typedef struct choice {
    const task_prompt *p;
    const shot_pool *pool;
    const char *case_id; /* its own example, or NULL */
    const char *cluster; /* its own, or NULL */
    uint64_t input_hash;
    gram_set words;
    bool known; /* there is an input */
    rank *ranks;
} choice;

static void rank_one(choice *c, size_t i)
{
    const shot *s = &c->pool->shots[i];
    const task_shots *how = &c->p->shots;
    uint64_t draw = how->by == SHOTS_RANDOM ? mix((uint64_t)how->seed ^ c->input_hash) : (uint64_t)how->seed;
    c->ranks[i].key = mix(s->id_hash ^ mix(draw));
    c->ranks[i].score = how->by == SHOTS_SIMILAR ? grams_similarity(&s->words, &c->words) : 0;
    bool own = c->known && (s->input_hash == c->input_hash || (c->case_id && !strcmp(c->case_id, s->c->id)) ||
                            (c->cluster && s->c->cluster && !strcmp(c->cluster, s->c->cluster)));
    if (own)
        c->ranks[i].score = -1;
}

/* The best that is left; SIZE_MAX: none. */
static size_t best(const choice *c, const uint16_t *counts)
{
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < c->pool->n; i++) {
        const rank *x = &c->ranks[i], *y = at == SIZE_MAX ? NULL : &c->ranks[at];
        if (x->score < 0)
            continue;
        unsigned had = counts[c->pool->shots[i].label], had_best = y ? counts[c->pool->shots[at].label] : 0;
        bool nearer = y && (x->score > y->score || (x->score == y->score && x->key < y->key));
        if (!y || had < had_best || (had == had_best && nearer))
            at = i;
    }
    return at;
}

static void take(choice *c, shots_chosen *out)
{
    uint16_t counts[TASK_LABELS_MAX + 1] = { 0 };
    bool similar = c->p->shots.by == SHOTS_SIMILAR;
    for (size_t at; out->n < c->p->shots.n && (at = best(c, counts)) != SIZE_MAX;) {
        const shot *s = &c->pool->shots[at];
        c->ranks[at].score = -1;
        counts[s->label] += !similar;
        out->cases[out->n] = s->c;
        out->answers[out->n++] = s->answer;
    }
    for (size_t i = 0, k = out->n; similar && i + 1 < k; i++, k--) { /* the nearest stands last, next to the question */
        const task_case *one = out->cases[i];
        const char *answer = out->answers[i];
        out->cases[i] = out->cases[k - 1];
        out->answers[i] = out->answers[k - 1];
        out->cases[k - 1] = one;
        out->answers[k - 1] = answer;
    }
}

status shots_choose(const task *t, const task_prompt *p, const js *input, const char *case_id, shots_chosen *out,
                    error *err)
{
    choice c = { .p = p, .pool = t->memory->pool, .known = input != NULL };
    shots_chosen chosen = { 0 };
    if (!c.pool)
        return fail(err, E_FORMAT, "%s: few_shot needs the cases, and they are not loaded", t->path);
    for (size_t i = 0; case_id && i < c.pool->n && !c.case_id; i++)
        if (!strcmp(c.pool->shots[i].c->id, case_id)) {
            c.case_id = case_id;
            c.cluster = c.pool->shots[i].c->cluster;
        }
    status s = (c.ranks = mem_array(c.pool->n + 1, sizeof *c.ranks)) ? OK : task_no_memory(err);
    if (!s && input)
        s = hash_input(input, &c.input_hash, err);
    if (!s && input && p->shots.by == SHOTS_SIMILAR)
        s = words_in(input, &c.words, err);
    for (size_t i = 0; i < c.pool->n && !s; i++)
        rank_one(&c, i);
    if (!s)
        take(&c, &chosen);
    mem_free(c.ranks);
    mem_free(c.words.grams);
    if (!s && chosen.n < p->shots.n && !c.case_id)
        s = fail(err, E_FORMAT, "%s: few_shot wants %zu examples; only %zu train cases can be one", t->path, p->shots.n,
                 chosen.n);
    if (!s)
        *out = chosen;
    return s;
}
