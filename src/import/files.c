/* files.c: which files a folder's model is made of. */
#include <stdio.h>
#include <string.h>

#include "import/import_int.h"

static const char *const weight_files[] = { "model.safetensors",   "model.safetensors.index.json", "model.onnx",
                                            "onnx/model.onnx",     "onnx/model_q4.onnx",
                                            "onnx/model_quantized.onnx" };

status import_path(char out[IMPORT_PATH], const char *folder, const char *name, error *err)
{
    int n = snprintf(out, IMPORT_PATH, "%s/%s", folder, name);
    return n > 0 && n < IMPORT_PATH ? OK : fail(err, E_RANGE, "%.80s…: a path of over %d bytes", folder, IMPORT_PATH);
}

static void parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash)
        slash[slash == path] = 0;
    else
        memcpy(path, ".", 2);
}

/* *out stays empty when the file is not there and not needed. */
static status map_text(file_map *out, const char *folder, const char *name, bool needed, error *err)
{
    char path[IMPORT_PATH];
    error why;
    status s = import_path(path, folder, name, err);
    if (s)
        return s;
    s = file_map_open(out, path, &why);
    if (s == E_NOTFOUND && !needed)
        return OK;
    if (s)
        return fail(err, s, "%s", why.text);
    if (out->bytes > IMPORT_MAX_TEXT) {
        file_map_close(out);
        *out = (file_map){ 0 };
        return fail(err, E_RANGE, "%s: over %d bytes", path, IMPORT_MAX_TEXT);
    }
    return OK;
}

static status read_json(js **out, const char *folder, const char *name, bool needed, error *err)
{
    file_map map = { 0 };
    status s = map_text(&map, folder, name, needed, err);
    if (!s && map.bytes)
        s = js_parse(out, (const char *)map.data, map.bytes, name, 1, err);
    else if (!s && needed)
        s = fail(err, E_FORMAT, "%s/%s is empty", folder, name);
    file_map_close(&map);
    return s;
}

/* "model-00001-of-00002.safetensors" */
static bool is_part(const char *path)
{
    const char *slash = strrchr(path, '/'), *of = strstr(slash ? slash : path, "-of-");
    return of && str_ends(path, ".safetensors") && of[4] >= '0' && of[4] <= '9';
}

/* From the path that was given to the folder and the weights in it. */
static status find_weights(import_files *f, const char *from, error *err)
{
    file_map map = { 0 };
    error why;
    status s = E_NOTFOUND;
    size_t n = strlen(from);
    if (n >= IMPORT_PATH)
        return fail(err, E_RANGE, "a path of over %d bytes", IMPORT_PATH);
    memcpy(f->folder, from, n + 1);
    while (n > 1 && f->folder[n - 1] == '/')
        f->folder[--n] = 0;
    if (is_part(from))
        return fail(err, E_UNSUPPORTED, "%s: a part of a model: give its folder", from);
    if (str_ends(from, ".safetensors") || str_ends(from, ".onnx") || str_ends(from, ".safetensors.index.json")) {
        memcpy(f->weights, from, n + 1);
        parent(f->folder);
        if (str_ends(f->folder, "/onnx"))
            parent(f->folder);
        return OK;
    }
    for (size_t i = 0; s == E_NOTFOUND && i < ARRAY_LEN(weight_files); i++) {
        s = import_path(f->weights, f->folder, weight_files[i], err);
        s = s ? s : file_map_open(&map, f->weights, &why);
        if (s && s != E_NOTFOUND)
            return fail(err, s, "%s", why.text);
    }
    file_map_close(&map);
    return s ? fail(err, s, "%s: there is no model.safetensors (or its index), model.onnx or onnx/model*.onnx",
                    f->folder) : OK;
}

/* A sentence encoder may have layers after its pooling, which only modules.json tells of. */
static status check_modules(const char *folder, error *err)
{
    static const char *const known[] = { ".Transformer", ".Pooling", ".Normalize" };
    js *modules = NULL;
    status s = read_json(&modules, folder, "modules.json", false, err);
    for (size_t i = 0; !s && i < js_len(modules); i++) {
        const char *type = js_text(js_get(js_at(modules, i), "type"));
        bool ok = false;
        for (size_t k = 0; type && k < ARRAY_LEN(known); k++)
            ok |= str_ends(type, known[k]);
        if (!ok)
            s = fail(err, E_UNSUPPORTED, "modules.json: module %zu is '%.60s'; Transformer, Pooling and Normalize are "
                     "imported", i, type ? type : "");
    }
    js_free(modules);
    return s;
}

status import_files_open(import_files *f, const char *from, error *err)
{
    status s = find_weights(f, from, err);
    struct {
        js **to;
        const char *name;
        bool needed;
    } texts[] = { { &f->config, "config.json", true },
                  { &f->generation, "generation_config.json", false },
                  { &f->pooling, "1_Pooling/config.json", false },
                  { &f->tokenizer, "tokenizer.json", false },
                  { &f->tokenizer_config, "tokenizer_config.json", false } };
    for (size_t i = 0; !s && i < ARRAY_LEN(texts); i++)
        s = read_json(texts[i].to, f->folder, texts[i].name, texts[i].needed, err);
    if (!s && str_ends(f->weights, ".json")) {
        const char *slash = strrchr(f->weights, '/');
        s = read_json(&f->index, f->folder, slash ? slash + 1 : f->weights, true, err);
    }
    if (!s && !f->tokenizer)
        s = map_text(&f->lines, f->folder, "vocab.txt", false, err);
    if (!s)
        s = map_text(&f->sentencepiece, f->folder, "tokenizer.model", false, err);
    if (!s)
        s = map_text(&f->chat_template, f->folder, "chat_template.jinja", false, err);
    return s ? s : check_modules(f->folder, err);
}

void import_files_close(import_files *f)
{
    file_map_close(&f->lines);
    file_map_close(&f->sentencepiece);
    file_map_close(&f->chat_template);
    js_free(f->config);
    js_free(f->generation);
    js_free(f->pooling);
    js_free(f->tokenizer);
    js_free(f->tokenizer_config);
    js_free(f->index);
}
