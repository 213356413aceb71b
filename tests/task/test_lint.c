/* Lint: each finding from a task with that fault; near-duplicates against a plain comparison of all pairs. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/lint.h"

static const char labels[] = "hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\n"
                             "output: {kind: label, labels: [x, y, z]}\ngraders: [{type: label}]\nbar: 0.5\n";

static void lint(const char *yaml, const char *cases, lint_report *r)
{
    task *t = NULL;
    assert_ok(task_parse(&t, yaml, strlen(yaml), "t", err));
    assert_ok(task_parse_cases(t, cases, strlen(cases), err));
    assert_ok(lint_loaded(t, r, err));
    task_close(&t);
}

static bool has(const lint_report *r, const char *code, const char *text)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->findings[i].code, code) && strstr(r->findings[i].text, text))
            return true;
    return false;
}

static void found(const char *yaml, const char *cases, const char *code, const char *text)
{
    lint_report r;
    lint(yaml, cases, &r);
    if (!has(&r, code, text)) {
        for (size_t i = 0; i < r.n; i++)
            printf("%s: %s\n", r.findings[i].code, r.findings[i].text);
        fail_msg("no '%s' with '%s'", code, text);
    }
    lint_report_clear(&r);
}

static void each_fault_is_found(void **state)
{
    (void)state;
    static const char one[] = "{\"id\":\"c1\",\"input\":\"a b c\",\"expected\":\"x\"}\n";
    found(labels, one, "few-cases", "1 cases");
    found(labels, one, "few-hard", "0 of 1");
    found(labels, one, "unused-label", "'y'");
    found(labels, one, "bar-unprovable", "0.050");
    found(labels, one, "bar-too-low", "100 %");
    found(labels, "{\"input\":\"a\"}", "no-expected", "t/cases.jsonl:1");
    found(labels, "{\"input\":\"a\",\"expected\":\"w\"}", "bad-expected", "one of the task's labels");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: exact}]\n", one, "no-bar",
        "neither");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{q}}'\ngraders: [{type: exact}]\nbar: 1\n", one,
          "missing-variable", "case 'c1': the variable 'q'");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{q}}'\ngraders: [{type: exact}]\nbar: 1\n",
          "{\"input\":{\"q\":\"1\",\"zz\":2},\"expected\":\"x\"}", "unused-input", "input.zz");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: regex, pattern: '^a'}]\nbar: 1\n",
          "{\"input\":\"q\",\"expected\":\"ba\"}", "expected-fails", "'regex'");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: regex}]\nbar: 1\n",
          "{\"input\":\"q\",\"expected\":\"(a\"}", "bad-expected", "not valid at byte");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: key-facts}, {type: max-words, "
        "max: 2}]\n"
          "bar: 1\n", "{\"input\":\"q\",\"expected\":{\"facts\":[\"a\"],\"reference\":\"a b c\"}}", "reference-fails",
              "3 words");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: exact}]\nbar: 1\n"
          "sampling: {temperature: 0.7}\n", one, "no-repeats", "0.7");
    found("hearth: 1\nid: a\nprivacy: private\nprompt: '{{input}}'\ngraders: [{type: exact}]\nbar: 1\ncascade: {}\n",
          one, "cascade-private", "a private task has no cascade");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: exact}]\nbar: 0.9\n"
          "cascade: {}\n", one, "cascade-few-cases", "1 cases; a risk of 0.05 takes 59 or more");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: exact}]\nbar: 0.9\n"
          "cascade: {risk: 0.2}\n", one, "cascade-below-bar", "the bar of 0.9");
    found("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\ngraders: [{type: exact}]\nbar: 0.9\n"
          "cascade: {}\n", "{\"input\":\"a\",\"expected\":\"x\",\"cluster\":\"k\"}\n"
          "{\"input\":\"b\",\"expected\":\"x\",\"cluster\":\"k\"}", "cascade-clusters", "share clusters");
    found(labels, "{\"id\":\"1\",\"input\":\"The quick brown fox jumps over it\",\"expected\":\"x\"}\n"
                  "{\"id\":\"2\",\"input\":\"the QUICK brown, fox jumps - over it!\",\"expected\":\"y\"}\n",
          "near-duplicate", "case '2': the input is nearly that of '1' in line 1");
    found("hearth: 1\nid: a\nprivacy: public\ngraders: [{type: exact}]\nbar: 1\nmessages:\n"
          "  - {role: user, content: 'Where is my parcel?'}\n  - {role: assistant, content: x}\n"
          "  - {role: user, content: '{{input}}'}\n",
              "{\"id\":\"k\",\"input\":\"where is my parcel\",\"expected\":\"x\"}",
          "leak", "case 'k'");
    found("hearth: 1\nid: a\nprivacy: public\ngraders: [{type: exact}]\nbar: 1\nprompt: '{{input}}'\nvariants:\n"
          "  local:x: \"Text: where is my parcel\\nA: x\\nText: {{input}}\"\n",
          "{\"id\":\"k\",\"input\":\"Where is my parcel?\",\"expected\":\"x\"}", "leak", "case 'k'");
}

static void a_good_task_has_none(void **state)
{
    (void)state;
    buf cases = BUF_INIT(1 << 20);
    for (int i = 0; i < 90; i++)
        buf_printf(&cases, "{\"input\":\"w%d a%d b%d c%d d%d e%d\",\"expected\":\"%c\"%s}\n", i, i, i, i, i, i,
            'x' + i % 3,
                   i % 5 ? "" : ",\"tags\":[\"hard\"]");
    lint_report r;
    lint(labels, buf_text(&cases), &r);
    assert_int_equal(r.n_errors + r.n_warnings, 0);
    assert_int_equal(r.n_hard, 18);
    assert_int_equal(r.n_labels_used, 3);
    lint_report_clear(&r);
    buf_clear(&cases);
}

static void unreadable_is_a_finding(void **state)
{
    (void)state;
    lint_report r;
    assert_ok(lint_task("/nonexistent/x", NULL, &r, NULL, err));
    assert_true(r.n_errors == 1 && has(&r, "unreadable", "no task.yaml"));
    lint_report_clear(&r);
}

/* 600 texts of 5 to 14 words out of few, so that all similarities occur: the search must name exactly the texts that
 * have a similar one before them. */
static void the_search_finds_what_all_pairs_find(void **state)
{
    (void)state;
    enum { N = 600 };
    static char text[N][200];
    uint32_t x = 12345;
    buf cases = BUF_INIT(1 << 20);
    for (int i = 0; i < N; i++) {
        text[i][0] = 0;
        x = x * 1664525 + 1013904223;
        int n = 5 + (int)(x >> 28) % 10, phrase = (int)(x >> 20) % 40;
        for (int k = 0; k < n; k++) {
            x = x * 1664525 + 1013904223;
            bool changed = (x >> 24) % 9 == 0;
            size_t at = strlen(text[i]);
            snprintf(text[i] + at, sizeof text[i] - at, "w%d ", changed ? (int)(x >> 16) % 97 : phrase * 20 + k);
        }
        buf_printf(&cases, "{\"id\":\"%d\",\"input\":\"%s\",\"expected\":\"x\"}\n", i, text[i]);
    }
    size_t expected = 0;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < i; k++)
            if (lint_similarity(text[i], text[k]) > 0.5) {
                expected++;
                break;
            }
    lint_report r;
    lint(labels, buf_text(&cases), &r);
    size_t n = 0;
    for (size_t i = 0; i < r.n; i++)
        n += !strcmp(r.findings[i].code, "near-duplicate");
    printf("near-duplicates: %zu by all pairs, %zu by the search\n", expected, n);
    assert_true(expected > 50 && expected < N);
    assert_int_equal(n, expected);
    lint_report_clear(&r);
    buf_clear(&cases);
}

static void similarity_is_jaccard_over_five_words(void **state)
{
    (void)state;
    assert_true(lint_similarity("", "!!") > .99);
    assert_true(lint_similarity("a b", "A, b.") > .99);
    assert_true(lint_similarity("a b", "b a") < .01);
    double half = lint_similarity("a b c d e f g", "a b c d e f h"); /* 3 grams each, 2 shared: 2 / 4 */
    assert_true(half > .499 && half < .501);
    assert_true(lint_similarity("a b c d e", "a b c d") < .01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_found),
        cmocka_unit_test(a_good_task_has_none),
        cmocka_unit_test(unreadable_is_a_finding),
        cmocka_unit_test(the_search_finds_what_all_pairs_find),
        cmocka_unit_test(similarity_is_jaccard_over_five_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
