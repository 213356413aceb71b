#include "plat/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

enum { FIRST_FD = 3 }; /* SD_LISTEN_FDS_START */

static status take(const char *pid_text, const char *n_text, int *fd, error *err)
{
    uint64_t pid, n;
    *fd = -1;
    if (!pid_text || !n_text)
        return OK;
    if (!str_u64(pid_text, &pid) || !str_u64(n_text, &n))
        return fail(err, E_FORMAT, "LISTEN_PID=%s LISTEN_FDS=%s are no numbers", pid_text, n_text);
    if (pid != (uint64_t)getpid() || n == 0)
        return OK; /* meant for another process */
    if (n > 1)
        return fail(err, E_UNSUPPORTED, "LISTEN_FDS=%s: hearth listens on one socket", n_text);
    int flags = fcntl(FIRST_FD, F_GETFD);
    if (flags < 0 || fcntl(FIRST_FD, F_SETFD, flags | FD_CLOEXEC))
        return fail(err, E_FORMAT, "LISTEN_FDS=1, but descriptor %d: %s", FIRST_FD, strerror(errno));
    *fd = FIRST_FD;
    return OK;
}

status service_socket(int *fd, error *err)
{
    status s = take(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), fd, err);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return s;
}

/* A path, or "@name" in the abstract space. False: no manager. */
static bool manager(struct sockaddr_un *to, socklen_t *bytes)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof to->sun_path || (path[0] != '/' && path[0] != '@'))
        return false;
    memset(to, 0, sizeof *to);
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path, n);
    if (path[0] == '@')
        to->sun_path[0] = '\0';
    *bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

void service_notify(const char *format, ...)
{
    struct sockaddr_un to;
    socklen_t bytes;
    char text[512];
    if (!manager(&to, &bytes))
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (n < 0 || n >= (int)sizeof text || fd < 0 ||
        sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&to, bytes) != n)
        log_line(LOG_LEVEL_WARN, "the service manager was not told '%.64s': %s", text, strerror(errno));
    if (fd >= 0)
        close(fd);
}
