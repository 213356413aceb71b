#include "pack/moments.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "plat/machine.h"

static const struct name_row {
    const char *end;
    moments_kind kind;
} name_rows[] = {
    { ".attn_q.weight", MOMENTS_QKV },    { ".attn_k.weight", MOMENTS_QKV },      { ".attn_v.weight", MOMENTS_QKV },
    { ".attn_qkv.weight", MOMENTS_QKV },  { ".attn_output.weight", MOMENTS_O },   { ".ffn_gate.weight", MOMENTS_FFN },
    { ".ffn_up.weight", MOMENTS_FFN },    { ".ffn_down.weight", MOMENTS_DOWN },
};

moments_kind moments_kind_of(const gguf_tensor *t, bool tied)
{
    for (size_t i = 0; i < ARRAY_LEN(name_rows); i++) {
        size_t n = strlen(name_rows[i].end);
        if (t->name.n > n && memcmp(t->name.p + t->name.n - n, name_rows[i].end, n) == 0)
            return name_rows[i].kind;
    }
    return span_is(t->name, tied ? "token_embd.weight" : "output.weight") ? MOMENTS_HEAD : MOMENTS_KINDS;
}

static size_t n_blocks(const moments *m)
{
    return (m->n + m->block - 1) / m->block;
}

/* Whole blocks of 256 values, and blocks alike. Until they are finished they are triangles, whose other half has no
 * pages yet. */
status moments_open(moments *m, size_t n, int n_sets, error *err)
{
    size_t parts = (n + MOMENTS_BLOCK - 1) / MOMENTS_BLOCK, each = (n + parts - 1) / parts;
    *m = (moments){ .n = n, .block = parts > 1 ? (each + 255) / 256 * 256 : n };
    for (int set = 0; set < n_sets; set++) {
        m->gram[set] = mem_array(n_blocks(m) * m->block, m->block * sizeof(float));
        if (!m->gram[set]) {
            moments_close(m);
            return fail(err, E_NOMEM, "no memory for second moments of %zu values", n);
        }
        machine_small_pages(m->gram[set], n_blocks(m) * m->block * m->block * sizeof(float));
    }
    return OK;
}

void moments_close(moments *m)
{
    for (int set = 0; set < MOMENTS_SETS; set++) {
        mem_free(m->gram[set]);
        m->gram[set] = NULL;
    }
}

static float *block_at(const moments *m, int set, size_t i, size_t *at, size_t *width)
{
    if (i >= n_blocks(m) || !m->gram[set])
        return NULL;
    *at = i * m->block;
    *width = m->n - *at < m->block ? m->n - *at : m->block;
    return m->gram[set] + i * m->block * m->block;
}

const float *moments_block(const moments *m, int set, size_t i, size_t *at, size_t *width)
{
    return block_at(m, set, i, at, width);
}

status moments_add(moments *m, int set, const matrix_tools *t, const float *rows, size_t n_rows, error *err)
{
    size_t at, width;
    float *gram;
    status s = OK;
    for (size_t i = 0; !s && (gram = block_at(m, set, i, &at, &width)); i++)
        s = matrix_gram(t, rows + at, m->n, n_rows, width, gram, err);
    m->tokens[set] += (double)n_rows;
    return s;
}

void moments_finish(moments *m)
{
    size_t at, n;
    float *h;
    for (int set = 0; set < MOMENTS_SETS; set++)
        for (size_t b = 0; (h = block_at(m, set, b, &at, &n)); b++) {
            float factor = m->tokens[set] > 0 ? (float)(1 / m->tokens[set]) : 0;
            matrix_mirror(h, n);
            for (size_t i = 0; i < n * n; i++)
                h[i] *= factor;
        }
}
