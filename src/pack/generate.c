/* generate.c: calibration text by the model itself.
 *
 * Document i is a function of i and the seed: an opening, a question or a task, and what the model makes of it. Many
 * are under way at once, and which of them are over first is the clock's affair; so what counts is the shortest
 * sequence of documents from the first one on that has enough tokens. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "chat/chat.h"
#include "engine/batch.h"
#include "pack/openings.h"
#include "pack/texts_int.h"

enum {
    KINDS = 4,            /* of four documents one is of a task, one of a question, two of openings */
    TOKENS_LEAST = 32,    /* of a document, on average: a model that says less says nothing */
    TASK_BYTES = 2048,    /* a longer task is cut */
    NOW = 1767225600,     /* for templates that say the date: the same text on every day */
};

typedef struct document {
    int32_t *ids; /* [piece]: prompt and answer */
    size_t n;
    loop_watch loop;
    sampling_options sampling;
    session *session;
    generation *generation; /* NULL: not begun, or over */
    bool is_over;
} document;

typedef struct writer {
    engine *e;
    const vocab *v;
    const texts_options *o;
    text_frame frame;
    chat *chat; /* NULL: a base model */
    batch *batch;
    uint32_t limit;    /* of a document, in tokens */
    document *docs;    /* [n_most] */
    size_t n_most, n_begun, n_live;
    size_t n_first;    /* so many from the first one on are over, */
    uint64_t first_tokens; /* and have so many tokens */
} writer;

/* ---- prompts ---- */

static status ask(const writer *w, const char *question, size_t n, token_list *out, error *err)
{
    js *messages = js_array();
    char *text = mem_strndup(question, n);
    status s = messages && text && chat_add(messages, "user", text)
                   ? chat_render(w->chat, &(chat_request){ .messages = messages, .add_generation_prompt = true,
                                                           .now = NOW }, out, err)
                   : fail(err, E_NOMEM, "no memory for a conversation");
    js_free(messages);
    mem_free(text);
    return s;
}

/* With something before it in any case: the first logits need a token. */
static status begin_text(const writer *w, span text, token_list *out, error *err)
{
    int32_t first = w->frame.front >= 0 ? w->frame.front : text.n == 0 ? vocab_bos(w->v) : -1;
    if (first < 0 && text.n == 0)
        first = vocab_eos(w->v);
    status s = first >= 0 ? token_list_add(out, first, err) : OK;
    return s ? s : vocab_encode(w->v, text.p, text.n, 0, out, err);
}

static span circular(const char *(*at)(size_t i), size_t i)
{
    size_t n = 0;
    while (at(n))
        n++;
    return span_of(at(i % n));
}

static status prompt_of(const writer *w, size_t i, token_list *out, error *err)
{
    size_t round = i / KINDS, kind = i % KINDS;
    bool is_task = kind == 1 && w->o->n_tasks, is_question = is_task || kind == 3;
    span text = is_task         ? w->o->tasks[round % w->o->n_tasks]
                : is_question   ? circular(opening_question_at, round)
                : w->o->n_tasks ? circular(opening_at, 2 * round + kind / 2)
                                : circular(opening_at, 3 * round + kind);
    text.n = text.n < TASK_BYTES ? text.n : utf8_complete(text.p, TASK_BYTES);
    status s = is_question && w->chat ? ask(w, text.p, text.n, out, err) : E_UNSUPPORTED;
    if (s == OK || s == E_NOMEM)
        return s;
    return begin_text(w, text, out, err); /* a template may refuse what it is given: then it is plain text */
}

/* ---- documents ---- */

static bool hear(void *user, const generate_event *event)
{
    document *d = user;
    if (event->kind != GENERATE_TOKEN)
        return false;
    d->ids[d->n++] = event->token.token;
    size_t stays = loop_watch_add(&d->loop, d->ids, d->n);
    bool loops = stays < d->n;
    d->n = stays;
    return loops;
}

static void end(writer *w, document *d)
{
    if (!d->generation)
        return;
    generation_close(&d->generation);
    session_close(&d->session);
    d->is_over = true;
    w->n_live--;
}

static void say_how(const writer *w, document *d, size_t i)
{
    sampling_options_init(&d->sampling);
    d->sampling.temperature = 0.9f;
    d->sampling.top_k = 0;
    d->sampling.min_p = 0.0f;
    d->sampling.seed = w->o->seed;
    d->sampling.choice = (uint32_t)i;
    d->sampling.speculate = SPECULATE_OFF;
    d->sampling.max_tokens = w->limit - (uint32_t)d->n;
}

static status begin(writer *w, error *err)
{
    size_t i = w->n_begun;
    document *d = &w->docs[i];
    token_list prompt = TOKEN_LIST_INIT(1 << 20);
    d->ids = mem_array(w->limit, sizeof *d->ids);
    status s = d->ids ? prompt_of(w, i, &prompt, err) : fail(err, E_NOMEM, "no memory for %u tokens", w->limit);
    if (s || prompt.n == 0) {
        token_list_clear(&prompt);
        d->is_over = true;
        w->n_begun++;
        return s;
    }
    size_t most = w->limit / 4 * 3, n = prompt.n < most ? prompt.n : most;
    for (; d->n < n; d->n++) {
        d->ids[d->n] = prompt.ids[d->n];
        (void)loop_watch_add(&d->loop, d->ids, d->n + 1);
    }
    token_list_clear(&prompt);
    say_how(w, d, i);
    s = session_open(&d->session, w->e, err);
    if (!s)
        s = generation_open(&d->generation, d->session, d->ids, (uint32_t)d->n, &d->sampling, hear, d, err);
    if (!s)
        s = batch_add(w->batch, d->generation, 0, err);
    if (s) {
        generation_close(&d->generation);
        session_close(&d->session);
        return s;
    }
    w->n_live++;
    w->n_begun++;
    return OK;
}

/* ---- all of them ---- */

/* How many tokens there will be when those that have begun are over: a guess, on which nothing depends but time. */
static uint64_t foreseen(const writer *w)
{
    uint64_t sum = 0, over = 0, n_over = 0;
    for (size_t i = 0; i < w->n_begun; i++) {
        over += w->docs[i].is_over ? w->docs[i].n : 0;
        n_over += w->docs[i].is_over;
    }
    uint64_t usual = (n_over ? over / n_over + w->limit : w->limit) / 2; /* the first to be over are the short ones */
    for (size_t i = 0; i < w->n_begun; i++)
        sum += w->docs[i].is_over || w->docs[i].n > usual ? w->docs[i].n : usual;
    return sum;
}

static status fetch(writer *w, error *err)
{
    generate_result r;
    status s = OK;
    for (generation *g; !s && (g = batch_next_finished(w->batch));)
        for (size_t i = 0; !s && i < w->n_begun; i++)
            if (w->docs[i].generation == g) {
                s = generation_result(g, &r, err);
                end(w, &w->docs[i]);
            }
    for (; w->n_first < w->n_begun && w->docs[w->n_first].is_over; w->n_first++)
        w->first_tokens += w->docs[w->n_first].n;
    return s;
}

static status tell(const writer *w, error *err)
{
    uint64_t done = 0, total = w->o->max_tokens;
    for (size_t i = 0; i < w->n_begun; i++)
        done += w->docs[i].n;
    if (w->o->progress && w->o->progress(w->o->user, done < total ? done : total, total))
        return fail(err, E_CANCELLED, "stopped");
    return OK;
}

static status write_all(writer *w, error *err)
{
    status s = OK;
    while (!s && w->first_tokens < w->o->max_tokens) {
        while (!s && w->n_live < TEXTS_AT_ONCE && w->n_begun < w->n_most && foreseen(w) < w->o->max_tokens)
            s = begin(w, err);
        if (!s)
            s = batch_step(w->batch, err);
        if (!s)
            s = fetch(w, err);
        if (!s)
            s = tell(w, err);
        if (!w->n_live && w->n_begun == w->n_most)
            break;
    }
    return s;
}

static status pack_all(const writer *w, texts *out, error *err)
{
    packer p = { out, w->o->piece, w->o->max_tokens };
    if (w->first_tokens < TEXTS_LEAST_TOKENS)
        return fail(err, E_UNSUPPORTED, "the model writes next to nothing (%" PRIu64 " tokens in %zu texts): give it "
                    "calibration text (--calibrate FILE)", w->first_tokens, w->n_first);
    status s = texts_room(out, w->o->max_tokens, err);
    for (size_t i = 0; !s && i < w->n_first; i++)
        if (packer_add(&p, w->docs[i].ids, w->docs[i].n))
            break;
    return s;
}

static status writer_open(writer *w, error *err)
{
    const engine_info *info = engine_get_info(w->e);
    status s = texts_check(w->o->piece, w->o->max_tokens, err);
    if (!s && (info->is_encoder || !w->v))
        return fail(err, E_UNSUPPORTED, "%s writes no text: give it calibration text (--calibrate FILE)", info->name);
    if (!s)
        s = texts_frame(&w->frame, w->v, err);
    if (s)
        return s;
    w->limit = info->context < w->o->piece ? info->context : w->o->piece;
    w->n_most = (size_t)(w->o->max_tokens / TOKENS_LEAST) + TEXTS_AT_ONCE;
    w->docs = mem_array(w->n_most, sizeof *w->docs);
    if (!w->docs)
        return fail(err, E_NOMEM, "no memory for %zu texts", w->n_most);
    s = chat_open(&w->chat, engine_chat_template(w->e), w->v, err);
    if (s == E_NOMEM)
        return s;
    return batch_open(&w->batch, w->e, NULL, err); /* a base model, or a strange template: plain text does */
}

static void writer_clear(writer *w)
{
    for (size_t i = 0; i < w->n_begun; i++) {
        if (w->docs[i].generation)
            batch_remove(w->batch, w->docs[i].generation);
        end(w, &w->docs[i]);
    }
    for (size_t i = 0; w->docs && i < w->n_most; i++)
        mem_free(w->docs[i].ids);
    batch_close(&w->batch);
    chat_close(&w->chat);
    mem_free(w->docs);
}

status texts_generate(texts *out, engine *e, const texts_options *o, error *err)
{
    writer w = { .e = e, .v = engine_vocab(e), .o = o };
    status s = writer_open(&w, err);
    if (!s)
        s = write_all(&w, err);
    if (!s)
        s = pack_all(&w, out, err);
    writer_clear(&w);
    return s;
}

void texts_engine_options(engine_options *o, uint32_t piece)
{
    engine_options_init(o);
    o->context = piece;
    o->n_sessions = TEXTS_AT_ONCE;
    o->logit_rows = TEXTS_AT_ONCE;
}
