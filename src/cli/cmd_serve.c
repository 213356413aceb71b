/* cmd_serve.c: `hearth serve` becomes hearth-serve, the helper that may listen: this program links no network code. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "plat/proc.h"

int cmd_serve(int argc, char **argv)
{
    (void)argc;
    char path[PROC_PATH_MAX];
    error e = { 0 };
    if (proc_find(path, "hearth-serve", &e))
        return report("serve", &e);
    execv(path, argv);
    fprintf(stderr, "hearth serve: %s: %s\n", path, strerror(errno));
    return EXIT_INPUT;
}
