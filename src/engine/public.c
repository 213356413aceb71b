/* public.c: include/hearth.h over engine.h, generate.h, token and chat. No logic of its own: it translates structs. */
#include <string.h>

#include "base/mem.h"
#include "chat/chat.h"
#include "engine/embed.h"
#include "engine/generate.h"
#include "grammar/grammar.h"
#include "gguf/gguf.h"
#include "hearth.h"
#include "token/vocab.h"

struct hearth_model {
    engine *e;
};

struct hearth_session {
    session *s;
    hearth_model *m;
};

enum { TOKENS_MAX = 1 << 24 };

/* Every status has a place in the public list. */
static hearth_result result_of(status s, const error *err, char *why)
{
    static const hearth_result map[] = {
        [OK] = HEARTH_OK,
        [E_NOMEM] = HEARTH_NO_MEMORY,
        [E_IO] = HEARTH_IO,
        [E_FORMAT] = HEARTH_FORMAT,
        [E_UNSUPPORTED] = HEARTH_UNSUPPORTED,
        [E_RANGE] = HEARTH_RANGE,
        [E_NOTFOUND] = HEARTH_NOT_FOUND,
        [E_NOFIT] = HEARTH_NO_FIT,
        [E_CANCELLED] = HEARTH_CANCELLED,
    };
    _Static_assert(HEARTH_ERROR_BYTES >= ERROR_TEXT_BYTES, "why holds every sentence");
    if (s && why)
        memcpy(why, err->text, strlen(err->text) + 1);
    return (size_t)s < ARRAY_LEN(map) ? map[s] : HEARTH_IO;
}

const char *hearth_version(void)
{
    return HEARTH_VERSION;
}

void hearth_model_options_init(hearth_model_options *o)
{
    *o = (hearth_model_options){ .size = sizeof *o };
}

static status model_options(engine_options *to, const hearth_model_options *o, error *err)
{
    engine_options_init(to);
    if (!o)
        return OK;
    if (o->size != sizeof *o)
        return fail(err, E_RANGE, "hearth_model_options.size is %zu, not %zu", o->size, sizeof *o);
    to->n_threads = o->n_threads;
    to->context = o->context;
    to->n_sessions = o->n_sessions;
    to->mem_bytes = o->mem_bytes;
    if (o->kv_f32 && o->kv_q8)
        return fail(err, E_RANGE, "hearth_model_options: kv_f32 and kv_q8 at once");
    to->kv_type = o->kv_f32 ? ENGINE_KV_F32 : o->kv_q8 ? ENGINE_KV_Q8 : ENGINE_KV_F16;
    to->exact = o->exact;
    return OK;
}

hearth_result hearth_model_open(hearth_model **out, const char *path, const hearth_model_options *o, char *why)
{
    error err;
    engine_options options;
    gguf *file = NULL;
    hearth_model *m = mem_zero(sizeof *m);
    status s = m ? model_options(&options, o, &err) : fail(&err, E_NOMEM, "no memory for a model");
    if (!s)
        s = gguf_open(&file, path, &err);
    if (!s)
        s = engine_open(&m->e, file, &options, &err);
    if (!s && !engine_vocab(m->e))
        s = fail(&err, E_UNSUPPORTED, "%s has no tokenizer", path);
    if (s)
        hearth_model_close(&m);
    else
        *out = m;
    return result_of(s, &err, why);
}

void hearth_model_close(hearth_model **m)
{
    if (!m || !*m)
        return;
    engine_close(&(*m)->e);
    mem_free(*m);
    *m = NULL;
}

void hearth_model_get_info(const hearth_model *m, hearth_model_info *out)
{
    const engine_info *i = engine_get_info(m->e);
    *out = (hearth_model_info){
        .arch = i->arch,
        .name = i->name,
        .file_type = i->file_type,
        .n_params = i->n_params,
        .memory_bytes = engine_memory(m->e)->total_bytes,
        .context_train = i->context_train,
        .context = i->context,
        .n_vocab = i->n_vocab,
        .n_embd = i->n_embd,
        .n_layers = i->n_layers,
    };
}

static void copy_tokens(const token_list *list, int32_t *tokens, size_t size, size_t *n)
{
    size_t copied = list->n < size ? list->n : size;
    if (copied)
        memcpy(tokens, list->ids, copied * sizeof *tokens);
    *n = list->n;
}

hearth_result hearth_tokenize(const hearth_model *m, const char *text, size_t bytes, bool special, bool begin,
                              int32_t *tokens, size_t size, size_t *n, char *why)
{
    error err;
    token_list list = TOKEN_LIST_INIT(TOKENS_MAX);
    unsigned flags = (special ? VOCAB_SPECIAL : 0u) | (begin ? VOCAB_BOS : 0u);
    status s = vocab_encode(engine_vocab(m->e), text, bytes, flags, &list, &err);
    if (!s)
        copy_tokens(&list, tokens, size, n);
    token_list_clear(&list);
    return result_of(s, &err, why);
}

const char *hearth_token_text(const hearth_model *m, int32_t token, size_t *bytes)
{
    const vocab *v = engine_vocab(m->e);
    span piece = { "", 0 };
    if (!vocab_is_control(v, token))
        piece = vocab_piece(v, token);
    *bytes = piece.n;
    return piece.p;
}

hearth_result hearth_chat_tokens(const hearth_model *m, const hearth_message *messages, int n_messages, int32_t *tokens,
                                 size_t size, size_t *n, char *why)
{
    error err;
    chat *c = NULL;
    token_list list = TOKEN_LIST_INIT(TOKENS_MAX);
    js *list_of = js_array();
    status s = list_of ? OK : fail(&err, E_NOMEM, "no memory for %d messages", n_messages);
    for (int i = 0; !s && i < n_messages; i++)
        if (!chat_add(list_of, messages[i].role, messages[i].content))
            s = fail(&err, E_NOMEM, "no memory for %d messages", n_messages);
    chat_request q = { .messages = list_of, .add_generation_prompt = true, .now = chat_now() };
    if (!s)
        s = chat_open(&c, engine_chat_template(m->e), engine_vocab(m->e), &err);
    if (!s)
        s = chat_render(c, &q, &list, &err);
    if (!s)
        copy_tokens(&list, tokens, size, n);
    chat_close(&c);
    token_list_clear(&list);
    js_free(list_of);
    return result_of(s, &err, why);
}

/* ---- sessions ---- */

void hearth_embedding_init(hearth_embedding *o)
{
    *o = (hearth_embedding){ .size = sizeof *o };
}

static status embed_texts(hearth_model *m, const char *const *texts, size_t n, const hearth_embedding *o, float *out,
                          token_list *tokens, embed_input *in, error *err)
{
    _Static_assert((int)HEARTH_POOL_LAST == ENGINE_POOL_LAST && (int)HEARTH_POOL_MEAN == ENGINE_POOL_MEAN, "one order");
    embed_options options;
    embed_options_init(&options);
    options.pooling = (engine_pooling)o->pooling;
    options.dimensions = o->dimensions;
    options.raw = o->raw;
    status s = OK;
    for (size_t i = 0; !s && i < n; i++) {
        size_t before = tokens->n;
        s = engine_embed_tokens(m->e, texts[i], strlen(texts[i]), o->truncate, tokens, NULL, err);
        in[i].n = (uint32_t)(tokens->n - before);
        if (s)
            return fail_prefix(err, s, "text %zu: ", i);
    }
    for (size_t i = 0, at = 0; i < n; at += in[i++].n) /* only now: the list may have moved */
        in[i].tokens = tokens->ids + at;
    return engine_embed(m->e, in, (uint32_t)n, &options, out, err);
}

hearth_result hearth_embed(hearth_model *m, const char *const *texts, size_t n, const hearth_embedding *o, float *out,
                           char *why)
{
    error err;
    hearth_embedding defaults;
    hearth_embedding_init(&defaults);
    if (o && o->size != sizeof *o)
        return result_of(fail(&err, E_RANGE, "hearth_embedding.size is %zu, not %zu", o->size, sizeof *o), &err, why);
    token_list tokens = TOKEN_LIST_INIT(TOKENS_MAX);
    embed_input *in = n <= UINT32_MAX ? mem_array(n + 1, sizeof *in) : NULL;
    status s = in ? embed_texts(m, texts, n, o ? o : &defaults, out, &tokens, in, &err)
                  : fail(&err, E_NOMEM, "no memory for %zu texts", n);
    token_list_clear(&tokens);
    mem_free(in);
    return result_of(s, &err, why);
}

hearth_result hearth_session_open(hearth_session **out, hearth_model *m, char *why)
{
    error err;
    hearth_session *h = mem_zero(sizeof *h);
    status s = h ? session_open(&h->s, m->e, &err) : fail(&err, E_NOMEM, "no memory for a session");
    if (s) {
        hearth_session_close(&h);
        return result_of(s, &err, why);
    }
    h->m = m;
    *out = h;
    return HEARTH_OK;
}

void hearth_session_close(hearth_session **s)
{
    if (!s || !*s)
        return;
    session_close(&(*s)->s);
    mem_free(*s);
    *s = NULL;
}

uint32_t hearth_session_length(const hearth_session *s)
{
    return session_length(s->s);
}

uint32_t hearth_session_truncate(hearth_session *s, uint32_t n)
{
    return session_truncate(s->s, n);
}

hearth_result hearth_score(hearth_session *s, const int32_t *tokens, uint32_t n, double *logprobs, char *why)
{
    error err;
    return result_of(session_score(s->s, tokens, n, logprobs, NULL, NULL, &err), &err, why);
}

/* ---- generating ---- */

void hearth_sampling_init(hearth_sampling *o)
{
    sampling_options d;
    sampling_options_init(&d);
    *o = (hearth_sampling){
        .size = sizeof *o,
        .temperature = d.temperature,
        .top_k = d.top_k,
        .top_p = d.top_p,
        .min_p = d.min_p,
        .repeat_penalty = d.repeat_penalty,
        .repeat_last_n = d.repeat_last_n,
    };
}

static status sampling(sampling_options *to, const hearth_sampling *o, error *err)
{
    sampling_options_init(to);
    if (!o)
        return OK;
    if (o->size != sizeof *o)
        return fail(err, E_RANGE, "hearth_sampling.size is %zu, not %zu", o->size, sizeof *o);
    if (o->n_stops > HEARTH_STOPS)
        return fail(err, E_RANGE, "%u stop strings, the limit is %d", o->n_stops, HEARTH_STOPS);
    _Static_assert(HEARTH_STOPS <= SAMPLING_STOPS, "all stops have a place");
    to->temperature = o->temperature;
    to->top_k = o->top_k;
    to->top_p = o->top_p;
    to->min_p = o->min_p;
    to->repeat_penalty = o->repeat_penalty;
    to->presence_penalty = o->presence_penalty;
    to->frequency_penalty = o->frequency_penalty;
    to->repeat_last_n = o->repeat_last_n;
    to->seed = o->seed;
    to->max_tokens = o->max_tokens;
    to->n_stops = o->n_stops;
    for (uint32_t i = 0; i < o->n_stops; i++)
        to->stops[i] = o->stops[i];
    return OK;
}

typedef struct receiver {
    hearth_on_text *on_text;
    void *user;
} receiver;

static bool receive(void *user, const generate_event *event)
{
    const receiver *r = user;
    return event->kind == GENERATE_TEXT && r->on_text && r->on_text(r->user, event->text, event->text_bytes);
}

hearth_result hearth_generate(hearth_session *s, const int32_t *prompt, uint32_t n, const hearth_sampling *o,
                              hearth_on_text *on_text, void *user, hearth_answer *out, char *why)
{
    static const hearth_finish finishes[] = { [FINISH_STOP] = HEARTH_STOP,
                                              [FINISH_LENGTH] = HEARTH_LENGTH,
                                              [FINISH_CONTEXT] = HEARTH_CONTEXT,
                                              [FINISH_CANCELLED] = HEARTH_CANCEL };
    error err;
    sampling_options options;
    generate_result r;
    receiver to = { on_text, user };
    status st = sampling(&options, o, &err);
    if (!st && o && o->grammar)
        st = grammar_gbnf(&options.grammar, o->grammar, strlen(o->grammar), &err);
    if (!st)
        st = engine_generate(s->s, prompt, n, &options, receive, &to, &r, &err);
    if (!st && out)
        *out = (hearth_answer){ .finish = finishes[r.finish],
                                .n_prompt = r.n_prompt,
                                .n_reused = r.n_reused,
                                .n_tokens = r.n_tokens,
                                .prefill_s = r.prefill_s,
                                .decode_s = r.decode_s,
                                .first_token_s = r.first_token_s,
                                .sum_logprob = r.sum_logprob };
    grammar_close(&options.grammar);
    return result_of(st, &err, why);
}

hearth_result hearth_generate_text(hearth_session *s, const char *prompt, const hearth_sampling *o,
                                   hearth_on_text *on_text, void *user, hearth_answer *out, char *why)
{
    error err;
    token_list list = TOKEN_LIST_INIT(TOKENS_MAX);
    const vocab *v = engine_vocab(s->m->e);
    status st = vocab_encode(v, prompt, strlen(prompt), VOCAB_BOS, &list, &err);
    if (!st && list.n == 0)
        st = fail(&err, E_RANGE, "the prompt is empty, and this model has no begin-of-text token");
    if (st) {
        token_list_clear(&list);
        return result_of(st, &err, why);
    }
    hearth_result r = hearth_generate(s, list.ids, (uint32_t)list.n, o, on_text, user, out, why);
    token_list_clear(&list);
    return r;
}
