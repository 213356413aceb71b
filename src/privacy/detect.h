/* detect.h: what in a text makes it more private than it was said to be.
 *
 * A scanner is compiled once (recognisers, dictionary) and const from then on: any thread may scan with it at the same
 * time. Detectors only raise: nothing found is no proof that nothing is there, and whoever gets an error here treats
 * the text as private. Measured misses and false alarms: docs/PRIVACY.md.
 *
 * A scan looks at every byte once in a folded copy (compatibility forms and foreign digits become plain ones, accents
 * and characters without width go), and at copies of what is base64, percent-encoded or backslash-escaped in it, nested
 * up to DETECT_MAX_DEPTH. Its time is linear in the bytes whatever they are. Places are those of the caller's bytes.
 *
 * A recogniser's score is how sure it is: its shape and checksum say how much alone, and words near by (within five)
 * add DETECT_CONTEXT. What reaches the threshold counts. Sources of rules and checksums: docs/PRIVACY.md. */
#ifndef PRIVACY_DETECT_H
#define PRIVACY_DETECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/privacy_class.h"
#include "base/status.h"

enum {
    DETECT_MAX_BYTES = 16 << 20,      /* of one text */
    DETECT_MAX_FINDINGS = 4096,       /* that are kept of one text; the others are counted */
    DETECT_MAX_DEPTH = 3,             /* encodings within encodings */
    DETECT_MAX_DICTIONARY = 1 << 20,  /* bytes of a dictionary */
    DETECT_MAX_PHRASE = 256,          /* bytes of a folded phrase */
};
#define DETECT_CONTEXT 0.35
#define DETECT_THRESHOLD 0.5

typedef struct detector detector;

/* dictionary (may be NULL): the user's words and phrases, one a line, compared without regard to case, accents and the
 * amount of white space, at word boundaries. Empty lines and lines that begin with '#' say nothing; "[internal]",
 * "[private]", "[secret]" say what the lines after it raise to (at first: private). `where` names it in errors.
 * E_RANGE: too large; E_FORMAT: an unknown class, or bytes that are no UTF-8. */
status detector_open(detector **out, const char *dictionary, size_t n, const char *where, error *err) MUST_CHECK;
void detector_close(detector **d);

/* ---- a tagger: a model that labels spans of a text. privacy/ does not know what runs it. ---- */

typedef struct detect_span {
    size_t begin, end;  /* bytes of the text */
    const char *kind;   /* "SURNAME"; lives as long as the tagger */
    double probability; /* that it is something at all */
} detect_span;
typedef void detect_spans(void *to, const detect_span *span);
/* Calls each for every span it takes for something. Its owner says which threads may. */
typedef status detect_tagger(void *user, const char *text, size_t n, detect_spans *each, void *to, error *err);

typedef struct detect_options {
    double threshold;     /* 0: DETECT_THRESHOLD */
    detect_tagger *tag;   /* NULL: none */
    void *tagger;         /* its first argument */
    double tag_threshold; /* least probability of a span */
} detect_options;

/* ---- scanning ---- */

typedef struct detect_finding {
    const char *kind;     /* "card", "iban", "dictionary", or the tagger's word */
    size_t begin, end;    /* bytes of the text */
    double score;         /* 0..1 */
    privacy_class raises; /* the text is at least of this class */
    bool decoded;         /* found in a decoded copy: the bytes there look different */
    bool tagged;          /* by the tagger */
} detect_finding;

typedef struct detect_report {
    detect_finding *list; /* by place; what lies within something at least as sure and as private is left out */
    size_t n, n_all;      /* n_all > n: there were more than DETECT_MAX_FINDINGS */
    privacy_class raises; /* the highest of all; PRIVACY_PUBLIC: nothing was found */
} detect_report;

/* o may be NULL (defaults). E_RANGE: the text is over DETECT_MAX_BYTES, or its encodings are nested without end;
 * E_NOMEM; the tagger's errors. An error leaves *out empty, and the text counts as private. */
status detect_scan(const detector *d, const char *text, size_t n, const detect_options *o, detect_report *out,
                   error *err) MUST_CHECK;
void detect_report_clear(detect_report *r);

/* ---- the table of recognisers, for people ---- */
typedef struct detect_about {
    const char *kind, *what; /* "pesel", "Polish national number: date, weights 1 3 7 9, mod 10" */
    privacy_class raises;
    double score, grouped;   /* alone; written in the groups it is known by */
} detect_about;
size_t detect_n_rules(void);
detect_about detect_rule_at(size_t i);

#endif
