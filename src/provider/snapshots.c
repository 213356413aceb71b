/* snapshots.c: see the header. Everything is done below a descriptor of the folder, and no link is followed. */
#include "provider/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/paths.h"
#include "worker/snapshot.h"

#define WHOLE ".prefixes"
#define FRESH ".new"

void snapshot_file_init(snapshot_file *f)
{
    *f = (snapshot_file){ .dir = -1, .from = -1, .to = -1 };
}

/* ---- the folder ---- */

/* E_NOTFOUND: there is none. */
static status open_dir(int *out, bool make, error *err)
{
    char *path = NULL;
    struct stat st;
    int fd = -1;
    status s = path_of(&path, PATH_CACHE, "prefix", err);
    if (!s && make)
        s = path_make_dirs(path, err);
    if (!s && (fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        s = fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    if (!s && (fstat(fd, &st) != 0 || st.st_uid != geteuid()))
        s = fail(err, E_IO, "%s: belongs to somebody else", path);
    if (!s && (st.st_mode & 077) && fchmod(fd, 0700) != 0)
        s = fail(err, E_IO, "%s: others may look into it: %s", path, strerror(errno));
    mem_free(path);
    if (!s)
        *out = fd;
    else if (fd >= 0)
        close(fd);
    return s;
}

typedef bool each_file(void *user, int dir, const char *name, const struct stat *st);

/* Every file in it whose name ends so, until fn says true. */
static void each(int dir, const char *end, each_file *fn, void *user)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    bool over = false;
    struct stat st;
    for (struct dirent *e; d && !over && (e = readdir(d));)
        if (str_ends(e->d_name, end) && fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
            over = fn(user, dir, e->d_name, &st);
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
}

/* ---- beginning ---- */

static bool somebodys(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0)
        close(fd);
    return locked;
}

static bool remove_nobodys(void *user, int dir, const char *name, const struct stat *st)
{
    (void)user;
    (void)st;
    if (!somebodys(dir, name))
        unlinkat(dir, name, 0);
    return false;
}

static void open_old(snapshot_file *f)
{
    struct stat st;
    f->from = openat(f->dir, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (f->from < 0 && errno == ENOENT)
        return;
    bool ours = f->from >= 0 && fstat(f->from, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
                st.st_nlink == 1 && !(st.st_mode & 077);
    if (ours)
        return;
    log_line(LOG_LEVEL_WARN, "prefix/%s is not a file of ours alone: it is not used", f->name);
    if (f->from >= 0)
        close(f->from);
    f->from = -1;
}

static status open_fresh(snapshot_file *f, error *err)
{
    static atomic_uint counter;
    snprintf(f->fresh, sizeof f->fresh, "%s.%d-%u" FRESH, f->name, (int)getpid(), atomic_fetch_add(&counter, 1));
    f->to = openat(f->dir, f->fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->to < 0 || fchmod(f->to, 0600) != 0 || flock(f->to, LOCK_EX | LOCK_NB) != 0)
        return fail(err, E_IO, "prefix/%s: %s", f->fresh, strerror(errno));
    return OK;
}

static void close_all(snapshot_file *f)
{
    int fds[] = { f->from, f->to, f->dir };
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    snapshot_file_init(f);
}

status snapshot_file_begin(snapshot_file *f, const char *name, error *err)
{
    snapshot_file_init(f);
    status s = open_dir(&f->dir, true, err);
    int n = snprintf(f->name, sizeof f->name, "%s" WHOLE, name);
    if (!s && (n < 0 || (size_t)n >= sizeof f->name || strchr(name, '/')))
        s = fail(err, E_RANGE, "'%.40s' is no name for a snapshot", name);
    if (s) {
        close_all(f);
        return s;
    }
    each(f->dir, FRESH, remove_nobodys, NULL);
    open_old(f);
    s = open_fresh(f, err);
    if (s)
        close_all(f);
    return s;
}

/* ---- ending ---- */

/* Is what was written whole, no more than was allowed, and the file still there under its name? */
static bool worth_keeping(const snapshot_file *f, uint64_t max_bytes)
{
    char magic[sizeof SNAPSHOT_MAGIC - 1];
    struct stat own, there;
    return pread(f->to, magic, sizeof magic, 0) == (ssize_t)sizeof magic &&
           memcmp(magic, SNAPSHOT_MAGIC, sizeof magic) == 0 && fstat(f->to, &own) == 0 &&
           (uint64_t)own.st_size <= max_bytes &&
           fstatat(f->dir, f->fresh, &there, AT_SYMLINK_NOFOLLOW) == 0 && own.st_ino == there.st_ino &&
           own.st_dev == there.st_dev;
}

typedef struct census {
    uint64_t bytes;
    char oldest[NAME_MAX + 1];
    struct timespec at;
} census;

static bool count(void *user, int dir, const char *name, const struct stat *st)
{
    census *c = user;
    (void)dir;
    c->bytes += (uint64_t)st->st_size;
    bool older = st->st_mtim.tv_sec < c->at.tv_sec ||
                 (st->st_mtim.tv_sec == c->at.tv_sec && st->st_mtim.tv_nsec < c->at.tv_nsec);
    if (!c->oldest[0] || older) {
        snprintf(c->oldest, sizeof c->oldest, "%s", name);
        c->at = st->st_mtim;
    }
    return false;
}

static void keep_within(int dir, uint64_t max_bytes)
{
    for (;;) {
        census c = { 0 };
        each(dir, WHOLE, count, &c);
        if (c.bytes <= max_bytes || unlinkat(dir, c.oldest, 0) != 0)
            return;
    }
}

void snapshot_file_end(snapshot_file *f, uint64_t max_bytes)
{
    if (f->dir < 0)
        return;
    if (!worth_keeping(f, max_bytes))
        unlinkat(f->dir, f->fresh, 0);
    else if (renameat(f->dir, f->fresh, f->dir, f->name) != 0)
        log_line(LOG_LEVEL_WARN, "prefix/%s: %s", f->name, strerror(errno));
    keep_within(f->dir, max_bytes);
    close_all(f);
}

/* ---- purging ---- */

typedef struct purging {
    snapshots_purged *out;
    error *err;
    status s;
} purging;

static void purge_one(purging *p, int dir, const char *name)
{
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
        p->s = fail(p->err, E_IO, "prefix/%.100s: %s", name, strerror(errno));
}

static bool purge_whole(void *user, int dir, const char *name, const struct stat *st)
{
    purging *p = user;
    p->out->bytes += (uint64_t)st->st_size;
    p->out->n_files++;
    purge_one(p, dir, name);
    return p->s != OK;
}

static bool purge_fresh(void *user, int dir, const char *name, const struct stat *st)
{
    purging *p = user;
    p->out->bytes += (uint64_t)st->st_size;
    p->out->n_running += somebodys(dir, name);
    purge_one(p, dir, name);
    return p->s != OK;
}

/* Those of running workers first: what they become meanwhile is found among the whole ones. */
status snapshots_purge(snapshots_purged *out, error *err)
{
    int dir;
    purging p = { out, err, OK };
    *out = (snapshots_purged){ 0 };
    status s = open_dir(&dir, false, err);
    if (s)
        return s == E_NOTFOUND ? OK : s;
    each(dir, FRESH, purge_fresh, &p);
    if (!p.s)
        each(dir, WHOLE, purge_whole, &p);
    close(dir);
    return p.s;
}
