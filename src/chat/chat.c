/* chat.c: recognises a template's family and renders conversations as parts: the template's text, which may contain
 * special tokens, and the messages' text, which may not. vocab_encode_parts reads the parts as one text. */
#include "chat/chat.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "chat/family.h"

enum { MAX_TEMPLATE = 1 << 20, MAX_MESSAGES = 1 << 16 };

struct chat {
    const chat_family_row *row;
    const vocab *v;
    char *default_system; /* what stood in the hole; "" where there is none */
};

/* ---- recognising ------------------------------------------------------------------------------------------------- */

/* The source without what does not matter: white space inside tags, kinds of quotes, escapes, one final line end
 * (which templates never write). */
static void canonical(buf *out, const char *s)
{
    size_t n = strlen(s);
    n -= n && s[n - 1] == '\n';
    bool tag = false;
    char quote = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (quote) {
            if (c == '\\' && i + 1 < n) {
                c = s[++i];
                buf_char(out, c == 'n' ? '\n' : c == 't' ? '\t' : c);
                continue;
            }
            buf_char(out, c == quote ? '\'' : c);
            quote = c == quote ? 0 : quote;
            continue;
        }
        if (tag && (c == '\'' || c == '"')) {
            quote = c;
            c = '\'';
        } else if (c == '{' && i + 1 < n && (s[i + 1] == '{' || s[i + 1] == '%')) {
            tag = true;
            buf_char(out, c);
            c = s[++i];
        } else if ((c == '}' || c == '%') && i + 1 < n && s[i + 1] == '}') {
            tag = false;
            buf_char(out, c);
            c = s[++i];
        } else if (tag && (c == ' ' || c == '\n' || c == '\t' || c == '\r')) {
            continue;
        }
        buf_char(out, c);
    }
}

/* Does text match the skeleton, whose hole takes any text without a quote? */
static bool matches(const char *skeleton, const char *text, span *hole)
{
    const char *h = strchr(skeleton, HOLE[0]);
    *hole = (span){ "", 0 };
    if (!h)
        return !strcmp(skeleton, text);
    size_t before = (size_t)(h - skeleton), after = strlen(h + 1), n = strlen(text);
    if (n < before + after || memcmp(text, skeleton, before) != 0 || strcmp(text + n - after, h + 1) != 0)
        return false;
    *hole = (span){ text + before, n - before - after };
    return !memchr(hole->p, '\'', hole->n) && !memchr(hole->p, HOLE[0], hole->n);
}

static status find_family(chat *c, const char *text, error *err)
{
    buf source = BUF_INIT(MAX_TEMPLATE), skeleton = BUF_INIT(MAX_TEMPLATE);
    canonical(&source, text);
    for (size_t i = 0; i < chat_family_rows && !c->row && !source.failed && !skeleton.failed; i++) {
        buf_reset(&skeleton);
        canonical(&skeleton, chat_family_table[i].skeleton);
        span hole;
        if (skeleton.failed || !matches(buf_text(&skeleton), buf_text(&source), &hole))
            continue;
        c->row = &chat_family_table[i];
        c->default_system = mem_strndup(hole.p, hole.n);
    }
    status st = buf_ok(&source, "chat template", err);
    if (!st)
        st = buf_ok(&skeleton, "chat template", err);
    buf_clear(&source);
    buf_clear(&skeleton);
    if (!st && c->row && !c->default_system)
        st = fail(err, E_NOMEM, "no memory for the chat template");
    if (!st && !c->row)
        st = fail(err, E_UNSUPPORTED,
                  "this model's chat template is none of those hearth knows (ChatML, Gemma, Llama 3, Phi 3, Mistral); "
                  "the model can still continue text");
    return st;
}

status chat_open(chat **out, const char *template_text, const vocab *v, error *err)
{
    if (!template_text || !*template_text)
        return fail(err, E_UNSUPPORTED, "this is a base model: no chat template; give it text to continue");
    if (strlen(template_text) > MAX_TEMPLATE)
        return fail(err, E_RANGE, "the chat template is longer than %d bytes", MAX_TEMPLATE);
    chat *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for the chat template");
    c->v = v;
    status st = find_family(c, template_text, err);
    if (st) {
        chat_close(&c);
        return st;
    }
    *out = c;
    return OK;
}

void chat_close(chat **c)
{
    if (!c || !*c)
        return;
    mem_free((*c)->default_system);
    mem_free(*c);
    *c = NULL;
}

const char *chat_family(const chat *c)
{
    return c->row->name;
}

/* ---- rendering --------------------------------------------------------------------------------------------------- */

typedef struct parts {
    vocab_part *p;
    size_t n, size;
    bool failed;
} parts;

static void add(parts *ps, const char *text, size_t n, bool special)
{
    if (!n || ps->failed)
        return;
    if (ps->n == ps->size) {
        size_t size = ps->size ? 2 * ps->size : 64;
        vocab_part *p = mem_resize(ps->p, size * sizeof *p);
        if (!p) {
            ps->failed = true;
            return;
        }
        ps->p = p;
        ps->size = size;
    }
    ps->p[ps->n++] = (vocab_part){ text, n, special };
}

/* White space as Python's str.strip knows it. */
static bool is_space(uint32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static span trim(span s)
{
    uint32_t code;
    size_t len;
    while (s.n && (len = utf8_decode(s.p, s.n, &code)) > 0 && is_space(code)) {
        s.p += len;
        s.n -= len;
    }
    while (s.n) {
        size_t back = 1;
        while (back < 4 && back < s.n && ((unsigned char)s.p[s.n - back] & 0xc0) == 0x80)
            back++;
        if (utf8_decode(s.p + s.n - back, back, &code) != back || !is_space(code))
            break;
        s.n -= back;
    }
    return s;
}

typedef struct turn {
    span role, content, system;
} turn;

static void add_token(parts *ps, const vocab *v, int32_t id)
{
    span s = vocab_text(v, id);
    add(ps, s.p, s.n, true);
}

/* Writes a text of the table: outside braces it is the template's. */
static void add_text(parts *ps, const chat *c, const char *text, const turn *t)
{
    while (text && *text) {
        size_t n = strcspn(text, "{");
        add(ps, text, n, true);
        text += n;
        if (!*text)
            return;
        span name = { text + 1, strcspn(text, "}") - 1 };
        text += name.n + 2;
        if (span_is(name, "bos"))
            add_token(ps, c->v, vocab_bos(c->v));
        else if (span_is(name, "eos"))
            add_token(ps, c->v, vocab_eos(c->v));
        else if (span_is(name, "default"))
            add(ps, c->default_system, strlen(c->default_system), true);
        else if (span_is(name, "role"))
            add(ps, t->role.p, t->role.n, false);
        else if (span_is(name, "content"))
            add(ps, t->content.p, t->content.n, false);
        else if (span_is(name, "system") && t->system.p) {
            add(ps, t->system.p, t->system.n, false);
            add(ps, "\n\n", 2, true);
        }
    }
}

static status add_turn(parts *ps, const chat *c, const chat_message *m, int i, span system, error *err)
{
    const chat_family_row *r = c->row;
    if (r->alternate && !strcmp(m->role, "user") != (i % 2 == 0))
        return fail(err, E_FORMAT, "the chat template refuses message %d (%.20s): %s", i + 1, m->role, r->alternate);
    turn t = { span_of(m->role), span_of(m->content), system };
    if (r->trim)
        t.content = trim(t.content);
    for (size_t k = 0; k < FAMILY_TURNS && r->turns[k].text; k++)
        if (!r->turns[k].role || !strcmp(r->turns[k].role, m->role)) {
            add_text(ps, c, r->turns[k].text, &t);
            return OK;
        }
    return r->role_refused ? fail(err, E_FORMAT, "the chat template refuses message %d (%.20s): %s", i + 1, m->role,
                                  r->role_refused)
                           : fail(err, E_FORMAT, "the chat template has no place for message %d with role '%.20s'",
                                  i + 1, m->role);
}

static status render(const chat *c, const chat_message *m, int n, bool add_generation_prompt, parts *ps, error *err)
{
    const chat_family_row *r = c->row;
    if (n < 1 || n > MAX_MESSAGES)
        return fail(err, E_FORMAT, "a conversation has 1 to %d messages, not %d", MAX_MESSAGES, n);
    bool system = !strcmp(m[0].role, "system");
    if (system && r->system_refused)
        return fail(err, E_FORMAT, "the chat template refuses message 1 (system): %s", r->system_refused);
    span prefix = { NULL, 0 };
    if (system && r->system_to_user) {
        prefix = span_of(m[0].content);
        m++;
        n--;
    }
    add_text(ps, c, r->begin, NULL);
    if (!system)
        add_text(ps, c, r->default_system, NULL);
    for (int i = 0; i < n; i++) {
        status st = add_turn(ps, c, &m[i], i, i ? (span){ NULL, 0 } : prefix, err);
        if (st)
            return st;
    }
    add_text(ps, c, add_generation_prompt ? r->go : r->stay, NULL);
    return ps->failed ? fail(err, E_NOMEM, "no memory for a conversation of %d messages", n) : OK;
}

status chat_render(const chat *c, const chat_message *messages, int n, bool add_generation_prompt, token_list *out,
                   error *err)
{
    parts ps = { 0 };
    status st = render(c, messages, n, add_generation_prompt, &ps, err);
    if (!st)
        st = vocab_encode_parts(c->v, ps.p, ps.n, 0, out, err);
    mem_free(ps.p);
    return st;
}

status chat_render_text(const chat *c, const chat_message *messages, int n, bool add_generation_prompt, buf *out,
                        error *err)
{
    parts ps = { 0 };
    status st = render(c, messages, n, add_generation_prompt, &ps, err);
    for (size_t i = 0; i < ps.n && !st; i++)
        buf_add(out, ps.p[i].text, ps.p[i].n);
    mem_free(ps.p);
    return st ? st : buf_ok(out, "rendered conversation", err);
}
