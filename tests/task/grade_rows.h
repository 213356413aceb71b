/* grade_rows.h: a task of one case from its graders, and a table of answers with what their grader must say. */
#ifndef TESTS_TASK_GRADE_ROWS_H
#define TESTS_TASK_GRADE_ROWS_H

#include "lib/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/grade.h"

/* output: further lines of the task; expected: JSON; input: NULL for "x". On error *t is NULL. */
static inline status make_task(task **t, const char *output, const char *graders, const char *expected,
                               const char *input, error *e)
{
    char text[4000];
    snprintf(text, sizeof text, "hearth: 1\nid: a\nprivacy: public\nprompt: '{{input}}'\nbar: 0.5\n%s\ngraders: %s\n",
             output, graders);
    status s = task_parse(t, text, strlen(text), "t", e);
    snprintf(text, sizeof text, "{\"input\":\"%s\",\"expected\":%s}", input ? input : "x", expected);
    if (!s)
        s = task_parse_cases(*t, text, strlen(text), e);
    if (s)
        task_close(t);
    return s;
}

typedef struct row {
    const char *graders, *expected, *answer;
    char outcome; /* p w m */
    double score;
} row;

static inline void run_rows(const row *rows, size_t n, const char *output, const char *input)
{
    for (size_t i = 0; i < n; i++) {
        task *t = NULL;
        grade g = { 0 };
        assert_ok(make_task(&t, output, rows[i].graders, rows[i].expected, input, err));
        assert_ok(grade_answer(t, &t->cases[0], rows[i].answer, strlen(rows[i].answer), &g, err));
        if (grade_outcome_name(g.outcome)[0] != rows[i].outcome || fabs(g.score - rows[i].score) > 5e-4)
            fail_msg("row %zu: %s, expected %s, answer '%s': %s %.4f (%s)", i, rows[i].graders, rows[i].expected,
                     rows[i].answer, grade_outcome_name(g.outcome), g.score, g.reason);
        assert_true((g.outcome == GRADE_PASS) == !g.reason[0]);
        task_close(&t);
    }
}

#endif
