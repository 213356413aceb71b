/* What graders need besides the text: the answer of a task with tools (measure_task against a scripted asker), who may
 * judge whom, facts. `test_tools grade DIR FILE` grades answers (FILE: a JSON list of texts, one
 * a case) with the real models of the task in DIR, for test_judge.py and test_calls.py. */
#include "lib/check.h"
#include "lib/own_ledger.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "measure/measure.h"
#include "measure/tools.h"
#include "task/evidence.h"
#include "task/task.h"

static task *make(const char *privacy, const char *more, const char *graders)
{
    char text[4000];
    task *t = NULL;
    int n = snprintf(text, sizeof text, "hearth: 1\nid: demo\nprivacy: %s\nprompt: '{{input}}'\n%s\ngraders:\n%s\n"
                     "bar: 0.5\n", privacy, more, graders);
    assert_ok(task_parse(&t, text, (size_t)n, "demo", err));
    static const char cases[] = "{\"id\":\"c1\",\"input\":\"Rome?\",\"expected\":"
                                "[{\"name\":\"weather\",\"arguments\":{\"city\":\"Rome\"}}]}\n";
    assert_ok(task_parse_cases(t, cases, sizeof cases - 1, err));
    return t;
}

/* ---- calls ---- */

typedef struct step {
    event_kind kind;
    const char *text; /* CALL: the name */
} step;

typedef struct asker {
    const step *steps;
    size_t n;
    answer_finish finish;
    const js *tools;
    request_tool_choice choice;
    request_kind kind;
} asker;

static status ask(void *user, const request *r, event_fn *fn, void *fn_user, const provider_limits *limits, error *none)
{
    asker *a = user;
    event_call call = { .index = 0, .id = "x", .name = "", .complete = true };
    event_done end = { .finish = a->finish, .prompt_tokens = 12, .completion_tokens = 2, .prefill_seconds = 1e-6,
                       .decode_seconds = 1e-6, .ttft_seconds = 1e-6, .mean_logprob = -0.5, .model_digest = "weights",
                       .numerics = "1", .model = "m" };
    (void)limits;
    (void)none;
    a->tools = r->tools;
    a->choice = r->tool_choice;
    a->kind = r->kind;
    assert_ok(request_check(r, err));
    for (size_t i = 0; i < a->n; i++) {
        const step *s = &a->steps[i];
        if (s->kind == EVENT_CALL) {
            call.index += i > 0;
            call.name = s->text;
        }
        event e = { .kind = s->kind, .text = s->text, .text_bytes = strlen(s->text), .call = &call };
        if (fn(fn_user, &e))
            end.finish = ANSWER_CANCELLED;
    }
    (void)fn(fn_user, &(event){ .kind = EVENT_DONE, .end = &end });
    return OK;
}

static const provider_info local_info = { .name = "local:m.gguf", .kind = PROVIDER_LOCAL, .place = PLACE_LOCAL,
                                          .model = "m.gguf", .model_digest = "weights", .url = "", .numerics = "1",
                                          .kv_type = "f16", .isa = "avx2", .arch = "x", .file_type = "Q4_1",
                                          .n_threads = 2, .has_template = false };

static void answers_that_call(void **state)
{
    (void)state;
    static const char tools[] = "tools: [{type: function, function: {name: weather}}]\n"
                                "tool_choice: required";
    static const step right[] = { { EVENT_TEXT, "Let me see. " }, { EVENT_CALL, "weather" },
                                  { EVENT_ARGUMENTS, "{\"city\": " }, { EVENT_ARGUMENTS, "\"Rome\"}" },
                                  { EVENT_CALL_END, "" } };
    static const step two[] = { { EVENT_CALL, "weather" }, { EVENT_ARGUMENTS, "{\"city\":\"Rome\"}" },
                                { EVENT_CALL, "weather" }, { EVENT_CALL_END, "" } };
    static const step broken[] = { { EVENT_CALL, "weather" }, { EVENT_ARGUMENTS, "{\"city\": \"Ro" } };
    static const step text[] = { { EVENT_TEXT, "Sunny." } };
    static const struct {
        const step *steps;
        size_t n;
        answer_finish finish;
        uint32_t pass, wrong, malformed;
        const char *kept;
    } rows[] = {
        { right, 5, ANSWER_TOOL_CALLS, 1, 0, 0, "[{\"arguments\":{\"city\":\"Rome\"},\"name\":\"weather\"}]" },
        { two, 4, ANSWER_TOOL_CALLS, 0, 1, 0, "[{\"arguments\":{\"city\":\"Rome\"},\"name\":\"weather\"},"
                                              "{\"arguments\":{},\"name\":\"weather\"}]" },
        { broken, 2, ANSWER_LENGTH, 0, 0, 1, "[{\"arguments\":\"{\\\"city\\\": \\\"Ro\",\"name\":\"weather\"}]" },
        { text, 1, ANSWER_STOP, 0, 1, 0, "Sunny." },
    };
    task *t = make("public", tools, "  - type: tool-call");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        asker a = { .steps = rows[i].steps, .n = rows[i].n, .finish = rows[i].finish };
        measure_options o = { .fresh = true };
        measure_result r = { 0 };
        ledger *l = NULL;
        ledger_rows answers = { 0 };
        char *kept = NULL;
        assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
        assert_ok(measure_task(l, t, &local_info, ask, &a, &o, &r, err));
        assert_true(a.tools == t->tools && a.choice == TOOLS_REQUIRED && a.kind == REQUEST_CHAT);
        if (r.n_pass != rows[i].pass || r.n_wrong != rows[i].wrong || r.n_malformed != rows[i].malformed)
            fail_msg("row %zu: %u pass, %u wrong, %u malformed", i, r.n_pass, r.n_wrong, r.n_malformed);
        assert_ok(ledger_find_answers(l, "demo", r.evidence, &answers, err));
        bool found = false;
        for (size_t k = 0; k < answers.n; k++) {
            assert_ok(ledger_find_text(l, answers.rows[k].text, &kept, err));
            found = found || !strcmp(kept, rows[i].kept);
            mem_free(kept);
        }
        if (!found)
            fail_msg("row %zu: no answer %s", i, rows[i].kept);
        ledger_rows_close(&answers);
        ledger_close(&l);
    }
    task_close(&t);
}

/* Calls where nobody offered tools are no answer. */
static void calls_without_tools(void **state)
{
    (void)state;
    static const step steps[] = { { EVENT_CALL, "weather" }, { EVENT_ARGUMENTS, "{}" } };
    task *t = make("public", "", "  - type: tool-call");
    asker a = { .steps = steps, .n = 2, .finish = ANSWER_TOOL_CALLS };
    measure_options o = { 0 };
    measure_result r = { 0 };
    ledger *l = NULL;
    provider_info chat = local_info;
    chat.has_template = true;
    assert_ok(ledger_open(&l, path, LEDGER_WRITE, err));
    assert_ok(measure_task(l, t, &chat, ask, &a, &o, &r, err));
    assert_int_equal(r.n_failed, 1);
    assert_int_equal(r.n, 0);
    ledger_close(&l);
    task_close(&t);
}

/* ---- who may judge ---- */

static const char judged[] = "  - {type: judge, model: J, rubric: '{{answer}}'}";

static void nobody_judges_itself(void **state)
{
    (void)state;
    task *t = make("public", "", judged);
    provider_info a = local_info, b = local_info;
    error err = { 0 };
    b.name = "another-name";
    b.model = "renamed.gguf";
    assert_int_equal(judge_is_another(t, &a, &b, &err), E_DENIED);
    assert_non_null(strstr(err.text, "the same weights"));
    b.model_digest = "other weights";
    assert_int_equal(judge_is_another(t, &a, &b, &err), OK);
    provider_info cloud = { .name = "cloud", .kind = PROVIDER_OPENAI, .place = PLACE_REMOTE, .url = "https://x/v1",
                            .model = "big", .model_digest = "", .numerics = "", .kv_type = "" }, other = cloud;
    other.name = "openai:https://x/v1#big";
    assert_int_equal(judge_is_another(t, &cloud, &other, &err), E_DENIED);
    other.model = "small";
    assert_int_equal(judge_is_another(t, &cloud, &other, &err), OK);
    assert_int_equal(judge_is_another(t, &cloud, &a, &err), OK); /* two unknown digests are not the same weights */
    task_close(&t);
}

static void privacy(void **state)
{
    (void)state;
    static const struct {
        const char *privacy, *more;
        provider_kind kind;
        provider_place place;
        status wanted;
    } rows[] = {
        { "public", "", PROVIDER_OPENAI, PLACE_REMOTE, OK },
        { "internal", "", PROVIDER_OPENAI, PLACE_REMOTE, E_DENIED },
        { "internal", "", PROVIDER_OPENAI, PLACE_ON_PREMISES, OK },
        { "private", "", PROVIDER_OPENAI, PLACE_REMOTE, E_DENIED },
        { "private", "", PROVIDER_OPENAI, PLACE_ON_PREMISES, E_DENIED },
        { "private", "", PROVIDER_LOCAL, PLACE_LOCAL, OK },
        { "private", "", PROVIDER_REPLAY, PLACE_REMOTE, OK },
        { "private", "cases: synthetic", PROVIDER_OPENAI, PLACE_REMOTE, OK },
        { "secret", "", PROVIDER_OPENAI, PLACE_REMOTE, E_DENIED },
        { "secret", "", PROVIDER_LOCAL, PLACE_LOCAL, OK },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        task *t = make(rows[i].privacy, rows[i].more, judged);
        error err = { 0 };
        if (judge_allowed(t, "J", rows[i].kind, rows[i].place, &err) != rows[i].wanted)
            fail_msg("row %zu: %s", i, err.text);
        task_close(&t);
    }
}

/* Refused before anything opens: the models named here do not exist. */
static void opening(void **state)
{
    (void)state;
    static const char config_text[] =
        "version: 1\nproviders:\n  - {name: J, kind: openai, url: 'https://x.example/v1', model: big}\n"
        "  - {name: here, kind: openai, url: 'http://10.0.0.7/v1', model: big, place: on-premises}\n";
    config *cfg = NULL;
    measure_tools *m = NULL;
    error why = { 0 };
    char a[DIGEST_HEX], b[DIGEST_HEX];
    assert_ok(config_parse(&cfg, config_text, sizeof config_text - 1, "config.yaml", err));
    task *t = make("private", "", judged);
    assert_int_equal(measure_tools_open(&m, t, cfg, &why), E_DENIED);
    assert_null(m);
    task_close(&t);
    t = make("public", "", "  - {type: similarity, model: here, threshold: 0.5}");
    assert_int_equal(measure_tools_open(&m, t, cfg, &why), E_UNSUPPORTED);
    assert_non_null(strstr(why.text, "needs a local model"));
    task_close(&t);
    t = make("public", "", "  - {type: judge, model: 'local:/nowhere.gguf', rubric: '{{answer}}'}");
    assert_int_not_equal(measure_tools_open(&m, t, cfg, &why), OK);
    assert_null(m);
    assert_ok(measure_tools_bind(t, cfg, err)); /* who only reads grades is told nothing: none of them count */
    task_close(&t);
    /* two names of one server are one judge; opened or not, it is the same grader */
    t = make("public", "", judged);
    assert_ok(measure_tools_open(&m, t, cfg, err));
    assert_ok(task_grader_digest(t, a, err));
    provider_info contestant = { .name = "other-name", .kind = PROVIDER_OPENAI, .url = "https://x.example/v1",
                                 .model = "big", .model_digest = "" };
    assert_int_equal(measure_tools_check(m, &contestant, &why), E_DENIED);
    assert_ok(measure_tools_check(m, &local_info, err));
    measure_tools_close(&m);
    assert_ok(grade_bind_models(t, "", err));
    assert_ok(measure_tools_bind(t, cfg, err));
    assert_ok(task_grader_digest(t, b, err));
    assert_string_equal(a, b);
    task_close(&t);
    t = make("public", "", "  - type: tool-call"); /* names no model: nothing opens, nothing is bound */
    assert_ok(task_grader_digest(t, a, err));
    assert_ok(measure_tools_open(&m, t, cfg, err));
    assert_ok(measure_tools_check(m, &local_info, err));
    assert_ok(task_grader_digest(t, b, err));
    assert_string_equal(a, b);
    assert_non_null(measure_tools_get(m)->run);
    measure_tools_close(&m);
    task_close(&t);
    config_close(&cfg);
    assert_non_null(measure_tools_get(NULL)->run);
    assert_null(measure_tools_get(NULL)->judge);
}

/* What the ledger kept, in the units of graders; what nobody said stays unknown. */
static void facts(void **state)
{
    (void)state;
    ledger_answer row = { .finish = "stop", .n_prompt = 1000, .n_output = 100, .ttft_us = 1500, .total_us = 20000,
                          .mean_logprob = -0.25 };
    provider_info who = local_info;
    grade_facts f = measure_facts(&row, &who);
    assert_true(f.latency_ms == 20 && f.ttft_ms == 1.5 && f.cost_usd == 0 && f.n_output == 100);
    assert_true(f.mean_logprob == -0.25 && !strcmp(f.finish, "stop"));
    who.kind = PROVIDER_OPENAI;
    who.place = PLACE_REMOTE;
    who.price_input = 0.5;
    who.price_output = 4;
    assert_true(fabs(measure_facts(&row, &who).cost_usd - 0.0009) < 1e-12);
    row.n_cached = row.n_prompt; /* what a provider had read before costs what it says of that */
    who.price_cached = 0.1;
    double saved = (double)row.n_prompt * (who.price_input - who.price_cached) / 1e6;
    assert_true(fabs(measure_facts(&row, &who).cost_usd - (0.0009 - saved)) < 1e-12);
    assert_true(measure_facts(&row, &who).cost_usd == measure_price(&who, &row));
    who.price_output = NAN;
    assert_true(isnan(measure_facts(&row, &who).cost_usd));
    ledger_row kept = { .finish = "length", .n_prompt = 3, .n_output = 4, .ttft_us = -1, .total_us = 5000,
                        .mean_logprob = -0.5 };
    f = measure_facts_kept(&kept, &local_info);
    assert_true(f.latency_ms == 5 && isnan(f.ttft_ms) && f.n_output == 4 && f.cost_usd == 0);
    assert_true(f.mean_logprob == -0.5);
    who.kind = PROVIDER_REPLAY;
    row.total_us = row.ttft_us = -1;
    f = measure_facts(&row, &who);
    assert_true(isnan(f.latency_ms) && isnan(f.ttft_ms) && isnan(f.cost_usd));
}

/* ---- for the tests with real models ---- */

static int complain(const error *err)
{
    fprintf(stderr, "%s\n", err->text);
    return 3;
}

enum { AT_ONCE = 4 };

typedef struct grading {
    const task *t;
    const task_case *c;
    const js *answer;
    const grade_tools *tools;
    grade g;
    status s;
    error err;
} grading;

static void *grade_one_answer(void *user)
{
    grading *x = user;
    x->s = grade_answer_with(x->t, x->c, js_text(x->answer), js_len(x->answer), &grade_facts_unknown, x->tools, &x->g,
                             &x->err);
    return NULL;
}

/* Several at a time, as a run does. */
static status grade_each(task *t, const js *answers, const grade_tools *tools, error *err)
{
    static grading all[AT_ONCE];
    pthread_t threads[AT_ONCE];
    size_t n = js_len(answers) < t->n_cases ? js_len(answers) : t->n_cases;
    for (size_t i = 0; i < n; i += AT_ONCE) {
        size_t some = n - i < AT_ONCE ? n - i : AT_ONCE;
        for (size_t k = 0; k < some; k++) {
            all[k] = (grading){ .t = t, .c = &t->cases[i + k], .answer = js_at(answers, i + k), .tools = tools };
            if (pthread_create(&threads[k], NULL, grade_one_answer, &all[k]) != 0)
                return fail(err, E_NOMEM, "no thread");
        }
        for (size_t k = 0; k < some; k++)
            pthread_join(threads[k], NULL);
        for (size_t k = 0; k < some; k++) {
            if (all[k].s)
                return fail(err, all[k].s, "%s", all[k].err.text);
            printf("%.17g %s %s\n", all[k].g.score, grade_outcome_name(all[k].g.outcome), all[k].g.reason);
        }
    }
    return OK;
}

static int grade_folder(const char *folder, const char *file)
{
    static char text[16 << 20];
    error err = { 0 };
    task *t = NULL;
    config *cfg = NULL;
    js *answers = NULL;
    measure_tools *m = NULL;
    char opened[DIGEST_HEX] = "", bound[DIGEST_HEX] = "";
    FILE *f = fopen(file, "r");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        fclose(f);
    status s = js_parse(&answers, text, n, file, 1, &err);
    if (!s)
        s = task_open(&t, folder, NULL, &err);
    if (!s)
        s = task_load_cases(t, &err);
    if (!s)
        s = config_open(&cfg, NULL, &err);
    if (!s)
        s = measure_tools_open(&m, t, cfg, &err);
    if (!s)
        s = task_grader_digest(t, opened, &err);
    if (!s)
        s = grade_each(t, answers, measure_tools_get(m), &err);
    measure_tools_close(&m);
    if (!s)
        s = measure_tools_bind(t, cfg, &err);
    if (!s)
        s = task_grader_digest(t, bound, &err);
    if (!s)
        printf("%s %s\n", opened, bound);
    config_close(&cfg);
    task_close(&t);
    js_free(answers);
    return s ? complain(&err) : 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "grade"))
        return grade_folder(argv[2], argv[3]);
    const char *build = getenv("HEARTH_BUILD");
    setenv("HEARTH_LIBEXEC", build ? build : "build", 0); /* where the helpers of these programs are */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_that_call, own_ledger_make, own_ledger_remove),
        cmocka_unit_test_setup_teardown(calls_without_tools, own_ledger_make, own_ledger_remove),
        cmocka_unit_test(nobody_judges_itself),
        cmocka_unit_test(privacy),
        cmocka_unit_test(opening),
        cmocka_unit_test(facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
