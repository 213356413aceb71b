/* page.c: the page as a whole: head, overview, one section a task, foot; and how figures and words are written.
 *
 * The page can load nothing and run nothing but its own: default-src 'none', style and script named by their SHA-256.
 * Everything that comes from a ledger or a task passes report_escape_html. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/page_int.h"
#include "web/web.h"

/* ---- spots ---- */

static spot make(const report_columns *t, const void *row, const char *path)
{
    spot s = { .t = t, .row = row };
    snprintf(s.path, sizeof s.path, "%s", path);
    return s;
}

static spot below(const spot *up, const report_columns *t, const void *row, const char *list, size_t k)
{
    spot s = { .t = t, .row = row };
    snprintf(s.path, sizeof s.path, "%.60s/%s/%zu", up->path, list, k);
    return s;
}

spot spot_task(const report_data *r, size_t i)
{
    spot doc = make(&report_columns_doc, r, "");
    return below(&doc, &report_columns_task, &r->tasks[i], "tasks", i);
}

spot spot_arm(const report_data *r, size_t i, size_t arm)
{
    spot up = spot_task(r, i);
    return below(&up, &report_columns_arm, &r->tasks[i].arms[arm], "arms", arm);
}

spot spot_bin(const report_data *r, size_t i, size_t arm, size_t bin)
{
    spot up = spot_arm(r, i, arm);
    return below(&up, &report_columns_bin, &r->tasks[i].arms[arm].bins[bin], "reliability", bin);
}

spot spot_point(const report_data *r, size_t i, size_t point)
{
    spot up = spot_task(r, i);
    return below(&up, &report_columns_point, &r->tasks[i].points[point], "history", point);
}

spot spot_change(const report_data *r, size_t i, size_t change)
{
    spot up = spot_task(r, i);
    return below(&up, &report_columns_change, &r->tasks[i].changes[change], "decisions", change);
}

spot spot_case(const report_data *r, size_t i, size_t k)
{
    spot up = spot_task(r, i);
    return below(&up, &report_columns_case, &r->tasks[i].cases[k], "cases", k);
}

spot spot_class(const report_data *r, size_t i, size_t arm, size_t k)
{
    spot up = spot_arm(r, i, arm);
    return below(&up, &report_columns_class, &r->tasks[i].arms[arm].classes[k], "classes", k);
}

spot spot_confusion(const report_data *r, size_t i, size_t arm, size_t k)
{
    spot up = spot_arm(r, i, arm);
    return below(&up, &report_columns_confusion, &r->tasks[i].arms[arm].confusion[k], "confusion", k);
}

spot spot_preference(const report_data *r, size_t i, size_t k)
{
    spot up = spot_task(r, i);
    return below(&up, &report_columns_preference, &r->tasks[i].preferences[k], "preferences", k);
}

spot spot_part(const report_data *r, size_t i, size_t k, size_t answer, size_t part)
{
    spot up = spot_answer(r, i, k, answer);
    return below(&up, &report_columns_part, &r->tasks[i].cases[k].answers[answer].parts[part], "graders", part);
}

spot spot_answer(const report_data *r, size_t i, size_t k, size_t answer)
{
    spot up = spot_case(r, i, k);
    return below(&up, &report_columns_answer, &r->tasks[i].cases[k].answers[answer], "answers", answer);
}

const char *spot_text(const spot *at, const char *name)
{
    return *(const char *const *)(const void *)((const char *)at->row + report_find_column(at->t, name)->offset);
}

double spot_figure(const spot *at, const char *name)
{
    return report_figure(at->t, at->row, name);
}

/* ---- figures and words ---- */

void page_escape(buf *out, const char *s)
{
    report_escape_html(out, s, strlen(s));
}

void page_key(buf *out, const spot *at, const char *name, report_as as)
{
    buf_printf(out, " data-key=\"%s/%s\" data-as=\"%s\"", at->path, name, report_as_name(as));
}

void page_shown(buf *out, const spot *at, const char *name, report_as as)
{
    char text[REPORT_SHOWN_BYTES];
    buf_str(out, report_show(spot_figure(at, name), as, text));
}

void page_figure(buf *out, const spot *at, const char *name, report_as as)
{
    buf_str(out, "<span class=\"n\"");
    page_key(out, at, name, as);
    buf_char(out, '>');
    page_shown(out, at, name, as);
    buf_str(out, "</span>");
}

void page_words(buf *out, const spot *at, const char *name)
{
    buf_printf(out, "<bdi data-key=\"%s/%s\" data-as=\"text\">", at->path, name);
    page_escape(out, spot_text(at, name));
    buf_str(out, "</bdi>");
}

/* ---- head ---- */

static void base64(const uint8_t *in, size_t n, buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) | (i + 2 < n ? in[i + 2] : 0);
        buf_char(out, digits[v >> 18]);
        buf_char(out, digits[v >> 12 & 63]);
        buf_char(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_char(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

static void put_digest(const web_file *f, buf *out)
{
    uint8_t sum[DIGEST_BYTES];
    digest *d = digest_open();
    if (!d) {
        out->failed = true;
        return;
    }
    digest_add(d, f->text, f->n);
    digest_close(&d, sum);
    buf_str(out, "'sha256-");
    base64(sum, sizeof sum, out);
    buf_char(out, '\'');
}

static void put_head(const report_data *r, buf *out)
{
    spot at = make(&report_columns_doc, r, "");
    buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src ");
    put_digest(&web_report_css, out);
    buf_str(out, "; script-src ");
    put_digest(&web_report_js, out);
    buf_str(out, "; base-uri 'none'; form-action 'none'\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n"
                 "<meta name=\"referrer\" content=\"no-referrer\">\n"
                 "<title>hearth report: what can stay on this machine</title>\n<style>");
    buf_add(out, web_report_css.text, web_report_css.n);
    buf_str(out, "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#tasks\">Skip to the tasks</a>\n<header>\n"
                 "<p class=\"brand\">hearth report, ");
    page_figure(out, &at, "made", AS_MINUTE);
    buf_str(out, "</p>\n<h1>What can stay on this machine</h1>\n</header>\n");
}

/* ---- overview ---- */

static void put_badge(const report_task *t, buf *out)
{
    static const struct {
        char first;
        const char *class_name, *sign;
    } kinds[] = { { 'l', "local", "●" }, { 'c', "cloud", "◆" }, { 'n', "open", "○" } };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].first == t->verdict[0])
            buf_printf(out, "<span class=\"badge %s\"><span aria-hidden=\"true\">%s</span> %s</span>",
                       kinds[i].class_name, kinds[i].sign, report_verdict_word(t));
}

static void put_since(const report_data *r, size_t i, buf *out)
{
    spot at = spot_task(r, i);
    if (!r->tasks[i].since_us) {
        buf_str(out, "never measured");
        return;
    }
    buf_str(out, r->tasks[i].since_of[0] == 'd' ? "since " : "as measured ");
    page_figure(out, &at, "since", AS_DAY);
}

/* "34 of 60 right, 56.7 % (43.2 to 69.4 %)" */
static void put_side(const report_data *r, size_t i, int64_t arm, buf *out)
{
    spot at = spot_arm(r, i, (size_t)arm);
    page_figure(out, &at, "n_pass", AS_COUNT);
    buf_str(out, " of ");
    page_figure(out, &at, "n", AS_COUNT);
    buf_str(out, " right, ");
    page_figure(out, &at, "rate", AS_PERCENT);
    buf_str(out, " (");
    page_figure(out, &at, "rate_low", AS_RATE);
    buf_str(out, " to ");
    page_figure(out, &at, "rate_high", AS_RATE);
    buf_char(out, ')');
}

static void put_sentence(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    if (t->local < 0 || t->arms[t->local].n == 0) {
        buf_str(out, "No local answers count today.");
    } else {
        buf_str(out, "Local: ");
        put_side(r, i, t->local, out);
        if (isfinite(t->bar)) {
            buf_str(out, t->met_bar ? ", above the bar of " : ", not proven above the bar of ");
            page_figure(out, &at, "bar", AS_PERCENT);
        }
        buf_char(out, '.');
    }
    if (t->n_pairs) {
        buf_str(out, " Against the cloud on ");
        page_figure(out, &at, "n_pairs", AS_COUNT);
        buf_str(out, " cases: ");
        page_figure(out, &at, "difference", AS_POINTS);
        buf_str(out, " (");
        page_figure(out, &at, "difference_low", AS_SIGNED);
        buf_str(out, " to ");
        page_figure(out, &at, "difference_high", AS_SIGNED);
        buf_printf(out, "), %swithin the margin of ", t->difference_bound > -t->margin ? "" : "not proven ");
        page_figure(out, &at, "margin", AS_MARGIN);
        buf_char(out, '.');
    }
}

static void put_privacy_note(const report_data *r, buf *out)
{
    bool withheld = false, shown = false, secret = false;
    for (size_t i = 0; i < r->n_tasks; i++) {
        bool is_private = strcmp(r->tasks[i].privacy, "private") == 0;
        withheld |= strcmp(r->tasks[i].text_policy, "withheld") == 0;
        secret |= strcmp(r->tasks[i].text_policy, "secret") == 0;
        shown |= is_private && strcmp(r->tasks[i].text_policy, "shown") == 0;
    }
    if (withheld)
        buf_str(out, "<p class=\"note\">Questions and answers of private tasks are left out, since a report may be "
                     "passed on; all figures are here. <span class=\"id\">hearth report --with-text</span> puts "
                     "them in.</p>\n");
    if (shown)
        buf_str(out, "<p class=\"note\"><strong>This page holds the texts of private tasks</strong> (it was made with "
                     "<span class=\"id\">--with-text</span>): keep it where those may be read.</p>\n");
    if (secret)
        buf_str(out, "<p class=\"note\">Texts of secret tasks are kept nowhere.</p>\n");
}

static void put_overview(const report_data *r, buf *out)
{
    static const struct {
        const char *column, *says;
    } counts[] = { { "n_local", "proven local" }, { "n_cloud", "cloud" }, { "n_unproven", "not proven" } };
    spot at = make(&report_columns_doc, r, "");
    buf_str(out, "<nav aria-label=\"Tasks\">\n<h2 class=\"vh\">Overview</h2>\n<ul class=\"counts\">");
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        buf_str(out, "<li><strong>");
        page_figure(out, &at, counts[i].column, AS_COUNT);
        buf_printf(out, "</strong> %s</li>", counts[i].says);
    }
    buf_str(out, "</ul>\n");
    put_privacy_note(r, out);
    buf_str(out, "<ol class=\"overview\">\n");
    for (size_t i = 0; i < r->n_tasks; i++) {
        spot at_task = spot_task(r, i);
        buf_str(out, "<li>");
        put_badge(&r->tasks[i], out);
        buf_printf(out, "<a class=\"name\" href=\"#t%zu\">", i);
        page_words(out, &at_task, "task");
        buf_str(out, "</a><span class=\"since\">");
        put_since(r, i, out);
        buf_str(out, "</span><p class=\"says\">");
        put_sentence(r, i, out);
        buf_str(out, "</p></li>\n");
    }
    buf_str(out, "</ol>\n</nav>\n");
}

/* ---- a task ---- */

static void fact(buf *out, const char *title, const spot *at, const char *name, report_as as)
{
    if (isnan(spot_figure(at, name)))
        return;
    buf_printf(out, "<div><dt>%s</dt><dd>", title);
    page_figure(out, at, name, as);
    buf_str(out, "</dd></div>");
}

static void put_facts(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    const struct {
        const char *title, *name;
    } words[] = { { "Local", "local_name" }, { "Cloud", "cloud_name" } };
    buf_str(out, "<dl class=\"facts\"><div><dt>Privacy</dt><dd>");
    page_words(out, &at, "privacy");
    buf_str(out, t->synthetic ? ", synthetic cases</dd></div>" : "</dd></div>");
    for (size_t k = 0; k < ARRAY_LEN(words); k++) {
        buf_printf(out, "<div><dt>%s</dt><dd>", words[k].title);
        if (*spot_text(&at, words[k].name))
            page_words(out, &at, words[k].name);
        else
            buf_str(out, "none");
        buf_str(out, "</dd></div>");
    }
    fact(out, "Cases", &at, "n_cases", AS_COUNT);
    fact(out, "Bar for local", &at, "bar", AS_PERCENT);
    fact(out, "Margin to the cloud", &at, "margin", AS_MARGIN);
    fact(out, "Limit: 95 % within", &at, "limit_latency_p95_ms", AS_MS);
    fact(out, "Limit: cost of an answer", &at, "limit_cost_usd", AS_USD);
    fact(out, "Limit: malformed", &at, "limit_malformed", AS_PERCENT);
    buf_str(out, "</dl>\n");
}

static void put_task(const report_data *r, size_t i, buf *out)
{
    spot at = spot_task(r, i);
    buf_printf(out, "<section class=\"task\" aria-labelledby=\"t%zu\">\n<div class=\"title\"><h2 id=\"t%zu\">", i, i);
    page_words(out, &at, "task");
    buf_str(out, "</h2>");
    put_badge(&r->tasks[i], out);
    buf_str(out, "<span class=\"soft\">");
    put_since(r, i, out);
    buf_str(out, "</span></div>\n<p class=\"soft\">");
    page_words(out, &at, "description");
    buf_str(out, "</p>\n<p class=\"because\">");
    page_words(out, &at, "reason");
    buf_str(out, "</p>\n");
    put_facts(r, i, out);
    buf_str(out, "<div class=\"pair\">\n");
    page_quality(r, i, out);
    page_history(r, i, out);
    buf_str(out, "</div>\n");
    page_models(r, i, out);
    page_costs(r, i, out);
    page_people(r, i, out);
    page_confidence(r, i, out);
    page_cases(r, i, out);
    buf_str(out, "</section>\n");
}

static void put_foot(const report_data *r, buf *out)
{
    spot at = make(&report_columns_doc, r, "");
    buf_str(out, "<footer>\n<p>Intervals hold with 95 % confidence: Clopper and Pearson for rates, Tango for paired "
                 "differences, the bootstrap over cases for costs. Made by hearth <span class=\"n\">");
    page_words(out, &at, "version");
    buf_str(out, "</span> on ");
    page_words(out, &at, "cpu");
    buf_str(out, ", ");
    page_words(out, &at, "system");
    buf_str(out, ". This page loads nothing from anywhere. <span class=\"id\">hearth report --json</span> and "
                 "<span class=\"id\">--csv</span> carry every figure.</p>\n</footer>\n<script>");
    buf_add(out, web_report_js.text, web_report_js.n);
    buf_str(out, "</script>\n</body>\n</html>\n");
}

void report_html(const report_data *r, buf *out)
{
    put_head(r, out);
    put_overview(r, out);
    buf_str(out, "<main id=\"tasks\" tabindex=\"-1\">\n");
    if (r->n_tasks == 0)
        buf_str(out, "<p>No tasks were found.</p>\n");
    for (size_t i = 0; i < r->n_tasks; i++)
        put_task(r, i, out);
    buf_str(out, "</main>\n");
    put_foot(r, out);
}
