/* config.yaml: what it means, and that each slip is named with its line. Also URLs and the place rule. */
#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "provider/config.h"
#include "provider/provider.h"
#include "provider/url.h"

static status parse(config **c, const char *text, error *err)
{
    return config_parse(c, text, strlen(text), "config.yaml", err);
}

/* Paths are of the config's own folder. */
static void privacy(void **state)
{
    (void)state;
    static const char text[] = "version: 1\nprivacy: {dictionary: a/words.txt, fingerprints: [/b.fp, c.fp], tagger: m, "
                               "tag_threshold: 0.2}\n";
    config *c = NULL;
    assert_ok(config_parse(&c, text, strlen(text), "/etc/hearth/config.yaml", err));
    inspect_settings o = config_inspect(c);
    assert_string_equal(o.dictionary, "/etc/hearth/a/words.txt");
    assert_int_equal(o.n_fingerprints, 2);
    assert_string_equal(o.fingerprints[0], "/b.fp");
    assert_string_equal(o.fingerprints[1], "/etc/hearth/c.fp");
    assert_true(strcmp(c->privacy.tagger, "m") == 0 && o.tag_threshold == 0.2 && !o.tag);
    config_close(&c);
    assert_ok(parse(&c, "version: 1\nprivacy: {fingerprints: a.fp}\n", err));
    assert_string_equal(c->privacy.fingerprints[0], "a.fp");
    assert_true(c->privacy.n_fingerprints == 1 && !c->privacy.dictionary[0] && !c->privacy.tagger[0]);
    config_close(&c);
}

static void whole(void **state)
{
    (void)state;
    config *c = NULL;
    assert_ok(parse(&c,
                    "version: 1\nlisten: \"[::1]:8080\"\nmem: 6GiB\nkv: q8\ndefault_class: internal\n"
                    "snapshots: {bytes: 2GiB}\nfound_models: true\n"
                    "keys:\n  - {name: laptop, key_file: /etc/k}\n"
                    "  - {name: ci, key_env: CI_KEY, default_class: public}\n"
                    "providers:\n"
                    "  - {name: cloud, kind: openai, url: \"https://api.openai.com/v1\", model: gpt, key_env: K, "
                    "price: {input: 0.15, output: 0.6}}\n"
                    "  - {name: rack, kind: openai, url: \"http://10.0.0.7:8000/v1\", model: q, place: on-premises}\n"
                    "  - {name: small, kind: local, model: smol}\n"
                    "  - {name: old, kind: replay, file: answers.jsonl}\n", err));
    assert_string_equal(c->listen_host, "::1");
    assert_int_equal(c->listen_port, 8080);
    assert_true(c->mem_bytes == 6ull << 30);
    assert_true(c->snapshot_bytes == 2ull << 30 && !c->keeps_snapshots);
    assert_string_equal(c->kv, "q8");
    assert_int_equal(c->n_keys, 2);
    assert_int_equal(c->keys[0].default_class, PRIVACY_INTERNAL);
    assert_int_equal(c->keys[1].default_class, PRIVACY_PUBLIC);
    assert_int_equal(c->n_providers, 4);
    assert_true(c->found_models);
    assert_int_equal(config_find(c, "cloud")->place, PLACE_REMOTE);
    assert_true(config_find(c, "cloud")->price_output == 0.6);
    assert_int_equal(config_find(c, "rack")->place, PLACE_ON_PREMISES);
    assert_true(isnan(config_find(c, "rack")->price_input));
    assert_int_equal(config_find(c, "small")->place, PLACE_LOCAL);
    assert_null(config_find(c, "none"));
    provider_place place;
    assert_ok(provider_place_of("rack", c, &place, err));
    assert_int_equal(place, PLACE_ON_PREMISES);
    assert_ok(provider_place_of("openai:http://127.0.0.1:8000/v1#m", c, &place, err));
    assert_int_equal(place, PLACE_REMOTE); /* loopback may proxy: never local */
    assert_ok(provider_place_of("local:small", c, &place, err));
    assert_int_equal(place, PLACE_LOCAL);
    config_close(&c);
    assert_null(c);
    assert_ok(parse(&c, "", err));
    assert_string_equal(c->listen_host, "127.0.0.1");
    assert_int_equal(c->listen_port, 5150);
    assert_string_equal(c->kv, "f16");
    assert_true(c->snapshot_bytes == 0);
    assert_false(c->found_models);
    assert_int_equal(c->default_class, PRIVACY_PRIVATE);
    config_close(&c);
}

static void servers(void **state)
{
    (void)state;
    config *c = NULL;
    assert_ok(parse(&c,
                    "version: 1\nkeys:\n  - {name: k, key_env: K, budget: {usd_per_month: 3}}\n"
                    "  - {name: l, key_env: L}\n"
                    "providers:\n"
                    "  - {name: far, kind: anthropic, url: \"https://api.anthropic.com/v1\", model: m, "
                    "key_credential: c, timeouts: {connect: 3s, first: 1m30s, idle: 45, total: 10m}, "
                    "retries: 0, retry_share: 0.25, "
                    "max_tokens: 9, proxy: \"http://10.0.0.1:3128\", budget: {usd_per_day: 2.5}}\n"
                    "  - {name: rack, kind: openai, url: \"http://10.0.0.7\", model: m, place: on-premises, "
                    "class_max: public}\n"
                    "  - {name: plain, kind: openai, url: \"https://h\", model: m}\n"
                    "  - {name: here, kind: local, model: m, class_max: internal}\n", err));
    const config_provider *far = config_find(c, "far"), *plain = config_find(c, "plain");
    assert_true(far->connect_ms == 3000 && far->first_ms == 90000);
    assert_true(far->idle_ms == 45000 && far->timeout_ms == 600000);
    assert_true(far->retries == 0 && far->retry_share == 0.25 && far->max_tokens == 9);
    assert_true(far->budget.usd_per_day == 2.5 && isnan(far->budget.usd_per_month));
    assert_string_equal(far->key_credential, "c");
    assert_string_equal(far->proxy, "http://10.0.0.1:3128");
    assert_true(far->place == PLACE_REMOTE && far->class_max == PRIVACY_PUBLIC && config_is_server(far));
    assert_int_equal(config_find(c, "rack")->class_max, PRIVACY_PUBLIC);
    assert_int_equal(config_find(c, "here")->class_max, PRIVACY_INTERNAL);
    assert_false(config_is_server(config_find(c, "here")));
    assert_true(plain->retries == CONFIG_RETRIES && plain->retry_share == 0.1 && plain->timeout_ms == 0);
    assert_true(isnan(plain->budget.usd_per_day) && plain->max_tokens == 0);
    assert_true(c->keys[0].budget.usd_per_month == 3 && isnan(c->keys[1].budget.usd_per_month));
    provider *p = NULL;
    error e;
    assert_int_equal(provider_open(&p, "far", c, &e), E_FORMAT); /* a budget without a price */
    assert_non_null(strstr(e.text, "no price"));
    static const char table[] = "as_of: 2026-10-31\nmodels:\n  m: {input: 1, output: 5}\n";
    assert_ok(config_parse_prices(c, table, sizeof table - 1, "prices.yaml", err));
    assert_ok(provider_open(&p, "far", c, err));
    assert_true(provider_get_info(p)->price_output == 5);
    provider_close(&p);
    config_close(&c);
}

static void how_it_is_reached(void **state)
{
    (void)state;
    config *c = NULL;
    assert_ok(parse(&c,
                    "version: 1\ntls: {cert: c.pem, key: k.pem}\nplaintext: true\n"
                    "origins: [\"https://chat.example.com\", \"http://[fe80::1]:3000\"]\n"
                    "limits: {connections: 9, per_address: 3, requests: 2, body: 1MiB, read_seconds: 4, "
                    "write_seconds: 5, drain_seconds: 0}\n"
                    "keys:\n  - {name: a, key_env: A, rate: 90/min, concurrency: 4}\n"
                    "  - {name: b, key_env: B, rate: 0.5/h, burst: 7}\n  - {name: c, key_env: C}\n", err));
    assert_string_equal(c->tls_cert, "c.pem");
    assert_string_equal(c->tls_key, "k.pem");
    assert_true(c->plaintext);
    assert_int_equal(c->n_origins, 2);
    assert_string_equal(c->origins[1], "http://[fe80::1]:3000");
    const config_limits want = { 9, 3, 2, 4, 5, 0, 1 << 20 };
    assert_memory_equal(&c->limits, &want, sizeof want);
    assert_true(c->keys[0].rate_per_second == 1.5 && c->keys[0].burst == 90 && c->keys[0].concurrency == 4);
    assert_true(c->keys[1].rate_per_second == 0.5 / 3600 && c->keys[1].burst == 7 && c->keys[1].concurrency == 0);
    assert_true(c->keys[2].rate_per_second == 0 && c->keys[2].concurrency == 0);
    config_close(&c);
    assert_ok(parse(&c, "version: 1\n", err));
    assert_false(c->plaintext);
    assert_string_equal(c->tls_cert, "");
    assert_int_equal(c->limits.drain_seconds, CONFIG_DRAIN_SECONDS);
    assert_int_equal(c->limits.requests, 0);
    config_close(&c);
}

static void what_it_costs(void **state)
{
    (void)state;
    config *c = NULL;
    assert_ok(parse(&c,
                    "version: 1\nmachine: {usd_per_month: 40, usd_per_kwh: 0.32}\n"
                    "providers:\n"
                    "  - {name: own, kind: openai, url: \"https://h/v1\", model: big, price: {input: 1, output: 2, "
                    "cached_input: 0.5, as_of: 2026-11-01}}\n"
                    "  - {name: old, kind: openai, url: \"https://h/v1\", model: big, price: {input: 3, output: 4}}\n"
                    "  - {name: none, kind: openai, url: \"https://h/v1\", model: big}\n"
                    "  - {name: other, kind: openai, url: \"https://h/v1\", model: bigger}\n"
                    "  - {name: rack, kind: openai, url: \"http://10.0.0.7/v1\", model: big, place: on-premises}\n",
                    err));
    assert_true(c->machine.usd_per_month == 40 && c->machine.usd_per_kwh == 0.32 && isnan(c->machine.watts_busy));
    assert_true(isnan(config_find(c, "none")->price_input) && c->n_prices == 0);
    static const char table[] = "as_of: 2026-10-31\nsource: a page\nmodels:\n"
                                "  big: {input: 0.15, output: 0.6, cached_input: 0.075}\n"
                                "  small: {input: 0.1, output: 0.2}\n";
    assert_ok(config_parse_prices(c, table, sizeof table - 1, "prices.yaml", err));
    const config_provider *own = config_find(c, "own"), *old = config_find(c, "old"), *none = config_find(c, "none");
    assert_true(own->price_input == 1 && own->price_cached == 0.5);
    assert_string_equal(own->price_as_of, "2026-11-01");
    assert_true(old->price_output == 4 && isnan(old->price_cached)); /* its own, undated as it is */
    assert_string_equal(old->price_as_of, "");
    assert_true(none->price_input == 0.15 && none->price_output == 0.6 && none->price_cached == 0.075);
    assert_string_equal(none->price_as_of, "2026-10-31");
    assert_string_equal(none->price_source, "a page");
    assert_true(isnan(config_find(c, "other")->price_input));
    assert_true(isnan(config_find(c, "rack")->price_input)); /* the name of a model is not who serves it */
    config_close(&c);
    static const struct {
        const char *text, *says, *line;
    } rows[] = {
        { "source: x\nmodels:\n  a: {input: 1, output: 1}\n", "as_of", ":1" },
        { "as_of: yesterday\nmodels:\n  a: {input: 1, output: 1}\n", "2026-11-01", ":1" },
        { "as_of: 2026-13-01\nmodels:\n  a: {input: 1, output: 1}\n", "2026-11-01", ":1" },
        { "as_of: 2026-11-01\nmodel:\n  a: {input: 1, output: 1}\n", "models", ":3" },
        { "as_of: 2026-11-01\nmodels: {}\n", "1 to", ":2" },
        { "as_of: 2026-11-01\nmodels:\n  a: {input: 1}\n", "'output' is missing", ":3" },
        { "as_of: 2026-11-01\nmodels:\n  a: {input: 1, output: -1}\n", "negative", ":3" },
        { "as_of: 2026-11-01\nmodels:\n  a: {input: 1, output: 1, as_of: 2026-11-01}\n", "as_of", ":3" },
        { "as_of: 2026-11-01\n", "'models' is missing", ":1" },
        { "- a\n", "not a map", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        error e = { 0 };
        assert_ok(parse(&c, "version: 1\n", err));
        status s = config_parse_prices(c, rows[i].text, strlen(rows[i].text), "prices.yaml", &e);
        if (s != E_FORMAT || !strstr(e.text, rows[i].says) || !strstr(e.text, rows[i].line))
            fail_msg("row %zu: status %d: %s", i, (int)s, e.text);
        config_close(&c);
    }
}

static void slips(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says, *line;
    } rows[] = {
        { "listen: 127.0.0.1:1\n", "version", ":1" },
        { "version: 2\n", "reads version 1", ":1" },
        { "version: 1\nlissten: x\n", "listen", ":2" },
        { "version: 1\nlisten: localhost\n", "ADDRESS:PORT", ":2" },
        { "version: 1\nlisten: 127.0.0.1:70000\n", "ADDRESS:PORT", ":2" },
        { "version: 1\nmem: lots\n", "6GiB", ":2" },
        { "version: 1\ntls: {cert: a}\n", "cert: FILE, key: FILE", ":2" },
        { "version: 1\norigins: [\"*\"]\n", "no pattern", ":2" },
        { "version: 1\norigins: [\"https://a.example/\"]\n", "without a path", ":2" },
        { "version: 1\norigins: [\"https://A.example\"]\n", "lower case", ":2" },
        { "version: 1\nlimits: {requests: 0}\n", "requests 0", ":2" },
        { "version: 1\nlimits: {request: 4}\n", "requests", ":2" },
        { "version: 1\nlimits: {body: 3}\n", "1K to 1G", ":2" },
        { "version: 1\nkeys:\n  - {name: a, key_env: K, rate: 60}\n", "60/min", ":3" },
        { "version: 1\nkeys:\n  - {name: a, key_env: K, rate: 0/s}\n", "60/min", ":3" },
        { "version: 1\nkeys:\n  - {name: a, key_env: K, rate: 6/fortnight}\n", "60/min", ":3" },
        { "version: 1\nkeys:\n  - {name: a, key_env: K, burst: 6}\n", "goes with a rate", ":3" },
        { "version: 1\nsnapshots: true\n", "{bytes: 2GiB}", ":2" },
        { "version: 1\nsnapshots: {bytes: 2GiB, byte: 1}\n", "bytes", ":2" },
        { "version: 1\nsnapshots: {bytes: 4K}\n", "at least 1M", ":2" },
        { "version: 1\nsnapshots: {bytes: many}\n", "at least 1M", ":2" },
        { "version: 1\nkv: q9\n", "f16, q8 or f32", ":2" },
        { "version: 1\ndefault_class: hidden\n", "public, internal, private, secret", ":2" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m}\n", "needs 'url'", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: opena, model: m}\n", "none of local, openai", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: local, model: m, modell: x}\n", "model", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: local, model: m, url: x}\n", "has no 'url'", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: local, model: m, place: remote}\n", "does not go with", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m, url: \"https://h/\", place: local}\n",
          "does not go with", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m, url: \"http://h.example/v1\"}\n",
          "clear text", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m, url: \"ftp://h\"}\n", "https://", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: local, model: m}\n  - {name: a, kind: local, model: n}\n",
          "twice", ":4" },
        { "version: 1\nproviders:\n  - {name: \"a b\", kind: local, model: m}\n", "letters", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m, url: \"https://h\", price: {input: -1, "
          "output: 1}}\n", "negative", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m, url: \"https://h\", price: {input: 1, "
          "output: 1, as_of: now}}\n", "2026-11-01", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m, url: \"https://h\", price: {input: 1, "
          "output: 1, cached: 1}}\n", "unknown key 'cached'", ":3" },
        { "version: 1\nprivacy: {dictionery: x}\n", "did you mean 'dictionary'", ":2" },
        { "version: 1\nprivacy: {fingerprints: {a: b}}\n", "fingerprints: a list", ":2" },
        { "version: 1\nprivacy: {dictionary: \"\"}\n", "a file's path", ":2" },
        { "version: 1\nprivacy: {tag_threshold: 0}\n", "a probability", ":2" },
        { "version: 1\nprivacy: words.txt\n", "write {dictionary: FILE", ":2" },
        { "version: 1\nmachine: {usd_per_year: 1}\n", "unknown key 'usd_per_year'", ":2" },
        { "version: 1\nmachine: {watts_busy: -1}\n", "negative", ":2" },
        { "version: 1\nproviders: {a: b}\n", "a list", ":2" },
        { "version: 1\nproviders:\n  - {name: a, kind: local, model: m, budget: {usd_per_day: 1}}\n", "has no 'budget'",
          ":3" },
        { "version: 1\nkeys:\n  - {name: a, key_env: K, budget: 4}\n", "usd_per_day", ":3" },
        { "version: 1\nkeys:\n  - {name: a}\n", "exactly one", ":3" },
        { "version: 1\nproviders:\n  - {name: a, kind: openai, model: m, url: \"https://h\", key: sk-123}\n",
          "unknown key 'key'", ":3" },
    };
    static const struct {
        const char *kind, *more, *says;
    } servers[] = {
        { "openai", "class_max: internal", "at most public" },
        { "openai", "place: on-premises, class_max: private", "at most internal" },
        { "openai", "class_max: hidden", "none of public" },
        { "anthropic", "file: x", "has no 'file'" },
        { "openai", "key_env: A, key_credential: b", "one of key_file" },
        { "openai", "proxy: \"socks5://h\"", "proxy: url" },
        { "openai", "timeouts: 10s", "a map" },
        { "openai", "timeouts: {first: soon}", "10s, 2m" },
        { "openai", "timeouts: {idle: 2d}", "10s, 2m" },
        { "openai", "timeouts: {ilde: 2s}", "idle" },
        { "openai", "retries: 11", "0 to 10" },
        { "openai", "retry_share: 1.5", "from 0 to 1" },
        { "openai", "max_tokens: 0", "max_tokens 0" },
        { "openai", "budget: {}", "usd_per_day" },
        { "openai", "budget: {usd_per_week: 1}", "unknown key" },
        { "openai", "budget: {usd_per_day: -1}", "negative" },
    };
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        char text[300];
        config *c = NULL;
        error e = { 0 };
        snprintf(text, sizeof text, "version: 1\nproviders:\n  - {name: a, kind: %s, model: m, url: \"https://h\", "
                 "%s}\n", servers[i].kind, servers[i].more);
        if (parse(&c, text, &e) != E_FORMAT || !strstr(e.text, servers[i].says) || !strstr(e.text, ":3"))
            fail_msg("%s: %s", servers[i].more, e.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        config *c = NULL;
        error e = { 0 };
        status s = parse(&c, rows[i].text, &e);
        if (s != E_FORMAT || !strstr(e.text, rows[i].says) || !strstr(e.text, rows[i].line) || c)
            fail_msg("row %zu: status %d: %s", i, (int)s, e.text);
        assert_null(strstr(e.text, "sk-123"));
    }
}

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
        bool tls, loopback;
    } good[] = {
        { "https://api.openai.com/v1", "api.openai.com", 443, true, false },
        { "http://LOCALHOST:8000", "localhost", 8000, false, true },
        { "http://[::1]:99/x", "::1", 99, false, true },
        { "http://127.0.0.1", "127.0.0.1", 80, false, true },
        { "https://127.0.0.1.evil.example/", "127.0.0.1.evil.example", 443, true, false },
    };
    static const char *const bad[] = { "",  "https://", "https:///x", "https://a@b/", "https://a:0/", "https://a:99999",
                                       "https://a b/", "https://a/?x=1", "https://a/#f", "file:///etc/passwd",
                                       "https://[::1", "https://a\\b", "https://a:80:80x" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        url u;
        assert_ok(url_parse(good[i].text, &u, err));
        assert_string_equal(u.host, good[i].host);
        assert_int_equal(u.port, good[i].port);
        assert_int_equal(u.tls, good[i].tls);
        assert_int_equal(u.loopback, good[i].loopback);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        url u;
        error e;
        if (url_parse(bad[i], &u, &e) != E_FORMAT)
            fail_msg("accepted '%s'", bad[i]);
    }
}

static void specs(void **state)
{
    (void)state;
    static const struct {
        const char *spec;
        status s;
        const char *says;
    } rows[] = {
        { "openai:https://h", E_FORMAT, "URL#MODEL" },
        { "openai:https://h#", E_FORMAT, "URL#MODEL" },
        { "anthropic:https://h", E_FORMAT, "write anthropic:URL#MODEL" },
        { "openai:http://h.example#m", E_DENIED, "clear text" },
        { "opanai:https://h#m", E_FORMAT, "kinds" },
        { "", E_FORMAT, "local:MODEL" },
        { "replay:/nonexistent/x.jsonl", E_NOTFOUND, "x.jsonl" },
        { "local:/nonexistent/x.gguf", E_NOTFOUND, "x.gguf" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        provider *p = NULL;
        error e = { 0 };
        status s = provider_open(&p, rows[i].spec, NULL, &e);
        if (s != rows[i].s || !strstr(e.text, rows[i].says) || p)
            fail_msg("%s: status %d: %s", rows[i].spec, (int)s, e.text);
    }
}

static void tasks_of_requests_that_name_none(void **state)
{
    (void)state;
    config *c = NULL;
    assert_ok(parse(&c, "version: 1\n", err));
    assert_true(!c->recognise.other_names && c->recognise.foreign == 0.05);
    assert_string_equal(c->recognise.embedding, "");
    assert_string_equal(c->unknown, "");
    config_close(&c);
    assert_ok(parse(&c, "version: 1\nrecognise: {other_names: true, embedding: vec, foreign: 0.01}\nunknown: rack\n"
                    "keys:\n  - {name: a, key_env: K, task: ticket-class}\n  - {name: b, key_env: L}\nproviders:\n"
                    "  - {name: vec, kind: local, model: minilm}\n"
                    "  - {name: rack, kind: openai, url: \"https://h/v1\", model: m}\n", err));
    assert_true(c->recognise.other_names && c->recognise.foreign == 0.01);
    assert_string_equal(c->recognise.embedding, "vec");
    assert_string_equal(c->unknown, "rack");
    assert_string_equal(c->keys[0].task, "ticket-class");
    assert_string_equal(c->keys[1].task, "");
    config_close(&c);
    assert_ok(parse(&c, "version: 1\nrecognise: true\nunknown: refuse\n", err));
    assert_true(c->recognise.other_names);
    config_close(&c);
    static const struct {
        const char *text, *says, *line;
    } rows[] = {
        { "version: 1\nrecognise: maybe\n", "", ":2" },
        { "version: 1\nrecognise: [a]\n", "a map", ":2" },
        { "version: 1\nrecognise: {names: true}\n", "names", ":2" },
        { "version: 1\nrecognise: {foreign: 0}\n", "above 0", ":2" },
        { "version: 1\nrecognise: {foreign: 1}\n", "below 1", ":2" },
        { "version: 1\nrecognise: {embedding: \"openai:https://h#m\"}\n", "not a local model", ":2" },
        { "version: 1\nproviders: [{name: far, kind: openai, url: \"https://h/v1\", model: m}]\n"
          "recognise: {embedding: far}\n", "not a local model", ":3" },
        { "version: 1\nunknown: nobody\n", "the name of a provider", ":2" },
        { "version: 1\nkeys:\n  - {name: a, key_env: K, task: ../x}\n", "not the name of a task", ":3" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        error e = { 0 };
        status s = parse(&c, rows[i].text, &e);
        if (s != E_FORMAT || !strstr(e.text, rows[i].says) || !strstr(e.text, rows[i].line))
            fail_msg("row %zu: status %d: %s", i, (int)s, e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(privacy), cmocka_unit_test(whole), cmocka_unit_test(servers),
        cmocka_unit_test(how_it_is_reached), cmocka_unit_test(what_it_costs),
        cmocka_unit_test(slips), cmocka_unit_test(urls), cmocka_unit_test(tasks_of_requests_that_name_none),
                                        cmocka_unit_test(specs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
