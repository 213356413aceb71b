/* str.h: small text helpers without allocation. Any thread. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed piece of bytes; not zero-terminated. */
typedef struct span {
    const char *p;
    size_t n;
} span;

span span_of(const char *s);
bool span_is(span s, const char *text);
bool span_starts(span s, const char *prefix);
span span_trim(span s); /* ASCII white space at both ends */

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Whole-text numbers: false (and *out untouched) on an empty text, trailing bytes or overflow. */
bool str_u64(const char *s, uint64_t *out);
bool str_i64(const char *s, int64_t *out);
bool str_f64(const char *s, double *out);
/* "4096", "512M", "1.5GiB", "2GB" (binary: K M G T = powers of 1024). */
bool str_bytes(const char *s, uint64_t *out);

/* Seconds: "300", "5m", "1h30m", "-1". */
bool str_duration(const char *s, double *out);

/* Writes "1.2 GiB", "98.4 MiB", "512 B" into text (>= 24 bytes) and returns it. */
char *str_human_bytes(char text[24], uint64_t bytes);

/* Edit distance (insert, delete, replace, swap of neighbours), for "did you mean". */
size_t str_distance(const char *a, const char *b);
/* The nearest of n names (an array with `stride` bytes from one `const char *` to the next), or NULL when none is near
 * enough to be a likely slip (distance <= 1 + length/3). */
const char *str_nearest(const char *name, const void *names, size_t n, size_t stride);

#endif
