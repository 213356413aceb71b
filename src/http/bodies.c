/* bodies.c: how much memory the bodies of all requests take together. A byte of a body becomes text, a tree of JSON, a
 * message to a worker and its copy there: HTTP_BODY_COPIES are counted for it, until the exchange is over. */
#include "http/http_int.h"

bool http_hold_body(http_request *r, uint64_t bytes)
{
    http_server *s = r->server;
    const uint64_t most = s->options.max_bodies / HTTP_BODY_COPIES;
    if (bytes <= r->held || !s->options.max_bodies)
        return true;
    pthread_mutex_lock(&s->lock);
    bool room = bytes <= most && s->held - r->held <= most - bytes;
    if (room) {
        s->held += bytes - r->held;
        r->held = bytes;
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

void http_let_go_body(http_request *r)
{
    http_server *s = r->server;
    pthread_mutex_lock(&s->lock);
    s->held -= r->held;
    pthread_mutex_unlock(&s->lock);
    r->held = 0;
}

void http_refuse_body(http_request *r, uint64_t bytes)
{
    bool never = bytes > r->server->options.max_bodies / HTTP_BODY_COPIES;
    if (never)
        http_refuse(r, 413, "the body is larger than this server has memory for (hearth serve --mem)");
    else
        http_refuse(r, 503, "the memory for bodies of requests is in use; try again");
}
