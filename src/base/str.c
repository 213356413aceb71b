#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

span span_of(const char *s)
{
    return (span){ s, strlen(s) };
}

bool span_is(span s, const char *text)
{
    return strlen(text) == s.n && memcmp(s.p, text, s.n) == 0;
}

bool span_starts(span s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

span span_trim(span s)
{
    while (s.n && is_space(s.p[0]))
        s.p++, s.n--;
    while (s.n && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

bool str_u64(const char *s, uint64_t *out)
{
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

bool str_i64(const char *s, int64_t *out)
{
    if (!isdigit((unsigned char)s[*s == '-']))
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || *end)
        return false;
    *out = v;
    return true;
}

bool str_f64(const char *s, double *out)
{
    if (!*s || is_space(*s))
        return false;
    char *end;
    double v = strtod(s, &end);
    if (*end || !isfinite(v))
        return false;
    *out = v;
    return true;
}

bool str_bytes(const char *s, uint64_t *out)
{
    char *end;
    double v = strtod(s, &end);
    if (end == s || !isfinite(v) || v < 0)
        return false;
    static const char units[] = "KMGT";
    double scale = 1;
    const char *u = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (u) {
        scale = pow(1024, (double)(u - units + 1));
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end || v * scale > 9.0e18)
        return false;
    *out = (uint64_t)(v * scale);
    return true;
}

/* One "1.5h" of a duration; moves *text on. */
static bool read_step(const char **text, double *seconds)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "ns", 1e-9 }, { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 } };
    char number[32], *end = number;
    size_t n = strspn(*text, "0123456789.");
    if (!n || n >= sizeof number)
        return false;
    memcpy(number, *text, n);
    number[n] = '\0';
    double value = strtod(number, &end);
    if (*end)
        return false;
    *text += n;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_starts(*text, units[i].name))
            continue;
        *text += strlen(units[i].name);
        *seconds += value * units[i].seconds;
        return true;
    }
    return false;
}

bool str_duration(const char *text, double *out)
{
    double seconds = 0, sign = *text == '-' ? -1 : 1;
    if (str_f64(text, out))
        return isfinite(*out);
    text += *text == '-' || *text == '+';
    do {
        if (!read_step(&text, &seconds))
            return false;
    } while (*text);
    *out = sign * seconds;
    return true;
}

char *str_human_bytes(char text[24], uint64_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double v = (double)bytes;
    size_t i = 0;
    while (v >= 1024 && i + 1 < sizeof units / sizeof units[0])
        v /= 1024, i++;
    snprintf(text, 24, i ? (v < 10 ? "%.2f %s" : "%.1f %s") : "%.0f %s", v, units[i]);
    return text;
}

enum { DISTANCE_MAX = 64 }; /* names longer than this are compared by their first bytes */

size_t str_distance(const char *a, const char *b)
{
    size_t n = strnlen(a, DISTANCE_MAX), m = strnlen(b, DISTANCE_MAX);
    size_t row[3][DISTANCE_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && up2[j - 2] + 1 < best)
                best = up2[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

const char *str_nearest(const char *name, const void *names, size_t n, size_t stride)
{
    const char *best = NULL;
    size_t least = strlen(name) / 3 + 2;
    for (size_t i = 0; i < n; i++) {
        const char *candidate;
        memcpy(&candidate, (const char *)names + i * stride, sizeof candidate);
        if (!candidate)
            continue;
        size_t d = str_distance(name, candidate);
        if (d < least) {
            least = d;
            best = candidate;
        }
    }
    return best;
}
