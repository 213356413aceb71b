/* terminal.c: colours only where a person looks (https://no-color.org), and output that did not arrive. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

bool cli_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

const char *cli_style(int fd, const char *code)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool plain = (no_color && *no_color) || (term && strcmp(term, "dumb") == 0);
    return !plain && cli_is_terminal(fd) ? code : "";
}

int cli_flush(void)
{
    static int lost;
    if (!lost && (fflush(stdout) != 0 || ferror(stdout)))
        lost = errno ? errno : EIO;
    return lost;
}
