/* built_in.c: calibration text for models that write none: what there is, in other and other company.
 *
 * Every fifth text is only in pieces that are held out, the rest in the others. Each of both classes is gone through in
 * rounds: round r takes its m texts in steps of the r-th number that has no divisor in common with m, so every text
 * comes once in a round, beside others than before. Of a text longer than a piece each round has another part. */
#include <string.h>

#include "base/mem.h"
#include "pack/openings.h"
#include "pack/texts_int.h"

typedef struct class {
    bool is_held_out;
    size_t n;         /* texts */
    size_t round, at; /* the next one */
    size_t step;      /* of this round; 0: there are no more */
} class;

typedef struct builder {
    token_list ids;
    size_t *starts; /* [n + 1]: of the texts in ids */
    size_t n;
    text_frame frame;
    token_list between;
    size_t body;     /* tokens of a piece without its frame */
    bool sentences;  /* a model of single texts: one or two in a piece, not as many as fit */
    int32_t *piece;  /* [body] */
    class classes[2];
} builder;

static span text_at(const texts_options *o, size_t i, bool *is_text)
{
    size_t n = 0, k = i;
    const char *text = NULL;
    while (opening_question_at(n))
        n++;
    if (k < n)
        text = opening_question_at(k);
    else if ((k -= n) < o->n_tasks)
        return o->tasks[k];
    else
        text = opening_at(k - o->n_tasks);
    *is_text = text != NULL;
    return text ? span_of(text) : (span){ NULL, 0 };
}

static status gather(builder *b, const vocab *v, const texts_options *o, error *err)
{
    size_t n = 0;
    bool is_text = true;
    status s = OK;
    while (text_at(o, n, &is_text), is_text)
        n++;
    b->starts = mem_array(n + 1, sizeof *b->starts);
    if (!b->starts)
        return fail(err, E_NOMEM, "no memory for %zu texts", n);
    for (size_t i = 0; !s && i < n; i++) {
        span text = text_at(o, i, &is_text);
        size_t most = TEXTS_MOST_TOKENS; /* bytes: more than all pieces could hold */
        s = vocab_encode(v, text.p, text.n < most ? text.n : most, 0, &b->ids, err);
        b->n += !s && b->ids.n > b->starts[b->n]; /* one without tokens is none */
        b->starts[b->n] = b->ids.n;
    }
    return s ? s : vocab_encode(v, "\n\n", 2, 0, &b->between, err);
}

static size_t common_divisor(size_t a, size_t b)
{
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The next text of the class, or SIZE_MAX. */
static size_t current(const class *c)
{
    if (!c->step || !c->n)
        return SIZE_MAX;
    size_t j = c->at * c->step % c->n, rest = TEXTS_FIFTH - 1;
    if (c->is_held_out)
        return TEXTS_FIFTH * j + TEXTS_HELD_OUT;
    return TEXTS_FIFTH * (j / rest) + j % rest + (j % rest >= TEXTS_HELD_OUT);
}

static void advance(class *c)
{
    if (++c->at < c->n)
        return;
    c->at = 0;
    c->round++;
    do
        c->step++;
    while (c->step < c->n && common_divisor(c->step, c->n) != 1);
    c->step = c->step < c->n ? c->step : 0;
}

/* Fills a piece; how many tokens it has, 0: there are no more texts. */
static size_t fill(builder *b, class *c)
{
    size_t n = 0, n_texts = 0, most = !b->sentences ? SIZE_MAX : c->round ? 2 : 1;
    for (size_t i; n_texts < most && (i = current(c)) != SIZE_MAX; n_texts++) {
        size_t all = b->starts[i + 1] - b->starts[i], parts = (all + b->body - 1) / b->body;
        size_t from = c->round % parts * b->body, left = all - from < b->body ? all - from : b->body;
        size_t gap = n ? b->between.n : 0;
        if (n && n + gap + left > b->body)
            break;
        if (gap)
            memcpy(b->piece + n, b->between.ids, gap * sizeof *b->piece);
        memcpy(b->piece + n + gap, b->ids.ids + b->starts[i] + from, left * sizeof *b->piece);
        n += gap + left;
        advance(c);
    }
    return n;
}

static status build(builder *b, texts *out, uint64_t max_tokens, error *err)
{
    size_t framed = (size_t)(b->frame.front >= 0) + (size_t)(b->frame.back >= 0), held = 0, n;
    for (size_t i = 0; i < b->n; i++)
        held += texts_is_held_out(i);
    b->classes[0] = (class){ .n = b->n - held, .step = 1 };
    b->classes[1] = (class){ .n = held, .step = 1, .is_held_out = true };
    b->piece = mem_array(b->body, sizeof *b->piece);
    status s = b->piece ? texts_room(out, max_tokens, err) : fail(err, E_NOMEM, "no memory for a piece");
    while (!s && (n = fill(b, &b->classes[texts_is_held_out(out->n)])) > 0 && out->n_ids + n + framed <= max_tokens)
        texts_put(out, &b->frame, b->piece, n);
    return s;
}

status texts_built_in(texts *out, const vocab *v, const texts_options *o, error *err)
{
    builder b = { .ids = TOKEN_LIST_INIT(64 * (size_t)TEXTS_MOST_TOKENS), .between = TOKEN_LIST_INIT(16) };
    status s = texts_check(o->piece, o->max_tokens, err);
    if (!s)
        s = texts_frame(&b.frame, v, err);
    b.sentences = b.frame.back >= 0;
    b.body = o->piece - (b.frame.front >= 0) - (b.frame.back >= 0);
    if (!s)
        s = gather(&b, v, o, err);
    if (!s)
        s = build(&b, out, o->max_tokens, err);
    token_list_clear(&b.ids);
    token_list_clear(&b.between);
    mem_free(b.starts);
    mem_free(b.piece);
    return s;
}
