#include "plat/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

status file_map_fd(file_map *out, int fd, const char *name, error *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return fail(err, E_IO, "%s: cannot ask for its size: %s", name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return fail(err, E_IO, "%s: is a directory", name);
    if (!S_ISREG(st.st_mode))
        return fail(err, E_IO, "%s: is not a regular file, so it cannot be mapped", name);
    if ((uint64_t)st.st_size > SIZE_MAX / 2)
        return fail(err, E_RANGE, "%s: too large for the address space of this machine", name);
    file_map m = { NULL, (size_t)st.st_size };
    if (m.bytes) {
        void *p = mmap(NULL, m.bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            return fail(err, E_IO, "%s: cannot be mapped: %s", name, strerror(errno));
        m.data = p;
    }
    *out = m;
    return OK;
}

status file_map_open(file_map *out, const char *path, error *err)
{
    /* O_NONBLOCK: opening a named pipe must not wait for a writer; it is refused as not a regular file. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(err, errno == ENOENT ? E_NOTFOUND : E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    status s = file_map_fd(out, fd, path, err);
    close(fd);
    return s;
}

void file_map_close(file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->bytes);
    m->data = NULL;
    m->bytes = 0;
}

/* The pages that touch [from, from + bytes), cut to the mapping. */
static void advise(const file_map *m, const void *from, size_t bytes, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t map_from = (uintptr_t)m->data, map_to = map_from + m->bytes;
    uintptr_t a = (uintptr_t)from, b = bytes > UINTPTR_MAX - a ? UINTPTR_MAX : a + bytes;
    if (!m->data || a >= map_to || b <= map_from)
        return;
    a = a < map_from ? map_from : a / page * page;
    b = b > map_to ? map_to : b;
    madvise((void *)a, b - a, advice); /* only advice: a refusal changes nothing but speed and memory */
}

void file_map_will_read(const file_map *m, const void *from, size_t bytes)
{
    advise(m, from, bytes, MADV_WILLNEED);
}

/* For a shared file mapping MADV_DONTNEED unmaps the pages only: the page cache keeps them. */
void file_map_release(const file_map *m, const void *from, size_t bytes)
{
    advise(m, from, bytes, MADV_DONTNEED);
}
