/* config_price.c: what answers cost: `price` of a provider, `machine`, and prices.yaml. No price is known here: all of
 * them are the user's, with the day on which they were read. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "provider/config_int.h"

enum { CONFIG_PRICES_MAX = 4096, CONFIG_BUDGET_MAX = 100000000 };

/* "2026-11-01": the shape, and a month and a day that exist somewhere. */
static bool is_date(const char *s)
{
    static const char shape[] = "dddd-dd-dd";
    if (strlen(s) != sizeof shape - 1)
        return false;
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == 'd' ? !isdigit((unsigned char)s[i]) : s[i] != shape[i])
            return false;
    int month = (s[5] - '0') * 10 + s[6] - '0', day = (s[8] - '0') * 10 + s[9] - '0';
    return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static status read_date(config_reader *r, const yaml *node, const char **out)
{
    status s = config_text(r, node, out);
    if (!s && node && !is_date(*out))
        s = yaml_error(r->f, node, r->err, "as_of '%.40s': a day like 2026-11-01", *out);
    return s;
}

/* A number from 0; without the member *out stays as it is. */
static status read_amount(config_reader *r, const yaml *map, const char *where, const char *name, double *out)
{
    const yaml *node = yaml_get(map, name);
    double v = 0;
    if (!node)
        return OK;
    status s = yaml_f64(r->f, node, &v, r->err);
    if (!s && !(v >= 0 && isfinite(v)))
        s = yaml_error(r->f, node, r->err, "%s: %s is negative", where, name);
    if (!s)
        *out = v;
    return s;
}

/* {input, output, cached_input}; with_date: and as_of. */
static status read_rates(config_reader *r, const yaml *node, bool with_date, config_price *out)
{
    static const char *const known[] = { "input", "output", "cached_input", "as_of" };
    double *const to[] = { &out->input, &out->output, &out->cached };
    out->input = out->output = out->cached = NAN;
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "price: write {input: N, output: N}, US dollars per million tokens");
    status s = yaml_known_keys(r->f, node, known, with_date ? 4 : 3, r->err);
    for (size_t i = 0; i < 3 && !s; i++) {
        s = read_amount(r, node, "price", known[i], to[i]);
        if (!s && i < 2 && isnan(*to[i]))
            s = yaml_error(r->f, node, r->err, "price: '%s' is missing", known[i]);
    }
    return s;
}

status config_price_of(config_reader *r, const yaml *node, config_provider *p)
{
    config_price rates;
    if (!node)
        return OK;
    status s = read_rates(r, node, true, &rates);
    if (!s)
        s = read_date(r, yaml_get(node, "as_of"), &p->price_as_of);
    if (s)
        return s;
    p->price_input = rates.input;
    p->price_output = rates.output;
    p->price_cached = rates.cached;
    p->price_source = "config.yaml";
    return OK;
}

status config_budget_of(config_reader *r, const yaml *node, config_budget *out)
{
    static const char *const known[] = { "usd_per_day", "usd_per_month" };
    double *const to[] = { &out->usd_per_day, &out->usd_per_month };
    if (!node)
        return OK;
    if (node->kind != YAML_MAP || !yaml_count(node))
        return yaml_error(r->f, node, r->err, "budget: a map {usd_per_day: N, usd_per_month: N}, or one of them");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    for (size_t i = 0; i < ARRAY_LEN(known) && !s; i++) {
        s = read_amount(r, node, "budget", known[i], to[i]);
        if (!s && *to[i] > CONFIG_BUDGET_MAX)
            s = yaml_error(r->f, node, r->err, "budget: %s is over %d", known[i], CONFIG_BUDGET_MAX);
    }
    return s;
}

status config_machine_of(config_reader *r, const yaml *node)
{
    static const char *const known[] = { "usd_per_month", "usd_per_kwh", "watts_busy" };
    config_machine *m = &r->c->machine;
    double *const to[] = { &m->usd_per_month, &m->usd_per_kwh, &m->watts_busy };
    if (!node)
        return OK;
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "machine: a map {usd_per_month, usd_per_kwh, watts_busy}");
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    for (size_t i = 0; i < ARRAY_LEN(known) && !s; i++)
        s = read_amount(r, node, "machine", known[i], to[i]);
    return s;
}

/* ---- prices.yaml ---- */

static status read_rows(config_reader *r, const yaml *models)
{
    config *c = r->c;
    size_t n = yaml_count(models);
    if (!models || models->kind != YAML_MAP || n == 0 || n > CONFIG_PRICES_MAX)
        return yaml_error(r->f, models, r->err, "models: a map of 1 to %d rows, NAME: {input: N, output: N}",
                          CONFIG_PRICES_MAX);
    c->prices = arena_alloc(c->memory, n * sizeof *c->prices);
    if (!c->prices)
        return fail(r->err, E_NOMEM, "no memory for the prices");
    status s = OK;
    for (const yaml *m = models->child; !s && m; m = m->next) {
        config_price *row = &c->prices[c->n_prices];
        s = read_rates(r, m, false, row);
        row->model = arena_strndup(c->memory, m->key, strlen(m->key));
        if (!s && !row->model)
            s = fail(r->err, E_NOMEM, "no memory for the prices");
        c->n_prices += !s;
    }
    return s;
}

status config_prices(config_reader *r, const yaml *root)
{
    static const char *const known[] = { "as_of", "source", "models" };
    if (!root || root->kind != YAML_MAP)
        return fail(r->err, E_FORMAT, "%s: not a map {as_of, source, models}", r->f->path);
    status s = yaml_known_keys(r->f, root, known, ARRAY_LEN(known), r->err);
    if (!s && !yaml_get(root, "as_of"))
        s = yaml_error(r->f, root, r->err, "'as_of' is missing: prices have a day on which they were read");
    if (!s)
        s = read_date(r, yaml_get(root, "as_of"), &r->c->prices_as_of);
    r->c->prices_source = "prices.yaml";
    if (!s)
        s = config_text(r, yaml_get(root, "source"), &r->c->prices_source);
    if (!s && !yaml_get(root, "models"))
        s = yaml_error(r->f, root, r->err, "'models' is missing");
    if (!s)
        s = read_rows(r, yaml_get(root, "models"));
    for (size_t i = 0; !s && i < r->c->n_providers; i++)
        config_set_price(r->c, &r->c->providers[i]);
    return s;
}

status config_parse_prices(config *c, const char *text, size_t n, const char *name, error *err)
{
    yaml_file *f = NULL;
    status s = yaml_parse(&f, text, n, name, err);
    if (!s) {
        config_reader r = { f, c, err };
        s = config_prices(&r, f->root);
    }
    yaml_close(&f);
    return s;
}

void config_set_price(const config *c, config_provider *p)
{
    if (!isnan(p->price_input) || p->place != PLACE_REMOTE || !config_is_server(p))
        return;
    for (size_t i = 0; i < c->n_prices; i++) {
        const config_price *row = &c->prices[i];
        if (strcmp(row->model, p->model) != 0)
            continue;
        p->price_input = row->input;
        p->price_output = row->output;
        p->price_cached = row->cached;
        p->price_as_of = c->prices_as_of;
        p->price_source = c->prices_source;
        return;
    }
}
