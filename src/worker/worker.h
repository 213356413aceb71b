/* worker.h: the message loop of the inference process. README.md lists the messages. The process's main thread. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "base/status.h"
#include "plat/sandbox.h"

/* Serves fd until the front closes it, says CLOSE, or breaks the protocol (then E_FORMAT). Says HELLO first.
 * descriptors (taken): what it had open before its sandbox, in plat/witness.h's form. */
status worker_serve(int fd, const sandbox_report *sandbox, js *descriptors, error *err) MUST_CHECK;

#endif
