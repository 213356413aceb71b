/* config_privacy.c: `privacy`: what is looked for in texts. */
#include <string.h>

#include "base/mem.h"
#include "provider/config_int.h"

enum { PATH_BYTES = 4096 };

/* A path that is relative is of the config's folder. */
static status read_path(config_reader *r, const yaml *node, const char *config_path, const char **out)
{
    const char *text = "", *slash = strrchr(config_path, '/');
    char whole[2 * PATH_BYTES];
    status s = config_text(r, node, &text);
    if (s || !node)
        return s;
    size_t n = slash && text[0] != '/' ? (size_t)(slash - config_path) + 1 : 0;
    if (!text[0] || strlen(text) >= PATH_BYTES || n >= PATH_BYTES)
        return yaml_error(r->f, node, r->err, "%s: a file's path", node->key ? node->key : "fingerprints");
    memcpy(whole, config_path, n);
    memcpy(whole + n, text, strlen(text) + 1);
    *out = arena_strndup(r->c->memory, whole, strlen(whole));
    return *out ? OK : fail(r->err, E_NOMEM, "no memory for the configuration");
}

static status read_sets(config_reader *r, const yaml *map, const char *config_path)
{
    config_privacy *p = &r->c->privacy;
    const yaml *node = yaml_get(map, "fingerprints"), *item;
    if (!node)
        return OK;
    if (node->kind == YAML_SCALAR) {
        p->fingerprints = arena_alloc(r->c->memory, sizeof *p->fingerprints);
        if (!p->fingerprints)
            return fail(r->err, E_NOMEM, "no memory for the configuration");
        p->n_fingerprints = 1;
        return read_path(r, node, config_path, &p->fingerprints[0]);
    }
    status s = config_list(r, map, "fingerprints", INSPECT_SETS_MAX, sizeof *p->fingerprints, &item, &p->fingerprints);
    for (; !s && item; item = item->next)
        if (!(s = read_path(r, item, config_path, &p->fingerprints[p->n_fingerprints])))
            p->n_fingerprints++;
    return s;
}

status config_privacy_of(config_reader *r, const yaml *node, const char *config_path)
{
    static const char *const known[] = { "dictionary", "fingerprints", "tagger", "tag_threshold" };
    config_privacy *p = &r->c->privacy;
    if (!node)
        return OK;
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "privacy: write {dictionary: FILE, fingerprints: FILE, tagger: MODEL}");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = read_path(r, yaml_get(node, "dictionary"), config_path, &p->dictionary);
    if (!s)
        s = read_sets(r, node, config_path);
    if (!s)
        s = config_text(r, yaml_get(node, "tagger"), &p->tagger);
    const yaml *threshold = yaml_get(node, "tag_threshold");
    if (!s && threshold)
        s = yaml_f64(r->f, threshold, &p->tag_threshold, r->err);
    if (!s && !(p->tag_threshold > 0 && p->tag_threshold <= 1))
        s = yaml_error(r->f, threshold, r->err, "tag_threshold: a probability above 0");
    return s;
}

inspect_settings config_inspect(const config *c)
{
    const config_privacy *p = &c->privacy;
    return (inspect_settings){ .dictionary = p->dictionary, .fingerprints = p->fingerprints,
                               .n_fingerprints = p->n_fingerprints, .tag_threshold = p->tag_threshold };
}
