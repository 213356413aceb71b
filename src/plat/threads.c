#include "plat/threads.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/paths.h"

enum { LINE_BYTES = 256 };

/* What a remembered number belongs to. */
static void machine_key(const machine_cpu *cpu, char key[LINE_BYTES])
{
    snprintf(key, LINE_BYTES, "%d %d %s", cpu->allowed, (int)(cpu->quota * 100), cpu->name);
}

int threads_recall(const machine_cpu *cpu)
{
    char *path = NULL, key[LINE_BYTES], line[LINE_BYTES] = "";
    int n = 0, used = 0;
    if (path_of(&path, PATH_CACHE, "threads", NULL))
        return 0;
    FILE *f = fopen(path, "re");
    mem_free(path);
    if (!f)
        return 0;
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    fclose(f);
    line[strcspn(line, "\n")] = '\0';
    machine_key(cpu, key);
    if (sscanf(line, "%9d %n", &n, &used) < 1 || strcmp(line + used, key) != 0 || n < 1 || n > cpu->allowed)
        return 0;
    return n;
}

status threads_remember(const machine_cpu *cpu, int n, error *err)
{
    char *path = NULL, *fresh = NULL, key[LINE_BYTES], name[32];
    snprintf(name, sizeof name, "threads.%ld", (long)getpid());
    status s = path_of(&path, PATH_CACHE, "threads", err);
    if (!s)
        s = path_of(&fresh, PATH_CACHE, name, err);
    if (!s)
        s = path_make_parents(path, err);
    if (s)
        goto out;
    machine_key(cpu, key);
    FILE *f = fopen(fresh, "we");
    bool ok = f && fprintf(f, "%d %s\n", n, key) > 0;
    if (f && fclose(f) != 0)
        ok = false;
    if (!ok || rename(fresh, path) != 0) { /* whole or not at all: others read it at any moment */
        s = fail(err, E_IO, "%s: %s", path, strerror(errno));
        unlink(fresh);
    }
out:
    mem_free(path);
    mem_free(fresh);
    return s;
}
