/* audit_standing.c: see the header. */
#include "privacy/audit_standing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "privacy/audit_int.h"

static bool cannot(audit_standing *out, const char *what, const char *why)
{
    out->can_append = false;
    if (!out->why[0])
        snprintf(out->why, sizeof out->why, "%.80s: %s", what, why);
    return false;
}

/* The file opens for appending, or could be made where it belongs. */
static bool try_file(audit_standing *out, const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) {
        struct statvfs disk;
        bool full = fstatvfs(fd, &disk) == 0 && disk.f_bavail == 0;
        close(fd);
        return !full || cannot(out, path, "the disk is full");
    }
    if (errno != ENOENT)
        return cannot(out, path, strerror(errno));
    /* the nearest folder that is there must let things be made in it */
    char *dir = mem_strdup(path);
    int e = ENOENT;
    for (char *slash; dir && e == ENOENT && (slash = strrchr(dir, '/')) && slash != dir;) {
        *slash = 0;
        e = access(dir, W_OK | X_OK) == 0 ? 0 : errno;
    }
    mem_free(dir);
    return !e || cannot(out, path, strerror(e));
}

static void read_state(audit_standing *out, const audit_files *f)
{
    audit_state s;
    struct stat log;
    error err = { 0 };
    uint64_t bytes = stat(f->log, &log) == 0 ? (uint64_t)log.st_size : 0;
    status r = audit_state_open(&s, f, AUDIT_READ, &err);
    if (r || !s.found) {
        out->there = bytes > 0;
        out->whole = !out->there && (!r || r == E_NOTFOUND);
        if (!out->whole)
            snprintf(out->why, sizeof out->why, "%.150s",
                     r && r != E_NOTFOUND ? err.text : "there is a log without its audit.state");
    } else {
        out->there = true;
        out->whole = bytes >= s.chain.bytes;
        memcpy(out->chain, s.chain.id, sizeof out->chain);
        out->record = s.chain.next - 1;
        digest_hex(s.chain.head, out->head);
        if (!out->whole)
            snprintf(out->why, sizeof out->why, "audit.log is shorter than audit.state says");
    }
    audit_state_close(&s);
}

status audit_stand(audit_standing *out, error *err)
{
    audit_files f;
    audit_standing v = { .can_append = true };
    status s = audit_files_find(&f, err);
    if (s)
        return s;
    read_state(&v, &f);
    v.can_append = v.whole && try_file(&v, f.log) && try_file(&v, f.state);
    audit_files_clear(&f);
    *out = v;
    return OK;
}
