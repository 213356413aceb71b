/* declassify.h: texts of which a person said, with a reason, that they may count as less private than detectors and
 * fingerprints would have it. Labels (a task's, a key's, a header's, a folder's) are never lowered by it.
 *
 * `declassified` in the config folder, mode 0600, only appended to: JSON, a text a line,
 *
 *   {"v":1,"at_us":…,"class":"public","bytes":812,"digest":"HEX","reason":"…","user":"…","record":17,"mac":"HEX"}
 *
 *   digest  HMAC-SHA-256(key, the text without white space at its ends): nobody else can ask for a text
 *   record  of the audit log's record of kind `declassify`, which is written first
 *   mac     HMAC-SHA-256(key, the line up to and without `,"mac"`), under a key of this installation (secret.h)
 *
 * A set is const once read: any thread may ask it. */
#ifndef PRIVACY_DECLASSIFY_H
#define PRIVACY_DECLASSIFY_H

#include "base/js.h"
#include "base/privacy_class.h"
#include "base/status.h"

enum { DECLASSIFIED_MAX = 4096, DECLASSIFY_REASON_MAX = 200, DECLASSIFY_BYTES_MIN = 8 };

typedef struct declassified declassified;

/* *out NULL: nothing was declassified. E_FORMAT: a line that is not what was written; E_IO; E_RANGE: over
 * DECLASSIFIED_MAX. */
status declassified_open(declassified **out, error *err) MUST_CHECK;
void declassified_close(declassified **d);
size_t declassified_count(const declassified *d);
/* True: exactly this text was, and counts as *out. d may be NULL. */
bool declassified_find(const declassified *d, const char *text, size_t n, privacy_class *out);

/* Writes it down, in the audit log first. A text again: the later line counts. E_RANGE: under DECLASSIFY_BYTES_MIN
 * without white space at its ends, or a reason that is empty or too long. */
status declassify(const char *text, size_t n, privacy_class to, const char *reason, const char *user, error *err)
    MUST_CHECK;
/* All lines, in their order, each checked. Free with js_free; an empty list when there is no file. */
status declassified_list(js **out, error *err) MUST_CHECK;

#endif
