/* target.c: who asks and where it may go. The class is known before anything else is looked at, and it only rises:
 * the task's, the key's, the header's label, joined by max. What is not understood is private. */
#include <stdio.h>
#include <string.h>

#include "api/visit.h"
#include "base/mem.h"
#include "base/str.h"

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

/* Whoever writes the task's whole prompt by hand writes what stands around its variable `input` too: that is taken off,
 * or it would be asked twice. Length and beginning of what is left; all of it where the prompt is another one. */
static span unwrap(const task *t, const char *said)
{
    static const char variable[] = "{{input}}";
    span all = span_of(said);
    const char *last = t->prompt.n_messages ? t->prompt.messages[t->prompt.n_messages - 1].content : "";
    const char *at = strstr(last, variable), *after = at ? at + strlen(variable) : NULL;
    size_t before = at ? (size_t)(at - last) : 0, behind = after ? strlen(after) : 0;
    if (!at || strstr(last, "{{") != at || strstr(after, "{{") || all.n < before + behind ||
        memcmp(said, last, before) != 0 || memcmp(said + all.n - behind, after, behind) != 0)
        return all;
    return (span){ said + before, all.n - before - behind };
}

bool api_target_render(target *out, const js *input, const request_message *messages, size_t n, api_fault *f)
{
    const task *t = out->t;
    if (t->caller_prompt || out->unasked)
        return true; /* the caller's own messages are what is asked; or nothing is */
    error e = { 0 };
    const request_message *said = messages ? messages + out->skip : NULL;
    size_t n_said = n - out->skip;
    request_message own;
    buf text = BUF_INIT(TASK_PROMPT_BYTES_MAX);
    if (out->recognised == RECOGNISED_SYSTEM && n_said == 1) {
        span word = unwrap(t, said->content);
        buf_add(&text, word.p, word.n);
        own = (request_message){ said->role, buf_text(&text) };
        said = &own;
    }
    bool ok = !text.failed || api_no_memory(f);
    ok = ok && task_input(t, input, said, n_said, &out->variables, f);
    if (ok && task_render(t, task_prompt_for(t, out->spec), out->variables, NULL, &out->messages, &e))
        ok = api_refuse(f, FAULT_INVALID, "input", "%s", e.text);
    buf_clear(&text);
    return ok;
}

/* Whether a request has the system prompt that a task was measured with. What is no plain text is another one. */
static bool caller_system_is(const task *t, const request *q)
{
    task_message list[TASK_MESSAGES_MAX];
    char asked[DIGEST_HEX], measured[DIGEST_HEX];
    size_t n = 0, all = !q ? 0 : q->conversation ? js_len(q->conversation) : q->n_messages;
    for (size_t i = 0; i < all; i++) {
        const js *m = q->conversation ? js_at(q->conversation, i) : NULL;
        const char *role = m ? js_text(js_get(m, "role")) : q->messages[i].role;
        const char *text = m ? js_text(js_get(m, "content")) : q->messages[i].content;
        if (!role || (strcmp(role, "system") != 0 && strcmp(role, "developer") != 0))
            continue;
        if (n == ARRAY_LEN(list) || !text)
            return false;
        list[n++] = (task_message){ "system", text };
    }
    return !task_system_digest(list, n, asked, NULL) &&
           !task_system_digest(t->prompt.messages, t->prompt.n_messages, measured, NULL) &&
           strcmp(asked, measured) == 0;
}

/* With `prompt: caller` the evidence is of one system prompt: of another nothing was measured. */
static void unbind(const target *t, route_input *in)
{
    static const char why[] = "the caller's system prompt is not the one that was measured";
    route_side *const sides[] = { &in->local, &in->cloud };
    if (!t->t->caller_prompt || t->unasked || caller_system_is(t->t, t->asked))
        return;
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (!sides[i]->n)
            continue;
        sides[i]->n_stale += sides[i]->n;
        sides[i]->n = sides[i]->n_pass = sides[i]->n_wrong = sides[i]->n_malformed = 0;
        sides[i]->evidence[0] = sides[i]->run[0] = 0;
        snprintf(sides[i]->stale, sizeof sides[i]->stale, "%s", why);
    }
    in->paired_w = in->paired_t = in->paired_l = 0;
    in->previous = ROUTE_UNPROVEN;
    if (in->cascade.asked)
        route_calibrate_not(&in->cascade, "%s", why);
}

void api_forget(api *a)
{
    facts_forget(a->facts);
}

void api_target_facts(const target *t, route_input *out)
{
    *out = t->sheet->in;
    out->privacy = t->privacy;
    out->class_known = true;
    unbind(t, out);
}

/* Facts for the class in out->privacy: those at hand, or, where it may go less far than they are for, others. */
static status hold_facts(api *a, const char *name, target *out, error *err)
{
    const facts_sheet *s = NULL;
    if (out->sheet && privacy_ceiling(out->sheet->in.privacy) == privacy_ceiling(out->privacy))
        return OK;
    status st = facts_hold(a->facts, name, out->privacy, &s, err);
    if (st)
        return st;
    facts_release(a->facts, out->sheet);
    out->facts = a->facts;
    out->sheet = s;
    out->t = s->t;
    return OK;
}

/* The facts are kept between requests, the decision is each request's own. Its class besides the task's is known. */
static bool target_task(api *a, const http_request *r, const char *name, const js *input,
                        const request_message *messages, size_t n, target *out, api_fault *f)
{
    route_input in;
    error e = { 0 };
    snprintf(out->task, sizeof out->task, "%s", name);
    if (strchr(name, '/') || strchr(name, '.'))
        return api_refuse(f, FAULT_INVALID, "model", "'%s' is not the name of a task", name);
    if (hold_facts(a, name, out, &e))
        return api_refuse_status(f, "model", &e);
    api_class_raise(out, out->t->privacy, "task");
    if (!api_stick(a, r, out, f))
        return false;
    if (hold_facts(a, name, out, &e))
        return api_refuse_status(f, "model", &e);
    if (out->t->privacy > out->privacy) { /* it was read anew just now */
        api_class_raise(out, out->t->privacy, "task");
        if (!api_stick(a, r, out, f))
            return false;
    }
    api_target_facts(out, &in);
    route_decide(&in, &out->decision);
    out->routed = true;
    if (out->decision.choice == ROUTE_REFUSE)
        return api_refuse(f, FAULT_DENIED, "model", "task '%s' is refused: %s", name, out->decision.reason);
    snprintf(out->spec, sizeof out->spec, "%s", out->decision.provider);
    return api_target_render(out, input, messages, n, f);
}

/* A task that was found by its system prompt is asked with the user's word alone. */
static bool target_recognised(api *a, const http_request *r, const js *input, const request_message *messages,
                              size_t n, target *out, api_fault *f)
{
    char name[sizeof out->task];
    memcpy(name, out->task, sizeof name);
    while (out->recognised == RECOGNISED_SYSTEM && out->skip < n && strcmp(messages[out->skip].role, "system") == 0)
        out->skip++;
    return target_task(a, r, name, input, messages, n, out, f);
}

static bool target_model(const api *a, const char *model, target *out, api_fault *f)
{
    const char *spec = *model || !a->options.model ? model : a->options.model;
    if (!*spec)
        return api_refuse(f, FAULT_INVALID, "model", "'model' is missing: a model's name, or task:NAME");
    snprintf(out->spec, sizeof out->spec, "%s", spec);
    return true;
}

/* A task is what its author says it is, unless whoever runs this server gave the key a class: of two that are stated
 * the higher one holds. The class that nobody stated (private) is for what nothing is known of. */
static void classify(api *a, const http_request *r, const key *who, bool names_task, const declared *labels,
                     target *out)
{
    privacy_class by_key = key_class(who);
    declared d = *labels;
    d.key = names_task && !key_states_class(who) ? NULL : &by_key;
    api_classify(a, r, &d, out);
}

static bool find_target(api *a, http_request *r, const char *model, const js *input, const request_message *messages,
                        size_t n_messages, target *out, api_fault *f)
{
    privacy_class label = PRIVACY_PUBLIC;
    declared d = { 0 };
    const api_visit *v = api_visit_of(r);
    const key *who = v->who;
    bool names_task = str_starts(model, "task:");
    if (!label_of(r, &label, &d, f))
        return false;
    out->scope = key_name(who);
    classify(a, r, who, names_task, &d, out);
    if (names_task) {
        if (v->task[0] && strcmp(v->task, model + 5) != 0)
            return api_refuse(f, FAULT_INVALID, "model", "the path names the task '%s', the model '%.80s'", v->task,
                              model);
        out->recognised = RECOGNISED_MODEL;
        return target_task(a, r, model + 5, input, messages, n_messages, out, f);
    }
    bool open = api_recognition_wanted(a, r, who, model, out);
    if (open && !api_recognise(a, r, who, out, f))
        return false;
    if (out->recognised) /* its class is joined: it lowers nothing */
        return target_recognised(a, r, input, messages, n_messages, out, f);
    if (input)
        return api_refuse(f, FAULT_INVALID, "input", "'input' goes with a task (model: \"task:NAME\")");
    if (!api_stick(a, r, out, f))
        return false;
    return open ? api_unknown(a, out, f) : target_model(a, model, out, f);
}

bool api_may_have(const target *t, provider_kind kind, provider_place place, api_fault *f)
{
    return provider_allows(kind, place, t->privacy) ||
           api_refuse(f, FAULT_DENIED, "model", "this request is %s (%s) and may not go to '%s', which is %s",
                      privacy_class_name(t->privacy), t->why, t->spec, provider_place_name(place));
}

/* Whether what it names may have it: before anything is opened, and for a dry run too. ask.c asks again of what is
 * open. */
static bool may_go(const api *a, const target *t, api_fault *f)
{
    provider_kind kind;
    const config_provider *c = config_find(a->options.config, t->spec);
    if (!t->placed || provider_kind_of(t->spec, a->options.config, &kind, NULL))
        return true; /* opening it says what is wrong with the name */
    if (!api_may_have(t, kind, t->place, f))
        return false;
    return !c || !provider_is_server(kind) || t->privacy <= c->class_max ||
           api_refuse(f, FAULT_DENIED, "model", "this request is %s (%s), and '%s' takes what is %s at most",
                      privacy_class_name(t->privacy), t->why, t->spec, privacy_class_name(c->class_max));
}

bool api_target(api *a, http_request *r, const char *model, const js *input, const request_message *messages,
                size_t n_messages, target *out, api_fault *f)
{
    bool ok = find_target(a, r, model, input, messages, n_messages, out, f);
    if (!ok && !out->routed && !out->recognised && !out->policy)
        return false;
    out->placed = out->spec[0] && provider_place_of(out->spec, a->options.config, &out->place, NULL) == OK;
    api_visit_target(r, model, out);
    api_set_headers(r, out);
    return ok && may_go(a, out, f);
}

void api_target_clear(target *t)
{
    task_messages_clear(&t->messages);
    facts_release(t->facts, t->sheet);
    js_free(t->calibration);
    js_free(t->variables);
    conversation_clear(&t->talk);
    buf_clear(&t->said);
    t->variables = NULL;
    t->calibration = NULL;
    t->sheet = NULL;
    t->t = NULL;
}

/* local, cloud (whatever is not local), refuse; none: it is not known where it would go. */
const char *api_route_word(const target *t)
{
    if (t->routed)
        return route_choice_name(t->decision.choice);
    return !t->placed ? "none" : t->place == PLACE_LOCAL ? "local" : "cloud";
}

const char *api_reason(const target *t)
{
    return t->routed ? t->decision.reason : t->policy ? t->policy : "the request names the model";
}

void api_set_headers(http_request *r, const target *t)
{
    api_visit_of(r)->told = true;
    http_set(r, "x-hearth-class", privacy_class_name(t->privacy));
    http_set(r, "x-hearth-class-reason", t->why);
    http_set(r, "x-hearth-provider", t->spec);
    http_set(r, "x-hearth-route", api_route_word(t));
    http_set(r, "x-hearth-reason", api_reason(t));
    http_set(r, "x-hearth-evidence", t->routed && t->decision.evidence[0] ? t->decision.evidence : "none");
    if (t->recognised > RECOGNISED_MODEL)
        http_set(r, "x-hearth-recognised", recognised_name(t->recognised));
    if (!t->routed)
        return;
    http_set(r, "x-hearth-task", t->task);
    http_set(r, "x-hearth-state", route_state_name(t->decision.state));
    if (t->decision.policy) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)t->decision.policy);
        http_set(r, "x-hearth-policy", number);
    }
    if (t->decision.below_bar)
        http_set(r, "x-hearth-below-bar", t->decision.below);
}
