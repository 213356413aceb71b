/* diff.c: a word diff: the longest common subsequence of two lists of words (Wagner and Fischer 1974, whole table). A
 * word is a run of letters, digits and bytes beyond ASCII, or one other character; white space belongs to the word
 * before it and plays no part in the comparison. */
#include <string.h>

#include "base/mem.h"
#include "report/report_int.h"

typedef struct word {
    const char *p;
    size_t n, whole; /* without and with the white space behind it */
} word;

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c & 0x80);
}

/* false: more than DIFF_WORDS_MAX. */
static bool split(const char *s, word *words, size_t *n)
{
    *n = 0;
    while (*s) {
        word w = { s, 0, 0 };
        if (is_word(*s))
            while (is_word(s[w.n]))
                w.n++;
        else if (!is_space(*s))
            w.n = 1;
        for (w.whole = w.n; is_space(s[w.whole]);)
            w.whole++;
        if (*n == DIFF_WORDS_MAX)
            return false;
        words[(*n)++] = w;
        s += w.whole;
    }
    return true;
}

static bool same(const word *a, const word *b)
{
    return a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

/* length[i * (m + 1) + j]: of the longest common subsequence of a[i..) and b[j..). */
static void fill(const word *a, size_t n, const word *b, size_t m, uint16_t *length)
{
    for (size_t i = n; i-- > 0;)
        for (size_t j = m; j-- > 0;) {
            const uint16_t *at = &length[i * (m + 1) + j];
            uint16_t down = at[m + 1], right = at[1];
            length[i * (m + 1) + j] = same(&a[i], &b[j]) ? (uint16_t)(at[m + 2] + 1) : down > right ? down : right;
        }
}

/* Neighbours of one kind are told together: words lie one behind the other in their text. */
typedef struct teller {
    diff_each *each;
    void *user;
    diff_kind kind;
    const char *p;
    size_t n;
} teller;

static void tell(teller *t, diff_kind kind, const word *w)
{
    if (t->n && (t->kind != kind || t->p + t->n != w->p)) {
        t->each(t->user, t->kind, t->p, t->n);
        t->n = 0;
    }
    if (!t->n)
        t->p = w->p;
    t->kind = kind;
    t->n += w->whole;
}

static void walk(const word *a, size_t n, const word *b, size_t m, const uint16_t *length, teller *t)
{
    size_t i = 0, j = 0;
    while (i < n || j < m) {
        const uint16_t *at = &length[i * (m + 1) + j];
        if (i < n && j < m && same(&a[i], &b[j])) {
            tell(t, DIFF_SAME, &b[j]);
            i++;
            j++;
        } else if (j == m || (i < n && at[m + 1] >= at[1])) {
            tell(t, DIFF_GONE, &a[i++]);
        } else {
            tell(t, DIFF_NEW, &b[j++]);
        }
    }
    if (t->n)
        t->each(t->user, t->kind, t->p, t->n);
}

bool report_diff(const char *a, const char *b, diff_each *each, void *user)
{
    word *words = mem_array(2 * DIFF_WORDS_MAX, sizeof *words);
    size_t n = 0, m = 0;
    uint16_t *length = NULL;
    bool ok = words && split(a, words, &n) && split(b, words + DIFF_WORDS_MAX, &m);
    if (ok) {
        length = mem_array((n + 1) * (m + 1), sizeof *length);
        ok = length != NULL;
    }
    if (ok) {
        teller t = { .each = each, .user = user };
        fill(words, n, words + DIFF_WORDS_MAX, m, length);
        walk(words, n, words + DIFF_WORDS_MAX, m, length, &t);
    }
    mem_free(length);
    mem_free(words);
    return ok;
}
