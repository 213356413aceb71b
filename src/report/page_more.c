/* page_more.c: further figures of a task's section: how times were taken, F1 by label or field, costs, people. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page_int.h"

/* The arms whose details are shown: the two sides; without any, the first. */
static bool is_detailed(const report_task *t, size_t arm)
{
    bool none = t->local < 0 && t->cloud < 0;
    return (int64_t)arm == t->local || (int64_t)arm == t->cloud || (none && arm == 0);
}

/* "12.3 % (10.1 to 15.2)" */
static void with_interval(buf *out, const spot *at, const char *name, const char *low, const char *high, report_as as,
                          report_as ends)
{
    page_figure(out, at, name, as);
    if (isnan(spot_figure(at, low)))
        return;
    buf_str(out, " (");
    page_figure(out, at, low, ends);
    buf_str(out, " to ");
    page_figure(out, at, high, ends);
    buf_char(out, ')');
}

/* ---- times ---- */

static void setting_of(const report_data *r, size_t i, size_t k, buf *out)
{
    const report_arm *a = &r->tasks[i].arms[k];
    spot at = spot_arm(r, i, k);
    buf_printf(out, "<li><strong>%c</strong> ", picture_letter(k));
    page_figure(out, &at, "n_timed", AS_COUNT);
    if (a->concurrency > 1) {
        buf_str(out, " answers, ");
        page_figure(out, &at, "concurrency", AS_COUNT);
        buf_str(out, " asked at once");
    } else {
        buf_str(out, " answers, each asked alone");
    }
    if (strcmp(a->place, "local") == 0) {
        buf_str(out, ", power: ");
        page_words(out, &at, "power");
        if (a->governor[0]) {
            buf_str(out, ", governor ");
            page_words(out, &at, "governor");
        }
        buf_str(out, ", ");
        page_figure(out, &at, "threads", AS_COUNT);
        buf_str(out, " threads, ");
        page_words(out, &at, "isa");
    }
    buf_str(out, "</li>");
}

void page_setting(const report_data *r, size_t i, buf *out)
{
    buf_str(out, "<details class=\"data\"><summary>How the times were taken</summary><ul>");
    for (size_t k = 0; k < r->tasks[i].n_arms; k++)
        if (r->tasks[i].arms[k].n_timed)
            setting_of(r, i, k, out);
    buf_str(out, "</ul><p class=\"soft\">Times of answers in other settings are not mixed in: battery and mains, alone "
                 "and side by side, other threads or machines are kept apart.</p></details>");
}

/* ---- F1 ---- */

/* Labels in the order of the classes; a cell that is not in the list is empty: zero. */
static void confusion(const report_data *r, size_t i, size_t k, buf *out)
{
    const report_arm *a = &r->tasks[i].arms[k];
    char title[96], text[192];
    if (a->n_confusion == 0)
        return;
    snprintf(title, sizeof title, "Who is taken for whom by model %zu", k + 1);
    page_named(title, &r->tasks[i], text);
    buf_printf(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table><caption>%s: rows "
               "are expected, columns answered</caption><thead><tr><th scope=\"col\">Expected</th>", text, text);
    const char *grader = a->confusion[0].grader;
    size_t n = 0;
    while (n < a->n_classes && strcmp(a->classes[n].grader, grader) == 0 && a->classes[n].kind[0] == 'l')
        n++;
    for (size_t c = 0; c <= n; c++) {
        buf_str(out, "<th scope=\"col\" class=\"num\">");
        if (c < n) {
            spot at = spot_class(r, i, k, c);
            page_words(out, &at, "name");
        } else {
            buf_str(out, "malformed");
        }
        buf_str(out, "</th>");
    }
    buf_str(out, "</tr></thead><tbody>");
    for (size_t row = 0; row < n; row++) {
        spot label = spot_class(r, i, k, row);
        buf_str(out, "<tr><th scope=\"row\">");
        page_words(out, &label, "name");
        buf_str(out, "</th>");
        for (size_t c = 0; c <= n; c++) {
            const char *answered = c < n ? a->classes[c].name : "malformed";
            buf_printf(out, "<td class=\"num%s\">", row == c ? " hit" : "");
            for (size_t x = 0; x < a->n_confusion; x++)
                if (strcmp(a->confusion[x].grader, grader) == 0 &&
                    strcmp(a->confusion[x].expected, a->classes[row].name) == 0 &&
                    strcmp(a->confusion[x].answered, answered) == 0) {
                    spot at = spot_confusion(r, i, k, x);
                    page_figure(out, &at, "n", AS_COUNT);
                    break;
                }
            buf_str(out, "</td>");
        }
        buf_str(out, "</tr>");
    }
    page_table_end(out);
}

static void f1_of(const report_data *r, size_t i, size_t k, buf *out)
{
    static const page_cell cells[] = {
        { "Grader", "grader", AS_COUNT, true }, { "Right", "tp", AS_COUNT, false },
        { "Said wrongly", "fp", AS_COUNT, false }, { "Missed", "fn", AS_COUNT, false },
        { "Precision", "precision", AS_SHARE, false }, { "Recall", "recall", AS_SHARE, false },
        { "F1", "f1", AS_SHARE, false },
    };
    const report_arm *a = &r->tasks[i].arms[k];
    char title[96], text[192];
    spot arm = spot_arm(r, i, k);
    buf_str(out, "<h4>");
    page_words(out, &arm, "provider");
    buf_str(out, "</h4><p class=\"soft\">Of ");
    page_figure(out, &arm, "n_figures", AS_COUNT);
    buf_str(out, " answers. Macro-F1 (each label or field counts the same) ");
    page_figure(out, &arm, "macro_f1", AS_SHARE);
    buf_str(out, ", micro-F1 (each answer counts the same) ");
    page_figure(out, &arm, "micro_f1", AS_SHARE);
    buf_str(out, ".</p>");
    snprintf(title, sizeof title, "By %s, model %zu", a->classes[0].kind, k + 1);
    page_table_begin(out, page_named(title, &r->tasks[i], text), a->classes[0].kind[0] == 'l' ? "Label" : "Field",
                     cells, ARRAY_LEN(cells));
    for (size_t c = 0; c < a->n_classes; c++) {
        spot at = spot_class(r, i, k, c);
        buf_str(out, "<tr><th scope=\"row\">");
        page_words(out, &at, "name");
        buf_str(out, "</th>");
        page_table_cells(out, &at, cells, ARRAY_LEN(cells));
    }
    page_table_end(out);
    confusion(r, i, k, out);
}

void page_f1(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    size_t n = 0;
    for (size_t k = 0; k < t->n_arms; k++)
        n += is_detailed(t, k) && t->arms[k].n_classes;
    if (n == 0)
        return;
    buf_str(out, "<details class=\"data\"><summary>Precision, recall and F1</summary>");
    for (size_t k = 0; k < t->n_arms; k++)
        if (is_detailed(t, k) && t->arms[k].n_classes)
            f1_of(r, i, k, out);
    buf_str(out, "</details>");
}

/* ---- costs ---- */

static void cost_cell(const spot *at, const report_arm *a, buf *out)
{
    buf_str(out, "<td>");
    if (isnan(a->cost_usd)) {
        buf_str(out, "not measured</td><td>");
    } else {
        with_interval(out, at, "cost_usd", "cost_low", "cost_high", AS_USD, AS_USD);
        buf_str(out, "</td><td>");
    }
    if (strcmp(a->cost_of, "tokens") == 0) {
        page_figure(out, at, "price_input", AS_FACTOR);
        buf_str(out, " in, ");
        page_figure(out, at, "price_output", AS_FACTOR);
        buf_str(out, " out, ");
        if (a->price_as_of[0])
            page_words(out, at, "price_as_of");
        else
            buf_str(out, "undated");
    } else if (strcmp(a->cost_of, "energy") == 0) {
        buf_str(out, "its energy");
    }
    buf_str(out, "</td><td>");
    if (isnan(a->energy_j))
        buf_str(out, "not measured");
    else
        with_interval(out, at, "energy_j", "energy_low", "energy_high", AS_JOULES, AS_JOULES);
    buf_str(out, strcmp(a->energy_of, "watts") == 0   ? ", by watts_busy"
                 : strcmp(a->energy_of, "mixed") == 0 ? ", partly by watts_busy" : "");
    buf_str(out, "</td></tr>");
}

static void break_even(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    if (t->local < 0 || t->cloud < 0)
        return;
    buf_str(out, "<p><strong>From when local pays.</strong> ");
    if (strcmp(t->break_even, "unknown") == 0) {
        buf_str(out, "Not known: what an answer costs was not measured on both sides.</p>");
        return;
    }
    buf_str(out, "A local answer saves ");
    with_interval(out, &at, "saving_usd", "saving_low", "saving_high", AS_USD, AS_USD);
    if (strcmp(t->break_even, "from") == 0) {
        buf_str(out, "; with what this machine costs by the month, it pays from ");
        page_figure(out, &at, "break_even_answers", AS_COUNT);
        buf_str(out, " answers a month on (");
        page_figure(out, &at, "break_even_low", AS_COUNT);
        buf_str(out, " to ");
        if (isnan(t->break_even_high))
            buf_str(out, "never");
        else
            page_figure(out, &at, "break_even_high", AS_COUNT);
        buf_str(out, ").</p>");
    } else {
        buf_str(out, strcmp(t->break_even, "already") == 0
                         ? ": it pays already, since nothing is paid for this machine by the month.</p>"
                         : ": it never pays.</p>");
    }
}

void page_costs(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    char text[192];
    if (t->n_arms == 0)
        return;
    buf_str(out, "<div class=\"block\"><h3>What an answer costs</h3>\n");
    page_named("Cost and energy of an answer", t, text);
    buf_printf(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table><caption>%s"
               "</caption><thead><tr><th scope=\"col\">Provider</th><th scope=\"col\">Cost</th><th scope=\"col\">"
               "Price of a million tokens, in dollars</th><th scope=\"col\">Energy</th></tr></thead>"
               "<tbody>", text, text);
    for (size_t k = 0; k < t->n_arms; k++) {
        spot at = spot_arm(r, i, k);
        buf_printf(out, "<tr><th scope=\"row\">%c ", picture_letter(k));
        page_words(out, &at, "provider");
        buf_str(out, "</th>");
        cost_cell(&at, &t->arms[k], out);
    }
    page_table_end(out);
    break_even(r, i, out);
    buf_str(out, "</div>\n");
}

/* ---- people ---- */

static void judge_line(const report_data *r, size_t i, size_t k, buf *out)
{
    const report_arm *a = &r->tasks[i].arms[k];
    spot at = spot_arm(r, i, k);
    buf_str(out, "<li>Judge against people, ");
    page_words(out, &at, "provider");
    if (a->n_judged == 0) {
        buf_str(out, ": no labels.</li>");
        return;
    }
    buf_str(out, ": ");
    page_figure(out, &at, "n_judged", AS_COUNT);
    buf_str(out, " answers, agreement ");
    with_interval(out, &at, "judge_agreement", "judge_agreement_low", "judge_agreement_high", AS_PERCENT, AS_RATE);
    buf_str(out, ", kappa ");
    with_interval(out, &at, "judge_kappa", "judge_kappa_low", "judge_kappa_high", AS_SHARE, AS_SHARE);
    buf_str(out, ".</li>");
}

static void arm_line(const report_data *r, size_t i, size_t k, buf *out)
{
    const report_arm *a = &r->tasks[i].arms[k];
    spot at = spot_arm(r, i, k);
    buf_str(out, "<li>");
    page_words(out, &at, "provider");
    buf_str(out, ": accepted ");
    page_figure(out, &at, "n_accepted", AS_COUNT);
    buf_str(out, " of ");
    page_figure(out, &at, "n_labelled", AS_COUNT);
    buf_str(out, ", ");
    with_interval(out, &at, "accepted", "accepted_low", "accepted_high", AS_PERCENT, AS_RATE);
    if (a->n_agreement) {
        buf_str(out, ". The graders say the same on ");
        page_figure(out, &at, "n_agree", AS_COUNT);
        buf_str(out, " of ");
        page_figure(out, &at, "n_agreement", AS_COUNT);
        buf_str(out, ", ");
        with_interval(out, &at, "agreement", "agreement_low", "agreement_high", AS_PERCENT, AS_RATE);
        buf_str(out, ", kappa ");
        with_interval(out, &at, "kappa", "kappa_low", "kappa_high", AS_SHARE, AS_SHARE);
    }
    buf_str(out, ".</li>");
}

static void preference_line(const report_data *r, size_t i, size_t k, buf *out)
{
    const report_preference *p = &r->tasks[i].preferences[k];
    spot at = spot_preference(r, i, k), a = spot_arm(r, i, (size_t)p->a), b = spot_arm(r, i, (size_t)p->b);
    buf_str(out, "<li>");
    page_words(out, &a, "provider");
    buf_str(out, " against ");
    page_words(out, &b, "provider");
    buf_str(out, ": better ");
    page_figure(out, &at, "win", AS_COUNT);
    buf_str(out, ", equal ");
    page_figure(out, &at, "tie", AS_COUNT);
    buf_str(out, ", worse ");
    page_figure(out, &at, "loss", AS_COUNT);
    buf_str(out, ": ");
    with_interval(out, &at, "difference", "difference_low", "difference_high", AS_POINTS, AS_SIGNED);
    buf_str(out, ".</li>");
}

void page_people(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    if (t->n_arms == 0)
        return;
    buf_str(out, "<div class=\"block\"><h3>What people say</h3>\n");
    if (t->n_labels == 0 && !t->judged) {
        buf_str(out, "<p class=\"soft\">No labels: <span class=\"id\">hearth task review ");
        page_escape(out, t->id);
        buf_str(out, "</span> asks for them.</p></div>\n");
        return;
    }
    buf_str(out, "<p>");
    page_figure(out, &at, "n_labels", AS_COUNT);
    buf_str(out, " labels by ");
    page_figure(out, &at, "n_people", AS_COUNT);
    buf_str(out, t->n_people == 1 ? " person; " : " people; ");
    page_figure(out, &at, "n_labels_stale", AS_COUNT);
    buf_str(out, " are of answers that do not count today.</p><ul>");
    for (size_t k = 0; k < t->n_arms; k++)
        if (t->arms[k].n_labelled)
            arm_line(r, i, k, out);
    for (size_t k = 0; k < t->n_arms; k++)
        if (t->judged)
            judge_line(r, i, k, out);
    for (size_t k = 0; k < t->n_preferences; k++)
        preference_line(r, i, k, out);
    buf_str(out, "</ul></div>\n");
}
