/* pep440.c: see the header. The grammar is the one of PEP 440's appendix B, the order that of its last section. */
#include "pull/pep440.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/status.h"

enum { FINAL = 4, NUMBER_DIGITS = 9 };

static bool number(span *s, uint32_t *out)
{
    uint32_t v = 0;
    size_t n = 0;
    for (; n < s->n && isdigit((unsigned char)s->p[n]); n++) {
        if (n == NUMBER_DIGITS)
            return false;
        v = v * 10 + (uint32_t)(s->p[n] - '0');
    }
    if (n == 0)
        return false;
    *out = v;
    s->p += n, s->n -= n;
    return true;
}

static bool word(span *s, const char *w)
{
    size_t n = strlen(w);
    if (s->n < n || strncasecmp(s->p, w, n) != 0)
        return false;
    s->p += n, s->n -= n;
    return true;
}

static bool separator(span *s)
{
    return word(s, ".") || word(s, "-") || word(s, "_");
}

/* [sep] WORD [sep] [N]: returns the value beside the word that is there, 0 for none. Longer words stand first. */
typedef struct tag {
    const char *word;
    int value;
} tag;

static int tagged(span *s, const tag *tags, size_t n, uint32_t *count)
{
    span at = *s;
    separator(&at);
    for (size_t i = 0; i < n; i++) {
        if (!word(&at, tags[i].word))
            continue;
        span with = at;
        separator(&with);
        *count = 0;
        *s = number(&with, count) ? with : at;
        return tags[i].value;
    }
    return 0;
}

static bool post_part(span *s, uint32_t *count)
{
    static const tag posts[] = { { "post", 1 }, { "rev", 1 }, { "r", 1 } };
    span at = *s;
    if (word(&at, "-") && number(&at, count)) { /* 1.0-1 is 1.0.post1 */
        *s = at;
        return true;
    }
    return tagged(s, posts, ARRAY_LEN(posts), count) != 0;
}

static bool local_part(span s)
{
    if (s.n == 0)
        return true;
    if (*s.p != '+' || s.n < 2)
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !strchr("._-", s.p[i]))
            return false;
    return true;
}

bool pep440_parse(span text, pep440 *out)
{
    static const tag phases[] = { { "alpha", 1 }, { "a", 1 }, { "beta", 2 }, { "b", 2 }, { "preview", 3 }, { "pre", 3 },
                                  { "rc", 3 }, { "c", 3 } };
    static const tag devs[] = { { "dev", 1 } };
    pep440 v = { .phase = FINAL };
    span s = span_trim(text);
    word(&s, "v");
    span epoch = s;
    if (number(&epoch, &v.epoch) && word(&epoch, "!"))
        s = epoch;
    else
        v.epoch = 0;
    size_t n = 0;
    for (span at = s; n < PEP440_RELEASE_MAX && number(&at, &v.release[n]); n++) {
        s = at;
        if (!word(&at, ".")) {
            n++;
            break;
        }
    }
    if (n == 0)
        return false;
    int phase = tagged(&s, phases, ARRAY_LEN(phases), &v.phase_n);
    v.has_post = post_part(&s, &v.post);
    v.has_dev = tagged(&s, devs, ARRAY_LEN(devs), &v.dev) != 0;
    if (phase)
        v.phase = phase;
    else if (v.has_dev && !v.has_post)
        v.phase = 0;
    if (!local_part(s))
        return false;
    *out = v;
    return true;
}

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int pep440_compare(const pep440 *a, const pep440 *b)
{
    int d = order(a->epoch, b->epoch);
    for (int i = 0; !d && i < PEP440_RELEASE_MAX; i++)
        d = order(a->release[i], b->release[i]);
    if (!d)
        d = order((uint64_t)a->phase, (uint64_t)b->phase);
    if (!d)
        d = order(a->phase_n, b->phase_n);
    if (!d)
        d = order(a->has_post ? 1 + (uint64_t)a->post : 0, b->has_post ? 1 + (uint64_t)b->post : 0);
    return d ? d : order(a->has_dev ? a->dev : UINT64_MAX, b->has_dev ? b->dev : UINT64_MAX);
}

bool pep440_is_final(const pep440 *v)
{
    return v->phase == FINAL && !v->has_dev;
}

bool pep440_name(span text, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool joint = c == '-' || c == '_' || c == '.';
        if (!joint && !(c < 128 && isalnum(c)))
            return false;
        if (joint && (i == 0 || i + 1 == text.n))
            return false;
        if (joint && out[n - 1] == '-')
            continue;
        if (n + 1 >= room)
            return false;
        out[n++] = joint ? '-' : (char)tolower(c);
    }
    if (n == 0)
        return false;
    out[n] = 0;
    return true;
}
