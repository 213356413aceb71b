/* egress.h: the message loop of the process with the network. README.md lists the messages. Main thread. */
#ifndef EGRESS_EGRESS_H
#define EGRESS_EGRESS_H

#include "base/status.h"

/* Serves fd until the front closes it or says CLOSE. */
status egress_serve(int fd, error *err) MUST_CHECK;

#endif
