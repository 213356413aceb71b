/* grade.h: how an answer is judged. Any thread, on a const task.
 *
 * Every row of a task's `graders` gives a score in [0, 1] and an outcome. The task's score is their mean weighted
 * by `weight`; the answer passes when every grader's score reaches that grader's `threshold` (default 1), so with one
 * grader: pass = score >= threshold. An answer that cannot be used at all (no JSON, none of the labels, no number,
 * empty, not as output.schema demands) is malformed: score 0, whatever the other graders say. docs/TASKS.md lists all
 * graders with examples. */
#ifndef TASK_GRADE_H
#define TASK_GRADE_H

#include "plat/command.h"
#include "task/task.h"

typedef enum grade_outcome { GRADE_PASS, GRADE_WRONG, GRADE_MALFORMED } grade_outcome;
const char *grade_outcome_name(grade_outcome o); /* "pass", "wrong", "malformed" */
bool grade_outcome_parse(const char *name, grade_outcome *out);

typedef struct grade {
    double score;
    grade_outcome outcome;
    char reason[160]; /* why not pass, in words; never holds text of the answer or the case, only names of fields */
} grade;

/* ---- what a grader may need besides the text ---- */

/* How an answer came about. NAN, -1 and NULL: not known; such a fact is never guessed. */
typedef struct grade_facts {
    double latency_ms;        /* from the request to the end of the answer */
    double ttft_ms;           /* to the first piece of it */
    double cost_usd;          /* 0 for a local model */
    int64_t n_prompt, n_output; /* tokens */
    const char *finish;       /* answer_finish_name: "stop", "length", "tool_calls" */
    double mean_logprob;      /* natural, per token of the answer */
} grade_facts;
extern const grade_facts grade_facts_unknown;

/* What is put to a judge. */
typedef struct grade_question {
    const char *text;   /* one message */
    const js *schema;   /* what its answer must look like: enforced where the judge can be made to, else only said */
    unsigned attempt;   /* 0, then 1 after an answer that held no verdict: asked anew, by chance */
} grade_question;

/* What somebody else does for a grader, from any thread. A NULL function: it cannot be had. `model` is the grader's
 * setting, as it stands in task.yaml; whose weights stand behind it must have been said by grade_bind_models. */
typedef struct grade_tools {
    void *user;
    /* *vectors: n vectors of *size numbers, one after the other, in the texts' order (mem_free). */
    status (*embed)(void *user, const char *model, const char *const *texts, size_t n, float **vectors, size_t *size,
                    error *err);
    /* *answer: its text (mem_free). */
    status (*judge)(void *user, const char *model, const grade_question *q, char **answer, error *err);
    /* As command_run. */
    status (*run)(void *user, const command_job *c, command_result *out, error *err);
} grade_tools;

/* The models that a task's graders name, each once. */
typedef struct grade_model {
    const char *name;  /* a PROVIDER */
    bool judge;        /* else it makes vectors */
} grade_model;
enum { GRADE_MODELS_MAX = 8 };
size_t grade_models(const task *t, const grade_model **list);
/* Says what stands behind these names now (digests of weights, versions, addresses), as one text: another text is
 * another task_grader_digest, so that a new judge grades anew. Called before the task is shared. E_NOMEM. */
status grade_bind_models(task *t, const char *identity, error *err) MUST_CHECK;

/* ---- grading ---- */

/* Judges answer[0..n). Bytes that are not UTF-8 are malformed. An error is never the answer's fault: the case has no
 * (or a wrong kind of) `expected`, or there is no memory; E_UNSUPPORTED: a grader
 * needs a fact or a tool that is not there, and the sentence names it; E_PROVIDER: a judge or a model gave nothing that
 * can be used, and may another time. */
status grade_answer_with(const task *t, const task_case *c, const char *answer, size_t n, const grade_facts *facts,
                         const grade_tools *tools, grade *out, error *err) MUST_CHECK;
/* The same for a text of which nothing else is known, without tools. */
status grade_answer(const task *t, const task_case *c, const char *answer, size_t n, grade *out, error *err) MUST_CHECK;

/* The same in one pass with what each of the task's graders says: parts[0 … t->n_graders), NULL: not wanted. Graders
 * within any-of and all-of are told in the reason of theirs. with NULL: nothing else is known, and no tools. */
typedef struct grade_with {
    const grade_facts *facts;
    const grade_tools *tools; /* NULL: none */
} grade_with;
status grade_all(const task *t, const task_case *c, const char *answer, size_t n, const grade_with *with, grade *whole,
                 grade *parts, error *err) MUST_CHECK;

/* grade_answer with one grader of the task only (for drill-down); weight plays no part. */
status grade_one(const task *t, size_t grader, const task_case *c, const char *answer, size_t n, grade *out,
                 error *err) MUST_CHECK;

/* What an ideal answer to the case looks like, as text (mem_free): used by lint and as candidates for the constant
 * baseline. *out = NULL with OK when no grader can say (a regex alone). */
status grade_ideal(const task *t, const task_case *c, char **out, error *err) MUST_CHECK;

/* Whether the beginning of an answer declines to answer, by the phrases of the grader `refusal`. E_NOMEM. */
status grade_refuses(const char *answer, size_t n, bool *out, error *err) MUST_CHECK;

/* Names of a task's graders, and of all there are (for help and errors). */
const char *grade_name(const task *t, size_t grader);
size_t grade_types(const char *const **names);

/* A change in what any grader gives for the same settings raises this; it is part of task_grader_digest. */
enum { GRADE_VERSION = 2 };

#endif
