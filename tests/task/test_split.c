/* split and few_shot: sides against the formula written again, examples against what must never be shown. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/lint.h"

#define HEAD "hearth: 1\nid: a\nprivacy: public\ngraders: [{type: label}]\nbar: 0.5\n" \
             "output: {kind: label, labels: [x, y, z]}\n"
#define SPLIT "split: {held_back: 0.4, salt: s1}\n"
#define ASK "messages:\n  - {role: system, content: Sort.}\n  - {role: user, content: 'T: {{input}}'}\n"

static task *opened(const char *yaml, const char *cases)
{
    task *t = NULL;
    assert_ok(task_parse(&t, yaml, strlen(yaml), "t", err));
    if (cases)
        assert_ok(task_parse_cases(t, cases, strlen(cases), err));
    return t;
}

static void refused(const char *yaml, const char *says)
{
    task *t = NULL;
    error err = { 0 };
    status s = task_parse(&t, yaml, strlen(yaml), "t", &err);
    if (!s || !strstr(err.text, says))
        fail_msg("%s: '%s', not '%s'", yaml, s ? err.text : "accepted", says);
}

/* n cases of which every third shares its cluster with the one before. */
static char *cases_text(int n, int first)
{
    buf b = BUF_INIT(4 << 20);
    for (int i = first; i < first + n; i++) {
        buf_printf(&b, "{\"id\":\"c%d\",\"input\":\"w%d common v%d text u%d here\",\"expected\":\"%c\"",
                   i, i % 37, i % 11, i, i % 10 < 7 ? 'x' : i % 10 < 9 ? 'y' : 'z');
        if (i % 3)
            buf_printf(&b, ",\"cluster\":\"k%d\"", i / 3);
        buf_str(&b, "}\n");
    }
    return buf_take(&b);
}

static bool is_test(const char *salt, const char *key, double held_back)
{
    char text[300], hex[DIGEST_HEX];
    int n = snprintf(text, sizeof text, "hearth split 1%c%s%c%s", 0, salt, 0, key);
    digest_of(text, (size_t)n, hex);
    hex[12] = 0;
    return (double)strtoull(hex, NULL, 16) / 281474976710656.0 < held_back;
}

static void sides_are_a_function_of_cluster_and_salt(void **state)
{
    (void)state;
    char *text = cases_text(3000, 0);
    task *t = opened(HEAD SPLIT ASK, text), *other = opened(HEAD "split: {held_back: 0.4, salt: s2}\n" ASK, text);
    task *whole = opened(HEAD ASK, text);
    size_t differ = 0;
    for (size_t i = 0; i < t->n_cases; i++) {
        const task_case *c = &t->cases[i];
        bool test = task_is_measured(t, c);
        assert_int_equal(test, is_test("s1", c->cluster ? c->cluster : c->id, .4));
        assert_int_equal(test, task_case_split(t, c) == TASK_TEST);
        differ += test != task_is_measured(other, &other->cases[i]);
        assert_true(task_is_measured(whole, &whole->cases[i]));
    }
    size_t n = task_measured(t);
    assert_true(n > 1080 && n < 1320); /* 0.4 of about 2000 clusters, +- 4.5 standard deviations */
    assert_true(differ > 1000);        /* 2 * 0.4 * 0.6 of 3000 are expected */
    task_close(&whole);
    task_close(&other);
    task_close(&t);
    mem_free(text);
}

static size_t examples(const task_messages *m, const char **questions, const char **answers)
{
    size_t n = 0;
    assert_string_equal(m->items[0].role, "system");
    for (size_t i = 1; i + 1 < m->n; i += 2, n++) {
        assert_string_equal(m->items[i].role, "user");
        assert_string_equal(m->items[i + 1].role, "assistant");
        questions[n] = m->items[i].content + strlen("T: ");
        answers[n] = m->items[i + 1].content;
    }
    assert_string_equal(m->items[m->n - 1].role, "user");
    return n;
}

static const task_case *by_input(const task *t, const char *text)
{
    for (size_t i = 0; i < t->n_cases; i++)
        if (!strcmp(js_text(t->cases[i].input), text))
            return &t->cases[i];
    return NULL;
}

static void check_case(const task *t, const task_case *c, size_t wanted)
{
    task_messages m = { 0 };
    const char *questions[TASK_SHOTS_MAX], *answers[TASK_SHOTS_MAX];
    assert_ok(task_render(t, &t->prompt, c->input, c->id, &m, err));
    size_t n = examples(&m, questions, answers);
    assert_true(n == wanted || task_case_split(t, c) == TASK_TRAIN);
    for (size_t i = 0; i < n; i++) {
        const task_case *shown = by_input(t, questions[i]);
        assert_non_null(shown);
        assert_int_equal(task_case_split(t, shown), TASK_TRAIN);
        assert_string_equal(answers[i], js_text(shown->expected));
        assert_ptr_not_equal(shown, c);
        assert_false(c->cluster && shown->cluster && !strcmp(c->cluster, shown->cluster));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(questions[i], questions[k]);
    }
    assert_string_equal(m.items[m.n - 1].content + 3, js_text(c->input));
    task_messages_clear(&m);
}

static void no_example_is_a_test_case_or_the_case_itself(void **state)
{
    (void)state;
    static const char *const ways[] = { "fixed", "random", "similar" };
    char *text = cases_text(120, 0);
    for (size_t w = 0; w < ARRAY_LEN(ways); w++)
        for (int seed = 0; seed < 3; seed++) {
            char yaml[600];
            snprintf(yaml, sizeof yaml, HEAD SPLIT ASK "few_shot: {n: 6, by: %s, seed: %d}\n", ways[w], seed);
            task *t = opened(yaml, text);
            for (size_t i = 0; i < t->n_cases; i++)
                check_case(t, &t->cases[i], 6);
            task_close(&t);
        }
    mem_free(text);
}

static void labels_are_balanced(void **state)
{
    (void)state;
    static const char *const ways[] = { "fixed", "random" };
    char *text = cases_text(300, 0);
    for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
        char yaml[600];
        size_t counts[3] = { 0 };
        const char *questions[TASK_SHOTS_MAX], *answers[TASK_SHOTS_MAX];
        snprintf(yaml, sizeof yaml, HEAD SPLIT ASK "few_shot: {n: 9, by: %s}\n", ways[w]);
        task *t = opened(yaml, text);
        task_messages m = { 0 };
        js *input = js_new_string("something else");
        assert_ok(task_render(t, &t->prompt, input, NULL, &m, err));
        size_t n = examples(&m, questions, answers);
        for (size_t i = 0; i < n; i++)
            counts[*answers[i] - 'x']++;
        assert_true(n == 9 && counts[0] == 3 && counts[1] == 3 && counts[2] == 3); /* of 70, 20 and 10 per cent */
        task_messages_clear(&m);
        js_free(input);
        task_close(&t);
    }
    mem_free(text);
}

/* Words of two texts of the test's own kind: blanks separate them, none is there twice. */
static double overlap(const char *a, const char *b)
{
    char x[200], y[200];
    size_t both = 0, na = 0, nb = 0;
    snprintf(x, sizeof x, " %s ", a);
    snprintf(y, sizeof y, " %s ", b);
    for (char *p = x; p[1]; na++) {
        char *end = strchr(p + 1, ' '), keep = end[1];
        end[1] = 0;
        both += strstr(y, p) != NULL;
        end[1] = keep;
        p = end;
    }
    for (char *p = y; p[1]; nb++)
        p = strchr(p + 1, ' ');
    return (double)both / (double)(na + nb - both);
}

static void similar_ones_are_the_nearest(void **state)
{
    (void)state;
    char *text = cases_text(200, 0);
    task *t = opened(HEAD SPLIT ASK "few_shot: {n: 4, by: similar}\n", text);
    for (size_t i = 0; i < t->n_cases; i++) {
        const task_case *c = &t->cases[i];
        const char *questions[TASK_SHOTS_MAX], *answers[TASK_SHOTS_MAX];
        task_messages m = { 0 };
        if (!task_is_measured(t, c))
            continue;
        assert_ok(task_render(t, &t->prompt, c->input, c->id, &m, err));
        size_t n = examples(&m, questions, answers), nearer = 0;
        double least = overlap(questions[0], js_text(c->input)), before = 0;
        for (size_t k = 0; k < n; k++) {
            double now = overlap(questions[k], js_text(c->input));
            assert_true(now >= before); /* the nearest stands last */
            before = now;
        }
        for (size_t k = 0; k < t->n_cases; k++)
            nearer += !task_is_measured(t, &t->cases[k]) &&
                      overlap(js_text(t->cases[k].input), js_text(c->input)) > least + 1e-9;
        assert_true(n == 4 && nearer < 4);
        task_messages_clear(&m);
    }
    task_close(&t);
    mem_free(text);
}

static void digest_of_prompt(const char *yaml, const char *cases, char out[DIGEST_HEX])
{
    task *t = opened(yaml, cases);
    task_prompt_digest(&t->prompt, out);
    task_close(&t);
}

/* The digest of a prompt follows its settings and its examples, and nothing else; that of the suite the test cases. */
static void digests_follow_the_examples(void **state)
{
    (void)state;
    char *text = cases_text(60, 0);
    char one[DIGEST_HEX], other[DIGEST_HEX], suite[DIGEST_HEX], suite2[DIGEST_HEX];
    static const char fixed[] = HEAD SPLIT ASK "few_shot: {n: 3}\n";
    digest_of_prompt(HEAD SPLIT ASK, text, one);
    digest_of_prompt(fixed, text, other);
    assert_string_not_equal(one, other);
    digest_of_prompt(HEAD SPLIT ASK "few_shot: {n: 4}\n", text, one);
    assert_string_not_equal(one, other);
    digest_of_prompt(HEAD SPLIT ASK "few_shot: {n: 3, seed: 2}\n", text, one);
    assert_string_not_equal(one, other);
    task *t = opened(fixed, text);
    assert_ok(task_suite_digest(t, suite, err));
    size_t changed_shown = 0, changed_suite = 0;
    for (size_t i = 0; i < t->n_cases; i++) { /* change one expected answer after the other */
        char *copy = mem_strdup(text), line[40];
        snprintf(line, sizeof line, "{\"id\":\"%s\"", t->cases[i].id);
        char *at = strstr(strstr(copy, line), "\"expected\":\"") + strlen("\"expected\":\"");
        *at = *at == 'x' ? 'y' : 'x';
        task *u = opened(fixed, copy);
        task_prompt_digest(&u->prompt, one);
        assert_ok(task_suite_digest(u, suite2, err));
        bool shown = strcmp(one, other) != 0, counted = strcmp(suite, suite2) != 0;
        assert_false(shown && task_is_measured(t, &t->cases[i]));
        assert_int_equal(counted, task_is_measured(t, &t->cases[i]));
        changed_shown += shown;
        changed_suite += counted;
        task_close(&u);
        mem_free(copy);
    }
    assert_true(changed_shown >= 3 && changed_shown < 30 && changed_suite == task_measured(t));
    task_close(&t);
    mem_free(text);
}

static void a_text_has_a_place_for_examples(void **state)
{
    (void)state;
    static const char yaml[] = HEAD SPLIT "prompt: |-\n  Sort.\n  {{examples}}T: {{input}}\n  A:\n"
                               "few_shot: {n: 2, example: \"T: {{input}}\\nA: {{expected}}\\n\"}\n"
                               "variants:\n  local:a: 'Only {{input}}'\n"
                               "  local:b: {few_shot: {n: 1, example: \"<{{input}}={{expected}}>\"}}\n";
    char *text = cases_text(60, 0);
    task *t = opened(yaml, text);
    js *input = js_new_string("{{examples}} {{input}}");
    task_messages m = { 0 };
    assert_ok(task_render(t, task_prompt_for(t, NULL), input, NULL, &m, err));
    assert_true(m.plain && m.n == 1);
    assert_ptr_equal(strstr(m.items[0].content, "Sort.\nT: w"), m.items[0].content);
    const char *end = strstr(m.items[0].content, "T: {{examples}} {{input}}\nA:"); /* from a case: not looked at */
    assert_non_null(end);
    assert_int_equal(strlen(end), strlen("T: {{examples}} {{input}}\nA:"));
    task_messages_clear(&m);
    assert_ok(task_render(t, task_prompt_for(t, "local:a"), input, NULL, &m, err));
    assert_string_equal(m.items[0].content, "Only {{examples}} {{input}}");
    task_messages_clear(&m);
    assert_ok(task_render(t, task_prompt_for(t, "local:b"), input, NULL, &m, err));
    assert_ptr_equal(strstr(m.items[0].content, "Sort.\n<w"), m.items[0].content);
    task_messages_clear(&m);
    js_free(input);
    task_close(&t);
    mem_free(text);
    refused(HEAD SPLIT "prompt: 'T {{input}}'\nfew_shot: {n: 2}\n", "needs the place {{examples}}");
    refused(HEAD SPLIT ASK "few_shot: {n: 2, example: x}\n", "needs the place {{examples}} in the prompt");
    refused(HEAD ASK "few_shot: {n: 2}\n", "draws from the train split");
    refused(HEAD SPLIT ASK "few_shot: {n: 2, by: nearest}\n", "fixed, random, similar");
    refused(HEAD SPLIT ASK "few_shot: {n: 0}\n", "from 1 to 64");
    refused(HEAD SPLIT ASK "few_shot: {n: 2, shuffle: true}\n", "shuffle");
    refused(HEAD "split: {salt: x}\n" ASK, "held_back");
    refused(HEAD "split: {held_back: 0.5, salt: x, seed: 1}\n" ASK, "seed");
    refused(HEAD "split: {held_back: 0}\n" ASK, "from 0.01 to 1");
}

static bool has(const lint_report *r, const char *code)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->findings[i].code, code))
            return true;
    return false;
}

/* Too few train cases are told once; train cases may stand in a prompt, test cases may not. */
static void lint_knows_the_split(void **state)
{
    (void)state;
    char *text = cases_text(9, 0);
    lint_report r;
    task *t = opened(HEAD SPLIT ASK "few_shot: {n: 60}\n", text);
    assert_ok(lint_loaded(t, &r, err));
    assert_true(has(&r, "few-shot") && !has(&r, "missing-variable"));
    size_t told = 0;
    for (size_t i = 0; i < r.n; i++)
        told += !strcmp(r.findings[i].code, "few-shot");
    assert_int_equal(told, 1);
    lint_report_clear(&r);
    for (size_t i = 0; i < t->n_cases; i++) {
        char yaml[700];
        snprintf(yaml, sizeof yaml, HEAD SPLIT "messages:\n  - {role: user, content: '%s'}\n  - {role: assistant, "
                 "content: x}\n  - {role: user, content: '{{input}}'}\n", js_text(t->cases[i].input));
        task *u = opened(yaml, text);
        assert_ok(lint_loaded(u, &r, err));
        assert_int_equal(has(&r, "leak"), task_is_measured(t, &t->cases[i]));
        lint_report_clear(&r);
        task_close(&u);
    }
    task_close(&t);
    mem_free(text);
}

static void declared_clusters_are_no_duplicates(void **state)
{
    (void)state;
    static const char apart[] = "{\"id\":\"1\",\"input\":\"a b c d e f g\",\"expected\":\"x\"}\n"
                                "{\"id\":\"2\",\"input\":\"a b c d e f g h\",\"expected\":\"x\"}\n";
    static const char together[] =
        "{\"id\":\"1\",\"input\":\"a b c d e f g\",\"expected\":\"x\",\"cluster\":\"k\"}\n"
        "{\"id\":\"2\",\"input\":\"a b c d e f g h\",\"expected\":\"x\",\"cluster\":\"k\"}\n";
    lint_report r;
    task *t = opened(HEAD ASK, apart), *u = opened(HEAD ASK, together);
    assert_ok(lint_loaded(t, &r, err));
    assert_true(has(&r, "near-duplicate"));
    lint_report_clear(&r);
    assert_ok(lint_loaded(u, &r, err));
    assert_false(has(&r, "near-duplicate"));
    lint_report_clear(&r);
    task_close(&t);
    task_close(&u);
}

static void filled(const char *prompt, const char *input_text, const char *wanted)
{
    char yaml[400];
    js *input = NULL;
    task_messages m = { 0 };
    snprintf(yaml, sizeof yaml, "hearth: 1\nid: a\nprivacy: public\ngraders: [{type: exact}]\nbar: 1\nprompt: '%s'\n",
             prompt);
    task *t = opened(yaml, NULL);
    assert_ok(js_parse(&input, input_text, strlen(input_text), "input", 1, err));
    error why = { 0 };
    status s = task_render(t, &t->prompt, input, "k", &m, &why);
    if (s)
        assert_non_null(strstr(why.text, wanted));
    else
        assert_string_equal(m.items[0].content, wanted);
    task_messages_clear(&m);
    js_free(input);
    task_close(&t);
}

static void paths_reach_members(void **state)
{
    (void)state;
    filled("{{a.b}}/{{ list.1 }}/{{list.0.c}}", "{\"a\":{\"b\":\"x\"},\"list\":[{\"c\":1.50},true]}", "x/true/1.50");
    filled("{{a.b.c}}", "{\"a\":{\"b\":\"x\"}}", "'a.b.c' is not in the input");
    filled("{{a.9}}", "{\"a\":[1]}", "'a.9' is not in the input");
    filled("{{a.b}}", "{\"a\":{\"b\":null}}", "is null");
    filled("{{input}}", "\"x{{input}}\"", "x{{input}}");
    filled("{{input.x}}", "\"x\"", "'input.x' is not in the input");
    filled("100 {% of {%x%}", "\"x\"", "100 {% of {%x%}");
#define ASKS(text) "hearth: 1\nid: a\nprivacy: public\ngraders: [{type: exact}]\nbar: 1\nprompt: \"" text "\"\n"
    refused(ASKS("{% if x %}a{% endif %}"), "no statements such as {% if %}");
    refused(ASKS("a{%- for x in y %}"), "no statements");
    refused(ASKS("{{ x | upper }}"), "no filters");
    refused(ASKS("{{a..b}}"), "is no variable");
    refused(ASKS("{{a.}}"), "is no variable");
    refused("hearth: 1\nid: a\nprivacy: public\ngraders: [{type: exact}]\nbar: 1\nmessages:\n  - role: user\n"
            "    content: [{type: text, text: a}, {type: image_url, image_url: {url: 'http://x/y.png'}}]\n",
            "content[1] is an image");
    refused(ASKS("data:image/png;base64,AA {{x}}"), "the prompt is an image");
    refused("hearth: 1\nid: a\nprivacy: public\ngraders: [{type: exact}]\nbar: 1\nmessages:\n  - role: user\n"
            "    content: [{type: text, text: a}]\n", "must be a text, not a list of parts");
}

static void images_in_cases_are_refused(void **state)
{
    (void)state;
    static const char *const inputs[] = {
        "{\"pic\":\"data:image/png;base64,AAAA\"}",
        "{\"parts\":[1,{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\"}}]}",
        "{\"x\":{\"type\":\"input_image\",\"image_url\":\"u\"}}",
    };
    static const char *const says[] = { "t/cases.jsonl:1: input.pic is an image", "input.parts[1] is", "input.x is" };
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        char line[200];
        error err = { 0 };
        task *t = opened(HEAD ASK, NULL);
        snprintf(line, sizeof line, "{\"input\":%s,\"expected\":\"x\"}\n", inputs[i]);
        assert_int_equal(task_parse_cases(t, line, strlen(line), &err), E_FORMAT);
        if (!strstr(err.text, says[i]))
            fail_msg("%s", err.text);
        task_close(&t);
    }
    task *t = opened(HEAD ASK, "{\"input\":{\"type\":\"image\",\"text\":\"a word\"},\"expected\":\"x\"}\n");
    task_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sides_are_a_function_of_cluster_and_salt),
        cmocka_unit_test(no_example_is_a_test_case_or_the_case_itself),
        cmocka_unit_test(labels_are_balanced),
        cmocka_unit_test(similar_ones_are_the_nearest),
        cmocka_unit_test(digests_follow_the_examples),
        cmocka_unit_test(a_text_has_a_place_for_examples),
        cmocka_unit_test(lint_knows_the_split),
        cmocka_unit_test(declared_clusters_are_no_duplicates),
        cmocka_unit_test(paths_reach_members),
        cmocka_unit_test(images_in_cases_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
