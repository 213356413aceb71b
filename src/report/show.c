/* show.c: numbers as people read them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plat/clock.h"
#include "report/report_int.h"

const char *report_as_name(report_as as)
{
    static const char *const names[] = { "percent", "rate", "points", "signed", "margin", "count", "ms", "us",
                                         "per-s",   "bytes", "usd",    "tokens", "share",  "factor", "joules",
                                         "day",     "minute" };
    return names[as];
}

static char *show_time(double v, report_as as, char text[REPORT_SHOWN_BYTES])
{
    char utc[CLOCK_TEXT];
    clock_utc_text((int64_t)v, utc); /* 2026-11-23T07:08:30Z */
    if (as == AS_DAY)
        snprintf(text, REPORT_SHOWN_BYTES, "%.10s", utc);
    else
        snprintf(text, REPORT_SHOWN_BYTES, "%.10s %.5s UTC", utc, utc + 11);
    return text;
}

static char *show_ms(double ms, char text[REPORT_SHOWN_BYTES])
{
    snprintf(text, REPORT_SHOWN_BYTES, ms < 9999.5 ? "%.0f ms" : "%.1f s", ms < 9999.5 ? ms : ms / 1000);
    return text;
}

static char *show_signed(double v, const char *unit, char text[REPORT_SHOWN_BYTES])
{
    char digits[16];
    snprintf(digits, sizeof digits, "%.1f", fmin(fabs(v), 999));
    snprintf(text, REPORT_SHOWN_BYTES, "%s%s%s", strcmp(digits, "0.0") == 0 ? "±" : v < 0 ? "−" : "+", digits,
             unit);
    return text;
}

/* An answer's energy costs less than a millionth of a dollar. */
static char *show_usd(double v, char text[REPORT_SHOWN_BYTES])
{
    const char *sign = v < 0 ? "−" : "";
    snprintf(text, REPORT_SHOWN_BYTES, fabs(v) < 1e-4 ? "%s$%.9f" : "%s$%.6f", sign, fmin(fabs(v), 1e9));
    return text;
}

char *report_show(double v, report_as as, char text[REPORT_SHOWN_BYTES])
{
    char bytes[24];
    if (!isfinite(v)) {
        snprintf(text, REPORT_SHOWN_BYTES, "–");
        return text;
    }
    switch (as) {
    case AS_PERCENT: snprintf(text, REPORT_SHOWN_BYTES, "%.1f %%", 100 * v); return text;
    case AS_RATE: snprintf(text, REPORT_SHOWN_BYTES, "%.1f", 100 * v); return text;
    case AS_POINTS: return show_signed(100 * v, " points", text);
    case AS_SIGNED: return show_signed(100 * v, "", text);
    case AS_MARGIN: snprintf(text, REPORT_SHOWN_BYTES, "%.1f points", 100 * v); return text;
    case AS_COUNT:
    case AS_TOKENS: snprintf(text, REPORT_SHOWN_BYTES, "%.0f", v); return text;
    case AS_MS: return show_ms(v, text);
    case AS_SECONDS_US: return show_ms(v / 1000, text);
    case AS_PER_S: snprintf(text, REPORT_SHOWN_BYTES, "%.1f/s", v); return text;
    case AS_BYTES: snprintf(text, REPORT_SHOWN_BYTES, "%s", str_human_bytes(bytes, (uint64_t)v)); return text;
    case AS_USD: return show_usd(v, text);
    case AS_SHARE: snprintf(text, REPORT_SHOWN_BYTES, "%.3f", v); return text;
    case AS_FACTOR: snprintf(text, REPORT_SHOWN_BYTES, v >= 100 && v < 999999.5 ? "%.0f" : "%.3g", v); return text;
    case AS_JOULES: snprintf(text, REPORT_SHOWN_BYTES, "%.2f J", v); return text;
    case AS_DAY:
    case AS_MINUTE: return show_time(v, as, text);
    }
    text[0] = 0;
    return text;
}

const char *report_verdict_word(const report_task *t)
{
    return t->verdict[0] == 'l' ? "Local" : t->verdict[0] == 'c' ? "Cloud" : "Not proven";
}
