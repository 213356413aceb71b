/* text.c: the same in a terminal: per task the picture, what changed, the models, confidence, the cases to look at. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "report/report_int.h"

enum { CELLS_MAX = 12, CELL_BYTES = 200, CASES_LISTED = 12 };

typedef struct terminal {
    const report_data *r;
    const report_task *t;
    size_t columns;
    bool colours;
    buf *out;
} terminal;

static const char *code(const terminal *w, const char *sequence)
{
    return w->colours ? sequence : "";
}

static const char *colour_of(const terminal *w, const char *role)
{
    return code(w, strcmp(role, "local") == 0 ? "\033[36m" : strcmp(role, "cloud") == 0 ? "\033[33m" : "\033[35m");
}

static const char *plain(const terminal *w)
{
    return code(w, "\033[0m");
}

static char *figure(const report_columns *t, const void *row, const char *name, report_as as,
                    char text[REPORT_SHOWN_BYTES])
{
    return report_show(report_figure(t, row, name), as, text);
}

/* A stranger's words on one line of at most `room` characters; with an ellipsis where they were cut. */
static void line_of(buf *out, const char *s, size_t room)
{
    buf text = BUF_INIT(1 << 20);
    report_escape_line(&text, s, strlen(s) > 4 * room + 64 ? utf8_complete(s, 4 * room + 64) : strlen(s));
    const char *p = buf_text(&text);
    size_t n = 0, at = 0;
    while (p[at] && n < room) {
        at += utf8_length((unsigned char)p[at]);
        n++;
    }
    if (p[at] && room) { /* the last one gives way */
        do
            at--;
        while (at > 0 && ((unsigned char)p[at] & 0xC0) == 0x80);
        buf_add(out, p, at);
        buf_str(out, "…");
    } else {
        buf_add(out, p, at);
    }
    out->failed |= text.failed;
    buf_clear(&text);
}

/* Words into lines of the terminal's width, all `indent` deep; the first begins with a label. */
static void wrap(const terminal *w, const char *label, const char *text, size_t indent)
{
    buf line = BUF_INIT(1 << 20);
    report_escape_line(&line, text, strlen(text));
    const char *p = buf_text(&line);
    size_t used = indent;
    buf_printf(w->out, "%*s%-*s", indent ? 2 : 0, "", indent ? (int)indent - 2 : 0, label);
    while (*p) {
        size_t n = strcspn(p, " "), wide = utf8_count(p, n);
        if (used > indent && used + 1 + wide > w->columns) {
            buf_printf(w->out, "\n%*s", (int)indent, "");
            used = indent;
        } else if (used > indent) {
            buf_char(w->out, ' ');
            used++;
        }
        buf_add(w->out, p, n);
        used += wide;
        p += n;
        while (*p == ' ')
            p++;
    }
    buf_char(w->out, '\n');
    w->out->failed |= line.failed;
    buf_clear(&line);
}

/* ---- the picture ---- */

enum { AXIS_MAX = 61, LABEL = 9, FIGURES = 32 }; /* "  …  +12.3 points (−10.1 to +18.2)" */

typedef struct axis {
    const char *cell[AXIS_MAX];
    size_t n;
} axis;

static size_t place(const axis *a, double share)
{
    double x = share * (double)(a->n - 1) + 0.5;
    return x < 0 ? 0 : x > (double)(a->n - 1) ? a->n - 1 : (size_t)x;
}

static axis empty(const terminal *w)
{
    size_t room = w->columns > LABEL + FIGURES + 21 ? w->columns - LABEL - FIGURES : 21;
    axis a = { .n = room > AXIS_MAX ? AXIS_MAX : (room - 1) / 4 * 4 + 1 }; /* four equal parts */
    for (size_t i = 0; i < a.n; i++)
        a.cell[i] = i % ((a.n - 1) / 4) == 0 ? "·" : " ";
    return a;
}

static void interval(axis *a, double low, double mid, double high, const char *mark)
{
    for (size_t i = place(a, low); i <= place(a, high); i++)
        a->cell[i] = "─";
    a->cell[place(a, low)] = "├";
    a->cell[place(a, high)] = "┤";
    a->cell[place(a, mid)] = mark;
}

static void put_axis(const terminal *w, const char *label, const char *role, const axis *a)
{
    buf_printf(w->out, "  %-*s%s", LABEL, label, colour_of(w, role));
    for (size_t i = 0; i < a->n; i++)
        buf_str(w->out, a->cell[i]);
    buf_printf(w->out, "%s  ", plain(w));
}

static void put_side(const terminal *w, const char *role, int64_t arm, const char *mark)
{
    const report_task *t = w->t;
    axis a = empty(w);
    if (arm < 0 || t->arms[arm].n == 0) {
        buf_printf(w->out, "  %-*snot measured\n", LABEL, role);
        return;
    }
    const report_arm *x = &t->arms[arm];
    char rate[REPORT_SHOWN_BYTES], low[REPORT_SHOWN_BYTES], high[REPORT_SHOWN_BYTES];
    if (isfinite(t->bar))
        a.cell[place(&a, t->bar)] = "┊";
    interval(&a, x->rate_low, x->rate, x->rate_high, mark);
    put_axis(w, role, role, &a);
    buf_printf(w->out, "%s (%s to %s)\n", figure(&report_columns_arm, x, "rate", AS_PERCENT, rate),
               figure(&report_columns_arm, x, "rate_low", AS_RATE, low),
               figure(&report_columns_arm, x, "rate_high", AS_RATE, high));
}

static void put_scale(const terminal *w)
{
    const report_task *t = w->t;
    axis a = empty(w);
    char bar[REPORT_SHOWN_BYTES];
    buf_printf(w->out, "  %*s0 %%%*s100 %%\n", LABEL, "", (int)(a.n - 3 - 3), "");
    if (!isfinite(t->bar))
        return;
    for (size_t i = 0; i < a.n; i++)
        a.cell[i] = " ";
    a.cell[place(&a, t->bar)] = "┊";
    put_axis(w, "", "", &a);
    buf_printf(w->out, "┊ bar %s\n", figure(&report_columns_task, t, "bar", AS_PERCENT, bar));
}

static void put_pairs(const terminal *w)
{
    const report_task *t = w->t;
    char d[REPORT_SHOWN_BYTES], low[REPORT_SHOWN_BYTES], high[REPORT_SHOWN_BYTES], margin[REPORT_SHOWN_BYTES];
    if (t->n_pairs == 0)
        return;
    double widest = fmax(fmax(fabs(t->difference_low), fabs(t->difference_high)), 1.6 * t->margin);
    double reach = fmin(1, ceil(10 * widest) / 10);
    axis a = empty(w);
    a.cell[place(&a, 0.5)] = "│";
    a.cell[place(&a, 0.5 - t->margin / reach / 2)] = "┊";
    interval(&a, 0.5 + t->difference_low / reach / 2, 0.5 + t->difference / reach / 2,
             0.5 + t->difference_high / reach / 2, "●");
    put_axis(w, "paired", "local", &a);
    buf_printf(w->out, "%s (%s to %s)\n", figure(&report_columns_task, t, "difference", AS_POINTS, d),
               figure(&report_columns_task, t, "difference_low", AS_SIGNED, low),
               figure(&report_columns_task, t, "difference_high", AS_SIGNED, high));
    buf note = BUF_INIT(1 << 12);
    buf_printf(&note, "local minus cloud on %llu cases: only local right %llu, same %llu, only cloud %llu; ┊ "
               "margin %s", (unsigned long long)t->n_pairs, (unsigned long long)t->only_local,
               (unsigned long long)t->same, (unsigned long long)t->only_cloud,
               figure(&report_columns_task, t, "margin", AS_MARGIN, margin));
    wrap(w, "", buf_text(&note), LABEL + 2);
    w->out->failed |= note.failed;
    buf_clear(&note);
}

static void put_resolution(const terminal *w)
{
    const report_task *t = w->t;
    char a[REPORT_SHOWN_BYTES], b[REPORT_SHOWN_BYTES];
    buf note = BUF_INIT(1 << 12);
    if (isfinite(t->baseline_majority) || isfinite(t->baseline_rules)) {
        buf_printf(&note, "always the same answer %s, rules %s",
                   figure(&report_columns_task, t, "baseline_majority", AS_PERCENT, a),
                   figure(&report_columns_task, t, "baseline_rules", AS_PERCENT, b));
        wrap(w, "no model", buf_text(&note), LABEL + 2);
        w->out->failed |= note.failed;
        buf_reset(&note);
    }
    buf_printf(&note, "%llu %s can prove a margin of %s, no less; a rate is known to ±%s at worst",
               (unsigned long long)(t->n_pairs ? t->n_pairs : t->n_cases), t->n_pairs ? "pairs" : "cases",
               figure(&report_columns_task, t, "resolution_margin", AS_MARGIN, a),
               figure(&report_columns_task, t, "resolution_rate", AS_MARGIN, b));
    wrap(w, "suite", buf_text(&note), LABEL + 2);
    w->out->failed |= note.failed;
    buf_clear(&note);
}

/* "E = 99 after 44 pairs: within the margin, however often one looks" */
static void put_watched(const terminal *w)
{
    static const char *const says[][2] = { { "within", "within the margin, however often one looks" },
                                           { "worse", "worse than the margin, however often one looks" },
                                           { "open", "not decided, if one looks again and again" } };
    const report_task *t = w->t;
    char e[REPORT_SHOWN_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        if (strcmp(t->e_verdict, says[i][0]) != 0)
            continue;
        buf note = BUF_INIT(1 << 12);
        buf_printf(&note, "E = %s after %llu pairs: %s", figure(&report_columns_task, t, "e_value", AS_FACTOR, e),
                   (unsigned long long)t->n_pairs, says[i][1]);
        wrap(w, "watched", buf_text(&note), LABEL + 2);
        w->out->failed |= note.failed;
        buf_clear(&note);
    }
}

/* "52.0 % (37.4 to 66.3) of 50 answers stay here, at most 8.5 % of them wrong" */
static void put_cascade(const terminal *w)
{
    const report_task *t = w->t;
    char a[REPORT_SHOWN_BYTES], b[REPORT_SHOWN_BYTES], c[REPORT_SHOWN_BYTES], d[REPORT_SHOWN_BYTES];
    buf note = BUF_INIT(1 << 12);
    if (strcmp(t->cascade, "on") == 0) {
        buf_printf(&note, "%s (%s to %s) of %llu answers are sure enough to stay here, at most %s of them wrong; the "
                   "others are asked of ",
                   figure(&report_columns_task, t, "cascade_coverage", AS_PERCENT, a),
                   figure(&report_columns_task, t, "cascade_coverage_low", AS_RATE, b),
                   figure(&report_columns_task, t, "cascade_coverage_high", AS_RATE, c),
                   (unsigned long long)t->cascade_cases,
                   figure(&report_columns_task, t, "cascade_risk", AS_PERCENT, d));
        buf_str(&note, t->cloud_name);
        wrap(w, "cascade", buf_text(&note), LABEL + 2);
    } else if (t->cascade[0]) {
        buf_printf(&note, "none: %s", t->cascade_because);
        wrap(w, "cascade", buf_text(&note), LABEL + 2);
    }
    w->out->failed |= note.failed;
    buf_clear(&note);
}

static void put_money(const terminal *w)
{
    const report_task *t = w->t;
    char a[REPORT_SHOWN_BYTES], b[REPORT_SHOWN_BYTES], c[REPORT_SHOWN_BYTES];
    buf note = BUF_INIT(1 << 12);
    if (isfinite(t->saving_usd)) {
        buf_printf(&note, "a local answer saves %s (%s to %s)",
                   figure(&report_columns_task, t, "saving_usd", AS_USD, a),
                   figure(&report_columns_task, t, "saving_low", AS_USD, b),
                   figure(&report_columns_task, t, "saving_high", AS_USD, c));
        if (strcmp(t->break_even, "from") == 0)
            buf_printf(&note, "; it pays from %s answers a month on (%s to %s)",
                       figure(&report_columns_task, t, "break_even_answers", AS_COUNT, a),
                       figure(&report_columns_task, t, "break_even_low", AS_COUNT, b),
                       isnan(t->break_even_high) ? "never"
                                                 : figure(&report_columns_task, t, "break_even_high", AS_COUNT, c));
        wrap(w, "money", buf_text(&note), LABEL + 2);
    }
    w->out->failed |= note.failed;
    buf_clear(&note);
}

/* ---- tables ---- */

typedef struct column {
    const char *title, *name;
    report_as as;
    bool text;
    size_t most; /* of a text's characters */
} column;

/* false: no memory. */
static bool fill_cell(const column *c, const report_columns *t, const void *row, char text[CELL_BYTES])
{
    char shown[REPORT_SHOWN_BYTES];
    if (!c->text) {
        snprintf(text, CELL_BYTES, "%s", figure(t, row, c->name, c->as, shown));
        return true;
    }
    buf words = BUF_INIT(CELL_BYTES * 4);
    line_of(&words, *(const char *const *)(const void *)((const char *)row + report_find_column(t, c->name)->offset),
            c->most);
    const char *p = buf_text(&words);
    size_t n = utf8_complete(p, strnlen(p, CELL_BYTES - 1));
    memcpy(text, p, n);
    text[n] = 0;
    bool ok = !words.failed;
    buf_clear(&words);
    return ok;
}

static void pad(buf *out, const char *text, size_t to, bool right)
{
    size_t n = utf8_count(text, strlen(text));
    if (right)
        buf_printf(out, "%*s", (int)(to > n ? to - n : 0), "");
    buf_str(out, text);
    if (!right)
        buf_printf(out, "%*s", (int)(to > n ? to - n : 0), "");
}

/* Columns that do not fit any more are left out: JSON and CSV have them. */
static void put_table(const terminal *w, const char *title, const column *c, size_t n, const report_columns *t,
                      const void *rows, size_t n_rows, size_t size)
{
    char text[CELL_BYTES];
    size_t wide[CELLS_MAX], used = 2;
    if (n_rows == 0)
        return;
    buf_printf(w->out, "\n  %s%s%s\n", code(w, "\033[1m"), title, plain(w));
    for (size_t k = 0; k < n; k++) {
        wide[k] = utf8_count(c[k].title, strlen(c[k].title));
        for (size_t i = 0; i < n_rows; i++) {
            w->out->failed |= !fill_cell(&c[k], t, (const char *)rows + i * size, text);
            size_t chars = utf8_count(text, strlen(text));
            wide[k] = chars > wide[k] ? chars : wide[k];
        }
        used += wide[k] + 2;
        if (used > w->columns + 2 && k > 1)
            n = k;
    }
    for (size_t i = 0; i <= n_rows; i++) {
        buf_str(w->out, "  ");
        for (size_t k = 0; k < n; k++) {
            if (i)
                w->out->failed |= !fill_cell(&c[k], t, (const char *)rows + (i - 1) * size, text);
            pad(w->out, i ? text : c[k].title, k + 1 == n && c[k].text ? 0 : wide[k], !c[k].text);
            buf_str(w->out, k + 1 < n ? "  " : "\n");
        }
    }
}

static void put_tables(const terminal *w)
{
    static const column points[] = {
        { "begun", "begun", AS_DAY, false, 0 }, { "provider", "provider", AS_COUNT, true, 24 },
        { "right", "n_pass", AS_COUNT, false, 0 }, { "of", "n", AS_COUNT, false, 0 },
        { "rate", "rate", AS_PERCENT, false, 0 }, { "from", "rate_low", AS_RATE, false, 0 },
        { "to", "rate_high", AS_RATE, false, 0 }, { "changed", "marks", AS_COUNT, true, 30 },
    };
    static const column arms[] = {
        { "provider", "provider", AS_COUNT, true, 34 }, { "role", "role", AS_COUNT, true, 10 },
        { "right", "n_pass", AS_COUNT, false, 0 }, { "of", "n", AS_COUNT, false, 0 },
        { "malformed", "n_malformed", AS_COUNT, false, 0 }, { "no answer", "n_failed", AS_COUNT, false, 0 },
        { "median", "answer_p50_ms", AS_MS, false, 0 }, { "95 % in", "answer_p95_ms", AS_MS, false, 0 },
        { "tokens", "decode_per_s", AS_PER_S, false, 0 }, { "memory", "peak_bytes", AS_BYTES, false, 0 },
    };
    static const column sure[] = {
        { "confidence of", "provider", AS_COUNT, true, 34 }, { "answers", "n_confident", AS_COUNT, false, 0 },
        { "calibration error", "ece", AS_PERCENT, false, 0 }, { "AUROC", "auroc", AS_PERCENT, false, 0 },
    };
    static const column people[] = {
        { "people say of", "provider", AS_COUNT, true, 34 }, { "labels", "n_labelled", AS_COUNT, false, 0 },
        { "accepted", "accepted", AS_PERCENT, false, 0 }, { "graders agree", "agreement", AS_PERCENT, false, 0 },
        { "kappa", "kappa", AS_SHARE, false, 0 },
    };
    static const column judged[] = {
        { "judge, on", "provider", AS_COUNT, true, 34 }, { "labels", "n_judged", AS_COUNT, false, 0 },
        { "agreement", "judge_agreement", AS_PERCENT, false, 0 }, { "kappa", "judge_kappa", AS_SHARE, false, 0 },
    };
    static const column figures[] = {
        { "of", "provider", AS_COUNT, true, 34 }, { "macro-F1", "macro_f1", AS_SHARE, false, 0 },
        { "micro-F1", "micro_f1", AS_SHARE, false, 0 }, { "cost", "cost_usd", AS_USD, false, 0 },
        { "energy", "energy_j", AS_JOULES, false, 0 },
    };
    static const column decided[] = {
        { "decided", "at", AS_MINUTE, false, 0 }, { "verdict", "verdict", AS_COUNT, true, 16 },
        { "right", "n_pass", AS_COUNT, false, 0 }, { "of", "n", AS_COUNT, false, 0 },
    };
    const report_task *t = w->t;
    put_table(w, "Over time", points, ARRAY_LEN(points), &report_columns_point, t->points, t->n_points,
              sizeof *t->points);
    put_table(w, "Decisions", decided, ARRAY_LEN(decided), &report_columns_change, t->changes, t->n_changes,
              sizeof *t->changes);
    put_table(w, "Models tried", arms, ARRAY_LEN(arms), &report_columns_arm, t->arms, t->n_arms, sizeof *t->arms);
    put_table(w, "Answers: F1, cost, energy (–: not measured)", figures, ARRAY_LEN(figures), &report_columns_arm,
              t->arms, t->n_arms, sizeof *t->arms);
    if (t->n_labels)
        put_table(w, "What people say", people, ARRAY_LEN(people), &report_columns_arm, t->arms, t->n_arms,
                  sizeof *t->arms);
    if (t->judged)
        put_table(w, "Judge against people", judged, ARRAY_LEN(judged), &report_columns_arm, t->arms, t->n_arms,
                  sizeof *t->arms);
    put_table(w, "Is it right when it is sure?", sure, ARRAY_LEN(sure), &report_columns_arm, t->arms, t->n_arms,
              sizeof *t->arms);
}

/* ---- confidence: a line a group of answers ---- */

static void put_bins(const terminal *w, const report_arm *arm)
{
    char sure[REPORT_SHOWN_BYTES], rate[REPORT_SHOWN_BYTES];
    buf_str(w->out, "\n  ");
    line_of(w->out, arm->provider, w->columns > 60 ? w->columns - 40 : 20);
    buf_str(w->out, ": confidence, and how many were right\n");
    for (size_t i = 0; i < arm->n_bins; i++) {
        const report_bin *b = &arm->bins[i];
        axis a = empty(w);
        a.cell[place(&a, b->confidence)] = "┊";
        interval(&a, b->rate_low, b->rate, b->rate_high, "●");
        put_axis(w, figure(&report_columns_bin, b, "confidence", AS_PERCENT, sure), arm->role, &a);
        buf_printf(w->out, "%s, %llu of %llu\n", figure(&report_columns_bin, b, "rate", AS_PERCENT, rate),
                   (unsigned long long)b->n_pass, (unsigned long long)b->n);
    }
}

/* Of the two sides; without any, of the first model. JSON and CSV have all. */
static void put_confidence(const terminal *w)
{
    const report_task *t = w->t;
    for (size_t k = 0; k < t->n_arms; k++)
        if (t->arms[k].n_bins && (k == 0 || (int64_t)k == t->local || (int64_t)k == t->cloud))
            put_bins(w, &t->arms[k]);
}

/* ---- cases ---- */

static void put_text(const terminal *w, const char *label, const report_text *x)
{
    buf_printf(w->out, "      %-9s ", label);
    if (x->text[0])
        line_of(w->out, x->text, w->columns > 40 ? w->columns - 17 : 24);
    else
        buf_str(w->out, x->state);
    buf_char(w->out, '\n');
}

static void put_case(const terminal *w, const report_case *c)
{
    buf_str(w->out, "    ");
    line_of(w->out, c->id, 40);
    buf_str(w->out, "\n");
    put_text(w, "asked", &c->input);
    put_text(w, "expected", &c->expected);
    for (size_t i = 0; i < c->n_answers; i++) {
        const report_answer *a = &c->answers[i];
        const char *role = w->t->arms[a->arm].role;
        put_text(w, role, &a->text);
        buf_printf(w->out, "      %9s %s%s", "", a->outcome, a->reason[0] ? ": " : "");
        line_of(w->out, a->reason, w->columns > 50 ? w->columns - 28 : 24);
        buf_char(w->out, '\n');
    }
}

/* Those in which the sides differ first, then those that some model got wrong. */
static void put_cases(const terminal *w)
{
    const report_task *t = w->t;
    size_t shown = 0, wanted = (size_t)(t->n_differ ? t->n_differ : t->n_not_pass);
    if (wanted == 0)
        return;
    const char *more = wanted > CASES_LISTED ? "; --html shows them all" : "";
    buf_printf(w->out, "\n  %s%s%s: %zu of %llu%s\n", code(w, "\033[1m"),
               t->n_differ ? "Cases in which only one side is right" : "Cases that some model did not get right",
               plain(w), wanted, (unsigned long long)t->n_cases, more);
    for (size_t k = 0; k < t->n_listed && shown < CASES_LISTED; k++) {
        const report_case *c = &t->cases[k];
        if (t->n_differ ? !c->differs : !(c->wrong || c->malformed))
            continue;
        put_case(w, c);
        shown++;
    }
}

/* ---- a task ---- */

static void put_title(const terminal *w)
{
    const report_task *t = w->t;
    char since[REPORT_SHOWN_BYTES];
    const char *sign = t->verdict[0] == 'l' ? "●" : t->verdict[0] == 'c' ? "◆" : "○";
    buf_printf(w->out, "%s%s%s  %s%s %s%s", code(w, "\033[1m"), t->id, plain(w),
               colour_of(w, t->verdict[0] == 'n' ? "" : t->verdict), sign, report_verdict_word(t), plain(w));
    if (t->since_us)
        buf_printf(w->out, ", %s %s", t->since_of[0] == 'd' ? "since" : "as measured",
                   figure(&report_columns_task, t, "since", AS_DAY, since));
    buf_char(w->out, '\n');
    wrap(w, "", t->reason, 2);
    buf_char(w->out, '\n');
}

void report_text_tasks(const report_data *r, const report_terminal *how, buf *out)
{
    terminal w = { .r = r, .columns = how->columns ? how->columns : 80, .colours = how->colours, .out = out };
    w.columns = w.columns < 40 ? 40 : w.columns > 200 ? 200 : w.columns;
    for (size_t i = 0; i < r->n_tasks; i++) {
        w.t = &r->tasks[i];
        buf_str(out, i ? "\n" : "");
        put_title(&w);
        put_side(&w, "local", w.t->local, "●");
        if (w.t->cloud_name[0])
            put_side(&w, "cloud", w.t->cloud, "◆");
        put_scale(&w);
        put_pairs(&w);
        put_watched(&w);
        put_resolution(&w);
        put_cascade(&w);
        put_money(&w);
        put_tables(&w);
        put_confidence(&w);
        put_cases(&w);
    }
}
