/* serve_ask.c: see the header. Both speak the server's own HTTP: GET /api/ps, and POST /api/generate with nothing to
 * generate and keep_alive 0. */
#include "cli/serve_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/serve_listen.h"
#include "http/client.h"
#include "provider/config.h"

enum { ANSWER_MAX = 8 << 20, PS_MS = 10000, STOP_MS = 600000 };

typedef struct ask_options {
    const char *listen, *config_path;
    bool json;
} ask_options;

static const usage ps_page = {
    "hearth ps [OPTION]...",
    "Lists what a running server has loaded: model, memory, who is answered and who waits, how long it stays without\n"
    "work, its process. A server that asks for keys is sent the one in HEARTH_API_KEY.\n\n"
    "example:\n"
    "  hearth ps\n",
};

static const usage stop_page = {
    "hearth stop [OPTION]... MODEL",
    "Tells a running server to unload a model: its answers end first, then its process, and its memory is free.\n\n"
    "example:\n"
    "  hearth stop SmolLM2-135M-Instruct.Q4_1\n",
};

/* Where the server listens: --listen, else the config. */
static int address(const char *name, const ask_options *o, char host[LISTEN_HOST_MAX], http_question *q)
{
    config *c = NULL;
    error e = { 0 };
    if (config_open(&c, o->config_path, &e))
        return report(name, &e);
    snprintf(host, LISTEN_HOST_MAX, "%s", c->listen_host);
    q->port = c->listen_port;
    config_close(&c);
    if (o->listen && !listen_parse(o->listen, host, &q->port))
        return usage_error(name, "--listen %s: must be HOST:PORT or PORT", o->listen);
    q->host = host;
    q->key = getenv("HEARTH_API_KEY");
    return EXIT_OK;
}

/* The answer as JSON; an error of the server's becomes ours. */
static int ask(const char *name, const http_question *q, js **out)
{
    buf body = BUF_INIT(ANSWER_MAX);
    error e = { 0 };
    int code = 0;
    js *j = NULL;
    status s = http_ask(q, &code, &body, &e);
    if (!s)
        s = js_parse(&j, body.data ? body.data : "", body.len, "the server's answer", 1, &e);
    if (!s && code != 200) {
        const js *said = js_get(j, "error");
        const char *text = js_text(js_is(said, JS_OBJECT) ? js_get(said, "message") : said);
        s = fail(&e, code == 404 ? E_NOTFOUND : code == 401 ? E_DENIED : E_PROVIDER, "%s",
                 text ? text : "the server refused");
        js_free(j);
        j = NULL;
    }
    buf_clear(&body);
    *out = j;
    return s ? report(name, &e) : EXIT_OK;
}

static int64_t whole(const js *o, const char *key)
{
    int64_t v = 0;
    (void)js_int(js_get(o, key), &v);
    return v;
}

static void print_json(const js *answer)
{
    buf text = BUF_INIT(ANSWER_MAX);
    js_write(answer, JS_COMPACT, &text);
    printf("%s\n", buf_text(&text));
    buf_clear(&text);
}

static void print_model(const js *m)
{
    const js *own = js_get(m, "hearth");
    const char *name = js_text(js_get(m, "name")), *state = js_text(js_get(own, "state"));
    char size[24], left[24] = "-";
    double left_s = -1;
    if (js_double(js_get(own, "left_seconds"), &left_s) && left_s >= 0)
        snprintf(left, sizeof left, "%.0f s", left_s);
    printf("%-40s %10s  %-10s %9lld %8lld %9s %8lld\n", name ? name : "?",
           str_human_bytes(size, (uint64_t)whole(m, "size")), state ? state : "?", (long long)whole(own, "answering"),
           (long long)whole(own, "waiting"), left, (long long)whole(own, "process"));
}

int serve_ps(int argc, char **argv)
{
    ask_options o = { 0 };
    const option options[] = {
        { "listen", 'l', OPTION_TEXT, &o.listen, "HOST:PORT", "where the server listens (default: config)" },
        { "config", 0, OPTION_TEXT, &o.config_path, "FILE", "another config.yaml" },
        { "json", 0, OPTION_FLAG, &o.json, NULL, "one JSON document" },
    };
    http_question q = { .method = "GET", .path = "/api/ps", .timeout_ms = PS_MS };
    char host[LISTEN_HOST_MAX];
    size_t n;
    int code = EXIT_OK;
    js *answer = NULL;
    if (!options_read(argc, argv, &ps_page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n)
        return usage_error("ps", "'%s': it takes no words", argv[1]);
    if ((code = address("ps", &o, host, &q)) != EXIT_OK || (code = ask("ps", &q, &answer)) != EXIT_OK)
        return code;
    const js *models = js_get(answer, "models");
    if (o.json) {
        print_json(answer);
    } else if (js_len(models)) {
        printf("%-40s %10s  %-10s %9s %8s %9s %8s\n", "MODEL", "MEMORY", "STATE", "ANSWERING", "WAITING", "STAYS",
               "PROCESS");
    }
    for (size_t i = 0; !o.json && i < js_len(models); i++)
        print_model(js_at(models, i));
    js_free(answer);
    return EXIT_OK;
}

int serve_stop(int argc, char **argv)
{
    ask_options o = { 0 };
    const option options[] = {
        { "listen", 'l', OPTION_TEXT, &o.listen, "HOST:PORT", "where the server listens (default: config)" },
        { "config", 0, OPTION_TEXT, &o.config_path, "FILE", "another config.yaml" },
        { "json", 0, OPTION_FLAG, &o.json, NULL, "the server's answer, one JSON document" },
    };
    http_question q = { .method = "POST", .path = "/api/generate", .timeout_ms = STOP_MS };
    char host[LISTEN_HOST_MAX];
    size_t n;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &stop_page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n != 1)
        return usage_error("stop", "name one model");
    if ((code = address("stop", &o, host, &q)) != EXIT_OK)
        return code;
    js *body = js_object(), *answer = NULL;
    buf text = BUF_INIT(1 << 16);
    js_set(body, "model", js_new_string(argv[1]));
    js_set(body, "keep_alive", js_new_int(0));
    js_set(body, "stream", js_new_bool(false));
    js_write(body, JS_COMPACT, &text);
    q.body = buf_text(&text);
    code = ask("stop", &q, &answer);
    if (o.json && code == EXIT_OK)
        print_json(answer);
    buf_clear(&text);
    js_free(body);
    js_free(answer);
    return code;
}
