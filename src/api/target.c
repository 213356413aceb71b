/* target.c: who asks and where it may go. The class is known before anything else is looked at, and it only rises:
 * the task's, the key's, the header's label, joined by max. What is not understood is private. */
#include <stdio.h>
#include <string.h>

#include "api/candidates.h"
#include "api/visit.h"
#include "base/mem.h"
#include "base/str.h"
#include "ledger/ledger.h"

/* ---- class ---- */

/* All labels joined: what stands before a proxy may add one of its own. A header that only begins like one (a folded
 * line ends up so) is a label that cannot be read. */
static bool label_of(const http_request *r, privacy_class *out, declared *d, api_fault *f)
{
    static const char header[] = "x-hearth-class";
    const char *name, *label;
    for (size_t i = 0; (label = http_header_like(r, header, i, &name)) != NULL; i++) {
        privacy_class c;
        if (strlen(name) != strlen(header))
            return api_refuse(f, FAULT_INVALID, header, "'%.60s' is not the header x-hearth-class", name);
        if (!privacy_class_parse(label, &c))
            return api_refuse(f, FAULT_INVALID, header, "the class '%s' is not one of public, internal, private, "
                              "secret", label);
        *out = privacy_class_join(*out, c);
        d->header = out;
    }
    return true;
}

/* ---- tasks ---- */

/* What the caller said, as the task's variables. *own: an object that the caller of this must free. */
static bool task_input(const task *t, const js *input, const request_message *messages, size_t n, js **own,
                       api_fault *f)
{
    if (input && n)
        return api_refuse(f, FAULT_INVALID, "input", "give either 'input' or one user message, not both");
    if (input) {
        *own = js_copy(input);
        return *own ? true : api_no_memory(f);
    }
    if (n != 1 || strcmp(messages[0].role, "user") != 0)
        return api_refuse(f, FAULT_INVALID, "messages", "task '%s' is asked with exactly one user message (it becomes "
                          "the variable 'input') or with the field 'input'; %zu messages were given: the measured "
                          "prompt is the task's own", t->id, n);
    *own = js_object();
    if (!js_set(*own, "input", js_new_string(messages[0].content)))
        return api_no_memory(f);
    return true;
}

static bool render_task(target *out, const js *input, const request_message *messages, size_t n, api_fault *f)
{
    const task *t = out->t;
    if (t->caller_prompt)
        return true; /* the caller's own messages are what is asked */
    js *variables = NULL;
    error e = { 0 };
    bool ok = task_input(t, input, messages, n, &variables, f);
    if (ok && task_render(t, task_prompt_for(t, out->spec), variables, NULL, &out->messages, &e))
        ok = api_refuse(f, FAULT_INVALID, "input", "%s", e.text);
    js_free(variables);
    return ok;
}

static status decide(api *a, const task *t, privacy_class privacy, route_decision *out, error *err)
{
    route_candidate candidates[CANDIDATES_MAX];
    route_settings settings = { .candidates = candidates,
                                .n_candidates = candidates_list(a->options.config, candidates),
                                .memory_limit_bytes = a->options.memory_bytes };
    ledger *l = NULL;
    status s = ledger_open(&l, NULL, LEDGER_READ, err);
    if (s == E_NOTFOUND)
        s = OK; /* nothing was measured yet: the router says so */
    route_input *facts = mem_zero(sizeof *facts);
    if (!s && !facts)
        s = fail(err, E_NOMEM, "no memory to route");
    if (!s)
        s = route_gather(l, t, &settings, facts, err);
    if (!s) {
        facts->privacy = privacy;
        facts->class_known = true;
        route_decide(facts, out);
    }
    mem_free(facts);
    ledger_close(&l);
    return s;
}

static bool target_task(api *a, const http_request *r, const char *name, const js *input,
                        const request_message *messages, size_t n, declared *d, target *out, api_fault *f)
{
    error e = { 0 };
    snprintf(out->task, sizeof out->task, "%s", name);
    if (strchr(name, '/') || strchr(name, '.'))
        return api_refuse(f, FAULT_INVALID, "model", "'%s' is not the name of a task", name);
    if (task_open(&out->t, name, a->options.bin_dir, &e) || task_load_cases(out->t, &e) ||
        (a->options.bind_task && a->options.bind_task(out->t, a->options.config, &e)))
        return api_refuse_status(f, "model", &e);
    d->task = &out->t->privacy;
    api_classify(a, r, d, out);
    if (decide(a, out->t, out->privacy, &out->decision, &e))
        return api_refuse_status(f, "", &e);
    out->routed = true;
    if (out->decision.choice == ROUTE_REFUSE)
        return api_refuse(f, FAULT_DENIED, "model", "task '%s' is refused: %s", name, out->decision.reason);
    snprintf(out->spec, sizeof out->spec, "%s", out->decision.provider);
    return render_task(out, input, messages, n, f);
}

static bool find_target(api *a, const http_request *r, const char *model, const js *input,
                        const request_message *messages, size_t n_messages, target *out, api_fault *f)
{
    privacy_class label = PRIVACY_PUBLIC, by_key;
    declared d = { 0 };
    const key *who = api_visit_of(r)->who;
    if (!label_of(r, &label, &d, f))
        return false;
    out->scope = key_name(who);
    by_key = key_class(who);
    d.key = &by_key; /* also of a task: it does not lower the class of who asks for it */
    if (str_starts(model, "task:"))
        return target_task(a, r, model + 5, input, messages, n_messages, &d, out, f);
    if (input)
        return api_refuse(f, FAULT_INVALID, "input", "'input' goes with a task (model: \"task:NAME\")");
    api_classify(a, r, &d, out);
    const char *spec = *model || !a->options.model ? model : a->options.model;
    if (!*spec)
        return api_refuse(f, FAULT_INVALID, "model", "'model' is missing: a model's name, or task:NAME");
    snprintf(out->spec, sizeof out->spec, "%s", spec);
    return true;
}

bool api_target(api *a, http_request *r, const char *model, const js *input, const request_message *messages,
                size_t n_messages, target *out, api_fault *f)
{
    bool ok = find_target(a, r, model, input, messages, n_messages, out, f);
    if (ok || out->routed)
        api_visit_target(r, model, out);
    return ok;
}

void api_target_clear(target *t)
{
    task_messages_clear(&t->messages);
    task_close(&t->t);
    buf_clear(&t->said);
}

void api_set_headers(http_request *r, const target *t)
{
    http_set(r, "x-hearth-class", privacy_class_name(t->privacy));
    http_set(r, "x-hearth-class-reason", t->why);
    http_set(r, "x-hearth-provider", t->spec);
    if (!t->routed) {
        http_set(r, "x-hearth-reason", "the request names the model");
        return;
    }
    http_set(r, "x-hearth-task", t->task);
    http_set(r, "x-hearth-route", route_choice_name(t->decision.choice));
    http_set(r, "x-hearth-state", route_state_name(t->decision.state));
    http_set(r, "x-hearth-reason", t->decision.reason);
    if (t->decision.evidence[0])
        http_set(r, "x-hearth-evidence", t->decision.evidence);
}
