/* note.c: FILE.gguf.json, which `hearth pull` writes beside a model's (first) file, and what is known of a model's
 * parts beforehand: by the note; by the names of Ollama's and Hugging Face's blobs, their contents' SHA-256.
 *
 *   {"hearth": 1, "source", "url", "revision", "sha256", "bytes", "etag", "licence", "pulled"}
 *   split models: "files": [{"name", "bytes", "sha256"}] instead of "sha256" and "bytes"
 *
 * Other keys are let be. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/str.h"
#include "store/store_int.h"

static status text_of(const js *note, const char *key, const char **out, const char *path, error *err)
{
    const js *v = js_get(note, key);
    *out = js_is(v, JS_STRING) ? js_text(v) : "";
    return !v || js_is(v, JS_STRING) || js_is(v, JS_NULL)
               ? OK
               : fail(err, E_FORMAT, "%s: '%s' is no text", path, key);
}

static status read_note(store_note *out, const char *path, const buf *text, error *err)
{
    int64_t version = 0;
    status s = js_parse(&out->tree, buf_text(text), text->len, path, 1, err);
    const struct {
        const char *key, **to;
    } texts[] = { { "source", &out->source },   { "url", &out->url },       { "revision", &out->revision },
                  { "licence", &out->licence }, { "pulled", &out->pulled } };
    if (!s && (!js_is(out->tree, JS_OBJECT) || !js_int(js_get(out->tree, "hearth"), &version) || version < 1))
        s = fail(err, E_FORMAT, "%s: is no note of hearth pull", path);
    if (!s && version > 1)
        s = fail(err, E_UNSUPPORTED, "%s: was written by a newer hearth (version %lld of notes)", path,
                 (long long)version);
    for (size_t i = 0; !s && i < ARRAY_LEN(texts); i++)
        s = text_of(out->tree, texts[i].key, texts[i].to, path, err);
    return s;
}

status store_note_read(store_note *out, const store_model *m, error *err)
{
    char path[STORE_PATH_MAX];
    struct stat st;
    buf text = BUF_INIT(STORE_TEXT_MAX);
    *out = (store_note){ NULL, "", "", "", "", "" };
    if (m->place != STORE_MODELS && m->place != STORE_PATH)
        return OK;
    int n = snprintf(path, sizeof path, "%s.json", m->path);
    if (n < 0 || n >= STORE_PATH_MAX || (stat(path, &st) != 0 && errno == ENOENT))
        return OK;
    status s = store_read_small(path, &text)
                   ? read_note(out, path, &text, err)
                   : fail(err, E_IO, "%s: cannot be read, or is no note", path);
    buf_clear(&text);
    if (s)
        store_note_clear(out);
    return s;
}

void store_note_clear(store_note *n)
{
    js_free(n->tree);
    *n = (store_note){ NULL, "", "", "", "", "" };
}

/* ---- what is known of a part ---- */

static status facts_of(store_expected *out, const js *of, const char *what, error *err)
{
    const js *sum = js_get(of, "sha256"), *bytes = js_get(of, "bytes");
    int64_t n = 0;
    if (sum && !js_is(sum, JS_NULL) && (!js_is(sum, JS_STRING) || !digest_is_hex(js_text(sum))))
        return fail(err, E_FORMAT, "the note's sha256 of %s is not 64 hex digits", what);
    if (bytes && !js_is(bytes, JS_NULL) && (!js_int(bytes, &n) || n < 1))
        return fail(err, E_FORMAT, "the note's bytes of %s are no length", what);
    out->bytes = (uint64_t)n;
    out->from = "the note";
    if (js_is(sum, JS_STRING))
        memcpy(out->sha256, js_text(sum), 65);
    return OK;
}

static status by_note(store_expected *out, const store_note *n, const char *file, unsigned i, error *err)
{
    const js *files = js_get(n->tree, "files");
    if (!files || js_is(files, JS_NULL))
        return i == 0 ? facts_of(out, n->tree, file, err) : OK;
    for (size_t k = 0; js_is(files, JS_ARRAY) && k < js_len(files); k++) {
        const char *name = js_text(js_get(js_at(files, k), "name"));
        if (name && strcmp(name, file) == 0)
            return facts_of(out, js_at(files, k), file, err);
    }
    return fail(err, E_FORMAT, "the note does not name the file %s", file);
}

/* Ollama's path is blobs/sha256-HEX; Hugging Face's is a link to blobs/HEX. */
static void by_blob(store_expected *out, const store_model *m, const char *path)
{
    char to[STORE_PATH_MAX];
    bool ollama = m->place == STORE_OLLAMA;
    ssize_t n = ollama ? 0 : readlink(path, to, sizeof to - 1);
    if (n < 0)
        return; /* a copy */
    to[n] = '\0';
    const char *slash = strrchr(ollama ? path : to, '/'), *name = slash ? slash + 1 : "";
    if (ollama)
        name = str_starts(name, "sha256-") ? name + 7 : "";
    if (digest_is_hex(name)) {
        memcpy(out->sha256, name, 65);
        out->from = ollama ? "its name in Ollama's store" : "its name in the Hugging Face cache";
    }
}

status store_expect(store_expected *out, const store_model *m, const store_note *n, unsigned i, error *err)
{
    char path[STORE_PATH_MAX];
    *out = (store_expected){ 0, "", "" };
    status s = store_part(m->path, i, path, sizeof path, err);
    if (s)
        return s;
    const char *slash = strrchr(path, '/');
    if (n->tree)
        return by_note(out, n, slash ? slash + 1 : path, i, err);
    if (m->place == STORE_OLLAMA || m->place == STORE_HF)
        by_blob(out, m, path);
    return OK;
}
