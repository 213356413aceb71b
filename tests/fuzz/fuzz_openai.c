/* libFuzzer over the reader of chat requests: any body becomes a neutral request that passes its own check and can be
 * written for a worker, or a fault with a sentence.
 * modules: base
 * files: src/api/openai_read.c src/api/openai_messages.c src/api/openai_tools.c src/api/fields.c src/api/reply.c
 * files: src/provider/request.c src/provider/request_js.c
 * libs: -lyaml -lcrypto */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai_int.h"
#include "base/utf8.h"
#include "provider/provider_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the reader's neighbours in the same files want, and never call here. */
#define NEVER abort()
void http_reply(http_request *r, int code, const char *type, const void *body, size_t n)
{
    (void)r, (void)code, (void)type, (void)body, (void)n;
    NEVER;
}

void http_set(http_request *r, const char *name, const char *value)
{
    (void)r, (void)name, (void)value;
    NEVER;
}

static void must(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    chat_call call = { 0 };
    api_fault f = { 0 };
    if (openai_read_chat((span){ (const char *)data, size }, &call, &f)) {
        const request *r = &call.neutral;
        error err = { 0 };
        must(utf8_valid(call.model, strlen(call.model)) && (r->n_messages > 0 || call.input));
        if (r->n_messages > 0 && request_check(r, &err) == OK) {
            js *j = request_to_js(r);
            must(j);
            js_free(j);
        }
    } else {
        must(f.text[0] && utf8_valid(f.text, strlen(f.text)) && utf8_valid(f.param, strlen(f.param)));
        js *j = api_fault_js(&f);
        must(j);
        js_free(j);
    }
    openai_chat_clear(&call);
    return 0;
}
