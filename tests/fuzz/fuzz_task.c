/* libFuzzer over task folders: the bytes before the first zero byte are task.yaml, the rest is cases.jsonl. What is
 * accepted can be rendered, digested and graded with any answer.
 * modules: base plat quant gguf token grammar stat task
 * libs: -lyaml -lcrypto -lpcre2-8 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/evidence.h"
#include "task/grade.h"
#include "task/suite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Figures are shares, or not defined. */
static void count(const task *t, const task_case *c, const char *const *answers, size_t n)
{
    suite *s = NULL;
    const suite_table *y = NULL;
    error err = { 0 };
    must(suite_open(&s, t, &err) == OK);
    for (size_t i = 0; i < n; i++)
        (void)!suite_add(s, c, answers[i], strlen(answers[i]), &err);
    for (size_t i = suite_tables(s, &y); i > 0; i--)
        must(y[i - 1].macro_f1 <= 1 && y[i - 1].micro_f1 <= 1 && y[i - 1].malformed <= y[i - 1].answers);
    js_free(suite_json(s));
    suite_close(&s);
}

static void grade_case(const task *t, const task_case *c)
{
    static const char *const answers[] = {
        "", "yes", "{\"a\":1}", "12.50", "```json\n[{}]\n```", "- a\n2. b, c\n[\"a\"]", "[\"a\", 2, true]",
        "On 5 Jan 2018, at 10:30. I can\u2019t help; a b a b \u65e5\u672c\u3002", "\u0130\u212a e\u0301 (hi) hi!",
    };
    char *ideal = NULL;
    grade g, parts[TASK_GRADERS_MAX];
    error err = { 0 };
    task_messages m = { 0 };
    if (task_render(t, task_prompt_for(t, "local:x"), c->input, c->id, &m, &err) == OK)
        must(m.n > 0);
    task_messages_clear(&m);
    if (grade_ideal(t, c, &ideal, &err) == OK && ideal && grade_answer(t, c, ideal, strlen(ideal), &g, &err) == OK)
        must(g.score >= 0 && g.score <= 1);
    mem_free(ideal);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        if (grade_all(t, c, answers[i], strlen(answers[i]), NULL, &g, parts, &err) == OK) {
            must(g.score >= 0 && g.score <= 1 && memchr(g.reason, 0, sizeof g.reason));
            for (size_t k = 0; k < t->n_graders; k++)
                must(parts[k].score >= 0 && parts[k].score <= 1 && parts[k].outcome <= g.outcome);
        }
    }
    count(t, c, answers, ARRAY_LEN(answers));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = memchr(data, 0, size);
    size_t n = zero ? (size_t)(zero - data) : size;
    task *t = NULL;
    error err = { 0 };
    status s = task_parse(&t, (const char *)data, n, "fuzz", &err);
    if (s) {
        must(!t && err.text[0]);
        return 0;
    }
    char hex[DIGEST_HEX];
    must(task_grader_digest(t, hex, &err) == OK);
    task_prompt_digest(task_prompt_for(t, NULL), hex);
    if (zero && task_parse_cases(t, (const char *)zero + 1, size - n - 1, &err) == OK) {
        must(task_suite_digest(t, hex, &err) == OK);
        for (size_t i = 0; i < t->n_cases && i < 8; i++)
            grade_case(t, &t->cases[i]);
    }
    task_close(&t);
    return 0;
}
