/* config_recognise.c: the part of config.yaml about requests that name no task: recognise, unknown. */
#include <string.h>

#include "base/str.h"
#include "provider/config_int.h"

static bool is_local(const config *c, const char *name)
{
    const config_provider *p = config_find(c, name);
    if (p)
        return strcmp(p->kind, "local") == 0;
    return str_starts(name, "local:") || (!str_starts(name, "openai:") && !str_starts(name, "anthropic:") &&
                                          !str_starts(name, "replay:"));
}

static status read_recognise(config_reader *r, const yaml *node)
{
    static const char *const known[] = { "other_names", "embedding", "foreign" };
    config_recognise *c = &r->c->recognise;
    if (!node)
        return OK;
    if (node->kind == YAML_SCALAR)
        return yaml_bool(r->f, node, &c->other_names, r->err);
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "recognise: true, or a map {other_names, embedding, foreign}");
    const yaml *names = yaml_get(node, "other_names"), *model = yaml_get(node, "embedding");
    const yaml *foreign = yaml_get(node, "foreign");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    if (!s && names)
        s = yaml_bool(r->f, names, &c->other_names, r->err);
    if (!s)
        s = config_text(r, model, &c->embedding);
    if (!s && model && !is_local(r->c, c->embedding))
        s = yaml_error(r->f, model, r->err, "embedding '%.80s' is not a local model: every request that names no task "
                       "would be shown to it", c->embedding);
    if (!s && foreign)
        s = yaml_f64(r->f, foreign, &c->foreign, r->err);
    if (!s && !(c->foreign > 0 && c->foreign < 1))
        s = yaml_error(r->f, foreign, r->err, "foreign: a share above 0 and below 1, such as 0.05");
    return s;
}

status config_recognise_of(config_reader *r, const yaml *root)
{
    const yaml *unknown = yaml_get(root, "unknown");
    status s = read_recognise(r, yaml_get(root, "recognise"));
    if (!s)
        s = config_text(r, unknown, &r->c->unknown);
    const char *word = r->c->unknown;
    if (!s && unknown && strcmp(word, "local") != 0 && strcmp(word, "refuse") != 0 && !config_find(r->c, word))
        s = yaml_error(r->f, unknown, r->err, "unknown '%.80s': local, refuse, or the name of a provider", word);
    return s;
}
