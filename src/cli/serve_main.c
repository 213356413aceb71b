/* serve_main.c: the front: listener, policy, ledger. It holds no provider key, opens no outbound connection and parses
 * no model file; workers and egress do, each in a process of its own. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"
#include "cli/cli.h"
#include "hearth.h"
#include "http/http.h"
#include "plat/machine.h"
#include "plat/proc.h"

typedef struct serve_options {
    const char *listen, *config_path;
    int64_t context, threads;
    uint64_t mem;
} serve_options;

static const usage page = {
    "hearth serve [OPTION]... [MODEL]",
    "Answers OpenAI clients on this machine: POST /v1/chat/completions (streamed or not), GET /v1/models, /health.\n"
    "`model: \"task:NAME\"` is routed by what was measured; `model: \"NAME\"` addresses a model or a configured\n"
    "provider. MODEL answers requests whose model is empty. Loopback only, unless the config has keys.\n\n"
    "example:\n"
    "  hearth serve SmolLM2-135M-Instruct.Q4_1 &\n"
    "  curl -s http://127.0.0.1:5150/v1/chat/completions -H 'content-type: application/json' \\\n"
    "    -d '{\"model\":\"task:ticket-class\",\"messages\":[{\"role\":\"user\",\"content\":\"Where is it?\"}]}'\n",
};

/* "127.0.0.1:5150", "[::1]:5150", "5150" */
static bool parse_listen(const char *text, char host[64], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    if (!str_u64(colon ? colon + 1 : text, &number) || number > 65535)
        return false;
    *port = (uint16_t)number;
    if (!colon)
        return true;
    size_t n = (size_t)(colon - text);
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (bracketed)
        text++, n -= 2;
    if (n == 0 || n >= 64)
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    return true;
}

/* The signals that end the server are taken by sigwait in this thread alone: block them before any other thread. */
static void block_signals(sigset_t *ends)
{
    sigemptyset(ends);
    sigaddset(ends, SIGINT);
    sigaddset(ends, SIGTERM);
    sigaddset(ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ends, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int serve(const api_options *o, const http_options *listen, const sigset_t *ends)
{
    api *a = NULL;
    http_server *server = NULL;
    error e = { 0 };
    if (api_open(&a, o, &e) || http_open(&server, listen, api_handle, a, &e)) {
        api_close(&a);
        return report("serve", &e);
    }
    fprintf(stderr, "hearth serve: listening on http://%s%s%s:%u\n", strchr(listen->host, ':') ? "[" : "", listen->host,
            strchr(listen->host, ':') ? "]" : "", http_port(server));
    int which = 0;
    sigwait(ends, &which);
    fprintf(stderr, "hearth serve: stopping\n");
    http_close(&server);
    api_close(&a);
    return EXIT_OK;
}

/* Whoever listens for other machines asks them for a key. */
static int check_exposure(const char *host, const config *c)
{
    if (c->n_keys || str_starts(host, "127.") || strcmp(host, "::1") == 0)
        return EXIT_OK;
    fprintf(stderr, "hearth serve: %s is reachable by other machines: give them keys in %s (keys: ...) first\n", host,
            c->path[0] ? c->path : "config.yaml");
    return EXIT_USAGE;
}

static int start(const serve_options *given, config *c, const char *model, const char *program_dir)
{
    char host[64];
    http_options listen;
    http_options_init(&listen);
    snprintf(host, sizeof host, "%s", c->listen_host);
    listen.port = c->listen_port;
    if (given->listen && !parse_listen(given->listen, host, &listen.port))
        return usage_error("serve", "--listen %s: must be HOST:PORT or PORT", given->listen);
    listen.host = host;
    int code = check_exposure(host, c);
    if (code)
        return code;
    if (given->context)
        c->context = (uint32_t)given->context;
    if (given->threads)
        c->n_threads = (int)given->threads;
    if (given->mem)
        c->mem_bytes = given->mem;
    machine_memory memory;
    machine_read_memory(&memory);
    api_options o = { .config = c,
                      .model = model,
                      .bin_dir = program_dir,
                      .memory_bytes = c->mem_bytes ? c->mem_bytes : memory.usable_bytes };
    sigset_t ends;
    block_signals(&ends);
    return serve(&o, &listen, &ends);
}

int main(int argc, char **argv)
{
    serve_options given = { 0 };
    const option options[] = {
        { "listen", 'l', OPTION_TEXT, &given.listen, "HOST:PORT", "where to listen (default: config, 127.0.0.1:5150)" },
        { "config", 0, OPTION_TEXT, &given.config_path, "FILE", "another config.yaml" },
        { "ctx", 'c', OPTION_INT, &given.context, "N", "most tokens of a conversation" },
        { "threads", 't', OPTION_INT, &given.threads, "N", "compute threads" },
        { "mem", 0, OPTION_BYTES, &given.mem, "SIZE", "most memory of the models, such as 4GiB" },
    };
    size_t n_words;
    int code;
    argv[0] = (char[]){ "serve" };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words > 1)
        return usage_error("serve", "one MODEL at most");
    if (given.context < 0 || given.context > INT32_MAX || given.threads < 0 || given.threads > 1024)
        return usage_error("serve", "--ctx and --threads must be positive");
    config *c = NULL;
    error e = { 0 };
    char directory[PROC_PATH_MAX];
    if (config_open(&c, given.config_path, &e) || machine_program_dir(directory, sizeof directory, &e))
        code = report("serve", &e);
    else
        code = start(&given, c, n_words ? argv[1] : NULL, directory);
    config_close(&c);
    return code;
}
