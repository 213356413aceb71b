/* The graders of grade_overlap.c, grade_list.c, grade_form.c, grade_refusal.c and grade_sets.c, and dates: outcomes and
 * scores at their borders. That the formulas are those of the Python packages is test_graders_peer.py's. */
#include "grade_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "task/grade.h"
#include "task/suite.h"

static status parse(task **t, const char *output, const char *graders, const char *expected, error *e)
{
    return make_task(t, output, graders, expected, NULL, e);
}

static void texts(void **state)
{
    (void)state;
    static const char rouge[] = "[{type: rouge-l, threshold: 0.5}]", chrf[] = "[{type: chrf, threshold: 0.5}]";
    static const row rows[] = {
        { "[{type: equals, ignore_case: true}]", "\"Berlin\"", "BERLIN", 'p', 1 },
        { "[{type: equals, not: true}]", "\"Berlin\"", "Rome", 'p', 1 },
        { "[{type: equals, not: true}]", "\"Berlin\"", "Berlin", 'w', 0 },
        { "[{type: number, not: true}]", "5", "five", 'm', 0 },
        { "[{type: starts-with}]", "\"Dear\"", " dear Ann", 'p', 1 },
        { "[{type: starts-with}]", "[\"Dear\", \"Hello\"]", "Hello Ann", 'p', 1 },
        { "[{type: starts-with, ignore_case: false}]", "\"Dear\"", "dear Ann", 'w', 0 },
        { "[{type: ends-with, values: [regards, thanks]}]", "null", "Many\n thanks ", 'p', 1 },
        { "[{type: ends-with, values: ['thanks a lot']}]", "null", "thanks", 'w', 0 },
        { rouge, "\"the cat sat on the mat\"", "the cat was on the mat", 'p', 5. / 6 },
        { rouge, "[\"nothing\", \"The cat!\"]", "the cat", 'p', 1 },
        { rouge, "\"\xC3\xA4\xC3\xB6\"", "\xC3\xA4\xC3\xB6", 'w', 0 }, /* no letter that rouge-score knows */
        { "[{type: rouge-1, threshold: 0.5, tokens: unicode}]", "\"\xC3\x84ra \xC3\x96l\"",
          "\xC3\xA4ra \xC3\xB6l", 'p', 1 },
        { "[{type: rouge-2, threshold: 0.5, measure: recall}]", "\"a b c\"", "x a b c y", 'p', 1 },
        { chrf, "\"abcdef\"", "abcdef", 'p', 1 },
        { chrf, "\"abcdef\"", "uvwxyz", 'w', 0 },
        { "[{type: levenshtein, threshold: 0.5}]", "\"kitten\"", "sitting", 'p', 4. / 7 },
        { "[{type: levenshtein, threshold: 0.6}]", "\"kitten\"", "sitting", 'w', 4. / 7 },
        { "[{type: levenshtein, threshold: 1, ignore_case: true}]", "\"\xC3\x84\"", "a\xCC\x88", 'p', 1 },
        { "[{type: levenshtein, threshold: 0}]", "\"\"", " ", 'm', 0 },
    };
    run_rows(rows, ARRAY_LEN(rows), "", NULL);
}

static void dates(void **state)
{
    (void)state;
    static const char g[] = "[{type: date}]";
    static const row rows[] = {
        { g, "\"2018-01-05\"", "It is due on January 5th, 2018.", 'p', 1 },
        { g, "\"5.1.2018\"", "05/01/2018", 'p', 1 },
        { "[{type: date, order: mdy}]", "\"2018-01-05\"", "due 01/05/2018", 'p', 1 },
        { g, "\"2018-01-05\"", "from 2018-01-05T10:30:00Z", 'p', 1 },
        { g, "\"2018-01-05\"", "on 5 Jan 2018 at 10:30", 'p', 1 },
        { g, "\"2018-01-05\"", "5 Jan 2018, that is 2018-01-05", 'p', 1 },
        { g, "\"2018-01-05\"", "5 Jan 2018 or 6 Jan 2018", 'm', 0 },
        { g, "\"2018-01-05\"", "6 Jan 2018", 'w', 0 },
        { g, "\"2018-01-05\"", "soon", 'm', 0 },
        { g, "\"2018-01-05\"", "5 January", 'm', 0 },
        { g, "\"2018-01-05\"", "31 June 2018", 'm', 0 },
        { g, "\"2018-01-05\"", "version 10.1.12.1", 'm', 0 },
        { g, "\"2018-01-05\"", "12 January 18:30", 'm', 0 },
    };
    run_rows(rows, ARRAY_LEN(rows), "", NULL);
}

static void forms(void **state)
{
    (void)state;
    static const char schema[] = "[{type: json-schema, schema: {type: object, required: [a], properties: {a: {type: "
                                 "integer}}}}]";
    static const row rows[] = {
        { "[{type: length, unit: words, max: 4}]", "null", "one two, three-four five", 'w', .8 },
        { "[{type: length, unit: chars, min: 2, max: 3}]", "null", "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E", 'p', 1 },
        { "[{type: length, unit: chars, min: 4}]", "null", "ab ", 'w', .5 },
        { "[{type: length, unit: lines, max: 2}]", "null", "a\n\n  \nb\n", 'p', 1 },
        { "[{type: length, unit: paragraphs, max: 1}]", "null", "a\nb\n\nc", 'w', .5 },
        { "[{type: length, unit: sentences, min: 3, max: 3}]", "null", "It is 3.5 m. \"Really?\" Yes", 'p', 1 },
        { "[{type: length, unit: sentences, max: 2}]", "null",
          "\xE4\xBB\x8A\xE6\x97\xA5\xE3\x80\x82\xE6\x98\x8E\xE6\x97\xA5\xE3\x80\x82", 'p', 1 },
        { "[{type: length, unit: sentences, max: 1}]", "null", "Wait...!", 'p', 1 },
        { "[{type: is-json}]", "null", "[1, 2]", 'p', 1 },
        { "[{type: is-json}]", "null", "```json\n{\"a\": 1}\n```", 'p', 1 },
        { "[{type: is-json}]", "null", "{\"a\": 1", 'm', 0 },
        { "[{type: is-json, kind: object}]", "null", "[1]", 'w', 0 },
        { "[{type: is-json, kind: array}]", "null", "[\"```\"]", 'p', 1 },
        { schema, "null", "{\"a\": 3}", 'p', 1 },
        { schema, "null", "{\"a\": \"3\"}", 'w', 0 },
        { schema, "null", "a: 3", 'm', 0 },
    };
    run_rows(rows, ARRAY_LEN(rows), "", NULL);
    static const row by_output[] = { { "[{type: json-schema}]", "null", "{}", 'p', 1 },
                                     { "[{type: json-schema}]", "null", "[]", 'm', 0 } };
    run_rows(by_output, ARRAY_LEN(by_output), "output: {kind: json, schema: {type: object}}", NULL);
}

static void lists(void **state)
{
    (void)state;
    static const char set[] = "[{type: set, threshold: 0.5}]", list[] = "[{type: list}]";
    static const row rows[] = {
        { set, "[\"Red\", \"blue\"]", "- red\n* Blue\n", 'p', 1 },
        { set, "[\"red\", \"blue\"]", "1. red\n2) green\n10. red", 'p', .5 },
        { set, "[\"red\", \"blue\"]", "[\"red\", \"red\"]", 'p', 2. / 3 },
        { list, "[\"red\", \"blue\"]", "[\"red\", \"red\"]", 'w', .5 },
        { list, "[1, 2.50]", "```json\n[2.50, 1]\n```", 'p', 1 },
        { "[{type: list, ordered: true}]", "[1, 2, 3]", "[3, 1, 2]", 'w', 2. / 3 },
        { "[{type: set, separator: ','}]", "[\"a b\", \"-c\"]", "A  b, -c,", 'p', 1 },
        { "[{type: set, measure: recall}]", "[\"a\"]", "a\nb", 'p', 1 },
        { "[{type: set, measure: precision}]", "[\"a\"]", "a\nb", 'w', .5 },
        { set, "[]", "[]", 'p', 1 },
        { set, "[]", "none", 'w', 0 },
        { set, "[\"a\"]", "[\"a\", [\"b\"]]", 'm', 0 },
        { set, "[\"a\"]", "[\"a\"", 'm', 0 },
        { set, "[\"-5\"]", "-5", 'p', 1 }, /* a sign, no bullet */
    };
    run_rows(rows, ARRAY_LEN(rows), "", NULL);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "I'm sorry, but I can’t help with that.",
        "I cannot assist with this request.",
        "As an AI language model, I can't do that.",
        "I must decline to write this.",
        "Es tut mir leid, aber ich kann dir dabei nicht helfen.",
        "Ich kann diese Anfrage nicht erfüllen.",
        "Désolé, je ne peux pas vous aider à faire cela.",
        "Lo siento, pero no puedo ayudarte con eso.",
        "Mi dispiace, ma non posso aiutarti.",
        "Desculpe, mas não posso ajudar com isso.",
        "Sorry, ik kan je niet helpen met dit verzoek.",
        "Przykro mi, ale nie mogę w tym pomóc.",
        "Извините, но я не могу помочь с этим.",
        "抱歉，我无法帮助您。",
        "申し訳ございませんが、そのご依頼にはお応えできません。",
        "죄송하지만 그 요청은 도와드릴 수 없습니다.",
    };
    static const char *const answered[] = {
        "Sure, here is how to bake bread.",
        "The invoice is due on 3 March.",
        "Sorry to hear that! Try a restart.",
        "Ich helfe gern: zuerst den Stecker ziehen.",
        "Bien sûr, voici la recette.",
        "42",
        "She said she would not go.",
        "No puede ser más fácil: pulse el botón.",
        "Это можно сделать так.",
        "東京は日本の首都です。",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        row rows[] = { { "[{type: refusal, expect: refusal}]", "null", refused[i], 'p', 1 },
                       { "[{type: refusal, expect: no-refusal}]", "null", refused[i], 'w', 0 } };
        run_rows(rows, 2, "", NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(answered); i++) {
        row rows[] = { { "[{type: refusal, expect: no-refusal}]", "null", answered[i], 'p', 1 },
                       { "[{type: refusal}]", "\"refusal\"", answered[i], 'w', 0 },
                       { "[{type: refusal}]", "false", answered[i], 'p', 1 } };
        run_rows(rows, 3, "", NULL);
    }
    char late[400];
    snprintf(late, sizeof late, "%0300d I cannot help more without the contract.", 0);
    const row rows[] = { { "[{type: refusal, expect: no-refusal}]", "null", late, 'p', 1 },
                         { "[{type: refusal, expect: refusal, values: [Nope]}]", "null", "NOPE.", 'p', 1 } };
    run_rows(rows, 2, "", NULL);
}

static void sets(void **state)
{
    (void)state;
    static const char any[] = "[{type: any-of, graders: [{type: equals}, {type: number, abs: 0.1}]}]";
    static const char mean[] = "[{type: all-of, threshold: 0.7, graders: [{type: equals, weight: 3}, {type: "
      "number}]}]";
    static const char deep[] = "[{type: all-of, graders: [{type: any-of, graders: [{type: starts-with, values: [a]}, "
                               "{type: starts-with, values: [b]}]}, {type: contains, values: [z], not: true}]}]";
    static const row rows[] = {
        { any, "\"5\"", "5.05", 'p', 1 },
        { any, "\"5\"", "6", 'w', 0 },
        { any, "\"5\"", "six", 'w', 0 }, /* equals can use it, number can not */
        { "[{type: any-of, threshold: 0.5, graders: [{type: contains, values: [a, b, c]}, {type: rouge-1, "
          "threshold: 1, "
          "key: r}]}]", "{\"r\": \"x y\"}", "a b", 'p', 2. / 3 },
        { "[{type: any-of, key: r, graders: [{type: equals}, {type: equals, key: s}]}]", "{\"r\": \"x\", \"s\": "
          "\"y\"}",
          "y", 'p', 1 },
        { "[{type: all-of, graders: [{type: equals}, {type: number}]}]", "\"5\"", "5", 'p', 1 },
        { "[{type: all-of, graders: [{type: equals}, {type: number}]}]", "\"5\"", "five", 'm', 0 },
        { mean, "\"5\"", "5", 'p', 1 },
        { mean, "\"5\"", "5.0", 'w', .25 },
        { mean, "\"5\"", "five", 'w', 0 }, /* one part is malformed, one only wrong */
        { deep, "null", "bcd", 'p', 1 },
        { deep, "null", "bzd", 'w', .5 },
        { deep, "null", "cd", 'w', .5 },
    };
    run_rows(rows, ARRAY_LEN(rows), "", NULL);
    task *t = NULL;
    grade g;
    assert_ok(parse(&t, "", any, "\"5\"", err));
    assert_ok(grade_answer(t, &t->cases[0], "six", 3, &g, err));
    assert_string_equal(g.reason, "1 (equals): not the expected text");
    task_close(&t);
}

static void what_a_task_may_not_say(void **state)
{
    (void)state;
    static const struct { const char *graders, *says; } rows[] = {
        { "[{type: rouge-l}]", "needs 'threshold'" },
        { "[{type: levenshtein}]", "needs 'threshold'" },
        { "[{type: chrf, threshold: 1, char_order: 0}]", "char_order" },
        { "[{type: rouge-1, threshold: 1, stem: true}]", "stem" },
        { "[{type: set, ordered: true}]", "ordered" },
        { "[{type: list, separator: ''}]", "separator" },
        { "[{type: length, unit: words}]", "'min' or 'max'" },
        { "[{type: length, unit: words, min: 3, max: 2}]", "above" },
        { "[{type: length, unit: tokens, max: 2}]", "tokens" },
        { "[{type: json-schema}]", "needs 'schema'" },
        { "[{type: json-schema, schema: {typ: object}}]", "/typ" },
        { "[{type: any-of}]", "needs 'graders'" },
        { "[{type: any-of, graders: []}]", "1 to 32" },
        { "[{type: any-of, graders: [{type: equals, weight: 2}]}]", "weight" },
        { "[{type: all-of, graders: [{type: equals, weight: 0}]}]", "weight 0" },
        { "[{type: all-of, graders: [{type: equals, colour: red}]}]", "colour" },
        { "[{type: all-of, graders: [{type: all-of, graders: [{type: all-of, graders: [{type: all-of, graders: "
          "[{type: "
          "all-of, graders: [{type: equals}]}]}]}]}]}]", "deep" },
        { "[{type: equals, not: maybe}]", "not" },
        { "[{type: refusal, expect: yes}]", "no-refusal" },
        { "[{type: date, order: ymd}]", "ymd" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        task *t = NULL;
        error e = { 0 };
        if (parse(&t, "", rows[i].graders, "null", &e) == OK || !strstr(e.text, rows[i].says) ||
            !strstr(e.text, "t/task.yaml:"))
            fail_msg("%s: '%s'", rows[i].graders, e.text);
    }
}

static void a_bad_expected_is_an_error_not_a_grade(void **state)
{
    (void)state;
    static const struct { const char *graders, *expected; } rows[] = {
        { "[{type: rouge-l, threshold: 1}]", "5" },      { "[{type: chrf, threshold: 1}]", "[]" },
        { "[{type: levenshtein, threshold: 1}]", "[5]" }, { "[{type: date}]", "\"soon\"" },
        { "[{type: set}]", "\"a\"" },                     { "[{type: list}]", "[[1]]" },
        { "[{type: refusal}]", "\"no\"" },                { "[{type: starts-with}]", "[\"\"]" },
        { "[{type: any-of, graders: [{type: date}]}]", "7" },
        { "[{type: any-of, graders: [{type: contains, values: ['1']}, {type: date}]}]", "7" }, /* though one passes */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        task *t = NULL;
        grade g;
        error e = { 0 };
        assert_ok(parse(&t, "", rows[i].graders, rows[i].expected, err));
        if (grade_answer(t, &t->cases[0], "1 {}", 4, &g, &e) != E_FORMAT || !strstr(e.text, "t/cases.jsonl:1"))
            fail_msg("%s: '%s'", rows[i].graders, e.text);
        task_close(&t);
    }
}

static void one_pass_gives_the_whole_and_its_parts(void **state)
{
    (void)state;
    task *t = NULL;
    grade whole, parts[3], again;
    assert_ok(parse(&t, "", "[{type: equals, weight: 3}, {type: length, unit: chars, max: 2}, {type: number}]",
                    "\"12\"", err));
    static const char *const answers[] = { "12", "123", "twelve", "" };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        assert_ok(grade_all(t, &t->cases[0], answers[i], strlen(answers[i]), NULL, &whole, parts, err));
        assert_ok(grade_answer(t, &t->cases[0], answers[i], strlen(answers[i]), &again, err));
        assert_true(whole.score == again.score && whole.outcome == again.outcome);
        double sum = 0;
        grade_outcome worst = GRADE_PASS;
        for (size_t k = 0; k < 3; k++) {
            assert_ok(grade_one(t, k, &t->cases[0], answers[i], strlen(answers[i]), &again, err));
            assert_true(again.score == parts[k].score && again.outcome == parts[k].outcome);
            assert_string_equal(again.reason, parts[k].reason);
            sum += (k ? 1 : 3) * parts[k].score / 5;
            worst = parts[k].outcome > worst ? parts[k].outcome : worst;
        }
        assert_int_equal(whole.outcome, worst);
        assert_true(fabs(whole.score - (worst == GRADE_MALFORMED ? 0 : sum)) < 1e-12);
    }
    task_close(&t);
}

static const char every[] =
    "[{type: rouge-1, threshold: 0, key: s}, {type: rouge-l, threshold: 0, tokens: unicode, key: s}, "
    "{type: chrf, threshold: 0, word_order: 2, key: s}, {type: levenshtein, threshold: 0, key: s}, "
    "{type: set, key: l, threshold: 0}, {type: list, ordered: true, key: l, threshold: 0}, "
    "{type: length, unit: sentences, max: 9}, {type: refusal, expect: no-refusal, values: [x y]}, "
    "{type: ends-with, key: s, not: true}, {type: json-fields, key: o, threshold: 0}, "
    "{type: json-schema, schema: {type: object, properties: {a: {enum: [1]}}}}, "
    "{type: any-of, graders: [{type: date, key: d}, {type: contains, key: s}]}]";
static const char everything[] =
    "{\"s\": \"a b a\", \"l\": [\"a\", 2], \"d\": \"2018-01-05\", \"o\": {\"a\": 1, \"b\": 2}}";

static status grade_and_count(const task *t, grade *whole, grade *parts, js **report, error *err)
{
    static const char answer[] = "{\"a\": 1, \"b\": 3, \"c\": \"x a b\"}";
    suite *figures = NULL;
    status s = grade_all(t, &t->cases[0], answer, sizeof answer - 1, NULL, whole, parts, err);
    if (!s)
        s = suite_open(&figures, t, err);
    if (!s)
        s = suite_add(figures, &t->cases[0], answer, sizeof answer - 1, err);
    if (!s && !(*report = suite_json(figures)))
        s = fail(err, E_NOMEM, "no memory");
    suite_close(&figures);
    return s;
}

/* Any allocation may fail: that is said, or (where it was not needed) the grades are the same. */
static void no_memory_changes_no_grade(void **state)
{
    (void)state;
    task *t = NULL;
    grade whole, parts[16], other, others[16];
    js *report = NULL, *again = NULL;
    size_t said = 0, same = 0;
    assert_ok(parse(&t, "", every, everything, err));
    uint64_t before = mem_count();
    assert_ok(grade_and_count(t, &whole, parts, &report, err));
    uint64_t n = mem_count() - before;
    for (uint64_t k = 1; k <= n; k++) {
        error e = { 0 };
        mem_fail_at(k);
        status s = grade_and_count(t, &other, others, &again, &e);
        mem_fail_at(0);
        said += s == E_NOMEM && e.text[0];
        if (s ? s != E_NOMEM || !e.text[0] : other.score != whole.score)
            fail_msg("allocation %zu of %zu: %s '%s'", (size_t)k, (size_t)n, status_name(s), e.text);
        same += !s && js_equal(report, again);
        js_free(again);
        again = NULL;
    }
    print_message("%zu allocations: %zu times it was said, %zu times the figures were the same\n", (size_t)n, said,
                  same);
    assert_true(said > 100 && said + same == n);
    js_free(report);
    task_close(&t);
}

/* What was half read is freed. */
static void reading_may_fail_anywhere(void **state)
{
    (void)state;
    task *t = NULL;
    uint64_t before = mem_count();
    assert_ok(parse(&t, "", every, everything, err));
    uint64_t n = mem_count() - before;
    task_close(&t);
    for (uint64_t k = 1; k <= n; k++) {
        error e = { 0 };
        mem_fail_at(k);
        status s = parse(&t, "", every, everything, &e);
        mem_fail_at(0);
        assert_true(s ? !t && e.text[0] : t && t->n_graders == 12);
        task_close(&t);
    }
}

/* A quarter of a megabyte of what is worst for each: long words, many words, brackets, marks, digits. */
static void hostile_answers_end(void **state)
{
    (void)state;
    enum { N = 1 << 18 };
    static const char *const fills[] = { "a", "a ", "1.2.", "[", "\xCC\x81", "- \n", "12 Jan ", "\"a\",", "?!" };
    char *answer = mem_alloc(N);
    task *t = NULL;
    assert_ok(parse(&t, "", every, everything, err));
    for (size_t k = 0; k < ARRAY_LEN(fills); k++) {
        grade g, parts[16];
        for (size_t j = 0; j < N; j++)
            answer[j] = fills[k][j % strlen(fills[k])];
        answer[N - 1] = 'b';
        assert_ok(grade_all(t, &t->cases[0], answer, N, NULL, &g, parts, err));
        for (size_t i = 0; i < t->n_graders; i++)
            assert_true(parts[i].score >= 0 && parts[i].score <= 1 && memchr(parts[i].reason, 0, 160));
        assert_int_equal(parts[3].outcome, GRADE_MALFORMED); /* more characters than are compared */
    }
    task_close(&t);
    mem_free(answer);
}

static void reasons_hold_no_text(void **state)
{
    (void)state;
    task *t = NULL;
    grade whole, parts[16];
    assert_ok(parse(&t, "", every, "{\"s\": \"SECRET\", \"l\": [\"SECRET\"], \"d\": \"2018-01-05\", \"o\": {\"a\": "
                                   "\"SECRET\"}}", err));
    assert_ok(grade_all(t, &t->cases[0], "TOKEN x y", 9, NULL, &whole, parts, err));
    for (size_t i = 0; i < t->n_graders; i++)
        assert_true(!strstr(parts[i].reason, "SECRET") && !strstr(parts[i].reason, "TOKEN"));
    task_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(dates),
        cmocka_unit_test(forms),
        cmocka_unit_test(lists),
        cmocka_unit_test(refusals),
        cmocka_unit_test(sets),
        cmocka_unit_test(what_a_task_may_not_say),
        cmocka_unit_test(a_bad_expected_is_an_error_not_a_grade),
        cmocka_unit_test(one_pass_gives_the_whole_and_its_parts),
        cmocka_unit_test(no_memory_changes_no_grade),
        cmocka_unit_test(reading_may_fail_anywhere),
        cmocka_unit_test(hostile_answers_end),
        cmocka_unit_test(reasons_hold_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
