/* catalogue.c: the two files as the Makefile turned them into numbers (build/gen/fit/NAME.inc), parsed and checked
 * field by field. Texts stay in the parsed files, which live as long as the catalogue. */
#include "fit/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/yaml.h"
#include "fit/catalogue_int.h"

enum {
    MODELS_MAX = 1000,
    LIST_MAX = 32, /* entries of quants, of packages */
    TEXT_MAX = 300,
    NAME_MAX = 63,
    DIM_MAX = 1 << 24,
    ARENA_MAX = 4 << 20,
};

static const char models_text[] = {
#include "fit/catalogue.yaml.inc"
    0
};
static const char losses_text[] = {
#include "fit/losses.yaml.inc"
    0
};

static const char *const kind_names[CATALOGUE_KINDS] = { "chat", "base", "embedding", "rerank", "code", "reasoning" };
static const char *const fact_names[CATALOGUE_FACTS] = { "shape",   "context",  "params",
                                                         "licence", "released", "files" };

const char *catalogue_kind_name(catalogue_kind kind)
{
    return kind_names[(unsigned)kind < CATALOGUE_KINDS ? kind : CATALOGUE_CHAT];
}

const char *catalogue_fact_name(catalogue_fact fact)
{
    return fact_names[(unsigned)fact < CATALOGUE_FACTS ? fact : CATALOGUE_SHAPE];
}

/* ---- texts ---- */

static bool is_made_of(const char *s, const char *set)
{
    return *s && s[strspn(s, set)] == 0;
}

static bool is_name(const char *s)
{
    return is_made_of(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") && s[0] != '.' && s[0] != '-';
}

static bool is_type(const char *s)
{
    return is_made_of(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
}

static bool is_month(const char *s)
{
    static const char form[] = "dddd-dd";
    for (size_t i = 0; i < sizeof form; i++)
        if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
            return false;
    int month = (s[5] - '0') * 10 + s[6] - '0';
    return month >= 1 && month <= 12;
}

static bool is_page(const char *s)
{
    return str_starts(s, "https://") && strlen(s) > 8 && !strpbrk(s, " \t\n\"<>");
}

static bool is_source(const char *s)
{
    if (str_starts(s, "hf:")) {
        const char *slash = strchr(s, '/');
        return slash && slash > s + 3 && slash[1] && !strpbrk(s, " \t\n");
    }
    return is_page(s) || (str_starts(s, "pypi:") && s[5] && !strpbrk(s, " \t\n"));
}

static bool is_text(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ')
            return false;
    return true;
}

const catalogue_form catalogue_forms[] = {
    [FORM_TEXT] = { is_text, "one line of text" },
    [FORM_NAME] = { is_name, "a-z, 0-9, '.' and '-'" },
    [FORM_TYPE] = { is_type, "the name of a type (Q4_K_M)" },
    [FORM_MONTH] = { is_month, "a month (2025-04)" },
    [FORM_PAGE] = { is_page, "an address that begins with https://" },
    [FORM_SOURCE] = { is_source, "hf:OWNER/REPO, pypi:PACKAGE or an https:// address" },
};

status catalogue_text(const catalogue_reader *r, const char *key, const yaml *node, catalogue_form_id form,
                      const char **out)
{
    const char *text = NULL;
    status s = yaml_str(r->f, node, &text, r->err);
    if (s)
        return s;
    if (!node->len || node->len > (form == FORM_NAME ? NAME_MAX : TEXT_MAX) || strlen(text) != node->len)
        return yaml_error(r->f, node, r->err, "'%s' must have 1 to %d bytes", key,
                          form == FORM_NAME ? NAME_MAX : TEXT_MAX);
    if (!catalogue_forms[form].is(text))
        return yaml_error(r->f, node, r->err, "'%s: %.60s' is not %s", key, text, catalogue_forms[form].what);
    *out = text;
    return OK;
}

status catalogue_texts(const catalogue_reader *r, const yaml *map, const catalogue_field *fields, size_t n, void *to)
{
    status s = OK;
    for (size_t i = 0; !s && i < n; i++) {
        const yaml *node = yaml_get(map, fields[i].key);
        const char **out = (const char **)((char *)to + fields[i].at);
        if (node)
            s = catalogue_text(r, fields[i].key, node, fields[i].form, out);
        else if (fields[i].needed)
            s = yaml_error(r->f, map, r->err, "'%s' is missing", fields[i].key);
    }
    return s;
}

/* "494M", "1.54B" or a plain number. */
status catalogue_params(const catalogue_reader *r, const yaml *node, double *out)
{
    const char *text = NULL;
    char *end = NULL;
    status s = yaml_str(r->f, node, &text, r->err);
    if (s)
        return s;
    bool number = is_made_of(text, "0123456789.MB") && text[0] != '.';
    double v = number ? strtod(text, &end) : 0;
    if (number && (*end == 'M' || *end == 'B'))
        v *= *end++ == 'M' ? 1e6 : 1e9;
    if (!number || *end || !(v >= 1e3 && v <= 1e13))
        return yaml_error(r->f, node, r->err, "'%s: %.20s' is not a number of parameters (494M, 1.54B)",
                          node->key ? node->key : "", text);
    *out = v;
    return OK;
}

status catalogue_entry_failed(const yaml *entry, size_t i, status s, error *err)
{
    const yaml *name = yaml_get(entry, "name");
    if (name && name->kind == YAML_SCALAR && name->len)
        return fail_prefix(err, s, "%.63s: ", name->text);
    return fail_prefix(err, s, "entry %zu: ", i + 1);
}

/* ---- the parts of an entry ---- */

static status read_list(const catalogue_reader *r, const yaml *map, const char *key, catalogue_form_id form,
                        const char *const **out, size_t *n)
{
    const yaml *node = yaml_get(map, key);
    if (!node)
        return OK;
    size_t count = yaml_count(node);
    if (node->kind != YAML_SEQ || count > LIST_MAX)
        return yaml_error(r->f, node, r->err, "'%s' must be a list of up to %d", key, LIST_MAX);
    const char **texts = arena_alloc(r->memory, (count ? count : 1) * sizeof *texts);
    if (!texts)
        return fail(r->err, E_NOMEM, "no memory for the catalogue");
    status s = OK;
    size_t i = 0;
    for (const yaml *item = node->child; !s && item; item = item->next)
        s = catalogue_text(r, key, item, form, &texts[i++]);
    *out = texts;
    *n = count;
    return s;
}

static status read_count(const catalogue_reader *r, const yaml *map, const char *key, bool needed, uint32_t *out)
{
    const yaml *node = yaml_get(map, key);
    int64_t v = 0;
    if (!node)
        return needed ? yaml_error(r->f, map, r->err, "'%s' is missing", key) : OK;
    status s = yaml_i64(r->f, node, &v, r->err);
    if (s)
        return s;
    if (v < 1 || v > DIM_MAX)
        return yaml_error(r->f, node, r->err, "'%s' is %lld; it must be from 1 to %d", key, (long long)v, DIM_MAX);
    *out = (uint32_t)v;
    return OK;
}

static status read_shape(const catalogue_reader *r, const yaml *entry, catalogue_shape *out)
{
    static const char *const known[] = { "layers", "embd",  "ff",     "heads",         "kv_heads",
                                         "head_dim", "vocab", "window", "window_period", "tied" };
    uint32_t *const counts[] = { &out->layers,   &out->embd,  &out->ff,     &out->heads,        &out->kv_heads,
                                 &out->head_dim, &out->vocab, &out->window, &out->window_period };
    enum { NEEDED = 7 };
    const yaml *map = yaml_get(entry, "shape");
    if (!map || map->kind != YAML_MAP)
        return yaml_error(r->f, map ? map : entry, r->err, "'shape' must be a map");
    status s = yaml_known_keys(r->f, map, known, ARRAY_LEN(known), r->err);
    for (size_t i = 0; !s && i < ARRAY_LEN(counts); i++)
        s = read_count(r, map, known[i], i < NEEDED, counts[i]);
    if (!s && !yaml_get(map, "tied"))
        return yaml_error(r->f, map, r->err, "'tied' is missing");
    if (!s)
        s = yaml_bool(r->f, yaml_get(map, "tied"), &out->tied, r->err);
    if (!s && out->heads % out->kv_heads)
        return yaml_error(r->f, map, r->err, "%u 'heads' are no multiple of %u 'kv_heads'", out->heads, out->kv_heads);
    if (!s && out->window_period && !out->window)
        return yaml_error(r->f, map, r->err, "'window_period' without 'window'");
    return s;
}

static status read_pages(const catalogue_reader *r, const yaml *entry, catalogue_model *m)
{
    const yaml *pages = yaml_get(entry, "pages"), *list = yaml_get(entry, "unproved");
    if (!pages || pages->kind != YAML_MAP)
        return yaml_error(r->f, pages ? pages : entry, r->err, "'pages' must be a map");
    if (!list || list->kind != YAML_SEQ)
        return yaml_error(r->f, list ? list : entry, r->err, "'unproved' must be a list");
    status s = yaml_known_keys(r->f, pages, fact_names, CATALOGUE_FACTS, r->err);
    for (int i = 0; !s && i < CATALOGUE_FACTS; i++)
        if (yaml_get(pages, fact_names[i]))
            s = catalogue_text(r, fact_names[i], yaml_get(pages, fact_names[i]), FORM_PAGE, &m->pages[i]);
    for (const yaml *item = list->child; !s && item; item = item->next) {
        int i = 0;
        while (i < CATALOGUE_FACTS && (item->kind != YAML_SCALAR || strcmp(item->text, fact_names[i]) != 0))
            i++;
        if (i == CATALOGUE_FACTS)
            return yaml_error(r->f, item, r->err, "'unproved: %.30s' is no fact that has a page",
                              item->kind == YAML_SCALAR ? item->text : "");
        m->unproved[i] = true;
    }
    return s;
}

/* A fact stands on a page or is said to be unproved, never both, never neither. */
static status check_pages(const catalogue_reader *r, const yaml *entry, const catalogue_model *m)
{
    const bool there[CATALOGUE_FACTS] = {
        [CATALOGUE_SHAPE] = true,   [CATALOGUE_CONTEXT] = true,  [CATALOGUE_PARAMS] = m->params > 0,
        [CATALOGUE_LICENCE] = true, [CATALOGUE_RELEASED] = true, [CATALOGUE_FILES] = m->files != NULL,
    };
    for (int i = 0; i < CATALOGUE_FACTS; i++) {
        if (!there[i] && (m->pages[i] || m->unproved[i]))
            return yaml_error(r->f, entry, r->err, "'%s' has a page or is unproved, but is not there", fact_names[i]);
        if (there[i] && !m->pages[i] == !m->unproved[i])
            return yaml_error(r->f, entry, r->err, "'%s' %s", fact_names[i],
                              m->pages[i] ? "has a page and is said to be unproved"
                                          : "has no page in 'pages' and is not named in 'unproved'");
    }
    return OK;
}

static status read_kind(const catalogue_reader *r, const yaml *entry, catalogue_kind *out)
{
    const yaml *node = yaml_get(entry, "kind");
    const char *text = NULL;
    if (!node)
        return yaml_error(r->f, entry, r->err, "'kind' is missing");
    status s = yaml_str(r->f, node, &text, r->err);
    for (int i = 0; !s && i < CATALOGUE_KINDS; i++)
        if (strcmp(text, kind_names[i]) == 0) {
            *out = (catalogue_kind)i;
            return OK;
        }
    return s ? s : yaml_error(r->f, node, r->err, "'kind: %.20s' is not chat, base, embedding, rerank, code or "
                              "reasoning", text);
}

static status read_model(const catalogue_reader *r, const yaml *entry, catalogue_model *m)
{
    static const char *const known[] = { "name",     "title",   "maker",  "arch",  "kind",   "licence",
                                         "released", "context", "params", "shape", "source", "files",
                                         "quants",   "packages", "pages", "unproved" };
    static const catalogue_field texts[] = {
        { "name", offsetof(catalogue_model, name), FORM_NAME, true },
        { "title", offsetof(catalogue_model, title), FORM_TEXT, true },
        { "maker", offsetof(catalogue_model, maker), FORM_TEXT, true },
        { "arch", offsetof(catalogue_model, arch), FORM_NAME, true },
        { "licence", offsetof(catalogue_model, licence), FORM_TEXT, true },
        { "released", offsetof(catalogue_model, released), FORM_MONTH, true },
        { "source", offsetof(catalogue_model, source), FORM_PAGE, true },
        { "files", offsetof(catalogue_model, files), FORM_SOURCE, false },
    };
    if (entry->kind != YAML_MAP)
        return yaml_error(r->f, entry, r->err, "a model must be a map");
    status s = yaml_known_keys(r->f, entry, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = catalogue_texts(r, entry, texts, ARRAY_LEN(texts), m);
    if (!s)
        s = read_kind(r, entry, &m->kind);
    if (!s)
        s = read_count(r, entry, "context", true, &m->context);
    if (!s && yaml_get(entry, "params"))
        s = catalogue_params(r, yaml_get(entry, "params"), &m->params);
    if (!s)
        s = read_shape(r, entry, &m->shape);
    if (!s)
        s = read_list(r, entry, "quants", FORM_TYPE, &m->quants, &m->n_quants);
    if (!s)
        s = read_list(r, entry, "packages", FORM_SOURCE, &m->packages, &m->n_packages);
    if (!s)
        s = read_pages(r, entry, m);
    return s ? s : check_pages(r, entry, m);
}

/* ---- the whole ---- */

status catalogue_list(const catalogue_reader *r, const char *key, size_t most, const yaml **out, size_t *n)
{
    const char *const known[] = { "hearth", key };
    const yaml *root = r->f->root, *version = yaml_get(root, "hearth"), *list = yaml_get(root, key);
    int64_t v = 0;
    if (!root || root->kind != YAML_MAP || !version || !list || list->kind != YAML_SEQ)
        return yaml_error(r->f, root, r->err, "it must begin with 'hearth: 1' and hold a list '%s'", key);
    status s = yaml_known_keys(r->f, root, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = yaml_i64(r->f, version, &v, r->err);
    if (!s && v != 1)
        s = yaml_error(r->f, version, r->err, "'hearth: %lld': this program reads 1", (long long)v);
    *n = yaml_count(list);
    *out = list;
    if (!s && *n > most)
        s = yaml_error(r->f, list, r->err, "%zu entries in '%s'; the limit is %zu", *n, key, most);
    return s;
}

static status read_models(catalogue *c, error *err)
{
    const catalogue_reader r = { c->models_file, &c->memory, err };
    const yaml *list = NULL;
    status s = catalogue_list(&r, "models", MODELS_MAX, &list, &c->n_models);
    if (s)
        return s;
    c->models = mem_array(c->n_models ? c->n_models : 1, sizeof *c->models);
    if (!c->models)
        return fail(err, E_NOMEM, "no memory for the catalogue");
    size_t i = 0;
    for (const yaml *entry = list->child; entry; entry = entry->next, i++) {
        catalogue_model *m = &c->models[i];
        s = read_model(&r, entry, m);
        for (size_t k = 0; !s && k < i; k++)
            if (strcmp(c->models[k].name, m->name) == 0)
                s = yaml_error(c->models_file, entry, err, "this 'name' is in the list already");
        if (s)
            return catalogue_entry_failed(entry, i, s, err);
    }
    return OK;
}

status catalogue_parse(catalogue **out, const char *models, size_t n_models, const char *losses, size_t n_losses,
                       error *err)
{
    catalogue *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for the catalogue");
    c->memory = (arena)ARENA_INIT(ARENA_MAX);
    status s = yaml_parse(&c->models_file, models, n_models, "catalogue.yaml", err);
    if (!s)
        s = read_models(c, err);
    if (!s && losses)
        s = yaml_parse(&c->losses_file, losses, n_losses, "losses.yaml", err);
    if (!s && losses)
        s = catalogue_read_losses(c, err);
    if (s)
        catalogue_close(&c);
    else
        *out = c;
    return s;
}

status catalogue_open(catalogue **out, error *err)
{
    return catalogue_parse(out, models_text, sizeof models_text - 1, losses_text, sizeof losses_text - 1, err);
}

void catalogue_close(catalogue **c)
{
    catalogue *old = *c;
    *c = NULL;
    if (!old)
        return;
    yaml_close(&old->models_file);
    yaml_close(&old->losses_file);
    arena_clear(&old->memory);
    mem_free(old->models);
    mem_free(old->losses);
    mem_free(old);
}

size_t catalogue_n(const catalogue *c)
{
    return c->n_models;
}

const catalogue_model *catalogue_at(const catalogue *c, size_t i)
{
    return i < c->n_models ? &c->models[i] : NULL;
}

const catalogue_model *catalogue_find(const catalogue *c, const char *name)
{
    for (size_t i = 0; i < c->n_models; i++)
        if (strcmp(c->models[i].name, name) == 0)
            return &c->models[i];
    return NULL;
}
