/* metrics.c: counting, and GET /metrics: Prometheus' text form (version 0.0.4). Beside our own names stand those of
 * llama-server that mean something here, so that its dashboards go on working. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/api_int.h"
#include "base/mem.h"

enum { REPLY_BYTES_MAX = 4 << 20, FAMILY_BYTES_MAX = 1 << 20 };

const double metrics_first_s[METRICS_BUCKETS] = { 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120 };

/* ---- counting ---- */

static metrics_model *model_named(metrics *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strncmp(m->models[i].name, name, METRICS_NAME_BYTES - 1) == 0)
            return &m->models[i];
    metrics_model *fresh = &m->models[m->n < METRICS_MODELS_MAX ? m->n++ : METRICS_MODELS_MAX];
    snprintf(fresh->name, sizeof fresh->name, "%s", fresh == &m->models[METRICS_MODELS_MAX] ? "other" : name);
    return fresh;
}

static uint64_t known(int64_t n)
{
    return n > 0 ? (uint64_t)n : 0;
}

static double known_s(double seconds)
{
    return isfinite(seconds) && seconds > 0 ? seconds : 0;
}

static void count_first(metrics *m, double seconds)
{
    size_t i = 0;
    if (!isfinite(seconds))
        return;
    while (i < METRICS_BUCKETS && seconds > metrics_first_s[i])
        i++;
    m->first[i]++;
    m->first_sum_s += seconds;
}

void api_metrics_end(api *a, const char *name, metrics_kind kind, const event_done *end)
{
    pthread_mutex_lock(&a->lock);
    metrics_model *m = model_named(&a->counted, name);
    m->cancelled += end->finish == ANSWER_CANCELLED;
    m->ended[kind] += end->finish != ANSWER_CANCELLED;
    if (kind != METRICS_PROMPTS) {
        m->tokens_in += known(end->prompt_tokens);
        m->tokens_cached += known(end->cached_tokens);
        m->tokens_out += known(end->completion_tokens);
        m->prefill_s += known_s(end->prefill_seconds);
        m->decode_s += known_s(end->decode_seconds);
    }
    if (kind == METRICS_ANSWERS && end->completion_tokens > 0)
        count_first(&a->counted, end->ttft_seconds);
    m->peak_bytes = end->peak_bytes > m->peak_bytes ? end->peak_bytes : m->peak_bytes;
    pthread_mutex_unlock(&a->lock);
}

void api_metrics_fault(api *a, fault_kind kind)
{
    pthread_mutex_lock(&a->lock);
    a->counted.faults[(size_t)kind <= FAULT_INTERNAL ? kind : FAULT_INTERNAL]++;
    pthread_mutex_unlock(&a->lock);
}

void api_metrics_left(api *a)
{
    pthread_mutex_lock(&a->lock);
    a->counted.left++;
    pthread_mutex_unlock(&a->lock);
}

const char *metrics_cascade_name(metrics_cascade c)
{
    static const char *const names[CASCADE_ENDS] = { "accepted", "escalated", "kept" };
    return names[(unsigned)c < CASCADE_ENDS ? c : CASCADE_KEPT];
}

void api_metrics_cascade(api *a, metrics_cascade what)
{
    pthread_mutex_lock(&a->lock);
    a->counted.cascades[what]++;
    pthread_mutex_unlock(&a->lock);
}

/* ---- telling ---- */

static void add_head(buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_label(buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            buf_char(out, '\\');
        buf_char(out, (unsigned char)*text < ' ' ? ' ' : *text);
    }
}

static void add_sample(buf *out, const char *name, const char *model, double value)
{
    buf_printf(out, "%s{model=\"", name);
    add_label(out, model);
    buf_printf(out, "\"} %.17g\n", value);
}

static void add_plain(buf *out, const char *name, const char *type, const char *help, double value)
{
    add_head(out, name, type, help);
    buf_printf(out, "%s %.17g\n", name, value);
}

static size_t n_models(const metrics *m)
{
    return m->n + (m->models[METRICS_MODELS_MAX].name[0] != '\0');
}

static const metrics_model *model_at(const metrics *m, size_t i)
{
    return &m->models[i < m->n ? i : METRICS_MODELS_MAX];
}

/* The numbers of a model that are told as they are. */
typedef enum number { CANCELLED, TOKENS_IN, TOKENS_CACHED, TOKENS_OUT, PREFILL, DECODE, PEAK, NUMBERS } number;

static const struct {
    const char *name, *type, *help;
} numbers[NUMBERS] = {
    [CANCELLED] = { "hearth_requests_cancelled_total", "counter", "Answers that ended because the client left." },
    [TOKENS_IN] = { "hearth_prompt_tokens_total", "counter", "Tokens of prompts, computed or not." },
    [TOKENS_CACHED] = { "hearth_prompt_tokens_cached_total", "counter",
                        "Tokens of prompts that were not computed again." },
    [TOKENS_OUT] = { "hearth_completion_tokens_total", "counter", "Tokens of answers." },
    [PREFILL] = { "hearth_prefill_seconds_total", "counter", "Time that prompts took." },
    [DECODE] = { "hearth_decode_seconds_total", "counter", "Time that answers took after their prompts." },
    [PEAK] = { "hearth_worker_peak_bytes", "gauge", "Most memory that the model's process held." },
};

static double number_of(const metrics_model *m, number which)
{
    const double all[NUMBERS] = {
        [CANCELLED] = (double)m->cancelled,         [TOKENS_IN] = (double)m->tokens_in,
        [TOKENS_CACHED] = (double)m->tokens_cached, [TOKENS_OUT] = (double)m->tokens_out,
        [PREFILL] = m->prefill_s,                   [DECODE] = m->decode_s,
        [PEAK] = (double)m->peak_bytes,
    };
    return all[which];
}

static double sum_of(const metrics *m, number which)
{
    double sum = 0;
    for (size_t i = 0; i < n_models(m); i++)
        sum += number_of(model_at(m, i), which);
    return sum;
}

static void add_requests(buf *out, const metrics *m)
{
    static const char *const kinds[METRICS_KINDS] = { "answer", "vectors", "prompt" };
    add_head(out, "hearth_requests_total", "counter", "Requests that were answered to their end.");
    for (size_t i = 0; i < n_models(m); i++)
        for (size_t k = 0; k < METRICS_KINDS; k++) {
            buf_str(out, "hearth_requests_total{model=\"");
            add_label(out, model_at(m, i)->name);
            buf_printf(out, "\",kind=\"%s\"} %llu\n", kinds[k], (unsigned long long)model_at(m, i)->ended[k]);
        }
}

static void add_counted(buf *out, const metrics *m)
{
    add_requests(out, m);
    for (number k = 0; k < NUMBERS; k++) {
        add_head(out, numbers[k].name, numbers[k].type, numbers[k].help);
        for (size_t i = 0; i < n_models(m); i++)
            add_sample(out, numbers[k].name, model_at(m, i)->name, number_of(model_at(m, i), k));
    }
    add_head(out, "hearth_faults_total", "counter", "Requests that were refused or failed; busy and rate-limited: too "
             "many waited; crashed: a worker died.");
    for (fault_kind k = 0; k <= FAULT_INTERNAL; k++)
        buf_printf(out, "hearth_faults_total{kind=\"%s\"} %llu\n", fault_kind_name(k),
                   (unsigned long long)m->faults[k]);
    add_head(out, "hearth_cascade_total", "counter", "Answers of cascades: the local one accepted, escalated to the "
             "cloud, kept because the cloud failed.");
    for (metrics_cascade k = 0; k < CASCADE_ENDS; k++)
        buf_printf(out, "hearth_cascade_total{outcome=\"%s\"} %llu\n", metrics_cascade_name(k),
                   (unsigned long long)m->cascades[k]);
    add_plain(out, "hearth_requests_left_total", "counter", "Clients that left before it was their turn.",
              (double)m->left);
}

static void add_first(buf *out, const metrics *m)
{
    static const char name[] = "hearth_time_to_first_token_seconds";
    uint64_t n = 0;
    add_head(out, name, "histogram", "From the place among those who are answered to the first token.");
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        n += m->first[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name, metrics_first_s[i], (unsigned long long)n);
    }
    n += m->first[METRICS_BUCKETS];
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.17g\n%s_count %llu\n", name, (unsigned long long)n, name,
               m->first_sum_s, name, (unsigned long long)n);
}

/* What is open now, a family each. */
typedef struct gauges {
    buf answering, waiting, memory;
    unsigned n_answering, n_waiting, n_open;
} gauges;

static void add_loaded(void *user, const api_loaded *l)
{
    gauges *g = user;
    const char *model = l->info ? l->info->name : l->spec;
    add_sample(&g->answering, "hearth_model_answering", model, l->answering);
    add_sample(&g->waiting, "hearth_model_waiting", model, l->waiting);
    add_sample(&g->memory, "hearth_model_memory_bytes", model, l->info ? (double)l->info->budget_bytes : 0);
    g->n_answering += l->answering;
    g->n_waiting += l->waiting;
    g->n_open += l->info != NULL;
}

static void add_family(buf *out, const char *name, const char *help, buf *samples)
{
    add_head(out, name, "gauge", help);
    buf_add(out, buf_text(samples), samples->len);
    out->failed |= samples->failed;
    buf_clear(samples);
}

static void add_now(buf *out, api *a, gauges *g)
{
    const buf empty = BUF_INIT(FAMILY_BYTES_MAX);
    *g = (gauges){ .answering = empty, .waiting = empty, .memory = empty };
    api_list_loaded(a, add_loaded, g);
    add_plain(out, "hearth_models_open", "gauge", "Models that are open.", g->n_open);
    add_family(out, "hearth_model_answering", "Requests that are answered now.", &g->answering);
    add_family(out, "hearth_model_waiting", "Requests that wait for their turn.", &g->waiting);
    add_family(out, "hearth_model_memory_bytes", "Memory that an open model took of the budget.", &g->memory);
    add_plain(out, "hearth_memory_budget_bytes", "gauge", "What models may use together; 0: no limit.",
              (double)a->options.memory_bytes);
}

static double rate(double n, double seconds)
{
    return seconds > 0 ? n / seconds : 0;
}

static void add_as_llama_server(buf *out, const metrics *m, const gauges *g)
{
    double in = sum_of(m, TOKENS_IN) - sum_of(m, TOKENS_CACHED), out_tokens = sum_of(m, TOKENS_OUT);
    double prefill = sum_of(m, PREFILL), decode = sum_of(m, DECODE);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        { "llamacpp:prompt_tokens_total", "counter", "Tokens of prompts that were computed.", in },
        { "llamacpp:prompt_tokens_cached_total", "counter", "Tokens of prompts that were not computed again.",
          sum_of(m, TOKENS_CACHED) },
        { "llamacpp:prompt_seconds_total", "counter", "Time that prompts took.", prefill },
        { "llamacpp:tokens_predicted_total", "counter", "Tokens of answers.", out_tokens },
        { "llamacpp:tokens_predicted_seconds_total", "counter", "Time that answers took.", decode },
        { "llamacpp:prompt_tokens_seconds", "gauge", "Tokens of prompts a second, since the beginning.",
          rate(in, prefill) },
        { "llamacpp:predicted_tokens_seconds", "gauge", "Tokens of answers a second, since the beginning.",
          rate(out_tokens, decode) },
        { "llamacpp:requests_processing", "gauge", "Requests that are answered now.", g->n_answering },
        { "llamacpp:requests_deferred", "gauge", "Requests that wait for their turn.", g->n_waiting },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        add_plain(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

void api_metrics(api *a, http_request *r)
{
    buf text = BUF_INIT(REPLY_BYTES_MAX);
    gauges g;
    metrics *m = mem_zero(sizeof *m);
    if (m) {
        pthread_mutex_lock(&a->lock);
        *m = a->counted;
        pthread_mutex_unlock(&a->lock);
        add_counted(&text, m);
        add_first(&text, m);
        add_now(&text, a, &g);
        add_as_llama_server(&text, m, &g);
    }
    if (!m || text.failed)
        http_reply(r, 500, "text/plain", "no memory\n", 10);
    else
        http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_text(&text), text.len);
    buf_clear(&text);
    mem_free(m);
}
