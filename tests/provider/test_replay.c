/* Recorded answers are found by each of their keys and never invented; requests are checked. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "provider/provider.h"

static char dir[200], file[300];

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static status open_text(provider **p, const char *text, error *err)
{
    char spec[400];
    put(file, text);
    snprintf(spec, sizeof spec, "replay:%s", file);
    return provider_open(p, spec, NULL, err);
}

static void ask(provider *p, const char *task, const char *name, const char *text, status want, const char *answer,
                event_done *end)
{
    request_message m = { "user", text };
    request r;
    char *got = NULL;
    error e = { 0 };
    event_done unused;
    request_init(&r);
    r.task = task;
    r.case_id = name;
    r.messages = &m;
    r.n_messages = 1;
    status s = provider_answer(p, &r, &got, end ? end : &unused, NULL, &e);
    if (s != want)
        fail_msg("status %d: %s", (int)s, e.text);
    if (!s)
        assert_string_equal(got, answer);
    mem_free(got);
}

static void found(void **state)
{
    (void)state;
    request_message m = { "user", "by prompt" };
    request r;
    char hex[65], text[2000], big[20001];
    provider *p;
    event_done end;
    request_init(&r);
    r.messages = &m;
    r.n_messages = 1;
    assert_ok(request_prompt_digest(&r, hex, err));
    for (size_t i = 0; i < sizeof big - 1; i += 2)
        memcpy(big + i, "\xc3\xa9", 2);
    big[sizeof big - 1] = 0;
    snprintf(text, sizeof text,
             "{\"task\":\"t\",\"case\":\"1\",\"answer\":\"one\",\"finish_reason\":\"length\","
             "\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2},"
             "\"timings\":{\"decode_seconds\":0.5},\"model\":\"m\",\"mean_logprob\":-1.5}\n"
             "\n{\"id\":\"t/2\",\"answer\":\"two\"}\r\n{\"id\":\"3\",\"answer\":\"\"}\n"
             "{\"prompt_sha256\":\"%s\",\"answer\":\"by digest\"}", hex);
    assert_ok(open_text(&p, text, err));
    ask(p, "t", "1", "x", OK, "one", &end);
    assert_int_equal(end.finish, ANSWER_LENGTH);
    assert_int_equal(end.prompt_tokens, 5);
    assert_int_equal(end.cached_tokens, -1);
    assert_true(end.decode_seconds == 0.5 && isnan(end.prefill_seconds) && end.mean_logprob == -1.5);
    assert_string_equal(end.model, "m");
    ask(p, "t", "2", "x", OK, "two", NULL);
    ask(p, "any", "3", "x", OK, "", NULL);
    ask(p, NULL, NULL, "by prompt", OK, "by digest", NULL);
    ask(p, "t", "4", "x", E_NOTFOUND, NULL, NULL);
    ask(p, "u", "1", "x", E_NOTFOUND, NULL, NULL);
    ask(p, NULL, NULL, "by another prompt", E_NOTFOUND, NULL, NULL);
    provider_close(&p);
    char *line = mem_zero(30000);
    snprintf(line, 30000, "{\"id\":\"big\",\"answer\":\"%s\"}\n", big);
    assert_ok(open_text(&p, line, err));
    ask(p, "t", "big", "x", OK, big, NULL); /* in pieces of whole characters */
    provider_close(&p);
    mem_free(line);
}

static int on_call(void *user, const event *e)
{
    if (e->kind == EVENT_REASONING || e->kind == EVENT_ARGUMENTS)
        buf_str(user, e->text);
    if (e->kind == EVENT_CALL)
        buf_printf(user, "[%u %s]", e->call->index, e->call->name);
    if (e->kind == EVENT_DONE)
        buf_printf(user, " %s", answer_finish_name(e->end->finish));
    return 0;
}

static void calls(void **state)
{
    (void)state;
    request r;
    request_message m = { "user", "x" };
    provider *p;
    buf heard = BUF_INIT(1000);
    request_init(&r);
    r.messages = &m;
    r.n_messages = 1;
    r.case_id = "1";
    assert_ok(open_text(&p, "{\"id\":\"1\",\"reasoning\":\"hm\",\"tool_calls\":[{\"name\":\"f\",\"arguments\":"
                            "{\"a\":1}},{\"name\":\"g\",\"arguments\":{}}]}\n", err));
    assert_ok(provider_complete(p, &r, on_call, &heard, NULL, err));
    assert_string_equal(buf_text(&heard), "hm[0 f]{\"a\":1}[1 g]{} tool_calls");
    provider_close(&p);
    buf_clear(&heard);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        { "{\"id\":\"1\"}\n", "'answer' is missing" },
        { "\n{\"answer\":\"x\"}\n", ":2: neither" },
        { "{\"id\":\"1\",\"answer\":\"a\"}\n{\"id\":\"1\",\"answer\":\"b\"}\n", "lines 1 and 2" },
        { "{\"id\":\"1\",\"answer\":\"a\",\"finish_reason\":\"tired\"}\n", "finish_reason" },
        { "{\"id\":\"1\",\"answer\":\"a\",\"finnish_reason\":\"stop\"}\n", "finish_reason" },
        { "{\"id\":\"1\",\"answer\":\"a\",\"usage\":{\"prompt_tokens\":\"5\"}}\n", "not a number" },
        { "{\"id\":\"1\",\"answer\":1}\n", "not text" },
        { "{\"id\":\"1\",\"tool_calls\":[{\"name\":\"f\",\"arguments\":\"{}\"}]}\n", "tool_calls" },
        { "[1]\n", "one JSON object" },
        { "{\"id\":\"1\",\n", "x.jsonl" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p = NULL;
        error e = { 0 };
        status s = open_text(&p, rows[i].text, &e);
        if (s != E_FORMAT || !strstr(e.text, rows[i].says))
            fail_msg("row %zu: status %d: %s", i, (int)s, e.text);
    }
}

static int count_errors(void *user, const event *e)
{
    *(int *)user += e->kind == EVENT_ERROR;
    return 0;
}

static void requests(void **state)
{
    (void)state;
    provider *p;
    assert_ok(open_text(&p, "{\"id\":\"1\",\"answer\":\"a\"}\n", err));
    for (int i = 0; i < 8; i++) {
        request_message m = { "user", "x" };
        request r;
        error e;
        int errors = 0;
        request_init(&r);
        r.messages = &m;
        r.n_messages = 1;
        r.case_id = "1";
        switch (i) {
        case 0: r.sampling.temperature = NAN; break;
        case 1: r.sampling.top_p = 1.5; break;
        case 2: r.n_messages = 0; break;
        case 3: m.content = "\xff"; break;
        case 4: m.content = NULL; break;
        case 5: r.sampling.n_stops = 17; break;
        case 6: r.n_logprobs = 65; break;
        case 7: r.kind = REQUEST_TOKENS; break;
        }
        status s = provider_complete(p, &r, count_errors, &errors, NULL, &e);
        assert_true(s == E_RANGE || s == E_FORMAT);
        assert_int_equal(errors, 1);
    }
    provider_close(&p);
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/hearth-replay-%d", (int)getpid());
    mkdir(dir, 0700);
    snprintf(file, sizeof file, "%s/x.jsonl", dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found),
        cmocka_unit_test(calls),
        cmocka_unit_test(refused),
        cmocka_unit_test(requests),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove(file);
    remove(dir);
    return failed;
}
