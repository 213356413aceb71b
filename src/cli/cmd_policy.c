/* cmd_policy.c: hearth policy show | diff | set | rollback | history: what the router is told, in versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/line_diff.h"
#include "cli/verbs.h"
#include "ledger/watch.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "plat/paths.h"
#include "route/policy.h"
#include "task/task.h"

static const usage page = {
    "hearth policy show [N]\n"
    "       hearth policy diff [A] [B]\n"
    "       hearth policy set [FILE] --reason TEXT [--who NAME]\n"
    "       hearth policy rollback N --reason TEXT [--who NAME]\n"
    "       hearth policy history",
    "A policy tells the router what no task folder does: whether what crosses over is applied or only proposed, which\n"
    "share of local answers is compared with the cloud's, for how much money, and which tasks are pinned\n"
    "(docs/REASSESSING.md). Versions are kept in the ledger, and the newest is in force; none is ever removed. No\n"
    "policy lets a request go farther than its class allows.\n"
    "  show      the version in force, or version N\n"
    "  diff      version A and version B, by line; B: the one in force; A: the one before B\n"
    "  set       a new version from FILE (default: policy.yaml beside config.yaml; -: standard input). One that\n"
    "            cannot be read, or that names a task that is not there, is refused, and the old one stays\n"
    "  rollback  a new version with the text of version N\n"
    "  history   all versions: when, who, why\n"
    "example: hearth policy set policy.yaml --reason \"compare one answer in twenty\"\n",
};

typedef struct job {
    bool json;
    const char *reason, *who;
    ledger *l;
    ledger_policies all;
} job;

/* ---- versions ---- */

static status open_versions(job *j, ledger_mode mode, error *err)
{
    status s = ledger_open(&j->l, NULL, mode, err);
    if (s == E_NOTFOUND && mode == LEDGER_READ)
        return OK; /* no ledger, no policy */
    return s ? s : ledger_find_policies(j->l, &j->all, err);
}

static status find_version(const job *j, const char *word, const ledger_policy **out, error *err)
{
    int64_t number = 0;
    if (!str_i64(word, &number) || number < 1)
        return fail(err, E_FORMAT, "'%.40s' is no version: 1, 2, …", word);
    for (size_t i = 0; i < j->all.n; i++)
        if (j->all.rows[i].number == number) {
            *out = &j->all.rows[i];
            return OK;
        }
    return fail(err, E_NOTFOUND, "there is no version %lld: `hearth policy history` lists %zu", (long long)number,
                j->all.n);
}

static const ledger_policy *newest(const job *j)
{
    return j->all.n ? &j->all.rows[j->all.n - 1] : NULL;
}

static js *version_js(const job *j, const ledger_policy *p, bool with_text)
{
    char at[CLOCK_TEXT];
    js *o = js_object();
    js_set(o, "version", js_new_int(p->number));
    js_set(o, "in_force", js_new_bool(p == newest(j)));
    js_set(o, "at", js_new_string(clock_utc_text(p->at_us, at)));
    js_set(o, "who", js_new_string(p->who));
    js_set(o, "reason", js_new_string(p->reason));
    js_set(o, "digest", js_new_string(p->digest));
    if (with_text)
        js_set(o, "text", js_new_string(p->body));
    return o;
}

/* ---- reading verbs ---- */

static int nothing_set(const job *j)
{
    if (j->json)
        return cli_print_json(js_object(), "policy");
    printf("no policy was set: evidence decides at once, nothing is shadowed\n");
    return EXIT_OK;
}

static int verb_show(job *j, int n, char **words, error *err)
{
    const ledger_policy *p = newest(j);
    char at[CLOCK_TEXT];
    if (n > 1)
        return usage_error("policy", "show takes at most one version");
    if (!n && !p)
        return nothing_set(j);
    if (n && find_version(j, words[0], &p, err))
        return report("policy", err);
    if (j->json)
        return cli_print_json(version_js(j, p, true), "policy");
    printf("# version %lld%s, %s, by ", (long long)p->number, p == newest(j) ? ", in force" : "",
           clock_utc_text(p->at_us, at));
    cli_print_text(p->who, "");
    printf(": ");
    cli_print_text(p->reason, "# ");
    printf("\n");
    cli_print_text(p->body, "");
    return EXIT_OK;
}

static int verb_history(job *j, int n, char **words, error *err)
{
    js *list = j->json ? js_array() : NULL;
    char at[CLOCK_TEXT];
    (void)words;
    (void)err;
    if (n)
        return usage_error("policy", "history takes no arguments");
    for (size_t i = 0; i < j->all.n; i++) {
        const ledger_policy *p = &j->all.rows[i];
        if (j->json) {
            js_push(list, version_js(j, p, false));
            continue;
        }
        printf("%4lld  %s  %.12s  ", (long long)p->number, clock_utc_text(p->at_us, at), p->digest);
        cli_print_text(p->who, "");
        printf(": ");
        cli_print_text(p->reason, "      ");
        printf("%s\n", p == newest(j) ? "  (in force)" : "");
    }
    if (j->json)
        return cli_print_json(list, "policy");
    return j->all.n ? EXIT_OK : nothing_set(j);
}

static void tell_line(void *user, char mark, const char *line, size_t bytes)
{
    js *list = user;
    char text[1024];
    snprintf(text, sizeof text, "%c %.*s", mark, (int)(bytes < 1000 ? bytes : 1000), line);
    if (list) {
        js_push(list, js_new_string(text));
        return;
    }
    cli_print_text(text, "");
    printf("\n");
}

static int verb_diff(job *j, int n, char **words, error *err)
{
    const ledger_policy *b = newest(j), *a = NULL;
    if (n > 2)
        return usage_error("policy", "diff takes at most two versions");
    if (!b)
        return nothing_set(j);
    if (n == 2 && find_version(j, words[1], &b, err))
        return report("policy", err);
    if (n >= 1 && find_version(j, words[0], &a, err))
        return report("policy", err);
    if (!a && b->number > 1)
        a = b - 1; /* numbers have no gaps */
    js *list = j->json ? js_array() : NULL;
    if (!j->json && a && strcmp(a->digest, b->digest) == 0)
        printf("no difference\n");
    else if (line_diff(a ? a->body : "", b->body, tell_line, list, err))
        return report("policy", err);
    return j->json ? cli_print_json(list, "policy") : EXIT_OK;
}

/* ---- writing verbs ---- */

/* Every task that the text names is there, and its class allows what is said of it. */
static status check_tasks(const policy *p, error *err)
{
    char dir[4096];
    task_names names = { 0 };
    status s = p->n_tasks ? machine_program_dir(dir, sizeof dir, err) : OK;
    if (!s && p->n_tasks)
        s = task_list(&names, dir, err);
    for (size_t i = 0; !s && i < p->n_tasks; i++) {
        const policy_task *of = &p->tasks[i];
        task *t = NULL;
        error why = { 0 };
        bool named = !strchr(of->id, '/') && !strchr(of->id, '.');
        status opened = named ? task_open(&t, of->id, dir, &why) : E_NOTFOUND;
        const char *near = str_nearest(of->id, names.names, names.n, sizeof *names.names);
        if (opened == E_NOTFOUND)
            s = fail(err, E_NOTFOUND, "%s:%d: there is no task '%.80s'%s%s%s", p->name, of->line, of->id,
                     near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
        else if (opened)
            s = fail(err, opened, "%s:%d: task '%.80s': %s", p->name, of->line, of->id, why.text);
        else
            s = policy_check(p, of, t->privacy, err);
        task_close(&t);
    }
    task_names_clear(&names);
    return s;
}

static int append(job *j, const char *text, const char *name, error *err)
{
    policy *p = NULL;
    int64_t number = 0;
    status s = policy_parse(&p, text, strlen(text), name, err);
    if (!s)
        s = check_tasks(p, err);
    policy_close(&p);
    if (!s) {
        ledger_policy row = { .who = j->who, .reason = j->reason, .body = text };
        s = ledger_append_policy(j->l, &row, &number, err);
    }
    if (s)
        return report("policy", err);
    if (j->json) {
        js *o = js_object();
        js_set(o, "version", js_new_int(number));
        return cli_print_json(o, "policy");
    }
    printf("version %lld is in force\n", (long long)number);
    return EXIT_OK;
}

static int verb_set(job *j, int n, char **words, error *err)
{
    char *usual = NULL;
    buf text = BUF_INIT(LEDGER_POLICY_BYTES_MAX);
    if (n > 1)
        return usage_error("policy", "set takes at most one FILE");
    status s = n ? OK : path_of(&usual, PATH_CONFIG, "policy.yaml", err);
    const char *name = n ? words[0] : usual;
    if (!s)
        s = input_read_file(name, &text, err);
    if (!s && memchr(buf_text(&text), 0, text.len))
        s = fail(err, E_FORMAT, "%s: a zero byte", name);
    int code = s ? report("policy", err) : append(j, buf_text(&text), name, err);
    buf_clear(&text);
    mem_free(usual);
    return code;
}

static int verb_rollback(job *j, int n, char **words, error *err)
{
    const ledger_policy *p = NULL;
    char name[48];
    if (n != 1)
        return usage_error("policy", "rollback takes exactly one version");
    if (find_version(j, words[0], &p, err))
        return report("policy", err);
    snprintf(name, sizeof name, "policy %lld", (long long)p->number);
    return append(j, p->body, name, err);
}

static const struct {
    verb_words words;
    int (*run)(job *j, int n, char **words, error *err);
    bool writes;
} verbs[] = {
    { { "show", NULL }, verb_show, false },
    { { "diff", NULL }, verb_diff, false },
    { { "history", NULL }, verb_history, false },
    { { "set", NULL }, verb_set, true },
    { { "rollback", NULL }, verb_rollback, true },
};

static int run_verb(job *j, size_t at, int n, char **words)
{
    error err = { 0 };
    if (verbs[at].writes && (!j->reason || !j->reason[0]))
        return usage_error("policy", "%s wants --reason TEXT: why is this the policy from now on?",
                           verbs[at].words.name);
    if (!verbs[at].writes && (j->reason || j->who))
        return usage_error("policy", "%s takes none of these options", verbs[at].words.name);
    if (!j->who)
        j->who = getenv("USER") ? getenv("USER") : "";
    int code = open_versions(j, verbs[at].writes ? LEDGER_WRITE : LEDGER_READ, &err)
                   ? report("policy", &err) : verbs[at].run(j, n, words, &err);
    ledger_policies_close(&j->all);
    ledger_close(&j->l);
    return code;
}
static const verb_table all_verbs = VERB_TABLE("policy", verbs);

int cmd_policy(int argc, char **argv)
{
    job j = { 0 };
    size_t n = 0;
    int code = EXIT_OK;
    const option options[] = {
        { "reason", 0, OPTION_TEXT, &j.reason, "TEXT", "set, rollback: why; kept with the version" },
        { "who", 0, OPTION_TEXT, &j.who, "NAME", "set, rollback: whose word it is (default: the user's name)" },
        { "json", 0, OPTION_FLAG, &j.json, NULL, "one JSON document instead of text" },
    };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n == 0)
        return verbs_unknown(&all_verbs, NULL);
    size_t i = verbs_find(&all_verbs, argv[1]);
    return i == all_verbs.n ? verbs_unknown(&all_verbs, argv[1]) : run_verb(&j, i, (int)n - 1, argv + 2);
}
