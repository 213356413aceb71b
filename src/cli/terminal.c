/* terminal.c: colours only where a person looks (https://no-color.org), and output that did not arrive. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/utf8.h"
#include "cli/cli.h"

enum { COLUMNS = 80 };

bool cli_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

int cli_columns(int fd)
{
    struct winsize w;
    return ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : COLUMNS;
}

const char *cli_style(int fd, const char *code)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool plain = (no_color && *no_color) || (term && strcmp(term, "dumb") == 0);
    return !plain && cli_is_terminal(fd) ? code : "";
}

static bool acts_on_terminal(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

void cli_print_text(const char *text, const char *indent)
{
    for (size_t i = 0, n = strlen(text); i < n;) {
        uint32_t c;
        size_t len = utf8_decode(text + i, n - i, &c);
        if (!len || acts_on_terminal(c))
            fputs("\xef\xbf\xbd", stdout);
        else
            fwrite(text + i, 1, len, stdout);
        if (len && c == '\n')
            fputs(indent, stdout);
        i += len ? len : 1;
    }
}

int cli_flush(void)
{
    static int lost;
    if (!lost && (fflush(stdout) != 0 || ferror(stdout)))
        lost = errno ? errno : EIO;
    return lost;
}
