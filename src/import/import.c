/* import.c: which files a model is made of, and the walk from them to a GGUF file. */
#include "import/import.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "import/import_int.h"
#include "plat/file_map.h"

enum { PATH_BYTES = 4096 };

static const char *const weight_files[] = { "model.safetensors", "model.onnx", "onnx/model.onnx", "onnx/model_q4.onnx",
                                            "onnx/model_quantized.onnx" };

typedef struct files {
    char folder[PATH_BYTES], weights[PATH_BYTES];
    file_map map;                        /* of weights */
    file_map vocab;                      /* vocab.txt */
    js *config, *pooling, *tokenizer, *tokenizer_config; /* NULL: not there; of config: never */
} files;

static status join(char out[PATH_BYTES], const char *folder, const char *name, error *err)
{
    int n = snprintf(out, PATH_BYTES, "%s/%s", folder, name);
    return n > 0 && n < PATH_BYTES ? OK : fail(err, E_RANGE, "%.80s…: a path of over %d bytes", folder, PATH_BYTES);
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
    char path[PATH_BYTES];
    error why;
    status s = join(path, folder, name, err);
    if (s)
        return s;
    s = file_map_open(out, path, &why);
    if (s == E_NOTFOUND && !needed)
        return OK;
    if (s)
        return fail(err, s, "%s", why.text);
    if (out->bytes > IMPORT_MAX_TEXT) {
        file_map_close(out);
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

/* From the path that was given to the folder and the weights in it. */
static status find_weights(files *f, const char *from, error *err)
{
    error why;
    status s = E_NOTFOUND;
    size_t n = strlen(from);
    if (n >= PATH_BYTES)
        return fail(err, E_RANGE, "a path of over %d bytes", PATH_BYTES);
    memcpy(f->folder, from, n + 1);
    while (n > 1 && f->folder[n - 1] == '/')
        f->folder[--n] = 0;
    if (str_ends(from, ".safetensors") || str_ends(from, ".onnx")) {
        memcpy(f->weights, from, n + 1);
        parent(f->folder);
        if (str_ends(f->folder, "/onnx"))
            parent(f->folder);
        return file_map_open(&f->map, f->weights, err);
    }
    for (size_t i = 0; s == E_NOTFOUND && i < ARRAY_LEN(weight_files); i++) {
        s = join(f->weights, f->folder, weight_files[i], err);
        s = s ? s : file_map_open(&f->map, f->weights, &why);
        if (s && s != E_NOTFOUND)
            return fail(err, s, "%s", why.text);
    }
    return s ? fail(err, s, "%s: there is no model.safetensors, model.onnx or onnx/model*.onnx", f->folder) : OK;
}

static status open_files(files *f, const char *from, error *err)
{
    status s = find_weights(f, from, err);
    if (!s)
        s = read_json(&f->config, f->folder, "config.json", true, err);
    if (!s)
        s = read_json(&f->pooling, f->folder, "1_Pooling/config.json", false, err);
    if (!s)
        s = read_json(&f->tokenizer, f->folder, "tokenizer.json", false, err);
    if (!s)
        s = read_json(&f->tokenizer_config, f->folder, "tokenizer_config.json", false, err);
    if (!s && !f->tokenizer)
        s = map_text(&f->vocab, f->folder, "vocab.txt", false, err);
    return s;
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

static void close_files(files *f)
{
    file_map_close(&f->map);
    file_map_close(&f->vocab);
    js_free(f->config);
    js_free(f->pooling);
    js_free(f->tokenizer);
    js_free(f->tokenizer_config);
}

static status write_model(const files *f, const bert_config *c, import_weights *w, const import_vocab *v,
                          const char *to, const import_options *o, import_report *out, error *err)
{
    const char *slash = strrchr(f->folder, '/'), *name = o->name ? o->name : slash && slash[1] ? slash + 1 : f->folder;
    gguf_writer *writer = NULL;
    import_report report = { 0 };
    status s = gguf_writer_open(&writer, to, err);
    if (s)
        return s;
    s = bert_write(writer, c, w, v, o, name, &report, err);
    if (s)
        gguf_writer_close(&writer);
    else
        s = gguf_writer_finish(&writer, err);
    if (!s)
        *out = report;
    return s;
}

status import_model(const char *from, const char *to, const import_options *options, import_report *out, error *err)
{
    import_options o = options ? *options : (import_options){ 0 };
    files f = { 0 };
    import_weights w = { .memory = ARENA_INIT(IMPORT_ARENA), .file = f.weights };
    import_vocab v = { 0 };
    bert_config c;
    status s = open_files(&f, from, err);
    if (!s)
        s = check_modules(f.folder, err);
    if (!s)
        s = bert_config_read(&c, f.config, f.pooling, err);
    if (!s)
        s = str_ends(f.weights, ".onnx") ? import_onnx(&w, f.map.data, f.map.bytes, err)
                                         : import_safetensors(&w, f.map.data, f.map.bytes, err);
    if (!s)
        s = import_vocab_read(&v, f.tokenizer, (span){ (const char *)f.vocab.data, f.vocab.bytes }, f.tokenizer_config,
                              c.n_vocab, err);
    if (!s)
        s = write_model(&f, &c, &w, &v, to, &o, out, err);
    arena_clear(&v.memory);
    arena_clear(&w.memory);
    close_files(&f);
    return s;
}
