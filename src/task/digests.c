/* digests.c: the digests that evidence is keyed by: what was asked, about what, and how it was graded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/task_int.h"

static void text_field(digest *d, const char *s)
{
    digest_field(d, s, strlen(s));
}

static void finish(digest *d, char out[DIGEST_HEX])
{
    uint8_t raw[DIGEST_BYTES] = { 0 };
    digest_close(&d, raw);
    digest_hex(raw, out);
}

static status messages_digest(const char *what, bool plain, const task_message *m, size_t n, char out[DIGEST_HEX],
                              error *err)
{
    digest *d = digest_open();
    if (!d)
        return task_no_memory(err);
    text_field(d, what);
    text_field(d, plain ? "plain" : "chat");
    for (size_t i = 0; i < n; i++) {
        text_field(d, m[i].role);
        text_field(d, m[i].content);
    }
    finish(d, out);
    return OK;
}

void task_prompt_digest(const task_prompt *prompt, char out[DIGEST_HEX])
{
    char messages[DIGEST_HEX], text[3 * DIGEST_HEX + 64];
    if (messages_digest("hearth prompt 1", prompt->plain, prompt->messages, prompt->n_messages, out, NULL)) {
        memset(out, '0', DIGEST_HEX - 1); /* matches no evidence */
        out[DIGEST_HEX - 1] = 0;
    }
    if (!prompt->shots.n)
        return;
    const task_shots *p = &prompt->shots;
    memcpy(messages, out, sizeof messages);
    digest_of(p->example ? p->example : "", p->example ? strlen(p->example) : 0, out);
    int n = snprintf(text, sizeof text, "few_shot 1 %s %s %s %zu %d %lld", messages, out, p->examples, p->n, (int)p->by,
                     (long long)p->seed);
    digest_of(text, (size_t)n, out);
}

status task_messages_digest(const task_messages *m, char out[DIGEST_HEX], error *err)
{
    return messages_digest("hearth messages 1", m->plain, m->items, m->n, out, err);
}

status task_system_digest(const task_message *messages, size_t n, char out[DIGEST_HEX], error *err)
{
    digest *d = digest_open();
    if (!d)
        return task_no_memory(err);
    text_field(d, "hearth system 1");
    for (size_t i = 0; i < n; i++)
        if (!strcmp(messages[i].role, "system"))
            text_field(d, messages[i].content);
    finish(d, out);
    return OK;
}

/* The canonical text of v as one field; "null" where there is none. */
static status js_field(digest *d, const js *v, error *err)
{
    buf b = BUF_INIT(64u << 20);
    js_write(v, JS_CANONICAL, &b);
    status s = buf_ok(&b, "a digest", err);
    if (!s)
        digest_field(d, b.data, b.len);
    buf_clear(&b);
    return s;
}

status task_grader_digest(const task *t, char out[DIGEST_HEX], error *err)
{
    digest *d = digest_open();
    if (!d)
        return task_no_memory(err);
    const uint8_t version[1] = { GRADE_VERSION };
    text_field(d, "hearth graders 1");
    digest_field(d, version, sizeof version);
    status s = js_field(d, t->memory->graders, err);
    if (!s)
        s = js_field(d, t->memory->output, err);
    if (!s && t->tools) {
        text_field(d, "tools");
        s = js_field(d, t->tools, err);
    }
    if (!s && t->memory->files[0]) {
        text_field(d, "files");
        text_field(d, t->memory->files);
    }
    if (!s && t->memory->n_models) {
        text_field(d, "models");
        text_field(d, t->memory->bound ? t->memory->bound : "");
    }
    if (s)
        digest_close(&d, NULL);
    else
        finish(d, out);
    return s;
}

status task_tools_digest(const task *t, char inout[DIGEST_HEX], error *err)
{
    const uint8_t choice[2] = { (uint8_t)t->tool_choice, t->one_call };
    if (!t->tools)
        return OK;
    digest *d = digest_open();
    if (!d)
        return task_no_memory(err);
    text_field(d, "hearth tools 1");
    text_field(d, inout);
    digest_field(d, choice, sizeof choice);
    text_field(d, t->tool_name ? t->tool_name : "");
    status s = js_field(d, t->tools, err);
    if (s)
        digest_close(&d, NULL);
    else
        finish(d, inout);
    return s;
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(const task_case *const *)a)->id, (*(const task_case *const *)b)->id);
}

status task_suite_digest(const task *t, char out[DIGEST_HEX], error *err)
{
    const task_case **sorted = mem_array(t->n_cases + 1, sizeof *sorted);
    digest *d = sorted ? digest_open() : NULL;
    status s = d ? OK : task_no_memory(err);
    size_t n = 0;
    for (size_t i = 0; sorted && i < t->n_cases; i++)
        if (task_is_measured(t, &t->cases[i]))
            sorted[n++] = &t->cases[i];
    if (!s) {
        qsort(sorted, n, sizeof *sorted, by_id);
        text_field(d, "hearth suite 1");
    }
    for (size_t i = 0; i < n && !s; i++) {
        text_field(d, sorted[i]->id);
        text_field(d, sorted[i]->cluster ? sorted[i]->cluster : "");
        s = js_field(d, sorted[i]->input, err);
        if (!s)
            s = js_field(d, sorted[i]->expected, err);
    }
    if (!s)
        finish(d, out);
    else if (d)
        digest_close(&d, NULL);
    mem_free(sorted);
    return s;
}

status task_case_digest(const task_case *c, char out[DIGEST_HEX], error *err)
{
    digest *d = digest_open();
    if (!d)
        return task_no_memory(err);
    text_field(d, "hearth case 1");
    status s = js_field(d, c->input, err);
    if (!s)
        s = js_field(d, c->expected, err);
    if (s)
        digest_close(&d, NULL);
    else
        finish(d, out);
    return s;
}
