/* cmd_measure.c: hearth measure TASK… [--on PROVIDER]…
 *
 * Every pair of task and provider is asked for privacy before the first provider opens: a forbidden one means that
 * nothing runs at all. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "measure/measure.h"
#include "plat/machine.h"
#include "task/task.h"

enum { TASKS_MAX = 64 };

static const usage help = {
    "hearth measure TASK… [--on PROVIDER]… [OPTION]…",
    "Runs a task's cases on a provider, grades the answers and keeps them in the ledger. A case that is answered\n"
    "already under the same model, prompt and options is not asked again: the command can be stopped and run again.\n"
    "TASK is a folder, or the name of one in tasks/. PROVIDER is a name from config.yaml, local:MODEL, replay:FILE or\n"
    "openai:URL#MODEL. Without --on: every configured provider that may see the task's cases.\n"
    "\n"
    "example: hearth measure ticket-class --on local:SmolLM2-135M-Instruct.Q4_1.gguf\n",
};

static volatile int stop_asked;

typedef struct job {
    option_list on;
    bool fresh, json;
    int64_t limit, timeout_s, threads;
    task *tasks[TASKS_MAX];
    size_t n_tasks;
    config *cfg;
    js *results;
    int code;
} job;

static void on_interrupt(int sig)
{
    (void)sig;
    stop_asked = 1;
}

/* ---- the bar ---- */

static void draw_bar(void *user, const measure_progress *p)
{
    (void)user;
    enum { CELLS = 24 };
    char bar[CELLS * 3 + 1] = "", left[32] = "";
    uint32_t full = p->total ? (uint32_t)((uint64_t)p->done * CELLS / p->total) : CELLS;
    for (uint32_t i = 0; i < CELLS; i++)
        memcpy(bar + 3 * i, i < full ? "█" : "░", 4);
    if (p->eta_s >= 0)
        snprintf(left, sizeof left, ", %d:%02d left", (int)(p->eta_s / 60), (int)fmod(p->eta_s, 60));
    fprintf(stderr, "\r\033[K%s %s%s%s %u/%u", p->task, cli_style(2, "\033[36m"), bar, cli_style(2, "\033[0m"), p->done,
            p->total);
    if (p->kept)
        fprintf(stderr, " (+%u kept)", p->kept);
    fprintf(stderr, ", %u right", p->passed);
    if (p->failed)
        fprintf(stderr, ", %u failed", p->failed);
    if (p->cases_per_s > 0)
        fprintf(stderr, ", %.1f cases/s%s", p->cases_per_s, left);
    else if (p->prefill_total)
        fprintf(stderr, ", reading the first prompt %u/%u", p->prefill_done, p->prefill_total);
    fflush(stderr);
}

/* ---- results ---- */

static void print_speed(const measure_result *r)
{
    const tally_speed *v = &r->speed;
    char bytes[24];
    if (v->n && (!isnan(v->decode_per_s) || !isnan(v->answer_p50_ms))) {
        printf("  speed      ");
        if (!isnan(v->prefill_per_s))
            printf("prompt %.0f tokens/s, ", v->prefill_per_s);
        if (!isnan(v->decode_per_s))
            printf("answer %.1f tokens/s, ", v->decode_per_s);
        if (!isnan(v->ttft_p50_ms))
            printf("first token after %.0f ms (median), %.0f ms (95 %%), ", v->ttft_p50_ms, v->ttft_p95_ms);
        printf("answer within %.0f ms (median), %.0f ms (95 %%)\n", v->answer_p50_ms, v->answer_p95_ms);
    } else {
        printf("  speed      not known\n");
    }
    if (!isnan(r->peak_bytes))
        printf("  memory     %s at most\n", str_human_bytes(bytes, (uint64_t)r->peak_bytes));
}

static void print_result(const task *t, const provider_info *who, const measure_result *r)
{
    printf("%s%s%s on %s\n", cli_style(1, "\033[1m"), t->id, cli_style(1, "\033[0m"), who->name);
    if (r->n)
        printf("  quality    %u of %u right: %.1f %%, 95 %% interval %.1f to %.1f %%; score %.3f [%.3f, %.3f]\n"
               "  malformed  %u (%.1f %%)\n",
               r->n_pass, r->n, 100 * r->pass, 100 * r->pass_lower, 100 * r->pass_upper, r->score, r->score_lower,
               r->score_upper, r->n_malformed, 100.0 * r->n_malformed / r->n);
    else
        printf("  quality    no answers\n");
    printf("  baselines ");
    if (!isnan(r->majority))
        printf(" always the same answer %.1f %%", 100 * r->majority);
    if (!isnan(r->regex))
        printf("%s rules %.1f %%", isnan(r->majority) ? "" : ",", 100 * r->regex);
    printf("%s\n", isnan(r->majority) && isnan(r->regex) ? " none" : "");
    print_speed(r);
    printf("  cases      %u: %u asked now, %u kept from before, %u graded again, %u without an answer; %.1f s\n",
           r->n_cases, r->n_asked, r->n_kept, r->n_regraded, r->n_failed, r->seconds);
    if (r->stale[0])
        printf("  stale      %s\n", r->stale);
    if (r->n)
        printf("  resolution %u cases tell apart no less than ±%.1f points\n", r->n, 100 * r->resolution);
    printf("  evidence   %.16s%s%s\n", r->evidence, r->run[0] ? ", run " : "", r->run);
}

static bool put(js *o, const char *key, double v)
{
    return js_set(o, key, isnan(v) ? js_null() : js_new_double(v));
}

static js *result_js(const task *t, const provider_info *who, const measure_result *r)
{
    js *o = js_object();
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        { "cases", r->n_cases }, { "asked", r->n_asked }, { "kept", r->n_kept }, { "regraded", r->n_regraded },
        { "failed", r->n_failed }, { "answered", r->n }, { "pass", r->n_pass }, { "wrong", r->n_wrong },
        { "malformed", r->n_malformed }, { "rate", r->pass }, { "rate_lower", r->pass_lower },
        { "rate_upper", r->pass_upper }, { "score", r->score }, { "score_lower", r->score_lower },
        { "score_upper", r->score_upper }, { "baseline_majority", r->majority }, { "baseline_rules", r->regex },
        { "resolution", r->resolution }, { "prefill_tokens_per_s", r->speed.prefill_per_s },
        { "decode_tokens_per_s", r->speed.decode_per_s }, { "ttft_p50_ms", r->speed.ttft_p50_ms },
        { "ttft_p95_ms", r->speed.ttft_p95_ms }, { "answer_p50_ms", r->speed.answer_p50_ms },
        { "answer_p95_ms", r->speed.answer_p95_ms }, { "peak_bytes", r->peak_bytes }, { "seconds", r->seconds },
    };
    bool ok = o && js_set(o, "task", js_new_string(t->id)) && js_set(o, "provider", js_new_string(who->name)) &&
              js_set(o, "place", js_new_string(provider_place_name(who->place))) &&
              js_set(o, "model", js_new_string(who->model)) && js_set(o, "evidence", js_new_string(r->evidence)) &&
              js_set(o, "run", js_new_string(r->run)) && js_set(o, "stale_because", js_new_string(r->stale));
    for (size_t i = 0; ok && i < ARRAY_LEN(numbers); i++)
        ok = put(o, numbers[i].key, numbers[i].value);
    if (ok)
        return o;
    js_free(o);
    return NULL;
}

static void tell_result(job *j, const task *t, const provider_info *who, const measure_result *r)
{
    if (cli_is_terminal(2))
        fprintf(stderr, "\r\033[K");
    if (j->json)
        js_push(j->results, result_js(t, who, r));
    else
        print_result(t, who, r);
}

/* ---- running ---- */

static void worse(job *j, int code)
{
    if (code > j->code)
        j->code = code;
}

static int measure_one(job *j, ledger *l, provider *p, const task *t)
{
    const provider_info *who = provider_get_info(p);
    measure_options o = { .fresh = j->fresh, .limit = (uint32_t)j->limit, .stop = &stop_asked,
                          .case_timeout_ms = (uint32_t)(j->timeout_s * 1000),
                          .progress = cli_is_terminal(2) ? draw_bar : NULL };
    measure_result r = { 0 };
    error err = { 0 };
    status s = measure_task(l, t, who, measure_ask_provider, p, &o, &r, &err);
    if (s == OK || r.evidence[0])
        tell_result(j, t, who, &r);
    if (s == E_CANCELLED)
        fprintf(stderr, "hearth measure: stopped; what is finished is kept: the same command goes on from here\n");
    else if (s)
        report("measure", &err);
    if (s)
        return s == E_CANCELLED ? EXIT_NO : s == E_PROVIDER ? EXIT_PROVIDER : s == E_DENIED ? EXIT_NO : EXIT_INPUT;
    return r.n_failed ? EXIT_PROVIDER : EXIT_OK;
}

/* Whether a SPEC or configured name is a recording, before anything opens. */
static provider_kind kind_of(const job *j, const char *spec)
{
    const config_provider *c = config_find(j->cfg, spec);
    bool replay = c ? strcmp(c->kind, "replay") == 0 : str_starts(spec, "replay:");
    return replay ? PROVIDER_REPLAY : PROVIDER_LOCAL;
}

static status allowed(const job *j, const char *spec, const task *t, error *err)
{
    provider_place place;
    status s = provider_place_of(spec, j->cfg, &place, err);
    return s ? s : measure_allowed(t, spec, kind_of(j, spec), place, err);
}

static int measure_on(job *j, ledger *l, const char *spec, bool chosen)
{
    provider *p = NULL;
    error err = { 0 };
    for (size_t i = 0; i < j->n_tasks && !stop_asked; i++) {
        if (!chosen && allowed(j, spec, j->tasks[i], &err)) {
            fprintf(stderr, "hearth measure: skipped: %s\n", err.text);
            continue;
        }
        if (!p && provider_open(&p, spec, j->cfg, &err))
            return report("measure", &err);
        int code = measure_one(j, l, p, j->tasks[i]);
        worse(j, code);
        if (code == EXIT_INPUT || code == EXIT_NO)
            break;
    }
    provider_close(&p);
    return EXIT_OK;
}

static int run_job(job *j)
{
    error err = { 0 };
    ledger *l = NULL;
    bool chosen = j->on.n > 0;
    for (size_t i = 0; !chosen && i < j->cfg->n_providers && i < OPTION_LIST_MAX; i++)
        j->on.values[j->on.n++] = j->cfg->providers[i].name;
    if (j->on.n == 0)
        return usage_error("measure", "on what? no provider is configured: name one, as in --on local:MODEL");
    for (size_t k = 0; chosen && k < j->on.n; k++)
        for (size_t i = 0; i < j->n_tasks; i++)
            if (allowed(j, j->on.values[k], j->tasks[i], &err))
                return report("measure", &err);
    if (ledger_open(&l, NULL, LEDGER_WRITE, &err))
        return report("measure", &err);
    for (size_t k = 0; k < j->on.n && !stop_asked; k++)
        worse(j, measure_on(j, l, j->on.values[k], chosen));
    ledger_close(&l);
    return j->code;
}

static int load_tasks(job *j, char **words, size_t n)
{
    char dir[4096];
    error err = { 0 };
    if (machine_program_dir(dir, sizeof dir, &err))
        return report("measure", &err);
    if (n > TASKS_MAX)
        return usage_error("measure", "at most %d tasks at once", TASKS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (task_open(&j->tasks[i], words[i], dir, &err))
            return report("measure", &err);
        j->n_tasks++;
        if (task_load_cases(j->tasks[i], &err))
            return report("measure", &err);
    }
    return EXIT_OK;
}

static int print_json(job *j)
{
    js *doc = js_object();
    buf text = BUF_INIT(64 << 20);
    bool ok = doc && js_set(doc, "results", j->results);
    j->results = NULL;
    if (ok)
        js_write(doc, JS_PRETTY, &text);
    js_free(doc);
    ok = ok && !text.failed;
    if (ok)
        printf("%s\n", buf_text(&text));
    else
        fprintf(stderr, "hearth measure: no memory for the results\n");
    buf_clear(&text);
    return ok ? EXIT_OK : EXIT_NOFIT;
}

int cmd_measure(int argc, char **argv)
{
    job j = { 0 };
    error err = { 0 };
    size_t n_words = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "on", 0, OPTION_LIST, &j.on, "PROVIDER", "who is asked; may be given again" },
        { "fresh", 0, OPTION_FLAG, &j.fresh, NULL, "ask again what is answered already" },
        { "limit", 'n', OPTION_INT, &j.limit, "N", "only the first N cases" },
        { "timeout", 0, OPTION_INT, &j.timeout_s, "SECONDS", "give a case up after so long (default 120)" },
        { "threads", 't', OPTION_INT, &j.threads, "N", "compute threads of a local model" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
    };
    if (!options_read(argc, argv, &help, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words == 0)
        return usage_error("measure", "which task?");
    if (j.limit < 0 || j.limit > 1000000 || j.timeout_s < 0 || j.timeout_s > 86400 || j.threads < 0 || j.threads > 4096)
        return usage_error("measure", "--limit, --timeout and --threads are whole numbers from 0");
    struct sigaction interrupt = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND }; /* the second one ends it */
    sigaction(SIGINT, &interrupt, NULL);
    j.results = js_array();
    if (config_open(&j.cfg, NULL, &err)) {
        code = report("measure", &err);
    } else {
        j.cfg->n_threads = (int)j.threads;
        code = load_tasks(&j, argv + 1, n_words);
        if (code == EXIT_OK)
            code = run_job(&j);
        if (j.json && (code == EXIT_OK || js_len(j.results)))
            worse(&j, print_json(&j));
    }
    for (size_t i = 0; i < TASKS_MAX; i++)
        task_close(&j.tasks[i]);
    config_close(&j.cfg);
    js_free(j.results);
    return code > j.code ? code : j.code;
}
