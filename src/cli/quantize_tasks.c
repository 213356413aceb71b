#include "cli/quantize_tasks.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "plat/machine.h"
#include "task/task.h"

enum { PROMPT_BYTES = 64 << 10 }; /* longer ones are left out: they would be most of the text */

static bool is_usable(const task *t, const task_case *c)
{
    return t->held_back < 0 || c->part == TASK_TRAIN;
}

/* The text of all messages; nothing where it is too long. */
static status add_case(quantize_tasks *out, const task *t, const task_case *c, error *err)
{
    task_messages m = { 0 };
    buf text = BUF_INIT(TASK_PROMPT_BYTES_MAX + TASK_MESSAGES_MAX);
    status s = task_render(t, &t->prompt, c->input, c->id, &m, err);
    for (size_t i = 0; !s && i < m.n; i++) {
        buf_str(&text, i ? "\n" : "");
        buf_str(&text, m.items[i].content);
    }
    if (!s)
        s = buf_ok(&text, "a prompt", err);
    if (!s && text.len && text.len <= PROMPT_BYTES) {
        char *copy = mem_strndup(text.data, text.len);
        if (copy) {
            out->spans[out->n] = (span){ copy, text.len };
            out->texts[out->n++] = copy;
        } else {
            s = fail(err, E_NOMEM, "no memory for a prompt");
        }
    }
    buf_clear(&text);
    task_messages_clear(&m);
    return s;
}

/* `most` cases at even distances. */
static status add_task(quantize_tasks *out, const char *name, const char *directory, size_t most, error *err)
{
    task *t = NULL;
    size_t n = 0, seen = 0;
    status s = task_open(&t, name, directory, err);
    if (!s)
        s = task_load_cases(t, err);
    for (size_t i = 0; !s && i < t->n_cases; i++)
        n += is_usable(t, &t->cases[i]);
    for (size_t i = 0; !s && i < t->n_cases; i++) {
        if (!is_usable(t, &t->cases[i]))
            continue;
        bool taken = n <= most || (seen + 1) * most / n > seen * most / n;
        seen++;
        if (taken)
            s = add_case(out, t, &t->cases[i], err);
    }
    task_close(&t);
    return s;
}

static status add_all(quantize_tasks *out, const char *directory, error *err)
{
    task_names names = { 0 };
    status s = task_list(&names, directory, err);
    for (size_t i = 0; !s && i < names.n && i < QUANTIZE_PROMPTS; i++) {
        size_t others = names.n - i;
        error why = { 0 };
        if (add_task(out, names.dirs[i], NULL, (QUANTIZE_PROMPTS - out->n + others - 1) / others, &why))
            fprintf(stderr, "note: task %s is left out: %s\n", names.names[i], why.text);
    }
    task_names_clear(&names);
    return s;
}

status quantize_tasks_read(quantize_tasks *out, const option_list *wanted, error *err)
{
    char directory[4096];
    bool known = machine_program_dir(directory, sizeof directory, NULL) == OK;
    memset(out, 0, sizeof *out);
    status s = wanted->n ? OK : add_all(out, known ? directory : NULL, err);
    for (size_t i = 0; !s && i < wanted->n; i++) {
        size_t others = wanted->n - i;
        s = add_task(out, wanted->values[i], known ? directory : NULL,
                     (QUANTIZE_PROMPTS - out->n + others - 1) / others, err);
    }
    if (s)
        quantize_tasks_clear(out);
    return s;
}

void quantize_tasks_clear(quantize_tasks *t)
{
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->texts[i]);
    memset(t, 0, sizeof *t);
}
