/* cmd_report.c: hearth report [TASK…]: what the ledger holds of each task, in the terminal, as one page, as data. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/candidates.h"
#include "cli/cli.h"
#include "measure/tools.h"
#include "plat/machine.h"
#include "plat/paths.h"
#include "provider/provider.h"
#include "report/report.h"

static const usage help = {
    "hearth report [TASK…] [OPTION]…",
    "Shows for each task what was measured and what follows: local and cloud with their intervals, the bar, what the\n"
    "suite can prove, history, the models tried, confidence, and every case. Without TASK: all tasks that are found.\n"
    "Texts of private tasks are left out unless --with-text says otherwise; those of secret tasks are kept nowhere.\n"
    "docs/REPORT.md says how to read it. Files are readable by their owner only.\n"
    "\n"
    "example: hearth report ticket-class --html report.html\n",
};

enum { CSV_MAX = 512 << 20 };

typedef struct job {
    const char *html, *csv;
    bool json, with_text;
    config *cfg;
    ledger *l;
    route_candidate candidates[CANDIDATES_MAX];
    route_settings settings;
    task **tasks;
    size_t n;
    report_price *prices;
    report_data *data;
} job;

/* ---- the tasks ---- */

/* Every named task must work; of all that were found, one that is broken is told and the others still shown. */
static int open_tasks(job *j, char **words, size_t n_words)
{
    char dir[4096];
    error err = { 0 };
    task_names names = { 0 };
    int code = EXIT_OK;
    if (machine_program_dir(dir, sizeof dir, &err) || (!n_words && task_list(&names, dir, &err)))
        return report("report", &err);
    size_t n = n_words ? n_words : names.n;
    j->tasks = mem_array(n + 1, sizeof *j->tasks);
    if (!j->tasks)
        code = report("report", &(error){ E_NOMEM, "no memory for the tasks" });
    for (size_t i = 0; j->tasks && i < n; i++) {
        task *t = NULL;
        status s = task_open(&t, n_words ? words[i] : names.names[i], dir, &err);
        if (!s)
            s = task_load_cases(t, &err);
        if (!s)
            s = measure_tools_bind(t, j->cfg, &err);
        if (s) {
            code = report("report", &err);
            task_close(&t);
        } else {
            j->tasks[j->n++] = t;
        }
    }
    task_names_clear(&names);
    if (n == 0)
        fprintf(stderr, "hearth report: no tasks are found here: a task is a folder in tasks/ (hearth task --help)\n");
    return code;
}

/* ---- what is written ---- */

static status write_file(const char *path, const buf *text, error *err)
{
    status s = buf_ok(text, path, err);
    if (!s)
        s = report_write_file(path, buf_text(text), text->len, err);
    if (!s)
        fprintf(stderr, "hearth report: %s, %zu bytes\n", path, text->len);
    return s;
}

static status write_html(const job *j, error *err)
{
    buf text = BUF_INIT(REPORT_BYTES_MAX);
    report_html(j->data, &text);
    status s = write_file(j->html, &text, err);
    buf_clear(&text);
    return s;
}

static bool is_folder(const char *path)
{
    struct stat there;
    size_t n = strlen(path);
    return (n && path[n - 1] == '/') || (stat(path, &there) == 0 && S_ISDIR(there.st_mode));
}

static status write_table(const job *j, size_t table, error *err)
{
    buf path = BUF_INIT(1 << 16), text = BUF_INIT(CSV_MAX);
    buf_printf(&path, "%s%s%s.csv", j->csv, j->csv[strlen(j->csv) - 1] == '/' ? "" : "/", report_table_name(table));
    report_csv_table(j->data, table, &text);
    status s = buf_ok(&path, "the file's name", err);
    if (!s)
        s = write_file(buf_text(&path), &text, err);
    buf_clear(&text);
    buf_clear(&path);
    return s;
}

static status write_csv(const job *j, error *err)
{
    if (!is_folder(j->csv)) {
        buf text = BUF_INIT(CSV_MAX);
        report_csv(j->data, &text);
        status s = write_file(j->csv, &text, err);
        buf_clear(&text);
        return s;
    }
    status s = path_make_dirs(j->csv, err);
    for (size_t i = 0; !s && i < report_n_tables; i++)
        s = write_table(j, i, err);
    return s;
}

static size_t columns(void)
{
    struct winsize w;
    return cli_is_terminal(1) && ioctl(1, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

static status print(const job *j, error *err)
{
    buf text = BUF_INIT(REPORT_BYTES_MAX);
    if (j->json) {
        js *doc = report_to_js(j->data);
        if (doc)
            js_write(doc, JS_PRETTY, &text);
        else
            text.failed = true;
        js_free(doc);
        buf_char(&text, '\n');
    } else {
        report_terminal how = { columns(), *cli_style(1, "x") != 0 };
        report_text_tasks(j->data, &how, &text);
    }
    status s = buf_ok(&text, "the report", err);
    if (!s)
        fwrite(buf_text(&text), 1, text.len, stdout);
    buf_clear(&text);
    return s;
}

static status read_prices(job *j, report_options *o, error *err)
{
    j->prices = mem_array(j->cfg->n_providers + 1, sizeof *j->prices);
    if (!j->prices)
        return fail(err, E_NOMEM, "no memory for the prices");
    for (size_t i = 0; i < j->cfg->n_providers; i++) {
        const config_provider *p = &j->cfg->providers[i];
        j->prices[i] = (report_price){ p->name, p->price_input, p->price_output, p->price_cached, p->price_as_of };
    }
    o->prices = j->prices;
    o->n_prices = j->cfg->n_providers;
    return OK;
}

static int make(job *j)
{
    error err = { 0 };
    const config_machine *m = &j->cfg->machine;
    report_options o = { .with_text = j->with_text, .usd_per_month = m->usd_per_month, .usd_per_kwh = m->usd_per_kwh,
                         .watts_busy = m->watts_busy };
    status s = read_prices(j, &o, &err);
    if (!s)
        s = report_gather(j->l, j->tasks, j->n, &j->settings, &o, &j->data, &err);
    if (!s && j->html)
        s = write_html(j, &err);
    if (!s && j->csv)
        s = write_csv(j, &err);
    if (!s && (j->json || (!j->html && !j->csv)))
        s = print(j, &err);
    return s ? report("report", &err) : EXIT_OK;
}

int cmd_report(int argc, char **argv)
{
    job j = { 0 };
    error err = { 0 };
    size_t n_words = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "html", 0, OPTION_TEXT, &j.html, "FILE", "one page that loads nothing" },
        { "csv", 0, OPTION_TEXT, &j.csv, "PATH", "tables: a file each in a folder (PATH/), or all in one file" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
        { "with-text", 0, OPTION_FLAG, &j.with_text, NULL, "texts of private tasks too" },
    };
    if (!options_read(argc, argv, &help, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if ((j.html && !*j.html) || (j.csv && !*j.csv))
        return usage_error("report", "which file?");
    if (config_open(&j.cfg, NULL, &err))
        return report("report", &err);
    status s = ledger_open(&j.l, NULL, LEDGER_READ, &err);
    if (s && s != E_NOTFOUND) /* no ledger: nothing is measured, which is an answer too */
        code = report("report", &err);
    if (code == EXIT_OK) {
        candidates_read(j.cfg, j.candidates, &j.settings);
        code = open_tasks(&j, argv + 1, n_words);
    }
    if (code == EXIT_OK || (!n_words && j.n)) {
        int made = make(&j);
        code = made > code ? made : code;
    }
    report_close(&j.data);
    for (size_t i = 0; i < j.n; i++)
        task_close(&j.tasks[i]);
    mem_free(j.tasks);
    mem_free(j.prices);
    ledger_close(&j.l);
    config_close(&j.cfg);
    return code;
}
