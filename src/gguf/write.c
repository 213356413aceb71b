/* The writer collects the header in memory (it must know all offsets) and then puts data where it belongs. */
#include "gguf/write.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "gguf/gguf_int.h"
#include "gguf/write_int.h"
#include "plat/file.h"
#include "quant/quant.h"

enum { HEADER_MAX = 1 << 30, RUNS_MAX = 1 << 16 };

void gguf_broken(gguf_writer *w, status code, const char *format, ...)
{
    if (w->failure.code)
        return;
    va_list args;
    va_start(args, format);
    fail_v(&w->failure, code, format, args);
    va_end(args);
    (void)fail_prefix(&w->failure, code, "%s: ", w->path);
}

status gguf_writer_ok(const gguf_writer *w, error *err)
{
    return w->failure.code ? fail(err, w->failure.code, "%s", w->failure.text) : OK;
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
    w->journal = -1;
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
    int fd = -1;
    char *part = mem_strjoin(path, ".part"), *journal = mem_strjoin(path, ".part.done");
    status s = part && journal ? OK : no_memory(path, err);
    if (!s)
        s = gguf_writer_open_header(&w, path, err);
    if (!s)
        s = file_open_locked(&fd, part, 0644, err);
    if (!s && !(w->file = fdopen(fd, "wb"))) {
        s = fail(err, E_IO, "%s: cannot be written: %s", part, strerror(errno));
        close(fd);
    }
    if (s) {
        gguf_writer_close(&w);
        mem_free(part);
        mem_free(journal);
        return s;
    }
    w->part = part;
    w->journal_path = journal;
    *out = w;
    return OK;
}

/* Removed while it is locked: what the name stands for after that may be another writer's. */
static void remove_parts(const gguf_writer *w)
{
    if (!w->part)
        return;
    unlink(w->journal_path);
    unlink(w->part);
}

static void free_writer(gguf_writer *w)
{
    if (w->journal >= 0)
        close(w->journal);
    if (w->file)
        fclose(w->file);
    buf_clear(&w->keys);
    buf_clear(&w->infos);
    for (size_t i = 0; i < w->n_tensors; i++)
        runs_clear(&w->slots[i].have);
    mem_free(w->slots);
    mem_free(w->part);
    mem_free(w->journal_path);
    mem_free(w->path);
    mem_free(w);
}

void gguf_writer_close(gguf_writer **writer)
{
    gguf_writer *w = *writer;
    *writer = NULL;
    if (!w)
        return;
    remove_parts(w);
    free_writer(w);
}

void gguf_writer_keep(gguf_writer **writer)
{
    gguf_writer *w = *writer;
    struct stat st;
    *writer = NULL;
    if (!w)
        return;
    bool begun = w->state == GGUF_DATA, empty = w->file && fstat(fileno(w->file), &st) == 0 && st.st_size == 0;
    if (begun ? w->journal < 0 : empty)
        remove_parts(w);
    free_writer(w);
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
    if (w->state != GGUF_KEYS) {
        gguf_broken(w, E_RANGE, "key '%.*s' after the first tensor", (int)name.n, name.p);
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
        gguf_broken(w, E_RANGE, "an alignment of %" PRIu32 " is no power of two", alignment);
    else if (w->state != GGUF_KEYS)
        gguf_broken(w, E_RANGE, "the alignment after the first tensor");
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
        gguf_broken(w, E_RANGE, "key '%s': not a numeric type", name);
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
    if (size == 0 || w->file || w->n_blanks == GGUF_BLANKS_MAX || n > HEADER_MAX / size || text_bytes > HEADER_MAX) {
        gguf_broken(w, E_RANGE, "key '%s': a type, a header alone, up to %d blanks of up to 1 GiB are wanted", name,
                    GGUF_BLANKS_MAX);
        return;
    }
    uint64_t bytes = n * size;
    if (!array(w, name, type, n))
        return;
    if (type == GGUF_STR && n) {
        add_little(&w->keys, text_bytes, 8);
        bytes += text_bytes - 8;
    }
    w->blanks[w->n_blanks++] = (gguf_blank){ w->keys.len, (size_t)bytes };
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
        gguf_broken(w, E_RANGE, "tensor '%s': a name of 1 to %d bytes, 1 to %d dimensions above 0, whole blocks of %s "
                    "are needed", name, GGUF_MAX_NAME, GGUF_MAX_DIMS, quant_name(type));
        return 0;
    }
    return bytes;
}

static bool more_slots(gguf_writer *w)
{
    if (w->n_tensors < w->slots_room)
        return true;
    size_t room = w->slots_room ? 2 * w->slots_room : 64;
    gguf_slot *slots = mem_resize(w->slots, room * sizeof *slots);
    if (!slots) {
        gguf_broken(w, E_NOMEM, "no memory for %zu tensors", room);
        return false;
    }
    w->slots = slots;
    w->slots_room = room;
    return true;
}

void gguf_writer_tensor(gguf_writer *w, const char *name, uint32_t type, int n_dims, const uint64_t *ne)
{
    uint64_t bytes = tensor_bytes(w, name, type, n_dims, ne);
    if (w->state == GGUF_DATA)
        gguf_broken(w, E_RANGE, "tensor '%s' after the first data", name);
    if (w->n_tensors >= GGUF_MAX_TENSORS)
        gguf_broken(w, E_RANGE, "more than %d tensors", GGUF_MAX_TENSORS);
    if (bytes == 0 || w->failure.code)
        return;
    if (!more_slots(w))
        return;
    w->state = GGUF_TENSORS;
    w->slots[w->n_tensors++] = (gguf_slot){ .at = w->offset, .bytes = bytes, .name_at = w->infos.len };
    add_string(&w->infos, span_of(name));
    add_little(&w->infos, (uint64_t)n_dims, 4);
    for (int i = 0; i < n_dims; i++)
        add_little(&w->infos, ne[i], 8);
    add_little(&w->infos, type, 4);
    add_little(&w->infos, w->offset, 8);
    if (__builtin_add_overflow(w->offset, bytes + gguf_write_padding(w, bytes), &w->offset))
        gguf_broken(w, E_RANGE, "the tensors add up to more than 2^64 bytes");
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static void put(gguf_writer *w, uint64_t at, const void *bytes, size_t n)
{
    if (!w->file)
        gguf_broken(w, E_RANGE, "a header alone was begun: it has no data and no file");
    if (w->failure.code || n == 0)
        return;
    if ((w->file_at != at && fseeko(w->file, (off_t)at, SEEK_SET)) || fwrite(bytes, 1, n, w->file) != n)
        gguf_broken(w, E_IO, "cannot be written: %s", strerror(errno));
    w->file_at = at + n;
}

uint64_t gguf_write_padding(const gguf_writer *w, uint64_t after)
{
    return -after & (w->alignment - 1);
}

static void pad(gguf_writer *w, uint64_t at, uint64_t after)
{
    static const char zeros[4096];
    uint64_t n = gguf_write_padding(w, after);
    for (; n > sizeof zeros; n -= sizeof zeros, at += sizeof zeros)
        put(w, at, zeros, sizeof zeros);
    put(w, at, zeros, (size_t)n);
}

void gguf_write_begin(gguf_writer *w, buf *head)
{
    w->state = GGUF_DATA;
    error err;
    if (buf_ok(&w->keys, "the header", &err) || buf_ok(&w->infos, "the header", &err))
        gguf_broken(w, err.code, "%s", err.text);
    buf_add(head, "GGUF", 4);
    add_little(head, 3, 4);
    add_little(head, w->n_tensors, 8);
    add_little(head, w->n_keys, 8);
    if (buf_ok(head, "the header", &err))
        gguf_broken(w, err.code, "%s", err.text);
    w->data_at = head->len + w->keys.len + w->infos.len;
    if (w->n_tensors)
        w->data_at += gguf_write_padding(w, w->data_at);
}

void gguf_write_anew(gguf_writer *w, const buf *head)
{
    const buf *const parts[] = { head, &w->keys, &w->infos };
    uint64_t at = 0;
    /* the journal first: it must never speak of a file that another run began */
    bool there = w->file && !w->failure.code;
    if (there && ((unlink(w->journal_path) && errno != ENOENT) || ftruncate(fileno(w->file), 0)))
        gguf_broken(w, E_IO, "cannot be begun anew: %s", strerror(errno));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        put(w, at, parts[i]->data, parts[i]->len);
        at += parts[i]->len;
    }
    if (w->n_tensors)
        pad(w, at, at);
}

static void put_header(gguf_writer *w)
{
    buf head = BUF_INIT(64);
    gguf_write_begin(w, &head);
    gguf_write_anew(w, &head);
    buf_clear(&head);
}

status gguf_writer_room(const gguf_writer *w, error *err)
{
    char need[24], have[24];
    struct statvfs disk;
    struct stat st;
    if (w->failure.code || !w->file || fstatvfs(fileno(w->file), &disk) || fstat(fileno(w->file), &st))
        return gguf_writer_ok(w, err); /* writing will say */
    uint64_t bytes = w->keys.len + w->infos.len + w->offset;
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize + (uint64_t)st.st_blocks * 512;
    if (bytes <= room)
        return OK;
    return fail(err, E_NOFIT, "%s: %s are needed, and its disk has %s free", w->path, str_human_bytes(need, bytes),
                str_human_bytes(have, room));
}

/* A tensor's name, as infos has it. */
static span name_of(const gguf_writer *w, const gguf_slot *t)
{
    const unsigned char *p = (const unsigned char *)w->infos.data + t->name_at;
    return (span){ (const char *)p + 8, (size_t)gguf_load_u64(p) };
}

/* Bytes that nobody wrote before, within the tensor. */
static bool take_note(gguf_writer *w, gguf_slot *t, uint64_t offset, size_t n)
{
    span name = name_of(w, t);
    uint64_t sum = runs_sum(&t->have);
    if (offset > t->bytes || n > t->bytes - offset)
        gguf_broken(w, E_RANGE, "tensor '%.*s': %zu bytes at %" PRIu64 " are more than its %" PRIu64, (int)name.n,
                    name.p, n, offset, t->bytes);
    else if (t->have.n >= RUNS_MAX)
        gguf_broken(w, E_RANGE, "tensor '%.*s': in more than %d pieces", (int)name.n, name.p, RUNS_MAX);
    else if (!runs_add(&t->have, offset, offset + n))
        gguf_broken(w, E_NOMEM, "tensor '%.*s': no memory", (int)name.n, name.p);
    else if (t->whole || runs_sum(&t->have) != sum + n)
        gguf_broken(w, E_RANGE, "tensor '%.*s': bytes at %" PRIu64 " were written before", (int)name.n, name.p,
                    offset);
    return !w->failure.code;
}

void gguf_writer_data_at(gguf_writer *w, size_t tensor, uint64_t offset, const void *bytes, size_t n)
{
    if (w->state != GGUF_DATA)
        put_header(w);
    if (tensor >= w->n_tensors)
        gguf_broken(w, E_RANGE, "data of tensor %zu, and %zu are declared", tensor, w->n_tensors);
    if (w->failure.code || n == 0 || !take_note(w, &w->slots[tensor], offset, n))
        return;
    gguf_slot *t = &w->slots[tensor];
    put(w, w->data_at + t->at + offset, bytes, n);
    if (w->failure.code || runs_prefix(&t->have) < t->bytes)
        return;
    pad(w, w->data_at + t->at + t->bytes, t->bytes);
    runs_clear(&t->have);
    t->whole = true;
    if (w->journal >= 0)
        gguf_journal_add(w, tensor);
}

void gguf_writer_data(gguf_writer *w, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n && !w->failure.code) {
        while (w->current < w->n_tensors && w->slots[w->current].whole)
            w->current++;
        if (w->current == w->n_tensors) {
            gguf_broken(w, E_RANGE, "%zu bytes more than the declared tensors hold", n);
            return;
        }
        const gguf_slot *t = &w->slots[w->current];
        uint64_t at = runs_prefix(&t->have), left = t->bytes - at;
        size_t now = n < left ? n : (size_t)left;
        gguf_writer_data_at(w, w->current, at, p, now);
        p += now;
        n -= now;
    }
}

static void check_whole(gguf_writer *w)
{
    for (size_t i = 0; i < w->n_tensors && !w->failure.code; i++) {
        const gguf_slot *t = &w->slots[i];
        span name = name_of(w, t);
        if (!t->whole)
            gguf_broken(w, E_RANGE, "tensor '%.*s': %" PRIu64 " of its %" PRIu64 " bytes were written", (int)name.n,
                        name.p, runs_sum(&t->have), t->bytes);
    }
}

status gguf_writer_finish(gguf_writer **writer, error *err)
{
    gguf_writer *w = *writer;
    if (w->state != GGUF_DATA)
        put_header(w);
    check_whole(w);
    if (!w->failure.code && (fflush(w->file) || fsync(fileno(w->file))))
        gguf_broken(w, E_IO, "cannot be written: %s", strerror(errno));
    if (!w->failure.code && rename(w->part, w->path))
        gguf_broken(w, E_IO, "cannot take its name: %s", strerror(errno));
    status s = gguf_writer_ok(w, err);
    if (s) {
        gguf_writer_close(writer);
        return s;
    }
    unlink(w->journal_path); /* last: until the name is taken it is worth something */
    free_writer(w);
    *writer = NULL;
    return OK;
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
        gguf_broken(w, E_RANGE, "a file is being written, not a header alone");
    gguf_write_begin(w, &head);
    size_t n = head.len + w->keys.len + w->blank_bytes + w->infos.len;
    uint64_t padding = w->n_tensors ? gguf_write_padding(w, n) : 0;
    if (__builtin_add_overflow(n + padding, w->offset, &file_bytes))
        gguf_broken(w, E_RANGE, "the tensors add up to more than 2^64 bytes");
    char *whole = w->failure.code ? NULL : join_header(w, &head, n);
    if (!w->failure.code && !whole)
        gguf_broken(w, E_NOMEM, "no memory for a header of %zu bytes", n);
    status s = w->failure.code ? fail(err, w->failure.code, "%s", w->failure.text)
                               : gguf_parse_owned(out, whole, n, file_bytes, w->path, err);
    buf_clear(&head);
    gguf_writer_close(writer);
    return s;
}
