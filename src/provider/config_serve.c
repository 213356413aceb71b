/* config_serve.c: the part of config.yaml that says how hearth is reached, by whom, and what it keeps. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "provider/config_int.h"

enum { CONFIG_KEYS_MAX = 256, CONFIG_ORIGINS_MAX = 64 };

static status read_listen(config_reader *r, const yaml *node)
{
    const char *text;
    uint64_t port;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (s)
        return s;
    const char *colon = strrchr(text, ':'), *host = text, *end = colon;
    if (host[0] == '[') {
        host++;
        end = strchr(host, ']');
        if (!end || end + 1 != colon)
            end = NULL;
    }
    if (!colon || !end || end == host || !str_u64(colon + 1, &port) || port == 0 || port > 65535)
        return yaml_error(r->f, node, r->err, "listen '%.80s': write ADDRESS:PORT, as in 127.0.0.1:5150", text);
    r->c->listen_host = arena_strndup(r->c->memory, host, (size_t)(end - host));
    r->c->listen_port = (uint16_t)port;
    return r->c->listen_host ? OK : fail(r->err, E_NOMEM, "no memory for the configuration");
}

static status read_tls(config_reader *r, const yaml *node)
{
    static const char *const known[] = { "cert", "key" };
    if (!node)
        return OK;
    if (node->kind != YAML_MAP || !yaml_get(node, "cert") || !yaml_get(node, "key"))
        return yaml_error(r->f, node, r->err, "tls: write {cert: FILE, key: FILE}");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = config_text(r, yaml_get(node, "cert"), &r->c->tls_cert);
    return s ? s : config_text(r, yaml_get(node, "key"), &r->c->tls_key);
}

/* ---- origins ---- */

/* As browsers send it: scheme://host[:port] in lower case, nothing behind it. */
static bool origin_ok(const char *s)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_[]:";
    const char *host = strstr(s, "://");
    if (!host || host == s || strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789+.-") != (size_t)(host - s))
        return false;
    host += 3;
    return *host && strspn(host, good) == strlen(host) && host[strlen(host) - 1] != ':';
}

static status read_origins(config_reader *r, const yaml *root)
{
    const yaml *node;
    status s = config_list(r, root, "origins", CONFIG_ORIGINS_MAX, sizeof *r->c->origins, &node, &r->c->origins);
    for (; !s && node; node = node->next) {
        const char *text = "";
        s = config_text(r, node, &text);
        if (!s && !origin_ok(text))
            s = yaml_error(r->f, node, r->err, "origins: '%.80s' is not scheme://host[:port] in lower case, without a "
                           "path; there is no pattern that stands for several", text);
        r->c->origins[r->c->n_origins++] = text;
    }
    return s;
}

/* ---- limits ---- */

static status read_body(config_reader *r, const yaml *node, uint64_t *out)
{
    const char *text;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (!s && (!str_bytes(text, out) || *out < 1024 || *out > (uint64_t)1 << 30))
        s = yaml_error(r->f, node, r->err, "body '%.80s': a size from 1K to 1G", text);
    return s;
}

static status read_limits(config_reader *r, const yaml *node)
{
    static const char *const known[] = { "connections",  "per_address",   "requests", "body",
                                         "read_seconds", "write_seconds", "drain_seconds" };
    config_limits *l = &r->c->limits;
    const struct {
        const char *name;
        int64_t low, high;
        unsigned *to;
    } counts[] = { { "connections", 1, 65536, &l->connections }, { "per_address", 1, 65536, &l->per_address },
                   { "requests", 1, 4096, &l->requests },        { "read_seconds", 1, 3600, &l->read_seconds },
                   { "write_seconds", 1, 3600, &l->write_seconds }, { "drain_seconds", 0, 3600, &l->drain_seconds } };
    if (!node)
        return OK;
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "limits: a map {connections, per_address, requests, body, ...}");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    for (size_t i = 0; !s && i < ARRAY_LEN(counts); i++)
        s = config_count(r, node, counts[i].name, counts[i].low, counts[i].high, counts[i].to);
    return s ? s : read_body(r, yaml_get(node, "body"), &l->body);
}

/* ---- keys ---- */

/* "60/min": how many in which time. Until burst is given, a full bucket holds them all. */
static status read_rate(config_reader *r, const yaml *node, config_key *k)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "s", 1 },      { "sec", 1 },    { "second", 1 }, { "min", 60 },
                  { "minute", 60 }, { "h", 3600 }, { "hour", 3600 }, { "day", 86400 } };
    const char *text;
    char number[32];
    double n = 0;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (s)
        return s;
    const char *slash = strchr(text, '/');
    if (slash && (size_t)(slash - text) < sizeof number) {
        memcpy(number, text, (size_t)(slash - text));
        number[slash - text] = '\0';
        for (size_t i = 0; str_f64(number, &n) && n > 0 && n <= 1e6 && i < ARRAY_LEN(units); i++)
            if (strcmp(slash + 1, units[i].name) == 0) {
                k->rate_per_second = n / units[i].seconds;
                k->burst = n < 1 ? 1 : n;
                return OK;
            }
    }
    return yaml_error(r->f, node, r->err, "rate '%.80s': a number and a time, as in 60/min (s, min, h, day)", text);
}

static status read_key_limits(config_reader *r, const yaml *map, config_key *k)
{
    unsigned burst = 0;
    status s = read_rate(r, yaml_get(map, "rate"), k);
    if (!s)
        s = config_count(r, map, "burst", 1, 1000000, &burst);
    if (!s && burst && !(k->rate_per_second > 0))
        s = yaml_error(r->f, yaml_get(map, "burst"), r->err, "key '%s': burst goes with a rate", k->name);
    if (!s && burst)
        k->burst = burst;
    return s ? s : config_count(r, map, "concurrency", 1, 4096, &k->concurrency);
}

static status read_key(config_reader *r, const yaml *map, config_key *k)
{
    static const char *const known[] = { "name", "key_file", "key_env", "default_class", "rate", "burst",
                                         "concurrency", "budget", "task" };
    if (map->kind != YAML_MAP)
        return yaml_error(r->f, map, r->err, "keys: each entry is a map {name, key_file | key_env, default_class}");
    *k = (config_key){ .name = "", .key_file = "", .key_env = "", .task = "", .default_class = r->c->default_class,
                       .states_class = r->c->states_class || yaml_get(map, "default_class"),
                       .budget = { NAN, NAN } };
    status s = yaml_known_keys(r->f, map, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = config_name(r, map, &k->name);
    for (size_t i = 0; i < r->c->n_keys && !s; i++)
        if (strcmp(r->c->keys[i].name, k->name) == 0)
            s = yaml_error(r->f, map, r->err, "key '%s' is there twice", k->name);
    if (!s)
        s = config_text(r, yaml_get(map, "key_file"), &k->key_file);
    if (!s)
        s = config_text(r, yaml_get(map, "key_env"), &k->key_env);
    if (!s && !k->key_file[0] == !k->key_env[0])
        s = yaml_error(r->f, map, r->err, "key '%s': exactly one of key_file and key_env", k->name);
    if (!s)
        s = config_class(r, yaml_get(map, "default_class"), &k->default_class);
    if (!s)
        s = config_budget_of(r, yaml_get(map, "budget"), &k->budget);
    if (!s)
        s = config_text(r, yaml_get(map, "task"), &k->task);
    if (!s && (strlen(k->task) > 64 || strpbrk(k->task, "/.")))
        s = yaml_error(r->f, yaml_get(map, "task"), r->err, "key '%s': task '%.80s' is not the name of a task", k->name,
                       k->task);
    return s ? s : read_key_limits(r, map, k);
}

/* ---- snapshots ---- */

static status read_snapshots(config_reader *r, const yaml *node)
{
    static const char *const known[] = { "bytes" };
    const char *text;
    if (!node)
        return OK;
    if (node->kind != YAML_MAP || !yaml_get(node, "bytes"))
        return yaml_error(r->f, node, r->err, "snapshots: write {bytes: 2GiB}");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = yaml_str(r->f, yaml_get(node, "bytes"), &text, r->err);
    if (!s && (!str_bytes(text, &r->c->snapshot_bytes) || r->c->snapshot_bytes < (uint64_t)1 << 20 ||
               r->c->snapshot_bytes > (uint64_t)1 << 50))
        s = yaml_error(r->f, node, r->err, "snapshots: bytes '%.80s': a size like 512M, 2GiB, at least 1M", text);
    return s;
}

/* ---- all of it ---- */

status config_serve(config_reader *r, const yaml *root)
{
    const yaml *node = yaml_get(root, "plaintext");
    status s = read_listen(r, yaml_get(root, "listen"));
    if (!s)
        s = read_tls(r, yaml_get(root, "tls"));
    if (!s && node)
        s = yaml_bool(r->f, node, &r->c->plaintext, r->err);
    if (!s && yaml_get(root, "found_models"))
        s = yaml_bool(r->f, yaml_get(root, "found_models"), &r->c->found_models, r->err);
    if (!s)
        s = read_origins(r, root);
    if (!s)
        s = read_limits(r, yaml_get(root, "limits"));
    if (!s)
        s = read_snapshots(r, yaml_get(root, "snapshots"));
    if (!s)
        s = config_list(r, root, "keys", CONFIG_KEYS_MAX, sizeof *r->c->keys, &node, &r->c->keys);
    else
        node = NULL;
    for (; !s && node; node = node->next)
        if (!(s = read_key(r, node, &r->c->keys[r->c->n_keys])))
            r->c->n_keys++;
    return s;
}
