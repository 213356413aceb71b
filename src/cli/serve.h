/* serve.h: the parts of hearth-serve: serve_main.c reads options and config, serve_run.c runs until told to end. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include "api/api.h"
#include "http/http.h"

typedef struct serve_plan {
    api_options api;          /* without keys and journal */
    http_options listen;
    const char *config_path;  /* as given: read again on SIGHUP; NULL: the usual one */
    inspect_ring *inspectors; /* what looks at requests; read again on SIGHUP */
    const char *log;          /* NULL: standard error; "none"; else a file */
    bool plaintext;           /* other machines may be spoken to without TLS */
    unsigned drain_seconds;
} serve_plan;

/* Serves until SIGTERM or SIGINT; the exit code. Blocks the signals it waits for in this thread, and so in all that are
 * started here: call it before there are others. */
int serve_run(const serve_plan *p);

/* SIGINT, SIGTERM, SIGHUP wait for serve_run from now on: before the first thread. */
void serve_block_signals(void);

/* The config's tagger, if it has one, becomes c->tagger; what it takes goes off *memory_bytes (0: no budget). */
status serve_tagger(config *c, uint64_t *memory_bytes, error *err) MUST_CHECK;
/* Opens *ring after the config, or shows another inspector in it. t: the tagger that was opened for plan's config. */
status serve_inspectors(inspect_ring **ring, const config *c, struct tagger *t, error *err) MUST_CHECK;

/* Whoever listens for other machines asks them for a key, and speaks TLS or was told not to. E_DENIED says what
 * is missing. */
status serve_may_listen(const char *host, const config *c, bool tls, bool plaintext, error *err) MUST_CHECK;

#endif
