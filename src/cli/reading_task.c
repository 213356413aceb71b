#include "cli/reading_task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chat/chat.h"
#include "gguf/gguf.h"
#include "plat/machine.h"
#include "task/grade.h"
#include "task/task.h"

enum { CASE_TOKENS_MAX = 1 << 22 };
#define NONE UINT32_MAX

typedef struct asking {
    task *t;
    const task_prompt *prompt;
    const vocab *v;
    chat *template;       /* NULL: plain text */
    uint32_t *groups;     /* [n_cases]: equal for cases of one cluster */
    uint32_t *clusters;   /* [n_cases], by group: its number in the passages; NONE: no case of it has come */
} asking;

/* ---- clusters ---- */

static int by_cluster(const void *a, const void *b)
{
    const task_case *x = *(const task_case *const *)a, *y = *(const task_case *const *)b;
    if (!x->cluster || !y->cluster)
        return !x->cluster && !y->cluster ? (x > y) - (x < y) : x->cluster ? 1 : -1;
    int c = strcmp(x->cluster, y->cluster);
    return c ? c : (x > y) - (x < y);
}

static bool same_cluster(const task_case *x, const task_case *y)
{
    return x->cluster && y->cluster && strcmp(x->cluster, y->cluster) == 0;
}

static status group_cases(asking *a, error *err)
{
    size_t n = a->t->n_cases;
    const task_case **order = mem_array(n, sizeof *order);
    a->groups = mem_array(n, sizeof *a->groups);
    a->clusters = mem_array(n, sizeof *a->clusters);
    status s = order && a->groups && a->clusters ? OK : fail(err, E_NOMEM, "no memory for %zu cases", n);
    for (size_t i = 0; !s && i < n; i++) {
        order[i] = &a->t->cases[i];
        a->clusters[i] = NONE;
    }
    if (!s)
        qsort(order, n, sizeof *order, by_cluster);
    uint32_t next = 0;
    for (size_t i = 0; !s && i < n; i++) {
        next += i > 0 && !same_cluster(order[i - 1], order[i]);
        a->groups[order[i] - a->t->cases] = next;
    }
    mem_free(order);
    return s;
}

/* ---- one case ---- */

static status render_chat(const asking *a, const task_messages *m, token_list *out, error *err)
{
    js *messages = js_array();
    bool ok = messages != NULL;
    for (size_t i = 0; ok && i < m->n; i++)
        ok = chat_add(messages, m->items[i].role, m->items[i].content);
    status s = ok ? chat_render(a->template, &(chat_request){ .messages = messages, .add_generation_prompt = true,
                                                              .now = chat_now() }, out, err)
                  : fail(err, E_NOMEM, "no memory for the conversation");
    js_free(messages);
    return s;
}

/* The text and its continuation are read as one, for tokens may reach over the seam; judged are those that differ from
 * the prompt's own. */
static status render_plain(const asking *a, const char *prompt, const char *answer, token_list *out, uint32_t *first,
                           error *err)
{
    token_list alone = TOKEN_LIST_INIT(CASE_TOKENS_MAX);
    buf text = BUF_INIT(TASK_PROMPT_BYTES_MAX);
    size_t n = strlen(prompt);
    buf_str(&text, prompt);
    if (n && !strchr(" \t\n", prompt[n - 1]))
        buf_char(&text, ' ');
    buf_str(&text, answer);
    status s = buf_ok(&text, "the prompt and its answer", err);
    if (!s)
        s = vocab_encode(a->v, prompt, n, VOCAB_BOS, &alone, err);
    if (!s)
        s = vocab_encode(a->v, buf_text(&text), text.len, VOCAB_BOS, out, err);
    size_t common = 0;
    while (!s && common < alone.n && common < out->n && alone.ids[common] == out->ids[common])
        common++;
    *first = (uint32_t)common;
    token_list_clear(&alone);
    buf_clear(&text);
    return s;
}

static status add_case(const asking *a, const task_case *c, const char *answer, passages *p, error *err)
{
    token_list ids = TOKEN_LIST_INIT(CASE_TOKENS_MAX);
    task_messages m = { 0 };
    uint32_t first = 0;
    status s = task_render(a->t, a->prompt, c->input, c->id, &m, err);
    if (!s && a->template) {
        s = render_chat(a, &m, &ids, err);
        first = (uint32_t)ids.n;
        if (!s)
            s = vocab_encode(a->v, answer, strlen(answer), 0, &ids, err);
    } else if (!s) {
        s = render_plain(a, m.items[0].content, answer, &ids, &first, err);
    }
    uint32_t *cluster = &a->clusters[a->groups[c - a->t->cases]];
    if (!s && *cluster == NONE)
        *cluster = p->n_clusters;
    if (!s)
        s = passages_add(p, ids.ids, (uint32_t)ids.n, first, *cluster, err);
    task_messages_clear(&m);
    token_list_clear(&ids);
    return s ? fail_prefix(err, s, "%s: case '%s': ", a->t->id, c->id) : OK;
}

/* ---- a task ---- */

static status open_template(asking *a, const gguf *file, error *err)
{
    span text;
    status s = gguf_str_or(file, "tokenizer.chat_template", "", &text, err);
    if (s || (text.n == 0 && a->prompt->plain))
        return s;
    char *copy = text.n ? mem_strndup(text.p, text.n) : NULL;
    if (text.n && !copy)
        return fail(err, E_NOMEM, "no memory for the chat template");
    s = chat_open(&a->template, copy, a->v, err);
    mem_free(copy);
    return s ? fail_prefix(err, s, "%s: ", gguf_file_name(file)) : OK;
}

static status add_cases(const asking *a, passages *p, size_t *n_skipped, error *err)
{
    status s = OK;
    for (size_t i = 0; !s && i < a->t->n_cases; i++) {
        char *answer = NULL;
        const task_case *c = &a->t->cases[i];
        s = grade_ideal(a->t, c, &answer, err);
        if (!s && answer && *answer)
            s = add_case(a, c, answer, p, err);
        else
            *n_skipped += !s;
        mem_free(answer);
    }
    return s;
}

status reading_add_task(passages *p, const char *name, const char *path, const gguf *file, const vocab *v,
                        size_t *n_skipped, error *err)
{
    asking a = { .v = v };
    char directory[4096], provider[4200];
    const char *slash = strrchr(path, '/');
    bool known = machine_program_dir(directory, sizeof directory, NULL) == OK;
    snprintf(provider, sizeof provider, "local:%s", slash ? slash + 1 : path);
    status s = task_open(&a.t, name, known ? directory : NULL, err);
    if (!s)
        s = task_load_cases(a.t, err);
    if (!s)
        s = group_cases(&a, err);
    if (!s) {
        a.prompt = task_prompt_for(a.t, provider);
        s = open_template(&a, file, err);
    }
    if (!s)
        s = add_cases(&a, p, n_skipped, err);
    chat_close(&a.template);
    task_close(&a.t);
    mem_free(a.groups);
    mem_free(a.clusters);
    return s;
}
