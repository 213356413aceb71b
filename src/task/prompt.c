/* prompt.c: prompts with {{name}}: read, chosen, filled in, digested.
 *
 * A variable is "{{", blanks, a path, blanks, "}}"; a path is a name, then any number of ".name" or ".index". Filling
 * in is one pass from left to right, so that text from a case can never become a variable. */
#include <string.h>

#include "task/task_int.h"

enum { PATH_MAX_BYTES = 64 };

static bool name_char(char c, bool first)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9');
}

static size_t segment_length(const char *p, bool root)
{
    size_t n = 0;
    bool index = !root && *p >= '0' && *p <= '9';
    while (index ? p[n] >= '0' && p[n] <= '9' : name_char(p[n], n == 0))
        n++;
    return n;
}

/* p points at "{{": the variable's path and the length of the whole; 0 when it is no variable. */
static size_t variable_at(const char *p, span *name)
{
    const char *q = p + 2;
    while (*q == ' ')
        q++;
    name->p = q;
    size_t n = segment_length(q, true);
    q += n;
    while (n && *q == '.') {
        n = segment_length(q + 1, false);
        q += n ? n + 1 : 0;
    }
    name->n = n ? (size_t)(q - name->p) : 0;
    while (*q == ' ')
        q++;
    return name->n && q[0] == '}' && q[1] == '}' ? (size_t)(q + 2 - p) : 0;
}

/* What people bring from Jinja: "{% if x %}", "{%- for …". A text may hold "{%" otherwise. */
static const char *statement_in(const char *text)
{
    static const char *const words[] = { "if",     "elif", "else",  "endif", "for",
                                         "endfor", "set",  "macro", "raw",   "include" };
    for (const char *p = text; (p = strstr(p, "{%")); p += 2) {
        const char *q = p + 2;
        q += strspn(q, "-+ ");
        size_t n = segment_length(q, true);
        for (size_t i = 0; i < ARRAY_LEN(words); i++)
            if (strlen(words[i]) == n && !memcmp(words[i], q, n))
                return p;
    }
    return NULL;
}

status prompt_check(const char *text, error *err)
{
    const char *statement = statement_in(text);
    if (statement)
        return fail(err, E_FORMAT, "'%.20s': a prompt has no statements such as {%% if %%}, only {{name}}: write what "
                    "differs into the input, or a variant", statement);
    for (const char *p = text; (p = strstr(p, "{{"));) {
        span name;
        size_t n = variable_at(p, &name);
        size_t inside = strcspn(p, "|}");
        if (!n && p[inside] == '|')
            return fail(err, E_FORMAT, "'%.30s': there are no filters ('|'): {{name}} is replaced by input.name as it "
                        "is", p);
        if (!n)
            return fail(err, E_FORMAT, "'%.20s' is no variable: {{name}} or {{name.member.0}}, a name being letters, "
                        "digits and _", p);
        if (name.n > PATH_MAX_BYTES)
            return fail(err, E_RANGE, "the variable '%.20s…' has %zu characters; the limit is %d", name.p, name.n,
                        PATH_MAX_BYTES);
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
            if (n && !visit(at, name.p, segment_length(name.p, true)))
                return;
            p += n ? n : 2;
        }
}

/* ---- reading ---- */

/* A list of parts instead of a text, as APIs take it. */
static status refuse_parts(task_reader *r, const yaml *content)
{
    char where[256];
    if (content->kind == YAML_SCALAR)
        return OK;
    js *parts = yaml_to_js(content);
    if (!parts)
        return task_no_memory(r->err);
    bool image = media_find(parts, "content", where, sizeof where);
    js_free(parts);
    return yaml_error(r->f, content, r->err, image ? "%s is an image or a file; tasks are text only"
                                                   : "%s must be a text, not a list of parts",
                      image ? where : "content");
}

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
        s = refuse_parts(r, yaml_get(node, "content"));
    if (!s)
        s = task_read_text(r, yaml_get(node, "content"), &out->content);
    out->role = roles[role];
    return s;
}

static status check_content(task_reader *r, const yaml *node, const task_message *m)
{
    error inner;
    if (str_starts(m->content, "data:image/"))
        return yaml_error(r->f, node, r->err, "the prompt is an image; tasks are text only");
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
    *out = (task_prompt){ .plain = plain, .n_messages = n, .messages = list };
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

/* The member at a path; a text as the whole input is the variable `input`. NULL: not there. */
static const js *at_path(const js *input, span path)
{
    const js *v = input;
    char key[PATH_MAX_BYTES + 1];
    for (size_t at = 0; v && at <= path.n;) {
        const char *p = path.p + at;
        const char *dot = memchr(p, '.', path.n - at);
        size_t n = dot ? (size_t)(dot - p) : path.n - at;
        uint64_t i = 0;
        memcpy(key, p, n);
        key[n] = 0;
        if (at == 0 && js_is(input, JS_STRING))
            v = strcmp(key, "input") ? NULL : input;
        else
            v = js_is(v, JS_ARRAY) ? str_u64(key, &i) ? js_at(v, (size_t)i) : NULL : js_get(v, key);
        at += n + 1;
    }
    return v;
}

static status fill(buf *out, span name, const js *input, const char *case_id, const prompt_extra *extra, error *err)
{
    if (extra && span_is(name, extra->name)) {
        buf_str(out, extra->value);
        return OK;
    }
    const js *v = at_path(input, name);
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

status prompt_fill(buf *out, const char *p, const js *input, const char *case_id, const prompt_extra *extra, error *err)
{
    for (const char *brace; (brace = strstr(p, "{{"));) {
        span name;
        size_t n = variable_at(brace, &name);
        buf_add(out, p, (size_t)(brace - p));
        if (!n || name.n > PATH_MAX_BYTES)
            return fail(err, E_FORMAT, "the prompt holds '{{' that begins no variable");
        status s = fill(out, name, input, case_id, extra, err);
        if (s)
            return s;
        p = brace + n;
    }
    buf_str(out, p);
    return OK;
}

/* What is being rendered: texts one after the other, each with its zero, and their roles. */
typedef struct rendering {
    const task_prompt *prompt;
    const js *input;
    const char *case_id;
    shots_chosen shots;
    buf texts, block; /* block: the examples as one text, for {{examples}} */
    size_t n;
    const char *roles[TASK_MESSAGES_MAX + 2 * TASK_SHOTS_MAX];
} rendering;

static status add_message(rendering *r, const char *role, const char *content, const js *input,
                          const prompt_extra *extra, error *err)
{
    r->roles[r->n++] = role;
    status s = prompt_fill(&r->texts, content, input, r->case_id, extra, err);
    buf_char(&r->texts, 0);
    return s;
}

/* The examples as pairs: the message that asks, with the example's input, and its answer. */
static status add_pairs(rendering *r, const char *question, error *err)
{
    status s = OK;
    for (size_t i = 0; i < r->shots.n && !s; i++) {
        prompt_extra answer = { "expected", r->shots.answers[i] };
        s = add_message(r, "user", question, r->shots.cases[i]->input, NULL, err);
        if (!s)
            s = add_message(r, "assistant", "{{expected}}", r->shots.cases[i]->input, &answer, err);
    }
    return s;
}

static status write_block(rendering *r, error *err)
{
    status s = OK;
    for (size_t i = 0; i < r->shots.n && !s; i++) {
        prompt_extra answer = { "expected", r->shots.answers[i] };
        s = prompt_fill(&r->block, r->prompt->shots.example, r->shots.cases[i]->input, r->case_id, &answer, err);
    }
    return s ? s : buf_ok(&r->block, "the examples", err);
}

static status render_all(rendering *r, error *err)
{
    const task_prompt *p = r->prompt;
    const prompt_extra block = { "examples", buf_text(&r->block) };
    size_t last_user = p->n_messages;
    for (size_t i = 0; i < p->n_messages; i++)
        last_user = !strcmp(p->messages[i].role, "user") ? i : last_user;
    status s = OK;
    for (size_t i = 0; i < p->n_messages && !s; i++) {
        const task_message *m = &p->messages[i];
        if (i == last_user && r->shots.n && !p->shots.example)
            s = add_pairs(r, m->content, err);
        if (!s)
            s = add_message(r, m->role, m->content, r->input, p->shots.example ? &block : NULL, err);
    }
    return s ? s : buf_ok(&r->texts, "the prompt", err);
}

status task_render(const task *t, const task_prompt *prompt, const js *input, const char *case_id, task_messages *out,
                   error *err)
{
    rendering r = { .prompt = prompt, .input = input, .case_id = case_id, .texts = BUF_INIT(TASK_PROMPT_BYTES_MAX),
                    .block = BUF_INIT(TASK_PROMPT_BYTES_MAX) };
    char *block = NULL;
    status s = prompt->shots.n ? shots_choose(t, prompt, input, case_id, &r.shots, err) : OK;
    if (!s && prompt->shots.example)
        s = write_block(&r, err);
    if (!s)
        s = render_all(&r, err);
    size_t head = r.n * sizeof(task_message);
    if (!s && !(block = mem_alloc(head + r.texts.len)))
        s = task_no_memory(err);
    if (!s) {
        task_message *items = (task_message *)(void *)block;
        memcpy(block + head, r.texts.data, r.texts.len);
        const char *text = block + head;
        for (size_t i = 0; i < r.n; i++, text += strlen(text) + 1)
            items[i] = (task_message){ r.roles[i], text };
        *out = (task_messages){ prompt->plain, r.n, items };
    }
    buf_clear(&r.texts);
    buf_clear(&r.block);
    return s;
}

void task_messages_clear(task_messages *m)
{
    mem_free(m->items);
    *m = (task_messages){ false, 0, NULL };
}
