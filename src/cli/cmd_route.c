/* cmd_route.c: hearth route [TASK…] [--explain] [--json]: decides from what the ledger holds; opens no provider.
 * hearth route explain TASK|REQUEST.json is the server's answer to that (serve_explain.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/candidates.h"
#include "cli/cli.h"
#include "measure/tools.h"
#include "plat/machine.h"
#include "provider/provider.h"
#include "route/route.h"
#include "task/task.h"

static const usage help = {
    "hearth route [TASK…] [OPTION]… | hearth route explain TASK|REQUEST.json [OPTION]…",
    "Says for each task whether it can stay on this machine, and why, from what `hearth measure` kept. Without TASK:\n"
    "all tasks that are found. Exit code 1 when a task that was named is refused. `route explain` says the whole\n"
    "argument for a request as a server would meet it; see hearth route explain --help.\n"
    "\n"
    "example: hearth route ticket-class --explain\n",
};


typedef struct job {
    bool explain, json;
    config *cfg;
    ledger *l;
    route_candidate candidates[CANDIDATES_MAX];
    route_settings settings;
    route_input *in;
    route_decision *out;
    size_t n;
} job;

static int decide(job *j, const char *name, const char *dir)
{
    task *t = NULL;
    error err = { 0 };
    status s = task_open(&t, name, dir, &err);
    if (!s)
        s = task_load_cases(t, &err);
    if (!s)
        s = measure_tools_bind(t, j->cfg, &err);
    if (!s)
        s = route_gather(j->l, t, &j->settings, &j->in[j->n], &err);
    if (!s) {
        route_decide(&j->in[j->n], &j->out[j->n]);
        j->n++;
    }
    task_close(&t);
    return s ? report("route", &err) : EXIT_OK;
}

static size_t columns(void)
{
    struct winsize w;
    if (!cli_is_terminal(1))
        return 0;
    return ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static bool write_json(job *j, buf *out)
{
    js *doc = js_object(), *tasks = js_array();
    bool ok = doc && tasks;
    for (size_t i = 0; ok && i < j->n; i++)
        ok = js_push(tasks, route_to_js(&j->in[i], &j->out[i]));
    if (ok) {
        ok = js_set(doc, "tasks", tasks);
        tasks = NULL;
    }
    if (ok)
        js_write(doc, JS_PRETTY, out);
    js_free(tasks);
    js_free(doc);
    buf_char(out, '\n');
    return ok;
}

static int print(job *j)
{
    buf out = BUF_INIT(64 << 20);
    bool ok = true;
    if (j->json)
        ok = write_json(j, &out);
    else if (j->explain)
        for (size_t i = 0; i < j->n; i++) {
            route_explain(&j->in[i], &j->out[i], &out);
            buf_str(&out, i + 1 < j->n ? "\n" : "");
        }
    else
        route_table(j->in, j->out, j->n, columns(), &out);
    ok = ok && !out.failed;
    if (ok)
        fputs(buf_text(&out), stdout);
    else
        fprintf(stderr, "hearth route: no memory for the answer\n");
    buf_clear(&out);
    return ok ? EXIT_OK : EXIT_NOFIT;
}

/* Every named task must work; of all that were found, one that is broken is told and the others still shown. */
static int decide_all(job *j, char **words, size_t n_words)
{
    char dir[4096];
    error err = { 0 };
    task_names names = { 0 };
    int code = EXIT_OK;
    if (machine_program_dir(dir, sizeof dir, &err) || (!n_words && task_list(&names, dir, &err)))
        return report("route", &err);
    size_t n = n_words ? n_words : names.n;
    j->in = mem_array(n + 1, sizeof *j->in);
    j->out = mem_array(n + 1, sizeof *j->out);
    if (!j->in || !j->out) {
        task_names_clear(&names);
        fprintf(stderr, "hearth route: no memory for %zu tasks\n", n);
        return EXIT_NOFIT;
    }
    for (size_t i = 0; i < n; i++) {
        int one = decide(j, n_words ? words[i] : names.names[i], dir);
        code = one > code ? one : code;
    }
    task_names_clear(&names);
    if (n == 0)
        fprintf(stderr, "hearth route: no tasks are found here: a task is a folder in tasks/ (hearth task --help)\n");
    else if (j->n)
        code = print(j) > code ? EXIT_NOFIT : code;
    for (size_t i = 0; n_words && code == EXIT_OK && i < j->n; i++)
        if (j->out[i].choice == ROUTE_REFUSE)
            code = EXIT_NO;
    return code;
}

int cmd_route(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "explain") == 0)
        return cmd_route_explain(argc - 1, argv + 1);
    job j = { 0 };
    error err = { 0 };
    size_t n_words = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "explain", 0, OPTION_FLAG, &j.explain, NULL, "the whole argument: counts, interval, bar, what is stale" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
    };
    if (!options_read(argc, argv, &help, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (config_open(&j.cfg, NULL, &err))
        return report("route", &err);
    status s = ledger_open(&j.l, NULL, LEDGER_READ, &err);
    if (s && s != E_NOTFOUND) /* no ledger: nothing is measured, which is an answer too */
        code = report("route", &err);
    if (code == EXIT_OK) {
        candidates_read(j.cfg, j.candidates, &j.settings);
        code = decide_all(&j, argv + 1, n_words);
    }
    mem_free(j.in);
    mem_free(j.out);
    ledger_close(&j.l);
    config_close(&j.cfg);
    return code;
}
