/* energy.c: see the header. */
#include "plat/energy.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { ZONES_MAX = 64 };

typedef struct zone {
    char name[32];       /* "package-0" */
    char folder[288];    /* "intel-rapl:0": which interface shows it */
    char path[PATH_MAX]; /* of energy_uj */
    uint64_t last_uj, range_uj;
} zone;

struct energy_meter {
    zone zones[ZONES_MAX];
    size_t n;
    double joules;
    char why[160];
};

static bool read_line(const char *path, char *out, size_t bytes)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, (int)bytes, f);
    int kept = errno;
    if (f)
        fclose(f);
    errno = kept;
    if (ok)
        out[strcspn(out, "\n")] = '\0';
    return ok;
}

static bool read_count(const char *path, uint64_t *out)
{
    char text[32], *end;
    errno = EIO; /* what an empty file leaves */
    if (!read_line(path, text, sizeof text))
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-') {
        errno = EINVAL;
        return false;
    }
    *out = v;
    return true;
}

/* The same package by two interfaces counts once: the one with the shorter name is kept ("intel-rapl:0"). */
static zone *place_of(energy_meter *m, const char *name, const char *folder)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->zones[i].name, name) == 0)
            return strlen(folder) < strlen(m->zones[i].folder) ? &m->zones[i] : NULL;
    return m->n < ZONES_MAX ? &m->zones[m->n++] : NULL;
}

/* "intel-rapl:0" and not "intel-rapl:0:1", which lies inside it. */
static bool is_whole(const char *folder)
{
    const char *colon = strchr(folder, ':');
    return colon && !strchr(colon + 1, ':');
}

static void add_zone(energy_meter *m, const char *base, const char *folder)
{
    char path[PATH_MAX], name[32];
    zone *z;
    snprintf(path, sizeof path, "%s/%.250s/name", base, folder);
    if (!is_whole(folder) || !read_line(path, name, sizeof name) || !str_starts(name, "package") ||
        !(z = place_of(m, name, folder)))
        return;
    snprintf(z->name, sizeof z->name, "%s", name);
    snprintf(z->folder, sizeof z->folder, "%.250s", folder);
    snprintf(z->path, sizeof z->path, "%s/%.250s/energy_uj", base, folder);
    snprintf(path, sizeof path, "%s/%.250s/max_energy_range_uj", base, folder);
    z->range_uj = 0;
    (void)read_count(path, &z->range_uj);
}

static void cannot(energy_meter *m, const zone *z)
{
    snprintf(m->why, sizeof m->why,
             errno == EACCES || errno == EPERM ? "the energy counter %.40s may not be read: permission denied"
                                               : "the energy counter %.40s cannot be read",
             z->folder);
}

energy_meter *energy_open(const char *folder)
{
    energy_meter *m = mem_zero(sizeof *m);
    if (!m)
        return NULL;
    const char *base = folder ? folder : "/sys/class/powercap";
    DIR *d = opendir(base);
    for (struct dirent *e; d && (e = readdir(d));)
        add_zone(m, base, e->d_name);
    if (d)
        closedir(d);
    if (m->n == 0)
        snprintf(m->why, sizeof m->why, "the processor shows no energy counter here");
    for (size_t i = 0; i < m->n && !m->why[0]; i++)
        if (!read_count(m->zones[i].path, &m->zones[i].last_uj))
            cannot(m, &m->zones[i]);
    return m;
}

void energy_close(energy_meter **m)
{
    mem_free(*m);
    *m = NULL;
}

double energy_read(energy_meter *m)
{
    if (!m || m->why[0])
        return NAN;
    for (size_t i = 0; i < m->n; i++) {
        zone *z = &m->zones[i];
        uint64_t now;
        if (!read_count(z->path, &now)) {
            cannot(m, z);
            return NAN;
        }
        if (now < z->last_uj && z->range_uj < z->last_uj) { /* it turned, and nobody says where */
            snprintf(m->why, sizeof m->why, "the energy counter %.40s began anew", z->folder);
            return NAN;
        }
        m->joules += (double)(now >= z->last_uj ? now - z->last_uj : z->range_uj - z->last_uj + now) / 1e6;
        z->last_uj = now;
    }
    return m->joules;
}

const char *energy_why(const energy_meter *m)
{
    return m ? m->why : "no memory for the energy counters";
}
