/* tag.c: spans of a text by the classes of its tokens. See tag.h.
 *
 * Tokens do not say where they come from. WordPiece cuts at white space and punctuation first and then knows only the
 * word at hand: so the text is cut here at ASCII's, each piece encoded alone, and the tokens are those of the whole. */
#include "engine/tag.h"

#include <string.h>

#include "base/mem.h"
#include "engine/embed.h"
#include "token/vocab.h"

/* Windows: 256 tokens cost a third less than 512 (attention grows with the square); 16 on either side are company. */
enum { WINDOW = 256, EDGE = 16, TOKENS_MAX = 1 << 24 };

typedef struct place {
    uint32_t begin, end;
} place;

struct engine_tagging {
    engine *e;
    token_list tokens;
    place *places;         /* of each token: the piece that it is of */
    size_t places_room;
    int32_t first, last;   /* what the model wants around a text; -1: nothing */
    int32_t *window;
    float *logits;
    uint32_t n_classes;
    size_t most;           /* tokens of a window, without what stands around */
    size_t at, judged;     /* where the next window begins; tokens that are done */
    double least;
    tag_each *each;
    void *to;
    tag_span open;         /* label NULL: none */
};
typedef engine_tagging tagging;

bool engine_tags(const engine *e)
{
    return engine_get_info(e)->is_encoder && engine_vocab(e) && vocab_kind_of(engine_vocab(e)) == VOCAB_WORDPIECE &&
           engine_n_classes(e) > 1 && strcmp(engine_class_name(e, 0), "O") == 0;
}

/* ---- tokens and their places ---- */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool in_word(char c)
{
    return (unsigned char)c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static size_t piece_length(const char *p, size_t n)
{
    size_t length = 1;
    while (in_word(p[0]) && length < n && in_word(p[length]))
        length++;
    return length;
}

static status note_places(tagging *t, size_t from, size_t begin, size_t end, error *err)
{
    if (t->tokens.n > t->places_room) {
        size_t room = 2 * t->tokens.n + 256;
        place *more = mem_resize(t->places, room * sizeof *more);
        if (!more)
            return fail(err, E_NOMEM, "no memory for the places of %zu tokens", t->tokens.n);
        t->places = more;
        t->places_room = room;
    }
    for (size_t i = from; i < t->tokens.n; i++)
        t->places[i] = (place){ (uint32_t)begin, (uint32_t)end };
    return OK;
}

static status encode(tagging *t, const char *text, size_t n, error *err)
{
    status s = OK;
    for (size_t at = 0, length; at < n && !s; at += length) {
        size_t before = t->tokens.n;
        length = piece_length(text + at, n - at);
        if (is_blank(text[at]))
            continue;
        s = vocab_encode(engine_vocab(t->e), text + at, length, 0, &t->tokens, err);
        if (!s)
            s = note_places(t, before, at, at + length, err);
    }
    return s;
}

/* ---- spans ---- */

static void close_span(tagging *t)
{
    if (t->open.label)
        t->each(t->to, &t->open);
    t->open.label = NULL;
}

/* Token i is in a span, or ends one. */
static void take_token(tagging *t, size_t i, const float *logits)
{
    uint32_t best = 1;
    for (uint32_t k = 2; k < t->n_classes; k++)
        best = logits[k] > logits[best] ? k : best;
    const char *name = engine_class_name(t->e, best);
    bool begins = strncmp(name, "B-", 2) == 0, prefixed = begins || strncmp(name, "I-", 2) == 0;
    const char *label = name + (prefixed ? 2 : 0);
    double probability = 1 - engine_class_probability(logits, t->n_classes, 0);
    size_t begin = t->places[i].begin, end = t->places[i].end;
    bool same_piece = i > 0 && t->places[i - 1].begin == begin;
    if (probability < t->least) {
        close_span(t);
        return;
    }
    if (!t->open.label || strcmp(t->open.label, label) != 0 || (begins && !same_piece)) {
        close_span(t);
        t->open = (tag_span){ begin, end, label, probability };
        return;
    }
    t->open.end = end;
    if (probability > t->open.probability)
        t->open.probability = probability;
}

/* Tokens [at, at + n) as one text; those of [from, to) are judged. */
static status run_window(tagging *t, size_t at, size_t n, size_t from, size_t to, error *err)
{
    uint32_t used = 0;
    if (t->first >= 0)
        t->window[used++] = t->first;
    memcpy(t->window + used, t->tokens.ids + at, n * sizeof *t->window);
    size_t shift = used;
    used += (uint32_t)n;
    if (t->last >= 0)
        t->window[used++] = t->last;
    status s = engine_classify(t->e, t->window, used, t->logits, err);
    for (size_t i = from; i < to && !s; i++)
        take_token(t, i, t->logits + (i - at + shift) * t->n_classes);
    return s;
}

status engine_tag_step(tagging *t, tag_each *each, void *to, bool *more, error *err)
{
    size_t edge = t->most > 4 * EDGE ? EDGE : t->most / 4;
    status s = OK;
    t->each = each;
    t->to = to;
    if (t->judged < t->tokens.n) {
        size_t left = t->tokens.n - t->at, n = left < t->most ? left : t->most;
        size_t end = n == left ? t->tokens.n : t->at + n - edge;
        s = run_window(t, t->at, n, t->judged, end, err);
        t->judged = end;
        t->at = end - edge; /* used only when something is left: then end > edge */
    }
    *more = !s && t->judged < t->tokens.n;
    if (!s && !*more)
        close_span(t);
    return s;
}

size_t engine_tag_count(const tagging *t)
{
    return t->tokens.n;
}

/* What stands around every text: the tokens of an empty one. */
static status read_marks(tagging *t, error *err)
{
    token_list marks = TOKEN_LIST_INIT(16);
    status s = vocab_encode(engine_vocab(t->e), "", 0, VOCAB_BOS, &marks, err);
    t->first = !s && marks.n ? marks.ids[0] : -1;
    t->last = !s && marks.n > 1 ? marks.ids[marks.n - 1] : -1;
    token_list_clear(&marks);
    return s;
}

void engine_tag_end(tagging **at)
{
    tagging *t = *at;
    if (!t)
        return;
    token_list_clear(&t->tokens);
    mem_free(t->places);
    mem_free(t->window);
    mem_free(t->logits);
    mem_free(t);
    *at = NULL;
}

status engine_tag_begin(tagging **out, engine *e, const char *text, size_t n, double least, error *err)
{
    if (!engine_tags(e))
        return fail(err, E_UNSUPPORTED, "this model does not label the tokens of a text");
    if (n > VOCAB_MAX_TEXT)
        return fail(err, E_RANGE, "%zu bytes of text; at most %d can be tagged", n, (int)VOCAB_MAX_TEXT);
    uint32_t context = engine_get_info(e)->context, window = context < WINDOW ? context : WINDOW;
    if (window < 8)
        return fail(err, E_RANGE, "a context of %u tokens is too short to tag", context);
    tagging *t = mem_zero(sizeof *t);
    if (!t)
        return fail(err, E_NOMEM, "no memory to tag a text");
    *t = (tagging){ .e = e, .tokens = TOKEN_LIST_INIT(TOKENS_MAX), .n_classes = engine_n_classes(e), .least = least,
                    .most = window - 2 };
    t->window = mem_array(window, sizeof *t->window);
    t->logits = mem_array((size_t)window * t->n_classes, sizeof *t->logits);
    status s = t->window && t->logits ? read_marks(t, err) : fail(err, E_NOMEM, "no memory for classes");
    if (!s)
        s = encode(t, text, n, err);
    if (s)
        engine_tag_end(&t);
    *out = t;
    return s;
}

status engine_tag(engine *e, const char *text, size_t n, double least, tag_each *each, void *to, error *err)
{
    tagging *t = NULL;
    bool more = true;
    status s = engine_tag_begin(&t, e, text, n, least, err);
    while (!s && more)
        s = engine_tag_step(t, each, to, &more, err);
    engine_tag_end(&t);
    return s;
}
