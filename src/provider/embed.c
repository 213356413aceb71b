#include "provider/embed.h"

#include <string.h>

#include "base/utf8.h"

status request_embed_check(const request_embed *e, size_t *total, error *err)
{
    size_t n_tokens = 0;
    if (!e || !e->inputs || e->n_inputs == 0 || e->n_inputs > REQUEST_INPUTS_MAX)
        return fail(err, E_RANGE, "request: there must be 1 to %d inputs", (int)REQUEST_INPUTS_MAX);
    for (size_t i = 0; i < e->n_inputs; i++) {
        const request_input *in = &e->inputs[i];
        size_t n = in->text ? strlen(in->text) : 0;
        *total += n;
        n_tokens += in->text ? 0 : in->n_tokens;
        if (!in->text && (!in->tokens || in->n_tokens == 0))
            return fail(err, E_RANGE, "request: input %zu is empty", i);
        if (*total > REQUEST_BYTES_MAX || n_tokens > REQUEST_TOKENS_MAX)
            return fail(err, E_RANGE, "request: the inputs are too long: at most %d bytes or %d tokens in all",
                        (int)REQUEST_BYTES_MAX, (int)REQUEST_TOKENS_MAX);
        if (in->text && !utf8_valid(in->text, n))
            return fail(err, E_FORMAT, "request: input %zu is not UTF-8", i);
    }
    return OK;
}

bool request_embed_add(js *j, const request_embed *e)
{
    js *inputs = js_array();
    bool ok = true;
    for (size_t i = 0; ok && i < e->n_inputs; i++) {
        const request_input *in = &e->inputs[i];
        js *one = in->text ? js_new_string(in->text) : js_array();
        for (size_t k = 0; ok && !in->text && k < in->n_tokens; k++)
            ok = js_push(one, js_new_int(in->tokens[k]));
        ok = js_push(inputs, one) && ok;
    }
    ok = js_set(j, "inputs", inputs) && ok;
    ok = js_set(j, "dimensions", js_new_int(e->dimensions)) && ok;
    ok = js_set(j, "truncate", js_new_bool(e->truncate)) && ok;
    ok = js_set(j, "raw", js_new_bool(e->raw)) && ok;
    if (e->rank)
        ok = js_set(j, "rank", js_new_bool(true)) && ok;
    return e->pooling ? js_set(j, "pooling", js_new_string(e->pooling)) && ok : ok;
}

static uint32_t little(const char *data)
{
    const unsigned char *p = (const unsigned char *)data;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool event_vector_read(event_vector *out, const char *data, size_t n)
{
    if (n < 12 || n % 4)
        return false;
    *out = (event_vector){ .input = little(data), .tokens = little(data + 4),
                           .values = (const float *)(const void *)(data + 8), .n = n / 4 - 2 };
    return true;
}
