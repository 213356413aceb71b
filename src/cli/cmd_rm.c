/* cmd_rm.c: `hearth rm MODEL...`: models of the models directory, with all that belongs to them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* By its whole name, or its file's: what only begins so is not meant. */
static bool is_named(const store_model *m, const char *name)
{
    return strcmp(m->name, name) == 0 || strcmp(store_label(m), name) == 0;
}

static status find(const store_model *list, size_t n, const char *name, const store_model **out, error *err)
{
    const store_model *found = NULL, *second = NULL;
    for (size_t i = 0; i < n; i++)
        if (is_named(&list[i], name)) {
            second = found;
            found = &list[i];
        }
    if (second)
        return fail(err, E_NOTFOUND, "model '%s': two are called so: say %s or %s", name, store_label(second),
                    store_label(found));
    if (found) {
        *out = found;
        return OK;
    }
    store_model m = { 0 };
    status s = store_look(&m, name, err); /* for its sentence, or because it is another program's */
    if (!s && m.place == STORE_MODELS) {
        s = fail(err, E_NOTFOUND, "model '%s': only whole names are removed; did you mean '%s'?", name, m.name);
    } else if (!s) {
        store_files none;
        s = store_files_of(&none, &m, err);
        if (!s) {
            store_files_free(&none);
            s = fail(err, E_NOTFOUND, "model '%s': not in the models directory", name);
        }
    }
    store_model_clear(&m);
    return s;
}

static bool agreed(const char *name, const store_files *f)
{
    char line[16] = "", size[24];
    fprintf(stderr, "remove %s (%zu file%s, %s)? [y/N] ", name, f->n, f->n == 1 ? "" : "s",
            str_human_bytes(size, f->bytes));
    fflush(stderr);
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);
    return n > 0 && (line[0] == 'y' || line[0] == 'Y');
}

static status remove_one(const store_model *m, bool ask, bool *removed, error *err)
{
    store_files f = { 0 };
    char size[24];
    status s = store_files_of(&f, m, err);
    *removed = !s && (!ask || agreed(m->name, &f));
    if (*removed)
        s = store_delete(m, err);
    if (*removed && !s) {
        printf("removed ");
        cli_print_text(m->name, "");
        printf(": %zu file%s, %s\n", f.n, f.n == 1 ? "" : "s", str_human_bytes(size, f.bytes));
    } else if (!s) {
        fprintf(stderr, "%s stays\n", m->name);
    }
    store_files_free(&f);
    return s;
}

int cmd_rm(int argc, char **argv)
{
    bool yes = false, removed = false, all = true;
    const option options[] = { { "yes", 'y', OPTION_FLAG, &yes, NULL, "do not ask" } };
    size_t n_words, n = 0;
    int code = EXIT_OK;
    store_model *list = NULL;
    const store_model *chosen[REMOVED_MAX];
    error e = { 0 };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (!n_words || n_words > REMOVED_MAX)
        return usage_error("rm", "from 1 to %d models are needed", REMOVED_MAX);
    if (!yes && !cli_is_terminal(STDIN_FILENO))
        return usage_error("rm", "there is nobody to ask: --yes removes without asking");
    status s = store_list(&list, &n, &e);
    for (size_t i = 0; !s && i < n_words; i++) /* all are found before one is removed */
        s = find(list, n, argv[1 + i], &chosen[i], &e);
    for (size_t i = 0; !s && i < n_words; i++) {
        s = remove_one(chosen[i], !yes, &removed, &e);
        all = all && removed;
    }
    store_free(list, n);
    return s ? report("rm", &e) : all ? EXIT_OK : EXIT_NO;
}
