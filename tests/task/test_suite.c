/* Figures over a suite at the places where something is not defined, malformed or unknown. That they are scikit-learn's
 * on random suites is test_graders_peer.py's. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/suite.h"

static task *load(const char *rest, const char *cases)
{
    char text[2000];
    task *t = NULL;
    snprintf(text, sizeof text, "hearth: 1\nid: a\nprivacy: public\nprompt: x\nbar: 0.5\n%s\n", rest);
    assert_ok(task_parse(&t, text, strlen(text), "t", err));
    assert_ok(task_parse_cases(t, cases, strlen(cases), err));
    return t;
}

static void add(suite *s, const task_case *c, const char *answer)
{
    assert_ok(suite_add(s, c, answer, strlen(answer), err));
}

static void near(double a, double b)
{
    if (fabs(a - b) > 1e-12)
        fail_msg("%.17g is not %.17g", a, b);
}

static void labels(void **state)
{
    (void)state;
    task *t = load("output: {kind: label, labels: [a, b, c, d]}\ngraders: [{type: length, unit: chars, max: 9}, {type: "
                   "label}]",
                   "{\"input\":\"1\",\"expected\":\"a\"}\n{\"input\":\"2\",\"expected\":\"b\"}\n");
    suite *s = NULL;
    const suite_table *y = NULL;
    assert_ok(suite_open(&s, t, err));
    assert_int_equal(suite_tables(s, &y), 1);
    assert_true(y->grader == 1 && y->labels && y->n_classes == 4);
    assert_true(y->macro_f1 == -1 && y->micro_f1 == -1 && y->classes[0].recall == -1); /* nothing was answered yet */
    add(s, &t->cases[0], "a");
    add(s, &t->cases[0], "c"); /* never expected: its precision is 0, its recall not defined */
    add(s, &t->cases[1], "what?");
    add(s, &t->cases[1], "\xff");
    add(s, &t->cases[1], " **B**\n");
    (void)suite_tables(s, &y);
    assert_true(y->answers == 5 && y->malformed == 2);
    near(y->classes[0].f1, 2. / 3);
    near(y->classes[1].recall, 1. / 3);
    near(y->classes[1].precision, 1);
    near(y->classes[2].precision, 0);
    near(y->classes[2].recall, -1);
    near(y->classes[3].f1, -1);
    near(y->macro_f1, (2. / 3 + .5 + 0) / 3); /* d is on neither side */
    near(y->micro_f1, 4. / (4 + 1 + 3));
    assert_int_equal(y->confusion[0 * 5 + 2], 1);
    assert_int_equal(y->confusion[1 * 5 + 4], 2);
    js *o = suite_json(s);
    assert_true(js_is(js_get(js_at(js_get(js_at(o, 0), "labels"), 3), "f1"), JS_NULL));
    assert_int_equal(js_len(js_get(js_at(o, 0), "confusion")), 4);
    js_free(o);
    task_case other = { .id = "x", .line = 7, .expected = NULL };
    error e;
    assert_int_equal(suite_add(s, &other, "a", 1, &e), E_FORMAT);
    suite_close(&s);
    task_close(&t);
}

static void fields(void **state)
{
    (void)state;
    task *t = load("output: {kind: json}\ngraders: [{type: json-fields, fields: {total: {type: number}}}]",
                   "{\"input\":\"1\",\"expected\":{\"total\":5,\"who\":{\"city\":\"X\",\"zip\":null}}}\n"
                   "{\"input\":\"2\",\"expected\":{\"date\":\"2018-01-05\"}}\n");
    suite *s = NULL;
    const suite_table *y = NULL;
    assert_ok(suite_open(&s, t, err));
    (void)suite_tables(s, &y);
    static const char *const names[] = { SUITE_OTHER, "total", "who.city", "date" };
    assert_int_equal(y->n_classes, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(y->classes[i].name, names[i]);
    add(s, &t->cases[0], "{\"total\": \"5.00\", \"who\": {\"city\": \"Y\"}, \"date\": \"x\", \"A STRANGER'S\": 1}");
    add(s, &t->cases[0], "no JSON"); /* misses both fields */
    add(s, &t->cases[1], "{\"date\": \"2018-01-05\"}");
    (void)suite_tables(s, &y);
    static const size_t counts[4][3] = { { 0, 1, 0 }, { 1, 0, 1 }, { 0, 1, 2 }, { 1, 1, 0 } };
    assert_int_equal(y->n_classes, 4); /* no name that only an answer has */
    for (size_t i = 0; i < 4; i++)
        assert_true(y->classes[i].tp == counts[i][0] && y->classes[i].fp == counts[i][1] &&
                    y->classes[i].fn == counts[i][2]);
    near(y->macro_f1, (2. / 3 + 0 + 2. / 3) / 3);
    near(y->micro_f1, 4. / (4 + 3 + 3));
    assert_true(y->answers == 3 && y->malformed == 1);
    suite_close(&s);
    task_close(&t);
}

static void invented_names_are_bounded(void **state)
{
    (void)state;
    task *t = load("graders: [{type: json-fields}]", "{\"input\":\"1\",\"expected\":{\"a\":1}}\n");
    suite *s = NULL;
    const suite_table *y = NULL;
    buf answer = BUF_INIT(1 << 20);
    assert_ok(suite_open(&s, t, err));
    buf_str(&answer, "{\"a\": 1");
    for (int i = 0; i < 3000; i++)
        buf_printf(&answer, ", \"f%d\": 1", i);
    buf_str(&answer, "}");
    add(s, &t->cases[0], buf_text(&answer));
    (void)suite_tables(s, &y);
    assert_true(y->n_classes == 2 && y->classes[0].fp == 3000);
    near(y->macro_f1, 1);
    buf_clear(&answer);
    /* and those of expected objects that are no case of the task */
    for (int i = 0; i < SUITE_FIELDS_MAX + 50; i++) {
        char text[64];
        js *expected = NULL;
        snprintf(text, sizeof text, "{\"e%d\": 1}", i);
        assert_ok(js_parse(&expected, text, strlen(text), "x", 1, err));
        task_case c = { .id = "", .line = 1, .expected = expected };
        add(s, &c, text);
        js_free(expected);
    }
    (void)suite_tables(s, &y);
    assert_int_equal(y->n_classes, SUITE_FIELDS_MAX);
    assert_true(y->classes[0].tp == 52 && y->micro_recall == 1);
    suite_close(&s);
    task_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels),
        cmocka_unit_test(fields),
        cmocka_unit_test(invented_names_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
