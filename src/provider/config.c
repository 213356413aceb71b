/* config.c: see the header. Everything a config points at lives in its arena. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include "plat/paths.h"
#include "provider/config_int.h"

enum { CONFIG_PROVIDERS_MAX = 64, CONFIG_ARENA = 4 << 20 };

/* ---- reading fields ---- */

status config_text(config_reader *r, const yaml *node, const char **out)
{
    const char *text;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (s)
        return s;
    if (strlen(text) != node->len)
        return yaml_error(r->f, node, r->err, "%s: a zero byte", node->key ? node->key : "text");
    char *copy = arena_strndup(r->c->memory, text, node->len);
    if (!copy)
        return fail(r->err, E_NOMEM, "no memory for the configuration");
    *out = copy;
    return OK;
}

status config_class(config_reader *r, const yaml *node, privacy_class *out)
{
    const char *text;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (s)
        return s;
    if (!privacy_class_parse(text, out))
        return yaml_error(r->f, node, r->err, "default_class '%s' is none of public, internal, private, secret", text);
    return OK;
}

static bool name_ok(const char *s)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(s);
    return n >= 1 && n <= 64 && strspn(s, good) == n;
}

status config_name(config_reader *r, const yaml *map, const char **out)
{
    const yaml *node = yaml_get(map, "name");
    if (!node)
        return yaml_error(r->f, map, r->err, "an entry without a name");
    status s = config_text(r, node, out);
    if (!s && !name_ok(*out))
        s = yaml_error(r->f, node, r->err, "name '%.80s': 1 to 64 letters, digits, '.', '_' or '-'", *out);
    return s;
}

static status read_mem(config_reader *r, const yaml *node)
{
    const char *text;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (!s && !str_bytes(text, &r->c->mem_bytes))
        s = yaml_error(r->f, node, r->err, "mem '%.80s': a size like 512M, 6GiB", text);
    return s;
}

static status read_kv(config_reader *r, const yaml *node)
{
    static const char *const types[] = { "f16", "q8", "f32" };
    const char *text;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    for (size_t i = 0; !s && i < ARRAY_LEN(types); i++)
        if (strcmp(text, types[i]) == 0) {
            r->c->kv = types[i];
            return OK;
        }
    return s ? s : yaml_error(r->f, node, r->err, "kv '%.80s': f16, q8 or f32", text);
}

status config_count(config_reader *r, const yaml *map, const char *name, int64_t low, int64_t high, uint32_t *out)
{
    const yaml *node = yaml_get(map, name);
    int64_t n;
    if (!node)
        return OK;
    status s = yaml_i64(r->f, node, &n, r->err);
    if (!s && (n < low || n > high))
        s = yaml_error(r->f, node, r->err, "%s %lld: %lld to %lld", name, (long long)n, (long long)low,
                       (long long)high);
    if (!s)
        *out = (uint32_t)n;
    return s;
}

static status read_keep_alive(config_reader *r, const yaml *node)
{
    const char *text;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (!s && !str_duration(text, &r->c->keep_alive_s))
        s = yaml_error(r->f, node, r->err, "keep_alive '%.80s': a time like 300, 5m, 1h30m, or -1", text);
    return s;
}

/* ---- the whole file ---- */

status config_list(config_reader *r, const yaml *root, const char *key, size_t max, size_t size, const yaml **first,
                   void *out)
{
    const yaml *node = yaml_get(root, key);
    void *list = NULL;
    *first = NULL;
    if (!node || (node->kind == YAML_SCALAR && node->len == 0))
        return OK;
    size_t n = yaml_count(node);
    if (node->kind != YAML_SEQ || n > max)
        return yaml_error(r->f, node, r->err, "%s: a list of at most %zu entries", key, max);
    if (n > 0 && !(list = arena_alloc(r->c->memory, n * size)))
        return fail(r->err, E_NOMEM, "no memory for the configuration");
    *first = node->child;
    memcpy(out, &list, sizeof list);
    return OK;
}

static status read_root(config_reader *r, const yaml *root, const char *path)
{
    static const char *const known[] = { "version", "listen",   "tls",   "plaintext",  "origins",       "limits", "mem",
                                         "kv",      "parallel", "queue", "keep_alive", "default_class", "keys",
                                         "providers", "snapshots", "machine", "privacy", "recognise", "unknown",
                                         "found_models" };
    const yaml *node;
    int64_t version = 0;
    if (root->kind != YAML_MAP)
        return yaml_error(r->f, root, r->err, "the configuration is not a map");
    status s = yaml_known_keys(r->f, root, known, ARRAY_LEN(known), r->err);
    if (!s && !yaml_get(root, "version"))
        s = yaml_error(r->f, root, r->err, "'version: 1' is missing");
    if (!s)
        s = yaml_i64(r->f, yaml_get(root, "version"), &version, r->err);
    if (!s && version != 1)
        s = yaml_error(r->f, yaml_get(root, "version"), r->err, "version %lld: this hearth reads version 1",
                       (long long)version);
    if (!s)
        s = read_mem(r, yaml_get(root, "mem"));
    if (!s)
        s = read_kv(r, yaml_get(root, "kv"));
    if (!s)
        s = config_count(r, root, "parallel", 1, CONFIG_PARALLEL_MAX, &r->c->parallel);
    if (!s)
        s = config_count(r, root, "queue", 1, CONFIG_QUEUE_MAX, &r->c->queue);
    if (!s)
        s = read_keep_alive(r, yaml_get(root, "keep_alive"));
    if (!s)
        s = config_class(r, yaml_get(root, "default_class"), &r->c->default_class);
    r->c->states_class = yaml_get(root, "default_class") != NULL;
    if (!s)
        s = config_serve(r, root);
    if (!s)
        s = config_machine_of(r, yaml_get(root, "machine"));
    if (!s)
        s = config_privacy_of(r, yaml_get(root, "privacy"), path);
    if (!s)
        s = config_list(r, root, "providers", CONFIG_PROVIDERS_MAX, sizeof *r->c->providers, &node, &r->c->providers);
    for (; !s && node; node = node->next)
        if (!(s = config_provider_of(r, node, &r->c->providers[r->c->n_providers])))
            r->c->n_providers++;
    return s ? s : config_recognise_of(r, root);
}

static config *config_default(error *err)
{
    config *c = mem_zero(sizeof *c);
    arena *memory = mem_zero(sizeof *memory);
    if (!c || !memory) {
        mem_free(c);
        mem_free(memory);
        (void)fail(err, E_NOMEM, "no memory for the configuration");
        return NULL;
    }
    *memory = (arena)ARENA_INIT(CONFIG_ARENA);
    c->memory = memory;
    c->path = "";
    c->listen_host = "127.0.0.1";
    c->listen_port = 5150;
    c->default_class = PRIVACY_PRIVATE;
    c->kv = "f16";
    c->tls_cert = c->tls_key = "";
    c->limits.drain_seconds = CONFIG_DRAIN_SECONDS;
    c->keep_alive_s = NAN;
    c->machine = (config_machine){ NAN, NAN, NAN };
    c->privacy = (config_privacy){ .dictionary = "", .tagger = "", .tag_threshold = CONFIG_TAG_THRESHOLD };
    c->prices_as_of = c->prices_source = "";
    c->recognise = (config_recognise){ false, "", CONFIG_FOREIGN };
    c->unknown = "";
    return c;
}

static status config_read(config **out, const yaml_file *f, const char *path, error *err)
{
    config *c = config_default(err);
    if (!c)
        return E_NOMEM;
    config_reader r = { f, c, err };
    status s = f->root ? read_root(&r, f->root, path) : OK;
    if (!s && !(c->path = arena_strndup(c->memory, path, strlen(path))))
        s = fail(err, E_NOMEM, "no memory for the configuration");
    if (s)
        config_close(&c);
    else
        *out = c;
    return s;
}

status config_parse(config **out, const char *text, size_t n, const char *name, error *err)
{
    yaml_file *f = NULL;
    status s = yaml_parse(&f, text, n, name, err);
    if (!s)
        s = config_read(out, f, name, err);
    yaml_close(&f);
    return s;
}

/* A file that may be missing: *out stays NULL then. Without a home there is no file either. */
static status load_usual(yaml_file **out, const char *name, char **path, error *err)
{
    error why = { 0 };
    status s = path_of(path, PATH_CONFIG, name, &why);
    if (s == E_NOTFOUND || (!s && access(*path, F_OK) != 0 && errno == ENOENT))
        return OK;
    return s ? fail(err, s, "%s", why.text) : yaml_load(out, *path, err);
}

static status open_prices(config *c, error *err)
{
    char *path = NULL;
    yaml_file *f = NULL;
    status s = load_usual(&f, "prices.yaml", &path, err);
    if (!s && f) {
        config_reader r = { f, c, err };
        s = config_prices(&r, f->root);
    }
    yaml_close(&f);
    mem_free(path);
    return s;
}

status config_open(config **out, const char *path, error *err)
{
    char *usual = NULL;
    yaml_file *f = NULL;
    config *c = NULL;
    status s = path ? yaml_load(&f, path, err) : load_usual(&f, "config.yaml", &usual, err);
    if (!s && f)
        s = config_read(&c, f, path ? path : usual, err);
    else if (!s && !(c = config_default(err)))
        s = E_NOMEM;
    if (!s)
        s = open_prices(c, err);
    if (!s && c->path[0])
        s = digest_file(c->path, c->file_digest, err);
    if (s)
        config_close(&c);
    else
        *out = c;
    yaml_close(&f);
    mem_free(usual);
    return s;
}

void config_close(config **c)
{
    if (!*c)
        return;
    arena *memory = (*c)->memory;
    arena_clear(memory);
    mem_free(memory);
    mem_free(*c);
    *c = NULL;
}

const config_provider *config_find(const config *c, const char *name)
{
    for (size_t i = 0; c && i < c->n_providers; i++)
        if (strcmp(c->providers[i].name, name) == 0)
            return &c->providers[i];
    return NULL;
}
