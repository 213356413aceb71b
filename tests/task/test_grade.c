/* Every grader on answers that must pass, be wrong or be malformed, with its score; hostile answers; the weighted sum;
 * baselines; and, where the public data is, that every real expected value passes its own grader. */
#include "grade_rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/grade.h"
#include "task/lint.h"

static task *make(const char *output, const char *graders, const char *expected, const char *input)
{
    task *t = NULL;
    assert_ok(make_task(&t, output, graders, expected, input, err));
    return t;
}

static void texts(void **state)
{
    (void)state;
    static const row rows[] = {
        { "[{type: exact}]", "\"Berlin\"", " Berlin\n", 'p', 1 },
        { "[{type: exact}]", "\"Berlin\"", "berlin", 'w', 0 },
        { "[{type: exact}]", "\"caf\\u00e9\"", "cafe\xCC\x81", 'p', 1 }, /* NFC */
        { "[{type: exact, ignore_case: true}]", "\"STRASSE\"", "stra\xC3\x9F" "e", 'p', 1 },
        { "[{type: exact, ignore_space: true}]", "\"a b\"", "a \n\t b", 'p', 1 },
        { "[{type: exact, ignore_punctuation: true, ignore_space: true}]", "\"Smith + Co Ltd\"", "Smith + Co. , Ltd.",
          'p',
          1 },
        { "[{type: exact}]", "[\"a\", \"b\"]", "b", 'p', 1 },
        { "[{type: exact}]", "\"a\"", "", 'm', 0 },
        { "[{type: exact}]", "\"a\"", "  \n ", 'm', 0 },
        { "[{type: exact}]", "\"a\"", "\xFF", 'm', 0 },
        { "[{type: contains}]", "\"Paris\"", "It is PARIS, France", 'p', 1 },
        { "[{type: contains, ignore_case: false}]", "\"Paris\"", "It is PARIS", 'w', 0 },
        { "[{type: contains, values: [a, b]}]", "null", "a only", 'w', .5 },
        { "[{type: contains-all, threshold: 0.5}]", "[\"x1\", \"x2\"]", "x1", 'p', .5 },
        { "[{type: contains-any}]", "[\"x1\", \"x2\"]", "has x2", 'p', 1 },
        { "[{type: contains-any}]", "[\"x1\", \"x2\"]", "none", 'w', 0 },
        { "[{type: not-contains, values: [sorry]}]", "null", "Fine.", 'p', 1 },
        { "[{type: not-contains, values: [sorry]}]", "null", "I am Sorry", 'w', 0 },
        { "[{type: regex, pattern: '^[A-Z]{2}\\d{6}$'}]", "null", "AB123456\n", 'p', 1 },
        { "[{type: regex, pattern: '\\d+', full: true}]", "null", "12a", 'w', 0 },
        { "[{type: regex, ignore_case: true}]", "\"^yes\"", "YES!", 'p', 1 },
        { "[{type: key-facts, threshold: 0.5}]", "[[\"3 March\", \"March 3\"], \"40\"]", "On march 3.", 'p', .5 },
        { "[{type: key-facts}]", "{\"facts\": [\"a b\"]}", "a\nb", 'p', 1 },
        { "[{type: max-words, max: 4}]", "null", "one two, three-four five", 'w', .8 },
        { "[{type: max-words, max: 4}]", "null", "one two", 'p', 1 },
        { "[{type: min-words, min: 4}]", "null", "one two", 'w', .5 },
        { "[{type: key-facts, weight: 3}, {type: max-words, max: 2}]", "[\"alpha\"]", "alpha and beta gamma", 'w',
          .875 },
        { "[{type: contains, weight: 0}, {type: exact}]", "\"a\"", "b a", 'w', 0 },
        { "[{type: exact, key: city}, {type: contains, key: land}]", "{\"city\": \"Rome\", \"land\": \"o\"}", "Rome",
          'p', 1 },
    };
    run_rows(rows, ARRAY_LEN(rows), "", NULL);
}

static void labels(void **state)
{
    (void)state;
    static const char output[] = "output: {kind: label, labels: [how-to, bug, (other), C, c]}";
    static const char g[] = "[{type: label}]";
    static const row rows[] = {
        { g, "\"bug\"", "bug", 'p', 1 },
        { g, "\"bug\"", " **\"Bug\".**\n", 'p', 1 },
        { g, "\"how-to\"", "\xE2\x80\x9Chow-to\xE2\x80\x9D", 'p', 1 },
        { g, "\"bug\"", "how-to", 'w', 0 },
        { g, "\"bug\"", "It is a bug", 'm', 0 },
        { g, "\"bug\"", "bug\nbug", 'm', 0 },
        { g, "\"(other)\"", "(other)", 'p', 1 },
        { g, "\"c\"", "c", 'p', 1 }, /* labels that differ by case: the exact one wins */
        { g, "\"C\"", "c", 'w', 0 },
        { "[{type: label, ignore_case: false}]", "\"bug\"", "Bug", 'm', 0 },
    };
    run_rows(rows, ARRAY_LEN(rows), output, NULL);
}

static void numbers(void **state)
{
    (void)state;
    static const char g[] = "[{type: number}]", a[] = "[{type: number, abs: 0.005}]";
    static const char units[] = "[{type: number, rel: 0.001, units: {kg: 1, g: 0.001, EUR: 1}}]";
    static const row rows[] = {
        { g, "1234.5", "1,234.50", 'p', 1 },
        { g, "1234.5", "1.234,5", 'p', 1 },
        { g, "1234567.8", "The total is 1 234 567,8.", 'p', 1 },
        { g, "1234567", "1'234'567", 'p', 1 },
        { g, "1234", "1,234", 'p', 1 },
        { g, "1.234", "1.234", 'p', 1 },
        { g, "0.125", "0,125", 'p', 1 },
        { "[{type: number, decimal: comma}]", "1234", "1.234", 'p', 1 },
        { "[{type: number, decimal: point}]", "1234", "1,234", 'p', 1 },
        { g, "-5", "-$5.00", 'p', 1 },
        { g, "-5", "\xE2\x88\x92" "5", 'p', 1 },
        { g, "1.5e-3", "0.0015", 'p', 1 },
        { g, "1500", "1.5e3", 'p', 1 },
        { g, "\"42 euro\"", "42", 'p', 1 },
        { a, "28.70", "about 28.695", 'p', 1 },
        { a, "28.70", "28.69", 'w', 0 },
        { g, "3", "3 or 4", 'm', 0 },
        { g, "3", "none", 'm', 0 },
        { g, "3", "model A3", 'm', 0 },
        { g, "53.6", "RM53.60", 'p', 1 },
        { g, "3", "10.0.0.1", 'm', 0 },
        { "[{type: number, take: last}]", "4", "3 and then 4.", 'p', 1 },
        { "[{type: number, take: first}]", "3", "3 and then 4.", 'p', 1 },
        { units, "0.25", "250 g", 'p', 1 },
        { units, "0.25", "250g of flour", 'p', 1 },
        { units, "0.25", "0.25", 'p', 1 },
        { units, "0.25", "EUR 0.25", 'p', 1 },
        { units, "0.25", "250 lb", 'm', 0 },
        { "[{type: number, rel: 0.01}]", "100", "100.9", 'p', 1 },
        { "[{type: number, rel: 0.01}]", "100", "101.1", 'w', 0 },
    };
    run_rows(rows, ARRAY_LEN(rows), "", NULL);
    static const char in[] = "[{type: numbers-in-input, threshold: 0.6}]";
    static const row inside[] = {
        { in, "null", "47 minutes, 1,900 euro on 3.5.2024", 'p', 1 },
        { in, "null", "47 minutes, 48 seconds", 'w', .5 },
        { in, "null", "no figures", 'p', 1 },
        { in, "null", "190 and 90", 'w', 0 },
    };
    run_rows(inside, ARRAY_LEN(inside), "", "From 19:12 for 47 min it cost 1900 (3.5.2024, room A4)");
}

static void json_fields(void **state)
{
    (void)state;
    static const char g[] = "[{type: json-fields, fields: {total: {type: number, abs: 0.005}, date: {type: date}, "
                            "name: {type: text, ignore_case: true}, tags: {type: set}}}]";
    static const row rows[] = {
        { g, "{\"total\": 28.7, \"name\": \"Caf\\u00e9\"}", "{\"name\":\"CAF\xC3\x89\",\"total\":\"RM 28.70\"}", 'p',
          1 },
        { g, "{\"total\": 28.7}", "```json\n{\"total\": 28.70}\n```", 'p', 1 },
        { g, "{\"total\": 28.7}", "Sure:\n```\n{\"total\": 28.70}\n``` done", 'p', 1 },
        { g, "{\"total\": 28.7}", "{\"total\": 28.70} hope this helps", 'm', 0 },
        { g, "{\"total\": 28.7}", "{\"total\": 28.70", 'm', 0 },
        { g, "{\"total\": 28.7}", "[28.7]", 'm', 0 },
        { g, "{\"total\": 28.7}", "{\"total\": 1, \"total\": 28.7}", 'm', 0 },
        { g, "{\"date\": \"2018-01-05\"}", "{\"date\": \"05/01/2018\"}", 'p', 1 },
        { g, "{\"date\": \"2018-01-05\"}", "{\"date\": \"January 5th, 2018\"}", 'p', 1 },
        { g, "{\"date\": \"2018-01-05\"}", "{\"date\": \"Fri 5 Jan 18\"}", 'p', 1 },
        { g, "{\"date\": \"2018-01-05\"}", "{\"date\": \"20180105\"}", 'p', 1 },
        { g, "{\"date\": \"2018-01-05\"}", "{\"date\": \"2018-01-05T10:30:00Z\"}", 'p', 1 },
        { g, "{\"date\": \"2018-01-05\"}", "{\"date\": \"01/05/2018\"}", 'w', 0 },
        { g, "{\"date\": \"2018-02-28\"}", "{\"date\": \"2018-02-29\"}", 'w', 0 },
        { "[{type: json-fields, fields: {d: {type: date, order: mdy}}}]", "{\"d\": \"2018-01-05\"}",
          "{\"d\": \"1/5/18\"}",
          'p', 1 },
        { g, "{\"tags\": [\"a\", \"b\", \"b\"]}", "{\"tags\": [\"b\", \"a\", \"b\"]}", 'p', 1 },
        { g, "{\"tags\": [\"a\", \"b\", \"b\"]}", "{\"tags\": [\"b\", \"a\", \"a\"]}", 'w', 0 },
        { g, "{\"list\": [1, 2]}", "{\"list\": [2, 1]}", 'w', 0 },
        { g, "{\"a\": 1, \"b\": null}", "{\"a\": 1}", 'p', 1 },
        { g, "{\"a\": 1, \"b\": null}", "{\"a\": 1, \"b\": \"\", \"c\": null}", 'p', 1 },
        { g, "{\"a\": 1, \"b\": 2}", "{\"a\": 1}", 'w', 2. / 3 },            /* tp 1, fn 1 */
        { g, "{\"a\": 1, \"b\": 2}", "{\"a\": 1, \"b\": 3}", 'w', .5 },      /* tp 1, fp 1, fn 1 */
        { g, "{\"a\": 1}", "{\"a\": 1, \"b\": 3}", 'w', 2. / 3 },            /* tp 1, fp 1 */
        { "[{type: json-fields, extra: ignore}]", "{\"a\": 1}", "{\"a\": 1, \"b\": 3}", 'p', 1 },
        { g, "{\"s\": {\"x\": 1, \"y\": 2}}", "{\"s\": {\"y\": 2, \"x\": 4}}", 'w', .5 },
        { g, "{\"s\": {\"x\": 1, \"y\": 2}}", "{\"s\": 5}", 'w', 0 },
        { g, "{\"s\": {\"x\": 1, \"y\": 2}}", "{}", 'w', 0 },
        { g, "{\"ok\": true}", "{\"ok\": true}", 'p', 1 },
        { g, "{\"ok\": true}", "{\"ok\": \"true\"}", 'w', 0 },
        { g, "{\"a\": null}", "{}", 'p', 1 },
    };
    run_rows(rows, ARRAY_LEN(rows), "output: {kind: json}", NULL);
}

static void schemas(void **state)
{
    (void)state;
    static const char output[] = "output: {kind: json, schema: {type: object, required: [total], additionalProperties: "
                                 "false, properties: {total: {type: number, minimum: 0}, date: {format: date}}}}";
    static const char g[] = "[{type: json-fields, extra: ignore}]";
    static const row rows[] = {
        { g, "{\"total\": 1.50}", "{\"total\": 1.5}", 'p', 1 },
        { g, "{\"total\": 1.50}", "```json\n{\"total\": 1.5, \"date\": \"2024-02-29\"}\n```", 'p', 1 },
        { g, "{\"total\": 1.50}", "{\"total\": 2}", 'w', 0 },
        { g, "{\"total\": 1.50}", "{\"total\": \"1.5\"}", 'm', 0 },
        { g, "{\"total\": 1.50}", "{\"total\": -1}", 'm', 0 },
        { g, "{\"total\": 1.50}", "{\"total\": 1.5, \"date\": \"2023-02-29\"}", 'm', 0 },
        { g, "{\"total\": 1.50}", "{\"total\": 1.5, \"more\": 1}", 'm', 0 },
        { g, "{\"total\": 1.50}", "{}", 'm', 0 },
        { g, "{\"total\": 1.50}", "[1.5]", 'm', 0 },
        { g, "{\"total\": 1.50}", "1.5 euro", 'm', 0 },
        { "[{type: contains, values: [total]}]", "null", "{\"total\": true}", 'm', 0 },
    };
    run_rows(rows, ARRAY_LEN(rows), output, NULL);
    static const char bad[] = "hearth: 1\nid: a\nprivacy: public\nprompt: x\noutput:\n  kind: json\n  schema:\n"
                              "    type: object\n    propreties: {}\ngraders: [{type: json-fields}]\nbar: 0.5\n";
    task *t = NULL;
    error e = { 0 };
    assert_int_equal(task_parse(&t, bad, strlen(bad), "t", &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.text, "schema: /propreties: the keyword is not known (did you mean 'properties'?)"));
    assert_non_null(strstr(e.text, "task.yaml:"));
}

static void reasons_hold_no_text(void **state)
{
    (void)state;
    task *t = make("output: {kind: json}", "[{type: json-fields}]", "{\"name\": \"SECRETVALUE\"}", "SECRETINPUT");
    static const char answer[] = "{\"name\": \"SECRETANSWER\", \"SECRETKEY\": 1}";
    grade g;
    assert_ok(grade_answer(t, &t->cases[0], answer, sizeof answer - 1, &g, err));
    assert_int_equal(g.outcome, GRADE_WRONG);
    assert_null(strstr(g.reason, "SECRET"));
    assert_non_null(strstr(g.reason, "name"));
    task_close(&t);
}

static void a_bad_expected_is_an_error_not_a_grade(void **state)
{
    (void)state;
    static const struct { const char *graders, *expected; } rows[] = {
        { "[{type: exact}]", "5" },           { "[{type: exact}]", "[]" },       { "[{type: number}]", "\"x\"" },
        { "[{type: json-fields}]", "\"x\"" }, { "[{type: key-facts}]", "{}" },   { "[{type: key-facts}]", "[5]" },
        { "[{type: contains}]", "[\"\"]" },   { "[{type: regex}]", "\"(\"" },    { "[{type: exact, key: k}]", "{}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        task *t = make("", rows[i].graders, rows[i].expected, NULL);
        grade g;
        error err;
        assert_int_equal(grade_answer(t, &t->cases[0], "1 {}", 4, &g, &err), E_FORMAT);
        assert_non_null(strstr(err.text, "t/cases.jsonl:1"));
        task_close(&t);
    }
}

/* Answers that want to take for ever: a pattern that backtracks, a megabyte of digits, of brackets, of accents. */
static void hostile_answers_end(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    static const char *const graders[] = { "[{type: regex, pattern: '^(a+)+$'}]", "[{type: number}]",
                                           "[{type: exact}]", "[{type: contains}]", "[{type: max-words, max: 3}]",
                                           "[{type: numbers-in-input}]" };
    static const char *const fills[] = { "a", "1", ".", "1.", "[", "\xCC\x81", "-", "1 " };
    char *answer = mem_alloc(N);
    for (size_t i = 0; i < ARRAY_LEN(graders); i++) {
        task *t = make("", graders[i], "\"5\"", NULL);
        for (size_t k = 0; k < ARRAY_LEN(fills); k++) {
            size_t m = strlen(fills[k]), n = i == 5 ? N / 64 : N - 1;
            for (size_t j = 0; j < n; j++)
                answer[j] = fills[k][j % m];
            answer[n - 1] = 'b';
            grade g;
            assert_ok(grade_answer(t, &t->cases[0], answer, n, &g, err));
            assert_true(g.score >= 0 && g.score <= 1);
        }
        task_close(&t);
    }
    mem_free(answer);
}

static task *load(const char *yaml, const char *cases)
{
    task *t = NULL;
    assert_ok(task_parse(&t, yaml, strlen(yaml), "t", err));
    assert_ok(task_parse_cases(t, cases, strlen(cases), err));
    return t;
}

static void baselines_are_the_majority_and_the_rules(void **state)
{
    (void)state;
    task *t = load("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\noutput: {kind: label, labels: [x, y, z]}\n"
                   "graders: [{type: label}]\nbaseline: {rules: [{regex: '(?i)is (\\w)\\b', answer: $1}]}\n",
                   "{\"input\":\"IS x\",\"expected\":\"x\"}\n{\"input\":\"2\",\"expected\":\"y\"}\n"
                   "{\"input\":\"is z\",\"expected\":\"y\"}\n{\"input\":\"4\",\"expected\":\"z\"}\n");
    task_baselines b;
    assert_ok(task_baseline(t, &b, err));
    assert_string_equal(b.constant, "y");
    assert_int_equal(b.majority.pass, 2);
    assert_int_equal(b.majority.n, 4);
    assert_int_equal(b.rules.pass, 1);
    assert_int_equal(b.rules.wrong, 1);
    assert_int_equal(b.rules.malformed, 2); /* no rule: the empty answer */
    task_baselines_clear(&b);
    task_close(&t);

    t = load("hearth: 1\nid: a\nprivacy: public\nprompt: '{{doc}}'\noutput: {kind: json}\ngraders: [{type: "
        "json-fields}]\n"
             "baseline: {rules: [{regex: 'total (\\S+)', fields: {total: $1, cur: 'a$$'}}, "
             "{regex: '(\\d+)', fields: {total: $0, no: $1}}]}\n",
             "{\"input\":{\"doc\":\"no 7 total 5\"},\"expected\":{\"total\":5,\"cur\":\"a$\",\"no\":\"7\"}}\n"
             "{\"input\":{\"doc\":\"nothing\"},\"expected\":{\"total\":6,\"cur\":\"a$\",\"no\":null}}\n");
    char *answer = NULL;
    assert_ok(task_rules_answer(t, t->cases[0].input, &answer, err));
    assert_string_equal(answer, "{\"total\":\"5\",\"cur\":\"a$\",\"no\":\"7\"}");
    mem_free(answer);
    assert_ok(task_baseline(t, &b, err));
    assert_int_equal(b.rules.pass, 1);
    assert_int_equal(b.majority.pass, 1);
    assert_true(b.majority.mean > .5);
    task_baselines_clear(&b);
    task_close(&t);
}

static const char *data_dir(void)
{
    const char *given = getenv("HEARTH_DATA");
    return given && *given ? given : "../shared/data";
}

/* 200 real receipts: what stands in the data passes its own grader, in all the ways dates and totals are written. */
static void real_receipts_pass_their_own_grader(void **state)
{
    (void)state;
    char path[4096], line[1 << 16];
    snprintf(path, sizeof path, "%s/receipts.jsonl", data_dir());
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("skipped: no %s (HEARTH_DATA)\n", path);
        return;
    }
    buf cases = BUF_INIT(8 << 20);
    while (fgets(line, sizeof line, f)) {
        js *record = NULL, *c = js_object();
        assert_ok(js_parse(&record, line, strlen(line), path, 1, err));
        js_set(c, "id", js_copy(js_get(record, "id")));
        js_set(c, "input", js_copy(js_get(record, "text")));
        js_set(c, "expected", js_copy(js_get(record, "fields")));
        js_write(c, JS_COMPACT, &cases);
        buf_char(&cases, '\n');
        js_free(c);
        js_free(record);
    }
    fclose(f);
    task *t = load("hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\noutput: {kind: json}\nbar: 0.5\n"
                   "graders: [{type: json-fields, fields: {date: {type: date}, total: {type: number, abs: 0.005}}}]\n",
                   buf_text(&cases));
    buf_clear(&cases);
    size_t dates = 0;
    for (size_t i = 0; i < t->n_cases; i++) {
        char *ideal = NULL;
        grade g;
        assert_ok(grade_ideal(t, &t->cases[i], &ideal, err));
        assert_ok(grade_answer(t, &t->cases[i], ideal, strlen(ideal), &g, err));
        dates += g.outcome == GRADE_PASS;
        mem_free(ideal);
    }
    printf("receipts: %zu of %zu expected answers pass\n", dates,
        t->n_cases);
    assert_true(dates == t->n_cases);
    task_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(labels),
        cmocka_unit_test(numbers),
        cmocka_unit_test(json_fields),
        cmocka_unit_test(schemas),
        cmocka_unit_test(reasons_hold_no_text),
        cmocka_unit_test(a_bad_expected_is_an_error_not_a_grade),
        cmocka_unit_test(hostile_answers_end),
        cmocka_unit_test(baselines_are_the_majority_and_the_rules),
        cmocka_unit_test(real_receipts_pass_their_own_grader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
