/* date.c: dates inside a text. What is a date is decided by text_date in number.c. */
#include "task/text_int.h"

enum { DATE_BYTES_MAX = 48 };

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool in_word(char c)
{
    return digit(c) || letter(c);
}

/* After a date of numbers: is it only a piece of something longer, as in 10.1.12.1? */
static bool goes_on(span text, size_t end)
{
    return end + 1 < text.n && (text.p[end] == '.' || text.p[end] == '-' || text.p[end] == '/') &&
           digit(text.p[end + 1]) && digit(text.p[end - 1]);
}

static size_t pass_run(span text, size_t at)
{
    while (at < text.n && (digit(text.p[at]) || text.p[at] == '.' || text.p[at] == '-' || text.p[at] == '/'))
        at++;
    return at;
}

/* The shortest date that begins at `begin` and ends where a word does (or before the T of a time); 0: none. */
static size_t date_at(span text, size_t begin, bool month_first, text_day *out)
{
    size_t limit = text.n - begin > DATE_BYTES_MAX ? begin + DATE_BYTES_MAX : text.n;
    for (size_t end = begin + 1; end <= limit; end++) {
        bool word_end = end == text.n || (!in_word(text.p[end]) && text.p[end] != ':');
        bool time = end < text.n && text.p[end] == 'T' && digit(text.p[end - 1]);
        if ((word_end || time) && in_word(text.p[end - 1]) &&
            text_date((span){ text.p + begin, end - begin }, month_first, out))
            return end;
        if (end < text.n && text.p[end] == '\n')
            return 0;
    }
    return 0;
}

bool text_next_date(span text, bool month_first, size_t *at, text_day *out)
{
    for (size_t i = *at; i < text.n; i++) {
        if (!in_word(text.p[i]) || (i > 0 && in_word(text.p[i - 1])))
            continue;
        size_t end = date_at(text, i, month_first, out);
        if (end && !goes_on(text, end)) {
            *at = end;
            return true;
        }
        if (end)
            i = pass_run(text, end);
    }
    *at = text.n;
    return false;
}
