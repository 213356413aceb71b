/* disk.h: how much a file system takes yet. Any thread. */
#ifndef PLAT_DISK_H
#define PLAT_DISK_H

#include <stdint.h>

/* Bytes that this user may still write where `folder` is, or, while it does not exist, where its nearest parent is.
 * 0: none, or not known. */
uint64_t disk_free_bytes(const char *folder);

#endif
