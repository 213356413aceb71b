/* prompt.c: prompts with {{name}}: read, chosen, filled in, digested.
 *
 * A variable is "{{", blanks, a name, blanks, "}}". Filling in is one pass from left to right, so that text from a case
 * can never become a variable. */
#include <string.h>

#include "task/task_int.h"

static bool name_char(char c, bool first)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9');
}

/* p points at "{{": the variable's name and the length of the whole; 0 when it is no variable. */
static size_t variable_at(const char *p, span *name)
{
    const char *q = p + 2;
    while (*q == ' ')
        q++;
    name->p = q;
    while (name_char(*q, q == name->p))
        q++;
    name->n = (size_t)(q - name->p);
    while (*q == ' ')
        q++;
    return name->n && q[0] == '}' && q[1] == '}' ? (size_t)(q + 2 - p) : 0;
}

status prompt_check(const char *text, error *err)
{
    for (const char *p = text; (p = strstr(p, "{{"));) {
        span name;
        size_t n = variable_at(p, &name);
        if (!n)
            return fail(err, E_FORMAT, "'%.20s' is no variable: {{name}}, a name being letters, digits and _", p);
        if (name.n > 64)
            return fail(err, E_RANGE, "the variable '%.20s…' has %zu characters; the limit is 64", name.p, name.n);
        p += n;
    }
    return OK;
}

void prompt_variables(const task_prompt *prompt, prompt_visit *visit, void *at)
{
    for (size_t i = 0; i < prompt->n_messages; i++)
        for (const char *p = prompt->messages[i].content; (p = strstr(p, "{{"));) {
            span name;
            size_t n = variable_at(p, &name);
            if (n && !visit(at, name.p, name.n))
                return;
            p += n ? n : 2;
        }
}

/* ---- reading ---- */

static status read_message(task_reader *r, const yaml *node, task_message *out)
{
    static const char *const keys[] = { "role", "content" };
    static const char *const roles[] = { "system", "user", "assistant" };
    size_t role = 0;
    if (node->kind != YAML_MAP || !yaml_get(node, "role") || !yaml_get(node, "content"))
        return yaml_error(r->f, node, r->err, "a message has 'role' and 'content'");
    status s = yaml_known_keys(r->f, node, keys, ARRAY_LEN(keys), r->err);
    if (!s)
        s = task_read_word(r, yaml_get(node, "role"), roles, ARRAY_LEN(roles), &role);
    if (!s)
        s = task_read_text(r, yaml_get(node, "content"), &out->content);
    out->role = roles[role];
    return s;
}

static status check_content(task_reader *r, const yaml *node, const task_message *m)
{
    error inner;
    if (!prompt_check(m->content, &inner))
        return OK;
    return yaml_error(r->f, node, r->err, "%s", inner.text);
}

status prompt_read(task_reader *r, const yaml *node, task_prompt *out)
{
    bool plain = node->kind == YAML_SCALAR;
    size_t n = plain ? 1 : yaml_count(node);
    if (node->kind == YAML_MAP || n == 0 || n > TASK_MESSAGES_MAX)
        return yaml_error(r->f, node, r->err, "a prompt is a text, or a list of 1 to %d messages", TASK_MESSAGES_MAX);
    task_message *list = arena_alloc(r->a, n * sizeof *list);
    if (!list)
        return task_no_memory(r->err);
    const yaml *item = plain ? node : node->child;
    status s = OK;
    for (size_t i = 0; i < n && !s; i++, item = item->next) {
        list[i].role = "user";
        s = plain ? task_read_text(r, item, &list[i].content) : read_message(r, item, &list[i]);
        if (!s)
            s = check_content(r, item, &list[i]);
    }
    if (!s && plain && !*list[0].content)
        s = yaml_error(r->f, node, r->err, "the prompt is empty");
    *out = (task_prompt){ NULL, plain, n, list };
    return s;
}

/* ---- choosing ---- */

/* How well a variant's key fits: SIZE_MAX exactly, length + 1 of a beginning with '*', 0 not at all. */
static size_t fits(const char *key, const char *provider)
{
    size_t n = strlen(key);
    if (!strcmp(key, provider))
        return SIZE_MAX;
    return n && key[n - 1] == '*' && !strncmp(key, provider, n - 1) ? n : 0;
}

/* "local:models/a.gguf" -> "local:a.gguf" in place of the caller's buffer; false when there is no folder in it. */
static bool without_folders(const char *provider, char *out, size_t size)
{
    const char *colon = strchr(provider, ':'), *slash = strrchr(provider, '/');
    if (!colon || !slash || slash < colon || strlen(provider) >= size)
        return false;
    size_t kind = (size_t)(colon + 1 - provider);
    memcpy(out, provider, kind);
    memcpy(out + kind, slash + 1, strlen(slash + 1) + 1);
    return true;
}

const task_prompt *task_prompt_for(const task *t, const char *provider)
{
    const task_prompt *best = &t->prompt;
    size_t best_fit = 0;
    char bare[4096];
    if (!provider)
        return best;
    bool shorter = without_folders(provider, bare, sizeof bare);
    for (size_t i = 0; i < t->n_variants; i++) {
        size_t fit = fits(t->variants[i].provider, provider), other = 0;
        if (shorter)
            other = fits(t->variants[i].provider, bare);
        if (other > fit)
            fit = other;
        if (fit > best_fit) {
            best_fit = fit;
            best = &t->variants[i];
        }
    }
    return best;
}

/* ---- filling in ---- */

static status missing(const char *case_id, span name, const char *why, error *err)
{
    return fail(err, E_FORMAT, "%s%s%sthe variable '%.*s' %s", case_id ? "case '" : "", case_id ? case_id : "",
                case_id ? "': " : "", (int)name.n, name.p, why);
}

static status fill(buf *out, span name, const js *input, const char *case_id, error *err)
{
    char key[65];
    memcpy(key, name.p, name.n); /* at most 64: prompt_check */
    key[name.n] = 0;
    const js *v = js_is(input, JS_STRING) && !strcmp(key, "input") ? input : js_get(input, key);
    if (js_typeof(v) == JS_NULL)
        return missing(case_id, name, v ? "is null in the input" : "is not in the input", err);
    if (js_is(v, JS_STRING)) {
        if (memchr(js_text(v), 0, js_len(v)))
            return missing(case_id, name, "holds a zero character", err);
        buf_add(out, js_text(v), js_len(v));
    } else {
        js_write(v, JS_COMPACT, out);
    }
    return OK;
}

static status fill_message(buf *out, const char *p, const js *input, const char *case_id, error *err)
{
    for (const char *brace; (brace = strstr(p, "{{"));) {
        span name;
        size_t n = variable_at(brace, &name);
        buf_add(out, p, (size_t)(brace - p));
        if (!n || name.n > 64)
            return fail(err, E_FORMAT, "the prompt holds '{{' that begins no variable");
        status s = fill(out, name, input, case_id, err);
        if (s)
            return s;
        p = brace + n;
    }
    buf_str(out, p);
    return OK;
}

status task_render(const task *t, const task_prompt *prompt, const js *input, const char *case_id, task_messages *out,
                   error *err)
{
    (void)t;
    size_t n = prompt->n_messages, head = n * sizeof(task_message);
    buf texts = BUF_INIT(TASK_PROMPT_BYTES_MAX);
    char *block = NULL;
    status s = OK;
    for (size_t i = 0; i < n && !s; i++) {
        s = fill_message(&texts, prompt->messages[i].content, input, case_id, err);
        buf_char(&texts, 0);
    }
    if (!s)
        s = buf_ok(&texts, "the prompt", err);
    if (!s && !(block = mem_alloc(head + texts.len)))
        s = task_no_memory(err);
    if (!s) {
        task_message *items = (task_message *)(void *)block;
        memcpy(block + head, texts.data, texts.len);
        const char *text = block + head;
        for (size_t i = 0; i < n; i++, text += strlen(text) + 1)
            items[i] = (task_message){ prompt->messages[i].role, text };
        *out = (task_messages){ prompt->plain, n, items };
    }
    buf_clear(&texts);
    return s;
}

void task_messages_clear(task_messages *m)
{
    mem_free(m->items);
    *m = (task_messages){ false, 0, NULL };
}
