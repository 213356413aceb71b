#include "token/vocab.h"

#include "base/utf8.h"
#include "token/vocab_int.h"

status vocab_open(vocab **out, const struct gguf *file, error *err)
{
    vocab *v = mem_zero(sizeof *v);
    if (!v)
        return fail(err, E_NOMEM, "no memory for the vocabulary");
    v->bytes = sizeof *v;
    status st = vocab_load(v, file, err);
    if (st) {
        vocab_close(&v);
        return st;
    }
    *out = v;
    return OK;
}

void vocab_close(vocab **pv)
{
    vocab *v = pv ? *pv : NULL;
    if (!v)
        return;
    void *blocks[] = { v->text.bytes, v->text.at, v->piece.bytes, v->piece.at, v->score, v->score_order, v->type,
                       v->strip, v->by_text.slots, v->words.slots, v->merges.slots, (void *)v->self, v->adjacent,
                       v->charsmap, v->eog };
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        mem_free(blocks[i]);
    pretok_close(&v->splitter);
    trie_free(&v->special);
    trie_free(&v->pieces);
    trie_free(&v->user);
    mem_free(v);
    *pv = NULL;
}

/* ---- token lists ------------------------------------------------------------------------------------------------- */

status token_list_add(token_list *t, int32_t id, error *err)
{
    if (t->n == t->size) {
        if (t->n >= t->max)
            return fail(err, E_RANGE, "over %zu tokens", t->max);
        size_t size = t->size < 64 ? 64 : 2 * t->size;
        size = size < t->max ? size : t->max;
        int32_t *ids = size <= SIZE_MAX / sizeof *ids ? mem_resize(t->ids, size * sizeof *ids) : NULL;
        if (!ids)
            return fail(err, E_NOMEM, "no memory for %zu tokens", size);
        t->ids = ids;
        t->size = size;
    }
    t->ids[t->n++] = id;
    return OK;
}

void token_list_clear(token_list *t)
{
    mem_free(t->ids);
    *t = (token_list)TOKEN_LIST_INIT(t->max);
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

void vocab_decoder_init(vocab_decoder *d, const vocab *v, bool at_start, bool special)
{
    bool adds = v->add_space || v->kind == VOCAB_WORDPIECE || (v->kind == VOCAB_UNIGRAM && v->merge_spaces);
    *d = (vocab_decoder){ .v = v, .special = special, .drop_space = at_start && adds };
}

/* What comes next is a place where the encoder would put its space. */
static void after_special(vocab_decoder *d)
{
    if (d->v->kind == VOCAB_SPM && d->v->add_space)
        d->drop_space = true;
}

static void write_bytes(vocab_decoder *d, const char *p, size_t n, buf *out)
{
    while (n) {
        if (!d->n_held) { /* the common case: whole characters straight to the output */
            size_t whole = 0, len;
            uint32_t code;
            while (whole < n && (len = utf8_decode(p + whole, n - whole, &code)) > 0)
                whole += len;
            buf_add(out, p, whole);
            p += whole;
            n -= whole;
            if (!n)
                return;
        }
        d->held[d->n_held++] = (unsigned char)*p++;
        n--;
        while (d->n_held) { /* release what is decided: a character, or a byte that can be part of none */
            uint32_t code;
            size_t len = utf8_decode((const char *)d->held, d->n_held, &code);
            if (!len && utf8_complete((const char *)d->held, d->n_held) == 0)
                break;
            if (len)
                buf_add(out, d->held, len);
            else
                buf_str(out, "\xef\xbf\xbd");
            len = len ? len : 1;
            d->n_held -= (unsigned)len;
            memmove(d->held, d->held + len, d->n_held);
        }
    }
}

void vocab_decode(vocab_decoder *d, int32_t id, buf *out)
{
    span s = vocab_piece(d->v, id);
    if (vocab_is_control(d->v, id)) {
        if (d->special)
            write_bytes(d, s.p, s.n, out);
        after_special(d);
        return;
    }
    if (d->drop_space && s.n) {
        d->drop_space = false;
        if (s.p[0] == ' ') {
            s.p++;
            s.n--;
        }
    }
    write_bytes(d, s.p, s.n, out);
    if (vocab_type_of(d->v, id) == VOCAB_USER_DEFINED)
        after_special(d);
}

void vocab_decode_end(vocab_decoder *d, buf *out)
{
    if (d->n_held)
        buf_str(out, "\xef\xbf\xbd");
    d->n_held = 0;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

static bool exists(const vocab *v, int32_t id)
{
    return id >= 0 && id < v->n_tokens;
}

span vocab_piece(const vocab *v, int32_t id)
{
    return exists(v, id) ? pool_get(&v->piece, id) : (span){ "", 0 };
}

span vocab_text(const vocab *v, int32_t id)
{
    return exists(v, id) ? pool_get(&v->text, id) : (span){ "", 0 };
}

int32_t vocab_find(const vocab *v, const char *text, size_t n)
{
    return map_find(&v->by_text, &v->text, text, n);
}

const char *vocab_kind_name(const vocab *v)
{
    static const char *const names[] = { "byte-level BPE", "SentencePiece BPE", "SentencePiece Unigram", "WordPiece" };
    return v->kind == VOCAB_BPE && vocab_raw(v) ? "BPE with byte fallback" : names[v->kind];
}

/* The first name of a row is what it is called. */
span vocab_pretok_name(const vocab *v)
{
    if (!v->row)
        return (span){ "", 0 };
    return (span){ v->row->names, strcspn(v->row->names, " ") };
}

vocab_kind vocab_kind_of(const vocab *v) { return v->kind; }
int32_t vocab_n_tokens(const vocab *v) { return v->n_tokens; }
size_t vocab_bytes(const vocab *v) { return v->bytes; }
size_t vocab_max_piece(const vocab *v) { return v->max_piece; }
vocab_type vocab_type_of(const vocab *v, int32_t id)
{
    return exists(v, id) ? (vocab_type)v->type[id] : VOCAB_UNDEFINED;
}
float vocab_score(const vocab *v, int32_t id) { return exists(v, id) ? v->score[id] : 0; }
int32_t vocab_bos(const vocab *v) { return v->bos; }
int32_t vocab_eos(const vocab *v) { return v->eos; }
int32_t vocab_eot(const vocab *v) { return v->eot; }
int32_t vocab_unk(const vocab *v) { return v->unk; }
int32_t vocab_pad(const vocab *v) { return v->pad; }
bool vocab_is_eog(const vocab *v, int32_t id) { return exists(v, id) && v->eog[id]; }
bool vocab_is_control(const vocab *v, int32_t id)
{
    return exists(v, id) && (v->type[id] == VOCAB_CONTROL || v->type[id] == VOCAB_UNKNOWN);
}
bool vocab_adds_bos(const vocab *v) { return v->add_bos && v->bos >= 0; }
bool vocab_adds_eos(const vocab *v) { return v->add_eos && v->eos >= 0; }
bool vocab_adds_end(const vocab *v)
{
    return v->kind == VOCAB_WORDPIECE ? v->add_sep && v->sep >= 0 : vocab_adds_eos(v);
}
bool vocab_adds_space(const vocab *v) { return v->add_space; }
