/* Conversations with tools for templates that know them, and for those that do not: what is added is read back,
    no text
 * of a message is lost, and nothing that a client can send in a history is refused. */
#include "lib/check.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "chat/output.h"
#include "chat/tool_prompt.h"

static const char conversation[] =
    "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Weather?\"},{\"role\":"
    "\"assistant\","
    "\"content\":\"Let me see.\",\"tool_calls\":[{\"id\":\"call_abc\",\"type\":\"function\",\"function\":{"
    "\"name\":\"w\","
    "\"arguments\":\"{\\\"city\\\": \\\"Oslo\\\"}\"}},{\"id\":\"call_def\",\"type\":\"function\",\"function\":{"
    "\"name\":\"w\","
    "\"arguments\":\"broken {\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_abc\",\"content\":\"sun\"},{"
    "\"role\":\"tool\","
    "\"tool_call_id\":\"call_def\",\"content\":[{\"type\":\"text\",\"text\":\"ra\"},{\"type\":\"text\",\"text"
    "\":\"in\"}]}]";
static const char tool_list[] = "[{\"type\":\"function\",\"function\":{\"name\":\"w\",\"description\":\"weather"
    "\",\"parameters\":"
                                "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}]";

static js *parsed(const char *text)
{
    js *v = NULL;
    assert_ok(js_parse(&v, text, strlen(text), "test", 1, err));
    return v;
}

static js *rewritten(const char *messages, const char *family, tool_abilities can, bool must)
{
    js *m = parsed(messages), *t = parsed(tool_list), *out = NULL;
    assert_ok(tool_prompt_messages(&out, m, t, must, tool_format_named(family), &can, err));
    js_free(m);
    js_free(t);
    return out;
}

static const char *text_at(const js *list, size_t i, const char *key)
{
    const char *text = js_text(js_get(js_at(list, i), key));
    assert_non_null(text);
    return text;
}

static void known_by_the_template(void **state)
{
    (void)state;
    js *out = rewritten(conversation, "mistral-list", (tool_abilities){ true, true, true, true }, false);
    assert_int_equal(js_len(out), 5);
    assert_string_equal(text_at(out, 0, "content"), "Be brief.");
    const js *calls = js_get(js_at(out, 2), "tool_calls");
    const char *first = js_text(js_get(js_at(calls, 0), "id"));
    assert_int_equal(strlen(first), 9); /* this family takes no other ids, and results keep their call */
    assert_string_equal(text_at(out, 3, "tool_call_id"), first);
    assert_string_equal(text_at(out, 3, "name"), "w");
    assert_string_not_equal(text_at(out, 4, "tool_call_id"), first);
    assert_string_equal(js_text(js_get(js_get(js_at(calls, 0), "function"), "arguments")), "{\"city\":\"Oslo\"}");
    assert_string_equal(js_text(js_get(js_get(js_at(calls, 1), "function"), "arguments")), "{\"raw\":\"broken {\"}");
    js_free(out);
    out = rewritten(conversation, "hermes", (tool_abilities){ true, true, true, true }, false);
    assert_string_equal(text_at(out, 3, "tool_call_id"), "call_abc"); /* other families keep them */
    js_free(out);
}

static uint32_t n_calls;

static void count(void *user, const output_event *e)
{
    buf *text = user;
    if (e->kind == OUTPUT_CALL)
        n_calls++;
    else if (e->kind == OUTPUT_TEXT || e->kind == OUTPUT_ARGUMENTS)
        buf_add(text, e->text, e->n);
}

static void unknown_to_the_template(void **state)
{
    (void)state;
    js *out = rewritten(conversation, "generic", (tool_abilities){ .system = true }, false), *t = parsed(tool_list);
    buf text = BUF_INIT(4096);
    output *o = NULL;
    assert_int_equal(js_len(out), 4); /* both results in one message: roles go on alternating */
    const char *system = text_at(out, 0, "content"), *said = text_at(out, 2, "content");
    assert_true(strncmp(system, "Be brief.", 9) == 0 && strstr(system, "\"weather\"") && strstr(system,
        "<tool_call>"));
    assert_null(js_get(js_at(out, 2), "tool_calls"));
    assert_string_equal(text_at(out, 3, "role"), "user");
    assert_string_equal(text_at(out, 3, "content"), "<tool_response>\nsun\n</tool_response>\n<tool_response>\nrain\n"
                                                    "</tool_response>");
    /* what the model sees of its own calls is what it is to write */
    assert_ok(output_open(&o, &(output_options){ .format = { .tools = tool_format_named("generic") }, .tools = t,
                                                 .fn = count, .user = &text }, err));
    assert_ok(output_feed(o, said, strlen(said), false, err));
    assert_ok(output_finish(o, err));
    output_close(&o);
    assert_int_equal(n_calls, 2);
    assert_string_equal(buf_text(&text), "Let me see.{\"city\":\"Oslo\"}{\"raw\":\"broken {\"}");
    buf_clear(&text);
    js_free(out);
    js_free(t);
    /* no system message at all: one is made; no role system: the user's first message begins with it */
    const char *one = "[{\"role\":\"user\",\"content\":\"Hi\"}]";
    out = rewritten(one, "generic", (tool_abilities){ .system = true }, true);
    assert_int_equal(js_len(out), 2);
    assert_non_null(strstr(text_at(out, 0, "content"), "tool calls only"));
    js_free(out);
    out = rewritten(one, "generic", (tool_abilities){ 0 }, false);
    assert_int_equal(js_len(out), 1);
    const char *content = text_at(out, 0, "content");
    assert_string_equal(content + strlen(content) - 4, "\n\nHi");
    js_free(out);
}

static void anything_goes(void **state)
{
    (void)state;
    static const char *const histories[] = {
        "[{\"role\":\"tool\"}]",
        "[{\"role\":\"tool\",\"tool_call_id\":7,\"content\":{\"a\":1}}]",
        "[{\"role\":\"assistant\",\"tool_calls\":[{}]}]",
        "[{\"role\":\"assistant\",\"tool_calls\":[1,{\"function\":{\"name\":7,\"arguments\":[1]}}]}]",
        "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":\"x\"}]",
        "[{\"role\":\"assistant\",\"content\":[{\"type\":\"image\"}],\"tool_calls\":[]}]",
        "[{\"content\":\"no role\"},{}]",
        "[]",
    };
    for (size_t row = 0; row < tool_format_rows; row++)
        for (size_t i = 0; i < ARRAY_LEN(histories); i++)
            for (int bits = 0; bits < 16; bits++) {
                tool_abilities can = { bits & 1, bits & 2, bits & 4, bits & 8 };
                js_free(rewritten(histories[i], tool_format_table[row].name, can, bits & 1));
            }
    js *out = NULL, *bad = parsed("[1]");
    error e = { 0 };
    tool_abilities can = { 0 };
    assert_int_equal(tool_prompt_messages(&out, bad, NULL, false, &tool_format_table[0], &can, &e), E_FORMAT);
    js_free(bad);
}

static void memory(void **state)
{
    (void)state;
    js *m = parsed(conversation), *t = parsed(tool_list);
    bool failed = true;
    for (uint64_t at = 1; failed && at < 2000; at++) {
        js *out = NULL;
        error e = { 0 };
        tool_abilities can = { .system = true };
        mem_fail_at(at);
        status s = tool_prompt_messages(&out, m, t, false, tool_format_named("generic"), &can, &e);
        mem_fail_at(0);
        assert_true(s == OK || s == E_NOMEM);
        failed = s != OK;
        if (!s)
            js_free(out);
    }
    assert_false(failed);
    js_free(m);
    js_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(known_by_the_template),
        cmocka_unit_test(unknown_to_the_template),
                                        cmocka_unit_test(anything_goes), cmocka_unit_test(memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
