/* resume.c: the journal beside a part, and what of an earlier run is believed. The format is in write.h. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "gguf/write_int.h"
#include "plat/file.h"

enum { STEP = 1 << 18, LINE_BYTES = 20 + 1 + 20 + 1 + DIGEST_HEX + 1, JOURNAL_MAX = 64 << 20 };

/* Of n bytes of the part. E_FORMAT, E_IO: they are not there; E_NOMEM. */
static status digest_part(const gguf_writer *w, uint64_t at, uint64_t n, uint8_t out[DIGEST_BYTES], error *err)
{
    digest *d = digest_open();
    char *step = mem_alloc(STEP);
    status s = d && step ? OK : fail(err, E_NOMEM, "no memory to read it back");
    while (!s && n) {
        ssize_t k = pread(fileno(w->file), step, n < STEP ? (size_t)n : STEP, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0) {
            s = k ? fail(err, E_IO, "cannot be read back: %s", strerror(errno)) : fail(err, E_FORMAT, "ends too early");
            break;
        }
        digest_add(d, step, (size_t)k);
        at += (uint64_t)k;
        n -= (uint64_t)k;
    }
    digest_close(&d, out);
    mem_free(step);
    return s;
}

/* The line that says that slot i is whole, of what the file holds now. */
static status make_line(const gguf_writer *w, size_t i, char line[LINE_BYTES], error *err)
{
    const gguf_slot *t = &w->slots[i];
    uint8_t sum[DIGEST_BYTES];
    char hex[DIGEST_HEX];
    status s = digest_part(w, w->data_at + t->at, t->bytes + gguf_write_padding(w, t->bytes), sum, err);
    if (s)
        return s;
    digest_hex(sum, hex);
    snprintf(line, LINE_BYTES, "%zu %" PRIu64 " %s\n", i, t->bytes, hex);
    return OK;
}

void gguf_journal_add(gguf_writer *w, size_t i)
{
    char line[LINE_BYTES];
    error err;
    if (w->failure.code)
        return;
    if (fflush(w->file))
        gguf_broken(w, E_IO, "cannot be written: %s", strerror(errno));
    else if (make_line(w, i, line, &err) || file_write_all(w->journal, "its journal", line, strlen(line), &err))
        gguf_broken(w, err.code, "%s", err.text);
}

/* ---- going on ---- */

/* The header that this run would write, and the journal's first line. */
static status digest_header(const gguf_writer *w, const buf *head, const char *made_from, uint8_t header[DIGEST_BYTES],
                            char first[LINE_BYTES], error *err)
{
    static const char zero[1];
    uint8_t sum[DIGEST_BYTES];
    char hex[DIGEST_HEX];
    digest *d = digest_open(), *of = digest_open();
    if (!d || !of) {
        digest_close(&d, NULL);
        digest_close(&of, NULL);
        return fail(err, E_NOMEM, "no memory for a digest");
    }
    digest_add(d, head->data, head->len);
    digest_add(d, w->keys.data, w->keys.len);
    digest_add(d, w->infos.data, w->infos.len);
    for (uint64_t n = head->len + w->keys.len + w->infos.len; n < w->data_at; n++)
        digest_add(d, zero, 1);
    digest_close(&d, header);
    digest_field(of, header, DIGEST_BYTES);
    digest_field(of, made_from, strlen(made_from));
    digest_close(&of, sum);
    digest_hex(sum, hex);
    snprintf(first, LINE_BYTES, "gguf 1 %s\n", hex);
    return OK;
}

static bool has_header(const gguf_writer *w, const uint8_t header[DIGEST_BYTES])
{
    struct stat st;
    uint8_t there[DIGEST_BYTES];
    return fstat(fileno(w->file), &st) == 0 && (uint64_t)st.st_size <= w->data_at + w->offset &&
           digest_part(w, 0, w->data_at, there, NULL) == OK && memcmp(there, header, sizeof there) == 0;
}

/* Where each slot's last line begins; a line that was cut short is taken from the journal. E_FORMAT: not this run's. */
static status read_lines(gguf_writer *w, const char *first, buf *text, const char **lines, error *err)
{
    status s = file_slurp_fd(w->journal, "its journal", text, err);
    if (s)
        return s;
    const char *p = buf_text(text), *end = strrchr(p, '\n');
    size_t n = strlen(first);
    if (strncmp(p, first, n) != 0)
        return fail(err, E_FORMAT, "another journal");
    for (p += n; p <= end; p = strchr(p, '\n') + 1) {
        char *after;
        unsigned long long i = strtoull(p, &after, 10);
        if (after > p && *after == ' ' && i < w->n_tensors)
            lines[i] = p;
    }
    if (ftruncate(w->journal, end + 1 - buf_text(text)))
        return fail(err, E_IO, "its journal cannot be written: %s", strerror(errno));
    return OK;
}

/* Believes of the earlier run what the file still holds. OK: goes on, w->journal is open. */
static status go_on(gguf_writer *w, const char *first, error *err)
{
    buf text = BUF_INIT(JOURNAL_MAX);
    char line[LINE_BYTES];
    const char **lines = mem_zero((w->n_tensors ? w->n_tensors : 1) * sizeof *lines);
    w->journal = lines ? open(w->journal_path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW) : -1;
    status s = lines ? OK : fail(err, E_NOMEM, "no memory for a journal");
    if (!s && w->journal < 0)
        s = fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "its journal: %s", strerror(errno));
    if (!s)
        s = read_lines(w, first, &text, lines, err);
    for (size_t i = 0; !s && i < w->n_tensors; i++) {
        if (!lines[i])
            continue;
        status read = make_line(w, i, line, err);
        w->slots[i].whole = !read && strncmp(lines[i], line, strlen(line)) == 0;
        s = read == E_NOMEM ? read : OK;
    }
    if (s && w->journal >= 0) {
        close(w->journal);
        w->journal = -1;
    }
    buf_clear(&text);
    mem_free(lines);
    return s;
}

static void begin_journal(gguf_writer *w, const char *first)
{
    error err;
    if (w->failure.code)
        return;
    if (fflush(w->file))
        gguf_broken(w, E_IO, "cannot be written: %s", strerror(errno));
    else if (file_open_new(&w->journal, w->journal_path, 0644, &err) ||
             file_write_all(w->journal, "its journal", first, strlen(first), &err))
        gguf_broken(w, err.code, "%s", err.text);
}

status gguf_writer_resume(gguf_writer *w, const char *made_from, bool *whole, error *err)
{
    buf head = BUF_INIT(64);
    error why = { 0 };
    uint8_t header[DIGEST_BYTES];
    char first[LINE_BYTES];
    if (!w->file || w->state == GGUF_DATA)
        gguf_broken(w, E_RANGE, "only a file without data yet can go on from an earlier run");
    else
        gguf_write_begin(w, &head);
    if (!w->failure.code && digest_header(w, &head, made_from, header, first, &why))
        gguf_broken(w, why.code, "%s", why.text);
    status s = w->failure.code;
    if (!s && (!has_header(w, header) || (s = go_on(w, first, &why)) != OK)) {
        if (s == E_NOMEM)
            gguf_broken(w, s, "%s", why.text);
        gguf_write_anew(w, &head);
        begin_journal(w, first);
    }
    for (size_t i = 0; i < w->n_tensors; i++)
        whole[i] = w->slots[i].whole;
    buf_clear(&head);
    return gguf_writer_ok(w, err);
}
