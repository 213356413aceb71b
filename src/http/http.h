/* http.h: an HTTP/1.1 listener over libmicrohttpd. Bytes in, bytes out: it knows no JSON, no model and no route.
 *
 * A request whose body has arrived runs its handler on a thread of its own; the handler answers with http_reply, or
 * with http_begin, http_write… and its return. A handler that answers nothing gets a 500.
 *
 * What every stranger meets: at most `max_requests` at a time (503 beyond), bodies up to `max_body` bytes (413),
 * absolute deadlines for the header, the body and every write (a slow reader is cut off), Host and Origin checked
 * against the names this listener has (403): pages of other sites cannot ask it. A client that goes away is noticed
 * within a second while its answer is computed: http_gone() turns true and http_write returns E_CANCELLED. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

typedef struct http_server http_server;
typedef struct http_request http_request;

/* Runs on a thread of its own, at the same time as others. */
typedef void http_handler(void *user, http_request *r);

typedef struct http_options {
    const char *host;          /* numeric address: "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;             /* 0: any free one; http_port() tells */
    size_t max_body;           /* bytes */
    unsigned max_requests;     /* running at the same time */
    unsigned max_connections;
    unsigned read_seconds;     /* from the connection (or the last answer) to the last byte of the body */
    unsigned write_seconds;    /* longest wait for a reader to take what is queued */
} http_options;
void http_options_init(http_options *o); /* 127.0.0.1, port 0, 16 MiB, 64, 256, 30 s, 30 s */

/* Binds and begins to answer. E_IO names the address. */
status http_open(http_server **out, const http_options *o, http_handler *handler, void *user, error *err) MUST_CHECK;
uint16_t http_port(const http_server *s);
/* Tells every running handler that its client is gone, waits for them, closes. Not from a handler. */
void http_close(http_server **s);

/* ---- the request: valid until the handler returns -------------------------------------------------------------- */
const char *http_method(const http_request *r); /* "GET" */
const char *http_path(const http_request *r);   /* percent-decoded, without the query */
const char *http_header(const http_request *r, const char *name); /* NULL: not there; names ignore case */
const char *http_query(const http_request *r, const char *name);  /* NULL: not there */
span http_body(const http_request *r);
bool http_gone(const http_request *r); /* the client has left, or the server is closing */

/* ---- the answer ------------------------------------------------------------------------------------------------ */

/* Adds a header to the answer, before http_reply or http_begin. Line breaks and control characters in value become
 * blanks, so that no text can start a header of its own. */
void http_set(http_request *r, const char *name, const char *value);
/* The whole answer at once; body is copied. */
void http_reply(http_request *r, int code, const char *content_type, const void *body, size_t n);
/* Begins a streamed answer (chunked). Writes block while the client is behind, up to write_seconds. */
void http_begin(http_request *r, int code, const char *content_type);
/* E_CANCELLED: the client is gone or too slow; stop working. */
status http_write(http_request *r, const void *bytes, size_t n) MUST_CHECK;
bool http_begun(const http_request *r); /* the status line is out: an error can only be said in the stream */

#endif
