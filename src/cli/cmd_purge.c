/* cmd_purge.c: `hearth purge`: the prefix cache on disk is emptied. */
#include <stdio.h>

#include "base/js.h"
#include "base/str.h"
#include "cli/cli.h"
#include "provider/snapshots.h"

static const usage page = {
    "hearth purge",
    "Removes what `hearth serve` keeps of prompts on disk (`snapshots:` in config.yaml): the beginnings of public and\n"
    "internal requests and their KV pages. Models that are loaded keep nothing on disk any more until they are loaded\n"
    "again; what they hold in memory goes with `hearth stop MODEL`. The prompts and answers that `hearth measure`\n"
    "keeps are removed by `hearth ledger purge`.\n"
    "\n"
    "example:\n"
    "  hearth purge\n",
};

static void print_json(const snapshots_purged *p)
{
    buf text = BUF_INIT(1 << 12);
    js *j = js_object();
    js_set(j, "removed_files", js_new_int(p->n_files));
    js_set(j, "removed_bytes", js_new_int((int64_t)p->bytes));
    js_set(j, "loaded_models", js_new_int(p->n_running));
    js_write(j, JS_COMPACT, &text);
    printf("%s\n", buf_text(&text));
    buf_clear(&text);
    js_free(j);
}

int cmd_purge(int argc, char **argv)
{
    bool json = false;
    const option options[] = { { "json", 0, OPTION_FLAG, &json, NULL, "one JSON document" } };
    size_t n_words;
    int code;
    char bytes[24];
    error err = { 0 };
    snapshots_purged p;
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words != 0)
        return usage_error("purge", "it takes no arguments");
    if (snapshots_purge(&p, &err))
        return report("purge", &err);
    if (json) {
        print_json(&p);
        return EXIT_OK;
    }
    printf("removed %u snapshot%s, %s (%llu bytes)\n", p.n_files, p.n_files == 1 ? "" : "s",
           str_human_bytes(bytes, p.bytes), (unsigned long long)p.bytes);
    if (p.n_running)
        printf("%u loaded model%s still hold%s prompts in memory: see hearth ps, hearth stop\n", p.n_running,
               p.n_running == 1 ? "" : "s", p.n_running == 1 ? "s" : "");
    return EXIT_OK;
}
