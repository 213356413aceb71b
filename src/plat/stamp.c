#include "plat/stamp.h"

#include <errno.h>
#include <sys/stat.h>

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

file_stamp file_stamp_of(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return (file_stamp){ .there = false, .bytes = -errno };
    return (file_stamp){ true, (uint64_t)st.st_dev, (uint64_t)st.st_ino, (int64_t)st.st_size, nanoseconds(st.st_mtim),
                         nanoseconds(st.st_ctim) };
}

bool file_stamp_same(const file_stamp *a, const file_stamp *b)
{
    return a->there == b->there && a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

bool file_stamp_young(const file_stamp *s, int64_t utc_us)
{
    return s->there && s->changed_ns / 1000 >= utc_us - FILE_STAMP_COARSE_US;
}
