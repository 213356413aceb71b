/* llama_int.h: what the paths of llama-server's own dialect share: prompts, faults, the walk. A request without `model`
 * goes to the server's default model. */
#ifndef API_LLAMA_INT_H
#define API_LLAMA_INT_H

#include "api/openai_int.h"

enum { LLAMA_PARTS_MAX = 256 }; /* texts and runs of ids of one prompt */

/* One prompt: a text, a list of token ids, or a list of both in any order; runs of ids are one part. */
typedef struct llama_prompt {
    request_input *parts; /* owned; texts are borrowed from the JSON */
    size_t n;
} llama_prompt;

/* `in` is the field `name`. *out is to be cleared, also after a fault. */
bool llama_read_prompt(const js *in, const char *name, llama_prompt *out, api_fault *f);
void llama_prompt_clear(llama_prompt *p);
/* The part becomes the request's prompt. */
void llama_set_part(const llama_prompt *p, size_t part, request *q);

/* The field `model`, "" when absent. A task is refused: these paths speak to a model. */
bool llama_read_model(const js *body, const char **out, api_fault *f);
void llama_reply_fault(http_request *r, const api_fault *f);

#endif
