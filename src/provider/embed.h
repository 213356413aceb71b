/* embed.h: requests for vectors: the part of a request (request.h, REQUEST_EMBED) and the event that answers it. Local
 * providers only. Everything is borrowed, as in request.h. */
#ifndef PROVIDER_EMBED_H
#define PROVIDER_EMBED_H

#include "provider/request.h"

enum { REQUEST_INPUTS_MAX = 2048 };

typedef struct request_input {
    const char *text;      /* NULL: tokens */
    const int32_t *tokens; /* taken as they are */
    size_t n_tokens;
} request_input;

typedef struct request_embed {
    const request_input *inputs; /* 1 to REQUEST_INPUTS_MAX */
    size_t n_inputs;
    uint32_t dimensions; /* only the first so many values; 0: all */
    bool truncate;       /* cut an input that is too long; otherwise that is an error */
    bool raw;            /* not made of length 1 */
    const char *pooling; /* "mean", "cls", "last"; NULL: as the model wishes */
    bool rank;           /* the first input is a query: a model with a head for pairs of texts gives it no vector, */
                         /* and any other input one value, its score (a logit). Other models: as without it */
} request_embed;

/* One for each input, in their order; values: n floats. */
typedef struct event_vector {
    uint32_t input, tokens;
    const float *values;
    size_t n;
} event_vector;

/* For request.c: E_RANGE or E_FORMAT naming the input; *total grows by the bytes of its texts. */
status request_embed_check(const request_embed *e, size_t *total, error *err) MUST_CHECK;
/* Adds the members that travel to the worker. False without memory. */
bool request_embed_add(js *j, const request_embed *e);
/* From a worker's VECTOR: values is borrowed from data, which must be aligned as msg_receive's is. */
bool event_vector_read(event_vector *out, const char *data, size_t n);

#endif
