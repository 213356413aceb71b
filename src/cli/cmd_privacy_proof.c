/* cmd_privacy_proof.c: hearth privacy proof: what keeps private texts on this machine, tried. */
#include <stdio.h>
#include <string.h>

#include "base/js.h"
#include "cli/cmd_privacy.h"
#include "provider/proof.h"

static const usage page = {
    "hearth privacy proof [OPTION]...",
    "What keeps private texts on this machine, here and now: a worker is started and really attempts every forbidden\n"
    "call; each configured server is offered a private text and must refuse it, and so must its process with the\n"
    "network; the kernel says what these processes have open. Nothing is sent. Exit code 1 when something does not\n"
    "hold. Of a server that runs, GET /v1/privacy/proof says the same of its own processes.\n\n"
    "examples:\n"
    "  hearth privacy proof\n"
    "  hearth privacy proof --json\n",
};

enum { SERVERS_SHOWN = 4, LINES_SHOWN = 4 };

static int64_t whole(const js *o, const char *key)
{
    int64_t v = 0;
    (void)js_int(js_get(o, key), &v);
    return v;
}

static bool yes(const js *o, const char *key)
{
    return js_bool(js_get(o, key), false);
}

static const char *text(const js *o, const char *key)
{
    const char *t = js_text(js_get(o, key));
    return t ? t : "";
}

static void print_list(const char *head, const js *list)
{
    for (size_t i = 0; i < js_len(list) && i < LINES_SHOWN; i++) {
        printf("%s ", head);
        cli_print_text(js_text(js_at(list, i)), "");
        putchar('\n');
    }
    if (js_len(list) > LINES_SHOWN)
        printf("%s ... and %zu more\n", head, js_len(list) - LINES_SHOWN);
}

static void print_sandbox(const js *sandbox)
{
    const js *checks = js_get(sandbox, "checks");
    size_t denied = 0;
    for (size_t i = 0; i < js_len(checks); i++)
        denied += yes(js_at(checks, i), "denied");
    printf("%zu of %zu forbidden calls denied; %s, ", denied, js_len(checks), yes(sandbox, "seccomp") ? "seccomp"
                                                                                                    : "no seccomp");
    if (yes(sandbox, "landlock"))
        printf("Landlock (ABI %lld)", (long long)whole(sandbox, "landlock_abi"));
    else
        printf("no Landlock");
}

static void print_worker(const js *w)
{
    const js *sandbox = js_get(w, "sandbox"), *kernel = js_get(w, "kernel"), *network = js_get(kernel, "network");
    const js *seen = js_get(kernel, "descriptors"), *d = js_is(seen, JS_OBJECT) ? seen : js_get(w, "descriptors");
    printf("worker %lld (%s): ", (long long)whole(w, "process"), text(w, "provider"));
    print_sandbox(sandbox);
    printf(", %s\n", yes(sandbox, "empty_network") ? "an empty network namespace" : "no network namespace of its own");
    printf("  %lld interfaces, %lld bytes received, %lld sent; open: %lld files, %lld Unix socket, %lld of the "
           "internet; %s, %s\n", (long long)whole(network, "interfaces"), (long long)whole(network, "received_bytes"),
           (long long)whole(network, "sent_bytes"), (long long)whole(d, "files"), (long long)whole(d, "unix_sockets"),
           (long long)(whole(d, "outbound") + whole(d, "accepted") + whole(d, "listening")),
           yes(sandbox, "dumpable") ? "dumpable" : "not dumpable",
           yes(sandbox, "dies_with_parent") ? "ends with hearth" : "would outlive hearth");
}

static void print_server(const js *s)
{
    const js *refuses = js_get(s, "refuses"), *process = js_at(js_get(s, "processes"), 0);
    const js *closed = js_get(process, "closed");
    size_t shut = 0;
    printf("server %s: %s (%s, up to %s): private %s, secret %s", text(s, "provider"), text(s, "host"),
           text(s, "place"), text(s, "class_max"), yes(refuses, "private") ? "refused" : "TAKEN",
           yes(refuses, "secret") ? "refused" : "TAKEN");
    if (text(s, "address")[0])
        printf("; connected to %s", text(s, "address"));
    if (!process) {
        printf("; no process runs\n");
        return;
    }
    for (size_t i = 0; i < js_len(closed); i++)
        shut += yes(js_at(closed, i), "denied");
    printf("\n  egress %lld: ", (long long)whole(process, "process"));
    print_sandbox(js_get(process, "sandbox"));
    printf("; %zu of %zu of hearth's files closed to it\n", shut, js_len(closed));
}

static void print_class(const js *classes, const char *name)
{
    const js *c = js_get(classes, name), *places = js_get(c, "places"), *servers = js_get(c, "servers");
    printf("%s: ", name);
    for (size_t i = 0; i < js_len(places); i++)
        printf("%s%s", i ? ", " : "", js_text(js_at(places, i)));
    printf("; servers: ");
    for (size_t i = 0; i < js_len(servers) && i < 8; i++)
        printf("%s%s", i ? ", " : "", js_text(js_at(servers, i)));
    printf("%s\n", js_len(servers) > 8 ? ", ..." : js_len(servers) ? "" : "none");
}

static void print_proof(const js *doc, bool holds)
{
    static const char *const classes[] = { "public", "internal", "private", "secret" };
    const js *servers = js_get(doc, "servers"), *audit = js_get(doc, "audit"), *c = js_get(doc, "config");
    const js *front = js_get(js_get(js_get(doc, "front"), "kernel"), "descriptors");
    printf("%s\n", holds ? "it holds" : "IT DOES NOT HOLD");
    print_list("  reason:", js_get(doc, "reasons"));
    for (size_t i = 0; i < js_len(js_get(doc, "workers")); i++)
        print_worker(js_at(js_get(doc, "workers"), i));
    if (!js_len(servers))
        printf("servers: none is configured, so no process has a network\n");
    for (size_t i = 0; i < js_len(servers) && i < SERVERS_SHOWN; i++)
        print_server(js_at(servers, i));
    if (js_len(servers) > SERVERS_SHOWN)
        printf("... and %zu servers more: --json shows them\n", js_len(servers) - SERVERS_SHOWN);
    printf("this process: %lld outbound connections\n", (long long)whole(front, "outbound"));
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        print_class(js_get(doc, "classes"), classes[i]);
    printf("config: %s%s%s; detectors: %s\n", text(c, "path")[0] ? text(c, "path") : "none",
           text(c, "sha256")[0] ? ", " : "", text(c, "sha256"), text(doc, "detectors"));
    if (yes(audit, "there"))
        printf("audit log: record %lld:%s, %s\n", (long long)whole(audit, "record"), text(audit, "sha256"),
               yes(audit, "can_append") ? "can be written" : text(audit, "why"));
    else
        printf("audit log: nothing was released yet; %s\n", yes(audit, "can_append") ? "it can be begun"
                                                                                     : text(audit, "why"));
    print_list("  note:", js_get(doc, "notes"));
}

int cmd_privacy_proof(int argc, char **argv)
{
    bool json = false, holds = false;
    const char *path = NULL;
    const option options[] = {
        { "config", 0, OPTION_TEXT, &path, "FILE", "another config.yaml" },
        { "json", 0, OPTION_FLAG, &json, NULL, "the whole proof as one JSON document" },
    };
    size_t n = 0;
    int code = EXIT_OK;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n, &code))
        return code;
    if (n)
        return usage_error(argv[0], "'%s': it takes no words", argv[1]);
    config *c = NULL;
    proof *p = NULL;
    error err = { 0 };
    js *doc = NULL;
    status s = config_open(&c, path, &err);
    if (!s)
        s = proof_open(&p, c, &err);
    if (!s) {
        proof_try_worker(p);
        proof_add_configured(p, true);
        doc = proof_close(&p, &holds);
        s = doc ? OK : fail(&err, E_NOMEM, "no memory for the proof");
    }
    config_close(&c);
    if (s)
        return report(argv[0], &err);
    if (json)
        code = cli_print_json(doc, argv[0]); /* takes doc */
    else
        print_proof(doc, holds);
    if (!json)
        js_free(doc);
    return code ? code : holds ? EXIT_OK : EXIT_NO;
}
