/* detect_secret.c: what opens doors: keys, tokens, passwords. */
#include <string.h>
#include <strings.h>

#include "privacy/detect_int.h"

/* ---- keys of a known prefix ---- */

typedef struct prefix {
    const char *text;
    rule_id rule;
    size_t least, most; /* characters after it */
    bool dashes;        /* '-' and '_' may be among them */
} prefix;
static const prefix prefixes[] = {
    { "AKIA", RULE_AWS, 16, 16, false },      { "ASIA", RULE_AWS, 16, 16, false },
    { "ghp_", RULE_GITHUB, 36, 36, false },   { "gho_", RULE_GITHUB, 36, 36, false },
    { "ghu_", RULE_GITHUB, 36, 36, false },   { "ghs_", RULE_GITHUB, 36, 36, false },
    { "ghr_", RULE_GITHUB, 36, 36, false },   { "github_pat_", RULE_API_KEY, 60, 100, true },
    { "xoxa-", RULE_SLACK, 10, 300, true },   { "xoxb-", RULE_SLACK, 10, 300, true },
    { "xoxe-", RULE_SLACK, 10, 300, true },   { "xoxo-", RULE_SLACK, 10, 300, true },
    { "xoxp-", RULE_SLACK, 10, 300, true },   { "xoxr-", RULE_SLACK, 10, 300, true },
    { "xoxs-", RULE_SLACK, 10, 300, true },   { "sk_live_", RULE_API_KEY, 16, 120, false },
    { "rk_live_", RULE_API_KEY, 16, 120, false }, { "sk-", RULE_API_KEY, 20, 300, true },
    { "AIza", RULE_API_KEY, 35, 35, true },   { "glpat-", RULE_API_KEY, 20, 60, true },
    { "hf_", RULE_API_KEY, 30, 40, false },   { "npm_", RULE_API_KEY, 36, 36, false },
    { "pypi-", RULE_API_KEY, 60, 300, true }, { "ya29.", RULE_API_KEY, 30, 300, true },
};

/* The last six characters are the CRC-32 of the thirty before them, in base 62. */
static bool github_sum(const char *p)
{
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint32_t crc = sum_crc32(p, 30);
    for (int i = 35; i >= 30; i--, crc /= 62)
        if (p[i] != alphabet[crc % 62])
            return false;
    return true;
}

static void try_prefix(scan *s, const view *v, size_t at, const prefix *x)
{
    size_t n = strlen(x->text), end = at + n;
    bool digit = false;
    bool inside = x->dashes && at > 0 && (v->p[at - 1] == '-' || v->p[at - 1] == '_');
    if (inside || v->n - at < n + x->least || memcmp(v->p + at, x->text, n) != 0)
        return;
    for (; end < v->n && end - at - n <= x->most; end++) {
        char c = v->p[end];
        if (!is_word(c) && !(x->dashes && (c == '-' || c == '_')))
            break;
        digit |= is_digit(c);
    }
    size_t length = end - at - n;
    if (length < x->least || length > x->most || (!digit && x->rule == RULE_API_KEY))
        return;
    bool sure = x->rule == RULE_GITHUB && github_sum(v->p + at + n);
    detect_hit(s, v, x->rule, at, end, sure ? 1.0 : detect_rules[x->rule].score);
}

/* Three parts of base64url, of which the first begins with {" (and so with eyJ). The third may be empty. */
static void jwt_at(scan *s, const view *v, size_t at)
{
    enum { MOST = 1 << 14 };
    size_t end = at, dots = 0, part = at, length[3] = { 0 };
    if (at > 0 && is_base64(v->p[at - 1]))
        return;
    for (; end < v->n && end - at < MOST && (is_base64(v->p[end]) || v->p[end] == '.'); end++)
        if (v->p[end] == '.') {
            if (dots == 2)
                break;
            length[dots++] = end - part;
            part = end + 1;
        }
    if (dots == 2 && length[0] >= 10 && length[1] >= 4)
        detect_hit(s, v, RULE_JWT, at, end, detect_rules[RULE_JWT].score);
}

void secret_word_at(scan *s, const view *v, size_t at, size_t word_end)
{
    char first = v->p[at];
    if (!strchr("AghnprsxyeE", first))
        goto bitcoin;
    if (first == 'e' && word_end - at >= 10 && memcmp(v->p + at, "eyJ", 3) == 0)
        jwt_at(s, v, at);
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (prefixes[i].text[0] == first)
            try_prefix(s, v, at, &prefixes[i]);
bitcoin:
    if (word_end - at >= 14 && word_end - at <= 74 && strchr("13bBtT", first) &&
        bitcoin_address(v->p + at, word_end - at))
        detect_hit(s, v, RULE_BITCOIN, at, word_end, detect_rules[RULE_BITCOIN].score);
}

/* ---- PEM (RFC 7468) ---- */

void pem_at(scan *s, const view *v, size_t at)
{
    static const char begin[] = "-----BEGIN ", key[] = "PRIVATE KEY", close[] = "-----END ";
    enum { LABEL_MAX = 64, BODY_MAX = 1 << 14 };
    size_t n = sizeof begin - 1, left = v->n - at;
    if (at < s->pem_end || left < n || memcmp(v->p + at, begin, n) != 0)
        return;
    const char *label = v->p + at + n;
    size_t label_n = left - n < LABEL_MAX ? left - n : LABEL_MAX;
    if (!memmem(label, label_n, key, sizeof key - 1))
        return;
    size_t body_n = left - n < BODY_MAX ? left - n : BODY_MAX;
    const char *end = memmem(label, body_n, close, sizeof close - 1);
    const char *line = end ? memchr(end, '\n', (size_t)(label + body_n - end)) : NULL;
    s->pem_end = at + n + (end ? (size_t)(end - label) : body_n);
    detect_hit(s, v, RULE_PEM, at, line ? (size_t)(line - v->p) : at + n + body_n, detect_rules[RULE_PEM].score);
}

/* ---- assignments ---- */

enum { NAME_MAX = 40, VALUE_MIN = 4, VALUE_MAX = 200 };

/* Names whose value opens something: ends of names, letters and digits only, in lower case. */
static const char *const names[] = { "password", "passwd", "passphrase", "passwort", "motdepasse", "contrasena", "pwd",
                                     "secret", "secretkey", "clientsecret", "apikey", "accesskey", "privatekey",
                                     "accesstoken", "authtoken", "refreshtoken", "apitoken", "token", "bearer",
                                     "passcode", "pin", "pincode", "cvv", "cvc" };
enum { NAMES_SHORT = 4 }; /* the last ones must be the whole name, and have digits for values */

/* The name that ends before `at`, without quotes, blanks, dashes and underscores. Returns its length. */
static size_t name_before(const view *v, size_t at, char out[NAME_MAX])
{
    size_t n = 0;
    while (at > 0 && strchr(" \"'`]", v->p[at - 1]) && v->p[at - 1] && n++ < 3)
        at--;
    for (n = 0; at > 0 && n < NAME_MAX; at--) {
        char c = v->p[at - 1];
        if (is_word(c))
            out[NAME_MAX - ++n] = is_upper(c) ? (char)(c | 0x20) : c;
        else if (c != '_' && c != '-' && c != '.')
            break;
    }
    memmove(out, out + NAME_MAX - n, n);
    return n;
}

/* 0: none of the names; 1: one of the short ones; 2: another. */
static int names_secret(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t length = strlen(names[i]);
        bool is_short = i >= ARRAY_LEN(names) - NAMES_SHORT;
        if (n >= length && memcmp(name + n - length, names[i], length) == 0 && (!is_short || n == length))
            return is_short ? 1 : 2;
    }
    return 0;
}

/* A value, and not a word of a sentence or of a programming language. in_prose: after "is", anything of letters alone
 * is taken for a word. */
static bool is_value(const char *p, size_t n, bool quoted, bool in_prose, bool digits_only)
{
    size_t letters = 0, digits = 0;
    for (size_t i = 0; i < n; i++) {
        letters += is_letter(p[i]);
        digits += is_digit(p[i]);
    }
    if (digits_only)
        return n >= 3 && n <= 8 && digits == n;
    if (n < VALUE_MIN || memchr("<${[(", p[0], 5) || (letters == n && in_prose) || p[n - 1] == '(')
        return false;
    static const char *const words[] = { "null",      "none",   "true",     "false",
                                         "undefined", "string", "required", "optional" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strlen(words[i]) == n && strncasecmp(words[i], p, n) == 0)
            return false;
    return quoted || digits > 0 || letters == n || n >= 8;
}

static void try_value(scan *s, const view *v, size_t at, int kind, bool in_prose)
{
    size_t i = at;
    while (i < v->n && i - at < 4 && (v->p[i] == ' ' || v->p[i] == '>' || v->p[i] == '='))
        i++;
    char quote = i < v->n && (v->p[i] == '"' || v->p[i] == '\'' || v->p[i] == '`') ? v->p[i++] : 0;
    size_t begin = i;
    if (v->n - i > 7 && (memcmp(v->p + i, "Bearer ", 7) == 0 || memcmp(v->p + i, "bearer ", 7) == 0))
        begin = i += 7;
    while (i < v->n && i - begin < VALUE_MAX && v->p[i] != quote && (unsigned char)v->p[i] >= ' ' &&
           (quote || !strchr(" \"'`,;&<", v->p[i])))
        i++;
    while (i > begin && !quote && strchr(".!?:)]}", v->p[i - 1]))
        i--;
    if (i > begin && is_value(v->p + begin, i - begin, quote != 0, in_prose, kind == 1))
        detect_hit(s, v, RULE_PASSWORD, begin, i, detect_rules[RULE_PASSWORD].score);
}

void assignment_at(scan *s, const view *v, size_t at)
{
    char name[NAME_MAX];
    bool in_prose = v->p[at] == 's';
    if (at + 1 >= v->n || (in_prose && (at < 4 || v->p[at - 2] != ' ')))
        return;
    int kind = names_secret(name, name_before(v, in_prose ? at - 1 : at, name));
    if (kind)
        try_value(s, v, at + 1, kind, in_prose || v->p[at] == ':');
}

/* ---- tokens that look drawn by lot ---- */

enum { RANDOM_MIN = 20, RANDOM_MAX = 512 };

/* -p log2 p in bits for a count of n in all, summed: n log2 n - sum of c log2 c, over n. Logarithms come from a table,
 * in 1/1024 bits, so that the answer is the same on every machine. */
static unsigned log2_fixed(unsigned x)
{
    unsigned whole = 31 - (unsigned)__builtin_clz(x), result = whole << 10;
    uint64_t y = (uint64_t)x << (31 - whole); /* 1.31 fixed point in [1, 2) */
    for (unsigned bit = 512; bit; bit >>= 1) {
        y = y * y >> 31;
        if (y >> 32) {
            result += bit;
            y >>= 1;
        }
    }
    return result;
}

static bool looks_random(const char *p, size_t n)
{
    uint16_t counts[128] = { 0 };
    size_t kinds[3] = { 0 }, turns = 0;
    int last = -1;
    for (size_t i = 0; i < n; i++) {
        int kind = is_digit(p[i]) ? 0 : is_upper(p[i]) ? 1 : 2;
        counts[(unsigned char)p[i] & 127]++;
        kinds[kind]++;
        turns += kind != last;
        last = kind;
    }
    if (kinds[0] < 2 || !kinds[1] || !kinds[2] || turns * 50 < n * 21) /* names in camelCase turn seldom */
        return false;
    uint64_t bits = (uint64_t)n * log2_fixed((unsigned)n);
    for (size_t i = 0; i < 128; i++)
        bits -= counts[i] ? (uint64_t)counts[i] * log2_fixed(counts[i]) : 0;
    return bits > 4096ull * n;
}

void secret_run(scan *s, const view *v, size_t begin, size_t end)
{
    for (size_t at = begin, n; at < end; at += n + 1) { /* pieces between / - _ */
        for (n = 0; at + n < end && (is_word(v->p[at + n]) || v->p[at + n] == '+');)
            n++;
        size_t some = n < RANDOM_MAX ? n : RANDOM_MAX;
        if (n >= RANDOM_MIN && looks_random(v->p + at, some))
            detect_hit(s, v, RULE_ENTROPY, at, at + n, detect_rules[RULE_ENTROPY].score);
    }
}
