/* picture.c: what all pictures share, and the picture of crossing over.
 *
 * Pictures are as wide as their place and fixed in height: x in percent, y in pixels. So words keep their size from a
 * phone to a desk, and x of a rate is the rate. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page_int.h"

const char *page_class_of(const char *place, const char *provider)
{
    if (str_starts(provider, "replay:"))
        return "other";
    return strcmp(place, "local") == 0 ? "local" : "cloud";
}

static const char *shape(const char *class_name)
{
    return class_name[0] == 'l'   ? "<circle r=\"7\"/>"
           : class_name[0] == 'c' ? "<path d=\"M0-9 9 0 0 9-9 0z\"/>"
                                  : "<path d=\"M-7-7h14v14h-14z\"/>";
}

void picture_mark(buf *out, const char *class_name, double x, double y)
{
    buf_printf(out, "<svg x=\"%.3f%%\" y=\"%.1f\" overflow=\"visible\" class=\"mark %s\">%s</svg>", x, y,
               class_name, shape(class_name));
}

void picture_key(buf *out, const char *class_name)
{
    buf_printf(out, "<svg viewBox=\"-10 -10 20 20\" class=\"%s\" aria-hidden=\"true\">%s</svg>", class_name,
        shape(class_name));
}

void picture_line(buf *out, const char *class_name, double x1, double x2, double y1, double y2)
{
    buf_printf(out, "<line class=\"%s\" x1=\"%.3f%%\" x2=\"%.3f%%\" y1=\"%.1f\" y2=\"%.1f\"/>", class_name, x1, x2,
               y1, y2);
}

static const char *anchor(double x)
{
    return x < 15 ? "start" : x > 85 ? "end" : "middle";
}

/* ---- the picture of crossing over ---- */

enum { TOP = 26, ROW = 48, UNDER = 22, GAP = 34, PAIRED = 46 };

typedef struct crossing {
    const report_data *r;
    const report_task *t;
    spot task;
    size_t i;
    double floor;   /* y of the lower end of the rates' panel */
    double reach;   /* of the paired panel: it shows -reach … reach */
    buf *out;
} crossing;

static void grid(buf *out, double from, double to)
{
    static const int at[] = { 0, 25, 50, 75, 100 };
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        picture_line(out, "grid", at[i], at[i], from, to);
        buf_printf(out, "<text class=\"tick\" x=\"%d%%\" y=\"%.0f\" text-anchor=\"%s\">%d%s</text>", at[i], to + 15,
                   anchor(at[i]), at[i], at[i] == 100 ? " %" : "");
    }
}

/* One side: its name and figures above, its interval and mark below. */
static void side(crossing *c, int64_t arm, const char *class_name, const char *word, const char *name, double y)
{
    buf *out = c->out;
    buf_printf(out, "<text x=\"0\" y=\"%.0f\"><tspan class=\"%s\">%s</tspan> ", y - 14, class_name, word);
    if (arm < 0 || c->t->arms[arm].n == 0) {
        buf_printf(out, "%s</text>", *name ? "not measured" : "there is none");
        return;
    }
    spot at = spot_arm(c->r, c->i, (size_t)arm);
    buf_str(out, "<tspan");
    page_key(out, &at, "rate", AS_PERCENT);
    buf_str(out, ">");
    page_shown(out, &at, "rate", AS_PERCENT);
    buf_str(out, "</tspan> (<tspan");
    page_key(out, &at, "rate_low", AS_RATE);
    buf_str(out, ">");
    page_shown(out, &at, "rate_low", AS_RATE);
    buf_str(out, "</tspan> to <tspan");
    page_key(out, &at, "rate_high", AS_RATE);
    buf_str(out, ">");
    page_shown(out, &at, "rate_high", AS_RATE);
    buf_str(out, "</tspan>)</text>");
    const report_arm *a = &c->t->arms[arm];
    char whisker[24];
    snprintf(whisker, sizeof whisker, "whisker %s", class_name);
    picture_line(out, whisker, 100 * a->rate_low, 100 * a->rate_high, y, y);
    picture_mark(out, class_name, 100 * a->rate, y);
}

static void bar_and_baselines(crossing *c)
{
    const report_task *t = c->t;
    buf *out = c->out;
    const double base[] = { t->baseline_majority, t->baseline_rules };
    for (size_t i = 0; i < ARRAY_LEN(base); i++)
        if (isfinite(base[i]))
            buf_printf(out, "<svg x=\"%.3f%%\" y=\"%.0f\" overflow=\"visible\" class=\"base\">"
                       "<path d=\"M0-9 5 0H-5z\"/></svg>", 100 * base[i], c->floor);
    if (!isfinite(t->bar))
        return;
    double bar = 100 * t->bar;
    picture_line(out, "bar", bar, bar, TOP - 6, c->floor);
    buf_printf(out, "<text x=\"%.3f%%\" y=\"%d\" text-anchor=\"%s\">bar <tspan", bar, TOP - 12, anchor(bar));
    page_key(out, &c->task, "bar", AS_PERCENT);
    buf_str(out, ">");
    page_shown(out, &c->task, "bar", AS_PERCENT);
    buf_str(out, "</tspan></text>");
}

static bool has_cloud(const report_task *t)
{
    return t->cloud >= 0 && t->arms[t->cloud].n > 0;
}

static void rates(crossing *c)
{
    const report_task *t = c->t;
    c->floor = TOP + (t->cloud_name[0] ? 2 : 1) * ROW + 8;
    if (has_cloud(t)) {
        double cloud = 100 * t->arms[t->cloud].rate, least = fmax(0, cloud - 100 * t->margin);
        buf_printf(c->out, "<rect class=\"band\" x=\"%.3f%%\" width=\"%.3f%%\" y=\"%d\" height=\"%.0f\"/>", least,
                   cloud - least, TOP, c->floor - TOP);
    }
    grid(c->out, TOP, c->floor);
    bar_and_baselines(c);
    side(c, t->local, "local", "local", t->local_name, TOP + ROW - 8);
    if (t->cloud_name[0])
        side(c, t->cloud, "cloud", "cloud", t->cloud_name, TOP + 2 * ROW - 8);
}

static double across(const crossing *c, double difference)
{
    return 50 + 50 * difference / c->reach;
}

static void paired(crossing *c)
{
    const report_task *t = c->t;
    buf *out = c->out;
    double widest = fmax(fmax(fabs(t->difference_low), fabs(t->difference_high)), 1.6 * t->margin);
    c->reach = fmin(1, ceil(widest * 10) / 10);
    double top = c->floor + UNDER + GAP, bottom = top + PAIRED, y = (top + bottom) / 2 + 6;
    double low = across(c, t->difference_low), high = across(c, t->difference_high), cut = across(c, -t->margin);
    buf_printf(out, "<text x=\"0\" y=\"%.0f\">local minus cloud in points</text>", top - 12);
    buf_printf(out, "<rect class=\"worse\" x=\"0\" width=\"%.3f%%\" y=\"%.0f\" height=\"%d\"/>", fmax(0, cut), top,
               PAIRED);
    for (int k = -2; k <= 2; k++) {
        double x = 50 + 25.0 * k, points = 50 * c->reach * k;
        picture_line(out, k ? "grid" : "zero", x, x, top, bottom);
        buf_printf(out, "<text class=\"tick\" x=\"%.0f%%\" y=\"%.0f\" text-anchor=\"%s\">%s%.0f</text>", x, bottom + 15,
                   anchor(x), k < 0 ? "−" : k ? "+" : "", fabs(points));
    }
    picture_line(out, "cut", cut, cut, top - 4, bottom);
    picture_line(out, "whisker local", low, high, y, y);
    picture_mark(out, "local", across(c, t->difference), y);
    buf_printf(out, "<text x=\"100%%\" y=\"%.0f\" text-anchor=\"end\"><tspan", top - 12);
    page_key(out, &c->task, "difference", AS_POINTS);
    buf_str(out, ">");
    page_shown(out, &c->task, "difference", AS_POINTS);
    buf_str(out, "</tspan></text>");
}

static void describe(const crossing *c)
{
    const report_task *t = c->t;
    buf *out = c->out;
    char a[REPORT_SHOWN_BYTES], low[REPORT_SHOWN_BYTES], high[REPORT_SHOWN_BYTES];
    const struct {
        const char *who;
        int64_t arm;
    } sides[] = { { "Local", t->local }, { "Cloud", t->cloud } };
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (sides[i].arm < 0 || t->arms[sides[i].arm].n == 0) {
            buf_printf(out, "%s: not measured. ", sides[i].who);
            continue;
        }
        const report_arm *x = &t->arms[sides[i].arm];
        buf_printf(out, "%s: pass rate %s, interval %s to %s. ", sides[i].who, report_show(x->rate, AS_PERCENT, a),
            report_show(x->rate_low, AS_PERCENT, low), report_show(x->rate_high, AS_PERCENT, high));
    }
    if (isfinite(t->bar))
        buf_printf(out, "The bar is at %s. ", report_show(t->bar, AS_PERCENT, a));
    if (t->n_pairs)
        buf_printf(out, "Local minus cloud: %s, interval %s to %s.", report_show(t->difference, AS_POINTS, a),
            report_show(t->difference_low, AS_POINTS, low), report_show(t->difference_high, AS_POINTS, high));
}

void picture_crossing(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    crossing c = { .r = r, .t = t, .task = spot_task(r, i), .i = i, .out = out };
    double floor = TOP + (t->cloud_name[0] ? 2 : 1) * ROW + 8;
    double height = floor + UNDER + (t->n_pairs ? GAP + PAIRED + UNDER : 0);
    buf_printf(out, "<svg class=\"picture\" height=\"%.0f\" role=\"img\" aria-labelledby=\"t%zu-x-title t%zu-x-desc\">",
               height, i, i);
    buf_printf(out, "<title id=\"t%zu-x-title\">Pass rates of ", i);
    page_escape(out, t->id);
    buf_printf(out, "</title><desc id=\"t%zu-x-desc\">", i);
    describe(&c);
    buf_str(out, "</desc>");
    rates(&c);
    if (t->n_pairs)
        paired(&c);
    buf_str(out, "</svg>");
}
