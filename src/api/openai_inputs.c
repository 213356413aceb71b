/* openai_inputs.c: what completions and embeddings are asked about: a text, a list of texts, a list of token ids, a
 * list of lists of ids. */
#include <string.h>

#include "api/openai_int.h"

static bool read_ids(request_input *out, const js *list, const char *name, api_fault *f)
{
    int32_t *ids = mem_array(js_len(list) + 1, sizeof *ids);
    if (!ids)
        return api_refuse(f, FAULT_INTERNAL, name, "no memory");
    out->tokens = ids;
    out->n_tokens = js_len(list);
    for (size_t i = 0; i < out->n_tokens; i++) {
        int64_t id;
        if (!js_int(js_at(list, i), &id) || id < 0 || id > INT32_MAX)
            return api_refuse(f, FAULT_INVALID, name, "'%s' holds a list whose item %zu is no token id", name, i);
        ids[i] = (int32_t)id;
    }
    return true;
}

static bool read_input(request_input *out, const js *in, const char *name, api_fault *f)
{
    if (js_is(in, JS_ARRAY))
        return read_ids(out, in, name, f);
    if (!js_is(in, JS_STRING) || strlen(js_text(in)) != js_len(in))
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be a text, a list of texts, a list of token ids or "
                          "a list of such lists (and hold no zero byte)", name);
    out->text = js_text(in);
    return true;
}

bool openai_read_inputs(const js *in, const char *name, request_input **out, size_t *n, api_fault *f)
{
    bool one = !js_is(in, JS_ARRAY) || js_is(js_at(in, 0), JS_NUMBER);
    size_t count = one ? 1 : js_len(in);
    if (count == 0 || count > REQUEST_INPUTS_MAX)
        return api_refuse(f, FAULT_INVALID, name, "'%s' must hold 1 to %d texts, not %zu", name,
                          (int)REQUEST_INPUTS_MAX, count);
    *out = mem_array(count, sizeof **out);
    if (!*out)
        return api_no_memory(f);
    *n = count;
    for (size_t i = 0; i < count; i++)
        if (!read_input(&(*out)[i], one ? in : js_at(in, i), name, f))
            return false;
    return true;
}

void openai_inputs_free(request_input *inputs, size_t n)
{
    for (size_t i = 0; inputs && i < n; i++)
        mem_free((void *)(uintptr_t)inputs[i].tokens);
    mem_free(inputs);
}
