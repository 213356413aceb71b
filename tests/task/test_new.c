/* New tasks lint, whatever was answered; texts written as YAML are read back as they were. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/yaml.h"
#include "lib/random.h"
#include "task/grade.h"
#include "task/lint.h"
#include "task/new.h"
#include "task/write.h"

static void lints(const task_new *n)
{
    buf file = BUF_INIT(1 << 20), cases = BUF_INIT(1 << 20);
    task *t = NULL;
    lint_report r;
    assert_ok(task_new_files(n, NULL, 0, &file, &cases, err));
    assert_ok(task_parse(&t, file.data, file.len, "t", err));
    assert_ok(task_parse_cases(t, cases.data, cases.len, err));
    assert_string_equal(t->prompt.messages[t->prompt.n_messages - 1].content, n->prompt);
    assert_int_equal(t->privacy, n->privacy);
    assert_int_equal(t->output, n->output);
    assert_true(t->bar == n->bar && t->margin == n->margin && t->synthetic == n->synthetic);
    assert_ok(lint_loaded(t, &r, err));
    if (r.n_errors)
        fail_msg("%s\n%s%s", r.findings[0].text, file.data, cases.data);
    lint_report_clear(&r);
    task_close(&t);
    buf_clear(&file);
    buf_clear(&cases);
}

static void what_is_written_lints(void **state)
{
    (void)state;
    static const char *const prompts[] = { "{{input}}", "Read {{a}} and {{ b }}:\n  # no comment\n\n- x: y\n",
                                           "'\"{{input}}\"", "\tx{{input}}\r\n", "é\xE2\x80\xA8 {{input}}",
                                           "yes {{input}}\n\n" };
    static const char *const systems[] = { NULL, "null", "Two\nlines: [a]" };
    static const char *const graders[] = { NULL, "exact", "contains-all", "key-facts" };
    for (size_t p = 0; p < ARRAY_LEN(prompts); p++)
        for (size_t s = 0; s < ARRAY_LEN(systems); s++)
            for (task_output k = TASK_TEXT; k <= TASK_NUMBER; k++)
                for (size_t g = 0; g < (k == TASK_TEXT ? ARRAY_LEN(graders) : 1); g++)
                    lints(&(task_new){ "t", systems[s], (privacy_class)rnd(4), k, "no, 1, a b,\"c\"",
                                       "a, total:number, n:integer,ok:boolean, null", prompts[p], systems[s],
                                       graders[g], .8, -1, rnd(2) });
}

static void refused(const task_new *n, const char *says)
{
    buf file = BUF_INIT(1 << 20), cases = BUF_INIT(1 << 20);
    error why = { 0 };
    status s = task_new_files(n, NULL, 0, &file, &cases, &why);
    if (!s || !strstr(why.text, says))
        fail_msg("'%s', not '%s'", s ? why.text : "accepted", says);
    buf_clear(&file);
    buf_clear(&cases);
}

static void wrong_answers_are_named(void **state)
{
    (void)state;
    task_new n = { .id = "t", .prompt = "{{input}}", .bar = .5, .margin = -1 };
    n.prompt = "no variable";
    refused(&n, "prompt: it must hold a variable");
    n.prompt = "{{ a | b }}";
    refused(&n, "no filters");
    n.prompt = "{{a.b}}";
    refused(&n, "give the cases");
    n.prompt = "{{input}}";
    n.grader = "max-words";
    refused(&n, "needs 'max'");
    n.grader = NULL;
    n.output = TASK_LABEL;
    refused(&n, "labels: at least two");
    n.labels = "a,,b";
    refused(&n, "labels: a list of words");
    n.labels = "a,a";
    refused(&n, "there twice");
    n.output = TASK_JSON;
    refused(&n, "fields: at least one");
    n.fields = "a:date";
    refused(&n, "the types are string, number");
    n.fields = "a,a:number";
    refused(&n, "'a' is there twice");
}

/* Any text, as a value, as a key, in a list, as a block: yaml.h reads the same. */
static void texts_survive_yaml(void **state)
{
    (void)state;
    static const char *const bits[] = {
        "a", " ", "\n", "\t", ":", "#", "-", "'", "\"", "\\", "{", "}", "[", ",", "null", "1", "é", "\xC2\x85",
        "\xE2\x80\xA8", "\xEF\xBB\xBF", "\x7F", "\x01", "|", ">", "&", "*", "!", "%", "@", "`", "true", "~",
        "\xF0\x9F\x99\x82", "\r", "? ", "---", "\n  ",
    };
    for (int round = 0; round < 4000; round++) {
        char text[200] = "";
        for (uint32_t n = rnd(12); n; n--)
            strcat(text, bits[rnd(ARRAY_LEN(bits))]);
        buf out = BUF_INIT(1 << 16);
        js *map = js_object(), *list = js_array();
        assert_true(js_push(list, js_new_string(text)) && js_set(map, text, list) && js_set(map, "n", js_new_int(7)));
        buf_str(&out, "a: ");
        write_yaml_flow(&out, map);
        buf_str(&out, "\nb:\n  - c: ");
        write_yaml_text(&out, text, 6);
        buf_str(&out, "    d: ");
        write_yaml_text(&out, text, 6);
        buf_str(&out, "e: ");
        write_yaml_text(&out, text, 2);
        yaml_file *f = NULL;
        error why = { 0 };
        if (yaml_parse(&f, buf_text(&out), out.len, "x", &why))
            fail_msg("%s in\n%s", why.text, buf_text(&out));
        js *back = yaml_to_js(yaml_get(f->root, "a"));
        assert_true(js_equal(back, map));
        const yaml *b = yaml_get(f->root, "b")->child;
        assert_string_equal(yaml_get(b, "c")->text, text);
        assert_string_equal(yaml_get(b, "d")->text, text);
        assert_string_equal(yaml_get(f->root, "e")->text, text);
        js_free(back);
        js_free(map);
        yaml_close(&f);
        buf_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_lints),
        cmocka_unit_test(wrong_answers_are_named),
        cmocka_unit_test(texts_survive_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
