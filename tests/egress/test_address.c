/* Which addresses may be connected to, and what header lines say about limits. */
#include "lib/check.h"

#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#include "egress/address.h"
#include "egress/key.h"
#include "egress/rates.h"

static struct sockaddr_storage at(const char *text, uint16_t port)
{
    struct sockaddr_storage all;
    memset(&all, 0, sizeof all);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(&all, &in, sizeof in);
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(&all, &in6, sizeof in6);
    return all;
}

/* The expected values are Python's ipaddress.ip_address(...).is_global; but for multicast, 6to4, NAT64 and the old
 * ::/96, which that calls global, and behind which no provider is. */
static void public_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_public;
    } rows[] = {
        { "8.8.8.8", true },         { "1.1.1.1", true },       { "104.18.6.192", true },   { "172.15.255.255", true },
        { "172.32.0.0", true },      { "100.63.255.255", true }, { "100.128.0.0", true },   { "198.17.255.255", true },
        { "198.20.0.0", true },      { "192.0.1.0", true },     { "11.0.0.0", true },       { "223.255.255.255", true },
        { "0.0.0.0", false },        { "10.1.2.3", false },     { "100.64.0.1", false },    { "127.0.0.1", false },
        { "127.255.255.254", false }, { "169.254.169.254", false }, { "172.16.0.1", false },
        { "172.31.255.255", false },
        { "192.168.1.1", false },    { "198.18.0.1", false },   { "198.19.255.255", false }, { "224.0.0.1", false },
        { "255.255.255.255", false }, { "192.0.2.1", false },   { "198.51.100.7", false },  { "203.0.113.9", false },
        { "2606:4700::6812:6c0", true }, { "2a00:1450:4001::1", true }, { "2001:4860:4860::8888", true },
        { "::1", false },            { "::", false },           { "fe80::1", false },       { "fd12::1", false },
        { "fc00::1", false },        { "ff02::1", false },      { "2001:db8::1", false },
        { "::ffff:127.0.0.1", false },
        { "::ffff:10.0.0.1", false }, { "::ffff:8.8.8.8", true }, { "64:ff9b::a00:1", false },
        { "2002:7f00:1::", false },
        { "2001::1", false },        { "::7f00:1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sockaddr_storage a = at(rows[i].text, 443);
        assert_int_not_equal(a.ss_family, 0);
        if (address_is_public((struct sockaddr *)&a) != rows[i].is_public)
            fail_msg("%s", rows[i].text);
    }
    assert_false(address_is_public(&(struct sockaddr){ .sa_family = AF_UNIX }));
}

static void rules(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool on_premises;
        const char *to;
        uint16_t port;
        bool goes;
    } rows[] = {
        { "https://api.example/v1", false, "8.8.8.8", 443, true },
        { "https://api.example/v1", false, "8.8.8.8", 80, false },
        { "https://api.example:8443", false, "8.8.8.8", 8443, true },
        { "https://api.example/v1", false, "10.0.0.1", 443, false },
        { "https://api.example/v1", false, "127.0.0.1", 443, false },
        { "https://api.example/v1", false, "::1", 443, false },
        { "https://localhost.api.example/v1", false, "127.0.0.1", 443, false },
        { "http://localhost:80/v1", false, "127.0.0.1", 80, true },
        { "http://gpu.localhost:80/v1", false, "127.0.0.1", 80, true },
        { "http://127.0.0.1:9/v1", false, "127.0.0.1", 9, true },
        { "http://127.0.0.1:9/v1", false, "127.0.0.1", 10, false },
        { "http://[::1]:9", false, "::1", 9, true },
        { "https://[2606:4700::1]", false, "2606:4700::1", 443, true },
        { "http://rack.lan:8000", true, "10.0.0.7", 8000, true },
        { "http://rack.lan:8000", true, "8.8.8.8", 8000, false }, /* clear text onto the internet */
        { "https://rack.lan:8000", true, "8.8.8.8", 8000, true }, /* its certificate says who it is */
        { "http://8.8.8.8:8000", true, "8.8.8.8", 8000, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        address_rule rule = address_rule_of(rows[i].url, rows[i].on_premises);
        struct sockaddr_storage a = at(rows[i].to, rows[i].port);
        if ((address_refusal(&rule, (struct sockaddr *)&a) == NULL) != rows[i].goes)
            fail_msg("%s to %s", rows[i].url, rows[i].to);
    }
}

static void told(rates *r, const char *line)
{
    rates_header(r, line, strlen(line), INT64_C(1795690800) * 1000000); /* 2026-11-26T11:00:00Z */
}

static void headers(void **state)
{
    (void)state;
    static const struct {
        const char *left, *reset;
        double wait;
    } rows[] = {
        { "x-ratelimit-remaining-requests: 0\r\n", "x-ratelimit-reset-requests: 6m0s\r\n", 360 },
        { "X-RateLimit-Remaining-Tokens: 0", "X-Ratelimit-Reset-Tokens: 1h2m3.5s", 3723.5 },
        { "x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 120ms", 0.12 },
        { "x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 7", 7 },
        { "x-ratelimit-remaining-tokens: 1", "x-ratelimit-reset-tokens: 7", 0 },
        { "x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: soon", 0 },
        { "x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 5x", 0 },
        { "x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens:", 0 },
        { "x-ratelimit-remaining-tokens: no", "x-ratelimit-reset-tokens: 5s", 0 },
        { "x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-tokens: 5s", 0 }, /* another kind's */
        { "anthropic-ratelimit-requests-remaining: 0", "anthropic-ratelimit-requests-reset: 2026-11-26T11:00:30Z", 30 },
        { "anthropic-ratelimit-input-tokens-remaining: 0",
          "anthropic-ratelimit-input-tokens-reset: 2026-11-26T11:01:00.5Z", 60.5 },
        { "anthropic-ratelimit-output-tokens-remaining: 0",
          "anthropic-ratelimit-output-tokens-reset: 2026-11-26T10:00:00Z", 0 }, /* over already */
        { "anthropic-ratelimit-tokens-remaining: 0", "anthropic-ratelimit-tokens-reset: 2027-03-01T00:00:00Z", 86400 },
        { "anthropic-ratelimit-tokens-remaining: 0", "anthropic-ratelimit-tokens-reset: tomorrow", 0 },
        { "anthropic-ratelimit-tokens-remaining: 0", "anthropic-ratelimit-tokens-reset: 2026-13-01T00:00:00Z", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        rates r;
        rates_init(&r);
        told(&r, rows[i].left);
        told(&r, rows[i].reset);
        told(&r, "x-something-else: 9");
        told(&r, "no colon at all");
        if (fabs(rates_wait_s(&r) - rows[i].wait) > 1e-6)
            fail_msg("%s: %g", rows[i].reset, rates_wait_s(&r));
    }
    rates r;
    rates_init(&r);
    assert_null(rates_to_js(&r));
    told(&r, "retry-after-ms: 1500");
    told(&r, "x-should-retry: false");
    told(&r, "anthropic-ratelimit-tokens-remaining: 500");
    told(&r, "anthropic-ratelimit-output-tokens-remaining: 20");
    assert_true(r.retry_after_s == 1.5 && r.should_retry == 0);
    js *j = rates_to_js(&r);
    double left = 0;
    assert_true(js_double(js_get(j, "tokens_left"), &left) && left == 20);
    assert_null(js_get(j, "requests_left"));
    js_free(j);
}

static void hidden(void **state)
{
    (void)state;
    char text[] = "no sk-12345, sk-1234, sk-12345", short_one[] = "a b c";
    key_hide(text, "sk-12345");
    assert_string_equal(text, "no ********, sk-1234, ********");
    key_hide(short_one, "b"); /* too short to be one: it would hide words */
    assert_string_equal(short_one, "a b c");
    key_hide(short_one, "");
    assert_string_equal(short_one, "a b c");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(public_or_not), cmocka_unit_test(rules),
                                        cmocka_unit_test(headers), cmocka_unit_test(hidden) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
