#include "api/recognise.h"

#include <stdio.h>
#include <string.h>

#include "api/recognise_int.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "provider/models.h"

#define AUTO "auto"

struct recogniser {
    known_tasks *tasks;
    near_index *near;
};

const char *recognised_name(recognised r)
{
    static const char *const names[] = { "nothing", "model", "path", "key", "system-prompt", "nearest" };
    return (unsigned)r < ARRAY_LEN(names) ? names[r] : names[0];
}

status recogniser_open(recogniser **out, api *a, error *err)
{
    recogniser *r = mem_zero(sizeof *r);
    if (!r)
        return fail(err, E_NOMEM, "no memory to recognise tasks");
    status s = known_tasks_open(&r->tasks, a->options.bin_dir, err);
    if (!s)
        s = near_index_open(&r->near, err);
    if (s)
        recogniser_close(&r);
    *out = r;
    return s;
}

void recogniser_close(recogniser **at)
{
    if (!*at)
        return;
    near_index_close(&(*at)->near);
    known_tasks_close(&(*at)->tasks);
    mem_free(*at);
    *at = NULL;
}

/* ---- whether it is asked ---- */

static bool exists(const api *a, const char *model)
{
    char *found_key = NULL;
    bool yes = *model ? provider_key(model, a->options.config, &found_key, NULL) == OK : a->options.model != NULL;
    mem_free(found_key);
    return yes;
}

bool api_recognition_wanted(api *a, const http_request *r, const key *who, const char *model, const target *t)
{
    const config *c = a->options.config;
    if (!t->asked || (t->asked->kind != REQUEST_CHAT && !api_visit_of(r)->task[0]))
        return false;
    if (api_visit_of(r)->task[0] || (strcmp(model, AUTO) == 0 && !config_find(c, AUTO)))
        return true;
    return (key_task(who)[0] || c->recognise.other_names) && !exists(a, model);
}

/* ---- by path, by key ---- */

/* What a task fixes and this request wants otherwise; NULL: nothing. Sampling gives way to the task's. */
static const char *fixed_field(const request *q)
{
    return q->kind != REQUEST_CHAT     ? "prompt"
           : q->tools                  ? "tools"
           : q->shape != SHAPE_FREE    ? "response_format"
           : q->sampling.bias          ? "logit_bias"
           : q->template_kwargs        ? "chat_template_kwargs"
                                       : NULL;
}

static bool found(target *t, recognised by, const char *name, const char *why)
{
    t->recognised = by;
    snprintf(t->task, sizeof t->task, "%s", name);
    snprintf(t->recognised_why, sizeof t->recognised_why, "%s", why);
    return true;
}

/* It was said, only not in the request's body: what does not fit the task is a mistake. */
static bool outside_body(target *t, recognised by, const char *name, const char *why, api_fault *f)
{
    const char *fixed = fixed_field(t->asked);
    if (fixed)
        return api_refuse(f, FAULT_INVALID, fixed, "'%s' is fixed by the task '%s': it was measured so", fixed, name);
    return found(t, by, name, why);
}

/* ---- by system prompt ---- */

static size_t count(const request *q, const char *role)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_messages; i++)
        n += strcmp(q->messages[i].role, role) == 0;
    return n;
}

/* A request whose messages are roles and texts, with one word of the user's: what a task with a prompt of its own can
 * be asked. */
static const char *only_word(const request *q, size_t n_system)
{
    if (q->conversation || q->n_messages != n_system + 1 || count(q, "user") != 1)
        return NULL;
    const request_message *last = &q->messages[q->n_messages - 1];
    return strcmp(last->role, "user") == 0 ? last->content : NULL;
}

/* False: nobody knows. */
static bool by_system(recogniser *rec, target *t, api_fault *f)
{
    const request *q = t->asked;
    size_t n_system = count(q, "system"), n = 0;
    char system[DIGEST_HEX], name[72];
    bool caller = false;
    error e = { 0 };
    if (!n_system || q->conversation || fixed_field(q) || q->n_messages > TASK_MESSAGES_MAX)
        return true;
    task_message messages[TASK_MESSAGES_MAX];
    for (size_t i = 0; i < q->n_messages; i++)
        messages[i] = (task_message){ q->messages[i].role, q->messages[i].content };
    if (task_system_digest(messages, q->n_messages, system, &e) ||
        known_tasks_find_system(rec->tasks, system, &n, name, &caller, &e))
        return api_refuse_status(f, "", &e);
    if (n != 1) { /* of several tasks with one prompt the right one is anybody's guess */
        if (n)
            snprintf(t->recognised_why, sizeof t->recognised_why, "its system prompt is that of %zu tasks", n);
        return true;
    }
    if (!caller && !only_word(q, n_system))
        return true;
    return found(t, RECOGNISED_SYSTEM, name, "its system prompt is the one that this task was measured with");
}

/* ---- by what it asks ---- */

static bool by_words(recogniser *rec, api *a, const http_request *r, target *t, api_fault *f)
{
    char name[72], why[256], text[KNOWN_TEXT_MAX + 1];
    const char *word = only_word(t->asked, 0);
    bool any = false;
    if (!word || !*word || fixed_field(t->asked) || !a->options.config->recognise.embedding[0])
        return true;
    snprintf(text, sizeof text, "%s", word);
    text[utf8_complete(text, strlen(text))] = 0;
    if (!near_index_find(rec->near, a, r, rec->tasks, text, &any, name, why, &t->calibration, f))
        return false;
    if (any)
        return found(t, RECOGNISED_NEAREST, name, why);
    snprintf(t->recognised_why, sizeof t->recognised_why, "what it asks is not near enough to any task's examples");
    return true;
}

bool api_recognise(api *a, http_request *r, const key *who, target *t, api_fault *f)
{
    const char *path = api_visit_of(r)->task;
    if (path[0])
        return outside_body(t, RECOGNISED_PATH, path, "the path names it", f);
    if (key_task(who)[0])
        return outside_body(t, RECOGNISED_KEY, key_task(who), "its key belongs to this task", f);
    if (!by_system(a->recogniser, t, f))
        return false;
    return t->recognised || by_words(a->recogniser, a, r, t, f);
}

/* ---- of no task ---- */

static bool is_local(const api *a, const char *spec)
{
    provider_place place;
    return provider_place_of(spec, a->options.config, &place, NULL) == OK && place == PLACE_LOCAL;
}

static bool take(target *t, const char *spec)
{
    return (size_t)snprintf(t->spec, sizeof t->spec, "%s", spec) < sizeof t->spec;
}

/* The default model, the first local one of the config, the first file that fits. */
static bool take_local(const api *a, target *t)
{
    const config *c = a->options.config;
    model_file *files = NULL;
    size_t n = 0;
    bool ok = a->options.model && is_local(a, a->options.model) && take(t, a->options.model);
    for (size_t i = 0; !ok && i < c->n_providers; i++)
        ok = strcmp(c->providers[i].kind, "local") == 0 && strcmp(c->providers[i].name, c->recognise.embedding) != 0 &&
             take(t, c->providers[i].name);
    if (!ok && models_list(&files, &n, NULL) != OK)
        n = 0;
    for (size_t i = 0; !ok && i < n; i++)
        ok = strcmp(files[i].name, c->recognise.embedding) != 0 &&
             (!a->options.memory_bytes || files[i].bytes < a->options.memory_bytes) && take(t, files[i].name);
    models_free(files, n);
    if (ok)
        t->policy = "no task was recognised: a model on this machine answers";
    return ok;
}

/* Private and secret requests go nowhere, whatever the config says. */
static bool take_configured(const api *a, const char *name, target *t)
{
    const config_provider *p = config_find(a->options.config, name);
    privacy_place place = p ? privacy_place_of(provider_place_name(p->place)) : PRIVACY_REMOTE;
    if (!p || !privacy_allows(t->privacy, place) || t->privacy > p->class_max)
        return false;
    t->policy = "no task was recognised: the config sends such requests there";
    return take(t, name);
}

bool api_unknown(api *a, target *t, api_fault *f)
{
    const char *rule = a->options.config->unknown;
    t->policy = "no task was recognised";
    bool elsewhere = rule[0] && strcmp(rule, "local") != 0 && strcmp(rule, "refuse") != 0;
    if (strcmp(rule, "refuse") == 0)
        return api_refuse(f, FAULT_DENIED, "model", "no task was recognised, and such requests are refused (unknown: "
                          "refuse): name a task (task:NAME) or a model");
    if ((elsewhere && take_configured(a, rule, t)) || take_local(a, t))
        return true;
    return api_refuse(f, FAULT_DENIED, "model", "no task was recognised, and %s%s%s: name a task (task:NAME) or a "
                      "model", elsewhere ? "it may not go to '" : "there is no model on this machine that fits",
                      elsewhere ? rule : "", elsewhere ? "', nor is there a model on this machine that fits" : "");
}
