/* metrics.h: what the server has done since it began, in numbers: fed by the walk that all dialects share (ask.c), told
 * by GET /metrics. No texts, no askers. The functions take the api's lock themselves. */
#ifndef API_METRICS_H
#define API_METRICS_H

#include "provider/request.h"

enum { METRICS_MODELS_MAX = 64, METRICS_NAME_BYTES = 256, METRICS_BUCKETS = 12 };

struct api;

/* What became of a request that a cascade answers: the local answer, the cloud's, the local one for want of it. */
typedef enum metrics_cascade { CASCADE_ACCEPTED, CASCADE_ESCALATED, CASCADE_KEPT, CASCADE_ENDS } metrics_cascade;
const char *metrics_cascade_name(metrics_cascade c); /* "accepted", "escalated", "kept" */

typedef enum metrics_kind { METRICS_ANSWERS, METRICS_VECTORS, METRICS_PROMPTS, METRICS_KINDS } metrics_kind;

/* Of one model. Tokens and seconds of answers and vectors, as far as the provider says them. */
typedef struct metrics_model {
    char name[METRICS_NAME_BYTES];
    uint64_t ended[METRICS_KINDS]; /* whole answers, lists of vectors, prompts that were only made tokens */
    uint64_t cancelled;            /* because the client left */
    uint64_t tokens_in;            /* of prompts, computed or not */
    uint64_t tokens_cached;        /* of them not computed again */
    uint64_t tokens_out;
    double prefill_s, decode_s;
    uint64_t peak_bytes;           /* most memory its process ever said it held */
} metrics_model;

typedef struct metrics {
    metrics_model models[METRICS_MODELS_MAX + 1]; /* the last is all that have no place: "other" */
    size_t n;
    uint64_t cascades[CASCADE_ENDS];
    uint64_t faults[FAULT_INTERNAL + 1];
    uint64_t left;                                /* gone before it was their turn */
    uint64_t first[METRICS_BUCKETS + 1];          /* times to the first token: up to metrics_first_s[i], and more */
    double first_sum_s;
} metrics;
extern const double metrics_first_s[METRICS_BUCKETS];

/* An answer has ended (EVENT_DONE); model: as the provider is named. */
void api_metrics_end(struct api *a, const char *model, metrics_kind kind, const event_done *end);
/* A request was refused, or has failed. */
void api_metrics_fault(struct api *a, fault_kind kind);
void api_metrics_left(struct api *a);
void api_metrics_cascade(struct api *a, metrics_cascade what);

#endif
