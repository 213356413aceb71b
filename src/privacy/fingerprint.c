/* fingerprint.c: winnowed shingles in a keyed Bloom filter. See fingerprint.h. */
#include "privacy/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/siphash.h"
#include "plat/file.h"
#include "privacy/detect_int.h"

enum { SHINGLE = FINGERPRINT_SHINGLE, WINDOW = FINGERPRINT_WINDOW, VERSION = 2, PROBES = 13, HEADER = 48 };
/* 13 probes into 20 bits a shingle: one foreign shingle in 12,000 (Bloom 1970: (1 - e^(-13/20))^13). Winnowing keeps
 * 2 / (WINDOW + 1) of the shingles. */
enum { BITS_PER_SHINGLE = 20, BITS_MIN = 1 << 13 };

struct fingerprint {
    uint8_t key[DIGEST_BYTES]; /* of the file, and of all other keys */
    uint64_t sip[2];           /* of the filter */
    uint64_t bytes[256];       /* the rolling hash: what a byte counts, and its base, both of the key */
    uint64_t base, base_out;   /* base_out: base to the power SHINGLE */
    uint64_t n_bits, n_documents, n_shingles;
    uint8_t *bits;
};

/* ---- keys ---- */

static uint64_t get_number(const uint8_t *p, int n)
{
    uint64_t x = 0;
    while (n-- > 0)
        x = x << 8 | p[n];
    return x;
}

static void four_numbers(const uint8_t bytes[DIGEST_BYTES], uint64_t out[4])
{
    for (int i = 0; i < 4; i++)
        out[i] = get_number(bytes + 8 * i, 8);
}

static void derive(const uint8_t key[DIGEST_BYTES], const char *use, uint64_t i, uint64_t out[4])
{
    char message[64];
    uint8_t bytes[DIGEST_BYTES];
    int n = snprintf(message, sizeof message, "%s %llu", use, (unsigned long long)i);
    digest_hmac(key, DIGEST_BYTES, message, (size_t)n, bytes);
    four_numbers(bytes, out);
}

static void set_keys(fingerprint *f, const void *key, size_t key_n)
{
    static const char purpose[] = "hearth fingerprint";
    uint64_t some[4];
    digest_hmac(key, key_n, purpose, sizeof purpose - 1, f->key);
    for (size_t i = 0; i < 256; i += 4)
        derive(f->key, "byte", i, f->bytes + i);
    derive(f->key, "base", 0, some);
    f->base = some[0] | 1;
    memcpy(f->sip, some + 2, sizeof f->sip);
    f->base_out = 1;
    for (int i = 0; i < SHINGLE; i++)
        f->base_out *= f->base;
}

static status open_bits(fingerprint **out, const void *key, size_t key_n, uint64_t n_bits, error *err)
{
    if (key_n < FINGERPRINT_KEY_MIN)
        return fail(err, E_RANGE, "a key of %zu bytes; fingerprints need at least %d", key_n, (int)FINGERPRINT_KEY_MIN);
    fingerprint *f = mem_zero(sizeof *f);
    if (f)
        f->bits = mem_array((size_t)(n_bits / 8), 1);
    if (!f || !f->bits) {
        mem_free(f);
        return fail(err, E_NOMEM, "no memory for %llu bytes of fingerprints", (unsigned long long)n_bits / 8);
    }
    f->n_bits = n_bits;
    set_keys(f, key, key_n);
    *out = f;
    return OK;
}

status fingerprint_open(fingerprint **out, const void *key, size_t key_n, uint64_t n_bytes, error *err)
{
    const uint64_t most = (uint64_t)FINGERPRINT_MAX_BYTES * 8;
    uint64_t shingles = n_bytes < most ? n_bytes * 2 / (WINDOW + 1) : most, bits = BITS_MIN;
    while (bits < shingles * BITS_PER_SHINGLE)
        bits *= 2;
    if (bits > most)
        return fail(err, E_RANGE, "fingerprints of %llu bytes of documents would take more than %d MiB",
                    (unsigned long long)n_bytes, FINGERPRINT_MAX_BYTES >> 20);
    return open_bits(out, key, key_n, bits, err);
}

void fingerprint_close(fingerprint **f)
{
    if (*f) {
        mem_free((*f)->bits);
        memset(*f, 0, sizeof **f);
    }
    mem_free(*f);
    *f = NULL;
}

/* ---- the filter ---- */

static bool put(fingerprint *f, const uint64_t h[2])
{
    bool fresh = false;
    for (uint64_t i = 0; i < PROBES; i++) { /* Kirsch, Mitzenmacher 2006: two hashes make all */
        uint64_t at = (h[0] + i * (h[1] | 1)) & (f->n_bits - 1);
        fresh |= !(f->bits[at / 8] >> (at % 8) & 1);
        f->bits[at / 8] |= (uint8_t)(1u << (at % 8));
    }
    return fresh;
}

static bool has(const fingerprint *f, const uint64_t h[2])
{
    for (uint64_t i = 0; i < PROBES; i++) {
        uint64_t at = (h[0] + i * (h[1] | 1)) & (f->n_bits - 1);
        if (!(f->bits[at / 8] >> (at % 8) & 1))
            return false;
    }
    return true;
}

/* ---- shingles ---- */

/* Letters and digits, and what is beyond ASCII; words with one blank between them. */
static status plain_text(buf *out, const char *text, size_t n, error *err)
{
    view folded;
    if (n > FINGERPRINT_MAX_TEXT)
        return fail(err, E_RANGE, "%zu bytes of text; at most %d have fingerprints", n, (int)FINGERPRINT_MAX_TEXT);
    status s = view_fold(&folded, &(view){ .p = text, .n = n }, err);
    if (s)
        return s;
    char *to = buf_reserve(out, folded.n + 1);
    size_t length = 0;
    for (size_t i = 0; to && i < folded.n; i++) {
        char c = folded.p[i];
        if (is_word(c) || (unsigned char)c >= 0x80)
            to[length++] = is_upper(c) ? (char)(c | 0x20) : c;
        else if (length && to[length - 1] != ' ')
            to[length++] = ' ';
    }
    if (to)
        buf_advance(out, length && to[length - 1] == ' ' ? length - 1 : length);
    view_clear(&folded);
    return buf_ok(out, "a text for fingerprints", err);
}

static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

typedef void shingle_fn(void *to, const uint64_t h[2]);

static void emit(const fingerprint *f, const char *p, size_t n, shingle_fn *each, void *to)
{
    uint64_t h[2];
    siphash(f->sip, p, n, h);
    each(to, h);
}

/* Of every WINDOW shingles in a row the rightmost of the least hash, each place once. */
static void winnow(const fingerprint *f, const char *p, size_t n, shingle_fn *each, void *to)
{
    uint64_t hashes[WINDOW], h = 0;
    size_t last = SIZE_MAX;
    if (n < SHINGLE) {
        if (n >= SHINGLE / 2)
            emit(f, p, n, each, to);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        h = h * f->base + f->bytes[(unsigned char)p[i]];
        if (i >= SHINGLE)
            h -= f->base_out * f->bytes[(unsigned char)p[i - SHINGLE]];
        if (i + 1 < SHINGLE)
            continue;
        size_t at = i + 1 - SHINGLE, first = at < WINDOW ? 0 : at - WINDOW + 1, least = at;
        hashes[at % WINDOW] = mix(h);
        if (at + 1 < WINDOW && i + 1 < n) /* the first window is not full yet */
            continue;
        if (last != SIZE_MAX && last >= first && hashes[last % WINDOW] < hashes[at % WINDOW])
            continue; /* the one that was kept is in this window, and still the least */
        for (size_t k = at; k-- > first;)
            least = hashes[k % WINDOW] < hashes[least % WINDOW] ? k : least;
        if (least != last)
            emit(f, p + least, SHINGLE, each, to);
        last = least;
    }
}

static void add_shingle(void *to, const uint64_t h[2])
{
    fingerprint *f = to;
    f->n_shingles += put(f, h);
}

status fingerprint_add(fingerprint *f, const char *text, size_t n, error *err)
{
    buf plain = BUF_INIT(4ull * FINGERPRINT_MAX_TEXT);
    status s = plain_text(&plain, text, n, err);
    if (!s) {
        winnow(f, buf_text(&plain), plain.len, add_shingle, f);
        f->n_documents++;
    }
    buf_clear(&plain);
    return s;
}

typedef struct asking {
    const fingerprint *f;
    fingerprint_match m;
} asking;

static void ask_shingle(void *to, const uint64_t h[2])
{
    asking *a = to;
    a->m.n_shingles++;
    a->m.n_matched += has(a->f, h);
}

status fingerprint_query(const fingerprint *f, const char *text, size_t n, fingerprint_match *out, error *err)
{
    asking a = { .f = f };
    buf plain = BUF_INIT(4ull * FINGERPRINT_MAX_TEXT);
    status s = plain_text(&plain, text, n, err);
    if (!s)
        winnow(f, buf_text(&plain), plain.len, ask_shingle, &a);
    buf_clear(&plain);
    if (s)
        return s;
    a.m.share = a.m.n_shingles ? (double)a.m.n_matched / (double)a.m.n_shingles : 0;
    *out = a.m;
    return OK;
}

fingerprint_about fingerprint_get_about(const fingerprint *f)
{
    uint64_t set = 0;
    for (uint64_t i = 0; i < f->n_bits / 8; i++)
        set += (uint64_t)__builtin_popcount(f->bits[i]);
    return (fingerprint_about){ f->n_documents, f->n_shingles, f->n_bits / 8, (double)set / (double)f->n_bits };
}

/* ---- the file ---- */

static void put_number(uint8_t *p, uint64_t x, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(x >> 8 * i);
}

static void make_header(const fingerprint *f, uint8_t h[HEADER])
{
    memcpy(h, "HEARTHFP", 8);
    put_number(h + 8, VERSION, 4);
    put_number(h + 12, SHINGLE, 4);
    put_number(h + 16, WINDOW, 4);
    put_number(h + 20, PROBES, 4);
    put_number(h + 24, f->n_bits, 8);
    put_number(h + 32, f->n_documents, 8);
    put_number(h + 40, f->n_shingles, 8);
}

/* HMAC over header and bits: bits first as a digest, so that neither needs to be copied beside the other. */
static void sign(const fingerprint *f, const uint8_t h[HEADER], uint8_t out[DIGEST_BYTES])
{
    uint8_t message[HEADER + DIGEST_HEX];
    memcpy(message, h, HEADER);
    digest_of(f->bits, (size_t)(f->n_bits / 8), (char *)message + HEADER);
    digest_hmac(f->key, sizeof f->key, message, sizeof message, out);
}

static status write_to(const fingerprint *f, int fd, const char *name, error *err)
{
    uint8_t header[HEADER], sum[DIGEST_BYTES];
    make_header(f, header);
    sign(f, header, sum);
    status s = file_write_all(fd, name, header, sizeof header, err);
    if (!s)
        s = file_write_all(fd, name, f->bits, (size_t)(f->n_bits / 8), err);
    if (!s)
        s = file_write_all(fd, name, sum, sizeof sum, err);
    return s || fsync(fd) == 0 ? s : fail(err, E_IO, "%s: %s", name, strerror(errno));
}

status fingerprint_write(const fingerprint *f, const char *path, error *err)
{
    int fd = -1;
    buf fresh = BUF_INIT(1 << 13);
    buf_printf(&fresh, "%s.%ld.new", path, (long)getpid());
    status s = buf_ok(&fresh, path, err);
    if (!s)
        s = file_open_new(&fd, fresh.data, 0600, err);
    if (fd >= 0) {
        s = write_to(f, fd, path, err);
        if ((close(fd) || (!s && rename(fresh.data, path))) && !s)
            s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        if (s)
            unlink(fresh.data);
    }
    buf_clear(&fresh);
    return s;
}

static status check_header(const uint8_t h[HEADER], const char *path, error *err)
{
    if (memcmp(h, "HEARTHFP", 8) != 0)
        return fail(err, E_FORMAT, "%s: not a file of fingerprints", path);
    if (get_number(h + 8, 4) != VERSION)
        return fail(err, E_UNSUPPORTED, "%s: version %llu of fingerprints; this program reads %d", path,
                    (unsigned long long)get_number(h + 8, 4), (int)VERSION);
    uint64_t n_bits = get_number(h + 24, 8);
    if (n_bits < BITS_MIN || n_bits > (uint64_t)FINGERPRINT_MAX_BYTES * 8 || (n_bits & (n_bits - 1)))
        return fail(err, E_FORMAT, "%s: %llu bits of filter", path, (unsigned long long)n_bits);
    return OK;
}

/* The filter and the sum behind its header. */
static status read_filter(fingerprint *f, const uint8_t h[HEADER], int fd, const char *path, error *err)
{
    uint8_t wanted[HEADER], sum[DIGEST_BYTES], found[DIGEST_BYTES], more;
    status s = file_read_all(fd, path, f->bits, (size_t)(f->n_bits / 8), err);
    if (!s)
        s = file_read_all(fd, path, found, sizeof found, err);
    if (s)
        return s;
    f->n_documents = get_number(h + 32, 8);
    f->n_shingles = get_number(h + 40, 8);
    make_header(f, wanted);
    sign(f, h, sum);
    if (read(fd, &more, 1) != 0 || memcmp(h, wanted, sizeof wanted) != 0 || memcmp(sum, found, sizeof sum) != 0)
        return fail(err, E_FORMAT, "%s: damaged, or made with another key", path);
    return OK;
}

static status read_open(fingerprint **out, int fd, const char *path, const void *key, size_t key_n, error *err)
{
    uint8_t h[HEADER];
    fingerprint *f = NULL;
    status s = file_read_all(fd, path, h, sizeof h, err);
    if (!s)
        s = check_header(h, path, err);
    if (!s)
        s = open_bits(&f, key, key_n, get_number(h + 24, 8), err);
    if (!s)
        s = read_filter(f, h, fd, path, err);
    if (s && f)
        fingerprint_close(&f);
    if (!s)
        *out = f;
    return s;
}

status fingerprint_read(fingerprint **out, const char *path, const void *key, size_t key_n, error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    status s = read_open(out, fd, path, key, key_n, err);
    close(fd);
    return s;
}
