/* One GGUF file, from bytes to a checked directory.
 *
 *   "GGUF"  u32 version  u64 n_tensors  u64 n_keys
 *   n_keys ×     string key, u32 type, value        (array: u32 element type, u64 count, elements)
 *   n_tensors ×  string name, u32 n_dims, u64 ne[n_dims], u32 type, u64 offset
 *   padding to `general.alignment` (default 32), then the tensors' data, each padded likewise
 *   string = u64 length + bytes; everything little endian
 *
 * Invariant of the cursor: at <= n_bytes <= file_bytes. Nothing is read before take() has said that it is there; counts
 * and lengths are compared with the bytes that are left in the file before anything is allocated for them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "gguf/gguf_int.h"
#include "quant/quant.h"

enum { MAX_KEY_BYTES = 65535, MIN_KEY_BYTES = 8 + 1 + 4 + 1, MIN_TENSOR_BYTES = 8 + 1 + 4 + 4 + 8 };
static const uint64_t MAX_STRING = 1u << 30, MAX_ELEMENTS = 1u << 30;

typedef struct cursor {
    const gguf_part *part;
    uint64_t at;
    error *err;
    /* where we are, for messages: "key 3 of 12 ('general.name')" */
    const char *kind;
    uint64_t i, n;
    span name;
} cursor;

static char *where(const cursor *c, char text[GGUF_QUOTE_BYTES + 64])
{
    char quoted[GGUF_QUOTE_BYTES];
    if (!c->kind)
        snprintf(text, 64, "the header");
    else if (c->name.n)
        snprintf(text, GGUF_QUOTE_BYTES + 64, "%s %s (%" PRIu64 " of %" PRIu64 ")", c->kind,
                 gguf_quote(quoted, c->name), c->i + 1, c->n);
    else
        snprintf(text, 64, "%s %" PRIu64 " of %" PRIu64, c->kind, c->i + 1, c->n);
    return text;
}

/* "FILE: WHERE: sentence" */
static status bad(const cursor *c, status code, const char *format, ...) PRINTF_LIKE(3, 4);
static status bad(const cursor *c, status code, const char *format, ...)
{
    char place[GGUF_QUOTE_BYTES + 64];
    va_list args;
    va_start(args, format);
    fail_v(c->err, code, format, args);
    va_end(args);
    return fail_prefix(c->err, code, "%s: %s: ", c->part->name, where(c, place));
}

/* The next n bytes, or why not. */
static status take(cursor *c, uint64_t n, const char *what, const unsigned char **out)
{
    const gguf_part *p = c->part;
    if (n > p->file_bytes - c->at)
        return bad(c, E_FORMAT, "%s wants %" PRIu64 " bytes at byte %" PRIu64 ", but the file ends at byte %" PRIu64
                   " (an interrupted download, or damaged)", what, n, c->at, p->file_bytes);
    if (n > p->n_bytes - c->at)
        return bad(c, E_RANGE, "the header goes on past the first %" PRIu64 " bytes: read more of the file",
            p->n_bytes);
    *out = p->bytes + c->at;
    c->at += n;
    return OK;
}

static status take_u32(cursor *c, const char *what, uint32_t *out)
{
    const unsigned char *p = NULL;
    status s = take(c, 4, what, &p);
    if (!s)
        *out = gguf_load_u32(p);
    return s;
}

static status take_u64(cursor *c, const char *what, uint64_t *out)
{
    const unsigned char *p = NULL;
    status s = take(c, 8, what, &p);
    if (!s)
        *out = gguf_load_u64(p);
    return s;
}

static status take_string(cursor *c, const char *what, uint64_t max, span *out)
{
    uint64_t n = 0;
    const unsigned char *p = NULL;
    status s = take_u64(c, what, &n);
    if (s)
        return s;
    if (n > max)
        return bad(c, E_FORMAT, "%s says it is %" PRIu64 " bytes long, the limit is %" PRIu64, what, n, max);
    s = take(c, n, what, &p);
    if (!s)
        *out = (span){ (const char *)p, (size_t)n };
    return s;
}

/* ---- the first bytes --------------------------------------------------------------------------------------------- */

/* What else people hand over. Compared at byte `at`. */
static const struct magic {
    unsigned at, n;
    const char *bytes, *what;
} magics[] = {
    { 8, 2, "{\"", "a safetensors file: convert it to GGUF first" },
    { 0, 26, "version https://git-lfs.git", "a Git LFS pointer, not the model itself: fetch it with git lfs pull" },
    { 0, 23, "version https://git-lfs", "a Git LFS pointer, not the model itself: fetch it with git lfs pull" },
    { 0, 9, "<!DOCTYPE", "a web page: the download gave an error page, or the link was to the page about the file" },
    { 0, 9, "<!doctype", "a web page: the download gave an error page, or the link was to the page about the file" },
    { 0, 5, "<html", "a web page: the download gave an error page, or the link was to the page about the file" },
    { 0, 5, "<?xml", "an XML page: the download gave an error message" },
    { 0, 4, "lmgg", "a GGML file of 2022, before GGUF: download the model again as GGUF" },
    { 0, 4, "fmgg", "a GGMF file of 2023, before GGUF: download the model again as GGUF" },
    { 0, 4, "tjgg", "a GGJT file of 2023, before GGUF: download the model again as GGUF" },
    { 0, 4, "algg", "a GGLA adapter, before GGUF: convert it again" },
    { 0, 4, "FUGG", "a GGUF file with reversed magic: it was written on a machine of the other byte order" },
    { 0, 4, "PK\3\4", "a zip archive or a PyTorch checkpoint: unpack it, or convert it to GGUF first" },
    { 0, 2, "\x80\x02", "a PyTorch checkpoint: convert it to GGUF first" },
    { 0, 2, "\x1f\x8b", "a gzip archive: unpack it first" },
    { 0, 4, "\x28\xb5\x2f\xfd", "a zstd archive: unpack it first" },
    { 0, 6, "\xfd" "7zXZ\0", "an xz archive: unpack it first" },
    { 0, 4, "\x89HDF", "an HDF5 file (Keras): convert it to GGUF first" },
    { 0, 4, "\0\0\0\0", "zeros: space was reserved for a download that did not happen" },
    { 0, 1, "{", "JSON: the download gave an error message, or this is a model's config file" },
    { 4, 4, "ftyp", "a video" },
};

static status not_gguf(const cursor *c)
{
    const gguf_part *p = c->part;
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        const struct magic *m = &magics[i];
        if (p->n_bytes >= m->at + m->n && memcmp(p->bytes + m->at, m->bytes, m->n) == 0)
            return fail(c->err, E_FORMAT, "%s: not a GGUF file: it looks like %s", p->name, m->what);
    }
    char quoted[GGUF_QUOTE_BYTES];
    size_t n = p->n_bytes < 4 ? (size_t)p->n_bytes : 4;
    return fail(c->err, E_FORMAT, "%s: not a GGUF file: it begins with %s, not with 'GGUF'", p->name,
                gguf_quote(quoted, (span){ (const char *)p->bytes, n }));
}

static status check_version(const cursor *c, uint32_t version)
{
    const char *name = c->part->name;
    if (version == 2 || version == 3)
        return OK;
    uint32_t swapped = version >> 24 | (version >> 8 & 0xFF00) | (version << 8 & 0xFF0000) | version << 24;
    if (swapped >= 1 && swapped <= 0xFFFF)
        return fail(c->err, E_UNSUPPORTED, "%s: written for machines of the other byte order (big endian, version "
                    "%" PRIu32 "): take the little-endian file, or convert it with gguf_convert_endian.py", name,
                    swapped);
    if (version == 1)
        return fail(c->err, E_UNSUPPORTED, "%s: GGUF version 1 (August 2023) is not read: download the model again, or "
                    "convert the original", name);
    if (version == 0)
        return fail(c->err, E_FORMAT, "%s: GGUF version 0 does not exist: the file is damaged", name);
    return fail(c->err, E_UNSUPPORTED, "%s: GGUF version %" PRIu32 " is newer than this program (2 and 3)", name,
        version);
}

static status parse_header(cursor *c, uint64_t *n_tensors, uint64_t *n_keys)
{
    const gguf_part *p = c->part;
    const unsigned char *magic;
    if (p->file_bytes == 0)
        return fail(c->err, E_FORMAT, "%s: the file is empty", p->name);
    if (p->n_bytes < 4 || memcmp(p->bytes, "GGUF", 4) != 0)
        return not_gguf(c);
    status s = take(c, 4, "the magic", &magic);
    uint32_t version = 0;
    if (!s)
        s = take_u32(c, "the version", &version);
    if (!s)
        s = check_version(c, version);
    if (!s)
        s = take_u64(c, "the number of tensors", n_tensors);
    if (!s)
        s = take_u64(c, "the number of keys", n_keys);
    if (s)
        return s;
    ((gguf_part *)(uintptr_t)p)->version = version;
    uint64_t left = p->file_bytes - c->at;
    if (*n_keys > GGUF_MAX_KEYS || *n_keys > left / MIN_KEY_BYTES)
        return bad(c, E_FORMAT, "it says %" PRIu64 " keys, which %s", *n_keys, *n_keys > GGUF_MAX_KEYS
                   ? "is past the limit of 65536: the file is damaged" : "do not fit into the file: it is damaged or "
                       "cut");
    if (*n_tensors > GGUF_MAX_TENSORS || *n_tensors > left / MIN_TENSOR_BYTES)
        return bad(c, E_FORMAT, "it says %" PRIu64 " tensors, which %s", *n_tensors, *n_tensors > GGUF_MAX_TENSORS
                   ? "is past the limit of 262144: the file is damaged" : "do not fit into the file: it is damaged or "
                       "cut");
    return OK;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static status check_bools(const cursor *c, const gguf_value *v)
{
    for (uint64_t i = 0; i < v->n; i++)
        if (v->data[i] > 1)
            return bad(c, E_FORMAT, "a bool is 0 or 1, not %d", v->data[i]);
    return OK;
}

/* How many of n strings lie wholly in what we have; behind them take_string says what is wrong. Vocabularies have
 * hundreds of thousands. */
static uint64_t skip_strings(cursor *c, uint64_t n)
{
    const gguf_part *p = c->part;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t left = p->n_bytes - c->at, bytes = left < 8 ? 0 : gguf_load_u64(p->bytes + c->at);
        if (left < 8 || bytes > left - 8 || bytes > MAX_STRING)
            return i;
        c->at += 8 + bytes;
    }
    return n;
}

static status parse_elements(cursor *c, gguf_value *v)
{
    uint64_t left = c->part->file_bytes - c->at, from = c->at;
    if (v->n > MAX_ELEMENTS)
        return bad(c, E_FORMAT, "an array of %" PRIu64 " elements: the limit is %" PRIu64, v->n, MAX_ELEMENTS);
    size_t size = v->type == GGUF_STR ? 8 : gguf_type_bytes(v->type);
    if (v->n > left / size)
        return bad(c, E_FORMAT, "%" PRIu64 " elements of type %s do not fit into the %" PRIu64 " bytes that are left "
            "(an "
                   "interrupted download, or damaged)", v->n, gguf_type_name(v->type), left);
    status s;
    if (v->type != GGUF_STR) {
        v->bytes = v->n * size;
        s = take(c, v->bytes, "the value", &v->data);
        return !s && v->type == GGUF_BOOL ? check_bools(c, v) : s;
    }
    v->data = c->part->bytes + from;
    for (uint64_t i = skip_strings(c, v->n); i < v->n; i++) {
        span text;
        s = take_string(c, "a string", MAX_STRING, &text);
        if (s)
            return s;
    }
    v->bytes = c->at - from;
    return OK;
}

static status parse_key(cursor *c, gguf_value *v)
{
    uint32_t type;
    c->name = (span){ NULL, 0 };
    status s = take_string(c, "the key's name", MAX_KEY_BYTES, &v->key);
    if (s)
        return s;
    if (v->key.n == 0)
        return bad(c, E_FORMAT, "its name is empty");
    c->name = v->key;
    if (memchr(v->key.p, 0, v->key.n))
        return bad(c, E_FORMAT, "its name contains a zero byte");
    s = take_u32(c, "the type", &type);
    v->n = 1;
    if (!s && type == GGUF_ARRAY) {
        v->is_array = true;
        s = take_u32(c, "the type of the elements", &type);
        if (!s && type == GGUF_ARRAY)
            return bad(c, E_UNSUPPORTED, "an array of arrays is not read");
        if (!s)
            s = take_u64(c, "the number of elements", &v->n);
    }
    if (s)
        return s;
    if (type != GGUF_STR && gguf_type_bytes(type) == 0)
        return bad(c, E_FORMAT, "value type %" PRIu32 " does not exist (0 to 12 do)", type);
    v->type = (gguf_type)type;
    return parse_elements(c, v);
}

static status parse_keys(cursor *c, gguf_part *p, uint64_t n)
{
    p->keys = mem_array((size_t)n, sizeof *p->keys);
    if (!p->keys)
        return fail(c->err, E_NOMEM, "%s: no memory for %" PRIu64 " keys", p->name, n);
    c->kind = "key";
    c->n = n;
    for (c->i = 0; c->i < n; c->i++) {
        gguf_value v = { 0 };
        status s = parse_key(c, &v);
        if (s)
            return s;
        p->keys[p->n_keys++] = v;
        if (!span_is(v.key, "general.alignment"))
            continue;
        if (v.is_array || v.type != GGUF_U32)
            return bad(c, E_FORMAT, "must be a u32");
        p->alignment = gguf_load_u32(v.data);
        if (p->alignment == 0 || (p->alignment & (p->alignment - 1)))
            return bad(c, E_FORMAT, "must be a power of two, not %" PRIu64, p->alignment);
    }
    c->kind = NULL;
    return OK;
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

static status parse_shape(cursor *c, gguf_tensor *t)
{
    uint32_t n_dims;
    status s = take_u32(c, "the number of dimensions", &n_dims);
    if (s)
        return s;
    if (n_dims > GGUF_MAX_DIMS)
        return bad(c, E_FORMAT, "%" PRIu32 " dimensions: the limit is %d", n_dims, GGUF_MAX_DIMS);
    t->n_dims = (int)n_dims;
    uint64_t elements = 1;
    for (uint32_t i = 0; i < GGUF_MAX_DIMS; i++) {
        t->ne[i] = 1;
        if (i < n_dims && (s = take_u64(c, "a dimension", &t->ne[i])) != OK)
            return s;
        if (t->ne[i] == 0)
            return bad(c, E_FORMAT, "dimension %" PRIu32 " is 0", i);
        if (__builtin_mul_overflow(elements, t->ne[i], &elements) || elements > INT64_MAX)
            return bad(c, E_FORMAT, "its dimensions multiply to more than 2^63 values");
    }
    return OK;
}

static status parse_type(cursor *c, gguf_tensor *t)
{
    status s = take_u32(c, "the type", &t->type);
    if (s)
        return s;
    const quant_traits *traits = quant_find(t->type);
    if (!traits)
        return bad(c, E_UNSUPPORTED, "type %" PRIu32 " (%s) %s", t->type, quant_name(t->type), quant_advice(t->type));
    if (t->ne[0] % traits->block)
        return bad(c, E_FORMAT, "rows of %" PRIu64 " values are no whole number of %s blocks (%" PRIu32 " values)",
                   t->ne[0], traits->name, traits->block);
    uint64_t row = quant_row_bytes(t->type, t->ne[0]);
    if (row == 0 || __builtin_mul_overflow(row, gguf_tensor_rows(t), &t->bytes) || t->bytes > INT64_MAX)
        return bad(c, E_FORMAT, "its size in bytes exceeds 2^63");
    return OK;
}

static status parse_tensor(cursor *c, gguf_tensor *t)
{
    c->name = (span){ NULL, 0 };
    status s = take_string(c, "the tensor's name", GGUF_MAX_NAME, &t->name);
    if (s)
        return s;
    if (t->name.n == 0)
        return bad(c, E_FORMAT, "its name is empty");
    c->name = t->name;
    if (memchr(t->name.p, 0, t->name.n))
        return bad(c, E_FORMAT, "its name contains a zero byte");
    s = parse_shape(c, t);
    if (!s)
        s = parse_type(c, t);
    if (!s)
        s = take_u64(c, "the offset", &t->offset);
    return s;
}

/* Adds `bytes`, rounded up to the alignment, to *sum. */
static bool add_padded(uint64_t *sum, uint64_t bytes, uint64_t alignment)
{
    uint64_t padded;
    return !__builtin_add_overflow(bytes, alignment - 1, &padded) &&
           !__builtin_add_overflow(*sum, padded & ~(alignment - 1), sum);
}

/* Tensors follow each other without gaps but the padding: each offset must be the sum so far. */
static status parse_tensors(cursor *c, gguf_part *p, uint64_t n)
{
    p->tensors = mem_array((size_t)n, sizeof *p->tensors);
    if (!p->tensors)
        return fail(c->err, E_NOMEM, "%s: no memory for %" PRIu64 " tensors", p->name, n);
    c->kind = "tensor";
    c->n = n;
    uint64_t expected = 0;
    for (c->i = 0; c->i < n; c->i++) {
        gguf_tensor t = { 0 };
        status s = parse_tensor(c, &t);
        if (s)
            return s;
        if (t.offset != expected)
            return bad(c, E_FORMAT, "its data is at offset %" PRIu64 ", but the tensors before it end at %" PRIu64,
                       t.offset, expected);
        if (!add_padded(&expected, t.bytes, p->alignment))
            return bad(c, E_FORMAT, "the sizes of the tensors add up to more than 2^64 bytes");
        p->tensors[p->n_tensors++] = t;
    }
    c->kind = NULL;
    return OK;
}

/* Where the data begins, that all of it is there, and the data pointers. */
static status place_data(cursor *c, gguf_part *p)
{
    p->data_at = 0;
    if (!add_padded(&p->data_at, c->at, p->alignment))
        return bad(c, E_FORMAT, "no room for the padding before the data");
    if (p->n_tensors == 0) {
        p->data_at = c->at;
        return OK;
    }
    const gguf_tensor *last = &p->tensors[p->n_tensors - 1];
    uint64_t need;
    if (__builtin_add_overflow(p->data_at, last->offset + last->bytes, &need))
        return bad(c, E_FORMAT, "the sizes of the tensors add up to more than 2^64 bytes");
    if (need > p->file_bytes) {
        char human[24];
        return fail(c->err, E_FORMAT, "%s: truncated: %" PRIu64 " bytes (%s) are missing: its %zu tensors need a file "
            "of %"
                    PRIu64 " bytes, it has %" PRIu64 ". Most likely an interrupted download: fetch it again", p->name,
                    need - p->file_bytes, str_human_bytes(human, need - p->file_bytes), p->n_tensors, need,
                    p->file_bytes);
    }
    for (size_t i = 0; i < p->n_tensors; i++) {
        gguf_tensor *t = &p->tensors[i];
        uint64_t from = p->data_at + t->offset;
        if (from + t->bytes <= p->n_bytes)
            t->data = p->bytes + from;
    }
    return OK;
}

status gguf_part_parse(gguf_part *p, error *err)
{
    cursor c = { .part = p, .err = err };
    uint64_t n_tensors = 0, n_keys = 0;
    p->alignment = 32;
    status s = parse_header(&c, &n_tensors, &n_keys);
    if (!s)
        s = parse_keys(&c, p, n_keys);
    if (!s)
        s = parse_tensors(&c, p, n_tensors);
    if (!s)
        s = place_data(&c, p);
    return s;
}

void gguf_part_clear(gguf_part *p)
{
    file_map_close(&p->map);
    mem_free(p->keys);
    mem_free(p->tensors);
    mem_free(p->name);
    *p = (gguf_part){ 0 };
}
