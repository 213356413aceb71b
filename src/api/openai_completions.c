/* openai_completions.c: POST /v1/completions: a text or token ids are continued as they are, without a chat template.
 *
 * Several prompts and several choices are asked one after another of the same provider (api_ask.next). Choice c of
 * every prompt is drawn with the seed plus c: choice 0 is what n = 1 answers, and a prompt's choices do not depend on
 * which prompts stand beside it. */
#include <stdio.h>
#include <string.h>

#include "api/openai_completions.h"
#include "base/str.h"
#include "plat/clock.h"

enum { TOP_MAX = 20, MAX_TOKENS_DEFAULT = 16 };

static const field fields[] = {
    { "model", FIELD_READ, NULL },
    { "prompt", FIELD_READ, NULL },
    { "stream", FIELD_READ, NULL },
    { "stream_options", FIELD_READ, NULL },
    { "max_tokens", FIELD_READ, NULL },
    { "temperature", FIELD_READ, NULL },
    { "top_p", FIELD_READ, NULL },
    { "top_k", FIELD_READ, NULL },
    { "min_p", FIELD_READ, NULL },
    { "repeat_penalty", FIELD_READ, NULL },
    { "repeat_last_n", FIELD_READ, NULL },
    { "presence_penalty", FIELD_READ, NULL },
    { "frequency_penalty", FIELD_READ, NULL },
    { "seed", FIELD_READ, NULL },
    { "stop", FIELD_READ, NULL },
    { "logit_bias", FIELD_READ, NULL },
    { "logprobs", FIELD_READ, NULL },
    { "echo", FIELD_READ, NULL },
    { "n", FIELD_READ, NULL },
    { "best_of", FIELD_READ, NULL },
    { "user", FIELD_IGNORED, NULL },
    { "suffix", FIELD_NEUTRAL, NULL },
};

/* ---- reading ---- */

/* n choices are n answers; the best of more is not picked here. */
static bool read_choices(completion_call *c, api_fault *f)
{
    int64_t n = 1, best_of = 0;
    if (!api_read_whole(c->body, "n", 1, OPENAI_CHOICES_MAX, &n, f) ||
        !api_read_whole(c->body, "best_of", 1, OPENAI_CHOICES_MAX, &best_of, f))
        return false;
    if (best_of && best_of != n)
        return api_refuse(f, FAULT_INVALID, "best_of", "'best_of' is %lld and 'n' is %lld: they must be equal, because "
                          "every choice is answered", (long long)best_of, (long long)n);
    c->n = (uint32_t)n;
    return true;
}

static bool read_lengths(completion_call *c, api_fault *f)
{
    int64_t max_tokens = MAX_TOKENS_DEFAULT, top = -1;
    if (!api_read_whole(c->body, "max_tokens", 0, REQUEST_TOKENS_MAX, &max_tokens, f) ||
        !api_read_whole(c->body, "logprobs", 0, TOP_MAX, &top, f) || !api_read_bool(c->body, "echo", &c->echo, f))
        return false;
    c->logprobs = top >= 0;
    c->neutral.sampling.max_tokens = (uint32_t)max_tokens;
    c->neutral.score_only = max_tokens == 0;
    c->neutral.logprobs = c->logprobs;
    c->neutral.n_logprobs = top > 0 ? (uint32_t)top : 0;
    return true;
}

/* The prompt's own tokens are asked for where they are needed: a text without log-probabilities is there already. */
static void set_prompt(const completion_call *c, size_t prompt, request *q)
{
    const request_input *in = &c->prompts[prompt];
    q->kind = in->text ? REQUEST_TEXT : REQUEST_TOKENS;
    q->text = in->text;
    q->tokens = in->tokens;
    q->n_tokens = in->n_tokens;
    q->echo = c->echo && (c->logprobs || !in->text);
}

/* A fault of one among several prompts says which. */
static void name_prompt(const completion_call *c, size_t prompt, api_fault *f)
{
    char text[sizeof f->text];
    if (c->n_prompts < 2 || strcmp(f->param, "prompt") != 0)
        return;
    snprintf(f->param, sizeof f->param, "prompt[%zu]", prompt);
    snprintf(text, sizeof text, "prompt[%zu]: %.*s", prompt, (int)sizeof f->text - 32, f->text);
    memcpy(f->text, text, sizeof text);
}

/* What is wrong with the last prompt is said before the first is answered, as far as it can be seen here. */
static bool read_prompts(completion_call *c, api_fault *f)
{
    error e = { 0 };
    const js *prompt = js_get(c->body, "prompt");
    if (!openai_read_inputs(prompt, "prompt", &c->prompts, &c->n_prompts, f))
        return false;
    for (size_t i = c->n_prompts; i-- > 0;) {
        set_prompt(c, i, &c->neutral);
        if (!request_check(&c->neutral, &e))
            continue;
        api_refuse_status(f, "prompt", &e);
        name_prompt(c, i, f);
        return false;
    }
    return true;
}

static bool read_call(span body, completion_call *c, api_fault *f)
{
    c->model = "";
    request_init(&c->neutral);
    if (!api_read_body(body, fields, ARRAY_LEN(fields), &c->body, f) ||
        !api_read_text(c->body, "model", &c->model, f) ||
        !openai_read_stream(c->body, &c->stream, &c->include_usage, f) ||
        !openai_read_sampling(c->body, &c->neutral.sampling, f) || !read_lengths(c, f) || !read_choices(c, f))
        return false;
    if (str_starts(c->model, "task:"))
        return api_refuse(f, FAULT_INVALID, "model", "a task is asked in a conversation (/v1/chat/completions): its "
                          "prompt is its own");
    return read_prompts(c, f);
}

/* ---- the walk ---- */

static bool next_choice(void *user, request *q)
{
    completion_answer *a = user;
    const completion_call *c = a->call;
    if (!a->complete || a->broken || a->full)
        return false;
    if (++a->choice < c->n) {
        q->sampling.seed++;
    } else {
        q->sampling.seed -= c->n - 1;
        a->choice = 0;
        if (++a->prompt == c->n_prompts)
            return false;
        set_prompt(c, a->prompt, q);
    }
    completion_begin(a);
    return true;
}

static void answer_call(api *ap, http_request *r, completion_call *c)
{
    completion_answer a;
    completion_answer_init(&a, r, c);
    a.created = clock_utc_us() / 1000000;
    api_ask ask = { .r = r, .model = c->model, .neutral = &c->neutral, .param = "prompt", .fn = completion_event,
                    .user = &a, .next = next_choice };
    completion_begin(&a);
    bool ok = api_new_id("cmpl-", a.id, &a.fault) && api_ask_provider(ap, &ask, a.id, &a.fault);
    if (!ok)
        name_prompt(c, a.prompt, &a.fault);
    if (!ok || !completion_end(&a))
        completion_say_fault(&a);
    completion_answer_clear(&a);
}

void api_openai_completions(api *ap, http_request *r)
{
    completion_call c = { 0 };
    api_fault f;
    if (read_call(http_body(r), &c, &f))
        answer_call(ap, r, &c);
    else
        api_reply_fault(r, &f);
    openai_inputs_free(c.prompts, c.n_prompts);
    js_free(c.body);
}
