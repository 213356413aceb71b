/* ledger.h: what was measured, append only: one SQLite file, mode 0600, write-ahead log. The only user of sqlite3.
 *
 *   machine   what computed                      \
 *   run       one `measure` of one task on one provider, on one machine
 *   evidence  what an answer depends on besides its case and prompt; its id is the digest of its fields
 *   answer    one case answered once: run, evidence, case, prompt digest, text digest, counts and times
 *   grade     answer x grader digest -> score, outcome: regrading runs nothing
 *   failure   a case without an answer (timeout, garbage, crash): never an answer, never wrong; it is run again
 *   label     what a person said of an answer: accepted, rejected (and put right), or which of two is better
 *   decision  what hearth concluded of a task on a day, with the counts and evidence it rests on
 *   fact      a named number of a run (speed, memory): belongs to the run's machine, threads, ISA, power source
 *   policy, shadow, alarm   what the router was told, and how routes do that are in force: watch.h
 *   text      prompts and answers by digest: the only table that may lose rows
 *
 * Invariants, kept by triggers and transactions, not by good will:
 *  1. No row is ever changed; only rows of `text` are ever deleted (ledger_purge_text). A regrade is a new grade.
 *  2. A case is one transaction (answer + grade + text): after a kill at any moment it is there whole or not at all.
 *  3. Ids are UUIDv7, ascending; times are UTC microseconds; texts are stored once by SHA-256.
 *  4. Answers with different evidence or prompt digest are never pooled: a query names exactly one of each.
 *  5. Of class secret neither text nor its digest is stored (keep_text false).
 *
 * Owner thread. Two processes at once are fine (WAL; a writer waits up to 10 s for another). Strings in rows are
 * borrowed from the result and live until ledger_*_close. */
#ifndef LEDGER_LEDGER_H
#define LEDGER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "plat/random.h"

enum { LEDGER_VERSION = 3 }; /* of the schema */

typedef struct ledger ledger;
typedef enum ledger_mode {
    LEDGER_READ,  /* must exist: E_NOTFOUND */
    LEDGER_WRITE, /* made when missing, migrated when old */
} ledger_mode;

/* path NULL: ledger.db where plat/paths.h says. E_FORMAT: not a ledger, or of a newer hearth; E_IO: with what the
 * system said (a full disk is named as such); E_EXISTS: another process held the lock too long. */
status ledger_open(ledger **out, const char *path, ledger_mode mode, error *err) MUST_CHECK;
void ledger_close(ledger **l);
const char *ledger_path(const ledger *l);
/* A number that is another one after something was committed through any other connection (any process). Of a ledger
 * opened to read, and of nobody else's: numbers of two connections have nothing to do with each other. Microseconds. */
status ledger_version(ledger *l, uint64_t *out, error *err) MUST_CHECK;

/* ---- what is written: strings may be NULL or "" where they are not known ---- */

typedef struct ledger_machine {
    const char *cpu;      /* "Intel(R) Xeon(R) ..." */
    int cores;
    uint64_t memory_bytes;
    const char *system;   /* "Linux 6.1 x86_64" */
} ledger_machine;

typedef struct ledger_run {
    ledger_machine machine;
    const char *task;     /* its id; "" for a run that is not of a task */
    const char *provider; /* as it was asked for: config name or SPEC; shown, and opened again by it */
    const char *place;    /* "local", "on-premises", "remote" */
    const char *model;    /* the name to show */
    const char *version;  /* hearth's */
    int threads;          /* 0: not ours to know */
    const char *isa;      /* "avx2" */
    const char *power;    /* "mains", "battery", "unknown" */
    const char *governor; /* of the processor's frequency: "performance", "powersave"; "" where nothing governs it */
} ledger_run;

/* Everything an answer depends on besides case and prompt. Two answers may be pooled only when all of it is equal. */
typedef struct ledger_evidence {
    const char *source;       /* "local", "openai:URL#MODEL", "replay:FILE": who answers, not the name given to it */
    const char *model;        /* SHA-256 of the weights; "" for a remote model */
    const char *numerics;     /* version of docs/NUMERICS.md */
    const char *kv_type;      /* "f16", "q8", "f32" */
    const char *context_rule; /* "" unless the context limit changes the answer */
    bool constrained;         /* a grammar or schema masked the tokens */
    const char *sampling;     /* canonical JSON */
} ledger_evidence;
typedef enum evidence_field {
    EVIDENCE_SOURCE, EVIDENCE_MODEL, EVIDENCE_NUMERICS, EVIDENCE_KV_TYPE, EVIDENCE_CONTEXT_RULE, EVIDENCE_CONSTRAINED,
    EVIDENCE_SAMPLING, EVIDENCE_FIELDS,
} evidence_field;
/* Whether this field of the two is not the same. */
bool ledger_field_differs(const ledger_evidence *a, const ledger_evidence *b, evidence_field field);
/* SHA-256 of the fields above. */
void ledger_evidence_id(const ledger_evidence *e, char out[DIGEST_HEX]);
/* In words, what makes answers under `old` stale where `now` is asked for: "the model file changed, the KV type
 * changed"; "" when they are equal. Returns text; LEDGER_DIFFERS_BYTES hold every difference at once. */
enum { LEDGER_DIFFERS_BYTES = 256 };
char *ledger_evidence_differs(const ledger_evidence *old, const ledger_evidence *now, char *text, size_t bytes);

typedef enum ledger_outcome { LEDGER_PASS, LEDGER_WRONG, LEDGER_MALFORMED } ledger_outcome;
const char *ledger_outcome_name(ledger_outcome o); /* "pass", "wrong", "malformed" */

typedef struct ledger_grade {
    const char *grader; /* digest of the graders, their settings and what the case expects */
    double score;       /* 0..1 */
    ledger_outcome outcome;
    const char *detail; /* JSON: what each grader of the task said (name, score, outcome, reason); NULL or "": not kept.
                           ledger_find_grade does not give it: see ledger_find_detail */
} ledger_grade;

/* Counts are -1 and times -1 when not known. */
typedef struct ledger_answer {
    const char *case_id;
    uint32_t repeat;    /* 0, 1, ... at temperature > 0 */
    const char *prompt; /* digest of the rendered prompt */
    const char *text;   /* the raw answer */
    const char *prompt_text; /* the rendered prompt; NULL: not kept */
    bool keep_text;     /* false for class secret: neither text nor digests of answers are stored */
    const char *finish; /* "stop", "length" */
    int64_t n_prompt, n_output, n_cached; /* tokens */
    int64_t prefill_us, decode_us, ttft_us, total_us;
    double mean_logprob; /* NAN: not known */
    uint32_t concurrency; /* cases that this provider was asked at once; 0 and 1: this one alone */
} ledger_answer;

/* Begins a run: writes run, and machine and evidence when they are new. What is appended with its id belongs to it. */
status ledger_begin(ledger *l, const ledger_run *run, const ledger_evidence *evidence, char id[UUID_TEXT],
                    error *err) MUST_CHECK;
/* One case, one transaction, on disk when it returns. grade may be NULL (an answer not graded yet). */
status ledger_append_answer(ledger *l, const char *run, const ledger_answer *a, const ledger_grade *grade,
                            char id[UUID_TEXT], error *err) MUST_CHECK;
/* A further grade of an answer. Grading again with the same grader digest adds nothing. */
status ledger_append_grade(ledger *l, const char *answer, const ledger_grade *grade, error *err) MUST_CHECK;
/* A case that got no answer. kind is fault_kind_name's or status_name's word; sentence is not stored when NULL. */
status ledger_append_failure(ledger *l, const char *run, const char *case_id, const char *kind, const char *sentence,
                             error *err) MUST_CHECK;
/* "decode_tokens_per_s", 41.2, "1/s" */
status ledger_append_fact(ledger *l, const char *run, const char *name, double value, const char *unit,
                          error *err) MUST_CHECK;

/* ---- what was said of answers ---- */

typedef enum ledger_verdict { LABEL_ACCEPT, LABEL_REJECT, LABEL_FIRST, LABEL_SECOND, LABEL_TIE } ledger_verdict;
const char *ledger_verdict_name(ledger_verdict v); /* "accept", "reject", "first", "second", "tie" */

/* A person's word on an answer, or on two answers to one case (first: `answer` is better). */
typedef struct ledger_label {
    const char *id;      /* read only */
    int64_t at_us;       /* read only */
    const char *task, *case_id;
    const char *answer, *other; /* ids; other "" or NULL: of one answer */
    ledger_verdict verdict;
    const char *fixed;   /* the text as it should have been; the text (NULL: none); read: its digest */
    const char *who;     /* whose word it is, as they call themselves; "" */
} ledger_label;
/* keep_text as in ledger_answer. */
status ledger_append_label(ledger *l, const ledger_label *label, bool keep_text, error *err) MUST_CHECK;

/* What was concluded of a task: the argument as it stood that day. */
typedef struct ledger_decision {
    const char *id;      /* read only */
    int64_t at_us;       /* read only */
    const char *task;
    const char *verdict; /* route's word: "local", "cloud", "refuse", "unproven", … */
    const char *local_evidence, *cloud_evidence; /* ids, "" or NULL: none */
    const char *suite;   /* digest of the cases */
    uint64_t win, tie, loss; /* pairs: local alone right, both or neither, cloud alone right */
    uint64_t n, n_pass;  /* local cases, and how many passed */
    const char *detail;  /* JSON: whatever else the argument rests on */
} ledger_decision;
/* Writes it when it differs from the task's newest one in anything but time. *written may be NULL. */
status ledger_append_decision(ledger *l, const ledger_decision *d, bool *written, error *err) MUST_CHECK;

/* ---- what is read ---- */

/* One evidence under which a task has answers; the one of the newest run first. `provider`, `model_name`, `place` and
 * the rest are of that run (which may have found nothing left to ask). */
typedef struct ledger_source {
    const char *evidence_id;
    ledger_evidence evidence;
    const char *run, *provider, *place, *model_name, *version;
    int64_t last_us;     /* the newest answer's time */
    uint32_t n_answers;
} ledger_source;
typedef struct ledger_sources {
    ledger_source *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_sources;
/* task NULL: of all tasks. */
status ledger_find_sources(ledger *l, const char *task, ledger_sources *out, error *err) MUST_CHECK;
void ledger_sources_close(ledger_sources *s);

typedef struct ledger_row {
    const char *id, *run, *case_id, *prompt;
    const char *text;   /* its digest, "" when not stored */
    uint32_t repeat, concurrency;
    int64_t at_us;
    const char *finish;
    int64_t n_prompt, n_output, n_cached, prefill_us, decode_us, ttft_us, total_us;
    double mean_logprob;        /* NAN: not known */
    const char *prompt_text;    /* digest of the rendered prompt's text, "" when not stored */
    const char *machine, *isa, *power; /* of its run */
    int threads;
} ledger_row;
typedef struct ledger_rows {
    ledger_row *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_rows;
/* All answers of a task under one evidence, oldest first. */
status ledger_find_answers(ledger *l, const char *task, const char *evidence_id, ledger_rows *out,
                           error *err) MUST_CHECK;
void ledger_rows_close(ledger_rows *r);

/* E_NOTFOUND: this answer has no grade of this grader. */
status ledger_find_grade(ledger *l, const char *answer, const char *grader, ledger_grade *out, error *err) MUST_CHECK;

/* A grade's detail; "" when it has none. Free with mem_free. E_NOTFOUND as above. */
status ledger_find_detail(ledger *l, const char *answer, const char *grader, char **out, error *err) MUST_CHECK;

/* A task's labels, and its decisions (task NULL: all tasks'), oldest first. */
typedef struct ledger_labels {
    ledger_label *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_labels;
status ledger_find_labels(ledger *l, const char *task, ledger_labels *out, error *err) MUST_CHECK;
void ledger_labels_close(ledger_labels *r);
typedef struct ledger_decisions {
    ledger_decision *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_decisions;
status ledger_find_decisions(ledger *l, const char *task, ledger_decisions *out, error *err) MUST_CHECK;
void ledger_decisions_close(ledger_decisions *r);

/* The verdict of a task's newest decision into out. E_NOTFOUND: none was made. */
status ledger_find_verdict(ledger *l, const char *task, char *out, size_t bytes, error *err) MUST_CHECK;

/* The runs of a task (NULL: of all), oldest first, each with what it appended. */
typedef struct ledger_run_row {
    const char *id, *task, *provider, *place, *model_name, *version, *isa, *power, *governor;
    const char *machine, *cpu;        /* the machine's id and processor */
    const char *evidence_id;
    ledger_evidence evidence;
    int64_t at_us, last_us;           /* begun; the newest answer, or begun */
    int threads;
    uint32_t n_answers, n_failures;
} ledger_run_row;
typedef struct ledger_runs {
    ledger_run_row *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_runs;
status ledger_find_runs(ledger *l, const char *task, ledger_runs *out, error *err) MUST_CHECK;
void ledger_runs_close(ledger_runs *r);

/* The facts of one run, in the order in which they were written. */
typedef struct ledger_fact {
    const char *name, *unit;
    double value;
} ledger_fact;
typedef struct ledger_facts {
    ledger_fact *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_facts;
status ledger_find_facts(ledger *l, const char *run, ledger_facts *out, error *err) MUST_CHECK;
void ledger_facts_close(ledger_facts *r);

/* What was foretold of a run beside what came of it: a fact LEDGER_PREDICTED "NAME", written before anything was
 * measured, and the fact NAME of the same run. All of a machine (its id; NULL: of all), oldest first. */
#define LEDGER_PREDICTED "predicted_"
#define LEDGER_OTHERS "others_processors" /* a fact: how many others kept at work while the run measured */
typedef struct ledger_prediction {
    const char *name;                 /* NAME: "decode_tokens_per_s" */
    double predicted, measured;
    double others;                    /* the run's LEDGER_OTHERS; NAN: not known */
    const char *run, *task, *model_name, *version, *numerics, *isa, *power;
    int threads;
    int64_t at_us;
} ledger_prediction;
typedef struct ledger_predictions {
    ledger_prediction *rows;
    size_t n;
    struct ledger_memory *memory;
} ledger_predictions;
status ledger_find_predictions(ledger *l, const char *machine, ledger_predictions *out, error *err) MUST_CHECK;
void ledger_predictions_close(ledger_predictions *r);

/* A stored text by digest; free with mem_free. E_NOTFOUND when it was purged or never stored. */
status ledger_find_text(ledger *l, const char *digest, char **out, error *err) MUST_CHECK;

/* The newest value of a named fact among this task's runs under an evidence on a machine (NULL: any).
 * *at_us may be NULL. E_NOTFOUND. */
status ledger_find_fact(ledger *l, const char *task, const char *evidence_id, const char *machine, const char *name,
                        double *out, int64_t *at_us, error *err) MUST_CHECK;

/* Failures of a task under an evidence since its newest answer's run began (the ones a next run will retry). */
status ledger_count_failures(ledger *l, const char *task, const char *evidence_id, uint32_t *out,
                             error *err) MUST_CHECK;

/* The id a machine has in the ledger: a digest of processor, cores and memory. */
void ledger_machine_id(const ledger_machine *m, char out[DIGEST_HEX]);
/* The machine that this process runs on: read once, lives for ever. Any thread. */
const ledger_machine *ledger_this_machine(void);

/* ---- care ---- */

/* Deletes the texts of one task (NULL: all), and overwrites them in the file. Digests, counts and grades stay.
 * *n_deleted may be NULL. E_EXISTS: they are deleted, but another process reads the log that still holds them. */
status ledger_purge_text(ledger *l, const char *task, uint64_t *n_deleted, error *err) MUST_CHECK;
/* SQLite's own check, the foreign keys, that every table and guard is as schema.c makes it, that texts, evidence and
 * machines have the ids that their fields give, and that scores are scores. E_FORMAT with the first fault. */
status ledger_verify(ledger *l, error *err) MUST_CHECK;

#endif
