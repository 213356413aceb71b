#include "pack/texts_int.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

enum {
    PIECES_LEAST = 10,       /* shorter ones rather than fewer */
    WINDOWS = 128,           /* of a text that is too large to be read whole */
    WINDOW_BYTES = 64 << 10,
};

void texts_clear(texts *t)
{
    mem_free(t->ids);
    mem_free(t->starts);
    *t = (texts){ NULL, 0, NULL, 0 };
}

bool texts_is_held_out(size_t i)
{
    return i % TEXTS_FIFTH == TEXTS_HELD_OUT;
}

status texts_check(uint32_t piece, uint64_t max_tokens, error *err)
{
    if (piece < TEXTS_PIECE_LEAST)
        return fail(err, E_RANGE, "pieces of %" PRIu32 " tokens: %d at least", piece, TEXTS_PIECE_LEAST);
    if (max_tokens < TEXTS_LEAST_TOKENS || max_tokens > TEXTS_MOST_TOKENS)
        return fail(err, E_RANGE, "%" PRIu64 " tokens of calibration text: it must be %d to %d", max_tokens,
                    TEXTS_LEAST_TOKENS, TEXTS_MOST_TOKENS);
    return OK;
}

status texts_frame(text_frame *out, const vocab *v, error *err)
{
    token_list list = TOKEN_LIST_INIT(8);
    status s = vocab_encode(v, "", 0, VOCAB_BOS, &list, err);
    if (!s) {
        out->front = vocab_adds_bos(v) ? vocab_bos(v) : -1;
        out->back = vocab_adds_end(v) && list.n ? list.ids[list.n - 1] : -1;
    }
    token_list_clear(&list);
    return s;
}

/* ---- packing ---- */

status texts_room(texts *out, uint64_t max_tokens, error *err)
{
    *out = (texts){ .ids = mem_array((size_t)max_tokens, sizeof *out->ids),
                    .starts = mem_array((size_t)max_tokens + 1, sizeof *out->starts) };
    if (out->ids && out->starts)
        return OK;
    texts_clear(out);
    return fail(err, E_NOMEM, "no memory for %" PRIu64 " tokens of calibration text", max_tokens);
}

void texts_put(texts *t, const text_frame *f, const int32_t *ids, size_t n)
{
    int32_t *at = t->ids + t->n_ids;
    if (f->front >= 0)
        *at++ = f->front;
    memcpy(at, ids, n * sizeof *ids);
    at += n;
    if (f->back >= 0)
        *at++ = f->back;
    t->starts[t->n] = t->n_ids;
    t->n_ids = (size_t)(at - t->ids);
    t->starts[++t->n] = t->n_ids;
}

bool packer_add(packer *p, const int32_t *ids, size_t n)
{
    texts *t = p->out;
    uint64_t left = p->max_tokens - t->n_ids;
    bool joins = t->n && t->n_ids - t->starts[t->n - 1] + n <= p->piece;
    n = n < left ? n : (size_t)left;
    if (n == 0)
        return left == 0;
    memcpy(t->ids + t->n_ids, ids, n * sizeof *ids);
    t->n_ids += n;
    t->n += !joins;
    if (!joins)
        t->starts[t->n - 1] = t->n_ids - n;
    t->starts[t->n] = t->n_ids;
    return t->n_ids == p->max_tokens;
}

static int n_different(const int32_t *ids, size_t n)
{
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (ids[j] != ids[i])
            j++;
        sum += j == i;
    }
    return sum;
}

size_t loop_watch_add(loop_watch *w, const int32_t *ids, size_t n)
{
    for (size_t p = 1; p <= LOOP_PERIODS && p < n; p++) {
        w->run[p] = ids[n - 1] == ids[n - 1 - p] ? w->run[p] + 1 : 0;
        if (w->run[p] >= LOOP_LEAST + 2 * p)
            return n - w->run[p] + p;
    }
    bool looks = n >= LOOP_WINDOW && n % LOOP_STRIDE == 0;
    return looks && n_different(ids + n - LOOP_WINDOW, LOOP_WINDOW) < LOOP_VARIETY ? n - LOOP_WINDOW / 2 : n;
}

/* ---- a text that is given ---- */

/* Windows at even distances, from line to line where there are lines. */
static status thin(buf *out, span text, error *err)
{
    for (size_t i = 0; i < WINDOWS; i++) {
        const char *p = text.p + text.n / WINDOWS * i, *end = p + WINDOW_BYTES;
        const char *line = i ? memchr(p, '\n', WINDOW_BYTES) : NULL, *last = memrchr(p, '\n', WINDOW_BYTES);
        p = line && line < last ? line + 1 : p;
        end = line && line < last ? last + 1 : end;
        buf_add(out, p, (size_t)(end - p));
    }
    return buf_ok(out, "calibration text", err);
}

static status divide(texts *out, const text_frame *f, const token_list *all, uint32_t piece, uint64_t max_tokens,
                     error *err)
{
    uint64_t framed = (uint64_t)(f->front >= 0) + (uint64_t)(f->back >= 0);
    uint64_t most = (all->n < max_tokens ? all->n : max_tokens) / PIECES_LEAST;
    uint64_t body = piece - framed < most ? piece - framed : most, n_all = (all->n + body - 1) / body;
    uint64_t n = max_tokens / (body + framed) < n_all ? max_tokens / (body + framed) : n_all;
    status s = texts_room(out, max_tokens, err);
    for (uint64_t j = 0; !s && j < n; j++) {
        uint64_t i = j * n_all / n, from = all->n * i / n_all, to = all->n * (i + 1) / n_all;
        texts_put(out, f, all->ids + from, (size_t)(to - from));
    }
    return s;
}

status texts_of(texts *out, const vocab *v, span text, uint32_t piece, uint64_t max_tokens, error *err)
{
    const size_t most = (size_t)WINDOWS * WINDOW_BYTES;
    buf windows = BUF_INIT(most);
    text_frame f;
    status s = texts_check(piece, max_tokens, err);
    if (!s)
        s = texts_frame(&f, v, err);
    if (!s && text.n > most) {
        s = thin(&windows, text, err);
        text = (span){ buf_text(&windows), windows.len };
    }
    token_list all = TOKEN_LIST_INIT(4 * text.n + 16);
    if (!s)
        s = vocab_encode(v, text.p, text.n, 0, &all, err);
    if (!s && all.n < TEXTS_LEAST_TOKENS)
        s = fail(err, E_RANGE, "a calibration text of %zu tokens is too short: %d at least, better 10,000 or more",
                 all.n, TEXTS_LEAST_TOKENS);
    if (!s)
        s = divide(out, &f, &all, piece, max_tokens, err);
    token_list_clear(&all);
    buf_clear(&windows);
    return s;
}
