/* config.h: config.yaml, version 1. Owner thread; a config is not changed once opened (its command-line fields apart).
 *
 *   version: 1
 *   listen: 127.0.0.1:5150
 *   mem: 6GiB                 # most memory of server and models together; default: what is free (docs/MEMORY.md)
 *   kv: q8                    # keys and values of local models: f16 (default), q8 (half the memory) or f32
 *   parallel: 16              # answers of a local model at once; what is more waits
 *   queue: 256                # requests that wait for one of them, at most
 *   keep_alive: 5m            # how long a model without work stays loaded; -1: for ever
 *   snapshots: {bytes: 2GiB}  # a server keeps prefixes of public and internal requests on disk, in the cache directory
 *   tls: {cert: /etc/hearth/cert.pem, key: /etc/hearth/key.pem}
 *   plaintext: true           # no TLS though other machines reach the address
 *   origins: ["https://chat.example.com"]     # pages of other sites that may ask (CORS): exactly these
 *   limits: {connections: 1024, per_address: 256, requests: 512, body: 16MiB, read_seconds: 30, write_seconds: 30,
 *            drain_seconds: 30}
 *   default_class: private    # of a fully understood request without a label
 *   keys:                     # who may ask, when bound wider than loopback
 *     - {name: laptop, key_file: /etc/hearth/laptop.key, default_class: internal, rate: 60/min, burst: 20,
 *        concurrency: 4, budget: {usd_per_day: 2}}
 *        # task: NAME — requests of this key that name no model that is there are of this task
 *   recognise: {other_names: true, embedding: all-MiniLM-L6-v2, foreign: 0.05}   # tasks of requests that name none
 *   found_models: true        # /v1/models and /api/tags list models of other programs too (store/store.h)
 *   unknown: local            # who answers what is of no task: local, refuse or a provider. docs/ROUTING.md
 *   providers:
 *     - {name: cloud, kind: openai, url: "https://api.openai.com/v1", model: gpt-4o-mini, key_env: OPENAI_API_KEY,
 *        price: {input: 0.15, output: 0.6, as_of: 2026-11-01}} # US dollars per million tokens; cached_input: optional
 *        # and for every server: class_max, key_file or key_credential, proxy, timeouts: {connect, first, idle, total},
 *        # retries, retry_share, max_tokens, budget: {usd_per_day, usd_per_month}. docs/PROVIDERS.md explains them
 *     - {name: claude, kind: anthropic, url: "https://api.anthropic.com/v1", model: claude-haiku, key_env: KEY}
 *     - {name: rack, kind: openai, url: "http://10.0.0.7:8000/v1", model: qwen, place: on-premises}
 *     - {name: small, kind: local, model: SmolLM2-135M-Instruct.Q4_1}
 *   privacy: {dictionary: clients.txt, fingerprints: private.fp, tagger: rampart, tag_threshold: 0.05}
 *   machine: {usd_per_month: 40, usd_per_kwh: 0.32, watts_busy: 65}  # what answering here costs; each is optional
 *
 * Beside it may lie prices.yaml, a table for remote providers that have no price of their own:
 *   as_of: 2026-11-01
 *   source: the provider's price page
 *   models:
 *     gpt-4o-mini: {input: 0.15, output: 0.6, cached_input: 0.075}
 *
 * Unknown keys are errors that name the nearest known one. A key itself is never in the file. No file is a config of
 * defaults. */
#ifndef PROVIDER_CONFIG_H
#define PROVIDER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/privacy_class.h"
#include "base/status.h"
#include "privacy/inspect.h"

enum { CONFIG_PARALLEL_MAX = 256, CONFIG_QUEUE_MAX = 65536 };

typedef enum provider_place { PLACE_LOCAL, PLACE_ON_PREMISES, PLACE_REMOTE } provider_place;
const char *provider_place_name(provider_place p); /* "local", "on-premises", "remote" */

/* The highest class that may go there at all: secret, internal, public. */
privacy_class provider_place_ceiling(provider_place p);

/* Most US dollars of calendar days and months (UTC). NAN: no limit. */
typedef struct config_budget {
    double usd_per_day, usd_per_month;
} config_budget;

enum { CONFIG_RETRIES = 2, CONFIG_RETRIES_MAX = 10 };

/* Strings are never NULL; "" when absent. */
typedef struct config_provider {
    const char *name;     /* [A-Za-z0-9._-]{1,64} */
    const char *kind;     /* "local", "openai", "replay", "anthropic" */
    const char *url;      /* openai, anthropic: http(s)://host[:port][/path] */
    const char *model;
    const char *file;     /* replay */
    provider_place place;
    privacy_class class_max; /* what it is never sent more than; at most provider_place_ceiling(place) */
    const char *key_file, *key_env, *key_credential; /* at most one is set */
    const char *proxy;    /* http(s)://host:port */
    uint32_t connect_ms, first_ms, idle_ms, timeout_ms; /* 0: not said (provider.h, provider_limits) */
    uint32_t retries;     /* of one request, at most */
    double retry_share;   /* of all requests, at most: 0.1 is one retry in ten */
    uint32_t max_tokens;  /* of an answer to a request that says none; 0: not said */
    config_budget budget;
    double price_input, price_output; /* NAN: not given, here and in prices.yaml */
    double price_cached;  /* of input that was cached; NAN: as other input */
    const char *price_as_of; /* "2026-11-01"; "": undated */
    const char *price_source; /* "config.yaml", or the table's `source`; "" without a price */
} config_provider;

/* A row of prices.yaml: US dollars per million tokens. */
typedef struct config_price {
    const char *model;
    double input, output, cached; /* NAN: cached as other input */
} config_price;

/* What answering on this machine costs. NAN: not given. */
typedef struct config_machine {
    double usd_per_month; /* bought, rented: whatever is paid though nothing is asked */
    double usd_per_kwh;
    double watts_busy;    /* while it answers; stands in where the processor does not say (plat/energy.h) */
} config_machine;

/* What is looked for in texts. Paths are whole: relative ones in the file are of its folder. */
typedef struct config_privacy {
    const char *dictionary;     /* "": none */
    const char **fingerprints;
    size_t n_fingerprints;
    const char *tagger;         /* MODEL; "": none */
    double tag_threshold;
} config_privacy;
#define CONFIG_TAG_THRESHOLD 0.05 /* docs/PRIVACY.md has the measurement */

typedef struct config_key {
    const char *name;
    const char *key_file, *key_env; /* exactly one is set */
    privacy_class default_class;
    bool states_class;       /* it is said, here or for all */
    double rate_per_second;  /* 0: no limit */
    double burst;            /* requests at once; at least 1 where there is a rate */
    unsigned concurrency;    /* 0: no limit */
    config_budget budget;    /* of all providers that have a price, together */
    const char *task;        /* of its requests that name no model that is there; "": none */
} config_key;

/* Which task a request is of that names none (api/recognise.h). */
typedef struct config_recognise {
    bool other_names;      /* also for a model's name that is not there, not for `auto` alone */
    const char *embedding; /* a local PROVIDER that makes vectors; "": nothing is compared by what it says */
    double foreign;        /* at most so many of the requests of no such task are taken for one: 0.05 */
} config_recognise;

/* 0: not given (but for drain_seconds); what is then done is http.h's. */
typedef struct config_limits {
    unsigned connections, per_address, requests;
    unsigned read_seconds, write_seconds;
    unsigned drain_seconds;
    uint64_t body;
} config_limits;
enum { CONFIG_DRAIN_SECONDS = 30 };

typedef struct config {
    const char *path;        /* the file read, or "" */
    char file_digest[65];    /* SHA-256 of that file when it was read, or "" */
    const char *listen_host; /* "127.0.0.1", "::1" */
    uint16_t listen_port;
    const char *tls_cert, *tls_key; /* files; both or neither */
    bool plaintext;
    bool found_models;       /* models of other programs' places are listed to clients */
    const char **origins;
    size_t n_origins;
    config_limits limits;
    uint64_t mem_bytes;      /* 0: no budget */
    uint32_t queue;          /* requests that wait for one model, at most; 0: not said */
    double keep_alive_s;     /* a model without work is unloaded after so long; negative: never; NAN: not said */
    uint64_t snapshot_bytes; /* of the files of prefixes, all together; 0: none are kept */
    uint32_t parallel;       /* answers of one local model at once; 0: not said, a command's own default */
    const char *kv;          /* "f16", "q8", "f32"; NULL as "f16" */
    privacy_class default_class;
    bool states_class;
    config_key *keys;
    size_t n_keys;
    config_provider *providers;
    size_t n_providers;
    config_machine machine;
    config_recognise recognise;
    const char *unknown;     /* "local", "refuse", a provider's name; "": local where there is a model, else refuse */
    config_privacy privacy;
    config_price *prices;    /* prices.yaml */
    size_t n_prices;
    const char *prices_as_of, *prices_source;

    /* Not in the file: a command sets them from its options before provider_open. 0: the engine's default. */
    uint32_t context;
    int n_threads;
    bool exact;
    const char *task;        /* of requests where there are no keys, as a key's; NULL: none */
    bool keeps_snapshots;    /* snapshot_bytes counts. A server's alone: measurements begin with nothing known */
    struct tagger *tagger;   /* the one that `inspectors` ask; for a proof */
    inspect_ring *inspectors; /* looks at what is about to leave; NULL: one of each provider's own, after `privacy` */
    bool look;               /* a local provider only says what it would be, and whether it fits: it answers nothing */
    struct arena *memory;
} config;

/* path NULL: HEARTH_HOME/config.yaml, else XDG's hearth/config.yaml; there a missing file is a config of defaults, with
 * a path given it is E_NOTFOUND. */
status config_open(config **out, const char *path, error *err) MUST_CHECK;
status config_parse(config **out, const char *text, size_t n, const char *name, error *err) MUST_CHECK;
/* prices.yaml: its table becomes c's, and fills in what c's remote providers lack. config_open does it for the file
 * beside config.yaml, if there is one. Once a config. */
status config_parse_prices(config *c, const char *text, size_t n, const char *name, error *err) MUST_CHECK;
/* The table's price for a remote provider that has none. What stands on-premises has nobody's list price. */
void config_set_price(const config *c, config_provider *p);
/* It is asked through a URL. */
bool config_is_server(const config_provider *p);
/* What an entry is that says nothing: remote, for public requests. */
void config_provider_init(config_provider *p, const char *name, const char *kind);
/* Without the tagger, which is not this module's. */
inspect_settings config_inspect(const config *c);
void config_close(config **c);

const config_provider *config_find(const config *c, const char *name); /* NULL: none of that name */

#endif
