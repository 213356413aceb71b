/* openai providers against a server that streams, lies, hangs, cuts, refuses and floods; through the real egress
 * process. What may not leave is looked for in what the server really got. */
#include "egress/release.h"
#include "egress/remote.h"

static void good_answers(void **state)
{
    (void)state;
    provider *p;
    char line[8192];
    setenv("HEARTH_API_KEY", "sk-test-123", 1);
    open_mode(&p, "normal");
    assert_int_equal(provider_get_info(p)->place, PLACE_REMOTE); /* loopback is not local */
    assert_int_equal(provider_process(p), 0);                    /* nothing started yet */
    for (int i = 0; i < 2; i++) {
        outcome o = { 0 };
        ask(p, &o, NULL, NULL);
        assert_int_equal(o.s, OK);
        assert_string_equal(o.text, "Gr\xc3\xbc\xc3\x9f" "e, \xf0\x9f\x8c\x8d!");
        assert_int_equal(o.done.finish, ANSWER_STOP);
        assert_int_equal(o.done.prompt_tokens, 11);
        assert_int_equal(o.done.completion_tokens, 4);
        assert_int_equal(o.done.cached_tokens, 3);
        assert_string_equal(o.model, "fake-1");
        assert_true(o.done.ttft_seconds > 0 && isnan(o.done.prefill_seconds));
        last_request(line, sizeof line);
        assert_non_null(strstr(line, "Bearer sk-test-123"));
        assert_non_null(strstr(line, "\"model\": \"fake\""));
        assert_non_null(strstr(line, "/normal/chat/completions"));
    }
    assert_true(provider_process(p) > 0);
    provider_close(&p);
    outcome o = { 0 };
    open_mode(&p, "whole");
    ask(p, &o, NULL, NULL);
    assert_string_equal(o.text, "whole");
    assert_int_equal(o.done.finish, ANSWER_LENGTH);
    provider_close(&p);
    last_request(line, sizeof line);
    request r;
    static const request_message m = { "user", "hello" };
    request_init(&r);
    r.privacy = PRIVACY_PUBLIC;
    r.messages = &m;
    r.n_messages = 1;
    r.logprobs = true;
    r.n_logprobs = 2;
    r.sampling.seed = 7;
    r.sampling.seed_set = true;
    r.sampling.max_tokens = 5;
    o = (outcome){ 0 };
    open_mode(&p, "logprobs");
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, OK);
    assert_true(o.logprob == -0.25 && o.n_top == 2 && o.done.mean_logprob == -0.25);
    assert_string_equal(o.token, "a");
    last_request(line, sizeof line);
    assert_non_null(strstr(line, "\"seed\": 7"));
    assert_non_null(strstr(line, "\"max_tokens\": 5"));
    r.sampling.top_k = 40;
    o = (outcome){ 0 };
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, E_UNSUPPORTED);
    assert_non_null(strstr(o.err.text, "top_k"));
    provider_close(&p);
}

static js *parsed(const char *text)
{
    js *v = NULL;
    assert_ok(js_parse(&v, text, strlen(text), "test", 1, err));
    return v;
}

static void tools(void **state)
{
    (void)state;
    provider *p;
    char line[8192];
    outcome o = { 0 };
    request r;
    js *conversation = parsed("[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":null,"
                              "\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                              "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"7\"}]");
    js *list = parsed("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]");
    request_init(&r);
    r.privacy = PRIVACY_PUBLIC;
    r.conversation = conversation;
    r.tools = list;
    r.tool_choice = TOOLS_NAMED;
    r.tool_name = "f";
    r.one_call = true;
    open_mode(&p, "called");
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, OK);
    assert_string_equal(o.calls, "<hm>c1=f{\"a\":1}.");
    assert_int_equal(o.done.finish, ANSWER_TOOL_CALLS);
    last_request(line, sizeof line);
    assert_non_null(strstr(line, "\"tool_call_id\": \"a\""));
    assert_non_null(strstr(line, "\"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"f\"}}"));
    assert_non_null(strstr(line, "\"parallel_tool_calls\": false"));
    r.tool_name = "g";
    o = (outcome){ 0 };
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, E_NOTFOUND);
    r.tool_choice = TOOLS_AUTO;
    r.shape = SHAPE_SCHEMA;
    r.schema = js_get(js_at(list, 0), "function"); /* any object will do */
    o = (outcome){ 0 };
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, OK);
    last_request(line, sizeof line);
    assert_non_null(strstr(line, "\"response_format\": {\"type\": \"json_schema\""));
    r.shape = SHAPE_REGEX;
    r.shape_text = "a";
    o = (outcome){ 0 };
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, E_UNSUPPORTED);
    provider_close(&p);
    js_free(conversation);
    js_free(list);
}

static void bad_answers(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *says;
        fault_kind kind;
        int http;
    } rows[] = {
        { "html", "content type 'text/html'", FAULT_UPSTREAM, 200 },
        { "notjson", "no JSON", FAULT_UPSTREAM, 200 },
        { "nochoices", "without choices", FAULT_UPSTREAM, 200 },
        { "truncated", "broke off without a finish_reason", FAULT_UPSTREAM, 200 },
        { "cutlength", "broke off", FAULT_UPSTREAM, 200 },
        { "nofinish", "broke off without a finish_reason", FAULT_UPSTREAM, 200 },
        { "limited", "HTTP 429: slow  down", FAULT_RATE_LIMITED, 429 },
        { "broken", "HTTP 500", FAULT_UPSTREAM, 500 },
        { "redirect", "redirects (HTTP 307)", FAULT_UPSTREAM, 307 },
        { "endless", "over 8388608 bytes", FAULT_UPSTREAM, 200 },
        { "endlessline", "line of the answer", FAULT_UPSTREAM, 200 },
        { "filtered", "content filter", FAULT_UPSTREAM, 200 },
        { "tools", "tool calls", FAULT_UPSTREAM, 200 },
        { "second", "another choice", FAULT_UPSTREAM, 200 },
        { "inband", "out of memory", FAULT_UPSTREAM, 200 },
        { "empty", "empty answer", FAULT_UPSTREAM, 200 },
        { "nothttp", "cannot be reached", FAULT_UNREACHABLE, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p;
        outcome o = { 0 };
        char line[8192];
        config *c = open_kind(&p, "openai", rows[i].mode, "retries: 0, key_env: HEARTH_API_KEY");
        ask(p, &o, NULL, NULL);
        last_request(line, sizeof line);
        if (o.s != E_PROVIDER || !strstr(o.err.text, rows[i].says) || o.fault.kind != rows[i].kind ||
            o.fault.upstream_status != rows[i].http)
            fail_msg("%s: status %d, kind %s, http %d: %s", rows[i].mode, (int)o.s, fault_kind_name(o.fault.kind),
                     o.fault.upstream_status, o.err.text);
        assert_true(o.fault.kind != FAULT_RATE_LIMITED || o.fault.retry_after_s == 7);
        assert_null(strstr(o.err.text, "sk-test"));
        /* the same egress goes on working */
        int pid = provider_process(p);
        o = (outcome){ 0 };
        ask(p, &o, NULL, NULL);
        last_request(line, sizeof line);
        assert_int_equal(o.s, E_PROVIDER);
        assert_int_equal(provider_process(p), pid);
        provider_close(&p);
        config_close(&c);
    }
}

static void deadlines(void **state)
{
    (void)state;
    provider *p;
    char line[8192];
    outcome o = { 0 };
    open_mode(&p, "hang");
    ask(p, &o, NULL, &(provider_limits){ .first_ms = 300 });
    assert_int_equal(o.fault.kind, FAULT_TIMEOUT);
    assert_non_null(strstr(o.err.text, "did not begin"));
    assert_true(o.seconds < 2 && o.n_wait >= 2);
    last_request(line, sizeof line);
    provider_close(&p);
    o = (outcome){ 0 };
    open_mode(&p, "stall");
    ask(p, &o, NULL, &(provider_limits){ .idle_ms = 300 });
    assert_int_equal(o.fault.kind, FAULT_TIMEOUT);
    assert_non_null(strstr(o.err.text, "in the middle"));
    assert_string_equal(o.text, "so far ");
    last_request(line, sizeof line);
    provider_close(&p);
    o = (outcome){ 0 };
    open_mode(&p, "slow");
    ask(p, &o, NULL, &(provider_limits){ .timeout_ms = 700 });
    assert_int_equal(o.fault.kind, FAULT_TIMEOUT);
    assert_non_null(strstr(o.err.text, "not complete"));
    last_request(line, sizeof line);
    o = (outcome){ .cancel_after = 3 };
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.s, OK);
    assert_int_equal(o.done.finish, ANSWER_CANCELLED);
    assert_true(o.seconds < 2 && o.n_text < 8);
    last_request(line, sizeof line);
    provider_close(&p);
    /* nobody there */
    o = (outcome){ 0 };
    assert_ok(provider_open(&p, "openai:http://127.0.0.1:1/v1#fake", NULL, err));
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.fault.kind, FAULT_UNREACHABLE);
    provider_close(&p);
}

static void a_dead_egress(void **state)
{
    (void)state;
    provider *p;
    char line[8192];
    outcome o = { 0 };
    open_mode(&p, "normal");
    ask(p, &o, NULL, NULL);
    last_request(line, sizeof line);
    int pid = provider_process(p);
    kill(pid, SIGKILL);
    usleep(50000);
    o = (outcome){ 0 };
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.s, OK);
    assert_int_not_equal(provider_process(p), pid);
    last_request(line, sizeof line);
    provider_close(&p);
}

static void classes(void **state)
{
    (void)state;
    provider *p;
    char text[400], line[8192];
    config *c = NULL;
    snprintf(text, sizeof text, "version: 1\nproviders:\n  - {name: rack, kind: openai, model: m, place: on-premises, "
             "url: \"http://127.0.0.1:%d/normal\"}\n", port);
    assert_ok(config_parse(&c, text, strlen(text), "config.yaml", err));
    static const struct {
        bool rack;
        privacy_class privacy;
        bool goes;
    } rows[] = {
        { false, PRIVACY_PUBLIC, true },    { false, PRIVACY_INTERNAL, false }, { false, PRIVACY_PRIVATE, false },
        { false, PRIVACY_SECRET, false },   { true, PRIVACY_PUBLIC, true },     { true, PRIVACY_INTERNAL, true },
        { true, PRIVACY_PRIVATE, false },   { true, PRIVACY_SECRET, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        request_message m = { "user", rows[i].goes ? "fine" : "CANARY-7761" };
        outcome o = { 0 };
        request r;
        request_init(&r);
        assert_int_equal(r.privacy, PRIVACY_PRIVATE); /* when nobody says */
        r.messages = &m;
        r.n_messages = 1;
        r.privacy = rows[i].privacy;
        if (rows[i].rack)
            assert_ok(provider_open(&p, "rack", c, err));
        else
            open_mode(&p, "normal");
        ask(p, &o, &r, NULL);
        assert_int_equal(o.s, rows[i].goes ? OK : E_DENIED);
        if (rows[i].goes)
            last_request(line, sizeof line);
        else
            assert_int_equal(provider_process(p), 0); /* egress was not even started */
        provider_close(&p);
    }
    config_close(&c);
    /* the next thing the server sees is the next thing sent: nothing was left over from a refused request */
    outcome o = { 0 };
    open_mode(&p, "whole");
    ask(p, &o, NULL, NULL);
    last_request(line, sizeof line);
    assert_null(strstr(line, "CANARY"));
    provider_close(&p);
}

/* TLS is verified: an unknown issuer and a wrong name are refused before the request is sent. */
static void tls(void **state)
{
    (void)state;
    static const struct {
        const char *host, *issuer;
        bool goes;
    } rows[] = { { "127.0.0.1", NULL, false },
                 { "127.0.0.1", "tests/egress/server-ca.pem", true },
                 { "localhost", "tests/egress/server-ca.pem", false } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p;
        outcome o = { 0 };
        char spec[200], line[8192];
        if (rows[i].issuer)
            setenv("SSL_CERT_FILE", rows[i].issuer, 1);
        snprintf(spec, sizeof spec, "openai:https://%s:%d/whole#fake", rows[i].host, port);
        assert_ok(provider_open(&p, spec, NULL, err));
        ask(p, &o, NULL, NULL);
        provider_close(&p);
        unsetenv("SSL_CERT_FILE");
        if (rows[i].goes != (o.s == OK))
            fail_msg("row %zu: status %d: %s", i, (int)o.s, o.err.text);
        if (rows[i].goes)
            last_request(line, sizeof line);
        else
            assert_true(o.fault.kind == FAULT_UNREACHABLE && strstr(o.err.text, "SSL"));
    }
}

/* What the audit log would have given for this body. */
static js *release_of(const js *body, uint64_t sequence)
{
    static const char mac[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    char sum[DIGEST_HEX];
    buf text = BUF_INIT(1 << 12);
    js_write(body, JS_COMPACT, &text);
    digest_of(text.data, text.len, sum);
    js *j = release_to_js(&(release){ "01234567-89ab-7def-8123-456789abcdef", sequence, mac, sum, text.len });
    buf_clear(&text);
    return j;
}

static status send_to(helper *h, const char *privacy, const char *text, js *word, error *e, fault_kind *kind)
{
    call c = { .limits = { 5000, 5000, 5000, 5000 }, .start_us = clock_mono_us(), .last_us = clock_mono_us() };
    char model[CALL_MODEL_MAX];
    c.model = model;
    js *payload = js_object();
    if (privacy)
        js_set(payload, "privacy", js_new_string(privacy));
    js_set(payload, "path", js_new_string("/chat/completions"));
    js_set(payload, "body", js_new_string(text));
    if (word)
        js_set(payload, "release", word);
    status s = helper_complete(h, payload, &c, e);
    *kind = c.fault.kind;
    js_free(payload);
    return s;
}

/* Without a word of the audit log for exactly this body, given once, nothing leaves. */
static void egress_wants_a_record(helper *h)
{
    js *fine = js_new_string("fine"), *word;
    fault_kind kind;
    error e;
    static const char *const needed[] = { "chain", "seq", "mac", "sha256", "bytes" };
    assert_int_equal(send_to(h, "public", "CANARY", NULL, &e, &kind), E_DENIED);
    assert_true(kind == FAULT_DENIED && strstr(e.text, "without a record"));
    assert_int_equal(send_to(h, "public", "CANARY", js_new_string("yes"), &e, &kind), E_DENIED);
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        word = release_of(fine, 100 + i);
        js_remove(word, needed[i]);
        assert_int_equal(send_to(h, "public", "fine", word, &e, &kind), E_DENIED);
        word = release_of(fine, 100 + i);
        js_set(word, needed[i], js_new_string("x"));
        assert_int_equal(send_to(h, "public", "fine", word, &e, &kind), E_DENIED);
    }
    assert_int_equal(send_to(h, "public", "CANARY", release_of(fine, 100), &e, &kind), E_DENIED); /* another body */
    assert_non_null(strstr(e.text, "another request"));
    assert_int_equal(send_to(h, "public", "fine", release_of(fine, 7), &e, &kind), OK);
    assert_int_equal(send_to(h, "public", "fine", release_of(fine, 7), &e, &kind), E_DENIED); /* used */
    assert_int_equal(send_to(h, "public", "fine", release_of(fine, 6), &e, &kind), E_DENIED);
    assert_non_null(strstr(e.text, "used already"));
    js_free(fine);
}

/* Egress does not trust the front: a private request that gets as far as its socket is refused there, and a message of
 * an unknown type ends it. */
static void egress_itself(void **state)
{
    (void)state;
    helper h;
    helper_init(&h, "hearth-egress", NULL);
    js *settings = js_object(), *opened = NULL;
    char url[100], line[8192];
    error e;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/whole/", port);
    js_set(settings, "url", js_new_string(url));
    js_set(settings, "place", js_new_string("remote"));
    assert_ok(helper_start(&h, err));
    assert_ok(helper_open(&h, settings, NULL, 0, &opened, err));
    js_free(opened);
    js_free(settings);
    static const char *const said[] = { "private", "secret", "internal", "unheard-of", NULL, "public" };
    for (size_t i = 0; i < ARRAY_LEN(said); i++) {
        const char *text = i == 5 ? "fine" : "CANARY";
        js *body = js_new_string(text);
        fault_kind kind;
        status s = send_to(&h, said[i], text, release_of(body, i + 1), &e, &kind);
        assert_int_equal(s, i == 5 ? OK : E_DENIED);
        assert_true(i == 5 || kind == FAULT_DENIED);
        js_free(body);
    }
    last_request(line, sizeof line);
    assert_null(strstr(line, "CANARY"));
    egress_wants_a_record(&h);
    last_request(line, sizeof line);
    assert_null(strstr(line, "CANARY"));
    assert_ok(msg_send_text(&h.link, (msg_type)999, 1, "", 100, err));
    assert_true(proc_wait(&h.process, 5000));
    char how[100];
    assert_string_equal(proc_how_ended(&h.process, how, sizeof how), "ended with exit status 3");
    helper_clear(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_answers), cmocka_unit_test(tools), cmocka_unit_test(bad_answers),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(a_dead_egress), cmocka_unit_test(classes),     cmocka_unit_test(egress_itself),
        cmocka_unit_test(tls),
    };
    return run_with_server(tests, ARRAY_LEN(tests));
}
