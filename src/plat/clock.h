/* clock.h: the two clocks of hearth. Any thread. */
#ifndef PLAT_CLOCK_H
#define PLAT_CLOCK_H

#include <stdint.h>

/* Wall clock: microseconds since 1970-01-01 UTC. It may jump; use it for stamps only. */
int64_t clock_utc_us(void);

/* Monotonic: microseconds since some fixed moment. For durations and deadlines. */
uint64_t clock_mono_us(void);

/* "2026-11-23T07:08:30Z" (years 1970..9999; outside of them the nearest of the two ends). Returns text. */
enum { CLOCK_TEXT = 24 };
char *clock_utc_text(int64_t utc_us, char text[CLOCK_TEXT]);

#endif
