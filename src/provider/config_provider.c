/* config_provider.c: one entry of `providers`. */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "provider/config_int.h"
#include "provider/url.h"

static const char *const place_names[] = { "local", "on-premises", "remote" };

const char *provider_place_name(provider_place p)
{
    return (size_t)p < ARRAY_LEN(place_names) ? place_names[p] : "remote";
}

privacy_class provider_place_ceiling(provider_place p)
{
    return p == PLACE_LOCAL ? PRIVACY_SECRET : p == PLACE_ON_PREMISES ? PRIVACY_INTERNAL : PRIVACY_PUBLIC;
}

bool config_is_server(const config_provider *p)
{
    return strcmp(p->kind, "openai") == 0 || strcmp(p->kind, "anthropic") == 0;
}

static status read_place(config_reader *r, const yaml *map, config_provider *p)
{
    const char *text;
    const yaml *node = yaml_get(map, "place");
    bool weights = !config_is_server(p);
    p->place = weights ? PLACE_LOCAL : PLACE_REMOTE;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (s)
        return s;
    for (size_t i = 0; i < ARRAY_LEN(place_names); i++)
        if (strcmp(text, place_names[i]) == 0) {
            if ((i == PLACE_LOCAL) != weights)
                return yaml_error(r->f, node, r->err, "place '%s' does not go with kind '%s': %s", text, p->kind,
                                  "local means weights in a worker of hearth, a URL is on-premises or remote");
            p->place = (provider_place)i;
            return OK;
        }
    return yaml_error(r->f, node, r->err, "place '%.80s' is none of on-premises, remote", text);
}

/* Which fields a kind needs. What is a server's alone, no other kind may have. */
static status check_fields(config_reader *r, const yaml *map, const config_provider *p)
{
    static const struct {
        const char *kind, *needs[3], *may_not[4];
        bool server;
    } rules[] = {
        { "local", { "model" }, { "file" }, false },
        { "openai", { "url", "model" }, { "file" }, true },
        { "replay", { "file" }, { "model" }, false },
        { "anthropic", { "url", "model" }, { "file" }, true },
    };
    static const char *const servers[] = { "url", "key_file", "key_env", "key_credential", "price", "proxy", "timeouts",
                                           "retries", "retry_share", "max_tokens", "budget" };
    for (size_t k = 0; k < ARRAY_LEN(rules); k++) {
        if (strcmp(p->kind, rules[k].kind) != 0)
            continue;
        for (size_t i = 0; i < ARRAY_LEN(rules[k].needs) && rules[k].needs[i]; i++)
            if (!yaml_get(map, rules[k].needs[i]))
                return yaml_error(r->f, map, r->err, "provider '%s': kind %s needs '%s'", p->name, p->kind,
                                  rules[k].needs[i]);
        const char *bad = NULL;
        for (size_t i = 0; i < ARRAY_LEN(rules[k].may_not) && rules[k].may_not[i] && !bad; i++)
            bad = yaml_get(map, rules[k].may_not[i]) ? rules[k].may_not[i] : NULL;
        for (size_t i = 0; i < ARRAY_LEN(servers) && !rules[k].server && !bad; i++)
            bad = yaml_get(map, servers[i]) ? servers[i] : NULL;
        if (bad)
            return yaml_error(r->f, yaml_get(map, bad), r->err, "provider '%s': kind %s has no '%s'", p->name, p->kind,
                              bad);
        return OK;
    }
    return yaml_error(r->f, yaml_get(map, "kind"), r->err,
                      "provider '%s': kind '%.80s' is none of local, openai, anthropic, replay", p->name, p->kind);
}

static status check_url(config_reader *r, const yaml *map, config_provider *p)
{
    url u;
    error why;
    const yaml *node = yaml_get(map, "url");
    if (!node)
        return OK;
    if (url_parse(p->url, &u, &why) != OK)
        return yaml_error(r->f, node, r->err, "provider '%s': %s", p->name, why.text);
    if (!u.tls && !u.loopback && p->place == PLACE_REMOTE)
        return yaml_error(r->f, node, r->err, "provider '%s': http:// would send prompts and key in clear text: %s",
                          p->name, "use https://, or say place: on-premises if this is your own network");
    if (!p->key_file[0] + !p->key_env[0] + !p->key_credential[0] < 2)
        return yaml_error(r->f, map, r->err, "provider '%s': one of key_file, key_env and key_credential", p->name);
    if (p->proxy[0] && url_parse(p->proxy, &u, &why) != OK)
        return yaml_error(r->f, yaml_get(map, "proxy"), r->err, "provider '%s': proxy: %s", p->name, why.text);
    return OK;
}

/* What a class may be at most here: what the place allows, or less. */
static status read_class_max(config_reader *r, const yaml *map, config_provider *p)
{
    const yaml *node = yaml_get(map, "class_max");
    privacy_class ceiling = provider_place_ceiling(p->place);
    const char *text;
    p->class_max = strcmp(p->kind, "replay") == 0 ? PRIVACY_SECRET : ceiling;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    if (!s && !privacy_class_parse(text, &p->class_max))
        s = yaml_error(r->f, node, r->err, "class_max '%.40s' is none of public, internal, private, secret", text);
    if (!s && p->class_max > ceiling)
        s = yaml_error(r->f, node, r->err, "provider '%s' is %s: class_max is at most %s there", p->name,
                       provider_place_name(p->place), privacy_class_name(ceiling));
    return s;
}

static status read_timeouts(config_reader *r, const yaml *map, config_provider *p)
{
    static const char *const known[] = { "connect", "first", "idle", "total" };
    uint32_t *const to[] = { &p->connect_ms, &p->first_ms, &p->idle_ms, &p->timeout_ms };
    const yaml *node = yaml_get(map, "timeouts");
    if (!node)
        return OK;
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "timeouts: a map {connect, first, idle, total}");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    for (size_t i = 0; i < ARRAY_LEN(known) && !s; i++) {
        const yaml *given = yaml_get(node, known[i]);
        const char *text = "";
        double seconds = 0;
        if (!given)
            continue;
        s = yaml_str(r->f, given, &text, r->err);
        if (!s && (!str_duration(text, &seconds) || !(seconds >= 0.001 && seconds <= 86400)))
            s = yaml_error(r->f, given, r->err, "timeouts: %s '%.40s': a time like 10s, 2m, at most a day", known[i],
                           text);
        if (!s)
            *to[i] = (uint32_t)(seconds * 1000 + 0.5);
    }
    return s;
}

static status read_retries(config_reader *r, const yaml *map, config_provider *p)
{
    const yaml *share = yaml_get(map, "retry_share");
    status s = config_count(r, map, "retries", 0, CONFIG_RETRIES_MAX, &p->retries);
    if (!s && share)
        s = yaml_f64(r->f, share, &p->retry_share, r->err);
    if (!s && !(p->retry_share >= 0 && p->retry_share <= 1))
        s = yaml_error(r->f, share, r->err, "retry_share: from 0 to 1, so many retries a request at most");
    return s ? s : config_count(r, map, "max_tokens", 1, 1 << 20, &p->max_tokens);
}

void config_provider_init(config_provider *p, const char *name, const char *kind)
{
    *p = (config_provider){ .name = name, .kind = kind, .url = "", .model = "", .file = "", .place = PLACE_REMOTE,
                            .class_max = PRIVACY_PUBLIC, .key_file = "", .key_env = "", .key_credential = "",
                            .proxy = "", .retries = CONFIG_RETRIES, .retry_share = 0.1,
                            .budget = { NAN, NAN }, .price_input = NAN, .price_output = NAN, .price_cached = NAN,
                            .price_as_of = "", .price_source = "" };
}

status config_provider_of(config_reader *r, const yaml *map, config_provider *p)
{
    static const char *const known[] = { "name",     "kind",       "url",     "model",          "file",
                                         "place",    "class_max",  "key_file", "key_env",       "key_credential",
                                         "price",    "proxy",      "timeouts", "retries",       "retry_share",
                                         "budget",   "max_tokens" };
    if (map->kind != YAML_MAP)
        return yaml_error(r->f, map, r->err, "providers: each entry is a map {name, kind, ...}");
    config_provider_init(p, "", "");
    const struct {
        const char *key;
        const char **to;
    } texts[] = { { "kind", &p->kind },       { "url", &p->url },         { "model", &p->model },
                  { "file", &p->file },       { "key_file", &p->key_file }, { "key_env", &p->key_env },
                  { "proxy", &p->proxy },     { "key_credential", &p->key_credential } };
    status s = yaml_known_keys(r->f, map, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = config_name(r, map, &p->name);
    if (!s && config_find(r->c, p->name))
        s = yaml_error(r->f, map, r->err, "provider '%s' is there twice", p->name);
    if (!s && !yaml_get(map, "kind"))
        s = yaml_error(r->f, map, r->err, "provider '%s': 'kind' is missing (local, openai, anthropic or replay)",
                       p->name);
    for (size_t i = 0; i < ARRAY_LEN(texts) && !s; i++)
        s = config_text(r, yaml_get(map, texts[i].key), texts[i].to);
    status (*const parts[])(config_reader *, const yaml *, config_provider *) = { read_place, read_class_max,
                                                                                 read_timeouts, read_retries };
    if (!s)
        s = check_fields(r, map, p);
    for (size_t i = 0; i < ARRAY_LEN(parts) && !s; i++)
        s = parts[i](r, map, p);
    if (!s)
        s = check_url(r, map, p);
    if (!s)
        s = config_budget_of(r, yaml_get(map, "budget"), &p->budget);
    return s ? s : config_price_of(r, yaml_get(map, "price"), p);
}
