/* libFuzzer over files to import: the first byte says which reader and which options, the rest is the file. What was
 * made is a task: import_read has read it back; here its cases are rendered, and the CSV reader's rows are looked at.
 * modules: base plat quant gguf token grammar stat task
 * libs: -lyaml -lcrypto -lpcre2-8 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/csv.h"
#include "task/grade.h"
#include "task/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void look_at(const import_task *made)
{
    task *t = NULL;
    error err = { 0 };
    must(task_parse(&t, buf_text(&made->yaml), made->yaml.len, "x", &err) == OK);
    must(task_parse_cases(t, buf_text(&made->cases), made->cases.len, &err) == OK);
    must(t->n_cases == made->n_cases && made->n_expected <= made->n_cases && made->n_clustered <= made->n_cases);
    for (size_t i = 0; i < t->n_cases && i < 8; i++) {
        task_messages m = { 0 };
        char *ideal = NULL;
        if (task_render(t, &t->prompt, t->cases[i].input, t->cases[i].id, &m, &err) == OK)
            must(m.n == t->prompt.n_messages);
        task_messages_clear(&m);
        if (grade_ideal(t, &t->cases[i], &ideal, &err) != OK)
            must(err.text[0] != 0);
        mem_free(ideal);
    }
    task_close(&t);
}

static void rows(const char *text, size_t n)
{
    csv *r = NULL;
    csv_row row;
    error err = { 0 };
    bool more = true;
    must(csv_open(&r, text, n, "x.csv", &err) == OK);
    while (more && csv_next(r, &row, &more, &err) == OK)
        for (size_t i = 0; more && i < row.n; i++)
            must(strlen(row.fields[i]) <= n);
    csv_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "x.jsonl", "x.yaml", "x.csv", "x" };
    if (size < 1)
        return 0;
    import_options o = { .format = (import_format)(data[0] % 5), .id = "x", .privacy = PRIVACY_PRIVATE,
                         .expected_from_response = (data[0] & 0x20) != 0, .system = data[0] & 0x40 ? 1 : 0,
                         .prompt = data[0] & 0x80 ? "{{a}}" : NULL };
    const char *text = (const char *)data + 1, *name = names[data[0] / 5 % 4];
    import_result *r = NULL;
    error err = { 0 };
    status s = import_read(&r, text, size - 1, name, &o, &err);
    if (s)
        must(!r && err.text[0]);
    for (size_t i = 0; r && i < r->n_tasks; i++)
        look_at(&r->tasks[i]);
    import_close(&r);
    rows(text, size - 1);
    return 0;
}
