/* catalogue_header.c: an entry of the catalogue as the header of a GGUF file.
 *
 * The keys of the entry's shape make a first, small header; model_list says from it which tensors the loader would look
 * for; those make the header proper, each in the type that the mix gives it. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "fit/catalogue.h"
#include "gguf/gguf.h"
#include "gguf/write.h"
#include "model/model.h"
#include "quant/mix.h"
#include "quant/quant.h"
#include "token/vocab.h"

/* ---- the vocabulary: the one estimate ---- */

/* Real vocabularies, measured: mean bytes of a token's text, merges a token, mean bytes of a merge's text, and whether
 * each token has a score. Of an encoder or not, with from..to tokens; the first row that applies counts.
 *   encoders: BGE (WordPiece, 30,522 tokens), XLM-RoBERTa (Unigram, 250,048)
 *   others: Llama 2 (SentencePiece, 32,000), SmolLM2 (BPE, 49,152), Baichuan 2 (SentencePiece, 64,000), Llama 3 (BPE,
 *   128,256), Gemma 3 (SentencePiece, 262,144), Qwen2 (BPE, 151,936)
 * What is of none of these sizes is taken for byte-level BPE like Qwen2's, where all but 256 bytes and the control
 * tokens are the result of one merge; conversions of Llama 3's list merges twice over. */
static const struct vocabulary {
    bool encoder;
    uint32_t from, to;
    vocab_kind kind;
    double token_bytes, merges, merge_bytes;
    bool scores;
} vocabularies[] = {
    { true, 0, 99999, VOCAB_WORDPIECE, 8.53, 0, 0, false },
    { true, 0, UINT32_MAX, VOCAB_UNIGRAM, 10.33, 0, 0, true },
    { false, 0, 33000, VOCAB_SPM, 6.59, 0, 0, true },
    { false, 33001, 59999, VOCAB_BPE, 7.51, 1.0, 8.54, false },
    { false, 60000, 64000, VOCAB_SPM, 4.94, 0, 0, true },
    { false, 128000, 131072, VOCAB_BPE, 8.37, 2.18, 10.58, false },
    { false, 255000, 263000, VOCAB_SPM, 8.83, 0, 0, true },
    { false, 0, UINT32_MAX, VOCAB_BPE, 9.04, 1.0, 10.04, false },
};

static status find_vocabulary(const gguf *keys, const struct vocabulary **out, error *err)
{
    model_spec *spec = mem_zero(sizeof *spec);
    if (!spec)
        return fail(err, E_NOMEM, "no memory");
    status s = model_spec_read(spec, keys, err);
    const struct vocabulary *v = vocabularies;
    while (v->encoder != spec->is_encoder || spec->n_vocab < v->from || spec->n_vocab > v->to)
        v++;
    *out = v;
    mem_free(spec);
    return s;
}

static status write_vocabulary(gguf_writer *w, const gguf *keys, uint64_t n, error *err)
{
    const struct vocabulary *v = NULL;
    status s = find_vocabulary(keys, &v, err);
    if (s)
        return s;
    uint64_t n_merges = (uint64_t)((double)n * v->merges);
    gguf_writer_str(w, "tokenizer.ggml.model", vocab_kind_key(v->kind));
    gguf_writer_blank(w, "tokenizer.ggml.tokens", GGUF_STR, n, (uint64_t)((double)n * v->token_bytes));
    gguf_writer_blank(w, "tokenizer.ggml.token_type", GGUF_I32, n, 0);
    if (v->scores)
        gguf_writer_blank(w, "tokenizer.ggml.scores", GGUF_F32, n, 0);
    if (n_merges)
        gguf_writer_blank(w, "tokenizer.ggml.merges", GGUF_STR, n_merges,
                          (uint64_t)((double)n_merges * v->merge_bytes));
    return OK;
}

/* ---- keys and tensors ---- */

static void write_count(gguf_writer *w, const catalogue_model *m, const char *name, uint32_t value)
{
    char key[160];
    snprintf(key, sizeof key, "%s.%s", m->arch, name);
    gguf_writer_u32(w, key, value);
}

static void write_keys(gguf_writer *w, const catalogue_model *m)
{
    static const char *const eps[] = { "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon" };
    const catalogue_shape *s = &m->shape;
    char key[160];
    gguf_writer_str(w, "general.architecture", m->arch);
    gguf_writer_str(w, "general.name", m->title);
    gguf_writer_str(w, "general.license", m->licence);
    write_count(w, m, "block_count", s->layers);
    write_count(w, m, "context_length", m->context);
    write_count(w, m, "embedding_length", s->embd);
    write_count(w, m, "feed_forward_length", s->ff);
    write_count(w, m, "attention.head_count", s->heads);
    write_count(w, m, "attention.head_count_kv", s->kv_heads);
    write_count(w, m, "attention.key_length", s->head_dim);
    write_count(w, m, "attention.value_length", s->head_dim);
    if (s->window)
        write_count(w, m, "attention.sliding_window", s->window);
    if (s->window_period)
        write_count(w, m, "attention.sliding_window_pattern", s->window_period);
    for (size_t i = 0; i < ARRAY_LEN(eps); i++) { /* one of them is read; no size depends on it */
        snprintf(key, sizeof key, "%s.%s", m->arch, eps[i]);
        gguf_writer_f32(w, key, 1e-6f);
    }
}

typedef struct heading {
    gguf_writer *w;
    const catalogue_model *m;
    const quant_mix *mix;
    quant_mix_model rules;
} heading;

/* Of what a file may leave out. */
static bool is_there(const catalogue_model *m, const char *name)
{
    if (strcmp(name, "output.weight") == 0)
        return !m->shape.tied;
    if (str_starts(name, "cls."))
        return m->kind == CATALOGUE_RERANK;
    return strcmp(name, "token_types.weight") == 0;
}

static status write_tensor(void *user, const model_tensor *t, error *err)
{
    (void)err; /* the writer keeps its failure to itself until the end */
    const heading *h = user;
    if (!t->needed && !is_there(h->m, t->name))
        return OK;
    quant_role role = quant_role_of(span_of(t->name), t->n_dims > 1 ? t->ne[1] : 1);
    uint32_t type = quant_mix_type(h->mix, &h->rules, role, t->layer < 0 ? 0 : (uint32_t)t->layer, t->ne[0]);
    gguf_writer_tensor(h->w, t->name, type, t->n_dims, t->ne);
    return OK;
}

/* What model_list needs to know. */
static status first_header(gguf **out, const catalogue_model *m, const char *name, error *err)
{
    gguf_writer *w = NULL;
    status s = gguf_writer_open_header(&w, name, err);
    if (s)
        return s;
    write_keys(w, m);
    gguf_writer_tensor(w, "token_embd.weight", QUANT_F32, 2, (const uint64_t[]){ m->shape.embd, m->shape.vocab });
    if (m->kind == CATALOGUE_RERANK)
        gguf_writer_tensor(w, "cls.output.weight", QUANT_F32, 2, (const uint64_t[]){ m->shape.embd, 1 });
    return gguf_writer_header(&w, out, err);
}

static status write_header(const heading *h, const gguf *keys, error *err)
{
    write_keys(h->w, h->m);
    gguf_writer_u32(h->w, "general.file_type", h->mix->file_type);
    status s = write_vocabulary(h->w, keys, h->m->shape.vocab, err);
    return s ? s : model_list(keys, write_tensor, (void *)h, err);
}

static status find_mix(const char *type, const quant_mix **out, error *err)
{
    buf list = BUF_INIT(512);
    *out = quant_mix_find(type);
    if (*out)
        return OK;
    for (size_t i = 0; quant_mix_at(i); i++)
        buf_printf(&list, "%s%s", i ? ", " : "", quant_mix_at(i)->name);
    status s = fail(err, E_UNSUPPORTED, "'%.20s' is no type that hearth knows: %s", type, buf_text(&list));
    buf_clear(&list);
    return s;
}

status catalogue_header(gguf **out, const catalogue_model *m, const char *type, error *err)
{
    const catalogue_shape *shape = &m->shape;
    heading h = { .m = m, .rules = { .n_layers = shape->layers, .tied = shape->tied } };
    gguf *keys = NULL;
    char name[96];
    status s = find_mix(type, &h.mix, err);
    if (s)
        return s;
    h.rules.n_gqa = shape->heads / shape->kv_heads;
    snprintf(name, sizeof name, "%s:%s", m->name, h.mix->name);
    s = first_header(&keys, m, name, err);
    if (!s)
        s = gguf_writer_open_header(&h.w, name, err);
    if (!s)
        s = write_header(&h, keys, err);
    if (!s)
        s = gguf_writer_header(&h.w, out, err);
    gguf_writer_close(&h.w);
    gguf_close(&keys);
    return s;
}

status fit_catalogue(const catalogue_model *m, const char *type, const engine_options *o, const fit_machine *machine,
                     fit_model *out, error *err)
{
    gguf *g = NULL;
    status s = catalogue_header(&g, m, type, err);
    if (!s)
        s = fit_model_gguf(g, gguf_file_name(g), o, machine, out, err);
    gguf_close(&g);
    return s;
}
