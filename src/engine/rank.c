/* rank.c: pairs of texts for a cross-encoder: which models can, and what they see. See embed.h. */
#include "engine/embed.h"

#include <string.h>

#include "engine/engine_int.h"

bool engine_ranks(const engine *e)
{
    const model_spec *s = model_get_spec(e->model);
    return s->is_encoder && s->n_logits == 1 && (s->has_dense || s->pooling == MODEL_POOL_RANK);
}

/* The second text begins where the first ended: its own first mark goes, or (of models that keep two marks between
 * them) becomes another end. */
static void join(const vocab *v, token_list *t, size_t at)
{
    bool begins = t->n > at + 1 && vocab_adds_bos(v) && t->ids[at] == vocab_bos(v);
    if (!begins)
        return;
    if (vocab_kind_of(v) == VOCAB_WORDPIECE) {
        memmove(t->ids + at, t->ids + at + 1, (t->n - at - 1) * sizeof *t->ids);
        t->n--;
    } else {
        t->ids[at] = t->ids[at - 1];
    }
}

status engine_rank_tokens(const engine *e, span query, span document, bool cut, struct token_list *out,
                          uint32_t *n_query, error *err)
{
    const size_t before = out->n, context = e->info.context;
    if (!e->vocab)
        return fail(err, E_UNSUPPORTED, "this model has no tokenizer");
    status s = vocab_encode(e->vocab, query.p, query.n, VOCAB_BOS, out, err);
    const size_t middle = out->n, first = middle - before;
    if (!s && first == 0)
        s = fail(err, E_RANGE, "the query is empty, and this model adds no token of its own");
    if (!s)
        s = vocab_encode(e->vocab, document.p, document.n, VOCAB_BOS, out, err);
    if (s)
        return s;
    join(e->vocab, out, middle);
    const size_t found = out->n - before;
    *n_query = (uint32_t)first;
    if (found <= context)
        return OK;
    if (!cut)
        return fail(err, E_RANGE, "query and document have %zu tokens, and the model takes %zu", found, context);
    if (first + 2 > context)
        return fail(err, E_RANGE, "the query has %zu tokens, and the model takes %zu of query and document", first,
                    context);
    if (vocab_adds_end(e->vocab))
        out->ids[before + context - 1] = out->ids[out->n - 1];
    out->n = before + context;
    return OK;
}
