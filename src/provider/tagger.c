/* tagger.c: see the header. */
#include "provider/tagger.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "plat/clock.h"
#include "plat/wait.h"
#include "provider/provider.h"

enum {
    PIECE = 64 << 10,  /* bytes of one request: about a thousand times what the model sees at once */
    OVERLAP = 512,     /* so much of a piece is read again with the next: no name is cut in two */
    LABELS_MAX = 256,
    LABEL_BYTES = 64,
};

struct tagger {
    provider *provider;
    double threshold;
    uint32_t deadline_ms;
    char name[64];
    pthread_mutex_t lock;    /* of what follows */
    pthread_cond_t left;     /* somebody has left */
    unsigned n_asking, most;
    char labels[LABELS_MAX][LABEL_BYTES]; /* as they came; none goes before the tagger does */
    size_t n_labels;
};

status tagger_open(tagger **out, const char *model, const config *cfg, const tagger_options *o, error *err)
{
    config own = cfg ? *cfg : (config){ 0 };
    tagger *t = mem_zero(sizeof *t);
    if (!t)
        return fail(err, E_NOMEM, "no memory for a tagger");
    own.parallel = TAGGER_PARALLEL;
    own.context = 0;
    own.keeps_snapshots = own.look = false;
    t->threshold = o && o->threshold > 0 ? o->threshold : TAGGER_THRESHOLD;
    t->deadline_ms = o && o->deadline_ms ? o->deadline_ms : TAGGER_DEADLINE_MS;
    pthread_mutex_init(&t->lock, NULL);
    wait_init(&t->left);
    status s = provider_open(&t->provider, model, &own, err);
    if (!s && !provider_get_info(t->provider)->tags)
        s = fail(err, E_UNSUPPORTED, "%s does not label the tokens of a text", model);
    if (s) {
        tagger_close(&t);
        return s;
    }
    const provider_info *i = provider_get_info(t->provider);
    t->most = i->parallel;
    snprintf(t->name, sizeof t->name, "%.48s@%.8s", i->model, i->model_digest);
    *out = t;
    return OK;
}

void tagger_close(tagger **at)
{
    tagger *t = *at;
    if (!t)
        return;
    provider_close(&t->provider);
    pthread_cond_destroy(&t->left);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
    *at = NULL;
}

uint64_t tagger_bytes(const tagger *t)
{
    return provider_get_info(t->provider)->budget_bytes;
}

const char *tagger_name(const tagger *t)
{
    return t->name;
}

provider *tagger_provider(tagger *t)
{
    return t->provider;
}

/* ---- the queue ---- */

static uint32_t ms_until(uint64_t until_us)
{
    uint64_t now = clock_mono_us();
    return until_us > now + 999 ? (uint32_t)((until_us - now) / 1000) : 0;
}

static status enter(tagger *t, uint64_t until_us, error *err)
{
    uint32_t ms = 1;
    pthread_mutex_lock(&t->lock);
    while (t->n_asking >= t->most && (ms = ms_until(until_us)) > 0) {
        struct timespec until = wait_until((int)ms);
        pthread_cond_timedwait(&t->left, &t->lock, &until);
    }
    bool in = t->n_asking < t->most;
    t->n_asking += in;
    pthread_mutex_unlock(&t->lock);
    return in ? OK : fail(err, E_PROVIDER, "the tagger was busy with other texts for %u ms", t->deadline_ms);
}

static void leave(tagger *t)
{
    pthread_mutex_lock(&t->lock);
    t->n_asking--;
    pthread_cond_signal(&t->left);
    pthread_mutex_unlock(&t->lock);
}

/* ---- one piece ---- */

typedef struct piece {
    tagger *t;
    size_t at, n; /* where it lies in the text; bytes */
    detect_spans *each;
    void *to;
    bool odd;     /* the worker said what cannot be */
    bool whole;   /* it read all of it */
} piece;

/* The label in the tagger's memory; NULL: there are too many different ones, or it is too long. */
static const char *label_of(tagger *t, const char *label)
{
    const char *found = NULL;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->n_labels && !found; i++)
        if (strcmp(t->labels[i], label) == 0)
            found = t->labels[i];
    if (!found && t->n_labels < LABELS_MAX && strlen(label) < LABEL_BYTES) {
        memcpy(t->labels[t->n_labels], label, strlen(label) + 1);
        found = t->labels[t->n_labels++];
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

static int on_event(void *user, const event *e)
{
    piece *p = user;
    if (e->kind == EVENT_DONE)
        p->whole = e->end->finish == ANSWER_STOP;
    if (e->kind != EVENT_SPAN)
        return 0;
    const char *label = label_of(p->t, e->span->label);
    p->odd = p->odd || !label || e->span->end > p->n;
    if (!p->odd)
        p->each(p->to, &(detect_span){ p->at + e->span->begin, p->at + e->span->end, label, e->span->probability });
    return p->odd;
}

/* Text for a request: no zero byte in it, and UTF-8; of the same length. *out: mem_free. */
static char *speakable(const char *text, size_t n)
{
    char *copy = mem_strndup(text, n);
    if (!copy)
        return NULL;
    for (size_t i = 0, step; i < n; i += step) {
        uint32_t code = 0;
        step = utf8_decode(copy + i, n - i, &code);
        if (!code) {
            copy[i] = ' ';
            step = 1;
        }
    }
    return copy;
}

static status ask(piece *p, const char *text, uint64_t until_us, error *err)
{
    uint32_t ms = ms_until(until_us);
    char *copy = speakable(text + p->at, p->n);
    if (!copy)
        return fail(err, E_NOMEM, "no memory to tag a text");
    request r;
    request_init(&r);
    r.kind = REQUEST_TAG;
    r.privacy = PRIVACY_SECRET; /* what it is nobody knows yet */
    r.text = copy;
    r.tag_threshold = p->t->threshold;
    provider_limits limits = { .timeout_ms = ms, .first_ms = ms, .idle_ms = ms };
    status s = ms ? provider_complete(p->t->provider, &r, on_event, p, &limits, err)
                  : fail(err, E_PROVIDER, "the tagger has not read the text within %u ms", p->t->deadline_ms);
    if (!s && p->odd)
        s = fail(err, E_PROVIDER, "the tagger names a part that the text does not have");
    else if (!s && !p->whole)
        s = fail(err, E_PROVIDER, "the tagger has not read all of the text");
    mem_free(copy);
    return s;
}

/* Where a piece that begins at `at` ends: at the last blank before PIECE, at least between two characters. */
static size_t piece_end(const char *text, size_t at, size_t n)
{
    if (n - at <= PIECE)
        return n;
    size_t end = at + PIECE;
    for (size_t i = end; i > at + PIECE / 2; i--)
        if (text[i] == ' ' || text[i] == '\n')
            return i;
    while (end > at + PIECE / 2 && ((unsigned char)text[end] & 0xc0) == 0x80)
        end--;
    return end;
}

static size_t next_piece(const char *text, size_t end)
{
    for (size_t i = end - OVERLAP; i < end; i++)
        if (text[i] == ' ' || text[i] == '\n')
            return i;
    size_t at = end - OVERLAP;
    while (at < end && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

status tagger_spans(void *user, const char *text, size_t n, detect_spans *each, void *to, error *err)
{
    tagger *t = user;
    uint64_t until_us = clock_mono_us() + (uint64_t)t->deadline_ms * 1000;
    status s = OK;
    for (size_t at = 0, end = 0; !s && end < n; at = end < n ? next_piece(text, end) : n) {
        end = piece_end(text, at, n);
        piece p = { .t = t, .at = at, .n = end - at, .each = each, .to = to };
        s = enter(t, until_us, err);
        if (s)
            return s;
        s = ask(&p, text, until_us, err);
        leave(t);
    }
    return s;
}
