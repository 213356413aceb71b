/* service.h: the two things that a service manager (systemd) and its service say to each other, as sd_listen_fds(3) and
 * sd_notify(3) define them, without systemd's library. From the main thread, before others read the environment. */
#ifndef PLAT_SERVICE_H
#define PLAT_SERVICE_H

#include "base/status.h"

/* The socket that was handed over (LISTEN_FDS=1 for LISTEN_PID = this process), from now on closed on exec; *fd is -1
 * when there is none. The variables are removed: no helper takes them for its own. E_UNSUPPORTED: several sockets;
 * E_FORMAT: the numbers make no sense. */
status service_socket(int *fd, error *err) MUST_CHECK;

/* Sends lines such as "READY=1" to NOTIFY_SOCKET. Without a manager, or when it does not listen: nothing happens. */
void service_notify(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
