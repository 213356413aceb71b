/* witness.c: see the header. A socket's kind stands in the tables of the namespace that it was made in, under its
 * inode: a helper's end of the pair, which the front made, in the front's. */
#include "plat/witness.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { LINE_MAX_BYTES = 1024, SOCKETS_MAX = 65536, FIELDS_MAX = 18 };

typedef enum socket_kind { SOCKET_UNKNOWN, SOCKET_UNIX, SOCKET_TCP, SOCKET_DATAGRAM, SOCKET_OTHER } socket_kind;

typedef struct seen_socket {
    uint64_t inode;
    socket_kind kind;
    unsigned long state, port; /* TCP, DATAGRAM: its own port */
} seen_socket;

typedef struct sockets {
    seen_socket *list;
    size_t n;
} sockets;

static FILE *open_of(int pid, const char *name)
{
    char path[64];
    if (pid)
        snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    else
        snprintf(path, sizeof path, "/proc/self/%s", name);
    return fopen(path, "re");
}

/* ---- /proc/PID/status and net/dev ---- */

static void read_status(int pid, witness *w)
{
    char line[LINE_MAX_BYTES];
    FILE *f = open_of(pid, "status");
    if (!f)
        return;
    w->known = true;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "Seccomp:", 8) == 0)
            w->seccomp = (int)strtol(line + 8, NULL, 10);
        else if (strncmp(line, "NoNewPrivs:", 11) == 0)
            w->no_new_privs = (int)strtol(line + 11, NULL, 10);
        else if (strncmp(line, "Threads:", 8) == 0)
            w->threads = (unsigned)strtoul(line + 8, NULL, 10);
    }
    fclose(f);
}

/* "  eth0: RECEIVED packets errs drop fifo frame compressed multicast SENT …" */
static void read_network(int pid, witness *w)
{
    char line[LINE_MAX_BYTES];
    FILE *f = open_of(pid, "net/dev");
    if (!f)
        return;
    w->network_known = true;
    while (fgets(line, sizeof line, f)) {
        unsigned long long received, sent;
        char *colon = strchr(line, ':'), *name = line;
        while (isspace((unsigned char)*name))
            name++;
        if (!colon || sscanf(colon + 1, "%llu %*u %*u %*u %*u %*u %*u %*u %llu", &received, &sent) != 2)
            continue;
        w->interfaces += strncmp(name, "lo:", 3) != 0;
        w->received_bytes += received;
        w->sent_bytes += sent;
    }
    fclose(f);
}

/* ---- descriptors ---- */

static void note_descriptor(const char *link, witness_descriptors *d, sockets *all)
{
    unsigned long long inode;
    if (sscanf(link, "socket:[%llu]", &inode) == 1) {
        d->other_sockets++; /* until a table says what it is */
        seen_socket *more = all->n < SOCKETS_MAX ? mem_resize(all->list, (all->n + 1) * sizeof *more) : NULL;
        if (!more)
            return;
        all->list = more;
        all->list[all->n++] = (seen_socket){ .inode = inode };
    } else if (strncmp(link, "pipe:[", 6) == 0) {
        d->pipes++;
    } else if (strncmp(link, "/dev/", 5) == 0) {
        d->devices++;
    } else if (link[0] == '/') {
        d->files++;
    } else {
        d->others++;
    }
}

static bool list_descriptors(int pid, witness_descriptors *d, sockets *all)
{
    char path[64], link[LINE_MAX_BYTES];
    snprintf(path, sizeof path, pid ? "/proc/%d/fd" : "/proc/self/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!isdigit((unsigned char)e->d_name[0]) || (!pid && strtol(e->d_name, NULL, 10) == dirfd(dir)))
            continue;
        ssize_t n = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);
        link[n > 0 ? n : 0] = 0;
        note_descriptor(link, d, all);
    }
    closedir(dir);
    return true;
}

/* ---- what kind a socket is ---- */

static seen_socket *find_socket(const sockets *all, uint64_t inode)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->list[i].inode == inode)
            return &all->list[i];
    return NULL;
}

/* A row's fields, split at white space. */
static size_t split(char *line, char *out[FIELDS_MAX])
{
    size_t n = 0;
    char *rest = NULL;
    for (char *p = strtok_r(line, " \t\n", &rest); p && n < FIELDS_MAX; p = strtok_r(NULL, " \t\n", &rest))
        out[n++] = p;
    return n;
}

static void read_table(int pid, const char *name, socket_kind kind, size_t inode_field, const sockets *all)
{
    char line[LINE_MAX_BYTES], path[32], *field[FIELDS_MAX];
    snprintf(path, sizeof path, "net/%s", name);
    FILE *f = open_of(pid, path);
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        size_t n = split(line, field);
        seen_socket *s = n > inode_field ? find_socket(all, strtoull(field[inode_field], NULL, 10)) : NULL;
        if (!s || s->kind != SOCKET_UNKNOWN)
            continue;
        s->kind = kind;
        if (kind == SOCKET_TCP || kind == SOCKET_DATAGRAM) { /* "0: 0100007F:1F90 00000000:0000 0A …" */
            const char *colon = strrchr(field[1], ':');
            s->port = colon ? strtoul(colon + 1, NULL, 16) : 0;
            s->state = strtoul(field[3], NULL, 16);
        }
    }
    fclose(f);
}

static bool listens_on(const sockets *all, unsigned long port)
{
    enum { STATE_LISTEN = 10 };
    for (size_t i = 0; i < all->n; i++)
        if (all->list[i].kind == SOCKET_TCP && all->list[i].state == STATE_LISTEN && all->list[i].port == port)
            return true;
    return false;
}

static void count_sockets(witness_descriptors *d, const sockets *all)
{
    enum { STATE_LISTEN = 10 };
    for (size_t i = 0; i < all->n; i++) {
        const seen_socket *s = &all->list[i];
        if (s->kind == SOCKET_UNKNOWN || s->kind == SOCKET_OTHER)
            continue;
        d->other_sockets--;
        if (s->kind == SOCKET_UNIX)
            d->unix_sockets++;
        else if (s->kind == SOCKET_TCP && s->state == STATE_LISTEN)
            d->listening++;
        else if (s->kind == SOCKET_TCP && listens_on(all, s->port))
            d->accepted++;
        else
            d->outbound++;
    }
}

static void read_descriptors(int pid, witness_descriptors *d)
{
    static const struct {
        const char *name;
        socket_kind kind;
        size_t inode_field;
    } tables[] = { { "unix", SOCKET_UNIX, 6 },     { "tcp", SOCKET_TCP, 9 },       { "tcp6", SOCKET_TCP, 9 },
                   { "udp", SOCKET_DATAGRAM, 9 },  { "udp6", SOCKET_DATAGRAM, 9 }, { "raw", SOCKET_DATAGRAM, 9 },
                   { "raw6", SOCKET_DATAGRAM, 9 }, { "packet", SOCKET_OTHER, 8 },  { "netlink", SOCKET_OTHER, 9 } };
    sockets all = { 0 };
    d->known = list_descriptors(pid, d, &all);
    for (size_t i = 0; i < ARRAY_LEN(tables) && all.n; i++) {
        read_table(pid, tables[i].name, tables[i].kind, tables[i].inode_field, &all);
        if (pid)
            read_table(0, tables[i].name, tables[i].kind, tables[i].inode_field, &all);
    }
    count_sockets(d, &all);
    mem_free(all.list);
}

void witness_read(int pid, witness *out)
{
    *out = (witness){ .seccomp = -1, .no_new_privs = -1 };
    read_status(pid, out);
    read_network(pid, out);
    read_descriptors(pid, &out->descriptors);
}

/* ---- as JSON ---- */

static js *descriptors_js(const witness_descriptors *d)
{
    const struct {
        const char *name;
        unsigned n;
    } rows[] = { { "files", d->files }, { "devices", d->devices }, { "pipes", d->pipes }, { "others", d->others },
                 { "unix_sockets", d->unix_sockets }, { "listening", d->listening }, { "accepted", d->accepted },
                 { "outbound", d->outbound }, { "other_sockets", d->other_sockets } };
    if (!d->known)
        return js_null();
    js *o = js_object();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        js_set(o, rows[i].name, js_new_int(rows[i].n));
    return o;
}

static js *number_or_null(int v)
{
    return v < 0 ? js_null() : js_new_int(v);
}

js *witness_to_js(const witness *w)
{
    js *o = js_object(), *network = w->network_known ? js_object() : js_null();
    if (w->network_known) {
        js_set(network, "interfaces", js_new_int(w->interfaces));
        js_set(network, "received_bytes", js_new_int((int64_t)w->received_bytes));
        js_set(network, "sent_bytes", js_new_int((int64_t)w->sent_bytes));
    }
    js_set(o, "seccomp", number_or_null(w->seccomp));
    js_set(o, "no_new_privs", number_or_null(w->no_new_privs));
    js_set(o, "threads", js_new_int(w->threads));
    js_set(o, "network", network);
    js_set(o, "descriptors", descriptors_js(&w->descriptors));
    return o;
}

js *witness_own_descriptors(void)
{
    witness_descriptors d = { 0 };
    read_descriptors(0, &d);
    return descriptors_js(&d);
}
