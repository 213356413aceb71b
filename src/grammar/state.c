/* state.c: a text under way on a grammar.
 *
 * A state keeps its text and the config after each step. When the grammar forgets what it learnt (its memory was full,
 * or a text was too ambiguous), configs lose their meaning: `generation` tells, and the text is read again. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/grammar_int.h"

enum { MAX_STEPS = 1 << 24, MAX_TEXT = 1 << 28 };

typedef struct step {
    uint32_t config; /* after it; CONFIG_DEAD: after an end token */
    uint32_t n_text; /* bytes of text after it */
} step;

struct grammar_state {
    grammar *g;
    uint32_t generation;
    step *steps; /* steps[0]: the beginning */
    size_t n_steps, steps_size;
    buf text;
};

static uint32_t now(const grammar_state *s)
{
    return s->steps[s->n_steps - 1].config;
}

/* Reads the text again if the grammar has forgotten. False: failure of the grammar. */
static bool ready(grammar_state *s)
{
    grammar *g = s->g;
    if (s->generation == g->generation)
        return !g->failed.code;
    uint32_t c = g->start, at = 0;
    for (size_t i = 0; i < s->n_steps && !g->failed.code; i++) {
        for (; at < s->steps[i].n_text && !g->failed.code; at++)
            c = config_step(g, c, (unsigned char)s->text.data[at]);
        assert(g->failed.code || c != CONFIG_DEAD || s->steps[i].config == CONFIG_DEAD);
        s->steps[i].config = s->steps[i].config == CONFIG_DEAD ? CONFIG_DEAD : c;
    }
    if (g->failed.code)
        return false;
    s->generation = g->generation;
    return true;
}

typedef bool attempt(grammar_state *s, void *arg);

/* Tries f; it answers false exactly when the grammar failed. If that was for want of room, all is forgotten and f
 * gets another chance. The grammar itself is whole again afterwards in any case. */
static status try(grammar_state *s, attempt *f, void *arg, error *err)
{
    grammar *g = s->g;
    for (int i = 0;; i++) {
        if (ready(s) && f(s, arg))
            return OK;
        error e = g->failed;
        bool again = g->full && i == 0;
        assert(e.code);
        status st = grammar_forget(g, err);
        if (st)
            return st;
        if (!again)
            return fail(err, e.code, "%s", e.text);
    }
}

/* ---- opening ---- */

static status add_step(grammar_state *s, uint32_t after, error *err)
{
    if (s->n_steps == s->steps_size) {
        size_t size = s->steps_size ? s->steps_size * 2 : 64;
        if (size > MAX_STEPS)
            return fail(err, E_RANGE, "a text of more than %d tokens under a grammar", MAX_STEPS);
        step *grown = mem_resize(s->steps, size * sizeof *grown);
        if (!grown)
            return fail(err, E_NOMEM, "no memory for the state of a grammar");
        s->steps = grown;
        s->steps_size = size;
    }
    s->steps[s->n_steps++] = (step){ after, (uint32_t)s->text.len };
    return OK;
}

status grammar_state_open(grammar_state **out, grammar *g, const grammar_vocab *v, error *err)
{
    if (g->n_states && g->vocab != v)
        return fail(err, E_EXISTS, "the grammar is in use with another vocabulary");
    if (g->vocab != v || g->failed.code) { /* masks are those of one vocabulary */
        status st = grammar_forget(g, err);
        if (st)
            return st;
        g->vocab = v;
    }
    grammar_state *s = mem_zero(sizeof *s);
    if (!s)
        return fail(err, E_NOMEM, "no memory for the state of a grammar");
    s->g = g;
    s->text = (buf)BUF_INIT(MAX_TEXT);
    s->generation = g->generation;
    status st = add_step(s, g->start, err);
    g->n_states++;
    if (st)
        grammar_state_close(&s);
    else
        *out = s;
    return st;
}

status grammar_state_copy(grammar_state **out, const grammar_state *from, error *err)
{
    grammar_state *s = NULL;
    status st = grammar_state_open(&s, from->g, from->g->vocab, err);
    if (st)
        return st;
    buf_add(&s->text, from->text.data, from->text.len);
    st = buf_ok(&s->text, "the text of a grammar's state", err);
    s->n_steps = 0;
    for (size_t i = 0; i < from->n_steps && !st; i++) {
        st = add_step(s, from->steps[i].config, err);
        s->steps[i].n_text = from->steps[i].n_text;
    }
    s->generation = from->generation;
    if (st)
        grammar_state_close(&s);
    else
        *out = s;
    return st;
}

void grammar_state_close(grammar_state **sp)
{
    grammar_state *s = *sp;
    if (!s)
        return;
    s->g->n_states--;
    buf_clear(&s->text);
    mem_free(s->steps);
    mem_free(s);
    *sp = NULL;
}

void grammar_state_reset(grammar_state *s)
{
    grammar_state_rewind(s, grammar_state_steps(s));
}

size_t grammar_state_steps(const grammar_state *s)
{
    return s->n_steps - 1;
}

void grammar_state_rewind(grammar_state *s, size_t n)
{
    assert(n < s->n_steps);
    s->n_steps -= n;
    s->text.len = s->steps[s->n_steps - 1].n_text;
    if (s->text.data)
        s->text.data[s->text.len] = '\0';
}

/* ---- masks ---- */

static bool make_mask(grammar_state *s, void *arg)
{
    return (*(const uint64_t **)arg = grammar_mask(s->g, now(s))) != NULL;
}

status grammar_state_mask(grammar_state *s, const uint64_t **mask, error *err)
{
    const uint64_t *words = NULL;
    status st = try(s, make_mask, &words, err);
    if (!st)
        *mask = words;
    return st;
}

/* ---- accepting ---- */

typedef struct reading {
    const char *p;
    size_t n, taken; /* taken < n: the byte there does not fit */
    uint32_t config;
} reading;

static bool read_bytes(grammar_state *s, void *arg)
{
    reading *r = arg;
    uint32_t c = now(s);
    for (r->taken = 0; r->taken < r->n; r->taken++) {
        uint32_t next = config_step(s->g, c, (unsigned char)r->p[r->taken]);
        if (next == CONFIG_DEAD)
            break;
        c = next;
    }
    r->config = c;
    return !s->g->failed.code;
}

static reading reading_of(const grammar_state *s, int32_t token)
{
    const grammar_vocab *v = s->g->vocab;
    if (token < 0 || token >= v->n_tokens || v->left_out[token])
        return (reading){ .n = 0 };
    return (reading){ .p = v->text + v->offsets[token], .n = v->offsets[token + 1] - v->offsets[token] };
}

static bool is_end(const grammar_state *s, int32_t token)
{
    const grammar_vocab *v = s->g->vocab;
    return token >= 0 && token < v->n_tokens && v->eog[token / 64] >> token % 64 & 1;
}

static bool note_may_end(grammar_state *s, void *arg)
{
    *(bool *)arg = now(s) != CONFIG_DEAD && s->g->configs[now(s)].may_end;
    return true;
}

bool grammar_state_allows(grammar_state *s, int32_t token)
{
    bool may_end = false;
    if (is_end(s, token))
        return !try(s, note_may_end, &may_end, NULL) && may_end;
    reading r = reading_of(s, token);
    return r.n > 0 && !try(s, read_bytes, &r, NULL) && r.taken == r.n;
}

static status take(grammar_state *s, const reading *r, error *err)
{
    size_t before = s->text.len;
    buf_add(&s->text, r->p, r->n);
    status st = buf_ok(&s->text, "the text of a grammar's state", err);
    if (!st)
        st = add_step(s, r->config, err);
    if (st) {
        s->text.failed = false;
        s->text.len = before;
    }
    return st;
}

status grammar_state_accept(grammar_state *s, int32_t token, error *err)
{
    if (is_end(s, token)) {
        if (!grammar_state_allows(s, token))
            return fail(err, E_FORMAT, "the text may not end here");
        return add_step(s, CONFIG_DEAD, err);
    }
    reading r = reading_of(s, token);
    status st = try(s, read_bytes, &r, err);
    if (!st && (!r.n || r.taken < r.n))
        st = fail(err, E_FORMAT, "token %d does not continue the text", token);
    return st ? st : take(s, &r, err);
}

status grammar_state_accept_bytes(grammar_state *s, const char *bytes, size_t n, error *err)
{
    reading r = { .p = bytes, .n = n };
    status st = try(s, read_bytes, &r, err);
    if (!st && r.taken < n)
        st = fail(err, E_FORMAT, "the text does not continue like this: only %zu bytes of %zu fit", r.taken, n);
    return st ? st : take(s, &r, err);
}

/* ---- ends and what is forced ---- */

bool grammar_state_may_end(grammar_state *s)
{
    bool may_end = false;
    return now(s) == CONFIG_DEAD || (!try(s, note_may_end, &may_end, NULL) && may_end);
}

static bool note_must_end(grammar_state *s, void *arg)
{
    *(bool *)arg = s->g->configs[now(s)].n == 0;
    return true;
}

bool grammar_state_must_end(grammar_state *s)
{
    bool must_end = false;
    return !try(s, note_must_end, &must_end, NULL) && must_end;
}

/* The only byte of the set, or -1. */
static int only_byte(const uint64_t bits[4])
{
    int n = 0, byte = -1;
    for (int i = 0; i < 4; i++)
        if (bits[i]) {
            n += __builtin_popcountll(bits[i]);
            byte = i * 64 + __builtin_ctzll(bits[i]);
        }
    return n == 1 ? byte : -1;
}

typedef struct forcing {
    size_t max;
    buf *out;
    size_t before; /* length of out */
} forcing;

static bool force(grammar_state *s, void *arg)
{
    forcing *f = arg;
    grammar *g = s->g;
    uint32_t c = now(s);
    f->out->len = f->before;
    while (f->out->len - f->before < f->max && !f->out->failed && !g->configs[c].may_end) {
        int byte = only_byte(config_alive(g, c));
        if (byte < 0)
            break;
        c = config_step(g, c, (unsigned char)byte);
        if (g->failed.code)
            return false;
        buf_char(f->out, (char)byte);
    }
    return true;
}

status grammar_state_forced(grammar_state *s, size_t max, buf *out, error *err)
{
    forcing f = { max, out, out->len };
    status st = try(s, force, &f, err);
    return st ? st : buf_ok(out, "the forced text", err);
}
