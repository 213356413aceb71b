/* judge.c: who may judge whom, how a judge is asked, and how far it agrees with people. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "measure/measure.h"
#include "measure/tools_int.h"
#include "task/task.h"

enum { JUDGE_TOKENS_MAX = 512 };

status judge_allowed(const task *t, const char *spec, provider_kind kind, provider_place place, error *err)
{
    status s = measure_allowed(t, spec, kind, place, err);
    return s ? fail_prefix(err, s, "as a grader: ") : OK;
}

static bool same(const char *a, const char *b)
{
    return a[0] && strcmp(a, b) == 0;
}

/* A renamed file is the same weights, a second name of a server the same server. */
status judge_is_another(const task *t, const provider_info *who, const provider_info *contestant, error *err)
{
    bool weights = same(who->model_digest, contestant->model_digest);
    bool server = provider_is_server(who->kind) && provider_is_server(contestant->kind) &&
                  same(who->url, contestant->url) && same(who->model, contestant->model);
    bool recording = who->kind == PROVIDER_REPLAY && contestant->kind == PROVIDER_REPLAY &&
                     same(who->name, contestant->name);
    if (!weights && !server && !recording)
        return OK;
    return fail(err, E_DENIED, "task %s: the judge %s is what is measured (%s has the same %s): nobody judges itself",
                t->id, who->name, contestant->name, weights ? "weights" : server ? "address and model" : "file");
}

status judge_ask(provider *at, const task *t, const grade_question *q, char **answer, error *err)
{
    const provider_info *who = provider_get_info(at);
    const request_message message = { "user", q->text };
    provider_limits limits = { .timeout_ms = TOOL_TIMEOUT_MS, .first_ms = TOOL_TIMEOUT_MS, .idle_ms = TOOL_TIMEOUT_MS };
    request r;
    request_init(&r);
    r.privacy = t->synthetic && who->place != PLACE_LOCAL ? PRIVACY_PUBLIC : t->privacy;
    r.synthetic = t->synthetic;
    r.task = t->id;
    r.scope = t->id;
    if (who->kind == PROVIDER_LOCAL && !who->has_template) {
        r.kind = REQUEST_TEXT;
        r.text = q->text;
    } else {
        r.kind = REQUEST_CHAT;
        r.messages = &message;
        r.n_messages = 1;
    }
    if (who->kind == PROVIDER_LOCAL) { /* the servers of others take schemas in dialects; their text is looked at */
        r.shape = SHAPE_SCHEMA;
        r.schema = q->schema;
        r.relaxed = true;
    }
    r.sampling.max_tokens = JUDGE_TOKENS_MAX;
    r.sampling.temperature = q->attempt ? 0.7 : 0;
    r.sampling.seed = 1 + q->attempt;
    r.sampling.seed_set = true;
    event_done end;
    status s = provider_answer(at, &r, answer, &end, &limits, err);
    return s ? fail_prefix(err, s == E_NOMEM || s == E_DENIED ? s : E_PROVIDER, "the judge %s: ", who->name) : OK;
}
