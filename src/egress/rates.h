/* rates.h: what a provider's header lines say about its rate limits. Pure; any thread.
 *
 *   OpenAI     x-ratelimit-{remaining,reset}-{requests,tokens}; a reset is a span, "6m0s", "120ms"
 *   Anthropic  anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{remaining,reset}; a reset is a moment,
 *              "2026-11-26T19:00:00Z"
 *   both       retry-after-ms, x-should-retry (what their clients obey); retry-after is libcurl's to read */
#ifndef EGRESS_RATES_H
#define EGRESS_RATES_H

#include <stddef.h>
#include <stdint.h>

#include "base/js.h"

enum { RATES_KINDS = 4 };

typedef struct rates {
    struct {
        double left, reset_s; /* NAN: not said */
    } of[RATES_KINDS];        /* requests, tokens, input tokens, output tokens */
    double retry_after_s;     /* 0: not said */
    int should_retry;         /* 1, 0; -1: not said */
} rates;

void rates_init(rates *r);
/* One header line of n bytes, with or without its end; now: UTC in microseconds. Other lines change nothing. */
void rates_header(rates *r, const char *line, size_t n, int64_t now_us);
/* Seconds until something that is used up comes back; 0: nothing is known to be used up. */
double rates_wait_s(const rates *r);
/* {requests_left, tokens_left, wait_s}, what is not known left out; NULL: nothing is known, or no memory. */
js *rates_to_js(const rates *r);

#endif
