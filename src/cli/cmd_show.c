/* cmd_show.c: `hearth show MODEL`: what a model file says of itself. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/model_facts.h"
#include "quant/quant.h"

static const usage page = {
    "hearth show [OPTION]... MODEL",
    "Prints what the file says: architecture, shape, vocabulary, types by bytes; where it lies, where it was pulled\n"
    "from and which digest it must have. With --keys every key, with --tensors every tensor, with --template the chat\n"
    "template; with --check every row is read and verified.\n\n"
    "example:\n"
    "  hearth show SmolLM2-135M-Instruct.Q4_1 --tensors\n",
};

typedef struct show_options {
    bool keys, tensors, template_text, check, digest, json;
} show_options;

enum { TEXT_MAX = 1 << 20, ARRAY_SHOWN = 8, SHOW_PATH = 4096 };

/* A string from the file on one line: control characters as escapes. */
static void add_text(buf *out, span s, size_t most)
{
    size_t n = s.n < most ? s.n : most;
    js *v = js_new_stringn(s.p, n);
    js_write(v, JS_COMPACT, out);
    js_free(v);
    if (n < s.n)
        buf_printf(out, "... (%zu bytes)", s.n);
}

static void add_number(buf *out, const gguf_value *v, uint64_t i)
{
    if (v->type == GGUF_F32 || v->type == GGUF_F64)
        js_write_double(out, gguf_get_f64(v, i));
    else if (v->type == GGUF_BOOL)
        buf_str(out, gguf_get_u64(v, i) ? "true" : "false");
    else if (v->type == GGUF_U64)
        buf_printf(out, "%" PRIu64, gguf_get_u64(v, i));
    else
        buf_printf(out, "%" PRId64, gguf_get_i64(v, i));
}

static void add_value(buf *out, const gguf_value *v)
{
    gguf_strings strings = gguf_strings_of(v);
    uint64_t shown = v->is_array && v->n > ARRAY_SHOWN ? ARRAY_SHOWN : v->n;
    if (v->is_array)
        buf_char(out, '[');
    for (uint64_t i = 0; i < shown; i++) {
        span s;
        if (i)
            buf_str(out, ", ");
        if (v->type == GGUF_STR && gguf_strings_next(&strings, &s))
            add_text(out, s, 100);
        else if (v->type != GGUF_STR)
            add_number(out, v, i);
    }
    if (shown < v->n)
        buf_printf(out, ", ... %" PRIu64 " in all", v->n);
    if (v->is_array)
        buf_char(out, ']');
}

/* ---- text ---- */

static void print_line(const char *name, buf *value)
{
    printf("%-14s%s\n", name, buf_text(value));
    buf_reset(value);
}

static void print_summary(const gguf *g, const char *path)
{
    static const char *const keys[][2] = {
        { "name", "general.name" },         { "architecture", "general.architecture" },
        { "licence", "general.license" },   { "tokenizer", "tokenizer.ggml.model" },
        { "pre-tokenizer", "tokenizer.ggml.pre" },
    };
    buf line = BUF_INIT(TEXT_MAX);
    char size[24];
    uint64_t bytes = 0;
    for (int i = 0; i < gguf_n_files(g); i++)
        bytes += gguf_file_bytes(g, i);
    buf_printf(&line, "%s (%s, GGUF version %u, %d file%s)", path, str_human_bytes(size, bytes), gguf_version(g),
               gguf_n_files(g), gguf_n_files(g) == 1 ? "" : "s");
    print_line("file", &line);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        span s;
        if (gguf_str(g, keys[i][1], &s, NULL))
            continue;
        add_text(&line, s, 200);
        print_line(keys[i][0], &line);
    }
    buf_clear(&line);
}

static void print_shape(const gguf *g)
{
    static const char *const names[] = {
        "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
        "attention.head_count_kv", "attention.key_length", "attention.sliding_window", "rope.freq_base",
    };
    span arch;
    if (gguf_str(g, "general.architecture", &arch, NULL))
        return;
    buf line = BUF_INIT(TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char key[160];
        snprintf(key, sizeof key, "%.*s.%s", (int)(arch.n < 64 ? arch.n : 64), arch.p, names[i]);
        const gguf_value *v = gguf_find(g, key);
        if (!v)
            continue;
        printf("  %-26s", names[i]);
        add_value(&line, v);
        printf("%s\n", buf_text(&line));
        buf_reset(&line);
    }
    buf_clear(&line);
}

static void print_said(const char *name, const char *value)
{
    if (!value || !value[0])
        return;
    printf("%-14s", name);
    cli_print_text(value, "              ");
    printf("\n");
}

/* What is known besides the file: by its place and by its note. */
static void print_origin(const store_model *m, const store_note *n)
{
    const struct {
        const char *name, *value;
    } lines[] = { { "source", n->source },   { "url", n->url },       { "revision", n->revision },
                  { "licence", n->licence }, { "pulled", n->pulled } };
    char path[SHOW_PATH];
    store_expected e;
    if (m->place != STORE_PATH) {
        printf("%-14s%s, as ", "place", store_place_title(m->place));
        cli_print_text(m->name, "");
        printf("\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        print_said(lines[i].name, lines[i].value);
    for (unsigned i = 0; store_part(m->path, i, path, sizeof path, NULL) == OK && i < GGUF_MAX_FILES; i++)
        if (store_expect(&e, m, n, i, NULL) == OK && e.sha256[0])
            printf("%-14s%s (%s says so; hearth verify reads the file)\n", i ? "" : "digest", e.sha256, e.from);
}

/* Bytes and tensors by type, in the order of the type ids. */
static void print_types(const gguf *g)
{
    enum { TYPES = 64 };
    uint64_t bytes[TYPES] = { 0 }, count[TYPES] = { 0 }, params = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        params += t->ne[0] * gguf_tensor_rows(t);
        if (t->type < TYPES) {
            bytes[t->type] += t->bytes;
            count[t->type]++;
        }
    }
    printf("%-14s%.1f million in %zu tensors\n", "parameters", (double)params / 1e6, gguf_n_tensors(g));
    for (uint32_t i = 0; i < TYPES; i++) {
        char size[24];
        if (count[i])
            printf("  %-8s %10s in %" PRIu64 " tensors\n", quant_name(i), str_human_bytes(size, bytes[i]), count[i]);
    }
}

static void print_keys(const gguf *g)
{
    buf line = BUF_INIT(TEXT_MAX);
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        const gguf_value *v = gguf_key_at(g, i);
        add_value(&line, v);
        printf("%.*s = %s\n", (int)v->key.n, v->key.p, buf_text(&line));
        buf_reset(&line);
    }
    buf_clear(&line);
}

static void print_tensors(const gguf *g)
{
    char shape[96];
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const gguf_tensor *t = gguf_tensor_at(g, i);
        printf("%-40.*s %-7s %-20s %12" PRIu64 " bytes\n", (int)t->name.n, t->name.p, quant_name(t->type),
               gguf_tensor_shape(t, shape), t->bytes);
    }
}

/* ---- JSON ---- */

static js *value_js(const gguf_value *v)
{
    buf text = BUF_INIT(TEXT_MAX);
    js *out;
    span s;
    if (v->is_array)
        out = js_new_int((int64_t)v->n); /* the length stands for an array: it may be a whole vocabulary */
    else if (v->type == GGUF_STR) {
        gguf_strings it = gguf_strings_of(v);
        out = gguf_strings_next(&it, &s) ? js_new_stringn(s.p, s.n) : js_null();
    } else if (v->type == GGUF_BOOL) {
        out = js_new_bool(gguf_get_u64(v, 0) != 0);
    } else {
        add_number(&text, v, 0);
        out = js_new_number(buf_text(&text));
        if (!out)
            out = js_null(); /* NaN, infinity */
    }
    buf_clear(&text);
    return out;
}

static js *tensor_js(const gguf_tensor *t)
{
    js *o = js_object(), *shape = js_array();
    js_set(o, "name", js_new_stringn(t->name.p, t->name.n));
    js_set(o, "type", js_new_string(quant_name(t->type)));
    for (int i = 0; i < t->n_dims; i++)
        js_push(shape, js_new_int((int64_t)t->ne[i]));
    js_set(o, "shape", shape);
    js_set(o, "bytes", js_new_int((int64_t)t->bytes));
    return o;
}

static int print_json(const gguf *g, const store_model *m, const store_note *n, const char *sha256)
{
    js *o = js_object(), *keys = js_object(), *tensors = js_array();
    js_set(o, "name", js_new_string(m->name));
    js_set(o, "place", js_new_string(store_place_name(m->place)));
    js_set(o, "path", js_new_string(m->path));
    js_set(o, "note", n->tree ? js_copy(n->tree) : js_null());
    js_set(o, "digests", model_facts_digests(m, n));
    js_set(o, "version", js_new_int(gguf_version(g)));
    if (sha256)
        js_set(o, "sha256", js_new_string(sha256));
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        const gguf_value *v = gguf_key_at(g, i);
        char *key = mem_strndup(v->key.p, v->key.n);
        if (key)
            js_set(keys, key, value_js(v));
        mem_free(key);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        js_push(tensors, tensor_js(gguf_tensor_at(g, i)));
    js_set(o, "keys", keys);
    js_set(o, "tensors", tensors);
    return cli_print_json(o, "show");
}

/* ---- the command ---- */

static status check_rows(const gguf *g, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < gguf_n_tensors(g); i++)
        s = gguf_check_rows(g, gguf_tensor_at(g, i), err);
    return s;
}

static void print_text(const gguf *g, const store_model *m, const store_note *n, const show_options *o,
                       const char *sha256)
{
    print_summary(g, m->path);
    print_origin(m, n);
    print_shape(g);
    print_types(g);
    if (o->digest)
        printf("%-14s%s\n", "sha-256", sha256);
    if (o->check)
        printf("%-14s%s\n", "rows", "every scale and value is finite");
    if (o->keys)
        print_keys(g);
    if (o->tensors)
        print_tensors(g);
}

static status show(const store_model *m, const show_options *o, int *code, error *err)
{
    gguf *g = NULL;
    char sha256[DIGEST_HEX];
    store_note note = { 0 };
    error e = { 0 };
    status s = gguf_open(&g, m->path, err);
    if (!s && store_note_read(&note, m, &e)) /* a note that cannot be read says nothing of the model */
        fprintf(stderr, "hearth show: %s\n", e.text);
    if (!s && o->check)
        s = check_rows(g, err);
    if (!s && o->digest)
        s = digest_file(m->path, sha256, err);
    if (s) {
        store_note_clear(&note);
        gguf_close(&g);
        return s;
    }
    if (o->json) {
        *code = print_json(g, m, &note, o->digest ? sha256 : NULL);
    } else if (o->template_text) {
        span text = { "", 0 };
        s = gguf_str(g, "tokenizer.chat_template", &text, err);
        printf("%.*s%s", (int)text.n, text.p, text.n ? "\n" : "");
    } else {
        print_text(g, m, &note, o, sha256);
    }
    store_note_clear(&note);
    gguf_close(&g);
    return s;
}

int cmd_show(int argc, char **argv)
{
    show_options o = { 0 };
    const option options[] = {
        { "keys", 'k', OPTION_FLAG, &o.keys, NULL, "every key" },
        { "tensors", 0, OPTION_FLAG, &o.tensors, NULL, "every tensor" },
        { "template", 0, OPTION_FLAG, &o.template_text, NULL, "the chat template alone" },
        { "check", 0, OPTION_FLAG, &o.check, NULL, "read every row: scales and values must be finite" },
        { "digest", 0, OPTION_FLAG, &o.digest, NULL, "SHA-256 of the file" },
        { "json", 0, OPTION_FLAG, &o.json, NULL, "everything as JSON (arrays as their length)" },
    };
    size_t n_words;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words != 1)
        return usage_error("show", "exactly one MODEL is needed");
    store_model m = { 0 };
    error e = { 0 };
    load_offline();
    status s = store_look(&m, argv[1], &e);
    if (!s)
        s = show(&m, &o, &code, &e);
    store_model_clear(&m);
    return s ? report("show", &e) : code;
}
