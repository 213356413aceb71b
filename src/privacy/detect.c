/* detect.c: the pass over a text, and what becomes of what it finds. */
#include "privacy/detect.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "privacy/detect_int.h"

/* ---- scanner ---- */

static void index_rules(detector *d)
{
    for (size_t r = 0; r < RULES; r++) {
        const rule *x = &detect_rules[r];
        size_t least = x->shape ? strlen(x->shape) : x->least, most = x->shape ? least : x->most;
        if (x->groups && (x->shape ? !strpbrk(x->shape, "ax") : r != RULE_IBAN))
            d->of_digits |= 1ull << r;
        for (size_t n = least; x->groups && n <= most; n++)
            d->by_length[n] |= 1ull << r;
    }
}

status detector_open(detector **out, const char *dictionary_text, size_t n, const char *where, error *err)
{
    detector *d = mem_zero(sizeof *d);
    if (!d)
        return fail(err, E_NOMEM, "no memory for the detectors");
    index_rules(d);
    status s = context_open(&d->context, err);
    if (!s && dictionary_text)
        s = dictionary_open(&d->words, dictionary_text, n, where, err);
    if (s)
        detector_close(&d);
    else
        *out = d;
    return s;
}

void detector_close(detector **d)
{
    if (*d) {
        dictionary_close(&(*d)->words);
        context_close(&(*d)->context);
    }
    mem_free(*d);
    *d = NULL;
}

/* ---- findings ---- */

static void keep(scan *s, const detect_finding *f)
{
    detect_report *r = s->out;
    r->raises = privacy_class_join(r->raises, f->raises);
    if (r->n && memcmp(&r->list[r->n - 1], f, sizeof *f) == 0)
        return;
    r->n_all++;
    if (r->n == DETECT_MAX_FINDINGS)
        return;
    if ((r->n & (r->n - 1)) == 0) { /* room doubles */
        detect_finding *list = mem_resize(r->list, (r->n ? 2 * r->n : 1) * sizeof *list);
        s->lost |= !list;
        if (!list)
            return;
        r->list = list;
    }
    r->list[r->n++] = *f;
}

void detect_hit_class(scan *s, const view *v, rule_id r, size_t begin, size_t end, double score, privacy_class raises)
{
    detect_finding f;
    if (score + 1e-9 < s->threshold)
        return;
    memset(&f, 0, sizeof f);
    f.kind = detect_rules[r].kind;
    f.begin = view_begin(v, begin);
    f.end = view_end(v, end);
    f.score = score;
    f.raises = raises;
    f.decoded = v->decoded;
    keep(s, &f);
}

void detect_hit(scan *s, const view *v, rule_id r, size_t begin, size_t end, double score)
{
    detect_hit_class(s, v, r, begin, end, score, detect_rules[r].raises);
}

void detect_hit_near(scan *s, const view *v, rule_id r, size_t begin, size_t end, double score, context_at *near)
{
    if (!near->known)
        *near = (context_at){ true, context_near(s->d->context, v, begin, end) };
    if (near->rules >> r & 1)
        score = score + DETECT_CONTEXT > 1 ? 1 : score + DETECT_CONTEXT;
    detect_hit(s, v, r, begin, end, score);
}

static int by_place(const void *a, const void *b)
{
    const detect_finding *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end > y->end ? -1 : 1;
    return x->score > y->score ? -1 : x->score < y->score;
}

/* Sorted by begin, the longest first: what lies within one that is kept, and is not surer or more private, goes. Only
 * the latest few that are kept are asked, so that this stays linear. */
static void settle(detect_report *r)
{
    enum { BACK = 8 };
    size_t n = 0;
    if (r->n > 1)
        qsort(r->list, r->n, sizeof *r->list, by_place);
    for (size_t i = 0; i < r->n; i++) {
        const detect_finding *f = &r->list[i];
        bool within = false;
        for (size_t k = n; k-- > 0 && n - k <= BACK && !within;)
            within = r->list[k].end >= f->end && r->list[k].score >= f->score && r->list[k].raises >= f->raises;
        if (!within)
            r->list[n++] = *f;
    }
    r->n_all -= r->n - n;
    r->n = n;
}

/* ---- the pass ---- */

enum { BASE64_MIN = 16, WRAP_MIN = 40 };

typedef struct pass {
    scan *s;
    const view *v;
    size_t run;        /* begin of the run of base64's characters at hand */
    size_t solid;      /* begin of the run without blanks at hand */
    size_t n_percents; /* in it */
    bool escapes;
} pass;

static status look(scan *s, const view *raw, error *err);

/* A copy of a part, if there is one, is looked at like the whole. */
static status look_decoded(pass *p, view_decoder *decode, size_t begin, size_t end, bool strict, error *err)
{
    scan *s = p->s;
    view copy;
    bool is = false;
    if (p->v->depth == DETECT_MAX_DEPTH && !strict)
        return OK;
    if (end - begin > s->budget)
        return fail(err, E_RANGE, "byte %zu: more encoded text than can be looked through", view_begin(p->v, begin));
    status st = decode(&copy, p->v, begin, end, &is, err);
    if (st || !is)
        return st;
    s->budget -= copy.n;
    if (p->v->depth == DETECT_MAX_DEPTH)
        st = fail(err, E_RANGE, "byte %zu: encodings within encodings, over %d deep", view_begin(p->v, begin),
                  (int)DETECT_MAX_DEPTH);
    else
        st = look(s, &copy, err);
    view_clear(&copy);
    return st;
}

static status end_run(pass *p, size_t end, error *err)
{
    size_t begin = p->run;
    p->run = end + 1;
    if (end < begin + BASE64_MIN)
        return OK;
    secret_run(p->s, p->v, begin, end);
    return look_decoded(p, view_base64, begin, end, true, err);
}

static status end_solid(pass *p, size_t end, error *err)
{
    size_t begin = p->solid, found = p->n_percents;
    p->solid = end + 1;
    p->n_percents = 0;
    return found ? look_decoded(p, view_percent, begin, end, true, err) : OK;
}

/* Does a run of base64 go on in the next line? */
static size_t wrapped(const pass *p, size_t at)
{
    size_t next = at + (p->v->p[at] == '\r');
    if (next + 1 >= p->v->n || p->v->p[next] != '\n' || !is_base64(p->v->p[next + 1]) || at < p->run + WRAP_MIN)
        return 0;
    return next + 1 - at;
}

static size_t word_at(pass *p, size_t at)
{
    const view *v = p->v;
    size_t end = at, digits = 0;
    while (end < v->n && is_word(v->p[end]))
        digits += is_digit(v->p[end++]);
    size_t n = end - at;
    bool before = n <= 2 && v->n - end > 1 && is_digit(v->p[end + 1]); /* "AB 12 34 56 C" */
    if ((digits || before) && n <= NUMBER_MAX)
        number_at(p->s, v, at);
    if (is_digit(v->p[at]) && n <= NUMBER_MAX && (at == 0 || (v->p[at - 1] != '+' && v->p[at - 1] != '(')))
        phone_at(p->s, v, at);
    if (n <= 4)
        address_at(p->s, v, at, end);
    if (n == 2 && v->p[at] == 'i' && v->p[at + 1] == 's')
        assignment_at(p->s, v, at + 1);
    secret_word_at(p->s, v, at, end);
    return end;
}

/* A byte that is in no word. */
static void mark_at(pass *p, size_t at)
{
    const view *v = p->v;
    switch (v->p[at]) {
    case '@': mail_at(p->s, v, at); break;
    case '=': assignment_at(p->s, v, at); break;
    case ':':
        colon_at(p->s, v, at);
        assignment_at(p->s, v, at);
        break;
    case '+':
    case '(': phone_at(p->s, v, at); break;
    case '-':
        if (at == 0 || v->p[at - 1] != '-')
            pem_at(p->s, v, at);
        break;
    case '%': p->n_percents += v->n - at > 2 && is_hex(v->p[at + 1]) && is_hex(v->p[at + 2]); break;
    case '\\': p->escapes |= v->n - at > 1 && v->p[at + 1] && strchr("nrtbf\"\\/u", v->p[at + 1]); break;
    default: break;
    }
}

static status look_folded(scan *s, const view *v, error *err)
{
    pass p = { .s = s, .v = v };
    status st = OK;
    size_t outer = s->pem_end;
    s->pem_end = 0;
    for (size_t at = 0; at < v->n && !st;) {
        if (is_word(v->p[at])) {
            at = word_at(&p, at);
            continue;
        }
        mark_at(&p, at);
        size_t more = 1;
        if (!is_base64(v->p[at])) {
            more = wrapped(&p, at);
            if (!more)
                st = end_run(&p, at, err);
            more = more ? more : 1;
        }
        if (!st && (unsigned char)v->p[at] <= ' ')
            st = end_solid(&p, at, err);
        at += more;
    }
    if (!st)
        st = end_run(&p, v->n, err);
    if (!st)
        st = end_solid(&p, v->n, err);
    if (!st && p.escapes)
        st = look_decoded(&p, view_escapes, 0, v->n, false, err);
    if (!st && s->d->words)
        dictionary_scan(s->d->words, s, v);
    s->pem_end = outer;
    return st;
}

static status look(scan *s, const view *raw, error *err)
{
    view folded;
    status st = view_fold(&folded, raw, err);
    if (st)
        return st;
    st = look_folded(s, &folded, err);
    view_clear(&folded);
    return st;
}

/* ---- the tagger ---- */

typedef struct tagging {
    scan *s;
    size_t n;
    double least;
} tagging;

static void take_span(void *to, const detect_span *span)
{
    tagging *t = to;
    detect_finding f;
    if (span->probability < t->least || span->begin >= span->end || span->end > t->n)
        return;
    memset(&f, 0, sizeof f);
    f.kind = span->kind;
    f.begin = span->begin;
    f.end = span->end;
    f.score = span->probability;
    f.raises = PRIVACY_PRIVATE;
    f.tagged = true;
    keep(t->s, &f);
}

status detect_scan(const detector *d, const char *text, size_t n, const detect_options *o, detect_report *out,
                   error *err)
{
    static const detect_options none;
    detect_report report = { .raises = PRIVACY_PUBLIC };
    o = o ? o : &none;
    *out = (detect_report){ .raises = PRIVACY_PRIVATE };
    if (n > DETECT_MAX_BYTES)
        return fail(err, E_RANGE, "%zu bytes of text; at most %d can be looked through", n, DETECT_MAX_BYTES);
    scan s = { .d = d, .threshold = o->threshold > 0 ? o->threshold : DETECT_THRESHOLD, .out = &report,
               .budget = 4 * n + (1 << 16) };
    status st = look(&s, &(view){ .p = text, .n = n }, err);
    if (!st && o->tag)
        st = o->tag(o->tagger, text, n, take_span, &(tagging){ &s, n, o->tag_threshold }, err);
    if (!st && s.lost)
        st = fail(err, E_NOMEM, "no memory for what was found");
    if (st) {
        detect_report_clear(&report);
        return st;
    }
    settle(&report);
    *out = report;
    return OK;
}

void detect_report_clear(detect_report *r)
{
    mem_free(r->list);
    *r = (detect_report){ .raises = PRIVACY_PRIVATE };
}
