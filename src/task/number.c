/* number.c: numbers and dates as people write them. */
#include <math.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "task/text_int.h"

enum { NUMBER_BYTES_MAX = 64 };

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The character that ends right before at; 0 at the beginning. */
static uint32_t before(span t, size_t at, size_t *begin)
{
    uint32_t code = 0;
    size_t i = at;
    while (i > 0 && ((unsigned char)t.p[--i] & 0xC0) == 0x80)
        continue;
    if (at == 0 || !utf8_decode(t.p + i, at - i, &code))
        code = 0;
    *begin = i;
    return code;
}

static bool is_letter(uint32_t c)
{
    utf8proc_category_t k = utf8proc_category((int32_t)c);
    return (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) || c == '_';
}

static bool is_currency(uint32_t c)
{
    return utf8proc_category((int32_t)c) == UTF8PROC_CATEGORY_SC;
}

/* Do the letters that end right before `at` name a currency (RM53.60)? Others make it a code (A4, INV0012). */
static bool currency_before(span t, size_t at)
{
    static const char *const codes[] = { "RM",  "Rs",  "kr",  "Kr",  "Fr",  "EUR", "USD", "GBP", "CHF", "INR", "SEK",
                                         "NOK", "DKK", "JPY", "CNY", "CAD", "AUD", "NZD", "MYR", "SGD", "HKD", "PLN",
                                         "CZK", "HUF", "BRL", "AED", "ZAR", "TRY", "MXN", "KRW", "THB", "IDR", "PHP" };
    size_t begin = at;
    while (begin > 0 && ((t.p[begin - 1] | 0x20) >= 'a' && (t.p[begin - 1] | 0x20) <= 'z'))
        begin--;
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (span_is((span){ t.p + begin, at - begin }, codes[i]))
            return true;
    return false;
}

/* Bytes of a separator that only ever stands between thousands: blank, no-break blanks, apostrophes. 0: none here. */
static size_t thousands_mark(span t, size_t at)
{
    uint32_t code = 0;
    size_t n = at < t.n ? utf8_decode(t.p + at, t.n - at, &code) : 0;
    bool mark = code == ' ' || code == 0xA0 || code == 0x2009 || code == 0x202F || code == '\'' || code == 0x2019;
    return mark ? n : 0;
}

static bool three_digits(span t, size_t at)
{
    return at + 3 <= t.n && digit(t.p[at]) && digit(t.p[at + 1]) && digit(t.p[at + 2]) &&
           !(at + 3 < t.n && digit(t.p[at + 3]));
}

/* Copies the run of digits and separators at `at`, thousands marks as '\''; returns where it ends. Points and commas at
 * the end belong to the sentence. A run that is too long for a number gives an empty copy. */
static size_t copy_run(span t, size_t at, char run[NUMBER_BYTES_MAX])
{
    size_t n = 0, i = at, group = 0;
    while (i < t.n) {
        char c = t.p[i];
        size_t mark = thousands_mark(t, i), step = 1;
        if (digit(c)) {
            group++;
        } else if ((c == '.' || c == ',') && i + 1 < t.n && digit(t.p[i + 1])) {
            group = 0;
        } else if (mark && group >= 1 && group <= 3 && three_digits(t, i + mark) && !memchr(run, '.', n)) {
            c = '\'';
            step = mark;
            group = 0;
        } else {
            break;
        }
        if (n < NUMBER_BYTES_MAX)
            run[n] = c;
        n++;
        i += step;
    }
    run[n < NUMBER_BYTES_MAX ? n : 0] = 0;
    return i;
}

/* Which of the run's separators is the decimal one: '.', ',', or 0 for none; 'x' when the run is no number. */
static char decimal_of(const char *run, text_decimal rule)
{
    const char *point = strchr(run, '.'), *comma = strchr(run, ',');
    if (rule != DECIMAL_AUTO)
        return rule == DECIMAL_POINT ? '.' : ',';
    if (point && comma)
        return point > comma ? '.' : ',';
    const char *one = point ? point : comma;
    if (!one)
        return 0;
    if (strchr(one + 1, *one)) /* more than once: thousands */
        return *one == '.' ? ',' : '.';
    bool could_group = *one == ',' && strlen(one + 1) == 3 && one - run >= 1 && one - run <= 3 && run[0] != '0';
    return could_group ? '.' : *one;
}

/* Leaves digits and one point in run. Groups of thousands must be complete. */
static bool plain_number(char *run, char decimal)
{
    size_t out = 0, group = 0;
    bool grouped = false, fraction = false;
    for (const char *p = run; *p; p++) {
        if (digit(*p)) {
            run[out++] = *p;
            group++;
            continue;
        }
        if (fraction || (grouped ? group != 3 : group > 3 && *p != decimal))
            return false;
        if (*p == decimal) {
            fraction = true;
            run[out++] = '.';
        } else {
            grouped = true;
        }
        group = 0;
    }
    if (grouped && !fraction && group != 3)
        return false;
    run[out] = 0;
    return out > 0;
}

/* An exponent (e5, E-3) at `at`: appended to run; returns where it ends. */
static size_t copy_exponent(span t, size_t at, char run[NUMBER_BYTES_MAX])
{
    size_t i = at, n = strlen(run);
    if (i >= t.n || (t.p[i] != 'e' && t.p[i] != 'E'))
        return at;
    i++;
    if (i < t.n && (t.p[i] == '-' || t.p[i] == '+'))
        i++;
    size_t first = i;
    while (i < t.n && digit(t.p[i]))
        i++;
    if (i == first || i - first > 4 || n + (i - at) >= NUMBER_BYTES_MAX ||
        (i < t.n && is_letter((unsigned char)t.p[i])))
        return at;
    memcpy(run + n, t.p + at, i - at);
    run[n + (i - at)] = 0;
    return i;
}

/* Looks left of the digits at `at` for a sign, also across a currency sign: -5, -$5. A hyphen after a letter or a digit
 * is no sign (3-4, COVID-19). */
static bool negative(span t, size_t at, size_t *begin)
{
    size_t i = at, sign_at = at;
    uint32_t c = before(t, i, &sign_at);
    if (is_currency(c)) {
        i = sign_at;
        c = before(t, i, &sign_at);
    }
    if (c != '-' && c != 0x2212)
        return false;
    size_t ignored = 0;
    uint32_t left = before(t, sign_at, &ignored);
    if (is_letter(left) || (left >= '0' && left <= '9'))
        return false;
    *begin = sign_at;
    return true;
}

bool text_next_number(span t, text_decimal decimal, size_t *at, text_number *out)
{
    for (size_t i = *at; i < t.n;) {
        bool leading_point = t.p[i] == '.' && i + 1 < t.n && digit(t.p[i + 1]);
        if (!digit(t.p[i]) && !leading_point) {
            i++;
            continue;
        }
        char run[NUMBER_BYTES_MAX];
        size_t begin = i, end = copy_run(t, i, run), left = 0;
        bool part_of_word = is_letter(before(t, begin, &left)) && !currency_before(t, begin);
        char mark = decimal_of(run, decimal);
        i = end;
        if (part_of_word || !run[0] || !plain_number(run, mark))
            continue;
        end = copy_exponent(t, end, run);
        double value = 0;
        char whole[NUMBER_BYTES_MAX + 1] = "0"; /* ".5" */
        memcpy(whole + 1, run, strlen(run) + 1);
        if (!str_f64(run[0] == '.' ? whole : run, &value))
            continue;
        bool minus = negative(t, begin, &begin);
        *out = (text_number){ minus ? -value : value, begin, end };
        *at = end;
        return true;
    }
    *at = t.n;
    return false;
}

/* The word or sign right after (or before) a number, blanks left out; *gap says whether there were some. */
static span unit_after(span t, size_t at, bool *gap)
{
    size_t i = at;
    while (i < t.n && t.p[i] == ' ')
        i++;
    *gap = i > at;
    size_t begin = i;
    while (i < t.n) {
        uint32_t code = 0;
        size_t n = utf8_decode(t.p + i, t.n - i, &code);
        utf8proc_category_t k = utf8proc_category((int32_t)code);
        bool sign = code == '%' || code == '/' || (k >= UTF8PROC_CATEGORY_SM && k <= UTF8PROC_CATEGORY_SO);
        bool raised = i > begin && k == UTF8PROC_CATEGORY_NO; /* m² */
        if (!n || !(is_letter(code) || sign || raised))
            break;
        i += n;
    }
    return (span){ t.p + begin, i - begin };
}

static span unit_before(span t, size_t at)
{
    size_t end = at, i = 0;
    while (end > 0 && t.p[end - 1] == ' ')
        end--;
    size_t begin = end;
    for (uint32_t c; begin > 0; begin = i) {
        c = before(t, begin, &i);
        if (!is_letter(c) && !is_currency(c))
            break;
    }
    return (span){ t.p + begin, end - begin };
}

bool text_unit(span t, const text_number *n, const text_number_rule *rule, double *factor)
{
    *factor = 1;
    if (rule->n_units == 0)
        return true;
    bool gap = false;
    span after = unit_after(t, n->end, &gap), ahead = unit_before(t, n->begin);
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < rule->n_units; i++)
            if (span_is(side ? ahead : after, rule->units[i])) {
                *factor = rule->factors[i];
                return true;
            }
    span rest = { after.p, (size_t)(t.p + t.n - after.p) };
    bool is_unit = after.n > 0 && (!gap || span_trim(rest).n == after.n);
    return !is_unit;
}

bool text_near(const text_number_rule *rule, double a, double b)
{
    double allowed = fmax(fmax(rule->abs, rule->rel * fabs(b)), 1e-9 * fabs(b));
    /* 28.695 against 28.70 +- 0.005 is meant to pass whatever binary fractions make of it */
    return fabs(a - b) <= allowed * (1 + 1e-9) + 1e-12 * fabs(b);
}

/* ---- dates ---- */

static int month_of(span word)
{
    static const char *const months[] = { "january", "february", "march",     "april",   "may",      "june",
                                          "july",    "august",   "september", "october", "november", "december" };
    for (int m = 0; m < 12; m++) {
        size_t n = strlen(months[m]);
        bool same = word.n >= 3 && word.n <= n;
        for (size_t i = 0; same && i < word.n; i++)
            same = (word.p[i] | 0x20) == months[m][i];
        if (same || (m == 8 && word.n == 4 && (word.p[3] | 0x20) == 't' && (word.p[0] | 0x20) == 's'))
            return m + 1;
    }
    return 0;
}

/* Words that may stand in a date and say nothing: weekdays, ordinals, "of", "the". */
static bool date_filler(span word)
{
    static const char *const fillers[] = {
        "st",  "nd",    "rd",  "th",  "of",  "the",    "on",      "mon",       "tue",      "tues",   "wed",      "thu",
        "thur", "thurs", "fri", "sat", "sun", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
        "sunday",
    };
    for (size_t f = 0; f < ARRAY_LEN(fillers); f++) {
        bool same = strlen(fillers[f]) == word.n;
        for (size_t i = 0; same && i < word.n; i++)
            same = (word.p[i] | 0x20) == fillers[f][i];
        if (same)
            return true;
    }
    return false;
}

typedef struct date_parts {
    int n, month; /* month: from a name, else 0 */
    int numbers[3], digits[3];
} date_parts;

/* Splits into numbers and a month's name. A number before ':' begins the time; it and what follows is ignored. */
static bool split_date(span t, date_parts *out)
{
    for (size_t i = 0; i < t.n;) {
        size_t begin = i;
        char c = t.p[i];
        if (digit(c)) {
            int value = 0;
            while (i < t.n && digit(t.p[i]) && i - begin < 8)
                value = value * 10 + (t.p[i++] - '0');
            bool time = i < t.n && t.p[i] == ':' && (out->n + !!out->month >= 3 || out->digits[0] == 8);
            if (time)
                return true;
            if (out->n == 3 || (i < t.n && digit(t.p[i])))
                return false;
            out->digits[out->n] = (int)(i - begin);
            out->numbers[out->n++] = value;
            if (i < t.n && (t.p[i] == 'T' || t.p[i] == 't') && out->n == 3)
                return true;
            continue;
        }
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            while (i < t.n && ((t.p[i] >= 'a' && t.p[i] <= 'z') || (t.p[i] >= 'A' && t.p[i] <= 'Z')))
                i++;
            span word = { t.p + begin, i - begin };
            int month = month_of(word);
            if (month ? out->month : !date_filler(word))
                return false;
            out->month = month ? month : out->month;
            continue;
        }
        if (!strchr(" ,./-", c))
            return false;
        i++;
    }
    return true;
}

static bool full_year(int value, int digits, int *out)
{
    if (digits != 2 && digits != 4)
        return false;
    *out = digits == 4 ? value : value < 70 ? 2000 + value : 1900 + value;
    return true;
}

static bool real_day(const text_day *d)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (d->month < 1 || d->month > 12 || d->day < 1)
        return false;
    bool leap = d->year % 4 == 0 && (d->year % 100 != 0 || d->year % 400 == 0);
    return d->day <= days[d->month - 1] + (leap && d->month == 2);
}

bool text_date(span t, bool month_first, text_day *out)
{
    date_parts p = { 0 };
    text_day d = { 0, 0, 0 };
    if (!split_date(span_trim(t), &p))
        return false;
    const int *v = p.numbers;
    if (p.n == 1 && !p.month && p.digits[0] == 8) {
        d = (text_day){ v[0] / 10000, v[0] / 100 % 100, v[0] % 100 };
    } else if (p.n == 2 && p.month) {
        bool year_first = p.digits[0] == 4;
        d.month = p.month;
        d.day = v[year_first];
        if (!full_year(v[!year_first], p.digits[!year_first], &d.year))
            return false;
    } else if (p.n == 3 && !p.month && p.digits[0] == 4) {
        d = (text_day){ v[0], v[1], v[2] };
    } else if (p.n == 3 && !p.month) {
        bool swap = v[0] > 12 ? false : v[1] > 12 ? true : month_first;
        d.day = v[swap];
        d.month = v[!swap];
        if (!full_year(v[2], p.digits[2], &d.year))
            return false;
    } else {
        return false;
    }
    if (!real_day(&d))
        return false;
    *out = d;
    return true;
}
