/* audit_state.c: where the chain stands. Two slots; the older is written and synchronised, then the other is
 * overwritten with the same, so that no former key stays:
 *
 *   offset 0     slot 0 (512 bytes)
 *   offset 4096  slot 1
 *
 * A slot whose digest does not fit was being written when the power went: the other one counts. The one that is further
 * wins. The log is always synchronised before the state, so a state is never ahead of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/clock.h"
#include "plat/paths.h"
#include "privacy/audit_int.h"

enum { SLOT_BYTES = 512, SLOT_GAP = 4096, LOCK_STEP_US = 200 };

typedef struct slot {
    char magic[8];
    char chain[40];
    uint64_t next, bytes;
    int64_t last_us;
    uint64_t anchored;
    uint8_t key[DIGEST_BYTES], head[DIGEST_BYTES];
    uint8_t digest[DIGEST_BYTES]; /* of all before it */
} slot;
_Static_assert(sizeof(slot) == 176 && sizeof(slot) <= SLOT_BYTES, "a slot has no holes and fits a sector");
static const char magic[8] = "HAUDIT1";

/* ---- paths ---- */

void audit_files_clear(audit_files *f)
{
    mem_free(f->log);
    mem_free(f->state);
    mem_free(f->key);
    mem_free(f->anchors);
    *f = (audit_files){ 0 };
}

status audit_files_find(audit_files *f, error *err)
{
    audit_files found = { 0 };
    const struct {
        char **to;
        path_kind kind;
        const char *name;
    } rows[] = {
        { &found.log, PATH_DATA, "audit.log" },
        { &found.state, PATH_DATA, "audit.state" },
        { &found.key, PATH_CONFIG, "audit.key" },
        { &found.anchors, PATH_CONFIG, "audit.anchors" },
    };
    status s = OK;
    for (size_t i = 0; i < ARRAY_LEN(rows) && !s; i++)
        s = path_of(rows[i].to, rows[i].kind, rows[i].name, err);
    if (s)
        audit_files_clear(&found);
    else
        *f = found;
    return s;
}

status audit_sync_folder(const char *file, error *err)
{
    const char *slash = strrchr(file, '/');
    char *folder = mem_strndup(file, slash && slash > file ? (size_t)(slash - file) : 1);
    if (!folder)
        return fail(err, E_NOMEM, "no memory for a path");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status s = fd >= 0 && fsync(fd) == 0 ? OK : fail(err, E_IO, "%s: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    mem_free(folder);
    return s;
}

/* ---- open, lock ---- */

static status lock_file(int fd, audit_lock how, const char *name, error *err)
{
    uint64_t deadline = clock_mono_us() + (uint64_t)AUDIT_LOCK_MS * 1000;
    while (flock(fd, (how == AUDIT_WRITE ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(err, E_IO, "%s: cannot be locked: %s", name, strerror(errno));
        if (clock_mono_us() > deadline)
            return fail(err, E_IO, "%s: another process has held its lock for %d s", name, (int)AUDIT_LOCK_MS / 1000);
        nanosleep(&(struct timespec){ 0, LOCK_STEP_US * 1000 }, NULL);
    }
    return OK;
}

/* The file that the name means now; false: it was set aside while we waited for the lock. */
static bool still_there(int fd, const char *name)
{
    struct stat have, now;
    return fstat(fd, &have) == 0 && stat(name, &now) == 0 && have.st_ino == now.st_ino && have.st_dev == now.st_dev;
}

static status open_locked(int *out, const audit_files *f, audit_lock how, error *err)
{
    int flags = (how == AUDIT_WRITE ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW;
    for (;;) {
        int fd = open(f->state, flags, 0600);
        if (fd < 0)
            return fail(err, errno == ENOENT && how == AUDIT_READ ? E_NOTFOUND : E_IO, "%s: %s", f->state,
                        strerror(errno));
        status s = lock_file(fd, how, f->state, err);
        if (!s && still_there(fd, f->state)) {
            *out = fd;
            return OK;
        }
        close(fd);
        if (s)
            return s;
    }
}

/* ---- slots ---- */

static bool slot_read(int fd, unsigned at, slot *out)
{
    uint8_t sum[DIGEST_BYTES];
    if (pread(fd, out, sizeof *out, (off_t)at * SLOT_GAP) != (ssize_t)sizeof *out)
        return false;
    digest_raw(out, offsetof(slot, digest), sum);
    return memcmp(out->magic, magic, sizeof magic) == 0 && memcmp(sum, out->digest, sizeof sum) == 0 &&
           memchr(out->chain, 0, UUID_TEXT) && out->next > 0;
}

static void chain_of(const slot *x, audit_chain *c)
{
    *c = (audit_chain){ .next = x->next, .bytes = x->bytes, .last_us = x->last_us, .anchored = x->anchored };
    memcpy(c->id, x->chain, UUID_TEXT);
    memcpy(c->key, x->key, DIGEST_BYTES);
    memcpy(c->head, x->head, DIGEST_BYTES);
}

status audit_state_open(audit_state *s, const audit_files *f, audit_lock how, error *err)
{
    slot x[2];
    *s = (audit_state){ .fd = -1 };
    status r = how == AUDIT_WRITE ? path_make_parents(f->state, err) : OK;
    if (!r)
        r = open_locked(&s->fd, f, how, err);
    if (r)
        return r;
    bool good[2] = { slot_read(s->fd, 0, &x[0]), slot_read(s->fd, 1, &x[1]) };
    unsigned newest = good[1] && (!good[0] || x[1].next > x[0].next);
    s->found = good[newest];
    s->older = !newest;
    if (s->found)
        chain_of(&x[newest], &s->chain);
    explicit_bzero(x, sizeof x);
    return OK;
}

void audit_state_close(audit_state *s)
{
    if (s->fd >= 0)
        close(s->fd); /* and with it the lock */
    explicit_bzero(s, sizeof *s);
    s->fd = -1;
}

status audit_state_write(audit_state *s, const audit_files *f, error *err)
{
    union {
        slot x;
        char bytes[SLOT_BYTES];
    } u = { .bytes = { 0 } };
    memcpy(u.x.magic, magic, sizeof magic);
    memcpy(u.x.chain, s->chain.id, UUID_TEXT);
    u.x.next = s->chain.next;
    u.x.bytes = s->chain.bytes;
    u.x.last_us = s->chain.last_us;
    u.x.anchored = s->chain.anchored;
    memcpy(u.x.key, s->chain.key, DIGEST_BYTES);
    memcpy(u.x.head, s->chain.head, DIGEST_BYTES);
    digest_raw(&u.x, offsetof(slot, digest), u.x.digest);
    unsigned first = s->older;
    bool ok = pwrite(s->fd, u.bytes, sizeof u.bytes, (off_t)first * SLOT_GAP) == (ssize_t)sizeof u.bytes &&
              fdatasync(s->fd) == 0 &&
              pwrite(s->fd, u.bytes, sizeof u.bytes, (off_t)!first * SLOT_GAP) == (ssize_t)sizeof u.bytes;
    status r = ok ? OK : fail(err, E_IO, "%s: %s", f->state, strerror(errno));
    explicit_bzero(&u, sizeof u);
    s->found = ok;
    s->older = !first;
    return r;
}

status audit_state_begin(audit_state *s, const audit_files *f, bool elsewhere, error *err)
{
    s->chain = (audit_chain){ .next = 1 };
    s->older = 0;
    status r = uuid_v7(s->chain.id, err);
    if (!r)
        r = random_bytes(s->chain.key, DIGEST_BYTES, err);
    if (!r && !elsewhere)
        r = audit_key_keep(f, &s->chain, err);
    if (!r)
        r = audit_state_write(s, f, err);
    return r ? r : audit_sync_folder(f->state, err);
}
