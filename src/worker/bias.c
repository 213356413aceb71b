/* bias.c: the front has checked what a client sent; this process trusts nobody and checks again. */
#include "worker/bias.h"

#include <math.h>

#include "base/str.h"

enum { BIAS_NEVER = -100 };

status bias_read(const js *object, token_bias room[SAMPLING_BIASES], sampling_options *s, error *err)
{
    js_member m = { 0 };
    uint32_t n = 0;
    if (js_len(object) > SAMPLING_BIASES)
        return fail(err, E_RANGE, "request: at most %d tokens can have a logit_bias", SAMPLING_BIASES);
    while (js_next(object, &m)) {
        int64_t id;
        double bias;
        if (!str_i64(m.key, &id) || id < 0 || id > INT32_MAX || !js_double(m.value, &bias))
            return fail(err, E_FORMAT, "request: logit_bias is not numbers by token ids");
        room[n++] = (token_bias){ (int32_t)id, bias <= BIAS_NEVER ? -INFINITY : (float)bias };
    }
    s->bias = room;
    s->n_bias = n;
    return OK;
}
