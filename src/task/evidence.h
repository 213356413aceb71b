/* evidence.h: the keys by which answers and grades of a task's cases are found again: what is asked and how it is
 * judged, case by case. Any thread, on a const task whose cases are loaded. */
#ifndef TASK_EVIDENCE_H
#define TASK_EVIDENCE_H

#include "task/task.h"

typedef struct task_case_key {
    const task_case *c;
    char prompt[DIGEST_HEX]; /* of the rendered conversation: task_messages_digest */
    char grader[DIGEST_HEX]; /* of the graders and what this case expects */
} task_case_key;

/* One key for each case that is measured (task_is_measured), in file order, as this provider is asked (its variant); *n
 * of them (task_measured). Free with mem_free. */
status task_case_keys(const task *t, const char *provider, task_case_key **out, size_t *n, error *err) MUST_CHECK;

/* The same with a place for each of the task's cases, in file order; of those that are not measured the digests are "",
 * which no answer has. */
status task_keys_by_case(const task *t, const char *provider, task_case_key **out, error *err) MUST_CHECK;

/* The mean of scores with its 95 % interval (stat_mean_interval). score[i] is of keys[i]; NAN: it does not count. Cases
 * of one cluster are one observation, their mean. n = 0: mean NAN, [0, 1]. */
typedef struct task_mean {
    size_t n; /* observations */
    double mean, low, high;
} task_mean;
status task_mean_score(const task_case_key *keys, const double *score, size_t n, task_mean *out, error *err) MUST_CHECK;

/* What drawing depends on, as canonical JSON: temperature, max_tokens, stop, and the seed where it plays a part
 * (temperature > 0; repeat r of a case draws with seed + r). Free with mem_free. */
status task_sampling_key(const task *t, char **out, error *err) MUST_CHECK;

#endif
