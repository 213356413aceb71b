/* pull.h: the message loop of the process that fetches models. README.md lists the messages. Main thread. */
#ifndef PULL_PULL_H
#define PULL_PULL_H

#include "base/status.h"

/* Serves fd until the front closes it or says CLOSE. */
status pull_serve(int fd, error *err) MUST_CHECK;

#endif
