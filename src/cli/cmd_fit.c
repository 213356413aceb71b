/* cmd_fit.c: `hearth fit [MODEL...]`: this machine, and what of the models fits it: those that are here, and those of
 * the catalogue. Only headers are read. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/fit_change.h"
#include "cli/fit_find.h"
#include "cli/fit_loss.h"
#include "cli/fit_quality.h"
#include "cli/fit_remote.h"
#include "cli/fit_show.h"
#include "cli/fit_table.h"
#include "cli/load.h"
#include "fit/why.h"
#include "provider/config.h"
#include "quant/mix.h"

static const usage page = {
    "hearth fit [OPTION]... [MODEL[:TYPE]|SOURCE]...",
    "Without MODEL: this machine (its rates are measured), and a table of the models that are here and of those of\n"
    "the catalogue, best for this machine first: bytes, the largest context that fits now, predicted tokens/s, what\n"
    "the type of weights is known to lose. With MODEL (a file, a model that is here, a name of the catalogue with or\n"
    "without a type of weights): every byte it takes at a context. Of a SOURCE (an https address, hf:OWNER/REPO) only\n"
    "the header is fetched. docs/FIT.md says what best means and how near the predictions come. Exit 4 when a named\n"
    "MODEL does not fit.\n\n"
    "example:\n"
    "  hearth fit qwen3-4b:Q4_K_M --ctx 16384 --parallel 4 --kv q8\n",
};

enum { TYPES_MAX = 16, PARALLEL_MAX = 64 };

typedef struct fit_call {
    load_options load;
    int64_t parallel;
    bool json, wide, all, why;
    const char *types_text, *task, *kind, *licence;
    char types_copy[256];
    const char *types[TYPES_MAX + 1];
    fit_machine machine;
    engine_options options;
    fit_past past;
    catalogue *known;
    fit_rows_options rows;
    pull_ask *ask; /* NULL: nothing is fetched */
    fit_remote remote;
    bool all_fit;
    js *models;
} fit_call;

/* ---- one model ---- */

static status instead_of(const fit_call *c, const fit_subject *s, const fit_model *f, buf *text, error *err)
{
    fit_ways *ways = mem_zero(sizeof *ways);
    status st = ways ? fit_nearest(s->header, s->path, &c->options, f, ways, err)
                     : fail(err, E_NOMEM, "no memory to judge %s", s->name);
    if (!st)
        fit_nearest_text(ways, text);
    mem_free(ways);
    return st ? st : buf_ok(text, "what would fit", err);
}

static bool loss_of(const fit_call *c, const fit_subject *s, const fit_model *f, catalogue_loss_row *row)
{
    const catalogue_model *m = s->entry ? s->entry : fit_entry_of(c->known, s->name);
    return fit_loss_find(c->known, f->file_type, m, f->n_params, row);
}

static status show_one(fit_call *c, const fit_subject *s, const fit_model *f, error *err)
{
    buf instead = BUF_INIT(4096);
    catalogue_loss_row loss;
    fit_page p = { .subject = s, .model = f, .n_sessions = c->options.n_sessions ? c->options.n_sessions : 1,
                   .loss = loss_of(c, s, f, &loss) ? &loss : NULL };
    status st = fit_subject_largest(s, &c->options, &c->machine, &p.largest, err);
    c->all_fit &= f->fits;
    if (!st && !f->fits)
        st = instead_of(c, s, f, &instead, err);
    p.instead = buf_text(&instead);
    if (!st && !c->json)
        fit_show_page(&p);
    else if (!st && !js_push(c->models, fit_page_js(&p)))
        st = fail(err, E_NOMEM, "no memory for the facts");
    buf_clear(&instead);
    return st;
}

static status explain_one(fit_call *c, const fit_subject *s, error *err)
{
    fit_changes *changes = NULL;
    buf text = BUF_INIT(1 << 16);
    status st = fit_changes_read(&changes, s, &c->rows, err);
    if (st)
        return st;
    if (c->json) {
        js *last = js_at(c->models, js_len(c->models) - 1);
        st = js_set(last, "why", fit_why_js(&changes->facts)) ? OK : fail(err, E_NOMEM, "no memory for the facts");
    } else {
        fit_why(&changes->facts, &text);
        st = buf_ok(&text, "the explanation", err);
        printf("\n");
        fit_show_text(st ? "" : buf_text(&text));
    }
    buf_clear(&text);
    fit_changes_free(&changes);
    return st;
}

static status fit_one(fit_call *c, const char *word, error *err)
{
    fit_subject s = { 0 };
    fit_model *f = mem_zero(sizeof *f);
    status st = f ? OK : fail(err, E_NOMEM, "no memory to judge %s", word);
    if (!st)
        st = fit_is_source(word) ? fit_remote_open(&s, &c->remote, c->ask, word, err)
                                 : fit_find(&s, word, &c->rows, err);
    if (!st)
        st = fit_subject_judge(&s, &c->options, &c->machine, f, err);
    if (!st)
        st = show_one(c, &s, f, err);
    if (!st && c->why)
        st = explain_one(c, &s, err);
    fit_subject_close(&s);
    fit_remote_close(&c->remote);
    mem_free(f);
    return st;
}

/* ---- the table ---- */

static status rows_js(fit_call *c, const fit_rows *rows, error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < rows->n; i++)
        ok = js_push(c->models, fit_row_js(&rows->rows[i]));
    return ok ? OK : fail(err, E_NOMEM, "no memory for %zu rows", rows->n);
}

static status show_all(fit_call *c, error *err)
{
    fit_rows rows = { 0 };
    config *cfg = NULL;
    const fit_table_options o = { .wide = c->wide, .all = c->all, .task = c->task };
    status st = c->task ? config_open(&cfg, NULL, err) : OK;
    if (!st)
        st = fit_rows_collect(&rows, &c->rows, err);
    if (!st && c->task)
        st = fit_quality_read(&rows, c->task, cfg, err);
    if (!st) {
        fit_rows_sort(&rows, c->task != NULL);
        if (c->json)
            st = rows_js(c, &rows, err);
        else
            fit_table_print(&rows, &o);
    }
    fit_rows_close(&rows);
    config_close(&cfg);
    return st;
}

static int print_json(fit_call *c, bool table)
{
    js *o = js_object();
    js_set(o, "machine", fit_machine_js(&c->machine));
    js_set(o, "past_error", fit_past_js(&c->past));
    js_set(o, table ? "table" : "models", c->models);
    c->models = NULL;
    return cli_print_json(o, "fit");
}

/* ---- the command ---- */

static int read_types(fit_call *c)
{
    size_t n = 0;
    char *at = NULL;
    c->rows.types = fit_default_types;
    if (!c->types_text)
        return EXIT_OK;
    if ((size_t)snprintf(c->types_copy, sizeof c->types_copy, "%s", c->types_text) >= sizeof c->types_copy)
        return usage_error("fit", "--types: too many");
    for (char *t = strtok_r(c->types_copy, ",", &at); t; t = strtok_r(NULL, ",", &at)) {
        const quant_mix *mix = quant_mix_find(t);
        if (!mix || n == TYPES_MAX)
            return usage_error("fit", "--types: %s is no type of weights that hearth knows, such as Q8_0 or Q4_K_M", t);
        c->types[n++] = mix->name;
    }
    c->rows.types = c->types;
    return n ? EXIT_OK : usage_error("fit", "--types: which?");
}

static int check(fit_call *c, size_t n_words)
{
    int code = load_check("fit", &c->load);
    if (!code)
        code = read_types(c);
    if (code)
        return code;
    if (c->parallel < 0 || c->parallel > PARALLEL_MAX)
        return usage_error("fit", "--parallel must be from 1 to %d", PARALLEL_MAX);
    if (n_words && (c->task || c->kind || c->licence || c->all))
        return usage_error("fit", "--for, --kind, --licence and --all are of the table: give no MODEL");
    if (c->why && !n_words)
        return usage_error("fit", "--why MODEL: of which?");
    bool known = !c->kind;
    for (int k = 0; !known && k < CATALOGUE_KINDS; k++)
        known = strcmp(catalogue_kind_name((catalogue_kind)k), c->kind) == 0;
    return known ? EXIT_OK : usage_error("fit", "--kind is chat, base, embedding, rerank, code or reasoning, not '%s'",
                                         c->kind);
}

/* The process that fetches starts before this one gives up the network. */
static status open_ask(fit_call *c, char **words, size_t n, error *err)
{
    const pull_ask_options o = { .read = NULL };
    bool wanted = false;
    for (size_t i = 0; i < n; i++)
        wanted |= fit_is_source(words[i]);
    return wanted ? pull_ask_open(&c->ask, &o, err) : OK;
}

static status open_call(fit_call *c, char **words, size_t n, error *err)
{
    load_engine_options(&c->load, &c->options);
    c->options.n_sessions = (uint32_t)c->parallel;
    c->options.slices = c->parallel > 1;
    c->all_fit = true;
    c->models = c->json ? js_array() : NULL;
    if (fit_past_read(&c->past, err)) /* a ledger that cannot be read hides nothing but itself */
        fprintf(stderr, "hearth fit: %s\n", err->text);
    status st = catalogue_open(&c->known, err);
    if (!st)
        st = open_ask(c, words, n, err);
    load_offline();
    if (!st)
        st = fit_measure_machine(&c->machine, (int)c->load.threads, err);
    c->options.n_threads = c->machine.threads;
    c->rows.catalogue = c->known;
    c->rows.engine = &c->options;
    c->rows.machine = &c->machine;
    c->rows.best_only = !c->all && !c->json;
    c->rows.kind = c->kind;
    c->rows.licence = c->licence;
    return st;
}

static int run_call(fit_call *c, char **words, size_t n_words)
{
    error e = { 0 };
    status s = open_call(c, words, n_words, &e);
    if (s)
        return report("fit", &e);
    if (!c->json)
        fit_show_machine(&c->machine, &c->past);
    for (size_t i = 0; !s && i < n_words; i++)
        s = fit_one(c, words[i], &e);
    if (!s && !n_words)
        s = show_all(c, &e);
    int code = c->json ? print_json(c, !n_words) : EXIT_OK;
    if (s)
        return report("fit", &e);
    return code ? code : c->all_fit ? EXIT_OK : EXIT_NOFIT;
}

int cmd_fit(int argc, char **argv)
{
    fit_call *c = mem_zero(sizeof *c);
    size_t n_words;
    int code;
    if (!c)
        return report("fit", &(error){ E_NOMEM, "no memory" });
    const option options[] = {
        LOAD_OPTIONS(c->load),
        { "parallel", 0, OPTION_INT, &c->parallel, "K", "conversations at once, each with a full context (default 1)" },
        { "why", 0, OPTION_FLAG, &c->why, NULL, "what limits MODEL here, and what one change would do" },
        { "types", 0, OPTION_TEXT, &c->types_text, "LIST", "types of weights to look at, as in Q8_0,Q4_K_M" },
        { "all", 0, OPTION_FLAG, &c->all, NULL, "every type of every model, and all rows" },
        { "wide", 0, OPTION_FLAG, &c->wide, NULL, "more columns than a terminal of 80 has room for" },
        { "for", 0, OPTION_TEXT, &c->task, "TASK", "what the ledger has measured of them on this task; best first" },
        { "kind", 0, OPTION_TEXT, &c->kind, "KIND", "of the catalogue only: chat, base, embedding, ..." },
        { "licence", 0, OPTION_TEXT, &c->licence, "NAME", "of the catalogue only this licence, as in Apache-2.0" },
        { "json", 0, OPTION_FLAG, &c->json, NULL, "facts as JSON" },
    };
    bool go_on = options_read(argc, argv, &page, options, ARRAY_LEN(options), &n_words, &code);
    if (go_on)
        code = check(c, n_words);
    if (go_on && !code)
        code = run_call(c, argv + 1, n_words);
    js_free(c->models);
    catalogue_close(&c->known);
    pull_ask_close(&c->ask);
    mem_free(c);
    return code;
}
