/* Opening: one file, all parts of a split model, or bytes in memory; and the tensors.
 *
 * A split model is N complete GGUF files NAME-00001-of-0000N.gguf …; each says split.count = N and split.no = its
 * 0-based number, the first holds the model's keys, and split.tensors.count is the sum over all. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gguf/gguf_int.h"
#include "quant/quant.h"

/* ---- names of parts ---------------------------------------------------------------------------------------------- */

enum { SUFFIX_BYTES = sizeof "-00001-of-00002.gguf" - 1 };

static bool digits5(const char *p, unsigned *out)
{
    unsigned v = 0;
    for (int i = 0; i < 5; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (unsigned)(p[i] - '0');
    }
    *out = v;
    return true;
}

/* Does path end in "-NNNNN-of-NNNNN.gguf"? */
static bool split_name(const char *path, unsigned *number, unsigned *count)
{
    size_t n = strlen(path);
    if (n <= SUFFIX_BYTES)
        return false;
    const char *s = path + n - SUFFIX_BYTES;
    return s[0] == '-' && digits5(s + 1, number) && memcmp(s + 6, "-of-", 4) == 0 && digits5(s + 10, count) &&
           memcmp(s + 15, ".gguf", 5) == 0;
}

status gguf_part_path(const char *path, unsigned i, char *out, size_t out_bytes, error *err)
{
    unsigned number = 1, count = 1;
    bool split = split_name(path, &number, &count);
    if (split && number != 1)
        return fail(err, E_FORMAT, "%s: is part %u of %u: give the first part, %.*s-00001-of-%05u.gguf", path, number,
                    count, (int)(strlen(path) - SUFFIX_BYTES), path, count);
    if (i >= (split ? count : 1))
        return fail(err, E_RANGE, "%s: has no part %u", path, i + 1);
    int n = split ? snprintf(out, out_bytes, "%.*s-%05u-of-%05u.gguf", (int)(strlen(path) - SUFFIX_BYTES), path, i + 1,
                             count)
                  : snprintf(out, out_bytes, "%s", path);
    return n < 0 || (size_t)n >= out_bytes ? fail(err, E_RANGE, "%s: the path is too long", path) : OK;
}

/* ---- checks across parts ----------------------------------------------------------------------------------------- */

/* An integer key of a part; `fallback` when it is not there, UINT64_MAX when it is no integer. */
static uint64_t part_integer(const gguf_part *p, const char *key, uint64_t fallback)
{
    for (size_t i = 0; i < p->n_keys; i++) {
        const gguf_value *v = &p->keys[i];
        if (span_is(v->key, key))
            return v->is_array || v->type == GGUF_STR || v->type == GGUF_F32 || v->type == GGUF_F64 ? UINT64_MAX
                                                                                                    : gguf_get_u64(v,
                                                                                                        0);
    }
    return fallback;
}

static status check_split(const gguf_part *p, int i, uint64_t count, error *err)
{
    uint64_t no = part_integer(p, "split.no", 0), says = part_integer(p, "split.count", 0);
    if (says == 0)
        says = 1;
    if (says != count && i == 0)
        return fail(err, E_FORMAT, "%s: says it is one of %" PRIu64 " parts, but %" PRIu64 " %s given", p->name, says,
                    count, count == 1 ? "is" : "are");
    if (says != count)
        return fail(err, E_FORMAT, "%s: says it is one of %" PRIu64 " parts, the first part says %" PRIu64 ": it "
            "belongs "
                    "to another model", p->name, says, count);
    if (count > 1 && no != (uint64_t)i)
        return fail(err, E_FORMAT, "%s: says it is part %" PRIu64 ", but is in the place of part %d (give the first "
            "part "
                    "of a split model; parts must keep their names)", p->name, no + 1, i + 1);
    return OK;
}

/* Concatenates the tensors of all parts and sorts the names. */
static status merge(gguf *g, error *err)
{
    size_t n = 0;
    for (int i = 0; i < g->n_parts; i++)
        n += g->parts[i].n_tensors;
    if (n > GGUF_MAX_TENSORS)
        return fail(err, E_FORMAT, "%s: %zu tensors in all parts: the limit is %d", g->name, n, GGUF_MAX_TENSORS);
    g->tensors = mem_array(n, sizeof *g->tensors);
    if (!g->tensors)
        return fail(err, E_NOMEM, "%s: no memory for %zu tensors", g->name, n);
    for (int i = 0; i < g->n_parts; i++)
        for (size_t j = 0; j < g->parts[i].n_tensors; j++) {
            gguf_tensor *t = &g->tensors[g->n_tensors++];
            *t = g->parts[i].tensors[j];
            t->file = i;
            if (__builtin_add_overflow(g->data_bytes, t->bytes, &g->data_bytes))
                return fail(err, E_FORMAT, "%s: the parts add up to more than 2^64 bytes", g->name);
        }
    uint64_t want = part_integer(&g->parts[0], "split.tensors.count", n);
    if (g->n_parts > 1 && want != n)
        return fail(err, E_FORMAT, "%s: the model has %" PRIu64 " tensors by its key split.tensors.count, but its %d "
            "parts "
                    "contain %zu", g->name, want, g->n_parts, n);
    status s = gguf_index(&g->tensor_index, g->tensors, sizeof *g->tensors, n, g->name, "tensor", err);
    if (!s)
        s = gguf_index(&g->key_index, g->parts[0].keys, sizeof *g->parts[0].keys, g->parts[0].n_keys, g->parts[0].name,
                       "key", err);
    return s;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static status finish(gguf *g, status s, gguf **out, error *err)
{
    if (!s)
        s = merge(g, err);
    if (s)
        gguf_close(&g);
    else
        *out = g;
    return s;
}

static gguf *new_gguf(const char *name, int n_parts, error *err)
{
    gguf *g = mem_zero(sizeof *g);
    if (g) {
        g->name = mem_strdup(name);
        g->parts = mem_array((size_t)n_parts, sizeof *g->parts);
        if (g->name && g->parts)
            return g;
    }
    gguf_close(&g);
    fail(err, E_NOMEM, "%s: no memory for the file's directory", name);
    return NULL;
}

/* A fresh part behind the others, named for errors. */
static gguf_part *add_part(gguf *g, const char *name, error *err)
{
    gguf_part *p = &g->parts[g->n_parts];
    p->name = mem_strdup(name);
    if (!p->name) {
        fail(err, E_NOMEM, "%s: no memory for the file's directory", name);
        return NULL;
    }
    g->n_parts++;
    return p;
}

static status parse_mapped(gguf_part *p, error *err)
{
    p->bytes = p->map.data;
    p->n_bytes = p->file_bytes = p->map.bytes;
    return gguf_part_parse(p, err);
}

static status add_path(gguf *g, const char *path, int i, uint64_t count, error *err)
{
    gguf_part *p = add_part(g, path, err);
    if (!p)
        return E_NOMEM;
    status s = file_map_open(&p->map, path, err);
    if (s == E_NOTFOUND && i > 0)
        return fail(err, E_NOTFOUND, "%s: this part of the split model is missing (part %d of %" PRIu64 "): all parts "
            "must "
                    "lie in one directory", path, i + 1, count);
    if (!s)
        s = parse_mapped(p, err);
    return s;
}

status gguf_open(gguf **out, const char *path, error *err)
{
    unsigned number = 1, count = 1;
    bool split = split_name(path, &number, &count);
    char part[4096];
    status s = OK;
    if (split && number != 1)
        return gguf_part_path(path, 0, part, sizeof part, err);
    if (count < 1 || count > GGUF_MAX_FILES)
        return fail(err, E_FORMAT, "%s: a split model of %u parts: 1 to %d are possible", path, count, GGUF_MAX_FILES);
    gguf *g = new_gguf(path, (int)count, err);
    if (!g)
        return E_NOMEM;
    s = add_path(g, path, 0, count, err);
    if (s)
        goto out;
    uint64_t says = part_integer(&g->parts[0], "split.count", 1);
    if (says > 1 && !split) {
        s = fail(err, E_FORMAT, "%s: is one of %" PRIu64 " parts of a split model, but is not called "
                 "NAME-00001-of-%05" PRIu64 ".gguf, so that the others cannot be found: restore the name", path, says,
                 says);
        goto out;
    }
    s = check_split(&g->parts[0], 0, count, err);
    for (unsigned i = 1; !s && i < count; i++) {
        s = gguf_part_path(path, i, part, sizeof part, err);
        if (!s)
            s = add_path(g, part, (int)i, count, err);
        if (!s)
            s = check_split(&g->parts[i], (int)i, count, err);
    }
out:
    return finish(g, s, out, err);
}

enum { PART_NAME = 4096 };

/* What errors call part i (0-based) of n. */
static void part_name(char out[PART_NAME], const char *name, int i, int n)
{
    if (n == 1)
        snprintf(out, PART_NAME, "%s", name);
    else
        snprintf(out, PART_NAME, "%s (part %d of %d)", name, i + 1, n);
}

static status new_of_parts(gguf **out, const char *name, int n, error *err)
{
    if (n < 1 || n > GGUF_MAX_FILES)
        return fail(err, E_RANGE, "%s: %d files: 1 to %d are possible", name, n, GGUF_MAX_FILES);
    *out = new_gguf(name, n, err);
    return *out ? OK : E_NOMEM;
}

status gguf_open_fds(gguf **out, const int *fds, int n, const char *name, error *err)
{
    gguf *g = NULL;
    status s = new_of_parts(&g, name, n, err);
    for (int i = 0; !s && i < n; i++) {
        char part[PART_NAME];
        part_name(part, name, i, n);
        gguf_part *p = add_part(g, part, err);
        s = p ? file_map_fd(&p->map, fds[i], part, err) : E_NOMEM;
        if (!s)
            s = parse_mapped(p, err);
        if (!s)
            s = check_split(p, i, (uint64_t)n, err);
    }
    return finish(g, s, out, err);
}

static status add_prefix(gguf *g, const gguf_prefix *from, const char *name, error *err)
{
    if (from->n_bytes > from->file_bytes)
        return fail(err, E_RANGE, "%s: a prefix of %zu bytes of a file of %" PRIu64, name, from->n_bytes,
                    from->file_bytes);
    gguf_part *p = add_part(g, name, err);
    if (!p)
        return E_NOMEM;
    p->bytes = from->bytes;
    p->n_bytes = from->n_bytes;
    p->file_bytes = from->file_bytes;
    return gguf_part_parse(p, err);
}

status gguf_parse(gguf **out, const void *bytes, size_t n_bytes, uint64_t file_bytes, const char *name, error *err)
{
    gguf *g = new_gguf(name, 1, err);
    if (!g)
        return E_NOMEM;
    return finish(g, add_prefix(g, &(gguf_prefix){ bytes, n_bytes, file_bytes }, name, err), out, err);
}

status gguf_parse_parts(gguf **out, const gguf_prefix *parts, int n, const char *name, error *err)
{
    gguf *g = NULL;
    status s = new_of_parts(&g, name, n, err);
    for (int i = 0; !s && i < n; i++) {
        char part[PART_NAME];
        part_name(part, name, i, n);
        s = add_prefix(g, &parts[i], part, err);
        if (!s)
            s = check_split(&g->parts[i], i, (uint64_t)n, err);
    }
    return finish(g, s, out, err);
}

status gguf_parse_owned(gguf **out, void *bytes, size_t n_bytes, uint64_t file_bytes, const char *name, error *err)
{
    status s = gguf_parse(out, bytes, n_bytes, file_bytes, name, err);
    if (s)
        mem_free(bytes);
    else
        (*out)->owned = bytes;
    return s;
}

void gguf_close(gguf **g)
{
    gguf *old = *g;
    *g = NULL;
    if (!old)
        return;
    for (int i = 0; i < old->n_parts; i++)
        gguf_part_clear(&old->parts[i]);
    mem_free(old->parts);
    mem_free(old->key_index);
    mem_free(old->tensor_index);
    mem_free(old->tensors);
    mem_free(old->owned);
    mem_free(old->name);
    mem_free(old);
}

/* ---- about the file ---------------------------------------------------------------------------------------------- */

const char *gguf_file_name(const gguf *g)
{
    return g->name;
}

uint32_t gguf_version(const gguf *g)
{
    return g->parts[0].version;
}

uint64_t gguf_alignment(const gguf *g)
{
    return g->parts[0].alignment;
}

int gguf_n_files(const gguf *g)
{
    return g->n_parts;
}

uint64_t gguf_file_bytes(const gguf *g, int file)
{
    return file >= 0 && file < g->n_parts ? g->parts[file].file_bytes : 0;
}

uint64_t gguf_header_bytes(const gguf *g, int file)
{
    return file >= 0 && file < g->n_parts ? g->parts[file].data_at : 0;
}

uint64_t gguf_data_bytes(const gguf *g)
{
    return g->data_bytes;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

size_t gguf_n_tensors(const gguf *g)
{
    return g->n_tensors;
}

const gguf_tensor *gguf_tensor_at(const gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const gguf_tensor *gguf_tensor_find(const gguf *g, const char *name)
{
    size_t i = gguf_index_find(g->tensor_index, g->n_tensors, span_of(name));
    return i == SIZE_MAX ? NULL : &g->tensors[i];
}

uint64_t gguf_tensor_rows(const gguf_tensor *t)
{
    return t->ne[1] * t->ne[2] * t->ne[3];
}

char *gguf_tensor_shape(const gguf_tensor *t, char text[96])
{
    int used = snprintf(text, 96, "%" PRIu64, t->ne[0]);
    for (int i = 1; i < t->n_dims; i++)
        used += snprintf(text + used, 96 - (size_t)used, " x %" PRIu64, t->ne[i]);
    return text;
}

status gguf_check_rows(const gguf *g, const gguf_tensor *t, error *err)
{
    const quant_traits *traits = quant_find(t->type);
    if (!traits->check || !t->data)
        return OK;
    uint64_t rows = gguf_tensor_rows(t), row_bytes = quant_row_bytes(t->type, t->ne[0]);
    const unsigned char *p = t->data, *released = p;
    for (uint64_t r = 0; r < rows; r++, p += row_bytes) {
        size_t block = traits->check(p, (size_t)t->ne[0]);
        if (block != SIZE_MAX) {
            char quoted[GGUF_QUOTE_BYTES];
            return fail(err, E_FORMAT, "%s: tensor %s: row %" PRIu64 ", %s %zu: %s is not finite: the weights are "
                "damaged",
                        g->parts[t->file].name, gguf_quote(quoted, t->name), r, traits->block == 1 ? "value" : "block",
                        block, traits->block == 1 ? "it" : "its scale");
        }
        if (p - released >= GGUF_RELEASE_STEP) {
            gguf_release(g, released, (size_t)(p - released));
            released = p;
        }
    }
    return OK;
}

void gguf_release(const gguf *g, const void *data, size_t bytes)
{
    for (int i = 0; i < g->n_parts; i++)
        file_map_release(&g->parts[i].map, data, bytes);
}
