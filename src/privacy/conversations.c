/* conversations.c: the table: a ring in a file, and the same in memory with an index.
 *
 * Under the file's lock a writer first reads what others wrote behind its own last record. Readers look there too, with
 * one read: records only ever appear at the next place. */
#include "privacy/conversations.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "plat/paths.h"
#include "privacy/secret.h"

enum { HEADER = 64, RECORD = 32, CHECKED = 28, VERSION = 1, STEP = 4096 };
static const char magic[8] = { 'H', 'E', 'A', 'R', 'T', 'H', 'C', 'V' };

typedef struct unwritten {
    conversation_digest d;
    privacy_class class;
} unwritten;

struct conversations {
    pthread_mutex_t lock;
    char *path;
    int fd;                     /* -1: there is no file yet */
    uint8_t key[DIGEST_BYTES];
    uint32_t capacity;
    uint64_t next;              /* sequence of the next record */
    conversation_digest *ring;  /* by place; class is in `classes` */
    uint8_t *classes;           /* 0 (public): the place is empty */
    uint32_t *heads, *nexts;    /* chains of places + 1, by digest */
    unwritten *waiting;         /* what the disk did not take */
    size_t n_waiting;
    bool behind, lost;          /* something is not in the file; too much to keep */
};

/* ---- numbers ---- */

static void put(uint8_t *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static uint32_t fnv(const uint8_t *p, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

/* ---- memory ---- */

static uint32_t *head_of(conversations *c, const conversation_digest *d)
{
    return &c->heads[get(d->bytes, 4) & (c->capacity - 1)];
}

static void forget(conversations *c, uint32_t place)
{
    for (uint32_t *at = head_of(c, &c->ring[place]); c->classes[place] && *at; at = &c->nexts[*at - 1])
        if (*at == place + 1) {
            *at = c->nexts[place];
            break;
        }
    c->classes[place] = 0;
}

static void remember(conversations *c, const uint8_t r[RECORD])
{
    uint32_t place = (uint32_t)((c->next - 1) & (c->capacity - 1));
    forget(c, place);
    memcpy(c->ring[place].bytes, r, CONVERSATION_BYTES);
    c->classes[place] = r[24] && r[24] < PRIVACY_CLASSES ? r[24] : PRIVACY_PRIVATE;
    uint32_t *head = head_of(c, &c->ring[place]);
    c->nexts[place] = *head;
    *head = place + 1;
    c->next++;
}

/* The highest class; *young: one of that class will not be written over soon. */
static privacy_class class_of(conversations *c, const conversation_digest *d, bool *young)
{
    privacy_class found = PRIVACY_PUBLIC;
    *young = false;
    for (uint32_t at = *head_of(c, d); at; at = c->nexts[at - 1]) {
        privacy_class one = (privacy_class)c->classes[at - 1];
        if (memcmp(&c->ring[at - 1], d, sizeof *d) != 0 || one < found)
            continue;
        uint32_t age = (uint32_t)((c->next - 1 - at) & (c->capacity - 1));
        *young = (one == found && *young) || age < c->capacity / 2;
        found = one;
    }
    for (size_t i = 0; i < c->n_waiting; i++)
        if (memcmp(&c->waiting[i].d, d, sizeof *d) == 0)
            found = privacy_class_join(found, c->waiting[i].class);
    return found;
}

/* ---- the file ---- */

static off_t offset_of(const conversations *c, uint64_t sequence)
{
    return HEADER + (off_t)((sequence - 1) & (c->capacity - 1)) * RECORD;
}

static bool is_record(const uint8_t r[RECORD])
{
    return get(r + CHECKED, 4) == fnv(r, CHECKED) && get(r + 16, 8) > 0;
}

static void make_record(const conversation_digest *d, uint64_t sequence, privacy_class class, uint8_t r[RECORD])
{
    memset(r, 0, RECORD);
    memcpy(r, d->bytes, CONVERSATION_BYTES);
    put(r + 16, sequence, 8);
    r[24] = (uint8_t)class;
    put(r + CHECKED, fnv(r, CHECKED), 4);
}

static void make_header(const conversations *c, uint8_t h[HEADER])
{
    uint8_t check[DIGEST_BYTES];
    memset(h, 0, HEADER);
    memcpy(h, magic, sizeof magic);
    put(h + 8, VERSION, 4);
    put(h + 12, RECORD, 4);
    put(h + 16, c->capacity, 8);
    digest_hmac(c->key, sizeof c->key, "conversations file", 18, check);
    memcpy(h + 24, check, 16);
}

/* A record's sequence says its place, so their order does not matter. */
static status read_ring(conversations *c, error *err)
{
    uint8_t step[STEP];
    uint64_t most = 0;
    ssize_t n = STEP;
    for (uint32_t at = 0; at < c->capacity && n == STEP; at += STEP / RECORD) {
        n = pread(c->fd, step, sizeof step, HEADER + (off_t)at * RECORD);
        if (n < 0)
            return fail(err, E_IO, "%s: %s", c->path, strerror(errno));
        for (size_t k = 0; k + RECORD <= (size_t)n && at + k / RECORD < c->capacity; k += RECORD) {
            uint64_t sequence = get(step + k + 16, 8);
            if (!is_record(step + k) || ((sequence - 1) & (c->capacity - 1)) != at + k / RECORD)
                continue;
            most = sequence > most ? sequence : most;
            c->next = sequence;
            remember(c, step + k);
        }
    }
    c->next = most + 1;
    return OK;
}

/* What others wrote since. */
static status catch_up(conversations *c, error *err)
{
    for (;;) {
        uint8_t r[RECORD];
        ssize_t n = pread(c->fd, r, sizeof r, offset_of(c, c->next));
        if (n < 0)
            return fail(err, E_IO, "%s: %s", c->path, strerror(errno));
        if (n != RECORD || !is_record(r) || get(r + 16, 8) < c->next)
            return OK;
        if (get(r + 16, 8) > c->next) /* it went round since we looked: all of it is new */
            return read_ring(c, err);
        remember(c, r);
    }
}

/* With or without making it; *c->fd stays -1 when there is none. */
static status open_file(conversations *c, bool make, error *err)
{
    uint8_t wanted[HEADER], found[HEADER];
    status s = make ? path_make_parents(c->path, err) : OK;
    if (s)
        return s;
    int fd = open(c->path, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return !make && errno == ENOENT ? OK : fail(err, E_IO, "%s: %s", c->path, strerror(errno));
    make_header(c, wanted);
    if (flock(fd, LOCK_EX))
        s = fail(err, E_IO, "%s: %s", c->path, strerror(errno));
    ssize_t n = s ? 0 : pread(fd, found, sizeof found, 0);
    bool whole = n == HEADER; /* else it is new, or its making was cut off */
    if (!s && !whole && (n < 0 || pwrite(fd, wanted, sizeof wanted, 0) != HEADER))
        s = fail(err, E_IO, "%s: %s", c->path, strerror(errno));
    else if (!s && whole && memcmp(found, wanted, HEADER) != 0)
        s = fail(err, E_FORMAT, "%s: not a table of this version, or made under another privacy.key: what was private "
                 "is not known (remove it to begin anew)", c->path);
    if (!s)
        (void)flock(fd, LOCK_UN);
    if (s) {
        close(fd);
        return s;
    }
    c->fd = fd;
    return read_ring(c, err);
}

/* ---- opening ---- */

status conversations_open(conversations **out, const char *path, uint32_t capacity, error *err)
{
    conversations *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for the table of conversations");
    pthread_mutex_init(&c->lock, NULL);
    c->fd = -1;
    c->next = 1;
    c->capacity = capacity ? capacity : CONVERSATIONS_MAX;
    c->ring = mem_array(c->capacity, sizeof *c->ring);
    c->classes = mem_array(c->capacity, sizeof *c->classes);
    c->heads = mem_array(c->capacity, sizeof *c->heads);
    c->nexts = mem_array(c->capacity, sizeof *c->nexts);
    c->waiting = mem_array(CONVERSATIONS_UNWRITTEN_MAX, sizeof *c->waiting);
    status s = c->ring && c->classes && c->heads && c->nexts && c->waiting
                   ? secret_key("conversations", c->key, err)
                   : fail(err, E_NOMEM, "no memory for the table of conversations");
    if (!s && path && !(c->path = mem_strdup(path)))
        s = fail(err, E_NOMEM, "no memory for the table of conversations");
    if (!s && !path)
        s = path_of(&c->path, PATH_DATA, "conversations", err);
    if (!s)
        s = open_file(c, false, err);
    if (s)
        conversations_close(&c);
    else
        *out = c;
    return s;
}

void conversations_close(conversations **c)
{
    if (!*c)
        return;
    if ((*c)->fd >= 0)
        close((*c)->fd);
    pthread_mutex_destroy(&(*c)->lock);
    mem_free((*c)->path);
    mem_free((*c)->ring);
    mem_free((*c)->classes);
    mem_free((*c)->heads);
    mem_free((*c)->nexts);
    mem_free((*c)->waiting);
    explicit_bzero((*c)->key, sizeof (*c)->key);
    mem_free(*c);
    *c = NULL;
}

const uint8_t *conversations_key(const conversations *c)
{
    return c->key;
}

/* ---- asking and adding ---- */

status conversations_find(conversations *c, const conversation_digest *list, size_t n, privacy_class *out, error *err)
{
    privacy_class found = PRIVACY_PUBLIC;
    bool young;
    pthread_mutex_lock(&c->lock);
    status s = c->fd >= 0 ? catch_up(c, err) : open_file(c, false, err);
    if (!s && c->behind)
        s = fail(err, E_IO, "%s: something could not be written down", c->path);
    for (size_t i = 0; i < n && !s; i++)
        found = privacy_class_join(found, class_of(c, &list[i], &young));
    pthread_mutex_unlock(&c->lock);
    if (!s)
        *out = found;
    return s;
}

static status write_one(conversations *c, const conversation_digest *d, privacy_class class, error *err)
{
    uint8_t r[RECORD];
    make_record(d, c->next, class, r);
    ssize_t n = pwrite(c->fd, r, sizeof r, offset_of(c, c->next));
    if (n != RECORD)
        return fail(err, E_IO, "%s: %s", c->path, strerror(n < 0 ? errno : ENOSPC));
    remember(c, r);
    return OK;
}

/* Those that waited first, so that nothing is known only to this process for long. */
static status write_all(conversations *c, const conversation_digest *list, size_t n, privacy_class class, error *err)
{
    status s = c->fd >= 0 ? OK : open_file(c, true, err);
    bool young;
    struct stat st;
    if (s)
        return s;
    if (fstat(c->fd, &st) || st.st_nlink == 0)
        return fail(err, E_IO, "%s: it was removed while it was in use", c->path);
    if (flock(c->fd, LOCK_EX))
        return fail(err, E_IO, "%s: %s", c->path, strerror(errno));
    s = catch_up(c, err);
    while (!s && c->n_waiting) {
        unwritten u = c->waiting[c->n_waiting - 1];
        if (!(s = write_one(c, &u.d, u.class, err)))
            c->n_waiting--;
    }
    for (size_t i = 0; i < n && !s; i++)
        if (class_of(c, &list[i], &young) < class || !young)
            s = write_one(c, &list[i], class, err);
    (void)flock(c->fd, LOCK_UN);
    return s;
}

static void keep_waiting(conversations *c, const conversation_digest *list, size_t n, privacy_class class)
{
    for (size_t i = 0; i < n; i++) {
        if (c->n_waiting == CONVERSATIONS_UNWRITTEN_MAX) {
            c->lost = true;
            return;
        }
        c->waiting[c->n_waiting++] = (unwritten){ list[i], class };
    }
}

status conversations_add(conversations *c, const conversation_digest *list, size_t n, privacy_class class, error *err)
{
    if (!n || class == PRIVACY_PUBLIC)
        return OK;
    error why = { 0 };
    pthread_mutex_lock(&c->lock);
    status s = write_all(c, list, n, class, &why);
    if (s)
        keep_waiting(c, list, n, class);
    if (s && !c->behind)
        log_line(LOG_LEVEL_ERROR, "%s; until it can be written, nothing goes to a remote provider", why.text);
    c->behind = s || c->lost;
    pthread_mutex_unlock(&c->lock);
    return s ? fail(err, s, "%s", why.text) : OK;
}
