/* decimal.h: numbers as JSON writes them, compared exactly. Any thread; no allocation.
 *
 * A decimal is sign * digits * 10^exponent, read from a number's source text and borrowing it: 0.1 is one tenth, not
 * the double next to it, and 1e400 is no infinity. Leading and trailing zeros are cut off, so that equal values have
 * equal digits and exponents. Exponents saturate at +-2^60, far beyond what any text within a ceiling can spell out. */
#ifndef GRAMMAR_DECIMAL_H
#define GRAMMAR_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct decimal {
    int sign;          /* -1, 0, 1; a zero has no digits */
    const char *first; /* first significant digit, in the source text */
    const char *dot;   /* where the decimal point stands behind `first`, or NULL */
    size_t n;          /* significant digits */
    int64_t exponent;  /* of the last one */
} decimal;

/* Reads a JSON number (as js_text gives it: its syntax is taken for granted). */
decimal decimal_read(const char *text);
char decimal_digit(const decimal *d, size_t i); /* '0' ... '9', i < n */

int decimal_compare(const decimal *a, const decimal *b); /* < 0, 0, > 0 */
bool decimal_is_integer(const decimal *d);

/* Digits a divisor may have: what fits in 64 bits. */
enum { DECIMAL_DIVISOR_DIGITS_MAX = 18 };
/* Whether a is a multiple of b > 0 with at most DECIMAL_DIVISOR_DIGITS_MAX digits. Exact, time linear in a's digits. */
bool decimal_is_multiple(const decimal *a, const decimal *b);

/* The same for equal values. */
uint64_t decimal_hash(const decimal *d);

#endif
