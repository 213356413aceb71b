/* detect_int.h: what the detectors share (private to privacy/).
 *
 * A view is a text as the recognisers see it, with the way back to the bytes it came from. Recognisers report places in
 * the view; detect_hit maps them back. */
#ifndef PRIVACY_DETECT_INT_H
#define PRIVACY_DETECT_INT_H

#include <stdint.h>

#include "base/buf.h"
#include "privacy/detect.h"

/* ---- rules: the order of detect_table.c ---- */
typedef enum rule_id {
    RULE_CARD, RULE_CARD_OTHER, RULE_IBAN, RULE_BITCOIN, RULE_EMAIL, RULE_IPV4, RULE_IPV6, RULE_MAC, RULE_PHONE,
    RULE_US_SSN, RULE_US_ITIN, RULE_US_ABA, RULE_US_NPI, RULE_US_DEA, RULE_UK_NHS, RULE_UK_NINO, RULE_ES_NIF,
    RULE_ES_NIE, RULE_PL_PESEL, RULE_DE_TAX, RULE_DE_RVNR, RULE_DE_KVNR, RULE_IT_CODE, RULE_AU_ABN, RULE_AU_TFN,
    RULE_AU_ACN, RULE_AU_MEDICARE, RULE_CA_SIN, RULE_SE_PNR, RULE_SE_PNR12, RULE_ZA_ID, RULE_IN_AADHAAR, RULE_NG_NIN,
    RULE_KR_RRN, RULE_TR_ID, RULE_TH_ID, RULE_FI_HETU, RULE_FI_HETU_LETTER,
    RULE_PEM, RULE_JWT, RULE_AWS, RULE_GITHUB, RULE_SLACK, RULE_API_KEY, RULE_PASSWORD, RULE_URL_PASSWORD,
    RULE_ENTROPY, RULE_DICTIONARY, RULES
} rule_id;

enum { NUMBER_MAX = 34 }; /* characters of a number without its separators: the longest IBAN */

/* Is this the number? c: its n characters, letters in upper case, separators left out. Shape was checked before. */
typedef bool number_check(const char *c, size_t n);

typedef struct rule {
    const char *kind;
    privacy_class raises;
    double score;         /* alone */
    double grouped;       /* written in one of its groupings of more than one group */
    const char *shape;    /* numbers: d digit, a letter, x either, one a character; NULL: `check` looks at that too */
    uint8_t least, most;  /* numbers without shape: characters */
    const char *groups;   /* "324 9": lengths of its groups in base 36; "*": any; NULL: no number */
    number_check *check;
    const char *context;  /* words that make it likelier, folded, blanks between */
    const char *what;
} rule;
extern const rule detect_rules[RULES];

/* ---- checksums (detect_sums.c) ---- */
bool sum_luhn(const char *digits, size_t n);
bool sum_verhoeff(const char *digits, size_t n);
int sum_weighted(const char *digits, const char *weights, size_t n); /* weights: characters whose code is the weight */
bool date_valid(int month, int day);
number_check number_card, number_card_other, number_iban, number_ssn, number_itin, number_aba, number_npi, number_dea,
    number_nhs, number_nino, number_nif, number_nie, number_pesel, number_de_tax, number_rvnr, number_kvnr,
    number_it_code, number_abn, number_tfn, number_acn, number_medicare, number_sin, number_pnr, number_pnr12,
    number_za, number_aadhaar, number_nin, number_rrn, number_tr, number_th, number_hetu, number_hetu_letter;
bool bitcoin_address(const char *p, size_t n);
uint32_t sum_crc32(const char *p, size_t n);

/* ---- views (detect_view.c) ---- */
typedef struct view_step {
    uint32_t at, from; /* view byte `at` and on are bytes `from` and on of the parent */
} view_step;

/* Between two steps the bytes are the parent's own when both distances are equal; otherwise the whole piece stands for
 * the whole piece. Without steps the view is the parent. */
typedef struct view {
    const struct view *parent; /* NULL: the caller's bytes */
    const char *p;
    size_t n;
    buf text, steps;
    unsigned depth; /* of decoding; folding adds none */
    bool decoded;
} view;
void view_clear(view *v);
size_t view_begin(const view *v, size_t at);
size_t view_end(const view *v, size_t at); /* at >= 1 */
/* The folded copy of parent; costs nothing but a look when parent is plain ASCII. */
status view_fold(view *out, const view *parent, error *err) MUST_CHECK;
/* Copies of a part of parent without its %XX, its \n \" \u0041, its base64. *is: there was any, and it is text. */
typedef status view_decoder(view *out, const view *parent, size_t begin, size_t end, bool *is, error *err);
view_decoder view_percent, view_escapes, view_base64;

/* ---- dictionary (detect_dictionary.c) ---- */
typedef struct dictionary dictionary;
status dictionary_open(dictionary **out, const char *text, size_t n, const char *where, error *err) MUST_CHECK;
void dictionary_close(dictionary **d);

/* ---- context words (detect_context.c) ---- */
typedef struct context_words context_words;
status context_open(context_words **out, error *err) MUST_CHECK;
void context_close(context_words **c);
/* One bit a rule that has a word within five words of [begin, end). */
uint64_t context_near(const context_words *c, const view *v, size_t begin, size_t end);

struct detector {
    dictionary *words; /* NULL: none */
    context_words *context;
    uint64_t by_length[NUMBER_MAX + 1]; /* rules of numbers of that many characters */
    uint64_t of_digits;                 /* rules that take nothing but digits */
};

/* ---- one scan ---- */
typedef struct scan {
    const detector *d;
    double threshold;
    detect_report *out;
    size_t budget; /* bytes of decoded copies that may still be made */
    size_t pem_end; /* of the view at hand: behind the latest PEM block */
    bool lost;     /* no memory for a finding */
} scan;

typedef struct context_at { /* the context of one place, asked once */
    bool known;
    uint64_t rules;
} context_at;

void detect_hit(scan *s, const view *v, rule_id r, size_t begin, size_t end, double score);
void detect_hit_class(scan *s, const view *v, rule_id r, size_t begin, size_t end, double score, privacy_class raises);
/* Adds the context to score, if there is one, and then hits. */
void detect_hit_near(scan *s, const view *v, rule_id r, size_t begin, size_t end, double score, context_at *near);

void dictionary_scan(const dictionary *d, scan *s, const view *v);

/* What may begin or stand at v->p[at]; called in ascending order of at. */
void number_at(scan *s, const view *v, size_t at);                    /* a word that may begin one */
void phone_at(scan *s, const view *v, size_t at);                     /* '+', '(' or the first digit of a word */
void mail_at(scan *s, const view *v, size_t at);                      /* '@' */
void colon_at(scan *s, const view *v, size_t at);                     /* ':', the first of a run: IPv6 */
void address_at(scan *s, const view *v, size_t at, size_t word_end);  /* a word: IPv4, MAC */
void secret_word_at(scan *s, const view *v, size_t at, size_t word_end);
void secret_run(scan *s, const view *v, size_t begin, size_t end);    /* a run of [A-Za-z0-9+/_-], 20 or more */
void assignment_at(scan *s, const view *v, size_t at);                /* '=', ':' or the s of "is" */
void pem_at(scan *s, const view *v, size_t at);                       /* '-' that begins a run */

/* ---- characters: no locale ---- */
static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}
static inline bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}
static inline bool is_letter(char c)
{
    return is_lower((char)(c | 0x20));
}
static inline bool is_word(char c)
{
    return is_digit(c) || is_letter(c);
}
static inline bool is_hex(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}
static inline bool is_base64(char c)
{
    return is_word(c) || c == '+' || c == '/' || c == '-' || c == '_';
}
static inline int hex_value(char c)
{
    return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

#endif
