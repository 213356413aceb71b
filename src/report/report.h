/* report.h: what was measured of each task, for people and for programs. Owner thread.
 *
 * report_gather reads ledger and tasks once into plain data (report_data); four writers show that data and read nothing
 * else: report_html (one page without a network), report_text (a terminal), report_to_js and report_csv. The figures of
 * a row are described once, in a table of columns (columns.c). JSON and CSV write every column; the page and the
 * terminal can show a figure only by the name of its column. So a number that is shown is a number in JSON and CSV
 * (tests/report/test_page.py).
 *
 * Texts of cases and answers:
 *   public, internal  in the report
 *   private           left out, unless options say with_text: a report may be mailed
 *   secret            never
 * Shares are 0 … 1, differences of shares -1 … 1, times UTC microseconds, 0: never. NAN: not known. Strings are
 * never NULL and belong to the data. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "base/buf.h"
#include "base/js.h"
#include "base/mem.h"
#include "base/status.h"
#include "ledger/ledger.h"
#include "route/route.h"
#include "task/task.h"

enum {
    REPORT_FORMAT = 1,
    REPORT_ARMS_MAX = 64,       /* of one task: as many as route looks at; the newest are in */
    REPORT_BINS_MAX = 10,
    REPORT_LABELS_MAX = 24,      /* a wider confusion matrix is nobody's to read */
    REPORT_AUROC_MAX = 8192,     /* its interval takes n^2 steps */
    REPORT_TEXT_BYTES_MAX = 64 << 10,     /* of one text that is kept; the rest is counted */
    REPORT_TEXTS_BYTES_MAX = 256 << 20,   /* of all texts together */
    REPORT_BYTES_MAX = 512 << 20,         /* of one document */
};

/* Answers of similar confidence. Confidence is exp(mean log-probability): the geometric mean of what the model gave its
 * own tokens. */
typedef struct report_bin {
    double low, high, confidence; /* bounds and mean */
    uint64_t n, n_pass;
    double rate, rate_low, rate_high; /* 95 %, Clopper-Pearson */
} report_bin;

/* A label or a field, by the texts that are kept (task/suite.h). NAN: not defined. */
typedef struct report_class {
    const char *grader, *kind, *name; /* kind: "label", "field" */
    uint64_t tp, fp, fn;
    double precision, recall, f1;
} report_class;

typedef struct report_confusion { /* what is not zero; of label tasks of up to REPORT_LABELS_MAX labels */
    const char *grader, *expected, *answered; /* answered: a label, or "malformed" */
    uint64_t n;
} report_confusion;

/* One model as it was asked (one evidence), by what counts today. */
typedef struct report_arm {
    const char *role;     /* "local", "cloud": the two sides of the decision; else "other", "recording" */
    const char *provider, *model, *place, *evidence, *run;
    const char *cpu, *isa, *power, *governor; /* of the run that its times are of */
    int64_t measured_us;
    uint64_t threads;
    uint64_t n_cases, n, n_pass, n_wrong, n_malformed, n_failed, n_stale;
    const char *stale;    /* why n_stale answers do not count; "" */
    double rate, rate_low, rate_high;
    double score, score_low, score_high;
    double malformed_share;
    double prefill_per_s, decode_per_s;
    double ttft_p50_ms, ttft_p95_ms, answer_p50_ms, answer_p95_ms;
    uint64_t n_timed;     /* answers the times are of: one machine, threads, ISA, power source, concurrency */
    uint64_t concurrency; /* cases asked at once meanwhile; 1: each answer had the machine alone; 0: none timed */
    double peak_bytes, tokens_in, tokens_out; /* tokens per answer */
    /* Per answer, means with 95 % intervals (measure/money.h). */
    double cost_usd, cost_low, cost_high;
    const char *cost_of;  /* "tokens" at a price, "energy" of this machine; "": not known */
    double price_input, price_output; /* US dollars per million tokens */
    const char *price_as_of; /* the day the price is of; "": undated */
    double energy_j, energy_low, energy_high; /* gross */
    const char *energy_of; /* "measured", "watts" (a figure of the user's, times time), "mixed"; "": not known */
    uint64_t n_figures;   /* answers whose kept texts F1 is of */
    double macro_f1, micro_f1; /* of the first grader that has labels or fields */
    size_t n_classes, n_confusion;
    report_class *classes;
    report_confusion *confusion;
    /* what people said of its answers */
    uint64_t n_labelled, n_accepted;
    double accepted, accepted_low, accepted_high;
    uint64_t n_agreement, n_agree; /* graded answers with a label, and where graders and people say the same */
    double agreement, agreement_low, agreement_high, kappa, kappa_low, kappa_high;
    uint64_t n_judged, n_judge_agree; /* the same of the grader `judge` alone */
    double judge_agreement, judge_agreement_low, judge_agreement_high, judge_kappa, judge_kappa_low, judge_kappa_high;
    uint64_t n_confident; /* answers with a log-probability */
    double ece, auroc;    /* expected calibration error; probability that a right answer is the more confident one */
    double auroc_low, auroc_high; /* DeLong; not of more than REPORT_AUROC_MAX answers */
    size_t n_bins;
    report_bin bins[REPORT_BINS_MAX];
} report_arm;

/* One measurement: runs in a row of one provider under one evidence and prompt, as long as no case is asked twice. It
 * is judged by today's graders and expectations, so that points can be compared. */
typedef struct report_point {
    int64_t at_us, last_us;
    const char *provider, *model, *place, *evidence, *run, *version;
    uint64_t n, n_pass, n_wrong, n_malformed, n_ungraded; /* cases */
    double rate, rate_low, rate_high;
    bool counts;          /* today's prompt, suite and evidence */
    const char *changed;  /* what changed since this provider's point before: "the prompt; 3 cases new"; "" */
    const char *marks;    /* the same in a word or two: "prompt", "model, suite" */
} report_point;

typedef struct report_change { /* a conclusion that was written down */
    int64_t at_us;
    const char *verdict, *local_evidence, *cloud_evidence;
    uint64_t win, tie, loss, n, n_pass;
} report_change;

typedef struct report_text { /* of a case or an answer */
    const char *text;     /* "" where there is none */
    uint64_t bytes;       /* of the whole text: more than strlen(text) when it was cut; 0: not known */
    const char *state;    /* "kept", "cut", "withheld", "secret", "purged", "not stored", "left out", "none" */
} report_text;

typedef struct report_part { /* what one grader said of an answer */
    const char *grader, *outcome, *reason;
    double score;
} report_part;

typedef struct report_answer { /* of one arm to one case: its newest first repeat that counts today */
    uint64_t arm;         /* which of the task's arms */
    const char *outcome;  /* "pass", "wrong", "malformed", "open": of the case, over all repeats */
    double score;
    uint64_t repeats;     /* answered */
    report_text text;
    const char *reason;   /* what the graders said; "" */
    size_t n_parts;       /* 0, or grader by grader, where the ledger kept it and there is more than one */
    report_part *parts;
    double mean_logprob;
    int64_t n_output, total_us; /* -1: not known */
    const char *finish;
} report_answer;

typedef struct report_case {
    const char *id, *tags, *cluster; /* tags: "a, b" */
    report_text input, expected;
    bool differs;         /* local and cloud: one right, the other not */
    bool wrong, malformed, open; /* some arm's answer is */
    size_t n_answers;
    report_answer *answers;
} report_case;

typedef struct report_preference { /* people comparing the answers of two arms, blind */
    uint64_t a, b, win, tie, loss, n; /* arms; win: a was better */
    double difference, low, high; /* (win - loss) / n, Tango */
} report_preference;

typedef struct report_task {
    const char *id, *description, *privacy, *output;
    const char *text_policy; /* "shown", "withheld", "secret" */
    bool synthetic;
    const char *suite;    /* digest */
    uint64_t n_cases;
    double bar, margin, limit_latency_p95_ms, limit_cost_usd, limit_malformed; /* NAN: none */
    /* today's conclusion (route/route.h) */
    const char *verdict;  /* "local", "cloud", "not proven" */
    const char *choice, *state, *provider, *reason;
    bool complete, met_bar, met_margin, met_limits;
    int64_t since_us;     /* 0: nothing was measured */
    const char *since_of; /* "decision": so long the ledger's decisions say the same; "measurement": newest answer */
    int64_t local, cloud; /* arms; -1: none measured */
    const char *local_name, *cloud_name; /* providers, also of sides that were not measured; "" */
    /* pairs: cases that both sides answered */
    uint64_t n_pairs, only_local, same, only_cloud;
    double difference, difference_low, difference_high; /* local - cloud; 95 % (Tango) */
    double difference_bound; /* one-sided 95 %: what the margin is compared with */
    double discordance;
    /* the same however often one looks (stat/decide.h); NAN and "" where cases share documents or nothing is paired */
    double e_value, sequence_low, sequence_high;
    const char *e_verdict; /* "within", "worse", "open", "clustered"; "" */
    /* the task's cascade (route/cascade.h) */
    const char *cascade;  /* "on", "off"; "": the task has none */
    const char *cascade_because; /* off: why; "" */
    uint64_t cascade_cases, cascade_accepted, cascade_wrong; /* calibrated on; of them accepted; of these not right */
    double cascade_tau, cascade_coverage, cascade_coverage_low, cascade_coverage_high, cascade_risk; /* NAN: none */
    /* people */
    bool judged;          /* a grader is a model that judges */
    uint64_t n_labels, n_people, n_labels_stale;
    /* money: the cloud's answer less the local one's, and the answers a month from which local is cheaper */
    double saving_usd, saving_low, saving_high;
    const char *break_even; /* "unknown", "already", "never", "from" */
    double break_even_answers, break_even_low, break_even_high; /* high NAN: no upper end */
    /* what the suite can show */
    double resolution_margin; /* the least margin that the pairs (none: the cases) prove with power .8 if the sides are
                                 equal, at the discordance seen (at least .05; without pairs .2) */
    double resolution_rate;   /* half width of one rate's 95 % interval at worst */
    double baseline_majority, baseline_rules;
    uint64_t n_differ, n_not_pass; /* cases */
    size_t n_arms, n_points, n_changes, n_listed, n_preferences;
    report_arm *arms;
    report_point *points; /* oldest first */
    report_change *changes; /* oldest first */
    report_preference *preferences;
    report_case *cases;   /* n_listed, in the order of the file */
} report_task;

typedef struct report_data {
    uint64_t format;      /* REPORT_FORMAT: raised when a column changes its meaning or goes */
    int64_t at_us;
    const char *version, *cpu, *system, *ledger;
    bool with_text;
    double usd_per_month, usd_per_kwh, watts_busy; /* of this machine, as configured; NAN: not given */
    uint64_t n_local, n_cloud, n_unproven; /* tasks by verdict */
    size_t n_tasks;
    report_task *tasks;
    arena texts;          /* everything above lives here */
} report_data;

typedef struct report_price { /* of a provider: US dollars per million tokens; NAN: not known */
    const char *provider;
    double input, output, cached; /* cached NAN: as other input */
    const char *as_of;    /* "2026-11-01"; "": undated */
} report_price;

typedef struct report_options {
    bool with_text;       /* of private tasks too; never of secret ones */
    int64_t at_us;        /* when; 0: now */
    const report_price *prices; /* today's; of providers without one, those that their run wrote down */
    size_t n_prices;
    double usd_per_month, usd_per_kwh, watts_busy; /* what answering on this machine costs; NAN: not given */
} report_options;

/* The tasks' cases are loaded. l may be NULL: nothing was measured. *out: report_close. */
status report_gather(ledger *l, task *const *tasks, size_t n, const route_settings *s, const report_options *o,
                     report_data **out, error *err) MUST_CHECK;
void report_close(report_data **r);

/* ---- writers ---- */
/* NULL without memory. */
js *report_to_js(const report_data *r);
/* One document in which the first column, `table`, says what a row is of. RFC 4180. Text that a spreadsheet would take
 * for a formula begins with an apostrophe. */
void report_csv(const report_data *r, buf *out);
/* One table of it, without that column. */
void report_csv_table(const report_data *r, size_t table, buf *out);
extern const size_t report_n_tables;
const char *report_table_name(size_t table); /* "tasks", "arms", … */

/* One page: HTML 5, style, script and pictures within; it may load nothing (Content-Security-Policy). */
void report_html(const report_data *r, buf *out);

typedef struct report_terminal {
    size_t columns;       /* 0: 80 */
    bool colours;
} report_terminal;
void report_text_tasks(const report_data *r, const report_terminal *how, buf *out);

/* Writes text[0..n) to path: mode 0600, whole or not at all (a file beside it, renamed). */
status report_write_file(const char *path, const char *text, size_t n, error *err) MUST_CHECK;

#endif
