/* cmd_rm.c: `hearth rm MODEL...`: models of the models directory, with all that belongs to them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/js.h"
#include "base/str.h"
#include "cli/cli.h"
#include "store/store.h"

static const usage page = {
    "hearth rm [OPTION]... MODEL...",
    "Removes models of the models directory by their whole names: all files of each, its note, and what an\n"
    "interrupted `hearth pull` left of it; of a link, the link. Asks before, unless --yes is given. Models that other\n"
    "programs keep are theirs to remove: it says how. A process that has a model open, a server too, goes on with it:\n"
    "the disk space is free when that ends (`hearth ps`, `hearth stop MODEL`).\n\n"
    "example:\n"
    "  hearth rm SmolLM2-135M-Instruct.Q4_1\n",
};

enum { REMOVED_MAX = 256 };

typedef struct rm_call {
    bool yes, json;
    store_model chosen[REMOVED_MAX];
    store_files files[REMOVED_MAX];
    size_t n;
    js *removed;
    bool all;
} rm_call;

/* ---- what is meant ---- */

/* By its whole name, or its file's: what only begins so is not meant. */
static bool is_named(const store_model *m, const char *name)
{
    return strcmp(m->name, name) == 0 || strcmp(store_label(m), name) == 0;
}

/* In the list; E_NOTFOUND without a sentence: not there. */
static status find_listed(const store_model *list, size_t n, const char *name, store_model *out, error *err)
{
    const store_model *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!is_named(&list[i], name))
            continue;
        if (found)
            return fail(err, E_RANGE, "model '%s': two are called so: say %s or %s", name, store_label(found),
                        store_label(&list[i]));
        found = &list[i];
    }
    return found ? store_absent(out, store_label(found), err) : E_NOTFOUND;
}

/* No model, but a pull of it was begun. */
static bool is_leftover(const char *name, store_model *out)
{
    store_files f = { 0 };
    bool some = store_absent(out, name, NULL) == OK;
    bool left = some && store_files_of(&f, out, NULL) == OK && f.n > 0;
    store_files_free(&f);
    if (some && !left)
        store_model_clear(out);
    return left;
}

static status find(const store_model *list, size_t n, const char *name, store_model *out, error *err)
{
    status s = find_listed(list, n, name, out, err);
    if (s != E_NOTFOUND || is_leftover(name, out))
        return s == E_NOTFOUND ? OK : s;
    s = store_look(out, name, err); /* for its sentence, or because it is another program's */
    if (!s && out->place == STORE_MODELS) {
        s = fail(err, E_NOTFOUND, "model '%s': only whole names are removed; did you mean '%s'?", name, out->name);
        store_model_clear(out);
    }
    return s;
}

/* All are found before one is removed. */
static status find_all(rm_call *c, size_t n_words, char **words, error *err)
{
    store_model *list = NULL;
    size_t n = 0;
    status s = store_list(&list, &n, err);
    while (!s && c->n < n_words) {
        s = find(list, n, words[c->n], &c->chosen[c->n], err);
        if (!s) {
            s = store_files_of(&c->files[c->n], &c->chosen[c->n], err);
            c->n++;
        }
    }
    store_free(list, n);
    return s;
}

/* ---- removing ---- */

static bool agreed(const char *name, const store_files *f)
{
    char line[16] = "", size[24];
    fprintf(stderr, "remove %s (%zu file%s, %s)? [y/N] ", name, f->n, f->n == 1 ? "" : "s",
            str_human_bytes(size, f->bytes));
    fflush(stderr);
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
    return n > 0 && (line[0] == 'y' || line[0] == 'Y');
}

static void say_removed(rm_call *c, const store_model *m, const store_files *f)
{
    char size[24];
    if (!c->json) {
        printf("removed ");
        cli_print_text(m->name, "");
        printf(": %zu file%s, %s\n", f->n, f->n == 1 ? "" : "s", str_human_bytes(size, f->bytes));
        return;
    }
    js *o = js_object(), *paths = js_array();
    for (size_t i = 0; i < f->n; i++)
        js_push(paths, js_new_string(f->paths[i]));
    js_set(o, "name", js_new_string(m->name));
    js_set(o, "files", paths);
    js_set(o, "bytes", js_new_int((int64_t)f->bytes));
    js_push(c->removed, o);
}

static status remove_one(rm_call *c, const store_model *m, const store_files *f, error *err)
{
    if (!c->yes && !agreed(m->name, f)) {
        fprintf(stderr, "%s stays\n", m->name);
        c->all = false;
        return OK;
    }
    status s = store_delete(m, err);
    if (!s)
        say_removed(c, m, f);
    return s;
}

int cmd_rm(int argc, char **argv)
{
    rm_call c = { .all = true };
    const option options[] = {
        { "yes", 'y', OPTION_FLAG, &c.yes, NULL, "do not ask" },
        { "json", 0, OPTION_FLAG, &c.json, NULL, "what was removed as JSON" },
    };
    size_t n_words;
    int code = EXIT_OK;
    error e = { 0 };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (!n_words || n_words > REMOVED_MAX)
        return usage_error("rm", "from 1 to %d models are needed", REMOVED_MAX);
    if (!c.yes && !cli_is_terminal(STDIN_FILENO))
        return usage_error("rm", "there is nobody to ask: --yes removes without asking");
    c.removed = js_array();
    status s = find_all(&c, n_words, argv + 1, &e);
    for (size_t i = 0; !s && i < c.n; i++)
        s = remove_one(&c, &c.chosen[i], &c.files[i], &e);
    for (size_t i = 0; i < c.n; i++) {
        store_model_clear(&c.chosen[i]);
        store_files_free(&c.files[i]);
    }
    if (!s && c.json) {
        js *o = js_object();
        js_set(o, "removed", c.removed);
        c.removed = NULL;
        code = cli_print_json(o, "rm");
    }
    js_free(c.removed);
    return s ? report("rm", &e) : code ? code : c.all ? EXIT_OK : EXIT_NO;
}
