/* scan_ollama.c: Ollama's store. https://github.com/ollama/ollama, manifest/paths.go and manifest/manifest.go:
 *
 *   ROOT/manifests-v2/HOST/NAMESPACE/MODEL/TAG   a manifest (JSON), since late versions a link to its blob; it counts
 *   ROOT/manifests/HOST/NAMESPACE/MODEL/TAG      before one of the same name here
 *   ROOT/blobs/sha256-HEX                        what its layers name: {"mediaType", "digest": "sha256:HEX", "size"}
 *
 * The weights are the layer application/vnd.ollama.image.model. A list of manifests has one for each runner, whole or
 * by its digest; that of the runners of GGUF files counts. Names are shown as `ollama list` does: without the default
 * host registry.ollama.ai and namespace library. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "base/str.h"
#include "store/store_int.h"

#define IMAGE "application/vnd.ollama.image."

static const char list_type[] = "application/vnd.ollama.manifest.list.v2+json";

/* Layers that a model needs and hearth has no use for. */
static const struct {
    const char *type, *why;
} foreign[] = {
    { IMAGE "projector", "it reads pictures with a projector of its own, which hearth does not run" },
    { IMAGE "adapter", "it is an adapter upon another model, which hearth does not join" },
    { IMAGE "tensor", "its weights are no GGUF file" },
};

/* "sha256:HEX" or "sha256-HEX": the blob's path. */
static bool blob_path(const store_scan *s, const char *named, char out[STORE_PATH_MAX])
{
    char hex[65];
    size_t n = named ? strlen(named) : 0;
    if (n != 71 || strncmp(named, "sha256", 6) != 0 || (named[6] != ':' && named[6] != '-'))
        return false;
    for (size_t i = 0; i < 65; i++)
        hex[i] = (char)tolower((unsigned char)named[7 + i]);
    int k = snprintf(out, STORE_PATH_MAX, "%s/blobs/sha256-%s", s->root, hex);
    return digest_is_hex(hex) && k > 0 && k < STORE_PATH_MAX;
}

static bool type_is(const char *type, const char *want)
{
    size_t n = strlen(want);
    return strncmp(type, want, n) == 0 && (!type[n] || type[n] == ';');
}

/* What the layers say: the weights' path, and why they cannot be run. False: this is no model's manifest. */
static bool read_layers(const store_scan *s, const js *manifest, char path[STORE_PATH_MAX], const char **why)
{
    const js *layers = js_get(manifest, "layers");
    unsigned models = 0;
    *why = NULL;
    for (size_t i = 0; js_is(layers, JS_ARRAY) && i < js_len(layers); i++) {
        const js *layer = js_at(layers, i);
        const char *type = js_text(js_get(layer, "mediaType"));
        if (type && type_is(type, IMAGE "model") && blob_path(s, js_text(js_get(layer, "digest")), path))
            models++;
        for (size_t k = 0; type && k < ARRAY_LEN(foreign); k++)
            if (type_is(type, foreign[k].type))
                *why = foreign[k].why;
    }
    if (models > 1)
        *why = "its weights are in several layers";
    if (!models && !*why)
        *why = js_is(layers, JS_ARRAY) ? "it has no weights on this disk" : NULL;
    return js_is(layers, JS_ARRAY);
}

static js *parse(const char *path)
{
    buf text = BUF_INIT(STORE_TEXT_MAX);
    js *v = NULL;
    if (store_read_small(path, &text) && js_parse(&v, buf_text(&text), text.len, path, 1, NULL) != OK)
        v = NULL;
    buf_clear(&text);
    return v;
}

static bool is_list(const js *manifest)
{
    const char *type = js_text(js_get(manifest, "mediaType"));
    return type && strcmp(type, list_type) == 0;
}

/* The one of a list that is for runners of GGUF files; free it. NULL: none. */
static js *choose(const store_scan *s, const js *list)
{
    static const char *const runners[] = { "ollama", "llamacpp" };
    const js *all = js_get(list, "manifests");
    for (size_t r = 0; r < ARRAY_LEN(runners); r++)
        for (size_t i = 0; js_is(all, JS_ARRAY) && i < js_len(all); i++) {
            const js *one = js_at(all, i);
            const char *runner = js_text(js_get(one, "runner"));
            char path[STORE_PATH_MAX];
            if (!runner || strcasecmp(runner, runners[r]) != 0 || is_list(one))
                continue;
            if (js_is(js_get(one, "layers"), JS_ARRAY))
                return js_copy(one);
            return blob_path(s, js_text(js_get(one, "digest")), path) ? parse(path) : NULL;
        }
    return NULL;
}

/* HOST/NAMESPACE/MODEL/TAG as Ollama shows it. False: it has not four parts. */
static bool shown_name(const char *rel, char out[STORE_PATH_MAX])
{
    const char *slash[3], *p = rel;
    for (size_t i = 0; i < 3; i++, p++) {
        p = strchr(p, '/');
        if (!p || !p[1])
            return false;
        slash[i] = p;
    }
    for (p = rel; *p; p++)
        if (iscntrl((unsigned char)*p))
            return false;
    if (strchr(slash[2] + 1, '/'))
        return false;
    const char *from = rel;
    if (str_starts(rel, "registry.ollama.ai/library/"))
        from = slash[1] + 1;
    else if (str_starts(rel, "registry.ollama.ai/"))
        from = slash[0] + 1;
    int n = snprintf(out, STORE_PATH_MAX, "ollama:%.*s:%s", (int)(slash[2] - from), from, slash[2] + 1);
    return n > 0 && n < STORE_PATH_MAX;
}

static status add_missing(store_scan *s, const char *name, const char *manifest, const char *why)
{
    status st = store_add(s, name, manifest, why);
    if (!st && s->n)
        s->list[s->n - 1].bytes = 0; /* the manifest's are not the model's */
    return st;
}

static status add_manifest(store_scan *s, const char *dir, const char *rel, void *user)
{
    char name[STORE_PATH_MAX], at[STORE_PATH_MAX], blob[STORE_PATH_MAX] = "";
    const char *why = NULL;
    struct stat st;
    (void)user;
    if (!shown_name(rel, name) || !store_join(at, dir, rel) || store_has(s, name))
        return OK;
    status seen = store_see(s, at);
    if (seen)
        return seen;
    js *manifest = parse(at);
    if (is_list(manifest)) {
        js *chosen = choose(s, manifest);
        js_free(manifest);
        manifest = chosen;
        why = chosen ? NULL : "no manifest of its list is for GGUF files";
    } else if (!manifest) {
        why = "its manifest cannot be read";
    }
    if (manifest && !read_layers(s, manifest, blob, &why))
        why = "its manifest names no layers";
    js_free(manifest);
    if (!blob[0])
        return add_missing(s, name, at, why);
    seen = store_see(s, blob);
    if (!seen && (stat(blob, &st) != 0 || !S_ISREG(st.st_mode)))
        return add_missing(s, name, at, why ? why : "its weights are not there, or may not be read");
    return seen ? seen : store_add(s, name, blob, why);
}

status store_scan_ollama(store_scan *s)
{
    static const char *const folders[] = { "manifests-v2", "manifests" };
    status st = OK;
    for (size_t i = 0; !st && i < ARRAY_LEN(folders); i++) {
        char path[STORE_PATH_MAX];
        if (store_join(path, s->root, folders[i]))
            st = store_walk_tree(s, path, add_manifest, NULL);
    }
    return st;
}
