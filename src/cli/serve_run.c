/* serve_run.c: from "listening" to the end: signals, reload, drain.
 *
 *   SIGHUP            the config is read again: keys, their limits, origins; the log's file is opened again
 *   SIGTERM, SIGINT   nothing new is taken, what runs has drain_seconds to finish, the rest is cancelled
 *   the same again    the rest is cancelled now; a third one kills */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/journal.h"
#include "api/keys.h"
#include "cli/cli.h"
#include "cli/serve.h"
#include "measure/tools.h"
#include "plat/clock.h"
#include "plat/machine.h"
#include "plat/service.h"
#include "provider/tagger.h"

typedef struct serving {
    const serve_plan *plan;
    key_ring *keys;
    journal *journal;
    api *api;
    http_server *http;
    sigset_t signals;
} serving;

/* The signals are taken by sigwait in this thread alone: block them before any other thread. */
static void signal_set(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGHUP);
}

void serve_block_signals(void)
{
    sigset_t signals;
    signal_set(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
}

status serve_may_listen(const char *host, const config *c, bool tls, bool plaintext, error *err)
{
    if (http_is_loopback_name(host))
        return OK;
    if (!c->n_keys)
        return fail(err, E_DENIED, "%s is reachable by other machines: give them keys in %s (keys: ...) first", host,
                    c->path[0] ? c->path : "config.yaml");
    if (!tls && !plaintext)
        return fail(err, E_DENIED, "%s is reachable by other machines, and keys and prompts would travel in clear "
                    "text: give --tls-cert and --tls-key, or say --plaintext", host);
    return OK;
}

/* A line to standard error while requests run. The log may fill the same pipe, and who does not read it must not keep
 * the server from ending: then the line is lost. */
static void say(const char *format, ...) PRINTF_LIKE(1, 2);
static void say(const char *format, ...)
{
    enum { WAIT_MS = 500 };
    char text[2048] = "hearth serve: ";
    size_t n = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - n - 1, format, args);
    va_end(args);
    n = strlen(text);
    text[n++] = '\n';
    struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
    if (poll(&p, 1, WAIT_MS) > 0 && write(STDERR_FILENO, text, n) < 0)
        return; /* there is nobody else to tell */
}

status serve_tagger(config *c, uint64_t *memory_bytes, error *err)
{
    const tagger_options o = { .threshold = c->privacy.tag_threshold };
    config own = *c;
    if (!c->privacy.tagger[0])
        return OK;
    own.mem_bytes = *memory_bytes;
    status s = tagger_open(&c->tagger, c->privacy.tagger, &own, &o, err);
    if (s)
        return fail_prefix(err, s, "privacy: tagger: ");
    uint64_t taken = tagger_bytes(c->tagger);
    if (*memory_bytes) /* 0 is no budget */
        *memory_bytes = taken < *memory_bytes ? *memory_bytes - taken : 1;
    return OK;
}

status serve_inspectors(inspect_ring **ring, const config *c, struct tagger *t, error *err)
{
    inspect_settings o = config_inspect(c);
    if (t) {
        o.tag = tagger_spans;
        o.tagger = t;
        o.tagger_name = tagger_name(t);
    }
    return *ring ? inspect_ring_reload(*ring, &o, err) : inspect_ring_open(ring, &o, err);
}

/* ---- SIGHUP ---- */

/* All or nothing: on an error everything stays as it is. */
static status apply(serving *s, const config *fresh, error *err)
{
    const serve_plan *p = s->plan;
    status st = serve_may_listen(p->listen.host, fresh, p->listen.tls_cert != NULL, p->plaintext, err);
    const config_privacy *now = &p->api.config->privacy;
    struct tagger *t = p->api.config->tagger;
    inspect_ring *ring = p->inspectors, *tried = NULL;
    if (!st && (strcmp(now->tagger, fresh->privacy.tagger) != 0 || now->tag_threshold != fresh->privacy.tag_threshold))
        st = fail(err, E_UNSUPPORTED, "another tagger, or another tag_threshold, needs a new start");
    if (!st)
        st = serve_inspectors(&tried, fresh, t, err);
    inspect_ring_close(&tried);
    if (!st)
        st = key_ring_reload(s->keys, fresh, err);
    if (!st)
        st = serve_inspectors(&ring, fresh, t, err);
    return st ? st : http_set_origins(s->http, fresh->origins, fresh->n_origins, err);
}

static void reload(serving *s)
{
    config *fresh = NULL;
    error e = { 0 };
    service_notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_mono_us());
    status st = config_open(&fresh, s->plan->config_path, &e);
    if (!st)
        st = apply(s, fresh, &e);
    if (st)
        say("not reloaded, the old configuration stays: %s", e.text);
    else
        say("reloaded: %zu keys and their limits, %zu origins; all else is read at the next start", fresh->n_keys,
            fresh->n_origins);
    api_forget(s->api);
    if (s->journal && journal_reopen(s->journal, &e))
        say("the log stays in its old file: %s", e.text);
    config_close(&fresh);
    service_notify("READY=1");
}

/* ---- SIGTERM ---- */

/* Whether a second signal to end came within the time. */
static bool told_again(serving *s, long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    int which = sigtimedwait(&s->signals, NULL, &t);
    return which == SIGTERM || which == SIGINT;
}

static void drain(serving *s)
{
    uint64_t end = clock_mono_us() + (uint64_t)s->plan->drain_seconds * 1000000;
    size_t busy = http_busy(s->http);
    service_notify("STOPPING=1");
    http_drain(s->http);
    say("stopping");
    if (busy)
        say("%zu requests have %u s to finish", busy, s->plan->drain_seconds);
    while ((busy = http_busy(s->http)) && clock_mono_us() < end) {
        if (told_again(s, 50))
            break;
    }
    if (busy)
        say("%zu requests are cancelled", busy);
    /* From here on a keyboard can end it at once; a supervisor that is told to stop it twice has its clean end. */
    sigset_t keyboard;
    sigemptyset(&keyboard);
    sigaddset(&keyboard, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &keyboard, NULL);
}

/* ---- from open to close ---- */

static status open_all(serving *s, error *err)
{
    const serve_plan *p = s->plan;
    const config *c = p->api.config;
    api_options o = p->api;
    http_options listen = p->listen;
    bool logged = !p->log || strcmp(p->log, "none") != 0;
    status st = key_ring_open(&s->keys, c, err);
    if (!st && logged)
        st = journal_open(&s->journal, p->log, err);
    o.keys = s->keys;
    o.bind_task = measure_tools_bind;
    o.journal = s->journal;
    if (!st)
        st = api_open(&s->api, &o, err);
    listen.done = api_done;
    if (!st)
        st = http_open(&s->http, &listen, api_handle, s->api, err);
    return st ? st : http_set_origins(s->http, c->origins, c->n_origins, err);
}

static void close_all(serving *s)
{
    http_close(&s->http);
    api_close(&s->api);
    journal_close(&s->journal);
    key_ring_close(&s->keys);
}

static void say_where(const serving *s)
{
    const http_options *l = &s->plan->listen;
    bool v6 = strchr(l->host, ':') != NULL;
    if (machine_dies_as_group())
        fprintf(stderr, "hearth serve: when memory runs out, this cgroup is killed as a whole (memory.oom.group): the "
                        "server would end with its workers; under systemd set OOMPolicy=continue\n");
    if (http_port(s->http))
        fprintf(stderr, "hearth serve: listening on %s://%s%s%s:%u\n", l->tls_cert ? "https" : "http", v6 ? "[" : "",
                l->host, v6 ? "]" : "", http_port(s->http));
    else
        fprintf(stderr, "hearth serve: listening on the Unix socket that was handed over\n");
    service_notify("READY=1");
}

int serve_run(const serve_plan *p)
{
    serving s = { .plan = p };
    error e = { 0 };
    serve_block_signals();
    signal_set(&s.signals);
    if (open_all(&s, &e)) {
        close_all(&s);
        return report("serve", &e);
    }
    say_where(&s);
    int which = 0;
    while (sigwait(&s.signals, &which) == 0 && which == SIGHUP)
        reload(&s);
    drain(&s);
    close_all(&s);
    return EXIT_OK;
}
