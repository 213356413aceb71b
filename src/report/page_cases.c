/* page_cases.c: case by case, folded: what was asked, what was expected, what was said, and where they differ. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "report/page_int.h"

enum {
    CASES_SHOWN_MAX = 2000, /* on the page; JSON and CSV have all */
    TEXT_SHOWN_MAX = 6000,  /* bytes of one text on the page */
};

/* ---- texts ---- */

static const char *absent(const report_text *x)
{
    static const struct {
        const char *state, *says;
    } states[] = {
        { "withheld", "withheld: the task is private (--with-text shows it)" },
        { "secret", "not kept: the task is secret" },
        { "purged", "not kept: it was purged" },
        { "not stored", "not kept" },
        { "left out", "left out: the report's texts would be too long" },
        { "none", "none" },
    };
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strcmp(x->state, states[i].state) == 0)
            return states[i].says;
    return x->bytes == 0 ? "empty" : NULL;
}

static size_t shown_bytes(const report_text *x)
{
    size_t n = strlen(x->text);
    return n > TEXT_SHOWN_MAX ? utf8_complete(x->text, TEXT_SHOWN_MAX) : n;
}

/* data-key of a text that is cut on the page names a prefix. */
static void open_said(buf *out, const spot *at, const char *name, const report_text *x, bool whole)
{
    buf_printf(out, "<div class=\"said\" dir=\"auto\" data-key=\"%s/%s\" data-as=\"%s\">", at->path, name,
               whole && shown_bytes(x) == strlen(x->text) ? "text" : "part");
}

static void close_said(buf *out, const report_text *x)
{
    buf_str(out, "</div>");
    if (shown_bytes(x) < strlen(x->text) || x->bytes > strlen(x->text))
        buf_str(out, "<p class=\"meta\">Only its beginning is shown.</p>");
}

static void said(buf *out, const spot *at, const char *name, const report_text *x)
{
    const char *why = absent(x);
    if (why) {
        buf_printf(out, "<div class=\"said none\">%s</div>", why);
        return;
    }
    open_said(out, at, name, x, true);
    report_escape_html(out, x->text, shown_bytes(x));
    close_said(out, x);
}

/* ---- diffs ---- */

typedef struct diff_writer {
    buf *out;
    const char *opening;    /* written before the first word: a text too long to compare leaves nothing */
    const char *gone, *new; /* what a listener hears before words that are in one text only */
} diff_writer;

static void write_diff(void *user, diff_kind kind, const char *p, size_t n)
{
    static const char *const tags[] = { "", "del", "ins" };
    diff_writer *w = user;
    buf_str(w->out, w->opening);
    w->opening = "";
    if (kind != DIFF_SAME)
        buf_printf(w->out, "<%s><span class=\"vh\">[%s: </span>", tags[kind], kind == DIFF_GONE ? w->gone : w->new);
    report_escape_html(w->out, p, n);
    if (kind != DIFF_SAME)
        buf_printf(w->out, "<span class=\"vh\">]</span></%s>", tags[kind]);
}

static void count_shared(void *user, diff_kind kind, const char *p, size_t n)
{
    (void)p;
    *(size_t *)user += kind == DIFF_SAME ? n : 0;
}

/* Two texts without a word in common stand one beside the other as well. */
static bool can_diff(const report_text *a, const report_text *b)
{
    size_t shared = 0;
    return !absent(a) && !absent(b) && strlen(a->text) <= TEXT_SHOWN_MAX && strlen(b->text) <= TEXT_SHOWN_MAX &&
           strcmp(a->text, b->text) != 0 && report_diff(a->text, b->text, count_shared, &shared) && shared > 0;
}

/* A fraction of what is expected is a list of facts, or any JSON: words of an answer are compared only with what an
 * answer can look like. */
static bool is_like_an_answer(const report_task *t, const report_text *expected)
{
    return strcmp(t->output, "json") == 0 || (expected->text[0] != '{' && expected->text[0] != '[');
}

static void answer_diff(buf *out, const report_task *t, const report_case *c, const report_answer *a)
{
    diff_writer w = { out, "<p class=\"meta\">Against what was expected: <del>missing</del> <ins>not expected"
                           "</ins></p><div class=\"said\" dir=\"auto\">", "missing", "not expected" };
    if (can_diff(&c->expected, &a->text) && is_like_an_answer(t, &c->expected) &&
        report_diff(c->expected.text, a->text.text, write_diff, &w))
        buf_str(out, "</div>");
}

static const report_answer *answer_of(const report_case *c, int64_t arm)
{
    for (size_t i = 0; arm >= 0 && i < c->n_answers; i++)
        if (c->answers[i].arm == (uint64_t)arm)
            return &c->answers[i];
    return NULL;
}

static void sides_diff(buf *out, const report_task *t, const report_case *c)
{
    const report_answer *a = answer_of(c, t->local), *b = answer_of(c, t->cloud);
    diff_writer w = { out, "<div class=\"across\"><h4>From local to cloud</h4><p class=\"meta\"><del>only local</del> "
                           "<ins>only the cloud</ins></p><div class=\"said\" dir=\"auto\">",
                      "local", "cloud" };
    if (a && b && can_diff(&a->text, &b->text) && report_diff(a->text.text, b->text.text, write_diff, &w))
        buf_str(out, "</div></div>");
}

/* ---- one case ---- */

static const struct {
    const char *outcome, *class_name, *sign;
} outcomes[] = {
    { "pass", "pass", "✓" },
    { "wrong", "wrong", "✗" },
    { "malformed", "malformed", "▲" },
    { "open", "unanswered", "–" },
};

static void mark(buf *out, const report_answer *a)
{
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
        if (strcmp(outcomes[i].outcome, a->outcome) == 0)
            buf_printf(out, "<strong class=\"%s\"><span aria-hidden=\"true\">%s</span> %s</strong>",
                       outcomes[i].class_name, outcomes[i].sign,
                       a->outcome[0] == 'p' ? "right" : a->outcome[0] == 'o' ? "not judged" : a->outcome);
}

static void marks(const report_data *r, size_t i, const report_case *c, buf *out)
{
    const report_task *t = &r->tasks[i];
    buf_str(out, "<span class=\"marks\">");
    for (size_t k = 0; k < c->n_answers; k++) {
        size_t arm = (size_t)c->answers[k].arm;
        const char *role = t->arms[arm].role;
        spot at = spot_arm(r, i, arm);
        bool side = strcmp(role, "local") == 0 || strcmp(role, "cloud") == 0;
        buf_str(out, "<span class=\"mark-of\">");
        page_words(out, &at, side ? "role" : "model");
        buf_char(out, ' ');
        mark(out, &c->answers[k]);
        buf_str(out, "</span>");
    }
    if (c->n_answers == 0)
        buf_str(out, "<span class=\"unanswered\">not answered</span>");
    buf_str(out, "</span>");
}

/* Grader by grader, where there is more than one. */
static void graders(const report_data *r, size_t i, size_t k, size_t n, buf *out)
{
    const report_answer *a = &r->tasks[i].cases[k].answers[n];
    buf_str(out, "<ul class=\"meta graders\">");
    for (size_t p = 0; p < a->n_parts; p++) {
        spot at = spot_part(r, i, k, n, p);
        buf_str(out, "<li>");
        page_words(out, &at, "grader");
        buf_str(out, ": ");
        page_words(out, &at, "outcome");
        buf_str(out, ", score ");
        page_figure(out, &at, "score", AS_SHARE);
        if (a->parts[p].reason[0]) {
            buf_str(out, "; ");
            page_words(out, &at, "reason");
        }
        buf_str(out, "</li>");
    }
    buf_str(out, "</ul>");
}

static void answer(const report_data *r, size_t i, size_t k, size_t n, buf *out)
{
    const report_task *t = &r->tasks[i];
    const report_case *c = &t->cases[k];
    const report_answer *a = &c->answers[n];
    spot at = spot_answer(r, i, k, n), arm = spot_arm(r, i, (size_t)a->arm);
    buf_str(out, "<div><h4>");
    page_words(out, &arm, "role");
    buf_str(out, ": ");
    page_words(out, &arm, "model");
    buf_char(out, ' ');
    mark(out, a);
    buf_str(out, "</h4>");
    said(out, &at, "text", &a->text);
    if (a->n_parts) {
        graders(r, i, k, n, out);
    } else if (a->reason[0]) {
        buf_str(out, "<p class=\"meta\">Graders: ");
        page_words(out, &at, "reason");
        buf_str(out, "</p>");
    }
    buf_str(out, "<p class=\"meta\">score ");
    page_figure(out, &at, "score", AS_SHARE);
    if (a->n_output >= 0) {
        buf_str(out, ", ");
        page_figure(out, &at, "n_output", AS_TOKENS);
        buf_str(out, " tokens");
    }
    if (a->total_us >= 0) {
        buf_str(out, ", ");
        page_figure(out, &at, "total_us", AS_SECONDS_US);
    }
    if (isfinite(a->mean_logprob)) {
        buf_str(out, ", mean log-probability ");
        page_figure(out, &at, "mean_logprob", AS_SHARE);
    }
    if (strcmp(a->finish, "stop") != 0 && a->finish[0]) {
        buf_str(out, ", ended by ");
        page_words(out, &at, "finish");
    }
    buf_str(out, "</p>");
    answer_diff(out, t, c, a);
    buf_str(out, "</div>");
}

static void one_case(const report_data *r, size_t i, size_t k, buf *out)
{
    const report_task *t = &r->tasks[i];
    const report_case *c = &t->cases[k];
    spot at = spot_case(r, i, k);
    buf_printf(out, "<li class=\"case%s%s%s%s\"><details><summary><span class=\"id\">", c->differs ? " is-differ" : "",
               c->wrong ? " is-wrong" : "", c->malformed ? " is-malformed" : "",
               c->open || c->n_answers < t->n_arms ? " is-open" : "");
    page_words(out, &at, "case");
    buf_str(out, "</span>");
    marks(r, i, c, out);
    buf_str(out, "</summary><div class=\"body\"><div><h4>Asked</h4>");
    said(out, &at, "input", &c->input);
    buf_str(out, "</div><div><h4>Expected</h4>");
    said(out, &at, "expected", &c->expected);
    if (c->tags[0]) {
        buf_str(out, "<p class=\"meta\">Tags: ");
        page_words(out, &at, "tags");
        buf_str(out, "</p>");
    }
    buf_str(out, "</div>");
    for (size_t n = 0; n < c->n_answers; n++)
        answer(r, i, k, n, out);
    sides_diff(out, t, c);
    buf_str(out, "</div></details></li>\n");
}

/* ---- all of them ---- */

static void filters(size_t i, buf *out)
{
    static const struct {
        const char *class_name, *says;
    } kinds[] = {
        { "f-all", "all" }, { "f-differ", "local and cloud differ" }, { "f-wrong", "some model is wrong" },
        { "f-malformed", "malformed" }, { "f-open", "not answered or judged" },
    };
    buf_printf(out, "<fieldset class=\"filters\"><legend>Show cases</legend>");
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        buf_printf(out, "<label><input type=\"radio\" name=\"t%zu-filter\" class=\"%s\"%s> %s</label>", i,
                   kinds[k].class_name, k ? "" : " checked", kinds[k].says);
    buf_str(out, "</fieldset>\n<div class=\"tools\"></div>\n");
}

void page_cases(const report_data *r, size_t i, buf *out)
{
    const report_task *t = &r->tasks[i];
    spot at = spot_task(r, i);
    size_t n = t->n_listed < CASES_SHOWN_MAX ? t->n_listed : CASES_SHOWN_MAX;
    buf_str(out, "<div class=\"block\"><h3>Case by case</h3>\n<p class=\"soft\">");
    buf_str(out, "In ");
    page_figure(out, &at, "n_not_pass", AS_COUNT);
    buf_str(out, " of ");
    page_figure(out, &at, "n_cases", AS_COUNT);
    buf_str(out, " cases some model was not right");
    if (t->local >= 0 && t->cloud >= 0) {
        buf_str(out, "; in ");
        page_figure(out, &at, "n_differ", AS_COUNT);
        buf_str(out, " only one of local and cloud is right");
    }
    buf_str(out, ".</p>\n");
    filters(i, out);
    if (n < t->n_listed)
        buf_str(out, "<p class=\"note\">The first cases are shown; JSON and CSV have them all.</p>\n");
    buf_str(out, "<ul class=\"cases\">\n");
    for (size_t k = 0; k < n; k++)
        one_case(r, i, k, out);
    buf_str(out, "</ul></div>\n");
}
