/* date.c: strftime_now: the request's time, in the words of the C locale. Each conversion is done by itself, so that a
 * format can neither grow without bound nor meet one that libc does not define. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "chat/filter.h"

value strftime_now(run *r, const value *a)
{
    const text *format = text_or_fail(r, a[0], "strftime() argument 1");
    span s = text_bytes(r, format);
    time_t t = (time_t)r->now;
    struct tm at;
    builder b = builder_of(r);
    if (!gmtime_r(&t, &at))
        run_fail(r, E_RANGE, "the time is out of range");
    for (size_t i = 0; i < s.n; i++) {
        size_t from = i++;
        uint32_t origin = text_origin(r, format, from);
        if (s.p[from] != '%' || i >= s.n) {
            i = from;
            build_bytes(&b, s.p + from, 1, origin);
            continue;
        }
        while (i + 1 < s.n && strchr("-_0^#", s.p[i]))
            i++;
        char conversion[16] = "", out[128] = "";
        size_t n = i + 1 - from;
        run_spend(r, 16);
        if (!s.p[i] || !strchr("aAbBcCdDeFfgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%", s.p[i]) || n >= sizeof conversion) {
            build_slice(&b, format, from, i + text_char_bytes(s.p + i, s.n - i)); /* unknown: it stays as it is */
            i += text_char_bytes(s.p + i, s.n - i) - 1;
            continue;
        }
        memcpy(conversion, s.p + from, n);
        if (s.p[i] == 'f')
            snprintf(out, sizeof out, "000000");
        else if (s.p[i] != 'z' && s.p[i] != 'Z') /* the time has no zone */
            out[strftime(out, sizeof out, conversion, &at)] = 0;
        build_str(&b, out, origin);
    }
    return value_text(build_done(&b));
}
