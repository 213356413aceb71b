/* keys.c: see the header. */
#include "api/keys.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/random.h"

enum { KEY_BYTES_MAX = 4096, NAME_BYTES = 65 };

/* What a name has used, shared by the sets that have the name. Ring's lock. */
typedef struct usage {
    limit limit;
    unsigned holders;
} usage;

struct key {
    char name[NAME_BYTES], task[NAME_BYTES];
    privacy_class default_class;
    bool states_class;
    limit_rule rule;
    usage *used;
    uint8_t mac[DIGEST_BYTES];
};

struct keys {
    unsigned holders;            /* ring's lock */
    uint8_t secret[DIGEST_BYTES]; /* what the keys are hashed under */
    key everybody;               /* who asks when there are no keys */
    size_t n;
    key all[];
};

struct key_ring {
    pthread_mutex_t lock;
    keys *now;
};

/* ---- reading a key's bytes ---- */

static status bytes_of(const config_key *k, char out[KEY_BYTES_MAX], error *err)
{
    if (k->key_env[0]) {
        const char *value = getenv(k->key_env);
        if (!value)
            return fail(err, E_NOTFOUND, "key '%s': %s is not in the environment", k->name, k->key_env);
        snprintf(out, KEY_BYTES_MAX, "%s", value);
        return OK;
    }
    FILE *f = fopen(k->key_file, "re");
    if (!f)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "key '%s': %s: %s", k->name, k->key_file,
                    strerror(errno));
    setvbuf(f, NULL, _IONBF, 0); /* no copy is left in a buffer */
    size_t n = fread(out, 1, KEY_BYTES_MAX - 1, f);
    bool bad = ferror(f);
    fclose(f);
    out[n] = '\0';
    if (bad || strlen(out) != n)
        return fail(err, bad ? E_IO : E_FORMAT, "key '%s': %s cannot be read as one line of text", k->name,
                    k->key_file);
    return OK;
}

/* The text between blanks; what a header could not carry is no key. */
static status clean(const config_key *k, char text[KEY_BYTES_MAX], error *err)
{
    span s = span_trim(span_of(text));
    if (!s.n || strlen(text) >= KEY_BYTES_MAX - 1)
        return fail(err, E_FORMAT, "key '%s' is %s", k->name, s.n ? "too long" : "empty");
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] > '~')
            return fail(err, E_FORMAT, "key '%s' has blanks or characters that a header cannot carry", k->name);
    memmove(text, s.p, s.n);
    text[s.n] = '\0';
    return OK;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
    unsigned differ = 0;
    for (size_t i = 0; i < DIGEST_BYTES; i++)
        differ |= (unsigned)(a[i] ^ b[i]);
    return !differ;
}

/* ---- a set of keys ---- */

static void drop(keys *k)
{
    for (size_t i = 0; k && i < k->n; i++)
        if (k->all[i].used && --k->all[i].used->holders == 0)
            mem_free(k->all[i].used);
    if (k)
        explicit_bzero(k->secret, sizeof k->secret);
    mem_free(k);
}

static status add(keys *k, const config_key *from, error *err)
{
    char text[KEY_BYTES_MAX];
    key *to = &k->all[k->n];
    status s = bytes_of(from, text, err);
    if (!s)
        s = clean(from, text, err);
    if (!s)
        digest_hmac(k->secret, sizeof k->secret, text, strlen(text), to->mac);
    explicit_bzero(text, sizeof text);
    for (size_t i = 0; !s && i < k->n; i++)
        if (same(k->all[i].mac, to->mac))
            s = fail(err, E_FORMAT, "the keys '%s' and '%s' are the same", k->all[i].name, from->name);
    if (s)
        return s;
    snprintf(to->name, sizeof to->name, "%s", from->name);
    snprintf(to->task, sizeof to->task, "%s", from->task ? from->task : "");
    to->default_class = from->default_class;
    to->states_class = from->states_class;
    to->rule = (limit_rule){ from->rate_per_second, from->burst, from->concurrency };
    k->n++;
    return OK;
}

static status read_keys(keys **out, const config *c, error *err)
{
    keys *k = mem_zero(sizeof *k + c->n_keys * sizeof k->all[0]);
    status s = k ? random_bytes(k->secret, sizeof k->secret, err) : fail(err, E_NOMEM, "no memory for the keys");
    for (size_t i = 0; !s && i < c->n_keys; i++)
        s = add(k, &c->keys[i], err);
    if (s) {
        drop(k);
        return s;
    }
    k->holders = 1;
    k->everybody = (key){ .name = "loopback", .default_class = c->default_class, .states_class = c->states_class };
    snprintf(k->everybody.task, sizeof k->everybody.task, "%s", c->task ? c->task : "");
    *out = k;
    return OK;
}

static usage *usage_of(const keys *before, const char *name)
{
    for (size_t i = 0; before && i < before->n; i++)
        if (strcmp(before->all[i].name, name) == 0)
            return before->all[i].used;
    return mem_zero(sizeof(usage));
}

/* A name that was there before goes on with what it has used. Ring's lock. */
static status attach(keys *k, const keys *before, error *err)
{
    for (size_t i = 0; i < k->n; i++) {
        if (!(k->all[i].used = usage_of(before, k->all[i].name)))
            return fail(err, E_NOMEM, "no memory for the keys");
        k->all[i].used->holders++;
    }
    return OK;
}

/* ---- the ring ---- */

status key_ring_open(key_ring **out, const config *c, error *err)
{
    key_ring *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory for the keys");
    pthread_mutex_init(&r->lock, NULL);
    status s = key_ring_reload(r, c, err);
    if (s)
        key_ring_close(&r);
    else
        *out = r;
    return s;
}

/* Files are read before the lock is taken: nobody waits for a disk. */
status key_ring_reload(key_ring *r, const config *c, error *err)
{
    keys *fresh = NULL;
    status s = read_keys(&fresh, c, err);
    if (s)
        return s;
    pthread_mutex_lock(&r->lock);
    s = attach(fresh, r->now, err);
    keys *old = s ? fresh : r->now;
    if (!s)
        r->now = fresh;
    if (old && --old->holders == 0)
        drop(old);
    pthread_mutex_unlock(&r->lock);
    return s;
}

void key_ring_close(key_ring **r)
{
    if (!*r)
        return;
    drop((*r)->now);
    pthread_mutex_destroy(&(*r)->lock);
    mem_free(*r);
    *r = NULL;
}

keys *key_ring_hold(key_ring *r)
{
    pthread_mutex_lock(&r->lock);
    keys *k = r->now;
    k->holders++;
    pthread_mutex_unlock(&r->lock);
    return k;
}

void key_ring_release(key_ring *r, keys *k)
{
    pthread_mutex_lock(&r->lock);
    if (--k->holders == 0)
        drop(k);
    pthread_mutex_unlock(&r->lock);
}

/* ---- asking ---- */

/* All keys are compared, whichever is found: what differs in time is the length of what was sent alone. */
static const key *find(const keys *k, const char *text)
{
    uint8_t mac[DIGEST_BYTES];
    const key *found = NULL;
    digest_hmac(k->secret, sizeof k->secret, text, strlen(text), mac);
    for (size_t i = 0; i < k->n; i++)
        found = same(k->all[i].mac, mac) ? &k->all[i] : found;
    return found;
}

/* The scheme's name ignores case (RFC 9110, 11.1). */
static const char *bearer(const char *authorization)
{
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return NULL;
    authorization += 7;
    return authorization + strspn(authorization, " ");
}

key_answer keys_find(const keys *k, const char *authorization, const char *x_api_key, const key **out)
{
    const char *token = bearer(authorization);
    *out = &k->everybody;
    if (!k->n)
        return KEY_GOOD;
    const key *a = token ? find(k, token) : NULL, *b = x_api_key ? find(k, x_api_key) : NULL;
    if (a && b && a != b)
        return KEY_TWO;
    if (!a && !b)
        return (token && *token) || (x_api_key && *x_api_key) ? KEY_WRONG : KEY_MISSING;
    *out = a ? a : b;
    return KEY_GOOD;
}

const char *key_name(const key *k)
{
    return k->name;
}

const char *key_task(const key *k)
{
    return k->task;
}

privacy_class key_class(const key *k)
{
    return k->default_class;
}

bool key_states_class(const key *k)
{
    return k->states_class;
}

limit_answer key_enter(key_ring *r, const key *k, uint64_t now_us, double *wait_s)
{
    if (!k->used)
        return LIMIT_GO;
    pthread_mutex_lock(&r->lock);
    limit_answer a = limit_enter(&k->used->limit, &k->rule, now_us, wait_s);
    pthread_mutex_unlock(&r->lock);
    return a;
}

void key_leave(key_ring *r, const key *k)
{
    if (!k->used)
        return;
    pthread_mutex_lock(&r->lock);
    limit_leave(&k->used->limit);
    pthread_mutex_unlock(&r->lock);
}
