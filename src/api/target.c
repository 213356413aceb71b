/* target.c: who asks and where it may go. The class is known before anything else is looked at, and it only rises:
 * the task's, the key's, the header's label, joined by max. What is not understood is private. */
#include <stdio.h>
#include <string.h>

#include "api/visit.h"
#include "base/mem.h"
#include "base/str.h"

/* ---- class ---- */

static bool label_of(const http_request *r, privacy_class *out, api_fault *f)
{
    const char *label = http_header(r, "x-hearth-class");
    if (label && !privacy_class_parse(label, out))
        return api_refuse(f, FAULT_INVALID, "x-hearth-class", "the class '%s' is not one of public, internal, private, "
                          "secret", label);
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

/* The facts are kept between requests, the decision is each request's own: its class counts. */
static void decide(const facts_sheet *sheet, privacy_class privacy, route_decision *out)
{
    route_input in = sheet->in;
    in.privacy = privacy;
    in.class_known = true;
    route_decide(&in, out);
}

static bool target_task(api *a, const char *name, const js *input, const request_message *messages, size_t n,
                        privacy_class label, target *out, api_fault *f)
{
    error e = { 0 };
    snprintf(out->task, sizeof out->task, "%s", name);
    if (strchr(name, '/') || strchr(name, '.'))
        return api_refuse(f, FAULT_INVALID, "model", "'%s' is not the name of a task", name);
    out->facts = a->facts;
    if (facts_hold(a->facts, name, label, &out->sheet, &e))
        return api_refuse_status(f, "model", &e);
    out->t = out->sheet->t;
    out->privacy = privacy_class_join(out->t->privacy, label);
    decide(out->sheet, out->privacy, &out->decision);
    out->routed = true;
    if (out->decision.choice == ROUTE_REFUSE)
        return api_refuse(f, FAULT_DENIED, "model", "task '%s' is refused: %s", name, out->decision.reason);
    snprintf(out->spec, sizeof out->spec, "%s", out->decision.provider);
    return render_task(out, input, messages, n, f);
}

static bool find_target(api *a, const http_request *r, const char *model, const js *input,
                        const request_message *messages, size_t n_messages, target *out, api_fault *f)
{
    privacy_class label = PRIVACY_PUBLIC;
    const key *who = api_visit_of(r)->who;
    if (!label_of(r, &label, f))
        return false;
    out->scope = key_name(who);
    if (str_starts(model, "task:"))
        return target_task(a, model + 5, input, messages, n_messages, label, out, f);
    if (input)
        return api_refuse(f, FAULT_INVALID, "input", "'input' goes with a task (model: \"task:NAME\")");
    out->privacy = privacy_class_join(key_class(who), label);
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
    if (!ok && !out->routed)
        return false;
    out->placed = out->spec[0] && provider_place_of(out->spec, a->options.config, &out->place, NULL) == OK;
    api_visit_target(r, model, out);
    api_set_headers(r, out);
    return ok;
}

void api_target_clear(target *t)
{
    task_messages_clear(&t->messages);
    facts_release(t->facts, t->sheet);
    t->sheet = NULL;
    t->t = NULL;
}

/* local, cloud (whatever is not local), refuse; none: it is not known where it would go. */
static const char *route_word(const target *t)
{
    if (t->routed)
        return route_choice_name(t->decision.choice);
    return !t->placed ? "none" : t->place == PLACE_LOCAL ? "local" : "cloud";
}

void api_set_headers(http_request *r, const target *t)
{
    api_visit_of(r)->told = true;
    http_set(r, "x-hearth-class", privacy_class_name(t->privacy));
    http_set(r, "x-hearth-provider", t->spec);
    http_set(r, "x-hearth-route", route_word(t));
    http_set(r, "x-hearth-reason", t->routed ? t->decision.reason : "the request names the model");
    http_set(r, "x-hearth-evidence", t->routed && t->decision.evidence[0] ? t->decision.evidence : "none");
    if (!t->routed)
        return;
    http_set(r, "x-hearth-task", t->task);
    http_set(r, "x-hearth-state", route_state_name(t->decision.state));
}
