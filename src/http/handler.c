/* handler.c: a thread for each request whose body is complete. */
#include <string.h>

#include "base/log.h"
#include "http/http_int.h"

static void *run_handler(void *arg)
{
    http_request *r = arg;
    http_server *s = r->server;
    s->handler(s->user, r);
    if (!http_begun(r)) {
        static const char sorry[] = "{\"error\":{\"message\":\"no answer was made\",\"type\":\"server_error\"}}\n";
        http_reply(r, 500, "application/json", sorry, sizeof sorry - 1);
    }
    pthread_mutex_lock(&r->lock);
    r->ended = true;
    if (r->stage == STAGE_STREAMING)
        http_set_deadline(r);
    http_wake(r);
    pthread_mutex_unlock(&r->lock);
    http_leave(r);
    pthread_mutex_lock(&s->lock);
    s->running--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* NULL, or why there is none. */
static const char *take_slot(http_server *s)
{
    const char *why = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->stopping || s->draining)
        why = "this server is stopping; try again";
    else if (s->running >= s->options.max_requests)
        why = "too many requests at the same time; try again";
    s->running += !why;
    pthread_mutex_unlock(&s->lock);
    return why;
}

/* The body is complete: gives the exchange to a thread and suspends the connection until it answers. */
enum MHD_Result http_start_handler(http_request *r)
{
    http_server *s = r->server;
    const char *why = take_slot(s);
    if (why) {
        http_refuse(r, 503, why);
        return MHD_YES;
    }
    pthread_mutex_lock(&r->lock); /* the watcher looks at it already */
    r->holders = 2;
    r->stage = STAGE_WORKING;
    r->suspended = true;
    MHD_suspend_connection(r->connection);
    pthread_mutex_unlock(&r->lock);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attributes, run_handler, r);
    pthread_attr_destroy(&attributes);
    if (rc == 0)
        return MHD_YES;
    log_line(LOG_LEVEL_ERROR, "no thread for a request: %s", strerror(rc));
    pthread_mutex_lock(&r->lock);
    r->holders = 1;
    pthread_mutex_unlock(&r->lock);
    http_reply(r, 503, "text/plain", "no thread\n", 10);
    pthread_mutex_lock(&s->lock);
    s->running--;
    pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
    return MHD_YES;
}
