/* bias.h: a request's logit_bias for the sampler. */
#ifndef WORKER_BIAS_H
#define WORKER_BIAS_H

#include "base/js.h"
#include "engine/generate.h"

/* object: {"token id": -100..100}, or NULL; at -100 a token is never drawn. Fills room, which must last as long as s,
 * and lets s point there. E_RANGE, E_FORMAT: that is no such object. */
status bias_read(const js *object, token_bias room[SAMPLING_BIASES], sampling_options *s, error *err) MUST_CHECK;

#endif
