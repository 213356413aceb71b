/* picture_more.c: the pictures of a task over time, of the models tried, and of confidence. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page_int.h"

enum { HEAD = 26, HIGH = 170 }; /* the panel of rates: y of 100 %, and pixels from there to 0 % */

static double y_of(double rate)
{
    return HEAD + HIGH * (1 - rate);
}

static void begin(buf *out, size_t i, const char *what, size_t which, double height, const char *title,
                  const report_task *t)
{
    buf_printf(out, "<svg class=\"picture\" height=\"%.0f\" role=\"img\" aria-labelledby=\"t%zu-%s%zu-title "
               "t%zu-%s%zu-desc\"><title id=\"t%zu-%s%zu-title\">%s ", height, i, what, which, i, what, which, i, what,
               which, title);
    page_escape(out, t->id);
    buf_printf(out, "</title><desc id=\"t%zu-%s%zu-desc\">", i, what, which);
}

static void rate_grid(buf *out)
{
    for (int p = 0; p <= 100; p += 25) {
        picture_line(out, "grid", 0, 100, y_of(p / 100.0), y_of(p / 100.0));
        if (p % 50 == 0)
            buf_printf(out, "<text class=\"tick\" x=\"0\" y=\"%.1f\">%d %%</text>", y_of(p / 100.0) - 4, p);
    }
}

static void whisker(buf *out, const char *class_name, double x, double low, double high)
{
    char thin[32];
    snprintf(thin, sizeof thin, "whisker thin %s", class_name);
    picture_line(out, thin, x, x, y_of(low), y_of(high));
}

static void end_axis(buf *out, const char *title)
{
    buf_printf(out, "<text class=\"quiet\" x=\"100%%\" y=\"%d\" text-anchor=\"end\">%s</text></svg>", HEAD + HIGH + 38,
               title);
}

static void bar_line(const report_task *t, buf *out)
{
    if (isfinite(t->bar))
        picture_line(out, "bar", 0, 100, y_of(t->bar), y_of(t->bar));
}

/* ---- over time: each point a step, so that runs of one day and of one year can both be read ---- */

char picture_letter(size_t arm)
{
    return arm < 26 ? (char)('A' + arm) : arm < 52 ? (char)('a' + (arm - 26)) : '*';
}

char picture_letter_of(const report_task *t, const char *provider)
{
    for (size_t k = 0; k < t->n_arms; k++)
        if (strcmp(t->arms[k].provider, provider) == 0)
            return picture_letter(k);
    return 0;
}

static size_t first_drawn(const report_task *t)
{
    return t->n_points > PICTURE_POINTS_MAX ? t->n_points - PICTURE_POINTS_MAX : 0;
}

static double step(const report_task *t, size_t k)
{
    size_t first = first_drawn(t), n = t->n_points - first;
    return 12 + 84 * ((double)(k - first) + 0.5) / (double)n;
}

static void draw_changes(const report_task *t, buf *out)
{
    for (size_t k = first_drawn(t), number = 0; k < t->n_points; k++) {
        if (!t->points[k].marks[0])
            continue;
        double x = step(t, k);
        picture_line(out, "change", x, x, HEAD - 6, HEAD + HIGH);
        buf_printf(out, "<text class=\"tick\" x=\"%.3f%%\" y=\"%d\" text-anchor=\"middle\">%zu</text>", x, HEAD - 10,
                   ++number);
    }
}

static void draw_lines(const report_task *t, buf *out)
{
    for (size_t k = first_drawn(t); k < t->n_points; k++) {
        const report_point *p = &t->points[k], *next = NULL;
        size_t to = k + 1;
        while (to < t->n_points && strcmp(t->points[to].provider, p->provider) != 0)
            to++;
        next = to < t->n_points ? &t->points[to] : NULL;
        char thin[24];
        snprintf(thin, sizeof thin, "thin %s", page_class_of(p->place, p->provider));
        if (next && isfinite(p->rate) && isfinite(next->rate))
            picture_line(out, thin, step(t, k), step(t, to), y_of(p->rate), y_of(next->rate));
    }
}

static void draw_day(const report_data *r, size_t i, size_t k, const char *x, const char *where, buf *out)
{
    spot at = spot_point(r, i, k);
    buf_printf(out, "<text class=\"tick\" x=\"%s\" y=\"%d\" text-anchor=\"%s\"", x, HEAD + HIGH + 18, where);
    page_key(out, &at, "begun", AS_DAY);
    buf_str(out, ">");
    page_shown(out, &at, "begun", AS_DAY);
    buf_str(out, "</text>");
}

void picture_history(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    size_t first = first_drawn(t);
    begin(out, i, "h", 0, HEAD + HIGH + 26, "History of", t);
    buf_str(out, "Pass rates with their intervals, from the oldest measurement to the newest; the table below has them "
                 "all.</desc>");
    rate_grid(out);
    bar_line(t, out);
    if (isfinite(t->bar))
        buf_printf(out, "<text class=\"quiet\" x=\"100%%\" y=\"%.1f\" text-anchor=\"end\">bar</text>",
                   y_of(t->bar) - 5);
    draw_changes(t, out);
    draw_lines(t, out);
    for (size_t k = first; k < t->n_points; k++) {
        const report_point *p = &t->points[k];
        const char *class_name = page_class_of(p->place, p->provider);
        if (!isfinite(p->rate))
            continue;
        whisker(out, class_name, step(t, k), p->rate_low, p->rate_high);
        char mark[24];
        snprintf(mark, sizeof mark, "%s%s", class_name, p->counts ? "" : " past");
        picture_mark(out, mark, step(t, k), y_of(p->rate));
        if (picture_letter_of(t, p->provider))
            buf_printf(out, "<text class=\"quiet\" x=\"%.3f%%\" y=\"%.1f\" dx=\"12\">%c</text>", step(t, k),
                       y_of(p->rate) + 4, picture_letter_of(t, p->provider));
    }
    draw_day(r, i, first, "12%", "start", out);
    if (t->n_points - first > 1)
        draw_day(r, i, t->n_points - 1, "100%", "end", out);
    buf_str(out, "</svg>");
}

/* ---- models: time across (logarithmic), pass rate up, memory as area ---- */

bool picture_has(const report_arm *a)
{
    return isfinite(a->rate) && isfinite(a->answer_p50_ms) && a->answer_p50_ms > 0;
}

typedef struct range {
    double low, high; /* log10 of ms */
} range;

static range time_range(const report_task *t)
{
    range g = { INFINITY, -INFINITY };
    for (size_t k = 0; k < t->n_arms; k++)
        if (picture_has(&t->arms[k])) {
            g.low = fmin(g.low, log10(t->arms[k].answer_p50_ms));
            g.high = fmax(g.high, log10(t->arms[k].answer_p50_ms));
        }
    return (range){ g.low - 0.35, g.high + 0.35 };
}

static double x_of(range g, double ms)
{
    return 12 + 84 * (log10(ms) - g.low) / (g.high - g.low);
}

static void time_ticks(buf *out, range g)
{
    for (int decade = -1; decade < 9; decade++)
        for (int k = 0; k < 3; k++) {
            double ms = pow(10, decade) * (k == 0 ? 1 : k == 1 ? 2 : 5), x = x_of(g, ms);
            if (x < 14 || x > 94)
                continue;
            picture_line(out, "grid", x, x, HEAD, HEAD + HIGH);
            buf_printf(out, "<text class=\"tick\" x=\"%.3f%%\" y=\"%d\" text-anchor=\"middle\">%.3g %s</text>", x,
                       HEAD + HIGH + 18, ms < 1000 ? ms : ms / 1000, ms < 1000 ? "ms" : "s");
        }
}

static void bubble(const report_task *t, size_t k, range g, double most, buf *out)
{
    const report_arm *a = &t->arms[k];
    bool known = isfinite(a->peak_bytes) && most > 0;
    const char *class_name = page_class_of(a->place, a->provider);
    double x = x_of(g, a->answer_p50_ms), y = y_of(a->rate), radius = known ? 24 * sqrt(a->peak_bytes / most) : 12;
    whisker(out, class_name, x, a->rate_low, a->rate_high);
    buf_printf(out, "<circle class=\"bubble %s%s\" cx=\"%.3f%%\" cy=\"%.1f\" r=\"%.1f\"/>", class_name,
        known ? "" : " unknown", x, y, radius);
    buf_printf(out, "<text class=\"letter\" x=\"%.3f%%\" y=\"%.1f\" text-anchor=\"middle\">%c</text>", x, y + 4.5,
        picture_letter(k));
}

void picture_models(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    range g = time_range(t);
    double most = 0;
    for (size_t k = 0; k < t->n_arms; k++)
        if (picture_has(&t->arms[k]) && isfinite(t->arms[k].peak_bytes))
            most = fmax(most, t->arms[k].peak_bytes);
    begin(out, i, "m", 0, HEAD + HIGH + 44, "Speed, quality and memory of the models tried on", t);
    buf_str(out, "Each model by its median time for an answer and its pass rate; the circle's area is its memory. The "
                 "table below has the figures.</desc>");
    rate_grid(out);
    time_ticks(out, g);
    bar_line(t, out);
    for (size_t k = 0; k < t->n_arms; k++)
        if (picture_has(&t->arms[k]))
            bubble(t, k, g, most, out);
    buf_printf(out, "<text class=\"quiet\" x=\"0\" y=\"%d\">← faster</text>", HEAD + HIGH + 38);
    end_axis(out, "median time of an answer");
}

/* ---- confidence ---- */

void picture_reliability(const report_data *r, size_t i, size_t arm, buf *out)
{
    const report_task *t = &r->tasks[i];
    const report_arm *a = &t->arms[arm];
    const char *class_name = page_class_of(a->place, a->provider);
    begin(out, i, "c", arm, HEAD + HIGH + 44, "Confidence and pass rate on", t);
    buf_str(out, "Groups of answers by the model's confidence, each with its pass rate. On the diagonal confidence and "
                 "pass rate agree; below it the model is too sure of itself.</desc>");
    rate_grid(out);
    picture_line(out, "zero", 0, 100, HEAD + HIGH, HEAD);
    for (size_t b = 0; b < a->n_bins; b++) {
        whisker(out, class_name, 100 * a->bins[b].confidence, a->bins[b].rate_low, a->bins[b].rate_high);
        picture_mark(out, class_name, 100 * a->bins[b].confidence, y_of(a->bins[b].rate));
    }
    for (int p = 0; p <= 100; p += 50)
        buf_printf(out, "<text class=\"tick\" x=\"%d%%\" y=\"%d\" text-anchor=\"%s\">%d%s</text>", p, HEAD + HIGH + 18,
            p == 0 ? "start" : p == 100 ? "end" : "middle", p, p == 100 ? " %" : "");
    end_axis(out, "confidence");
}
