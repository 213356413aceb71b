/* grade_command.c: a grader that is a program of the task's author. It gets one JSON object on its standard input,
 * {"case", "input", "expected", "answer"}, and writes one to its standard output, {"score", "outcome"?, "reason"?}.
 * Anything else that it does is the task's fault and an error: a broken grader never makes an answer wrong. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "task/task_int.h"

enum { OUTPUT_MAX = 64 << 10, INPUT_MAX = 64 << 20, FILES_MAX = 64, TIMEOUT_MS = 10000, ERRORS_TOLD = 300 };

typedef struct command_rules {
    char *path;
    size_t n_args;
    const char *const *args;
    int64_t timeout_ms, processes;
    uint64_t memory;
} command_rules;

/* ---- reading ---- */

/* A path of the task's folder, which it must not leave. */
static bool stays_inside(const char *path)
{
    return *path && *path != '/' && strcmp(path, "..") != 0 && !str_starts(path, "../") && !strstr(path, "/../") &&
           !str_ends(path, "/..");
}

static char *in_folder(task_reader *r, const char *path)
{
    size_t n = strlen(r->t->dir) + strlen(path) + 2;
    char *full = arena_alloc(r->a, n);
    if (full)
        snprintf(full, n, "%s/%s", r->t->dir, path);
    return full;
}

/* What is graded with is part of the grader's digest: a changed script grades anew. */
static status add_file(task_reader *r, const yaml *at, const char *path, bool needed)
{
    char *known = r->t->memory->files, both[2 * DIGEST_HEX] = "", *full = in_folder(r, path);
    error why = { 0 };
    struct task_path *kept = full ? arena_alloc(r->a, sizeof *kept) : NULL;
    if (!kept)
        return task_no_memory(r->err);
    *kept = (struct task_path){ r->t->memory->paths, full };
    r->t->memory->paths = kept;
    memcpy(both, known, strlen(known));
    status s = digest_file(full, both + strlen(known), &why);
    if (s == E_NOMEM)
        return task_no_memory(r->err);
    if (s)
        return needed ? yaml_error(r->f, at, r->err, "%s", why.text) : OK;
    digest_of(both, strlen(both), known);
    return OK;
}

static status read_files(task_reader *r, const yaml *map, const command_rules *c)
{
    const yaml *files = yaml_get(map, "files"), *args = yaml_get(map, "args");
    const char *const *list = NULL;
    size_t n = 0;
    status s = OK;
    for (size_t i = 0; i < c->n_args && !s; i++)
        if (stays_inside(c->args[i]))
            s = add_file(r, args, c->args[i], false);
    if (!s && files)
        s = task_read_texts(r, files, FILES_MAX, &list, &n);
    for (size_t i = 0; i < n && !s; i++)
        s = stays_inside(list[i]) ? add_file(r, files, list[i], true)
                                  : yaml_error(r->f, files, r->err, "'%.200s' is not in the task's folder", list[i]);
    return s;
}

static status read_memory(task_reader *r, const yaml *map, uint64_t *out)
{
    const yaml *memory = yaml_get(map, "memory");
    const char *text = NULL;
    if (!memory)
        return OK;
    status s = task_read_text(r, memory, &text);
    if (!s && (!str_bytes(text, out) || *out < 1 << 20))
        s = yaml_error(r->f, memory, r->err, "'memory' is a size such as 512M, at least 1M");
    return s;
}

static grade_run_with run_command;

status read_command(task_reader *r, const yaml *map, task_grader *g)
{
    const yaml *run = yaml_get(map, "run"), *args = yaml_get(map, "args");
    command_rules *c = arena_alloc(r->a, sizeof *c);
    const char *path = NULL;
    if (!run)
        return yaml_error(r->f, map, r->err, "the grader 'command' needs 'run', a program");
    if (!c)
        return task_no_memory(r->err);
    *c = (command_rules){ .timeout_ms = TIMEOUT_MS, .memory = 1ull << 30 };
    g->own = c;
    g->run_with = run_command;
    status s = task_read_text(r, run, &path);
    if (!s && args)
        s = task_read_texts(r, args, COMMAND_ARGS_MAX, &c->args, &c->n_args);
    if (!s)
        s = task_read_int(r, map, "timeout_ms", 1, 600000, &c->timeout_ms);
    if (!s)
        s = task_read_int(r, map, "processes", 0, 1000, &c->processes);
    if (!s)
        s = read_memory(r, map, &c->memory);
    if (s)
        return s;
    if (*path != '/' && !stays_inside(path))
        return yaml_error(r->f, run, r->err, "'run' is a file of the task's folder, or a path from '/'");
    c->path = *path == '/' ? arena_strndup(r->a, path, strlen(path)) : in_folder(r, path);
    if (!c->path)
        return task_no_memory(r->err);
    s = *path == '/' ? OK : add_file(r, run, path, true);
    return s ? s : read_files(r, map, c);
}

const char *command_program(const task_grader *g)
{
    return g->run_with == run_command ? ((const command_rules *)g->own)->path : NULL;
}

/* ---- running ---- */

static void write_input(const task_case *c, span answer, buf *out)
{
    buf_str(out, "{\"case\":");
    js_write_string(out, c->id, strlen(c->id));
    buf_str(out, ",\"input\":");
    js_write(c->input, JS_COMPACT, out);
    buf_str(out, ",\"expected\":");
    js_write(c->expected, JS_COMPACT, out);
    buf_str(out, ",\"answer\":");
    js_write_string(out, answer.p, answer.n);
    buf_str(out, "}\n");
}

/* What the program wrote may hold text of the case: it is only told where that may be kept. */
static bool may_tell(const task *t)
{
    return t->synthetic || t->privacy == PRIVACY_PUBLIC || t->privacy == PRIVACY_INTERNAL;
}

static void tell_reason(const task *t, const js *reason, grade *out)
{
    if (!may_tell(t) || !js_is(reason, JS_STRING))
        return;
    snprintf(out->reason, sizeof out->reason, "%.*s", (int)sizeof out->reason - 4, js_text(reason));
    for (char *p = out->reason; *p; p++)
        *p = (unsigned char)*p < ' ' || *p == 127 ? ' ' : *p;
    size_t n = strlen(out->reason);
    while (n && !utf8_valid(out->reason, n))
        out->reason[--n] = 0;
}

/* NULL, or what is wrong with the verdict. */
static const char *read_verdict(const task *t, const task_grader *g, const js *v, grade *out)
{
    static const char *const keys[] = { "score", "outcome", "reason" };
    const js *outcome = js_get(v, "outcome"), *reason = js_get(v, "reason");
    grade_outcome said = GRADE_WRONG;
    double score = 0;
    if (!js_is(v, JS_OBJECT) || js_known_keys(v, keys, ARRAY_LEN(keys), "", NULL) != OK)
        return "it must write one object with 'score', and perhaps 'outcome' and 'reason'";
    if (!js_double(js_get(v, "score"), &score) || !(score >= 0 && score <= 1))
        return "'score' must be a number from 0 to 1";
    if (outcome && (!js_is(outcome, JS_STRING) || !grade_outcome_parse(js_text(outcome), &said)))
        return "'outcome' must be pass, wrong or malformed";
    if (reason && !js_is(reason, JS_STRING))
        return "'reason' must be a text";
    if (outcome && said == GRADE_MALFORMED) {
        (void)grade_malformed(out, "the command calls it malformed");
    } else {
        grade_score(g, score, out);
        if (outcome && said != out->outcome)
            return "'outcome' contradicts 'score' and the grader's threshold";
    }
    if (out->outcome != GRADE_PASS)
        tell_reason(t, reason, out);
    return NULL;
}

static status bad_program(const task *t, const task_case *c, const command_rules *r, const char *how,
                          const char *errors, error *err)
{
    bool tell = *errors && may_tell(t);
    size_t n = strlen(errors), from = n > ERRORS_TOLD ? n - ERRORS_TOLD : 0; /* the end says what was the matter */
    while (((unsigned char)errors[from] & 0xC0) == 0x80)
        from++;
    return fail(err, E_FORMAT, "%s: the grader 'command' failed on case '%s': %s: %s%s%s", t->path, c->id, r->path,
                how, tell ? ": " : "", tell ? errors + from : "");
}

static status judge_output(const task *t, const task_grader *g, const task_case *c, const command_job *cmd,
                           const command_result *r, grade *out, error *err)
{
    char how[120];
    js *v = NULL;
    if (r->end != COMMAND_EXITED || r->code != 0)
        return bad_program(t, c, g->own, command_how_ended(cmd, r, how, sizeof how), r->errors, err);
    status s = js_parse(&v, buf_text(&r->output), r->output.len, "output", 1, NULL);
    if (s == E_NOMEM)
        return task_no_memory(err);
    const char *wrong = s ? "what it wrote is no JSON" : read_verdict(t, g, v, out);
    js_free(v);
    return wrong ? bad_program(t, c, g->own, wrong, r->errors, err) : OK;
}

static status run_command(const task *t, const task_grader *g, const task_case *c, span answer, const grade_with *with,
                          grade *out, error *err)
{
    const command_rules *rules = g->own;
    command_result r;
    buf input = BUF_INIT(INPUT_MAX);
    if (!with->tools || !with->tools->run)
        return grade_missing(t, g, "to run a program, which is not done here", err);
    write_input(c, answer, &input);
    status s = buf_ok(&input, "the input of a grader", err);
    command_job cmd = { .path = rules->path, .args = rules->args, .n_args = rules->n_args, .dir = t->dir,
                    .input = buf_text(&input), .n_input = input.len, .wall_ms = (uint32_t)rules->timeout_ms,
                    .memory_bytes = rules->memory, .output_max = OUTPUT_MAX,
                    .processes = (uint32_t)rules->processes };
    if (!s)
        s = with->tools->run(with->tools->user, &cmd, &r, err);
    if (!s) {
        s = judge_output(t, g, c, &cmd, &r, out, err);
        command_result_clear(&r);
    }
    buf_clear(&input);
    return s;
}
