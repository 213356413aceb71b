/* cmd_ledger.c: hearth ledger list | show | export | import | verify | purge. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/ledger_show.h"
#include "cli/verbs.h"
#include "ledger/exchange.h"
#include "plat/clock.h"
#include "plat/file.h"

static const usage page = {
    "hearth ledger list [TASK] [--since DATE]\n"
    "       hearth ledger show TASK|ID\n"
    "       hearth ledger export [TASK] [--since DATE] [--format jsonl|csv] [--to FILE]\n"
    "       hearth ledger import FILE\n"
    "       hearth ledger verify\n"
    "       hearth ledger purge TASK|--all",
    "What `hearth measure` keeps (docs/LEDGER.md). Nothing in it is ever changed; only texts can be removed.\n"
    "  list    the runs, the newest last\n"
    "  show    of a task: which evidence is current, and why the rest is stale; of an ID (or its beginning): the run,\n"
    "          answer, evidence, … with all that belongs to it\n"
    "  export  to standard output or a new FILE: jsonl is complete, csv is one line an answer and grade\n"
    "  import  adds the rows of an exported jsonl FILE ('-': standard input); what is there already stays\n"
    "  verify  checks the file, its guards, references and digests; exit code 1 with the first fault\n"
    "  purge   deletes the prompts and answers of a task (all tasks); counts, times, grades and digests stay\n"
    "examples:\n"
    "  hearth ledger show ticket-class\n"
    "  hearth ledger export --format csv --since 2026-11-01 --to november.csv\n",
};

typedef struct job {
    bool json, all;
    const char *since, *format, *to;
    int64_t since_us;
} job;

typedef int verb_fn(const job *j, int n, char **words);

/* A ledger of an older schema is brought to this one first: whoever looks at it wants to see it. */
static int opened(ledger **l, ledger_mode mode)
{
    error err = { 0 };
    status s = ledger_open(l, NULL, mode, &err);
    if (s == E_UNSUPPORTED && mode == LEDGER_READ) {
        s = ledger_open(l, NULL, LEDGER_WRITE, &err);
        ledger_close(l);
        if (!s)
            s = ledger_open(l, NULL, LEDGER_READ, &err);
    }
    return s ? report("ledger", &err) : EXIT_OK;
}

/* ---- list ---- */

static js *run_js(const ledger_run_row *r)
{
    const struct {
        const char *key, *value;
    } texts[] = {
        { "id", r->id }, { "task", r->task }, { "provider", r->provider }, { "place", r->place },
        { "model", r->model_name }, { "version", r->version }, { "evidence", r->evidence_id },
        { "machine", r->machine }, { "cpu", r->cpu }, { "isa", r->isa }, { "power", r->power },
        { "governor", r->governor },
    };
    js *o = js_object();
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        js_set(o, texts[i].key, js_new_string(texts[i].value));
    js_set(o, "at_us", js_new_int(r->at_us));
    js_set(o, "last_us", js_new_int(r->last_us));
    js_set(o, "threads", js_new_int(r->threads));
    js_set(o, "answers", js_new_int(r->n_answers));
    js_set(o, "failures", js_new_int(r->n_failures));
    return o;
}

enum { COLUMNS = 9, WIDTH_MAX = 44 };
static const char *const titles[COLUMNS] = { "WHEN",     "TASK",     "PROVIDER", "MODEL", "ANSWERS",
                                             "FAILED", "EVIDENCE", "MACHINE", "RUN" };

/* One line's cells. Names may come from an imported file: nothing in them acts on a terminal. */
typedef struct line_cells {
    char text[COLUMNS][WIDTH_MAX * 4 + 1];
} line_cells;

static void set_cell(char *to, const char *from)
{
    size_t at = 0;
    for (size_t i = 0, n = strlen(from), count = 0; i < n && count < WIDTH_MAX; count++) {
        uint32_t c;
        size_t len = utf8_decode(from + i, n - i, &c);
        bool plain = len && c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c < 0x2000;
        memcpy(to + at, plain ? from + i : "?", plain ? len : 1);
        at += plain ? len : 1;
        i += len ? len : 1;
    }
    to[at] = 0;
}

static void fill_cells(const ledger_run_row *r, line_cells *c)
{
    char set[WIDTH_MAX + 1], answers[16], failed[16], when[CLOCK_TEXT], evidence[13];
    snprintf(set, sizeof set, "%.8s %.16s %.16s", r->machine, r->isa[0] ? r->isa : "-", r->power[0] ? r->power : "-");
    snprintf(answers, sizeof answers, "%7u", r->n_answers);
    snprintf(failed, sizeof failed, "%6u", r->n_failures);
    snprintf(evidence, sizeof evidence, "%.12s", r->evidence_id);
    const char *const cells[COLUMNS] = { clock_utc_text(r->at_us, when), r->task[0] ? r->task : "-", r->provider,
                                         r->model_name, answers, failed, evidence, set, r->id };
    for (size_t k = 0; k < COLUMNS; k++)
        set_cell(c->text[k], cells[k]);
}

static void print_runs(const ledger_runs *runs, size_t from)
{
    size_t width[COLUMNS];
    line_cells c;
    for (size_t k = 0; k < COLUMNS; k++)
        width[k] = strlen(titles[k]);
    for (size_t i = from; i < runs->n; i++) {
        fill_cells(&runs->rows[i], &c);
        for (size_t k = 0; k < COLUMNS; k++) {
            size_t n = utf8_count(c.text[k], strlen(c.text[k]));
            width[k] = n > width[k] ? n : width[k];
        }
    }
    for (size_t k = 0; k < COLUMNS; k++)
        printf("%-*s%s", k + 1 < COLUMNS ? (int)width[k] : 0, titles[k], k + 1 < COLUMNS ? "  " : "\n");
    for (size_t i = from; i < runs->n; i++) {
        fill_cells(&runs->rows[i], &c);
        for (size_t k = 0; k < COLUMNS; k++) {
            int pad = (int)(width[k] - utf8_count(c.text[k], strlen(c.text[k])));
            printf("%s%*s%s", c.text[k], k + 1 < COLUMNS ? pad : 0, "", k + 1 < COLUMNS ? "  " : "\n");
        }
    }
}

static int verb_list(const job *j, int n, char **words)
{
    ledger *l = NULL;
    ledger_runs runs = { 0 };
    error err = { 0 };
    if (n > 1)
        return usage_error("ledger", "list takes one task at most");
    int code = opened(&l, LEDGER_READ);
    if (code)
        return code;
    size_t from = 0;
    if (ledger_find_runs(l, n ? words[0] : NULL, &runs, &err))
        code = report("ledger", &err);
    while (from < runs.n && runs.rows[from].at_us < j->since_us)
        from++;
    if (!code && j->json) {
        js *list = js_array(), *doc = js_object();
        for (size_t i = from; i < runs.n; i++)
            js_push(list, run_js(&runs.rows[i]));
        js_set(doc, "runs", list);
        code = cli_print_json(doc, "ledger");
    } else if (!code && from < runs.n) {
        print_runs(&runs, from);
    } else if (!code) {
        fprintf(stderr, "hearth ledger: no runs%s%s%s%s\n", n ? " of " : "", n ? words[0] : "",
                j->since ? " since " : "", j->since ? j->since : "");
    }
    ledger_runs_close(&runs);
    ledger_close(&l);
    return code;
}

static int verb_show(const job *j, int n, char **words)
{
    ledger *l = NULL;
    if (n != 1)
        return usage_error("ledger", "show takes one task or id");
    int code = opened(&l, LEDGER_READ);
    if (!code)
        code = ledger_show(l, words[0], j->json);
    ledger_close(&l);
    return code;
}

/* ---- export, import ---- */

typedef struct sink {
    FILE *f;
    const char *name;
} sink;

static status write_file(void *user, const char *bytes, size_t n, error *err)
{
    sink *x = user;
    return fwrite(bytes, 1, n, x->f) == n ? OK : fail(err, E_IO, "%s: %s", x->name, strerror(errno));
}

/* A new file, the owner's alone: it holds prompts and answers. */
static status open_sink(const char *to, sink *out, error *err)
{
    *out = (sink){ stdout, "standard output" };
    if (!to)
        return OK;
    int fd;
    status s = file_open_new(&fd, to, 0600, err);
    if (s)
        return s;
    *out = (sink){ fdopen(fd, "w"), to };
    if (out->f)
        return OK;
    s = fail(err, E_IO, "%s: %s", to, strerror(errno));
    close(fd);
    return s;
}

static status close_sink(sink *x, const char *to, status s, error *err)
{
    if (!to)
        return s;
    if (fclose(x->f) != 0 && !s)
        s = fail(err, E_IO, "%s: %s", to, strerror(errno));
    if (s)
        unlink(to);
    return s;
}

static int verb_export(const job *j, int n, char **words)
{
    bool csv = j->format && strcmp(j->format, "csv") == 0;
    ledger *l = NULL;
    error err = { 0 };
    sink x;
    uint64_t rows = 0;
    if (n > 1)
        return usage_error("ledger", "export takes one task at most");
    if (j->format && !csv && strcmp(j->format, "jsonl") != 0)
        return usage_error("ledger", "--format %s: must be jsonl or csv", j->format);
    if (j->json && !j->to)
        return usage_error("ledger", "export --json needs --to FILE: standard output is the export");
    int code = opened(&l, LEDGER_READ);
    if (code)
        return code;
    ledger_part part = { n ? words[0] : NULL, j->since_us };
    status s = open_sink(j->to, &x, &err);
    if (!s) {
        s = (csv ? ledger_export_csv : ledger_export_jsonl)(l, &part, write_file, &x, &rows, &err);
        s = close_sink(&x, j->to, s, &err);
    }
    ledger_close(&l);
    if (s)
        return report("ledger", &err);
    if (j->json) {
        js *doc = js_object();
        js_set(doc, "file", js_new_string(j->to));
        js_set(doc, "rows", js_new_int((int64_t)rows));
        return cli_print_json(doc, "ledger");
    }
    fprintf(stderr, "%llu rows\n", (unsigned long long)rows);
    return EXIT_OK;
}

static status read_file(void *user, char *bytes, size_t room, size_t *n, error *err)
{
    const int *fd = user;
    ssize_t got;
    do {
        got = read(*fd, bytes, room);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail(err, E_IO, "the file: %s", strerror(errno));
    *n = (size_t)got;
    return OK;
}

static int verb_import(const job *j, int n, char **words)
{
    ledger *l = NULL;
    error err = { 0 };
    ledger_imported got = { 0 };
    if (n != 1)
        return usage_error("ledger", "import takes one FILE");
    bool standard = strcmp(words[0], "-") == 0;
    int fd = standard ? STDIN_FILENO : open(words[0], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)fail(&err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", words[0], strerror(errno));
        return report("ledger", &err);
    }
    int code = opened(&l, LEDGER_WRITE);
    if (!code && ledger_import(l, standard ? "standard input" : words[0], read_file, &fd, &got, &err))
        code = report("ledger", &err);
    ledger_close(&l);
    if (!standard)
        close(fd);
    if (code)
        return code;
    if (j->json) {
        js *doc = js_object();
        js_set(doc, "rows", js_new_int((int64_t)got.n_rows));
        js_set(doc, "new", js_new_int((int64_t)got.n_new));
        return cli_print_json(doc, "ledger");
    }
    printf("%llu rows, %llu of them new\n", (unsigned long long)got.n_rows, (unsigned long long)got.n_new);
    return EXIT_OK;
}

/* ---- verify, purge ---- */

static status count_tables(ledger *l, js *counts, error *err)
{
    status s = OK;
    const char *name;
    for (size_t i = 0; !s && (name = ledger_table_name(i)); i++) {
        uint64_t n = 0;
        s = ledger_count_rows(l, name, &n, err);
        js_set(counts, name, js_new_int((int64_t)n));
    }
    return s;
}

static void print_verified(const ledger *l, const js *counts)
{
    js_member m = { 0 };
    printf("%s: nothing is wrong:", ledger_path(l));
    for (const char *comma = ""; js_next(counts, &m); comma = ",")
        printf("%s %s %s", comma, js_text(m.value), m.key);
    printf("\n");
}

static int verb_verify(const job *j, int n, char **words)
{
    ledger *l = NULL;
    error err = { 0 };
    (void)words;
    if (n)
        return usage_error("ledger", "verify takes no further words");
    int code = opened(&l, LEDGER_READ);
    if (code)
        return code;
    js *counts = js_object();
    status s = ledger_verify(l, &err);
    if (!s)
        s = count_tables(l, counts, &err);
    if (s && s != E_FORMAT) {
        code = report("ledger", &err);
    } else if (j->json) {
        js *doc = js_object();
        js_set(doc, "ledger", js_new_string(ledger_path(l)));
        js_set(doc, "schema", js_new_int(LEDGER_VERSION));
        js_set(doc, "ok", js_new_bool(!s));
        js_set(doc, "fault", s ? js_new_string(err.text) : js_null());
        js_set(doc, "rows", js_copy(counts));
        code = cli_print_json(doc, "ledger");
    } else if (s) {
        report("ledger", &err);
    } else {
        print_verified(l, counts);
    }
    js_free(counts);
    ledger_close(&l);
    return s && code == EXIT_OK ? EXIT_NO : code;
}

/* A word that names no task would purge nothing and say so too quietly. */
static int task_is_known(const char *name)
{
    ledger *l = NULL;
    ledger_runs runs = { 0 };
    error err = { 0 };
    status s = ledger_open(&l, NULL, LEDGER_READ, &err);
    if (!s && name)
        s = ledger_find_runs(l, name, &runs, &err);
    if (!s && name && runs.n == 0)
        s = fail(&err, E_NOTFOUND, "%s: has no run of a task '%s'", ledger_path(l), name);
    ledger_runs_close(&runs);
    ledger_close(&l);
    return s ? report("ledger", &err) : EXIT_OK;
}

static int verb_purge(const job *j, int n, char **words)
{
    ledger *l = NULL;
    error err = { 0 };
    uint64_t deleted = 0;
    if (n > 1 || (n == 1) == j->all)
        return usage_error("ledger", "purge takes one task, or --all");
    int code = task_is_known(n ? words[0] : NULL);
    if (!code)
        code = opened(&l, LEDGER_WRITE);
    if (!code && ledger_purge_text(l, n ? words[0] : NULL, &deleted, &err))
        code = report("ledger", &err);
    ledger_close(&l);
    if (code)
        return code;
    if (j->json) {
        js *doc = js_object();
        js_set(doc, "texts", js_new_int((int64_t)deleted));
        return cli_print_json(doc, "ledger");
    }
    printf("%llu text%s deleted\n", (unsigned long long)deleted, deleted == 1 ? "" : "s");
    return EXIT_OK;
}

/* ---- which verb ---- */

enum { TAKES_SINCE = 1, TAKES_FILE = 2, TAKES_ALL = 4 };
static const struct {
    verb_words words;
    verb_fn *run;
    int takes;
} verbs[] = {
    { { "list", NULL }, verb_list, TAKES_SINCE },
    { { "show", NULL }, verb_show, 0 },
    { { "export", NULL }, verb_export, TAKES_SINCE | TAKES_FILE },
    { { "import", NULL }, verb_import, 0 },
    { { "verify", NULL }, verb_verify, 0 },
    { { "purge", NULL }, verb_purge, TAKES_ALL },
};
static const verb_table all_verbs = VERB_TABLE("ledger", verbs);

int cmd_ledger(int argc, char **argv)
{
    job j = { 0 };
    const option options[] = {
        { "since", 0, OPTION_TEXT, &j.since, "DATE", "list, export: only runs from this day on (2026-11-23, UTC)" },
        { "format", 0, OPTION_TEXT, &j.format, "FORMAT", "export: jsonl (default) or csv" },
        { "to", 0, OPTION_TEXT, &j.to, "FILE", "export: a file that is not there yet" },
        { "all", 0, OPTION_FLAG, &j.all, NULL, "purge: the texts of all tasks" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document on standard output" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n == 0)
        return verbs_unknown(&all_verbs, NULL);
    if (j.since && !input_date(j.since, &j.since_us))
        return usage_error("ledger", "--since %s: must be a date such as 2026-11-23", j.since);
    size_t i = verbs_find(&all_verbs, argv[1]);
    if (i == all_verbs.n)
        return verbs_unknown(&all_verbs, argv[1]);
    int given = (j.since ? TAKES_SINCE : 0) | (j.format || j.to ? TAKES_FILE : 0) | (j.all ? TAKES_ALL : 0);
    if (given & ~verbs[i].takes)
        return usage_error("ledger", "%s takes none of these options", argv[1]);
    return verbs[i].run(&j, (int)n - 1, argv + 2);
}
