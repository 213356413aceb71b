/* table.c: task, quality [interval], baseline, speed, memory, privacy, decision, reason, in aligned columns. The reason
 * is wrapped into what is left of the line, or, where little is left, into lines below its row. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "route/route.h"

enum { CELLS = 7, CELL_BYTES = 96, REASON_MIN = 36 };
static const char *const titles[CELLS + 1] = { "task",   "quality [95 %]", "baseline", "speed",
                                               "memory", "privacy",        "decision", "reason" };

typedef struct row {
    char cell[CELLS][CELL_BYTES];
} row;

/* Characters, not bytes (hearth's cells hold no wide ones). */
static size_t width(const char *s)
{
    return utf8_count(s, strlen(s));
}

static void fill(row *r, const route_input *in, const route_decision *d)
{
    /* The side that the decision is about: the cloud's only when it was chosen and measured. */
    const route_side *side = d->choice == ROUTE_CLOUD && in->cloud.n > 0 ? &in->cloud : &in->local;
    char bytes[24];
    snprintf(r->cell[0], CELL_BYTES, "%s", in->task);
    if (side->n > 0)
        snprintf(r->cell[1], CELL_BYTES, "%.1f %% [%.1f, %.1f]", 100 * side->pass, 100 * side->lower,
                 100 * side->upper);
    else
        snprintf(r->cell[1], CELL_BYTES, "not measured");
    double base = fmax(isnan(in->majority) ? -1 : in->majority, isnan(in->regex) ? -1 : in->regex);
    if (base >= 0)
        snprintf(r->cell[2], CELL_BYTES, "%.1f %%", 100 * base);
    else
        snprintf(r->cell[2], CELL_BYTES, "-");
    if (!isnan(side->decode_per_s))
        snprintf(r->cell[3], CELL_BYTES, "%.1f tok/s", side->decode_per_s);
    else if (!isnan(side->latency_p95_ms))
        snprintf(r->cell[3], CELL_BYTES, "%.0f ms p95", side->latency_p95_ms);
    else
        snprintf(r->cell[3], CELL_BYTES, "-");
    snprintf(r->cell[4], CELL_BYTES, "%s",
             isnan(side->peak_bytes) ? "-" : str_human_bytes(bytes, (uint64_t)side->peak_bytes));
    snprintf(r->cell[5], CELL_BYTES, "%s", in->class_known ? privacy_class_name(in->privacy) : "unknown");
    snprintf(r->cell[6], CELL_BYTES, "%s",
             d->cascade.on ? "cascade" : route_choice_name(d->choice));
}

static void pad(buf *out, const char *text, size_t to)
{
    buf_str(out, text);
    for (size_t n = width(text); n < to + 2; n++)
        buf_char(out, ' ');
}

/* Words of text into lines of at most `room` characters; all but the first begin with `indent` blanks. */
static void wrap(buf *out, const char *text, size_t room, size_t indent)
{
    size_t used = 0;
    while (*text) {
        size_t n = strcspn(text, " ");
        char word[ROUTE_REASON_BYTES];
        snprintf(word, sizeof word, "%.*s", (int)n, text);
        size_t w = width(word);
        if (used > 0 && used + 1 + w > room) {
            buf_printf(out, "\n%*s", (int)indent, "");
            used = 0;
        } else if (used > 0) {
            buf_char(out, ' ');
            used++;
        }
        buf_str(out, word);
        used += w;
        text += n;
        while (*text == ' ')
            text++;
    }
}

void route_table(const route_input *in, const route_decision *d, size_t n, size_t columns, buf *out)
{
    row *rows = mem_array(n + 1, sizeof *rows);
    size_t wide[CELLS], total = 0;
    if (!rows) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        fill(&rows[i], &in[i], &d[i]);
    for (size_t c = 0; c < CELLS; c++) {
        wide[c] = width(titles[c]);
        for (size_t i = 0; i < n; i++)
            wide[c] = width(rows[i].cell[c]) > wide[c] ? width(rows[i].cell[c]) : wide[c];
        total += wide[c] + 2;
    }
    bool beside = columns == 0 || columns >= total + REASON_MIN;
    size_t indent = beside ? total : 4, room = columns == 0 ? SIZE_MAX : columns > indent ? columns - indent : 1;
    for (size_t c = 0; c < CELLS; c++)
        pad(out, titles[c], wide[c]);
    buf_printf(out, "%s\n", titles[CELLS]);
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < CELLS; c++)
            pad(out, rows[i].cell[c], wide[c]);
        if (!beside)
            buf_printf(out, "\n%*s", (int)indent, "");
        wrap(out, d[i].reason, room, indent);
        buf_char(out, '\n');
    }
    mem_free(rows);
}
