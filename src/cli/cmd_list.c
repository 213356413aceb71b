/* cmd_list.c: `hearth list`: the models on this disk. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/js.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/model_facts.h"
#include "plat/clock.h"

static const usage page = {
    "hearth list [OPTION]...",
    "Lists the models of the models directory, with --all-places also those that other programs keep: the Hugging\n"
    "Face cache, Ollama's store, LM Studio's folder. They are used where they lie, by the names that are shown.\n"
    "Headers are read, weights are not; a damaged file is listed with what is wrong with it. Where a digest is known\n"
    "beforehand, `hearth verify` compares the file with it.\n\n"
    "example:\n"
    "  hearth list --all-places\n",
};

enum { COLUMNS = 9, CELL_BYTES = 160 };

static const char *const titles[COLUMNS] = { "name",    "arch",   "type",  "params", "size",
                                             "licence", "pulled", "place", "digest" };

typedef struct listed {
    char cells[COLUMNS][CELL_BYTES];
    char why[ERROR_TEXT_BYTES];
} listed;

typedef struct list_call {
    bool json, all_places;
    js *skipped; /* sentences */
} list_call;

static void skipped(void *user, const char *sentence)
{
    list_call *c = user;
    if (c->json)
        js_push(c->skipped, js_new_string(sentence));
    else
        fprintf(stderr, "hearth list: %s\n", sentence);
}

static void put_params(char *cell, uint64_t n)
{
    if (n >= 1000000000u)
        snprintf(cell, CELL_BYTES, "%.1fB", (double)n / 1e9);
    else if (n)
        snprintf(cell, CELL_BYTES, "%.0fM", (double)n / 1e6);
}

/* When hearth pulled it; of other files when they were written. */
static void put_date(char *cell, const store_model *m, const model_facts *f)
{
    char when[CLOCK_TEXT];
    if (f->note.pulled && f->note.pulled[0])
        snprintf(cell, CELL_BYTES, "%.10s", f->note.pulled);
    else
        snprintf(cell, CELL_BYTES, "(%.10s)", clock_utc_text(m->modified_s * 1000000, when));
}

static void fill(listed *l, const store_model *m, const model_facts *f)
{
    char size[24];
    snprintf(l->cells[0], CELL_BYTES, "%s", m->name);
    snprintf(l->cells[1], CELL_BYTES, "%s", f->arch);
    snprintf(l->cells[2], CELL_BYTES, "%s", f->type);
    put_params(l->cells[3], f->n_params);
    if (m->bytes)
        snprintf(l->cells[4], CELL_BYTES, "%s", str_human_bytes(size, m->bytes));
    snprintf(l->cells[5], CELL_BYTES, "%.40s", f->licence);
    put_date(l->cells[6], m, f);
    snprintf(l->cells[7], CELL_BYTES, "%s", store_place_name(m->place));
    snprintf(l->cells[8], CELL_BYTES, "%s", f->known.sha256[0] ? "known" : "");
    for (size_t k = 0; k < COLUMNS; k++)
        if (!l->cells[k][0])
            snprintf(l->cells[k], CELL_BYTES, "-");
    memcpy(l->why, f->why, sizeof l->why);
}

static size_t cell_width(const char *cell)
{
    return utf8_count(cell, strlen(cell));
}

static void print_row(const listed *l, const size_t *widths)
{
    for (size_t k = 0; k < COLUMNS; k++) {
        cli_print_text(l->cells[k], "");
        printf("%*s", k + 1 < COLUMNS ? (int)(widths[k] - cell_width(l->cells[k])) + 2 : 0, "");
    }
    printf("\n");
    if (l->why[0]) {
        printf("  cannot be run: ");
        cli_print_text(l->why, "    ");
        printf("\n");
    }
}

static void print_table(const listed *rows, size_t n)
{
    size_t widths[COLUMNS];
    for (size_t k = 0; k < COLUMNS; k++) {
        widths[k] = strlen(titles[k]);
        for (size_t i = 0; i < n; i++)
            if (cell_width(rows[i].cells[k]) > widths[k])
                widths[k] = cell_width(rows[i].cells[k]);
    }
    printf("%s", cli_style(1, "\033[1m"));
    for (size_t k = 0; k < COLUMNS; k++)
        printf("%-*s%s", k + 1 < COLUMNS ? (int)widths[k] : 0, titles[k], k + 1 < COLUMNS ? "  " : "");
    printf("%s\n", cli_style(1, "\033[0m"));
    for (size_t i = 0; i < n; i++)
        print_row(&rows[i], widths);
}

static js *or_null(const char *text)
{
    return text && text[0] ? js_new_string(text) : js_null();
}

static js *model_js(const store_model *m, const model_facts *f)
{
    char when[CLOCK_TEXT];
    js *o = js_object();
    js_set(o, "name", js_new_string(m->name));
    js_set(o, "place", js_new_string(store_place_name(m->place)));
    js_set(o, "path", js_new_string(m->path));
    js_set(o, "bytes", js_new_int((int64_t)m->bytes));
    js_set(o, "arch", or_null(f->arch));
    js_set(o, "type", or_null(f->type));
    js_set(o, "params", f->n_params ? js_new_int((int64_t)f->n_params) : js_null());
    js_set(o, "licence", or_null(f->licence));
    js_set(o, "source", or_null(f->note.source));
    js_set(o, "pulled", or_null(f->note.pulled));
    js_set(o, "modified", js_new_string(clock_utc_text(m->modified_s * 1000000, when)));
    js_set(o, "digests", model_facts_digests(m, &f->note));
    js_set(o, "wrong", or_null(f->why));
    return o;
}

static int print_json(list_call *c, const store_model *list, size_t n)
{
    js *o = js_object(), *models = js_array();
    for (size_t i = 0; i < n; i++) {
        model_facts f;
        model_facts_read(&f, &list[i]);
        js_push(models, model_js(&list[i], &f));
        model_facts_clear(&f);
    }
    js_set(o, "models", models);
    js_set(o, "skipped", c->skipped);
    c->skipped = NULL;
    return cli_print_json(o, "list");
}

/* How many there are elsewhere, for who does not know that they can be used. */
static void tell_others(size_t n)
{
    store_model *all = NULL;
    size_t n_all = 0;
    if (store_list_places(&all, &n_all, NULL, NULL, NULL) == OK && n_all > n)
        printf("%zu model%s of other programs can be used in place: hearth list --all-places\n", n_all - n,
               n_all - n == 1 ? "" : "s");
    store_free(all, n_all);
}

static int print_text(const list_call *c, const store_model *list, size_t n, error *err)
{
    listed *rows = n ? mem_array(n, sizeof *rows) : NULL;
    if (n && !rows) {
        fail(err, E_NOMEM, "no memory for %zu models", n);
        return report("list", err);
    }
    for (size_t i = 0; i < n; i++) {
        model_facts f;
        model_facts_read(&f, &list[i]);
        fill(&rows[i], &list[i], &f);
        model_facts_clear(&f);
    }
    if (n)
        print_table(rows, n);
    else
        printf("No models%s: put GGUF files there (docs/MODELS.md), or pull some: hearth pull --help\n",
               c->all_places ? "" : " in the models directory");
    if (!c->all_places)
        tell_others(n);
    mem_free(rows);
    return EXIT_OK;
}

int cmd_list(int argc, char **argv)
{
    list_call c = { 0 };
    const option options[] = {
        { "all-places", 'a', OPTION_FLAG, &c.all_places, NULL, "also what other programs keep on this machine" },
        { "json", 0, OPTION_FLAG, &c.json, NULL, "facts as JSON" },
    };
    size_t n_words, n = 0;
    int code = EXIT_OK;
    store_model *list = NULL;
    error e = { 0 };
    if (!options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code))
        return code;
    if (n_words)
        return usage_error("list", "it takes no names; one model: hearth show %s", argv[1]);
    load_offline();
    c.skipped = js_array();
    status s = c.all_places ? store_list_places(&list, &n, skipped, &c, &e) : store_list(&list, &n, &e);
    code = s ? report("list", &e) : c.json ? print_json(&c, list, n) : print_text(&c, list, n, &e);
    js_free(c.skipped);
    store_free(list, n);
    return code;
}
