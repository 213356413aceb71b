/* worker_main.c: hearth-worker: the inference process. Not for people: hearth starts it. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/js.h"
#include "base/log.h"
#include "cli/cli.h"
#include "plat/proc.h"
#include "plat/sandbox.h"
#include "plat/witness.h"
#include "worker/worker.h"

int main(void)
{
    static const sandbox_options options = { .kind = SANDBOX_COMPUTE };
    sandbox_report report;
    error err = { 0 };
    if (!proc_is_helper(500)) {
        fprintf(stderr, "hearth-worker is started by hearth: try 'hearth run MODEL'\n");
        return EXIT_USAGE;
    }
    tzset(); /* the time zone, for chat_now: likewise while files can be opened */
    js_free(js_object()); /* the JSON library seeds its hash from /dev/urandom, once, while that can be opened */
    js *descriptors = witness_own_descriptors();
    if (sandbox_enter(&options, &report, &err) != OK)
        log_line(LOG_LEVEL_WARN, "worker: %s", err.text); /* HELLO says it too: the front decides what may be asked */
    (void)sandbox_test(SANDBOX_COMPUTE, &report);
    status s = worker_serve(PROC_HELPER_FD, &report, descriptors, &err);
    if (s)
        log_line(LOG_LEVEL_ERROR, "%s", err.text);
    fflush(stderr);
    _exit(s ? EXIT_INPUT : EXIT_OK); /* not exit(): handlers of libraries may try what the sandbox forbids */
}
