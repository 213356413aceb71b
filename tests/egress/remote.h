/* remote.h: a test's server (server.py), and questions asked through the real egress process. */
#ifndef TESTS_EGRESS_REMOTE_H
#define TESTS_EGRESS_REMOTE_H

#include "lib/check.h"
#include "lib/helpers.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "plat/clock.h"
#include "provider/provider.h"
#include "provider/provider_int.h"

static FILE *server_out; /* the port, then a line for each request it got */
static int server_in, port;
static pid_t server;

/* With an audit log of its own. */
static char own_home[] = "/tmp/hearth-egress-XXXXXX";

static bool start_server(void)
{
    int in[2], out[2];
    char line[64];
    if (pipe(in) || pipe(out))
        return false;
    server = fork();
    if (server == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", "tests/egress/server.py", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    server_in = in[1];
    server_out = fdopen(out[0], "r");
    return fgets(line, sizeof line, server_out) && (port = (int)strtol(line, NULL, 10)) > 0;
}

typedef struct outcome {
    status s;
    error err;
    char text[4096];
    size_t text_bytes, n_text, n_wait;
    event_done done;
    event_error fault;
    char fault_text[1024];
    int n_done, n_error;
    int cancel_after; /* pieces */
    char calls[200];
    double logprob;
    char token[8];
    size_t n_top;
    char model[64];
    double seconds;
} outcome;

static void note(outcome *o, const char *a, const char *b, const char *c)
{
    size_t n = strlen(o->calls);
    snprintf(o->calls + n, sizeof o->calls - n, "%s%s%s", a, b, c);
}

static int on_event(void *user, const event *e)
{
    outcome *o = user;
    assert_true(o->n_done + o->n_error == 0); /* nothing comes after the last */
    if (e->kind == EVENT_TEXT) {
        if (o->text_bytes + e->text_bytes < sizeof o->text)
            memcpy(o->text + o->text_bytes, e->text, e->text_bytes);
        o->text_bytes += e->text_bytes;
        o->n_text++;
    } else if (e->kind == EVENT_TOKEN) {
        o->logprob = e->token->token.logprob;
        o->n_top = e->token->n_top;
        snprintf(o->token, sizeof o->token, "%s", e->token->token.text);
    } else if (e->kind == EVENT_REASONING) {
        note(o, "<", e->text, ">");
    } else if (e->kind == EVENT_CALL) {
        note(o, e->call->id, "=", e->call->name);
    } else if (e->kind == EVENT_ARGUMENTS) {
        note(o, "", e->text, "");
    } else if (e->kind == EVENT_CALL_END) {
        note(o, "", e->call->complete ? "." : "!", "");
    } else if (e->kind == EVENT_DONE) {
        o->done = *e->end;
        snprintf(o->model, sizeof o->model, "%s", e->end->model);
        o->n_done++;
    } else if (e->kind == EVENT_ERROR) {
        o->fault = *e->error;
        snprintf(o->fault_text, sizeof o->fault_text, "%s", e->error->text);
        o->n_error++;
    } else if (e->kind == EVENT_WAIT) {
        o->n_wait++;
    }
    return o->cancel_after && o->n_text >= (size_t)o->cancel_after;
}

static void open_mode(provider **p, const char *mode)
{
    char spec[200];
    snprintf(spec, sizeof spec, "openai:http://127.0.0.1:%d/%s#fake", port, mode);
    assert_ok(provider_open(p, spec, NULL, err));
}

/* A provider of that kind from a config; more: further lines of its entry, "retries: 0, key_env: K". */
static config *open_kind(provider **p, const char *kind, const char *mode, const char *more)
{
    char text[1200];
    config *c = NULL;
    snprintf(text, sizeof text, "version: 1\nkeys:\n  - {name: laptop, key_env: K, budget: {usd_per_day: 1}}\n"
             "providers:\n  - {name: up, kind: %s, model: fake, url: \"http://127.0.0.1:%d/%s\"%s%s}\n", kind, port,
             mode, more[0] ? ", " : "", more);
    assert_ok(config_parse(&c, text, strlen(text), "config.yaml", err));
    assert_ok(provider_open(p, "up", c, err));
    return c;
}

static void ask(provider *p, outcome *o, request *r, const provider_limits *l)
{
    static const request_message m = { "user", "hello" };
    static request plain;
    if (!r) {
        request_init(&plain);
        plain.privacy = PRIVACY_PUBLIC;
        plain.messages = &m;
        plain.n_messages = 1;
        r = &plain;
    }
    uint64_t start = clock_mono_us();
    o->s = provider_complete(p, r, on_event, o, l, &o->err);
    o->seconds = (double)(clock_mono_us() - start) * 1e-6;
    assert_int_equal(o->n_done + o->n_error, 1);
    assert_int_equal(o->n_error, o->s != OK);
    if (o->s)
        assert_string_equal(o->err.text, o->fault_text);
}

static void last_request(char *line, size_t size)
{
    assert_non_null(fgets(line, (int)size, server_out));
}

/* Runs the tests with the server; 77 where there is no Python. */
static int run_with_server(const struct CMUnitTest *tests, size_t n)
{
    char command[80];
    find_helpers();
    if (!mkdtemp(own_home) || setenv("HEARTH_HOME", own_home, 1))
        return 99;
    if (!start_server()) {
        printf("python3 is not there\n");
        return 77;
    }
    signal(SIGPIPE, SIG_IGN);
    int failed = _cmocka_run_group_tests("server", tests, n, NULL, NULL);
    close(server_in);
    waitpid(server, NULL, 0);
    snprintf(command, sizeof command, "rm -r %s", own_home);
    return system(command) ? 99 : failed;
}

#endif
