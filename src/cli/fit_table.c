/* fit_table.c: 80 columns, or with --wide as many as there is to say. */
#include "cli/fit_table.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/cli.h"
#include "cli/fit_loss.h"

enum { NAME_WIDTH = 27, NAME_WIDTH_TASK = 21, NAME_WIDTH_WIDE = 44 };

typedef struct table {
    const fit_table_options *o;
    int name_width;
} table;

static const char *const headings[] = {
    [FIT_GOOD] = NULL,
    [FIT_LOSSY] = "fits and is fast enough, but its weights are known to lose more than 5 %",
    [FIT_SLOW] = "fits, slower than people read",
    [FIT_NOT] = "does not fit at 4096 positions (or all that it has)",
};

static void print_head(const table *t)
{
    printf("\n  %-*s %-6s %10s %7s %6s", t->name_width, "model", "type", "bytes", "context", "decode");
    if (t->o->task)
        printf("  %s", "right (95 %)");
    else
        printf(" %7s  %s", "prefill", "loss");
    if (t->o->wide)
        printf("%*s      needs   trained   licence", t->o->task ? 11 : 4, "");
    printf("\n");
}

/* At most width characters; what is cut ends with ~. */
static void print_name(const char *name, int width)
{
    int n = (int)strlen(name);
    if (n <= width)
        printf("%-*s", width, name);
    else
        printf("%.*s~", width - 1, name);
}

static const char *rate_text(double rate, char text[16])
{
    if (!(rate > 0))
        return "-";
    snprintf(text, 16, rate < 100 ? "%.1f" : "%.0f", rate);
    return text;
}

static void print_quality(const fit_quality *q, bool wide)
{
    char text[40] = "-";
    if (q->n)
        snprintf(text, sizeof text, "%.0f %% [%.0f, %.0f] of %u", 100 * q->pass, 100 * q->lower, 100 * q->upper, q->n);
    printf("  %-*s", wide ? 23 : 0, text);
}

static void print_reason(const fit_row *r)
{
    char gap[24];
    if (r->class == FIT_NOT && r->need_bytes > r->have_bytes)
        printf("  %s missing", str_human_bytes(gap, r->need_bytes - r->have_bytes));
}

static void print_row(const table *t, const fit_row *r)
{
    char bytes[24], need[24], decode[16], prefill[16], loss[FIT_LOSS_SHORT] = "?", context[16] = "-";
    if (r->has_loss)
        fit_loss_short(&r->loss, r->entry, loss);
    if (r->largest)
        snprintf(context, sizeof context, "%u", r->largest);
    printf("%c ", r->present ? '*' : r->unproved ? '?' : ' ');
    print_name(r->name, t->name_width);
    printf(" %-6s %10s %7s %6s", r->type, str_human_bytes(bytes, r->file_bytes), context,
           rate_text(r->decode_per_s, decode));
    if (t->o->task)
        print_quality(&r->quality, t->o->wide);
    else if (r->class == FIT_NOT && !t->o->wide)
        print_reason(r);
    else
        printf(" %7s  %-*s", rate_text(r->prefill_per_s, prefill), t->o->wide ? 8 : 0, loss);
    if (t->o->wide) {
        printf(" %10s %9u%s%s", str_human_bytes(need, r->need_bytes), r->context_train, r->licence[0] ? "   " : "",
               r->licence);
        print_reason(r);
    }
    printf("\n");
}

static void print_foot(const table *t, size_t n_left)
{
    if (n_left)
        printf("\n%zu more models: --all shows them, in every type.", n_left);
    printf("\n* is here, ? rests on something unproved, - is not known. context: the largest\n"
           "that fits now. decode, prefill: predicted tokens/s. %s\n"
           "What best means: docs/FIT.md\n",
           t->o->task ? "right: cases, measured." : "loss: of perplexity.");
}

void fit_table_print(const fit_rows *rows, const fit_table_options *o)
{
    table t = { .o = o, .name_width = o->wide ? NAME_WIDTH_WIDE : o->task ? NAME_WIDTH_TASK : NAME_WIDTH };
    fit_class last = FIT_GOOD;
    size_t shown = 0, left = 0;
    print_head(&t);
    for (size_t i = 0; i < rows->n; i++) {
        const fit_row *r = &rows->rows[i];
        if (!o->all && !r->present && (!r->best || shown == FIT_TABLE_ROWS)) {
            left += r->best;
            continue;
        }
        if (r->class != last)
            printf("  %s%s:%s\n", cli_style(1, "\033[2m"), headings[r->class], cli_style(1, "\033[0m"));
        last = r->class;
        print_row(&t, r);
        shown += !r->present;
    }
    print_foot(&t, left);
}
