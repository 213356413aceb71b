/* page_task.c: the figures of a task's section: quality, history, models, confidence. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page_int.h"

/* ---- tables: one row of cells a spot ---- */

void page_table_begin(buf *out, const char *caption, const char *first, const page_cell *cells, size_t n)
{
    buf_printf(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table><caption>%s"
               "</caption><thead><tr><th scope=\"col\">%s</th>", caption, caption, first);
    for (size_t k = 0; k < n; k++)
        buf_printf(out, "<th scope=\"col\"%s>%s</th>", cells[k].text ? "" : " class=\"num\"", cells[k].title);
    buf_str(out, "</tr></thead><tbody>");
}

void page_table_cells(buf *out, const spot *at, const page_cell *cells, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (cells[k].text) {
            buf_str(out, "<td>");
            page_words(out, at, cells[k].name);
        } else {
            buf_str(out, "<td class=\"num\">");
            page_figure(out, at, cells[k].name, cells[k].as);
        }
        buf_str(out, "</td>");
    }
    buf_str(out, "</tr>");
}

void page_table_end(buf *out)
{
    buf_str(out, "</tbody></table></div>");
}

/* A caption that names the task, so that a list of regions can be told apart. */
const char *page_named(const char *what, const report_task *t, char text[192])
{
    snprintf(text, 192, "%s, %s", what, t->id); /* an id is [a-z0-9-]{1,64} */
    return text;
}

static bool has_points(const report_task *t, size_t arm)
{
    for (size_t k = 0; k < t->n_points; k++)
        if (strcmp(t->points[k].provider, t->arms[arm].provider) == 0)
            return true;
    return false;
}

void page_letters(const report_data *r, size_t i, bool models, buf *out)
{
    const report_task *t = &r->tasks[i];
    buf_str(out, "<ul class=\"legend\">");
    for (size_t k = 0; k < t->n_arms; k++) {
        spot at = spot_arm(r, i, k);
        if (!(models ? picture_has(&t->arms[k]) : has_points(t, k)))
            continue;
        buf_printf(out, "<li><strong>%c</strong> ", picture_letter(k));
        page_words(out, &at, "provider");
        buf_str(out, "</li>");
    }
    buf_str(out, "</ul>");
}

/* ---- quality ---- */

static void quality_legend(const report_task *t, buf *out)
{
    buf_str(out, "<ul class=\"legend\"><li>");
    picture_key(out, "local");
    buf_str(out, "local, with its interval</li>");
    if (t->cloud_name[0]) {
        buf_str(out, "<li>");
        picture_key(out, "cloud");
        buf_str(out, "cloud</li>");
    }
    if (t->n_pairs)
        buf_str(out, "<li><svg viewBox=\"-10 -10 20 20\" class=\"band\" aria-hidden=\"true\">"
                     "<path d=\"M-10-10h20v20h-20z\"/></svg>above: below the cloud by no more than the margin; below: "
                     "worse than that</li>");
    buf_str(out, "</ul>");
}

static void baselines(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    if (isnan(t->baseline_majority) && isnan(t->baseline_rules))
        return;
    buf_str(out, "<p><span aria-hidden=\"true\">▲</span> Without any model: ");
    if (isfinite(t->baseline_majority)) {
        buf_str(out, "always the same answer ");
        page_figure(out, &at, "baseline_majority", AS_PERCENT);
    }
    if (isfinite(t->baseline_rules)) {
        buf_str(out, isfinite(t->baseline_majority) ? ", rules " : "rules ");
        page_figure(out, &at, "baseline_rules", AS_PERCENT);
    }
    buf_str(out, ".</p>");
}

static void resolution(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    buf_str(out, "<p><strong>What this suite can show.</strong> ");
    page_figure(out, &at, t->n_pairs ? "n_pairs" : "n_cases", AS_COUNT);
    buf_str(out, t->n_pairs ? " paired cases can prove a margin of " : " cases could prove a margin to a cloud of ");
    page_figure(out, &at, "resolution_margin", AS_MARGIN);
    buf_str(out, ", no less; one pass rate is known to ±");
    page_figure(out, &at, "resolution_rate", AS_MARGIN);
    buf_str(out, " at worst.</p>\n");
}

/* "E = 99 after 44 pairs: within the margin, however often one looks" */
static void watched(const report_data *r, size_t i, buf *out)
{
    static const struct {
        const char *verdict, *says;
    } words[] = {
        { "within", "within the margin, however often one looks" },
        { "worse", "worse than the margin, however often one looks" },
        { "open", "not decided, if one looks again and again" },
    };
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    if (strcmp(t->e_verdict, "clustered") == 0)
        buf_str(out, "<p>Cases share documents, so the pairs are not independent: they prove nothing before the suite "
                     "is whole.</p>\n");
    for (size_t k = 0; k < ARRAY_LEN(words); k++) {
        if (strcmp(t->e_verdict, words[k].verdict) != 0)
            continue;
        buf_str(out, "<p><strong>While it is watched.</strong> <i>E</i> = ");
        page_figure(out, &at, "e_value", AS_FACTOR);
        buf_str(out, " after ");
        page_figure(out, &at, "n_pairs", AS_COUNT);
        buf_printf(out, " pairs: %s; the difference is then ", words[k].says);
        page_figure(out, &at, "sequence_low", AS_SIGNED);
        buf_str(out, " to ");
        page_figure(out, &at, "sequence_high", AS_POINTS);
        buf_str(out, ".</p>\n");
    }
}

static void cascade(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    if (!t->cascade[0])
        return;
    buf_str(out, "<p><strong>Cascade.</strong> ");
    if (strcmp(t->cascade, "on") == 0) {
        page_figure(out, &at, "cascade_coverage", AS_PERCENT);
        buf_str(out, " (");
        page_figure(out, &at, "cascade_coverage_low", AS_RATE);
        buf_str(out, " to ");
        page_figure(out, &at, "cascade_coverage_high", AS_RATE);
        buf_str(out, ") of the answers are sure enough to stay here, at most ");
        page_figure(out, &at, "cascade_risk", AS_PERCENT);
        buf_str(out, " of them wrong; the others are asked of ");
        page_words(out, &at, "cloud_name");
    } else {
        buf_str(out, "None: ");
        page_words(out, &at, "cascade_because");
    }
    buf_str(out, ".</p>\n");
}

static void pairs(const report_data *r, size_t i, buf *out)
{
    static const struct {
        const char *name, *says;
        report_as as;
    } rows[] = {
        { "only_local", "only local right", AS_COUNT }, { "same", "both or neither", AS_COUNT },
        { "only_cloud", "only the cloud right", AS_COUNT }, { "difference", "local minus cloud", AS_POINTS },
        { "difference_low", "interval, from", AS_POINTS }, { "difference_high", "interval, to", AS_POINTS },
        { "difference_bound", "one-sided bound, compared with the margin", AS_POINTS },
        { "discordance", "share of cases in which they differ", AS_PERCENT },
        { "e_value", "E, against being worse than the margin", AS_FACTOR },
        { "sequence_low", "interval that holds however often one looks, from", AS_POINTS },
        { "sequence_high", "the same, to", AS_POINTS },
    };
    char text[192];
    spot at = spot_task(r, i);
    if (r->tasks[i].n_pairs == 0)
        return;
    page_table_begin(out, page_named("Paired cases", &r->tasks[i], text), "Local against cloud",
                &(page_cell){ "Figure", NULL, AS_COUNT, false }, 1);
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        buf_printf(out, "<tr><th scope=\"row\">%s</th><td class=\"num\">", rows[k].says);
        page_figure(out, &at, rows[k].name, rows[k].as);
        buf_str(out, "</td></tr>");
    }
    page_table_end(out);
}

void page_quality(const report_data *r, size_t i, buf *out)
{
    static const page_cell cells[] = {
        { "Cases", "n", AS_COUNT, false }, { "Right", "n_pass", AS_COUNT, false },
        { "Rate", "rate", AS_PERCENT, false }, { "From", "rate_low", AS_PERCENT, false },
        { "To", "rate_high", AS_PERCENT, false },
    };
    const report_task *t = &r->tasks[i];
    char text[192];
    buf_printf(out, "<div class=\"block\"><h3>%s</h3>\n<figure><div class=\"frame\">",
               t->cloud_name[0] ? "Local against cloud" : "Local against its bar");
    picture_crossing(r, i, out);
    buf_str(out, "</div><figcaption>");
    quality_legend(t, out);
    baselines(r, i, out);
    buf_str(out, "</figcaption></figure>\n");
    resolution(r, i, out);
    watched(r, i, out);
    cascade(r, i, out);
    buf_str(out, "<details class=\"data\"><summary>The figures of this picture</summary>");
    page_table_begin(out, page_named("Pass rates", t, text), "Side", cells, ARRAY_LEN(cells));
    const int64_t sides[] = { t->local, t->cloud };
    for (size_t k = 0; k < ARRAY_LEN(sides); k++) {
        if (sides[k] < 0)
            continue;
        spot at = spot_arm(r, i, (size_t)sides[k]);
        buf_str(out, "<tr><th scope=\"row\">");
        page_words(out, &at, "role");
        buf_str(out, "</th>");
        page_table_cells(out, &at, cells, ARRAY_LEN(cells));
    }
    page_table_end(out);
    pairs(r, i, out);
    buf_str(out, "</details></div>\n");
}

/* ---- over time ---- */

static void changes_list(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    size_t first = t->n_points > PICTURE_POINTS_MAX ? t->n_points - PICTURE_POINTS_MAX : 0, n = 0;
    for (size_t k = first; k < t->n_points; k++) {
        spot at = spot_point(r, i, k);
        if (!t->points[k].marks[0])
            continue;
        buf_str(out, n++ ? "" : "<p>What changed at the dotted lines:</p><ol>");
        buf_str(out, "<li>");
        page_figure(out, &at, "begun", AS_DAY);
        buf_str(out, ", ");
        page_words(out, &at, "provider");
        buf_str(out, ": ");
        page_words(out, &at, "changed");
        buf_str(out, "</li>");
    }
    buf_str(out, n ? "</ol>" : "<p>Neither model, prompt nor suite changed.</p>");
}

static void points_table(const report_data *r, size_t i, buf *out)
{
    static const page_cell cells[] = {
        { "Model", "model", AS_COUNT, true }, { "Cases", "n", AS_COUNT, false }, { "Right", "n_pass", AS_COUNT, false },
        { "Rate", "rate", AS_PERCENT, false }, { "From", "rate_low", AS_PERCENT, false },
        { "To", "rate_high", AS_PERCENT, false }, { "Malformed", "n_malformed", AS_COUNT, false },
        { "Not judged", "n_ungraded", AS_COUNT, false }, { "Changed", "changed", AS_COUNT, true },
    };
    char text[192];
    page_table_begin(out, page_named("Measurements", &r->tasks[i], text), "Begun", cells, ARRAY_LEN(cells));
    for (size_t k = 0; k < r->tasks[i].n_points; k++) {
        spot at = spot_point(r, i, k);
        buf_str(out, "<tr><th scope=\"row\">");
        page_figure(out, &at, "begun", AS_MINUTE);
        buf_str(out, "</th>");
        page_table_cells(out, &at, cells, ARRAY_LEN(cells));
    }
    page_table_end(out);
}

static void decisions_table(const report_data *r, size_t i, buf *out)
{
    static const page_cell cells[] = {
        { "Verdict", "verdict", AS_COUNT, true }, { "Right", "n_pass", AS_COUNT, false },
        { "Cases", "n", AS_COUNT, false }, { "Only local", "win", AS_COUNT, false }, { "Same", "tie", AS_COUNT, false },
        { "Only cloud", "loss", AS_COUNT, false },
    };
    char text[192];
    if (r->tasks[i].n_changes == 0)
        return;
    page_table_begin(out, page_named("Decisions", &r->tasks[i], text), "Decided", cells, ARRAY_LEN(cells));
    for (size_t k = 0; k < r->tasks[i].n_changes; k++) {
        spot at = spot_change(r, i, k);
        buf_str(out, "<tr><th scope=\"row\">");
        page_figure(out, &at, "at", AS_MINUTE);
        buf_str(out, "</th>");
        page_table_cells(out, &at, cells, ARRAY_LEN(cells));
    }
    page_table_end(out);
}

void page_history(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    buf_str(out, "<div class=\"block\"><h3>Over time</h3>\n");
    if (t->n_points == 0) {
        buf_str(out, "<p class=\"soft\">Nothing was measured yet.</p></div>\n");
        return;
    }
    buf_str(out, "<figure><div class=\"frame\">");
    picture_history(r, i, out);
    buf_str(out, "</div><figcaption><p>Pass rate of each measurement, oldest first, judged by today's graders. Filled "
                 "marks count today, hollow ones do not any more.</p>");
    page_letters(r, i, false, out);
    changes_list(r, i, out);
    buf_str(out, "</figcaption></figure>\n<details class=\"data\"><summary>All measurements</summary>");
    points_table(r, i, out);
    decisions_table(r, i, out);
    buf_str(out, "</details></div>\n");
}

/* ---- models ---- */

static const page_cell quality_cells[] = {
    { "Where", "place", AS_COUNT, true }, { "Role", "role", AS_COUNT, true }, { "Right", "n_pass", AS_COUNT, false },
    { "of", "n", AS_COUNT, false }, { "Rate", "rate", AS_PERCENT, false }, { "Score", "score", AS_SHARE, false },
    { "Macro-F1", "macro_f1", AS_SHARE, false }, { "Micro-F1", "micro_f1", AS_SHARE, false },
    { "Malformed", "n_malformed", AS_COUNT, false }, { "No answer", "n_failed", AS_COUNT, false },
    { "Median time", "answer_p50_ms", AS_MS, false }, { "95 % within", "answer_p95_ms", AS_MS, false },
    { "First token", "ttft_p50_ms", AS_MS, false }, { "95 % within", "ttft_p95_ms", AS_MS, false },
    { "Tokens", "decode_per_s", AS_PER_S, false }, { "Prompt tokens", "prefill_per_s", AS_PER_S, false },
    { "Memory", "peak_bytes", AS_BYTES, false },
};

static void models_row(const report_data *r, size_t i, size_t k, buf *out)
{
    spot at = spot_arm(r, i, k);
    buf_str(out, "<tr><th scope=\"row\">");
    buf_printf(out, "%c ", picture_letter(k));
    page_words(out, &at, "model");
    buf_str(out, "</th><td>");
    page_words(out, &at, "provider");
    buf_str(out, "</td>");
    for (size_t c = 0; c < ARRAY_LEN(quality_cells); c++) {
        buf_printf(out, "<td%s>", quality_cells[c].text ? "" : " class=\"num\"");
        if (quality_cells[c].text)
            page_words(out, &at, quality_cells[c].name);
        else
            page_figure(out, &at, quality_cells[c].name, quality_cells[c].as);
        buf_str(out, "</td>");
    }
    buf_str(out, "<td class=\"wide\">");
    page_words(out, &at, "stale");
    buf_str(out, "</td></tr>");
}

static void models_table(const report_data *r, size_t i, buf *out)
{
    char text[192];
    page_named("Models tried", &r->tasks[i], text);
    buf_printf(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table><caption>%s"
               "</caption><thead><tr><th scope=\"col\">Model</th><th scope=\"col\">Provider</th>", text, text);
    for (size_t c = 0; c < ARRAY_LEN(quality_cells); c++)
        buf_printf(out, "<th scope=\"col\"%s>%s</th>", quality_cells[c].text ? "" : " class=\"num\"",
                   quality_cells[c].title);
    buf_str(out, "<th scope=\"col\">Does not count</th></tr>"
                 "</thead><tbody>");
    for (size_t k = 0; k < r->tasks[i].n_arms; k++)
        models_row(r, i, k, out);
    page_table_end(out);
}

void page_models(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    size_t n = 0;
    buf_str(out, "<div class=\"block\"><h3>Models tried: speed, quality, memory</h3>\n");
    if (t->n_arms == 0) {
        buf_str(out, "<p class=\"soft\">None yet: <span class=\"id\">hearth measure ");
        page_escape(out, t->id);
        buf_str(out, " --on local:MODEL</span></p></div>\n");
        return;
    }
    for (size_t k = 0; k < t->n_arms; k++)
        n += picture_has(&t->arms[k]);
    if (n) {
        buf_str(out, "<figure><div class=\"frame\">");
        picture_models(r, i, out);
        buf_str(out, "</div><figcaption><ul class=\"legend\"><li>");
        picture_key(out, "local");
        buf_str(out, "local</li><li>");
        picture_key(out, "cloud");
        buf_str(out, "elsewhere</li><li>area: memory; a dashed circle: memory not known</li></ul>");
        page_letters(r, i, true, out);
        buf_str(out, "</figcaption></figure>\n");
    }
    models_table(r, i, out);
    page_setting(r, i, out);
    page_f1(r, i, out);
    buf_str(out, "</div>\n");
}

/* ---- confidence ---- */

static void confidence_one(const report_data *r, size_t i, size_t k, buf *out)
{
    static const page_cell cells[] = {
        { "From", "low", AS_PERCENT, false }, { "to", "high", AS_PERCENT, false }, { "Answers", "n", AS_COUNT, false },
        { "Right", "n_pass", AS_COUNT, false }, { "Rate", "rate", AS_PERCENT, false },
        { "From", "rate_low", AS_PERCENT, false }, { "To", "rate_high", AS_PERCENT, false },
    };
    char title[96], text[192];
    spot at = spot_arm(r, i, k);
    buf_str(out, "<div><h4>");
    page_words(out, &at, "provider");
    buf_str(out, "</h4><figure><div class=\"frame\">");
    picture_reliability(r, i, k, out);
    buf_str(out, "</div><figcaption>");
    page_figure(out, &at, "n_confident", AS_COUNT);
    buf_str(out, " answers. Calibration error (ECE) ");
    page_figure(out, &at, "ece", AS_PERCENT);
    buf_str(out, "; of a right and a wrong answer the right one is the more confident in ");
    page_figure(out, &at, "auroc", AS_PERCENT);
    buf_str(out, " (");
    page_figure(out, &at, "auroc_low", AS_RATE);
    buf_str(out, " to ");
    page_figure(out, &at, "auroc_high", AS_RATE);
    buf_str(out, "; AUROC).</figcaption></figure><details class=\"data\"><summary>The figures of this picture"
                 "</summary>");
    snprintf(title, sizeof title, "Confidence of model %zu", k + 1);
    page_table_begin(out, page_named(title, &r->tasks[i], text), "Mean confidence", cells, ARRAY_LEN(cells));
    for (size_t b = 0; b < r->tasks[i].arms[k].n_bins; b++) {
        spot bin = spot_bin(r, i, k, b);
        buf_str(out, "<tr><th scope=\"row\">");
        page_figure(out, &bin, "confidence", AS_PERCENT);
        buf_str(out, "</th>");
        page_table_cells(out, &bin, cells, ARRAY_LEN(cells));
    }
    page_table_end(out);
    buf_str(out, "</details></div>");
}

void page_confidence(const report_data *r, size_t i, buf *out)
{
    size_t n = 0;
    buf_str(out, "<div class=\"block\"><h3>Is the model right when it is sure?</h3>\n");
    for (size_t k = 0; k < r->tasks[i].n_arms; k++)
        n += r->tasks[i].arms[k].n_bins > 0;
    if (n == 0) {
        buf_str(out, "<p class=\"soft\">Not known: no model that was tried gave log-probabilities.</p></div>\n");
        return;
    }
    buf_str(out, "<div class=\"many\">");
    for (size_t k = 0; k < r->tasks[i].n_arms; k++)
        if (r->tasks[i].arms[k].n_bins)
            confidence_one(r, i, k, out);
    buf_str(out, "</div></div>\n");
}
