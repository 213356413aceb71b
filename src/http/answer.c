/* answer.c: the way out. A handler fills the queue, libmicrohttpd's thread empties it.
 *
 *   handler: http_reply  WORKING -> ANSWERED,  wake        libmicrohttpd: http_send queues it whole
 *   handler: http_begin  WORKING -> STREAMING, wake        libmicrohttpd: http_send, then take() until ended
 *   take() finds the queue empty: suspends the connection; http_write and the end of the handler wake it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http_int.h"
#include "plat/clock.h"

int64_t http_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void http_set_deadline(http_request *r)
{
    int64_t left = (int64_t)(r->queue.len - r->taken);
    r->last_ms = http_now_ms() + (int64_t)r->server->options.write_seconds * 1000 + left / HTTP_SLOWEST;
}

void http_wake(http_request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    MHD_resume_connection(r->connection);
}

void http_mark_gone(http_request *r)
{
    pthread_mutex_lock(&r->lock);
    r->gone = true;
    pthread_cond_broadcast(&r->drained);
    http_wake(r);
    pthread_mutex_unlock(&r->lock);
}

static void tell(const http_request *r)
{
    const http_summary s = { .id = r->id,
                             .method = r->method,
                             .path = r->path,
                             .context = r->context,
                             .code = r->code,
                             .whole = r->whole,
                             .body = http_body(r),
                             .bytes_out = r->bytes_out,
                             .first_us = r->first_us ? r->first_us - r->started_us : 0,
                             .total_us = clock_mono_us() - r->started_us };
    if (r->server->options.done)
        r->server->options.done(r->server->user, &s);
}

void http_leave(http_request *r)
{
    pthread_mutex_lock(&r->lock);
    int left = --r->holders;
    pthread_mutex_unlock(&r->lock);
    if (left)
        return;
    tell(r);
    http_let_go_body(r);
    for (size_t i = 0; i < r->n_headers; i++) {
        mem_free(r->headers[i].name);
        mem_free(r->headers[i].value);
    }
    buf_clear(&r->body);
    buf_clear(&r->queue);
    mem_free(r->content_type);
    arena_clear(&r->memory);
    pthread_cond_destroy(&r->drained);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

/* ---- the handler's side ---------------------------------------------------------------------------------------- */

static void drop_header(http_request *r, const char *name)
{
    r->n_dropped++;
    log_line(LOG_LEVEL_ERROR, "the header %s of the answer to %s found no place", name, r->id);
}

/* The place of this name, or a new one; NULL: there is none. */
static struct http_pair *place_of(http_request *r, const char *name)
{
    for (size_t i = 0; i < r->n_headers; i++)
        if (strcasecmp(r->headers[i].name, name) == 0)
            return &r->headers[i];
    char *key = r->n_headers < HTTP_HEADERS_MAX ? mem_strdup(name) : NULL;
    if (!key)
        return NULL;
    r->headers[r->n_headers] = (struct http_pair){ key, NULL };
    return &r->headers[r->n_headers++];
}

void http_set(http_request *r, const char *name, const char *value)
{
    char *copy = mem_strndup(value, strnlen(value, HTTP_HEADER_BYTES));
    struct http_pair *place = copy ? place_of(r, name) : NULL;
    if (!place) {
        mem_free(copy);
        drop_header(r, name);
        return;
    }
    for (char *c = copy; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = ' ';
    }
    mem_free(place->value);
    place->value = copy;
}

static void begin(http_request *r, http_stage stage, int code, const char *content_type)
{
    r->code = code;
    r->content_type = mem_strdup(content_type);
    r->stage = stage;
}

void http_reply(http_request *r, int code, const char *content_type, const void *body, size_t n)
{
    pthread_mutex_lock(&r->lock);
    if (r->stage == STAGE_WORKING) {
        r->queue.max = n;
        buf_add(&r->queue, body, n);
        begin(r, STAGE_ANSWERED, r->queue.failed ? 500 : code, content_type);
        http_set_deadline(r);
        http_wake(r);
    }
    pthread_mutex_unlock(&r->lock);
}

void http_begin(http_request *r, int code, const char *content_type)
{
    pthread_mutex_lock(&r->lock);
    if (r->stage == STAGE_WORKING) {
        r->queue.max = HTTP_QUEUE_MAX;
        begin(r, STAGE_STREAMING, code, content_type);
        http_wake(r);
    }
    pthread_mutex_unlock(&r->lock);
}

bool http_begun(const http_request *r)
{
    http_request *mine = (http_request *)(uintptr_t)r;
    pthread_mutex_lock(&mine->lock);
    bool begun = r->stage == STAGE_STREAMING || r->stage == STAGE_ANSWERED;
    pthread_mutex_unlock(&mine->lock);
    return begun;
}

/* Waits until n bytes fit. False: the reader is gone, or took nothing for write_seconds. */
static bool wait_for_room(http_request *r, size_t n)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += r->server->options.write_seconds;
    while (!r->gone && r->queue.len - r->taken + n > HTTP_QUEUE_MAX) {
        if (pthread_cond_timedwait(&r->drained, &r->lock, &until) == ETIMEDOUT)
            return false;
    }
    return !r->gone;
}

status http_write(http_request *r, const void *bytes, size_t n)
{
    const char *p = bytes;
    pthread_mutex_lock(&r->lock);
    bool ok = r->stage == STAGE_STREAMING;
    while (ok && n) {
        size_t step = n < HTTP_QUEUE_MAX / 2 ? n : HTTP_QUEUE_MAX / 2;
        ok = wait_for_room(r, step);
        if (!ok)
            break;
        buf_drop(&r->queue, r->taken);
        r->taken = 0;
        buf_add(&r->queue, p, step);
        ok = !r->queue.failed;
        p += step;
        n -= step;
        http_wake(r);
    }
    if (!ok)
        r->gone = true; /* half an answer is no answer: the connection is closed, not continued */
    pthread_mutex_unlock(&r->lock);
    return ok ? OK : E_CANCELLED;
}

/* ---- libmicrohttpd's side -------------------------------------------------------------------------------------- */

/* With r->lock held. */
static void count_out(http_request *r, size_t n)
{
    r->bytes_out += n;
    if (!r->first_us)
        r->first_us = clock_mono_us();
}

/* MHD_ContentReaderCallback: the next bytes of a streamed answer. */
static ssize_t take(void *cls, uint64_t position, char *to, size_t max)
{
    (void)position;
    http_request *r = cls;
    pthread_mutex_lock(&r->lock);
    ssize_t n = 0;
    size_t ready = r->queue.len - r->taken;
    if (r->gone) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (ready) {
        n = (ssize_t)(ready < max ? ready : max);
        memcpy(to, r->queue.data + r->taken, (size_t)n);
        r->taken += (size_t)n;
        count_out(r, (size_t)n);
        pthread_cond_broadcast(&r->drained);
    } else if (r->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (!r->suspended) {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

static bool is_draining(http_server *s)
{
    pthread_mutex_lock(&s->lock);
    bool yes = s->draining;
    pthread_mutex_unlock(&s->lock);
    return yes;
}

static void add_headers(http_request *r, struct MHD_Response *response)
{
    char dropped[24];
    if (r->content_type)
        MHD_add_response_header(response, "Content-Type", r->content_type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Request-Id", r->id);
    MHD_add_response_header(response, "Request-Id", r->id);
    for (size_t i = 0; i < r->n_headers; i++)
        MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
    if (is_draining(r->server))
        MHD_add_response_header(response, "Connection", "close");
    if (r->n_dropped) {
        snprintf(dropped, sizeof dropped, "%u", r->n_dropped);
        MHD_add_response_header(response, "X-Hearth-Headers-Dropped", dropped);
    }
}

static enum MHD_Result queue_response(http_request *r, struct MHD_Response *response)
{
    add_headers(r, response);
    enum MHD_Result ok = MHD_queue_response(r->connection, (unsigned)r->code, response);
    MHD_destroy_response(response);
    return ok;
}

/* The whole answer as one response. HEAD is told how long it would be. */
static struct MHD_Response *whole(http_request *r, const char *body, size_t n)
{
    count_out(r, strcmp(r->method, "HEAD") == 0 ? 0 : n);
    return MHD_create_response_from_buffer(n, (char *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
}

enum MHD_Result http_send(http_request *r)
{
    enum { BLOCK = 16 * 1024 };
    struct MHD_Response *response;
    pthread_mutex_lock(&r->lock);
    if (r->stage == STAGE_STREAMING)
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, take, r, NULL);
    else
        response = whole(r, buf_text(&r->queue), r->queue.len);
    pthread_mutex_unlock(&r->lock);
    return response ? queue_response(r, response) : MHD_NO;
}

void http_answer_early(http_request *r, int code, const char *content_type, const char *body)
{
    struct MHD_Response *response = whole(r, body, strlen(body));
    r->refused = true;
    r->code = code;
    if (!response)
        return;
    if (content_type)
        MHD_add_response_header(response, "Content-Type", content_type);
    queue_response(r, response);
}

void http_refuse(http_request *r, int code, const char *sentence)
{
    char body[512];
    const char *type = code >= 500 ? "unavailable_error" : "invalid_request_error";
    snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":null}}\n",
             sentence, type);
    http_set(r, "Connection", "close");
    if (code == 503)
        http_set(r, "Retry-After", "1");
    http_answer_early(r, code, "application/json", body);
}
