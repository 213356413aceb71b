/* cmd_privacy_fingerprint.c: hearth privacy fingerprint add FILE…, show: sets of fingerprints of documents. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cmd_privacy.h"
#include "cli/input.h"
#include "plat/paths.h"
#include "privacy/fingerprint.h"
#include "privacy/secret.h"

static const usage page = {
    "hearth privacy fingerprint add [OPTION]... FILE|FOLDER...\n"
    "       hearth privacy fingerprint show [OPTION]...",
    "Private documents, so that what is copied from them is known again in a request (docs/PRIVACY.md). The set holds\n"
    "keyed hashes and no text: without privacy.key it says nothing. `add` takes text files, and all of a folder's;\n"
    "hidden ones, links and what is no text are left out, and named. Name the set in config.yaml: `privacy:\n"
    "{fingerprints: private.fp}`. A set is not reduced: make it anew to take a document out.\n\n"
    "examples:\n"
    "  hearth privacy fingerprint add contracts/ minutes.txt\n"
    "  hearth privacy fingerprint show --json\n",
};

enum { DEPTH_MAX = 32, FILES_MAX = 100000 };
/* For so many bytes of documents there is room. */
static const uint64_t room = 16 << 20;
/* Of the filter's bits. Up to here one foreign shingle in six millions is taken for one of its own (0.3^13), and so one
 * foreign text in 50 MB. */
static const double full_max = 0.3;

typedef struct adding {
    const char *set;
    bool json;
    fingerprint *f;
    size_t n_files, n_skipped;
    uint64_t n_bytes;
    js *skipped; /* with --json */
} adding;

/* ---- one file, a folder ---- */

static void skip(adding *a, const char *path, const char *why)
{
    a->n_skipped++;
    if (a->json) {
        js *o = js_object();
        js_set(o, "file", js_new_string(path));
        js_set(o, "why", js_new_string(why));
        js_push(a->skipped, o);
        return;
    }
    printf("%s: left out: ", path);
    cli_print_text(why, "\n");
}

static status add_file(adding *a, const char *path, bool named, error *err)
{
    buf text = BUF_INIT(FINGERPRINT_MAX_TEXT);
    error why = { 0 };
    if (++a->n_files > FILES_MAX)
        return fail(err, E_RANGE, "over %d files", (int)FILES_MAX);
    status s = input_read_file(path, &text, &why);
    if (!s && memchr(buf_text(&text), 0, text.len))
        s = fail(&why, E_FORMAT, "%s: no text: its words cannot be seen (give its text instead)", path);
    if (!s) {
        s = fingerprint_add(a->f, buf_text(&text), text.len, &why);
        a->n_bytes += text.len;
    }
    buf_clear(&text);
    if (!s)
        return OK;
    a->n_files--;
    if (named || s == E_NOMEM)
        return fail(err, s, "%s", why.text);
    skip(a, path, why.text);
    return OK;
}

static status add_path(adding *a, const char *path, int depth, error *err);

static int by_text(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static status add_names(adding *a, const char *path, char **names, size_t n, int depth, error *err)
{
    status s = OK;
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n && !s; i++) {
        char whole[4096];
        if ((size_t)snprintf(whole, sizeof whole, "%s/%s", path, names[i]) >= sizeof whole)
            skip(a, names[i], "its path is too long");
        else
            s = add_path(a, whole, depth + 1, err);
    }
    return s;
}

static status add_folder(adding *a, const char *path, int depth, error *err)
{
    char **names = NULL;
    size_t n = 0;
    status s = OK;
    DIR *d = opendir(path);
    if (!d)
        return fail(err, E_IO, "%s: %s", path, strerror(errno));
    for (struct dirent *e; !s && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        char **more = (n & (n - 1)) == 0 ? mem_resize(names, (n ? 2 * n : 1) * sizeof *names) : names;
        char *name = mem_strdup(e->d_name);
        names = more ? more : names;
        if (more && name)
            names[n++] = name;
        else
            s = fail(err, E_NOMEM, "no memory for the names in %s", path);
    }
    closedir(d);
    if (!s)
        s = add_names(a, path, names, n, depth, err);
    for (size_t i = 0; i < n; i++)
        mem_free(names[i]);
    mem_free(names);
    return s;
}

static status add_path(adding *a, const char *path, int depth, error *err)
{
    struct stat st;
    if (depth == 0 && strcmp(path, "-") == 0)
        return add_file(a, path, true, err);
    if (depth == 0 ? stat(path, &st) : lstat(path, &st))
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
    if (S_ISREG(st.st_mode))
        return add_file(a, path, depth == 0, err);
    if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
        return add_folder(a, path, depth, err);
    skip(a, path, S_ISDIR(st.st_mode) ? "too deep" : "no file and no folder");
    return OK;
}

/* ---- the set ---- */

static js *about_json(const char *set, const fingerprint_about *b)
{
    js *o = js_object();
    js_set(o, "set", js_new_string(set));
    js_set(o, "documents", js_new_int((int64_t)b->n_documents));
    js_set(o, "shingles", js_new_int((int64_t)b->n_shingles));
    js_set(o, "bytes", js_new_int((int64_t)b->bytes));
    js_set(o, "full", js_new_double((double)(int64_t)(b->full / full_max * 1e4 + 0.5) / 1e4));
    return o;
}

static int print_about(const adding *a)
{
    fingerprint_about b = fingerprint_get_about(a->f);
    if (!a->json) {
        printf("%s: %llu documents, %llu fingerprints, %.1f %% full\n", a->set, (unsigned long long)b.n_documents,
               (unsigned long long)b.n_shingles, 100 * b.full / full_max);
        return EXIT_OK;
    }
    js *o = about_json(a->set, &b);
    if (a->skipped) {
        js_set(o, "added", js_new_int((int64_t)a->n_files));
        js_set(o, "left_out", js_copy(a->skipped));
    }
    return cli_print_json(o, "privacy fingerprint");
}

static status open_set(adding *a, bool make, error *err)
{
    uint8_t key[DIGEST_BYTES];
    status s = secret_key("fingerprints", key, err);
    if (!s)
        s = fingerprint_read(&a->f, a->set, key, sizeof key, err);
    if (s == E_NOTFOUND && make)
        s = fingerprint_open(&a->f, key, sizeof key, room, err);
    explicit_bzero(key, sizeof key);
    return s;
}

static status add_all(adding *a, char **files, size_t n, error *err)
{
    status s = open_set(a, true, err);
    for (size_t i = 0; i < n && !s; i++)
        s = add_path(a, files[i], 0, err);
    if (!s && fingerprint_get_about(a->f).full > full_max)
        s = fail(err, E_RANGE, "%s would be full, and take texts of others for its own: begin another with --set, and "
                 "name both in config.yaml", a->set);
    if (!s)
        s = path_make_parents(a->set, err);
    return s ? s : fingerprint_write(a->f, a->set, err);
}

int cmd_privacy_fingerprint(int argc, char **argv)
{
    adding a = { 0 };
    const option options[] = {
        { "set", 0, OPTION_TEXT, &a.set, "FILE", "the set (default: private.fp in the config folder)" },
        { "json", 0, OPTION_FLAG, &a.json, NULL, "one JSON document instead of text" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    char *usual = NULL;
    error err = { 0 };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    bool add = n > 0 && strcmp(argv[1], "add") == 0;
    if (!add && (!n || strcmp(argv[1], "show") != 0))
        return usage_error(argv[0], n ? "'%s' is none of add, show" : "add or show?", n ? argv[1] : "");
    if (add ? n < 2 : n > 1)
        return usage_error(argv[0], add ? "add: a FILE or FOLDER is needed" : "show takes no FILE");
    status s = a.set ? OK : path_of(&usual, PATH_CONFIG, "private.fp", &err);
    a.set = a.set ? a.set : usual;
    a.skipped = add && a.json ? js_array() : NULL;
    if (!s)
        s = add ? add_all(&a, argv + 2, n - 1, &err) : open_set(&a, false, &err);
    code = s ? report(argv[0], &err) : print_about(&a);
    js_free(a.skipped);
    fingerprint_close(&a.f);
    mem_free(usual);
    return code;
}
