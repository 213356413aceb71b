/* text_int.h: how graders and lint see text: folding, words, numbers, dates, patterns. Any thread. Texts are valid
 * UTF-8 (callers check strangers' bytes with utf8_valid); sizes in bytes. */
#ifndef TASK_TEXT_INT_H
#define TASK_TEXT_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

enum text_fold_flags { FOLD_CASE = 1, FOLD_SPACE = 2, FOLD_PUNCTUATION = 4 };

/* NFC, white space trimmed at both ends, and what the flags say: case folded, runs of white space one blank,
 * punctuation (P*) dropped. NULL without memory; zero-terminated (mem_free). */
char *text_fold(const char *p, size_t n, unsigned flags, size_t *out_n);

/* The next word (a maximal run of letters, marks and digits: L*, M*, N*) at or after *at; false at the end. */
bool text_word(span text, size_t *at, span *word);
size_t text_count_words(span text);

typedef enum text_decimal { DECIMAL_AUTO, DECIMAL_POINT, DECIMAL_COMMA } text_decimal;
typedef struct text_number_rule {
    text_decimal decimal;
    double abs, rel; /* tolerances; the wider one counts */
    size_t n_units;
    const char *const *units;
    const double *factors;
} text_number_rule;

typedef struct text_number {
    double value;
    size_t begin, end; /* where it stands, with its sign */
} text_number;
/* The next number at or after *at. A run of digits, points and commas that is no number (12.05.2018, 10.0.0.1) is
 * passed over as a whole, and so is one that follows a letter (A4), unless a currency (RM5). */
bool text_next_number(span text, text_decimal decimal, size_t *at, text_number *out);
/* The factor of the unit beside a number. false: there is a unit and it is not known. */
bool text_unit(span text, const text_number *n, const text_number_rule *rule, double *factor);
/* |a - b| within the rule's tolerance of b (and always within 1e-9 of it, relatively). */
bool text_near(const text_number_rule *rule, double a, double b);

typedef struct text_day {
    int year, month, day;
} text_day;
/* The whole text as a date (a time after it is allowed). month_first: 05/01/2018 is May 1, else 5 January. */
bool text_date(span text, bool month_first, text_day *out);
/* The next date inside a text, at or after *at (date.c). A piece of something longer (10.1.12.1) is none. */
bool text_next_date(span text, bool month_first, size_t *at, text_day *out);

/* ---- PCRE2 with limits ---- */
typedef struct regex regex;
enum { REGEX_GROUPS = 10 };
typedef struct regex_found {
    bool ok;
    bool gave_up; /* too many steps; ok is false */
    span groups[REGEX_GROUPS]; /* p NULL: did not take part */
} regex_found;
/* UTF-8, Unicode classes. The error says what and at which byte. */
status regex_open(regex **out, const char *pattern, bool ignore_case, bool full, error *err) MUST_CHECK;
status regex_match(const regex *r, const char *text, size_t n, regex_found *out, error *err) MUST_CHECK;
void regex_close(regex **r);

#endif
