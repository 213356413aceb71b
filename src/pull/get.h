/* get.h: bytes from an http server, whole and right: small documents, ranges, files. What the sources stand on.
 *
 * A getter is one thread's (that of hearth-pull): it keeps connections between two calls. Every answer is a stranger's:
 * sizes have ceilings, and what a server says of itself is checked.
 *
 * Only https; http to this machine itself (127.0.0.0/8, ::1, localhost), for a file whose digest is known, or where
 * plain_http says so. From https nothing leads back to http. At most GET_REDIRECTS_MAX redirects.
 * Errors are sentences that name the host and path, without user, password and query. Statuses: E_NOTFOUND (404, 410),
 * E_DENIED (401, 403, and what is refused here), E_PROVIDER (the server or the way to it), E_FORMAT (not what was
 * expected: length, digest), E_IO (this disk), E_NOFIT (no room on it), E_EXISTS, E_CANCELLED, E_RANGE, E_NOMEM. */
#ifndef PULL_GET_H
#define PULL_GET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum { GET_STREAMS_MAX = 16, GET_REDIRECTS_MAX = 8, GET_ETAG = 128, GET_URL_MAX = 8192 };

typedef struct getter getter;

typedef struct get_progress {
    const char *path;     /* the file that is written; NULL: a document or a header */
    uint64_t done, total; /* bytes; total 0: not known */
    double rate;          /* bytes a second, of the last seconds; 0: not known yet */
    unsigned streams;     /* that run now */
    const char *note;     /* a sentence that is new: a retry, a wait, a start from the beginning; else NULL */
} get_progress;

typedef struct getter_options {
    const char *ca_file;    /* certificates to trust, PEM; NULL: get_ca_file() */
    const char *token;      /* bearer for https to token_host alone, not for where that redirects; NULL: none */
    const char *token_host; /* "huggingface.co"; with ":port" where that is not 443 */
    /* At least five times a second while something runs. True: cancel (E_CANCELLED). */
    bool (*progress)(void *user, const get_progress *p);
    /* The last gate before get_file renames: whether the file at `path`, which will be called `name`, is what its
     * format says. NULL: every file is. */
    status (*check)(void *user, const char *path, const char *name, error *err);
    void *user;
    unsigned streams;       /* ranges of a file at the same time; 0: 4 */
    unsigned tries;         /* failures in a row, without progress, that are too many; 0: 8 */
    unsigned quiet_s;       /* a stream slower than 1 kB/s for so long is dropped and asked again; 0: 30 */
    unsigned backoff_ms;    /* of the first pause; it doubles to 60 times this, with jitter; 0: 500 */
    uint64_t piece_bytes;   /* of a range; 0: 16 MiB */
    bool plain_http;        /* http to other machines too */
} getter_options;

status getter_open(getter **out, const getter_options *o, error *err) MUST_CHECK;
void getter_close(getter **g);
/* For the calls from now on; the texts are copied. NULL: none. */
status getter_token(getter *g, const char *token, const char *host, error *err) MUST_CHECK;

/* A small document (JSON, an index page): at most `most` bytes, E_RANGE beyond. accept may be NULL. final_url (may be
 * NULL) receives where redirects led. out is appended to. */
status get_text(getter *g, const char *url, const char *accept, size_t most, buf *out, char *final_url,
                size_t final_room, error *err) MUST_CHECK;

/* n bytes from `first`, fewer where the file ends; *total (may be NULL) receives the whole length, 0 where the server
 * does not tell. A server that knows no ranges is read up to there. out is appended to. */
status get_range(getter *g, const char *url, uint64_t first, size_t n, buf *out, uint64_t *total,
                 error *err) MUST_CHECK;

typedef struct get_got {
    uint64_t bytes;
    char sha256[65];
    char etag[GET_ETAG]; /* as the server wrote it; "": it told none */
    bool found;          /* PATH was there already */
} get_got;

typedef struct get_want {
    const char *url, *path;
    uint64_t bytes;     /* 0: unknown */
    const char *sha256; /* 64 hex digits; NULL: unknown */
    const char *part;   /* where the part lies while it comes, on the same file system; NULL: PATH.part */
    /* The last thing before the rename (a note beside the file); NULL: nothing. Not for what was found. */
    status (*before)(void *user, const get_got *got, error *err);
    void *user;
} get_want;

/* A file onto the disk: PATH.part (and PATH.part.state) while it comes, resumed from there, ranges in parallel,
 * retried, hashed while it streams, length and digest checked, synced, renamed to PATH. Whoever else fetches the same
 * PATH waits for this one. A PATH that is there is never written over: with the digest wanted, or without one with the
 * length wanted, it is what was asked for, else E_EXISTS. */
status get_file(getter *g, const get_want *w, get_got *out, error *err) MUST_CHECK;

/* The gate of getter_options.check, for what is put together from several files. */
status get_check(getter *g, const char *path, const char *name, error *err) MUST_CHECK;
/* Reports a sentence of the sources' own. True: cancel. */
bool get_note(getter *g, const char *path, const char *note);

/* The first of SSL_CERT_FILE, CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE, PIP_CERT that is set; NULL: none is. */
const char *get_ca_file(void);
/* "https://host/path" of a url: no user, no password, no query. Returns text. */
enum { GET_SHOWN = 256 };
char *get_shown(const char *url, char text[GET_SHOWN]);

#endif
