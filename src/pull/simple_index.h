/* simple_index.h: the list of a package's files in a simple repository: HTML (PEP 503, 592) or JSON (PEP 691, 700).
 * The page is a stranger. Any thread. */
#ifndef PULL_SIMPLE_INDEX_H
#define PULL_SIMPLE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { SIMPLE_FILES_MAX = 1 << 16, SIMPLE_PAGE_MAX = 32 << 20 };

typedef struct simple_file {
    char *url;       /* absolute, without fragment */
    char *name;      /* the last piece of its path */
    char sha256[65]; /* "": the page does not say */
    uint64_t bytes;  /* 0: the page does not say */
    bool yanked;
} simple_file;

typedef struct simple_files {
    simple_file *at;
    size_t n;
} simple_files;

/* text[0..n) is the page at `url` (where redirects ended). JSON if it begins with {. Links that lead nowhere a file can
 * be are passed over, as pip does. Clear with simple_files_clear. E_FORMAT: JSON that is none or of another version. */
status simple_files_read(simple_files *out, const char *url, const char *text, size_t n, error *err) MUST_CHECK;
void simple_files_clear(simple_files *f);

/* A wheel's file name in pieces (PEP 427): NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl. False: it is none. */
typedef struct wheel_name {
    const char *package; /* both borrowed from the file name */
    size_t package_n;
    const char *version;
    size_t version_n;
} wheel_name;
bool wheel_name_split(const char *file, wheel_name *out);

/* The file to take of `package` (in PEP 503's form): a wheel, of this version ("": the newest final one that is not
 * yanked). E_NOTFOUND lists what there is. */
status simple_files_choose(const simple_files *f, const char *package, const char *version, size_t *out, error *err)
    MUST_CHECK;

#endif
