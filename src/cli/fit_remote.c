#include "cli/fit_remote.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { URL_MAX = 4096 };

bool fit_is_source(const char *word)
{
    return strstr(word, "://") || str_starts(word, "hf:") || str_starts(word, "pypi:");
}

void fit_remote_close(fit_remote *r)
{
    for (int i = 0; i < r->n; i++)
        buf_clear(&r->bytes[i]);
    *r = (fit_remote){ .n = 0 };
}

/* Whether the bytes so far are the whole header. E_RANGE from the parser means that they are not yet. */
static status is_whole(const buf *b, uint64_t file_bytes, const char *name, bool *whole, error *err)
{
    gguf *g = NULL;
    error why = { 0 };
    status s = gguf_parse(&g, b->data, b->len, file_bytes, name, &why);
    *whole = s == OK;
    gguf_close(&g);
    return s == OK || (s == E_RANGE && b->len < file_bytes) ? OK : fail(err, s, "%s", why.text);
}

/* The rest of a file's header: `from` is asked for what is missing, in steps that double what there is. */
static status fetch_rest(fit_remote *r, int i, pull_ask *a, const char *from, error *err)
{
    bool whole = false;
    status s = OK;
    if (!r->file_bytes[i])
        return fail(err, E_PROVIDER, "%s: the server does not say how long the file is", from);
    while (!s && !(s = is_whole(&r->bytes[i], r->file_bytes[i], from, &whole, err)) && !whole) {
        size_t have = r->bytes[i].len;
        uint64_t total = 0;
        if (have >= REMOTE_MOST)
            return fail(err, E_FORMAT, "%s: its header goes on past %d bytes", from, (int)REMOTE_MOST);
        s = pull_ask_header(a, from, have, have, &r->bytes[i], &total, NULL, err);
        if (!s && (total != r->file_bytes[i] || r->bytes[i].len == have))
            s = fail(err, E_PROVIDER, "%s: the file changed while its header was read", from);
    }
    return s;
}

static status fetch_first(fit_remote *r, pull_ask *a, const char *from, js **files, error *err)
{
    int i = r->n;
    if (i == REMOTE_FILES_MAX)
        return fail(err, E_RANGE, "%s: more than %d files", from, REMOTE_FILES_MAX);
    r->bytes[i] = (buf)BUF_INIT(REMOTE_MOST);
    r->n++;
    return pull_ask_header(a, from, 0, REMOTE_FIRST, &r->bytes[i], &r->file_bytes[i], files, err);
}

/* Where part i of the source is: as the answer lists it, else by the name of the first ("…-00001-of-00003.gguf"). "":
 * there is none. */
static void url_of(const js *done, const char *first, unsigned i, char out[URL_MAX])
{
    const js *files = js_get(done, "files");
    const char *said = js_text(js_get(js_at(files, i), "url"));
    out[0] = '\0';
    if (js_len(files) > 1)
        snprintf(out, URL_MAX, "%s", said ? said : "");
    else if (gguf_part_path(first, i, out, URL_MAX, NULL) != OK)
        out[0] = '\0';
}

static status fetch_all(fit_remote *r, pull_ask *a, const char *source, char first[URL_MAX], error *err)
{
    js *done = NULL;
    char url[URL_MAX];
    status s = fetch_first(r, a, source, &done, err);
    const char *said = js_text(js_get(js_at(js_get(done, "files"), 0), "url"));
    snprintf(first, URL_MAX, "%s", said ? said : source);
    if (!s)
        s = fetch_rest(r, 0, a, first, err);
    for (unsigned i = 1; !s; i++) {
        url_of(done, first, i, url);
        if (!url[0])
            break;
        s = fetch_first(r, a, url, NULL, err);
        if (!s)
            s = fetch_rest(r, (int)i, a, url, err);
    }
    js_free(done);
    return s;
}

/* The last part of an address without what follows a '?', and without a first part's number. */
static void name_of(const char *url, char *out, size_t bytes)
{
    size_t n = strcspn(url, "?#");
    while (n > 0 && url[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && url[from - 1] != '/')
        from--;
    snprintf(out, bytes, "%.*s", (int)(n - from), url + from);
}

status fit_remote_open(fit_subject *out, fit_remote *r, pull_ask *a, const char *source, error *err)
{
    char first[URL_MAX], name[256];
    gguf_prefix parts[REMOTE_FILES_MAX];
    *r = (fit_remote){ .n = 0 };
    status s = fetch_all(r, a, source, first, err);
    if (s)
        return s;
    for (int i = 0; i < r->n; i++)
        parts[i] = (gguf_prefix){ r->bytes[i].data, r->bytes[i].len, r->file_bytes[i] };
    name_of(first, name, sizeof name);
    return fit_subject_parts(out, name, parts, r->n, err);
}
