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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void grade_case(const task *t, const task_case *c)
{
    static const char *const answers[] = { "", "yes", "{\"a\":1}", "12.50", "```json\n[{}]\n```" };
    char *ideal = NULL;
    grade g;
    error err = { 0 };
    task_messages m = { 0 };
    if (task_render(t, task_prompt_for(t, "local:x"), c->input, c->id, &m, &err) == OK)
        must(m.n > 0);
    task_messages_clear(&m);
    if (grade_ideal(t, c, &ideal, &err) == OK && ideal && grade_answer(t, c, ideal, strlen(ideal), &g, &err) == OK)
        must(g.score >= 0 && g.score <= 1);
    mem_free(ideal);
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        if (grade_answer(t, c, answers[i], strlen(answers[i]), &g, &err) == OK)
            must(g.score >= 0 && g.score <= 1 && memchr(g.reason, 0, sizeof g.reason));
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
