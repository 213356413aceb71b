/* serve_main.c: the front: listener, policy, ledger. It holds no provider key, opens no outbound connection and parses
 * no model file; workers and egress do, each in a process of its own. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/budget.h"
#include "cli/cli.h"
#include "cli/serve.h"
#include "cli/serve_ask.h"
#include "cli/serve_explain.h"
#include "cli/serve_listen.h"
#include "plat/machine.h"
#include "plat/proc.h"
#include "plat/service.h"
#include "provider/tagger.h"

typedef struct serve_options {
    const char *listen, *config_path, *tls_cert, *tls_key, *log;
    bool plaintext, log_prompts;
    const char *kv;
    int64_t context, threads, parallel, drain; /* drain -1: not given */
    uint64_t mem;
} serve_options;

enum { PER_ADDRESS = 64 }; /* connections of one address, where addresses tell machines apart */

static const usage page = {
    "hearth serve [OPTION]... [MODEL]",
    "Answers OpenAI clients on this machine: POST /v1/chat/completions (streamed or not), GET /v1/models, /health.\n"
    "`model: \"task:NAME\"` is routed by what was measured; `model: \"NAME\"` addresses a model or a configured\n"
    "provider. MODEL answers requests whose model is empty. Loopback only, unless the config has keys; other machines\n"
    "are spoken to in TLS. SIGHUP reads keys, limits and origins again; SIGTERM lets what runs finish.\n\n"
    "example:\n"
    "  hearth serve SmolLM2-135M-Instruct.Q4_1 &\n"
    "  curl -s http://127.0.0.1:5150/v1/chat/completions -H 'content-type: application/json' \\\n"
    "    -d '{\"model\":\"task:ticket-class\",\"messages\":[{\"role\":\"user\",\"content\":\"Where is it?\"}]}'\n",
};

/* ---- TLS ---- */

enum { PEM_BYTES_MAX = 1 << 20 };

/* The whole of a file, read once. */
static status read_pem(const char *path, char **out, error *err)
{
    buf text = BUF_INIT(PEM_BYTES_MAX);
    char step[4096];
    FILE *f = fopen(path, "re");
    if (!f)
        return fail(err, E_NOTFOUND, "%s: %s", path, strerror(errno));
    for (size_t n; (n = fread(step, 1, sizeof step, f)) > 0;)
        buf_add(&text, step, n);
    bool bad = ferror(f);
    fclose(f);
    explicit_bzero(step, sizeof step);
    status s = bad ? fail(err, E_IO, "%s cannot be read", path) : buf_ok(&text, path, err);
    if (!s && !strstr(buf_text(&text), "-----BEGIN "))
        s = fail(err, E_FORMAT, "%s is no PEM file", path);
    if (!s)
        *out = buf_take(&text);
    buf_clear(&text);
    return s;
}

typedef struct pem_pair {
    char *cert, *key;
} pem_pair;

static void forget(pem_pair *p)
{
    if (p->key)
        explicit_bzero(p->key, strlen(p->key));
    mem_free(p->key);
    mem_free(p->cert);
}

/* ---- from options and config to a plan ---- */

static void set_limits(http_options *o, const config_limits *l, const char *host)
{
    const struct {
        unsigned given, *to;
    } rows[] = { { l->connections, &o->max_connections }, { l->requests, &o->max_requests },
                 { l->read_seconds, &o->read_seconds },   { l->write_seconds, &o->write_seconds },
                 { l->per_address, &o->max_per_address } };
    if (!http_is_loopback_name(host)) /* there everybody has the same address */
        o->max_per_address = PER_ADDRESS;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].given)
            *rows[i].to = rows[i].given;
    if (l->body)
        o->max_body = l->body;
}

/* Where: a socket of the service manager, --listen, the config. EXIT_OK, or the code of the error. */
static int choose_address(const serve_options *given, const config *c, char host[HTTP_HOST_BYTES], http_options *o)
{
    error e = { 0 };
    snprintf(host, HTTP_HOST_BYTES, "%s", c->listen_host);
    o->port = c->listen_port;
    o->host = host;
    if (service_socket(&o->listen_fd, &e))
        return report("serve", &e);
    if (o->listen_fd >= 0 && given->listen)
        return usage_error("serve", "--listen %s, but a socket was handed over (LISTEN_FDS)", given->listen);
    if (o->listen_fd >= 0)
        return http_socket_address(o->listen_fd, host, &o->port, &e) ? report("serve", &e) : EXIT_OK;
    if (given->listen && !listen_parse(given->listen, host, &o->port))
        return usage_error("serve", "--listen %s: must be HOST:PORT or PORT", given->listen);
    return EXIT_OK;
}

static void set_models(const serve_options *given, config *c, serve_plan *p)
{
    uint64_t bodies;
    if (given->context)
        c->context = (uint32_t)given->context;
    if (given->threads)
        c->n_threads = (int)given->threads;
    if (given->kv)
        c->kv = given->kv;
    if (given->parallel)
        c->parallel = (uint32_t)given->parallel;
    if (given->mem)
        c->mem_bytes = given->mem;
    p->api.memory_bytes = budget_of_server(c, given->mem, &bodies);
    p->listen.max_bodies = (size_t)bodies;
}

/* It takes its part of the models' memory, for as long as the server runs. */
static int start(const serve_options *given, config *c, serve_plan *p)
{
    char host[HTTP_HOST_BYTES];
    const char *cert = given->tls_cert ? given->tls_cert : c->tls_cert;
    const char *key = given->tls_key ? given->tls_key : c->tls_key;
    pem_pair pem = { 0 };
    error e = { 0 };
    if (!*cert != !*key)
        return usage_error("serve", "--tls-cert and --tls-key go together");
    http_options_init(&p->listen);
    int code = choose_address(given, c, host, &p->listen);
    if (code)
        return code;
    set_limits(&p->listen, &c->limits, host);
    set_models(given, c, p);
    p->plaintext = given->plaintext || c->plaintext;
    p->drain_seconds = given->drain >= 0 ? (unsigned)given->drain : c->limits.drain_seconds;
    p->api.config = c;
    if (serve_may_listen(host, c, *cert, p->plaintext, &e)) {
        fprintf(stderr, "hearth serve: %s\n", e.text);
        return EXIT_USAGE;
    }
    if (*cert && (read_pem(cert, &pem.cert, &e) || read_pem(key, &pem.key, &e)))
        code = report("serve", &e);
    p->listen.tls_cert = pem.cert;
    p->listen.tls_key = pem.key;
    serve_block_signals();
    if (!code && (serve_tagger(c, &p->api.memory_bytes, &e) || serve_inspectors(&c->inspectors, c, c->tagger, &e)))
        code = report("serve", &e);
    p->inspectors = c->inspectors;
    if (!code)
        code = serve_run(p);
    inspect_ring_close(&c->inspectors);
    tagger_close(&c->tagger);
    forget(&pem);
    return code;
}

static const char *wrong_number(const serve_options *given)
{
    if (given->context < 0 || given->context > INT32_MAX || given->threads < 0 || given->threads > 1024)
        return "--ctx and --threads must be positive";
    engine_kv kv;
    _Static_assert(CONFIG_PARALLEL_MAX == 256, "and the message");
    if (given->kv && !engine_kv_named(given->kv, &kv))
        return "--kv must be f16, q8 or f32";
    if (given->parallel < 0 || given->parallel > CONFIG_PARALLEL_MAX)
        return "--parallel: 1 to 256";
    return given->drain < -1 || given->drain > 3600 ? "--drain: 0 to 3600 seconds" : NULL;
}

static int serve(int argc, char **argv)
{
    serve_options given = { .drain = -1 };
    const option options[] = {
        { "listen", 'l', OPTION_TEXT, &given.listen, "HOST:PORT", "where to listen (default: config, 127.0.0.1:5150)" },
        { "config", 0, OPTION_TEXT, &given.config_path, "FILE", "another config.yaml" },
        { "tls-cert", 0, OPTION_TEXT, &given.tls_cert, "FILE", "speak TLS with this certificate chain (PEM)" },
        { "tls-key", 0, OPTION_TEXT, &given.tls_key, "FILE", "and its private key (PEM)" },
        { "plaintext", 0, OPTION_FLAG, &given.plaintext, NULL, "no TLS though other machines reach the address" },
        { "drain", 0, OPTION_INT, &given.drain, "SECONDS", "what runs may finish for so long at the end (30)" },
        { "log", 0, OPTION_TEXT, &given.log, "FILE", "one JSON line a request; none (default: standard error)" },
        { "log-prompts", 0, OPTION_FLAG, &given.log_prompts, NULL, "with what was asked and answered, but secrets" },
        { "ctx", 'c', OPTION_INT, &given.context, "N", "most tokens of a conversation" },
        { "threads", 't', OPTION_INT, &given.threads, "N", "compute threads" },
        { "mem", 0, OPTION_BYTES, &given.mem, "SIZE", "most memory of server and models, such as 4GiB" },
        { "kv", 0, OPTION_TEXT, &given.kv, "TYPE", "keys and values: f16, q8 (half the memory) or f32" },
        { "parallel", 0, OPTION_INT, &given.parallel, "N", "answers of a model at once (default 16)" },
    };
    size_t n_words;
    int code;
    argv[0] = (char[]){ "serve" };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words > 1)
        return usage_error("serve", "one MODEL at most");
    if (wrong_number(&given))
        return usage_error("serve", "%s", wrong_number(&given));
    config *c = NULL;
    error e = { 0 };
    char directory[PROC_PATH_MAX];
    serve_plan p = { .config_path = given.config_path, .log = given.log };
    p.api = (api_options){ .model = n_words ? argv[1] : NULL, .bin_dir = directory, .log_prompts = given.log_prompts };
    if (config_open(&c, given.config_path, &e) || machine_program_dir(directory, sizeof directory, &e))
        code = report("serve", &e);
    else
        code = start(&given, c, &p);
    config_close(&c);
    return code;
}

/* The other questions that need a network: `hearth` becomes this program under their names. */
int main(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "ps") == 0)
        return serve_ps(argc, argv);
    if (argc > 0 && strcmp(argv[0], "stop") == 0)
        return serve_stop(argc, argv);
    if (argc > 0 && strcmp(argv[0], "route explain") == 0)
        return serve_explain(argc, argv);
    return serve(argc, argv);
}
