/* rerank.c: POST /rerank, /reranking, /v1/rerank, /v1/reranking: documents in the order of what they have to do with a
 * query. As Jina and llama-server have it (`documents`), or as Text Embeddings Inference does (`texts`: the answer is
 * the list alone). A model with a head for pairs of texts judges each; of any other the score is the cosine of the
 * vectors that it makes of query and document. `method` and x-hearth-method say which. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/llama_int.h"

enum { DOCUMENTS_MAX = REQUEST_INPUTS_MAX - 1 };

typedef struct ranked {
    size_t index;
    double score;
} ranked;

typedef struct rerank_call {
    http_request *r;
    js *body;              /* owns every text below */
    const char *model;
    bool plain;            /* `texts`: the list alone */
    bool with_documents;
    int64_t top_n;
    request neutral;
    request_embed embed;
    request_input *inputs; /* owned: the query, then the documents */
    bool raw;              /* scores of the head as they are, not from 0 to 1 */
    bool judged;           /* by the model's head */
    float *query;          /* its vector, owned; NULL: judged, or it has not come */
    size_t n_query;
    ranked *ranks;         /* owned: of the documents so far */
    size_t n_ranks;
    int64_t tokens;
    char answered_by[ROUTE_NAME_BYTES];
    bool done, failed;
} rerank_call;

/* ---- reading ---- */

static const field fields[] = {
    { "model", FIELD_READ, NULL },
    { "query", FIELD_READ, NULL },
    { "documents", FIELD_READ, NULL },
    { "texts", FIELD_READ, NULL },
    { "top_n", FIELD_READ, NULL },
    { "return_documents", FIELD_READ, NULL },
    { "return_text", FIELD_READ, NULL },
    { "truncate", FIELD_READ, NULL },
    { "user", FIELD_IGNORED, NULL },
    { "raw_scores", FIELD_READ, NULL },
    { "rank_fields", FIELD_NEUTRAL, NULL },
    { "max_chunks_per_doc", FIELD_NEUTRAL, NULL },
    { "max_tokens_per_doc", FIELD_NEUTRAL, NULL },
    { "truncation_direction", FIELD_NEUTRAL, "right" },
};

static bool read_text(const js *v, const char *what, size_t i, const char **out, api_fault *f)
{
    if (js_is(v, JS_OBJECT))
        v = js_get(v, "text");
    if (!js_is(v, JS_STRING) || strlen(js_text(v)) != js_len(v))
        return api_refuse(f, FAULT_INVALID, what, "item %zu of '%s' must be a text or {\"text\": …} (and hold no "
                          "zero byte)", i, what);
    *out = js_text(v);
    return true;
}

static bool read_documents(rerank_call *c, const char *query, api_fault *f)
{
    const js *documents = api_value(c->body, "documents"), *texts = api_value(c->body, "texts");
    const char *name = texts && !documents ? "texts" : "documents";
    const js *list = documents ? documents : texts;
    size_t n = js_is(list, JS_ARRAY) ? js_len(list) : 0;
    if (documents && texts)
        return api_refuse(f, FAULT_INVALID, "texts", "give either 'documents' or 'texts', not both");
    if (n == 0 || n > DOCUMENTS_MAX)
        return api_refuse(f, FAULT_INVALID, name, "'%s' must be a list of 1 to %d texts", name, (int)DOCUMENTS_MAX);
    c->plain = texts != NULL;
    c->inputs = mem_array(n + 1, sizeof *c->inputs);
    c->ranks = mem_array(n, sizeof *c->ranks);
    if (!c->inputs || !c->ranks)
        return api_no_memory(f);
    c->inputs[0].text = query;
    c->embed.n_inputs = n + 1;
    c->embed.inputs = c->inputs;
    for (size_t i = 0; i < n; i++)
        if (!read_text(js_at(list, i), name, i, &c->inputs[i + 1].text, f))
            return false;
    return true;
}

static bool read_call(rerank_call *c, api_fault *f)
{
    const char *query = NULL;
    bool with_text = false;
    c->top_n = DOCUMENTS_MAX;
    if (!api_read_body(http_body(c->r), fields, ARRAY_LEN(fields), &c->body, f) ||
        !llama_read_model(c->body, &c->model, f) || !api_read_text(c->body, "query", &query, f) ||
        !api_read_whole(c->body, "top_n", 1, INT32_MAX, &c->top_n, f) ||
        !api_read_bool(c->body, "return_documents", &c->with_documents, f) ||
        !api_read_bool(c->body, "return_text", &with_text, f) ||
        !api_read_bool(c->body, "raw_scores", &c->raw, f) ||
        !api_read_bool(c->body, "truncate", &c->embed.truncate, f))
        return false;
    c->with_documents = c->with_documents || with_text;
    if (!query)
        return api_refuse(f, FAULT_INVALID, "query", "'query' is missing");
    return read_documents(c, query, f);
}

/* ---- ranking ---- */

/* Both have the length 1, or are zero. */
static double cosine(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static bool keep_query(rerank_call *c, const event_vector *v)
{
    c->query = mem_array(v->n + 1, sizeof *c->query);
    if (!c->query)
        return false;
    memcpy(c->query, v->values, v->n * sizeof *c->query);
    c->n_query = v->n;
    return true;
}

static double score_of(const rerank_call *c, const event_vector *v)
{
    if (!c->judged)
        return cosine(c->query, v->values, v->n);
    double logit = (double)v->values[0];
    return c->raw ? logit : 1 / (1 + exp(-logit));
}

/* Vectors come in the order of the inputs, the query's first; a head that judges pairs has none of it (embed.h). */
static void add_vector(rerank_call *c, const event_vector *v)
{
    if (v->input == 0) {
        c->failed = c->query || !keep_query(c, v);
        return;
    }
    c->judged = !c->query;
    if (v->input != c->n_ranks + 1 || v->input >= c->embed.n_inputs || v->n != (c->judged ? 1 : c->n_query)) {
        c->failed = true;
        return;
    }
    c->ranks[c->n_ranks] = (ranked){ c->n_ranks, score_of(c, v) };
    c->n_ranks++;
}

static int on_event(void *user, const event *e)
{
    rerank_call *c = user;
    if (e->kind == EVENT_VECTOR) {
        add_vector(c, e->vector);
    } else if (e->kind == EVENT_DONE) {
        c->done = e->end->finish != ANSWER_CANCELLED;
        c->tokens = e->end->prompt_tokens;
        snprintf(c->answered_by, sizeof c->answered_by, "%s", *c->model ? c->model : e->end->model);
    }
    return c->failed;
}

static int by_score(const void *left, const void *right)
{
    const ranked *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

/* ---- writing ---- */

static js *result_js(const rerank_call *c, const ranked *r)
{
    js *o = js_object();
    const char *text = c->inputs[r->index + 1].text;
    js_set(o, "index", js_new_int((int64_t)r->index));
    js_set(o, c->plain ? "score" : "relevance_score", js_new_double(r->score));
    if (c->with_documents && c->plain) {
        js_set(o, "text", js_new_string(text));
    } else if (c->with_documents) {
        js *document = js_object();
        js_set(document, "text", js_new_string(text));
        js_set(o, "document", document);
    }
    return o;
}

static const char *method_of(const rerank_call *c)
{
    return c->judged ? "cross-encoder" : "embedding";
}

static js *answer_js(const rerank_call *c)
{
    js *list = js_array();
    for (size_t i = 0; i < c->n_ranks && (int64_t)i < c->top_n; i++)
        js_push(list, result_js(c, &c->ranks[i]));
    if (c->plain)
        return list;
    js *o = js_object(), *usage = js_object();
    js_set(usage, "prompt_tokens", js_new_int(c->tokens));
    js_set(usage, "total_tokens", js_new_int(c->tokens));
    js_set(o, "model", js_new_string(c->answered_by));
    js_set(o, "object", js_new_string("list"));
    js_set(o, "usage", usage);
    js_set(o, "results", list);
    js_set(o, "method", js_new_string(method_of(c)));
    return o;
}

/* What the worker calls input 0 is the query, input 1 the first document. */
static void name_input(api_fault *f)
{
    size_t input;
    int at = 0;
    char text[sizeof f->text];
    if (sscanf(f->text, "input %zu%n", &input, &at) != 1 || !at)
        return;
    if (input)
        snprintf(text, sizeof text, "document %zu%.*s", input - 1, (int)sizeof f->text - 40, f->text + at);
    else
        snprintf(text, sizeof text, "the query%.*s", (int)sizeof f->text - 40, f->text + at);
    memcpy(f->text, text, sizeof text);
}

/* ---- the walk ---- */

static bool answer(api *a, rerank_call *c, api_fault *f)
{
    api_ask ask = { .r = c->r, .model = c->model, .neutral = &c->neutral, .param = "documents", .fn = on_event,
                    .user = c };
    if (!api_ask_provider(a, &ask, NULL, f)) {
        name_input(f);
        return false;
    }
    if (c->failed || (c->done && c->n_ranks + 1 != c->embed.n_inputs))
        return api_refuse(f, FAULT_INTERNAL, "", "the vectors are not those of the documents, or there is no memory");
    if (!c->done)
        return true; /* nobody is there any more */
    qsort(c->ranks, c->n_ranks, sizeof *c->ranks, by_score);
    http_set(c->r, "x-hearth-method", method_of(c));
    api_reply_js(c->r, 200, answer_js(c));
    return true;
}

void api_rerank(api *a, http_request *r)
{
    rerank_call c = { .r = r, .model = "" };
    api_fault f;
    request_init(&c.neutral);
    c.neutral.kind = REQUEST_EMBED;
    c.neutral.embed = &c.embed;
    c.embed.rank = true;
    if (!read_call(&c, &f) || !answer(a, &c, &f))
        llama_reply_fault(r, &f);
    mem_free(c.inputs);
    mem_free(c.ranks);
    mem_free(c.query);
    js_free(c.body);
}
