/* pull_main.c: hearth-pull: fetches models. Not for people: `hearth pull` starts it. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "plat/proc.h"
#include "pull/pull.h"

int main(void)
{
    error err = { 0 };
    if (!proc_is_helper(100)) {
        fprintf(stderr, "hearth-pull is started by `hearth pull`\n");
        return EXIT_USAGE;
    }
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
    status s = pull_serve(PROC_HELPER_FD, &err);
    if (s)
        log_line(LOG_LEVEL_ERROR, "%s", err.text);
    fflush(stderr);
    _exit(s ? EXIT_INPUT : EXIT_OK);
}
