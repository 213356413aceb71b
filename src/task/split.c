/* split.c: which cases are held back for measuring, and which may be shown in prompts.
 *
 * The side of a case is SHA-256 of the salt and its cluster (its id when it has none), read as a fraction: below
 * held_back it is measured. So nothing is written into cases.jsonl, a new case falls by itself, the others stay where
 * they are, and a cluster never straddles. */
#include <stdlib.h>
#include <string.h>

#include "task/task_int.h"

enum { SALT_MAX = 64, KEY_MAX = 128 };

status split_read(task_reader *r, const yaml *root)
{
    static const char *const keys[] = { "held_back", "salt" };
    const yaml *map = yaml_get(root, "split");
    task *t = r->t;
    t->held_back = -1;
    t->salt = "";
    if (!map)
        return OK;
    if (map->kind != YAML_MAP || !yaml_get(map, "held_back"))
        return yaml_error(r->f, map, r->err, "'split' is a map with 'held_back' (and 'salt')");
    status s = yaml_known_keys(r->f, map, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = task_read_number(r, map, "held_back", 0.01, 1, &t->held_back);
    if (!s && yaml_get(map, "salt"))
        s = task_read_text(r, yaml_get(map, "salt"), &t->salt);
    if (!s && strlen(t->salt) > SALT_MAX)
        s = yaml_error(r->f, yaml_get(map, "salt"), r->err, "'salt' has more than %d bytes", SALT_MAX);
    return s;
}

/* [0, 1), from the first 48 bits. */
static double fraction(const char *salt, const char *key)
{
    char text[16 + SALT_MAX + KEY_MAX], hex[DIGEST_HEX];
    size_t n = strlen("hearth split 1") + 1, salt_n = strlen(salt) + 1, key_n = strlen(key);
    memcpy(text, "hearth split 1", n);
    memcpy(text + n, salt, salt_n); /* its zero separates */
    memcpy(text + n + salt_n, key, key_n);
    digest_of(text, n + salt_n + key_n, hex);
    double v = 0;
    for (int i = 11; i >= 0; i--)
        v = (v + (hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10)) / 16;
    return v;
}

void split_cases(const task *t, task_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *key = cases[i].cluster ? cases[i].cluster : cases[i].id;
        bool train = t->held_back >= 0 && fraction(t->salt, key) >= t->held_back;
        cases[i].part = train ? TASK_TRAIN : TASK_TEST;
    }
}

task_part task_case_split(const task *t, const task_case *c)
{
    (void)t;
    return c->part;
}

bool task_is_measured(const task *t, const task_case *c)
{
    return task_case_split(t, c) == TASK_TEST;
}

size_t task_measured(const task *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n_cases; i++)
        n += task_is_measured(t, &t->cases[i]);
    return n;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool task_is_clustered(const task *t)
{
    const char **names = mem_array(t->n_cases + 1, sizeof *names);
    size_t n = 0;
    bool shared = !names;
    for (size_t i = 0; names && i < t->n_cases; i++)
        if (t->cases[i].cluster && task_is_measured(t, &t->cases[i]))
            names[n++] = t->cases[i].cluster;
    if (names)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 1; i < n && !shared; i++)
        shared = !strcmp(names[i - 1], names[i]);
    mem_free(names);
    return shared;
}
