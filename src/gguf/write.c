/* The writer collects the header in memory (it must know all offsets) and streams the data behind it.
 *
 * States: KEYS, after the first gguf_writer_tensor TENSORS, after the first gguf_writer_data DATA. Going back is a
 * programming error and reported as one by finish. */
#include "gguf/write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gguf/gguf_int.h"
#include "quant/quant.h"

enum { HEADER_MAX = 1 << 30, BLANKS_MAX = 8 };
enum state { KEYS, TENSORS, DATA };

/* Zeros that are not in the buffer of keys but belong there, before what is at `at`. */
typedef struct blank {
    size_t at, bytes;
} blank;

struct gguf_writer {
    char *path, *part;
    FILE *file;
    enum state state;
    uint32_t alignment;
    uint64_t n_keys, n_tensors;
    buf keys, infos;
    blank blanks[BLANKS_MAX];
    size_t n_blanks, blank_bytes;
    uint64_t *sizes;        /* of each tensor, unpadded */
    size_t sizes_room;
    uint64_t offset;        /* where the next declared tensor begins, or ends with DATA: all declared bytes */
    size_t current;         /* the tensor being written */
    uint64_t written;       /* of it */
    error failure;          /* the first; code OK: none */
};

static void broken(gguf_writer *w, status code, const char *format, ...) PRINTF_LIKE(3, 4);
static void broken(gguf_writer *w, status code, const char *format, ...)
{
    if (w->failure.code)
        return;
    va_list args;
    va_start(args, format);
    fail_v(&w->failure, code, format, args);
    va_end(args);
    (void)fail_prefix(&w->failure, code, "%s: ", w->path);
}

static status no_memory(const char *name, error *err)
{
    return fail(err, E_NOMEM, "%s: no memory to write it", name);
}

status gguf_writer_open_header(gguf_writer **out, const char *name, error *err)
{
    gguf_writer *w = mem_zero(sizeof *w);
    if (!w)
        return no_memory(name, err);
    w->alignment = 32;
    w->keys = (buf)BUF_INIT(HEADER_MAX);
    w->infos = (buf)BUF_INIT(HEADER_MAX);
    w->path = mem_strdup(name);
    if (!w->path) {
        mem_free(w);
        return no_memory(name, err);
    }
    *out = w;
    return OK;
}

status gguf_writer_open(gguf_writer **out, const char *path, error *err)
{
    gguf_writer *w = NULL;
    size_t part_bytes = strlen(path) + sizeof ".part";
    status s = gguf_writer_open_header(&w, path, err);
    if (s)
        return s;
    char *part = mem_alloc(part_bytes);
    if (!part) {
        gguf_writer_close(&w);
        return no_memory(path, err);
    }
    snprintf(part, part_bytes, "%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0)
        w->file = fdopen(fd, "wb");
    if (!w->file) {
        s = fail(err, E_IO, "%s: cannot be written: %s", part, strerror(errno));
        if (fd >= 0)
            close(fd);
        mem_free(part);
        gguf_writer_close(&w);
        return s;
    }
    w->part = part;
    *out = w;
    return OK;
}

void gguf_writer_close(gguf_writer **writer)
{
    gguf_writer *w = *writer;
    *writer = NULL;
    if (!w)
        return;
    if (w->file)
        fclose(w->file);
    if (w->part)
        unlink(w->part);
    buf_clear(&w->keys);
    buf_clear(&w->infos);
    mem_free(w->sizes);
    mem_free(w->part);
    mem_free(w->path);
    mem_free(w);
}

/* ---- header ------------------------------------------------------------------------------------------------------ */

static void store_little(char *p, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (char)(unsigned char)(v >> (8 * i));
}

static void add_little(buf *b, uint64_t v, size_t bytes)
{
    char p[8];
    store_little(p, v, bytes);
    buf_add(b, p, bytes);
}

static void add_string(buf *b, span s)
{
    add_little(b, s.n, 8);
    buf_add(b, s.p, s.n);
}

static bool key(gguf_writer *w, span name, uint32_t type)
{
    if (w->state != KEYS) {
        broken(w, E_RANGE, "key '%.*s' after the first tensor", (int)name.n, name.p);
        return false;
    }
    add_string(&w->keys, name);
    add_little(&w->keys, type, 4);
    w->n_keys++;
    return true;
}

static void scalar(gguf_writer *w, const char *name, gguf_type type, uint64_t bits)
{
    if (key(w, span_of(name), type))
        add_little(&w->keys, bits, gguf_type_bytes(type));
}

void gguf_writer_alignment(gguf_writer *w, uint32_t alignment)
{
    if (alignment == 0 || (alignment & (alignment - 1)))
        broken(w, E_RANGE, "an alignment of %" PRIu32 " is no power of two", alignment);
    else if (w->state != KEYS)
        broken(w, E_RANGE, "the alignment after the first tensor");
    else
        w->alignment = alignment;
    if (alignment != 32)
        gguf_writer_u32(w, "general.alignment", alignment);
}

void gguf_writer_u32(gguf_writer *w, const char *name, uint32_t v)
{
    scalar(w, name, GGUF_U32, v);
}

void gguf_writer_i32(gguf_writer *w, const char *name, int32_t v)
{
    scalar(w, name, GGUF_I32, (uint32_t)v);
}

void gguf_writer_u64(gguf_writer *w, const char *name, uint64_t v)
{
    scalar(w, name, GGUF_U64, v);
}

void gguf_writer_f32(gguf_writer *w, const char *name, float v)
{
    uint32_t u;
    memcpy(&u, &v, 4);
    scalar(w, name, GGUF_F32, u);
}

void gguf_writer_bool(gguf_writer *w, const char *name, bool v)
{
    scalar(w, name, GGUF_BOOL, v);
}

void gguf_writer_str(gguf_writer *w, const char *name, const char *text)
{
    if (key(w, span_of(name), GGUF_STR))
        add_string(&w->keys, span_of(text));
}

static bool array(gguf_writer *w, const char *name, gguf_type type, uint64_t n)
{
    if (!key(w, span_of(name), GGUF_ARRAY))
        return false;
    add_little(&w->keys, type, 4);
    add_little(&w->keys, n, 8);
    return true;
}

/* Where n elements of `size` bytes go; NULL: there is no room, which the buffer remembers. */
static char *room(gguf_writer *w, uint64_t n, size_t size)
{
    return buf_reserve(&w->keys, n <= HEADER_MAX / size ? (size_t)n * size : SIZE_MAX);
}

void gguf_writer_array(gguf_writer *w, const char *name, gguf_type type, const void *elements, uint64_t n)
{
    size_t size = gguf_type_bytes(type);
    if (size == 0) {
        broken(w, E_RANGE, "key '%s': not a numeric type", name);
        return;
    }
    if (!array(w, name, type, n))
        return;
    const unsigned char *p = elements;
    char *to = room(w, n, size);
    for (uint64_t i = 0; to && i < n; i++, p += size, to += size) {
        uint16_t u16;
        uint32_t u32;
        uint64_t u64 = p[0];
        if (size == 2) {
            memcpy(&u16, p, 2);
            u64 = u16;
        } else if (size == 4) {
            memcpy(&u32, p, 4);
            u64 = u32;
        } else if (size == 8) {
            memcpy(&u64, p, 8);
        }
        store_little(to, u64, size);
    }
    if (to)
        buf_advance(&w->keys, (size_t)n * size);
}

void gguf_writer_blank(gguf_writer *w, const char *name, gguf_type type, uint64_t n, uint64_t text_bytes)
{
    size_t size = type == GGUF_STR ? 8 : gguf_type_bytes(type);
    if (size == 0 || w->file || w->n_blanks == BLANKS_MAX || n > HEADER_MAX / size || text_bytes > HEADER_MAX) {
        broken(w, E_RANGE, "key '%s': a type, a header alone, up to %d blanks of up to 1 GiB are wanted", name,
               BLANKS_MAX);
        return;
    }
    uint64_t bytes = n * size;
    if (!array(w, name, type, n))
        return;
    if (type == GGUF_STR && n) {
        add_little(&w->keys, text_bytes, 8);
        bytes += text_bytes - 8;
    }
    w->blanks[w->n_blanks++] = (blank){ w->keys.len, (size_t)bytes };
    w->blank_bytes += (size_t)bytes;
}

void gguf_writer_strings(gguf_writer *w, const char *name, const span *texts, uint64_t n)
{
    if (!array(w, name, GGUF_STR, n))
        return;
    for (uint64_t i = 0; i < n; i++)
        add_string(&w->keys, texts[i]);
}

void gguf_writer_copy(gguf_writer *w, const gguf_value *v)
{
    if (!key(w, v->key, v->is_array ? GGUF_ARRAY : (uint32_t)v->type))
        return;
    if (v->is_array) {
        add_little(&w->keys, v->type, 4);
        add_little(&w->keys, v->n, 8);
    }
    buf_add(&w->keys, v->data, (size_t)v->bytes);
}

/* The size in bytes of a tensor, or 0 with the failure set. */
static uint64_t tensor_bytes(gguf_writer *w, const char *name, uint32_t type, int n_dims, const uint64_t *ne)
{
    uint64_t bytes = n_dims >= 1 && n_dims <= GGUF_MAX_DIMS ? quant_row_bytes(type, ne[0]) : 0;
    for (int i = 1; i < n_dims && bytes; i++)
        if (__builtin_mul_overflow(bytes, ne[i], &bytes))
            bytes = 0;
    if (bytes == 0 || bytes > INT64_MAX || strlen(name) == 0 || strlen(name) > GGUF_MAX_NAME) {
        broken(w, E_RANGE, "tensor '%s': a name of 1 to %d bytes, 1 to %d dimensions above 0, whole blocks of %s are "
               "needed", name, GGUF_MAX_NAME, GGUF_MAX_DIMS, quant_name(type));
        return 0;
    }
    return bytes;
}

void gguf_writer_tensor(gguf_writer *w, const char *name, uint32_t type, int n_dims, const uint64_t *ne)
{
    uint64_t bytes = tensor_bytes(w, name, type, n_dims, ne);
    if (w->state == DATA)
        broken(w, E_RANGE, "tensor '%s' after the first data", name);
    if (w->n_tensors >= GGUF_MAX_TENSORS)
        broken(w, E_RANGE, "more than %d tensors", GGUF_MAX_TENSORS);
    if (bytes == 0 || w->failure.code)
        return;
    if (w->n_tensors == w->sizes_room) {
        size_t room = w->sizes_room ? 2 * w->sizes_room : 64;
        uint64_t *sizes = mem_resize(w->sizes, room * sizeof *sizes);
        if (!sizes) {
            broken(w, E_NOMEM, "no memory for %zu tensors", room);
            return;
        }
        w->sizes = sizes;
        w->sizes_room = room;
    }
    w->state = TENSORS;
    w->sizes[w->n_tensors++] = bytes;
    add_string(&w->infos, span_of(name));
    add_little(&w->infos, (uint64_t)n_dims, 4);
    for (int i = 0; i < n_dims; i++)
        add_little(&w->infos, ne[i], 8);
    add_little(&w->infos, type, 4);
    add_little(&w->infos, w->offset, 8);
    uint64_t padded = (bytes + w->alignment - 1) & ~(uint64_t)(w->alignment - 1);
    if (__builtin_add_overflow(w->offset, padded, &w->offset))
        broken(w, E_RANGE, "the tensors add up to more than 2^64 bytes");
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static void put(gguf_writer *w, const void *bytes, size_t n)
{
    if (!w->file)
        broken(w, E_RANGE, "a header alone was begun: it has no data and no file");
    if (!w->failure.code && n && fwrite(bytes, 1, n, w->file) != n)
        broken(w, E_IO, "cannot be written: %s", strerror(errno));
}

static void pad(gguf_writer *w, uint64_t after)
{
    static const char zeros[4096];
    uint64_t n = -after & (w->alignment - 1);
    for (; n > sizeof zeros; n -= sizeof zeros)
        put(w, zeros, sizeof zeros);
    put(w, zeros, (size_t)n);
}

/* What stands before the keys; checks that those and the tensors' entries are whole. */
static void begin_header(gguf_writer *w, buf *head)
{
    w->state = DATA;
    error err;
    if (buf_ok(&w->keys, "the header", &err) || buf_ok(&w->infos, "the header", &err))
        broken(w, err.code, "%s", err.text);
    buf_add(head, "GGUF", 4);
    add_little(head, 3, 4);
    add_little(head, w->n_tensors, 8);
    add_little(head, w->n_keys, 8);
    if (buf_ok(head, "the header", &err))
        broken(w, err.code, "%s", err.text);
}

static void put_header(gguf_writer *w)
{
    buf head = BUF_INIT(64);
    begin_header(w, &head);
    put(w, head.data, head.len);
    put(w, w->keys.data, w->keys.len);
    put(w, w->infos.data, w->infos.len);
    if (w->n_tensors)
        pad(w, head.len + w->keys.len + w->infos.len);
    buf_clear(&head);
}

void gguf_writer_data(gguf_writer *w, const void *bytes, size_t n)
{
    const char *p = bytes;
    if (w->state != DATA)
        put_header(w);
    while (n && !w->failure.code) {
        if (w->current == w->n_tensors) {
            broken(w, E_RANGE, "%zu bytes more than the declared tensors hold", n);
            return;
        }
        uint64_t left = w->sizes[w->current] - w->written;
        size_t now = n < left ? n : (size_t)left;
        put(w, p, now);
        p += now;
        n -= now;
        w->written += now;
        if (now == left) {
            pad(w, w->sizes[w->current]);
            w->current++;
            w->written = 0;
        }
    }
}

status gguf_writer_finish(gguf_writer **writer, error *err)
{
    gguf_writer *w = *writer;
    if (w->state != DATA)
        put_header(w);
    if (w->current != w->n_tensors)
        broken(w, E_RANGE, "the data ends in tensor %zu of %" PRIu64, w->current + 1, w->n_tensors);
    if (!w->failure.code && (fflush(w->file) || fsync(fileno(w->file))))
        broken(w, E_IO, "cannot be written: %s", strerror(errno));
    int closed = w->file ? fclose(w->file) : 0;
    w->file = NULL;
    if (closed)
        broken(w, E_IO, "cannot be written: %s", strerror(errno));
    if (!w->failure.code && rename(w->part, w->path))
        broken(w, E_IO, "cannot take its name: %s", strerror(errno));
    status s = w->failure.code;
    if (s) {
        (void)fail(err, s, "%s", w->failure.text);
    } else {
        mem_free(w->part); /* nothing left to remove */
        w->part = NULL;
    }
    gguf_writer_close(writer);
    return s;
}

/* The parts of a header one after the other in memory that is zero where nothing is copied to: blanks stay unmapped. */
static char *join_header(const gguf_writer *w, const buf *head, size_t n)
{
    char *whole = mem_zero(n ? n : 1), *to = whole;
    size_t from = 0;
    if (!whole)
        return NULL;
    memcpy(to, head->data, head->len);
    to += head->len;
    for (size_t i = 0; i < w->n_blanks; i++) {
        size_t step = w->blanks[i].at - from;
        memcpy(to, w->keys.data + from, step);
        to += step + w->blanks[i].bytes;
        from += step;
    }
    if (w->keys.len > from)
        memcpy(to, w->keys.data + from, w->keys.len - from);
    if (w->infos.len)
        memcpy(to + (w->keys.len - from), w->infos.data, w->infos.len);
    return whole;
}

status gguf_writer_header(gguf_writer **writer, gguf **out, error *err)
{
    gguf_writer *w = *writer;
    buf head = BUF_INIT(64);
    uint64_t file_bytes = 0;
    if (w->file)
        broken(w, E_RANGE, "a file is being written, not a header alone");
    begin_header(w, &head);
    size_t n = head.len + w->keys.len + w->blank_bytes + w->infos.len;
    uint64_t padded = w->n_tensors ? (n + w->alignment - 1) & ~(uint64_t)(w->alignment - 1) : n;
    if (__builtin_add_overflow(padded, w->offset, &file_bytes))
        broken(w, E_RANGE, "the tensors add up to more than 2^64 bytes");
    char *whole = w->failure.code ? NULL : join_header(w, &head, n);
    if (!w->failure.code && !whole)
        broken(w, E_NOMEM, "no memory for a header of %zu bytes", n);
    status s = w->failure.code ? fail(err, w->failure.code, "%s", w->failure.text)
                               : gguf_parse_owned(out, whole, n, file_bytes, w->path, err);
    buf_clear(&head);
    gguf_writer_close(writer);
    return s;
}
