/* msg.c: see the header. Header and payload are read separately and exactly, so descriptors, which the kernel attaches
 * to the first byte they were sent with, always arrive with a header. */
#include "plat/msg.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "plat/clock.h"

enum { FLAG_FDS = 0xff, BODY_KEEP = 1 << 16 };

static void put(unsigned char *p, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static uint32_t take(const unsigned char *p, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

void msg_link_open(msg_link *l, int fd)
{
    memset(l, 0, sizeof *l);
    l->fd = fd;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void drop_fds(msg_link *l)
{
    for (size_t i = 0; i < l->n_fds; i++)
        if (l->fds[i] >= 0)
            close(l->fds[i]);
    l->n_fds = 0;
}

void msg_link_close(msg_link *l)
{
    drop_fds(l);
    mem_free(l->body);
    if (l->fd >= 0)
        close(l->fd);
    memset(l, 0, sizeof *l);
    l->fd = -1;
    l->broken = true;
}

status msg_pair(int out[2], error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return fail(err, E_IO, "socketpair: %s", strerror(errno));
    out[0] = pair[0];
    out[1] = pair[1];
    return OK;
}

/* ---- deadlines ---- */

static uint64_t deadline_of(int timeout_ms)
{
    return timeout_ms < 0 ? UINT64_MAX : clock_mono_us() + (uint64_t)timeout_ms * 1000;
}

/* Waits for `events`; false when the deadline has passed. */
static bool wait_for(int fd, short events, uint64_t deadline)
{
    for (;;) {
        int ms = -1;
        if (deadline != UINT64_MAX) {
            uint64_t now = clock_mono_us();
            uint64_t left = deadline > now ? (deadline - now + 999) / 1000 : 0;
            ms = left > 1000000 ? 1000000 : (int)left;
        }
        struct pollfd p = { .fd = fd, .events = events };
        int n = poll(&p, 1, ms);
        if (n > 0)
            return true;
        if (n == 0 && deadline != UINT64_MAX && clock_mono_us() >= deadline)
            return false;
        if (n < 0 && errno != EINTR)
            return true; /* the read or write that follows says what is wrong */
    }
}

/* ---- sending ---- */

/* One sendmsg of what is left of header and payload. Returns bytes, or -1 with errno. */
static ssize_t send_some(int fd, const unsigned char *header, const void *data, size_t n, size_t sent, const int *fds,
                         size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MSG_FDS_MAX * sizeof(int))];
    } control;
    struct iovec parts[2];
    struct msghdr m = { .msg_iov = parts };
    if (sent < MSG_HEADER_BYTES)
        parts[m.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)(header + sent), MSG_HEADER_BYTES - sent };
    size_t at = sent > MSG_HEADER_BYTES ? sent - MSG_HEADER_BYTES : 0;
    if (at < n)
        parts[m.msg_iovlen++] = (struct iovec){ (void *)(uintptr_t)((const char *)data + at), n - at };
    if (sent == 0 && n_fds > 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

status msg_send(msg_link *l, msg_type type, uint32_t request, const void *data, size_t n, const int *fds, size_t n_fds,
                int timeout_ms, error *err)
{
    assert(n_fds == 0 || (type == MSG_OPEN && n_fds <= MSG_FDS_MAX));
    if (n > MSG_BYTES_MAX)
        return fail(err, E_RANGE, "a message of %zu bytes is over the limit of %d", n, (int)MSG_BYTES_MAX);
    if (l->broken)
        return fail(err, E_PROVIDER, "the connection to the other process is broken");
    unsigned char header[MSG_HEADER_BYTES];
    put(header, MSG_VERSION, 2);
    put(header + 2, (uint32_t)type, 2);
    put(header + 4, request, 4);
    put(header + 8, (uint32_t)n, 4);
    put(header + 12, (uint32_t)n_fds, 4);
    uint64_t deadline = deadline_of(timeout_ms);
    size_t sent = 0;
    while (sent < MSG_HEADER_BYTES + n) {
        ssize_t k = send_some(l->fd, header, data, n, sent, fds, n_fds);
        if (k >= 0) {
            sent += (size_t)k;
        } else if (errno == EAGAIN || errno == ENOBUFS) {
            if (wait_for(l->fd, POLLOUT, deadline))
                continue;
            l->broken = true; /* what follows would be read as the rest of this message */
            return fail(err, E_PROVIDER, "the other process has not read for %d ms", timeout_ms);
        } else if (errno != EINTR) {
            l->broken = true;
            return fail(err, E_PROVIDER, "the other process is gone (%s)", strerror(errno));
        }
    }
    return OK;
}

status msg_send_text(msg_link *l, msg_type type, uint32_t request, const char *text, int timeout_ms, error *err)
{
    return msg_send(l, type, request, text, strlen(text), NULL, 0, timeout_ms, err);
}

/* ---- receiving ---- */

static status broken(msg_link *l, error *err, status code, const char *what)
{
    l->broken = true;
    drop_fds(l);
    return fail(err, code, "%s", what);
}

/* Keeps the descriptors of one recvmsg; false when there are more than fit or they were cut. */
static bool keep_fds(msg_link *l, struct msghdr *m)
{
    bool ok = !(m->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (l->n_fds < MSG_FDS_MAX) {
                l->fds[l->n_fds++] = fd;
            } else {
                close(fd);
                ok = false;
            }
        }
    }
    return ok;
}

/* Reads up to n bytes. *k: how many; 0 with *again: nothing there now; 0 without: end of file. */
static status read_some(msg_link *l, void *to, size_t n, size_t *k, bool *again, error *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MSG_FDS_MAX * sizeof(int))];
    } control;
    struct iovec part = { to, n };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes };
    *k = 0;
    *again = false;
    ssize_t got = recvmsg(l->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0) {
        *again = errno == EAGAIN || errno == EINTR;
        if (*again || errno == ECONNRESET)
            return OK;
        l->broken = true;
        return fail(err, E_IO, "recvmsg: %s", strerror(errno));
    }
    if (!keep_fds(l, &m))
        return broken(l, err, E_FORMAT, "too many descriptors in a message");
    *k = (size_t)got;
    return OK;
}

static status header_read(msg_link *l, error *err)
{
    uint32_t length = take(l->header + 8, 4), flags = take(l->header + 12, 4);
    if (take(l->header, 2) != MSG_VERSION) {
        l->broken = true;
        drop_fds(l);
        return fail(err, E_FORMAT, "message version %u where %d is spoken", take(l->header, 2), (int)MSG_VERSION);
    }
    if (length > MSG_BYTES_MAX || (flags & ~(uint32_t)FLAG_FDS))
        return broken(l, err, E_FORMAT, "a message with an impossible length or unknown flags");
    if (l->n_fds != (flags & FLAG_FDS) || (l->n_fds > 0 && take(l->header + 2, 2) != MSG_OPEN))
        return broken(l, err, E_FORMAT, "descriptors where none belong");
    if (length + (size_t)1 > l->body_size) {
        size_t size = length < BODY_KEEP ? BODY_KEEP : length + (size_t)1;
        char *more = mem_resize(l->body, size);
        if (!more)
            return broken(l, err, E_NOMEM, "no memory for a message");
        l->body = more;
        l->body_size = size;
    }
    l->body_length = length;
    l->body_have = 0;
    return OK;
}

/* Forgets the message that was handed out; a large buffer is given back. */
static void begin_next(msg_link *l)
{
    drop_fds(l);
    l->delivered = false;
    l->header_have = l->body_have = l->body_length = 0;
    if (l->body_size > BODY_KEEP) {
        mem_free(l->body);
        l->body = NULL;
        l->body_size = 0;
    }
}

/* Takes what is there. *whole: a message is complete; *again: wait for more. */
static status advance(msg_link *l, bool *whole, bool *again, error *err)
{
    bool in_header = l->header_have < MSG_HEADER_BYTES;
    *whole = false;
    *again = false;
    if (in_header || l->body_have < l->body_length) {
        char *to = in_header ? (char *)l->header + l->header_have : l->body + l->body_have;
        size_t want = in_header ? MSG_HEADER_BYTES - l->header_have : l->body_length - l->body_have, k;
        status s = read_some(l, to, want, &k, again, err);
        if (s || *again)
            return s;
        if (k == 0 && l->header_have == 0)
            return broken(l, err, E_NOTFOUND, "the other process closed the connection");
        if (k == 0)
            return broken(l, err, E_FORMAT, "the other process ended within a message");
        *(in_header ? &l->header_have : &l->body_have) += k;
        if (in_header && l->header_have == MSG_HEADER_BYTES && (s = header_read(l, err)) != OK)
            return s;
        if (!in_header && l->n_fds > take(l->header + 12, 4))
            return broken(l, err, E_FORMAT, "descriptors within a payload");
    }
    *whole = l->header_have == MSG_HEADER_BYTES && l->body_have == l->body_length;
    return OK;
}

status msg_receive(msg_link *l, msg *out, bool *got, int timeout_ms, error *err)
{
    *got = false;
    if (l->broken)
        return fail(err, E_NOTFOUND, "the connection to the other process is broken");
    if (l->delivered)
        begin_next(l);
    uint64_t deadline = deadline_of(timeout_ms);
    for (;;) {
        bool whole, again;
        status s = advance(l, &whole, &again, err);
        if (s)
            return s;
        if (whole)
            break;
        if (again && (timeout_ms == 0 || !wait_for(l->fd, POLLIN, deadline)))
            return OK;
    }
    l->body[l->body_length] = 0;
    l->delivered = true;
    *out = (msg){ .type = (uint16_t)take(l->header + 2, 2), .request = take(l->header + 4, 4), .data = l->body,
                  .length = l->body_length, .fds = l->fds, .n_fds = l->n_fds };
    *got = true;
    return OK;
}
