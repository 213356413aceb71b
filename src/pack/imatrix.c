#include "pack/imatrix.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gguf/gguf.h"
#include "gguf/write.h"
#include "plat/file_map.h"
#include "quant/quant.h"

static const char sums_end[] = ".in_sum2", counts_end[] = ".counts";
static const char key_datasets[] = "imatrix.datasets", key_chunks[] = "imatrix.chunk_count",
                  key_chunk_tokens[] = "imatrix.chunk_size";

enum { DAT_ENTRY_LEAST = 4 + 1 + 4 + 4 + 4 }; /* bytes: name of one byte, one value */

typedef struct row {
    span name;
    float *means; /* [n]; NULL: no token reached it */
    uint64_t n;
} row;

struct imatrix {
    arena store; /* everything below */
    row *rows;   /* by name */
    imatrix_facts facts;
};

/* ---- what both forms have in common ---- */

static int compare(span a, span b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare_rows(const void *a, const void *b)
{
    return compare(((const row *)a)->name, ((const row *)b)->name);
}

static status no_memory(const imatrix *m, error *err)
{
    return fail(err, E_NOMEM, "%s: no memory for importances", m->facts.path);
}

/* A name that goes into messages and keys as it is. */
static bool is_plain(span name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] > '~')
            return false;
    return name.n > 0;
}

/* Empty, for n rows at most, from a file of so many bytes. */
static status start(imatrix *m, const char *path, uint64_t file_bytes, size_t n, error *err)
{
    m->store.max_bytes = (size_t)file_bytes * 4 + (n + 8) * (sizeof *m->rows + 32) + (1 << 16);
    m->facts.path = arena_strndup(&m->store, path, strlen(path));
    m->facts.dataset = "";
    m->rows = arena_alloc(&m->store, (n + 1) * sizeof *m->rows);
    return m->rows && m->facts.path ? OK : fail(err, E_NOMEM, "%s: no memory for importances", path);
}

static status add_row(imatrix *m, span name, uint64_t n, row **out, error *err)
{
    row *r = &m->rows[m->facts.n_entries];
    if (!is_plain(name))
        return fail(err, E_FORMAT, "%s: entry %zu has a name that no tensor has", m->facts.path,
                    m->facts.n_entries + 1);
    r->name.p = arena_strndup(&m->store, name.p, name.n);
    r->name.n = name.n;
    r->means = n <= SIZE_MAX / sizeof *r->means ? arena_alloc(&m->store, (size_t)n * sizeof *r->means) : NULL;
    r->n = n;
    if (!r->name.p || !r->means)
        return no_memory(m, err);
    m->facts.n_entries++;
    *out = r;
    return OK;
}

/* Sums become means, as llama-quantize takes them: where nothing was counted every channel is worth the same. */
static status divide(const imatrix *m, const row *r, float *sums, uint64_t n, float count, error *err)
{
    for (uint64_t i = 0; i < n; i++) {
        float mean = count > 0 ? sums[i] / count : 1.0f;
        if (!(sums[i] >= 0) || !isfinite(mean))
            return fail(err, E_FORMAT, "%s: '%s': the importance of channel %" PRIu64 " is %g: it must be a finite "
                        "number, 0 or more", m->facts.path, r->name.p, i, (double)sums[i]);
        sums[i] = mean;
    }
    return OK;
}

static status finish(imatrix *m, error *err)
{
    if (!m->facts.n_entries)
        return fail(err, E_FORMAT, "%s: no importances are in it", m->facts.path);
    qsort(m->rows, m->facts.n_entries, sizeof *m->rows, compare_rows);
    for (size_t i = 1; i < m->facts.n_entries; i++)
        if (compare_rows(&m->rows[i - 1], &m->rows[i]) == 0)
            return fail(err, E_FORMAT, "%s: '%s' is in it twice", m->facts.path, m->rows[i].name.p);
    return OK;
}

/* ---- GGUF ---- */

/* The name without its end; false: it ends otherwise. */
static bool stem_of(span name, const char *end, span *out)
{
    size_t n = strlen(end);
    if (name.n <= n || memcmp(name.p + name.n - n, end, n) != 0)
        return false;
    *out = (span){ name.p, name.n - n };
    return true;
}

static const gguf_tensor *partner(const gguf *g, span stem, const char *end)
{
    char name[GGUF_MAX_NAME + 1];
    if (stem.n + strlen(end) >= sizeof name)
        return NULL;
    snprintf(name, sizeof name, "%.*s%s", (int)stem.n, stem.p, end);
    return gguf_tensor_find(g, name);
}

static status read_count(const imatrix *m, const row *r, const gguf_tensor *counts, uint64_t i, float *out, error *err)
{
    quant_find(QUANT_F32)->decode((const unsigned char *)counts->data + i * sizeof *out, out, 1);
    if (!isfinite(*out) || *out < 0)
        return fail(err, E_FORMAT, "%s: '%s': its count of tokens is %g", m->facts.path, r->name.p, (double)*out);
    *out = roundf(*out);
    return OK;
}

static status read_pair(imatrix *m, span stem, const gguf_tensor *sums, const gguf_tensor *counts, error *err)
{
    uint64_t n = sums->ne[0] * gguf_tensor_rows(sums), n_counts = counts->ne[0] * gguf_tensor_rows(counts);
    bool counted = false;
    row *r;
    status s = add_row(m, stem, n, &r, err);
    if (s)
        return s;
    if (sums->type != QUANT_F32 || counts->type != QUANT_F32)
        return fail(err, E_FORMAT, "%s: '%s': sums and counts must be F32", m->facts.path, r->name.p);
    if (n_counts != 1 && n_counts != gguf_tensor_rows(sums))
        return fail(err, E_FORMAT, "%s: '%s': %" PRIu64 " counts do not belong to %" PRIu64 " rows of sums",
                    m->facts.path, r->name.p, n_counts, gguf_tensor_rows(sums));
    quant_find(QUANT_F32)->decode(sums->data, r->means, (size_t)n);
    uint64_t each = n / n_counts;
    for (uint64_t i = 0; !s && i < n_counts; i++) {
        float count;
        s = read_count(m, r, counts, i, &count, err);
        if (!s)
            s = divide(m, r, r->means + i * each, each, count, err);
        counted |= !s && count > 0;
    }
    r->means = counted ? r->means : NULL;
    return s;
}

/* Keys are for people and for what is written of the result: one that is missing is no error. */
static status read_keys(imatrix *m, const gguf *g, error *err)
{
    const gguf_value *datasets = gguf_find(g, key_datasets);
    gguf_strings it = datasets ? gguf_strings_of(datasets) : (gguf_strings){ NULL, 0 };
    span type = { NULL, 0 }, first;
    status s = gguf_str_or(g, "general.type", "imatrix", &type, err);
    if (!s && !span_is(type, "imatrix"))
        return fail(err, E_FORMAT, "%s: general.type is '%.*s', not 'imatrix'", m->facts.path,
                    is_plain(type) && type.n < 64 ? (int)type.n : 0, type.p);
    if (!s)
        s = gguf_u32_or(g, key_chunks, 0, &m->facts.n_chunks, err);
    if (!s)
        s = gguf_u32_or(g, key_chunk_tokens, 0, &m->facts.chunk_tokens, err);
    if (!s && gguf_strings_next(&it, &first) && !memchr(first.p, 0, first.n)) {
        m->facts.dataset = arena_strndup(&m->store, first.p, first.n);
        s = m->facts.dataset ? OK : no_memory(m, err);
    }
    return s;
}

static status read_gguf(imatrix *m, const gguf *g, error *err)
{
    status s = start(m, gguf_file_name(g), gguf_file_bytes(g, 0), gguf_n_tensors(g), err);
    if (!s)
        s = read_keys(m, g, err);
    for (size_t i = 0; !s && i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        span stem;
        bool sums = stem_of(t->name, sums_end, &stem);
        if (!sums && !stem_of(t->name, counts_end, &stem))
            continue;
        const gguf_tensor *other = partner(g, stem, sums ? counts_end : sums_end);
        if (!other)
            s = fail(err, E_FORMAT, "%s: tensor %zu has sums without counts, or counts without sums", m->facts.path,
                     i + 1);
        else if (sums)
            s = read_pair(m, stem, t, other, err);
    }
    return s ? s : finish(m, err);
}

/* ---- the older form ---- */

typedef struct cursor {
    const unsigned char *p;
    size_t left;
} cursor;

static bool take_u32(cursor *c, uint32_t *out)
{
    if (c->left < 4)
        return false;
    *out = (uint32_t)c->p[0] | (uint32_t)c->p[1] << 8 | (uint32_t)c->p[2] << 16 | (uint32_t)c->p[3] << 24;
    c->p += 4;
    c->left -= 4;
    return true;
}

static bool take_span(cursor *c, span *out)
{
    uint32_t n;
    if (!take_u32(c, &n) || n > c->left)
        return false;
    *out = (span){ (const char *)c->p, n };
    c->p += n;
    c->left -= n;
    return true;
}

static status read_dat_entry(imatrix *m, cursor *c, error *err)
{
    uint32_t calls, n;
    span name;
    row *r;
    if (!take_span(c, &name) || !take_u32(c, &calls) || !take_u32(c, &n) || n > c->left / sizeof(float))
        return fail(err, E_FORMAT, "%s: it ends within entry %zu: neither GGUF nor an importance matrix of the older "
                    "form, or truncated", m->facts.path, m->facts.n_entries + 1);
    if (n == 0 || calls > INT32_MAX)
        return fail(err, E_FORMAT, "%s: entry %zu has no values, or a count below 0", m->facts.path,
                    m->facts.n_entries + 1);
    status s = add_row(m, name, n, &r, err);
    if (s)
        return s;
    quant_find(QUANT_F32)->decode(c->p, r->means, n);
    c->p += n * sizeof(float);
    c->left -= n * sizeof(float);
    return divide(m, r, r->means, n, calls ? (float)calls : 1.0f, err);
}

static status read_dat(imatrix *m, const char *path, const file_map *map, error *err)
{
    cursor c = { map->data, map->bytes };
    uint32_t n;
    span dataset;
    if (!take_u32(&c, &n) || n == 0 || n > c.left / DAT_ENTRY_LEAST || n > GGUF_MAX_TENSORS)
        return fail(err, E_FORMAT, "%s: neither GGUF nor an importance matrix of the older form", path);
    status s = start(m, path, map->bytes, n, err);
    for (uint32_t i = 0; !s && i < n; i++)
        s = read_dat_entry(m, &c, err);
    if (!s && take_u32(&c, &m->facts.n_chunks) && take_span(&c, &dataset) && !memchr(dataset.p, 0, dataset.n)) {
        m->facts.dataset = arena_strndup(&m->store, dataset.p, dataset.n);
        s = m->facts.dataset ? OK : no_memory(m, err);
    }
    return s ? s : finish(m, err);
}

/* ---- reading ---- */

void imatrix_close(imatrix **m)
{
    if (!m || !*m)
        return;
    arena_clear(&(*m)->store);
    mem_free(*m);
    *m = NULL;
}

status imatrix_read(imatrix **out, const char *path, error *err)
{
    file_map map;
    gguf *g = NULL;
    status s = file_map_open(&map, path, err);
    if (s)
        return s;
    imatrix *m = mem_zero(sizeof *m);
    if (!m)
        s = fail(err, E_NOMEM, "%s: no memory", path);
    else if (map.bytes < 4 || memcmp(map.data, "GGUF", 4) != 0)
        s = read_dat(m, path, &map, err);
    else if (!(s = gguf_parse(&g, map.data, map.bytes, map.bytes, path, err)))
        s = read_gguf(m, g, err);
    gguf_close(&g);
    file_map_close(&map);
    if (s)
        imatrix_close(&m);
    else
        *out = m;
    return s;
}

const imatrix_facts *imatrix_about(const imatrix *m)
{
    return &m->facts;
}

status imatrix_find(const imatrix *m, span tensor, uint64_t n, const float **out, error *err)
{
    const row key = { .name = tensor };
    const row *r = bsearch(&key, m->rows, m->facts.n_entries, sizeof *m->rows, compare_rows);
    if (r && r->n != n)
        return fail(err, E_FORMAT, "%s: '%s' has %" PRIu64 " importances, the tensor %" PRIu64 " channels: they are of "
                    "another model", m->facts.path, r->name.p, r->n, n);
    *out = r ? r->means : NULL;
    return OK;
}

/* ---- writing ---- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp((*(const imatrix_entry *const *)a)->tensor, (*(const imatrix_entry *const *)b)->tensor);
}

static status check_entry(const char *path, const imatrix_entry *e, error *err)
{
    const span name = span_of(e->tensor);
    if (!is_plain(name) || name.n + strlen(sums_end) > GGUF_MAX_NAME || e->n == 0)
        return fail(err, E_RANGE, "%s: '%s' has no channels, or a name that such a file cannot hold", path, e->tensor);
    if (!isfinite(e->count) || e->count < 0 || roundf(e->count) < e->count || roundf(e->count) > e->count)
        return fail(err, E_RANGE, "%s: '%s': %g tokens were counted", path, e->tensor, (double)e->count);
    for (uint64_t i = 0; i < e->n; i++)
        if (!(e->sum2[i] >= 0) || !isfinite(e->sum2[i]))
            return fail(err, E_RANGE, "%s: '%s': the importance of channel %" PRIu64 " is %g", path, e->tensor, i,
                        (double)e->sum2[i]);
    return OK;
}

static void declare(gguf_writer *w, const char *tensor, const char *end, uint64_t n)
{
    char name[GGUF_MAX_NAME + 1];
    snprintf(name, sizeof name, "%s%s", tensor, end);
    gguf_writer_tensor(w, name, QUANT_F32, 2, (const uint64_t[]){ n, 1 });
}

static void write_data(gguf_writer *w, const imatrix_entry *e)
{
    enum { SLAB = 1 << 16 };
    for (uint64_t at = 0; at < e->n; at += SLAB) {
        uint64_t n = e->n - at < SLAB ? e->n - at : SLAB;
        gguf_writer_data(w, e->sum2 + at, (size_t)n * sizeof(float));
    }
    gguf_writer_data(w, &e->count, sizeof e->count);
}

static status write_sorted(const char *path, const imatrix_entry *const *e, size_t n, const span *dataset,
                           uint32_t n_chunks, uint32_t chunk_tokens, error *err)
{
    gguf_writer *w = NULL;
    for (size_t i = 1; i < n; i++)
        if (compare_entries(&e[i - 1], &e[i]) == 0)
            return fail(err, E_RANGE, "%s: '%s' is there twice", path, e[i]->tensor);
    status s = gguf_writer_open(&w, path, err);
    if (s)
        return s;
    gguf_writer_str(w, "general.type", "imatrix");
    gguf_writer_strings(w, key_datasets, dataset, 1);
    gguf_writer_u32(w, key_chunks, n_chunks);
    gguf_writer_u32(w, key_chunk_tokens, chunk_tokens);
    for (size_t i = 0; i < n; i++) {
        declare(w, e[i]->tensor, sums_end, e[i]->n);
        declare(w, e[i]->tensor, counts_end, 1);
    }
    for (size_t i = 0; i < n; i++)
        write_data(w, e[i]);
    return gguf_writer_finish(&w, err);
}

status imatrix_write(const char *path, const imatrix_entry *entries, size_t n, const char *dataset, uint32_t n_chunks,
                     uint32_t chunk_tokens, error *err)
{
    const imatrix_entry **sorted = mem_array(n + 1, sizeof *sorted);
    const span name = span_of(dataset);
    status s = !sorted             ? fail(err, E_NOMEM, "%s: no memory to write it", path)
               : !n || !chunk_tokens ? fail(err, E_RANGE, "%s: no entries, or chunks of no tokens", path)
                                     : OK;
    for (size_t i = 0; !s && i < n; i++) {
        s = check_entry(path, &entries[i], err);
        sorted[i] = &entries[i];
    }
    if (!s) {
        qsort(sorted, n, sizeof *sorted, compare_entries);
        s = write_sorted(path, sorted, n, &name, n_chunks, chunk_tokens, err);
    }
    mem_free(sorted);
    return s;
}
