/* scan_hf.c: the Hugging Face cache. https://huggingface.co/docs/hub/local-cache:
 *
 *   HUB/models--OWNER--REPO/refs/main                 the commit that the branch was at when it was last fetched
 *                           snapshots/COMMIT/FILE     a link to ../../blobs/ETAG (where links are not possible, a copy)
 *                           blobs/ETAG                SHA-256 of large (LFS) files, SHA-1 of the others
 *
 * A file that several commits have is listed once: as refs/main has it, otherwise as the newest commit. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "store/store_int.h"

static const char prefix[] = "models--";

typedef struct repo {
    char name[512];   /* "OWNER/REPO" */
    char main[128];   /* the commit of refs/main; "" when not known */
    bool is_main;     /* the snapshot that is looked into is that */
    size_t first;     /* of the list: where this repository's begin */
} repo;

/* "models--OWNER--REPO": repositories have no "--" in their names. */
static bool repo_name(const char *folder, char out[512])
{
    size_t n = 0;
    const char *p = folder + strlen(prefix);
    for (; *p && n < 511; p += p[0] == '-' && p[1] == '-' ? 2 : 1) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
        out[n++] = p[0] == '-' && p[1] == '-' ? '/' : *p;
    }
    out[n] = '\0';
    return n && !*p;
}

static status read_main(store_scan *s, const char *folder, repo *r)
{
    char path[STORE_PATH_MAX];
    buf text = BUF_INIT(STORE_TEXT_MAX);
    r->main[0] = '\0';
    if (!store_join(path, folder, "refs/main"))
        return OK;
    status st = store_see(s, path);
    if (!st && store_read_small(path, &text)) {
        span word = span_trim(span_of(buf_text(&text)));
        if (word.n < sizeof r->main) {
            memcpy(r->main, word.p, word.n);
            r->main[word.n] = '\0';
        }
    }
    buf_clear(&text);
    return st;
}

/* Of a name that the list has already one stays: refs/main's, otherwise the newer file. */
static bool keep_old(store_scan *s, const repo *r, const char *name, const char *path)
{
    struct stat st;
    for (size_t i = r->first; i < s->n; i++) {
        if (strcmp(s->list[i].name, name) != 0)
            continue;
        bool newer = stat(path, &st) == 0 && S_ISREG(st.st_mode) && (int64_t)st.st_mtime > s->list[i].modified_s;
        if (!r->is_main && (r->main[0] ? strstr(s->list[i].path, r->main) != NULL : false))
            return true;
        if (!r->is_main && !newer)
            return true;
        store_model_clear(&s->list[i]);
        s->list[i] = s->list[--s->n];
        return false;
    }
    return false;
}

static status add_file(store_scan *s, const char *snapshot, const char *file, void *user)
{
    const repo *r = user;
    unsigned long part;
    char path[STORE_PATH_MAX], name[STORE_PATH_MAX];
    struct stat st;
    if (!store_is_model(file) || !store_join(path, snapshot, file) || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return OK; /* a link that leads nowhere: it was removed, or is not whole yet */
    int n = snprintf(name, sizeof name, "hf:%s/%.*s", r->name, (int)store_stem(file, &part), file);
    return n < 0 || n >= STORE_PATH_MAX || keep_old(s, r, name, path) ? OK : store_add(s, name, path, NULL);
}

static status scan_snapshot(store_scan *s, const char *snapshots, const char *commit, void *user)
{
    repo *r = user;
    char path[STORE_PATH_MAX];
    r->is_main = strcmp(commit, r->main) == 0;
    return store_join(path, snapshots, commit) ? store_walk_tree(s, path, add_file, r) : OK;
}

static status scan_repo(store_scan *s, const char *hub, const char *folder, void *user)
{
    repo r = { .first = s->n };
    char path[STORE_PATH_MAX], snapshots[STORE_PATH_MAX];
    (void)user;
    if (!str_starts(folder, prefix) || !repo_name(folder, r.name) || !store_join(path, hub, folder) ||
        !store_join(snapshots, path, "snapshots"))
        return OK;
    status st = read_main(s, path, &r);
    return st ? st : store_walk(s, snapshots, scan_snapshot, &r);
}

status store_scan_hf(store_scan *s)
{
    return store_walk(s, s->root, scan_repo, NULL);
}
