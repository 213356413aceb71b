/* embed.c: passes over texts, pooling.
 *
 * Encoders: whole texts share a pass as far as rows and KV pages reach; their pages live for that pass only. Other
 * models go through a session, chunk by chunk. Pooling is one chain over ascending positions, whatever the pass. */
#include "engine/embed.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/engine_int.h"
#include "kernels/maths.h"

static const char *const pooling_names[ENGINE_POOLINGS] = { "file", "mean", "cls", "last" };

const char *engine_pooling_name(engine_pooling p)
{
    return pooling_names[p];
}

bool engine_pooling_named(const char *name, engine_pooling *out)
{
    for (int i = 0; i < ENGINE_POOLINGS; i++)
        if (strcmp(name, pooling_names[i]) == 0) {
            *out = (engine_pooling)i;
            return true;
        }
    return false;
}

void embed_options_init(embed_options *o)
{
    *o = (embed_options){ .size = sizeof *o };
}

/* ---- tokens ---- */

status engine_embed_tokens(const engine *e, const char *text, size_t n, bool cut, struct token_list *out, bool *was_cut,
                           error *err)
{
    size_t before = out->n, context = e->info.context;
    if (!e->vocab)
        return fail(err, E_UNSUPPORTED, "this model has no tokenizer: it can be given tokens only");
    status s = vocab_encode(e->vocab, text, n, VOCAB_BOS, out, err);
    if (s)
        return s;
    size_t found = out->n - before;
    if (found > context && !cut) {
        out->n = before;
        return fail(err, E_RANGE, "the text has %zu tokens, and the model takes %zu", found, context);
    }
    if (found > context) {
        if (vocab_adds_end(e->vocab))
            out->ids[before + context - 1] = out->ids[out->n - 1];
        out->n = before + context;
    }
    if (was_cut)
        *was_cut = found > context;
    return OK;
}

/* ---- pooling ---- */

typedef struct pooling {
    engine *e;
    engine_pooling kind; /* not ENGINE_POOL_FILE */
    uint32_t n_embd;
    float *row; /* [n_embd] */
} pooling;

static engine_pooling pooling_of(const engine *e, const embed_options *o)
{
    static const engine_pooling of_file[MODEL_POOLINGS] = {
        [MODEL_POOL_MEAN] = ENGINE_POOL_MEAN,
        [MODEL_POOL_CLS] = ENGINE_POOL_FIRST,
        [MODEL_POOL_RANK] = ENGINE_POOL_FIRST,
        [MODEL_POOL_LAST] = ENGINE_POOL_LAST,
    };
    const model_spec *s = model_get_spec(e->model);
    engine_pooling p = o->pooling ? o->pooling : of_file[s->pooling];
    return p ? p : s->is_encoder ? ENGINE_POOL_MEAN : ENGINE_POOL_LAST;
}

/* Rows [from, from + n) of the last pass are positions [at, at + n) of a text of `total`. */
static void pool_rows(const pooling *p, uint32_t from, uint32_t n, uint32_t at, uint32_t total, float *out)
{
    const kernels *k = &p->e->k;
    if (p->kind == ENGINE_POOL_MEAN) {
        if (at == 0)
            memset(out, 0, p->n_embd * sizeof *out);
        for (uint32_t i = 0; i < n; i++) {
            model_hidden(p->e->run, from + i, p->row);
            k->add(out, p->row, p->n_embd, out);
        }
        if (at + n == total)
            k->scale(out, 1.0f / (float)total, p->n_embd, out);
        return;
    }
    uint32_t wanted = p->kind == ENGINE_POOL_FIRST ? 0 : total - 1;
    if (wanted >= at && wanted < at + n)
        model_hidden(p->e->run, from + (wanted - at), out);
}

/* The first n values, of length 1: the root of their mean square becomes 1 / sqrt(n). Zeros stay zeros. */
static void make_unit(const engine *e, float *x, uint32_t n)
{
    e->k.rms_norm(x, NULL, n, 0x1p-80f, x);
    e->k.scale(x, 1.0f / sqrtf((float)n), n, x);
}

/* ---- passes ---- */

static status check_inputs(const engine *e, const embed_input *in, uint32_t n, error *err)
{
    for (uint32_t i = 0; i < n; i++) {
        if (in[i].n == 0)
            return fail(err, E_RANGE, "input %u is empty, and this model adds no token of its own", i);
        if (in[i].n > e->info.context)
            return fail(err, E_RANGE, "input %u has %u tokens, and the model takes %u", i, in[i].n, e->info.context);
        for (uint32_t t = 0; t < in[i].n; t++)
            if (in[i].tokens[t] < 0 || (uint32_t)in[i].tokens[t] >= e->info.n_vocab)
                return fail(err, E_RANGE, "input %u: token %d is not in the vocabulary of %u", i, in[i].tokens[t],
                            e->info.n_vocab);
    }
    return OK;
}

static uint32_t pages_for(uint32_t n)
{
    return (n + KERNELS_PAGE - 1) / KERNELS_PAGE;
}

/* One pass of an encoder: the texts that fit, from the first on. Each has pages of its own for the time being. */
typedef struct encoder_pass {
    model_pages *texts; /* [pages of the pool] */
    char **pages;       /* [pages of the pool] */
    uint32_t n_texts, n_pages, n_rows;
} encoder_pass;

static status pass_open(encoder_pass *p, const engine *e, error *err)
{
    *p = (encoder_pass){ 0 };
    uint32_t n = e->kv[MODEL_GLOBAL].n_pages;
    p->texts = mem_array(n, sizeof *p->texts);
    p->pages = mem_array(n, sizeof *p->pages);
    return p->texts && p->pages ? OK : fail(err, E_NOMEM, "no memory for a pass over texts");
}

static void pass_close(encoder_pass *p)
{
    mem_free(p->texts);
    mem_free(p->pages);
}

/* Takes the next text in, or says that the pass is full. An empty pass has room for every text: the plan saw to it.
 * From token n_first on they are of the second kind. */
static bool pass_add(encoder_pass *p, engine *e, const embed_input *in, uint32_t n_first)
{
    const uint32_t pages = pages_for(in->n);
    const bool two = model_get_spec(e->model)->n_types > 1;
    if (p->n_rows + in->n > e->batch || pages > e->kv[MODEL_GLOBAL].n_free)
        return false;
    model_pages *of = &p->texts[p->n_texts++];
    of->of[MODEL_GLOBAL] = p->pages + p->n_pages;
    of->of[MODEL_WINDOW] = NULL;
    for (uint32_t i = 0; i < pages; i++)
        p->pages[p->n_pages++] = kv_take(&e->kv[MODEL_GLOBAL]);
    for (uint32_t i = 0; i < in->n; i++)
        e->rows[p->n_rows++] = (model_row){ in->tokens[i], i, of, i >= n_first && two };
    return true;
}

static void pass_run(encoder_pass *p, engine *e)
{
    model_forward(e->run, e->rows, p->n_rows);
    while (p->n_pages)
        kv_give(&e->kv[MODEL_GLOBAL], p->pages[--p->n_pages]);
    p->n_texts = p->n_rows = 0;
}

static bool cancelled(const embed_options *o)
{
    return o->cancel && o->cancel(o->user);
}

static status encode_all(const pooling *p, const embed_input *in, uint32_t n, const embed_options *o, float *out,
                         error *err)
{
    encoder_pass pass;
    status s = pass_open(&pass, p->e, err);
    for (uint32_t done = 0, end; !s && done < n; done = end) {
        if (cancelled(o)) {
            s = fail(err, E_CANCELLED, "embedding was cancelled after %u of %u texts", done, n);
            break;
        }
        for (end = done; end < n && pass_add(&pass, p->e, &in[end], in[end].n);)
            end++;
        pass_run(&pass, p->e);
        for (uint32_t i = done, row = 0; i < end; row += in[i++].n)
            pool_rows(p, row, in[i].n, 0, in[i].n, out + (size_t)i * p->n_embd);
    }
    pass_close(&pass);
    return s;
}

/* Models that write: one text after the other. */
static status feed_all(const pooling *p, const embed_input *in, uint32_t n, const embed_options *o, float *out,
                       error *err)
{
    session *s = NULL;
    status st = session_open(&s, p->e, err);
    for (uint32_t i = 0; !st && i < n; i++) {
        session_truncate(s, 0);
        for (uint32_t done = 0, chunk; !st && done < in[i].n; done += chunk) {
            uint32_t left = in[i].n - done;
            chunk = left < p->e->batch ? left : p->e->batch;
            if (cancelled(o))
                st = fail(err, E_CANCELLED, "embedding was cancelled after %u of %u texts", i, n);
            if (!st)
                st = session_feed(s, in[i].tokens + done, chunk, NULL, NULL, NULL, err);
            if (!st)
                pool_rows(p, 0, chunk, done, in[i].n, out + (size_t)i * p->n_embd);
        }
    }
    session_close(&s);
    return st;
}

/* Lengths and dimensions; the vectors move together when they become shorter. */
static status finish_all(const pooling *p, uint32_t n, const embed_options *o, float *out, error *err)
{
    uint32_t d = engine_embed_length(p->e, o);
    for (uint32_t i = 0; i < n; i++) {
        float *x = out + (size_t)i * d;
        memmove(x, out + (size_t)i * p->n_embd, d * sizeof *x);
        if (!o->raw)
            make_unit(p->e, x, d);
        for (uint32_t j = 0; j < d; j++)
            if (!isfinite(x[j]))
                return fail(err, E_FORMAT, "the vector of input %u is not finite: the model file is damaged", i);
    }
    return OK;
}

uint32_t engine_embed_length(const engine *e, const embed_options *o)
{
    return o && o->dimensions ? o->dimensions : e->info.n_embd;
}

static status check_options(const engine *e, const embed_options *o, error *err)
{
    if (o->size != sizeof *o)
        return fail(err, E_RANGE, "embed_options.size is %zu, not %zu: embed_options_init was not called", o->size,
                    sizeof *o);
    if ((unsigned)o->pooling >= ENGINE_POOLINGS)
        return fail(err, E_RANGE, "pooling %d is not known", (int)o->pooling);
    if (o->dimensions > e->info.n_embd)
        return fail(err, E_RANGE, "%u dimensions: the model's vectors have %u", o->dimensions, e->info.n_embd);
    return OK;
}

/* Whole vectors are pooled before they become shorter: with fewer dimensions they need room of their own. */
static status embed_into(engine *e, const embed_input *inputs, uint32_t n, const embed_options *o, float *whole,
                         error *err)
{
    pooling p = { .e = e, .kind = pooling_of(e, o), .n_embd = e->info.n_embd };
    p.row = mem_array(p.n_embd, sizeof *p.row);
    if (!p.row)
        return fail(err, E_NOMEM, "no memory for a vector");
    status s = e->info.is_encoder ? encode_all(&p, inputs, n, o, whole, err) : feed_all(&p, inputs, n, o, whole, err);
    if (!s)
        s = finish_all(&p, n, o, whole, err);
    mem_free(p.row);
    return s;
}

status engine_embed(engine *e, const embed_input *inputs, uint32_t n, const embed_options *options, float *out,
                    error *err)
{
    embed_options o;
    embed_options_init(&o);
    o = options ? *options : o;
    status s = check_options(e, &o, err);
    if (!s)
        s = check_inputs(e, inputs, n, err);
    if (s || n == 0)
        return s;
    uint32_t d = engine_embed_length(e, &o);
    if (d == e->info.n_embd)
        return embed_into(e, inputs, n, &o, out, err);
    float *whole = mem_array(n, e->info.n_embd * sizeof *whole);
    if (!whole)
        return fail(err, E_NOMEM, "no memory for %u vectors", n);
    s = embed_into(e, inputs, n, &o, whole, err);
    if (!s)
        memcpy(out, whole, (size_t)n * d * sizeof *out);
    mem_free(whole);
    return s;
}

/* ---- classes ---- */

uint32_t engine_n_classes(const engine *e)
{
    return e->info.is_encoder ? model_get_spec(e->model)->n_logits : 0;
}

const char *engine_class_name(const engine *e, uint32_t i)
{
    return e->classes && i < engine_n_classes(e) ? e->classes[i] : "";
}

status engine_classify(engine *e, const int32_t *tokens, uint32_t n, float *out, error *err)
{
    uint32_t classes = engine_n_classes(e);
    const embed_input in = { tokens, n };
    encoder_pass pass;
    if (!classes)
        return fail(err, E_UNSUPPORTED, "this model has no classifier");
    status s = check_inputs(e, &in, 1, err);
    if (!s)
        s = pass_open(&pass, e, err);
    if (s)
        return s;
    (void)pass_add(&pass, e, &in, n);
    pass_run(&pass, e);
    for (uint32_t from = 0, count; from < n; from += count) {
        count = n - from < e->logit_rows ? n - from : e->logit_rows;
        for (uint32_t i = 0; i < count; i++)
            e->which[i] = from + i;
        model_logits(e->run, e->which, count);
        for (uint32_t i = 0; i < count; i++)
            memcpy(out + (size_t)(from + i) * classes, model_logits_at(e->run, i), classes * sizeof *out);
    }
    pass_close(&pass);
    return OK;
}

/* The logits of the first positions of a pass of pairs. */
static void rank_rows(engine *e, const rank_input *pairs, uint32_t n, float *out)
{
    for (uint32_t from = 0, row = 0, count; from < n; from += count) {
        count = n - from < e->logit_rows ? n - from : e->logit_rows;
        for (uint32_t i = 0; i < count; row += pairs[from + i++].n)
            e->which[i] = row;
        model_logits(e->run, e->which, count);
        for (uint32_t i = 0; i < count; i++)
            out[from + i] = *model_logits_at(e->run, i);
    }
}

status engine_rank(engine *e, const rank_input *pairs, uint32_t n, float *out, error *err)
{
    encoder_pass pass;
    if (!engine_ranks(e))
        return fail(err, E_UNSUPPORTED, "this model has no head that judges pairs of texts");
    for (uint32_t i = 0; i < n; i++) {
        status s = check_inputs(e, &(embed_input){ pairs[i].tokens, pairs[i].n }, 1, err);
        if (s)
            return s;
    }
    status s = pass_open(&pass, e, err);
    for (uint32_t done = 0, end; !s && done < n; done = end) {
        for (end = done; end < n && pass_add(&pass, e, &(embed_input){ pairs[end].tokens, pairs[end].n },
                                             pairs[end].n_query);)
            end++;
        pass_run(&pass, e);
        rank_rows(e, pairs + done, end - done, out + done);
    }
    pass_close(&pass);
    for (uint32_t i = 0; !s && i < n; i++)
        if (!isfinite(out[i]))
            s = fail(err, E_FORMAT, "the score of pair %u is not finite: the model file is damaged", i);
    return s;
}

double engine_class_probability(const float *logits, uint32_t n, uint32_t i)
{
    double sum = 0;
    for (uint32_t k = 0; k < n; k++)
        sum += kernels_exp((double)logits[k] - (double)logits[i]);
    return 1.0 / sum;
}

double engine_cosine(const float *a, const float *b, uint32_t n)
{
    double dot = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < n; i++) {
        dot += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return aa > 0 && bb > 0 ? dot / sqrt(aa * bb) : 0;
}
