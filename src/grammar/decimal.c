#include "grammar/decimal.h"

static const int64_t EXPONENT_MAX = (int64_t)1 << 60;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The number behind 'e', saturated. */
static int64_t read_exponent(const char *p)
{
    int64_t e = 0;
    bool negative = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    for (; is_digit(*p); p++)
        e = e > EXPONENT_MAX / 16 ? EXPONENT_MAX : e * 10 + (*p - '0');
    e = e > EXPONENT_MAX ? EXPONENT_MAX : e;
    return negative ? -e : e;
}

decimal decimal_read(const char *text)
{
    decimal d = { .sign = *text == '-' ? -1 : 1 };
    const char *p = text + (*text == '-'), *last = NULL;
    size_t n = 0, digits = 0; /* digits since the first significant one, those up to the last that is not zero */
    int64_t scale = 0, last_scale = 0; /* digits behind the point so far, at the last one */
    for (; is_digit(*p) || *p == '.'; p++) {
        if (*p == '.') {
            d.dot = p;
            continue;
        }
        scale += d.dot != NULL;
        if (!d.first && *p == '0')
            continue;
        if (!d.first)
            d.first = p;
        n++;
        if (*p != '0') {
            last = p;
            digits = n;
            last_scale = scale;
        }
    }
    if (!last)
        return (decimal){ 0, text, NULL, 0, 0 };
    int64_t whole = (int64_t)(n - digits) - (scale - last_scale); /* zeros between the last digit and the point */
    d.n = digits;
    d.exponent = (*p == 'e' || *p == 'E' ? read_exponent(p + 1) : 0) + (last_scale ? -last_scale : whole);
    if (d.dot && (d.dot < d.first || d.dot > last))
        d.dot = NULL;
    return d;
}

char decimal_digit(const decimal *d, size_t i)
{
    const char *p = d->first + i;
    return d->dot && p >= d->dot ? p[1] : *p;
}

int decimal_compare(const decimal *a, const decimal *b)
{
    if (a->sign != b->sign || !a->sign)
        return a->sign - b->sign;
    int64_t size_a = a->exponent + (int64_t)a->n, size_b = b->exponent + (int64_t)b->n;
    if (size_a != size_b)
        return (size_a > size_b) == (a->sign > 0) ? 1 : -1;
    for (size_t i = 0; i < a->n || i < b->n; i++) {
        char x = i < a->n ? decimal_digit(a, i) : '0', y = i < b->n ? decimal_digit(b, i) : '0';
        if (x != y)
            return (x > y) == (a->sign > 0) ? 1 : -1;
    }
    return 0;
}

bool decimal_is_integer(const decimal *d)
{
    return d->exponent >= 0;
}

__extension__ typedef unsigned __int128 wide;

static uint64_t multiply_modulo(uint64_t a, uint64_t b, uint64_t m)
{
    return (uint64_t)((wide)a * b % m);
}

/* a / b = A * 10^(ea - eb) / B. With ea >= eb: is A * 10^(ea - eb) = 0 modulo B? Otherwise B * 10^(eb - ea) would have
 * to divide A, but A does not end in a zero. */
bool decimal_is_multiple(const decimal *a, const decimal *b)
{
    if (!a->sign)
        return true;
    if (a->exponent < b->exponent)
        return false;
    uint64_t divisor = 0, rest = 0, ten = 10; /* 10^(2^bit) */
    for (size_t i = 0; i < b->n; i++)
        divisor = divisor * 10 + (uint64_t)(decimal_digit(b, i) - '0');
    for (size_t i = 0; i < a->n; i++)
        rest = (uint64_t)(((wide)rest * 10 + (unsigned)(decimal_digit(a, i) - '0')) % divisor);
    for (int64_t shift = a->exponent - b->exponent; shift; shift >>= 1) {
        if (shift & 1)
            rest = multiply_modulo(rest, ten, divisor);
        ten = multiply_modulo(ten, ten, divisor);
    }
    return rest == 0;
}

uint64_t decimal_hash(const decimal *d)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)(d->sign + 1);
    for (size_t i = 0; i < d->n; i++)
        h = (h ^ (unsigned char)decimal_digit(d, i)) * 0x100000001b3u;
    return (h ^ (uint64_t)d->exponent) * 0x100000001b3u;
}
