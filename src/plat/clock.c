#include "plat/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clock_utc_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t clock_mono_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)(now.tv_nsec / 1000);
}

char *clock_utc_text(int64_t utc_us, char text[CLOCK_TEXT])
{
    static const int64_t last_s = 253402300799; /* 9999-12-31T23:59:59Z */
    int64_t s = utc_us < 0 ? 0 : utc_us / 1000000;
    time_t t = (time_t)(s > last_s ? last_s : s);
    struct tm at;
    gmtime_r(&t, &at);
    if (strftime(text, CLOCK_TEXT, "%Y-%m-%dT%H:%M:%SZ", &at) == 0)
        memcpy(text, "1970-01-01T00:00:00Z", 21);
    return text;
}
