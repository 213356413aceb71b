/* report_int.h: between the files of report/. */
#ifndef REPORT_REPORT_INT_H
#define REPORT_REPORT_INT_H

#include "base/str.h"
#include "ledger/ledger.h"
#include "ledger/tally.h"
#include "report/report.h"
#include "stat/stat.h"
#include "task/evidence.h"

/* ---- columns.c: the figures of a row, described once ---- */

typedef enum column_kind { COLUMN_TEXT, COLUMN_COUNT, COLUMN_WHOLE, COLUMN_REAL, COLUMN_TIME, COLUMN_FLAG } column_kind;
typedef struct report_column {
    const char *name;  /* the key in JSON, the heading in CSV */
    column_kind kind;
    size_t offset;     /* of const char *, uint64_t, int64_t, double, int64_t, bool */
} report_column;
typedef struct report_columns {
    const char *table;
    size_t n;
    const report_column *c;
} report_columns;
extern const report_columns report_columns_doc, report_columns_task, report_columns_arm, report_columns_bin,
    report_columns_point, report_columns_change, report_columns_case, report_columns_answer, report_columns_class,
    report_columns_confusion, report_columns_part, report_columns_preference;

/* Our own mistake (asserts) when there is no such column. */
const report_column *report_find_column(const report_columns *t, const char *name);
/* A figure as a double; NAN where it is not known. Not for texts. */
double report_figure(const report_columns *t, const void *row, const char *name);

/* ---- gathering ---- */

/* One task's work. Strings and rows come from `texts`. */
typedef struct report_work {
    ledger *l;
    const task *t;
    const route_settings *s;
    const report_options *o;
    arena *texts;
    size_t *text_bytes;     /* of all texts so far */
    char *sampling;         /* task_sampling_key */
    ledger_sources sources;
    struct arm_work {       /* of arms, in the same order */
        ledger_rows rows;
        tally tally;
        task_case_key *by_task;
        tally_key *keys;
        double *usd;            /* [place in `order`]; NAN: not known */
    } arms[REPORT_ARMS_MAX];
    size_t *order;          /* of the task's cases: those of one cluster together */
    uint32_t *unit;         /* [place in `order`]: its cluster, ascending from 0 */
    report_task *out;
} report_work;

const char *report_keep(report_work *w, const char *text); /* NULL without memory; NULL text is "" */
void *report_rows(report_work *w, size_t n, size_t size);
status report_no_memory(error *err);
/* Whether answers of this source can count: the newest of its provider, sampled as the task asks. */
bool report_source_counts(const report_work *w, size_t source);
const char *report_what_differs(const ledger_evidence *old, const ledger_evidence *new);

status report_gather_arms(report_work *w, error *err) MUST_CHECK;
/* costs.c: before the arms, so that cases stand by their cluster; of one arm; of the two sides. */
status report_order_cases(report_work *w, error *err) MUST_CHECK;
status report_gather_cost(report_work *w, size_t arm, const ledger_row *setting, error *err) MUST_CHECK;
status report_gather_saving(report_work *w, error *err) MUST_CHECK;
/* figures.c: F1 by label or field of one arm. */
status report_gather_figures(report_work *w, size_t arm, error *err) MUST_CHECK;
/* labels.c: what people said; after the arms have their final order. */
status report_gather_labels(report_work *w, error *err) MUST_CHECK;
/* The parts of a grade's detail; *n = 0 where it has none. w's memory. */
status report_read_parts(report_work *w, const char *answer, const char *grader, report_part **out, size_t *n,
                         error *err) MUST_CHECK;
status report_gather_history(report_work *w, error *err) MUST_CHECK;
status report_gather_cases(report_work *w, error *err) MUST_CHECK;

/* reliability.c: an answer's confidence and whether it passed -> bins, ECE, AUROC of the arm. */
typedef struct report_sure {
    double confidence; /* 0 … 1 */
    bool pass;
} report_sure;
/* Sorts x. */
status report_reliability(report_sure *x, size_t n, report_arm *out, error *err) MUST_CHECK;

/* ---- showing ---- */

typedef enum report_as {
    AS_PERCENT,  /* 0.1234: 12.3 % */
    AS_RATE,     /* 0.1234: 12.3, inside of an interval whose unit stands outside */
    AS_POINTS,   /* -0.041: −4.1 points */
    AS_SIGNED,   /* -0.041: −4.1 */
    AS_MARGIN,   /* 0.05: 5.0 points */
    AS_COUNT, AS_MS, AS_SECONDS_US, AS_PER_S, AS_BYTES, AS_USD, AS_TOKENS,
    AS_SHARE,    /* 0.123 */
    AS_FACTOR,   /* 1.23, 99, 3360, 1.2e+07 */
    AS_JOULES,
    AS_DAY, AS_MINUTE /* 2026-11-23; 2026-11-23 07:08 UTC */
} report_as;
const char *report_as_name(report_as as);
enum { REPORT_SHOWN_BYTES = 40 };
/* "–" where it is not known. Returns text. */
char *report_show(double v, report_as as, char text[REPORT_SHOWN_BYTES]);

const char *report_verdict_word(const report_task *t); /* "Local", "Cloud", "Not proven" */

/* escape.c. In HTML: & < > " ' and what no reader can see: control, direction and other invisible characters become
 * their name in brackets, bytes that are not UTF-8 U+FFFD. */
void report_escape_html(buf *out, const char *s, size_t n);
/* In a terminal: the same rule, on one line. */
void report_escape_line(buf *out, const char *s, size_t n);

/* diff.c: what must go from a to make b, word by word. */
typedef enum diff_kind { DIFF_SAME, DIFF_GONE, DIFF_NEW } diff_kind;
typedef void diff_each(void *user, diff_kind kind, const char *p, size_t n);
/* false: too long (DIFF_WORDS_MAX) or no memory, and nothing was called. */
enum { DIFF_WORDS_MAX = 1200 };
bool report_diff(const char *a, const char *b, diff_each *each, void *user);

#endif
