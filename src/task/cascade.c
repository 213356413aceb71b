/* cascade.c: `cascade: {risk, confidence}`. What it does is route/cascade.h's. */
#include "task/task_int.h"

static status read_share(task_reader *r, const yaml *map, const char *key, double low, double high, double *out)
{
    status s = task_read_number(r, map, key, low, high, out);
    if (!s && yaml_get(map, key) && (*out <= low || *out >= high))
        s = yaml_error(r->f, yaml_get(map, key), r->err, "'%s' must be above %g and below %g", key, low, high);
    return s;
}

status cascade_read(task_reader *r, const yaml *node)
{
    static const char *const keys[] = { "risk", "confidence" };
    task_cascade *c = &r->t->cascade;
    *c = (task_cascade){ .asked = node != NULL, .risk = 0.05, .confidence = 0.95 };
    if (!node)
        return OK;
    if (node->kind != YAML_MAP)
        return yaml_error(r->f, node, r->err, "'cascade' is a map: {risk: 0.05, confidence: 0.95}");
    status s = yaml_known_keys(r->f, node, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = read_share(r, node, "risk", 0, 1, &c->risk);
    return s ? s : read_share(r, node, "confidence", 0.5, 1, &c->confidence);
}
