/* inspect.h: which class the texts of a request raise it to, and why. One inspector is compiled from the detectors,
 * the user's dictionary, the fingerprints of private documents, the texts that were declassified, and a tagger; from
 * then on it is const: any thread may ask it at the same time.
 *
 * What is asked is never kept, and a reason names kinds, never a text. Every error counts as private: there is no
 * status to forget. A NULL inspector says private. */
#ifndef PRIVACY_INSPECT_H
#define PRIVACY_INSPECT_H

#include "base/js.h"
#include "base/str.h"
#include "privacy/detect.h"

enum { INSPECT_REASON_BYTES = 160, INSPECT_VERSION_BYTES = 96, INSPECT_SETS_MAX = 16, INSPECT_JSON_DEPTH = 4 };

typedef struct inspector inspector;

/* Texts are borrowed during the call; tagger and tagger_name for the inspector's life. */
typedef struct inspect_settings {
    const char *dictionary;           /* a file; NULL or "": none */
    const char *const *fingerprints;  /* files */
    size_t n_fingerprints;
    detect_tagger *tag;               /* NULL: none. Called from any thread */
    void *tagger;
    const char *tagger_name;          /* as the version says it */
    double tag_threshold;
} inspect_settings;

/* s NULL: the recognisers and the declassified texts. E_NOTFOUND, E_IO, E_FORMAT, E_RANGE naming the file. */
status inspector_open(inspector **out, const inspect_settings *s, error *err) MUST_CHECK;
void inspector_close(inspector **i);
/* "rules/1 dictionary/3f2a9c01 fingerprints/77aa01cd tagger/rampart": what looked. For the audit log. */
const char *inspector_version(const inspector *i);

typedef struct inspect_result {
    privacy_class raises;
    status failed;                     /* not OK: something was not looked through, and raises is private at least */
    char reason[INSPECT_REASON_BYTES]; /* "detector: email, iban; fingerprint; part image_url"; "": nothing raised it */
} inspect_result;

/* One text. */
void inspect_text(const inspector *i, const char *text, size_t n, inspect_result *out);
/* Texts that belong together: each by itself, and joined without anything between them. */
void inspect_parts(const inspector *i, const span *parts, size_t n, inspect_result *out);
/* A request's whole body in any dialect: every key, text and number in it, JSON in texts too, adjacent parts also
 * joined. Parts that are no text (images, sound, files, tokens) are unknown, and so private. Of `model` only what
 * follows a '#' is looked at: the rest is a name of ours. Ids of calls and messages are not taken for random tokens. */
void inspect_json(const inspector *i, const js *body, inspect_result *out);

/* A set of inspectors of which one is shown at a time: whoever asks holds that one until it has its answer, so that a
 * reload takes nothing from under it. Any thread. */
typedef struct inspect_ring inspect_ring;
status inspect_ring_open(inspect_ring **out, const inspect_settings *s, error *err) MUST_CHECK;
/* On an error the old one stays. */
status inspect_ring_reload(inspect_ring *r, const inspect_settings *s, error *err) MUST_CHECK;
/* After every inspect_ring_release. */
void inspect_ring_close(inspect_ring **r);
const inspector *inspect_ring_hold(inspect_ring *r); /* NULL for NULL */
void inspect_ring_release(inspect_ring *r, const inspector *i);

#endif
