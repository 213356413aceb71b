/* load.c: task.yaml to a task. One function a part of the file; unknown keys are refused at every level. */
#include <math.h>
#include <string.h>

#include "plat/folder_class.h"
#include "task/task_int.h"

status task_no_memory(error *err)
{
    return fail(err, E_NOMEM, "no memory for the task");
}

/* ---- scalars ---- */

status task_read_text(task_reader *r, const yaml *node, const char **out)
{
    status s = yaml_str(r->f, node, out, r->err);
    if (!s && strlen(*out) != node->len)
        return yaml_error(r->f, node, r->err, "'%s' holds a zero character", node->key ? node->key : "a list");
    return s;
}

status task_read_bool(task_reader *r, const yaml *map, const char *key, bool *out)
{
    const yaml *node = yaml_get(map, key);
    return node ? yaml_bool(r->f, node, out, r->err) : OK;
}

status task_read_number(task_reader *r, const yaml *map, const char *key, double low, double high, double *out)
{
    const yaml *node = yaml_get(map, key);
    double v = 0;
    if (!node)
        return OK;
    status s = yaml_f64(r->f, node, &v, r->err);
    if (s)
        return s;
    if (!(v >= low && v <= high))
        return yaml_error(r->f, node, r->err, "'%s' is %g; it must be from %g to %g", key, v, low, high);
    *out = v;
    return OK;
}

status task_read_int(task_reader *r, const yaml *map, const char *key, int64_t low, int64_t high, int64_t *out)
{
    const yaml *node = yaml_get(map, key);
    int64_t v = 0;
    if (!node)
        return OK;
    status s = yaml_i64(r->f, node, &v, r->err);
    if (s)
        return s;
    if (v < low || v > high)
        return yaml_error(r->f, node, r->err, "'%s' is %lld; it must be from %lld to %lld", key, (long long)v,
                          (long long)low, (long long)high);
    *out = v;
    return OK;
}

status task_read_word(task_reader *r, const yaml *node, const char *const *words, size_t n, size_t *out)
{
    const char *text = NULL;
    status s = task_read_text(r, node, &text);
    if (s)
        return s;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(words[i], text)) {
            *out = i;
            return OK;
        }
    char list[200] = "";
    for (size_t i = 0; i < n && strlen(list) + strlen(words[i]) + 3 < sizeof list; i++) {
        strncat(list, i ? ", " : "", 3);
        strncat(list, words[i], sizeof list - strlen(list) - 1);
    }
    return yaml_error(r->f, node, r->err, "'%s: %.40s' is not known; there are: %s", node->key ? node->key : "", text,
                      list);
}

status task_read_texts(task_reader *r, const yaml *node, size_t max, const char *const **out, size_t *n)
{
    size_t count = node->kind == YAML_SEQ ? yaml_count(node) : 1;
    const yaml *item = node->kind == YAML_SEQ ? node->child : node;
    if (count > max)
        return yaml_error(r->f, node, r->err, "%zu entries; the limit is %zu", count, max);
    const char **texts = arena_alloc(r->a, (count ? count : 1) * sizeof *texts);
    if (!texts)
        return task_no_memory(r->err);
    for (size_t i = 0; i < count; i++, item = item->next) {
        status s = task_read_text(r, item, &texts[i]);
        if (s)
            return s;
    }
    *out = texts;
    *n = count;
    return OK;
}

/* ---- parts ---- */

static status read_identity(task_reader *r, const yaml *root)
{
    task *t = r->t;
    const yaml *id = yaml_get(root, "id"), *privacy = yaml_get(root, "privacy");
    const yaml *about = yaml_get(root, "description"), *version = yaml_get(root, "hearth");
    const char *word = NULL;
    int64_t v = 0;
    if (!version || !id || !privacy)
        return yaml_error(r->f, root, r->err, "'%s' is missing", !version ? "hearth: 1" : !id ? "id" : "privacy");
    status s = yaml_i64(r->f, version, &v, r->err);
    if (!s && v != 1)
        s = yaml_error(r->f, version, r->err, "format %lld; this hearth reads format 1", (long long)v);
    if (!s)
        s = task_read_text(r, id, &t->id);
    if (!s && (!t->id[0] || strlen(t->id) > 64 || t->id[strspn(t->id, "abcdefghijklmnopqrstuvwxyz0123456789-")]))
        s = yaml_error(r->f, id, r->err, "the id must be 1 to 64 of a-z, 0-9 and -");
    if (!s)
        s = task_read_text(r, privacy, &word);
    if (!s && !privacy_class_parse(word, &t->privacy))
        s = yaml_error(r->f, privacy, r->err, "privacy is '%.40s'; there are: public, internal, private, secret", word);
    t->description = "";
    if (!s && about)
        s = task_read_text(r, about, &t->description);
    return s;
}

static bool any_variable(void *at, const char *name, size_t n)
{
    (void)name;
    (void)n;
    *(bool *)at = true;
    return false;
}

/* Evidence for `prompt: caller` binds to the system text, so that must be fixed. */
static status check_caller_system(task_reader *r, const yaml *root)
{
    for (size_t i = 0; i < r->t->prompt.n_messages; i++) {
        task_prompt one = { .n_messages = 1, .messages = &r->t->prompt.messages[i] };
        bool found = false;
        prompt_variables(&one, any_variable, &found);
        if (found && !strcmp(one.messages[0].role, "system"))
            return yaml_error(r->f, root, r->err, "with 'prompt: caller' the system message must hold no variables");
    }
    return OK;
}

/* A variant is a text, a list of messages, or a map: one of them (else the task's own) with its own few_shot. */
static status read_variant(task_reader *r, const yaml *node, task_prompt *out)
{
    static const char *const keys[] = { "prompt", "messages", "few_shot" };
    const yaml *prompt = yaml_get(node, "prompt"), *messages = yaml_get(node, "messages");
    if (node->kind != YAML_MAP)
        return prompt_read(r, node, out);
    status s = yaml_known_keys(r->f, node, keys, ARRAY_LEN(keys), r->err);
    if (!s && prompt && messages)
        s = yaml_error(r->f, node, r->err, "a variant has 'prompt' or 'messages', not both");
    *out = r->t->prompt;
    out->shots = (task_shots){ 0 };
    if (!s && (prompt || messages))
        s = prompt_read(r, prompt ? prompt : messages, out);
    return s ? s : shots_read(r, yaml_get(node, "few_shot"), out);
}

static status read_prompts(task_reader *r, const yaml *root)
{
    task *t = r->t;
    const yaml *prompt = yaml_get(root, "prompt"), *messages = yaml_get(root, "messages");
    const yaml *variants = yaml_get(root, "variants");
    t->caller_prompt = prompt && prompt->kind == YAML_SCALAR && prompt->plain && !strcmp(prompt->text, "caller");
    if (t->caller_prompt && !messages)
        return yaml_error(r->f, prompt, r->err, "with 'prompt: caller', 'messages' (what is measured) is needed too");
    if (!t->caller_prompt && !prompt == !messages)
        return yaml_error(r->f, prompt ? prompt : root, r->err, "one of 'prompt' and 'messages' is needed%s",
                          prompt ? ", not both" : "");
    status s = prompt_read(r, messages ? messages : prompt, &t->prompt);
    if (!s && t->caller_prompt)
        s = check_caller_system(r, root);
    if (!s)
        s = shots_read(r, yaml_get(root, "few_shot"), &t->prompt);
    if (s || !variants)
        return s;
    if (variants->kind != YAML_MAP || yaml_count(variants) > TASK_VARIANTS_MAX)
        return yaml_error(r->f, variants, r->err, "'variants' is a map of at most %d providers", TASK_VARIANTS_MAX);
    task_prompt *list = arena_alloc(r->a, (yaml_count(variants) + 1) * sizeof *list);
    if (!list)
        return task_no_memory(r->err);
    for (const yaml *v = variants->child; v && !s; v = v->next) {
        s = read_variant(r, v, &list[t->n_variants]);
        list[t->n_variants++].provider = v->key;
    }
    t->variants = t->memory->variants = list;
    return s;
}

static status read_labels(task_reader *r, const yaml *node)
{
    task *t = r->t;
    status s = task_read_texts(r, node, TASK_LABELS_MAX, &t->labels, &t->n_labels);
    for (size_t i = 0; i < t->n_labels && !s; i++)
        for (size_t j = 0; j <= i && !s; j++)
            if (!*t->labels[i] || (j < i && !strcmp(t->labels[i], t->labels[j])))
                s = yaml_error(r->f, node, r->err, "label %zu '%.60s' is %s", i + 1, t->labels[i],
                               *t->labels[i] ? "there twice" : "empty");
    if (!s && t->n_labels < 2)
        s = yaml_error(r->f, node, r->err, "at least two labels are needed");
    return s;
}

static const char *const outputs[] = { "text", "label", "json", "number" };

static status read_output(task_reader *r, const yaml *root)
{
    static const char *const keys[] = { "kind", "schema", "labels" };
    task *t = r->t;
    const yaml *output = yaml_get(root, "output");
    if (!output)
        return OK;
    const yaml *kind = yaml_get(output, "kind"), *labels = yaml_get(output, "labels");
    const yaml *demanded = yaml_get(output, "schema");
    size_t i = 0;
    if (output->kind != YAML_MAP)
        return yaml_error(r->f, output, r->err, "'output' is a map with 'kind'");
    status s = yaml_known_keys(r->f, output, keys, ARRAY_LEN(keys), r->err);
    if (!s && kind)
        s = task_read_word(r, kind, outputs, ARRAY_LEN(outputs), &i);
    t->output = (task_output)i;
    if (!s && (t->output == TASK_LABEL) != (labels != NULL))
        s = yaml_error(r->f, output, r->err, labels ? "'labels' belong to 'kind: label'" : "'labels' are missing");
    if (!s && labels)
        s = read_labels(r, labels);
    if (!s && demanded && (t->output != TASK_JSON || demanded->kind != YAML_MAP))
        s = yaml_error(r->f, demanded, r->err, "'schema' is a map and belongs to 'kind: json'");
    if (s)
        return s;
    t->memory->schema = demanded ? yaml_to_js(demanded) : NULL;
    t->memory->output = yaml_to_js(output);
    t->schema = t->memory->schema;
    if ((demanded && !t->schema) || !t->memory->output)
        return task_no_memory(r->err);
    error why = { 0 };
    s = demanded ? schema_open(&t->memory->checked, t->schema, NULL, NULL, &why) : OK;
    return s ? fail(r->err, s, "%s:%d: %s", t->path, demanded->line, why.text) : OK;
}

static status read_sampling(task_reader *r, const yaml *root)
{
    static const char *const keys[] = { "temperature", "max_tokens", "seed", "repeats", "stop" };
    task_sampling *p = &r->t->sampling;
    const yaml *map = yaml_get(root, "sampling");
    *p = (task_sampling){ 0, 256, 1, 1, 0, NULL };
    if (!map)
        return OK;
    if (map->kind != YAML_MAP)
        return yaml_error(r->f, map, r->err, "'sampling' is a map");
    status s = yaml_known_keys(r->f, map, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = task_read_number(r, map, "temperature", 0, 10, &p->temperature);
    if (!s)
        s = task_read_int(r, map, "max_tokens", 1, 1 << 20, &p->max_tokens);
    if (!s)
        s = task_read_int(r, map, "seed", 0, INT64_MAX, &p->seed);
    if (!s)
        s = task_read_int(r, map, "repeats", 1, 1000, &p->repeats);
    const yaml *stop = yaml_get(map, "stop");
    if (!s && stop)
        s = task_read_texts(r, stop, TASK_STOPS_MAX, &p->stop, &p->n_stop);
    for (size_t i = 0; i < p->n_stop && !s; i++)
        if (!*p->stop[i])
            s = yaml_error(r->f, stop, r->err, "an empty text cannot end an answer");
    return s;
}

static status read_demands(task_reader *r, const yaml *root)
{
    static const char *const keys[] = { "latency_p95_ms", "cost_usd", "malformed" };
    static const char *const synthetic[] = { "synthetic" };
    task *t = r->t;
    const yaml *limits = yaml_get(root, "limits"), *cases = yaml_get(root, "cases");
    t->bar = t->margin = -1;
    t->limits = (task_limits){ -1, -1, -1 };
    status s = task_read_number(r, root, "bar", 0, 1, &t->bar);
    if (!s)
        s = task_read_number(r, root, "margin", 0, 1, &t->margin);
    if (!s && (t->margin == 0 || t->margin >= 1))
        s = yaml_error(r->f, yaml_get(root, "margin"), r->err, "'margin' must be above 0 and below 1");
    if (!s && limits)
        s = limits->kind == YAML_MAP ? yaml_known_keys(r->f, limits, keys, ARRAY_LEN(keys), r->err)
                                     : yaml_error(r->f, limits, r->err, "'limits' is a map");
    if (!s)
        s = task_read_number(r, limits, "latency_p95_ms", 0, 1e9, &t->limits.latency_p95_ms);
    if (!s)
        s = task_read_number(r, limits, "cost_usd", 0, 1e9, &t->limits.cost_usd);
    if (!s)
        s = task_read_number(r, limits, "malformed", 0, 1, &t->limits.malformed);
    size_t word = 0;
    if (!s && cases)
        s = task_read_word(r, cases, synthetic, 1, &word);
    t->synthetic = cases != NULL;
    return s;
}

static status read_root(task_reader *r)
{
    static const char *const keys[] = { "hearth", "id", "description", "privacy", "messages", "prompt", "variants",
                                        "output", "graders", "bar", "margin", "limits", "sampling", "cases",
                                        "baseline", "split", "few_shot", "tools", "tool_choice",
                                        "parallel_tool_calls" };
    const yaml *root = r->f->root;
    if (!root || root->kind != YAML_MAP)
        return fail(r->err, E_FORMAT, "%s:1: a task is a map of keys; it begins with 'hearth: 1'", r->t->path);
    status s = yaml_known_keys(r->f, root, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = read_identity(r, root);
    if (!s)
        s = split_read(r, root); /* before prompts: few_shot needs it */
    if (!s)
        s = read_prompts(r, root);
    if (!s)
        s = read_output(r, root);
    if (!s)
        s = tools_read(r, root); /* before graders: tool-call looks for them */
    if (!s && !yaml_get(root, "graders"))
        s = yaml_error(r->f, root, r->err, "'graders' is missing");
    if (!s)
        s = grade_read(r, yaml_get(root, "graders"));
    if (!s)
        s = read_demands(r, root);
    if (!s)
        s = read_sampling(r, root);
    if (!s && yaml_get(root, "baseline"))
        s = baseline_read(r, yaml_get(root, "baseline"));
    return s;
}

/* ---- opening ---- */

static status begin(task **out, const char *dir, error *err)
{
    task_memory *m = mem_zero(sizeof *m);
    if (!m)
        return task_no_memory(err);
    m->texts = (arena)ARENA_INIT(TASK_YAML_ARENA_MAX);
    m->case_memory = (arena)ARENA_INIT(TASK_CASES_ARENA_MAX);
    task *t = &m->whole;
    t->memory = m;
    size_t n = strlen(dir);
    t->dir = arena_strndup(&m->texts, dir, n);
    char *path = arena_alloc(&m->texts, n + sizeof "/task.yaml");
    if (!t->dir || !path) {
        task_close(&t);
        return task_no_memory(err);
    }
    memcpy(path, dir, n);
    memcpy(path + n, "/task.yaml", sizeof "/task.yaml");
    t->path = path;
    *out = t;
    return OK;
}

static status finish(task **out, task *t, status s, error *err)
{
    if (!s) {
        task_reader r = { t, &t->memory->texts, t->memory->file, err };
        s = read_root(&r);
    }
    if (s)
        task_close(&t);
    else
        *out = t;
    return s;
}

status task_open(task **out, const char *path_or_name, const char *bin_dir, error *err)
{
    char *dir = NULL;
    task *t = NULL;
    status s = task_find(&dir, path_or_name, bin_dir, err);
    if (!s)
        s = begin(&t, dir, err);
    mem_free(dir);
    if (s)
        return s;
    s = yaml_load(&t->memory->file, t->path, err);
    s = finish(&t, t, s, err);
    if (s)
        return s;
    t->privacy = privacy_class_join(t->privacy, folder_class(t->dir)); /* a label of its folder raises it */
    *out = t;
    return OK;
}

status task_parse(task **out, const char *yaml_text, size_t n, const char *dir, error *err)
{
    task *t = NULL;
    status s = begin(&t, dir, err);
    if (s)
        return s;
    s = yaml_parse(&t->memory->file, yaml_text, n, t->path, err);
    return finish(out, t, s, err);
}

void task_close(task **t)
{
    if (!*t)
        return;
    task_memory *m = (*t)->memory;
    shots_clear(*t);
    grade_clear(*t);
    baseline_clear(*t);
    for (size_t i = 0; i < m->n_roots; i++)
        js_free(m->roots[i]);
    mem_free(m->roots);
    schema_close(&m->checked);
    js_free(m->schema);
    js_free(m->graders);
    js_free(m->output);
    js_free(m->tools);
    yaml_close(&m->file);
    arena_clear(&m->case_memory);
    arena_clear(&m->texts);
    mem_free(m);
    *t = NULL;
}

const char *task_output_name(task_output kind)
{
    return outputs[(unsigned)kind < ARRAY_LEN(outputs) ? kind : 0];
}

double task_margin(const task *t)
{
    return t->margin > 0 ? t->margin : t->n_cases >= 200 ? .05 : .10;
}
