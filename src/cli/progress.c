/* progress.c: see the header. The rate is a mean in which what lies back counts exponentially less: by e after 15
 * seconds and an eighth of the phase's time. Steps of a phase may take long and differ, and a guess for hours should
 * not follow the last few seconds. */
#include "cli/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "plat/clock.h"

enum { QUIET_US = 2000000, REDRAW_US = 100000, LINE_US = 10000000 };

char *progress_left(char text[24], double seconds)
{
    double s = ceil(seconds);
    if (!(s >= 0 && s < 100 * 3600)) {
        snprintf(text, 24, "-");
        return text;
    }
    unsigned all = (unsigned)s, h = all / 3600, m = all / 60 % 60;
    if (h)
        snprintf(text, 24, "%u:%02u:%02u", h, m, all % 60);
    else
        snprintf(text, 24, "%u:%02u", m, all % 60);
    return text;
}

/* A name without the numbers that it ends in. */
static size_t stem(const char *phase)
{
    size_t n = strlen(phase);
    while (n && strchr("0123456789/.,% ", phase[n - 1]))
        n--;
    return n;
}

static bool goes_on(const progress_line *p, const char *phase, uint64_t done, uint64_t total)
{
    size_t n = stem(phase);
    return p->noted_us && total == p->total && done >= p->done && n == stem(p->phase) &&
           memcmp(phase, p->phase, n) == 0;
}

void progress_note(progress_line *p, const char *phase, uint64_t done, uint64_t total, uint64_t now_us)
{
    char name[PROGRESS_PHASE];
    snprintf(name, sizeof name, "%s", phase);
    for (char *c = name; *c; c++) /* it may hold a word of a stranger's file */
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 127)
            *c = '?';
    done = total && done > total ? total : done;
    if (!goes_on(p, name, done, total)) {
        p->began_us = p->noted_us = now_us;
        p->done = done;
        p->total = total;
        p->sum = p->seconds = 0;
    }
    double s = (double)(now_us - p->noted_us) * 1e-6, past = (double)(now_us - p->began_us) * 1e-6;
    double keep = exp(-s / (15 + past / 8));
    p->sum = keep * p->sum + (double)(done - p->done);
    p->seconds = keep * p->seconds + s;
    p->noted_us = now_us;
    p->done = done;
    snprintf(p->phase, sizeof p->phase, "%s", name);
}

char *progress_text(const progress_line *p, char text[PROGRESS_TEXT])
{
    char left[24];
    size_t n = strlen(p->phase);
    int len = snprintf(text, PROGRESS_TEXT, "%s", p->phase);
    if (p->total == 0)
        return text;
    bool number = n && p->phase[n - 1] >= '0' && p->phase[n - 1] <= '9';
    len += snprintf(text + len, PROGRESS_TEXT - (size_t)len, "%s %d %%", number ? "," : "",
                    (int)((double)p->done / (double)p->total * 100));
    if (p->noted_us - p->began_us < QUIET_US || p->sum <= 0 || p->done == p->total)
        return text;
    progress_left(left, (double)(p->total - p->done) * p->seconds / p->sum);
    if (left[0] != '-')
        snprintf(text + len, PROGRESS_TEXT - (size_t)len, ", %s left", left);
    return text;
}

void progress_init(progress_line *p)
{
    *p = (progress_line){ .terminal = cli_is_terminal(STDERR_FILENO) };
}

/* Over what is there, with blanks rather than an escape: not every terminal has that one. */
static void draw(progress_line *p, const char *text)
{
    int room = cli_columns(STDERR_FILENO) - 1, n = (int)strlen(text);
    n = n < room ? n : room;
    fprintf(stderr, "\r%.*s%*s", n, text, p->drawn > n ? p->drawn - n : 0, "");
    p->drawn = n;
}

void progress_show(progress_line *p, const char *phase, uint64_t done, uint64_t total)
{
    char text[PROGRESS_TEXT];
    uint64_t now = clock_mono_us();
    bool first = p->noted_us == 0;
    progress_note(p, phase, done, total, now);
    if (first && !p->terminal)
        p->told_us = now; /* what is soon over needs no line */
    bool soon = now - p->told_us < (p->terminal ? REDRAW_US : LINE_US);
    if (soon || (strcmp(progress_text(p, text), p->told) == 0 && p->drawn))
        return;
    if (p->terminal)
        draw(p, text);
    else
        fprintf(stderr, "%s\n", text);
    fflush(stderr);
    p->told_us = now;
    memcpy(p->told, text, sizeof text);
}

void progress_end(progress_line *p)
{
    if (p->drawn)
        fprintf(stderr, "\r%*s\r", p->drawn, "");
    p->drawn = 0;
}
