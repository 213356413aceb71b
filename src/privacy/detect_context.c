/* detect_context.c: words that make a number likelier to be what its rule says.
 *
 * All words of all rules are in one table, each with a bit for every rule that names it; a place is asked once for all
 * rules. Words are runs of letters and digits, ASCII case aside. */
#include <string.h>

#include "base/mem.h"
#include "privacy/detect_int.h"

enum { SLOTS = 1024, WORDS_NEAR = 5, BYTES_NEAR = 160, LONGEST = 40 };
_Static_assert(RULES <= 64, "one bit a rule");

typedef struct slot {
    const char *word; /* of the table of rules */
    uint32_t n;
    uint64_t rules;
} slot;

struct context_words {
    slot slots[SLOTS];
};

static char folded(char c)
{
    return is_upper(c) ? (char)(c | 0x20) : c;
}

static slot *find(const context_words *c, const char *p, size_t n)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)folded(p[i])) * 16777619u;
    for (size_t at = hash % SLOTS;; at = (at + 1) % SLOTS) {
        const slot *s = &c->slots[at];
        bool same = s->word && s->n == n;
        for (size_t i = 0; same && i < n; i++)
            same = s->word[i] == folded(p[i]);
        if (same || !s->word)
            return (slot *)(uintptr_t)s;
    }
}

status context_open(context_words **out, error *err)
{
    context_words *c = mem_zero(sizeof *c);
    if (!c)
        return fail(err, E_NOMEM, "no memory for context words");
    for (size_t r = 0; r < RULES; r++) {
        const char *at = detect_rules[r].context ? detect_rules[r].context : "";
        for (size_t n; *at; at += n + (at[n] == ' ')) {
            n = strcspn(at, " ");
            slot *s = find(c, at, n);
            *s = (slot){ at, (uint32_t)n, s->rules | 1ull << r };
        }
    }
    *out = c;
    return OK;
}

void context_close(context_words **c)
{
    mem_free(*c);
    *c = NULL;
}

static uint64_t rules_of(const context_words *c, const char *p, size_t n)
{
    if (n < 2 || n > LONGEST)
        return 0;
    uint64_t rules = find(c, p, n)->rules;
    if (!rules && n > 3 && (p[n - 1] | 0x20) == 's')
        rules = find(c, p, n - 1)->rules;
    return rules;
}

uint64_t context_near(const context_words *c, const view *v, size_t begin, size_t end)
{
    uint64_t rules = 0;
    size_t least = begin > BYTES_NEAR ? begin - BYTES_NEAR : 0;
    size_t most = v->n - end > BYTES_NEAR ? end + BYTES_NEAR : v->n;
    for (size_t at = begin, words = 0; at > least && words < WORDS_NEAR; words++) {
        while (at > least && !is_word(v->p[at - 1]))
            at--;
        size_t last = at;
        while (at > least && is_word(v->p[at - 1]))
            at--;
        rules |= rules_of(c, v->p + at, last - at);
    }
    for (size_t at = end, words = 0; at < most && words < WORDS_NEAR; words++) {
        while (at < most && !is_word(v->p[at]))
            at++;
        size_t first = at;
        while (at < most && is_word(v->p[at]))
            at++;
        rules |= rules_of(c, v->p + first, at - first);
    }
    return rules;
}
