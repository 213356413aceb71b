/* choose_print.c: see the header. */
#include "cli/choose_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"
#include "plat/energy.h"

enum { COLUMNS = 12, CELL_BYTES = 72 };

typedef char table_row[COLUMNS][CELL_BYTES];

/* ---- the table ---- */


/* What is concluded of a row, in a few words. */
static void verdict(const choose_row *r, bool has_bar, char *out, size_t bytes)
{
    const char *state = r->chosen                  ? "chosen"
                        : r->tied                  ? "tied"
                        : r->end == CHOOSE_LEFT    ? "within the margin"
                                                   : choose_end_text(r->end);
    bool says_bar = has_bar && r->end == CHOOSE_LEFT && r->n;
    snprintf(out, bytes, "%s%s", state,
             !says_bar ? "" : r->bar == MEASURE_PROVEN ? ", bar proven" : ", bar not proven");
}

static void put_money(char *cell, const money_figure *f, const char *format)
{
    if (isnan(f->mean))
        snprintf(cell, CELL_BYTES, "not measured");
    else
        snprintf(cell, CELL_BYTES, format, f->mean);
}

static void fill(const choose_row *r, bool has_bar, char cells[COLUMNS][CELL_BYTES])
{
    const char *model = r->who && r->who->model[0] ? r->who->model : r->name;
    char bytes[24];
    memset(cells, 0, sizeof(table_row));
    snprintf(cells[0], CELL_BYTES, "%.*s", (int)(strlen(model) - (str_ends(model, ".gguf") ? 5 : 0)), model);
    snprintf(cells[1], CELL_BYTES, "%.16s", r->who && r->who->file_type[0] ? r->who->file_type : "-");
    snprintf(cells[2], CELL_BYTES, "%.32s", r->prompt);
    verdict(r, has_bar, cells[11], CELL_BYTES);
    if (!isnan(r->memory_bytes))
        snprintf(cells[8], CELL_BYTES, "%s%s", r->memory_measured ? "" : "~", str_human_bytes(bytes,
                                                                                   (uint64_t)r->memory_bytes));
    if (!r->n)
        return;
    snprintf(cells[3], CELL_BYTES, "%u", r->n);
    snprintf(cells[4], CELL_BYTES, "%.1f %% [%.0f, %.0f]", 100 * r->rate, 100 * r->low, 100 * r->high);
    snprintf(cells[5], CELL_BYTES, "%.1f %%", 100.0 * r->n_malformed / r->n);
    if (!isnan(r->speed.answer_p95_ms) && r->speed.n)
        snprintf(cells[6], CELL_BYTES, "%.0f ms", r->speed.answer_p95_ms);
    if (!isnan(r->speed.decode_per_s) && r->speed.n)
        snprintf(cells[7], CELL_BYTES, "%.1f", r->speed.decode_per_s);
    put_money(cells[9], &r->cost, "%.7f");
    put_money(cells[10], &r->energy, r->energy_measured ? "%.2f" : "~%.2f");
}

/* Characters, not bytes: a name may be in any script. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}

static void print_cells(char cells[COLUMNS][CELL_BYTES], const int *widths, const char *begin, const char *end)
{
    printf("%s", begin);
    for (int c = 0; c < COLUMNS; c++)
        if (c == COLUMNS - 1)
            printf("%s", cells[c]);
        else if (widths[c])
            printf("%s%*s  ", cells[c], widths[c] - width_of(cells[c]), "");
    printf("%s\n", end);
}

static void print_table(const choose_row *rows, size_t n, const size_t *order, bool has_bar)
{
    static const char *const heads[COLUMNS] = { "model", "quant", "prompt", "n", "right", "malformed", "p95",
                                                "tokens/s", "memory", "USD/answer", "J/answer", "verdict" };
    table_row cells;
    int widths[COLUMNS] = { 0 };
    for (size_t i = 0; i < n; i++) {
        fill(&rows[i], has_bar, cells);
        for (int c = 0; c < COLUMNS; c++)
            if (width_of(cells[c]) > widths[c])
                widths[c] = width_of(cells[c]);
    }
    for (int c = 0; c < COLUMNS; c++) {
        snprintf(cells[c], CELL_BYTES, "%s", heads[c]);
        if (widths[c] && widths[c] < width_of(heads[c]))
            widths[c] = width_of(heads[c]);
    }
    print_cells(cells, widths, cli_style(1, "\033[1m"), cli_style(1, "\033[0m"));
    for (size_t i = 0; i < n; i++) {
        fill(&rows[order[i]], has_bar, cells);
        print_cells(cells, widths, "", "");
    }
}

/* ---- below it ---- */

static void print_figure(const char *label, const money_figure *f, const char *unit)
{
    printf("%s%.7f %s", label, f->mean, unit);
    if (!isnan(f->low))
        printf(" [%.7f, %.7f]", f->low, f->high);
}

static const char *answers(double n, char text[32])
{
    if (isinf(n))
        snprintf(text, 32, "never");
    else
        snprintf(text, 32, "%.0f", ceil(n));
    return text;
}

static void print_break_even(const choose_row *r, double usd_per_month)
{
    char a[32], b[32], c[32];
    const money_break_even *e = &r->break_even;
    printf("pays from    ");
    if (e->when == MONEY_FROM)
        printf("%s answers a month on [%s, %s], at %.2f USD a month for this machine\n", answers(e->answers, a),
               answers(e->low, b), answers(e->high, c), usd_per_month);
    else if (e->when == MONEY_ALREADY)
        printf("already: nothing is paid for this machine by the month%s\n",
               isnan(usd_per_month) ? " (machine.usd_per_month is not given)" : "");
    else if (e->when == MONEY_NEVER)
        printf("never: a local answer is not cheaper%s\n",
               isinf(e->low) ? "" : ", though that is within the uncertainty");
    else
        printf("not known: what a local answer costs was not measured\n");
}

static void print_money(const choose_row *rows, const choose_outcome *o, const size_t *order, size_t n,
                        const config *cfg)
{
    const choose_row *local = NULL;
    for (size_t i = n; i-- > 0;)
        if (rows[order[i]].who && rows[order[i]].who->place == PLACE_LOCAL && rows[order[i]].n)
            local = &rows[order[i]];
    if (!local || o->reference == SIZE_MAX)
        return;
    const choose_row *cloud = &rows[o->reference];
    const char *day = cloud->who->price_as_of;
    if (!isnan(local->cost.mean)) {
        print_figure("cost         ", &local->cost, "USD an answer");
        printf(" on %s%s\n", local->name, local->energy_measured ? "" : " (by machine.watts_busy)");
    }
    print_figure("cost         ", &cloud->cost, "USD an answer");
    printf(" on %s, prices %s%s\n", cloud->name, day && day[0] ? "of " : "undated", day ? day : "");
    if (!isnan(local->saving.mean)) {
        print_figure("saves        ", &local->saving, "USD an answer");
        printf(", on the %zu cases that both answered\n", local->saving.n);
    }
    print_break_even(local, cfg->machine.usd_per_month);
}

static void print_energy(const choose_row *rows, size_t n, const config *cfg)
{
    bool any = false, unknown = false;
    for (size_t i = 0; i < n; i++)
        if (rows[i].who && rows[i].who->place == PLACE_LOCAL && rows[i].n) {
            any = any || rows[i].energy_measured;
            unknown = unknown || isnan(rows[i].energy.mean);
        }
    energy_meter *m = energy_open(NULL);
    (void)energy_read(m);
    if (unknown || !any)
        printf("energy       not measured%s%s%s\n", energy_why(m)[0] ? ": " : "", energy_why(m),
               isnan(cfg->machine.watts_busy) ? "; machine.watts_busy in config.yaml would stand in" :
                                                "; machine.watts_busy stands in (~)");
    else
        printf("energy       of the whole processor while a candidate answered, other programs' in it\n");
    energy_close(&m);
}

static void print_conditions(const choose_row *rows, size_t n, const choose_outcome *o)
{
    const char *power = NULL;
    bool mixed = false;
    uint64_t throttled = o->throttled;
    for (size_t i = 0; i < n; i++) {
        if (rows[i].throttled > throttled)
            throttled = rows[i].throttled;
        if (!rows[i].power[0])
            continue;
        mixed = mixed || (power && strcmp(power, rows[i].power) != 0);
        power = rows[i].power;
    }
    if (power && strcmp(power, "battery") == 0)
        printf("power        on battery: these speeds are of battery, and are not compared with those on mains\n");
    if (mixed)
        printf("power        some were measured on battery and some on mains: their speeds were not compared\n");
    if (strcmp(o->governor, "powersave") == 0)
        printf("power        the processor's governor is powersave: it may be faster under another\n");
    if (throttled)
        printf("heat         the processor was slowed down %llu times meanwhile: speeds are lower than they could be\n",
               (unsigned long long)throttled);
}

static void print_use(const task *t, const choose_row *r)
{
    const task_prompt *p = task_prompt_for(t, r->name);
    if (strcmp(p->provider ? p->provider : "default", r->prompt) != 0)
        printf("to use it    in task.yaml, variants: give %s the prompt '%s'\n", r->name, r->prompt);
}

void choose_print(const task *t, const choose_row *rows, size_t n, const choose_outcome *o, const config *cfg)
{
    size_t order[CHOOSE_MAX];
    choose_sort(rows, n, order);
    print_table(rows, n, order, !isnan(o->bar));
    printf("\n%schoice%s       %s\n", cli_style(1, "\033[1m"), cli_style(1, "\033[0m"), o->why);
    if (o->chosen != SIZE_MAX)
        print_use(t, &rows[o->chosen]);
    for (size_t i = 0; i < n; i++)
        if (rows[order[i]].end != CHOOSE_LEFT)
            printf("dropped      %s, prompt %s: %s\n", rows[order[i]].name, rows[order[i]].prompt, rows[order[i]].why);
    printf("found out    with %u answers in %.1f s", o->n_asked, o->seconds);
    if (o->cost_usd > 0)
        printf(" and %.4f USD", o->cost_usd);
    printf("; %u need not be asked; ended by %s, after %u rounds\n", o->n_saved, o->ended, o->rounds);
    printf("certainty    alpha %g over %zu candidates; all intervals hold at once with %g %%\n", o->alpha, o->m,
           100 * (1 - o->alpha));
    print_money(rows, o, order, n, cfg);
    print_energy(rows, n, cfg);
    print_conditions(rows, n, o);
}

/* ---- JSON ---- */

static js *number(double v)
{
    return isfinite(v) ? js_new_double(v) : js_null();
}

static js *figure_js(const money_figure *f)
{
    js *o = js_object();
    js_set(o, "mean", number(f->mean));
    js_set(o, "lower", number(f->low));
    js_set(o, "upper", number(f->high));
    js_set(o, "answers", js_new_int((int64_t)f->n));
    return o;
}

static js *break_even_js(const money_break_even *e)
{
    static const char *const names[] = { "unknown", "already", "never", "from" };
    js *o = js_object();
    js_set(o, "when", js_new_string(names[e->when]));
    js_set(o, "answers_per_month", number(e->answers));
    js_set(o, "lower", number(e->low));
    js_set(o, "upper", number(e->high)); /* null: never, or not known */
    return o;
}

static void put_texts(js *o, const choose_row *r, const choose_row *rows)
{
    const struct {
        const char *key, *text;
    } texts[] = {
        { "provider", r->name }, { "prompt", r->prompt }, { "model", r->who ? r->who->model : "" },
        { "quantisation", r->who ? r->who->file_type : "" },
        { "place", r->who ? provider_place_name(r->who->place) : "" }, { "state", choose_end_text(r->end) },
        { "why", r->why }, { "bar", measure_decided_name(r->bar) }, { "evidence", r->evidence },
        { "power", r->power }, { "governor", r->governor },
        { "price_as_of", r->who && r->who->price_as_of ? r->who->price_as_of : "" },
        { "worse_than", r->better == SIZE_MAX ? "" : rows[r->better].name },
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        js_set(o, texts[i].key, js_new_string(texts[i].text));
}

static js *row_js(const choose_row *r, const choose_row *rows)
{
    js *o = js_object();
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        { "answered", r->n }, { "pass", r->n_pass }, { "malformed", r->n_malformed }, { "failed", r->n_failed },
        { "cases", r->n_seen }, { "rate", r->rate }, { "rate_lower", r->low }, { "rate_upper", r->high },
        { "asked", r->n_asked }, { "asked_usd", r->asked_usd }, { "timed", r->n_timed }, { "slow", r->n_slow },
        { "answer_p50_ms", r->speed.n ? r->speed.answer_p50_ms : NAN },
        { "answer_p95_ms", r->speed.n ? r->speed.answer_p95_ms : NAN },
        { "decode_tokens_per_s", r->speed.n ? r->speed.decode_per_s : NAN },
        { "prefill_tokens_per_s", r->speed.n ? r->speed.prefill_per_s : NAN },
        { "memory_bytes", r->memory_bytes }, { "throttled", (double)r->throttled },
    };
    put_texts(o, r, rows);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        js_set(o, numbers[i].key, number(numbers[i].value));
    js_set(o, "chosen", js_new_bool(r->chosen));
    js_set(o, "tied", js_new_bool(r->tied));
    js_set(o, "memory_measured", js_new_bool(r->memory_measured));
    js_set(o, "energy_measured", js_new_bool(r->energy_measured));
    js_set(o, "cost_usd", figure_js(&r->cost));
    js_set(o, "energy_j", figure_js(&r->energy));
    js_set(o, "saving_usd", figure_js(&r->saving));
    js_set(o, "break_even", break_even_js(&r->break_even));
    return o;
}

js *choose_js(const task *t, const choose_row *rows, size_t n, const choose_outcome *o)
{
    js *doc = js_object(), *list = js_array();
    size_t order[CHOOSE_MAX];
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        { "cases", o->n_cases }, { "alpha", o->alpha }, { "margin", o->margin }, { "bar", o->bar },
        { "multiplicity", (double)o->m }, { "left", (double)o->n_left }, { "tied", (double)o->n_tied },
        { "cases_seen", o->n_seen }, { "rounds", o->rounds }, { "asked", o->n_asked }, { "saved", o->n_saved },
        { "cost_usd", o->cost_usd }, { "seconds", o->seconds }, { "throttled", (double)o->throttled },
    };
    choose_sort(rows, n, order);
    js_set(doc, "task", js_new_string(t->id));
    js_set(doc, "chosen", o->chosen == SIZE_MAX ? js_null() : js_new_string(rows[o->chosen].name));
    js_set(doc, "chosen_prompt", o->chosen == SIZE_MAX ? js_null() : js_new_string(rows[o->chosen].prompt));
    js_set(doc, "reference", o->reference == SIZE_MAX ? js_null() : js_new_string(rows[o->reference].name));
    js_set(doc, "why", js_new_string(o->why));
    js_set(doc, "ended", js_new_string(o->ended));
    js_set(doc, "prefer", js_new_string(choose_prefer_name(o->prefer)));
    js_set(doc, "power", js_new_string(o->power));
    js_set(doc, "governor", js_new_string(o->governor));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        js_set(doc, numbers[i].key, number(numbers[i].value));
    for (size_t i = 0; i < n; i++)
        js_push(list, row_js(&rows[order[i]], rows));
    if (js_set(doc, "candidates", list))
        return doc;
    js_free(doc);
    return NULL;
}
