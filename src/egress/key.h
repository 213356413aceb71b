/* key.h: the API key of this process: read once, given to one host, wiped. Main thread. */
#ifndef EGRESS_KEY_H
#define EGRESS_KEY_H

#include <stddef.h>

#include "base/status.h"

enum { KEY_MAX = 4096 };

/* At most one of them; NULL or "": not this one. None of them is no key, and no error. */
typedef struct key_source {
    const char *file;       /* a path */
    const char *env;        /* a variable's name; its value is wiped from this process' environment */
    const char *credential; /* a file of $CREDENTIALS_DIRECTORY (systemd's LoadCredential=) */
} key_source;

/* One line of printable ASCII into out (KEY_MAX bytes), "" without a source. An error names the source and nothing of
 * what is in it; out is wiped then. */
status key_read(char *out, const key_source *from, error *err) MUST_CHECK;
/* Stars over each place of text where the key stands: a server may repeat in an error what it was sent. */
void key_hide(char *text, const char *key);

#endif
