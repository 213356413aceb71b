/* client.h: one request to a server of our own on this machine, for `hearth ps` and the like. Plain HTTP/1.0, one
 * connection, no redirects. Any thread. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

typedef struct http_question {
    const char *socket; /* the path of a Unix socket instead of host and port; NULL: those */
    const char *host;   /* a numeric address: "127.0.0.1", "::1" */
    uint16_t port;
    const char *method, *path;
    const char *key;    /* sent as Authorization: Bearer; NULL: none */
    const char *privacy; /* sent as x-hearth-class; NULL: none */
    const char *body;   /* JSON; NULL: none */
    int timeout_ms;     /* of each wait */
} http_question;

/* The answer's status and body (appended, up to out's ceiling). E_NOTFOUND: nobody listens there; E_PROVIDER: what came
 * is no HTTP, or nothing came in time; E_RANGE: the body is too long. */
status http_ask(const http_question *q, int *code, buf *out, error *err) MUST_CHECK;

#endif
