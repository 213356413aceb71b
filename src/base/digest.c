/* digest.c: the only file that knows libcrypto. */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct digest {
    EVP_MD_CTX *context;
};

digest *digest_open(void)
{
    digest *d = mem_zero(sizeof *d);
    if (!d)
        return NULL;
    d->context = EVP_MD_CTX_new();
    if (!d->context || !EVP_DigestInit_ex(d->context, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(d->context);
        mem_free(d);
        return NULL;
    }
    return d;
}

void digest_add(digest *d, const void *bytes, size_t n)
{
    EVP_DigestUpdate(d->context, bytes, n);
}

void digest_field(digest *d, const void *bytes, size_t n)
{
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)n >> (8 * i));
    digest_add(d, length, sizeof length);
    digest_add(d, bytes, n);
}

void digest_close(digest **d, uint8_t out[DIGEST_BYTES])
{
    if (!*d)
        return;
    uint8_t unused[DIGEST_BYTES];
    EVP_DigestFinal_ex((*d)->context, out ? out : unused, NULL);
    EVP_MD_CTX_free((*d)->context);
    mem_free(*d);
    *d = NULL;
}

void digest_hex(const uint8_t in[DIGEST_BYTES], char out[DIGEST_HEX])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = hex[in[i] >> 4];
        out[2 * i + 1] = hex[in[i] & 15];
    }
    out[2 * DIGEST_BYTES] = '\0';
}

void digest_raw(const void *bytes, size_t n, uint8_t out[DIGEST_BYTES])
{
    memset(out, 0, DIGEST_BYTES);
    EVP_Digest(bytes, n, out, NULL, EVP_sha256(), NULL);
}

void digest_of(const void *bytes, size_t n, char out[DIGEST_HEX])
{
    uint8_t raw[DIGEST_BYTES];
    digest_raw(bytes, n, raw);
    digest_hex(raw, out);
}

status digest_file(const char *path, char out[DIGEST_HEX], error *err)
{
    status s = OK;
    digest *d = NULL;
    uint8_t raw[DIGEST_BYTES], *step = NULL;
    enum { STEP_BYTES = 1 << 20 };
    FILE *f = fopen(path, "rbe");
    if (!f)
        return fail(err, E_IO, "%s: %s", path, strerror(errno));
    d = digest_open();
    step = mem_alloc(STEP_BYTES);
    if (!d || !step) {
        s = fail(err, E_NOMEM, "%s: no memory to compute its digest", path);
        goto out;
    }
    for (size_t n; (n = fread(step, 1, STEP_BYTES, f)) > 0;)
        digest_add(d, step, n);
    if (ferror(f)) {
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        goto out;
    }
    digest_close(&d, raw);
    digest_hex(raw, out);
out:
    digest_close(&d, NULL);
    mem_free(step);
    fclose(f);
    return s;
}

void digest_hmac(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t out[DIGEST_BYTES])
{
    HMAC(EVP_sha256(), key, (int)key_n, bytes, n, out, NULL);
}

bool digest_is_hex(const char *text)
{
    return strspn(text, "0123456789abcdef") == DIGEST_HEX - 1 && !text[DIGEST_HEX - 1];
}
