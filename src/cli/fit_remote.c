#include "cli/fit_remote.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

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

/* One file's header: its beginning, and what is missing in steps that double what there is. files (may be NULL): all
 * files of the source. */
static status fetch_file(fit_remote *r, pull_ask *a, const char *source, js **files, error *err)
{
    int i = r->n;
    bool whole = false;
    if (i == REMOTE_FILES_MAX)
        return fail(err, E_RANGE, "%s: more than %d files", source, REMOTE_FILES_MAX);
    buf *b = &r->bytes[i];
    *b = (buf)BUF_INIT(REMOTE_MOST);
    r->n++;
    status s = pull_ask_header(a, source, (size_t)i, 0, REMOTE_FIRST, b, &r->file_bytes[i], files, err);
    if (!s && !r->file_bytes[i])
        s = fail(err, E_PROVIDER, "%s: the server does not say how long the file is", source);
    while (!s && !(s = is_whole(b, r->file_bytes[i], source, &whole, err)) && !whole) {
        size_t have = b->len;
        uint64_t total = 0;
        if (have >= REMOTE_MOST)
            return fail(err, E_FORMAT, "%s: its header goes on past %d bytes", source, (int)REMOTE_MOST);
        s = pull_ask_header(a, source, (size_t)i, have, have, b, &total, NULL, err);
        if (!s && (total != r->file_bytes[i] || b->len == have))
            s = fail(err, E_PROVIDER, "%s: the file changed while its header was read", source);
    }
    return s;
}

status fit_remote_open(fit_subject *out, fit_remote *r, pull_ask *a, const char *source, error *err)
{
    gguf_prefix parts[REMOTE_FILES_MAX];
    js *done = NULL;
    *r = (fit_remote){ .n = 0 };
    status s = fetch_file(r, a, source, &done, err);
    const js *files = js_get(done, "files");
    while (!s && (size_t)r->n < js_len(files))
        s = fetch_file(r, a, source, NULL, err);
    for (int i = 0; i < r->n; i++)
        parts[i] = (gguf_prefix){ r->bytes[i].data, r->bytes[i].len, r->file_bytes[i] };
    const char *name = js_text(js_get(js_at(files, 0), "name"));
    if (!s)
        s = fit_subject_parts(out, name ? name : source, parts, r->n, err);
    js_free(done);
    return s;
}
