/* chars.h: characters as Python's str knows them, over utf8proc (private to chat/). */
#ifndef CHAT_CHARS_H
#define CHAT_CHARS_H

#include <stdbool.h>
#include <stdint.h>

bool char_is_alpha(uint32_t c);
bool char_is_alnum(uint32_t c);
bool char_is_decimal(uint32_t c);
bool char_is_digit(uint32_t c);    /* decimal, or a digit in a circle, above a line ... */
bool char_is_numeric(uint32_t c);
bool char_is_mark(uint32_t c);      /* may continue an identifier */
bool char_is_printable(uint32_t c);
bool char_is_lower(uint32_t c);
bool char_is_upper(uint32_t c);
bool char_is_title(uint32_t c);
bool char_is_cased(uint32_t c);
bool char_is_word(uint32_t c);      /* \w */

/* Full case mappings of Unicode (SpecialCasing.txt without conditions): 1 to 3 characters; returns how many. */
enum { CHAR_CASE_MAX = 3 };
int char_upper(uint32_t c, uint32_t out[CHAR_CASE_MAX]);
int char_lower(uint32_t c, uint32_t out[CHAR_CASE_MAX]);
int char_title(uint32_t c, uint32_t out[CHAR_CASE_MAX]);
int char_fold(uint32_t c, uint32_t out[CHAR_CASE_MAX]);
/* Does case ignore it when it looks for the end of a word (for the Greek final sigma)? */
bool char_case_ignorable(uint32_t c);

#endif
