/* tools.c: see the header. */
#include "measure/tools.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "measure/tools_int.h"
#include "store/store.h"
#include "task/task.h"

enum { IDENTITY_BYTES_MAX = 64 << 10 };

typedef struct opened {
    grade_model model;
    provider *at;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t left;
    uint32_t busy;
} opened;

struct measure_tools {
    const task *t;
    size_t n;
    opened opened[GRADE_MODELS_MAX];
    grade_tools tools;
};

/* ---- what graders call ---- */

static opened *find(measure_tools *m, const char *name, bool judge)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->opened[i].model.judge == judge && !strcmp(m->opened[i].model.name, name))
            return &m->opened[i];
    return NULL;
}

/* A local model refuses more answers at once than it has room for, and graders come from many threads. */
static void enter(opened *o)
{
    pthread_mutex_lock(&o->lock);
    while (o->busy >= provider_get_info(o->at)->parallel)
        pthread_cond_wait(&o->left, &o->lock);
    o->busy++;
    pthread_mutex_unlock(&o->lock);
}

static void leave(opened *o)
{
    pthread_mutex_lock(&o->lock);
    o->busy--;
    pthread_cond_signal(&o->left);
    pthread_mutex_unlock(&o->lock);
}

static status tool_judge(void *user, const char *model, const grade_question *q, char **answer, error *err)
{
    measure_tools *m = user;
    opened *o = find(m, model, true);
    if (!o)
        return fail(err, E_NOTFOUND, "the judge %s is not open", model);
    enter(o);
    status s = judge_ask(o->at, m->t, q, answer, err);
    leave(o);
    return s;
}

static status tool_embed(void *user, const char *model, const char *const *texts, size_t n, float **vectors,
                         size_t *size, error *err)
{
    measure_tools *m = user;
    opened *o = find(m, model, false);
    if (!o)
        return fail(err, E_NOTFOUND, "the embedding model %s is not open", model);
    enter(o);
    status s = embedder_embed(o->at, m->t, texts, n, vectors, size, err);
    leave(o);
    return s;
}

static status tool_run(void *user, const command_job *c, command_result *out, error *err)
{
    (void)user;
    return command_run(c, out, err);
}

static const grade_tools only_programs = { NULL, NULL, NULL, tool_run };

const grade_tools *measure_tools_get(const measure_tools *tools)
{
    return tools ? &tools->tools : &only_programs;
}

/* ---- identity ---- */

/* Where the model lies is no matter, and neither is its name. The same text whether it was opened or only looked at:
 * what of a local model is not in its file is what the program and the config say. */
static void put_identity(buf *out, const grade_model *m, const provider_info *who, const char *weights)
{
    buf_printf(out, "%s ", m->judge ? "judge" : "vectors");
    if (who->kind == PROVIDER_LOCAL)
        buf_printf(out, "local:%s numerics %s kv %s", weights, who->numerics, who->kv_type);
    else if (provider_is_server(who->kind))
        buf_printf(out, "%s:%s#%s", provider_kind_name(who->kind), who->url, who->model);
    else
        buf_str(out, who->name);
    buf_char(out, '\n');
}

static status bind_text(task *t, buf *identity, error *err)
{
    status s = buf_ok(identity, "the identity of a task's judges", err);
    if (!s)
        s = grade_bind_models(t, buf_text(identity), err);
    buf_clear(identity);
    return s;
}

/* ---- opening ---- */

static status kind_of(const char *spec, const config *cfg, provider_kind *kind, provider_place *place, error *err)
{
    const config_provider *c = config_find(cfg, spec);
    status s = provider_place_of(spec, cfg, place, err);
    bool replay = c ? !strcmp(c->kind, "replay") : str_starts(spec, "replay:");
    *kind = replay ? PROVIDER_REPLAY : *place == PLACE_LOCAL ? PROVIDER_LOCAL : PROVIDER_OPENAI;
    return s;
}

static status check_place(const task *t, const grade_model *m, const config *cfg, error *err)
{
    provider_kind kind;
    provider_place place;
    status s = kind_of(m->name, cfg, &kind, &place, err);
    if (!s)
        s = judge_allowed(t, m->name, kind, place, err);
    if (!s && !m->judge && kind != PROVIDER_LOCAL)
        s = fail(err, E_UNSUPPORTED, "task %s: the grader 'similarity' needs a local model; %s is none", t->id,
                 m->name);
    return s;
}

static status check_model(const task *t, const grade_model *m, const provider_info *who, error *err)
{
    if (m->judge && who->is_encoder)
        return fail(err, E_UNSUPPORTED, "task %s: %s makes vectors and writes no text: it cannot judge", t->id,
                    m->name);
    return OK;
}

static status open_all(measure_tools *m, const config *cfg, const grade_model *list, size_t n, buf *identity,
                       error *err)
{
    status s = OK;
    for (size_t i = 0; i < n && !s; i++) /* all of them before the first opens */
        s = check_place(m->t, &list[i], cfg, err);
    for (size_t i = 0; i < n && !s; i++) {
        s = provider_open(&m->opened[i].at, list[i].name, cfg, err);
        if (s)
            return fail_prefix(err, s, "task %s, a grader's model: ", m->t->id);
        m->opened[i].model = list[i];
        pthread_mutex_init(&m->opened[i].lock, NULL);
        pthread_cond_init(&m->opened[i].left, NULL);
        m->n = i + 1;
        const provider_info *who = provider_get_info(m->opened[i].at);
        s = check_model(m->t, &list[i], who, err);
        put_identity(identity, &list[i], who, who->model_digest);
    }
    return s;
}

status measure_tools_open(measure_tools **out, task *t, const config *cfg, error *err)
{
    const grade_model *list = NULL;
    size_t n = grade_models(t, &list);
    buf identity = BUF_INIT(IDENTITY_BYTES_MAX);
    measure_tools *m = mem_zero(sizeof *m);
    if (!m)
        return fail(err, E_NOMEM, "no memory for a task's graders");
    m->t = t;
    m->tools = (grade_tools){ m, tool_embed, tool_judge, tool_run };
    status s = open_all(m, cfg, list, n, &identity, err);
    if (!s && n)
        s = bind_text(t, &identity, err);
    buf_clear(&identity);
    if (s)
        measure_tools_close(&m);
    else
        *out = m;
    return s;
}

void measure_tools_close(measure_tools **tools)
{
    if (!*tools)
        return;
    for (size_t i = 0; i < (*tools)->n; i++) {
        provider_close(&(*tools)->opened[i].at);
        pthread_mutex_destroy(&(*tools)->opened[i].lock);
        pthread_cond_destroy(&(*tools)->opened[i].left);
    }
    mem_free(*tools);
    *tools = NULL;
}

status measure_tools_check(const measure_tools *tools, const provider_info *contestant, error *err)
{
    status s = OK;
    for (size_t i = 0; tools && i < tools->n && !s; i++)
        if (tools->opened[i].model.judge)
            s = judge_is_another(tools->t, provider_get_info(tools->opened[i].at), contestant, err);
    return s;
}

/* ---- binding without opening ---- */

/* A worker that only looks says everything but the digest. */
static status look(const grade_model *m, const config *cfg, buf *identity, error *err)
{
    config looking = *cfg;
    provider *p = NULL;
    char *path = NULL, weights[DIGEST_HEX] = "";
    looking.look = true;
    status s = provider_open(&p, m->name, &looking, err);
    if (s)
        return s;
    const provider_info *who = provider_get_info(p);
    if (who->kind == PROVIDER_LOCAL) {
        s = provider_key(m->name, cfg, &path, err);
        if (!s)
            s = store_digest_file(path, weights, err);
        mem_free(path);
    }
    if (!s)
        put_identity(identity, m, who, weights);
    provider_close(&p);
    return s;
}

status measure_tools_bind(task *t, const config *cfg, error *err)
{
    const grade_model *list = NULL;
    size_t n = grade_models(t, &list);
    buf identity = BUF_INIT(IDENTITY_BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        error why = { 0 };
        status s = look(&list[i], cfg, &identity, &why);
        if (s == E_NOMEM) {
            buf_clear(&identity);
            return fail(err, s, "%s", why.text);
        }
        if (s)
            buf_printf(&identity, "missing %s\n", list[i].name);
    }
    return n ? bind_text(t, &identity, err) : OK;
}

/* ---- facts ---- */

static double milliseconds(int64_t us)
{
    return us >= 0 ? (double)us / 1000 : NAN;
}

double measure_price(const provider_info *who, const ledger_answer *a)
{
    if (a->n_prompt < 0 || a->n_output < 0)
        return NAN;
    double cached = a->n_cached > 0 && a->n_cached <= a->n_prompt ? (double)a->n_cached : 0;
    double cached_price = isnan(who->price_cached) ? who->price_input : who->price_cached;
    return (((double)a->n_prompt - cached) * who->price_input + (cached > 0 ? cached * cached_price : 0) +
            (double)a->n_output * who->price_output) / 1e6;
}

grade_facts measure_facts(const ledger_answer *row, const provider_info *who)
{
    double cost = who->kind == PROVIDER_LOCAL ? 0 : NAN; /* what a recording cost nobody wrote down */
    if (provider_is_server(who->kind))
        cost = measure_price(who, row);
    return (grade_facts){ .latency_ms = milliseconds(row->total_us), .ttft_ms = milliseconds(row->ttft_us),
                          .cost_usd = cost, .n_prompt = row->n_prompt, .n_output = row->n_output, .finish = row->finish,
                          .mean_logprob = row->mean_logprob };
}

grade_facts measure_facts_kept(const ledger_row *row, const provider_info *who)
{
    const ledger_answer a = { .finish = row->finish, .n_prompt = row->n_prompt, .n_output = row->n_output,
                              .n_cached = row->n_cached, .ttft_us = row->ttft_us, .total_us = row->total_us,
                              .mean_logprob = row->mean_logprob };
    return measure_facts(&a, who);
}
