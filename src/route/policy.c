#include "route/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "ledger/watch.h"

enum { POLICY_ARENA = 4 << 20 };

typedef struct policy_reader {
    const yaml_file *f;
    policy *p;
    error *err;
} policy_reader;

const char *route_pin_name(route_pin p)
{
    static const char *const names[] = { "evidence", "local", "cloud", "refuse" };
    return names[(unsigned)p < ARRAY_LEN(names) ? p : PIN_NONE];
}

/* ---- scalars ---- */

typedef struct number_field {
    const char *key;
    double low, high;
    double *out;
} number_field;

/* A map of these numbers; each is optional. */
static status read_numbers(policy_reader *r, const yaml *map, const number_field *fields, size_t n)
{
    status s = OK;
    for (size_t i = 0; !s && i < n; i++) {
        const yaml *node = yaml_get(map, fields[i].key);
        double v;
        if (!node)
            continue;
        s = yaml_f64(r->f, node, &v, r->err);
        if (!s && !(v >= fields[i].low && v <= fields[i].high))
            s = yaml_error(r->f, node, r->err, "'%s' is %g; it must be from %g to %g", fields[i].key, v, fields[i].low,
                           fields[i].high);
        if (!s)
            *fields[i].out = v;
    }
    return s;
}

static status read_map(policy_reader *r, const yaml *root, const char *key, const number_field *fields, size_t n)
{
    enum { FIELDS_MAX = 8 };
    const char *names[FIELDS_MAX];
    const yaml *map = yaml_get(root, key);
    if (!map)
        return OK;
    if (map->kind != YAML_MAP)
        return yaml_error(r->f, map, r->err, "'%s' is a map", key);
    for (size_t i = 0; i < n && i < FIELDS_MAX; i++)
        names[i] = fields[i].key;
    status s = yaml_known_keys(r->f, map, names, n, r->err);
    return s ? s : read_numbers(r, map, fields, n);
}

static status read_word(policy_reader *r, const yaml *node, const char *const *words, size_t n, int *out)
{
    const char *text;
    if (!node)
        return OK;
    status s = yaml_str(r->f, node, &text, r->err);
    for (size_t i = 0; !s && i < n; i++)
        if (strcmp(text, words[i]) == 0) {
            *out = (int)i;
            return OK;
        }
    if (s)
        return s;
    buf all = BUF_INIT(256);
    for (size_t i = 0; i < n; i++)
        buf_printf(&all, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
    s = yaml_error(r->f, node, r->err, "'%s' is '%.80s'; it is %s", node->key, text, buf_text(&all));
    buf_clear(&all);
    return s;
}

static const char *const changes[] = { "apply", "propose" };

/* ---- parts ---- */

static status read_task(policy_reader *r, const yaml *node, policy_task *t)
{
    static const char *const known[] = { "changes", "route", "shadow_rate" };
    static const char *const routes[] = { "evidence", "local", "cloud", "refuse" };
    const number_field rate[] = { { "shadow_rate", 0, 1, &t->shadow_rate } };
    int pin = PIN_NONE;
    *t = (policy_task){ .line = node->line, .propose = -1, .shadow_rate = NAN };
    t->id = arena_strndup(r->p->memory, node->key, strlen(node->key));
    if (!t->id)
        return fail(r->err, E_NOMEM, "no memory for the policy");
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "'%s' is a map", node->key);
    status s = yaml_known_keys(r->f, node, known, ARRAY_LEN(known), r->err);
    if (!s)
        s = read_word(r, yaml_get(node, "changes"), changes, ARRAY_LEN(changes), &t->propose);
    if (!s)
        s = read_word(r, yaml_get(node, "route"), routes, ARRAY_LEN(routes), &pin);
    t->pin = (route_pin)pin;
    return s ? s : read_numbers(r, node, rate, ARRAY_LEN(rate));
}

static status read_tasks(policy_reader *r, const yaml *map)
{
    if (!map)
        return OK;
    size_t n = yaml_count(map);
    if (map->kind != YAML_MAP || n > POLICY_TASKS_MAX)
        return yaml_error(r->f, map, r->err, "'tasks' is a map of at most %d tasks", POLICY_TASKS_MAX);
    r->p->tasks = n ? arena_alloc(r->p->memory, n * sizeof *r->p->tasks) : NULL;
    if (n && !r->p->tasks)
        return fail(r->err, E_NOMEM, "no memory for the policy");
    status s = OK;
    for (const yaml *node = map->child; !s && node; node = node->next)
        s = read_task(r, node, &r->p->tasks[r->p->n_tasks++]);
    return s;
}

static status read_drift(policy_reader *r, const yaml *root)
{
    drift_rules *d = &r->p->drift;
    double failures = d->failures;
    const number_field fields[] = { { "level", 10, 1e9, &d->level },
                                    { "alpha_back", 1e-6, 0.2, &d->alpha_back },
                                    { "failures", 1, 1000, &failures } };
    status s = read_map(r, root, "drift", fields, ARRAY_LEN(fields));
    if (!s && failures > floor(failures))
        s = yaml_error(r->f, yaml_get(yaml_get(root, "drift"), "failures"), r->err, "'failures' is a whole number");
    d->failures = (uint32_t)failures;
    return s;
}

/* Whoever asks a cloud for comparison says for how much. */
static status check_money(policy_reader *r, const yaml *root)
{
    const yaml *shadow = yaml_get(root, "shadow");
    double most = r->p->shadow_rate;
    for (size_t i = 0; i < r->p->n_tasks; i++)
        most = fmax(most, r->p->tasks[i].shadow_rate); /* fmax passes over NAN */
    if (most > 0 && !yaml_get(shadow, "usd_per_day"))
        return yaml_error(r->f, shadow ? shadow : root, r->err, "a shadow rate needs 'shadow: {usd_per_day: …}', "
                          "the most that it may cost a day");
    return OK;
}

static status read_root(policy_reader *r, const yaml *root)
{
    static const char *const known[] = { "hearth", "changes", "alpha", "shadow", "drift", "reassess", "tasks" };
    policy *p = r->p;
    double seed = 0;
    int propose = 1;
    const number_field alpha[] = { { "alpha", 1e-6, 0.2, &p->alpha } };
    const number_field shadow[] = { { "rate", 0, 1, &p->shadow_rate },
                                    { "usd_per_day", 0, 1e6, &p->shadow_usd_per_day },
                                    { "seed", 0, 1e15, &seed } };
    const number_field reassess[] = { { "usd", 0, 1e6, &p->reassess_usd }, { "minutes", 0, 1e5, &p->reassess_minutes },
                                      { "days", 0, 1e5, &p->reassess_days } };
    int64_t version = 0;
    if (!root || root->kind != YAML_MAP)
        return fail(r->err, E_FORMAT, "%s:1: a policy is a map of keys; it begins with 'hearth: 1'", p->name);
    status s = yaml_known_keys(r->f, root, known, ARRAY_LEN(known), r->err);
    if (!s && !yaml_get(root, "hearth"))
        s = yaml_error(r->f, root, r->err, "'hearth: 1' is missing");
    if (!s)
        s = yaml_i64(r->f, yaml_get(root, "hearth"), &version, r->err);
    if (!s && version != 1)
        s = yaml_error(r->f, yaml_get(root, "hearth"), r->err, "version %lld: this hearth reads version 1",
                       (long long)version);
    if (!s)
        s = read_word(r, yaml_get(root, "changes"), changes, ARRAY_LEN(changes), &propose);
    if (!s)
        s = read_numbers(r, root, alpha, ARRAY_LEN(alpha));
    if (!s)
        s = read_map(r, root, "shadow", shadow, ARRAY_LEN(shadow));
    if (!s)
        s = read_drift(r, root);
    if (!s)
        s = read_map(r, root, "reassess", reassess, ARRAY_LEN(reassess));
    p->propose = propose != 0;
    p->shadow_seed = (uint64_t)seed;
    p->drift.alpha = p->alpha;
    if (!s)
        s = read_tasks(r, yaml_get(root, "tasks"));
    return s ? s : check_money(r, root);
}

/* ---- the whole file ---- */

static policy *new_policy(const char *name)
{
    policy *p = mem_zero(sizeof *p);
    arena *memory = mem_zero(sizeof *memory);
    if (memory)
        *memory = (arena)ARENA_INIT(POLICY_ARENA);
    if (p)
        p->memory = memory;
    else
        mem_free(memory);
    if (p && (!memory || !(p->name = arena_strndup(memory, name, strlen(name)))))
        policy_close(&p);
    if (!p)
        return NULL;
    p->alpha = DRIFT_ALPHA;
    p->drift = (drift_rules){ .level = DRIFT_LEVEL, .alpha_back = DRIFT_ALPHA_BACK, .failures = DRIFT_FAILURES };
    p->reassess_usd = p->reassess_minutes = p->reassess_days = NAN;
    return p;
}

status policy_parse(policy **out, const char *text, size_t n, const char *name, error *err)
{
    yaml_file *f = NULL;
    policy *p = new_policy(name);
    if (!p)
        return fail(err, E_NOMEM, "no memory for the policy");
    status s = yaml_parse(&f, text, n, name, err);
    if (!s) {
        policy_reader r = { f, p, err };
        s = read_root(&r, f->root);
    }
    yaml_close(&f);
    if (s)
        policy_close(&p);
    else
        *out = p;
    return s;
}

void policy_close(policy **at)
{
    policy *p = *at;
    if (!p)
        return;
    if (p->memory)
        arena_clear(p->memory);
    mem_free(p->memory);
    mem_free(p);
    *at = NULL;
}

/* ---- asking it ---- */

const policy_task *policy_find(const policy *p, const char *task)
{
    for (size_t i = 0; i < p->n_tasks; i++)
        if (strcmp(p->tasks[i].id, task) == 0)
            return &p->tasks[i];
    return NULL;
}

status policy_check(const policy *p, const policy_task *of, privacy_class task_class, error *err)
{
    if (of->pin == PIN_CLOUD && task_class >= PRIVACY_PRIVATE)
        return fail(err, E_DENIED, "%s:%d: task '%s' is %s, so no other machine may see it: it cannot be pinned to the "
                    "cloud", p->name, of->line, of->id, privacy_class_name(task_class));
    if (of->shadow_rate > 0 && task_class >= PRIVACY_PRIVATE)
        return fail(err, E_DENIED, "%s:%d: task '%s' is %s, so none of its requests may be shadowed", p->name, of->line,
                    of->id, privacy_class_name(task_class));
    return OK;
}

void policy_rules(const policy *p, const char *task, int64_t number, route_rules *out)
{
    const policy_task *t = policy_find(p, task);
    *out = (route_rules){ .number = number, .propose = t && t->propose >= 0 ? t->propose == 1 : p->propose,
                          .pin = t ? t->pin : PIN_NONE, .alpha = p->alpha, .drift = p->drift };
}

double policy_shadow_rate(const policy *p, const char *task)
{
    const policy_task *t = policy_find(p, task);
    return t && !isnan(t->shadow_rate) ? t->shadow_rate : p->shadow_rate;
}

status policy_open(policy **out, int64_t *number, ledger *l, error *err)
{
    ledger_policies rows = { 0 };
    *out = NULL;
    *number = 0;
    status s = ledger_find_policy(l, &rows, err);
    if (!s && rows.n) {
        char name[48];
        snprintf(name, sizeof name, "policy %lld", (long long)rows.rows[0].number);
        s = policy_parse(out, rows.rows[0].body, strlen(rows.rows[0].body), name, err);
        *number = rows.rows[0].number;
    }
    ledger_policies_close(&rows);
    return s;
}
