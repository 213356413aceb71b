/* What all servers have in common, through the real egress process: Anthropic's dialect, attempts and their limits, the
 * circuit, rate limits, budgets, keys that are said nowhere, addresses, and answers that never end. */
#include "egress/remote.h"
#include "egress/transfer.h"

#include <netdb.h>
#include <sys/stat.h>

#include "provider/health.h"

static void drain(int n)
{
    char line[16384];
    for (int i = 0; i < n; i++)
        last_request(line, sizeof line);
}

/* How many requests the server got before one that is marked. */
static int requests_seen(void)
{
    provider *p;
    outcome o = { 0 };
    char line[16384];
    int n = 0;
    open_mode(&p, "whole/mark");
    ask(p, &o, NULL, NULL);
    provider_close(&p);
    for (last_request(line, sizeof line); !strstr(line, "/whole/mark"); last_request(line, sizeof line))
        n++;
    return n;
}

static void public_request(request *r, const request_message *m)
{
    request_init(r);
    r->privacy = PRIVACY_PUBLIC;
    r->messages = m;
    r->n_messages = 1;
}

static void messages_api(void **state)
{
    (void)state;
    static const request_message m = { "user", "hello" };
    provider *p;
    char line[16384];
    outcome o = { 0 };
    request r;
    setenv("OUR_KEY", "sk-ant-canary-4711", 1);
    config *c = open_kind(&p, "anthropic", "claude", "key_env: OUR_KEY");
    assert_int_equal(provider_get_info(p)->kind, PROVIDER_ANTHROPIC);
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.s, OK);
    assert_string_equal(o.text, "Gr\xc3\xbc\xc3\x9f" "e, \xf0\x9f\x8c\x8d!");
    assert_string_equal(o.calls, "<hm>");
    assert_string_equal(o.model, "claude-fake-1");
    assert_int_equal(o.done.finish, ANSWER_STOP);
    assert_int_equal(o.done.stop, -1);
    assert_int_equal(o.done.prompt_tokens, 165); /* read, written to the cache and taken from it */
    assert_int_equal(o.done.cached_tokens, 40);
    assert_int_equal(o.done.completion_tokens, 15);
    last_request(line, sizeof line);
    assert_non_null(strstr(line, "\"path\": \"/claude/messages\""));
    assert_non_null(strstr(line, "\"x-api-key\": \"sk-ant-canary-4711\""));
    assert_non_null(strstr(line, "\"anthropic-version\": \"2023-06-01\""));
    assert_non_null(strstr(line, "\"max_tokens\": 4096"));
    assert_null(strstr(line, "authorization"));
    provider_close(&p);
    config_close(&c);
    o = (outcome){ 0 };
    public_request(&r, &m);
    r.sampling.n_stops = 2;
    r.sampling.stops[0] = "FIN";
    r.sampling.stops[1] = "END";
    c = open_kind(&p, "anthropic", "claudestop", "max_tokens: 77");
    ask(p, &o, &r, NULL);
    assert_int_equal(o.done.finish, ANSWER_STOP);
    assert_int_equal(o.done.stop, 1);
    last_request(line, sizeof line);
    assert_non_null(strstr(line, "\"max_tokens\": 77"));
    provider_close(&p);
    config_close(&c);
    o = (outcome){ 0 };
    c = open_kind(&p, "anthropic", "claudefull", "");
    ask(p, &o, &r, NULL);
    assert_true(o.done.finish == ANSWER_LENGTH && o.done.context_full);
    provider_close(&p);
    config_close(&c);
    drain(1);
}

static void messages_tools(void **state)
{
    (void)state;
    static const char *const modes[] = { "claudecalls", "claudewhole" };
    static const char *const calls[] = { "toolu_1=f{\"a\": 1}toolu_2=g{}..", "toolu_1=f{\"a\":[1,\"b\"]}." };
    static const request_message m = { "user", "hello" };
    js *tools = NULL;
    static const char list[] = "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";
    request r;
    assert_ok(js_parse(&tools, list, sizeof list - 1, "test", 1, err));
    public_request(&r, &m);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        provider *p;
        outcome o = { 0 };
        config *c = open_kind(&p, "anthropic", modes[i], "");
        r.tools = tools;
        ask(p, &o, &r, NULL);
        assert_int_equal(o.s, OK);
        assert_string_equal(o.calls, calls[i]);
        assert_int_equal(o.done.finish, ANSWER_TOOL_CALLS);
        o = (outcome){ 0 };
        r.tools = NULL;
        ask(p, &o, &r, NULL);
        assert_int_equal(o.s, E_PROVIDER);
        assert_non_null(strstr(o.err.text, "not asked for"));
        provider_close(&p);
        config_close(&c);
        drain(2);
    }
    js_free(tools);
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *mode, *says;
        fault_kind fault;
        int http, requests;
        bool text;
    } rows[] = {
        { "anthropic", "overloaded", "HTTP 529: Overloaded", FAULT_BUSY, 529, 2, false },
        { "anthropic", "claudeerror", "Overloaded", FAULT_BUSY, 200, 1, true }, /* never again after the first byte */
        { "anthropic", "claudecut", "broke off", FAULT_UPSTREAM, 200, 1, true },
        { "anthropic", "clauderefuses", "declined", FAULT_UPSTREAM, 200, 1, false },
        { "anthropic", "claudeodd", "not open", FAULT_UPSTREAM, 200, 1, false },
        { "anthropic", "badrequest", "max_tokens: too large", FAULT_INVALID, 400, 1, false },
        { "openai", "nomodel", "model: nobody", FAULT_NOTFOUND, 404, 1, false },
        { "openai", "stubborn", "HTTP 503", FAULT_BUSY, 503, 1, false },
        { "openai", "broken", "HTTP 500", FAULT_UPSTREAM, 500, 2, false },
        { "openai", "limited", "HTTP 429", FAULT_RATE_LIMITED, 429, 1, false }, /* 7 s would be past the deadline */
        { "openai", "elsewhere", "redirects", FAULT_UPSTREAM, 307, 1, false },
        { "openai", "bighead", "header", FAULT_UPSTREAM, 200, 1, false },
        { "openai", "reset", "broke off", FAULT_UPSTREAM, 200, 1, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p;
        outcome o = { 0 };
        provider_health h;
        config *c = open_kind(&p, rows[i].kind, rows[i].mode, "retries: 1, timeouts: {total: 6s}");
        ask(p, &o, NULL, NULL);
        assert_true(provider_get_health(p, &h));
        provider_close(&p);
        config_close(&c);
        int n = requests_seen();
        if (o.s != E_PROVIDER || o.fault.kind != rows[i].fault || !strstr(o.err.text, rows[i].says) ||
            o.fault.upstream_status != rows[i].http || n != rows[i].requests || (o.text_bytes > 0) != rows[i].text ||
            h.sent != (uint64_t)n || h.retried != (uint64_t)n - 1)
            fail_msg("%s: %d requests, kind %s, http %d, status %d: %s", rows[i].mode, n, fault_kind_name(o.fault.kind),
                     o.fault.upstream_status, (int)o.s, o.err.text);
    }
}

static void another_attempt(void **state)
{
    (void)state;
    provider *p;
    outcome o = { 0 };
    provider_health h;
    config *c = open_kind(&p, "openai", "flaky", "");
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.s, OK);
    assert_int_equal(o.text_bytes, 14); /* once */
    assert_true(provider_get_health(p, &h));
    assert_true(h.sent == 3 && h.failed == 2 && h.retried == 2 && h.circuit == CIRCUIT_CLOSED);
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), 3);
    o = (outcome){ 0 };
    c = open_kind(&p, "openai", "broken", "retries: 10, retry_share: 0");
    ask(p, &o, NULL, NULL);
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), 1); /* nothing in the bucket */
    o = (outcome){ 0 };
    c = open_kind(&p, "openai", "broken", "retries: 10");
    ask(p, &o, NULL, &(provider_limits){ .timeout_ms = 1500 });
    assert_true(o.s == E_PROVIDER && o.seconds < 2.5); /* the caller's own deadline holds for all of them */
    provider_close(&p);
    config_close(&c);
    assert_true(requests_seen() >= 1);
}

static void circuit(void **state)
{
    (void)state;
    provider *p;
    provider_health h;
    config *c = open_kind(&p, "openai", "broken", "retries: 0");
    for (int i = 0; i < HEALTH_FEW + 3; i++) {
        outcome o = { 0 };
        ask(p, &o, NULL, NULL);
        bool open = i >= HEALTH_FEW;
        assert_int_equal(o.fault.kind, open ? FAULT_UNREACHABLE : FAULT_UPSTREAM);
        assert_true(!open || (o.seconds < 0.5 && o.fault.retry_after_s > 0 && strstr(o.err.text, "next try")));
    }
    assert_true(provider_get_health(p, &h));
    assert_true(h.circuit == CIRCUIT_OPEN && h.sent == HEALTH_FEW && h.refused == 3 && h.probe_s > 0);
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), HEALTH_FEW);
}

static void rate_limits(void **state)
{
    (void)state;
    provider *p;
    provider_health h;
    outcome o = { 0 };
    config *c = open_kind(&p, "openai", "usedup", "");
    ask(p, &o, NULL, NULL);
    assert_true(o.s == OK && provider_get_health(p, &h));
    assert_true(h.requests_left == 0 && h.tokens_left == 150 && h.limit_s > 0.1 && h.limit_s <= 0.6);
    o = (outcome){ 0 };
    ask(p, &o, NULL, NULL);
    assert_true(o.s == OK && o.seconds > 0.3 && o.n_wait > 2); /* a short wait, and the caller hears of it */
    o = (outcome){ .cancel_after = 0 };
    ask(p, &o, NULL, &(provider_limits){ .timeout_ms = 200 });
    assert_int_equal(o.fault.kind, FAULT_RATE_LIMITED); /* no time for it */
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), 2);
    c = open_kind(&p, "openai", "usedlong", "");
    o = (outcome){ 0 };
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.s, OK);
    o = (outcome){ 0 };
    ask(p, &o, NULL, NULL);
    assert_true(o.fault.kind == FAULT_RATE_LIMITED && o.fault.retry_after_s > 60 && o.seconds < 1);
    assert_true(provider_get_health(p, &h) && h.limited == 1);
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), 1);
}

/* ---- money ---- */

static void make_home(char *home, size_t size)
{
    snprintf(home, size, "/tmp/hearth-servers-XXXXXX");
    assert_non_null(mkdtemp(home));
    setenv("HEARTH_HOME", home, 1);
}

static void budgets(void **state)
{
    (void)state;
    static const request_message m = { "user", "hello" };
    char home[64], command[100];
    provider *p;
    provider_health h;
    outcome o = { 0 };
    request r;
    make_home(home, sizeof home);
    public_request(&r, &m);
    r.sampling.max_tokens = 1000;
    /* 1000 tokens of an answer at 1000 dollars a million: a dollar each; 11 + 4 tokens are what it costs */
    config *c = open_kind(&p, "openai", "normal",
                          "price: {input: 1, output: 1000, cached_input: 0}, budget: {usd_per_day: 1.5}");
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, OK);
    assert_true(provider_get_health(p, &h));
    assert_true(fabs(h.usd_today - (8 * 1e-6 + 4 * 1e-3)) < 1e-12 && h.usd_month == h.usd_today);
    r.sampling.max_tokens = 1497;
    o = (outcome){ 0 };
    ask(p, &o, &r, NULL);
    assert_true(o.s == E_DENIED && o.fault.kind == FAULT_RATE_LIMITED && o.fault.retry_after_s > 0);
    assert_non_null(strstr(o.err.text, "the budget of provider up is $1.5000 today"));
    assert_non_null(strstr(o.err.text, "$0.0040 of it"));
    r.sampling.max_tokens = 1;
    r.scope = "laptop"; /* a key with a budget of its own: a dollar */
    o = (outcome){ 0 };
    ask(p, &o, &r, NULL);
    assert_int_equal(o.s, OK);
    r.sampling.max_tokens = 999;
    o = (outcome){ 0 };
    ask(p, &o, &r, NULL);
    assert_true(o.s == E_DENIED && strstr(o.err.text, "key laptop"));
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), 2);
    /* what never left costs nothing; what broke off in the middle may have been computed */
    static const struct {
        const char *mode;
        bool spent;
    } rows[] = { { "broken", false }, { "truncated", true }, { "badrequest", false }, { "reset", true } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        r.scope = NULL;
        r.sampling.max_tokens = 100;
        o = (outcome){ 0 };
        c = open_kind(&p, "openai", rows[i].mode,
                      "retries: 0, price: {input: 0, output: 1000}, budget: {usd_per_day: 9}");
        assert_true(provider_get_health(p, &h));
        double before = h.usd_today;
        ask(p, &o, &r, NULL);
        assert_true(provider_get_health(p, &h));
        if (fabs(h.usd_today - before - (rows[i].spent ? 0.1 : 0)) > 1e-9)
            fail_msg("%s: %g", rows[i].mode, h.usd_today - before);
        provider_close(&p);
        config_close(&c);
    }
    requests_seen();
    snprintf(command, sizeof command, "rm -r %s", home);
    assert_int_equal(system(command), 0);
    setenv("HEARTH_HOME", own_home, 1);
}

static void classes_and_ceilings(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        privacy_class c;
        bool goes;
    } rows[] = {
        { "place: on-premises", PRIVACY_INTERNAL, true },
        { "place: on-premises, class_max: public", PRIVACY_INTERNAL, false },
        { "place: on-premises, class_max: public", PRIVACY_PUBLIC, true },
        { "place: on-premises", PRIVACY_PRIVATE, false },
        { "", PRIVACY_INTERNAL, false },
    };
    static const request_message m = { "user", "CANARY-0815" };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p;
        outcome o = { 0 };
        request r;
        public_request(&r, &m);
        r.privacy = rows[i].c;
        config *c = open_kind(&p, "anthropic", "claude", rows[i].more);
        ask(p, &o, &r, NULL);
        assert_int_equal(o.s, rows[i].goes ? OK : E_DENIED);
        assert_true(rows[i].goes || (o.fault.kind == FAULT_DENIED && provider_process(p) == 0));
        provider_close(&p);
        config_close(&c);
        assert_int_equal(requests_seen(), rows[i].goes);
    }
}

/* ---- keys ---- */

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* A key is in no sentence, even where the server says it. */
static void keys(void **state)
{
    (void)state;
    char home[64], path[100], more[300], line[16384];
    make_home(home, sizeof home);
    snprintf(path, sizeof path, "%s/cloud", home);
    write_file(path, "sk-canary-file-99\n");
    setenv("OUR_KEY", "sk-canary-env-99", 1);
    setenv("CREDENTIALS_DIRECTORY", home, 1);
    const struct {
        const char *name, *value, *key;
    } rows[] = { { "key_env", "OUR_KEY", "sk-canary-env-99" },
                 { "key_file", path, "sk-canary-file-99" },
                 { "key_credential", "cloud", "sk-canary-file-99" } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p;
        outcome o = { 0 };
        snprintf(more, sizeof more, "%s: \"%s\"", rows[i].name, rows[i].value);
        config *c = open_kind(&p, i % 2 ? "anthropic" : "openai", "echo", more);
        ask(p, &o, NULL, NULL);
        assert_int_equal(o.fault.upstream_status, 401);
        assert_non_null(strstr(o.err.text, "wrong key: "));
        assert_null(strstr(o.err.text, "canary"));
        last_request(line, sizeof line);
        assert_non_null(strstr(line, rows[i].key)); /* it was sent, though */
        char environ_path[64], text[65536];
        snprintf(environ_path, sizeof environ_path, "/proc/%d/environ", provider_process(p));
        FILE *f = fopen(environ_path, "r"); /* closed to others than root: it cannot be dumped */
        size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
        if (f)
            fclose(f);
        assert_null(memmem(text, n, "canary", 6));
        provider_close(&p);
        config_close(&c);
    }
    static const char *const bad[] = { "key_credential: none", "key_credential: \"../cloud\"", "key_file: /nowhere/k" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        provider *p;
        outcome o = { 0 };
        config *c = open_kind(&p, "openai", "normal", bad[i]);
        ask(p, &o, NULL, NULL);
        assert_true(o.s != OK);
        provider_close(&p);
        config_close(&c);
    }
    assert_int_equal(requests_seen(), 0);
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", home);
    assert_int_equal(system(command), 0);
    unsetenv("CREDENTIALS_DIRECTORY");
    setenv("HEARTH_HOME", own_home, 1);
}

/* ---- where it goes ---- */

/* A name that this machine knows and that means one of its own addresses; NULL: none. */
static const char *own_name(void)
{
    static char host[256];
    static const char *const usual[] = { "ip6-localhost", "ip6-loopback" };
    struct addrinfo *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(usual); i++)
        if (getaddrinfo(usual[i], NULL, NULL, &found) == 0) {
            freeaddrinfo(found);
            return usual[i];
        }
    if (gethostname(host, sizeof host) || getaddrinfo(host, NULL, NULL, &found))
        return NULL;
    freeaddrinfo(found);
    return host;
}

/* A name that suddenly means this machine or the network behind it (DNS rebinding) is not connected to. */
static void rebinding(void **state)
{
    (void)state;
    const char *name = own_name();
    char text[500];
    if (!name)
        skip();
    config *c = NULL;
    provider *p;
    outcome o = { 0 };
    snprintf(text, sizeof text, "version: 1\nproviders:\n  - {name: up, kind: openai, model: m, retries: 0, "
             "url: \"https://%s:%d/normal\"}\n", name, port);
    assert_ok(config_parse(&c, text, strlen(text), "config.yaml", err));
    assert_ok(provider_open(&p, "up", c, err));
    ask(p, &o, NULL, NULL);
    assert_true(o.s == E_DENIED && o.fault.kind == FAULT_DENIED);
    assert_non_null(strstr(o.err.text, "private network"));
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), 0);
}

static bool hear(void *user, const char *text, size_t n)
{
    (void)text;
    *(size_t *)user += n;
    return true;
}

static bool never(void *user)
{
    (void)user;
    return false;
}

/* Without TLS a name keeps the address that it meant first; with it the certificate says who is there. What a name
 * means is told here by the URL: names themselves are tests/egress/test_names.py's. */
static void a_name_keeps_its_address(void **state)
{
    (void)state;
    const struct {
        const char *host;
        bool tls, refused;
    } rows[] = { { "127.0.0.1", false, false }, { "127.0.0.2", false, true }, { "[::1]", false, true },
                 { "127.0.0.1", false, false }, { "127.0.0.2", true, false } };
    transfer *t = NULL;
    int watch[2];
    assert_int_equal(pipe(watch), 0);
    assert_ok(transfer_open(&t, err));
    assert_string_equal(transfer_address(t), "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const address_rule rule = { .port = (uint16_t)port, .tls = rows[i].tls, .on_premises = true };
        char url[100];
        size_t heard = 0;
        error e = { 0 };
        rates said;
        transfer_fault fault;
        stream s;
        snprintf(url, sizeof url, "http%s://%s:%d/normal/chat/completions", rows[i].tls ? "s" : "", rows[i].host, port);
        transfer_job job = { .url = url, .key = "", .proxy = "", .rule = &rule, .body = "{}", .body_bytes = 2,
                             .connect_ms = 5000, .first_ms = 5000, .idle_ms = 5000, .timeout_ms = 5000,
                             .watch_fd = watch[0], .interrupted = never };
        stream_init(&s, false, false);
        s.text = hear;
        s.user = &heard;
        status got = transfer_run(t, &job, &s, &said, &fault, &e);
        if (rows[i].refused) {
            assert_int_equal(got, E_DENIED);
            assert_string_equal(fault.kind, "denied");
            assert_non_null(strstr(e.text, "another address"));
            assert_false(fault.sent);
        } else if (!rows[i].tls) {
            assert_int_equal(got, OK);
            assert_true(heard > 0);
        } else {
            assert_int_equal(got, E_PROVIDER); /* nobody there: it was not refused */
        }
        assert_string_equal(transfer_address(t), "127.0.0.1");
    }
    transfer_close(&t);
    close(watch[0]);
    close(watch[1]);
    assert_int_equal(requests_seen(), 2);
}

static void slow_drip(void **state)
{
    (void)state;
    provider *p;
    outcome o = { 0 };
    config *c = open_kind(&p, "openai", "drip", "timeouts: {connect: 1s, idle: 500ms, total: 1s}");
    ask(p, &o, NULL, NULL);
    assert_true(o.fault.kind == FAULT_TIMEOUT && o.seconds > 0.9 && o.seconds < 3.5);
    provider_close(&p);
    config_close(&c);
    assert_int_equal(requests_seen(), 1);
}

/* The environment's proxy is not used; the config's is. */
static void proxies(void **state)
{
    (void)state;
    provider *p;
    outcome o = { 0 };
    char line[16384], text[500];
    config *c = NULL;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    open_mode(&p, "normal");
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.s, OK);
    provider_close(&p);
    drain(1);
    o = (outcome){ 0 };
    snprintf(text, sizeof text, "version: 1\nproviders:\n  - {name: up, kind: openai, model: m, place: on-premises, "
             "url: \"http://inside.example/normal\", proxy: \"http://127.0.0.1:%d\"}\n", port);
    assert_ok(config_parse(&c, text, strlen(text), "config.yaml", err));
    assert_ok(provider_open(&p, "up", c, err));
    ask(p, &o, NULL, NULL);
    assert_int_equal(o.s, OK);
    last_request(line, sizeof line);
    assert_non_null(strstr(line, "\"http://inside.example/normal/chat/completions\""));
    provider_close(&p);
    config_close(&c);
    unsetenv("http_proxy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_api), cmocka_unit_test(messages_tools), cmocka_unit_test(faults),
        cmocka_unit_test(another_attempt), cmocka_unit_test(circuit), cmocka_unit_test(rate_limits),
        cmocka_unit_test(budgets), cmocka_unit_test(classes_and_ceilings), cmocka_unit_test(keys),
        cmocka_unit_test(rebinding), cmocka_unit_test(slow_drip), cmocka_unit_test(proxies),
        cmocka_unit_test(a_name_keeps_its_address),
    };
    return run_with_server(tests, ARRAY_LEN(tests));
}
