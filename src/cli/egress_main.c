/* egress_main.c: hearth-egress: the process with the network. Not for people: hearth starts it. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "egress/egress.h"
#include "plat/proc.h"

int main(void)
{
    error err = { 0 };
    if (!proc_is_helper(100)) {
        fprintf(stderr, "hearth-egress is started by hearth when a remote provider is configured\n");
        return EXIT_USAGE;
    }
    status s = egress_serve(PROC_HELPER_FD, &err);
    if (s)
        log_line(LOG_LEVEL_ERROR, "%s", err.text);
    fflush(stderr);
    _exit(s ? EXIT_INPUT : EXIT_OK);
}
