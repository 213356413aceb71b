/* json_scan.c: a pushdown automaton over bytes; the stack is a bit a level. */
#include "chat/json_scan.h"

#include <stdbool.h>

typedef enum scan_state {
    VALUE = 0,   /* before a value */
    FIRST_ITEM,  /* after '[': a value or ']' */
    FIRST_KEY,   /* after '{': a key or '}' */
    KEY,         /* after ',' in an object */
    COLON,
    AFTER,       /* after a member: ',' or the end of its container */
    STRING,
    ESCAPE,
    HEX,
    WORD,        /* true false null */
    MINUS, ZERO, DIGITS, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, EXPONENT_DIGITS,
    OVER,
} scan_state;

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static scan_result to(json_scan *s, scan_state state)
{
    s->state = (uint8_t)state;
    return SCAN_MORE;
}

static scan_result bad(json_scan *s)
{
    s->state = OVER;
    return SCAN_BAD;
}

/* A value is complete. */
static scan_result ended(json_scan *s)
{
    s->state = s->depth ? AFTER : OVER;
    return s->depth ? SCAN_MORE : SCAN_END;
}

static scan_result push(json_scan *s, bool object)
{
    if (s->depth == SCAN_DEPTH_MAX)
        return bad(s);
    uint64_t bit = (uint64_t)1 << s->depth++;
    s->objects = object ? s->objects | bit : s->objects & ~bit;
    return to(s, object ? FIRST_KEY : FIRST_ITEM);
}

static bool in_object(const json_scan *s)
{
    return s->depth && (s->objects >> (s->depth - 1) & 1);
}

static scan_result close_container(json_scan *s, char c)
{
    if (!s->depth || c != (in_object(s) ? '}' : ']'))
        return bad(s);
    s->depth--;
    return ended(s);
}

static scan_result begin_word(json_scan *s, const char *word)
{
    s->word = word;
    s->at = 1;
    return to(s, WORD);
}

static scan_result begin_value(json_scan *s, char c)
{
    switch (c) {
    case '{': return push(s, true);
    case '[': return push(s, false);
    case '"': s->in_key = 0; return to(s, STRING);
    case 't': return begin_word(s, "true");
    case 'f': return begin_word(s, "false");
    case 'n': return begin_word(s, "null");
    case '-': return to(s, MINUS);
    case '0': return to(s, ZERO);
    default: return is_digit(c) ? to(s, DIGITS) : bad(s);
    }
}

static scan_result begin_key(json_scan *s, char c)
{
    if (c != '"')
        return bad(s);
    s->in_key = 1;
    return to(s, STRING);
}

static scan_result between(json_scan *s, char c)
{
    if (is_space(c))
        return SCAN_MORE;
    switch (s->state) {
    case VALUE: return begin_value(s, c);
    case FIRST_ITEM: return c == ']' ? close_container(s, c) : begin_value(s, c);
    case FIRST_KEY: return c == '}' ? close_container(s, c) : begin_key(s, c);
    case KEY: return begin_key(s, c);
    case COLON: return c == ':' ? to(s, VALUE) : bad(s);
    default: return c == ',' ? to(s, in_object(s) ? KEY : VALUE) : close_container(s, c);
    }
}

static scan_result hex(json_scan *s, char c)
{
    int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0)
        return bad(s);
    s->hex = (uint16_t)(s->hex << 4 | digit);
    if (--s->hex_left)
        return SCAN_MORE;
    bool low = s->hex >= 0xdc00 && s->hex < 0xe000, high = s->hex >= 0xd800 && s->hex < 0xdc00;
    if (low != (s->low_expected != 0))
        return bad(s);
    s->low_expected = high;
    return to(s, STRING);
}

static scan_result escape(json_scan *s, char c)
{
    if (c == 'u') {
        s->hex_left = 4;
        s->hex = 0;
        return to(s, HEX);
    }
    if (s->low_expected)
        return bad(s);
    for (const char *p = "\"\\/bfnrt"; *p; p++)
        if (c == *p)
            return to(s, STRING);
    return bad(s);
}

static scan_result string(json_scan *s, char c)
{
    if (c == '\\')
        return to(s, ESCAPE);
    if (s->low_expected)
        return bad(s);
    if (c == '"')
        return s->in_key ? to(s, COLON) : ended(s);
    return (unsigned char)c < 0x20 ? SCAN_CONTROL : SCAN_MORE;
}

static scan_result word(json_scan *s, char c)
{
    if (c != s->word[s->at])
        return bad(s);
    return s->word[++s->at] ? SCAN_MORE : ended(s);
}

/* The byte after a number: it ends the number and is looked at again. */
static scan_result after_number(json_scan *s, char c)
{
    if (!s->depth) {
        s->state = OVER;
        return SCAN_AFTER;
    }
    s->state = AFTER;
    return between(s, c);
}

static scan_result number(json_scan *s, char c)
{
    bool digit = is_digit(c), e = c == 'e' || c == 'E';
    switch (s->state) {
    case MINUS: return digit ? to(s, c == '0' ? ZERO : DIGITS) : bad(s);
    case ZERO:
    case DIGITS:
        if (digit)
            return s->state == DIGITS ? SCAN_MORE : bad(s);
        return c == '.' ? to(s, POINT) : e ? to(s, EXPONENT) : after_number(s, c);
    case POINT: return digit ? to(s, FRACTION) : bad(s);
    case FRACTION: return digit ? SCAN_MORE : e ? to(s, EXPONENT) : after_number(s, c);
    case EXPONENT: return digit ? to(s, EXPONENT_DIGITS) : c == '+' || c == '-' ? to(s, EXPONENT_SIGN) : bad(s);
    case EXPONENT_SIGN: return digit ? to(s, EXPONENT_DIGITS) : bad(s);
    default: return digit ? SCAN_MORE : after_number(s, c);
    }
}

scan_result json_scan_byte(json_scan *s, char c)
{
    switch (s->state) {
    case STRING: return string(s, c);
    case ESCAPE: return escape(s, c);
    case HEX: return hex(s, c);
    case WORD: return word(s, c);
    case OVER: return SCAN_BAD;
    default: return s->state >= MINUS ? number(s, c) : between(s, c);
    }
}
