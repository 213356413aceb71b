/* review_keys.c: keys and lines. Reads the descriptor itself, byte by byte: between two keys nothing may be buffered,
 * and a person types no faster. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/review.h"

enum { CTRL_C = 3, CTRL_D = 4 };

/* The next byte, or -1 at the end. */
static int next_byte(void)
{
    unsigned char c;
    ssize_t n;
    do {
        n = read(STDIN_FILENO, &c, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1 ? c : -1;
}

static bool next_line(buf *out)
{
    int c = next_byte();
    if (c < 0)
        return false;
    for (; c >= 0 && c != '\n'; c = next_byte())
        buf_char(out, (char)c);
    if (out->len && buf_text(out)[out->len - 1] == '\r')
        out->data[--out->len] = 0;
    return true;
}

static void show(const char *question)
{
    fputs(question, stdout);
    fflush(stdout);
}

/* Without Enter and without echo, for one key only: whatever else happens finds the terminal as it was. */
static int pressed(const char *question)
{
    struct termios was, now;
    if (tcgetattr(STDIN_FILENO, &was) != 0)
        return -1;
    now = was;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    now.c_cc[VMIN] = 1;
    now.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &now); /* first: a Ctrl-C in answer to the question is a key, not a signal */
    show(question);
    int c = next_byte();
    tcsetattr(STDIN_FILENO, TCSADRAIN, &was);
    return c == CTRL_C || c == CTRL_D ? 'q' : c;
}

/* A line of one character; anything else is no key (0). */
static int typed(const char *question)
{
    show(question);
    buf line = BUF_INIT(1 << 16);
    int c = !next_line(&line) ? -1 : line.len == 1 ? (unsigned char)line.data[0] : 0;
    buf_clear(&line);
    return c;
}

char review_key(const char *question, const char *keys)
{
    bool terminal = cli_is_terminal(STDIN_FILENO);
    for (;;) {
        int c = terminal ? pressed(question) : typed(question);
        bool known = c > 0 && strchr(keys, c);
        if (terminal || known)
            printf("%c\n", c > ' ' && c < 0x7f ? c : '?');
        else
            printf("\n");
        if (c < 0)
            return 'q';
        if (known)
            return (char)c;
        fprintf(stderr, "hearth task review: that is none of %s\n", keys);
    }
}

bool review_text(bool lines, buf *out)
{
    printf(lines ? "the right answer; a line with only a dot ends it (at once: nothing changes)\n"
                 : "the right answer, on one line (empty: nothing changes)\n");
    fflush(stdout);
    buf_reset(out);
    if (!lines)
        return next_line(out);
    buf line = BUF_INIT(out->max);
    bool more = false;
    while ((more = next_line(&line)) && strcmp(buf_text(&line), ".") != 0) {
        buf_str(out, out->len ? "\n" : "");
        buf_add(out, buf_text(&line), line.len);
        out->failed |= line.failed;
        buf_reset(&line);
    }
    buf_clear(&line);
    return more;
}

void review_print(const js *v)
{
    js_member m = { 0 };
    buf b = BUF_INIT(TASK_LINE_BYTES_MAX * 8);
    if (js_is(v, JS_OBJECT)) {
        for (const char *line = ""; js_next(v, &m); line = "\n") {
            js_write(js_is(m.value, JS_STRING) ? NULL : m.value, JS_COMPACT, &b);
            printf("%s  ", line);
            cli_print_text(m.key, "  ");
            printf(": ");
            cli_print_text(js_is(m.value, JS_STRING) ? js_text(m.value) : buf_text(&b), "    ");
            buf_reset(&b);
        }
    } else if (js_is(v, JS_STRING)) {
        fputs("  ", stdout);
        cli_print_text(js_text(v), "  ");
    } else {
        js_write(v, JS_COMPACT, &b);
        printf("  ");
        cli_print_text(v ? buf_text(&b) : "nothing in particular", "  ");
    }
    putchar('\n');
    buf_clear(&b);
}
