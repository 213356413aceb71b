/* rates.c: see the header. */
#include "egress/rates.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

enum { VALUE_MAX = 64 };
static const double RESET_MAX_S = 86400; /* more than a day is no limit that a request could wait for */

void rates_init(rates *r)
{
    *r = (rates){ .should_retry = -1 };
    for (size_t i = 0; i < RATES_KINDS; i++)
        r->of[i].left = r->of[i].reset_s = NAN;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* "2026-11-26T19:00:00Z", with a fraction of a second or none. */
static double until(const char *text, int64_t now_us)
{
    int y, mo, d, h, mi, n = 0;
    double s;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%lf%n", &y, &mo, &d, &h, &mi, &s, &n) != 6 || strcmp(text + n, "Z") != 0 ||
        y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || !(s >= 0 && s < 61))
        return NAN;
    double then = (double)(days_of(y, mo, d) * 86400 + h * 3600 + mi * 60) + s;
    return then - (double)now_us * 1e-6;
}

/* "1h2m3.5s", "120ms", "7". */
static double span_s(const char *text)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "ms", 0.001 }, { "h", 3600 }, { "m", 60 }, { "s", 1 }, { "", 1 } };
    double sum = 0;
    if (!*text)
        return NAN;
    while (*text) {
        char number[VALUE_MAX];
        size_t n = strspn(text, "0123456789."), u = 0;
        double v;
        memcpy(number, text, n);
        number[n] = 0;
        text += n;
        size_t letters = strspn(text, "hms");
        while (u < ARRAY_LEN(units) && (strlen(units[u].name) != letters || strncmp(units[u].name, text, letters) != 0))
            u++;
        if (!str_f64(number, &v) || u == ARRAY_LEN(units))
            return NAN;
        sum += v * units[u].seconds;
        text += letters;
    }
    return sum;
}

static double positive(const char *text)
{
    double v;
    return str_f64(text, &v) && v >= 0 && isfinite(v) ? v : NAN;
}

void rates_header(rates *r, const char *line, size_t n, int64_t now_us)
{
    static const struct {
        const char *name;
        int kind;
        enum { LEFT, SPAN, MOMENT } what;
    } names[] = {
        { "x-ratelimit-remaining-requests", 0, LEFT },
        { "x-ratelimit-reset-requests", 0, SPAN },
        { "x-ratelimit-remaining-tokens", 1, LEFT },
        { "x-ratelimit-reset-tokens", 1, SPAN },
        { "anthropic-ratelimit-requests-remaining", 0, LEFT },
        { "anthropic-ratelimit-requests-reset", 0, MOMENT },
        { "anthropic-ratelimit-tokens-remaining", 1, LEFT },
        { "anthropic-ratelimit-tokens-reset", 1, MOMENT },
        { "anthropic-ratelimit-input-tokens-remaining", 2, LEFT },
        { "anthropic-ratelimit-input-tokens-reset", 2, MOMENT },
        { "anthropic-ratelimit-output-tokens-remaining", 3, LEFT },
        { "anthropic-ratelimit-output-tokens-reset", 3, MOMENT },
    };
    const char *colon = memchr(line, ':', n);
    char value[VALUE_MAX];
    if (!colon)
        return;
    span name = span_trim((span){ line, (size_t)(colon - line) });
    span given = span_trim((span){ colon + 1, n - (size_t)(colon + 1 - line) });
    if (given.n >= sizeof value || memchr(given.p, 0, given.n))
        return;
    memcpy(value, given.p, given.n);
    value[given.n] = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strlen(names[i].name) != name.n || strncasecmp(names[i].name, name.p, name.n) != 0)
            continue;
        if (names[i].what == LEFT)
            r->of[names[i].kind].left = positive(value);
        else
            r->of[names[i].kind].reset_s = names[i].what == SPAN ? span_s(value) : until(value, now_us);
    }
    double ms = positive(value);
    if (name.n == 14 && strncasecmp("retry-after-ms", name.p, 14) == 0 && !isnan(ms))
        r->retry_after_s = ms / 1000;
    if (name.n == 14 && strncasecmp("x-should-retry", name.p, 14) == 0)
        r->should_retry = strcasecmp(value, "true") == 0 ? 1 : strcasecmp(value, "false") == 0 ? 0 : -1;
}

double rates_wait_s(const rates *r)
{
    double wait = 0;
    for (size_t i = 0; i < RATES_KINDS; i++)
        if (r->of[i].left < 1 && r->of[i].reset_s > wait)
            wait = r->of[i].reset_s;
    return fmin(wait, RESET_MAX_S);
}

js *rates_to_js(const rates *r)
{
    double requests = r->of[0].left, tokens = INFINITY;
    for (size_t i = 1; i < RATES_KINDS; i++)
        tokens = r->of[i].left < tokens ? r->of[i].left : tokens;
    if (isnan(requests) && isinf(tokens))
        return NULL;
    js *j = js_object();
    if (!isnan(requests))
        js_set(j, "requests_left", js_new_double(requests));
    if (!isinf(tokens))
        js_set(j, "tokens_left", js_new_double(tokens));
    js_set(j, "wait_s", js_new_double(rates_wait_s(r)));
    return j;
}
