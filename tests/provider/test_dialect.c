/* A request in the words of each API: whole bodies, compared as JSON; what cannot be said is refused by its name. */
#include "lib/check.h"

#include <string.h>

#include "base/mem.h"
#include "provider/dialect.h"

static js *parsed(const char *text)
{
    js *v = NULL;
    assert_ok(js_parse(&v, text, strlen(text), "test", 1, err));
    return v;
}

static void body_is(const dialect *d, const request *r, const dialect_options *o, const char *want)
{
    buf said = BUF_INIT(100000);
    js *expected = parsed(want);
    assert_ok(d->check(r, o, err));
    js *body = d->body(r, o);
    js_write(body, JS_CANONICAL, &said);
    if (!js_equal(body, expected))
        fail_msg("%s\n instead of %s", buf_text(&said), want);
    buf_clear(&said);
    js_free(expected);
    js_free(body);
}

static const char talk[] =
    "[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"developer\",\"content\":[{\"type\":\"text\","
    "\"text\":\"Be kind.\"}]},{\"role\":\"user\",\"content\":\"Weather in Bern and Ulm?\"},"
    "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":["
    "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"w\",\"arguments\":\"{\\\"city\\\": \\\"Bern\\\"}\"}},"
    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"w\",\"arguments\":\"\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"7\"},"
    "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"And?\"}]";

static void anthropic(void **state)
{
    (void)state;
    request r;
    const dialect_options o = { .model = "claude" }, most = { .model = "claude", .max_tokens = 50 };
    static const request_message plain[] = { { "system", "S" }, { "user", "U" }, { "assistant", "A" },
                                             { "user", "V" } };
    request_init(&r);
    r.messages = plain;
    r.n_messages = 4;
    body_is(&dialect_anthropic, &r, &o,
            "{\"model\":\"claude\",\"max_tokens\":4096,\"stream\":true,\"temperature\":0,"
            "\"system\":[{\"type\":\"text\",\"text\":\"S\"}],\"messages\":["
            "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"U\"}]},"
            "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"A\"}]},"
            "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"V\"}]}]}");
    js *conversation = parsed(talk), *schema = parsed("{\"type\":\"object\"}");
    js *tools = parsed("[{\"type\":\"function\",\"function\":{\"name\":\"w\",\"description\":\"d\",\"strict\":true,"
                       "\"parameters\":{\"type\":\"object\",\"properties\":{}}}},"
                       "{\"type\":\"function\",\"function\":{\"name\":\"v\",\"description\":null}}]");
    js *kwargs = parsed("{\"enable_thinking\":true,\"reasoning_effort\":\"high\"}");
    r.conversation = conversation;
    r.tools = tools;
    r.one_call = true;
    r.template_kwargs = kwargs;
    r.shape = SHAPE_SCHEMA;
    r.schema = schema;
    r.sampling.temperature = 1;
    r.sampling.top_p = 0.5;
    r.sampling.top_k = 40;
    r.sampling.stops[r.sampling.n_stops++] = "END";
    body_is(&dialect_anthropic, &r, &most,
            "{\"model\":\"claude\",\"max_tokens\":50,\"stream\":true,\"top_p\":0.5,\"top_k\":40,"
            "\"stop_sequences\":[\"END\"],\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"high\","
            "\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}},"
            "\"tools\":[{\"name\":\"w\",\"description\":\"d\",\"strict\":true,"
            "\"input_schema\":{\"type\":\"object\",\"properties\":{}}},"
            "{\"name\":\"v\",\"input_schema\":{\"type\":\"object\"}}],"
            "\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true},"
            "\"system\":[{\"type\":\"text\",\"text\":\"Be brief.\"},{\"type\":\"text\",\"text\":\"Be kind.\"}],"
            "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Weather in Bern and Ulm?\"}]},"
            "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"w\",\"input\":{"
            "\"city\":\"Bern\"}},{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"w\",\"input\":{}}]},"
            "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":["
            "{\"type\":\"text\",\"text\":\"7\"}]},{\"type\":\"tool_result\",\"tool_use_id\":\"b\",\"content\":[]},"
            "{\"type\":\"text\",\"text\":\"And?\"}]}]}");
    js_free(conversation);
    js_free(schema);
    js_free(tools);
    js_free(kwargs);
}

static void refused(const dialect *d, const request *r, const dialect_options *o, status s, const char *says)
{
    error e = { 0 };
    if (d->check(r, o, &e) != s || !strstr(e.text, says))
        fail_msg("%s: %s", says, e.text);
}

static void anthropic_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *conversation;
        status s;
        const char *says;
    } rows[] = {
        { "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]", E_UNSUPPORTED, "texts only" },
        { "[{\"role\":\"function\",\"content\":\"x\"}]", E_UNSUPPORTED, "role 'function'" },
        { "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"system\",\"content\":\"x\"}]", E_UNSUPPORTED,
          "beginning" },
        { "[{\"role\":\"tool\",\"content\":\"x\"}]", E_FORMAT, "tool_call_id" },
        { "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
          "\"[1]\"}}]}]", E_FORMAT, "object of arguments" },
        { "[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":"
          "\"{\"}}]}]", E_FORMAT, "object of arguments" },
        { "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}]", E_FORMAT,
          "needs an id" },
    };
    const dialect_options o = { .model = "claude" };
    request r;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        js *conversation = parsed(rows[i].conversation);
        request_init(&r);
        r.conversation = conversation;
        refused(&dialect_anthropic, &r, &o, rows[i].s, rows[i].says);
        js_free(conversation);
    }
    static const request_message m = { "user", "U" };
    static const char *const words[] = { "temperature", "a seed", "penalty", "log-prob", "JSON without", "min_p" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        request_init(&r);
        r.messages = &m;
        r.n_messages = 1;
        assert_ok(dialect_anthropic.check(&r, &o, err));
        r.sampling.temperature = i == 0 ? 1.1 : 0;
        r.sampling.seed_set = i == 1;
        r.sampling.presence_penalty = i == 2;
        r.logprobs = i == 3;
        r.shape = i == 4 ? SHAPE_JSON : SHAPE_FREE;
        r.sampling.min_p = i == 5 ? 0.1 : 0;
        refused(&dialect_anthropic, &r, &o, E_UNSUPPORTED, words[i]);
    }
    request_init(&r);
    r.messages = &m;
    r.n_messages = 1;
    js *kwargs = parsed("{\"reasoning_effort\":\"xhigh\"}");
    r.template_kwargs = kwargs;
    refused(&dialect_anthropic, &r, &o, E_UNSUPPORTED, "reasoning_effort");
    js_free(kwargs);
}

/* An effort is a field of its own at api.openai.com; elsewhere it is a variable of the template. */
static void efforts(void **state)
{
    (void)state;
    static const struct {
        const char *kwargs, *vendor, *others;
    } rows[] = {
        { "{\"enable_thinking\":true,\"reasoning_effort\":\"low\"}", "low", "chat_template_kwargs" },
        { "{\"enable_thinking\":false}", "none", "chat_template_kwargs" },
        { "{\"enable_thinking\":true}", NULL, "chat_template_kwargs" },
        { "{}", NULL, NULL },
        { "{\"depth\":3}", "refused", "chat_template_kwargs" },
    };
    static const request_message m = { "user", "U" };
    const dialect_options vendor = { .model = "gpt", .vendor = true, .max_tokens = 7 }, other = { .model = "gpt" };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        request r;
        js *kwargs = parsed(rows[i].kwargs);
        request_init(&r);
        r.messages = &m;
        r.n_messages = 1;
        r.template_kwargs = kwargs;
        js *body = dialect_openai.body(&r, &other);
        assert_int_equal(js_get(body, "chat_template_kwargs") != NULL, rows[i].others != NULL);
        assert_null(js_get(body, "reasoning_effort"));
        assert_null(js_get(body, "max_tokens"));
        js_free(body);
        if (rows[i].vendor && strcmp(rows[i].vendor, "refused") == 0) {
            refused(&dialect_openai, &r, &vendor, E_UNSUPPORTED, "depth");
        } else {
            assert_ok(dialect_openai.check(&r, &vendor, err));
            body = dialect_openai.body(&r, &vendor);
            const char *effort = js_text(js_get(body, "reasoning_effort"));
            int64_t most = 0;
            assert_true(rows[i].vendor ? effort && strcmp(effort, rows[i].vendor) == 0 : !effort);
            assert_null(js_get(body, "chat_template_kwargs"));
            assert_true(js_int(js_get(body, "max_completion_tokens"), &most) && most == 7);
            js_free(body);
        }
        js_free(kwargs);
    }
}

static void without_memory(void **state)
{
    (void)state;
    const dialect *const all[] = { &dialect_openai, &dialect_anthropic };
    const dialect_options o = { .model = "m" };
    js *conversation = parsed(talk);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        bool whole = false;
        request r;
        request_init(&r);
        r.conversation = conversation;
        js *want = all[i]->body(&r, &o);
        assert_non_null(want);
        for (long n = 1; !whole && n < 1000; n++) {
            mem_fail_at(n);
            js *body = all[i]->body(&r, &o);
            mem_fail_at(0);
            assert_true(!body || js_equal(body, want)); /* whole or not at all */
            whole = body != NULL;
            js_free(body);
        }
        assert_true(whole);
        js_free(want);
    }
    js_free(conversation);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(anthropic), cmocka_unit_test(anthropic_refuses),
                                        cmocka_unit_test(efforts), cmocka_unit_test(without_memory) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
