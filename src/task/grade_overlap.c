/* grade_overlap.c: how near the answer is to a reference text: ROUGE (C.-Y. Lin 2004, as the package rouge-score
 * counts), chrF and chrF++ (M. Popović 2015, 2017, as sacrebleu counts), Levenshtein similarity. Of several references
 * the best one counts. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "task/sequence_int.h"
#include "task/task_int.h"

enum { CHRF_CHARS = 6 };

/* ---- reading ---- */

status read_measure(task_reader *r, const yaml *map, task_grader *g)
{
    static const char *const words[] = { "f1", "precision", "recall" };
    const yaml *measure = yaml_get(map, "measure");
    size_t word = 0;
    status s = measure ? task_read_word(r, measure, words, ARRAY_LEN(words), &word) : OK;
    g->word = (int)word;
    return s;
}

/* A score of 1 is the reference itself: no author means that by saying nothing. */
static status read_similarity(task_reader *r, const yaml *map, task_grader *g)
{
    if (!g->own_threshold)
        return yaml_error(r->f, map, r->err, "the grader '%s' needs 'threshold': the score that passes", g->type->name);
    return read_fold(r, map, &g->fold);
}

status read_rouge(task_reader *r, const yaml *map, task_grader *g)
{
    static const char *const words[] = { "ascii", "unicode" };
    const yaml *tokens = yaml_get(map, "tokens");
    size_t word = 0;
    status s = read_similarity(r, map, g);
    if (!s)
        s = read_measure(r, map, g);
    if (!s && tokens)
        s = task_read_word(r, tokens, words, ARRAY_LEN(words), &word);
    g->unicode = word == 1;
    g->fold = g->unicode ? FOLD_CASE : 0;
    return s;
}

status read_chrf(task_reader *r, const yaml *map, task_grader *g)
{
    int64_t order = CHRF_CHARS, words = 0;
    g->beta = 2;
    status s = read_similarity(r, map, g);
    if (!s)
        s = task_read_int(r, map, "char_order", 1, SEQUENCE_ORDERS_MAX, &order);
    if (!s)
        s = task_read_int(r, map, "word_order", 0, SEQUENCE_ORDERS_MAX, &words);
    if (!s)
        s = task_read_number(r, map, "beta", 0.01, 100, &g->beta);
    g->least = order;
    g->most = words;
    return s;
}

status read_levenshtein(task_reader *r, const yaml *map, task_grader *g)
{
    return read_similarity(r, map, g);
}

/* ---- references ---- */

typedef status compare(const task_grader *g, span answer, span reference, double *score, error *err);

/* Folds one reference and compares it. */
static status compare_one(const task_grader *g, span answer, const js *reference, compare *with, double *score,
                          error *err)
{
    size_t n = 0;
    char *text = text_fold(js_text(reference), js_len(reference), g->fold, &n);
    status s = text ? with(g, answer, (span){ text, n }, score, err) : task_no_memory(err);
    mem_free(text);
    return s;
}

static status best_of(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                      compare *with, grade *out, error *err)
{
    const js *expected = NULL;
    status s = grade_expected(t, g, c, &expected, err);
    if (s)
        return s;
    size_t references = js_is(expected, JS_ARRAY) ? js_len(expected) : 1, got_n = 0;
    double best = 0;
    error why = { 0 };
    char *got = text_fold(answer, n, g->fold, &got_n);
    s = references == 0 ? grade_bad_expected(t, g, c, "a text or a list of texts", err)
        : got           ? OK
                        : task_no_memory(err);
    for (size_t i = 0; i < references && !s; i++) {
        const js *one = js_is(expected, JS_ARRAY) ? js_at(expected, i) : expected;
        double score = 0;
        if (!js_is(one, JS_STRING))
            s = grade_bad_expected(t, g, c, "a text or a list of texts", err);
        else if ((s = compare_one(g, (span){ got, got_n }, one, with, &score, &why)) == E_NOMEM)
            (void)task_no_memory(err);
        best = score > best ? score : best;
    }
    mem_free(got);
    if (s == E_RANGE)
        return grade_malformed(out, "the answer or the reference is too long to be compared");
    if (!s)
        grade_score(g, best, out);
    return s;
}

/* ---- ROUGE ---- */

/* What Python's lower() makes of a text in NFC and rouge-score keeps of it: runs of a-z and 0-9, here with blanks
 * between. The one character outside ASCII with such a letter in its lower case is U+0130: i, and a dot above. */
static char *rouge_text(span text, size_t *n_out)
{
    char *out = mem_alloc(text.n + 1);
    size_t n = 0, len = 0;
    for (size_t i = 0; i < text.n && out; i += len) {
        uint32_t c = 0;
        len = utf8_decode(text.p + i, text.n - i, &c);
        len = len ? len : 1;
        bool upper = c >= 'A' && c <= 'Z', kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (c == 0x130)
            out[n++] = 'i';
        out[n++] = (char)(upper ? c + 32 : kept ? c : ' ');
    }
    *n_out = n;
    return out;
}

double grade_measured(const task_grader *g, size_t common, size_t in_answer, size_t in_reference)
{
    double precision = in_answer ? (double)common / (double)in_answer : 0;
    double recall = in_reference ? (double)common / (double)in_reference : 0;
    double f1 = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
    return g->word == 1 ? precision : g->word == 2 ? recall : f1;
}

static bool unicode_word(span text, size_t *at, span *piece)
{
    return text_word(text, at, piece);
}

static status rouge(const task_grader *g, const sequence_pair *p, double *score, error *err)
{
    sequence_overlap o[2] = { { p->na, p->nb, 0 } };
    size_t order = g->type->name[6] == '2' ? 2 : 1;
    bool longest = g->type->name[6] == 'l';
    status s = longest ? sequence_lcs(p, &o[0].both, err) : sequence_ngrams(p, order, o, err);
    if (!s)
        *score = grade_measured(g, o[order - 1].both, o[order - 1].a, o[order - 1].b);
    return s;
}

static status compare_rouge(const task_grader *g, span answer, span reference, double *score, error *err)
{
    sequence_pair p = { 0 };
    size_t na = 0, nb = 0;
    char *a = g->unicode ? NULL : rouge_text(answer, &na), *b = g->unicode ? NULL : rouge_text(reference, &nb);
    status s = OK;
    if (!g->unicode && (!a || !b))
        s = task_no_memory(err);
    else if (g->unicode)
        s = sequence_open(&p, answer, reference, unicode_word, err);
    else
        s = sequence_open(&p, (span){ a, na }, (span){ b, nb }, sequence_field, err);
    if (!s)
        s = rouge(g, &p, score, err);
    sequence_clear(&p);
    mem_free(b);
    mem_free(a);
    return s;
}

status run_rouge(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                 error *err)
{
    return best_of(t, g, c, answer, n, compare_rouge, out, err);
}

/* ---- chrF ---- */

static bool ascii_punctuation(char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/* Words of chrF++ with blanks between. One mark is split off a word of two characters or more: its last character if
 * that is one, else its first. */
static char *chrf_text(span text, size_t *n_out)
{
    char *out = mem_alloc(2 * text.n + 1);
    size_t n = 0;
    span w;
    for (size_t at = 0; out && sequence_field(text, &at, &w);) {
        size_t cut = utf8_count(w.p, w.n) < 2               ? 0
                     : ascii_punctuation(w.p[w.n - 1])      ? w.n - 1
                     : ascii_punctuation(w.p[0])            ? 1
                                                            : 0;
        memcpy(out + n, w.p, cut);
        n += cut;
        if (cut)
            out[n++] = ' ';
        memcpy(out + n, w.p + cut, w.n - cut);
        n += w.n - cut;
        out[n++] = ' ';
    }
    *n_out = n;
    return out;
}

/* The mean precision and recall over the orders that both texts have, then F with recall beta times as important. */
static double chrf_score(const sequence_overlap *o, size_t orders, double beta)
{
    double precision = 0, recall = 0, factor = beta * beta;
    size_t effective = 0;
    for (size_t i = 0; i < orders; i++)
        if (o[i].a && o[i].b) {
            precision += (double)o[i].both / (double)o[i].a;
            recall += (double)o[i].both / (double)o[i].b;
            effective++;
        }
    if (precision + recall <= 0)
        return 0;
    precision /= (double)effective;
    recall /= (double)effective;
    return (1 + factor) * precision * recall / (factor * precision + recall);
}

static status chrf_words(const task_grader *g, span answer, span reference, sequence_overlap *out, error *err)
{
    sequence_pair words = { 0 };
    size_t na = 0, nb = 0;
    char *a = chrf_text(answer, &na), *b = chrf_text(reference, &nb);
    status s = a && b ? sequence_open(&words, (span){ a, na }, (span){ b, nb }, sequence_field, err)
                      : task_no_memory(err);
    if (!s)
        s = sequence_ngrams(&words, (size_t)g->most, out, err);
    sequence_clear(&words);
    mem_free(b);
    mem_free(a);
    return s;
}

static status compare_chrf(const task_grader *g, span answer, span reference, double *score, error *err)
{
    sequence_pair chars = { 0 };
    sequence_overlap o[2 * SEQUENCE_ORDERS_MAX];
    size_t n_chars = (size_t)g->least, n_words = (size_t)g->most;
    status s = sequence_open(&chars, answer, reference, sequence_dark_char, err);
    if (!s)
        s = sequence_ngrams(&chars, n_chars, o, err);
    if (!s && n_words)
        s = chrf_words(g, answer, reference, o + n_chars, err);
    sequence_clear(&chars);
    if (!s)
        *score = chrf_score(o, n_chars + n_words, g->beta);
    return s;
}

status run_chrf(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n, grade *out,
                error *err)
{
    return best_of(t, g, c, answer, n, compare_chrf, out, err);
}

/* ---- Levenshtein ---- */

static status compare_levenshtein(const task_grader *g, span answer, span reference, double *score, error *err)
{
    (void)g;
    sequence_pair p = { 0 };
    size_t distance = 0;
    status s = sequence_open(&p, answer, reference, sequence_char, err);
    if (!s)
        s = sequence_distance(&p, &distance, err);
    size_t longest = p.na > p.nb ? p.na : p.nb;
    if (!s)
        *score = longest ? 1 - (double)distance / (double)longest : 1;
    sequence_clear(&p);
    return s;
}

status run_levenshtein(const task *t, const task_grader *g, const task_case *c, const char *answer, size_t n,
                       grade *out, error *err)
{
    return best_of(t, g, c, answer, n, compare_levenshtein, out, err);
}
