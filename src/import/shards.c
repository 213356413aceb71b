/* shards.c: the weights of a model, in one file or in several that model.safetensors.index.json lists:
 *
 *     {"metadata": {...}, "weight_map": {"NAME": "model-00001-of-00002.safetensors", ...}} */
#include <stdlib.h>
#include <string.h>

#include "import/import_int.h"

static status open_file(import_weights *w, const char *path, error *err)
{
    file_map *map = &w->maps[w->n_maps];
    status s = file_map_open(map, path, err);
    if (s)
        return s;
    w->n_maps++;
    w->map = map;
    return str_ends(path, ".onnx") ? import_onnx(w, map->data, map->bytes, err)
                                   : import_safetensors(w, map->data, map->bytes, err);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The files that the index names, each once. */
static status list_files(const js *map, const char **out, size_t *n, error *err)
{
    js_member m = { 0 };
    *n = 0;
    while (js_next(map, &m)) {
        const char *file = js_text(m.value);
        if (!js_is(m.value, JS_STRING) || !file || strchr(file, '/') || !str_ends(file, ".safetensors") ||
            strlen(file) > 255)
            return fail(err, E_FORMAT, "%s: '%.80s' is not in a .safetensors file of this folder",
                        "model.safetensors.index.json", m.key);
        out[(*n)++] = file;
    }
    qsort(out, *n, sizeof *out, by_text);
    size_t k = 0;
    for (size_t i = 0; i < *n; i++)
        if (k == 0 || strcmp(out[k - 1], out[i]) != 0)
            out[k++] = out[i];
    *n = k;
    if (k == 0 || k > IMPORT_MAX_FILES)
        return fail(err, E_RANGE, "model.safetensors.index.json: weight_map names %zu files; 1 to %d are read", k,
                    IMPORT_MAX_FILES);
    return OK;
}

static status check_index(const import_weights *w, const js *map, error *err)
{
    js_member m = { 0 };
    while (js_next(map, &m)) {
        char name[IMPORT_MAX_NAME + 16];
        import_clean_name(name, span_of(m.key));
        const import_tensor *t = import_weights_find(w, name);
        const char *file = t ? strrchr(t->file, '/') : NULL;
        if (!file || strcmp(file + 1, js_text(m.value)) != 0)
            return fail(err, E_FORMAT, "model.safetensors.index.json: tensor '%.80s' is not in %s", m.key,
                        js_text(m.value));
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const import_tensor *)a)->name.p, ((const import_tensor *)b)->name.p);
}

static status sort(import_weights *w, error *err)
{
    if (w->n)
        qsort(w->list, w->n, sizeof *w->list, by_name);
    for (size_t i = 1; i < w->n; i++)
        if (strcmp(w->list[i - 1].name.p, w->list[i].name.p) == 0)
            return fail(err, E_FORMAT, "%s: tensor '%s' is there twice", w->list[i].file, w->list[i].name.p);
    return OK;
}

static status open_shards(import_weights *w, const import_files *f, const js *map, error *err)
{
    const char **names = mem_array(js_len(map) + 1, sizeof *names);
    size_t n = 0;
    status s = names ? OK : fail(err, E_NOMEM, "no memory for the list of files");
    if (!s && js_len(map) > IMPORT_MAX_TENSORS)
        s = fail(err, E_RANGE, "%s: %zu tensors; the limit is %d", f->weights, js_len(map), IMPORT_MAX_TENSORS);
    if (!s)
        s = list_files(map, names, &n, err);
    for (size_t i = 0; !s && i < n; i++) {
        char path[IMPORT_PATH];
        s = import_path(path, f->folder, names[i], err);
        w->file = s ? NULL : arena_strndup(&w->memory, path, strlen(path));
        if (!s)
            s = w->file ? open_file(w, path, err) : fail(err, E_NOMEM, "no memory for a path");
    }
    mem_free(names);
    w->file = f->weights;
    return s;
}

status import_weights_open(import_weights *w, const import_files *f, error *err)
{
    const js *map = js_get(f->index, "weight_map");
    *w = (import_weights){ .memory = ARENA_INIT(IMPORT_ARENA), .file = f->weights };
    w->maps = mem_array(f->index ? IMPORT_MAX_FILES : 1, sizeof *w->maps);
    status s = w->maps ? OK : fail(err, E_NOMEM, "no memory for the list of files");
    if (!s && f->index && !js_is(map, JS_OBJECT))
        s = fail(err, E_FORMAT, "%s: there is no weight_map", f->weights);
    if (!s)
        s = f->index ? open_shards(w, f, map, err) : open_file(w, f->weights, err);
    if (!s)
        s = sort(w, err);
    return s || !f->index ? s : check_index(w, map, err);
}

void import_weights_close(import_weights *w)
{
    for (size_t i = 0; i < w->n_maps; i++)
        file_map_close(&w->maps[i]);
    mem_free(w->maps);
    mem_free(w->list);
    arena_clear(&w->memory);
}
