/* get_int.h: inside this folder: a getter's parts, and how its calls wait. */
#ifndef PULL_GET_INT_H
#define PULL_GET_INT_H

#include <curl/curl.h>

#include "pull/get.h"
#include "pull/wire.h"

struct wire {
    CURL *easy;
    struct curl_slist *headers;
    char curl_text[CURL_ERROR_SIZE];
    char url[GET_URL_MAX]; /* asked now */
    wire_ask ask;
    wire_sink sink;
    wire_head head;
    wire_result result;
    error why;             /* of the sink */
    size_t header_bytes;
    uint64_t body_bytes;
    unsigned redirects;
    bool running, headed, refused; /* headed: the sink has seen the header; refused: the sink said no */
};

struct getter {
    CURLM *multi;
    getter_options o;
    char ca_file[4096], token[1024], token_host[256];
    wire wires[GET_STREAMS_MAX];
    uint64_t last_report_us;
    bool reached;          /* some server answered */
};

/* Reports, at most ten times a second unless there is a note. True: cancel. */
bool get_report(getter *g, const get_progress *p);

/* ---- retry.c ---- */

/* Failures in a row: how many more there may be, and how long to pause. */
typedef struct retry {
    unsigned failures;
    uint64_t until_us; /* of the pause; 0: none */
} retry;

enum { RETRY_AFTER_MAX_S = 120, RETRY_OFFLINE_TRIES = 3 };

/* Another failure. OK: it is to be tried again at r->until_us. Else why not. note (of room bytes) gets a sentence. */
status retry_failed(retry *r, const getter *g, const wire_result *why, char *note, size_t room, error *err) MUST_CHECK;

#endif
