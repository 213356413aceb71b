/* file_map.h: a whole regular file, mapped read-only. Owner opens and closes; reading: any thread.
 *
 * Another process that truncates the file turns reads beyond its new end into SIGBUS: only map files that nobody
 * shrinks. */
#ifndef PLAT_FILE_MAP_H
#define PLAT_FILE_MAP_H

#include <stddef.h>

#include "base/status.h"

typedef struct file_map {
    const unsigned char *data; /* NULL when bytes is 0 */
    size_t bytes;
} file_map;

/* *out is written only on success. E_NOTFOUND, E_IO (with the system's reason; also for directories and devices). */
status file_map_open(file_map *out, const char *path, error *err) MUST_CHECK;
/* The descriptor is borrowed and may be closed afterwards. `name` is for errors. */
status file_map_fd(file_map *out, int fd, const char *name, error *err) MUST_CHECK;
void file_map_close(file_map *m);

/* The file will be read soon from front to back: begin reading ahead. */
void file_map_will_read(const file_map *m, const void *from, size_t bytes);
/* Drops the pages that touch [from, from + bytes) from this process's memory; they stay cached and can be read again.
 * */
void file_map_release(const file_map *m, const void *from, size_t bytes);

#endif
