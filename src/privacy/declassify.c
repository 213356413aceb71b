#include "privacy/declassify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/clock.h"
#include "plat/file.h"
#include "plat/paths.h"
#include "privacy/audit.h"
#include "privacy/secret.h"

enum { FILE_MAX = DECLASSIFIED_MAX * 1024, LINE_MAX = 2048 };

typedef struct row {
    uint64_t bytes;
    uint8_t digest[DIGEST_BYTES];
    privacy_class to;
    size_t order; /* of two for one text the later counts */
} row;

struct declassified {
    uint8_t key[DIGEST_BYTES];
    size_t n;
    row rows[]; /* by bytes, then digest */
};

static const char mac_begins[] = ",\"mac\":\"";

/* ---- reading ---- */

static void mac_of(const uint8_t key[DIGEST_BYTES], const char *line, size_t n, char out[DIGEST_HEX])
{
    uint8_t raw[DIGEST_BYTES];
    digest_hmac(key, DIGEST_BYTES, line, n, raw);
    digest_hex(raw, out);
}

static bool unhex(const char *hex, uint8_t out[DIGEST_BYTES])
{
    if (!hex || strlen(hex) != DIGEST_HEX - 1)
        return false;
    for (size_t i = 0; i < DIGEST_HEX - 1; i++) {
        char c = hex[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

/* The line as JSON, and as a row; false: it is not what was written. */
static bool read_line(const uint8_t key[DIGEST_BYTES], const char *line, size_t n, js **j, row *r)
{
    char mac[DIGEST_HEX];
    error ignored;
    int64_t bytes = 0;
    size_t tail = sizeof mac_begins - 1 + DIGEST_HEX - 1 + 2;
    *j = NULL;
    if (n < tail || memcmp(line + n - tail, mac_begins, sizeof mac_begins - 1) != 0)
        return false;
    mac_of(key, line, n - tail, mac);
    if (memcmp(line + n - 2 - (DIGEST_HEX - 1), mac, DIGEST_HEX - 1) != 0 || js_parse(j, line, n, "", 1, &ignored))
        return false;
    const char *to = js_text(js_get(*j, "class"));
    bool ok = to && privacy_class_parse(to, &r->to) && js_int(js_get(*j, "bytes"), &bytes) && bytes > 0 &&
              unhex(js_text(js_get(*j, "digest")), r->digest);
    r->bytes = (uint64_t)bytes;
    return ok;
}

typedef status line_fn(void *user, js *j, const row *r, error *err); /* takes j */

static status each_line(const char *path, const buf *text, const uint8_t key[DIGEST_BYTES], line_fn *fn, void *user,
                        error *err)
{
    status s = OK;
    size_t number = 1;
    for (size_t from = 0; from < text->len && !s; number++) {
        const char *line = text->data + from, *end = memchr(line, '\n', text->len - from);
        row r = { .order = number };
        js *j = NULL;
        if (!end || !read_line(key, line, (size_t)(end - line), &j, &r)) {
            js_free(j);
            return fail(err, E_FORMAT, "%s:%zu: not what was written: a line was changed or cut, or privacy.key is "
                        "another", path, number);
        }
        if (number > DECLASSIFIED_MAX) {
            js_free(j);
            return fail(err, E_RANGE, "%s: over %d texts", path, (int)DECLASSIFIED_MAX);
        }
        s = fn(user, j, &r, err);
        from += (size_t)(end - line) + 1;
    }
    return s;
}

/* Without a file nothing happens, and no secret is made. */
static status read_all(line_fn *fn, void *user, uint8_t key[DIGEST_BYTES], error *err)
{
    char *path = NULL;
    buf text = BUF_INIT(FILE_MAX);
    error none = { 0 };
    status s = path_of(&path, PATH_CONFIG, "declassified", &none);
    if (s)
        return s == E_NOTFOUND ? OK : fail(err, s, "%s", none.text);
    s = file_slurp(path, &text, &none);
    if (!s)
        s = secret_key("declassified", key, err);
    else
        s = s == E_NOTFOUND ? OK : fail(err, s, "%s", none.text);
    if (!s && text.len)
        s = each_line(path, &text, key, fn, user, err);
    buf_clear(&text);
    mem_free(path);
    return s;
}

/* ---- a set ---- */

static int by_text(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    int order = memcmp(x->digest, y->digest, DIGEST_BYTES);
    return order ? order : x->order < y->order ? 1 : -1;
}

static status add_row(void *user, js *j, const row *r, error *err)
{
    declassified **d = user;
    size_t n = *d ? (*d)->n : 0;
    js_free(j);
    if ((n & (n - 1)) == 0) { /* room doubles */
        declassified *more = mem_resize(*d, sizeof **d + (n ? 2 * n : 1) * sizeof *r);
        if (!more)
            return fail(err, E_NOMEM, "no memory for declassified texts");
        more->n = n;
        *d = more;
    }
    (*d)->rows[(*d)->n++] = *r;
    return OK;
}

status declassified_open(declassified **out, error *err)
{
    uint8_t key[DIGEST_BYTES];
    declassified *d = NULL;
    status s = read_all(add_row, &d, key, err);
    if (s) {
        declassified_close(&d);
        return s;
    }
    if (d) {
        memcpy(d->key, key, sizeof key);
        qsort(d->rows, d->n, sizeof *d->rows, by_text);
    }
    *out = d;
    return OK;
}

void declassified_close(declassified **d)
{
    mem_free(*d);
    *d = NULL;
}

size_t declassified_count(const declassified *d)
{
    return d ? d->n : 0;
}

bool declassified_find(const declassified *d, const char *text, size_t n, privacy_class *out)
{
    uint8_t sum[DIGEST_BYTES];
    bool known = false;
    if (!d || n < DECLASSIFY_BYTES_MIN)
        return false;
    span t = span_trim((span){ text, n });
    size_t low = 0, high = d->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->rows[middle].bytes < t.n)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < d->n && d->rows[low].bytes == t.n; low++) {
        if (!known)
            digest_hmac(d->key, DIGEST_BYTES, t.p, t.n, sum);
        known = true;
        if (memcmp(d->rows[low].digest, sum, DIGEST_BYTES) == 0) {
            *out = d->rows[low].to;
            return true;
        }
    }
    return false;
}

/* ---- writing ---- */

static void write_line(const uint8_t key[DIGEST_BYTES], span text, privacy_class to, const char *reason,
                       const char *user, uint64_t record, buf *out)
{
    char hex[DIGEST_HEX];
    mac_of(key, text.p, text.n, hex);
    buf_printf(out, "{\"v\":1,\"at_us\":%lld,\"class\":\"%s\",\"bytes\":%zu,\"digest\":\"%s\",\"reason\":",
               (long long)clock_utc_us(), privacy_class_name(to), text.n, hex);
    js_write_string(out, reason, strlen(reason));
    buf_str(out, ",\"user\":");
    js_write_string(out, user, strlen(user));
    buf_printf(out, ",\"record\":%llu", (unsigned long long)record);
    mac_of(key, buf_text(out), out->len, hex);
    buf_printf(out, "%s%s\"}\n", mac_begins, hex);
}

/* The audit log first: a line without its record would be a text that nobody was told of. */
static status tell_log(span text, privacy_class to, const char *reason, const char *user, uint64_t *record, error *err)
{
    audit *log = NULL;
    audit_receipt receipt;
    status s = audit_open(&log, err);
    if (s)
        return s;
    const audit_entry e = { .kind = "declassify", .privacy = to, .place = PRIVACY_LOCAL, .caller = user,
                            .policy = reason, .body = text.p, .body_bytes = text.n };
    s = audit_append(log, &e, &receipt, err);
    audit_close(&log);
    if (!s)
        *record = receipt.sequence;
    return s;
}

static status append(const char *path, const buf *line, error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, E_IO, "%s: %s", path, strerror(errno));
    status s = file_write_all(fd, path, line->data, line->len, err);
    if (!s && fsync(fd))
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
    close(fd);
    return s;
}

status declassify(const char *text, size_t n, privacy_class to, const char *reason, const char *user, error *err)
{
    uint8_t key[DIGEST_BYTES];
    char *path = NULL;
    buf line = BUF_INIT(LINE_MAX);
    uint64_t record = 0;
    span t = span_trim((span){ text, n });
    size_t said = span_trim(span_of(reason)).n;
    if (t.n < DECLASSIFY_BYTES_MIN)
        return fail(err, E_RANGE, "a text of %zu bytes is in too many others: at least %d", t.n,
                    (int)DECLASSIFY_BYTES_MIN);
    if (!said || strlen(reason) > DECLASSIFY_REASON_MAX)
        return fail(err, E_RANGE, "a reason of 1 to %d bytes is needed", (int)DECLASSIFY_REASON_MAX);
    status s = secret_key("declassified", key, err);
    if (!s)
        s = path_of(&path, PATH_CONFIG, "declassified", err);
    if (!s)
        s = tell_log(t, to, reason, user, &record, err);
    if (!s) {
        write_line(key, t, to, reason, user, record, &line);
        s = buf_ok(&line, "a declassified text", err);
    }
    if (!s)
        s = append(path, &line, err);
    buf_clear(&line);
    mem_free(path);
    explicit_bzero(key, sizeof key);
    return s;
}

static status keep(void *user, js *j, const row *r, error *err)
{
    (void)r;
    return js_push(user, j) ? OK : fail(err, E_NOMEM, "no memory for declassified texts");
}

status declassified_list(js **out, error *err)
{
    uint8_t key[DIGEST_BYTES];
    js *list = js_array();
    status s = list ? read_all(keep, list, key, err) : fail(err, E_NOMEM, "no memory for declassified texts");
    if (s)
        js_free(list);
    else
        *out = list;
    return s;
}
