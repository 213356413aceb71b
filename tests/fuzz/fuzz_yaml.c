/* libFuzzer over the YAML loader: a tree within its limits whose lines rise, or an error with file and line.
 * modules: base
 * libs: -lyaml -lcrypto */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void walk(const yaml_file *f, const yaml *node, int depth)
{
    const char *text;
    double d;
    int64_t i;
    bool b;
    error err;
    must(depth <= YAML_DEPTH_MAX && node->line >= 1);
    if (node->kind == YAML_SCALAR) {
        must(yaml_str(f, node, &text, &err) == OK && text == node->text && node->text[node->len] == 0);
        if (yaml_i64(f, node, &i, &err) == OK)
            must(yaml_f64(f, node, &d, &err) == OK && d == (double)i);
        must(yaml_bool(f, node, &b, &err) != OK || node->plain);
    }
    size_t n = 0;
    for (const yaml *c = node->child; c; c = c->next, n++) {
        must(node->kind != YAML_SCALAR && c->line >= node->line);
        if (node->kind == YAML_MAP)
            must(yaml_get(node, c->key) == c);
        walk(f, c, depth + 1);
    }
    must(n == yaml_count(node));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = { "hearth", "id" };
    yaml_file *f = NULL;
    error err = { 0 };
    status s = yaml_parse(&f, (const char *)data, size, "fuzz", &err);
    if (s) {
        must(!f && err.code == s && strncmp(err.text, "fuzz:", 5) == 0);
        return 0;
    }
    if (f->root) {
        walk(f, f->root, 1);
        if (f->root->kind == YAML_MAP)
            (void)!yaml_known_keys(f, f->root, known, ARRAY_LEN(known), &err);
        js *v = yaml_to_js(f->root);
        must(v);
        js_free(v);
    }
    yaml_close(&f);
    return 0;
}
