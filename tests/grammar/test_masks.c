/* Masks against a recogniser that knows nothing of derivatives, stacks or vocabularies: for random rules over random
 * expressions and random tokens, the mask is compared token by token with "can prefix + token still be completed",
 * computed by fixpoints over the rules as they were drawn. With it: allows, accept, may_end, what is forced, rewind.
 *
 * HEARTH_MASK_GRAMMARS: how many grammars (default 100). HEARTH_MASK_SEED: which ones. */
#include "lib/check.h"
#include "lib/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/grammar.h"
#include "grammar/rules.h"

enum { MAX_EXPR = 160, MAX_TEXT = 24, N_TOKENS = 48, MAX_NAMES = 4 };

/* ---- what was drawn ---- */

typedef enum kind { SET, SEQ, ALT, REPEAT, NAME, EMPTY } kind;

typedef struct expr {
    kind k;
    uint64_t bits[4]; /* SET */
    int child[4], n;  /* SEQ, ALT, REPEAT (one), NAME: child[0] is set later */
    unsigned lo, hi;  /* hi == 99: unbounded */
    bool productive;
} expr;

static expr e[MAX_EXPR];
static int n_expr, names[MAX_NAMES], n_names;
static unsigned char pool[6]; /* the bytes that this grammar is mostly about */

static int add(expr x)
{
    assert_true(n_expr < MAX_EXPR);
    e[n_expr] = x;
    return n_expr++;
}

static void put(uint64_t *bits, unsigned first, unsigned last)
{
    for (unsigned c = first; c <= last; c++)
        bits[c / 64] |= (uint64_t)1 << c % 64;
}

static int bytes(unsigned first, unsigned last)
{
    expr x = { .k = SET };
    put(x.bits, first, last);
    return add(x);
}

static int list(kind k, const int *c, int n)
{
    expr x = { .k = k, .n = n };
    memcpy(x.child, c, (size_t)n * sizeof *c);
    return add(x);
}

/* Sets that hold whole slices of a vocabulary, so that the shortcuts are taken. */
static int draw_set(void)
{
    expr x = { .k = SET };
    switch (rnd(9)) {
    case 0:
        put(x.bits, 'a', 'z');
        break;
    case 1:
        put(x.bits, 'a', 'z');
        put(x.bits, 'A', 'Z');
        put(x.bits, '0', '9');
        put(x.bits, '_', '_');
        break;
    case 2:
        put(x.bits, 0x20, 0x7E);
        x.bits['"' / 64] &= ~((uint64_t)1 << '"' % 64);
        x.bits['\\' / 64] &= ~((uint64_t)1 << '\\' % 64);
        break;
    default:
        for (unsigned i = 1 + rnd(3); i; i--)
            put(x.bits, pool[i], pool[i]);
    }
    return add(x);
}

/* Any character but controls, " and \ ... as bytes. */
static int draw_text_char(void)
{
    expr ascii = { .k = SET };
    put(ascii.bits, 0x20, 0x7E);
    ascii.bits['"' / 64] &= ~((uint64_t)1 << '"' % 64);
    ascii.bits['\\' / 64] &= ~((uint64_t)1 << '\\' % 64);
    int cont = bytes(0x80, 0xBF);
    int two[2] = { bytes(0xC2, 0xDF), cont }, three[3] = { bytes(0xE1, 0xEC), cont, cont };
    int e0[3] = { bytes(0xE0, 0xE0), bytes(0xA0, 0xBF), cont }, ed[3] = { bytes(0xED, 0xED), bytes(0x80, 0x9F),
        cont };
    int ee[3] = { bytes(0xEE, 0xEF), cont, cont }, f0[4] = { bytes(0xF0, 0xF0), bytes(0x90, 0xBF), cont, cont };
    int f1[4] = { bytes(0xF1, 0xF3), cont, cont, cont }, f4[4] = { bytes(0xF4, 0xF4), bytes(0x80, 0x8F), cont,
        cont };
    int some[4] = { add(ascii), list(SEQ, two, 2), list(SEQ, three, 3), list(SEQ, e0, 3) };
    int more[4] = { list(SEQ, ed, 3), list(SEQ, ee, 3), list(SEQ, f0, 4), list(SEQ, f1, 4) };
    int rest[3] = { list(ALT, some, 4), list(ALT, more, 4), list(SEQ, f4, 4) };
    return list(ALT, rest, 3);
}

static int draw(int depth, bool terminal)
{
    unsigned what = rnd(10);
    if (depth == 0 || n_expr > MAX_EXPR - 60)
        return terminal || !n_names || rnd(3) ? draw_set() : names[rnd((uint32_t)n_names)];
    if (what < 4 || (what == 9 && terminal)) {
        int c[3], n = 2 + (int)rnd(2);
        for (int i = 0; i < n; i++)
            c[i] = draw(depth - 1, terminal);
        return list(SEQ, c, n);
    }
    if (what < 6) {
        int c[3], n = 2 + (int)rnd(2);
        for (int i = 0; i < n; i++)
            c[i] = rnd(8) ? draw(depth - 1, terminal) : add((expr){ .k = EMPTY });
        return list(ALT, c, n);
    }
    if (what < 9) {
        static const unsigned bounds[][2] = { { 0, 1 }, { 0, 99 }, { 1, 99 }, { 2, 3 }, { 0, 5 }, { 3, 99 },
            { 2, 2 } };
        const unsigned *b = bounds[rnd(ARRAY_LEN(bounds))];
        int body = terminal && rnd(12) == 0 ? draw_text_char() : draw(depth - 1, terminal);
        return add((expr){ .k = REPEAT, .n = 1, .child = { body }, .lo = b[0], .hi = b[1] });
    }
    return names[rnd((uint32_t)n_names)];
}

static bool find_productive(void)
{
    for (int i = 0; i < n_expr; i++)
        e[i].productive = false;
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < n_expr; i++) {
            bool p = e[i].k == SET || e[i].k == EMPTY || (e[i].k == REPEAT && e[i].lo == 0);
            bool any = false, all = true;
            for (int k = 0; k < e[i].n; k++) {
                any = any || e[e[i].child[k]].productive;
                all = all && e[e[i].child[k]].productive;
            }
            p = p || (e[i].n && (e[i].k == ALT ? any : all));
            again = again || p != e[i].productive;
            e[i].productive = p;
        }
    }
    return e[names[0]].productive;
}

/* ---- the slow recogniser ---- */

typedef struct table {
    uint32_t ends[MAX_EXPR][MAX_TEXT + 1]; /* bit j: expression i derives text[at..j) */
    bool prefix[MAX_EXPR][MAX_TEXT + 1];   /* text[at..n) begins something it derives */
    const unsigned char *text;
    int n;
} table;

static uint32_t ends_of(const table *t, int i, int at)
{
    const expr *x = &e[i];
    uint32_t now, next, out = 0;
    switch (x->k) {
    case SET:
        return at < t->n && x->bits[t->text[at] / 64] >> t->text[at] % 64 & 1 ? 1u << (at + 1) : 0;
    case EMPTY:
        return 1u << at;
    case ALT:
        for (int k = 0; k < x->n; k++)
            out |= t->ends[x->child[k]][at];
        return out;
    case SEQ:
    case NAME:
        now = 1u << at;
        for (int k = 0; k < x->n; k++, now = next) {
            next = 0;
            for (int j = at; j <= t->n; j++)
                if (now >> j & 1)
                    next |= t->ends[x->child[k]][j];
        }
        return now;
    default: /* REPEAT: more rounds than this change nothing */
        now = 1u << at;
        for (unsigned round = 0; round <= x->hi && round <= x->lo + (unsigned)t->n + 1; round++, now = next) {
            if (round >= x->lo)
                out |= now;
            next = 0;
            for (int j = at; j <= t->n; j++)
                if (now >> j & 1)
                    next |= t->ends[x->child[0]][j];
        }
        return out;
    }
}

static bool prefix_of(const table *t, int i, int at)
{
    const expr *x = &e[i];
    uint32_t now = 1u << at, next;
    if (!x->productive)
        return false;
    if (t->ends[i][at] >> t->n & 1)
        return true;
    switch (x->k) {
    case SET:
    case EMPTY:
        return at == t->n;
    case ALT:
        for (int k = 0; k < x->n; k++)
            if (t->prefix[x->child[k]][at])
                return true;
        return false;
    default: /* some parts are whole, the next one is begun, the rest can be anything */
        for (unsigned k = 0; k < (x->k == REPEAT ? x->lo + (unsigned)t->n + 1 : (unsigned)x->n); k++, now = next) {
            int child = x->child[x->k == REPEAT ? 0 : k];
            if (x->k == REPEAT && k >= x->hi)
                return false;
            next = 0;
            for (int j = at; j <= t->n; j++)
                if (now >> j & 1) {
                    if (t->prefix[child][j])
                        return true;
                    next |= t->ends[child][j];
                }
        }
        return false;
    }
}

/* 0: it cannot be completed; 1: it can; 3: and it is whole. */
static int judge(const unsigned char *text, int n)
{
    static table t;
    t.text = text;
    t.n = n;
    memset(t.ends, 0, sizeof t.ends);
    memset(t.prefix, 0, sizeof t.prefix);
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < n_expr; i++)
            for (int at = 0; at <= n; at++) {
                uint32_t x = ends_of(&t, i, at);
                again = again || x != t.ends[i][at];
                t.ends[i][at] = x;
            }
    }
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < n_expr; i++)
            for (int at = 0; at <= n; at++) {
                bool x = prefix_of(&t, i, at);
                again = again || x != t.prefix[i][at];
                t.prefix[i][at] = x;
            }
    }
    return t.ends[names[0]][0] >> n & 1 ? 3 : t.prefix[names[0]][0];
}

/* ---- the same as rules ---- */

static rule built[MAX_EXPR];

static lang lang_of(rules *r, int i)
{
    lang_set *s = rules_langs(r);
    const expr *x = &e[i];
    lang parts[4] = { 0 };
    for (int k = 0; k < x->n; k++)
        parts[k] = lang_of(r, x->child[k]);
    switch (x->k) {
    case SET:
        return lang_bytes(s, x->bits);
    case SEQ:
        return lang_seq(s, parts[0], x->n == 2   ? parts[1]
                                     : x->n == 3 ? lang_seq(s, parts[1], parts[2])
                                                 : lang_seq(s, lang_seq(s, parts[1], parts[2]), parts[3]));
    case ALT:
        return lang_alt_n(s, parts, (size_t)x->n);
    case REPEAT:
        return lang_repeat(s, parts[0], x->lo, x->hi == 99 ? LANG_UNBOUNDED : x->hi);
    default:
        return LANG_EMPTY;
    }
}

static bool has_name(int i)
{
    if (e[i].k == NAME)
        return true;
    for (int k = 0; k < e[i].n; k++)
        if (has_name(e[i].child[k]))
            return true;
    return false;
}

/* Subtrees without names become terminals, or now and then rules all the same. */
static rule rule_of(rules *r, int i)
{
    const expr *x = &e[i];
    if (x->k == NAME)
        return built[i];
    if (!has_name(i) && (x->n == 0 || rnd(3)))
        return rules_token(r, lang_of(r, i));
    rule parts[4] = { 0 };
    for (int k = 0; k < x->n; k++)
        parts[k] = rule_of(r, x->child[k]);
    return x->k == SEQ   ? rules_seq(r, parts, (size_t)x->n)
           : x->k == ALT ? rules_alt(r, parts, (size_t)x->n)
                         : rules_repeat(r, parts[0], x->lo, x->hi == 99 ? RULES_UNBOUNDED : x->hi);
}

static status compile(grammar **g, error *why)
{
    rules *r = NULL;
    assert_ok(rules_open(&r, err));
    for (int i = 0; i < n_names; i++)
        built[names[i]] = rules_declare(r, "rule", 4);
    for (int i = 0; i < n_names; i++)
        rules_define(r, built[names[i]], rule_of(r, e[names[i]].child[0]));
    return rules_compile(&r, built[names[0]], g, why);
}

static void draw_grammar(void)
{
    static const unsigned char from[] = { 'a', 'b', 'z', 'B', '0', ' ', '"', '\\', '\n', 0xC3, 0xA9, 0xE2,
        0x82, '.' };
    n_expr = 0;
    n_names = 1 + (int)rnd(MAX_NAMES);
    for (size_t i = 0; i < sizeof pool; i++)
        pool[i] = from[rnd(sizeof from)];
    for (int i = 0; i < n_names; i++)
        names[i] = add((expr){ .k = NAME, .n = 1 });
    for (int i = 0; i < n_names; i++) {
        int body = draw(i == 0 ? 4 : 3, false);
        e[names[i]].child[0] = body;
    }
    if (n_expr < MAX_EXPR - 30 && rnd(3) == 0) { /* terminals of whole characters */
        int body = add((expr){ .k = REPEAT, .n = 1, .child = { draw_text_char() }, .lo = rnd(2),
            .hi = rnd(2) ? 99 : 3 });
        int c[2] = { rnd(2) ? e[names[0]].child[0] : draw_set(), body };
        e[names[0]].child[0] = list(rnd(2) ? SEQ : ALT, c, 2);
    }
}

/* ---- tokens ---- */

static char piece_text[N_TOKENS][8];
static span pieces[N_TOKENS];

static void draw_tokens(void)
{
    static const char *const fixed[] = { "a", "b", "z", "B", "0", " ", "\"", "\\", "\n", "\xC3", "\xA9",
        "\xE2", "\x82", ".",
                                         "the", " the", "\xC3\xA9", "\xE2\x82\xAC", "ab", "aB0", "a\"", "\"b",
                                             "zz\n" };
    for (size_t i = 0; i < N_TOKENS; i++) {
        size_t n = 1 + rnd(4);
        if (i < ARRAY_LEN(fixed)) {
            n = strlen(fixed[i]);
            memcpy(piece_text[i], fixed[i], n);
        } else {
            for (size_t k = 0; k < n; k++)
                piece_text[i][k] = (char)pool[rnd(sizeof pool)];
        }
        pieces[i] = (span){ piece_text[i], n };
    }
    pieces[N_TOKENS - 1].n = 0; /* no text */
}

static void compare_forced(grammar_state *s, const unsigned char *text, int n)
{
    buf forced = BUF_INIT(64);
    unsigned char longer[MAX_TEXT];
    memcpy(longer, text, (size_t)n);
    assert_ok(grammar_state_forced(s, (size_t)(MAX_TEXT - 6 - n), &forced, err));
    size_t at = 0;
    for (; n < MAX_TEXT - 6 && judge(longer, n) != 3; at++, n++) {
        int only = -1, count = 0;
        for (int b = 0; b < 256 && count < 2; b++) {
            longer[n] = (unsigned char)b;
            if (judge(longer, n + 1)) {
                only = b;
                count++;
            }
        }
        if (count != 1)
            break;
        assert_true(at < forced.len && (unsigned char)forced.data[at] == only);
        longer[n] = (unsigned char)only;
    }
    assert_int_equal(at, forced.len);
    buf_clear(&forced);
}

static void print_expr(int i)
{
    static const char *const open[] = { "", "(", "(", "(", "", "" }, *const between[] = { "", " ", " | ", "",
        "", "" };
    const expr *x = &e[i];
    print_error("%s", open[x->k]);
    if (x->k == SET) {
        print_error("[");
        for (unsigned c = 0, from = 256; c <= 256; c++) {
            bool in = c < 256 && x->bits[c / 64] >> c % 64 & 1;
            if (in && from == 256)
                from = c;
            if (!in && from != 256) {
                print_error(from == c - 1 ? "%02x" : "%02x-%02x", from, c - 1);
                from = 256;
            }
        }
        print_error("]");
    }
    if (x->k == NAME)
        print_error("N%d", i);
    for (int k = 0; k < x->n && x->k != NAME; k++) {
        print_error("%s", k ? between[x->k] : "");
        print_expr(x->child[k]);
    }
    if (x->k == REPEAT)
        print_error("){%u,%u}", x->lo, x->hi);
    else if (*open[x->k])
        print_error(")");
}

static void print_grammar(void)
{
    for (int i = 0; i < n_names; i++) {
        print_error("N%d = ", names[i]);
        print_expr(e[names[i]].child[0]);
        print_error("\n");
    }
}

/* One text of random tokens under the grammar. */
static void walk(grammar *g, const grammar_vocab *v)
{
    grammar_state *s = NULL;
    assert_ok(grammar_state_open(&s, g, v, err));
    unsigned char text[MAX_TEXT];
    int n = 0;
    while (n < MAX_TEXT - 8) {
        const uint64_t *mask = NULL;
        int allowed[N_TOKENS], n_allowed = 0, now = judge(text, n);
        assert_true(now != 0);
        assert_ok(grammar_state_mask(s, &mask, err));
        for (int t = 0; t < N_TOKENS; t++) {
            bool in_mask = mask[t / 64] >> t % 64 & 1, want = t == 0 ? now == 3 : false;
            if (t && pieces[t].n) {
                memcpy(text + n, pieces[t].p, pieces[t].n);
                want = judge(text, n + (int)pieces[t].n) != 0;
            }
            if (in_mask != want)
                print_grammar();
            if (in_mask != want)
                fail_msg("token %d is %d, should be %d after %d bytes", t, in_mask, want, n);
            if (in_mask && t)
                allowed[n_allowed++] = t;
        }
        int asked = (int)rnd(N_TOKENS);
        uint64_t word = mask[asked / 64] >> asked % 64 & 1;
        assert_int_equal(grammar_state_allows(s, asked), word);
        if (!word)
            assert_int_equal(grammar_state_accept(s, asked, NULL), E_FORMAT);
        assert_int_equal(grammar_state_may_end(s), now == 3);
        if (rnd(4) == 0)
            compare_forced(s, text, n);
        if (!n_allowed)
            break;
        int t = allowed[rnd((uint32_t)n_allowed)];
        memcpy(text + n, pieces[t].p, pieces[t].n);
        n += (int)pieces[t].n;
        assert_ok(grammar_state_accept(s, t, err));
        if (rnd(4) == 0 && grammar_state_steps(s) > 1) { /* there and back again */
            grammar_state_rewind(s, 1);
            assert_ok(grammar_state_accept_bytes(s, pieces[t].p, pieces[t].n, err));
        }
    }
    grammar_state_close(&s);
}

static void test_masks(void **unused)
{
    (void)unused;
    const char *many = getenv("HEARTH_MASK_GRAMMARS"), *first = getenv("HEARTH_MASK_SEED");
    int wanted = many ? atoi(many) : 100, done = 0, left_recursive = 0;
    seed = 88172645463325252ull + (first ? strtoull(first, NULL, 10) : 0);
    while (done < wanted) {
        grammar *g = NULL;
        grammar_vocab *v = NULL;
        error why = { OK, "" };
        draw_grammar();
        bool productive = find_productive();
        status st = compile(&g, &why);
        if (!productive) {
            assert_int_equal(st, E_FORMAT);
            continue;
        }
        if (st) {
            if (st != E_UNSUPPORTED)
                fail_msg("%s", why.text);
            left_recursive++;
            continue;
        }
        draw_tokens();
        assert_ok(grammar_vocab_from(&v, pieces, N_TOKENS, (const int32_t[]){ 0 }, 1, err));
        for (int i = 0; i < 3; i++)
            walk(g, v);
        grammar_close(&g);
        grammar_vocab_close(&v);
        done++;
    }
    print_message("%d grammars agree; %d were left recursive\n", done, left_recursive);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_masks) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
