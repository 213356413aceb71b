/* own_ledger.h: a folder for one test, with a place for a ledger in it. Included by one file of a test program. */
#ifndef TESTS_OWN_LEDGER_H
#define TESTS_OWN_LEDGER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64], path[96];

/* Both are cmocka fixtures, and leave state as it is. */
static inline int own_ledger_make(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/hearth-ledger-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/ledger.db", dir);
    return 0;
}

/* Fails when the folder holds anything else. */
static inline int own_ledger_remove(void **state)
{
    (void)state;
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char file[128];
        snprintf(file, sizeof file, "%s%s", path, ends[i]);
        unlink(file);
    }
    return rmdir(dir);
}

#endif
