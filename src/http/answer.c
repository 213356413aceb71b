/* answer.c: the way out. A handler fills the queue, libmicrohttpd's thread empties it.
 *
 *   handler: http_reply  WORKING -> ANSWERED,  wake        libmicrohttpd: http_send queues it whole
 *   handler: http_begin  WORKING -> STREAMING, wake        libmicrohttpd: http_send, then take() until ended
 *   take() finds the queue empty: suspends the connection; http_write and the end of the handler wake it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "http/http_int.h"

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

void http_leave(http_request *r)
{
    pthread_mutex_lock(&r->lock);
    int left = --r->holders;
    pthread_mutex_unlock(&r->lock);
    if (left)
        return;
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

void http_set(http_request *r, const char *name, const char *value)
{
    if (r->n_headers == HTTP_HEADERS_MAX)
        return;
    char *copy = mem_strndup(value, strnlen(value, HTTP_HEADER_BYTES));
    char *key = mem_strdup(name);
    if (!copy || !key) {
        mem_free(copy);
        mem_free(key);
        return;
    }
    for (char *c = copy; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            *c = ' ';
    }
    r->headers[r->n_headers].name = key;
    r->headers[r->n_headers++].value = copy;
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

static void add_headers(http_request *r, struct MHD_Response *response)
{
    if (r->content_type)
        MHD_add_response_header(response, "Content-Type", r->content_type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < r->n_headers; i++)
        MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
}

enum MHD_Result http_send(http_request *r)
{
    enum { BLOCK = 16 * 1024 };
    struct MHD_Response *response =
        r->stage == STAGE_STREAMING
            ? MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, take, r, NULL)
            : MHD_create_response_from_buffer(r->queue.len, (char *)(uintptr_t)buf_text(&r->queue),
                                              MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    add_headers(r, response);
    enum MHD_Result ok = MHD_queue_response(r->connection, (unsigned)r->code, response);
    MHD_destroy_response(response);
    return ok;
}

/* An answer without a handler: the connection never became an exchange of its own. */
void http_refuse(http_request *r, int code, const char *sentence)
{
    r->refused = true;
    char body[512];
    const char *type = code >= 500 ? "unavailable_error" : "invalid_request_error";
    int n = snprintf(body, sizeof body,
                     "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":null}}\n", sentence, type);
    struct MHD_Response *response = MHD_create_response_from_buffer((size_t)n, body, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return;
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "Connection", "close");
    if (code == 503)
        MHD_add_response_header(response, "Retry-After", "1");
    MHD_queue_response(r->connection, (unsigned)code, response);
    MHD_destroy_response(response);
}
