/* Answers to content, reasoning and calls. Every case is fed whole, byte by byte, cut at every place and cut into
 * random pieces: the result must be the same. What a family's writer writes must be read back as the same calls,
 * between any texts. Text that is no call must come out as it went in.
 *
 * With `--serve` it parses for test_tool_formats.py: one JSON object a line, {template | format, tools, prompt, text};
 * the answer is {format, content, reasoning, calls}. */
#include "lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "chat/output.h"

enum { ROOM = 1 << 22 };

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\",\"properties\":"
    "{\"city\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"},\"x\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":"
    "\"null\"}]}}}}},{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";
static js *tools;
static bool serving;

/* ---- collecting ---- */

typedef struct result {
    buf content, reasoning, calls; /* calls: [{"id","name","arguments","complete"}…] as text */
    bool in_call, bad;
    uint32_t n;
    buf arguments;
    js *list; /* [name, arguments, complete] of each, when it is not NULL */
    char name[TOOL_NAME_MAX + 1], id[TOOL_ID_MAX];
} result;

static result new_result(void)
{
    return (result){ .content = BUF_INIT(ROOM), .reasoning = BUF_INIT(ROOM), .calls = BUF_INIT(ROOM),
                     .arguments = BUF_INIT(ROOM) };
}

static void clear_result(result *r)
{
    buf_clear(&r->content);
    buf_clear(&r->reasoning);
    buf_clear(&r->calls);
    buf_clear(&r->arguments);
    js_free(r->list);
}

static void end_call(result *r, bool complete)
{
    buf_printf(&r->calls, "%s%s(", r->n > 1 ? " " : "", r->name);
    buf_add(&r->calls, buf_text(&r->arguments), r->arguments.len);
    buf_str(&r->calls, complete ? ")" : "...");
    js *j = NULL;
    bool json = js_parse(&j, buf_text(&r->arguments), r->arguments.len, "arguments", 1, NULL) == OK;
    r->bad |= complete && (!json || !js_is(j, JS_OBJECT));
    js_free(j);
    if (r->list) {
        js *one = js_array();
        js_push(one, js_new_string(r->name));
        js_push(one, js_new_stringn(buf_text(&r->arguments), r->arguments.len));
        js_push(one, js_new_bool(complete));
        js_push(r->list, one);
    }
    r->in_call = false;
}

static void on_event(void *user, const output_event *e)
{
    result *r = user;
    switch (e->kind) {
    case OUTPUT_TEXT:
        r->bad |= r->in_call || !e->n;
        buf_add(&r->content, e->text, e->n);
        break;
    case OUTPUT_REASONING:
        r->bad |= r->in_call || !e->n;
        buf_add(&r->reasoning, e->text, e->n);
        break;
    case OUTPUT_CALL:
        r->bad |= r->in_call || e->index != r->n++ || !e->id[0];
        snprintf(r->name, sizeof r->name, "%s", e->name);
        snprintf(r->id, sizeof r->id, "%s", e->id);
        buf_reset(&r->arguments);
        r->in_call = true;
        break;
    case OUTPUT_ARGUMENTS:
        r->bad |= !r->in_call || !e->n || e->index + 1 != r->n;
        buf_add(&r->arguments, e->text, e->n);
        break;
    case OUTPUT_CALL_END:
        r->bad |= !r->in_call || e->index + 1 != r->n;
        end_call(r, e->complete);
        break;
    }
}

static output_format format_named(const char *name, const char *reasoning)
{
    output_format f = { .tools = tool_format_named(name) };
    for (size_t i = 0; reasoning && i < reasoning_format_rows; i++)
        if (strcmp(reasoning_format_table[i].name, reasoning) == 0)
            f.reasoning = &reasoning_format_table[i];
    assert_non_null(f.tools);
    return f;
}

/* Feeds text cut at the given places. */
static result parse(output_format f, const char *prompt, const char *text, size_t n, const size_t *cuts, size_t n_cuts)
{
    result r = new_result();
    output *o = NULL;
    r.list = serving ? js_array() : NULL;
    assert_ok(output_open(&o, &(output_options){ .format = f, .tools = tools, .prompt = prompt, .id_seed = 7,
                                                 .fn = on_event, .user = &r }, err));
    size_t at = 0;
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : n;
        assert_ok(output_feed(o, text + at, to - at, false, err));
        at = to;
    }
    assert_ok(output_finish(o, err));
    bool complete;
    assert_int_equal(output_calls(o, &complete), r.n);
    assert_false(r.in_call);
    assert_false(r.bad);
    output_close(&o);
    return r;
}

static bool same(const result *a, const result *b)
{
    return strcmp(buf_text(&a->content), buf_text(&b->content)) == 0 &&
           strcmp(buf_text(&a->reasoning), buf_text(&b->reasoning)) == 0 &&
           strcmp(buf_text(&a->calls), buf_text(&b->calls)) == 0 && a->n == b->n;
}

static uint64_t random_state = 1;
static uint32_t rnd(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* The text's result, after checking that no way to cut it changes it. */
static result parse_all(output_format f, const char *prompt, const char *text)
{
    size_t n = strlen(text), cuts[4096];
    result whole = parse(f, prompt, text, n, NULL, 0);
    for (size_t i = 0; i < n && i < ARRAY_LEN(cuts); i++)
        cuts[i] = i;
    result bytes = parse(f, prompt, text, n, cuts, n < ARRAY_LEN(cuts) ? n : ARRAY_LEN(cuts));
    if (!same(&whole, &bytes))
        fail_msg("byte by byte '%s' is another answer: '%s' '%s' '%s', whole '%s' '%s' '%s'", text,
                 buf_text(&bytes.content), buf_text(&bytes.reasoning), buf_text(&bytes.calls),
                 buf_text(&whole.content), buf_text(&whole.reasoning), buf_text(&whole.calls));
    clear_result(&bytes);
    for (size_t i = 0; i < n; i++) {
        result two = parse(f, prompt, text, n, &i, 1);
        if (!same(&whole, &two))
            fail_msg("cut at %zu '%s' is another answer", i, text);
        clear_result(&two);
    }
    for (int round = 0; round < 8; round++) {
        size_t k = rnd(6);
        for (size_t i = 0; i < k; i++)
            cuts[i] = rnd((uint32_t)n + 1);
        qsort(cuts, k, sizeof *cuts, by_size);
        result some = parse(f, prompt, text, n, cuts, k);
        if (!same(&whole, &some))
            fail_msg("cut into pieces '%s' is another answer", text);
        clear_result(&some);
    }
    return whole;
}

/* ---- what is what ---- */

static const struct {
    const char *format, *reasoning, *prompt, *text, *content, *thought, *calls;
} cases[] = {
#include "chat/output_cases.h"
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        result r = parse_all(format_named(cases[i].format, cases[i].reasoning), cases[i].prompt, cases[i].text);
        const char *const want[] = { cases[i].content, cases[i].thought, cases[i].calls };
        const char *const got[] = { buf_text(&r.content), buf_text(&r.reasoning), buf_text(&r.calls) };
        for (size_t k = 0; k < 3; k++)
            if (strcmp(want[k] ? want[k] : "", got[k]) != 0)
                fail_msg("%s: '%s':\n  got    '%s'\n  wanted '%s'", cases[i].format, cases[i].text, got[k],
                         want[k] ? want[k] : "");
        clear_result(&r);
    }
}

/* ---- the writer's calls are read back ---- */

static js *random_value(int depth)
{
    static const char *const texts[] = { "", "Köln", "a \"b\" \\ c", "line\nend", "<tool_call>", "{\"x\":1}",
                                         "5", "é€😀",
                                         "true", " pad ", "[TOOL_CALLS]", "a,b:c}" };
    switch (rnd(depth > 0 ? 7 : 5)) {
    case 0: return js_null();
    case 1: return js_new_bool(rnd(2));
    case 2: return js_new_int((int)rnd(2000) - 1000);
    case 3: return js_new_double(rnd(1000) / 8.0);
    case 4: return js_new_string(texts[rnd(ARRAY_LEN(texts))]);
    case 5: {
        js *a = js_array();
        for (uint32_t n = rnd(4); n > 0; n--)
            js_push(a, random_value(depth - 1));
        return a;
    }
    default: {
        static const char *const names[] = { "a", "b", "city", "name", "arguments" };
        js *o = js_object();
        for (uint32_t n = rnd(4); n > 0; n--)
            js_set(o, names[rnd(ARRAY_LEN(names))], random_value(depth - 1));
        return o;
    }
    }
}

static js *random_calls(uint32_t n)
{
    js *list = js_array();
    for (uint32_t i = 0; i < n; i++) {
        js *call = js_object(), *function = js_object(), *arguments = js_object();
        js_set(arguments, "city", js_new_string(rnd(2) ? "Köln \"am\" Rhein" : "12"));
        if (rnd(2))
            js_set(arguments, "days", js_new_int(rnd(100)));
        if (rnd(2))
            js_set(arguments, "other", random_value(2));
        js_set(function, "name", js_new_string("get_weather"));
        js_set(function, "arguments", rnd(5) ? arguments : (js_free(arguments), js_object()));
        js_set(call, "id", js_new_string("abcDEF123"));
        js_set(call, "function", function);
        js_push(list, call);
    }
    return list;
}

/* Strings within values that are written without JSON's quotes lose their type: these rows are asked less. */
static bool keeps_types(const tool_format *f)
{
    return !f->parameter;
}

static void compare_calls(const tool_format *f, const js *calls, const result *r, const char *text)
{
    buf want = BUF_INIT(ROOM);
    assert_int_equal(js_len(calls), r->n);
    /* events give compact texts only where the family's text was compact: compare values */
    const char *p = buf_text(&r->calls);
    for (size_t i = 0; i < js_len(calls); i++) {
        const js *arguments = js_get(js_get(js_at(calls, i), "function"), "arguments");
        js *got = NULL;
        assert_true(str_starts(p, "get_weather("));
        p += strlen("get_weather(");
        /* a complete call is followed by ')' and a blank or the end: find the longest that parses */
        size_t n = strlen(p);
        for (const char *q = p; (q = strstr(q, ")")) != NULL; q++)
            if ((q[1] == ' ' || !q[1]) && js_parse(&got, p, (size_t)(q - p), "got", 1, NULL) == OK) {
                n = (size_t)(q - p);
                break;
            }
        if (!got || !js_equal(got, arguments)) {
            buf_reset(&want);
            js_write(arguments, JS_COMPACT, &want);
            fail_msg("%s: '%s' was read as %.*s, not %s", f->name, text, (int)n, p, buf_text(&want));
        }
        js_free(got);
        p += n + 1;
        p += *p == ' ';
    }
    buf_clear(&want);
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t row = 0; row < tool_format_rows; row++) {
        const tool_format *f = &tool_format_table[row];
        for (int round = 0; round < 40; round++) {
            bool one = strcmp(f->name, "functionary-v3.2") == 0;
            js *calls = random_calls(1 + rnd(one ? 1 : 3));
            buf text = BUF_INIT(ROOM);
            if (!keeps_types(f))
                for (size_t i = 0; i < js_len(calls); i++)
                    js_remove(js_get(js_get(js_at(calls, i), "function"), "arguments"), "other");
            const char *before = round % 2 && !f->bare && !f->start ? "Let me see.\n" : "";
            buf_str(&text, before);
            tool_format_write(f, calls, &text);
            result r = round < 4 ? parse_all((output_format){ .tools = f }, NULL, buf_text(&text))
                                 : parse((output_format){ .tools = f }, NULL, buf_text(&text), text.len, NULL, 0);
            compare_calls(f, calls, &r, buf_text(&text));
            assert_string_equal(buf_text(&r.content), *before ? "Let me see." : "");
            clear_result(&r);
            buf_clear(&text);
            js_free(calls);
        }
    }
}

/* Pieces of the formats' own texts in any order: never a crash, the same however it is cut, and with tools that are
 * none of what is called everything but separators stays text. */
static void test_garbage(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "{", "}", "[", "]", "\"", ":", ",", "name", "arguments", "\"name\"", "\"arguments\"", "get_weather", "f", " ",
        "\n", "<tool_call>", "</tool_call>", "<function=f>", "<parameter=city>", "</parameter>", "</function>", "Köln",
        "{\"name\": \"f\", \"arguments\": {", "{}", "[TOOL_CALLS]", "[ARGS]", "<|tool_call>call:f{", "<|\"|>",
        "<tool_call|>", "<|channel|>", "<|message|>", "<|start|>assistant", " to=functions.f", "<think>", "</think>",
        ">>>", "all\n", "f\n", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "\\", "12", "é", "; ",
        "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "function<｜tool▁sep｜>",
        "```json", "<|tool_call|>",
    };
    for (int round = 0; round < 3000; round++) {
        buf text = BUF_INIT(ROOM);
        for (uint32_t n = 1 + rnd(12); n > 0; n--)
            buf_str(&text, pieces[rnd(ARRAY_LEN(pieces))]);
        output_format f = { .tools = &tool_format_table[rnd((uint32_t)tool_format_rows)] };
        if (rnd(2) && !f.tools->start)
            f.reasoning = &reasoning_format_table[rnd((uint32_t)reasoning_format_rows)];
        result r = parse_all(f, rnd(4) ? NULL : "<|start|>assistant", buf_text(&text));
        clear_result(&r);
        buf_clear(&text);
    }
}

static void test_plain_text_is_left_alone(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "\n", "  a\n\n b  \n", "if (a < b) { return \"x\"; }\n",
                                         "<b>é</b> < tool",
                                         "<tool_cal", "[TOOL", "{\"a\": 1}\n", "a <think> b", "Köln\n\n\n" };
    for (size_t row = 0; row < tool_format_rows; row++)
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
            result r = parse_all((output_format){ .tools = &tool_format_table[row] }, NULL, texts[i]);
            assert_string_equal(buf_text(&r.content), texts[i]);
            clear_result(&r);
        }
}

static void test_bounds(void **state)
{
    (void)state;
    /* a call that never gets to the point is given up; ids and depth are bounded */
    buf text = BUF_INIT(ROOM);
    buf_str(&text, "<tool_call>{\"arguments\": {\"x\": \"");
    for (int i = 0; i < 40000; i++)
        buf_char(&text, 'a');
    result r = parse(format_named("hermes", NULL), NULL, buf_text(&text), text.len, NULL, 0);
    assert_string_equal(buf_text(&r.content), buf_text(&text));
    clear_result(&r);
    buf_reset(&text);
    buf_str(&text, "<tool_call>{\"name\": \"f\", \"arguments\": {\"x\": ");
    for (int i = 0; i < 200; i++)
        buf_char(&text, '[');
    r = parse(format_named("hermes", NULL), NULL, buf_text(&text), text.len, NULL, 0);
    assert_int_equal(r.n, 1);
    assert_true(str_ends(buf_text(&r.calls), "...") && r.content.len == 200 - 59);
    clear_result(&r);
    buf_clear(&text);
}

static void test_memory(void **state)
{
    (void)state;
    const char text[] = "<think>a</think>b<tool_call>\n{\"arguments\": {\"city\": \"K\"}, \"name\": \"get_weather\"}\n"
                        "</tool_call>";
    bool failed = true;
    for (uint64_t at = 1; failed && at < 200; at++) {
        result r = new_result();
        output *o = NULL;
        error e = { 0 };
        buf_reserve(&r.content, 200);
        buf_reserve(&r.reasoning, 200);
        buf_reserve(&r.calls, 200);
        buf_reserve(&r.arguments, 200);
        mem_fail_at(at);
        status s = output_open(&o, &(output_options){ .format = format_named("hermes", "think"), .tools = tools,
                                                      .fn = on_event, .user = &r }, &e);
        if (!s)
            s = output_feed(o, text, strlen(text), false, &e);
        if (!s)
            s = output_finish(o, &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM);
        failed = s != OK;
        output_close(&o);
        clear_result(&r);
    }
    assert_false(failed);
}

static void test_control(void **state)
{
    (void)state;
    result r = new_result();
    output *o = NULL;
    assert_ok(output_open(&o, &(output_options){ .format = format_named("hermes", NULL), .tools = tools,
                                                 .fn = on_event, .user = &r }, err));
    assert_ok(output_feed(o, "<|im_sep|>", 10, true, err)); /* no text of this format: dropped as it always was */
    assert_ok(output_feed(o, "a", 1, false, err));
    assert_ok(output_feed(o, "<tool_call>", 11, true, err));
    assert_ok(output_feed(o, "{\"name\":\"f\",\"arguments\":{}}", 27, false, err));
    assert_ok(output_feed(o, "</tool_call>", 12, true, err));
    assert_ok(output_finish(o, err));
    output_close(&o);
    assert_string_equal(buf_text(&r.content), "a");
    assert_string_equal(buf_text(&r.calls), "f({})");
    clear_result(&r);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < tool_format_rows; i++) {
        const tool_format *f = &tool_format_table[i];
        pattern p;
        const char *const texts[] = { f->open, f->call, f->next, f->close, f->parameter };
        for (size_t k = 0; k < ARRAY_LEN(texts); k++)
            pattern_read(&p, texts[k]);
        assert_true(f->call && (f->marks[0] || i + 1 == tool_format_rows));
        assert_true(!strstr(f->call, "{call}") || f->arguments_key);
        assert_true(!strstr(f->call, "{parameters}") == !f->parameter);
        assert_true(!strstr(f->call, "{map}") == !f->quote);
        assert_ptr_equal(tool_format_named(f->name), f);
    }
    output_format f = output_format_of("{{ messages[0] }}");
    assert_string_equal(f.tools->name, "generic");
    f = output_format_of(NULL);
    assert_string_equal(f.tools->name, "generic");
    assert_null(f.reasoning);
}

/* ---- serving ---- */

static js *served(const js *q)
{
    const char *template_text = js_text(js_get(q, "template")), *name = js_text(js_get(q, "format"));
    const js *text = js_get(q, "text");
    output_format f = template_text ? output_format_of(template_text) : format_named(name, NULL);
    js_free(tools);
    tools = js_copy(js_get(q, "tools"));
    result r = parse_all(f, js_text(js_get(q, "prompt")), js_text(text));
    js *a = js_object();
    js_set(a, "format", js_new_string(f.tools->name));
    js_set(a, "reasoning_format", f.reasoning ? js_new_string(f.reasoning->name) : js_null());
    js_set(a, "content", js_new_string(buf_text(&r.content)));
    js_set(a, "reasoning", js_new_string(buf_text(&r.reasoning)));
    js_set(a, "calls", js_copy(r.list));
    clear_result(&r);
    return a;
}

static int serve(void)
{
    char *line = NULL;
    size_t size = 0;
    serving = true;
    ssize_t n;
    while ((n = getline(&line, &size, stdin)) > 0) {
        js *q = NULL;
        assert_ok(js_parse(&q, line, (size_t)n, "request", 1, err));
        js *a = served(q);
        buf out = BUF_INIT(ROOM);
        js_write(a, JS_COMPACT, &out);
        puts(buf_text(&out));
        fflush(stdout);
        buf_clear(&out);
        js_free(a);
        js_free(q);
    }
    free(line);
    js_free(tools);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--serve") == 0)
        return serve();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),    cmocka_unit_test(test_cases),   cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_garbage),  cmocka_unit_test(test_plain_text_is_left_alone),
        cmocka_unit_test(test_bounds),   cmocka_unit_test(test_memory),  cmocka_unit_test(test_control),
    };
    if (js_parse(&tools, tools_text, strlen(tools_text), "tools", 1, NULL) != OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    js_free(tools);
    return failed;
}
