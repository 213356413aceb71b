#include "task/evidence.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* Graders and case together: the same answer is judged anew when either changes. */
static status grader_key(const char *graders, const task_case *c, char out[DIGEST_HEX], error *err)
{
    char of_case[DIGEST_HEX], both[2 * DIGEST_HEX];
    status s = task_case_digest(c, of_case, err);
    if (s)
        return s;
    size_t n = strlen(graders), m = strlen(of_case);
    memcpy(both, graders, n);
    memcpy(both + n, of_case, m);
    digest_of(both, n + m, out);
    return OK;
}

static status prompt_key(const task *t, const task_prompt *prompt, const task_case *c, char out[DIGEST_HEX],
                         error *err)
{
    task_messages m = { 0 };
    status s = task_render(t, prompt, c->input, c->id, &m, err);
    if (s)
        return s;
    s = task_messages_digest(&m, out, err);
    task_messages_clear(&m);
    return s ? s : task_tools_digest(t, out, err);
}

status task_keys_by_case(const task *t, const char *provider, task_case_key **out, error *err)
{
    const task_prompt *prompt = task_prompt_for(t, provider);
    char graders[DIGEST_HEX];
    status s = task_grader_digest(t, graders, err);
    if (s)
        return s;
    task_case_key *keys = mem_array(t->n_cases ? t->n_cases : 1, sizeof *keys);
    if (!keys)
        return fail(err, E_NOMEM, "no memory for the keys of %zu cases", t->n_cases);
    for (size_t i = 0; !s && i < t->n_cases; i++) {
        keys[i].c = &t->cases[i];
        if (!task_is_measured(t, keys[i].c))
            continue;
        s = prompt_key(t, prompt, keys[i].c, keys[i].prompt, err);
        if (!s)
            s = grader_key(graders, keys[i].c, keys[i].grader, err);
    }
    if (s)
        mem_free(keys);
    else
        *out = keys;
    return s;
}

status task_case_keys(const task *t, const char *provider, task_case_key **out, size_t *n, error *err)
{
    status s = task_keys_by_case(t, provider, out, err);
    if (s)
        return s;
    *n = 0;
    for (size_t i = 0; i < t->n_cases; i++)
        if (task_is_measured(t, &t->cases[i]))
            (*out)[(*n)++] = (*out)[i];
    return OK;
}

status task_sampling_key(const task *t, char **out, error *err)
{
    const task_sampling *p = &t->sampling;
    js *o = js_object(), *stop = js_array();
    buf text = BUF_INIT(1 << 20);
    bool ok = o && stop;
    for (size_t i = 0; ok && i < p->n_stop; i++)
        ok = js_push(stop, js_new_string(p->stop[i]));
    ok = ok && js_set(o, "temperature", js_new_double(p->temperature)) &&
         js_set(o, "max_tokens", js_new_int(p->max_tokens)) &&
         (p->temperature <= 0 || js_set(o, "seed", js_new_int(p->seed)));
    if (ok) {
        ok = js_set(o, "stop", stop);
        stop = NULL;
    }
    if (ok)
        js_write(o, JS_CANONICAL, &text);
    js_free(stop);
    js_free(o);
    status s = ok ? buf_ok(&text, "the sampling options", err) : fail(err, E_NOMEM, "no memory for sampling options");
    if (s)
        buf_clear(&text);
    else
        *out = buf_take(&text);
    return s;
}
