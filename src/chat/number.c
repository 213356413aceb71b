/* number.c: Python's int, float and bool. An int is 64 bits until it needs more; then it is sign and magnitude of up to
 * BIG_LIMBS 32-bit limbs, and beyond that the template fails. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/value.h"

enum { BIG_LIMBS = 128, WIDE_LIMBS = 2 * BIG_LIMBS + 6 };

struct big {
    bool negative;
    uint32_t n;
    uint32_t limb[]; /* least first, the last one is not 0 */
};

typedef struct wide {
    bool negative;
    uint32_t n;
    uint32_t limb[WIDE_LIMBS];
} wide;

/* ---- magnitudes -------------------------------------------------------------------------------------------------- */

static void wide_trim(wide *w)
{
    while (w->n && !w->limb[w->n - 1])
        w->n--;
    w->negative = w->n && w->negative;
}

static uint32_t bits_of(const wide *w)
{
    return w->n ? w->n * 32 - (uint32_t)__builtin_clz(w->limb[w->n - 1]) : 0;
}

static void wide_of_u64(wide *w, uint64_t u)
{
    w->limb[0] = (uint32_t)u;
    w->limb[1] = (uint32_t)(u >> 32);
    w->n = 2;
    wide_trim(w);
}

static void wide_of(wide *w, value v)
{
    if (v.kind == V_BIG) {
        w->negative = v.big->negative;
        w->n = v.big->n;
        memcpy(w->limb, v.big->limb, w->n * sizeof *w->limb);
        return;
    }
    int64_t i = v.kind == V_BOOL ? v.b : v.i;
    w->negative = i < 0;
    wide_of_u64(w, i < 0 ? 0 - (uint64_t)i : (uint64_t)i);
}

static value wide_value(run *r, wide *w)
{
    wide_trim(w);
    uint64_t u = w->n > 0 ? w->limb[0] : 0;
    u |= w->n > 1 ? (uint64_t)w->limb[1] << 32 : 0;
    if (w->n <= 2 && u <= (uint64_t)INT64_MAX + w->negative)
        return value_int(w->negative ? (int64_t)(0 - u) : (int64_t)u);
    if (w->n > BIG_LIMBS)
        run_fail(r, E_RANGE, "an integer of more than %d bits", BIG_LIMBS * 32);
    big *b = run_alloc(r, sizeof *b + w->n * sizeof *b->limb);
    b->negative = w->negative;
    b->n = w->n;
    memcpy(b->limb, w->limb, w->n * sizeof *b->limb);
    return (value){ .kind = V_BIG, .big = b };
}

static int compare_magnitudes(const wide *a, const wide *b)
{
    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (uint32_t i = a->n; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

static void add_magnitudes(wide *out, const wide *a, const wide *b)
{
    uint64_t carry = 0;
    uint32_t n = a->n > b->n ? a->n : b->n, i;
    for (i = 0; i < n; i++) {
        carry += (i < a->n ? (uint64_t)a->limb[i] : 0) + (i < b->n ? b->limb[i] : 0);
        out->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    out->limb[i] = (uint32_t)carry;
    out->n = n + 1;
}

/* a >= b */
static void subtract_magnitudes(wide *out, const wide *a, const wide *b)
{
    int64_t borrow = 0;
    uint32_t n = a->n;
    for (uint32_t i = 0; i < n; i++) {
        int64_t d = (int64_t)a->limb[i] - (i < b->n ? b->limb[i] : 0) + borrow;
        out->limb[i] = (uint32_t)d;
        borrow = d < 0 ? -1 : 0;
    }
    out->n = n;
}

static void wide_add(wide *out, const wide *a, const wide *b)
{
    bool negative = a->negative;
    if (a->negative == b->negative) {
        add_magnitudes(out, a, b);
    } else if (compare_magnitudes(a, b) >= 0) {
        subtract_magnitudes(out, a, b);
    } else {
        negative = b->negative;
        subtract_magnitudes(out, b, a);
    }
    out->negative = negative;
    wide_trim(out);
}

static void wide_multiply(wide *out, const wide *a, const wide *b)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < a->n; i++) {
        uint64_t carry = 0;
        for (uint32_t j = 0; j < b->n; j++) {
            carry += (uint64_t)a->limb[i] * b->limb[j] + out->limb[i + j];
            out->limb[i + j] = (uint32_t)carry;
            carry >>= 32;
        }
        out->limb[i + b->n] = (uint32_t)carry;
    }
    out->n = a->n + b->n;
    out->negative = a->negative != b->negative;
    wide_trim(out);
}

static uint32_t divide_by_limb(wide *w, uint32_t by)
{
    uint64_t rest = 0;
    for (uint32_t i = w->n; i-- > 0;) {
        rest = rest << 32 | w->limb[i];
        w->limb[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    wide_trim(w);
    return (uint32_t)rest;
}

/* Floor division: quotient and a rest with the sign of b (not 0). One bit at a time. */
static void wide_divide(const wide *a, const wide *b, wide *quotient, wide *rest)
{
    memset(quotient, 0, sizeof *quotient);
    memset(rest, 0, sizeof *rest);
    quotient->n = a->n;
    wide divisor = *b;
    divisor.negative = false;
    for (uint32_t bit = a->n * 32; bit-- > 0;) {
        for (uint32_t i = rest->n + 1; i-- > 0;)
            rest->limb[i] = rest->limb[i] << 1 | (i ? rest->limb[i - 1] >> 31 : 0);
        rest->n++;
        rest->limb[0] |= a->limb[bit / 32] >> bit % 32 & 1;
        wide_trim(rest);
        if (compare_magnitudes(rest, &divisor) >= 0) {
            subtract_magnitudes(rest, rest, &divisor);
            wide_trim(rest);
            quotient->limb[bit / 32] |= 1u << bit % 32;
        }
        memset(rest->limb + rest->n, 0, 2 * sizeof *rest->limb);
    }
    quotient->negative = a->negative != b->negative;
    wide_trim(quotient);
    if (a->negative != b->negative && rest->n) {
        static const wide one = { .n = 1, .limb = { 1 } };
        wide up;
        add_magnitudes(&up, quotient, &one);
        up.negative = true;
        wide_trim(&up);
        *quotient = up;
        subtract_magnitudes(rest, &divisor, rest);
    }
    rest->negative = b->negative;
    wide_trim(rest);
}

void big_print(run *r, value v, builder *out)
{
    wide w;
    char digits[WIDE_LIMBS * 10];
    size_t at = sizeof digits;
    wide_of(&w, v);
    run_spend(r, w.n * (size_t)w.n / 4);
    while (w.n) {
        uint32_t rest = divide_by_limb(&w, 1000000000);
        for (int i = 0; i < 9 && (w.n || rest); i++, rest /= 10)
            digits[--at] = (char)('0' + rest % 10);
    }
    if (v.big->negative)
        digits[--at] = '-';
    build_bytes(out, digits + at, sizeof digits - at, v.from);
}

/* ---- doubles ----------------------------------------------------------------------------------------------------- */

/* The nearest double to the magnitude times 2^exponent, ties to even: of more than 64 bits the lowest stands for all
 * below it. sticky: something smaller than any bit is there too. */
static double wide_double(const wide *w, int exponent, bool sticky)
{
    uint64_t top = 0;
    uint32_t bits = bits_of(w);
    uint32_t drop = bits > 64 ? bits - 64 : 0;
    for (uint32_t i = 0; i < bits; i++) {
        uint64_t bit = w->limb[i / 32] >> i % 32 & 1;
        if (i >= drop)
            top |= bit << (i - drop);
        else
            sticky |= bit;
    }
    return ldexp((double)(top | sticky), exponent + (int)drop);
}

static double big_double(const big *b)
{
    wide w;
    wide_of(&w, (value){ .kind = V_BIG, .big = b });
    double d = wide_double(&w, 0, false);
    return b->negative ? -d : d;
}

double value_double(run *r, value v)
{
    double d = v.kind == V_FLOAT ? v.d : v.kind == V_BOOL ? v.b : v.kind == V_INT ? (double)v.i : big_double(v.big);
    if (v.kind == V_BIG && !isfinite(d))
        run_fail(r, E_FORMAT, "int too large to convert to float");
    return d;
}

value number_of_double(run *r, double whole)
{
    wide w = { .negative = whole < 0 };
    whole = trunc(fabs(whole));
    if (whole < 9223372036854775808.0)
        return value_int(w.negative ? -(int64_t)whole : (int64_t)whole);
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(whole, &exponent), 53);
    unsigned shift = (unsigned)exponent - 53, at = shift / 32;
    if (at + 3 > WIDE_LIMBS)
        run_fail(r, E_RANGE, "an integer of more than %d bits", BIG_LIMBS * 32);
    unsigned bits = shift % 32;
    w.limb[at] = (uint32_t)(mantissa << bits);
    w.limb[at + 1] = (uint32_t)(mantissa >> (32 - bits));
    w.limb[at + 2] = bits ? (uint32_t)(mantissa >> 32 >> (32 - bits)) : 0;
    if (!bits)
        w.limb[at + 1] = (uint32_t)(mantissa >> 32);
    w.n = at + 3;
    return wide_value(r, &w);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

static int compare_ints(value a, value b)
{
    if (a.kind != V_BIG && b.kind != V_BIG) {
        int64_t x = a.kind == V_BOOL ? a.b : a.i, y = b.kind == V_BOOL ? b.b : b.i;
        return (x > y) - (x < y);
    }
    wide x, y;
    wide_of(&x, a);
    wide_of(&y, b);
    if (x.negative != y.negative)
        return x.negative ? -1 : 1;
    int c = compare_magnitudes(&x, &y);
    return x.negative ? -c : c;
}

/* An int with a double, exactly. */
static int compare_mixed(run *r, value i, double d)
{
    if (isnan(d))
        return 2;
    if (isinf(d))
        return d > 0 ? -1 : 1;
    int c = compare_ints(i, number_of_double(r, d));
    double fraction = d - trunc(d);
    return c ? c : fraction > 0 ? -1 : fraction < 0 ? 1 : 0;
}

int number_compare(run *r, value a, value b)
{
    if (a.kind != V_FLOAT && b.kind != V_FLOAT)
        return compare_ints(a, b);
    if (a.kind == V_FLOAT && b.kind == V_FLOAT)
        return isnan(a.d) || isnan(b.d) ? 2 : (a.d > b.d) - (a.d < b.d);
    if (a.kind != V_FLOAT)
        return compare_mixed(r, a, b.d);
    int c = compare_mixed(r, b, a.d);
    return c == 2 ? 2 : -c;
}

uint64_t number_hash(value v)
{
    double d = v.kind == V_FLOAT ? v.d : v.kind == V_BIG ? big_double(v.big) : 0;
    int64_t i = v.kind == V_BOOL ? v.b : v.kind == V_INT ? v.i : 0;
    if (v.kind == V_FLOAT && d == trunc(d) && fabs(d) < 9223372036854775808.0)
        i = (int64_t)d;
    else if (v.kind == V_FLOAT || v.kind == V_BIG)
        memcpy(&i, &d, sizeof i);
    uint64_t h = (uint64_t)i * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

static value power_of_ints(run *r, value a, value b)
{
    if (b.kind == V_BIG) {
        int64_t base = a.kind == V_BIG ? 2 : a.kind == V_BOOL ? a.b : a.i;
        if (b.big->negative || base < -1 || base > 1)
            run_fail(r, E_RANGE, "an integer of more than %d bits", BIG_LIMBS * 32);
        return base >= 0 ? value_int(base) : value_int(b.big->limb[0] & 1 ? -1 : 1);
    }
    int64_t exponent = b.kind == V_BOOL ? b.b : b.i;
    value out = value_int(1), square = a.kind == V_BOOL ? value_int(a.b) : a;
    while (exponent) {
        if (exponent & 1)
            out = number_op_of(r, N_MUL, out, square);
        exponent >>= 1;
        if (exponent)
            square = number_op_of(r, N_MUL, square, square);
    }
    return out;
}

static value power_of_doubles(run *r, double a, double b)
{
    if (a == 0 && b < 0)
        run_fail(r, E_FORMAT, "0.0 cannot be raised to a negative power");
    if (a < 0 && b != trunc(b) && isfinite(b) && isfinite(a))
        run_fail(r, E_UNSUPPORTED, "complex numbers");
    double p = pow(a, b);
    if (isinf(p) && isfinite(a) && isfinite(b))
        run_fail(r, E_FORMAT, "(34, 'Numerical result out of range')");
    return value_float(p);
}

static value double_op(run *r, number_op op, double a, double b)
{
    if (b == 0 && (op == N_DIV || op == N_FLOORDIV || op == N_MOD))
        run_fail(r, E_FORMAT, op == N_DIV ? "float division by zero" : op == N_MOD ? "float modulo" :
                 "float floor division by zero");
    double mod, div;
    switch (op) {
    case N_ADD: return value_float(a + b);
    case N_SUB: return value_float(a - b);
    case N_MUL: return value_float(a * b);
    case N_DIV: return value_float(a / b);
    case N_POW: return power_of_doubles(r, a, b);
    default: break;
    }
    mod = fmod(a, b);
    div = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) {
        mod += b;
        div -= 1;
    } else if (mod == 0) {
        mod = copysign(0, b);
    }
    if (op == N_MOD)
        return value_float(mod);
    double whole = div != 0 ? floor(div) : copysign(0, a / b);
    return value_float(div != 0 && div - whole > 0.5 ? whole + 1 : whole);
}

static void shift_left(wide *w, uint32_t bits)
{
    uint32_t limbs = bits / 32, rest = bits % 32;
    for (uint32_t i = w->n + 1; i-- > 0;) {
        uint64_t v = (uint64_t)(i < w->n ? w->limb[i] : 0) << rest;
        v |= i && rest ? w->limb[i - 1] >> (32 - rest) : 0;
        w->limb[i + limbs] = (uint32_t)v;
    }
    memset(w->limb, 0, limbs * sizeof *w->limb);
    w->n += limbs + 1;
    wide_trim(w);
}

/* a / b, rounded once: the quotient is brought to 66 bits or more first. */
static double divide_ints(run *r, value a, value b)
{
    if (a.kind != V_BIG && b.kind != V_BIG) {
        double x = value_double(r, a), y = value_double(r, b);
        if (fabs(x) < 9007199254740992.0 && fabs(y) < 9007199254740992.0)
            return x / y;
    }
    wide x, y, quotient, rest;
    wide_of(&x, a);
    wide_of(&y, b);
    bool negative = x.negative != y.negative;
    x.negative = y.negative = false;
    int shift = 66 + (int)bits_of(&y) - (int)bits_of(&x);
    shift_left(shift > 0 ? &x : &y, (uint32_t)abs(shift));
    run_spend(r, 64 + (size_t)x.n * x.n * 4);
    wide_divide(&x, &y, &quotient, &rest);
    double d = wide_double(&quotient, -shift, rest.n != 0);
    if (isinf(d))
        run_fail(r, E_FORMAT, "integer division result too large for a float");
    return negative ? -d : d;
}

static value wide_op(run *r, number_op op, value a, value b)
{
    wide x, y, out, rest;
    wide_of(&x, a);
    wide_of(&y, b);
    run_spend(r, 8 + (op >= N_FLOORDIV ? (size_t)x.n * x.n * 4 : op == N_MUL ? (size_t)x.n * y.n / 8 : 0));
    if (op == N_SUB)
        y.negative = !y.negative;
    if (op == N_ADD || op == N_SUB)
        wide_add(&out, &x, &y);
    else if (op == N_MUL)
        wide_multiply(&out, &x, &y);
    else
        wide_divide(&x, &y, &out, &rest);
    return wide_value(r, op == N_MOD ? &rest : &out);
}

static bool small_op(number_op op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case N_ADD: return !__builtin_add_overflow(a, b, out);
    case N_SUB: return !__builtin_sub_overflow(a, b, out);
    case N_MUL: return !__builtin_mul_overflow(a, b, out);
    default: break;
    }
    if (a == INT64_MIN)
        return false;
    int64_t quotient = a / b, rest = a % b;
    if (rest && (rest < 0) != (b < 0)) {
        quotient--;
        rest += b;
    }
    *out = op == N_MOD ? rest : quotient;
    return true;
}

static value int_op(run *r, number_op op, value a, value b)
{
    bool b_zero = b.kind == V_BOOL ? !b.b : b.kind == V_INT && !b.i;
    bool b_negative = b.kind == V_BIG ? b.big->negative : b.kind == V_INT && b.i < 0;
    if (b_zero && (op == N_DIV || op == N_FLOORDIV || op == N_MOD))
        run_fail(r, E_FORMAT, op == N_DIV ? "division by zero" : "integer division or modulo by zero");
    if (op == N_DIV)
        return value_float(divide_ints(r, a, b));
    if (op == N_POW)
        return b_negative ? power_of_doubles(r, value_double(r, a), value_double(r, b)) : power_of_ints(r, a, b);
    int64_t out;
    if (a.kind != V_BIG && b.kind != V_BIG &&
        small_op(op, a.kind == V_BOOL ? a.b : a.i, b.kind == V_BOOL ? b.b : b.i, &out))
        return value_int(out);
    return wide_op(r, op, a, b);
}

value number_op_of(run *r, number_op op, value a, value b)
{
    value v = a.kind == V_FLOAT || b.kind == V_FLOAT ? double_op(r, op, value_double(r, a), value_double(r, b))
                                                     : int_op(r, op, a, b);
    v.from = a.from ? a.from : b.from;
    return v;
}

value number_negate(run *r, value v)
{
    value out = v.kind == V_FLOAT ? value_float(-v.d) : number_op_of(r, N_SUB, value_int(0), v);
    out.from = v.from;
    return out;
}

value number_absolute(run *r, value v)
{
    if (v.kind == V_FLOAT)
        v.d = fabs(v.d);
    else if (number_compare(r, v, value_int(0)) < 0)
        v = number_negate(r, v);
    else if (v.kind == V_BOOL)
        v = (value){ .kind = V_INT, .i = v.b, .from = v.from };
    return v;
}

/* ---- text to numbers --------------------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

static int prefix_base(span s)
{
    if (s.n < 2 || s.p[0] != '0')
        return 0;
    switch (s.p[1] | 0x20) {
    case 'x': return 16;
    case 'o': return 8;
    case 'b': return 2;
    default: return 0;
    }
}

/* Digits with single underscores between them, as sign and magnitude. */
static bool parse_digits(run *r, span s, int base, wide *w)
{
    bool digit = false;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit_of(s.p[i]);
        if (s.p[i] == '_' && digit && i + 1 < s.n) {
            digit = false;
            continue;
        }
        if (d >= base)
            return false;
        digit = true;
        uint64_t carry = (uint64_t)d;
        for (uint32_t k = 0; k < w->n; k++) {
            carry += (uint64_t)w->limb[k] * (uint64_t)base;
            w->limb[k] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry)
            w->limb[w->n++] = (uint32_t)carry;
        if (w->n > BIG_LIMBS)
            run_fail(r, E_RANGE, "an integer of more than %d bits", BIG_LIMBS * 32);
        run_spend(r, w->n / 8);
    }
    return digit;
}

bool number_parse_int(run *r, span s, int base, value *out)
{
    text t = { .p = s.p, .n = (uint32_t)s.n };
    s = text_bytes(r, text_strip(r, &t, NULL, true, true));
    wide w = { 0 };
    if (s.n && (s.p[0] == '-' || s.p[0] == '+')) {
        w.negative = s.p[0] == '-';
        s = (span){ s.p + 1, s.n - 1 };
    }
    int prefix = prefix_base(s);
    bool zero_led = base == 0 && !prefix && s.n > 1 && s.p[0] == '0';
    if (prefix && (base == 0 || base == prefix)) {
        s = (span){ s.p + 2, s.n - 2 };
        if (s.n && s.p[0] == '_')
            s = (span){ s.p + 1, s.n - 1 };
        base = prefix;
    } else if (base == 0) {
        base = 10;
    }
    if (base < 2 || base > 36)
        run_fail(r, E_FORMAT, "int() base must be >= 2 and <= 36, or 0");
    if (!parse_digits(r, s, base, &w) || (zero_led && w.n))
        return false;
    *out = wide_value(r, &w);
    return true;
}

static bool float_syntax(const char *s)
{
    bool digits = false;
    for (; *s == '-' || *s == '+'; s++)
        if (s[1] == '-' || s[1] == '+')
            return false;
    if (!strcasecmp(s, "inf") || !strcasecmp(s, "infinity") || !strcasecmp(s, "nan"))
        return true;
    for (; isdigit((unsigned char)*s); s++)
        digits = true;
    if (*s == '.')
        for (s++; isdigit((unsigned char)*s); s++)
            digits = true;
    if (digits && (*s == 'e' || *s == 'E')) {
        s += s[1] == '-' || s[1] == '+' ? 2 : 1;
        digits = isdigit((unsigned char)*s);
        while (isdigit((unsigned char)*s))
            s++;
    }
    return digits && !*s;
}

bool number_parse_float(run *r, span s, double *out)
{
    text t = { .p = s.p, .n = (uint32_t)s.n };
    s = text_bytes(r, text_strip(r, &t, NULL, true, true));
    char *plain = run_alloc(r, s.n + 1);
    size_t n = 0;
    run_spend_bytes(r, s.n);
    for (size_t i = 0; i < s.n; i++) {
        bool between = i && i + 1 < s.n && isdigit((unsigned char)s.p[i - 1]) && isdigit((unsigned char)s.p[i + 1]);
        if (!s.p[i] || (s.p[i] == '_' && !between))
            return false;
        if (s.p[i] != '_')
            plain[n++] = s.p[i];
    }
    if (!float_syntax(plain))
        return false;
    *out = strtod(plain, NULL);
    return true;
}

/* ---- rounding ---------------------------------------------------------------------------------------------------- */

static value round_int(run *r, value v, int64_t digits)
{
    if (digits >= 0)
        return v.kind == V_BOOL ? value_int(v.b) : v;
    if (digits < -400)
        return value_int(0);
    value unit = number_op_of(r, N_POW, value_int(10), value_int(-digits));
    value rest = number_op_of(r, N_MOD, v, unit), down = number_op_of(r, N_SUB, v, rest);
    int c = number_compare(r, number_op_of(r, N_MUL, rest, value_int(2)), unit);
    value odd = number_op_of(r, N_MOD, number_op_of(r, N_FLOORDIV, down, unit), value_int(2));
    return c > 0 || (c == 0 && value_true(r, odd)) ? number_op_of(r, N_ADD, down, unit) : down;
}

value number_round(run *r, value v, value digits)
{
    int64_t n = value_index(r, digits);
    if (v.kind != V_FLOAT)
        return round_int(r, v, n);
    double d = v.d;
    if (isfinite(d) && n >= 0 && n < 324) { /* printf rounds the exact binary value, ties to even, as Python does */
        char digits_of[800];
        snprintf(digits_of, sizeof digits_of, "%.*f", (int)n, d);
        d = strtod(digits_of, NULL);
    } else if (isfinite(d) && n < 0) {
        double unit = n < -308 ? INFINITY : pow(10, (double)-n);
        d = isinf(unit) ? copysign(0, d) : nearbyint(d / unit) * unit;
    }
    return value_float(d);
}

int64_t value_bound(run *r, value v)
{
    if (v.kind == V_BIG)
        return v.big->negative ? INT64_MIN : INT64_MAX;
    return value_index(r, v);
}

int64_t value_index(run *r, value v)
{
    value_defined(r, v);
    if (v.kind == V_BOOL)
        return v.b;
    if (v.kind == V_BIG)
        run_fail(r, E_FORMAT, "Python int too large to convert to C ssize_t");
    if (v.kind != V_INT)
        run_fail(r, E_FORMAT, "'%s' object cannot be interpreted as an integer", value_type(v));
    return v.i;
}
