/* http_int.h: the exchange, shared by the parts: listen.c (address), server.c (callbacks, life), request.c (what
 * arrived), handler.c (threads), answer.c (queue), watch.c (connections, deadlines), guard.c (Host, Origin). */
#ifndef HTTP_HTTP_INT_H
#define HTTP_HTTP_INT_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/http.h"

enum {
    HTTP_QUEUE_MAX = 256 * 1024,
    HTTP_SLOWEST = 1024, /* bytes a millisecond that a reader of a whole answer must take beyond write_seconds */
    HTTP_HEADERS_MAX = 32,
    HTTP_HEADER_BYTES = 1024,
    HTTP_FIELD_BYTES = 128 * 1024,
    HTTP_ID_BYTES = 65,
    HTTP_ADDRESS_KEY = 9,
};

typedef enum http_stage {
    STAGE_READING,   /* header or body are arriving */
    STAGE_WORKING,   /* a handler thread has it; the connection is suspended */
    STAGE_ANSWERED,  /* http_reply: `code`, `queue` hold the whole answer */
    STAGE_STREAMING, /* http_begin: the queue is a window on the answer */
} http_stage;

typedef struct http_field http_field;
struct http_field {
    http_field *next;
    enum MHD_ValueKind kind;
    const char *name, *value;
};

/* One exchange. Two parties hold it: libmicrohttpd (until its completed callback) and the handler's thread; the last to
 * leave frees it. `lock` guards everything below it. Never taken while calling into the handler. */
struct http_request {
    http_server *server;
    struct MHD_Connection *connection; /* not for the handler's thread: it may be gone */
    arena memory;      /* method, path, fields */
    const char *method, *path;
    http_field *fields; /* header lines and query arguments */
    buf body;
    uint64_t held; /* bytes of the body that are counted in the server's; server's lock */
    uint64_t no_room; /* for the body, which is not kept: the bytes that found none */
    bool refused; /* an answer was queued before the body: ignore the rest */
    char id[HTTP_ID_BYTES];
    uint64_t started_us; /* monotonic, as first_us */
    void *context;       /* the handler's */

    pthread_mutex_t lock;
    pthread_cond_t drained;
    http_stage stage;
    bool suspended;
    bool gone;   /* no more reader */
    bool ended;  /* the handler has returned */
    int holders; /* 2, 1, 0 */
    int64_t last_ms; /* ANSWERED, or STREAMING and ended: when the reader must have all of it; 0: more may come */
    int code;
    char *content_type;
    struct http_pair {
        char *name, *value;
    } headers[HTTP_HEADERS_MAX];
    size_t n_headers;
    unsigned n_dropped; /* headers that found no place */
    buf queue;
    size_t taken; /* bytes of the queue already sent */
    uint64_t bytes_out, first_us; /* first_us: when the first was handed out; 0: none yet */
    bool whole;
};

/* A connection, for the watcher, which sees what libmicrohttpd's timeout of inactivity does not. Server's lock. */
typedef struct http_connection http_connection;
struct http_connection {
    http_connection *next;
    http_request *request; /* NULL between requests */
    int fd;
    int64_t since_ms; /* when it began to be read: connected, or answered last */
    uint8_t address[HTTP_ADDRESS_KEY]; /* whose connections are counted together */
    int64_t held_since_ms, taken; /* since when its reader has taken no more than this; 0: it is behind nothing */
};

struct http_server {
    struct MHD_Daemon *daemon;
    http_options options;
    char *host;
    uint16_t port;
    http_handler *handler;
    void *user;
    pthread_t watcher;
    bool watching;
    int wake[2]; /* a pipe: the watcher looks again */

    pthread_mutex_t lock;
    pthread_cond_t idle;
    http_connection *connections;
    unsigned running;       /* handler threads */
    uint64_t held;          /* bytes of bodies */
    bool stopping, draining;
    int quiet_fd; /* the listening socket after http_drain; -1: none */
    char **origins; /* owned */
    size_t n_origins;
    char said[512]; /* libmicrohttpd's last words before it started */
};

/* guard.c: NULL, or why this Host or Origin may not ask. host is the value of the header or NULL. */
const char *http_guard(const http_server *s, const char *host, const char *origin);

/* bodies.c: room for a body of so many bytes in all, kept until http_let_go_body. False: there is none now; then
 * http_refuse_body says why. */
bool http_hold_body(http_request *r, uint64_t bytes);
void http_let_go_body(http_request *r);
void http_refuse_body(http_request *r, uint64_t bytes);

/* cors.c */
bool http_is_listed(http_server *s, const char *origin, bool *any); /* origin may be NULL; *any: there is a list */
void http_allow_origin(http_request *r, const char *origin);
bool http_preflight(http_request *r); /* true: it was one, and is answered */

/* listen.c: opens s->daemon on the options' address. */
status http_listen(http_server *s, error *err) MUST_CHECK;

/* server.c, libmicrohttpd's callbacks: cls is the server. */
enum MHD_Result http_on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                const char *version, const char *upload, size_t *upload_bytes, void **state);
void http_on_completed(void *cls, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why);

/* watch.c */
void http_on_connection(void *cls, struct MHD_Connection *c, void **context,
                        enum MHD_ConnectionNotificationCode what); /* libmicrohttpd's callback */
enum MHD_Result http_on_accept(void *cls, const struct sockaddr *address, socklen_t n); /* likewise */
http_connection *http_connection_of(struct MHD_Connection *c); /* NULL: there was no memory for it */
status http_watch(http_server *s, error *err) MUST_CHECK;
void http_watch_end(http_server *s); /* after s->stopping was set */

/* request.c: NULL without memory. Becomes its connection's request. */
http_request *http_request_new(http_server *s, struct MHD_Connection *c, const char *path, const char *method);
bool http_names_ok(const http_request *r); /* are all names of headers tokens (RFC 9110, 5.6.2)? */

/* handler.c */
enum MHD_Result http_start_handler(http_request *r);

/* answer.c */
enum MHD_Result http_send(http_request *r);
void http_set_deadline(http_request *r); /* with r->lock held: the answer is complete; when it must be taken */
void http_wake(http_request *r);       /* with r->lock held: lets libmicrohttpd go on */
void http_mark_gone(http_request *r);  /* without locks held */
/* Answers on libmicrohttpd's thread, without a handler: what comes of the body is thrown away. */
void http_answer_early(http_request *r, int code, const char *content_type, const char *body);
void http_refuse(http_request *r, int code, const char *sentence);
void http_leave(http_request *r);      /* one holder less; frees at the last */

int64_t http_now_ms(void);

#endif
