/* detect_number.c: numbers that people and firms are known by.
 *
 * From a word on, words that single separators join make a cluster of up to NUMBER_MAX characters and GROUPS_MAX
 * groups. Every beginning of it that ends with a group is tried against the rules of its length: shape, grouping,
 * checksum. So a text costs a bounded amount for each of its words. */
#include <string.h>

#include "privacy/detect_int.h"

enum { GROUPS_MAX = 9 };

typedef struct cluster {
    char c[NUMBER_MAX + 1]; /* letters in upper case */
    char groups[GROUPS_MAX + 1]; /* their lengths in base 36 */
    size_t n, n_groups, end; /* end: in the view, behind the last group */
    bool all_digits;
    char separator;          /* between its groups */
} cluster;

static bool is_joint(char c)
{
    return c == ' ' || c == '-' || c == '.' || c == '/';
}

static size_t word_end(const view *v, size_t at, size_t limit)
{
    size_t end = at;
    while (end < v->n && end - at <= limit && is_word(v->p[end]))
        end++;
    return end;
}

/* Adds the word at `at`. false: it is too long for a number. */
static bool add_group(cluster *k, const view *v, size_t at)
{
    size_t end = word_end(v, at, NUMBER_MAX), n = end - at;
    if (n > NUMBER_MAX - k->n || k->n_groups == GROUPS_MAX)
        return false;
    for (size_t i = at; i < end; i++) {
        k->c[k->n++] = is_lower(v->p[i]) ? (char)(v->p[i] - 32) : v->p[i];
        k->all_digits &= is_digit(v->p[i]);
    }
    k->groups[k->n_groups++] = (char)(n < 10 ? '0' + n : 'a' + n - 10);
    k->end = end;
    return true;
}

/* A dash, dot or slash ties what stands before it to this number, if that has a digit: then this is a part of something
 * longer, and the rules of whole numbers do not apply. */
static bool tied_before(const view *v, size_t at)
{
    if (at < 2 || !is_joint(v->p[at - 1]) || v->p[at - 1] == ' ')
        return false;
    for (size_t i = at - 1, back = 0; i-- > 0 && back < 16 && is_word(v->p[i]); back++)
        if (is_digit(v->p[i]))
            return true;
    return false;
}

static bool tied_after(const view *v, size_t end)
{
    return end + 1 < v->n && is_joint(v->p[end]) && v->p[end] != ' ' && is_digit(v->p[end + 1]);
}

static bool shaped(const rule *r, const cluster *k)
{
    if (!r->shape)
        return k->n >= r->least && k->n <= r->most;
    for (size_t i = 0; i < k->n; i++)
        if ((r->shape[i] == 'd' && !is_digit(k->c[i])) || (r->shape[i] == 'a' && is_digit(k->c[i])))
            return false;
    return true;
}

/* Is the cluster's grouping a word of the rule's list? */
static bool grouped(const rule *r, const cluster *k)
{
    if (r->groups[0] == '*')
        return true;
    for (const char *at = r->groups;; at++) {
        size_t i = 0;
        while (i < k->n_groups && at[i] == k->groups[i])
            i++;
        if (i == k->n_groups && (at[i] == ' ' || !at[i]))
            return true;
        for (at += i; *at && *at != ' ';)
            at++;
        if (!*at)
            return false;
    }
}

static void try_rules(scan *s, const view *v, size_t begin, const cluster *k, context_at *near)
{
    bool one = k->n_groups == 1;
    uint64_t rules = s->d->by_length[k->n] & (k->all_digits ? ~0ull : ~s->d->of_digits);
    for (; rules; rules &= rules - 1) {
        rule_id id = (rule_id)__builtin_ctzll(rules);
        const rule *r = &detect_rules[id];
        if (grouped(r, k) && shaped(r, k) && r->check(k->c, k->n))
            detect_hit_near(s, v, id, begin, k->end, one ? r->score : r->grouped, near);
    }
}

void number_at(scan *s, const view *v, size_t at)
{
    cluster k = { .all_digits = true };
    context_at near = { 0 };
    if (tied_before(v, at) || !add_group(&k, v, at))
        return;
    for (;;) {
        if (!tied_after(v, k.end))
            try_rules(s, v, at, &k, &near);
        if (k.end + 1 >= v->n || !is_joint(v->p[k.end]) || !is_word(v->p[k.end + 1]))
            return;
        if (k.n_groups == 1)
            k.separator = v->p[k.end];
        else if (k.separator != v->p[k.end])
            return;
        if (!add_group(&k, v, k.end + 1))
            return;
    }
}

/* ---- telephone numbers ---- */

enum { PHONE_LEAST = 7, PHONE_MOST = 15, PHONE_GROUPS = 8 };

typedef struct phone {
    char digits[PHONE_MOST + 1];
    uint8_t groups[PHONE_GROUPS];
    size_t n, n_groups, end;
    bool brackets;
} phone;

/* Digits in groups; between them one of " -./" or a bracket with a blank or without. */
static void read_phone(phone *p, const view *v, size_t at)
{
    while (at < v->n && p->n_groups < PHONE_GROUPS) {
        size_t begin = at;
        while (at < v->n && is_digit(v->p[at]) && p->n < PHONE_MOST)
            p->digits[p->n++] = v->p[at++];
        if (at == begin || (at < v->n && is_word(v->p[at]) && (v->p[at] | 0x20) != 'x'))
            break;
        p->groups[p->n_groups++] = (uint8_t)(at - begin);
        p->end = at;
        for (int k = 0; k < 3 && at < v->n && strchr(" -./()", v->p[at]) && v->p[at]; k++, at++)
            p->brackets |= v->p[at] == ')';
        if (at > p->end + 1 && !p->brackets && v->p[p->end] != ' ' && v->p[at - 1] != '(')
            break;
    }
    if (at < v->n && is_digit(v->p[at]) && p->n == PHONE_MOST)
        p->n = 0; /* longer than any number of E.164 */
}

/* Area, exchange, line; the area and, of real ones, the exchange begin with 2 to 9. */
static bool north_american(const phone *p)
{
    size_t from = p->n == 11 && p->digits[0] == '1' && p->groups[0] == 1;
    return p->n - from == 10 && p->n_groups - from == 3 && p->groups[from] == 3 && p->groups[from + 1] == 3 &&
           p->digits[from] >= '2';
}

/* 3 or more groups of 10 digits or less look like a date (2024-05-06, 06.05.2024) or a version. */
static bool looks_dated(const phone *p)
{
    return p->n == 8 && p->n_groups == 3 && (p->groups[0] == 4 || p->groups[2] == 4);
}

static double phone_score(const phone *p, bool plus)
{
    if (plus)
        return p->digits[0] != '0' && p->n >= 8 ? 0.6 : 0;
    if (north_american(p))
        return 0.5;
    if (p->digits[0] == '0' && p->digits[1] == '0' && p->n >= 10 && p->n_groups > 1)
        return 0.5;
    if (p->digits[0] == '0' && p->digits[1] != '0' && p->n >= 9 && p->n <= 12 && p->n_groups > 1)
        return 0.5;
    if (p->brackets && p->n >= 8 && p->n_groups > 1)
        return 0.5;
    return detect_rules[RULE_PHONE].score;
}

void phone_at(scan *s, const view *v, size_t at)
{
    context_at near = { 0 };
    phone p = { .n = 0 };
    bool plus = v->p[at] == '+';
    size_t from = at + (plus || v->p[at] == '(');
    if (from < v->n && plus && v->p[from] == '(')
        from++;
    if (tied_before(v, at) || from >= v->n || !is_digit(v->p[from]))
        return;
    read_phone(&p, v, from);
    if (p.n < PHONE_LEAST || tied_after(v, p.end) || looks_dated(&p))
        return;
    double score = phone_score(&p, plus);
    if (score > 0)
        detect_hit_near(s, v, RULE_PHONE, at, p.end, score, &near);
}
