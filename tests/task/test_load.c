/* Task files: what is read, what is refused and how the refusal is worded; prompts; digests; failing allocations. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/grade.h"
#include "task/lint.h"
#include "task/task.h"

static const char full[] =
    "hearth: 1\n"
    "id: tickets\n"
    "description: Route a ticket.\n"
    "privacy: private\n"
    "messages:\n"
    "  - {role: system, content: Answer with one label.}\n"
    "  - {role: user, content: '{{ text }} from {{who}}'}\n"
    "variants:\n"
    "  local:gemma*: 'Ticket: {{text}} Team:'\n"
    "  local:gemma-3*: 'Long: {{text}}'\n"
    "  cloud: [{role: user, content: '{{text}}'}]\n"
    "output: {kind: label, labels: [billing, no, '1.10']}\n"
    "graders: [{type: label, weight: 2}]\n"
    "bar: 0.85\n"
    "margin: 0.05\n"
    "limits: {latency_p95_ms: 2000, malformed: 0.02}\n"
    "sampling: {temperature: 0, max_tokens: 16, seed: 7, stop: [\"\\n\", END]}\n"
    "cases: synthetic\n"
    "baseline: {rules: [{regex: '(?i)charged (\\w+)', answer: billing}, {regex: '', answer: no}]}\n";

static task *parsed(const char *text)
{
    task *t = NULL;
    assert_ok(task_parse(&t, text, strlen(text), "tasks/tickets", err));
    return t;
}

static void every_field_is_read(void **state)
{
    (void)state;
    task *t = parsed(full);
    assert_string_equal(t->id, "tickets");
    assert_string_equal(t->path, "tasks/tickets/task.yaml");
    assert_int_equal(t->privacy, PRIVACY_PRIVATE);
    assert_true(t->synthetic && !t->caller_prompt && !t->prompt.plain);
    assert_int_equal(t->prompt.n_messages, 2);
    assert_int_equal(t->n_variants, 3);
    assert_int_equal(t->output, TASK_LABEL);
    assert_string_equal(t->labels[1], "no");
    assert_string_equal(t->labels[2], "1.10");
    assert_true(t->bar > .849 && t->bar < .851 && task_margin(t) < .051);
    assert_true(t->limits.latency_p95_ms > 1999 && t->limits.cost_usd < 0);
    assert_int_equal(t->sampling.max_tokens, 16);
    assert_int_equal(t->sampling.repeats, 1);
    assert_int_equal(t->sampling.n_stop, 2);
    assert_string_equal(t->sampling.stop[0], "\n");
    assert_int_equal(t->n_rules, 2);
    task_close(&t);
    assert_null(t);
}

/* Replaces one line of the whole file, or appends, and expects the sentence. */
static void refused(const char *line_start, const char *with, const char *sentence)
{
    char text[4000];
    const char *at = strstr(full, line_start), *end = at ? strchr(at, '\n') + 1 : full + sizeof full - 1;
    at = at ? at : end;
    snprintf(text, sizeof text, "%.*s%s\n%s", (int)(at - full), full, with, end);
    task *t = NULL;
    error err = { 0 };
    status s = task_parse(&t, text, strlen(text), "tasks/tickets", &err);
    if (s == OK || !strstr(err.text, sentence))
        fail_msg("'%s': wanted '%s', got '%s'", with, sentence, s ? err.text : "no error");
    assert_null(t);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    refused("hearth:", "hearth: 2", "task.yaml:1: format 2");
    refused("id:", "id: Tickets", "task.yaml:2: the id");
    refused("id:", "", "'id' is missing");
    refused("privacy:", "privacy: pirvate", "there are: public, internal, private, secret");
    refused("privacy:", "", "'privacy' is missing");
    refused("bar:", "baar: 0.5", "'bar'");
    refused("bar:", "bar: 1.5", "'bar' is 1.5");
    refused("bar:", "bar: '0.5'", "task.yaml:14");
    refused("margin:", "margin: 0", "above 0");
    refused("  - {role: system", "  - {role: sytem, content: x}", "system, user, assistant");
    refused("  - {role: user", "  - {role: user, content: '{{1x}}'}", "is no variable");
    refused("  - {role: user", "  - {role: user, content: '{{x}'}", "is no variable");
    refused("graders:", "graders: [{type: lable}]", "label");
    refused("graders:", "graders: [{type: label, wieght: 1}]", "weight");
    refused("graders:", "graders: [{type: label, weight: 0}]", "weight 0");
    refused("graders:", "graders: [{type: regex, pattern: '(a'}]", "not valid at byte");
    refused("graders:", "graders: []", "1 to 32");
    refused("output:", "output: {kind: json, schema: {properties: {a: {minimum: '1'}}}}", "/properties/a/minimum");
    refused("graders:", "graders: [{type: max-words}]", "needs 'max'");
    refused("graders:", "graders: [{type: json-fields, fields: {a: {type: int}}}]", "any, text, number");
    refused("output:", "output: {kind: text, labels: [a, b]}", "belong to");
    refused("output:", "output: {kind: label}", "'labels' are missing");
    refused("output:", "output: {kind: label, labels: [a, a]}", "there twice");
    refused("cases:", "cases: real", "synthetic");
    refused("limits:", "limits: {latency_p95: 3}", "latency_p95_ms");
    refused("baseline:", "baseline: {rules: [{regex: 'x'}]}", "one of 'answer' and 'fields'");
    refused("append", "prompt: hello", "not both");
    refused("append", "cascade: yes", "'cascade' is a map");
    refused("append", "cascade: {risks: 0.1}", "'risk'");
    refused("append", "cascade: {risk: 0}", "'risk' must be above 0 and below 1");
    refused("append", "cascade: {risk: 1.5}", "'risk' is 1.5");
    refused("append", "cascade: {confidence: 0.5}", "'confidence' must be above 0.5 and below 1");
}

static void a_cascade_has_its_defaults(void **state)
{
    (void)state;
    static const char *const ends[] = { "", "cascade: {}\n", "cascade: {risk: 0.1, confidence: 0.9}\n" };
    static const task_cascade wanted[] = { { false, 0.05, 0.95 }, { true, 0.05, 0.95 }, { true, 0.1, 0.9 } };
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        char text[4000];
        task *t = NULL;
        int n = snprintf(text, sizeof text, "%s%s", full, ends[i]);
        assert_ok(task_parse(&t, text, (size_t)n, "tasks/tickets", err));
        assert_memory_equal(&t->cascade.risk, &wanted[i].risk, 2 * sizeof(double));
        assert_int_equal(t->cascade.asked, wanted[i].asked);
        task_close(&t);
    }
}

static void callers_prompt_needs_a_fixed_system_text(void **state)
{
    (void)state;
    static const char good[] = "hearth: 1\nid: a\nprivacy: public\nprompt: caller\nmessages:\n"
                               "  - {role: system, content: fixed}\n  - {role: user, content: '{{input}}'}\n"
                               "graders: [{type: exact}]\n";
    task *t = parsed(good);
    assert_true(t->caller_prompt);
    char a[DIGEST_HEX], b[DIGEST_HEX];
    assert_int_equal(task_system_digest(t->prompt.messages, t->prompt.n_messages, a, NULL), OK);
    const task_message request[] = { { "system", "fixed" }, { "user", "other" }, { "user", "more" } };
    assert_int_equal(task_system_digest(request, 3, b, NULL), OK);
    assert_string_equal(a, b);
    task_close(&t);
    error err;
    static const char bad[] = "hearth: 1\nid: a\nprivacy: public\nprompt: caller\nmessages:\n"
                              "  - {role: system, content: 'for {{who}}'}\ngraders: [{type: exact}]\n";
    assert_int_equal(task_parse(&t, bad, sizeof bad - 1, "d", &err), E_FORMAT);
    assert_non_null(strstr(err.text, "no variables"));
    static const char quoted[] = "hearth: 1\nid: a\nprivacy: public\nprompt: 'caller'\ngraders: [{type: exact}]\n";
    t = parsed(quoted); /* a text that happens to be that word */
    assert_true(!t->caller_prompt && t->prompt.plain);
    task_close(&t);
}

static js *json(const char *text)
{
    js *v = NULL;
    assert_ok(js_parse(&v, text, strlen(text), "test", 1, err));
    return v;
}

static void prompts_are_chosen_and_filled_in(void **state)
{
    (void)state;
    task *t = parsed(full);
    assert_ptr_equal(task_prompt_for(t, NULL), &t->prompt);
    assert_ptr_equal(task_prompt_for(t, "local:qwen.gguf"), &t->prompt);
    assert_ptr_equal(task_prompt_for(t, "local:gemma-2.gguf"), &t->variants[0]);
    assert_ptr_equal(task_prompt_for(t, "local:gemma-3-270m.gguf"), &t->variants[1]);
    assert_ptr_equal(task_prompt_for(t, "local:/models/x/gemma-3-270m.gguf"), &t->variants[1]);
    assert_ptr_equal(task_prompt_for(t, "cloud"), &t->variants[2]);
    assert_ptr_equal(task_prompt_for(t, "clou"), &t->prompt);

    js *input = json("{\"text\": \"a {{who}} b\", \"who\": 1.50}");
    task_messages m;
    assert_ok(task_render(t, &t->prompt, input, "c1", &m, err));
    assert_int_equal(m.n, 2);
    assert_string_equal(m.items[1].content, "a {{who}} b from 1.50"); /* filled in once, never again */
    task_messages_clear(&m);
    js_free(input);

    error err;
    input = json("{\"text\": \"x\"}");
    assert_int_equal(task_render(t, &t->prompt, input, "c1", &m, &err), E_FORMAT);
    assert_non_null(strstr(err.text, "case 'c1': the variable 'who' is not in the input"));
    js_free(input);
    input = json("{\"text\": \"x\\u0000y\", \"who\": [1, {\"a\": null}]}");
    assert_int_equal(task_render(t, &t->prompt, input, NULL, &m, &err), E_FORMAT);
    assert_non_null(strstr(err.text, "zero character"));
    js_free(input);
    task_close(&t);
}

static task *with_cases(const char *cases)
{
    task *t = parsed(full);
    assert_ok(task_parse_cases(t, cases, strlen(cases), err));
    return t;
}

static void cases_are_read(void **state)
{
    (void)state;
    task *t = with_cases("{\"id\":\"b\",\"input\":{\"text\":\"x\",\"who\":\"y\"},\"expected\":\"no\","
        "\"tags\":[\"hard\"]}\r\n"
                         "\n"
                         "{\"input\":{\"b\":1.0,\"a\":\"\xC3\xA9\"},\"cluster\":\"k\"}");
    assert_int_equal(t->n_cases, 2);
    assert_true(task_case_has_tag(&t->cases[0], "hard") && !task_case_has_tag(&t->cases[1], "hard"));
    assert_int_equal(t->cases[1].line, 3);
    char hex[DIGEST_HEX];
    static const char canonical[] = "{\"a\":\"\xC3\xA9\",\"b\":1}";
    digest_of(canonical, sizeof canonical - 1, hex);
    hex[16] = 0;
    assert_string_equal(t->cases[1].id, hex);
    assert_ptr_equal(task_find_case(t, "b"), &t->cases[0]);
    error err;
    assert_int_equal(task_load_cases(t, &err), E_EXISTS);
    task_close(&t);
}

static void bad_case(const char *cases, size_t n, const char *sentence)
{
    task *t = parsed(full);
    error err = { 0 };
    status s = task_parse_cases(t, cases, n, &err);
    if (s == OK || !strstr(err.text, sentence))
        fail_msg("wanted '%s', got '%s'", sentence, s ? err.text : "no error");
    assert_int_equal(t->n_cases, 0);
    task_close(&t);
}

static void bad_cases_are_named_by_line(void **state)
{
    (void)state;
    static const struct { const char *text, *sentence; } rows[] = {
        { "", "no cases" },
        { "{\"input\":\"a\"}\n{\"input\":", "cases.jsonl:2" },
        { "{\"input\":\"a\"}\n\n{\"input\":\"a\"}", "cases.jsonl:3: the id" },
        { "{\"id\":\"a\",\"input\":\"a\"}\n{\"id\":\"a\",\"input\":\"b\"}", "in line 1" },
        { "{\"input\":1}", "must be an object or a text" },
        { "{\"expected\":1}", "is missing" },
        { "[1]", "cases.jsonl:1: a case is an object" },
        { "{\"input\":\"a\",\"expcted\":1}", "expected" },
        { "{\"input\":\"a\",\"id\":\"\"}", "'id' must be" },
        { "{\"input\":\"a\",\"id\":\"x\\u0000y\"}", "'id' must be" },
        { "{\"input\":\"a\",\"tags\":\"hard\"}", "'tags' must be" },
        { "{\"input\":\"a\",\"input\":\"b\"}", "cases.jsonl:1" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        bad_case(rows[i].text, strlen(rows[i].text), rows[i].sentence);
    size_t n = TASK_LINE_BYTES_MAX + 10;
    char *line = mem_alloc(n);
    memset(line, 'x', n);
    bad_case(line, n, "cases.jsonl:1: the line is longer");
    mem_free(line);
}

static void digests_follow_content_only(void **state)
{
    (void)state;
    static const char one[] = "{\"id\":\"1\",\"input\":{\"text\":\"x\",\"who\":\"y\"},\"expected\":\"no\"}\n"
                              "{\"id\":\"2\",\"input\":{\"text\":\"z\",\"who\":\"y\"},\"expected\":\"no\"}\n";
    static const char turned[] = "{\"id\":\"2\",\"expected\":\"no\",\"input\":{\"who\":\"y\",\"text\":\"z\"}}\n"
                                 "{\"id\":\"1\",\"input\":{\"text\":\"x\",\"who\":\"y\"},\"expected\":\"no\","
                                     "\"tags\":[\"t\"]}";
    static const char changed[] = "{\"id\":\"1\",\"input\":{\"text\":\"x\",\"who\":\"y\"},\"expected\":\"billing\"}\n"
                                  "{\"id\":\"2\",\"input\":{\"text\":\"z\",\"who\":\"y\"},\"expected\":\"no\"}\n";
    task *a = with_cases(one), *b = with_cases(turned), *c = with_cases(changed);
    char da[DIGEST_HEX], db[DIGEST_HEX];
    assert_ok(task_suite_digest(a, da, err));
    assert_ok(task_suite_digest(b, db, err));
    assert_string_equal(da, db);
    assert_ok(task_suite_digest(c, db, err));
    assert_string_not_equal(da, db);
    assert_ok(task_grader_digest(a, da, err));
    assert_ok(task_grader_digest(c, db, err));
    assert_string_equal(da, db);
    task_prompt_digest(&a->prompt, da);
    task_prompt_digest(&a->variants[0], db);
    assert_string_not_equal(da, db);
    task_close(&a);
    task_close(&b);
    task_close(&c);
}

/* Everything once for every allocation that can fail: no crash, no leak (under ASan), E_NOMEM or a good result. */
static status whole_job(void)
{
    static const char cases[] =
        "{\"id\":\"1\",\"input\":{\"text\":\"I was charged twice for one single order\",\"who\":\"y\"},"
            "\"expected\":\"billing\"}\n"
        "{\"input\":{\"text\":\"where is the parcel that you promised\",\"who\":\"y\"},\"expected\":\"no\"}\n";
    task *t = NULL;
    task_baselines b = { 0 };
    lint_report r = { 0 };
    char hex[DIGEST_HEX];
    error e;
    status s = task_parse(&t, full, sizeof full - 1, "tasks/tickets", &e);
    if (!s)
        s = task_parse_cases(t, cases, sizeof cases - 1, &e);
    if (!s)
        s = task_suite_digest(t, hex, &e);
    if (!s)
        s = task_baseline(t, &b, &e);
    if (!s)
        s = lint_loaded(t, &r, &e);
    task_baselines_clear(&b);
    lint_report_clear(&r);
    task_close(&t);
    return s;
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    uint64_t before = mem_count();
    assert_int_equal(whole_job(), OK);
    uint64_t n = mem_count() - before;
    assert_true(n > 100);
    for (uint64_t i = 1; i <= n; i++) {
        mem_fail_at(i);
        status s = whole_job();
        mem_fail_at(0);
        if (s != OK && s != E_NOMEM && s != E_RANGE && s != E_FORMAT)
            fail_msg("allocation %llu: status %s", (unsigned long long)i, status_name(s));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(mistakes_are_named), cmocka_unit_test(a_cascade_has_its_defaults),
        cmocka_unit_test(callers_prompt_needs_a_fixed_system_text),
        cmocka_unit_test(prompts_are_chosen_and_filled_in),
        cmocka_unit_test(cases_are_read),
        cmocka_unit_test(bad_cases_are_named_by_line),
        cmocka_unit_test(digests_follow_content_only),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
