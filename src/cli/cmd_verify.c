/* cmd_verify.c: `hearth verify`: whether models on the disk are what they were. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/progress.h"
#include "store/store.h"

static const usage page = {
    "hearth verify [OPTION]... MODEL...|--all|--all-places",
    "Reads models from the disk and compares the SHA-256 of every file with the one that was known beforehand: the\n"
    "note that `hearth pull` wrote; the names of Ollama's and Hugging Face's blobs. Then the header is checked, and\n"
    "that every tensor ends inside the file; with --rows every scale and value must be a finite number. Where no\n"
    "digest is known, that is all that can be said, and it is said. Exit 1 names what is wrong, in which file.\n\n"
    "example:\n"
    "  hearth verify --all --rows\n",
};

typedef struct verify_call {
    bool all, all_places, rows, json;
    progress_line line;
    char phase[PROGRESS_PHASE]; /* with the name of the model that is read */
    js *models;
    bool any_wrong;
} verify_call;

static bool show_progress(void *user, uint64_t done, uint64_t total)
{
    verify_call *c = user;
    progress_show(&c->line, c->phase, done, total);
    return false;
}

static void print_verdict(const verify_call *c, const store_model *m, const store_verdict *v)
{
    char size[24];
    cli_print_text(m->name, "");
    if (!v->whole) {
        printf(": WRONG: ");
        cli_print_text(v->wrong, "  ");
        printf("\n");
    } else if (v->proved) {
        printf(": whole: %s of SHA-256 as %s says%s\n", str_human_bytes(size, v->bytes), v->from,
               c->rows ? ", every value finite" : "");
    } else {
        printf(": as far as can be told: no digest is known%s; header and lengths are right%s\n",
               v->bytes ? " of some of its files" : "", c->rows ? ", every value is finite" : "");
    }
}

static void add_verdict(verify_call *c, const store_model *m, const store_verdict *v)
{
    js *o = js_object();
    js_set(o, "name", js_new_string(m->name));
    js_set(o, "place", js_new_string(store_place_name(m->place)));
    js_set(o, "path", js_new_string(m->path));
    js_set(o, "whole", js_new_bool(v->whole));
    js_set(o, "proved", js_new_bool(v->proved));
    js_set(o, "files", js_new_int(v->n_parts));
    js_set(o, "digested_bytes", js_new_int((int64_t)v->bytes));
    js_set(o, "digest_from", v->from[0] ? js_new_string(v->from) : js_null());
    js_set(o, "wrong", v->whole ? js_null() : js_new_string(v->wrong));
    js_push(c->models, o);
}

static status verify_one(verify_call *c, const store_model *m, error *err)
{
    store_verdict v;
    const store_check check = { c->rows, show_progress, c };
    snprintf(c->phase, sizeof c->phase, "verifying %.50s", m->name);
    progress_init(&c->line);
    status s = store_verify(&v, m, &check, err);
    progress_end(&c->line);
    if (s)
        return s;
    c->any_wrong = c->any_wrong || !v.whole;
    if (c->json)
        add_verdict(c, m, &v);
    else
        print_verdict(c, m, &v);
    return OK;
}

static void skipped(void *user, const char *sentence)
{
    (void)user;
    fprintf(stderr, "hearth verify: %s\n", sentence);
}

/* Models that other programs run and hearth cannot are whole or not all the same; what has no file is passed over. */
static status verify_all(verify_call *c, error *err)
{
    store_model *list = NULL;
    size_t n = 0;
    status s = c->all_places ? store_list_places(&list, &n, skipped, NULL, err) : store_list(&list, &n, err);
    for (size_t i = 0; !s && i < n; i++)
        if (list[i].bytes)
            s = verify_one(c, &list[i], err);
    if (!s && !n && !c->json)
        printf("no models to verify\n");
    store_free(list, n);
    return s;
}

int cmd_verify(int argc, char **argv)
{
    verify_call c = { 0 };
    const option options[] = {
        { "all", 0, OPTION_FLAG, &c.all, NULL, "all models of the models directory" },
        { "all-places", 'a', OPTION_FLAG, &c.all_places, NULL, "also those that other programs keep" },
        { "rows", 0, OPTION_FLAG, &c.rows, NULL, "every scale and value must be finite" },
        { "json", 0, OPTION_FLAG, &c.json, NULL, "facts as JSON" },
    };
    size_t n_words;
    int code = EXIT_OK;
    error e = { 0 };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if ((n_words == 0) == !(c.all || c.all_places))
        return usage_error("verify", "name models, or say --all or --all-places");
    load_offline();
    c.models = js_array();
    status s = n_words ? OK : verify_all(&c, &e);
    for (size_t i = 0; !s && i < n_words; i++) {
        store_model m = { 0 };
        s = store_look(&m, argv[1 + i], &e);
        if (!s)
            s = verify_one(&c, &m, &e);
        store_model_clear(&m);
    }
    if (s) {
        js_free(c.models);
        return report("verify", &e);
    }
    if (c.json) {
        js *o = js_object();
        js_set(o, "models", c.models);
        code = cli_print_json(o, "verify");
    } else {
        js_free(c.models);
    }
    return code ? code : c.any_wrong ? EXIT_NO : EXIT_OK;
}
