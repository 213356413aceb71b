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

/* What became of a request. Everything is borrowed during the call. */
typedef struct http_summary {
    const char *id, *method, *path;
    void *context;     /* what the handler set; NULL: it set nothing, or did not run */
    int code;          /* 0: no answer was made */
    bool whole;        /* the client took all of it */
    span body;         /* what was sent to us */
    uint64_t bytes_out; /* of the answer's body, without framing */
    uint64_t first_us; /* from the end of the header to the first byte handed out; 0: none was */
    uint64_t total_us;
} http_summary;
/* Once for each request, when both its handler and its connection are done with it. Any thread: it must not block. */
typedef void http_done(void *user, const http_summary *s);

enum { HTTP_BODY_COPIES = 4 };
typedef struct http_options {
    const char *host;          /* numeric address: "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;             /* 0: any free one; http_port() tells */
    size_t max_body;           /* bytes */
    size_t max_bodies;         /* memory for all bodies that are held at once, HTTP_BODY_COPIES for each of their bytes:
                                  503 beyond, 413 for one that has no room alone; 0: any */
    unsigned max_requests;     /* running at the same time */
    unsigned max_connections;
    unsigned max_per_address;  /* connections of one address (IPv6: of one /64); 0: no bound of its own */
    unsigned read_seconds;     /* from the connection (or the last answer) to the last byte of the body */
    unsigned write_seconds;    /* longest wait for a reader to take what is queued */
    http_done *done;           /* NULL: nobody wants to know */
    const char *tls_cert, *tls_key; /* PEM texts, borrowed until http_close; NULL: no TLS */
    int listen_fd;             /* a socket that listens already, taken; host and port are then its own. -1: none */
} http_options;
void http_options_init(http_options *o); /* 127.0.0.1, port 0, 16 MiB, 64, 256, no bound, 30 s, 30 s */

/* Binds and begins to answer. E_IO names the address. */
status http_open(http_server **out, const http_options *o, http_handler *handler, void *user, error *err) MUST_CHECK;
uint16_t http_port(const http_server *s);
/* The pages of these origins may ask too, exactly these (CORS); copied. At any time. */
status http_set_origins(http_server *s, const char *const *origins, size_t n, error *err) MUST_CHECK;
/* Accepts no more connections, answers what comes on the open ones with 503; what runs goes on. */
void http_drain(http_server *s);
/* Requests that are being answered, to the last byte taken. */
size_t http_busy(http_server *s);
/* Tells every running handler that its client is gone, waits for them, closes. Not from a handler. */
void http_close(http_server **s);

/* True for 127.0.0.0/8, ::1 and localhost, with or without a port. */
bool http_is_loopback_name(const char *name);
enum { HTTP_HOST_BYTES = 64 };
/* Where a listening socket listens; a Unix socket is "localhost", port 0. E_IO, E_FORMAT, E_UNSUPPORTED. */
status http_socket_address(int fd, char host[HTTP_HOST_BYTES], uint16_t *port, error *err) MUST_CHECK;

/* ---- the request: valid until the handler returns -------------------------------------------------------------- */
const char *http_method(const http_request *r); /* "GET" */
const char *http_path(const http_request *r);   /* percent-decoded, without the query */
const char *http_header(const http_request *r, const char *name); /* NULL: not there; names ignore case */
/* The value of the i-th header whose name begins with this, and that name; NULL: there are no more. A name may stand
 * there several times; and of a folded line libmicrohttpd puts the rest behind the *name*. */
const char *http_header_like(const http_request *r, const char *prefix, size_t i, const char **name);
const char *http_query(const http_request *r, const char *name);  /* NULL: not there */
span http_body(const http_request *r);
bool http_gone(const http_request *r); /* the client has left, or the server is closing */
/* The request's id: the client's X-Request-Id if that is 1 to 64 of A-Z a-z 0-9 . _ : -, else made here. Every answer
 * says it in x-request-id and request-id. */
const char *http_id(const http_request *r);
/* A pointer of the handler's own, for its parts and for http_done. */
void http_set_context(http_request *r, void *context);
void *http_context(const http_request *r);

/* ---- the answer ------------------------------------------------------------------------------------------------ */

/* Sets a header of the answer, before http_reply or http_begin; one of the same name is replaced. Line breaks and
 * control characters in value become blanks, so that no text can start a header of its own. Beyond 32 headers, or
 * without memory, a header is dropped: that is logged, and x-hearth-headers-dropped counts them. */
void http_set(http_request *r, const char *name, const char *value);
/* The whole answer at once; body is copied. */
void http_reply(http_request *r, int code, const char *content_type, const void *body, size_t n);
/* Begins a streamed answer (chunked). Writes block while the client is behind, up to write_seconds. */
void http_begin(http_request *r, int code, const char *content_type);
/* E_CANCELLED: the client is gone or too slow; stop working. */
status http_write(http_request *r, const void *bytes, size_t n) MUST_CHECK;
bool http_begun(const http_request *r); /* the status line is out: an error can only be said in the stream */

#endif
