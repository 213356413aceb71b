/* stamp.h: whether a file is as it was, asked without reading it. Any thread.
 *
 * Equal stamps mean an unchanged file or folder, but for changes so close together that the file system's clock gave
 * both the same time (some milliseconds), or so close to the reading that nobody knows which came first. Whoever reads
 * a file, stamps it afterwards and relies on the stamp later asks file_stamp_young first (git calls such entries
 * racy). The change time is the kernel's own: unlike the modification time nobody sets it. */
#ifndef PLAT_STAMP_H
#define PLAT_STAMP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct file_stamp {
    bool there;     /* else all but `bytes` is 0 */
    uint64_t device, inode;
    int64_t bytes;  /* of what is not there, minus the reason (errno) */
    int64_t modified_ns, changed_ns; /* since 1970 UTC */
} file_stamp;

/* Of what path leads to, through symbolic links. */
file_stamp file_stamp_of(const char *path);
bool file_stamp_same(const file_stamp *a, const file_stamp *b);
/* It changed after this moment, or so shortly before it that stamps cannot tell. */
enum { FILE_STAMP_COARSE_US = 1000000 };
bool file_stamp_young(const file_stamp *s, int64_t utc_us);

#endif
