/* detect_dictionary.c: the user's words, all at once: the automaton of Aho and Corasick (1975) over folded bytes.
 *
 * A table of states and byte classes: bytes that are in no phrase share class 0 and lead back to the beginning; letters
 * differ from their capitals in nothing; all white space is one blank, and a row of it is one. */
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "privacy/detect_int.h"

enum { CELLS_MAX = 1 << 24, BLANK = ' ' }; /* 64 MiB */

typedef struct state {
    uint32_t fail;   /* the longest proper ending that is a beginning of a phrase */
    uint32_t ending; /* the next state on the way of `fail` that ends a phrase; 0: none */
    uint16_t length; /* of the phrase that ends here, in folded bytes; 0: none */
    uint8_t raises;
} state;

struct dictionary {
    uint8_t classes[256]; /* of a byte; 0: in no phrase */
    uint32_t n_classes, n_states, room;
    state *states;
    uint32_t *next; /* [room][n_classes] */
};

static unsigned char canonical(char c)
{
    if (is_upper(c))
        return (unsigned char)(c | 0x20);
    return c == '\n' || c == '\r' || c == '\t' || c == '\v' || c == '\f' ? BLANK : (unsigned char)c;
}

/* ---- building ---- */

typedef struct phrase_fn_arg {
    dictionary *d;
    size_t bytes;
} phrase_fn_arg;
typedef status phrase_fn(phrase_fn_arg *a, const char *p, size_t n, privacy_class raises, error *err);

static status count_phrase(phrase_fn_arg *a, const char *p, size_t n, privacy_class raises, error *err)
{
    (void)raises;
    (void)err;
    a->bytes += n;
    for (size_t i = 0; i < n; i++) {
        uint8_t *class = &a->d->classes[canonical(p[i])];
        if (!*class)
            *class = (uint8_t)(a->d->n_classes++);
    }
    return OK;
}

static status add_phrase(phrase_fn_arg *a, const char *p, size_t n, privacy_class raises, error *err)
{
    dictionary *d = a->d;
    uint32_t at = 0;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        uint32_t *next = &d->next[(size_t)at * d->n_classes + d->classes[canonical(p[i])]];
        if (!*next)
            *next = d->n_states++;
        at = *next;
    }
    d->states[at].length = (uint16_t)n;
    if (d->states[at].raises < raises)
        d->states[at].raises = (uint8_t)raises;
    return OK;
}

/* One phrase: folded, white space of any length one blank, none at the ends. */
static status each_phrase(phrase_fn *fn, phrase_fn_arg *a, const view *line, privacy_class raises, error *err)
{
    view folded;
    char out[DETECT_MAX_PHRASE];
    size_t n = 0;
    status s = view_fold(&folded, line, err);
    if (s)
        return s;
    for (size_t i = 0; i < folded.n && !s; i++) {
        unsigned char c = canonical(folded.p[i]);
        if (c == BLANK && (n == 0 || out[n - 1] == BLANK))
            continue;
        if (n == sizeof out)
            s = fail(err, E_RANGE, "a phrase has more than %d bytes", DETECT_MAX_PHRASE);
        else
            out[n++] = (char)c;
    }
    if (n && out[n - 1] == BLANK)
        n--;
    view_clear(&folded);
    return s || !n ? s : fn(a, out, n, raises, err);
}

static status each_line(phrase_fn *fn, phrase_fn_arg *a, const char *text, size_t n, const char *where, error *err)
{
    privacy_class raises = PRIVACY_PRIVATE;
    status s = OK;
    unsigned line = 1;
    for (size_t at = 0, length; at < n && !s; at += length + 1, line++) {
        const char *end = memchr(text + at, '\n', n - at);
        length = end ? (size_t)(end - text) - at : n - at;
        span t = span_trim((span){ text + at, length });
        if (!t.n || t.p[0] == '#')
            continue;
        char name[16] = "";
        if (t.p[0] == '[' && t.p[t.n - 1] == ']' && t.n - 2 < sizeof name) {
            memcpy(name, t.p + 1, t.n - 2);
            if (!privacy_class_parse(name, &raises) || raises == PRIVACY_PUBLIC)
                s = fail(err, E_FORMAT, "[%s] is none of [internal], [private], [secret]", name);
        } else if (!utf8_valid(t.p, t.n)) {
            s = fail(err, E_FORMAT, "the line is no UTF-8");
        } else {
            s = each_phrase(fn, a, &(view){ .p = t.p, .n = t.n }, raises, err);
        }
        if (s)
            return fail_prefix(err, s, "%s:%u: ", where, line);
    }
    return s;
}

/* Breadth first: where a state has no way on, it takes its failure's. */
static status link_states(dictionary *d, error *err)
{
    uint32_t *queue = mem_array(d->n_states, sizeof *queue), head = 0, tail = 0;
    if (!queue)
        return fail(err, E_NOMEM, "no memory for the dictionary");
    queue[tail++] = 0;
    while (head < tail) {
        uint32_t at = queue[head++], fail_at = d->states[at].fail;
        d->states[at].ending = d->states[fail_at].length ? fail_at : d->states[fail_at].ending;
        for (uint32_t c = 1; c < d->n_classes; c++) {
            uint32_t *next = &d->next[(size_t)at * d->n_classes + c];
            uint32_t other = at ? d->next[(size_t)fail_at * d->n_classes + c] : 0;
            if (*next) {
                d->states[*next].fail = other;
                queue[tail++] = *next;
            } else {
                *next = other;
            }
        }
    }
    mem_free(queue);
    return OK;
}

static status build(dictionary *d, const char *text, size_t n, const char *where, error *err)
{
    phrase_fn_arg a = { .d = d };
    d->n_classes = 1;
    status s = each_line(count_phrase, &a, text, n, where, err);
    if (s)
        return s;
    d->room = (uint32_t)a.bytes + 1;
    if ((uint64_t)d->room * d->n_classes > CELLS_MAX)
        return fail(err, E_RANGE, "%s: %zu bytes of phrases of %u different characters: too large a dictionary", where,
                    a.bytes, d->n_classes - 1);
    d->states = mem_array(d->room, sizeof *d->states);
    d->next = mem_array((size_t)d->room * d->n_classes, sizeof *d->next);
    if (!d->states || !d->next)
        return fail(err, E_NOMEM, "no memory for the dictionary %s", where);
    for (int c = 0; c < 256; c++)
        d->classes[c] = d->classes[canonical((char)c)];
    d->n_states = 1;
    s = each_line(add_phrase, &a, text, n, where, err);
    return s ? s : link_states(d, err);
}

status dictionary_open(dictionary **out, const char *text, size_t n, const char *where, error *err)
{
    if (n > DETECT_MAX_DICTIONARY)
        return fail(err, E_RANGE, "%s: %zu bytes; the limit of a dictionary is %d", where, n, DETECT_MAX_DICTIONARY);
    dictionary *d = mem_zero(sizeof *d);
    if (!d)
        return fail(err, E_NOMEM, "no memory for the dictionary %s", where);
    status s = build(d, text, n, where, err);
    if (s)
        dictionary_close(&d);
    else
        *out = d;
    return s;
}

void dictionary_close(dictionary **d)
{
    if (*d) {
        mem_free((*d)->states);
        mem_free((*d)->next);
    }
    mem_free(*d);
    *d = NULL;
}

/* ---- scanning ---- */

/* Letters of scripts that write words apart, and digits. What is written without blanks (Han, Thai) has no bounds. */
static bool joins(const char *p, size_t n)
{
    uint32_t c;
    if (!utf8_decode(p, n, &c))
        return false;
    if (c < 0x80)
        return is_word((char)c);
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LM;
}

static bool joins_before(const view *v, size_t at)
{
    size_t back = at;
    do
        back--;
    while (back > 0 && at - back < 4 && ((unsigned char)v->p[back] & 0xc0) == 0x80);
    return joins(v->p + back, at - back);
}

/* The phrase of `length` folded bytes that ends before `end`: where it begins in the view. */
static size_t phrase_begin(const view *v, size_t end, size_t length)
{
    size_t at = end;
    for (; length > 0 && at > 0; length--) {
        at--;
        while (canonical(v->p[at]) == BLANK && at > 0 && canonical(v->p[at - 1]) == BLANK)
            at--;
    }
    return at;
}

static void phrases_at(const dictionary *d, scan *s, const view *v, uint32_t at, size_t end)
{
    for (at = d->states[at].length ? at : d->states[at].ending; at; at = d->states[at].ending) {
        size_t begin = phrase_begin(v, end, d->states[at].length);
        bool left = begin == 0 || !joins(v->p + begin, v->n - begin) || !joins_before(v, begin);
        bool right = end == v->n || !joins_before(v, end) || !joins(v->p + end, v->n - end);
        if (left && right) {
            detect_hit_class(s, v, RULE_DICTIONARY, begin, end, 1.0, (privacy_class)d->states[at].raises);
            return;
        }
    }
}

void dictionary_scan(const dictionary *d, scan *s, const view *v)
{
    uint32_t at = 0;
    bool blank = false;
    for (size_t i = 0; i < v->n; i++) {
        uint32_t class = d->classes[(unsigned char)v->p[i]];
        bool is_blank = v->p[i] <= BLANK && canonical(v->p[i]) == BLANK;
        if (is_blank && blank)
            continue;
        blank = is_blank;
        at = class ? d->next[(size_t)at * d->n_classes + class] : 0;
        if (at && (d->states[at].length || d->states[at].ending))
            phrases_at(d, s, v, at, i + 1);
    }
}
