/* file.h: all bytes of a file, or an error. Any thread; descriptors stay the caller's. Errors begin with the name. */
#ifndef PLAT_FILE_H
#define PLAT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"

/* E_IO. The bytes before the error are written. */
status file_write_all(int fd, const char *name, const void *bytes, size_t n, error *err) MUST_CHECK;
/* E_IO; E_FORMAT: the file ends before n bytes. */
status file_read_all(int fd, const char *name, void *bytes, size_t n, error *err) MUST_CHECK;

/* Appends the whole file, up to the buffer's ceiling. E_NOTFOUND, E_IO, E_RANGE, E_NOMEM. */
status file_slurp(const char *path, buf *out, error *err) MUST_CHECK;
/* The same from where the descriptor stands. */
status file_slurp_fd(int fd, const char *name, buf *out, error *err) MUST_CHECK;

/* For writing; a file that is there is never written over. E_EXISTS, E_IO. */
status file_open_new(int *fd, const char *path, mode_t mode, error *err) MUST_CHECK;
/* The same with its content; a file that could not be written is removed again. */
status file_create(const char *path, mode_t mode, const void *bytes, size_t n, error *err) MUST_CHECK;

/* For reading and writing, made where it is not there, and this process's alone until it is closed: flock, which binds
 * those who ask for it. What is in it stays; a link is not followed. Who holds it may rename or remove it.
 * E_EXISTS: another process has it; E_NOFIT: no room for a file; E_IO. */
status file_open_locked(int *fd, const char *path, mode_t mode, error *err) MUST_CHECK;

/* The file `to`, empty, gets the content of `from` without a copy: both share their blocks until one is changed. False:
 * this file system cannot. */
bool file_share(int from, int to);

#endif
