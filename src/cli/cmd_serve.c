/* cmd_serve.c: `hearth serve`, `ps`, `stop` and `route explain` become hearth-serve, the helper that may listen and
 * connect: this program links no network code. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "plat/proc.h"

/* argv[0] says which. */
static int become(char **argv)
{
    char path[PROC_PATH_MAX];
    error e = { 0 };
    if (proc_find(path, "hearth-serve", &e))
        return report(argv[0], &e);
    execv(path, argv);
    fprintf(stderr, "hearth %s: %s: %s\n", argv[0], path, strerror(errno));
    return EXIT_INPUT;
}

int cmd_serve(int argc, char **argv)
{
    (void)argc;
    return become(argv);
}

int cmd_ps(int argc, char **argv)
{
    (void)argc;
    return become(argv);
}

int cmd_stop(int argc, char **argv)
{
    (void)argc;
    return become(argv);
}

int cmd_route_explain(int argc, char **argv)
{
    (void)argc;
    argv[0] = (char[]){ "route explain" };
    return become(argv);
}
